//! A key in a file, held in memory.
//!
//! What the file is, its content says: CometBFT's `priv_validator_key.json`, or the bare key as text.
//! The same bytes give the same signature, whatever the algorithm.

mod bare;
mod comet;
mod ed25519;
mod ml_dsa;
mod secret;

use std::path::PathBuf;

use super::secret_file::{self, SecretFileError};
use super::verified::{TEST_MESSAGE, verifier};
use super::{FileSource, Granted, KeyFault, ServiceMessage, Signatures, WholeKey};
use crate::privval::RawAllowed;
use crate::types::{Algorithm, PublicKey, Signature};
use secret::Secret;

pub use bare::RawKeyError;
pub use comet::{KeyFile, KeyFileError};

/// More than any key file has.
const MAX_BYTES: usize = 64 * 1024;

/// A key in memory; wiped when dropped.
pub(super) struct FileKey {
    secret: Secret,
    public_key: PublicKey,
}

/// Why a key was not taken from its file. No value of the file is in here.
#[derive(Debug, thiserror::Error)]
pub enum FileKeyError {
    /// The file itself: missing, loose mode, too large.
    #[error(transparent)]
    File(#[from] SecretFileError),
    /// What is wrong in a `priv_validator_key.json`.
    #[error("{path}: {source}", path = path.display())]
    Comet {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: KeyFileError,
    },
    /// What is wrong in a file that is not JSON.
    #[error("{path}: {source}", path = path.display())]
    Raw {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: RawKeyError,
    },
    /// A key of another algorithm.
    #[error(
        "{path}: holds a {found} key, but algorithm = \"{configured}\" is set for it (\"ed25519\" where \
         nothing is said): say algorithm = \"{found}\" if this is the chain's key, else put that one there",
        path = path.display()
    )]
    Algorithm {
        /// The file.
        path: PathBuf,
        /// What the settings say.
        configured: Algorithm,
        /// What the file holds.
        found: Algorithm,
    },
    /// Parts that do not belong together.
    #[error("{path}: the key in it makes signatures that do not verify: the file is damaged", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// A key, and not the one that is wanted.
    #[error(
        "{path}: holds another key: its public key is {}, expected was {}; \
         put the chain's own key there", found.base64(), expected.base64(), path = path.display()
    )]
    WrongKey {
        /// The file.
        path: PathBuf,
        /// The chain's.
        expected: PublicKey,
        /// The file's.
        found: PublicKey,
    },
}

impl FileKey {
    /// Reads a key. `expected` is its public key if that is known.
    pub(super) fn open(
        source: &FileSource,
        expected: Option<&PublicKey>,
    ) -> Result<Self, FileKeyError> {
        let path = || source.path.clone();
        let text = secret_file::read(&source.path, "validator's key file", MAX_BYTES)?;
        let configured = source.algorithm;
        let secret = if text.trim_ascii_start().starts_with(b"{") {
            let (secret, _) = comet::parse(&text)
                .map_err(|source| FileKeyError::Comet { path: path(), source })?;
            secret
        } else {
            bare::parse(&text, configured, expected)
                .map_err(|source| FileKeyError::Raw { path: path(), source })?
        };
        let found = secret.algorithm();
        if found != configured {
            return Err(FileKeyError::Algorithm { path: path(), configured, found });
        }
        let public_key = tried(&secret).ok_or_else(|| FileKeyError::Damaged { path: path() })?;
        match expected {
            Some(expected) if *expected != public_key => Err(FileKeyError::WrongKey {
                path: path(),
                expected: expected.clone(),
                found: public_key,
            }),
            _ => Ok(Self { secret, public_key }),
        }
    }
}

/// The public key, if it verifies what the private one signs.
fn tried(secret: &Secret) -> Option<PublicKey> {
    let public_key = secret.public_key()?;
    let signature = secret.sign(TEST_MESSAGE).ok()?;
    verifier(&public_key).ok()?.accepts(TEST_MESSAGE, &signature).then_some(public_key)
}

impl FileKeyError {
    /// Whether it may pass by itself: the file comes, or can be read again.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::File(SecretFileError::Missing { .. } | SecretFileError::Io { .. }))
    }

    /// The same, of a key that is opened while the node runs.
    pub(super) fn fault(self) -> KeyFault {
        match self {
            Self::File(SecretFileError::Missing { .. }) => KeyFault::NotFound(self.to_string()),
            Self::File(SecretFileError::Io { .. }) => KeyFault::Unreachable(self.to_string()),
            Self::WrongKey { expected, found, .. } => KeyFault::WrongKey { expected, found },
            other => KeyFault::Unfit(other.to_string()),
        }
    }
}

impl WholeKey for FileKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault> {
        let sign = |bytes: &[u8]| self.secret.sign(bytes);
        Ok(Signatures {
            vote: granted.vote().map(sign).transpose()?,
            extension: granted.extension().map(sign).transpose()?,
            non_rp: granted.non_rp().map(sign).transpose()?,
        })
    }

    fn sign_raw(&mut self, allowed: RawAllowed) -> Result<Signature, KeyFault> {
        self.secret.sign(allowed.as_bytes())
    }

    fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
        self.secret.sign_this(&message.to_sign(&self.public_key)?)
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        Ok(())
    }
}

/// A door for tests/fuzz: the text of a key file. The key, if it makes signatures that verify.
#[cfg(fuzzing)]
pub fn fuzz_key_file(
    text: &[u8],
    algorithm: Algorithm,
    expected: &PublicKey,
) -> Result<(Algorithm, Option<PublicKey>), String> {
    let secret = if text.trim_ascii_start().starts_with(b"{") {
        comet::parse(text).map_err(|why| why.to_string())?.0
    } else {
        bare::parse(text, algorithm, Some(expected)).map_err(|why| why.to_string())?
    };
    Ok((secret.algorithm(), tried(&secret)))
}

#[cfg(test)]
mod tests;
