use super::*;
use crate::backend::tests_support::{chain, precommit, watermarked};
use crate::privval::Version;
use crate::types::PublicKey;

const SESSION: SessionId = SessionId([1; 16]);
const EXTENSION: &[u8] = b"an extension";
const V2: Dialect = Dialect {
    version: Version::V2,
    non_rp_extensions: true,
    raw_bytes: crate::privval::RawBytes::Off,
};

fn extension() -> Extension {
    Extension::new(EXTENSION)
}

fn member(number: u64) -> MemberId {
    MemberId::new(number).unwrap()
}

fn incarnation(number: u64) -> Incarnation {
    Incarnation { number, id: [number as u8; 16] }
}

fn key() -> KeyId {
    PublicKey::ed25519([9; 32]).id()
}

/// A session that member 1 coordinates; each member lives its tenth life.
fn granting(members: u64) -> Granting {
    Granting {
        session: SESSION,
        coordinator: member(1),
        asked: (1..=members).map(|id| (member(id), incarnation(10 + id))).collect(),
        needed: usize::try_from(members / 2 + 1).unwrap(),
        chain: chain(),
        dialect: Dialect::default(),
        key: key(),
        fields: precommit(5),
        extension: Some(extension()),
        wants_vote: true,
    }
}

/// What a member gives that agrees to all of [`granting`].
fn given(by: u64) -> Grant {
    let content = content_hash(&key(), &bytes().0, Some(&extension()));
    Grant { coordinator: member(1), content, incarnation: incarnation(10 + by) }
}

fn bytes() -> (Vec<u8>, Vec<u8>) {
    let extension = extension().sign_bytes(&chain(), precommit(5).hrs());
    (sign_bytes(&chain(), &precommit(5)), extension)
}

fn receipt() -> Watermarked {
    watermarked(&chain(), &key(), &precommit(5))
}

/// One grant short of a quorum of three, and complete with any other member's.
fn almost() -> GrantSet {
    let mut set = GrantSet::new(granting(3)).unwrap();
    set.add_own(SESSION, &given(1), &receipt()).unwrap();
    set
}

/// That a grant is refused, and that the set is as incomplete as before.
fn refused(member: MemberId, session: SessionId, grant: &Grant) -> GrantFault {
    let mut set = almost();
    let fault = set.add(member, session, grant).unwrap_err();
    assert!(set.complete().is_err());
    fault
}

#[test]
fn a_quorum_with_the_own_grant_makes_a_receipt_of_exactly_the_bytes() {
    for (members, others) in [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (7, 3)] {
        let mut set = GrantSet::new(granting(members)).unwrap();
        set.add_own(SESSION, &given(1), &receipt()).unwrap();
        for other in 2..2 + others {
            set = *set.complete().unwrap_err();
            set.add(member(other), SESSION, &given(other)).unwrap();
        }
        let granted = set.complete().unwrap();
        let (vote, extension) = bytes();
        assert_eq!(granted.vote(), Some(vote.as_slice()));
        assert_eq!(granted.extension(), Some(extension.as_slice()));
        assert_eq!(granted.longest(), vote.len());
    }
}

#[test]
fn a_quorum_without_the_own_grant_is_not_complete() {
    let mut set = GrantSet::new(granting(3)).unwrap();
    for other in [2, 3] {
        set.add(member(other), SESSION, &given(other)).unwrap();
    }
    assert_eq!(set.granted().len(), 2);
    let mut set = *set.complete().unwrap_err();
    set.add_own(SESSION, &given(1), &receipt()).unwrap();
    set.complete().unwrap();
}

#[test]
fn the_same_member_counts_once() {
    let mut set = GrantSet::new(granting(5)).unwrap();
    set.add_own(SESSION, &given(1), &receipt()).unwrap();
    for _ in 0..5 {
        set.add(member(2), SESSION, &given(2)).unwrap();
        set.add_own(SESSION, &given(1), &receipt()).unwrap();
    }
    assert!(set.complete().is_err());
}

#[test]
fn grants_of_different_sessions_never_add_up() {
    let other = SessionId([2; 16]);
    assert_eq!(refused(member(2), other, &given(2)), GrantFault::OtherSession);
    let mut set = GrantSet::new(granting(1)).unwrap();
    assert_eq!(set.add_own(other, &given(1), &receipt()), Err(GrantFault::OtherSession));
    assert!(set.complete().is_err());
}

#[test]
fn a_grant_for_another_coordinator_does_not_count() {
    let grant = Grant { coordinator: member(3), ..given(2) };
    let (expected, found) = (member(1), member(3));
    let fault = GrantFault::OtherCoordinator { expected, found };
    assert_eq!(refused(member(2), SESSION, &grant), fault);
}

#[test]
fn a_grant_of_other_bytes_does_not_count() {
    let (vote, extension) = (bytes().0, extension());
    let other_vote = sign_bytes(&chain(), &precommit(6));
    let other_key = PublicKey::ed25519([8; 32]).id();
    for content in [
        content_hash(&key(), &other_vote, Some(&extension)),
        content_hash(&key(), &vote, None),
        content_hash(&key(), &vote, Some(&Extension::new("another extension"))),
        content_hash(&key(), &vote, Some(&extension.clone().with_non_rp(""))),
        content_hash(&other_key, &vote, Some(&extension)),
    ] {
        let grant = Grant { content, ..given(2) };
        assert_eq!(refused(member(2), SESSION, &grant), GrantFault::OtherContent);
    }
}

#[test]
fn the_content_tells_an_empty_extension_from_none_and_a_vote_from_its_extension() {
    let hash = |vote: &[u8], extension| content_hash(&key(), vote, extension);
    let (empty, c, bc) = (Extension::new(""), Extension::new("c"), Extension::new("bc"));
    assert_ne!(hash(b"v", None), hash(b"v", Some(&empty)));
    assert_ne!(hash(b"ab", Some(&c)), hash(b"a", Some(&bc)));
}

#[test]
fn a_member_that_was_not_asked_does_not_count() {
    assert_eq!(refused(member(4), SESSION, &given(4)), GrantFault::NotAsked(member(4)));
}

#[test]
fn another_life_of_a_member_does_not_count() {
    let (expected, found) = (incarnation(12), incarnation(13));
    let grant = Grant { incarnation: found, ..given(2) };
    let fault = GrantFault::OtherIncarnation { expected, found };
    assert_eq!(refused(member(2), SESSION, &grant), fault);
    // Of the same number, drawn twice.
    let found = Incarnation { id: [0; 16], ..expected };
    let grant = Grant { incarnation: found, ..given(2) };
    let fault = GrantFault::OtherIncarnation { expected, found };
    assert_eq!(refused(member(2), SESSION, &grant), fault);
}

#[test]
fn the_own_grant_does_not_count_before_its_watermark_is_on_disk() {
    let other_key = PublicKey::ed25519([8; 32]).id();
    let other_chain = ChainId::new("other-chain").unwrap();
    for receipt in [
        watermarked(&chain(), &key(), &precommit(4)),
        watermarked(&chain(), &other_key, &precommit(5)),
        watermarked(&other_chain, &key(), &precommit(5)),
    ] {
        let mut set = GrantSet::new(granting(1)).unwrap();
        let refused = set.add_own(SESSION, &given(1), &receipt);
        assert_eq!(refused, Err(GrantFault::NotWatermarked));
        assert!(set.complete().is_err());
    }
}

#[test]
fn the_own_grant_never_counts_as_another_members() {
    let mut set = GrantSet::new(granting(1)).unwrap();
    assert_eq!(set.add(member(1), SESSION, &given(1)), Err(GrantFault::NotWatermarked));
    assert!(set.complete().is_err());
}

#[test]
fn the_vote_is_left_out_where_only_a_fresh_extension_is_wanted() {
    let mut set = GrantSet::new(Granting { wants_vote: false, ..granting(1) }).unwrap();
    set.add_own(SESSION, &given(1), &receipt()).unwrap();
    let granted = set.complete().unwrap();
    let (_, extension) = bytes();
    assert_eq!(granted.vote(), None);
    assert_eq!(granted.extension(), Some(extension.as_slice()));
    assert_eq!(granted.longest(), extension.len());
}

#[test]
fn without_an_extension_there_is_only_the_vote() {
    let mut set = GrantSet::new(Granting { extension: None, ..granting(1) }).unwrap();
    let content = content_hash(&key(), &bytes().0, None);
    set.add_own(SESSION, &Grant { content, ..given(1) }, &receipt()).unwrap();
    let granted = set.complete().unwrap();
    assert_eq!((granted.vote(), granted.extension()), (Some(bytes().0.as_slice()), None));
}

#[test]
fn a_receipt_holds_an_extension_without_replay_protection_only_where_the_settings_allow_it() {
    for raw in ["", "raw bytes"] {
        let extension = Some(extension().with_non_rp(raw));
        let off = Granting { extension: extension.clone(), ..granting(1) };
        assert_eq!(GrantSet::new(off).unwrap_err(), RawRefused::NonRpExtensions);
        let on = Granting { extension: extension.clone(), dialect: V2, ..granting(1) };
        let mut set = GrantSet::new(on).unwrap();
        let content = content_hash(&key(), &bytes().0, extension.as_ref());
        set.add_own(SESSION, &Grant { content, ..given(1) }, &receipt()).unwrap();
        let granted = set.complete().unwrap();
        assert_eq!(granted.non_rp(), Some(raw.as_bytes()));
        assert_eq!(granted.extension(), Some(bytes().1.as_slice()));
    }
}

#[test]
fn a_receipt_never_holds_a_vote_as_an_extension_without_replay_protection() {
    let vote = sign_bytes(&ChainId::new("another-chain").unwrap(), &precommit(9));
    let extension = Some(extension().with_non_rp(vote));
    let refused = GrantSet::new(Granting { extension, dialect: V2, ..granting(1) });
    assert_eq!(refused.unwrap_err(), RawRefused::Consensus("canonical vote"));
}
