//! A stream of messages, cut anywhere: the same messages come out however it is cut, and no message
//! is longer than the limit.
#![no_main]

use cosigner::privval::{FramingError, MessageReader};
use libfuzzer_sys::fuzz_target;
use tokio::io::AsyncReadExt as _;
use tokio::runtime::Builder;

const LIMIT: usize = 5000;

/// The messages of a stream that comes in pieces, and how it ended.
fn messages(first: &[u8], rest: &[u8]) -> (Vec<Vec<u8>>, String) {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut reader = MessageReader::new(first.chain(rest), LIMIT);
        let mut messages = Vec::new();
        loop {
            match reader.read().await {
                Ok(Some(message)) => {
                    assert!(message.len() <= LIMIT);
                    messages.push(message);
                }
                Ok(None) => return (messages, String::new()),
                Err(FramingError::Io(error)) => panic!("{error}"),
                Err(why) => return (messages, why.to_string()),
            }
        }
    })
}

fuzz_target!(|input: (u16, &[u8])| {
    let (at, stream) = input;
    let (first, rest) = stream.split_at(usize::from(at).min(stream.len()));
    assert_eq!(messages(first, rest), messages(stream, &[]));
});
