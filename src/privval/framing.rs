//! Messages on a byte stream: a uvarint length, then so many bytes (`libs/protoio` of CometBFT).
//!
//! Nothing is assumed about how a transport cuts the stream: a length may be spread over several
//! SecretConnection frames, and one read may bring several messages.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest request that is read, in bytes: two extensions of 1 MiB (CometBFT v2), and the vote.
pub const MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024 + 64 * 1024;

/// How much is asked of the transport at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A length prefix has at most this many bytes.
const MAX_PREFIX_BYTES: usize = 10;

/// Why no message could be read. The stream is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum FramingError {
    /// The transport failed.
    #[error("reading from the validator: {0}")]
    Io(#[from] io::Error),
    /// The stream ended within a message.
    #[error("the validator closed the connection within a message, after {received} bytes of it")]
    Truncated {
        /// Bytes of the message that had come, prefix included.
        received: usize,
    },
    /// The announced length is above the limit.
    #[error("a message of {announced} bytes was announced, at most {limit} are read")]
    TooLong {
        /// Announced length in bytes.
        announced: u64,
        /// The limit in bytes.
        limit: usize,
    },
    /// The length does not fit 64 bits.
    #[error("the length of a message has more than 64 bits")]
    Length,
}

/// Reads length-delimited messages. Memory grows with what has come, not with what was announced.
#[derive(Debug)]
pub struct MessageReader<R> {
    io: R,
    limit: usize,
    /// What has come, its beginning perhaps given out already.
    buffer: Vec<u8>,
    /// How much of it was given out.
    given: usize,
}

impl<R: AsyncRead + Unpin> MessageReader<R> {
    /// Reads messages of at most `limit` bytes from `io`. Requests: [`MAX_REQUEST_BYTES`].
    #[must_use]
    pub const fn new(io: R, limit: usize) -> Self {
        Self { io, limit, buffer: Vec::new(), given: 0 }
    }

    /// The next message without its length, or `None` if the stream ended between messages.
    /// A call that is dropped loses nothing: what has come stays here.
    ///
    /// # Errors
    /// [`FramingError`].
    pub async fn read(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            if self.fill().await? == 0 {
                return match self.buffer.len() {
                    0 => Ok(None),
                    received => Err(FramingError::Truncated { received }),
                };
            }
        }
    }

    /// Waits for the first byte of the next message; `false` if the stream ended before it. A call
    /// that is dropped loses nothing.
    ///
    /// # Errors
    /// [`FramingError::Io`].
    pub async fn begun(&mut self) -> Result<bool, FramingError> {
        Ok(self.given < self.buffer.len() || self.fill().await? > 0)
    }

    /// Reads more behind what was not given out; 0 at the end of the stream.
    async fn fill(&mut self) -> Result<usize, FramingError> {
        if self.given == self.buffer.len() && self.buffer.capacity() > 2 * READ_BYTES {
            // A long message does not keep its room for ever.
            self.buffer = Vec::new();
        } else {
            self.buffer.drain(..self.given);
        }
        self.given = 0;
        self.buffer.reserve(READ_BYTES.min(self.buffer.len().max(1024)));
        Ok(self.io.read_buf(&mut self.buffer).await?)
    }

    /// A whole message out of the buffer, if there is one.
    fn take(&mut self) -> Result<Option<Vec<u8>>, FramingError> {
        let rest = self.buffer.get(self.given..).unwrap_or_default();
        let Some((announced, prefix)) = read_length(rest)? else { return Ok(None) };
        let length = usize::try_from(announced)
            .ok()
            .filter(|length| *length <= self.limit)
            .ok_or(FramingError::TooLong { announced, limit: self.limit })?;
        let end = prefix.saturating_add(length);
        let message = rest.get(prefix..end).map(<[u8]>::to_vec);
        if message.is_some() {
            self.given = self.given.saturating_add(end);
        }
        Ok(message)
    }
}

/// A uvarint and its own length in bytes, or `None` if it is not complete.
fn read_length(bytes: &[u8]) -> Result<Option<(u64, usize)>, FramingError> {
    let mut value = 0_u64;
    for (position, byte) in bytes.iter().take(MAX_PREFIX_BYTES).enumerate() {
        let bits = u64::from(byte & 0x7f);
        let shift = 7 * position;
        let shifted = bits << shift;
        if shifted >> shift != bits {
            return Err(FramingError::Length);
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Ok(Some((value, position + 1)));
        }
    }
    if bytes.len() >= MAX_PREFIX_BYTES { Err(FramingError::Length) } else { Ok(None) }
}

/// Writes one length-delimited message with one write, and flushes.
///
/// # Errors
/// Those of the transport. Part of the message may have left: close the connection then.
pub async fn write_message<W: AsyncWrite + Unpin>(io: &mut W, delimited: &[u8]) -> io::Result<()> {
    io.write_all(delimited).await?;
    io.flush().await
}

#[cfg(test)]
mod tests;
