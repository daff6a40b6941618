//! The file with our identity towards `noise://` validators.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::backend::{SecretFileError, read_secret_file};
use crate::privval::noise::{Identity, IdentityError};

use super::home::shell;

/// What the file is called in errors.
const WHAT: &str = "identity (CometBFT's node_key.json, cosmos/kms's identity.json)";
/// No identity file is as long as this, in bytes.
const LONGEST_FILE: usize = 4 << 10;

/// Why there is no identity towards `noise://` validators.
#[derive(Debug, thiserror::Error)]
pub enum NoiseIdentityError {
    /// No such file, and a validator that needs it.
    #[error(
        "{path}: not found, but a noise:// validator knows its signer by what is in it. If other members of the cluster \
         have one, copy it from there (a validator pins one signer id); else make it with: \
         cosigner peer-id --new --home {home}",
        path = path.display(), home = shell(&home.display().to_string())
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// The home.
        home: PathBuf,
    },
    /// Modes, or the system.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// What is in it.
    #[error("{path}: {source}", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// A new identity where there is one.
    #[error(
        "{path} exists already and is never replaced: validators pin the id in it, and would refuse this signer. \
         If you are sure, move it away first", path = path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It could not be written.
    #[error("{path}: cannot be written: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads the identity file of a home; one that others may read or change is refused.
///
/// # Errors
/// [`NoiseIdentityError`].
pub fn read_noise_identity(path: &Path, home: &Path) -> Result<Identity, NoiseIdentityError> {
    let text = read_secret_file(path, WHAT, LONGEST_FILE).map_err(|error| match error {
        SecretFileError::Missing { path, .. } => {
            NoiseIdentityError::Missing { path, home: home.to_owned() }
        }
        other => other.into(),
    })?;
    let path = path.to_owned();
    Identity::parse(&text).map_err(|source| NoiseIdentityError::Content { path, source })
}

/// Makes an identity and writes its file, which must not be there.
///
/// # Errors
/// [`NoiseIdentityError`].
pub fn create_noise_identity(path: &Path) -> Result<Identity, NoiseIdentityError> {
    let identity = Identity::generate()
        .map_err(|source| NoiseIdentityError::Content { path: path.to_owned(), source })?;
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            NoiseIdentityError::Exists { path }
        } else {
            NoiseIdentityError::Write { path, source }
        }
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(identity.render().as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))
        .and_then(|directory| directory.sync_all())
        .map_err(failed)?;
    Ok(identity)
}

/// The identity that a node starts with: read if a validator needs it. One that nobody needs now may be
/// missing, but not lie open.
pub(super) fn for_start(
    path: &Path,
    home: &Path,
    needed: bool,
) -> Result<Option<Identity>, NoiseIdentityError> {
    match read_noise_identity(path, home) {
        Ok(identity) => Ok(needed.then_some(identity)),
        Err(NoiseIdentityError::File(loose @ SecretFileError::Loose { .. })) => Err(loose.into()),
        Err(_) if !needed => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_is_created_is_private_read_again_and_never_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity.json");
        let made = create_noise_identity(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        let read = read_noise_identity(&path, home.path()).unwrap();
        assert_eq!(read.peer_id(), made.peer_id());
        let before = fs::read(&path).unwrap();
        let refused = create_noise_identity(&path).unwrap_err();
        assert!(matches!(refused, NoiseIdentityError::Exists { .. }), "{refused}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn a_file_that_is_missing_names_the_command_that_makes_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity.json");
        let text = for_start(&path, home.path(), true).unwrap_err().to_string();
        let command = format!("cosigner peer-id --new --home {}", home.path().display());
        assert!(text.contains(&command), "{text}");
        assert!(for_start(&path, home.path(), false).unwrap().is_none());
    }

    #[test]
    fn a_loose_file_is_refused_whether_it_is_needed_or_not() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("identity.json");
        create_noise_identity(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        for needed in [true, false] {
            let text = for_start(&path, home.path(), needed).unwrap_err().to_string();
            assert!(text.contains("chmod 0600") && text.contains("mode 0644"), "{text}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::write(&path, "{}").unwrap();
        assert!(for_start(&path, home.path(), false).unwrap().is_none());
        let text = for_start(&path, home.path(), true).unwrap_err().to_string();
        assert!(text.contains("node_key.json"), "{text}");
    }
}
