//! Peer ids: who somebody is on `noise://`. An id contains the whole public key.

use std::fmt;
use std::str::FromStr;

use k256::ecdsa::signature::Verifier as _;

/// A libp2p public key of these types, up to its bytes: type, length.
const ED25519_PREFIX: [u8; 4] = [0x08, 0x01, 0x12, 0x20];
const SECP256K1_PREFIX: [u8; 4] = [0x08, 0x02, 0x12, 0x21];
/// Multihash code of "not hashed".
const IDENTITY: u8 = 0x00;
/// Multihash code and length of SHA-256.
const SHA256: [u8; 2] = [0x12, 0x20];
/// Version and codec of a CID that names a libp2p key.
const CID_PREFIX: [u8; 2] = [0x01, 0x72];
/// No form of an id is longer, in characters.
const LONGEST_TEXT: usize = 128;

/// The name of a validator or signer: a public key that can be one, in the form of libp2p.
///
/// Read in any form (`12D3KooW…`, `16Uiu2…`, CIDv1 in base32 or base58), written in the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(Key);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Key {
    Ed25519([u8; 32]),
    /// Compressed.
    Secp256k1([u8; 33]),
}

/// Why something is no peer id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerIdError {
    /// Neither base58 nor a CID in base32 or base58.
    #[error(
        "it is neither base58 (12D3KooW… or 16Uiu2…) nor a CIDv1 in base32 or base58 (b… or z…)"
    )]
    Encoding,
    /// A CID of something else.
    #[error("it is a CID, but not one of a libp2p key")]
    Codec,
    /// The hash of a key, from which no key can be learnt.
    #[error("it is the hash of a key (Qm…), as RSA keys have it; {KINDS}")]
    Hashed,
    /// The length of the multihash is not that of its content.
    #[error("it is cut off, or too long")]
    Length,
    /// A key of another kind.
    #[error("its key is {}; {KINDS}", kind(*.0))]
    KeyType(u8),
    /// Not a key in the one form that libp2p writes.
    #[error("its key is not in the form that libp2p writes")]
    KeyForm,
    /// A key for which anybody can sign, or which can be written in two ways.
    #[error("its key is not a canonical point of large order")]
    Key,
}

const KINDS: &str = "only Ed25519 (12D3KooW…) and secp256k1 (16Uiu2…) can be used";

fn kind(number: u8) -> String {
    match number {
        0 => "an RSA key".to_owned(),
        3 => "an ECDSA key".to_owned(),
        other => format!("of the unknown type {other}"),
    }
}

impl PeerId {
    /// The id of an Ed25519 key.
    ///
    /// # Errors
    /// [`PeerIdError::Key`].
    pub fn ed25519(key: [u8; 32]) -> Result<Self, PeerIdError> {
        let point = ed25519_dalek::VerifyingKey::from_bytes(&key).map_err(|_| PeerIdError::Key)?;
        if point.is_weak() || *point.to_edwards().compress().as_bytes() != key {
            return Err(PeerIdError::Key);
        }
        Ok(Self(Key::Ed25519(key)))
    }

    /// The id of a secp256k1 key, compressed.
    ///
    /// # Errors
    /// [`PeerIdError::Key`].
    pub fn secp256k1(key: [u8; 33]) -> Result<Self, PeerIdError> {
        let point =
            k256::ecdsa::VerifyingKey::from_sec1_bytes(&key).map_err(|_| PeerIdError::Key)?;
        // Of several encodings of one point this one alone.
        if point.to_sec1_point(true).as_bytes() != key {
            return Err(PeerIdError::Key);
        }
        Ok(Self(Key::Secp256k1(key)))
    }

    /// The id of the key in libp2p's protobuf, as handshakes carry it.
    pub(super) fn from_encoded_key(encoded: &[u8]) -> Result<Self, PeerIdError> {
        if let Some(key) = encoded.strip_prefix(&ED25519_PREFIX) {
            return Self::ed25519(key.try_into().map_err(|_| PeerIdError::KeyForm)?);
        }
        if let Some(key) = encoded.strip_prefix(&SECP256K1_PREFIX) {
            return Self::secp256k1(key.try_into().map_err(|_| PeerIdError::KeyForm)?);
        }
        match encoded {
            [0x08, 1 | 2, ..] => Err(PeerIdError::KeyForm),
            [0x08, kind, 0x12, ..] => Err(PeerIdError::KeyType(*kind)),
            _ => Err(PeerIdError::KeyForm),
        }
    }

    /// The key in libp2p's protobuf.
    pub(super) fn encoded_key(&self) -> Vec<u8> {
        match &self.0 {
            Key::Ed25519(key) => [ED25519_PREFIX.as_slice(), key].concat(),
            Key::Secp256k1(key) => [SECP256K1_PREFIX.as_slice(), key].concat(),
        }
    }

    /// Whether the holder of this id's key has signed the message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            Key::Ed25519(key) => {
                let key = ed25519_dalek::VerifyingKey::from_bytes(key);
                let signature = ed25519_dalek::Signature::from_slice(signature);
                matches!((key, signature), (Ok(key), Ok(signature))
                    if key.verify_strict(message, &signature).is_ok())
            }
            Key::Secp256k1(key) => {
                let key = k256::ecdsa::VerifyingKey::from_sec1_bytes(key);
                let signature = k256::ecdsa::Signature::from_der(signature);
                matches!((key, signature), (Ok(key), Ok(signature))
                    if key.verify(message, &signature).is_ok())
            }
        }
    }

    fn from_multihash(bytes: &[u8]) -> Result<Self, PeerIdError> {
        match bytes {
            [IDENTITY, length, key @ ..] if usize::from(*length) == key.len() => {
                Self::from_encoded_key(key)
            }
            [IDENTITY, ..] => Err(PeerIdError::Length),
            _ if bytes.starts_with(&SHA256) => Err(PeerIdError::Hashed),
            _ => Err(PeerIdError::Encoding),
        }
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        if text.len() > LONGEST_TEXT {
            return Err(PeerIdError::Encoding);
        }
        let base58 = |text: &str| bs58::decode(text).into_vec().map_err(|_| PeerIdError::Encoding);
        // An id in base58 begins with 1 or Qm, so these letters say which other form it is.
        let cid = match (text.strip_prefix('b'), text.strip_prefix('z')) {
            (Some(rest), _) => base32(rest).ok_or(PeerIdError::Encoding)?,
            (None, Some(rest)) => base58(rest)?,
            (None, None) => return Self::from_multihash(&base58(text)?),
        };
        let multihash = cid.strip_prefix(&CID_PREFIX).ok_or(PeerIdError::Codec)?;
        Self::from_multihash(multihash)
    }
}

/// RFC 4648 in small letters, without padding, as multibase's `b` has it.
fn base32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut held, mut bits) = (0_u32, 0_u32);
    for letter in text.bytes() {
        let five = match letter {
            b'a'..=b'z' => letter - b'a',
            b'2'..=b'7' => letter - b'2' + 26,
            _ => return None,
        };
        held = (held << 5) | u32::from(five);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
            held &= (1 << bits) - 1;
        }
    }
    // What is left over fills the last letter, and is zero: each id has one spelling.
    (bits < 5 && held == 0).then_some(bytes)
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.encoded_key();
        // 36 or 37.
        let length = key.len() as u8;
        f.write_str(&bs58::encode([&[IDENTITY, length], key.as_slice()].concat()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({self})")
    }
}

#[cfg(test)]
pub(crate) use tests::cid_in_base32;

#[cfg(test)]
mod tests;
