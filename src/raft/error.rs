//! What can go wrong with Raft.

use std::time::Duration;

use super::{RaftIdError, SettledError};
use crate::store::StoreError;
use crate::types::MemberId;

/// Why Raft did not start or did not replicate. No signature depends on it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RaftError {
    /// The store was never prepared for Raft.
    #[error("the state has no Raft birth number: it was not made by `cosigner`, or it is damaged")]
    NoState,
    /// The store was prepared before.
    #[error("the state has been prepared for Raft already, with birth number {birth}")]
    StateExists {
        /// The birth number it has.
        birth: u64,
    },
    /// This member is not in the list.
    #[error("member {me} is not in the member list")]
    NotAMember {
        /// This member.
        me: MemberId,
    },
    /// Elections would never end, or never begin.
    #[error(
        "Raft needs heartbeat < shortest election timeout < longest, in whole milliseconds, and at \
         least 1 entry between snapshots; these are {heartbeat:?}, {election_min:?}, \
         {election_max:?} and {snapshot_after}"
    )]
    Timing {
        /// Time between heartbeats.
        heartbeat: Duration,
        /// Shortest election timeout.
        election_min: Duration,
        /// Longest election timeout.
        election_max: Duration,
        /// Entries between snapshots.
        snapshot_after: u64,
    },
    /// The id cannot be one.
    #[error(transparent)]
    Id(#[from] RaftIdError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The entry would be ignored by all members.
    #[error(transparent)]
    Entry(#[from] SettledError),
    /// Another member leads, or none.
    #[error("this member does not lead{}", leader.map_or_else(String::new, |leader| format!(", member {leader} does")))]
    NotLeader {
        /// Who leads, as far as known here.
        leader: Option<MemberId>,
    },
    /// A majority did not store the entry in time. It may be stored all the same later.
    #[error("no majority stored the entry within {waited:?}")]
    Deadline {
        /// How long was waited.
        waited: Duration,
    },
    /// A member cannot be taken in under an id that is older than the one it votes under.
    #[error("member {member} votes with birth number {known} already, {birth} is an earlier one")]
    BornBefore {
        /// The member.
        member: MemberId,
        /// The birth number asked for.
        birth: u64,
        /// The one it votes under.
        known: u64,
    },
    /// The list of voters cannot be changed now.
    #[error("Raft's voters cannot be changed now: {0}; try again")]
    Membership(String),
    /// Raft has stopped at this member.
    #[error("Raft has stopped at this member: {0}")]
    Stopped(String),
}
