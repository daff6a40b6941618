//! Messages that CometBFT would not send, on a connection that is otherwise in order.

use cosigner::privval::{BlockId, Fields, VoteKind, proto};
use cosigner::types::{Round, Timestamp};
use prost::Message as _;

use super::super::support::cluster::CHAIN;
use super::rig::Bad;
use super::wire::{
    HASH, NANOS, PARTS, Pb, SECONDS, ask_key, ask_proposal, ask_vote, bare_vote, block, ping,
    prevote, prevote_fields, prevote_with, proposal, proposal_fields, time, vote_request,
};

/// What has to come of a message.
pub enum Expect {
    /// The signer closes the connection.
    Closed,
    /// An error reply with this in it; the connection stays.
    Says(&'static str),
    /// A reply of length zero.
    Nothing,
    /// A pong.
    Pong,
    /// A signature over exactly these fields.
    Signed(fn(i64) -> Fields),
    /// Anything but harm.
    Harmless,
}

/// A message and what has to come of it. `body` is given a height that nothing was signed at.
pub struct Message {
    pub name: &'static str,
    pub body: fn(i64) -> Vec<u8>,
    pub expect: Expect,
}

use Expect::{Closed, Harmless, Nothing, Pong, Says, Signed};

impl Message {
    const fn new(name: &'static str, expect: Expect, body: fn(i64) -> Vec<u8>) -> Self {
        Self { name, body, expect }
    }

    /// Sends it and looks at what comes.
    #[track_caller]
    pub fn play(&self, bad: &mut Bad) {
        println!("case: {}", self.name);
        let heights = bad.heights.clone();
        if let Signed(fields) = &self.expect {
            let turn = heights.turn();
            return bad.signed(&(self.body)(turn.height()), &fields(turn.height()), None);
        }
        let body = (self.body)(heights.unsigned());
        bad.line().send_message(&body).unwrap();
        match &self.expect {
            Closed => bad.closed(),
            Harmless => {
                if bad.line().receive().is_err() {
                    bad.hang_up();
                }
            }
            Nothing => assert_eq!(bad.line().receive().unwrap(), Vec::<u8>::new()),
            Pong => assert_eq!(bad.line().receive().unwrap(), [0x42, 0]),
            Says(text) => {
                let reply = bad.line().receive().unwrap();
                let said = description(&reply);
                assert!(said.contains(text), "{said:?} lacks {text:?}");
            }
            Signed(_) => {}
        }
    }
}

/// The error in a reply of any kind.
#[track_caller]
pub fn description(reply: &[u8]) -> String {
    use proto::message::Sum;
    let error = match proto::Message::decode(reply).unwrap().sum {
        Some(Sum::PubKeyResponse(response)) => response.error,
        Some(Sum::SignedVoteResponse(response)) => response.error,
        Some(Sum::SignedProposalResponse(response)) => response.error,
        Some(Sum::SignBytesResponse(response)) => response.error,
        other => panic!("{other:?}"),
    };
    error.expect("an error").description
}

/// A prevote whose extension is not asked for, with a change.
fn vote(height: i64, change: impl FnOnce(Pb) -> Pb) -> Vec<u8> {
    ask_vote(&change(prevote(height)))
}

/// A prevote for a block id.
fn vote_for(height: i64, block: &Pb) -> Vec<u8> {
    ask_vote(&bare_vote(1, height).message(4, block).message(5, &time()))
}

/// A prevote at a time.
fn vote_at(height: i64, time: &Pb) -> Vec<u8> {
    ask_vote(&bare_vote(1, height).message(4, &block()).message(5, time))
}

/// A request for a prevote whose chain is these bytes.
fn vote_of(height: i64, chain: &[u8]) -> Vec<u8> {
    Pb::new().message(3, &Pb::new().message(1, &prevote(height)).bytes(2, chain)).0
}

fn parts(total: i64, hash: &[u8]) -> Pb {
    Pb::new().bytes(1, &HASH).message(2, &Pb::new().int(1, total).bytes(2, hash))
}

fn plain(height: i64) -> Fields {
    Fields::Vote(prevote_fields(height))
}

fn with_round(height: i64, round: i32) -> Fields {
    prevote_with(height, |vote| vote.round = Round::new(round).unwrap())
}

fn with_time(height: i64, seconds: i64, nanos: i32) -> Fields {
    prevote_with(height, |vote| vote.timestamp = Timestamp::new(seconds, nanos).unwrap())
}

fn with_total(height: i64, total: u32) -> Fields {
    prevote_with(height, |vote| vote.block_id = BlockId::new(Some(HASH), total, Some(PARTS)))
}

/// All that are sent on a connection of any kind.
pub fn all() -> Vec<Message> {
    let groups = [
        garbage(),
        kinds(),
        blocks(),
        times(),
        numbers(),
        chains(),
        doubled(),
        merged(), //
        extensions(),
    ];
    groups.into_iter().flatten().collect()
}

/// No protobuf, or none that fits.
fn garbage() -> Vec<Message> {
    let m = Message::new;
    vec![
        m("bytes that are no protobuf", Closed, |_| vec![0xff; 3]),
        m("noise of 1 KiB", Harmless, |height| {
            let mut word = height.cast_unsigned() | 1;
            let mut next = || {
                word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (word >> 56) as u8
            };
            (0..1024).map(|_| next()).collect()
        }),
        m("a message of length zero", Nothing, |_| Vec::new()),
        m("an unknown message", Nothing, |_| Pb::new().bytes(15, b"what").0),
        m("unknown fields everywhere", Signed(plain), |height| {
            let unknown = |pb: Pb| pb.int(99, 7).bytes(100, b"x").key(101, 1).raw(&[0; 8]);
            let vote = unknown(prevote(height).key(103, 5).raw(&[0; 4]));
            unknown(Pb::new().message(3, &unknown(vote_request(&vote)))).0
        }),
        m("an unknown group", Signed(plain), |height| {
            vote(height, |vote| vote.key(99, 3).int(1, 5).key(99, 4))
        }),
        m("a group without an end", Closed, |height| vote(height, |vote| vote.key(99, 3))),
        m("an end without a group", Closed, |height| vote(height, |vote| vote.key(99, 4))),
        m("groups a thousand deep", Closed, |height| {
            vote(height, |mut vote| {
                for _ in 0..1000 {
                    vote = vote.key(99, 3);
                }
                for _ in 0..1000 {
                    vote = vote.key(99, 4);
                }
                vote
            })
        }),
        m("wire type 6", Closed, |height| vote(height, |vote| vote.key(2, 6))),
        m("wire type 7", Closed, |height| vote(height, |vote| vote.key(99, 7))),
        m("field number 0", Closed, |height| vote(height, |vote| vote.int(0, 1))),
        m("a field number of 33 bits", Closed, |height| {
            vote(height, |vote| vote.key(1 << 33, 0).raw(&[1]))
        }),
        m("a height as bytes", Closed, |height| vote(height, |vote| vote.bytes(2, &[9]))),
        m("a height as fixed64", Closed, |height| {
            vote(height, |vote| vote.key(2, 1).raw(&[9, 0, 0, 0, 0, 0, 0, 0]))
        }),
        m("a type as fixed32", Closed, |height| vote(height, |vote| vote.key(1, 5).raw(&[1; 4]))),
        m("a block id as a number", Closed, |height| vote(height, |vote| vote.int(4, 1))),
        m("a vote as a number", Closed, |_| Pb::new().message(3, &Pb::new().int(1, 1)).0),
        m("a chain as a number", Closed, |height| {
            Pb::new().message(3, &Pb::new().message(1, &prevote(height)).int(2, 1)).0
        }),
        m("a request as a number", Closed, |_| Pb::new().int(3, 1).0),
        m("a length within beyond the end", Closed, |height| {
            vote(height, |vote| vote.key(9, 2).raw(&[0xff, 0xff, 0x7f]))
        }),
        m("a length within of 64 bits", Closed, |height| {
            vote(height, |vote| vote.key(9, 2).raw(&[0xff; 9]).raw(&[1]))
        }),
        m("a number of eleven bytes", Closed, |height| {
            vote(height, |vote| vote.key(3, 0).raw(&[0xff; 11]))
        }),
        m("a number in its longest form", Signed(plain), |height| {
            let mut long = [0x80; 10];
            long[9] = 0;
            vote(height, |vote| vote.key(3, 0).raw(&long))
        }),
    ]
}

/// Messages of the wrong kind.
fn kinds() -> Vec<Message> {
    fn typed(height: i64, kind: i64) -> Vec<u8> {
        ask_vote(&bare_vote(kind, height).message(4, &block()).message(5, &time()))
    }
    fn proposed(height: i64, kind: i64) -> Vec<u8> {
        ask_proposal(&proposal(height).int(1, kind))
    }
    const VOTE: Expect = Says("is neither 1 (prevote) nor 2 (precommit)");
    const PROPOSAL: Expect = Says("is not 32");
    let m = Message::new;
    vec![
        m("a public key response as a request", Nothing, |_| Pb::new().bytes(2, &[]).0),
        m("a vote response as a request", Nothing, |height| {
            Pb::new().message(4, &Pb::new().message(1, &prevote(height))).0
        }),
        m("a proposal response as a request", Nothing, |height| {
            Pb::new().message(6, &Pb::new().message(1, &proposal(height))).0
        }),
        m("a pong as a request", Nothing, |_| Pb::new().bytes(8, &[]).0),
        m("a raw signature as a request", Nothing, |_| Pb::new().bytes(10, &[]).0),
        m("raw bytes", Says("raw bytes"), |_| {
            Pb::new().message(9, &Pb::new().bytes(1, b"bytes")).0
        }),
        m("a proposal's type in a vote", VOTE, |height| typed(height, 32)),
        m("vote type 0", VOTE, |height| typed(height, 0)),
        m("vote type 3", VOTE, |height| typed(height, 3)),
        m("vote type 33", VOTE, |height| typed(height, 33)),
        m("vote type -1", VOTE, |height| typed(height, -1)),
        m("vote type 2^32 - 1", VOTE, |height| typed(height, 0xffff_ffff)),
        m("proposal type 0", PROPOSAL, |height| proposed(height, 0)),
        m("proposal type 1", PROPOSAL, |height| proposed(height, 1)),
        m("proposal type 33", PROPOSAL, |height| proposed(height, 33)),
        m("proposal type -1", PROPOSAL, |height| proposed(height, -1)),
        m("a vote request without a vote", Says("holds no vote"), |_| {
            Pb::new().message(3, &Pb::new().bytes(2, CHAIN.as_bytes())).0
        }),
        m("a proposal request without a proposal", Says("holds no proposal"), |_| {
            Pb::new().message(5, &Pb::new().bytes(2, CHAIN.as_bytes())).0
        }),
        m("an empty vote", Says("is neither 1"), |_| ask_vote(&Pb::new())),
        m("a ping with something in it", Pong, |_| Pb::new().bytes(7, &[0x78, 1]).0),
    ]
}

/// Block ids that CometBFT would panic at, and odd ones that it would not.
fn blocks() -> Vec<Message> {
    const LENGTH: Expect = Says("where 0 or 32 are allowed");
    fn hash(height: i64, length: usize) -> Vec<u8> {
        let parts = Pb::new().int(1, 7).bytes(2, &PARTS);
        vote_for(height, &Pb::new().bytes(1, &[9; 64][..length]).message(2, &parts))
    }
    fn parts_hash(height: i64, length: usize) -> Vec<u8> {
        vote_for(height, &parts(7, &[9; 64][..length]))
    }
    let m = Message::new;
    vec![
        m("a block hash of 1 byte", LENGTH, |height| hash(height, 1)),
        m("a block hash of 31 bytes", LENGTH, |height| hash(height, 31)),
        m("a block hash of 33 bytes", LENGTH, |height| hash(height, 33)),
        m("a block hash of 64 bytes", LENGTH, |height| hash(height, 64)),
        m("a part-set hash of 1 byte", LENGTH, |height| parts_hash(height, 1)),
        m("a part-set hash of 31 bytes", LENGTH, |height| parts_hash(height, 31)),
        m("a part-set hash of 33 bytes", LENGTH, |height| parts_hash(height, 33)),
        m("a part-set hash of 64 bytes", LENGTH, |height| parts_hash(height, 64)),
        m("a validator address of 19 bytes", Says("validator address of 19"), |height| {
            vote(height, |vote| vote.bytes(6, &[1; 19]))
        }),
        m("a validator address of 21 bytes", Says("validator address of 21"), |height| {
            vote(height, |vote| vote.bytes(6, &[1; 21]))
        }),
        m("no parts", Signed(|height| with_total(height, 0)), |height| {
            vote_for(height, &parts(0, &PARTS))
        }),
        m("2^32 - 1 parts", Signed(|height| with_total(height, u32::MAX)), |height| {
            vote_for(height, &parts(0xffff_ffff, &PARTS))
        }),
        m("2^32 + 1 parts are 1, as in Go", Signed(|height| with_total(height, 1)), |height| {
            vote_for(height, &parts(0x1_0000_0001, &PARTS))
        }),
        m(
            "only parts, no hash",
            Signed(|height| {
                prevote_with(height, |vote| vote.block_id = BlockId::new(None, 7, Some(PARTS)))
            }),
            |height| vote_for(height, &Pb::new().message(2, &Pb::new().int(1, 7).bytes(2, &PARTS))),
        ),
        m(
            "a block id in which everything is empty is nil",
            Signed(|height| prevote_with(height, |vote| vote.block_id = None)),
            |height| vote_for(height, &Pb::new().bytes(1, &[]).bytes(2, &[])),
        ),
    ]
}

/// Times at the ends of what there is.
fn times() -> Vec<Message> {
    fn at(height: i64, seconds: i64, nanos: i64) -> Vec<u8> {
        vote_at(height, &Pb::new().int(1, seconds).int(2, nanos))
    }
    const YEARS: Expect = Says("are not within the years 1 to 9999");
    const NANOSECONDS: Expect = Says("are not within 0 to 999999999");
    const FIRST: i64 = -62_135_596_800;
    const LAST: i64 = 253_402_300_799;
    let m = Message::new;
    vec![
        m("the last second of int64", YEARS, |height| at(height, i64::MAX, 0)),
        m("the first second of int64", YEARS, |height| at(height, i64::MIN, 0)),
        m("a second before year 1", YEARS, |height| at(height, FIRST - 1, 0)),
        m("a second after year 9999", YEARS, |height| at(height, LAST + 1, 0)),
        m("the first second", Signed(|height| with_time(height, FIRST, 0)), |height| {
            at(height, FIRST, 0)
        }),
        m("the last nanosecond", Signed(|height| with_time(height, LAST, 999_999_999)), |height| {
            at(height, LAST, 999_999_999)
        }),
        m("-1 nanoseconds", NANOSECONDS, |height| at(height, SECONDS, -1)),
        m("10^9 nanoseconds", NANOSECONDS, |height| at(height, SECONDS, 1_000_000_000)),
        m("2^31 - 1 nanoseconds", NANOSECONDS, |height| at(height, SECONDS, i32::MAX.into())),
        m("-2^31 nanoseconds", NANOSECONDS, |height| at(height, SECONDS, i32::MIN.into())),
        m("no time is year 1", Signed(|height| with_time(height, FIRST, 0)), |height| {
            ask_vote(&bare_vote(1, height).message(4, &block()))
        }),
        m("an empty time is the epoch", Signed(|height| with_time(height, 0, 0)), |height| {
            vote_at(height, &Pb::new())
        }),
    ]
}

/// Numbers at the ends of their types.
fn numbers() -> Vec<Message> {
    fn with_pol(height: i64, pol_round: i32) -> Fields {
        let mut proposal = proposal_fields(height);
        proposal.pol_round = pol_round;
        Fields::Proposal(proposal)
    }
    fn pol(height: i64, pol_round: i64) -> Vec<u8> {
        ask_proposal(&proposal(height).int(4, pol_round))
    }
    let m = Message::new;
    vec![
        m("height -1", Says("height -1 is negative"), |_| ask_vote(&prevote(-1))),
        m("height -2^63", Says("is negative"), |_| ask_vote(&prevote(i64::MIN))),
        m("height 2^63 - 1", Says("too far ahead"), |_| ask_vote(&prevote(i64::MAX))),
        m("height 0", Says("height regression"), |_| ask_vote(&prevote(0))),
        m("a proposal at height -1", Says("is negative"), |_| ask_proposal(&proposal(-1))),
        m("round -1", Says("round -1 is negative"), |height| vote(height, |v| v.int(3, -1))),
        m("round 2^32 - 1 is -1, as in Go", Says("round -1 is negative"), |height| {
            vote(height, |vote| vote.int(3, 0xffff_ffff))
        }),
        m("round -2^31", Says("is negative"), |height| {
            vote(height, |vote| vote.int(3, i32::MIN.into()))
        }),
        m("round 2^31 - 1", Signed(|height| with_round(height, i32::MAX)), |height| {
            vote(height, |vote| vote.int(3, i32::MAX.into()))
        }),
        m("round 2^32 + 1 is 1, as in Go", Signed(|height| with_round(height, 1)), |height| {
            vote(height, |vote| vote.int(3, 0x1_0000_0001))
        }),
        m("proof-of-lock round -2", Says("-2 is less than -1"), |height| pol(height, -2)),
        m("proof-of-lock round -2^31", Says("is less than -1"), |h| pol(h, i32::MIN.into())),
        m("proof-of-lock round 2^31 - 1", Signed(|height| with_pol(height, i32::MAX)), |h| {
            pol(h, i32::MAX.into())
        }),
        m("validator index -2^31", Signed(plain), |height| {
            vote(height, |vote| vote.int(7, i32::MIN.into()))
        }),
        m("validator index 2^31 - 1", Signed(plain), |height| {
            vote(height, |vote| vote.int(7, i32::MAX.into()))
        }),
        m("a signature that is there already", Signed(plain), |height| {
            vote(height, |vote| vote.bytes(8, &[7; 64]).bytes(10, &[7; 64]))
        }),
    ]
}

/// Chain ids that are none, or are none of ours.
fn chains() -> Vec<Message> {
    const LONG: [u8; 51] = [b'x'; 51];
    let m = Message::new;
    vec![
        m("a chain that is no UTF-8", Closed, |height| vote_of(height, &[0xff, 0xfe])),
        m("the key of a chain that is no UTF-8", Closed, |_| ask_key(&[0xc3, 0x28])),
        m("an empty chain", Says("the chain id is empty"), |height| vote_of(height, b"")),
        m("no chain", Says("the chain id is empty"), |height| {
            Pb::new().message(3, &Pb::new().message(1, &prevote(height))).0
        }),
        m("the key of an empty chain", Says("the chain id is empty"), |_| ask_key(b"")),
        m("another chain", Says("unable to sign vote"), |height| vote_of(height, b"other-1")),
        m("the key of another chain", Says("unable to provide pubkey"), |_| ask_key(b"other-1")),
        m("a chain of 51 bytes", Says("is 51 bytes long"), |height| vote_of(height, &LONG)),
        m("the key of a chain of 51 bytes", Says("is 51 bytes long"), |_| ask_key(&LONG)),
        m("a chain with a line break", Says("control character"), |height| {
            vote_of(height, b"a\nWARN forged")
        }),
        m("a chain with an escape sequence", Says("control character"), |_| ask_key(b"\x1b[2J")),
        m("our chain with a space behind", Says("unable to sign vote"), |height| {
            vote_of(height, format!("{CHAIN} ").as_bytes())
        }),
    ]
}

/// Fields that are there twice: the last one counts, for the rule and for what is signed.
fn doubled() -> Vec<Message> {
    let m = Message::new;
    vec![
        m("two heights, the last one high", Signed(plain), |height| {
            ask_vote(&bare_vote(1, 1).int(2, height).message(4, &block()).message(5, &time()))
        }),
        m("two heights, the last one low", Says("height regression"), |height| {
            vote(height, |vote| vote.int(2, 1))
        }),
        m("two rounds", Signed(|height| with_round(height, 5)), |height| {
            vote(height, |vote| vote.int(3, -1).int(3, 5))
        }),
        m("two types", Signed(plain), |height| vote(height, |vote| vote.int(1, 32).int(1, 1))),
        m(
            "two hashes",
            Signed(|height| {
                prevote_with(height, |vote| {
                    vote.block_id = BlockId::new(Some([3; 32]), 7, Some(PARTS));
                })
            }),
            |height| vote_for(height, &block().bytes(1, &[3; 32])),
        ),
        m("two hashes, the first one too long", Signed(plain), |height| {
            vote_for(height, &Pb::new().bytes(1, &[3; 99]).raw(&block().0))
        }),
        m("two chains, the last one ours", Signed(plain), |height| {
            let request = Pb::new().bytes(2, b"other-1").message(1, &prevote(height));
            Pb::new().message(3, &request.bytes(2, CHAIN.as_bytes())).0
        }),
        m("two chains, the first one ours", Says("unable to sign vote"), |height| {
            Pb::new().message(3, &vote_request(&prevote(height)).bytes(2, b"other-1")).0
        }),
        m("two seconds", Signed(|height| with_time(height, 5, 6)), |height| {
            vote_at(height, &time().int(1, 5))
        }),
    ]
}

/// Messages within that are there twice: protobuf merges them.
fn merged() -> Vec<Message> {
    let m = Message::new;
    vec![
        m("two votes", Signed(|height| with_round(height, 3)), |height| {
            let request = Pb::new().message(1, &prevote(height)).message(1, &Pb::new().int(3, 3));
            Pb::new().message(3, &request.bytes(2, CHAIN.as_bytes())).0
        }),
        m("two block ids", Signed(plain), |height| {
            let parts = Pb::new().message(2, &Pb::new().int(1, 7).bytes(2, &PARTS));
            let vote = bare_vote(1, height).message(4, &Pb::new().bytes(1, &HASH));
            ask_vote(&vote.message(4, &parts).message(5, &time()))
        }),
        m("two part sets", Signed(|height| with_total(height, 9)), |height| {
            vote_for(height, &block().message(2, &Pb::new().int(1, 9)))
        }),
        m("two times", Signed(plain), |height| {
            let vote = bare_vote(1, height).message(4, &block());
            let seconds = Pb::new().int(1, SECONDS);
            ask_vote(&vote.message(5, &seconds).message(5, &Pb::new().int(2, NANOS)))
        }),
        m("a vote request in two parts", Signed(plain), |height| {
            let vote = Pb::new().message(1, &prevote(height));
            let chain = Pb::new().bytes(2, CHAIN.as_bytes());
            Pb::new().message(3, &vote).message(3, &chain).0
        }),
        m("a ping, then a vote", Signed(plain), |height| [ping(), vote(height, |v| v)].concat()),
        m("a vote, then a ping", Pong, |height| [vote(height, |v| v), ping()].concat()),
        m(
            "a vote, then a proposal",
            Signed(|height| Fields::Proposal(proposal_fields(height))),
            |height| [vote(height, |v| v), ask_proposal(&proposal(height))].concat(),
        ),
    ]
}

/// Extensions where none belong, and long ones.
fn extensions() -> Vec<Message> {
    fn precommit(height: i64, extension: usize) -> Vec<u8> {
        let vote = bare_vote(2, height).message(4, &block()).message(5, &time());
        let request = vote_request(&vote.bytes(9, &vec![7; extension]));
        Pb::new().message(3, &request.int(3, 1)).0
    }
    const UNEXPECTED: Expect = Says("unexpected vote extension");
    let m = Message::new;
    vec![
        m("an extension on a prevote", UNEXPECTED, |height| {
            vote(height, |vote| vote.bytes(9, b"extension"))
        }),
        m("an extension on a nil precommit", UNEXPECTED, |height| {
            ask_vote(&bare_vote(2, height).message(5, &time()).bytes(9, b"extension"))
        }),
        m("an extension without replay protection", Says("replay protection"), |height| {
            let vote = bare_vote(2, height).message(4, &block()).message(5, &time());
            ask_vote(&vote.bytes(11, b"extension"))
        }),
        m(
            "an extension that is not to be signed",
            Signed(|height| prevote_with(height, |vote| vote.kind = VoteKind::Precommit)),
            |height| precommit(height, 100),
        ),
        m("an extension of 2 MiB", Harmless, |height| {
            let vote = bare_vote(2, height).message(4, &block()).message(5, &time());
            ask_vote(&vote.bytes(9, &vec![7; 2 << 20]))
        }),
    ]
}
