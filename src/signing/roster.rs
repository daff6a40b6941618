//! Who can be asked for shares, how fast each one is, and which of their nonces are at hand.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::estimate::Estimate;
use super::pool::Commitments;
use crate::frost::{NonceCommitment, RawCommitment};
use crate::peer::{Signer, SigningSet};
use crate::types::{Incarnation, MemberId};

/// An answer later than this marks its member as suspect whatever its own record says.
const SUSPICIOUS: Duration = Duration::from_millis(50);
/// A suspect is avoided for this long, then tried again.
const SUSPICION: Duration = Duration::from_secs(2);

/// All members as this node's coordinator sees them, itself included.
pub(super) struct Roster {
    me: MemberId,
    entries: BTreeMap<MemberId, Entry>,
}

struct Entry {
    incarnation: Option<Incarnation>,
    commitments: Commitments,
    estimate: Estimate,
    suspect_until: Option<Instant>,
    need_told: bool,
}

/// What a new set may be made of.
pub(super) struct Wanted<'a> {
    /// Signers in a set.
    pub(super) signers: usize,
    /// Nonces that each of them spends.
    pub(super) nonces: usize,
    /// Members that cannot help any more.
    pub(super) excluded: &'a BTreeSet<MemberId>,
    /// Members that were asked and have not answered in time.
    pub(super) late: &'a BTreeSet<MemberId>,
}

impl Roster {
    pub(super) fn new(
        me: MemberId,
        incarnation: Incarnation,
        members: &BTreeSet<MemberId>,
    ) -> Self {
        let entry = |&member: &MemberId| {
            let entry = Entry {
                incarnation: (member == me).then_some(incarnation),
                commitments: Commitments::default(),
                estimate: Estimate::default(),
                suspect_until: None,
                need_told: false,
            };
            (member, entry)
        };
        Self { me, entries: members.iter().map(entry).collect() }
    }

    pub(super) const fn me(&self) -> MemberId {
        self.me
    }

    pub(super) fn up(&mut self, member: MemberId, incarnation: Incarnation) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.incarnation = Some(incarnation);
            entry.commitments.clear();
            entry.suspect_until = None;
            entry.need_told = false;
        }
    }

    pub(super) fn down(&mut self, member: MemberId) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.incarnation = None;
            entry.commitments.clear();
        }
    }

    pub(super) fn incarnation(&self, member: MemberId) -> Option<Incarnation> {
        self.entries.get(&member)?.incarnation
    }

    /// Everyone who can be asked now, this node included.
    pub(super) fn reachable(&self) -> BTreeMap<MemberId, Incarnation> {
        let able = self.entries.iter().filter_map(|(&id, entry)| Some((id, entry.incarnation?)));
        able.collect()
    }

    pub(super) fn push_raw(&mut self, member: MemberId, commitments: Vec<RawCommitment>) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.commitments.push_raw(commitments);
            entry.need_told = false;
        }
    }

    pub(super) fn push_own(&mut self, commitments: Vec<NonceCommitment>) {
        if let Some(entry) = self.entries.get_mut(&self.me) {
            for commitment in commitments {
                entry.commitments.push(commitment);
            }
        }
    }

    /// Decodes one commitment that waits for it; `false` if none does.
    pub(super) fn decode_one(&mut self) -> bool {
        self.entries.values_mut().any(|entry| entry.commitments.decode_one().is_some())
    }

    /// Decodes as many commitments of a member as a set spends; `false` if it has too few good ones.
    fn make_ready(&mut self, member: MemberId, nonces: usize) -> bool {
        self.entries.get_mut(&member).is_some_and(|entry| entry.commitments.make_ready(nonces))
    }

    pub(super) fn take(&mut self, member: MemberId) -> Option<NonceCommitment> {
        self.entries.get_mut(&member)?.commitments.take()
    }

    /// Forgets commitments that the member says it does not know.
    pub(super) fn forget_commitments(&mut self, member: MemberId) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.commitments.clear();
            entry.need_told = false;
        }
    }

    /// Commitments at hand of the member that has fewest among those that can be reached.
    pub(super) fn fewest_commitments(&self) -> usize {
        let reachable = self.entries.values().filter(|entry| entry.incarnation.is_some());
        reachable.map(|entry| entry.commitments.len()).min().unwrap_or(0)
    }

    pub(super) fn sample(&mut self, member: MemberId, took: Duration, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.estimate.sample(took, now);
            entry.suspect_until = (took >= SUSPICIOUS).then(|| now + SUSPICION);
        }
    }

    pub(super) fn suspect(&mut self, member: MemberId, now: Instant) {
        if let Some(entry) = self.entries.get_mut(&member) {
            entry.suspect_until = Some(now + SUSPICION);
        }
    }

    pub(super) fn is_suspect(&self, member: MemberId, now: Instant) -> bool {
        self.entries.get(&member).is_some_and(|entry| entry.is_suspect(now))
    }

    /// How long a set of these members may take before another is opened.
    pub(super) fn patience(&self, members: &BTreeSet<MemberId>) -> Duration {
        let patience = members.iter().filter_map(|member| self.entries.get(member));
        patience.map(|entry| entry.estimate.patience()).max().unwrap_or_default()
    }

    /// The members of the best set that can be opened now: those not late, then not suspect, this
    /// node first, then the fastest.
    pub(super) fn choose(&self, wanted: &Wanted<'_>, now: Instant) -> Option<BTreeSet<MemberId>> {
        let able = self.entries.iter().filter(|(member, entry)| {
            entry.incarnation.is_some()
                && !wanted.excluded.contains(member)
                && entry.commitments.len() >= wanted.nonces
        });
        let mut ranked: Vec<_> = able
            .map(|(&member, entry)| {
                let late = wanted.late.contains(&member);
                let rank =
                    (late, entry.is_suspect(now), member != self.me, entry.estimate.expected(now));
                (rank, member)
            })
            .collect();
        ranked.sort_unstable();
        if ranked.len() < wanted.signers {
            return None;
        }
        Some(ranked.into_iter().take(wanted.signers).map(|(_, member)| member).collect())
    }

    /// As [`Self::choose`], with as many commitments of each member decoded as are `spent` at once.
    /// `None` also if a set of just these members is open: another would wait as long.
    pub(super) fn choose_ready(
        &mut self,
        wanted: &Wanted<'_>,
        spent: usize,
        is_open: impl Fn(&BTreeSet<MemberId>) -> bool,
        now: Instant,
    ) -> Option<BTreeSet<MemberId>> {
        loop {
            let members = self.choose(wanted, now)?;
            if is_open(&members) {
                return None;
            }
            // Who sent what does not decode is now short of commitments, so not chosen again for ever;
            // nobody else's are spent on it.
            if members.iter().all(|&member| self.make_ready(member, spent)) {
                return Some(members);
            }
        }
    }

    /// A set of these commitments as its members are told of it, each in its present life.
    pub(super) fn signing_set(
        &self,
        id: u32,
        commitments: &BTreeMap<MemberId, NonceCommitment>,
    ) -> SigningSet {
        let signer = |(&member, commitment): (&MemberId, &NonceCommitment)| {
            let incarnation = self.incarnation(member)?;
            Some((member, Signer { incarnation, commitment: commitment.raw() }))
        };
        SigningSet { id, signers: commitments.iter().filter_map(signer).collect() }
    }

    /// Reachable members whose commitments are short of `nonces` and that were not yet told so.
    pub(super) fn short_of(&mut self, nonces: usize) -> Vec<MemberId> {
        let short = self.entries.iter_mut().filter(|(_, entry)| {
            entry.incarnation.is_some() && entry.commitments.len() < nonces && !entry.need_told
        });
        short
            .map(|(&member, entry)| {
                entry.need_told = true;
                member
            })
            .collect()
    }
}

impl Entry {
    fn is_suspect(&self, now: Instant) -> bool {
        self.suspect_until.is_some_and(|until| until > now)
    }
}
