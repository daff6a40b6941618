//! The rule of each cosigner: what may be signed after what. Pure: no I/O, no clock.
//!
//! The order of the comparisons and the texts of a denial are those of CometBFT's
//! `privval/file.go`, `CheckHRS`; the ceiling and the height-jump limit are our own.

use std::cmp::Ordering;

use super::Denial;
use crate::privval::{Fields, Kind, Likeness, sign_bytes};
use crate::types::{ChainId, Height, Hrs, Round, Step, UnixMillis};

/// Most heights that a record can save up for a jump, and what a new one has.
pub const MAX_CREDIT: u64 = 10_000;

/// How far a height may be ahead of the last that was signed: for liveness alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JumpLimit {
    /// Most heights that can be saved up for a jump, and what a new record has.
    pub most: u64,
    /// Heights earned in each second since the last signature.
    pub per_second: u32,
}

impl Default for JumpLimit {
    fn default() -> Self {
        Self { most: MAX_CREDIT, per_second: 20 }
    }
}

/// A record earns one height of credit in this time: 20 a second, more than any chain makes.
const MILLIS_PER_HEIGHT: u64 = 50;

/// The highest height, round and step that a cosigner agreed to sign at, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    hrs: Hrs,
    fields: Option<Fields>,
}

/// What a cosigner has recorded for one chain and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    mark: Option<Mark>,
    at: UnixMillis,
    credit: u64,
    ceiling: Option<Height>,
}

/// The rule's yes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Above the watermark: this record must be durable before anything is released (I3).
    Advance(Box<Record>),
    /// The same content as recorded: may be signed again, and the first record is kept.
    Again,
}

/// Rules on `asked`, given what is recorded and the wall clock. The clock bears on height jumps
/// only, so a wrong one can block but never lets two contents through.
///
/// # Errors
/// [`Denial`] says why it may not be signed.
pub fn decide(
    recorded: &Record,
    chain: &ChainId,
    asked: &Fields,
    now: UnixMillis,
) -> Result<Decision, Denial> {
    // First of all, and for repeats too: above the ceiling somebody else signs.
    if let Some(ceiling) = recorded.ceiling
        && asked.hrs().height > ceiling
    {
        return Err(Denial::CeilingReached { asked: asked.hrs().height, ceiling });
    }
    let Some(mark) = &recorded.mark else {
        return Ok(recorded.advanced(asked, recorded.credit, now));
    };
    match asked.hrs().cmp(&mark.hrs) {
        Ordering::Less => Err(regression(asked.hrs(), mark.hrs)),
        Ordering::Equal => again(mark, chain, asked),
        Ordering::Greater => {
            let credit = recorded.credit_after(mark.hrs.height, asked.hrs().height, now)?;
            Ok(recorded.advanced(asked, credit, now))
        }
    }
}

impl Mark {
    /// These fields were agreed to.
    #[must_use]
    pub const fn signed(fields: Fields) -> Self {
        Self { hrs: fields.hrs(), fields: Some(fields) }
    }

    /// Something may have been agreed to here, and nobody knows what: denied for any content.
    #[must_use]
    pub const fn bytes_unknown(hrs: Hrs) -> Self {
        Self { hrs, fields: None }
    }

    /// Where.
    #[must_use]
    pub const fn hrs(&self) -> Hrs {
        self.hrs
    }

    /// What, `None` if unknown.
    #[must_use]
    pub const fn fields(&self) -> Option<&Fields> {
        self.fields.as_ref()
    }
}

impl Record {
    /// A key that has never signed: its first signature may be at any height.
    #[must_use]
    pub const fn never_signed(now: UnixMillis) -> Self {
        Self { mark: None, at: now, credit: MAX_CREDIT, ceiling: None }
    }

    /// Nothing at or below `height` in any round (`state init|raise --height`).
    #[must_use]
    pub const fn floor(height: Height, now: UnixMillis) -> Self {
        let hrs = Hrs { height, round: Round::MAX, step: Step::Precommit };
        Self::at_mark(Mark::bytes_unknown(hrs), now)
    }

    /// A mark taken over from elsewhere, with the credit of a new record.
    #[must_use]
    pub const fn at_mark(mark: Mark, now: UnixMillis) -> Self {
        Self { mark: Some(mark), at: now, credit: MAX_CREDIT, ceiling: None }
    }

    /// What a file holds. More credit than there can be is cut off.
    pub(super) fn from_parts(mark: Option<Mark>, at: UnixMillis, credit: u64) -> Self {
        Self { mark, at, credit: credit.min(MAX_CREDIT), ceiling: None }
    }

    /// The same record with another ceiling, or none. Which one counts is what the file says: see
    /// [`super::WatermarkFile::set_ceiling`].
    #[must_use]
    pub const fn with_ceiling(mut self, ceiling: Option<Height>) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// The watermark, `None` if the key has never signed.
    #[must_use]
    pub const fn mark(&self) -> Option<&Mark> {
        self.mark.as_ref()
    }

    /// Height, round and step of the watermark, `None` if the key has never signed.
    #[must_use]
    pub fn hrs(&self) -> Option<Hrs> {
        self.mark.as_ref().map(Mark::hrs)
    }

    /// Until when credit has been earned, by the wall clock.
    #[must_use]
    pub const fn at(&self) -> UnixMillis {
        self.at
    }

    /// Heights saved up for a jump, at most [`MAX_CREDIT`].
    #[must_use]
    pub const fn credit(&self) -> u64 {
        self.credit
    }

    /// Nothing above this height is signed (`state ceiling`), a height from 1.
    #[must_use]
    pub const fn ceiling(&self) -> Option<Height> {
        self.ceiling
    }

    /// The part of a height that has been earned since `at` is kept by dating the record back, at
    /// most 49 ms; else a chain with short blocks would earn nothing between two steps.
    fn advanced(&self, asked: &Fields, credit: u64, now: UnixMillis) -> Decision {
        let unspent = now.0.saturating_sub(self.at.0) % MILLIS_PER_HEIGHT;
        Decision::Advance(Box::new(Self {
            mark: Some(Mark::signed(asked.clone())),
            at: UnixMillis(now.0.saturating_sub(unspent)),
            credit: credit.min(MAX_CREDIT),
            ceiling: self.ceiling,
        }))
    }

    /// Credit left after a rise; a clock that went back earns nothing.
    fn credit_after(
        &self,
        recorded: Height,
        asked: Height,
        now: UnixMillis,
    ) -> Result<u64, Denial> {
        let earned = now.0.saturating_sub(self.at.0) / MILLIS_PER_HEIGHT;
        let available = self.credit.saturating_add(earned);
        let rise = asked.get().abs_diff(recorded.get());
        available.checked_sub(rise).ok_or_else(|| {
            let allowed = recorded.get().saturating_add_unsigned(available);
            // Not below `recorded`, so never negative.
            let allowed = Height::new(allowed).unwrap_or(recorded);
            Denial::HeightJump { asked, recorded, allowed }
        })
    }
}

/// The first of height, round and step that is lower.
fn regression(asked: Hrs, recorded: Hrs) -> Denial {
    let Hrs { height, round, .. } = recorded;
    if asked.height < height {
        Denial::HeightRegression { asked: asked.height, recorded: height }
    } else if asked.round < round {
        Denial::RoundRegression { height, asked: asked.round, recorded: round }
    } else {
        Denial::StepRegression { height, round, asked: asked.step, recorded: recorded.step }
    }
}

/// I1: at the recorded height, round and step only what is recorded. A proposal's timestamp counts:
/// CometBFT ignores the one that a signer returns, so it could not be put right afterwards.
fn again(mark: &Mark, chain: &ChainId, asked: &Fields) -> Result<Decision, Denial> {
    let hrs = mark.hrs;
    let Some(fields) = &mark.fields else {
        return Err(Denial::BytesUnknown { hrs });
    };
    match (fields.likeness(asked), asked.kind()) {
        (Likeness::Identical, _) => Ok(Decision::Again),
        (Likeness::TimestampOnly, Kind::Prevote | Kind::Precommit) => Ok(Decision::Again),
        (Likeness::TimestampOnly, Kind::Proposal) | (Likeness::Different, _) => {
            Err(Denial::ConflictingData { hrs, recorded: sign_bytes(chain, fields) })
        }
    }
}
