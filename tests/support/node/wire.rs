//! Sockets of the node: listening, the handshake, messages and raw bytes.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use cosigner::privval::secret_connection::handshake;
use cosigner::privval::{MessageReader, proto, write_message};
use ed25519_dalek::SigningKey;
use libp2p_core::upgrade::InboundConnectionUpgrade as _;
use libp2p_identity::{Keypair, PeerId};
use prost::Message as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};

use super::proto::message::Sum;
use super::{Fault, READ_WRITE};

/// Longest reply that CometBFT up to v0.39, v1 and v2 accept, in bytes.
const MAX_REPLY_BYTES: usize = 10 * 1024;

type Reader = Box<dyn AsyncRead + Send + Unpin>;
type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A listening socket.
#[derive(Debug)]
pub enum Bound {
    /// With SecretConnection on what it accepts.
    Tcp(TcpListener),
    /// Without.
    Unix(UnixListener, PathBuf),
    /// With libp2p's noise, for one signer.
    Noise(TcpListener, Arc<Pins>),
}

/// Who a node on `noise://` is, and the signer that it takes.
#[derive(Debug)]
pub struct Pins {
    node: Keypair,
    signer: PeerId,
}

/// Accepted, nothing said yet.
pub enum Accepted {
    /// SecretConnection follows.
    Tcp(TcpStream),
    /// Messages follow.
    Unix(UnixStream),
    /// The handshake of noise follows.
    Noise(TcpStream, Arc<Pins>),
}

/// A connection to a signer after the handshake.
pub struct Wire {
    reader: MessageReader<Reader>,
    writer: Writer,
    /// The signer's address or, on unix sockets, nothing.
    pub signer: String,
}

impl Bound {
    pub(super) async fn bind(address: &str) -> io::Result<Self> {
        if let Some(path) = address.strip_prefix("unix://") {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            return Ok(Self::Unix(UnixListener::bind(path)?, PathBuf::from(path)));
        }
        if let Some(rest) = address.strip_prefix("noise://") {
            let invalid = || io::Error::new(io::ErrorKind::InvalidInput, address.to_owned());
            let (signer, at) = rest.split_once('@').ok_or_else(invalid)?;
            let signer = signer.parse().map_err(|_| invalid())?;
            // Of the node's node_key.json: the same at every start.
            let node = Keypair::ed25519_from_bytes([0x6e; 32]).map_err(|_| invalid())?;
            return Ok(Self::Noise(TcpListener::bind(at).await?, Arc::new(Pins { node, signer })));
        }
        let Some(host_port) = address.strip_prefix("tcp://") else {
            let text = format!(
                "{address} is neither tcp://host:port, unix://path nor noise://signer@ip:port"
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        };
        Ok(Self::Tcp(TcpListener::bind(host_port).await?))
    }

    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp(listener) => listener
                .local_addr()
                .map_or_else(|error| error.to_string(), |address| format!("tcp://{address}")),
            Self::Unix(_, path) => format!("unix://{}", path.display()),
            Self::Noise(listener, pins) => listener.local_addr().map_or_else(
                |error| error.to_string(),
                |at| format!("noise://{}@{at}", pins.node.public().to_peer_id()),
            ),
        }
    }

    pub(super) async fn accept(&self) -> io::Result<Accepted> {
        match self {
            Self::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Tcp(stream))
            }
            Self::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
            Self::Noise(listener, pins) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Accepted::Noise(stream, Arc::clone(pins)))
            }
        }
    }
}

impl Accepted {
    pub(super) async fn handshake(self) -> Result<Wire, Fault> {
        match self {
            Self::Tcp(stream) => {
                let signer = stream.peer_addr()?.to_string();
                let mut seed = [0; 32];
                getrandom::fill(&mut seed).map_err(|error| Fault::Handshake(error.to_string()))?;
                // As in every CometBFT, a new identity at each start; here at each connection.
                let identity = SigningKey::from_bytes(&seed);
                let (reader, writer) = stream.into_split();
                let (reader, writer, _) = handshake(reader, writer, &identity)
                    .await
                    .map_err(|error| Fault::Handshake(error.to_string()))?;
                Ok(Wire::new(Box::new(reader), Box::new(writer), signer))
            }
            Self::Unix(stream) => {
                let (reader, writer) = stream.into_split();
                Ok(Wire::new(Box::new(reader), Box::new(writer), String::new()))
            }
            Self::Noise(stream, pins) => {
                let signer = stream.peer_addr()?.to_string();
                let failed = |error: libp2p_noise::Error| Fault::Handshake(error.to_string());
                let config = libp2p_noise::Config::new(&pins.node).map_err(failed)?;
                let shaken = config.upgrade_inbound(stream.compat(), "/noise").await;
                let (peer, stream) = shaken.map_err(failed)?;
                // As `noise_listener.go` does: after the handshake, and by closing.
                if peer != pins.signer {
                    return Err(Fault::Handshake(format!("signer peer {peer} not allowlisted")));
                }
                let (reader, writer) = tokio::io::split(stream.compat());
                Ok(Wire::new(Box::new(reader), Box::new(writer), signer))
            }
        }
    }
}

impl Wire {
    fn new(reader: Reader, writer: Writer, signer: String) -> Self {
        Self { reader: MessageReader::new(reader, MAX_REPLY_BYTES), writer, signer }
    }

    /// One request and its reply.
    pub async fn exchange(&mut self, request: Sum) -> Result<Option<Sum>, Fault> {
        let request = proto::Message { sum: Some(request) };
        self.send_raw(&request.encode_length_delimited_to_vec()).await?;
        let reply = self.receive_raw().await?;
        Ok(proto::Message::decode(reply.as_slice())?.sum)
    }

    /// Writes any bytes within the encrypted channel.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let sent = timeout(READ_WRITE, write_message(&mut self.writer, bytes)).await;
        Ok(sent.map_err(|_| Fault::Timeout)??)
    }

    /// The next message of the signer, without its length.
    pub async fn receive_raw(&mut self) -> Result<Vec<u8>, Fault> {
        let received = timeout(READ_WRITE, self.reader.read()).await;
        received.map_err(|_| Fault::Timeout)??.ok_or(Fault::EndOfStream)
    }

    /// Ends our direction of the stream.
    pub async fn end(&mut self) -> io::Result<()> {
        self.writer.shutdown().await
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").field("signer", &self.signer).finish_non_exhaustive()
    }
}
