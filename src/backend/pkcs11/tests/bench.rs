//! Tokens of SoftHSM2 in a directory of the test's own, and what is done to them from outside.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::object::{Attribute, ObjectClass};
use cryptoki::session::UserType;
use ed25519_dalek::SigningKey;

use crate::backend::tests_support::{grant, precommit, raw};
use crate::backend::{Backends, KeyFault, Pin, Pkcs11Source, Signatures, Source, Token, WholeKey};
use crate::types::{Algorithm, PublicKey, Verifier};

pub(super) const LABEL: &str = "validators";
pub(super) const PIN: &str = "right-pin";
pub(super) const PIN_VARIABLE: &str = "COSIGNER_TEST_PIN";
const SO_PIN: &str = "so-pin-5678";
/// RFC 8410: what stands before the seed in a private key's DER.
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
const DIRECTORY: &str = "COSIGNER_TEST_TOKENS";
/// Where Debian, and others, have it.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

/// A directory with SoftHSM2's tokens; the environment of this process points to it.
pub(super) struct Bench {
    directory: PathBuf,
}

/// Runs `steps` in a second process of this very test, `name`, with tokens of its own.
pub(super) fn in_a_process_of_its_own(name: &str, steps: impl FnOnce(&Bench)) {
    if let Some(directory) = env::var_os(DIRECTORY) {
        steps(&Bench { directory: directory.into() });
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let configuration = directory.path().join("softhsm2.conf");
    fs::write(&configuration, format!("directories.tokendir = {}\n", tokens.display())).unwrap();
    let ran = Command::new(env::current_exe().unwrap())
        .args(["--exact", &format!("backend::pkcs11::tests::{name}"), "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", &configuration)
        .env(DIRECTORY, directory.path())
        .env(PIN_VARIABLE, PIN)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success() && out.contains("1 passed"), "{out}\n{err}");
}

/// Signs a vote, its extension, and raw bytes.
pub(super) fn signs(key: &mut dyn WholeKey) {
    sign(key).unwrap();
    let signed = key.sign_raw(raw(100)).unwrap();
    let verifier = Verifier::new(key.public_key()).unwrap();
    assert!(verifier.accepts(raw(100).as_bytes(), &signed));
}

/// A signature over a vote and its extension, both verified.
pub(super) fn sign(key: &mut dyn WholeKey) -> Result<Signatures, KeyFault> {
    let public_key = key.public_key().clone();
    let (granted, vote, extension) = grant(&public_key, &precommit(5), Some(b"ext"));
    let signatures = key.sign(granted)?;
    let verifier = Verifier::new(&public_key).unwrap();
    let made = [signatures.vote.clone(), signatures.extension.clone()];
    for (bytes, signature) in [vote, extension.unwrap()].iter().zip(made) {
        assert!(verifier.accepts(bytes, &signature.unwrap()));
    }
    Ok(signatures)
}

impl Bench {
    pub(super) fn module(&self) -> PathBuf {
        let there = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
        there.expect("libsofthsm2.so: install softhsm2 and opensc")
    }

    /// The key in the token [`LABEL`], with the right PIN.
    pub(super) fn source(&self, label: Option<&str>, id: Option<Vec<u8>>) -> Pkcs11Source {
        Pkcs11Source {
            algorithm: Algorithm::Ed25519,
            module: self.module(),
            token: Token::Label(LABEL.to_owned()),
            key_label: label.map(str::to_owned),
            key_id: id,
            pin: Pin::Inline(PIN.to_owned().into()),
        }
    }

    /// What is said without knowing the public key.
    pub(super) fn refusal(&self, source: &Pkcs11Source) -> String {
        let source = Source::Pkcs11(source.clone());
        Backends::default().open(&source, None).err().unwrap().to_string()
    }

    /// Makes a token; its slot.
    pub(super) fn token(&self, label: &str) -> u64 {
        let arguments = ["--init-token", "--free", "--label", label];
        let said = softhsm(&[&arguments[..], &["--pin", PIN, "--so-pin", SO_PIN]].concat());
        said.trim().rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub(super) fn generate(&self, token: &str, label: &str, id: &str) {
        self.generate_type(token, label, id, "EC:edwards25519");
    }

    pub(super) fn generate_type(&self, token: &str, label: &str, id: &str, key_type: &str) {
        let arguments = ["--keypairgen", "--key-type", key_type, "--label", label, "--id", id];
        self.pkcs11_tool(token, PIN, &arguments);
    }

    /// Puts a new key into a token from outside; its public half.
    pub(super) fn import(&self, token: &str, label: &str, id: &str) -> PublicKey {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).unwrap();
        let key = SigningKey::from_bytes(&seed);
        let path = self.directory.join("import.pem");
        let der = BASE64.encode([&PKCS8_PREFIX[..], &seed].concat());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        fs::write(&path, pem).unwrap();
        let arguments = ["--import", path.to_str().unwrap(), "--token", token, "--label", label];
        softhsm(&[&arguments[..], &["--id", id, "--pin", PIN]].concat());
        PublicKey::ed25519(key.verifying_key().to_bytes())
    }

    pub(super) fn delete(&self, token: &str, label: &str) {
        for kind in ["privkey", "pubkey"] {
            self.pkcs11_tool(token, PIN, &["--delete-object", "--type", kind, "--label", label]);
        }
    }

    /// Before anything else in this process has initialised the module.
    pub(super) fn forbid_signing(&self, token: &str, label: &str) {
        let context = Pkcs11::new(self.module()).unwrap();
        context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)).unwrap();
        let mut slots = context.get_slots_with_token().unwrap().into_iter();
        let is_it = |slot| context.get_token_info(slot).unwrap().label() == token;
        let session = context.open_rw_session(slots.find(|slot| is_it(*slot)).unwrap()).unwrap();
        session.login(UserType::User, Some(&PIN.to_owned().into())).unwrap();
        let label = Attribute::Label(label.as_bytes().to_vec());
        let key = [Attribute::Class(ObjectClass::PRIVATE_KEY), label];
        let key = session.find_objects(&key).unwrap()[0];
        session.update_attributes(key, &[Attribute::Sign(false)]).unwrap();
        session.close().unwrap();
        context.finalize().unwrap();
    }

    pub(super) fn change_pin(&self, token: &str, old: &str, new: &str) {
        self.pkcs11_tool(token, old, &["--change-pin", "--new-pin", new]);
    }

    pub(super) fn pin_file(&self, content: &str) -> PathBuf {
        let path = self.directory.join("pin");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// As if the token were pulled out.
    pub(super) fn take_away(&self) {
        fs::rename(self.tokens(), self.away()).unwrap();
        fs::create_dir(self.tokens()).unwrap();
    }

    pub(super) fn bring_back(&self) {
        // The module may have left a lock of its own in there.
        fs::remove_dir_all(self.tokens()).unwrap();
        fs::rename(self.away(), self.tokens()).unwrap();
    }

    fn tokens(&self) -> PathBuf {
        self.directory.join("tokens")
    }

    fn away(&self) -> PathBuf {
        self.directory.join("away")
    }

    fn pkcs11_tool(&self, token: &str, pin: &str, arguments: &[&str]) {
        let module = self.module();
        let module = module.to_str().unwrap();
        let to = ["--module", module, "--token-label", token, "--login", "--pin", pin];
        run("pkcs11-tool", &[&to[..], arguments].concat());
    }
}

fn softhsm(arguments: &[&str]) -> String {
    run("softhsm2-util", arguments)
}

fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(Path::new(program)).args(arguments).output();
    let done =
        done.unwrap_or_else(|error| panic!("{program}: {error}: install softhsm2 and opensc"));
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(
        done.status.success(),
        "{program} {arguments:?}: {out}{}",
        String::from_utf8_lossy(&done.stderr)
    );
    out
}
