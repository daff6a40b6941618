//! Everything that a node needs from its home before it opens a socket.
//!
//! The order is that of what can go wrong: modes, lock, text, then keys against the member list,
//! then the state. Whatever fails, nothing has been signed, and nothing in the home has changed but
//! the second slot of a watermark file, which now says the same as the first.

mod error;
mod key_lock;
mod service;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::backend::{Backends, KeyFault, OpenError, Source, WholeKey};
use crate::keystore::{HeldShare, Keystore};
use crate::peer::Identity;
use crate::privval::noise;
use crate::store::Store;
use crate::types::{CertificatePin, ChainId, Cluster, MemberId, PublicKey, SetupHash, Threshold};
use crate::watermark::{Record, WatermarkFile, Watermarked};

use super::{
    ChainSettings, ConfigError, Home, HomeLock, KeySource, Lives, NodeSettings, Overrides,
    Settings, check_owner, noise_identity, read_cluster, read_lives,
};
pub use error::LoadError;
use key_lock::{LockedKey, Sharing};
pub use service::{LoadedService, LoadedServiceKey};

/// A home, opened and checked as a whole.
pub struct Loaded {
    /// Where it is.
    pub home: Home,
    /// What to do.
    pub settings: Settings,
    /// This node among others; `None` if it signs alone.
    pub membership: Option<Membership>,
    /// The chains of the settings with their keys and watermarks, each once.
    pub chains: BTreeMap<ChainId, LoadedChain>,
    /// Who we are for `noise://` validators; `None` if there is none of them.
    pub noise_identity: Option<Arc<noise::Identity>>,
    /// Signatures over gRPC with keys of no chain.
    pub service: Option<LoadedService>,
    /// Keeps other processes out. Last, so that it is dropped after everything that it protects.
    pub lock: HomeLock,
}

/// What a member of a cluster has besides its chains.
#[derive(Debug)]
pub struct Membership {
    /// The members; `node.addresses` of the settings already applied.
    pub cluster: Cluster,
    /// Which of them this node is.
    pub me: MemberId,
    /// This node's certificate, the one that the others have pinned.
    pub identity: Identity,
    /// What this node binds for the others.
    pub listen: SocketAddr,
    /// The database of Raft and incarnations.
    pub state: Store,
    /// The lives of this disk and of others', as they were recorded last.
    pub lives: Lives,
}

/// What a node needs to sign for one chain.
pub struct LoadedChain {
    /// From `cosigner.toml`.
    pub settings: ChainSettings,
    /// The validator's public key.
    pub public_key: PublicKey,
    /// Where the private half is.
    pub key: LoadedKey,
    /// The open watermark file.
    pub watermark: WatermarkFile,
    /// What it says.
    pub record: Record,
    /// That it is durable (I3).
    pub watermarked: Watermarked,
}

/// A chain's private key as this node has it.
pub enum LoadedKey {
    /// A share, compared with the member list.
    Share(HeldShare),
    /// All of it.
    Whole {
        /// The key. Its calls block.
        key: Box<dyn WholeKey>,
        /// How many grants it takes to use it, of how many members (I7): 1 of 1 alone.
        grants: Threshold,
        /// Hash of the members and of this key, named in every order.
        setup: SetupHash,
    },
}

/// Opens a home as `start` does. Signs nothing and opens no socket. A whole key's backend is asked for
/// its public key where that is not known; where it is, a token or a file that is missing is left to the
/// key's own thread.
///
/// # Errors
/// [`LoadError`] says what is wrong in which file, and what to do.
pub fn load(home: &Home, overrides: &Overrides) -> Result<Loaded, LoadError> {
    let settings = Settings::read(home, overrides)?;
    home.check_modes(settings.node.is_some())?;
    let lock = home.lock()?;
    let (identity, needed) = (&settings.noise_identity, settings.uses_noise());
    let noise_identity = noise_identity::for_start(identity, home.root(), needed)?.map(Arc::new);
    let mut backends = Backends::default();
    let mut chains = BTreeMap::new();
    let membership = match &settings.node {
        Some(node) => {
            let (membership, mut shares) = join(home, &settings, node)?;
            for chain in &settings.chains {
                let share = shares.remove(&chain.id);
                let opened =
                    open_member_chain(chain, share, &membership.cluster, home, &mut backends)?;
                chains.insert(chain.id.clone(), opened);
            }
            Some(membership)
        }
        None => {
            key_lock::one_chain_each(&settings.chains)?;
            for chain in &settings.chains {
                chains.insert(chain.id.clone(), open_lone_chain(chain, home, &mut backends)?);
            }
            None
        }
    };
    let service = settings
        .service
        .as_ref()
        .map(|settings| service::open(home, settings, &chains, membership.as_ref(), &mut backends));
    let service = service.transpose()?;
    Ok(Loaded { home: home.clone(), settings, membership, chains, noise_identity, service, lock })
}

/// What `state` commands work on: a home that no process uses.
pub struct TakenState {
    /// What `cosigner.toml` says.
    pub settings: Settings,
    /// The validator's public key of each chain of the home.
    pub keys: BTreeMap<ChainId, PublicKey>,
    /// The database of Raft; `None` if this node signs alone.
    pub state: Option<Store>,
    /// Keeps other processes out. Last, so that it is dropped last.
    pub lock: HomeLock,
}

/// Takes a home's state for this process and checks, without opening the shares, that it is this
/// node's own.
///
/// # Errors
/// [`LoadError`] as for [`load`].
pub fn take_state(home: &Home) -> Result<TakenState, LoadError> {
    let settings = Settings::read(home, &Overrides::default())?;
    home.check_modes(settings.node.is_some())?;
    let lock = home.lock()?;
    let (keys, state) = match &settings.node {
        None => (lone_keys(home, &settings)?, None),
        Some(node) => {
            let cluster = read_cluster(&home.cluster_toml())?;
            settings.check_against(&cluster, &home.cosigner_toml())?;
            let member = cluster.members().get(&node.id);
            let state = member.map(|member| open_state(home, member.id, member.certificate));
            (listed_keys(&cluster), state.transpose()?.map(|(state, _)| state))
        }
    };
    Ok(TakenState { settings, keys, state, lock })
}

/// The validator's public key of each chain of a home, without its lock: from `cluster.toml`, else
/// where `cosigner.toml` pins it, else from the key's backend itself.
///
/// # Errors
/// [`LoadError`].
pub fn consensus_keys(home: &Home) -> Result<BTreeMap<ChainId, PublicKey>, LoadError> {
    let settings = Settings::read(home, &Overrides::default())?;
    if settings.node.is_some() {
        return Ok(listed_keys(&read_cluster(&home.cluster_toml())?));
    }
    lone_keys(home, &settings)
}

fn listed_keys(cluster: &Cluster) -> BTreeMap<ChainId, PublicKey> {
    let keys = cluster.keys().values();
    keys.map(|key| (key.chain.clone(), key.public_key.clone())).collect()
}

fn lone_keys(home: &Home, settings: &Settings) -> Result<BTreeMap<ChainId, PublicKey>, LoadError> {
    let mut backends = Backends::default();
    let mut keys = BTreeMap::new();
    for chain in &settings.chains {
        let key = match (&chain.public_key, &chain.key) {
            (Some(pinned), _) => pinned.clone(),
            (None, KeySource::Whole(source)) => {
                open_key(&mut backends, &chain.id, source, None)?.public_key().clone()
            }
            (None, KeySource::Threshold) => {
                return Err(ConfigError::ShareAlone {
                    file: home.cosigner_toml(),
                    line: None,
                    chain: chain.id.clone(),
                }
                .into());
            }
        };
        keys.insert(chain.id.clone(), key);
    }
    Ok(keys)
}

/// Opens what makes this node a member, and its shares of the chains that are split.
fn join(
    home: &Home,
    settings: &Settings,
    node: &NodeSettings,
) -> Result<(Membership, BTreeMap<ChainId, HeldShare>), LoadError> {
    let cluster = read_cluster(&home.cluster_toml())?;
    settings.check_against(&cluster, &home.cosigner_toml())?;
    let me = node.id;
    let keystore = Keystore::open(&home.keys())?;
    if keystore.me() != me {
        let (path, configured, keys) = (home.keys(), me, keystore.me());
        return Err(LoadError::WrongMember { path, configured, keys });
    }
    let split = settings.chains.iter().filter(|chain| chain.key == KeySource::Threshold);
    let shares = keystore.keys(&cluster, split.map(|chain| &chain.id))?;
    // I6: an edit of the member list does not turn a split key into a whole one with fewer grants.
    for chain in settings.chains.iter().filter(|chain| chain.key != KeySource::Threshold) {
        if keystore.has_share(&chain.id)? {
            return Err(LoadError::IsSplit { path: home.keys(), chain: chain.id.clone() });
        }
    }
    let identity = identity(&keystore, &home.keys(), me, &cluster)?;
    let (state, lives) = open_state(home, me, identity.pin())?;
    let cluster = moved(cluster, node, home)?;
    Ok((Membership { cluster, me, identity, listen: node.listen, state, lives }, shares))
}

fn open_member_chain(
    settings: &ChainSettings,
    share: Option<HeldShare>,
    cluster: &Cluster,
    home: &Home,
    backends: &mut Backends,
) -> Result<LoadedChain, LoadError> {
    if let Some(share) = share {
        let public_key = share.public_key.clone();
        return open_chain(settings, public_key, LoadedKey::Share(share), home);
    }
    let id = &settings.id;
    let (Some(listed), Some(setup)) = (cluster.keys().get(id), cluster.key_hash(id)) else {
        return Err(LoadError::NoKey { chain: id.clone() });
    };
    if listed.threshold.is_some() {
        return Err(LoadError::NoKey { chain: id.clone() });
    }
    // I6, I7: more than half of all members, counted in the sealed list.
    let members = u16::try_from(cluster.members().len()).unwrap_or(u16::MAX);
    let grants =
        Threshold::majority(members).map_err(|_| LoadError::NoKey { chain: id.clone() })?;
    let KeySource::Whole(source) = &settings.key else {
        return Err(LoadError::NoKey { chain: id.clone() });
    };
    let key = open_key(backends, id, source, Some(&listed.public_key))?;
    // The members of a cluster may share a file; none of them signs without the others' grants.
    let key = LockedKey::take(source, Sharing::Members, key)?;
    let key = LoadedKey::Whole { key, grants, setup };
    open_chain(settings, listed.public_key.clone(), key, home)
}

fn open_lone_chain(
    settings: &ChainSettings,
    home: &Home,
    backends: &mut Backends,
) -> Result<LoadedChain, LoadError> {
    let KeySource::Whole(source) = &settings.key else {
        let (file, chain) = (home.cosigner_toml(), settings.id.clone());
        return Err(ConfigError::ShareAlone { file, line: None, chain }.into());
    };
    let key = open_key(backends, &settings.id, source, settings.public_key.as_ref())?;
    let public_key = key.public_key().clone();
    // Nobody else is asked, so nobody compares it.
    let setup = SetupHash([0; 32]);
    let key = LockedKey::take(source, Sharing::Nobody, key)?;
    let key = LoadedKey::Whole { key, grants: Threshold::ALONE, setup };
    open_chain(settings, public_key, key, home)
}

fn open_key(
    backends: &mut Backends,
    chain: &ChainId,
    source: &Source,
    expected: Option<&PublicKey>,
) -> Result<Box<dyn WholeKey>, LoadError> {
    let refused = |source| LoadError::Key { chain: chain.clone(), source: Box::new(source) };
    let key = match expected {
        Some(expected) => backends.open_known(source, expected),
        None => backends.open(source, None),
    };
    let key = key.map_err(refused)?;
    match expected {
        // Whatever the backend: another key than the chain's is never used.
        Some(expected) if key.public_key() != expected => {
            let (expected, found) = (expected.clone(), key.public_key().clone());
            let fault = KeyFault::WrongKey { expected, found };
            Err(refused(OpenError::Fault { backend: source.name(), fault }))
        }
        _ => Ok(key),
    }
}

fn open_state(
    home: &Home,
    me: MemberId,
    certificate: CertificatePin,
) -> Result<(Store, Lives), LoadError> {
    let path = home.state_db();
    let state =
        Store::open(&path).map_err(|source| LoadError::State { path: path.clone(), source })?;
    let lives = check_owner(&state, me, certificate)
        .and_then(|()| read_lives(&state))
        .map_err(|source| LoadError::Incarnation { path, source })?;
    Ok((state, lives))
}

fn identity(
    keystore: &Keystore,
    path: &Path,
    me: MemberId,
    cluster: &Cluster,
) -> Result<Identity, LoadError> {
    let bytes = keystore.identity()?;
    let identity = Identity::from_bytes(&bytes)
        .map_err(|source| LoadError::Identity { path: path.to_owned(), source })?;
    let found = identity.pin();
    match cluster.members().get(&me).map(|member| member.certificate) {
        Some(pinned) if pinned != found => {
            Err(LoadError::WrongIdentity { path: path.to_owned(), me, pinned, found })
        }
        _ => Ok(identity),
    }
}

fn open_chain(
    settings: &ChainSettings,
    public_key: PublicKey,
    key: LoadedKey,
    home: &Home,
) -> Result<LoadedChain, LoadError> {
    let id = public_key.id();
    // I2: missing or damaged ends the start here; nothing ever begins at zero by itself.
    let (chain, root) = (&settings.id, home.root());
    let (watermark, record, watermarked) = WatermarkFile::open(&home.watermarks(), chain, &id)
        .map_err(|source| LoadError::Watermark {
            chain: chain.clone(),
            home: root.to_owned(),
            source: Box::new(source),
        })?;
    let settings = settings.clone();
    Ok(LoadedChain { settings, public_key, key, watermark, record, watermarked })
}

/// The member list with the addresses that `cosigner.toml` has newer. No hash changes by it.
fn moved(cluster: Cluster, node: &NodeSettings, home: &Home) -> Result<Cluster, ConfigError> {
    if node.addresses.is_empty() {
        return Ok(cluster);
    }
    let mut members: Vec<_> = cluster.members().values().cloned().collect();
    for member in &mut members {
        if let Some(address) = node.addresses.get(&member.id) {
            member.address = address.to_string();
        }
    }
    let keys = cluster.keys().values().cloned().collect();
    Cluster::new(cluster.serial(), members, keys)
        .map_err(|source| ConfigError::Cluster { file: home.cosigner_toml(), source })
}
