//! The CometBFT node's side of privval: it listens, serves one signer at a time, and asks.
//!
//! Behaves as `privval/signer_listener_endpoint.go` and `retry_signer_client.go` do: further signers
//! wait in the kernel's backlog, a handshake is part of accepting, an end of stream alone does not
//! drop a connection, and everything but an error reply is tried again after 100 ms.

// Included by tests, benches and an example, none of which uses all of it.
#![allow(dead_code, unreachable_pub, unused_imports)]

#[path = "node/content.rs"]
pub mod content;
#[path = "node/drive.rs"]
pub mod drive;
#[path = "node/wire.rs"]
mod wire;

use std::time::Duration;

use cosigner::privval::{Fields, FramingError, proto};
use cosigner::types::PublicKey;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use self::proto::message::Sum;
pub use self::wire::{Bound, Wire};

/// How long a request waits for a signer to connect.
pub const ACCEPT: Duration = Duration::from_secs(3);
/// For each read, each write, and the handshake.
pub const READ_WRITE: Duration = Duration::from_secs(5);
/// Silence after which the node pings.
pub const PING: Duration = Duration::from_millis(3333);
/// Between two tries of one request.
pub const RETRY: Duration = Duration::from_millis(100);
/// Tries of one request.
pub const TRIES: u32 = 50;

/// A node that has, or will have, one signer.
#[derive(Debug)]
pub struct Node {
    chain: String,
    bound: Bound,
    wire: Option<Wire>,
    accepted: u32,
    last_exchange: Instant,
}

/// Why a single exchange brought no message.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Nobody waits in the backlog.
    #[error("no signer has connected within {} s", ACCEPT.as_secs())]
    NoSigner,
    /// The first in the backlog is no signer, or is dead.
    #[error("handshake: {0}")]
    Handshake(String),
    /// Not within [`READ_WRITE`].
    #[error("no answer within {} s", READ_WRITE.as_secs())]
    Timeout,
    /// The signer closed the connection; a node notices at its next write.
    #[error("end of stream")]
    EndOfStream,
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The stream is out of step.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// Not a privval message.
    #[error("the reply does not decode: {0}")]
    Undecodable(#[from] prost::DecodeError),
    /// A reply to something else.
    #[error("unexpected reply {0}")]
    Unexpected(String),
}

/// What came back for a request to sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Signatures, not yet verified.
    Signed(content::Signed),
    /// A RemoteSignerError: the vote is lost.
    Refused {
        /// CometBFT does not look at it.
        code: i32,
        /// Goes to the node's log.
        description: String,
    },
    /// All tries failed.
    Unanswered(String),
}

/// A request with all its tries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// How it ended.
    pub outcome: Outcome,
    /// Tries after the first.
    pub retries: u32,
    /// From the first try to the end.
    pub took: Duration,
}

impl Node {
    /// Listens on `tcp://host:port` (port 0: any), `unix://path` (a stale socket file is removed) or
    /// `noise://signer@ip:port`.
    pub async fn listen(address: &str, chain: &str) -> std::io::Result<Self> {
        let bound = Bound::bind(address).await?;
        let last_exchange = Instant::now();
        Ok(Self { chain: chain.to_owned(), bound, wire: None, accepted: 0, last_exchange })
    }

    /// Where to dial.
    pub fn address(&self) -> String {
        self.bound.address()
    }

    /// The chain that requests name.
    pub fn chain(&self) -> &str {
        &self.chain
    }

    /// Signers accepted so far.
    pub const fn accepted(&self) -> u32 {
        self.accepted
    }

    /// The present connection.
    pub const fn wire(&mut self) -> Option<&mut Wire> {
        self.wire.as_mut()
    }

    /// Closes the present connection; the next request accepts another signer.
    pub fn hang_up(&mut self) {
        self.wire = None;
    }

    /// Takes the first signer of the backlog, if there is no connection.
    pub async fn accept(&mut self) -> Result<&mut Wire, Fault> {
        let wire = match self.wire.take() {
            Some(wire) => wire,
            None => {
                let accepted = timeout(ACCEPT, self.bound.accept()).await;
                let socket = accepted.map_err(|_| Fault::NoSigner)??;
                let handshake = timeout(READ_WRITE, socket.handshake()).await;
                self.last_exchange = Instant::now();
                let wire = handshake.map_err(|_| Fault::Handshake("timed out".to_owned()))??;
                self.accepted += 1;
                wire
            }
        };
        Ok(self.wire.insert(wire))
    }

    /// One request and its reply, once.
    pub async fn exchange(&mut self, request: Sum) -> Result<Option<Sum>, Fault> {
        let wire = self.accept().await?;
        let reply = wire.exchange(request).await;
        match &reply {
            Ok(_) => self.last_exchange = Instant::now(),
            Err(Fault::Timeout | Fault::Io(_) | Fault::Framing(FramingError::Io(_))) => {
                self.hang_up();
            }
            // As in Go, where io.EOF is no net.Error.
            Err(_) => {}
        }
        reply
    }

    /// The signer's key, once; both forms of the reply have to agree.
    pub async fn public_key(&mut self) -> Result<PublicKey, Fault> {
        let request = proto::PubKeyRequest { chain_id: self.chain.clone() };
        content::public_key(self.exchange(Sum::PubKeyRequest(request)).await?)
    }

    /// A ping, once.
    pub async fn ping(&mut self) -> Result<(), Fault> {
        match self.exchange(Sum::PingRequest(proto::PingRequest {})).await? {
            Some(Sum::PingResponse(_)) => Ok(()),
            other => Err(Fault::Unexpected(format!("{other:?}"))),
        }
    }

    /// Asks for a signature, with all the tries of a node. `extension`: `None` asks to skip it, as v1
    /// and v2 do where extensions are off; `Some`, perhaps empty, as every v0.38 to v0.40 does.
    pub async fn ask(&mut self, fields: &Fields, extension: Option<&[u8]>) -> Asked {
        self.ask_for(content::request(&self.chain, fields, extension)).await
    }

    /// The same for any request to sign.
    pub async fn ask_for(&mut self, request: Sum) -> Asked {
        let began = Instant::now();
        let mut reason = String::new();
        for retries in 0..TRIES {
            if retries > 0 {
                sleep(RETRY).await;
            }
            match self.exchange(request.clone()).await.and_then(content::outcome) {
                Ok(outcome) => return Asked { outcome, retries, took: began.elapsed() },
                Err(fault) => reason = fault.to_string(),
            }
        }
        let outcome = Outcome::Unanswered(reason);
        Asked { outcome, retries: TRIES, took: began.elapsed() }
    }

    /// Lets time pass as a node does between heights: pings a silent signer, takes a new one.
    pub async fn idle(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        loop {
            if self.wire.is_none() {
                let _ = timeout(end.saturating_duration_since(Instant::now()), self.accept()).await;
            }
            let ping = self.last_exchange + PING;
            if self.wire.is_none() || ping >= end {
                sleep_until(end).await;
                return;
            }
            sleep_until(ping).await;
            if self.ping().await.is_err() {
                self.last_exchange = Instant::now();
            }
        }
    }
}
