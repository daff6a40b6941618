//! Vote and log on disk.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::{Arc, Mutex, PoisonError};

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, LogState, OptionalSend, RaftLogReader, StorageIOError};
use tokio::sync::watch;

use super::types::{
    Entry, Fault, LOG, LogId, META, TypeConfig, Vote, decode, encode, unread, unwritten,
};
use crate::store::{Batch, Store};

const VOTE: &[u8] = b"vote";
const PURGED: &[u8] = b"purged";
const COMMITTED: &[u8] = b"committed";

/// openraft's log storage. All writes go through the store's one writer thread in the order in which
/// openraft asks for them: a vote never overtakes an entry, nor the reverse.
#[derive(Clone)]
pub(super) struct LogStore {
    store: Store,
    /// Written along with the next append: it saves a fsync, and losing it costs a moment at start.
    committed: Arc<Mutex<Option<LogId>>>,
    /// First index that no snapshot on disk covers.
    uncovered: watch::Receiver<u64>,
}

impl LogStore {
    /// `uncovered` is told by the state machine when a snapshot has become durable.
    pub(super) fn open(store: Store, uncovered: watch::Receiver<u64>) -> Result<Self, Fault> {
        let committed = read(&store, COMMITTED)?;
        Ok(Self { store, committed: Arc::new(Mutex::new(committed)), uncovered })
    }

    /// Writes the commit index, so that a restart applies all that is applied now.
    pub(super) async fn keep_committed(&self) -> Result<(), Fault> {
        let batch = self.with_committed(Batch::new())?;
        self.store.commit(batch).await.map_err(|error| unwritten(&error))
    }

    fn with_committed(&self, batch: Batch) -> Result<Batch, Fault> {
        let committed = *self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        match committed {
            Some(id) => Ok(batch.put(META, COMMITTED, &encode(&id)?)),
            None => Ok(batch),
        }
    }

    async fn commit(&self, batch: Batch) -> Result<(), Fault> {
        self.store.commit(batch).await.map_err(|error| unwritten(&error))
    }
}

fn read<T: serde::de::DeserializeOwned>(store: &Store, key: &[u8]) -> Result<Option<T>, Fault> {
    let bytes = store.get(META, key).map_err(|error| unread(&error))?;
    bytes.map(|bytes| decode(&bytes)).transpose()
}

fn bound(index: Bound<&u64>) -> Bound<[u8; 8]> {
    index.map(|index| index.to_be_bytes())
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, Fault> {
        let (start, end) = (bound(range.start_bound()), bound(range.end_bound()));
        let keys = (start.as_ref().map(<[u8; 8]>::as_slice), end.as_ref().map(<[u8; 8]>::as_slice));
        let entries = self.store.scan(LOG, keys).map_err(|error| unread(&error))?;
        entries.iter().map(|(_, entry)| decode(entry)).collect()
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, Fault> {
        let last_purged_log_id: Option<LogId> = read(&self.store, PURGED)?;
        let last = self.store.last(LOG).map_err(|error| unread(&error))?;
        let last: Option<Entry> = last.map(|(_, entry)| decode(&entry)).transpose()?;
        let last_log_id = last.map(|entry| entry.log_id).or(last_purged_log_id);
        Ok(LogState { last_purged_log_id, last_log_id })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), Fault> {
        self.commit(Batch::new().put(META, VOTE, &encode(vote)?)).await
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, Fault> {
        read(&self.store, VOTE)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), Fault> {
        *self.committed.lock().unwrap_or_else(PoisonError::into_inner) = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, Fault> {
        Ok(*self.committed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn append<I>(&mut self, entries: I, callback: LogFlushed<TypeConfig>) -> Result<(), Fault>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut batch = self.with_committed(Batch::new())?;
        for entry in entries {
            batch = batch.put(LOG, &entry.log_id.index.to_be_bytes(), &encode(&entry)?);
        }
        // openraft 0.9 waits for the callback before it does anything else, so nothing is gained by
        // returning before the entries are durable.
        let result = self.commit(batch).await;
        callback.log_io_completed(
            result.as_ref().copied().map_err(|error| io::Error::other(error.to_string())),
        );
        result
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), Fault> {
        let from = log_id.index.to_be_bytes();
        self.commit(Batch::new().delete_range(LOG, from.as_slice()..)).await
    }

    /// openraft may ask for this while the snapshot that replaces the entries is still on its way to
    /// the disk. A crash between the two would leave neither, so the snapshot comes first.
    async fn purge(&mut self, log_id: LogId) -> Result<(), Fault> {
        let covered =
            self.uncovered.wait_for(|uncovered| *uncovered > log_id.index).await.map(|_| ());
        if let Err(error) = covered {
            return Err(StorageIOError::write_logs(AnyError::new(&error)).into());
        }
        let upto = log_id.index.to_be_bytes();
        let batch =
            Batch::new().put(META, PURGED, &encode(&log_id)?).delete_range(LOG, ..=upto.as_slice());
        self.commit(batch).await
    }
}
