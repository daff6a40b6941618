//! Counts of what was answered.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use super::durations::Durations;
use super::status::{Counts, LastSigned};
use crate::signing::{Reply, Verdict};
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

/// One chain's counts.
#[derive(Clone, Debug, Default)]
pub(super) struct ChainTally {
    pub(super) kinds: BTreeMap<&'static str, KindTally>,
    /// By the rule's reason.
    pub(super) denied: BTreeMap<&'static str, u64>,
    /// Requests that were coordinated here, by more than one set: how many more.
    pub(super) hedged_sets: u64,
    last: Option<LastSigned>,
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
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
                let at = now.map(|now| now.as_secs()).unwrap_or_default();
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
            }
            Verdict::NotNow(_) | Verdict::GivenUp(_) => up(&mut kind.counts.failed),
        }
    }

    /// The counts of one chain, and what it signed last.
    #[must_use]
    pub fn of(&self, chain: &ChainId) -> (Counts, Option<LastSigned>) {
        let Some(chain) = self.chains.get(chain) else { return Default::default() };
        let mut all = Counts::default();
        for KindTally { counts, .. } in chain.kinds.values() {
            all.signed = all.signed.saturating_add(counts.signed);
            all.repeated = all.repeated.saturating_add(counts.repeated);
            all.denied = all.denied.saturating_add(counts.denied);
            all.failed = all.failed.saturating_add(counts.failed);
        }
        (all, chain.last.clone())
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
