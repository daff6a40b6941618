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

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::backend::{Granted, ServiceMessage, Signatures, ToSign};
    use crate::privval::RawAllowed;
    use crate::service::Callers;
    use crate::types::{Algorithm, ChainId, Signature};

    /// A key that says it is `named`, and signs with what it has.
    struct Key {
        named: PublicKey,
        secret: SigningKey,
    }

    impl WholeKey for Key {
        fn public_key(&self) -> &PublicKey {
            &self.named
        }

        fn sign(&mut self, _: Granted) -> Result<Signatures, KeyFault> {
            Err(KeyFault::Other("no chain's".to_owned()))
        }

        fn sign_raw(&mut self, _: RawAllowed) -> Result<Signature, KeyFault> {
            Err(KeyFault::Other("no chain's".to_owned()))
        }

        fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
            let ToSign::Message(bytes) = message.to_sign(&self.named)? else {
                return Err(KeyFault::BadSignature);
            };
            Ok(Signature::new(Algorithm::Ed25519, self.secret.sign(bytes).to_bytes()))
        }

        fn health(&mut self) -> Result<(), KeyFault> {
            Ok(())
        }
    }

    fn public(seed: u8) -> PublicKey {
        PublicKey::ed25519(SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes())
    }

    fn key(named: u8, secret: u8) -> Box<dyn WholeKey> {
        Box::new(Key { named: public(named), secret: SigningKey::from_bytes(&[secret; 32]) })
    }

    /// The worker of a key, in a home whose chain has the key of seed 1.
    fn worker(now: Option<Box<dyn WholeKey>>, pinned: Option<u8>, open: Open) -> Worker {
        let chain = ChainId::new("test-chain-1").unwrap();
        let chains = Arc::new(ConsensusKeys::new([(&chain, &public(1))]));
        let opened = Opened { key: now, pinned: pinned.map(public), open, chains };
        let algorithm = Algorithm::Ed25519;
        let facts =
            KeyFacts { id: "k".to_owned(), algorithm, backend: "file", callers: Callers::Any };
        Worker::new(facts, opened, &mut Directory::default())
    }

    fn never() -> Open {
        Box::new(|| {
            let fault = KeyFault::Unreachable("away".to_owned());
            Err(OpenError::Fault { backend: "file", fault })
        })
    }

    /// What a request gets, or that nobody answered it.
    fn ask(worker: &mut Worker, deadline: Instant) -> Option<Result<Vec<u8>, Failure>> {
        let (reply, mut answer) = oneshot::channel();
        worker.serve(Job { payload: b"bytes".to_vec(), deadline, reply });
        answer.try_recv().ok()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[track_caller]
    fn assert_failed(answer: Option<Result<Vec<u8>, Failure>>, cause: &str) {
        match answer {
            Some(Err(Failure::Key(trouble))) => assert_eq!(trouble.cause, cause),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_signature_that_does_not_verify_stays_here() {
        let mut right = worker(Some(key(2, 2)), None, never());
        assert!(matches!(ask(&mut right, soon()), Some(Ok(bytes)) if bytes.len() == 64));
        let mut wrong = worker(Some(key(2, 3)), None, never());
        assert_failed(ask(&mut wrong, soon()), "bad_signature");
    }

    #[test]
    fn a_key_is_compared_with_chains_and_pin_whenever_it_is_reached() {
        let later = |named| -> Open { Box::new(move || Ok(key(named, named))) };
        for (now, open) in [(Some(key(1, 1)), never()), (None, later(1))] {
            let mut chains = worker(now, None, open);
            assert_failed(ask(&mut chains, soon()), "consensus_key");
            assert_eq!(chains.entry.public_key(), None);
        }
        let mut other = worker(None, Some(2), later(3));
        assert_failed(ask(&mut other, soon()), "wrong_key");
        assert!(matches!(ask(&mut worker(None, Some(3), later(3)), soon()), Some(Ok(_))));
    }

    #[test]
    fn what_nobody_waits_for_any_more_is_not_signed() {
        let mut worker = worker(Some(key(2, 2)), None, never());
        assert_eq!(ask(&mut worker, Instant::now()), None);
        let (reply, gone) = oneshot::channel();
        drop(gone);
        assert!(worker.serve(Job { payload: Vec::new(), deadline: soon(), reply }));
    }

    #[test]
    fn more_requests_than_may_wait_are_refused_at_once() {
        let worker = worker(Some(key(2, 2)), None, never());
        let job = || {
            let (reply, _) = oneshot::channel();
            Job { payload: Vec::new(), deadline: soon(), reply }
        };
        let queued = (0..100).filter(|_| worker.entry.queue(job()).is_ok()).count();
        assert_eq!(queued, MOST_WAITING);
    }
}
