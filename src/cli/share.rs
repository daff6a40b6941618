//! `share export` and `share import`: one chain's share, carried to a member's machine.

mod error;
mod export;
mod import;
mod passphrase;

use crate::config::Home;

use super::CliError;
pub(super) use error::ShareError;
pub(super) use passphrase::PassphraseArgs;

/// One chain's share, carried in a file under a passphrase
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Example:
  cosigner share import --home /var/lib/cosigner cosigner-1.share

The files are written by `cosigner split-key --members` and `cosigner share export`.")]
pub(super) enum ShareCommand {
    Import(import::Args),
    Export(export::Args),
}

pub(super) fn run(home: &Home, command: &ShareCommand) -> Result<(), CliError> {
    match command {
        ShareCommand::Import(args) => import::run(home, args),
        ShareCommand::Export(args) => export::run(home, args),
    }
}
