//! This node's identity and its key shares, at rest in `keys/`, with the sealed setup.
//!
//! *Sealed*: the hashes of the member list that the shares were dealt with. `cluster.toml` lies open
//! and can be edited; before anything signs, it is compared with what was sealed (I6: t and n come
//! from here, not from an editable file alone).

mod error;
mod record;
mod share_file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::frost::SigningShare;
use crate::store::{Batch, Store};
use crate::types::{
    CertificatePin, ChainId, Cluster, ClusterKey, MemberId, PublicKey, SetupHash, Threshold,
};

pub use error::{KeystoreError, Mismatch};
use record::{SealedKey, SealedMembers};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use share_file::fuzz_share_content;
pub use share_file::{
    LONGEST_SHARE_FILE, SHORTEST_PASSPHRASE, ShareContent, ShareFileError, ShareHead,
    check_passphrase, open_share, read_head, seal_share,
};

const NODE: &str = "node";
const IDENTITY: &[u8] = b"identity";
const MEMBERS: &[u8] = b"members";
const SHARES: &str = "share";

/// The open keystore. What it says is not yet compared with the member list: see [`Keystore::keys`].
#[derive(Debug)]
pub struct Keystore {
    path: PathBuf,
    me: MemberId,
    members: SealedMembers,
    store: Store,
}

/// What this node holds of one chain's key. The share is wiped when this is dropped.
pub struct HeldShare {
    /// The secret.
    pub share: SigningShare,
    /// t of n, as sealed.
    pub threshold: Threshold,
    /// Generation of the shares.
    pub generation: u32,
    /// The validator's public key.
    pub public_key: PublicKey,
    /// Hash of members and this key, named in every message about the chain.
    pub key_hash: SetupHash,
}

impl Keystore {
    /// Makes `keys/` of a new home: identity, shares, and the seal of the list they belong to, in
    /// one write.
    ///
    /// # Errors
    /// [`KeystoreError`] if the shares are not those of `me` in the list, or the disk refuses.
    pub fn create(
        path: &Path,
        me: MemberId,
        identity: &[u8],
        cluster: &Cluster,
        shares: &[(&ChainId, &SigningShare)],
    ) -> Result<(), KeystoreError> {
        let members = SealedMembers::of(me, cluster);
        let mut batch =
            Batch::new().put(NODE, IDENTITY, identity).put(NODE, MEMBERS, &members.encode());
        for (chain, share) in shares {
            let sealed = SealedKey::of(chain, cluster, share)?;
            check_share(chain, me, share, cluster_key(cluster, chain)?)?;
            batch = batch.put(SHARES, chain.as_str().as_bytes(), sealed.encode().as_slice());
        }
        let store = Store::create(path)?;
        store.commit_blocking(batch)?;
        Ok(())
    }

    /// Puts one more chain's share beside the others, sealed to this list. A share that was there for
    /// the chain is replaced: the caller answers for it that no list in force has its key.
    ///
    /// # Errors
    /// [`KeystoreError`] if the members are not the sealed ones, if the share is not this member's in
    /// the list, or if the disk refuses.
    pub fn add(
        &self,
        cluster: &Cluster,
        chain: &ChainId,
        share: &SigningShare,
    ) -> Result<(), KeystoreError> {
        self.members.compare(cluster).map_err(|mismatch| self.differs(mismatch))?;
        let sealed = SealedKey::of(chain, cluster, share)?;
        check_share(chain, self.me, share, cluster_key(cluster, chain)?)?;
        let (key, value) = (chain.as_str().as_bytes(), sealed.encode());
        Ok(self.store.commit_blocking(Batch::new().put(SHARES, key, value.as_slice()))?)
    }

    /// Opens `keys/`.
    ///
    /// # Errors
    /// [`KeystoreError`] if it is missing, damaged, in use or readable by others.
    pub fn open(path: &Path) -> Result<Self, KeystoreError> {
        let store = Store::open(path)
            .map_err(|source| KeystoreError::Open { path: path.to_owned(), source })?;
        let missing = |what| KeystoreError::Missing { path: path.to_owned(), what };
        let damaged = |what| KeystoreError::Damaged { path: path.to_owned(), what };
        let members =
            store.get(NODE, MEMBERS)?.ok_or_else(|| missing("the seal of the members"))?;
        let members =
            SealedMembers::decode(&members).ok_or_else(|| damaged("the seal of the members"))?;
        Ok(Self { path: path.to_owned(), me: members.me, members, store })
    }

    /// The member whose keys these are.
    #[must_use]
    pub const fn me(&self) -> MemberId {
        self.me
    }

    /// This node's identity: opaque secret bytes, which the `peer` room made.
    ///
    /// # Errors
    /// [`KeystoreError`] if there is none.
    pub fn identity(&self) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let bytes = self.store.get(NODE, IDENTITY)?.map(Zeroizing::new);
        bytes.ok_or_else(|| KeystoreError::Missing {
            path: self.path.clone(),
            what: "this node's identity",
        })
    }

    /// The shares of these chains, after comparing members and keys with what was sealed.
    ///
    /// # Errors
    /// [`KeystoreError`] names what differs.
    pub fn keys<'c>(
        &self,
        cluster: &Cluster,
        chains: impl IntoIterator<Item = &'c ChainId>,
    ) -> Result<BTreeMap<ChainId, HeldShare>, KeystoreError> {
        self.members.compare(cluster).map_err(|mismatch| self.differs(mismatch))?;
        let mut keys = BTreeMap::new();
        for chain in chains {
            keys.insert(chain.clone(), self.held(cluster, chain)?);
        }
        Ok(keys)
    }

    /// Whether there is a share of this chain's key.
    ///
    /// # Errors
    /// [`KeystoreError`] if the database cannot be read.
    pub fn has_share(&self, chain: &ChainId) -> Result<bool, KeystoreError> {
        Ok(self.store.get(SHARES, chain.as_str().as_bytes())?.is_some())
    }

    fn held(&self, cluster: &Cluster, chain: &ChainId) -> Result<HeldShare, KeystoreError> {
        let stored = self.store.get(SHARES, chain.as_str().as_bytes())?.map(Zeroizing::new);
        let stored = stored.ok_or_else(|| KeystoreError::NoShare {
            path: self.path.clone(),
            chain: chain.clone(),
        })?;
        let damaged = || KeystoreError::Damaged { path: self.path.clone(), what: "a share" };
        let sealed = SealedKey::decode(&stored).ok_or_else(damaged)?;
        let key = cluster_key(cluster, chain)?;
        sealed.compare(cluster, key).map_err(|mismatch| self.differs(mismatch))?;
        let share = SigningShare::from_bytes(&sealed.share).map_err(|_| damaged())?;
        check_share(chain, self.me, &share, key)?;
        Ok(HeldShare {
            share,
            threshold: sealed.threshold,
            generation: sealed.generation,
            public_key: PublicKey::ed25519(sealed.public_key),
            key_hash: sealed.hash,
        })
    }

    fn differs(&self, mismatch: Mismatch) -> KeystoreError {
        KeystoreError::NotSealed { path: self.path.clone(), mismatch }
    }

    /// The pin that this node's certificate was sealed with.
    #[must_use]
    pub fn pin(&self) -> Option<CertificatePin> {
        self.members.pins.get(&self.me).copied()
    }
}

/// The share times the base point is this member's public share, or it is another member's share.
fn check_share(
    chain: &ChainId,
    me: MemberId,
    share: &SigningShare,
    key: &ClusterKey,
) -> Result<(), KeystoreError> {
    let public = share.verifying_share().to_bytes();
    if key.verifying_shares.get(&me) == Some(&public) {
        return Ok(());
    }
    let other = key.verifying_shares.iter().find(|(_, theirs)| **theirs == public);
    Err(KeystoreError::WrongShare {
        chain: chain.clone(),
        me,
        other: other.map(|(member, _)| *member),
    })
}

fn cluster_key<'c>(cluster: &'c Cluster, chain: &ChainId) -> Result<&'c ClusterKey, KeystoreError> {
    let key = cluster.keys().get(chain);
    key.ok_or_else(|| KeystoreError::NotInCluster { chain: chain.clone() })
}

impl std::fmt::Debug for HeldShare {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeldShare")
            .field("threshold", &self.threshold)
            .field("generation", &self.generation)
            .field("public_key", &self.public_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
