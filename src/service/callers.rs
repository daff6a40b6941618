//! Who may use a key.

use std::collections::BTreeSet;
use std::fmt;

use crate::types::CertificatePin;

/// The callers of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Callers {
    /// Whoever reaches the port.
    Any,
    /// Who proves to have the private key of one of these certificates.
    Pinned(BTreeSet<CertificatePin>),
}

/// Not a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallersError {
    /// Not a certificate's hash.
    #[error(
        "{0:?} is no caller: it takes the SHA-256 of the certificate in DER, as in \"sha256:\" and 64 digits; \
         openssl x509 -in client.pem -outform der | sha256sum prints them"
    )]
    Pin(String),
    /// Nobody.
    #[error(
        "callers is an empty list, so nobody may use the key: name certificates, or remove the key"
    )]
    Nobody,
    /// Neither a list nor `"any"`.
    #[error("callers is a list of certificates, [\"sha256:…\"], or \"any\"")]
    Form,
}

impl Callers {
    /// From the texts of a list.
    ///
    /// # Errors
    /// [`CallersError`].
    pub fn pinned<'t>(pins: impl IntoIterator<Item = &'t str>) -> Result<Self, CallersError> {
        let pins = pins.into_iter().map(pin).collect::<Result<BTreeSet<_>, _>>()?;
        if pins.is_empty() { Err(CallersError::Nobody) } else { Ok(Self::Pinned(pins)) }
    }

    /// Whether this caller may; `None` has shown no certificate.
    #[must_use]
    pub fn include(&self, caller: Option<CertificatePin>) -> bool {
        match self {
            Self::Any => true,
            Self::Pinned(pins) => caller.is_some_and(|caller| pins.contains(&caller)),
        }
    }
}

fn pin(text: &str) -> Result<CertificatePin, CallersError> {
    let mut pin = [0; 32];
    let refused = || CallersError::Pin(text.to_owned());
    let digits = text.strip_prefix("sha256:").ok_or_else(refused)?;
    hex::decode_to_slice(digits, &mut pin).map_err(|_| refused())?;
    Ok(CertificatePin(pin))
}

impl fmt::Display for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::Pinned(pins) => {
                let pins: Vec<String> = pins.iter().map(ToString::to_string).collect();
                f.write_str(&pins.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn includes_those_that_are_named_and_nobody_without_a_certificate() {
        let named = format!("sha256:{}", "ab".repeat(32));
        let callers = Callers::pinned([named.as_str()]).unwrap();
        assert!(callers.include(Some(CertificatePin([0xab; 32]))));
        assert!(!callers.include(Some(CertificatePin([0xac; 32]))));
        assert!(!callers.include(None));
        assert!(Callers::Any.include(None));
        assert_eq!(callers.to_string(), named);
    }

    #[test]
    fn refuses_what_is_no_hash_and_a_list_of_nobody() {
        for text in
            ["", "sha256:", "sha256:abcd", &"ab".repeat(32), &format!("sha256:{}", "g".repeat(64))]
        {
            assert_eq!(Callers::pinned([text]), Err(CallersError::Pin(text.to_owned())));
        }
        assert_eq!(Callers::pinned([]), Err(CallersError::Nobody));
    }
}
