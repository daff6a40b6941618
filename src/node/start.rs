//! From an opened home to a running node, and back.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use getrandom::SysRng;
use rand_core::TryRng as _;
use rustix::process::{Resource, Rlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tracing::{error, info, warn};

use super::background::{replicate, start_raft};
use super::later::Later;
use super::plane_thread::{Event, PlaneThread, wall};
use super::raft_wires::{Incoming, Outgoing};
use super::signer::Signer;
use super::status_source::StatusSource;
use super::writers::Writer;
use crate::config::{GiveUp, Lives, Loaded, LoadedChain, ValidatorSettings};
use crate::frost::{FrostError, HedgeSecret};
use crate::ops;
use crate::peer::{self, Hello, PROTOCOL, RaftChannels, Setup, SetupError};
use crate::raft::{Raft, RaftError, Settled};
use crate::signing::{ChainKey, ChainKeyError, Plane, PlaneOptions, Starting};
use crate::types::{ChainId, Cluster, Incarnation, MemberId, PublicKey, Threshold};
use crate::validator::{self, Control};

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
    // A core dump would hold the share and the nonces.
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(why) = setrlimit(Resource::Core, none) {
        warn!(%why, "core dumps could not be switched off");
    }
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
    setup: Arc<Setup>,
    cluster: Arc<Cluster>,
    keys: BTreeMap<ChainId, (PublicKey, Threshold)>,
    control: Control,
    events: UnboundedSender<Event>,
    stop: watch::Sender<bool>,
}

/// What the signing plane's thread is made from.
struct PlaneParts {
    thread: PlaneThread,
    events: UnboundedReceiver<Event>,
    setup: Arc<Setup>,
    listener: std::net::TcpListener,
    incoming: Incoming,
    validators: Vec<ValidatorSettings>,
    signer: Signer,
    control: Control,
    stop: watch::Receiver<bool>,
}

impl Node {
    async fn run(loaded: Loaded, runtime: &Runtime) -> Result<(), NodeError> {
        let signals = Signals::new().map_err(NodeError::System)?;
        let Loaded { settings, cluster, me, identity, chains, state, lives, lock, .. } = loaded;
        let listener = bind("[node] listen", settings.node.listen)?;
        let ops = settings.ops_listen.map(|ops| bind("[ops] listen", ops)).transpose()?;
        let setup = setup(me, identity, &cluster, lives.own)?;
        let members: BTreeSet<MemberId> = cluster.members().keys().copied().collect();

        let (events, event_queue) = unbounded_channel();
        let (settle, settled) = unbounded_channel::<Settled>();
        let (raft_slot, raft) = watch::channel(None::<Raft>);
        let control = Control::new();
        let chains = chain_parts(me, &cluster, chains, &events)?;
        let options = plane_options(me, lives, &members, chains.starting, raft.clone())?;
        let plane = Plane::new(options, SysRng, Instant::now(), wall());
        let thread = PlaneThread::new(plane, chains.writers, Later::new(settle), control.clone());
        let (stop, stopping) = watch::channel(false);
        let cluster = Arc::new(cluster);
        let node = Self { setup, cluster, keys: chains.keys, control, events, stop };
        let parts = PlaneParts {
            thread,
            events: event_queue,
            setup: Arc::clone(&node.setup),
            listener,
            incoming: Incoming { raft: raft.clone(), background: runtime.handle().clone() },
            validators: settings.validators,
            signer: node.signer(),
            control: node.control.clone(),
            stop: stopping,
        };
        let (ended_sender, ended) = oneshot::channel();
        let signing = spawn_signing(parts, ended_sender)?;
        let outgoing = Outgoing(RaftChannels::new(Arc::clone(&node.setup))?);
        let running = start_raft(me, &members, state, outgoing, node.events.clone()).await?;
        raft_slot.send_replace(Some(running.clone()));
        tokio::spawn(replicate(running.clone(), settled));
        node.serve_ops(ops, raft, runtime.handle())?;
        let version = env!("CARGO_PKG_VERSION");
        info!(version, member = %me, members = members.len(), "started");

        let result = signals.until_told(ended).await;
        // A disk that hangs is not waited for: a record half-written leaves the old one, as in a crash.
        let stopped = node.finish(&running).await;
        if stopped && signing.join().is_err() {
            error!("the signing plane has panicked");
        }
        drop(lock);
        result
    }

    fn signer(&self) -> Signer {
        let keys = self.keys.iter().map(|(chain, (key, _))| (chain.clone(), key.clone()));
        Signer { events: self.events.clone(), keys: Arc::new(keys.collect()) }
    }

    fn serve_ops(
        &self,
        listener: Option<std::net::TcpListener>,
        raft: watch::Receiver<Option<Raft>>,
        runtime: &Handle,
    ) -> Result<(), NodeError> {
        let Some(listener) = listener else { return Ok(()) };
        let source = StatusSource {
            me: self.setup.me,
            cluster: Arc::clone(&self.cluster),
            chains: Arc::new(self.keys.clone()),
            events: self.events.clone(),
            control: self.control.clone(),
            raft,
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
    async fn finish(&self, raft: &Raft) -> bool {
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
        if tokio::time::timeout(FINISHING, raft.shutdown()).await.is_err() {
            warn!("raft did not stop in time");
        }
        info!("stopped");
        finished
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
    me: MemberId,
    lives: Lives,
    members: &BTreeSet<MemberId>,
    chains: Vec<(Starting, Option<Duration>)>,
    raft: watch::Receiver<Option<Raft>>,
) -> Result<PlaneOptions, NodeError> {
    let mut rng = SysRng;
    Ok(PlaneOptions {
        me,
        incarnation: lives.own,
        members: members.clone(),
        recorded: lives.recorded,
        hedge: HedgeSecret::random(&mut rng)?,
        chains,
        session_base: rng.try_next_u64()?,
        replica: Box::new(move |chain, key| {
            raft.borrow().as_ref().and_then(|raft| raft.settled(chain, key))
        }),
    })
}

/// Chains, sorted by who needs what of them.
struct ChainParts {
    keys: BTreeMap<ChainId, (PublicKey, Threshold)>,
    writers: BTreeMap<ChainId, Writer>,
    starting: Vec<(Starting, Option<Duration>)>,
}

fn chain_parts(
    me: MemberId,
    cluster: &Cluster,
    chains: BTreeMap<ChainId, LoadedChain>,
    events: &UnboundedSender<Event>,
) -> Result<ChainParts, NodeError> {
    let mut parts =
        ChainParts { keys: BTreeMap::new(), writers: BTreeMap::new(), starting: Vec::new() };
    for (chain, loaded) in chains {
        let LoadedChain { settings, held, watermark, record, watermarked } = loaded;
        let listed =
            cluster.keys().get(&chain).ok_or_else(|| ChainKeyError::Whole(chain.clone()))?;
        let key = ChainKey::new(me, listed, held.key_hash, held.share)?;
        parts.keys.insert(chain.clone(), (key.public_key.clone(), key.threshold));
        let give_up_after = match settings.give_up_after {
            GiveUp::After(limit) => Some(limit),
            GiveUp::Never => None,
        };
        let starting = Starting { key: Arc::new(key), record, receipt: watermarked };
        parts.starting.push((starting, give_up_after));
        let writer = Writer::start(chain.clone(), watermark, events.clone());
        parts.writers.insert(chain, writer.map_err(NodeError::System)?);
    }
    Ok(parts)
}

fn bind(what: &'static str, address: SocketAddr) -> Result<std::net::TcpListener, NodeError> {
    let listen = |source| NodeError::Listen { what, address, source };
    let listener = std::net::TcpListener::bind(address).map_err(listen)?;
    listener.set_nonblocking(true).map_err(listen)?;
    Ok(listener)
}

fn spawn_signing(
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
    let PlaneParts { thread, events, setup, listener, incoming, validators, signer, control, stop } =
        parts;
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(why) => {
            error!(%why, "the members' listener cannot be used");
            return;
        }
    };
    let (peer_events, peer_queue) = unbounded_channel();
    let mut services = JoinSet::new();
    let serving = peer::serve(
        listener,
        Arc::clone(&setup),
        peer_events.clone(),
        incoming,
        stopped(stop.clone()),
    );
    services.spawn(async move {
        if let Err(why) = serving.await {
            error!(%why, "the members' service has ended");
        }
    });
    let dialling = peer::dial_all(setup, peer_events, stopped(stop));
    services.spawn(async move {
        if let Err(why) = dialling.await {
            error!(%why, "members are no longer dialled");
        }
    });
    for ValidatorSettings { chain, address } in validators {
        tokio::spawn(validator::run(chain, address, signer.clone(), control.clone()));
    }
    thread.run(events, peer_queue).await;
    services.shutdown().await;
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    // A sender that is gone means stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
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
