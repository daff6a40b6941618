//! `state export`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::config::{Home, TakenState, read_cluster, take_state};
use crate::privval::sign_bytes;
use crate::raft::{Settled, settled_in};
use crate::types::{ChainId, Hrs, PublicKey, Threshold};
use crate::watermark::{Mark, Record, peek, to_cometbft_state};

use super::{is_floor, key_of, refused, verifies, words};
use crate::cli::CliError;
use crate::cli::address::chain_id;

/// Write the watermark as CometBFT's `priv_validator_state.json`
///
/// For going back to a validator that signs by itself, or to another program that reads this file. The
/// sign bytes of the last signature are written together with the signature, if this cosigner has it,
/// or not at all; what that means is said on standard error.
///
/// A cosigner of a cluster may have been away while the others signed: export from all of them, and
/// take the file with the highest height, round and step.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner state export --home /var/lib/cosigner --chain-id cosmoshub-4 --out priv_validator_state.json
  cosigner state export | jq .height

Stop all cosigners first. From then on they must stay stopped. A node that had a remote signer has made
itself a state file with height 0: put this one in its place before the key file comes back.")]
pub(in crate::cli) struct Args {
    /// The chain; may be left out if this home has only one
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: Option<ChainId>,
    /// Write to this new file (mode 0600), not to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It would be overwritten.
    #[error("--out {path}: exists already, and a state file is never overwritten; give another name", path = path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("--out {path}: cannot be written: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is exported.
struct Exported {
    hrs: Option<Hrs>,
    /// Sign bytes and the signature over them.
    signed: Option<(Vec<u8>, Vec<u8>)>,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let taken = take_state(home)?;
    let (chain, key) = key_of(&taken.keys, args.chain_id.as_ref())?;
    let stored = peek(&home.watermarks(), chain, &key.id());
    let record = stored.map_err(|error| refused(home, chain, error))?.record;
    let exported = exported(chain, key, &record, &replicated(&taken, chain, key));
    let signed = exported.signed.as_ref();
    let signed = signed.map(|(bytes, signature)| (bytes.as_slice(), signature.as_slice()));
    let text = to_cometbft_state(exported.hrs, signed);
    let cluster = match taken.settings.node {
        Some(_) => Some(members(home, chain)?),
        None => None,
    };
    match &args.out {
        Some(path) => write_new(path, text.as_bytes())?,
        None => crate::cli::print(&text)?,
    }
    eprint!("{}", notes(chain, &record, &exported, cluster));
    Ok(())
}

/// Signatures that Raft has left on this disk. A hint: without it the file says less, not more.
fn replicated(taken: &TakenState, chain: &ChainId, key: &PublicKey) -> Vec<Settled> {
    let Some(state) = &taken.state else { return Vec::new() };
    settled_in(state, chain, &key.id()).unwrap_or_else(|error| {
        eprintln!(
            "cosigner: the replicated signatures cannot be read, so none is exported: {error}"
        );
        Vec::new()
    })
}

/// The watermark, with its signature if that is known. A signature that verifies proves that the key
/// has signed there, so one above the watermark counts more than the watermark (I2).
fn exported(chain: &ChainId, key: &PublicKey, record: &Record, replicated: &[Settled]) -> Exported {
    let proven = |settled: &Settled| {
        let hrs = settled.hrs().ok()?;
        verifies(key, &settled.sign_bytes, settled.signature.as_bytes()).then_some(hrs)
    };
    let newest = replicated
        .iter()
        .filter_map(|settled| Some((proven(settled)?, settled)))
        .max_by_key(|(hrs, _)| *hrs)
        .filter(|(hrs, _)| Some(*hrs) > record.hrs());
    let (hrs, settled) = if let Some((hrs, settled)) = newest {
        (Some(hrs), Some(settled))
    } else {
        let own = record.mark().and_then(Mark::fields).map(|fields| sign_bytes(chain, fields));
        let covers = |settled: &&Settled| {
            own.as_deref() == Some(&settled.sign_bytes) && proven(settled).is_some()
        };
        (record.hrs(), replicated.iter().find(covers))
    };
    let pair =
        |settled: &Settled| (settled.sign_bytes.clone(), settled.signature.as_bytes().to_vec());
    Exported { hrs, signed: settled.map(pair) }
}

/// How many of how many cosigners sign for a chain.
fn members(home: &Home, chain: &ChainId) -> Result<(usize, usize), CliError> {
    let cluster = read_cluster(&home.cluster_toml())?;
    let n = cluster.members().len();
    let listed = cluster.keys().get(chain).and_then(|key| key.threshold);
    Ok((listed.map_or(n / 2 + 1, |threshold: Threshold| usize::from(threshold.t())), n))
}

/// What the reader must know of the file.
fn notes(
    chain: &ChainId,
    record: &Record,
    exported: &Exported,
    cluster: Option<(usize, usize)>,
) -> String {
    let mut text = format!("chain {chain}: {}\n", words(exported.hrs));
    if exported.hrs > record.hrs() {
        text.push_str(
            "That is a signature of this key that the other cosigners have replicated; this one's own watermark is lower.\n",
        );
    }
    text.push_str(match (exported.hrs, &exported.signed) {
        (None, _) => "The key has never signed: the file is that of a new validator.\n",
        (Some(_), Some(_)) => "With the last signature and its sign bytes.\n",
        (Some(hrs), None) if is_floor(hrs) => {
            "Round 2147483647 and step 3 make CometBFT refuse everything at or below this height; it goes on above.\n"
        }
        (Some(_), None) => {
            "Without sign bytes, because the signature over them is not here: CometBFT never signs exactly this step \
             again (\"no SignBytes found\"), and goes on from the next one.\n"
        }
    });
    if let Some((t, n)) = cluster {
        let enough = n - t + 1;
        text.push_str(&format!(
            "{t} of {n} cosigners sign without the others, so this one may not know the last signature: export from all \
             of them, from at least {enough}, and take the file with the highest height, round and step.\n"
        ));
    }
    text.push_str(
        "From now on this cosigner must stay stopped: whatever goes on from this file does not know what it signs later.\n",
    );
    text
}

/// Writes a file that is not there yet, durably, or leaves nothing.
fn write_new(path: &Path, content: &[u8]) -> Result<(), ExportError> {
    let failed = |source: io::Error| {
        let path = path.to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists {
            ExportError::Exists { path }
        } else {
            ExportError::Write { path, source }
        }
    };
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    written.map_err(|error| {
        // Half a state file must not be taken for one. The first error is the one to tell.
        let _ = fs::remove_file(path);
        failed(error)
    })
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::*;
    use crate::privval::{Fields, Vote, VoteKind};
    use crate::types::{Algorithm, Height, Round, Signature, Timestamp, UnixMillis};

    fn chain() -> ChainId {
        ChainId::new("test-chain-1").unwrap()
    }

    fn signer() -> SigningKey {
        SigningKey::from_bytes(&[3; 32])
    }

    fn key() -> PublicKey {
        PublicKey::ed25519(signer().verifying_key().to_bytes())
    }

    fn prevote(height: i64, seconds: i64) -> Fields {
        Fields::Vote(Vote {
            kind: VoteKind::Prevote,
            height: Height::new(height).unwrap(),
            round: Round::new(0).unwrap(),
            block_id: None,
            timestamp: Timestamp::new(seconds, 0).unwrap(),
        })
    }

    fn record(fields: Fields) -> Record {
        Record::at_mark(Mark::signed(fields), UnixMillis(0))
    }

    fn settled(fields: &Fields) -> Settled {
        let sign_bytes = sign_bytes(&chain(), fields);
        let signature = Signature::new(Algorithm::Ed25519, signer().sign(&sign_bytes).to_bytes());
        Settled { chain: chain(), key: key().id(), sign_bytes, signature }
    }

    fn forged(fields: &Fields) -> Settled {
        Settled { signature: Signature::new(Algorithm::Ed25519, [7; 64]), ..settled(fields) }
    }

    type Pair = Option<(Vec<u8>, Vec<u8>)>;

    fn export(record: &Record, replicated: &[Settled]) -> (i64, Pair) {
        let exported = exported(&chain(), &key(), record, replicated);
        (exported.hrs.unwrap().height.get(), exported.signed)
    }

    fn pair(settled: &Settled) -> Pair {
        Some((settled.sign_bytes.clone(), settled.signature.as_bytes().to_vec()))
    }

    #[test]
    fn the_signature_over_exactly_the_recorded_bytes_is_exported_if_it_verifies() {
        let (own, older) = (prevote(5, 1), settled(&prevote(4, 1)));
        let right = settled(&own);
        let found = [older.clone(), forged(&own), right.clone()];
        assert_eq!(export(&record(own.clone()), &found), (5, pair(&right)));
        for other in [forged(&own), settled(&prevote(5, 2)), older] {
            assert_eq!(export(&record(own.clone()), &[other]), (5, None));
        }
        assert_eq!(
            export(&Record::floor(Height::new(5).unwrap(), UnixMillis(0)), &[right]),
            (5, None)
        );
    }

    #[test]
    fn a_signature_above_the_watermark_counts_more_than_the_watermark() {
        let (above, below) = (settled(&prevote(7, 1)), settled(&prevote(6, 1)));
        let found = [below, above.clone(), forged(&prevote(9, 1))];
        assert_eq!(export(&record(prevote(5, 1)), &found), (7, pair(&above)));
        assert_eq!(export(&Record::never_signed(UnixMillis(0)), &found), (7, pair(&above)));
        assert_eq!(export(&record(prevote(5, 1)), &[forged(&prevote(9, 1))]), (5, None));
    }
}
