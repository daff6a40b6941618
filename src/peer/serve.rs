//! The called side: accepts members, answers their streams and their Raft.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};
use tracing::warn;

use super::ending::{Ending, describe};
use super::greeting;
use super::identity::pin_of;
use super::io::{Caller, MemberStream};
use super::link::{self, EventSink, Link, Outgoing};
use super::raft_channels::RaftHandler;
use super::registry::Registry;
use super::setup::{
    CONNECT_TIMEOUT, GREETING_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, Setup, SetupError,
    WINDOW_BYTES,
};
use super::tls;
use super::wire::{Envelope, MAX_MESSAGE_BYTES, Peer, PeerServer, RaftCall, RaftReply};

/// Callers that may be in a handshake at the same time; the next ones wait in the kernel.
const HANDSHAKES: usize = 128;
/// Calls and streams of one connection at the same time.
const CONCURRENT_CALLS: u32 = 64;
/// Refused handshakes are logged no more often than this: any stranger can cause one.
const LOG_EVERY: Duration = Duration::from_secs(5);
/// How long an ended stream's last words may take.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// It did not begin.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// tonic gave up.
    #[error("the service for other cosigners ended: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves the other members until the shutdown resolves; then every link is reported down and every
/// connection cut.
///
/// # Errors
/// [`ServeError`] if the setup does not fit together, or the service ends by itself.
pub async fn serve<H: RaftHandler>(
    listener: TcpListener,
    setup: Arc<Setup>,
    events: EventSink,
    raft: H,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    setup.check()?;
    let acceptor = TlsAcceptor::from(setup.server_tls()?);
    let registry = Arc::new(Registry::default());
    let _stop = StopOnDrop(registry.clone());
    let (accepted, incoming) = mpsc::channel(16);
    let service = PeerService { setup: setup.clone(), events, raft, registry: registry.clone() };
    let service = PeerServer::new(service)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES);
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .max_concurrent_streams(CONCURRENT_CALLS)
        .add_service(service)
        .serve_with_incoming(ReceiverStream::new(incoming));
    tokio::select! {
        ended = server => Ok(ended?),
        () = accept(listener, acceptor, setup, registry, accepted) => Ok(()),
        () = shutdown => Ok(()),
    }
}

/// Ends everything, also when the service's future is dropped.
struct StopOnDrop(Arc<Registry>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

type Accepted = mpsc::Sender<io::Result<MemberStream>>;

/// Accepts and shakes hands, without one caller waiting for another.
async fn accept(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    setup: Arc<Setup>,
    registry: Arc<Registry>,
    accepted: Accepted,
) {
    let places = Arc::new(Semaphore::new(HANDSHAKES));
    let refused = Arc::new(Refused::new());
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let (stream, address) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Out of file descriptors, or a caller that left: neither is cured by haste.
                warn!(%error, "a connection of another cosigner could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, setup, registry) = (acceptor.clone(), setup.clone(), registry.clone());
        let (accepted, refused) = (accepted.clone(), refused.clone());
        handshakes.spawn(async move {
            match timeout(CONNECT_TIMEOUT, handshake(stream, &acceptor, &setup)).await {
                Ok(Ok(stream)) => {
                    registry.connected(&stream);
                    // Fails only while the service stops.
                    let _ = accepted.send(Ok(stream)).await;
                }
                Ok(Err(error)) => refused.log(&address, &tls::explain(&error)),
                Err(_) => refused.log(&address, "the handshake took too long"),
            }
            drop(place);
        });
    }
}

pub(super) async fn handshake(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    setup: &Setup,
) -> io::Result<MemberStream> {
    // Without it every answer waits for 42 ms.
    stream.set_nodelay(true)?;
    let tls = acceptor.accept(stream).await?;
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    // The verifier has refused all others; a connection without a member still gets nowhere.
    let member = certificate
        .and_then(|certificate| setup.cluster.member_by_pin(pin_of(certificate)))
        .ok_or_else(|| io::Error::from(io::ErrorKind::PermissionDenied))?;
    Ok(MemberStream::new(tls, member))
}

/// Logs refused callers, at a pace that strangers do not set.
pub(crate) struct Refused {
    started: Instant,
    next_ms: AtomicU64,
    unlogged: AtomicU64,
}

impl Refused {
    pub(crate) fn new() -> Self {
        let (next_ms, unlogged) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { started: Instant::now(), next_ms, unlogged }
    }

    pub(crate) fn log(&self, address: &dyn std::fmt::Display, reason: &str) {
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let pause = u64::try_from(LOG_EVERY.as_millis()).unwrap_or(u64::MAX);
        if now < self.next_ms.load(Ordering::Relaxed) {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.next_ms.store(now.saturating_add(pause), Ordering::Relaxed);
        let unlogged = self.unlogged.swap(0, Ordering::Relaxed);
        warn!(%address, reason, also_refused_since_last = unlogged, "a caller was refused");
    }
}

/// The gRPC service. The caller is always the one of the certificate.
struct PeerService<H> {
    setup: Arc<Setup>,
    events: EventSink,
    raft: H,
    registry: Arc<Registry>,
}

#[tonic::async_trait]
impl<H: RaftHandler> Peer for PeerService<H> {
    type ExchangeStream = Outgoing;

    async fn exchange(
        &self,
        request: Request<Streaming<Envelope>>,
    ) -> Result<Response<Outgoing>, Status> {
        let caller = caller(&request)?;
        let me = self.setup.me;
        if caller.member > me {
            let text =
                format!("member {me} dials member {}, not the other way round", caller.member);
            return Err(Status::failed_precondition(text));
        }
        let (link, outgoing, stopped) = link::new(caller.member, self.events.clone());
        if link.greet(&self.setup.hello).is_err() {
            return Err(Status::internal("the greeting could not be sent"));
        }
        let (setup, registry) = (self.setup.clone(), self.registry.clone());
        tokio::spawn(run(setup, registry, caller, link, request.into_inner(), stopped));
        Ok(Response::new(outgoing))
    }

    async fn raft(&self, request: Request<RaftCall>) -> Result<Response<RaftReply>, Status> {
        let caller = caller(&request)?;
        let call = request.into_inner();
        let hello = &self.setup.hello;
        if (call.protocol, call.members.as_slice()) != (hello.protocol, &hello.members.0) {
            let text = format!(
                "members {} and {} have different member lists or protocols; the log of either \
                 says which is out of date",
                caller.member, self.setup.me
            );
            return Err(Status::failed_precondition(text));
        }
        let payload = self.raft.handle(caller.member, call.payload).await;
        Ok(Response::new(RaftReply { payload }))
    }
}

fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    let caller = request.extensions().get::<Caller>();
    caller.cloned().ok_or_else(|| Status::unauthenticated("a connection without a member"))
}

/// One stream of one member, from its greeting to its end.
async fn run(
    setup: Arc<Setup>,
    registry: Arc<Registry>,
    caller: Caller,
    link: Link,
    mut inbound: Streaming<Envelope>,
    stopped: oneshot::Receiver<Ending>,
) {
    let ending = match greeted(&setup, &link, &mut inbound).await {
        Ok(hello) => {
            registry.up(&link, hello);
            link.read(&mut inbound, stopped).await
        }
        Err(ending) => ending,
    };
    registry.down(&link, &ending);
    sleep(LAST_WORDS).await;
    caller.cut.cut();
}

async fn greeted(
    setup: &Setup,
    link: &Link,
    inbound: &mut Streaming<Envelope>,
) -> Result<super::Hello, Ending> {
    let first = match timeout(GREETING_TIMEOUT, inbound.message()).await {
        Ok(Ok(Some(first))) => first,
        Ok(Ok(None)) => return Err(Ending::Ended),
        Ok(Err(status)) => return Err(Ending::Broken(describe(&status))),
        Err(_) => return Err(Ending::Broken("it did not greet in time".to_owned())),
    };
    greeting::compare(setup.me, &setup.hello, link.peer, first)
        .map_err(|error| Ending::Greeting(error.to_string()))
}
