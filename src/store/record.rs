//! How keys and values stand in the one tree.
//!
//! Key: length of the namespace (1 byte), namespace, key. Value: version (1 byte), checksum (8 bytes),
//! value. The checksum covers the key too, so that a value under a wrong key is damage.

use std::ops::{Bound, RangeBounds};

use sha2::{Digest as _, Sha256};

use super::StoreError;

/// Longest value, in bytes. The largest that keeps 20 of them, one sled node, inside the log file.
pub const MAX_VALUE_BYTES: usize = 16 << 10;
/// Longest key, its namespace included, in bytes.
pub const MAX_KEY_BYTES: usize = 512;

const MAX_NAMESPACE_BYTES: usize = 64;
const VERSION: u8 = 1;
const CHECKSUM_BYTES: usize = 8;

/// A range of stored keys.
pub(super) type StoredRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The stored form of a key.
pub(super) fn key(namespace: &str, key: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut stored = prefix(namespace)?;
    stored.extend_from_slice(key);
    if stored.len() > MAX_KEY_BYTES {
        return Err(StoreError::KeyTooLarge {
            namespace: namespace.to_owned(),
            bytes: stored.len(),
        });
    }
    Ok(stored)
}

/// The stored form of a range, `None` if it holds nothing (sled panics on some of those).
pub(super) fn range<'k>(
    namespace: &str,
    keys: impl RangeBounds<&'k [u8]>,
) -> Result<Option<StoredRange>, StoreError> {
    let start = match keys.start_bound() {
        Bound::Included(first) => Bound::Included(key(namespace, first)?),
        Bound::Excluded(before) => Bound::Excluded(key(namespace, before)?),
        Bound::Unbounded => Bound::Included(prefix(namespace)?),
    };
    let end = match keys.end_bound() {
        Bound::Included(last) => Bound::Included(key(namespace, last)?),
        Bound::Excluded(after) => Bound::Excluded(key(namespace, after)?),
        Bound::Unbounded => Bound::Excluded(after_namespace(namespace)?),
    };
    let empty = match (&start, &end) {
        (Bound::Included(start), Bound::Included(end)) => start > end,
        (
            Bound::Included(start) | Bound::Excluded(start),
            Bound::Included(end) | Bound::Excluded(end),
        ) => start >= end,
        _ => false,
    };
    Ok(if empty { None } else { Some((start, end)) })
}

/// The key without its namespace.
pub(super) fn strip(namespace: &str, stored: &[u8]) -> Result<Vec<u8>, StoreError> {
    stored
        .strip_prefix(prefix(namespace)?.as_slice())
        .map(<[u8]>::to_vec)
        .ok_or_else(|| damaged(stored, "its key is outside of the range that was read"))
}

/// The stored form of a value.
pub(super) fn seal_value(stored_key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len().saturating_add(1 + CHECKSUM_BYTES));
    sealed.push(VERSION);
    sealed.extend_from_slice(&checksum(stored_key, value));
    sealed.extend_from_slice(value);
    sealed
}

/// The value, if it is the one that was written under this key.
pub(super) fn open_value(stored_key: &[u8], sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let (&version, rest) =
        sealed.split_first().ok_or_else(|| damaged(stored_key, "its value is empty"))?;
    if version != VERSION {
        return Err(damaged(stored_key, "its version is unknown"));
    }
    let (sum, value) = rest
        .split_first_chunk::<CHECKSUM_BYTES>()
        .ok_or_else(|| damaged(stored_key, "its value is cut off"))?;
    if *sum != checksum(stored_key, value) {
        return Err(damaged(stored_key, "its checksum does not fit"));
    }
    Ok(value.to_vec())
}

fn damaged(stored_key: &[u8], fault: &'static str) -> StoreError {
    StoreError::Damaged { key: hex::encode(stored_key), fault }
}

fn checksum(stored_key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update((stored_key.len() as u64).to_be_bytes())
        .chain_update(stored_key)
        .chain_update(value)
        .finalize()
        .into();
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(digest.split_at(CHECKSUM_BYTES).0);
    sum
}

fn prefix(namespace: &str) -> Result<Vec<u8>, StoreError> {
    let length = u8::try_from(namespace.len()).unwrap_or(0);
    if length == 0 || usize::from(length) > MAX_NAMESPACE_BYTES {
        return Err(StoreError::Namespace(namespace.to_owned()));
    }
    let mut stored = vec![length];
    stored.extend_from_slice(namespace.as_bytes());
    Ok(stored)
}

/// The first stored key that is past every key of the namespace. UTF-8 has no byte 0xff.
fn after_namespace(namespace: &str) -> Result<Vec<u8>, StoreError> {
    let mut stored = prefix(namespace)?;
    if let Some(last) = stored.last_mut() {
        *last = last.saturating_add(1);
    }
    Ok(stored)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_only_accepted_under_its_own_key_and_unchanged() {
        let stored_key = key("raft", b"vote").unwrap();
        let sealed = seal_value(&stored_key, b"value");
        assert_eq!(open_value(&stored_key, &sealed).unwrap(), b"value");
        assert!(open_value(&key("raft", b"voto").unwrap(), &sealed).is_err());
        for bit in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let refused = open_value(&stored_key, &bad);
            assert!(matches!(refused, Err(StoreError::Damaged { .. })), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(open_value(&stored_key, &sealed[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn namespaces_never_meet() {
        let (_, end) = range("a", ..).unwrap().unwrap();
        let Bound::Excluded(end) = end else { panic!("no end") };
        assert!(key("a", &[0xff; 100]).unwrap() < end);
        assert!(key("b", b"").unwrap() >= end);
        assert!(key("ab", b"").unwrap() >= end);
        assert!(matches!(key("", b"x"), Err(StoreError::Namespace(_))));
        assert!(matches!(key(&"n".repeat(300), b"x"), Err(StoreError::Namespace(_))));
    }

    #[test]
    fn a_range_that_holds_nothing_is_none() {
        let (a, b) = (b"a".as_slice(), b"b".as_slice());
        assert!(range("n", b..a).unwrap().is_none());
        assert!(range("n", a..a).unwrap().is_none());
        assert!(range("n", a..=a).unwrap().is_some());
        assert!(range("n", a..b).unwrap().is_some());
    }
}
