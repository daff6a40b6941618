//! `split-key --members`: one more chain for a cluster whose homes are elsewhere, in a file for each.

use std::fmt::Write as _;
use std::path::Path;

use super::report::tolerance;
use super::{Args, SplitError, cluster_key, deal_and_prove, new_chain, plan, warn};
use crate::cli::NewHomesError;
use crate::cli::add_chain::{check_new_key, extended};
use crate::cli::new_homes::{
    Out, Signers, check_absent, check_validators, heading, next_steps, write_file,
};
use crate::cli::share::ShareError;
use crate::cli::state::now;
use crate::config::{ConfigError, read_cluster, render_cluster};
use crate::keystore::{ShareContent, ShareHead, seal_share};
use crate::types::{Cluster, MemberId};
use crate::watermark::{FileError, Stored};

pub(super) fn run(args: &Args, list: &Path) -> Result<String, SplitError> {
    let mut warnings = Vec::new();
    check_validators(&args.validators)?;
    let present = read_cluster(list).map_err(|why| no_list(list, why))?;
    let threshold = plan::threshold(args.threshold, present.members().len())?;
    let ids: Vec<MemberId> = present.members().keys().copied().collect();
    check_absent(ids.iter().map(|&id| args.out.join(name_of(id))), "--out")?;
    let key = plan::key(&args.key_file, &mut warnings)?;
    let (chain, public_key) = (&args.chain_id, &key.public_key);
    check_new_key(&present, list, chain, public_key)?;
    let record = args.floor.record(chain, public_key, now())?;
    warn(&warnings);
    // Before the seconds that the proof may take.
    let passphrase = args.passphrase.choose().map_err(ShareError::from)?;
    let dealt = deal_and_prove(&key.seed, threshold)?;

    let next = extended(&present, cluster_key(chain, public_key, threshold, &dealt))?;
    let settings = new_chain(args);
    let (key, floor) = (public_key.id(), record.clone());
    let floor = Stored { chain: chain.clone(), key, seq: 0, record: floor };
    let floor = floor
        .to_bytes()
        .map_err(|fault| NewHomesError::from(FileError { path: args.out.clone(), fault }))?;
    let failed = |source| ShareError::File { path: args.out.clone(), source };
    let out = Out::make(&args.out)?;
    for (&member, share) in &dealt.shares {
        let content = ShareContent {
            share: share.to_bytes(),
            floor: floor.clone(),
            list: render_cluster(&next),
            settings: settings.render().to_string(),
        };
        let (members, serial) = (next.members_hash(), next.serial());
        let head = ShareHead { member, members, serial, chain: chain.clone() };
        let file = seal_share(&head, &content, &passphrase).map_err(failed)?;
        write_file(&out.unfinished.join(name_of(member)), file)?;
    }
    out.finish(&ids.iter().map(|&id| name_of(id)).collect::<Vec<_>>())?;
    let heading = heading(chain, public_key, &args.bech32_prefix, &record, Signers::All);
    Ok(format!(
        "{heading}threshold   {}\n{}",
        tolerance(threshold),
        report(args, &next, record.mark().is_some())
    ))
}

/// Another file than cluster.toml, or a whole home, says so more clearly than what its text lacks.
fn no_list(path: &Path, why: ConfigError) -> SplitError {
    let found = match &why {
        _ if path.is_dir() => "a directory".to_owned(),
        _ if path.ends_with("cluster.toml") => return SplitError::List(why),
        ConfigError::Missing { .. } => "not found".to_owned(),
        ConfigError::Text { line, message, .. } => {
            format!("not a list of members (line {line}: {message})")
        }
        _ => return SplitError::List(why),
    };
    SplitError::NotAList { path: path.to_owned(), found }
}

fn name_of(member: MemberId) -> String {
    format!("cosigner-{member}.share")
}

fn report(args: &Args, list: &Cluster, has_signed: bool) -> String {
    let mut text = String::new();
    for member in list.members().values() {
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "cosigner {:<2} {}  for {}",
            member.id,
            args.out.join(name_of(member.id)).display(),
            member.address
        );
    }
    let since = if has_signed {
        "since its state file was taken, delete these files and split again with the present one"
    } else {
        "anything for this chain by now, delete these files and split again with its state file"
    };
    let validators = if args.validators.is_empty() {
        "\nThen add a [[validator]] to its cosigner.toml, see the comment at the end there."
    } else {
        ""
    };
    let (out, t, serial) = (args.out.display(), args.threshold, list.serial());
    text.push_str(&next_steps(&[
        format!(
            "Stop the validator that has used this key, and keep it stopped until step 4: if it has \
             signed {since}."
        ),
        format!(
            "Carry each file to its member's machine. There, one machine after the other, so that the \
             other chains go on, stop the node, then\n  \
             cosigner share import --home /var/lib/cosigner cosigner-N.share\n  \
             cosigner config check --home /var/lib/cosigner\n\
             Start the node, and wait until it is ready.{validators}"
        ),
        format!(
            "This list of members is edition {serial}. Import it on every member before another chain \
             is split."
        ),
        "Set priv_validator_laddr in the validator's config.toml, and start it.".to_owned(),
        format!(
            "Delete {out}/cosigner-*.share everywhere: with the passphrase, {t} of them are the key. \
             Keep one copy of the key file offline, and remove it from the validator and from here."
        ),
    ]));
    text.push_str("Back up keys/ of each home anew.\n");
    text
}
