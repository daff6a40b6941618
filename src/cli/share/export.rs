//! `share export`.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::{PassphraseArgs, ShareError};
use crate::cli::CliError;
use crate::cli::add_chain::{AddError, TakenHome};
use crate::cli::address::chain_id;
use crate::config::Home;
use crate::keystore::{ShareContent, ShareHead, seal_share};
use crate::types::ChainId;

/// Write this home's share of one chain's key to a file, under a passphrase
///
/// To carry it to another machine of the same member, into a home with this member's identity in keys/.
/// The watermark is not in it: it is state, and old state never comes back.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  cosigner share export --home /var/lib/cosigner --chain-id osmosis-1 --out osmosis-1.share

Stop the node first. The file is as good as the share to whoever knows the passphrase.")]
pub(in crate::cli) struct Args {
    /// The chain
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: ChainId,
    /// The file to write; never overwritten
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let taken = TakenHome::take(home.root())?;
    let chain = &args.chain_id;
    let refused = |why| ShareError::NotSplit { chain: chain.clone(), why };
    let listed = taken.list.keys().get(chain);
    let listed = listed.ok_or_else(|| refused(": cluster.toml does not have this chain"))?;
    if listed.threshold.is_none() {
        return Err(refused(": it is whole, and where cosigner.toml says").into());
    }
    if !taken.keystore.has_share(chain).map_err(AddError::from)? {
        return Err(refused("").into());
    }
    if args.out.symlink_metadata().is_ok() {
        return Err(ShareError::Exists { path: args.out.clone() }.into());
    }
    let settings = tables_of(&taken, chain).ok_or_else(|| {
        refused(
            ": cosigner.toml has no [[chain]] for it; put that back first, it goes with the share",
        )
    })?;
    let held = taken.keystore.keys(&taken.list, [chain]).map_err(AddError::from)?;
    let held = held.get(chain).ok_or_else(|| refused(""))?;
    let passphrase = args.passphrase.choose().map_err(ShareError::from)?;
    let head = ShareHead {
        member: taken.me,
        members: taken.list.members_hash(),
        serial: taken.list.serial(),
        chain: chain.clone(),
    };
    let content = ShareContent {
        share: held.share.to_bytes(),
        floor: Vec::new(),
        list: taken.list_text.clone(),
        settings,
    };
    let file = seal_share(&head, &content, &passphrase)
        .map_err(|source| ShareError::File { path: args.out.clone(), source })?;
    write_new(&args.out, &file)?;
    crate::cli::print(&format!(
        "The share of member {} of chain {chain} is in {}.\n\
         On the other machine, with the node stopped:\n    \
         cosigner share import {} --state-height H\n\
         H is a height that the chain has not reached. Only one machine may ever run as member {}.\n",
        taken.me,
        args.out.display(),
        args.out.display(),
        taken.me
    ))
}

/// What `cosigner.toml` says about the chain, its validators with it.
fn tables_of(home: &TakenHome, chain: &ChainId) -> Option<String> {
    let mut file: toml::Table = home.settings_text().parse().ok()?;
    let mut of = |table: &str, key: &str| -> Vec<toml::Value> {
        let Some(toml::Value::Array(all)) = file.remove(table) else { return Vec::new() };
        let is_its =
            |one: &toml::Value| one.get(key).and_then(toml::Value::as_str) == Some(chain.as_str());
        all.into_iter().filter(is_its).collect()
    };
    let (chains, validators) = (of("chain", "id"), of("validator", "chain_id"));
    if chains.is_empty() {
        return None;
    }
    let mut tables = toml::Table::new();
    tables.insert("chain".to_owned(), chains.into());
    if !validators.is_empty() {
        tables.insert("validator".to_owned(), validators.into());
    }
    toml::to_string(&tables).ok()
}

/// Private, durable, and never over something.
fn write_new(path: &Path, content: &[u8]) -> Result<(), ShareError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::AlreadyExists => ShareError::Exists { path },
            _ => ShareError::Io { doing: "write", path, source },
        }
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    if let Err(source) = written {
        // The first error is the one to tell.
        let _ = std::fs::remove_file(path);
        return Err(failed(source));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let synced = File::open(directory.unwrap_or(Path::new("."))).and_then(|it| it.sync_all());
    synced.map_err(failed)
}
