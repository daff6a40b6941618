//! The signing plane's thread: takes events, lets the plane decide, carries out its effects.

use std::collections::{BTreeMap, HashMap};
use std::time::{Instant, SystemTime};

use getrandom::SysRng;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep_until;
use tracing::{debug, warn};

use super::arithmetic::Arithmetic;
use super::key_threads::KeyThread;
use super::later::{Later, QUIET};
use super::writers::Writer;
use crate::backend::{Granted, KeyFault};
use crate::ops::Tally;
use crate::peer::{self, Link, LinkId, Permit};
use crate::privval::{Extension, Fields, RawAllowed, RawMessage};
use crate::signing::{Effect, Input, Plane, RawReply, RawVerdict, Reply, Snapshot, Verdict};
use crate::types::{ChainId, UnixMillis};
use crate::validator::Control;
use crate::watermark::Record;

/// Orders between two looks at the sockets, so that a burst of inputs starves nobody.
const BURST: usize = 16;

/// What happens to the plane besides messages of members.
pub(super) enum Event {
    Ask {
        chain: ChainId,
        fields: Fields,
        extension: Option<Extension>,
        reply: oneshot::Sender<Verdict>,
    },
    AskRaw {
        chain: ChainId,
        message: RawMessage,
        reply: oneshot::Sender<RawVerdict>,
    },
    /// What the plane takes as it is.
    Input(Input),
    /// An input that was prepared beside the plane, with the permit of the message in it.
    Prepared(Box<Input>, Option<Permit>),
    Look(oneshot::Sender<Look>),
    Stop(oneshot::Sender<()>),
}

/// What `/status` wants of the plane.
pub(super) struct Look {
    pub(super) snapshot: Snapshot,
    pub(super) tally: Tally,
}

/// The threads that do for the plane what takes time.
pub(super) struct Threads {
    pub(super) writers: BTreeMap<ChainId, Writer>,
    pub(super) keys: BTreeMap<ChainId, KeyThread>,
    pub(super) arithmetic: Arithmetic,
}

/// Everything that the plane's effects act on.
pub(super) struct PlaneThread {
    plane: Plane<SysRng>,
    links: HashMap<LinkId, Link>,
    writers: BTreeMap<ChainId, Writer>,
    keys: BTreeMap<ChainId, KeyThread>,
    arithmetic: Arithmetic,
    /// Messages of each link that are being prepared.
    preparing: HashMap<LinkId, usize>,
    asks: HashMap<u64, oneshot::Sender<Verdict>>,
    raw_asks: HashMap<u64, oneshot::Sender<RawVerdict>>,
    next_ticket: u64,
    later: Later,
    control: Control,
    /// Own writes that wait until the messages are on their way.
    writes: Vec<(ChainId, Record)>,
    has_sent: bool,
}

impl PlaneThread {
    pub(super) fn new(
        plane: Plane<SysRng>,
        threads: Threads,
        later: Later,
        control: Control,
    ) -> Self {
        let Threads { writers, keys, arithmetic } = threads;
        Self {
            plane,
            links: HashMap::new(),
            writers,
            keys,
            arithmetic,
            preparing: HashMap::new(),
            asks: HashMap::new(),
            raw_asks: HashMap::new(),
            next_ticket: 0,
            later,
            control,
            writes: Vec::new(),
            has_sent: false,
        }
    }

    /// Runs until [`Event::Stop`], then finishes every write that was begun.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::UnboundedReceiver<Event>,
        mut peers: mpsc::UnboundedReceiver<peer::Event>,
    ) {
        let mut quiet_at = Instant::now() + QUIET;
        let mut may_prepare = true;
        loop {
            let mut wake = self.plane.next_timer();
            if may_prepare || !self.later.is_empty() {
                wake = wake.min(quiet_at);
            }
            if self.plane.has_raw_work() {
                // Now, but after everything that has come in.
                wake = wake.min(Instant::now());
            }
            tokio::select! {
                biased;
                Some(event) = peers.recv() => self.peer_event(event),
                Some(event) = events.recv() => match event {
                    Event::Stop(stopped) => return self.stop(stopped),
                    event => self.event(event),
                },
                () = sleep_until(wake.into()) => {
                    let now = Instant::now();
                    if self.plane.next_timer() <= now {
                        self.input(Input::Timer);
                    } else if self.plane.work_raw(now) {
                        self.carry_out();
                        tokio::task::yield_now().await;
                    } else {
                        may_prepare = self.prepare(now);
                        // A past deadline never waits: let the sockets' tasks run in between.
                        tokio::task::yield_now().await;
                    }
                    self.settle_down().await;
                    continue;
                }
            }
            for _ in 0..BURST {
                match peers.try_recv() {
                    Ok(event) => self.peer_event(event),
                    Err(_) => break,
                }
            }
            self.settle_down().await;
            let now = Instant::now();
            quiet_at = now + QUIET;
            may_prepare = true;
            if self.later.is_overdue(now) {
                self.later.flush();
            }
        }
    }

    /// Messages first, then own writes, then own shares: each travels while the next is done.
    async fn settle_down(&mut self) {
        loop {
            if std::mem::take(&mut self.has_sent) && !self.writes.is_empty() {
                // A send is only queued: its task must run before this thread computes.
                tokio::task::yield_now().await;
            }
            for (chain, record) in std::mem::take(&mut self.writes) {
                let written = self.writers.get(&chain).is_some_and(|w| w.write(record));
                if !written {
                    self.input(Input::WriteFailed { chain });
                }
            }
            let worked = self.plane.work(Instant::now());
            self.carry_out();
            if !worked && self.writes.is_empty() {
                return;
            }
        }
    }

    /// Idle time. `false` if there is nothing left to prepare.
    fn prepare(&mut self, now: Instant) -> bool {
        if !self.later.is_empty() {
            self.later.flush();
            return true;
        }
        let more = self.plane.idle(now);
        self.carry_out();
        more
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Ask { chain, fields, extension, reply } => {
                let ticket = self.ticket();
                self.asks.insert(ticket, reply);
                self.input_or_prepare(Input::Ask { ticket, chain, fields, extension }, None);
            }
            Event::AskRaw { chain, message, reply } => {
                let ticket = self.ticket();
                self.raw_asks.insert(ticket, reply);
                self.input(Input::AskRaw { ticket, chain, message });
            }
            Event::Input(input) => self.input(input),
            Event::Prepared(input, permit) => self.prepared(*input, permit),
            Event::Look(look) => {
                self.later.flush();
                let (snapshot, tally) = (self.plane.snapshot(), self.later.tally().clone());
                // Whoever asked may have gone.
                let _ = look.send(Look { snapshot, tally });
            }
            Event::Stop(_) => {}
        }
    }

    const fn ticket(&mut self) -> u64 {
        let ticket = self.next_ticket;
        self.next_ticket = ticket.wrapping_add(1);
        ticket
    }

    fn peer_event(&mut self, event: peer::Event) {
        match event {
            peer::Event::Up { link, hello } => {
                let (peer, id) = (link.peer, link.id);
                debug!(member = %peer, "the plane has a link");
                self.links.insert(id, link);
                self.input(Input::Up { peer, link: id, incarnation: hello.incarnation });
            }
            peer::Event::Message { peer, link, message, permit } => {
                let message = *message;
                self.input_or_prepare(Input::Message { peer, link, message }, Some(permit));
            }
            peer::Event::Down { peer, link, reason } => {
                debug!(member = %peer, reason, "the plane has lost a link");
                self.links.remove(&link);
                self.input(Input::Down { peer, link });
            }
        }
    }

    /// Long extensions are hashed beside this thread before the plane sees them. What only names one takes
    /// the same way, so that it does not overtake the bytes.
    fn input_or_prepare(&mut self, input: Input, permit: Option<Permit>) {
        let names = match &input {
            Input::Message { link, message, .. } => {
                message.names_extension() && self.preparing.contains_key(link)
            }
            _ => false,
        };
        if !names && input.long_extension().is_none() {
            self.input(input);
            return drop(permit);
        }
        if let Input::Message { link, .. } = &input {
            let count = self.preparing.entry(*link).or_default();
            *count = count.saturating_add(1);
        }
        self.arithmetic.prepare(Box::new(input), permit);
    }

    fn prepared(&mut self, input: Input, permit: Option<Permit>) {
        if let Input::Message { link, .. } = &input
            && let Some(count) = self.preparing.get_mut(link)
        {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.preparing.remove(link);
            }
        }
        self.input(input);
        drop(permit);
    }

    fn input(&mut self, input: Input) {
        self.plane.handle(input, Instant::now(), wall());
        self.carry_out();
    }

    fn carry_out(&mut self) {
        for effect in self.plane.take_effects() {
            match effect {
                Effect::Send { link, message } => {
                    self.has_sent = true;
                    if let Some(to) = self.links.get(&link)
                        && let Err(why) = to.send(message)
                    {
                        debug!(%why, "not sent");
                    }
                }
                Effect::Write { chain, record } => self.writes.push((chain, record)),
                Effect::UseKey { chain, granted } => self.use_key(chain, granted),
                Effect::SignRaw { chain, allowed } => self.sign_raw(chain, allowed),
                Effect::Compute(task) => self.arithmetic.run(task),
                Effect::StepDown => self.later.step_down(),
                Effect::Reply(reply) => self.reply(reply),
                Effect::RawReply(reply) => self.raw_reply(reply),
                Effect::Replicate(settled) => self.later.settle(settled, Instant::now()),
                Effect::LetValidatorsGo => self.control.let_go(),
            }
        }
    }

    fn use_key(&mut self, chain: ChainId, granted: Granted) {
        if !self.keys.get(&chain).is_some_and(|key| key.use_key(granted)) {
            self.input(Input::KeyUsed { chain, result: Err(no_thread()) });
        }
    }

    fn sign_raw(&mut self, chain: ChainId, allowed: RawAllowed) {
        if !self.keys.get(&chain).is_some_and(|key| key.sign_raw(allowed)) {
            self.input(Input::KeyUsedRaw { chain, result: Err(no_thread()) });
        }
    }

    fn raw_reply(&mut self, reply: RawReply) {
        if let Some(waiting) = self.raw_asks.remove(&reply.ticket) {
            // The connection may have gone.
            let _ = waiting.send(reply.verdict.clone());
        }
        self.later.raw_reply(reply, Instant::now());
    }

    fn reply(&mut self, reply: Reply) {
        if let Some(waiting) = self.asks.remove(&reply.ticket) {
            // The connection may have gone; the signature is kept for a repeat.
            let _ = waiting.send(reply.verdict.clone());
        }
        self.later.reply(reply, Instant::now());
    }

    fn stop(mut self, stopped: oneshot::Sender<()>) {
        self.later.flush();
        for (chain, writer) in std::mem::take(&mut self.writers) {
            debug!(%chain, "finishing the watermark's writes");
            writer.finish();
        }
        for (chain, key) in std::mem::take(&mut self.keys) {
            key.finish(&chain);
        }
        if stopped.send(()).is_err() {
            warn!("nobody waits for the signing plane to stop");
        }
    }
}

/// The key's thread has panicked; the node's supervisor must start it anew.
fn no_thread() -> KeyFault {
    KeyFault::Other("its thread has ended: restart this cosigner".to_owned())
}

/// The wall clock, for the height-jump rule alone. Before 1970 it is 1970.
pub(super) fn wall() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
