//! What can go wrong with a store.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{MAX_KEY_BYTES, MAX_VALUE_BYTES};

/// Why a store could not be made, opened, read or written.
///
/// Clonable, because the first write error is the answer to everything that comes after it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory of a new store holds something already.
    #[error("{} is not empty; a store is only made in a new directory", path.display())]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// There is no store.
    #[error("there is no store at {}; a store that should be there and is not is never replaced by an empty one", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The store was never finished, or its beginning is lost.
    #[error("the store at {} has no format record: its creation did not finish, or it is damaged", path.display())]
    Incomplete {
        /// The directory.
        path: PathBuf,
    },
    /// Written by another program or edition.
    #[error("the store at {} has format {found:?}, this program reads {expected:?}", path.display())]
    Format {
        /// The directory.
        path: PathBuf,
        /// Format found.
        found: String,
        /// Format known.
        expected: String,
    },
    /// Others than the owner may look into the directory.
    #[error("{} has mode {mode:04o}, allowed is at most 0700; run: chmod 700 {}", path.display(), path.display())]
    LooseMode {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process has it open.
    #[error("the store at {} is in use by another process; stop that one first", path.display())]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// The system's answer.
        source: Arc<io::Error>,
    },
    /// The database engine refused.
    #[error("the database could not {doing}: {error}")]
    Engine {
        /// What was being done.
        doing: &'static str,
        /// The engine's words.
        error: String,
    },
    /// A value is not what was written.
    #[error("the record {key} is damaged: {fault}; nothing is signed on damaged state")]
    Damaged {
        /// Namespace and key, as hexadecimal.
        key: String,
        /// What is wrong.
        fault: &'static str,
    },
    /// A key, namespace included, is too long.
    #[error(
        "a key of {bytes} bytes in namespace {namespace:?}; at most {MAX_KEY_BYTES} are allowed"
    )]
    KeyTooLarge {
        /// The namespace.
        namespace: String,
        /// Length of both together, in bytes.
        bytes: usize,
    },
    /// A value is too long.
    #[error(
        "a value of {bytes} bytes in namespace {namespace:?}; at most {MAX_VALUE_BYTES} are allowed"
    )]
    ValueTooLarge {
        /// The namespace.
        namespace: String,
        /// Its length, in bytes.
        bytes: usize,
    },
    /// A namespace must have a name.
    #[error("a namespace has 1 to 64 bytes, {0:?} has not")]
    Namespace(String),
    /// The writer thread is gone without having said why.
    #[error("the thread that writes the store has died; restart the cosigner")]
    WriterDied,
}

impl StoreError {
    pub(super) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source: Arc::new(source) }
    }

    pub(super) fn engine(doing: &'static str, error: &sled::Error) -> Self {
        Self::Engine { doing, error: error.to_string() }
    }
}
