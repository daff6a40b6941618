//! The flags that say where the key is: the fields of `key = { … }` in `cosigner.toml`.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::InitError;
use crate::backend::Source;
use crate::config::{KeyFields, KeySource, Spelling};

/// Flags of the same names as the keys in `cosigner.toml`.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Where the key is")]
pub(super) struct KeyArgs {
    /// What holds the key
    #[arg(long, value_name = "file|pkcs11|awskms")]
    backend: String,
    /// What the key signs with: ed25519, secp256k1, secp256k1eth, ml_dsa_65 (from a file alone)
    /// [default: ed25519]
    #[arg(long, value_name = "NAME")]
    algorithm: Option<String>,
    /// file: the key file, a priv_validator_key.json or the bare key as text; mode 0600. In a
    /// cluster a relative path is written as it is, and means that file in each node's own home
    #[arg(long, value_name = "FILE")]
    path: Option<String>,
    /// pkcs11: the token's module, a shared library
    #[arg(long, value_name = "FILE")]
    module: Option<String>,
    /// pkcs11: the token, by its label
    #[arg(long, value_name = "LABEL")]
    token_label: Option<String>,
    /// pkcs11: the token, by the slot that it is in
    #[arg(long, value_name = "N")]
    slot: Option<u32>,
    /// pkcs11: the key's CKA_LABEL
    #[arg(long, value_name = "LABEL")]
    key_label: Option<String>,
    /// pkcs11: the key's CKA_ID in hexadecimal. awskms: key id, ARN, or alias/NAME
    #[arg(long, value_name = "HEX|ID")]
    key_id: Option<String>,
    /// pkcs11: the environment variable that holds the user PIN, at every start. The PIN itself is
    /// no flag
    #[arg(long, value_name = "NAME")]
    pin_env: Option<String>,
    /// pkcs11: the file that holds the user PIN
    #[arg(long, value_name = "FILE")]
    pin_file: Option<String>,
    /// awskms: the region; else as the AWS command line finds it
    #[arg(long, value_name = "REGION")]
    region: Option<String>,
    /// awskms: the profile; else as the AWS command line finds it
    #[arg(long, value_name = "PROFILE")]
    profile: Option<String>,
    /// awskms: another endpoint than the region's own, https://host:port
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
}

/// How paths are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Paths {
    /// From the working directory.
    Absolute,
    /// As they were given.
    AsGiven,
}

impl KeyArgs {
    /// Checks the flags as if they stood in `cosigner.toml`.
    pub(super) fn source(&self, paths: Paths) -> Result<Source, InitError> {
        let mut values = BTreeMap::new();
        let texts = [
            ("algorithm", &self.algorithm),
            ("token_label", &self.token_label),
            ("key_label", &self.key_label),
            ("key_id", &self.key_id),
            ("pin_env", &self.pin_env),
            ("region", &self.region),
            ("profile", &self.profile),
            ("endpoint", &self.endpoint),
        ];
        for (name, value) in texts {
            if let Some(value) = value {
                values.insert(name.to_owned(), Value::String(value.clone()));
            }
        }
        let files = [("path", &self.path), ("module", &self.module), ("pin_file", &self.pin_file)];
        for (name, value) in files {
            if let Some(value) = value {
                values.insert(name.to_owned(), Value::String(taken(name, value, paths)?));
            }
        }
        if let Some(slot) = self.slot {
            values.insert("slot".to_owned(), Value::Integer(slot.into()));
        }
        let fields = KeyFields::new(&self.backend, values, Spelling::Flags);
        match fields.source(Path::new("")).map_err(|bad| InitError::Key(Box::new(bad.error)))? {
            KeySource::Whole(source) => Ok(source),
            KeySource::Threshold => Err(InitError::Shares),
        }
    }
}

fn taken(name: &str, path: &str, paths: Paths) -> Result<String, InitError> {
    // An empty one is refused with the others that are empty.
    if paths == Paths::AsGiven || path.is_empty() {
        return Ok(path.to_owned());
    }
    let absolute = std::path::absolute(path).map(|path| path.into_os_string().into_string());
    match absolute {
        Ok(Ok(absolute)) => Ok(absolute),
        _ => Err(InitError::NotText { flag: name.replace('_', "-"), path: path.to_owned() }),
    }
}
