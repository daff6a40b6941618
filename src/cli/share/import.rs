//! `share import`.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::{PassphraseArgs, ShareError};
use crate::cli::CliError;
use crate::cli::add_chain::{AddError, Addition, Floor, TakenHome, write_all};
use crate::cli::state::{height, now, words};
use crate::config::{Home, parse_cluster};
use crate::frost::SigningShare;
use crate::keystore::{LONGEST_SHARE_FILE, ShareHead, open_share, read_head};
use crate::types::{Height, KeyId};
use crate::watermark::{Record, Stored, peek};

/// Add a chain to this home, from a file that `split-key --members` or `share export` has written
///
/// Writes the share, the watermark to begin with, the new cluster.toml, and the chain with its
/// validators at the end of cosigner.toml. Everything is checked first; the other chains of this home
/// are as before. Members may import one after the other: no chain stops for it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner share import --home /var/lib/cosigner cosigner-1.share
  cosigner share import cosigner-1.share --passphrase-file /run/passphrase

Stop the node first, and start it again afterwards. Delete the file when all members have theirs.")]
pub(in crate::cli) struct Args {
    /// The file: cosigner-N.share for member N
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Sign nothing at or below this height, in any round. Needed with a file of `share export` where
    /// there is no watermark: a height that the chain has not reached
    #[arg(long, value_name = "H", value_parser = height)]
    state_height: Option<Height>,
    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let taken = TakenHome::take(home.root())?;
    let file = read(&args.file)?;
    let refused = |source| ShareError::File { path: args.file.clone(), source };
    // Before the passphrase: whoever has the wrong file need not type it.
    let head = read_head(&file).map_err(refused)?;
    check_head(&taken, &head, &args.file)?;
    let passphrase = args.passphrase.recall().map_err(ShareError::from)?;
    let (head, content) = open_share(&file, &passphrase).map_err(refused)?;
    check_head(&taken, &head, &args.file)?;

    let contradicts = |what| ShareError::Contradicts { path: args.file.clone(), what };
    let list = parse_cluster(&content.list, &args.file)?;
    if list.members_hash() != head.members || list.serial() != head.serial {
        return Err(contradicts("its member list is not the one that it names").into());
    }
    let key = list.keys().get(&head.chain);
    let key = key.ok_or_else(|| contradicts("its member list lacks its chain"))?.public_key.id();
    let share = SigningShare::from_bytes(&content.share)
        .map_err(|_| contradicts("what it holds is no share"))?;
    let brought = floor(&head, &key, &content.floor)
        .ok_or_else(|| contradicts("its watermark is not that of its chain and key"))?;
    let floor = match (args.state_height.map(|height| Record::floor(height, now())), brought) {
        (Some(told), Some(brought)) if brought.hrs() > told.hrs() => {
            let (path, told, brought) = (args.file.clone(), told.hrs(), brought.hrs());
            return Err(ShareError::BelowFloor { path, told, brought }.into());
        }
        (Some(told), _) => Floor::Told(told),
        (None, Some(brought)) => Floor::Begin(brought),
        (None, None) => Floor::Unknown,
    };
    let change = taken.plan(Addition {
        chain: &head.chain,
        list: &list,
        list_text: &content.list,
        settings: &content.settings,
        share: Some(share),
        floor,
    })?;
    let homes = [(taken, change)];
    write_all(&homes)?;
    let watermark = peek(&home.watermarks(), &head.chain, &key)?.record.hrs();
    crate::cli::print(&report(home, &head, &words(watermark)))
}

/// Whether the file is for this home, and brings something.
fn check_head(taken: &TakenHome, head: &ShareHead, path: &Path) -> Result<(), ShareError> {
    if head.members != taken.list.members_hash() {
        return Err(AddError::OtherCluster { home: taken.root().to_owned() }.into());
    }
    if head.member != taken.me {
        let (path, found, me) = (path.to_owned(), head.member, taken.me);
        return Err(ShareError::OtherMember { path, found, me });
    }
    if taken.serves(&head.chain) {
        let (place, chain) = (taken.root().to_owned(), head.chain.clone());
        return Err(AddError::There { place, chain }.into());
    }
    Ok(())
}

/// The watermark in the file, `Some(None)` if it brings none.
fn floor(head: &ShareHead, key: &KeyId, bytes: &[u8]) -> Option<Option<Record>> {
    if bytes.is_empty() {
        return Some(None);
    }
    let stored = Stored::from_bytes(bytes)?;
    (stored.chain == head.chain && stored.key == *key).then_some(Some(stored.record))
}

fn read(path: &Path) -> Result<Vec<u8>, ShareError> {
    let failed =
        |source: io::Error| ShareError::Io { doing: "read", path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut content = Vec::new();
    // One byte more than any has, and the sum will not fit.
    let most = u64::try_from(LONGEST_SHARE_FILE).unwrap_or(u64::MAX).saturating_add(1);
    file.take(most).read_to_end(&mut content).map_err(failed)?;
    Ok(content)
}

fn report(home: &Home, head: &ShareHead, watermark: &str) -> String {
    let ShareHead { member, chain, .. } = head;
    format!(
        "chain {chain} is added to this home, with the share of member {member}: {watermark}\n\
         Next:  cosigner config check --home {home}\n\
         and then start the node. Delete the file when it has started.\n",
        home = home.root().display()
    )
}
