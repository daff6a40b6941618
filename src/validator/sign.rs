//! What stands behind a connection.

use std::future::Future;

use super::Address;
use crate::privval::{Dialect, Extension, Fields};
use crate::signing::Verdict;
use crate::types::{ChainId, PublicKey};

/// Signs what validators ask for. Cheap to clone: every connection holds one.
pub trait Sign: Clone + Send + Sync + 'static {
    /// The consensus public key of a chain, from memory: it is asked for at every height.
    fn public_key(&self, chain: &str) -> Option<PublicKey>;

    /// How a chain's validators speak, as its operator says.
    fn dialect(&self, _chain: &ChainId) -> Dialect {
        Dialect::default()
    }

    /// Decides about one request. The future is dropped when nobody waits for its verdict any more;
    /// that must stop nothing which I1 to I5 rest on.
    fn sign(&self, request: SignRequestFor) -> impl Future<Output = Verdict> + Send;
}

/// One checked request and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignRequestFor {
    /// The chain of the connection, the same as in the request.
    pub chain: ChainId,
    /// What is to be signed.
    pub fields: Fields,
    /// To be signed together with the fields, perhaps empty; `None` where no extension belongs.
    pub extension: Option<Extension>,
    /// The validator that asks.
    pub validator: Address,
}
