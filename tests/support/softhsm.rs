//! A token of SoftHSM2 in a directory of its own, and what is done to it from outside.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosigner::types::{Algorithm, PublicKey};
use ed25519_dalek::SigningKey;
use tempfile::TempDir;

use super::cluster::Backend;

/// The token's user PIN.
pub const PIN: &str = "right-pin";

const SO_PIN: &str = "so-pin-5678";
const TOKEN: &str = "validators";
const KEY: &str = "validator";

/// RFC 8410: what stands before the seed in a private key's DER.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// Where Debian, and others, have the module.
const MODULES: [&str; 4] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
];

/// A token that holds one key.
pub struct SoftHsm {
    directory: TempDir,
    public_key: PublicKey,
}

impl SoftHsm {
    /// The key is made in the token, and has never been anywhere else.
    pub fn generated() -> Self {
        Self::generated_of(Algorithm::Ed25519)
    }

    /// The same for another algorithm.
    pub fn generated_of(algorithm: Algorithm) -> Self {
        let mut token = Self::empty();
        let (key_type, length) = match algorithm {
            Algorithm::Ed25519 => ("EC:edwards25519", 32),
            _ => ("EC:secp256k1", 65),
        };
        let key = ["--key-type", key_type, "--label", KEY, "--id", "01"];
        token.pkcs11_tool(&[&["--login", "--pin", PIN, "--keypairgen"][..], &key].concat());
        let listed = token.pkcs11_tool(&["--list-objects", "--type", "pubkey", "--label", KEY]);
        let point = listed.lines().find_map(|line| line.trim().strip_prefix("EC_POINT:")).unwrap();
        // An OCTET STRING of it, or the key's bytes alone: they stand last.
        let point = hex::decode(point.trim()).unwrap();
        let point = &point[point.len() - length..];
        token.public_key = PublicKey::from_encoding(algorithm, point).unwrap();
        token
    }

    /// The key of this seed.
    pub fn imported(seed: [u8; 32]) -> Self {
        let mut token = Self::empty();
        let path = token.directory.path().join("import.pem");
        let der = STANDARD.encode([&PKCS8_PREFIX[..], &seed].concat());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        fs::write(&path, pem).unwrap();
        let to = ["--token", TOKEN, "--label", KEY, "--id", "01", "--pin", PIN];
        token.softhsm(&[&["--import", path.to_str().unwrap()][..], &to].concat());
        fs::remove_file(&path).unwrap();
        let key = SigningKey::from_bytes(&seed).verifying_key();
        token.public_key = PublicKey::ed25519(key.to_bytes());
        token
    }

    fn empty() -> Self {
        let directory = tempfile::Builder::new().prefix("softhsm-test.").tempdir().unwrap();
        let token = Self { directory, public_key: PublicKey::ed25519([0; 32]) };
        fs::create_dir(token.tokens()).unwrap();
        let settings = format!("directories.tokendir = {}\n", token.tokens().display());
        fs::write(token.configuration(), settings).unwrap();
        let pins = ["--pin", PIN, "--so-pin", SO_PIN];
        token.softhsm(&[&["--init-token", "--free", "--label", TOKEN][..], &pins].concat());
        token.write_pin(PIN);
        token
    }

    /// How `init` and `start` reach the key.
    pub fn backend(&self) -> Backend {
        let (module, pin_file) = (module(), self.pin_file());
        let path = |path: &Path| path.to_str().unwrap().to_owned();
        let flags = [
            ("--backend", "pkcs11".to_owned()),
            ("--module", path(&module)),
            ("--token-label", TOKEN.to_owned()),
            ("--key-label", KEY.to_owned()),
            ("--pin-file", path(&pin_file)),
            ("--algorithm", self.public_key.algorithm().name().to_owned()),
        ];
        Backend {
            flags: flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect(),
            environment: vec![("SOFTHSM2_CONF".to_owned(), path(&self.configuration()))],
            public_key: self.public_key.clone(),
        }
    }

    /// Puts this PIN into the file that `cosigner` reads; the token keeps its own.
    pub fn write_pin(&self, pin: &str) {
        fs::write(self.pin_file(), format!("{pin}\n")).unwrap();
        fs::set_permissions(self.pin_file(), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Moves the directory of tokens away, as when a mount is lost.
    pub fn take_away(&self) {
        fs::rename(self.tokens(), self.away()).unwrap();
    }

    /// The same, and leaves an empty directory: as if the token were pulled out of its slot.
    pub fn pull_out(&self) {
        self.take_away();
        fs::create_dir(self.tokens()).unwrap();
    }

    /// Puts the token back.
    pub fn bring_back(&self) {
        // The module may have left a lock in the empty one.
        if self.tokens().exists() {
            fs::remove_dir_all(self.tokens()).unwrap();
        }
        fs::rename(self.away(), self.tokens()).unwrap();
    }

    fn tokens(&self) -> PathBuf {
        self.directory.path().join("tokens")
    }

    fn away(&self) -> PathBuf {
        self.directory.path().join("away")
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("softhsm2.conf")
    }

    /// Where `cosigner` finds the PIN.
    pub fn pin_file(&self) -> PathBuf {
        self.directory.path().join("pin")
    }

    fn softhsm(&self, arguments: &[&str]) {
        self.run("softhsm2-util", arguments);
    }

    fn pkcs11_tool(&self, arguments: &[&str]) -> String {
        let module = module();
        let to = ["--module", module.to_str().unwrap(), "--token-label", TOKEN];
        self.run("pkcs11-tool", &[&to[..], arguments].concat())
    }

    fn run(&self, program: &str, arguments: &[&str]) -> String {
        let done = Command::new(program)
            .args(arguments)
            .env("SOFTHSM2_CONF", self.configuration())
            .output()
            .unwrap_or_else(|error| panic!("{program}: {error}: install softhsm2 and opensc"));
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{program} {arguments:?}: {said}");
        String::from_utf8(done.stdout).unwrap()
    }
}

fn module() -> PathBuf {
    let there = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
    there.expect("libsofthsm2.so: install softhsm2 and opensc")
}
