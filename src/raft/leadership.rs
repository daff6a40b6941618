//! Leadership as the other rooms see it.

use openraft::error::Fatal;
use openraft::{EmptyNode, RaftMetrics, ServerState};
use tokio::sync::watch;

use super::RaftId;
use crate::types::MemberId;

/// What this member is in Raft at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It leads.
    Leader,
    /// It follows, or waits for a leader.
    Follower,
    /// It stands for election.
    Candidate,
    /// It receives the log, but does not vote.
    Learner,
}

/// Who leads, as this member knows. Order and speed depend on it, safety does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// Raft's term.
    pub term: u64,
    /// The leader, if one is known.
    pub leader: Option<MemberId>,
    /// What this member is.
    pub role: Role,
    /// Why Raft has stopped at this member; only a restart of the process helps then.
    pub failed: Option<String>,
}

/// Raft's counters at this member. Indices count log entries from 0; `None` where there is none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RaftStatus {
    /// Raft's term.
    pub term: u64,
    /// Newest entry of the log.
    pub last_log: Option<u64>,
    /// Newest entry that is applied.
    pub applied: Option<u64>,
    /// Newest entry that the snapshot covers.
    pub snapshot: Option<u64>,
    /// Newest entry that was removed from the log.
    pub purged: Option<u64>,
}

type Metrics = RaftMetrics<u64, EmptyNode>;

impl Role {
    /// The word of logs and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
        }
    }
}

impl Leadership {
    /// Whether this member leads.
    #[must_use]
    pub fn is_leader(&self) -> bool {
        self.role == Role::Leader
    }

    fn of(metrics: &Metrics) -> Self {
        let stopped = metrics.running_state.as_ref().err();
        let role = match metrics.state {
            _ if stopped.is_some() => Role::Learner,
            ServerState::Leader => Role::Leader,
            ServerState::Candidate => Role::Candidate,
            ServerState::Follower => Role::Follower,
            ServerState::Learner | ServerState::Shutdown => Role::Learner,
        };
        let leader = metrics.current_leader.filter(|_| stopped.is_none());
        Self {
            term: metrics.current_term,
            leader: leader.and_then(member),
            role,
            failed: stopped
                .filter(|fatal| !matches!(fatal, Fatal::Stopped))
                .map(ToString::to_string),
        }
    }
}

impl RaftStatus {
    pub(super) fn of(metrics: &Metrics) -> Self {
        Self {
            term: metrics.current_term,
            last_log: metrics.last_log_index,
            applied: metrics.last_applied.map(|id| id.index),
            snapshot: metrics.snapshot.map(|id| id.index),
            purged: metrics.purged.map(|id| id.index),
        }
    }
}

/// The member behind an openraft node id.
pub(super) fn member(id: u64) -> Option<MemberId> {
    RaftId::from_number(id).ok().map(RaftId::member)
}

/// Follows openraft's metrics as long as it runs; told only when leadership changes.
pub(super) fn follow(mut metrics: watch::Receiver<Metrics>) -> watch::Receiver<Leadership> {
    let first = Leadership::of(&metrics.borrow_and_update());
    let (tell, told) = watch::channel(first);
    tokio::spawn(async move {
        let mut running = true;
        while running {
            running = metrics.changed().await.is_ok();
            let mut now = Leadership::of(&metrics.borrow_and_update());
            if !running && now.leader.is_some() {
                // It ended without a last word: its task has died.
                now.leader = None;
                now.role = Role::Learner;
                now.failed = Some("Raft's task has died".to_owned());
            }
            tell.send_if_modified(|before| {
                let changed = *before != now;
                *before = now;
                changed
            });
        }
    });
    told
}
