//! What is public about one signature: who signs what with which commitments, and all that follows.

use std::collections::{BTreeMap, BTreeSet};

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::EdwardsPoint;
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{IsIdentity as _, VartimeMultiscalarMul as _};

use super::hash::{self, BindingFactors};
use super::{FrostError, NonceCommitment, RawShare, VerifyingKey, VerifyingShare, lagrange};
use crate::types::MemberId;

/// A message, its signers, and the values computed from both. Every member makes it for itself: a
/// group commitment or challenge that came from a coordinator would break the scheme.
///
/// The values are kept, so that a coordinator signs and aggregates with what it has.
#[derive(Clone, Debug)]
pub struct SigningPackage {
    key: VerifyingKey,
    group_commitment: [u8; 32],
    challenge: Scalar,
    signers: BTreeMap<MemberId, Signer>,
}

/// One signer's part. All of it is public.
#[derive(Clone, Debug)]
pub(super) struct Signer {
    commitment: NonceCommitment,
    binding_factor: Scalar,
    /// λc: how much of the secret share goes into the signature share.
    weight: Scalar,
}

impl SigningPackage {
    /// Computes each signer's own binding factor, the group commitment and the challenge
    /// (RFC 9591 §4.4 to §4.6). Signers are ordered by their number.
    ///
    /// # Errors
    /// [`FrostError::NoSigners`]; [`FrostError::GroupCommitmentIsIdentity`], which cannot be
    /// brought about on purpose.
    pub fn new(
        key: &VerifyingKey,
        commitments: &BTreeMap<MemberId, NonceCommitment>,
        message: &[u8],
    ) -> Result<Self, FrostError> {
        if commitments.is_empty() {
            return Err(FrostError::NoSigners);
        }
        let list = commitments.iter().map(|(member, commitment)| (*member, commitment.raw()));
        let prefix = hash::binding_input_prefix(key.as_bytes(), message, list);
        let factors = BindingFactors::new(&prefix);
        let factors: Vec<_> = commitments.keys().map(|member| factors.of(*member)).collect();

        // Variable time: commitments, factors and their sum are public.
        let bindings = commitments.values().map(NonceCommitment::binding);
        let group_commitment = EdwardsPoint::vartime_multiscalar_mul(&factors, bindings)
            + commitments.values().map(NonceCommitment::hiding).sum::<EdwardsPoint>();
        if group_commitment.is_identity() {
            return Err(FrostError::GroupCommitmentIsIdentity);
        }
        let group_commitment = group_commitment.compress().to_bytes();
        let challenge = hash::challenge(&group_commitment, key.as_bytes(), message);

        let signers = commitments.iter().zip(factors).map(|((member, commitment), factor)| {
            let signer = Signer {
                commitment: commitment.clone(),
                binding_factor: factor,
                weight: lagrange::coefficient(*member, commitments.keys()) * challenge,
            };
            (*member, signer)
        });
        Ok(Self { key: *key, group_commitment, challenge, signers: signers.collect() })
    }

    /// Who signs, in ascending order.
    pub fn signers(&self) -> impl ExactSizeIterator<Item = MemberId> + '_ {
        self.signers.keys().copied()
    }

    /// Checks one member's share (RFC 9591 §5.4): zB = D + ρE + λcP.
    ///
    /// # Errors
    /// [`FrostError::InvalidShares`] naming the member, also for a scalar that is not canonical;
    /// [`FrostError::NotASigner`].
    pub fn verify_share(
        &self,
        member: MemberId,
        verifying_share: &VerifyingShare,
        share: RawShare,
    ) -> Result<(), FrostError> {
        let signer = self.signer(member)?;
        if (Part { member, signer, share, verifying_share }).is_valid() {
            return Ok(());
        }
        Err(FrostError::InvalidShares { culprits: BTreeSet::from([member]) })
    }

    /// Adds the shares up to a signature and verifies that, once and strictly, over this package's
    /// message and key (I5). Only if it does not verify are the shares checked one by one.
    ///
    /// # Errors
    /// [`FrostError::WrongSigners`] unless there is one share of each signer and no other;
    /// [`FrostError::NoVerifyingShare`]; [`FrostError::InvalidShares`] with everyone whose share
    /// is wrong; [`FrostError::InvalidAggregate`] if all of them are right and their sum is not.
    pub fn aggregate(
        &self,
        shares: &BTreeMap<MemberId, RawShare>,
        verifying_shares: &BTreeMap<MemberId, VerifyingShare>,
    ) -> Result<[u8; 64], FrostError> {
        let parts = self.parts(shares, verifying_shares)?;
        let complete = parts.iter().map(|part| part.share.decode()).sum::<Option<Scalar>>();
        if let Some(z) = complete
            && self.key.accepts(&self.group_commitment, &self.challenge, &z)
        {
            let mut signature = [0; 64];
            signature.copy_from_slice([self.group_commitment, z.to_bytes()].as_flattened());
            return Ok(signature);
        }
        let wrong = parts.iter().filter(|part| !part.is_valid());
        let culprits: BTreeSet<_> = wrong.map(|part| part.member).collect();
        if culprits.is_empty() {
            return Err(FrostError::InvalidAggregate);
        }
        Err(FrostError::InvalidShares { culprits })
    }

    /// A signer's values.
    pub(super) fn signer(&self, member: MemberId) -> Result<&Signer, FrostError> {
        let unknown = || FrostError::NotASigner { member, signers: self.signers().collect() };
        self.signers.get(&member).ok_or_else(unknown)
    }

    /// Each signer with its share and with what that is checked against.
    fn parts<'a>(
        &'a self,
        shares: &BTreeMap<MemberId, RawShare>,
        verifying_shares: &'a BTreeMap<MemberId, VerifyingShare>,
    ) -> Result<Vec<Part<'a>>, FrostError> {
        let (mut parts, mut missing, mut unknown) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (member, signer) in &self.signers {
            match (shares.get(member), verifying_shares.get(member)) {
                (None, _) => drop(missing.insert(*member)),
                (_, None) => drop(unknown.insert(*member)),
                (Some(share), Some(verifying_share)) => {
                    parts.push(Part { member: *member, signer, share: *share, verifying_share });
                }
            }
        }
        let unasked = |member: &&MemberId| !self.signers.contains_key(*member);
        let foreign: BTreeSet<_> = shares.keys().filter(unasked).copied().collect();
        if !missing.is_empty() || !foreign.is_empty() {
            return Err(FrostError::WrongSigners { missing, foreign });
        }
        if !unknown.is_empty() {
            return Err(FrostError::NoVerifyingShare(unknown));
        }
        Ok(parts)
    }

    #[cfg(test)]
    pub(super) const fn group_commitment(&self) -> &[u8; 32] {
        &self.group_commitment
    }
}

impl Signer {
    pub(super) const fn commitment(&self) -> &NonceCommitment {
        &self.commitment
    }

    pub(super) const fn binding_factor(&self) -> &Scalar {
        &self.binding_factor
    }

    pub(super) const fn weight(&self) -> &Scalar {
        &self.weight
    }
}

/// One signer's share and all that it takes to check it.
struct Part<'a> {
    member: MemberId,
    signer: &'a Signer,
    share: RawShare,
    verifying_share: &'a VerifyingShare,
}

impl Part<'_> {
    /// Whether z is canonical and ρE + λcP − zB + D the identity. Variable time: all is public.
    fn is_valid(&self) -> bool {
        let Some(z) = self.share.decode() else {
            return false;
        };
        let Signer { commitment, binding_factor, weight } = self.signer;
        let scalars = [*binding_factor, *weight, -z];
        let points =
            [*commitment.binding(), *self.verifying_share.point(), ED25519_BASEPOINT_POINT];
        let rest = EdwardsPoint::vartime_multiscalar_mul(scalars, points);
        (rest + commitment.hiding()).is_identity()
    }
}

impl RawShare {
    /// The scalar, if it is below the group order (RFC 9591 §3.1, `DeserializeScalar`).
    fn decode(&self) -> Option<Scalar> {
        Scalar::from_canonical_bytes(self.0).into()
    }
}
