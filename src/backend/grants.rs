//! Grants, and the receipt that a complete set of them makes.
//!
//! A grant is a member's word that its rule has agreed to these bytes and that its watermark says so
//! on disk. ⌊n/2⌋+1 grants of one session, the own among them, are what a whole key may be used with
//! (I7). Any two such sets have a member in common, and no member grants two contents at one height,
//! round and step (I1): hence a whole key never signs two.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use crate::peer::{Grant, SessionId};
use crate::privval::{Dialect, Extension, Fields, RawAllowed, RawRefused, sign_bytes};
use crate::types::{ChainId, Incarnation, KeyId, MemberId};
use crate::watermark::Watermarked;

/// Hashed in front of the content, so that a grant cannot be taken for anything else.
const DOMAIN: &[u8] = b"cosigner grant v2";

/// What is to be granted: the key, and what it is to be used for.
#[derive(Clone, Debug)]
pub struct Granting {
    /// Names the session; each set of grants has its own.
    pub session: SessionId,
    /// The member that counts: this one.
    pub coordinator: MemberId,
    /// Every member that is asked, with its incarnation.
    pub asked: BTreeMap<MemberId, Incarnation>,
    /// ⌊n/2⌋+1.
    pub needed: usize,
    /// The chain.
    pub chain: ChainId,
    /// What this member's settings allow to be signed raw.
    pub dialect: Dialect,
    /// The key.
    pub key: KeyId,
    /// What is to be signed.
    pub fields: Fields,
    /// The extension that travels with a precommit.
    pub extension: Option<Extension>,
    /// Whether the vote's own signature is wanted, or the extension's alone.
    pub wants_vote: bool,
}

/// Counts the grants of one session.
#[derive(Debug)]
pub struct GrantSet {
    granting: Granting,
    content: [u8; 32],
    vote: Vec<u8>,
    non_rp: Option<RawAllowed>,
    granted: BTreeSet<MemberId>,
}

/// Receipt: a quorum, this member included, has granted exactly these bytes in one session (I7).
/// Only a complete [`GrantSet`] makes one; using the key consumes it.
///
/// ```compile_fail
/// let forged = cosigner::backend::Granted { vote: None, extension: None, non_rp: None };
/// ```
#[derive(Debug)]
pub struct Granted {
    vote: Option<Vec<u8>>,
    extension: Option<Vec<u8>>,
    non_rp: Option<RawAllowed>,
}

/// Why a grant does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantFault {
    /// It is of another session: grants of different sessions never add up.
    #[error("a grant of another session")]
    OtherSession,
    /// It was given to another coordinator.
    #[error("a grant for coordinator {found}, this is {expected}")]
    OtherCoordinator {
        /// This member.
        expected: MemberId,
        /// In the grant.
        found: MemberId,
    },
    /// It is about other bytes.
    #[error("a grant of other bytes")]
    OtherContent,
    /// The member was not asked.
    #[error("a grant of member {0}, which was not asked")]
    NotAsked(MemberId),
    /// Another life of the member was asked.
    #[error("a grant of incarnation {found}, asked was {expected}")]
    OtherIncarnation {
        /// Asked.
        expected: Incarnation,
        /// In the grant.
        found: Incarnation,
    },
    /// The own grant came without the receipt of a write that covers it (I3).
    #[error("the own watermark does not cover these bytes yet")]
    NotWatermarked,
}

/// Names exactly what a key may be used for: the key, the vote's sign bytes, the extension.
///
/// The extension goes in by its digest: what is signed of it follows from its bytes and from the chain,
/// height and round in the vote's sign bytes.
#[must_use]
pub fn content_hash(key: &KeyId, vote: &[u8], extension: Option<&Extension>) -> [u8; 32] {
    let hash = Sha256::new()
        .chain_update(DOMAIN)
        .chain_update(key.as_bytes())
        .chain_update((vote.len() as u64).to_be_bytes())
        .chain_update(vote)
        .chain_update([u8::from(extension.is_some())]);
    match extension {
        Some(extension) => hash.chain_update(extension.digest()).finalize().into(),
        None => hash.finalize().into(),
    }
}

impl GrantSet {
    /// Nothing granted yet. The bytes are built here, from the fields.
    ///
    /// # Errors
    /// [`RawRefused`] if there is an extension without replay protection that this member's settings or
    /// its own bytes forbid.
    pub fn new(granting: Granting) -> Result<Self, RawRefused> {
        let Granting { chain, key, fields, extension, dialect, .. } = &granting;
        let raw = extension.as_ref().and_then(Extension::non_rp);
        let non_rp = raw.map(|raw| RawAllowed::non_rp_extension(dialect, raw)).transpose()?;
        let vote = sign_bytes(chain, fields);
        let content = content_hash(key, &vote, extension.as_ref());
        Ok(Self { granting, content, vote, non_rp, granted: BTreeSet::new() })
    }

    /// Takes another member's grant; `member` is who the link belongs to.
    ///
    /// # Errors
    /// [`GrantFault`]; it does not count then.
    pub fn add(
        &mut self,
        member: MemberId,
        session: SessionId,
        grant: &Grant,
    ) -> Result<(), GrantFault> {
        let expected = self.granting.coordinator;
        if member == expected {
            return Err(GrantFault::NotWatermarked);
        }
        self.check(member, session, grant)?;
        self.granted.insert(member);
        Ok(())
    }

    /// Takes this member's own grant, with the receipt that its watermark is on disk (I3).
    ///
    /// # Errors
    /// [`GrantFault`]; it does not count then.
    pub fn add_own(
        &mut self,
        session: SessionId,
        grant: &Grant,
        receipt: &Watermarked,
    ) -> Result<(), GrantFault> {
        let Granting { coordinator, chain, key, fields, .. } = &self.granting;
        let me = *coordinator;
        if !receipt.covers(chain, key, fields.hrs()) {
            return Err(GrantFault::NotWatermarked);
        }
        self.check(me, session, grant)?;
        self.granted.insert(me);
        Ok(())
    }

    fn check(&self, member: MemberId, session: SessionId, grant: &Grant) -> Result<(), GrantFault> {
        let Granting { coordinator, asked, .. } = &self.granting;
        if session != self.granting.session {
            return Err(GrantFault::OtherSession);
        }
        if grant.coordinator != *coordinator {
            let (expected, found) = (*coordinator, grant.coordinator);
            return Err(GrantFault::OtherCoordinator { expected, found });
        }
        if grant.content != self.content {
            return Err(GrantFault::OtherContent);
        }
        let expected = *asked.get(&member).ok_or(GrantFault::NotAsked(member))?;
        if grant.incarnation != expected {
            let found = grant.incarnation;
            return Err(GrantFault::OtherIncarnation { expected, found });
        }
        Ok(())
    }

    /// The session.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        self.granting.session
    }

    /// The member that counts.
    #[must_use]
    pub const fn coordinator(&self) -> MemberId {
        self.granting.coordinator
    }

    /// Who has granted.
    #[must_use]
    pub const fn granted(&self) -> &BTreeSet<MemberId> {
        &self.granted
    }

    /// I7: the receipt, if ⌊n/2⌋+1 members have granted, this one included.
    ///
    /// # Errors
    /// Gives itself back while grants are missing.
    pub fn complete(self) -> Result<Granted, Box<Self>> {
        let own = self.granted.contains(&self.granting.coordinator);
        if !own || self.granted.len() < self.granting.needed {
            return Err(Box::new(self));
        }
        let Granting { chain, fields, extension, wants_vote, .. } = &self.granting;
        let vote = wants_vote.then_some(self.vote);
        let extension = extension.as_ref().map(|it| it.sign_bytes(chain, fields.hrs()));
        Ok(Granted { vote, extension, non_rp: self.non_rp })
    }
}

impl Granted {
    /// The sign bytes of the vote or proposal, if its signature is wanted.
    #[must_use]
    pub fn vote(&self) -> Option<&[u8]> {
        self.vote.as_deref()
    }

    /// The extension's sign bytes, if there is one.
    #[must_use]
    pub fn extension(&self) -> Option<&[u8]> {
        self.extension.as_deref()
    }

    /// The extension's bytes without replay protection, if they are to be signed.
    #[must_use]
    pub fn non_rp(&self) -> Option<&[u8]> {
        self.non_rp.as_ref().map(RawAllowed::as_bytes)
    }

    /// Length of the longest of them, in bytes.
    #[must_use]
    pub fn longest(&self) -> usize {
        let all = self.vote().into_iter().chain(self.extension()).chain(self.non_rp());
        all.map(<[u8]>::len).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;
