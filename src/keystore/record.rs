//! The records of `keys/`. Fixed widths, big-endian, first byte the format.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use zeroize::Zeroizing;

use crate::frost::SigningShare;
use crate::types::{
    Algorithm, CertificatePin, ChainId, Cluster, ClusterKey, MemberId, SetupHash, Threshold,
};

use super::{KeystoreError, Mismatch};

const FORMAT: u8 = 1;
/// Format, t, n, generation, hash, public key, share.
const KEY_BYTES: usize = 1 + 2 + 2 + 4 + 32 + 32 + 32;

/// Who the members were, and which of them this is. The pins are there to name what changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SealedMembers {
    pub(super) me: MemberId,
    pub(super) hash: SetupHash,
    pub(super) pins: BTreeMap<MemberId, CertificatePin>,
}

/// One chain's share with the setup that it was dealt in.
pub(super) struct SealedKey {
    pub(super) threshold: Threshold,
    pub(super) generation: u32,
    pub(super) hash: SetupHash,
    pub(super) public_key: [u8; 32],
    pub(super) share: Zeroizing<[u8; 32]>,
}

impl SealedMembers {
    pub(super) fn of(me: MemberId, cluster: &Cluster) -> Self {
        let pins = cluster.members().iter().map(|(id, member)| (*id, member.certificate)).collect();
        Self { me, hash: cluster.members_hash(), pins }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.me.get().to_be_bytes());
        bytes.extend(self.hash.0);
        for (member, pin) in &self.pins {
            bytes.extend(member.get().to_be_bytes());
            bytes.extend(pin.0);
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reader(bytes);
        rest.format()?;
        let me = rest.member()?;
        let hash = SetupHash(rest.take()?);
        let mut pins = BTreeMap::new();
        while !rest.0.is_empty() {
            pins.insert(rest.member()?, CertificatePin(rest.take()?));
        }
        Some(Self { me, hash, pins })
    }

    /// Names the first difference between the list and the seal.
    pub(super) fn compare(&self, cluster: &Cluster) -> Result<(), Mismatch> {
        let (found, sealed) = (cluster.members().len(), self.pins.len());
        if found != sealed {
            return Err(Mismatch::Members { found, sealed });
        }
        // Both lists are 1 to n, or the hashes differ below.
        for (listed, sealed) in cluster.members().values().zip(self.pins.values().copied()) {
            let (member, found) = (listed.id, listed.certificate);
            if found != sealed {
                return Err(Mismatch::Certificate { member, found, sealed });
            }
        }
        if self.hash == cluster.members_hash() { Ok(()) } else { Err(Mismatch::MembersHash) }
    }
}

impl SealedKey {
    pub(super) fn of(
        chain: &ChainId,
        cluster: &Cluster,
        share: &SigningShare,
    ) -> Result<Self, KeystoreError> {
        let absent = || KeystoreError::NotInCluster { chain: chain.clone() };
        let key = super::cluster_key(cluster, chain)?;
        let is_ed25519 = key.public_key.algorithm() == Algorithm::Ed25519;
        let public_key = key.public_key.as_bytes().try_into().ok().filter(|_| is_ed25519);
        Ok(Self {
            threshold: key.threshold.ok_or_else(absent)?,
            generation: key.generation,
            hash: cluster.key_hash(chain).ok_or_else(absent)?,
            public_key: public_key.ok_or_else(absent)?,
            share: share.to_bytes(),
        })
    }

    pub(super) fn encode(&self) -> Zeroizing<Vec<u8>> {
        // With its capacity from the start: growing would leave copies of the share behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_BYTES));
        bytes.push(FORMAT);
        bytes.extend(self.threshold.t().to_be_bytes());
        bytes.extend(self.threshold.n().to_be_bytes());
        bytes.extend(self.generation.to_be_bytes());
        bytes.extend(self.hash.0);
        bytes.extend(self.public_key);
        bytes.extend(self.share.iter());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = Reader(bytes);
        rest.format()?;
        // I6 holds for what was sealed, too.
        let threshold = Threshold::new(rest.u16()?, rest.u16()?).ok()?;
        let generation = u32::from_be_bytes(rest.take()?);
        let hash = SetupHash(rest.take()?);
        let public_key = rest.take()?;
        let share = Zeroizing::new(rest.take()?);
        rest.0.is_empty().then_some(Self { threshold, generation, hash, public_key, share })
    }

    /// Names the first difference between the list's key and the seal.
    pub(super) fn compare(&self, cluster: &Cluster, key: &ClusterKey) -> Result<(), Mismatch> {
        let chain = || key.chain.clone();
        if key.threshold != Some(self.threshold) {
            let found = key.threshold.map_or_else(|| "none".to_owned(), |t| t.to_string());
            let sealed = self.threshold.to_string();
            return Err(Mismatch::Threshold { chain: chain(), found, sealed });
        }
        if key.public_key.as_bytes() != self.public_key {
            let found = key.public_key.base64();
            let sealed = BASE64.encode(self.public_key);
            return Err(Mismatch::PublicKey { chain: chain(), found, sealed });
        }
        if key.generation != self.generation {
            let (found, sealed) = (key.generation, self.generation);
            return Err(Mismatch::Generation { chain: chain(), found, sealed });
        }
        if cluster.key_hash(&key.chain) != Some(self.hash) {
            return Err(Mismatch::VerifyingShares { chain: chain() });
        }
        Ok(())
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk()?;
        self.0 = tail;
        Some(*head)
    }

    fn format(&mut self) -> Option<()> {
        let [format] = self.take()?;
        (format == FORMAT).then_some(())
    }

    fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_be_bytes)
    }

    fn member(&mut self) -> Option<MemberId> {
        MemberId::new(self.u16()?.into()).ok()
    }
}
