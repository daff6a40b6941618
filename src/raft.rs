//! openraft behind a narrow module: who leads, and a copy of the newest signatures at every member.
//!
//! Nothing here stands before a signature, and nothing read from here may deny one. The double-sign
//! rule holds whatever Raft does: two leaders, a lost entry or a wrong one cost time, not safety.

#![expect(clippy::result_large_err, reason = "openraft's traits ask for its own storage error")]

mod change;
mod error;
mod handle;
mod id;
mod leadership;
mod log_store;
mod network;
mod offline;
mod sane;
mod settled;
mod state_machine;
#[cfg(test)]
mod tests;
mod timing;
mod types;

pub use error::RaftError;
pub use handle::Raft;
pub use id::{RaftId, RaftIdError, create_state};
pub use leadership::{Leadership, RaftStatus, Role};
pub use network::{Transport, TransportError};
pub use offline::{forget_in, settled_in};
pub use settled::{Settled, SettledError};
pub use timing::Timing;
