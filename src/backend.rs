//! Whole keys: one trait, three implementations.
//!
//! A [`WholeKey`] signs what a [`Granted`] holds and nothing else. Only a complete set of grants of
//! one session makes a [`Granted`] (I7), with the own watermark's receipt among them (I3); a node
//! alone is the case where one grant, its own, is complete.
//!
//! - [`grants`](GrantSet): counts grants; the only place that makes a [`Granted`].
//! - `file`: a key file in memory.
//! - `pkcs11`: a token behind its PKCS#11 module. Cargo feature `pkcs11`.
//! - `awskms`: AWS KMS. Cargo feature `awskms`.

#[cfg(feature = "awskms")]
mod awskms;
mod fault;
mod file;
mod grants;
mod open;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod secret_file;
mod source;

#[cfg(test)]
mod tests_support;

use crate::types::{PublicKey, Signature};

pub use fault::KeyFault;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use file::fuzz_raw_key;
pub use file::{FileKeyError, KeyFile, KeyFileError, RawKeyError};
pub use grants::{GrantFault, GrantSet, Granted, Granting, content_hash, messages};
pub use open::{Backends, OpenError};
pub use secret_file::SecretFileError;
pub use source::{AwsKmsSource, FileSource, Pin, Pkcs11Source, Source, Token};

/// A whole private key, wherever it is. Calls block: each key has a thread of its own.
pub trait WholeKey: Send {
    /// Its public half, with its algorithm. Known before the key can be reached.
    fn public_key(&self) -> &PublicKey;

    /// Signs what was granted: the vote or proposal if it holds one, and the extension if it holds
    /// one; both or neither. The caller verifies what comes back (I5).
    ///
    /// # Errors
    /// [`KeyFault`]; the next call tries to recover.
    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault>;

    /// Whether it could sign now. Tries to recover if it could not before.
    ///
    /// # Errors
    /// [`KeyFault`] says why not.
    fn health(&mut self) -> Result<(), KeyFault>;

    /// Most bytes that it signs, `None` without a limit.
    fn message_limit(&self) -> Option<usize> {
        None
    }
}

/// What a key made of a [`Granted`]: a signature for each message in it. Not verified yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signatures {
    /// Over the sign bytes of the vote or proposal.
    pub vote: Option<Signature>,
    /// Over the extension's sign bytes.
    pub extension: Option<Signature>,
}
