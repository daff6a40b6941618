//! Why a share was not carried.

use std::io;
use std::path::PathBuf;

use crate::cli::add_chain::AddError;
use crate::keystore::ShareFileError;
use crate::types::{ChainId, Hrs, MemberId};

/// Why a share was not written to a file, or not taken from one.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// The home.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The share's file.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ShareFileError,
    },
    /// The passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
    /// A file for somebody else.
    #[error("{path}: this is the share of member {found}, and this home is member {me}'s: take it to that member's machine, and cosigner-{me}.share here", path = path.display())]
    OtherMember {
        /// The file.
        path: PathBuf,
        /// Whose share.
        found: MemberId,
        /// Whose home.
        me: MemberId,
    },
    /// A file whose parts do not fit.
    #[error("{path}: {what}: the file was not written by `cosigner`, or by a later release of it", path = path.display())]
    Contradicts {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// A height that is too low to be the present one.
    #[error(
        "--state-height is below what {path} brings ({} below {}): take a height that the chain has not reached",
        hrs(told), hrs(brought), path = path.display()
    )]
    BelowFloor {
        /// The file.
        path: PathBuf,
        /// What --state-height says.
        told: Option<Hrs>,
        /// What is in the file.
        brought: Option<Hrs>,
    },
    /// A chain without a share here.
    #[error("chain {chain}: this home has no share of its key to export{why}")]
    NotSplit {
        /// The chain.
        chain: ChainId,
        /// What is known of it.
        why: &'static str,
    },
    /// Something is there.
    #[error("{path} exists already, and shares are never overwritten: give another --out", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// A file could not be read or written.
    #[error("could not {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Why there is no passphrase.
#[derive(Debug, thiserror::Error)]
pub enum PassphraseError {
    /// Nobody can be asked.
    #[error(
        "there is no terminal to ask for the passphrase on: give --passphrase-file FILE (or COSIGNER_PASSPHRASE_FILE)"
    )]
    NoTerminal,
    /// A slip, most likely.
    #[error("the two passphrases differ; nothing was written")]
    Differ,
    /// Others may have read it.
    #[error("others on this machine may read {path} (mode {mode:04o}); run: chmod 0600 {path}", path = path.display())]
    Loose {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Not a text in one line.
    #[error("--passphrase-file {path}: a passphrase is one line of UTF-8, of at most 1024 bytes", path = path.display())]
    NotOne {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("--passphrase-file {path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Too short.
    #[error(transparent)]
    Unfit(#[from] ShareFileError),
}

impl ShareError {
    /// Whether the flags or the files that they name are at fault.
    pub(in crate::cli) const fn is_usage(&self) -> bool {
        match self {
            Self::File { source, .. } => {
                matches!(source, ShareFileError::NotOne | ShareFileError::Version)
            }
            Self::Passphrase(PassphraseError::Loose { .. }) => false,
            Self::Passphrase(_) | Self::NotSplit { .. } => true,
            _ => false,
        }
    }

    /// Whether this machine refused.
    pub(in crate::cli) const fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Io { .. }
                | Self::File {
                    source: ShareFileError::Randomness(_) | ShareFileError::Derive(_),
                    ..
                }
        )
    }
}

fn hrs(hrs: &Option<Hrs>) -> String {
    hrs.map_or_else(|| "nothing".to_owned(), |hrs| hrs.to_string())
}
