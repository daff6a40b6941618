//! All that can be wrong with a split before it begins.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{Args, SplitError};
use crate::backend::KeyFile;
use crate::cli::new_homes::{Cosigner, check_out, check_validators, cosigners};
use crate::config::Bech32Prefix;
use crate::types::{ChainId, PublicKey, Threshold, UnixMillis};
use crate::validator::Address as ValidatorAddress;
use crate::watermark::Record;

/// No key file is as long as this, in bytes.
const LONGEST_FILE: usize = 64 << 10;

/// A split that can be done.
pub(super) struct Plan {
    pub(super) seed: Zeroizing<[u8; 32]>,
    pub(super) public_key: PublicKey,
    pub(super) chain: ChainId,
    /// What its addresses begin with.
    pub(super) prefix: Bech32Prefix,
    pub(super) threshold: Threshold,
    pub(super) cosigners: Vec<Cosigner>,
    pub(super) validators: Vec<ValidatorAddress>,
    /// The watermark that every home begins with.
    pub(super) record: Record,
    pub(super) out: PathBuf,
    pub(super) warnings: Vec<String>,
}

impl Plan {
    /// Checks the flags and the files that they name. Writes nothing.
    pub(super) fn check(args: &Args, now: UnixMillis) -> Result<Self, SplitError> {
        let mut warnings = Vec::new();
        let threshold = new_threshold(args)?;
        let both = "whoever breaks in there has both shares";
        let cosigners = cosigners(&args.cosigners, both, &mut warnings)?;
        check_validators(&args.validators)?;
        check_out(&args.out)?;
        let key = key(&args.key_file, &mut warnings)?;
        let record = args.floor.record(&args.chain_id, &key.public_key, now)?;
        Ok(Self {
            seed: key.seed,
            public_key: key.public_key,
            chain: args.chain_id.clone(),
            prefix: args.bech32_prefix.clone(),
            threshold,
            cosigners,
            validators: args.validators.clone(),
            record,
            out: args.out.clone(),
            warnings,
        })
    }
}

fn new_threshold(args: &Args) -> Result<Threshold, SplitError> {
    let (t, n) = (args.threshold, args.cosigners.len());
    let threshold = Threshold::new(t, u16::try_from(n).unwrap_or(u16::MAX))
        .map_err(|source| SplitError::Threshold { t, n, source })?;
    if n == 1 { Err(SplitError::WholeKey) } else { Ok(threshold) }
}

/// The threshold in a cluster of `n` members.
pub(super) fn threshold(t: u16, n: usize) -> Result<Threshold, SplitError> {
    Threshold::new(t, u16::try_from(n).unwrap_or(u16::MAX)).map_err(|source| SplitError::Members {
        t,
        n,
        source,
    })
}

/// Reads the key file.
pub(super) fn key(path: &Path, warnings: &mut Vec<String>) -> Result<KeyFile, SplitError> {
    let failed = |source| SplitError::Read { path: path.to_owned(), source };
    let mut file = fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        warnings.push(format!(
            "{} has mode {mode:04o}: others on this machine may have read the key",
            path.display()
        ));
    }
    // Read into one buffer that is never moved, so that one wipe is enough.
    let mut buffer = Zeroizing::new(vec![0; LONGEST_FILE]);
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match file.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
    // A file that fills the buffer was cut off, and will not parse.
    KeyFile::parse(buffer.get(..length).unwrap_or_default())
        .map_err(|source| SplitError::Key { path: path.to_owned(), source })
}
