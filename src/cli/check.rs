//! `config check`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{SocketAddr, TcpListener};

use crate::backend::KeyFault;
use crate::config::{Home, KeySource, Loaded, LoadedKey, LoadedService, Membership, load};
use crate::service::KeyFacts;
use crate::types::{ChainId, Threshold};

use super::CliError;
use super::overrides::OverrideArgs;
use super::variables;

/// Look whether this home is fit to start
///
/// Opens everything that `start` would, except connections to validators and cosigners: modes,
/// lock, cosigner.toml, cluster.toml, keys, state, watermarks, listening addresses; a whole key is
/// asked whether it could sign now. For noise:// validators the identity is read. Signs nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner config check --home shares/cosigner-1
  cosigner config check --validator tcp://10.0.0.1:26659

Exit codes: 0 fit to start; 1 fit to start, but the backend of a whole key cannot be reached now, so
nothing would be signed with it until it can; 2 something in the configuration, also a PIN that is refused;
3 something that would be unsafe, also another key than the chain's.")]
pub(super) struct Args {
    #[command(flatten)]
    overrides: OverrideArgs,
}

pub(super) fn run(home: &Home, args: &Args) -> Result<(), CliError> {
    let mut loaded = load(home, &args.overrides.overrides())?;
    for stray in variables::unread(&loaded.settings) {
        eprintln!("warning: {stray}");
    }
    if let Some(node) = &loaded.settings.node {
        try_listen("[node] listen", node.listen)?;
    }
    if let Some(address) = loaded.settings.ops_listen {
        try_listen("[ops] listen", address)?;
    }
    if let Some(service) = &loaded.service {
        try_listen("[service] listen", service.listen)?;
    }
    let faults = ask_keys(&mut loaded);
    let service_faults = ask_service_keys(&mut loaded);
    super::print(&summary(&loaded, &faults, &service_faults))?;
    // All that can be known was said; the first fault is how it ends.
    match faults.into_iter().next() {
        None => match service_faults.into_iter().next() {
            None => Ok(()),
            Some((id, (backend, fault))) => Err(CliError::ServiceKeyFault { id, backend, fault }),
        },
        Some((chain, (backend, fault))) => Err(CliError::KeyFault { chain, backend, fault }),
    }
}

/// Which chains' whole keys could not sign now, their backends, and why.
type KeyFaults = BTreeMap<ChainId, (&'static str, KeyFault)>;

fn ask_keys(loaded: &mut Loaded) -> KeyFaults {
    let mut faults = BTreeMap::new();
    for (chain, opened) in &mut loaded.chains {
        let (LoadedKey::Whole { key, .. }, KeySource::Whole(source)) =
            (&mut opened.key, &opened.settings.key)
        else {
            continue;
        };
        if let Err(fault) = key.health() {
            faults.insert(chain.clone(), (source.name(), fault));
        }
    }
    faults
}

/// The same of the service's keys, by id.
type ServiceFaults = BTreeMap<String, (&'static str, KeyFault)>;

fn ask_service_keys(loaded: &mut Loaded) -> ServiceFaults {
    let mut faults = BTreeMap::new();
    for key in loaded.service.iter_mut().flat_map(|service| &mut service.keys) {
        let fault = match (&mut key.opened.key, &key.fault) {
            (Some(opened), _) => opened.health().err(),
            (None, fault) => fault.clone(),
        };
        if let Some(fault) = fault {
            faults.insert(key.facts.id.clone(), (key.facts.backend, fault));
        }
    }
    faults
}

fn try_listen(what: &'static str, address: SocketAddr) -> Result<(), CliError> {
    match TcpListener::bind(address) {
        Ok(_closed_at_once) => Ok(()),
        Err(source) => Err(CliError::Listen { what, address, source }),
    }
}

fn summary(loaded: &Loaded, faults: &KeyFaults, service_faults: &ServiceFaults) -> String {
    let settings = &loaded.settings;
    let ops = settings.ops_listen.map_or_else(|| "off".to_owned(), |ops| format!("on {ops}"));
    let but = if faults.is_empty() && service_faults.is_empty() {
        ""
    } else {
        ", but a key cannot be used now"
    };
    let mut text = format!("{} is fit to start{but}.\n", loaded.home.root().display());
    // Writing to a String does not fail.
    let _ = match &loaded.membership {
        Some(it) => writeln!(
            text,
            "cosigner {} of {}, listens on {}, health, status and metrics {ops}",
            it.me,
            it.cluster.members().len(),
            it.listen,
        ),
        None => writeln!(text, "signs alone, health, status and metrics {ops}"),
    };
    if let Some(Membership { cluster, me, .. }) = &loaded.membership {
        for member in cluster.members().values() {
            let this = if member.id == *me { " (this one)" } else { "" };
            let _ = writeln!(text, "member {} at {}{this}", member.id, member.address);
        }
    }
    for (chain, opened) in &loaded.chains {
        let watermark = super::state::words(opened.record.hrs());
        let key = match (&opened.key, &opened.settings.key) {
            (LoadedKey::Share(share), _) => share.threshold.to_string(),
            (LoadedKey::Whole { grants, .. }, KeySource::Whole(source)) => {
                whole(source.name(), *grants, faults.get(chain).map(|(_, fault)| fault))
            }
            (LoadedKey::Whole { grants, .. }, KeySource::Threshold) => grants.to_string(),
        };
        let ceiling =
            opened.record.ceiling().map(|at| format!(", ceiling {at}")).unwrap_or_default();
        let _ = writeln!(text, "chain {chain}: {key}, {watermark}{ceiling}");
        let address = hex::encode_upper(opened.public_key.address());
        let valcons = opened.public_key.valcons(opened.settings.bech32_prefix.as_str());
        let _ = writeln!(text, "  address {address}  {valcons}");
    }
    let listed = loaded.membership.iter().flat_map(|it| it.cluster.keys().keys());
    for chain in listed.filter(|chain| !loaded.chains.contains_key(*chain)) {
        let _ = writeln!(
            text,
            "chain {chain}: not served by this node, there is no [[chain]] for it in cosigner.toml"
        );
    }
    if let Some(identity) = &loaded.noise_identity {
        let _ = writeln!(text, "noise:// as {}", identity.peer_id());
    }
    if let Some(service) = &loaded.service {
        summary_of_service(service, service_faults, &mut text);
    }
    for validator in &settings.validators {
        let _ = writeln!(text, "validator {} of chain {}", validator.address, validator.chain);
    }
    if settings.validators.is_empty() && !settings.chains.is_empty() {
        text.push_str(match &loaded.membership {
            Some(_) => "no validator: this node helps the others sign\n",
            None => "no validator: nobody asks this node to sign\n",
        });
    }
    text
}

fn summary_of_service(service: &LoadedService, faults: &ServiceFaults, text: &mut String) {
    let tls = if service.identity.is_some() { "with TLS" } else { "without TLS" };
    let _ = writeln!(text, "service on {}, {tls}", service.listen);
    for key in &service.keys {
        let KeyFacts { id, algorithm, backend, callers } = &key.facts;
        let reached = match faults.get(id) {
            None => "can be used".to_owned(),
            Some((_, fault)) => format!("cannot be used now ({})", fault.word()),
        };
        let _ = writeln!(
            text,
            "service key {id}: {algorithm} ({backend}) {reached}, callers {callers}"
        );
    }
}

fn whole(backend: &str, grants: Threshold, fault: Option<&KeyFault>) -> String {
    let reached = match fault {
        None => "can be used".to_owned(),
        Some(fault) => format!("cannot be used now ({})", fault.word()),
    };
    match (grants.t(), grants.n()) {
        (_, 1) => format!("whole key ({backend}) {reached}"),
        (t, n) => format!("whole key ({backend}) {reached}, {t} of {n} must agree"),
    }
}
