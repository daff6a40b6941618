//! All that can be wrong with new homes before they are made.

use std::path::{Path, PathBuf};

use super::key::Paths;
use super::{Args, InitError};
use crate::backend::{Backends, FileKeyError, OpenError, SecretFileError, Source, WholeKey};
use crate::cli::new_homes::{Cosigner, check_alone, check_out, check_validators, cosigners};
use crate::config::{Bech32Prefix, Home, with_paths};
use crate::types::{ChainId, PublicKey, Threshold, UnixMillis};
use crate::validator::Address as ValidatorAddress;
use crate::watermark::Record;

/// Where the homes of a cluster go if nothing is said.
const DEFAULT_OUT: &str = "shares";

/// Homes that can be made.
pub(super) struct Plan {
    pub(super) chain: ChainId,
    /// What its addresses begin with.
    pub(super) prefix: Bech32Prefix,
    pub(super) public_key: PublicKey,
    /// Where the key is, as `cosigner.toml` will say.
    pub(super) written: Source,
    pub(super) validators: Vec<ValidatorAddress>,
    /// The watermark that every home begins with.
    pub(super) record: Record,
    pub(super) place: Place,
    pub(super) warnings: Vec<String>,
}

/// Which homes.
pub(super) enum Place {
    /// One, of a node that signs alone.
    Alone(Home),
    /// One for each member.
    Cluster(Members),
}

/// The members of a cluster around one key.
pub(super) struct Members {
    /// Where their homes go.
    pub(super) out: PathBuf,
    pub(super) cosigners: Vec<Cosigner>,
    /// How many of them it takes to use the key (I7).
    pub(super) grants: Threshold,
}

impl Plan {
    /// Checks the flags and what they name, the key last. Writes nothing. `home` is that of a node
    /// alone.
    pub(super) fn check(
        args: &Args,
        home: Option<Home>,
        now: UnixMillis,
        open: impl FnOnce(&Source, Option<&PublicKey>) -> Result<Box<dyn WholeKey>, OpenError>,
    ) -> Result<Self, InitError> {
        let mut warnings = Vec::new();
        let source = args.key.source(Paths::Absolute)?;
        let algorithm = source.algorithm();
        check_validators(&args.validators)?;
        let (place, written) = match home {
            Some(home) => alone(args, home, &source)?,
            None => (cluster(args, &mut warnings)?, args.key.source(Paths::AsGiven)?),
        };
        let refused = |source| InitError::PublicKey { algorithm, source };
        let pinned = args.public_key.as_ref().map(|key| key.of(algorithm));
        let pinned = pinned.transpose().map_err(refused)?;
        let public_key = learn(&source, pinned.as_ref(), open, &mut warnings)?;
        let record = args.floor.record(&args.chain_id, &public_key, now)?;
        Ok(Self {
            chain: args.chain_id.clone(),
            prefix: args.bech32_prefix.clone(),
            public_key,
            written,
            validators: args.validators.clone(),
            record,
            place,
            warnings,
        })
    }
}

fn alone(args: &Args, home: Home, source: &Source) -> Result<(Place, Source), InitError> {
    if args.out.is_some() {
        return Err(InitError::OutAlone);
    }
    check_alone(&home)?;
    // What is in the home stays where it is when the home is moved.
    let inside = |path: &Path| path.strip_prefix(home.root()).unwrap_or(path).to_owned();
    let written = with_paths(source, inside);
    Ok((Place::Alone(home), written))
}

fn cluster(args: &Args, warnings: &mut Vec<String>) -> Result<Place, InitError> {
    let n = args.cosigners.len();
    if n == 1 {
        return Err(InitError::OneCosigner);
    }
    let grants = Threshold::majority(u16::try_from(n).unwrap_or(u16::MAX))
        .map_err(|source| InitError::Cosigners { n, source })?;
    let cosigners = cosigners(&args.cosigners, "both go down with it", warnings)?;
    let out = args.out.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_OUT));
    check_out(&out)?;
    Ok(Place::Cluster(Members { out, cosigners, grants }))
}

/// Opens a key; a file that is known by its public key need not be there yet, as for a node that starts.
pub(super) fn open(
    backends: &mut Backends,
    source: &Source,
    expected: Option<&PublicKey>,
) -> Result<Box<dyn WholeKey>, OpenError> {
    match (source, expected) {
        (Source::File(_), Some(expected)) => backends.open_known(source, expected),
        _ => backends.open(source, expected),
    }
}

/// Opens the key, and gives its public key. A key that is known and cannot be reached now is only
/// worth a warning; another one than was named is never taken.
pub(super) fn learn(
    source: &Source,
    pinned: Option<&PublicKey>,
    open: impl FnOnce(&Source, Option<&PublicKey>) -> Result<Box<dyn WholeKey>, OpenError>,
    warnings: &mut Vec<String>,
) -> Result<PublicKey, InitError> {
    let refused = |source: OpenError| match source {
        OpenError::File(FileKeyError::File(SecretFileError::Missing { path, .. })) => {
            InitError::NoKeyFile { path }
        }
        source => {
            let may_pass = source.may_pass() && pinned.is_none();
            InitError::Open { may_pass, source: Box::new(source) }
        }
    };
    let mut key = open(source, pinned).map_err(refused)?;
    let found = key.public_key().clone();
    if let Some(given) = pinned.filter(|given| **given != found) {
        let (given, found) = (Box::new(given.clone()), Box::new(found));
        return Err(InitError::OtherKey { given, found });
    }
    match key.health() {
        Ok(()) => {}
        Err(fault) if pinned.is_some() && fault.may_pass() => {
            warnings.push(format!(
                "the key's backend {} {fault}. The public key is the one that you gave; \
                 look with `cosigner config check` before you start",
                source.name()
            ));
        }
        Err(fault) => return Err(refused(OpenError::Fault { backend: source.name(), fault })),
    }
    Ok(found)
}

#[cfg(test)]
mod tests;
