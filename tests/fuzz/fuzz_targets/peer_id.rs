//! Who somebody is on `noise://`: ids in all their forms, addresses with them, `identity.json`. What is
//! accepted is written and read as the same.
#![no_main]

use cosigner::privval::noise::{Identity, PeerId};
use cosigner::validator::Address;
use libfuzzer_sys::fuzz_target;

/// RFC 4648 in small letters, without padding.
fn base32(bytes: &[u8]) -> String {
    let bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    let bits: Vec<u8> = bits.collect();
    let letter = |five: &[u8]| {
        let held = five.iter().fold(0, |held, bit| held << 1 | bit) << (5 - five.len());
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(held)])
    };
    bits.chunks(5).map(letter).collect()
}

fn id(text: &str) -> Option<PeerId> {
    match text.parse::<PeerId>() {
        Ok(id) => {
            assert_eq!(id.to_string().parse(), Ok(id));
            Some(id)
        }
        Err(why) => {
            assert!(!why.to_string().is_empty());
            None
        }
    }
}

/// The three forms of an id are the same id, or none is one.
fn forms(multihash: &[u8]) {
    let base58 = |bytes: &[u8]| bs58::encode(bytes).into_string();
    let cid = [&[0x01, 0x72], multihash].concat();
    let plain = id(&base58(multihash));
    let others = [format!("z{}", base58(&cid)), format!("b{}", base32(&cid))];
    if multihash.starts_with(&[0]) {
        for other in &others {
            assert_eq!(id(other), plain, "{other}");
        }
    }
    let Some(plain) = plain else { return };
    assert_eq!(plain.to_string(), base58(multihash), "an id has one spelling");
    let address = format!("noise://{}@10.0.0.1:26659", others[1]);
    let address: Address = address.parse().unwrap();
    assert_eq!(address.to_string(), format!("noise://{plain}@10.0.0.1:26659"));
}

fn identity(text: &[u8]) {
    match Identity::parse(text) {
        Ok(identity) => {
            id(&identity.peer_id().to_string()).unwrap();
            let again = Identity::parse(identity.render().as_bytes()).unwrap();
            assert_eq!(again.peer_id(), identity.peer_id());
            assert_eq!(*again.render(), *identity.render());
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

fuzz_target!(|bytes: &[u8]| {
    identity(bytes);
    forms(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    id(text);
    match text.parse::<Address>() {
        Ok(address) => assert_eq!(address.to_string().parse(), Ok(address)),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
