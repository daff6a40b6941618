//! A split key with its homes, and the binary as an operator runs it.

// Each test binary uses its part of this.
#![allow(dead_code)]
// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use assert_cmd::Command;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;
use tempfile::TempDir;

/// A command that is still running then has not refused.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const CHAIN: &str = "test-chain-1";
pub(crate) const ADDRESS: &str = "56475AA75463474C0285DF5DBF2BCAB73DA65135";
pub(crate) const VALCONS: &str = "cosmosvalcons12er44f65vdr5cq59mawm7272ku76v5f4lj96wd";

pub(crate) struct Ceremony {
    pub(crate) root: TempDir,
    /// Ports that nobody listens on, for three cosigners.
    ports: Vec<u16>,
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn done(self) -> String {
        assert_eq!(self.code, 0, "{}", self.stderr);
        self.stdout
    }

    #[track_caller]
    pub(crate) fn refused(&self, code: i32, says: &[&str]) {
        assert_eq!(self.code, code, "{}", self.stderr);
        for word in says {
            assert!(self.stderr.contains(word), "no {word:?} in: {}", self.stderr);
        }
    }
}

pub(crate) fn cosigner(args: &[&str]) -> Ended {
    cosigner_told("", args)
}

/// With this on its standard input.
pub(crate) fn cosigner_told(input: &str, args: &[&str]) -> Ended {
    let mut command = Command::cargo_bin("cosigner").unwrap();
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("COSIGNER_")) {
        command.env_remove(name);
    }
    command.args(args).write_stdin(input).timeout(PATIENCE).output().unwrap().into()
}

/// The key of the seed 00..1f, as CometBFT writes it.
pub(crate) fn key_file() -> String {
    let seed: Vec<u8> = (0..32).collect();
    let public =
        hex::decode("03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8").unwrap();
    let private = BASE64.encode([seed, public.clone()].concat());
    let public = BASE64.encode(public);
    format!(
        r#"{{
  "address": "{ADDRESS}",
  "pub_key": {{ "type": "tendermint/PubKeyEd25519", "value": "{public}" }},
  "priv_key": {{ "type": "tendermint/PrivKeyEd25519", "value": "{private}" }}
}}"#
    )
}

impl Ceremony {
    pub(crate) fn new() -> Self {
        let ceremony = Self { root: tempfile::tempdir().unwrap(), ports: free_ports(3) };
        ceremony.write("key.json", &key_file());
        ceremony.write("state.json", r#"{"height":"12345","round":2,"step":3}"#);
        ceremony
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.root.path().join(name).display().to_string()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    pub(crate) fn address(&self, index: usize) -> String {
        format!("127.0.0.1:{}", self.ports[index])
    }

    /// The flags of a split that works.
    pub(crate) fn args(&self) -> Vec<String> {
        let mut args: Vec<String> =
            ["split-key", "--chain-id", CHAIN, "--threshold", "2"].map(str::to_owned).to_vec();
        for (flag, name) in
            [("--key-file", "key.json"), ("--state-file", "state.json"), ("--out", "out")]
        {
            args.extend([flag.to_owned(), self.path(name)]);
        }
        for index in 0..3 {
            args.extend(["--cosigner".to_owned(), self.address(index)]);
        }
        args.extend(["--validator".to_owned(), "tcp://127.0.0.1:26659".to_owned()]);
        args
    }

    pub(crate) fn split(&self) -> Ended {
        run(&self.args())
    }

    /// A split with one flag's value replaced.
    pub(crate) fn split_with(&self, flag: &str, value: &str) -> Ended {
        run(&with(self.args(), flag, value))
    }

    pub(crate) fn home(&self, id: usize) -> PathBuf {
        self.root.path().join("out").join(format!("cosigner-{id}"))
    }

    pub(crate) fn check(&self, id: usize) -> Ended {
        let home = self.home(id).display().to_string();
        cosigner(&["config", "check", "--home", &home, "--ops-listen", ""])
    }

    /// `start`, with the flags after it.
    pub(crate) fn start(&self, id: usize, more: &[&str]) -> Ended {
        let home = self.home(id).display().to_string();
        cosigner(&[&["start", "--home", &home, "--ops-listen", ""], more].concat())
    }

    /// `state …` of a home.
    pub(crate) fn state(&self, id: usize, args: &[&str]) -> Ended {
        let home = self.home(id).display().to_string();
        cosigner(&[&["state"], args, &["--home", &home]].concat())
    }

    pub(crate) fn edit(&self, id: usize, file: &str, from: &str, to: &str) {
        let path = self.home(id).join(file);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
    }

    pub(crate) fn watermark(&self, id: usize) -> PathBuf {
        let mut files = fs::read_dir(self.home(id).join("state/watermarks")).unwrap();
        files.next().unwrap().unwrap().path()
    }

    /// The flags of an `init` that works: with a key file, and so many cosigners.
    pub(crate) fn init_args(&self, cosigners: usize) -> Vec<String> {
        let mut args: Vec<String> =
            ["init", "--chain-id", CHAIN, "--backend", "file"].map(str::to_owned).to_vec();
        for (flag, name) in [("--path", "key.json"), ("--state-file", "state.json")] {
            args.extend([flag.to_owned(), self.path(name)]);
        }
        let to = if cosigners == 0 { ["--home", "home"] } else { ["--out", "out"] };
        args.extend([to[0].to_owned(), self.path(to[1])]);
        for index in 0..cosigners {
            args.extend(["--cosigner".to_owned(), self.address(index)]);
        }
        args.extend(["--validator".to_owned(), "tcp://127.0.0.1:26659".to_owned()]);
        args
    }

    #[track_caller]
    pub(crate) fn nothing_written(&self) {
        let names: BTreeSet<String> = fs::read_dir(self.root.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert!(!names.contains("out") && !names.contains("home"), "{names:?}");
    }
}

/// The same flags with one's value replaced.
pub(crate) fn with(mut args: Vec<String>, flag: &str, value: &str) -> Vec<String> {
    let at = args.iter().position(|arg| arg == flag).unwrap();
    args[at + 1] = value.to_owned();
    args
}

/// The same flags without one and its value.
pub(crate) fn without(mut args: Vec<String>, flag: &str) -> Vec<String> {
    let at = args.iter().position(|arg| arg == flag).unwrap();
    args.drain(at..at + 2);
    args
}

/// The same flags and more.
pub(crate) fn and(mut args: Vec<String>, more: &[&str]) -> Vec<String> {
    args.extend(more.iter().map(|&arg| arg.to_owned()));
    args
}

/// Mode of a path and of all inside: the path, whether it is a directory, permission bits.
pub(crate) fn modes(path: &Path) -> Vec<(PathBuf, bool, u32)> {
    let metadata = fs::metadata(path).unwrap();
    let mode = metadata.permissions().mode() & 0o7777;
    let mut found = vec![(path.to_owned(), metadata.is_dir(), mode)];
    if metadata.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(modes(&entry.unwrap().path()));
        }
    }
    found
}

pub(crate) fn run(args: &[String]) -> Ended {
    cosigner(&args.iter().map(String::as_str).collect::<Vec<_>>())
}

pub(crate) fn free_ports(count: usize) -> Vec<u16> {
    let held: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

/// Three homes that begin at 12345/2/3, not known what was signed there.
pub(crate) fn split() -> Ceremony {
    let ceremony = Ceremony::new();
    ceremony.split().done();
    ceremony
}

/// What `state show` says of home 1.
pub(crate) fn shown(ceremony: &Ceremony) -> Value {
    let text = ceremony.state(1, &["show", "--json"]).done();
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}
