//! The one thread that writes.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

use sled::Db;

use super::{Batch, StoreError, SyncFile};

/// Told when a batch is durable, or why it is not.
pub(super) type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;

/// The first write error. After a failed write or fsync nobody knows what the disk holds, so there is
/// no second try and no later success: the process has to be restarted, and recovery to look.
#[derive(Clone, Default)]
pub(super) struct Poison(Arc<OnceLock<StoreError>>);

/// Queue and handle of the thread.
pub(super) struct Writer {
    queue: Option<Sender<(Batch, Answer)>>,
    thread: Option<JoinHandle<()>>,
    poison: Poison,
}

/// What the thread owns.
struct Disk {
    db: Db,
    file: File,
    path: PathBuf,
    sync: SyncFile,
    poison: Poison,
}

impl Poison {
    /// The first error, if there was one.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.0.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// The first error; if none is known the thread died without a word.
    pub(super) fn first(&self) -> StoreError {
        self.0.get_or_init(|| StoreError::WriterDied).clone()
    }

    fn set(&self, error: StoreError) -> StoreError {
        self.0.get_or_init(|| error).clone()
    }
}

impl Writer {
    pub(super) fn start(
        db: Db,
        file: File,
        path: &Path,
        sync: SyncFile,
        poison: Poison,
    ) -> Result<Self, StoreError> {
        let (queue, work) = mpsc::channel();
        let disk = Disk { db, file, path: path.to_owned(), sync, poison: poison.clone() };
        let thread = thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || disk.run(&work))
            .map_err(|error| StoreError::io("start the writer thread for", path, error))?;
        Ok(Self { queue: Some(queue), thread: Some(thread), poison })
    }

    /// Puts a batch into the queue; batches are written in the order of these calls.
    pub(super) fn submit(&self, batch: Batch, answer: Answer) -> Result<(), StoreError> {
        self.poison.check()?;
        let batch = batch.checked()?;
        let queue = self.queue.as_ref().ok_or_else(|| self.poison.first())?;
        queue.send((batch, answer)).map_err(|_| self.poison.first())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without a sender the thread writes what is queued, and ends.
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been reported by its hook; waiting calls got `WriterDied`.
            let _ = thread.join();
        }
    }
}

impl Disk {
    fn run(mut self, work: &Receiver<(Batch, Answer)>) {
        for (batch, answer) in work {
            let result = match self.poison.check() {
                Ok(()) => self.write(batch).map_err(|error| self.poison.set(error)),
                Err(first) => Err(first),
            };
            answer(result);
        }
    }

    /// The order that makes a commit durable: apply, hand to the kernel, make the drive keep it.
    fn write(&mut self, batch: Batch) -> Result<(), StoreError> {
        let batch = batch.resolve(&self.db)?;
        self.db.apply_batch(batch).map_err(|error| StoreError::engine("write", &error))?;
        self.db.flush().map_err(|error| StoreError::engine("flush", &error))?;
        (self.sync)(&self.file)
            .map_err(|error| StoreError::io("sync the database file in", &self.path, error))
    }
}
