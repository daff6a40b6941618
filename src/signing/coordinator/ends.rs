//! How requests end: settled, repeated, denied, expired.

use std::collections::BTreeSet;
use std::time::Instant;

use super::{Coordinator, Deed, Origin, Present, find};
use crate::peer::{Outcome, SessionId, Signed};
use crate::signing::attempt::{Account, Ask, Attempt};
use crate::signing::lane::Lane;
use crate::signing::verified::Verified;
use crate::types::{ChainId, MemberId};

impl Coordinator {
    /// Denied means: the own rule, or more than n − t cosigners, said no.
    pub(in crate::signing) fn deny_if_refused(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        member: MemberId,
        present: Present<'_>,
    ) {
        let me = self.roster.me();
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        let spare = attempt.key.threshold.n() - attempt.key.threshold.t();
        if member != me && attempt.refusals.len() <= usize::from(spare) {
            return;
        }
        let denial = attempt.refusals.get(&me).or_else(|| attempt.refusals.values().next());
        let Some(denial) = denial.cloned() else { return };
        if let Some(attempt) = self.remove(chain, session) {
            self.finish_all(&attempt, &Outcome::Denied(denial));
        }
        self.release_held(chain, present);
    }

    pub(in crate::signing) fn settle_if_complete(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        present: Present<'_>,
    ) {
        let complete = find(&mut self.lanes, chain, session).is_some_and(|a| a.is_complete());
        let Some(mut attempt) = complete.then(|| self.remove(chain, session)).flatten() else {
            return;
        };
        let Some(vote) = attempt.vote.take() else { return };
        attempt.account.settled = Some(present.now);
        for (index, ask) in attempt.asks.iter().enumerate() {
            // All signatures of an extension, or none.
            let extension_signature = attempt.extension_signature();
            let extension_signature = extension_signature.filter(|_| ask.extension.is_some());
            let Some((signature, timestamp)) = vote.answers(&ask.fields) else { continue };
            let signed = Signed { signature, timestamp, extension_signature };
            let outcome = if index == 0 && !attempt.is_repeat {
                Outcome::Signed(signed)
            } else {
                Outcome::Repeated(signed)
            };
            self.finish(ask.origin, outcome, attempt.account.clone());
        }
        if !attempt.is_repeat {
            self.deeds.push(Deed::Settle(vote.settled(&attempt.key)));
        }
        self.learn(chain, vote);
        self.release_held(chain, present);
    }

    /// Answers a request without extension with the signature that is there.
    pub(in crate::signing) fn repeat(
        &mut self,
        chain: &ChainId,
        ask: &Ask,
        settled: &Verified,
        now: Instant,
    ) {
        let Some((signature, timestamp)) = settled.answers(&ask.fields) else { return };
        let mut account = Account::of(chain, &ask.fields, ask.received);
        account.settled = Some(now);
        let signed = Signed { signature, timestamp, extension_signature: None };
        self.finish(ask.origin, Outcome::Repeated(signed), account);
    }

    pub(in crate::signing) fn release_held(&mut self, chain: &ChainId, present: Present<'_>) {
        let Some(lane) = self.lanes.get_mut(chain) else { return };
        if !lane.is_recovered(self.epoch) {
            return;
        }
        for ask in std::mem::take(&mut lane.held) {
            self.ask(chain, ask, present);
        }
    }

    pub(in crate::signing) fn expire(&mut self, chain: &ChainId, session: SessionId, now: Instant) {
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        let expired: Vec<Ask> = attempt.asks.extract_if(.., |ask| ask.deadline <= now).collect();
        let (account, late) = (attempt.account.clone(), attempt.late());
        let abandoned = attempt.asks.is_empty();
        for ask in expired {
            let outcome = Outcome::Failed(no_quorum(&account, &late));
            self.finish(ask.origin, outcome, account.clone());
        }
        if abandoned {
            self.remove(chain, session);
        }
    }

    pub(in crate::signing) fn expire_held(&mut self, chain: &ChainId, now: Instant) {
        let Some(lane) = self.lanes.get_mut(chain) else { return };
        let expired: Vec<Ask> = lane.held.extract_if(.., |ask| ask.deadline <= now).collect();
        for ask in expired {
            let account = Account::of(chain, &ask.fields, ask.received);
            let outcome = Outcome::Failed(
                "too few members have said what they signed before: no quorum".to_owned(),
            );
            self.finish(ask.origin, outcome, account);
        }
    }

    /// The same end for everyone who waits for an attempt.
    pub(in crate::signing) fn finish_all(&mut self, attempt: &Attempt, outcome: &Outcome) {
        for ask in &attempt.asks {
            self.finish(ask.origin, outcome.clone(), attempt.account.clone());
        }
    }

    pub(in crate::signing) fn finish(
        &mut self,
        origin: Origin,
        outcome: Outcome,
        account: Account,
    ) {
        self.deeds.push(Deed::Finish { origin, outcome, account: Box::new(account) });
    }

    /// Opens further sets where the open ones are late; ends requests that nobody waits for.
    pub(in crate::signing) fn timer(&mut self, present: Present<'_>) {
        let now = present.now;
        for (chain, session) in self.sessions() {
            self.expire(&chain, session, now);
            let Some(attempt) = find(&mut self.lanes, &chain, session) else { continue };
            if attempt.hedge_at.is_some_and(|at| at <= now) {
                if attempt.key.is_whole() {
                    self.session_is_late(&chain, session, now);
                    continue;
                }
                attempt.hedges = attempt.hedges.saturating_add(1);
                for late in attempt.late() {
                    self.roster.suspect(late, now);
                }
                self.open_set(&chain, session, now);
            }
        }
        let chains: Vec<ChainId> = self.lanes.keys().cloned().collect();
        for chain in chains {
            self.expire_held(&chain, now);
            // What waited for an attempt that has ended without a signature may begin its own.
            self.release_held(&chain, present);
        }
        self.raw_timer(now);
    }

    /// When [`Self::timer`] wants to be called next.
    pub(in crate::signing) fn next_timer(&self) -> Option<Instant> {
        self.lanes.values().filter_map(Lane::next_timer).chain(self.next_raw_timer()).min()
    }
}

fn no_quorum(account: &Account, late: &BTreeSet<MemberId>) -> String {
    if account.sets == 0 {
        return "no quorum: too few members can be reached".to_owned();
    }
    let late: Vec<String> = late.iter().map(ToString::to_string).collect();
    format!("no quorum in time; no answer from member {}", late.join(", "))
}
