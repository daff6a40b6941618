//! sled behind one module that is durable.
//!
//! sled's own `flush` reaches the kernel, not the drive: in a power cut it loses acknowledged writes.
//! So every commit here is one atomic sled batch, then `flush`, then `fdatasync` on the database file,
//! by one writer thread that nobody bypasses. Nothing sled-typed leaves this room.

mod batch;
mod directory;
mod error;
#[cfg(test)]
mod power_cut;
mod record;
mod writer;

use std::fs::File;
use std::io;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sled::{Db, IVec};

pub use batch::Batch;
pub use error::StoreError;
pub use record::{MAX_KEY_BYTES, MAX_VALUE_BYTES};
use writer::{Poison, Writer};

/// Memory that sled may fill with pages.
const CACHE_BYTES: u64 = 16 << 20;
/// sled moves a tree node larger than a quarter of this into a file that it never syncs, and a
/// node holds up to 20 values: with [`MAX_VALUE_BYTES`] each they stay below that quarter.
const SEGMENT_BYTES: usize = 2 << 20;
/// How long a lock that is still held is waited for. sled's background threads keep the file open a
/// moment longer than the database that used it.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
/// Pause between two attempts to get the lock.
const LOCK_RETRY: Duration = Duration::from_millis(10);
/// Namespace of the record that says which format the database has.
const FORMAT_NAMESPACE: &str = "store";
const FORMAT_KEY: &[u8] = b"format";
const FORMAT: &[u8] = b"cosigner store 1";

/// One key with its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Makes durable what was written to the file. A parameter so that tests can be the drive.
pub(crate) type SyncFile = Box<dyn FnMut(&File) -> io::Result<()> + Send>;

/// A durable, ordered key-value store in a directory of its own. Clones share it; the last one to be
/// dropped waits for writes that are still queued.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    // Dropped, and joined, before the database handle.
    writer: Writer,
    db: Db,
    poison: Poison,
}

impl Store {
    /// Makes an empty store in a directory that does not exist yet, or is empty.
    ///
    /// # Errors
    /// [`StoreError`] if the directory holds anything, or the disk refuses.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        Self::create_with(path, Box::new(File::sync_data))
    }

    /// Opens a store that was made before. Never makes one: a store that is missing is damage (I2).
    ///
    /// # Errors
    /// [`StoreError`] if it is missing, readable by others, in use, damaged, or the disk refuses.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, Box::new(File::sync_data))
    }

    pub(crate) fn create_with(path: &Path, sync: SyncFile) -> Result<Self, StoreError> {
        directory::make_empty(path)?;
        let store = Self::start(path, Box::new(File::sync_data))?;
        store.commit_blocking(Batch::new().put(FORMAT_NAMESPACE, FORMAT_KEY, FORMAT))?;
        drop(store);
        directory::sync_new(path)?;
        // A database that was opened once is in a better state than a new one: recovery
        // preallocates and syncs the file (measured: closes the window of the first writes).
        Self::open_with(path, sync)
    }

    pub(crate) fn open_with(path: &Path, sync: SyncFile) -> Result<Self, StoreError> {
        directory::check(path)?;
        let store = Self::start(path, sync)?;
        match store.get(FORMAT_NAMESPACE, FORMAT_KEY)? {
            Some(format) if format == FORMAT => Ok(store),
            Some(format) => Err(StoreError::Format {
                path: path.to_owned(),
                found: String::from_utf8_lossy(&format).into_owned(),
                expected: String::from_utf8_lossy(FORMAT).into_owned(),
            }),
            None => Err(StoreError::Incomplete { path: path.to_owned() }),
        }
    }

    fn start(path: &Path, sync: SyncFile) -> Result<Self, StoreError> {
        let db = open_db(path)?;
        // What recovery read may only have been in the page cache of a process that was killed
        // between write and sync; it is made durable before anyone acts on it.
        db.flush().map_err(|error| StoreError::engine("flush after opening", &error))?;
        let file = directory::open_database_file(path)?;
        file.sync_data()
            .map_err(|source| StoreError::io("sync the database file in", path, source))?;
        let poison = Poison::default();
        let writer = Writer::start(db.clone(), file, path, sync, poison.clone())?;
        Ok(Self { shared: Arc::new(Shared { writer, db, poison }) })
    }

    /// The value of a key.
    ///
    /// A value may be seen a moment before its commit is durable, never before it is atomic.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] if the value's checksum does not fit; the first write error after
    /// there was one.
    pub fn get(&self, namespace: &str, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.shared.poison.check()?;
        let stored_key = record::key(namespace, key)?;
        let value =
            self.shared.db.get(&stored_key).map_err(|error| StoreError::engine("read", &error))?;
        value.map(|value| record::open_value(&stored_key, &value)).transpose()
    }

    /// All keys of a range with their values, in ascending order of the keys' bytes.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn scan<'k>(
        &self,
        namespace: &str,
        keys: impl RangeBounds<&'k [u8]>,
    ) -> Result<Vec<Entry>, StoreError> {
        self.shared.poison.check()?;
        let Some(range) = record::range(namespace, keys)? else { return Ok(Vec::new()) };
        self.shared.db.range(range).map(|item| opened(namespace, item)).collect()
    }

    /// The entry with the lowest key of a namespace.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn first(&self, namespace: &str) -> Result<Option<Entry>, StoreError> {
        self.shared.poison.check()?;
        let Some(range) = record::range(namespace, ..)? else { return Ok(None) };
        self.shared.db.range(range).next().map(|item| opened(namespace, item)).transpose()
    }

    /// The entry with the highest key of a namespace.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn last(&self, namespace: &str) -> Result<Option<Entry>, StoreError> {
        self.shared.poison.check()?;
        let Some(range) = record::range(namespace, ..)? else { return Ok(None) };
        self.shared.db.range(range).next_back().map(|item| opened(namespace, item)).transpose()
    }

    /// Queues a batch at once, in the order of the calls; the future ends when it is durable.
    /// Dropping the future does not cancel the write.
    ///
    /// # Errors
    /// [`StoreError`] if a key or value is too large (nothing is written then), or the disk refused:
    /// then this store is finished, every later call fails with the same error.
    pub fn commit(
        &self,
        batch: Batch,
    ) -> impl Future<Output = Result<(), StoreError>> + Send + 'static {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let queued = self.shared.writer.submit(
            batch,
            Box::new(move |result| {
                // The caller may have stopped waiting; the write stands all the same.
                let _ = answer.send(result);
            }),
        );
        let poison = self.shared.poison.clone();
        async move {
            queued?;
            answered.await.unwrap_or_else(|_| Err(poison.first()))
        }
    }

    /// The same for callers outside a runtime: returns when the batch is durable.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<(), StoreError> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        self.shared.writer.submit(
            batch,
            Box::new(move |result| {
                let _ = answer.send(result);
            }),
        )?;
        answered.recv().unwrap_or_else(|_| Err(self.shared.poison.first()))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

/// Opens sled. Only its own lock, held by another process, is waited for.
fn open_db(path: &Path) -> Result<Db, StoreError> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(CACHE_BYTES)
        .segment_size(SEGMENT_BYTES)
        .flush_every_ms(None);
    let patience = Instant::now();
    loop {
        match config.open() {
            Ok(db) => return Ok(db),
            Err(error) if is_lock(&error) => {
                if patience.elapsed() >= LOCK_PATIENCE {
                    return Err(StoreError::InUse { path: path.to_owned() });
                }
                thread::sleep(LOCK_RETRY);
            }
            Err(error) => return Err(StoreError::engine("open", &error)),
        }
    }
}

/// sled has no error of its own for this (`config.rs`, `try_lock`).
fn is_lock(error: &sled::Error) -> bool {
    matches!(error, sled::Error::Io(io) if io.to_string().starts_with("could not acquire lock"))
}

fn opened(namespace: &str, item: Result<(IVec, IVec), sled::Error>) -> Result<Entry, StoreError> {
    let (stored_key, value) = item.map_err(|error| StoreError::engine("read", &error))?;
    let value = record::open_value(&stored_key, &value)?;
    Ok((record::strip(namespace, &stored_key)?, value))
}

#[cfg(test)]
mod tests;
