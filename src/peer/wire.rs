//! Checked values to protobuf and back. What is refused here never reaches another room.
//!
//! Both directions apply the same limits, so that an honest member cannot send what another refuses.
//! A block, a height or a round that a validator made up is not judged here: whatever
//! [`crate::privval`] lets in must travel, or one odd request would tear a link down.

mod decode;
mod encode;
mod extension;
mod fields;
mod raw;
mod verdict;

use prost::Message as _;

use super::message::{Hello, Message};
use crate::types::{ChainIdError, HrsError, MemberIdError, TimestampError};

pub(super) use pb::peer_client::PeerClient;
pub(super) use pb::peer_server::{Peer, PeerServer};
pub(super) use pb::{Envelope, RaftCall, RaftReply};

/// Generated from `proto/peer.proto`; its documentation is there.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod pb {
    tonic::include_proto!("cosigner.peer.v1");
}

/// Longest message between members, in encoded bytes: two vote extensions of the greatest length, and
/// far more than everything else of an order.
pub const MAX_MESSAGE_BYTES: usize = 4 << 20;
/// Most signing sets over one thing in one order.
pub const MAX_SETS: usize = 16;
/// Most commitments in one message.
pub const MAX_COMMITMENTS: usize = 256;
/// Most signers in one set: a cluster has no more members.
const MAX_SIGNERS: usize = 15;
/// Longest signature, in bytes: none that a validator accepts comes near.
const MAX_SIGNATURE_BYTES: usize = 4096;
/// Longest name of a software version, in bytes.
const MAX_SOFTWARE_BYTES: usize = 64;
/// Longest reason of a failure, in bytes.
const MAX_REASON_BYTES: usize = 1024;

/// Why a message was not sent, or why a received one was refused and its link closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field without which the message means nothing is absent.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// Bytes of fixed length have another.
    #[error("{field} has {found} bytes, not {expected}")]
    Length {
        /// The field.
        field: &'static str,
        /// Bytes it must have.
        expected: usize,
        /// Bytes it has.
        found: usize,
    },
    /// A list or text is longer than any honest member's.
    #[error("{field} has {found} entries or bytes, at most {limit} are allowed")]
    TooMany {
        /// The field.
        field: &'static str,
        /// Most that is allowed.
        limit: usize,
        /// What was found.
        found: usize,
    },
    /// A list that must hold something holds nothing.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// An entry comes twice.
    #[error("{field} names {id} twice")]
    Duplicate {
        /// The list.
        field: &'static str,
        /// The entry.
        id: u32,
    },
    /// A number that stands for nothing.
    #[error("{field} has the unknown value {value}")]
    UnknownValue {
        /// The field.
        field: &'static str,
        /// What was found.
        value: i32,
    },
    /// A text that would garble logs.
    #[error("{0} holds a control character")]
    ControlCharacter(&'static str),
    /// A hello where none belongs, or none where one does.
    #[error("hello must be the first message of a stream and only the first")]
    Hello,
    /// The whole message is too long.
    #[error("the message has {found} bytes, at most {MAX_MESSAGE_BYTES} are allowed")]
    TooLong {
        /// Encoded length in bytes.
        found: usize,
    },
    /// No CometBFT chain has such an id.
    #[error(transparent)]
    Chain(#[from] ChainIdError),
    /// A height, round or step that cannot be.
    #[error(transparent)]
    Hrs(#[from] HrsError),
    /// A member that cannot be.
    #[error(transparent)]
    Member(#[from] MemberIdError),
    /// A time that Go cannot hold.
    #[error(transparent)]
    Timestamp(#[from] TimestampError),
}

/// A message as it goes to tonic, with its encoded length in bytes.
pub(super) fn encode(message: Message) -> Result<(Envelope, usize), WireError> {
    let envelope = Envelope { body: Some(encode::body(message)?) };
    let found = envelope.encoded_len();
    if found > MAX_MESSAGE_BYTES {
        return Err(WireError::TooLong { found });
    }
    Ok((envelope, found))
}

/// The first message of a stream.
pub(super) fn encode_hello(hello: &Hello) -> Envelope {
    Envelope { body: Some(pb::envelope::Body::Hello(encode::hello(hello))) }
}

/// Any message but the first.
pub(super) fn decode(envelope: Envelope) -> Result<Message, WireError> {
    decode::message(envelope.body.ok_or(WireError::Missing("body"))?)
}

/// The protocol of a stream's first message; read before anything else of it is judged.
pub(super) fn hello_protocol(envelope: &Envelope) -> Result<u32, WireError> {
    match &envelope.body {
        Some(pb::envelope::Body::Hello(hello)) => Ok(hello.protocol),
        _ => Err(WireError::Hello),
    }
}

/// The first message of a stream, of our own protocol.
pub(super) fn decode_hello(envelope: Envelope) -> Result<Hello, WireError> {
    match envelope.body {
        Some(pb::envelope::Body::Hello(hello)) => decode::hello(hello),
        _ => Err(WireError::Hello),
    }
}

fn at_most(field: &'static str, limit: usize, found: usize) -> Result<(), WireError> {
    if found > limit { Err(WireError::TooMany { field, limit, found }) } else { Ok(()) }
}

fn array<const N: usize>(field: &'static str, bytes: &[u8]) -> Result<[u8; N], WireError> {
    bytes.try_into().map_err(|_| WireError::Length { field, expected: N, found: bytes.len() })
}

/// Cuts a text to a length and takes out what would garble logs.
pub(super) fn clean(text: &str, limit: usize) -> String {
    let mut cleaned = String::with_capacity(text.len().min(limit));
    for character in text.chars() {
        let character = if character.is_control() { ' ' } else { character };
        if cleaned.len() + character.len_utf8() > limit {
            break;
        }
        cleaned.push(character);
    }
    cleaned
}

/// A message of many bytes, which no honest member sends.
#[cfg(test)]
pub(super) fn commitments_of(bytes: usize) -> Envelope {
    let pairs = vec![0; bytes];
    Envelope { body: Some(pb::envelope::Body::Commitments(pb::Commitments { pairs })) }
}

/// A door for tests/fuzz: what is accepted can be sent, and is then read as the same.
#[cfg(fuzzing)]
#[allow(clippy::unwrap_used)]
pub fn fuzz_wire(bytes: &[u8]) {
    let Ok(envelope) = Envelope::decode(bytes) else { return };
    if let Ok(hello) = decode_hello(envelope.clone()) {
        assert_eq!(decode_hello(encode_hello(&hello)), Ok(hello));
    }
    if let Ok(message) = decode(envelope) {
        let (again, length) = encode(message.clone()).unwrap();
        assert!(length <= MAX_MESSAGE_BYTES);
        let read = decode(again.clone()).unwrap();
        assert_eq!(format!("{read:?}"), format!("{message:?}"));
        // What Debug does not show.
        assert_eq!(encode(read).unwrap(), (again, length));
    }
}

#[cfg(test)]
mod tests;
