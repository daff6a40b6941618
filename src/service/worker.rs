//! The thread of one key: opens it, makes its receipt, signs, looks whether it is well.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::directory::{Directory, Entry, KeyFacts, Trouble};
use crate::backend::{ConsensusKeys, KeyFault, NotForService, OpenError, ServiceKey, WholeKey};
use crate::types::PublicKey;

/// An idle key is looked at this often,
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// and one that fails this often, so that it is found working again soon.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Requests that may wait for a key; more are refused at once.
const MOST_WAITING: usize = 32;

/// Opens the key's backend, at the start or later. Blocks.
pub type Open = Box<dyn FnMut() -> Result<Box<dyn WholeKey>, OpenError> + Send>;

/// A key as it was found at the start.
pub struct Opened {
    /// The key, if its backend could be reached.
    pub key: Option<Box<dyn WholeKey>>,
    /// The public key that the settings pin.
    pub pinned: Option<PublicKey>,
    /// Tries again.
    pub open: Open,
    /// The keys of all chains of this home.
    pub chains: Arc<ConsensusKeys>,
}

/// One request to sign.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) payload: Vec<u8>,
    /// Nobody waits any more after it.
    pub(super) deadline: Instant,
    pub(super) reply: oneshot::Sender<Result<Vec<u8>, Failure>>,
}

/// Why a request got no signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// The key's backend, or the receipt that it has not got.
    Key(Trouble),
    /// More bytes than this key signs.
    TooLong { limit: usize },
    /// Not a digest.
    Payload(String),
}

/// The work of one key's thread.
pub struct Worker {
    entry: Arc<Entry>,
    jobs: Receiver<Job>,
    held: Held,
    opened: Opened,
}

/// How far a key has come.
enum Held {
    /// Not reached yet; no sooner than this it is tried again.
    Not { again: Instant },
    /// In use, with its receipt. No key gets here without one.
    Key { key: Box<dyn WholeKey>, receipt: Box<ServiceKey> },
    /// Reached, and never used.
    Never(Trouble),
}

impl Worker {
    /// A key of the service, and the work of its thread.
    pub fn new(facts: KeyFacts, opened: Opened, directory: &mut Directory) -> Self {
        let (sender, jobs) = sync_channel(MOST_WAITING);
        let entry = Arc::new(Entry::new(facts, sender));
        directory.add(Arc::clone(&entry));
        let mut worker = Self { entry, jobs, held: Held::Not { again: Instant::now() }, opened };
        if let Some(key) = worker.opened.key.take() {
            // What comes of it is seen in the entry.
            let _ = worker.take(key);
        } else if let Some(pinned) = &worker.opened.pinned
            && ServiceKey::new(pinned.clone(), &worker.opened.chains).is_ok()
        {
            worker.entry.learned(pinned);
        }
        worker
    }

    /// Works until the service has stopped. Blocks.
    pub fn run(mut self) {
        let mut wait = Duration::ZERO;
        loop {
            let well = match self.jobs.recv_timeout(wait) {
                Ok(job) => self.serve(job),
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            wait = if well { LOOK_EVERY } else { LOOK_AGAIN };
        }
    }

    /// `false` if the key is not well.
    fn serve(&mut self, job: Job) -> bool {
        let Job { payload, deadline, reply } = job;
        if reply.is_closed() || deadline <= Instant::now() {
            return true;
        }
        let result = self.sign(payload);
        let trouble = match &result {
            Err(Failure::Key(trouble)) => Some(trouble.clone()),
            Err(Failure::TooLong { .. } | Failure::Payload(_)) | Ok(_) => None,
        };
        let well = trouble.is_none();
        self.note(trouble);
        // Who asked may be gone.
        let _ = reply.send(result);
        well
    }

    fn sign(&mut self, payload: Vec<u8>) -> Result<Vec<u8>, Failure> {
        let backend = self.entry.facts.backend;
        let (key, receipt) = self.ready().map_err(Failure::Key)?;
        let message =
            receipt.message(payload).map_err(|refused| Failure::Payload(refused.to_string()))?;
        let failed = |fault: KeyFault| match fault {
            KeyFault::TooLong { limit, .. } => Failure::TooLong { limit },
            fault => Failure::Key(Trouble::of(backend, &fault)),
        };
        let signature = key.sign_service(&message).map_err(failed)?;
        // Whatever the backend did, nothing leaves that is not a signature of these bytes.
        if !message.accepts(&signature) {
            return Err(failed(KeyFault::BadSignature));
        }
        Ok(signature.as_bytes().to_vec())
    }

    fn look(&mut self) -> bool {
        let backend = self.entry.facts.backend;
        let trouble = match self.ready() {
            Ok((key, _)) => key.health().err().map(|fault| Trouble::of(backend, &fault)),
            Err(trouble) => Some(trouble),
        };
        let well = trouble.is_none();
        self.note(trouble);
        well
    }

    /// The key with its receipt, opened now if that was not possible before.
    fn ready(&mut self) -> Result<(&mut dyn WholeKey, &ServiceKey), Trouble> {
        if let Held::Not { again } = self.held {
            if Instant::now() < again {
                return Err(self.entry.trouble().unwrap_or_else(Trouble::unknown));
            }
            let opened = (self.opened.open)();
            self.held = Held::Not { again: Instant::now() + LOOK_AGAIN };
            self.take(opened.map_err(|error| Trouble::of_open(&error))?)?;
        }
        match &mut self.held {
            Held::Key { key, receipt } => Ok((key.as_mut(), receipt)),
            Held::Never(trouble) => Err(trouble.clone()),
            Held::Not { .. } => Err(Trouble::unknown()),
        }
    }

    /// Compares a key that was reached with the pinned one and with those of all chains, before it is
    /// used for anything.
    fn take(&mut self, key: Box<dyn WholeKey>) -> Result<(), Trouble> {
        let Opened { pinned, chains, .. } = &self.opened;
        let found = key.public_key().clone();
        let refused = match (pinned, ServiceKey::new(found.clone(), chains)) {
            (Some(expected), _) if *expected != found => {
                let fault = KeyFault::WrongKey { expected: expected.clone(), found };
                Trouble::of(self.entry.facts.backend, &fault)
            }
            (_, Ok(receipt)) => {
                self.entry.learned(receipt.public_key());
                self.held = Held::Key { key, receipt: Box::new(receipt) };
                return Ok(());
            }
            (_, Err(why)) => Trouble::of_receipt(&why),
        };
        let id = self.entry.facts.id.as_str();
        error!(key = id, why = refused.text, "a service key is refused: it signs nothing");
        self.held = Held::Never(refused.clone());
        Err(refused)
    }

    /// Says once what has changed.
    fn note(&self, trouble: Option<Trouble>) {
        let cause = |trouble: &Option<Trouble>| trouble.as_ref().map(|it| it.cause);
        let before = self.entry.set_trouble(trouble.clone());
        let id = self.entry.facts.id.as_str();
        match trouble {
            Some(now) if cause(&before) != Some(now.cause) => {
                warn!(key = id, cause = now.cause, why = now.text, "a service key cannot be used");
            }
            None if before.is_some() => info!(key = id, "a service key can be used again"),
            _ => {}
        }
    }
}

impl Trouble {
    fn of(backend: &str, fault: &KeyFault) -> Self {
        Self { cause: fault.word(), text: format!("the key's backend {backend} {fault}") }
    }

    fn of_open(error: &OpenError) -> Self {
        let cause = match error {
            OpenError::Fault { fault, .. } => fault.word(),
            _ => "failed",
        };
        Self { cause, text: error.to_string() }
    }

    fn of_receipt(why: &NotForService) -> Self {
        let cause = match why {
            NotForService::Consensus { .. } => "consensus_key",
            NotForService::Algorithm(_) | NotForService::Unfit(_) => "unfit",
        };
        Self { cause, text: format!("it {why}") }
    }

    fn unknown() -> Self {
        Self { cause: "unreachable", text: "its backend has not been reached yet".to_owned() }
    }
}
