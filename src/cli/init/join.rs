//! `init --join`: one more whole key in the homes of a cluster, all at hand.

use super::key::Paths;
use super::plan::{self, learn};
use super::{Args, InitError, cluster_key};
use crate::backend::{Backends, Source};
use crate::cli::add_chain::{
    AddError, Addition, Change, Floor, Joined, TakenHome, add_to_all, check_new_key, extended,
    home_lines, joined,
};
use crate::cli::new_homes::{Signers, check_validators, heading, next_steps, on_each_machine};
use crate::cli::state::now;
use crate::config::{KeySource, NewChain, render_cluster};
use crate::types::{ClusterKey, PublicKey};

pub(super) fn run(args: &Args) -> Result<String, InitError> {
    let mut warnings = Vec::new();
    let source = args.key.source(Paths::Absolute)?;
    let written = args.key.source(Paths::AsGiven)?;
    check_validators(&args.validators)?;
    let homes = TakenHome::take_all(&args.join)?;
    let mut backends = Backends::default();
    let open =
        |source: &Source, expected: Option<&PublicKey>| plan::open(&mut backends, source, expected);
    let algorithm = source.algorithm();
    let refused = |source| InitError::PublicKey { algorithm, source };
    let pinned = args.public_key.as_ref().map(|key| key.of(algorithm));
    let pinned = pinned.transpose().map_err(refused)?;
    let public_key = learn(&source, pinned.as_ref(), open, &mut warnings)?;
    let chain = &args.chain_id;
    let record = args.floor.record(chain, &public_key, now())?;
    let Some(first) = homes.first() else {
        return Err(AddError::NoHomes.into());
    };
    let fits = |listed: &ClusterKey| listed.public_key == public_key && listed.threshold.is_none();
    let (list, list_text) = match joined(&homes, chain, fits)? {
        Joined::Begun(list, text) => (list, text),
        Joined::New => {
            check_new_key(&first.list, &first.root().join("cluster.toml"), chain, &public_key)?;
            let list = extended(&first.list, cluster_key(chain, &public_key))?;
            let text = render_cluster(&list);
            (list, text)
        }
    };
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    let settings = NewChain {
        chain: chain.clone(),
        prefix: args.bech32_prefix.clone(),
        key: KeySource::Whole(written),
        // The member list has it.
        public_key: None,
        validators: args.validators.clone(),
    };
    let settings = settings.render();
    let changes = add_to_all(homes, |_| Addition {
        chain,
        list: &list,
        list_text: &list_text,
        settings: &settings,
        share: None,
        floor: Floor::Begin(record.clone()),
    })?;
    Ok(report(&heading(chain, &public_key, &args.bech32_prefix, &record, Signers::All), &changes))
}

fn report(heading: &str, homes: &[(TakenHome, Change)]) -> String {
    let mut text = heading.to_owned() + &home_lines(homes);
    text.push_str(&next_steps(&[
        "Stop whatever has signed with this key until now, for good.".to_owned(),
        "See that every node reaches the key: a key file with a relative path belongs into each home."
            .to_owned(),
        on_each_machine("--home HOME"),
    ]));
    text.push_str("The other chains of these homes are as before.\n");
    text
}
