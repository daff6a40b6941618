//! The other members: links, messages, orders, nonces, who leads.

use std::time::{Duration, Instant};

use rand_core::TryCryptoRng;
use tracing::error;

use super::{Effect, IDLE_STEP, PeerSnapshot, Plane};
use crate::peer::{AskGrant, LinkId, Message, Order, Report};
use crate::signing::coordinator::Present;
use crate::signing::granter::Granting;
use crate::signing::participant::Admission;
use crate::signing::pool::POOL_TARGET;
use crate::signing::withheld::{Caller, Evidence, Released};
use crate::types::{ChainId, Incarnation, KeyId, MemberId};
use crate::watermark::{Mark, Record};

/// Time between two pings of a member.
const PING_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Peer {
    pub(super) link: LinkId,
    pub(super) forwarded: usize,
    pub(super) ping: Option<(u64, Instant)>,
    pub(super) seen: PeerSnapshot,
}

impl<R: TryCryptoRng> Plane<R> {
    pub(super) fn up(&mut self, peer: MemberId, link: LinkId, incarnation: Incarnation) {
        if let Some(old) = self.peers.remove(&peer) {
            self.participant.close_pool(Caller::Link(old.link));
        }
        self.peers
            .insert(peer, Peer { link, forwarded: 0, ping: None, seen: PeerSnapshot::default() });
        self.participant.open_pool(Caller::Link(link));
        self.check_isolation();
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        self.coordinator.link_up(peer, incarnation, present);
        self.refill(Caller::Link(link), POOL_TARGET / 8);
        self.refill(Caller::Own, POOL_TARGET / 8);
        self.next_ping = self.now;
    }

    pub(super) fn down(&mut self, peer: MemberId, link: LinkId) {
        self.participant.close_pool(Caller::Link(link));
        if self.peers.get(&peer).is_none_or(|known| known.link != link) {
            return;
        }
        self.peers.remove(&peer);
        self.check_isolation();
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        self.coordinator.link_down(peer, present);
        for ticket in self.forwarded_to(peer) {
            self.try_elsewhere(ticket, peer);
        }
    }

    pub(super) fn new_leader(&mut self, leader: Option<MemberId>) {
        if leader == self.leader {
            return;
        }
        let old = std::mem::replace(&mut self.leader, leader);
        self.leader_lost = leader.is_none().then_some(self.leader_lost.unwrap_or(self.now));
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        self.coordinator.new_epoch(present);
        if leader == Some(self.me) {
            self.coordinator.recover(present);
        }
        self.check_isolation();
        for ticket in old.map(|old| self.forwarded_to(old)).unwrap_or_default() {
            if let Some(pending) = self.pending.get_mut(&ticket) {
                pending.tried.clear();
            }
            self.dispatch(ticket);
        }
    }

    pub(super) fn message(&mut self, peer: MemberId, link: LinkId, message: Message) {
        if self.peers.get(&peer).is_none_or(|known| known.link != link) {
            return;
        }
        let present = Present { own: &self.participant, now: self.now, wall: self.wall };
        match message {
            Message::Order(order) => self.order(Caller::Link(link), order),
            Message::AskGrant(ask) => self.grant(Caller::Link(link), peer, ask),
            Message::Answer(answer) => {
                self.coordinator.answer(peer, answer, Evidence::default(), present);
            }
            Message::RawOrder(order) => self.raw_order(peer, Caller::Link(link), order),
            Message::RawAnswer(answer) => self.coordinator.raw_answer(peer, answer, present),
            Message::Commitments(list) => self.coordinator.commitments(peer, list, present),
            Message::NeedCommitments(count) => {
                let count = usize::try_from(count).unwrap_or(usize::MAX).min(POOL_TARGET / 8);
                self.refill(Caller::Link(link), count);
            }
            Message::Forward(forward) => self.forwarded_here(peer, link, forward),
            Message::Forwarded(forwarded) => self.forward_ended(peer, forwarded),
            Message::AskWatermark { chain, key } => self.report_to(link, chain, key),
            Message::Watermark(report) => {
                // Only of our own chains: a member may name as many others as it likes.
                if let Some(known) = self.peers.get_mut(&peer)
                    && self.keys.contains_key(&report.chain)
                {
                    known.seen.key_ready.insert(report.chain.clone(), report.key_ready);
                    if let Some(fields) = &report.fields {
                        known.seen.watermarks.insert(report.chain.clone(), fields.hrs());
                    }
                }
                self.coordinator.report(peer, report, present);
            }
            Message::Ping(number) => self.send_on(link, Message::Pong(number)),
            Message::Pong(number) => self.pong(peer, number),
        }
    }

    /// The member's side: rule first, then the write, then (in [`Self::work`]) the shares.
    pub(super) fn order(&mut self, caller: Caller, order: Order) {
        let chain = order.chain.clone();
        match self.participant.admit(caller, order, self.wall) {
            Ok(Admission { write, work }) => {
                if let Some(record) = write {
                    self.effects.push(Effect::Write { chain, record });
                }
                self.work.push_back(work);
            }
            Err(refusal) => self.give(*refusal),
        }
        self.top_up(caller);
    }

    /// The member's side where the key is whole.
    pub(super) fn grant(&mut self, caller: Caller, from: MemberId, ask: AskGrant) {
        let chain = ask.chain.clone();
        let Granting { write, released } = self.participant.grant(caller, from, ask, self.wall);
        if let Some(record) = write {
            self.effects.push(Effect::Write { chain, record });
        }
        self.give_all(released);
    }

    /// A pool that idle time does not keep filled is topped up with each answer.
    pub(super) fn top_up(&mut self, caller: Caller) {
        if self.participant.missing(caller) > POOL_TARGET / 2 {
            self.refill(caller, IDLE_STEP);
        }
    }

    pub(super) fn refill(&mut self, caller: Caller, count: usize) {
        if !self.has_shares {
            return;
        }
        let made = match self.participant.refill(caller, count, &mut self.rng) {
            Ok(made) => made,
            Err(why) => {
                error!(%why, "no nonces can be made");
                return;
            }
        };
        if made.is_empty() {
            return;
        }
        match caller {
            Caller::Own => self.coordinator.own_commitments(made, self.now),
            Caller::Link(link) => {
                let raw = made.iter().map(crate::frost::NonceCommitment::raw).collect();
                self.send_on(link, Message::Commitments(raw));
            }
        }
    }

    pub(super) fn give_all(&mut self, released: impl IntoIterator<Item = Released>) {
        for released in released {
            self.give(released);
        }
    }

    pub(super) fn give(&mut self, released: Released) {
        let caller = released.caller();
        let (answer, evidence) = released.into_parts();
        match caller {
            Caller::Link(link) => self.send_on(link, Message::Answer(answer)),
            Caller::Own => {
                let present = Present { own: &self.participant, now: self.now, wall: self.wall };
                self.coordinator.answer(self.me, answer, evidence, present);
            }
        }
    }

    pub(super) fn report_to(&mut self, link: LinkId, chain: ChainId, key: KeyId) {
        let fields =
            self.participant.record(&chain).and_then(Record::mark).and_then(Mark::fields).cloned();
        let settled = self.coordinator.settled(&chain);
        let same = settled.filter(|settled| Some(settled.fields()) == fields.as_ref());
        let signature = same.map(|settled| settled.signature().clone());
        let key_ready = self.keys.contains_key(&chain) && self.is_key_ready(&chain);
        let report = Report { chain, key, fields, signature, key_ready };
        self.send_on(link, Message::Watermark(report));
    }

    pub(super) fn pong(&mut self, peer: MemberId, number: u64) {
        let now = self.now;
        if let Some(peer) = self.peers.get_mut(&peer)
            && let Some((_, sent)) = peer.ping.take_if(|(sent, _)| *sent == number)
        {
            peer.seen.rtt = Some(now.saturating_duration_since(sent));
        }
    }

    pub(super) fn ping_all(&mut self) {
        self.pings = self.pings.wrapping_add(1);
        self.next_ping = self.now + PING_EVERY;
        let number = self.pings;
        for peer in self.peers.values_mut() {
            peer.ping = Some((number, self.now));
            let message = Message::Ping(number);
            self.effects.push(Effect::Send { link: peer.link, message });
            for key in self.keys.values() {
                let message = Message::AskWatermark { chain: key.chain.clone(), key: key.id };
                self.effects.push(Effect::Send { link: peer.link, message });
            }
        }
    }

    /// Isolated: no leader can be reached and, with this one, fewer than t members.
    pub(super) fn check_isolation(&mut self) {
        let quorum = self.peers.len() + 1 >= usize::from(self.least_threshold);
        let led = self.leader.is_some_and(|leader| self.peers.contains_key(&leader));
        if quorum || led {
            self.isolated_since = None;
            self.let_go = false;
        } else {
            self.isolated_since.get_or_insert(self.now);
        }
    }

    pub(super) fn send(&mut self, to: MemberId, message: Message) {
        if let Some(peer) = self.peers.get(&to) {
            self.effects.push(Effect::Send { link: peer.link, message });
        }
    }

    pub(super) fn send_on(&mut self, link: LinkId, message: Message) {
        self.effects.push(Effect::Send { link, message });
    }
}
