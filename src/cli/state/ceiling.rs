//! `state ceiling`.

use crate::config::{Home, take_state};
use crate::types::{ChainId, Height};
use crate::watermark::WatermarkFile;

use super::{height, if_member, key_of, refused, words};
use crate::cli::CliError;
use crate::cli::address::chain_id;

/// Sign nothing above a height any more, or take that back
///
/// For handovers without a gap: set the ceiling N here, and begin at N + 1 elsewhere. Requests above
/// the ceiling are denied, repeats too. /readyz says `ceiling_reached` as soon as anything at height N was
/// signed; that height is finished once the log says `denied` for N + 1. It stays until it is changed or cleared, through restarts, `raise` and `import`.
///
/// All cosigners of a cluster should get the same ceiling: those without one sign on above it if they
/// are enough, and a leader with one denies for all.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  cosigner state ceiling --home /var/lib/cosigner --chain-id cosmoshub-4 --height 21000000
  cosigner state ceiling --chain-id cosmoshub-4 --clear

Stop the node first, and start it again after.",
    group = clap::ArgGroup::new("what").required(true)
)]
pub(in crate::cli) struct Args {
    /// The chain; may be left out if this home has only one
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: Option<ChainId>,
    /// Nothing above this height is signed
    #[arg(long, value_name = "N", group = "what", value_parser = height)]
    height: Option<Height>,
    /// Remove the ceiling
    #[arg(long, group = "what")]
    clear: bool,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let taken = take_state(home)?;
    let (chain, key) = key_of(&taken.keys, args.chain_id.as_ref())?;
    let opened = WatermarkFile::open(&home.watermarks(), chain, &key.id());
    let (mut file, record, _) = opened.map_err(|error| refused(home, chain, error))?;
    file.set_ceiling(args.height).map_err(|error| refused(home, chain, error))?;
    let mut text = format!(
        "chain {chain}: {}\nceiling before: {}\nceiling now: {}\n",
        words(record.hrs()),
        named(record.ceiling()),
        named(args.height),
    );
    let signed = record.hrs().map(|hrs| hrs.height);
    if args.height.is_some_and(|ceiling| signed > Some(ceiling)) {
        text.push_str("The watermark is above it: this cosigner signs nothing at all any more.\n");
    }
    text.push_str(if_member(
        &taken,
        "Give all cosigners of this cluster the same ceiling: those that differ sign on without this one.\n",
    ));
    crate::cli::print(&text)
}

fn named(ceiling: Option<Height>) -> String {
    ceiling.map_or_else(|| "none".to_owned(), |height| height.to_string())
}
