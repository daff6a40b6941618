//! What the two directions do where frames, reads and writes do not meet.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::*;

/// What seals for a reader, and the pipe that it reads from.
fn one_way() -> (Sealer, DuplexStream, SecretReader<DuplexStream>) {
    let (near, far) = duplex(1 << 16);
    let key = [7; 32].into();
    let reader = SecretReader::new(BufReader::new(far), Opener::new(&key));
    (Sealer::new(&key), near, reader)
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let (mut sealer, mut near, mut reader) = one_way();
    let mut sealed = Vec::new();
    sealer.seal(&[7; 1500], &mut sealed).unwrap();
    let mut received = Vec::new();
    for part in sealed.chunks(100) {
        near.write_all(part).await.unwrap();
        loop {
            tokio::select! {
                biased;
                read = reader.read_buf(&mut received) => assert!(read.unwrap() > 0),
                () = std::future::ready(()) => break,
            }
        }
    }
    assert_eq!(received, [7; 1500]);
}

#[tokio::test]
async fn a_length_may_straddle_frames_and_frames_may_be_empty() {
    let (mut sealer, mut near, reader) = one_way();
    let message = request(200).encode_length_delimited_to_vec();
    let (first, rest) = message.split_at(1);
    let mut sealed = Vec::new();
    for part in [b"".as_slice(), first, b"", b"", rest] {
        let length = u32::try_from(part.len()).unwrap();
        sealer.seal_frame(length, part, &mut sealed).unwrap();
    }
    near.write_all(&sealed).await.unwrap();
    let mut reader = MessageReader::new(reader, MAX_REQUEST_BYTES);
    assert_eq!(reader.read().await.unwrap().unwrap(), message[2..]);
}

/// Everything is there, and still the reader does not hold its thread until the end.
#[tokio::test]
async fn a_flood_of_empty_frames_gives_others_their_turn() {
    let (mut near, far) = duplex(1 << 20);
    let key = [7; 32].into();
    let mut sealer = Sealer::new(&key);
    let mut reader = SecretReader::new(BufReader::with_capacity(1 << 20, far), Opener::new(&key));
    let mut sealed = Vec::new();
    for _ in 0..640 {
        sealer.seal_frame(0, b"", &mut sealed).unwrap();
    }
    sealer.seal(b"end", &mut sealed).unwrap();
    near.write_all(&sealed).await.unwrap();
    let mut turns = 0;
    let mut buffer = [0; 8];
    loop {
        let mut read = std::pin::pin!(reader.read(&mut buffer));
        let polled = std::future::poll_fn(|context| Poll::Ready(read.as_mut().poll(context))).await;
        match polled {
            Poll::Ready(length) => break assert_eq!(length.unwrap(), 3),
            Poll::Pending => turns += 1,
        }
        tokio::task::yield_now().await;
    }
    assert!(turns >= 10, "{turns} turns of others");
}

/// Remembers how long each write was, and takes what fits.
struct Recorder(Vec<usize>);

impl AsyncWrite for Recorder {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().0.push(data.len());
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_message_of_several_frames_leaves_in_one_write() {
    let mut recorder = Recorder(Vec::new());
    let mut writer = SecretWriter::new(&mut recorder, Sealer::new(&[7; 32].into()));
    write_message(&mut writer, &[1; 3000]).await.unwrap();
    assert_eq!(recorder.0, [3 * 1044]);
}

#[tokio::test]
async fn a_tampered_frame_ends_the_connection_for_good() {
    let (mut sealer, mut near, mut reader) = one_way();
    let mut sealed = Vec::new();
    sealer.seal(b"first", &mut sealed).unwrap();
    sealer.seal(b"second", &mut sealed).unwrap();
    sealed[10] ^= 1;
    near.write_all(&sealed).await.unwrap();
    let mut buffer = [0; 8];
    for expected in [FrameError::Authentication, FrameError::GivenUp, FrameError::GivenUp] {
        let error = reader.read(&mut buffer).await.unwrap_err();
        let frame_error = error.get_ref().and_then(|inner| inner.downcast_ref::<FrameError>());
        assert_eq!(frame_error, Some(&expected));
    }
}

#[tokio::test]
async fn a_stream_cut_within_a_frame_is_an_error_and_between_frames_an_end() {
    for (kept, cut_off) in [(1044, false), (1043, true), (1, true)] {
        let (mut sealer, mut near, mut reader) = one_way();
        let mut sealed = Vec::new();
        sealer.seal(b"vote", &mut sealed).unwrap();
        near.write_all(&sealed[..kept]).await.unwrap();
        drop(near);
        let mut received = Vec::new();
        let read = reader.read_to_end(&mut received).await;
        if cut_off {
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        } else {
            assert_eq!((read.unwrap(), received.as_slice()), (4, b"vote".as_slice()));
        }
    }
}
