//! The node's end of a SecretConnection: garbage instead of a handshake, garbage as a message of
//! identity, any data in frames of any said length.
#![no_main]

use cosigner::privval::secret_connection::handshake;
use ed25519_dalek::SigningKey;
use libfuzzer_sys::{arbitrary, fuzz_target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tokio::runtime::Builder;

#[path = "../../hostile/secret.rs"]
mod secret;

/// What the node does.
#[derive(Debug, arbitrary::Arbitrary)]
enum Node {
    /// Sends this at once and closes.
    Garbage(Vec<u8>),
    /// Exchanges keys, then sends this as it is.
    Clear(Vec<u8>),
    /// Exchanges keys, then sends these frames: what each says it holds, and what it does.
    Frames(Vec<(u32, Vec<u8>)>),
    /// Shakes hands honestly, then sends these frames.
    Shaken(Vec<(u32, Vec<u8>)>),
}

fn frames(keys: &mut secret::Keys, frames: &[(u32, Vec<u8>)], plain: &mut Vec<u8>) -> Vec<u8> {
    let mut sealed = Vec::new();
    let mut whole = true;
    for (said, data) in frames.iter().take(8) {
        // Half of them say how much they hold.
        let data = &data[..data.len().min(1024)];
        let said = if said % 2 == 0 { data.len() as u32 } else { *said };
        sealed.extend(keys.send.frame(said, data));
        whole &= said <= 1024;
        if whole {
            let mut chunk = data.to_vec();
            chunk.resize(said as usize, 0);
            plain.extend(chunk);
        }
    }
    sealed
}

async fn play(node: Node) {
    let (near, far) = duplex(1 << 20);
    let signer = async {
        let (reader, writer) = split(near);
        let identity = SigningKey::from_bytes(&[1; 32]);
        let (mut reader, _writer, _) = handshake(reader, writer, &identity).await.ok()?;
        let mut received = Vec::new();
        // Whatever was given out before a refused frame stands.
        let _ = reader.read_to_end(&mut received).await;
        Some(received)
    };
    let node = async {
        let mut far = far;
        let ephemeral = secret::Ephemeral::new([9; 32]);
        let mut theirs = [0; 35];
        let mut plain = Vec::new();
        let bytes = match &node {
            Node::Garbage(bytes) => bytes.clone(),
            _ => {
                far.write_all(&ephemeral.hello()).await.unwrap();
                far.read_exact(&mut theirs).await.unwrap();
                let mut keys = ephemeral.agree(&theirs);
                match &node {
                    Node::Frames(said) => frames(&mut keys, said, &mut plain),
                    Node::Shaken(said) => {
                        let mut bytes = keys.send.seal(&secret::honest_identity(&keys.challenge));
                        bytes.extend(frames(&mut keys, said, &mut plain));
                        bytes
                    }
                    Node::Clear(bytes) | Node::Garbage(bytes) => bytes.clone(),
                }
            }
        };
        let _ = far.write_all(&bytes).await;
        let _ = far.shutdown().await;
        // Kept open for the signer's own message.
        let _ = far.read_to_end(&mut Vec::new()).await;
        matches!(node, Node::Shaken(_)).then_some(plain)
    };
    let (received, expected) = tokio::join!(signer, node);
    match expected {
        Some(expected) => assert_eq!(received, Some(expected)),
        None => assert_eq!(received, None, "a handshake that nobody made"),
    }
}

fuzz_target!(|node: Node| {
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(play(node));
});
