//! One thread for each whole key: its calls block, and none is ever cancelled.

use std::io;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;
use tracing::warn;

use super::plane_thread::Event;
use crate::backend::{Granted, WholeKey};
use crate::privval::RawAllowed;
use crate::signing::Input;
use crate::types::ChainId;

/// An idle key is looked at this often,
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// and one that fails this often, so that it is found working again soon.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

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
        let name = format!("key-{chain}").chars().take(15).collect();
        std::thread::Builder::new().name(name).spawn(move || {
            serve(&chain, key, &queue, &events);
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

fn serve(
    chain: &ChainId,
    mut key: Box<dyn WholeKey>,
    queue: &mpsc::Receiver<Use>,
    events: &UnboundedSender<Event>,
) {
    let mut wait = Duration::ZERO;
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
        wait = if failed { LOOK_AGAIN } else { LOOK_EVERY };
        if events.send(Event::Input(input)).is_err() {
            return;
        }
    }
}
