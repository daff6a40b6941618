//! What the plane does when it has time: log lines, counts, Raft entries, nonces.
//!
//! All of it comes after the reply, and not between a prevote and its precommit.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;

use super::background::Wish;
use crate::ops::{Tally, write_line, write_raw_line};
use crate::raft::Settled;
use crate::signing::{RawReply, Reply};
use crate::types::ChainId;

/// A validator's next request is expected sooner than this, if there is one.
pub(super) const QUIET: Duration = Duration::from_millis(2);
/// Under load, what is put off is not put off for longer.
const LONGEST: Duration = Duration::from_millis(50);
/// Nor is more of it kept than this.
const MOST: usize = 64;

/// Work that was put off until it is quiet.
pub(super) struct Later {
    replies: Vec<(Reply, Instant)>,
    raw_replies: Vec<(RawReply, Instant)>,
    settled: BTreeMap<ChainId, Settled>,
    since: Option<Instant>,
    tally: Tally,
    raft: UnboundedSender<Wish>,
}

impl Later {
    pub(super) fn new(raft: UnboundedSender<Wish>, tally: Tally) -> Self {
        Self {
            replies: Vec::new(),
            raw_replies: Vec::new(),
            settled: BTreeMap::new(),
            since: None,
            tally,
            raft,
        }
    }

    pub(super) fn reply(&mut self, reply: Reply, answered: Instant) {
        self.since.get_or_insert(answered);
        self.replies.push((reply, answered));
    }

    pub(super) fn raw_reply(&mut self, reply: RawReply, answered: Instant) {
        self.since.get_or_insert(answered);
        self.raw_replies.push((reply, answered));
    }

    /// The newest signature of each chain wins.
    pub(super) fn settle(&mut self, settled: Settled, now: Instant) {
        self.since.get_or_insert(now);
        self.settled.insert(settled.chain.clone(), settled);
    }

    /// At once: nothing of it is a log line or a signature.
    pub(super) fn step_down(&self) {
        // As above.
        let _ = self.raft.send(Wish::StepDown);
    }

    pub(super) const fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.since.is_none()
    }

    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.replies.len() + self.raw_replies.len() >= MOST
            || self.since.is_some_and(|since| now.saturating_duration_since(since) >= LONGEST)
    }

    /// Does it all.
    pub(super) fn flush(&mut self) {
        self.since = None;
        for (_, settled) in std::mem::take(&mut self.settled) {
            // Nobody listens where a node signs alone, or stops.
            let _ = self.raft.send(Wish::Settle(settled));
        }
        for (reply, answered) in self.replies.drain(..) {
            self.tally.count(&reply, answered);
            write_line(&reply, answered);
        }
        for (reply, answered) in self.raw_replies.drain(..) {
            self.tally.count_raw(&reply);
            write_raw_line(&reply, answered);
        }
    }
}
