//! Log lines about a connection: one for each change, none for each attempt.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Address;
use super::serve::Loss;
use crate::types::ChainId;

/// A connection that lives shorter than this is not worth a line each time.
const STEADY: Duration = Duration::from_secs(5);

/// Remembers what was logged, so that it is not logged again.
#[derive(Debug)]
pub(super) struct Journal {
    chain: ChainId,
    address: Address,
    /// The last loss or wait that was logged and not followed by a logged connection.
    told: Option<String>,
    refused: Option<String>,
    taken_at: Option<Instant>,
    /// The connection before was short; whether this one is will be known after [`STEADY`].
    owed: bool,
}

impl Journal {
    pub(super) const fn new(chain: ChainId, address: Address) -> Self {
        Self { chain, address, told: None, refused: None, taken_at: None, owed: false }
    }

    /// In the backlog for longer than a handshake takes.
    pub(super) fn waiting(&mut self) {
        let text = "waiting";
        if self.told.as_deref() != Some(text) {
            self.told = Some(text.to_owned());
            info!(chain = %self.chain, validator = %self.address,
                "waiting in the validator's backlog: it serves another signer, or is busy");
        }
    }

    /// The validator has taken the connection.
    pub(super) fn taken(&mut self) {
        self.taken_at = Some(Instant::now());
        if !self.owed {
            self.tell_taken();
        }
    }

    /// A request was answered.
    pub(super) fn answered(&mut self) {
        if self.owed && self.taken_at.is_some_and(|at| at.elapsed() >= STEADY) {
            self.owed = false;
            self.tell_taken();
        }
    }

    fn tell_taken(&mut self) {
        self.told = None;
        info!(chain = %self.chain, validator = %self.address, "connected to the validator");
    }

    /// A request was answered with an error that is not the double-sign rule's.
    pub(super) fn refused(&mut self, reason: String) {
        if self.refused.as_ref() == Some(&reason) {
            debug!(chain = %self.chain, validator = %self.address, %reason, "request refused");
        } else {
            warn!(chain = %self.chain, validator = %self.address, %reason, "request refused");
            self.refused = Some(reason);
        }
    }

    /// No connection, or none any more.
    pub(super) fn lost(&mut self, loss: &Loss) {
        let reason = loss.to_string();
        let (chain, validator) = (&self.chain, &self.address);
        match loss {
            Loss::Shutdown => debug!(%chain, %validator, "connection closed for shutdown"),
            Loss::LetGo => info!(%chain, %validator, "connection let go: {reason}"),
            _ if self.told.as_ref() == Some(&reason) => {
                debug!(%chain, %validator, "no connection to the validator: {reason}");
            }
            _ => {
                warn!(%chain, %validator, "no connection to the validator, redialling: {reason}");
                self.told = Some(reason);
            }
        }
        self.owed = self.taken_at.take().is_some_and(|at| at.elapsed() < STEADY);
    }
}
