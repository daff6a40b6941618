//! COSIGNER_… variables that nobody reads: probably a misspelt name, and then a setting that is not
//! in force.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::builder::Resettable;
use clap::{Arg, Command};

use crate::backend::{Pin, Source};
use crate::config::{KeySource, Settings, nearest};

const PREFIX: &str = "COSIGNER_";

/// The flag whose empty value means off.
const MAY_BE_EMPTY: &str = "ops_listen";

/// A sentence for each variable of this process that is one.
pub(super) fn unread(settings: &Settings) -> Vec<String> {
    // An empty one says nothing, so nothing is lost by it.
    let set = std::env::vars_os().filter(|(_, value)| !value.is_empty());
    let set = set.filter_map(|(name, _)| name.into_string().ok());
    let mut known = read_by(&super::program());
    known.extend(pins(settings));
    sentences(set, &known)
}

fn sentences(set: impl Iterator<Item = String>, known: &BTreeSet<String>) -> Vec<String> {
    let stray: BTreeSet<String> =
        set.filter(|name| name.starts_with(PREFIX) && !known.contains(name)).collect();
    let names = || known.iter().map(String::as_str);
    let sentence = |name: String| match nearest(&name, names()) {
        Some(meant) => format!("{name} is set, and nothing reads it: did you mean {meant}?"),
        None => {
            let all: Vec<&str> = names().collect();
            format!("{name} is set, and nothing reads it; there are {}", all.join(", "))
        }
    };
    stray.into_iter().map(sentence).collect()
}

/// The variables of all flags of a command and those inside it.
fn read_by(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|flag| flag.get_env()?.to_str());
    let own = own.map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(read_by)).collect()
}

/// Variables that hold a PIN, of the chains' keys and of the service's; their names are the operator's.
fn pins(settings: &Settings) -> impl Iterator<Item = String> {
    let of_chains = settings.chains.iter().filter_map(|chain| match &chain.key {
        KeySource::Whole(source) => Some(source),
        KeySource::Threshold => None,
    });
    let of_service = settings.service.iter().flat_map(|service| &service.keys);
    let sources = of_chains.chain(of_service.map(|key| &key.source));
    sources.filter_map(|source| match source {
        Source::Pkcs11(token) => match &token.pin {
            Pin::Env(name) => Some(name.clone()),
            Pin::Inline(_) | Pin::File(_) => None,
        },
        Source::File(_) | Source::AwsKms(_) => None,
    })
}

/// The program without the variables that are set and empty: such a one counts as not set, where an
/// empty value has no meaning of its own. Compose files and unit templates leave them so.
pub(super) fn without_empty(command: Command, is_empty: &impl Fn(&OsStr) -> bool) -> Command {
    let reset = |flag: Arg| match flag.get_env() {
        Some(name) if is_empty(name) && flag.get_id() != MAY_BE_EMPTY => {
            flag.env(Resettable::Reset)
        }
        _ => flag,
    };
    command.mut_args(reset).mut_subcommands(|inner| without_empty(inner, is_empty))
}

/// Whether a variable of this process is set, and to nothing.
pub(super) fn is_empty(name: &OsStr) -> bool {
    std::env::var_os(name).is_some_and(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use clap::CommandFactory as _;

    use super::*;

    fn known() -> BTreeSet<String> {
        read_by(&crate::cli::program())
    }

    #[test]
    fn every_flag_of_start_has_a_variable_of_its_name() {
        let program = crate::cli::program();
        let start = program.find_subcommand("start").unwrap();
        let flags =
            start.get_arguments().filter(|flag| flag.get_long().is_some_and(|it| it != "help"));
        let mut seen = 0;
        for flag in flags {
            let long = flag.get_long().unwrap();
            let expected = format!("{PREFIX}{}", long.to_uppercase().replace('-', "_"));
            assert_eq!(flag.get_env().and_then(|env| env.to_str()), Some(expected.as_str()));
            seen += 1;
        }
        assert!(seen >= 5, "{seen}");
    }

    #[test]
    fn a_variable_that_nothing_reads_is_named_with_the_nearest() {
        let set = ["COSIGNER_LOGLEVEL", "COSIGNER_OPS_ADDR", "COSIGNER_HOME", "PATH"];
        let said = sentences(set.map(str::to_owned).into_iter(), &known());
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].ends_with("did you mean COSIGNER_LOG_LEVEL?"), "{said:?}");
        assert!(said[1].starts_with("COSIGNER_OPS_ADDR is set"), "{said:?}");
        assert!(said[1].contains("COSIGNER_HOME, COSIGNER_LOG_FORMAT"), "{said:?}");
    }

    #[test]
    fn the_variable_of_a_pin_is_read() {
        let text = "[[chain]]\nid = \"c\"\nkey = { backend = \"pkcs11\", module = \"m\", slot = 0, \
                    key_label = \"k\", pin_env = \"COSIGNER_PIN\" }\n";
        let settings = Settings::parse(text, Path::new("f"), Path::new("/h")).unwrap();
        assert_eq!(pins(&settings).collect::<Vec<_>>(), ["COSIGNER_PIN"]);
    }

    #[test]
    fn the_variable_of_a_service_keys_pin_is_read() {
        let text = "[service]\n[[service.key]]\nid = \"s\"\nkey = { backend = \"pkcs11\", \
                    module = \"m\", slot = 0, key_label = \"k\", pin_env = \"COSIGNER_PIN\" }\n";
        let settings = Settings::parse(text, Path::new("f"), Path::new("/h")).unwrap();
        assert_eq!(pins(&settings).collect::<Vec<_>>(), ["COSIGNER_PIN"]);
    }

    #[test]
    fn every_variable_that_is_empty_counts_as_not_set_but_the_one_that_empty_switches_off() {
        let mut program = without_empty(crate::cli::Cli::command(), &|_| true);
        program.build();
        assert_eq!(read_by(&program), ["COSIGNER_OPS_LISTEN".to_owned()].into());
        let mut program = without_empty(crate::cli::Cli::command(), &|_| false);
        program.build();
        assert_eq!(read_by(&program), known());
    }
}
