//! `state init`, `state raise` and `state show` as an operator meets them, and the commands that error
//! texts tell to run, typed as they stand.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::fs;

use cosigner::config::Home;
use serde_json::Value;

#[path = "support/ceremony.rs"]
mod ceremony;

use ceremony::{CHAIN, Ceremony, cosigner};

fn split() -> Ceremony {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    ceremony
}

fn height(ceremony: &Ceremony, id: usize) -> Value {
    let shown: Value =
        serde_json::from_str(&ceremony.state(id, &["show", "--json"]).done()).unwrap();
    shown[0]["watermark"]["height"].clone()
}

fn flip(ceremony: &Ceremony, id: usize, offsets: &[usize]) {
    let path = ceremony.watermark(id);
    let mut bytes = fs::read(&path).unwrap();
    for offset in offsets {
        bytes[*offset] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
}

/// Takes the command after "In full: " out of an error, and runs it with a height for H.
fn as_told(stderr: &str, height: &str) -> ceremony::Ended {
    let (_, command) = stderr.split_once("In full: cosigner ").unwrap();
    let words: Vec<&str> =
        command.split_whitespace().map(|word| if word == "H" { height } else { word }).collect();
    cosigner(&words)
}

#[test]
fn a_raise_goes_up_and_never_down() {
    let ceremony = split();
    let raise =
        |height: &str| ceremony.state(1, &["raise", "--chain-id", CHAIN, "--height", height]);
    let before = fs::read(ceremony.watermark(1)).unwrap();
    for lower in ["1", "12344"] {
        raise(lower).refused(3, &[CHAIN, "12345/2/3", "never goes down", "12346 or more"]);
    }
    assert_eq!(fs::read(ceremony.watermark(1)).unwrap(), before, "a refusal writes nothing");
    // Its own height is above 12345/2/3: later rounds of it are closed.
    let done = raise("12345").done();
    assert!(done.contains("before: watermark 12345/2/3"), "{done}");
    assert!(done.contains("nothing at or below height 12345"), "{done}");
    assert!(done.contains("other cosigners of this cluster to 12345"), "{done}");
    raise("12345").refused(3, &["12345", "never goes down", "12346 or more"]);
    raise("20000").done();
    raise("19999").refused(3, &["20000"]);
    assert_eq!(height(&ceremony, 1), 20000);
    assert!(ceremony.check(1).done().contains("watermark 20000/max"));
    assert_eq!(height(&ceremony, 2), 12345, "other homes are not touched");
}

#[test]
fn a_raise_needs_a_height_and_a_chain_of_this_home() {
    let ceremony = split();
    ceremony.state(1, &["raise", "--chain-id", CHAIN]).refused(2, &["--height"]);
    for wrong in ["0", "-1", "9223372036854775808", "high"] {
        let height = format!("--height={wrong}");
        ceremony.state(1, &["raise", &height]).refused(2, &["a number from 1"]);
    }
    let other = ["raise", "--chain-id", "other-1", "--height", "99999"];
    ceremony.state(1, &other).refused(2, &["other-1", CHAIN]);
    // The only chain need not be named.
    ceremony.state(1, &["raise", "--height", "99999"]).done();
    assert_eq!(height(&ceremony, 1), 99999);
}

#[test]
fn a_watermark_with_one_damaged_slot_is_mended_as_the_error_says() {
    let ceremony = split();
    flip(&ceremony, 1, &[100]);
    let refused = ceremony.check(1);
    refused.refused(3, &["slot 0 is damaged", "12345/2/3"]);
    ceremony.state(1, &["show"]).refused(3, &["slot 0 is damaged"]);
    // What is lost is above what can be read.
    as_told(&refused.stderr, "12345").refused(3, &["older than what is lost", "at least 12346"]);
    ceremony.check(1).refused(3, &["slot 0 is damaged"]);
    let done = as_told(&refused.stderr, "12400").done();
    assert!(
        done.contains("before: damaged; what could be read of it: watermark 12345/2/3"),
        "{done}"
    );
    assert!(ceremony.check(1).done().contains("watermark 12400/max"));
}

#[test]
fn a_watermark_with_nothing_left_to_read_is_mended_as_the_error_says() {
    let ceremony = split();
    flip(&ceremony, 1, &[100, 4196]);
    let refused = ceremony.check(1);
    refused.refused(3, &["both of its slots are damaged"]);
    as_told(&refused.stderr, "12400").done();
    assert_eq!(height(&ceremony, 1), 12400);
    fs::OpenOptions::new().write(true).open(ceremony.watermark(1)).unwrap().set_len(77).unwrap();
    let refused = ceremony.check(1);
    refused.refused(3, &["77 bytes long"]);
    as_told(&refused.stderr, "12500").done();
    assert!(ceremony.check(1).done().contains("watermark 12500/max"));
}

#[test]
fn a_missing_watermark_is_made_by_init_as_the_error_says_and_not_by_raise() {
    let ceremony = split();
    fs::remove_file(ceremony.watermark(1)).unwrap();
    let refused = ceremony.check(1);
    refused.refused(3, &["does not exist", "state init"]);
    let raise = ceremony.state(1, &["raise", "--height", "12400"]);
    raise.refused(3, &["does not exist", "state init"]);
    as_told(&refused.stderr, "12400").done();
    assert!(ceremony.check(1).done().contains("watermark 12400/max"));
    let again = ceremony.state(1, &["init", "--height", "12500"]);
    again.refused(3, &["exists already", "state raise"]);
}

#[test]
fn a_home_in_use_is_not_raised() {
    let ceremony = split();
    let held = Home::new(&ceremony.home(1)).lock().unwrap();
    let refused = ceremony.state(1, &["raise", "--height", "99999"]);
    refused.refused(3, &["another process uses this home", "stop the other one"]);
    drop(held);
    assert_eq!(height(&ceremony, 1), 12345);
}

#[test]
fn the_state_of_another_member_is_neither_raised_nor_begun() {
    let ceremony = split();
    let (one, two) = (ceremony.home(1).join("state"), ceremony.home(2).join("state"));
    fs::remove_dir_all(&one).unwrap();
    fs::rename(&two, &one).unwrap();
    let raise = ceremony.state(1, &["raise", "--height", "99999"]);
    raise.refused(3, &["state of member 2", "this home is member 1"]);
    assert_eq!(height(&ceremony, 1), 12345);
    fs::remove_file(ceremony.watermark(1)).unwrap();
    let init = ceremony.state(1, &["init", "--height", "99999"]);
    init.refused(3, &["state of member 2", "this home is member 1"]);
    // Nor is a watermark put where a state is lost as a whole.
    fs::remove_dir_all(one.join("db")).unwrap();
    let init = ceremony.state(1, &["init", "--height", "99999"]);
    init.refused(3, &["state/db", "never brought back"]);
}
