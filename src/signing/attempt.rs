//! One attempt at one request: the signing sets that are open and what has come back.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::coordinator::{Content, Origin};
use super::key::ChainKey;
use super::verified::Verified;
use crate::backend::GrantSet;
use crate::frost::{FrostError, NonceCommitment, RawCommitment, RawShare, SigningPackage};
use crate::peer::{Carried, SessionId};
use crate::privval::{Extension, ExtensionSignature, Fields, Kind, sign_bytes};
use crate::types::{Algorithm, ChainId, Hrs, MemberId, Signature};
use crate::watermark::Denial;

/// Bytes of an extension that are given a millisecond to travel: 160 Mbit/s.
const BYTES_PER_MS: usize = 20_000;

/// How much longer an answer may take because of the extension that travels before it.
pub(super) fn allowance(extension: Option<&Extension>) -> Duration {
    let bytes = extension.map_or(0, Extension::total_bytes);
    Duration::from_millis(u64::try_from(bytes / BYTES_PER_MS).unwrap_or(u64::MAX))
}

/// Whether the answer tells how fast its member is with ordinary orders, which a long extension delays.
pub(super) fn says_speed(carried: &Carried) -> bool {
    matches!(carried, Carried::Whole(extension) if !extension.is_long())
}

/// A request as the coordinator received it.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) origin: Origin,
    pub(super) fields: Fields,
    pub(super) extension: Option<Extension>,
    /// The member that forwarded it: it has the extension's bytes.
    pub(super) from: Option<MemberId>,
    pub(super) received: Instant,
    pub(super) deadline: Instant,
}

/// What the log line of a request says: when what happened, and who took part.
#[derive(Clone, Debug)]
pub struct Account {
    /// The chain.
    pub chain: ChainId,
    /// Kind of signature.
    pub kind: Kind,
    /// Where.
    pub hrs: Hrs,
    /// First 8 hex digits of the block hash, empty for nil.
    pub block: String,
    /// When the request was received here.
    pub received: Instant,
    /// When the first order left.
    pub ordered: Option<Instant>,
    /// When the signature was complete.
    pub settled: Option<Instant>,
    /// Whose shares are in it.
    pub signers: Vec<MemberId>,
    /// Signing sets opened.
    pub sets: u32,
    /// Who sent a bad share.
    pub culprits: Vec<MemberId>,
}

/// One request, or several for the same thing, being signed.
pub(super) struct Attempt {
    pub(super) session: SessionId,
    pub(super) key: Arc<ChainKey>,
    pub(super) fields: Fields,
    pub(super) extension: Option<Extension>,
    /// Members that have the extension's bytes: they are sent its name from now on.
    pub(super) carried: BTreeSet<MemberId>,
    pub(super) asks: Vec<Ask>,
    pub(super) sets: Vec<OpenSet>,
    pub(super) next_set: u32,
    /// Where the key is whole: the grants that are collected.
    pub(super) grants: Option<OpenGrants>,
    pub(super) vote: Option<Verified>,
    /// The vote's signature was there before; only the extension is signed.
    pub(super) is_repeat: bool,
    pub(super) extension_signature: Option<Signature>,
    pub(super) non_rp_signature: Option<Signature>,
    pub(super) refusals: BTreeMap<MemberId, Denial>,
    pub(super) excluded: BTreeSet<MemberId>,
    pub(super) hedge_at: Option<Instant>,
    pub(super) hedges: u32,
    pub(super) account: Account,
}

/// A signing set that waits for shares.
pub(super) struct OpenSet {
    pub(super) members: BTreeSet<MemberId>,
    pub(super) answered: BTreeSet<MemberId>,
    pub(super) rounds: Vec<Round>,
    /// A member refused, failed or cheated: this set cannot complete.
    pub(super) dead: bool,
}

/// The grants of one session, on their way to the key.
pub(super) struct OpenGrants {
    /// Who was asked.
    pub(super) asked: BTreeSet<MemberId>,
    /// Who will not grant in this session.
    pub(super) refused: BTreeSet<MemberId>,
    /// `None` once they were complete: the key is being used.
    pub(super) set: Option<GrantSet>,
}

/// What one signature of an attempt covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// The vote or proposal.
    Vote,
    /// The extension, with height, round and chain.
    Extension,
    /// The extension's bytes without replay protection.
    NonRp,
}

/// One FROST round: one message, one nonce commitment of each signer.
pub(super) struct Round {
    pub(super) id: u32,
    pub(super) part: Part,
    /// Its package is computed beside the plane, and comes by [`Attempt::prepared`].
    pub(super) awaits_package: bool,
    pub(super) commitments: BTreeMap<MemberId, NonceCommitment>,
    package: Option<SigningPackage>,
    shares: BTreeMap<MemberId, RawShare>,
}

impl Account {
    pub(super) fn of(chain: &ChainId, fields: &Fields, received: Instant) -> Self {
        let hash = fields.block_id().and_then(|block| block.hash);
        let block = hash.map(|hash| hex::encode(hash.split_at(4).0)).unwrap_or_default();
        Self {
            chain: chain.clone(),
            kind: fields.kind(),
            hrs: fields.hrs(),
            block,
            received,
            ordered: None,
            settled: None,
            signers: Vec::new(),
            sets: 0,
            culprits: Vec::new(),
        }
    }
}

impl Attempt {
    pub(super) fn new(
        session: SessionId,
        key: Arc<ChainKey>,
        fields: Fields,
        vote: Option<Verified>,
        ask: Ask,
    ) -> Self {
        let account = Account::of(&key.chain, &fields, ask.received);
        let carried = ask.from.into_iter().collect();
        Self {
            session,
            key,
            fields,
            extension: ask.extension.clone(),
            carried,
            asks: vec![ask],
            sets: Vec::new(),
            next_set: 0,
            grants: None,
            is_repeat: vote.is_some(),
            vote,
            extension_signature: None,
            non_rp_signature: None,
            refusals: BTreeMap::new(),
            excluded: BTreeSet::new(),
            hedge_at: None,
            hedges: 0,
            account,
        }
    }

    pub(super) const fn wants_vote(&self) -> bool {
        self.vote.is_none()
    }

    pub(super) const fn wants_extension(&self) -> bool {
        self.extension.is_some() && self.extension_signature.is_none()
    }

    fn wants_non_rp(&self) -> bool {
        let has = self.extension.as_ref().is_some_and(|it| it.non_rp().is_some());
        has && self.non_rp_signature.is_none()
    }

    pub(super) fn wants(&self, part: Part) -> bool {
        match part {
            Part::Vote => self.wants_vote(),
            Part::Extension => self.wants_extension(),
            Part::NonRp => self.wants_non_rp(),
        }
    }

    /// What a further set has to sign.
    pub(super) fn wanted(&self) -> Vec<Part> {
        Part::ALL.into_iter().filter(|part| self.wants(*part)).collect()
    }

    pub(super) fn is_complete(&self) -> bool {
        Part::ALL.into_iter().all(|part| !self.wants(part))
    }

    /// Whether its extension is hashed beside the plane.
    pub(super) fn is_long(&self) -> bool {
        self.extension.as_ref().is_some_and(Extension::is_long)
    }

    /// One more request for the same thing.
    pub(super) fn join(&mut self, ask: Ask) {
        self.carried.extend(ask.from.filter(|_| ask.extension.is_some()));
        self.asks.push(ask);
    }

    /// The extension for another member: its bytes at first, then their name.
    pub(super) fn carry(&mut self, to: MemberId, me: MemberId) -> Option<Carried> {
        if !self.wants_extension() && !self.wants_non_rp() {
            return None;
        }
        let extension = self.extension.as_ref()?;
        if to != me && extension.is_worth_naming() && !self.carried.insert(to) {
            return Some(Carried::Named(extension.digest()));
        }
        Some(Carried::Whole(extension.clone()))
    }

    /// All signatures of the extension, or none.
    pub(super) fn extension_signature(&self) -> Option<ExtensionSignature> {
        let non_rp = self.non_rp_signature.clone();
        let replay_protected = self.extension_signature.clone()?;
        (!self.wants_non_rp()).then_some(ExtensionSignature { replay_protected, non_rp })
    }

    /// Members of live sets that have not answered.
    pub(super) fn late(&self) -> BTreeSet<MemberId> {
        if let Some(grants) = &self.grants {
            return grants.late();
        }
        let waiting = self.sets.iter().flat_map(|set| set.members.difference(&set.answered));
        waiting.copied().collect()
    }

    /// These sets (or all, where none is named) of the member cannot complete.
    pub(super) fn end_sets(&mut self, member: MemberId, sets: &[u32]) {
        for open in &mut self.sets {
            let mut rounds = open.rounds.iter();
            let named = sets.is_empty() || rounds.any(|round| sets.contains(&round.id));
            if named && open.members.contains(&member) {
                open.answered.insert(member);
                open.dead = true;
            }
        }
    }

    pub(super) fn has_live_set(&self) -> bool {
        let needed = usize::from(self.key.threshold.t());
        if let Some(grants) = &self.grants {
            return grants.is_live(needed);
        }
        self.sets.iter().any(|set| !set.dead)
    }

    /// Whether the whole key is being used for this attempt, with exactly this content.
    pub(super) fn waits_for(&self, content: &Content) -> bool {
        self.grants.as_ref().is_some_and(|grants| grants.set.is_none())
            && self.fields == content.fields
            && self.wants_vote() == content.wants_vote
            && self.extension.as_ref().filter(|_| self.wants_extension())
                == content.extension.as_ref()
    }

    /// A decoded commitment of one of the open sets.
    pub(super) fn known(&self, raw: &RawCommitment) -> Option<NonceCommitment> {
        let rounds = self.sets.iter().flat_map(|set| &set.rounds);
        let mut commitments = rounds.flat_map(|round| round.commitments.values());
        commitments.find(|commitment| commitment.raw() == *raw).cloned()
    }

    /// Takes one share. Returns the members whose shares turned out bad.
    pub(super) fn offer(
        &mut self,
        member: MemberId,
        set: u32,
        share: RawShare,
        package: Option<SigningPackage>,
    ) -> BTreeSet<MemberId> {
        for open in &mut self.sets {
            let Some(round) = open.rounds.iter_mut().find(|round| round.id == set) else {
                continue;
            };
            if !round.commitments.contains_key(&member) {
                return BTreeSet::new();
            }
            round.shares.entry(member).or_insert(share);
            if package.is_some() {
                round.package = package;
            }
            open.note_answer(member);
            break;
        }
        self.aggregate(set)
    }

    /// Takes a package that was computed beside the plane. Returns the members whose shares turned out
    /// bad.
    pub(super) fn prepared(&mut self, set: u32, package: SigningPackage) -> BTreeSet<MemberId> {
        let mut rounds = self.sets.iter_mut().flat_map(|open| &mut open.rounds);
        if let Some(round) = rounds.find(|round| round.id == set) {
            round.package = Some(package);
        }
        self.aggregate(set)
    }

    /// Aggregates a round if all of it is there.
    fn aggregate(&mut self, id: u32) -> BTreeSet<MemberId> {
        let wanted = self.wanted();
        for open in &mut self.sets {
            let Some(round) = open.rounds.iter_mut().find(|round| round.id == id) else {
                continue;
            };
            if !wanted.contains(&round.part) || !round.is_ready() {
                return BTreeSet::new();
            }
            return match round.aggregate(&self.key, &self.fields, self.extension.as_ref()) {
                Ok(aggregate) => {
                    let (part, signers) = (round.part, round.commitments.keys().copied().collect());
                    self.take_aggregate(aggregate, part, signers);
                    BTreeSet::new()
                }
                Err(error) => {
                    open.dead = true;
                    error.culprits().clone()
                }
            };
        }
        BTreeSet::new()
    }

    fn take_aggregate(&mut self, aggregate: [u8; 64], part: Part, signers: Vec<MemberId>) {
        let signature = || Some(Signature::new(Algorithm::Ed25519, aggregate));
        match part {
            Part::Vote => self.vote = Some(Verified::aggregate(self.fields.clone(), aggregate)),
            Part::Extension => self.extension_signature = signature(),
            Part::NonRp => self.non_rp_signature = signature(),
        }
        self.account.signers = signers;
    }
}

impl Part {
    /// In the order of an order's lists.
    pub(super) const ALL: [Self; 3] = [Self::Vote, Self::Extension, Self::NonRp];

    /// What is signed; `None` if there is no such part.
    pub(super) fn message<'e>(
        self,
        chain: &ChainId,
        fields: &Fields,
        extension: Option<&'e Extension>,
    ) -> Option<Cow<'e, [u8]>> {
        Some(match self {
            Self::Vote => Cow::Owned(sign_bytes(chain, fields)),
            Self::Extension => Cow::Owned(extension?.sign_bytes(chain, fields.hrs())),
            Self::NonRp => Cow::Borrowed(extension?.non_rp()?),
        })
    }
}

impl OpenSet {
    /// Only who has given a share in every round has answered: one that gives the vote's and keeps
    /// the extension's back is late.
    fn note_answer(&mut self, member: MemberId) {
        if self.rounds.iter().all(|round| round.shares.contains_key(&member)) {
            self.answered.insert(member);
        }
    }
}

impl OpenGrants {
    fn late(&self) -> BTreeSet<MemberId> {
        let Some(set) = &self.set else { return BTreeSet::new() };
        let silent = self.asked.difference(&self.refused);
        silent.filter(|member| !set.granted().contains(member)).copied().collect()
    }

    /// Whether it can still complete, or has.
    fn is_live(&self, needed: usize) -> bool {
        let willing = self.asked.difference(&self.refused).count();
        let Some(set) = &self.set else { return true };
        willing >= needed && !self.refused.contains(&set.coordinator())
    }
}

impl Round {
    pub(super) const fn new(
        id: u32,
        part: Part,
        commitments: BTreeMap<MemberId, NonceCommitment>,
    ) -> Self {
        let shares = BTreeMap::new();
        Self { id, part, awaits_package: false, commitments, package: None, shares }
    }

    /// All shares are there, and what is too long to compute here.
    fn is_ready(&self) -> bool {
        self.shares.len() >= self.commitments.len()
            && (self.package.is_some() || !self.awaits_package)
    }

    /// I5: `frost` gives the aggregate out only after it verified over the message built here.
    fn aggregate(
        &mut self,
        key: &ChainKey,
        fields: &Fields,
        extension: Option<&Extension>,
    ) -> Result<[u8; 64], FrostError> {
        let split = key.split.as_ref().ok_or(FrostError::NoSigners)?;
        let package = match self.package.take() {
            Some(package) => package,
            None => {
                let message = self.part.message(&key.chain, fields, extension);
                let message = message.ok_or(FrostError::NoSigners)?;
                SigningPackage::new(&split.verifying_key, &self.commitments, &message)?
            }
        };
        let aggregate = package.aggregate(&self.shares, &split.verifying_shares);
        self.package = Some(package);
        aggregate
    }
}
