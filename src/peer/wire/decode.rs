//! Protobuf to checked values.

use std::collections::BTreeMap;

use super::encode::once;
use super::extension::{decode_carried, decode_extension, decode_extension_signature};
use super::fields::{
    decode as decode_fields, decode_incarnation, decode_signature, decode_timestamp,
};
use super::verdict::{decode_denial, decode_failure};
use super::{
    MAX_COMMITMENTS, MAX_REASON_BYTES, MAX_SETS, MAX_SIGNERS, MAX_SOFTWARE_BYTES, WireError, array,
    at_most, pb, raw,
};
use crate::frost::{RawCommitment, RawShare};
use crate::peer::message::{
    Answer, AnswerBody, AskGrant, Forward, Forwarded, Grant, Hello, Message, Order, Outcome,
    Report, RequestId, SessionId, SetShare, Signed, Signer, SigningSet,
};
use crate::types::{ChainId, KeyId, MemberId, SetupHash};

use pb::envelope::Body;

pub(super) fn message(body: Body) -> Result<Message, WireError> {
    Ok(match body {
        Body::Hello(_) => return Err(WireError::Hello),
        Body::Order(it) => Message::Order(order(it)?),
        Body::AskGrant(it) => Message::AskGrant(ask_grant(it)?),
        Body::Answer(it) => Message::Answer(answer(it)?),
        Body::RawOrder(it) => Message::RawOrder(raw::decode_order(it)?),
        Body::RawAnswer(it) => Message::RawAnswer(raw::decode_answer(it)?),
        Body::Commitments(it) => Message::Commitments(commitments(&it.pairs)?),
        Body::NeedCommitments(count) => Message::NeedCommitments(count),
        Body::Forward(it) => Message::Forward(forward(it)?),
        Body::Forwarded(it) => Message::Forwarded(forwarded(it)?),
        Body::AskWatermark(it) => {
            Message::AskWatermark { chain: ChainId::new(it.chain)?, key: key(&it.key)? }
        }
        Body::Watermark(it) => Message::Watermark(report(it)?),
        Body::Ping(number) => Message::Ping(number),
        Body::Pong(number) => Message::Pong(number),
    })
}

pub(super) fn hello(hello: pb::Hello) -> Result<Hello, WireError> {
    Ok(Hello {
        protocol: hello.protocol,
        software: text("software", MAX_SOFTWARE_BYTES, hello.software)?,
        serial: hello.serial,
        members: SetupHash(array("members hash", &hello.members)?),
        incarnation: decode_incarnation(hello.incarnation)?,
    })
}

pub(super) fn text(field: &'static str, limit: usize, text: String) -> Result<String, WireError> {
    at_most(field, limit, text.len())?;
    if text.chars().any(char::is_control) {
        return Err(WireError::ControlCharacter(field));
    }
    Ok(text)
}

pub(super) fn key(bytes: &[u8]) -> Result<KeyId, WireError> {
    Ok(KeyId::from_bytes(array("key", bytes)?))
}

pub(super) fn session(bytes: &[u8]) -> Result<SessionId, WireError> {
    Ok(SessionId(array("session", bytes)?))
}

fn order(order: pb::Order) -> Result<Order, WireError> {
    Ok(Order {
        session: session(&order.session)?,
        chain: ChainId::new(order.chain)?,
        key: key(&order.key)?,
        setup: SetupHash(array("setup hash", &order.setup)?),
        fields: decode_fields(order.fields)?,
        sets: signing_sets("sets", order.sets)?,
        extension: order.extension.map(decode_carried).transpose()?,
        extension_sets: signing_sets("extension sets", order.extension_sets)?,
        non_rp_sets: signing_sets("non-rp sets", order.non_rp_sets)?,
    })
}

fn ask_grant(ask: pb::AskGrant) -> Result<AskGrant, WireError> {
    at_most("asked members", MAX_SIGNERS, ask.asked.len())?;
    if ask.asked.is_empty() {
        return Err(WireError::Empty("asked members"));
    }
    let mut asked = BTreeMap::new();
    for entry in ask.asked {
        let incarnation = decode_incarnation(entry.incarnation)?;
        if asked.insert(MemberId::new(entry.member.into())?, incarnation).is_some() {
            return Err(WireError::Duplicate { field: "asked members", id: entry.member });
        }
    }
    Ok(AskGrant {
        session: session(&ask.session)?,
        chain: ChainId::new(ask.chain)?,
        key: key(&ask.key)?,
        setup: SetupHash(array("setup hash", &ask.setup)?),
        fields: decode_fields(ask.fields)?,
        extension: ask.extension.map(decode_carried).transpose()?,
        asked,
    })
}

pub(super) fn signing_sets(
    field: &'static str,
    sets: Vec<pb::SigningSet>,
) -> Result<Vec<SigningSet>, WireError> {
    at_most(field, MAX_SETS, sets.len())?;
    once(field, sets.iter().map(|set| set.id))?;
    sets.into_iter().map(signing_set).collect()
}

fn signing_set(set: pb::SigningSet) -> Result<SigningSet, WireError> {
    at_most("signers", MAX_SIGNERS, set.signers.len())?;
    if set.signers.is_empty() {
        return Err(WireError::Empty("signers"));
    }
    let mut signers = BTreeMap::new();
    for signer in set.signers {
        let checked = Signer {
            incarnation: decode_incarnation(signer.incarnation)?,
            commitment: RawCommitment(array("commitment", &signer.commitment)?),
        };
        if signers.insert(MemberId::new(signer.member.into())?, checked).is_some() {
            return Err(WireError::Duplicate { field: "signers", id: signer.member });
        }
    }
    Ok(SigningSet { id: set.id, signers })
}

fn answer(answer: pb::Answer) -> Result<Answer, WireError> {
    at_most("answered sets", 3 * MAX_SETS, answer.sets.len())?;
    let body = match answer.body.ok_or(WireError::Missing("body of an answer"))? {
        pb::answer::Body::Shares(it) => AnswerBody::Shares {
            shares: set_shares("shares", &it.shares)?,
            extension_shares: set_shares("extension shares", &it.extension_shares)?,
            non_rp_shares: set_shares("non-rp shares", &it.non_rp_shares)?,
        },
        pb::answer::Body::Grant(it) => AnswerBody::Grant(Grant {
            coordinator: MemberId::new(it.coordinator.into())?,
            content: array("granted content", &it.content)?,
            incarnation: decode_incarnation(it.incarnation)?,
        }),
        pb::answer::Body::Denied(denial) => AnswerBody::Denied(decode_denial(denial)?),
        pb::answer::Body::Failed(value) => AnswerBody::Failed(decode_failure(value)?),
    };
    Ok(Answer { session: session(&answer.session)?, sets: answer.sets, body })
}

pub(super) fn set_shares(
    field: &'static str,
    shares: &[pb::SetShare],
) -> Result<Vec<SetShare>, WireError> {
    at_most(field, MAX_SETS, shares.len())?;
    once(field, shares.iter().map(|share| share.set))?;
    let checked = |share: &pb::SetShare| {
        Ok(SetShare { set: share.set, share: RawShare(array("share", &share.share)?) })
    };
    shares.iter().map(checked).collect()
}

fn commitments(pairs: &[u8]) -> Result<Vec<RawCommitment>, WireError> {
    at_most("commitments", MAX_COMMITMENTS, pairs.len().div_ceil(64))?;
    pairs.chunks(64).map(|pair| Ok(RawCommitment(array("commitment", pair)?))).collect()
}

fn forward(forward: pb::Forward) -> Result<Forward, WireError> {
    Ok(Forward {
        id: RequestId(forward.id),
        chain: ChainId::new(forward.chain)?,
        fields: decode_fields(forward.fields)?,
        extension: forward.extension.map(decode_extension).transpose()?,
        deadline_ms: forward.deadline_ms,
        deputy: forward.deputy,
    })
}

fn forwarded(forwarded: pb::Forwarded) -> Result<Forwarded, WireError> {
    use pb::forwarded::Outcome as Wire;
    let outcome = match forwarded.outcome.ok_or(WireError::Missing("outcome"))? {
        Wire::Signed(it) => Outcome::Signed(signed(it)?),
        Wire::RepeatedSignature(it) => Outcome::Repeated(signed(it)?),
        Wire::Denied(denial) => Outcome::Denied(decode_denial(denial)?),
        Wire::Failed(reason) => Outcome::Failed(text("reason", MAX_REASON_BYTES, reason)?),
        Wire::NotLeader(it) => {
            Outcome::NotLeader(it.leader.map(|id| MemberId::new(id.into())).transpose()?)
        }
        Wire::KeyUnavailable(reason) => {
            Outcome::KeyUnavailable(text("reason", MAX_REASON_BYTES, reason)?)
        }
    };
    Ok(Forwarded { id: RequestId(forwarded.id), outcome })
}

fn signed(signed: pb::Signed) -> Result<Signed, WireError> {
    Ok(Signed {
        signature: decode_signature(signed.signature.ok_or(WireError::Missing("signature"))?)?,
        timestamp: decode_timestamp(signed.timestamp)?,
        extension_signature: decode_extension_signature(
            signed.extension_signature,
            signed.non_rp_signature,
        )?,
    })
}

fn report(report: pb::Report) -> Result<Report, WireError> {
    Ok(Report {
        chain: ChainId::new(report.chain)?,
        key: key(&report.key)?,
        // An absent message is "does not know"; a present one must be whole.
        fields: report.fields.map(|fields| decode_fields(Some(fields))).transpose()?,
        signature: report.signature.map(decode_signature).transpose()?,
        key_ready: report.key_ready,
    })
}
