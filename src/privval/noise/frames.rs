//! The frames after the handshake, without I/O: two bytes of length, sealed data, 16 of tag.

use std::fmt;
use std::sync::Arc;

use snow::StatelessTransportState;

use super::super::sealed::{Open, Seal};

/// Before each frame, big-endian.
const LENGTH_BYTES: usize = 2;
const TAG_BYTES: usize = 16;
/// Data in one frame, in bytes: with its tag as much as its length can say.
const CHUNK_BYTES: usize = u16::MAX as usize - TAG_BYTES;

/// Why a frame was refused, or not made. The connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Changed, lost or repeated on the way, or sealed with another key.
    #[error("a frame is not what the peer sealed at this place of the stream")]
    Authentication,
    /// There is not even a tag in it.
    #[error("a frame says that it has {0} bytes, its tag alone has 16")]
    TooShort(u16),
    /// 2^64 − 1 frames were sent; the next number is reserved.
    #[error("the connection has no nonce left")]
    NonceExhausted,
    /// A frame was refused before; what comes after it cannot be trusted.
    #[error("the connection was given up after a refused frame")]
    GivenUp,
}

/// Counts the frames of one direction. `None` when there is no further nonce.
struct NonceCounter(Option<u64>);

impl NonceCounter {
    fn take(&mut self) -> Result<u64, FrameError> {
        let nonce = self.0.ok_or(FrameError::NonceExhausted)?;
        // Noise reserves the last one.
        self.0 = nonce.checked_add(1).filter(|next| *next != u64::MAX);
        Ok(nonce)
    }
}

/// Seals what goes.
pub struct Sealer {
    keys: Arc<StatelessTransportState>,
    nonce: NonceCounter,
}

/// Opens what comes.
pub struct Opener {
    keys: Arc<StatelessTransportState>,
    nonce: NonceCounter,
}

/// Both directions of a finished handshake.
pub(super) fn pair(keys: StatelessTransportState) -> (Sealer, Opener) {
    let keys = Arc::new(keys);
    let sealer = Sealer { keys: Arc::clone(&keys), nonce: NonceCounter(Some(0)) };
    (sealer, Opener { keys, nonce: NonceCounter(Some(0)) })
}

/// Refuses a frame by its length alone.
fn check_length(announced: u16) -> Result<(), FrameError> {
    if usize::from(announced) < TAG_BYTES { Err(FrameError::TooShort(announced)) } else { Ok(()) }
}

impl Seal for Sealer {
    type Error = FrameError;
    const MOST_BYTES: usize = CHUNK_BYTES;

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        for chunk in data.chunks(CHUNK_BYTES) {
            let nonce = self.nonce.take()?;
            let length = chunk.len() + TAG_BYTES;
            // At most 65535, so nothing is cut off here.
            out.extend_from_slice(&(length as u16).to_be_bytes());
            let start = out.len();
            out.resize(start + length, 0);
            let (_, frame) = out.split_at_mut_checked(start).ok_or(FrameError::Authentication)?;
            self.keys.write_message(nonce, chunk, frame).map_err(|_| FrameError::Authentication)?;
        }
        Ok(())
    }
}

impl Opener {
    /// Puts the data of a sealed frame, without its length, into `data`.
    fn open(&mut self, frame: &[u8], data: &mut Vec<u8>) -> Result<(), FrameError> {
        let nonce = self.nonce.take()?;
        let length = frame.len().checked_sub(TAG_BYTES).ok_or(FrameError::Authentication)?;
        data.clear();
        data.resize(length, 0);
        let opened = self.keys.read_message(nonce, frame, data);
        match opened {
            Ok(opened) if opened == length => Ok(()),
            _ => {
                data.clear();
                Err(FrameError::Authentication)
            }
        }
    }
}

impl Open for Opener {
    type Error = FrameError;
    const GIVEN_UP: FrameError = FrameError::GivenUp;

    fn missing(sealed: &[u8]) -> Result<usize, FrameError> {
        let Some(length) = sealed.first_chunk::<LENGTH_BYTES>() else {
            return Ok(LENGTH_BYTES - sealed.len());
        };
        let announced = u16::from_be_bytes(*length);
        check_length(announced)?;
        Ok((LENGTH_BYTES + usize::from(announced)).saturating_sub(sealed.len()))
    }

    fn open_frame(&mut self, sealed: &mut Vec<u8>, data: &mut Vec<u8>) -> Result<(), FrameError> {
        self.open(sealed.get(LENGTH_BYTES..).unwrap_or_default(), data)
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Opener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opener").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
