//! A KMS emulator on loopback, installed by `scripts/kms-emulator`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cosigner::types::Algorithm;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::{Process, tail};
use super::{http, ports, wait};

/// The emulator, which keeps its keys when it is stopped and started again.
pub struct Ministack {
    program: PathBuf,
    home: TempDir,
    port: u16,
    process: Option<Process>,
}

impl Ministack {
    /// Installs it if it is not there, starts it, and waits until it answers.
    pub fn start() -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/kms-emulator");
        let installed = Command::new(script).output().unwrap();
        let said = String::from_utf8_lossy(&installed.stderr);
        assert!(installed.status.success(), "scripts/kms-emulator: {said}");
        let program = PathBuf::from(String::from_utf8(installed.stdout).unwrap().trim());
        let home = tempfile::tempdir().unwrap();
        let mut ministack = Self { program, home, port: ports::free(), process: None };
        ministack.start_again();
        ministack
    }

    /// Starts it on the port and with the keys of before.
    pub fn start_again(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .current_dir(self.home.path())
            .env("BIND_HOST", "127.0.0.1")
            .env("GATEWAY_PORT", self.port.to_string())
            .env("SERVICES", "kms")
            .env("IOT_MTLS_ENABLED", "0")
            .env("SFTP_ENABLED", "0")
            .env("PERSIST_STATE", "1")
            .env("STATE_DIR", self.home.path().join("state"));
        let log = self.home.path().join("ministack.log");
        self.process = Some(Process::start(command, &log));
        let address = self.address();
        wait::until(
            Duration::from_secs(30),
            || format!("the KMS emulator; the end of its log:\n{}", tail(&log, 20)),
            || http::get(address, "/_ministack/health").is_ok_and(|answer| answer.status == 200),
        );
    }

    /// Ends it; its port refuses connections then. Its keys are written to its directory.
    pub fn stop(&mut self) {
        self.process.take().unwrap().terminate();
    }

    /// It hangs, its sockets stay open.
    pub fn freeze(&self) {
        self.process.as_ref().unwrap().stop();
    }

    /// Goes on after [`freeze`](Self::freeze).
    pub fn thaw(&self) {
        self.process.as_ref().unwrap().cont();
    }

    /// Makes an Ed25519 key and returns its description, `KeyMetadata`.
    pub fn create_key(&self) -> Value {
        self.create_key_of(Algorithm::Ed25519)
    }

    /// The same for another algorithm.
    pub fn create_key_of(&self, algorithm: Algorithm) -> Value {
        let spec = match algorithm {
            Algorithm::Ed25519 => "ECC_NIST_EDWARDS25519",
            _ => "ECC_SECG_P256K1",
        };
        let wanted = json!({ "KeySpec": spec, "KeyUsage": "SIGN_VERIFY" });
        self.call("CreateKey", &wanted)["KeyMetadata"].clone()
    }

    /// Gives a key a name, `alias/…`.
    pub fn create_alias(&self, alias: &str, key_id: &str) {
        self.call("CreateAlias", &json!({ "AliasName": alias, "TargetKeyId": key_id }));
    }

    /// Calls an operation of KMS; an error fails the test.
    pub fn call(&self, operation: &str, body: &Value) -> Value {
        let limit = Some(Duration::from_secs(10));
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(limit).unwrap();
        stream.set_write_timeout(limit).unwrap();
        let body = body.to_string();
        let request = format!(
            "POST / HTTP/1.0\r\nHost: {}\r\nContent-Type: application/x-amz-json-1.1\r\n\
             X-Amz-Target: TrentService.{operation}\r\nContent-Length: {}\r\n\r\n{body}",
            self.address(),
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (header, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(header.contains(" 200 "), "{operation}: {text}");
        serde_json::from_str(body).unwrap()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// For `endpoint` in `cosigner.toml`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }
}
