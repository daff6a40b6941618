//! The records in `state/db` of whose state this is, and of this disk's present life (I8).
//!
//! Watermarks and Raft votes of one member say nothing about what another one signed (I1), so a
//! state belongs to one member of one split: its number and its certificate.

use std::collections::BTreeMap;

use crate::store::{Batch, Store, StoreError};
use crate::types::{CertificatePin, Incarnation, MemberId};

const NAMESPACE: &str = "incarnation";
const OWN: &[u8] = b"own";
/// Number (8 bytes, big-endian), then the random id.
const BYTES: usize = 8 + 16;
/// Then the member's number (2 bytes, big-endian).
const RECORDED: &[u8] = b"recorded:";
const OWNER: &[u8] = b"owner";
/// Member (2 bytes, big-endian), then the pin of its certificate.
const OWNER_BYTES: usize = 2 + 32;

/// What `state/db` says about lives of disks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lives {
    /// This disk's present one.
    pub own: Incarnation,
    /// The highest recorded of each other member: orders that name a lower one get nothing.
    pub recorded: BTreeMap<MemberId, Incarnation>,
}

/// Why a state is not this node's, or not whole. All of these are about safety: exit code 3.
#[derive(Debug, thiserror::Error)]
pub enum IncarnationError {
    /// The database underneath.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No record.
    #[error("there is no record of {what}: the state is not whole")]
    Missing {
        /// What is missing.
        what: &'static str,
    },
    /// A record of the wrong length.
    #[error("the record of {what} has {found} bytes, not {expected}: it is damaged")]
    Damaged {
        /// What is damaged.
        what: &'static str,
        /// Length found, in bytes.
        found: usize,
        /// Length of a whole one, in bytes.
        expected: usize,
    },
    /// Another member's.
    #[error(
        "this is the state of member {found}, and this home is member {me}: what one member has signed says nothing \
         about another; put each member's own state/ into its home"
    )]
    OtherMember {
        /// This member.
        me: MemberId,
        /// The member that it belongs to.
        found: MemberId,
    },
    /// From another split.
    #[error(
        "this state is from another split: member {me} had the certificate {found} there, here it has {expected}; \
         put the state/ back that `split-key` wrote together with these keys/"
    )]
    OtherSplit {
        /// This member.
        me: MemberId,
        /// This member's certificate.
        expected: CertificatePin,
        /// The certificate of the member that it belongs to.
        found: CertificatePin,
    },
}

const A_RECORD: &str = "another member's incarnation";
const THE_INCARNATION: &str = "this node's incarnation";
const THE_OWNER: &str = "the member that it belongs to";

/// Adds whose state this is to a batch, once, when the state is made.
pub fn put_owner(batch: Batch, me: MemberId, certificate: CertificatePin) -> Batch {
    let mut bytes = [0; OWNER_BYTES];
    let (member, pin) = bytes.split_at_mut(2);
    member.copy_from_slice(&me.get().to_be_bytes());
    pin.copy_from_slice(&certificate.0);
    batch.put(NAMESPACE, OWNER, &bytes)
}

/// Refuses the state of anybody but this member with this certificate.
///
/// # Errors
/// [`IncarnationError`] says whose it is.
pub fn check_owner(
    state: &Store,
    me: MemberId,
    certificate: CertificatePin,
) -> Result<(), IncarnationError> {
    let missing = IncarnationError::Missing { what: THE_OWNER };
    let bytes = state.get(NAMESPACE, OWNER)?.ok_or(missing)?;
    let damaged =
        || IncarnationError::Damaged { what: THE_OWNER, found: bytes.len(), expected: OWNER_BYTES };
    let (member, pin) = bytes.split_first_chunk().ok_or_else(damaged)?;
    let member = MemberId::new(u16::from_be_bytes(*member).into()).map_err(|_| damaged())?;
    let found = CertificatePin(pin.try_into().map_err(|_| damaged())?);
    if member != me {
        return Err(IncarnationError::OtherMember { me, found: member });
    }
    if found != certificate {
        return Err(IncarnationError::OtherSplit { me, expected: certificate, found });
    }
    Ok(())
}

/// Adds this node's incarnation to a batch.
pub fn put_incarnation(batch: Batch, incarnation: Incarnation) -> Batch {
    batch.put(NAMESPACE, OWN, &encode(incarnation))
}

/// Adds what was heard of another member's incarnation to a batch.
pub fn put_recorded(batch: Batch, member: MemberId, incarnation: Incarnation) -> Batch {
    let key = [RECORDED, &member.get().to_be_bytes()].concat();
    batch.put(NAMESPACE, &key, &encode(incarnation))
}

/// Reads this node's incarnation, of which there is always one, written with the home, and those
/// recorded of others.
///
/// # Errors
/// [`IncarnationError`].
pub fn read_lives(state: &Store) -> Result<Lives, IncarnationError> {
    let missing = IncarnationError::Missing { what: THE_INCARNATION };
    let bytes = state.get(NAMESPACE, OWN)?.ok_or(missing)?;
    let own = decode(THE_INCARNATION, &bytes)?;
    let mut recorded = BTreeMap::new();
    for (key, bytes) in state.scan(NAMESPACE, RECORDED..)? {
        let Some(member) = key.strip_prefix(RECORDED) else { continue };
        let damaged = IncarnationError::Damaged { what: A_RECORD, found: key.len(), expected: 2 };
        let number = <[u8; 2]>::try_from(member).map(u16::from_be_bytes);
        let member = number.ok().and_then(|number| MemberId::new(number.into()).ok());
        recorded.insert(member.ok_or(damaged)?, decode(A_RECORD, &bytes)?);
    }
    Ok(Lives { own, recorded })
}

fn encode(incarnation: Incarnation) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let (number, id) = bytes.split_at_mut(8);
    number.copy_from_slice(&incarnation.number.to_be_bytes());
    id.copy_from_slice(&incarnation.id);
    bytes
}

fn decode(what: &'static str, bytes: &[u8]) -> Result<Incarnation, IncarnationError> {
    let damaged = || IncarnationError::Damaged { what, found: bytes.len(), expected: BYTES };
    let (number, id) = bytes.split_first_chunk().ok_or_else(damaged)?;
    let id = id.try_into().map_err(|_| damaged())?;
    Ok(Incarnation { number: u64::from_be_bytes(*number), id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(&directory.path().join("db")).unwrap();
        assert!(matches!(read_lives(&store), Err(IncarnationError::Missing { .. })));
        let incarnation = Incarnation { number: 7, id: [3; 16] };
        store.commit_blocking(put_incarnation(Batch::new(), incarnation)).unwrap();
        let (second, third) = (MemberId::new(2).unwrap(), MemberId::new(3).unwrap());
        let later = Incarnation { number: 8, id: [4; 16] };
        let batch = put_recorded(put_recorded(Batch::new(), second, incarnation), third, later);
        store.commit_blocking(batch).unwrap();
        let recorded = BTreeMap::from([(second, incarnation), (third, later)]);
        assert_eq!(read_lives(&store).unwrap(), Lives { own: incarnation, recorded });
        store.commit_blocking(Batch::new().put(NAMESPACE, OWN, &[0; 23])).unwrap();
        let damaged = read_lives(&store);
        assert!(matches!(damaged, Err(IncarnationError::Damaged { found: 23, .. })));
    }

    #[test]
    fn a_state_belongs_to_one_member_of_one_split() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::create(&directory.path().join("db")).unwrap();
        let [one, two] = [1, 2].map(|id| MemberId::new(id).unwrap());
        let (ours, theirs) = (CertificatePin([5; 32]), CertificatePin([6; 32]));
        let refused = check_owner(&store, one, ours);
        assert!(matches!(refused, Err(IncarnationError::Missing { .. })));
        store.commit_blocking(put_owner(Batch::new(), one, ours)).unwrap();
        check_owner(&store, one, ours).unwrap();
        let refused = check_owner(&store, two, theirs);
        assert!(
            matches!(refused, Err(IncarnationError::OtherMember { found, .. }) if found == one)
        );
        let refused = check_owner(&store, one, theirs);
        assert!(
            matches!(refused, Err(IncarnationError::OtherSplit { found, .. }) if found == ours)
        );
        store.commit_blocking(Batch::new().put(NAMESPACE, OWNER, &[0; 33])).unwrap();
        let damaged = check_owner(&store, one, ours);
        assert!(matches!(damaged, Err(IncarnationError::Damaged { found: 33, .. })));
    }
}
