//! One connection to one validator: dial, handshake, answer, redial.
//!
//! A validator (the CometBFT process) listens and serves one signer at a time; every cosigner dials it,
//! and all but one wait in its backlog as hot standbys. What is asked on a connection is answered
//! strictly in order. Who signs, and whether, is behind [`Sign`].

mod address;
mod control;
mod dial;
mod journal;
mod pacer;
mod run;
mod serve;
mod sign;

pub use address::{Address, AddressError, HostPort};
pub use control::{Connection, ConnectionState, Control};
pub use run::run;
pub use sign::{RawRequestFor, Sign, SignRequestFor};
