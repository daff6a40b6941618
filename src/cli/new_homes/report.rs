//! What the operator reads about new homes, whatever made them.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{Cosigner, home_of};
use crate::cli::address::describe;
use crate::cli::state::is_floor;
use crate::config::Bech32Prefix;
use crate::privval::noise::PeerId;
use crate::types::{Algorithm, ChainId, Cluster, PublicKey};
use crate::validator::Address;
use crate::watermark::Record;

/// Whom a watermark binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Signers {
    /// A node alone.
    One,
    /// The members of a cluster.
    All,
}

/// Chain, key and watermark.
pub(in crate::cli) fn heading(
    chain: &ChainId,
    key: &PublicKey,
    prefix: &Bech32Prefix,
    record: &Record,
    signers: Signers,
) -> String {
    let mut text = format!("chain       {chain}\npublic key  {}\n", BASE64.encode(key.as_bytes()));
    if key.algorithm() != Algorithm::Ed25519 {
        // Writing to a String does not fail.
        let _ = writeln!(text, "algorithm   {}", key.algorithm());
    }
    text.push_str(&describe(key, prefix));
    // Writing to a String does not fail.
    let _ = match record.hrs() {
        Some(hrs) if is_floor(hrs) => {
            writeln!(text, "watermark   {}: nothing at or below this height is signed", hrs.height)
        }
        Some(hrs) => {
            let whose = if signers == Signers::All { ", by any cosigner" } else { "" };
            writeln!(text, "watermark   {hrs}: nothing below is signed{whose}")
        }
        None => {
            writeln!(text, "watermark   never signed: the first signature may be at any height")
        }
    };
    text
}

/// A line for each member: its home, address and certificate.
pub(in crate::cli) fn member_lines(cluster: &Cluster, out: &Path) -> String {
    let mut text = String::new();
    for member in cluster.members().values() {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "cosigner {:<2} {}  {}  {}",
            member.id,
            home_of(out, member.id).display(),
            member.address,
            member.certificate
        );
    }
    text
}

/// A line with who the signer is, if a validator has to know.
pub(in crate::cli) fn peer_line(validators: &[Address], ours: &PeerId) -> String {
    if validators.iter().any(|address| matches!(address, Address::Noise { .. })) {
        return format!("peer id     {ours}: the signer that noise:// validators pin\n");
    }
    String::new()
}

/// What the validator's config.toml is to say. `ours` is what it pins on noise://.
pub(in crate::cli) fn listen_address(validators: &[Address], here: bool, ours: &PeerId) -> String {
    match validators.first() {
        Some(Address::Unix(path)) => format!("unix://{}", path.display()),
        Some(Address::Tcp(at)) if here => format!("tcp://127.0.0.1:{}", at.port()),
        Some(Address::Tcp(at)) => format!("tcp://0.0.0.0:{}", at.port()),
        Some(Address::Noise { at, .. }) if here => {
            format!("noise://{ours}@127.0.0.1:{}", at.port())
        }
        Some(Address::Noise { at, .. }) => format!("noise://{ours}@0.0.0.0:{}", at.port()),
        None => "tcp://0.0.0.0:26659".to_owned(),
    }
}

/// All on this machine with a fresh key: nothing is copied, no validator runs with it.
pub(in crate::cli) struct Trial<'p> {
    pub(in crate::cli) out: &'p Path,
    pub(in crate::cli) cosigners: &'p [Cosigner],
    pub(in crate::cli) validators: &'p [Address],
    /// Who the signer is on noise://.
    pub(in crate::cli) ours: &'p PeerId,
    /// What whoever breaks in here has.
    pub(in crate::cli) prize: &'static str,
    /// The last sentence.
    pub(in crate::cli) never: &'static str,
}

/// The steps of a trial.
pub(in crate::cli) fn trial_steps(trial: &Trial<'_>) -> String {
    let mut text = format!(
        "\nAll cosigners are on this machine: for trials only, whoever breaks in here has {}.\nNext:\n",
        trial.prize
    );
    if trial.validators.is_empty() {
        text.push_str(
            "- Add a [[validator]] to the cosigner.toml of each, see the comment there.\n",
        );
    }
    text.push_str("- Start each in a terminal of its own:\n");
    let home = |cosigner: &Cosigner| home_of(trial.out, cosigner.id);
    for cosigner in trial.cosigners {
        // Writing to a String does not fail.
        let _ = writeln!(text, "    cosigner start --home {}", home(cosigner).display());
    }
    let _ = writeln!(
        text,
        "- In the validator's config.toml set the following, and start it:\n    \
         priv_validator_laddr = \"{}\"\n\
         - Look:  cosigner status --home {}\n\
         {}",
        listen_address(trial.validators, true, trial.ours),
        trial.cosigners.first().map(home).unwrap_or_default().display(),
        trial.never
    );
    text
}
