//! `config show`.

use std::fmt::Write as _;

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::config::{Home, Settings, in_force};

use super::CliError;
use super::overrides::OverrideArgs;
use super::variables;

/// Print each setting with its value and where that comes from
///
/// A flag wins over a COSIGNER_… variable of the same name, that over cosigner.toml, that over the
/// default. Reads only, and works beside a running node. A PIN is not shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner config show --home /var/lib/cosigner
  cosigner config show --log-level debug")]
pub(super) struct Args {
    #[command(flatten)]
    overrides: OverrideArgs,
}

/// `matches` are those of this command: they know flags from variables.
pub(super) fn run(home: &Home, args: &Args, matches: &ArgMatches) -> Result<(), CliError> {
    let overrides = args.overrides.overrides();
    for stray in variables::unread(&Settings::read(home, &overrides)?) {
        eprintln!("warning: {stray}");
    }
    let mut lines = vec![(
        "home".to_owned(),
        home.root().display().to_string(),
        origin(matches, "home").unwrap_or("default").to_owned(),
    )];
    for setting in in_force(home, &overrides)? {
        let flag = match setting.key.as_str() {
            "ops.listen" => Some("ops_listen"),
            "log.level" => Some("log_level"),
            "log.format" => Some("log_format"),
            key if key.starts_with("validator.") => Some("validators"),
            _ => None,
        };
        let file = if setting.in_file { "cosigner.toml" } else { "default" };
        let origin = flag.and_then(|flag| origin(matches, flag)).unwrap_or(file);
        lines.push((setting.key, setting.value, origin.to_owned()));
    }
    let width = |of: fn(&(String, String, String)) -> usize| lines.iter().map(of).max();
    let key_width = width(|line| line.0.chars().count()).unwrap_or_default();
    let value_width = width(|line| line.1.chars().count()).unwrap_or_default();
    let mut text = String::new();
    for (key, value, origin) in &lines {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{key:<key_width$}  {value:<value_width$}  {origin}");
    }
    super::print(&text)
}

fn origin(matches: &ArgMatches, id: &str) -> Option<&'static str> {
    match (matches.value_source(id)?, id) {
        (ValueSource::CommandLine, _) => Some("flag"),
        (ValueSource::EnvVariable, "home") => Some("COSIGNER_HOME"),
        (ValueSource::EnvVariable, "ops_listen") => Some("COSIGNER_OPS_LISTEN"),
        (ValueSource::EnvVariable, "log_level") => Some("COSIGNER_LOG_LEVEL"),
        (ValueSource::EnvVariable, "log_format") => Some("COSIGNER_LOG_FORMAT"),
        (ValueSource::EnvVariable, _) => Some("COSIGNER_VALIDATOR"),
        _ => None,
    }
}
