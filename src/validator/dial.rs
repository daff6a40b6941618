//! Opening a socket to a validator.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::{TcpSocket, TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;

use super::{Address, HostPort};
use crate::privval::noise::PeerId;

/// Name resolution and TCP connect together. A validator looks for its signer for 3 s at its start.
const CONNECT: Duration = Duration::from_secs(2);
/// Silence after which a machine is asked whether it lives, time between two such questions, and how
/// many it may leave unanswered: a dead one is noticed within about 11 s.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(5);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
const KEEPALIVE_PROBES: u32 = 3;

/// Why nobody was reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// A firewall that drops, a machine that is off, or a backlog that is full.
    #[error("no answer within {} ms", CONNECT.as_millis())]
    Timeout,
    /// The name has no address.
    #[error("the host name {0} resolves to no address")]
    NoAddress(String),
    /// What the system says.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An open socket on which nothing was said yet.
pub(super) enum Dialled {
    /// SecretConnection follows.
    Tcp(TcpStream),
    /// The handshake of noise follows, with this peer.
    Noise(TcpStream, PeerId),
    /// Messages follow.
    Unix(UnixStream),
}

pub(super) async fn dial(address: &Address) -> Result<Dialled, DialError> {
    let connect = async {
        match address {
            Address::Tcp(host_port) => Ok(Dialled::Tcp(connect_tcp(host_port).await?)),
            Address::Noise { peer, at } => Ok(Dialled::Noise(connect_to(*at).await?, *peer)),
            Address::Unix(path) => Ok(Dialled::Unix(UnixStream::connect(path).await?)),
        }
    };
    timeout(CONNECT, connect).await.unwrap_or(Err(DialError::Timeout))
}

/// Resolves anew each time: a validator may have moved.
async fn connect_tcp(host_port: &HostPort) -> Result<TcpStream, DialError> {
    let mut last = DialError::NoAddress(host_port.host().to_owned());
    for address in lookup_host((host_port.host(), host_port.port())).await? {
        match connect_to(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error.into(),
        }
    }
    Err(last)
}

async fn connect_to(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    // The only thing that notices a dead machine while a handshake waits in the backlog. The
    // system's own settings would notice it after two hours.
    socket.set_keepalive(true)?;
    sockopt::set_tcp_keepidle(&socket, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&socket, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&socket, KEEPALIVE_PROBES)?;
    // Closing, also by a killed process, sends RST. CometBFT drops a connection at once when it is
    // reset, but tries to go on after an orderly end (`privval/signer_endpoint.go`): with v0.38.23
    // the next signer in its backlog is taken after 0.1 s instead of 0.3 s.
    socket.set_zero_linger()?;
    socket.connect(address).await
}
