//! `split-key`: a validator's key becomes n homes, or one more chain of n homes that are there.
//!
//! Everything is checked and every signing set tried out before a byte is written; what is written
//! gets its names at the end, or is removed again.

mod error;
mod join;
mod members;
mod plan;
mod report;

use std::io::Write as _;
use std::path::PathBuf;

use clap::ArgGroup;
use getrandom::SysRng;

use crate::config::{Bech32Prefix, HostPort, KeySource, NewChain};
use crate::frost::deal::{Dealt, deal};
use crate::privval::noise::Identity;
use crate::types::{ChainId, ClusterKey, PublicKey, Threshold};
use crate::validator::Address as ValidatorAddress;

use super::CliError;
use super::address::{chain_id, prefix};
use super::new_homes::{FloorArgs, NewCluster, new_noise_identity};
use super::share::PassphraseArgs;
use super::state::now;
pub(super) use error::SplitError;

/// Split a validator's key among cosigners
///
/// Reads CometBFT's priv_validator_key.json and writes OUT/cosigner-1 … OUT/cosigner-n, each a
/// complete home, ready to copy to its machine and start. Any T of the n cosigners can sign, T-1
/// learn nothing about the key. Every set of T is tried out before anything is written. Nothing is
/// ever overwritten.
///
/// With --join or --members the key of one more chain is split among the members of a cluster that is
/// there: into their homes, if all are at hand, else into a file for each, under a passphrase, which
/// `cosigner share import` takes into that member's home. Members import one after the other, and no
/// other chain stops for it.
///
/// Run it on a machine that is not on a network, or on the validator after stopping it for good.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("among").required(true), after_help = "\
Examples:
  cosigner split-key --key-file priv_validator_key.json --chain-id cosmoshub-4 --threshold 2 \\
      --cosigner 10.0.0.11:2222 --cosigner 10.0.0.12:2222 --cosigner 10.0.0.13:2222 \\
      --state-file priv_validator_state.json --validator tcp://10.0.0.1:26659

  cosigner split-key --key-file priv_validator_key.json --chain-id osmosis-1 --threshold 2 \\
      --members cluster.toml --out osmosis --state-file priv_validator_state.json \\
      --validator tcp://10.0.0.4:26659

  cosigner split-key --key-file priv_validator_key.json --chain-id osmosis-1 --threshold 2 \\
      --join home-1 home-2 home-3 --never-signed

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
    #[arg(
        long = "cosigner",
        value_name = "HOST:PORT",
        group = "among",
        conflicts_with_all = ["join", "members"]
    )]
    cosigners: Vec<HostPort>,
    /// The homes of all members of a cluster, stopped: adds the chain to them. Run again after a
    /// failure, it goes on where it ended
    #[arg(long, value_name = "HOME", num_args = 1.., group = "among", conflicts_with_all = ["members", "out"])]
    join: Vec<PathBuf>,
    /// cluster.toml of a cluster whose homes are on other machines: writes OUT/cosigner-1.share … for
    /// `cosigner share import` there
    #[arg(long, value_name = "CLUSTER_TOML", group = "among")]
    members: Option<PathBuf>,
    #[command(flatten)]
    floor: FloorArgs,
    /// What the chain's addresses begin with, before valcons
    #[arg(long, value_name = "PREFIX", default_value = "cosmos", value_parser = prefix)]
    bech32_prefix: Bech32Prefix,
    /// A validator to dial, tcp://host:port, unix://path or noise://PEERID@ip:port; may be repeated
    #[arg(long = "validator", value_name = "ADDR")]
    validators: Vec<ValidatorAddress>,
    /// Where the homes, or with --members the shares' files, are written
    #[arg(long, value_name = "DIR", default_value = "shares")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(args: &Args) -> Result<(), CliError> {
    if !args.join.is_empty() {
        return super::print(&join::run(args)?);
    }
    if let Some(list) = &args.members {
        return super::print(&members::run(args, list)?);
    }
    let plan = plan::Plan::check(args, now())?;
    warn(&plan.warnings);
    let dealt = deal_and_prove(&plan.seed, plan.threshold)?;
    let identity = new_noise_identity().map_err(SplitError::Homes)?;
    let cluster = cluster(&plan, &dealt, &identity).write().map_err(SplitError::Homes)?;
    super::print(&report::report(&plan, &cluster, identity.peer_id()))
}

/// The homes to be written.
fn cluster<'p>(
    plan: &'p plan::Plan,
    dealt: &'p Dealt,
    noise_identity: &'p Identity,
) -> NewCluster<'p> {
    NewCluster {
        out: &plan.out,
        cosigners: &plan.cosigners,
        validators: &plan.validators,
        key: cluster_key(&plan.chain, &plan.public_key, plan.threshold, dealt),
        prefix: &plan.prefix,
        source: KeySource::Threshold,
        shares: &dealt.shares,
        noise_identity,
        record: &plan.record,
    }
}

/// The key as the member list has it.
fn cluster_key(
    chain: &ChainId,
    public_key: &PublicKey,
    threshold: Threshold,
    dealt: &Dealt,
) -> ClusterKey {
    let shares = &dealt.verifying_shares;
    ClusterKey {
        chain: chain.clone(),
        public_key: public_key.clone(),
        threshold: Some(threshold),
        generation: 1,
        verifying_shares: shares.iter().map(|(id, share)| (*id, share.to_bytes())).collect(),
    }
}

/// What a home that is there says about one more chain.
fn new_chain(args: &Args) -> NewChain {
    NewChain {
        chain: args.chain_id.clone(),
        prefix: args.bech32_prefix.clone(),
        key: KeySource::Threshold,
        // The member list has it.
        public_key: None,
        validators: args.validators.clone(),
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}

fn deal_and_prove(seed: &[u8; 32], threshold: Threshold) -> Result<Dealt, SplitError> {
    let dealt = deal(seed, threshold, &mut SysRng).map_err(SplitError::Deal)?;
    prove(&dealt)?;
    Ok(dealt)
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
