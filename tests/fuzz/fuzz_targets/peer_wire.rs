//! Messages between members: what is accepted is sent and read as the same.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| cosigner::peer::fuzz_wire(bytes));
