//! Against a KMS that answers as it is told.

mod faults;
#[path = "../../../tests/support/granted.rs"]
mod granted;
mod keys;
#[path = "../../../tests/support/kms_fault.rs"]
mod kms_fault;
mod wallets;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use aws_config::{Region, SdkConfig};
use aws_credential_types::Credentials;

use self::granted::Case;
use self::kms_fault::{Answer, Call, KmsFault};
use super::wallet::{Load, Loaded};
use super::{AwsKms, Setup, connect};
use crate::backend::{AwsKmsSource, KeyFault, Signatures, WholeKey};
use crate::types::{Algorithm, PublicKey, Signature, Verifier};

const SEED: [u8; 32] = [42; 32];
const ACCESS_KEY: &str = "AKIAIOSFODNN7EXAMPLE";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const TOKEN: &str = "FwoGZXIvYXdzEBYaDHSESSIONTOKEN";

/// Longest that a call may take here: its own limit, and a machine that is busy with other tests.
const GENEROUS: Duration = Duration::from_secs(5);

fn credentials(end: Option<SystemTime>) -> Credentials {
    Credentials::new(ACCESS_KEY, SECRET, Some(TOKEN.to_owned()), end, "test")
}

fn found(credentials: Credentials) -> Loaded {
    let config = SdkConfig::builder().region(Region::new("us-east-1")).build();
    Loaded { config, credentials }
}

fn fixed() -> Load {
    Arc::new(|| Box::pin(async { Ok(found(credentials(None))) }))
}

fn source(endpoint: &str, key_id: &str) -> AwsKmsSource {
    AwsKmsSource {
        algorithm: Algorithm::Ed25519,
        key_id: key_id.to_owned(),
        region: None,
        profile: None,
        endpoint: Some(endpoint.to_owned()),
    }
}

fn setup(kms: &KmsFault, key_id: &str) -> Setup {
    let algorithm = kms.public_key().algorithm();
    let source = AwsKmsSource { algorithm, ..source(&kms.endpoint(), key_id) };
    Setup { source, http: connect::http_client(), load: fixed() }
}

fn public_key(kms: &KmsFault) -> PublicKey {
    kms.public_key()
}

/// A key that is connected.
fn open(kms: &KmsFault) -> AwsKms {
    AwsKms::connect_with(setup(kms, kms_fault::ARN), None).unwrap()
}

/// What opening gives when it fails.
fn open_fault(kms: &KmsFault, expected: Option<&PublicKey>) -> KeyFault {
    AwsKms::connect_with(setup(kms, kms_fault::ARN), expected).err().unwrap()
}

fn case(key: &AwsKms, extension: Option<Vec<u8>>) -> Case {
    let dir = tempfile::tempdir().unwrap();
    granted::precommit(dir.path(), key.public_key(), 7, extension)
}

/// Signs a precommit, within the time that there is.
fn sign(key: &mut AwsKms) -> Result<Signatures, KeyFault> {
    let case = case(key, None);
    let begun = Instant::now();
    let signed = key.sign(case.granted);
    assert!(begun.elapsed() < GENEROUS, "took {:?}", begun.elapsed());
    if let Ok(signed) = &signed {
        assert!(holds(key, &case.vote, signed.vote.as_ref()));
    }
    signed
}

fn holds(key: &AwsKms, message: &[u8], signature: Option<&Signature>) -> bool {
    let signature = signature.unwrap();
    assert_eq!(signature.algorithm(), key.public_key().algorithm());
    Verifier::new(key.public_key()).unwrap().accepts(message, signature)
}

/// One line, of a length that people read, and without secrets.
fn assert_readable(fault: &KeyFault) {
    let text = fault.to_string();
    assert!(!text.contains('\n') && text.len() < 700, "{text}");
    for secret in [SECRET, TOKEN] {
        assert!(!text.contains(secret), "{text}");
    }
}

/// A key whose service answered is asked anew, whatever was held against it.
fn forget_holds(key: &mut AwsKms) {
    key.hold = None;
    key.last_used = None;
}
