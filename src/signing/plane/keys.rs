//! Whole keys: one use at a time, votes before raw bytes, and whether this node's way to a key works.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rand_core::TryCryptoRng;
use tracing::{error, info, warn};

use super::{Effect, Plane};
use crate::backend::{Granted, KeyFault, Signatures};
use crate::peer::{Outcome, SessionId};
use crate::privval::{Extension, RawAllowed};
use crate::signing::coordinator::{Content, Present};
use crate::signing::task::Task;
use crate::signing::verified::Made;
use crate::types::{ChainId, MemberId};

/// A key that has not answered for this long is reported as such, and another member is asked to sign.
/// Short of the attempt's own deadline, so that there is time for that.
const KEY_PATIENCE: Duration = Duration::from_millis(500);

/// A leader whose key has failed for this long gives leadership up,
const HAND_OVER_AFTER: Duration = Duration::from_secs(1);
/// and not again within this: an election takes time, and the others' keys may be no better.
const HAND_OVER_EVERY: Duration = Duration::from_secs(10);

/// Why a request that waited for the key was not signed.
const OVERTAKEN: &str = "a later request came first while the key was busy";

/// One chain's whole key as the plane sees it.
#[derive(Debug, Default)]
pub(super) struct KeyDesk {
    fault: Option<(KeyFault, Instant)>,
    pub(super) in_use: Option<InUse>,
    /// What is used next. Only the highest is kept.
    pub(super) next: Option<(Content, Granted)>,
    /// Raw bytes, which wait for all of that. The coordinator bounds them.
    pub(super) raw: VecDeque<(SessionId, RawAllowed)>,
    handed_over: Option<Instant>,
}

/// A call that has not come back.
#[derive(Clone, Debug)]
pub(super) struct InUse {
    pub(super) of: Use,
    pub(super) since: Instant,
    /// It was said to be late, and its requests went elsewhere if they could.
    pub(super) is_late: bool,
}

/// What a key is being used for.
#[derive(Clone, Debug)]
pub(super) enum Use {
    Vote(Content),
    Raw(SessionId),
}

impl KeyDesk {
    pub(super) fn fault(&self) -> Option<&KeyFault> {
        self.fault.as_ref().map(|(fault, _)| fault)
    }

    /// When a use is late, or leadership may be handed over.
    pub(super) fn next_timer(&self) -> Option<Instant> {
        let call = self.in_use.as_ref().filter(|call| !call.is_late);
        call.map(|call| call.since + KEY_PATIENCE)
    }

    /// The call that has just become late, once.
    fn take_late(&mut self, now: Instant) -> Option<InUse> {
        let call = self.in_use.as_mut()?;
        if call.is_late || now < call.since + KEY_PATIENCE {
            return None;
        }
        call.is_late = true;
        Some(call.clone())
    }

    fn should_hand_over(&self, now: Instant, stopped: bool) -> bool {
        let failing = self.fault.as_ref().is_some_and(|(_, at)| now >= *at + HAND_OVER_AFTER);
        (failing || stopped) && self.handed_over.is_none_or(|at| now >= at + HAND_OVER_EVERY)
    }
}

impl<R: TryCryptoRng> Plane<R> {
    /// Spends a receipt on the key. A call is never cancelled: the same content joins the one that is
    /// under way, another waits for its end.
    pub(super) fn use_key(&mut self, chain: ChainId, content: Content, granted: Granted) {
        let Some(desk) = self.desks.get_mut(&chain) else { return };
        match &desk.in_use {
            Some(InUse { of: Use::Vote(used), .. }) if *used == content => {}
            Some(_) => {
                let waiting = desk.next.take();
                let (first, second) = match waiting {
                    Some(next) if next.0.fields.hrs() > content.fields.hrs() => {
                        (next, Some((content, granted)))
                    }
                    other => ((content, granted), other),
                };
                desk.next = Some(first);
                if let Some((overtaken, _)) = second {
                    self.fail_key(&chain, &overtaken, &KeyFault::Other(OVERTAKEN.to_owned()));
                }
            }
            None => {
                let of = Use::Vote(content);
                desk.in_use = Some(InUse { of, since: self.now, is_late: false });
                self.effects.push(Effect::UseKey { chain, granted });
            }
        }
    }

    fn fail_key(&mut self, chain: &ChainId, content: &Content, fault: &KeyFault) {
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        self.coordinator.key_failed(chain, content, fault, present);
    }

    /// The key's thread is done with what it was given.
    pub(super) fn key_used(&mut self, chain: &ChainId, result: Result<Signatures, KeyFault>) {
        let in_use = self.desks.get(chain).and_then(|desk| desk.in_use.as_ref());
        let (Some(key), Some(InUse { of: Use::Vote(content), .. })) =
            (self.keys.get(chain), in_use)
        else {
            return;
        };
        let made = match result {
            Err(fault) => Err(fault),
            Ok(signatures) if content.extension.as_ref().is_some_and(Extension::is_long) => {
                let task = Task::key_used(key.clone(), content.clone(), signatures);
                return self.effects.push(Effect::Compute(Box::new(task)));
            }
            Ok(signatures) => Made::check(key, content, signatures),
        };
        self.key_done(chain, made);
    }

    /// The use of a key has come to its end: what it made is verified (I5).
    pub(super) fn key_done(&mut self, chain: &ChainId, made: Result<Made, KeyFault>) {
        let Some(desk) = self.desks.get_mut(chain) else { return };
        let Some(InUse { of: Use::Vote(content), .. }) = desk.in_use.take() else { return };
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        let result = made.map(|made| self.coordinator.key_signed(chain, &content, made, present));
        if let Err(fault) = &result {
            let is_new = self.desks.get(chain).is_none_or(|desk| desk.fault() != Some(fault));
            if *fault == KeyFault::BadSignature && is_new {
                error!(%chain, "the key's backend {fault}");
            }
            self.fail_key(chain, &content, fault);
        }
        // A request that no key could sign says nothing about this one.
        if !result.as_ref().is_err_and(KeyFault::is_of_the_request) {
            self.key_health(chain, result);
        }
        self.next_use(chain.clone());
    }

    /// Keeps what was last seen of the key, and says it once.
    pub(super) fn key_health(&mut self, chain: &ChainId, health: Result<(), KeyFault>) {
        let Some(desk) = self.desks.get_mut(chain) else { return };
        match (health, &desk.fault) {
            (Ok(()), None) => {}
            (Ok(()), Some((fault, since))) => {
                let down = self.now.saturating_duration_since(*since).as_secs();
                info!(%chain, cause = fault.word(), "the key can be used again, after {down} s");
                desk.fault = None;
            }
            (Err(fault), None) => {
                warn!(%chain, cause = fault.word(), "the key cannot be used: its backend {fault}");
                desk.fault = Some((fault, self.now));
            }
            (Err(fault), Some((known, since))) => {
                if fault.word() != known.word() {
                    warn!(%chain, cause = fault.word(), "the key cannot be used: its backend {fault}");
                }
                desk.fault = Some((fault, *since));
            }
        }
    }

    /// Uses that are late, and a leader that cannot sign.
    pub(super) fn check_keys(&mut self) {
        let chains: Vec<ChainId> = self.desks.keys().cloned().collect();
        for chain in chains {
            let late = self.desks.get_mut(&chain).and_then(|desk| desk.take_late(self.now));
            if let Some(InUse { of, since, .. }) = late {
                let waited = self.now.saturating_duration_since(since);
                let fault = KeyFault::NoAnswer { waited };
                self.key_health(&chain, Err(fault.clone()));
                // Alone there is nobody else to ask: the answer may still come in time.
                if self.others_ready(&chain).next().is_some() {
                    let waiting = self.desks.get_mut(&chain).and_then(|desk| desk.next.take());
                    if let Use::Vote(content) = &of {
                        self.fail_key(&chain, content, &fault);
                    }
                    if let Some((content, _)) = waiting {
                        self.fail_key(&chain, &content, &fault);
                    }
                }
                if let Use::Raw(session) = of {
                    self.coordinator.raw_failed(session, &fault);
                }
            }
            self.hand_over(&chain);
        }
    }

    fn hand_over(&mut self, chain: &ChainId) {
        let leads = self.leader == Some(self.me) && self.others_ready(chain).next().is_some();
        let (now, stopped) = (self.now, self.participant.has_stopped(chain));
        if let Some(desk) = self.desks.get_mut(chain).filter(|_| leads)
            && desk.should_hand_over(now, stopped)
        {
            desk.handed_over = Some(now);
            warn!(%chain, "another member can use the key and this leader cannot: leadership goes over");
            self.effects.push(Effect::StepDown);
        }
    }

    /// Whether this member could sign with its whole key, as far as it knows: its way to the key works,
    /// and so does its watermark. True where the key is split.
    pub(super) fn is_key_ready(&self, chain: &ChainId) -> bool {
        self.desks
            .get(chain)
            .is_none_or(|desk| desk.fault().is_none() && !self.participant.has_stopped(chain))
    }

    /// Members that can be reached and say that they can sign with this key, as far as is known.
    pub(super) fn others_ready<'p>(
        &'p self,
        chain: &'p ChainId,
    ) -> impl Iterator<Item = MemberId> + 'p {
        let ready = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.seen.key_ready.get(chain).copied().unwrap_or(true));
        ready.map(|(&member, _)| member)
    }

    /// This member cannot use the key: somebody else may coordinate the request.
    pub(super) fn unavailable_here(&mut self, ticket: u64, why: String) {
        let me = self.me;
        let Some(pending) = self.pending.get_mut(&ticket) else { return };
        pending.failed_with = Some(why);
        self.try_elsewhere(ticket, me);
    }

    /// The end of a request that nobody is left to coordinate.
    pub(super) fn nobody_left(&mut self, ticket: u64) {
        let Some(pending) = self.pending.get_mut(&ticket) else { return };
        let why = pending.failed_with.take();
        let why = why.unwrap_or_else(|| "no member can be reached".to_owned());
        let account = pending.account();
        self.conclude(ticket, Outcome::Failed(why), account, self.me);
    }
}
