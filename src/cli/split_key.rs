//! `split-key`: a validator's key becomes n homes.
//!
//! Everything is checked and every signing set tried out before a byte is written; what is written
//! gets its names at the end, or is removed again.

mod error;
mod plan;
mod report;

use std::io::Write as _;
use std::path::PathBuf;

use getrandom::SysRng;

use crate::config::{Bech32Prefix, HostPort, KeySource};
use crate::frost::deal::{Dealt, deal};
use crate::types::{ChainId, ClusterKey};
use crate::validator::Address as ValidatorAddress;

use super::CliError;
use super::address::{chain_id, prefix};
use super::new_homes::{FloorArgs, NewCluster};
use super::state::now;
pub(super) use error::SplitError;

/// Split a validator's key among cosigners
///
/// Reads CometBFT's priv_validator_key.json and writes OUT/cosigner-1 … OUT/cosigner-n, each a
/// complete home, ready to copy to its machine and start. Any T of the n cosigners can sign, T-1
/// learn nothing about the key. Every set of T is tried out before anything is written. Nothing is
/// ever overwritten.
///
/// Run it on a machine that is not on a network, or on the validator after stopping it for good.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cosigner split-key --key-file priv_validator_key.json --chain-id cosmoshub-4 --threshold 2 \\
      --cosigner 10.0.0.11:2222 --cosigner 10.0.0.12:2222 --cosigner 10.0.0.13:2222 \\
      --state-file priv_validator_state.json --validator tcp://10.0.0.1:26659

2-of-3 goes on signing while any one cosigner is down; 3-of-5, while any two are.
More than half is always needed: with 2 of 4, two separate pairs could sign two different blocks.")]
pub(super) struct Args {
    /// The validator's priv_validator_key.json
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The chain that the key signs for
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: ChainId,
    /// How many cosigners sign together; more than half
    #[arg(long, value_name = "T")]
    threshold: u16,
    /// A cosigner, as the others reach it; once for each, 2 to 15
    #[arg(long = "cosigner", value_name = "HOST:PORT", required = true)]
    cosigners: Vec<HostPort>,
    #[command(flatten)]
    floor: FloorArgs,
    /// What the chain's addresses begin with, before valcons
    #[arg(long, value_name = "PREFIX", default_value = "cosmos", value_parser = prefix)]
    bech32_prefix: Bech32Prefix,
    /// A validator to dial, tcp://host:port or unix://path; may be repeated
    #[arg(long = "validator", value_name = "ADDR")]
    validators: Vec<ValidatorAddress>,
    /// Where the homes are written
    #[arg(long, value_name = "DIR", default_value = "shares")]
    out: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let plan = plan::Plan::check(args, now())?;
    for warning in &plan.warnings {
        eprintln!("warning: {warning}");
    }
    let dealt = deal(&plan.seed, plan.threshold, &mut SysRng).map_err(SplitError::Deal)?;
    prove(&dealt)?;
    let cluster = cluster(&plan, &dealt).write().map_err(SplitError::Homes)?;
    super::print(&report::report(&plan, &cluster))
}

/// The homes to be written.
fn cluster<'p>(plan: &'p plan::Plan, dealt: &'p Dealt) -> NewCluster<'p> {
    let shares = &dealt.verifying_shares;
    NewCluster {
        out: &plan.out,
        cosigners: &plan.cosigners,
        validators: &plan.validators,
        key: ClusterKey {
            chain: plan.chain.clone(),
            public_key: plan.public_key.clone(),
            threshold: Some(plan.threshold),
            generation: 1,
            verifying_shares: shares.iter().map(|(id, share)| (*id, share.to_bytes())).collect(),
        },
        prefix: &plan.prefix,
        source: KeySource::Threshold,
        shares: &dealt.shares,
        record: &plan.record,
    }
}

fn prove(dealt: &Dealt) -> Result<(), SplitError> {
    let mut err = std::io::stderr().lock();
    let mut shown = 0;
    // Progress that cannot be shown is no reason to stop.
    let result = dealt.prove(|done, all| {
        let percent = (done * 100).checked_div(all).unwrap_or(100);
        if done == all || percent >= shown + 10 {
            shown = percent;
            let _ = writeln!(err, "tried out {done} of {all} sets of cosigners: each can sign");
        }
    });
    result.map_err(SplitError::Deal)
}
