//! `init`: homes that sign with a whole key, where that is.
//!
//! Everything is checked, and the key's backend asked for its public key, before a byte is written.

mod error;
mod join;
mod key;
mod plan;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::backend::{Backends, Source};
use crate::config::{Bech32Prefix, Home, HostPort, KeySource, NewChain, PublicKeyText};
use crate::types::{ChainId, ClusterKey, PublicKey};
use crate::validator::Address as ValidatorAddress;

use super::CliError;
use super::address::{chain_id, prefix};
use super::new_homes::{
    FloorArgs, LoneIdentity, NewCluster, NewHomesError, new_noise_identity, write_alone,
};
use super::state::now;
pub(super) use error::InitError;
use plan::{Place, Plan};

/// Make a home that signs with a whole key: a key file, a PKCS#11 token or AWS KMS
///
/// Without --cosigner, one home is made at --home: a node that signs alone. With two or more, a
/// home for each is made under --out, of a cluster around the one key, which every node must reach:
/// the key is used only after more than half of the cosigners have agreed, and any of them takes
/// over when the leader dies.
///
/// The key is whole on, or within reach of, every node: who takes over one of them has it. Shares
/// are safer; `cosigner split-key` makes them from a key file.
///
/// With --join the key signs for one more chain of a cluster that is there.
///
/// The backend is asked for the public key, which is written down; no other key is ever used.
/// Nothing is ever overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner init --home /var/lib/cosigner --chain-id cosmoshub-4 \\
      --backend file --path /var/lib/cosigner/priv_validator_key.json \\
      --state-file priv_validator_state.json --validator tcp://10.0.0.1:26659

  cosigner init --home /var/lib/cosigner --chain-id cosmoshub-4 \\
      --backend pkcs11 --module /usr/lib/softhsm/libsofthsm2.so \\
      --token-label comet --key-label validator --pin-env PIN \\
      --state-height 21000000 --validator tcp://10.0.0.1:26659

  cosigner init --chain-id cosmoshub-4 \\
      --backend awskms --key-id alias/validator --region us-east-1 \\
      --cosigner 10.0.0.11:2222 --cosigner 10.0.0.12:2222 --cosigner 10.0.0.13:2222 \\
      --state-file priv_validator_state.json --validator tcp://10.0.0.1:26659

A key that another signer has used (tmkms, Horcrux, another cosigner) has signed: --never-signed
would be wrong then. Stop that signer for good first, and begin either with --state-height and a
height that the chain has not reached; or, to take over exactly what was signed, with --state-height
and one less than the height in its state file, and then, before the first start, with:
cosigner state import. An import that is lower than --state-height is refused. Step by step for each
program: docs/migrate.md

After --cosigner the homes are under --out, and --home is not used.

There is no --pin: it would stand in the shell's history and in the list of processes.
Exit codes: 0 done; 1 the key cannot be reached, or the disk refused; 2 bad usage; 3 there is
something already, or the key is another one.")]
pub(super) struct Args {
    /// The chain that the key signs for
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: ChainId,
    /// The validator's public key in base64, as the chain shows it: any other key is refused, and the
    /// key need not be within reach now
    #[arg(long, value_name = "BASE64")]
    public_key: Option<PublicKeyText>,
    #[command(flatten)]
    floor: FloorArgs,
    /// What the chain's addresses begin with, before valcons
    #[arg(long, value_name = "PREFIX", default_value = "cosmos", value_parser = prefix)]
    bech32_prefix: Bech32Prefix,
    /// A validator to dial, tcp://host:port, unix://path or noise://PEERID@ip:port; may be repeated
    #[arg(long = "validator", value_name = "ADDR")]
    validators: Vec<ValidatorAddress>,
    /// A cosigner, as the others reach it; once for each, 2 to 15. None: a node alone
    #[arg(long = "cosigner", value_name = "HOST:PORT", conflicts_with = "join")]
    cosigners: Vec<HostPort>,
    /// The homes of all members of a cluster, stopped and at hand: adds the chain to them. Run again
    /// after a failure, it goes on where it ended
    #[arg(long, value_name = "HOME", num_args = 1.., conflicts_with = "out")]
    join: Vec<PathBuf>,
    /// Where the homes of a cluster are written [default: shares]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    // Last: its heading goes on to the end.
    #[command(flatten)]
    key: key::KeyArgs,
}

/// `home` is asked for only if it is needed.
pub(super) fn run(
    home: impl FnOnce() -> Result<Home, CliError>,
    args: &Args,
) -> Result<(), CliError> {
    if !args.join.is_empty() {
        return super::print(&join::run(args)?);
    }
    let home = if args.cosigners.is_empty() { Some(home()?) } else { None };
    let mut backends = Backends::default();
    let open =
        |source: &Source, expected: Option<&PublicKey>| plan::open(&mut backends, source, expected);
    let plan = Plan::check(args, home, now(), open)?;
    for warning in &plan.warnings {
        eprintln!("warning: {warning}");
    }
    let report = write(&plan).map_err(InitError::Homes)?;
    super::print(&report)
}

/// The whole key as the member list has it.
fn cluster_key(chain: &ChainId, public_key: &PublicKey) -> ClusterKey {
    ClusterKey {
        chain: chain.clone(),
        public_key: public_key.clone(),
        threshold: None,
        generation: 1,
        verifying_shares: BTreeMap::new(),
    }
}

/// Writes what was planned, and gives the report.
fn write(plan: &Plan) -> Result<String, NewHomesError> {
    let Plan { chain, prefix, public_key, validators, record, .. } = plan;
    let source = KeySource::Whole(plan.written.clone());
    match &plan.place {
        Place::Alone(home) => {
            let ours = LoneIdentity::of(home)?;
            let tables = NewChain {
                chain: chain.clone(),
                prefix: prefix.clone(),
                key: source,
                public_key: Some(public_key.clone()),
                validators: validators.clone(),
            };
            write_alone(home, tables, public_key, &ours, record)?;
            Ok(report::alone(plan, home, ours.identity.peer_id()))
        }
        Place::Cluster(members) => {
            let ours = new_noise_identity()?;
            let cluster = NewCluster {
                out: &members.out,
                cosigners: &members.cosigners,
                validators,
                key: cluster_key(chain, public_key),
                prefix,
                source,
                shares: &BTreeMap::new(),
                noise_identity: &ours,
                record,
            };
            Ok(report::cluster(plan, members, &cluster.write()?, ours.peer_id()))
        }
    }
}
