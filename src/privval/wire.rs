//! Protobuf writers that emit what gogoproto emits, byte for byte.
//!
//! Zero scalars and empty bytes are left out; submessages that Go declares non-nullable stand there
//! even when they are empty, where prost would drop them.

use prost::encoding::encode_varint;

use super::fields::BlockId;
use crate::types::Timestamp;

/// Puts the uvarint length in front.
pub(super) fn delimited(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(body.len().saturating_add(10));
    encode_varint(body.len() as u64, &mut bytes);
    bytes.extend_from_slice(body);
    bytes
}

/// A number of any protobuf type but the fixed ones; negative numbers are sign-extended first.
pub(super) fn put_varint(out: &mut Vec<u8>, number: u64, value: u64) {
    if value != 0 {
        encode_varint(number << 3, out);
        encode_varint(value, out);
    }
}

/// A signed number as a plain varint: ten bytes if negative.
pub(super) fn put_int(out: &mut Vec<u8>, number: u64, value: impl Into<i64>) {
    put_varint(out, number, value.into().cast_unsigned());
}

/// A signed number in eight little-endian bytes.
pub(super) fn put_sfixed64(out: &mut Vec<u8>, number: u64, value: i64) {
    if value != 0 {
        encode_varint(number << 3 | 1, out);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Bytes or text, left out if empty.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u64, value: &[u8]) {
    if !value.is_empty() {
        put_message(out, number, value);
    }
}

/// A submessage, present even when empty.
pub(super) fn put_message(out: &mut Vec<u8>, number: u64, body: &[u8]) {
    encode_varint(number << 3 | 2, out);
    encode_varint(body.len() as u64, out);
    out.extend_from_slice(body);
}

/// The body of `BlockID` and `CanonicalBlockID`; the part-set header is never left out.
pub(super) fn block_id(block_id: Option<&BlockId>) -> Vec<u8> {
    let (hash, total, parts_hash) = block_id.map_or((None, 0, None), |block_id| {
        (block_id.hash.as_ref(), block_id.parts_total, block_id.parts_hash.as_ref())
    });
    let mut parts = Vec::with_capacity(48);
    put_varint(&mut parts, 1, u64::from(total));
    put_bytes(&mut parts, 2, parts_hash.map_or(&[], |hash| hash.as_slice()));
    let mut body = Vec::with_capacity(96);
    put_bytes(&mut body, 1, hash.map_or(&[], |hash| hash.as_slice()));
    put_message(&mut body, 2, &parts);
    body
}

/// The body of `google.protobuf.Timestamp`.
pub(super) fn timestamp(timestamp: Timestamp) -> Vec<u8> {
    let mut body = Vec::with_capacity(16);
    put_int(&mut body, 1, timestamp.seconds());
    put_int(&mut body, 2, timestamp.nanos());
    body
}
