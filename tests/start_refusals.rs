//! Everything that `start` refuses, with the real binary: exit code 3 (2 where it is the
//! configuration), a text that says what to do, and a home that is as it was.

// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use cosigner::store::{Batch, Store};

#[path = "support/ceremony.rs"]
mod ceremony;

use ceremony::{CHAIN, Ceremony, cosigner};

/// Every path with its mode, and files with their bytes.
fn picture(path: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let mut found = BTreeMap::new();
    let metadata = fs::metadata(path).unwrap();
    let bytes = metadata.is_file().then(|| fs::read(path).unwrap());
    found.insert(path.to_owned(), (metadata.permissions().mode(), bytes));
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(picture(&entry.unwrap().path()));
        }
    }
    found
}

/// Homes of which `id` has been opened before, so that its lock file is there.
fn split(id: usize) -> Ceremony {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    ceremony.check(id).done();
    ceremony
}

/// All of a home but sled's index of what its log holds, which it makes anew at every opening.
fn kept(home: &Path) -> BTreeMap<PathBuf, (u32, Option<Vec<u8>>)> {
    let index = |path: &Path| path.file_name().unwrap().to_str().unwrap().starts_with("snap.");
    picture(home).into_iter().filter(|(path, _)| !index(path)).collect()
}

#[track_caller]
fn refused(ceremony: &Ceremony, id: usize, code: i32, says: &[&str]) {
    let before = kept(&ceremony.home(id));
    ceremony.start(id, &[]).refused(code, says);
    let after = kept(&ceremony.home(id));
    for (path, now) in &after {
        assert!(before.get(path) == Some(now), "{} has changed", path.display());
    }
    assert_eq!(before.len(), after.len(), "something is gone");
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::remove_dir_all(to).unwrap();
    for (path, (mode, bytes)) in picture(from) {
        let to = to.join(path.strip_prefix(from).unwrap());
        match bytes {
            Some(bytes) => fs::write(&to, bytes).unwrap(),
            None => fs::create_dir(&to).unwrap(),
        }
        set_mode(&to, mode & 0o7777);
    }
}

#[test]
fn a_missing_watermark() {
    let ceremony = split(1);
    fs::remove_file(ceremony.watermark(1)).unwrap();
    refused(&ceremony, 1, 3, &[CHAIN, "does not exist", "cosigner state init --home"]);
}

#[test]
fn a_watermark_with_one_slot_damaged_or_both_or_cut_off() {
    let ceremony = split(1);
    let whole = fs::read(ceremony.watermark(1)).unwrap();
    for (offsets, says) in [
        (vec![0], "slot 0 is damaged"),
        (vec![4096 + 479], "slot 1 is damaged"),
        (vec![17, 4096 + 40], "both of its slots are damaged"),
    ] {
        let mut bytes = whole.clone();
        for offset in offsets {
            bytes[offset] ^= 0x80;
        }
        fs::write(ceremony.watermark(1), bytes).unwrap();
        refused(&ceremony, 1, 3, &[CHAIN, says, "cosigner state raise --home"]);
    }
    fs::write(ceremony.watermark(1), &whole[..5000]).unwrap();
    refused(&ceremony, 1, 3, &["5000 bytes long", "cosigner state raise --home"]);
}

#[test]
fn the_keys_of_another_home() {
    let ceremony = split(1);
    copy(&ceremony.home(2).join("keys"), &ceremony.home(1).join("keys"));
    refused(&ceremony, 1, 3, &["keys of member 2", "id = 1", "put the right ones together"]);
    // An id to match does not make them this home's: now the state is another member's.
    ceremony.edit(1, "cosigner.toml", "id = 1", "id = 2");
    refused(&ceremony, 1, 3, &["state of member 1", "this home is member 2", "own state/"]);
}

#[test]
fn damaged_keys() {
    let ceremony = split(1);
    fs::write(ceremony.home(1).join("keys/db"), [0x5a; 9000]).unwrap();
    ceremony.start(1, &[]).refused(3, &["cosigner-1/keys", "bring keys/ (never state/) back"]);
}

#[test]
fn the_state_of_another_member_or_of_another_split() {
    let (ceremony, other) = (split(1), split(1));
    let own = ceremony.home(1).join("state");
    copy(&ceremony.home(2).join("state"), &own);
    fs::write(own.join("lock"), "").unwrap();
    set_mode(&own.join("lock"), 0o600);
    refused(&ceremony, 1, 3, &["state of member 2", "this home is member 1", "own state/"]);
    copy(&other.home(1).join("state"), &own);
    refused(&ceremony, 1, 3, &["another split", "wrote together with these keys/"]);
}

#[test]
fn a_state_without_its_incarnation_or_owner_or_database() {
    let ceremony = split(1);
    let path = ceremony.home(1).join("state/db");
    let whole = Store::open(&path).unwrap();
    let own = whole.get("incarnation", b"own").unwrap().unwrap();
    let owner = whole.get("incarnation", b"owner").unwrap().unwrap();
    drop(whole);
    let spoil = |key: &[u8], value: &[u8], why: &str| {
        let store = Store::open(&path).unwrap();
        let batch = Batch::new();
        let batch = match value {
            [] => batch.delete("incarnation", key),
            value => batch.put("incarnation", key, value),
        };
        store.commit_blocking(batch).unwrap();
        drop(store);
        refused(&ceremony, 1, 3, &["state/db", why, "never brought back", "split the key again"]);
    };
    spoil(b"own", &[], "no record of this node's incarnation");
    spoil(b"own", &own[1..], "has 23 bytes, not 24");
    spoil(b"owner", &[], "no record of the member that it belongs to");
    spoil(b"owner", &owner[..33], "has 33 bytes, not 34");
    fs::remove_dir_all(&path).unwrap();
    refused(&ceremony, 1, 3, &["state/db", "never brought back", "split the key again"]);
    fs::remove_dir_all(ceremony.home(1).join("state")).unwrap();
    refused(&ceremony, 1, 3, &["cosigner-1/state", "not found", "never brought back"]);
}

#[test]
fn an_edited_member_list() {
    let ceremony = Ceremony::new();
    ceremony.split_with("--threshold", "3").done();
    ceremony.check(1).done();
    ceremony.edit(1, "cluster.toml", "threshold = 3", "threshold = 2");
    refused(&ceremony, 1, 3, &["threshold is 2-of-3, sealed is 3-of-3", "from another member"]);
    ceremony.edit(1, "cluster.toml", "threshold = 2", "threshold = 3");
    let text = fs::read_to_string(ceremony.home(1).join("cluster.toml")).unwrap();
    let pins = text.lines().filter(|line| line.starts_with("certificate"));
    for (member, pin) in (1..).zip(pins) {
        let other = format!("certificate = \"sha256:{}\"", "ab".repeat(32));
        ceremony.edit(1, "cluster.toml", pin, &other);
        let whose = format!("certificate of member {member} is sha256:abab");
        refused(&ceremony, 1, 3, &[&whose, "from another member"]);
        ceremony.edit(1, "cluster.toml", &other, pin);
    }
    fs::remove_file(ceremony.home(1).join("cluster.toml")).unwrap();
    refused(&ceremony, 1, 2, &["cluster.toml: not found", "from another member"]);
}

#[test]
fn modes_that_let_others_in() {
    let ceremony = split(1);
    for (path, mode) in
        [("cosigner.toml", 0o644), ("keys", 0o755), ("state/watermarks", 0o710), ("keys/db", 0o640)]
    {
        let path = ceremony.home(1).join(path);
        let tight = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        set_mode(&path, mode);
        refused(&ceremony, 1, 3, &[&format!("run: chmod 0{tight:o} {}", path.display())]);
        set_mode(&path, tight);
    }
}

/// A node that runs until it is told to stop.
struct Running(Child);

impl Running {
    fn start(ceremony: &Ceremony, id: usize) -> Self {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_cosigner"));
        command.args(["start", "--ops-listen", "", "--home"]).arg(ceremony.home(id));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let started = lines.by_ref().any(|line| line.unwrap().contains("started"));
        assert!(started, "the node has ended");
        // Somebody has to read on, or the node's log blocks it.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    fn terminate(mut self) -> Option<i32> {
        let id = self.0.id().to_string();
        std::process::Command::new("kill").arg(&id).status().unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_home_that_another_process_runs() {
    let ceremony = split(1);
    let running = Running::start(&ceremony, 1);
    let says = ["another process uses this home", "stop the other one"];
    ceremony.start(1, &[]).refused(3, &says);
    ceremony.state(1, &["raise", "--height", "99999"]).refused(3, &says);
    ceremony.state(1, &["show"]).done();
    assert_eq!(running.terminate(), Some(0));
    ceremony.check(1).done();
}

#[test]
fn an_address_that_is_taken_is_named_by_its_setting() {
    let ceremony = split(1);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let home = ceremony.home(1).display().to_string();
    let ended = cosigner(&["start", "--home", &home, "--ops-listen", &address]);
    ended.refused(2, &["[ops] listen", &address, "change [ops] listen"]);
    let _taken = TcpListener::bind(ceremony.address(0)).unwrap();
    ceremony.start(1, &[]).refused(2, &["[node] listen", &ceremony.address(0)]);
}

#[test]
fn the_status_of_a_node_that_does_not_run() {
    let ceremony = split(1);
    let home = ceremony.home(1).display().to_string();
    let port = ceremony::free_ports(1)[0];
    let address = format!("127.0.0.1:{port}");
    let says = ["no answer", address.as_str(), "not running"];
    for form in [&["--json"][..], &[]] {
        let ask = ["status", "--home", &home, "--ops-listen", &address];
        cosigner(&[&ask, form].concat()).refused(1, &says);
    }
    cosigner(&["status", "--home", &home, "--ops-listen", ""]).refused(2, &["switched off"]);
}

#[test]
fn shows_settings_with_their_origin_and_takes_levels_per_module() {
    let ceremony = split(1);
    let home = ceremony.home(1).display().to_string();
    let level = "warn,cosigner::raft=debug";
    let shown = cosigner(&["config", "show", "--home", &home, "--log-level", level]).done();
    let origin = |key: &str| {
        let line = shown.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().last().unwrap().to_owned()
    };
    assert_eq!(origin("home"), "flag");
    assert_eq!(origin("node.id"), "cosigner.toml");
    assert_eq!(origin("log.level"), "flag");
    assert_eq!(origin("chain.\"test-chain-1\".give_up_after"), "default");
    assert!(shown.contains(level), "{shown}");
    ceremony.start(1, &["--log-level", "loud"]).refused(2, &["--log-level", "no log level"]);
}
