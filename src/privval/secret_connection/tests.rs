mod stream;

use cometbft_p2p::{AsyncReadMsg as _, AsyncSecretConnection, AsyncWriteMsg as _, IdentitySecret};
use proptest::prelude::*;
use prost::Message as _;
use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::net::{TcpListener, TcpStream};

use super::super::fixtures::vote_request;
use super::super::sealed::Seal as _;
use super::super::wire::delimited;
use super::super::{MAX_REQUEST_BYTES, MessageReader, proto};
use super::*;

type Ends = (SecretReader<ReadHalf<DuplexStream>>, SecretWriter<WriteHalf<DuplexStream>>);

fn identity(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

async fn shake(stream: DuplexStream, seed: u8) -> Result<(Ends, PublicKey), SecretConnectionError> {
    let (reader, writer) = split(stream);
    let (reader, writer, peer) = handshake(reader, writer, &identity(seed)).await?;
    Ok(((reader, writer), peer))
}

/// Two ends over a pipe that holds `capacity` bytes.
async fn connected(capacity: usize) -> (Ends, Ends) {
    let (near, far) = duplex(capacity);
    let ((near, far_key), (far, near_key)) =
        tokio::try_join!(shake(near, 1), shake(far, 2)).unwrap();
    assert_eq!(near_key.as_bytes(), identity(1).verifying_key().as_bytes());
    assert_eq!(far_key.as_bytes(), identity(2).verifying_key().as_bytes());
    (near, far)
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (dialled, listener.accept().await.unwrap().0)
}

/// A vote request with an extension of so many bytes.
fn request(extension_bytes: usize) -> proto::Message {
    let mut request = vote_request();
    request.vote.as_mut().unwrap().extension =
        (0..extension_bytes).map(|position| position as u8).collect();
    proto::Message { sum: Some(proto::message::Sum::SignVoteRequest(request)) }
}

#[tokio::test]
async fn carries_messages_of_many_frames_both_ways_at_once() {
    let (near, far) = connected(100_000).await;
    let body = request(1024 * 1024 * 3 / 2).encode_to_vec();
    let message = delimited(&body);
    let exchange = |(reader, mut writer): Ends| {
        let (body, message) = (&body, &message);
        async move {
            let mut reader = MessageReader::new(reader, MAX_REQUEST_BYTES);
            let send = write_message(&mut writer, message);
            let (read, sent) = tokio::join!(reader.read(), send);
            sent.unwrap();
            assert!(read.unwrap().unwrap() == *body);
            // Still in step.
            write_message(&mut writer, &delimited(b"next")).await.unwrap();
            assert_eq!(reader.read().await.unwrap().unwrap(), b"next");
        }
    };
    tokio::join!(exchange(near), exchange(far));
}

#[tokio::test]
async fn works_over_a_transport_that_takes_one_byte_at_a_time() {
    let ((_, mut writer), (reader, _)) = connected(1).await;
    let body = request(3000).encode_to_vec();
    let mut reader = MessageReader::new(reader, MAX_REQUEST_BYTES);
    let message = delimited(&body);
    let send = write_message(&mut writer, &message);
    let (read, sent) = tokio::join!(reader.read(), send);
    sent.unwrap();
    assert_eq!(read.unwrap().unwrap(), body);
}

#[tokio::test]
async fn our_key_is_sent_at_once_and_the_wait_for_theirs_has_no_end() {
    tokio::time::pause();
    let (near, mut far) = duplex(4096);
    let waiting = tokio::spawn(shake(near, 1));
    let mut hello = [0; 35];
    far.read_exact(&mut hello).await.unwrap();
    assert_eq!(hello[..3], EPHEMERAL_PREFIX);
    tokio::time::advance(Duration::from_secs(100_000)).await;
    assert!(!waiting.is_finished());
    drop(far);
    let ended = waiting.await.unwrap();
    assert!(matches!(ended, Err(SecretConnectionError::Io(error))
        if error.kind() == io::ErrorKind::UnexpectedEof));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_has_begun_to_come_must_come() {
    let (near, mut far) = duplex(4096);
    let began = tokio::time::Instant::now();
    far.write_all(&EPHEMERAL_PREFIX[..1]).await.unwrap();
    let ended = shake(near, 1).await.map(|_| ()).unwrap_err();
    assert!(matches!(ended, SecretConnectionError::EphemeralTimeout), "{ended}");
    assert_eq!(began.elapsed(), EPHEMERAL_REST);
}

/// What our handshake says when the peer sends these bytes and closes.
async fn answer_to(first: &[u8]) -> SecretConnectionError {
    let (near, mut far) = duplex(4096);
    far.write_all(first).await.unwrap();
    far.shutdown().await.unwrap();
    shake(near, 1).await.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn refuses_hostile_first_messages() {
    let with_key = |prefix: [u8; 3], key: [u8; 32]| [prefix.as_slice(), &key].concat();
    assert!(matches!(answer_to(b"").await, SecretConnectionError::Io(_)));
    assert!(matches!(answer_to(&EPHEMERAL_PREFIX).await, SecretConnectionError::Io(_)));
    let short = &with_key(EPHEMERAL_PREFIX, [9; 32])[..34];
    assert!(matches!(answer_to(short).await, SecretConnectionError::Io(_)));
    let http = answer_to(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    assert!(matches!(http, SecretConnectionError::EphemeralKey([b'H', b'T', b'T'])));
    for prefix in [[0x22, 0x12, 0x20], [0x22, 0x0a, 0x00], [0x23, 0x0a, 0x20], [0, 0, 0]] {
        let wrong = answer_to(&with_key(prefix, [9; 32])).await;
        assert!(matches!(wrong, SecretConnectionError::EphemeralKey(found) if found == prefix));
    }
    let low_order = answer_to(&with_key(EPHEMERAL_PREFIX, [0; 32])).await;
    assert!(matches!(low_order, SecretConnectionError::LowOrderKey));
}

#[tokio::test]
async fn refuses_its_own_reflection() {
    let (near, far) = duplex(4096);
    let (mut back, mut forth) = split(far);
    let mirror = tokio::spawn(async move { tokio::io::copy(&mut back, &mut forth).await });
    assert!(matches!(shake(near, 1).await, Err(SecretConnectionError::Io(_))));
    mirror.abort();
}

/// What our handshake says when the peer exchanges keys, and then sends what `make` makes of the
/// challenge.
async fn answer_to_identity(make: impl FnOnce(&[u8; 32]) -> Vec<u8>) -> SecretConnectionError {
    let (near, far) = duplex(4096);
    let hostile = async {
        let (reader, writer) = split(far);
        let mut exchanged = exchange_keys(reader, writer).await.unwrap();
        let mut sealed = Vec::new();
        let message = make(&exchanged.agreed.challenge);
        Sealer::new(&exchanged.agreed.send).seal(&message, &mut sealed).unwrap();
        exchanged.writer.write_all(&sealed).await.unwrap();
        exchanged
    };
    let (refused, _) = tokio::join!(shake(near, 1), hostile);
    refused.map(|_| ()).unwrap_err()
}

fn identity_message(key: &[u8; 32], signature: &[u8; 64]) -> Vec<u8> {
    [IDENTITY_PREFIX.as_slice(), key, &SIGNATURE_PREFIX, signature].concat()
}

#[tokio::test]
async fn refuses_an_identity_that_is_not_proven() {
    let key = identity(2).verifying_key().to_bytes();
    let wrong = answer_to_identity(|challenge| {
        let mut challenge = *challenge;
        challenge[0] ^= 1;
        identity_message(&key, &identity(2).sign(&challenge).to_bytes())
    });
    assert!(matches!(wrong.await, SecretConnectionError::Signature));
    let of_another = answer_to_identity(|challenge| {
        identity_message(&key, &identity(3).sign(challenge).to_bytes())
    });
    assert!(matches!(of_another.await, SecretConnectionError::Signature));
}

#[tokio::test]
async fn refuses_identities_of_another_form() {
    let secp256k1 = answer_to_identity(|_| vec![0x67, 0x0a, 0x23, 0x12, 0x21, 2, 2, 2]);
    assert!(matches!(secp256k1.await, SecretConnectionError::Identity));
    let other_tag = answer_to_identity(|challenge| {
        let key = identity(2).verifying_key().to_bytes();
        let mut message = identity_message(&key, &identity(2).sign(challenge).to_bytes());
        message[37] = 0x1a;
        message
    });
    assert!(matches!(other_tag.await, SecretConnectionError::Identity));
}

#[tokio::test]
async fn refuses_a_small_order_identity_for_which_anybody_can_sign() {
    // The neutral point as key and as R, and 0 as S: true for every message, unless one looks.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let mut signature = [0; 64];
    signature[0] = 1;
    let lax = VerifyingKey::from_bytes(&neutral).unwrap();
    assert!(
        ed25519_dalek::Verifier::verify(&lax, b"any", &Signature::from_bytes(&signature)).is_ok()
    );
    let refused = answer_to_identity(|_| identity_message(&neutral, &signature));
    assert!(matches!(refused.await, SecretConnectionError::IdentityKey));
}

#[test]
fn refuses_identity_keys_that_can_be_written_in_two_ways() {
    let mut decodable = 0;
    for low_byte in 0xed..=0xff_u8 {
        let mut key = [0xff; 32];
        key[0] = low_byte;
        key[31] = 0x7f;
        decodable += usize::from(VerifyingKey::from_bytes(&key).is_ok());
        let refused = verify_identity(&key, &[0; 64], &[0; 32]);
        assert!(matches!(refused, Err(SecretConnectionError::IdentityKey)), "{low_byte:x}");
    }
    assert!(decodable > 2);
}

#[tokio::test]
async fn speaks_with_another_implementation_as_dialler_and_as_listener() {
    for we_dial in [true, false] {
        let (dialled, accepted) = tcp().await;
        let (ours, theirs) = if we_dial { (dialled, accepted) } else { (accepted, dialled) };
        let their_identity = IdentitySecret::from_bytes(&[2; 32]);
        let theirs = AsyncSecretConnection::new(theirs, &their_identity);
        let (reader, writer) = ours.into_split();
        let our_identity = identity(1);
        let ours = async { Ok(handshake(reader, writer, &our_identity).await.unwrap()) };
        let (theirs, (reader, mut writer, peer)) = tokio::try_join!(theirs, ours).unwrap();
        assert_eq!(peer.as_bytes(), identity(2).verifying_key().as_bytes());
        let expected =
            cometbft_p2p::PublicKey::Ed25519(IdentitySecret::from_bytes(&[1; 32]).verifying_key());
        assert_eq!(*theirs.peer_public_key(), expected);

        let (mut their_reader, mut their_writer) = theirs.split();
        let mut reader = MessageReader::new(reader, MAX_REQUEST_BYTES);
        for extension_bytes in [0, 800, 5000, 200_000] {
            let message = request(extension_bytes);
            let (read, sent) = tokio::join!(reader.read(), their_writer.write_msg(message.clone()));
            sent.unwrap();
            let read = read.unwrap().unwrap();
            assert_eq!(proto::Message::decode(read.as_slice()).unwrap(), message);

            let sent = message.encode_length_delimited_to_vec();
            let send = write_message(&mut writer, &sent);
            let (read, sent) = tokio::join!(their_reader.read_msg::<proto::Message>(), send);
            sent.unwrap();
            assert_eq!(read.unwrap(), message);
        }
    }
}

proptest! {
    #[test]
    fn no_first_message_makes_it_panic(stream in proptest::collection::vec(any::<u8>(), 0..2500)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let with_key = [EPHEMERAL_PREFIX.as_slice(), &stream].concat();
        for first in [stream.as_slice(), &with_key] {
            let error = runtime.block_on(answer_to(first));
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
