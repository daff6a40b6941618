//! A sealed connection as two streams of bytes. What a frame is, each transport says itself.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, BufReader, ReadBuf};

/// Frames that are opened before the other connections of this thread have their turn. What has come in
/// costs a reader no waiting, so a peer that sends tiny frames could hold the thread for long otherwise.
const FRAMES_A_TURN: u32 = 64;

/// How a transport opens its frames, which come in one order only.
pub trait Open {
    /// Why a frame was refused.
    type Error: Error + Send + Sync + 'static;
    /// A frame was refused before; what comes after it cannot be trusted.
    const GIVEN_UP: Self::Error;

    /// How many bytes of a frame, or of what says how long it is, are still to come after these.
    ///
    /// # Errors
    /// The frame is refused by its length alone.
    fn missing(sealed: &[u8]) -> Result<usize, Self::Error>;

    /// Puts the data of a whole frame, perhaps none, in place of `data`. Leaves anything in `sealed`.
    ///
    /// # Errors
    /// The frame is refused.
    fn open_frame(&mut self, sealed: &mut Vec<u8>, data: &mut Vec<u8>) -> Result<(), Self::Error>;
}

/// How a transport seals its frames.
pub trait Seal {
    /// Why a frame was not made.
    type Error: Error + Send + Sync + 'static;
    /// Most data that is sealed into one buffer, in bytes.
    const MOST_BYTES: usize;

    /// Appends `data` to `out` as whole frames.
    ///
    /// # Errors
    /// A frame was not made; what is in `out` then must not be sent.
    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Self::Error>;
}

/// Opens what the peer sealed. A stream of bytes: where a frame ends means nothing.
/// A dropped read loses nothing.
#[derive(Debug)]
pub struct SealedReader<R, O> {
    io: BufReader<R>,
    /// Gone once a frame was refused.
    opener: Option<O>,
    /// The frame that is coming in. Grows with what has come, not with what was announced.
    sealed: Vec<u8>,
    /// The data of the last frame.
    chunk: Vec<u8>,
    /// How much of it was given out.
    given: usize,
    /// Frames opened since the last turn of others.
    in_turn: u32,
}

impl<R: AsyncRead + Unpin, O: Open> SealedReader<R, O> {
    pub(super) const fn new(io: BufReader<R>, opener: O) -> Self {
        Self {
            io,
            opener: Some(opener),
            sealed: Vec::new(),
            chunk: Vec::new(),
            given: 0,
            in_turn: 0,
        }
    }

    /// Opens the next frame into `chunk`; `false` if the stream ended before it.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let Some(opener) = &mut self.opener else {
            return Poll::Ready(Err(refused(O::GIVEN_UP)));
        };
        loop {
            let wanted = match O::missing(&self.sealed) {
                Ok(0) => break,
                Ok(wanted) => wanted,
                Err(error) => return Poll::Ready(Err(self.give_up(error))),
            };
            let available = ready!(Pin::new(&mut self.io).poll_fill_buf(context))?;
            if available.is_empty() {
                let clean = self.sealed.is_empty();
                let cut_off = io::Error::new(io::ErrorKind::UnexpectedEof, "cut off in a frame");
                return Poll::Ready(if clean { Ok(false) } else { Err(cut_off) });
            }
            let part = available.get(..wanted).unwrap_or(available);
            let taken = part.len();
            self.sealed.extend_from_slice(part);
            Pin::new(&mut self.io).consume(taken);
        }
        if let Err(error) = opener.open_frame(&mut self.sealed, &mut self.chunk) {
            return Poll::Ready(Err(self.give_up(error)));
        }
        self.sealed.clear();
        self.given = 0;
        Poll::Ready(Ok(true))
    }

    fn give_up(&mut self, error: O::Error) -> io::Error {
        self.opener = None;
        refused(error)
    }
}

impl<R: AsyncRead + Unpin, O: Open + Unpin> AsyncRead for SealedReader<R, O> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let rest = this.chunk.get(this.given..).unwrap_or_default();
            if !rest.is_empty() {
                let part = rest.get(..buffer.remaining()).unwrap_or(rest);
                buffer.put_slice(part);
                this.given += part.len();
                return Poll::Ready(Ok(()));
            }
            if this.in_turn >= FRAMES_A_TURN {
                this.in_turn = 0;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            this.in_turn = this.in_turn.saturating_add(1);
            // Frames without data are legal and mean nothing.
            if !ready!(this.poll_frame(context))? {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// Seals what goes to the peer. Takes whole messages and hands them to the transport at once; what that
/// does not take stays here until the next write or flush.
#[derive(Debug)]
pub struct SealedWriter<W, S> {
    io: W,
    sealer: S,
    sealed: Vec<u8>,
    written: usize,
}

impl<W: AsyncWrite + Unpin, S: Seal> SealedWriter<W, S> {
    pub(super) const fn new(io: W, sealer: S) -> Self {
        Self { io, sealer, sealed: Vec::new(), written: 0 }
    }

    /// Hands on what is sealed.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let rest = self.sealed.get(self.written..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            match ready!(Pin::new(&mut self.io).poll_write(context, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.sealed.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Unpin, S: Seal + Unpin> AsyncWrite for SealedWriter<W, S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Sealing cannot be taken back, so nothing is sealed while a call may still return pending.
        ready!(this.poll_drain(context))?;
        let part = data.get(..S::MOST_BYTES).unwrap_or(data);
        if let Err(error) = this.sealer.seal(part, &mut this.sealed) {
            this.sealed.clear();
            return Poll::Ready(Err(refused(error)));
        }
        match this.poll_drain(context) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) | Poll::Pending => Poll::Ready(Ok(part.len())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.io).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_drain(context))?;
        Pin::new(&mut this.io).poll_shutdown(context)
    }
}

fn refused(error: impl Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
