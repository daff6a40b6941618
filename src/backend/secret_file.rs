//! Reading a small file with a secret in it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a file with a secret was not read. Nothing of its content is in here.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// No such file.
    #[error(
        "{path}: not found; put the {what} there, or correct the path in cosigner.toml",
        path = path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// What is wanted in it.
        what: &'static str,
    },
    /// Others on this machine may read or change it.
    #[error(
        "others on this machine may read or change {path} (mode {mode:04o}); run: chmod 0600 {word}",
        path = path.display(), word = shell(path)
    )]
    Loose {
        /// The file, links followed.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, a pipe, a device.
    #[error("{path}: not a regular file; a {what} is read from one", path = path.display())]
    NotAFile {
        /// What the path leads to.
        path: PathBuf,
        /// What is wanted in it.
        what: &'static str,
    },
    /// More than any such file holds.
    #[error("{path}: more than {limit} bytes, so it is no {what}", path = path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// What is wanted in it.
        what: &'static str,
        /// Bytes allowed.
        limit: usize,
    },
    /// The system refuses.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads a whole file of at most `limit` bytes into one buffer, which is wiped when dropped. Links
/// are followed, and the mode of what they lead to counts. `what` names the content in errors.
///
/// # Errors
/// [`SecretFileError`].
pub(crate) fn read(
    path: &Path,
    what: &'static str,
    limit: usize,
) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::NotFound {
            SecretFileError::Missing { path, what }
        } else {
            SecretFileError::Io { path, source }
        }
    };
    // Before it is opened: opening a pipe would wait for somebody to write into it.
    let target = fs::canonicalize(path).map_err(failed)?;
    if !fs::metadata(&target).map_err(failed)?.is_file() {
        return Err(SecretFileError::NotAFile { path: target, what });
    }
    let mut file = File::open(&target).map_err(failed)?;
    // Of the open file, so that nobody can exchange it in between.
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Loose { path: target, mode });
    }
    // Never grows, so no copy is left behind.
    let mut content = Zeroizing::new(vec![0; limit.saturating_add(1)]);
    let mut length = 0;
    while let Some(rest) = content.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(read) => length = length.saturating_add(read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    if length > limit {
        return Err(SecretFileError::TooLarge { path: target, what, limit });
    }
    content.truncate(length);
    Ok(content)
}

/// A path as a shell takes it.
fn shell(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:".contains(c);
    if text.chars().all(plain) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const WHAT: &str = "secret";

    fn file(name: &str, mode: u32, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().canonicalize().unwrap().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (home, path)
    }

    fn refusal(path: &Path) -> String {
        read(path, WHAT, 8).unwrap_err().to_string()
    }

    #[test]
    fn reads_up_to_the_limit_and_no_further() {
        let (_home, path) = file("key", 0o400, b"12345678");
        assert_eq!(read(&path, WHAT, 8).unwrap().as_slice(), b"12345678");
        assert!(matches!(read(&path, WHAT, 7), Err(SecretFileError::TooLarge { limit: 7, .. })));
    }

    #[test]
    fn a_loose_mode_is_refused_with_a_chmod_that_mends_it() {
        let (_home, path) = file("a key", 0o640, b"x");
        let text = refusal(&path);
        assert!(text.contains("mode 0640"), "{text}");
        let chmod = text.split("run: ").nth(1).unwrap();
        let done = std::process::Command::new("sh").args(["-c", chmod]).status().unwrap();
        assert!(done.success());
        read(&path, WHAT, 8).unwrap();
    }

    #[test]
    fn the_mode_of_what_a_link_leads_to_counts() {
        let (home, path) = file("key", 0o600, b"x");
        let link = home.path().join("link");
        symlink(&path, &link).unwrap();
        assert_eq!(read(&link, WHAT, 8).unwrap().as_slice(), b"x");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let text = refusal(&link);
        assert!(text.ends_with(&format!("chmod 0600 {}", path.display())), "{text}");
    }

    #[test]
    fn a_missing_file_says_what_to_do_and_a_pipe_is_never_waited_for() {
        let (home, path) = file("key", 0o600, b"x");
        let missing = refusal(&home.path().join("nothing"));
        assert!(missing.contains("put the secret there"), "{missing}");
        let pipe = home.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(refusal(&pipe).contains("not a regular file"));
        assert!(refusal(path.parent().unwrap()).contains("not a regular file"));
    }
}
