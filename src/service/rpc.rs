//! The three calls. Codes and texts are those that clients of cosmos/kms know.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::time::timeout_at;
use tonic::codegen::http;
use tonic::{Code, Request, Response, Status};
use tracing::{info, warn};

use super::MAX_PAYLOAD_BYTES;
use super::connection::{Busy, Connection};
use super::directory::{Directory, Entry, NotFound, NotQueued};
use super::proto::payload::Kind;
use super::proto::signer_service_server::SignerService;
use super::proto::{
    GetKeyRequest, GetKeyResponse, GetKeysRequest, GetKeysResponse, Key, SignRequest, SignResponse,
    SignatureScheme,
};
use super::worker::{Failure, Job};
use crate::backend::{DIGEST_BYTES, NotADigest};
use crate::peer::Refused;
use crate::types::{Algorithm, PublicKey};

/// How long a caller waits for its signature, those before it in the queue included.
const SIGN_WITHIN: Duration = Duration::from_secs(5);

/// Longest id that is said back to who asked for it, in characters.
const ID_SHOWN: usize = 128;

/// The service.
pub(super) struct Rpc {
    directory: Arc<Directory>,
    refused: Arc<Refused>,
}

impl Rpc {
    pub(super) const fn new(directory: Arc<Directory>, refused: Arc<Refused>) -> Self {
        Self { directory, refused }
    }

    /// The key of this id, if whoever is at the other end may use it; busy while the call lasts.
    fn find<T>(&self, request: &Request<T>, id: &str) -> Result<(Arc<Entry>, Busy), Status> {
        let connection = connection(request)?;
        match self.directory.find(connection.caller(), id) {
            Ok(entry) => Ok((Arc::clone(entry), connection.busy())),
            Err(NotFound::NoSuchKey) => {
                let id: String = id.chars().take(ID_SHOWN).collect();
                Err(Status::not_found(format!("key {id:?} not found")))
            }
            Err(NotFound::NotForCaller) => {
                self.refused.log(&connection.address(), "it asked for a key that it may not use");
                Err(Status::permission_denied("there is no such key for this caller"))
            }
        }
    }
}

#[tonic::async_trait]
impl SignerService for Rpc {
    async fn get_key(
        &self,
        request: Request<GetKeyRequest>,
    ) -> Result<Response<GetKeyResponse>, Status> {
        let (entry, _busy) = self.find(&request, &request.get_ref().id)?;
        let key = entry.public_key().map(|public_key| shown(&entry, &public_key));
        match key {
            Some(key) => Ok(Response::new(GetKeyResponse { key: Some(key) })),
            None => Err(Status::unavailable("the key's backend has not been reached yet")),
        }
    }

    async fn get_keys(
        &self,
        request: Request<GetKeysRequest>,
    ) -> Result<Response<GetKeysResponse>, Status> {
        let connection = connection(&request)?;
        let entries = self.directory.of(connection.caller());
        let keys: Vec<Key> =
            entries.filter_map(|entry| Some(shown(entry, &entry.public_key()?))).collect();
        let _busy = (!keys.is_empty()).then(|| connection.busy());
        Ok(Response::new(GetKeysResponse { keys }))
    }

    async fn sign(&self, request: Request<SignRequest>) -> Result<Response<SignResponse>, Status> {
        let begun = Instant::now();
        let (entry, _busy) = self.find(&request, &request.get_ref().key_id)?;
        let payload = request.into_inner().payload.and_then(|payload| payload.kind);
        let bytes = payload.as_ref().map(|Kind::Generic(bytes)| bytes.len());
        let result = sign(&entry, payload, begun).await;
        entry.count(result.is_ok());
        let total_ms = begun.elapsed().as_secs_f64() * 1000.0;
        let (key, scheme) = (entry.facts.id.as_str(), scheme(entry.facts.algorithm));
        let scheme = scheme.as_str_name();
        match &result {
            Ok(_) => info!(key, scheme, bytes, total_ms, "service signed"),
            Err(why) => {
                let (code, why) = (why.code(), why.message());
                warn!(key, scheme, bytes, total_ms, ?code, why, "service failed");
            }
        }
        result.map(|signature| Response::new(SignResponse { signature }))
    }
}

fn connection<T>(request: &Request<T>) -> Result<&Arc<Connection>, Status> {
    let connection = request.extensions().get::<Arc<Connection>>();
    connection.ok_or_else(|| Status::unauthenticated("a call without a connection"))
}

async fn sign(entry: &Entry, payload: Option<Kind>, begun: Instant) -> Result<Vec<u8>, Status> {
    let Some(Kind::Generic(payload)) = payload else {
        return Err(Status::invalid_argument("payload is missing, or of a kind not known here"));
    };
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(too_long(MAX_PAYLOAD_BYTES));
    }
    if entry.facts.algorithm == Algorithm::Secp256k1Eth && payload.len() != DIGEST_BYTES {
        return Err(Status::invalid_argument(NotADigest.to_string()));
    }
    let deadline = begun + SIGN_WITHIN;
    let (reply, signed) = oneshot::channel();
    match entry.queue(Job { payload, deadline, reply }) {
        Ok(()) => {}
        Err(NotQueued::Full) => {
            return Err(Status::resource_exhausted("too many requests wait for this key"));
        }
        Err(NotQueued::Stopped) => return Err(Status::unavailable("the service is stopping")),
    }
    match timeout_at(deadline.into(), signed).await {
        Ok(Ok(Ok(signature))) => Ok(signature),
        Ok(Ok(Err(Failure::Key(trouble)))) => Err(unusable(trouble.cause)),
        Ok(Ok(Err(Failure::TooLong { limit }))) => Err(too_long(limit)),
        Ok(Ok(Err(Failure::Payload(text)))) => Err(Status::invalid_argument(text)),
        Ok(Err(_)) => Err(Status::unavailable("the service is stopping")),
        Err(_) => Err(unusable("no_answer")),
    }
}

/// The word alone: the rest names files, hosts and accounts.
fn unusable(cause: &str) -> Status {
    Status::internal(format!("sign: the key cannot be used now: {cause}"))
}

fn too_long(limit: usize) -> Status {
    Status::invalid_argument(format!("payload is longer than the {limit} bytes that are signed"))
}

/// A message that is too long to be read gets the same answer as a payload that is too long.
pub(super) fn explain_length<B: Default>(response: http::Response<B>) -> http::Response<B> {
    let status = Status::from_header_map(response.headers());
    match status.map(|status| status.code()) {
        Some(Code::OutOfRange) => too_long(MAX_PAYLOAD_BYTES).into_http(),
        _ => response,
    }
}

fn shown(entry: &Entry, public_key: &PublicKey) -> Key {
    Key {
        id: entry.facts.id.clone(),
        pubkey: public_key.as_bytes().to_vec(),
        scheme: scheme(entry.facts.algorithm).into(),
    }
}

/// The name of an algorithm on the wire; there is none of ML-DSA.
const fn scheme(algorithm: Algorithm) -> SignatureScheme {
    match algorithm {
        Algorithm::Ed25519 => SignatureScheme::Ed25519,
        Algorithm::Secp256k1 => SignatureScheme::EcdsaSecp256k1,
        Algorithm::Secp256k1Eth => SignatureScheme::EcdsaSecp256k1eth,
        Algorithm::MlDsa65 => SignatureScheme::Unknown,
    }
}
