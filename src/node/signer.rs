//! What stands behind the validators' connections: the signing plane, by channel.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

use super::plane_thread::Event;
use crate::privval::Dialect;
use crate::signing::{RawVerdict, Verdict};
use crate::types::{ChainId, PublicKey};
use crate::validator::{RawRequestFor, Sign, SignRequestFor};

/// Hands requests to the plane and waits for the verdict.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) events: UnboundedSender<Event>,
    pub(super) keys: Arc<BTreeMap<ChainId, PublicKey>>,
    pub(super) dialects: Arc<BTreeMap<ChainId, Dialect>>,
}

impl Sign for Signer {
    fn public_key(&self, chain: &str) -> Option<PublicKey> {
        let chain = ChainId::new(chain).ok()?;
        self.keys.get(&chain).cloned()
    }

    fn dialect(&self, chain: &ChainId) -> Dialect {
        self.dialects.get(chain).copied().unwrap_or_default()
    }

    async fn sign(&self, request: SignRequestFor) -> Verdict {
        let SignRequestFor { chain, fields, extension, .. } = request;
        let (reply, verdict) = oneshot::channel();
        let stopping = || Verdict::NotNow("this cosigner is stopping".to_owned());
        if self.events.send(Event::Ask { chain, fields, extension, reply }).is_err() {
            return stopping();
        }
        verdict.await.unwrap_or_else(|_| stopping())
    }

    async fn sign_raw(&self, request: RawRequestFor) -> RawVerdict {
        let RawRequestFor { chain, message, .. } = request;
        let (reply, verdict) = oneshot::channel();
        let stopping = || RawVerdict::NotNow("this cosigner is stopping".to_owned());
        if self.events.send(Event::AskRaw { chain, message, reply }).is_err() {
            return stopping();
        }
        verdict.await.unwrap_or_else(|_| stopping())
    }
}
