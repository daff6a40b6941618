//! A validator that asks for what it is told to ask for, as CometBFT would.

use std::time::Duration;

use cosigner::privval::proto::message::Sum;
use cosigner::privval::{BlockId, Fields, VoteKind};
use cosigner::types::PublicKey;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::cluster::CHAIN;
use super::node::{Node, Outcome, RETRY, TRIES, content};

/// What a validator wants signed.
#[derive(Clone, Debug)]
pub struct Ask {
    /// Everything that is signed.
    pub fields: Fields,
    /// What goes with a precommit, on chains with vote extensions.
    pub extension: Option<Vec<u8>>,
    /// What v2 sends with the extension: bytes without replay protection.
    pub non_rp: Option<Vec<u8>>,
}

/// The three kinds of message, in the order of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `proposal`
    Proposal,
    /// `prevote`
    Prevote,
    /// `precommit`
    Precommit,
}

/// All of them.
pub const KINDS: [Kind; 3] = [Kind::Proposal, Kind::Prevote, Kind::Precommit];

impl Kind {
    /// CometBFT's number of the step.
    pub const fn step(self) -> u8 {
        match self {
            Self::Proposal => 1,
            Self::Prevote => 2,
            Self::Precommit => 3,
        }
    }
}

impl Ask {
    /// For the block with this hash, in round 0, now, without an extension.
    pub fn new(kind: Kind, height: i64, block: [u8; 32]) -> Self {
        let block = BlockId::new(Some(block), 1, Some(block));
        let fields = match kind {
            Kind::Proposal => content::proposal(height, 0, block),
            Kind::Prevote => content::vote(VoteKind::Prevote, height, 0, block),
            Kind::Precommit => content::vote(VoteKind::Precommit, height, 0, block),
        };
        Self { fields, extension: None, non_rp: None }
    }
}

/// How an ask ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// With a signature that is valid.
    Signed(content::Signed),
    /// With a `RemoteSignerError`.
    Refused(String),
    /// With a signature that is not valid for what was asked.
    Invalid(String),
    /// With nothing until the limit, or nobody was there to be asked.
    Silent,
}

/// One validator: listens, takes one cosigner's connection at a time, asks.
pub struct Asker {
    runtime: Runtime,
    node: Node,
    public_key: Option<PublicKey>,
    took: Duration,
    retries: u32,
}

impl Asker {
    /// On a free loopback port.
    pub fn listen() -> Self {
        Self::listen_as("tcp://127.0.0.1:0", CHAIN)
    }

    /// On `tcp://` or `unix://`.
    pub fn listen_on(address: &str) -> Self {
        Self::listen_as(address, CHAIN)
    }

    /// On a free loopback port, for another chain.
    pub fn listen_for(chain: &str) -> Self {
        Self::listen_as("tcp://127.0.0.1:0", chain)
    }

    fn listen_as(address: &str, chain: &str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let node = runtime.block_on(Node::listen(address, chain)).unwrap();
        Self { runtime, node, public_key: None, took: Duration::ZERO, retries: 0 }
    }

    /// What a cosigner dials.
    pub fn address(&self) -> String {
        self.node.address()
    }

    /// Connections that it has taken so far.
    pub fn accepted(&self) -> u32 {
        self.node.accepted()
    }

    /// The validator's public key, under which every signature is verified from now on.
    pub fn verify_with(&mut self, public_key: PublicKey) {
        self.public_key = Some(public_key);
    }

    /// Asks, and asks again as CometBFT does, until `limit` has passed.
    pub fn ask(&mut self, ask: &Ask, limit: Duration) -> Ending {
        let (chain, extension) = (self.node.chain().to_owned(), ask.extension.as_deref());
        let request = match &ask.non_rp {
            Some(raw) => {
                content::request_v2(&chain, &ask.fields, extension.unwrap_or_default(), raw)
            }
            None => content::request(&chain, &ask.fields, extension),
        };
        let asked = self.node.ask_for(request);
        let Ok(asked) = self.runtime.block_on(async { timeout(limit, asked).await }) else {
            // A late reply would be taken for the next one.
            self.node.hang_up();
            return Ending::Silent;
        };
        self.took = asked.took;
        self.retries += asked.retries;
        match asked.outcome {
            Outcome::Signed(signed) => self.verify(ask, signed),
            Outcome::Refused { description, .. } => Ending::Refused(description),
            Outcome::Unanswered(_) => Ending::Silent,
        }
    }

    /// One request, asked again while the reply is the zero-length one, as CometBFT does.
    pub fn exchange(&mut self, request: &Sum) -> Sum {
        let node = &mut self.node;
        self.runtime.block_on(async {
            for _ in 0..TRIES {
                if let Some(reply) = node.exchange(request.clone()).await.unwrap() {
                    return reply;
                }
                tokio::time::sleep(RETRY).await;
            }
            panic!("no answer to {request:?}")
        })
    }

    /// Asks for the public key, as a node does at its start.
    pub fn ask_public_key(&mut self, limit: Duration) -> Option<PublicKey> {
        let asked = self.node.public_key();
        self.runtime.block_on(async { timeout(limit, asked).await }).ok()?.ok()
    }

    /// From the first try of the last answered ask to its reply; without the verification.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Tries beyond the first, of all asks so far.
    pub fn retries(&self) -> u32 {
        self.retries
    }

    fn verify(&self, ask: &Ask, signed: content::Signed) -> Ending {
        let key = self.public_key.as_ref().expect("verify_with comes before ask");
        let (chain, extension) = (self.node.chain(), ask.extension.as_deref());
        let verified = match &ask.non_rp {
            Some(raw) => {
                let both = (extension.unwrap_or_default(), raw.as_slice());
                content::verify_v2(chain, key, &ask.fields, both, &signed)
            }
            None => content::verify(chain, key, &ask.fields, extension, &signed),
        };
        match verified {
            Ok(()) => Ending::Signed(signed),
            Err(error) => Ending::Invalid(error.to_string()),
        }
    }
}
