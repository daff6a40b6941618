//! Moving in from other programs, and back out, with the real binary: `docs/migrate.md`, tried.
//!
//! Key and state files are written as those programs write them. The way through a real CometBFT node
//! is the last test.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "support/states.rs"]
mod states;
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosigner::types::PublicKey;
use serde_json::Value;
use states::{Precommit, tmkms};
use support::asker::{Ask, Asker, Ending, Kind};
use support::cluster::{Backend, CHAIN, Cluster, Shape, command};
use support::comet::{Comet, Signer};
use support::key;
use tempfile::TempDir;

/// For one answer, and for one step of a real node's story, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The block that the other program has signed last, and any other.
const BLOCK: u8 = 1;
const OTHER: u8 = 2;

/// What the other program leaves behind.
struct Left {
    directory: TempDir,
    key_file: PathBuf,
    private: [u8; 64],
    public: PublicKey,
}

impl Left {
    /// A key, as CometBFT writes it.
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key_file = directory.path().join("priv_validator_key.json");
        let public = PublicKey::ed25519(key::write_throwaway(&key_file));
        let file: Value = serde_json::from_slice(&fs::read(&key_file).unwrap()).unwrap();
        let private = BASE64.decode(file["priv_key"]["value"].as_str().unwrap()).unwrap();
        Self { directory, key_file, private: private.try_into().unwrap(), public }
    }

    /// A file, as private as a key has to be.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// What the program has signed last: a precommit in round 0.
    fn precommit(&self, height: i64) -> Precommit {
        Precommit::by(*self.private.first_chunk().unwrap(), CHAIN, height, BLOCK)
    }

    /// A node alone with the key in a file of another form.
    fn alone(&self, text: &[u8]) -> Shape {
        let path = self.write("secrets/key", &BASE64.encode(text)).display().to_string();
        let flags = ["--backend", "file", "--path", &path].map(str::to_owned).to_vec();
        Shape::alone(Backend { flags, environment: Vec::new(), public_key: self.public.clone() })
    }
}

/// `cosigner … --home` of a member, done.
fn done(cluster: &Cluster, id: usize, args: &[&str], files: &[&Path]) -> String {
    let mut command = command();
    command.args(args).arg("--home").arg(cluster.home(id)).args(files);
    let done = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?}: {}\n{stderr}", done.status);
    String::from_utf8(done.stdout).unwrap()
}

fn import(cluster: &Cluster, from: &str, files: &[&Path]) {
    for id in cluster.ids() {
        done(cluster, id, &["state", "import", "--from", from], files);
    }
}

/// What `state show --json` says, and that `config check` has nothing against a start.
fn shown(cluster: &Cluster, id: usize) -> Value {
    done(cluster, id, &["config", "check"], &[]);
    let text = done(cluster, id, &["state", "show", "--json"], &[]);
    serde_json::from_str::<Value>(&text).unwrap()[0].clone()
}

#[track_caller]
fn stands_at(cluster: &Cluster, height: i64, step: u8, signbytes: Option<String>) {
    for id in cluster.ids() {
        let shown = shown(cluster, id);
        let watermark = &shown["watermark"];
        assert_eq!((&watermark["height"], &watermark["step"]), (&height.into(), &step.into()));
        assert_eq!(shown["signbytes"], signbytes.clone().map_or(Value::Null, Value::from));
    }
}

/// A validator that asks on after the move; every member dials it.
struct Moved {
    cluster: Cluster,
    asker: Asker,
}

impl Moved {
    /// Makes the homes and imports; nothing is started yet.
    fn new(left: &Left, shape: Shape, from: &str, files: &[&Path]) -> Self {
        let mut asker = Asker::listen();
        asker.verify_with(left.public.clone());
        let cluster = Cluster::new(shape.validator_of_all(&asker.address()));
        import(&cluster, from, files);
        Self { cluster, asker }
    }

    #[track_caller]
    fn signs(&mut self, kind: Kind, height: i64, block: u8) {
        let ending = self.asker.ask(&Ask::new(kind, height, [block; 32]), PATIENCE);
        assert!(matches!(ending, Ending::Signed(_)), "{kind:?} {height}: {ending:?}");
    }

    #[track_caller]
    fn refuses(&mut self, kind: Kind, height: i64, block: u8) {
        let ending = self.asker.ask(&Ask::new(kind, height, [block; 32]), PATIENCE);
        assert!(matches!(ending, Ending::Refused(_)), "{kind:?} {height}: {ending:?}");
    }

    /// Starts, and asks around the precommit that the other program signed last.
    fn goes_on_after(&mut self, height: i64) {
        self.cluster.start_all();
        self.refuses(Kind::Precommit, height - 1, BLOCK);
        self.refuses(Kind::Prevote, height, BLOCK);
        self.refuses(Kind::Precommit, height, OTHER);
        self.signs(Kind::Proposal, height + 1, OTHER);
        self.refuses(Kind::Precommit, height, BLOCK);
        for id in self.cluster.ids() {
            self.cluster.terminate(id);
        }
    }
}

#[test]
fn a_key_and_its_state_move_in_from_cometbft() {
    let left = Left::new();
    let last = left.precommit(5_000);
    let state = left.write("data/priv_validator_state.json", &last.cometbft());
    let shape = Shape::file(1).key_file(left.key_file.clone());
    let shape = shape.begin("--state-file", state.display());
    let mut moved = Moved::new(&left, shape, "cometbft", &[&state]);
    stands_at(&moved.cluster, 5_000, 3, Some(last.signbytes()));
    moved.goes_on_after(5_000);
}

#[test]
fn a_key_and_its_state_move_in_from_tmkms() {
    let left = Left::new();
    // tmkms: 0 is a proposal, 2 a precommit; what was signed is not in the file.
    let state = left.write("state/cosigner-test-1_priv_validator_state.json", &tmkms(5_000, 2));
    let seed: [u8; 32] = *left.private.first_chunk().unwrap();
    let shape = left.alone(&seed).begin("--state-height", 4_999);
    let mut moved = Moved::new(&left, shape, "tmkms", &[&state]);
    stands_at(&moved.cluster, 5_000, 3, None);
    moved.goes_on_after(5_000);
}

#[test]
fn a_key_and_its_state_move_in_from_cosmos_kms() {
    let left = Left::new();
    let last = left.precommit(5_000);
    let state = left.write("state/cosigner-test-1.json", &last.cometbft());
    // Its key file may be base64 of seed and public key.
    let shape = left.alone(&left.private).begin("--state-file", state.display());
    let mut moved = Moved::new(&left, shape, "kms", &[&state]);
    stands_at(&moved.cluster, 5_000, 3, Some(last.signbytes()));
    moved.goes_on_after(5_000);
}

#[test]
fn what_was_signed_last_is_signed_again_after_the_move_if_the_file_says_what_it_was() {
    let left = Left::new();
    let state = left.write("state.json", &left.precommit(5_000).cometbft());
    let shape = Shape::file(1).key_file(left.key_file.clone());
    let shape = shape.begin("--state-file", state.display());
    let mut moved = Moved::new(&left, shape, "kms", &[&state]);
    moved.cluster.start_all();
    moved.refuses(Kind::Precommit, 5_000, OTHER);
    moved.signs(Kind::Precommit, 5_000, BLOCK);
    moved.signs(Kind::Proposal, 5_001, OTHER);
}

#[test]
fn a_cluster_around_one_key_moves_in_from_cometkms_at_the_highest_of_its_nodes() {
    let left = Left::new();
    let last = left.precommit(5_002);
    let files = [
        left.write("node-0/priv_validator_state.json", &left.precommit(5_000).cometbft()),
        left.write("node-1/priv_validator_state.json", &last.cometbft()),
        // As its Raft and its /status write it.
        left.write("node-2/state.json", &left.precommit(5_001).cometkms()),
    ];
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let shape = Shape::file(3).key_file(left.key_file.clone()).begin("--state-height", 4_999);
    let mut moved = Moved::new(&left, shape, "cometkms", &files);
    stands_at(&moved.cluster, 5_002, 3, Some(last.signbytes()));
    moved.goes_on_after(5_002);
}

#[test]
fn a_split_key_moves_in_from_horcrux_at_the_highest_of_its_cosigners() {
    let left = Left::new();
    let last = left.precommit(5_001);
    let name = |id: u8, kind: &str| format!("cosigner-{id}/state/{CHAIN}_{kind}_state.json");
    let files = [
        left.write(&name(1, "priv_validator"), &left.precommit(5_000).horcrux()),
        left.write(&name(1, "share_sign"), &last.share()),
        left.write(&name(2, "priv_validator"), &left.precommit(5_000).horcrux()),
        left.write(&name(2, "share_sign"), &last.share()),
        left.write(&name(3, "priv_validator"), &left.precommit(4_990).horcrux()),
        left.write(&name(3, "share_sign"), &left.precommit(4_990).share()),
    ];
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    let shape = Shape::new(2, 3).key_file(left.key_file.clone()).begin("--state-height", 4_999);
    let mut moved = Moved::new(&left, shape, "horcrux", &files);
    stands_at(&moved.cluster, 5_001, 3, Some(last.signbytes()));
    moved.goes_on_after(5_001);
}

/// Both dial the validator; the new one waits in its backlog until the old one is stopped.
#[test]
fn at_a_ceiling_one_signer_hands_over_to_another_and_no_height_is_signed_by_both() {
    let left = Left::new();
    let shape = Shape::file(1).key_file(left.key_file.clone()).begin("--state-height", 4_999);
    let mut old = Moved::new(&left, shape, "tmkms", &[&left.write("s.json", &tmkms(5_000, 2))]);
    done(&old.cluster, 1, &["state", "ceiling", "--height", "5001"], &[]);
    old.cluster.start_all();
    old.signs(Kind::Precommit, 5_001, BLOCK);

    let shape = Shape::new(2, 3).key_file(left.key_file.clone()).begin("--state-height", 5_001);
    let mut new = Cluster::new(shape.validator_of_all(&old.asker.address()));
    new.start_all();
    old.refuses(Kind::Proposal, 5_002, BLOCK);
    assert_eq!(old.cluster.status(1)["not_ready"][0], "ceiling_reached");
    old.cluster.terminate(1);
    old.refuses(Kind::Precommit, 5_001, OTHER);
    old.signs(Kind::Proposal, 5_002, BLOCK);
    for id in new.ids() {
        new.terminate(id);
    }
}

/// The node's own key file signs, then a cosigner, then the key file again.
#[test]
#[ignore = "needs Go; scripts/test runs it"]
fn a_chain_goes_on_with_a_cosigner_and_then_with_the_nodes_own_key_again() {
    let mut node = Comet::init(false);
    node.start(&Signer::Own);
    node.wait_height(10, PATIENCE);
    node.stop();
    let kept = tempfile::tempdir().unwrap();
    let state = kept.path().join("priv_validator_state.json");
    fs::copy(node.state_file(), &state).unwrap();
    let key_file = node.take_key();

    let address = node.socket();
    let shape = Shape::file(1).key_file(key_file.clone()).give_up_after("never");
    let mut cluster =
        Cluster::new(shape.begin("--state-file", state.display()).validator(1, &address));
    let before: Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    let taken = shown(&cluster, 1);
    assert_eq!(taken["watermark"]["height"].to_string(), before["height"].as_str().unwrap());
    assert_eq!(taken["signbytes"], before["signbytes"]);
    cluster.start(1);
    node.start(&Signer::Remote(address));
    node.wait_height(30, PATIENCE);
    assert_eq!(cluster.holder(), Some(1), "it is the cosigner that signs");

    // First the signer: what it signs last still reaches the node's own log.
    cluster.terminate(1);
    node.wait_signer_missing();
    node.kill();
    // What the node has made for itself meanwhile knows nothing of what was signed.
    let made: Value = serde_json::from_slice(&fs::read(node.state_file()).unwrap()).unwrap();
    assert_eq!(made["height"], "0");
    let out = kept.path().join("exported.json");
    done(&cluster, 1, &["state", "export", "--out", &out.display().to_string()], &[]);
    let exported: Value = serde_json::from_slice(&fs::read(&out).unwrap()).unwrap();
    let height: i64 = exported["height"].as_str().unwrap().parse().unwrap();
    assert!(height >= 30, "{exported}");
    fs::rename(out, node.state_file()).unwrap();
    fs::rename(key_file, node.key_file()).unwrap();
    node.start(&Signer::Own);
    node.wait_height(height + 20, PATIENCE);
    node.assert_healthy();
    let commits = node.commits(height + 10);
    assert!(commits.iter().all(|commit| commit.flag == 2), "{commits:?}");
}
