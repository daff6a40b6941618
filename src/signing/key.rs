//! One chain's key as this member holds it.

use std::collections::BTreeMap;

use crate::frost::{FrostError, SigningShare, VerifyingKey, VerifyingShare};
use crate::types::{ChainId, ClusterKey, KeyId, MemberId, PublicKey, SetupHash, Threshold};

/// A chain's key: what everybody knows, and this member's share.
pub struct ChainKey {
    /// The chain it signs for.
    pub chain: ChainId,
    /// Its name in records and messages.
    pub id: KeyId,
    /// The validator's public key.
    pub public_key: PublicKey,
    /// The same, decoded.
    pub verifying_key: VerifyingKey,
    /// t of n.
    pub threshold: Threshold,
    /// Hash of members and key, named in every order.
    pub setup: SetupHash,
    /// Every member's public share.
    pub verifying_shares: BTreeMap<MemberId, VerifyingShare>,
    /// This member's secret share.
    pub(super) share: SigningShare,
}

/// Why a share and a member list do not make a key.
#[derive(Debug, thiserror::Error)]
pub enum ChainKeyError {
    /// The list says nothing about shares.
    #[error("the key of chain {0} is not split into shares")]
    Whole(ChainId),
    /// A public key or public share does not decode.
    #[error("the key of chain {chain} in the member list: {source}")]
    Encoding {
        /// The chain.
        chain: ChainId,
        /// What is wrong.
        source: FrostError,
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
            verifying_key,
            threshold,
            setup,
            verifying_shares,
            share,
        })
    }
}
