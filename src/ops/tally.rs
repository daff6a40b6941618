//! Counts of what was answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::durations::Durations;
use super::status::{Counts, LastDenied, LastSigned, RawCounts};
use crate::signing::{RawReply, RawVerdict, Reply, Verdict};
use crate::types::{ChainId, MemberId};

/// The kinds of request; each is counted from the start, so that the first of a kind is a change.
const KINDS: [&str; 3] = ["proposal", "prevote", "precommit"];

/// What was answered since the start, by chain. Nothing here grows with what validators send: chains
/// come from the settings, kinds and reasons are few words.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    chains: BTreeMap<ChainId, ChainTally>,
    bad_shares: BTreeMap<MemberId, u64>,
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

/// One chain's counts.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainTally {
    pub(super) kinds: BTreeMap<&'static str, KindTally>,
    /// By the rule's reason.
    pub(super) denied: BTreeMap<&'static str, u64>,
    /// Requests that were coordinated here, by more than one set: how many more.
    pub(super) hedged_sets: u64,
    last: Option<LastSigned>,
    last_denied: Option<LastDenied>,
    raw: RawCounts,
}

/// One kind of request.
#[derive(Clone, Debug, Default)]
pub(super) struct KindTally {
    pub(super) counts: Counts,
    /// When the last one was signed, in seconds since the Unix epoch.
    pub(super) last_at: Option<u64>,
    pub(super) took: Phases,
}

/// How long new signatures took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Phases {
    /// From the request to its answer.
    pub(super) total: Durations,
    /// From the request to the first order; where it was coordinated.
    pub(super) order: Durations,
    /// From there to the complete signature; where it was coordinated.
    pub(super) shares: Durations,
}

impl Tally {
    /// Nothing answered yet, for these chains; `reasons` are those of denials.
    #[must_use]
    pub fn new<'c>(
        chains: impl IntoIterator<Item = &'c ChainId>,
        reasons: &[&'static str],
    ) -> Self {
        let fresh = ChainTally {
            kinds: KINDS.iter().map(|kind| (*kind, KindTally::default())).collect(),
            denied: reasons.iter().map(|reason| (*reason, 0)).collect(),
            ..ChainTally::default()
        };
        let chains = chains.into_iter().map(|chain| (chain.clone(), fresh.clone())).collect();
        Self { chains, bad_shares: BTreeMap::new() }
    }

    /// Counts one reply that was given at this time.
    pub fn count(&mut self, reply: &Reply, answered: Instant) {
        let account = &reply.account;
        for culprit in &account.culprits {
            up(self.bad_shares.entry(*culprit).or_default());
        }
        let chain = self.chains.entry(account.chain.clone()).or_default();
        let more = u64::from(account.sets.saturating_sub(1));
        chain.hedged_sets = chain.hedged_sets.saturating_add(more);
        let kind = chain.kinds.entry(account.kind.name()).or_default();
        match &reply.verdict {
            Verdict::Signed(_) => {
                up(&mut kind.counts.signed);
                kind.took.observe(reply, answered);
                let at = now();
                kind.last_at = Some(at);
                chain.last = Some(LastSigned {
                    height: account.hrs.height.get(),
                    round: account.hrs.round.get(),
                    step: account.hrs.step.number(),
                    kind: account.kind.name().to_owned(),
                    at,
                });
            }
            Verdict::Repeated(_) => up(&mut kind.counts.repeated),
            Verdict::Denied(denial) => {
                up(&mut kind.counts.denied);
                up(chain.denied.entry(denial.reason()).or_default());
                chain.last_denied = Some(LastDenied {
                    reason: denial.reason().to_owned(),
                    text: denial.to_string(),
                    height: account.hrs.height.get(),
                    round: account.hrs.round.get(),
                    step: account.hrs.step.number(),
                    at: now(),
                });
            }
            Verdict::NotNow(_) | Verdict::GivenUp(_) => up(&mut kind.counts.failed),
        }
    }

    /// Counts one reply about raw bytes.
    pub fn count_raw(&mut self, reply: &RawReply) {
        let raw = &mut self.chains.entry(reply.account.chain.clone()).or_default().raw;
        up(match &reply.verdict {
            RawVerdict::Signed(_) => &mut raw.signed,
            RawVerdict::Refused(_) => &mut raw.refused,
            RawVerdict::NotNow(_) => &mut raw.failed,
        });
    }

    /// The counts of one chain's raw bytes.
    #[must_use]
    pub fn raw_of(&self, chain: &ChainId) -> RawCounts {
        self.chains.get(chain).map(|chain| chain.raw).unwrap_or_default()
    }

    /// What was answered for one chain.
    #[must_use]
    pub fn of(&self, chain: &ChainId) -> Answered {
        let Some(chain) = self.chains.get(chain) else { return Answered::default() };
        let mut counts = Counts::default();
        for kind in chain.kinds.values().map(|kind| &kind.counts) {
            counts.signed = counts.signed.saturating_add(kind.signed);
            counts.repeated = counts.repeated.saturating_add(kind.repeated);
            counts.denied = counts.denied.saturating_add(kind.denied);
            counts.failed = counts.failed.saturating_add(kind.failed);
        }
        let (last_signed, last_denied) = (chain.last.clone(), chain.last_denied.clone());
        Answered { counts, last_signed, last_denied }
    }

    pub(super) const fn chains(&self) -> &BTreeMap<ChainId, ChainTally> {
        &self.chains
    }

    /// Shares of this member that did not verify.
    pub(super) fn bad_shares(&self, member: u16) -> u64 {
        let of = |(id, count): (&MemberId, &u64)| (id.get() == member).then_some(*count);
        self.bad_shares.iter().find_map(of).unwrap_or_default()
    }
}

impl Phases {
    fn observe(&mut self, reply: &Reply, answered: Instant) {
        let account = &reply.account;
        let between = |from: Instant, to: Instant| to.saturating_duration_since(from);
        self.total.observe(between(account.received, answered));
        let ordered: Option<Duration> = account.ordered.map(|at| between(account.received, at));
        ordered.into_iter().for_each(|took| self.order.observe(took));
        let shares = account.ordered.zip(account.settled).map(|(from, to)| between(from, to));
        shares.into_iter().for_each(|took| self.shares.observe(took));
    }
}

fn up(count: &mut u64) {
    *count = count.saturating_add(1);
}

/// Seconds since the Unix epoch, shown to people.
fn now() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map(|now| now.as_secs()).unwrap_or_default()
}
