//! Streams that break, crawl or never end.

use std::time::Duration;

use cosigner::privval::{Fields, MAX_REQUEST_BYTES};

use super::line::{Line, PATIENCE, is_timeout};
use super::messages::description;
use super::rig::{Bad, Case, during};
use super::wire::{
    ask_key, ask_vote, bare_vote, block, delimited, ping, prevote, prevote_fields, time, uvarint,
};
use crate::support::cluster::CHAIN;

/// How long each flood lasts.
pub const FLOOD: Duration = Duration::from_secs(3);

/// How long a validator that is closed at once plays with the signer.
const SLAMMING: Duration = Duration::from_secs(3);

fn case(name: &'static str, does: fn(&mut Bad)) -> Case {
    Case { name, does }
}

/// Announces so many bytes.
fn announces(bad: &mut Bad, length: u64) {
    bad.line().send(&uvarint(length)).unwrap();
    bad.closed();
}

/// What breaks a connection, quickly.
pub fn breaks() -> Vec<Case> {
    vec![
        case("a length just above the limit", |bad| announces(bad, MAX_REQUEST_BYTES as u64 + 1)),
        case("a length of 2^32", |bad| announces(bad, 1 << 32)),
        case("a length of 2^63", |bad| announces(bad, 1 << 63)),
        case("a length of 2^64 - 1", |bad| announces(bad, u64::MAX)),
        case("a length of 65 bits", |bad| {
            bad.line().send(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).unwrap();
            bad.closed();
        }),
        case("a length without end", |bad| {
            bad.line().send(&[0x80; 11]).unwrap();
            bad.closed();
        }),
        case("the longest length, and then nothing but the end", |bad| {
            bad.line().send(&uvarint(MAX_REQUEST_BYTES as u64)).unwrap();
            bad.hang_up();
        }),
        case("the longest message, all zeros", |bad| {
            let zeros = delimited(&vec![0; MAX_REQUEST_BYTES]);
            bad.line().send(&zeros).unwrap();
            bad.closed();
        }),
        case("an end before anything", |bad| {
            bad.line();
            bad.hang_up();
        }),
        case("an end at once, before the handshake", |bad| drop(bad.socket())),
        case("an end after the request, before the reply", |bad| {
            let height = bad.heights.unsigned();
            bad.line().send_message(&ask_vote(&prevote(height))).unwrap();
            bad.hang_up();
        }),
        case("an end after the reply", |bad| {
            bad.line().ask(&ping()).unwrap();
            bad.hang_up();
        }),
        case("accepts and closes, again and again", |bad| {
            let times = during(SLAMMING, || drop(bad.socket()));
            // At most one dial in 150 ms, at least one in 500 ms but for a busy machine.
            let most = SLAMMING.as_millis() / 150 + 2;
            assert!((3..=most).contains(&u128::from(times)), "{times} dials in {SLAMMING:?}");
        }),
    ]
}

/// Odd cuts of a stream that is in order.
pub fn cuts() -> Vec<Case> {
    vec![
        case("a request in writes of one byte", |bad| {
            let heights = bad.heights.clone();
            let turn = heights.turn();
            let body = ask_vote(&prevote(turn.height()));
            for byte in delimited(&body) {
                bad.line().send(&[byte]).unwrap();
            }
            let reply = bad.line().receive().unwrap();
            let fields = Fields::Vote(prevote_fields(turn.height()));
            bad.check_signed(&reply, &fields, None);
        }),
        case("a length in a form longer than it needs", |bad| {
            let body = ping();
            let prefix = [0x80 | u8::try_from(body.len()).unwrap(), 0x80, 0x80, 0];
            bad.line().send(&[&prefix, body.as_slice()].concat()).unwrap();
            assert_eq!(bad.line().receive().unwrap(), [0x42, 0]);
        }),
        case("requests in one write, answered in order", in_order),
        case("thousands of pings in one write", |bad| {
            let pings = delimited(&ping()).repeat(5000);
            let line = bad.line();
            line.send(&pings).unwrap();
            for _ in 0..5000 {
                assert_eq!(line.receive().unwrap(), [0x42, 0]);
            }
        }),
    ]
}

fn in_order(bad: &mut Bad) {
    let heights = bad.heights.clone();
    let turns: Vec<i64> = (0..10).map(|_| heights.unsigned()).collect();
    let turn = heights.turn();
    let mut sent = Vec::new();
    for _ in &turns {
        sent.extend(delimited(&ask_key(CHAIN.as_bytes())));
        // Below what is signed behind it, perhaps denied, always answered in its place.
        sent.extend(delimited(&ask_vote(&prevote(0))));
        sent.extend(delimited(&ping()));
    }
    sent.extend(delimited(&ask_vote(&prevote(turn.height()))));
    bad.line().send(&sent).unwrap();
    for _ in &turns {
        for tag in [2, 4, 8] {
            assert_eq!(bad.line().receive().unwrap()[0] >> 3, tag);
        }
    }
    let reply = bad.line().receive().unwrap();
    bad.check_signed(&reply, &Fields::Vote(prevote_fields(turn.height())), None);
}

/// A good request, cut off after so many bytes.
pub fn truncated(bad: &mut Bad, step: usize) {
    let height = bad.heights.unsigned();
    let vote = bare_vote(2, height).message(4, &block()).message(5, &time());
    let request = delimited(&ask_vote(&vote.bytes(9, b"extension")));
    for end in (1..request.len()).step_by(step) {
        bad.line().send(&request[..end]).unwrap();
        bad.hang_up();
    }
    println!("cut off in {} places", (request.len() - 1).div_ceil(step));
}

/// A good request whose message ends too early while its length fits: at every byte.
pub fn shortened(bad: &mut Bad) {
    let body = ask_vote(&prevote(bad.heights.unsigned()));
    for end in 0..body.len() {
        bad.line().send_message(&body[..end]).unwrap();
        // Refused, or no protobuf.
        if bad.line().receive().is_err() {
            bad.hang_up();
        }
    }
}

/// Those that cost more seconds than others, each for a validator of its own.
pub fn slow() -> Vec<Case> {
    vec![
        case("a message that crawls", |bad| {
            bad.line().send(&uvarint(1000)).unwrap();
            let mut sent = 0;
            // The signer gives up after 20 s; a byte each half second does not make it wait longer.
            while bad.line().send(&[0]).is_ok() {
                sent += 1;
                assert!(sent < 60, "still listening after half a minute");
                std::thread::sleep(Duration::from_millis(500));
            }
            assert!(sent > 30, "closed after {sent} half seconds");
            bad.hang_up();
        }),
        case("silence after a handshake", |bad| bad.closed_after(Duration::from_secs(20))),
        case("a validator that never reads", |bad| {
            let pings = delimited(&ping()).repeat(1000);
            let line = bad.line();
            // Until the signer stops reading, because it cannot write, and then closes.
            let began = std::time::Instant::now();
            while line.send(&pings).is_ok() {
                assert!(began.elapsed() < PATIENCE, "still open");
            }
            bad.hang_up();
        }),
    ]
}

impl Bad {
    fn closed_after(&mut self, limit: Duration) {
        self.line();
        let began = std::time::Instant::now();
        self.closed();
        let took = began.elapsed();
        assert!(took > limit / 2 && took < limit * 3 / 2, "closed after {took:?}");
    }
}

/// A validator that asks as fast as it can.
pub struct Flood {
    pub name: &'static str,
    pub does: fn(&mut Bad),
    /// Most answers a second, where answers are refusals.
    pub most: Option<u64>,
}

/// Refusals: twenty a second, and the first twenty, with room for clocks.
const REFUSALS: Option<u64> = Some(30);

/// All of them.
pub fn floods() -> Vec<Flood> {
    vec![
        Flood {
            name: "messages of length zero",
            does: |bad| assert_eq!(bad.line().ask(&[]).unwrap(), Vec::<u8>::new()),
            most: REFUSALS,
        },
        Flood {
            name: "votes that make no sense",
            does: |bad| {
                description(&bad.line().ask(&ask_vote(&prevote(-1))).unwrap());
            },
            most: REFUSALS,
        },
        Flood {
            name: "old heights",
            does: |bad| {
                description(&bad.line().ask(&ask_vote(&prevote(1))).unwrap());
            },
            most: REFUSALS,
        },
        Flood { name: "conflicting votes", does: conflict, most: REFUSALS },
        Flood {
            name: "pings",
            does: |bad| assert_eq!(bad.line().ask(&ping()).unwrap(), [0x42, 0]),
            most: None,
        },
        Flood {
            name: "requests for the public key",
            does: |bad| assert_eq!(bad.line().ask(&ask_key(CHAIN.as_bytes())).unwrap()[0], 0x12),
            most: None,
        },
        Flood {
            name: "messages of 2 MiB that are refused",
            does: |bad| {
                let vote = prevote(-1).bytes(9, &vec![7; 2 << 20]);
                description(&bad.line().ask(&ask_vote(&vote)).unwrap());
            },
            most: REFUSALS,
        },
        Flood {
            name: "garbage that closes the connection",
            does: |bad| {
                bad.line().send_message(&[0xff; 3]).unwrap();
                bad.closed();
            },
            most: None,
        },
        Flood { name: "requests by the thousand without reading", does: pile, most: None },
    ]
}

/// Of two votes at one height the second one is denied.
fn conflict(bad: &mut Bad) {
    let heights = bad.heights.clone();
    let turn = heights.turn();
    let fields = Fields::Vote(prevote_fields(turn.height()));
    bad.signed(&ask_vote(&prevote(turn.height())), &fields, None);
    let nil = ask_vote(&bare_vote(1, turn.height()).message(5, &time()));
    drop(turn);
    let said = description(&bad.line().ask(&nil).unwrap());
    // Unless the other validator has gone on meanwhile.
    assert!(said.contains("conflicting data") || said.contains("regression"), "{said}");
}

/// Asks for nothing, very often, and takes what comes within half a second.
fn pile(bad: &mut Bad) {
    let line: &mut Line = bad.line();
    line.send(&vec![0; 100_000]).unwrap();
    let mut came = 0;
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_millis(500) {
        match line.receive() {
            Ok(reply) => assert!(reply.is_empty()),
            Err(error) => panic!("after {came}: {error}, timeout {}", is_timeout(&error)),
        }
        came += 1;
    }
    bad.hang_up();
}
