//! A [`Granted`] for tests, made as a node alone makes it: with a watermark that is on disk.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::{GrantSet, Granted, Granting, content_hash};
use crate::peer::{Grant, SessionId};
use crate::privval::{BlockId, Fields, Vote, VoteKind, extension_sign_bytes, sign_bytes};
use crate::types::{
    Algorithm, ChainId, Height, Incarnation, KeyId, MemberId, PublicKey, Round, Timestamp,
    UnixMillis,
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

/// A private key of an algorithm as bytes, and its public key.
pub(super) fn key_pair(algorithm: Algorithm, seed: u8) -> (Vec<u8>, PublicKey) {
    let seed = [seed; 32];
    let (private, public) = match algorithm {
        Algorithm::Ed25519 => {
            let key = ed25519_dalek::SigningKey::from_bytes(&seed);
            (key.to_keypair_bytes().to_vec(), key.verifying_key().to_bytes().to_vec())
        }
        Algorithm::Secp256k1 | Algorithm::Secp256k1Eth => {
            let key = k256::ecdsa::SigningKey::from_slice(&seed).unwrap();
            let point = key.verifying_key().to_sec1_point(true);
            (seed.to_vec(), point.as_bytes().to_vec())
        }
        Algorithm::MlDsa65 => {
            let key = ml_dsa::ExpandedSigningKey::<ml_dsa::MlDsa65>::from_seed(&seed.into());
            #[expect(deprecated, reason = "the form of CometBFT")]
            let packed = key.to_expanded().as_slice().to_vec();
            (packed, key.verifying_key().encode().as_slice().to_vec())
        }
    };
    (private, PublicKey::new(algorithm, public).unwrap())
}

/// CometBFT's name of a key's type, behind `PrivKey` or `PubKey`.
pub(super) fn type_name(algorithm: Algorithm) -> &'static str {
    match algorithm {
        Algorithm::Ed25519 => "Ed25519",
        Algorithm::Secp256k1 => "Secp256k1",
        Algorithm::Secp256k1Eth => "Secp256k1eth",
        Algorithm::MlDsa65 => "MlDsa65",
    }
}

/// The text of a `priv_validator_key.json`, and the public key in it.
pub(super) fn comet_key_file(algorithm: Algorithm, seed: u8) -> (String, PublicKey) {
    let (private, public) = key_pair(algorithm, seed);
    let of = if algorithm == Algorithm::MlDsa65 { "cometbft" } else { "tendermint" };
    let name = type_name(algorithm);
    let text = serde_json::json!({
        "address": hex::encode_upper(public.address()),
        "pub_key": { "type": format!("{of}/PubKey{name}"), "value": BASE64.encode(public.as_bytes()) },
        "priv_key": { "type": format!("{of}/PrivKey{name}"), "value": BASE64.encode(private) },
    });
    (text.to_string(), public)
}
