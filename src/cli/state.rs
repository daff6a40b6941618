//! `state show`, `state init`, and the other commands on watermarks, a file each.

mod ceiling;
mod export;
mod import;
mod raise;
mod reset;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::SystemTime;

use crate::config::{Home, LoadError, TakenState, consensus_keys, take_state};
use crate::privval::sign_bytes;
use crate::types::{
    ChainId, Height, Hrs, KeyId, PublicKey, Round, Signature, Step, UnixMillis, Verifier,
};
use crate::watermark::{self, FileError, Record, Stored, WatermarkFile};

use super::CliError;
use super::address::{chain_id, unknown_chain, which_chain};
pub(super) use export::ExportError;
pub(super) use import::ImportFailure;
pub(super) use raise::RaiseError;
pub(super) use reset::ResetError;

/// The watermark: the highest height, round and step that this cosigner has agreed to sign
///
/// All but `show` are for a stopped node.
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "Example:\n  cosigner state show --home /var/lib/cosigner")]
pub(super) enum StateCommand {
    Show(ShowArgs),
    Init(InitArgs),
    Import(import::Args),
    Export(export::Args),
    Raise(raise::Args),
    Ceiling(ceiling::Args),
    Reset(reset::Args),
}

/// Show every watermark of this home
///
/// Reads only, and works beside a running node. `21000008/0/3` is height, round and step: 1 a proposal,
/// 2 a prevote, 3 a precommit. `21000000/max` stands for all of that height, in any round. Where it is
/// "not known what was signed there", exactly that step is never signed again.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner state show --home /var/lib/cosigner
  cosigner state show --json")]
pub(super) struct ShowArgs {
    /// As JSON, one object per chain and key
    #[arg(long)]
    json: bool,
}

/// Make the watermark of a chain that has none in this home
///
/// A missing watermark is never replaced by an empty one: you have to say where the chain is. With
/// --height H nothing at or below H is ever signed. Take a height that the chain has not reached, some
/// above its latest block: at the next ones this key may have signed already. The cosigner signs again as
/// soon as the chain is above H. Never replaces a watermark.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
Examples:
  cosigner state init --home /var/lib/cosigner --chain-id cosmoshub-4 --height 21000000
  cosigner state init --chain-id devnet-1 --never-signed

Stop the node first.",
    group = clap::ArgGroup::new("floor").required(true)
)]
pub(super) struct InitArgs {
    /// The chain; may be left out if this home has only one
    #[arg(long, value_name = "CHAIN", value_parser = chain_id)]
    chain_id: Option<ChainId>,
    /// Nothing at or below this height is signed, in any round
    #[arg(long, value_name = "H", group = "floor", value_parser = height)]
    height: Option<Height>,
    /// This key has never signed anything for this chain, anywhere
    #[arg(long, group = "floor")]
    never_signed: bool,
}

pub(super) fn run(home: &Home, command: &StateCommand) -> Result<(), CliError> {
    match command {
        StateCommand::Show(args) => show(home, args.json),
        StateCommand::Init(args) => init(home, args),
        StateCommand::Import(args) => import::run(home, args),
        StateCommand::Export(args) => export::run(home, args),
        StateCommand::Raise(args) => raise::run(home, args),
        StateCommand::Ceiling(args) => ceiling::run(home, args),
        StateCommand::Reset(args) => reset::run(home, args),
    }
}

fn show(home: &Home, json: bool) -> Result<(), CliError> {
    let keys: BTreeMap<KeyId, PublicKey> =
        consensus_keys(home)?.into_values().map(|key| (key.id(), key)).collect();
    let found = watermark::list(&home.watermarks())?;
    if json {
        let found: Vec<_> = found.iter().map(|one| as_json(one, &keys)).collect();
        let text = serde_json::Value::from(found);
        super::print(&format!("{text:#}\n"))?;
    } else if found.is_empty() {
        super::print("no watermarks\n")?;
    } else {
        let text: String = found.iter().flatten().map(as_text).collect();
        super::print(&text)?;
    }
    // What can be read was shown; what cannot still is a failure.
    let files: Vec<FileError> = found.into_iter().filter_map(Result::err).collect();
    if files.is_empty() { Ok(()) } else { Err(CliError::Unusable { files }) }
}

fn as_json(
    one: &Result<Stored, FileError>,
    keys: &BTreeMap<KeyId, PublicKey>,
) -> serde_json::Value {
    let stored = match one {
        Ok(stored) => stored,
        Err(error) => {
            return serde_json::json!({
                "file": error.path.display().to_string(),
                "error": error.fault.to_string(),
            });
        }
    };
    let mark = stored.record.mark();
    let fields = mark.and_then(watermark::Mark::fields);
    serde_json::json!({
        "chain_id": stored.chain.as_str(),
        "key_id": stored.key.to_string(),
        "address": keys.get(&stored.key).map(|key| hex::encode_upper(key.address())),
        "watermark": mark.map(|mark| serde_json::json!({
            "height": mark.hrs().height.get(),
            "round": mark.hrs().round.get(),
            "step": mark.hrs().step.number(),
        })),
        "signbytes": fields.map(|fields| hex::encode_upper(sign_bytes(&stored.chain, fields))),
        "ceiling": stored.record.ceiling().map(Height::get),
        "writes": stored.seq,
        "at_unix_ms": stored.record.at().0,
    })
}

fn as_text(stored: &Stored) -> String {
    let mut text = format!("chain {}, key {}\n", stored.chain, stored.key);
    // Writing to a String does not fail.
    let _ = match stored.record.mark() {
        Some(mark) if mark.fields().is_none() && !is_floor(mark.hrs()) => {
            writeln!(text, "  {}, not known what was signed there", words(Some(mark.hrs())))
        }
        mark => writeln!(text, "  {}", words(mark.map(watermark::Mark::hrs))),
    };
    if let Some(ceiling) = stored.record.ceiling() {
        let _ = writeln!(text, "  ceiling {ceiling}, nothing above this height is signed");
    }
    text
}

/// A watermark for people.
pub(super) fn words(hrs: Option<Hrs>) -> String {
    match hrs {
        None => "never signed".to_owned(),
        Some(hrs) if is_floor(hrs) => {
            format!("watermark {}/max, nothing at or below this height is signed", hrs.height)
        }
        Some(hrs) => format!("watermark {hrs}"),
    }
}

/// Whether this is what `init` and `raise` write.
pub(super) fn is_floor(hrs: Hrs) -> bool {
    hrs.round == Round::MAX && hrs.step == Step::Precommit
}

/// The chain that was named, or the only one.
fn key_of<'c>(
    keys: &'c BTreeMap<ChainId, PublicKey>,
    named: Option<&ChainId>,
) -> Result<(&'c ChainId, &'c PublicKey), CliError> {
    match named {
        Some(chain) => keys.get_key_value(chain).ok_or_else(|| unknown_chain(chain, keys.keys())),
        None => match keys.iter().collect::<Vec<_>>().as_slice() {
            [only] => Ok(*only),
            _ => Err(which_chain(keys.keys())),
        },
    }
}

/// A watermark file that cannot be used, with the command that mends it.
fn refused(home: &Home, chain: &ChainId, source: FileError) -> CliError {
    let (chain, home) = (chain.clone(), home.root().to_owned());
    CliError::Load(LoadError::Watermark { chain, home, source: Box::new(source) })
}

/// Whether a signature is one of this key. A key that cannot be one has made none.
pub(super) fn verifies(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let signature = Signature::new(key.algorithm(), signature);
    Verifier::new(key).is_ok_and(|verifier| verifier.accepts(message, &signature))
}

/// What to do at the other cosigners of a cluster, if there are any.
fn if_member<'t>(taken: &TakenState, text: &'t str) -> &'t str {
    if taken.settings.node.is_some() { text } else { "" }
}

fn init(home: &Home, args: &InitArgs) -> Result<(), CliError> {
    let taken = take_state(home)?;
    let (chain, key) = key_of(&taken.keys, args.chain_id.as_ref())?;
    let record = match args.height {
        Some(height) => Record::floor(height, now()),
        None => Record::never_signed(now()),
    };
    WatermarkFile::create(&home.watermarks(), chain, &key.id(), &record)?;
    let at = match args.height {
        Some(height) => format!("nothing at or below height {height} will be signed"),
        None => "never signed: the first signature may be at any height".to_owned(),
    };
    super::print(&format!("chain {chain}: {at}, by this cosigner\n"))
}

/// This machine's wall clock.
pub(super) fn now() -> UnixMillis {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// For clap: a height, from 1; "nothing signed yet" has a flag of its own.
pub(super) fn height(text: &str) -> Result<Height, String> {
    match text.parse::<i64>().map(Height::new) {
        Ok(Ok(height)) if height.get() > 0 => Ok(height),
        _ => Err("a height is a number from 1; a key that never signed has --never-signed".into()),
    }
}
