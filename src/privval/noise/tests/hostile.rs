//! Responders that are not what they should be, each refused by name.

use proptest::prelude::*;
use prost::Message as _;
use snow::params::{CipherChoice, DHChoice, HashChoice, NoiseParams};
use snow::resolvers::{CryptoResolver, DefaultResolver};
use snow::types::{Cipher, Dh, Hash, Random};

use super::super::handshake::{Payload, begin};
use super::*;

/// What a responder's static key is signed as.
const DOMAIN: &[u8] = b"noise-libp2p-static-key:";

fn theirs() -> Identity {
    Identity::from_seed(&[9; 32]).unwrap()
}

/// An answer to our first message with this payload, for the responder's static public key.
fn answer(first: &[u8], payload: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let secret = x25519_dalek::StaticSecret::from([3; 32]);
    let public = x25519_dalek::PublicKey::from(&secret);
    let parameters: NoiseParams = "Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap();
    let builder = snow::Builder::new(parameters).local_private_key(secret.as_bytes()).unwrap();
    answer_of(builder, first, &payload(public.as_bytes()))
}

fn answer_of(builder: snow::Builder<'_>, first: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut state = builder.build_responder().unwrap();
    let mut message = vec![0; 65535];
    state.read_message(&first[2..], &mut message).unwrap();
    let length = state.write_message(payload, &mut message).unwrap();
    message.truncate(length);
    message
}

/// The payload of an honest responder.
fn honest(static_key: &[u8]) -> Payload {
    Payload {
        identity_key: Some(theirs().peer_id().encoded_key()),
        identity_sig: Some(theirs().sign(&[DOMAIN, static_key].concat())),
    }
}

/// What we say to a responder whose message is made from our first one.
fn said_to(make: impl FnOnce(&[u8]) -> Vec<u8>) -> Result<(), NoiseError> {
    let (begun, first) = begin().unwrap();
    let second = make(&first);
    begun.second(&second, theirs().peer_id()).map(|_| ())
}

fn said_to_payload(change: impl FnOnce(&mut Payload)) -> NoiseError {
    said_to(|first| {
        answer(first, |key| {
            let mut payload = honest(key);
            change(&mut payload);
            payload.encode_to_vec()
        })
    })
    .unwrap_err()
}

#[test]
fn an_honest_responder_is_taken_with_or_without_extensions() {
    said_to(|first| answer(first, |key| honest(key).encode_to_vec())).unwrap();
    for extensions in [
        // As go-libp2p sends them: none, an early muxer, WebTransport's hashes; and one unknown.
        &[0x22, 0x00][..],
        &[0x22, 8, 0x12, 6, b'/', b'y', b'a', b'm', b'u', b'x'],
        &[0x22, 4, 0x0a, 2, 0x12, 0x20],
        &[0x2a, 1, 0xff],
    ] {
        said_to(|first| answer(first, |key| [&honest(key).encode_to_vec(), extensions].concat()))
            .unwrap();
    }
}

#[test]
fn refuses_an_identity_that_is_missing_or_not_proven() {
    assert!(matches!(said_to_payload(|it| it.identity_key = None), NoiseError::NoIdentity));
    assert!(matches!(said_to_payload(|it| it.identity_sig = None), NoiseError::NoIdentity));
    let nothing = said_to(|first| answer(first, |_| Vec::new())).unwrap_err();
    assert!(matches!(nothing, NoiseError::NoIdentity));
    let cut = said_to_payload(|it| {
        it.identity_sig.as_mut().unwrap().pop();
    });
    assert!(matches!(cut, NoiseError::Signature));
    // Of another static key; without the words before it; by somebody else.
    let others: [fn(&mut Payload); 3] = [
        |it| it.identity_sig = Some(theirs().sign(&[DOMAIN, &[8; 32]].concat())),
        |it| {
            let key = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from([3; 32]));
            it.identity_sig = Some(theirs().sign(key.as_bytes()));
        },
        |it| it.identity_key = Some(ours().peer_id().encoded_key()),
    ];
    for change in others {
        assert!(matches!(said_to_payload(change), NoiseError::Signature));
    }
}

#[test]
fn refuses_an_identity_of_another_kind_or_for_which_anybody_can_sign() {
    let rsa = said_to_payload(|it| it.identity_key = Some(vec![0x08, 0, 0x12, 1, 1]));
    assert!(matches!(rsa, NoiseError::IdentityKey(PeerIdError::KeyType(0))));
    let cut = said_to_payload(|it| {
        it.identity_key.as_mut().unwrap().pop();
    });
    assert!(matches!(cut, NoiseError::IdentityKey(PeerIdError::KeyForm)));
    // The neutral point as key and as R, and 0 as S: true for every message, unless one looks.
    let anybody = said_to_payload(|it| {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        it.identity_key = Some([&[0x08, 1, 0x12, 0x20], neutral.as_slice()].concat());
        it.identity_sig = Some([neutral, [0; 32]].concat());
    });
    assert!(matches!(anybody, NoiseError::IdentityKey(PeerIdError::Key)));
}

#[test]
fn refuses_another_peer_that_proves_itself_and_names_both() {
    let other = Identity::from_seed(&[10; 32]).unwrap();
    let refused = said_to(|first| {
        answer(first, |key| {
            let payload = Payload {
                identity_key: Some(other.peer_id().encoded_key()),
                identity_sig: Some(other.sign(&[DOMAIN, key].concat())),
            };
            payload.encode_to_vec()
        })
    });
    assert!(matches!(refused, Err(NoiseError::OtherPeer { pinned, found })
        if pinned == *theirs().peer_id() && found == *other.peer_id()));
}

#[test]
fn refuses_a_payload_that_does_not_decode() {
    for payload in [&[0xff][..], &[0x0a, 0x05, 1], &[0x0d, 1, 2, 3, 4], &[0x0b]] {
        let refused = said_to(|first| answer(first, |_| payload.to_vec())).unwrap_err();
        assert!(matches!(refused, NoiseError::Payload(_)), "{payload:02x?}: {refused}");
    }
}

#[test]
fn refuses_a_message_with_any_byte_changed_or_cut() {
    let good = |first: &[u8]| answer(first, |key| honest(key).encode_to_vec());
    let length = good(&begin().unwrap().1).len();
    for position in (0..length).step_by(7).chain([31, 32, 79, 80, length - 1]) {
        let changed = said_to(|first| {
            let mut second = good(first);
            second[position] ^= 1;
            second
        });
        assert!(matches!(changed, Err(NoiseError::Authentication)), "{position}: {changed:?}");
        let cut = said_to(|first| good(first)[..position].to_vec()).unwrap_err();
        match cut {
            NoiseError::TooShort(found) => assert!(found == position && position < 96),
            NoiseError::Authentication => assert!(position >= 96),
            other => panic!("{position}: {other}"),
        }
    }
    // An answer to another first message.
    let stale = said_to(|_| good(&begin().unwrap().1));
    assert!(matches!(stale, Err(NoiseError::Authentication)));
    let long = said_to(|first| [good(first), vec![0; 5000]].concat()).unwrap_err();
    assert!(matches!(long, NoiseError::TooLong(_)));
}

#[test]
fn refuses_ephemeral_keys_of_low_order() {
    for key in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000080",
    ] {
        let refused = said_to(|_| [hex::decode(key).unwrap(), vec![0; 200]].concat());
        assert!(matches!(refused, Err(NoiseError::LowOrderKey("ephemeral"))), "{key}");
    }
}

/// A static key of low order: every exchange with it gives zero, which its owner knows without a
/// secret.
#[derive(Default)]
struct LowOrder([u8; 32]);

impl Dh for LowOrder {
    fn name(&self) -> &'static str {
        "25519"
    }
    fn pub_len(&self) -> usize {
        32
    }
    fn priv_len(&self) -> usize {
        32
    }
    fn set(&mut self, _: &[u8]) {}
    fn generate(&mut self, _: &mut dyn Random) -> Result<(), snow::Error> {
        Ok(())
    }
    fn pubkey(&self) -> &[u8] {
        &self.0
    }
    fn privkey(&self) -> &[u8] {
        &self.0
    }
    fn dh(&self, _: &[u8], out: &mut [u8]) -> Result<(), snow::Error> {
        out[..32].fill(0);
        Ok(())
    }
}

/// Gives the static key first (as snow asks), then an honest ephemeral one.
struct WithLowOrder(std::sync::atomic::AtomicBool);

impl CryptoResolver for WithLowOrder {
    fn resolve_rng(&self) -> Option<Box<dyn Random>> {
        DefaultResolver.resolve_rng()
    }
    fn resolve_dh(&self, choice: &DHChoice) -> Option<Box<dyn Dh>> {
        if self.0.swap(true, std::sync::atomic::Ordering::Relaxed) {
            return DefaultResolver.resolve_dh(choice);
        }
        Some(Box::<LowOrder>::default())
    }
    fn resolve_hash(&self, choice: &HashChoice) -> Option<Box<dyn Hash>> {
        DefaultResolver.resolve_hash(choice)
    }
    fn resolve_cipher(&self, choice: &CipherChoice) -> Option<Box<dyn Cipher>> {
        DefaultResolver.resolve_cipher(choice)
    }
}

#[test]
fn refuses_a_static_key_of_low_order_even_if_its_identity_vouches_for_it() {
    let refused = said_to(|first| {
        let parameters: NoiseParams = "Noise_XX_25519_ChaChaPoly_SHA256".parse().unwrap();
        let resolver = Box::new(WithLowOrder(false.into()));
        let builder = snow::Builder::with_resolver(parameters, resolver);
        let builder = builder.local_private_key(&[3; 32]).unwrap();
        answer_of(builder, first, &honest(&[0; 32]).encode_to_vec())
    });
    assert!(matches!(refused, Err(NoiseError::LowOrderKey("static"))), "{refused:?}");
}

/// What a dialler says to a peer that sends these bytes and closes, and how much it sent itself.
async fn said_to_stream(bytes: &[u8]) -> (NoiseError, usize) {
    let (near, mut far) = duplex(1 << 20);
    far.write_all(bytes).await.unwrap();
    far.shutdown().await.unwrap();
    let refused = dial(near, theirs().peer_id()).await.map(|_| ()).unwrap_err();
    let mut sent = Vec::new();
    far.read_to_end(&mut sent).await.unwrap();
    (refused, sent.len())
}

#[tokio::test]
async fn whatever_listens_there_learns_nothing_but_an_ephemeral_key() {
    let long = [&[0xff, 0xff], vec![1; 65535].as_slice()].concat();
    let secret_connection = [&[0x22, 0x0a, 0x20], [9; 32].as_slice()].concat();
    let junk = [&[0, 200], [9; 200].as_slice()].concat();
    for (bytes, name) in [
        (&b""[..], "early eof"),
        (&[0], "early eof"),
        (&[0, 200], "early eof"),
        (&[0, 0], "too short"),
        (&[0, 95, 1], "too short"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "too long"),
        (&secret_connection, "too long"),
        (&long, "too long"),
        (&junk, "not sealed"),
    ] {
        let (refused, sent) = said_to_stream(bytes).await;
        assert!(refused.to_string().contains(name), "{name}: {refused}");
        // Whichever of sending and reading came first.
        assert!(sent == 0 || sent == 34, "{name}: {sent}");
    }
}

#[tokio::test]
async fn refuses_its_own_reflection() {
    let (near, far) = duplex(4096);
    let (mut back, mut forth) = split(far);
    let mirror = tokio::spawn(async move { tokio::io::copy(&mut back, &mut forth).await });
    let refused = dial(near, theirs().peer_id()).await.map(|_| ());
    assert!(matches!(refused, Err(NoiseError::TooShort(32))));
    mirror.abort();
}

proptest! {
    #[test]
    fn no_answer_makes_it_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..2500),
        payload in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        prop_assert!(said_to(|_| bytes.clone()).is_err());
        prop_assert!(said_to(|first| answer(first, |_| payload.clone())).is_err());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (error, _) = runtime.block_on(said_to_stream(&bytes));
        prop_assert!(!error.to_string().is_empty());
    }
}
