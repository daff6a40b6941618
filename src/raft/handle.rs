//! Raft at this member, as the other rooms use it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::error::InitializeError;
use tokio::sync::watch;

use super::change::refused;
use super::id::birth_of;
use super::leadership::{self, Leadership, RaftStatus};
use super::log_store::LogStore;
use super::network::{MAX_TERM_JUMP, Message, Network, Reply, Request};
use super::sane;
use super::state_machine::{StateMachine, View};
use super::types::{Snapshot, TypeConfig};
use super::{RaftError, RaftId, Settled, Timing, Transport};
use crate::store::Store;
use crate::types::{ChainId, KeyId, MemberId};

/// Birth number of all members of a new cluster. Only such a member may found it; a later one has to be
/// taken in by the others.
const FIRST_BIRTH: u64 = 1;

/// Raft at this member. Clones share it.
#[derive(Clone)]
pub struct Raft {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    id: RaftId,
    pub(super) core: openraft::Raft<TypeConfig>,
    log: LogStore,
    view: View,
    pub(super) leadership: watch::Receiver<Leadership>,
    pub(super) replicate_deadline: Duration,
    pub(super) election_max: Duration,
    pub(super) stepping_down: AtomicBool,
}

impl Raft {
    /// Starts Raft on the runtime of the caller. On a store that was never used, every member founds the
    /// same cluster of all `members`; which of them is first makes no difference.
    ///
    /// # Errors
    /// [`RaftError`] if the store was not prepared by [`super::create_state`] or cannot be read, this
    /// member is not one of `members`, or the timing is impossible.
    pub async fn start<T: Transport>(
        me: MemberId,
        members: &BTreeSet<MemberId>,
        store: Store,
        transport: T,
        timing: Timing,
    ) -> Result<Self, RaftError> {
        if !members.contains(&me) {
            return Err(RaftError::NotAMember { me });
        }
        let birth = birth_of(&store)?.ok_or(RaftError::NoState)?;
        let id = RaftId::new(me, birth)?;
        let config = Arc::new(timing.config()?);
        let network = Network { transport, pause: timing.heartbeat };
        let (tell, uncovered) = watch::channel(0);
        let machine = StateMachine::open(store.clone(), tell).map_err(stopped)?;
        let log = LogStore::open(store, uncovered).map_err(stopped)?;
        let view = machine.view();
        let core = openraft::Raft::new(id.number(), config, network, log.clone(), machine)
            .await
            .map_err(stopped)?;
        if birth == FIRST_BIRTH {
            found(&core, members).await?;
        }
        let leadership = leadership::follow(core.metrics());
        let shared = Shared {
            id,
            core,
            log,
            view,
            leadership,
            replicate_deadline: timing.replicate_deadline(),
            election_max: timing.election_max,
            stepping_down: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Answers a payload that another member's transport carried here. `from` is the member that the
    /// connection proved, and the only one in whose name the payload may speak.
    pub async fn handle(&self, from: MemberId, payload: Vec<u8>) -> Vec<u8> {
        let reply = match serde_json::from_slice::<Message>(&payload) {
            Ok(message) => self.answer(from, message).await,
            Err(error) => Reply::Refused(format!("not a Raft message: {error}")),
        };
        // A reply holds numbers and a text, it can always be encoded; an empty one would be refused.
        serde_json::to_vec(&reply).unwrap_or_default()
    }

    async fn answer(&self, from: MemberId, Message { to, request }: Message) -> Reply {
        if request.speaker() != Some(from) {
            return Reply::Refused(format!("member {from} speaks in another one's name"));
        }
        let me = self.shared.id.number();
        if to != me {
            return Reply::Refused(format!("for Raft id {to:#x}, this is {me:#x}"));
        }
        let (asked, term) = (request.term(), self.status().term);
        if asked.saturating_sub(term) > MAX_TERM_JUMP {
            return Reply::Refused(format!("term {asked} is far above {term}"));
        }
        let core = &self.shared.core;
        let metrics = core.metrics().borrow().clone();
        // A leader of the past is told of the present vote by openraft itself.
        let applied = metrics.last_applied.filter(|_| *request.vote() >= metrics.vote);
        if let Some(fault) = sane::fault(&request, applied) {
            return Reply::Refused(format!("member {from} sends {fault}"));
        }
        match request {
            Request::Append(rpc) => reply(core.append_entries(rpc).await, Reply::Append),
            Request::Vote(rpc) => reply(core.vote(rpc).await, Reply::Vote),
            Request::Snapshot { vote, meta, contents } => {
                let snapshot = Snapshot { meta, snapshot: Box::new(contents) };
                reply(core.install_full_snapshot(vote, snapshot).await, Reply::Snapshot)
            }
        }
    }

    /// Who leads; changes are told. The channel closes when Raft stops here, its last value says why.
    #[must_use]
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.shared.leadership.clone()
    }

    /// Puts a settled signature into the log of a majority. To be called by the leader, after the
    /// reply has gone out. Dropping the future does not take the entry back.
    ///
    /// # Errors
    /// [`RaftError::NotLeader`]; [`RaftError::Entry`] if members would ignore it;
    /// [`RaftError::Deadline`] if no majority stored it in time; [`RaftError::Stopped`].
    pub async fn replicate(&self, settled: Settled) -> Result<(), RaftError> {
        settled.hrs()?;
        if self.shared.stepping_down.load(Ordering::SeqCst) {
            // A new entry would renew the followers' loyalty to this leader.
            return Err(RaftError::NotLeader { leader: None });
        }
        let waited = self.shared.replicate_deadline;
        tokio::time::timeout(waited, self.shared.core.client_write(settled))
            .await
            .map_err(|_| RaftError::Deadline { waited })?
            .map_err(refused)?;
        Ok(())
    }

    /// The newest settled signature that has been applied here. A hint: verify it before use.
    #[must_use]
    pub fn settled(&self, chain: &ChainId, key: &KeyId) -> Option<Settled> {
        self.shared.view.settled(chain, key)
    }

    /// Term and log positions, for metrics and status.
    #[must_use]
    pub fn status(&self) -> RaftStatus {
        RaftStatus::of(&self.shared.core.metrics().borrow())
    }

    /// Stops Raft at this member. What was applied is applied again at the next start.
    pub async fn shutdown(&self) {
        // openraft's error says that its task has panicked; `leadership` has told that already.
        let _ = self.shared.core.shutdown().await;
        // Without this write the newest entries are applied a moment later after the next start.
        let _ = self.shared.log.keep_committed().await;
    }
}

#[cfg(test)]
impl Raft {
    pub(super) fn metrics_for_test(
        &self,
    ) -> watch::Receiver<openraft::RaftMetrics<u64, openraft::EmptyNode>> {
        self.shared.core.metrics()
    }

    pub(super) fn id(&self) -> MemberId {
        self.shared.id.member()
    }
}

impl std::fmt::Debug for Raft {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raft").field("status", &self.status()).finish_non_exhaustive()
    }
}

/// Writes the first membership. All members do it with equal contents, at index 0 of term 0, so
/// they agree whichever of them is elected (openraft: "cluster formation").
async fn found(
    core: &openraft::Raft<TypeConfig>,
    members: &BTreeSet<MemberId>,
) -> Result<(), RaftError> {
    let mut ids = BTreeSet::new();
    for member in members {
        ids.insert(RaftId::new(*member, FIRST_BIRTH)?.number());
    }
    match core.initialize(ids).await {
        // Not allowed: there is a vote or a log already, from before or from a faster member.
        Ok(()) | Err(openraft::error::RaftError::APIError(InitializeError::NotAllowed(_))) => {
            Ok(())
        }
        Err(error) => Err(stopped(error)),
    }
}

pub(super) fn stopped(error: impl Display) -> RaftError {
    RaftError::Stopped(error.to_string())
}

fn reply<R, E: Display>(result: Result<R, E>, wrap: impl FnOnce(R) -> Reply) -> Reply {
    match result {
        Ok(answer) => wrap(answer),
        Err(error) => Reply::Refused(error.to_string()),
    }
}
