//! Which member coordinates a request.

use std::collections::BTreeSet;

use crate::types::MemberId;

/// Where a request goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// This node coordinates it.
    Here,
    /// Another member does.
    To {
        /// The member.
        member: MemberId,
        /// It is asked to coordinate although it does not lead.
        deputy: bool,
    },
}

/// To the leader if it can be reached, else to a deputy: the lowest member that can be reached.
///
/// Any member may coordinate (safety rests on each cosigner's rule alone); that all members name the
/// same deputy keeps requests in one order while no leader is known.
#[must_use]
pub fn route(me: MemberId, leader: Option<MemberId>, reachable: &BTreeSet<MemberId>) -> Route {
    match leader {
        Some(leader) if leader == me => Route::Here,
        Some(member) if reachable.contains(&member) => Route::To { member, deputy: false },
        _ => match reachable.first() {
            Some(&member) if member < me => Route::To { member, deputy: true },
            _ => Route::Here,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> MemberId {
        MemberId::new(number).unwrap()
    }

    fn ids(numbers: &[u64]) -> BTreeSet<MemberId> {
        numbers.iter().map(|&number| id(number)).collect()
    }

    #[test]
    fn goes_to_the_leader_while_it_can_be_reached() {
        assert_eq!(route(id(2), Some(id(2)), &ids(&[1, 3])), Route::Here);
        let to_leader = Route::To { member: id(3), deputy: false };
        assert_eq!(route(id(2), Some(id(3)), &ids(&[1, 3])), to_leader);
    }

    #[test]
    fn all_members_name_the_same_deputy_while_there_is_no_leader() {
        let deputy = Route::To { member: id(1), deputy: true };
        assert_eq!(route(id(2), None, &ids(&[1, 3])), deputy);
        assert_eq!(route(id(3), None, &ids(&[1, 2])), deputy);
        assert_eq!(route(id(1), None, &ids(&[2, 3])), Route::Here);
    }

    #[test]
    fn an_unreachable_leader_counts_as_none() {
        assert_eq!(route(id(2), Some(id(1)), &ids(&[3])), Route::Here);
        let deputy = Route::To { member: id(2), deputy: true };
        assert_eq!(route(id(3), Some(id(1)), &ids(&[2])), deputy);
        assert_eq!(route(id(3), Some(id(1)), &ids(&[])), Route::Here);
    }
}
