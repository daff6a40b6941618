//! `state raise`.

use crate::config::{Home, take_state};
use crate::types::{ChainId, Height, Hrs, KeyId};
use crate::watermark::{Fault, FileError, Record, WatermarkFile, peek};

use super::{height, key_of, now, refused};
use crate::cli::CliError;
use crate::cli::address::chain_id;

/// Sign nothing at or below a height any more, and mend a damaged watermark
///
/// The watermark only ever goes up: a height that is not above it is refused, and a raise cannot be
/// taken back. A damaged watermark has forgotten what it signed last, so give a height that the
/// chain has not reached. The cosigner signs again as soon as the chain is above H.
///
/// Raise all cosigners of a cluster alike. One that is left lower goes on signing below H, and until
/// the chain is above H those that were raised do not help it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cosigner state raise --home /var/lib/cosigner --chain-id cosmoshub-4 --height 21000000

Stop the node first, and look at its watermark with: cosigner state show")]
pub(in crate::cli) struct Args {
    /// The chain; may be left out if this home has only one
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: Option<ChainId>,
    /// Nothing at or below this height is signed, in any round
    #[arg(long, value_name = "H", value_parser = height)]
    height: Height,
}

/// Why a watermark was not raised. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum RaiseError {
    /// It stands there, or higher (I2).
    #[error(
        "chain {chain}: {}; --height {height} would not raise it, and it never goes down. \
         To raise it give --height {} or more", super::words(Some(*recorded)), above(*recorded)
    )]
    NotHigher {
        /// The chain.
        chain: ChainId,
        /// The watermark.
        recorded: Hrs,
        /// The flag's value.
        height: Height,
    },
    /// What was signed after the part that can be read is lost.
    #[error(
        "chain {chain}: the watermark is damaged, and what can be read of it, {readable}, is older than what is lost: \
         --height {height} is not above it; give a height that the chain has not reached, at least {}", above(*readable)
    )]
    NotAboveReadable {
        /// The chain.
        chain: ChainId,
        /// What the readable slot says.
        readable: Hrs,
        /// The flag's value.
        height: Height,
    },
}

fn above(hrs: Hrs) -> i64 {
    hrs.height.get().saturating_add(1)
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let taken = take_state(home)?;
    let (chain, key) = key_of(&taken.keys, args.chain_id.as_ref())?;
    let before = raise(home, chain, &key.id(), args.height)?;
    let height = args.height;
    crate::cli::print(&format!(
        "chain {chain}: this cosigner signs nothing at or below height {height} any more, in any round\n\
         before: {before}\n\
         It signs again once the chain is above {height}.{}\n",
        super::if_member(
            &taken,
            &format!(" Raise the other cosigners of this cluster to {height}, too.")
        )
    ))
}

/// Raises or mends; says how the file was before.
fn raise(home: &Home, chain: &ChainId, key: &KeyId, height: Height) -> Result<String, CliError> {
    let (dir, floor) = (home.watermarks(), Record::floor(height, now()));
    let refused = |source: FileError| refused(home, chain, source);
    // The lock keeps everybody else from writing between this look and the write. A look alone
    // changes nothing, so neither does a refusal.
    let fault = match peek(&dir, chain, key) {
        Ok(stored) => {
            let before = stored.record.hrs();
            if let Some(recorded) = before.filter(|recorded| floor.hrs() <= Some(*recorded)) {
                let chain = chain.clone();
                return Err(RaiseError::NotHigher { chain, recorded, height }.into());
            }
            let (mut file, ..) = WatermarkFile::open(&dir, chain, key).map_err(refused)?;
            file.write(&floor).map_err(refused)?;
            return Ok(super::words(before));
        }
        Err(error) if is_damage(&error.fault) => error.fault,
        Err(error) => return Err(refused(error)),
    };
    if let Fault::OneSlotDamaged { hrs: Some(readable), .. } = fault
        && height <= readable.height
    {
        let chain = chain.clone();
        return Err(RaiseError::NotAboveReadable { chain, readable, height }.into());
    }
    WatermarkFile::mend(&dir, chain, key, &floor).map_err(refused)?;
    Ok(match fault {
        Fault::OneSlotDamaged { hrs, .. } => {
            format!("damaged; what could be read of it: {}", super::words(hrs))
        }
        _ => "damaged".to_owned(),
    })
}

/// What [`WatermarkFile::mend`] mends.
const fn is_damage(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Length { .. }
            | Fault::BothSlotsDamaged
            | Fault::OneSlotDamaged { .. }
            | Fault::SequenceGap { .. }
    )
}
