//! `split-key --join`: one more chain in the homes of a cluster, all at hand.

use super::report::tolerance;
use super::{Args, SplitError, cluster_key, deal_and_prove, new_chain, plan, warn};
use crate::cli::add_chain::{
    AddError, Addition, Change, Floor, Joined, TakenHome, add_to_all, check_new_key, extended,
    home_lines, joined,
};
use crate::cli::new_homes::{Signers, check_validators, heading, next_steps, on_each_machine};
use crate::cli::state::now;
use crate::config::render_cluster;
use crate::types::{ClusterKey, Threshold};
use crate::watermark::Record;

pub(super) fn run(args: &Args) -> Result<String, SplitError> {
    let mut warnings = Vec::new();
    check_validators(&args.validators)?;
    let key = plan::key(&args.key_file, &mut warnings)?;
    let (chain, public_key) = (&args.chain_id, &key.public_key);
    let record = args.floor.record(chain, public_key, now())?;
    let homes = TakenHome::take_all(&args.join)?;
    let Some(first) = homes.first() else {
        return Err(AddError::NoHomes.into());
    };
    let threshold = plan::threshold(args.threshold, first.list.members().len())?;
    let fits = |listed: &ClusterKey| {
        listed.public_key == *public_key && listed.threshold == Some(threshold)
    };
    let state = joined(&homes, chain, fits)?;
    if matches!(state, Joined::New) {
        check_new_key(&first.list, &first.root().join("cluster.toml"), chain, public_key)?;
    }
    warn(&warnings);
    let (list, list_text, mut shares) = match state {
        Joined::Begun(list, text) => (list, text, None),
        Joined::New => {
            let dealt = deal_and_prove(&key.seed, threshold)?;
            let list = extended(&first.list, cluster_key(chain, public_key, threshold, &dealt))?;
            let text = render_cluster(&list);
            (list, text, Some(dealt.shares))
        }
    };
    let settings = new_chain(args).render();
    let changes = add_to_all(homes, |home| Addition {
        chain,
        list: &list,
        list_text: &list_text,
        settings: &settings,
        share: shares.as_mut().and_then(|shares| shares.remove(&home.me)),
        floor: Floor::Begin(record.clone()),
    })?;
    let heading = heading(chain, public_key, &args.bech32_prefix, &record, Signers::All);
    Ok(report(args, &heading, threshold, &changes, &record))
}

fn report(
    args: &Args,
    heading: &str,
    threshold: Threshold,
    homes: &[(TakenHome, Change)],
    record: &Record,
) -> String {
    let mut text = format!("{heading}threshold   {}\n", tolerance(threshold));
    text.push_str(&home_lines(homes));
    let signed = match record.mark() {
        Some(_) => "It must not sign from the moment its state file was taken on.",
        None => "It must not have signed anything for this chain.",
    };
    let validators = if args.validators.is_empty() {
        "Add a [[validator]] to the cosigner.toml of each, see the comment there."
    } else {
        "The validators stand at the end of each cosigner.toml."
    };
    text.push_str(&next_steps(&[
        format!("Stop the validator that has used this key. {signed}"),
        validators.to_owned(),
        on_each_machine("--home HOME"),
        "Set priv_validator_laddr in the validator's config.toml, and start it.".to_owned(),
        "Keep one copy of the key file offline, and remove it from the validator and from here."
            .to_owned(),
    ]));
    text.push_str(
        "The other chains of these homes are as before. Back up keys/ of each home anew.\n",
    );
    text
}
