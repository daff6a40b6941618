//! Splitting keys, and trying the shares out.

use super::*;
use crate::frost::deal::DealError;

/// Seed 00..1f and its public key, as CometBFT v0.38.25 derives it.
fn known() -> ([u8; 32], PublicKey) {
    let seed = std::array::from_fn(|index| index as u8);
    let key = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
    (seed, PublicKey::ed25519(hex::decode(key).unwrap().try_into().unwrap()))
}

#[test]
fn every_set_of_t_members_signs_for_the_key_that_was_split() {
    let (seed, public_key) = known();
    for (t, n, sets) in [(2, 3, 3), (3, 5, 10), (4, 7, 35), (2, 2, 1), (3, 4, 4)] {
        let threshold = Threshold::new(t, n).unwrap();
        let dealt = deal(&seed, threshold, &mut Seeded::new(7)).unwrap();
        assert_eq!(dealt.public_key, public_key);
        assert_eq!(dealt.shares.len(), usize::from(n));
        let mut seen = Vec::new();
        dealt.prove(|done, all| seen.push((done, all))).unwrap();
        assert_eq!(seen, (0..=sets).map(|done| (done, sets)).collect::<Vec<_>>());
    }
}

#[test]
#[ignore = "6435 sets: some 20 s without optimisation"]
fn every_set_of_the_largest_cluster_signs() {
    let start = Instant::now();
    dealt(8, 15).prove(|_, all| assert_eq!(all, 6435)).unwrap();
    println!("6435 sets: {:?}", start.elapsed());
}

#[test]
fn fewer_than_t_members_cannot_sign() {
    for (t, n) in [(2, 3), (3, 5), (4, 7)] {
        let dealt = dealt(t, n);
        let signers: Vec<_> = (1..u64::from(t)).collect();
        let (package, shares) = signed(&dealt, session(&dealt, &signers, b"message", 1));
        let refused = package.aggregate(&shares, &dealt.verifying_shares);
        assert_eq!(refused, Err(FrostError::InvalidAggregate));
    }
}

#[test]
fn more_than_t_members_can_sign() {
    let dealt = dealt(2, 3);
    let (package, shares) = signed(&dealt, session(&dealt, &[1, 2, 3], b"message", 1));
    let signature = package.aggregate(&shares, &dealt.verifying_shares).unwrap();
    key(&dealt).verify(b"message", &signature).unwrap();
}

#[test]
fn each_split_is_another_one() {
    let threshold = Threshold::new(2, 3).unwrap();
    let [first, second] =
        [1, 2].map(|seed| deal(&[42; 32], threshold, &mut Seeded::new(seed)).unwrap());
    assert_eq!(first.public_key, second.public_key);
    for (member, share) in &first.shares {
        assert_ne!(share.to_bytes(), second.shares[member].to_bytes());
    }
}

#[test]
fn refuses_a_share_that_is_not_the_members_own() {
    let mut swapped = dealt(2, 3);
    let (one, two) =
        (swapped.shares.remove(&id(1)).unwrap(), swapped.shares.remove(&id(2)).unwrap());
    swapped.shares.insert(id(1), two);
    swapped.shares.insert(id(2), one);
    assert_eq!(swapped.prove(|_, _| ()), Err(DealError::Share(id(1))));

    let mut short = dealt(2, 3);
    short.shares.remove(&id(3));
    assert!(matches!(short.prove(|_, _| ()), Err(DealError::Share(_))));
}

#[test]
fn finds_the_one_set_that_cannot_sign() {
    // A consistent share of something else: only signatures can tell.
    let mut wrong = dealt(3, 3);
    let stray = SigningShare::from_bytes(&[1; 32]).unwrap();
    wrong.verifying_shares.insert(id(2), stray.verifying_share());
    wrong.shares.insert(id(2), stray);
    let signers = [1, 2, 3].map(id).to_vec();
    let error = FrostError::InvalidAggregate;
    assert_eq!(wrong.prove(|_, _| ()), Err(DealError::Subset { signers, error }));
}

#[test]
fn refuses_shares_of_another_key() {
    let mut wrong = dealt(2, 3);
    wrong.public_key = known().1;
    assert!(matches!(wrong.prove(|_, _| ()), Err(DealError::Subset { .. })));
}

#[test]
fn splits_nothing_without_good_randomness() {
    let threshold = Threshold::new(3, 5).unwrap();
    let split = |rng: &mut Broken| deal(&[42; 32], threshold, rng).err();
    assert!(matches!(split(&mut Broken::Fails), Some(DealError::Randomness(_))));
    assert_eq!(split(&mut Broken::Repeats(0)), Some(DealError::NotRandom));
    assert_eq!(split(&mut Broken::Repeats(9)), Some(DealError::NotRandom));
}

#[test]
fn refuses_to_split_a_key_for_one() {
    let alone = deal(&[42; 32], Threshold::new(1, 1).unwrap(), &mut Seeded::new(1));
    assert_eq!(alone.err(), Some(DealError::WholeKey));
}
