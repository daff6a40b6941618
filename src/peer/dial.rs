//! The calling side: one loop for each member with a higher id, for ever.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::pki_types::{DnsName, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt as _;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Streaming};
use tower::service_fn;

use super::ending::{Ending, describe, root_cause};
use super::greeting;
use super::io::{CutOnDrop, MemberStream};
use super::journal::Journal;
use super::link::{self, EventSink, Link};
use super::setup::{
    CONNECT_TIMEOUT, GREETING_TIMEOUT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, Setup, SetupError,
    WINDOW_BYTES,
};
use super::tls;
use super::wire::{Envelope, MAX_MESSAGE_BYTES, PeerClient};
use crate::types::MemberId;

/// Shortest wait before the next attempt, in milliseconds. Flat: a member that comes back is wanted
/// at once.
const BACKOFF_MS: u64 = 100;
/// Added at random, so that members restarted together do not knock together.
const JITTER_MS: u64 = 400;

/// Makes connections to one member.
#[derive(Clone)]
pub(super) struct Dialer {
    peer: MemberId,
    address: String,
    tls: TlsConnector,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("{address} cannot be reached: {error}")]
    Tcp { address: String, error: io::Error },
    #[error("{address} is not the member: {}", tls::explain(error))]
    Tls { address: String, error: io::Error },
    #[error("{address} did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout { address: String },
}

/// Keeps a stream to every member with a higher id, until the shutdown resolves. The other members
/// dial us, so that there is one stream for each pair.
///
/// # Errors
/// [`SetupError`] at once if the setup does not fit together; never later.
pub async fn dial_all(
    setup: Arc<Setup>,
    events: EventSink,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), SetupError> {
    setup.check()?;
    let mut loops = JoinSet::new();
    for &peer in setup.cluster.members().keys().filter(|&&peer| peer > setup.me) {
        let dialer = Dialer::new(&setup, peer)?;
        loops.spawn(dial(dialer, setup.clone(), events.clone()));
    }
    // Dropping the set ends the loops, and each loop its link.
    shutdown.await;
    Ok(())
}

async fn dial(dialer: Dialer, setup: Arc<Setup>, events: EventSink) {
    let mut journal = Journal::default();
    loop {
        let reason = match attempt(&dialer, &setup, &events, &mut journal).await {
            Ok(ending) => ending.to_string(),
            Err(error) => error.to_string(),
        };
        journal.failed(dialer.peer, &reason);
        sleep(backoff()).await;
    }
}

fn backoff() -> Duration {
    // Without randomness the members merely knock together.
    let jitter = getrandom::u64().unwrap_or_default() % (JITTER_MS + 1);
    Duration::from_millis(BACKOFF_MS + jitter)
}

/// One connection from its beginning to its end.
pub(super) async fn attempt(
    dialer: &Dialer,
    setup: &Setup,
    events: &EventSink,
    journal: &mut Journal,
) -> Result<Ending, DialError> {
    let stream = dialer.connect().await?;
    let _cut = CutOnDrop(stream.cut().clone());
    let (link, outgoing, stopped) = link::new(dialer.peer, events.clone());
    let _end = EndOnDrop(link.clone());
    if link.greet(&setup.hello).is_err() {
        return Ok(Ending::Closed);
    }
    let outgoing = outgoing.map_while(Result::ok);
    let opened = timeout(GREETING_TIMEOUT, async {
        let mut client =
            client(stream).await.map_err(|error| Ending::Broken(root_cause(&error)))?;
        let inbound = client.exchange(Request::new(outgoing)).await;
        let mut inbound = inbound.map_err(|status| Ending::Broken(describe(&status)))?.into_inner();
        let first = inbound.message().await.map_err(|status| Ending::Broken(describe(&status)))?;
        Ok((client, inbound, first.ok_or(Ending::Ended)?))
    });
    let (_client, mut inbound, first) = match opened.await {
        Ok(Ok(opened)) => opened,
        Ok(Err(ending)) => return Ok(ending),
        Err(_) => return Ok(Ending::Broken("it did not greet in time".to_owned())),
    };
    match greeting::compare(setup.me, &setup.hello, dialer.peer, first) {
        Ok(hello) => {
            journal.up(dialer.peer, &hello);
            link.up(hello);
        }
        Err(error) => {
            // The other side must have the time to come to the same end.
            let _ = timeout(GREETING_TIMEOUT, drain(&mut inbound)).await;
            return Ok(Ending::Greeting(error.to_string()));
        }
    }
    let ending = link.read(&mut inbound, stopped).await;
    link.end(&ending);
    Ok(ending)
}

async fn drain(inbound: &mut Streaming<Envelope>) {
    while let Ok(Some(_)) = inbound.message().await {}
}

/// Ends a link whose task is dropped.
struct EndOnDrop(Link);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(&Ending::Stopping);
    }
}

impl Dialer {
    pub(super) fn new(setup: &Setup, peer: MemberId) -> Result<Self, SetupError> {
        let address = setup.address(peer).ok_or(SetupError::NoSuchMember(peer))?.to_owned();
        Ok(Self { peer, address, tls: TlsConnector::from(setup.client_tls(peer)?) })
    }

    /// TCP and TLS, within [`CONNECT_TIMEOUT`].
    pub(super) async fn connect(&self) -> Result<MemberStream, DialError> {
        let address = || self.address.clone();
        let connected = timeout(CONNECT_TIMEOUT, async {
            let tcp = TcpStream::connect(&self.address)
                .await
                .and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp))
                .map_err(|error| DialError::Tcp { address: address(), error })?;
            // Certificates are pinned; the name is never sent and never looked at.
            let name = ServerName::DnsName(DnsName::try_from("cosigner").map_err(|error| {
                DialError::Tls { address: address(), error: io::Error::other(error) }
            })?);
            let tls = self.tls.connect(name, tcp).await;
            tls.map_err(|error| DialError::Tls { address: address(), error })
        });
        match connected.await {
            Ok(tls) => Ok(MemberStream::new(tls?, self.peer)),
            Err(_) => Err(DialError::Timeout { address: address() }),
        }
    }

    /// A client that connects when it is first used, and again after every loss.
    pub(super) fn lazy_client(&self) -> PeerClient<Channel> {
        let dialer = self.clone();
        let connector = service_fn(move |_| {
            let dialer = dialer.clone();
            async move { dialer.connect().await.map(TokioIo::new) }
        });
        limited(endpoint().connect_with_connector_lazy(connector))
    }
}

/// A client on one connection, never reconnected.
pub(super) async fn client(
    stream: MemberStream,
) -> Result<PeerClient<Channel>, tonic::transport::Error> {
    let once = Mutex::new(Some(stream));
    let connector = service_fn(move |_| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stream = stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected));
        std::future::ready(stream.map(TokioIo::new))
    });
    Ok(limited(endpoint().connect_with_connector(connector).await?))
}

fn limited(channel: Channel) -> PeerClient<Channel> {
    PeerClient::new(channel)
        .max_decoding_message_size(MAX_MESSAGE_BYTES)
        .max_encoding_message_size(MAX_MESSAGE_BYTES)
}

fn endpoint() -> Endpoint {
    Endpoint::from_static("http://cosigner")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
}
