//! Watermarks out of other programs' files.

use serde::Deserialize;

use super::rule::{Mark, Record};
use crate::privval::{CanonicalError, parse_sign_bytes};
use crate::types::{ChainId, Height, Hrs, HrsError, Round, Step, UnixMillis};

/// Why a state file was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not JSON, or not that of a `priv_validator_state.json`.
    #[error("this is not a priv_validator_state.json: {0}")]
    Json(#[from] serde_json::Error),
    /// CometBFT writes the height as a decimal string.
    #[error("the height {0:?} is not a number")]
    Height(String),
    /// A number out of range.
    #[error(transparent)]
    Hrs(#[from] HrsError),
    /// A height of 0 means that nothing was signed, but the rest of the file says otherwise.
    #[error(
        "the height is 0, but there is a round, a step or sign bytes: the file contradicts itself"
    )]
    SignedAtZero,
    /// `signbytes` is not hexadecimal.
    #[error("the sign bytes are not hexadecimal: {0}")]
    Hex(#[from] hex::FromHexError),
    /// `signbytes` is not what CometBFT signs.
    #[error(
        "{0}; if you are sure of the height, round and step, remove `signbytes` from a copy of the \
         file and import that: nothing will be signed at exactly this step again"
    )]
    SignBytes(#[from] CanonicalError),
    /// The file of another chain's validator.
    #[error("the sign bytes are of chain {found}, not of {expected}")]
    OtherChain {
        /// The chain imported into.
        expected: ChainId,
        /// The chain in the sign bytes.
        found: ChainId,
    },
    /// Numbers and sign bytes disagree.
    #[error("the file says height/round/step {file}, its sign bytes say {sign_bytes}")]
    OtherHrs {
        /// Height/round/step in the file's own fields, as written there.
        file: String,
        /// Height, round and step of the sign bytes.
        sign_bytes: Hrs,
    },
}

/// `FilePVLastSignState` of CometBFT's `privval/file.go`. A field that is not known could be what
/// matters, so it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CometBftState {
    height: String,
    round: i32,
    step: i8,
    /// Read so that it is known; a signature is not part of a watermark.
    #[serde(default, rename = "signature")]
    _signature: Option<String>,
    #[serde(default)]
    signbytes: Option<String>,
}

/// Reads CometBFT's `priv_validator_state.json` as the record of a key of `chain`.
///
/// # Errors
/// [`ImportError`] if it is not such a file, is another chain's, or contradicts itself.
pub fn from_cometbft_state(
    json: &str,
    chain: &ChainId,
    now: UnixMillis,
) -> Result<Record, ImportError> {
    let state: CometBftState = serde_json::from_str(json)?;
    let number = state.height.parse().map_err(|_| ImportError::Height(state.height.clone()))?;
    let (height, round) = (Height::new(number)?, Round::new(state.round)?);
    let bytes = state.signbytes.as_deref().filter(|hex| !hex.is_empty());
    if number == 0 {
        let nothing = state.round == 0 && state.step == 0 && bytes.is_none();
        return if nothing {
            Ok(Record::never_signed(now))
        } else {
            Err(ImportError::SignedAtZero)
        };
    }
    let Some(bytes) = bytes else {
        let hrs = last_possible(height, round, state.step)?;
        return Ok(Record::at_mark(Mark::bytes_unknown(hrs), now));
    };
    let (found, fields) = parse_sign_bytes(&hex::decode(bytes)?)?;
    if found != *chain {
        return Err(ImportError::OtherChain { expected: chain.clone(), found });
    }
    let sign_bytes = fields.hrs();
    let same = (sign_bytes.height, sign_bytes.round) == (height, round);
    if !same || i64::from(sign_bytes.step.number()) != i64::from(state.step) {
        let file = format!("{height}/{round}/{}", state.step);
        return Err(ImportError::OtherHrs { file, sign_bytes });
    }
    Ok(Record::at_mark(Mark::signed(fields), now))
}

/// The last height, round and step that may have been signed. Step 0, which people write by hand,
/// is before the first step of its round: the same as after the last one of the round before.
fn last_possible(height: Height, round: Round, step: i8) -> Result<Hrs, HrsError> {
    if step != 0 {
        return Ok(Hrs { height, round, step: Step::from_number(i64::from(step))? });
    }
    let (height, round) = match round.get().checked_sub(1).map(Round::new) {
        Some(Ok(before)) => (height, before),
        _ => (Height::new(height.get().saturating_sub(1))?, Round::MAX),
    };
    Ok(Hrs { height, round, step: Step::Precommit })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::privval::sign_bytes;
    use crate::watermark::MAX_CREDIT;

    const NOW: UnixMillis = UnixMillis(1_704_164_645_000);

    fn import(json: &str) -> Result<Record, ImportError> {
        from_cometbft_state(json, &ChainId::new("test-chain-1").unwrap(), NOW)
    }

    /// Sign bytes of a precommit at 12345/2/3, made by CometBFT v0.38.25.
    fn precommit_hex() -> String {
        let (block, parts) = ("AA".repeat(32), "BB".repeat(32));
        format!(
            "76080211393000000000000019020000000000000022480A20{block}122408071220{parts}\
             2A0808A5FACDAC061006320C746573742D636861696E2D31"
        )
    }

    fn state(height: &str, round: i32, step: i32, rest: &str) -> String {
        format!(
            "{{\n  \"height\": \"{height}\",\n  \"round\": {round},\n  \"step\": {step}{rest}\n}}"
        )
    }

    fn with_bytes(height: &str, round: i32, step: i32) -> String {
        let signature = "gK34bywA==";
        let rest =
            format!(",\n\"signature\": \"{signature}\",\n\"signbytes\": \"{}\"", precommit_hex());
        state(height, round, step, &rest)
    }

    fn hrs(record: &Record) -> String {
        record.hrs().unwrap().to_string()
    }

    #[test]
    fn takes_over_a_state_with_its_sign_bytes() {
        let record = import(&with_bytes("12345", 2, 3)).unwrap();
        assert_eq!(hrs(&record), "12345/2/3");
        let fields = record.mark().unwrap().fields().unwrap();
        let bytes = sign_bytes(&ChainId::new("test-chain-1").unwrap(), fields);
        assert_eq!(hex::encode_upper(bytes), precommit_hex());
        assert_eq!((record.at(), record.credit()), (NOW, MAX_CREDIT));
    }

    #[test]
    fn takes_over_a_state_without_sign_bytes_as_bytes_unknown() {
        for rest in ["", ", \"signature\": \"gK34bywA==\"", ", \"signbytes\": \"\""] {
            let record = import(&state("12345", 2, 1, rest)).unwrap();
            assert_eq!(hrs(&record), "12345/2/1");
            assert_eq!(record.mark().unwrap().fields(), None);
        }
    }

    #[test]
    fn a_fresh_state_is_one_that_never_signed() {
        assert_eq!(import(&state("0", 0, 0, "")).unwrap(), Record::never_signed(NOW));
    }

    #[test]
    fn step_zero_means_all_before_its_round() {
        assert_eq!(hrs(&import(&state("12345", 2, 0, "")).unwrap()), "12345/1/3");
        assert_eq!(hrs(&import(&state("12345", 0, 0, "")).unwrap()), "12344/2147483647/3");
        assert_eq!(hrs(&import(&state("1", 0, 0, "")).unwrap()), "0/2147483647/3");
    }

    #[test]
    fn refuses_sign_bytes_that_say_something_else_and_names_both() {
        for (height, round, step) in
            [("12344", 2, 3), ("12346", 2, 3), ("12345", 1, 3), ("12345", 2, 2), ("12345", 2, 0)]
        {
            let error = import(&with_bytes(height, round, step)).unwrap_err().to_string();
            assert!(error.contains(&format!("{height}/{round}/{step}")), "{error}");
            assert!(error.contains("12345/2/3"), "{error}");
        }
    }

    #[test]
    fn refuses_another_chain_and_names_both() {
        let other = ChainId::new("test-chain-2").unwrap();
        let error = from_cometbft_state(&with_bytes("12345", 2, 3), &other, NOW).unwrap_err();
        assert!(matches!(error, ImportError::OtherChain { .. }));
        let error = error.to_string();
        assert!(error.contains("test-chain-1") && error.contains("test-chain-2"), "{error}");
    }

    #[test]
    fn refuses_what_cometbft_would_not_write() {
        use ImportError as E;
        let refused = |json: &str| import(json).unwrap_err();
        assert!(matches!(refused(&state("-1", 0, 1, "")), E::Hrs(HrsError::NegativeHeight(-1))));
        assert!(matches!(refused(&state("5", -1, 1, "")), E::Hrs(HrsError::NegativeRound(-1))));
        assert!(matches!(refused(&state("5", 0, 4, "")), E::Hrs(HrsError::UnknownStep(4))));
        assert!(matches!(refused(&state("5", 0, -1, "")), E::Hrs(HrsError::UnknownStep(-1))));
        assert!(matches!(refused(&state("9223372036854775808", 0, 1, "")), E::Height(_)));
        assert!(matches!(refused(&state("", 0, 1, "")), E::Height(_)));
        assert!(matches!(refused(&state("0", 0, 3, "")), E::SignedAtZero));
        assert!(matches!(refused(&state("0", 1, 0, "")), E::SignedAtZero));
        assert!(matches!(refused(&with_bytes("0", 0, 0)), E::SignedAtZero));
        assert!(matches!(refused(&state("5", 0, 1, ", \"signbytes\": \"zz\"")), E::Hex(_)));
        assert!(matches!(refused(&state("5", 0, 1, ", \"signbytes\": \"00\"")), E::SignBytes(_)));
        assert!(matches!(refused(&state("5", 0, 1, ", \"block_id\": null")), E::Json(_)));
        assert!(matches!(refused("{\"height\": \"5\"}"), E::Json(_)));
        assert!(matches!(refused("{\"height\": 5, \"round\": 0, \"step\": 1}"), E::Json(_)));
        assert!(matches!(refused(""), E::Json(_)));
    }
}
