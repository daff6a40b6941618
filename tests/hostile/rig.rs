//! One process, validators that misbehave, and one that must never notice.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cosigner::privval::{Fields, proto};
use cosigner::types::PublicKey;
use prost::Message as _;

use super::super::support::asker::{Ask, Asker, Ending, KINDS};
use super::super::support::cluster::{CHAIN, Cluster, Shape};
use super::super::support::node::{Outcome, content};
use super::super::support::wait;
use super::line::{Line, Listener, PATIENCE, Socket};
use super::wire::{ask_vote, bare_vote, block, prevote_with, time};

/// Longest that a lost connection may take to be dialled anew.
const REDIAL: Duration = Duration::from_millis(500);
/// The same on a machine that is busy with other tests, for the slowest of many.
const SLOWEST_REDIAL: Duration = Duration::from_secs(2);
/// Longest that an honest validator's vote may take meanwhile, on a machine that is busy with other
/// tests, so that it is asked for once only: CometBFT waits for 5 s.
const SLOWEST_VOTE: Duration = Duration::from_secs(4);
/// Most by which the process may grow over everything that is done to it.
const GROWTH_KIB: u64 = 40 * 1024;

/// What a validator does, by name.
pub struct Case {
    pub name: &'static str,
    pub does: fn(&mut Bad),
}

/// Both validators have one key: each asks for a height of its own, one after the other.
#[derive(Clone)]
pub struct Heights(Arc<Mutex<i64>>);

impl Heights {
    /// The next height, which nobody else signs at or above while this lives.
    pub fn turn(&self) -> Turn<'_> {
        let mut height = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *height += 1;
        Turn(height)
    }

    /// A height that nothing was signed at so far.
    pub fn unsigned(&self) -> i64 {
        self.turn().height()
    }
}

pub struct Turn<'a>(MutexGuard<'a, i64>);

impl Turn<'_> {
    pub fn height(&self) -> i64 {
        *self.0
    }
}

/// A validator that misbehaves.
pub struct Bad {
    listener: Listener,
    line: Option<Line>,
    pub heights: Heights,
    key: PublicKey,
    redials: Vec<Duration>,
}

impl Bad {
    /// A signer's connection with nothing said on it yet; an earlier one is closed.
    pub fn socket(&mut self) -> Socket {
        self.line = None;
        let (socket, waited) = self.listener.accept();
        self.redials.push(waited);
        socket
    }

    /// The present connection, or the next one after an honest handshake.
    pub fn line(&mut self) -> &mut Line {
        if self.line.is_none() {
            let line = self.socket().line().unwrap();
            self.line = Some(line);
        }
        self.line.as_mut().unwrap()
    }

    /// Closes the connection.
    pub fn hang_up(&mut self) {
        self.line = None;
    }

    /// Waits until the signer has closed it.
    #[track_caller]
    pub fn closed(&mut self) {
        self.line.take().unwrap().socket.wait_closed();
    }

    /// Asks for a signature over these fields with these bytes.
    #[track_caller]
    pub fn signed(&mut self, body: &[u8], fields: &Fields, extension: Option<&[u8]>) {
        let reply = self.line().ask(body).unwrap();
        self.check_signed(&reply, fields, extension);
    }

    #[track_caller]
    pub fn check_signed(&self, reply: &[u8], fields: &Fields, extension: Option<&[u8]>) {
        let reply = proto::Message::decode(reply).unwrap().sum;
        match content::outcome(reply).unwrap() {
            Outcome::Signed(signed) => {
                content::verify(CHAIN, &self.key, fields, extension, &signed).unwrap();
            }
            other => panic!("not signed: {other:?}"),
        }
    }

    /// The request that every validator makes: it is signed, on this connection or the next.
    #[track_caller]
    fn good(&mut self) {
        let heights = self.heights.clone();
        let turn = heights.turn();
        let vote = bare_vote(2, turn.height()).message(4, &block()).message(5, &time());
        let body = ask_vote(&vote.bytes(9, b"extension"));
        let fields = prevote_with(turn.height(), |vote| {
            vote.kind = cosigner::privval::VoteKind::Precommit;
        });
        let kept = self.line.as_mut().and_then(|line| line.ask(&body).ok());
        let reply = kept.unwrap_or_else(|| {
            self.line = None;
            self.line().ask(&body).unwrap()
        });
        self.check_signed(&reply, &fields, Some(b"extension"));
    }
}

/// What the honest validator saw.
#[derive(Default)]
struct Seen {
    fault: Option<String>,
    retries: u32,
    connections: u32,
    slowest: Duration,
}

/// A validator that asks and asks.
struct Bystander {
    thread: Option<JoinHandle<Seen>>,
    stop: Arc<AtomicBool>,
    signed: Arc<AtomicU64>,
}

impl Bystander {
    fn start(mut asker: Asker, heights: Heights) -> Self {
        let (stop, signed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&signed));
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::default();
            for kind in KINDS.into_iter().cycle() {
                if stopped.load(Ordering::Relaxed) || seen.fault.is_some() {
                    break;
                }
                let turn = heights.turn();
                match asker.ask(&Ask::new(kind, turn.height(), [7; 32]), PATIENCE) {
                    Ending::Signed(_) => seen.slowest = seen.slowest.max(asker.took()),
                    other => seen.fault = Some(format!("{kind:?}: {other:?}")),
                }
                drop(turn);
                counter.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
            Seen { retries: asker.retries(), connections: asker.accepted(), ..seen }
        });
        Self { thread: Some(thread), stop, signed }
    }

    fn signed(&self) -> u64 {
        self.signed.load(Ordering::Relaxed)
    }
}

/// Member 1 of a cluster serves all of them.
pub struct Rig {
    pub cluster: Cluster,
    bystander: Bystander,
    peak_kib: u64,
}

impl Rig {
    /// With a validator that misbehaves at each of these.
    pub fn new(mut shape: Shape, listeners: Vec<Listener>) -> (Self, Vec<Bad>) {
        let mut honest = Asker::listen();
        shape = shape.validator(1, honest.address());
        for listener in &listeners {
            shape = shape.validator(1, listener.address());
        }
        let mut cluster = Cluster::new(shape);
        cluster.start_all();
        let key = cluster.public_key();
        honest.verify_with(cluster.public_key());
        let heights = Heights(Arc::new(Mutex::new(0)));
        let bystander = Bystander::start(honest, heights.clone());
        let bad = |listener| Bad {
            listener,
            line: None,
            heights: heights.clone(),
            key: key.clone(),
            redials: Vec::new(),
        };
        let mut bad: Vec<Bad> = listeners.into_iter().map(bad).collect();
        bad.iter_mut().for_each(Bad::good);
        let peak_kib = cluster.peak_kib(1);
        (Self { cluster, bystander, peak_kib }, bad)
    }

    /// Votes that the honest validator has got so far.
    pub fn votes(&self) -> u64 {
        self.bystander.signed()
    }

    /// Lines in the logs of all members so far but for those of signatures.
    pub fn log_lines(&self) -> usize {
        let quiet = [r#""message":"signed""#, r#""message":"repeated""#];
        let logs = self.cluster.logs();
        let lines = logs.iter().flat_map(|log| log.lines());
        lines.filter(|line| !quiet.iter().any(|word| line.contains(word))).count()
    }

    /// Plays the cases. After each, the same validator is served, and the other one was all the while.
    #[track_caller]
    pub fn play(&mut self, bad: &mut Bad, cases: impl IntoIterator<Item = Case>) {
        let mut count = 0;
        for case in cases {
            println!("case: {}", case.name);
            (case.does)(bad);
            self.unharmed(bad);
            count += 1;
        }
        println!("{count} cases");
    }

    /// The process lives, and serves both.
    #[track_caller]
    pub fn unharmed(&mut self, bad: &mut Bad) {
        self.cluster.assert_running();
        bad.good();
        let before = self.votes();
        wait::until(PATIENCE, || "votes of the other validator".into(), || self.votes() > before);
    }

    /// What must be true of the whole.
    #[track_caller]
    pub fn finish(mut self, bad: Vec<Bad>) {
        self.bystander.stop.store(true, Ordering::Relaxed);
        let seen = self.bystander.thread.take().unwrap().join().unwrap();
        let grown = self.cluster.peak_kib(1) - self.peak_kib;
        let mut redials: Vec<Duration> = bad.into_iter().flat_map(|bad| bad.redials).collect();
        redials.sort();
        let median = redials.get(redials.len() / 2).copied().unwrap_or_default();
        let slowest = redials.last().copied().unwrap_or_default();
        println!(
            "honest votes {}, slowest {:?}; {} dials, median {median:?}, slowest {slowest:?}; \
             {grown} KiB grown",
            self.bystander.signed(),
            seen.slowest,
            redials.len(),
        );
        assert_eq!(seen.fault, None);
        assert_eq!((seen.connections, seen.retries), (1, 0), "connections and retries");
        assert!(seen.slowest < SLOWEST_VOTE, "a vote took {:?}", seen.slowest);
        assert!(median <= REDIAL && slowest <= SLOWEST_REDIAL, "redialled after {slowest:?}");
        assert!(grown < GROWTH_KIB, "{grown} KiB grown");
        self.cluster.assert_running();
        for id in self.cluster.ids() {
            self.cluster.terminate(id);
        }
    }
}

/// Waits as long as given, by the clock.
pub fn during(duration: Duration, mut does: impl FnMut()) -> u64 {
    let end = Instant::now() + duration;
    let mut times = 0;
    while Instant::now() < end {
        does();
        times += 1;
    }
    times
}
