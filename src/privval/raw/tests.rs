//! What is let pass as raw bytes, and what never is.

use proptest::prelude::*;
use prost::encoding::{decode_varint, encode_varint};

use super::*;
use crate::privval::fixtures::{any_fields, precommit};
use crate::privval::{extension_sign_bytes, sign_bytes};

const V1: Dialect = Dialect {
    version: super::super::Version::V1,
    non_rp_extensions: false,
    raw_bytes: RawBytes::SignBytes,
};
const CELESTIA: Dialect = Dialect { raw_bytes: RawBytes::Celestia, ..V1 };
const V2: Dialect = Dialect { version: super::super::Version::V2, non_rp_extensions: true, ..V1 };

fn chain() -> ChainId {
    ChainId::new("test-chain-1").unwrap()
}

fn plain(bytes: &[u8]) -> Result<RawAllowed, RawRefused> {
    RawAllowed::new(&chain(), &V1, &RawMessage::Plain(bytes.to_vec()))
}

#[test]
fn refuses_each_form_that_the_chain_has_not_turned_on() {
    let message = RawMessage::Plain(b"hello, world".to_vec());
    let off = RawAllowed::new(&chain(), &Dialect::default(), &message);
    assert_eq!(off, Err(RawRefused::Off { configured: RawBytes::Off }));
    let other = RawAllowed::new(&chain(), &CELESTIA, &message);
    assert_eq!(other, Err(RawRefused::Off { configured: RawBytes::Celestia }));
    assert_eq!(plain(b"hello, world").unwrap().as_bytes(), b"hello, world");
    let refused = RawAllowed::non_rp_extension(&V1, &Bytes::from_static(b"hello, world"));
    assert_eq!(refused, Err(RawRefused::NonRpExtensions));
}

#[test]
fn an_empty_extension_without_replay_protection_is_allowed_and_nothing_that_consensus_signs() {
    let allowed = RawAllowed::non_rp_extension(&V2, &Bytes::new()).unwrap();
    assert_eq!(allowed.as_bytes(), b"");
    // The shortest that consensus could sign is one byte: the length of nothing.
    let refused = RawAllowed::non_rp_extension(&V2, &Bytes::from_static(&[0]));
    assert_eq!(refused, Err(RawRefused::Consensus("canonical vote")));
    let elsewhere = Bytes::from_static(b"COMET::RAW_BYTES::SIGN anything");
    let refused = RawAllowed::non_rp_extension(&V2, &elsewhere);
    assert_eq!(refused, Err(RawRefused::CelestiaPrefix));
}

#[test]
fn builds_celestias_bytes_itself() {
    let (raw_bytes, unique_id) = (b"data".to_vec(), "job".to_owned());
    let message = RawMessage::Celestia { raw_bytes, unique_id };
    let allowed = RawAllowed::new(&chain(), &CELESTIA, &message).unwrap();
    let expected = b"COMET::RAW_BYTES::SIGN\x19\x0a\x0ctest-chain-1\x12\x04data\x1a\x03job";
    assert_eq!(allowed.as_bytes(), expected);
}

#[test]
fn celestias_request_needs_a_name_and_bytes() {
    let refused = |raw_bytes: &[u8], unique_id: &str| {
        let (raw_bytes, unique_id) = (raw_bytes.to_vec(), unique_id.to_owned());
        let message = RawMessage::Celestia { raw_bytes, unique_id };
        RawAllowed::new(&chain(), &CELESTIA, &message).unwrap_err().to_string()
    };
    assert_eq!(refused(b"data", ""), "uniqueID cannot be empty");
    assert_eq!(refused(b"", "job"), "rawBytes cannot be empty");
}

#[test]
fn signs_nothing_in_celestias_name_that_was_not_asked_for_as_celestias() {
    let (raw_bytes, unique_id) = (b"data".to_vec(), "job".to_owned());
    let message = RawMessage::Celestia { raw_bytes, unique_id };
    let allowed = RawAllowed::new(&chain(), &CELESTIA, &message).unwrap();
    assert_eq!(plain(allowed.as_bytes()), Err(RawRefused::CelestiaPrefix));
}

#[test]
fn refuses_a_vote_also_with_foreign_fields_and_long_numbers() {
    let vote = Err(RawRefused::Consensus("canonical vote"));
    // type 1 as a two-byte varint, then field 15 that nobody knows.
    assert_eq!(plain(&[5, 8, 0x81, 0, 0x78, 1]), vote);
    assert_eq!(plain(&[0]), vote);
    // The length with bits beyond the 64th, which Go's generated decoders drop.
    assert_eq!(plain(&[0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2, 8, 1]), vote);
}

#[test]
fn refuses_a_vote_whose_known_fields_have_other_types() {
    // The height as a varint: a decoder may take it for a field that it does not know.
    let other = Err(RawRefused::Consensus("length-delimited protobuf message, as votes are"));
    assert_eq!(plain(&[4, 8, 1, 0x10, 5]), other);
    // A group within a group that is never closed, and a field without a number.
    assert_eq!(plain(&[5, 8, 1, 0x7b, 0x7b, 0x7b]), other);
    assert_eq!(plain(&[4, 8, 1, 0, 1]), other);
}

#[test]
fn lets_pass_what_has_another_length_or_is_no_protobuf() {
    let mut vote = sign_bytes(&chain(), &precommit());
    assert!(plain(&vote).is_err());
    vote.push(0);
    assert!(plain(&vote).is_ok(), "no decoder of sign bytes takes more than its length");
    assert!(plain(b"").is_ok());
    // Wire types 6 and 7 are nobody's, and a length must not lead out of the message.
    for bytes in [&[1, 0x0e][..], &[1, 0x0f], &[3, 0x0a, 9, 0], &[2, 8, 0x80], &[3, 0x09, 0, 0]] {
        assert!(plain(bytes).is_ok(), "{bytes:02x?}");
    }
}

#[test]
fn refuses_more_than_a_mebibyte() {
    let found = MAX_RAW_BYTES + 1;
    assert_eq!(plain(&vec![b'x'; found]), Err(RawRefused::TooLong { found }));
    assert!(plain(&vec![b'x'; MAX_RAW_BYTES]).is_ok());
    let (raw_bytes, unique_id) = (vec![b'x'; MAX_RAW_BYTES], "job".to_owned());
    let message = RawMessage::Celestia { raw_bytes, unique_id };
    let refused = RawAllowed::new(&chain(), &CELESTIA, &message);
    assert!(matches!(refused, Err(RawRefused::TooLong { .. })), "with what is put around it");
}

#[test]
fn debug_shows_no_byte() {
    let message = RawMessage::Plain(b"hello, world".to_vec());
    assert_eq!(format!("{message:?}"), "Plain(12 bytes)");
    assert_eq!(format!("{:?}", plain(b"hello, world").unwrap()), "RawAllowed(12 bytes)");
}

/// A number in so many bytes more than it needs.
fn long_varint(value: u64, more: usize, out: &mut Vec<u8>) {
    let start = out.len();
    encode_varint(value, out);
    for _ in 0..more.min(10 - (out.len() - start)) {
        *out.last_mut().unwrap() |= 0x80;
        out.push(0);
    }
}

/// Field number and type, and what stands behind it: for type 2 without its length.
type Field = (u64, Vec<u8>);

/// The fields of a message.
fn cut(mut body: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !body.is_empty() {
        let tag = decode_varint(&mut body).unwrap();
        let length = match tag & 7 {
            0 => {
                let mut after = body;
                decode_varint(&mut after).unwrap();
                body.len() - after.len()
            }
            1 => 8,
            2 => usize::try_from(decode_varint(&mut body).unwrap()).unwrap(),
            _ => 4,
        };
        fields.push((tag, body[..length].to_vec()));
        body = &body[length..];
    }
    fields
}

/// The message of these fields, with its length in front and each number so much too long.
fn join(fields: &[Field], more: &[usize]) -> Vec<u8> {
    let mut more = more.iter().copied().cycle();
    let mut body = Vec::new();
    for (tag, value) in fields {
        // Longer tags than five bytes are refused by decoders that read them as 32 bits.
        long_varint(*tag, more.next().unwrap() % 4, &mut body);
        if tag & 7 == 2 {
            long_varint(value.len() as u64, more.next().unwrap(), &mut body);
        }
        body.extend_from_slice(value);
    }
    let mut bytes = Vec::new();
    long_varint(body.len() as u64, more.next().unwrap(), &mut bytes);
    bytes.extend(body);
    bytes
}

/// What a decoder of CometBFT takes for something that consensus signs.
fn is_taken_for_consensus(bytes: &[u8]) -> bool {
    proto::CanonicalVote::decode_length_delimited(bytes).is_ok()
        || proto::CanonicalProposal::decode_length_delimited(bytes).is_ok()
        || proto::CanonicalVoteExtension::decode_length_delimited(bytes).is_ok()
}

/// `decode_length_delimited` does not mind what comes behind.
fn is_of_its_own_length(bytes: &[u8]) -> bool {
    let mut body = bytes;
    decode_varint(&mut body).is_ok_and(|length| length == body.len() as u64)
}

/// Canonical bytes of any kind on any chain.
fn any_canonical() -> impl Strategy<Value = Vec<u8>> {
    let extension = proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300));
    (any_fields(), "[a-z]{1,20}-[0-9]", extension).prop_map(|(fields, chain, extension)| {
        let chain = ChainId::new(chain).unwrap();
        let hrs = fields.hrs();
        match extension {
            Some(bytes) => extension_sign_bytes(&chain, hrs.height, hrs.round, &bytes),
            None => sign_bytes(&chain, &fields),
        }
    })
}

fn any_field() -> impl Strategy<Value = Field> {
    let number = 1..1_000_000_u64;
    let value = proptest::collection::vec(any::<u8>(), 0..20);
    (number, 0..4_u64, value, any::<u32>()).prop_map(|(number, kind, value, varint)| {
        let mut scalar = Vec::new();
        encode_varint(varint.into(), &mut scalar);
        match kind {
            0 => (number << 3, scalar),
            1 => (number << 3 | 1, vec![7; 8]),
            2 => (number << 3 | 2, value),
            _ => (number << 3 | 5, vec![7; 4]),
        }
    })
}

proptest! {
    #[test]
    fn never_lets_a_vote_a_proposal_or_an_extension_of_any_chain_pass(bytes in any_canonical()) {
        prop_assert!(plain(&bytes).is_err());
        prop_assert!(RawAllowed::non_rp_extension(&V2, &bytes.clone().into()).is_err());
        let message = RawMessage::Celestia { raw_bytes: bytes, unique_id: "x".into() };
        prop_assert!(RawAllowed::new(&chain(), &CELESTIA, &message).is_err());
    }

    #[test]
    fn never_lets_them_pass_in_another_order_with_foreign_fields_and_long_numbers(
        bytes in any_canonical(),
        foreign in proptest::collection::vec(any_field(), 0..4),
        seed in any::<u64>(),
        more in proptest::collection::vec(0..10_usize, 1..9),
    ) {
        let mut body = bytes.as_slice();
        decode_varint(&mut body).unwrap();
        let mut fields = cut(body);
        prop_assert_eq!(&join(&fields, &[0]), &bytes, "cut and joined again it is the same");
        let twice = fields.first().cloned();
        fields.extend(twice);
        fields.extend(foreign);
        fields.sort_by_key(|field| {
            <[u8; 32]>::from(Sha256::digest(format!("{seed} {field:?}")))
        });
        prop_assert!(plain(&join(&fields, &more)).is_err());
    }

    #[test]
    fn never_lets_damaged_ones_pass_that_still_decode(
        bytes in any_canonical(),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8_u8), 1..4),
    ) {
        let mut damaged = bytes;
        for (place, bit) in flips {
            let place = place.index(damaged.len());
            damaged[place] ^= 1 << bit;
        }
        if is_of_its_own_length(&damaged) && is_taken_for_consensus(&damaged) {
            prop_assert!(plain(&damaged).is_err());
        }
    }

    #[test]
    fn never_lets_anything_pass_that_decodes(body in proptest::collection::vec(any::<u8>(), 0..24)) {
        let mut bytes = vec![u8::try_from(body.len()).unwrap()];
        bytes.extend(body);
        if is_taken_for_consensus(&bytes) {
            prop_assert!(plain(&bytes).is_err());
        }
    }

    #[test]
    fn what_passes_is_signed_as_it_is(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(allowed) = plain(&bytes) {
            prop_assert_eq!(allowed.as_bytes(), &bytes);
            prop_assert!(!(is_of_its_own_length(&bytes) && is_taken_for_consensus(&bytes)));
        }
    }
}
