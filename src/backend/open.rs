//! From settings to a key.

use super::file::{FileKey, FileKeyError};
use super::later::Later;
use super::{FileSource, KeyFault, Source, WholeKey};
use crate::types::PublicKey;

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

impl OpenError {
    /// Whether it may come right by itself, so that a key whose public half is known can be waited for.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::NotBuilt { .. } => false,
            Self::File(why) => why.may_pass(),
            Self::Fault { fault, .. } => fault.may_pass(),
        }
    }
}

impl Backends {
    /// Opens a key whose public half is known, as a node does that starts: a file that is not there yet,
    /// and whatever is in a token, is opened by the first who uses the key or asks for its health. So
    /// what is missing, or hangs, concerns nobody but the key's own chain.
    ///
    /// # Errors
    /// [`OpenError`], if it is known already that the key is another one or cannot be used.
    pub fn open_known(
        &mut self,
        source: &Source,
        expected: &PublicKey,
    ) -> Result<Box<dyn WholeKey>, OpenError> {
        match source {
            Source::File(file) => match FileKey::open(file, Some(expected)) {
                Ok(key) => Ok(Box::new(key)),
                Err(why) if why.may_pass() => Ok(Box::new(file_later(file, expected))),
                Err(why) => Err(why.into()),
            },
            #[cfg(feature = "pkcs11")]
            Source::Pkcs11(token) => {
                let (module, token) = (self.modules.get(&token.module), token.clone());
                let known = expected.clone();
                let open = move || super::pkcs11::open(&token, Some(&known), module.clone());
                Ok(Box::new(Later::new(expected, Box::new(open))))
            }
            other => self.open(other, Some(expected)),
        }
    }
}

fn file_later(file: &FileSource, expected: &PublicKey) -> Later {
    let (file, known) = (file.clone(), expected.clone());
    let open = move || match FileKey::open(&file, Some(&known)) {
        Ok(key) => Ok(Box::new(key) as Box<dyn WholeKey>),
        Err(why) => Err(why.fault()),
    };
    Later::new(expected, Box::new(open))
}

#[cfg(test)]
mod known_tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::backend::tests_support::{comet_key_file, grant, precommit};
    use crate::types::Algorithm;

    #[test]
    fn a_key_file_that_is_missing_is_found_when_it_comes_if_the_key_is_known() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key.json");
        let (text, public_key) = comet_key_file(Algorithm::Secp256k1, 7);
        let algorithm = Algorithm::Secp256k1;
        let source = Source::File(FileSource { algorithm, path: path.clone() });
        let put = |text: &str, mode| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let mut backends = Backends::default();
        assert!(matches!(backends.open(&source, None), Err(OpenError::File(_))));
        let mut key = backends.open_known(&source, &public_key).unwrap();
        assert_eq!(*key.public_key(), public_key);
        assert_eq!(key.health().unwrap_err().word(), "not_found");
        let granted = || grant(&public_key, &precommit(5), None).0;
        assert_eq!(key.sign(granted()).unwrap_err().word(), "not_found");
        // Half of it, one that others can read, and another one: each is named, none is used.
        put(text.split_at(40).0, 0o600);
        assert_eq!(key.health().unwrap_err().word(), "unfit");
        put(&text, 0o644);
        assert!(key.health().unwrap_err().to_string().contains("chmod 0600"));
        put(&comet_key_file(Algorithm::Secp256k1, 8).0, 0o600);
        assert_eq!(key.health().unwrap_err().word(), "wrong_key");
        put(&text, 0o600);
        key.health().unwrap();
        key.sign(granted()).unwrap();
        // In memory now.
        fs::remove_file(&path).unwrap();
        key.health().unwrap();
    }

    #[test]
    fn another_key_in_a_file_that_is_there_is_refused_at_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("key.json");
        let algorithm = Algorithm::MlDsa65;
        fs::write(&path, comet_key_file(algorithm, 7).0).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let other = comet_key_file(algorithm, 8).1;
        let source = Source::File(FileSource { algorithm, path });
        let refused = Backends::default().open_known(&source, &other).err().unwrap();
        assert!(matches!(refused, OpenError::File(FileKeyError::WrongKey { .. })));
    }
}

#[cfg(all(test, not(feature = "pkcs11")))]
mod tests {
    use super::*;
    use crate::backend::{Pin, Pkcs11Source, Token};

    #[test]
    fn a_build_without_the_backend_says_so() {
        let source = Source::Pkcs11(Pkcs11Source {
            algorithm: crate::types::Algorithm::Ed25519,
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
