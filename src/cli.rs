//! The commands.
//!
//! One file per command. A command's answer goes to standard output, everything else to standard
//! error. Exit codes: 0 done, 1 failed while running, 2 bad usage or configuration, 3 refused for
//! safety.

mod add_chain;
mod address;
mod check;
mod completions;
mod error;
mod init;
mod man;
mod new_homes;
mod overrides;
mod peer_id;
mod share;
mod show;
mod split_key;
mod start;
mod state;
mod status;
mod variables;

use std::path::PathBuf;
use std::process::ExitCode;

use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::Home;

pub use error::CliError;
pub use new_homes::NewHomesError;

/// A remote signer for CometBFT validators, with a key that is split among several machines, or a
/// whole one in a file, token or KMS: no request can make it sign twice.
#[derive(Debug, Parser)]
#[command(
    name = "cosigner",
    version,
    after_help = "\
Begin here:
  cosigner split-key --help        split a validator's key among cosigners
  cosigner init --help             sign with a whole key: a file, a PKCS#11 token, AWS KMS
  cosigner config check            look whether a home is fit to start
  cosigner start                   run it

Exit codes: 0 done; 1 failed while running; 2 bad usage or configuration; 3 refused for safety."
)]
struct Cli {
    /// The node's home: cosigner.toml, cluster.toml, keys/ and state/ [default: ~/.cosigner]
    #[arg(long, global = true, env = "COSIGNER_HOME", value_name = "DIR")]
    home: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    SplitKey(split_key::Args),
    Init(Box<init::Args>),
    Start(start::Args),
    Status(status::Args),
    #[command(subcommand)]
    State(state::StateCommand),
    #[command(subcommand)]
    Share(share::ShareCommand),
    Address(address::Args),
    PeerId(peer_id::Args),
    #[command(subcommand)]
    Config(ConfigCommand),
    Completions(completions::Args),
    Man(man::Args),
    /// Print the version
    #[command(after_help = "Example:\n  cosigner version")]
    Version,
}

/// Look at the configuration
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  cosigner config check --home /var/lib/cosigner")]
enum ConfigCommand {
    Check(check::Args),
    Show(show::Args),
}

/// Reads the command line, runs the command, and says how it ended.
#[must_use]
pub fn main() -> ExitCode {
    hide_memory();
    // Whatever this process makes, sled's files too, is for its owner alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    // Bad usage ends here, with exit code 2.
    let program = variables::without_empty(Cli::command(), &variables::is_empty);
    let matches = program.get_matches();
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    match run(cli, &matches) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cosigner: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// The program with all its commands and flags, each with its full name: for pages and completions.
fn program() -> clap::Command {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    program
}

/// Keys and nonces stay in memory: no core dump, and no look from another process of this user.
fn hide_memory() {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Neither can fail on Linux; and a cosigner that cannot hide still has to sign.
    let _ = setrlimit(Resource::Core, none);
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

fn run(cli: Cli, matches: &ArgMatches) -> Result<(), CliError> {
    let home = cli.home.filter(|home| !home.as_os_str().is_empty());
    let home = || home_or_default(home);
    match cli.command {
        Command::SplitKey(args) => split_key::run(&args),
        Command::Init(args) => init::run(home, &args),
        Command::Start(args) => start::run(&home()?, &args),
        Command::Status(args) => status::run(&home()?, &args),
        Command::State(command) => state::run(&home()?, &command),
        Command::Share(command) => share::run(&home()?, &command),
        Command::Address(args) => address::run(&home()?, &args),
        Command::PeerId(args) => peer_id::run(&home()?, &args),
        Command::Config(ConfigCommand::Check(args)) => check::run(&home()?, &args),
        Command::Config(ConfigCommand::Show(args)) => {
            show::run(&home()?, &args, innermost(matches))
        }
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Version => print(&format!("cosigner {}\n", env!("CARGO_PKG_VERSION"))),
    }
}

/// The matches of the command itself, `config show` say.
fn innermost(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, inner)) = matches.subcommand() {
        matches = inner;
    }
    matches
}

fn home_or_default(given: Option<PathBuf>) -> Result<Home, CliError> {
    let default = || std::env::home_dir().map(|home| home.join(".cosigner"));
    given.or_else(default).map(|path| Home::new(&path)).ok_or(CliError::NoHome)
}

/// Writes a command's answer. A reader that went away early is no error.
fn print(text: &str) -> Result<(), CliError> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::Output(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The program and all its commands.
    fn every(command: clap::Command, all: &mut Vec<clap::Command>) {
        for inner in command.get_subcommands() {
            every(inner.clone(), all);
        }
        all.push(command);
    }

    fn commands() -> Vec<clap::Command> {
        let mut all = Vec::new();
        every(program(), &mut all);
        assert!(all.len() > 15, "{}", all.len());
        all
    }

    #[test]
    fn the_help_of_every_command_has_an_example_that_begins_with_it() {
        for command in commands() {
            let name = command.get_bin_name().unwrap_or("cosigner").to_owned();
            let help = command.clone().render_long_help().to_string();
            let example = help.contains("Example:\n") || help.contains("Examples:\n");
            assert!(example || name == "cosigner", "{name} --help has no example:\n{help}");
            let shown = help.lines().any(|line| line.starts_with(&format!("  {name}")));
            assert!(shown, "{name} --help has no example of {name}:\n{help}");
        }
    }

    #[test]
    fn every_command_and_flag_says_what_it_is_for() {
        for command in commands() {
            let name = command.get_bin_name().unwrap_or("cosigner").to_owned();
            let about = command.get_about().map(ToString::to_string).unwrap_or_default();
            assert!(!about.is_empty() && (!about.ends_with('.') || name == "cosigner"), "{name}");
            for flag in command.get_arguments() {
                let id = flag.get_id();
                let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{name} {id} says nothing");
                assert!(!help.ends_with('.'), "{name} {id}: {help}");
            }
        }
    }
}
