//! The words that every other room uses: chains, heights, steps, members, thresholds, keys.
//!
//! Values here are checked when they are made and cannot be changed afterwards, so a room that
//! receives one need not check it again. Nothing here does I/O.

mod chain;
mod cluster;
mod hrs;
mod key;
mod line_limit;
mod member;
mod shown;
mod timestamp;
mod verify;

pub use chain::{ChainId, ChainIdError};
pub use cluster::{CertificatePin, Cluster, ClusterError, ClusterKey, Member, SetupHash};
pub use hrs::{Height, Hrs, HrsError, Round, Step};
pub use key::{Algorithm, KeyId, PublicKey, PublicKeyError, Signature, UnknownAlgorithm};
pub use line_limit::{Line, LineLimit};
pub use member::{Incarnation, MemberId, MemberIdError, Threshold, ThresholdError};
pub use timestamp::{Timestamp, TimestampError, UnixMillis};
pub use verify::{UnfitKey, Verifier};
