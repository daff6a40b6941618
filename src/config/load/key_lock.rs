//! One node alone for each key file.
//!
//! Two nodes alone with one key would each go by its own watermark and sign two blocks. Where both are
//! on one machine the file itself tells: a node alone holds its lock for itself.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::LoadError;
use crate::backend::{FileSource, Granted, KeyFault, ServiceMessage, Signatures, Source, WholeKey};
use crate::config::{ChainSettings, KeySource};
use crate::privval::RawAllowed;
use crate::types::{ChainId, PublicKey, Signature};

/// A key in a file, used under the file's lock alone. The kernel frees it with the process.
pub(super) struct LockedKey {
    path: PathBuf,
    sharing: Sharing,
    /// `None` as long as there is no file.
    lock: Option<File>,
    key: Box<dyn WholeKey>,
}

/// Who else may use the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Members of a cluster, who grant to each other.
    Members,
    /// No other node.
    Nobody,
}

/// Refuses one key file for two chains of a node alone: it would get two watermarks, and the file's lock
/// would take this node itself for another one.
pub(super) fn one_chain_each(chains: &[ChainSettings]) -> Result<(), LoadError> {
    let mut seen: BTreeMap<Place, &ChainId> = BTreeMap::new();
    for chain in chains {
        let KeySource::Whole(Source::File(FileSource { path, .. })) = &chain.key else { continue };
        if let Some(other) = seen.insert(Place::of(path), &chain.id) {
            let (chain, other, path) = (chain.id.clone(), other.clone(), path.clone());
            return Err(LoadError::SameKeyFile { chain, other, path });
        }
    }
    Ok(())
}

/// What makes two paths the same file, whatever links lead to it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    File {
        device: u64,
        inode: u64,
    },
    /// Not there yet.
    Path(PathBuf),
}

impl Place {
    fn of(path: &Path) -> Self {
        match fs::metadata(path) {
            Ok(file) => Self::File { device: file.dev(), inode: file.ino() },
            Err(_) => Self::Path(path.to_owned()),
        }
    }
}

impl LockedKey {
    /// Takes the lock of a key that is in a file. A file that is not there is locked when it comes.
    pub(super) fn take(
        source: &Source,
        sharing: Sharing,
        key: Box<dyn WholeKey>,
    ) -> Result<Box<dyn WholeKey>, LoadError> {
        let mut locked = match Self::of(source, sharing, key) {
            Ok(locked) => locked,
            Err(key) => return Ok(key),
        };
        match locked.lock() {
            Ok(()) => {}
            // Nothing was read from it either: both are done when it is there.
            Err(LoadError::KeyLock { .. }) if locked.key.health().is_err() => {}
            Err(refused) => return Err(refused),
        }
        Ok(Box::new(locked))
    }

    /// The same for a key whose lock is taken with its first use.
    pub(super) fn when_used(
        source: &Source,
        sharing: Sharing,
        key: Box<dyn WholeKey>,
    ) -> Box<dyn WholeKey> {
        match Self::of(source, sharing, key) {
            Ok(locked) => Box::new(locked),
            Err(key) => key,
        }
    }

    /// Not locked yet; gives back a key that is in no file.
    fn of(
        source: &Source,
        sharing: Sharing,
        key: Box<dyn WholeKey>,
    ) -> Result<Self, Box<dyn WholeKey>> {
        match source {
            Source::File(FileSource { path, .. }) => {
                Ok(Self { path: path.clone(), sharing, lock: None, key })
            }
            _ => Err(key),
        }
    }

    fn lock(&mut self) -> Result<(), LoadError> {
        if self.lock.is_some() {
            return Ok(());
        }
        let failed = |source| LoadError::KeyLock { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(failed)?;
        let taken = match self.sharing {
            Sharing::Members => file.try_lock_shared(),
            Sharing::Nobody => file.try_lock(),
        };
        match taken {
            Ok(()) => {
                self.lock = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => Err(LoadError::KeyInUse { path: self.path.clone() }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The key, once its file is locked. What is wrong with the file is told as the key tells it.
    fn locked(&mut self) -> Result<&mut Box<dyn WholeKey>, KeyFault> {
        match self.lock() {
            Ok(()) => Ok(&mut self.key),
            Err(refused) => {
                let told = self.key.health().err().filter(|_| !refused.is_in_use());
                Err(told.unwrap_or_else(|| KeyFault::Other(refused.to_string())))
            }
        }
    }
}

impl WholeKey for LockedKey {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault> {
        self.locked()?.sign(granted)
    }

    fn sign_raw(&mut self, allowed: RawAllowed) -> Result<Signature, KeyFault> {
        self.locked()?.sign_raw(allowed)
    }

    fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
        self.locked()?.sign_service(message)
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        self.locked()?.health()
    }

    fn message_limit(&self) -> Option<usize> {
        self.key.message_limit()
    }
}
