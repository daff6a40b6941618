//! What a node that does not run has on its disk.

use super::state_machine::snapshot_key;
use super::types::{Entry, LOG, SNAPSHOT, encode};
use super::{RaftError, Settled};
use crate::store::{Batch, Store};
use crate::types::{ChainId, KeyId};

use openraft::EntryPayload;

/// Every settled signature of a chain's key in the snapshot and in the log, applied or not, in no
/// order. Hints, as always: verify before use. What cannot be read as one is left out.
///
/// # Errors
/// [`RaftError::Store`] if the database fails.
pub fn settled_in(store: &Store, chain: &ChainId, key: &KeyId) -> Result<Vec<Settled>, RaftError> {
    let mut found = Vec::new();
    for (_, record) in store.scan(SNAPSHOT, ..)? {
        found.extend(serde_json::from_slice::<Settled>(&record).ok());
    }
    for (_, record) in store.scan(LOG, ..)? {
        match serde_json::from_slice::<Entry>(&record).map(|entry| entry.payload) {
            Ok(EntryPayload::Normal(settled)) => found.push(settled),
            Ok(EntryPayload::Blank | EntryPayload::Membership(_)) | Err(_) => {}
        }
    }
    found.retain(|settled| settled.chain == *chain && settled.key == *key);
    Ok(found)
}

/// Takes all settled signatures of a chain's key out of the snapshot and the log, durably. The log's
/// entries stay in their places, empty: members that all do this while they are stopped agree again.
///
/// # Errors
/// [`RaftError::Store`] if the database fails, [`RaftError::Stopped`] if an entry cannot be written.
pub fn forget_in(store: &Store, chain: &ChainId, key: &KeyId) -> Result<(), RaftError> {
    let mut batch = Batch::new().delete(SNAPSHOT, &snapshot_key(chain, key));
    for (place, record) in store.scan(LOG, ..)? {
        let Ok(entry) = serde_json::from_slice::<Entry>(&record) else { continue };
        match entry.payload {
            EntryPayload::Normal(settled) if settled.chain == *chain && settled.key == *key => {
                let empty = Entry { payload: EntryPayload::Blank, ..entry };
                batch = batch.put(LOG, &place, &encode(&empty).map_err(super::handle::stopped)?);
            }
            _ => {}
        }
    }
    Ok(store.commit_blocking(batch)?)
}
