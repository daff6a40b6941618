//! What is checked of every order for shares and every request for a grant, whatever it is about: key,
//! setup, sets, incarnations.

use std::collections::BTreeMap;

use super::participant::{Participant, Watch};
use crate::peer::{Failure, SigningSet};
use crate::types::{Incarnation, KeyId, MemberId, SetupHash};

/// Signing sets in one order.
const MOST_SETS: usize = 16;

/// Who this member is, and what it knows of the others' lives.
pub(super) struct Place<'a> {
    me: MemberId,
    incarnation: Incarnation,
    recorded: &'a BTreeMap<MemberId, Incarnation>,
}

impl<'a> Place<'a> {
    pub(super) const fn of(own: &'a Participant) -> Self {
        Self { me: own.me, incarnation: own.incarnation, recorded: &own.recorded }
    }
}

/// The key is the one that is named, its members agree about it, and its watermark can be written.
pub(super) fn key(watch: &Watch, key: KeyId, setup: SetupHash) -> Result<(), Failure> {
    if watch.stopped {
        return Err(Failure::State);
    }
    if key != watch.key.id {
        return Err(Failure::UnknownKey);
    }
    if setup != watch.key.setup {
        return Err(Failure::OtherSetup);
    }
    Ok(())
}

/// As [`key`], and the key is split.
pub(super) fn split_key(watch: &Watch, named: KeyId, setup: SetupHash) -> Result<(), Failure> {
    key(watch, named, setup)?;
    if watch.key.is_whole() { Err(Failure::Malformed) } else { Ok(()) }
}

/// A signer that is named is a member in its present life, as far as this one knows.
pub(super) fn life(
    watch: &Watch,
    place: &Place<'_>,
    member: MemberId,
    incarnation: Incarnation,
) -> Result<(), Failure> {
    if !watch.key.members.contains(&member) {
        return Err(Failure::Malformed);
    }
    // I8: the session names this incarnation, and of every other member none lower than recorded; in
    // the same critical section as rule and write.
    if member == place.me && incarnation != place.incarnation {
        return Err(Failure::OtherIncarnation);
    }
    if place.recorded.get(&member).is_some_and(|least| incarnation < *least) {
        return Err(Failure::SupersededSigner);
    }
    Ok(())
}

/// Sets of t members, this one among them, each in its present life.
pub(super) fn sets<'s>(
    watch: &Watch,
    place: &Place<'_>,
    sets: impl Iterator<Item = &'s SigningSet> + Clone,
) -> Result<(), Failure> {
    let count = sets.clone().count();
    if count == 0 || count > MOST_SETS {
        return Err(Failure::Malformed);
    }
    for set in sets {
        if set.signers.len() != usize::from(watch.key.threshold.t()) {
            return Err(Failure::Malformed);
        }
        for (&member, signer) in &set.signers {
            life(watch, place, member, signer.incarnation)?;
        }
        if !set.signers.contains_key(&place.me) {
            return Err(Failure::Malformed);
        }
    }
    Ok(())
}
