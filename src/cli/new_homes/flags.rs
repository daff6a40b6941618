//! Flags that every command has that makes homes.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::NewHomesError;
use crate::cli::state::{height, verifies};
use crate::types::{ChainId, Height, PublicKey, UnixMillis};
use crate::validator::Address as ValidatorAddress;
use crate::watermark::{Dialect, Record, read_state};

/// The watermark that a key begins with: exactly one of the three.
#[derive(Debug, clap::Args)]
#[group(id = "floor", required = true, multiple = false)]
pub(in crate::cli) struct FloorArgs {
    /// The validator's priv_validator_state.json, from after its last signature: nothing that it
    /// signed is signed differently again
    #[arg(long, value_name = "FILE")]
    state_file: Option<PathBuf>,
    /// Sign nothing at or below this height, in any round: for a key that another signer has used,
    /// a height that the chain has not reached
    #[arg(long, value_name = "H", value_parser = height)]
    state_height: Option<Height>,
    /// This key has never signed anything for this chain, anywhere
    #[arg(long)]
    never_signed: bool,
}

impl FloorArgs {
    /// The record that the flags name, for this key: another key's state file is refused.
    pub(in crate::cli) fn record(
        &self,
        chain: &ChainId,
        key: &PublicKey,
        now: UnixMillis,
    ) -> Result<Record, NewHomesError> {
        if let Some(height) = self.state_height {
            return Ok(Record::floor(height, now));
        }
        // clap has seen to it that exactly one of the flags is there.
        let Some(path) = &self.state_file else { return Ok(Record::never_signed(now)) };
        let text = fs::read_to_string(path)
            .map_err(|source| NewHomesError::Read { path: path.clone(), source })?;
        let verify = |message: &[u8], signature: &[u8]| verifies(key, message, signature);
        let mark = read_state(Dialect::CometBft, "", &text, chain, &verify)
            .map_err(|source| NewHomesError::State { path: path.clone(), source })?;
        // I2: beginning from nothing must be said, not found in a file.
        match mark {
            Some(mark) => Ok(Record::at_mark(mark, now)),
            None => Err(NewHomesError::NothingSigned { path: path.clone() }),
        }
    }
}

/// Refuses a validator that is named twice.
pub(in crate::cli) fn check_validators(
    validators: &[ValidatorAddress],
) -> Result<(), NewHomesError> {
    let mut seen = BTreeSet::new();
    match validators.iter().map(ToString::to_string).find(|one| !seen.insert(one.clone())) {
        Some(twice) => Err(NewHomesError::SameValidator(twice)),
        None => Ok(()),
    }
}
