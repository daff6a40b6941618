//! Signatures that were seen to verify. Nothing else is ever answered (I5).

use super::key::ChainKey;
use crate::privval::{Fields, Likeness, sign_bytes};
use crate::raft::Settled;
use crate::types::{Algorithm, Signature, Timestamp};

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
        check_bytes(key, &message, signature)?;
        Some(Self { fields: fields.clone(), signature: signature.clone() })
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

/// I5 for raw sign bytes (vote extensions): `Some` if the signature verifies.
pub(super) fn check_bytes(key: &ChainKey, message: &[u8], signature: &Signature) -> Option<()> {
    key.verifier.accepts(message, signature).then_some(())
}
