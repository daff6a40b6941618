//! A [`Granted`] for tests, made as a node alone makes it: with a watermark that is on disk.

use std::collections::BTreeMap;

use super::{GrantSet, Granted, Granting, content_hash};
use crate::peer::{Grant, SessionId};
use crate::privval::{
    BlockId, Dialect, Fields, RawAllowed, RawBytes, RawMessage, Vote, VoteKind,
    extension_sign_bytes, sign_bytes,
};
use crate::types::{
    ChainId, Height, Incarnation, KeyId, MemberId, PublicKey, Round, Timestamp, UnixMillis,
};
use crate::watermark::{Mark, Record, WatermarkFile, Watermarked};

pub(super) fn chain() -> ChainId {
    ChainId::new("test-chain-1").unwrap()
}

pub(super) fn precommit(height: i64) -> Fields {
    Fields::Vote(Vote {
        kind: VoteKind::Precommit,
        height: Height::new(height).unwrap(),
        round: Round::new(0).unwrap(),
        block_id: BlockId::new(Some([0xaa; 32]), 7, Some([0xbb; 32])),
        timestamp: Timestamp::new(1_704_164_645, 6).unwrap(),
    })
}

/// The receipt of a write that covers these fields.
pub(super) fn watermarked(chain: &ChainId, key: &KeyId, fields: &Fields) -> Watermarked {
    let home = tempfile::tempdir().unwrap();
    let record = Record::at_mark(Mark::signed(fields.clone()), UnixMillis(0));
    WatermarkFile::create(home.path(), chain, key, &record).unwrap();
    WatermarkFile::open(home.path(), chain, key).unwrap().2
}

/// A grant of one of one, and the bytes that it must contain: the vote's and the extension's.
pub(super) fn grant(
    key: &PublicKey,
    fields: &Fields,
    extension: Option<&[u8]>,
) -> (Granted, Vec<u8>, Option<Vec<u8>>) {
    let (me, chain) = (MemberId::new(1).unwrap(), chain());
    let (session, incarnation) = (SessionId([3; 16]), Incarnation { number: 1, id: [4; 16] });
    let mut set = GrantSet::new(Granting {
        session,
        coordinator: me,
        asked: BTreeMap::from([(me, incarnation)]),
        needed: 1,
        chain: chain.clone(),
        key: key.id(),
        fields: fields.clone(),
        extension: extension.map(<[u8]>::to_vec),
        wants_vote: true,
    });
    let vote = sign_bytes(&chain, fields);
    let hrs = fields.hrs();
    let extension =
        extension.map(|bytes| extension_sign_bytes(&chain, hrs.height, hrs.round, bytes));
    let content = content_hash(&key.id(), &vote, extension.as_deref());
    let grant = Grant { coordinator: me, content, incarnation };
    set.add_own(session, &grant, &watermarked(&chain, &key.id(), fields)).unwrap();
    (set.complete().unwrap(), vote, extension)
}

/// The receipt for so many bytes that can be no vote.
pub(super) fn raw(length: usize) -> RawAllowed {
    let dialect = Dialect { raw_bytes: RawBytes::SignBytes, ..Dialect::default() };
    RawAllowed::new(&chain(), &dialect, &RawMessage::Plain(vec![b'x'; length])).unwrap()
}
