//! Keys in AWS KMS, against an emulator that speaks its protocol over HTTP.

#![cfg(feature = "awskms")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::env;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use cosigner::backend::{AwsKmsSource, Backends, KeyFault, OpenError, Source, WholeKey};
use cosigner::types::{Algorithm, PublicKey, Signature, Verifier};
use serde_json::json;

use support::granted;
use support::kms_fault::{self, Call, KmsFault};
use support::ministack::Ministack;

/// The emulator takes any.
const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"),
    ("AWS_REGION", "us-east-1"),
    ("AWS_EC2_METADATA_DISABLED", "true"),
];

/// Runs a test with `environment` and nothing else that AWS tools read: itself, as a process of its
/// own. True in that process.
fn in_environment(test: &str, environment: &[(&str, &str)]) -> bool {
    const INSIDE: &str = "COSIGNER_TEST_INSIDE";
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--include-ignored", "--nocapture"]).env(INSIDE, "1");
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AWS_")) {
        command.env_remove(name);
    }
    command.env("HOME", home.path()).envs(environment.iter().copied());
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, told) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}\n{told}");
    false
}

fn source(endpoint: String, key_id: &str) -> Source {
    source_of(Algorithm::Ed25519, endpoint, key_id)
}

fn source_of(algorithm: Algorithm, endpoint: String, key_id: &str) -> Source {
    Source::AwsKms(AwsKmsSource {
        algorithm,
        key_id: key_id.to_owned(),
        region: None,
        profile: None,
        endpoint: Some(endpoint),
    })
}

fn holds(key: &PublicKey, message: &[u8], signature: Option<&Signature>) {
    assert!(Verifier::new(key).unwrap().accepts(message, signature.unwrap()));
}

/// Signs a precommit with an extension, and verifies both.
fn sign(key: &mut dyn WholeKey, height: i64) -> Result<(), KeyFault> {
    let dir = tempfile::tempdir().unwrap();
    let extension = Some(b"extension".to_vec());
    let case = granted::precommit(dir.path(), key.public_key(), height, extension);
    let signed = key.sign(case.granted)?;
    holds(key.public_key(), &case.vote, signed.vote.as_ref());
    holds(key.public_key(), &case.extension.unwrap(), signed.extension.as_ref());
    Ok(())
}

/// Waits, within a bound, for a key to come back by itself.
fn comes_back(key: &mut dyn WholeKey) {
    let begun = Instant::now();
    while let Err(fault) = key.health() {
        assert!(begun.elapsed() < Duration::from_secs(20), "still: {fault}");
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn credentials_come_from_the_environment() {
    if !in_environment("credentials_come_from_the_environment", &CREDENTIALS) {
        return;
    }
    let kms = KmsFault::start([42; 32]);
    let mut key =
        Backends::default().open(&source(kms.endpoint(), kms_fault::ALIAS), None).unwrap();
    sign(key.as_mut(), 7).unwrap();
}

#[test]
fn without_credentials_it_says_where_they_were_looked_for() {
    let environment = [CREDENTIALS[2], CREDENTIALS[3]];
    let name = "without_credentials_it_says_where_they_were_looked_for";
    if !in_environment(name, &environment) {
        return;
    }
    let kms = KmsFault::start([42; 32]);
    let refused =
        Backends::default().open(&source(kms.endpoint(), kms_fault::ALIAS), None).err().unwrap();
    let OpenError::Fault { backend: "awskms", fault } = &refused else { panic!("{refused}") };
    assert_eq!(fault.word(), "credentials");
    assert!(refused.to_string().contains("AWS_ACCESS_KEY_ID"), "{refused}");
}

/// Opens with `profile`, as the environment of the test says.
fn open_with_profile(kms: &KmsFault, profile: &str) -> Result<Box<dyn WholeKey>, OpenError> {
    let Source::AwsKms(mut source) = source(kms.endpoint(), kms_fault::ALIAS) else { panic!() };
    source.profile = Some(profile.to_owned());
    Backends::default().open(&Source::AwsKms(source), None)
}

#[test]
fn a_profile_that_does_not_exist_is_named_and_nobody_else_is_used_instead() {
    let name = "a_profile_that_does_not_exist_is_named_and_nobody_else_is_used_instead";
    if !in_environment(name, &CREDENTIALS) {
        return;
    }
    let kms = KmsFault::start([42; 32]);
    let refused = open_with_profile(&kms, "validators").err().unwrap().to_string();
    assert!(refused.contains("profile \"validators\" gives none"), "{refused}");
    assert_eq!(kms.calls(Call::GetPublicKey), 0);
}

#[test]
fn credentials_come_from_a_profile_and_files_are_read_anew() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("credentials");
    let environment =
        [CREDENTIALS[2], CREDENTIALS[3], ("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap())];
    if !in_environment("credentials_come_from_a_profile_and_files_are_read_anew", &environment) {
        return;
    }
    let file = env::var_os("AWS_SHARED_CREDENTIALS_FILE").unwrap();
    let profile = |name: &str| {
        format!("[{name}]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = secret\n")
    };
    fs::write(&file, profile("somebody")).unwrap();
    let kms = KmsFault::start([42; 32]);
    assert!(open_with_profile(&kms, "validators").is_err());
    let Source::AwsKms(mut source) = source(kms.endpoint(), kms_fault::ALIAS) else { panic!() };
    source.profile = Some("validators".to_owned());
    let expected = kms.public_key();
    let mut key = Backends::default().open(&Source::AwsKms(source), Some(&expected)).unwrap();
    assert_eq!(key.health().unwrap_err().word(), "credentials");
    fs::write(&file, profile("validators")).unwrap();
    comes_back(key.as_mut());
    sign(key.as_mut(), 7).unwrap();
}

#[test]
fn what_a_credential_process_prints_is_not_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let process = "sh -c 'echo hunter2; echo hunter2 >&2; exit 3'";
    fs::write(&file, format!("[profile validators]\ncredential_process = {process}\n")).unwrap();
    let environment = [CREDENTIALS[2], CREDENTIALS[3], ("AWS_CONFIG_FILE", file.to_str().unwrap())];
    if !in_environment("what_a_credential_process_prints_is_not_repeated", &environment) {
        return;
    }
    let kms = KmsFault::start([42; 32]);
    let refused = open_with_profile(&kms, "validators").err().unwrap().to_string();
    assert!(refused.contains("exit status: 3"), "{refused}");
    assert!(!refused.contains("hunter2"), "{refused}");
}

#[test]
#[ignore = "needs the KMS emulator: scripts/test runs it"]
fn an_emulated_key_signs_by_id_arn_and_alias() {
    if !in_environment("an_emulated_key_signs_by_id_arn_and_alias", &CREDENTIALS) {
        return;
    }
    let kms = Ministack::start();
    let made = kms.create_key();
    let (id, arn) = (made["KeyId"].as_str().unwrap(), made["Arn"].as_str().unwrap());
    kms.create_alias("alias/validator", id);
    let mut public_keys = Vec::new();
    for name in [id, arn, "alias/validator"] {
        let mut key = Backends::default().open(&source(kms.endpoint(), name), None).unwrap();
        sign(key.as_mut(), 7).unwrap();
        assert_eq!(key.health(), Ok(()));
        public_keys.push(key.public_key().clone());
    }
    public_keys.dedup();
    assert_eq!(public_keys.len(), 1);
    // Opened as the chain's key, and not as another's.
    let by_alias = source(kms.endpoint(), "alias/validator");
    Backends::default().open(&by_alias, Some(&public_keys[0])).unwrap();
    let other = PublicKey::ed25519([9; 32]);
    let refused = Backends::default().open(&by_alias, Some(&other)).err().unwrap();
    let OpenError::Fault { fault, .. } = refused else { panic!("{refused}") };
    assert_eq!(fault.word(), "wrong_key");
}

#[test]
#[ignore = "needs the KMS emulator: scripts/test runs it"]
fn emulated_secp256k1_keys_sign_for_both_algorithms() {
    if !in_environment("emulated_secp256k1_keys_sign_for_both_algorithms", &CREDENTIALS) {
        return;
    }
    let kms = Ministack::start();
    for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
        let made = kms.create_key_of(algorithm);
        let id = made["KeyId"].as_str().unwrap();
        let by_id = source_of(algorithm, kms.endpoint(), id);
        let mut key = Backends::default().open(&by_id, None).unwrap();
        assert_eq!(key.public_key().algorithm(), algorithm);
        // Its nonces are random: each signature has another s, and another v.
        for height in 1..20 {
            sign(key.as_mut(), height).unwrap();
        }
        assert_eq!(key.health(), Ok(()));
        let refused = Backends::default().open(&source(kms.endpoint(), id), None).err().unwrap();
        let text = refused.to_string();
        assert!(text.contains("ECC_SECG_P256K1") && text.contains("\"ed25519\""), "{text}");
    }
}

#[test]
#[ignore = "needs the KMS emulator: scripts/test runs it"]
fn emulated_keys_that_cannot_be_used_are_refused() {
    if !in_environment("emulated_keys_that_cannot_be_used_are_refused", &CREDENTIALS) {
        return;
    }
    let kms = Ministack::start();
    let word = |name: &str| {
        let refused = Backends::default().open(&source(kms.endpoint(), name), None).err().unwrap();
        let OpenError::Fault { fault, .. } = refused else { panic!("{refused}") };
        fault.word()
    };
    assert_eq!(word("alias/nobody"), "not_found");
    let curve = json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" });
    let made = kms.call("CreateKey", &curve);
    assert_eq!(word(made["KeyMetadata"]["KeyId"].as_str().unwrap()), "unfit");
    // A key that is disabled while it is in use.
    let made = kms.create_key();
    let id = made["KeyId"].as_str().unwrap();
    let mut key = Backends::default().open(&source(kms.endpoint(), id), None).unwrap();
    kms.call("DisableKey", &json!({ "KeyId": id }));
    let fault = sign(key.as_mut(), 7).unwrap_err();
    assert!(fault.to_string().contains("aws kms enable-key"), "{fault}");
    kms.call("EnableKey", &json!({ "KeyId": id }));
    sign(key.as_mut(), 8).unwrap();
}

#[test]
#[ignore = "needs the KMS emulator: scripts/test runs it"]
fn an_emulated_key_that_goes_away_or_hangs_comes_back_by_itself() {
    let name = "an_emulated_key_that_goes_away_or_hangs_comes_back_by_itself";
    if !in_environment(name, &CREDENTIALS) {
        return;
    }
    let mut kms = Ministack::start();
    let made = kms.create_key();
    kms.create_alias("alias/validator", made["KeyId"].as_str().unwrap());
    let alias = source(kms.endpoint(), "alias/validator");
    let mut key = Backends::default().open(&alias, None).unwrap();
    sign(key.as_mut(), 7).unwrap();

    kms.stop();
    let since = Instant::now();
    let mut height = 8;
    while since.elapsed() < Duration::from_secs(5) {
        let fault = sign(key.as_mut(), height).unwrap_err();
        assert_eq!(fault.word(), "unreachable", "{fault}");
        assert!(!fault.to_string().contains('\n'), "{fault}");
        height += 1;
        thread::sleep(Duration::from_millis(200));
    }
    // A start meanwhile, with the key known.
    let expected = key.public_key().clone();
    let mut started = Backends::default().open(&alias, Some(&expected)).unwrap();
    assert_eq!(started.health().unwrap_err().word(), "unreachable");
    kms.start_again();
    for key in [&mut key, &mut started] {
        comes_back(key.as_mut());
        sign(key.as_mut(), 100).unwrap();
    }

    kms.freeze();
    let begun = Instant::now();
    let fault = sign(key.as_mut(), 101).unwrap_err();
    assert_eq!(fault.word(), "no_answer", "{fault}");
    assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
    kms.thaw();
    comes_back(key.as_mut());
    sign(key.as_mut(), 102).unwrap();
}
