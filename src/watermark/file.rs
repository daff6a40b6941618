//! The watermark file: two slots, written in turn.
//!
//! A write goes to the slot with the older record, so the newer one stands until the write is
//! durable. Slot and sequence number go together (even 0, odd 1), and two slots that do not follow
//! each other are damage: a crash cannot leave such a file (see `slot`).

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::disk::{FileDisk, SlotDisk};
use super::fault::{Fault, FileError};
use super::make;
use super::rule::{Mark, Record};
use super::slot::{SLOT_BYTES, Stored, Unreadable, decode, encode};
use crate::types::{ChainId, Height, Hrs, KeyId, UnixMillis};

/// What watermark files end in.
pub(super) const EXTENSION: &str = "watermark";

/// The open watermark of one chain and key. Nobody else can open it while this lives.
#[derive(Debug)]
pub struct WatermarkFile<D: SlotDisk = FileDisk> {
    disk: D,
    path: PathBuf,
    current: Stored,
    /// Set while a write is under way, and left so if it fails: what the disk then holds is unknown.
    poisoned: bool,
}

/// Receipt: a write that covers this height, round and step was durable (I3). Only
/// [`WatermarkFile`] makes one, after the write has returned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermarked {
    chain: ChainId,
    key: KeyId,
    hrs: Option<Hrs>,
    seq: u64,
}

impl WatermarkFile {
    /// Makes the file of a chain and key. It is whole and durable before it gets its name, so a
    /// crash leaves either all of it or nothing.
    ///
    /// # Errors
    /// [`FileError`] if there is one already, or if the system refuses.
    pub fn create(
        dir: &Path,
        chain: &ChainId,
        key: &KeyId,
        record: &Record,
    ) -> Result<(), FileError> {
        let path = dir.join(file_name(chain, key));
        make::create(dir, &path, chain, key, record).map_err(|fault| FileError::new(&path, fault))
    }

    /// Puts a record into the place of a damaged one (`state raise`, or what the fence found). The
    /// caller answers for it that nothing above it was signed. The lowest ceiling that can still be
    /// read stays.
    ///
    /// # Errors
    /// [`FileError`] if the file is whole, another chain's or key's, open elsewhere, if a slot that
    /// can be read is higher (I2), or if the system refuses.
    pub fn mend(
        dir: &Path,
        chain: &ChainId,
        key: &KeyId,
        record: &Record,
    ) -> Result<(), FileError> {
        let path = dir.join(file_name(chain, key));
        let mut disk = FileDisk::open(&path)?;
        make::mend(dir, &path, &mut disk, chain, key, record)
            .map_err(|fault| FileError::new(&path, fault))
    }

    /// Forgets everything: puts a key that never signed, without a ceiling, into the place of whatever
    /// the file says, whole or damaged (`state reset`). This is the one way down, against I2, so the
    /// caller answers for it that nothing which the key has signed matters any more.
    ///
    /// # Errors
    /// [`FileError`] if the file is missing, another chain's or key's, open elsewhere, or if the system
    /// refuses.
    pub fn reset(
        dir: &Path,
        chain: &ChainId,
        key: &KeyId,
        now: UnixMillis,
    ) -> Result<(), FileError> {
        let path = dir.join(file_name(chain, key));
        let mut disk = FileDisk::open(&path)?;
        make::reset(dir, &path, &mut disk, chain, key, now)
            .map_err(|fault| FileError::new(&path, fault))
    }

    /// Opens and locks the file of a chain and key, and makes what it says durable.
    ///
    /// # Errors
    /// [`FileError`] if it is missing, damaged, another chain's or key's, open elsewhere, readable
    /// by others, or cannot be written.
    pub fn open(
        dir: &Path,
        chain: &ChainId,
        key: &KeyId,
    ) -> Result<(Self, Record, Watermarked), FileError> {
        let path = dir.join(file_name(chain, key));
        let disk = FileDisk::open(&path)?;
        Self::open_on(disk, &path, chain, key)
    }
}

impl<D: SlotDisk> WatermarkFile<D> {
    /// The same on any disk; `path` stands in errors only.
    ///
    /// # Errors
    /// [`FileError`] as for [`WatermarkFile::open`].
    pub fn open_on(
        mut disk: D,
        path: &Path,
        chain: &ChainId,
        key: &KeyId,
    ) -> Result<(Self, Record, Watermarked), FileError> {
        let error = |fault| FileError::new(path, fault);
        let content = disk.read().map_err(Fault::io("read")).map_err(error)?;
        let current = newest(&content).map_err(error)?;
        check_owner(&current, chain, key).map_err(error)?;
        let record = current.record.clone();
        let mut file = Self { disk, path: path.to_owned(), current, poisoned: false };
        // What was read may only have been in the page cache, left by a write that failed there.
        let receipt = file.put(&record).map_err(error)?;
        Ok((file, record, receipt))
    }

    /// Writes a record; durable when it returns. The ceiling stays as it is in the file, whatever the
    /// record says of it: neither signing nor raising changes it.
    ///
    /// # Errors
    /// [`FileError`] if the record is lower than the present one or differs from it at an equal
    /// height, round and step (nothing is written then); if the write fails or the file is no longer in its
    /// place, and for every write after that.
    pub fn write(&mut self, record: &Record) -> Result<Watermarked, FileError> {
        let record = record.clone().with_ceiling(self.current.record.ceiling());
        follows(&self.current.record, &record)
            .and_then(|()| self.put(&record))
            .map_err(|fault| FileError::new(&self.path, fault))
    }

    /// Sets or removes the height above which nothing is signed; durable when it returns. Written into
    /// both slots, so that it is not lost with one of them.
    ///
    /// # Errors
    /// [`FileError`] if a write fails, as for [`Self::write`].
    pub fn set_ceiling(&mut self, ceiling: Option<Height>) -> Result<(), FileError> {
        let record = self.current.record.clone().with_ceiling(ceiling);
        let twice = self.put(&record).and_then(|_| self.put(&record));
        twice.map(|_| ()).map_err(|fault| FileError::new(&self.path, fault))
    }

    /// The last record known to be durable.
    #[must_use]
    pub const fn record(&self) -> &Record {
        &self.current.record
    }

    /// Sequence number of the last write known to be durable.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.current.seq
    }

    fn put(&mut self, record: &Record) -> Result<Watermarked, Fault> {
        if self.poisoned {
            return Err(Fault::Poisoned);
        }
        let seq = self.current.seq.checked_add(1).ok_or(Fault::SequenceExhausted)?;
        let next = Stored { seq, record: record.clone(), ..self.current.clone() };
        let slot = encode(&next)?;
        self.poisoned = true;
        self.disk.write_slot(slot_of(seq), &slot).map_err(Fault::io("write"))?;
        if !self.disk.is_in_place().map_err(Fault::io("look at"))? {
            return Err(Fault::Moved);
        }
        self.poisoned = false;
        self.current = next;
        Ok(Watermarked::of(&self.current))
    }
}

impl Watermarked {
    /// Whether the write covers this height, round and step of this chain and key.
    #[must_use]
    pub fn covers(&self, chain: &ChainId, key: &KeyId, hrs: Hrs) -> bool {
        self.chain == *chain && self.key == *key && self.hrs.is_some_and(|written| hrs <= written)
    }

    /// Height, round and step written, `None` if the key has never signed.
    #[must_use]
    pub const fn hrs(&self) -> Option<Hrs> {
        self.hrs
    }

    /// Sequence number of the write.
    #[must_use]
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    fn of(stored: &Stored) -> Self {
        let Stored { chain, key, seq, record } = stored;
        Self { chain: chain.clone(), key: *key, hrs: record.hrs(), seq: *seq }
    }
}

/// Hashes, since a chain id can hold anything; the slots say which chain and key it is.
pub(super) fn file_name(chain: &ChainId, key: &KeyId) -> String {
    let prefix = |bytes: &[u8]| hex::encode(bytes.iter().copied().take(8).collect::<Vec<u8>>());
    let chain = Sha256::digest(chain.as_str().as_bytes());
    format!("{}-{}.{EXTENSION}", prefix(&chain), prefix(key.as_bytes()))
}

/// The newer of two whole slots that follow each other.
pub(super) fn newest(content: &[u8]) -> Result<Stored, Fault> {
    let (expected, found) = (2 * SLOT_BYTES, content.len());
    let (first, second) = content
        .split_at_checked(SLOT_BYTES)
        .filter(|_| found == expected)
        .ok_or(Fault::Length { expected, found })?;
    let (first, second) = match (in_slot(0, first), in_slot(1, second)) {
        (Err(Unreadable::Version(found)), _) | (_, Err(Unreadable::Version(found))) => {
            return Err(Fault::Version { found });
        }
        (Err(Unreadable::Damaged), Err(Unreadable::Damaged)) => {
            return Err(Fault::BothSlotsDamaged);
        }
        (Err(Unreadable::Damaged), Ok(whole)) => return Err(one_damaged(0, &whole)),
        (Ok(whole), Err(Unreadable::Damaged)) => return Err(one_damaged(1, &whole)),
        (Ok(first), Ok(second)) => (first, second),
    };
    check_owner(&second, &first.chain, &first.key)?;
    if first.seq.abs_diff(second.seq) != 1 {
        return Err(Fault::SequenceGap { first: first.seq, second: second.seq });
    }
    let (older, newer) = if first.seq < second.seq { (first, second) } else { (second, first) };
    follows(&older.record, &newer.record)?;
    Ok(newer)
}

/// A whole slot with a number that belongs into the other one was copied there.
pub(super) fn in_slot(index: usize, slot: &[u8]) -> Result<Stored, Unreadable> {
    decode(slot).and_then(|stored| {
        if slot_of(stored.seq) == index { Ok(stored) } else { Err(Unreadable::Damaged) }
    })
}

const fn slot_of(seq: u64) -> usize {
    if seq.is_multiple_of(2) { 0 } else { 1 }
}

fn one_damaged(slot: usize, other: &Stored) -> Fault {
    Fault::OneSlotDamaged { slot, seq: other.seq, hrs: other.record.hrs() }
}

pub(super) fn check_owner(stored: &Stored, chain: &ChainId, key: &KeyId) -> Result<(), Fault> {
    if stored.chain != *chain {
        return Err(Fault::OtherChain { expected: chain.clone(), found: stored.chain.clone() });
    }
    if stored.key != *key {
        return Err(Fault::OtherKey { expected: *key, found: stored.key });
    }
    Ok(())
}

/// I2: never down. I1: at one height, round and step content may be forgotten, never exchanged.
pub(super) fn follows(current: &Record, next: &Record) -> Result<(), Fault> {
    let (recorded, asked) = (current.hrs(), next.hrs());
    // `None`, never signed, is the least.
    if asked < recorded {
        return Err(Fault::Lower { recorded, asked });
    }
    match (recorded, next.mark().and_then(Mark::fields)) {
        (Some(hrs), Some(fields))
            if asked == recorded && current.mark().and_then(Mark::fields) != Some(fields) =>
        {
            Err(Fault::OtherContent { hrs })
        }
        _ => Ok(()),
    }
}
