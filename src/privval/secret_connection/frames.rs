//! The frames of a SecretConnection, without I/O: four bytes of length, 1024 of data, 16 of tag.

use std::fmt;

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};

use super::super::sealed::{Open, Seal};
use super::keys::FrameKey;

/// Data in one frame, in bytes; less is padded with zeros.
const CHUNK_BYTES: usize = 1024;
const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// A frame as it travels, in bytes.
const FRAME_BYTES: usize = LENGTH_BYTES + CHUNK_BYTES + TAG_BYTES;

/// Why a frame was refused, or not made. The connection is of no further use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Changed, lost or repeated on the way, or sealed with another key.
    #[error("a frame is not what the peer sealed at this place of the stream")]
    Authentication,
    /// The length within a frame is above 1024 bytes.
    #[error("a frame says that it holds {0} bytes, at most 1024 fit")]
    ChunkLength(u32),
    /// 2^64 frames were sent; another would use a nonce twice.
    #[error("the connection has no nonce left")]
    NonceExhausted,
    /// A frame was refused before; what comes after it cannot be trusted.
    #[error("the connection was given up after a refused frame")]
    GivenUp,
}

/// Counts the frames of one direction. `None` when a further one would repeat a nonce.
struct NonceCounter(Option<u64>);

impl NonceCounter {
    fn take(&mut self) -> Result<Nonce, FrameError> {
        let counter = self.0.ok_or(FrameError::NonceExhausted)?;
        self.0 = counter.checked_add(1);
        let [a, b, c, d, e, f, g, h] = counter.to_le_bytes();
        Ok(Nonce::from([0, 0, 0, 0, a, b, c, d, e, f, g, h]))
    }
}

/// Seals what goes.
pub struct Sealer {
    cipher: ChaCha20Poly1305,
    nonce: NonceCounter,
}

impl Sealer {
    pub(super) fn new(key: &FrameKey) -> Self {
        let cipher = ChaCha20Poly1305::new(&Key::from(**key));
        Self { cipher, nonce: NonceCounter(Some(0)) }
    }

    /// Appends one frame. `data` has at most 1024 bytes, and `length` says how many.
    pub(super) fn seal_frame(
        &mut self,
        length: u32,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), FrameError> {
        let nonce = self.nonce.take()?;
        let start = out.len();
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(data);
        out.resize(start + LENGTH_BYTES + CHUNK_BYTES, 0);
        let (_, frame) = out.split_at_mut_checked(start).ok_or(FrameError::Authentication)?;
        let tag = self
            .cipher
            .encrypt_inout_detached(&nonce, &[], frame.into())
            .map_err(|_| FrameError::Authentication)?;
        out.extend_from_slice(&tag);
        Ok(())
    }
}

impl Seal for Sealer {
    type Error = FrameError;
    /// Every reply, and most requests.
    const MOST_BYTES: usize = 64 * 1024;

    fn seal(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), FrameError> {
        out.reserve(data.len().div_ceil(CHUNK_BYTES).saturating_mul(FRAME_BYTES));
        for chunk in data.chunks(CHUNK_BYTES) {
            // At most 1024, so nothing is cut off here.
            self.seal_frame(chunk.len() as u32, chunk, out)?;
        }
        Ok(())
    }
}

/// Opens what comes.
pub struct Opener {
    cipher: ChaCha20Poly1305,
    nonce: NonceCounter,
}

impl Opener {
    pub(super) fn new(key: &FrameKey) -> Self {
        let cipher = ChaCha20Poly1305::new(&Key::from(**key));
        Self { cipher, nonce: NonceCounter(Some(0)) }
    }

    /// Turns a sealed frame into the data in it, perhaps none.
    fn open(&mut self, frame: &mut Vec<u8>) -> Result<(), FrameError> {
        if frame.len() != FRAME_BYTES {
            return Err(FrameError::Authentication);
        }
        let nonce = self.nonce.take()?;
        self.cipher.decrypt_in_place(&nonce, &[], frame).map_err(|_| FrameError::Authentication)?;
        let length = frame.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let length = length.ok_or(FrameError::Authentication)?;
        if length as usize > CHUNK_BYTES {
            return Err(FrameError::ChunkLength(length));
        }
        frame.truncate(LENGTH_BYTES + length as usize);
        frame.drain(..LENGTH_BYTES);
        Ok(())
    }
}

impl Open for Opener {
    type Error = FrameError;
    const GIVEN_UP: FrameError = FrameError::GivenUp;

    fn missing(sealed: &[u8]) -> Result<usize, FrameError> {
        Ok(FRAME_BYTES.saturating_sub(sealed.len()))
    }

    fn open_frame(&mut self, sealed: &mut Vec<u8>, data: &mut Vec<u8>) -> Result<(), FrameError> {
        self.open(sealed)?;
        std::mem::swap(sealed, data);
        Ok(())
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
mod tests {
    use super::*;

    fn pair() -> (Sealer, Opener) {
        let key = FrameKey::new([7; 32]);
        (Sealer::new(&key), Opener::new(&key))
    }

    fn frames(sealed: &[u8]) -> Vec<Vec<u8>> {
        sealed.chunks(FRAME_BYTES).map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn opens_what_was_sealed_in_the_same_order_only() {
        let (mut sealer, mut opener) = pair();
        let data: Vec<u8> = (0..2500_u32).map(|number| number as u8).collect();
        let mut sealed = Vec::new();
        sealer.seal(&data, &mut sealed).unwrap();
        assert_eq!(sealed.len(), 3 * 1044);
        let mut opened = Vec::new();
        for mut frame in frames(&sealed) {
            opener.open(&mut frame).unwrap();
            opened.extend(frame);
        }
        assert_eq!(opened, data);
        // The same frames a second time, and in another order.
        assert_eq!(opener.open(&mut frames(&sealed)[0]), Err(FrameError::Authentication));
        let (_, mut fresh) = pair();
        assert_eq!(fresh.open(&mut frames(&sealed)[1]), Err(FrameError::Authentication));
    }

    #[test]
    fn refuses_a_frame_with_any_bit_changed() {
        let mut sealed = Vec::new();
        pair().0.seal(b"vote", &mut sealed).unwrap();
        for position in [0, 3, 4, 500, 1027, 1028, 1043] {
            let mut frame = sealed.clone();
            frame[position] ^= 1;
            assert_eq!(pair().1.open(&mut frame), Err(FrameError::Authentication), "{position}");
        }
        let mut short = sealed[..1043].to_vec();
        assert_eq!(pair().1.open(&mut short), Err(FrameError::Authentication));
    }

    /// Seals a frame with any length in it, as a hostile peer that holds the key can.
    fn hostile(length: u32) -> Vec<u8> {
        let mut frame = Vec::new();
        pair().0.seal_frame(length, &[9; CHUNK_BYTES], &mut frame).unwrap();
        frame
    }

    #[test]
    fn refuses_a_chunk_longer_than_its_frame() {
        for length in [1025, 1028, u32::MAX] {
            let refused = pair().1.open(&mut hostile(length));
            assert_eq!(refused, Err(FrameError::ChunkLength(length)));
        }
        for length in [0, 1, 1024] {
            let mut frame = hostile(length);
            pair().1.open(&mut frame).unwrap();
            assert_eq!(frame, vec![9; length as usize]);
        }
    }

    #[test]
    fn never_uses_a_nonce_twice() {
        let (mut sealer, mut opener) = pair();
        sealer.nonce = NonceCounter(Some(u64::MAX));
        opener.nonce = NonceCounter(Some(u64::MAX));
        let mut sealed = Vec::new();
        sealer.seal(b"the last one", &mut sealed).unwrap();
        opener.open(&mut sealed).unwrap();
        assert_eq!(sealed, b"the last one");
        assert_eq!(sealer.seal(b"no", &mut Vec::new()), Err(FrameError::NonceExhausted));
        assert_eq!(opener.open(&mut vec![0; FRAME_BYTES]), Err(FrameError::NonceExhausted));
    }
}
