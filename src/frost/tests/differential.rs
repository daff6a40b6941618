//! The same sessions here and in `frost-ed25519`, in one another's place.

use frost_core::round1::Nonce;
use frost_ed25519 as zf;
use proptest::prelude::*;

use super::*;

fn zf_id(member: MemberId) -> zf::Identifier {
    member.get().try_into().unwrap()
}

/// Key material of `dealt` as `frost-ed25519` has it.
struct Theirs {
    packages: BTreeMap<MemberId, zf::keys::KeyPackage>,
    public: zf::keys::PublicKeyPackage,
}

fn theirs(dealt: &Dealt, t: u16) -> Theirs {
    let key = zf::VerifyingKey::deserialize(dealt.public_key.as_bytes()).unwrap();
    let verifying = |member| {
        let bytes = dealt.verifying_shares[member].to_bytes();
        zf::keys::VerifyingShare::deserialize(&bytes).unwrap()
    };
    let packages = dealt.shares.iter().map(|(member, share)| {
        let share = zf::keys::SigningShare::deserialize(share.to_bytes().as_slice()).unwrap();
        let package = zf::keys::KeyPackage::new(zf_id(*member), share, verifying(member), key, t);
        (*member, package)
    });
    let shares = dealt.shares.keys().map(|member| (zf_id(*member), verifying(member)));
    Theirs {
        packages: packages.collect(),
        public: zf::keys::PublicKeyPackage::new(shares.collect(), key, Some(t)),
    }
}

fn raw(commitments: &zf::round1::SigningCommitments) -> RawCommitment {
    let halves = [commitments.hiding(), commitments.binding()];
    let bytes = halves.map(|half| half.serialize().unwrap()).concat();
    RawCommitment(bytes.try_into().unwrap())
}

fn our_nonces_as_theirs(nonces: &Nonces) -> zf::round1::SigningNonces {
    let nonce = |scalar: &curve25519_dalek::Scalar| {
        Nonce::<zf::Ed25519Sha512>::deserialize(scalar.as_bytes()).unwrap()
    };
    zf::round1::SigningNonces::from_nonces(nonce(nonces.hiding()), nonce(nonces.binding()))
}

/// One session of `signers` in which the members of `ours` are this room and the others are
/// `frost-ed25519`. Both aggregate.
fn mixed_session(
    dealt: &Dealt,
    t: u16,
    signers: &[MemberId],
    ours: u32,
    message: &[u8],
    seed: u64,
) -> [u8; 64] {
    let is_ours = |member: MemberId| ours >> member.get() & 1 == 1;
    let mut rng = Seeded::new(seed);
    let hedge = HedgeSecret::random(&mut rng).unwrap();
    let theirs = theirs(dealt, t);

    let (mut our_nonces, mut their_nonces) = (BTreeMap::new(), BTreeMap::new());
    let mut commitments = BTreeMap::new();
    for member in signers {
        if is_ours(*member) {
            let (secret, public) = commit(&hedge, &mut rng).unwrap();
            their_nonces.insert(*member, our_nonces_as_theirs(&secret));
            our_nonces.insert(*member, secret);
            commitments.insert(*member, public);
        } else {
            let share = theirs.packages[member].signing_share();
            let (secret, public) = zf::round1::commit(share, &mut rng);
            their_nonces.insert(*member, secret);
            commitments.insert(*member, raw(&public).decode().unwrap());
        }
    }
    let package = SigningPackage::new(&key(dealt), &commitments, message).unwrap();
    let public = their_nonces.iter().map(|(member, nonces)| {
        assert_eq!(raw(nonces.commitments()), commitments[member].raw());
        (zf_id(*member), *nonces.commitments())
    });
    let their_package = zf::SigningPackage::new(public.collect(), message);

    let (mut shares, mut their_shares) = (BTreeMap::new(), BTreeMap::new());
    for member in signers {
        let nonces = &their_nonces[member];
        let share = zf::round2::sign(&their_package, nonces, &theirs.packages[member]).unwrap();
        let bytes = RawShare(share.serialize().try_into().unwrap());
        if let Some(nonces) = our_nonces.remove(member) {
            let own = sign(nonces, *member, &dealt.shares[member], &package).unwrap();
            assert_eq!(own, bytes);
            let own = zf::round2::SignatureShare::deserialize(&own.0).unwrap();
            their_shares.insert(zf_id(*member), own);
        } else {
            their_shares.insert(zf_id(*member), share);
        }
        package.verify_share(*member, &dealt.verifying_shares[member], bytes).unwrap();
        shares.insert(*member, bytes);
    }
    let signature = package.aggregate(&shares, &dealt.verifying_shares).unwrap();
    let their_signature = zf::aggregate(&their_package, &their_shares, &theirs.public).unwrap();
    assert_eq!(signature.as_slice(), their_signature.serialize().unwrap());
    key(dealt).verify(message, &signature).unwrap();
    signature
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn frost_ed25519_makes_the_same_shares_and_takes_ours(
        (t, n) in (2..=9_u16).prop_flat_map(|n| (n / 2 + 1..=n, Just(n))),
        order in any::<[u64; 9]>(),
        more in 0..3_u16,
        ours in any::<u32>(),
        message in prop::collection::vec(any::<u8>(), 0..300),
        key_seed in any::<[u8; 32]>(),
        seed in any::<u64>(),
    ) {
        let dealt =
            deal(&key_seed, Threshold::new(t, n).unwrap(), &mut Seeded::new(seed)).unwrap();
        let mut members: Vec<_> = dealt.shares.keys().copied().collect();
        members.sort_by_key(|member| order[usize::from(member.get()) - 1]);
        members.truncate(usize::from(t + more));
        mixed_session(&dealt, t, &members, ours, &message, seed ^ 1);
    }
}

#[test]
fn frost_ed25519_agrees_for_the_largest_cluster() {
    let dealt = dealt(8, 15);
    let members: Vec<_> = dealt.shares.keys().copied().collect();
    for (index, signers) in [&members[..8], &members[7..], &members[..]].into_iter().enumerate() {
        mixed_session(&dealt, 8, signers, 0x5555, b"fifteen", index as u64);
    }
}

#[test]
fn frost_ed25519_refuses_the_shares_that_we_refuse() {
    let dealt = dealt(2, 3);
    let theirs = theirs(&dealt, 2);
    let session = session(&dealt, &[1, 3], b"message", 5);
    let public = session
        .nonces
        .iter()
        .map(|(member, nonces)| (zf_id(*member), *our_nonces_as_theirs(nonces).commitments()));
    let their_package = zf::SigningPackage::new(public.collect(), b"message");
    let (package, mut shares) = signed(&dealt, session);
    shares.get_mut(&id(3)).unwrap().0[0] ^= 1;
    let ours = package.aggregate(&shares, &dealt.verifying_shares).unwrap_err();
    let their_shares = shares.iter().map(|(member, share)| {
        (zf_id(*member), zf::round2::SignatureShare::deserialize(&share.0).unwrap())
    });
    let their_error =
        zf::aggregate(&their_package, &their_shares.collect(), &theirs.public).unwrap_err();
    assert_eq!(ours.culprits(), &culprits(&[3]));
    assert_eq!(their_error.culprits(), [zf_id(id(3))]);
}
