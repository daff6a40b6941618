//! The metrics, each with where its series come from.

use prometheus_client::metrics::MetricType::{Counter, Gauge, Histogram};

use super::{Metric, Row, Sample, Value};
use crate::ops::ready::NotReady;
use crate::ops::status::{ChainStatus, MemberStatus, ValidatorStatus};
use crate::ops::tally::ChainTally;

const CHAIN: &[&str] = &["chain_id"];
const PEER: &[&str] = &["peer"];
const VALIDATOR: &[&str] = &["chain_id", "addr"];

/// The roles of `/status`.
const ROLES: [&str; 4] = ["single", "leader", "follower", "candidate"];

pub(super) static TABLE: [Metric; 34] = [
    Metric {
        name: "cosigner_build_info",
        kind: Gauge,
        labels: &["version"],
        help: "1, with the version of the program",
        rows: |it| vec![Row(vec![it.status.version.clone()], Value::Number(1))],
    },
    Metric {
        name: "cosigner_start_timestamp_seconds",
        kind: Gauge,
        labels: &[],
        help: "When the process started, since the Unix epoch",
        rows: |it| vec![Row(vec![], Value::Real(seconds(it.started.0)))],
    },
    Metric {
        name: "cosigner_ready",
        kind: Gauge,
        labels: &[],
        help: "1 while /readyz says 200",
        rows: |it| vec![Row(vec![], flag(it.status.ready))],
    },
    Metric {
        name: "cosigner_ready_state",
        kind: Gauge,
        labels: &["state"],
        help: "1 for ready, or for each reason of /readyz why not",
        rows: ready_states,
    },
    Metric {
        name: "cosigner_sign_requests",
        kind: Counter,
        labels: &["chain_id", "kind", "result"],
        help: "Requests of this node's validators: signed, repeated, denied or failed",
        rows: requests,
    },
    Metric {
        name: "cosigner_sign_denied",
        kind: Counter,
        labels: &["chain_id", "reason"],
        help: "Requests that the double-sign rule denied, by its reason",
        rows: denials,
    },
    Metric {
        name: "cosigner_sign_duration_seconds",
        kind: Histogram,
        labels: &["chain_id", "kind", "phase"],
        help: "Time of new signatures: total, from request to answer; where they were coordinated also order, until the first order, and shares, from there to the signature",
        rows: durations,
    },
    Metric {
        name: "cosigner_hedged_sets",
        kind: Counter,
        labels: CHAIN,
        help: "Signing sets opened beyond the first of a request, where it was coordinated",
        rows: |it| tallies(it, |tally| Value::Count(tally.hedged_sets)),
    },
    Metric {
        name: "cosigner_signed_height",
        kind: Gauge,
        labels: CHAIN,
        help: "Height of the last new signature for a validator of this node",
        rows: |it| chains(it, |chain| chain.last_signed.as_ref().map(|last| last.height)),
    },
    Metric {
        name: "cosigner_signed_round",
        kind: Gauge,
        labels: CHAIN,
        help: "Round of the last new signature for a validator of this node",
        rows: |it| chains(it, |chain| chain.last_signed.as_ref().map(|last| last.round.into())),
    },
    Metric {
        name: "cosigner_last_signed_timestamp_seconds",
        kind: Gauge,
        labels: &["chain_id", "kind"],
        help: "When a validator of this node got its last new signature, since the Unix epoch",
        rows: last_signed,
    },
    Metric {
        name: "cosigner_floor_height",
        kind: Gauge,
        labels: CHAIN,
        help: "Height of this node's watermark: nothing below is signed; absent before the first signature",
        rows: |it| chains(it, |chain| chain.watermark.map(|mark| mark.height)),
    },
    Metric {
        name: "cosigner_floor_round",
        kind: Gauge,
        labels: CHAIN,
        help: "Round of this node's watermark",
        rows: |it| chains(it, |chain| chain.watermark.map(|mark| mark.round.into())),
    },
    Metric {
        name: "cosigner_floor_step",
        kind: Gauge,
        labels: CHAIN,
        help: "Step of this node's watermark: 1 proposal, 2 prevote, 3 precommit",
        rows: |it| chains(it, |chain| chain.watermark.map(|mark| mark.step.into())),
    },
    Metric {
        name: "cosigner_floor_persist_seconds",
        kind: Histogram,
        labels: CHAIN,
        help: "Time of the watermark's synchronous writes",
        rows: |it| {
            let row = |(chain, writes): (&_, &_)| chain_row(chain, Value::Durations(*writes));
            it.writes.iter().map(row).collect()
        },
    },
    Metric {
        name: "cosigner_ceiling_height",
        kind: Gauge,
        labels: CHAIN,
        help: "Height above which nothing is signed; absent where none is set",
        rows: |it| chains(it, |chain| chain.ceiling),
    },
    Metric {
        name: "cosigner_nonces_ready",
        kind: Gauge,
        labels: CHAIN,
        help: "Nonce commitments at hand of the member that has fewest; absent where the key is whole",
        rows: |it| chains(it, |chain| chain.nonces_ready.and_then(|it| i64::try_from(it).ok())),
    },
    Metric {
        name: "cosigner_key_ready",
        kind: Gauge,
        labels: CHAIN,
        help: "1 while this node can use the chain's whole key; absent where the key is split",
        rows: |it| {
            let whole = |chain: &ChainStatus| chain.nonces_ready.is_none();
            chains(it, |chain| whole(chain).then_some(i64::from(chain.key_fault.is_none())))
        },
    },
    Metric {
        name: "cosigner_key_fault",
        kind: Gauge,
        labels: &["chain_id", "cause"],
        help: "1 while this node cannot use the chain's whole key, with the cause of /readyz",
        rows: key_faults,
    },
    Metric {
        name: "cosigner_peer_up",
        kind: Gauge,
        labels: PEER,
        help: "1 while the link to this member is up",
        rows: |it| peers(it, |peer| Some(flag(peer.connected))),
    },
    Metric {
        name: "cosigner_peer_rtt_seconds",
        kind: Gauge,
        labels: PEER,
        help: "Round trip of the last ping of this member",
        rows: |it| peers(it, |peer| peer.rtt_ms.map(|rtt| Value::Real(rtt / 1000.0))),
    },
    Metric {
        name: "cosigner_peer_lag_heights",
        kind: Gauge,
        labels: PEER,
        help: "Heights that this member's watermark is behind this node's, of the chain where it is most",
        rows: |it| peers(it, |peer| peer.watermark_lag.map(Value::Number)),
    },
    Metric {
        name: "cosigner_peer_bad_shares",
        kind: Counter,
        labels: PEER,
        help: "Shares of this member that did not verify, in requests of this node's validators that it coordinated",
        rows: |it| peers(it, |peer| Some(Value::Count(it.tally.bad_shares(peer.id)))),
    },
    Metric {
        name: "cosigner_members_connected",
        kind: Gauge,
        labels: &[],
        help: "Members with a link that is up, this one included; 0 for a node alone",
        rows: |it| {
            let up = it.status.members.iter().filter(|member| member.connected).count();
            vec![Row(vec![], Value::Number(i64::try_from(up).unwrap_or(i64::MAX)))]
        },
    },
    Metric {
        name: "cosigner_role",
        kind: Gauge,
        labels: &["role"],
        help: "1 for what this node is: single, leader, follower or candidate",
        rows: |it| {
            let row = |role: &&str| Row(vec![(*role).to_owned()], flag(it.status.role == *role));
            ROLES.iter().map(row).collect()
        },
    },
    Metric {
        name: "cosigner_raft_is_leader",
        kind: Gauge,
        labels: &[],
        help: "1 while this node leads",
        rows: |it| cluster(it, flag(it.status.is_leader)),
    },
    Metric {
        name: "cosigner_raft_leader",
        kind: Gauge,
        labels: &[],
        help: "Number of the member that leads, 0 while none is known",
        rows: |it| cluster(it, Value::Number(it.status.leader_id.unwrap_or_default().into())),
    },
    Metric {
        name: "cosigner_raft_term",
        kind: Gauge,
        labels: &[],
        help: "Raft's term: rises with each election",
        rows: |it| cluster(it, Value::Number(i64::try_from(it.status.term).unwrap_or(i64::MAX))),
    },
    Metric {
        name: "cosigner_raft_applied_index",
        kind: Gauge,
        labels: &[],
        help: "Raft's newest log entry that is applied here",
        rows: |it| {
            let index = it.status.raft_applied.and_then(|index| i64::try_from(index).ok());
            index.map(|index| cluster(it, Value::Number(index))).unwrap_or_default()
        },
    },
    Metric {
        name: "cosigner_validator_connected",
        kind: Gauge,
        labels: VALIDATOR,
        help: "1 while this validator has taken this node's connection",
        rows: |it| validators(it, |one| flag(one.connected)),
    },
    Metric {
        name: "cosigner_validators_connected",
        kind: Gauge,
        labels: CHAIN,
        help: "Validators of this chain that have taken this node's connection",
        rows: |it| {
            let of = |chain: &ChainStatus, one: &&ValidatorStatus| {
                one.connected && one.chain_id == chain.id
            };
            let count = |chain: &ChainStatus| {
                it.status.validators.iter().filter(|one| of(chain, one)).count()
            };
            chains(it, |chain| i64::try_from(count(chain)).ok())
        },
    },
    Metric {
        name: "cosigner_validator_connects",
        kind: Counter,
        labels: VALIDATOR,
        help: "How often this validator has taken this node's connection",
        rows: |it| validators(it, |one| Value::Count(one.connects)),
    },
    Metric {
        name: "cosigner_validator_losses",
        kind: Counter,
        labels: VALIDATOR,
        help: "How often a connection that this validator had taken was lost",
        rows: |it| validators(it, |one| Value::Count(one.losses)),
    },
    Metric {
        name: "cosigner_log_lines_left_out",
        kind: Counter,
        labels: VALIDATOR,
        help: "Log lines about this validator that were left out because there were too many",
        rows: |it| validators(it, |one| Value::Count(one.lines_left_out)),
    },
];

fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}

fn flag(holds: bool) -> Value {
    Value::Number(holds.into())
}

fn chain_row(chain: impl ToString, value: Value) -> Row {
    Row(vec![chain.to_string()], value)
}

/// A series for each chain that has the value.
fn chains(sample: &Sample, value: impl Fn(&ChainStatus) -> Option<i64>) -> Vec<Row> {
    let row = |chain: &ChainStatus| Some(chain_row(&chain.id, Value::Number(value(chain)?)));
    sample.status.chains.iter().filter_map(row).collect()
}

fn tallies(sample: &Sample, value: impl Fn(&ChainTally) -> Value) -> Vec<Row> {
    sample.tally.chains().iter().map(|(chain, tally)| chain_row(chain, value(tally))).collect()
}

/// A series for each other member that has the value.
fn peers(sample: &Sample, value: impl Fn(&MemberStatus) -> Option<Value>) -> Vec<Row> {
    let status = &sample.status;
    let others = status.members.iter().filter(|member| member.id != status.node_id);
    others.filter_map(|peer| Some(Row(vec![peer.id.to_string()], value(peer)?))).collect()
}

fn validators(sample: &Sample, value: impl Fn(&ValidatorStatus) -> Value) -> Vec<Row> {
    let row =
        |one: &ValidatorStatus| Row(vec![one.chain_id.clone(), one.address.clone()], value(one));
    sample.status.validators.iter().map(row).collect()
}

/// One series in a cluster, none where a node signs alone.
fn cluster(sample: &Sample, value: Value) -> Vec<Row> {
    if sample.status.members.is_empty() { vec![] } else { vec![Row(vec![], value)] }
}

fn ready_states(sample: &Sample) -> Vec<Row> {
    let status = &sample.status;
    let ready = Row(vec!["ready".to_owned()], flag(status.ready));
    let reason = |reason: &NotReady| {
        let word = reason.to_string();
        let holds = status.not_ready.contains(&word);
        Row(vec![word], flag(holds))
    };
    std::iter::once(ready).chain(NotReady::ALL.iter().map(reason)).collect()
}

fn requests(sample: &Sample) -> Vec<Row> {
    let mut rows = Vec::new();
    for (chain, tally) in sample.tally.chains() {
        for (kind, tally) in &tally.kinds {
            let counts = &tally.counts;
            for (result, count) in [
                ("signed", counts.signed),
                ("repeated", counts.repeated),
                ("denied", counts.denied),
                ("failed", counts.failed),
            ] {
                let labels = vec![chain.to_string(), (*kind).to_owned(), result.to_owned()];
                rows.push(Row(labels, Value::Count(count)));
            }
        }
    }
    rows
}

fn denials(sample: &Sample) -> Vec<Row> {
    let mut rows = Vec::new();
    for (chain, tally) in sample.tally.chains() {
        for (reason, count) in &tally.denied {
            let labels = vec![chain.to_string(), (*reason).to_owned()];
            rows.push(Row(labels, Value::Count(*count)));
        }
    }
    rows
}

fn durations(sample: &Sample) -> Vec<Row> {
    let mut rows = Vec::new();
    for (chain, tally) in sample.tally.chains() {
        for (kind, tally) in &tally.kinds {
            let took = &tally.took;
            for (phase, took) in
                [("total", took.total), ("order", took.order), ("shares", took.shares)]
            {
                let labels = vec![chain.to_string(), (*kind).to_owned(), phase.to_owned()];
                rows.push(Row(labels, Value::Durations(took)));
            }
        }
    }
    rows
}

fn last_signed(sample: &Sample) -> Vec<Row> {
    let mut rows = Vec::new();
    for (chain, tally) in sample.tally.chains() {
        for (kind, tally) in &tally.kinds {
            let at = tally.last_at.and_then(|at| i64::try_from(at).ok());
            let labels = vec![chain.to_string(), (*kind).to_owned()];
            rows.extend(at.map(|at| Row(labels, Value::Number(at))));
        }
    }
    rows
}

fn key_faults(sample: &Sample) -> Vec<Row> {
    let faults = sample.status.chains.iter().filter_map(|chain| {
        let cause = chain.key_fault.as_ref()?.cause.clone();
        Some(Row(vec![chain.id.clone(), cause], Value::Number(1)))
    });
    faults.collect()
}
