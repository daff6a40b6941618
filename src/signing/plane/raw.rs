//! Raw bytes on this node: requests of its validators, orders of other members, the whole key.

use std::time::{Duration, Instant};

use rand_core::TryCryptoRng;
use tracing::{error, warn};

use super::keys::{InUse, Use};
use super::{Effect, Plane};
use crate::backend::KeyFault;
use crate::peer::{Message, RawAnswerBody, RawOrder, SessionId};
use crate::privval::{RawAllowed, RawMessage};
use crate::signing::coordinator::{ATTEMPT, Present};
use crate::signing::raw::RawAsk;
use crate::signing::raw_share::RawReleased;
use crate::signing::withheld::Caller;
use crate::types::{ChainId, MemberId, Signature};

/// A member that asks for what it is refused is logged once for each reason, and not more often.
const TELL_EVERY: Duration = Duration::from_secs(10);

impl<R: TryCryptoRng> Plane<R> {
    pub(super) fn ask_raw(&mut self, ticket: u64, chain: ChainId, message: RawMessage) {
        let (received, deadline) = (self.now, self.now + ATTEMPT);
        let ask = RawAsk { ticket, chain, message, received, deadline };
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        self.coordinator.ask_raw(ask, present);
    }

    /// The member's side. What is admitted waits for [`Self::work_raw`].
    pub(super) fn raw_order(&mut self, from: MemberId, caller: Caller, order: RawOrder) {
        match self.participant.admit_raw(caller, order, self.raw_work.len()) {
            Ok(work) => self.raw_work.push_back(work),
            Err(refusal) => self.give_raw(from, *refusal),
        }
        self.top_up(caller);
    }

    /// Whether [`Self::work_raw`] has something to do.
    #[must_use]
    pub fn has_raw_work(&self) -> bool {
        !self.raw_work.is_empty()
    }

    /// Computes the shares of one admitted order for raw bytes; `false` if none waits. To be called
    /// where nothing else is to be done: votes never wait for it.
    pub fn work_raw(&mut self, now: Instant) -> bool {
        let Some(work) = self.raw_work.pop_front() else { return false };
        self.now = now;
        let released = self.participant.compute_raw(work);
        self.give_raw(self.me, released);
        self.do_deeds();
        true
    }

    fn give_raw(&mut self, from: MemberId, released: RawReleased) {
        let (caller, answer) = released.into_parts();
        if let RawAnswerBody::Refused(why) = &answer.body {
            self.note_refused(from, why);
        }
        match caller {
            Caller::Link(link) => self.send_on(link, Message::RawAnswer(answer)),
            Caller::Own => {
                let present = Present { own: &self.participant, now: self.now, wall: self.wall };
                self.coordinator.raw_answer(self.me, answer, present);
            }
        }
    }

    /// An honest coordinator has the same settings, and has looked at the bytes itself.
    fn note_refused(&mut self, from: MemberId, why: &str) {
        let told = self.raw_refused.get(&from);
        if told.is_none_or(|(told, at)| told != why && self.now >= *at + TELL_EVERY) {
            warn!(member = %from, %why, "a member has asked for a share of raw bytes, and got none");
            self.raw_refused.insert(from, (why.to_owned(), self.now));
        }
    }

    /// Puts a receipt behind everything that votes want of the key.
    pub(super) fn sign_raw(&mut self, chain: ChainId, session: SessionId, allowed: RawAllowed) {
        let Some(desk) = self.desks.get_mut(&chain) else { return };
        // What nobody waits for any more makes room: a key that hangs collects nothing.
        desk.raw.retain(|(session, _)| self.coordinator.waits_for_raw(*session));
        if let Some(InUse { is_late: true, since, .. }) = &desk.in_use {
            let waited = self.now.saturating_duration_since(*since);
            return self.coordinator.raw_failed(session, &KeyFault::NoAnswer { waited });
        }
        desk.raw.push_back((session, allowed));
        self.next_use(chain);
    }

    /// Receipts that wait for a key.
    #[cfg(test)]
    pub(in crate::signing) fn raw_at_desk(&self, chain: &ChainId) -> usize {
        self.desks.get(chain).map_or(0, |desk| desk.raw.len())
    }

    /// A key that is free does what waits for it: votes first, then raw bytes that somebody waits for.
    pub(super) fn next_use(&mut self, chain: ChainId) {
        let Some(desk) = self.desks.get_mut(&chain).filter(|desk| desk.in_use.is_none()) else {
            return;
        };
        if let Some((content, granted)) = desk.next.take() {
            return self.use_key(chain, content, granted);
        }
        while let Some((session, allowed)) = desk.raw.pop_front() {
            if self.coordinator.waits_for_raw(session) {
                let of = Use::Raw(session);
                desk.in_use = Some(InUse { of, since: self.now, is_late: false });
                self.effects.push(Effect::SignRaw { chain, allowed });
                return;
            }
        }
    }

    /// The key's thread is done with raw bytes.
    pub(super) fn key_used_raw(&mut self, chain: ChainId, result: Result<Signature, KeyFault>) {
        let Some(desk) = self.desks.get_mut(&chain) else { return };
        let Some(InUse { of: Use::Raw(session), .. }) = desk.in_use.take() else { return };
        let known = desk.fault().cloned();
        let result =
            result.and_then(|signature| self.coordinator.raw_signed(session, signature, self.now));
        if let Err(fault) = &result {
            if *fault == KeyFault::BadSignature && known.as_ref() != Some(fault) {
                error!(%chain, "the key's backend {fault}");
            }
            self.coordinator.raw_failed(session, fault);
        }
        if !result.as_ref().is_err_and(KeyFault::is_of_the_request) {
            self.key_health(&chain, result);
        }
        self.next_use(chain);
    }
}
