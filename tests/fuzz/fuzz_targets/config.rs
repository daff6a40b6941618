//! `cosigner.toml`: no text makes its parser panic, an error says something, and what is accepted has
//! something to sign with, in plain text for this machine only.
#![no_main]

use std::path::Path;

use cosigner::config::Settings;
use cosigner::service::Callers;
use cosigner::types::Algorithm;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Settings::parse(text, Path::new("cosigner.toml"), Path::new("/home/cosigner")) {
        Ok(settings) => {
            let Some(service) = settings.service else {
                assert!(!settings.chains.is_empty());
                return;
            };
            assert!(!settings.chains.is_empty() || settings.node.is_none());
            assert!(!service.keys.is_empty());
            assert!(service.tls.is_some() || service.listen.ip().to_canonical().is_loopback());
            for key in &service.keys {
                assert!(service.tls.is_some() || key.callers == Callers::Any);
                let pinned = key.public_key.as_ref().map(|key| key.algorithm());
                assert_ne!(pinned, Some(Algorithm::MlDsa65));
            }
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
});
