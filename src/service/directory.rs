//! The keys of the service, as calls and `/status` see them.

use std::collections::BTreeMap;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::callers::Callers;
use super::worker::Job;
use crate::types::{Algorithm, CertificatePin, PublicKey};

/// What is known of a key from outside.
#[derive(Clone, Debug)]
pub struct KeyFacts {
    /// Its name on the wire.
    pub id: String,
    /// How it signs.
    pub algorithm: Algorithm,
    /// The word of `cosigner.toml`.
    pub backend: &'static str,
    /// Who may use it.
    pub callers: Callers,
}

/// Why a key does not sign now: a word, and the same for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One word.
    pub cause: &'static str,
    /// For the log and `/status`; callers are told the word alone.
    pub text: String,
}

/// A key for `/status`.
#[derive(Clone, Debug)]
pub struct KeyStatus {
    /// Its facts.
    pub facts: KeyFacts,
    /// Its public half, once it is known.
    pub public_key: Option<PublicKey>,
    /// Signatures given since the start.
    pub signed: u64,
    /// Permitted requests that got none.
    pub failed: u64,
    /// Why it cannot be used now.
    pub trouble: Option<Trouble>,
}

/// All keys of the service, by id.
#[derive(Debug, Default)]
pub struct Directory {
    keys: BTreeMap<String, Arc<Entry>>,
}

/// One key, shared by its thread and the calls.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) facts: KeyFacts,
    state: Mutex<State>,
    /// `None` once the service has stopped.
    jobs: Mutex<Option<SyncSender<Job>>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// Only of a key that has its receipt, so that a chain's key is never shown here.
    public_key: Option<PublicKey>,
    trouble: Option<Trouble>,
    signed: u64,
    failed: u64,
}

/// Why a request was not handed to a key's thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotQueued {
    /// As many wait as may.
    Full,
    /// The service has stopped.
    Stopped,
}

/// What a caller may not know apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotFound {
    /// There is none, and this caller may use all that there are.
    NoSuchKey,
    /// There is none, or it is for others.
    NotForCaller,
}

impl Directory {
    /// Adds a key; the last of one id counts.
    pub(super) fn add(&mut self, entry: Arc<Entry>) {
        self.keys.insert(entry.facts.id.clone(), entry);
    }

    /// The key of this id, if the caller may use it. A caller that may not use all keys is not told which
    /// ids there are.
    pub(super) fn find(
        &self,
        caller: Option<CertificatePin>,
        id: &str,
    ) -> Result<&Arc<Entry>, NotFound> {
        let may = |entry: &&Arc<Entry>| entry.facts.callers.include(caller);
        if let Some(found) = self.keys.get(id).filter(may) {
            return Ok(found);
        }
        match self.keys.values().all(|entry| may(&entry)) {
            true => Err(NotFound::NoSuchKey),
            false => Err(NotFound::NotForCaller),
        }
    }

    /// The keys that the caller may use, sorted by id.
    pub(super) fn of(&self, caller: Option<CertificatePin>) -> impl Iterator<Item = &Arc<Entry>> {
        self.keys.values().filter(move |entry| entry.facts.callers.include(caller))
    }

    /// For `/status`, sorted by id.
    #[must_use]
    pub fn statuses(&self) -> Vec<KeyStatus> {
        self.keys.values().map(|entry| entry.status()).collect()
    }

    /// Lets the threads of all keys end once they have done what they were given.
    pub fn close(&self) {
        for entry in self.keys.values() {
            *locked(&entry.jobs) = None;
        }
    }
}

impl Entry {
    pub(super) fn new(facts: KeyFacts, jobs: SyncSender<Job>) -> Self {
        Self { facts, state: Mutex::default(), jobs: Mutex::new(Some(jobs)) }
    }

    pub(super) fn public_key(&self) -> Option<PublicKey> {
        locked(&self.state).public_key.clone()
    }

    pub(super) fn trouble(&self) -> Option<Trouble> {
        locked(&self.state).trouble.clone()
    }

    pub(super) fn learned(&self, public_key: &PublicKey) {
        locked(&self.state).public_key = Some(public_key.clone());
    }

    /// What was wrong before.
    pub(super) fn set_trouble(&self, trouble: Option<Trouble>) -> Option<Trouble> {
        std::mem::replace(&mut locked(&self.state).trouble, trouble)
    }

    pub(super) fn count(&self, signed: bool) {
        let mut state = locked(&self.state);
        let State { signed: yes, failed: no, .. } = &mut *state;
        let count = if signed { yes } else { no };
        *count = count.saturating_add(1);
    }

    /// Hands a request to the key's thread, without waiting.
    pub(super) fn queue(&self, job: Job) -> Result<(), NotQueued> {
        let jobs = locked(&self.jobs);
        let jobs = jobs.as_ref().ok_or(NotQueued::Stopped)?;
        jobs.try_send(job).map_err(|refused| match refused {
            TrySendError::Full(_) => NotQueued::Full,
            TrySendError::Disconnected(_) => NotQueued::Stopped,
        })
    }

    fn status(&self) -> KeyStatus {
        let State { public_key, trouble, signed, failed } = locked(&self.state).clone();
        KeyStatus { facts: self.facts.clone(), public_key, signed, failed, trouble }
    }
}

/// Nothing panics while it holds one of these, and what it guards is whole after each line.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    fn directory(keys: &[(&str, Callers)]) -> Directory {
        let mut directory = Directory::default();
        for (id, callers) in keys {
            let (id, callers) = ((*id).to_owned(), callers.clone());
            let facts = KeyFacts { id, algorithm: Algorithm::Ed25519, backend: "file", callers };
            directory.add(Arc::new(Entry::new(facts, sync_channel(1).0)));
        }
        directory
    }

    fn pin(byte: u8) -> CertificatePin {
        CertificatePin([byte; 32])
    }

    #[test]
    fn a_caller_that_may_not_use_all_keys_is_not_told_which_there_are() {
        let one = |byte| Callers::Pinned([pin(byte)].into());
        let keys = directory(&[("a", one(1)), ("b", one(2)), ("c", Callers::Any)]);
        assert!(keys.find(Some(pin(1)), "a").is_ok());
        assert!(keys.find(None, "c").is_ok());
        for (caller, id) in [(Some(pin(1)), "b"), (Some(pin(1)), "x"), (None, "a"), (None, "x")] {
            assert_eq!(keys.find(caller, id).err(), Some(NotFound::NotForCaller), "{id}");
        }
        let ids = |caller| keys.of(caller).map(|it| it.facts.id.as_str()).collect::<Vec<_>>();
        assert_eq!((ids(Some(pin(2))), ids(None)), (vec!["b", "c"], vec!["c"]));
        let keys = directory(&[("a", Callers::Any)]);
        assert_eq!(keys.find(None, "x").err(), Some(NotFound::NoSuchKey));
    }
}
