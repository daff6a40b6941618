//! `/metrics` and `/status` of real processes: the text parses, the counters add up to what was asked,
//! and docs/metrics.md names what is exported.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cosigner::ops::{Description, descriptions};
use serde_json::Value;
use support::asker::{Ask, Asker, Ending, KINDS, Kind};
use support::cluster::{CHAIN, Cluster, Shape};
use support::wait;

const PATIENCE: Duration = Duration::from_secs(60);
/// Counters are there as soon as the reply is; connections and links may take a moment.
const SOON: Duration = Duration::from_secs(20);

type Labels = BTreeMap<String, String>;

/// A scrape, read as strictly as the format is written.
struct Scrape {
    types: BTreeMap<String, String>,
    series: BTreeMap<(String, Labels), f64>,
}

impl Scrape {
    fn parse(text: &str) -> Self {
        let mut scrape = Self { types: BTreeMap::new(), series: BTreeMap::new() };
        let mut lines: Vec<&str> = text.strip_suffix('\n').unwrap().split('\n').collect();
        assert_eq!(lines.pop(), Some("# EOF"));
        let mut family = (String::new(), String::new());
        for line in lines {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').unwrap();
                assert!(!help.is_empty() && !scrape.types.contains_key(name), "{line}");
                family.0 = name.to_owned();
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                assert_eq!(name, family.0, "{line}");
                family.1 = kind.to_owned();
                scrape.types.insert(name.to_owned(), kind.to_owned());
            } else {
                let (name, labels, value) = sample(line);
                let suffixes: &[&str] = match family.1.as_str() {
                    "counter" => &["_total"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    "gauge" => &[""],
                    other => panic!("{other}: {line}"),
                };
                let ours = suffixes.iter().any(|suffix| name == format!("{}{suffix}", family.0));
                assert!(ours, "{line} stands under {family:?}");
                let twin = scrape.series.insert((name, labels), value);
                assert_eq!(twin, None, "{line} stands there twice");
            }
        }
        scrape
    }

    fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        self.series.get(&(name.to_owned(), labels.collect())).copied()
    }

    #[track_caller]
    fn is(&self, name: &str, labels: &[(&str, &str)], expected: f64) {
        assert_eq!(self.get(name, labels), Some(expected), "{name} {labels:?}");
    }

    /// The sum of all series with this name and these labels among theirs.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |found: &Labels| labels.iter().all(|(name, value)| found[*name] == *value);
        let series = self.series.iter().filter(|((found, all), _)| found == name && fits(all));
        series.map(|(_, value)| value).sum()
    }
}

/// `name{label="value",…} number`
fn sample(line: &str) -> (String, Labels, f64) {
    let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{line}");
    let mut labels = Labels::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, quoted) = rest.split_once("=\"").unwrap();
            let (value, after) = unescaped(quoted);
            assert_eq!(labels.insert(label.to_owned(), value), None, "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let number = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    (name.to_owned(), labels, number.parse().unwrap_or_else(|_| panic!("{line}")))
}

/// Up to the closing quote, and what stands behind it.
fn unescaped(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => match chars.next().unwrap().1 {
                'n' => value.push('\n'),
                escaped @ ('\\' | '"') => value.push(escaped),
                other => panic!("\\{other} in {text}"),
            },
            c => value.push(c),
        }
    }
    panic!("no end of {text}");
}

fn scrape(cluster: &Cluster, id: usize) -> Scrape {
    let answer = cluster.get(id, "/metrics").unwrap();
    assert_eq!(answer.status, 200, "{}", answer.body);
    Scrape::parse(&answer.body)
}

#[track_caller]
fn signs(asker: &mut Asker, ask: &Ask) {
    let ending = asker.ask(ask, PATIENCE);
    assert!(matches!(ending, Ending::Signed(_)), "{ending:?}");
}

/// As docs/metrics.md shows it.
fn table() -> String {
    let mut table = String::from("| metric | type | labels | what it says |\n|---|---|---|---|\n");
    for Description { name, kind, labels, help } in descriptions() {
        let total = if kind == "counter" { "_total" } else { "" };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let labels = if labels.is_empty() { "–".to_owned() } else { labels.join(", ") };
        writeln!(table, "| `{name}{total}` | {kind} | {labels} | {help} |").unwrap();
    }
    table
}

#[test]
fn the_page_about_metrics_names_what_is_exported() {
    let page = std::fs::read_to_string("docs/metrics.md").unwrap();
    let table = table();
    assert!(
        page.contains(&table),
        "docs/metrics.md does not have this table; paste it:\n\n{table}"
    );
    // Expressions, too, name metrics that there are.
    let known: BTreeSet<String> = descriptions()
        .flat_map(|it| {
            let name = it.name;
            ["", "_total", "_bucket"].map(|suffix| format!("{name}{suffix}"))
        })
        .collect();
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    for word in page.split(|c| !is_name(c)).filter(|word| word.starts_with("cosigner_")) {
        assert!(known.contains(word), "there is no metric {word}");
    }
}

#[test]
fn counters_of_a_node_alone_add_up_to_what_its_validator_asked() {
    let mut asker = Asker::listen();
    let odd = "unix:///nowhere/a\"b\\c";
    let shape = Shape::file(1).validator(1, asker.address()).validator(1, odd);
    let mut cluster = Cluster::new(shape);
    asker.verify_with(cluster.public_key());
    cluster.start_all();
    for height in [1, 2] {
        for kind in KINDS {
            signs(&mut asker, &Ask::new(kind, height, [3; 32]));
        }
    }
    let last = Ask::new(Kind::Precommit, 3, [3; 32]);
    signs(&mut asker, &last);
    signs(&mut asker, &last);
    let other = asker.ask(&Ask::new(Kind::Precommit, 3, [4; 32]), PATIENCE);
    assert!(matches!(other, Ending::Refused(_)), "{other:?}");
    let lower = asker.ask(&Ask::new(Kind::Prevote, 1, [4; 32]), PATIENCE);
    assert!(matches!(lower, Ending::Refused(_)), "{lower:?}");

    let scrape = scrape(&cluster, 1);
    let of = |kind, result| [("chain_id", CHAIN), ("kind", kind), ("result", result)];
    let requests = "cosigner_sign_requests_total";
    scrape.is(requests, &of("proposal", "signed"), 2.0);
    scrape.is(requests, &of("prevote", "signed"), 2.0);
    scrape.is(requests, &of("precommit", "signed"), 3.0);
    scrape.is(requests, &of("precommit", "repeated"), 1.0);
    scrape.is(requests, &of("precommit", "denied"), 1.0);
    scrape.is(requests, &of("prevote", "denied"), 1.0);
    assert!((scrape.sum(requests, &[]) - 10.0).abs() < 1e-9, "{}", scrape.sum(requests, &[]));
    let denied = |reason| [("chain_id", CHAIN), ("reason", reason)];
    scrape.is("cosigner_sign_denied_total", &denied("conflicting_data"), 1.0);
    scrape.is("cosigner_sign_denied_total", &denied("height_regression"), 1.0);
    scrape.is("cosigner_sign_denied_total", &denied("height_jump"), 0.0);
    let took = |kind| [("chain_id", CHAIN), ("kind", kind), ("phase", "total")];
    scrape.is("cosigner_sign_duration_seconds_count", &took("precommit"), 3.0);
    let slowest = [took("precommit").as_slice(), &[("le", "+Inf")]].concat();
    scrape.is("cosigner_sign_duration_seconds_bucket", &slowest, 3.0);
    assert!(scrape.get("cosigner_sign_duration_seconds_sum", &took("precommit")).unwrap() > 0.0);
    let chain = [("chain_id", CHAIN)];
    // A write for each new step, none for repeats and denials.
    scrape.is("cosigner_floor_persist_seconds_count", &chain, 7.0);
    scrape.is("cosigner_floor_height", &chain, 3.0);
    scrape.is("cosigner_floor_step", &chain, 3.0);
    scrape.is("cosigner_signed_height", &chain, 3.0);
    scrape.is("cosigner_key_ready", &chain, 1.0);
    scrape.is("cosigner_validators_connected", &chain, 1.0);
    scrape.is("cosigner_ready", &[], 1.0);
    scrape.is("cosigner_role", &[("role", "single")], 1.0);
    scrape.is("cosigner_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let started = scrape.get("cosigner_start_timestamp_seconds", &[]).unwrap();
    assert!((0.0..300.0).contains(&(now - started)), "{started} is not before {now}");
    let at = [("chain_id", CHAIN), ("kind", "precommit")];
    let signed = scrape.get("cosigner_last_signed_timestamp_seconds", &at).unwrap();
    assert!((started.floor()..=now).contains(&signed), "{signed}");
    // What an operator writes into the settings comes out as it is.
    scrape.is("cosigner_validator_connected", &[("chain_id", CHAIN), ("addr", odd)], 0.0);
    let validator = [("chain_id", CHAIN), ("addr", &*asker.address())];
    scrape.is("cosigner_validator_connects_total", &validator, 1.0);
    scrape.is("cosigner_validator_losses_total", &validator, 0.0);

    let exported: BTreeMap<String, String> =
        descriptions().map(|it| (it.name.to_owned(), it.kind.to_owned())).collect();
    assert_eq!(scrape.types, exported);
    status_has_every_field(&cluster.status(1), &["/chains/0/last_signed/at"]);
    cluster.terminate(1);
}

#[test]
fn members_of_a_cluster_show_each_other_and_how_long_each_phase_took() {
    let mut asker = Asker::listen();
    let shape = Shape::new(2, 3).validator_of_all(&asker.address());
    let mut cluster = Cluster::new(shape);
    asker.verify_with(cluster.public_key());
    cluster.start_all();
    let leader = cluster.wait_leader();
    for height in 1..=5 {
        for kind in KINDS {
            signs(&mut asker, &Ask::new(kind, height, [3; 32]));
        }
    }
    wait::until(
        SOON,
        || "all members with links and round trips".to_owned(),
        || {
            cluster.ids().into_iter().all(|id| {
                let scrape = scrape(&cluster, id);
                let others = cluster.ids().into_iter().filter(|other| *other != id);
                others.into_iter().all(|other| {
                    let peer = other.to_string();
                    let peer = [("peer", peer.as_str())];
                    scrape.get("cosigner_peer_up", &peer) == Some(1.0)
                        && scrape.get("cosigner_peer_rtt_seconds", &peer) > Some(0.0)
                })
            })
        },
    );
    let mut signed = 0.0;
    for id in cluster.ids() {
        let scrape = scrape(&cluster, id);
        let is_leader = if id == leader { 1.0 } else { 0.0 };
        scrape.is("cosigner_raft_is_leader", &[], is_leader);
        scrape.is("cosigner_role", &[("role", "leader")], is_leader);
        #[expect(clippy::cast_precision_loss, reason = "a member's number")]
        scrape.is("cosigner_raft_leader", &[], leader as f64);
        assert!(scrape.get("cosigner_raft_term", &[]) > Some(0.0));
        scrape.is("cosigner_members_connected", &[], 3.0);
        assert!(scrape.get("cosigner_nonces_ready", &[("chain_id", CHAIN)]).is_some());
        assert!(scrape.get("cosigner_key_ready", &[("chain_id", CHAIN)]).is_none());
        let own = id.to_string();
        assert_eq!(scrape.get("cosigner_peer_up", &[("peer", own.as_str())]), None);
        let here = scrape.sum("cosigner_sign_requests_total", &[("result", "signed")]);
        let phase = |phase| scrape.sum("cosigner_sign_duration_seconds_count", &[("phase", phase)]);
        assert!((phase("total") - here).abs() < 1e-9, "{} {here}", phase("total"));
        // Known where the request was coordinated.
        assert!(phase("shares") <= here && phase("order") <= here);
        assert!(id != leader || here == 0.0 || phase("shares") > 0.0);
        scrape.is("cosigner_peer_bad_shares_total", &[("peer", other_than(id))], 0.0);
        signed += here;
    }
    assert!((signed - 15.0).abs() < 1e-9, "{signed}");
    let other = if leader == 1 { "/members/1/rtt_ms" } else { "/members/0/rtt_ms" };
    status_has_every_field(
        &cluster.status(leader),
        &[
            "/leader_addr",
            "/members/0/address",
            "/members/2/connected",
            other,
            "/chains/0/nonces_ready",
        ],
    );
    for id in cluster.ids() {
        cluster.terminate(id);
    }
}

fn other_than(id: usize) -> &'static str {
    if id == 1 { "2" } else { "1" }
}

/// What scripts rely on; `more` are the fields that this kind of node must have a value for.
fn status_has_every_field(status: &Value, more: &[&str]) {
    let always = [
        "/version",
        "/node_id",
        "/role",
        "/leader_id",
        "/term",
        "/is_leader",
        "/ready",
        "/not_ready",
        "/members",
        "/chains/0/id",
        "/chains/0/backend",
        "/chains/0/public_key",
        "/chains/0/address",
        "/chains/0/threshold",
        "/chains/0/members",
        "/chains/0/watermark/height",
        "/chains/0/watermark/round",
        "/chains/0/watermark/step",
        "/chains/0/counts/signed",
        "/chains/0/counts/repeated",
        "/chains/0/counts/denied",
        "/chains/0/counts/failed",
        "/validators/0/chain_id",
        "/validators/0/address",
        "/validators/0/connected",
        "/last_sign_state/height",
        "/last_sign_state/round",
        "/last_sign_state/step",
    ];
    for path in always.iter().chain(more) {
        let found = status.pointer(path);
        assert!(found.is_some_and(|found| !found.is_null()), "no {path} in {status:#}");
    }
    // Perhaps without a value, but there.
    for (place, name) in [
        ("", "leader_addr"),
        ("/chains/0", "ceiling"),
        ("/chains/0", "last_signed"),
        ("/chains/0", "nonces_ready"),
        ("/validators/0", "since"),
    ] {
        let table = status.pointer(place).unwrap().as_object().unwrap();
        assert!(table.contains_key(name), "no {name} in {table:?}");
    }
    assert!(status["chains"][0]["watermark"]["height"].is_i64(), "{status:#}");
}

#[test]
fn a_scrape_says_what_it_is() {
    let mut cluster = Cluster::new(Shape::file(1));
    cluster.start_all();
    let ops: SocketAddr = std::fs::read_to_string(cluster.home(1).join("cosigner.toml"))
        .unwrap()
        .parse::<toml::Table>()
        .unwrap()["ops"]["listen"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let mut stream = TcpStream::connect(ops).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    let expected = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.to_lowercase().lines().any(|line| line == expected), "{head}");
    cluster.terminate(1);
}
