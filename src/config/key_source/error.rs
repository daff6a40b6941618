//! What is wrong with a key's fields, said as they were written.

use super::endpoint::EndpointError;
use crate::types::{Algorithm, UnknownAlgorithm};

/// How fields are written where they were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// As keys of `cosigner.toml`.
    Keys,
    /// As flags of `init`, which has none for the PIN itself.
    Flags,
}

/// What is wrong with a key's fields, and where.
#[derive(Debug)]
pub struct BadField {
    /// The field at fault; `None` if one is missing.
    pub field: Option<String>,
    /// What is wrong.
    pub error: KeySourceError,
}

/// What is wrong with a key's fields.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySourceError {
    /// No `backend`.
    #[error("a chain's key needs a `backend`, one of file, pkcs11, awskms and threshold")]
    NoBackend,
    /// None of the four.
    #[error(
        "there is no backend {backend:?}; there are file, pkcs11 and awskms for a whole key, \
         and threshold for a share of one"
    )]
    UnknownBackend {
        /// The backend asked for.
        backend: String,
    },
    /// A field that this backend does not have.
    #[error("the backend {backend} has no {found}; it takes {allowed}{hint}")]
    UnknownField {
        /// The backend.
        backend: String,
        /// The field.
        found: String,
        /// Its fields.
        allowed: String,
        /// The field that was probably meant.
        hint: String,
    },
    /// A field that must be there.
    #[error("the backend {backend} needs {field}")]
    Missing {
        /// The backend.
        backend: &'static str,
        /// The field.
        field: String,
    },
    /// None, or several, of fields that exclude each other.
    #[error("the backend {backend} takes exactly one of {fields}; found {found}")]
    OneOf {
        /// The backend.
        backend: &'static str,
        /// The fields.
        fields: String,
        /// Those that are there.
        found: String,
    },
    /// A value of another type.
    #[error("{field} is {expected}, found {found}")]
    Type {
        /// The field.
        field: String,
        /// What it takes.
        expected: &'static str,
        /// The type of the value.
        found: &'static str,
    },
    /// A value that says nothing.
    #[error("{field} is empty: write a value, or leave the field out")]
    Empty {
        /// The field.
        field: String,
    },
    /// A slot that no token can be in.
    #[error("{field} is a slot's number, from 0; found {found}")]
    Slot {
        /// The field.
        field: String,
        /// The value.
        found: i64,
    },
    /// `CKA_ID` that is not hexadecimal.
    #[error(
        "{field} is the key's CKA_ID in hexadecimal, as in \"01\" or \"a1b2\"; found {found:?}"
    )]
    KeyId {
        /// The field.
        field: String,
        /// The value.
        found: String,
    },
    /// Not the name of a variable. Perhaps it is the PIN, so it is not shown.
    #[error(
        "{field} names an environment variable: letters, digits and _, not beginning with a digit. \
         What was found (not shown here) is no such name; the PIN itself stands in the variable"
    )]
    Variable {
        /// The field.
        field: String,
    },
    /// Not a region.
    #[error("{field} is an AWS region, as in \"us-east-1\"; found {found:?}")]
    Region {
        /// The field.
        field: String,
        /// The value.
        found: String,
    },
    /// No such algorithm.
    #[error("{field}: {source}")]
    Algorithm {
        /// The field.
        field: String,
        /// Why.
        source: UnknownAlgorithm,
    },
    /// An algorithm that this backend cannot do.
    #[error(
        "the backend {backend} has no {algorithm} keys: it has ed25519, secp256k1 and secp256k1eth. A key of \
         {algorithm} is used from a file: backend = \"file\", on one node or in a cluster around it"
    )]
    AlgorithmOfBackend {
        /// The backend.
        backend: &'static str,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// A share of a key that has none.
    #[error(
        "only Ed25519 keys can be split, and this one is {algorithm}: use the whole key, with backend = \"file\", \
         \"pkcs11\" or \"awskms\", on one node or in a cluster around it (`cosigner init --cosigner …`)"
    )]
    Unsplittable {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Not a place to send signing requests to.
    #[error("{field}: {source}")]
    Endpoint {
        /// The field.
        field: String,
        /// Why.
        source: EndpointError,
    },
}

impl Spelling {
    pub(super) fn of(self, field: &str) -> String {
        match self {
            Self::Keys => format!("`{field}`"),
            Self::Flags => format!("--{}", field.replace('_', "-")),
        }
    }

    /// `a`, `b` and `c`, without those that cannot be written here.
    pub(super) fn list<'f>(self, fields: impl IntoIterator<Item = &'f str>) -> String {
        let fields = fields.into_iter().filter(|field| self == Self::Keys || *field != "pin");
        let mut names: Vec<String> = fields.map(|field| self.of(field)).collect();
        match names.pop() {
            None => "nothing more".to_owned(),
            Some(last) if names.is_empty() => last,
            Some(last) => format!("{} and {last}", names.join(", ")),
        }
    }
}
