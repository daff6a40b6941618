//! The home of a node that signs alone with a key file, written by hand.

// Each test binary uses its part of this.
#![allow(dead_code)]
// A panic in a test's helper is a failed test, too.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::ceremony::{CHAIN, Ended, cosigner_told, key_file};

pub(crate) struct Lone {
    root: TempDir,
}

impl Lone {
    /// Without a watermark.
    pub(crate) fn new() -> Self {
        let lone = Self { root: tempfile::tempdir().unwrap() };
        set_mode(lone.root.path(), 0o700);
        lone.write("key.json", &key_file());
        lone.write(
            "cosigner.toml",
            &format!(
                "[ops]\nlisten = \"\"\n\n[[chain]]\nid = \"{CHAIN}\"\n\
                 key = {{ backend = \"file\", path = \"key.json\" }}\n"
            ),
        );
        for directory in ["state", "state/watermarks"] {
            fs::create_dir(lone.path(directory)).unwrap();
            set_mode(&lone.path(directory), 0o700);
        }
        lone
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        set_mode(&self.path(name), 0o600);
        self.path(name).display().to_string()
    }

    /// `state …`.
    pub(crate) fn state(&self, args: &[&str]) -> Ended {
        self.told("", args)
    }

    /// `state …` with this on its standard input.
    pub(crate) fn told(&self, input: &str, args: &[&str]) -> Ended {
        let home = self.root.path().display().to_string();
        cosigner_told(input, &[&["state"], args, &["--home", &home]].concat())
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
