//! The validator's protocol: messages to checked fields, canonical sign bytes, framing, SecretConnection, noise.

mod canonical;
mod dialect;
mod extension;
mod fields;
mod framing;
pub mod noise;
mod raw;
mod reply;
mod request;
mod sealed;
pub mod secret_connection;
mod wire;

pub use canonical::{
    CanonicalError, extension_sign_bytes, extension_sign_bytes_len, parse_sign_bytes, sign_bytes,
};
pub use dialect::{Dialect, RawBytes, UnknownWord, Version};
pub use extension::{Extension, ExtensionSignature, MAX_EXTENSION_BYTES};
pub use fields::{BlockId, Fields, Hash, Kind, Likeness, Proposal, Vote, VoteKind};
pub use framing::{FramingError, MAX_REQUEST_BYTES, MessageReader, write_message};
pub use raw::{MAX_RAW_BYTES, RawAllowed, RawMessage, RawRefused};
pub use reply::{Echo, Reply, ReplyError, ReplyKind, SignedReply};
pub use request::{InvalidRequest, Request, RequestError, SignRequest, parse, parse_for};

/// The messages of `proto/privval.proto`, as decoded and not yet checked.
#[allow(missing_docs, clippy::all, clippy::pedantic)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/cosigner.privval.rs"));
}

#[cfg(test)]
mod fixtures;
