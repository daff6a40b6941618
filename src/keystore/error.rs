//! Why keys were refused.

use std::path::PathBuf;

use crate::store::StoreError;
use crate::types::{CertificatePin, ChainId, MemberId};

/// Why `keys/` was not made, or nothing in it may be used. All of these are about safety: exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// The database underneath.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The directory is missing, damaged or in use.
    #[error("{path}: {source}{}", restore(source), path = path.display())]
    Open {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// Something that belongs there is not.
    #[error("{path}: {what} is missing; bring keys/ (never state/) back from its backup", path = path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
        /// What.
        what: &'static str,
    },
    /// Something there cannot be read.
    #[error("{path}: {what} is damaged; bring keys/ (never state/) back from its backup", path = path.display())]
    Damaged {
        /// The directory.
        path: PathBuf,
        /// What.
        what: &'static str,
    },
    /// No share of this chain's key.
    #[error(
        "{path}: no share of the key of chain {chain}; \
         remove that [[chain]] from cosigner.toml, or use the home that `split-key` wrote for it", path = path.display()
    )]
    NoShare {
        /// The directory.
        path: PathBuf,
        /// The chain.
        chain: ChainId,
    },
    /// The member list has no threshold key for a chain.
    #[error(
        "cluster.toml has no [[key]] with a threshold for chain {chain}; take the file from another member"
    )]
    NotInCluster {
        /// The chain.
        chain: ChainId,
    },
    /// The member list is not the one that the shares were dealt with.
    #[error(
        "cluster.toml is not the one that the shares in {path} were dealt with: {mismatch}. \
         Take cluster.toml from another member, and compare: only addresses may change by hand", path = path.display()
    )]
    NotSealed {
        /// The directory.
        path: PathBuf,
        /// What differs.
        mismatch: Mismatch,
    },
    /// A share that is not this member's.
    #[error(
        "the share of chain {chain} in keys/ is not that of member {me}{}; \
         each home has its own keys/: put the right one here", whose(*other)
    )]
    WrongShare {
        /// The chain.
        chain: ChainId,
        /// This member.
        me: MemberId,
        /// Whose share it is, if anyone's.
        other: Option<MemberId>,
    },
}

/// What differs between `cluster.toml` and the seal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Another number of members.
    #[error("it has {found} members, sealed are {sealed}")]
    Members {
        /// In the file.
        found: usize,
        /// When the shares were dealt.
        sealed: usize,
    },
    /// Another certificate.
    #[error("the certificate of member {member} is {found}, sealed is {sealed}")]
    Certificate {
        /// Whose.
        member: MemberId,
        /// In the file.
        found: CertificatePin,
        /// When the shares were dealt.
        sealed: CertificatePin,
    },
    /// Another threshold (I6).
    #[error("chain {chain}: the threshold is {found}, sealed is {sealed}")]
    Threshold {
        /// The chain.
        chain: ChainId,
        /// In the file.
        found: String,
        /// When the shares were dealt.
        sealed: String,
    },
    /// Another key.
    #[error("chain {chain}: the public key is {found}, sealed is {sealed}")]
    PublicKey {
        /// The chain.
        chain: ChainId,
        /// In the file, hexadecimal.
        found: String,
        /// When the shares were dealt, hexadecimal.
        sealed: String,
    },
    /// Other shares of the same key.
    #[error("chain {chain}: the generation of the shares is {found}, sealed is {sealed}")]
    Generation {
        /// The chain.
        chain: ChainId,
        /// In the file.
        found: u32,
        /// When the shares were dealt.
        sealed: u32,
    },
    /// Public shares that were changed.
    #[error("chain {chain}: the verifying shares are not the sealed ones")]
    VerifyingShares {
        /// The chain.
        chain: ChainId,
    },
    /// Nothing that can be named, and yet another list.
    #[error("the hash of its members is not the sealed one")]
    MembersHash,
}

fn whose(other: Option<MemberId>) -> String {
    match other {
        Some(member) => format!(" but that of member {member}"),
        None => " nor any other's in cluster.toml".to_owned(),
    }
}

const fn restore(source: &StoreError) -> &'static str {
    match source {
        StoreError::InUse { .. } | StoreError::LooseMode { .. } | StoreError::Io { .. } => "",
        _ => "; bring keys/ (never state/) back from its backup",
    }
}
