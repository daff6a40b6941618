//! gRPC between cosigners, over mutual TLS with pinned certificates.
//!
//! One long-lived stream for each pair of members carries everything about signing; the member with
//! the lower id dials. Who is at the other end is said by its certificate and by nothing else. Raft
//! has connections of its own. [`serve`] and [`dial_all`] report all that happens as [`Event`]s and
//! keep at it; what comes out of them is checked, bounded, and in order.

mod dial;
mod ending;
mod greeting;
mod identity;
mod io;
mod journal;
mod link;
mod message;
mod raft_channels;
mod raw;
mod registry;
mod serve;
mod setup;
mod tls;
mod wire;

#[cfg(test)]
mod loopback_tests;

pub use dial::dial_all;
pub(crate) use identity::pin_of;
pub use identity::{Identity, IdentityError};
pub(crate) use io::Cut;
pub use link::{Event, EventSink, Link, LinkError, LinkId, Permit};
pub use message::{
    Answer, AnswerBody, AskGrant, Carried, Failure, Forward, Forwarded, Grant, Hello, Message,
    Order, Outcome, Report, RequestId, SessionId, SetShare, Signed, Signer, SigningSet,
};
pub use raft_channels::{MAX_RAFT_BYTES, RaftCallError, RaftChannels, RaftHandler};
pub use raw::{RawAnswer, RawAnswerBody, RawOrder};
pub(crate) use serve::Refused;
pub use serve::{ServeError, serve};
pub use setup::{Setup, SetupError};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use wire::fuzz_wire;
pub use wire::{MAX_COMMITMENTS, MAX_MESSAGE_BYTES, MAX_SETS, WireError};

/// Version of what members say to each other. Members of different versions do not talk.
pub const PROTOCOL: u32 = 2;
