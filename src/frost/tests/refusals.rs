//! Everything that must not pass.

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::scalar::Scalar;
use ed25519_dalek::Verifier as _;

use super::*;

/// The group order, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The field prime 2^255 − 19 plus `more`, little-endian.
fn prime_plus(more: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed + more;
    bytes[31] = 0x7f;
    bytes
}

/// The same scalar with the order added: a second encoding of the same number.
fn plus_order(scalar: [u8; 32]) -> [u8; 32] {
    let mut carry = 0;
    std::array::from_fn(|index| {
        let sum = u16::from(scalar[index]) + u16::from(ORDER[index]) + carry;
        carry = sum >> 8;
        sum as u8
    })
}

fn bad_points() -> Vec<([u8; 32], PointFault)> {
    let mut small = [0; 32];
    small[0] = 2;
    let mut minus_zero = [0; 32];
    (minus_zero[0], minus_zero[31]) = (1, 0x80);
    let mut points = vec![
        (small, PointFault::NotOnCurve),
        (prime_plus(1), PointFault::NotCanonical),
        (minus_zero, PointFault::NotCanonical),
    ];
    for torsion in EIGHT_TORSION {
        let fault = match torsion == EIGHT_TORSION[0] {
            true => PointFault::Identity,
            false => PointFault::Torsion,
        };
        points.push((torsion.compress().to_bytes(), fault));
        if fault == PointFault::Torsion {
            let mixed = ED25519_BASEPOINT_POINT * Scalar::from(99_u8) + torsion;
            points.push((mixed.compress().to_bytes(), PointFault::Torsion));
        }
    }
    points
}

#[test]
fn every_bad_point_is_refused_wherever_points_come_in() {
    let good = ED25519_BASEPOINT_POINT.compress().to_bytes();
    for (bytes, fault) in bad_points() {
        let refused = |kind| FrostError::Point { kind, fault };
        assert_eq!(VerifyingShare::from_bytes(&bytes), Err(refused(PointKind::VerifyingShare)));
        assert_eq!(
            VerifyingKey::from_public_key(&PublicKey::ed25519(bytes)),
            Err(refused(PointKind::PublicKey))
        );
        let hiding = RawCommitment([bytes, good].as_flattened().try_into().unwrap());
        assert_eq!(hiding.decode(), Err(refused(PointKind::HidingCommitment)));
        let binding = RawCommitment([good, bytes].as_flattened().try_into().unwrap());
        assert_eq!(binding.decode(), Err(refused(PointKind::BindingCommitment)));
    }
    assert!(VerifyingShare::from_bytes(&good).is_ok());
    assert!(RawCommitment([good, good].as_flattened().try_into().unwrap()).decode().is_ok());
}

#[test]
fn a_signing_share_is_a_canonical_scalar_and_not_zero() {
    let refused = |bytes: [u8; 32]| SigningShare::from_bytes(&bytes).err();
    assert_eq!(refused([0; 32]), Some(FrostError::ShareIsZero));
    assert_eq!(refused(ORDER), Some(FrostError::ShareNotCanonical));
    assert_eq!(refused(plus_order([1; 32])), Some(FrostError::ShareNotCanonical));
    assert_eq!(refused([0xff; 32]), Some(FrostError::ShareNotCanonical));
    let largest = std::array::from_fn(|index| ORDER[index] - u8::from(index == 0));
    let share = SigningShare::from_bytes(&largest).unwrap();
    assert_eq!(*share.to_bytes(), largest);
    assert_eq!(*share.verifying_share().point(), -ED25519_BASEPOINT_POINT);
}

#[test]
fn no_nonces_without_randomness() {
    let mut rng = Seeded::new(1);
    let hedge = HedgeSecret::random(&mut rng).unwrap();
    assert!(matches!(commit(&hedge, &mut Broken::Fails), Err(FrostError::Randomness(_))));
    assert!(matches!(HedgeSecret::random(&mut Broken::Fails), Err(FrostError::Randomness(_))));
}

#[test]
fn a_generator_that_repeats_itself_makes_no_nonce_twice() {
    let hedge = HedgeSecret::random(&mut Seeded::new(1)).unwrap();
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        let (nonces, _) = commit(&hedge, &mut Broken::Repeats(0)).unwrap();
        assert!(seen.insert(nonces.hiding().to_bytes()));
        assert!(seen.insert(nonces.binding().to_bytes()));
    }
    // Nor do two processes that both have such a generator now, but had a good one at the start.
    let other = HedgeSecret::random(&mut Seeded::new(2)).unwrap();
    let (nonces, _) = commit(&other, &mut Broken::Repeats(0)).unwrap();
    assert!(seen.insert(nonces.hiding().to_bytes()));
}

#[test]
fn refuses_to_sign_under_a_replaced_commitment_or_for_others() {
    let dealt = dealt(2, 3);
    let mut original = session(&dealt, &[1, 2], b"message", 1);
    let mut replaced = original.commitments.clone();
    let stranger = session(&dealt, &[1, 2], b"message", 2).commitments[&id(1)].clone();
    let (named, own) = (Box::new(stranger.raw()), Box::new(replaced[&id(1)].raw()));
    replaced.insert(id(1), stranger);
    let package = SigningPackage::new(&key(&dealt), &replaced, b"message").unwrap();
    let nonces = original.nonces.remove(&id(1)).unwrap();
    let refused = sign(nonces, id(1), &dealt.shares[&id(1)], &package);
    assert_eq!(refused, Err(FrostError::OtherCommitment { member: id(1), named, own }));

    let nonces = original.nonces.remove(&id(2)).unwrap();
    let refused = sign(nonces, id(3), &dealt.shares[&id(3)], &original.package);
    let signers = vec![id(1), id(2)];
    assert_eq!(refused, Err(FrostError::NotASigner { member: id(3), signers }));
    let nobody = SigningPackage::new(&key(&dealt), &BTreeMap::new(), b"message");
    assert_eq!(nobody.err(), Some(FrostError::NoSigners));
}

#[test]
fn a_signer_that_was_shown_another_list_or_message_is_named() {
    let dealt = dealt(3, 5);
    let signers = [1, 3, 4];
    let other_list = |commitments: &mut BTreeMap<_, _>| {
        let stranger = session(&dealt, &signers, b"message", 8).commitments[&id(1)].clone();
        commitments.insert(id(1), stranger);
    };
    for (message, replace) in [(b"message", true), (b"Message", false)] {
        let Session { mut nonces, commitments, package } = session(&dealt, &signers, b"message", 1);
        let mut shown = commitments;
        if replace {
            other_list(&mut shown);
        }
        let shown = SigningPackage::new(&key(&dealt), &shown, message).unwrap();
        let mut shares = BTreeMap::new();
        for number in signers {
            let package = if number == 4 { &shown } else { &package };
            let nonces = nonces.remove(&id(number)).unwrap();
            let share = sign(nonces, id(number), &dealt.shares[&id(number)], package).unwrap();
            shares.insert(id(number), share);
        }
        let refused = package.aggregate(&shares, &dealt.verifying_shares).unwrap_err();
        assert_eq!(refused, FrostError::InvalidShares { culprits: culprits(&[4]) });
    }
}

#[test]
fn shares_of_two_sessions_do_not_combine() {
    let dealt = dealt(3, 5);
    let signers = [1_u64, 2, 5];
    let (package, first) = signed(&dealt, session(&dealt, &signers, b"message", 1));
    let (_, second) = signed(&dealt, session(&dealt, &signers, b"message", 2));
    for mask in 0..8_u64 {
        let foreign: Vec<_> =
            signers.into_iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).collect();
        let foreign: Vec<_> = foreign.into_iter().map(|(_, number)| number).collect();
        let mut mix = first.clone();
        for number in &foreign {
            mix.insert(id(*number), second[&id(*number)]);
        }
        let result = package.aggregate(&mix, &dealt.verifying_shares);
        match foreign.is_empty() {
            true => key(&dealt).verify(b"message", &result.unwrap()).unwrap(),
            false => assert_eq!(result.unwrap_err().culprits(), &culprits(&foreign)),
        }
    }
}

#[test]
fn names_exactly_those_whose_shares_are_wrong() {
    let dealt = dealt(4, 7);
    let signers = [2_u64, 3, 5, 7];
    let spoil: [fn(RawShare) -> RawShare; 4] = [
        |share| RawShare(plus_order(share.0)),
        |_| RawShare([0; 32]),
        |_| RawShare([0xff; 32]),
        |share| RawShare((Scalar::from_bytes_mod_order(share.0) + Scalar::ONE).to_bytes()),
    ];
    for mask in 1..16_u64 {
        let (package, mut shares) = signed(&dealt, session(&dealt, &signers, b"message", mask));
        let mut wrong = Vec::new();
        for (bit, number) in signers.into_iter().enumerate() {
            let member = id(number);
            if mask >> bit & 1 == 1 {
                let share = shares.get_mut(&member).unwrap();
                *share = spoil[(bit + mask as usize) % 4](*share);
                wrong.push(number);
            }
            let alone =
                package.verify_share(member, &dealt.verifying_shares[&member], shares[&member]);
            assert_eq!(alone.is_err(), mask >> bit & 1 == 1);
        }
        let refused = package.aggregate(&shares, &dealt.verifying_shares).unwrap_err();
        assert_eq!(refused, FrostError::InvalidShares { culprits: culprits(&wrong) });
        assert_eq!(refused.culprits(), &culprits(&wrong));
    }
}

#[test]
fn shares_whose_errors_cancel_out_still_give_the_signature() {
    // The aggregate is what counts; nobody is accused over a valid one.
    let dealt = dealt(2, 3);
    let (package, mut shares) = signed(&dealt, session(&dealt, &[1, 2], b"message", 1));
    let expected = package.aggregate(&shares, &dealt.verifying_shares).unwrap();
    for (number, change) in [(1, Scalar::ONE), (2, -Scalar::ONE)] {
        let share = shares.get_mut(&id(number)).unwrap();
        *share = RawShare((Scalar::from_bytes_mod_order(share.0) + change).to_bytes());
    }
    assert_eq!(package.aggregate(&shares, &dealt.verifying_shares), Ok(expected));
}

#[test]
fn missing_and_foreign_signers_are_not_culprits() {
    let dealt = dealt(3, 5);
    let (package, shares) = signed(&dealt, session(&dealt, &[1, 2, 3], b"message", 1));

    let mut other = shares.clone();
    other.insert(id(5), other[&id(1)]);
    other.remove(&id(1));
    let refused = package.aggregate(&other, &dealt.verifying_shares).unwrap_err();
    let (missing, foreign) = (culprits(&[1]), culprits(&[5]));
    assert_eq!(refused, FrostError::WrongSigners { missing, foreign });
    assert!(refused.culprits().is_empty());

    let mut unknown = dealt.verifying_shares.clone();
    unknown.remove(&id(2));
    let refused = package.aggregate(&shares, &unknown);
    assert_eq!(refused, Err(FrostError::NoVerifyingShare(culprits(&[2]))));
    let foreign = package.verify_share(id(4), &dealt.verifying_shares[&id(4)], shares[&id(1)]);
    assert!(matches!(foreign, Err(FrostError::NotASigner { .. })));
}

#[test]
fn shares_under_another_key_give_no_signature() {
    let dealt = dealt(2, 3);
    let seed = Threshold::new(2, 3).unwrap();
    let other = deal(&[43; 32], seed, &mut Seeded::new(1)).unwrap();
    let (package, shares) = signed(&other, session(&dealt, &[1, 2], b"message", 1));
    let refused = package.aggregate(&shares, &dealt.verifying_shares).unwrap_err();
    assert_eq!(refused.culprits(), &culprits(&[1, 2]));
    let refused = package.aggregate(&shares, &other.verifying_shares);
    assert_eq!(refused, Err(FrostError::InvalidAggregate));
}

#[test]
fn a_signature_with_any_bit_changed_is_refused() {
    let dealt = dealt(2, 3);
    let (package, shares) = signed(&dealt, session(&dealt, &[2, 3], b"message", 1));
    let signature = package.aggregate(&shares, &dealt.verifying_shares).unwrap();
    let key = key(&dealt);
    key.verify(b"message", &signature).unwrap();
    assert_eq!(key.verify(b"massage", &signature), Err(FrostError::InvalidSignature));
    for bit in 0..512 {
        let mut changed = signature;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(key.verify(b"message", &changed), Err(FrostError::InvalidSignature));
    }
    let (commitment, response) = signature.split_at(32);
    let again = [commitment, &plus_order(response.try_into().unwrap())].concat();
    let again = again.try_into().unwrap();
    assert_eq!(key.verify(b"message", &again), Err(FrostError::InvalidSignature));
}

#[test]
fn a_signature_that_only_a_lax_check_accepts_is_refused() {
    // R = identity and z = ca: the plain check of RFC 8032 accepts it.
    let secret = SigningShare::from_bytes(&[1; 32]).unwrap();
    let public_key = secret.verifying_share().to_bytes();
    let key = VerifyingKey::from_public_key(&PublicKey::ed25519(public_key)).unwrap();
    let identity = EIGHT_TORSION[0].compress().to_bytes();
    let z = hash::challenge(&identity, &public_key, b"message") * secret.scalar();
    let signature = [identity, z.to_bytes()].as_flattened().try_into().unwrap();
    let lax = ed25519_dalek::VerifyingKey::from_bytes(&public_key).unwrap();
    assert!(lax.verify(b"message", &ed25519_dalek::Signature::from_bytes(&signature)).is_ok());
    assert_eq!(key.verify(b"message", &signature), Err(FrostError::InvalidSignature));
}
