//! A secp256k1 key in a file, for the gRPC service.
//!
//! What the file is, its content says: JSON of CometBFT's form, or 32 bytes in hexadecimal (cosmos/kms)
//! or base64 (tmkms). Nonces are those of RFC 6979: the same digest gives the same signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use k256::ecdsa::SigningKey;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{FileKeyError, MAX_BYTES, secret_file};
use crate::backend::{FileSource, Granted, KeyFault, ServiceMessage, Signatures, ToSign, WholeKey};
use crate::types::{Algorithm, PublicKey, Signature};

const SECRET_BYTES: usize = 32;
/// Room for any text that decodes to a key, so that decoding never moves the buffer.
const DECODED_CAPACITY: usize = 128;

/// A key in memory; wiped when dropped (k256).
pub(in crate::backend) struct EcdsaFileKey {
    secret: SigningKey,
    public_key: PublicKey,
}

/// Why a file holds no secp256k1 key. No value of it is in here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EcdsaKeyError {
    /// Neither JSON, hexadecimal nor base64.
    #[error(
        "neither a key file in JSON nor 32 bytes in hexadecimal or base64, so no {0} key; \
         take the file as CometBFT, cosmos/kms or tmkms wrote it"
    )]
    Encoding(Algorithm),
    /// JSON of another kind of key.
    #[error("its {field} is of type {found:?}; wanted is a key of {wanted}")]
    Type {
        /// `priv_key` or `pub_key`.
        field: &'static str,
        /// Type found.
        found: String,
        /// Algorithm of the settings.
        wanted: Algorithm,
    },
    /// Zero, or not below the order of the curve.
    #[error("its 32 bytes are no private key of secp256k1: the file is damaged")]
    Scalar,
    /// `pub_key` is another key.
    #[error(
        "its pub_key is not the public key of its priv_key: the file was put together from two"
    )]
    PublicKey,
}

/// Borrowed, so that the secret stays in the one buffer that is wiped.
#[derive(Deserialize)]
struct Raw<'f> {
    #[serde(borrow)]
    pub_key: Option<Typed<'f>>,
    priv_key: Typed<'f>,
}

#[derive(Deserialize)]
struct Typed<'f> {
    #[serde(rename = "type")]
    tag: &'f str,
    value: &'f str,
}

impl EcdsaFileKey {
    /// Reads a key of secp256k1 or secp256k1eth.
    pub(in crate::backend) fn open(
        source: &FileSource,
        algorithm: Algorithm,
        expected: Option<&PublicKey>,
    ) -> Result<Self, FileKeyError> {
        let path = || source.path.clone();
        let text = secret_file::read(&source.path, "key file", MAX_BYTES)?;
        let failed = |source| FileKeyError::Ecdsa { path: path(), source };
        let secret = parse(&text, algorithm).map_err(failed)?;
        let point = secret.verifying_key().to_sec1_point(true);
        let found = PublicKey::new(algorithm, point.as_bytes());
        let found = found.map_err(|_| failed(EcdsaKeyError::Scalar))?;
        match expected {
            Some(expected) if *expected != found => {
                Err(FileKeyError::WrongKey { path: path(), expected: expected.clone(), found })
            }
            _ => Ok(Self { secret, public_key: found }),
        }
    }
}

impl WholeKey for EcdsaFileKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&mut self, _granted: Granted) -> Result<Signatures, KeyFault> {
        Err(KeyFault::Unfit("it is offered over gRPC, and signs for no chain".to_owned()))
    }

    fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
        let ToSign::Digest(digest) = message.to_sign(&self.public_key)? else {
            return Err(KeyFault::Unfit("it signs digests".to_owned()));
        };
        let (made, v) = self.secret.sign_prehash_recoverable(&digest);
        let mut bytes = made.to_bytes().to_vec();
        let algorithm = self.public_key.algorithm();
        if algorithm == Algorithm::Secp256k1Eth {
            bytes.push(v.to_byte());
        }
        Ok(Signature::new(algorithm, bytes))
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        Ok(())
    }
}

fn parse(text: &[u8], algorithm: Algorithm) -> Result<SigningKey, EcdsaKeyError> {
    let text = text.trim_ascii();
    if !text.starts_with(b"{") {
        let bytes = hexadecimal(text).or_else(|| base64(text));
        return scalar(&bytes.ok_or(EcdsaKeyError::Encoding(algorithm))?);
    }
    // Without serde's words, which quote what they found.
    let raw: Raw<'_> =
        serde_json::from_slice(text).map_err(|_| EcdsaKeyError::Encoding(algorithm))?;
    check_type("priv_key", raw.priv_key.tag, "PrivKey", algorithm)?;
    let bytes = base64(raw.priv_key.value.as_bytes());
    let key = scalar(&bytes.ok_or(EcdsaKeyError::Encoding(algorithm))?)?;
    if let Some(public) = raw.pub_key {
        check_type("pub_key", public.tag, "PubKey", algorithm)?;
        let found = BASE64.decode(public.value).map_err(|_| EcdsaKeyError::PublicKey)?;
        // 33 bytes, or the 65 of CometBFT v2.
        let found = k256::ecdsa::VerifyingKey::from_sec1_bytes(&found);
        if found.ok().as_ref() != Some(key.verifying_key()) {
            return Err(EcdsaKeyError::PublicKey);
        }
    }
    Ok(key)
}

/// CometBFT v0.40 says `tendermint/` of both algorithms, v2 `cometbft/` of secp256k1eth.
fn check_type(
    field: &'static str,
    found: &str,
    half: &str,
    wanted: Algorithm,
) -> Result<(), EcdsaKeyError> {
    let name = match wanted {
        Algorithm::Secp256k1Eth => "Secp256k1eth",
        _ => "Secp256k1",
    };
    let of = |prefix: &str| found == format!("{prefix}/{half}{name}");
    if of("tendermint") || (of("cometbft") && wanted == Algorithm::Secp256k1Eth) {
        return Ok(());
    }
    Err(EcdsaKeyError::Type { field, found: found.to_owned(), wanted })
}

type Secret = Zeroizing<[u8; SECRET_BYTES]>;

fn hexadecimal(text: &[u8]) -> Option<Secret> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    hex::decode_to_slice(digits, bytes.as_mut_slice()).ok()?;
    Some(bytes)
}

fn base64(text: &[u8]) -> Option<Secret> {
    if text.len() > DECODED_CAPACITY {
        return None;
    }
    let mut decoded = Zeroizing::new(Vec::with_capacity(DECODED_CAPACITY));
    BASE64.decode_vec(text, &mut decoded).ok()?;
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    if decoded.len() != SECRET_BYTES {
        return None;
    }
    bytes.copy_from_slice(&decoded);
    Some(bytes)
}

fn scalar(bytes: &Secret) -> Result<SigningKey, EcdsaKeyError> {
    SigningKey::from_slice(bytes.as_slice()).map_err(|_| EcdsaKeyError::Scalar)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ETH: Algorithm = Algorithm::Secp256k1Eth;

    fn json(prefix: &str, name: &str) -> String {
        let key = SigningKey::from_slice(&[7; 32]).unwrap();
        let public = BASE64.encode(key.verifying_key().to_sec1_point(true).as_bytes());
        let private = BASE64.encode([7; 32]);
        format!(
            r#"{{"address": "", "pub_key": {{"type": "{prefix}/PubKey{name}", "value": "{public}"}},
             "priv_key": {{"type": "{prefix}/PrivKey{name}", "value": "{private}"}}}}"#
        )
    }

    fn refused(text: &str, algorithm: Algorithm) -> EcdsaKeyError {
        parse(text.as_bytes(), algorithm).err().unwrap()
    }

    #[test]
    fn reads_every_form_that_there_is() {
        let expected = SigningKey::from_slice(&[7; 32]).unwrap();
        let hexadecimal = "07".repeat(32);
        for text in [
            format!("{hexadecimal}\n"),
            format!("0x{hexadecimal}"),
            BASE64.encode([7; 32]),
            json("tendermint", "Secp256k1eth"),
            json("cometbft", "Secp256k1eth"),
        ] {
            assert!(parse(text.as_bytes(), ETH).unwrap() == expected, "{text}");
        }
        let plain = json("tendermint", "Secp256k1");
        assert!(parse(plain.as_bytes(), Algorithm::Secp256k1).unwrap() == expected);
    }

    #[test]
    fn refuses_other_kinds_damage_and_halves_of_two_keys_without_showing_a_value() {
        let plain = json("tendermint", "Secp256k1");
        assert!(matches!(refused(&plain, ETH), EcdsaKeyError::Type { field: "priv_key", .. }));
        let eth = json("cometbft", "Secp256k1eth");
        assert!(matches!(refused(&eth, Algorithm::Secp256k1), EcdsaKeyError::Type { .. }));
        assert_eq!(refused("c2VjcmV0", ETH), EcdsaKeyError::Encoding(ETH));
        assert_eq!(refused(&"00".repeat(32), ETH), EcdsaKeyError::Scalar);
        assert_eq!(refused(&"ff".repeat(32), ETH), EcdsaKeyError::Scalar);
        let other = eth.replace(&BASE64.encode([7; 32]), &BASE64.encode([8; 32]));
        assert_eq!(refused(&other, ETH), EcdsaKeyError::PublicKey);
        let broken = refused("{\"priv_key\": \"c2VjcmV0\"}", ETH).to_string();
        assert!(!broken.contains("c2VjcmV0"), "{broken}");
    }
}
