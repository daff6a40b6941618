//! A grant of a node alone: made as the node makes it, with a watermark on disk.
//!
//! Included by the library's own tests, too.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each user takes another part")]
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::iter::once;
use std::path::Path;

use cosigner::backend::{GrantSet, Granted, Granting, content_hash};
use cosigner::peer::{Grant, SessionId};
use cosigner::privval::{BlockId, Dialect, Extension, Fields, Vote, VoteKind, sign_bytes};
use cosigner::types::{
    ChainId, Height, Incarnation, MemberId, PublicKey, Round, Timestamp, UnixMillis,
};
use cosigner::watermark::{Record, WatermarkFile};

/// What was granted, and the bytes that are to be signed.
pub struct Case {
    pub granted: Granted,
    pub vote: Vec<u8>,
    pub extension: Option<Vec<u8>>,
}

/// A precommit at `height`, with an extension if there is one. `dir` is an empty directory.
pub fn precommit(dir: &Path, key: &PublicKey, height: i64, extension: Option<Vec<u8>>) -> Case {
    let chain = ChainId::new("test-chain-1").unwrap();
    let (height, round) = (Height::new(height).unwrap(), Round::new(0).unwrap());
    let fields = Fields::Vote(Vote {
        kind: VoteKind::Precommit,
        height,
        round,
        block_id: BlockId::new(Some([0xaa; 32]), 7, Some([0xbb; 32])),
        timestamp: Timestamp::new(1_704_164_645, 6).unwrap(),
    });
    let now = UnixMillis(1_704_164_645_000);
    WatermarkFile::create(dir, &chain, &key.id(), &Record::never_signed(now)).unwrap();
    let (mut file, _, _) = WatermarkFile::open(dir, &chain, &key.id()).unwrap();
    let mark = cosigner::watermark::Mark::signed(fields.clone());
    let receipt = file.write(&Record::at_mark(mark, now)).unwrap();

    let vote = sign_bytes(&chain, &fields);
    let extension = extension.map(Extension::new);
    let extension_bytes = extension.as_ref().map(|it| it.sign_bytes(&chain, fields.hrs()));
    let me = MemberId::new(1).unwrap();
    let incarnation = Incarnation { number: 1, id: [1; 16] };
    let session = SessionId([7; 16]);
    let content = content_hash(&key.id(), &vote, extension.as_ref());
    let mut set = GrantSet::new(Granting {
        session,
        coordinator: me,
        asked: BTreeMap::from_iter(once((me, incarnation))),
        needed: 1,
        chain,
        dialect: Dialect::default(),
        key: key.id(),
        fields,
        extension,
        wants_vote: true,
    })
    .unwrap();
    set.add_own(session, &Grant { coordinator: me, content, incarnation }, &receipt).unwrap();
    Case { granted: set.complete().unwrap(), vote, extension: extension_bytes }
}
