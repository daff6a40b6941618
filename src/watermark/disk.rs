//! Where the two slots live: a file, or something that a test can break.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::{ReadWriteFlags, pwritev2};

use super::fault::{Fault, FileError};
use super::slot::SLOT_BYTES;

/// No file of ours is longer; what is longer still need not be read to be refused.
const READ_LIMIT_BYTES: u64 = 65_536;

/// Two slots on something that keeps them.
pub trait SlotDisk {
    /// All that there is, both slots if it is whole.
    ///
    /// # Errors
    /// Whatever the system says.
    fn read(&mut self) -> io::Result<Vec<u8>>;

    /// Overwrites slot 0 or 1; durable when it returns.
    ///
    /// # Errors
    /// Whatever the system says. What the slot then holds is unknown.
    fn write_slot(&mut self, index: usize, slot: &[u8; SLOT_BYTES]) -> io::Result<()>;

    /// Whether whoever opens it next will find what was written here.
    ///
    /// # Errors
    /// Whatever the system says.
    fn is_in_place(&self) -> io::Result<bool>;
}

/// A file of two slots, locked against every other opener for as long as this lives.
#[derive(Debug)]
pub struct FileDisk {
    path: PathBuf,
    file: File,
    /// Device and inode of the open file.
    identity: (u64, u64),
}

impl FileDisk {
    /// Opens and locks an existing file.
    ///
    /// # Errors
    /// [`FileError`] if it is missing, open elsewhere, or if others than its owner have rights on it.
    pub fn open(path: &Path) -> Result<Self, FileError> {
        Self::open_and_lock(path).map_err(|fault| FileError::new(path, fault))
    }

    fn open_and_lock(path: &Path) -> Result<Self, Fault> {
        let file = open(path, OpenOptions::new().read(true).write(true))?;
        let metadata = file.metadata().map_err(Fault::io("look at"))?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Fault::Mode { path: path.to_owned(), mode });
        }
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => Fault::Locked,
            TryLockError::Error(source) => Fault::Io { action: "lock", source },
        })?;
        let disk = Self { path: path.to_owned(), file, identity: (metadata.dev(), metadata.ino()) };
        // It could have been replaced between opening and locking.
        if disk.is_in_place().map_err(Fault::io("look at"))? { Ok(disk) } else { Err(Fault::Moved) }
    }
}

/// Opens without following a link: the lock and the place must be those of the file itself.
pub(super) fn open(path: &Path, options: &mut OpenOptions) -> Result<File, Fault> {
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Fault::Missing,
        _ => Fault::Io { action: "open", source: error },
    })
}

/// Everything from the start, up to a limit.
pub(super) fn read_whole(mut file: &File) -> io::Result<Vec<u8>> {
    let mut content = Vec::with_capacity(2 * SLOT_BYTES);
    file.seek(SeekFrom::Start(0))?;
    file.take(READ_LIMIT_BYTES).read_to_end(&mut content)?;
    Ok(content)
}

impl SlotDisk for FileDisk {
    /// What is read may have been written by a process that was killed before its write was
    /// durable, so it is made so first.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        self.file.sync_all()?;
        read_whole(&self.file)
    }

    /// `RWF_DSYNC` is `O_DSYNC` for one write. (The `OFlags::DSYNC` of rustix is `O_SYNC` where it
    /// calls Linux itself, which would write the times of the file each time, too.)
    fn write_slot(&mut self, index: usize, slot: &[u8; SLOT_BYTES]) -> io::Result<()> {
        let offset = if index == 0 { 0 } else { SLOT_BYTES as u64 };
        let written = pwritev2(&self.file, &[IoSlice::new(slot)], offset, ReadWriteFlags::DSYNC)?;
        if written == SLOT_BYTES { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    fn is_in_place(&self) -> io::Result<bool> {
        match self.path.symlink_metadata() {
            Ok(metadata) => Ok((metadata.dev(), metadata.ino()) == self.identity),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}
