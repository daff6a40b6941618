//! The bytes of a slot.

use sha2::{Digest as _, Sha256};

use super::slot::{SLOT_BYTES, Stored, Unreadable, decode, encode};
use super::{Fault, Mark, Record};
use crate::privval::{BlockId, Fields, Proposal, Vote, VoteKind, sign_bytes};
use crate::types::{ChainId, Height, KeyId, Round, Timestamp, UnixMillis};

const AT: UnixMillis = UnixMillis(1_704_164_645_000);

fn stored(chain: &str, key: [u8; 32], seq: u64, record: Record) -> Stored {
    let chain = ChainId::new(chain).unwrap();
    Stored { chain, key: KeyId::from_bytes(key), seq, record }
}

/// The precommit of round 2 whose sign bytes CometBFT v0.38.25 made.
fn precommit() -> Fields {
    Fields::Vote(Vote {
        kind: VoteKind::Precommit,
        height: Height::new(12_345).unwrap(),
        round: Round::new(2).unwrap(),
        block_id: Some(BlockId {
            hash: Some([0xaa; 32]),
            parts_total: 7,
            parts_hash: Some([0xbb; 32]),
        }),
        timestamp: Timestamp::new(1_704_164_645, 6).unwrap(),
    })
}

fn signed() -> Stored {
    let record = Record::from_parts(Some(Mark::signed(precommit())), AT, 9_999);
    stored("test-chain-1", [0x11; 32], 7, record)
}

/// Hex of the parts of a slot, up to the checksum, which stands at 480.
fn golden(parts: &[&str], checksum: &str) -> Vec<u8> {
    let mut bytes = hex::decode(parts.concat()).unwrap();
    bytes.resize(480, 0);
    bytes.extend(hex::decode(checksum).unwrap());
    bytes.resize(4096, 0);
    bytes
}

fn assert_golden(stored: &Stored, golden: &[u8]) {
    let slot = encode(stored).unwrap();
    assert_eq!(hex::encode(&slot[..512]), hex::encode(&golden[..512]));
    assert_eq!(slot[512..], golden[512..]);
    assert_eq!(decode(golden).as_ref(), Ok(stored));
}

#[test]
fn a_signed_record_has_exactly_these_bytes() {
    let golden = golden(
        &[
            "636f7369676e776d",
            "0001",
            "02",
            "0c",
            "00000000",
            "0000000000000007",
            &"11".repeat(32),
            "746573742d636861696e2d31",
            &"00".repeat(38),
            "03",
            "00",
            "00000002",
            "0000000000003039",
            "0000018cc820d888",
            "000000000000270f",
            "0077",
            "76080211393000000000000019020000000000000022480a20",
            &"aa".repeat(32),
            "122408071220",
            &"bb".repeat(32),
            "2a0808a5facdac061006320c746573742d636861696e2d31",
        ],
        "5ff61fef376711970c7cafaf1317af5b0d9973aff589424d3148c6eaa4364597",
    );
    assert_golden(&signed(), &golden);
}

#[test]
fn a_floor_has_exactly_these_bytes() {
    let golden = golden(
        &[
            "636f7369676e776d",
            "0001",
            "01",
            "32",
            "00000000",
            "0102030405060708",
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            &"78".repeat(50),
            "03",
            "00",
            "7fffffff",
            "0000000001312d00",
            "0000018cc820d888",
            "0000000000002710",
        ],
        "8d9a9246c33d046b4bba660f796a56679780d0a7c73d62608a98ae882c20200c",
    );
    let key = std::array::from_fn(|index| u8::try_from(index).unwrap());
    let record = Record::floor(Height::new(20_000_000).unwrap(), AT);
    assert_golden(&stored(&"x".repeat(50), key, 0x0102_0304_0506_0708, record), &golden);
}

#[test]
fn a_key_that_never_signed_has_exactly_these_bytes() {
    let golden = golden(
        &[
            "636f7369676e776d",
            "0001",
            "00",
            "0c",
            "00000000",
            "0000000000000001",
            &"11".repeat(32),
            "746573742d636861696e2d31",
            &"00".repeat(60),
            "0000000000002710",
        ],
        "12db3e67ca6259a6964f2258b2f298020e64d53577bbf6d21c89e4272cdd8ff6",
    );
    let record = Record::never_signed(UnixMillis(0));
    assert_golden(&stored("test-chain-1", [0x11; 32], 1, record), &golden);
}

#[test]
fn the_longest_record_fits_into_the_first_sector() {
    let proposal = Fields::Proposal(Proposal {
        height: Height::new(i64::MAX).unwrap(),
        round: Round::MAX,
        pol_round: -1,
        block_id: Some(BlockId {
            hash: Some([0xff; 32]),
            parts_total: u32::MAX,
            parts_hash: Some([0xff; 32]),
        }),
        timestamp: Timestamp::new(-62_135_596_800, 999_999_999).unwrap(),
    });
    // 50 bytes of chain id are the most that there can be; the place has 334.
    let chain = ChainId::new("x".repeat(50)).unwrap();
    let longest_bytes = sign_bytes(&chain, &proposal).len();
    assert!(longest_bytes <= 334, "{longest_bytes} bytes");
    let record = Record::at_mark(Mark::signed(proposal), UnixMillis(u64::MAX))
        .with_ceiling(Height::new(i64::MAX).ok());
    let longest = stored(&"x".repeat(50), [0xff; 32], u64::MAX, record);
    let slot = encode(&longest).unwrap();
    assert_eq!(decode(&slot[..512]), Ok(longest));
    assert_eq!(slot[512..], [0; SLOT_BYTES - 512]);
}

#[test]
fn any_changed_byte_of_the_first_sector_is_damage_and_none_after_it() {
    let whole = encode(&signed()).unwrap();
    for index in 0..SLOT_BYTES {
        let mut slot = whole;
        slot[index] ^= 0x01;
        let expected = if index < 512 { Err(Unreadable::Damaged) } else { Ok(signed()) };
        assert_eq!(decode(&slot), expected, "byte {index}");
    }
}

#[test]
fn an_empty_or_short_slot_is_damage() {
    assert_eq!(decode(&[0; SLOT_BYTES]), Err(Unreadable::Damaged));
    assert_eq!(decode(&[0xff; SLOT_BYTES]), Err(Unreadable::Damaged));
    let whole = encode(&signed()).unwrap();
    for length in [0, 8, 479, 480, 511] {
        assert_eq!(decode(&whole[..length]), Err(Unreadable::Damaged), "{length} bytes");
    }
}

/// The slot with some bytes replaced, and a checksum that fits.
fn resealed(at: usize, bytes: &[u8]) -> [u8; SLOT_BYTES] {
    let mut slot = encode(&signed()).unwrap();
    slot[at..at + bytes.len()].copy_from_slice(bytes);
    let sum: [u8; 32] = Sha256::digest(&slot[..480]).into();
    slot[480..512].copy_from_slice(&sum);
    slot
}

#[test]
fn a_whole_slot_of_another_version_is_not_called_damaged() {
    assert_eq!(decode(&resealed(8, &[0, 2])), Err(Unreadable::Version(2)));
    assert_eq!(decode(&resealed(8, &[0, 0])), Err(Unreadable::Version(0)));
    assert_eq!(decode(&resealed(8, &[0, 1])), Ok(signed()));
}

#[test]
fn a_slot_that_contradicts_itself_is_damage_though_its_checksum_fits() {
    let cases: [(&str, usize, &[u8]); 12] = [
        ("magic", 0, b"C"),
        ("kind never signed with a mark", 10, &[0]),
        ("kind unknown with bytes", 10, &[1]),
        ("no such kind", 10, &[3]),
        ("chain id too long", 11, &[51]),
        ("chain id empty", 11, &[0]),
        ("chain id other than in the sign bytes", 56, b"T"),
        ("reserved byte", 12, &[1]),
        ("step other than in the sign bytes", 106, &[2]),
        ("round other than in the sign bytes", 111, &[3]),
        ("height other than in the sign bytes", 119, &[0x3a]),
        ("sign bytes longer than their place", 136, &335_u16.to_be_bytes()),
    ];
    for (what, at, bytes) in cases {
        assert_eq!(decode(&resealed(at, bytes)), Err(Unreadable::Damaged), "{what}");
    }
    assert_eq!(decode(&resealed(471, &[1])), Err(Unreadable::Damaged), "after the sign bytes");
    assert_eq!(decode(&resealed(472, &[0x80])), Err(Unreadable::Damaged), "a negative ceiling");
    let much = decode(&resealed(128, &u64::MAX.to_be_bytes())).unwrap();
    assert_eq!(much.record.credit(), u64::MAX, "how much of it counts is the rule's business");
    let at_last_byte = resealed(472, &335_i64.to_be_bytes());
    assert_eq!(decode(&at_last_byte).unwrap().record.ceiling(), Height::new(335).ok());
}

#[test]
fn a_record_is_carried_elsewhere_as_the_first_sector_of_its_slot() {
    let bytes = signed().to_bytes().unwrap();
    assert_eq!(bytes.as_slice(), &encode(&signed()).unwrap()[..512]);
    assert_eq!(Stored::from_bytes(&bytes), Some(signed()));
    assert_eq!(Stored::from_bytes(&bytes[..511]), None);
    assert_eq!(Stored::from_bytes(&[bytes.as_slice(), &[0]].concat()), None);
}

#[test]
fn a_ceiling_stands_in_the_last_eight_bytes_before_the_checksum() {
    let ceiling = Height::new(0x0102_0304_0506_0708).ok();
    let Stored { record, .. } = signed();
    let capped = Stored { record: record.with_ceiling(ceiling), ..signed() };
    let (with, without) = (encode(&capped).unwrap(), encode(&signed()).unwrap());
    assert_eq!(with[..472], without[..472]);
    assert_eq!(with[472..480], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(without[472..480], [0; 8], "no ceiling");
    assert_eq!(decode(&with), Ok(capped));
    for record in [Record::never_signed(AT), Record::floor(Height::new(9).unwrap(), AT)] {
        let capped = stored("x", [0; 32], 1, record.with_ceiling(ceiling));
        assert_eq!(decode(&encode(&capped).unwrap()), Ok(capped));
    }
    // Zero stands for none, so it is never written for a ceiling.
    let zero = stored("x", [0; 32], 1, Record::never_signed(AT).with_ceiling(Height::new(0).ok()));
    assert!(matches!(encode(&zero), Err(Fault::CeilingZero)));
}
