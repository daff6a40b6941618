//! `state ceiling`, `state export` and `state reset` in both kinds of home.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use cosigner::config::Home;
use serde_json::Value;

#[path = "support/ceremony.rs"]
mod ceremony;
#[path = "support/lone.rs"]
mod lone;
#[path = "support/states.rs"]
mod states;

use ceremony::{CHAIN, Ceremony, Ended, cosigner_told, shown, split};
use lone::Lone;
use states::Precommit;

/// `state reset` with an answer on standard input.
fn reset(ceremony: &Ceremony, chain: &str, typed: &str) -> Ended {
    let home = ceremony.home(1).display().to_string();
    cosigner_told(typed, &["state", "reset", "--chain-id", chain, "--home", &home])
}

#[test]
fn a_ceiling_is_set_shown_changed_and_cleared() {
    let ceremony = split();
    assert_eq!(shown(&ceremony)["ceiling"], Value::Null);
    let done = ceremony.state(1, &["ceiling", "--height", "20000"]).done();
    assert!(done.contains("ceiling before: none\nceiling now: 20000\n"), "{done}");
    assert!(done.contains("all cosigners of this cluster the same ceiling"), "{done}");
    assert_eq!(shown(&ceremony)["ceiling"], 20_000);
    let text = ceremony.state(1, &["show"]).done();
    assert!(text.contains("ceiling 20000, nothing above this height is signed"), "{text}");
    assert!(ceremony.check(1).done().contains("watermark 12345/2/3, ceiling 20000\n"));
    let done = ceremony.state(1, &["ceiling", "--chain-id", CHAIN, "--height", "12000"]).done();
    assert!(done.contains("ceiling before: 20000\nceiling now: 12000\n"), "{done}");
    assert!(done.contains("signs nothing at all any more"), "{done}");
    let done = ceremony.state(1, &["ceiling", "--clear"]).done();
    assert!(done.contains("ceiling before: 12000\nceiling now: none\n"), "{done}");
    assert_eq!(shown(&ceremony)["ceiling"], Value::Null);
    assert_eq!(shown(&ceremony)["watermark"]["height"], 12_345);
}

#[test]
fn a_ceiling_survives_a_mended_watermark() {
    let ceremony = split();
    ceremony.state(1, &["ceiling", "--height", "20000"]).done();
    let mut bytes = fs::read(ceremony.watermark(1)).unwrap();
    bytes[100] ^= 1;
    fs::write(ceremony.watermark(1), &bytes).unwrap();
    let refused = ceremony.state(1, &["ceiling", "--clear"]);
    refused.refused(3, &["slot 0 is damaged", "In full: cosigner state raise"]);
    ceremony.state(1, &["raise", "--height", "13000"]).done();
    assert_eq!(shown(&ceremony)["ceiling"], 20_000);
}

#[test]
fn a_ceiling_needs_one_of_its_flags_and_the_home_for_itself() {
    let ceremony = split();
    ceremony.state(1, &["ceiling"]).refused(2, &["--height", "--clear"]);
    ceremony.state(1, &["ceiling", "--clear", "--height", "5"]).refused(2, &["cannot be used"]);
    ceremony.state(1, &["ceiling", "--height", "0"]).refused(2, &["a number from 1"]);
    let other = ["ceiling", "--chain-id", "other-1", "--clear"];
    ceremony.state(1, &other).refused(2, &["other-1", CHAIN]);
    let held = Home::new(&ceremony.home(1)).lock().unwrap();
    let refused = ceremony.state(1, &["ceiling", "--height", "20000"]);
    refused.refused(3, &["another process uses this home"]);
    drop(held);
    assert_eq!(shown(&ceremony)["ceiling"], Value::Null);
}

/// Checks the types that CometBFT's `LoadFilePV` asks for, and returns height, round and step.
fn as_file_pv(text: &str) -> (i64, i32, i8) {
    let state: Value = serde_json::from_str(text).unwrap();
    let object = state.as_object().unwrap();
    let known = ["height", "round", "step", "signature", "signbytes"];
    assert!(object.keys().all(|field| known.contains(&field.as_str())), "{text}");
    assert_eq!(object.contains_key("signature"), object.contains_key("signbytes"), "{text}");
    (
        object["height"].as_str().unwrap().parse().unwrap(),
        i32::try_from(object["round"].as_i64().unwrap()).unwrap(),
        i8::try_from(object["step"].as_i64().unwrap()).unwrap(),
    )
}

#[test]
fn without_a_signature_neither_it_nor_sign_bytes_are_exported_and_that_is_said() {
    let ceremony = split();
    let exported = ceremony.state(1, &["export"]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    assert_eq!(exported.stdout, "{\n  \"height\": \"12345\",\n  \"round\": 2,\n  \"step\": 3\n}\n");
    for says in ["never signs exactly this step", "must stay stopped", "from at least 2"] {
        assert!(exported.stderr.contains(says), "{}", exported.stderr);
    }
    // The bytes alone, known from an import, are not enough either.
    ceremony.write("s.json", &Precommit::new(CHAIN, 13_000, 1).cometbft());
    ceremony.state(1, &["import", "--from", "cometbft", &ceremony.path("s.json")]).done();
    let text = ceremony.state(1, &["export", "--chain-id", CHAIN]).done();
    assert_eq!((as_file_pv(&text), text.contains("signbytes")), ((13_000, 0, 3), false));
}

#[test]
fn a_floor_is_exported_so_that_cometbft_refuses_all_of_its_height() {
    let ceremony = split();
    ceremony.state(1, &["raise", "--height", "14000"]).done();
    let exported = ceremony.state(1, &["export"]);
    assert!(exported.stderr.contains("at or below this height"), "{}", exported.stderr);
    assert_eq!(as_file_pv(&exported.done()), (14_000, i32::MAX, 3));
}

#[test]
fn an_export_comes_back_by_import_as_it_was() {
    let ceremony = split();
    for height in ["14000", "15000"] {
        ceremony.state(1, &["raise", "--height", height]).done();
        let text = ceremony.state(1, &["export"]).done();
        ceremony.write(height, &text);
        ceremony.state(2, &["import", "--from", "cometbft", &ceremony.path(height)]).done();
        assert_eq!(ceremony.state(2, &["export"]).done(), text);
    }
    let done = ceremony.state(1, &["import", "--from", "cometbft", &ceremony.path("15000")]).done();
    assert!(done.contains("nothing to raise"), "{done}");
    let older = ceremony.state(1, &["import", "--from", "cometbft", &ceremony.path("14000")]);
    older.refused(3, &["14000", "15000"]);
}

#[test]
fn an_export_makes_a_private_file_and_never_overwrites_one() {
    let ceremony = split();
    let out = ceremony.path("exported.json");
    let exported = ceremony.state(1, &["export", "--out", &out]);
    assert_eq!((exported.code, exported.stdout.as_str()), (0, ""), "{}", exported.stderr);
    let before = fs::read_to_string(&out).unwrap();
    assert_eq!(as_file_pv(&before), (12_345, 2, 3));
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o7777, 0o600);
    ceremony.state(1, &["raise", "--height", "14000"]).done();
    ceremony.state(1, &["export", "--out", &out]).refused(3, &["exists already", "another name"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), before);
    let nowhere = ceremony.path("no/such/place.json");
    ceremony.state(1, &["export", "--out", &nowhere]).refused(1, &["cannot be written"]);
}

#[test]
fn what_is_in_use_or_damaged_is_not_exported() {
    let ceremony = split();
    let held = Home::new(&ceremony.home(1)).lock().unwrap();
    ceremony.state(1, &["export"]).refused(3, &["another process uses this home"]);
    drop(held);
    fs::write(ceremony.watermark(1), b"short").unwrap();
    let refused = ceremony.state(1, &["export"]);
    refused.refused(3, &["5 bytes long", "state raise"]);
    assert_eq!(refused.stdout, "");
}

#[test]
fn a_reset_is_done_only_after_the_chain_id_was_typed() {
    let ceremony = split();
    ceremony.state(1, &["ceiling", "--height", "20000"]).done();
    let before = fs::read(ceremony.watermark(1)).unwrap();
    for typed in ["", "\n", "yes\n", "test-chain-\n", "test-chain-1 \n", "test-chain-11\n"] {
        let refused = reset(&ceremony, CHAIN, typed);
        let says = ["12345/2/3", "double sign", "All cosigners", "nothing was changed", CHAIN];
        refused.refused(3, &says);
        assert_eq!(refused.stdout, "");
    }
    assert_eq!(fs::read(ceremony.watermark(1)).unwrap(), before);
    let done = reset(&ceremony, CHAIN, "test-chain-1\n").done();
    assert!(done.contains("before: watermark 12345/2/3"), "{done}");
    let shown = shown(&ceremony);
    assert_eq!((&shown["watermark"], &shown["ceiling"]), (&Value::Null, &Value::Null));
    let text = ceremony.check(1).done();
    assert!(text.contains("never signed"), "{text}");
    assert_eq!(as_file_pv(&ceremony.state(1, &["export"]).done()), (0, 0, 0));
    // The others are not touched.
    assert!(ceremony.check(2).done().contains("watermark 12345/2/3"));
}

#[test]
fn a_reset_needs_a_chain_of_this_home_by_name_and_the_home_for_itself() {
    let ceremony = split();
    ceremony.state(1, &["reset"]).refused(2, &["--chain-id"]);
    reset(&ceremony, "other-1", "other-1\n").refused(2, &["other-1", CHAIN]);
    let held = Home::new(&ceremony.home(1)).lock().unwrap();
    let refused = reset(&ceremony, CHAIN, "test-chain-1\n");
    refused.refused(3, &["another process uses this home"]);
    drop(held);
    assert!(ceremony.check(1).done().contains("watermark 12345/2/3"));
    fs::remove_file(ceremony.watermark(1)).unwrap();
    reset(&ceremony, CHAIN, "test-chain-1\n").refused(3, &["state init"]);
}

#[test]
fn every_new_command_teaches_with_an_example() {
    for command in ["import", "export", "ceiling", "reset"] {
        let help = ceremony::cosigner(&["state", command, "--help"]).done();
        let example = format!("cosigner state {command} --");
        assert!(help.contains("Example") && help.contains(&example), "{help}");
    }
}

#[test]
fn a_node_alone_has_the_same_commands() {
    let lone = Lone::new();
    lone.state(&["init", "--height", "100"]).done();
    let done = lone.state(&["ceiling", "--height", "200"]).done();
    assert!(done.contains("ceiling now: 200") && !done.contains("cluster"), "{done}");
    let done = lone.state(&["raise", "--height", "150"]).done();
    assert!(!done.contains("cluster"), "{done}");
    let text = lone.state(&["show"]).done();
    assert!(text.contains("watermark 150/max") && text.contains("ceiling 200"), "{text}");
    let exported = lone.state(&["export"]);
    assert!(exported.stderr.contains("must stay stopped"), "{}", exported.stderr);
    assert!(!exported.stderr.contains("cosigners sign"), "{}", exported.stderr);
    let text = exported.done();
    assert_eq!(as_file_pv(&text), (150, i32::MAX, 3));
    let exported = lone.write("exported.json", &text);
    let done = lone.state(&["import", "--from", "cometbft", &exported]).done();
    assert!(done.contains("nothing to raise"), "{done}");
    let reset = ["reset", "--chain-id", CHAIN];
    lone.told("no\n", &reset).refused(3, &["nothing was changed"]);
    let refused = lone.told("no\n", &reset);
    assert!(!refused.stderr.contains("All cosigners"), "{}", refused.stderr);
    lone.told("test-chain-1\n", &reset).done();
    assert!(lone.state(&["show"]).done().contains("never signed"));
    let done = lone.state(&["import", "--from", "cometbft", &exported]).done();
    assert!(done.contains("now: watermark 150/max"), "{done}");
}
