//! The first message of a stream: do both members belong to the same cluster and speak the same?

use super::message::Hello;
use super::wire::{self, Envelope, WireError};
use crate::types::{MemberId, SetupHash};

/// Why two members do not talk. Both ends come to the same text, so the two logs agree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GreetingError {
    #[error(
        "member {old} is out of date: it speaks protocol {old_protocol}, member {new} speaks {new_protocol}; \
         update the software of member {old}"
    )]
    Protocol { old: MemberId, old_protocol: u32, new: MemberId, new_protocol: u32 },
    #[error(
        "member {old} is out of date: it has edition {old_serial} of the member list, member {new} has \
         {new_serial} with other members or certificates; copy the newer cluster.toml to member {old}"
    )]
    Members { old: MemberId, old_serial: u64, new: MemberId, new_serial: u64 },
    #[error(
        "members {low} and {high} come from different splits: both have edition {serial} of the member \
         list, but its hash is {low_hash} at member {low} and {high_hash} at member {high}; \
         give both the cluster.toml of one split"
    )]
    Splits { serial: u64, low: MemberId, low_hash: SetupHash, high: MemberId, high_hash: SetupHash },
    #[error("the greeting of member {peer} is malformed: {error}")]
    Malformed { peer: MemberId, error: WireError },
}

/// Compares the two greetings. A member list that differs only in its edition is no obstacle: a
/// chain is added member by member, and each message names the hash of its own key.
pub(super) fn compare(
    me: MemberId,
    mine: &Hello,
    peer: MemberId,
    first: Envelope,
) -> Result<Hello, GreetingError> {
    let malformed = |error| GreetingError::Malformed { peer, error };
    let protocol = wire::hello_protocol(&first).map_err(malformed)?;
    if protocol != mine.protocol {
        let (ours, theirs) = ((mine.protocol, me), (protocol, peer));
        let ((old_protocol, old), (new_protocol, new)) = ordered(ours, theirs);
        return Err(GreetingError::Protocol { old, old_protocol, new, new_protocol });
    }
    let theirs = wire::decode_hello(first).map_err(malformed)?;
    if theirs.members == mine.members {
        return Ok(theirs);
    }
    if theirs.serial == mine.serial {
        let ((low, low_hash), (high, high_hash)) = if me < peer {
            ((me, mine.members), (peer, theirs.members))
        } else {
            ((peer, theirs.members), (me, mine.members))
        };
        return Err(GreetingError::Splits { serial: mine.serial, low, low_hash, high, high_hash });
    }
    let ((old_serial, old), (new_serial, new)) = ordered((mine.serial, me), (theirs.serial, peer));
    Err(GreetingError::Members { old, old_serial, new, new_serial })
}

fn ordered<T: Ord>(one: T, two: T) -> (T, T) {
    if one < two { (one, two) } else { (two, one) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Incarnation;

    fn id(number: u64) -> MemberId {
        MemberId::new(number).unwrap()
    }

    fn hello(protocol: u32, serial: u64, hash: u8) -> Hello {
        Hello {
            protocol,
            software: "0.1.0".into(),
            serial,
            members: SetupHash([hash; 32]),
            incarnation: Incarnation { number: 1, id: [2; 16] },
        }
    }

    /// What members 1 and 2 say about each other's greeting.
    fn both(one: &Hello, two: &Hello) -> [Result<Hello, GreetingError>; 2] {
        [
            compare(id(1), one, id(2), wire::encode_hello(two)),
            compare(id(2), two, id(1), wire::encode_hello(one)),
        ]
    }

    #[test]
    fn members_with_the_same_list_get_on_whatever_its_edition() {
        let (one, two) = (hello(1, 3, 7), hello(1, 4, 7));
        assert_eq!(both(&one, &two), [Ok(two.clone()), Ok(one.clone())]);
    }

    #[test]
    fn both_ends_name_the_same_side_as_out_of_date() {
        let [one, two] = both(&hello(1, 3, 7), &hello(2, 3, 7)).map(Result::unwrap_err);
        assert_eq!(one, two);
        assert!(one.to_string().starts_with("member 1 is out of date: it speaks protocol 1"));
        let [one, two] = both(&hello(1, 4, 7), &hello(1, 3, 8)).map(Result::unwrap_err);
        assert_eq!(one, two);
        assert!(one.to_string().starts_with("member 2 is out of date: it has edition 3"));
        let [one, two] = both(&hello(1, 3, 7), &hello(1, 3, 8)).map(Result::unwrap_err);
        assert_eq!(one, two);
        assert!(one.to_string().contains("come from different splits"));
    }

    #[test]
    fn reads_nothing_but_the_version_of_another_protocol() {
        let mut theirs = hello(9, 3, 7);
        theirs.software = "x".repeat(64);
        let refused = compare(id(1), &hello(1, 3, 7), id(2), wire::encode_hello(&theirs));
        assert!(matches!(refused, Err(GreetingError::Protocol { new_protocol: 9, .. })));
        let none = compare(id(1), &hello(1, 3, 7), id(2), Envelope::default());
        let malformed = GreetingError::Malformed { peer: id(2), error: WireError::Hello };
        assert_eq!(none, Err(malformed));
    }
}
