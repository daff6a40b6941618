//! Validators that are broken or hostile, against real processes: one of them costs itself its
//! connection, and nobody else anything.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod hostile {
    #![allow(unreachable_pub, reason = "every test binary is a crate of its own")]
    #![allow(clippy::cast_possible_truncation)]

    pub mod handshakes;
    pub mod line;
    pub mod messages;
    pub mod rig;
    pub mod secret;
    pub mod streams;
    pub mod wire;
}
mod support;

use hostile::line::Listener;
use hostile::rig::{Bad, Case, Rig, during};
use hostile::streams::FLOOD;
use hostile::{handshakes, messages, streams};
use support::cluster::Shape;

/// Most log lines a second, signatures apart, however fast a validator asks.
const MOST_LINES_A_SECOND: usize = 45;

fn alone() -> Shape {
    Shape::file(1)
}

fn cluster() -> Shape {
    Shape::new(2, 3)
}

/// One validator that misbehaves, on `tcp://` or on a unix socket.
fn rig(shape: Shape, unix: bool) -> (Rig, Bad, Option<tempfile::TempDir>) {
    let folder = unix.then(|| tempfile::tempdir().unwrap());
    let listener = match &folder {
        Some(folder) => Listener::unix(folder.path().join("privval.sock")),
        None => Listener::tcp(),
    };
    let (rig, mut bad) = Rig::new(shape, vec![listener]);
    (rig, bad.remove(0), folder)
}

fn survives_messages(shape: Shape, unix: bool) {
    let (mut rig, mut bad, _folder) = rig(shape, unix);
    let messages = messages::all();
    println!("{} messages", messages.len());
    for message in messages {
        message.play(&mut bad);
        rig.unharmed(&mut bad);
    }
    rig.play(&mut bad, streams::cuts());
    streams::shortened(&mut bad);
    rig.unharmed(&mut bad);
    rig.finish(vec![bad]);
}

#[test]
fn messages_that_make_no_sense_harm_nobody_alone() {
    survives_messages(alone(), false);
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn messages_that_make_no_sense_harm_nobody_in_a_cluster() {
    survives_messages(cluster(), false);
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn messages_that_make_no_sense_harm_nobody_on_a_unix_socket() {
    survives_messages(alone(), true);
}

/// `step`: a good request is cut off after every such number of bytes.
fn survives_streams(shape: Shape, unix: bool, step: usize) {
    let (mut rig, mut bad, _folder) = rig(shape, unix);
    rig.play(&mut bad, streams::breaks());
    streams::truncated(&mut bad, step);
    rig.unharmed(&mut bad);
    rig.finish(vec![bad]);
}

#[test]
fn streams_that_break_harm_nobody_alone() {
    survives_streams(alone(), false, 1);
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn streams_that_break_harm_nobody_in_a_cluster() {
    survives_streams(cluster(), false, 9);
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn streams_that_break_harm_nobody_on_a_unix_socket() {
    survives_streams(alone(), true, 3);
}

fn survives_handshakes(shape: Shape) {
    let (mut rig, mut bad, _) = rig(shape, false);
    rig.play(&mut bad, handshakes::all());
    rig.finish(vec![bad]);
}

#[test]
fn wrong_handshakes_and_frames_harm_nobody_alone() {
    survives_handshakes(alone());
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn wrong_handshakes_and_frames_harm_nobody_in_a_cluster() {
    survives_handshakes(cluster());
}

/// All at once, each by a validator of its own.
fn survives_slowness(shape: Shape) {
    let cases: Vec<Case> = handshakes::slow().into_iter().chain(streams::slow()).collect();
    let listeners = cases.iter().map(|_| Listener::tcp()).collect();
    let (mut rig, bad) = Rig::new(shape, listeners);
    let playing: Vec<_> = cases
        .into_iter()
        .zip(bad)
        .map(|(case, mut bad)| {
            std::thread::spawn(move || {
                println!("case: {}", case.name);
                (case.does)(&mut bad);
                bad
            })
        })
        .collect();
    let mut bad: Vec<Bad> = playing.into_iter().map(|thread| thread.join().unwrap()).collect();
    for bad in &mut bad {
        rig.unharmed(bad);
    }
    rig.finish(bad);
}

#[test]
fn slow_validators_harm_nobody_alone() {
    survives_slowness(alone());
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn slow_validators_harm_nobody_in_a_cluster() {
    survives_slowness(cluster());
}

fn survives_floods(shape: Shape) {
    let (mut rig, mut bad, _) = rig(shape, false);
    for flood in streams::floods() {
        let (votes, lines) = (rig.votes(), rig.log_lines());
        let answers = during(FLOOD, || (flood.does)(&mut bad));
        let (votes, lines) = (rig.votes() - votes, rig.log_lines() - lines);
        println!("{}: {answers} answers, {votes} votes, {lines} lines", flood.name);
        let seconds = FLOOD.as_secs();
        if let Some(most) = flood.most {
            assert!(answers <= most * seconds + 1, "{answers} refusals in {FLOOD:?}");
        }
        assert!(votes >= 2 * seconds, "{votes} votes of the other validator in {FLOOD:?}");
        assert!(lines <= MOST_LINES_A_SECOND * FLOOD.as_secs() as usize, "{lines} lines");
        rig.unharmed(&mut bad);
    }
    rig.finish(vec![bad]);
}

#[test]
fn floods_harm_nobody_alone() {
    survives_floods(alone());
}

#[test]
#[ignore = "needs minutes; scripts/test runs it"]
fn floods_harm_nobody_in_a_cluster() {
    survives_floods(cluster());
}
