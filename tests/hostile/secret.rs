//! The node's end of SecretConnection, without I/O, written anew so that it can misbehave.

// The fuzzers use a part of it.
#![allow(dead_code, unreachable_pub)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use chacha20poly1305::aead::{AeadInOut as _, KeyInit as _};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use ed25519_dalek::{Signer as _, SigningKey};
use hkdf::Hkdf;
use merlin::Transcript;
use sha2::Sha256;
use x25519_dalek::{PublicKey, StaticSecret};

/// A frame as it travels, in bytes.
pub const FRAME_BYTES: usize = 4 + 1024 + 16;

/// The node's ephemeral key.
pub struct Ephemeral(StaticSecret);

/// One direction of the channel.
pub struct Direction {
    cipher: ChaCha20Poly1305,
    /// The number of the next frame.
    pub counter: u64,
}

/// What both ends know after the exchange of ephemeral keys.
pub struct Keys {
    /// From the signer.
    pub receive: Direction,
    /// To the signer.
    pub send: Direction,
    /// What both identities sign.
    pub challenge: [u8; 32],
}

impl Ephemeral {
    /// The same for the same seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Self(StaticSecret::from(seed))
    }

    /// The first message.
    pub fn hello(&self) -> Vec<u8> {
        hello(PublicKey::from(&self.0).as_bytes())
    }

    /// With the signer's first message.
    pub fn agree(&self, theirs: &[u8; 35]) -> Keys {
        let ours = PublicKey::from(&self.0).to_bytes();
        let theirs: [u8; 32] = theirs[3..].try_into().unwrap();
        let shared = self.0.diffie_hellman(&PublicKey::from(theirs));
        let mut okm = [0; 96];
        Hkdf::<Sha256>::new(None, shared.as_bytes())
            .expand(b"TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN", &mut okm)
            .unwrap();
        let first = Direction::new(okm[..32].try_into().unwrap());
        let second = Direction::new(okm[32..64].try_into().unwrap());
        let (low, high) = if ours < theirs { (ours, theirs) } else { (theirs, ours) };
        let (receive, send) = if ours < theirs { (first, second) } else { (second, first) };
        let mut transcript = Transcript::new(b"TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH");
        transcript.append_message(b"EPHEMERAL_LOWER_PUBLIC_KEY", &low);
        transcript.append_message(b"EPHEMERAL_UPPER_PUBLIC_KEY", &high);
        transcript.append_message(b"DH_SECRET", shared.as_bytes());
        let mut challenge = [0; 32];
        transcript.challenge_bytes(b"SECRET_CONNECTION_MAC", &mut challenge);
        Keys { receive, send, challenge }
    }
}

/// The first message with any 32 bytes for a key.
pub fn hello(key: &[u8; 32]) -> Vec<u8> {
    [&[0x22, 0x0a, 0x20], key.as_slice()].concat()
}

/// The message of identity with any key and signature.
pub fn identity(key: &[u8; 32], signature: &[u8; 64]) -> Vec<u8> {
    [&[0x66, 0x0a, 0x22, 0x0a, 0x20], key.as_slice(), &[0x12, 0x40], signature].concat()
}

/// The message of identity as it should be.
pub fn honest_identity(challenge: &[u8; 32]) -> Vec<u8> {
    let key = SigningKey::from_bytes(&[5; 32]);
    identity(key.verifying_key().as_bytes(), &key.sign(challenge).to_bytes())
}

impl Direction {
    fn new(key: [u8; 32]) -> Self {
        Self { cipher: ChaCha20Poly1305::new(&Key::from(key)), counter: 0 }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&self.counter.to_le_bytes());
        self.counter += 1;
        Nonce::from(nonce)
    }

    /// One frame that says it holds `length` bytes; at most 1024 bytes of data.
    pub fn frame(&mut self, length: u32, data: &[u8]) -> Vec<u8> {
        let mut frame = length.to_le_bytes().to_vec();
        frame.extend_from_slice(data);
        frame.resize(4 + 1024, 0);
        let nonce = self.nonce();
        self.cipher.encrypt_in_place(&nonce, &[], &mut frame).unwrap();
        frame
    }

    /// Whole frames with this data.
    pub fn seal(&mut self, data: &[u8]) -> Vec<u8> {
        let frame = |chunk: &[u8]| self.frame(u32::try_from(chunk.len()).unwrap(), chunk);
        data.chunks(1024).flat_map(frame).collect()
    }

    /// What is in a frame, if it is the next one.
    pub fn open(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let mut frame = frame.to_vec();
        let nonce = self.nonce();
        self.cipher.decrypt_in_place(&nonce, &[], &mut frame).ok()?;
        let length = u32::from_le_bytes(frame[..4].try_into().unwrap()) as usize;
        frame.get(4..4 + length).map(<[u8]>::to_vec)
    }
}
