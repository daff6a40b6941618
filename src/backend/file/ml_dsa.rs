//! A private key of ML-DSA-65, as FIPS 204 packs it: ρ, K, tr, s1, s2, t0.

use ml_dsa::{ExpandedSigningKey, ExpandedSigningKeyBytes, MlDsa65};
use zeroize::Zeroize as _;

use crate::types::{Algorithm, PublicKey};

/// Length of a packed private key, in bytes.
pub(super) const PACKED_BYTES: usize = 4032;

/// Where s1 and s2 begin: behind ρ, K and tr.
const SMALL: usize = 32 + 32 + 64;
/// Five and six polynomials of 256 coefficients of 4 bits each.
const SMALL_BYTES: usize = (5 + 6) * 128;
/// The coefficients are 4 − x with x from −4 to 4.
const MOST_SMALL: u8 = 8;

/// A private key; wiped when dropped (ml-dsa, feature `zeroize`).
pub(super) struct MlDsaSecret(ExpandedSigningKey<MlDsa65>);

impl MlDsaSecret {
    /// `None` for what cannot be a key. Whether tr and t0 belong to the rest shows the first signature,
    /// which does not verify if not.
    pub(super) fn from_packed(packed: &[u8]) -> Option<Self> {
        let small = packed.get(SMALL..)?.get(..SMALL_BYTES)?;
        // What no key has must not reach the arithmetic, which takes it for granted.
        if small.iter().any(|byte| byte & 15 > MOST_SMALL || byte >> 4 > MOST_SMALL) {
            return None;
        }
        let mut array = ExpandedSigningKeyBytes::<MlDsa65>::try_from(packed).ok()?;
        #[expect(deprecated, reason = "CometBFT keeps the packed key, and not its seed")]
        let key = ExpandedSigningKey::from_expanded(&array);
        array.as_mut_slice().zeroize();
        Some(Self(key))
    }

    pub(super) fn public_key(&self) -> Option<PublicKey> {
        let encoded = self.0.verifying_key().encode();
        PublicKey::new(Algorithm::MlDsa65, encoded.as_slice()).ok()
    }

    /// The deterministic variant with an empty context; `None` for a key whose parts do not belong
    /// together.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.0.sign_deterministic(message, &[]).ok()?;
        Some(signature.encode().as_slice().to_vec())
    }
}
