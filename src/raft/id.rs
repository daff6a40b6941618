//! Raft ids. A member whose state was lost must not come back under the id that has voted already, so
//! an id is the member's number and the birth number of its state.

use super::RaftError;
use super::types::META;
use crate::store::{Batch, Store};
use crate::types::{MemberId, MemberIdError};

const BIRTH: &[u8] = b"birth";
const MEMBER_BITS: u32 = 8;
const MEMBER_MASK: u64 = (1 << MEMBER_BITS) - 1;

/// A member in one life of its Raft state. As a number: birth × 256 + member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RaftId {
    member: MemberId,
    birth: u64,
}

/// Why a Raft id was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RaftIdError {
    /// Births are counted from 1, and leave 8 bits for the member.
    #[error("birth number {0} is not within 1 to 2^56 - 1")]
    Birth(u64),
    /// The low 8 bits name no member.
    #[error("Raft id {id} names no member: {source}")]
    Member {
        /// The id.
        id: u64,
        /// Why not.
        source: MemberIdError,
    },
}

impl RaftId {
    /// The member's id in the life with this birth number.
    ///
    /// # Errors
    /// [`RaftIdError::Birth`].
    pub const fn new(member: MemberId, birth: u64) -> Result<Self, RaftIdError> {
        if birth == 0 || birth > u64::MAX >> MEMBER_BITS {
            return Err(RaftIdError::Birth(birth));
        }
        Ok(Self { member, birth })
    }

    /// The id with this number.
    ///
    /// # Errors
    /// [`RaftIdError`] if there is no such member or birth.
    pub fn from_number(id: u64) -> Result<Self, RaftIdError> {
        let member =
            MemberId::new(id & MEMBER_MASK).map_err(|source| RaftIdError::Member { id, source })?;
        Self::new(member, id >> MEMBER_BITS)
    }

    /// openraft's form of the id.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.birth << MEMBER_BITS | self.member.get() as u64
    }

    /// The member.
    #[must_use]
    pub const fn member(self) -> MemberId {
        self.member
    }

    /// Counts the lives of the member's Raft state, from 1.
    #[must_use]
    pub const fn birth(self) -> u64 {
        self.birth
    }
}

/// Prepares a new store for Raft. Members of a new cluster are all born with number 1; one that lost
/// its state takes a number that it never had.
///
/// # Errors
/// [`RaftError::StateExists`] if that was done before; a store error.
pub fn create_state(store: &Store, birth: u64) -> Result<(), RaftError> {
    if birth == 0 || birth > u64::MAX >> MEMBER_BITS {
        return Err(RaftIdError::Birth(birth).into());
    }
    if let Some(found) = birth_of(store)? {
        return Err(RaftError::StateExists { birth: found });
    }
    Ok(store.commit_blocking(Batch::new().put(META, BIRTH, &birth.to_be_bytes()))?)
}

/// The birth number that a store was prepared with.
pub(super) fn birth_of(store: &Store) -> Result<Option<u64>, RaftError> {
    let Some(bytes) = store.get(META, BIRTH)? else { return Ok(None) };
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| RaftError::NoState)?;
    Ok(Some(u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn goes_to_a_number_and_back() {
        let member = MemberId::new(15).unwrap();
        for birth in [1, 2, u64::MAX >> 8] {
            let id = RaftId::new(member, birth).unwrap();
            assert_eq!(RaftId::from_number(id.number()), Ok(id));
        }
        assert_eq!(RaftId::new(MemberId::new(3).unwrap(), 1).unwrap().number(), 0x103);
    }

    #[test]
    fn refuses_numbers_that_are_no_member_in_no_life() {
        let member = MemberId::new(1).unwrap();
        assert_eq!(RaftId::new(member, 0), Err(RaftIdError::Birth(0)));
        assert_eq!(RaftId::new(member, 1 << 56), Err(RaftIdError::Birth(1 << 56)));
        assert_eq!(RaftId::from_number(1), Err(RaftIdError::Birth(0)));
        assert!(matches!(RaftId::from_number(0x100), Err(RaftIdError::Member { .. })));
        assert!(matches!(RaftId::from_number(0x110), Err(RaftIdError::Member { .. })));
    }
}
