//! One thread for each whole key: its calls block, and none is ever cancelled.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::plane_thread::Event;
use crate::backend::{Granted, KeyFault, WholeKey};
use crate::privval::RawAllowed;
use crate::signing::Input;
use crate::types::ChainId;

/// An idle key is looked at this often,
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// and one that fails this often, so that it is found working again soon.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A first look that takes longer than this is reported: a key that is opened by its own thread may hang
/// there, and nobody has asked it for a signature yet.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// At the end, a call that is under way gets this long.
const FINISHING: Duration = Duration::from_millis(500);

/// What a key is used with: one of the receipts.
enum Use {
    Granted(Granted),
    Raw(RawAllowed),
}

/// Uses the whole key of one chain, one call after the other.
pub(super) struct KeyThread {
    uses: mpsc::Sender<Use>,
    /// Its other end goes with the thread.
    ended: mpsc::Receiver<()>,
}

impl KeyThread {
    /// Starts the thread of a key; what comes of each use goes to `events`.
    pub(super) fn start(
        chain: ChainId,
        key: Box<dyn WholeKey>,
        events: UnboundedSender<Event>,
    ) -> io::Result<Self> {
        let (uses, queue) = mpsc::channel::<Use>();
        let (running, ended) = mpsc::channel();
        let name: String = format!("key-{chain}").chars().take(15).collect();
        let (looked, first_look) = mpsc::channel();
        watch_first_look(chain.clone(), first_look, events.clone())?;
        std::thread::Builder::new().name(name).spawn(move || {
            serve(&chain, key, &queue, &events, looked);
            drop(running);
        })?;
        Ok(Self { uses, ended })
    }

    /// Hands a receipt over. `false` if the thread is gone.
    pub(super) fn use_key(&self, granted: Granted) -> bool {
        self.uses.send(Use::Granted(granted)).is_ok()
    }

    /// The same for raw bytes.
    pub(super) fn sign_raw(&self, allowed: RawAllowed) -> bool {
        self.uses.send(Use::Raw(allowed)).is_ok()
    }

    /// Lets the thread end, which closes the key. A call that hangs is not waited for: what it signs
    /// would reach nobody.
    pub(super) fn finish(self, chain: &ChainId) {
        drop(self.uses);
        if self.ended.recv_timeout(FINISHING) == Err(RecvTimeoutError::Timeout) {
            warn!(%chain, "the key's backend has not answered; not waiting for it");
        }
    }
}

/// Says that a key does not answer, if its thread has not come back from its first call in time. What
/// the thread says afterwards counts again.
fn watch_first_look(
    chain: ChainId,
    first_look: mpsc::Receiver<()>,
    events: UnboundedSender<Event>,
) -> io::Result<()> {
    std::thread::Builder::new().name("first-look".to_owned()).spawn(move || {
        if first_look.recv_timeout(FIRST_LOOK) == Err(RecvTimeoutError::Timeout) {
            let health = Err(KeyFault::NoAnswer { waited: FIRST_LOOK });
            // The plane may be gone already.
            let _ = events.send(Event::Input(Input::KeyHealth { chain, health }));
        }
    })?;
    Ok(())
}

fn serve(
    chain: &ChainId,
    mut key: Box<dyn WholeKey>,
    queue: &mpsc::Receiver<Use>,
    events: &UnboundedSender<Event>,
    first_look: mpsc::Sender<()>,
) {
    let mut wait = Duration::ZERO;
    // Dropped when the first call is over.
    let mut first_look = Some(first_look);
    loop {
        let (failed, input) = match queue.recv_timeout(wait) {
            Ok(Use::Raw(allowed)) => {
                let result = key.sign_raw(allowed);
                (result.is_err(), Input::KeyUsedRaw { chain: chain.clone(), result })
            }
            Ok(Use::Granted(granted)) => {
                let result = key.sign(granted);
                (result.is_err(), Input::KeyUsed { chain: chain.clone(), result })
            }
            Err(RecvTimeoutError::Timeout) => {
                let health = key.health();
                (health.is_err(), Input::KeyHealth { chain: chain.clone(), health })
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        first_look.take();
        wait = if failed { LOOK_AGAIN } else { LOOK_EVERY };
        if events.send(Event::Input(input)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::backend::{ServiceMessage, Signatures};
    use crate::types::{PublicKey, Signature};

    /// A key whose first look takes this long.
    struct Slow(Duration, PublicKey);

    impl WholeKey for Slow {
        fn public_key(&self) -> &PublicKey {
            &self.1
        }

        fn sign(&mut self, _: Granted) -> Result<Signatures, KeyFault> {
            Err(KeyFault::Other("nothing is signed here".to_owned()))
        }

        fn sign_raw(&mut self, _: RawAllowed) -> Result<Signature, KeyFault> {
            Err(KeyFault::Other("nothing is signed here".to_owned()))
        }

        fn sign_service(&mut self, _: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
            Err(KeyFault::Other("nothing is signed here".to_owned()))
        }

        fn health(&mut self) -> Result<(), KeyFault> {
            std::thread::sleep(std::mem::take(&mut self.0));
            Ok(())
        }
    }

    /// What is first said of a key whose first look takes this long, and how soon.
    fn first_said(look: Duration) -> (Result<(), KeyFault>, Duration) {
        let (events, mut said) = unbounded_channel();
        let key = Box::new(Slow(look, PublicKey::ed25519([7; 32])));
        let begun = Instant::now();
        let chain = ChainId::new("test-chain-1").unwrap();
        let _thread = KeyThread::start(chain, key, events).unwrap();
        let Some(Event::Input(Input::KeyHealth { health, .. })) = said.blocking_recv() else {
            panic!("something else")
        };
        (health, begun.elapsed())
    }

    #[test]
    fn a_key_that_hangs_at_its_first_look_is_said_to_give_no_answer() {
        assert_eq!(first_said(Duration::ZERO).0, Ok(()));
        let (said, after) = first_said(Duration::from_secs(20));
        assert_eq!(said.unwrap_err().word(), "no_answer");
        assert!(after >= FIRST_LOOK && after < Duration::from_secs(10), "{after:?}");
    }
}
