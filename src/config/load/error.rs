//! Why a home was not opened.

use std::path::{Path, PathBuf};

use crate::backend::OpenError;
use crate::config::home::{LOST_STATE, shell};
use crate::config::{ConfigError, HomeError, IncarnationError, NoiseIdentityError};
use crate::keystore::KeystoreError;
use crate::peer::IdentityError;
use crate::service;
use crate::store::StoreError;
use crate::types::{CertificatePin, ChainId, MemberId};
use crate::watermark::{Fault, FileError};

/// Why a home was not opened.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// Which keys have signed for a chain cannot be told, so none is offered to others.
    #[error(
        "[service] offers no key before every watermark of this home can be read, since a key that has signed for \
         a chain is never offered: {0}. Without [service] the chains start; a file that was put there by hand goes \
         elsewhere; the chain of a damaged one is put back into cosigner.toml for `cosigner state raise`"
    )]
    ServiceWatermarks(FileError),
    /// The files that people write.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Modes, lock, missing directories.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Who we are for `noise://` validators.
    #[error(transparent)]
    NoiseIdentity(#[from] NoiseIdentityError),
    /// Shares and identity.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// The identity is not one.
    #[error("{path}: {source}", path = path.display())]
    Identity {
        /// The keys' directory.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// The identity is another member's.
    #[error(
        "the identity in {path} has the certificate {found}, but member {me} is pinned to {pinned} \
         in cluster.toml: keys/ belongs to another home, put this home's own there", path = path.display()
    )]
    WrongIdentity {
        /// The keys' directory.
        path: PathBuf,
        /// Member of the settings.
        me: MemberId,
        /// Its pin in the list.
        pinned: CertificatePin,
        /// The identity's.
        found: CertificatePin,
    },
    /// The keys are another member's.
    #[error(
        "cosigner.toml says [node] id = {configured}, but {path} holds the keys of member {keys}: \
         each home has its own keys/ and its own id, put the right ones together", path = path.display()
    )]
    WrongMember {
        /// The keys' directory.
        path: PathBuf,
        /// Member of the settings.
        configured: MemberId,
        /// Member of the keys.
        keys: MemberId,
    },
    /// A whole key.
    #[error("chain {chain}: {source}")]
    Key {
        /// The chain.
        chain: ChainId,
        /// Why.
        source: Box<OpenError>,
    },
    /// A key of the gRPC service.
    #[error("service key {id:?}: {source}")]
    ServiceKey {
        /// The key.
        id: String,
        /// Why.
        source: Box<OpenError>,
    },
    /// The certificate of the gRPC service.
    #[error("[service] TLS: {0}")]
    ServiceIdentity(#[from] service::IdentityError),
    /// Another node of this machine uses the key's file.
    #[error(
        "{path}: another cosigner on this machine signs with this key file. Two that do not ask each other \
         would sign two blocks: stop the other one for good, or make a cluster of them with `cosigner init`", path = path.display()
    )]
    KeyInUse {
        /// The key file.
        path: PathBuf,
    },
    /// Two chains of a node alone with one key file.
    #[error(
        "chain {chain}: {path}: chain {other} of this home has this key file already. A key has one watermark, for \
         one chain, or its signer for the one chain could be used against the other: give chain {chain} a key of its \
         own, or remove its [[chain]] from cosigner.toml", path = path.display()
    )]
    SameKeyFile {
        /// The chain that is refused.
        chain: ChainId,
        /// The chain that has the file.
        other: ChainId,
        /// The key file.
        path: PathBuf,
    },
    /// The key's file cannot be locked.
    #[error("{path}: cannot be locked: {source}", path = path.display())]
    KeyLock {
        /// The key file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A share where the settings and the member list say that the key is whole.
    #[error(
        "{path} holds a share of the key of chain {chain}, which cosigner.toml and cluster.toml say is whole: \
         put cluster.toml back as `split-key` wrote it, and key = {{ backend = \"threshold\" }}", path = path.display()
    )]
    IsSplit {
        /// The keys' directory.
        path: PathBuf,
        /// The chain.
        chain: ChainId,
    },
    /// Nothing says which key a chain has.
    #[error("chain {chain}: cluster.toml has no key that this node could use")]
    NoKey {
        /// The chain.
        chain: ChainId,
    },
    /// A watermark that is missing or damaged (I2).
    #[error("chain {chain}: {source}{}", watermark_remedy(home, chain, &source.fault))]
    Watermark {
        /// The chain.
        chain: ChainId,
        /// The home.
        home: PathBuf,
        /// Why, and what to do.
        source: Box<FileError>,
    },
    /// The state's database.
    #[error("{path}: {source}{}", if is_lost(source) { LOST_STATE } else { "" }, path = path.display())]
    State {
        /// The state's database.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The state's owner and incarnation.
    #[error("{path}: {source}{}", if is_foreign(source) { "" } else { LOST_STATE }, path = path.display())]
    Incarnation {
        /// The state's database.
        path: PathBuf,
        /// Why.
        source: IncarnationError,
    },
}

impl LoadError {
    /// Whether another node of this machine uses the key's file.
    pub(super) const fn is_in_use(&self) -> bool {
        matches!(self, Self::KeyInUse { .. })
    }
}

const fn is_lost(source: &StoreError) -> bool {
    !matches!(source, StoreError::InUse { .. } | StoreError::LooseMode { .. })
}

const fn is_foreign(source: &IncarnationError) -> bool {
    matches!(source, IncarnationError::OtherMember { .. } | IncarnationError::OtherSplit { .. })
}

/// The command in full, for this home.
fn watermark_remedy(home: &Path, chain: &ChainId, fault: &Fault) -> String {
    let verb = match fault {
        Fault::Missing => "init",
        Fault::Length { .. }
        | Fault::BothSlotsDamaged
        | Fault::OneSlotDamaged { .. }
        | Fault::SequenceGap { .. } => "raise",
        _ => return String::new(),
    };
    let (home, chain) = (shell(&home.display().to_string()), shell(chain.as_str()));
    format!(". In full: cosigner state {verb} --home {home} --chain-id {chain} --height H")
}
