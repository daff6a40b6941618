//! `split-key` and `config check` as an operator meets them: the real binary, real directories.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosigner::config::{Home, read_cluster};
use cosigner::keystore::Keystore;
use cosigner::types::ChainId;

#[path = "support/ceremony.rs"]
mod ceremony;

use ceremony::{ADDRESS, CHAIN, Ceremony, VALCONS, cosigner, key_file, modes, run, without};

#[test]
fn writes_homes_that_are_fit_to_start_as_they_are() {
    let ceremony = Ceremony::new();
    let report = ceremony.split().done();
    for says in [ADDRESS, VALCONS, "A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg=", "2-of-3"] {
        assert!(report.contains(says), "no {says} in {report}");
    }
    assert!(report.contains("Stop the validator, and keep it stopped"), "a key that has signed");
    let lists: BTreeSet<String> = (1..=3)
        .map(|id| fs::read_to_string(ceremony.home(id).join("cluster.toml")).unwrap())
        .collect();
    assert_eq!(lists.len(), 1, "the member list is the same everywhere");
    for id in 1..=3 {
        let summary = ceremony.check(id).done();
        assert!(summary.contains(&format!("cosigner {id} of 3")), "{summary}");
        assert!(summary.contains("2-of-3, watermark 12345/2/3"), "{summary}");
        let home = ceremony.home(id).display().to_string();
        assert!(cosigner(&["address", "--home", &home]).done().contains(VALCONS));
    }
    let left = fs::read_dir(ceremony.path("out")).unwrap().count();
    assert_eq!(left, 3, "nothing but the homes is left");
}

#[test]
fn everything_it_writes_is_for_its_owner_alone() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    ceremony.check(1).done();
    let found = modes(&ceremony.root.path().join("out"));
    assert!(found.len() > 30, "{found:?}");
    for (path, directory, mode) in found {
        let expected = if directory { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
}

#[test]
fn no_file_but_the_keys_holds_a_share_and_none_holds_the_key() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let found = modes(&ceremony.root.path().join("out"));
    let files: Vec<(PathBuf, Vec<u8>)> = found
        .into_iter()
        .filter(|(_, directory, _)| !directory)
        .map(|(path, ..)| (path.clone(), fs::read(path).unwrap()))
        .collect();
    let holders = |secret: &[u8]| -> Vec<&Path> {
        let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
        files.iter().filter(|(_, bytes)| holds(bytes)).map(|(path, _)| path.as_path()).collect()
    };
    let seed: Vec<u8> = (0..32).collect();
    assert!(holders(&seed).is_empty());
    assert!(holders(&BASE64.encode(&seed).as_bytes()[..40]).is_empty());
    let chain = ChainId::new(CHAIN).unwrap();
    for id in 1..=3 {
        let home = Home::new(&ceremony.home(id));
        let cluster = read_cluster(&home.cluster_toml()).unwrap();
        let keys = Keystore::open(&home.keys()).unwrap().keys(&cluster, [&chain]).unwrap();
        let share = holders(keys[&chain].share.to_bytes().as_slice());
        assert!(!share.is_empty());
        assert!(share.iter().all(|path| path.starts_with(home.keys())), "{share:?}");
    }
}

#[test]
fn seeds_nothing_only_when_told_so() {
    let ceremony = Ceremony::new();
    let mut args = ceremony.args();
    let at = args.iter().position(|arg| arg == "--state-file").unwrap();
    args.drain(at..at + 2);
    run(&args).refused(2, &["--state-file", "--never-signed"]);
    ceremony.nothing_written();
    args.push("--never-signed".to_owned());
    let report = run(&args).done();
    assert!(report.contains("for trials only"), "{report}");
    assert!(ceremony.check(2).done().contains("never signed"));
    args.extend(["--state-file".to_owned(), ceremony.path("state.json")]);
    run(&args).refused(2, &["cannot be used with"]);
}

#[test]
fn refuses_thresholds_that_are_unsafe_or_out_of_reach() {
    let ceremony = Ceremony::new();
    ceremony.split_with("--threshold", "1").refused(2, &["1 of 3 is unsafe", "at least 2 of 3"]);
    ceremony.split_with("--threshold", "4").refused(2, &["4 cannot be reached by 3"]);
    ceremony.split_with("--threshold", "0").refused(2, &["unsafe"]);
    let mut many = ceremony.args();
    for number in 0..13 {
        many.extend(["--cosigner".to_owned(), format!("10.0.0.{number}:2222")]);
    }
    run(&many).refused(2, &["16 cosigners", "15"]);
    let mut one = ceremony.args();
    let at = one.iter().position(|arg| arg == "--cosigner").unwrap();
    one.drain(at..at + 4);
    let at = one.iter().position(|arg| arg == "--threshold").unwrap();
    one[at + 1] = "1".to_owned();
    run(&one).refused(2, &["whole key"]);
    ceremony.nothing_written();
}

#[test]
fn refuses_addresses_that_are_wrong_or_named_twice() {
    let ceremony = Ceremony::new();
    for (address, says) in [
        ("0.0.0.0:2222", "nobody can dial it"),
        ("[::]:2222", "nobody can dial it"),
        (":2222", "has no host"),
        ("10.0.0.1", "has no port"),
        ("10.0.0.1:99999", "1 to 65535"),
        ("http://10.0.0.1:1", "neither a name nor an IP"),
    ] {
        ceremony.split_with("--cosigner", address).refused(2, &["--cosigner", says]);
    }
    let twice = ceremony.address(1);
    ceremony.split_with("--cosigner", &twice).refused(2, &[&twice, "named twice"]);
    ceremony.split_with("--validator", "noise://x@10.0.0.1:1").refused(2, &["is no peer id"]);
    ceremony.split_with("--validator", "10.0.0.1:1").refused(2, &["tcp://", "unix://"]);
    let mut args = ceremony.args();
    args.extend(["--validator".to_owned(), "tcp://127.0.0.1:26659".to_owned()]);
    run(&args).refused(2, &["--validator", "named twice"]);
    ceremony.split_with("--chain-id", "").refused(2, &["--chain-id", "empty"]);
    ceremony.nothing_written();
}

#[test]
fn refuses_key_files_that_are_not_one_ed25519_key() {
    let ceremony = Ceremony::new();
    let text = key_file();
    let private = text.split('"').find(|word| word.len() == 88).unwrap().to_owned();
    for (from, to, says) in [
        ("PrivKeyEd25519", "PrivKeySecp256k1", "tendermint/PrivKeySecp256k1"),
        ("PubKeyEd25519", "PubKeySecp256k1", "tendermint/PubKeySecp256k1"),
        (private.as_str(), "AAAA", "64 bytes in base64"),
        (private.as_str(), "???", "64 bytes in base64"),
        ("\"AAEC", "\"BAEC", "do not belong together"),
        ("\"A6EH", "\"B6EH", "put together from two"),
        ("56475AA7", "56475AA8", "is not that of its key"),
        ("priv_key", "private", "not a priv_validator_key.json"),
    ] {
        let text = key_file().replace(from, to);
        assert_ne!(text, key_file(), "{from}");
        ceremony.write("bad.json", &text);
        let path = ceremony.path("bad.json");
        let ended = ceremony.split_with("--key-file", &path);
        ended.refused(2, &["--key-file", says]);
        assert!(!ended.stderr.contains(&private), "{}", ended.stderr);
    }
    let path = ceremony.path("absent.json");
    ceremony.split_with("--key-file", &path).refused(2, &["--key-file", &path, "cannot be read"]);
    ceremony.nothing_written();
}

#[test]
fn refuses_state_files_that_are_unreadable_wrong_or_empty() {
    let ceremony = Ceremony::new();
    for (text, says) in [
        ("{}", "not a priv_validator_state.json"),
        (r#"{"height":"-1","round":0,"step":1}"#, "negative"),
        (r#"{"height":"5","round":0,"step":4}"#, "step 4"),
        (r#"{"height":"0","round":0,"step":0}"#, "--never-signed"),
        (r#"{"height":"0","round":1,"step":3}"#, "contradicts itself"),
    ] {
        ceremony.write("bad.json", text);
        let path = ceremony.path("bad.json");
        ceremony.split_with("--state-file", &path).refused(2, &["--state-file", says]);
    }
    let path = ceremony.path("absent.json");
    ceremony.split_with("--state-file", &path).refused(2, &["--state-file", &path]);
    ceremony.nothing_written();
}

#[test]
fn never_overwrites_a_home() {
    let ceremony = Ceremony::new();
    fs::create_dir_all(ceremony.home(9)).unwrap();
    ceremony.split().refused(3, &["cosigner-9", "never overwritten"]);
    fs::remove_dir(ceremony.home(9)).unwrap();
    ceremony.split().done();
    let before = fs::read(ceremony.home(1).join("cluster.toml")).unwrap();
    ceremony.split().refused(3, &["cosigner-1", "never overwritten"]);
    assert_eq!(fs::read(ceremony.home(1).join("cluster.toml")).unwrap(), before);
    assert_eq!(fs::read_dir(ceremony.path("out")).unwrap().count(), 3);
}

#[test]
fn cannot_write_below_a_file_and_leaves_nothing() {
    let ceremony = Ceremony::new();
    let below = ceremony.path("key.json/out");
    assert_eq!(ceremony.split_with("--out", &below).code, 1);
    assert_eq!(fs::read_to_string(ceremony.path("key.json")).unwrap(), key_file());
}

#[test]
fn warns_of_a_key_file_that_others_may_read() {
    let ceremony = Ceremony::new();
    let loose = fs::Permissions::from_mode(0o644);
    fs::set_permissions(ceremony.path("key.json"), loose).unwrap();
    let ended = ceremony.split();
    assert!(ended.stderr.contains("warning: ") && ended.stderr.contains("mode 0644"));
    ended.done();
}

#[test]
fn starts_with_no_watermark_only_after_being_told_where_the_chain_is() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    fs::remove_file(ceremony.watermark(1)).unwrap();
    ceremony.check(1).refused(3, &[CHAIN, "does not exist", "cosigner state init"]);
    let home = ceremony.home(1).display().to_string();
    let init = |more: &[&str]| cosigner(&[&["state", "init", "--home", &home], more].concat());
    init(&["--chain-id", CHAIN]).refused(2, &["--height", "--never-signed"]);
    init(&["--chain-id", CHAIN, "--height", "0"]).refused(2, &["a number from 1"]);
    init(&["--chain-id", "other-1", "--height", "9"]).refused(2, &["other-1", CHAIN]);
    init(&["--chain-id", CHAIN, "--height", "777"]).done();
    assert!(ceremony.check(1).done().contains("watermark 777/"));
    init(&["--chain-id", CHAIN, "--never-signed"]).refused(3, &["exists already"]);
    let shown = cosigner(&["state", "show", "--json", "--home", &home]).done();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[0]["chain_id"], CHAIN);
    assert_eq!(shown[0]["address"], ADDRESS);
    assert_eq!(shown[0]["watermark"]["height"], 777);
}

#[test]
fn refuses_a_damaged_watermark() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let path = ceremony.watermark(2);
    let mut bytes = fs::read(&path).unwrap();
    bytes[100] ^= 1;
    fs::write(&path, bytes).unwrap();
    ceremony.check(2).refused(3, &[CHAIN, "slot 0 is damaged", "cosigner state raise"]);
    let home = ceremony.home(2).display().to_string();
    cosigner(&["state", "show", "--home", &home]).refused(3, &["damaged"]);
}

#[test]
fn refuses_the_watermark_database_and_keys_of_nobody() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    fs::remove_dir_all(ceremony.home(1).join("state/db")).unwrap();
    ceremony.check(1).refused(3, &["state/db", "never brought back"]);
    fs::remove_dir_all(ceremony.home(2).join("state")).unwrap();
    ceremony.check(2).refused(3, &["cosigner-2/state", "not found"]);
    fs::remove_dir_all(ceremony.home(3).join("keys")).unwrap();
    ceremony.check(3).refused(3, &["cosigner-3/keys", "not found"]);
}

#[test]
fn refuses_the_keys_of_another_home() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let (one, two) = (ceremony.home(1).join("keys"), ceremony.home(2).join("keys"));
    let aside = ceremony.root.path().join("aside");
    fs::rename(&one, &aside).unwrap();
    fs::rename(&two, &one).unwrap();
    fs::rename(&aside, &two).unwrap();
    ceremony.check(1).refused(3, &["id = 1", "keys of member 2", "put the right ones together"]);
    ceremony.check(2).refused(3, &["id = 2", "keys of member 1"]);
}

#[test]
fn refuses_keys_of_another_ceremony() {
    let (ours, theirs) = (Ceremony::new(), Ceremony::new());
    ours.split().done();
    theirs.split().done();
    fs::remove_dir_all(ours.home(1).join("keys")).unwrap();
    fs::rename(theirs.home(1).join("keys"), ours.home(1).join("keys")).unwrap();
    ours.check(1).refused(3, &["cluster.toml", "certificate of member 1"]);
}

#[test]
fn refuses_an_edited_member_list_but_for_addresses() {
    let ceremony = Ceremony::new();
    ceremony.split_with("--threshold", "3").done();
    let (address, moved) = (ceremony.address(1), "10.9.9.9:2222");
    ceremony.edit(1, "cluster.toml", &address, moved);
    ceremony.check(1).done();

    ceremony.edit(1, "cluster.toml", "threshold = 3", "threshold = 2");
    let says = ["cluster.toml", "threshold is 2-of-3, sealed is 3-of-3", "from another member"];
    ceremony.check(1).refused(3, &says);
    ceremony.edit(1, "cluster.toml", "threshold = 2", "threshold = 1");
    ceremony.check(1).refused(2, &["cluster.toml:", "1 of 3 is unsafe"]);

    let text = fs::read_to_string(ceremony.home(2).join("cluster.toml")).unwrap();
    let pin = text.lines().filter(|line| line.starts_with("certificate")).nth(2).unwrap();
    ceremony.edit(2, "cluster.toml", pin, &format!("certificate = \"sha256:{}\"", "ab".repeat(32)));
    ceremony.check(2).refused(3, &["certificate of member 3 is sha256:abab", "sealed is"]);

    ceremony.edit(3, "cluster.toml", "generation = 1", "generation = 2");
    ceremony.check(3).refused(3, &["generation of the shares is 2, sealed is 1"]);
}

#[test]
fn refuses_loose_modes_and_says_the_chmod_that_mends_them() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    for (path, mode) in
        [("cosigner.toml", 0o640), ("keys", 0o750), ("state", 0o711), ("keys/db", 0o604)]
    {
        let path = ceremony.home(1).join(path);
        let tight = fs::metadata(&path).unwrap().permissions();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let says = format!("chmod 0{:o} {}", tight.mode() & 0o777, path.display());
        ceremony.check(1).refused(3, &[&says]);
        fs::set_permissions(&path, tight).unwrap();
    }
    ceremony.check(1).done();
}

#[test]
fn refuses_a_home_that_is_in_use() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let held = Home::new(&ceremony.home(1)).lock().unwrap();
    ceremony.check(1).refused(3, &["another process uses this home", "stop the other one"]);
    let home = ceremony.home(1).display().to_string();
    let init = ["state", "init", "--home", &home, "--chain-id", CHAIN, "--never-signed"];
    cosigner(&init).refused(3, &["another process uses this home"]);
    cosigner(&["state", "show", "--home", &home]).done();
    drop(held);
    ceremony.check(1).done();
}

#[test]
fn refuses_bad_configuration_with_file_and_line() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    ceremony.edit(1, "cosigner.toml", "listen = ", "listn = ");
    ceremony.check(1).refused(2, &["cosigner.toml:4: ", "did you mean `listen`?"]);
    ceremony.edit(2, "cosigner.toml", "\"threshold\"", "\"vault\"");
    ceremony.check(2).refused(2, &["cosigner.toml:", "vault", "file, pkcs11 and awskms"]);
    ceremony.edit(2, "cosigner.toml", "\"vault\"", "\"file\", path = \"key.json\"");
    ceremony.check(2).refused(2, &["cosigner.toml", "split into shares", "\"threshold\""]);
    ceremony.edit(3, "cosigner.toml", "id = 3", "id = 4");
    ceremony.check(3).refused(2, &["id = 4", "members 1 to 3"]);
    let nowhere = ceremony.path("nowhere");
    cosigner(&["config", "check", "--home", &nowhere]).refused(2, &["cosigner.toml: not found"]);
}

#[test]
fn a_taken_port_is_found_before_the_start() {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    let _taken = TcpListener::bind(ceremony.address(0)).unwrap();
    ceremony.check(1).refused(2, &["[node] listen", &ceremony.address(0)]);
}

#[test]
fn a_split_among_nobody_names_every_way_to_say_whom() {
    let ceremony = Ceremony::new();
    let mut args = ceremony.args();
    while args.iter().any(|arg| arg == "--cosigner") {
        args = without(args, "--cosigner");
    }
    run(&args).refused(2, &["--cosigner <HOST:PORT>", "--join <HOME>", "--members <CLUSTER_TOML>"]);
    ceremony.nothing_written();
}

#[test]
fn every_command_teaches_with_an_example() {
    for command in [
        vec!["split-key"],
        vec!["init"],
        vec!["start"],
        vec!["status"],
        vec!["state", "show"],
        vec!["state", "init"],
        vec!["state", "raise"],
        vec!["address"],
        vec!["config", "check"],
        vec!["config", "show"],
        vec!["version"],
    ] {
        let help = cosigner(&[command.as_slice(), &["--help"]].concat()).done();
        assert!(help.contains("Example"), "{command:?}: {help}");
    }
    assert!(cosigner(&["version"]).done().starts_with("cosigner 0."));
}
