//! The thread of the signing plane: its runtime, its connections, and how it ends.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tracing::error;

use super::plane_thread::{Event, PlaneThread};
use super::raft_wires::Incoming;
use super::signer::Signer;
use super::start::NodeError;
use crate::config::ValidatorSettings;
use crate::peer::{self, Setup};
use crate::privval::Dialect;
use crate::types::ChainId;
use crate::validator::{self, Control};

/// What the signing plane's thread is made from.
pub(super) struct PlaneParts {
    pub(super) thread: PlaneThread,
    pub(super) events: UnboundedReceiver<Event>,
    /// The other members; `None` for a node alone.
    pub(super) network: Option<Network>,
    pub(super) validators: Vec<ValidatorSettings>,
    /// How the validators of each chain speak.
    pub(super) dialects: BTreeMap<ChainId, Dialect>,
    pub(super) signer: Signer,
    pub(super) control: Control,
    pub(super) stop: watch::Receiver<bool>,
}

/// The way to the other members.
pub(super) struct Network {
    pub(super) setup: Arc<Setup>,
    pub(super) listener: std::net::TcpListener,
    pub(super) incoming: Incoming,
}

pub(super) fn spawn_signing(
    parts: PlaneParts,
    ended: oneshot::Sender<()>,
) -> Result<JoinHandle<()>, NodeError> {
    let runtime = Builder::new_current_thread().enable_all().build().map_err(NodeError::System)?;
    let spawned = std::thread::Builder::new().name("signing".to_owned()).spawn(move || {
        runtime.block_on(sign(parts));
        // The receiver is gone if the node is stopping anyway.
        let _ = ended.send(());
    });
    spawned.map_err(NodeError::System)
}

async fn sign(parts: PlaneParts) {
    let PlaneParts { thread, events, network, validators, dialects, signer, control, stop } = parts;
    let (peer_events, peer_queue) = unbounded_channel();
    let mut services = JoinSet::new();
    if let Some(network) = network
        && let Err(why) = network.open(&mut services, &peer_events, stop)
    {
        error!(%why, "the members' listener cannot be used");
        return;
    }
    for ValidatorSettings { chain, address } in validators {
        let dialect = dialects.get(&chain).copied().unwrap_or_default();
        tokio::spawn(validator::run(chain, dialect, address, signer.clone(), control.clone()));
    }
    thread.run(events, peer_queue).await;
    services.shutdown().await;
}

impl Network {
    fn open(
        self,
        services: &mut JoinSet<()>,
        events: &UnboundedSender<peer::Event>,
        stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let Self { setup, listener, incoming } = self;
        let listener = TcpListener::from_std(listener)?;
        let serving = peer::serve(
            listener,
            Arc::clone(&setup),
            events.clone(),
            incoming,
            stopped(stop.clone()),
        );
        services.spawn(async move {
            if let Err(why) = serving.await {
                error!(%why, "the members' service has ended");
            }
        });
        let dialling = peer::dial_all(setup, events.clone(), stopped(stop));
        services.spawn(async move {
            if let Err(why) = dialling.await {
                error!(%why, "members are no longer dialled");
            }
        });
        Ok(())
    }
}

pub(super) async fn stopped(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
}
