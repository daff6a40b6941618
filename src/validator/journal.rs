//! Log lines about a connection: one for each change, none for each attempt.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::Address;
use super::serve::Loss;
use crate::types::{ChainId, Line, LineLimit};

/// A connection that lives shorter than this is not worth a line each time.
const STEADY: Duration = Duration::from_secs(5);
/// What a validator sends, it may send at full speed and with another text each time: of each kind of
/// line it gets so many in a window.
const WINDOW: Duration = Duration::from_secs(60);
const REFUSALS: u32 = 3;
const LOSSES: u32 = 6;

/// Remembers what was logged, so that it is not logged again.
#[derive(Debug)]
pub(super) struct Journal {
    chain: ChainId,
    address: Address,
    /// The last loss or wait that was logged and not followed by a logged connection.
    told: Option<String>,
    refused: Option<String>,
    taken_at: Option<Instant>,
    /// The connection before was short; whether this one is will be known after [`STEADY`].
    owed: bool,
    refusals: LineLimit,
    losses: LineLimit,
    /// All lines that were left out, for whoever shows that.
    left_out: Arc<AtomicU64>,
}

impl Journal {
    pub(super) fn new(chain: ChainId, address: Address) -> Self {
        Self {
            chain,
            address,
            told: None,
            refused: None,
            taken_at: None,
            owed: false,
            refusals: LineLimit::new(REFUSALS, WINDOW),
            losses: LineLimit::new(LOSSES, WINDOW),
            left_out: Arc::default(),
        }
    }

    /// Counts the lines that are left out.
    pub(super) fn left_out(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.left_out)
    }

    /// In the backlog for longer than a handshake takes.
    pub(super) fn waiting(&mut self) {
        let text = "waiting";
        if self.told.as_deref() != Some(text) {
            self.told = Some(text.to_owned());
            info!(chain = %self.chain, validator = %self.address,
                "waiting in the validator's backlog: it serves another signer, or is busy");
        }
    }

    /// The validator has taken the connection.
    pub(super) fn taken(&mut self) {
        self.taken_at = Some(Instant::now());
        if !self.owed {
            self.tell_taken();
        }
    }

    /// A request was answered.
    pub(super) fn answered(&mut self) {
        if self.owed && self.taken_at.is_some_and(|at| at.elapsed() >= STEADY) {
            self.owed = false;
            self.tell_taken();
        }
        self.tell_left_out();
    }

    fn tell_taken(&mut self) {
        self.told = None;
        info!(chain = %self.chain, validator = %self.address, "connected to the validator");
    }

    /// A request was answered with an error that is not the double-sign rule's.
    pub(super) fn refused(&mut self, reason: String) {
        let now = Instant::now().into_std();
        if self.refused.as_ref() == Some(&reason) {
            self.refusals.leave_out(now);
        } else if self.refusals.line(now) == Line::Write {
            warn!(chain = %self.chain, validator = %self.address, %reason, "request refused");
            self.refused = Some(reason);
            return;
        }
        debug!(chain = %self.chain, validator = %self.address, %reason, "request refused");
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// No connection, or none any more.
    pub(super) fn lost(&mut self, loss: &Loss) {
        let reason = loss.to_string();
        let (chain, validator) = (&self.chain, &self.address);
        let now = Instant::now().into_std();
        match loss {
            Loss::Shutdown => debug!(%chain, %validator, "connection closed for shutdown"),
            Loss::LetGo => info!(%chain, %validator, "connection let go: {reason}"),
            _ if self.told.as_ref() == Some(&reason) => {
                debug!(%chain, %validator, "no connection to the validator: {reason}");
            }
            _ if self.losses.line(now) == Line::LeaveOut => {
                debug!(%chain, %validator, "no connection to the validator: {reason}");
                self.left_out.fetch_add(1, Ordering::Relaxed);
            }
            _ => {
                warn!(%chain, %validator, "no connection to the validator, redialling: {reason}");
                self.told = Some(reason);
            }
        }
        self.owed = self.taken_at.take().is_some_and(|at| at.elapsed() < STEADY);
        self.tell_left_out();
    }

    /// What was left out, when its minute is over.
    fn tell_left_out(&mut self) {
        let now = Instant::now().into_std();
        let (chain, validator) = (&self.chain, &self.address);
        if let Some(lines) = self.refusals.told(now) {
            info!(%chain, %validator, lines, "more requests were refused than were logged");
        }
        if let Some(lines) = self.losses.told(now) {
            info!(%chain, %validator, lines, "more connections were lost than were logged");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use super::*;

    fn journal() -> Journal {
        let address = "tcp://127.0.0.1:1".parse().unwrap();
        Journal::new(ChainId::new("test-chain-1").unwrap(), address)
    }

    /// Lines from INFO up that `tell` causes.
    fn lines(tell: impl FnOnce()) -> Vec<String> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let writer = Arc::clone(&seen);
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || Collected(Arc::clone(&writer)))
            .finish();
        tracing::subscriber::with_default(subscriber, tell);
        let text = String::from_utf8(seen.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    struct Collected(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Collected {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_validator_that_sends_garbage_at_full_speed_gets_a_few_lines_a_minute() {
        let mut journal = journal();
        let lines = lines(|| {
            for n in 0..10_000 {
                journal.refused(format!("vote type {n} is not known"));
                journal.answered();
            }
        });
        assert_eq!(lines.len(), 3, "{lines:?}");
        assert!(lines.iter().all(|line| line.contains("WARN")), "{lines:?}");
        assert_eq!(journal.left_out().load(Ordering::Relaxed), 9_997);
    }

    #[tokio::test(start_paused = true)]
    async fn one_reason_is_a_warning_once_and_then_counted() {
        let mut journal = journal();
        let first = lines(|| (0..500).for_each(|_| journal.refused("raw bytes".to_owned())));
        assert_eq!(first.len(), 1, "{first:?}");
        tokio::time::advance(WINDOW).await;
        let later = lines(|| {
            journal.refused("raw bytes".to_owned());
            journal.answered();
        });
        assert_eq!(later.len(), 1, "{later:?}");
        assert!(later[0].contains("INFO") && later[0].contains("lines=500"), "{later:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_lost_for_another_reason_each_time_gets_a_few_lines_a_minute() {
        let mut journal = journal();
        let lines = lines(|| {
            for n in 0..500 {
                journal.lost(&Loss::Write(io::Error::other(n.to_string())));
            }
        });
        assert_eq!(lines.len(), 6, "{lines:?}");
        assert_eq!(journal.left_out().load(Ordering::Relaxed), 494);
    }
}
