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

use super::kind::Kind;
use super::wallet::{Loaded, Wallet};
use super::{fault, kind};
use crate::backend::verified::{from_der, verified, verifier};
use crate::backend::{AwsKmsSource, Granted, KeyFault, Signatures, ToSign};
use crate::privval::RawAllowed;
use crate::types::{Algorithm, PublicKey, Signature, Verifier};

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
    verifier: Verifier,
    kind: Kind,
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
        let kind = Kind::of(source.algorithm)?;
        let (arn, public_key) = check(&found, source.algorithm, &kind)?;
        let asked = source.key_id.as_str();
        let is_named = |name: &str| arn == name || arn.ends_with(&format!(":key/{name}"));
        if !asked.contains("alias/") && !is_named(asked) {
            return Err(other_key(asked, &arn));
        }
        if let Some(expected) = expected.filter(|expected| **expected != public_key) {
            return Err(KeyFault::WrongKey { expected: expected.clone(), found: public_key });
        }
        let verifier = verifier(&public_key)?;
        Ok(Self { client, wallet: wallet.clone(), arn, public_key, verifier, kind })
    }

    /// The key's public half.
    pub(super) const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Whether the key is still there, and still this one.
    pub(super) async fn look(&self, retries: Retries) -> Result<Signatures, KeyFault> {
        let found = look(&self.client, &self.wallet, &self.arn, retries).await?;
        let (arn, public_key) = check(&found, self.public_key.algorithm(), &self.kind)?;
        if arn != self.arn {
            return Err(other_key(&self.arn, &arn));
        }
        if public_key != self.public_key {
            let expected = self.public_key.clone();
            return Err(KeyFault::WrongKey { expected, found: public_key });
        }
        Ok(Signatures::default())
    }

    /// Signs what was granted, all messages at once; all or nothing.
    pub(super) async fn sign(&self, granted: &Granted) -> Result<Signatures, KeyFault> {
        let (vote, extension, non_rp) = tokio::try_join!(
            self.sign_message(granted.vote()),
            self.sign_message(granted.extension()),
            self.sign_message(granted.non_rp()),
        )?;
        Ok(Signatures { vote, extension, non_rp })
    }

    /// Signs raw bytes; their signature stands in the place of the vote's.
    pub(super) async fn sign_raw(&self, allowed: &RawAllowed) -> Result<Signatures, KeyFault> {
        let vote = self.sign_message(Some(allowed.as_bytes())).await?;
        Ok(Signatures { vote, ..Signatures::default() })
    }

    async fn sign_message(&self, message: Option<&[u8]>) -> Result<Option<Signature>, KeyFault> {
        let algorithm = self.public_key.algorithm();
        self.sign_one(message.map(|message| ToSign::of(algorithm, message))).await
    }

    /// Signs this, if there is anything to sign.
    pub(super) async fn sign_one(
        &self,
        what: Option<ToSign<'_>>,
    ) -> Result<Option<Signature>, KeyFault> {
        let Some(what) = what else { return Ok(None) };
        let begun = Instant::now();
        let algorithm = self.public_key.algorithm();
        let (sent, message_type) = match &what {
            // secp256k1eth hashes with Keccak, which KMS does not know: it gets the hash of both.
            ToSign::Digest(digest) => (digest.as_slice(), MessageType::Digest),
            ToSign::Message(message) => (*message, MessageType::Raw),
        };
        let answer = self
            .client
            .sign()
            .key_id(&self.arn)
            .message(Blob::new(sent))
            .message_type(message_type)
            .signing_algorithm(self.kind.signing.clone())
            .send()
            .await
            .map_err(|error| fault::of(&error, "Sign", begun, &self.wallet))?;
        let arn = answer.key_id().unwrap_or_default();
        if arn != self.arn {
            return Err(other_key(&self.arn, arn));
        }
        let bytes = answer.signature().map(Blob::as_ref).unwrap_or_default();
        // I5: a signature of other bytes, or of another key, stays here.
        let signature = match what {
            ToSign::Digest(_) => verified(&self.verifier, algorithm, &what, &from_der(bytes)?),
            ToSign::Message(_) => verified(&self.verifier, algorithm, &what, bytes),
        };
        signature.map(Some)
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
fn check(
    found: &GetPublicKeyOutput,
    algorithm: Algorithm,
    kind: &Kind,
) -> Result<(String, PublicKey), KeyFault> {
    let unfit = |what: &str, expected: &str, found: &str| {
        Err(KeyFault::Unfit(format!(
            "its {what} is {found}, needed is {expected} for algorithm = \"{algorithm}\""
        )))
    };
    let spec = found.key_spec().map_or("missing", KeySpec::as_str);
    if spec != kind.spec.as_str() {
        return match kind::algorithms_of(spec) {
            Some(others) => Err(KeyFault::Unfit(format!(
                "its key spec is {spec}, needed is {} for algorithm = \"{algorithm}\": set algorithm = \
                 {others} if this is the chain's key, else name that one",
                kind.spec.as_str()
            ))),
            None => unfit("key spec", kind.spec.as_str(), spec),
        };
    }
    let usage = found.key_usage().map_or("missing", KeyUsageType::as_str);
    if usage != KeyUsageType::SignVerify.as_str() {
        return unfit("key usage", KeyUsageType::SignVerify.as_str(), usage);
    }
    let signing = found.signing_algorithms();
    if !signing.contains(&kind.signing) {
        let names: Vec<&str> = signing.iter().map(SigningAlgorithmSpec::as_str).collect();
        return unfit("list of signing algorithms", kind.signing.as_str(), &names.join(", "));
    }
    let arn = found.key_id().unwrap_or_default();
    if !arn.starts_with("arn:") || !arn.contains(":key/") {
        let arn = fault::one_line(arn);
        return Err(KeyFault::Other(format!("GetPublicKey names no key ARN, but {arn:?}")));
    }
    let der = found.public_key().map(Blob::as_ref).unwrap_or_default();
    Ok((arn.to_owned(), kind.public_key(algorithm, der)?))
}

fn other_key(expected: &str, found: &str) -> KeyFault {
    let found = fault::one_line(found);
    KeyFault::Other(format!("KMS answers for key {found:?}, asked was {expected:?}; not used"))
}
