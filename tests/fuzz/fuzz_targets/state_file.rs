//! State files of other programs. What is taken over of one of CometBFT's is exported and read as the
//! same.
#![no_main]

use cosigner::privval::sign_bytes;
use cosigner::types::ChainId;
use cosigner::watermark::{Dialect, highest, read_state, to_cometbft_state};
use libfuzzer_sys::fuzz_target;

const DIALECTS: [Dialect; 5] =
    [Dialect::CometBft, Dialect::Horcrux, Dialect::Tmkms, Dialect::CometKms, Dialect::Kms];

fuzz_target!(|json: &str| {
    let chain = ChainId::new("test-chain-1").unwrap();
    for dialect in DIALECTS {
        for name in ["test-chain-1_priv_validator_state.json", "c_share_sign_state.json"] {
            let Ok(mark) = read_state(dialect, name, json, &chain, &|_, _| true) else { continue };
            let Some(mark) = highest([mark]) else { continue };
            let bytes = mark.fields().map(|fields| sign_bytes(&chain, fields));
            let signed = bytes.as_ref().map(|bytes| (bytes.as_slice(), [7; 64]));
            let signed = signed.as_ref().map(|(bytes, signature)| (*bytes, signature.as_slice()));
            let exported = to_cometbft_state(Some(mark.hrs()), signed);
            let again =
                read_state(Dialect::CometBft, name, &exported, &chain, &|_, _| true).unwrap();
            // The beginning of height 1 is where one begins who never signed.
            let expected = (mark.hrs().height.get() > 0).then_some(mark);
            assert_eq!(again, expected, "{exported}");
        }
    }
});
