//! Why a configuration file was refused.

use std::path::{Path, PathBuf};

use crate::types::{ChainId, ClusterError, MemberId, ThresholdError};

use super::text::line_of;

/// Why `cosigner.toml` or `cluster.toml` was refused. All of these end with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there.
    #[error("{file}: not found; {}", where_to_look(file), file = file.display())]
    Missing {
        /// The file.
        file: PathBuf,
    },
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}", file = file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML, an unknown key, a value of the wrong type or one that its key does not take.
    #[error("{file}:{line}: {message}", file = file.display())]
    Text {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        message: String,
    },
    /// A backend that this version does not have.
    #[error("{file}:{line}: backend {backend:?} is not in this version; use {{ backend = \"threshold\" }}", file = file.display())]
    Backend {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The backend asked for.
        backend: String,
    },
    /// A `key` table without, or with more than, what a threshold key takes.
    #[error("{file}:{line}: a chain's key is {{ backend = \"threshold\" }}, with nothing more; found {found:?}", file = file.display())]
    KeyTable {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The key that does not belong there, or what is missing.
        found: String,
    },
    /// Nothing to sign for.
    #[error("{file}: no [[chain]]: add one with the chain's id and key = {{ backend = \"threshold\" }}", file = file.display())]
    NoChain {
        /// The file.
        file: PathBuf,
    },
    /// One chain, configured twice.
    #[error("{file}:{line}: chain {chain} stands here a second time; remove one", file = file.display())]
    SameChain {
        /// The file.
        file: PathBuf,
        /// Line of the second one, from 1.
        line: usize,
        /// The chain.
        chain: ChainId,
    },
    /// A validator of a chain that is not configured.
    #[error("{file}:{line}: this validator's chain_id is {chain}, but there is no [[chain]] with that id", file = file.display())]
    ValidatorChain {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The chain.
        chain: ChainId,
    },
    /// Two connections to one address would fight for its one slot.
    #[error("{file}:{line}: validator {address} stands here a second time; remove one", file = file.display())]
    SameValidator {
        /// The file.
        file: PathBuf,
        /// Line of the second one, from 1.
        line: usize,
        /// The address.
        address: String,
    },
    /// `--validator` does not say for which of several chains.
    #[error(
        "--validator (or COSIGNER_VALIDATOR) replaces the list of a home with one chain, this one has {chains}: \
         write [[validator]] into cosigner.toml instead"
    )]
    WhichChain {
        /// Chains in the file.
        chains: usize,
    },
    /// `--validator` names one address twice.
    #[error("--validator (or COSIGNER_VALIDATOR) names {address} twice; remove one")]
    SameValidatorFlag {
        /// The address.
        address: String,
    },
    /// A member list of another format.
    #[error("{file}:{line}: version {found} is not known here (only 1 is); use the release that wrote this file, or a later one", file = file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Version found.
        found: u64,
    },
    /// A threshold that allows two signatures, or none.
    #[error("{file}:{line}: {source}", file = file.display())]
    Threshold {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Why.
        source: ThresholdError,
    },
    /// The members and keys do not fit together.
    #[error("{file}: {source}; take the file from another member, it is the same on all", file = file.display())]
    Cluster {
        /// The file.
        file: PathBuf,
        /// Why.
        source: ClusterError,
    },
    /// This node is not in the list.
    #[error("{file}: [node] id = {id}, but cluster.toml has members 1 to {members}", file = file.display())]
    NotAMember {
        /// The file.
        file: PathBuf,
        /// The id.
        id: MemberId,
        /// Members in cluster.toml.
        members: usize,
    },
    /// A moved member that is not in the list.
    #[error("{file}: [node] addresses names member {id}, but cluster.toml has members 1 to {members}", file = file.display())]
    MovedStranger {
        /// The file.
        file: PathBuf,
        /// The id.
        id: MemberId,
        /// Members in cluster.toml.
        members: usize,
    },
    /// A chain that the cluster has no shares for.
    #[error("{file}: chain {chain} has no [[key]] with a threshold in cluster.toml; it has: {known}", file = file.display())]
    NoKey {
        /// The file.
        file: PathBuf,
        /// The chain.
        chain: ChainId,
        /// Chains of cluster.toml, separated by commas.
        known: String,
    },
}

impl ConfigError {
    /// Makes a parser's error one that names file and line.
    pub(super) fn from_toml(file: &Path, text: &str, error: &toml::de::Error) -> Self {
        let line = error.span().map_or(1, |span| line_of(text, span.start));
        let message = super::text::with_suggestion(error.message());
        Self::Text { file: file.to_owned(), line, message }
    }

    /// Makes an I/O error one that names the file.
    pub(super) fn from_io(file: &Path, source: std::io::Error) -> Self {
        let file = file.to_owned();
        if source.kind() == std::io::ErrorKind::NotFound {
            Self::Missing { file }
        } else {
            Self::Read { file, source }
        }
    }
}

fn where_to_look(file: &Path) -> &'static str {
    if file.ends_with("cluster.toml") {
        "take it from another member, it is the same on all"
    } else {
        "is --home (or COSIGNER_HOME) the directory that `split-key` wrote?"
    }
}
