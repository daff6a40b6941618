//! Whole keys: one trait, three implementations.
//!
//! A [`WholeKey`] signs what a [`Granted`] holds, or a [`RawAllowed`], and nothing else. Only a complete set of grants of
//! one session makes a [`Granted`] (I7), with the own watermark's receipt among them (I3); a node
//! alone is the case where one grant, its own, is complete. Bytes of gRPC clients are signed only as a
//! [`ServiceMessage`], with a key that is in no chain.
//!
//! - [`grants`](GrantSet): counts grants; the only place that makes a [`Granted`].
//! - [`service`](ServiceKey): the receipt that a key is in no chain.
//! - `file`: a key file in memory.
//! - `pkcs11`: a token behind its PKCS#11 module. Cargo feature `pkcs11`.
//! - `awskms`: AWS KMS. Cargo feature `awskms`.

#[cfg(feature = "awskms")]
mod awskms;
mod fault;
mod file;
mod grants;
mod later;
mod open;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod secret_file;
mod service;
mod source;
mod verified;

#[cfg(test)]
mod tests_support;

use crate::privval::RawAllowed;
use crate::types::{PublicKey, Signature};

pub use fault::KeyFault;
#[cfg(fuzzing)]
#[doc(hidden)]
pub use file::fuzz_key_file;
pub use file::{FileKeyError, KeyFile, KeyFileError, RawKeyError};
pub use grants::{GrantFault, GrantSet, Granted, Granting, content_hash};
pub use open::{Backends, OpenError};
pub use secret_file::{SecretFileError, read as read_secret_file};
pub use service::{
    ConsensusKeys, DIGEST_BYTES, NotADigest, NotForService, ServiceKey, ServiceMessage, ToSign,
};
pub use source::{AwsKmsSource, FileSource, Pin, Pkcs11Source, Source, Token};

/// A whole private key, wherever it is. Calls block: each key has a thread of its own.
pub trait WholeKey: Send {
    /// Its public half, with its algorithm. Known before the key can be reached.
    fn public_key(&self) -> &PublicKey;

    /// Signs what was granted: the vote or proposal if it holds one, and the extension if it holds
    /// one, with and without replay protection; all or nothing. The caller verifies what comes back (I5).
    ///
    /// # Errors
    /// [`KeyFault`]; the next call tries to recover.
    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault>;

    /// Signs raw bytes, which can be no vote. The caller verifies what comes back (I5).
    ///
    /// # Errors
    /// [`KeyFault`]; the next call tries to recover.
    fn sign_raw(&mut self, allowed: RawAllowed) -> Result<Signature, KeyFault>;

    /// Signs what a gRPC client sent, for a key that is in no chain. The caller verifies what comes back.
    ///
    /// # Errors
    /// [`KeyFault`]; the next call tries to recover.
    fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault>;

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
    /// Over the extension's bytes without replay protection.
    pub non_rp: Option<Signature>,
}
