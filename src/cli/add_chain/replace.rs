//! A file's content exchanged for another: all of it, or nothing, also in a crash.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::AddError;

/// Writes the new content under another name, durably, and then gives it the old one's name and mode.
pub(super) fn replace(path: &Path, content: &[u8]) -> Result<(), AddError> {
    let failed = |doing, source| AddError::Io { doing, path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(|source| failed("look at", source))?.permissions().mode();
    let unnamed = unnamed(path).map_err(|source| failed("name", source))?;
    let written = write_new(&unnamed, content, mode)
        .and_then(|()| fs::rename(&unnamed, path))
        .map_err(|source| failed("write", source));
    if written.is_err() {
        // The first error is the one to tell; what stays has a name that nobody reads.
        let _ = fs::remove_file(&unnamed);
    }
    written?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let synced = File::open(directory).and_then(|directory| directory.sync_all());
    synced.map_err(|source| failed("make durable", source))
}

fn unnamed(path: &Path) -> io::Result<PathBuf> {
    let mut suffix = [0; 8];
    getrandom::fill(&mut suffix).map_err(io::Error::other)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    Ok(path.with_file_name(format!(".{name}.new-{}", hex::encode(suffix))))
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    // There may be a PIN in it: private from the start, and then as its predecessor was.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.set_permissions(Permissions::from_mode(mode & 0o777))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_changes_and_the_mode_stays() {
        let root = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o644] {
            let path = root.path().join(format!("file-{mode:o}"));
            fs::write(&path, "old and longer").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            replace(&path, b"new").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"new");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, mode);
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2, "nothing else is left");
    }

    #[test]
    fn what_cannot_be_replaced_stays_and_nothing_is_left_beside_it() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("directory");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("inside"), "x").unwrap();
        assert!(matches!(replace(&path, b"new"), Err(AddError::Io { doing: "write", .. })));
        assert!(path.join("inside").exists());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    }
}
