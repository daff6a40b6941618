//! Signing sets: opened, sent, lost, opened again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use tracing::warn;

use super::{Coordinator, Deed, Present, find};
use crate::frost::{NonceCommitment, RawCommitment};
use crate::peer::{Order, SessionId};
use crate::signing::attempt::{Attempt, OpenSet, Part, Round, allowance, says_speed};
use crate::signing::roster::{Roster, Wanted};
use crate::signing::task::Packages;
use crate::types::{ChainId, MemberId};

/// Sessions whose send times are kept, to learn from late answers.
const REMEMBERED_SESSIONS: usize = 128;

/// Signing sets of one attempt, hedges included: a bound on CPU and nonces per request.
const MOST_SETS: u32 = 12;

/// While no further set can be opened, who has answered is looked at again after this at first,
const LOOK_AGAIN_FIRST: Duration = Duration::from_millis(10);

/// and after this at last.
const LOOK_AGAIN_LAST: Duration = Duration::from_millis(100);

impl Coordinator {
    /// Opens the best set that can be had, and at once a second one if the first needs a suspect.
    pub(in crate::signing) fn open_set(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        now: Instant,
    ) {
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        if attempt.key.is_whole() {
            return self.open_session(chain, session, now);
        }
        let mut opened = Vec::with_capacity(2);
        if let Some(first) = open(&mut self.roster, attempt, now) {
            opened.push(first);
            let me = self.roster.me();
            let members = attempt.sets.get(first).map(|set| set.members.clone());
            let members = members.unwrap_or_default();
            let suspect =
                members.iter().any(|&member| member != me && self.roster.is_suspect(member, now));
            if suspect && let Some(second) = open(&mut self.roster, attempt, now) {
                opened.push(second);
            }
            let patience = self.roster.patience(&members) * 2_u32.pow(attempt.hedges.min(5));
            attempt.hedge_at = Some(now + patience + allowance(attempt.extension.as_ref()));
        } else if attempt.has_live_set() {
            // Whoever answers until then can make a new set with the others: never only wait.
            let patience = self.roster.patience(&attempt.late());
            let patience = patience * 2_u32.pow(attempt.hedges.min(5));
            attempt.hedge_at = Some(now + patience.clamp(LOOK_AGAIN_FIRST, LOOK_AGAIN_LAST));
        } else {
            attempt.hedge_at = None;
        }
        for to in self.roster.short_of(attempt.wanted().len()) {
            self.deeds.push(Deed::Need { to });
        }
        if !opened.is_empty() {
            attempt.account.ordered.get_or_insert(now);
            let orders = orders(attempt, &opened, &self.roster);
            let packages = to_prepare(attempt, &opened, self.roster.me());
            self.send(session, orders, now);
            self.deeds.extend(packages.map(Deed::Prepare));
        }
    }

    /// Other members' orders first: the own share is computed while they travel.
    pub(in crate::signing) fn send(
        &mut self,
        session: SessionId,
        orders: BTreeMap<MemberId, Order>,
        now: Instant,
    ) {
        let me = self.roster.me();
        let (own, others): (Vec<_>, Vec<_>) = orders.into_iter().partition(|(to, _)| *to == me);
        for (to, order) in others.into_iter().chain(own) {
            if order.extension.as_ref().is_none_or(says_speed) {
                self.note_sent(session, to, now);
            }
            self.deeds.push(Deed::Order { to, order });
        }
    }

    /// To learn how fast a member is from its answer.
    pub(in crate::signing) fn note_sent(&mut self, session: SessionId, to: MemberId, now: Instant) {
        if self.sent.back().is_none_or(|(last, _)| *last != session) {
            self.sent.push_back((session, BTreeMap::new()));
            if self.sent.len() > REMEMBERED_SESSIONS {
                self.sent.pop_front();
            }
        }
        if let Some((_, times)) = self.sent.back_mut() {
            times.entry(to).or_insert(now);
        }
    }

    /// A member has too much to do for these sets: a moment later it may have time, so it is neither
    /// excluded nor asked again at once.
    pub(in crate::signing) fn busy(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        member: MemberId,
        sets: &[u32],
        now: Instant,
    ) {
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        if attempt.key.is_whole() {
            return self.lost_grant(chain, session, member, now);
        }
        attempt.end_sets(member, sets);
        if !attempt.is_complete() && !attempt.has_live_set() {
            attempt.hedge_at = Some(now + LOOK_AGAIN_FIRST * 2_u32.pow(attempt.hedges.min(5)));
        }
    }

    /// These sets (or all, where none is named) of the member cannot complete: opens another.
    pub(in crate::signing) fn lost(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        member: MemberId,
        sets: &[u32],
        exclude: bool,
        present: Present<'_>,
    ) {
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        if attempt.key.is_whole() {
            return self.lost_grant(chain, session, member, present.now);
        }
        attempt.end_sets(member, sets);
        if exclude {
            attempt.excluded.insert(member);
        }
        if !attempt.is_complete() && !attempt.has_live_set() {
            self.open_set(chain, session, present.now);
        }
    }

    /// Opens sets for attempts that could not open one before.
    pub(in crate::signing) fn retry(&mut self, now: Instant) {
        for (chain, session) in self.sessions() {
            let idle = find(&mut self.lanes, &chain, session).is_some_and(|attempt| {
                let stuck = attempt.key.is_whole() || !attempt.has_live_set();
                stuck && !attempt.is_complete()
            });
            if idle {
                self.open_set(&chain, session, now);
            }
        }
    }

    pub(in crate::signing) fn sessions(&self) -> Vec<(ChainId, SessionId)> {
        let all = self.lanes.iter().flat_map(|(chain, lane)| {
            lane.attempts.iter().map(|attempt| (chain.clone(), attempt.session))
        });
        all.collect()
    }

    pub(in crate::signing) fn remove(
        &mut self,
        chain: &ChainId,
        session: SessionId,
    ) -> Option<Attempt> {
        let lane = self.lanes.get_mut(chain)?;
        let index = lane.attempts.iter().position(|attempt| attempt.session == session)?;
        Some(lane.attempts.swap_remove(index))
    }

    pub(in crate::signing) fn next_session(&mut self) -> SessionId {
        self.sessions = self.sessions.wrapping_add(1);
        let id = u128::from(self.session_base) << 64 | u128::from(self.sessions);
        SessionId(id.to_be_bytes())
    }

    /// Names who sent a bad share and signs without them.
    pub(in crate::signing) fn blame(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        culprits: &BTreeSet<MemberId>,
        present: Present<'_>,
    ) {
        for &culprit in culprits {
            warn!(%chain, member = %culprit, "a member sent a share that does not verify");
            self.roster.suspect(culprit, present.now);
            if let Some(attempt) = find(&mut self.lanes, chain, session) {
                attempt.account.culprits.push(culprit);
            }
            self.lost(chain, session, culprit, &[], true, present);
        }
    }

    /// A decoded commitment of an open set of this session.
    pub(in crate::signing) fn known(
        &self,
        chain: &ChainId,
        session: SessionId,
        raw: &RawCommitment,
    ) -> Option<NonceCommitment> {
        let lane = self.lanes.get(chain)?;
        lane.attempts.iter().find(|attempt| attempt.session == session)?.known(raw)
    }
}

/// Opens one more set for an attempt and returns its index.
fn open(roster: &mut Roster, attempt: &mut Attempt, now: Instant) -> Option<usize> {
    if attempt.account.sets >= MOST_SETS {
        return None;
    }
    let parts = attempt.wanted();
    let late = attempt.late();
    let wanted = Wanted {
        signers: usize::from(attempt.key.threshold.t()),
        nonces: parts.len(),
        excluded: &attempt.excluded,
        late: &late,
    };
    let is_open = |members: &BTreeSet<MemberId>| {
        attempt.sets.iter().any(|set| !set.dead && set.members == *members)
    };
    let members = roster.choose_ready(&wanted, wanted.nonces, is_open, now)?;
    let mut rounds = Vec::with_capacity(parts.len());
    for part in parts {
        let mut commitments = BTreeMap::new();
        for &member in &members {
            commitments.insert(member, roster.take(member)?);
        }
        rounds.push(Round::new(attempt.next_set, part, commitments));
        attempt.next_set = attempt.next_set.wrapping_add(1);
    }
    attempt.account.sets = attempt.account.sets.saturating_add(1);
    let answered = BTreeSet::new();
    attempt.sets.push(OpenSet { members, answered, rounds, dead: false });
    attempt.sets.len().checked_sub(1)
}

/// One order for each member of the opened sets, with all the sets that it is in.
fn orders(attempt: &mut Attempt, opened: &[usize], roster: &Roster) -> BTreeMap<MemberId, Order> {
    let sets = opened.iter().filter_map(|&index| attempt.sets.get(index));
    let members: BTreeSet<MemberId> = sets.flat_map(|set| set.members.iter().copied()).collect();
    let order = |member| {
        let extension = attempt.carry(member, roster.me());
        let signing_sets = |part: Part| {
            let sets = opened.iter().filter_map(|&index| attempt.sets.get(index));
            let sets = sets.filter(|set| set.members.contains(&member));
            let rounds = sets.flat_map(|set| &set.rounds).filter(|round| round.part == part);
            rounds.map(|round| roster.signing_set(round.id, &round.commitments)).collect()
        };
        let order = Order {
            session: attempt.session,
            chain: attempt.key.chain.clone(),
            key: attempt.key.id,
            setup: attempt.key.setup,
            fields: attempt.fields.clone(),
            sets: signing_sets(Part::Vote),
            extension,
            extension_sets: signing_sets(Part::Extension),
            non_rp_sets: signing_sets(Part::NonRp),
        };
        (member, order)
    };
    members.into_iter().map(order).collect()
}

/// What the opened sets without this member need to be aggregated, where it takes long to compute: a
/// member of a set gets it with its own share.
fn to_prepare(attempt: &mut Attempt, opened: &[usize], me: MemberId) -> Option<Packages> {
    if !attempt.is_long() {
        return None;
    }
    let mut rounds = Vec::new();
    for &index in opened {
        let without = attempt.sets.get_mut(index).filter(|set| !set.members.contains(&me));
        for round in without.into_iter().flat_map(|set| &mut set.rounds) {
            round.awaits_package = true;
            rounds.push((round.id, round.part, round.commitments.clone()));
        }
    }
    let (key, fields) = (attempt.key.clone(), attempt.fields.clone());
    let (session, extension) = (attempt.session, attempt.extension.clone());
    (!rounds.is_empty()).then_some(Packages { key, session, fields, extension, rounds })
}
