//! Why a key was not split.

use std::io;
use std::path::PathBuf;

use crate::backend::KeyFileError;
use crate::cli::NewHomesError;
use crate::cli::add_chain::AddError;
use crate::cli::share::ShareError;
use crate::config::ConfigError;
use crate::frost::deal::DealError;
use crate::types::ThresholdError;

/// Why a key was not split. Nothing is left written then.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// The key file cannot be read.
    #[error("--key-file {path}: cannot be read: {source}", path = path.display())]
    Read {
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
    /// One cosigner.
    #[error(
        "one --cosigner would hold the whole key; name at least two, three for a key that survives the loss of one. \
         A node that signs alone with a whole key is made by `cosigner init`"
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
    /// Unsafe or impossible in the cluster that is there.
    #[error("--threshold {t} in a cluster of {n} members: {source}")]
    Members {
        /// The flag's value.
        t: u16,
        /// Members of the cluster.
        n: usize,
        /// Why.
        source: ThresholdError,
    },
    /// The member list that `--members` names.
    #[error("--members: {0}")]
    List(ConfigError),
    /// `--members` with something that is no member list.
    #[error(
        "--members {path}: {found}. Give cluster.toml, which is the same in the home of each member",
        path = path.display()
    )]
    NotAList {
        /// What was named.
        path: PathBuf,
        /// What is there.
        found: String,
    },
    /// The homes that are there.
    #[error(transparent)]
    Add(#[from] AddError),
    /// The shares' files.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// The split itself.
    #[error(transparent)]
    Deal(DealError),
    /// The homes.
    #[error(transparent)]
    Homes(#[from] NewHomesError),
}

impl SplitError {
    /// Whether the flags or the files that they name are at fault, not this machine.
    pub(in crate::cli) const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Read { .. }
                | Self::Key { .. }
                | Self::WholeKey
                | Self::Threshold { .. }
                | Self::Members { .. }
                | Self::List(_)
                | Self::NotAList { .. }
        )
    }
}
