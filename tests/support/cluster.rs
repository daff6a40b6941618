//! A cluster of real `cosigner` processes on loopback, as `split-key` and `start` make it.

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cosigner::types::PublicKey;
use serde_json::Value;
use tempfile::TempDir;

use super::process::{Process, tail};
use super::shape::{configure, make_homes};
use super::{http, key, ports, wait};

pub use super::shape::{Backend, Mode, Shape};

/// The chain that every test cluster signs for.
pub const CHAIN: &str = "cosigner-test-1";

/// How long a cluster may take to elect somebody. The machine may be busy with other work; what an
/// election should take is measured by `cluster_failover`, not here.
const PATIENCE: Duration = Duration::from_secs(60);

struct Member {
    home: PathBuf,
    log: PathBuf,
    ops: SocketAddr,
    process: Option<Process>,
    stopped: bool,
}

/// The members are numbered from 1, as in their configuration.
pub struct Cluster {
    /// Before the directories, so that all processes are gone when their files are removed.
    members: Vec<Member>,
    public_key: PublicKey,
    quorum: usize,
    environment: Vec<(String, String)>,
    log_level: &'static str,
    directory: Option<TempDir>,
}

/// The binary under test: `COSIGNER_TEST_BINARY` (so that the release build can be put under tests
/// that are themselves built without optimisation), else the one that cargo built for this test.
pub fn binary() -> PathBuf {
    env::var_os("COSIGNER_TEST_BINARY")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_cosigner")), PathBuf::from)
}

/// A `cosigner` command that sees nothing of the caller's environment meant for another cosigner, or
/// for AWS.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in env::vars_os() {
        if ["COSIGNER_", "AWS_"].iter().any(|of| name.to_string_lossy().starts_with(of)) {
            command.env_remove(name);
        }
    }
    command
}

impl Cluster {
    /// A t-of-n cluster with a throwaway key, not yet started.
    pub fn split(threshold: usize, members: usize) -> Self {
        Self::new(Shape::new(threshold, members))
    }

    /// Makes the homes, by `split-key` or `init`, and gives every one its own ports.
    pub fn new(shape: Shape) -> Self {
        let directory = tempfile::Builder::new().prefix("cosigner-test.").tempdir().unwrap();
        let key_file = shape.key_file.clone().unwrap_or_else(|| {
            let path = directory.path().join("priv_validator_key.json");
            key::write_throwaway_of(shape.algorithm, &path);
            path
        });
        let out = directory.path().join("shares");
        make_homes(&shape, &key_file, &out);
        let members = (1..=shape.members)
            .map(|id| {
                let home = out.join(format!("cosigner-{id}"));
                let ops = SocketAddr::from(([127, 0, 0, 1], ports::free()));
                configure(&home, ops, &shape, id);
                let log = directory.path().join(format!("cosigner-{id}.log"));
                Member { home, log, ops, process: None, stopped: false }
            })
            .collect();
        let (quorum, public_key, environment) = match shape.mode {
            Mode::Threshold(threshold) => (threshold, key::public_of(&key_file), Vec::new()),
            Mode::File => (shape.members / 2 + 1, key::public_of(&key_file), Vec::new()),
            Mode::Backend(backend) => {
                (shape.members / 2 + 1, backend.public_key, backend.environment)
            }
        };
        Self {
            members,
            public_key,
            quorum,
            environment,
            log_level: shape.log_level,
            directory: Some(directory),
        }
    }

    /// Members that a signature needs.
    pub fn quorum(&self) -> usize {
        self.quorum
    }

    /// `GET` of any path at a member's `[ops] listen`.
    pub fn get(&self, id: usize, path: &str) -> Option<http::Answer> {
        http::get(self.member(id).ops, path).ok()
    }

    /// The validator's public key.
    pub fn public_key(&self) -> PublicKey {
        self.public_key.clone()
    }

    /// The directory that holds everything; on the disk where the members keep their state.
    pub fn directory(&self) -> &Path {
        self.directory.as_ref().unwrap().path()
    }

    /// The home of a member.
    pub fn home(&self, id: usize) -> &Path {
        &self.member(id).home
    }

    /// Who a member is for `noise://` validators, as `peer-id` says.
    pub fn peer_id(&self, id: usize) -> String {
        let done = command().arg("peer-id").arg("--home").arg(self.home(id)).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap().trim_end().to_owned()
    }

    /// Has every member dial this address, too, from its next start on.
    pub fn add_validator(&self, address: &str) {
        for id in self.ids() {
            let path = self.home(id).join("cosigner.toml");
            let mut text = fs::read_to_string(&path).unwrap().replace("validator = []\n", "");
            text.push_str(&format!(
                "\n[[validator]]\nchain_id = \"{CHAIN}\"\naddress = \"{address}\"\n"
            ));
            fs::write(&path, text).unwrap();
        }
    }

    /// All members, from 1 to n.
    pub fn ids(&self) -> Vec<usize> {
        (1..=self.members.len()).collect()
    }

    /// Those that run and are not stopped.
    pub fn running(&self) -> Vec<usize> {
        let runs = |id: &usize| self.member(*id).process.is_some() && !self.member(*id).stopped;
        self.ids().into_iter().filter(runs).collect()
    }

    fn member(&self, id: usize) -> &Member {
        &self.members[id - 1]
    }

    fn process(&self, id: usize) -> &Process {
        self.member(id).process.as_ref().unwrap_or_else(|| panic!("member {id} does not run"))
    }

    fn take_process(&mut self, id: usize) -> Process {
        let member = &mut self.members[id - 1];
        member.stopped = false;
        member.process.take().unwrap_or_else(|| panic!("member {id} does not run"))
    }

    /// Starts a member.
    pub fn start(&mut self, id: usize) {
        let member = self.member(id);
        assert!(member.process.is_none(), "member {id} runs already");
        let mut start = command();
        start.arg("start").arg("--home").arg(&member.home);
        start.args(["--log-format", "json", "--log-level", self.log_level]);
        start.envs(self.environment.iter().cloned());
        let process = Process::start(start, &member.log);
        self.members[id - 1].process = Some(process);
    }

    /// Starts all members and waits until they sign: ready, connected to each other, and led.
    pub fn start_all(&mut self) {
        for id in self.ids() {
            self.start(id);
        }
        self.wait_all_ready();
        self.wait_all_linked();
    }

    /// `kill -9`.
    pub fn kill(&mut self, id: usize) {
        self.take_process(id).kill();
    }

    /// `kill -9` and start again.
    pub fn restart(&mut self, id: usize) {
        self.kill(id);
        self.start(id);
    }

    /// SIGSTOP.
    pub fn stop(&mut self, id: usize) {
        self.process(id).stop();
        self.members[id - 1].stopped = true;
    }

    /// SIGCONT.
    pub fn cont(&mut self, id: usize) {
        self.process(id).cont();
        self.members[id - 1].stopped = false;
    }

    /// SIGTERM, and the clean end that is due then.
    pub fn terminate(&mut self, id: usize) {
        let status = self.take_process(id).terminate();
        assert_eq!(status.code(), Some(0), "member {id} after SIGTERM: {status}");
    }

    /// Panics if a member that should run has ended.
    pub fn assert_running(&mut self) {
        for (index, member) in self.members.iter_mut().enumerate() {
            if let Some(status) = member.process.as_mut().and_then(Process::ended) {
                panic!("member {} ended by itself: {status}", index + 1);
            }
        }
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self, id: usize) -> u64 {
        self.process(id).resident_kib()
    }

    /// The most that resident memory ever was, in KiB.
    pub fn peak_kib(&self, id: usize) -> u64 {
        self.process(id).peak_kib()
    }

    /// `GET /status`, if the member answers.
    pub fn try_status(&self, id: usize) -> Option<Value> {
        let answer = http::get(self.member(id).ops, "/status").ok()?;
        serde_json::from_str(&answer.body).ok()
    }

    /// `GET /status`.
    pub fn status(&self, id: usize) -> Value {
        wait::some(PATIENCE, || format!("/status of member {id}"), || self.try_status(id))
    }

    /// Why the member is not ready, if it answers. A standby without a validator is ready here: it
    /// waits in the node's backlog.
    fn not_ready(&self, id: usize) -> Option<Vec<String>> {
        let status = self.try_status(id)?;
        let words = status["not_ready"].as_array()?.iter().filter_map(Value::as_str);
        Some(words.filter(|word| *word != "no_validator").map(str::to_owned).collect())
    }

    /// Waits until the member could sign.
    pub fn wait_ready(&mut self, id: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.assert_running();
            let reasons = self.not_ready(id);
            if reasons.as_ref().is_some_and(Vec::is_empty) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "member {id} not ready in {PATIENCE:?}: {reasons:?}"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for all members that run.
    pub fn wait_all_ready(&mut self) {
        for id in self.running() {
            self.wait_ready(id);
        }
    }

    /// Whether the member says that it is connected to all others.
    fn is_linked(&self, id: usize) -> bool {
        let members = self.status(id)["members"].as_array().cloned().unwrap_or_default();
        members.iter().all(|it| it["connected"] == true)
    }

    /// Waits until every member is connected to every other; all must run. A member that cannot reach
    /// the leader coordinates its own requests, and what it signs is not replicated.
    fn wait_all_linked(&self) {
        let all = || self.ids().into_iter().all(|id| self.is_linked(id));
        wait::until(PATIENCE, || "all members to be connected".into(), all);
    }

    /// Who leads, once the leader itself and every other running member agree on it.
    pub fn wait_leader(&self) -> usize {
        wait::some(
            PATIENCE,
            || "a leader that all running members agree on".into(),
            || {
                let running = self.running();
                let seen: Vec<_> = running.iter().map(|id| self.leader_seen_by(*id)).collect();
                let leader = seen.first().copied().flatten()?;
                let agreed = seen.iter().all(|id| *id == Some(leader)) && running.contains(&leader);
                agreed.then_some(leader)
            },
        )
    }

    /// Who leads, as one member sees it.
    pub fn leader_seen_by(&self, id: usize) -> Option<usize> {
        let leader = &self.try_status(id)?["leader_id"];
        leader
            .as_u64()
            .and_then(|id| usize::try_from(id).ok())
            .or_else(|| leader.as_str()?.parse().ok())
    }

    /// The member that holds a validator's connection now.
    pub fn holder(&self) -> Option<usize> {
        self.running().into_iter().find(|id| {
            self.try_status(*id).is_some_and(|status| {
                let validators = status["validators"].as_array().cloned().unwrap_or_default();
                validators.iter().any(|validator| validator["connected"] == Value::Bool(true))
            })
        })
    }

    /// What all members have said so far, one text each.
    pub fn logs(&self) -> Vec<String> {
        let read = |member: &Member| fs::read(&member.log).unwrap_or_default();
        self.members
            .iter()
            .map(|member| String::from_utf8_lossy(&read(member)).into_owned())
            .collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !thread::panicking() {
            return;
        }
        for (index, member) in self.members.iter().enumerate() {
            println!("--- end of the log of member {}\n{}", index + 1, tail(&member.log, 40));
        }
        if let Some(directory) = self.directory.take() {
            println!("--- kept for inspection: {}", directory.keep().display());
        }
    }
}
