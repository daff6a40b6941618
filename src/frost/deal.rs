//! Splitting a validator's key: run once, offline, in a short process.

use std::collections::{BTreeMap, BTreeSet};

use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use curve25519_dalek::traits::Identity as _;
use rand_core::TryCryptoRng;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::vsss::split;
use super::{FrostError, SigningShare, VerifyingShare};
use crate::types::{MemberId, MemberIdError, PublicKey, Threshold};

/// A key, split. Dropping it wipes the shares.
pub struct Dealt {
    /// The validator's public key.
    pub public_key: PublicKey,
    /// Every member's secret share.
    pub shares: BTreeMap<MemberId, SigningShare>,
    /// Every member's public share.
    pub verifying_shares: BTreeMap<MemberId, VerifyingShare>,
    pub(super) threshold: Threshold,
}

/// Why a key was not split. Nothing may be written then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DealError {
    /// One share would be the whole key.
    #[error("a 1-of-1 key has nothing to split; use it as a key file")]
    WholeKey,
    /// No randomness.
    #[error("no randomness from the system, so the key was not split: {0}")]
    Randomness(String),
    /// More members than ids.
    #[error(transparent)]
    Member(#[from] MemberIdError),
    /// The sharing library refused.
    #[error("the key could not be split: {0}")]
    Sharing(vsss_rs::Error),
    /// Commitments of the wrong number, to another base point, or to another secret.
    #[error("the commitments to the split are not those of public key {public_key:?}")]
    Commitments {
        /// The key that was to be split.
        public_key: PublicKey,
    },
    /// The polynomial's coefficients are not random: each share might be the whole key.
    #[error("the system's random numbers repeat or are zero; do not use this machine for keys")]
    NotRandom,
    /// A share is not where the commitments say, missing, or not the member's public share.
    #[error("the share of member {0} does not fit its commitments; nothing was written, try again")]
    Share(MemberId),
    /// These members, who are enough, cannot sign.
    #[error("members {signers:?} could not sign together; nothing was written, try again: {error}")]
    Subset {
        /// Who.
        signers: Vec<MemberId>,
        /// Why not.
        error: FrostError,
    },
}

/// Splits the key of an Ed25519 seed (RFC 8032 §5.1.5) among members 1 to n, so that any t can sign.
///
/// What is shared is the clamped scalar, reduced: the seed itself cannot be recovered from shares.
/// Each share is checked against the commitments to the polynomial by the library and again
/// here, and the commitments against the public key. [`Dealt::prove`] then tries the shares out.
///
/// # Errors
/// [`DealError`], and then nothing has been split.
pub fn deal(
    seed: &[u8; 32],
    threshold: Threshold,
    rng: &mut impl TryCryptoRng,
) -> Result<Dealt, DealError> {
    if threshold.n() == 1 {
        return Err(DealError::WholeKey);
    }
    let public_key = ed25519_dalek::SigningKey::from_bytes(seed).verifying_key();
    let secret = Zeroizing::new(secret_scalar(seed));

    let split = split(&secret, threshold, rng)?;

    let first = split.commitments.first();
    let fits = split.commitments.len() == usize::from(threshold.t())
        && first == Some(&public_key.to_edwards());
    let public_key = PublicKey::ed25519(public_key.to_bytes());
    if !fits {
        return Err(DealError::Commitments { public_key });
    }
    if !all_distinct(&split.commitments) {
        return Err(DealError::NotRandom);
    }

    let mut dealt =
        Dealt { public_key, shares: BTreeMap::new(), verifying_shares: BTreeMap::new(), threshold };
    for (number, (identifier, value)) in (1..=threshold.n()).zip(split.shares()) {
        let member = MemberId::new(number.into())?;
        let share = SigningShare::from_scalar(*value).map_err(|_| DealError::Share(member))?;
        let verifying_share = share.verifying_share();
        let on_polynomial = *verifying_share.point() == evaluate(&split.commitments, number);
        if *identifier != Scalar::from(number) || !on_polynomial {
            return Err(DealError::Share(member));
        }
        dealt.shares.insert(member, share);
        dealt.verifying_shares.insert(member, verifying_share);
    }
    dealt.check_members()?;
    Ok(dealt)
}

impl Dealt {
    /// Every member from 1 to n has a share, and the public share that belongs to it.
    pub(super) fn check_members(&self) -> Result<(), DealError> {
        let n = usize::from(self.threshold.n());
        for number in 1..=self.threshold.n() {
            let member = MemberId::new(number.into())?;
            let fits = self.shares.get(&member).map(SigningShare::verifying_share)
                == self.verifying_shares.get(&member).copied()
                && self.shares.contains_key(&member);
            if !fits || self.shares.len() != n || self.verifying_shares.len() != n {
                return Err(DealError::Share(member));
            }
        }
        Ok(())
    }
}

/// The scalar of a seed: SHA-512, first half, clamped, modulo the group order (RFC 8032 §5.1.5).
fn secret_scalar(seed: &[u8; 32]) -> Scalar {
    let mut hash = Zeroizing::new([0; 64]);
    Sha512::new().chain_update(seed).finalize_into((&mut *hash).into());
    let mut clamped = Zeroizing::new([0; 32]);
    clamped.copy_from_slice(hash.split_at(32).0);
    *clamped = clamp_integer(*clamped);
    Scalar::from_bytes_mod_order(*clamped)
}

/// Whether the committed coefficients differ from each other and from zero. A generator that returns
/// zeros would deal the key itself to everyone, and every check of the shares would pass.
fn all_distinct(commitments: &[EdwardsPoint]) -> bool {
    let with_zero = commitments.iter().copied().chain([EdwardsPoint::identity()]);
    let distinct: BTreeSet<_> = with_zero.map(|point| point.compress().to_bytes()).collect();
    distinct.len() > commitments.len()
}

/// The committed polynomial at `x`, in the exponent, by Horner's rule.
fn evaluate(commitments: &[EdwardsPoint], x: u16) -> EdwardsPoint {
    let x = Scalar::from(x);
    commitments.iter().rev().fold(EdwardsPoint::identity(), |sum, point| sum * x + point)
}
