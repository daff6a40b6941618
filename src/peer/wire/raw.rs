//! Orders and answers about raw bytes, in both directions.

use super::decode::{key, session, set_shares as decode_shares, signing_sets as decode_sets, text};
use super::encode::{set_shares as encode_shares, signing_sets as encode_sets};
use super::verdict::{decode_failure, encode_failure};
use super::{MAX_REASON_BYTES, MAX_SETS, WireError, array, at_most, clean, pb};
use crate::peer::raw::{RawAnswer, RawAnswerBody, RawOrder};
use crate::privval::{MAX_RAW_BYTES, RawMessage};
use crate::types::{ChainId, SetupHash};

use pb::raw_answer::Body;
use pb::raw_order::Message;

pub(super) fn encode_order(order: RawOrder) -> Result<pb::RawOrder, WireError> {
    check_message(&order.message)?;
    check_sets(order.sets.len())?;
    let message = match order.message {
        RawMessage::Plain(bytes) => Message::Plain(bytes),
        RawMessage::Celestia { raw_bytes, unique_id } => {
            Message::Celestia(pb::CelestiaRaw { raw_bytes, unique_id })
        }
    };
    Ok(pb::RawOrder {
        session: order.session.0.to_vec(),
        chain: order.chain.as_str().to_owned(),
        key: order.key.as_bytes().to_vec(),
        setup: order.setup.0.to_vec(),
        message: Some(message),
        sets: encode_sets("sets", &order.sets)?,
    })
}

pub(super) fn decode_order(order: pb::RawOrder) -> Result<RawOrder, WireError> {
    let message = match order.message.ok_or(WireError::Missing("raw bytes"))? {
        Message::Plain(bytes) => RawMessage::Plain(bytes),
        Message::Celestia(pb::CelestiaRaw { raw_bytes, unique_id }) => {
            RawMessage::Celestia { raw_bytes, unique_id }
        }
    };
    check_message(&message)?;
    check_sets(order.sets.len())?;
    Ok(RawOrder {
        session: session(&order.session)?,
        chain: ChainId::new(order.chain)?,
        key: key(&order.key)?,
        setup: SetupHash(array("setup hash", &order.setup)?),
        message,
        sets: decode_sets("sets", order.sets)?,
    })
}

/// A validator's own limit is the same: what it may ask for can travel.
fn check_message(message: &RawMessage) -> Result<(), WireError> {
    at_most("raw bytes", MAX_RAW_BYTES, message.len())?;
    match message {
        RawMessage::Plain(_) => Ok(()),
        RawMessage::Celestia { unique_id, .. } => {
            at_most("unique id", MAX_RAW_BYTES, unique_id.len())
        }
    }
}

fn check_sets(sets: usize) -> Result<(), WireError> {
    if sets == 0 { Err(WireError::Empty("sets")) } else { Ok(()) }
}

pub(super) fn encode_answer(answer: RawAnswer) -> Result<pb::RawAnswer, WireError> {
    at_most("answered sets", MAX_SETS, answer.sets.len())?;
    let body = match answer.body {
        RawAnswerBody::Shares(shares) => {
            Body::Shares(pb::RawShares { shares: encode_shares("shares", &shares)? })
        }
        RawAnswerBody::Refused(why) => Body::Refused(clean(&why, MAX_REASON_BYTES)),
        RawAnswerBody::Failed(failure) => Body::Failed(encode_failure(failure)),
    };
    Ok(pb::RawAnswer { session: answer.session.0.to_vec(), sets: answer.sets, body: Some(body) })
}

pub(super) fn decode_answer(answer: pb::RawAnswer) -> Result<RawAnswer, WireError> {
    at_most("answered sets", MAX_SETS, answer.sets.len())?;
    let body = match answer.body.ok_or(WireError::Missing("body of an answer"))? {
        Body::Shares(it) => RawAnswerBody::Shares(decode_shares("shares", &it.shares)?),
        Body::Refused(why) => RawAnswerBody::Refused(text("reason", MAX_REASON_BYTES, why)?),
        Body::Failed(value) => RawAnswerBody::Failed(decode_failure(value)?),
    };
    Ok(RawAnswer { session: session(&answer.session)?, sets: answer.sets, body })
}
