//! Against SoftHSM2. Its tokens are where `SOFTHSM2_CONF` says, and a process cannot change its own
//! environment safely: each test runs itself again, in a process of its own with the variable set.

mod bench;

use std::fs;
use std::time::Duration;

use bench::{LABEL, PIN, in_a_process_of_its_own, signs};

use super::*;
use crate::backend::{Backends, OpenError, Pin, Source, Token};
use crate::types::Algorithm;

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn signs_with_keys_made_in_the_token_and_imported_ones() {
    in_a_process_of_its_own("signs_with_keys_made_in_the_token_and_imported_ones", |bench| {
        bench.token(LABEL);
        bench.generate(LABEL, "made", "01");
        let imported = bench.import(LABEL, "imported", "02");
        for (label, id) in [
            (Some("made"), None),
            (None, Some(vec![1])),
            (Some("made"), Some(vec![1])),
            (Some("imported"), None),
            (None, Some(vec![2])),
            (Some("imported"), Some(vec![2])),
        ] {
            let source = bench.source(label, id);
            let mut key = Backends::default().open(&Source::Pkcs11(source), None).unwrap();
            if label == Some("imported") {
                assert_eq!(*key.public_key(), imported);
            }
            signs(key.as_mut());
            key.health().unwrap();
        }
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn signs_with_secp256k1_keys_for_both_algorithms() {
    in_a_process_of_its_own("signs_with_secp256k1_keys_for_both_algorithms", |bench| {
        bench.token(LABEL);
        for (label, id) in [("first", "01"), ("second", "02"), ("third", "03")] {
            bench.generate_type(LABEL, label, id, "EC:secp256k1");
            for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
                let source = Pkcs11Source { algorithm, ..bench.source(Some(label), None) };
                let mut key = Backends::default().open(&Source::Pkcs11(source), None).unwrap();
                assert_eq!(key.public_key().algorithm(), algorithm);
                assert_eq!(key.message_limit(), None);
                // A token's nonces are random: each signature has another s, and another v.
                for _ in 0..8 {
                    signs(key.as_mut());
                }
                key.health().unwrap();
            }
        }
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_token_is_found_by_its_slot_and_a_pin_by_its_variable() {
    in_a_process_of_its_own("a_token_is_found_by_its_slot_and_a_pin_by_its_variable", |bench| {
        let slot = bench.token(LABEL);
        bench.generate(LABEL, "made", "01");
        let source = Pkcs11Source {
            token: Token::Slot(slot),
            pin: Pin::Env(bench::PIN_VARIABLE.to_owned()),
            ..bench.source(Some("made"), None)
        };
        let mut key = Backends::default().open(&Source::Pkcs11(source.clone()), None).unwrap();
        signs(key.as_mut());
        let nowhere = Pkcs11Source { token: Token::Slot(slot + 1), ..source };
        let refused = bench.refusal(&nowhere);
        assert!(refused.contains("CKR_SLOT_ID_INVALID"), "{refused}");
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn what_is_not_there_or_not_unique_or_no_ed25519_key_is_refused_by_name() {
    let name = "what_is_not_there_or_not_unique_or_no_ed25519_key_is_refused_by_name";
    in_a_process_of_its_own(name, |bench| {
        bench.token(LABEL);
        bench.generate(LABEL, "twin", "01");
        bench.generate(LABEL, "twin", "02");
        bench.generate_type(LABEL, "ecdsa", "03", "EC:secp256k1");
        let refused = bench.refusal(&bench.source(Some("twin"), None));
        assert!(refused.contains("2 private keys") && refused.contains("label \"twin\""));
        assert!(refused.contains("id 01") && refused.contains("id 02"), "{refused}");
        bench.refusal(&bench.source(Some("twin"), Some(vec![3])));
        let mut one = Backends::default();
        let source = Source::Pkcs11(bench.source(Some("twin"), Some(vec![2])));
        signs(one.open(&source, None).unwrap().as_mut());
        let refused = bench.refusal(&bench.source(Some("ecdsa"), None));
        for word in ["a secp256k1 key (CKK_EC)", "algorithm = \"ed25519\"", "CKK_EC_EDWARDS"] {
            assert!(refused.contains(word), "{refused}");
        }
        bench.generate_type(LABEL, "nist", "04", "EC:secp256r1");
        for (label, found) in [("nist", "of another kind"), ("twin", "CKK_EC_EDWARDS")] {
            let algorithm = Algorithm::Secp256k1;
            let source = Pkcs11Source { algorithm, ..bench.source(Some(label), None) };
            let refused = bench.refusal(&source);
            assert!(refused.contains(found) && refused.contains("\"secp256k1\""), "{refused}");
        }
        let refused = bench.refusal(&bench.source(Some("none"), Some(vec![9])));
        assert!(refused.contains("label \"none\" and id 09"), "{refused}");
        let mut other = bench.source(Some("twin"), Some(vec![1]));
        other.token = Token::Label("nobody".to_owned());
        let refused = bench.refusal(&other);
        assert!(refused.contains("\"nobody\"") && refused.contains(LABEL), "{refused}");
        other.module = "/nothing/libnothing.so".into();
        let refused = bench.refusal(&other);
        assert!(refused.contains("/nothing/libnothing.so cannot be loaded"), "{refused}");
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_key_that_may_not_sign_is_refused() {
    in_a_process_of_its_own("a_key_that_may_not_sign_is_refused", |bench| {
        bench.token(LABEL);
        bench.generate(LABEL, "made", "01");
        bench.forbid_signing(LABEL, "made");
        let refused = bench.refusal(&bench.source(Some("made"), None));
        assert!(refused.contains("CKA_SIGN false"), "{refused}");
    });
}

/// That a PIN that was refused is not offered again is seen by making it the right one: whoever
/// asked the token now would be let in.
#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_refused_pin_is_offered_to_its_token_once() {
    in_a_process_of_its_own("a_refused_pin_is_offered_to_its_token_once", |bench| {
        bench.token(LABEL);
        let expected = bench.import(LABEL, "key", "01");
        let pin_file = bench.pin_file("wrong-pin\n");
        let pin = Pin::File(pin_file.clone());
        let source = Pkcs11Source { pin, ..bench.source(Some("key"), None) };
        let module = Arc::new(Module::new(&bench.module(), Duration::ZERO));
        // SoftHSM2 reads what it compares PINs with when it starts.
        let change_pin = |old, new| {
            bench.change_pin(LABEL, old, new);
            let run = module.attempt(|_| Ok(())).unwrap().1;
            assert!(module.reset(&run).unwrap());
        };
        let mut key = open(&source, Some(&expected), Arc::clone(&module)).unwrap();
        change_pin(PIN, "wrong-pin");
        for _ in 0..10 {
            let fault = key.health().unwrap_err();
            assert_eq!(fault.word(), "pin");
            let text = fault.to_string();
            assert!(text.contains("not tried again") && text.contains(LABEL), "{text}");
            assert!(!text.contains("wrong-pin"), "{text}");
        }
        // Nor by another key of the same token.
        let mut twin = open(&source, Some(&expected), Arc::clone(&module)).unwrap();
        assert_eq!(twin.health().unwrap_err().word(), "pin");
        // One that remembers nothing is let in.
        let forgetful = Arc::new(Module::new(&bench.module(), Duration::ZERO));
        signs(open(&source, Some(&expected), forgetful).unwrap().as_mut());

        // Another PIN is tried, and the right one recovers by itself.
        change_pin("wrong-pin", "new-pin");
        assert_eq!(key.health().unwrap_err().word(), "pin");
        fs::write(&pin_file, "new-pin\n").unwrap();
        key.health().unwrap();
        signs(key.as_mut());
        signs(twin.as_mut());
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn without_its_public_key_a_key_must_be_reachable() {
    in_a_process_of_its_own("without_its_public_key_a_key_must_be_reachable", |bench| {
        bench.token(LABEL);
        bench.generate(LABEL, "key", "01");
        let wrong = Pkcs11Source {
            pin: Pin::Inline("wrong-pin".to_owned().into()),
            ..bench.source(Some("key"), None)
        };
        let refused = bench.refusal(&wrong);
        assert!(refused.contains("C_Login gave CKR_PIN_INCORRECT"), "{refused}");
        assert!(!refused.contains("wrong-pin"), "{refused}");
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_token_that_was_away_is_found_again() {
    in_a_process_of_its_own("a_token_that_was_away_is_found_again", |bench| {
        bench.token(LABEL);
        bench.generate(LABEL, "key", "01");
        let source = Source::Pkcs11(bench.source(Some("key"), None));
        let mut key = Backends::default().open(&source, None).unwrap();
        let public_key = key.public_key().clone();
        for _ in 0..2 {
            bench.take_away();
            let fault = key.health().unwrap_err();
            assert_eq!(fault.word(), "unreachable");
            assert!(fault.to_string().contains("C_GetTokenInfo gave CKR_GENERAL_ERROR"), "{fault}");
            let fault = key.health().unwrap_err();
            assert_eq!(fault.word(), "not_found");
            assert!(fault.to_string().contains("no token with label"), "{fault}");
            assert_eq!(bench::sign(key.as_mut()).unwrap_err().word(), "not_found");
            // A key whose public half is known is opened all the same.
            let mut later = Backends::default().open(&source, Some(&public_key)).unwrap();
            assert_eq!(later.health().unwrap_err().word(), "not_found");
            bench.bring_back();
            key.health().unwrap();
            signs(key.as_mut());
        }
        // Away and back between two calls: the module has lost the key, and notices.
        bench.take_away();
        assert_eq!(bench::sign(key.as_mut()).unwrap_err().word(), "unreachable");
        bench.bring_back();
        signs(key.as_mut());
        assert_eq!(*key.public_key(), public_key);
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn keys_of_one_module_survive_that_one_of_them_starts_it_anew() {
    let name = "keys_of_one_module_survive_that_one_of_them_starts_it_anew";
    in_a_process_of_its_own(name, |bench| {
        bench.token(LABEL);
        let first_key = bench.import(LABEL, "first", "01");
        let second_key = bench.import(LABEL, "second", "02");
        let module = Arc::new(Module::new(&bench.module(), Duration::ZERO));
        let open = |label, key| {
            open(&bench.source(Some(label), None), Some(key), Arc::clone(&module)).unwrap()
        };
        let (mut first, mut second) = (open("first", &first_key), open("second", &second_key));
        let before = module.attempt(|_| Ok(())).unwrap().1;
        // Only the first one is used while the token is away and after it is back.
        bench.take_away();
        assert_eq!(first.health().unwrap_err().word(), "unreachable");
        assert_eq!(first.health().unwrap_err().word(), "not_found");
        bench.bring_back();
        first.health().unwrap();
        // The session of the second is of an earlier run, in which the first has the same number now.
        let run = module.attempt(|_| Ok(())).unwrap().1;
        signs(second.as_mut());
        signs(first.as_mut());
        // Whoever still wants the earlier run ended finds that it is.
        assert!(module.reset(&before).unwrap());
        assert!(Arc::ptr_eq(&run, &module.attempt(|_| Ok(())).unwrap().1), "started anew twice");
        // What the second left behind has not closed the session of the first.
        first.health().unwrap();
        second.health().unwrap();
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_module_is_not_started_anew_again_and_again_under_a_key_that_works() {
    let name = "a_module_is_not_started_anew_again_and_again_under_a_key_that_works";
    in_a_process_of_its_own(name, |bench| {
        bench.token(LABEL);
        let working_key = bench.import(LABEL, "works", "01");
        let module = Arc::new(Module::new(&bench.module(), Duration::from_secs(600)));
        let works = bench.source(Some("works"), None);
        let mut works = open(&works, Some(&working_key), Arc::clone(&module)).unwrap();
        let absent = bench.source(Some("absent"), None);
        let other = PublicKey::ed25519([5; 32]);
        let mut absent = open(&absent, Some(&other), Arc::clone(&module)).unwrap();
        works.health().unwrap();
        let run = module.attempt(|_| Ok(())).unwrap().1;
        for _ in 0..5 {
            assert_eq!(absent.health().unwrap_err().word(), "not_found");
            works.health().unwrap();
        }
        assert!(Arc::ptr_eq(&run, &module.attempt(|_| Ok(())).unwrap().1));
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_module_that_something_else_initialised_is_used_as_it_is() {
    let name = "a_module_that_something_else_initialised_is_used_as_it_is";
    in_a_process_of_its_own(name, |bench| {
        bench.token(LABEL);
        bench.generate(LABEL, "key", "01");
        let source = Source::Pkcs11(bench.source(Some("key"), None));
        let mut first = Backends::default().open(&source, None).unwrap();
        let mut second = Backends::default().open(&source, None).unwrap();
        signs(second.as_mut());
        signs(first.as_mut());
        // Finalises the module under the second, which starts it for itself then.
        drop(first);
        assert_eq!(second.health().unwrap_err().word(), "unreachable");
        second.health().unwrap();
        signs(second.as_mut());
    });
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn another_key_under_the_same_label_is_never_used() {
    in_a_process_of_its_own("another_key_under_the_same_label_is_never_used", |bench| {
        bench.token(LABEL);
        let expected = bench.import(LABEL, "key", "01");
        let source = Source::Pkcs11(bench.source(Some("key"), None));
        let mut key = Backends::default().open(&source, Some(&expected)).unwrap();
        signs(key.as_mut());
        bench.delete(LABEL, "key");
        let found = bench.import(LABEL, "key", "01");
        let wrong = KeyFault::WrongKey { expected: expected.clone(), found };
        // What it was connected to is gone, and what is there now is not it.
        key.health().unwrap_err();
        for _ in 0..3 {
            assert_eq!(key.health().unwrap_err(), wrong);
            assert_eq!(bench::sign(key.as_mut()).unwrap_err(), wrong);
        }
        let refused = Backends::default().open(&source, Some(&expected)).err().unwrap();
        assert!(matches!(refused, OpenError::Fault { backend: "pkcs11", fault } if fault == wrong));
    });
}
