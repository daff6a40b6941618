//! A key in a file, held in memory.
//!
//! What the file is, its content says: CometBFT's `priv_validator_key.json`, or base64 of 32 or 64
//! bytes as tmkms keeps it. Signatures are those of RFC 8032: the same bytes give the same one.

mod comet;
mod raw;

use std::path::PathBuf;

use super::secret_file::{self, SecretFileError};
use super::{FileSource, Granted, KeyFault, Signatures, WholeKey};
use crate::types::{Algorithm, PublicKey, Signature};
use raw::Secret;

pub use comet::{KeyFile, KeyFileError};
pub use raw::RawKeyError;

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
    /// A key, and not the one that is wanted.
    #[error(
        "{path}: holds another key: its public key is {found:?}, expected was {expected:?}; \
         put the chain's own key there", path = path.display()
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
        let secret = if text.trim_ascii_start().starts_with(b"{") {
            let file = KeyFile::parse(&text)
                .map_err(|source| FileKeyError::Comet { path: path(), source })?;
            Secret::from_seed(&file.seed)
        } else {
            Secret::parse(&text, expected)
                .map_err(|source| FileKeyError::Raw { path: path(), source })?
        };
        let public_key = secret.public_key();
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

impl WholeKey for FileKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault> {
        let sign = |bytes: &[u8]| Signature::new(Algorithm::Ed25519, self.secret.sign(bytes));
        Ok(Signatures { vote: granted.vote().map(sign), extension: granted.extension().map(sign) })
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        Ok(())
    }
}

/// A door for tests/fuzz: a key file that is not JSON.
#[cfg(fuzzing)]
pub fn fuzz_raw_key(text: &[u8]) {
    let _ = Secret::parse(text, None).map(|secret| secret.public_key());
}

#[cfg(test)]
mod tests;
