//! Changes that become durable together or not at all.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use sled::Db;

use super::StoreError;
use super::record::{self, MAX_VALUE_BYTES, StoredRange};

/// A list of changes, applied in order and atomically. A key that does not fit fails the commit.
#[derive(Debug, Default)]
#[must_use = "a batch does nothing until it is committed"]
pub struct Batch {
    changes: Vec<Change>,
    fault: Option<StoreError>,
}

#[derive(Debug)]
enum Change {
    Put { stored_key: Vec<u8>, sealed: Vec<u8> },
    Delete { stored_key: Vec<u8> },
    DeleteRange(StoredRange),
}

impl Batch {
    /// A batch without changes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key's value.
    pub fn put(mut self, namespace: &str, key: &[u8], value: &[u8]) -> Self {
        if value.len() > MAX_VALUE_BYTES {
            let namespace = namespace.to_owned();
            return self.fail(StoreError::ValueTooLarge { namespace, bytes: value.len() });
        }
        match record::key(namespace, key) {
            Ok(stored_key) => {
                let sealed = record::seal_value(&stored_key, value);
                self.changes.push(Change::Put { stored_key, sealed });
                self
            }
            Err(error) => self.fail(error),
        }
    }

    /// Removes a key; it need not be there.
    pub fn delete(mut self, namespace: &str, key: &[u8]) -> Self {
        match record::key(namespace, key) {
            Ok(stored_key) => {
                self.changes.push(Change::Delete { stored_key });
                self
            }
            Err(error) => self.fail(error),
        }
    }

    /// Removes all keys of a range, also those that this batch has put before.
    pub fn delete_range<'k>(mut self, namespace: &str, keys: impl RangeBounds<&'k [u8]>) -> Self {
        match record::range(namespace, keys) {
            Ok(Some(range)) => {
                self.changes.push(Change::DeleteRange(range));
                self
            }
            Ok(None) => self,
            Err(error) => self.fail(error),
        }
    }

    fn fail(mut self, error: StoreError) -> Self {
        self.fault.get_or_insert(error);
        self
    }

    /// The batch, if all of it can be written.
    pub(super) fn checked(self) -> Result<Self, StoreError> {
        match self.fault {
            Some(fault) => Err(fault),
            None => Ok(self),
        }
    }

    /// What the changes come to, one per key. `db` must not change meanwhile: only the writer
    /// thread may ask.
    pub(super) fn resolve(self, db: &Db) -> Result<sled::Batch, StoreError> {
        let mut outcome: BTreeMap<Vec<u8>, Option<Vec<u8>>> = BTreeMap::new();
        for change in self.changes {
            match change {
                Change::Put { stored_key, sealed } => {
                    outcome.insert(stored_key, Some(sealed));
                }
                Change::Delete { stored_key } => {
                    outcome.insert(stored_key, None);
                }
                Change::DeleteRange(range) => {
                    for (_, value) in outcome.range_mut(range.clone()) {
                        *value = None;
                    }
                    for stored_key in db.range(range).keys() {
                        let stored_key =
                            stored_key.map_err(|error| StoreError::engine("read", &error))?;
                        outcome.insert(stored_key.to_vec(), None);
                    }
                }
            }
        }
        let mut batch = sled::Batch::default();
        for (stored_key, value) in outcome {
            match value {
                Some(sealed) => batch.insert(stored_key, sealed),
                None => batch.remove(stored_key),
            }
        }
        Ok(batch)
    }
}
