//! Raw bytes that a consensus key may sign, because they can be no vote, proposal or extension.

use prost::Message as _;
use prost::bytes::Bytes;
use prost::encoding::decode_varint;

use super::dialect::{Dialect, RawBytes};
use super::proto;
use super::wire::{delimited, put_bytes};
use crate::types::ChainId;

/// In front of everything that Celestia signs raw (`types/signable.go` there).
const CELESTIA_PREFIX: &[u8] = b"COMET::RAW_BYTES::SIGN";

/// Longest raw message, in bytes.
pub const MAX_RAW_BYTES: usize = 1024 * 1024;

/// A request to sign raw bytes, as a validator makes it and cosigners exchange it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawMessage {
    /// `SignBytesRequest` of v1 and v2: these bytes.
    Plain(Vec<u8>),
    /// Celestia's `SignRawBytesRequest`; the chain is the connection's.
    Celestia {
        /// What the application wants signed.
        raw_bytes: Vec<u8>,
        /// What for.
        unique_id: String,
    },
}

/// Receipt: these bytes may be signed raw on their chain. They decode, however leniently, as nothing
/// that consensus signs on any chain, so a signature over them is worth nothing as a vote (DESIGN §8).
///
/// ```compile_fail
/// let forged = cosigner::privval::RawAllowed(Vec::new());
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct RawAllowed(Bytes);

/// Why raw bytes are not signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RawRefused {
    /// The chain does not want it.
    #[error(
        "raw bytes are not signed: they could be those of a conflicting vote \
         (raw_bytes = \"{configured}\" for this chain)"
    )]
    Off {
        /// What the chain's settings say.
        configured: RawBytes,
    },
    /// It could be a vote, a proposal or an extension.
    #[error("these bytes decode as a canonical {0}: they are never signed as raw bytes")]
    Consensus(&'static str),
    /// Too much of it.
    #[error("{found} raw bytes, at most {MAX_RAW_BYTES} are signed")]
    TooLong {
        /// Length found, in bytes.
        found: usize,
    },
    /// The chain does not want v2's extensions without replay protection.
    #[error(
        "vote extensions without replay protection (CometBFT v2) are not signed for this chain: \
         they need privval_version = \"v2\" and non_rp_extensions = true"
    )]
    NonRpExtensions,
}

impl RawAllowed {
    /// Builds what is to be signed and lets it pass if it can be nothing else.
    ///
    /// # Errors
    /// [`RawRefused`].
    pub fn new(
        chain: &ChainId,
        dialect: &Dialect,
        message: &RawMessage,
    ) -> Result<Self, RawRefused> {
        match (message, dialect.raw_bytes) {
            (RawMessage::Plain(bytes), RawBytes::SignBytes) => Self::checked(bytes.clone()),
            (RawMessage::Celestia { raw_bytes, unique_id }, RawBytes::Celestia) => {
                check(raw_bytes)?;
                let mut request = Vec::with_capacity(raw_bytes.len().saturating_add(128));
                put_bytes(&mut request, 1, chain.as_str().as_bytes());
                put_bytes(&mut request, 2, raw_bytes);
                put_bytes(&mut request, 3, unique_id.as_bytes());
                Self::checked([CELESTIA_PREFIX, &delimited(&request)].concat())
            }
            (_, configured) => Err(RawRefused::Off { configured }),
        }
    }

    /// An extension of v2 without replay protection: the application's bytes as they are.
    ///
    /// Empty ones pass, and have to: v2 wants their signature, too. It is worth nothing elsewhere: whatever
    /// consensus signs begins with its length, so that none of it is the empty string.
    ///
    /// # Errors
    /// [`RawRefused`].
    pub fn non_rp_extension(dialect: &Dialect, bytes: &Bytes) -> Result<Self, RawRefused> {
        match dialect.non_rp_extensions {
            true => Self::checked(bytes.clone()),
            false => Err(RawRefused::NonRpExtensions),
        }
    }

    fn checked(bytes: impl Into<Bytes>) -> Result<Self, RawRefused> {
        let bytes = bytes.into();
        check(&bytes)?;
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Refuses everything that any decoder of CometBFT's canonical messages could take for one: unknown
/// fields, doubled fields, fields out of order and numbers in long forms are all let through by the
/// decoders used here.
fn check(bytes: &[u8]) -> Result<(), RawRefused> {
    if bytes.len() > MAX_RAW_BYTES {
        return Err(RawRefused::TooLong { found: bytes.len() });
    }
    let mut body = bytes;
    let delimited = decode_varint(&mut body).is_ok_and(|length| length == body.len() as u64);
    if !delimited {
        return Ok(());
    }
    if proto::CanonicalVote::decode(body).is_ok() {
        return Err(RawRefused::Consensus("vote"));
    }
    if proto::CanonicalProposal::decode(body).is_ok() {
        return Err(RawRefused::Consensus("proposal"));
    }
    if proto::CanonicalVoteExtension::decode(body).is_ok() {
        return Err(RawRefused::Consensus("vote extension"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::privval::{BlockId, Fields, Proposal, Vote, VoteKind};
    use crate::privval::{extension_sign_bytes, sign_bytes};
    use crate::types::{Height, Round, Timestamp};

    const V1: Dialect = Dialect {
        version: super::super::Version::V1,
        non_rp_extensions: false,
        raw_bytes: RawBytes::SignBytes,
    };
    const CELESTIA: Dialect = Dialect { raw_bytes: RawBytes::Celestia, ..V1 };

    fn chain() -> ChainId {
        ChainId::new("test-chain-1").unwrap()
    }

    fn plain(bytes: &[u8]) -> Result<RawAllowed, RawRefused> {
        RawAllowed::new(&chain(), &V1, &RawMessage::Plain(bytes.to_vec()))
    }

    #[test]
    fn refuses_each_form_that_the_chain_has_not_turned_on() {
        let message = RawMessage::Plain(b"hello, world".to_vec());
        let off = RawAllowed::new(&chain(), &Dialect::default(), &message);
        assert_eq!(off, Err(RawRefused::Off { configured: RawBytes::Off }));
        let other = RawAllowed::new(&chain(), &CELESTIA, &message);
        assert_eq!(other, Err(RawRefused::Off { configured: RawBytes::Celestia }));
        assert_eq!(plain(b"hello, world").unwrap().as_bytes(), b"hello, world");
        let refused = RawAllowed::non_rp_extension(&V1, &Bytes::from("hello, world"));
        assert_eq!(refused, Err(RawRefused::NonRpExtensions));
    }

    #[test]
    fn an_empty_extension_without_replay_protection_is_allowed_and_nothing_that_consensus_signs() {
        let v2 = Dialect { non_rp_extensions: true, ..V1 };
        let allowed = RawAllowed::non_rp_extension(&v2, &Bytes::new()).unwrap();
        assert_eq!(allowed.as_bytes(), b"");
        // The shortest that consensus could sign is one byte: the length of nothing.
        let refused = RawAllowed::non_rp_extension(&v2, &Bytes::from_static(&[0]));
        assert_eq!(refused, Err(RawRefused::Consensus("vote")));
    }

    #[test]
    fn builds_celestias_bytes_itself() {
        let (raw_bytes, unique_id) = (b"data".to_vec(), "job".to_owned());
        let message = RawMessage::Celestia { raw_bytes, unique_id };
        let allowed = RawAllowed::new(&chain(), &CELESTIA, &message).unwrap();
        let expected = b"COMET::RAW_BYTES::SIGN\x19\x0a\x0ctest-chain-1\x12\x04data\x1a\x03job";
        assert_eq!(allowed.as_bytes(), expected);
    }

    #[test]
    fn refuses_a_vote_also_with_foreign_fields_and_long_numbers() {
        // type 1 as a two-byte varint, then field 15 that nobody knows.
        assert_eq!(plain(&[5, 8, 0x81, 0, 0x78, 1]), Err(RawRefused::Consensus("vote")));
        assert_eq!(plain(&[0]), Err(RawRefused::Consensus("vote")));
    }

    fn fields() -> impl Strategy<Value = Fields> {
        let hash = proptest::option::of(any::<[u8; 32]>());
        let block = (hash.clone(), any::<u32>(), hash)
            .prop_map(|(hash, total, parts)| BlockId::new(hash, total, parts));
        let times = (-62_135_596_800_i64..253_402_300_800, 0..1_000_000_000);
        let kind = 0..3_u8;
        (kind, 0..i64::MAX, 0..i32::MAX, -1..i32::MAX, block, times).prop_map(
            |(kind, height, round, pol_round, block_id, (seconds, nanos))| {
                let (height, round) = (Height::new(height).unwrap(), Round::new(round).unwrap());
                let timestamp = Timestamp::new(seconds, nanos).unwrap();
                let vote =
                    |kind| Vote { kind, height, round, block_id: block_id.clone(), timestamp };
                match kind {
                    0 => Fields::Vote(vote(VoteKind::Prevote)),
                    1 => Fields::Vote(vote(VoteKind::Precommit)),
                    _ => {
                        let block_id = block_id.clone();
                        Fields::Proposal(Proposal { height, round, pol_round, block_id, timestamp })
                    }
                }
            },
        )
    }

    proptest! {
        #[test]
        fn never_lets_a_vote_a_proposal_or_an_extension_of_any_chain_pass(
            fields in fields(),
            chain in "[a-z]{1,20}-[0-9]",
            extension in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let chain = ChainId::new(chain).unwrap();
            prop_assert!(plain(&sign_bytes(&chain, &fields)).is_err());
            let hrs = fields.hrs();
            let extension = extension_sign_bytes(&chain, hrs.height, hrs.round, &extension);
            prop_assert!(plain(&extension).is_err());
            let message = RawMessage::Celestia { raw_bytes: extension, unique_id: "x".into() };
            prop_assert!(RawAllowed::new(&chain, &CELESTIA, &message).is_err());
        }
    }
}
