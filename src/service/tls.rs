//! The service's certificate, and those of its callers.
//!
//! No authority, no names, no calendar: a caller is the hash of its certificate, whose private key it
//! proves to have. No session is ever resumed, so that every connection proves it anew.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};

use super::callers::Callers;
use crate::backend::{SecretFileError, read_secret_file};
use crate::peer::pin_of;
use crate::types::CertificatePin;

const HTTP2: &[u8] = b"h2";
/// More than any chain of certificates, or key, has.
const MAX_BYTES: usize = 64 * 1024;

/// The service's certificate and private key.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate's file.
    #[error("{path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The key's file: missing, loose mode, too large.
    #[error(transparent)]
    Key(#[from] SecretFileError),
    /// Not what it should be.
    #[error("{path}: no {what} in PEM; put the service's own there, as openssl writes it", path = path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wanted in it.
        what: &'static str,
    },
    /// Two files that do not belong together, or a kind of key that TLS does not have.
    #[error("{path}: cannot be used for TLS with the certificate of the service: {source}", path = path.display())]
    Unusable {
        /// The key's file.
        path: PathBuf,
        /// What rustls said.
        source: Error,
    },
}

impl Identity {
    /// Reads certificate (with those of its issuers, if there are any) and private key, both in PEM.
    ///
    /// # Errors
    /// [`IdentityError`]; nothing of the key is in it.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let pem = |path: &Path, what| IdentityError::Pem { path: path.to_owned(), what };
        let text = std::fs::read(certificate)
            .map_err(|source| IdentityError::Read { path: certificate.to_owned(), source })?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|_| pem(certificate, "certificate"))?;
        if chain.is_empty() {
            return Err(pem(certificate, "certificate"));
        }
        let secret = read_secret_file(key, "private key of the service", MAX_BYTES)?;
        let secret = PrivateKeyDer::from_pem_slice(&secret);
        let secret = secret.map_err(|_| pem(key, "private key"))?;
        let certified = CertifiedKey::from_der(chain, secret, &ring::default_provider());
        let unusable = |source| IdentityError::Unusable { path: key.to_owned(), source };
        Ok(Self(Arc::new(certified.map_err(unusable)?)))
    }

    /// The server's side, for keys with these callers.
    pub(super) fn server_config<'c>(
        &self,
        callers: impl IntoIterator<Item = &'c Callers>,
    ) -> Result<ServerConfig, Error> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider);
        let mut config = builder
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_client_cert_verifier(Arc::new(Asked::new(callers)))
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::clone(&self.0))));
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        config.alpn_protocols = vec![HTTP2.to_vec()];
        Ok(config)
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").finish_non_exhaustive()
    }
}

/// What is asked of callers in the handshake. What each may use is looked up for each call.
#[derive(Debug)]
struct Asked {
    pins: BTreeSet<CertificatePin>,
    /// There is a key for anybody, so strangers get past the handshake.
    anybody: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Asked {
    fn new<'c>(callers: impl IntoIterator<Item = &'c Callers>) -> Self {
        let (mut pins, mut anybody) = (BTreeSet::new(), false);
        for callers in callers {
            match callers {
                Callers::Any => anybody = true,
                Callers::Pinned(of_key) => pins.extend(of_key),
            }
        }
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { pins, anybody, algorithms }
    }
}

impl ClientCertVerifier for Asked {
    fn offer_client_auth(&self) -> bool {
        !self.pins.is_empty()
    }

    fn client_auth_mandatory(&self) -> bool {
        !self.anybody
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if self.anybody || self.pins.contains(&pin_of(certificate)) {
            return Ok(ClientCertVerified::assertion());
        }
        Err(CertificateError::ApplicationVerificationFailure.into())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
