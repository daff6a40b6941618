//! CometBFT's `priv_validator_key.json` (`privval/file.go`, `FilePVKey`).
//!
//! CometBFT itself looks at `priv_key` only. Here everything in the file must agree, because a key
//! that is not the one on the chain would be noticed after the ceremony. No error shows a value.

use serde::Deserialize;
use zeroize::Zeroizing;

use super::bare::base64;
use super::ed25519::Ed25519Secret;
use super::ml_dsa::{self, MlDsaSecret};
use super::secret::{EcdsaSecret, Secret};
use crate::types::{Algorithm, PublicKey};

/// Before the type's own name. Releases differ for some algorithms, so either is taken.
const PREFIXES: [&str; 2] = ["tendermint/", "cometbft/"];
/// Seed, then public key.
const ED25519_BYTES: usize = 64;

/// A validator's Ed25519 key: the RFC 8032 seed, wiped when dropped, and the public key that follows
/// from it. What can be split.
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
    #[error(
        "its priv_key is of type {0:?}; keys that can be used are Ed25519, Secp256k1, Secp256k1eth and MlDsa65"
    )]
    Type(String),
    /// Two kinds in one file.
    #[error(
        "its priv_key is of type {private:?} and its pub_key of {public:?}: the file was put together from two"
    )]
    Types {
        /// Of the private key.
        private: String,
        /// Of the public key.
        public: String,
    },
    /// A whole key, where one to be split was wanted.
    #[error(
        "it holds a {0} key, and only Ed25519 keys can be split. Sign with the whole key instead: \
         `cosigner init --backend file --algorithm {0}`, with several --cosigner for a cluster around it"
    )]
    Unsplittable(Algorithm),
    /// Not base64, or cut.
    #[error("the value of its {field} is not {expected} bytes in base64: the file is damaged")]
    Encoding {
        /// `priv_key` or `pub_key`.
        field: &'static str,
        /// Length that was expected, in bytes.
        expected: usize,
    },
    /// Bytes that are no private key of their algorithm.
    #[error("the value of its priv_key is no {0} private key: the file is damaged")]
    Private(Algorithm),
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
    /// Reads the text of a key file with a key that can be split.
    ///
    /// # Errors
    /// [`KeyFileError`]; nothing in it is secret.
    pub fn parse(text: &[u8]) -> Result<Self, KeyFileError> {
        let (secret, public_key) = parse(text)?;
        let seed = secret.seed().ok_or(KeyFileError::Unsplittable(secret.algorithm()))?;
        Ok(Self { seed, public_key })
    }
}

/// Reads the text of a key file.
pub(super) fn parse(text: &[u8]) -> Result<(Secret, PublicKey), KeyFileError> {
    let raw: Raw<'_> = serde_json::from_slice(text)
        .map_err(|error| KeyFileError::Json { line: error.line(), column: error.column() })?;
    let (private, public) = (raw.priv_key.tag, raw.pub_key.tag);
    let algorithm =
        algorithm("PrivKey", private).ok_or_else(|| KeyFileError::Type(private.to_owned()))?;
    if self::algorithm("PubKey", public) != Some(algorithm) {
        let (private, public) = (private.to_owned(), public.to_owned());
        return Err(KeyFileError::Types { private, public });
    }
    let secret = secret(algorithm, raw.priv_key.value)?;
    let derived = secret.public_key().ok_or(KeyFileError::Private(algorithm))?;
    if public_key(algorithm, raw.pub_key.value)? != derived {
        return Err(KeyFileError::PublicKey);
    }
    let expected = hex::encode_upper(derived.address());
    match raw.address {
        Some(found) if !found.is_empty() && !found.eq_ignore_ascii_case(&expected) => {
            Err(KeyFileError::Address { found: found.to_owned(), expected })
        }
        _ => Ok((secret, derived)),
    }
}

/// `tendermint/PrivKeyEd25519` and its like; `kind` is the word before the algorithm.
fn algorithm(kind: &str, tag: &str) -> Option<Algorithm> {
    let name = PREFIXES.iter().find_map(|prefix| tag.strip_prefix(prefix))?.strip_prefix(kind)?;
    Algorithm::ALL.into_iter().find(|algorithm| type_name(*algorithm) == name)
}

/// The end of CometBFT's name of the type.
const fn type_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::Secp256k1 => "Secp256k1",
        Algorithm::Secp256k1Eth => "Secp256k1eth",
        Algorithm::MlDsa65 => "MlDsa65",
    }
}

fn secret(algorithm: Algorithm, value: &str) -> Result<Secret, KeyFileError> {
    let expected = match algorithm {
        Algorithm::Ed25519 => ED25519_BYTES,
        Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => 32,
        Algorithm::MlDsa65 => ml_dsa::PACKED_BYTES,
    };
    let refused = KeyFileError::Encoding { field: "priv_key", expected };
    let bytes = base64(value.as_bytes(), expected).ok_or(refused)?;
    let secret = match algorithm {
        Algorithm::Ed25519 => return ed25519(&bytes).map(Secret::Ed25519),
        Algorithm::Secp256k1 => EcdsaSecret::new(&bytes).map(Secret::Secp256k1),
        Algorithm::Secp256k1Eth => EcdsaSecret::new(&bytes).map(Secret::Secp256k1Eth),
        Algorithm::MlDsa65 => {
            MlDsaSecret::from_packed(&bytes).map(|secret| Secret::MlDsa65(Box::new(secret)))
        }
    };
    secret.ok_or(KeyFileError::Private(algorithm))
}

fn ed25519(bytes: &[u8]) -> Result<Ed25519Secret, KeyFileError> {
    let (seed, half) = bytes.split_first_chunk::<32>().ok_or(KeyFileError::Halves)?;
    let secret = Ed25519Secret::from_seed(seed);
    if secret.public_key().as_bytes() == half { Ok(secret) } else { Err(KeyFileError::Halves) }
}

fn public_key(algorithm: Algorithm, value: &str) -> Result<PublicKey, KeyFileError> {
    let expected = algorithm.public_key_bytes();
    // v2 writes both coordinates of a secp256k1eth key.
    let lengths = [expected, 65];
    let bytes = lengths.into_iter().find_map(|length| base64(value.as_bytes(), length));
    let key = bytes.and_then(|bytes| PublicKey::from_encoding(algorithm, &bytes).ok());
    key.ok_or(KeyFileError::Encoding { field: "pub_key", expected })
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD as BASE64;
    use ed25519_dalek::SigningKey;

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
        for found in ["cometbft/PrivKeyBls12_381", "PrivKeyEd25519", "tendermint/PubKeyEd25519"] {
            let text = file().replace("tendermint/PrivKeyEd25519", found);
            let refused = refusal(&text);
            assert!(matches!(refused, KeyFileError::Type(_)));
            assert!(refused.to_string().contains(found), "{refused}");
        }
        let text = file().replace("tendermint/PubKeyEd25519", "tendermint/PubKeySecp256k1");
        assert!(matches!(refusal(&text), KeyFileError::Types { .. }));
    }

    #[test]
    fn a_key_that_cannot_be_split_says_what_can_be_done_with_it() {
        use crate::backend::tests_support::comet_key_file;
        for algorithm in Algorithm::ALL {
            let (text, public_key) = comet_key_file(algorithm, 7);
            let found = KeyFile::parse(text.as_bytes());
            if algorithm == Algorithm::Ed25519 {
                assert_eq!(found.unwrap().public_key, public_key);
                continue;
            }
            let refused = found.err().unwrap();
            assert_eq!(refused, KeyFileError::Unsplittable(algorithm));
            let text = refused.to_string();
            let command = format!("--backend file --algorithm {algorithm}");
            assert!(text.contains("only Ed25519") && text.contains(&command), "{text}");
        }
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
