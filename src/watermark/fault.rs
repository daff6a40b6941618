//! What can be wrong with a watermark file, and what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::types::{ChainId, Hrs, KeyId};

/// A watermark file that cannot be used or written.
#[derive(Debug, thiserror::Error)]
#[error("watermark file {}: {fault}", path.display())]
pub struct FileError {
    /// The file, or the directory if that could not be read.
    pub path: PathBuf,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a watermark file. Nothing here is ever answered by starting at zero (I2).
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// No such file.
    #[error(
        "it does not exist, and a missing watermark is not a fresh one; \
         run `cosigner state init --height H`, where the chain is at H or below"
    )]
    Missing,
    /// `create` never replaces a file.
    #[error(
        "it exists already; to raise the watermark in it run `cosigner state raise --height H`"
    )]
    Exists,
    /// Only a damaged file is mended.
    #[error("it is not damaged; its record can only be raised by an ordinary write")]
    NotDamaged,
    /// Group or others have rights on it.
    #[error("its mode is {mode:04o}, others than its owner could use it; run `chmod 600 {}`", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Another process, or another part of this one, has it open.
    #[error("another cosigner uses it; two of them on one state directory would sign twice")]
    Locked,
    /// Cut off, or something was appended.
    #[error(
        "it is {found} bytes long, not {expected}: damaged; \
         run `cosigner state raise --height H` with a height that the chain has not reached"
    )]
    Length {
        /// Length of a whole file, bytes.
        expected: usize,
        /// Length found, bytes.
        found: usize,
    },
    /// Nothing of the record can be read.
    #[error(
        "both of its slots are damaged, what was signed last is lost; \
         run `cosigner state raise --height H` with a height that the chain has not reached"
    )]
    BothSlotsDamaged,
    /// The readable slot may be the older one.
    #[error(
        "slot {slot} is damaged; the other one, number {seq}, says {}, \
         which may be one signature too old; \
         run `cosigner state raise --height H` with a height that the chain has not reached",
        at(*hrs)
    )]
    OneSlotDamaged {
        /// The damaged slot, 0 or 1.
        slot: usize,
        /// Sequence number of the other.
        seq: u64,
        /// Watermark of the other.
        hrs: Option<Hrs>,
    },
    /// A write between the two slots is missing.
    #[error(
        "its slots are numbered {first} and {second}, which do not follow each other: \
         a write is lost; \
         run `cosigner state raise --height H` with a height that the chain has not reached"
    )]
    SequenceGap {
        /// Sequence number of slot 0.
        first: u64,
        /// Sequence number of slot 1.
        second: u64,
    },
    /// Another chain's file, moved or copied here.
    #[error(
        "it belongs to chain {found}, not to {expected}; put this home's own file back, never a copy from a backup"
    )]
    OtherChain {
        /// The chain it was opened for.
        expected: ChainId,
        /// The chain it names.
        found: ChainId,
    },
    /// Another key's file, moved or copied here.
    #[error(
        "it belongs to key {found}, not to {expected}; put this home's own file back, never a copy from a backup"
    )]
    OtherKey {
        /// The key it was opened for.
        expected: KeyId,
        /// The key it names.
        found: KeyId,
    },
    /// Its name is not the one that follows from the chain and key in it.
    #[error("its content belongs into {expected}; move copies out of the state directory")]
    Misnamed {
        /// The right file name.
        expected: String,
    },
    /// Written by another version of this program.
    #[error("its format is version {found}, this program knows version 1; run the newer program")]
    Version {
        /// The version it names.
        found: u16,
    },
    /// The path names no file or another one than the open one.
    #[error(
        "it was moved, removed or replaced while in use; nothing more is signed with it. Only if the very same file \
         is still there, put it back and restart the cosigner; never a copy or a backup, which has forgotten what was \
         signed since: without the file itself, use `cosigner state init --height H` with a height that the chain has not reached"
    )]
    Moved,
    /// An earlier write failed, so what is on the disk is not known.
    #[error("an earlier write to it failed; look to the disk and restart the cosigner")]
    Poisoned,
    /// A write would lower the watermark (I2).
    #[error("it stands at {}, a record at {} would lower it", at(*recorded), at(*asked))]
    Lower {
        /// The watermark.
        recorded: Option<Hrs>,
        /// What was to be written.
        asked: Option<Hrs>,
    },
    /// A write would replace what was agreed to at one height, round and step by something else (I1).
    #[error("what it records at {hrs} cannot be replaced by other content")]
    OtherContent {
        /// Where.
        hrs: Hrs,
    },
    /// 2⁶⁴ writes are more than a file can live.
    #[error("its sequence number cannot be raised any more")]
    SequenceExhausted,
    /// A ceiling of 0 stands for none in the file.
    #[error("a ceiling is a height from 1")]
    CeilingZero,
    /// The record does not fit into one disk sector.
    #[error("the record does not fit into one sector")]
    RecordTooLong,
    /// The system said no.
    #[error("cannot {action} it: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl FileError {
    pub(super) fn new(path: &Path, fault: Fault) -> Self {
        Self { path: path.to_owned(), fault }
    }
}

impl Fault {
    /// For `map_err`: what was tried when the system said no.
    pub(super) fn io(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, source }
    }
}

fn at(hrs: Option<Hrs>) -> String {
    hrs.map_or_else(|| "never signed".to_owned(), |hrs| hrs.to_string())
}
