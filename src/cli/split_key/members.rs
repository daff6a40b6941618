//! `split-key --members`: one more chain for a cluster whose homes are elsewhere, in a file for each.

use std::fmt::Write as _;
use std::path::Path;

use super::report::tolerance;
use super::{Args, SplitError, cluster_key, deal_and_prove, plan, warn};
use crate::cli::NewHomesError;
use crate::cli::add_chain::{check_new_key, extended};
use crate::cli::new_homes::{Out, check_absent, check_validators, heading, write_file};
use crate::cli::share::ShareError;
use crate::cli::state::now;
use crate::config::{KeySource, NewChain, read_cluster, render_cluster};
use crate::keystore::{ShareContent, ShareHead, seal_share};
use crate::types::{Cluster, MemberId};
use crate::watermark::{FileError, Stored};

pub(super) fn run(args: &Args, list: &Path) -> Result<String, SplitError> {
    let mut warnings = Vec::new();
    check_validators(&args.validators)?;
    let present = read_cluster(list).map_err(SplitError::List)?;
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
    let settings = NewChain {
        chain: chain.clone(),
        prefix: args.bech32_prefix.clone(),
        key: KeySource::Threshold,
        public_key: None,
        validators: args.validators.clone(),
    };
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
    let heading = heading(chain, public_key, &args.bech32_prefix, &record);
    Ok(format!(
        "{heading}threshold   {}\n{}",
        tolerance(threshold),
        report(args, &next, record.mark().is_some())
    ))
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
        "if it has signed since its state file was taken, delete these files and split again with the present one"
    } else {
        "if it has signed anything for this chain by now, delete these files and split again with its state file"
    };
    let validators = if args.validators.is_empty() {
        "\n   Then add a [[validator]] to its cosigner.toml, see the comment at the end there."
    } else {
        ""
    };
    let out = args.out.display();
    let _ = write!(
        text,
        "
Next:
1. Stop the validator that has used this key, and keep it stopped until step 4: {since}.
2. Carry each file to its member's machine. There, one machine after the other, so that the other
   chains go on:
     stop the node
     cosigner share import --home /var/lib/cosigner cosigner-N.share
     cosigner config check --home /var/lib/cosigner
     start the node, and wait until it is ready{validators}
3. This list of members is edition {serial}. Import it on every member before another chain is split.
4. Set priv_validator_laddr in the validator's config.toml, and start it.
5. Delete {out}/cosigner-*.share everywhere: with the passphrase, {t} of them are the key. Keep one copy of
   the key file offline, and remove it from the validator and from here.
Back up keys/ of each home anew.
",
        serial = list.serial(),
        t = args.threshold,
    );
    text
}
