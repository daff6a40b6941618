//! Shares and grants that may not leave yet, and answers that may.

use tracing::debug;

use super::key::ChainKey;
use crate::frost::SigningPackage;
use crate::peer::{Answer, AnswerBody, Failure, Grant, LinkId, SessionId, SetShare};
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

/// Shares or a grant, locked up until a write that covers their watermark has returned (I3).
pub(super) struct Withheld {
    pub(super) caller: Caller,
    pub(super) session: SessionId,
    pub(super) fields: Fields,
    pub(super) gives: Gives,
}

/// What is given in the end.
pub(super) enum Gives {
    /// Shares, each with the package that it was computed from.
    Shares {
        shares: Vec<(SetShare, SigningPackage)>,
        extension_shares: Vec<(SetShare, SigningPackage)>,
        non_rp_shares: Vec<(SetShare, SigningPackage)>,
    },
    /// A grant of a whole key's use.
    Grant(Grant),
}

/// What goes with an answer where this node itself has asked.
#[derive(Default)]
pub struct Evidence {
    /// The packages that shares were computed from, for the own aggregate.
    pub(super) packages: Vec<(u32, SigningPackage)>,
    /// The receipt that released a grant, for the own set of grants.
    pub(super) receipt: Option<Watermarked>,
}

/// An answer that may leave: for another coordinator, or for this node's own aggregate.
///
/// With shares or a grant inside it can be made only by [`Withheld::release`], which demands the receipt of a
/// durable write: I3 holds for what is sent and for what this node aggregates alike.
pub struct Released {
    caller: Caller,
    answer: Answer,
    evidence: Evidence,
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
        let sets = self.sets();
        let mut evidence = Evidence::default();
        let body = match self.gives {
            Gives::Grant(grant) => {
                evidence.receipt = Some(receipt.clone());
                AnswerBody::Grant(grant)
            }
            Gives::Shares { shares, extension_shares, non_rp_shares } => {
                let mut unpack = |list: Vec<(SetShare, SigningPackage)>| -> Vec<SetShare> {
                    let unpacked = list.into_iter().map(|(share, package)| {
                        evidence.packages.push((share.set, package));
                        share
                    });
                    unpacked.collect()
                };
                let (shares, extension_shares) = (unpack(shares), unpack(extension_shares));
                let non_rp_shares = unpack(non_rp_shares);
                AnswerBody::Shares { shares, extension_shares, non_rp_shares }
            }
        };
        let answer = Answer { session: self.session, sets, body };
        Ok(Released { caller: self.caller, answer, evidence })
    }

    /// Gives nothing.
    pub(super) fn refuse(self, failure: Failure) -> Released {
        let sets = self.sets();
        Released::failure(self.caller, self.session, sets, failure)
    }

    fn sets(&self) -> Vec<u32> {
        match &self.gives {
            Gives::Grant(_) => Vec::new(),
            Gives::Shares { shares, extension_shares, non_rp_shares } => {
                let all = shares.iter().chain(extension_shares).chain(non_rp_shares);
                all.map(|(share, _)| share.set).collect()
            }
        }
    }

    /// One line for each share or grant, written before it leaves: what audits and the tests' oracle
    /// read.
    fn note_what_is_given(&self, key: &ChainKey) {
        if !tracing::enabled!(target: "cosigner::gave", tracing::Level::DEBUG) {
            return;
        }
        let content = content_digest(key, &self.fields);
        let note = |set: u32, what: &'static str| {
            debug!(
                target: "cosigner::gave",
                chain = %key.chain,
                hrs = %self.hrs(),
                kind = %self.fields.kind(),
                content,
                session = hex::encode(self.session.0),
                set,
                "{what}",
            );
        };
        match &self.gives {
            Gives::Grant(_) => note(0, "gave a grant"),
            Gives::Shares { shares, .. } => {
                shares.iter().for_each(|(share, _)| note(share.set, "gave a share"));
            }
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
        Self { caller, answer, evidence: Evidence::default() }
    }

    /// A failure. Carries no share, so it needs no receipt.
    pub(super) fn failure(
        caller: Caller,
        session: SessionId,
        sets: Vec<u32>,
        failure: Failure,
    ) -> Self {
        let answer = Answer { session, sets, body: AnswerBody::Failed(failure) };
        Self { caller, answer, evidence: Evidence::default() }
    }

    /// Who asked.
    #[must_use]
    pub const fn caller(&self) -> Caller {
        self.caller
    }

    /// The answer, with what goes with it if this node itself has asked.
    #[must_use]
    pub fn into_parts(self) -> (Answer, Evidence) {
        (self.answer, self.evidence)
    }
}
