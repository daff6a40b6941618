//! The fences of this code base, checked: which room may use which, how long a file may be, and that
//! README names every invariant with tests that exist.
//!
//! The table here is the architecture document; README prints the same one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A room of `src/`, in the order in which they stand on each other.
struct Room {
    name: &'static str,
    holds: &'static str,
    /// The rooms that it uses, all of them above it.
    uses: &'static [&'static str],
}

const ROOMS: [Room; 16] = [
    Room {
        name: "types",
        holds: "chain id, height, round, step and their order, members, threshold (2t ≤ n cannot be made), incarnation",
        uses: &[],
    },
    Room {
        name: "privval",
        holds: "a validator's messages ↔ checked fields, canonical sign bytes, framing, SecretConnection, noise",
        uses: &["types"],
    },
    Room {
        name: "frost",
        holds: "RFC 9591 for Ed25519, pure: nonces, shares, aggregate; dealing",
        uses: &["types"],
    },
    Room {
        name: "watermark",
        holds: "the double-sign rule, pure; the two-slot file; state files of other programs, in and out",
        uses: &["types", "privval"],
    },
    Room { name: "store", holds: "sled, and writes that are durable when they return", uses: &[] },
    Room {
        name: "keystore",
        holds: "identity and shares at rest, sealed to their member list",
        uses: &["types", "frost", "store"],
    },
    Room {
        name: "raft",
        holds: "openraft: log, state machine, network, leadership as others see it",
        uses: &["types", "privval", "store"],
    },
    Room {
        name: "peer",
        holds: "links between cosigners: pinned TLS, messages, Raft's channels",
        uses: &["types", "privval", "frost", "watermark"],
    },
    Room {
        name: "backend",
        holds: "whole keys: file, PKCS#11, AWS KMS; grants, and the receipt that a complete set of them makes; the receipt of a key in no chain",
        uses: &["types", "privval", "watermark", "peer"],
    },
    Room {
        name: "signing",
        holds: "coordinator, participant, shares and grants that wait for their write, nonce pools; no I/O",
        uses: &["types", "privval", "frost", "watermark", "raft", "peer", "backend"],
    },
    Room {
        name: "validator",
        holds: "one connection to one validator: dial, handshake, answer in order, redial",
        uses: &["types", "privval", "peer", "signing"],
    },
    Room {
        name: "service",
        holds: "signatures over gRPC with keys that are in no chain: callers, keys' threads, connections",
        uses: &["types", "peer", "backend"],
    },
    Room { name: "ops", holds: "health, status, metrics, log lines", uses: &["types", "signing"] },
    Room {
        name: "config",
        holds: "cosigner.toml, cluster.toml, a home and its lock; opening all of it",
        uses: &[
            "types",
            "privval",
            "watermark",
            "store",
            "keystore",
            "peer",
            "backend",
            "validator",
            "service",
        ],
    },
    Room {
        name: "node",
        holds: "joins sockets, files, clocks and threads; decides nothing about signing",
        uses: &[
            "types",
            "privval",
            "frost",
            "watermark",
            "store",
            "raft",
            "peer",
            "backend",
            "signing",
            "validator",
            "service",
            "ops",
            "config",
        ],
    },
    Room {
        name: "cli",
        holds: "the commands, a file each",
        uses: &[
            "types",
            "privval",
            "frost",
            "watermark",
            "store",
            "keystore",
            "raft",
            "peer",
            "backend",
            "validator",
            "service",
            "ops",
            "config",
            "node",
        ],
    },
];

/// Rooms that are given time and messages, and never take them.
const WITHOUT_IO: [&str; 3] = ["types", "frost", "signing"];
const IO: [&str; 6] = ["tokio", "std::fs", "std::net", "std::thread", "Instant::now", "SystemTime"];

/// Lines of a file without its tests.
const LONGEST_FILE: usize = 500;

const BANNED: [&str; 3] = ["TODO", "FIXME", "dbg!"];

/// One file of `src/`, without tests.
struct Source {
    path: String,
    text: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).unwrap()
}

/// Every file that the product is made of: what `lib.rs` and its modules declare outside tests.
fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    let mut waiting = vec![PathBuf::from("src/lib.rs"), PathBuf::from("src/main.rs")];
    while let Some(path) = waiting.pop() {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let text = without_tests(&text);
        let directory = match path.file_stem().unwrap().to_str().unwrap() {
            "lib" | "main" => path.parent().unwrap().to_owned(),
            stem => path.with_file_name(stem),
        };
        for line in text.lines() {
            let declared = line.trim_start_matches("pub ").strip_prefix("mod ");
            // Generated code is declared with braces.
            if let Some(name) = declared.and_then(|rest| rest.strip_suffix(';')) {
                waiting.push(directory.join(format!("{name}.rs")));
            }
        }
        sources.push(Source { path: path.to_str().unwrap().to_owned(), text });
    }
    assert!(sources.len() > 50, "the walk over src/ lost its way");
    sources
}

/// Takes out what `#[cfg(test)]` stands over. Relies on rustfmt: an item ends where its indentation
/// comes back.
fn without_tests(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept.push_str(line);
            kept.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        let ends = [format!("{indent}}}"), format!("{indent}}};")];
        let mut item = lines.next().unwrap();
        while item.trim_start().starts_with("#[") {
            item = lines.next().unwrap();
        }
        if !item.ends_with(';') && !item.ends_with('}') {
            lines.by_ref().find(|line| ends.iter().any(|end| end == line)).unwrap();
        }
    }
    kept
}

/// Code without lines that are comments.
fn without_comments(text: &str) -> String {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| [line, "\n"]).collect()
}

/// `src/peer/wire.rs` is in room `peer`; `lib.rs` and `main.rs` are in none.
fn room_of(path: &str) -> Option<&str> {
    let name = path.strip_prefix("src/")?.split(['/', '.']).next()?;
    (name != "lib" && name != "main").then_some(name)
}

/// The names that follow `crate::`, also in `crate::{a, b::{c, d}}`.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let name = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut used = BTreeSet::new();
    for (_, rest) in
        code.match_indices("crate::").map(|(at, found)| (at, &code[at + found.len()..]))
    {
        let Some(group) = rest.strip_prefix('{') else {
            used.insert(name(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, c) in group.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth > 0 => depth -= 1,
                ',' if depth == 0 => {
                    used.insert(name(&group[start..at]));
                    start = at + 1;
                }
                '}' => {
                    used.insert(name(&group[start..at]));
                    break;
                }
                _ => {}
            }
        }
    }
    used.remove("");
    used
}

/// Room → rooms used → a file that does so.
fn edges() -> BTreeMap<String, BTreeMap<String, String>> {
    let mut edges: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for source in sources() {
        let Some(room) = room_of(&source.path) else { continue };
        for used in rooms_used(&without_comments(&source.text)) {
            if used != room {
                edges.entry(room.to_owned()).or_default().insert(used, source.path.clone());
            }
        }
    }
    edges
}

#[test]
fn every_room_is_in_the_table_and_uses_only_rooms_above_it() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let listed: BTreeSet<&str> = ROOMS.iter().map(|room| room.name).collect();
    assert_eq!(declared.collect::<BTreeSet<&str>>(), listed);
    let mut above = BTreeSet::new();
    for room in &ROOMS {
        for used in room.uses {
            assert!(
                above.contains(used),
                "{} may not use {used}: it does not stand above it",
                room.name
            );
        }
        above.insert(room.name);
    }
}

#[test]
fn rooms_use_what_the_table_says_and_nothing_else() {
    let found = edges();
    let mut wrong = String::new();
    for room in &ROOMS {
        let found = found.get(room.name).cloned().unwrap_or_default();
        for (used, file) in &found {
            if !room.uses.contains(&used.as_str()) {
                let _ = writeln!(
                    wrong,
                    "{file}: {} uses {used}, which the table does not allow",
                    room.name
                );
            }
        }
        for used in room.uses.iter().filter(|used| !found.contains_key(**used)) {
            let _ =
                writeln!(wrong, "the table says that {} uses {used}, and it does not", room.name);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// `super::` leads out of a room only from its own file, where `crate::` says so better.
#[test]
fn super_stays_inside_its_room() {
    for source in sources() {
        let depth = source.path.matches('/').count();
        let escape = "super::".repeat(depth);
        let code = without_comments(&source.text);
        assert!(
            !code.contains(&escape),
            "{}: {escape} leaves its room, write crate::",
            source.path
        );
    }
}

#[test]
fn rooms_that_decide_read_no_clock_and_open_nothing() {
    for source in sources() {
        if room_of(&source.path).is_some_and(|room| WITHOUT_IO.contains(&room)) {
            let code = without_comments(&source.text);
            for word in IO {
                assert!(!code.contains(word), "{}: {word} has no place in this room", source.path);
            }
        }
    }
}

#[test]
fn readme_shows_the_same_rooms() {
    let mut table = String::from("| room | holds | uses |\n|---|---|---|\n");
    for Room { name, holds, uses } in &ROOMS {
        let uses = if uses.is_empty() { "–".to_owned() } else { uses.join(", ") };
        let _ = writeln!(table, "| `{name}` | {holds} | {uses} |");
    }
    assert!(readme().contains(&table), "README.md does not have this table; paste it:\n\n{table}");
}

/// One row of README's table of invariants.
struct Invariant {
    code: Vec<String>,
    tests: Vec<String>,
}

/// Rows that begin with `| I1 |`: number, promise, code, tests.
fn invariants() -> BTreeMap<String, Invariant> {
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    let mut rows = BTreeMap::new();
    for line in readme().lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let ["", tag, _, code, tests, ""] = cells[..]
            && tags(tag).len() == 1
        {
            let row = Invariant { code: quoted(code), tests: quoted(tests) };
            assert!(rows.insert(tag.to_owned(), row).is_none(), "README has two rows of {tag}");
        }
    }
    rows
}

/// `I1` to `I8` as words of their own.
fn tags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let is_tag = |word: &&str| matches!(word.as_bytes(), [b'I', b'1'..=b'8']);
    words.filter(is_tag).map(str::to_owned).collect()
}

/// All Rust code that could hold a test, by path.
fn all_code() -> BTreeMap<String, String> {
    let mut code = BTreeMap::new();
    let mut waiting = vec![root().join("src"), root().join("tests")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                code.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    code
}

#[test]
fn every_tag_in_a_comment_has_its_row_in_readme() {
    let rows = invariants();
    for source in sources() {
        let comments = source.text.lines().filter_map(|line| line.split_once("//"));
        for tag in comments.flat_map(|(_, comment)| tags(comment)) {
            assert!(rows.contains_key(&tag), "{}: README has no row of {tag}", source.path);
        }
    }
}

#[test]
fn every_invariant_in_readme_names_code_and_tests_that_exist() {
    let code = all_code();
    let rows = invariants();
    assert!(!rows.is_empty(), "README has no table of invariants");
    for (tag, row) in rows {
        assert!(!row.code.is_empty() && !row.tests.is_empty(), "{tag}: code or tests are missing");
        for file in &row.code {
            let text = code.get(file).unwrap_or_else(|| panic!("{tag}: there is no {file}"));
            assert!(tags(text).contains(&tag), "{tag}: {file} does not speak of it");
        }
        for test in &row.tests {
            let exists = if test.ends_with(".rs") {
                // Code that must not compile.
                code.get(test).is_some_and(|text| text.contains("```compile_fail"))
            } else {
                code.values().any(|text| text.contains(&format!("fn {test}(")))
            };
            assert!(exists, "{tag}: there is no test {test}");
        }
    }
}

#[test]
fn no_file_is_the_place_where_everything_happens() {
    let mut long = String::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE {
            let _ = writeln!(long, "{} has {lines} lines", source.path);
        }
    }
    assert!(long.is_empty(), "more than {LONGEST_FILE} lines without tests:\n{long}");
}

#[test]
fn nothing_is_left_for_later() {
    for (path, text) in all_code() {
        if path == "tests/architecture.rs" {
            continue;
        }
        for word in BANNED {
            assert!(!text.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn unsafe_code_is_forbidden() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    assert_eq!(manifest["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
}

#[test]
fn the_scan_sees_what_it_is_meant_to_see() {
    let code =
        "use crate::a::{b, c};\nuse crate::{\n    d::{e, f},\n    g,\n};\nlet x = crate::h::i();";
    let used: Vec<String> = rooms_used(code).into_iter().collect();
    assert_eq!(used, ["a", "d", "g", "h"]);
    let text = "a\n#[cfg(test)]\nmod x;\nb\n    #[cfg(test)]\n    #[rustfmt::skip]\n    fn c() {\n        d\n    }\ne\n#[cfg(test)]\nmod tests {\n    f\n}\n";
    assert_eq!(without_tests(text), "a\nb\ne\n");
    assert_eq!(room_of("src/peer/wire/decode.rs"), Some("peer"));
    assert_eq!(room_of("src/lib.rs"), None);
    assert_eq!(
        tags("I1 and I9, xI2, I3: (I4)").into_iter().collect::<Vec<_>>(),
        ["I1", "I3", "I4"]
    );
}
