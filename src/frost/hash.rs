//! The hash functions H1 to H5 of FROST(Ed25519, SHA-512), RFC 9591 §6.1.

use curve25519_dalek::scalar::Scalar;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use super::RawCommitment;
use crate::types::MemberId;

/// `contextString` of RFC 9591 §6.1. Plain concatenation, no length prefixes anywhere.
const CONTEXT: &[u8] = b"FROST-ED25519-SHA512-v1";

/// What every signer's binding factor is computed from, hashed once (RFC 9591 §4.4).
pub(super) struct BindingFactors(Sha512);

impl BindingFactors {
    /// Starts H1 with the part that is the same for all signers, [`binding_input_prefix`].
    pub(super) fn new(prefix: &[u8]) -> Self {
        Self(tagged(b"rho").chain_update(prefix))
    }

    /// H1 over the prefix and the identifier: this signer's own factor, never one for all
    /// (RFC 9591 §5.2 warns of that shortcut: it weakens unforgeability).
    pub(super) fn of(&self, member: MemberId) -> Scalar {
        Scalar::from_hash(self.0.clone().chain_update(identifier(member).as_bytes()))
    }
}

/// A member's identifier: its number as a scalar.
pub(super) fn identifier(member: MemberId) -> Scalar {
    Scalar::from(member.get())
}

/// `group_public_key ‖ H4(message) ‖ H5(commitment list)`, 160 bytes (RFC 9591 §4.4). The list must
/// come in ascending order of ids (§4.3).
pub(super) fn binding_input_prefix(
    public_key: &[u8; 32],
    message: &[u8],
    commitments: impl Iterator<Item = (MemberId, RawCommitment)>,
) -> Vec<u8> {
    let message = tagged(b"msg").chain_update(message).finalize();
    let mut list = tagged(b"com");
    for (member, commitment) in commitments {
        list.update(identifier(member).as_bytes());
        list.update(commitment.0);
    }
    [public_key.as_slice(), &message, &list.finalize()].concat()
}

/// H2, the challenge of RFC 8032: no context, so that the result is an ordinary signature.
pub(super) fn challenge(
    group_commitment: &[u8; 32],
    public_key: &[u8; 32],
    message: &[u8],
) -> Scalar {
    Scalar::from_hash(
        Sha512::new().chain_update(group_commitment).chain_update(public_key).chain_update(message),
    )
}

/// H3, a nonce from fresh randomness and a secret (RFC 9591 §4.1, `nonce_generate`).
pub(super) fn nonce(random: &[u8; 32], secret: &[u8]) -> Scalar {
    let mut wide = Zeroizing::new([0; 64]);
    let hasher = tagged(b"nonce").chain_update(random).chain_update(secret);
    hasher.finalize_into((&mut *wide).into());
    Scalar::from_bytes_mod_order_wide(&wide)
}

fn tagged(tag: &[u8]) -> Sha512 {
    Sha512::new().chain_update(CONTEXT).chain_update(tag)
}
