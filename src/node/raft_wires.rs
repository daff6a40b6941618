//! Joins Raft to the peers' connections: out by its own channels, in by the peers' service.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::peer::{RaftCallError, RaftChannels, RaftHandler};
use crate::raft::{Raft, Transport, TransportError};
use crate::types::MemberId;

/// Raft's way to the other members.
#[derive(Clone)]
pub(super) struct Outgoing(pub(super) RaftChannels);

/// The other members' way to Raft. Runs on the signing plane's runtime, hands over at once.
#[derive(Clone)]
pub(super) struct Incoming {
    pub(super) raft: watch::Receiver<Option<Raft>>,
    pub(super) background: Handle,
}

impl Transport for Outgoing {
    async fn call(
        &self,
        to: MemberId,
        payload: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, TransportError> {
        self.0.call(to, payload, deadline).await.map_err(|why| match why {
            RaftCallError::Deadline { to, deadline } => TransportError::Deadline { to, deadline },
            other => TransportError::Unreachable { to, reason: other.to_string() },
        })
    }
}

impl RaftHandler for Incoming {
    /// An empty answer, which no Raft understands, if Raft is not up.
    async fn handle(&self, from: MemberId, payload: Vec<u8>) -> Vec<u8> {
        let raft = self.raft.borrow().clone();
        let Some(raft) = raft else { return Vec::new() };
        let handled = self.background.spawn(async move { raft.handle(from, payload).await });
        handled.await.unwrap_or_default()
    }
}
