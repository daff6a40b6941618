//! The one place that knows `vsss-rs`: Shamir's sharing with Feldman's commitments.
//!
//! Its values can be copied and printed and do not wipe themselves. So it is made to keep them in
//! storage of ours that does, and none of them leaves this file; what remains are copies on the
//! stack of a process that ends soon. Nothing of it is trusted: `deal` checks all that it returns.

use std::convert::Infallible;

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{EdwardsPoint, SubgroupPoint};
use curve25519_dalek::scalar::Scalar;
use rand_core::{TryCryptoRng, TryRng};
use vsss_rs::{
    Error, Feldman, FeldmanVerifierSet, IdentifierPrimeField, Polynomial, PrimeFieldShare, Shamir,
    ValueGroup, WriteableShareSet,
};
use zeroize::Zeroize as _;

use super::deal::DealError;
use crate::types::Threshold;

type Share = PrimeFieldShare<Scalar>;
type Verifier = ValueGroup<SubgroupPoint>;

/// A secret, split.
pub(super) struct Split {
    shares: Wiped,
    /// The polynomial's coefficients times the base point, that of the secret first.
    pub(super) commitments: Vec<EdwardsPoint>,
}

impl Split {
    /// Identifier and value of each share.
    pub(super) fn shares(&self) -> impl Iterator<Item = (&Scalar, &Scalar)> {
        self.shares.0.iter().map(|share| (&share.identifier.0, &share.value.0))
    }
}

/// Splits `secret` and has the library check its own shares against its own commitments.
pub(super) fn split(
    secret: &Scalar,
    threshold: Threshold,
    rng: &mut impl TryCryptoRng,
) -> Result<Split, DealError> {
    let (t, n) = (threshold.t().into(), threshold.n().into());
    let mut rng = Latch { rng, failed: None };
    let mut intercept = IdentifierPrimeField(*secret);
    // The default generator is Ed25519's base point, and the set that comes back says so.
    let split = Dealer::split_secret_with_verifier(t, n, &intercept, None, &mut rng);
    intercept.0.zeroize();
    if let Some(error) = rng.failed {
        return Err(DealError::Randomness(error));
    }
    let (shares, verifiers) = split.map_err(DealError::Sharing)?;
    let commitments = commitments(&shares, &verifiers).map_err(DealError::Sharing)?;
    Ok(Split { shares, commitments })
}

fn commitments(
    shares: &Wiped,
    verifiers: &impl FeldmanVerifierSet<Share, Verifier>,
) -> Result<Vec<EdwardsPoint>, Error> {
    if EdwardsPoint::from(verifiers.generator().0) != ED25519_BASEPOINT_POINT {
        return Err(Error::InvalidGenerator("not the base point of Ed25519"));
    }
    for share in &shares.0 {
        verifiers.verify_share(share)?;
    }
    Ok(verifiers.verifiers().iter().map(|point| point.0.into()).collect())
}

/// Feldman's scheme of `vsss-rs` over storage that wipes itself.
struct Dealer;

impl Shamir<Share> for Dealer {
    type InnerPolynomial = Wiped;
    type ShareSet = Wiped;
}

impl Feldman<Share, Verifier> for Dealer {
    type VerifierSet = Vec<Verifier>;
}

/// The polynomial's coefficients or the shares.
struct Wiped(Vec<Share>);

impl Polynomial<Share> for Wiped {
    fn create(size_hint: usize) -> Self {
        Self(vec![Share::default(); size_hint])
    }

    fn coefficients(&self) -> &[Share] {
        &self.0
    }

    fn coefficients_mut(&mut self) -> &mut [Share] {
        &mut self.0
    }
}

impl WriteableShareSet<Share> for Wiped {
    fn create(size_hint: usize) -> Self {
        Self(vec![Share::default(); size_hint])
    }
}

impl AsRef<[Share]> for Wiped {
    fn as_ref(&self) -> &[Share] {
        &self.0
    }
}

impl AsMut<[Share]> for Wiped {
    fn as_mut(&mut self) -> &mut [Share] {
        &mut self.0
    }
}

impl Drop for Wiped {
    fn drop(&mut self) {
        for share in &mut self.0 {
            // The library keeps the polynomial's higher coefficients in the identifiers.
            share.identifier.0.zeroize();
            share.value.0.zeroize();
        }
    }
}

/// Lets a generator that can fail serve a library that takes none: remembers the failure, and what
/// was made after it is thrown away.
struct Latch<'a, R> {
    rng: &'a mut R,
    failed: Option<String>,
}

impl<R: TryCryptoRng> Latch<'_, R> {
    fn keep<T: Default>(&mut self, drawn: Result<T, R::Error>) -> T {
        drawn.unwrap_or_else(|error| {
            self.failed = Some(error.to_string());
            T::default()
        })
    }
}

impl<R: TryCryptoRng> TryRng for Latch<'_, R> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let drawn = self.rng.try_next_u32();
        Ok(self.keep(drawn))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let drawn = self.rng.try_next_u64();
        Ok(self.keep(drawn))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        let drawn = self.rng.try_fill_bytes(bytes);
        self.keep(drawn);
        Ok(())
    }
}

impl<R: TryCryptoRng> TryCryptoRng for Latch<'_, R> {}
