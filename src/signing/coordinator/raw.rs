//! Raw bytes at the coordinator: signing sets of their own, that votes never wait for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::{Coordinator, Deed, Present};
use crate::backend::KeyFault;
use crate::frost::NonceCommitment;
use crate::peer::{Failure, RawAnswer, RawAnswerBody, RawOrder, SessionId, SigningSet};
use crate::signing::pool::POOL_TARGET;
use crate::signing::raw::{Offered, RawAccount, RawAsk, RawAttempt, RawReply, RawSet, RawVerdict};
use crate::signing::roster::{Roster, Wanted};
use crate::types::{Algorithm, MemberId, Signature};

/// Requests of one chain that are signed at a time; the next are answered "ask again".
const MOST_AT_A_TIME: usize = 4;

/// Signing sets of one request.
const MOST_SETS: u32 = 4;

/// A set of raw bytes is late after this, doubled each time: they may be many, and wait for votes.
const PATIENCE: Duration = Duration::from_millis(100);

/// So many commitments of each member are kept for votes: raw bytes take the others.
const KEPT_FOR_VOTES: usize = POOL_TARGET / 2;

impl Coordinator {
    /// Takes a request of this node's validator. It is this member that coordinates it, leader or not.
    pub(in crate::signing) fn ask_raw(&mut self, ask: RawAsk, present: Present<'_>) {
        let key = self.lanes.get(&ask.chain).map(|lane| Arc::clone(&lane.key));
        let own = present.own.allow_raw(&ask.chain, &ask.message);
        let (Some(key), Some(own)) = (key, own) else {
            let why = format!("no key for chain {}", ask.chain);
            return self.end_raw(&ask, RawVerdict::Refused(why));
        };
        let allowed = match own {
            Ok(allowed) => allowed,
            Err(why) => return self.end_raw(&ask, RawVerdict::Refused(why.to_string())),
        };
        let running = self.raw.attempts.iter().filter(|attempt| attempt.key.chain == ask.chain);
        if running.count() >= MOST_AT_A_TIME {
            let why = "too many requests for raw bytes at a time".to_owned();
            return self.end_raw(&ask, RawVerdict::NotNow(why));
        }
        let limit = key.message_limit.unwrap_or(usize::MAX);
        let length = allowed.as_bytes().len();
        if length > limit {
            let why = KeyFault::TooLong { length, limit };
            return self.end_raw(&ask, RawVerdict::Refused(format!("the key's backend {why}")));
        }
        let session = self.next_session();
        let account = RawAccount::of(&ask, Some(&allowed));
        let RawAsk { ticket, chain, message, deadline, .. } = ask;
        let is_whole = key.is_whole();
        self.raw.attempts.push(RawAttempt {
            session,
            ticket,
            key,
            message,
            bytes: allowed.as_bytes().to_vec(),
            deadline,
            sets: Vec::new(),
            excluded: BTreeSet::new(),
            refusals: BTreeMap::new(),
            hedge_at: None,
            account,
        });
        if is_whole {
            self.deeds.push(Deed::SignRaw { chain, session, allowed });
        } else {
            self.open_raw_set(session, present.now);
        }
    }

    fn end_raw(&mut self, ask: &RawAsk, verdict: RawVerdict) {
        let (ticket, account) = (ask.ticket, RawAccount::of(ask, None));
        self.deeds.push(Deed::FinishRaw(Box::new(RawReply { ticket, verdict, account })));
    }

    fn raw_attempt(&mut self, session: SessionId) -> Option<&mut RawAttempt> {
        self.raw.attempts.iter_mut().find(|attempt| attempt.session == session)
    }

    fn finish_raw(&mut self, session: SessionId, verdict: RawVerdict) {
        let mut attempts = self.raw.attempts.iter();
        let Some(index) = attempts.position(|attempt| attempt.session == session) else { return };
        let RawAttempt { ticket, account, .. } = self.raw.attempts.swap_remove(index);
        self.deeds.push(Deed::FinishRaw(Box::new(RawReply { ticket, verdict, account })));
    }

    /// Opens the best set that can be had without the commitments that votes may need. Where there is
    /// none and none is open the request ends: the validator's next vote waits behind it.
    fn open_raw_set(&mut self, session: SessionId, now: Instant) {
        let Self { raw, roster, .. } = self;
        let attempt = raw.attempts.iter_mut().find(|attempt| attempt.session == session);
        let Some(attempt) = attempt else { return };
        let set = open(roster, attempt, now);
        let patience = PATIENCE * 2_u32.pow(attempt.account.sets.saturating_sub(1).min(5));
        attempt.hedge_at = Some(now + patience);
        match set {
            Some(set) => {
                let order = RawOrder {
                    session,
                    chain: attempt.key.chain.clone(),
                    key: attempt.key.id,
                    setup: attempt.key.setup,
                    message: attempt.message.clone(),
                    sets: vec![set],
                };
                let me = roster.me();
                let members = order.sets.iter().flat_map(|set| set.signers.keys().copied());
                // The others first: the own share is computed while they travel.
                let mut members: Vec<MemberId> = members.collect();
                members.sort_by_key(|&member| member == me);
                for to in members {
                    self.deeds.push(Deed::RawOrder { to, order: order.clone() });
                }
            }
            None if attempt.has_live_set() => {}
            None => self.raw_is_hopeless(session),
        }
    }

    /// No set is open and none can be opened.
    fn raw_is_hopeless(&mut self, session: SessionId) {
        let Some(attempt) = self.raw_attempt(session) else { return };
        let spare = attempt.key.threshold.n() - attempt.key.threshold.t();
        let reasons =
            attempt.refusals.iter().map(|(member, why)| format!("member {member}: {why}"));
        let verdict = if attempt.refusals.len() > usize::from(spare) {
            RawVerdict::Refused(reasons.collect::<Vec<_>>().join("; "))
        } else {
            RawVerdict::NotNow(
                "no quorum for raw bytes: too few members, or nonces, at hand".into(),
            )
        };
        for to in self.roster.short_of(KEPT_FOR_VOTES + 1) {
            self.deeds.push(Deed::Need { to });
        }
        self.finish_raw(session, verdict);
    }

    /// Takes a member's answer.
    pub(in crate::signing) fn raw_answer(
        &mut self,
        member: MemberId,
        answer: RawAnswer,
        present: Present<'_>,
    ) {
        let RawAnswer { session, sets, body } = answer;
        match body {
            RawAnswerBody::Shares(shares) => {
                for share in shares {
                    self.raw_share(member, session, share, present.now);
                }
            }
            RawAnswerBody::Refused(why) => {
                let Some(attempt) = self.raw_attempt(session) else { return };
                if attempt.lose(member, &sets) {
                    attempt.excluded.insert(member);
                    attempt.refusals.insert(member, why.clone());
                    self.tell_raw(member, format!("refuses raw bytes: {why}"));
                }
            }
            RawAnswerBody::Failed(failure) => {
                let Some(attempt) = self.raw_attempt(session) else { return };
                if !attempt.lose(member, &sets) {
                    return;
                }
                if failure == Failure::UnknownNonce {
                    self.roster.forget_commitments(member);
                } else {
                    attempt.excluded.insert(member);
                    if failure != Failure::Busy {
                        self.tell_raw(member, format!("could not sign raw bytes: {failure:?}"));
                    }
                }
            }
        }
        self.open_raw_set_if_lost(session, present.now);
    }

    fn raw_share(
        &mut self,
        member: MemberId,
        session: SessionId,
        share: crate::peer::SetShare,
        now: Instant,
    ) {
        let Some(attempt) = self.raw_attempt(session) else { return };
        match attempt.offer(member, share) {
            Offered::Nothing => {}
            Offered::Complete(signature) => {
                attempt.account.settled = Some(now);
                let signature = Signature::new(Algorithm::Ed25519, signature);
                self.finish_raw(session, RawVerdict::Signed(signature));
            }
            Offered::Bad(culprits) => {
                attempt.excluded.extend(culprits.iter().copied());
                attempt.account.culprits.extend(culprits.iter().copied());
                let chain = attempt.key.chain.clone();
                for culprit in culprits {
                    warn!(%chain, member = %culprit,
                        "a member sent a share of raw bytes that does not verify");
                    self.roster.suspect(culprit, now);
                }
            }
        }
    }

    fn open_raw_set_if_lost(&mut self, session: SessionId, now: Instant) {
        if self.raw_attempt(session).is_some_and(|attempt| !attempt.has_live_set()) {
            self.open_raw_set(session, now);
        }
    }

    /// Says once what a member does not do.
    fn tell_raw(&mut self, member: MemberId, what: String) {
        if self.raw.told.get(&member) != Some(&what) {
            warn!(%member, "a member {what}");
            self.raw.told.insert(member, what);
        }
    }

    /// A member cannot be reached any more.
    pub(super) fn raw_link_down(&mut self, member: MemberId, now: Instant) {
        for session in self.raw_sessions() {
            if let Some(attempt) = self.raw_attempt(session)
                && attempt.late().contains(&member)
            {
                attempt.lose(member, &[]);
                self.open_raw_set_if_lost(session, now);
            }
        }
    }

    fn raw_sessions(&self) -> Vec<SessionId> {
        let split = self.raw.attempts.iter().filter(|attempt| !attempt.key.is_whole());
        split.map(|attempt| attempt.session).collect()
    }

    /// Ends what is due, and opens further sets where the open ones are late.
    pub(super) fn raw_timer(&mut self, now: Instant) {
        let due: Vec<(SessionId, String)> = self
            .raw
            .attempts
            .iter()
            .filter(|attempt| attempt.deadline <= now)
            .map(|attempt| (attempt.session, no_answer(attempt)))
            .collect();
        for (session, why) in due {
            self.finish_raw(session, RawVerdict::NotNow(why));
        }
        for session in self.raw_sessions() {
            let is_late = |attempt: &mut RawAttempt| attempt.hedge_at.is_some_and(|at| at <= now);
            if self.raw_attempt(session).is_some_and(is_late) {
                self.open_raw_set(session, now);
            }
        }
    }

    pub(super) fn next_raw_timer(&self) -> Option<Instant> {
        let attempts = self.raw.attempts.iter();
        attempts.flat_map(|it| it.hedge_at.into_iter().chain([it.deadline])).min()
    }

    /// Whether somebody still waits for this use of the whole key.
    pub(in crate::signing) fn waits_for_raw(&self, session: SessionId) -> bool {
        self.raw.attempts.iter().any(|attempt| attempt.session == session)
    }

    /// The whole key has signed. I5: nothing of it is used before it verifies over the bytes.
    ///
    /// # Errors
    /// [`KeyFault::BadSignature`] if it does not; the request then waits for [`Self::raw_failed`].
    pub(in crate::signing) fn raw_signed(
        &mut self,
        session: SessionId,
        signature: Signature,
        now: Instant,
    ) -> Result<(), KeyFault> {
        let me = self.roster.me();
        let Some(attempt) = self.raw_attempt(session) else { return Ok(()) };
        // I5: as any other signature.
        if !attempt.key.verifier.accepts(&attempt.bytes, &signature) {
            return Err(KeyFault::BadSignature);
        }
        attempt.account.settled = Some(now);
        attempt.account.signers = vec![me];
        self.finish_raw(session, RawVerdict::Signed(signature));
        Ok(())
    }

    /// The whole key was not used for it.
    pub(in crate::signing) fn raw_failed(&mut self, session: SessionId, fault: &KeyFault) {
        let why = format!("the key's backend {fault}");
        let verdict = match fault.is_of_the_request() {
            true => RawVerdict::Refused(why),
            false => RawVerdict::NotNow(why),
        };
        self.finish_raw(session, verdict);
    }
}

/// Opens one more set for a request.
fn open(roster: &mut Roster, attempt: &mut RawAttempt, now: Instant) -> Option<SigningSet> {
    if attempt.account.sets >= MOST_SETS {
        return None;
    }
    let late = attempt.late();
    let wanted = Wanted {
        signers: usize::from(attempt.key.threshold.t()),
        nonces: KEPT_FOR_VOTES + 1,
        excluded: &attempt.excluded,
        late: &late,
    };
    let is_open = |members: &BTreeSet<MemberId>| {
        attempt.sets.iter().any(|set| !set.dead && set.commitments.keys().eq(members))
    };
    let members = roster.choose_ready(&wanted, 1, is_open, now)?;
    let mut commitments: BTreeMap<MemberId, NonceCommitment> = BTreeMap::new();
    for member in members {
        commitments.insert(member, roster.take(member)?);
    }
    let id = attempt.account.sets;
    attempt.account.sets = attempt.account.sets.saturating_add(1);
    let set = roster.signing_set(id, &commitments);
    attempt.sets.push(RawSet { id, commitments, shares: BTreeMap::new(), dead: false });
    Some(set)
}

fn no_answer(attempt: &RawAttempt) -> String {
    if attempt.key.is_whole() {
        return "the key is busy, or its backend slow".to_owned();
    }
    let late: Vec<String> = attempt.late().iter().map(ToString::to_string).collect();
    format!("no quorum for raw bytes in time; no answer from member {}", late.join(", "))
}
