//! CometBFT's `priv_validator_key.json` (`privval/file.go`, `FilePVKey`).
//!
//! CometBFT itself looks at `priv_key` only. Here everything in the file must agree, because a key
//! that is not the one on the chain would be noticed after the ceremony. No error shows a value.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::SigningKey;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::types::PublicKey;

const PRIVATE_TYPE: &str = "tendermint/PrivKeyEd25519";
const PUBLIC_TYPE: &str = "tendermint/PubKeyEd25519";
/// Seed, then public key.
const PRIVATE_BYTES: usize = 64;
/// Room for any text that decodes to a private key, so that decoding never moves the buffer.
const DECODED_CAPACITY: usize = 128;

/// A validator's key: the RFC 8032 seed, wiped when dropped, and the public key that follows from it.
pub struct KeyFile {
    /// The seed.
    pub seed: Zeroizing<[u8; 32]>,
    /// The public key.
    pub public_key: PublicKey,
}

/// Why a key file was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    /// Not the file that CometBFT writes. Without serde's words, which quote what they found.
    #[error(
        "not a priv_validator_key.json (line {line}, column {column}); take the file as CometBFT wrote it"
    )]
    Json {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// A key of another kind.
    #[error("its {field} is of type {found:?}; only Ed25519 keys ({expected:?}) can be used")]
    Type {
        /// `priv_key` or `pub_key`.
        field: &'static str,
        /// Type found.
        found: String,
        /// The only one that will do.
        expected: &'static str,
    },
    /// Not base64, or cut.
    #[error("the value of its {field} is not {expected} bytes in base64: the file is damaged")]
    Encoding {
        /// `priv_key` or `pub_key`.
        field: &'static str,
        /// Length that was expected, in bytes.
        expected: usize,
    },
    /// The second half of the private key is not the public key of the first.
    #[error("the two halves of its priv_key do not belong together: the file is damaged")]
    Halves,
    /// `pub_key` is another key.
    #[error(
        "its pub_key is not the public key of its priv_key: the file was put together from two"
    )]
    PublicKey,
    /// `address` is another key's.
    #[error(
        "its address {found} is not that of its key, {expected}: the file was put together from two"
    )]
    Address {
        /// In the file.
        found: String,
        /// Of the key.
        expected: String,
    },
}

#[derive(Deserialize)]
struct Raw<'f> {
    address: Option<&'f str>,
    #[serde(borrow)]
    pub_key: Typed<'f>,
    priv_key: Typed<'f>,
}

/// Borrowed, so that the secret stays in the one buffer that is wiped.
#[derive(Deserialize)]
struct Typed<'f> {
    #[serde(rename = "type")]
    tag: &'f str,
    value: &'f str,
}

impl KeyFile {
    /// Reads the text of a key file.
    ///
    /// # Errors
    /// [`KeyFileError`]; nothing in it is secret.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let raw: Raw<'_> = serde_json::from_slice(text)
            .map_err(|error| KeyFileError::Json { line: error.line(), column: error.column() })?;
        check_type("priv_key", raw.priv_key.tag, PRIVATE_TYPE)?;
        check_type("pub_key", raw.pub_key.tag, PUBLIC_TYPE)?;
        let private = decode::<PRIVATE_BYTES>("priv_key", raw.priv_key.value)?;
        let (seed, half) = private.split_at(32);
        let mut key =
            Self { seed: Zeroizing::new([0; 32]), public_key: PublicKey::ed25519([0; 32]) };
        key.seed.copy_from_slice(seed);
        // Wiped when dropped (ed25519-dalek, feature `zeroize`).
        let derived = SigningKey::from_bytes(&key.seed).verifying_key().to_bytes();
        if derived != half {
            return Err(KeyFileError::Halves);
        }
        if *decode::<32>("pub_key", raw.pub_key.value)? != derived {
            return Err(KeyFileError::PublicKey);
        }
        key.public_key = PublicKey::ed25519(derived);
        let expected = hex::encode_upper(key.public_key.address());
        match raw.address {
            Some(found) if !found.is_empty() && !found.eq_ignore_ascii_case(&expected) => {
                Err(KeyFileError::Address { found: found.to_owned(), expected })
            }
            _ => Ok(key),
        }
    }
}

fn check_type(
    field: &'static str,
    found: &str,
    expected: &'static str,
) -> Result<(), KeyFileError> {
    if found == expected {
        return Ok(());
    }
    Err(KeyFileError::Type { field, found: found.to_owned(), expected })
}

fn decode<const N: usize>(
    field: &'static str,
    text: &str,
) -> Result<Zeroizing<[u8; N]>, KeyFileError> {
    let refused = || KeyFileError::Encoding { field, expected: N };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seed() -> [u8; 32] {
        std::array::from_fn(|index| index as u8)
    }

    fn file() -> String {
        let public = SigningKey::from_bytes(&seed()).verifying_key().to_bytes();
        let private = BASE64.encode([seed(), public].concat());
        let public = BASE64.encode(public);
        format!(
            "{{\n  \"address\": \"56475AA75463474C0285DF5DBF2BCAB73DA65135\",\n  \
             \"pub_key\": {{\"type\": \"tendermint/PubKeyEd25519\", \"value\": \"{public}\"}},\n  \
             \"priv_key\": {{\"type\": \"tendermint/PrivKeyEd25519\", \"value\": \"{private}\"}}\n}}\n"
        )
    }

    fn refusal(text: &str) -> KeyFileError {
        KeyFile::parse(text.as_bytes()).err().unwrap()
    }

    #[test]
    fn reads_what_cometbft_writes() {
        let key = KeyFile::parse(file().as_bytes()).unwrap();
        assert_eq!(*key.seed, seed());
        assert_eq!(hex::encode(&key.public_key.as_bytes()[..4]), "03a107bf");
        let bare = file().replace("56475AA75463474C0285DF5DBF2BCAB73DA65135", "");
        assert!(KeyFile::parse(bare.as_bytes()).is_ok());
    }

    #[test]
    fn refuses_keys_of_other_kinds_by_their_name() {
        for found in ["tendermint/PrivKeySecp256k1", "cometbft/PrivKeyBls12_381"] {
            let text = file().replace("tendermint/PrivKeyEd25519", found);
            let expected = PRIVATE_TYPE;
            let refused = KeyFileError::Type { field: "priv_key", found: found.into(), expected };
            assert_eq!(refusal(&text), refused);
            assert!(refused.to_string().contains(found));
        }
        let text = file().replace(PUBLIC_TYPE, "tendermint/PubKeySecp256k1");
        assert!(matches!(refusal(&text), KeyFileError::Type { field: "pub_key", .. }));
    }

    #[test]
    fn refuses_whatever_does_not_belong_together() {
        let public = SigningKey::from_bytes(&seed()).verifying_key().to_bytes();
        let private = BASE64.encode([seed(), public].concat());
        let with = |bytes: &[u8]| file().replace(&private, &BASE64.encode(bytes));
        let mut halves = [seed(), public].concat();
        halves[63] ^= 1;
        assert_eq!(refusal(&with(&halves)), KeyFileError::Halves);
        let short = KeyFileError::Encoding { field: "priv_key", expected: 64 };
        assert_eq!(refusal(&with(&seed())), short);
        assert_eq!(refusal(&file().replace(&private, "!")), short);
        let other = file().replace(&BASE64.encode(public), &BASE64.encode([5; 32]));
        assert_eq!(refusal(&other), KeyFileError::PublicKey);
        let address = file().replace("56475AA7", "56475AA8");
        assert!(matches!(refusal(&address), KeyFileError::Address { .. }));
    }

    #[test]
    fn shows_where_it_stopped_and_never_a_value() {
        let text =
            "{\n\"pub_key\": {\"type\":\"a\",\"value\":\"b\"},\n\"priv_key\": \"c2VjcmV0\"\n}";
        let refused = refusal(text);
        assert!(matches!(refused, KeyFileError::Json { line: 3, .. }), "{refused:?}");
        assert!(!refused.to_string().contains("c2VjcmV0"));
    }
}
