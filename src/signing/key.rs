//! One chain's key as this member holds it.

use std::collections::{BTreeMap, BTreeSet};

use crate::frost::{FrostError, SigningShare, VerifyingKey, VerifyingShare};
use crate::privval::{Dialect, Extension, RawAllowed, RawRefused};
use crate::types::{
    ChainId, ClusterKey, KeyId, MemberId, PublicKey, SetupHash, Threshold, UnfitKey, Verifier,
};

/// A chain's key: what everybody knows, and this member's share if it is split.
pub struct ChainKey {
    /// The chain it signs for.
    pub chain: ChainId,
    /// Its name in records and messages.
    pub id: KeyId,
    /// The validator's public key.
    pub public_key: PublicKey,
    /// The same, decoded.
    pub verifier: Verifier,
    /// t of n: shares of a signature, or grants of a whole key's use.
    pub threshold: Threshold,
    /// Hash of members and key, named in every order.
    pub setup: SetupHash,
    /// Everyone who gives shares or grants.
    pub members: BTreeSet<MemberId>,
    /// What this member's settings say of the chain's validators.
    pub dialect: Dialect,
    /// Most bytes that a whole key signs, `None` without a limit.
    pub(super) message_limit: Option<usize>,
    /// The shares; `None` if the key is whole, and not in this room.
    pub(super) split: Option<Split>,
}

/// What a member knows of the shares.
pub(super) struct Split {
    /// The public key, decoded for FROST.
    pub(super) verifying_key: VerifyingKey,
    /// Every member's public share.
    pub(super) verifying_shares: BTreeMap<MemberId, VerifyingShare>,
    /// This member's secret share.
    pub(super) share: SigningShare,
}

/// A whole key, as its participants know it.
#[derive(Clone, Debug)]
pub struct WholeKeyInfo {
    /// The chain it signs for.
    pub chain: ChainId,
    /// The validator's public key.
    pub public_key: PublicKey,
    /// ⌊n/2⌋+1 of n; 1 of 1 alone (I7).
    pub grants: Threshold,
    /// Hash of members and key.
    pub setup: SetupHash,
    /// Everyone who grants.
    pub members: BTreeSet<MemberId>,
    /// Most bytes that it signs, `None` without a limit.
    pub message_limit: Option<usize>,
}

/// Why a share and a member list do not make a key.
#[derive(Debug, thiserror::Error)]
pub enum ChainKeyError {
    /// The list says nothing about shares.
    #[error("the key of chain {0} is not split into shares")]
    Whole(ChainId),
    /// The grants are counted among others than the members (I7).
    #[error("the key of chain {chain} takes {grants} grants, but there are {members} members")]
    Majority {
        /// The chain.
        chain: ChainId,
        /// Grants of members.
        grants: Threshold,
        /// Members.
        members: usize,
    },
    /// A public key or public share does not decode.
    #[error("the key of chain {chain} in the member list: {source}")]
    Encoding {
        /// The chain.
        chain: ChainId,
        /// What is wrong.
        source: FrostError,
    },
    /// Nobody can have the private half of the public key.
    #[error("the key of chain {chain}: {source}")]
    Unfit {
        /// The chain.
        chain: ChainId,
        /// What is wrong.
        source: UnfitKey,
    },
    /// The share is not this member's.
    #[error(
        "the share of chain {chain} is not that of member {me}: \
         this home's keys/ belong to another member or another cluster"
    )]
    ForeignShare {
        /// The chain.
        chain: ChainId,
        /// This member.
        me: MemberId,
    },
}

impl ChainKey {
    /// Joins the member list's view of a key with this member's share of it.
    ///
    /// # Errors
    /// [`ChainKeyError`] if the list's encodings are bad or the share is another member's.
    pub fn new(
        me: MemberId,
        listed: &ClusterKey,
        setup: SetupHash,
        share: SigningShare,
    ) -> Result<Self, ChainKeyError> {
        let chain = listed.chain.clone();
        let threshold = listed.threshold.ok_or_else(|| ChainKeyError::Whole(chain.clone()))?;
        let encoding = |source| ChainKeyError::Encoding { chain: listed.chain.clone(), source };
        let verifying_key = VerifyingKey::from_public_key(&listed.public_key).map_err(encoding)?;
        let verifier = Verifier::new(&listed.public_key)
            .map_err(|source| ChainKeyError::Unfit { chain: chain.clone(), source })?;
        let mut verifying_shares = BTreeMap::new();
        for (&member, bytes) in &listed.verifying_shares {
            verifying_shares.insert(member, VerifyingShare::from_bytes(bytes).map_err(encoding)?);
        }
        let own = listed.verifying_shares.get(&me);
        if own != Some(&share.verifying_share().to_bytes()) {
            return Err(ChainKeyError::ForeignShare { chain, me });
        }
        Ok(Self {
            chain,
            id: listed.public_key.id(),
            public_key: listed.public_key.clone(),
            verifier,
            threshold,
            setup,
            members: verifying_shares.keys().copied().collect(),
            dialect: Dialect::default(),
            message_limit: None,
            split: Some(Split { verifying_key, verifying_shares, share }),
        })
    }

    /// A whole key. It is used through its backend, with the receipt of a complete set of grants.
    ///
    /// # Errors
    /// [`ChainKeyError`] if the public key does not decode, or if fewer than a majority of all members
    /// would be enough (I7).
    pub fn whole(info: WholeKeyInfo) -> Result<Self, ChainKeyError> {
        let WholeKeyInfo { chain, public_key, grants, setup, members, message_limit } = info;
        if usize::from(grants.n()) != members.len() {
            let (chain, members) = (chain.clone(), members.len());
            return Err(ChainKeyError::Majority { chain, grants, members });
        }
        let verifier = Verifier::new(&public_key)
            .map_err(|source| ChainKeyError::Unfit { chain: chain.clone(), source })?;
        Ok(Self {
            chain,
            id: public_key.id(),
            public_key,
            verifier,
            threshold: grants,
            setup,
            members,
            dialect: Dialect::default(),
            message_limit,
            split: None,
        })
    }

    /// The same for a chain whose validators speak so.
    #[must_use]
    pub fn with_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The receipt for the raw bytes of an extension, if it has any and this member's own settings let
    /// them be signed.
    pub(super) fn non_rp_allowed(
        &self,
        extension: Option<&Extension>,
    ) -> Result<Option<RawAllowed>, RawRefused> {
        let raw = extension.and_then(Extension::non_rp);
        raw.map(|raw| RawAllowed::non_rp_extension(&self.dialect, raw)).transpose()
    }

    /// Whether the key is whole, and grants stand in the place of shares.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.split.is_none()
    }
}
