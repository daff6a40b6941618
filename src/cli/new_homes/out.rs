//! A directory in which several things appear together, or none of them.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::NewHomesError;

/// The directory that things are made in, beside their final names. What is not finished goes away
/// with this value.
pub(in crate::cli) struct Out {
    directory: PathBuf,
    /// Whether the directory was made here.
    new: bool,
    /// Where to make them; each gets its name in [`Out::finish`].
    pub(in crate::cli) unfinished: PathBuf,
    finished: Vec<PathBuf>,
    done: bool,
}

impl Out {
    pub(in crate::cli) fn make(directory: &Path) -> Result<Self, NewHomesError> {
        let new = !directory.exists();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(failed("make", directory))?;
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(NewHomesError::Randomness)?;
        let unfinished = directory.join(format!(".unfinished-{}", hex::encode(suffix)));
        let out = Self {
            directory: directory.to_owned(),
            new,
            unfinished,
            finished: Vec::new(),
            done: false,
        };
        make_directory(&out.unfinished)?;
        Ok(out)
    }

    /// Gives all that was made its name in the directory, in this order.
    pub(in crate::cli) fn finish(mut self, names: &[String]) -> Result<(), NewHomesError> {
        settle(&self.unfinished)?;
        for name in names {
            let to = self.directory.join(name);
            give_name(&self.unfinished.join(name), &to).map_err(failed("name", &to))?;
            self.finished.push(to);
        }
        fs::remove_dir(&self.unfinished).map_err(failed("remove", &self.unfinished))?;
        sync(&self.directory)?;
        if let Some(parent) = self.directory.parent().filter(|_| self.new) {
            sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        self.done = true;
        Ok(())
    }
}

/// A name that was taken meanwhile is not taken over.
fn give_name(from: &Path, to: &Path) -> io::Result<()> {
    if from.is_dir() {
        // What has the name is either not a directory or not empty, and stays; or it is an empty
        // directory.
        return fs::rename(from, to);
    }
    // Unlike a rename, a link never replaces a file.
    fs::hard_link(from, to).and_then(|()| fs::remove_file(from))
}

impl Drop for Out {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        for path in self.finished.iter().chain([&self.unfinished]) {
            let removed =
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    eprintln!("warning: remove {} yourself: {error}", path.display());
                }
                _ => {}
            }
        }
        if self.new {
            // Fails if somebody has put something there, which then is not ours to remove.
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> NewHomesError {
    let path = path.to_owned();
    move |source| NewHomesError::Write { doing, path, source }
}

pub(super) fn make_directory(path: &Path) -> Result<(), NewHomesError> {
    DirBuilder::new().mode(0o700).create(path).map_err(failed("make", path))
}

pub(in crate::cli) fn write_file(
    path: &Path,
    content: impl AsRef<[u8]>,
) -> Result<(), NewHomesError> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(content.as_ref())).map_err(failed("write", path))
}

/// Makes a finished tree private and durable, from the leaves up.
fn settle(path: &Path) -> Result<(), NewHomesError> {
    let directory = path.is_dir();
    let mode = if directory { 0o700 } else { 0o600 };
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(failed("make private", path))?;
    if directory {
        for entry in fs::read_dir(path).map_err(failed("list", path))? {
            settle(&entry.map_err(failed("list", path))?.path())?;
        }
    }
    sync(path)
}

fn sync(path: &Path) -> Result<(), NewHomesError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_remains_of_homes_that_were_not_finished() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("out");
        let mut out = Out::make(&directory).unwrap();
        fs::write(out.unfinished.join("secret"), "x").unwrap();
        fs::create_dir(directory.join("cosigner-1")).unwrap();
        fs::write(directory.join("cosigner.toml"), "x").unwrap();
        out.finished.extend(["cosigner-1", "cosigner.toml"].map(|name| directory.join(name)));
        drop(out);
        assert!(!directory.exists());
    }

    #[test]
    fn what_was_there_before_stays_when_it_fails() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("README.md"), "x").unwrap();
        drop(Out::make(root.path()).unwrap());
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }

    /// Both names are free when it begins, and one is taken before it ends.
    #[test]
    fn a_name_that_was_taken_meanwhile_is_not_taken_over() {
        for taken in ["state", "cosigner.toml"] {
            let root = tempfile::tempdir().unwrap();
            let out = Out::make(root.path()).unwrap();
            fs::create_dir(out.unfinished.join("state")).unwrap();
            fs::write(out.unfinished.join("state/ours"), "ours").unwrap();
            fs::write(out.unfinished.join("cosigner.toml"), "ours").unwrap();
            let theirs = root.path().join(taken);
            fs::write(&theirs, "theirs").unwrap();
            let finished = out.finish(&["state".to_owned(), "cosigner.toml".to_owned()]);
            assert!(matches!(finished, Err(NewHomesError::Write { doing: "name", .. })));
            assert_eq!(fs::read_to_string(&theirs).unwrap(), "theirs");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "nothing else is left");
        }
    }
}
