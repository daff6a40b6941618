//! Why something was refused.

use std::collections::BTreeSet;
use std::fmt;

use super::RawCommitment;
use crate::types::{Algorithm, MemberId};

/// Why a step of FROST failed. No variant carries anything secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrostError {
    /// No randomness, so no nonces. There is no fallback.
    #[error("no randomness from the system, so no nonces were made: {0}")]
    Randomness(String),
    /// The bytes are no signing share: not below the group order.
    #[error("the signing share is not a scalar below the group order; is this the right file?")]
    ShareNotCanonical,
    /// The signing share is zero.
    #[error("the signing share is zero; is this the right file?")]
    ShareIsZero,
    /// The public key is not one that Ed25519 signatures can be made for.
    #[error("only Ed25519 keys can be split into shares; this one is {0}")]
    NotEd25519(Algorithm),
    /// A point that must not be calculated with (RFC 9591 §3.1, `DeserializeElement`).
    #[error("the {kind} {fault}")]
    Point {
        /// Which one.
        kind: PointKind,
        /// What is wrong with it.
        fault: PointFault,
    },
    /// A signing package needs signers.
    #[error("a signing package without signers")]
    NoSigners,
    /// The commitments cancel out. They were chosen so.
    #[error("the group commitment is the identity; the commitments were not made at random")]
    GroupCommitmentIsIdentity,
    /// The package is about others.
    #[error("member {member} is none of the signers {signers:?}")]
    NotASigner {
        /// Who was looked for.
        member: MemberId,
        /// Who signs.
        signers: Vec<MemberId>,
    },
    /// The package holds another commitment for this member than the nonces have.
    #[error(
        "the package names commitment {} for member {member}, the nonces have {}",
        hex::encode(named.0),
        hex::encode(own.0)
    )]
    OtherCommitment {
        /// Whose.
        member: MemberId,
        /// In the package.
        named: Box<RawCommitment>,
        /// Of the nonces.
        own: Box<RawCommitment>,
    },
    /// The shares are not exactly those of the package's signers.
    #[error("the shares are not those of the signers: missing {missing:?}, foreign {foreign:?}")]
    WrongSigners {
        /// Signers without a share.
        missing: BTreeSet<MemberId>,
        /// Shares without a signer.
        foreign: BTreeSet<MemberId>,
    },
    /// A signer whose share cannot be checked.
    #[error("no verifying share is known for {0:?}; the member list is incomplete")]
    NoVerifyingShare(BTreeSet<MemberId>),
    /// These members sent shares that do not verify, and all others sent shares that do.
    #[error("invalid signature shares from {culprits:?}")]
    InvalidShares {
        /// Who sent them.
        culprits: BTreeSet<MemberId>,
    },
    /// Every share verifies, their sum does not: the verifying shares do not belong to the key, or
    /// the signers are fewer than its threshold.
    #[error(
        "each share is valid but the signature is not: fewer signers than the threshold, \
         or a member list of another key"
    )]
    InvalidAggregate,
    /// The signature does not verify.
    #[error("the signature is not valid for this message and key")]
    InvalidSignature,
}

/// Which point was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointKind {
    /// The validator's public key.
    PublicKey,
    /// A member's public share.
    VerifyingShare,
    /// First half of a nonce commitment.
    HidingCommitment,
    /// Second half of a nonce commitment.
    BindingCommitment,
}

/// Why a point was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointFault {
    /// No point of the curve has this encoding.
    NotOnCurve,
    /// The point has another, canonical encoding.
    NotCanonical,
    /// The neutral element.
    Identity,
    /// Its order is not the prime order of the group.
    Torsion,
}

static NOBODY: BTreeSet<MemberId> = BTreeSet::new();

impl FrostError {
    /// The members that this error proves to have misbehaved; mostly none.
    #[must_use]
    pub fn culprits(&self) -> &BTreeSet<MemberId> {
        match self {
            Self::InvalidShares { culprits } => culprits,
            Self::Randomness(_)
            | Self::ShareNotCanonical
            | Self::ShareIsZero
            | Self::NotEd25519(_)
            | Self::Point { .. }
            | Self::NoSigners
            | Self::GroupCommitmentIsIdentity
            | Self::NotASigner { .. }
            | Self::OtherCommitment { .. }
            | Self::WrongSigners { .. }
            | Self::NoVerifyingShare(_)
            | Self::InvalidAggregate
            | Self::InvalidSignature => &NOBODY,
        }
    }
}

impl fmt::Display for PointKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PublicKey => "public key",
            Self::VerifyingShare => "verifying share",
            Self::HidingCommitment => "hiding nonce commitment",
            Self::BindingCommitment => "binding nonce commitment",
        })
    }
}

impl fmt::Display for PointFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOnCurve => "is not a point of the curve",
            Self::NotCanonical => "is not encoded canonically",
            Self::Identity => "is the identity",
            Self::Torsion => "is not of prime order",
        })
    }
}
