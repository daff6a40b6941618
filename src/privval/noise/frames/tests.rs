use super::super::tests::transports;
use super::*;

/// A sealer and the opener at the other end.
fn one_way() -> (Sealer, Opener) {
    let (near, far) = transports();
    (pair(near).0, pair(far).1)
}

/// Whole frames without their lengths.
fn frames(mut sealed: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    while let Some((length, rest)) = sealed.split_first_chunk() {
        let (frame, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        frames.push(frame.to_vec());
        sealed = rest;
    }
    frames
}

#[test]
fn opens_what_was_sealed_in_the_same_order_only() {
    let (mut sealer, mut opener) = one_way();
    let data: Vec<u8> = (0..140_000_u32).map(|number| number as u8).collect();
    let mut sealed = Vec::new();
    sealer.seal(&data, &mut sealed).unwrap();
    let frames = frames(&sealed);
    assert_eq!(
        frames.iter().map(Vec::len).collect::<Vec<_>>(),
        [65535, 65535, 140_000 - 2 * 65519 + 16]
    );
    let (mut opened, mut chunk) = (Vec::new(), Vec::new());
    for frame in &frames {
        opener.open(frame, &mut chunk).unwrap();
        opened.extend_from_slice(&chunk);
    }
    assert!(opened == data);
    // The same frame a second time, and one that is not the next.
    assert_eq!(opener.open(&frames[0], &mut chunk), Err(FrameError::Authentication));
    assert!(chunk.is_empty());
    let (mut sealer, mut opener) = one_way();
    let mut sealed = Vec::new();
    sealer.seal(&data, &mut sealed).unwrap();
    assert_eq!(opener.open(&self::frames(&sealed)[1], &mut chunk), Err(FrameError::Authentication));
}

#[test]
fn refuses_a_frame_with_any_bit_changed_or_cut() {
    let data = b"a vote";
    for position in 0..data.len() + TAG_BYTES {
        let (mut sealer, mut opener) = one_way();
        let mut sealed = Vec::new();
        sealer.seal(data, &mut sealed).unwrap();
        let mut frame = frames(&sealed).remove(0);
        frame[position] ^= 1;
        let mut chunk = Vec::new();
        assert_eq!(opener.open(&frame, &mut chunk), Err(FrameError::Authentication), "{position}");
        frame[position] ^= 1;
        let cut = &frame[..position];
        assert_eq!(one_way().1.open(cut, &mut chunk), Err(FrameError::Authentication));
    }
}

#[test]
fn never_uses_a_nonce_twice_nor_the_reserved_one() {
    let (mut sealer, mut opener) = one_way();
    sealer.nonce = NonceCounter(Some(u64::MAX - 1));
    opener.nonce = NonceCounter(Some(u64::MAX - 1));
    let (mut sealed, mut chunk) = (Vec::new(), Vec::new());
    sealer.seal(b"last", &mut sealed).unwrap();
    opener.open(&frames(&sealed)[0], &mut chunk).unwrap();
    assert_eq!(chunk, b"last");
    for _ in 0..2 {
        assert_eq!(sealer.seal(b"more", &mut sealed), Err(FrameError::NonceExhausted));
        assert_eq!(opener.open(&[0; 20], &mut chunk), Err(FrameError::NonceExhausted));
    }
    assert_eq!(frames(&sealed).len(), 1, "nothing was sealed");
}

#[test]
fn a_length_below_that_of_the_tag_is_refused_before_anything_is_read() {
    for length in 0..16 {
        assert_eq!(check_length(length), Err(FrameError::TooShort(length)));
    }
    check_length(16).unwrap();
    check_length(u16::MAX).unwrap();
}
