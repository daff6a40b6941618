//! The two directions of a noise connection as byte streams.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead as _, AsyncRead, AsyncWrite, BufReader, ReadBuf};

use super::frames::{CHUNK_BYTES, FrameError, LENGTH_BYTES, Opener, Sealer, check_length};

/// Opens what the peer sealed. A stream of bytes: where a frame ends means nothing.
/// A dropped read loses nothing.
#[derive(Debug)]
pub struct NoiseReader<R> {
    io: BufReader<R>,
    /// Gone once a frame was refused.
    opener: Option<Opener>,
    /// The frame that is coming in, its length first. Grows with what has come, not with what was
    /// announced.
    sealed: Vec<u8>,
    /// The data of the last frame.
    chunk: Vec<u8>,
    /// How much of it was given out.
    given: usize,
}

impl<R: AsyncRead + Unpin> NoiseReader<R> {
    pub(super) fn new(io: BufReader<R>, opener: Opener) -> Self {
        Self { io, opener: Some(opener), sealed: Vec::new(), chunk: Vec::new(), given: 0 }
    }

    /// How many bytes of the frame, or of its length, are still to come.
    fn missing(&self) -> Result<usize, FrameError> {
        let Some(length) = self.sealed.first_chunk::<LENGTH_BYTES>() else {
            return Ok(LENGTH_BYTES - self.sealed.len());
        };
        let announced = u16::from_be_bytes(*length);
        check_length(announced)?;
        Ok((LENGTH_BYTES + usize::from(announced)).saturating_sub(self.sealed.len()))
    }

    /// Opens the next frame into `chunk`; `false` if the stream ended before it.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if self.opener.is_none() {
            return Poll::Ready(Err(refused(FrameError::GivenUp)));
        }
        loop {
            let wanted = match self.missing() {
                Ok(0) => break,
                Ok(wanted) => wanted,
                Err(error) => {
                    self.opener = None;
                    return Poll::Ready(Err(refused(error)));
                }
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
        let Some(mut opener) = self.opener.take() else {
            return Poll::Ready(Err(refused(FrameError::GivenUp)));
        };
        let frame = self.sealed.get(LENGTH_BYTES..).unwrap_or_default();
        opener.open(frame, &mut self.chunk).map_err(refused)?;
        self.opener = Some(opener);
        self.sealed.clear();
        self.given = 0;
        Poll::Ready(Ok(true))
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for NoiseReader<R> {
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
pub struct NoiseWriter<W> {
    io: W,
    sealer: Sealer,
    sealed: Vec<u8>,
    written: usize,
}

impl<W: AsyncWrite + Unpin> NoiseWriter<W> {
    pub(super) const fn new(io: W, sealer: Sealer) -> Self {
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

impl<W: AsyncWrite + Unpin> AsyncWrite for NoiseWriter<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        // Sealing cannot be taken back, so nothing is sealed while a call may still return pending.
        ready!(this.poll_drain(context))?;
        let part = data.get(..CHUNK_BYTES).unwrap_or(data);
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

fn refused(error: FrameError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
