//! Signatures that were seen to verify. Nothing else is ever answered (I5).

use super::coordinator::Content;
use super::key::ChainKey;
use crate::backend::{KeyFault, Signatures};
use crate::privval::{Extension, ExtensionSignature, Fields, Likeness, sign_bytes};
use crate::raft::Settled;
use crate::types::{Algorithm, Hrs, Signature, Timestamp};

/// Fields and a signature that verified over their sign bytes under the validator's key.
#[derive(Clone, Debug)]
pub struct Verified {
    fields: Fields,
    signature: Signature,
}

impl Verified {
    /// I5: checks a signature that came from anywhere: an aggregate, a peer, the Raft state.
    #[must_use]
    pub fn check(key: &ChainKey, fields: &Fields, signature: &Signature) -> Option<Self> {
        let message = sign_bytes(&key.chain, fields);
        let accepted = key.verifier.accepts(&message, signature);
        accepted.then(|| Self { fields: fields.clone(), signature: signature.clone() })
    }

    /// Takes an aggregate, which `frost` gives out only after it verified over the package's message.
    pub(super) fn aggregate(fields: Fields, aggregate: [u8; 64]) -> Self {
        Self { fields, signature: Signature::new(Algorithm::Ed25519, aggregate) }
    }

    /// The fields that it covers.
    #[must_use]
    pub const fn fields(&self) -> &Fields {
        &self.fields
    }

    /// I5: the signature and timestamp that answer a request for `asked`: only if nothing but the
    /// timestamp differs from what was signed.
    #[must_use]
    pub fn answers(&self, asked: &Fields) -> Option<(Signature, Timestamp)> {
        match self.fields.likeness(asked) {
            Likeness::Identical | Likeness::TimestampOnly => {
                Some((self.signature.clone(), self.fields.timestamp()))
            }
            Likeness::Different => None,
        }
    }

    /// The entry for the Raft log.
    pub(super) fn settled(&self, key: &ChainKey) -> Settled {
        Settled {
            chain: key.chain.clone(),
            key: key.id,
            sign_bytes: sign_bytes(&key.chain, &self.fields),
            signature: self.signature.clone(),
        }
    }

    /// The signature, for the Raft log and reports.
    #[must_use]
    pub const fn signature(&self) -> &Signature {
        &self.signature
    }
}

/// I5 for extensions: whether each kind of bytes that it has is signed, and nothing else is.
pub(super) fn extension_is_signed(
    key: &ChainKey,
    hrs: Hrs,
    extension: Option<&Extension>,
    signature: Option<&ExtensionSignature>,
) -> bool {
    let (extension, signature) = match (extension, signature) {
        (Some(extension), Some(signature)) => (extension, signature),
        (None, None) => return true,
        (Some(_), None) | (None, Some(_)) => return false,
    };
    let non_rp = match (extension.non_rp(), &signature.non_rp) {
        (Some(raw), Some(signature)) => key.verifier.accepts(raw, signature),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let message = extension.sign_bytes(&key.chain, hrs);
    non_rp && key.verifier.accepts(&message, &signature.replay_protected)
}

/// What a whole key has made of a content, verified. Made by [`Self::check`] only.
pub(super) struct Made {
    vote: Option<Verified>,
    extension: Option<ExtensionSignature>,
}

impl Made {
    /// I5: nothing of it is used before it verifies over the bytes built here.
    ///
    /// # Errors
    /// [`KeyFault::BadSignature`] if a signature is missing or does not verify; none is used then.
    pub(super) fn check(
        key: &ChainKey,
        content: &Content,
        signatures: Signatures,
    ) -> Result<Self, KeyFault> {
        let Signatures { vote, extension, non_rp } = signatures;
        let vote = vote.and_then(|vote| Verified::check(key, &content.fields, &vote));
        let extension =
            extension.map(|replay_protected| ExtensionSignature { replay_protected, non_rp });
        let (hrs, asked) = (content.fields.hrs(), content.extension.as_ref());
        let whole = vote.is_some() == content.wants_vote
            && extension_is_signed(key, hrs, asked, extension.as_ref());
        if whole { Ok(Self { vote, extension }) } else { Err(KeyFault::BadSignature) }
    }

    /// The vote's signature, if it was wanted, and the extension's.
    pub(super) fn into_parts(self) -> (Option<Verified>, Option<ExtensionSignature>) {
        (self.vote, self.extension)
    }
}
