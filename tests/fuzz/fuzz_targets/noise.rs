//! The node's end of a noise connection: garbage instead of a handshake, any identity in an honest one,
//! any frames after it. Nobody but the pinned peer gets a handshake, and whatever arrives was sent.
#![no_main]

use cosigner::privval::noise::{Identity, greet};
use ed25519_dalek::{Signer as _, SigningKey};
use libfuzzer_sys::{arbitrary, fuzz_target};
use prost::Message as _;
use snow::{HandshakeState, TransportState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
use tokio::runtime::Builder;

const OURS: [u8; 32] = [7; 32];
const THEIRS: [u8; 32] = [9; 32];
/// The node's static key of every handshake.
const STATIC: [u8; 32] = [3; 32];
/// Data of one frame, in bytes.
const MOST: usize = 65_519;

/// What the node does.
#[derive(Debug, arbitrary::Arbitrary)]
enum Node {
    /// Sends this at once and closes.
    Garbage(Vec<u8>),
    /// Takes our key, then sends this with its length in front.
    Clear(Vec<u8>),
    /// Shakes hands with this in place of its identity.
    Identity(Vec<u8>),
    /// Shakes hands with its identity, of which bytes are changed, and more behind.
    Changed { changes: Vec<(u8, u8)>, more: Vec<u8> },
    /// Shakes hands honestly, then sends this.
    Shaken(Vec<Frame>),
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Frame {
    /// As it should be.
    Sealed(Vec<u8>),
    /// So many bytes, as it should be.
    Long(u16),
    /// Sealed, and with this length in front.
    Said(u16, Vec<u8>),
    /// Not sealed.
    Clear(Vec<u8>),
    /// The last one again.
    Again,
}

/// libp2p's `NoiseHandshakePayload`, as far as it is read here.
#[derive(Clone, PartialEq, Eq, prost::Message)]
struct Payload {
    #[prost(bytes = "vec", optional, tag = "1")]
    key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    signature: Option<Vec<u8>>,
}

/// The identity of who has this seed, for this static key.
fn identity(seed: &[u8; 32], static_key: &[u8]) -> Payload {
    let key = SigningKey::from_bytes(seed);
    let public = [&[0x08, 0x01, 0x12, 0x20], key.verifying_key().as_bytes().as_slice()].concat();
    let signature = key.sign(&[b"noise-libp2p-static-key:", static_key].concat());
    Payload { key: Some(public), signature: Some(signature.to_bytes().to_vec()) }
}

fn theirs() -> Payload {
    let secret = x25519_dalek::StaticSecret::from(STATIC);
    identity(&THEIRS, x25519_dalek::PublicKey::from(&secret).as_bytes())
}

fn framed(length: usize, bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(length).unwrap().to_be_bytes(), bytes].concat()
}

/// The bytes of these frames, and the data that has to come out.
fn frames(session: &mut TransportState, frames: &[Frame]) -> (Vec<u8>, Vec<u8>) {
    let (mut bytes, mut plain, mut whole) = (Vec::new(), Vec::new(), true);
    let mut last = Vec::new();
    for frame in frames.iter().take(8) {
        let data = match frame {
            Frame::Sealed(data) | Frame::Said(_, data) => data.clone(),
            Frame::Long(length) => vec![5; usize::from(*length).min(MOST)],
            Frame::Clear(clear) => {
                whole &= clear.is_empty();
                bytes.extend(clear);
                continue;
            }
            Frame::Again => {
                whole &= last.is_empty();
                bytes.extend(&last);
                continue;
            }
        };
        let mut sealed = vec![0; data.len() + 16];
        let length = session.write_message(&data, &mut sealed).unwrap();
        assert_eq!(length, sealed.len());
        let said = match frame {
            Frame::Said(said, _) => usize::from(*said),
            _ => length,
        };
        whole &= said == length;
        last = framed(said, &sealed);
        bytes.extend(&last);
        if whole {
            plain.extend(data);
        }
    }
    (bytes, plain)
}

/// A message as the handshake has it, of two bytes of length and what they say.
async fn message(far: &mut DuplexStream) -> Option<Vec<u8>> {
    let length = far.read_u16().await.ok()?;
    let mut message = vec![0; usize::from(length)];
    far.read_exact(&mut message).await.ok()?;
    Some(message)
}

/// What the node says of itself, and whether that is who is pinned.
fn said(node: &Node) -> (Vec<u8>, bool) {
    let honest = theirs();
    let payload = match node {
        Node::Identity(payload) => payload.clone(),
        Node::Changed { changes, more } => {
            let mut payload = honest.encode_to_vec();
            for (at, to) in changes {
                let at = usize::from(*at) % payload.len();
                payload[at] = *to;
            }
            [payload, more.clone()].concat()
        }
        _ => honest.encode_to_vec(),
    };
    let is_honest = Payload::decode(payload.as_slice()).is_ok_and(|said| said == honest);
    (payload, is_honest)
}

fn responder() -> HandshakeState {
    let parameters = "Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap();
    let builder = snow::Builder::new(parameters).local_private_key(&STATIC).unwrap();
    builder.build_responder().unwrap()
}

/// What has to arrive at the other end; `None` if no handshake may succeed.
async fn play_node(far: &mut DuplexStream, node: &Node) -> Option<Vec<u8>> {
    if let Node::Garbage(bytes) = node {
        let _ = far.write_all(bytes).await;
        return None;
    }
    let first = message(far).await.unwrap();
    if let Node::Clear(bytes) = node {
        let bytes = &bytes[..bytes.len().min(MOST)];
        let _ = far.write_all(&framed(bytes.len(), bytes)).await;
        return None;
    }
    let mut state = responder();
    let mut room = vec![0; 65_535];
    assert_eq!(state.read_message(&first, &mut room).unwrap(), 0, "our first message says nothing");
    let (payload, is_honest) = said(node);
    let Ok(length) = state.write_message(&payload, &mut room) else { return None };
    let _ = far.write_all(&framed(length, &room[..length])).await;
    // Longer ones are refused before they are read.
    let is_honest = is_honest && length <= 4096;
    let Some(third) = message(far).await else {
        assert!(!is_honest, "the pinned peer was refused");
        return None;
    };
    assert!(is_honest, "our identity for somebody else");
    let length = state.read_message(&third, &mut room).unwrap();
    let found = Payload::decode(&room[..length]).unwrap();
    assert_eq!(found, identity(&OURS, state.get_remote_static().unwrap()), "who we say we are");
    let mut session = state.into_transport_mode().unwrap();
    let nothing = Vec::new();
    let said = if let Node::Shaken(said) = node { said } else { &nothing };
    let (bytes, plain) = frames(&mut session, said);
    let _ = far.write_all(&bytes).await;
    Some(plain)
}

async fn play(node: Node) {
    let (near, mut far) = duplex(1 << 20);
    let signer = async {
        let (reader, writer) = split(near);
        let ours = Identity::from_seed(&OURS).unwrap();
        let theirs = Identity::from_seed(&THEIRS).unwrap();
        let greeted = greet(reader, writer).await.ok()?;
        let (mut reader, _writer) = greeted.authenticate(&ours, theirs.peer_id()).await.ok()?;
        let mut received = Vec::new();
        // Whatever was given out before a refused frame stands.
        let _ = reader.read_to_end(&mut received).await;
        Some(received)
    };
    let node = async {
        let expected = play_node(&mut far, &node).await;
        let _ = far.shutdown().await;
        // Kept open for what the signer still says.
        let _ = far.read_to_end(&mut Vec::new()).await;
        expected
    };
    let (received, expected) = tokio::join!(signer, node);
    assert!(received == expected, "what arrived is not what was sent");
}

fuzz_target!(|node: Node| {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(play(node));
});
