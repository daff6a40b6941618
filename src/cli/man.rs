//! `man`.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Command;
use clap_mangen::Man;

use super::CliError;

/// Print the manual page, or write those of all commands
///
/// With --out, cosigner.1 and a page for each command (cosigner-state-show.1) are written there, for
/// all to read; pages of the same name are replaced.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  cosigner man | man -l -
  cosigner man --out /usr/local/share/man/man1")]
pub(super) struct Args {
    /// Where the pages of all commands are written
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let Some(out) = &args.out else {
        let program = super::program();
        let page = render(program).map_err(CliError::Output)?;
        return super::print(&String::from_utf8_lossy(&page));
    };
    let pages = write_all(out)?;
    super::print(&format!("{pages} pages written to {}\n", out.display()))
}

fn write_all(out: &Path) -> Result<usize, CliError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| CliError::Page { path, source }
    };
    make_directory(out).map_err(failed(out))?;
    let mut pages = Vec::new();
    collect(super::program(), &mut pages);
    for page in &pages {
        let path = out.join(format!("{}.1", name_of(page)));
        let text = render(page.clone()).map_err(failed(&path))?;
        fs::write(&path, text).map_err(failed(&path))?;
        // A page is for all to read, whatever this process's mask for files that are not.
        fs::set_permissions(&path, Permissions::from_mode(0o644)).map_err(failed(&path))?;
    }
    Ok(pages.len())
}

/// Makes a directory that is not there, and those above it, for all to look into: whatever this
/// process's mask for what is not. One that is there stays as it is.
fn make_directory(out: &Path) -> io::Result<()> {
    let is_new = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let new: Vec<&Path> = out.ancestors().take_while(is_new).collect();
    fs::create_dir_all(out)?;
    new.into_iter().try_for_each(|path| fs::set_permissions(path, Permissions::from_mode(0o755)))
}

/// The program and all its commands.
fn collect(command: Command, pages: &mut Vec<Command>) {
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        collect(inner.clone(), pages);
    }
    pages.push(command);
}

/// `cosigner-state-show`.
fn name_of(command: &Command) -> String {
    command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned()
}

fn render(command: Command) -> io::Result<Vec<u8>> {
    let name = name_of(&command);
    let mut page = Vec::new();
    Man::new(command).title(name).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_of_its_own_with_its_example() {
        let out = tempfile::tempdir().unwrap();
        let pages = write_all(out.path()).unwrap();
        let names: Vec<String> = fs::read_dir(out.path())
            .unwrap()
            .map(|page| page.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(names.len(), pages, "{names:?}");
        for name in ["cosigner.1", "cosigner-start.1", "cosigner-state-show.1"] {
            let path = out.path().join(name);
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{name}: {text}");
            assert!(text.contains("cosigner"), "{name}: {text}");
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o644, "{name}");
        }
        let text = fs::read_to_string(out.path().join("cosigner-state-ceiling.1")).unwrap();
        assert!(text.contains("Example"), "{text}");
        // Again: they are replaced, and the directory that was there stays as it is.
        fs::set_permissions(out.path(), Permissions::from_mode(0o700)).unwrap();
        assert_eq!(write_all(out.path()).unwrap(), pages);
        assert_eq!(fs::metadata(out.path()).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
