//! The member's side of raw bytes: takes the nonces, makes the receipt by its own settings, gives a
//! share.
//!
//! No watermark stands before it (I3 is about what could be a vote): [`RawAllowed`] has seen that
//! these bytes can be none, and only it is signed here.

use tracing::debug;

use super::check;
use super::participant::Participant;
use super::withheld::Caller;
use super::work::Spent;
use crate::frost::FrostError;
use crate::peer::{Failure, RawAnswer, RawAnswerBody, RawOrder, SessionId, SetShare};
use crate::privval::{RawAllowed, RawMessage, RawRefused};
use crate::types::ChainId;

/// Orders for raw bytes that wait for this node's arithmetic; more are refused as busy.
const MOST_WAITING: usize = 8;

/// Nonces that are spent, and the bytes that they are to be spent on.
pub(super) struct RawWork {
    caller: Caller,
    session: SessionId,
    chain: ChainId,
    allowed: RawAllowed,
    sets: Vec<Spent>,
}

/// An answer about raw bytes. With shares inside it is made by [`Participant::compute_raw`] alone,
/// which demands the receipt.
pub(super) struct RawReleased {
    caller: Caller,
    answer: RawAnswer,
}

impl RawReleased {
    fn new(caller: Caller, session: SessionId, sets: Vec<u32>, body: RawAnswerBody) -> Self {
        Self { caller, answer: RawAnswer { session, sets, body } }
    }

    pub(super) fn into_parts(self) -> (Caller, RawAnswer) {
        (self.caller, self.answer)
    }
}

impl Participant {
    /// What this member's own settings say about raw bytes on a chain; `None` if it has no such chain.
    pub(super) fn allow_raw(
        &self,
        chain: &ChainId,
        message: &RawMessage,
    ) -> Option<Result<RawAllowed, RawRefused>> {
        let watch = self.chains.get(chain)?;
        Some(RawAllowed::new(chain, &watch.key.dialect, message))
    }

    /// Rules on an order for raw bytes; `waiting` are admitted already. The nonces that it names are
    /// out of the pool afterwards, whatever the answer, and moved into the work: no vote can be signed
    /// with them any more, nor other bytes (I4).
    ///
    /// # Errors
    /// The answer to send instead of shares.
    pub(super) fn admit_raw(
        &mut self,
        caller: Caller,
        order: RawOrder,
        waiting: usize,
    ) -> Result<RawWork, Box<RawReleased>> {
        let session = order.session;
        let ids: Vec<u32> = order.sets.iter().map(|set| set.id).collect();
        let answer = |body| Box::new(RawReleased::new(caller, session, ids.clone(), body));
        let failure = |failure| answer(RawAnswerBody::Failed(failure));

        // I4: out of the pool before anything can fail.
        let taken = self.spend(caller, &order.sets);
        let Some(watch) = self.chains.get(&order.chain) else {
            return Err(failure(Failure::UnknownKey));
        };
        let checked = check::split_key(watch, order.key, order.setup)
            .and_then(|()| check::sets(watch, &check::Place::of(self), order.sets.iter()));
        checked.map_err(failure)?;
        let sets = taken.ok_or_else(|| failure(Failure::UnknownNonce))?;
        if waiting >= MOST_WAITING {
            return Err(failure(Failure::Busy));
        }
        let allowed = RawAllowed::new(&order.chain, &watch.key.dialect, &order.message)
            .map_err(|why| answer(RawAnswerBody::Refused(why.to_string())))?;
        Ok(RawWork { caller, session, chain: order.chain, allowed, sets })
    }

    /// Computes the shares of an admitted order.
    pub(super) fn compute_raw(&self, work: RawWork) -> RawReleased {
        let RawWork { caller, session, chain, allowed, sets } = work;
        let ids: Vec<u32> = sets.iter().map(Spent::set_id).collect();
        let body = match self.raw_shares(&chain, &allowed, sets) {
            Ok(shares) => {
                note_what_is_given(&chain, session, &allowed, &shares);
                RawAnswerBody::Shares(shares)
            }
            Err(_) => RawAnswerBody::Failed(Failure::Malformed),
        };
        RawReleased::new(caller, session, ids, body)
    }

    fn raw_shares(
        &self,
        chain: &ChainId,
        allowed: &RawAllowed,
        sets: Vec<Spent>,
    ) -> Result<Vec<SetShare>, FrostError> {
        let watch = self.chains.get(chain).ok_or(FrostError::NoSigners)?;
        let share = |spent: Spent| {
            let shared = spent.share(self.me, &watch.key, allowed.as_bytes(), &|_| None);
            shared.map(|(share, _)| share)
        };
        sets.into_iter().map(share).collect()
    }
}

/// One line for each share, written before it leaves: what audits read.
fn note_what_is_given(
    chain: &ChainId,
    session: SessionId,
    allowed: &RawAllowed,
    shares: &[SetShare],
) {
    use sha2::{Digest as _, Sha256};
    if !tracing::enabled!(target: "cosigner::gave", tracing::Level::DEBUG) {
        return;
    }
    let content = hex::encode(Sha256::digest(allowed.as_bytes()));
    for share in shares {
        debug!(
            target: "cosigner::gave",
            %chain,
            kind = "raw",
            content,
            session = hex::encode(session.0),
            set = share.set,
            "gave a share",
        );
    }
}
