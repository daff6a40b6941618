//! The leader's side: puts requests in order, opens signing sets, aggregates, settles.
//!
//! It checks nothing for safety: whatever it does, each participant's rule decides (DESIGN §3).

mod ends;
mod grants;
mod raw;
mod sets;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use super::attempt::{Account, Ask, Attempt};
use super::key::ChainKey;
use super::lane::{Lane, Step};
use super::participant::Participant;
use super::raw::{RawDesk, RawReply};
use super::roster::Roster;
use super::task::Packages;
use super::verified::Verified;
use super::withheld::Evidence;
use crate::backend::{Granted, KeyFault};
use crate::frost::{NonceCommitment, RawCommitment, SigningPackage};
use crate::peer::{
    Answer, AnswerBody, AskGrant, Failure, LinkId, Order, Outcome, RawOrder, Report, RequestId,
    SessionId,
};
use crate::privval::{Extension, Fields, RawAllowed, extension_sign_bytes_len};
use crate::raft::Settled;
use crate::types::{ChainId, Incarnation, KeyId, MemberId, UnixMillis};
use crate::watermark::{Mark, Record};

/// Where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// A validator's connection on this node; the number is the composition root's.
    Validator(u64),
    /// Another member, which forwarded it.
    Peer {
        /// The link it came by.
        link: LinkId,
        /// Its name there.
        id: RequestId,
    },
}

/// What a whole key was asked to sign: tells one use from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) fields: Fields,
    pub(super) extension: Option<Extension>,
    pub(super) wants_vote: bool,
}

/// What the coordinator wants done.
pub(super) enum Deed {
    /// Send an order to a member, perhaps this one.
    Order { to: MemberId, order: Order },
    /// Ask a member, perhaps this one, for a grant.
    AskGrant { to: MemberId, ask: AskGrant },
    /// A quorum has granted: use the whole key.
    UseKey { chain: ChainId, content: Content, granted: Granted },
    /// Send an order for raw bytes to a member, perhaps this one.
    RawOrder { to: MemberId, order: RawOrder },
    /// Use the whole key for raw bytes, when votes do not want it.
    SignRaw { chain: ChainId, session: SessionId, allowed: RawAllowed },
    /// Answer a request for raw bytes.
    FinishRaw(Box<RawReply>),
    /// Compute beside the plane what sets without this member need.
    Prepare(Packages),
    /// Tell a member that its commitments have run short.
    Need { to: MemberId },
    /// Ask a member for its watermark.
    AskWatermark { to: MemberId, chain: ChainId, key: KeyId },
    /// Answer a request.
    Finish { origin: Origin, outcome: Outcome, account: Box<Account> },
    /// Replicate a new signature.
    Settle(Settled),
}

/// The leader's side of signing, for all chains.
pub struct Coordinator {
    lanes: HashMap<ChainId, Lane>,
    roster: Roster,
    epoch: u64,
    session_base: u64,
    sessions: u64,
    sent: VecDeque<(SessionId, BTreeMap<MemberId, Instant>)>,
    raw: RawDesk,
    deeds: Vec<Deed>,
}

/// What the coordinator reads of the world at one event.
#[derive(Clone, Copy)]
pub(super) struct Present<'a> {
    pub(super) own: &'a Participant,
    pub(super) now: Instant,
    pub(super) wall: UnixMillis,
}

impl Coordinator {
    /// A coordinator for these chains. `session_base` is random and makes session ids unique.
    #[must_use]
    pub fn new(
        me: MemberId,
        incarnation: Incarnation,
        members: &BTreeSet<MemberId>,
        keys: impl IntoIterator<Item = Arc<ChainKey>>,
        session_base: u64,
    ) -> Self {
        let lanes = keys.into_iter().map(|key| (key.chain.clone(), Lane::new(key))).collect();
        Self {
            lanes,
            roster: Roster::new(me, incarnation, members),
            epoch: 0,
            session_base,
            sessions: 0,
            sent: VecDeque::new(),
            raw: RawDesk::default(),
            deeds: Vec::new(),
        }
    }

    pub(super) fn take_deeds(&mut self) -> Vec<Deed> {
        std::mem::take(&mut self.deeds)
    }

    /// Leadership changed: what others have begun must be asked for again, and at once where requests
    /// wait for it: answers to the old question do not count any more.
    pub(super) fn new_epoch(&mut self, present: Present<'_>) {
        self.epoch = self.epoch.wrapping_add(1);
        let waiting = self.lanes.iter().filter(|(_, lane)| !lane.held.is_empty());
        let waiting: Vec<ChainId> = waiting.map(|(chain, _)| chain.clone()).collect();
        for chain in waiting {
            self.recover_lane(&chain, present);
        }
    }

    /// Asks all reachable members for their watermarks of all chains.
    pub(super) fn recover(&mut self, present: Present<'_>) {
        let chains: Vec<ChainId> = self.lanes.keys().cloned().collect();
        for chain in chains {
            self.recover_lane(&chain, present);
        }
    }

    fn recover_lane(&mut self, chain: &ChainId, present: Present<'_>) {
        let me = self.roster.me();
        let Some(lane) = self.lanes.get_mut(chain) else { return };
        if lane.begin_recovery(self.epoch, me) {
            let key = lane.key.id;
            for to in lane.key.members.iter().copied().filter(|&member| member != me) {
                if self.roster.incarnation(to).is_some() {
                    self.deeds.push(Deed::AskWatermark { to, chain: chain.clone(), key });
                }
            }
            self.release_held(chain, present);
        }
    }

    /// Takes a request to coordinate.
    pub(super) fn ask(&mut self, chain: &ChainId, ask: Ask, present: Present<'_>) {
        self.recover_lane(chain, present);
        let Some(lane) = self.lanes.get_mut(chain) else {
            let account = Account::of(chain, &ask.fields, ask.received);
            let outcome = Outcome::Failed(format!("no key for chain {chain}"));
            self.finish(ask.origin, outcome, account);
            return;
        };
        if let Some(denial) = present.own.above_ceiling(chain, &ask.fields) {
            let account = Account::of(chain, &ask.fields, ask.received);
            return self.finish(ask.origin, Outcome::Denied(denial), account);
        }
        match lane.sort(ask, self.epoch) {
            Step::Nothing => {}
            Step::Repeat(ask, settled) => self.repeat(chain, &ask, &settled, present.now),
            Step::Busy(ask) => {
                let account = Account::of(chain, &ask.fields, ask.received);
                let outcome = Outcome::Failed("too many requests wait".to_owned());
                self.finish(ask.origin, outcome, account);
            }
            Step::Extend(ask, settled) => {
                let fields = settled.fields().clone();
                self.start(chain, fields, Some(settled), ask, present);
            }
            Step::Sign(ask) => self.sign(chain, ask, present),
        }
    }

    fn sign(&mut self, chain: &ChainId, ask: Ask, present: Present<'_>) {
        if let Err(denial) = present.own.ruling(chain, &ask.fields, present.wall) {
            let account = Account::of(chain, &ask.fields, ask.received);
            self.finish(ask.origin, Outcome::Denied(denial), account);
            return;
        }
        let Some(lane) = self.lanes.get(chain) else { return };
        let recorded = present.own.record(chain).and_then(Record::mark).and_then(Mark::fields);
        let fields = lane.fields_to_sign(&ask.fields, recorded);
        self.start(chain, fields, None, ask, present);
    }

    fn start(
        &mut self,
        chain: &ChainId,
        fields: Fields,
        vote: Option<Verified>,
        ask: Ask,
        present: Present<'_>,
    ) {
        let session = self.next_session();
        let Some(lane) = self.lanes.get_mut(chain) else { return };
        if let Some(why) = unsignable(&lane.key, &fields, ask.extension.as_ref()) {
            let account = Account::of(chain, &ask.fields, ask.received);
            self.finish(ask.origin, Outcome::Failed(why), account);
            return;
        }
        let mut attempt = Attempt::new(session, Arc::clone(&lane.key), fields, vote, ask);
        attempt.excluded.clone_from(&lane.absent);
        lane.attempts.push(attempt);
        self.open_set(chain, session, present.now);
    }

    /// Takes a member's answer; `evidence` comes with those of the own participant.
    pub(super) fn answer(
        &mut self,
        member: MemberId,
        answer: Answer,
        evidence: Evidence,
        present: Present<'_>,
    ) {
        let Answer { session, sets, body } = answer;
        self.learn_speed(member, session, present.now);
        let chain = self.lanes.iter().find_map(|(chain, lane)| {
            lane.attempts.iter().any(|attempt| attempt.session == session).then(|| chain.clone())
        });
        let Some(chain) = chain else { return };
        match body {
            AnswerBody::Shares { shares, extension_shares, non_rp_shares } => {
                let mut packages: BTreeMap<u32, SigningPackage> =
                    evidence.packages.into_iter().collect();
                let mut culprits = BTreeSet::new();
                let Some(attempt) = find(&mut self.lanes, &chain, session) else { return };
                for share in shares.into_iter().chain(extension_shares).chain(non_rp_shares) {
                    let package = packages.remove(&share.set);
                    culprits.extend(attempt.offer(member, share.set, share.share, package));
                }
                self.blame(&chain, session, &culprits, present);
                self.settle_if_complete(&chain, session, present);
            }
            AnswerBody::Grant(grant) => {
                self.granted(&chain, session, member, grant, evidence.receipt, present);
            }
            AnswerBody::Denied(denial) => {
                let Some(attempt) = find(&mut self.lanes, &chain, session) else { return };
                attempt.refusals.insert(member, denial);
                self.lost(&chain, session, member, &sets, true, present);
                self.deny_if_refused(&chain, session, member, present);
            }
            AnswerBody::Failed(failure) => {
                let again = matches!(failure, Failure::UnknownNonce | Failure::UnknownExtension);
                match failure {
                    Failure::UnknownNonce => self.roster.forget_commitments(member),
                    // Its bytes are sent again.
                    Failure::UnknownExtension => {
                        if let Some(attempt) = find(&mut self.lanes, &chain, session) {
                            attempt.carried.remove(&member);
                        }
                    }
                    Failure::UnknownKey => self.leave_out(&chain, member),
                    Failure::Busy => {
                        return self.busy(&chain, session, member, &sets, present.now);
                    }
                    _ => warn!(%chain, %member, ?failure, "a member could not sign"),
                }
                self.lost(&chain, session, member, &sets, !again, present);
            }
        }
    }

    /// A member does not serve the chain. To change that it has to start again, so until its link ends
    /// it is not asked, and said once.
    fn leave_out(&mut self, chain: &ChainId, member: MemberId) {
        if let Some(lane) = self.lanes.get_mut(chain)
            && lane.absent.insert(member)
        {
            warn!(%chain, %member, "a member does not serve this chain; the others sign without it");
        }
    }

    fn learn_speed(&mut self, member: MemberId, session: SessionId, now: Instant) {
        let sent = self.sent.iter_mut().rev().find(|(sent, _)| *sent == session);
        if let Some(at) = sent.and_then(|(_, times)| times.remove(&member)) {
            self.roster.sample(member, now.saturating_duration_since(at), now);
        }
    }

    /// What was computed beside the plane for sets without this member.
    pub(super) fn prepared(
        &mut self,
        chain: &ChainId,
        session: SessionId,
        packages: Vec<(u32, SigningPackage)>,
        present: Present<'_>,
    ) {
        let Some(attempt) = find(&mut self.lanes, chain, session) else { return };
        let mut culprits = BTreeSet::new();
        for (set, package) in packages {
            culprits.extend(attempt.prepared(set, package));
        }
        self.blame(chain, session, &culprits, present);
        self.settle_if_complete(chain, session, present);
    }

    /// A member's watermark came in.
    pub(super) fn report(&mut self, member: MemberId, report: Report, present: Present<'_>) {
        let chain = report.chain.clone();
        let Some(lane) = self.lanes.get_mut(&chain) else { return };
        if report.key == lane.key.id && lane.recovery.epoch == Some(self.epoch) {
            lane.report(member, report);
            self.release_held(&chain, present);
        }
    }

    /// Keeps a signature that verified, for repeats.
    pub(super) fn learn(&mut self, chain: &ChainId, verified: Verified) {
        if let Some(lane) = self.lanes.get_mut(chain) {
            lane.learn(verified);
        }
    }

    /// The highest signature known of a chain.
    pub(super) fn settled(&self, chain: &ChainId) -> Option<&Verified> {
        self.lanes.get(chain)?.settled.as_ref()
    }

    pub(super) fn link_up(
        &mut self,
        member: MemberId,
        incarnation: Incarnation,
        present: Present<'_>,
    ) {
        self.roster.up(member, incarnation);
        for (chain, lane) in &mut self.lanes {
            lane.absent.remove(&member);
            let recovering = lane.recovery.epoch == Some(self.epoch);
            if recovering && !lane.recovery.answered.contains(&member) {
                let (chain, key) = (chain.clone(), lane.key.id);
                self.deeds.push(Deed::AskWatermark { to: member, chain, key });
            }
        }
        self.retry(present.now);
    }

    pub(super) fn link_down(&mut self, member: MemberId, present: Present<'_>) {
        self.roster.down(member);
        let attempts = self.lanes.values_mut().flat_map(|lane| &mut lane.attempts);
        // What a link has carried is forgotten with it.
        attempts.for_each(|attempt| attempt.carried.retain(|&known| known != member));
        for (chain, session) in self.sessions() {
            let waits = find(&mut self.lanes, &chain, session)
                .is_some_and(|attempt| attempt.late().contains(&member));
            if waits {
                self.lost(&chain, session, member, &[], false, present);
            }
        }
        self.raw_link_down(member, present.now);
    }

    pub(super) fn commitments(
        &mut self,
        member: MemberId,
        commitments: Vec<RawCommitment>,
        present: Present<'_>,
    ) {
        self.roster.push_raw(member, commitments);
        self.retry(present.now);
    }

    pub(super) fn own_commitments(&mut self, commitments: Vec<NonceCommitment>, now: Instant) {
        self.roster.push_own(commitments);
        self.retry(now);
    }

    /// Decodes one waiting commitment in idle time; `false` if none waits.
    pub(super) fn decode_one(&mut self) -> bool {
        self.roster.decode_one()
    }

    /// Commitments at hand of the reachable member that has fewest.
    pub(super) fn nonces_ready(&self) -> usize {
        self.roster.fewest_commitments()
    }
}

/// What the own settings forbid, or a backend would refuse, is refused before anything is written for
/// it.
fn unsignable(key: &ChainKey, fields: &Fields, extension: Option<&Extension>) -> Option<String> {
    if let Err(refused) = key.non_rp_allowed(extension) {
        return Some(refused.to_string());
    }
    let (extension, limit, hrs) = (extension?, key.message_limit?, fields.hrs());
    let bytes = extension.bytes().len();
    let signed = extension_sign_bytes_len(&key.chain, hrs.height, hrs.round, bytes);
    let length = signed.max(extension.total_bytes().saturating_sub(bytes));
    let fault = KeyFault::TooLong { length, limit };
    (length > limit).then(|| format!("the key's backend {fault}"))
}

fn find<'a>(
    lanes: &'a mut HashMap<ChainId, Lane>,
    chain: &ChainId,
    session: SessionId,
) -> Option<&'a mut Attempt> {
    lanes.get_mut(chain)?.attempts.iter_mut().find(|attempt| attempt.session == session)
}

/// How long a request may take in one attempt.
pub(super) const ATTEMPT: Duration = Duration::from_secs(1);
