//! How commands fail, and the exit code of each failure.

use crate::backend::{FileKeyError, KeyFault, OpenError, SecretFileError};
use crate::config::{ConfigError, HomeError, LoadError, NoiseIdentityError};
use crate::node::NodeError;
use crate::raft::RaftError;
use crate::service::IdentityError;
use crate::types::{Algorithm, ChainId};
use crate::watermark::FileError;

use super::NewHomesError;
use super::add_chain::AddError;
use super::init::InitError;
use super::share::ShareError;
use super::split_key::SplitError;
use super::state::{ExportError, ImportFailure, RaiseError, ResetError};

const FAILED: u8 = 1;
const BAD_USAGE: u8 = 2;
const REFUSED: u8 = 3;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// No `--home`, and no user's home directory.
    #[error("no home: give --home DIR, or set COSIGNER_HOME")]
    NoHome,
    /// The answer could not be written.
    #[error("standard output cannot be written: {0}")]
    Output(std::io::Error),
    /// A manual page.
    #[error("--out: {path}: cannot be written: {source}", path = path.display())]
    Page {
        /// Where.
        path: std::path::PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The home's files.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The home's directories, modes, lock.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Something that `start` needs.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Who we are for `noise://` validators.
    #[error(transparent)]
    NoiseIdentity(#[from] NoiseIdentityError),
    /// `peer-id --new` where there is no home.
    #[error(
        "{file}: not found; --new is for a home that is there, is --home (or COSIGNER_HOME) the right directory? \
         `cosigner split-key` and `cosigner init` make homes, and identity.json with them", file = file.display()
    )]
    NoHomeForIdentity {
        /// What a home has.
        file: std::path::PathBuf,
    },
    /// A watermark file.
    #[error(transparent)]
    Watermark(#[from] FileError),
    /// `state show` of files that cannot be used.
    #[error("{} cannot be used:\n{}", count(files), lines(files))]
    Unusable {
        /// Each, and what is wrong with it.
        files: Vec<FileError>,
    },
    /// `split-key`.
    #[error(transparent)]
    Split(#[from] SplitError),
    /// One more chain in homes that are there.
    #[error(transparent)]
    Add(#[from] AddError),
    /// `share export` and `share import`.
    #[error(transparent)]
    Share(#[from] ShareError),
    /// `init`.
    #[error(transparent)]
    Init(#[from] InitError),
    /// `config check` of a home that is whole, but for a key that cannot be used now.
    #[error("chain {chain}: the key's backend {backend} {fault}")]
    KeyFault {
        /// The chain.
        chain: ChainId,
        /// The backend.
        backend: &'static str,
        /// What is wrong.
        fault: KeyFault,
    },
    /// The same of a key of the gRPC service.
    #[error("service key {id:?}: the key's backend {backend} {fault}")]
    ServiceKeyFault {
        /// The key.
        id: String,
        /// The backend.
        backend: &'static str,
        /// What is wrong.
        fault: KeyFault,
    },
    /// A chain that the home does not have.
    #[error("--chain-id {chain}: this home has no such chain; it has: {known}")]
    UnknownChain {
        /// The chain asked for.
        chain: ChainId,
        /// Chains of the home, separated by commas.
        known: String,
    },
    /// `address --format` of a key that nobody writes like that.
    #[error(
        "chain {chain} has a {algorithm} key, which is not written in this --format; \
         --format all shows the forms that it has"
    )]
    NoSuchForm {
        /// The chain.
        chain: ChainId,
        /// Of its key.
        algorithm: Algorithm,
    },
    /// Several chains, and none named.
    #[error("--chain-id is missing: this home has several chains: {known}")]
    WhichChain {
        /// Chains of the home, separated by commas.
        known: String,
    },
    /// `state raise`.
    #[error(transparent)]
    Raise(#[from] RaiseError),
    /// `state import`.
    #[error(transparent)]
    Import(#[from] ImportFailure),
    /// `state export`.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// `state reset`.
    #[error(transparent)]
    Reset(#[from] ResetError),
    /// `state reset` of what Raft has replicated.
    #[error("the replicated signatures cannot be forgotten, so nothing was reset: {0}")]
    Forget(#[from] RaftError),
    /// An address that another process uses, or that this machine does not have.
    #[error(
        "{what} = \"{address}\" cannot be listened on: {source}; \
         end what uses it (another cosigner?), or change {what} in cosigner.toml"
    )]
    Listen {
        /// The setting.
        what: &'static str,
        /// Its value.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The node.
    #[error(transparent)]
    Node(NodeError),
    /// `--log-level` or `[log] level`.
    #[error("[log] level: {0}")]
    LogLevel(#[from] tracing_subscriber::filter::ParseError),
    /// `status` of a node that serves none.
    #[error("[ops] listen is switched off in this home, so there is nobody to ask")]
    OpsOff,
    /// `status` of a node that does not answer.
    #[error(
        "no answer from http://{address}/status ([ops] listen): {reason}; \
         this node is not running, or it was started with another --ops-listen"
    )]
    NoStatus {
        /// `[ops] listen`.
        address: std::net::SocketAddr,
        /// What went wrong.
        reason: String,
    },
}

impl From<NodeError> for CliError {
    fn from(error: NodeError) -> Self {
        match error {
            NodeError::Listen { what, address, source } => Self::Listen { what, address, source },
            other => Self::Node(other),
        }
    }
}

impl CliError {
    /// What the process ends with.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Output(_) | Self::Page { .. } | Self::NoStatus { .. } => FAILED,
            Self::LogLevel(_) | Self::OpsOff => BAD_USAGE,
            Self::Node(error) if error.is_refusal() => REFUSED,
            Self::Node(_) => FAILED,
            Self::Load(LoadError::Key { source, .. } | LoadError::ServiceKey { source, .. }) => {
                of_open(source)
            }
            Self::NoiseIdentity(error) | Self::Load(LoadError::NoiseIdentity(error)) => {
                of_identity(error)
            }
            Self::Load(LoadError::ServiceIdentity(error)) => of_service_identity(error),
            Self::KeyFault { fault, .. } | Self::ServiceKeyFault { fault, .. } => of_fault(fault),
            Self::NoHome
            | Self::Config(_)
            | Self::NoHomeForIdentity { .. }
            | Self::UnknownChain { .. }
            | Self::NoSuchForm { .. }
            | Self::WhichChain { .. }
            | Self::Listen { .. }
            | Self::Load(LoadError::Config(_)) => BAD_USAGE,
            Self::Home(_)
            | Self::Watermark(_)
            | Self::Unusable { .. }
            | Self::Raise(_)
            | Self::Reset(ResetError::NotConfirmed { .. })
            | Self::Export(ExportError::Exists { .. })
            | Self::Load(_) => REFUSED,
            Self::Split(SplitError::Homes(error)) | Self::Init(InitError::Homes(error)) => {
                of_homes(error)
            }
            Self::Split(SplitError::Add(error))
            | Self::Init(InitError::Add(error))
            | Self::Share(ShareError::Add(error))
            | Self::Add(error) => of_addition(error),
            Self::Split(SplitError::Share(error)) | Self::Share(error) if error.is_usage() => {
                BAD_USAGE
            }
            Self::Share(error) if error.is_failure() => FAILED,
            Self::Share(_) => REFUSED,
            Self::Split(error) if error.is_usage() => BAD_USAGE,
            Self::Split(_) => FAILED,
            Self::Init(InitError::Open { source, .. }) => of_open(source),
            Self::Init(InitError::OtherKey { .. }) => REFUSED,
            Self::Init(_) => BAD_USAGE,
            Self::Forget(_)
            | Self::Reset(ResetError::Input(_))
            | Self::Export(ExportError::Write { .. }) => FAILED,
            Self::Import(error) if error.is_usage() => BAD_USAGE,
            Self::Import(_) => REFUSED,
        }
    }
}

const fn of_homes(error: &NewHomesError) -> u8 {
    match error {
        NewHomesError::Exists { .. } => REFUSED,
        error if error.is_usage() => BAD_USAGE,
        _ => FAILED,
    }
}

const fn of_identity(error: &NoiseIdentityError) -> u8 {
    match error {
        NoiseIdentityError::File(SecretFileError::Loose { .. })
        | NoiseIdentityError::Exists { .. } => REFUSED,
        NoiseIdentityError::Write { .. } => FAILED,
        _ => BAD_USAGE,
    }
}

const fn of_addition(error: &AddError) -> u8 {
    if error.is_failure() {
        FAILED
    } else if error.is_usage() {
        BAD_USAGE
    } else {
        REFUSED
    }
}

const fn of_open(error: &OpenError) -> u8 {
    match error {
        OpenError::Fault { fault, .. } => of_fault(fault),
        OpenError::File(
            FileKeyError::WrongKey { .. } | FileKeyError::File(SecretFileError::Loose { .. }),
        ) => REFUSED,
        OpenError::NotBuilt { .. } | OpenError::File(_) => BAD_USAGE,
    }
}

const fn of_service_identity(error: &IdentityError) -> u8 {
    match error {
        IdentityError::Key(SecretFileError::Loose { .. }) => REFUSED,
        _ => BAD_USAGE,
    }
}

/// A PIN is never tried again by starting again, which would lock the token; what may pass by itself
/// is worth another start.
const fn of_fault(fault: &KeyFault) -> u8 {
    match fault {
        KeyFault::WrongKey { .. } => REFUSED,
        KeyFault::Pin(_) | KeyFault::Unfit(_) => BAD_USAGE,
        _ => FAILED,
    }
}

fn count(files: &[FileError]) -> String {
    match files.len() {
        1 => "a watermark".to_owned(),
        several => format!("{several} watermarks"),
    }
}

fn lines(files: &[FileError]) -> String {
    files.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
