//! A home with the gRPC service, and its callers.

#![allow(dead_code, reason = "every test binary uses another part of it")]
#![allow(unreachable_pub, reason = "every test binary is a crate of its own")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme, SupportedProtocolVersion};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::service_fn;

use super::support::cluster::{Backend, command};
use super::support::process::{Process, tail};
use super::support::{http, ports, wait};

/// Generated as the server is, from the same file.
#[allow(missing_docs, unused_qualifications, clippy::all, clippy::pedantic)]
pub mod pb {
    tonic::include_proto!("cosmos.kms.signerservice");
}

use pb::signer_service_client::SignerServiceClient;

/// How long anything here may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A home that is made by hand, or by `init`.
pub struct Home {
    // Before the directory, so that the process is gone when its files are removed.
    process: Option<Process>,
    pub listen: SocketAddr,
    ops: SocketAddr,
    pub environment: Vec<(String, String)>,
    root: PathBuf,
    _directory: TempDir,
}

/// What a command ended with.
pub struct Ended {
    pub code: i32,
    pub said: String,
}

impl Home {
    /// Without any chain.
    pub fn bare() -> Self {
        let home = Self::empty();
        for directory in ["", "state", "state/watermarks"] {
            let path = home.root.join(directory);
            fs::create_dir(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        }
        home.write("cosigner.toml", "");
        home
    }

    /// A node alone that signs for `test-chain-1` with the Ed25519 key of this seed.
    pub fn of_chain(seed: [u8; 32]) -> Self {
        let home = Self::empty();
        let key = home.directory().join("priv_validator_key.json");
        fs::write(&key, ed25519_file(seed)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let args = ["init", "--chain-id", "test-chain-1", "--backend", "file", "--never-signed"];
        let mut init = command();
        init.args(args).arg("--path").arg(&key).arg("--home").arg(&home.root);
        let done = init.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        home
    }

    /// Member 1 of a 2-of-3 cluster with shares of the key of this seed.
    pub fn of_shares(seed: [u8; 32]) -> Self {
        let mut home = Self::empty();
        let (key, out) = (home.directory().join("key.json"), home.directory().join("out"));
        fs::write(&key, ed25519_file(seed)).unwrap();
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        let mut split = command();
        split.args([
            "split-key",
            "--chain-id",
            "test-chain-1",
            "--threshold",
            "2",
            "--never-signed",
        ]);
        for _ in 0..3 {
            split.args(["--cosigner", &format!("127.0.0.1:{}", ports::free())]);
        }
        let done = split.arg("--key-file").arg(&key).arg("--out").arg(&out).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        home.root = out.join("cosigner-1");
        home
    }

    fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("service-test.").tempdir().unwrap();
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (listen, ops) = (at(ports::free()), at(ports::free()));
        let root = directory.path().join("home");
        let environment = Vec::new();
        Self { process: None, listen, ops, environment, root, _directory: directory }
    }

    pub fn directory(&self) -> &Path {
        self._directory.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// A file of the home, 0600.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Adds `[service]` with these lines below it, and an `[ops]` of its own.
    pub fn service(&self, text: &str) {
        let old = fs::read_to_string(self.path("cosigner.toml")).unwrap();
        let mut table: toml::Table = old.parse().unwrap();
        table.insert("ops".into(), toml::toml! { listen = (self.ops.to_string()) }.into());
        table.remove("service");
        let listen = match text.contains("listen = ") {
            true => String::new(),
            false => format!("listen = \"{}\"\n", self.listen),
        };
        self.write("cosigner.toml", &format!("{table}\n[service]\n{listen}{text}"));
    }

    /// `config check`.
    pub fn check(&self) -> Ended {
        self.command(&["config", "check"])
    }

    /// A `start` that is expected to end by itself.
    pub fn start_refused(&self) -> Ended {
        self.command(&["start"])
    }

    fn command(&self, args: &[&str]) -> Ended {
        let mut command = command();
        command.args(args).arg("--home").arg(&self.root).envs(self.environment.iter().cloned());
        let log = self.directory().join("command.log");
        let _ = fs::remove_file(&log);
        let code = Process::start(command, &log).wait(PATIENCE).code().unwrap();
        let mut said = String::new();
        fs::File::open(&log).unwrap().read_to_string(&mut said).unwrap();
        Ended { code, said }
    }

    /// Starts the node and waits until the service listens.
    pub fn start(&mut self) {
        let mut command = command();
        command.args(["start", "--log-level", "debug"]).arg("--home").arg(&self.root);
        command.envs(self.environment.iter().cloned());
        self.process = Some(Process::start(command, &self.log_path()));
        let log = self.log_path();
        wait::until(
            PATIENCE,
            || tail(&log, 20),
            || std::net::TcpStream::connect(self.listen).is_ok(),
        );
    }

    /// SIGTERM; the exit code.
    pub fn terminate(&mut self) -> i32 {
        self.process.take().unwrap().terminate().code().unwrap()
    }

    fn log_path(&self) -> PathBuf {
        self.directory().join("node.log")
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap()
    }

    pub fn get(&self, path: &str) -> http::Answer {
        http::get(self.ops, path).unwrap()
    }

    /// One key's part of `/status`.
    pub fn key_status(&self, id: &str) -> Value {
        let status: Value = serde_json::from_str(&self.get("/status").body).unwrap();
        let keys = status["service"]["keys"].as_array().unwrap();
        keys.iter().find(|key| key["id"] == id).unwrap().clone()
    }

    /// Waits for the cause of a key's fault; `None` is health.
    pub fn wait_fault(&self, id: &str, cause: Option<&str>) {
        wait::until(
            PATIENCE,
            || format!("{id} {cause:?}: {}", self.key_status(id)),
            || self.key_status(id)["key_fault"]["cause"].as_str() == cause,
        );
    }

    /// A caller without TLS.
    pub async fn client(&self) -> Client {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.listen)).unwrap();
        Client::new(endpoint.connect().await.unwrap())
    }

    /// A caller with TLS, and this certificate.
    pub async fn tls_client(
        &self,
        identity: Option<&Certificate>,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Client, tonic::transport::Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer));
        let mut config = match identity {
            Some(it) => {
                let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(it.key.clone()));
                let key = ring::sign::any_supported_type(&key).unwrap();
                // Not compared with each other: a thief has the certificate alone.
                let certified = CertifiedKey::new(vec![CertificateDer::from(it.der.clone())], key);
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(certified)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        let (connector, listen) = (TlsConnector::from(Arc::new(config)), self.listen);
        let connect = service_fn(move |_| {
            let connector = connector.clone();
            async move {
                let tcp = TcpStream::connect(listen).await?;
                let name = ServerName::try_from("localhost").unwrap();
                connector.connect(name, tcp).await.map(TokioIo::new)
            }
        });
        let endpoint = Endpoint::from_static("http://service");
        Ok(Client::new(endpoint.connect_with_connector(connect).await?))
    }
}

/// A caller.
#[derive(Clone)]
pub struct Client(SignerServiceClient<Channel>);

impl Client {
    fn new(channel: Channel) -> Self {
        Self(SignerServiceClient::new(channel))
    }

    pub async fn sign(&mut self, key: &str, payload: &[u8]) -> Result<Vec<u8>, Status> {
        let kind = Some(pb::payload::Kind::Generic(payload.to_vec()));
        self.sign_payload(key, Some(pb::Payload { kind })).await
    }

    pub async fn sign_payload(
        &mut self,
        key: &str,
        payload: Option<pb::Payload>,
    ) -> Result<Vec<u8>, Status> {
        let request = pb::SignRequest { key_id: key.to_owned(), payload };
        Ok(self.0.sign(request).await?.into_inner().signature)
    }

    pub async fn key(&mut self, id: &str) -> Result<pb::Key, Status> {
        let request = pb::GetKeyRequest { id: id.to_owned() };
        Ok(self.0.get_key(request).await?.into_inner().key.unwrap())
    }

    pub async fn keys(&mut self) -> Result<Vec<pb::Key>, Status> {
        Ok(self.0.get_keys(pb::GetKeysRequest {}).await?.into_inner().keys)
    }

    pub async fn ids(&mut self) -> Vec<String> {
        self.keys().await.unwrap().into_iter().map(|key| key.id).collect()
    }
}

/// A refusal's code and text.
#[track_caller]
pub fn assert_refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, text: &str) {
    let status = result.unwrap_err();
    assert_eq!((status.code(), status.message()), (code, text));
}

/// A self-signed certificate, as openssl would make it.
pub struct Certificate {
    pub der: Vec<u8>,
    pub key: Vec<u8>,
}

impl Certificate {
    pub fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, key: key.serialize_der() }
    }

    pub fn pin(&self) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(&self.der)))
    }

    /// Writes both in PEM into a home, and gives back the lines of `[service]`.
    pub fn install(&self, home: &Home) -> String {
        home.write("service.pem", &pem("CERTIFICATE", &self.der));
        home.write("service-key.pem", &pem("PRIVATE KEY", &self.key));
        "tls_cert = \"service.pem\"\ntls_key = \"service-key.pem\"\n".to_owned()
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", STANDARD.encode(der))
}

/// CometBFT's file of an Ed25519 key.
pub fn ed25519_file(seed: [u8; 32]) -> String {
    let key = ed25519_dalek::SigningKey::from_bytes(&seed);
    let public = key.verifying_key().to_bytes();
    json!({
        "address": hex::encode_upper(&Sha256::digest(public)[..20]),
        "pub_key": { "type": "tendermint/PubKeyEd25519", "value": STANDARD.encode(public) },
        "priv_key": {
            "type": "tendermint/PrivKeyEd25519",
            "value": STANDARD.encode(key.to_keypair_bytes()),
        },
    })
    .to_string()
}

/// `[[service.key]]` of a token or a KMS.
pub fn backend_key(id: &str, backend: &Backend) -> String {
    let fields = backend.flags.chunks(2).map(|pair| {
        let name = pair[0].trim_start_matches("--").replace('-', "_");
        format!("{name} = \"{}\"", pair[1])
    });
    let fields: Vec<String> = fields.collect();
    format!("[[service.key]]\nid = \"{id}\"\nkey = {{ {} }}\n", fields.join(", "))
}

/// `[[service.key]]` of a file in the home.
pub fn file_key(id: &str, path: &str, algorithm: &str) -> String {
    format!(
        "[[service.key]]\nid = \"{id}\"\n\
         key = {{ backend = \"file\", path = \"{path}\", algorithm = \"{algorithm}\" }}\n"
    )
}

/// Which server it is does not matter here.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
