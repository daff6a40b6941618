//! TLS 1.3 between members: both sides show a certificate, and only pinned ones are accepted.
//!
//! No authority, no names, no calendar: a certificate is right if its hash is in the member list.
//! No session is ever resumed, so that every connection is checked anew.

use std::io;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::sign::SingleCertAndKey;
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, OtherError,
    PeerIncompatible, ServerConfig, SignatureScheme,
};

use super::identity::{Identity, pin_of};
use crate::types::CertificatePin;

const HTTP2: &[u8] = b"h2";

/// Why a certificate was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PinError {
    /// The dialled address answered with another certificate.
    #[error("it shows the certificate {found}, the member list says {expected}")]
    OtherServer { expected: CertificatePin, found: CertificatePin },
    /// The caller is no member.
    #[error("the caller's certificate {0} is not another member's")]
    Stranger(CertificatePin),
    /// A pinned certificate has no issuers.
    #[error("a chain of certificates where a single one was expected")]
    Chain,
}

/// Accepts exactly these certificates, whichever side shows them.
#[derive(Debug)]
struct Pinned {
    accepted: Vec<CertificatePin>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The server's side of all connections.
pub(super) fn server_config(
    identity: &Identity,
    callers: Vec<CertificatePin>,
) -> Result<Arc<ServerConfig>, Error> {
    let key = SingleCertAndKey::from(identity.certified_key()?);
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::new(Pinned::new(callers)))
        .with_cert_resolver(Arc::new(key));
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(Arc::new(config))
}

/// The client's side of connections to one member.
pub(super) fn client_config(
    identity: &Identity,
    server: CertificatePin,
) -> Result<Arc<ClientConfig>, Error> {
    let key = SingleCertAndKey::from(identity.certified_key()?);
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned::new(vec![server])))
        .with_client_cert_resolver(Arc::new(key));
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config.alpn_protocols = vec![HTTP2.to_vec()];
    Ok(Arc::new(config))
}

impl Pinned {
    fn new(accepted: Vec<CertificatePin>) -> Self {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        Self { accepted, algorithms }
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
    ) -> Result<(), PinError> {
        let found = pin_of(certificate);
        if !chain.is_empty() {
            return Err(PinError::Chain);
        }
        if self.accepted.contains(&found) { Ok(()) } else { Err(PinError::Stranger(found)) }
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
    }
}

impl From<PinError> for Error {
    fn from(error: PinError) -> Self {
        CertificateError::Other(OtherError(Arc::new(error))).into()
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match (self.check(certificate, chain), self.accepted.as_slice()) {
            (Ok(()), _) => Ok(ServerCertVerified::assertion()),
            (Err(PinError::Stranger(found)), &[expected]) => {
                Err(PinError::OtherServer { expected, found }.into())
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate, chain)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(PeerIncompatible::Tls12NotOffered.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// What went wrong in a handshake, in our words where the fault is a pin's.
pub(super) fn explain(error: &io::Error) -> String {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match tls {
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(inner)))) => {
            inner.to_string()
        }
        Some(Error::AlertReceived(alert)) => format!(
            "it refused our certificate or handshake ({alert:?}); is it in its member list?"
        ),
        Some(other) => other.to_string(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it was closed at the other end".to_owned()
        }
        None => error.to_string(),
    }
}
