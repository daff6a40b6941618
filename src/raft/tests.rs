mod cluster;
mod faults;
mod offline;
mod suite;

use super::*;
use crate::privval::{BlockId, Fields, Vote, VoteKind, sign_bytes};
use crate::types::{Algorithm, ChainId, Height, KeyId, Round, Signature, Timestamp};

/// A settled precommit; `mark` tells two for the same place apart.
pub(super) fn settled(chain: &str, height: i64, mark: u8) -> Settled {
    let chain = ChainId::new(chain).unwrap();
    let fields = Fields::Vote(Vote {
        kind: VoteKind::Precommit,
        height: Height::new(height).unwrap(),
        round: Round::new(0).unwrap(),
        block_id: Some(BlockId {
            hash: Some([mark; 32]),
            parts_total: 1,
            parts_hash: Some([2; 32]),
        }),
        timestamp: Timestamp::new(1_700_000_000, 0).unwrap(),
    });
    Settled {
        sign_bytes: sign_bytes(&chain, &fields),
        chain,
        key: key(),
        signature: Signature::new(Algorithm::Ed25519, vec![mark; 64]),
    }
}

pub(super) fn key() -> KeyId {
    KeyId::from_bytes([5; 32])
}
