//! One slot of a watermark file as bytes.
//!
//! All that counts stands in the first 512 bytes, which disks write whole or not at all: a torn
//! write leaves the old record or the new one, never a broken slot. The rest of the slot is zero
//! and is not read. Numbers are big-endian.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | magic |
//! | 8..10 | version |
//! | 10 | 0 never signed, 1 bytes unknown, 2 with sign bytes |
//! | 11 | length of the chain id |
//! | 12..16 | zero |
//! | 16..24 | sequence number |
//! | 24..56 | key id |
//! | 56..106 | chain id |
//! | 106 | step |
//! | 107 | zero |
//! | 108..112 | round |
//! | 112..120 | height |
//! | 120..128 | `at`, milliseconds since the Unix epoch |
//! | 128..136 | credit, heights |
//! | 136..138 | length of the sign bytes |
//! | 138..472 | canonical sign bytes |
//! | 472..480 | ceiling, a height; 0 for none |
//! | 480..512 | SHA-256 of bytes 0..480, in every version |

use sha2::{Digest as _, Sha256};

use super::fault::Fault;
use super::rule::{Mark, Record};
use crate::privval::{parse_sign_bytes, sign_bytes};
use crate::types::{ChainId, Height, Hrs, KeyId, Round, Step, UnixMillis};

/// Length of a slot in bytes; a file is two of them.
pub const SLOT_BYTES: usize = 4096;

const MAGIC: [u8; 8] = *b"cosignwm";
const VERSION: u16 = 1;
const CHAIN_BYTES: usize = 50;
/// Everything before the ceiling.
const RECORD_BYTES: usize = 472;
/// Everything before the checksum.
const BODY_BYTES: usize = 480;
const SUM_BYTES: usize = 32;

const NEVER_SIGNED: u8 = 0;
const BYTES_UNKNOWN: u8 = 1;
const SIGNED: u8 = 2;

/// What one slot says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The chain.
    pub chain: ChainId,
    /// The key.
    pub key: KeyId,
    /// Number of this write to the file; each is one above the one before.
    pub seq: u64,
    /// The record.
    pub record: Record,
}

impl Stored {
    /// The first sector of a slot, which is all that is in it: to carry a record elsewhere.
    ///
    /// # Errors
    /// [`Fault`] if it fits no slot.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Fault> {
        encode(self).map(|slot| slot.into_iter().take(BODY_BYTES + SUM_BYTES).collect())
    }

    /// Reads what [`Self::to_bytes`] has written; `None` for anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        decode(bytes).ok().filter(|_| bytes.len() == BODY_BYTES + SUM_BYTES)
    }
}

/// Why a slot cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// Not what was ever written here.
    Damaged,
    /// Whole, but written by another version of this program.
    Version(u16),
}

/// The bytes of a slot.
pub(super) fn encode(stored: &Stored) -> Result<[u8; SLOT_BYTES], Fault> {
    let body = body(stored)?;
    let mut slot = [0; SLOT_BYTES];
    let sum: [u8; SUM_BYTES] = Sha256::digest(&body).into();
    for (to, from) in slot.iter_mut().zip(body.iter().chain(&sum)) {
        *to = *from;
    }
    Ok(slot)
}

/// Reads a slot. Only what [`encode`] would write is accepted.
pub(super) fn decode(slot: &[u8]) -> Result<Stored, Unreadable> {
    let (body_bytes, rest) = slot.split_at_checked(BODY_BYTES).ok_or(Unreadable::Damaged)?;
    let (sum, _) = rest.split_first_chunk::<SUM_BYTES>().ok_or(Unreadable::Damaged)?;
    if Sha256::digest(body_bytes).as_slice() != sum {
        return Err(Unreadable::Damaged);
    }
    let (record_bytes, ceiling) =
        body_bytes.split_at_checked(RECORD_BYTES).ok_or(Unreadable::Damaged)?;
    let mut cursor = Cursor(record_bytes);
    if cursor.take() != Some(MAGIC) {
        return Err(Unreadable::Damaged);
    }
    match cursor.take().map(u16::from_be_bytes) {
        Some(VERSION) => {}
        Some(other) => return Err(Unreadable::Version(other)),
        None => return Err(Unreadable::Damaged),
    }
    let mut stored = cursor.stored().ok_or(Unreadable::Damaged)?;
    let ceiling = Cursor(ceiling).ceiling().ok_or(Unreadable::Damaged)?;
    stored.record = stored.record.with_ceiling(ceiling);
    match body(&stored) {
        Ok(again) if again == body_bytes => Ok(stored),
        _ => Err(Unreadable::Damaged),
    }
}

fn body(stored: &Stored) -> Result<Vec<u8>, Fault> {
    let Stored { chain, key, seq, record } = stored;
    let (kind, sign_bytes) = match record.mark().map(Mark::fields) {
        None => (NEVER_SIGNED, Vec::new()),
        Some(None) => (BYTES_UNKNOWN, Vec::new()),
        Some(Some(fields)) => (SIGNED, sign_bytes(chain, fields)),
    };
    let (step, round, height) = record
        .hrs()
        .map_or((0, 0, 0), |hrs| (hrs.step.number(), hrs.round.get(), hrs.height.get()));
    let chain = chain.as_str().as_bytes();
    let too_long = |_| Fault::RecordTooLong;

    let mut body = Vec::with_capacity(BODY_BYTES);
    body.extend(MAGIC);
    body.extend(VERSION.to_be_bytes());
    body.push(kind);
    body.push(u8::try_from(chain.len()).map_err(too_long)?);
    body.extend([0; 4]);
    body.extend(seq.to_be_bytes());
    body.extend(key.as_bytes());
    body.extend(chain.iter().chain(std::iter::repeat(&0)).take(CHAIN_BYTES));
    body.extend([step, 0]);
    body.extend(round.to_be_bytes());
    body.extend(height.to_be_bytes());
    body.extend(record.at().0.to_be_bytes());
    body.extend(record.credit().to_be_bytes());
    body.extend(u16::try_from(sign_bytes.len()).map_err(too_long)?.to_be_bytes());
    body.extend(&sign_bytes);
    if body.len() > RECORD_BYTES {
        return Err(Fault::RecordTooLong);
    }
    body.resize(RECORD_BYTES, 0);
    let ceiling = record.ceiling().map_or(0, Height::get);
    if record.ceiling().is_some() && ceiling == 0 {
        return Err(Fault::CeilingZero);
    }
    body.extend(ceiling.to_be_bytes());
    Ok(body)
}

/// Takes fixed lengths off the front of a slot.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn take_slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Everything after the version.
    fn stored(&mut self) -> Option<Stored> {
        let [kind, chain_length] = self.take()?;
        let _zero: [u8; 4] = self.take()?;
        let seq = u64::from_be_bytes(self.take()?);
        let key = KeyId::from_bytes(self.take()?);
        let chain = self.take_slice(CHAIN_BYTES)?.split_at_checked(usize::from(chain_length))?.0;
        let chain = ChainId::new(std::str::from_utf8(chain).ok()?).ok()?;
        let [step, _zero] = self.take()?;
        let round = i32::from_be_bytes(self.take()?);
        let height = i64::from_be_bytes(self.take()?);
        let at = UnixMillis(u64::from_be_bytes(self.take()?));
        let credit = u64::from_be_bytes(self.take()?);
        let length = u16::from_be_bytes(self.take()?);
        let bytes = self.take_slice(usize::from(length))?;
        let mark = match kind {
            NEVER_SIGNED => None,
            BYTES_UNKNOWN => Some(Mark::bytes_unknown(Hrs {
                height: Height::new(height).ok()?,
                round: Round::new(round).ok()?,
                step: Step::from_number(i64::from(step)).ok()?,
            })),
            SIGNED => Some(Mark::signed(parse_sign_bytes(bytes).ok()?.1)),
            _ => return None,
        };
        Some(Stored { chain, key, seq, record: Record::from_parts(mark, at, credit) })
    }

    fn ceiling(&mut self) -> Option<Option<Height>> {
        match i64::from_be_bytes(self.take()?) {
            0 => Some(None),
            height => Some(Some(Height::new(height).ok()?)),
        }
    }
}
