//! `cosigner.toml`: what this node does.

mod chain;
mod service;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;
use zeroize::Zeroizing;

use crate::types::{ChainId, Cluster, MemberId};
use crate::validator::Address as ValidatorAddress;

use super::address::{AddressError, HostPort, listen, within};
use super::key_source::KeySource;
use super::read::{Chain, Id, Parsed};
use super::text::line_of;
use super::{ConfigError, Home, LogFormat, LogLevel};
pub use chain::{Bech32Prefix, Bech32PrefixError, ChainSettings};
use chain::{Place, RawChain, chains};
use service::RawService;
pub use service::{ServiceError, ServiceKeySettings, ServiceSettings, TlsFiles};

/// Where health and status are served when nothing is said.
const DEFAULT_OPS: &str = "127.0.0.1:2223";

/// Our identity towards `noise://` validators, in the home, when nothing is said.
const DEFAULT_IDENTITY: &str = "identity.json";

/// Everything that `cosigner.toml`, the environment and the flags say, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node among the cosigners; `None` if it signs alone.
    pub node: Option<NodeSettings>,
    /// Where `/livez`, `/readyz`, `/healthz`, `/status` and `/metrics` are served; `None` if switched off.
    pub ops_listen: Option<SocketAddr>,
    /// Logging.
    pub log: LogSettings,
    /// The chains, each once; at least one, but where a service is all that this node is for.
    pub chains: Vec<ChainSettings>,
    /// The validators to dial, each once. May be empty: such a node helps the others sign.
    pub validators: Vec<ValidatorSettings>,
    /// The file with our identity towards `noise://` validators.
    pub noise_identity: PathBuf,
    /// Signatures over gRPC with keys of no chain; `None` if switched off.
    pub service: Option<ServiceSettings>,
}

/// `[node]`.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// This node's member id.
    pub id: MemberId,
    /// What it binds for the other cosigners.
    pub listen: SocketAddr,
    /// Members that moved since `cluster.toml` was written.
    pub addresses: BTreeMap<MemberId, HostPort>,
}

/// `[log]`.
#[derive(Clone, Debug, Default)]
pub struct LogSettings {
    /// What is logged.
    pub level: LogLevel,
    /// How.
    pub format: LogFormat,
}

/// `[[validator]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatorSettings {
    /// The chain that it validates.
    pub chain: ChainId,
    /// Where it listens.
    pub address: ValidatorAddress,
}

/// What flags and environment say instead of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--validator`: replaces the whole list unless empty.
    pub validators: Vec<ValidatorAddress>,
    /// `--ops-listen`.
    pub ops_listen: Option<OpsListen>,
    /// `--log-level`.
    pub log_level: Option<LogLevel>,
    /// `--log-format`.
    pub log_format: Option<LogFormat>,
}

/// An address to serve status on; the empty string switches it off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpsListen(pub Option<SocketAddr>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    node: Option<Node>,
    ops: Option<Ops>,
    log: Option<Log>,
    #[serde(default)]
    chain: Vec<RawChain>,
    #[serde(default)]
    validator: Vec<RawValidator>,
    noise: Option<Noise>,
    service: Option<Spanned<RawService>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [node]")]
struct Node {
    id: Id,
    listen: Parsed<Bind>,
    #[serde(default)]
    addresses: BTreeMap<Id, Parsed<HostPort>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [ops]")]
struct Ops {
    listen: Option<Parsed<OpsListen>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [log]")]
struct Log {
    level: Option<Parsed<LogLevel>>,
    format: Option<Parsed<LogFormat>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [noise]")]
struct Noise {
    identity: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table [[validator]]")]
struct RawValidator {
    chain_id: Spanned<Chain>,
    address: Parsed<ValidatorAddress>,
}

struct Bind(SocketAddr);

impl FromStr for Bind {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        listen(text).map(Self)
    }
}

impl FromStr for OpsListen {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() { Ok(Self(None)) } else { listen(text).map(|at| Self(Some(at))) }
    }
}

impl Settings {
    /// Reads `cosigner.toml` of this home and lays the flags over it.
    ///
    /// # Errors
    /// [`ConfigError`] names file, line and what to do.
    pub fn read(home: &Home, overrides: &Overrides) -> Result<Self, ConfigError> {
        let file = home.cosigner_toml();
        // There may be a PIN in it.
        let text = std::fs::read_to_string(&file).map(Zeroizing::new);
        let text = text.map_err(|source| ConfigError::from_io(&file, source))?;
        let mut settings = Self::parse(&text, &file, home.root())?;
        // I7: without its [node] a member would use the whole key without anybody's grant.
        let of_member = [home.cluster_toml(), home.keys(), home.state_db()];
        if settings.node.is_none()
            && let Some(trace) = of_member.into_iter().find(|path| path.exists())
        {
            return Err(ConfigError::MemberAlone { file, trace });
        }
        settings.lay_over(overrides, home.root())?;
        Ok(settings)
    }

    /// Reads the text of a `cosigner.toml`; `file` is for the errors, `root` is what relative
    /// paths in it are relative to.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn parse(text: &str, file: &Path, root: &Path) -> Result<Self, ConfigError> {
        let raw: File =
            toml::from_str(text).map_err(|error| ConfigError::from_toml(file, text, &error))?;
        let log = raw.log.map_or_else(LogSettings::default, |log| LogSettings {
            level: log.level.map(|level| level.0).unwrap_or_default(),
            format: log.format.map(|format| format.0).unwrap_or_default(),
        });
        let ops = match raw.ops.and_then(|ops| ops.listen) {
            Some(ops) => ops.0.0,
            None => DEFAULT_OPS.parse().ok(),
        };
        let node = raw.node.map(|node| NodeSettings {
            id: node.id.0,
            listen: node.listen.0.0,
            addresses: node.addresses.into_iter().map(|(id, to)| (id.0, to.0)).collect(),
        });
        let place = Place { text, file, root };
        // A member without chains would be of no use to the others.
        let may_be_none = raw.service.is_some() && node.is_none();
        let chains = if raw.chain.is_empty() && may_be_none {
            Vec::new()
        } else {
            chains(raw.chain, node.is_none(), &place)?
        };
        let service = raw.service.map(|raw| service::service(raw, &place)).transpose()?;
        let validators = validators(raw.validator, &chains, text, file, root)?;
        let identity = raw.noise.and_then(|noise| noise.identity);
        let noise_identity = root.join(identity.unwrap_or_else(|| DEFAULT_IDENTITY.into()));
        Ok(Self { node, ops_listen: ops, log, chains, validators, noise_identity, service })
    }

    /// Whether a validator has to know who we are.
    #[must_use]
    pub fn uses_noise(&self) -> bool {
        let noise = |it: &ValidatorSettings| matches!(it.address, ValidatorAddress::Noise { .. });
        self.validators.iter().any(noise)
    }

    fn lay_over(&mut self, overrides: &Overrides, root: &Path) -> Result<(), ConfigError> {
        if let Some(ops) = overrides.ops_listen {
            self.ops_listen = ops.0;
        }
        if let Some(level) = &overrides.log_level {
            self.log.level = level.clone();
        }
        if let Some(format) = overrides.log_format {
            self.log.format = format;
        }
        if overrides.validators.is_empty() {
            return Ok(());
        }
        let [chain] = self.chains.as_slice() else {
            return Err(ConfigError::WhichChain { chains: self.chains.len() });
        };
        let mut replaced = Vec::new();
        for address in &overrides.validators {
            let address = within(address.clone(), root);
            let validator = ValidatorSettings { chain: chain.id.clone(), address };
            if replaced.contains(&validator) {
                let address = validator.address.to_string();
                return Err(ConfigError::SameValidatorFlag { address });
            }
            replaced.push(validator);
        }
        self.validators = replaced;
        Ok(())
    }

    /// Checks that this node, the members that moved and every chain stand in the member list.
    ///
    /// # Errors
    /// [`ConfigError`] names what is missing where.
    pub fn check_against(&self, cluster: &Cluster, file: &Path) -> Result<(), ConfigError> {
        let members = cluster.members();
        let file = file.to_owned();
        let Some(node) = &self.node else { return Ok(()) };
        if !members.contains_key(&node.id) {
            return Err(ConfigError::NotAMember { file, id: node.id, members: members.len() });
        }
        for id in node.addresses.keys().copied() {
            if !members.contains_key(&id) {
                return Err(ConfigError::MovedStranger { file, id, members: members.len() });
            }
        }
        for chain in &self.chains {
            let listed = cluster.keys().get(&chain.id);
            if let (KeySource::Whole(source), Some(listed)) = (&chain.key, listed)
                && listed.threshold.is_none()
                && source.algorithm() != listed.public_key.algorithm()
            {
                let (configured, listed) = (source.algorithm(), listed.public_key.algorithm());
                let chain = chain.id.clone();
                return Err(ConfigError::OtherAlgorithm { file, chain, configured, listed });
            }
            if let (Some(pinned), Some(listed)) = (&chain.public_key, listed)
                && *pinned != listed.public_key
            {
                let pinned = Box::new(pinned.clone());
                let listed = Box::new(listed.public_key.clone());
                let chain = chain.id.clone();
                return Err(ConfigError::OtherKey { file, chain, pinned, listed });
            }
            let is_split = listed.map(|key| key.threshold.is_some());
            let wants_split = chain.key == KeySource::Threshold;
            if is_split == Some(wants_split) {
                continue;
            }
            let chain = chain.id.clone();
            if is_split.is_some() {
                return Err(ConfigError::OtherKind { file, chain, split: !wants_split });
            }
            let known: Vec<&str> = cluster.keys().keys().map(ChainId::as_str).collect();
            return Err(ConfigError::NoKey { file, chain, known: known.join(", ") });
        }
        Ok(())
    }
}

fn validators(
    raw: Vec<RawValidator>,
    chains: &[ChainSettings],
    text: &str,
    file: &Path,
    root: &Path,
) -> Result<Vec<ValidatorSettings>, ConfigError> {
    let mut validators: Vec<ValidatorSettings> = Vec::new();
    for validator in raw {
        let line = line_of(text, validator.chain_id.span().start);
        let chain = validator.chain_id.into_inner().0;
        let address = within(validator.address.0, root);
        let file = || file.to_owned();
        if !chains.iter().any(|known| known.id == chain) {
            return Err(ConfigError::ValidatorChain { file: file(), line, chain });
        }
        if validators.iter().any(|known| known.address == address) {
            let address = address.to_string();
            return Err(ConfigError::SameValidator { file: file(), line, address });
        }
        validators.push(ValidatorSettings { chain, address });
    }
    Ok(validators)
}

#[cfg(test)]
mod tests;
