//! The home directory: its paths, its modes, its lock.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What to do without a state that can be trusted.
pub(in crate::config) const LOST_STATE: &str = ". Nothing may be signed with it, and state/ is never brought back from a backup \
     (an old state has forgotten what was signed since). A node alone: make a new home with `cosigner init`, and for \
     --state-height take a height that the chain has not reached. In a cluster the other cosigners go on without this one; \
     to have it back, stop all of them and split the key again, into new homes for all (those of a whole key: `init`)";

/// A node's home. Holding one says nothing about what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    root: PathBuf,
}

/// Held while a process uses a home. The kernel frees it with the process, however that ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

/// Why a home was refused. All of these are about safety: exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A directory of the home is gone.
    #[error(
        "{path}: not found. A home has cosigner.toml and state/, in a cluster cluster.toml and keys/, too, as \
         `split-key` or `init` wrote them: copy it whole to its machine{}", if path.ends_with("state") { LOST_STATE } else { "" }, path = path.display()
    )]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Others on this machine may read or write what they must not.
    #[error("others on this machine may read or change {what}; run: {remedy}")]
    Loose {
        /// The paths with their modes.
        what: String,
        /// The `chmod` that makes it right.
        remedy: String,
    },
    /// Another process uses this home.
    #[error(
        "{path}: another process uses this home (it holds this lock). Two processes with one key or share would sign twice: \
         stop the other one first", path = path.display()
    )]
    InUse {
        /// The lock file.
        path: PathBuf,
    },
    /// The home cannot be looked at.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Home {
    /// A home at this path; a relative one is taken from the working directory, once.
    #[must_use]
    pub fn new(root: &Path) -> Self {
        Self { root: std::path::absolute(root).unwrap_or_else(|_| root.to_owned()) }
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What this node does.
    #[must_use]
    pub fn cosigner_toml(&self) -> PathBuf {
        self.root.join("cosigner.toml")
    }

    /// The members.
    #[must_use]
    pub fn cluster_toml(&self) -> PathBuf {
        self.root.join("cluster.toml")
    }

    /// Who this signer is for `noise://` validators, unless `cosigner.toml` says another file.
    #[must_use]
    pub fn identity_json(&self) -> PathBuf {
        self.root.join("identity.json")
    }

    /// The database of identity and shares.
    #[must_use]
    pub fn keys(&self) -> PathBuf {
        self.root.join("keys")
    }

    /// All that must never come back from a backup.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.root.join("state")
    }

    /// The watermark files' directory.
    #[must_use]
    pub fn watermarks(&self) -> PathBuf {
        self.state().join("watermarks")
    }

    /// The database of Raft and of incarnations.
    #[must_use]
    pub fn state_db(&self) -> PathBuf {
        self.state().join("db")
    }

    fn lock_file(&self) -> PathBuf {
        self.state().join("lock")
    }

    /// Refuses a home with something secret that others on this machine may read or change:
    /// `cosigner.toml`, `keys/` (a member of a cluster has one), `state/` and all inside.
    ///
    /// # Errors
    /// [`HomeError::Loose`] with the `chmod` to run, [`HomeError::Missing`].
    pub fn check_modes(&self, of_member: bool) -> Result<(), HomeError> {
        let mut loose = Vec::new();
        look_at(&self.cosigner_toml(), &mut loose)?;
        if of_member {
            look_at(&self.keys(), &mut loose)?;
        }
        look_at(&self.state(), &mut loose)?;
        if loose.is_empty() { Ok(()) } else { Err(refuse_loose(&loose)) }
    }

    /// Takes the home for this process, until the lock is dropped.
    ///
    /// # Errors
    /// [`HomeError::InUse`], [`HomeError::Missing`].
    pub fn lock(&self) -> Result<HomeLock, HomeError> {
        let path = self.lock_file();
        let opened =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = match opened {
            Ok(file) => file,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Err(HomeError::Missing { path: self.state() });
            }
            Err(source) => return Err(HomeError::Io { path, source }),
        };
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(HomeError::InUse { path }),
            Err(TryLockError::Error(source)) => Err(HomeError::Io { path, source }),
        }
    }
}

struct Loose {
    path: PathBuf,
    mode: u32,
    directory: bool,
}

/// Notes a path, and all beneath a directory, whose group or others may do anything.
fn look_at(path: &Path, loose: &mut Vec<Loose>) -> Result<(), HomeError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            HomeError::Missing { path }
        } else {
            HomeError::Io { path, source }
        }
    };
    let metadata = fs::metadata(path).map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        loose.push(Loose { path: path.to_owned(), mode, directory: metadata.is_dir() });
    }
    if !metadata.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        match look_at(&entry.map_err(failed)?.path(), loose) {
            // A database may remove its own old files while we look.
            Err(HomeError::Missing { .. }) => {}
            other => other?,
        }
    }
    Ok(())
}

fn refuse_loose(loose: &[Loose]) -> HomeError {
    let what: Vec<String> =
        loose.iter().map(|it| format!("{} (mode {:04o})", it.path.display(), it.mode)).collect();
    let chmod = |directory: bool, mode: &str| {
        let paths: Vec<String> = loose
            .iter()
            .filter(|it| it.directory == directory)
            .map(|it| shell(&it.path.display().to_string()))
            .collect();
        (!paths.is_empty()).then(|| format!("chmod {mode} {}", paths.join(" ")))
    };
    let remedy: Vec<String> =
        [chmod(true, "0700"), chmod(false, "0600")].into_iter().flatten().collect();
    HomeError::Loose { what: what.join(", "), remedy: remedy.join(" && ") }
}

/// A word as a shell takes it.
pub(in crate::config) fn shell(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn home() -> (tempfile::TempDir, Home) {
        let root = tempfile::tempdir().unwrap();
        let home = Home::new(root.path());
        fs::write(home.cosigner_toml(), "").unwrap();
        set_mode(&home.cosigner_toml(), 0o600);
        for directory in [home.keys(), home.state(), home.watermarks()] {
            fs::create_dir(&directory).unwrap();
            set_mode(&directory, 0o700);
        }
        (root, home)
    }

    #[test]
    fn a_home_belongs_to_one_process_at_a_time() {
        let (_root, home) = home();
        let lock = home.lock().unwrap();
        assert!(matches!(home.lock(), Err(HomeError::InUse { .. })));
        drop(lock);
        home.lock().unwrap();
        home.check_modes(true).unwrap();
    }

    #[test]
    fn names_every_loose_path_and_the_chmod_that_mends_it() {
        let (_root, home) = home();
        home.check_modes(true).unwrap();
        let deep = home.watermarks().join("a b");
        fs::write(&deep, "").unwrap();
        set_mode(&deep, 0o640);
        set_mode(&home.keys(), 0o755);
        let text = home.check_modes(true).unwrap_err().to_string();
        let keys = home.keys().display().to_string();
        assert!(text.contains(&format!("{keys} (mode 0755)")), "{text}");
        let remedy = format!("run: chmod 0700 {keys} && chmod 0600 '{}'", deep.display());
        assert!(text.ends_with(&remedy), "{text}");
        let chmod = text.split("run: ").nth(1).unwrap();
        let done = std::process::Command::new("sh").args(["-c", chmod]).status().unwrap();
        assert!(done.success());
        home.check_modes(true).unwrap();
    }

    #[test]
    fn a_home_without_its_state_is_refused() {
        let (_root, home) = home();
        fs::remove_dir_all(home.state()).unwrap();
        let state = home.state();
        assert!(
            matches!(home.check_modes(true), Err(HomeError::Missing { path }) if path == state)
        );
        assert!(matches!(home.lock(), Err(HomeError::Missing { path }) if path == state));
    }
}
