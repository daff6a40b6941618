//! A watermark as CometBFT's `priv_validator_state.json`.
//!
//! What FilePV does with it (`privval/file.go`, `CheckHRS`): everything lower is refused, and so is
//! exactly this height, round and step if there are no sign bytes ("no `SignBytes` found"). With sign
//! bytes but without a signature it would panic, so both are written or neither.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::types::Hrs;

/// `FilePVLastSignState`, its fields in CometBFT's order and types.
#[derive(Serialize)]
struct File {
    height: String,
    round: i32,
    step: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signbytes: Option<String>,
}

/// The file's text. `signed` are sign bytes and the signature over them, if both are known. A floor
/// (`Record::floor`) comes out as the last round and step that FilePV can hold, 2147483647 and 3: it
/// then refuses all of that height. No chain has a height 0: a floor there, which is what a file at the
/// beginning of height 1 means, comes out as a file of one who never signed.
#[must_use]
pub fn to_cometbft_state(hrs: Option<Hrs>, signed: Option<(&[u8], &[u8])>) -> String {
    let hrs = hrs.filter(|hrs| hrs.height.get() > 0 || signed.is_some());
    let (height, round, step) =
        hrs.map_or((0, 0, 0), |hrs| (hrs.height.get(), hrs.round.get(), hrs.step.number()));
    let file = File {
        height: height.to_string(),
        round,
        step,
        signature: signed.map(|(_, signature)| BASE64.encode(signature)),
        signbytes: signed.map(|(sign_bytes, _)| hex::encode_upper(sign_bytes)),
    };
    // Strings and numbers can always be written.
    let mut text = serde_json::to_string_pretty(&file).unwrap_or_default();
    text.push('\n');
    text
}
