//! Who a signer is for `noise://` validators, as an operator meets it: the real binary, real files.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

#[path = "support/ceremony.rs"]
mod ceremony;

use ceremony::{Ceremony, cosigner, run, with, without};

/// Of the seed 00..1f.
const ID: &str = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB";
const VALIDATOR: &str =
    "noise://12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB@127.0.0.1:26659";

/// As cosmos/kms writes it.
fn identity_file() -> String {
    let seed: Vec<u8> = (0..32).collect();
    let public = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
    let value = BASE64.encode([seed, hex::decode(public).unwrap()].concat());
    format!(r#"{{"priv_key":{{"type":"tendermint/PrivKeyEd25519","value":"{value}"}}}}"#)
}

fn set_mode(path: &str, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn peer_id(home: &str) -> String {
    let said = cosigner(&["peer-id", "--home", home]).done();
    let id = said.strip_suffix('\n').unwrap();
    assert!(id.starts_with("12D3KooW") && !id.contains('\n'), "{said:?}");
    id.to_owned()
}

/// A home of a node alone that dials a validator on `noise://`.
fn lone(ceremony: &Ceremony) -> String {
    let args = with(ceremony.init_args(0), "--validator", VALIDATOR);
    run(&args).done();
    ceremony.path("home")
}

#[test]
fn all_homes_of_a_split_have_one_identity_and_the_report_names_it() {
    let ceremony = Ceremony::new();
    let report = ceremony.split_with("--validator", VALIDATOR).done();
    let homes = [1, 2, 3].map(|id| ceremony.path(&format!("out/cosigner-{id}")));
    let id = peer_id(&homes[0]);
    for home in &homes {
        assert_eq!(peer_id(home), id);
        let file = format!("{home}/identity.json");
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o7777, 0o600);
        let checked = cosigner(&["config", "check", "--home", home]).done();
        assert!(checked.contains(&format!("noise:// as {id}")), "{checked}");
    }
    assert!(report.contains(&format!("peer id     {id}")), "{report}");
    assert!(
        report.contains(&format!("priv_validator_laddr = \"noise://{id}@0.0.0.0:26659\"")),
        "{report}"
    );

    // Of no interest without such a validator, but there.
    let plain = Ceremony::new();
    let report = plain.split().done();
    assert!(!report.contains("peer id"), "{report}");
    assert_ne!(peer_id(&plain.path("out/cosigner-1")), id);
}

#[test]
fn homes_of_a_cluster_around_one_key_have_one_identity_too() {
    let ceremony = Ceremony::new();
    let report = run(&with(ceremony.init_args(3), "--validator", VALIDATOR)).done();
    let ids = [1, 2, 3].map(|id| peer_id(&ceremony.path(&format!("out/cosigner-{id}"))));
    assert!(ids.iter().all(|id| *id == ids[0]));
    assert!(report.contains(&format!("peer id     {}", ids[0])), "{report}");
}

#[test]
fn a_node_alone_gets_an_identity_or_keeps_the_one_that_was_copied_into_its_home() {
    let ceremony = Ceremony::new();
    let home = lone(&ceremony);
    assert_ne!(peer_id(&home), ID);

    let ceremony = Ceremony::new();
    fs::create_dir(ceremony.path("home")).unwrap();
    ceremony.write("home/identity.json", &identity_file());
    let report = run(&with(ceremony.init_args(0), "--validator", VALIDATOR)).done();
    assert!(
        report.contains(&format!("priv_validator_laddr = \"noise://{ID}@0.0.0.0:26659\"")),
        "{report}"
    );
    assert_eq!(peer_id(&ceremony.path("home")), ID);
    assert_eq!(fs::read_to_string(ceremony.path("home/identity.json")).unwrap(), identity_file());

    // What cannot be read is refused, and neither used nor replaced.
    let ceremony = Ceremony::new();
    fs::create_dir(ceremony.path("home")).unwrap();
    ceremony.write("home/identity.json", "{}");
    run(&ceremony.init_args(0)).refused(2, &["identity.json", "node_key.json"]);
    assert!(!Path::new(&ceremony.path("home/cosigner.toml")).exists());
}

#[test]
fn a_missing_identity_is_an_error_only_where_a_validator_needs_it_and_names_the_remedy() {
    let ceremony = Ceremony::new();
    let home = lone(&ceremony);
    let before = peer_id(&home);
    fs::remove_file(format!("{home}/identity.json")).unwrap();
    let remedy = format!("cosigner peer-id --new --home {home}");
    for command in [&["config", "check"][..], &["start"], &["peer-id"]] {
        let ended = cosigner(&[command, &["--home", &home]].concat());
        ended.refused(2, &["identity.json", "not found", &remedy]);
    }
    let made = cosigner(&["peer-id", "--new", "--home", &home]).done();
    assert_eq!(made.trim_end(), peer_id(&home));
    assert_ne!(made.trim_end(), before);
    cosigner(&["config", "check", "--home", &home]).done();
    cosigner(&["peer-id", "--new", "--home", &home]).refused(3, &["never replaced"]);
    assert_eq!(made.trim_end(), peer_id(&home));

    let plain = Ceremony::new();
    run(&without(plain.init_args(0), "--validator")).done();
    let home = plain.path("home");
    fs::remove_file(format!("{home}/identity.json")).unwrap();
    let checked = cosigner(&["config", "check", "--home", &home]).done();
    assert!(!checked.contains("noise"), "{checked}");
    // A flag can make it needed.
    cosigner(&["config", "check", "--home", &home, "--validator", VALIDATOR])
        .refused(2, &["peer-id --new"]);
}

#[test]
fn an_identity_that_others_may_read_is_refused_with_the_chmod() {
    let ceremony = Ceremony::new();
    let home = lone(&ceremony);
    let file = format!("{home}/identity.json");
    for mode in [0o644, 0o640, 0o602] {
        set_mode(&file, mode);
        for command in [&["config", "check"][..], &["start"], &["peer-id"]] {
            let ended = cosigner(&[command, &["--home", &home]].concat());
            ended.refused(3, &[&format!("mode {mode:04o}"), &format!("chmod 0600 {file}")]);
        }
    }
    set_mode(&file, 0o600);
    cosigner(&["config", "check", "--home", &home]).done();
}

#[test]
fn the_identity_can_stand_elsewhere_and_config_show_says_where() {
    let ceremony = Ceremony::new();
    let home = lone(&ceremony);
    let shown = cosigner(&["config", "show", "--home", &home]).done();
    let line = shown.lines().find(|line| line.starts_with("noise.identity")).unwrap();
    assert!(
        line.contains(&format!("\"{home}/identity.json\"")) && line.ends_with("default"),
        "{line}"
    );

    ceremony.write("kms-identity.json", &identity_file());
    let path = format!("{home}/cosigner.toml");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("{text}\n[noise]\nidentity = \"../kms-identity.json\"\n")).unwrap();
    assert_eq!(peer_id(&home), ID);
    let shown = cosigner(&["config", "show", "--home", &home]).done();
    let line = shown.lines().find(|line| line.starts_with("noise.identity")).unwrap();
    assert!(line.contains("../kms-identity.json") && line.ends_with("cosigner.toml"), "{line}");
    cosigner(&["peer-id", "--new", "--home", &home]).refused(3, &["kms-identity.json"]);
}

#[test]
fn an_identity_is_made_in_a_home_and_where_there_is_none_its_makers_are_named() {
    let ceremony = Ceremony::new();
    let nowhere = ceremony.path("nowhere");
    let says = ["cosigner.toml: not found", "`cosigner split-key`", "`cosigner init`", "--home"];
    cosigner(&["peer-id", "--new", "--home", &nowhere]).refused(2, &says);
    assert!(!Path::new(&nowhere).exists());
}
