//! `peer-id`.

use crate::config::{
    ConfigError, Home, Overrides, Settings, create_noise_identity, read_noise_identity,
};

use super::CliError;

/// Print who this signer is for noise:// validators
///
/// A validator with priv_validator_laddr = "noise://PEERID@ip:port" takes this signer only, so all
/// cosigners that shall serve it have the same identity: identity.json in each home, as `split-key`
/// and `init` write it. Reads only, and works beside a running node.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner peer-id --home /var/lib/cosigner
  cosigner peer-id --new --home /var/lib/cosigner    a home from before there was noise://

The validator's own id, for this side: cometbft show-node-id --libp2p")]
pub(super) struct Args {
    /// Make an identity first, where there is none; never replaces one. In a cluster make one, and
    /// copy identity.json into the other homes
    #[arg(long)]
    new: bool,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let settings = Settings::read(home, &Overrides::default()).map_err(|error| match error {
        ConfigError::Missing { file } if args.new => CliError::NoHomeForIdentity { file },
        other => other.into(),
    });
    let path = settings?.noise_identity;
    let identity = if args.new {
        create_noise_identity(&path)?
    } else {
        read_noise_identity(&path, home.root())?
    };
    super::print(&format!("{}\n", identity.peer_id()))
}
