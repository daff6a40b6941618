//! The newest settled signature of every chain and key, in memory; its snapshots on disk.
//!
//! A restart reads the snapshot and applies the log after it again, so applying needs no fsync.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use openraft::storage::RaftStateMachine;
use openraft::{EntryPayload, OptionalSend, RaftSnapshotBuilder};
use tokio::sync::watch;

use super::Settled;
use super::types::{
    Entry, Fault, LogId, META, Membership, SNAPSHOT, Snapshot, SnapshotMeta, TypeConfig, decode,
    encode, unread, unwritten,
};
use crate::store::{Batch, Store};
use crate::types::{ChainId, Hrs, KeyId};

const SNAPSHOT_META: &[u8] = b"snapshot";

/// What has been applied.
#[derive(Default)]
struct Applied {
    last: Option<LogId>,
    membership: Membership,
    newest: BTreeMap<(ChainId, KeyId), (Hrs, Settled)>,
}

/// A view of the applied state for readers.
#[derive(Clone, Default)]
pub(super) struct View(Arc<RwLock<Applied>>);

/// openraft's state machine and its snapshot builder in one.
#[derive(Clone)]
pub(super) struct StateMachine {
    view: View,
    disk: Arc<Disk>,
}

struct Disk {
    store: Store,
    /// Held while a snapshot is written, so that an older one never replaces a newer.
    writing: tokio::sync::Mutex<()>,
    /// First index that no snapshot on disk covers.
    uncovered: watch::Sender<u64>,
}

impl Applied {
    /// The newest by height, round and step stays; of two at the same place the first. What is not a
    /// vote or proposal of its chain is ignored: the log holds hints, and one bad hint must not stop it.
    fn absorb(&mut self, settled: Settled) {
        let Ok(hrs) = settled.hrs() else { return };
        let place = (settled.chain.clone(), settled.key);
        match self.newest.get(&place) {
            Some((present, _)) if hrs <= *present => {}
            _ => {
                self.newest.insert(place, (hrs, settled));
            }
        }
    }

    fn contents(&self) -> Vec<Settled> {
        self.newest.values().map(|(_, settled)| settled.clone()).collect()
    }
}

impl View {
    /// The newest settled signature of a chain's key.
    pub(super) fn settled(&self, chain: &ChainId, key: &KeyId) -> Option<Settled> {
        let applied = self.0.read().unwrap_or_else(PoisonError::into_inner);
        applied.newest.get(&(chain.clone(), *key)).map(|(_, settled)| settled.clone())
    }

    fn replace(&self, meta: &SnapshotMeta, contents: Vec<Settled>) {
        let mut fresh = Applied {
            last: meta.last_log_id,
            membership: meta.last_membership.clone(),
            newest: BTreeMap::new(),
        };
        for settled in contents {
            fresh.absorb(settled);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }
}

impl Disk {
    fn read(&self) -> Result<Option<Snapshot>, Fault> {
        let Some(meta) = self.meta()? else { return Ok(None) };
        let records = self.store.scan(SNAPSHOT, ..).map_err(|error| unread(&error))?;
        let contents: Result<Vec<Settled>, Fault> =
            records.iter().map(|(_, record)| decode(record)).collect();
        Ok(Some(Snapshot { meta, snapshot: Box::new(contents?) }))
    }

    fn meta(&self) -> Result<Option<SnapshotMeta>, Fault> {
        let bytes = self.store.get(META, SNAPSHOT_META).map_err(|error| unread(&error))?;
        bytes.map(|bytes| decode(&bytes)).transpose()
    }

    /// Replaces the snapshot in one commit, unless the one on disk is newer.
    async fn write(&self, meta: &SnapshotMeta, contents: &[Settled]) -> Result<(), Fault> {
        let _one_at_a_time = self.writing.lock().await;
        if self.meta()?.is_some_and(|present| present.last_log_id > meta.last_log_id) {
            return Ok(());
        }
        let mut batch =
            Batch::new().delete_range(SNAPSHOT, ..).put(META, SNAPSHOT_META, &encode(meta)?);
        for settled in contents {
            let place = snapshot_key(&settled.chain, &settled.key);
            batch = batch.put(SNAPSHOT, &place, &encode(settled)?);
        }
        self.store.commit(batch).await.map_err(|error| unwritten(&error))?;
        self.uncovered.send_replace(uncovered(meta));
        Ok(())
    }
}

/// Where a snapshot keeps the newest of a chain's key.
pub(super) fn snapshot_key(chain: &ChainId, key: &KeyId) -> Vec<u8> {
    [key.as_bytes().as_slice(), chain.as_str().as_bytes()].concat()
}

fn uncovered(meta: &SnapshotMeta) -> u64 {
    meta.last_log_id.map_or(0, |id| id.index.saturating_add(1))
}

impl StateMachine {
    /// Reads the snapshot, if there is one. `uncovered` tells the log store what may be purged.
    pub(super) fn open(store: Store, tell: watch::Sender<u64>) -> Result<Self, Fault> {
        let disk = Disk { store, writing: tokio::sync::Mutex::new(()), uncovered: tell };
        let view = View::default();
        if let Some(snapshot) = disk.read()? {
            disk.uncovered.send_replace(uncovered(&snapshot.meta));
            view.replace(&snapshot.meta, *snapshot.snapshot);
        }
        Ok(Self { view, disk: Arc::new(disk) })
    }

    pub(super) fn view(&self) -> View {
        self.view.clone()
    }

    /// Makes a snapshot the one on disk, unless that one is newer.
    pub(super) async fn write_snapshot(
        &self,
        meta: &SnapshotMeta,
        contents: &[Settled],
    ) -> Result<(), Fault> {
        self.disk.write(meta, contents).await
    }
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Membership), Fault> {
        let applied = self.view.0.read().unwrap_or_else(PoisonError::into_inner);
        Ok((applied.last, applied.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<()>, Fault>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let mut applied = self.view.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut answers = Vec::new();
        for entry in entries {
            applied.last = Some(entry.log_id);
            match entry.payload {
                EntryPayload::Blank => {}
                EntryPayload::Normal(settled) => applied.absorb(settled),
                EntryPayload::Membership(members) => {
                    applied.membership = Membership::new(Some(entry.log_id), members);
                }
            }
            answers.push(());
        }
        Ok(answers)
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Vec<Settled>>, Fault> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Vec<Settled>>,
    ) -> Result<(), Fault> {
        self.write_snapshot(meta, &snapshot).await?;
        self.view.replace(meta, *snapshot);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, Fault> {
        let _none_being_written = self.disk.writing.lock().await;
        self.disk.read()
    }
}

impl RaftSnapshotBuilder<TypeConfig> for StateMachine {
    async fn build_snapshot(&mut self) -> Result<Snapshot, Fault> {
        let (meta, contents) = {
            let applied = self.view.0.read().unwrap_or_else(PoisonError::into_inner);
            let last_log_id = applied.last;
            let snapshot_id = last_log_id.map_or_else(String::new, |id| id.to_string());
            let last_membership = applied.membership.clone();
            (SnapshotMeta { last_log_id, last_membership, snapshot_id }, applied.contents())
        };
        self.write_snapshot(&meta, &contents).await?;
        Ok(Snapshot { meta, snapshot: Box::new(contents) })
    }
}
