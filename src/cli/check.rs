//! `config check`.

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};

use crate::config::{Home, Loaded, load};

use super::CliError;
use super::overrides::OverrideArgs;

/// Look whether this home is fit to start
///
/// Opens everything that `start` would, except connections to validators and cosigners: modes,
/// lock, cosigner.toml, cluster.toml, keys, state, watermarks, listening addresses. Signs nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner config check --home shares/cosigner-1
  cosigner config check --validator tcp://10.0.0.1:26659

Exit codes: 0 fit to start; 2 something in the configuration; 3 something that would be unsafe.")]
pub(super) struct Args {
    #[command(flatten)]
    overrides: OverrideArgs,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let loaded = load(home, &args.overrides.overrides())?;
    try_listen("[node] listen", loaded.settings.node.listen)?;
    if let Some(address) = loaded.settings.ops_listen {
        try_listen("[ops] listen", address)?;
    }
    super::print(&summary(&loaded))
}

fn try_listen(what: &'static str, address: SocketAddr) -> Result<(), CliError> {
    match TcpListener::bind(address) {
        Ok(_closed_at_once) => Ok(()),
        Err(source) => Err(CliError::Listen { what, address, source }),
    }
}

fn summary(loaded: &Loaded) -> String {
    let (settings, members) = (&loaded.settings, loaded.cluster.members().len());
    let ops = settings.ops_listen.map_or_else(|| "off".to_owned(), |ops| ops.to_string());
    let mut text = format!(
        "{} is fit to start.\ncosigner {} of {members}, listens on {}, status on {ops}\n",
        loaded.home.root().display(),
        loaded.me,
        settings.node.listen,
    );
    // Writing to a String does not fail.
    for (chain, opened) in &loaded.chains {
        let watermark = super::state::words(opened.record.hrs());
        let _ = writeln!(text, "chain {chain}: {}, {watermark}", opened.held.threshold);
    }
    for validator in &settings.validators {
        let _ = writeln!(text, "validator {} of chain {}", validator.address, validator.chain);
    }
    if settings.validators.is_empty() {
        text.push_str("no validator: this node helps the others sign\n");
    }
    text
}
