//! Making a watermark file whole: the first time, or after damage.
//!
//! The content is written and synced under a name that nobody reads before it gets its own, so a
//! crash leaves either all of it or what was there before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::disk::{FileDisk, SlotDisk as _};
use super::fault::Fault;
use super::file::{check_owner, follows, in_slot, newest};
use super::rule::Record;
use super::slot::{SLOT_BYTES, Stored, Unreadable, encode};
use crate::types::{ChainId, KeyId, UnixMillis};

/// Makes a file where there is none.
pub(super) fn create(
    dir: &Path,
    path: &Path,
    chain: &ChainId,
    key: &KeyId,
    record: &Record,
) -> Result<(), Fault> {
    let content = both_slots(0, chain, key, record)?;
    // Unlike a rename, a link never replaces what has the name already.
    let named = write_unnamed(path, &content, |unnamed| {
        fs::hard_link(unnamed, path).and_then(|()| fs::remove_file(unnamed))
    });
    match named {
        Err(Fault::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
            Err(Fault::Exists)
        }
        other => other.and_then(|()| sync_directory(dir)),
    }
}

/// Replaces a damaged file, which `disk` holds open and locked.
pub(super) fn mend(
    dir: &Path,
    path: &Path,
    disk: &mut FileDisk,
    chain: &ChainId,
    key: &KeyId,
    record: &Record,
) -> Result<(), Fault> {
    let content = disk.read().map_err(Fault::io("read"))?;
    match newest(&content) {
        Ok(_) => return Err(Fault::NotDamaged),
        Err(
            Fault::Length { .. }
            | Fault::BothSlotsDamaged
            | Fault::OneSlotDamaged { .. }
            | Fault::SequenceGap { .. },
        ) => {}
        Err(other) => return Err(other),
    }
    let (mut seq, mut ceiling) = (0, record.ceiling());
    for (index, slot) in content.chunks(SLOT_BYTES).enumerate() {
        let Ok(stored) = in_slot(index, slot) else { continue };
        check_owner(&stored, chain, key)?;
        follows(&stored.record, record)?;
        seq = stored.seq.max(seq);
        ceiling = stored.record.ceiling().into_iter().chain(ceiling).min();
    }
    let record = record.clone().with_ceiling(ceiling);
    replace(dir, path, &both_slots(seq, chain, key, &record)?)
}

/// Replaces any file of this chain and key, which `disk` holds open and locked, by that of a key that
/// never signed. Numbers go on, so that the file never looks older than it was.
pub(super) fn reset(
    dir: &Path,
    path: &Path,
    disk: &mut FileDisk,
    chain: &ChainId,
    key: &KeyId,
    now: UnixMillis,
) -> Result<(), Fault> {
    let content = disk.read().map_err(Fault::io("read"))?;
    let mut seq = 0;
    for (index, slot) in content.chunks(SLOT_BYTES).enumerate() {
        match in_slot(index, slot) {
            Ok(stored) => {
                check_owner(&stored, chain, key)?;
                seq = stored.seq.max(seq);
            }
            Err(Unreadable::Version(found)) => return Err(Fault::Version { found }),
            Err(Unreadable::Damaged) => {}
        }
    }
    replace(dir, path, &both_slots(seq, chain, key, &Record::never_signed(now))?)
}

fn replace(dir: &Path, path: &Path, content: &[u8]) -> Result<(), Fault> {
    write_unnamed(path, content, |unnamed| fs::rename(unnamed, path))?;
    sync_directory(dir)
}

/// Both slots with the same record, numbered from `seq` on.
fn both_slots(seq: u64, chain: &ChainId, key: &KeyId, record: &Record) -> Result<Vec<u8>, Fault> {
    let odd = seq.checked_add(1).ok_or(Fault::SequenceExhausted)? | 1;
    let even = odd.checked_add(1).ok_or(Fault::SequenceExhausted)?;
    let mut content = Vec::with_capacity(2 * SLOT_BYTES);
    for seq in [even, odd] {
        let (chain, record) = (chain.clone(), record.clone());
        content.extend(encode(&Stored { chain, key: *key, seq, record })?);
    }
    Ok(content)
}

/// Writes a new file under a random name, lets `name` give it its own, and leaves nothing behind
/// if that fails.
fn write_unnamed(
    path: &Path,
    content: &[u8],
    name: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), Fault> {
    let unnamed = random_name(path)?;
    let named = write_new(&unnamed, content)
        .and_then(|()| name(&unnamed).map_err(Fault::io("give its name to")));
    if named.is_err() {
        // The first error is the one to tell; what stays behind has a name that nobody reads.
        let _ = fs::remove_file(&unnamed);
    }
    named
}

fn random_name(path: &Path) -> Result<PathBuf, Fault> {
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix)
        .map_err(|error| Fault::Io { action: "name", source: io::Error::other(error) })?;
    Ok(path.with_extension(format!("new-{}", hex::encode(suffix))))
}

fn write_new(path: &Path, content: &[u8]) -> Result<(), Fault> {
    let mut options = OpenOptions::new();
    let mut file =
        options.write(true).create_new(true).mode(0o600).open(path).map_err(Fault::io("create"))?;
    file.write_all(content).and_then(|()| file.sync_all()).map_err(Fault::io("write"))
}

fn sync_directory(dir: &Path) -> Result<(), Fault> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(Fault::io("sync the directory of"))
}
