//! Reading watermark files without taking them: `state show`, and the fence, which answers with
//! every file that there is.

use std::fs::OpenOptions;
use std::path::Path;

use super::disk;
use super::fault::{Fault, FileError};
use super::file::{EXTENSION, file_name, newest};
use super::slot::Stored;
use crate::types::{ChainId, KeyId};

/// A running cosigner writes one slot per signature; two reads cannot both fall into such a write.
const READS: u32 = 5;

/// Reads one file, whether a cosigner runs with it or not. What it says is not a receipt: it may
/// not be durable yet.
///
/// # Errors
/// [`FileError`] if it is missing, damaged, or another chain's or key's.
pub fn peek(dir: &Path, chain: &ChainId, key: &KeyId) -> Result<Stored, FileError> {
    peek_path(&dir.join(file_name(chain, key)))
}

/// Reads every watermark file in a directory, configured or not, in the order of their names.
///
/// # Errors
/// [`FileError`] if the directory cannot be read; for single files it stands in the list.
pub fn list(dir: &Path) -> Result<Vec<Result<Stored, FileError>>, FileError> {
    let failed = |source| FileError::new(dir, Fault::Io { action: "list", source });
    let mut paths = Vec::new();
    for entry in dir.read_dir().map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.iter().map(|path| peek_path(path)).collect())
}

fn peek_path(path: &Path) -> Result<Stored, FileError> {
    let read = || {
        let file = disk::open(path, OpenOptions::new().read(true))?;
        newest(&disk::read_whole(&file).map_err(Fault::io("read"))?)
    };
    let mut stored = read();
    for _ in 1..READS {
        if stored.is_ok() {
            break;
        }
        stored = read();
    }
    let named = stored.and_then(|stored| {
        let expected = file_name(&stored.chain, &stored.key);
        if path.file_name().is_some_and(|name| name == expected.as_str()) {
            Ok(stored)
        } else {
            Err(Fault::Misnamed { expected })
        }
    });
    named.map_err(|fault| FileError::new(path, fault))
}
