//! Tests that cut the power: the files are put back as a drive with a volatile cache may have left
//! them, and every acknowledged commit must still be there.
//!
//! The state at the last sync is certain; of each 512-byte sector that was written after it, either
//! the old or the new content survives, in any combination.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::*;

const SECTOR: usize = 512;

/// splitmix64; the tests need repeatable, not good, randomness.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// What the drive holds for certain, and what it had been sent when it was last told to keep it.
#[derive(Default)]
struct Drive {
    durable: Vec<u8>,
    sent: Vec<u8>,
}

/// A drive that keeps at each sync what it was sent before, or (if it lies) nothing.
fn drive(path: &Path, lies: bool) -> (Arc<Mutex<Drive>>, SyncFile) {
    let drive = Arc::new(Mutex::new(Drive::default()));
    let (own, file) = (drive.clone(), path.join("db"));
    let sync: SyncFile = Box::new(move |_| {
        let mut drive = own.lock().unwrap();
        let sent = fs::read(&file)?;
        // The image before this sync: the one that a cut during this commit finds.
        drive.durable = if lies && !drive.durable.is_empty() {
            std::mem::take(&mut drive.durable)
        } else if drive.sent.is_empty() || lies {
            sent.clone()
        } else {
            std::mem::take(&mut drive.sent)
        };
        drive.sent = sent;
        Ok(())
    });
    (drive, sync)
}

/// Each sector old or new, at random; a file that was growing may have any length in between.
fn torn(drive: &Drive, random: &mut Random) -> Vec<u8> {
    let mut image = drive.sent.clone();
    let bias = random.below(5);
    for (sector, new) in image.chunks_mut(SECTOR).enumerate() {
        if random.below(4) < bias {
            continue;
        }
        let start = (sector * SECTOR).min(drive.durable.len());
        let end = (start + new.len()).min(drive.durable.len());
        let old = &drive.durable[start..end];
        new.fill(0);
        new[..old.len()].copy_from_slice(old);
    }
    if image.len() > drive.durable.len() && random.below(2) == 0 {
        image.truncate(drive.durable.len());
    }
    image
}

/// The files of `path` with another database file, in a new directory.
fn copy_with(path: &Path, to: &Path, db: &[u8]) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::create_dir_all(to.join("blobs")).unwrap();
    fs::set_permissions(to, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() && entry.file_name() != "db" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    fs::write(to.join("db"), db).unwrap();
}

/// One step of a Raft-like load: a vote that is overwritten, a log that grows and is purged, values of
/// all sizes. All records of a step carry its number.
fn step(number: u64, random: &mut Random) -> Batch {
    let bytes = if random.below(8) == 0 { 12_000 } else { 16 + random.below(600) };
    let mut value = number.to_be_bytes().to_vec();
    value.resize(usize::try_from(bytes).unwrap(), number.to_le_bytes()[0]);
    let purged = number.saturating_sub(25).to_be_bytes();
    Batch::new()
        .put("meta", b"vote", &number.to_be_bytes())
        .put("log", &number.to_be_bytes(), &value)
        .delete_range("log", ..purged.as_slice())
        .put("meta", b"applied", &number.to_be_bytes())
}

/// The step whose records the store holds, if they are all of one step and no log entry is missing.
fn survivor(store: &Store) -> Option<u64> {
    let number = |value: Vec<u8>| Some(u64::from_be_bytes(*value.first_chunk::<8>()?));
    let vote = number(store.get("meta", b"vote").ok()??)?;
    let applied = number(store.get("meta", b"applied").ok()??)?;
    let log = store.scan("log", ..).ok()?;
    let entries: Option<Vec<u64>> = log
        .into_iter()
        .map(|(key, value)| number(key).filter(|key| number(value) == Some(*key)))
        .collect();
    let expected: Vec<u64> = (vote.saturating_sub(25).max(1)..=vote).collect();
    (vote == applied && entries? == expected).then_some(vote)
}

/// Runs the load and cuts the power during each commit. Returns how many cuts lost something that
/// was acknowledged, or half of a commit, or the whole store; and of how many.
fn cut_power(steps: u64, cuts: u64, seed: u64, lies: bool) -> (u64, u64) {
    let temp = tempfile::tempdir().unwrap();
    let path = temp.path().join("state");
    let (drive, sync) = drive(&path, lies);
    let store = Store::create_with(&path, sync).unwrap();
    let mut random = Random(seed);
    let (mut lost, mut all) = (0, 0);
    for number in 1..=steps {
        store.commit_blocking(step(number, &mut random)).unwrap();
        if number == 1 {
            continue;
        }
        for cut in 0..cuts {
            let image = torn(&drive.lock().unwrap(), &mut random);
            let copy = temp.path().join(format!("cut-{number}-{cut}"));
            copy_with(&path, &copy, &image);
            // The cut is during commit `number`; the one before was acknowledged.
            let kept = Store::open(&copy).ok().and_then(|store| survivor(&store));
            all += 1;
            if kept != Some(number - 1) && kept != Some(number) {
                lost += 1;
            }
            fs::remove_dir_all(&copy).unwrap();
        }
    }
    (lost, all)
}

#[test]
fn a_power_cut_during_a_commit_loses_no_earlier_one_and_no_half() {
    let (lost, all) = cut_power(80, 3, 1, false);
    assert_eq!(lost, 0, "of {all} power cuts");
}

/// The same test with a store whose sync does nothing, as sled alone: it must notice.
#[test]
fn without_the_sync_the_same_power_cuts_lose_commits() {
    let (lost, all) = cut_power(12, 3, 1, true);
    assert!(lost > all / 2, "only {lost} of {all} power cuts lost something");
}
