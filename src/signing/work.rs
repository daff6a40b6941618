//! The shares of one admitted order: nonces that are spent, and the arithmetic that spends them.

use std::collections::BTreeMap;

use super::key::ChainKey;
use super::withheld::{Caller, Gives, Released, Withheld};
use crate::frost::{FrostError, NonceCommitment, Nonces, RawCommitment, SigningPackage, sign};
use crate::peer::{Failure, SessionId, SetShare, SigningSet};
use crate::privval::{Extension, Fields, RawAllowed, sign_bytes};
use crate::types::{ChainId, MemberId};

/// Nonces that are spent, and what they are to be spent on.
pub(super) struct Work {
    pub(super) caller: Caller,
    pub(super) session: SessionId,
    pub(super) chain: ChainId,
    pub(super) fields: Fields,
    pub(super) extension: Option<Extension>,
    /// The extension's bytes without replay protection, if this member's own settings allow them.
    pub(super) non_rp: Option<RawAllowed>,
    pub(super) spent: SpentSets,
}

/// The sets of an order with this member's nonces for them.
pub(super) struct SpentSets {
    pub(super) vote: Vec<Spent>,
    pub(super) extension: Vec<Spent>,
    pub(super) non_rp: Vec<Spent>,
}

/// One set, and the nonces that it has cost: they left their pool for good. Neither can be copied: what
/// it is spent on, a vote or raw bytes, takes it by value (I4).
pub(super) struct Spent {
    pub(super) set: SigningSet,
    pub(super) nonces: Nonces,
    pub(super) commitment: NonceCommitment,
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

    /// Whether it takes so long that other requests would notice.
    pub(super) fn is_long(&self) -> bool {
        self.extension.as_ref().is_some_and(Extension::is_long)
    }

    /// Everybody's commitments in its sets.
    pub(super) fn commitments(&self) -> impl Iterator<Item = &RawCommitment> {
        let SpentSets { vote, extension, non_rp } = &self.spent;
        let sets = vote.iter().chain(extension).chain(non_rp);
        sets.flat_map(|spent| spent.set.signers.values().map(|signer| &signer.commitment))
    }

    /// The shares, locked up until their watermark is on disk. `known` finds commitments that are
    /// decoded already.
    ///
    /// # Errors
    /// The answer to send instead.
    pub(super) fn withheld(
        self,
        me: MemberId,
        key: &ChainKey,
        known: impl Fn(&RawCommitment) -> Option<NonceCommitment>,
    ) -> Result<Withheld, Box<Released>> {
        let (caller, session) = (self.caller, self.session);
        let SpentSets { vote, extension, non_rp } = &self.spent;
        let sets = vote.iter().chain(extension).chain(non_rp).map(|spent| spent.set.id).collect();
        self.shares(me, key, known)
            .map_err(|_| Box::new(Released::failure(caller, session, sets, Failure::Malformed)))
    }

    /// The sign bytes are built here from the fields, and R and the challenge from all commitments:
    /// nothing that enters the share is taken from the coordinator's arithmetic.
    fn shares(
        self,
        me: MemberId,
        key: &ChainKey,
        known: impl Fn(&RawCommitment) -> Option<NonceCommitment>,
    ) -> Result<Withheld, FrostError> {
        let share_all = |spent: Vec<Spent>, message: &[u8]| {
            let share = |spent: Spent| spent.share(me, key, message, &known);
            spent.into_iter().map(share).collect::<Result<Vec<_>, _>>()
        };
        let SpentSets { vote, extension, non_rp } = self.spent;
        let shares = share_all(vote, &sign_bytes(&key.chain, &self.fields))?;
        let extension_shares = match self.extension.filter(|_| !extension.is_empty()) {
            Some(bytes) => share_all(extension, &bytes.sign_bytes(&key.chain, self.fields.hrs()))?,
            None => Vec::new(),
        };
        let non_rp_shares = match &self.non_rp {
            Some(allowed) => share_all(non_rp, allowed.as_bytes())?,
            None => Vec::new(),
        };
        let gives = Gives::Shares { shares, extension_shares, non_rp_shares };
        Ok(Withheld { caller: self.caller, session: self.session, fields: self.fields, gives })
    }
}

impl Spent {
    pub(super) const fn set_id(&self) -> u32 {
        self.set.id
    }

    pub(super) fn share(
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
