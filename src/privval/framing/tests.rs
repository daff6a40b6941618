use std::pin::Pin;
use std::task::{Context, Poll};

use proptest::prelude::*;
use tokio::io::{DuplexStream, duplex};

use super::super::wire::delimited;
use super::*;

fn reader(bytes: &[u8]) -> MessageReader<&[u8]> {
    MessageReader::new(bytes, MAX_REQUEST_BYTES)
}

/// Lets a read begin, then drops it.
async fn cancelled_read(reader: &mut MessageReader<DuplexStream>) {
    tokio::select! {
        biased;
        read = reader.read() => panic!("nothing to read yet: {read:?}"),
        () = std::future::ready(()) => {}
    }
}

#[tokio::test]
async fn reads_messages_one_after_the_other() {
    let stream = [delimited(b"first"), delimited(b""), delimited(&[7; 300])].concat();
    let mut reader = reader(&stream);
    assert_eq!(reader.read().await.unwrap().unwrap(), b"first");
    assert_eq!(reader.read().await.unwrap().unwrap(), b"");
    assert_eq!(reader.read().await.unwrap().unwrap(), [7; 300]);
    assert!(reader.read().await.unwrap().is_none());
}

#[tokio::test]
async fn a_length_may_be_spread_over_reads() {
    let (mut near, far) = duplex(1);
    let message = vec![3; 20_000];
    let sent = delimited(&message);
    let writing = tokio::spawn(async move { near.write_all(&sent).await });
    let mut reader = MessageReader::new(far, MAX_REQUEST_BYTES);
    assert_eq!(reader.read().await.unwrap().unwrap(), message);
    writing.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let (mut near, far) = duplex(4096);
    let mut reader = MessageReader::new(far, MAX_REQUEST_BYTES);
    let sent = delimited(&[5; 200]);
    for part in sent[..150].chunks(1) {
        near.write_all(part).await.unwrap();
        cancelled_read(&mut reader).await;
    }
    near.write_all(&sent[150..]).await.unwrap();
    assert_eq!(reader.read().await.unwrap().unwrap(), [5; 200]);
}

#[tokio::test]
async fn memory_grows_with_what_came_not_with_what_was_announced() {
    let (mut near, far) = duplex(4096);
    let mut reader = MessageReader::new(far, MAX_REQUEST_BYTES);
    let announced = delimited(&vec![0; MAX_REQUEST_BYTES]);
    near.write_all(&announced[..1000]).await.unwrap();
    cancelled_read(&mut reader).await;
    assert_eq!(reader.buffer.len(), 1000);
    assert!(reader.buffer.capacity() < 8192, "{}", reader.buffer.capacity());
}

#[tokio::test]
async fn a_long_message_does_not_keep_its_room() {
    let (mut near, far) = duplex(4096);
    let mut reader = MessageReader::new(far, MAX_REQUEST_BYTES);
    let long = delimited(&vec![1; MAX_REQUEST_BYTES]);
    let (sent, read) = tokio::join!(near.write_all(&long), reader.read());
    sent.unwrap();
    assert_eq!(read.unwrap().unwrap().len(), MAX_REQUEST_BYTES);
    cancelled_read(&mut reader).await;
    assert!(reader.buffer.capacity() < 8192, "{}", reader.buffer.capacity());
    near.write_all(&delimited(b"next")).await.unwrap();
    assert_eq!(reader.read().await.unwrap().unwrap(), b"next");
}

#[tokio::test]
async fn knows_that_a_message_has_begun_before_it_is_there() {
    let (mut near, far) = duplex(4096);
    let mut reader = MessageReader::new(far, MAX_REQUEST_BYTES);
    let sent = [delimited(b"one"), delimited(b"two")].concat();
    near.write_all(&sent[..6]).await.unwrap();
    assert!(reader.begun().await.unwrap());
    assert_eq!(reader.read().await.unwrap().unwrap(), b"one");
    // Asking takes nothing away.
    for _ in 0..2 {
        assert!(reader.begun().await.unwrap());
        cancelled_read(&mut reader).await;
    }
    near.write_all(&sent[6..]).await.unwrap();
    assert_eq!(reader.read().await.unwrap().unwrap(), b"two");
    drop(near);
    assert!(!reader.begun().await.unwrap());
}

#[tokio::test]
async fn refuses_what_is_longer_than_the_limit_at_its_announcement() {
    let longest = vec![1; MAX_REQUEST_BYTES];
    assert_eq!(reader(&delimited(&longest)).read().await.unwrap().unwrap(), longest);
    let mut announcement = Vec::new();
    prost::encoding::encode_varint(MAX_REQUEST_BYTES as u64 + 1, &mut announcement);
    let refused = reader(&announcement).read().await;
    assert!(matches!(refused, Err(FramingError::TooLong { announced: 2_162_689, .. })));
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    let refused = reader(&huge).read().await;
    assert!(matches!(refused, Err(FramingError::TooLong { announced: u64::MAX, .. })));
}

#[tokio::test]
async fn refuses_a_length_of_more_than_64_bits() {
    let over = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
    assert!(matches!(reader(&over).read().await, Err(FramingError::Length)));
    let endless = [0x80; 11];
    assert!(matches!(reader(&endless).read().await, Err(FramingError::Length)));
}

#[tokio::test]
async fn a_stream_that_ends_within_a_message_is_an_error() {
    for cut in [&[0x80][..], &[0x05, 1, 2]] {
        let read = reader(cut).read().await;
        assert!(matches!(read, Err(FramingError::Truncated { received }) if received == cut.len()));
    }
}

/// Counts writes and flushes.
#[derive(Default)]
struct Counter {
    writes: Vec<usize>,
    flushes: usize,
}

impl AsyncWrite for Counter {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().writes.push(data.len());
        Poll::Ready(Ok(data.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_message_leaves_in_one_write() {
    let mut counter = Counter::default();
    write_message(&mut counter, &[1; 5000]).await.unwrap();
    assert_eq!((counter.writes, counter.flushes), (vec![5000], 1));
}

proptest! {
    #[test]
    fn reads_any_stream_without_panic(stream in proptest::collection::vec(any::<u8>(), 0..600)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut reader = MessageReader::new(stream.as_slice(), 100);
            while let Ok(Some(message)) = reader.read().await {
                assert!(message.len() <= 100);
            }
        });
    }
}
