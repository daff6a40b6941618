//! The member's side: takes the nonces, applies the rule, withholds the shares until the watermark
//! is on disk. Where the key is whole, a grant stands in the place of a share (`granter`).
//!
//! One order goes through three steps, each a function: [`Participant::admit`] rules and hands out
//! the record to be written; [`Participant::compute`] makes the shares while that write is in
//! flight; [`Participant::written`] takes the write's receipt and releases what it covers.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rand_core::TryCryptoRng;

use super::check;
use super::kept::Kept;
use super::key::ChainKey;
use super::pool::{NoncePool, POOL_TARGET};
use super::withheld::{Caller, Released, Withheld};
use super::work::{Spent, SpentSets, Work};
use crate::frost::{FrostError, HedgeSecret, NonceCommitment, RawCommitment, commit};
use crate::peer::{Carried, Failure, Order, SigningSet};
use crate::privval::{Extension, Fields};
use crate::types::{ChainId, Hrs, Incarnation, MemberId, UnixMillis};
use crate::watermark::{Decision, Denial, JumpLimit, Record, Watermarked, decide};

/// Different vote extensions signed at one height and round; the next one is denied.
const MOST_EXTENSIONS: u32 = 16;

/// Answers of one chain that wait for its disk; while it hangs, further orders are refused as busy.
const MOST_WITHHELD: usize = 256;

/// Orders about long extensions of one caller and chain that may be computed beside the plane at one time;
/// further ones are refused as busy, so that they neither fill the memory nor take the place of others'.
const MOST_COMPUTING: usize = 4;

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
    /// Extensions that each link has carried.
    kept: HashMap<Caller, Kept>,
    /// Admitted orders that are computed beside the plane.
    computing: HashMap<(Caller, ChainId), usize>,
    pub(super) chains: HashMap<ChainId, Watch>,
}

/// An admitted order: what is to be written before anything is given, and the work until then.
pub(super) struct Admission {
    /// The record to write; `None` if the watermark covers these fields already, or soon will.
    pub(super) write: Option<Record>,
    /// The shares to compute.
    pub(super) work: Work,
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
        Self {
            me,
            incarnation,
            recorded,
            hedge,
            pools: HashMap::new(),
            kept: HashMap::new(),
            computing: HashMap::new(),
            chains,
        }
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
        let sets: Vec<u32> = all_sets(&order).map(|set| set.id).collect();
        let failure = |failure, sets| Box::new(Released::failure(caller, session, sets, failure));

        // I4: out of the pool before anything can fail.
        let taken = self.take_nonces(caller, &order);
        let extension = self.extension_of(caller, order.extension.as_ref());
        let Some(watch) = self.chains.get(&order.chain) else {
            return Err(failure(Failure::UnknownKey, sets));
        };
        if let Err(why) = check(&order, watch, &check::Place::of(self)) {
            return Err(failure(why, sets));
        }
        let Some(watch) = self.chains.get_mut(&order.chain) else {
            return Err(failure(Failure::UnknownKey, sets));
        };
        let Some(spent) = taken else {
            return Err(failure(Failure::UnknownNonce, sets));
        };
        let extension = match extension {
            Ok(extension) => extension,
            Err(why) => return Err(failure(why, sets)),
        };
        // Each cosigner looks for itself: nothing raw is signed that its own settings forbid.
        let Ok(non_rp) = watch.key.non_rp_allowed(extension.as_ref()) else {
            return Err(failure(Failure::RefusedExtension, sets));
        };
        if non_rp.is_none() && !order.non_rp_sets.is_empty() {
            return Err(failure(Failure::Malformed, sets));
        }
        let is_long = extension.as_ref().is_some_and(Extension::is_long);
        let place = is_long.then(|| (caller, order.chain.clone()));
        let computing = place.as_ref().and_then(|place| self.computing.get(place).copied());
        let computing = computing.unwrap_or_default();
        if watch.is_busy() || computing >= MOST_COMPUTING {
            return Err(failure(Failure::Busy, sets));
        }
        let wanted = !order.extension_sets.is_empty() || !order.non_rp_sets.is_empty();
        match watch.rule(&order.fields, extension.as_ref().filter(|_| wanted), now) {
            Ok(write) => {
                let Order { chain, fields, .. } = order;
                if let Some(place) = place {
                    self.computing.insert(place, computing.saturating_add(1));
                }
                let work = Work { caller, session, chain, fields, extension, non_rp, spent };
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
        let watch = self.chains.get_mut(work.chain())?;
        match work.withheld(self.me, &watch.key, known) {
            Ok(withheld) => watch.withhold(withheld),
            Err(failure) => Some(*failure),
        }
    }

    /// The key of an admitted order that is to be computed beside the plane. Each such order comes
    /// back by [`Self::computed`].
    pub(super) fn key_of(&self, work: &Work) -> Option<Arc<ChainKey>> {
        self.chains.get(work.chain()).map(|watch| Arc::clone(&watch.key))
    }

    /// The shares that were computed beside the plane: locked up as if they had been computed here.
    pub(super) fn computed(
        &mut self,
        chain: &ChainId,
        caller: Caller,
        made: Result<Withheld, Box<Released>>,
    ) -> Option<Released> {
        if let Some(computing) = self.computing.get_mut(&(caller, chain.clone())) {
            *computing = computing.saturating_sub(1);
        }
        self.computing.retain(|_, computing| *computing > 0);
        // Nobody waits for them if their link has ended.
        self.pools.get(&caller)?;
        match made {
            Ok(withheld) => self.chains.get_mut(chain)?.withhold(withheld),
            Err(failure) => Some(*failure),
        }
    }

    /// Remembers an extension that a link carries, so that it can be named on it.
    pub(super) fn keep(&mut self, caller: Caller, extension: &Extension) {
        if let Some(kept) = self.kept.get_mut(&caller) {
            kept.keep(extension);
        }
    }

    /// The extension of an order: from the order, or what its link has carried under that name.
    pub(super) fn extension_of(
        &mut self,
        caller: Caller,
        carried: Option<&Carried>,
    ) -> Result<Option<Extension>, Failure> {
        match carried {
            None => Ok(None),
            Some(Carried::Whole(extension)) => {
                self.keep(caller, extension);
                Ok(Some(extension.clone()))
            }
            Some(Carried::Named(digest)) => {
                let known = self.kept.get(&caller).and_then(|kept| kept.get(digest));
                known.map(Some).ok_or(Failure::UnknownExtension)
            }
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
        // The own coordinator has no link that carries anything.
        if caller != Caller::Own {
            self.kept.entry(caller).or_default();
        }
    }

    /// Drops a pool with all its nonces (I4), and the answers that nobody waits for.
    pub(super) fn close_pool(&mut self, caller: Caller) {
        self.pools.remove(&caller);
        self.kept.remove(&caller);
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
    fn take_nonces(&mut self, caller: Caller, order: &Order) -> Option<SpentSets> {
        // All lists are taken in full before one can fail.
        let vote = self.spend(caller, &order.sets);
        let extension = self.spend(caller, &order.extension_sets);
        let non_rp = self.spend(caller, &order.non_rp_sets);
        Some(SpentSets { vote: vote?, extension: extension?, non_rp: non_rp? })
    }

    /// Takes the nonces out of the pool that these sets name for this member: all of them, before any
    /// can fail. `None` if one is not in the caller's pool.
    pub(super) fn spend(&mut self, caller: Caller, sets: &[SigningSet]) -> Option<Vec<Spent>> {
        let me = self.me;
        let pool = self.pools.get_mut(&caller)?;
        let spend = |set: &SigningSet| {
            let signer = set.signers.get(&me)?;
            let (nonces, commitment) = pool.take(&signer.commitment)?;
            Some(Spent { set: set.clone(), nonces, commitment })
        };
        let spent: Vec<Option<Spent>> = sets.iter().map(spend).collect();
        spent.into_iter().collect()
    }
}

/// The sets of an order, over whatever.
fn all_sets(order: &Order) -> impl Iterator<Item = &SigningSet> + Clone {
    order.sets.iter().chain(&order.extension_sets).chain(&order.non_rp_sets)
}

/// Everything about an order that is not the rule.
fn check(order: &Order, watch: &Watch, place: &check::Place<'_>) -> Result<(), Failure> {
    check::split_key(watch, order.key, order.setup)?;
    let wants_extension = !order.extension_sets.is_empty() || !order.non_rp_sets.is_empty();
    let extension_fits = match order.extension {
        Some(_) => order.fields.may_carry_extension(),
        None => !wants_extension,
    };
    if !extension_fits {
        return Err(Failure::Malformed);
    }
    check::sets(watch, place, all_sets(order))
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
        extension: Option<&Extension>,
        now: UnixMillis,
    ) -> Result<Option<Record>, Denial> {
        let hrs = fields.hrs();
        let digest = extension.map(Extension::digest);
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
