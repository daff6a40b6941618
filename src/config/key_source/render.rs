//! A key's table as it is written and shown.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::KeySource;
use crate::backend::{AwsKmsSource, FileSource, Pin, Pkcs11Source, Source, Token};
use crate::config::text::quoted;
use crate::types::Algorithm;

/// What is shown of a PIN that stands in `cosigner.toml` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum ShowPin {
    /// All of it: the file is for its owner alone.
    InFull,
    /// That there is one.
    Hidden,
}

/// The key's table as TOML writes it, on one line.
pub(in crate::config) fn render(key: &KeySource, pin: ShowPin) -> Zeroizing<String> {
    let fields = match key {
        KeySource::Threshold => vec![text("backend", "threshold")],
        KeySource::Whole(source) => {
            let mut fields = vec![text("backend", source.name())];
            match source {
                Source::File(file) => fields.push(path("path", &file.path)),
                Source::Pkcs11(token) => fields.extend(pkcs11(token, pin)),
                Source::AwsKms(kms) => fields.extend(awskms(kms)),
            }
            // The others are the exception.
            if source.algorithm() != Algorithm::Ed25519 {
                fields.push(text("algorithm", source.algorithm().name()));
            }
            fields
        }
    };
    let length: usize = fields.iter().map(|field| field.len() + 2).sum();
    // Room for all of it: what grows leaves copies behind.
    let mut table = Zeroizing::new(String::with_capacity(length + 4));
    for field in &fields {
        let before = if table.is_empty() { "{ " } else { ", " };
        table.push_str(before);
        table.push_str(field);
    }
    table.push_str(" }");
    table
}

fn text(name: &str, value: &str) -> Zeroizing<String> {
    Zeroizing::new(format!("{name} = {}", quoted(value)))
}

fn path(name: &str, path: &Path) -> Zeroizing<String> {
    text(name, &path.display().to_string())
}

fn pkcs11(token: &Pkcs11Source, show: ShowPin) -> Vec<Zeroizing<String>> {
    let mut fields = vec![path("module", &token.module)];
    fields.push(match &token.token {
        Token::Label(label) => text("token_label", label),
        Token::Slot(slot) => Zeroizing::new(format!("slot = {slot}")),
    });
    fields.extend(token.key_label.iter().map(|label| text("key_label", label)));
    fields.extend(token.key_id.iter().map(|id| text("key_id", &hex::encode(id))));
    fields.push(match &token.pin {
        Pin::Inline(_) if show == ShowPin::Hidden => text("pin", "(hidden)"),
        Pin::Inline(pin) => text("pin", pin),
        Pin::Env(name) => text("pin_env", name),
        Pin::File(file) => path("pin_file", file),
    });
    fields
}

fn awskms(kms: &AwsKmsSource) -> Vec<Zeroizing<String>> {
    let optional =
        [("region", &kms.region), ("profile", &kms.profile), ("endpoint", &kms.endpoint)];
    let mut fields = vec![text("key_id", &kms.key_id)];
    fields.extend(optional.iter().filter_map(|(name, value)| Some(text(name, value.as_ref()?))));
    fields
}

/// The same key with its paths changed.
#[must_use]
pub fn with_paths(source: &Source, change: impl Fn(&Path) -> PathBuf) -> Source {
    match source {
        Source::File(file) => Source::File(FileSource { path: change(&file.path), ..file.clone() }),
        Source::Pkcs11(token) => {
            let pin = match &token.pin {
                Pin::File(path) => Pin::File(change(path)),
                other => other.clone(),
            };
            Source::Pkcs11(Pkcs11Source { module: change(&token.module), pin, ..token.clone() })
        }
        Source::AwsKms(kms) => Source::AwsKms(kms.clone()),
    }
}
