//! Why homes were not made.

use std::io;
use std::path::PathBuf;

use crate::config::{HostPort, NoiseIdentityError};
use crate::keystore::KeystoreError;
use crate::peer::IdentityError;
use crate::privval::noise;
use crate::raft::RaftError;
use crate::store::StoreError;
use crate::types::ClusterError;
use crate::watermark::{FileError, ImportError};

/// Why homes were not made. Nothing is left written then.
#[derive(Debug, thiserror::Error)]
pub enum NewHomesError {
    /// The state file cannot be read.
    #[error("--state-file {path}: cannot be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
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
         If it has signed, this file was reset: find the real one, or give the height that the chain has now: \
         --state-height H", path = path.display()
    )]
    NothingSigned {
        /// The file.
        path: PathBuf,
    },
    /// Two cosigners at one place.
    #[error("--cosigner {0} is named twice; each cosigner has an address of its own")]
    SameCosigner(HostPort),
    /// A validator named twice.
    #[error("--validator {0} is named twice; remove one")]
    SameValidator(String),
    /// There is something already.
    #[error(
        "{path} exists already, and homes are never overwritten: give another {flag}, \
         or move away what is there if you are sure that no cosigner runs with it", path = path.display()
    )]
    Exists {
        /// The first that is there.
        path: PathBuf,
        /// The flag that says where to write.
        flag: &'static str,
    },
    /// The members do not make a cluster.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// No randomness.
    #[error("no randomness from the system: {0}")]
    Randomness(getrandom::Error),
    /// No identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The identity towards validators that is in the home already.
    #[error(transparent)]
    NoiseIdentity(#[from] NoiseIdentityError),
    /// No new identity towards validators.
    #[error("no identity for noise:// validators: {0}")]
    NoNoiseIdentity(noise::IdentityError),
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

impl NewHomesError {
    /// Whether the flags or the files that they name are at fault, not this machine.
    pub(in crate::cli) const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Read { .. }
                | Self::State { .. }
                | Self::NothingSigned { .. }
                | Self::SameCosigner(_)
                | Self::SameValidator(_)
                | Self::NoiseIdentity(_)
        )
    }
}
