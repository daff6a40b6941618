//! The service's keys, opened, and compared with those of every chain.
//!
//! They are opened beside each other, and none is waited for longer than [`OPENING`]: no chain goes
//! unsigned because the service's KMS is away.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::key_lock::{LockedKey, Sharing};
use super::{LoadError, LoadedChain, Membership};
use crate::backend::{
    Backends, ConsensusKeys, KeyFault, NotForService, OpenError, ServiceKey, WholeKey,
};
use crate::config::settings::{ServiceKeySettings, ServiceSettings};
use crate::config::{ConfigError, Home};
use crate::service::{Identity, KeyFacts, Opened};
use crate::types::{ChainId, KeyId, PublicKey};
use crate::watermark::{self, Fault, FileError, Stored};

/// All keys together get this long to be opened; what is not there then is opened later.
const OPENING: Duration = Duration::from_secs(3);

/// `[service]` of an opened home.
pub struct LoadedService {
    /// What it binds.
    pub listen: SocketAddr,
    /// Its certificate; `None` on loopback without TLS.
    pub identity: Option<Identity>,
    /// Its keys.
    pub keys: Vec<LoadedServiceKey>,
}

/// One key of the service.
pub struct LoadedServiceKey {
    /// What is known of it from outside.
    pub facts: KeyFacts,
    /// The key, if it could be reached, and how to try again.
    pub opened: Opened,
    /// Why it could not.
    pub fault: Option<KeyFault>,
}

/// Opens what the settings say, after the chains.
pub(super) fn open(
    home: &Home,
    settings: &ServiceSettings,
    chains: &BTreeMap<ChainId, LoadedChain>,
    membership: Option<&Membership>,
    backends: &mut Backends,
) -> Result<LoadedService, LoadError> {
    let own = chains.iter().map(|(chain, loaded)| (chain, &loaded.public_key));
    // Of every chain of the cluster, also of those that this node is not configured for.
    let listed = membership.iter().flat_map(|membership| membership.cluster.keys());
    let listed = listed.map(|(chain, key)| (chain, &key.public_key));
    let consensus = ConsensusKeys::new(own.chain(listed)).with_watermarks(watermarked(home)?);
    let consensus = Arc::new(consensus);
    for key in &settings.keys {
        if let Some(pinned) = &key.public_key {
            check(home, &key.id, pinned, &consensus)?;
        }
    }
    for key in &settings.keys {
        backends.share(&key.source);
    }
    let backends = &*backends;
    let mut keys = Vec::new();
    for (settings, found) in settings.keys.iter().zip(open_all(&settings.keys, backends)) {
        let id = settings.id.as_str();
        let (key, fault) = match found {
            Ok(key) => (Some(key), None),
            Err(OpenError::Fault { fault, .. }) if fault.may_pass() => (None, Some(fault)),
            Err(source) => {
                return Err(LoadError::ServiceKey { id: id.to_owned(), source: Box::new(source) });
            }
        };
        if let Some(key) = &key {
            check(home, id, key.public_key(), &consensus)?;
        }
        let take = |key| LockedKey::take(&settings.source, Sharing::Members, key);
        let key = key.map(take).transpose()?;
        let opened = Opened {
            key,
            pinned: settings.public_key.clone(),
            open: later(settings, backends),
            chains: Arc::clone(&consensus),
        };
        let facts = KeyFacts {
            id: id.to_owned(),
            algorithm: settings.source.algorithm(),
            backend: settings.source.name(),
            callers: settings.callers.clone(),
        };
        keys.push(LoadedServiceKey { facts, opened, fault });
    }
    let identity = settings.tls.as_ref().map(|tls| Identity::read(&tls.certificate, &tls.key));
    Ok(LoadedService { listen: settings.listen, identity: identity.transpose()?, keys })
}

/// The key of every watermark in the home: that of a chain which has left the settings, too.
fn watermarked(home: &Home) -> Result<Vec<(KeyId, ChainId)>, LoadError> {
    let directory = home.watermarks();
    let failed = |source| {
        let fault = Fault::Io { action: "look for", source };
        LoadError::ServiceWatermarks(FileError { path: directory.clone(), fault })
    };
    // What cannot be seen is not taken for absent.
    if !directory.try_exists().map_err(failed)? {
        return Ok(Vec::new());
    }
    let files = watermark::list(&directory).map_err(LoadError::ServiceWatermarks)?;
    let key = |file: Result<Stored, FileError>| {
        let stored = file.map_err(LoadError::ServiceWatermarks)?;
        Ok((stored.key, stored.chain))
    };
    files.into_iter().map(key).collect()
}

/// A key that a chain uses ends the start here; one whose public half is learned later is compared then.
fn check(
    home: &Home,
    id: &str,
    key: &PublicKey,
    consensus: &ConsensusKeys,
) -> Result<(), ConfigError> {
    let refused = |source| ConfigError::NotForService {
        file: home.cosigner_toml(),
        id: id.to_owned(),
        source: Box::new(source),
    };
    ServiceKey::new(key.clone(), consensus)
        .map(|_receipt| ())
        .map_err(|why: NotForService| refused(why))
}

type Found = Result<Box<dyn WholeKey>, OpenError>;

/// Each on a thread of its own, which goes on by itself if nobody waits any more.
fn open_all(keys: &[ServiceKeySettings], backends: &Backends) -> Vec<Found> {
    let begun = Instant::now();
    let (sender, opened) = mpsc::channel();
    for (index, key) in keys.iter().enumerate() {
        let (mut open, sender) = (later(key, backends), sender.clone());
        let name = format!("open-{}", key.id).chars().take(15).collect();
        // A thread that cannot be had, too, is a key that did not answer.
        let _ = std::thread::Builder::new().name(name).spawn(move || sender.send((index, open())));
    }
    drop(sender);
    let mut found: BTreeMap<usize, Found> = BTreeMap::new();
    while found.len() < keys.len() {
        let left = OPENING.saturating_sub(begun.elapsed());
        let Ok((index, key)) = opened.recv_timeout(left) else { break };
        found.insert(index, key);
    }
    let absent = |key: &ServiceKeySettings| {
        let fault = KeyFault::NoAnswer { waited: begun.elapsed() };
        Err(OpenError::Fault { backend: key.source.name(), fault })
    };
    keys.iter()
        .enumerate()
        .map(|(at, key)| found.remove(&at).unwrap_or_else(|| absent(key)))
        .collect()
}

/// Opens a key, as often as it is asked.
fn later(settings: &ServiceKeySettings, backends: &Backends) -> crate::service::Open {
    let ServiceKeySettings { source, public_key, .. } = settings.clone();
    let mut backends = backends.clone();
    Box::new(move || {
        let key = backends.open(&source, public_key.as_ref())?;
        // Keeps nodes alone of this machine off the key's file, once it is used.
        Ok(LockedKey::when_used(&source, Sharing::Members, key))
    })
}
