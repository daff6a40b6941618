//! What openraft takes for granted of messages and answers. A member that breaks it would end this
//! process: openraft adds to indices unchecked, and unwraps what an honest peer always sends.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse};
use openraft::{EmptyNode, EntryPayload};

use super::RaftId;
use super::network::Request;
use super::types::{LogId, TypeConfig};

/// No log gets here: 100 entries a second for 89 000 years.
const MAX_INDEX: u64 = 1 << 48;

/// Why a request must not reach openraft. `applied` is the newest entry applied here, which no
/// rightful leader contradicts.
pub(super) fn fault(request: &Request, applied: Option<LogId>) -> Option<&'static str> {
    let term = request.term();
    let is_odd = |id: &LogId| id.index > MAX_INDEX || id.leader_id.term > term;
    match request {
        Request::Append(rpc) => {
            if rpc.prev_log_id.iter().chain(&rpc.leader_commit).any(is_odd) {
                return Some("a log id that cannot be");
            }
            entries_fault(rpc, applied, is_odd)
        }
        Request::Vote(rpc) => {
            rpc.last_log_id.is_some_and(|id| id.index > MAX_INDEX).then_some("an index too high")
        }
        Request::Snapshot { meta, .. } => {
            if meta.last_log_id.iter().chain(meta.last_membership.log_id()).any(is_odd) {
                return Some("a log id that cannot be");
            }
            let members = meta.last_membership.membership();
            (meta.last_log_id.is_some() && !is_membership(members))
                .then_some("a membership that cannot be")
        }
    }
}

/// Entries follow each other without a gap, and terms do not fall.
fn entries_fault(
    rpc: &AppendEntriesRequest<TypeConfig>,
    applied: Option<LogId>,
    is_odd: impl Fn(&LogId) -> bool,
) -> Option<&'static str> {
    let mut last = rpc.prev_log_id;
    for id in rpc.prev_log_id.iter().chain(rpc.entries.iter().map(|entry| &entry.log_id)) {
        let contradicts = |applied: LogId| match id.index.cmp(&applied.index) {
            Ordering::Less => id.leader_id > applied.leader_id,
            Ordering::Equal => *id != applied,
            Ordering::Greater => id.leader_id < applied.leader_id,
        };
        if applied.is_some_and(contradicts) {
            return Some("another entry than the one applied");
        }
    }
    for entry in &rpc.entries {
        let id = entry.log_id;
        let next = last.map_or(0, |last| last.index.saturating_add(1));
        if is_odd(&id) || id.index != next || last.is_some_and(|last| id.leader_id < last.leader_id)
        {
            return Some("entries out of order");
        }
        if let EntryPayload::Membership(members) = &entry.payload
            && !is_membership(members)
        {
            return Some("a membership that cannot be");
        }
        last = Some(id);
    }
    None
}

/// Voters in each part, all of them members in some life, and all with a node.
fn is_membership(members: &openraft::Membership<u64, EmptyNode>) -> bool {
    let parts = members.get_joint_config();
    let nodes: BTreeSet<u64> = members.nodes().map(|(id, _)| *id).collect();
    !parts.is_empty()
        && parts.iter().all(|part| !part.is_empty() && part.is_subset(&nodes))
        && nodes.iter().all(|id| RaftId::from_number(*id).is_ok())
}

/// Whether an answer can be one to a request with these log ids, `prev` before the entries'.
pub(super) fn answers(
    answer: &AppendEntriesResponse<u64>,
    prev: Option<LogId>,
    ids: &[LogId],
) -> bool {
    match answer {
        AppendEntriesResponse::Success | AppendEntriesResponse::HigherVote(_) => true,
        AppendEntriesResponse::Conflict => prev.is_some(),
        AppendEntriesResponse::PartialSuccess(upto) => {
            *upto == prev || upto.is_some_and(|upto| ids.contains(&upto))
        }
    }
}
