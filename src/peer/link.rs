//! One stream to one member, seen from this process: what is sent, what came, how it ends.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tonic::{Status, Streaming};

use super::ending::{Ending, describe};
use super::message::{Hello, Message};
use super::wire::{self, Envelope, WireError};
use crate::types::MemberId;

/// Messages that may wait to be written to one member.
const QUEUE_MESSAGES: usize = 1024;
/// Bytes that may wait to be written to one member; one message may exceed what is left.
const QUEUE_BYTES: usize = 16 << 20;
/// Received messages of one link that may wait to be dealt with.
const UNREAD_MESSAGES: usize = 256;
/// Bytes that one of those stands for; longer messages count several times. Together 16 MiB.
const UNREAD_BYTES_EACH: usize = 64 << 10;

/// Names a link. Never used twice in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(crate) u64);

/// A handle to send on. The link lives until either side ends it, not as long as its handles.
#[derive(Clone)]
pub struct Link {
    /// Whose certificate the other end has shown.
    pub peer: MemberId,
    /// Its number.
    pub id: LinkId,
    shared: Arc<Shared>,
}

/// What happens on links. For each link: once `Up`, any number of `Message`, once `Down`.
#[derive(Debug)]
pub enum Event {
    /// The greeting was exchanged. An earlier link of the same member was reported down before.
    Up {
        /// The new link.
        link: Link,
        /// What the member said of itself.
        hello: Hello,
    },
    /// A checked message.
    Message {
        /// From whom, by its certificate.
        peer: MemberId,
        /// On which link.
        link: LinkId,
        /// What it says.
        message: Box<Message>,
        /// To be dropped when the message has been dealt with.
        permit: Permit,
    },
    /// The link is gone.
    Down {
        /// To whom it was.
        peer: MemberId,
        /// Which one.
        link: LinkId,
        /// Why, for people.
        reason: String,
    },
}

/// The right to have an unread message. A member that sends faster than it is read runs out of
/// them and is held up by flow control; nobody else is.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

/// Where events go. Its length is bounded by the permits.
pub type EventSink = mpsc::UnboundedSender<Event>;

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The link has ended; its `Down` was sent.
    #[error("the link to member {0} is closed")]
    Closed(MemberId),
    /// The member does not read. The link was closed because of it.
    #[error("member {0} does not read what it is sent; the link was closed")]
    Full(MemberId),
    /// The message breaks a limit. The link is as it was.
    #[error("a message to member {peer} was not sent: {error}")]
    Unsendable {
        /// To whom.
        peer: MemberId,
        /// What it breaks.
        error: WireError,
    },
}

struct Shared {
    peer: MemberId,
    events: EventSink,
    queue: mpsc::Sender<(Envelope, usize)>,
    queued_bytes: Arc<AtomicUsize>,
    unread: Arc<Semaphore>,
    phase: Mutex<Phase>,
}

/// Guards the order of events: nothing is reported before `Up` or after `Down`.
enum Phase {
    Greeting(Stops),
    Up(Stops),
    Down,
}

/// Ends both directions.
struct Stops {
    outgoing: oneshot::Sender<Status>,
    reader: oneshot::Sender<Ending>,
}

/// The messages on their way out, as tonic pulls them.
pub(super) struct Outgoing {
    queue: mpsc::Receiver<(Envelope, usize)>,
    queued_bytes: Arc<AtomicUsize>,
    stop: Option<oneshot::Receiver<Status>>,
}

/// Makes a link that is not up yet, with what feeds its stream and what tells its reader to stop.
pub(super) fn new(
    peer: MemberId,
    events: EventSink,
) -> (Link, Outgoing, oneshot::Receiver<Ending>) {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let id = LinkId(NEXT.fetch_add(1, Ordering::Relaxed));
    let (queue, queued) = mpsc::channel(QUEUE_MESSAGES);
    let (stop_outgoing, outgoing_stopped) = oneshot::channel();
    let (stop_reader, reader_stopped) = oneshot::channel();
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let stops = Stops { outgoing: stop_outgoing, reader: stop_reader };
    let outgoing = Outgoing {
        queue: queued,
        queued_bytes: queued_bytes.clone(),
        stop: Some(outgoing_stopped),
    };
    let unread = Arc::new(Semaphore::new(UNREAD_MESSAGES));
    let phase = Mutex::new(Phase::Greeting(stops));
    let shared = Arc::new(Shared { peer, events, queue, queued_bytes, unread, phase });
    (Link { peer, id, shared }, outgoing, reader_stopped)
}

impl Link {
    /// Queues a message; never waits.
    ///
    /// # Errors
    /// [`LinkError`]; after `Closed` and `Full` the link is of no more use.
    pub fn send(&self, message: Message) -> Result<(), LinkError> {
        let (envelope, bytes) = wire::encode(message)
            .map_err(|error| LinkError::Unsendable { peer: self.peer, error })?;
        if !matches!(*self.shared.phase(), Phase::Up(_)) {
            return Err(LinkError::Closed(self.peer));
        }
        self.shared.enqueue(envelope, bytes).inspect_err(|error| {
            if matches!(error, LinkError::Full(_)) {
                self.end(&Ending::NotReading);
            }
        })
    }

    /// Ends the link. Its `Down` follows at once.
    pub fn close(&self) {
        self.end(&Ending::Closed);
    }

    /// Queues the greeting, the only message before the link is up.
    pub(super) fn greet(&self, hello: &Hello) -> Result<(), LinkError> {
        let envelope = wire::encode_hello(hello);
        let bytes = envelope.encoded_len();
        self.shared.enqueue(envelope, bytes)
    }

    /// Reports the link as up. Not if it has ended meanwhile.
    pub(super) fn up(&self, hello: Hello) {
        let mut phase = self.shared.phase();
        match std::mem::replace(&mut *phase, Phase::Down) {
            Phase::Greeting(stops) => {
                *phase = Phase::Up(stops);
                // A consumer that is gone is noticed by the reader.
                let _ = self.shared.events.send(Event::Up { link: self.clone(), hello });
            }
            other => *phase = other,
        }
    }

    /// Ends the link and reports it, once.
    pub(super) fn end(&self, ending: &Ending) {
        let mut phase = self.shared.phase();
        let stops = match std::mem::replace(&mut *phase, Phase::Down) {
            Phase::Greeting(stops) => stops,
            Phase::Up(stops) => {
                let (peer, link, reason) = (self.peer, self.id, ending.to_string());
                let _ = self.shared.events.send(Event::Down { peer, link, reason });
                stops
            }
            Phase::Down => return,
        };
        // Either may be gone already.
        let _ = stops.outgoing.send(ending.status());
        let _ = stops.reader.send(ending.clone());
    }

    /// Reads until the stream or the link ends.
    pub(super) async fn read(
        &self,
        inbound: &mut Streaming<Envelope>,
        mut stopped: oneshot::Receiver<Ending>,
    ) -> Ending {
        loop {
            let received = tokio::select! {
                biased;
                ending = &mut stopped => return ending.unwrap_or(Ending::Closed),
                received = inbound.message() => received,
            };
            let envelope = match received {
                Ok(Some(envelope)) => envelope,
                Ok(None) => return Ending::Ended,
                Err(status) => return Ending::Broken(describe(&status)),
            };
            let weight = 1 + envelope.encoded_len() / UNREAD_BYTES_EACH;
            let message = match wire::decode(envelope) {
                Ok(message) => message,
                Err(error) => return Ending::Nonsense(error),
            };
            let permits = u32::try_from(weight.min(UNREAD_MESSAGES)).unwrap_or(1);
            let permit = tokio::select! {
                biased;
                ending = &mut stopped => return ending.unwrap_or(Ending::Closed),
                permit = self.shared.unread.clone().acquire_many_owned(permits) => permit,
            };
            let Ok(permit) = permit else { return Ending::Closed };
            if !self.deliver(message, Permit { _permit: permit }) {
                return Ending::Stopping;
            }
        }
    }

    /// Whether anybody still listens.
    fn deliver(&self, message: Message, permit: Permit) -> bool {
        let phase = self.shared.phase();
        let (peer, link) = (self.peer, self.id);
        let message = Box::new(message);
        matches!(*phase, Phase::Up(_))
            && self.shared.events.send(Event::Message { peer, link, message, permit }).is_ok()
    }
}

impl Shared {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        // The phase is whole after every statement, also where another thread panicked.
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(&self, envelope: Envelope, bytes: usize) -> Result<(), LinkError> {
        if self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) > QUEUE_BYTES {
            return Err(LinkError::Full(self.peer));
        }
        self.queue.try_send((envelope, bytes)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => LinkError::Full(self.peer),
            mpsc::error::TrySendError::Closed(_) => LinkError::Closed(self.peer),
        })
    }
}

impl Stream for Outgoing {
    type Item = Result<Envelope, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stop) = &mut self.stop else { return Poll::Ready(None) };
        if let Poll::Ready(stopped) = Pin::new(stop).poll(context) {
            self.stop = None;
            return Poll::Ready(stopped.ok().map(Err));
        }
        match self.queue.poll_recv(context) {
            Poll::Ready(Some((envelope, bytes))) => {
                self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
                Poll::Ready(Some(Ok(envelope)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl fmt::Display for LinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({} to member {})", self.id, self.peer)
    }
}
