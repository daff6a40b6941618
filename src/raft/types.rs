//! openraft's type parameters, and the forms in which its records are stored.

use openraft::{AnyError, EmptyNode, StorageError, StorageIOError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Settled;
use crate::store::StoreError;

openraft::declare_raft_types!(
    /// A log of [`Settled`] entries; a snapshot is the newest of them per chain and key.
    pub(super) TypeConfig:
        D = Settled,
        R = (),
        NodeId = u64,
        Node = EmptyNode,
        SnapshotData = Vec<Settled>,
);

pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Entry = openraft::Entry<TypeConfig>;
pub(super) type Membership = openraft::StoredMembership<u64, EmptyNode>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, EmptyNode>;
pub(super) type Snapshot = openraft::Snapshot<TypeConfig>;
pub(super) type Fault = StorageError<u64>;

/// Namespace of single records: birth number, vote, purged and committed log ids, snapshot meta.
pub(super) const META: &str = "raft";
/// Namespace of the log: index, big-endian, to entry.
pub(super) const LOG: &str = "raft/log";
/// Namespace of the snapshot's contents.
pub(super) const SNAPSHOT: &str = "raft/snapshot";

/// A failed read, in openraft's words. It stops Raft at this member.
pub(super) fn unread(error: &StoreError) -> Fault {
    StorageIOError::read(AnyError::new(error)).into()
}

/// A failed write, in openraft's words. It stops Raft at this member.
pub(super) fn unwritten(error: &StoreError) -> Fault {
    StorageIOError::write(AnyError::new(error)).into()
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(value).map_err(|error| StorageIOError::write(AnyError::new(&error)).into())
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(bytes)
        .map_err(|error| StorageIOError::read(AnyError::new(&error)).into())
}
