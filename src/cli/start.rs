//! `start`.

use tracing::warn;

use crate::config::{Home, LogFormat, Settings, load};
use crate::node;
use crate::ops::{LogStyle, init_log};

use super::CliError;
use super::overrides::OverrideArgs;
use super::variables;

/// Run the node until SIGTERM or SIGINT
///
/// Opens the home, checks that it is whole and this node's own, dials the validators and the other
/// cosigners, and signs. Ends cleanly: what is being signed is finished first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner start --home /var/lib/cosigner
  cosigner start --validator tcp://10.0.0.1:26659 --log-level debug

Flags win over COSIGNER_… variables of the same name, those over cosigner.toml.")]
pub(super) struct Args {
    #[command(flatten)]
    overrides: OverrideArgs,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let overrides = args.overrides.overrides();
    let settings = Settings::read(home, &overrides)?;
    let strays = variables::unread(&settings);
    let log = settings.log;
    let style = match log.format {
        LogFormat::Text => LogStyle::Text,
        LogFormat::Json => LogStyle::Json,
    };
    init_log(log.level.as_str(), style)?;
    for stray in strays {
        warn!("{stray}");
    }
    Ok(node::run(load(home, &overrides)?)?)
}
