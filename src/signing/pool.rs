//! Nonces made ahead of time, and the commitments to others' nonces.
//!
//! A pool of nonces belongs to one live link and dies with it (I4): a restored or cloned machine has
//! no link, hence no nonce. It is looked up by the commitment's bytes, so a replayed or foreign
//! commitment is simply unknown.

use std::collections::{HashMap, VecDeque};

use crate::frost::{NonceCommitment, Nonces, RawCommitment};

/// Commitments that a pool should hold: about 16 blocks of a chain with vote extensions.
pub(super) const POOL_TARGET: usize = 64;
/// Commitments of one peer that are kept; what a peer pushes beyond is dropped.
const MOST_COMMITMENTS: usize = 4 * POOL_TARGET;

/// This member's nonces that one coordinator may use.
#[derive(Default)]
pub(super) struct NoncePool {
    nonces: HashMap<RawCommitment, (Nonces, NonceCommitment)>,
}

impl NoncePool {
    pub(super) fn put(&mut self, nonces: Nonces, commitment: NonceCommitment) {
        self.nonces.insert(commitment.raw(), (nonces, commitment));
    }

    /// I4: what is taken is out of the pool, whatever happens next.
    pub(super) fn take(&mut self, commitment: &RawCommitment) -> Option<(Nonces, NonceCommitment)> {
        self.nonces.remove(commitment)
    }

    pub(super) fn len(&self) -> usize {
        self.nonces.len()
    }

    pub(super) fn missing(&self) -> usize {
        POOL_TARGET.saturating_sub(self.nonces.len())
    }
}

/// Another member's commitments, oldest first; decoded and checked for torsion when there is time.
#[derive(Default)]
pub(super) struct Commitments {
    decoded: VecDeque<NonceCommitment>,
    raw: VecDeque<RawCommitment>,
}

impl Commitments {
    pub(super) fn len(&self) -> usize {
        self.decoded.len() + self.raw.len()
    }

    pub(super) fn push_raw(&mut self, commitments: impl IntoIterator<Item = RawCommitment>) {
        let room = MOST_COMMITMENTS.saturating_sub(self.len());
        self.raw.extend(commitments.into_iter().take(room));
    }

    pub(super) fn push(&mut self, commitment: NonceCommitment) {
        if self.len() < MOST_COMMITMENTS {
            self.decoded.push_back(commitment);
        }
    }

    /// The oldest commitment. One that does not decode is dropped: its sender cheats or errs.
    pub(super) fn take(&mut self) -> Option<NonceCommitment> {
        loop {
            if let Some(decoded) = self.decoded.pop_front() {
                return Some(decoded);
            }
            self.decode_one()?;
        }
    }

    /// Decodes one waiting commitment; `None` if none waits.
    pub(super) fn decode_one(&mut self) -> Option<()> {
        let raw = self.raw.pop_front()?;
        if let Ok(decoded) = raw.decode() {
            self.decoded.push_back(decoded);
        }
        Some(())
    }

    /// Decodes until so many are ready; `false`, with nothing left to decode, if there are fewer.
    pub(super) fn make_ready(&mut self, count: usize) -> bool {
        while self.decoded.len() < count {
            if self.decode_one().is_none() {
                return false;
            }
        }
        true
    }

    pub(super) fn clear(&mut self) {
        self.decoded.clear();
        self.raw.clear();
    }
}
