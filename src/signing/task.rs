//! Arithmetic over long extensions, to be done beside the plane: a megabyte takes milliseconds to hash,
//! and the votes of other chains must not wait for it.
//!
//! The plane hands out a [`Task`], whoever carries out its effects runs it, and its [`Computed`] comes
//! back as an input. Only a task makes one: what is in it was verified, or is withheld as ever (I3, I5).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::attempt::Part;
use super::coordinator::Content;
use super::key::ChainKey;
use super::verified::{Made, Verified, extension_is_signed};
use super::withheld::{Caller, Released, Withheld};
use super::work::Work;
use crate::backend::{KeyFault, Signatures};
use crate::frost::{NonceCommitment, SigningPackage};
use crate::peer::{Forwarded, SessionId, Signed};
use crate::privval::{Extension, Fields};
use crate::types::{ChainId, MemberId};

/// Something to compute.
pub struct Task(Job);

/// What came of a [`Task`].
pub struct Computed(Done);

enum Job {
    Shares { work: Box<Work>, me: MemberId, key: Arc<ChainKey>, known: Vec<NonceCommitment> },
    Packages(Packages),
    Forwarded { check: Check, peer: MemberId, forwarded: Forwarded },
    KeyUsed { key: Arc<ChainKey>, content: Content, signatures: Signatures },
}

/// The same, done.
pub(super) enum Done {
    Shares { chain: ChainId, caller: Caller, made: Result<Withheld, Box<Released>> },
    Packages { chain: ChainId, session: SessionId, packages: Vec<(u32, SigningPackage)> },
    Forwarded { peer: MemberId, forwarded: Forwarded, genuine: Option<Verified> },
    KeyUsed { chain: ChainId, made: Result<Made, KeyFault> },
}

/// Rounds that the coordinator aggregates without having a share in them.
pub(super) struct Packages {
    pub(super) key: Arc<ChainKey>,
    pub(super) session: SessionId,
    pub(super) fields: Fields,
    pub(super) extension: Option<Extension>,
    pub(super) rounds: Vec<(u32, Part, BTreeMap<MemberId, NonceCommitment>)>,
}

/// What an answer must be about.
pub(super) struct Check {
    pub(super) key: Arc<ChainKey>,
    pub(super) fields: Fields,
    pub(super) extension: Option<Extension>,
    pub(super) signed: Signed,
}

impl Task {
    pub(super) fn shares(
        work: Work,
        me: MemberId,
        key: Arc<ChainKey>,
        known: Vec<NonceCommitment>,
    ) -> Self {
        Self(Job::Shares { work: Box::new(work), me, key, known })
    }

    pub(super) const fn packages(packages: Packages) -> Self {
        Self(Job::Packages(packages))
    }

    pub(super) const fn forwarded(check: Check, peer: MemberId, forwarded: Forwarded) -> Self {
        Self(Job::Forwarded { check, peer, forwarded })
    }

    pub(super) const fn key_used(
        key: Arc<ChainKey>,
        content: Content,
        signatures: Signatures,
    ) -> Self {
        Self(Job::KeyUsed { key, content, signatures })
    }

    /// Does it. Takes milliseconds, and needs nothing but itself.
    #[must_use]
    pub fn run(self) -> Computed {
        Computed(match self.0 {
            Job::Shares { work, me, key, known } => {
                let (chain, caller) = (work.chain().clone(), work.caller());
                let find = |raw: &_| known.iter().find(|known| known.raw() == *raw).cloned();
                Done::Shares { chain, caller, made: work.withheld(me, &key, find) }
            }
            Job::Packages(packages) => packages.make(),
            Job::Forwarded { check, peer, forwarded } => {
                Done::Forwarded { peer, forwarded, genuine: check.genuine() }
            }
            Job::KeyUsed { key, content, signatures } => {
                let made = Made::check(&key, &content, signatures);
                Done::KeyUsed { chain: key.chain.clone(), made }
            }
        })
    }
}

impl Computed {
    pub(super) fn into_done(self) -> Done {
        self.0
    }
}

impl Packages {
    /// One that cannot be made is left out: the set will not complete, and another is opened.
    fn make(self) -> Done {
        let Self { key, session, fields, extension, rounds } = self;
        let package = |(id, part, commitments): (u32, Part, BTreeMap<_, _>)| {
            let split = key.split.as_ref()?;
            let message = part.message(&key.chain, &fields, extension.as_ref())?;
            let package = SigningPackage::new(&split.verifying_key, &commitments, &message);
            Some((id, package.ok()?))
        };
        let packages = rounds.into_iter().filter_map(package).collect();
        Done::Packages { chain: key.chain.clone(), session, packages }
    }
}

impl Check {
    /// I5: the vote's signature, if it and those of the extension verify for what was asked here.
    pub(super) fn genuine(&self) -> Option<Verified> {
        let Self { key, fields, extension, signed } = self;
        let fields = fields.with_timestamp(signed.timestamp);
        let verified = Verified::check(key, &fields, &signed.signature)?;
        let signature = signed.extension_signature.as_ref();
        extension_is_signed(key, fields.hrs(), extension.as_ref(), signature).then_some(verified)
    }
}
