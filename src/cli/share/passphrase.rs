//! The passphrase of a share's file: from a file, or from the terminal.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::error::PassphraseError;
use crate::keystore::check_passphrase;

/// Longest passphrase, in bytes.
const LONGEST: usize = 1024;

/// Where the passphrase is.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct PassphraseArgs {
    /// A file with the passphrase in one line, mode 0600; without it the terminal is asked
    #[arg(long, env = "COSIGNER_PASSPHRASE_FILE", value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArgs {
    /// A passphrase to write with: asked for twice.
    pub(in crate::cli) fn choose(&self) -> Result<Zeroizing<String>, PassphraseError> {
        let passphrase = match &self.passphrase_file {
            Some(path) => in_file(path)?,
            None => {
                let first = ask("Passphrase for the share: ")?;
                check_passphrase(&first)?;
                if ask("The same again: ")? != first {
                    return Err(PassphraseError::Differ);
                }
                first
            }
        };
        check_passphrase(&passphrase)?;
        Ok(passphrase)
    }

    /// The passphrase that something was written with.
    pub(in crate::cli) fn recall(&self) -> Result<Zeroizing<String>, PassphraseError> {
        match &self.passphrase_file {
            Some(path) => in_file(path),
            None => ask("Passphrase of the share: "),
        }
    }
}

fn ask(prompt: &str) -> Result<Zeroizing<String>, PassphraseError> {
    let typed = rpassword::prompt_password(prompt).map(Zeroizing::new);
    typed.map_err(|_| PassphraseError::NoTerminal)
}

fn in_file(path: &Path) -> Result<Zeroizing<String>, PassphraseError> {
    let failed = |source: io::Error| PassphraseError::Read { path: path.to_owned(), source };
    let not_one = || PassphraseError::NotOne { path: path.to_owned() };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let mode = metadata.permissions().mode() & 0o7777;
    // A pipe (of a shell's <(…), say) is nobody else's.
    if metadata.is_file() && mode & 0o077 != 0 {
        return Err(PassphraseError::Loose { path: path.to_owned(), mode });
    }
    // With its capacity from the start: growing would leave copies behind.
    let mut content = Zeroizing::new(Vec::with_capacity(LONGEST + 2));
    let most = u64::try_from(LONGEST + 1).unwrap_or(u64::MAX);
    file.take(most).read_to_end(&mut content).map_err(failed)?;
    let text = std::str::from_utf8(&content).map_err(|_| not_one())?;
    let line = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
    if content.len() > LONGEST || line.contains(['\n', '\r', '\0']) {
        return Err(not_one());
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn args(content: &[u8], mode: u32) -> (tempfile::TempDir, PassphraseArgs) {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("passphrase");
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        (root, PassphraseArgs { passphrase_file: Some(path) })
    }

    #[test]
    fn one_line_of_a_private_file_is_the_passphrase() {
        for content in ["correct horse", "correct horse\n", "correct horse\r\n"] {
            let (_root, args) = args(content.as_bytes(), 0o600);
            assert_eq!(args.choose().unwrap().as_str(), "correct horse");
            assert_eq!(args.recall().unwrap().as_str(), "correct horse");
        }
        for content in [b"two\nlines here".as_slice(), b"not utf-8 \xff", &[b'x'; 1025]] {
            let (_root, args) = args(content, 0o600);
            let refused = args.choose().unwrap_err();
            assert!(matches!(refused, PassphraseError::NotOne { .. }), "{refused}");
        }
        let (_root, args) = args(b"short\n", 0o600);
        assert!(matches!(args.choose(), Err(PassphraseError::Unfit(_))));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused_and_not_shown() {
        let (_root, args) = args(b"correct horse", 0o640);
        let refused = args.recall().unwrap_err().to_string();
        assert!(refused.contains("chmod 0600") && !refused.contains("horse"), "{refused}");
    }
}
