//! The directory that a store lives in: made durable when new, private always.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::StoreError;

const OWNER_ONLY: u32 = 0o700;

/// Name of sled's log file (sled 0.34 `config.rs`, `db_path`).
fn database_file(path: &Path) -> PathBuf {
    path.join("db")
}

/// Makes the directory, or takes one that is there and empty.
pub(super) fn make_empty(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(OWNER_ONLY).create(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut entries =
                fs::read_dir(path).map_err(|error| StoreError::io("list", path, error))?;
            if entries.next().is_some() {
                return Err(StoreError::NotEmpty { path: path.to_owned() });
            }
            fs::set_permissions(path, Permissions::from_mode(OWNER_ONLY))
                .map_err(|error| StoreError::io("make private", path, error))
        }
        Err(error) => Err(StoreError::io("make", path, error)),
    }
}

/// Refuses a directory without a database, or one that others may enter.
pub(super) fn check(path: &Path) -> Result<(), StoreError> {
    let file = database_file(path);
    match fs::metadata(&file) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(StoreError::Missing { path: path.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(StoreError::io("look at", &file, error)),
    }
    let found = fs::metadata(path).map_err(|error| StoreError::io("look at", path, error))?;
    let mode = found.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(StoreError::LooseMode { path: path.to_owned(), mode });
    }
    Ok(())
}

/// Makes the names of a new store durable: files, directory, and the directory above.
pub(super) fn sync_new(path: &Path) -> Result<(), StoreError> {
    for name in ["db", "conf"] {
        let file = path.join(name);
        fs::set_permissions(&file, Permissions::from_mode(0o600))
            .map_err(|error| StoreError::io("make private", &file, error))?;
        sync(&file)?;
    }
    sync(&path.join("blobs"))?;
    sync(path)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    sync(parent)
}

/// Our own handle of the database file; an fdatasync through it covers sled's writes as well.
pub(super) fn open_database_file(path: &Path) -> Result<File, StoreError> {
    let file = database_file(path);
    OpenOptions::new()
        .read(true)
        .write(true)
        .open(&file)
        .map_err(|error| StoreError::io("open", &file, error))
}

fn sync(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|handle| handle.sync_all())
        .map_err(|error| StoreError::io("sync", path, error))
}
