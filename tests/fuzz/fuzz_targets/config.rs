//! `cosigner.toml`: no text makes its parser panic, and an error says something.
#![no_main]

use std::path::Path;

use cosigner::config::Settings;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Settings::parse(text, Path::new("cosigner.toml"), Path::new("/home/cosigner")) {
        Ok(settings) => assert!(!settings.chains.is_empty()),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
