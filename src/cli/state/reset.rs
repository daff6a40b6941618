//! `state reset`.

use std::io::{self, BufRead as _, Read as _};

use crate::config::{Home, take_state};
use crate::raft::forget_in;
use crate::types::ChainId;
use crate::watermark::{WatermarkFile, peek};

use super::{key_of, now, refused, words};
use crate::cli::CliError;
use crate::cli::address::chain_id;

/// What is read of an answer; no chain id is longer.
const LONGEST_ANSWER_BYTES: u64 = 256;

/// Forget what was signed, for a test network that starts again from its first block
///
/// The key may then sign heights again that it has signed before. On a chain that goes on this is a
/// double sign, and the validator is slashed and tombstoned for ever. So it asks for the chain id,
/// typed in full on standard input; anything else changes nothing.
///
/// In a cluster: stop all cosigners, reset all of them, then start. One that is left out
/// still goes by its old watermark. The ceiling is dropped, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cosigner state reset --home /var/lib/cosigner --chain-id devnet-1

Never for a chain that is to go on: there, `cosigner state raise` mends a damaged watermark.")]
pub(in crate::cli) struct Args {
    /// The chain that starts again
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: ChainId,
}

/// Why nothing was reset. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// Standard input cannot be read.
    #[error("standard input cannot be read: {0}; nothing was changed")]
    Input(io::Error),
    /// Something else was typed.
    #[error("what was typed is not {chain}; nothing was changed")]
    NotConfirmed {
        /// What was asked for.
        chain: ChainId,
    },
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let taken = take_state(home)?;
    let (chain, key) = key_of(&taken.keys, Some(&args.chain_id))?;
    let (dir, id) = (home.watermarks(), key.id());
    let before = match peek(&dir, chain, &id) {
        Ok(stored) => words(stored.record.hrs()),
        Err(error) => error.fault.to_string(),
    };
    let others = if taken.settings.node.is_some() {
        "All cosigners of this cluster must be stopped now, and all must be reset before any is started.\n"
    } else {
        ""
    };
    eprint!(
        "chain {chain}: {before}\n\
         After a reset this key can sign every height again, those too that it has signed before.\n\
         On a chain that goes on this is a double sign: the validator is tombstoned for ever.\n\
         Only for a test network that starts again from its first block.\n\
         {others}\
         Type the chain id to go on: "
    );
    confirm(chain)?;
    if let Some(state) = &taken.state {
        // First, so that a watermark that begins anew never stands beside what Raft remembers.
        forget_in(state, chain, &id)?;
    }
    WatermarkFile::reset(&dir, chain, &id, now()).map_err(|error| refused(home, chain, error))?;
    crate::cli::print(&format!(
        "chain {chain}: never signed, without a ceiling: the first signature may be at any height\n\
         before: {before}\n"
    ))
}

fn confirm(chain: &ChainId) -> Result<(), ResetError> {
    let mut answer = Vec::new();
    let mut input = io::stdin().lock().take(LONGEST_ANSWER_BYTES);
    input.read_until(b'\n', &mut answer).map_err(ResetError::Input)?;
    let typed = answer.strip_suffix(b"\n").unwrap_or(&answer);
    if typed.strip_suffix(b"\r").unwrap_or(typed) == chain.as_str().as_bytes() {
        Ok(())
    } else {
        // The prompt's line was not ended by the one who answered if there was nobody.
        eprintln!();
        Err(ResetError::NotConfirmed { chain: chain.clone() })
    }
}
