//! Requests of this node's validators, and those that other members forward.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::TryCryptoRng;
use tracing::error;

use super::{Effect, Plane, Reply, Verdict};
use crate::peer::{Forward, Forwarded, LinkId, Message, Outcome, RequestId};
use crate::privval::{Extension, Fields};
use crate::raft::Settled;
use crate::signing::attempt::{Account, Ask, allowance};
use crate::signing::coordinator::{ATTEMPT, Origin, Present};
use crate::signing::key::ChainKey;
use crate::signing::patience::Patience;
use crate::signing::route::{Route, route};
use crate::signing::task::{Check, Task};
use crate::signing::verified::Verified;
use crate::signing::withheld::Caller;
use crate::types::{ChainId, MemberId};

/// A forwarded request that is not answered within this is sent elsewhere.
const FORWARD_PATIENCE: Duration = Duration::from_millis(250);

/// The same where the key is whole: its backend may be far away.
const KEY_FORWARD_PATIENCE: Duration = Duration::from_millis(400);

/// Requests that one member may have forwarded and not yet got answered.
const MOST_FORWARDED: usize = 64;

/// A validator's request on this node.
pub(super) struct Pending {
    pub(super) chain: ChainId,
    pub(super) fields: Fields,
    pub(super) extension: Option<Extension>,
    pub(super) received: Instant,
    pub(super) deadline: Instant,
    /// A chain that is given up on answers its validator now; what comes later only ends the failure.
    pub(super) answer_by: Option<Instant>,
    pub(super) answered: bool,
    /// Members that it was sent to in vain.
    pub(super) tried: BTreeSet<MemberId>,
    pub(super) forwarded: Option<Sent>,
    /// Members whose answers are being checked beside the plane.
    pub(super) checking: BTreeSet<MemberId>,
    /// Why the last member that tried could not.
    pub(super) failed_with: Option<String>,
}

impl Pending {
    pub(super) fn account(&self) -> Account {
        Account::of(&self.chain, &self.fields, self.received)
    }
}

#[derive(Clone, Copy)]
pub(super) struct Sent {
    pub(super) to: MemberId,
    pub(super) id: RequestId,
    pub(super) retry_at: Instant,
}

impl<R: TryCryptoRng> Plane<R> {
    pub(super) fn ask(
        &mut self,
        ticket: u64,
        chain: ChainId,
        fields: Fields,
        extension: Option<Extension>,
    ) {
        let allowed = self.patience.get(&chain).map_or(ATTEMPT, |p| p.deadline(ATTEMPT, self.now));
        let answer_by = (allowed < ATTEMPT).then(|| self.now + allowed);
        let pending = Pending {
            chain,
            fields,
            extension,
            received: self.now,
            deadline: self.now + ATTEMPT,
            answer_by,
            answered: false,
            tried: BTreeSet::new(),
            forwarded: None,
            checking: BTreeSet::new(),
            failed_with: None,
        };
        self.pending.insert(ticket, pending);
        self.dispatch(ticket);
    }

    /// Sends a request to whoever coordinates it now.
    pub(super) fn dispatch(&mut self, ticket: u64) {
        let Some(pending) = self.pending.get_mut(&ticket) else { return };
        // A late answer to it is still good: its id is forgotten with the request.
        pending.forwarded = None;
        let (tried, chain) = (pending.tried.clone(), pending.chain.clone());
        let able = self.able(&chain, &tried);
        let Some(pending) = self.pending.get(&ticket) else { return };
        match route(self.me, self.leader, &able) {
            None => self.nobody_left(ticket),
            Some(Route::Here) => {
                let ask = Ask {
                    origin: Origin::Validator(ticket),
                    fields: pending.fields.clone(),
                    extension: pending.extension.clone(),
                    from: None,
                    received: pending.received,
                    deadline: pending.deadline,
                };
                self.coordinate(&chain, ask);
            }
            Some(Route::To { member, deputy }) => self.forward(ticket, member, deputy),
        }
    }

    /// Who could coordinate a request, this member included: those that serve the chain and, where the
    /// key is whole, whose way to it works; if none says so, whoever can be reached: it may work again.
    fn able(&self, chain: &ChainId, tried: &BTreeSet<MemberId>) -> BTreeSet<MemberId> {
        let reachable = self.peers.keys().copied().chain([self.me]);
        let untried: BTreeSet<MemberId> =
            reachable.filter(|member| !tried.contains(member)).collect();
        let own = self.is_key_ready(chain).then_some(self.me);
        let ready: BTreeSet<MemberId> = self.others_ready(chain).chain(own).collect();
        let ready: BTreeSet<MemberId> = ready.intersection(&untried).copied().collect();
        if ready.is_empty() { untried } else { ready }
    }

    pub(super) fn forward(&mut self, ticket: u64, to: MemberId, deputy: bool) {
        let id = RequestId(self.next_request);
        self.next_request = self.next_request.wrapping_add(1);
        let Some(pending) = self.pending.get_mut(&ticket) else { return };
        let left = pending.deadline.saturating_duration_since(self.now).as_millis();
        let forward = Forward {
            id,
            chain: pending.chain.clone(),
            fields: pending.fields.clone(),
            extension: pending.extension.clone(),
            deadline_ms: u32::try_from(left).unwrap_or(u32::MAX),
            deputy,
        };
        let patience = match self.desks.contains_key(&pending.chain) {
            true => KEY_FORWARD_PATIENCE,
            false => FORWARD_PATIENCE,
        };
        // It may be named to this member when it is asked for a share.
        if let (Some(peer), Some(extension)) = (self.peers.get(&to), &pending.extension) {
            self.participant.keep(Caller::Link(peer.link), extension);
        }
        // To the coordinator, and from there to the others.
        let patience = patience + allowance(pending.extension.as_ref()) * 2;
        pending.forwarded = Some(Sent { to, id, retry_at: self.now + patience });
        self.forwards.insert(id, (ticket, to));
        self.send(to, Message::Forward(forward));
    }

    pub(super) fn coordinate(&mut self, chain: &ChainId, ask: Ask) {
        self.learn_from_replica(chain, &ask);
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        self.coordinator.ask(chain, ask, present);
    }

    /// Raft may hold a signature that this node has not seen; it is looked at only where it could
    /// answer the request.
    fn learn_from_replica(&mut self, chain: &ChainId, ask: &Ask) {
        let hrs = ask.fields.hrs();
        let known = self.coordinator.settled(chain).map(|settled| settled.fields().hrs());
        if known.is_some_and(|known| known >= hrs) {
            return;
        }
        if let Some(key) = self.keys.get(chain)
            && let Some(settled) = (self.replica)(chain, &key.id)
            && settled.hrs().is_ok_and(|replicated| replicated == hrs)
            && let Some(verified) = verified(key, &settled)
        {
            self.coordinator.learn(chain, verified);
        }
    }

    pub(super) fn forwarded_to(&self, member: MemberId) -> Vec<u64> {
        let to = |(&ticket, pending): (&u64, &Pending)| {
            pending.forwarded.is_some_and(|sent| sent.to == member).then_some(ticket)
        };
        self.pending.iter().filter_map(to).collect()
    }

    pub(super) fn try_elsewhere(&mut self, ticket: u64, instead_of: MemberId) {
        if let Some(pending) = self.pending.get_mut(&ticket) {
            pending.tried.insert(instead_of);
            self.dispatch(ticket);
        }
    }

    pub(super) fn forwarded_here(&mut self, peer: MemberId, link: LinkId, forward: Forward) {
        let Forward { id, chain, fields, extension, deadline_ms, deputy } = forward;
        let refuse = |outcome| Message::Forwarded(Forwarded { id, outcome });
        if self.leader != Some(self.me) && !deputy {
            self.send_on(link, refuse(Outcome::NotLeader(self.leader)));
            return;
        }
        if !self.keys.contains_key(&chain) {
            let why = format!("this member does not serve chain {chain}");
            self.send_on(link, refuse(Outcome::KeyUnavailable(why)));
            return;
        }
        let Some(known) = self.peers.get_mut(&peer) else { return };
        if known.forwarded >= MOST_FORWARDED {
            self.send_on(link, refuse(Outcome::Failed("too many requests wait".to_owned())));
            return;
        }
        known.forwarded = known.forwarded.saturating_add(1);
        let allowed = Duration::from_millis(u64::from(deadline_ms)).min(ATTEMPT);
        let ask = Ask {
            origin: Origin::Peer { link, id },
            fields,
            extension,
            from: Some(peer),
            received: self.now,
            deadline: self.now + allowed,
        };
        self.coordinate(&chain, ask);
    }

    /// I5 also here: what the coordinator says is checked before the validator gets it.
    pub(super) fn forward_ended(&mut self, peer: MemberId, forwarded: Forwarded) {
        let Some((ticket, to)) = self.forwards.get(&forwarded.id).copied() else { return };
        let Some(pending) = self.pending.get_mut(&ticket).filter(|_| to == peer) else { return };
        let (Outcome::Signed(signed) | Outcome::Repeated(signed)) = &forwarded.outcome else {
            return self.forward_checked(peer, forwarded, None);
        };
        let Some(key) = self.keys.get(&pending.chain) else { return };
        let check = Check {
            key: Arc::clone(key),
            fields: pending.fields.clone(),
            extension: pending.extension.clone(),
            signed: signed.clone(),
        };
        if !check.extension.as_ref().is_some_and(Extension::is_long) {
            let genuine = check.genuine();
            return self.forward_checked(peer, forwarded, genuine);
        }
        // One at a time, however often a member answers.
        if pending.checking.insert(peer) {
            let task = Task::forwarded(check, peer, forwarded);
            self.effects.push(Effect::Compute(Box::new(task)));
        }
    }

    /// `genuine` is the vote's signature if all signatures of the answer were seen to verify.
    pub(super) fn forward_checked(
        &mut self,
        peer: MemberId,
        forwarded: Forwarded,
        genuine: Option<Verified>,
    ) {
        let Forwarded { id, outcome } = forwarded;
        let Some((ticket, to)) = self.forwards.get(&id).copied() else { return };
        let Some(pending) = self.pending.get_mut(&ticket).filter(|_| to == peer) else { return };
        pending.checking.remove(&peer);
        let is_late = pending.forwarded.is_none_or(|sent| sent.id != id);
        let has_signature = matches!(outcome, Outcome::Signed(_) | Outcome::Repeated(_));
        // Whatever else a member says that was given up on, somebody else is at it by now.
        if is_late && !has_signature {
            return;
        }
        match &outcome {
            Outcome::NotLeader(_) => return self.try_elsewhere(ticket, peer),
            Outcome::KeyUnavailable(why) => {
                pending.failed_with = Some(format!("member {peer}: {why}"));
                // A split key is always at hand where the chain is served.
                let chain = pending.chain.clone();
                if !self.desks.contains_key(&chain)
                    && let Some(known) = self.peers.get_mut(&peer)
                {
                    known.seen.key_ready.insert(chain, false);
                }
                return self.try_elsewhere(ticket, peer);
            }
            Outcome::Signed(_) | Outcome::Repeated(_) => {
                let Some(verified) = genuine else {
                    error!(member = %peer, "a member answered with a signature that does not verify");
                    return self.try_elsewhere(ticket, peer);
                };
                self.coordinator.learn(&pending.chain, verified);
            }
            Outcome::Denied(_) | Outcome::Failed(_) => {}
        }
        let mut account = pending.account();
        account.settled = Some(self.now);
        self.conclude(ticket, outcome, account, peer);
    }

    /// The end of a validator's request.
    pub(super) fn conclude(
        &mut self,
        ticket: u64,
        outcome: Outcome,
        account: Account,
        coordinator: MemberId,
    ) {
        let outcome = match outcome {
            Outcome::KeyUnavailable(why) => return self.unavailable_here(ticket, why),
            other => other,
        };
        let Some(pending) = self.pending.remove(&ticket) else { return };
        self.forwards.retain(|_, (of, _)| *of != ticket);
        let patience = self.patience.get_mut(&pending.chain);
        let verdict = match outcome {
            Outcome::Signed(signed) => Verdict::Signed(signed),
            Outcome::Repeated(signed) => Verdict::Repeated(signed),
            Outcome::Denied(denial) => Verdict::Denied(denial),
            Outcome::NotLeader(_) => Verdict::NotNow("no leader".to_owned()),
            Outcome::Failed(why) | Outcome::KeyUnavailable(why) => Verdict::NotNow(why),
        };
        let verdict = match (verdict, patience) {
            (Verdict::NotNow(why), Some(patience)) => {
                patience.note(&why);
                match patience.failed(self.leader_lost, self.now) {
                    true => Verdict::GivenUp(why),
                    false => Verdict::NotNow(why),
                }
            }
            (other, Some(patience)) => {
                patience.succeeded(self.now);
                other
            }
            (other, None) => other,
        };
        if !pending.answered {
            self.effects.push(Effect::Reply(Reply { ticket, verdict, account, coordinator }));
        }
    }

    pub(super) fn check_pending(&mut self, ticket: u64) {
        self.answer_early(ticket);
        let Some(pending) = self.pending.get(&ticket) else { return };
        if pending.deadline <= self.now {
            let account = pending.account();
            let to = pending.forwarded.map_or(self.me, |sent| sent.to);
            let why = format!("member {to} gave no answer in time");
            self.conclude(ticket, Outcome::Failed(why), account, to);
        } else if let Some(sent) = pending.forwarded
            && sent.retry_at <= self.now
        {
            self.try_elsewhere(ticket, sent.to);
        }
    }

    /// A chain that is given up on lets its validator go on, and goes on trying behind its back: an
    /// attempt that takes longer than the validator is let wait still ends the failure.
    pub(super) fn answer_early(&mut self, ticket: u64) {
        let Some(pending) = self.pending.get_mut(&ticket) else { return };
        if pending.answered || pending.answer_by.is_none_or(|at| at > self.now) {
            return;
        }
        pending.answered = true;
        let account = pending.account();
        let coordinator = pending.forwarded.map_or(self.me, |sent| sent.to);
        let why = self.patience.get(&pending.chain).map_or("", Patience::why);
        let verdict = Verdict::GivenUp(format!("this chain still fails; the last time: {why}"));
        self.effects.push(Effect::Reply(Reply { ticket, verdict, account, coordinator }));
    }
}

/// A replicated entry whose signature verifies.
fn verified(key: &ChainKey, settled: &Settled) -> Option<Verified> {
    let (chain, fields) = crate::privval::parse_sign_bytes(&settled.sign_bytes).ok()?;
    if chain != key.chain {
        return None;
    }
    Verified::check(key, &fields, &settled.signature)
}
