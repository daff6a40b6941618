//! From an opened home to a running node, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use rand_core::TryRng as _;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tracing::{error, info, warn};

use super::arithmetic::Arithmetic;
use super::background::{serve_wishes, start_raft};
use super::chains::{ChainParts, KeyFacts};
use super::later::Later;
use super::plane_thread::{Event, PlaneThread, Threads, wall};
use super::raft_wires::{Incoming, Outgoing};
use super::service::{RunningService, Service};
use super::signer::Signer;
use super::signing_thread::{Network, PlaneParts, spawn_signing, stopped};
use super::status_source::StatusSource;
use crate::config::{Lives, Loaded, Membership};
use crate::frost::{FrostError, HedgeSecret};
use crate::ops::{self, Tally};
use crate::peer::{self, Hello, PROTOCOL, RaftChannels, Setup, SetupError};
use crate::raft::{Raft, RaftError};
use crate::signing::{ChainKeyError, Input, Plane, PlaneOptions, Starting};
use crate::store::Store;
use crate::types::{ChainId, Cluster, Incarnation, MemberId, UnixMillis};
use crate::validator::Control;
use crate::watermark::Denial;

/// At the end, what is being signed gets this long to be finished.
const FINISHING: Duration = Duration::from_secs(3);

/// Why a node did not start, or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// An address that another process uses, or that this machine does not have.
    #[error("{what} = \"{address}\" cannot be listened on: {source}")]
    Listen {
        /// The setting.
        what: &'static str,
        /// Its value.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The share is not this cluster's.
    #[error(transparent)]
    Key(#[from] ChainKeyError),
    /// Identity and member list do not fit.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// Raft did not start.
    #[error("raft did not start: {0}")]
    Raft(#[from] RaftError),
    /// The system's random generator.
    #[error("the system gives no random numbers: {0}")]
    Random(#[from] getrandom::Error),
    /// Nonces cannot be made.
    #[error(transparent)]
    Frost(#[from] FrostError),
    /// Threads or runtimes.
    #[error("the system refuses a thread, a signal or a runtime: {0}")]
    System(io::Error),
    /// A thread or service ended that should not.
    #[error("{0} ended by itself; see the lines above")]
    Ended(&'static str),
}

impl NodeError {
    /// Whether the node refused for safety: share or identity of another cluster.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(self, Self::Key(_) | Self::Setup(_))
    }
}

/// Runs a node until SIGTERM or SIGINT.
///
/// # Errors
/// [`NodeError`] if it cannot start, or a part of it ends by itself.
pub fn run(loaded: Loaded) -> Result<(), NodeError> {
    let background = Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("background")
        .enable_all()
        .build()
        .map_err(NodeError::System)?;
    let result = background.block_on(Node::run(loaded, &background));
    // What still runs there are answers that nobody waits for.
    background.shutdown_timeout(Duration::from_secs(1));
    result
}

/// What both runtimes hold on to.
struct Node {
    me: MemberId,
    /// `None` for a node alone.
    cluster: Option<Arc<Cluster>>,
    facts: BTreeMap<ChainId, KeyFacts>,
    control: Control,
    events: UnboundedSender<Event>,
    stop: watch::Sender<bool>,
    started: UnixMillis,
}

impl Node {
    async fn run(loaded: Loaded, runtime: &Runtime) -> Result<(), NodeError> {
        let signals = Signals::new().map_err(NodeError::System)?;
        let Loaded { settings, membership, chains, noise_identity, service, lock, .. } = loaded;
        let ops = settings.ops_listen.map(|ops| bind("[ops] listen", ops)).transpose()?;
        let door = service.as_ref().map(|it| bind("[service] listen", it.listen)).transpose()?;
        let (events, event_queue) = unbounded_channel();
        let (wishes, raft_wishes) = unbounded_channel();
        let (raft_slot, raft) = watch::channel(None::<Raft>);
        let (stop, stopping) = watch::channel(false);
        let control = Control::new();

        let place = Place::of(membership)?;
        let chains = ChainParts::new(place.me, place.cluster.as_deref(), chains, &events)?;
        let options = plane_options(&place, chains.starting, raft.clone())?;
        let plane = Plane::new(options, SysRng, Instant::now(), wall());
        let later = Later::new(wishes, Tally::new(chains.facts.keys(), &Denial::REASONS));
        let arithmetic = Arithmetic::start(events.clone()).map_err(NodeError::System)?;
        let threads = Threads { writers: chains.writers, keys: chains.keys, arithmetic };
        let thread = PlaneThread::new(plane, threads, later, control.clone());
        let (me, cluster) = (place.me, place.cluster);
        let started = wall();
        let node = Self { me, cluster, facts: chains.facts, control, events, stop, started };
        let (network, raft_parts) = place.door.map(|door| door.open(raft.clone(), runtime)).unzip();
        let parts = PlaneParts {
            thread,
            events: event_queue,
            network,
            validators: settings.validators,
            noise_identity,
            signer: node.signer(),
            control: node.control.clone(),
            stop: stopping,
        };
        let (ended_sender, ended) = oneshot::channel();
        let signing = spawn_signing(parts, ended_sender)?;
        let running = match raft_parts {
            Some((setup, state)) => {
                let outgoing = Outgoing(RaftChannels::new(Arc::clone(&setup))?);
                let events = node.events.clone();
                let running = start_raft(me, &place.members, state, outgoing, events).await?;
                raft_slot.send_replace(Some(running.clone()));
                tokio::spawn(serve_wishes(running.clone(), raft_wishes));
                Some(running)
            }
            None => {
                // Alone: this node leads, for ever.
                let _ = node.events.send(Event::Input(Input::Leader(Some(me))));
                None
            }
        };
        let service = RunningService::start(service, door, runtime.handle())?;
        let shown = service.as_ref().map(RunningService::shown);
        node.serve_ops(ops, raft, shown, runtime.handle())?;
        node.say_started();

        let result = signals.until_told(ended).await;
        // A disk that hangs is not waited for: a record half-written leaves the old one, as in a crash.
        let (stopped, ()) = tokio::join!(node.finish(running.as_ref()), async {
            if let Some(service) = service {
                service.finish(FINISHING).await;
            }
        });
        if stopped && signing.join().is_err() {
            error!("the signing plane has panicked");
        }
        drop(lock);
        result
    }

    fn say_started(&self) {
        let version = env!("CARGO_PKG_VERSION");
        match &self.cluster {
            Some(cluster) => {
                info!(version, member = %self.me, members = cluster.members().len(), "started");
            }
            None => info!(version, "started alone"),
        }
    }

    fn signer(&self) -> Signer {
        let keys =
            self.facts.iter().map(|(chain, facts)| (chain.clone(), facts.public_key.clone()));
        let dialects = self.facts.iter().map(|(chain, facts)| (chain.clone(), facts.dialect));
        Signer {
            events: self.events.clone(),
            keys: Arc::new(keys.collect()),
            dialects: Arc::new(dialects.collect()),
        }
    }

    fn serve_ops(
        &self,
        listener: Option<std::net::TcpListener>,
        raft: watch::Receiver<Option<Raft>>,
        service: Option<Service>,
        runtime: &Handle,
    ) -> Result<(), NodeError> {
        let Some(listener) = listener else { return Ok(()) };
        let source = StatusSource {
            me: self.me,
            cluster: self.cluster.clone(),
            chains: Arc::new(self.facts.clone()),
            events: self.events.clone(),
            control: self.control.clone(),
            raft,
            service,
            started: self.started,
        };
        let listener = TcpListener::from_std(listener).map_err(NodeError::System)?;
        let stopped = stopped(self.stop.subscribe());
        runtime.spawn(async move {
            if let Err(why) = ops::serve(listener, source, stopped).await {
                error!(%why, "health and status are no longer served");
            }
        });
        Ok(())
    }

    /// Validators first, each after the request that it is answering; then members, writes, Raft.
    /// `false` if the signing plane has not stopped in time.
    async fn finish(&self, raft: Option<&Raft>) -> bool {
        self.control.shut_down();
        let deadline = Instant::now() + FINISHING;
        while self.control.any_connected() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (sender, stopped) = oneshot::channel();
        let finished = self.events.send(Event::Stop(sender)).is_err()
            || tokio::time::timeout(FINISHING, stopped).await.is_ok();
        if !finished {
            warn!("the watermarks' writes are not finished in time; the disk hangs");
        }
        self.stop.send_replace(true);
        if let Some(raft) = raft
            && tokio::time::timeout(FINISHING, raft.shutdown()).await.is_err()
        {
            warn!("raft did not stop in time");
        }
        info!("stopped");
        finished
    }
}

/// Where this node stands: among members, or alone.
struct Place {
    me: MemberId,
    members: BTreeSet<MemberId>,
    cluster: Option<Arc<Cluster>>,
    lives: Lives,
    door: Option<Door>,
}

/// What a member opens for the others.
struct Door {
    setup: Arc<Setup>,
    listener: std::net::TcpListener,
    state: Store,
}

impl Door {
    /// What the signing plane serves there, and what Raft needs of it.
    fn open(
        self,
        raft: watch::Receiver<Option<Raft>>,
        runtime: &Runtime,
    ) -> (Network, (Arc<Setup>, Store)) {
        let Self { setup, listener, state } = self;
        let incoming = Incoming { raft, background: runtime.handle().clone() };
        (Network { setup: Arc::clone(&setup), listener, incoming }, (setup, state))
    }
}

impl Place {
    fn of(membership: Option<Membership>) -> Result<Self, NodeError> {
        let Some(membership) = membership else { return Self::alone() };
        let Membership { cluster, me, identity, listen, state, lives } = membership;
        let listener = bind("[node] listen", listen)?;
        let setup = setup(me, identity, &cluster, lives.own)?;
        let members = cluster.members().keys().copied().collect();
        let door = Some(Door { setup, listener, state });
        Ok(Self { me, members, cluster: Some(Arc::new(cluster)), lives, door })
    }

    /// A node alone is a cluster of one that nobody else knows.
    fn alone() -> Result<Self, NodeError> {
        let me = MemberId::FIRST;
        let mut own = Incarnation { number: 1, id: [0; 16] };
        getrandom::fill(&mut own.id)?;
        let lives = Lives { own, recorded: BTreeMap::new() };
        Ok(Self { me, members: BTreeSet::from([me]), cluster: None, lives, door: None })
    }
}

fn setup(
    me: MemberId,
    identity: peer::Identity,
    cluster: &Cluster,
    incarnation: Incarnation,
) -> Result<Arc<Setup>, NodeError> {
    let hello = Hello {
        protocol: PROTOCOL,
        software: env!("CARGO_PKG_VERSION").to_owned(),
        serial: cluster.serial(),
        members: cluster.members_hash(),
        incarnation,
    };
    // Members that moved stand in the list already.
    let addresses = BTreeMap::new();
    let setup = Setup { me, identity, cluster: cluster.clone(), addresses, hello };
    setup.check()?;
    Ok(Arc::new(setup))
}

fn plane_options(
    place: &Place,
    chains: Vec<(Starting, Option<Duration>)>,
    raft: watch::Receiver<Option<Raft>>,
) -> Result<PlaneOptions, NodeError> {
    let mut rng = SysRng;
    Ok(PlaneOptions {
        me: place.me,
        incarnation: place.lives.own,
        members: place.members.clone(),
        recorded: place.lives.recorded.clone(),
        hedge: HedgeSecret::random(&mut rng)?,
        chains,
        session_base: rng.try_next_u64()?,
        replica: Box::new(move |chain, key| {
            raft.borrow().as_ref().and_then(|raft| raft.settled(chain, key))
        }),
    })
}

fn bind(what: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, NodeError> {
    let listen = |source| NodeError::Listen { what, address, source };
    let listener = std::net::TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    Ok(listener)
}

/// The signals that end a node. Asked for first of all, so that none ends it unclean.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for a signal, or for the signing plane to end by itself.
    async fn until_told(mut self, ended: oneshot::Receiver<()>) -> Result<(), NodeError> {
        tokio::select! {
            _ = self.terminate.recv() => info!("SIGTERM: stopping"),
            _ = self.interrupt.recv() => info!("SIGINT: stopping"),
            _ = ended => return Err(NodeError::Ended("the signing plane")),
        }
        Ok(())
    }
}
