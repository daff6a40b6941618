//! Raft's messages: each one opaque payload to whoever carries it, and one payload back.

use std::time::Duration;

use openraft::error::{
    Fatal, NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable,
};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, OptionalSend, RaftNetwork, RaftNetworkFactory};
use serde::{Deserialize, Serialize};

use super::leadership::member;
use super::sane;
use super::types::{LogId, Snapshot, SnapshotMeta, TypeConfig, Vote};
use super::{RaftId, RaftIdError, Settled};
use crate::types::MemberId;

/// Carries payloads to other members. The receiver gives them to [`super::Raft::handle`], together with
/// the member that its certificate proved the sender to be, and returns what that answers.
pub trait Transport: Clone + Send + Sync + 'static {
    /// Sends a payload and waits for the answer, `deadline` at most.
    fn call(
        &self,
        to: MemberId,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, TransportError>> + Send;
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// It could not be sent, or the answer not be received.
    #[error("member {to} is unreachable: {reason}")]
    Unreachable {
        /// The member.
        to: MemberId,
        /// What the connection said.
        reason: String,
    },
    /// The answer did not come in time.
    #[error("member {to} did not answer within {deadline:?}")]
    Deadline {
        /// The member.
        to: MemberId,
        /// How long was waited.
        deadline: Duration,
    },
}

/// A message and the Raft id that it is for. A member that was born again must not answer for its
/// earlier life: its log would seem to have gone back, and its old vote could be given twice.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Message {
    pub(super) to: u64,
    pub(super) request: Request,
}

/// What is asked.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) enum Request {
    Append(AppendEntriesRequest<TypeConfig>),
    Vote(VoteRequest<u64>),
    Snapshot { vote: Vote, meta: SnapshotMeta, contents: Vec<Settled> },
}

/// How far one message may raise the term. A member alone needs centuries to count this far; one that
/// invents terms could otherwise bring the others to the end of the number, and to a stop.
pub(super) const MAX_TERM_JUMP: u64 = 1 << 32;

/// What is answered.
#[derive(Serialize, Deserialize)]
pub(super) enum Reply {
    Append(AppendEntriesResponse<u64>),
    Vote(VoteResponse<u64>),
    Snapshot(SnapshotResponse<u64>),
    Refused(String),
}

/// Why a call failed, before openraft's words are found for it.
#[derive(Debug, thiserror::Error)]
enum CallError {
    #[error("could not encode or decode a Raft message: {0}")]
    Encoding(#[from] serde_json::Error),
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Id(#[from] RaftIdError),
    #[error("member {to} refused the Raft message: {reason}")]
    Refused { to: MemberId, reason: String },
    #[error("member {to} answered with term {term}, far above the {asked} it was asked in")]
    TermJump { to: MemberId, term: u64, asked: u64 },
    #[error("member {to} answered another question than was asked")]
    OtherAnswer { to: MemberId },
}

impl Request {
    pub(super) fn vote(&self) -> &Vote {
        match self {
            Self::Append(rpc) => &rpc.vote,
            Self::Vote(rpc) => &rpc.vote,
            Self::Snapshot { vote, .. } => vote,
        }
    }

    /// The member in whose name the message speaks.
    pub(super) fn speaker(&self) -> Option<MemberId> {
        member(self.vote().leader_id.node_id)
    }

    /// The term that the message speaks of.
    pub(super) fn term(&self) -> u64 {
        self.vote().leader_id.term
    }
}

impl Reply {
    /// The term that the answer would raise ours to.
    fn term(&self) -> u64 {
        match self {
            Self::Append(AppendEntriesResponse::HigherVote(vote)) => vote.leader_id.term,
            Self::Vote(answer) => answer.vote.leader_id.term,
            Self::Snapshot(answer) => answer.vote.leader_id.term,
            Self::Append(_) | Self::Refused(_) => 0,
        }
    }
}

/// Makes a [`Line`] for each member.
pub(super) struct Network<T> {
    pub(super) transport: T,
    /// Pause after a call to a member that is away. Shorter than an election timeout, so that a member
    /// that comes back hears from the leader before it stands for election.
    pub(super) pause: Duration,
}

/// Calls to one member.
pub(super) struct Line<T> {
    transport: T,
    to: Result<RaftId, RaftIdError>,
    pause: Duration,
}

impl<T: Transport> RaftNetworkFactory<TypeConfig> for Network<T> {
    type Network = Line<T>;

    async fn new_client(&mut self, target: u64, _node: &EmptyNode) -> Line<T> {
        let to = RaftId::from_number(target);
        Line { transport: self.transport.clone(), to, pause: self.pause }
    }
}

impl<T: Transport> Line<T> {
    /// One call. The deadline holds even if the transport forgets it (an unanswered call would hold up
    /// replication to this member).
    async fn call<R>(
        &self,
        request: Request,
        option: &RPCOption,
        expected: impl FnOnce(Reply) -> Option<R>,
    ) -> Result<R, CallError> {
        let id = self.to?;
        let to = id.member();
        let deadline = option.hard_ttl();
        let asked = request.term();
        let payload = serde_json::to_vec(&Message { to: id.number(), request })?;
        let answer = tokio::time::timeout(deadline, self.transport.call(to, payload, deadline))
            .await
            .map_err(|_| TransportError::Deadline { to, deadline })??;
        match serde_json::from_slice(&answer)? {
            Reply::Refused(reason) => Err(CallError::Refused { to, reason }),
            reply if reply.term().saturating_sub(asked) > MAX_TERM_JUMP => {
                Err(CallError::TermJump { to, term: reply.term(), asked })
            }
            reply => expected(reply).ok_or(CallError::OtherAnswer { to }),
        }
    }
}

/// After a timeout openraft may try again at once: it has waited. After any other failure it pauses, or it
/// would call a dead member in a tight loop.
fn failed<E: std::error::Error>(error: &CallError) -> RPCError<u64, EmptyNode, E> {
    match error {
        CallError::Transport(TransportError::Deadline { .. }) => NetworkError::new(error).into(),
        _ => Unreachable::new(error).into(),
    }
}

type RpcError<E> = RPCError<u64, EmptyNode, openraft::error::RaftError<u64, E>>;
type Never = openraft::error::Infallible;

impl<T: Transport> RaftNetwork<TypeConfig> for Line<T> {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, RpcError<Never>> {
        let prev = rpc.prev_log_id;
        let ids: Vec<LogId> = rpc.entries.iter().map(|entry| entry.log_id).collect();
        let request = Request::Append(rpc);
        let expected = |reply| match reply {
            Reply::Append(answer) if sane::answers(&answer, prev, &ids) => Some(answer),
            _ => None,
        };
        self.call(request, &option, expected).await.map_err(|error| failed(&error))
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, RpcError<Never>> {
        let request = Request::Vote(rpc);
        let expected = |reply| if let Reply::Vote(answer) = reply { Some(answer) } else { None };
        self.call(request, &option, expected).await.map_err(|error| failed(&error))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<u64>, StreamingError<TypeConfig, Fatal<u64>>> {
        let request = Request::Snapshot { vote, meta: snapshot.meta, contents: *snapshot.snapshot };
        let expected =
            |reply| if let Reply::Snapshot(answer) = reply { Some(answer) } else { None };
        tokio::select! {
            closed = cancel => Err(closed.into()),
            answer = self.call(request, &option, expected) => {
                answer.map_err(|error| Unreachable::new(&error).into())
            }
        }
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.pause))
    }
}
