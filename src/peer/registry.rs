//! Who is connected to the called side. One stream for each member: the newest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::ending::Ending;
use super::io::{Cut, MemberStream};
use super::journal::Journal;
use super::link::Link;
use super::message::Hello;
use crate::types::MemberId;

/// Connections of one member at the same time: signing, Raft, and what is left of lost ones.
const CONNECTIONS: usize = 8;

/// Links and connections by member.
#[derive(Default)]
pub(super) struct Registry {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    stopped: bool,
    links: BTreeMap<MemberId, Link>,
    journals: BTreeMap<MemberId, Journal>,
    connections: BTreeMap<MemberId, Vec<Weak<Cut>>>,
}

impl Registry {
    /// Remembers a connection, so that it can be cut. A member's oldest goes if it has too many.
    pub(super) fn connected(&self, stream: &MemberStream) {
        let mut state = self.lock();
        if state.stopped {
            stream.cut().cut();
            return;
        }
        let connections = state.connections.entry(stream.member()).or_default();
        connections.retain(|cut| cut.strong_count() > 0);
        connections.push(Arc::downgrade(stream.cut()));
        if connections.len() > CONNECTIONS {
            cut(&connections.remove(0));
        }
    }

    /// Reports a link as up; the member's earlier one is reported down before.
    pub(super) fn up(&self, link: &Link, hello: Hello) {
        let mut state = self.lock();
        if state.stopped {
            return link.end(&Ending::Stopping);
        }
        if let Some(earlier) = state.links.insert(link.peer, link.clone()) {
            earlier.end(&Ending::Replaced);
        }
        state.journals.entry(link.peer).or_default().up(link.peer, &hello);
        link.up(hello);
    }

    /// Ends a link and reports it as down, if it was up.
    pub(super) fn down(&self, link: &Link, ending: &Ending) {
        let mut state = self.lock();
        link.end(ending);
        let current = state.links.get(&link.peer).map(|current| current.id);
        if current.is_none_or(|current| current == link.id) {
            state.links.remove(&link.peer);
            let journal = state.journals.entry(link.peer).or_default();
            journal.failed(link.peer, &ending.to_string());
        }
    }

    /// Ends everything, now and for ever.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        for link in std::mem::take(&mut state.links).into_values() {
            link.end(&Ending::Stopping);
        }
        for connection in std::mem::take(&mut state.connections).values().flatten() {
            cut(connection);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn cut(connection: &Weak<Cut>) {
    if let Some(connection) = connection.upgrade() {
        connection.cut();
    }
}
