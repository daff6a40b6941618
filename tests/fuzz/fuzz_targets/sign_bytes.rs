//! Canonical sign bytes out of files and slots: only what would be written again is accepted.
#![no_main]

use cosigner::privval::{parse_sign_bytes, sign_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok((chain, fields)) = parse_sign_bytes(bytes) {
        assert_eq!(sign_bytes(&chain, &fields), bytes);
    }
});
