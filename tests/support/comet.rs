//! A real CometBFT node with one validator, on loopback.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosigner::types::{Algorithm, PublicKey};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::cluster::CHAIN;
use super::process::{Process, tail};
use super::{http, ports, wait};

/// How long a node may take for anything that does not depend on a signer's failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Who signs for the node.
pub enum Signer {
    /// The node's own key file: shows what the harness itself can see.
    Own,
    /// Whoever dials this `priv_validator_laddr`.
    Remote(String),
}

/// A node's home; a process once started.
pub struct Comet {
    /// Before the directory, so that the process is gone when its files are removed.
    process: Option<Process>,
    version: String,
    binary: PathBuf,
    rpc: SocketAddr,
    directory: Option<TempDir>,
}

/// One block's commit, as the next block carries it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Of the block that it commits.
    pub height: i64,
    /// In which round.
    pub round: i64,
    /// `BlockIDFlag` of our validator: 2 is a signature for the block.
    pub flag: i64,
}

/// The CometBFT version under test: `COSIGNER_COMETBFT`, else v0.38.23.
pub fn version() -> String {
    env::var("COSIGNER_COMETBFT").unwrap_or_else(|_| "v0.38.23".into())
}

/// Whether that version has vote extensions.
pub fn has_extensions() -> bool {
    !["v0.34.", "v0.37."].iter().any(|old| version().starts_with(old))
}

/// Whether that version asks for extensions without replay protection, too.
pub fn is_v2() -> bool {
    version().starts_with("v2.")
}

/// Builds that version with `scripts/cometbft`. Without Go this fails the test: a test that cannot
/// run has not passed.
fn build(version: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let built = Command::new(root.join("scripts/cometbft")).arg(version).output().unwrap();
    let said = String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "no CometBFT {version} to test with:\n{said}");
    PathBuf::from(String::from_utf8(built.stdout).unwrap().trim_end())
}

impl Comet {
    /// `cometbft init`, set up for a chain of one validator that makes blocks at the signer's speed.
    pub fn init(vote_extensions: bool) -> Self {
        Self::init_of(&version(), vote_extensions)
    }

    /// [`Comet::init`] with this version, for what only some versions have.
    pub fn init_of(version: &str, vote_extensions: bool) -> Self {
        let binary = build(version);
        let directory = tempfile::Builder::new().prefix("cometbft-test.").tempdir().unwrap();
        let done =
            Command::new(&binary).arg("init").arg("--home").arg(directory.path()).output().unwrap();
        assert!(done.status.success(), "cometbft init: {}", String::from_utf8_lossy(&done.stderr));
        let rpc = SocketAddr::from(([127, 0, 0, 1], ports::free()));
        edit_genesis(&directory.path().join("config/genesis.json"), vote_extensions);
        edit_config(&directory.path().join("config/config.toml"), rpc);
        let version = version.to_owned();
        Self { process: None, version, binary, rpc, directory: Some(directory) }
    }

    fn home(&self) -> &Path {
        self.directory.as_ref().unwrap().path()
    }

    /// Takes the validator's key away from the node; returns where it is now.
    pub fn take_key(&self) -> PathBuf {
        let taken = self.home().join("taken_priv_validator_key.json");
        fs::rename(self.home().join("config/priv_validator_key.json"), &taken).unwrap();
        fs::remove_file(self.home().join("data/priv_validator_state.json")).unwrap();
        taken
    }

    /// Makes this key the chain's only validator, instead of the node's own.
    pub fn set_validator(&self, public_key: &PublicKey) {
        let path = self.home().join("config/genesis.json");
        let mut genesis: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let validator = &mut genesis["validators"][0];
        validator["pub_key"]["value"] = json!(STANDARD.encode(public_key.as_bytes()));
        validator["address"] = json!(hex::encode_upper(public_key.address()));
        let algorithm = public_key.algorithm();
        validator["pub_key"]["type"] = json!(match algorithm {
            Algorithm::Ed25519 => "tendermint/PubKeyEd25519",
            Algorithm::Secp256k1 => "tendermint/PubKeySecp256k1",
            Algorithm::Secp256k1Eth => "tendermint/PubKeySecp256k1eth",
            Algorithm::MlDsa65 => "cometbft/PubKeyMlDsa65",
        });
        genesis["consensus_params"]["validator"]["pub_key_types"] = json!([algorithm.name()]);
        fs::write(&path, serde_json::to_vec_pretty(&genesis).unwrap()).unwrap();
        fs::remove_file(self.home().join("config/priv_validator_key.json")).unwrap();
        fs::remove_file(self.home().join("data/priv_validator_state.json")).unwrap();
    }

    /// The node's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Who the node is on `noise://`, as `show-node-id --libp2p` says.
    pub fn peer_id(&self) -> String {
        let mut show = Command::new(&self.binary);
        show.args(["show-node-id", "--libp2p", "--home"]).arg(self.home());
        let done = show.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    /// Gives the node this identity, the text of a `node_key.json`.
    pub fn set_node_key(&self, text: &str) {
        fs::write(self.home().join("config/node_key.json"), text).unwrap();
    }

    /// What the node has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(self.log()).unwrap_or_default()
    }

    /// The node's own signer's last state, as its file says.
    pub fn state_file(&self) -> PathBuf {
        self.home().join("data/priv_validator_state.json")
    }

    /// Where the node's own key is while it has one.
    pub fn key_file(&self) -> PathBuf {
        self.home().join("config/priv_validator_key.json")
    }

    /// SIGTERM, and waits for the end.
    pub fn stop(&mut self) {
        self.process.as_mut().unwrap().terminate();
        self.process = None;
    }

    /// Waits until the node has found no remote signer for 3 s: it has long written down by then what
    /// the last one signed.
    pub fn wait_signer_missing(&self) {
        let gone =
            || fs::read_to_string(self.log()).unwrap().contains("Error accepting connection");
        wait::until(PATIENCE, || "the node to miss its signer".into(), gone);
    }

    /// `kill -9`. A node that waits for a signer takes minutes to end otherwise.
    pub fn kill(&mut self) {
        self.process.as_mut().unwrap().kill();
        self.process = None;
    }

    /// Where `priv_validator_laddr` can be a unix socket.
    pub fn socket(&self) -> String {
        format!("unix://{}", self.home().join("privval.sock").display())
    }

    /// Starts the node. A remote signer must be dialling already: the node gives it 3 s.
    pub fn start(&mut self, signer: &Signer) {
        let mut start = Command::new(&self.binary);
        // In v2 kvstore asks for a second between blocks.
        let app = if is_v2() { "noop" } else { "kvstore" };
        start.arg("start").arg("--home").arg(self.home()).args(["--proxy_app", app]);
        if let Signer::Remote(address) = signer {
            start.args(["--priv_validator_laddr", address]);
        }
        self.process = Some(Process::start(start, &self.log()));
    }

    fn log(&self) -> PathBuf {
        self.home().join("cometbft.log")
    }

    fn rpc(&self, path: &str) -> Option<Value> {
        let answer = http::get(self.rpc, path).ok()?;
        let value: Value = serde_json::from_str(&answer.body).ok()?;
        value.get("result").cloned()
    }

    /// The latest block's height, 0 before the first and while the node does not answer.
    pub fn height(&self) -> i64 {
        self.rpc("/status").map_or(0, |status| number(&status["sync_info"]["latest_block_height"]))
    }

    /// Panics with the reason if consensus has stopped or the process has ended.
    pub fn assert_healthy(&mut self) {
        let ended = self.process.as_mut().unwrap().ended();
        assert!(ended.is_none(), "the node ended: {ended:?}\n{}", tail(&self.log(), 20));
        let log = String::from_utf8_lossy(&fs::read(self.log()).unwrap()).into_owned();
        let failure = log.lines().find(|line| line.contains("CONSENSUS FAILURE"));
        assert!(failure.is_none(), "consensus stopped: {}", failure.unwrap_or_default());
    }

    /// Waits until the chain is at `height`.
    pub fn wait_height(&mut self, height: i64, limit: Duration) {
        wait::until(
            limit,
            || format!("height {height}"),
            || {
                let now = self.height();
                if now == 0 {
                    self.assert_healthy();
                }
                now >= height
            },
        );
    }

    /// Waits for `count` more blocks.
    pub fn wait_blocks(&mut self, count: i64, limit: Duration) {
        let now = self.height();
        self.wait_height(now + count, limit);
    }

    /// Waits for the node to end by itself.
    pub fn wait_end(&mut self) -> ExitStatus {
        self.process.as_mut().unwrap().wait(PATIENCE)
    }

    /// The commits of heights 1 to `last`, read from the blocks above them.
    pub fn commits(&self, last: i64) -> Vec<Commit> {
        (1..=last)
            .map(|height| {
                let path = format!("/block?height={}", height + 1);
                let block = wait::some(PATIENCE, || path.clone(), || self.rpc(&path));
                let commit = &block["block"]["last_commit"];
                let signatures = commit["signatures"].as_array().unwrap();
                assert_eq!(signatures.len(), 1, "a chain of one validator: {commit}");
                Commit {
                    height: number(&commit["height"]),
                    round: number(&commit["round"]),
                    flag: number(&signatures[0]["block_id_flag"]),
                }
            })
            .collect()
    }
}

impl Drop for Comet {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        println!("--- end of the node's log\n{}", tail(&self.log(), 40));
        drop(self.process.take());
        if let Some(directory) = self.directory.take() {
            println!("--- kept for inspection: {}", directory.keep().display());
        }
    }
}

/// CometBFT's JSON writes 64-bit numbers as strings.
fn number(value: &Value) -> i64 {
    value
        .as_i64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("no number: {value}"))
}

fn edit_genesis(path: &Path, vote_extensions: bool) {
    let mut genesis: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    genesis["chain_id"] = json!(CHAIN);
    if vote_extensions {
        let parameters = genesis["consensus_params"].as_object_mut().unwrap();
        // `abci` up to v0.40, `feature` from v1.
        let place = if parameters.contains_key("feature") { "feature" } else { "abci" };
        let section = parameters.get_mut(place).expect("a version that knows vote extensions");
        section["vote_extensions_enable_height"] = json!("1");
    }
    fs::write(path, serde_json::to_vec_pretty(&genesis).unwrap()).unwrap();
}

/// Twenty blocks a second, and a round's ordinary patience: a proposal that waits for an election is
/// late, not refused, so every height still commits in round 0.
fn edit_config(path: &Path, rpc: SocketAddr) {
    let mut config: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
    let mut set = |section: &str, key: &str, value: &str| {
        let table = config[section].as_table_mut().unwrap();
        assert!(table.contains_key(key), "{section}.{key} is no setting of this version");
        table.insert(key.into(), value.into());
    };
    set("rpc", "laddr", &format!("tcp://{rpc}"));
    set("p2p", "laddr", &format!("tcp://127.0.0.1:{}", ports::free()));
    set("consensus", "timeout_commit", "50ms");
    fs::write(path, toml::to_string(&config).unwrap()).unwrap();
}
