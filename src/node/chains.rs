//! From opened chains to what signing needs of them: keys, writers, records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::key_threads::KeyThread;
use super::plane_thread::Event;
use super::start::NodeError;
use super::writers::Writer;
use crate::config::{Bech32Prefix, GiveUp, KeySource, LoadedChain, LoadedKey};
use crate::ops::SharedDurations;
use crate::privval::Dialect;
use crate::signing::{ChainKey, ChainKeyError, Starting, WholeKeyInfo};
use crate::types::{ChainId, Cluster, MemberId, PublicKey, Threshold};

/// What is known of a chain's key from outside.
#[derive(Clone, Debug)]
pub(super) struct KeyFacts {
    pub(super) public_key: PublicKey,
    /// Shares or grants that a signature needs, of how many.
    pub(super) threshold: Threshold,
    /// The word of `cosigner.toml`.
    pub(super) backend: &'static str,
    pub(super) is_whole: bool,
    /// How its validators speak.
    pub(super) dialect: Dialect,
    /// What its addresses begin with.
    pub(super) prefix: Bech32Prefix,
    /// How long the watermark's writes took.
    pub(super) writes: SharedDurations,
}

/// Chains, sorted by who needs what of them.
#[derive(Default)]
pub(super) struct ChainParts {
    pub(super) facts: BTreeMap<ChainId, KeyFacts>,
    pub(super) writers: BTreeMap<ChainId, Writer>,
    pub(super) keys: BTreeMap<ChainId, KeyThread>,
    pub(super) starting: Vec<(Starting, Option<Duration>)>,
}

impl ChainParts {
    /// Starts the threads of each chain's watermark and whole key. `cluster` is `None` for a node alone.
    pub(super) fn new(
        me: MemberId,
        cluster: Option<&Cluster>,
        chains: BTreeMap<ChainId, LoadedChain>,
        events: &UnboundedSender<Event>,
    ) -> Result<Self, NodeError> {
        let mut parts = Self::default();
        for (chain, loaded) in chains {
            parts.add(me, cluster, chain, loaded, events)?;
        }
        Ok(parts)
    }

    fn add(
        &mut self,
        me: MemberId,
        cluster: Option<&Cluster>,
        chain: ChainId,
        loaded: LoadedChain,
        events: &UnboundedSender<Event>,
    ) -> Result<(), NodeError> {
        let LoadedChain { settings, public_key, key, watermark, record, watermarked } = loaded;
        let key = match key {
            LoadedKey::Share(share) => {
                let listed = cluster.and_then(|cluster| cluster.keys().get(&chain));
                let listed = listed.ok_or_else(|| ChainKeyError::Whole(chain.clone()))?;
                ChainKey::new(me, listed, share.key_hash, share.share)?
            }
            LoadedKey::Whole { key, grants, setup } => {
                let members = match cluster {
                    Some(cluster) => cluster.members().keys().copied().collect(),
                    None => BTreeSet::from([me]),
                };
                let (chain, message_limit) = (chain.clone(), key.message_limit());
                let info = WholeKeyInfo {
                    chain: chain.clone(),
                    public_key: public_key.clone(),
                    grants,
                    setup,
                    members,
                    message_limit,
                };
                let thread = KeyThread::start(chain.clone(), key, events.clone());
                self.keys.insert(chain, thread.map_err(NodeError::System)?);
                ChainKey::whole(info)?
            }
        };
        let dialect = settings.dialect;
        let key = key.with_dialect(dialect);
        let backend = match &settings.key {
            KeySource::Threshold => "threshold",
            KeySource::Whole(source) => source.name(),
        };
        let writes = SharedDurations::default();
        let facts = KeyFacts {
            public_key,
            threshold: key.threshold,
            backend,
            is_whole: key.is_whole(),
            dialect,
            prefix: settings.bech32_prefix,
            writes: writes.clone(),
        };
        self.facts.insert(chain.clone(), facts);
        let give_up_after = match settings.give_up_after {
            GiveUp::After(limit) => Some(limit),
            GiveUp::Never => None,
        };
        let height_jump = settings.height_jump;
        let starting = Starting { key: Arc::new(key), record, receipt: watermarked, height_jump };
        self.starting.push((starting, give_up_after));
        let writer = Writer::start(chain.clone(), watermark, events.clone(), writes);
        self.writers.insert(chain, writer.map_err(NodeError::System)?);
        Ok(())
    }
}
