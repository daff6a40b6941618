//! Settings from flags, variables, file and defaults, and what is printed for people and scripts, with
//! the real binary.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use assert_cmd::Command;

#[path = "support/ceremony.rs"]
mod ceremony;

use ceremony::{ADDRESS, Ceremony, Ended, VALCONS, and, cosigner, run, without};

const VALCONSPUB: &str = "cosmosvalconspub1zcjduepq";
const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";

/// With these variables, and no other of ours.
fn with_variables(variables: &[(&str, &str)], args: &[&str]) -> Ended {
    let mut command = Command::cargo_bin("cosigner").unwrap();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COSIGNER_")) {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).args(args);
    command.timeout(Duration::from_secs(60)).output().unwrap().into()
}

/// Key → value and origin.
fn shown(text: &str) -> BTreeMap<String, (String, String)> {
    let row = |line: &str| {
        let (key, rest) = line.split_once("  ").unwrap();
        let (value, origin) = rest.trim().rsplit_once("  ").unwrap();
        (key.to_owned(), (value.trim().to_owned(), origin.trim().to_owned()))
    };
    text.lines().map(row).collect()
}

#[test]
fn config_show_names_the_origin_of_every_setting() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    ceremony.edit(1, "cosigner.toml", "# give_up_after = \"3s\"", "give_up_after = \"3s\"");
    let home = ceremony.home(1).display().to_string();
    let variables = [
        ("COSIGNER_LOG_LEVEL", "debug"),
        ("COSIGNER_LOG_FORMAT", "json"),
        ("COSIGNER_HOME", &home),
    ];
    let args = ["config", "show", "--log-level", "warn", "--validator", "tcp://b:2,unix:///s"];
    let text = with_variables(&variables, &args).done();
    let shown = shown(&text);
    let is = |key: &str, value: &str, origin: &str| {
        let expected = (value.to_owned(), origin.to_owned());
        assert_eq!(shown.get(key), Some(&expected), "{key} in\n{text}");
    };
    is("home", &home, "COSIGNER_HOME");
    is("node.id", "1", "cosigner.toml");
    is("node.addresses", "{}", "default");
    is("log.level", "\"warn\"", "flag");
    is("log.format", "\"json\"", "COSIGNER_LOG_FORMAT");
    is("chain.\"test-chain-1\".give_up_after", "\"3s\"", "cosigner.toml");
    is("chain.\"test-chain-1\".privval_version", "\"v1\"", "default");
    is("chain.\"test-chain-1\".non_rp_extensions", "false", "default");
    is("chain.\"test-chain-1\".raw_bytes", "\"off\"", "default");
    is("chain.\"test-chain-1\".height_jump.most", "10000", "default");
    is("chain.\"test-chain-1\".bech32_prefix", "\"cosmos\"", "default");
    is("validator.\"test-chain-1\"", "\"unix:///s\"", "flag");
}

#[test]
fn config_check_says_what_it_found_good() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let text = ceremony.check(2).done();
    for says in [
        "is fit to start.",
        "cosigner 2 of 3, listens on 127.0.0.1:",
        "health, status and metrics off",
        "member 1 at 127.0.0.1:",
        "(this one)",
        "chain test-chain-1: 2-of-3, watermark 12345/2/3",
        ADDRESS,
        VALCONS,
        "validator tcp://127.0.0.1:26659 of chain test-chain-1",
    ] {
        assert!(text.contains(says), "no {says:?} in {text}");
    }
}

#[test]
fn a_variable_that_nothing_reads_is_warned_of() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let home = ceremony.home(1).display().to_string();
    let variables = [("COSIGNER_LOGLEVEL", "debug")];
    let says = "COSIGNER_LOGLEVEL is set, and nothing reads it: did you mean COSIGNER_LOG_LEVEL?";
    let args = ["config", "check", "--home", &home, "--ops-listen", ""];
    let checked = with_variables(&variables, &args);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    assert!(checked.stderr.contains(says), "{}", checked.stderr);
    let shown = with_variables(&variables, &["config", "show", "--home", &home]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stderr.contains(says), "{}", shown.stderr);
    assert!(!shown.stdout.contains("LOGLEVEL"), "{}", shown.stdout);
    // A start that is refused later has said so, too.
    std::fs::remove_file(ceremony.watermark(1)).unwrap();
    let started = with_variables(&variables, &["start", "--home", &home, "--ops-listen", ""]);
    started.refused(3, &["WARN", says]);
}

#[test]
fn an_empty_variable_counts_as_not_set_where_empty_means_nothing() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let home = ceremony.home(1).display().to_string();
    let empty = [
        "COSIGNER_HOME",
        "COSIGNER_VALIDATOR",
        "COSIGNER_OPS_LISTEN",
        "COSIGNER_LOG_LEVEL",
        "COSIGNER_LOG_FORMAT",
        "COSIGNER_PASSPHRASE_FILE",
        "COSIGNER_LOGLEVEL",
    ]
    .map(|name| (name, ""));
    let ended = with_variables(&empty, &["config", "show", "--home", &home]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let shown = shown(&ended.stdout);
    let is = |key: &str, value: &str, origin: &str| {
        let expected = (value.to_owned(), origin.to_owned());
        assert_eq!(shown.get(key), Some(&expected), "{key} in\n{}", ended.stdout);
    };
    is("ops.listen", "\"\"", "COSIGNER_OPS_LISTEN");
    is("validator.\"test-chain-1\"", "\"tcp://127.0.0.1:26659\"", "cosigner.toml");
    is("log.format", "\"text\"", "cosigner.toml");
    with_variables(&empty, &["config", "check", "--home", &home]).done();
    // It comes as far as what is wrong with the home.
    std::fs::remove_file(ceremony.watermark(1)).unwrap();
    with_variables(&empty, &["start", "--home", &home]).refused(3, &["watermark"]);
    // On the command line an empty value is a mistake.
    let flag = ["config", "show", "--home", &home, "--validator", ""];
    with_variables(&[], &flag)
        .refused(2, &["tcp://host:port, unix:///path/to/socket or noise://PEERID@ip:port"]);
}

#[test]
fn a_height_jump_below_nothing_is_refused_without_the_largest_number_there_is() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let jump = "[[chain]]\nheight_jump = { most = -1 }";
    ceremony.edit(1, "cosigner.toml", "[[chain]]", jump);
    let ended = ceremony.check(1);
    ended.refused(2, &["`most`", "`-1`", "a number, 0 or more"]);
    assert!(!ended.stderr.contains("9223"), "{}", ended.stderr);
}

#[test]
fn an_address_is_printed_in_every_form() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(0)).done();
    let home = ceremony.path("home");
    let address = |more: &[&str]| cosigner(&[&["address", "--home", &home], more].concat());
    let one = |format: &str| address(&["--format", format]).done();
    assert_eq!(one("hex"), format!("{ADDRESS}\n"));
    assert_eq!(one("valcons"), format!("{VALCONS}\n"));
    assert!(one("valconspub").starts_with(VALCONSPUB), "{}", one("valconspub"));
    let json =
        format!("{{\"@type\":\"/cosmos.crypto.ed25519.PubKey\",\"key\":\"{PUBLIC_KEY}\"}}\n");
    assert_eq!(one("json"), json);
    let comet = format!("{{\"type\":\"tendermint/PubKeyEd25519\",\"value\":\"{PUBLIC_KEY}\"}}\n");
    assert_eq!(one("comet"), comet);
    let all = address(&[]).done();
    assert_eq!(all, one("all"));
    assert!(all.ends_with(&json), "{all}");
    let osmo = address(&["--format", "valcons", "--prefix", "osmo"]).done();
    assert!(osmo.starts_with("osmovalcons1"), "{osmo}");
    address(&["--format", "bech64"]).refused(2, &["bech64"]);
    address(&["--prefix", "os mo"]).refused(2, &["lower-case"]);
}

#[test]
fn the_prefix_of_a_chain_is_asked_for_once_and_used_everywhere() {
    let ceremony = Ceremony::new();
    let args = and(without(ceremony.init_args(0), "--validator"), &["--bech32-prefix", "osmo"]);
    let report = run(&args).done();
    assert!(report.contains("osmovalcons1"), "{report}");
    let home = ceremony.path("home");
    let text = std::fs::read_to_string(format!("{home}/cosigner.toml")).unwrap();
    assert!(text.contains("\nbech32_prefix = \"osmo\""), "{text}");
    for args in [["address", "--home", &home].as_slice(), &["config", "check", "--home", &home]] {
        let args = if args[0] == "config" {
            [args, &["--ops-listen", ""]].concat()
        } else {
            args.to_vec()
        };
        let text = cosigner(&args).done();
        assert!(text.contains("osmovalcons1"), "{text}");
    }
    let report = run(&and(ceremony.args(), &["--bech32-prefix", "juno"])).done();
    assert!(report.contains("junovalcons1"), "{report}");
    let home = ceremony.home(3).display().to_string();
    assert!(cosigner(&["address", "--home", &home]).done().contains("junovalcons1"));
    let odd = and(without(ceremony.init_args(0), "--validator"), &["--bech32-prefix", "a b"]);
    run(&odd).refused(2, &["lower-case letters"]);
}

#[test]
fn completions_and_pages_are_printed() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(cosigner(&["completions", shell]).done().contains("split-key"), "{shell}");
    }
    cosigner(&["completions", "tcsh"]).refused(2, &["tcsh"]);
    assert!(cosigner(&["man"]).done().contains(".TH cosigner 1"));
    let ceremony = Ceremony::new();
    let out = ceremony.path("man1");
    assert!(cosigner(&["man", "--out", &out]).done().contains(&out));
    let page = std::fs::read_to_string(format!("{out}/cosigner-config-check.1")).unwrap();
    assert!(page.contains(".TH cosigner-config-check 1"), "{page}");
    // The process's own mask is 077.
    let deep = ceremony.path("share/man/man1");
    cosigner(&["man", "--out", &deep]).done();
    for name in ["man1", "share", "share/man", "share/man/man1", "share/man/man1/cosigner.1"] {
        let mode = std::fs::metadata(ceremony.path(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, if name.ends_with(".1") { 0o644 } else { 0o755 }, "{name}");
    }
}
