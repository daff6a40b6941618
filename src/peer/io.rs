//! One TLS connection, which can be cut from outside.
//!
//! HTTP/2 ends politely: a peer that grants no window, or never closes its side, would hold a
//! connection open for ever. Whoever is done with a link cuts the socket beneath it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tonic::transport::server::Connected;

use crate::types::MemberId;

/// A connection to the member that its certificate belongs to.
pub(super) struct MemberStream {
    tls: TlsStream<TcpStream>,
    caller: Caller,
}

/// Who is at the other end. Made only after a handshake, from the certificate, and found by the
/// gRPC service in the request: no message can change it.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) member: MemberId,
    pub(super) cut: Arc<Cut>,
}

/// Ends a connection.
#[derive(Debug, Default)]
pub(crate) struct Cut {
    done: AtomicBool,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// Cuts a connection when it goes out of scope.
pub(super) struct CutOnDrop(pub(super) Arc<Cut>);

impl MemberStream {
    pub(super) fn new(tls: impl Into<TlsStream<TcpStream>>, member: MemberId) -> Self {
        Self { tls: tls.into(), caller: Caller { member, cut: Arc::default() } }
    }

    pub(super) fn member(&self) -> MemberId {
        self.caller.member
    }

    #[cfg(test)]
    pub(super) fn nodelay(&self) -> bool {
        self.tls.get_ref().0.nodelay().unwrap()
    }

    pub(super) fn cut(&self) -> &Arc<Cut> {
        &self.caller.cut
    }
}

impl Cut {
    /// Every read and write from now on fails.
    pub(crate) fn cut(&self) {
        self.done.store(true, Ordering::SeqCst);
        self.reader.wake();
        self.writer.wake();
    }

    /// Registers before it looks, so that a cut in between is not missed.
    fn check(&self, waker: &AtomicWaker, context: &Context<'_>) -> io::Result<()> {
        waker.register(context.waker());
        if self.done.load(Ordering::SeqCst) {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the connection was cut"));
        }
        Ok(())
    }

    /// For who is about to read.
    pub(crate) fn check_read(&self, context: &Context<'_>) -> io::Result<()> {
        self.check(&self.reader, context)
    }

    /// For who is about to write.
    pub(crate) fn check_write(&self, context: &Context<'_>) -> io::Result<()> {
        self.check(&self.writer, context)
    }
}

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

impl Connected for MemberStream {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
    }
}

impl AsyncRead for MemberStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let cut = &self.caller.cut;
        cut.check(&cut.reader, context)?;
        Pin::new(&mut self.tls).poll_read(context, buffer)
    }
}

impl AsyncWrite for MemberStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let cut = &self.caller.cut;
        cut.check(&cut.writer, context)?;
        Pin::new(&mut self.tls).poll_write(context, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let cut = &self.caller.cut;
        cut.check(&cut.writer, context)?;
        Pin::new(&mut self.tls).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let cut = &self.caller.cut;
        cut.check(&cut.writer, context)?;
        Pin::new(&mut self.tls).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.tls.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let cut = &self.caller.cut;
        cut.check(&cut.writer, context)?;
        Pin::new(&mut self.tls).poll_write_vectored(context, buffers)
    }
}
