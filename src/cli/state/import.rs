//! `state import`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::config::{Home, take_state};
use crate::types::{ChainId, Hrs, PublicKey};
use crate::watermark::{
    Dialect, Fault, ImportError, Mark, Record, WatermarkFile, highest, peek, read_state,
};

use super::{if_member, key_of, now, refused, verifies, words};
use crate::cli::CliError;
use crate::cli::address::chain_id;

/// No state file of any program is longer.
const LONGEST_FILE_BYTES: u64 = 65_536;

/// Begin where another program stopped, or raise the watermark to what its state files say
///
/// The home is there already: `init` or `split-key` has made it, beginning below what the files say.
/// Of several files the highest counts; with Horcrux give the files of all its cosigners. The watermark
/// only ever goes up: files that are lower than what is here are refused. A home without a watermark
/// for the chain gets one. Where files name the same height, round and step with different sign bytes,
/// or without any, nothing is signed at exactly that step any more.
///
/// Sign bytes of another chain, and signatures of another key, are refused.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Files:
  cometbft   data/priv_validator_state.json, also what `cosigner state export` writes
  horcrux    state/CHAIN_priv_validator_state.json and state/CHAIN_share_sign_state.json, of all cosigners
  tmkms      CHAIN_priv_validator_state.json (chain.state_file)
  cometkms   priv/priv_validator_state.json, of all nodes
  kms        state/CHAIN.json (chains[].state_file)

Examples:
  cosigner state import --from cometbft --home /var/lib/cosigner ~/.gaia/data/priv_validator_state.json
  cosigner state import --from tmkms /opt/tmkms/state/cosmoshub-4-consensus.json
  cosigner state import --from horcrux --chain-id cosmoshub-4 cosigner-*/state/cosmoshub-4_*_state.json

Stop the other program for good first, then copy its files; stop this node, too. Import the same files
into every cosigner of a cluster. Step by step for each program: docs/migrate.md")]
pub(in crate::cli) struct Args {
    /// The chain; may be left out if this home has only one
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: Option<ChainId>,
    /// The program that wrote the files
    #[arg(long, value_name = "PROGRAM")]
    from: Program,
    /// Its state files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Program {
    Cometbft,
    Horcrux,
    Tmkms,
    Cometkms,
    Kms,
}

/// Why nothing was imported. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ImportFailure {
    /// A file cannot be read.
    #[error("{path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too long to be one.
    #[error("{path}: more than {LONGEST_FILE_BYTES} bytes are no state file", path = path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// A file says something else than it should.
    #[error(
        "{path}: {source}. If you know from elsewhere where the chain is, `cosigner state raise --height H` \
         does without the file (`cosigner state init --height H` in a home without a watermark)", path = path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ImportError,
    },
    /// It would lower the watermark (I2).
    #[error(
        "chain {chain}: this home has: {}; the files say: {}. That is lower, and the watermark never goes down: \
         nothing is imported", words(Some(*recorded)), words(*found)
    )]
    Lower {
        /// The chain.
        chain: ChainId,
        /// The watermark.
        recorded: Hrs,
        /// The highest of the files.
        found: Option<Hrs>,
    },
    /// Beginning from nothing must be said, not found in a file (I2).
    #[error(
        "chain {chain}: the files say that this key has never signed; if that is really so, run \
         `cosigner state init --never-signed`. If it has signed, they were reset: find the real ones"
    )]
    NothingSigned {
        /// The chain.
        chain: ChainId,
    },
}

impl ImportFailure {
    /// Whether the flags or the files that they name are at fault, and nothing unsafe was asked.
    pub(in crate::cli) const fn is_usage(&self) -> bool {
        match self {
            Self::Read { .. } | Self::TooLong { .. } => true,
            Self::File { source, .. } => !source.is_foreign(),
            Self::Lower { .. } | Self::NothingSigned { .. } => false,
        }
    }
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let taken = take_state(home)?;
    let (chain, key) = key_of(&taken.keys, args.chain_id.as_ref())?;
    let mut text = String::new();
    let mut marks = Vec::new();
    for path in &args.files {
        let mark = read(path, args.from.dialect(), chain, key)?;
        // Writing to a String does not fail.
        let _ = writeln!(text, "{}: {}", path.display(), described(mark.as_ref()));
        marks.push(mark);
    }
    let outcome = import(home, chain, key, highest(marks))?;
    let _ = writeln!(text, "chain {chain}: {outcome}");
    text.push_str("The program that wrote these files must never sign with this key again.\n");
    text.push_str(if_member(
        &taken,
        "Import the same files into the other cosigners of this cluster, too.\n",
    ));
    crate::cli::print(&text)
}

fn read(
    path: &Path,
    dialect: Dialect,
    chain: &ChainId,
    key: &PublicKey,
) -> Result<Option<Mark>, ImportFailure> {
    let failed = |source| ImportFailure::Read { path: path.to_owned(), source };
    let mut json = String::new();
    let file = File::open(path).map_err(failed)?;
    // One byte more tells a file that is too long from one that just fits.
    file.take(LONGEST_FILE_BYTES + 1).read_to_string(&mut json).map_err(failed)?;
    if json.len() as u64 > LONGEST_FILE_BYTES {
        return Err(ImportFailure::TooLong { path: path.to_owned() });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let verify = |message: &[u8], signature: &[u8]| verifies(key, message, signature);
    read_state(dialect, &name, &json, chain, &verify)
        .map_err(|source| ImportFailure::File { path: path.to_owned(), source })
}

/// Raises or makes the watermark; says what was done.
fn import(
    home: &Home,
    chain: &ChainId,
    key: &PublicKey,
    found: Option<Mark>,
) -> Result<String, CliError> {
    let (dir, id) = (home.watermarks(), key.id());
    let refused = |source| refused(home, chain, source);
    // The lock keeps everybody else from writing between this look and the write. A look alone
    // changes nothing, so neither does a refusal.
    let recorded = match peek(&dir, chain, &id) {
        Ok(stored) => stored.record,
        Err(error) if matches!(error.fault, Fault::Missing) => {
            let Some(mark) = found else {
                return Err(ImportFailure::NothingSigned { chain: chain.clone() }.into());
            };
            let record = Record::at_mark(mark, now());
            WatermarkFile::create(&dir, chain, &id, &record).map_err(refused)?;
            return Ok(format!("began with {}", described(record.mark())));
        }
        Err(error) => return Err(refused(error)),
    };
    // I2: `None`, never signed, is the least.
    let at = found.as_ref().map(Mark::hrs);
    if let Some(hrs) = recorded.hrs().filter(|hrs| at < Some(*hrs)) {
        return Err(ImportFailure::Lower { chain: chain.clone(), recorded: hrs, found: at }.into());
    }
    // I1: at the height, round and step that is recorded already, both must name the same content.
    let merged = highest([recorded.mark().cloned(), found]);
    let Some(mark) = merged.filter(|mark| recorded.mark() != Some(mark)) else {
        return Ok(format!("nothing to raise: {}", described(recorded.mark())));
    };
    let (mut file, ..) = WatermarkFile::open(&dir, chain, &id).map_err(refused)?;
    file.write(&Record::at_mark(mark, now())).map_err(refused)?;
    let (before, after) = (described(recorded.mark()), described(file.record().mark()));
    Ok(format!("raised\nbefore: {before}\nnow: {after}"))
}

fn described(mark: Option<&Mark>) -> String {
    let text = words(mark.map(Mark::hrs));
    match mark {
        Some(mark) if mark.fields().is_none() && !super::is_floor(mark.hrs()) => {
            format!("{text}, not known what was signed there")
        }
        _ => text,
    }
}

impl Program {
    const fn dialect(self) -> Dialect {
        match self {
            Self::Cometbft => Dialect::CometBft,
            Self::Horcrux => Dialect::Horcrux,
            Self::Tmkms => Dialect::Tmkms,
            Self::Cometkms => Dialect::CometKms,
            Self::Kms => Dialect::Kms,
        }
    }
}
