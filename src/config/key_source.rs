//! `key = { backend = … }`: where a chain's key is.
//!
//! The same fields are flags of `init`, so one place checks both; an error names a field as it was
//! written. No error shows the value of a field that says where a PIN is.

mod endpoint;
mod error;
mod render;

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;
use zeroize::Zeroizing;

use super::text::nearest;
use crate::backend::{AwsKmsSource, FileSource, Pin, Pkcs11Source, Source, Token};
use crate::types::Algorithm;

pub use endpoint::EndpointError;
use endpoint::check_endpoint;
pub use error::{BadField, KeySourceError, Spelling};
pub use render::with_paths;
pub(super) use render::{ShowPin, render};

/// `key = { backend = … }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// A share in `keys/`.
    Threshold,
    /// A whole key.
    Whole(Source),
}

/// The backends, and what each takes.
const BACKENDS: [(&str, &[&str]); 4] = [
    ("file", &["path", "algorithm"]),
    (
        "pkcs11",
        &[
            "module",
            "token_label",
            "slot",
            "key_label",
            "key_id",
            "pin",
            "pin_env",
            "pin_file",
            "algorithm",
        ],
    ),
    ("awskms", &["key_id", "region", "profile", "endpoint", "algorithm"]),
    ("threshold", &[]),
];

/// A backend's name and its fields as they were given; nothing is checked yet.
pub struct KeyFields {
    backend: String,
    values: BTreeMap<String, Value>,
    spelling: Spelling,
}

impl KeyFields {
    /// The fields of one backend.
    #[must_use]
    pub fn new(backend: &str, values: BTreeMap<String, Value>, spelling: Spelling) -> Self {
        Self { backend: backend.to_owned(), values, spelling }
    }

    /// Checks them. A relative path is taken from `root`.
    ///
    /// # Errors
    /// [`BadField`].
    pub fn source(mut self, root: &Path) -> Result<KeySource, BadField> {
        let known = BACKENDS.iter().find(|(name, _)| *name == self.backend);
        let Some((_, allowed)) = known else {
            let backend = self.backend;
            return Err(BadField {
                field: Some("backend".to_owned()),
                error: KeySourceError::UnknownBackend { backend },
            });
        };
        // Of a split key, too, to say why it has none but Ed25519.
        let algorithm = self.algorithm();
        if let Some(found) = self.values.keys().find(|field| !allowed.contains(&field.as_str())) {
            return Err(self.unknown(found, allowed));
        }
        let algorithm = algorithm?;
        let source = match self.backend.as_str() {
            "file" => {
                let path = root.join(self.required("file", "path")?);
                Source::File(FileSource { algorithm, path })
            }
            "pkcs11" => Source::Pkcs11(self.pkcs11(root, algorithm)?),
            "awskms" => Source::AwsKms(self.awskms(algorithm)?),
            _ => return split(algorithm),
        };
        Ok(KeySource::Whole(source))
    }

    /// Ed25519 where nothing is said.
    fn algorithm(&mut self) -> Result<Algorithm, BadField> {
        const FIELD: &str = "algorithm";
        let name = self.spelling.of(FIELD);
        let Some(text) = self.text(FIELD)? else { return Ok(Algorithm::Ed25519) };
        let refused = |source| wrong(FIELD, KeySourceError::Algorithm { field: name, source });
        text.parse().map_err(refused)
    }

    fn pkcs11(&mut self, root: &Path, algorithm: Algorithm) -> Result<Pkcs11Source, BadField> {
        const BACKEND: &str = "pkcs11";
        not_ml_dsa(BACKEND, algorithm)?;
        let module = root.join(self.required(BACKEND, "module")?);
        self.exactly_one(BACKEND, &["token_label", "slot"])?;
        let token = match self.slot()? {
            Some(slot) => Token::Slot(slot),
            None => Token::Label(self.required(BACKEND, "token_label")?),
        };
        let (key_label, key_id) = (self.text("key_label")?, self.hex("key_id")?);
        if key_label.is_none() && key_id.is_none() {
            let field =
                format!("{} or {}", self.spelling.of("key_label"), self.spelling.of("key_id"));
            return Err(missing(KeySourceError::Missing { backend: BACKEND, field }));
        }
        self.exactly_one(BACKEND, &["pin", "pin_env", "pin_file"])?;
        let pin = if let Some(pin) = self.text("pin")? {
            Pin::Inline(Zeroizing::new(pin))
        } else if let Some(file) = self.text("pin_file")? {
            Pin::File(root.join(file))
        } else {
            Pin::Env(self.variable(BACKEND, "pin_env")?)
        };
        Ok(Pkcs11Source { algorithm, module, token, key_label, key_id, pin })
    }

    fn awskms(&mut self, algorithm: Algorithm) -> Result<AwsKmsSource, BadField> {
        not_ml_dsa("awskms", algorithm)?;
        let key_id = self.required("awskms", "key_id")?;
        let region = self.text("region")?;
        let region_like = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if let Some(found) = region.as_ref().filter(|region| !region.chars().all(region_like)) {
            let (field, found) = (self.spelling.of("region"), found.clone());
            return Err(wrong("region", KeySourceError::Region { field, found }));
        }
        let profile = self.text("profile")?;
        let endpoint = self.text("endpoint")?;
        if let Some(endpoint) = &endpoint {
            let field = self.spelling.of("endpoint");
            check_endpoint(endpoint)
                .map_err(|source| wrong("endpoint", KeySourceError::Endpoint { field, source }))?;
        }
        Ok(AwsKmsSource { algorithm, key_id, region, profile, endpoint })
    }

    fn unknown(&self, found: &str, allowed: &[&str]) -> BadField {
        let meant = nearest(found, allowed.iter().copied());
        let hint = meant.map(|name| format!("; did you mean {}?", self.spelling.of(name)));
        let error = KeySourceError::UnknownField {
            backend: self.backend.clone(),
            found: self.spelling.of(found),
            allowed: self.spelling.list(allowed.iter().copied()),
            hint: hint.unwrap_or_default(),
        };
        wrong(found, error)
    }

    fn exactly_one(&self, backend: &'static str, fields: &[&'static str]) -> Result<(), BadField> {
        let found: Vec<&str> =
            fields.iter().copied().filter(|field| self.values.contains_key(*field)).collect();
        if found.len() == 1 {
            return Ok(());
        }
        let field = found.last().map(|field| (*field).to_owned());
        let found = if found.is_empty() { "none".to_owned() } else { self.spelling.list(found) };
        let fields = self.spelling.list(fields.iter().copied());
        Err(BadField { field, error: KeySourceError::OneOf { backend, fields, found } })
    }

    fn required(&mut self, backend: &'static str, field: &'static str) -> Result<String, BadField> {
        let name = self.spelling.of(field);
        self.text(field)?.ok_or(missing(KeySourceError::Missing { backend, field: name }))
    }

    /// Moved out and not copied: it may be the PIN.
    fn text(&mut self, field: &'static str) -> Result<Option<String>, BadField> {
        let name = self.spelling.of(field);
        match self.values.remove(field) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => {
                Err(wrong(field, KeySourceError::Empty { field: name }))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(field, of_type(name, "a string", &other))),
        }
    }

    fn slot(&mut self) -> Result<Option<u64>, BadField> {
        let field = self.spelling.of("slot");
        match self.values.remove("slot") {
            None => Ok(None),
            Some(Value::Integer(found)) => match u64::try_from(found) {
                Ok(slot) => Ok(Some(slot)),
                Err(_) => Err(wrong("slot", KeySourceError::Slot { field, found })),
            },
            Some(other) => Err(wrong("slot", of_type(field, "a number", &other))),
        }
    }

    fn hex(&mut self, field: &'static str) -> Result<Option<Vec<u8>>, BadField> {
        let Some(found) = self.text(field)? else { return Ok(None) };
        let name = self.spelling.of(field);
        match hex::decode(&found) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(_) => Err(wrong(field, KeySourceError::KeyId { field: name, found })),
        }
    }

    fn variable(&mut self, backend: &'static str, field: &'static str) -> Result<String, BadField> {
        // Wiped if it is refused: then it may be the PIN.
        let mut name = Zeroizing::new(self.required(backend, field)?);
        let letters = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !letters || name.starts_with(|c: char| c.is_ascii_digit()) {
            let field_name = self.spelling.of(field);
            return Err(wrong(field, KeySourceError::Variable { field: field_name }));
        }
        Ok(std::mem::take(&mut *name))
    }
}

fn split(algorithm: Algorithm) -> Result<KeySource, BadField> {
    match algorithm {
        Algorithm::Ed25519 => Ok(KeySource::Threshold),
        other => Err(wrong("algorithm", KeySourceError::Unsplittable { algorithm: other })),
    }
}

/// Neither modules nor emulators that could show that it works have these keys.
fn not_ml_dsa(backend: &'static str, algorithm: Algorithm) -> Result<(), BadField> {
    match algorithm {
        Algorithm::MlDsa65 => {
            Err(wrong("algorithm", KeySourceError::AlgorithmOfBackend { backend, algorithm }))
        }
        Algorithm::Ed25519 | Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => Ok(()),
    }
}

fn wrong(field: &str, error: KeySourceError) -> BadField {
    BadField { field: Some(field.to_owned()), error }
}

const fn missing(error: KeySourceError) -> BadField {
    BadField { field: None, error }
}

fn of_type(field: String, expected: &'static str, found: &Value) -> KeySourceError {
    KeySourceError::Type { field, expected, found: found.type_str() }
}

#[cfg(test)]
mod tests;
