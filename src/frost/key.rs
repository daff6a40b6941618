//! Shares and keys, and the checks that stand before arithmetic with foreign points.

use std::fmt;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity as _;
use zeroize::Zeroizing;

use super::{FrostError, PointFault, PointKind};
use crate::types::{Algorithm, PublicKey};

/// A member's secret share of a key. Wiped when dropped; it can be neither copied nor printed.
///
/// ```compile_fail
/// let share = cosigner::frost::SigningShare::from_bytes(&[1; 32]).unwrap();
/// println!("{share:?}");
/// ```
pub struct SigningShare(Box<Zeroizing<Scalar>>);

/// A member's public share: the group's base point times its signing share.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingShare {
    point: EdwardsPoint,
    bytes: [u8; 32],
}

/// The validator's public key, its point decoded and checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct VerifyingKey {
    point: EdwardsPoint,
    library: ed25519_dalek::VerifyingKey,
}

impl SigningShare {
    /// Takes a share: 32 bytes, little-endian.
    ///
    /// # Errors
    /// [`FrostError::ShareNotCanonical`] at or above the group order, [`FrostError::ShareIsZero`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, FrostError> {
        let scalar = Option::from(Scalar::from_canonical_bytes(*bytes));
        Self::from_scalar(scalar.ok_or(FrostError::ShareNotCanonical)?)
    }

    pub(super) fn from_scalar(scalar: Scalar) -> Result<Self, FrostError> {
        let boxed = Box::new(Zeroizing::new(scalar));
        if **boxed == Scalar::ZERO {
            return Err(FrostError::ShareIsZero);
        }
        Ok(Self(boxed))
    }

    /// The share's 32 bytes, wiped when dropped.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public share that belongs to it.
    #[must_use]
    pub fn verifying_share(&self) -> VerifyingShare {
        let point = EdwardsPoint::mul_base(self.scalar());
        VerifyingShare { point, bytes: point.compress().to_bytes() }
    }

    pub(super) fn scalar(&self) -> &Scalar {
        &self.0
    }
}

impl VerifyingShare {
    /// Takes a compressed point of prime order.
    ///
    /// # Errors
    /// [`FrostError::Point`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, FrostError> {
        let point = decode(bytes, PointKind::VerifyingShare)?;
        Ok(Self { point, bytes: *bytes })
    }

    /// The compressed point.
    #[must_use]
    pub const fn to_bytes(&self) -> [u8; 32] {
        self.bytes
    }

    pub(super) const fn point(&self) -> &EdwardsPoint {
        &self.point
    }
}

impl VerifyingKey {
    /// Takes a consensus key, which must be of prime order as every key made from a seed is.
    ///
    /// # Errors
    /// [`FrostError::NotEd25519`], [`FrostError::Point`].
    pub fn from_public_key(key: &PublicKey) -> Result<Self, FrostError> {
        let refused = || FrostError::NotEd25519(key.algorithm());
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(refused());
        }
        let bytes = key.as_bytes().try_into().map_err(|_| refused())?;
        let point = decode(&bytes, PointKind::PublicKey)?;
        let library = ed25519_dalek::VerifyingKey::from_bytes(&bytes).map_err(|_| {
            FrostError::Point { kind: PointKind::PublicKey, fault: PointFault::NotOnCurve }
        })?;
        Ok(Self { point, library })
    }

    /// The compressed point.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.library.as_bytes()
    }

    /// The strict check of a signature: what it accepts, every other Ed25519 rule accepts.
    ///
    /// # Errors
    /// [`FrostError::InvalidSignature`].
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), FrostError> {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.library.verify_strict(message, &signature).map_err(|_| FrostError::InvalidSignature)
    }

    /// The same check where the challenge is known already: R = zB − cA, compared as bytes. With
    /// B and A of prime order the right side is too, so R needs no decoding and no torsion check,
    /// provided that it is not the identity.
    pub(super) fn accepts(
        &self,
        group_commitment: &[u8; 32],
        challenge: &Scalar,
        response: &Scalar,
    ) -> bool {
        let found =
            EdwardsPoint::vartime_double_scalar_mul_basepoint(challenge, &-self.point, response);
        found.compress().as_bytes() == group_commitment
    }
}

/// RFC 9591 §6.1, `DeserializeElement`: everything but canonical points of prime order is refused.
///
/// A small-order part added to a commitment would otherwise give signatures that CometBFT accepts
/// and other verifiers reject.
pub(super) fn decode(bytes: &[u8; 32], kind: PointKind) -> Result<EdwardsPoint, FrostError> {
    let refuse = |fault| Err(FrostError::Point { kind, fault });
    let Some(point) = CompressedEdwardsY(*bytes).decompress() else {
        return refuse(PointFault::NotOnCurve);
    };
    if point.compress().as_bytes() != bytes {
        return refuse(PointFault::NotCanonical);
    }
    if point.is_identity() {
        return refuse(PointFault::Identity);
    }
    if !point.is_torsion_free() {
        return refuse(PointFault::Torsion);
    }
    Ok(point)
}

impl fmt::Debug for VerifyingShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingShare({})", hex::encode(self.bytes))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({})", hex::encode(self.as_bytes()))
    }
}
