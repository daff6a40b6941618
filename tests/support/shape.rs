//! What a cluster shall look like, and the homes that make it so.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use cosigner::types::{Algorithm, PublicKey};

use super::cluster::{CHAIN, command};
use super::ports;

/// How a cluster signs.
pub enum Mode {
    /// So many shares of a key that `split-key` has split.
    Threshold(usize),
    /// With one whole key in a file, as `init --backend file` makes it; alone if there is one member.
    File,
    /// With one whole key behind another backend.
    Backend(Backend),
}

/// A whole key that is not in a file.
pub struct Backend {
    /// `--backend` and the backend's flags.
    pub flags: Vec<String>,
    /// What `init` and `start` find in their environment.
    pub environment: Vec<(String, String)>,
    /// The consensus key.
    pub public_key: PublicKey,
}

/// What a cluster shall look like.
pub struct Shape {
    /// How it signs.
    pub mode: Mode,
    /// n.
    pub members: usize,
    /// What the key signs with.
    pub algorithm: Algorithm,
    /// The chain's `privval_version`, the default if absent.
    pub privval_version: Option<&'static str>,
    /// The consensus key; a fresh one if absent.
    pub key_file: Option<PathBuf>,
    /// Which validator address each member dials. Members that are not named dial nobody.
    pub validators: BTreeMap<usize, Vec<String>>,
    /// Which `endpoint` of the backend each member uses, if not the one that `init` was given.
    pub endpoints: BTreeMap<usize, String>,
    /// `give_up_after` of the chain, the default if absent.
    pub give_up_after: Option<&'static str>,
    /// `raw_bytes` of the chain as each member has it; members that are not named leave it out.
    pub raw_bytes: BTreeMap<usize, &'static str>,
    /// `privval_version = "v2"` and `non_rp_extensions = true` of the chain.
    pub v2: bool,
    /// Further settings of the chain.
    pub chain_settings: Vec<(&'static str, toml::Value)>,
    /// `--log-level`.
    pub log_level: &'static str,
    /// Where the watermarks begin: the flags of `split-key` and `init` for that.
    pub begin: Vec<String>,
}

impl Shape {
    /// t of n, without validators.
    pub fn new(threshold: usize, members: usize) -> Self {
        Self::of(Mode::Threshold(threshold), members)
    }

    /// So many members around one whole key in a file; 1 is a node alone.
    pub fn file(members: usize) -> Self {
        Self::of(Mode::File, members)
    }

    /// A node alone with this backend.
    pub fn alone(backend: Backend) -> Self {
        Self::around(backend, 1)
    }

    /// So many members around the one key of this backend.
    pub fn around(backend: Backend, members: usize) -> Self {
        Self::of(Mode::Backend(backend), members)
    }

    fn of(mode: Mode, members: usize) -> Self {
        Self {
            mode,
            members,
            algorithm: Algorithm::Ed25519,
            privval_version: None,
            key_file: None,
            validators: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            give_up_after: None,
            raw_bytes: BTreeMap::new(),
            v2: false,
            chain_settings: Vec::new(),
            log_level: "info",
            begin: vec!["--never-signed".into()],
        }
    }

    /// With a key of this algorithm.
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// The chain's `privval_version`.
    pub fn privval_version(mut self, version: &'static str) -> Self {
        self.privval_version = Some(version);
        self
    }

    /// Any setting of the chain.
    pub fn chain_setting(mut self, name: &'static str, value: impl Into<toml::Value>) -> Self {
        self.chain_settings.push((name, value.into()));
        self
    }

    /// Begins elsewhere than with `--never-signed`.
    pub fn begin(mut self, flag: &str, value: impl ToString) -> Self {
        self.begin = vec![flag.into(), value.to_string()];
        self
    }

    /// Member `id` dials `address`.
    pub fn validator(mut self, id: usize, address: impl Into<String>) -> Self {
        self.validators.entry(id).or_default().push(address.into());
        self
    }

    /// Every member dials `address`.
    pub fn validator_of_all(mut self, address: &str) -> Self {
        for id in 1..=self.members {
            self = self.validator(id, address);
        }
        self
    }

    /// Member `id` reaches the key through `endpoint`.
    pub fn endpoint(mut self, id: usize, endpoint: String) -> Self {
        self.endpoints.insert(id, endpoint);
        self
    }

    /// Shards this key instead of a throwaway one.
    pub fn key_file(mut self, path: PathBuf) -> Self {
        self.key_file = Some(path);
        self
    }

    /// `--log-level`.
    pub fn log_level(mut self, level: &'static str) -> Self {
        self.log_level = level;
        self
    }

    /// These members have this `raw_bytes`.
    pub fn raw_bytes(mut self, ids: &[usize], value: &'static str) -> Self {
        self.raw_bytes.extend(ids.iter().map(|&id| (id, value)));
        self
    }

    /// The validators are CometBFT v2, and their application returns extensions without replay
    /// protection.
    pub fn v2(mut self) -> Self {
        self.v2 = true;
        self
    }

    /// The chain's `give_up_after`.
    pub fn give_up_after(mut self, value: &'static str) -> Self {
        self.give_up_after = Some(value);
        self
    }
}

/// Writes the homes `out/cosigner-1` … as an operator would.
pub(super) fn make_homes(shape: &Shape, key_file: &Path, out: &Path) {
    let mut make = command();
    match &shape.mode {
        Mode::Threshold(threshold) => {
            make.arg("split-key").arg("--key-file").arg(key_file);
            make.args(["--threshold", &threshold.to_string()]);
        }
        Mode::File => {
            make.args(["init", "--backend", "file", "--path"]).arg(key_file);
            if shape.algorithm != Algorithm::Ed25519 {
                make.args(["--algorithm", shape.algorithm.name()]);
            }
        }
        Mode::Backend(backend) => {
            make.arg("init").args(&backend.flags).envs(backend.environment.iter().cloned());
        }
    }
    make.args(["--chain-id", CHAIN]).args(&shape.begin);
    if shape.members == 1 {
        fs::create_dir(out).unwrap();
        make.arg("--home").arg(out.join("cosigner-1"));
    } else {
        for _ in 0..shape.members {
            make.args(["--cosigner", &format!("127.0.0.1:{}", ports::free())]);
        }
        make.arg("--out").arg(out);
    }
    let done = make.output().unwrap();
    assert!(
        done.status.success(),
        "{make:?}: {}\n{}{}",
        done.status,
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
}

/// Loopback ports, validators, `endpoint`, `give_up_after` and `raw_bytes` for one home.
pub(super) fn configure(home: &Path, ops: SocketAddr, shape: &Shape, id: usize) {
    let path = home.join("cosigner.toml");
    let mut config: toml::Table = fs::read_to_string(&path).unwrap().parse().unwrap();
    let ops = toml::toml! { listen = (ops.to_string()) };
    config.insert("ops".into(), ops.into());
    for chain in config["chain"].as_array_mut().unwrap() {
        let chain = chain.as_table_mut().unwrap();
        if let Some(give_up_after) = shape.give_up_after {
            chain.insert("give_up_after".into(), give_up_after.into());
        }
        if let Some(&raw_bytes) = shape.raw_bytes.get(&id) {
            chain.insert("raw_bytes".into(), raw_bytes.into());
        }
        if shape.v2 {
            chain.insert("privval_version".into(), "v2".into());
            chain.insert("non_rp_extensions".into(), true.into());
        }
        if let Some(version) = shape.privval_version {
            chain.insert("privval_version".into(), version.into());
        }
        for (name, value) in &shape.chain_settings {
            chain.insert((*name).to_owned(), value.clone());
        }
        if let Some(endpoint) = shape.endpoints.get(&id) {
            let key = chain["key"].as_table_mut().unwrap();
            key.insert("endpoint".into(), endpoint.clone().into());
        }
    }
    let validators: Vec<toml::Value> = shape
        .validators
        .get(&id)
        .into_iter()
        .flatten()
        .map(|address| {
            let mut entry = toml::Table::new();
            entry.insert("chain_id".into(), CHAIN.into());
            entry.insert("address".into(), address.clone().into());
            entry.into()
        })
        .collect();
    config.insert("validator".into(), validators.into());
    // Written in place: the mode stays.
    fs::write(&path, toml::to_string(&config).unwrap()).unwrap();
}
