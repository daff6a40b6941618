//! One more chain for a cluster that is there, as an operator adds it: `split-key --join` and `--members`,
//! `share import` and `export`, `init --join`.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]

use std::fs;
use std::path::{Path, PathBuf};

use cosigner::config::{Home, read_cluster};
use cosigner::keystore::Keystore;
use cosigner::types::ChainId;

#[path = "support/ceremony.rs"]
mod ceremony;
#[path = "support/key.rs"]
mod key;

use ceremony::{CHAIN, Ceremony, Ended, and, cosigner, modes, run, split, with, without};

const SECOND: &str = "second-1";
const HEIGHT: &str = "777";

/// A second key, and what is said to every home by `split-key`.
fn second(ceremony: &Ceremony, chain: &str) -> Vec<String> {
    let file = ceremony.path(&format!("{chain}.json"));
    if !Path::new(&file).exists() {
        key::write_throwaway(Path::new(&file));
    }
    let args = ["split-key", "--chain-id", chain, "--threshold", "2", "--key-file", &file];
    let args = args.map(str::to_owned).to_vec();
    and(args, &["--state-height", HEIGHT, "--validator", &format!("unix:///run/{chain}.sock")])
}

fn homes(ceremony: &Ceremony) -> Vec<String> {
    (1..=3).map(|id| ceremony.home(id).display().to_string()).collect()
}

fn join(ceremony: &Ceremony, chain: &str) -> Vec<String> {
    let homes = homes(ceremony);
    let homes: Vec<&str> = homes.iter().map(String::as_str).collect();
    and(and(second(ceremony, chain), &["--join"]), &homes)
}

fn members(ceremony: &Ceremony, chain: &str) -> Vec<String> {
    ceremony.write("passphrase", "correct horse\n");
    let list = ceremony.home(1).join("cluster.toml").display().to_string();
    let (out, passphrase) = (ceremony.path(chain), ceremony.path("passphrase"));
    let args = ["--members", &list, "--out", &out, "--passphrase-file", &passphrase];
    and(second(ceremony, chain), &args)
}

fn share_file(ceremony: &Ceremony, chain: &str, id: usize) -> String {
    ceremony.path(&format!("{chain}/cosigner-{id}.share"))
}

fn import(ceremony: &Ceremony, id: usize, file: &str, more: &[&str]) -> Ended {
    let (home, passphrase) = (ceremony.home(id), ceremony.path("passphrase"));
    let home = home.display().to_string();
    let args = ["share", "import", file, "--home", &home, "--passphrase-file", &passphrase];
    cosigner(&[&args, more].concat())
}

fn read(ceremony: &Ceremony, id: usize, file: &str) -> String {
    fs::read_to_string(ceremony.home(id).join(file)).unwrap()
}

/// The files that people write and compare.
fn texts(ceremony: &Ceremony) -> Vec<String> {
    let of = |id| ["cosigner.toml", "cluster.toml"].map(|file| read(ceremony, id, file));
    (1..=3).flat_map(of).collect()
}

fn share(ceremony: &Ceremony, id: usize, chain: &str) -> Option<[u8; 32]> {
    // In a copy: what a database leaves when it is closed has the modes of this process.
    let root = tempfile::tempdir().unwrap();
    copy(&ceremony.home(id), &root.path().join("home"));
    let home = Home::new(&root.path().join("home"));
    let list = read_cluster(&home.cluster_toml()).unwrap();
    let chain = ChainId::new(chain).unwrap();
    let keys = Keystore::open(&home.keys()).unwrap();
    keys.keys(&list, [&chain]).ok().map(|keys| *keys[&chain].share.to_bytes())
}

/// All homes have the chain, the first chain is as it was, and everything fits together.
fn assert_added(ceremony: &Ceremony, chain: &str) {
    for id in 1..=3 {
        let summary = ceremony.check(id).done();
        assert!(
            summary.contains(&format!("chain {CHAIN}: 2-of-3, watermark 12345/2/3")),
            "{summary}"
        );
        assert!(
            summary.contains(&format!("chain {chain}: 2-of-3, watermark {HEIGHT}/max")),
            "{summary}"
        );
        assert!(
            summary.contains(&format!("unix:///run/{chain}.sock of chain {chain}")),
            "{summary}"
        );
        assert_eq!(read(ceremony, id, "cluster.toml"), read(ceremony, 1, "cluster.toml"));
        let left: Vec<_> = fs::read_dir(ceremony.home(id)).unwrap().collect();
        assert_eq!(left.len(), 5, "nothing else is left: {left:?}");
    }
}

/// The watermark file that home `id` got last.
fn watermark_of(ceremony: &Ceremony, id: usize, before: &[PathBuf]) -> PathBuf {
    let all = watermarks(ceremony, id);
    all.into_iter().find(|path| !before.contains(path)).unwrap()
}

fn watermarks(ceremony: &Ceremony, id: usize) -> Vec<PathBuf> {
    let files = fs::read_dir(ceremony.home(id).join("state/watermarks")).unwrap();
    files.map(|file| file.unwrap().path()).collect()
}

/// Takes the chain out of a home's settings, as a node is told to serve it no more.
fn remove(ceremony: &Ceremony, id: usize, chain: &str) {
    let path = ceremony.home(id).join("cosigner.toml");
    let text = fs::read_to_string(&path).unwrap();
    let at = text.find(&format!("\n[[chain]]\nid = \"{chain}\"")).unwrap();
    fs::write(&path, &text[..at]).unwrap();
}

#[test]
fn joins_homes_at_hand_and_leaves_what_the_operator_wrote() {
    let ceremony = split();
    for id in 1..=3 {
        ceremony.edit(id, "cosigner.toml", "[log]", "# ours, keep\n[log]");
    }
    let before = texts(&ceremony);
    let report = run(&join(&ceremony, SECOND)).done();
    for says in [SECOND, "2-of-3", HEIGHT, "cosigner-3", "Stop the validator"] {
        assert!(report.contains(says), "no {says} in {report}");
    }
    assert_added(&ceremony, SECOND);
    for id in 1..=3 {
        let settings = read(&ceremony, id, "cosigner.toml");
        assert!(settings.starts_with(&before[(id - 1) * 2]) && settings.contains("# ours, keep"));
        assert!(read(&ceremony, id, "cluster.toml").contains("serial = 2"));
    }
    for (path, directory, mode) in modes(&ceremony.root.path().join("out")) {
        let expected = if directory { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
    run(&join(&ceremony, "third-1")).done();
    assert_added(&ceremony, SECOND);
    assert_added(&ceremony, "third-1");
}

#[test]
fn refuses_what_would_not_be_one_more_chain_of_this_cluster_and_changes_nothing() {
    let ceremony = split();
    let before = texts(&ceremony);
    let all = homes(&ceremony);
    let some = |homes: &[&str]| run(&and(and(second(&ceremony, SECOND), &["--join"]), homes));
    some(&[&all[0], &all[2]]).refused(2, &["that of member 2 is missing", "--members"]);
    some(&[&all[0], &all[1], &all[1], &all[2]]).refused(2, &["named twice"]);
    let stranger = split();
    let theirs = stranger.home(3).display().to_string();
    some(&[&all[0], &all[1], &theirs]).refused(3, &["different cluster.toml"]);
    run(&with(join(&ceremony, SECOND), "--threshold", "1")).refused(2, &["1 of 3 is unsafe"]);
    run(&with(join(&ceremony, SECOND), "--key-file", &ceremony.path("key.json")))
        .refused(3, &["is that of chain", CHAIN]);
    run(&with(join(&ceremony, SECOND), "--chain-id", CHAIN)).refused(3, &["another key", CHAIN]);
    run(&without(join(&ceremony, SECOND), "--state-height")).refused(2, &["--never-signed"]);
    run(&and(join(&ceremony, SECOND), &["--cosigner", "10.0.0.1:1"]))
        .refused(2, &["cannot be used"]);
    let taken = ["--validator", "tcp://127.0.0.1:26659"];
    run(&and(join(&ceremony, SECOND), &taken)).refused(2, &["26659", "second time", "Nothing"]);
    let lock = Home::new(&ceremony.home(2)).lock().unwrap();
    run(&join(&ceremony, SECOND)).refused(3, &["cosigner-2", "another process uses this home"]);
    drop(lock);
    assert_eq!(texts(&ceremony), before);
    for id in 1..=3 {
        ceremony.check(id).done();
        assert_eq!(watermarks(&ceremony, id).len(), 1);
    }
    run(&join(&ceremony, SECOND)).done();
    run(&join(&ceremony, SECOND)).refused(3, &["has chain", SECOND, "already"]);
}

#[test]
fn refuses_what_is_no_home_and_no_list_of_members_with_what_to_give() {
    let ceremony = split();
    let all = homes(&ceremony);
    let wrong = ceremony.path("nowhere");
    for verb in [second(&ceremony, SECOND), without(ceremony.init_args(0), "--home")] {
        let ended = run(&and(verb, &["--join", &all[0], &all[1], &wrong]));
        ended
            .refused(2, &["--join: ", "nowhere/cosigner.toml: not found", "the cluster's members"]);
        assert!(!ended.stderr.contains("--home"), "{}", ended.stderr);
    }
    for (given, says) in [
        (format!("{}/cosigner.toml", all[0]), "not a list of members (line "),
        (all[0].clone(), "a directory"),
        (wrong.clone(), "not found"),
    ] {
        let ended = run(&with(members(&ceremony, SECOND), "--members", &given));
        ended.refused(2, &["--members ", &given, says, "Give cluster.toml"]);
        assert!(!ended.stderr.contains("--home"), "{}", ended.stderr);
    }
    // A damaged list is named by its line, as everywhere.
    let list = ceremony.home(1).join("cluster.toml");
    fs::write(&list, "serail = 1\n").unwrap();
    let list = list.display().to_string();
    run(&with(members(&ceremony, SECOND), "--members", &list)).refused(2, &["cluster.toml:1: "]);
}

#[test]
fn a_node_alone_is_told_how_it_gets_another_chain() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(0)).done();
    let home = ceremony.path("home");
    let join = and(without(ceremony.init_args(0), "--home"), &["--join", &home]);
    let join = with(join, "--chain-id", SECOND);
    run(&join).refused(
        2,
        &["signs alone", "second [[chain]]", "cosigner state init --home", "`cosigner init`"],
    );
    // As it says.
    ceremony.write("second.json", &ceremony::key_file());
    let path = format!("{home}/cosigner.toml");
    let text = fs::read_to_string(&path).unwrap();
    let key =
        format!("key = {{ backend = \"file\", path = \"{}\" }}", ceremony.path("second.json"));
    fs::write(&path, format!("{text}\n[[chain]]\nid = \"{SECOND}\"\n{key}\n")).unwrap();
    cosigner(&["state", "init", "--home", &home, "--chain-id", SECOND, "--height", "9"]).done();
    cosigner(&["config", "check", "--home", &home, "--ops-listen", ""]).done();
}

/// A list of before, with its shares in one inline table, is the same list.
#[test]
fn homes_with_the_older_form_of_the_list_are_joined() {
    let ceremony = split();
    for id in 1..=3 {
        let path = ceremony.home(id).join("cluster.toml");
        let text = fs::read_to_string(&path).unwrap();
        let (head, shares) = text.split_once("\n[key.verifying_shares]\n").unwrap();
        let shares: String = shares.lines().map(|line| format!("    {line},\n")).collect();
        fs::write(&path, format!("{head}verifying_shares = {{\n{shares}}}\n")).unwrap();
        ceremony.check(id).done();
    }
    let before = texts(&ceremony);
    run(&join(&ceremony, SECOND)).done();
    // Cut off after the first home, by a release that wrote the older form.
    fs::write(ceremony.home(3).join("cosigner.toml"), &before[4]).unwrap();
    fs::write(ceremony.home(3).join("cluster.toml"), &before[5]).unwrap();
    run(&join(&ceremony, SECOND)).done();
    assert_added(&ceremony, SECOND);
}

/// Every place between two writes at which a crash can leave the homes.
#[test]
fn a_join_that_was_cut_off_is_finished_by_the_same_command() {
    for (lists, settings) in [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (3, 2)] {
        let ceremony = split();
        let before = texts(&ceremony);
        run(&join(&ceremony, SECOND)).done();
        let shares: Vec<_> = (1..=3).map(|id| share(&ceremony, id, SECOND).unwrap()).collect();
        for id in 1..=3 {
            let old = |file: usize| &before[(id - 1) * 2 + file];
            if id > settings {
                fs::write(ceremony.home(id).join("cosigner.toml"), old(0)).unwrap();
            }
            if id > lists {
                fs::write(ceremony.home(id).join("cluster.toml"), old(1)).unwrap();
            }
            ceremony.check(id).done();
        }
        if lists > 0 {
            let other = with(join(&ceremony, SECOND), "--threshold", "3");
            run(&other).refused(3, &["another key or threshold"]);
            let third = run(&join(&ceremony, "third-1"));
            if lists < 3 {
                third.refused(3, &["different cluster.toml (editions 2 and 1)"]);
                run(&join(&ceremony, SECOND)).done();
            } else {
                third.done();
                run(&join(&ceremony, SECOND)).done();
            }
            let now: Vec<_> = (1..=3).map(|id| share(&ceremony, id, SECOND).unwrap()).collect();
            assert_eq!(now, shares, "what was dealt is kept");
        } else {
            run(&join(&ceremony, SECOND)).done();
        }
        assert_added(&ceremony, SECOND);
    }
}

#[test]
fn a_chain_that_nobody_serves_any_more_comes_back_with_its_watermark() {
    let ceremony = split();
    run(&join(&ceremony, SECOND)).done();
    let served = texts(&ceremony);
    for id in 1..=3 {
        ceremony.state(id, &["raise", "--chain-id", SECOND, "--height", "9000"]).done();
        remove(&ceremony, id, SECOND);
        let summary = ceremony.check(id).done();
        assert!(summary.contains(&format!("chain {SECOND}: not served by this node")), "{summary}");
    }
    fs::write(ceremony.home(1).join("cosigner.toml"), &served[0]).unwrap();
    assert!(ceremony.check(1).done().contains("watermark 9000/max"));
    run(&join(&ceremony, SECOND)).done();
    for id in 1..=3 {
        assert!(
            ceremony.check(id).done().contains(&format!("{SECOND}: 2-of-3, watermark 9000/max"))
        );
    }
}

#[test]
fn a_watermark_that_is_gone_is_not_made_again_from_an_old_floor() {
    let ceremony = split();
    run(&members(&ceremony, SECOND)).done();
    let before = watermarks(&ceremony, 2);
    import(&ceremony, 2, &share_file(&ceremony, SECOND, 2), &[]).done();
    remove(&ceremony, 2, SECOND);
    fs::remove_file(watermark_of(&ceremony, 2, &before)).unwrap();
    let refused = import(&ceremony, 2, &share_file(&ceremony, SECOND, 2), &[]);
    refused.refused(3, &[SECOND, "does not exist", "cosigner state init"]);
    let told = ["--state-height", "100000"];
    import(&ceremony, 2, &share_file(&ceremony, SECOND, 2), &told).done();
    assert!(ceremony.check(2).done().contains("watermark 100000/max"));
}

#[test]
fn members_elsewhere_import_one_after_the_other() {
    let ceremony = split();
    let report = run(&members(&ceremony, SECOND)).done();
    for says in [SECOND, "2-of-3", "cosigner-2.share", "share import", "edition 2"] {
        assert!(report.contains(says), "no {says} in {report}");
    }
    for (path, directory, mode) in modes(Path::new(&ceremony.path(SECOND))) {
        let expected = if directory { 0o700 } else { 0o600 };
        assert_eq!(mode, expected, "{}: {mode:o}", path.display());
    }
    run(&members(&ceremony, SECOND)).refused(3, &["cosigner-1.share", "never overwritten"]);
    for id in 1..=3 {
        let report = import(&ceremony, id, &share_file(&ceremony, SECOND, id), &[]).done();
        assert!(report.contains(SECOND) && report.contains(HEIGHT), "{report}");
        ceremony.check(id).done();
        import(&ceremony, id, &share_file(&ceremony, SECOND, id), &[]).refused(3, &["already"]);
    }
    assert_added(&ceremony, SECOND);
    run(&with(members(&ceremony, SECOND), "--out", &ceremony.path("more")))
        .refused(3, &["has chain", "already"]);
}

/// After each write of an import.
#[test]
fn an_import_that_was_cut_off_is_finished_by_the_same_command() {
    let ceremony = split();
    run(&members(&ceremony, SECOND)).done();
    let before = texts(&ceremony);
    for (id, files) in [(1, 0), (2, 1)] {
        import(&ceremony, id, &share_file(&ceremony, SECOND, id), &[]).done();
        let dealt = share(&ceremony, id, SECOND);
        fs::write(ceremony.home(id).join("cosigner.toml"), &before[(id - 1) * 2]).unwrap();
        if files == 0 {
            fs::write(ceremony.home(id).join("cluster.toml"), &before[(id - 1) * 2 + 1]).unwrap();
        }
        ceremony.check(id).done();
        import(&ceremony, id, &share_file(&ceremony, SECOND, id), &[]).done();
        assert_eq!(share(&ceremony, id, SECOND), dealt);
    }
    import(&ceremony, 3, &share_file(&ceremony, SECOND, 3), &[]).done();
    assert_added(&ceremony, SECOND);
}

#[test]
fn refuses_files_that_are_not_for_this_home() {
    let (ceremony, stranger) = (split(), split());
    run(&members(&ceremony, SECOND)).done();
    run(&members(&stranger, SECOND)).done();
    let before = texts(&ceremony);
    let own = share_file(&ceremony, SECOND, 1);
    let refuse = |file: &str, code: i32, says: &[&str]| {
        import(&ceremony, 1, file, &[]).refused(code, says);
        assert_eq!(texts(&ceremony), before);
        assert_eq!(watermarks(&ceremony, 1).len(), 1);
    };
    refuse(&share_file(&ceremony, SECOND, 2), 3, &["share of member 2", "home is member 1's"]);
    refuse(&share_file(&stranger, SECOND, 1), 3, &["another cluster"]);
    refuse(&ceremony.path("key.json"), 2, &["no share file"]);
    refuse(&ceremony.path("absent"), 1, &["absent"]);
    let mut bytes = fs::read(&own).unwrap();
    bytes[200] ^= 1;
    fs::write(ceremony.path("damaged"), &bytes).unwrap();
    refuse(&ceremony.path("damaged"), 3, &["damaged", "copy it again"]);
    ceremony.write("passphrase", "another horse");
    refuse(&own, 3, &["passphrase is not the one"]);
    ceremony.write("passphrase", "correct horse");
    let lock = Home::new(&ceremony.home(1)).lock().unwrap();
    refuse(&own, 3, &["another process uses this home"]);
    drop(lock);
    let home = ceremony.home(1).display().to_string();
    cosigner(&["share", "import", &own, "--home", &home]).refused(2, &["--passphrase-file"]);
    // Two chains from one edition: the second file does not know of the first chain.
    run(&members(&ceremony, "third-1")).done();
    import(&ceremony, 1, &own, &[]).done();
    let third = share_file(&ceremony, "third-1", 1);
    import(&ceremony, 1, &third, &[]).refused(3, &["edition 2", "make it again"]);
    fs::remove_dir_all(ceremony.path("third-1")).unwrap();
    run(&members(&ceremony, "third-1")).done();
    import(&ceremony, 1, &third, &[]).done();
    // A member that comes later takes the chains in any order.
    import(&ceremony, 2, &share_file(&ceremony, "third-1", 2), &[]).done();
    import(&ceremony, 2, &share_file(&ceremony, SECOND, 2), &[]).done();
    for id in [1, 2] {
        let summary = ceremony.check(id).done();
        for chain in [CHAIN, SECOND, "third-1"] {
            assert!(summary.contains(&format!("chain {chain}: 2-of-3")), "{summary}");
        }
    }
    assert_eq!(read(&ceremony, 1, "cluster.toml"), read(&ceremony, 2, "cluster.toml"));
}

/// Editions that grew apart: the later one must not take a chain away.
#[test]
fn refuses_a_later_edition_that_lacks_a_chain_of_this_home() {
    let ceremony = split();
    run(&members(&ceremony, SECOND)).done();
    run(&members(&ceremony, "third-1")).done();
    import(&ceremony, 1, &share_file(&ceremony, SECOND, 1), &[]).done();
    import(&ceremony, 2, &share_file(&ceremony, "third-1", 2), &[]).done();
    let list = ceremony.home(2).join("cluster.toml").display().to_string();
    run(&with(members(&ceremony, "fourth-1"), "--members", &list)).done();
    let before = texts(&ceremony);
    let refused = import(&ceremony, 1, &share_file(&ceremony, "fourth-1", 1), &[]);
    refused.refused(3, &["edition 3", SECOND, "older cluster.toml"]);
    assert_eq!(texts(&ceremony), before);
    import(&ceremony, 2, &share_file(&ceremony, "fourth-1", 2), &[]).done();
    ceremony.check(1).done();
    ceremony.check(2).done();
}

#[test]
fn an_exported_share_goes_to_another_machine_of_its_member_without_its_watermark() {
    let ceremony = split();
    ceremony.write("passphrase", "correct horse");
    // The backup of a home from before the second chain, of which keys/ may come back.
    let (now, then) = (ceremony.home(1), ceremony.root.path().join("then"));
    copy(&now, &then);
    run(&join(&ceremony, SECOND)).done();
    let settings = read(&ceremony, 1, "cosigner.toml");
    let changed = settings.replace(
        &format!("]]\nid = \"{SECOND}\"\n"),
        &format!("]]\nid = \"{SECOND}\"\ngive_up_after = \"never\"\n"),
    );
    fs::write(now.join("cosigner.toml"), changed).unwrap();
    let (home, out) = (now.display().to_string(), ceremony.path("one.share"));
    let passphrase = ceremony.path("passphrase");
    let export = |chain: &str| {
        let args = ["share", "export", "--home", &home, "--chain-id", chain, "--out", &out];
        cosigner(&[args.as_slice(), &["--passphrase-file", &passphrase]].concat())
    };
    export("absent-1").refused(2, &["absent-1", "cluster.toml does not have"]);
    assert!(export(SECOND).done().contains("--state-height H"));
    export(SECOND).refused(3, &["never overwritten"]);
    import(&ceremony, 1, &out, &[]).refused(3, &["already"]);
    let dealt = share(&ceremony, 1, SECOND);

    fs::remove_dir_all(&now).unwrap();
    fs::rename(&then, &now).unwrap();
    import(&ceremony, 2, &out, &[]).refused(3, &["share of member 1", "home is member 2's"]);
    import(&ceremony, 1, &out, &[]).refused(2, &["no watermark", "--state-height H"]);
    import(&ceremony, 1, &out, &["--state-height", HEIGHT]).done();
    assert_eq!(share(&ceremony, 1, SECOND), dealt);
    assert!(read(&ceremony, 1, "cosigner.toml").contains("give_up_after = \"never\""));
    assert_added(&ceremony, SECOND);
}

fn copy(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status().unwrap();
    assert!(copied.success());
}

#[test]
fn a_cluster_around_one_key_gets_another_whole_key_and_a_split_one() {
    let ceremony = Ceremony::new();
    run(&ceremony.init_args(3)).done();
    let file = ceremony.path("whole-2.json");
    key::write_throwaway(Path::new(&file));
    let homes = homes(&ceremony);
    let args: Vec<String> =
        ["init", "--chain-id", "whole-2", "--backend", "file", "--path", &file, "--never-signed"]
            .map(str::to_owned)
            .to_vec();
    let joining: Vec<&str> = homes.iter().map(String::as_str).collect();
    let args = and(and(args, &["--join"]), &joining);
    run(&args[..args.len() - 1]).refused(2, &["member 3 is missing"]);
    run(&args).done();
    run(&args).refused(3, &["already"]);
    run(&join(&ceremony, SECOND)).done();
    for id in 1..=3 {
        let summary = ceremony.check(id).done();
        assert!(summary.contains("chain whole-2: whole key (file) can be used, 2 of 3 must agree"));
        assert!(summary.contains(&format!("chain {SECOND}: 2-of-3")), "{summary}");
        assert!(summary.contains(&format!("chain {CHAIN}: whole key")), "{summary}");
    }
    let alone = Ceremony::new();
    run(&alone.init_args(0)).done();
    let home = alone.path("home");
    run(&and(second(&alone, SECOND), &["--join", &home])).refused(2, &["signs alone"]);
}
