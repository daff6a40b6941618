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

/// To the leader if it is able, else to a deputy: the lowest member that is. `able` are the members
/// that can be reached, this one included, and have not failed this request; `None` if there is none.
///
/// Any member may coordinate (safety rests on each cosigner's rule alone); that all members name the
/// same deputy keeps requests in one order while no leader is known.
#[must_use]
pub fn route(me: MemberId, leader: Option<MemberId>, able: &BTreeSet<MemberId>) -> Option<Route> {
    let leader = leader.filter(|leader| able.contains(leader));
    let member = leader.or_else(|| able.first().copied())?;
    let deputy = leader.is_none();
    Some(if member == me { Route::Here } else { Route::To { member, deputy } })
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
        assert_eq!(route(id(2), Some(id(2)), &ids(&[1, 2, 3])), Some(Route::Here));
        let to_leader = Route::To { member: id(3), deputy: false };
        assert_eq!(route(id(2), Some(id(3)), &ids(&[1, 2, 3])), Some(to_leader));
    }

    #[test]
    fn all_members_name_the_same_deputy_while_there_is_no_leader() {
        let deputy = Some(Route::To { member: id(1), deputy: true });
        assert_eq!(route(id(2), None, &ids(&[1, 2, 3])), deputy);
        assert_eq!(route(id(3), None, &ids(&[1, 2, 3])), deputy);
        assert_eq!(route(id(1), None, &ids(&[1, 2, 3])), Some(Route::Here));
    }

    #[test]
    fn an_unable_leader_counts_as_none() {
        assert_eq!(route(id(2), Some(id(1)), &ids(&[2, 3])), Some(Route::Here));
        let deputy = Some(Route::To { member: id(2), deputy: true });
        assert_eq!(route(id(3), Some(id(1)), &ids(&[2, 3])), deputy);
        assert_eq!(route(id(3), Some(id(1)), &ids(&[3])), Some(Route::Here));
    }

    #[test]
    fn a_leader_that_is_not_able_itself_asks_a_deputy_and_nobody_if_there_is_none() {
        let deputy = Some(Route::To { member: id(2), deputy: true });
        assert_eq!(route(id(1), Some(id(1)), &ids(&[2, 3])), deputy);
        assert_eq!(route(id(1), Some(id(1)), &ids(&[])), None);
    }
}
