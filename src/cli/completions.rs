//! `completions`.

use clap_complete::Shell;

use super::CliError;

/// Print the completions of a shell
///
/// The shell then completes commands and flags with the tab key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner completions bash > /usr/share/bash-completion/completions/cosigner
  cosigner completions zsh > /usr/share/zsh/site-functions/_cosigner
  cosigner completions fish > ~/.config/fish/completions/cosigner.fish")]
pub(super) struct Args {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_name = "SHELL", hide_possible_values = true)]
    shell: Shell,
}

pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut super::program(), "cosigner", &mut text);
    super::print(&String::from_utf8_lossy(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_commands_and_flags() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let shell: Shell = shell.parse().unwrap();
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut crate::cli::program(), "cosigner", &mut text);
            let text = String::from_utf8(text).unwrap();
            for word in ["split-key", "ceiling", "ops-listen", "never-signed"] {
                assert!(text.contains(word), "{shell}: no {word}");
            }
        }
    }
}
