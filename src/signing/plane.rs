//! One node's participant and coordinator, and everything that travels between them and others.
//!
//! Inputs come in by [`Plane::handle`], effects go out by [`Plane::take_effects`]. Shares are computed
//! by [`Plane::work`], which is to be called after the effects were carried out: messages are on
//! their way and the watermark is being written while this node does its arithmetic.

mod io;
mod keys;
mod members;
mod raw;
mod requests;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_core::TryCryptoRng;
use tracing::{error, warn};

use super::coordinator::{Coordinator, Deed, Origin, Present};
use super::participant::Participant;
use super::patience::Patience;
use super::pool::POOL_TARGET;
use super::raw_share::RawWork;
use super::task::{Done, Task};
use super::withheld::Caller;
use super::work::Work;
use crate::peer::{Forwarded, Message, RequestId};
use crate::types::{ChainId, Incarnation, MemberId, UnixMillis};
use crate::watermark::Record;
use keys::KeyDesk;
use members::Peer;
use requests::Pending;

pub use io::{
    ChainSnapshot, Effect, Input, PeerSnapshot, PlaneOptions, Replica, Reply, Snapshot, Verdict,
};

/// A member with neither a leader nor a quorum for this long lets its validators go.
const ISOLATION: Duration = Duration::from_millis(1500);
/// Nonces made or decoded in one idle step, so that no request waits long for it.
const IDLE_STEP: usize = 2;

/// One node of the signing plane.
pub struct Plane<R> {
    me: MemberId,
    least_threshold: u16,
    keys: HashMap<ChainId, Arc<super::ChainKey>>,
    participant: Participant,
    coordinator: Coordinator,
    /// The chains whose key is whole.
    desks: HashMap<ChainId, KeyDesk>,
    /// Some key is split, so nonces are wanted.
    has_shares: bool,
    patience: HashMap<ChainId, Patience>,
    replica: Replica,
    rng: R,
    peers: BTreeMap<MemberId, Peer>,
    leader: Option<MemberId>,
    leader_lost: Option<Instant>,
    pending: HashMap<u64, Pending>,
    /// Every time that a request was forwarded and to whom, until the request ends.
    forwards: HashMap<RequestId, (u64, MemberId)>,
    next_request: u64,
    isolated_since: Option<Instant>,
    let_go: bool,
    next_ping: Instant,
    pings: u64,
    work: VecDeque<Work>,
    raw_work: VecDeque<RawWork>,
    /// Why members were last refused a share of raw bytes, and when that was logged.
    raw_refused: BTreeMap<MemberId, (String, Instant)>,
    effects: Vec<Effect>,
    now: Instant,
    wall: UnixMillis,
}

impl<R: TryCryptoRng> Plane<R> {
    /// A node that has no links yet and knows no leader.
    #[must_use]
    pub fn new(options: PlaneOptions, rng: R, now: Instant, wall: UnixMillis) -> Self {
        let PlaneOptions { me, incarnation, members, .. } = options;
        let mut keys = HashMap::new();
        let mut patience = HashMap::new();
        let mut starting = Vec::new();
        let mut desks = HashMap::new();
        for (chain, give_up_after) in options.chains {
            let name = chain.key.chain.clone();
            keys.insert(name.clone(), Arc::clone(&chain.key));
            if chain.key.is_whole() {
                desks.insert(name.clone(), KeyDesk::default());
            }
            patience.insert(name, Patience::new(give_up_after));
            starting.push(chain);
        }
        let least_threshold = keys.values().map(|key| key.threshold.t()).min().unwrap_or(1);
        let all = keys.values().cloned();
        let coordinator = Coordinator::new(me, incarnation, &members, all, options.session_base);
        let mut participant =
            Participant::new(me, incarnation, options.recorded, options.hedge, starting);
        participant.open_pool(Caller::Own);
        Self {
            me,
            least_threshold,
            has_shares: desks.len() < keys.len(),
            keys,
            participant,
            coordinator,
            desks,
            patience,
            replica: options.replica,
            rng,
            peers: BTreeMap::new(),
            leader: None,
            leader_lost: Some(now),
            pending: HashMap::new(),
            forwards: HashMap::new(),
            next_request: 0,
            isolated_since: Some(now),
            let_go: false,
            next_ping: now,
            pings: 0,
            work: VecDeque::new(),
            raw_work: VecDeque::new(),
            raw_refused: BTreeMap::new(),
            effects: Vec::new(),
            now,
            wall,
        }
    }

    /// Takes one input. Effects are then waiting in [`Self::take_effects`], and perhaps work.
    pub fn handle(&mut self, input: Input, now: Instant, wall: UnixMillis) {
        self.now = now;
        self.wall = wall;
        match input {
            Input::Ask { ticket, chain, fields, extension } => {
                self.ask(ticket, chain, fields, extension);
            }
            Input::AskRaw { ticket, chain, message } => self.ask_raw(ticket, chain, message),
            Input::Up { peer, link, incarnation } => self.up(peer, link, incarnation),
            Input::Down { peer, link } => self.down(peer, link),
            Input::Message { peer, link, message } => self.message(peer, link, message),
            Input::Written { chain, receipt } => {
                let released = self.participant.written(&chain, receipt);
                self.give_all(released);
            }
            Input::WriteFailed { chain } => {
                error!(%chain, "the watermark could not be written: this chain signs nothing any more");
                let released = self.participant.write_failed(&chain);
                self.give_all(released);
            }
            Input::KeyUsed { chain, result } => self.key_used(&chain, result),
            Input::KeyUsedRaw { chain, result } => self.key_used_raw(chain, result),
            Input::Computed(computed) => self.computed(computed.into_done()),
            Input::KeyHealth { chain, health } => self.key_health(&chain, health),
            Input::Leader(leader) => self.new_leader(leader),
            Input::Timer => self.timer(),
        }
        self.do_deeds();
    }

    /// What is to be carried out, in order: messages stand before this node's own writes.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// Computes the shares of one admitted order; `false` if none waits.
    pub fn work(&mut self, now: Instant) -> bool {
        let Some(work) = self.work.pop_front() else { return false };
        self.now = now;
        let coordinator = &self.coordinator;
        let (chain, session) = (work.chain().clone(), work.session());
        let own = work.caller() == Caller::Own;
        let known = |raw: &_| own.then(|| coordinator.known(&chain, session, raw)).flatten();
        if work.is_long() {
            let known = work.commitments().filter_map(known).collect();
            if let Some(key) = self.participant.key_of(&work) {
                let task = Task::shares(work, self.me, key, known);
                self.effects.push(Effect::Compute(Box::new(task)));
            }
            return true;
        }
        let released = self.participant.compute(work, known);
        self.give_all(released);
        self.do_deeds();
        true
    }

    /// Makes nonces and decodes commitments while nothing else is to be done; `false` if there is
    /// nothing left to prepare.
    pub fn idle(&mut self, now: Instant) -> bool {
        self.now = now;
        for _ in 0..IDLE_STEP {
            if self.coordinator.decode_one() {
                return true;
            }
        }
        if !self.has_shares {
            return false;
        }
        let emptiest = self.participant.short_pools().max_by_key(|&(_, missing)| missing);
        let Some((caller, missing)) = emptiest else { return false };
        self.refill(caller, missing.min(IDLE_STEP));
        self.do_deeds();
        true
    }

    /// What was computed beside the plane.
    fn computed(&mut self, done: Done) {
        match done {
            Done::Shares { chain, caller, made } => {
                let released = self.participant.computed(&chain, caller, made);
                self.give_all(released);
            }
            Done::Packages { chain, session, packages } => {
                let present = Present { own: &self.participant, now: self.now, wall: self.wall };
                self.coordinator.prepared(&chain, session, packages, present);
            }
            Done::Forwarded { peer, forwarded, genuine } => {
                self.forward_checked(peer, forwarded, genuine);
            }
            Done::KeyUsed { chain, made } => self.key_done(&chain, made),
        }
    }

    /// When [`Input::Timer`] is wanted.
    #[must_use]
    pub fn next_timer(&self) -> Instant {
        let retries = self.pending.values().map(|pending| {
            let retry = pending.forwarded.map(|sent| sent.retry_at);
            let answer = pending.answer_by.filter(|_| !pending.answered);
            retry.into_iter().chain(answer).fold(pending.deadline, Instant::min)
        });
        let isolation = self.isolated_since.filter(|_| !self.let_go).map(|since| since + ISOLATION);
        let keys = self.desks.values().filter_map(KeyDesk::next_timer);
        let timers = retries.chain(isolation).chain(self.coordinator.next_timer()).chain(keys);
        timers.chain([self.next_ping]).min().unwrap_or(self.next_ping)
    }

    /// What `/status` shows.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let reachable =
            self.peers.iter().map(|(&member, peer)| (member, peer.seen.clone())).collect();
        let nonces_ready = self.coordinator.nonces_ready();
        let chain = |chain: &ChainId| {
            let snapshot = ChainSnapshot {
                watermark: self.participant.record(chain).and_then(Record::hrs),
                ceiling: self.participant.record(chain).and_then(Record::ceiling),
                nonces_ready,
                stopped: self.participant.has_stopped(chain),
                key_fault: self.desks.get(chain).and_then(KeyDesk::fault).cloned(),
            };
            (chain.clone(), snapshot)
        };
        Snapshot { leader: self.leader, reachable, chains: self.keys.keys().map(chain).collect() }
    }

    /// A fence recorded a member's incarnation, durably: orders that name a lower one get nothing (I8).
    pub fn record_incarnation(&mut self, member: MemberId, incarnation: Incarnation) {
        self.participant.record_incarnation(member, incarnation);
    }

    fn timer(&mut self) {
        let now = self.now;
        let present = Present { own: &self.participant, now, wall: self.wall };
        self.coordinator.timer(present);
        self.do_deeds();
        self.check_keys();
        self.do_deeds();
        let due: Vec<u64> = self.pending.keys().copied().collect();
        for ticket in due {
            self.check_pending(ticket);
        }
        self.check_isolation();
        let isolated = self.isolated_since.is_some_and(|since| now >= since + ISOLATION);
        if isolated && !self.let_go {
            self.let_go = true;
            warn!("neither a leader nor a quorum can be reached: letting the validators go");
            self.effects.push(Effect::LetValidatorsGo);
        }
        if now >= self.next_ping {
            self.ping_all();
        }
    }

    /// Carries out what the coordinator wants, until it wants nothing more.
    fn do_deeds(&mut self) {
        loop {
            let deeds = self.coordinator.take_deeds();
            if deeds.is_empty() {
                return;
            }
            for deed in deeds {
                self.do_deed(deed);
            }
        }
    }

    fn do_deed(&mut self, deed: Deed) {
        match deed {
            Deed::Order { to, order } if to == self.me => self.order(Caller::Own, order),
            Deed::Order { to, order } => self.send(to, Message::Order(order)),
            Deed::AskGrant { to, ask } if to == self.me => self.grant(Caller::Own, to, ask),
            Deed::AskGrant { to, ask } => self.send(to, Message::AskGrant(ask)),
            Deed::Prepare(packages) => {
                self.effects.push(Effect::Compute(Box::new(Task::packages(packages))));
            }
            Deed::UseKey { chain, content, granted } => self.use_key(chain, content, granted),
            Deed::RawOrder { to, order } if to == self.me => {
                self.raw_order(to, Caller::Own, order);
            }
            Deed::RawOrder { to, order } => self.send(to, Message::RawOrder(order)),
            Deed::SignRaw { chain, session, allowed } => self.sign_raw(chain, session, allowed),
            Deed::FinishRaw(reply) => self.effects.push(Effect::RawReply(*reply)),
            Deed::Need { to } if to == self.me => self.refill(Caller::Own, POOL_TARGET / 8),
            Deed::Need { to } => {
                let count = u32::try_from(POOL_TARGET / 8).unwrap_or(1);
                self.send(to, Message::NeedCommitments(count));
            }
            Deed::AskWatermark { to, chain, key } => {
                self.send(to, Message::AskWatermark { chain, key });
            }
            Deed::Settle(settled) => self.effects.push(Effect::Replicate(settled)),
            Deed::Finish { origin: Origin::Validator(ticket), outcome, account } => {
                self.conclude(ticket, outcome, *account, self.me);
            }
            Deed::Finish { origin: Origin::Peer { link, id }, outcome, .. } => {
                let peer = self.peers.values_mut().find(|peer| peer.link == link);
                if let Some(peer) = peer {
                    peer.forwarded = peer.forwarded.saturating_sub(1);
                    let message = Message::Forwarded(Forwarded { id, outcome });
                    self.effects.push(Effect::Send { link, message });
                }
            }
        }
    }
}
