//! `state import`: files of every program, the highest of several, and what is refused.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;

use cosigner::config::Home;
use serde_json::Value;

#[path = "support/ceremony.rs"]
mod ceremony;
#[path = "support/lone.rs"]
mod lone;
#[path = "support/states.rs"]
mod states;

use ceremony::{CHAIN, Ceremony, Ended, shown, split};
use lone::Lone;
use states::{Precommit, tmkms};

fn height(ceremony: &Ceremony) -> i64 {
    shown(ceremony)["watermark"]["height"].as_i64().unwrap()
}

/// Imports texts, each as a file of this name, into home 1.
fn import(ceremony: &Ceremony, from: &str, files: &[(&str, String)]) -> Ended {
    let paths: Vec<String> = files
        .iter()
        .map(|(name, text)| {
            ceremony.write(name, text);
            ceremony.path(name)
        })
        .collect();
    let mut args = vec!["import", "--from", from];
    args.extend(paths.iter().map(String::as_str));
    ceremony.state(1, &args)
}

fn one(ceremony: &Ceremony, from: &str, text: String) -> Ended {
    import(ceremony, from, &[("priv_validator_state.json", text)])
}

#[test]
fn every_programs_file_raises_the_watermark_and_brings_its_sign_bytes() {
    let ceremony = split();
    let signed = |height| Precommit::new(CHAIN, height, 1);
    let files = [
        ("cometbft", signed(13_000).cometbft(), signed(13_000).signbytes()),
        ("kms", signed(13_001).cometbft(), signed(13_001).signbytes()),
        ("horcrux", signed(13_002).horcrux(), signed(13_002).signbytes()),
        ("cometkms", signed(13_003).cometkms(), signed(13_003).signbytes()),
        ("cometkms", signed(13_004).cometbft(), signed(13_004).signbytes()),
    ];
    let mut last = "12345/2/3".to_owned();
    for (from, text, signbytes) in files {
        let done = one(&ceremony, from, text).done();
        let now = format!("{}/0/3", height(&ceremony));
        assert!(done.contains(&format!("before: watermark {last}")), "{from}: {done}");
        assert!(done.contains(&format!("now: watermark {now}\n")), "{from}: {done}");
        assert!(done.contains("into the other cosigners"), "{done}");
        assert_eq!(shown(&ceremony)["signbytes"], signbytes, "{from}");
        last = now;
    }
    assert!(ceremony.check(1).done().contains("watermark 13004/0/3"));
    // tmkms knows no sign bytes, and counts steps from 0.
    let done = one(&ceremony, "tmkms", tmkms(13_005, 1)).done();
    assert!(done.contains("now: watermark 13005/0/2, not known what was signed there"), "{done}");
    assert_eq!(shown(&ceremony)["signbytes"], Value::Null);
}

#[test]
fn the_watermark_is_never_lowered_and_equal_files_change_nothing() {
    let ceremony = split();
    let newest = Precommit::new(CHAIN, 13_000, 1);
    one(&ceremony, "cometbft", newest.cometbft()).done();
    let before = fs::read(ceremony.watermark(1)).unwrap();
    let lower = [
        ("cometbft", Precommit::new(CHAIN, 12_999, 1).cometbft(), "12999/0/3"),
        ("tmkms", tmkms(13_000, 1), "13000/0/2"),
        ("cometbft", r#"{"height":"0","round":0,"step":0}"#.to_owned(), "never signed"),
    ];
    for (from, text, says) in lower {
        let refused = one(&ceremony, from, text);
        refused.refused(3, &[CHAIN, "13000/0/3", says, "never goes down"]);
    }
    let done = one(&ceremony, "cometbft", newest.cometbft()).done();
    assert!(done.contains("nothing to raise: watermark 13000/0/3\n"), "{done}");
    assert_eq!(fs::read(ceremony.watermark(1)).unwrap(), before, "nothing was written");
}

#[test]
fn of_several_files_the_highest_counts() {
    let ceremony = split();
    let files = [
        ("c_priv_validator_state.json", Precommit::new(CHAIN, 13_000, 1).horcrux()),
        ("1_share_sign_state.json", Precommit::new(CHAIN, 13_001, 1).share()),
        ("2_share_sign_state.json", Precommit::new(CHAIN, 13_002, 1).share()),
        ("3_share_sign_state.json", Precommit::new(CHAIN, 12_000, 1).share()),
    ];
    let done = import(&ceremony, "horcrux", &files).done();
    for line in ["1_share_sign_state.json: watermark 13001/0/3", "now: watermark 13002/0/3\n"] {
        assert!(done.contains(line), "{done}");
    }
    assert_eq!(shown(&ceremony)["signbytes"], Precommit::new(CHAIN, 13_002, 1).signbytes());
}

#[test]
fn where_files_or_the_home_disagree_on_one_step_its_content_is_not_known() {
    let ceremony = split();
    let (one_block, other) = (Precommit::new(CHAIN, 13_000, 1), Precommit::new(CHAIN, 13_000, 2));
    let files = [
        ("1_share_sign_state.json", one_block.share()),
        ("2_share_sign_state.json", other.share()),
    ];
    let done = import(&ceremony, "horcrux", &files).done();
    assert!(done.contains("now: watermark 13000/0/3, not known what was signed there"), "{done}");
    // Neither of them brings it back.
    let done = one(&ceremony, "cometbft", one_block.cometbft()).done();
    assert!(done.contains("nothing to raise"), "{done}");
    assert_eq!(shown(&ceremony)["signbytes"], Value::Null);
    // What this home has and what comes in, too.
    one(&ceremony, "cometbft", Precommit::new(CHAIN, 13_001, 1).cometbft()).done();
    one(&ceremony, "cometbft", Precommit::new(CHAIN, 13_001, 2).cometbft()).done();
    assert_eq!((height(&ceremony), shown(&ceremony)["signbytes"].clone()), (13_001, Value::Null));
}

#[test]
fn another_chain_and_another_key_are_refused() {
    let ceremony = split();
    let before = fs::read(ceremony.watermark(1)).unwrap();
    let foreign = Precommit::new("other-1", 13_000, 1);
    let refused = one(&ceremony, "cometbft", foreign.cometbft());
    refused.refused(3, &["priv_validator_state.json", "other-1", CHAIN, "state raise"]);
    let refused = import(&ceremony, "horcrux", &[("1_share_sign_state.json", foreign.share())]);
    refused.refused(3, &["other-1", CHAIN]);
    let theirs = Precommit::by([7; 32], CHAIN, 13_000, 1);
    for (from, text) in [("cometbft", theirs.cometbft()), ("horcrux", theirs.horcrux())] {
        let refused = one(&ceremony, from, text);
        refused.refused(3, &["13000/0/3", "another key"]);
    }
    // One bad file among good ones spoils all.
    let files =
        [("a.json", Precommit::new(CHAIN, 13_000, 1).cometbft()), ("b.json", theirs.cometbft())];
    import(&ceremony, "cometbft", &files).refused(3, &["b.json", "another key"]);
    assert_eq!(fs::read(ceremony.watermark(1)).unwrap(), before, "nothing was written");
}

#[test]
fn what_is_no_state_file_is_refused_with_another_way() {
    let ceremony = split();
    let cases = [
        ("cometbft", tmkms(13_000, 2), "state.json of CometBFT"),
        ("tmkms", Precommit::new(CHAIN, 13_000, 1).cometbft(), "state.json of tmkms"),
        ("horcrux", "{}".to_owned(), "share_sign_state.json of Horcrux"),
        ("cometkms", r#"{"is_leader":true}"#.to_owned(), "state.json of CometKMS"),
        ("kms", r#"{"height":"5","round":0,"step":7}"#.to_owned(), "step 7"),
    ];
    for (from, text, says) in cases {
        one(&ceremony, from, text).refused(2, &[says, "state raise --height H"]);
    }
    let state = Precommit::new(CHAIN, 13_000, 1).horcrux();
    import(&ceremony, "horcrux", &[("state.json", state)]).refused(2, &["_share_sign_state.json"]);
    import(&ceremony, "kms", &[("long.json", " ".repeat(70_000))]).refused(2, &["65536 bytes"]);
    let nowhere = ceremony.path("nowhere.json");
    ceremony.state(1, &["import", "--from", "kms", &nowhere]).refused(2, &["nowhere.json"]);
    ceremony.state(1, &["import", "--from", "kms"]).refused(2, &["FILE"]);
    ceremony.state(1, &["import", "--from", "vault", &nowhere]).refused(2, &["tmkms"]);
    assert_eq!(height(&ceremony), 12_345);
}

#[test]
fn a_home_without_a_watermark_begins_with_the_import_but_never_from_nothing() {
    let ceremony = split();
    fs::remove_file(ceremony.watermark(1)).unwrap();
    let fresh = r#"{"height":"0","round":0,"step":0}"#.to_owned();
    one(&ceremony, "cometbft", fresh).refused(3, &["never signed", "init --never-signed"]);
    ceremony.check(1).refused(3, &["does not exist"]);
    let done = one(&ceremony, "tmkms", tmkms(13_000, 2)).done();
    assert!(done.contains("began with watermark 13000/0/3"), "{done}");
    assert!(ceremony.check(1).done().contains("watermark 13000/0/3"));
}

#[test]
fn a_damaged_watermark_is_not_imported_into() {
    let ceremony = split();
    fs::write(ceremony.watermark(1), b"short").unwrap();
    let refused = one(&ceremony, "tmkms", tmkms(13_000, 2));
    refused.refused(3, &["5 bytes long", "state raise", "In full: cosigner state raise"]);
    assert_eq!(fs::read(ceremony.watermark(1)).unwrap(), b"short");
}

#[test]
fn an_import_keeps_the_ceiling_and_needs_the_home_for_itself() {
    let ceremony = split();
    ceremony.state(1, &["ceiling", "--height", "14000"]).done();
    one(&ceremony, "tmkms", tmkms(13_000, 2)).done();
    ceremony.state(1, &["raise", "--height", "13500"]).done();
    assert_eq!(shown(&ceremony)["ceiling"], 14_000);
    let held = Home::new(&ceremony.home(1)).lock().unwrap();
    one(&ceremony, "tmkms", tmkms(13_600, 2)).refused(3, &["another process uses this home"]);
    drop(held);
    assert_eq!(height(&ceremony), 13_500);
}

#[test]
fn a_node_alone_begins_with_an_import_and_is_never_lowered() {
    let lone = Lone::new();
    let import = |text: &str| {
        let path = lone.write("priv_validator_state.json", text);
        lone.state(&["import", "--from", "cometbft", &path])
    };
    let theirs = Precommit::by([7; 32], CHAIN, 100, 1);
    import(&theirs.cometbft()).refused(3, &["another key"]);
    let done = import(&Precommit::new(CHAIN, 100, 1).cometbft()).done();
    assert!(done.contains("began with watermark 100/0/3"), "{done}");
    assert!(!done.contains("other cosigners"), "{done}");
    let refused = import(&Precommit::new(CHAIN, 99, 1).cometbft());
    refused.refused(3, &["99/0/3", "100/0/3", "never goes down"]);
    let done = import(&Precommit::new(CHAIN, 101, 1).cometbft()).done();
    assert!(done.contains("now: watermark 101/0/3"), "{done}");
}
