use super::*;
use crate::types::Member;

fn id(number: u64) -> MemberId {
    MemberId::new(number).unwrap()
}

fn chain() -> ChainId {
    ChainId::new("cosmoshub-4").unwrap()
}

fn share(number: u8) -> SigningShare {
    let mut bytes = [0; 32];
    bytes[0] = number;
    SigningShare::from_bytes(&bytes).unwrap()
}

fn members() -> Vec<Member> {
    let member = |n: u8| Member {
        id: id(u64::from(n)),
        address: format!("10.0.0.{n}:2222"),
        certificate: CertificatePin([n; 32]),
    };
    (1..=4).map(member).collect()
}

fn key() -> ClusterKey {
    ClusterKey {
        chain: chain(),
        public_key: PublicKey::ed25519([9; 32]),
        threshold: Some(Threshold::new(4, 4).unwrap()),
        generation: 1,
        verifying_shares: (1..=4)
            .map(|n| (id(u64::from(n)), share(n).verifying_share().to_bytes()))
            .collect(),
    }
}

fn cluster() -> Cluster {
    Cluster::new(1, members(), vec![key()]).unwrap()
}

struct Kept {
    _directory: tempfile::TempDir,
    store: Keystore,
}

fn keystore() -> Kept {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    Keystore::create(&path, id(2), b"secret", &cluster(), &[(&chain(), &share(2))]).unwrap();
    Kept { store: Keystore::open(&path).unwrap(), _directory: directory }
}

fn mismatch(kept: &Kept, cluster: &Cluster) -> Mismatch {
    match kept.store.keys(cluster, [&chain()]).unwrap_err() {
        KeystoreError::NotSealed { mismatch, .. } => mismatch,
        other => panic!("{other}"),
    }
}

#[test]
fn gives_back_what_was_kept() {
    let kept = keystore();
    assert_eq!(kept.store.me(), id(2));
    assert_eq!(kept.store.pin(), Some(CertificatePin([2; 32])));
    assert_eq!(kept.store.identity().unwrap().as_slice(), b"secret");
    let keys = kept.store.keys(&cluster(), [&chain()]).unwrap();
    let held = &keys[&chain()];
    assert_eq!(held.share.to_bytes(), share(2).to_bytes());
    assert_eq!(Some(held.threshold), key().threshold);
    assert_eq!(held.public_key, key().public_key);
    assert_eq!(Some(held.key_hash), cluster().key_hash(&chain()));
    assert!(!format!("{held:?}").contains("share: "));
}

#[test]
fn a_member_may_move_and_another_chain_may_join() {
    let mut moved = members();
    moved[0].address = "10.9.9.9:1".into();
    let mut other = key();
    other.chain = ChainId::new("osmosis-1").unwrap();
    let cluster = Cluster::new(2, moved, vec![key(), other.clone()]).unwrap();
    let kept = keystore();
    kept.store.keys(&cluster, [&chain()]).unwrap();
    let refused = kept.store.keys(&cluster, [&chain(), &other.chain]);
    assert!(matches!(refused, Err(KeystoreError::NoShare { chain, .. }) if chain == other.chain));
}

#[test]
fn names_what_was_edited_in_the_member_list() {
    let kept = keystore();
    let mut pinned = members();
    pinned[2].certificate = CertificatePin([7; 32]);
    let list = Cluster::new(1, pinned, vec![key()]).unwrap();
    assert!(
        matches!(mismatch(&kept, &list), Mismatch::Certificate { member, .. } if member == id(3))
    );

    let with = |edit: fn(&mut ClusterKey)| {
        let mut key = key();
        edit(&mut key);
        Cluster::new(1, members(), vec![key]).unwrap()
    };
    let lower = with(|key| key.threshold = Some(Threshold::new(3, 4).unwrap()));
    let (found, sealed) = ("3-of-4".to_owned(), "4-of-4".to_owned());
    assert_eq!(mismatch(&kept, &lower), Mismatch::Threshold { chain: chain(), found, sealed });
    let other = with(|key| key.public_key = PublicKey::ed25519([8; 32]));
    assert!(matches!(mismatch(&kept, &other), Mismatch::PublicKey { .. }));
    let later = with(|key| key.generation = 2);
    assert_eq!(
        mismatch(&kept, &later),
        Mismatch::Generation { chain: chain(), found: 2, sealed: 1 }
    );
    let shares = with(|key| {
        key.verifying_shares.insert(id(1), [1; 32]);
    });
    assert_eq!(mismatch(&kept, &shares), Mismatch::VerifyingShares { chain: chain() });
    let mut fewer = key();
    fewer.verifying_shares.remove(&id(4));
    fewer.threshold = Some(Threshold::new(3, 3).unwrap());
    let list = Cluster::new(1, members().into_iter().take(3).collect(), vec![fewer]).unwrap();
    assert_eq!(mismatch(&kept, &list), Mismatch::Members { found: 3, sealed: 4 });
}

#[test]
fn refuses_to_keep_the_share_of_another_member() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let refused = Keystore::create(&path, id(2), b"x", &cluster(), &[(&chain(), &share(3))]);
    let other = Some(id(3));
    assert!(
        matches!(refused, Err(KeystoreError::WrongShare { other: found, .. }) if found == other)
    );
    assert!(!path.exists());
}

#[test]
fn refuses_records_that_are_cut_or_of_a_later_format() {
    let sealed = SealedKey::of(&chain(), &cluster(), &share(1)).unwrap().encode();
    assert!(SealedKey::decode(&sealed).is_some());
    assert!(SealedKey::decode(&sealed[..sealed.len() - 1]).is_none());
    let mut later = sealed.to_vec();
    later[0] = 2;
    assert!(SealedKey::decode(&later).is_none());
    // I6: 2 of 4 cannot even be read.
    let mut unsafe_threshold = sealed.to_vec();
    unsafe_threshold[2] = 2;
    assert!(SealedKey::decode(&unsafe_threshold).is_none());
    let members = SealedMembers::of(id(1), &cluster());
    assert_eq!(SealedMembers::decode(&members.encode()), Some(members));
}
