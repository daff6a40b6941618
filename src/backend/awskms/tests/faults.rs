//! What each fault is called, and that it passes.

use super::*;

/// The code of a fault, how it is called, and what its text must hold.
const ERRORS: [(u16, &str, &str, &str); 15] = [
    (400, "ThrottlingException", "throttled", "quota"),
    (429, "TooManyRequestsException", "throttled", "quota"),
    (429, "SomethingNew", "throttled", "quota"),
    (400, "LimitExceededException", "throttled", "quota"),
    (400, "ExpiredTokenException", "credentials", "sign on again"),
    (400, "UnrecognizedClientException", "credentials", "access key"),
    (400, "InvalidSignatureException", "credentials", "secret key"),
    (400, "AccessDeniedException", "credentials", "kms:Sign"),
    (400, "NotFoundException", "not_found", "key_id"),
    (400, "DisabledException", "failed", "enable-key"),
    (400, "KMSInvalidStateException", "failed", "pending deletion"),
    (400, "InvalidKeyUsageException", "unfit", "SIGN_VERIFY"),
    (500, "KMSInternalException", "unreachable", "side of KMS"),
    (503, "ServiceUnavailable", "unreachable", "HTTP 503"),
    (400, "ValidationException", "failed", "ValidationException"),
];

/// AWS answers with what was signed, which holds the session token.
const QUOTES: &str = "The canonical request was\n\n{token}\n{headers}\nend";

#[test]
fn every_error_of_aws_has_its_name_and_says_what_to_do() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    for (status, code, word, holds) in ERRORS {
        kms.answer_to(Call::Sign, Answer::Error(status, code, QUOTES));
        let fault = sign(&mut key).unwrap_err();
        assert_eq!(fault.word(), word, "{code}: {fault}");
        assert!(fault.to_string().contains(code), "{code}: {fault}");
        assert!(fault.to_string().contains(holds), "{code}: {fault}");
        assert_readable(&fault);
        let quotes = fault.to_string().contains("canonical");
        assert_eq!(quotes, code != "InvalidSignatureException", "{fault}");
        kms.answer(Answer::Right);
        sign(&mut key).unwrap();
    }
}

#[test]
fn health_says_the_same_as_signing() {
    let kms = KmsFault::start(SEED);
    for (status, code, word, _) in ERRORS {
        let mut key = open(&kms);
        key.last_used = None;
        kms.answer(Answer::Error(status, code, QUOTES));
        let fault = key.health().unwrap_err();
        assert_eq!(fault.word(), word, "{code}: {fault}");
        assert_readable(&fault);
        kms.answer(Answer::Right);
        forget_holds(&mut key);
        assert_eq!(key.health(), Ok(()));
    }
}

#[test]
fn a_fault_that_may_pass_does_not_stop_a_start_with_a_known_key() {
    for (status, code, word, _) in ERRORS {
        let kms = KmsFault::start(SEED);
        kms.answer(Answer::Error(status, code, QUOTES));
        let fault = open_fault(&kms, None);
        assert_eq!(fault.word(), word, "{code}: {fault}");
        let expected = public_key(&kms);
        let opened = AwsKms::connect_with(setup(&kms, kms_fault::ARN), Some(&expected));
        assert_eq!(opened.is_ok(), fault.may_pass(), "{code}");
        let Ok(mut key) = opened else { continue };
        assert_eq!(*key.public_key(), expected);
        assert_eq!(key.health().unwrap_err().word(), word);
        kms.answer(Answer::Right);
        forget_holds(&mut key);
        assert_eq!(key.health(), Ok(()), "{code}");
        sign(&mut key).unwrap();
    }
}

#[test]
fn answers_that_are_none_have_names_too_and_pass() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    for (answer, words) in [
        (Answer::Garbage, ["failed"].as_slice()),
        (Answer::Broken, &["unreachable"]),
        (Answer::Closed, &["unreachable"]),
        (Answer::Big, &["failed", "no_answer"]),
        (Answer::Slow(Duration::from_secs(2)), &["no_answer"]),
    ] {
        kms.answer(answer.clone());
        let fault = sign(&mut key).unwrap_err();
        assert!(words.contains(&fault.word()), "{answer:?}: {fault}");
        assert_readable(&fault);
        kms.answer(Answer::Right);
        sign(&mut key).unwrap();
        assert_eq!(key.health(), Ok(()));
    }
}

#[test]
fn a_service_that_hangs_costs_about_a_second() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    kms.answer(Answer::Slow(Duration::from_secs(30)));
    let begun = Instant::now();
    assert_eq!(sign(&mut key).unwrap_err().word(), "no_answer");
    let took = begun.elapsed();
    assert!(took > Duration::from_millis(700) && took < Duration::from_millis(1900), "{took:?}");
    assert!(kms.calls(Call::Sign) > 1, "an attempt that hangs leaves time for another");
}

#[test]
fn one_lost_request_is_made_good() {
    let kms = Arc::new(KmsFault::start(SEED));
    let mut key = open(&kms);
    kms.answer(Answer::Slow(Duration::from_millis(600)));
    let after_first = Arc::clone(&kms);
    let watcher = std::thread::spawn(move || {
        while after_first.calls(Call::Sign) == 0 {
            std::thread::yield_now();
        }
        after_first.answer(Answer::Right);
    });
    sign(&mut key).unwrap();
    watcher.join().unwrap();
    assert_eq!(kms.calls(Call::Sign), 2);
}

#[test]
fn a_service_that_is_not_there_is_found_again() {
    let kms = KmsFault::start(SEED);
    let (address, mut key) = (kms.address(), open(&kms));
    drop(kms);
    let fault = sign(&mut key).unwrap_err();
    assert!(matches!(&fault, KeyFault::Unreachable(text) if text.contains("refused")), "{fault}");
    assert_readable(&fault);
    assert!(matches!(key.health(), Err(KeyFault::Unreachable(_))));
    let _kms = KmsFault::start_on(SEED, address);
    assert_eq!(key.health(), Ok(()));
    sign(&mut key).unwrap();
}

#[test]
fn a_name_that_does_not_exist_is_unreachable() {
    let source = source("http://kms.invalid:1", "alias/validator");
    let setup = Setup { source, http: connect::http_client(), load: fixed() };
    let fault = AwsKms::connect_with(setup, None).err().unwrap();
    assert!(["unreachable", "no_answer"].contains(&fault.word()), "{fault}");
    assert_readable(&fault);
}

#[test]
fn vote_and_extension_come_together_or_not_at_all() {
    let kms = Arc::new(KmsFault::start(SEED));
    let mut key = open(&kms);
    kms.answer_to(Call::Sign, Answer::Slow(Duration::from_millis(100)));
    let case = case(&key, Some(b"extension".to_vec()));
    let after_first = Arc::clone(&kms);
    let watcher = std::thread::spawn(move || {
        // The first has taken its answer, and thinks about it; the second gets another one.
        while after_first.calls(Call::Sign) == 0 {
            std::thread::yield_now();
        }
        after_first.answer(Answer::Error(400, "NotFoundException", ""));
    });
    let signed = key.sign(case.granted);
    watcher.join().unwrap();
    match signed {
        Err(fault) => assert_eq!(fault.word(), "not_found"),
        Ok(both) => assert!(both.vote.is_some() && both.extension.is_some()),
    }
}

#[test]
fn a_key_in_use_is_not_asked_about() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    sign(&mut key).unwrap();
    let before = kms.calls(Call::GetPublicKey);
    for _ in 0..5 {
        key.health().unwrap();
    }
    assert_eq!(kms.calls(Call::GetPublicKey), before);
    key.last_used = Instant::now().checked_sub(super::super::FRESH);
    key.health().unwrap();
    assert_eq!(kms.calls(Call::GetPublicKey), before + 1);
}

#[test]
fn a_throttled_account_is_asked_once_in_two_seconds() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    kms.answer(Answer::Error(400, "ThrottlingException", "Rate exceeded"));
    key.last_used = None;
    assert_eq!(key.health().unwrap_err().word(), "throttled");
    let before = kms.calls(Call::GetPublicKey);
    for _ in 0..5 {
        assert_eq!(key.health().unwrap_err().word(), "throttled");
    }
    assert_eq!(kms.calls(Call::GetPublicKey), before);
    // A vote is worth a try.
    kms.answer(Answer::Right);
    sign(&mut key).unwrap();
    assert_eq!(key.health(), Ok(()));
}

#[test]
fn a_refused_signature_is_not_forgotten_because_the_public_key_can_be_read() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    kms.answer_to(Call::Sign, Answer::Error(400, "AccessDeniedException", "not kms:Sign"));
    let fault = sign(&mut key).unwrap_err();
    assert_eq!(key.health(), Err(fault));
    kms.answer(Answer::Right);
    sign(&mut key).unwrap();
    assert_eq!(key.health(), Ok(()));
}

#[test]
fn looks_at_an_unavailable_key_are_not_repeated() {
    let kms = KmsFault::start(SEED);
    let mut key = open(&kms);
    kms.answer(Answer::Broken);
    key.last_used = None;
    let before = kms.calls(Call::GetPublicKey);
    key.health().unwrap_err();
    assert_eq!(kms.calls(Call::GetPublicKey), before + 1);
}
