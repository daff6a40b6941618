//! How one signature is made: the coordinator asks, participants give shares, a [`Plane`] joins them.
//!
//! Everything in this room is a state machine without sockets, clocks or disks: time and randomness
//! are inputs, writes and messages are effects that the composition root carries out. Whole clusters
//! can therefore run in one thread of a test.
//!
//! - [`participant`](Participant): the member's side. Rule, watermark, nonces, shares.
//! - [`coordinator`](Coordinator): the leader's side. Order of requests, signing sets, aggregation; where
//!   the key is whole, sets of grants.
//! - `raw`: raw bytes that can be no vote, beside all this.
//! - [`route`]: which member coordinates a request.
//! - [`Plane`]: one node's participant and coordinator, and what travels between them and others.

mod attempt;
mod check;
mod coordinator;
mod estimate;
mod granter;
mod kept;
mod key;
mod lane;
mod participant;
mod patience;
mod plane;
mod pool;
mod raw;
mod raw_share;
mod roster;
mod route;
mod task;
mod verified;
mod withheld;
mod work;

pub use attempt::Account;
pub use coordinator::{Coordinator, Origin};
pub use key::{ChainKey, ChainKeyError, WholeKeyInfo};
pub use participant::{Participant, Starting};
pub use plane::{
    ChainSnapshot, Effect, Input, PeerSnapshot, Plane, PlaneOptions, Replica, Reply, Snapshot,
    Verdict,
};
pub use raw::{RawAccount, RawReply, RawVerdict};
pub use route::{Route, route};
pub use task::{Computed, Task};
pub use verified::Verified;
pub use withheld::{Caller, Released};

#[cfg(test)]
mod tests;
