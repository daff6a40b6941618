//! Watermarks out of other programs' files.
//!
//! Each program has a file of its own below; what they share is here. A field that is not known could
//! be the one that matters, so it is refused. The dialects cannot be taken for one another where that
//! would lower a step: tmkms counts steps from 0 and writes its round as a string.

mod cometbft;
mod cometkms;
mod horcrux;
#[cfg(test)]
mod tests;
mod text;
mod tmkms;

use std::fmt;

use super::rule::Mark;
use crate::privval::{CanonicalError, parse_sign_bytes};
use crate::types::{ChainId, Height, Hrs, HrsError, Round, Step};

/// The program that wrote a state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// CometBFT: `priv_validator_state.json`. Our own export is such a file, too.
    CometBft,
    /// Horcrux: `{chain}_priv_validator_state.json` and `{chain}_share_sign_state.json`.
    Horcrux,
    /// tmkms: `{chain}_priv_validator_state.json`.
    Tmkms,
    /// CometKMS: `priv_validator_state.json`, or the last sign state out of a Raft snapshot.
    CometKms,
    /// cosmos/kms: CometBFT's file.
    Kms,
}

/// Says whether a signature, the second argument, is one of the home's key over a message, the first.
pub type Verify<'a> = &'a dyn Fn(&[u8], &[u8]) -> bool;

/// Why a state file was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not JSON, or not what the program writes.
    #[error("this is not a {} of {dialect}: {source}", dialect.file())]
    Json {
        /// The program.
        dialect: Dialect,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A number that stands in a string.
    #[error("the {field} {text:?} is not a number")]
    Number {
        /// The field.
        field: &'static str,
        /// Its value.
        text: String,
    },
    /// A number out of range.
    #[error(transparent)]
    Hrs(#[from] HrsError),
    /// tmkms counts from 0.
    #[error(
        "step {0} is none of those that tmkms writes: 0 (proposal), 1 (prevote), 2 (precommit)"
    )]
    TmkmsStep(i64),
    /// A height of 0 means that nothing was signed, but the rest of the file says otherwise.
    #[error(
        "the height is 0, but there is a round, a step, a block or sign bytes: the file contradicts itself"
    )]
    SignedAtZero,
    /// `signbytes` is not hexadecimal.
    #[error("the sign bytes are not hexadecimal: {0}")]
    Hex(#[from] hex::FromHexError),
    /// `signature` is not base64.
    #[error("the signature is not base64: {0}")]
    Base64(#[from] base64::DecodeError),
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
    /// The file of another key.
    #[error(
        "its signature over height/round/step {0} is not one of this home's key: \
         the file belongs to another key, or it is damaged"
    )]
    OtherKey(Hrs),
    /// Horcrux's files differ in their names only.
    #[error(
        "the name of a Horcrux file says whether the signature in it is the key's or a share's: \
         give it under the name that Horcrux gave it, \
         …_priv_validator_state.json or …_share_sign_state.json"
    )]
    HorcruxName,
}

impl ImportError {
    /// Whether it is a whole state file, but not of this chain or key.
    #[must_use]
    pub const fn is_foreign(&self) -> bool {
        matches!(self, Self::OtherChain { .. } | Self::OtherKey(_))
    }
}

/// Reads a state file: what was signed last, `None` if nothing ever was. `name` is the file's name.
///
/// # Errors
/// [`ImportError`] if it is not such a file, is another chain's or key's, or contradicts itself.
pub fn read_state(
    dialect: Dialect,
    name: &str,
    json: &str,
    chain: &ChainId,
    verify: Verify<'_>,
) -> Result<Option<Mark>, ImportError> {
    let refused = |source| ImportError::Json { dialect, source };
    let whole = Some(verify);
    match dialect {
        Dialect::CometBft | Dialect::Kms => cometbft::read(json, refused)?.mark(chain, whole),
        Dialect::CometKms => cometkms::read(json, refused)?.mark(chain, whole),
        Dialect::Tmkms => tmkms::read(json, refused)?.mark(chain, whole),
        Dialect::Horcrux => {
            // The signature in a share's state is a share's: it proves nothing here.
            let verify = horcrux::holds_signature_of_key(name)?.then_some(verify);
            horcrux::read(json, refused)?.mark(chain, verify)
        }
    }
}

/// The highest of several marks. Where they name one height, round and step, its content is known only
/// if all of them agree on it (I1).
#[must_use]
pub fn highest(marks: impl IntoIterator<Item = Option<Mark>>) -> Option<Mark> {
    marks.into_iter().flatten().reduce(|one, other| match one.hrs().cmp(&other.hrs()) {
        std::cmp::Ordering::Less => other,
        std::cmp::Ordering::Greater => one,
        std::cmp::Ordering::Equal if one.fields() == other.fields() => one,
        std::cmp::Ordering::Equal => Mark::bytes_unknown(one.hrs()),
    })
}

/// What a state file says, in the numbers of CometBFT.
struct State {
    height: i64,
    round: i32,
    step: i8,
    /// Empty if there is none.
    signature: Vec<u8>,
    /// Empty if there are none.
    sign_bytes: Vec<u8>,
}

impl State {
    /// `verify` is for a signature of the whole key; without it sign bytes are taken as they stand.
    fn mark(
        self,
        chain: &ChainId,
        verify: Option<Verify<'_>>,
    ) -> Result<Option<Mark>, ImportError> {
        let (height, round) = (Height::new(self.height)?, Round::new(self.round)?);
        if self.height == 0 {
            let nothing = self.round == 0 && self.step == 0 && self.sign_bytes.is_empty();
            return if nothing { Ok(None) } else { Err(ImportError::SignedAtZero) };
        }
        if self.sign_bytes.is_empty() {
            return Ok(Some(Mark::bytes_unknown(last_possible(height, round, self.step)?)));
        }
        let (found, fields) = parse_sign_bytes(&self.sign_bytes)?;
        if found != *chain {
            return Err(ImportError::OtherChain { expected: chain.clone(), found });
        }
        let hrs = fields.hrs();
        let same = (hrs.height, hrs.round) == (height, round);
        if !same || i64::from(hrs.step.number()) != i64::from(self.step) {
            let file = format!("{height}/{round}/{}", self.step);
            return Err(ImportError::OtherHrs { file, sign_bytes: hrs });
        }
        match verify {
            // Nothing proves that these bytes are the ones that were signed.
            Some(_) if self.signature.is_empty() => Ok(Some(Mark::bytes_unknown(hrs))),
            Some(verify) if !verify(&self.sign_bytes, &self.signature) => {
                Err(ImportError::OtherKey(hrs))
            }
            _ => Ok(Some(Mark::signed(fields))),
        }
    }
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

impl Dialect {
    /// What its files are called.
    const fn file(self) -> &'static str {
        match self {
            Self::Horcrux => "priv_validator_state.json or share_sign_state.json",
            Self::CometBft | Self::Tmkms | Self::CometKms | Self::Kms => {
                "priv_validator_state.json"
            }
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CometBft => "CometBFT",
            Self::Horcrux => "Horcrux",
            Self::Tmkms => "tmkms",
            Self::CometKms => "CometKMS",
            Self::Kms => "cosmos/kms",
        })
    }
}
