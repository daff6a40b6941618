//! `[[chain]]`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;

use bech32::Hrp;
use serde::Deserialize;
use toml::Spanned;

use crate::config::key_source::{KeyFields, KeySource, KeySourceError, Spelling};
use crate::config::read::{Chain, Number, Parsed, PublicKeyText};
use crate::config::text::line_of;
use crate::config::{ConfigError, GiveUp};
use crate::privval::{Dialect, RawBytes, Version};
use crate::types::{ChainId, PublicKey};
use crate::watermark::JumpLimit;

/// `[[chain]]`.
#[derive(Clone, Debug)]
pub struct ChainSettings {
    /// The chain.
    pub id: ChainId,
    /// Where its key is.
    pub key: KeySource,
    /// Its public key, where the file pins that of a whole key: another one is never used, and a node
    /// alone starts while this one cannot be reached.
    pub public_key: Option<PublicKey>,
    /// How long requests may fail before the validator is told.
    pub give_up_after: GiveUp,
    /// How its validators speak.
    pub dialect: Dialect,
    /// How far a height may be ahead of the last.
    pub height_jump: JumpLimit,
    /// What its addresses begin with, before `valcons`.
    pub bech32_prefix: Bech32Prefix,
}

/// What a chain's addresses begin with: `cosmos`, `osmo` …
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bech32Prefix(String);

/// Not a prefix of bech32.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{found:?} is no bech32 prefix: it takes 1 to 60 lower-case letters and digits, such as cosmos"
)]
pub struct Bech32PrefixError {
    /// What was found.
    pub found: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [[chain]]")]
pub(super) struct RawChain {
    id: Spanned<Chain>,
    key: Spanned<BTreeMap<Spanned<String>, toml::Value>>,
    public_key: Option<Spanned<Parsed<PublicKeyText>>>,
    give_up_after: Option<Parsed<GiveUp>>,
    privval_version: Option<Parsed<Version>>,
    non_rp_extensions: Option<Spanned<bool>>,
    raw_bytes: Option<Parsed<RawBytes>>,
    height_jump: Option<RawJump>,
    bech32_prefix: Option<Parsed<Bech32Prefix>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table, as in { most = 10000, per_second = 20 }")]
struct RawJump {
    most: Option<Number<0, { i64::MAX as u64 }>>,
    /// Without it signing would end for good once the savings are spent.
    per_second: Option<Number<1, { u32::MAX as u64 }>>,
}

/// Where the text came from, for errors and relative paths.
pub(super) struct Place<'p> {
    pub(super) text: &'p str,
    pub(super) file: &'p Path,
    pub(super) root: &'p Path,
}

impl Bech32Prefix {
    /// The prefix.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Bech32Prefix {
    fn default() -> Self {
        Self("cosmos".to_owned())
    }
}

impl FromStr for Bech32Prefix {
    type Err = Bech32PrefixError;

    fn from_str(text: &str) -> Result<Self, Bech32PrefixError> {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let fits = (1..=60).contains(&text.len()) && text.chars().all(plain);
        match fits && Hrp::parse(&format!("{text}valconspub")).is_ok() {
            true => Ok(Self(text.to_owned())),
            false => Err(Bech32PrefixError { found: text.to_owned() }),
        }
    }
}

pub(super) fn chains(
    raw: Vec<RawChain>,
    alone: bool,
    place: &Place<'_>,
) -> Result<Vec<ChainSettings>, ConfigError> {
    let mut seen = BTreeSet::new();
    let mut chains = Vec::new();
    for raw in raw {
        let line = place.line(raw.id.span().start);
        let chain = chain(raw, alone, place)?;
        if !seen.insert(chain.id.clone()) {
            let chain = chain.id;
            return Err(ConfigError::SameChain { file: place.file.to_owned(), line, chain });
        }
        chains.push(chain);
    }
    if chains.is_empty() {
        return Err(ConfigError::NoChain { file: place.file.to_owned() });
    }
    Ok(chains)
}

fn chain(raw: RawChain, alone: bool, place: &Place<'_>) -> Result<ChainSettings, ConfigError> {
    let file = || place.file.to_owned();
    let id = raw.id.into_inner().0;
    let line = place.line(raw.key.span().start);
    let key = key_source(raw.key, place)?;
    if key == KeySource::Threshold && alone {
        return Err(ConfigError::ShareAlone { file: file(), line: Some(line), chain: id });
    }
    let mut public_key = None;
    if let Some(pinned) = raw.public_key {
        let line = place.line(pinned.span().start);
        let KeySource::Whole(source) = &key else {
            return Err(ConfigError::PinnedShares { file: file(), line, chain: id });
        };
        let refused = |source| ConfigError::PublicKey { file: file(), line, source };
        public_key = Some(pinned.into_inner().0.of(source.algorithm()).map_err(refused)?);
    }
    let version = raw.privval_version.map(|version| version.0).unwrap_or_default();
    if let Some(asked) = raw.non_rp_extensions.as_ref().filter(|asked| *asked.get_ref())
        && version != Version::V2
    {
        let line = place.line(asked.span().start);
        return Err(ConfigError::NonRpExtensions { file: file(), line, chain: id });
    }
    let dialect = Dialect {
        version,
        non_rp_extensions: raw.non_rp_extensions.is_some_and(Spanned::into_inner),
        raw_bytes: raw.raw_bytes.map(|form| form.0).unwrap_or_default(),
    };
    let give_up_after = raw.give_up_after.map(|after| after.0).unwrap_or_default();
    let default = JumpLimit::default();
    let height_jump = raw.height_jump.map_or(default, |jump| JumpLimit {
        most: jump.most.map_or(default.most, |most| most.0),
        per_second: (jump.per_second.and_then(|rate| u32::try_from(rate.0).ok()))
            .unwrap_or(default.per_second),
    });
    let bech32_prefix = raw.bech32_prefix.map(|prefix| prefix.0).unwrap_or_default();
    Ok(ChainSettings { id, key, public_key, give_up_after, dialect, height_jump, bech32_prefix })
}

impl Place<'_> {
    pub(super) fn line(&self, offset: usize) -> usize {
        line_of(self.text, offset)
    }
}

pub(super) fn key_source(
    table: Spanned<BTreeMap<Spanned<String>, toml::Value>>,
    place: &Place<'_>,
) -> Result<KeySource, ConfigError> {
    let at = |offset| place.line(offset);
    let whole = at(table.span().start);
    let mut lines = BTreeMap::new();
    let mut values = BTreeMap::new();
    for (name, value) in table.into_inner() {
        lines.insert(name.get_ref().clone(), at(name.span().start));
        values.insert(name.into_inner(), value);
    }
    let key = |line, source| ConfigError::Key {
        file: place.file.to_owned(),
        line,
        source: Box::new(source),
    };
    let Some(toml::Value::String(backend)) = values.remove("backend") else {
        return Err(key(whole, KeySourceError::NoBackend));
    };
    KeyFields::new(&backend, values, Spelling::Keys).source(place.root).map_err(|bad| {
        let line = bad.field.and_then(|field| lines.get(&field).copied());
        key(line.unwrap_or(whole), bad.error)
    })
}
