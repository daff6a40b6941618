//! What the rest of the node may see and tell of its connections to validators.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

use super::Address;
use crate::types::{ChainId, UnixMillis};

/// Sees all connections and commands them. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Counts the calls of [`Control::let_go`].
    let_go: watch::Sender<u64>,
    shutdown: watch::Sender<bool>,
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    next: u64,
    rows: BTreeMap<u64, Row>,
}

#[derive(Debug)]
struct Row {
    shown: Connection,
    left_out: Arc<AtomicU64>,
}

/// One connection as `/status` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The chain that is served on it.
    pub chain: ChainId,
    /// Where the validator listens.
    pub address: Address,
    /// How far it is.
    pub state: ConnectionState,
    /// When it came into this state.
    pub since: UnixMillis,
    /// How often a validator has taken it, since the start.
    pub connects: u64,
    /// How often it was lost after that.
    pub losses: u64,
    /// Log lines about it that were left out because there were too many.
    pub lines_left_out: u64,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// Nobody answers at the address.
    Dialling,
    /// In the validator's backlog; another signer is served.
    Waiting,
    /// The validator has taken this connection.
    Connected,
}

impl Control {
    /// Without connections yet.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Shared {
            let_go: watch::Sender::new(0),
            shutdown: watch::Sender::new(false),
            table: Mutex::default(),
        }))
    }

    /// Closes every connection that a validator has taken, and redials it, so that the validators take
    /// another signer from their backlog. Connections that wait there stay: one that gives up its place
    /// costs the validator up to 5 s. Acts once: what is taken after this call is kept.
    pub fn let_go(&self) {
        self.0.let_go.send_modify(|calls| *calls = calls.wrapping_add(1));
    }

    /// Ends every connection, now and later, each after the request that it is answering.
    pub fn shut_down(&self) {
        self.0.shutdown.send_replace(true);
    }

    /// All connections, in the order in which they were begun.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        let shown = |row: &Row| {
            let lines_left_out = row.left_out.load(Ordering::Relaxed);
            Connection { lines_left_out, ..row.shown.clone() }
        };
        self.table().rows.values().map(shown).collect()
    }

    /// Whether any validator has taken its connection.
    #[must_use]
    pub fn any_connected(&self) -> bool {
        self.table().rows.values().any(|row| row.shown.state == ConnectionState::Connected)
    }

    pub(super) fn watch_let_go(&self) -> watch::Receiver<u64> {
        self.0.let_go.subscribe()
    }

    pub(super) fn watch_shutdown(&self) -> watch::Receiver<bool> {
        self.0.shutdown.subscribe()
    }

    /// A connection that is not begun yet. `left_out` counts log lines.
    pub(super) fn enter(
        &self,
        chain: &ChainId,
        address: &Address,
        left_out: Arc<AtomicU64>,
    ) -> Entry {
        let mut table = self.table();
        let number = table.next;
        table.next = table.next.wrapping_add(1);
        let (chain, address, state) = (chain.clone(), address.clone(), ConnectionState::Dialling);
        let shown = Connection {
            chain,
            address,
            state,
            since: now(),
            connects: 0,
            losses: 0,
            lines_left_out: 0,
        };
        table.rows.insert(number, Row { shown, left_out });
        drop(table);
        Entry { control: self.clone(), number }
    }

    /// Every change leaves a whole table, so one behind a poisoned lock can be read.
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Control {
    fn default() -> Self {
        Self::new()
    }
}

/// A connection's row; gone from the table when this is dropped.
#[derive(Debug)]
pub(super) struct Entry {
    control: Control,
    number: u64,
}

impl Entry {
    pub(super) fn set(&self, state: ConnectionState) {
        if let Some(Row { shown, .. }) = self.control.table().rows.get_mut(&self.number)
            && shown.state != state
        {
            if state == ConnectionState::Connected {
                shown.connects = shown.connects.saturating_add(1);
            } else if shown.state == ConnectionState::Connected {
                shown.losses = shown.losses.saturating_add(1);
            }
            shown.state = state;
            shown.since = now();
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.control.table().rows.remove(&self.number);
    }
}

impl ConnectionState {
    /// The word of status and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dialling => "dialling",
            Self::Waiting => "waiting",
            Self::Connected => "connected",
        }
    }
}

/// Shown to people only; nothing is decided by it.
fn now() -> UnixMillis {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX))
}
