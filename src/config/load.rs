//! Everything that a node needs from its home before it opens a socket.
//!
//! The order is that of what can go wrong: modes, lock, text, then keys against the member list,
//! then the state. Whatever fails, nothing has been signed, and nothing in the home has changed but
//! the second slot of a watermark file, which now says the same as the first.

mod error;

use std::collections::BTreeMap;
use std::path::Path;

use crate::keystore::{HeldShare, Keystore};
use crate::peer::Identity;
use crate::store::Store;
use crate::types::{CertificatePin, ChainId, Cluster, MemberId};
use crate::watermark::{Record, WatermarkFile, Watermarked};

use super::{
    ChainSettings, ConfigError, Home, HomeLock, Lives, Overrides, Settings, check_owner,
    read_cluster, read_lives,
};
pub use error::LoadError;

/// A home, opened and checked as a whole.
#[derive(Debug)]
pub struct Loaded {
    /// Where it is.
    pub home: Home,
    /// What to do.
    pub settings: Settings,
    /// The members; `node.addresses` of the settings already applied.
    pub cluster: Cluster,
    /// Which of them this node is.
    pub me: MemberId,
    /// This node's certificate, the one that the others have pinned.
    pub identity: Identity,
    /// The chains of the settings with their shares and watermarks, each once.
    pub chains: BTreeMap<ChainId, LoadedChain>,
    /// The database of Raft and incarnations.
    pub state: Store,
    /// The lives of this disk and of others', as they were recorded last.
    pub lives: Lives,
    /// Keeps other processes out. Last, so that it is dropped after everything that it protects.
    pub lock: HomeLock,
}

/// What a node needs to sign for one chain.
#[derive(Debug)]
pub struct LoadedChain {
    /// From `cosigner.toml`.
    pub settings: ChainSettings,
    /// Share, threshold, public key and key hash, compared with the member list.
    pub held: HeldShare,
    /// The open watermark file.
    pub watermark: WatermarkFile,
    /// What it says.
    pub record: Record,
    /// That it is durable (I3).
    pub watermarked: Watermarked,
}

/// Opens a home as `start` does. Signs nothing and opens no socket.
///
/// # Errors
/// [`LoadError`] says what is wrong in which file, and what to do.
pub fn load(home: &Home, overrides: &Overrides) -> Result<Loaded, LoadError> {
    let settings = Settings::read(home, overrides)?;
    home.check_modes()?;
    let lock = home.lock()?;
    let cluster = read_cluster(&home.cluster_toml())?;
    settings.check_against(&cluster, &home.cosigner_toml())?;
    let me = settings.node.id;

    let keystore = Keystore::open(&home.keys())?;
    if keystore.me() != me {
        let (path, configured, keys) = (home.keys(), me, keystore.me());
        return Err(LoadError::WrongMember { path, configured, keys });
    }
    let chain_ids = settings.chains.iter().map(|chain| &chain.id);
    let mut held = keystore.keys(&cluster, chain_ids)?;
    let identity = identity(&keystore, &home.keys(), me, &cluster)?;

    let (state, lives) = open_state(home, me, identity.pin())?;
    let mut chains = BTreeMap::new();
    for chain in &settings.chains {
        // `keys` gave one for each chain that it was asked for.
        let Some(held) = held.remove(&chain.id) else { continue };
        chains.insert(chain.id.clone(), open_chain(chain, held, home)?);
    }
    let home = home.clone();
    let cluster = moved(cluster, &settings, &home)?;
    Ok(Loaded { home, settings, cluster, me, identity, chains, state, lives, lock })
}

/// Checks, without opening the keys, that the state of this home is whole and this member's own.
///
/// # Errors
/// [`LoadError`] as for [`load`].
pub fn check_state(home: &Home, cluster: &Cluster) -> Result<(), LoadError> {
    let settings = Settings::read(home, &Overrides::default())?;
    settings.check_against(cluster, &home.cosigner_toml())?;
    let Some(member) = cluster.members().get(&settings.node.id) else { return Ok(()) };
    open_state(home, member.id, member.certificate).map(drop)
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
    held: HeldShare,
    home: &Home,
) -> Result<LoadedChain, LoadError> {
    let key = held.public_key.id();
    // I2: missing or damaged ends the start here; nothing ever begins at zero by itself.
    let (chain, root) = (&settings.id, home.root());
    let (watermark, record, watermarked) = WatermarkFile::open(&home.watermarks(), chain, &key)
        .map_err(|source| LoadError::Watermark {
            chain: chain.clone(),
            home: root.to_owned(),
            source: Box::new(source),
        })?;
    Ok(LoadedChain { settings: settings.clone(), held, watermark, record, watermarked })
}

/// The member list with the addresses that `cosigner.toml` has newer. No hash changes by it.
fn moved(cluster: Cluster, settings: &Settings, home: &Home) -> Result<Cluster, ConfigError> {
    if settings.node.addresses.is_empty() {
        return Ok(cluster);
    }
    let mut members: Vec<_> = cluster.members().values().cloned().collect();
    for member in &mut members {
        if let Some(address) = settings.node.addresses.get(&member.id) {
            member.address = address.to_string();
        }
    }
    let keys = cluster.keys().values().cloned().collect();
    Cluster::new(cluster.serial(), members, keys)
        .map_err(|source| ConfigError::Cluster { file: home.cosigner_toml(), source })
}
