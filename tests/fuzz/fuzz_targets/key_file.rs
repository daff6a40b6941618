//! Key files: `priv_validator_key.json` and raw ones. Whatever is in them, no value of it is in an error.
#![no_main]

use cosigner::backend::{KeyFile, fuzz_raw_key};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if let Err(why) = KeyFile::parse(text) {
        assert!(why.to_string().len() < 1000);
    }
    fuzz_raw_key(text);
});
