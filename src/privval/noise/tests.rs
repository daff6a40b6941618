mod hostile;

use libp2p_core::upgrade::InboundConnectionUpgrade as _;
use libp2p_identity::Keypair;
use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::compat::{FuturesAsyncReadCompatExt as _, TokioAsyncReadCompatExt as _};

use super::super::sealed::Seal as _;
use super::super::wire::delimited;
use super::super::{MAX_REQUEST_BYTES, MessageReader};
use super::*;

type Ends<S> = (NoiseReader<ReadHalf<S>>, NoiseWriter<WriteHalf<S>>);

const SEED: [u8; 32] = [7; 32];

fn ours() -> Identity {
    Identity::from_seed(&SEED).unwrap()
}

/// Keys as libp2p has them.
pub(super) fn ed25519(byte: u8) -> Keypair {
    Keypair::ed25519_from_bytes([byte; 32]).unwrap()
}

pub(super) fn secp256k1(byte: u8) -> Keypair {
    let secret = libp2p_identity::secp256k1::SecretKey::try_from_bytes([byte; 32]).unwrap();
    libp2p_identity::secp256k1::Keypair::from(secret).into()
}

fn id_of(pair: &Keypair) -> PeerId {
    pair.public().to_peer_id().to_string().parse().unwrap()
}

/// Both ends of a finished snow session.
pub(super) fn transports() -> (snow::StatelessTransportState, snow::StatelessTransportState) {
    let parameters: snow::params::NoiseParams = "Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap();
    let builder = || snow::Builder::new(parameters.clone());
    let keys = [1_u8, 2].map(|byte| [byte; 32]);
    let mut near = builder().local_private_key(&keys[0]).unwrap().build_initiator().unwrap();
    let mut far = builder().local_private_key(&keys[1]).unwrap().build_responder().unwrap();
    let (mut message, mut payload) = ([0; 512], [0; 512]);
    for round in 0..3 {
        let (from, to) = if round == 1 { (&mut far, &mut near) } else { (&mut near, &mut far) };
        let length = from.write_message(&[], &mut message).unwrap();
        to.read_message(&message[..length], &mut payload).unwrap();
    }
    (near.into_stateless_transport_mode().unwrap(), far.into_stateless_transport_mode().unwrap())
}

async fn dial<S>(stream: S, pinned: &PeerId) -> Result<Ends<S>, NoiseError>
where
    S: AsyncRead + AsyncWrite,
{
    let (reader, writer) = split(stream);
    greet(reader, writer).await?.authenticate(&ours(), pinned).await
}

/// libp2p's own responder: who has dialled it, and the stream.
async fn libp2p<S>(
    stream: S,
    identity: &Keypair,
) -> Result<(PeerId, impl AsyncRead + AsyncWrite + Unpin), libp2p_noise::Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let config = libp2p_noise::Config::new(identity)?;
    let (peer, stream) = config.upgrade_inbound(stream.compat(), "/noise").await?;
    Ok((peer.to_string().parse().unwrap(), stream.compat()))
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (dialled, listener.accept().await.unwrap().0)
}

async fn send(mut writer: impl AsyncWrite + Unpin, data: &[u8]) {
    let sizes = [1, 7, 1000, 65519, 65520, 70_001, 200_003, 16, 65535];
    let mut rest = data;
    for size in sizes.into_iter().cycle() {
        let (part, more) = rest.split_at(size.min(rest.len()));
        writer.write_all(part).await.unwrap();
        if more.is_empty() {
            break;
        }
        rest = more;
    }
    writer.flush().await.unwrap();
}

async fn receive(mut reader: impl AsyncRead + Unpin, data: &[u8]) {
    let mut received = Vec::new();
    for size in [3, 65519, 1, 4096, 100_000].into_iter().cycle() {
        let mut part = vec![0; size.min(data.len() - received.len())];
        reader.read_exact(&mut part).await.unwrap();
        received.extend_from_slice(&part);
        if received.len() == data.len() {
            break;
        }
    }
    assert!(received == data);
}

#[tokio::test]
async fn speaks_with_libp2p_and_carries_two_mebibytes_both_ways_in_odd_pieces() {
    for theirs in [ed25519(1), secp256k1(2)] {
        let (dialled, accepted) = tcp().await;
        let pinned = id_of(&theirs);
        let shaken = tokio::join!(dial(dialled, &pinned), libp2p(accepted, &theirs));
        let (reader, writer) = shaken.0.unwrap();
        let (found, far) = shaken.1.unwrap();
        assert_eq!(found, *ours().peer_id(), "who libp2p says has dialled");
        let (far_reader, far_writer) = split(far);
        let there: Vec<u8> = (0..2_u32 << 20).map(|number| (number % 251) as u8).collect();
        let back: Vec<u8> = there.iter().rev().copied().collect();
        tokio::join!(
            send(writer, &there),
            receive(far_reader, &there),
            send(far_writer, &back),
            receive(reader, &back),
        );
    }
}

#[tokio::test]
async fn libp2p_takes_a_secp256k1_identity_of_ours() {
    let theirs = ed25519(1);
    let text = "{\"priv_key\":{\"type\":\"tendermint/PrivKeySecp256k1\",\
                \"value\":\"U9rfHVoWTWtKzbFeJKpMWx00Yb29Qqvtsdpt1M7Y+wA=\"}}";
    let ours = Identity::parse(text.as_bytes()).unwrap();
    let (near, far) = duplex(4096);
    let (reader, writer) = split(near);
    let pinned = id_of(&theirs);
    let dialled = async { greet(reader, writer).await?.authenticate(&ours, &pinned).await };
    let (dialled, accepted) = tokio::join!(dialled, libp2p(far, &theirs));
    dialled.unwrap();
    assert_eq!(accepted.unwrap().0, *ours.peer_id());
}

#[tokio::test]
async fn another_peer_than_the_pinned_one_is_refused_before_it_learns_who_we_are() {
    let (theirs, expected) = (ed25519(1), id_of(&ed25519(2)));
    let (near, far) = duplex(4096);
    let (refused, accepted) = tokio::join!(dial(near, &expected), libp2p(far, &theirs));
    let refused = refused.map(|_| ()).unwrap_err();
    let text = refused.to_string();
    assert!(
        matches!(refused, NoiseError::OtherPeer { pinned, found }
            if pinned == expected && found == id_of(&theirs)),
        "{text}"
    );
    assert!(text.contains(&expected.to_string()) && text.contains(&id_of(&theirs).to_string()));
    // libp2p has seen the end of the stream where our identity would stand.
    let Err(libp2p_noise::Error::Io(ended)) = accepted.map(|_| ()) else { panic!("accepted") };
    assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn works_over_a_transport_that_takes_one_byte_at_a_time() {
    let theirs = ed25519(1);
    let (near, far) = duplex(1);
    let pinned = id_of(&theirs);
    let (near, far) = tokio::join!(dial(near, &pinned), libp2p(far, &theirs));
    let ((_, mut writer), (_, far)) = (near.unwrap(), far.unwrap());
    let body: Vec<u8> = (0..3000_u32).map(|number| number as u8).collect();
    let mut reader = MessageReader::new(far, MAX_REQUEST_BYTES);
    let message = delimited(&body);
    let (read, sent) = tokio::join!(reader.read(), write_message(&mut writer, &message));
    sent.unwrap();
    assert_eq!(read.unwrap().unwrap(), body);
}

#[tokio::test(start_paused = true)]
async fn our_key_is_sent_at_once_and_the_wait_for_an_answer_has_no_end() {
    let (near, mut far) = duplex(4096);
    let (reader, writer) = split(near);
    let waiting = tokio::spawn(greet(reader, writer));
    let mut first = [0; 34];
    far.read_exact(&mut first).await.unwrap();
    assert_eq!(first[..2], [0, 32]);
    tokio::time::advance(std::time::Duration::from_secs(100_000)).await;
    assert!(!waiting.is_finished());
    drop(far);
    let ended = waiting.await.unwrap().map(|_| ());
    assert!(matches!(ended, Err(NoiseError::Io(error))
        if error.kind() == io::ErrorKind::UnexpectedEof));
}

/// A finished connection whose far end is ours to misuse.
async fn connected()
-> (NoiseReader<ReadHalf<DuplexStream>>, snow::StatelessTransportState, DuplexStream) {
    let (near, far) = duplex(1 << 20);
    let (keys, far_keys) = transports();
    let (_, opener) = frames::pair(keys);
    let (reader, _) = split(near);
    (NoiseReader::new(BufReader::new(reader), opener), far_keys, far)
}

async fn read_on(reader: &mut NoiseReader<ReadHalf<DuplexStream>>) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    reader.read_to_end(&mut read).await.map(|_| read)
}

#[tokio::test]
async fn an_empty_frame_means_nothing_and_an_end_between_frames_is_clean() {
    let (mut reader, keys, mut far) = connected().await;
    for (nonce, data) in (0..).zip([&b"one"[..], b"", b"", b" two"]) {
        let mut sealed = vec![0; data.len() + 16];
        keys.write_message(nonce, data, &mut sealed).unwrap();
        far.write_all(&[&[0, sealed.len() as u8], sealed.as_slice()].concat()).await.unwrap();
    }
    far.shutdown().await.unwrap();
    assert_eq!(read_on(&mut reader).await.unwrap(), b"one two");
}

#[tokio::test]
async fn a_frame_that_is_cut_short_or_changed_ends_the_stream_by_name() {
    let mut sealed = Vec::new();
    frames::pair(connected().await.1).0.seal(b"data", &mut sealed).unwrap();
    for length in 1..sealed.len() {
        let (mut reader, _, mut far) = connected().await;
        far.write_all(&sealed[..length]).await.unwrap();
        far.shutdown().await.unwrap();
        let ended = read_on(&mut reader).await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof, "{length}");
    }
    let name = |error: &io::Error| {
        error.get_ref().and_then(|inner| inner.downcast_ref::<FrameError>()).copied()
    };
    let changed = [&sealed[..sealed.len() - 1], &[sealed[sealed.len() - 1] ^ 1]].concat();
    let cases = [
        (changed, FrameError::Authentication),
        (vec![0, 0], FrameError::TooShort(0)),
        (vec![0, 15], FrameError::TooShort(15)),
        (vec![0xff; 2 + 65535], FrameError::Authentication),
    ];
    for (bytes, expected) in cases {
        let (mut reader, keys, mut far) = connected().await;
        far.write_all(&bytes).await.unwrap();
        assert_eq!(name(&read_on(&mut reader).await.unwrap_err()), Some(expected));
        // What comes after it is not looked at, even if it is right.
        let mut next = Vec::new();
        frames::pair(keys).0.seal(b"next", &mut next).unwrap();
        far.write_all(&next).await.unwrap();
        assert_eq!(name(&read_on(&mut reader).await.unwrap_err()), Some(FrameError::GivenUp));
    }
}
