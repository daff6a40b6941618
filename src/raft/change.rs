//! Changes of who leads and who votes.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use openraft::EmptyNode;
use openraft::error::{ClientWriteError, RaftError as CoreError};

use super::handle::stopped;
use super::leadership::member;
use super::{Raft, RaftError, RaftId};
use crate::types::MemberId;

/// A step down is given up after this many longest election timeouts: nobody else can lead.
const STEP_DOWN_PATIENCE: u32 = 4;

impl Raft {
    /// Gives leadership up, for a leader whose disk or backend is worse than the others': its heartbeats
    /// stop, and another member is elected after about two longest election timeouts. Meanwhile
    /// nothing is replicated. If nobody is elected this member leads on. Does nothing at a follower.
    pub fn step_down(&self) {
        let leads = self.shared.leadership.borrow().is_leader();
        if !leads || self.shared.stepping_down.swap(true, Ordering::SeqCst) {
            return;
        }
        let raft = self.clone();
        tokio::spawn(async move {
            let shared = &raft.shared;
            shared.core.runtime_config().heartbeat(false);
            let patience = shared.election_max.saturating_mul(STEP_DOWN_PATIENCE);
            let mut leadership = raft.leadership();
            // Either way heartbeats must work again, for the next time this member is elected.
            let _ =
                tokio::time::timeout(patience, leadership.wait_for(|now| !now.is_leader())).await;
            shared.core.runtime_config().heartbeat(true);
            shared.stepping_down.store(false, Ordering::SeqCst);
        });
    }

    /// Takes in a member that lost its state and was born again: it votes under its new id, the old one
    /// never again. To be called by the leader, with a birth number that the member itself has told. May
    /// be called again after a failure, and does nothing if all is done.
    ///
    /// # Errors
    /// [`RaftError::NotLeader`]; [`RaftError::BornBefore`] if a later life of the member votes already;
    /// [`RaftError::Deadline`] if the member or a majority did not follow in time.
    pub async fn admit(&self, who: MemberId, birth: u64) -> Result<(), RaftError> {
        let id = RaftId::new(who, birth)?;
        let voters: BTreeSet<u64> =
            self.shared.core.metrics().borrow().membership_config.voter_ids().collect();
        let known = voters.iter().filter_map(|voter| RaftId::from_number(*voter).ok());
        if let Some(later) = known.filter(|known| known.member() == who).max()
            && later.birth() > birth
        {
            return Err(RaftError::BornBefore { member: who, birth, known: later.birth() });
        }
        let mut wanted: BTreeSet<u64> =
            voters.iter().copied().filter(|voter| member(*voter) != Some(who)).collect();
        wanted.insert(id.number());
        if wanted == voters {
            return Ok(());
        }
        let waited = self.shared.replicate_deadline;
        tokio::time::timeout(waited, self.change(id.number(), wanted))
            .await
            .map_err(|_| RaftError::Deadline { waited })?
    }

    async fn change(&self, id: u64, voters: BTreeSet<u64>) -> Result<(), RaftError> {
        let core = &self.shared.core;
        // It has to have the log before its vote counts.
        core.add_learner(id, EmptyNode::default(), true).await.map_err(refused)?;
        core.change_membership(voters, false).await.map_err(refused)?;
        Ok(())
    }
}

/// openraft's answer to a write, in this room's words.
pub(super) fn refused(error: CoreError<u64, ClientWriteError<u64, EmptyNode>>) -> RaftError {
    match error {
        CoreError::APIError(ClientWriteError::ForwardToLeader(to)) => {
            RaftError::NotLeader { leader: to.leader_id.and_then(member) }
        }
        CoreError::APIError(ClientWriteError::ChangeMembershipError(error)) => {
            RaftError::Membership(error.to_string())
        }
        CoreError::Fatal(error) => stopped(error),
    }
}
