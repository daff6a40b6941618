//! Counts of what was answered.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::status::{Counts, LastDenied, LastSigned, RawCounts};
use crate::signing::{RawReply, RawVerdict, Reply, Verdict};
use crate::types::ChainId;

/// What was answered since the start, by chain.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    chains: BTreeMap<ChainId, Answered>,
    raw: BTreeMap<ChainId, RawCounts>,
}

/// What was answered for one chain.
#[derive(Clone, Debug, Default)]
pub struct Answered {
    /// How often, by outcome.
    pub counts: Counts,
    /// The last signature.
    pub last_signed: Option<LastSigned>,
    /// The last denial.
    pub last_denied: Option<LastDenied>,
}

impl Tally {
    /// Counts one reply.
    pub fn count(&mut self, reply: &Reply) {
        let account = &reply.account;
        let answered = self.chains.entry(account.chain.clone()).or_default();
        let Answered { counts, last_signed, last_denied } = answered;
        let now = || {
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            now.map(|now| now.as_secs()).unwrap_or_default()
        };
        let count = match &reply.verdict {
            Verdict::Signed(_) => {
                *last_signed = Some(LastSigned {
                    height: account.hrs.height.get(),
                    round: account.hrs.round.get(),
                    step: account.hrs.step.number(),
                    kind: account.kind.name().to_owned(),
                    at: now(),
                });
                &mut counts.signed
            }
            Verdict::Repeated(_) => &mut counts.repeated,
            Verdict::Denied(denial) => {
                *last_denied = Some(LastDenied {
                    reason: denial.reason().to_owned(),
                    text: denial.to_string(),
                    height: account.hrs.height.get(),
                    round: account.hrs.round.get(),
                    step: account.hrs.step.number(),
                    at: now(),
                });
                &mut counts.denied
            }
            Verdict::NotNow(_) | Verdict::GivenUp(_) => &mut counts.failed,
        };
        *count = count.saturating_add(1);
    }

    /// Counts one reply about raw bytes.
    pub fn count_raw(&mut self, reply: &RawReply) {
        let counts = self.raw.entry(reply.account.chain.clone()).or_default();
        let count = match &reply.verdict {
            RawVerdict::Signed(_) => &mut counts.signed,
            RawVerdict::Refused(_) => &mut counts.refused,
            RawVerdict::NotNow(_) => &mut counts.failed,
        };
        *count = count.saturating_add(1);
    }

    /// The counts of one chain's raw bytes.
    #[must_use]
    pub fn raw_of(&self, chain: &ChainId) -> RawCounts {
        self.raw.get(chain).copied().unwrap_or_default()
    }

    /// What was answered for one chain.
    #[must_use]
    pub fn of(&self, chain: &ChainId) -> Answered {
        self.chains.get(chain).cloned().unwrap_or_default()
    }
}
