//! Shares that may not leave yet, and answers that may.

use tracing::debug;

use super::key::ChainKey;
use crate::frost::SigningPackage;
use crate::peer::{Answer, AnswerBody, Failure, LinkId, SessionId, SetShare};
use crate::privval::{Fields, sign_bytes};
use crate::types::{Hrs, Timestamp};
use crate::watermark::{Denial, Watermarked};

/// Who asked this member for shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The coordinator of this node.
    Own,
    /// The coordinator at the other end of this link.
    Link(LinkId),
}

/// Computed shares, locked up until a write that covers their watermark has returned (I3).
pub(super) struct Withheld {
    pub(super) caller: Caller,
    pub(super) session: SessionId,
    pub(super) fields: Fields,
    pub(super) shares: Vec<(SetShare, SigningPackage)>,
    pub(super) extension_shares: Vec<(SetShare, SigningPackage)>,
}

/// An answer that may leave: for another coordinator, or for this node's own aggregate.
///
/// With shares inside it can be made only by [`Withheld::release`], which demands the receipt of a
/// durable write: I3 holds for what is sent and for what this node aggregates alike.
pub struct Released {
    caller: Caller,
    answer: Answer,
    packages: Vec<(u32, SigningPackage)>,
}

impl Withheld {
    pub(super) fn hrs(&self) -> Hrs {
        self.fields.hrs()
    }

    /// I3: opens only with the receipt of a write of this chain and key at or above these fields.
    ///
    /// # Errors
    /// Gives itself back if the receipt covers less.
    pub(super) fn release(
        self,
        key: &ChainKey,
        receipt: &Watermarked,
    ) -> Result<Released, Box<Self>> {
        if !receipt.covers(&key.chain, &key.id, self.hrs()) {
            return Err(Box::new(self));
        }
        self.note_what_is_given(key);
        let sets = self.shares.iter().chain(&self.extension_shares);
        let sets = sets.map(|(share, _)| share.set).collect();
        let mut packages = Vec::with_capacity(2);
        let mut unpack = |list: Vec<(SetShare, SigningPackage)>| -> Vec<SetShare> {
            let unpacked = list.into_iter().map(|(share, package)| {
                packages.push((share.set, package));
                share
            });
            unpacked.collect()
        };
        let body = AnswerBody::Shares {
            shares: unpack(self.shares),
            extension_shares: unpack(self.extension_shares),
        };
        let answer = Answer { session: self.session, sets, body };
        Ok(Released { caller: self.caller, answer, packages })
    }

    /// One line for each share, written before it leaves: what audits and the tests' oracle read.
    fn note_what_is_given(&self, key: &ChainKey) {
        if !tracing::enabled!(target: "cosigner::gave", tracing::Level::DEBUG) {
            return;
        }
        let content = content_digest(key, &self.fields);
        for (share, _) in &self.shares {
            debug!(
                target: "cosigner::gave",
                chain = %key.chain,
                hrs = %self.hrs(),
                kind = %self.fields.kind(),
                content,
                session = hex::encode(self.session.0),
                set = share.set,
                "gave a share",
            );
        }
    }
}

/// SHA-256 of the sign bytes with the timestamp taken out, in hex: equal for equal content.
fn content_digest(key: &ChainKey, fields: &Fields) -> String {
    use sha2::{Digest as _, Sha256};
    let content = fields.with_timestamp(Timestamp::GO_ZERO);
    hex::encode(Sha256::digest(sign_bytes(&key.chain, &content)))
}

impl Released {
    /// The rule's no. Carries no share, so it needs no receipt.
    pub(super) fn denial(
        caller: Caller,
        session: SessionId,
        sets: Vec<u32>,
        denial: Denial,
    ) -> Self {
        let answer = Answer { session, sets, body: AnswerBody::Denied(denial) };
        Self { caller, answer, packages: Vec::new() }
    }

    /// A failure. Carries no share, so it needs no receipt.
    pub(super) fn failure(
        caller: Caller,
        session: SessionId,
        sets: Vec<u32>,
        failure: Failure,
    ) -> Self {
        let answer = Answer { session, sets, body: AnswerBody::Failed(failure) };
        Self { caller, answer, packages: Vec::new() }
    }

    /// Who asked.
    #[must_use]
    pub const fn caller(&self) -> Caller {
        self.caller
    }

    /// The answer, with the packages that the shares were computed from (for the own aggregate).
    #[must_use]
    pub fn into_parts(self) -> (Answer, Vec<(u32, SigningPackage)>) {
        (self.answer, self.packages)
    }
}
