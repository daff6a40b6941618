use std::path::Path;
use std::time::Duration;

use super::*;
use crate::backend::{FileSource, Granted, KeyFault, ServiceMessage, Signatures};
use crate::privval::RawAllowed;
use crate::types::{Algorithm, Signature};

/// A key that is where it says, or not.
struct Key {
    public_key: PublicKey,
    fault: Option<KeyFault>,
}

impl WholeKey for Key {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&mut self, _: Granted) -> Result<Signatures, KeyFault> {
        Err(KeyFault::Other("nothing is signed when homes are made".to_owned()))
    }

    fn sign_raw(&mut self, _: RawAllowed) -> Result<Signature, KeyFault> {
        Err(KeyFault::Other("nothing is signed when homes are made".to_owned()))
    }

    fn sign_service(&mut self, _: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
        Err(KeyFault::Other("nothing is signed when homes are made".to_owned()))
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        self.fault.clone().map_or(Ok(()), Err)
    }
}

fn public(byte: u8) -> PublicKey {
    PublicKey::ed25519([byte; 32])
}

/// Learns the public key of a key that is `found`, with a fault.
fn learned(
    pinned: Option<u8>,
    found: u8,
    fault: Option<KeyFault>,
) -> (Result<PublicKey, InitError>, Vec<String>) {
    let source = Source::File(FileSource { algorithm: Algorithm::Ed25519, path: "k".into() });
    let pinned = pinned.map(public);
    let mut warnings = Vec::new();
    let open = |_: &Source, _: Option<&PublicKey>| -> Result<Box<dyn WholeKey>, OpenError> {
        Ok(Box::new(Key { public_key: public(found), fault }))
    };
    (learn(&source, pinned.as_ref(), open, &mut warnings), warnings)
}

#[test]
fn a_key_that_can_be_reached_says_which_it_is() {
    for pinned in [None, Some(7)] {
        let (found, warnings) = learned(pinned, 7, None);
        assert_eq!(found.unwrap(), public(7));
        assert!(warnings.is_empty());
    }
}

#[test]
fn another_key_than_was_named_is_refused() {
    let (found, _) = learned(Some(8), 7, None);
    let text = found.as_ref().unwrap_err().to_string();
    assert!(matches!(found, Err(InitError::OtherKey { .. })), "{text}");
    assert!(text.contains("CAgI") && text.contains("BwcH"), "{text}");
    let wrong = KeyFault::WrongKey { expected: public(7), found: public(8) };
    let (found, _) = learned(Some(7), 7, Some(wrong));
    assert!(matches!(found, Err(InitError::Open { may_pass: false, .. })));
}

#[test]
fn a_key_that_cannot_be_reached_is_refused_unless_its_public_key_is_given() {
    let away = || Some(KeyFault::NoAnswer { waited: Duration::from_secs(1) });
    let (found, _) = learned(None, 7, away());
    let text = found.unwrap_err().to_string();
    assert!(text.contains("has not answered") && text.contains("give --public-key"), "{text}");
    let (found, warnings) = learned(Some(7), 7, away());
    assert_eq!(found.unwrap(), public(7));
    assert!(warnings[0].contains("has not answered"), "{warnings:?}");
}

#[test]
fn a_key_that_can_never_sign_is_refused_even_if_its_public_key_is_given() {
    let unfit = || Some(KeyFault::Unfit("not for signing".to_owned()));
    for pinned in [None, Some(7)] {
        let (found, _) = learned(pinned, 7, unfit());
        let text = found.unwrap_err().to_string();
        assert!(text.contains("not for signing") && !text.contains("--public-key"), "{text}");
    }
}

#[test]
fn paths_inside_the_home_are_written_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let home = Home::new(directory.path());
    let args = <Args as clap::FromArgMatches>::from_arg_matches(
        &<Args as clap::Args>::augment_args(clap::Command::new("init")).get_matches_from([
            "init",
            "--chain-id",
            "c",
            "--backend",
            "file",
            "--path",
            "k",
            "--never-signed",
        ]),
    )
    .unwrap();
    for (path, written) in [
        (home.root().join("sub/key.json"), Path::new("sub/key.json").to_owned()),
        ("/elsewhere/key.json".into(), "/elsewhere/key.json".into()),
    ] {
        let source = Source::File(FileSource { algorithm: Algorithm::Ed25519, path });
        let (_, found) = alone(&args, home.clone(), &source).unwrap();
        assert_eq!(
            found,
            Source::File(FileSource { algorithm: Algorithm::Ed25519, path: written })
        );
    }
}
