//! One chain at the coordinator: the order of its requests, what is settled, what peers remember.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use super::attempt::{Ask, Attempt};
use super::key::ChainKey;
use super::verified::Verified;
use crate::peer::Report;
use crate::privval::{Fields, Likeness};
use crate::types::MemberId;

/// Requests of one chain that wait at the coordinator; more are refused as busy.
pub(super) const MOST_HELD: usize = 64;

/// One chain's requests.
pub(super) struct Lane {
    pub(super) key: Arc<ChainKey>,
    /// The highest signature known: made here, forwarded, reported or replicated; always verified.
    pub(super) settled: Option<Verified>,
    pub(super) attempts: Vec<Attempt>,
    /// Requests that wait for an attempt or for the recovery.
    pub(super) held: Vec<Ask>,
    pub(super) recovery: Recovery,
    /// Members that do not serve this chain, as they said on their present link: no set waits for them.
    pub(super) absent: BTreeSet<MemberId>,
    /// Fields that members said they have begun, by member. Hints: they supply bytes, never a no.
    hints: BTreeMap<MemberId, Fields>,
}

/// Whether the other members were asked what they have begun, since leadership last changed.
pub(super) struct Recovery {
    /// Change of leadership that it belongs to.
    pub(super) epoch: Option<u64>,
    pub(super) answered: BTreeSet<MemberId>,
}

/// What to do with a request.
pub(super) enum Step {
    /// Answer it with this signature.
    Repeat(Ask, Verified),
    /// Sign only its extension: the vote is signed already.
    Extend(Ask, Verified),
    /// It was joined to a running attempt, or held.
    Nothing,
    /// Sign it, if the own rule agrees.
    Sign(Ask),
    /// Too many wait.
    Busy(Ask),
}

impl Lane {
    pub(super) const fn new(key: Arc<ChainKey>) -> Self {
        Self {
            key,
            settled: None,
            attempts: Vec::new(),
            held: Vec::new(),
            recovery: Recovery { epoch: None, answered: BTreeSet::new() },
            absent: BTreeSet::new(),
            hints: BTreeMap::new(),
        }
    }

    /// Repeats before joins, joins before new attempts.
    pub(super) fn sort(&mut self, ask: Ask, epoch: u64) -> Step {
        if let Some(settled) = &self.settled
            && settled.fields().hrs() == ask.fields.hrs()
            && settled.answers(&ask.fields).is_some()
        {
            let settled = settled.clone();
            return match ask.extension {
                None => Step::Repeat(ask, settled),
                Some(_) if self.join_extension(&ask) => Step::Nothing,
                Some(_) => Step::Extend(ask, settled),
            };
        }
        if !self.is_recovered(epoch) {
            return self.hold(ask);
        }
        let hrs = ask.fields.hrs();
        let same = self.attempts.iter_mut().find(|attempt| {
            attempt.fields.hrs() == hrs
                && attempt.fields.likeness(&ask.fields) != Likeness::Different
        });
        match same {
            Some(attempt) if ask.extension.is_none() || ask.extension == attempt.extension => {
                attempt.join(ask);
                Step::Nothing
            }
            Some(_) => self.hold(ask),
            None => Step::Sign(ask),
        }
    }

    fn join_extension(&mut self, ask: &Ask) -> bool {
        let same = self.attempts.iter_mut().find(|attempt| {
            attempt.is_repeat
                && attempt.fields.hrs() == ask.fields.hrs()
                && attempt.extension == ask.extension
        });
        same.is_some_and(|attempt| {
            attempt.join(ask.clone());
            true
        })
    }

    fn hold(&mut self, ask: Ask) -> Step {
        if self.held.len() >= MOST_HELD {
            return Step::Busy(ask);
        }
        self.held.push(ask);
        Step::Nothing
    }

    /// n − t + 1 members, this one included, have said what they have begun.
    pub(super) fn is_recovered(&self, epoch: u64) -> bool {
        let needed = usize::from(self.key.threshold.intersecting());
        self.recovery.epoch == Some(epoch) && self.recovery.answered.len() >= needed
    }

    /// Starts anew what a change of leadership asks for; `false` if that is under way or done.
    pub(super) fn begin_recovery(&mut self, epoch: u64, me: MemberId) -> bool {
        if self.recovery.epoch == Some(epoch) {
            return false;
        }
        self.recovery = Recovery { epoch: Some(epoch), answered: BTreeSet::from([me]) };
        self.hints.clear();
        true
    }

    /// Takes a member's watermark as a hint.
    pub(super) fn report(&mut self, member: MemberId, report: Report) {
        self.recovery.answered.insert(member);
        if let Some(fields) = report.fields {
            if let Some(signature) = &report.signature
                && let Some(verified) = Verified::check(&self.key, &fields, signature)
            {
                self.learn(verified);
            }
            self.hints.insert(member, fields);
        }
    }

    /// Keeps the highest signature; of two at one H/R/S the first, so that repeats stay the same.
    pub(super) fn learn(&mut self, verified: Verified) {
        let known = self.settled.as_ref().map(|settled| settled.fields().hrs());
        if known.is_none_or(|known| known < verified.fields().hrs()) {
            self.settled = Some(verified);
        }
    }

    /// The fields to sign for a request: those that this node or others have begun with, if only
    /// the timestamp differs, as CometBFT's own FilePV does; else the request's.
    pub(super) fn fields_to_sign(&self, asked: &Fields, recorded: Option<&Fields>) -> Fields {
        let mut begun = recorded.into_iter().chain(self.hints.values());
        let same = begun.find(|begun| {
            let is_vote = matches!(asked, Fields::Vote(_));
            begun.hrs() == asked.hrs()
                && is_vote
                && begun.likeness(asked) == Likeness::TimestampOnly
        });
        same.unwrap_or(asked).clone()
    }

    pub(super) fn next_timer(&self) -> Option<Instant> {
        let asks = self.attempts.iter().flat_map(|attempt| &attempt.asks).chain(&self.held);
        let deadlines = asks.map(|ask| ask.deadline);
        let hedges = self.attempts.iter().filter_map(|attempt| attempt.hedge_at);
        deadlines.chain(hedges).min()
    }
}
