//! `init` as an operator meets it: the real binary, real directories, a key file.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cosigner::config::{Home, LoadedKey, Overrides, load};
use cosigner::types::ChainId;
use serde_json::Value;

#[path = "support/ceremony.rs"]
mod ceremony;

use ceremony::{
    ADDRESS, CHAIN, Ceremony, Ended, VALCONS, and, cosigner, modes, run, with, without,
};

const PUBLIC_KEY: &str = "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=";
const OTHER_KEY: &str = "CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=";

fn home(ceremony: &Ceremony) -> Home {
    Home::new(Path::new(&ceremony.path("home")))
}

/// A command on the home of a node alone.
fn at_home(ceremony: &Ceremony, args: &[&str]) -> Ended {
    cosigner(&[args, &["--home", &ceremony.path("home")]].concat())
}

fn check(ceremony: &Ceremony) -> Ended {
    at_home(ceremony, &["config", "check", "--ops-listen", ""])
}

fn names(path: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(path).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[track_caller]
fn private(path: &Path, at_least: usize) {
    let found = modes(path);
    assert!(found.len() >= at_least, "{found:?}");
    for (path, directory, mode) in found {
        let expected = if directory { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
}

#[test]
fn makes_the_home_of_a_node_alone_that_is_fit_to_start_as_it_is() {
    let ceremony = Ceremony::new();
    let report = run(&ceremony.init_args(0)).done();
    for says in [ADDRESS, VALCONS, PUBLIC_KEY, "12345/2/3", "signs alone", "Stop whatever signs"] {
        assert!(report.contains(says), "no {says} in {report}");
    }
    let inside = ["cosigner.toml", "identity.json", "state"];
    assert_eq!(names(home(&ceremony).root()), inside.map(str::to_owned).into());
    assert_eq!(names(&home(&ceremony).state()), ["watermarks".to_owned()].into());
    private(home(&ceremony).root(), 4);
    let summary = check(&ceremony).done();
    for says in ["signs alone", "whole key (file) can be used", "watermark 12345/2/3"] {
        assert!(summary.contains(says), "no {says} in {summary}");
    }
    private(home(&ceremony).root(), 5);
    let address = at_home(&ceremony, &["address"]).done();
    assert!(address.contains(VALCONS) && address.contains(PUBLIC_KEY), "{address}");
    let shown = at_home(&ceremony, &["config", "show"]).done();
    let key = format!("{{ backend = \"file\", path = \"{}\" }}", ceremony.path("key.json"));
    assert!(shown.contains(&key) && shown.contains(PUBLIC_KEY), "{shown}");
    let shown: Value =
        serde_json::from_str(&at_home(&ceremony, &["state", "show", "--json"]).done()).unwrap();
    assert_eq!(shown[0]["chain_id"], CHAIN);
    assert_eq!(shown[0]["address"], ADDRESS);
    assert_eq!(shown[0]["watermark"]["height"], 12345);
}

#[test]
fn makes_a_home_for_each_member_of_a_cluster_around_one_key() {
    let ceremony = Ceremony::new();
    let report = run(&ceremony.init_args(3)).done();
    for says in
        [ADDRESS, PUBLIC_KEY, "2 of 3 cosigners agree", "1 may be down", "The key is whole", "0600"]
    {
        assert!(report.contains(says), "no {says} in {report}");
    }
    assert_eq!(names(Path::new(&ceremony.path("out"))).len(), 3, "nothing but the homes is left");
    private(Path::new(&ceremony.path("out")), 30);
    let lists: BTreeSet<String> = (1..=3)
        .map(|id| fs::read_to_string(ceremony.home(id).join("cluster.toml")).unwrap())
        .collect();
    assert_eq!(lists.len(), 1, "the member list is the same everywhere");
    assert!(!lists.first().unwrap().contains("verifying_shares"));
    for id in 1..=3 {
        let summary = ceremony.check(id).done();
        for says in [&format!("cosigner {id} of 3"), "can be used, 2 of 3 must agree", "12345/2/3"]
        {
            assert!(summary.contains(says), "no {says} in {summary}");
        }
        assert!(ceremony.state(id, &["show"]).done().contains("watermark 12345/2/3"));
        let home = ceremony.home(id).display().to_string();
        assert!(cosigner(&["address", "--home", &home]).done().contains(VALCONS));
    }
}

#[test]
fn a_member_of_a_cluster_loads_with_the_grants_of_a_majority() {
    for (cosigners, needed) in [(2, 2), (3, 2)] {
        let ceremony = Ceremony::new();
        run(&ceremony.init_args(cosigners)).done();
        let loaded = load(&Home::new(&ceremony.home(1)), &Overrides::default()).unwrap();
        let chain = &loaded.chains[&ChainId::new(CHAIN).unwrap()];
        let LoadedKey::Whole { grants, .. } = &chain.key else { panic!("a share") };
        assert_eq!((grants.t(), usize::from(grants.n())), (needed, cosigners));
        assert_eq!(loaded.membership.unwrap().cluster.members().len(), cosigners);
    }
}

#[test]
fn the_key_is_nowhere_in_what_it_writes() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(0)).done();
    run(&ceremony.init_args(3)).done();
    let seed: Vec<u8> = (0..32).collect();
    for root in ["home", "out"] {
        for (path, directory, _) in modes(Path::new(&ceremony.path(root))) {
            let bytes = if directory { Vec::new() } else { fs::read(&path).unwrap() };
            assert!(!bytes.windows(32).any(|window| window == seed), "{}", path.display());
        }
    }
}

#[test]
fn a_key_file_inside_the_home_is_named_without_it() {
    let ceremony = Ceremony::new();
    fs::create_dir(ceremony.path("home")).unwrap();
    fs::copy(ceremony.path("key.json"), ceremony.path("home/key.json")).unwrap();
    run(&with(ceremony.init_args(0), "--path", &ceremony.path("home/key.json"))).done();
    let text = fs::read_to_string(home(&ceremony).cosigner_toml()).unwrap();
    assert!(text.contains("path = \"key.json\""), "{text}");
    fs::rename(ceremony.path("home"), ceremony.path("moved")).unwrap();
    cosigner(&["config", "check", "--ops-listen", "", "--home", &ceremony.path("moved")]).done();
}

#[test]
fn begins_where_it_is_told_and_only_there() {
    let ceremony = Ceremony::new();
    let bare = without(ceremony.init_args(0), "--state-file");
    run(&bare).refused(2, &["--state-file", "--state-height", "--never-signed"]);
    run(&and(ceremony.init_args(0), &["--never-signed"])).refused(2, &["cannot be used with"]);
    run(&and(ceremony.init_args(0), &["--state-height", "5"])).refused(2, &["cannot be used with"]);
    run(&and(bare.clone(), &["--state-height", "0"])).refused(2, &["a number from 1"]);
    ceremony.nothing_written();
    let report = run(&and(bare.clone(), &["--state-height", "777"])).done();
    assert!(report.contains("777: nothing at or below"), "{report}");
    assert!(check(&ceremony).done().contains("watermark 777/max"));
    fs::remove_dir_all(ceremony.path("home")).unwrap();
    assert!(run(&and(bare, &["--never-signed"])).done().contains("never signed"));
    assert!(check(&ceremony).done().contains("never signed"));
}

#[test]
fn refuses_state_files_that_are_wrong_empty_or_of_another_chain() {
    let ceremony = Ceremony::new();
    // A precommit of test-chain-1 at 12345/2/3, made by CometBFT v0.38.25.
    let bytes = format!(
        "76080211393000000000000019020000000000000022480A20{}122408071220{}\
         2A0808A5FACDAC061006320C746573742D636861696E2D31",
        "AA".repeat(32),
        "BB".repeat(32)
    );
    let signed = format!(r#"{{"height":"12345","round":2,"step":3,"signbytes":"{bytes}"}}"#);
    ceremony.write("signed.json", &signed);
    let args = with(ceremony.init_args(0), "--state-file", &ceremony.path("signed.json"));
    let other = with(args.clone(), "--chain-id", "other-1");
    run(&other).refused(2, &["--state-file", "of chain test-chain-1, not of other-1"]);
    for (text, says) in [
        ("{}", "not a priv_validator_state.json"),
        (r#"{"height":"0","round":0,"step":0}"#, "--never-signed"),
    ] {
        ceremony.write("bad.json", text);
        let args = with(ceremony.init_args(0), "--state-file", &ceremony.path("bad.json"));
        run(&args).refused(2, &["--state-file", says]);
    }
    ceremony.nothing_written();
    run(&args).done();
}

#[test]
fn never_overwrites_what_a_home_has() {
    let ceremony = Ceremony::new();
    for (name, directory) in
        [("cosigner.toml", false), ("cluster.toml", false), ("state", true), ("keys", true)]
    {
        let path = ceremony.root.path().join("home").join(name);
        fs::create_dir_all(if directory { &path } else { path.parent().unwrap() }).unwrap();
        if !directory {
            fs::write(&path, "theirs").unwrap();
        }
        run(&ceremony.init_args(0)).refused(3, &[name, "never overwritten", "--home"]);
        assert_eq!(names(home(&ceremony).root()), [name.to_owned()].into());
        fs::remove_dir_all(ceremony.path("home")).unwrap();
    }
    run(&ceremony.init_args(0)).done();
    let before = fs::read(home(&ceremony).cosigner_toml()).unwrap();
    run(&ceremony.init_args(0)).refused(3, &["cosigner.toml", "never overwritten"]);
    assert_eq!(fs::read(home(&ceremony).cosigner_toml()).unwrap(), before);
    fs::create_dir_all(ceremony.home(9)).unwrap();
    run(&ceremony.init_args(2)).refused(3, &["cosigner-9", "never overwritten", "--out"]);
    assert_eq!(names(Path::new(&ceremony.path("out"))), ["cosigner-9".to_owned()].into());
}

#[test]
fn refuses_one_cosigner_too_many_and_two_at_one_place() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(1)).refused(2, &["leave it out", "three go on signing", "even number"]);
    let many: Vec<String> =
        (0..16).flat_map(|n| ["--cosigner".to_owned(), format!("10.0.0.{}:2222", n + 1)]).collect();
    run(&[ceremony.init_args(0), many].concat()).refused(2, &["16", "15"]);
    let twice = ceremony.address(0);
    let args = and(ceremony.init_args(2), &["--cosigner", &twice]);
    run(&args).refused(2, &[&twice, "named twice"]);
    let args = and(ceremony.init_args(0), &["--validator", "tcp://127.0.0.1:26659"]);
    run(&args).refused(2, &["--validator", "named twice"]);
    run(&and(ceremony.init_args(0), &["--out", "x"])).refused(2, &["--out", "--home"]);
    ceremony.nothing_written();
}

#[test]
fn an_even_number_of_cosigners_says_what_it_survives() {
    let ceremony = Ceremony::new();
    let report = run(&ceremony.init_args(2)).done();
    assert!(report.contains("2 of 2 cosigners agree"), "{report}");
    assert!(report.contains("none may be down"), "{report}");
}

#[test]
fn refuses_flags_of_another_backend_by_name() {
    let ceremony = Ceremony::new();
    for (flag, value) in [
        ("--module", "/m.so"),
        ("--token-label", "t"),
        ("--slot", "1"),
        ("--key-label", "k"),
        ("--key-id", "01"),
        ("--pin-env", "PIN"),
        ("--pin-file", "/pin"),
        ("--region", "us-east-1"),
        ("--profile", "p"),
        ("--endpoint", "https://a"),
    ] {
        let args = and(ceremony.init_args(0), &[flag, value]);
        run(&args).refused(2, &["the backend file has no", flag, "it takes --path"]);
    }
    for backend in ["pkcs11", "awskms"] {
        let args = with(ceremony.init_args(0), "--backend", backend);
        run(&args).refused(2, &[backend, "has no --path"]);
    }
    ceremony.nothing_written();
}

#[test]
fn refuses_backends_that_do_not_exist_and_fields_that_are_missing_or_wrong() {
    let ceremony = Ceremony::new();
    let backend = |name: &str| with(ceremony.init_args(0), "--backend", name);
    run(&backend("vault")).refused(2, &["vault", "file, pkcs11 and awskms"]);
    let bare = |name: &str| without(backend(name), "--path");
    run(&bare("threshold")).refused(2, &["split-key"]);
    run(&bare("file")).refused(2, &["needs --path"]);
    run(&bare("awskms")).refused(2, &["needs --key-id"]);
    run(&bare("pkcs11")).refused(2, &["needs --module"]);
    let token = and(bare("pkcs11"), &["--module", "/m.so"]);
    run(&token).refused(2, &["exactly one of --token-label and --slot", "found none"]);
    let token = and(token, &["--slot", "0"]);
    run(&token).refused(2, &["needs --key-label or --key-id"]);
    let token = and(token, &["--key-label", "k"]);
    run(&token).refused(2, &["exactly one of --pin-env and --pin-file", "found none"]);
    let both = and(token.clone(), &["--pin-env", "A", "--pin-file", "b"]);
    run(&both).refused(2, &["found --pin-env and --pin-file"]);
    let refused = run(&and(token.clone(), &["--pin-env", "98765"]));
    refused.refused(2, &["--pin-env", "names an environment variable"]);
    assert!(!refused.stderr.contains("98765"), "{}", refused.stderr);
    run(&and(token, &["--pin", "98765"])).refused(2, &["--pin"]);
    let plain = and(bare("awskms"), &["--key-id", "k", "--endpoint", "http://kms.example"]);
    run(&plain).refused(2, &["--endpoint", "not encrypted"]);
    run(&with(ceremony.init_args(0), "--path", "")).refused(2, &["--path is empty"]);
    ceremony.nothing_written();
}

#[test]
fn refuses_another_key_than_was_named() {
    let ceremony = Ceremony::new();
    let named = |key: &str| and(ceremony.init_args(0), &["--public-key", key]);
    let refused = run(&named(OTHER_KEY));
    refused.refused(3, &[]);
    run(&named("CQkJ")).refused(2, &["--public-key", "has 32 bytes, not 3"]);
    ceremony.nothing_written();
    run(&named(PUBLIC_KEY)).done();
    let path = home(&ceremony).cosigner_toml();
    let text = fs::read_to_string(&path).unwrap().replace(PUBLIC_KEY, OTHER_KEY);
    fs::write(&path, text).unwrap();
    // Another key than the pinned one is never used.
    check(&ceremony).refused(3, &[CHAIN]);
}

#[test]
fn refuses_a_key_file_that_is_none() {
    let ceremony = Ceremony::new();
    ceremony.write("bad.json", "{}");
    for name in ["bad.json", "absent.json"] {
        let refused = run(&with(ceremony.init_args(0), "--path", &ceremony.path(name)));
        assert_ne!(refused.code, 0);
        let refused = run(&with(ceremony.init_args(3), "--path", &ceremony.path(name)));
        assert_ne!(refused.code, 0);
    }
    ceremony.nothing_written();
}

#[test]
fn leaves_nothing_where_it_cannot_write() {
    let ceremony = Ceremony::new();
    let below = ceremony.path("state.json/home");
    assert_eq!(run(&with(ceremony.init_args(0), "--home", &below)).code, 1);
    let below = ceremony.path("state.json/out");
    assert_eq!(run(&with(ceremony.init_args(2), "--out", &below)).code, 1);
    ceremony.nothing_written();
}

#[test]
fn a_member_that_lost_its_node_table_is_not_a_node_alone() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(3)).done();
    let path = ceremony.home(1).join("cosigner.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once("[node]").unwrap();
    let (_, after) = rest.split_once("[ops]").unwrap();
    fs::write(&path, format!("{before}[ops]{after}")).unwrap();
    let says = ["has no [node]", "member of a cluster", "--state-height"];
    ceremony.check(1).refused(2, &says);
    ceremony.start(1, &[]).refused(2, &says);
    // Nor when the member list is gone, too: what it signed alone could contradict the others.
    fs::remove_file(ceremony.home(1).join("cluster.toml")).unwrap();
    ceremony.start(1, &[]).refused(2, &says);
    fs::remove_dir_all(ceremony.home(1).join("keys")).unwrap();
    ceremony.start(1, &[]).refused(2, &says);
}

#[test]
fn a_member_with_a_share_does_not_take_the_key_for_whole() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let path = ceremony.home(1).join("cluster.toml");
    let mut list: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    let key = list["key"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    for of_shares in ["threshold", "generation", "verifying_shares"] {
        key.remove(of_shares);
    }
    fs::write(&path, toml::to_string(&list).unwrap()).unwrap();
    let whole = format!("backend = \"file\", path = \"{}\"", ceremony.path("key.json"));
    ceremony.edit(1, "cosigner.toml", "backend = \"threshold\"", &whole);
    ceremony.check(1).refused(3, &["holds a share", CHAIN, "put cluster.toml back"]);
}

#[test]
fn two_nodes_alone_do_not_use_one_key_file() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(0)).done();
    run(&with(ceremony.init_args(0), "--home", &ceremony.path("second"))).done();
    let loaded = load(&home(&ceremony), &Overrides::default()).unwrap();
    let path = ceremony.path("second");
    let second = ["config", "check", "--ops-listen", "", "--home", path.as_str()];
    cosigner(&second).refused(3, &["key.json", "another cosigner on this machine"]);
    drop(loaded);
    cosigner(&second).done();
}

#[test]
fn two_chains_of_a_node_alone_do_not_use_one_key_file_but_each_its_own() {
    let ceremony = Ceremony::new();
    let report = run(&ceremony.init_args(0)).done();
    assert!(report.contains("nothing below is signed\n"), "nobody else is there: {report}");
    let file = home(&ceremony).cosigner_toml();
    let first = fs::read_to_string(&file).unwrap();
    let second = |path: &str| {
        let path = ceremony.path(path);
        format!(
            "{first}\n[[chain]]\nid = \"second-1\"\npublic_key = \"{PUBLIC_KEY}\"\n\
             key = {{ backend = \"file\", path = \"{path}\" }}\n"
        )
    };
    let refused = [
        "chain second-1: ",
        "chain test-chain-1 of this home has this key file already",
        "give chain second-1 a key of its own",
    ];
    std::os::unix::fs::symlink(ceremony.path("key.json"), ceremony.path("soft.json")).unwrap();
    fs::hard_link(ceremony.path("key.json"), ceremony.path("hard.json")).unwrap();
    fs::write(&file, second("key.json")).unwrap();
    at_home(&ceremony, &["state", "init", "--chain-id", "second-1", "--never-signed"]).done();
    for path in ["key.json", "soft.json", "hard.json"] {
        fs::write(&file, second(path)).unwrap();
        let ended = check(&ceremony);
        ended.refused(3, &refused);
        assert!(!ended.stderr.contains("another cosigner"), "{}", ended.stderr);
    }
    // Not there yet, it would be found out when it comes, by which one is faster.
    fs::rename(ceremony.path("key.json"), ceremony.path("away.json")).unwrap();
    fs::write(&file, second("key.json")).unwrap();
    check(&ceremony).refused(3, &refused);
    fs::rename(ceremony.path("away.json"), ceremony.path("key.json")).unwrap();
    // The chain id is in the sign bytes, so another file is the operator's decision.
    fs::copy(ceremony.path("key.json"), ceremony.path("own.json")).unwrap();
    fs::write(&file, second("own.json")).unwrap();
    check(&ceremony).done();
}

#[test]
fn a_key_file_that_is_not_there_is_waited_for_if_its_public_key_is_given() {
    let ceremony = Ceremony::new();
    let away = |cosigners| with(ceremony.init_args(cosigners), "--path", &ceremony.path("later"));
    let says = ["later: not found", "or correct --path", "With --public-key"];
    for cosigners in [0, 3] {
        let ended = run(&away(cosigners));
        ended.refused(2, &says);
        assert!(!ended.stderr.contains("cosigner.toml"), "{}", ended.stderr);
        ceremony.nothing_written();
    }
    for cosigners in [0, 3] {
        let made = run(&and(away(cosigners), &["--public-key", PUBLIC_KEY]));
        assert_eq!(made.code, 0, "{}", made.stderr);
        for says in ["warning: ", "later: not found", "The public key is the one that you gave"] {
            assert!(made.stderr.contains(says), "no {says} in {}", made.stderr);
        }
        assert!(made.stdout.contains(ADDRESS), "{}", made.stdout);
    }
    check(&ceremony).refused(1, &["later: not found"]);
    ceremony.write("later", &ceremony::key_file().replace(PUBLIC_KEY, OTHER_KEY));
    check(&ceremony).refused(2, &["later"]);
    ceremony.write("later", &ceremony::key_file());
    check(&ceremony).done();
}

#[test]
fn another_key_is_told_in_base64_as_everywhere() {
    let ceremony = Ceremony::new();
    let other = and(ceremony.init_args(0), &["--public-key", OTHER_KEY]);
    run(&other).refused(3, &["holds another key", PUBLIC_KEY, OTHER_KEY]);
    run(&ceremony.init_args(0)).done();
    let path = home(&ceremony).cosigner_toml();
    let text = fs::read_to_string(&path).unwrap().replace(PUBLIC_KEY, OTHER_KEY);
    fs::write(&path, text).unwrap();
    check(&ceremony).refused(3, &["holds another key", PUBLIC_KEY, OTHER_KEY]);
}

#[test]
fn steps_with_a_noise_validator_fit_a_terminal_but_for_the_setting() {
    let ceremony = Ceremony::new();
    let noise = "noise://12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB@10.0.0.1:26659";
    for cosigners in [0, 3] {
        let args = with(ceremony.init_args(cosigners), "--validator", noise);
        let args = with(args, if cosigners == 0 { "--home" } else { "--out" }, &ceremony.path("n"));
        let made = run(&args);
        assert_eq!(made.code, 0, "{}", made.stderr);
        let (_, steps) = made.stdout.split_once("Next:\n").unwrap();
        let mut settings = 0;
        for line in steps.lines() {
            let set = line.trim_start();
            settings += usize::from(set.starts_with("priv_validator_laddr = \"noise://"));
            let whole = set.starts_with("priv_validator_laddr") || set.starts_with("scp");
            assert!(whole || line.chars().count() <= 100, "{steps}");
        }
        assert_eq!(settings, 1, "{steps}");
        fs::remove_dir_all(ceremony.path("n")).unwrap();
    }
}

#[test]
fn refuses_a_pinned_key_that_the_member_list_does_not_have() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(2)).done();
    let pinned = |key: &str| format!("[[chain]]\npublic_key = \"{key}\"");
    ceremony.edit(1, "cosigner.toml", "[[chain]]", &pinned(PUBLIC_KEY));
    ceremony.check(1).done();
    ceremony.edit(1, "cosigner.toml", PUBLIC_KEY, OTHER_KEY);
    ceremony.check(1).refused(2, &[PUBLIC_KEY, OTHER_KEY, "cluster.toml"]);
}

#[test]
fn a_member_list_with_fewer_members_is_refused() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(3)).done();
    let path = ceremony.home(1).join("cluster.toml");
    let text = fs::read_to_string(&path).unwrap();
    let (kept, rest) = text.split_once("[[member]]\nid = 3").unwrap();
    let (_, key) = rest.split_once("[[key]]").unwrap();
    fs::write(&path, format!("{kept}[[key]]{key}")).unwrap();
    // With two of two members the grants of one more would be missing, with one it would sign alone.
    ceremony.check(1).refused(3, &["cluster.toml"]);
}

#[test]
fn an_existing_directory_keeps_its_mode_and_its_files() {
    let ceremony = Ceremony::new();
    fs::create_dir(ceremony.path("home")).unwrap();
    fs::set_permissions(ceremony.path("home"), fs::Permissions::from_mode(0o750)).unwrap();
    fs::write(ceremony.path("home/notes"), "theirs").unwrap();
    run(&ceremony.init_args(0)).done();
    let found = modes(home(&ceremony).root());
    assert_eq!(found[0].2, 0o750);
    assert_eq!(fs::read_to_string(ceremony.path("home/notes")).unwrap(), "theirs");
    check(&ceremony).done();
}
