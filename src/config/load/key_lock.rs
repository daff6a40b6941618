//! One node alone for each key file.
//!
//! Two nodes alone with one key would each go by its own watermark and sign two blocks. Where both are
//! on one machine the file itself tells: a node alone holds its lock for itself.

use std::fs::{File, TryLockError};

use super::LoadError;
use crate::backend::{FileSource, Source};

/// Held while a node uses a key file. The kernel frees it with the process.
#[derive(Debug)]
pub struct KeyFileLock {
    _file: File,
}

/// Who else may use the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Members of a cluster, who grant to each other.
    Members,
    /// No other node.
    Nobody,
}

impl KeyFileLock {
    /// `None` for keys that are in no file.
    pub(super) fn take(source: &Source, sharing: Sharing) -> Result<Option<Self>, LoadError> {
        let Source::File(FileSource { path }) = source else { return Ok(None) };
        let failed = |source| LoadError::KeyLock { path: path.clone(), source };
        let file = File::open(path).map_err(failed)?;
        let taken = match sharing {
            Sharing::Members => file.try_lock_shared(),
            Sharing::Nobody => file.try_lock(),
        };
        match taken {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(LoadError::KeyInUse { path: path.clone() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}
