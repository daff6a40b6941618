//! FROST(Ed25519, SHA-512) of RFC 9591: pure, no clock and no I/O (only [`deal`] asks the system
//! for randomness, to try its shares out).
//!
//! What comes out is an ordinary Ed25519 signature. Only group elements of prime order ever enter
//! the arithmetic, and only a signature that the strict check accepts ever leaves it, so all
//! verification rules in use (RFC 8032, ZIP-215 as in CometBFT) agree about it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use cosigner::frost::{self, HedgeSecret, SigningPackage, VerifyingKey};
//! use cosigner::types::Threshold;
//! use getrandom::SysRng;
//!
//! let dealt = frost::deal::deal(&[7; 32], Threshold::new(2, 3)?, &mut SysRng)?;
//! let key = VerifyingKey::from_public_key(&dealt.public_key)?;
//!
//! // Ahead of time, at each signer.
//! let hedge = HedgeSecret::random(&mut SysRng)?;
//! let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
//! for member in dealt.shares.keys().take(2) {
//!     let (secret, public) = frost::commit(&hedge, &mut SysRng)?;
//!     nonces.insert(*member, secret);
//!     commitments.insert(*member, public);
//! }
//!
//! // One message later.
//! let package = SigningPackage::new(&key, &commitments, b"message")?;
//! let mut shares = BTreeMap::new();
//! for (member, secret) in nonces {
//!     shares.insert(member, frost::sign(secret, member, &dealt.shares[&member], &package)?);
//! }
//! let signature = package.aggregate(&shares, &dealt.verifying_shares)?;
//! key.verify(b"message", &signature)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod deal;
mod error;
mod hash;
mod key;
mod lagrange;
mod nonce;
mod package;
mod prove;
mod sign;
#[cfg(test)]
mod tests;
mod vsss;

pub use error::{FrostError, PointFault, PointKind};
pub use key::{SigningShare, VerifyingKey, VerifyingShare};
pub use nonce::{HedgeSecret, NonceCommitment, Nonces, commit};
pub use package::SigningPackage;
pub use sign::sign;

/// A nonce commitment as it travels: hiding ‖ binding, two compressed points, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawCommitment(pub [u8; 64]);

/// A signature share as it travels: a little-endian scalar, not yet checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RawShare(pub [u8; 32]);
