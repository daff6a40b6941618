//! Our own identity towards validators, and its file: CometBFT's `node_key.json`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::PeerId;

const ED25519: &str = "tendermint/PrivKeyEd25519";
const SECP256K1: &str = "tendermint/PrivKeySecp256k1";
/// Room for any text that decodes to a private key, so that decoding never moves the buffer.
const DECODED_CAPACITY: usize = 128;
/// Room for the whole file.
const FILE_CAPACITY: usize = 512;

/// The key that a validator knows its signer by. It signs handshakes, never a block.
pub struct Identity {
    secret: Secret,
    peer_id: PeerId,
}

/// Both wipe themselves when they are dropped.
enum Secret {
    Ed25519(ed25519_dalek::SigningKey),
    Secp256k1(k256::ecdsa::SigningKey),
}

/// Why an identity file was refused. Nothing in here is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Not the file that CometBFT writes. Without serde's words, which quote what they found.
    #[error(
        "not an identity (line {line}, column {column}): it looks like CometBFT's node_key.json, \
         {{\"priv_key\":{{\"type\":\"tendermint/PrivKeyEd25519\",\"value\":\"…\"}}}}"
    )]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A key of another kind.
    #[error("its key is of type {0:?}; {ED25519:?} and {SECP256K1:?} can be used")]
    Type(String),
    /// Not base64, cut, or no key.
    #[error("the value of its priv_key is not {0} bytes of a key in base64: the file is damaged")]
    Encoding(usize),
    /// The second half of the private key is not the public key of the first.
    #[error("the two halves of its priv_key do not belong together: the file is damaged")]
    Halves,
    /// The system gives no random bytes.
    #[error("no random bytes for an identity: {0}")]
    Random(getrandom::Error),
}

#[derive(Deserialize)]
struct File<'f> {
    #[serde(borrow)]
    priv_key: Typed<'f>,
}

/// Borrowed, so that the secret stays in the one buffer that is wiped.
#[derive(Deserialize)]
struct Typed<'f> {
    #[serde(rename = "type")]
    tag: &'f str,
    value: &'f str,
}

impl Identity {
    /// A new one, Ed25519.
    ///
    /// # Errors
    /// [`IdentityError::Random`].
    pub fn generate() -> Result<Self, IdentityError> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(IdentityError::Random)?;
        Self::from_seed(&seed)
    }

    /// The Ed25519 identity of an RFC 8032 seed.
    ///
    /// # Errors
    /// None that any seed could cause.
    pub fn from_seed(seed: &[u8; 32]) -> Result<Self, IdentityError> {
        let key = ed25519_dalek::SigningKey::from_bytes(seed);
        let peer_id = PeerId::ed25519(key.verifying_key().to_bytes());
        let peer_id = peer_id.map_err(|_| IdentityError::Halves)?;
        Ok(Self { secret: Secret::Ed25519(key), peer_id })
    }

    fn secp256k1(bytes: &[u8; 32]) -> Result<Self, IdentityError> {
        let refused = || IdentityError::Encoding(32);
        let key = k256::ecdsa::SigningKey::from_slice(bytes).map_err(|_| refused())?;
        let public = key.verifying_key().to_sec1_point(true);
        let public = public.as_bytes().try_into().map_err(|_| refused())?;
        let peer_id = PeerId::secp256k1(public).map_err(|_| refused())?;
        Ok(Self { secret: Secret::Secp256k1(key), peer_id })
    }

    /// Reads the text of an identity file, ours or that of cosmos/kms.
    ///
    /// # Errors
    /// [`IdentityError`]; nothing in it is secret.
    pub fn parse(text: &[u8]) -> Result<Self, IdentityError> {
        let File { priv_key: Typed { tag, value } } = serde_json::from_slice(text)
            .map_err(|error| IdentityError::Json { line: error.line(), column: error.column() })?;
        match tag {
            ED25519 => {
                let private = decode::<64>(value)?;
                let (seed, half) = private.split_at(32);
                let mut bytes = Zeroizing::new([0; 32]);
                bytes.copy_from_slice(seed);
                let identity = Self::from_seed(&bytes)?;
                match &identity.secret {
                    Secret::Ed25519(key) if key.verifying_key().as_bytes() == half => Ok(identity),
                    _ => Err(IdentityError::Halves),
                }
            }
            SECP256K1 => Self::secp256k1(&*decode::<32>(value)?),
            other => Err(IdentityError::Type(other.to_owned())),
        }
    }

    /// The text of its file.
    #[must_use]
    pub fn render(&self) -> Zeroizing<String> {
        let (tag, private) = match &self.secret {
            Secret::Ed25519(key) => (ED25519, Zeroizing::new(key.to_keypair_bytes().to_vec())),
            Secret::Secp256k1(key) => (SECP256K1, Zeroizing::new(key.to_bytes().to_vec())),
        };
        let mut text = Zeroizing::new(String::with_capacity(FILE_CAPACITY));
        text.push_str("{\"priv_key\":{\"type\":\"");
        text.push_str(tag);
        text.push_str("\",\"value\":\"");
        BASE64.encode_string(private.as_slice(), &mut text);
        text.push_str("\"}}\n");
        text
    }

    /// Who we are: what a validator pins in its `priv_validator_laddr`.
    #[must_use]
    pub const fn peer_id(&self) -> &PeerId {
        &self.peer_id
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
            Secret::Secp256k1(key) => {
                let signature: k256::ecdsa::Signature =
                    k256::ecdsa::signature::Signer::sign(key, message);
                signature.to_der().as_bytes().to_vec()
            }
        }
    }
}

fn decode<const N: usize>(text: &str) -> Result<Zeroizing<[u8; N]>, IdentityError> {
    let refused = || IdentityError::Encoding(N);
    if text.len() > DECODED_CAPACITY {
        return Err(refused());
    }
    let mut decoded = Zeroizing::new(Vec::with_capacity(DECODED_CAPACITY));
    BASE64.decode_vec(text, &mut decoded).map_err(|_| refused())?;
    let mut bytes = Zeroizing::new([0; N]);
    if decoded.len() != N {
        return Err(refused());
    }
    bytes.copy_from_slice(&decoded);
    Ok(bytes)
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("peer_id", &self.peer_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
