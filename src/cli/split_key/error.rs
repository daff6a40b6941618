//! Why a key was not split.

use std::io;
use std::path::PathBuf;

use crate::config::HostPort;
use crate::frost::deal::DealError;
use crate::keystore::KeystoreError;
use crate::peer::IdentityError;
use crate::raft::RaftError;
use crate::store::StoreError;
use crate::types::{ClusterError, ThresholdError};
use crate::watermark::{FileError, ImportError};

use super::key_file::KeyFileError;

/// Why a key was not split. Nothing is left written then.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// A file given by a flag cannot be read.
    #[error("{flag} {path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The flag.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not a key that can be split.
    #[error("--key-file {path}: {source}", path = path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        source: KeyFileError,
    },
    /// Not a state that can be begun from.
    #[error("--state-file {path}: {source}", path = path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImportError,
    },
    /// A state file from before the first signature, or one that was reset.
    #[error(
        "--state-file {path} says that this key has never signed; if that is really so, say --never-signed instead. \
         If the validator has signed, this file was reset: find the real one, or write the height that the chain has now", path = path.display()
    )]
    NothingSigned {
        /// The file.
        path: PathBuf,
    },
    /// One cosigner.
    #[error(
        "one --cosigner would hold the whole key; name at least two, three for a key that survives the loss of one"
    )]
    WholeKey,
    /// Unsafe or impossible.
    #[error("--threshold {t} with {n} times --cosigner: {source}")]
    Threshold {
        /// The flag's value.
        t: u16,
        /// How many cosigners were named.
        n: usize,
        /// Why.
        source: ThresholdError,
    },
    /// Two cosigners at one place.
    #[error("--cosigner {0} is named twice; each cosigner has an address of its own")]
    SameCosigner(HostPort),
    /// A validator named twice.
    #[error("--validator {0} is named twice; remove one")]
    SameValidator(String),
    /// There are homes already.
    #[error(
        "{path} exists already, and shares are never overwritten: give another --out, \
         or move away what is there if you are sure that no cosigner runs with it", path = path.display()
    )]
    Exists {
        /// The first that is there.
        path: PathBuf,
    },
    /// The split itself.
    #[error(transparent)]
    Deal(DealError),
    /// The members do not make a cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// No randomness.
    #[error("no randomness from the system: {0}")]
    Randomness(getrandom::Error),
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// keys/ could not be written.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// state/ could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The Raft state could not be written.
    #[error(transparent)]
    Raft(#[from] RaftError),
    /// A watermark could not be written.
    #[error(transparent)]
    Watermark(#[from] FileError),
    /// A file could not be written.
    #[error("could not {doing} {path}: {source}", path = path.display())]
    Write {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl SplitError {
    /// Whether the flags or the files that they name are at fault, not this machine.
    pub(in crate::cli) const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Read { .. }
                | Self::Key { .. }
                | Self::State { .. }
                | Self::NothingSigned { .. }
                | Self::WholeKey
                | Self::Threshold { .. }
                | Self::SameCosigner(_)
                | Self::SameValidator(_)
        )
    }
}
