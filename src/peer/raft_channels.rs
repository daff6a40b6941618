//! Raft's messages, as opaque bytes, on connections of their own: a long log entry or snapshot
//! never stands before a signature.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tonic::transport::Channel;
use tonic::{Code, Request};

use super::dial::Dialer;
use super::ending::describe;
use super::setup::{Setup, SetupError};
use super::wire::{MAX_MESSAGE_BYTES, PeerClient, RaftCall};
use crate::types::MemberId;

/// Longest payload, in bytes; the rest of a message is for its frame.
pub const MAX_RAFT_BYTES: usize = MAX_MESSAGE_BYTES - 256;

/// Answers Raft's messages of other members. Called on the runtime that serves the connections: it
/// hands over to Raft's own and waits.
pub trait RaftHandler: Clone + Send + Sync + 'static {
    /// `from` is the member that the caller's certificate belongs to. Dropped unfinished if the
    /// caller's deadline passes.
    fn handle(&self, from: MemberId, payload: Vec<u8>) -> impl Future<Output = Vec<u8>> + Send;
}

/// Calls the Raft of other members. Cheap to clone.
///
/// A connection is made by the first call, on the runtime of that call, and lives as long as it.
#[derive(Clone)]
pub struct RaftChannels {
    shared: Arc<Shared>,
}

struct Shared {
    setup: Arc<Setup>,
    dialers: BTreeMap<MemberId, Dialer>,
    clients: Mutex<BTreeMap<MemberId, PeerClient<Channel>>>,
}

/// Why a Raft call has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaftCallError {
    /// Not in the list, or this member itself.
    #[error("member {0} is not another member of the list")]
    UnknownMember(MemberId),
    /// Nothing came in time.
    #[error("member {to} did not answer a raft call within {} ms", deadline.as_millis())]
    Deadline {
        /// To whom.
        to: MemberId,
        /// How long it was waited for.
        deadline: Duration,
    },
    /// More than a message can carry.
    #[error("a raft message of {bytes} bytes is more than {MAX_RAFT_BYTES}")]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// The member is there and does not want it: another protocol or member list.
    #[error("member {to} refused a raft call: {reason}")]
    Refused {
        /// To whom.
        to: MemberId,
        /// Its words.
        reason: String,
    },
    /// No connection, or it broke.
    #[error("member {to} could not be asked: {reason}")]
    Unreachable {
        /// To whom.
        to: MemberId,
        /// What broke.
        reason: String,
    },
}

impl RaftChannels {
    /// Connects to nobody yet.
    ///
    /// # Errors
    /// [`SetupError`] if the setup does not fit together.
    pub fn new(setup: Arc<Setup>) -> Result<Self, SetupError> {
        setup.check()?;
        let mut dialers = BTreeMap::new();
        for &peer in setup.cluster.members().keys().filter(|&&peer| peer != setup.me) {
            dialers.insert(peer, Dialer::new(&setup, peer)?);
        }
        Ok(Self { shared: Arc::new(Shared { setup, dialers, clients: Mutex::default() }) })
    }

    /// Asks one member and waits for its answer, no longer than the deadline.
    ///
    /// # Errors
    /// [`RaftCallError`].
    pub async fn call(
        &self,
        to: MemberId,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, RaftCallError> {
        if payload.len() > MAX_RAFT_BYTES {
            return Err(RaftCallError::TooLong { bytes: payload.len() });
        }
        let mut client = self.client(to)?;
        let hello = &self.shared.setup.hello;
        let (protocol, members) = (hello.protocol, hello.members.0.to_vec());
        let mut request = Request::new(RaftCall { protocol, members, payload });
        // The other side gives up at the same time.
        request.set_timeout(deadline);
        match tokio::time::timeout(deadline, client.raft(request)).await {
            Ok(Ok(reply)) => Ok(reply.into_inner().payload),
            Ok(Err(status)) => Err(match status.code() {
                // tonic's own timer runs beside the one here, and calls its end a cancellation.
                Code::DeadlineExceeded | Code::Cancelled => {
                    RaftCallError::Deadline { to, deadline }
                }
                Code::FailedPrecondition | Code::OutOfRange | Code::ResourceExhausted => {
                    RaftCallError::Refused { to, reason: describe(&status) }
                }
                _ => RaftCallError::Unreachable { to, reason: describe(&status) },
            }),
            Err(_) => Err(RaftCallError::Deadline { to, deadline }),
        }
    }

    fn client(&self, to: MemberId) -> Result<PeerClient<Channel>, RaftCallError> {
        let dialer = self.shared.dialers.get(&to).ok_or(RaftCallError::UnknownMember(to))?;
        let mut clients = self.shared.clients.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(clients.entry(to).or_insert_with(|| dialer.lazy_client()).clone())
    }
}
