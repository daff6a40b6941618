//! The member list: who the cosigners are and what each key's shares look like from outside.
//!
//! How it stands in `cluster.toml` is the `config` room's business; what it means is here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Algorithm, ChainId, MemberId, PublicKey, Threshold};

/// SHA-256 of a member's self-signed certificate in DER. The others accept exactly this one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificatePin(pub [u8; 32]);

/// Hash of a part of the member list. Addresses are no part of it: a member may move.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetupHash(pub [u8; 32]);

/// One cosigner as the others know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its number.
    pub id: MemberId,
    /// `host:port` where the others reach it.
    pub address: String,
    /// Its certificate.
    pub certificate: CertificatePin,
}

/// One chain's consensus key as all members know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterKey {
    /// The chain that it signs for.
    pub chain: ChainId,
    /// The validator's public key.
    pub public_key: PublicKey,
    /// t of n; `None` for a whole key that every member can reach.
    pub threshold: Option<Threshold>,
    /// Generation of the shares, from 1.
    pub generation: u32,
    /// Each member's public share, compressed; empty for a whole key.
    pub verifying_shares: BTreeMap<MemberId, [u8; 32]>,
}

/// The whole list. Made once by [`Cluster::new`], then the same on every member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    serial: u64,
    members: BTreeMap<MemberId, Member>,
    keys: BTreeMap<ChainId, ClusterKey>,
}

/// Why a member list was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClusterError {
    /// Ids must be 1 to n without a gap.
    #[error("member ids must be 1 to {members}, each once; found {found}")]
    Ids {
        /// Members in the list.
        members: usize,
        /// The id that does not fit.
        found: MemberId,
    },
    /// Two members share an address.
    #[error("members {first} and {second} have the same address {address}")]
    SameAddress {
        /// The address.
        address: String,
        /// One member.
        first: MemberId,
        /// The other.
        second: MemberId,
    },
    /// Two members share a certificate, so one could speak for the other.
    #[error("members {first} and {second} have the same certificate")]
    SameCertificate {
        /// One member.
        first: MemberId,
        /// The other.
        second: MemberId,
    },
    /// One chain, two keys.
    #[error("chain {0} has two keys")]
    SameChain(ChainId),
    /// A key was dealt to another number of members than there are.
    #[error("the key of chain {chain} is {threshold}, but the list has {members} members")]
    MemberCount {
        /// The chain.
        chain: ChainId,
        /// Its threshold.
        threshold: Threshold,
        /// Members in the list.
        members: usize,
    },
    /// A key's public shares are not one per member.
    #[error(
        "the key of chain {chain} lacks the verifying share of member {member}, or has one too many"
    )]
    VerifyingShares {
        /// The chain.
        chain: ChainId,
        /// The member.
        member: MemberId,
    },
    /// A threshold for a key that cannot be split.
    #[error(
        "the key of chain {chain} is {algorithm} and has a threshold, but only Ed25519 keys can be split: \
         as a whole key it has none, and `cosigner init` makes a cluster around it"
    )]
    Unsplittable {
        /// The chain.
        chain: ChainId,
        /// The key's.
        algorithm: Algorithm,
    },
    /// Too few or too many members.
    #[error("a cluster has 1 to 15 members, not {0}")]
    Size(usize),
}

impl Cluster {
    /// Checks and takes a member list. `serial` counts its editions, from 1.
    ///
    /// # Errors
    /// [`ClusterError`] names what does not fit.
    pub fn new(
        serial: u64,
        members: Vec<Member>,
        keys: Vec<ClusterKey>,
    ) -> Result<Self, ClusterError> {
        let members = checked_members(members)?;
        let mut by_chain = BTreeMap::new();
        for key in keys {
            check_shares(&key, &members)?;
            if let Some(twin) = by_chain.insert(key.chain.clone(), key) {
                return Err(ClusterError::SameChain(twin.chain));
            }
        }
        Ok(Self { serial, members, keys: by_chain })
    }

    /// Edition of the list; the member with the lower one is out of date.
    #[must_use]
    pub const fn serial(&self) -> u64 {
        self.serial
    }

    /// All members by id.
    #[must_use]
    pub const fn members(&self) -> &BTreeMap<MemberId, Member> {
        &self.members
    }

    /// All keys by chain.
    #[must_use]
    pub const fn keys(&self) -> &BTreeMap<ChainId, ClusterKey> {
        &self.keys
    }

    /// The member with this certificate.
    #[must_use]
    pub fn member_by_pin(&self, pin: CertificatePin) -> Option<MemberId> {
        self.members.values().find(|member| member.certificate == pin).map(|member| member.id)
    }

    /// Hash of ids and pins, compared in the handshake.
    #[must_use]
    pub fn members_hash(&self) -> SetupHash {
        SetupHash(self.members_digest().finalize().into())
    }

    /// Hash of ids, pins and this chain's key, named in every message about the chain; adding
    /// another chain leaves it as it is.
    #[must_use]
    pub fn key_hash(&self, chain: &ChainId) -> Option<SetupHash> {
        let key = self.keys.get(chain)?;
        let mut digest = self.members_digest();
        absorb(&mut digest, key.chain.as_str().as_bytes());
        absorb(&mut digest, key.public_key.id().as_bytes());
        let (t, n) = key.threshold.map_or((0, 0), |threshold| (threshold.t(), threshold.n()));
        absorb(&mut digest, &t.to_be_bytes());
        absorb(&mut digest, &n.to_be_bytes());
        absorb(&mut digest, &key.generation.to_be_bytes());
        for (member, share) in &key.verifying_shares {
            absorb(&mut digest, &member.get().to_be_bytes());
            absorb(&mut digest, share);
        }
        Some(SetupHash(digest.finalize().into()))
    }

    fn members_digest(&self) -> Sha256 {
        let mut digest = Sha256::new();
        absorb(&mut digest, b"cosigner cluster v1");
        for member in self.members.values() {
            absorb(&mut digest, &member.id.get().to_be_bytes());
            absorb(&mut digest, &member.certificate.0);
        }
        digest
    }
}

/// Length first, so that no two lists hash alike.
fn absorb(digest: &mut Sha256, field: &[u8]) {
    digest.update((field.len() as u64).to_be_bytes());
    digest.update(field);
}

fn checked_members(members: Vec<Member>) -> Result<BTreeMap<MemberId, Member>, ClusterError> {
    let count = members.len();
    if count == 0 || count > 15 {
        return Err(ClusterError::Size(count));
    }
    let mut by_id: BTreeMap<MemberId, Member> = BTreeMap::new();
    for member in members {
        if usize::from(member.id.get()) > count || by_id.contains_key(&member.id) {
            return Err(ClusterError::Ids { members: count, found: member.id });
        }
        for other in by_id.values() {
            let (first, second) = (other.id, member.id);
            if other.address == member.address {
                return Err(ClusterError::SameAddress { address: member.address, first, second });
            }
            if other.certificate == member.certificate {
                return Err(ClusterError::SameCertificate { first, second });
            }
        }
        by_id.insert(member.id, member);
    }
    Ok(by_id)
}

fn check_shares(
    key: &ClusterKey,
    members: &BTreeMap<MemberId, Member>,
) -> Result<(), ClusterError> {
    let algorithm = key.public_key.algorithm();
    let expected: BTreeSet<MemberId> = match key.threshold {
        Some(_) if algorithm != Algorithm::Ed25519 => {
            return Err(ClusterError::Unsplittable { chain: key.chain.clone(), algorithm });
        }
        Some(threshold) if usize::from(threshold.n()) != members.len() => {
            return Err(ClusterError::MemberCount {
                chain: key.chain.clone(),
                threshold,
                members: members.len(),
            });
        }
        Some(_) => members.keys().copied().collect(),
        None => BTreeSet::new(),
    };
    let found: BTreeSet<MemberId> = key.verifying_shares.keys().copied().collect();
    match expected.symmetric_difference(&found).next() {
        Some(&member) => Err(ClusterError::VerifyingShares { chain: key.chain.clone(), member }),
        None => Ok(()),
    }
}

impl fmt::Debug for CertificatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Display for CertificatePin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for SetupHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Display for SetupHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> MemberId {
        MemberId::new(number).unwrap()
    }

    fn member(number: u64) -> Member {
        let pin = CertificatePin([u8::try_from(number).unwrap(); 32]);
        Member { id: id(number), address: format!("10.0.0.{number}:2222"), certificate: pin }
    }

    fn key(chain: &str, t: u16, n: u16) -> ClusterKey {
        ClusterKey {
            chain: ChainId::new(chain).unwrap(),
            public_key: PublicKey::ed25519([9; 32]),
            threshold: Some(Threshold::new(t, n).unwrap()),
            generation: 1,
            verifying_shares: (1..=u64::from(n)).map(|number| (id(number), [1; 32])).collect(),
        }
    }

    fn three() -> Vec<Member> {
        (1..=3).map(member).collect()
    }

    #[test]
    fn refuses_gaps_twins_and_wrong_counts() {
        let gap = vec![member(1), member(3)];
        assert_eq!(
            Cluster::new(1, gap, vec![]),
            Err(ClusterError::Ids { members: 2, found: id(3) })
        );
        let mut same_address = three();
        same_address[2].address = same_address[0].address.clone();
        assert!(matches!(
            Cluster::new(1, same_address, vec![]),
            Err(ClusterError::SameAddress { .. })
        ));
        let mut same_pin = three();
        same_pin[2].certificate = same_pin[0].certificate;
        assert_eq!(
            Cluster::new(1, same_pin, vec![]),
            Err(ClusterError::SameCertificate { first: id(1), second: id(3) })
        );
        assert!(matches!(
            Cluster::new(1, three(), vec![key("a", 3, 4)]),
            Err(ClusterError::MemberCount { .. })
        ));
        let mut lacking = key("a", 2, 3);
        lacking.verifying_shares.remove(&id(2));
        assert!(matches!(
            Cluster::new(1, three(), vec![lacking]),
            Err(ClusterError::VerifyingShares { .. })
        ));
        assert!(matches!(
            Cluster::new(1, three(), vec![key("a", 2, 3), key("a", 2, 3)]),
            Err(ClusterError::SameChain(_))
        ));
        assert_eq!(Cluster::new(1, vec![], vec![]), Err(ClusterError::Size(0)));
    }

    #[test]
    fn only_ed25519_keys_have_a_threshold_and_the_hash_covers_the_algorithm() {
        let of = |algorithm, threshold| {
            let bytes = vec![2; Algorithm::public_key_bytes(algorithm)];
            let public_key = PublicKey::new(algorithm, bytes).unwrap();
            let verifying_shares = BTreeMap::new();
            let whole =
                ClusterKey { public_key, threshold: None, verifying_shares, ..key("a", 2, 3) };
            let shared = key("a", 2, 3);
            let ClusterKey { threshold: split, verifying_shares, .. } = shared;
            let split = ClusterKey { threshold: split, verifying_shares, ..whole.clone() };
            Cluster::new(1, three(), vec![if threshold { split } else { whole }])
        };
        let mut hashes = BTreeSet::new();
        for algorithm in Algorithm::ALL {
            let hash = of(algorithm, false).unwrap().key_hash(&ChainId::new("a").unwrap());
            assert!(hashes.insert(hash.unwrap().0), "{algorithm}");
            let split = of(algorithm, true);
            if algorithm == Algorithm::Ed25519 {
                split.unwrap();
            } else {
                let chain = ChainId::new("a").unwrap();
                assert_eq!(split, Err(ClusterError::Unsplittable { chain, algorithm }));
            }
        }
    }

    #[test]
    fn hashes_cover_pins_threshold_and_shares_but_no_address_and_no_other_chain() {
        let chain = ChainId::new("a").unwrap();
        let base = Cluster::new(1, three(), vec![key("a", 2, 3)]).unwrap();
        let mut moved = three();
        moved[0].address = "elsewhere:1".into();
        let moved = Cluster::new(1, moved, vec![key("a", 2, 3), key("b", 3, 3)]).unwrap();
        assert_eq!(base.members_hash(), moved.members_hash());
        assert_eq!(base.key_hash(&chain), moved.key_hash(&chain));

        let mut repinned = three();
        repinned[0].certificate = CertificatePin([77; 32]);
        let repinned = Cluster::new(1, repinned, vec![key("a", 2, 3)]).unwrap();
        assert_ne!(base.members_hash(), repinned.members_hash());
        assert_ne!(base.key_hash(&chain), repinned.key_hash(&chain));

        let rethreshold = Cluster::new(1, three(), vec![key("a", 3, 3)]).unwrap();
        assert_ne!(base.key_hash(&chain), rethreshold.key_hash(&chain));
        let mut other = key("a", 2, 3);
        other.verifying_shares.insert(id(2), [2; 32]);
        let other = Cluster::new(1, three(), vec![other]).unwrap();
        assert_ne!(base.key_hash(&chain), other.key_hash(&chain));
        assert_eq!(base.key_hash(&ChainId::new("b").unwrap()), None);
    }
}
