//! The client with its deadlines, and the checks of a key.

use std::time::{Duration, Instant};

use aws_config::BehaviorVersion;
use aws_config::identity::IdentityCache;
use aws_sdk_kms::Client;
use aws_sdk_kms::config::retry::RetryConfig;
use aws_sdk_kms::config::timeout::TimeoutConfig;
use aws_sdk_kms::config::{Builder, SharedHttpClient, StalledStreamProtectionConfig};
use aws_sdk_kms::operation::get_public_key::GetPublicKeyOutput;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use ed25519_dalek::VerifyingKey;

use super::fault;
use super::wallet::{Loaded, Wallet};
use crate::backend::{AwsKmsSource, Granted, KeyFault, Signatures};
use crate::types::{Algorithm, PublicKey, Signature};

/// TCP and TLS to the region, three round trips: a region further away than 100 ms is no place for a
/// validator's key.
const CONNECT: Duration = Duration::from_millis(300);

/// One attempt, a new connection included. Two that hang leave time for nothing else within the
/// validator's second, one that hangs leaves time for another on a new connection.
const ATTEMPT: Duration = Duration::from_millis(400);

/// All attempts of one call. The validator waits about a second for its answer.
const OPERATION: Duration = Duration::from_millis(900);

/// A lost connection or one throttled request is made good by these; more would not fit.
const ATTEMPTS: u32 = 3;

/// Before the second attempt, at most; doubled before the third.
const BACKOFF: Duration = Duration::from_millis(50);

/// What a `SubjectPublicKeyInfo` of Ed25519 begins with (RFC 8410 §4): the algorithm, then a bit
/// string of 33 bytes whose first is the number of unused bits. 32 bytes of key follow, and nothing.
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Whether a look at the key is repeated when it fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retries {
    /// As a signature is.
    Some,
    /// One attempt. Many looks in an outage would use up the SDK's budget of retries, and signatures
    /// would have none after it.
    None,
}

/// A client, and the key that it was found to reach.
pub(super) struct Connection {
    client: Client,
    wallet: Wallet,
    /// What is signed with: an alias may be given to another key at any time.
    arn: String,
    public_key: PublicKey,
}

/// HTTPS with ring, as in the rest of this program.
pub(super) fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https()
}

impl Connection {
    /// Finds the key and checks that it can make a validator's signatures, and that it is the one
    /// that is expected.
    pub(super) async fn open(
        wallet: &Wallet,
        loaded: &Loaded,
        http: &SharedHttpClient,
        source: &AwsKmsSource,
        expected: Option<&PublicKey>,
    ) -> Result<Self, KeyFault> {
        if loaded.config.region().is_none() {
            let text = "no region is set: put `region` into cosigner.toml, or set AWS_REGION";
            return Err(KeyFault::Other(text.to_owned()));
        }
        let client = client(wallet, loaded, http, source);
        let found = look(&client, wallet, &source.key_id, Retries::Some).await?;
        let (arn, public_key) = check(&found)?;
        let asked = source.key_id.as_str();
        let is_named = |name: &str| arn == name || arn.ends_with(&format!(":key/{name}"));
        if !asked.contains("alias/") && !is_named(asked) {
            return Err(other_key(asked, &arn));
        }
        if let Some(expected) = expected.filter(|expected| **expected != public_key) {
            return Err(KeyFault::WrongKey { expected: expected.clone(), found: public_key });
        }
        Ok(Self { client, wallet: wallet.clone(), arn, public_key })
    }

    /// The key's public half.
    pub(super) const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Whether the key is still there, and still this one.
    pub(super) async fn look(&self, retries: Retries) -> Result<Signatures, KeyFault> {
        let found = look(&self.client, &self.wallet, &self.arn, retries).await?;
        let (arn, public_key) = check(&found)?;
        if arn != self.arn {
            return Err(other_key(&self.arn, &arn));
        }
        if public_key != self.public_key {
            let expected = self.public_key.clone();
            return Err(KeyFault::WrongKey { expected, found: public_key });
        }
        Ok(Signatures::default())
    }

    /// Signs what was granted, both messages at once; both or neither.
    pub(super) async fn sign(&self, granted: &Granted) -> Result<Signatures, KeyFault> {
        let (vote, extension) =
            tokio::try_join!(self.sign_one(granted.vote()), self.sign_one(granted.extension()))?;
        Ok(Signatures { vote, extension })
    }

    /// Signs these bytes, if there are any to sign.
    pub(super) async fn sign_one(
        &self,
        message: Option<&[u8]>,
    ) -> Result<Option<Signature>, KeyFault> {
        let Some(message) = message else { return Ok(None) };
        let begun = Instant::now();
        let answer = self
            .client
            .sign()
            .key_id(&self.arn)
            .message(Blob::new(message))
            .message_type(MessageType::Raw)
            .signing_algorithm(SigningAlgorithmSpec::Ed25519Sha512)
            .send()
            .await
            .map_err(|error| fault::of(&error, "Sign", begun, &self.wallet))?;
        let arn = answer.key_id().unwrap_or_default();
        if arn != self.arn {
            return Err(other_key(&self.arn, arn));
        }
        let bytes = answer.signature().map(Blob::as_ref).unwrap_or_default();
        verified(&self.public_key, message, bytes).map(Some)
    }
}

fn client(
    wallet: &Wallet,
    loaded: &Loaded,
    http: &SharedHttpClient,
    source: &AwsKmsSource,
) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(OPERATION)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(BACKOFF)
        .with_max_backoff(2 * BACKOFF);
    let mut config = Builder::from(&loaded.config)
        .behavior_version(BehaviorVersion::v2026_01_12())
        .http_client(http.clone())
        .credentials_provider(wallet.clone())
        // The wallet is the cache.
        .identity_cache(IdentityCache::no_cache())
        .timeout_config(timeouts)
        .retry_config(retries)
        // Answers are small and have a deadline.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(endpoint) = &source.endpoint {
        config = config.endpoint_url(endpoint);
    }
    Client::from_conf(config.build())
}

async fn look(
    client: &Client,
    wallet: &Wallet,
    key_id: &str,
    retries: Retries,
) -> Result<GetPublicKeyOutput, KeyFault> {
    let begun = Instant::now();
    let mut call = client.get_public_key().key_id(key_id).customize();
    if retries == Retries::None {
        call = call.config_override(Builder::new().retry_config(RetryConfig::disabled()));
    }
    call.send().await.map_err(|error| fault::of(&error, "GetPublicKey", begun, wallet))
}

/// Strictly: the key's ARN and its public half, if it makes the signatures that CometBFT wants.
fn check(found: &GetPublicKeyOutput) -> Result<(String, PublicKey), KeyFault> {
    let unfit = |what: &str, expected: &str, found: &str| {
        Err(KeyFault::Unfit(format!("its {what} is {found}, needed is {expected}")))
    };
    let spec = found.key_spec().map_or("missing", KeySpec::as_str);
    if spec != KeySpec::EccNistEdwards25519.as_str() {
        return unfit("key spec", KeySpec::EccNistEdwards25519.as_str(), spec);
    }
    let usage = found.key_usage().map_or("missing", KeyUsageType::as_str);
    if usage != KeyUsageType::SignVerify.as_str() {
        return unfit("key usage", KeyUsageType::SignVerify.as_str(), usage);
    }
    let algorithms = found.signing_algorithms();
    if !algorithms.contains(&SigningAlgorithmSpec::Ed25519Sha512) {
        let names: Vec<&str> = algorithms.iter().map(SigningAlgorithmSpec::as_str).collect();
        let expected = SigningAlgorithmSpec::Ed25519Sha512;
        return unfit("list of signing algorithms", expected.as_str(), &names.join(", "));
    }
    let arn = found.key_id().unwrap_or_default();
    if !arn.starts_with("arn:") || !arn.contains(":key/") {
        let arn = fault::one_line(arn);
        return Err(KeyFault::Other(format!("GetPublicKey names no key ARN, but {arn:?}")));
    }
    let der = found.public_key().map(Blob::as_ref).unwrap_or_default();
    Ok((arn.to_owned(), parse_spki(der)?))
}

fn parse_spki(der: &[u8]) -> Result<PublicKey, KeyFault> {
    let bytes = der.strip_prefix(&SPKI_PREFIX).and_then(|rest| <[u8; 32]>::try_from(rest).ok());
    // A point of small order has signatures that hold for anything.
    let point = |bytes: &[u8; 32]| VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak());
    bytes.filter(point).map(PublicKey::ed25519).ok_or_else(|| {
        let found = der.len();
        KeyFault::Unfit(format!(
            "its public key is no Ed25519 key in DER of 44 bytes ({found} bytes)"
        ))
    })
}

/// I5: a signature of other bytes, or of another key, stays here.
fn verified(key: &PublicKey, message: &[u8], bytes: &[u8]) -> Result<Signature, KeyFault> {
    let key = <[u8; 32]>::try_from(key.as_bytes())
        .ok()
        .and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok())
        .ok_or(KeyFault::BadSignature)?;
    let signature =
        ed25519_dalek::Signature::from_slice(bytes).map_err(|_| KeyFault::BadSignature)?;
    key.verify_strict(message, &signature).map_err(|_| KeyFault::BadSignature)?;
    Ok(Signature::new(Algorithm::Ed25519, bytes))
}

fn other_key(expected: &str, found: &str) -> KeyFault {
    let found = fault::one_line(found);
    KeyFault::Other(format!("KMS answers for key {found:?}, asked was {expected:?}; not used"))
}
