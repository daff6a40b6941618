//! What stands behind a connection.

use std::future::Future;

use super::Address;
use crate::privval::{Dialect, Extension, Fields, RawBytes, RawMessage, RawRefused};
use crate::signing::{RawVerdict, Verdict};
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

    /// Decides about one request for raw bytes, under the same terms. Who does not say otherwise signs
    /// none.
    fn sign_raw(&self, request: RawRequestFor) -> impl Future<Output = RawVerdict> + Send {
        let configured = RawBytes::Off;
        drop(request);
        std::future::ready(RawVerdict::Refused(RawRefused::Off { configured }.to_string()))
    }
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

/// One request for raw bytes and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRequestFor {
    /// The chain of the connection; the same as in the request, if that names one.
    pub chain: ChainId,
    /// What is to be signed, if the chain wants it and it can be no vote.
    pub message: RawMessage,
    /// The validator that asks.
    pub validator: Address,
}
