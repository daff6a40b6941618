use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::super::super::{MAX_REQUEST_BYTES, MessageReader, write_message};
use super::super::tests::{connected, request};
use super::*;

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let ((_, mut writer), (mut reader, _)) = connected(1 << 16).await;
    let mut sealed = Vec::new();
    writer.sealer.seal(&[7; 1500], &mut sealed).unwrap();
    let mut received = Vec::new();
    for part in sealed.chunks(100) {
        writer.io.write_all(part).await.unwrap();
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
    let ((_, mut writer), (reader, _)) = connected(1 << 16).await;
    let message = request(200).encode_length_delimited_to_vec();
    let (first, rest) = message.split_at(1);
    let mut sealed = Vec::new();
    for part in [b"".as_slice(), first, b"", b"", rest] {
        let length = u32::try_from(part.len()).unwrap();
        writer.sealer.seal_frame(length, part, &mut sealed).unwrap();
    }
    writer.io.write_all(&sealed).await.unwrap();
    let mut reader = MessageReader::new(reader, MAX_REQUEST_BYTES);
    assert_eq!(reader.read().await.unwrap().unwrap(), message[2..]);
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
    let mut writer = SecretWriter::new(Recorder(Vec::new()), &[7; 32].into());
    write_message(&mut writer, &[1; 3000]).await.unwrap();
    assert_eq!(writer.io.0, [3 * 1044]);
}

#[tokio::test]
async fn a_tampered_frame_ends_the_connection_for_good() {
    let ((_, mut writer), (mut reader, _)) = connected(1 << 16).await;
    let mut sealed = Vec::new();
    writer.sealer.seal(b"first", &mut sealed).unwrap();
    writer.sealer.seal(b"second", &mut sealed).unwrap();
    sealed[10] ^= 1;
    writer.io.write_all(&sealed).await.unwrap();
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
        let ((near_reader, mut writer), (mut reader, _)) = connected(1 << 16).await;
        let mut sealed = Vec::new();
        writer.sealer.seal(b"vote", &mut sealed).unwrap();
        writer.io.write_all(&sealed[..kept]).await.unwrap();
        writer.shutdown().await.unwrap();
        drop((near_reader, writer));
        let mut received = Vec::new();
        let read = reader.read_to_end(&mut received).await;
        if cut_off {
            assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        } else {
            assert_eq!((read.unwrap(), received.as_slice()), (4, b"vote".as_slice()));
        }
    }
}
