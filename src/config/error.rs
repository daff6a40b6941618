//! Why a configuration file was refused.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::key_source::KeySourceError;
use super::settings::ServiceError;
use super::text::{key_before, line_of, with_suggestion};
use crate::backend::NotForService;
use crate::types::{
    Algorithm, ChainId, ClusterError, MemberId, PublicKey, PublicKeyError, ThresholdError,
};

/// Why `cosigner.toml` or `cluster.toml` was refused. All of these end with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A share where the key is whole, or the other way round.
    #[error(
        "{file}: cluster.toml says that the key of chain {chain} is {}: set {} here", 
        if *split { "split into shares" } else { "whole, and signs after a majority's grants" },
        if *split { "key = { backend = \"threshold\" }" } else { "key to its backend, as `init` wrote it" },
        file = file.display()
    )]
    OtherKind {
        /// `cosigner.toml`.
        file: PathBuf,
        /// The chain.
        chain: ChainId,
        /// Whether `cluster.toml` has it split.
        split: bool,
    },
    /// A share without the others.
    #[error(
        "{file}{}: chain {chain} has key = {{ backend = \"threshold\" }}, which needs a [node] and a cluster.toml: \
         `split-key` writes both. A node alone has backend = \"file\", \"pkcs11\" or \"awskms\"",
        line.map(|line| format!(":{line}")).unwrap_or_default(), file = file.display()
    )]
    ShareAlone {
        /// `cosigner.toml`.
        file: PathBuf,
        /// Line of its key, from 1, where that is known.
        line: Option<usize>,
        /// The chain.
        chain: ChainId,
    },
    /// A member's home whose `[node]` is gone.
    #[error(
        "{file} has no [node], but {trace} says that this home is a member of a cluster: alone it would sign without \
         asking the others, who may have signed what it does not know. Put [node] back as it was. If the others are \
         stopped for good, make a new home with `cosigner init`, and for --state-height take a height that the chain has \
         not reached", file = file.display(), trace = trace.display()
    )]
    MemberAlone {
        /// `cosigner.toml`.
        file: PathBuf,
        /// What only a member has.
        trace: PathBuf,
    },
    /// Another key than the cluster's.
    #[error(
        "{file}: chain {chain} has public_key = \"{}\", but cluster.toml has \"{}\": one of the two is another \
         validator's; remove public_key here if cluster.toml is right", base64(pinned), base64(listed),
        file = file.display()
    )]
    OtherKey {
        /// `cosigner.toml`.
        file: PathBuf,
        /// The chain.
        chain: ChainId,
        /// In `cosigner.toml`.
        pinned: Box<PublicKey>,
        /// In `cluster.toml`.
        listed: Box<PublicKey>,
    },
    /// A public key where the key is split.
    #[error(
        "{file}:{line}: public_key is for whole keys only; that of chain {chain}, which is split, \
         stands in cluster.toml: remove it here", file = file.display()
    )]
    PinnedShares {
        /// `cosigner.toml`.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The chain.
        chain: ChainId,
    },
    /// Not a public key of the key's algorithm.
    #[error(
        "{file}:{line}: public_key: {source}. It is read as the key's `algorithm` says, ed25519 where nothing is said",
        file = file.display()
    )]
    PublicKey {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Why.
        source: PublicKeyError,
    },
    /// Another algorithm than the cluster's key has.
    #[error(
        "{file}: chain {chain} has a key with algorithm = \"{configured}\" (\"ed25519\" where nothing is said), but \
         the key in cluster.toml is {listed}: set algorithm = \"{listed}\" in `key` here", file = file.display()
    )]
    OtherAlgorithm {
        /// `cosigner.toml`.
        file: PathBuf,
        /// The chain.
        chain: ChainId,
        /// In `cosigner.toml`.
        configured: Algorithm,
        /// In `cluster.toml`.
        listed: Algorithm,
    },
    /// Extensions that only v2 has.
    #[error(
        "{file}:{line}: chain {chain} has non_rp_extensions = true, which only CometBFT v2 knows: \
         say privval_version = \"v2\" if its validators run that, else remove it", file = file.display()
    )]
    NonRpExtensions {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// The chain.
        chain: ChainId,
    },
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
    /// A chain's `key`.
    #[error("{file}:{line}: {source}", file = file.display())]
    Key {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        source: Box<KeySourceError>,
    },
    /// `[service]`.
    #[error("{file}:{line}: {source}", file = file.display())]
    Service {
        /// The file.
        file: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        source: Box<ServiceError>,
    },
    /// A key that is never offered over gRPC.
    #[error(
        "{file}: service key {id:?} {source}. Such a key is never offered over gRPC: remove this [[service.key]], \
         or give it another key", file = file.display()
    )]
    NotForService {
        /// The file.
        file: PathBuf,
        /// The key.
        id: String,
        /// Why.
        source: Box<NotForService>,
    },
    /// Nothing to sign for.
    #[error("{file}: no [[chain]]: add one with the chain's id and its key, as `split-key` and `init` write it", file = file.display())]
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
    /// A chain that the cluster has no key for.
    #[error("{file}: chain {chain} has no [[key]] in cluster.toml; it has: {known}", file = file.display())]
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
        let message = explained(text, error);
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

/// What the parser says, with the key that the value is of, and with what was probably meant.
fn explained(text: &str, error: &toml::de::Error) -> String {
    let mut message = with_suggestion(error.message());
    if message.ends_with("expected a sequence") {
        message.push_str(": such a table stands in two brackets, as in [[chain]]");
    }
    match error.span().and_then(|span| key_before(text, span.start)) {
        Some(key) => format!("`{key}`: {message}"),
        None => message,
    }
}

fn base64(key: &PublicKey) -> String {
    BASE64.encode(key.as_bytes())
}

fn where_to_look(file: &Path) -> &'static str {
    if file.ends_with("cluster.toml") {
        "take it from another member, it is the same on all"
    } else {
        "is --home (or COSIGNER_HOME) the directory that `split-key` or `init` wrote?"
    }
}
