//! The member's side: takes the nonces, applies the rule, withholds the shares until the watermark
//! is on disk. Where the key is whole, a grant stands in the place of a share (`granter`).
//!
//! One order goes through three steps, each a function: [`Participant::admit`] rules and hands out
//! the record to be written; [`Participant::compute`] makes the shares while that write is in
//! flight; [`Participant::written`] takes the write's receipt and releases what it covers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rand_core::TryCryptoRng;
use sha2::{Digest as _, Sha256};

use super::key::ChainKey;
use super::pool::{NoncePool, POOL_TARGET};
use super::withheld::{Caller, Gives, Released, Withheld};
use crate::frost::{
    FrostError, HedgeSecret, NonceCommitment, Nonces, RawCommitment, SigningPackage, commit, sign,
};
use crate::peer::{Failure, Order, SessionId, SetShare, SigningSet};
use crate::privval::{Fields, extension_sign_bytes, sign_bytes};
use crate::types::{ChainId, Hrs, Incarnation, MemberId, UnixMillis};
use crate::watermark::{Decision, Denial, JumpLimit, Record, Watermarked, decide};

/// Different vote extensions signed at one height and round; the next one is denied.
const MOST_EXTENSIONS: u32 = 16;
/// Signing sets in one order.
const MOST_SETS: usize = 16;

/// Answers of one chain that wait for its disk; while it hangs, further orders are refused as busy.
const MOST_WITHHELD: usize = 256;

/// One chain's key, its record and the receipt of the write that made the record durable.
pub struct Starting {
    /// The key.
    pub key: Arc<ChainKey>,
    /// What the watermark file holds.
    pub record: Record,
    /// That it holds it durably.
    pub receipt: Watermarked,
    /// How far a height may be ahead here.
    pub height_jump: JumpLimit,
}

/// The member's side of signing, for all chains.
pub struct Participant {
    pub(super) me: MemberId,
    pub(super) incarnation: Incarnation,
    /// Incarnations of other members recorded durably by fences (I8).
    pub(super) recorded: BTreeMap<MemberId, Incarnation>,
    hedge: HedgeSecret,
    pools: HashMap<Caller, NoncePool>,
    pub(super) chains: HashMap<ChainId, Watch>,
}

/// An admitted order: what is to be written before anything is given, and the work until then.
pub(super) struct Admission {
    /// The record to write; `None` if the watermark covers these fields already, or soon will.
    pub(super) write: Option<Record>,
    /// The shares to compute.
    pub(super) work: Work,
}

/// Nonces that are spent, and what they are to be spent on.
pub(super) struct Work {
    caller: Caller,
    session: SessionId,
    chain: ChainId,
    fields: Fields,
    sets: Vec<Spent>,
    extension: Option<Vec<u8>>,
    extension_sets: Vec<Spent>,
}

struct Spent {
    set: SigningSet,
    nonces: Nonces,
    commitment: NonceCommitment,
}

/// One chain's critical section: everything that the rule reads and writes.
pub(super) struct Watch {
    pub(super) key: Arc<ChainKey>,
    /// The highest that was agreed to, perhaps still on its way to the disk.
    record: Record,
    /// The latest write that returned.
    receipt: Watermarked,
    height_jump: JumpLimit,
    withheld: Vec<Withheld>,
    extensions: Extensions,
    /// A write failed: nothing is given any more.
    pub(super) stopped: bool,
}

#[derive(Default)]
pub(super) struct Extensions {
    at: Option<Hrs>,
    digests: BTreeSet<[u8; 32]>,
}

impl Participant {
    /// A member's side with the chains that it holds shares of.
    #[must_use]
    pub fn new(
        me: MemberId,
        incarnation: Incarnation,
        recorded: BTreeMap<MemberId, Incarnation>,
        hedge: HedgeSecret,
        chains: Vec<Starting>,
    ) -> Self {
        let watch = |starting: Starting| {
            let watch = Watch {
                key: starting.key,
                record: starting.record,
                receipt: starting.receipt,
                height_jump: starting.height_jump,
                withheld: Vec::new(),
                extensions: Extensions::default(),
                stopped: false,
            };
            (watch.key.chain.clone(), watch)
        };
        let chains = chains.into_iter().map(watch).collect();
        Self { me, incarnation, recorded, hedge, pools: HashMap::new(), chains }
    }

    /// What the rule says to these fields now, without any effect.
    ///
    /// # Errors
    /// The rule's denial.
    pub(super) fn ruling(
        &self,
        chain: &ChainId,
        fields: &Fields,
        now: UnixMillis,
    ) -> Result<(), Denial> {
        let Some(watch) = self.chains.get(chain) else { return Ok(()) };
        decide(&watch.record, chain, fields, now, watch.height_jump).map(|_| ())
    }

    /// The denial of what is above this member's ceiling, also of what was signed before.
    pub(super) fn above_ceiling(&self, chain: &ChainId, fields: &Fields) -> Option<Denial> {
        let ceiling = self.record(chain)?.ceiling()?;
        let asked = fields.hrs().height;
        (asked > ceiling).then_some(Denial::CeilingReached { asked, ceiling })
    }

    /// What was last agreed to on this chain.
    pub(super) fn record(&self, chain: &ChainId) -> Option<&Record> {
        self.chains.get(chain).map(|watch| &watch.record)
    }

    /// Rules on an order. The nonces that it names are gone afterwards, whatever the answer (I4).
    ///
    /// # Errors
    /// The answer to send instead of shares.
    pub(super) fn admit(
        &mut self,
        caller: Caller,
        order: Order,
        now: UnixMillis,
    ) -> Result<Admission, Box<Released>> {
        let session = order.session;
        let sets: Vec<u32> =
            order.sets.iter().chain(&order.extension_sets).map(|set| set.id).collect();
        let failure = |failure, sets| Box::new(Released::failure(caller, session, sets, failure));

        // I4: out of the pool before anything can fail.
        let taken = self.take_nonces(caller, &order);
        let Some(watch) = self.chains.get_mut(&order.chain) else {
            return Err(failure(Failure::UnknownKey, sets));
        };
        if let Err(why) = check(&order, watch, self.me, self.incarnation, &self.recorded) {
            return Err(failure(why, sets));
        }
        let Some((spent, extension_spent)) = taken else {
            return Err(failure(Failure::UnknownNonce, sets));
        };
        if watch.is_busy() {
            return Err(failure(Failure::Busy, sets));
        }
        let extension = order.extension.as_ref().filter(|_| !order.extension_sets.is_empty());
        match watch.rule(&order.fields, extension, now) {
            Ok(write) => {
                let Order { chain, fields, extension, .. } = order;
                let work = Work {
                    caller,
                    session,
                    chain,
                    fields,
                    sets: spent,
                    extension,
                    extension_sets: extension_spent,
                };
                Ok(Admission { write, work })
            }
            Err(denial) => Err(Box::new(Released::denial(caller, session, sets, denial))),
        }
    }

    /// Computes the shares of an admitted order and locks them up; releases them at once if the
    /// watermark is durable already. `known` finds commitments that are decoded already.
    pub(super) fn compute(
        &mut self,
        work: Work,
        known: impl Fn(&RawCommitment) -> Option<NonceCommitment>,
    ) -> Option<Released> {
        let watch = self.chains.get_mut(&work.chain)?;
        let (caller, session) = (work.caller, work.session);
        let sets: Vec<u32> =
            work.sets.iter().chain(&work.extension_sets).map(|spent| spent.set.id).collect();
        match work.shares(self.me, &watch.key, known) {
            Ok(withheld) => watch.withhold(withheld),
            Err(_) => Some(Released::failure(caller, session, sets, Failure::Malformed)),
        }
    }

    /// A write has returned: releases every share that it covers.
    pub(super) fn written(&mut self, chain: &ChainId, receipt: Watermarked) -> Vec<Released> {
        let Some(watch) = self.chains.get_mut(chain) else { return Vec::new() };
        watch.receipt = receipt;
        let withheld = std::mem::take(&mut watch.withheld);
        withheld.into_iter().filter_map(|withheld| watch.withhold(withheld)).collect()
    }

    /// A write failed: this chain gives nothing any more, and what waits never leaves.
    pub(super) fn write_failed(&mut self, chain: &ChainId) -> Vec<Released> {
        let Some(watch) = self.chains.get_mut(chain) else { return Vec::new() };
        watch.stopped = true;
        let refuse = |withheld: Withheld| withheld.refuse(Failure::State);
        watch.withheld.drain(..).map(refuse).collect()
    }

    /// Keeps the highest incarnation that was recorded durably for a member (I8).
    pub(super) fn record_incarnation(&mut self, member: MemberId, incarnation: Incarnation) {
        let least = self.recorded.entry(member).or_insert(incarnation);
        *least = (*least).max(incarnation);
    }

    /// Whether a write of this chain has failed.
    pub(super) fn has_stopped(&self, chain: &ChainId) -> bool {
        self.chains.get(chain).is_some_and(|watch| watch.stopped)
    }

    /// Opens the pool of a caller. A link's pool starts empty and dies with the link (I4).
    pub(super) fn open_pool(&mut self, caller: Caller) {
        self.pools.entry(caller).or_default();
    }

    /// Drops a pool with all its nonces (I4), and the answers that nobody waits for.
    pub(super) fn close_pool(&mut self, caller: Caller) {
        self.pools.remove(&caller);
        for watch in self.chains.values_mut() {
            watch.withheld.retain(|withheld| withheld.caller != caller);
        }
    }

    /// How many nonces the pool lacks, 0 if there is no such pool.
    pub(super) fn missing(&self, caller: Caller) -> usize {
        self.pools.get(&caller).map_or(0, NoncePool::missing)
    }

    /// The callers whose pools lack nonces, with how many they lack.
    pub(super) fn short_pools(&self) -> impl Iterator<Item = (Caller, usize)> + '_ {
        let missing = self.pools.iter().map(|(&caller, pool)| (caller, pool.missing()));
        missing.filter(|&(_, missing)| missing > 0)
    }

    /// Makes up to `count` nonces for a caller and returns their commitments.
    ///
    /// # Errors
    /// [`FrostError`] if the random generator fails.
    pub(super) fn refill(
        &mut self,
        caller: Caller,
        count: usize,
        rng: &mut impl TryCryptoRng,
    ) -> Result<Vec<NonceCommitment>, FrostError> {
        let Some(pool) = self.pools.get_mut(&caller) else { return Ok(Vec::new()) };
        let count = count.min(POOL_TARGET.saturating_mul(2).saturating_sub(pool.len()));
        let mut made = Vec::with_capacity(count);
        for _ in 0..count {
            let (nonces, commitment) = commit(&self.hedge, rng)?;
            made.push(commitment.clone());
            pool.put(nonces, commitment);
        }
        Ok(made)
    }

    /// `None` if one of the nonces named for this member is not in the caller's pool.
    fn take_nonces(&mut self, caller: Caller, order: &Order) -> Option<(Vec<Spent>, Vec<Spent>)> {
        let me = self.me;
        let pool = self.pools.get_mut(&caller)?;
        let mut take = |sets: &[SigningSet]| -> Vec<Option<Spent>> {
            let spend = |set: &SigningSet| {
                let signer = set.signers.get(&me)?;
                let (nonces, commitment) = pool.take(&signer.commitment)?;
                Some(Spent { set: set.clone(), nonces, commitment })
            };
            sets.iter().map(spend).collect()
        };
        // Both lists are taken in full before either can fail.
        let (sets, extension_sets) = (take(&order.sets), take(&order.extension_sets));
        let sets = sets.into_iter().collect::<Option<Vec<_>>>()?;
        Some((sets, extension_sets.into_iter().collect::<Option<Vec<_>>>()?))
    }
}

/// Everything about an order that is not the rule: key, setup, sets, incarnations.
fn check(
    order: &Order,
    watch: &Watch,
    me: MemberId,
    incarnation: Incarnation,
    recorded: &BTreeMap<MemberId, Incarnation>,
) -> Result<(), Failure> {
    if watch.stopped {
        return Err(Failure::State);
    }
    if order.key != watch.key.id {
        return Err(Failure::UnknownKey);
    }
    if order.setup != watch.key.setup {
        return Err(Failure::OtherSetup);
    }
    if watch.key.is_whole() {
        return Err(Failure::Malformed);
    }
    let sets = order.sets.len() + order.extension_sets.len();
    let wants_extension = !order.extension_sets.is_empty();
    let extension_fits = match order.extension {
        Some(_) => order.fields.may_carry_extension(),
        None => !wants_extension,
    };
    if sets == 0 || sets > MOST_SETS || !extension_fits {
        return Err(Failure::Malformed);
    }
    for set in order.sets.iter().chain(&order.extension_sets) {
        if set.signers.len() != usize::from(watch.key.threshold.t()) {
            return Err(Failure::Malformed);
        }
        for (&member, signer) in &set.signers {
            if !watch.key.members.contains(&member) {
                return Err(Failure::Malformed);
            }
            // I8: the session names this incarnation, and of every other signer none lower than
            // recorded; in the same critical section as rule and write.
            if member == me && signer.incarnation != incarnation {
                return Err(Failure::OtherIncarnation);
            }
            if recorded.get(&member).is_some_and(|least| signer.incarnation < *least) {
                return Err(Failure::SupersededSigner);
            }
        }
        if !set.signers.contains_key(&me) {
            return Err(Failure::Malformed);
        }
    }
    Ok(())
}

impl Watch {
    /// Too many answers wait for the disk already.
    pub(super) fn is_busy(&self) -> bool {
        self.withheld.len() >= MOST_WITHHELD
    }

    /// I1, I2: the rule, and the record that it moves to. What is decided here counts at once for
    /// every later order, before the write returns.
    pub(super) fn rule(
        &mut self,
        fields: &Fields,
        extension: Option<&Vec<u8>>,
        now: UnixMillis,
    ) -> Result<Option<Record>, Denial> {
        let hrs = fields.hrs();
        let digest = extension.map(|bytes| <[u8; 32]>::from(Sha256::digest(bytes)));
        if digest.is_some_and(|digest| self.extensions.is_too_many(hrs, &digest)) {
            return Err(Denial::TooManyExtensions { hrs, limit: MOST_EXTENSIONS });
        }
        let limit = self.height_jump;
        let write = match decide(&self.record, &self.key.chain, fields, now, limit)? {
            Decision::Advance(record) => {
                self.record = (*record).clone();
                Some(*record)
            }
            Decision::Again => None,
        };
        if let Some(digest) = digest {
            self.extensions.count(hrs, digest);
        }
        Ok(write)
    }

    /// I3: out only with the receipt, else kept.
    pub(super) fn withhold(&mut self, withheld: Withheld) -> Option<Released> {
        if self.stopped {
            return Some(withheld.refuse(Failure::State));
        }
        match withheld.release(&self.key, &self.receipt) {
            Ok(released) => Some(released),
            Err(withheld) => {
                self.withheld.push(*withheld);
                None
            }
        }
    }
}

impl Extensions {
    fn is_too_many(&self, hrs: Hrs, digest: &[u8; 32]) -> bool {
        self.at == Some(hrs)
            && !self.digests.contains(digest)
            && self.digests.len() >= MOST_EXTENSIONS as usize
    }

    fn count(&mut self, hrs: Hrs, digest: [u8; 32]) {
        if self.at != Some(hrs) {
            self.at = Some(hrs);
            self.digests.clear();
        }
        self.digests.insert(digest);
    }
}

impl Work {
    pub(super) const fn caller(&self) -> Caller {
        self.caller
    }

    pub(super) const fn session(&self) -> SessionId {
        self.session
    }

    pub(super) const fn chain(&self) -> &ChainId {
        &self.chain
    }

    /// The sign bytes are built here from the fields, and R and the challenge from all commitments:
    /// nothing that enters the share is taken from the coordinator's arithmetic.
    fn shares(
        self,
        me: MemberId,
        key: &ChainKey,
        known: impl Fn(&RawCommitment) -> Option<NonceCommitment>,
    ) -> Result<Withheld, FrostError> {
        let message = sign_bytes(&key.chain, &self.fields);
        let hrs = self.fields.hrs();
        let extension_message = self
            .extension
            .map(|bytes| extension_sign_bytes(&key.chain, hrs.height, hrs.round, &bytes))
            .unwrap_or_default();
        let share_all = |spent: Vec<Spent>, message: &[u8]| {
            let share = |spent: Spent| spent.share(me, key, message, &known);
            spent.into_iter().map(share).collect::<Result<Vec<_>, _>>()
        };
        let gives = Gives::Shares {
            shares: share_all(self.sets, &message)?,
            extension_shares: share_all(self.extension_sets, &extension_message)?,
        };
        Ok(Withheld { caller: self.caller, session: self.session, fields: self.fields, gives })
    }
}

impl Spent {
    fn share(
        self,
        me: MemberId,
        key: &ChainKey,
        message: &[u8],
        known: &impl Fn(&RawCommitment) -> Option<NonceCommitment>,
    ) -> Result<(SetShare, SigningPackage), FrostError> {
        let mut commitments = BTreeMap::new();
        for (&member, signer) in &self.set.signers {
            let decoded = if member == me {
                self.commitment.clone()
            } else if let Some(known) = known(&signer.commitment) {
                known
            } else {
                signer.commitment.decode()?
            };
            commitments.insert(member, decoded);
        }
        // `check` refused orders for shares of a whole key.
        let split = key.split.as_ref().ok_or(FrostError::NoSigners)?;
        let package = SigningPackage::new(&split.verifying_key, &commitments, message)?;
        let share = sign(self.nonces, me, &split.share, &package)?;
        Ok((SetShare { set: self.set.id, share }, package))
    }
}
