//! A chain whose only validator is this node: proposal, prevote and precommit for each height.

use std::fmt;
use std::time::Duration;

use cosigner::privval::{Fields, VoteKind};
use cosigner::types::PublicKey;
use tokio::time::Instant;

use super::content::{self, WrongSignature};
use super::{Fault, Node, Outcome};

/// What to run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The first height.
    pub height: i64,
    /// How many heights; `None`: without end.
    pub blocks: Option<u64>,
    /// Between two heights.
    pub interval: Duration,
    /// Length in bytes of each height's vote extension; `None`: extensions are off.
    pub extension_bytes: Option<usize>,
    /// The key that the signer must have; `None`: the first one it shows.
    pub public_key: Option<PublicKey>,
    /// How long one height may take, all rounds and lost signers included.
    pub patience: Duration,
}

/// One finished height.
#[derive(Clone, Debug)]
pub struct Block {
    /// The height.
    pub height: i64,
    /// The round that all three signatures are from.
    pub round: i32,
    /// Proposal, prevote and precommit: from the first try to the reply.
    pub took: [Duration; 3],
    /// Tries beyond the first, in all rounds.
    pub retries: u32,
    /// Error replies, each of which cost a round.
    pub refused: u32,
    /// Address of the signer's end of the connection.
    pub signer: String,
}

/// What came of it all.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// Heights.
    pub blocks: u64,
    /// Verified signatures, those of extensions included.
    pub signatures: u64,
    /// Tries beyond the first.
    pub retries: u64,
    /// Error replies.
    pub refused: u64,
    /// Connections accepted.
    pub connections: u32,
    /// Each request's time, unsorted.
    pub took: Vec<Duration>,
}

/// Why the chain stopped.
#[derive(Debug, thiserror::Error)]
pub enum Stopped {
    /// The worst that a signer can do.
    #[error(transparent)]
    Wrong(#[from] WrongSignature),
    /// The signer shows another key.
    #[error("the signer's key is {found:?}, not {expected:?}")]
    Key {
        /// As configured, or as shown before.
        expected: PublicKey,
        /// As shown now.
        found: PublicKey,
    },
    /// No signature in time.
    #[error("no block at height {height} within {} s; last: {reason}", patience.as_secs())]
    Stalled {
        /// Where.
        height: i64,
        /// How long it took.
        patience: Duration,
        /// The last failure.
        reason: String,
    },
}

/// Runs the plan; `each` sees every finished height.
pub async fn drive(
    node: &mut Node,
    plan: &Plan,
    summary: &mut Summary,
    mut each: impl FnMut(&Block),
) -> Result<(), Stopped> {
    let mut key = plan.public_key.clone();
    let mut height = plan.height;
    while plan.blocks.is_none_or(|blocks| summary.blocks < blocks) {
        let began = Instant::now();
        let (mut round, mut refused) = (0, 0);
        let mut trouble = Trouble { retries: 0, last: "no signer has connected".to_owned() };
        let took = loop {
            let step = one_round(node, plan, &mut key, (height, round), &mut trouble);
            let left = plan.patience.saturating_sub(began.elapsed());
            let reason = match tokio::time::timeout(left, step).await {
                Ok(Ok(took)) => break took,
                Ok(Err(Interrupted::Stop(stopped))) => return Err(stopped),
                Ok(Err(Interrupted::Refused(reason))) => {
                    refused += 1;
                    // As after a refused vote on a larger chain: the round passes without us.
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    reason
                }
                Ok(Err(Interrupted::Unanswered(reason))) => reason,
                Err(_) => trouble.last.clone(),
            };
            summary.connections = node.accepted();
            if began.elapsed() >= plan.patience {
                return Err(Stopped::Stalled { height, patience: plan.patience, reason });
            }
            round += 1;
        };
        let signer = node.wire().map(|wire| wire.signer.clone()).unwrap_or_default();
        let extensions = u64::from(plan.extension_bytes.is_some());
        let retries = trouble.retries;
        summary.blocks += 1;
        summary.signatures += 3 + extensions;
        summary.retries += u64::from(retries);
        summary.refused += u64::from(refused);
        summary.connections = node.accepted();
        summary.took.extend(took);
        each(&Block { height, round, took, retries, refused, signer });
        height += 1;
        node.idle(plan.interval).await;
    }
    Ok(())
}

/// What went wrong at one height, and was tried again.
struct Trouble {
    retries: u32,
    last: String,
}

enum Interrupted {
    Stop(Stopped),
    Refused(String),
    Unanswered(String),
}

/// The four requests of a round.
async fn one_round(
    node: &mut Node,
    plan: &Plan,
    key: &mut Option<PublicKey>,
    (height, round): (i64, i32),
    trouble: &mut Trouble,
) -> Result<[Duration; 3], Interrupted> {
    let key = confirm_key(node, key, trouble).await?;
    let block = content::block(height.cast_unsigned());
    let extension = plan.extension_bytes.map(|length| vec![0xe7; length]);
    let mut took = [Duration::ZERO; 3];
    for (step, took) in took.iter_mut().enumerate() {
        // Made only now: each has its own time.
        let fields: Fields = match step {
            0 => content::proposal(height, round, block.clone()),
            1 => content::vote(VoteKind::Prevote, height, round, block.clone()),
            _ => content::vote(VoteKind::Precommit, height, round, block.clone()),
        };
        let extension = extension.as_deref().filter(|_| fields.may_carry_extension());
        let asked = node.ask(&fields, extension).await;
        trouble.retries += asked.retries;
        *took = asked.took;
        match asked.outcome {
            Outcome::Signed(signed) => {
                content::verify(node.chain(), &key, &fields, extension, &signed)
                    .map_err(|wrong| Interrupted::Stop(wrong.into()))?;
            }
            Outcome::Refused { description, .. } => return Err(Interrupted::Refused(description)),
            Outcome::Unanswered(reason) => return Err(Interrupted::Unanswered(reason)),
        }
    }
    Ok(took)
}

/// Asked for at each height, as consensus does; it never changes.
async fn confirm_key(
    node: &mut Node,
    known: &mut Option<PublicKey>,
    trouble: &mut Trouble,
) -> Result<PublicKey, Interrupted> {
    let found = loop {
        match node.public_key().await {
            Ok(found) => break found,
            Err(Fault::NoSigner) => {}
            Err(fault) => {
                trouble.retries += 1;
                trouble.last = fault.to_string();
                tokio::time::sleep(super::RETRY).await;
            }
        }
    };
    match known {
        Some(expected) if *expected != found => {
            let expected = expected.clone();
            Err(Interrupted::Stop(Stopped::Key { expected, found }))
        }
        _ => Ok(known.insert(found).clone()),
    }
}

impl Summary {
    /// The time that this share (0.5, 0.99) of all requests did not exceed.
    pub fn percentile(&self, share: f64) -> Duration {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let rank = (share * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [proposal, prevote, precommit] = self.took.map(milliseconds);
        let Self { height, round, retries, refused, signer, .. } = self;
        write!(f, "height={height} round={round} ")?;
        write!(
            f,
            "proposal_ms={proposal:.2} prevote_ms={prevote:.2} precommit_ms={precommit:.2} "
        )?;
        write!(f, "retries={retries} refused={refused}")?;
        if signer.is_empty() { Ok(()) } else { write!(f, " signer={signer}") }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { blocks, signatures, retries, refused, connections, .. } = self;
        write!(f, "summary blocks={blocks} signatures={signatures} ")?;
        write!(f, "retries={retries} refused={refused} connections={connections} ")?;
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| milliseconds(self.percentile(share)));
        write!(f, "p50_ms={p50:.2} p90_ms={p90:.2} p99_ms={p99:.2}")
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
