use ed25519_dalek::{Signer as _, SigningKey};
use proptest::prelude::*;

use super::super::fixtures::{
    BLOCK, GO_ZERO_TIME, TIME, any_fields, bytes, chain, precommit, proposal,
};
use super::*;

const CHAIN_HEX: &str = "746573742d636861696e2d31";

fn signature(sign_bytes: &[u8]) -> String {
    let seed: [u8; 32] = std::array::from_fn(|position| position as u8);
    hex::encode(SigningKey::from_bytes(&seed).sign(sign_bytes).to_bytes())
}

fn nil_prevote(timestamp: Timestamp) -> Fields {
    Fields::Vote(Vote {
        kind: VoteKind::Prevote,
        height: Height::new(1).unwrap(),
        round: Round::new(0).unwrap(),
        block_id: None,
        timestamp,
    })
}

#[test]
fn a_precommit_has_the_bytes_and_signature_of_cometbft() {
    let expected =
        ["7608021139300000000000001902000000000000002248", BLOCK, "2a08", TIME, "320c", CHAIN_HEX];
    let written = sign_bytes(&chain(), &precommit());
    assert_eq!(written, bytes(&expected));
    assert_eq!(
        signature(&written),
        "80adf786f2d5c050058891c944552ba657123ae0fd15e0db1837dfdbfe95634845a79a07e4782215c45b48ba9c76\
         a3de05e5e605da87d954e2b027d725ddb70b"
    );
}

#[test]
fn an_extension_has_the_bytes_and_signature_of_cometbft() {
    let (height, round) = (Height::new(12345).unwrap(), Round::new(2).unwrap());
    let written = extension_sign_bytes(&chain(), height, round, b"ext");
    let expected = "250a03657874113930000000000000190200000000000000220c746573742d636861696e2d31";
    assert_eq!(hex::encode(&written), expected);
    assert_eq!(
        signature(&written),
        "5fcdcc1ffca854089422509413ef0f15e78c0855ac588297f66107f4c2ba139dba46fffb8300e1b60d01539ea5e1\
         733d75ebc72286539bd66f71349917571202"
    );
}

#[test]
fn an_empty_extension_in_round_0_leaves_both_out() {
    let (height, round) = (Height::new(12345).unwrap(), Round::new(0).unwrap());
    let written = extension_sign_bytes(&chain(), height, round, &[]);
    assert_eq!(hex::encode(written), "17113930000000000000220c746573742d636861696e2d31");
}

#[test]
fn a_nil_prevote_at_the_epoch_keeps_its_empty_timestamp() {
    let written = sign_bytes(&chain(), &nil_prevote(Timestamp::new(0, 0).unwrap()));
    assert_eq!(hex::encode(written), "1b08011101000000000000002a00320c746573742d636861696e2d31");
}

#[test]
fn gos_zero_time_is_written_out() {
    let written = sign_bytes(&chain(), &nil_prevote(Timestamp::GO_ZERO));
    let expected = ["260801110100000000000000", "2a0b", GO_ZERO_TIME, "320c", CHAIN_HEX];
    assert_eq!(written, bytes(&expected));
}

#[test]
fn a_proposal_writes_its_proof_of_lock_round_in_ten_bytes_if_there_is_none() {
    let head = "780820113930000000000000";
    let expected = [head, "20ffffffffffffffffff012a48", BLOCK, "3208", TIME, "3a0c", CHAIN_HEX];
    assert_eq!(sign_bytes(&chain(), &proposal(0, -1)), bytes(&expected));
    let head = "760820113930000000000000";
    let expected = [head, "1901000000000000002a48", BLOCK, "3208", TIME, "3a0c", CHAIN_HEX];
    assert_eq!(sign_bytes(&chain(), &proposal(1, 0)), bytes(&expected));
}

#[test]
fn an_empty_block_id_is_nil() {
    let empty = Some(BlockId { hash: None, parts_total: 0, parts_hash: None });
    let Fields::Vote(vote) = precommit() else { panic!("a vote") };
    let empty = Fields::Vote(Vote { block_id: empty, ..vote.clone() });
    let nil = Fields::Vote(Vote { block_id: None, ..vote });
    assert_eq!(sign_bytes(&chain(), &empty), sign_bytes(&chain(), &nil));
    assert_eq!(empty.block_id(), None);
    assert!(!empty.may_carry_extension());
    assert_eq!(BlockId::new(None, 0, None), None);
    assert!(BlockId::new(None, 1, None).is_some());
}

#[test]
fn reads_only_what_it_would_write() {
    let refused = |hex: &[&str]| parse_sign_bytes(&bytes(hex)).unwrap_err();
    // The empty vote of CometBFT's own tests: no type, no chain.
    assert_eq!(refused(&["0d2a0b", GO_ZERO_TIME]), CanonicalError::Type(0));
    assert_eq!(refused(&[""]), CanonicalError::Malformed);
    assert_eq!(refused(&["05"]), CanonicalError::Malformed);
    // A written-out zero round, a repeated height, an empty block id, a padded length.
    let tail = "2a00320c746573742d636861696e2d31";
    for (length, middle) in
        [("24", "190000000000000000"), ("24", "110100000000000000"), ("1f", "22021200")]
    {
        let read = refused(&[length, "0801110100000000000000", middle, tail]);
        assert_eq!(read, CanonicalError::NotCanonical, "{middle}");
    }
    assert_eq!(refused(&["9b00", "0801110100000000000000", tail]), CanonicalError::NotCanonical);
    // A hash of three bytes, a negative height, an unknown field.
    assert_eq!(
        refused(&["20", "0801110100000000000000", "22030a01aa", tail]),
        CanonicalError::HashLength(1)
    );
    assert_eq!(
        refused(&["1b", "080111ffffffffffffffff", tail]),
        CanonicalError::Hrs(HrsError::NegativeHeight(-1))
    );
    assert_eq!(refused(&["1d", "0801110100000000000000", "4801", tail]), CanonicalError::Malformed);
}

proptest! {
    #[test]
    fn reads_back_what_it_wrote(fields in any_fields()) {
        let written = sign_bytes(&chain(), &fields);
        prop_assert_eq!(parse_sign_bytes(&written), Ok((chain(), fields)));
    }

    #[test]
    fn different_fields_have_different_bytes(one in any_fields(), other in any_fields()) {
        let same_bytes = sign_bytes(&chain(), &one) == sign_bytes(&chain(), &other);
        prop_assert_eq!(same_bytes, one == other);
    }

    #[test]
    fn reads_any_bytes_without_panic(
        fields in any_fields(),
        noise in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        random in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let _ = parse_sign_bytes(&random);
        let mut damaged = sign_bytes(&chain(), &fields);
        for (position, byte) in noise {
            let position = position.index(damaged.len());
            damaged[position] = byte;
        }
        if let Ok((chain, fields)) = parse_sign_bytes(&damaged) {
            prop_assert_eq!(sign_bytes(&chain, &fields), damaged);
        }
    }
}
