//! Which keys are taken, and what is signed with them.

use serde_json::json;

use super::kms_fault::{ALIAS, ARN};
use super::*;

#[test]
fn signs_a_vote_and_its_extension() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    assert_eq!(*key.public_key(), public_key(&kms));
    assert_eq!(key.message_limit(), Some(4096));
    let case = case(&key, Some(b"extension".to_vec()));
    let signed = key.sign(case.granted).unwrap();
    assert!(holds(&key, &case.vote, signed.vote.as_ref()));
    assert!(holds(&key, &case.extension.unwrap(), signed.extension.as_ref()));
    assert_eq!(kms.calls(Call::Sign), 2);
}

#[test]
fn vote_and_extension_are_signed_at_the_same_time() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    // One after the other they would take longer than a call may.
    kms.answer_to(Call::Sign, Answer::Slow(Duration::from_millis(250)));
    let case = case(&key, Some(b"extension".to_vec()));
    let begun = Instant::now();
    key.sign(case.granted).unwrap();
    assert!(begun.elapsed() < Duration::from_millis(490), "took {:?}", begun.elapsed());
}

#[test]
fn an_alias_is_resolved_once_and_signing_names_the_key() {
    let kms = KmsFault::start(SEED);
    let mut key = AwsKms::connect_with(setup(&kms, ALIAS), None).unwrap();
    sign(&mut key).unwrap();
    sign(&mut key).unwrap();
    forget_holds(&mut key);
    key.health().unwrap();
    assert_eq!(kms.key_ids(), [ALIAS, ARN, ARN, ARN]);
}

#[test]
fn a_key_that_is_not_the_expected_one_is_never_used() {
    let kms = KmsFault::start(SEED);
    let expected = PublicKey::ed25519([9; 32]);
    let fault = open_fault(&kms, Some(&expected));
    assert_eq!(fault, KeyFault::WrongKey { expected, found: public_key(&kms) });
    assert_eq!(kms.calls(Call::Sign), 0);
}

#[test]
fn a_key_that_turns_out_another_one_later_is_not_used() {
    let kms = KmsFault::start(SEED);
    kms.answer(Answer::Closed);
    let expected = public_key(&kms);
    let mut key = AwsKms::connect_with(setup(&kms, ALIAS), Some(&expected)).unwrap();
    kms.answer(Answer::OtherKey);
    assert!(matches!(sign(&mut key), Err(KeyFault::WrongKey { .. })));
    assert!(matches!(key.health(), Err(KeyFault::WrongKey { .. })));
    assert_eq!(kms.calls(Call::Sign), 0);
    kms.answer(Answer::Right);
    sign(&mut key).unwrap();
}

#[test]
fn keys_of_other_kinds_are_refused_with_what_is_needed() {
    for (field, value, words) in [
        ("KeySpec", json!("ECC_NIST_P256"), ["ECC_NIST_P256", "ECC_NIST_EDWARDS25519"]),
        ("KeySpec", json!(null), ["missing", "ECC_NIST_EDWARDS25519"]),
        ("KeyUsage", json!("KEY_AGREEMENT"), ["KEY_AGREEMENT", "SIGN_VERIFY"]),
        (
            "SigningAlgorithms",
            json!(["ED25519_PH_SHA_512"]),
            ["ED25519_PH_SHA_512", "ED25519_SHA_512"],
        ),
    ] {
        let kms = KmsFault::start(SEED);
        kms.answer(Answer::With(json!({ field: value })));
        let fault = open_fault(&kms, Some(&public_key(&kms)));
        assert!(matches!(fault, KeyFault::Unfit(_)), "{fault}");
        for word in words {
            assert!(fault.to_string().contains(word), "{fault}");
        }
        assert_readable(&fault);
    }
}

#[test]
fn a_public_key_must_be_the_44_bytes_of_rfc_8410() {
    let right = "302a300506032b6570032100";
    let key = KmsFault::start(SEED).public_key();
    let key = key.as_bytes();
    let point = hex::encode(key);
    for der in [
        String::new(),
        point.clone(),
        format!("{right}{point}00"),
        format!("{right}{}", hex::encode(&key[1..])),
        format!("302a300506032b656e032100{point}"),
        // The neutral point: its signatures hold for anything.
        format!("{right}01{}", "00".repeat(31)),
        // Not a point.
        format!("{right}02{}", "00".repeat(31)),
    ] {
        let kms = KmsFault::start(SEED);
        let der = base64::Engine::encode(
            &base64::engine::general_purpose::STANDARD,
            hex::decode(&der).unwrap(),
        );
        kms.answer(Answer::With(json!({ "PublicKey": der })));
        assert!(matches!(open_fault(&kms, None), KeyFault::Unfit(_)));
    }
}

#[test]
fn an_answer_that_names_another_key_is_not_used() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    let other = "arn:aws:kms:us-east-1:111122223333:key/other";
    for id in [json!(other), json!(null)] {
        kms.answer_to(Call::Sign, Answer::With(json!({ "KeyId": id })));
        let fault = sign(&mut key).unwrap_err();
        assert!(matches!(&fault, KeyFault::Other(text) if text.contains(ARN)), "{fault}");
    }
    kms.answer(Answer::With(json!({ "KeyId": other })));
    assert!(matches!(open_fault(&kms, None), KeyFault::Other(_)));
    kms.answer(Answer::With(json!({ "KeyId": "alias/validator" })));
    assert!(matches!(open_fault(&kms, None), KeyFault::Other(_)));
    kms.answer(Answer::Right);
    sign(&mut key).unwrap();
}

#[test]
fn a_signature_of_other_bytes_or_of_another_key_never_comes_out() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    for answer in [
        Answer::OtherBytes,
        Answer::OtherKey,
        Answer::With(json!({ "Signature": "AAAA" })),
        Answer::With(json!({ "Signature": null })),
    ] {
        kms.answer_to(Call::Sign, answer);
        assert_eq!(sign(&mut key), Err(KeyFault::BadSignature));
        // That the public key can be read is no sign of health now.
        assert_eq!(key.health(), Err(KeyFault::BadSignature));
        kms.answer(Answer::Right);
        sign(&mut key).unwrap();
        assert_eq!(key.health(), Ok(()));
    }
}

#[test]
fn more_than_4096_bytes_are_refused_without_asking() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    let around = |payload: usize| {
        let case = case(&key, Some(vec![1; payload]));
        (case.extension.as_ref().unwrap().len(), case.granted)
    };
    // Sign bytes are the extension and some fields around it.
    let (length, _) = around(4000);
    let fitting = 4000 + (4096 - length);
    let (exact, over) = (around(fitting), around(fitting + 1));
    assert_eq!((exact.0, over.0), (4096, 4097));
    key.sign(exact.1).unwrap();
    let before = kms.calls(Call::Sign);
    assert_eq!(key.sign(over.1), Err(KeyFault::TooLong { length: 4097, limit: 4096 }));
    assert_eq!(kms.calls(Call::Sign), before);
    // It says nothing about the key.
    assert_eq!(key.health(), Ok(()));
}

#[test]
fn opens_signs_and_ends_on_a_thread_of_another_runtime() {
    let kms = KmsFault::start(SEED);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut key = open(&kms);
        sign(&mut key).unwrap();
        key.health().unwrap();
    });
}

#[test]
fn secp256k1_keys_sign_hashes_for_both_algorithms() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
        for seed in 1..10 {
            let kms = KmsFault::start_of(algorithm, [seed; 32]);
            let mut key = open(&kms);
            assert_eq!(*key.public_key(), public_key(&kms));
            // Of a hash there is no limit: extensions are as large as they are.
            assert_eq!(key.message_limit(), None);
            let case = case(&key, Some(vec![7; 100_000]));
            let signed = key.sign(case.granted).unwrap();
            assert!(holds(&key, &case.vote, signed.vote.as_ref()));
            assert!(holds(&key, &case.extension.unwrap(), signed.extension.as_ref()));
            assert_eq!(key.health(), Ok(()));
        }
    }
}

#[test]
fn wrong_signatures_of_a_secp256k1_key_never_come_out() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
        let kms = KmsFault::start_of(algorithm, SEED);
        let mut key = open(&kms);
        for answer in [
            Answer::OtherBytes,
            Answer::OtherKey,
            Answer::With(json!({ "Signature": "AAAA" })),
            Answer::With(json!({ "Signature": null })),
        ] {
            kms.answer_to(Call::Sign, answer);
            assert_eq!(sign(&mut key), Err(KeyFault::BadSignature));
            kms.answer(Answer::Right);
            sign(&mut key).unwrap();
        }
    }
}

#[test]
fn a_key_of_another_algorithm_than_is_set_is_refused_with_both() {
    for (kept, set, words) in [
        (Algorithm::Secp256k1, Algorithm::Ed25519, ["ECC_SECG_P256K1", "\"ed25519\""]),
        (
            Algorithm::Ed25519,
            Algorithm::Secp256k1Eth,
            ["ECC_NIST_EDWARDS25519", "\"secp256k1eth\""],
        ),
    ] {
        let kms = KmsFault::start_of(kept, SEED);
        let mut setup = setup(&kms, ARN);
        setup.source.algorithm = set;
        let fault = AwsKms::connect_with(setup, None).err().unwrap();
        assert!(matches!(fault, KeyFault::Unfit(_)), "{fault}");
        let name = format!("\"{kept}\"");
        for word in words.into_iter().chain([name.as_str()]) {
            assert!(fault.to_string().contains(word), "no {word}: {fault}");
        }
        assert_readable(&fault);
    }
}
