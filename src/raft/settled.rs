//! What the log replicates: a signature that has been given.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::privval::{CanonicalError, parse_sign_bytes};
use crate::types::{Algorithm, ChainId, ChainIdError, Hrs, KeyId, PublicKeyError, Signature};

/// Longest sign bytes of a vote or proposal that are replicated. Real ones have less than 256.
const MAX_SIGN_BYTES: usize = 1024;
/// Longest signature that is replicated, in bytes.
const MAX_SIGNATURE_BYTES: usize = 4096;

/// A signature and exactly what it covers. A hint to the other members: whoever uses it verifies it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "Wire", try_from = "Wire")]
pub struct Settled {
    /// The chain.
    pub chain: ChainId,
    /// The key that signed.
    pub key: KeyId,
    /// Canonical sign bytes of the vote or proposal.
    pub sign_bytes: Vec<u8>,
    /// The signature over them.
    pub signature: Signature,
}

/// Why an entry is not fit for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettledError {
    /// The sign bytes would not fit into a log record.
    #[error("sign bytes of {bytes} bytes are not replicated; at most {MAX_SIGN_BYTES} are")]
    SignBytesTooLong {
        /// Their length.
        bytes: usize,
    },
    /// The signature would not fit into a log record.
    #[error("a signature of {bytes} bytes is not replicated; at most {MAX_SIGNATURE_BYTES} are")]
    SignatureTooLong {
        /// Its length.
        bytes: usize,
    },
    /// The sign bytes are not canonical.
    #[error("not the sign bytes of a vote or proposal: {0}")]
    SignBytes(#[from] CanonicalError),
    /// The sign bytes are of another chain.
    #[error("sign bytes of chain {found} in an entry for chain {expected}")]
    Chain {
        /// Chain of the entry.
        expected: ChainId,
        /// Chain in the sign bytes.
        found: ChainId,
    },
    /// The chain id cannot be one.
    #[error(transparent)]
    ChainId(#[from] ChainIdError),
    /// The algorithm is unknown.
    #[error(transparent)]
    Algorithm(#[from] PublicKeyError),
    /// A field is no hexadecimal or base64.
    #[error("the field {0} of an entry is not encoded as it should be")]
    Encoding(&'static str),
}

impl Settled {
    /// Height, round and step, if the entry is one that members apply.
    ///
    /// # Errors
    /// [`SettledError`] says why they would ignore it.
    pub fn hrs(&self) -> Result<Hrs, SettledError> {
        self.check_lengths()?;
        let (chain, fields) = parse_sign_bytes(&self.sign_bytes)?;
        if chain != self.chain {
            return Err(SettledError::Chain { expected: self.chain.clone(), found: chain });
        }
        Ok(fields.hrs())
    }

    /// An entry that is too long for a record would stop Raft at every member that stores it, so it is
    /// refused wherever one is made or read.
    fn check_lengths(&self) -> Result<(), SettledError> {
        let bytes = self.sign_bytes.len();
        if bytes > MAX_SIGN_BYTES {
            return Err(SettledError::SignBytesTooLong { bytes });
        }
        let bytes = self.signature.as_bytes().len();
        if bytes > MAX_SIGNATURE_BYTES {
            return Err(SettledError::SignatureTooLong { bytes });
        }
        Ok(())
    }
}

/// The entry in JSON.
#[derive(Serialize, Deserialize)]
struct Wire {
    chain: String,
    key: String,
    bytes: String,
    algorithm: String,
    signature: String,
}

impl From<Settled> for Wire {
    fn from(settled: Settled) -> Self {
        Self {
            chain: settled.chain.as_str().to_owned(),
            key: hex::encode(settled.key.as_bytes()),
            bytes: BASE64.encode(&settled.sign_bytes),
            algorithm: settled.signature.algorithm().name().to_owned(),
            signature: BASE64.encode(settled.signature.as_bytes()),
        }
    }
}

impl TryFrom<Wire> for Settled {
    type Error = SettledError;

    fn try_from(wire: Wire) -> Result<Self, SettledError> {
        let mut key = [0; 32];
        hex::decode_to_slice(&wire.key, &mut key).map_err(|_| SettledError::Encoding("key"))?;
        let bytes =
            |text: &str, field| BASE64.decode(text).map_err(|_| SettledError::Encoding(field));
        let algorithm = Algorithm::from_name(&wire.algorithm)?;
        let settled = Self {
            chain: ChainId::new(wire.chain)?,
            key: KeyId::from_bytes(key),
            sign_bytes: bytes(&wire.bytes, "bytes")?,
            signature: Signature::new(algorithm, bytes(&wire.signature, "signature")?),
        };
        settled.check_lengths()?;
        Ok(settled)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::settled;
    use super::*;

    #[test]
    fn comes_back_from_its_record_as_it_was() {
        let entry = settled("chain-1", 7, 1);
        let record = serde_json::to_vec(&entry).unwrap();
        assert!(record.len() < 600, "{} bytes", record.len());
        assert_eq!(serde_json::from_slice::<Settled>(&record).unwrap(), entry);
    }

    #[test]
    fn the_longest_entry_fits_into_a_record_and_a_longer_one_is_not_read() {
        let mut entry = settled(&"c".repeat(50), 7, 1);
        entry.sign_bytes = vec![0; MAX_SIGN_BYTES];
        entry.signature = Signature::new(Algorithm::Ed25519, vec![0; MAX_SIGNATURE_BYTES]);
        let record = serde_json::to_vec(&entry).unwrap();
        assert!(record.len() + 200 < crate::store::MAX_VALUE_BYTES);
        serde_json::from_slice::<Settled>(&record).unwrap();
        entry.sign_bytes.push(0);
        let record = serde_json::to_vec(&entry).unwrap();
        assert!(serde_json::from_slice::<Settled>(&record).is_err());
    }

    #[test]
    fn has_no_place_in_order_unless_its_bytes_are_of_its_chain() {
        let entry = settled("chain-1", 7, 1);
        assert_eq!(entry.hrs().unwrap().height.get(), 7);
        let foreign = Settled { chain: ChainId::new("chain-2").unwrap(), ..entry.clone() };
        assert!(matches!(foreign.hrs(), Err(SettledError::Chain { .. })));
        let garbage = Settled { sign_bytes: vec![1, 2, 3], ..entry };
        assert!(matches!(garbage.hrs(), Err(SettledError::SignBytes(_))));
    }
}
