//! Vote extensions: bytes of the application that travel with a precommit for a block.

use std::fmt;
use std::sync::{Arc, OnceLock};

use prost::bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::canonical::extension_sign_bytes;
use crate::types::{ChainId, Hrs, Signature};

/// Longest vote extension of either kind, in bytes (`types/vote.go`, `MaxVoteExtensionSize`).
pub const MAX_EXTENSION_BYTES: usize = 1024 * 1024;

/// From this on, in bytes, hashing takes so long that other requests would notice.
const LONG_BYTES: usize = 32 * 1024;

/// Shorter ones, in bytes, are sent again rather than named.
const WORTH_NAMING_BYTES: usize = 1024;

/// Hashed in front of the bytes, so that a digest is one of nothing else.
const DOMAIN: &[u8] = b"cosigner vote extension v1";

/// What an application attached to a precommit. Cheap to clone: the bytes are shared.
#[derive(Clone)]
pub struct Extension(Arc<Inner>);

struct Inner {
    bytes: Bytes,
    non_rp: Option<Bytes>,
    digest: OnceLock<[u8; 32]>,
}

/// The signatures of one extension: each of the bytes that it has is signed, or none is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtensionSignature {
    /// Over `CanonicalVoteExtension`.
    pub replay_protected: Signature,
    /// Over the bytes of v2 without replay protection, exactly if the extension has them.
    pub non_rp: Option<Signature>,
}

impl Extension {
    /// An extension of v0.38 to v1, perhaps empty.
    #[must_use]
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let (bytes, digest) = (bytes.into(), OnceLock::new());
        Self(Arc::new(Inner { bytes, non_rp: None, digest }))
    }

    /// The same with v2's bytes without replay protection, perhaps empty.
    #[must_use]
    pub fn with_non_rp(&self, non_rp: impl Into<Bytes>) -> Self {
        let (bytes, non_rp) = (self.0.bytes.clone(), Some(non_rp.into()));
        Self(Arc::new(Inner { bytes, non_rp, digest: OnceLock::new() }))
    }

    /// What is signed with height, round and chain around it.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }

    /// v2's bytes without replay protection. `Some`, perhaps empty, where the chain signs them.
    #[must_use]
    pub fn non_rp(&self) -> Option<&Bytes> {
        self.0.non_rp.as_ref()
    }

    /// The bytes that the signature with replay protection covers.
    #[must_use]
    pub fn sign_bytes(&self, chain: &ChainId, hrs: Hrs) -> Vec<u8> {
        extension_sign_bytes(chain, hrs.height, hrs.round, self.bytes())
    }

    /// Names all its bytes. Computed once for all clones; takes some milliseconds for the longest.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let Inner { bytes, non_rp, digest } = &*self.0;
        *digest.get_or_init(|| {
            let length = |bytes: &Bytes| (bytes.len() as u64).to_be_bytes();
            let hash = Sha256::new()
                .chain_update(DOMAIN)
                .chain_update(length(bytes))
                .chain_update(bytes)
                .chain_update([u8::from(non_rp.is_some())]);
            hash.chain_update(non_rp.as_deref().unwrap_or_default()).finalize().into()
        })
    }

    /// Bytes of both kinds together.
    #[must_use]
    pub fn total_bytes(&self) -> usize {
        self.bytes().len().saturating_add(self.non_rp().map_or(0, Bytes::len))
    }

    /// Whether hashing it is work for a thread of its own.
    #[must_use]
    pub fn is_long(&self) -> bool {
        self.total_bytes() > LONG_BYTES
    }

    /// Whether its digest is sent in place of bytes that the other end has.
    #[must_use]
    pub fn is_worth_naming(&self) -> bool {
        self.total_bytes() > WORTH_NAMING_BYTES
    }
}

impl PartialEq for Extension {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.bytes() == other.bytes() && self.non_rp() == other.non_rp())
    }
}

impl Eq for Extension {}

/// Lengths only: it may be a megabyte, and no log shows it.
impl fmt::Debug for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Extension");
        shown.field("bytes", &self.bytes().len());
        shown.field("non_rp", &self.non_rp().map(Bytes::len)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_where_one_kind_of_bytes_ends_and_the_other_begins() {
        let digests = [
            Extension::new("ab").digest(),
            Extension::new("ab").with_non_rp("").digest(),
            Extension::new("a").with_non_rp("b").digest(),
            Extension::new("").with_non_rp("ab").digest(),
        ];
        for (index, digest) in digests.iter().enumerate() {
            assert!(!digests[..index].contains(digest), "{index}");
        }
        assert_eq!(Extension::new("ab").digest(), digests[0]);
    }

    #[test]
    fn other_bytes_have_another_digest_also_if_the_first_was_known() {
        let first = Extension::new("ab");
        let digest = first.digest();
        assert_ne!(first.with_non_rp("c").digest(), digest);
    }

    #[test]
    fn debug_shows_no_bytes() {
        let shown = format!("{:?}", Extension::new("secret").with_non_rp("secret"));
        assert_eq!(shown, "Extension { bytes: 6, non_rp: Some(6) }");
    }
}
