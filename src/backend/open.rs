//! From settings to a key.

use super::file::{EcdsaFileKey, FileKey, FileKeyError};
use super::{KeyFault, Source, WholeKey};
use crate::types::{Algorithm, PublicKey};

/// Why a key was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// This build leaves the backend out.
    #[error(
        "this cosigner was built without the backend {backend}: build it with `--features {backend}`, \
         or take a build that has it"
    )]
    NotBuilt {
        /// The backend, and the cargo feature.
        backend: &'static str,
    },
    /// The key file.
    #[error(transparent)]
    File(#[from] FileKeyError),
    /// No backend signs so.
    #[error("the backend {backend} has no keys of {algorithm}")]
    NoAlgorithm {
        /// The backend.
        backend: &'static str,
        /// The algorithm asked for.
        algorithm: Algorithm,
    },
    /// The backend.
    #[error("the key's backend {backend} {fault}")]
    Fault {
        /// The backend.
        backend: &'static str,
        /// What is wrong.
        fault: KeyFault,
    },
}

/// Opens keys, and lets those behind one PKCS#11 module share it.
#[derive(Clone, Default)]
pub struct Backends {
    #[cfg(feature = "pkcs11")]
    modules: super::pkcs11::Modules,
}

impl Backends {
    /// Makes clones that are made after this share the key's PKCS#11 module, which is one for a process.
    pub fn share(&mut self, source: &Source) {
        #[cfg(feature = "pkcs11")]
        if let Source::Pkcs11(token) = source {
            self.modules.get(&token.module);
        }
        #[cfg(not(feature = "pkcs11"))]
        let _ = source;
    }

    /// Opens a key for the gRPC service, of any of its algorithms; as [`open`](Self::open) otherwise.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_service(
        &mut self,
        source: &Source,
        algorithm: Algorithm,
        expected: Option<&PublicKey>,
    ) -> Result<Box<dyn WholeKey>, OpenError> {
        match (source, algorithm) {
            (_, Algorithm::Ed25519) => self.open(source, expected),
            (Source::File(file), Algorithm::Secp256k1 | Algorithm::Secp256k1Eth) => {
                Ok(Box::new(EcdsaFileKey::open(file, algorithm, expected)?))
            }
            _ => Err(OpenError::NoAlgorithm { backend: source.name(), algorithm }),
        }
    }

    /// Opens a key. `expected` is its public key if that is known; with it, a key that cannot be
    /// reached now is opened all the same, and says by [`WholeKey::health`] what is wrong until it
    /// can.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        source: &Source,
        expected: Option<&PublicKey>,
    ) -> Result<Box<dyn WholeKey>, OpenError> {
        match source {
            Source::File(file) => Ok(Box::new(FileKey::open(file, expected)?)),
            #[cfg(feature = "pkcs11")]
            Source::Pkcs11(token) => {
                let module = self.modules.get(&token.module);
                super::pkcs11::open(token, expected, module)
                    .map_err(|fault| OpenError::Fault { backend: "pkcs11", fault })
            }
            #[cfg(feature = "awskms")]
            Source::AwsKms(kms) => super::awskms::open(kms, expected)
                .map_err(|fault| OpenError::Fault { backend: "awskms", fault }),
            #[cfg(not(all(feature = "pkcs11", feature = "awskms")))]
            other => Err(OpenError::NotBuilt { backend: other.name() }),
        }
    }
}

#[cfg(all(test, not(feature = "pkcs11")))]
mod tests {
    use super::*;
    use crate::backend::{Pin, Pkcs11Source, Token};

    #[test]
    fn a_build_without_the_backend_says_so() {
        let source = Source::Pkcs11(Pkcs11Source {
            module: "/nothing.so".into(),
            token: Token::Slot(0),
            key_label: Some("validator".to_owned()),
            key_id: None,
            pin: Pin::Env("PIN".to_owned()),
        });
        let refused = Backends::default().open(&source, None).err().unwrap();
        assert!(matches!(refused, OpenError::NotBuilt { backend: "pkcs11" }));
        assert!(refused.to_string().contains("--features pkcs11"));
    }
}
