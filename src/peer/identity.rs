//! A member's certificate and private key. The others pin the certificate, so it needs no authority.

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ED25519, date_time_ymd};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::types::CertificatePin;

/// First byte of a saved identity.
const FORMAT: u8 = 1;

/// A self-signed Ed25519 certificate and its key. The certificate never expires in practice: a
/// member is replaced by another member list, never by the calendar.
pub struct Identity {
    certificate: CertificateDer<'static>,
    /// PKCS#8. rustls keeps a copy of its own that it does not wipe.
    key: Zeroizing<Vec<u8>>,
}

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// No randomness, or a library refused its own key.
    #[error("a new identity could not be made: {0}")]
    Generate(#[from] rcgen::Error),
    /// Not something that [`Identity::to_bytes`] wrote.
    #[error("the saved identity is damaged; restore it from a backup of the `keys` directory")]
    Damaged,
    /// The certificate and the key do not belong together, or are of a kind that TLS cannot use.
    #[error("the identity cannot be used for TLS: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Identity {
    /// Makes a new one from the system's randomness.
    ///
    /// # Errors
    /// [`IdentityError::Generate`].
    pub fn generate() -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "cosigner");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(4000, 1, 1);
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self { certificate, key: Zeroizing::new(key.serialize_der()) })
    }

    /// What the others are told to accept.
    #[must_use]
    pub fn pin(&self) -> CertificatePin {
        pin_of(&self.certificate)
    }

    /// For the keystore: format byte, length of the certificate (4 bytes, big-endian), certificate,
    /// PKCS#8 key. Secret.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        let length = u32::try_from(self.certificate.len()).unwrap_or(u32::MAX);
        // The exact capacity: growing would leave copies of the key behind.
        let total = 5 + self.certificate.len() + self.key.len();
        let mut bytes = Zeroizing::new(Vec::with_capacity(total));
        bytes.push(FORMAT);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&self.certificate);
        bytes.extend_from_slice(&self.key);
        bytes
    }

    /// Reads what [`Identity::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`IdentityError`] if the bytes are damaged, or the key is not the certificate's.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, IdentityError> {
        let rest = bytes.strip_prefix(&[FORMAT]).ok_or(IdentityError::Damaged)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or(IdentityError::Damaged)?;
        let length =
            usize::try_from(u32::from_be_bytes(*length)).map_err(|_| IdentityError::Damaged)?;
        let (certificate, key) = rest.split_at_checked(length).ok_or(IdentityError::Damaged)?;
        let identity = Self {
            certificate: CertificateDer::from(certificate.to_vec()),
            key: Zeroizing::new(key.to_vec()),
        };
        identity.certified_key()?;
        Ok(identity)
    }

    /// The form that rustls signs handshakes with.
    ///
    /// # Errors
    /// If rustls cannot use the key, or it is not the certificate's.
    pub(super) fn certified_key(&self) -> Result<CertifiedKey, rustls::Error> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.to_vec()));
        CertifiedKey::from_der(vec![self.certificate.clone()], key, &ring::default_provider())
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("pin", &self.pin()).finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate.
pub(crate) fn pin_of(certificate: &CertificateDer<'_>) -> CertificatePin {
    CertificatePin(Sha256::digest(certificate).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn survives_being_saved_and_keeps_its_pin() {
        let identity = Identity::generate().unwrap();
        let again = Identity::from_bytes(&identity.to_bytes()).unwrap();
        assert_eq!(again.pin(), identity.pin());
        assert_ne!(Identity::generate().unwrap().pin(), identity.pin());
    }

    #[test]
    fn refuses_damage_and_a_key_of_another_certificate() {
        let (one, two) = (Identity::generate().unwrap(), Identity::generate().unwrap());
        let bytes = one.to_bytes();
        for length in 0..bytes.len() {
            assert!(Identity::from_bytes(&bytes[..length]).is_err(), "{length} bytes");
        }
        let mixed = Identity { certificate: one.certificate, key: two.key };
        assert!(matches!(
            Identity::from_bytes(&mixed.to_bytes()),
            Err(IdentityError::Unusable(rustls::Error::InconsistentKeys(_)))
        ));
    }

    #[test]
    fn shows_no_key_when_printed() {
        let identity = Identity::generate().unwrap();
        let printed = format!("{identity:?}");
        assert_eq!(printed, format!("Identity {{ pin: {}, .. }}", identity.pin()));
    }
}
