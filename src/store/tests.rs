use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::{fs, io};

use super::*;

fn place() -> (tempfile::TempDir, PathBuf) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state");
    (temp, path)
}

#[test]
fn keeps_what_was_committed_over_a_restart() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    store
        .commit_blocking(
            Batch::new().put("a", b"1", b"one").put("a", b"2", b"two").put("b", b"1", b"other"),
        )
        .unwrap();
    store.commit_blocking(Batch::new().delete("a", b"2")).unwrap();
    drop(store);
    let store = Store::open(&path).unwrap();
    assert_eq!(store.get("a", b"1").unwrap().unwrap(), b"one");
    assert_eq!(store.get("a", b"2").unwrap(), None);
    assert_eq!(store.get("b", b"1").unwrap().unwrap(), b"other");
}

#[test]
fn scans_one_namespace_in_order() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    let mut batch = Batch::new();
    for number in (0..300_u64).rev() {
        batch = batch.put("log", &number.to_be_bytes(), b"x").put("lof", &[0xff; 9], b"y");
    }
    store.commit_blocking(batch.put("loh", b"", b"z")).unwrap();
    let all = store.scan("log", ..).unwrap();
    let numbers: Vec<u64> =
        all.iter().map(|(key, _)| u64::from_be_bytes(key.as_slice().try_into().unwrap())).collect();
    assert_eq!(numbers, (0..300).collect::<Vec<_>>());
    let (from, to) = (5_u64.to_be_bytes(), 8_u64.to_be_bytes());
    assert_eq!(store.scan("log", from.as_slice()..to.as_slice()).unwrap().len(), 3);
    assert_eq!(store.scan("log", to.as_slice()..from.as_slice()).unwrap().len(), 0);
    assert_eq!(store.first("log").unwrap().unwrap().0, 0_u64.to_be_bytes());
    assert_eq!(store.last("log").unwrap().unwrap().0, 299_u64.to_be_bytes());
    assert_eq!(store.first("nothing").unwrap(), None);
}

#[test]
fn a_batch_is_applied_in_the_order_it_was_written() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    store.commit_blocking(Batch::new().put("n", b"a", b"old").put("n", b"z", b"kept")).unwrap();
    let (from, to) = (b"a".as_slice(), b"y".as_slice());
    let batch = Batch::new()
        .put("n", b"b", b"put before the range")
        .delete_range("n", from..to)
        .put("n", b"c", b"put after the range");
    store.commit_blocking(batch).unwrap();
    let left: Vec<Vec<u8>> = store.scan("n", ..).unwrap().into_iter().map(|(key, _)| key).collect();
    assert_eq!(left, [b"c".to_vec(), b"z".to_vec()]);
}

#[tokio::test]
async fn queues_batches_in_the_order_of_the_calls_even_if_nobody_waits() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    let mut last = None;
    for number in 0..20_u64 {
        last = Some(store.commit(Batch::new().put("n", b"k", &number.to_be_bytes())));
    }
    last.unwrap().await.unwrap();
    assert_eq!(store.get("n", b"k").unwrap().unwrap(), 19_u64.to_be_bytes());
}

#[test]
fn refuses_keys_and_values_that_do_not_fit_and_stays_usable() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    let too_long = vec![0; MAX_VALUE_BYTES + 1];
    let refused =
        store.commit_blocking(Batch::new().put("n", b"first", b"").put("n", b"k", &too_long));
    assert!(matches!(refused, Err(StoreError::ValueTooLarge { bytes, .. }) if bytes == 16_385));
    assert_eq!(store.get("n", b"first").unwrap(), None, "half a batch was written");
    let refused = store.commit_blocking(Batch::new().put("n", &[0; MAX_KEY_BYTES], b""));
    assert!(matches!(refused, Err(StoreError::KeyTooLarge { .. })));
    store.commit_blocking(Batch::new().put("n", b"k", &too_long[1..])).unwrap();
}

/// sled never syncs its blob files, so nothing may ever become one.
#[test]
fn the_largest_values_stay_inside_the_synced_file() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    let value = vec![7; MAX_VALUE_BYTES];
    let mut random = power_cut::Random(7);
    for round in 0..150 {
        let mut key = [0; MAX_KEY_BYTES - 2];
        key[0] = u8::try_from(random.below(60)).unwrap();
        let batch = Batch::new();
        let batch = if random.below(3) == 0 {
            batch.delete("n", &key)
        } else {
            batch.put("n", &key, &value)
        };
        store.commit_blocking(batch).unwrap();
        let blobs = fs::read_dir(path.join("blobs")).unwrap().count();
        assert_eq!(blobs, 0, "round {round}");
    }
}

#[test]
fn creates_only_in_a_new_place_and_opens_only_what_is_there() {
    let (_temp, path) = place();
    assert!(matches!(Store::open(&path), Err(StoreError::Missing { .. })));
    assert!(!path.exists(), "opening made something");
    drop(Store::create(&path).unwrap());
    assert!(matches!(Store::create(&path), Err(StoreError::NotEmpty { .. })));
    fs::remove_file(path.join("db")).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::Missing { .. })));
    fs::write(path.join("db"), b"").unwrap();
    assert!(Store::open(&path).is_err(), "an emptied database was opened");
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name().to_string_lossy().starts_with("snap") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    assert!(matches!(Store::open(&path), Err(StoreError::Incomplete { .. })));
}

#[test]
fn refuses_a_directory_that_others_may_enter() {
    let (_temp, path) = place();
    drop(Store::create(&path).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
    let refused = Store::open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::LooseMode { mode: 0o750, .. }));
    assert!(refused.to_string().contains(&format!("chmod 700 {}", path.display())));
}

#[test]
fn refuses_a_store_that_is_open_elsewhere() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    assert!(matches!(Store::open(&path), Err(StoreError::InUse { .. })));
    drop(store);
    Store::open(&path).unwrap();
}

#[test]
fn reports_a_changed_value_instead_of_returning_it() {
    let (_temp, path) = place();
    let store = Store::create(&path).unwrap();
    store.commit_blocking(Batch::new().put("n", b"k", b"value")).unwrap();
    let stored_key = record::key("n", b"k").unwrap();
    let mut sealed = store.shared.db.get(&stored_key).unwrap().unwrap().to_vec();
    *sealed.last_mut().unwrap() ^= 1;
    store.shared.db.insert(&stored_key, sealed).unwrap();
    assert!(matches!(store.get("n", b"k"), Err(StoreError::Damaged { .. })));
    assert!(matches!(store.scan("n", ..), Err(StoreError::Damaged { .. })));
}

#[test]
fn one_failed_sync_ends_the_store_for_good() {
    let (_temp, path) = place();
    let failing = Arc::new(AtomicBool::new(false));
    let fails = failing.clone();
    let sync: SyncFile = Box::new(move |file| {
        if fails.swap(false, Ordering::SeqCst) {
            return Err(io::Error::other("the drive said no"));
        }
        file.sync_data()
    });
    let store = Store::create_with(&path, sync).unwrap();
    store.commit_blocking(Batch::new().put("n", b"k", b"1")).unwrap();
    failing.store(true, Ordering::SeqCst);
    for value in [b"2", b"3"] {
        let error = store.commit_blocking(Batch::new().put("n", b"k", value)).unwrap_err();
        assert!(error.to_string().contains("the drive said no"), "{error}");
    }
    assert!(!failing.load(Ordering::SeqCst));
    assert!(store.get("n", b"k").is_err(), "a value that may not be durable was shown");
}
