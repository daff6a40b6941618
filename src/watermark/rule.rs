//! The rule of each cosigner: what may be signed after what. Pure: no I/O, no clock.
//!
//! The order of the comparisons and the texts of a denial are those of CometBFT's
//! `privval/file.go`, `CheckHRS`; the ceiling and the height-jump limit are our own.

use std::cmp::Ordering;

use super::Denial;
use crate::privval::{Fields, Kind, Likeness, sign_bytes};
use crate::types::{ChainId, Height, Hrs, Round, Step, UnixMillis};

/// Most heights that a record can save up for a jump unless a chain says otherwise, and the credit
/// with which a watermark begins that was not signed here.
pub const MAX_CREDIT: u64 = 10_000;

/// How far a height may be ahead of the last that was signed: for liveness alone, so each cosigner may
/// have its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JumpLimit {
    /// Most heights that can be saved up for a jump, and what is saved up after the first signature.
    pub most: u64,
    /// Heights earned in each second since the last signature. The default is more than any chain
    /// makes; a chain that makes more than this stops when its credit is spent.
    pub per_second: u32,
}

/// What time has earned since a record was written.
struct Earned {
    heights: u64,
    /// The time that was not enough for another height.
    unspent_ms: u64,
}

impl JumpLimit {
    /// A clock that went back earns nothing.
    fn earned(self, since: UnixMillis, now: UnixMillis) -> Earned {
        let elapsed = now.0.saturating_sub(since.0);
        let Self { per_second, .. } = self;
        if per_second == 0 {
            return Earned { heights: 0, unspent_ms: 0 };
        }
        // In thousandths of a height; 96 bits hold the product.
        let parts = u128::from(elapsed) * u128::from(per_second);
        let heights = u64::try_from(parts / 1000).unwrap_or(u64::MAX);
        let unspent_ms = u64::try_from(parts % 1000 / u128::from(per_second)).unwrap_or(0);
        Earned { heights, unspent_ms }
    }
}

impl Default for JumpLimit {
    fn default() -> Self {
        Self { most: MAX_CREDIT, per_second: 20 }
    }
}

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

/// Rules on `asked`, given what is recorded and the wall clock. Clock and limit bear on height jumps
/// only, so wrong ones can block but never let two contents through.
///
/// # Errors
/// [`Denial`] says why it may not be signed.
pub fn decide(
    recorded: &Record,
    chain: &ChainId,
    asked: &Fields,
    now: UnixMillis,
    limit: JumpLimit,
) -> Result<Decision, Denial> {
    // First of all, and for repeats too: above the ceiling somebody else signs.
    if let Some(ceiling) = recorded.ceiling
        && asked.hrs().height > ceiling
    {
        return Err(Denial::CeilingReached { asked: asked.hrs().height, ceiling });
    }
    let Some(mark) = &recorded.mark else {
        return Ok(recorded.advanced(asked, limit.most, now, limit));
    };
    match asked.hrs().cmp(&mark.hrs) {
        Ordering::Less => Err(regression(asked.hrs(), mark.hrs)),
        Ordering::Equal => again(mark, chain, asked),
        Ordering::Greater => {
            let credit = recorded.credit_after(mark.hrs.height, asked.hrs().height, now, limit)?;
            Ok(recorded.advanced(asked, credit, now, limit))
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

    /// What a file holds. More credit than the chain's limit allows is cut off by the rule, which knows
    /// that limit.
    pub(super) const fn from_parts(mark: Option<Mark>, at: UnixMillis, credit: u64) -> Self {
        Self { mark, at, credit, ceiling: None }
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

    /// Heights saved up for a jump; the rule counts at most [`JumpLimit::most`] of them.
    #[must_use]
    pub const fn credit(&self) -> u64 {
        self.credit
    }

    /// Nothing above this height is signed (`state ceiling`), a height from 1.
    #[must_use]
    pub const fn ceiling(&self) -> Option<Height> {
        self.ceiling
    }

    /// The part of a height that has been earned since `at` is kept by dating the record back, by less
    /// than a height takes; else a chain with short blocks would earn nothing between two steps.
    fn advanced(&self, asked: &Fields, credit: u64, now: UnixMillis, limit: JumpLimit) -> Decision {
        let unspent = limit.earned(self.at, now).unspent_ms;
        Decision::Advance(Box::new(Self {
            mark: Some(Mark::signed(asked.clone())),
            at: UnixMillis(now.0.saturating_sub(unspent)),
            credit: credit.min(limit.most),
            ceiling: self.ceiling,
        }))
    }

    /// Credit left after a rise.
    fn credit_after(
        &self,
        recorded: Height,
        asked: Height,
        now: UnixMillis,
        limit: JumpLimit,
    ) -> Result<u64, Denial> {
        let saved = self.credit.min(limit.most);
        let available = saved.saturating_add(limit.earned(self.at, now).heights);
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
