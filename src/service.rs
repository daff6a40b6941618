//! Signatures over gRPC, with keys that no chain uses: `cosmos.kms.signerservice`.
//!
//! Each key has a thread of its own, on which its receipt is made and its calls block. A caller is who its
//! certificate says, or on loopback whoever is on this machine; what it may use is looked up for each
//! call. Nothing else is served here, and nothing here stands before a validator's signature.
//!
//! - `callers`: who may use what.
//! - `worker`: the thread of one key.
//! - `directory`: the keys as calls and `/status` see them.
//! - `rpc`: the three calls, their codes and texts.
//! - `accept`, `connection`, `tls`: connections, so many and no more.

mod accept;
mod callers;
mod connection;
mod directory;
mod rpc;
mod tls;
mod worker;

pub use accept::{Serving, serve};
pub use callers::{Callers, CallersError};
pub use directory::{Directory, KeyFacts, KeyStatus, Trouble};
#[cfg(fuzzing)]
#[doc(hidden)]
pub use proto::{GetKeyRequest, SignRequest, payload::Kind};
pub use tls::{Identity, IdentityError};
pub use worker::{Open, Opened, Worker};

/// Longest payload, in bytes. A vote extension is no longer, and more is no message.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// Generated from `proto/signerservice.proto`; its documentation is there.
#[allow(missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]
mod proto {
    tonic::include_proto!("cosmos.kms.signerservice");
}
