//! Accepts callers and serves them, without one waiting for another.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tower::util::MapResponseLayer;
use tracing::warn;

use super::MAX_PAYLOAD_BYTES;
use super::connection::{Registry, Socket, Stream};
use super::directory::Directory;
use super::proto::signer_service_server::SignerServiceServer;
use super::rpc::{Rpc, explain_length};
use super::tls::Identity;
use crate::peer::{Refused, pin_of};

/// Callers at the same time. With the two below it bounds the memory that strangers can take.
const CONNECTIONS: usize = 16;
/// Calls of one connection at the same time; the next ones wait at the caller's.
const CALLS: u32 = 4;
/// A payload and the id in front of it.
const MAX_MESSAGE_BYTES: usize = MAX_PAYLOAD_BYTES + 4096;
/// Longest header of a call, in bytes.
const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// For TLS.
const HANDSHAKE: Duration = Duration::from_secs(2);
/// For a whole call, reading it included.
const CALL: Duration = Duration::from_secs(10);
/// HTTP/2 pings go out this often,
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// and one that is unanswered for so long ends the connection.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What is served.
pub struct Serving {
    /// Where.
    pub listener: TcpListener,
    /// `None` serves without TLS, on loopback.
    pub identity: Option<Identity>,
    /// The keys.
    pub directory: Arc<Directory>,
}

/// Serves until the shutdown resolves, and then what was asked before it.
///
/// # Errors
/// If the certificate is of no use, or tonic gives up.
pub async fn serve(
    serving: Serving,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let Serving { listener, identity, directory } = serving;
    let statuses = directory.statuses();
    let callers = statuses.iter().map(|key| &key.facts.callers);
    let acceptor = match identity {
        Some(identity) => {
            let config = identity.server_config(callers).map_err(io::Error::other)?;
            Some(TlsAcceptor::from(Arc::new(config)))
        }
        None => None,
    };
    let refused = Arc::new(Refused::new());
    let rpc = Rpc::new(directory, Arc::clone(&refused));
    let rpc = SignerServiceServer::new(rpc).max_decoding_message_size(MAX_MESSAGE_BYTES);
    let (accepted, incoming) = mpsc::channel(16);
    let server = Server::builder()
        .timeout(CALL)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .max_concurrent_streams(CALLS)
        .layer(MapResponseLayer::new(explain_length))
        .add_service(rpc)
        .serve_with_incoming_shutdown(ReceiverStream::new(incoming), shutdown);
    // Not after the shutdown: a new caller would find nobody.
    let mut accepting = JoinSet::new();
    accepting.spawn(accept(listener, acceptor, refused, accepted));
    server.await.map_err(io::Error::other)
}

async fn accept(
    listener: TcpListener,
    acceptor: Option<TlsAcceptor>,
    refused: Arc<Refused>,
    accepted: mpsc::Sender<io::Result<Stream>>,
) {
    let registry = Registry::new(CONNECTIONS);
    let mut handshakes = JoinSet::new();
    loop {
        while handshakes.try_join_next().is_some() {}
        let (tcp, address) = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                // Out of file descriptors, or a caller that left: neither is cured by haste.
                warn!(%error, "a connection to the service could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(socket) = registry.admit(tcp, address) else {
            refused.log(&address, "every connection that the service has is signing");
            continue;
        };
        let (acceptor, refused, accepted) = (acceptor.clone(), refused.clone(), accepted.clone());
        handshakes.spawn(async move {
            match timeout(HANDSHAKE, handshake(socket, acceptor)).await {
                // Fails only while the service stops.
                Ok(Ok(stream)) => drop(accepted.send(Ok(stream)).await),
                Ok(Err(error)) => refused.log(&address, &error.to_string()),
                Err(_) => refused.log(&address, "the handshake took too long"),
            }
        });
    }
}

async fn handshake(socket: Socket, acceptor: Option<TlsAcceptor>) -> io::Result<Stream> {
    // Without it every answer waits for 42 ms.
    socket.set_nodelay()?;
    let connection = Arc::clone(socket.connection());
    let Some(acceptor) = acceptor else {
        connection.set_caller(None);
        return Ok(Stream::Plain(socket));
    };
    let tls = acceptor.accept(socket).await?;
    let certificate = tls.get_ref().1.peer_certificates().and_then(<[_]>::first);
    connection.set_caller(certificate.map(pin_of));
    Ok(Stream::Tls(Box::new(tls)))
}
