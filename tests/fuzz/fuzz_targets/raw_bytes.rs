//! Raw bytes that may be signed are nothing that consensus signs.
#![no_main]

use cosigner::privval::{
    Dialect, RawAllowed, RawBytes, RawMessage, Version, extension_sign_bytes, parse_sign_bytes,
};
use cosigner::types::{ChainId, Height, Round};
use libfuzzer_sys::{arbitrary, fuzz_target};
use prost::bytes::Bytes;

/// Canonical bytes of a vote, as a start for changes: with its length, for `test-chain-1`.
const VOTE: &[u8] = b"\x76\x08\x02\x11\x39\x30\0\0\0\0\0\0\x19\x02\0\0\0\0\0\0\0\x22\x48\x0a\x20\
    \xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\
    \xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\xaa\x12\x24\x08\x07\x12\x20\
    \xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\
    \xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\xbb\
    \x2a\x08\x08\xa5\xfa\xcd\xac\x06\x10\x06\x32\x0ctest-chain-1";

/// In front of all that Celestia's validators have signed raw.
const CELESTIA: &[u8] = b"COMET::RAW_BYTES::SIGN";

#[derive(Debug, arbitrary::Arbitrary)]
enum Input {
    /// Any bytes.
    Any(Vec<u8>),
    /// Any body with its length in front.
    Delimited(Vec<u8>),
    /// A vote with bytes changed, and more behind.
    Vote { changes: Vec<(u8, u8)>, more: Vec<u8>, fix_length: bool },
    /// The prefix of Celestia's requests, and more behind.
    Prefixed(Vec<u8>),
    /// An extension as consensus signs it.
    Extension { height: i64, round: i32, chain: String, extension: Vec<u8> },
}

fn delimited(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    prost::encoding::encode_varint(body.len() as u64, &mut bytes);
    bytes.extend(body);
    bytes
}

fn bytes(input: Input) -> Option<(Vec<u8>, bool)> {
    Some(match input {
        Input::Any(bytes) => (bytes, false),
        Input::Delimited(body) => (delimited(&body), false),
        Input::Vote { changes, more, fix_length } => {
            let mut bytes = VOTE.to_vec();
            for (at, to) in changes {
                let at = usize::from(at) % bytes.len();
                bytes[at] = to;
            }
            bytes.extend(more);
            (if fix_length { delimited(&bytes[1..]) } else { bytes }, false)
        }
        Input::Prefixed(more) => ([CELESTIA, more.as_slice()].concat(), false),
        Input::Extension { height, round, chain, extension } => {
            let (height, round) = (Height::new(height).ok()?, Round::new(round).ok()?);
            let chain = ChainId::new(chain).ok()?;
            (extension_sign_bytes(&chain, height, round, &extension), true)
        }
    })
}

/// What is allowed is neither a vote nor a proposal nor, where the input says so, an extension.
fn harmless(allowed: &RawAllowed, is_extension: bool) {
    assert!(parse_sign_bytes(allowed.as_bytes()).is_err(), "{allowed:?}");
    assert!(!is_extension, "{allowed:?}");
}

fuzz_target!(|input: Input| {
    let Some((bytes, is_extension)) = bytes(input) else { return };
    let chain = ChainId::new("test-chain-1").unwrap();
    let shared = Bytes::from(bytes.clone());
    let v1 = Dialect::default();
    assert!(RawAllowed::non_rp_extension(&v1, &shared).is_err(), "where nobody asked for it");
    for raw_bytes in [RawBytes::Off, RawBytes::SignBytes, RawBytes::Celestia] {
        let dialect = Dialect { version: Version::V2, non_rp_extensions: true, raw_bytes };
        if let Ok(allowed) = RawAllowed::non_rp_extension(&dialect, &shared) {
            assert_eq!(allowed.as_bytes(), bytes);
            assert!(!bytes.starts_with(CELESTIA), "in the name of another chain");
            harmless(&allowed, is_extension);
        }
        let plain = RawMessage::Plain(bytes.clone());
        if let Ok(allowed) = RawAllowed::new(&chain, &dialect, &plain) {
            assert_eq!(allowed.as_bytes(), bytes);
            assert_eq!(raw_bytes, RawBytes::SignBytes);
            assert!(!bytes.starts_with(CELESTIA), "in the name of another chain");
            harmless(&allowed, is_extension);
        }
        let (raw, unique_id) = (bytes.clone(), String::from_utf8_lossy(&bytes).into_owned());
        let celestia = RawMessage::Celestia { raw_bytes: raw, unique_id };
        if let Ok(allowed) = RawAllowed::new(&chain, &dialect, &celestia) {
            assert!(allowed.as_bytes().starts_with(CELESTIA));
            assert_eq!(raw_bytes, RawBytes::Celestia);
            harmless(&allowed, false);
        }
    }
});
