//! `init --join`: one more whole key in the homes of a cluster, all at hand.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::key::Paths;
use super::plan::{self, learn};
use super::{Args, InitError};
use crate::backend::{Backends, Source};
use crate::cli::add_chain::{
    AddError, Addition, Change, Floor, Joined, TakenHome, check_new_key, extended, joined,
    write_all,
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
            let key = ClusterKey {
                chain: chain.clone(),
                public_key: public_key.clone(),
                threshold: None,
                generation: 1,
                verifying_shares: BTreeMap::new(),
            };
            let list = extended(&first.list, key)?;
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
    let mut changes: Vec<(TakenHome, Change)> = Vec::new();
    for home in homes {
        let change = home.plan(Addition {
            chain,
            list: &list,
            list_text: &list_text,
            settings: &settings,
            share: None,
            floor: Floor::Begin(record.clone()),
        })?;
        changes.push((home, change));
    }
    write_all(&changes)?;
    Ok(report(&heading(chain, &public_key, &args.bech32_prefix, &record, Signers::All), &changes))
}

fn report(heading: &str, homes: &[(TakenHome, Change)]) -> String {
    let mut text = heading.to_owned();
    for (home, change) in homes {
        let had = if change.is_nothing() { "  (had all of it)" } else { "" };
        // Writing to a String does not fail.
        let _ = writeln!(text, "cosigner {:<2} {}{had}", home.me, home.root().display());
    }
    text.push_str(&next_steps(&[
        "Stop whatever has signed with this key until now, for good.".to_owned(),
        "See that every node reaches the key: a key file with a relative path belongs into each home."
            .to_owned(),
        on_each_machine("--home HOME"),
    ]));
    text.push_str("The other chains of these homes are as before.\n");
    text
}
