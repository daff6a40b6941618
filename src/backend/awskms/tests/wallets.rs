//! Credentials: missing, late, ending.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::*;

fn setup_with(kms: &KmsFault, load: Load) -> Setup {
    Setup { load, ..setup(kms, kms_fault::ARN) }
}

/// Waits, within a bound, for a key to come back by itself.
fn comes_back(key: &mut AwsKms) {
    let begun = Instant::now();
    while let Err(fault) = key.health() {
        assert!(begun.elapsed() < 4 * GENEROUS, "still {fault}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn credentials_that_are_not_there_are_looked_for_until_they_are() {
    let kms = KmsFault::start(SEED);
    let there = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&there);
    let load: Load = Arc::new(move || {
        let there = seen.load(Ordering::SeqCst);
        Box::pin(async move {
            if there { Ok(found(credentials(None))) } else { Err("none were found".to_owned()) }
        })
    });
    let fault = AwsKms::connect_with(setup_with(&kms, Arc::clone(&load)), None).err().unwrap();
    assert_eq!(fault, KeyFault::Credentials("none were found".to_owned()));
    let expected = public_key(&kms);
    let mut key = AwsKms::connect_with(setup_with(&kms, load), Some(&expected)).unwrap();
    assert_eq!(key.health().unwrap_err().word(), "credentials");
    assert_eq!(sign(&mut key).unwrap_err().word(), "credentials");
    assert_eq!(kms.calls(Call::GetPublicKey), 0);
    there.store(true, Ordering::SeqCst);
    comes_back(&mut key);
    sign(&mut key).unwrap();
}

#[test]
fn a_search_longer_than_an_attempt_is_waited_for_at_the_start() {
    let kms = KmsFault::start(SEED);
    let load: Load = Arc::new(|| {
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(1200)).await;
            Ok(found(credentials(None)))
        })
    });
    let mut key = AwsKms::connect_with(setup_with(&kms, load), None).unwrap();
    sign(&mut key).unwrap();
}

#[test]
fn credentials_are_renewed_before_they_end_and_while_votes_are_signed() {
    let kms = KmsFault::start(SEED);
    let searches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&searches);
    let load: Load = Arc::new(move || {
        let before = counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            if before > 0 {
                tokio::time::sleep(Duration::from_millis(700)).await;
            }
            let end = SystemTime::now() + Duration::from_secs(3);
            Ok(found(credentials(Some(end))))
        })
    });
    let mut key = AwsKms::connect_with(setup_with(&kms, load), None).unwrap();
    let begun = Instant::now();
    while searches.load(Ordering::SeqCst) < 3 {
        // None of them waits for a search.
        sign(&mut key).unwrap();
        assert!(begun.elapsed() < 4 * GENEROUS);
    }
}

#[test]
fn credentials_that_aws_calls_expired_are_looked_for_anew() {
    let kms = KmsFault::start(SEED);
    let searches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&searches);
    let load: Load = Arc::new(move || {
        counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async { Ok(found(credentials(None))) })
    });
    let mut key = AwsKms::connect_with(setup_with(&kms, load), None).unwrap();
    assert_eq!(searches.load(Ordering::SeqCst), 1);
    kms.answer(Answer::Error(400, "ExpiredTokenException", ""));
    assert_eq!(sign(&mut key).unwrap_err().word(), "credentials");
    let begun = Instant::now();
    while searches.load(Ordering::SeqCst) < 2 {
        assert!(begun.elapsed() < 4 * GENEROUS, "nobody searches");
        std::thread::sleep(Duration::from_millis(5));
    }
    kms.answer(Answer::Right);
    sign(&mut key).unwrap();
}

#[test]
fn a_renewal_that_fails_leaves_credentials_that_have_not_ended() {
    let kms = KmsFault::start(SEED);
    let searches = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&searches);
    let load: Load = Arc::new(move || {
        let before = counted.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let end = SystemTime::now() + Duration::from_secs(3600);
            if before == 0 { Ok(found(credentials(Some(end)))) } else { Err("gone".to_owned()) }
        })
    });
    let mut key = AwsKms::connect_with(setup_with(&kms, load), None).unwrap();
    key.wallet.renew();
    let begun = Instant::now();
    while searches.load(Ordering::SeqCst) < 2 {
        assert!(begun.elapsed() < 4 * GENEROUS, "nobody searches");
        std::thread::sleep(Duration::from_millis(5));
    }
    sign(&mut key).unwrap();
}

#[test]
fn without_a_region_it_says_where_to_put_one() {
    let kms = KmsFault::start(SEED);
    let load: Load = Arc::new(|| {
        let loaded =
            Loaded { config: SdkConfig::builder().build(), credentials: credentials(None) };
        Box::pin(async { Ok(loaded) })
    });
    let fault = AwsKms::connect_with(setup_with(&kms, load), None).err().unwrap();
    assert!(matches!(&fault, KeyFault::Other(text) if text.contains("AWS_REGION")), "{fault}");
}
