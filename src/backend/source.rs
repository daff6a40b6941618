//! Where a whole key is, as `cosigner.toml` says.

use std::fmt;
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::types::Algorithm;

/// `key = { backend = … }` of a whole key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `file`
    File(FileSource),
    /// `pkcs11`
    Pkcs11(Pkcs11Source),
    /// `awskms`
    AwsKms(AwsKmsSource),
}

/// A key in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileSource {
    /// What the key signs with.
    pub algorithm: Algorithm,
    /// The file, absolute.
    pub path: PathBuf,
}

/// A key in a PKCS#11 token. At least one of `key_label` and `key_id` is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pkcs11Source {
    /// What the key signs with.
    pub algorithm: Algorithm,
    /// The token's module, a shared library; absolute.
    pub module: PathBuf,
    /// Which token.
    pub token: Token,
    /// `CKA_LABEL` of the key.
    pub key_label: Option<String>,
    /// `CKA_ID` of the key.
    pub key_id: Option<Vec<u8>>,
    /// Where the user PIN is.
    pub pin: Pin,
}

/// Names a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// By the label that it was initialised with.
    Label(String),
    /// By the slot that it is in.
    Slot(u64),
}

/// Where a PIN is. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub enum Pin {
    /// In `cosigner.toml`.
    Inline(Zeroizing<String>),
    /// In this environment variable.
    Env(String),
    /// In this file, absolute; a newline at its end is not part of it.
    File(PathBuf),
}

/// A key in AWS KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsKmsSource {
    /// What the key signs with.
    pub algorithm: Algorithm,
    /// Key id, ARN, or `alias/…`.
    pub key_id: String,
    /// Region; else as the AWS command line finds it.
    pub region: Option<String>,
    /// Profile; else as the AWS command line finds it.
    pub profile: Option<String>,
    /// Another endpoint than the region's own.
    pub endpoint: Option<String>,
}

impl Source {
    /// The word of `cosigner.toml`.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Pkcs11(_) => "pkcs11",
            Self::AwsKms(_) => "awskms",
        }
    }
}

impl Source {
    /// What the key signs with.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        match self {
            Self::File(file) => file.algorithm,
            Self::Pkcs11(token) => token.algorithm,
            Self::AwsKms(kms) => kms.algorithm,
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(_) => f.write_str("Inline(…)"),
            Self::Env(name) => f.debug_tuple("Env").field(name).finish(),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
        }
    }
}
