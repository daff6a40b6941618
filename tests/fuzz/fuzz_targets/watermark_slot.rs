//! A watermark's file: any body with a right checksum, any bytes without. It opens or it is damaged,
//! and what opens holds what was written.
#![no_main]

use std::io;
use std::path::Path;

use cosigner::types::{ChainId, KeyId};
use cosigner::watermark::{SLOT_BYTES, SlotDisk, WatermarkFile};
use libfuzzer_sys::fuzz_target;
use sha2::{Digest as _, Sha256};

/// Bytes before the checksum.
const BODY_BYTES: usize = 480;

struct Memory(Vec<u8>);

impl SlotDisk for Memory {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn write_slot(&mut self, index: usize, slot: &[u8; SLOT_BYTES]) -> io::Result<()> {
        self.0[index * SLOT_BYTES..][..SLOT_BYTES].copy_from_slice(slot);
        Ok(())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }
}

fn slot(body: &[u8]) -> Vec<u8> {
    let mut body = body.to_vec();
    body.resize(BODY_BYTES, 0);
    let sum = Sha256::digest(&body);
    let mut slot = [body.as_slice(), &sum].concat();
    slot.resize(SLOT_BYTES, 0);
    slot
}

/// Whom the body says it is of.
fn owner(body: &[u8]) -> Option<(ChainId, KeyId)> {
    let length = usize::from(*body.get(11)?);
    let chain = std::str::from_utf8(body.get(56..)?.get(..length)?).ok()?;
    let key: [u8; 32] = body.get(24..56)?.try_into().ok()?;
    Some((ChainId::new(chain).ok()?, KeyId::from_bytes(key)))
}

fuzz_target!(|input: (u8, &[u8])| {
    let (form, bytes) = input;
    let half = bytes.len() / 2;
    let (content, body) = match form % 4 {
        // One good checksum, the same twice, and two different ones.
        0 => ([slot(bytes), vec![0; SLOT_BYTES]].concat(), bytes),
        1 => ([slot(bytes), slot(bytes)].concat(), bytes),
        2 => ([slot(&bytes[..half]), slot(&bytes[half..])].concat(), &bytes[..half]),
        _ => (bytes.to_vec(), bytes),
    };
    let Some((chain, key)) = owner(body) else { return };
    let path = Path::new("watermark");
    if let Ok((file, record, _)) = WatermarkFile::open_on(Memory(content), path, &chain, &key) {
        drop(file);
        assert!(record.hrs().is_none() || record.mark().is_some());
    }
});
