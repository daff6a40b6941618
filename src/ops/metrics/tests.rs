use std::time::{Duration, Instant};

use super::*;
use crate::ops::status::{
    ChainStatus, Counts, LastSigned, RawCounts, ValidatorStatus, WatermarkStatus,
};

fn status(chain: &str, validator: &str) -> Status {
    Status {
        version: "1.2.3".to_owned(),
        node_id: 1,
        role: "single".to_owned(),
        leader_id: Some(1),
        term: 0,
        is_leader: true,
        leader_addr: None,
        ready: false,
        not_ready: vec!["no_validator".to_owned()],
        members: vec![],
        chains: vec![ChainStatus {
            id: chain.to_owned(),
            backend: "file".to_owned(),
            public_key: String::new(),
            address: String::new(),
            valcons: String::new(),
            threshold: 1,
            members: 1,
            watermark: Some(WatermarkStatus { height: 9_007_199_254_740_993, round: 2, step: 3 }),
            ceiling: None,
            last_signed: Some(LastSigned {
                height: 7,
                round: 1,
                step: 2,
                kind: "prevote".to_owned(),
                at: 5,
            }),
            last_denied: None,
            counts: Counts::default(),
            raw: RawCounts::default(),
            nonces_ready: None,
            key_fault: None,
        }],
        validators: vec![ValidatorStatus {
            chain_id: chain.to_owned(),
            address: validator.to_owned(),
            connected: false,
            state: "dialling".to_owned(),
            since: None,
            connects: 3,
            losses: 3,
            lines_left_out: 12,
        }],
        service: None,
        last_sign_state: None,
        raft_applied: None,
    }
}

fn sample(chain: &str, validator: &str) -> Sample {
    let id = ChainId::new(chain).unwrap();
    let mut took = Durations::default();
    took.observe(Duration::from_millis(3));
    Sample {
        status: status(chain, validator),
        tally: Tally::new([&id], &["height_jump"]),
        started: UnixMillis(1_500),
        writes: BTreeMap::from([(id, took)]),
    }
}

#[test]
fn every_metric_is_in_the_text_with_its_type_and_its_unit_in_the_name() {
    let text = render(sample("c", "unix:///s")).unwrap();
    for Description { name, kind, help, .. } in descriptions() {
        assert!(text.contains(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")), "{name}");
        assert!(name.starts_with("cosigner_") && !name.ends_with("_total"), "{name}");
        assert!(kind != "histogram" || name.ends_with("_seconds"), "{name}");
        assert!(!help.contains(['\n', '\\']) && !help.ends_with('.'), "{name}");
    }
    assert!(text.ends_with("# EOF\n"), "{text}");
}

#[test]
fn series_say_what_status_and_tally_say() {
    let text = render(sample("c", "unix:///s")).unwrap();
    for line in [
        "cosigner_build_info{version=\"1.2.3\"} 1",
        "cosigner_start_timestamp_seconds 1.5",
        "cosigner_ready 0",
        "cosigner_ready_state{state=\"no_validator\"} 1",
        "cosigner_ready_state{state=\"no_quorum\"} 0",
        "cosigner_sign_requests_total{chain_id=\"c\",kind=\"precommit\",result=\"denied\"} 0",
        "cosigner_sign_denied_total{chain_id=\"c\",reason=\"height_jump\"} 0",
        // A height is exact beyond what a float holds.
        "cosigner_floor_height{chain_id=\"c\"} 9007199254740993",
        "cosigner_floor_step{chain_id=\"c\"} 3",
        "cosigner_signed_height{chain_id=\"c\"} 7",
        "cosigner_floor_persist_seconds_bucket{le=\"0.0025\",chain_id=\"c\"} 0",
        "cosigner_floor_persist_seconds_bucket{le=\"0.005\",chain_id=\"c\"} 1",
        "cosigner_floor_persist_seconds_bucket{le=\"+Inf\",chain_id=\"c\"} 1",
        "cosigner_floor_persist_seconds_count{chain_id=\"c\"} 1",
        "cosigner_key_ready{chain_id=\"c\"} 1",
        "cosigner_role{role=\"single\"} 1",
        "cosigner_validator_losses_total{chain_id=\"c\",addr=\"unix:///s\"} 3",
        "cosigner_log_lines_left_out_total{chain_id=\"c\",addr=\"unix:///s\"} 12",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
    // A node alone has no Raft, and no ceiling is set.
    assert!(
        !text.contains("\ncosigner_raft_term ") && !text.contains("\ncosigner_ceiling_height{")
    );
}

#[test]
fn labels_are_escaped() {
    let text = render(sample("a\"b\\c", "unix:///run/a\n\"b")).unwrap();
    let line = r#"cosigner_validator_connected{chain_id="a\"b\\c",addr="unix:///run/a\n\"b"} 0"#;
    assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
}

#[test]
fn what_is_answered_is_counted_by_kind_result_and_reason() {
    use crate::signing::{Account, Reply, Verdict};
    use crate::types::{Height, Hrs, MemberId, Round, Step};

    let chain = ChainId::new("c").unwrap();
    let mut tally = Tally::new([&chain], &["height_jump"]);
    let received = Instant::now();
    let id = |number| MemberId::new(number).unwrap();
    let reply = |verdict, sets| Reply {
        ticket: 0,
        verdict,
        account: Account {
            chain: chain.clone(),
            kind: crate::privval::Kind::Prevote,
            hrs: Hrs {
                height: Height::new(5).unwrap(),
                round: Round::new(0).unwrap(),
                step: Step::Prevote,
            },
            block: String::new(),
            received,
            ordered: None,
            settled: None,
            signers: vec![],
            sets,
            culprits: vec![id(2)],
        },
        coordinator: id(1),
    };
    for _ in 0..3 {
        tally.count(&reply(Verdict::NotNow("no".to_owned()), 3), received);
    }
    tally.count(&reply(Verdict::GivenUp("no".to_owned()), 0), received);
    let text = render(Sample { tally, ..sample("c", "unix:///s") }).unwrap();
    for line in [
        "cosigner_sign_requests_total{chain_id=\"c\",kind=\"prevote\",result=\"failed\"} 4",
        "cosigner_sign_requests_total{chain_id=\"c\",kind=\"prevote\",result=\"signed\"} 0",
        "cosigner_hedged_sets_total{chain_id=\"c\"} 6",
        "cosigner_sign_duration_seconds_count{chain_id=\"c\",kind=\"prevote\",phase=\"total\"} 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
    }
}
