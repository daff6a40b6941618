//! Connections of callers: so many and no more, and who makes way when there are too many.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tonic::transport::server::Connected;

use crate::peer::Cut;
use crate::types::CertificatePin;

/// One connection, from its accept to its end.
#[derive(Debug)]
pub(super) struct Connection {
    address: SocketAddr,
    cut: Cut,
    /// Set by the handshake.
    caller: OnceLock<Option<CertificatePin>>,
    /// Permitted calls that are under way.
    calls: AtomicUsize,
    /// When the last permitted call ended, in the registry's numbering; 0 before the first.
    last: AtomicU64,
    clock: Arc<AtomicU64>,
}

/// A permitted call: its connection does not make way for another.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

/// The open connections.
#[derive(Debug)]
pub(super) struct Registry {
    most: usize,
    open: Mutex<Vec<Weak<Connection>>>,
    clock: Arc<AtomicU64>,
}

/// A socket that can be cut, below TLS: a handshake that hangs makes way, too.
#[derive(Debug)]
pub(super) struct Socket {
    tcp: TcpStream,
    connection: Arc<Connection>,
}

/// What the service reads from.
pub(super) enum Stream {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

impl Connection {
    /// Who is at the other end, by its certificate.
    pub(super) fn caller(&self) -> Option<CertificatePin> {
        self.caller.get().copied().flatten()
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Said once, by the handshake.
    pub(super) fn set_caller(&self, caller: Option<CertificatePin>) {
        // The first word counts.
        let _ = self.caller.set(caller);
    }

    /// Until it is dropped, this connection does not make way.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.calls.fetch_add(1, Ordering::SeqCst);
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Connection { calls, last, clock, .. } = &*self.0;
        last.store(clock.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
        calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Registry {
    pub(super) fn new(most: usize) -> Self {
        Self { most, open: Mutex::default(), clock: Arc::new(AtomicU64::new(1)) }
    }

    /// Lets a socket in. If there are too many, the one makes way that has been longest without a
    /// permitted call, those first that never had one; if all have one now, this socket gets nothing.
    pub(super) fn admit(&self, tcp: TcpStream, address: SocketAddr) -> Option<Socket> {
        let connection = Arc::new(Connection {
            address,
            cut: Cut::default(),
            caller: OnceLock::new(),
            calls: AtomicUsize::new(0),
            last: AtomicU64::new(0),
            clock: Arc::clone(&self.clock),
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|other| other.strong_count() > 0);
        if open.len() >= self.most {
            let idle = |other: &Weak<Connection>| {
                other.upgrade().filter(|it| it.calls.load(Ordering::SeqCst) == 0)
            };
            // The first of equals, which is the oldest.
            let idle = open.iter().enumerate().filter_map(|(at, other)| Some((at, idle(other)?)));
            let (at, longest) = idle.min_by_key(|(_, it)| it.last.load(Ordering::SeqCst))?;
            longest.cut.cut();
            open.remove(at);
        }
        open.push(Arc::downgrade(&connection));
        Some(Socket { tcp, connection })
    }
}

impl Socket {
    pub(super) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    pub(super) fn set_nodelay(&self) -> io::Result<()> {
        self.tcp.set_nodelay(true)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.connection.cut.check_read(context)?;
        Pin::new(&mut self.tcp).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.connection.cut.check_write(context)?;
        Pin::new(&mut self.tcp).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.cut.check_write(context)?;
        Pin::new(&mut self.tcp).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection.cut.check_write(context)?;
        Pin::new(&mut self.tcp).poll_shutdown(context)
    }
}

impl Connected for Stream {
    type ConnectInfo = Arc<Connection>;

    fn connect_info(&self) -> Arc<Connection> {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        };
        Arc::clone(&socket.connection)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write(context, buffer),
            Self::Tls(tls) => Pin::new(tls).poll_write(context, buffer),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(context),
            Self::Tls(tls) => Pin::new(tls).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    /// Whether a socket is cut; nothing else ever ends it here.
    async fn is_cut(socket: &mut Socket) -> bool {
        let mut buffer = [0; 1];
        let read = socket.read(&mut buffer);
        tokio::time::timeout(Duration::from_secs(5), read).await.is_ok_and(|read| read.is_err())
    }

    /// A socket's two ends.
    async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream, SocketAddr) {
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(address));
        let (ours, address) = ours.unwrap();
        (ours, theirs.unwrap(), address)
    }

    #[tokio::test]
    async fn who_never_had_a_permitted_call_makes_way_first_and_who_has_one_never() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let registry = Registry::new(3);
        let mut far = Vec::new();
        let mut near = Vec::new();
        for _ in 0..3 {
            let (ours, theirs, address) = pair(&listener).await;
            far.push(theirs);
            near.push(registry.admit(ours, address).unwrap());
        }
        // The first has had a call, the second has one now, the third never had any.
        drop(near[0].connection().busy());
        let busy = near[1].connection().busy();
        for (gone, next) in [(2, true), (0, true)] {
            let (ours, theirs, address) = pair(&listener).await;
            far.push(theirs);
            let admitted = registry.admit(ours, address);
            assert_eq!(admitted.is_some(), next);
            let socket = admitted.unwrap();
            // Has a call, so that it does not make way for the next one.
            std::mem::forget(socket.connection().busy());
            near.push(socket);
            assert!(is_cut(&mut near[gone]).await, "{gone} makes way");
        }
        let (ours, _theirs, address) = pair(&listener).await;
        assert!(registry.admit(ours, address).is_none(), "all are busy");
        drop(busy);
        let (ours, _theirs, address) = pair(&listener).await;
        assert!(registry.admit(ours, address).is_some());
        assert!(is_cut(&mut near[1]).await);
    }
}
