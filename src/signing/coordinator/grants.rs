//! Whole keys: collects grants, uses the key with a complete set, takes its signatures.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tracing::{debug, error};

use super::{Content, Coordinator, Deed, Present, find};
use crate::backend::{GrantSet, Granting, KeyFault};
use crate::peer::{AskGrant, Grant, Outcome, SessionId};
use crate::signing::attempt::{OpenGrants, says_speed};
use crate::signing::verified::Made;
use crate::types::{ChainId, MemberId};
use crate::watermark::Watermarked;

/// Sessions of one attempt: a bound on the writes and messages of one request.
const MOST_SESSIONS: u32 = 12;

/// The own grant is waited for this long before another member is asked to coordinate: this one's disk
/// is slow, and without its own grant it may not use the key.
const OWN_PATIENCE: Duration = Duration::from_millis(300);

/// A session that cannot complete is followed by another after this, doubled each time.
const OPEN_AGAIN: Duration = Duration::from_millis(10);

impl Coordinator {
    /// Asks every reachable member, this one included, for its grant, in a session of its own: grants
    /// of different sessions never add up (I7).
    pub(super) fn open_session(&mut self, chain: &ChainId, attempt: SessionId, now: Instant) {
        let session = self.next_session();
        let (me, asked) = (self.roster.me(), self.roster.reachable());
        let Some(attempt) = find(&mut self.lanes, chain, attempt) else { return };
        let members: BTreeSet<MemberId> = asked.keys().copied().collect();
        if let Some(open) = &attempt.grants {
            // Somebody new may make the difference; somebody who left is no reason to begin again.
            let nobody_new = open.asked.is_superset(&members) && attempt.has_live_set();
            if open.set.is_none() || nobody_new {
                return;
            }
        }
        attempt.hedge_at = None;
        let needed = usize::from(attempt.key.threshold.t());
        if asked.len() < needed || attempt.account.sets >= MOST_SESSIONS {
            return;
        }
        let (key, fields) = (&attempt.key, attempt.fields.clone());
        let extension = attempt.extension.clone().filter(|_| attempt.wants_extension());
        let set = GrantSet::new(Granting {
            session,
            coordinator: me,
            asked: asked.clone(),
            needed,
            chain: chain.clone(),
            dialect: key.dialect,
            key: key.id,
            fields: fields.clone(),
            extension,
            wants_vote: attempt.wants_vote(),
        });
        // Refused when the request came, by the same settings.
        let Ok(set) = set else { return };
        let (key, setup) = (key.id, key.setup);
        attempt.session = session;
        attempt.account.sets = attempt.account.sets.saturating_add(1);
        attempt.account.ordered.get_or_insert(now);
        attempt.hedge_at = Some(now + OWN_PATIENCE);
        attempt.grants =
            Some(OpenGrants { asked: members, refused: BTreeSet::new(), set: Some(set) });
        // The others first: the own write is done while the messages travel.
        let others = asked.keys().copied().filter(|&member| member != me);
        let asks = others.chain([me]).map(|to| {
            let (chain, fields, asked) = (chain.clone(), fields.clone(), asked.clone());
            let extension = attempt.carry(to, me);
            (to, AskGrant { session, chain, key, setup, fields, extension, asked })
        });
        for (to, ask) in asks.collect::<Vec<_>>() {
            if ask.extension.as_ref().is_none_or(says_speed) {
                self.note_sent(session, to, now);
            }
            self.deeds.push(Deed::AskGrant { to, ask });
        }
    }

    /// The time that was set for a session has come: without the own grant by now another member is to
    /// coordinate; else the session is opened anew if it cannot complete.
    pub(super) fn session_is_late(&mut self, chain: &ChainId, session: SessionId, now: Instant) {
        let me = self.roster.me();
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        let open = attempt.grants.as_ref().and_then(|open| open.set.as_ref());
        let own_is_late = open.is_some_and(|set| !set.granted().contains(&me))
            && attempt.has_live_set()
            && attempt.key.members.len() > 1;
        if !own_is_late {
            attempt.hedge_at = None;
            return self.open_session(chain, session, now);
        }
        self.elsewhere(
            chain,
            session,
            "its own watermark is not written in time: the disk is slow",
        );
    }

    /// Ends an attempt that another member could bring to its end.
    fn elsewhere(&mut self, chain: &ChainId, session: SessionId, why: &str) {
        let Some(attempt) = self.remove(chain, session) else { return };
        self.finish_all(&attempt, &Outcome::KeyUnavailable(why.to_owned()));
    }

    /// A member will not grant in this session, or cannot be reached any more.
    pub(super) fn lost_grant(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        member: MemberId,
        now: Instant,
    ) {
        if member == self.roster.me() {
            // Without its own grant this member may not use the key, and another session changes nothing.
            let why = "it cannot grant to itself: its watermark or its settings forbid it";
            return self.elsewhere(chain, session, why);
        }
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        if let Some(open) = &mut attempt.grants {
            open.refused.insert(member);
        }
        if !attempt.has_live_set() {
            attempt.hedges = attempt.hedges.saturating_add(1);
            attempt.hedge_at = Some(now + OPEN_AGAIN * 2_u32.pow(attempt.hedges.min(5)));
        }
    }

    /// Counts a grant; a complete set is spent on the key at once.
    pub(super) fn granted(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        member: MemberId,
        grant: Grant,
        receipt: Option<Watermarked>,
        present: Present<'_>,
    ) {
        let me = self.roster.me();
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        let Some(open) = &mut attempt.grants else { return };
        let Some(mut set) = open.set.take() else { return };
        let counted = match (&receipt, member == me) {
            // I3: the own grant counts with the receipt of its write alone.
            (Some(receipt), true) => set.add_own(session, &grant, receipt),
            _ => set.add(member, session, &grant),
        };
        if let Err(why) = counted {
            // Once for each member and session: a member that cheats does not fill the log.
            if !open.refused.contains(&member) {
                error!(%chain, %member, %why, "a grant does not count");
            }
            open.set = Some(set);
            return self.lost_grant(chain, session, member, present.now);
        }
        let signers = set.granted().iter().copied().collect();
        match set.complete() {
            Err(set) => open.set = Some(*set),
            Ok(granted) => {
                attempt.account.signers = signers;
                let content = Content {
                    fields: attempt.fields.clone(),
                    extension: attempt.extension.clone().filter(|_| attempt.wants_extension()),
                    wants_vote: attempt.wants_vote(),
                };
                self.deeds.push(Deed::UseKey { chain: chain.clone(), content, granted });
            }
        }
    }

    /// The key has signed, and what it made was verified (I5). Every attempt that wanted exactly this
    /// takes it; if none waits any more it is kept for a repeat.
    pub(in crate::signing) fn key_signed(
        &mut self,
        chain: &ChainId,
        content: &Content,
        made: Made,
        present: Present<'_>,
    ) {
        let Some(lane) = self.lanes.get_mut(chain) else { return };
        let (key, hrs) = (lane.key.clone(), content.fields.hrs());
        let (verified, extension) = made.into_parts();
        let mut waited = Vec::new();
        for attempt in lane.attempts.iter_mut().filter(|attempt| attempt.waits_for(content)) {
            if attempt.wants_vote() {
                attempt.vote.clone_from(&verified);
            }
            if let Some(extension) = &extension {
                attempt.extension_signature = Some(extension.replay_protected.clone());
                attempt.non_rp_signature.clone_from(&extension.non_rp);
            }
            waited.push(attempt.session);
        }
        let known = lane.settled.as_ref().map(|settled| settled.fields().hrs());
        let is_news = waited.is_empty() && known.is_none_or(|known| known < hrs);
        if let (true, Some(verified)) = (is_news, verified) {
            debug!(%chain, %hrs, "the key has signed late; kept for a repeat");
            self.deeds.push(Deed::Settle(verified.settled(&key)));
            self.learn(chain, verified);
        }
        for session in waited {
            self.settle_if_complete(chain, session, present);
        }
    }

    /// The key was not used: ends every attempt that waits for it. Unless the request itself is at fault
    /// another member may do better.
    pub(in crate::signing) fn key_failed(
        &mut self,
        chain: &ChainId,
        content: &Content,
        fault: &KeyFault,
        present: Present<'_>,
    ) {
        let Some(lane) = self.lanes.get(chain) else { return };
        let waiting = lane.attempts.iter().filter(|attempt| attempt.waits_for(content));
        let waiting: Vec<SessionId> = waiting.map(|attempt| attempt.session).collect();
        let why = format!("the key's backend {fault}");
        let outcome = if fault.is_of_the_request() {
            Outcome::Failed(why)
        } else {
            Outcome::KeyUnavailable(why)
        };
        for session in waiting {
            if let Some(attempt) = self.remove(chain, session) {
                self.finish_all(&attempt, &outcome);
            }
        }
        self.release_held(chain, present);
    }
}
