//! How long a vote takes on loopback, beside what it must take on this machine: with 2 of 3 cosigners,
//! with one whole key in a file alone, and with three cosigners around one such key.
//!
//! The floor is measured in the same run, between the votes: one small round trip to another process
//! and back as the validator's request makes it, one as the cosigner's order to its peer makes it
//! (where there are peers), and one synchronous write of 4 KiB in the file system of the members'
//! state. A vote cannot take less.
//!
//! Prints, never judges: a busy machine is no reason to fail a build. `-- --heights N` sets the number
//! of heights (default 1000). `-- --crowd` measures many chains at once instead: what the noise of some
//! costs the others (`--chains N`, default 20; `--votes N` of each validator, default 1000).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod crowd;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use support::asker::{Ask, Asker, Ending, Kind};
use support::cluster::{Cluster, Shape};

/// One sealed frame of a SecretConnection: what a request and its reply are on the wire.
const FRAME_BYTES: usize = 1044;

/// A slot of a watermark file.
const SLOT_BYTES: usize = 4096;

/// From one height to the next.
const BETWEEN_HEIGHTS: Duration = Duration::from_millis(5);

/// Heights before those that count.
const WARM_UP: i64 = 20;

/// Makes this program the other end of the floor's round trips.
const ECHO: &str = "--echo";

/// A process that sends back what it gets, on any number of connections.
struct Echo {
    child: Child,
    port: u16,
}

impl Echo {
    fn start() -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .arg(ECHO)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// The other process.
    fn serve() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut frame = [0; FRAME_BYTES];
                while stream.read_exact(&mut frame).is_ok() && stream.write_all(&frame).is_ok() {}
            });
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What every vote costs at least.
struct Floor {
    validator: TcpStream,
    peer: TcpStream,
    file: File,
    writes: u64,
    /// Dropped last: its end closes the connections.
    _echo: Echo,
}

impl Floor {
    fn new(directory: &Path) -> Self {
        let echo = Echo::start();
        let file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .custom_flags(i32::try_from(OFlags::DSYNC.bits()).unwrap())
            .open(directory.join("floor"))
            .unwrap();
        file.write_all_at(&[0; 2 * SLOT_BYTES], 0).unwrap();
        file.sync_all().unwrap();
        Self { validator: echo.connect(), peer: echo.connect(), file, writes: 0, _echo: echo }
    }

    fn measure(&mut self, has_peers: bool) -> Duration {
        let slot_bytes = u64::try_from(SLOT_BYTES).unwrap();
        let start = Instant::now();
        round_trip(&mut self.validator);
        if has_peers {
            round_trip(&mut self.peer);
        }
        self.writes += 1;
        self.file.write_all_at(&[0x5a; SLOT_BYTES], self.writes % 2 * slot_bytes).unwrap();
        start.elapsed()
    }
}

fn round_trip(stream: &mut TcpStream) {
    let mut frame = [7; FRAME_BYTES];
    stream.write_all(&frame).unwrap();
    stream.read_exact(&mut frame).unwrap();
}

fn vote(asker: &mut Asker, kind: Kind, height: i64) -> Duration {
    let ask = Ask::new(kind, height, [9; 32]);
    let ending = asker.ask(&ask, Duration::from_secs(10));
    assert!(matches!(ending, Ending::Signed(_)), "height {height}: {ending:?}");
    asker.took()
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// Prints a row and returns its median.
fn row(name: &str, mut durations: Vec<Duration>) -> f64 {
    durations.sort();
    let percentile =
        |percent: usize| milliseconds(durations[(durations.len() - 1) * percent / 100]);
    let (p50, p90, p99) = (percentile(50), percentile(90), percentile(99));
    println!(
        "  {name:<10} {p50:>8.3} {p90:>8.3} {p99:>8.3}   ms (p50 p90 p99), {} times",
        durations.len()
    );
    p50
}

/// Votes and floors in turn, from height `first` on.
fn measure(asker: &mut Asker, floor: &mut Floor, has_peers: bool, first: i64, heights: i64) {
    let (mut prevotes, mut precommits, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    for height in first..first + WARM_UP + heights {
        let prevote = vote(asker, Kind::Prevote, height);
        let precommit = vote(asker, Kind::Precommit, height);
        // In the middle of the pause: right after the reply the cosigners still work.
        thread::sleep(BETWEEN_HEIGHTS / 2);
        let least = floor.measure(has_peers);
        thread::sleep(BETWEEN_HEIGHTS / 2);
        if height >= first + WARM_UP {
            prevotes.push(prevote);
            precommits.push(precommit);
            floors.push(least);
        }
    }
    let votes = prevotes.iter().chain(&precommits).copied().collect();
    row("prevote", prevotes);
    row("precommit", precommits);
    let vote = row("vote", votes);
    let floor = row("floor", floors);
    println!("  vote / floor at p50: {:.2}", vote / floor);
}

fn start_to_ready(cluster: &mut Cluster, follower: usize) -> Duration {
    cluster.terminate(follower);
    let start = Instant::now();
    cluster.start(follower);
    cluster.wait_ready(follower);
    start.elapsed()
}

fn main() {
    let arguments: Vec<String> = env::args().collect();
    if arguments.iter().any(|argument| argument == ECHO) {
        return Echo::serve();
    }
    let number = |flag: &str, default: i64| {
        let at = arguments.iter().position(|argument| argument == flag);
        at.map_or(default, |at| arguments[at + 1].parse().expect("the flag takes a number"))
    };
    if arguments.iter().any(|argument| argument == "--crowd") {
        let chains = usize::try_from(number("--chains", 20)).unwrap();
        let votes = u64::try_from(number("--votes", 1000)).unwrap();
        return crowd::measure(&crowd::Plan { chains, votes });
    }
    let heights = number("--heights", 1000);
    measure_cluster("2-of-3 shares", Shape::new(2, 3), heights);
    measure_cluster("3 cosigners around one key file", Shape::file(3), heights);
    measure_alone(heights);
}

fn measure_cluster(name: &str, shape: Shape, heights: i64) {
    let mut askers: Vec<Asker> = (0..3).map(|_| Asker::listen()).collect();
    let shape = askers
        .iter()
        .enumerate()
        .fold(shape, |shape, (index, asker)| shape.validator(index + 1, asker.address()));
    let mut cluster = Cluster::new(shape);
    let start = Instant::now();
    cluster.start_all();
    let leader = cluster.wait_leader();
    let started = start.elapsed();
    for asker in &mut askers {
        asker.verify_with(cluster.public_key());
    }
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    let mut floor = Floor::new(cluster.directory());

    println!("{name} on loopback, {heights} heights, validator at the leader:");
    measure(&mut askers[leader - 1], &mut floor, true, 1, heights);
    println!("validator at a follower, which forwards:");
    measure(&mut askers[follower - 1], &mut floor, true, 1 + WARM_UP + heights, heights);
    let mebibytes = |id| format!("{:.1}", cluster.resident_kib(id) as f64 / 1024.0);
    let memory: Vec<String> = cluster.ids().into_iter().map(mebibytes).collect();
    println!("resident memory of each member: {} MiB", memory.join(", "));
    println!("start to ready: {:.0} ms for the cluster", milliseconds(started));
    let restarted = start_to_ready(&mut cluster, follower);
    println!("start to ready: {:.0} ms for a member that comes back", milliseconds(restarted));
}

fn measure_alone(heights: i64) {
    let mut asker = Asker::listen();
    let mut cluster = Cluster::new(Shape::file(1).validator(1, asker.address()));
    cluster.start_all();
    asker.verify_with(cluster.public_key());
    let mut floor = Floor::new(cluster.directory());
    println!("a key file alone on loopback, {heights} heights:");
    measure(&mut asker, &mut floor, false, 1, heights);
    println!("resident memory: {:.1} MiB", cluster.resident_kib(1) as f64 / 1024.0);
    println!("start to ready: {:.0} ms", milliseconds(start_to_ready(&mut cluster, 1)));
}
