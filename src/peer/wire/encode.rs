//! Checked values to protobuf.

use std::collections::BTreeSet;

use super::extension::{encode_carried, encode_extension, encode_extension_signature};
use super::fields::{
    encode as encode_fields, encode_incarnation, encode_signature, encode_timestamp,
};
use super::verdict::{encode_denial, encode_failure};
use super::{
    MAX_COMMITMENTS, MAX_REASON_BYTES, MAX_SETS, MAX_SIGNERS, MAX_SOFTWARE_BYTES, WireError,
    at_most, clean, pb, raw,
};
use crate::frost::RawCommitment;
use crate::peer::message::{
    Answer, AnswerBody, AskGrant, Forward, Forwarded, Hello, Message, Order, Outcome, Report,
    SetShare, Signed, SigningSet,
};

use pb::envelope::Body;

pub(super) fn body(message: Message) -> Result<Body, WireError> {
    Ok(match message {
        Message::Order(it) => Body::Order(order(it)?),
        Message::AskGrant(it) => Body::AskGrant(ask_grant(it)?),
        Message::Answer(it) => Body::Answer(answer(it)?),
        Message::RawOrder(it) => Body::RawOrder(raw::encode_order(it)?),
        Message::RawAnswer(it) => Body::RawAnswer(raw::encode_answer(it)?),
        Message::Commitments(it) => Body::Commitments(commitments(&it)?),
        Message::NeedCommitments(count) => Body::NeedCommitments(count),
        Message::Forward(it) => Body::Forward(forward(it)?),
        Message::Forwarded(it) => Body::Forwarded(forwarded(it)?),
        Message::AskWatermark { chain, key } => Body::AskWatermark(pb::AskWatermark {
            chain: chain.as_str().to_owned(),
            key: key.as_bytes().to_vec(),
        }),
        Message::Watermark(it) => Body::Watermark(report(it)?),
        Message::Ping(number) => Body::Ping(number),
        Message::Pong(number) => Body::Pong(number),
    })
}

pub(super) fn hello(hello: &Hello) -> pb::Hello {
    pb::Hello {
        protocol: hello.protocol,
        software: clean(&hello.software, MAX_SOFTWARE_BYTES),
        serial: hello.serial,
        members: hello.members.0.to_vec(),
        incarnation: Some(encode_incarnation(hello.incarnation)),
    }
}

fn order(order: Order) -> Result<pb::Order, WireError> {
    Ok(pb::Order {
        session: order.session.0.to_vec(),
        chain: order.chain.as_str().to_owned(),
        key: order.key.as_bytes().to_vec(),
        setup: order.setup.0.to_vec(),
        fields: Some(encode_fields(order.fields)),
        sets: signing_sets("sets", &order.sets)?,
        extension: order.extension.map(encode_carried).transpose()?,
        extension_sets: signing_sets("extension sets", &order.extension_sets)?,
        non_rp_sets: signing_sets("non-rp sets", &order.non_rp_sets)?,
    })
}

fn ask_grant(ask: AskGrant) -> Result<pb::AskGrant, WireError> {
    at_most("asked members", MAX_SIGNERS, ask.asked.len())?;
    let asked = ask.asked.iter().map(|(member, incarnation)| pb::AskedMember {
        member: u32::from(member.get()),
        incarnation: Some(encode_incarnation(*incarnation)),
    });
    Ok(pb::AskGrant {
        session: ask.session.0.to_vec(),
        chain: ask.chain.as_str().to_owned(),
        key: ask.key.as_bytes().to_vec(),
        setup: ask.setup.0.to_vec(),
        asked: asked.collect(),
        fields: Some(encode_fields(ask.fields)),
        extension: ask.extension.map(encode_carried).transpose()?,
    })
}

pub(super) fn signing_sets(
    field: &'static str,
    sets: &[SigningSet],
) -> Result<Vec<pb::SigningSet>, WireError> {
    at_most(field, MAX_SETS, sets.len())?;
    once(field, sets.iter().map(|set| set.id))?;
    sets.iter().map(signing_set).collect()
}

fn signing_set(set: &SigningSet) -> Result<pb::SigningSet, WireError> {
    at_most("signers", MAX_SIGNERS, set.signers.len())?;
    if set.signers.is_empty() {
        return Err(WireError::Empty("signers"));
    }
    let signers = set.signers.iter().map(|(member, signer)| pb::Signer {
        member: u32::from(member.get()),
        incarnation: Some(encode_incarnation(signer.incarnation)),
        commitment: signer.commitment.0.to_vec(),
    });
    Ok(pb::SigningSet { id: set.id, signers: signers.collect() })
}

fn answer(answer: Answer) -> Result<pb::Answer, WireError> {
    at_most("answered sets", 3 * MAX_SETS, answer.sets.len())?;
    let body = match answer.body {
        AnswerBody::Shares { shares, extension_shares, non_rp_shares } => {
            pb::answer::Body::Shares(pb::Shares {
                shares: set_shares("shares", &shares)?,
                extension_shares: set_shares("extension shares", &extension_shares)?,
                non_rp_shares: set_shares("non-rp shares", &non_rp_shares)?,
            })
        }
        AnswerBody::Grant(grant) => pb::answer::Body::Grant(pb::Grant {
            coordinator: u32::from(grant.coordinator.get()),
            content: grant.content.to_vec(),
            incarnation: Some(encode_incarnation(grant.incarnation)),
        }),
        AnswerBody::Denied(denial) => pb::answer::Body::Denied(encode_denial(denial)),
        AnswerBody::Failed(failure) => pb::answer::Body::Failed(encode_failure(failure)),
    };
    Ok(pb::Answer { session: answer.session.0.to_vec(), sets: answer.sets, body: Some(body) })
}

pub(super) fn set_shares(
    field: &'static str,
    shares: &[SetShare],
) -> Result<Vec<pb::SetShare>, WireError> {
    at_most(field, MAX_SETS, shares.len())?;
    once(field, shares.iter().map(|share| share.set))?;
    let encoded = |share: &SetShare| pb::SetShare { set: share.set, share: share.share.0.to_vec() };
    Ok(shares.iter().map(encoded).collect())
}

/// Refuses a list that names an entry twice.
pub(super) fn once(field: &'static str, ids: impl Iterator<Item = u32>) -> Result<(), WireError> {
    let mut seen = BTreeSet::new();
    for id in ids {
        if !seen.insert(id) {
            return Err(WireError::Duplicate { field, id });
        }
    }
    Ok(())
}

fn commitments(commitments: &[RawCommitment]) -> Result<pb::Commitments, WireError> {
    at_most("commitments", MAX_COMMITMENTS, commitments.len())?;
    let mut pairs = Vec::with_capacity(64 * commitments.len());
    for commitment in commitments {
        pairs.extend_from_slice(&commitment.0);
    }
    Ok(pb::Commitments { pairs })
}

fn forward(forward: Forward) -> Result<pb::Forward, WireError> {
    Ok(pb::Forward {
        id: forward.id.0,
        chain: forward.chain.as_str().to_owned(),
        fields: Some(encode_fields(forward.fields)),
        extension: forward.extension.map(encode_extension).transpose()?,
        deadline_ms: forward.deadline_ms,
        deputy: forward.deputy,
    })
}

fn forwarded(forwarded: Forwarded) -> Result<pb::Forwarded, WireError> {
    use pb::forwarded::Outcome as Wire;
    let outcome = match forwarded.outcome {
        Outcome::Signed(it) => Wire::Signed(signed(&it)?),
        Outcome::Repeated(it) => Wire::RepeatedSignature(signed(&it)?),
        Outcome::Denied(denial) => Wire::Denied(encode_denial(denial)),
        Outcome::Failed(reason) => Wire::Failed(clean(&reason, MAX_REASON_BYTES)),
        Outcome::NotLeader(leader) => {
            Wire::NotLeader(pb::NotLeader { leader: leader.map(|id| u32::from(id.get())) })
        }
        Outcome::KeyUnavailable(why) => Wire::KeyUnavailable(clean(&why, MAX_REASON_BYTES)),
    };
    Ok(pb::Forwarded { id: forwarded.id.0, outcome: Some(outcome) })
}

fn signed(signed: &Signed) -> Result<pb::Signed, WireError> {
    let (extension_signature, non_rp_signature) =
        encode_extension_signature(signed.extension_signature.as_ref())?;
    Ok(pb::Signed {
        signature: Some(encode_signature(&signed.signature)?),
        timestamp: Some(encode_timestamp(signed.timestamp)),
        extension_signature,
        non_rp_signature,
    })
}

fn report(report: Report) -> Result<pb::Report, WireError> {
    Ok(pb::Report {
        chain: report.chain.as_str().to_owned(),
        key: report.key.as_bytes().to_vec(),
        fields: report.fields.map(encode_fields),
        signature: report.signature.as_ref().map(encode_signature).transpose()?,
        key_ready: report.key_ready,
    })
}
