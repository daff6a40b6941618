//! Round one: nonces and the commitments to them (RFC 9591 §5.1).

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use rand_core::TryCryptoRng;
use zeroize::Zeroizing;

use super::key::decode;
use super::{FrostError, PointKind, RawCommitment, hash};

/// 32 secret bytes of this process that go into every nonce, so that bad outputs of the system's
/// generator later on do not give a share away (RFC 9591 §4.1 hashes randomness and a secret).
///
/// The RFC takes the signing share for it. A secret of its own serves all keys of a cosigner, whose
/// nonces are made before anyone knows what they will sign. A count goes in with it: even a
/// generator that repeats itself cannot make a nonce twice (I4). Wiped when dropped.
pub struct HedgeSecret {
    secret: Box<Zeroizing<[u8; 32]>>,
    used: AtomicU64,
}

/// The secret half of one commitment: to be used once, then gone (I4).
///
/// `sign` takes it by value, and it is wiped when dropped, also when signing fails. It can neither
/// be copied
///
/// ```compile_fail
/// use cosigner::frost::{HedgeSecret, commit};
/// let hedge = HedgeSecret::random(&mut getrandom::SysRng).unwrap();
/// let (nonces, _) = commit(&hedge, &mut getrandom::SysRng).unwrap();
/// let again = nonces.clone();
/// ```
///
/// nor printed
///
/// ```compile_fail
/// use cosigner::frost::{HedgeSecret, commit};
/// let hedge = HedgeSecret::random(&mut getrandom::SysRng).unwrap();
/// let (nonces, _) = commit(&hedge, &mut getrandom::SysRng).unwrap();
/// println!("{nonces:?}");
/// ```
///
/// nor used twice,
///
/// ```compile_fail
/// use cosigner::frost::{Nonces, SigningPackage, SigningShare, sign};
/// use cosigner::types::MemberId;
/// fn twice(nonces: Nonces, me: MemberId, share: &SigningShare, package: &SigningPackage) {
///     let _ = sign(nonces, me, share, package);
///     let _ = sign(nonces, me, share, package);
/// }
/// ```
///
/// where once is fine:
///
/// ```
/// use cosigner::frost::{HedgeSecret, Nonces, SigningPackage, SigningShare, commit, sign};
/// use cosigner::types::MemberId;
/// let hedge = HedgeSecret::random(&mut getrandom::SysRng).unwrap();
/// let (nonces, _) = commit(&hedge, &mut getrandom::SysRng).unwrap();
/// println!("{:?}", nonces.commitment());
/// fn once(nonces: Nonces, me: MemberId, share: &SigningShare, package: &SigningPackage) {
///     let _ = sign(nonces, me, share, package);
/// }
/// ```
pub struct Nonces {
    hiding: Box<Zeroizing<Scalar>>,
    binding: Box<Zeroizing<Scalar>>,
    commitment: RawCommitment,
}

/// A commitment whose two points were decoded and found canonical and of prime order.
#[derive(Clone, PartialEq, Eq)]
pub struct NonceCommitment {
    hiding: EdwardsPoint,
    binding: EdwardsPoint,
    raw: RawCommitment,
}

/// Makes a pair of nonces and the commitment to it (RFC 9591 §5.1, `commit`).
///
/// # Errors
/// [`FrostError::Randomness`] if the generator fails.
pub fn commit(
    hedge: &HedgeSecret,
    rng: &mut impl TryCryptoRng,
) -> Result<(Nonces, NonceCommitment), FrostError> {
    let (hiding, binding) = (random(rng)?, random(rng)?);
    Ok(Nonces::generate((&hiding, &*hedge.next()), (&binding, &*hedge.next())))
}

impl HedgeSecret {
    /// Draws one, usually once per process.
    ///
    /// # Errors
    /// [`FrostError::Randomness`] if the generator fails.
    pub fn random(rng: &mut impl TryCryptoRng) -> Result<Self, FrostError> {
        Ok(Self { secret: Box::new(random(rng)?), used: AtomicU64::new(0) })
    }

    /// The secret and the next count: never the same bytes again.
    fn next(&self) -> Zeroizing<[u8; 40]> {
        let count = self.used.fetch_add(1, Ordering::Relaxed);
        let mut bytes = Zeroizing::new([0; 40]);
        let (secret, counter) = bytes.split_at_mut(32);
        secret.copy_from_slice(self.secret.as_slice());
        counter.copy_from_slice(&count.to_le_bytes());
        bytes
    }
}

impl Nonces {
    /// Both nonces, each from its random bytes and its secret, and the commitment to them.
    pub(super) fn generate(
        hiding: (&[u8; 32], &[u8]),
        binding: (&[u8; 32], &[u8]),
    ) -> (Self, NonceCommitment) {
        let hiding = Box::new(Zeroizing::new(hash::nonce(hiding.0, hiding.1)));
        let binding = Box::new(Zeroizing::new(hash::nonce(binding.0, binding.1)));
        let points = [EdwardsPoint::mul_base(&hiding), EdwardsPoint::mul_base(&binding)];
        let compressed = EdwardsPoint::compress_batch(&points).map(|point| point.to_bytes());
        let raw = RawCommitment::new(&compressed);
        let [hiding_point, binding_point] = points;
        let public = NonceCommitment { hiding: hiding_point, binding: binding_point, raw };
        (Self { hiding, binding, commitment: raw }, public)
    }

    /// The commitment that these nonces belong to.
    #[must_use]
    pub const fn commitment(&self) -> RawCommitment {
        self.commitment
    }

    pub(super) fn hiding(&self) -> &Scalar {
        &self.hiding
    }

    pub(super) fn binding(&self) -> &Scalar {
        &self.binding
    }
}

impl NonceCommitment {
    /// The commitment as it travels.
    #[must_use]
    pub const fn raw(&self) -> RawCommitment {
        self.raw
    }

    pub(super) const fn hiding(&self) -> &EdwardsPoint {
        &self.hiding
    }

    pub(super) const fn binding(&self) -> &EdwardsPoint {
        &self.binding
    }
}

impl RawCommitment {
    /// Decodes and checks both points. Two checks of a point's order cost more than a signature
    /// share: do it when a commitment arrives, not when it is used.
    ///
    /// # Errors
    /// [`FrostError::Point`] if one is not on the curve, not canonical, the identity, or not of
    /// prime order.
    pub fn decode(&self) -> Result<NonceCommitment, FrostError> {
        let (hiding, binding) = self.halves();
        Ok(NonceCommitment {
            hiding: decode(&hiding, PointKind::HidingCommitment)?,
            binding: decode(&binding, PointKind::BindingCommitment)?,
            raw: *self,
        })
    }

    fn new(halves: &[[u8; 32]; 2]) -> Self {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(halves.as_flattened());
        Self(bytes)
    }

    fn halves(&self) -> ([u8; 32], [u8; 32]) {
        let (mut hiding, mut binding) = ([0; 32], [0; 32]);
        let (first, second) = self.0.split_at(32);
        hiding.copy_from_slice(first);
        binding.copy_from_slice(second);
        (hiding, binding)
    }
}

fn random(rng: &mut impl TryCryptoRng) -> Result<Zeroizing<[u8; 32]>, FrostError> {
    let mut bytes = Zeroizing::new([0; 32]);
    rng.try_fill_bytes(&mut *bytes).map_err(|error| FrostError::Randomness(error.to_string()))?;
    Ok(bytes)
}

impl fmt::Debug for NonceCommitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NonceCommitment({})", hex::encode(self.raw.0))
    }
}
