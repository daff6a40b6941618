//! The rule as truth tables, and over random requests.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::rule::MAX_CREDIT;
use super::rule::decide as decide_within;
use super::{Decision, Denial, JumpLimit, Mark, Record};
use crate::privval::{BlockId, Fields, Kind, Proposal, Vote, VoteKind, sign_bytes};
use crate::types::{ChainId, Height, Hrs, Round, Step, Timestamp, UnixMillis};

const KINDS: [Kind; 3] = [Kind::Proposal, Kind::Prevote, Kind::Precommit];
const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

/// Under the limit of a chain that says nothing about it.
fn decide(
    recorded: &Record,
    chain: &ChainId,
    asked: &Fields,
    now: UnixMillis,
) -> Result<Decision, Denial> {
    decide_within(recorded, chain, asked, now, JumpLimit::default())
}

fn chain() -> ChainId {
    ChainId::new("test-chain-1").unwrap()
}

fn height(number: i64) -> Height {
    Height::new(number).unwrap()
}

fn round(number: i32) -> Round {
    Round::new(number).unwrap()
}

fn block(byte: u8) -> BlockId {
    BlockId { hash: Some([byte; 32]), parts_total: 7, parts_hash: Some([0xbb; 32]) }
}

fn fields(kind: Kind, h: i64, r: i32, block_id: Option<BlockId>) -> Fields {
    let (height, round, timestamp) = (height(h), round(r), Timestamp::new(100, 6).unwrap());
    let vote = |kind| Vote { kind, height, round, block_id: block_id.clone(), timestamp };
    match kind {
        Kind::Prevote => Fields::Vote(vote(VoteKind::Prevote)),
        Kind::Precommit => Fields::Vote(vote(VoteKind::Precommit)),
        Kind::Proposal => {
            Fields::Proposal(Proposal { height, round, pol_round: -1, block_id, timestamp })
        }
    }
}

fn later(fields: &Fields) -> Fields {
    fields.with_timestamp(Timestamp::new(100, 7).unwrap())
}

fn signed(fields: &Fields) -> Record {
    Record::at_mark(Mark::signed(fields.clone()), NOW)
}

fn unknown(hrs: Hrs) -> Record {
    Record::at_mark(Mark::bytes_unknown(hrs), NOW)
}

/// The word for what the rule said, and a check that it carries both sides.
fn ruling(recorded: &Record, asked: &Fields) -> &'static str {
    let last = recorded.hrs().unwrap();
    let hrs = asked.hrs();
    match decide(recorded, &chain(), asked, NOW) {
        Ok(Decision::Advance(next)) => {
            assert_eq!(next.mark(), Some(&Mark::signed(asked.clone())));
            "advance"
        }
        Ok(Decision::Again) => "again",
        Err(denial) => {
            let expected = match &denial {
                Denial::HeightRegression { .. } => {
                    Denial::HeightRegression { asked: hrs.height, recorded: last.height }
                }
                Denial::RoundRegression { .. } => Denial::RoundRegression {
                    height: hrs.height,
                    asked: hrs.round,
                    recorded: last.round,
                },
                Denial::StepRegression { .. } => Denial::StepRegression {
                    height: hrs.height,
                    round: hrs.round,
                    asked: hrs.step,
                    recorded: last.step,
                },
                Denial::ConflictingData { .. } => {
                    let fields = recorded.mark().unwrap().fields().unwrap();
                    Denial::ConflictingData { hrs, recorded: sign_bytes(&chain(), fields) }
                }
                Denial::BytesUnknown { .. } => Denial::BytesUnknown { hrs },
                other => panic!("{other:?}"),
            };
            assert_eq!(denial, expected);
            denial.reason()
        }
    }
}

#[test]
fn rules_on_every_pair_of_steps_at_every_relation_of_height_and_round() {
    // By height lower, equal, higher; in each by round lower, equal, higher. "=" is looked up below.
    const BY_HEIGHT_AND_ROUND: [[&str; 3]; 3] = [
        ["height_regression", "height_regression", "height_regression"],
        ["round_regression", "=", "advance"],
        ["advance", "advance", "advance"],
    ];
    // By recorded step; in each by step asked: propose, prevote, precommit.
    const BY_STEP: [[&str; 3]; 3] = [
        ["again", "advance", "advance"],
        ["step_regression", "again", "advance"],
        ["step_regression", "step_regression", "again"],
    ];
    for (recorded_kind, by_step) in KINDS.into_iter().zip(BY_STEP) {
        for (asked_kind, at_equal) in KINDS.into_iter().zip(by_step) {
            for (h, by_round) in (9..).zip(BY_HEIGHT_AND_ROUND) {
                for (r, word) in (4..).zip(by_round) {
                    for content in [None, Some(block(0xaa))] {
                        let last = fields(recorded_kind, 10, 5, content.clone());
                        let asked = fields(asked_kind, h, r, content);
                        let expected = if word == "=" { at_equal } else { word };
                        let case = format!("{} after {}", asked.hrs(), last.hrs());
                        assert_eq!(ruling(&signed(&last), &asked), expected, "{case}");
                        // Content matters at the very same step only, and there it must be known.
                        let unknown = ruling(&unknown(last.hrs()), &asked);
                        let expected = if expected == "again" { "bytes_unknown" } else { expected };
                        assert_eq!(unknown, expected, "{case}, bytes unknown");
                    }
                }
            }
        }
    }
}

#[test]
fn says_again_only_to_the_same_content_at_the_same_step() {
    let base = block(0xaa);
    let others = [
        ("nil", None),
        ("other hash", Some(BlockId { hash: Some([0xab; 32]), ..base.clone() })),
        ("no hash", Some(BlockId { hash: None, ..base.clone() })),
        ("other parts total", Some(BlockId { parts_total: 8, ..base.clone() })),
        ("other parts hash", Some(BlockId { parts_hash: Some([0xbc; 32]), ..base.clone() })),
        ("no parts hash", Some(BlockId { parts_hash: None, ..base.clone() })),
    ];
    for kind in KINDS {
        let same_with_time = if kind == Kind::Proposal { "conflicting_data" } else { "again" };
        for recorded in [None, Some(base.clone())] {
            let recorded = fields(kind, 10, 5, recorded);
            assert_eq!(ruling(&signed(&recorded), &recorded), "again", "{kind}");
            assert_eq!(ruling(&signed(&recorded), &later(&recorded)), same_with_time, "{kind}");
        }
        let recorded = fields(kind, 10, 5, Some(base.clone()));
        for (what, other) in &others {
            let other = fields(kind, 10, 5, other.clone());
            for (recorded, asked) in [(&recorded, &other), (&other, &recorded)] {
                assert_eq!(ruling(&signed(recorded), asked), "conflicting_data", "{kind} {what}");
                let asked = later(asked);
                assert_eq!(ruling(&signed(recorded), &asked), "conflicting_data", "{kind} {what}");
            }
        }
    }
}

#[test]
fn says_no_to_a_proposal_with_another_proof_of_lock() {
    let proposal = fields(Kind::Proposal, 10, 5, Some(block(0xaa)));
    let Fields::Proposal(mut other) = proposal.clone() else { panic!("a proposal") };
    other.pol_round = 4;
    assert_eq!(ruling(&signed(&proposal), &Fields::Proposal(other)), "conflicting_data");
}

#[test]
fn says_no_in_the_words_of_cometbft() {
    let last = signed(&fields(Kind::Prevote, 10, 5, None));
    let no = |kind, h, r, content| {
        decide(&last, &chain(), &fields(kind, h, r, content), NOW).unwrap_err().to_string()
    };
    assert_eq!(no(Kind::Precommit, 9, 6, None), "height regression. Got 9, last height 10");
    assert_eq!(
        no(Kind::Precommit, 10, 4, None),
        "round regression at height 10. Got 4, last round 5"
    );
    assert_eq!(
        no(Kind::Proposal, 10, 5, None),
        "step regression at height 10 round 5. Got 1, last step 2"
    );
    assert_eq!(no(Kind::Prevote, 10, 5, Some(block(1))), "conflicting data");
    let floor = Record::floor(height(10), NOW);
    let at_floor = fields(Kind::Precommit, 10, i32::MAX, None);
    let denial = decide(&floor, &chain(), &at_floor, NOW).unwrap_err();
    assert_eq!(denial.to_string(), "no SignBytes found");
}

#[test]
fn above_the_ceiling_everything_is_denied_whatever_is_recorded() {
    let block_id = || Some(block(0xaa));
    let (below, above) = (height(10), height(11));
    for kind in KINDS {
        let asked = fields(kind, 11, 0, block_id());
        let records = [
            ("never signed", Record::never_signed(NOW)),
            ("below the ceiling", signed(&prevote(5))),
            ("at the ceiling", Record::floor(below, NOW)),
            ("this very content", signed(&asked)),
            ("other content", signed(&fields(kind, 11, 0, None))),
            ("unknown content", unknown(asked.hrs())),
            ("far above the ceiling", Record::floor(height(5_000), NOW)),
        ];
        for (what, record) in records {
            let record = record.with_ceiling(Some(below));
            let denial = decide(&record, &chain(), &asked, NOW).unwrap_err();
            assert_eq!(denial, Denial::CeilingReached { asked: above, ceiling: below }, "{what}");
            assert_eq!(denial.reason(), "ceiling_reached");
        }
    }
    let text = Denial::CeilingReached { asked: above, ceiling: below }.to_string();
    for word in ["11", "ceiling 10", "cosigner state ceiling --clear"] {
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn at_and_below_the_ceiling_the_rule_is_the_same_and_the_ceiling_stays() {
    let mut record = Record::never_signed(NOW).with_ceiling(Some(height(10)));
    for (h, r) in [(9, 0), (10, 0), (10, i32::MAX)] {
        for kind in KINDS {
            let asked = fields(kind, h, r, None);
            record = advance(&record, &asked, NOW);
            assert_eq!(record.ceiling(), Some(height(10)), "a signature never changes it");
            assert_eq!(decide(&record, &chain(), &asked, NOW), Ok(Decision::Again));
        }
    }
    assert_eq!(ruling(&record, &prevote(9)), "height_regression");
    let cleared = record.with_ceiling(None);
    assert_eq!(advance(&cleared, &prevote(11), NOW).ceiling(), None);
    // A ceiling below the watermark: nothing at all.
    let buried = signed(&prevote(20)).with_ceiling(Some(height(10)));
    assert_eq!(ruling(&buried, &prevote(10)), "height_regression");
    assert!(decide(&buried, &chain(), &prevote(20), NOW).is_err());
}

#[test]
fn a_floor_covers_its_height_in_every_round() {
    let floor = Record::floor(height(10), NOW);
    for kind in KINDS {
        for r in [0, 1, i32::MAX - 1] {
            let asked = fields(kind, 10, r, Some(block(1)));
            assert_eq!(ruling(&floor, &asked), "round_regression");
        }
        assert_eq!(ruling(&floor, &fields(kind, 9, i32::MAX, None)), "height_regression");
        assert_eq!(ruling(&floor, &fields(kind, 11, 0, None)), "advance");
    }
}

fn advance(recorded: &Record, asked: &Fields, now: UnixMillis) -> Record {
    match decide(recorded, &chain(), asked, now) {
        Ok(Decision::Advance(next)) => *next,
        other => panic!("{other:?}"),
    }
}

fn prevote(h: i64) -> Fields {
    fields(Kind::Prevote, h, 0, None)
}

#[test]
fn the_first_signature_may_be_at_any_height() {
    for h in [0, 1, 20_000_000, i64::MAX] {
        let next = advance(&Record::never_signed(NOW), &prevote(h), NOW);
        assert_eq!(next.hrs(), Some(prevote(h).hrs()));
        assert_eq!((next.credit(), next.at()), (MAX_CREDIT, NOW));
    }
}

fn jump(recorded: &Record, asked: i64, now: UnixMillis) -> Option<i64> {
    match decide(recorded, &chain(), &prevote(asked), now) {
        Ok(_) => None,
        Err(Denial::HeightJump { asked: a, recorded: r, allowed }) => {
            assert_eq!((a, Some(r)), (height(asked), recorded.hrs().map(|hrs| hrs.height)));
            Some(allowed.get())
        }
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_jump_spends_credit_and_time_earns_twenty_heights_a_second() {
    for record in [signed(&prevote(100)), Record::floor(height(100), NOW)] {
        assert_eq!(jump(&record, 10_100, NOW), None);
        assert_eq!(jump(&record, 10_101, NOW), Some(10_100));
        let spent = advance(&record, &prevote(10_100), NOW);
        assert_eq!(spent.credit(), 0);
        assert_eq!(jump(&spent, 10_101, NOW), Some(10_100));
        assert_eq!(jump(&spent, 10_101, UnixMillis(NOW.0 + 49)), Some(10_100));
        assert_eq!(jump(&spent, 10_101, UnixMillis(NOW.0 + 50)), None);
        let in_a_minute = UnixMillis(NOW.0 + 60_000);
        assert_eq!(jump(&spent, 11_301, in_a_minute), Some(11_300));
        let risen = advance(&spent, &prevote(10_200), in_a_minute);
        assert_eq!((risen.credit(), risen.at()), (1_100, in_a_minute));
    }
}

#[test]
fn a_day_away_allows_a_day_of_heights_but_saves_up_no_more_than_the_cap() {
    let record = signed(&prevote(100));
    let tomorrow = UnixMillis(NOW.0 + 86_400_000);
    assert_eq!(jump(&record, 100 + 10_000 + 1_728_000, tomorrow), None);
    assert_eq!(jump(&record, 100 + 10_000 + 1_728_001, tomorrow), Some(1_738_100));
    assert_eq!(advance(&record, &prevote(101), tomorrow).credit(), MAX_CREDIT);
}

#[test]
fn steps_of_one_height_earn_and_spend_like_any_other() {
    let record = advance(&signed(&prevote(1)), &prevote(5_001), NOW);
    assert_eq!(record.credit(), 5_000);
    let precommit = fields(Kind::Precommit, 5_001, 0, None);
    let record = advance(&record, &precommit, UnixMillis(NOW.0 + 1_000));
    assert_eq!(record.credit(), 5_020);
}

#[test]
fn short_steps_lose_no_credit_to_rounding() {
    let mut record = advance(&signed(&prevote(0)), &prevote(9_000), NOW);
    let mut now = NOW;
    // 18 heights a second in three steps of 18 ms each: below what time earns.
    for h in 9_001..12_000 {
        for kind in KINDS {
            now.0 += 18;
            record = advance(&record, &fields(kind, h, 0, None), now);
            assert!(now.0 - record.at().0 < 50);
        }
    }
    assert!(record.credit() > 1_000, "{}", record.credit());
}

#[test]
fn a_clock_that_went_back_earns_nothing_and_takes_nothing() {
    let record = advance(&signed(&prevote(0)), &prevote(9_900), NOW);
    let earlier = UnixMillis(NOW.0 - 3_600_000);
    assert_eq!(jump(&record, 10_000, earlier), None);
    assert_eq!(jump(&record, 10_001, earlier), Some(10_000));
    let next = advance(&record, &prevote(9_901), earlier);
    assert_eq!((next.credit(), next.at()), (99, earlier));
    assert_eq!(advance(&record, &prevote(9_901), UnixMillis(0)).at(), UnixMillis(0));
}

#[test]
fn the_ends_of_the_numbers_neither_wrap_nor_panic() {
    let (start, end) = (UnixMillis(0), UnixMillis(u64::MAX));
    let zero = Record::at_mark(Mark::signed(prevote(0)), start);
    assert_eq!(jump(&zero, i64::MAX, start), Some(10_000));
    let earned = i64::try_from(u64::MAX / 50 + 10_000).unwrap();
    assert_eq!(jump(&zero, i64::MAX, end), Some(earned));
    let top = Record::at_mark(Mark::signed(prevote(i64::MAX - 1)), start);
    assert_eq!(jump(&top, i64::MAX, end), None);
    let top = advance(&top, &prevote(i64::MAX), end);
    assert_eq!(top.credit(), MAX_CREDIT);
    assert_eq!(ruling(&top, &fields(Kind::Precommit, i64::MAX, i32::MAX, None)), "advance");
    assert_eq!(ruling(&top, &prevote(0)), "height_regression");
    let near_top = advance(&signed(&prevote(i64::MAX - 20_000)), &prevote(i64::MAX - 10_001), NOW);
    assert_eq!(jump(&near_top, i64::MAX, UnixMillis(NOW.0)), Some(i64::MAX - 10_001 + 1));
}

fn within(limit: JumpLimit, recorded: &Record, asked: i64, now: UnixMillis) -> Option<Record> {
    match decide_within(recorded, &chain(), &prevote(asked), now, limit) {
        Ok(Decision::Advance(next)) => Some(*next),
        Err(Denial::HeightJump { .. }) => None,
        other => panic!("{other:?}"),
    }
}

fn after(seconds: u64) -> UnixMillis {
    UnixMillis(NOW.0 + seconds * 1000)
}

#[test]
fn a_chain_s_own_limit_counts_instead_of_the_default() {
    let limit = JumpLimit { most: 100, per_second: 3 };
    let first = within(limit, &Record::never_signed(NOW), 1_000, NOW).unwrap();
    assert_eq!(first.credit(), 100, "what a key has after its first signature");
    assert!(within(limit, &first, 1_101, NOW).is_none());
    assert_eq!(within(limit, &first, 1_100, NOW).unwrap().credit(), 0);
    assert!(within(limit, &first, 1_131, after(10)).is_none());
    assert!(within(limit, &first, 1_130, after(10)).is_some());
    let more = JumpLimit { most: 50_000, per_second: 1 };
    let first = within(more, &Record::never_signed(NOW), 1, NOW).unwrap();
    assert!(within(more, &first, 50_001, NOW).is_some());
    assert!(within(more, &first, 50_002, NOW).is_none());
}

#[test]
fn credit_that_was_saved_under_a_higher_limit_is_cut() {
    let limit = JumpLimit { most: 10, per_second: 20 };
    let record = Record::from_parts(Some(Mark::signed(prevote(100))), NOW, u64::MAX);
    assert!(within(limit, &record, 111, NOW).is_none());
    assert_eq!(within(limit, &record, 105, NOW).unwrap().credit(), 5);
}

#[test]
fn without_savings_only_the_time_since_the_last_signature_counts() {
    let limit = JumpLimit { most: 0, per_second: 2 };
    let mut record = within(limit, &Record::never_signed(NOW), 100, NOW).unwrap();
    assert!(within(limit, &record, 101, NOW).is_none());
    // A chain with a block a second goes on for ever, and after an outage as well.
    for second in 1..1_000 {
        let height = 100 + i64::try_from(second).unwrap();
        record = within(limit, &record, height, after(second)).unwrap();
        assert_eq!(record.credit(), 0);
    }
    assert!(within(limit, &record, 2_000, after(1_999)).is_some());
}

#[test]
fn where_time_earns_nothing_the_savings_are_all_there_is() {
    let limit = JumpLimit { most: 2, per_second: 0 };
    let first = within(limit, &Record::never_signed(NOW), 100, NOW).unwrap();
    let next = within(limit, &first, 102, after(86_400)).unwrap();
    assert_eq!((next.credit(), next.at()), (0, after(86_400)));
    assert!(within(limit, &next, 103, after(1_000_000)).is_none());
    let none = JumpLimit { most: 0, per_second: 0 };
    assert!(within(none, &first, 101, after(9)).is_none());
    let precommit = fields(Kind::Precommit, 100, 0, None);
    assert!(decide_within(&first, &chain(), &precommit, NOW, none).is_ok(), "no rise, no jump");
}

#[test]
fn the_fastest_and_the_slowest_earning_neither_wrap_nor_panic() {
    let start = Record::at_mark(Mark::signed(prevote(0)), UnixMillis(0));
    let fast = JumpLimit { most: u64::MAX, per_second: u32::MAX };
    let next = within(fast, &start, i64::MAX, UnixMillis(u64::MAX)).unwrap();
    assert_eq!(next.at(), UnixMillis(u64::MAX));
    let slow = JumpLimit { most: 0, per_second: 1 };
    assert!(within(slow, &start, 1, UnixMillis(999)).is_none());
    assert_eq!(within(slow, &start, 1, UnixMillis(1_999)).unwrap().at(), UnixMillis(1_000));
}

/// What makes two requests at one height, round and step the same.
fn content(fields: &Fields) -> Fields {
    match fields {
        Fields::Vote(_) => fields.with_timestamp(Timestamp::GO_ZERO),
        Fields::Proposal(_) => fields.clone(),
    }
}

fn any_request() -> impl Strategy<Value = Fields> {
    let heights = prop_oneof![8 => 1..4_i64, 1 => 9_990..10_020_i64, 1 => Just(i64::MAX)];
    (heights, 0..3_i32, 0..3_usize, 0..4_u8, 0..2_i32).prop_map(|(h, r, kind, block_id, nanos)| {
        let block_id = Some(block(block_id)).filter(|_| block_id > 0);
        fields(KINDS[kind], h, r, block_id).with_timestamp(Timestamp::new(7, nanos).unwrap())
    })
}

proptest! {
    /// I1 and I2.
    #[test]
    fn over_any_requests_a_record_never_goes_down_and_one_content_is_allowed_per_step(
        requests in proptest::collection::vec((any_request(), 0..2_000_000_u64), 1..60),
        start in prop_oneof![
            Just(Record::never_signed(NOW)),
            Just(Record::floor(height(1), NOW)),
            Just(unknown(Hrs { height: height(2), round: round(1), step: Step::Prevote })),
        ],
        ceiling in proptest::option::of(1..10_010_i64),
    ) {
        let ceiling = ceiling.map(height);
        let start = start.with_ceiling(ceiling);
        let floor = start.hrs();
        let mut record = start;
        let mut allowed: BTreeMap<Hrs, Fields> = BTreeMap::new();
        for (asked, clock) in requests {
            let before = record.hrs();
            match decide(&record, &chain(), &asked, UnixMillis(NOW.0 - 1_000_000 + clock)) {
                Ok(Decision::Advance(next)) => {
                    record = *next;
                    prop_assert!(record.hrs() > before);
                    prop_assert_eq!(record.hrs(), Some(asked.hrs()));
                }
                Ok(Decision::Again) => prop_assert_eq!(before, Some(asked.hrs())),
                Err(_) => continue,
            }
            prop_assert!(Some(asked.hrs()) > floor);
            prop_assert!(ceiling.is_none_or(|ceiling| asked.hrs().height <= ceiling));
            prop_assert_eq!(record.ceiling(), ceiling);
            let first = allowed.entry(asked.hrs()).or_insert_with(|| content(&asked));
            prop_assert_eq!(&content(&asked), &*first);
        }
    }

    /// Whatever the limit, the clock and the file say.
    #[test]
    fn over_any_limits_credit_is_never_above_the_most_and_no_rise_exceeds_what_there_was(
        most in prop_oneof![Just(0), 1..50_u64, 9_000..20_000_u64, Just(1 << 60)],
        per_second in prop_oneof![Just(0), 1..100_u32, Just(u32::MAX)],
        credit in prop_oneof![Just(0), 0..20_000_u64, Just(u64::MAX)],
        steps in proptest::collection::vec((0..30_000_i64, 0..4_000_000_u64), 1..40),
    ) {
        let limit = JumpLimit { most, per_second };
        let mut record = Record::from_parts(Some(Mark::signed(prevote(1))), NOW, credit);
        for (rise, clock) in steps {
            let now = UnixMillis(NOW.0 - 1_000_000 + clock);
            let before = record.hrs().unwrap().height.get();
            let elapsed = u128::from(now.0.saturating_sub(record.at().0));
            let earned = elapsed * u128::from(per_second) / 1000;
            let saved = record.credit().min(most);
            let available = u128::from(saved) + earned;
            let asked = before.saturating_add(rise);
            let precommit = fields(Kind::Precommit, asked, 0, None);
            match decide_within(&record, &chain(), &precommit, now, limit) {
                Ok(Decision::Advance(next)) => {
                    prop_assert!(u128::try_from(rise).unwrap() <= available);
                    let left = available - u128::try_from(rise).unwrap();
                    prop_assert_eq!(u128::from(next.credit()), left.min(u128::from(most)));
                    prop_assert!(next.at() <= now);
                    record = *next;
                }
                Ok(Decision::Again) => prop_assert_eq!(rise, 0),
                Err(Denial::HeightJump { allowed, .. }) => {
                    prop_assert!(u128::try_from(rise).unwrap() > available);
                    prop_assert!(allowed.get() >= before && allowed.get() < asked);
                }
                Err(_) => prop_assert_eq!(rise, 0),
            }
        }
    }
}
