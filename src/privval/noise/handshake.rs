//! The three messages of the handshake, without I/O. Noise `XX`: keys first, then the responder's
//! identity, then ours. The responder is compared with the pinned one before ours is sent.

use std::fmt;

use prost::Message as _;
use snow::HandshakeState;
use zeroize::Zeroizing;

use super::frames::{Opener, Sealer, pair};
use super::{Identity, NoiseError, PeerId};

const PROTOCOL: &str = "Noise_XX_25519_ChaChaPoly_SHA256";
/// What an identity signs, before the 32 bytes of the static key that it vouches for.
const STATIC_KEY_DOMAIN: &[u8] = b"noise-libp2p-static-key:";
const KEY_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// A second message with an empty payload: two keys, the second one sealed, and the payload's tag.
const SHORTEST_SECOND: usize = KEY_BYTES + KEY_BYTES + TAG_BYTES + TAG_BYTES;
/// A real one has about 200 bytes, and some more with extensions.
const LONGEST_SECOND: usize = 4096;
/// A static key vouched for by an identity, with room for either kind of key, and the two tags.
const LONGEST_THIRD: usize = 1024;

/// libp2p's `NoiseHandshakePayload`. Extensions (field 4: early muxers, WebTransport) mean nothing
/// here: none are sent, and those that come are skipped.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub(super) struct Payload {
    #[prost(bytes = "vec", optional, tag = "1")]
    pub(super) identity_key: Option<Vec<u8>>,
    #[prost(bytes = "vec", optional, tag = "2")]
    pub(super) identity_sig: Option<Vec<u8>>,
}

/// Our keys are made, the first message is written.
pub(super) struct Begun {
    state: HandshakeState,
    static_key: [u8; KEY_BYTES],
}

/// The responder is the one that was expected.
pub(super) struct Proven {
    state: HandshakeState,
    static_key: [u8; KEY_BYTES],
}

/// Makes fresh keys and the first message. Nobody can tell from it who we are.
pub(super) fn begin() -> Result<(Begun, Vec<u8>), NoiseError> {
    let mut secret = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(secret.as_mut_slice()).map_err(NoiseError::Random)?;
    let static_key = x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*secret));
    let parameters = PROTOCOL.parse().map_err(NoiseError::Engine)?;
    let builder = snow::Builder::new(parameters).local_private_key(secret.as_slice());
    let built = builder.and_then(snow::Builder::build_initiator);
    let mut state = built.map_err(NoiseError::Engine)?;
    let first = write(&mut state, &[], KEY_BYTES + TAG_BYTES)?;
    Ok((Begun { state, static_key: static_key.to_bytes() }, first))
}

/// Refuses a second message by its length alone, before it is read.
pub(super) fn check_length(length: usize) -> Result<(), NoiseError> {
    match length {
        0..SHORTEST_SECOND => Err(NoiseError::TooShort(length)),
        SHORTEST_SECOND..=LONGEST_SECOND => Ok(()),
        _ => Err(NoiseError::TooLong(length)),
    }
}

impl Begun {
    /// Reads the second message: the responder's keys, and its identity, which must be `pinned`.
    pub(super) fn second(self, message: &[u8], pinned: &PeerId) -> Result<Proven, NoiseError> {
        let Self { mut state, static_key } = self;
        check_length(message.len())?;
        if message.first_chunk().is_none_or(is_low_order) {
            return Err(NoiseError::LowOrderKey("ephemeral"));
        }
        let mut payload = vec![0; message.len()];
        let length = state.read_message(message, &mut payload).map_err(|error| match error {
            snow::Error::Dh => NoiseError::LowOrderKey("static"),
            _ => NoiseError::Authentication,
        })?;
        let theirs: [u8; KEY_BYTES] = state
            .get_remote_static()
            .and_then(|key| key.try_into().ok())
            .ok_or(NoiseError::Authentication)?;
        if is_low_order(&theirs) {
            return Err(NoiseError::LowOrderKey("static"));
        }
        let payload = payload.get(..length).ok_or(NoiseError::Authentication)?;
        let payload = Payload::decode(payload).map_err(NoiseError::Payload)?;
        let (Some(key), Some(signature)) = (payload.identity_key, payload.identity_sig) else {
            return Err(NoiseError::NoIdentity);
        };
        let found = PeerId::from_encoded_key(&key).map_err(NoiseError::IdentityKey)?;
        if !found.has_signed(&[STATIC_KEY_DOMAIN, &theirs].concat(), &signature) {
            return Err(NoiseError::Signature);
        }
        if found != *pinned {
            return Err(NoiseError::OtherPeer { pinned: *pinned, found });
        }
        Ok(Proven { state, static_key })
    }
}

impl Proven {
    /// The third message, which says and proves who we are, and the two directions.
    pub(super) fn third(
        self,
        identity: &Identity,
    ) -> Result<(Vec<u8>, Sealer, Opener), NoiseError> {
        let Self { mut state, static_key } = self;
        let signed = [STATIC_KEY_DOMAIN, &static_key].concat();
        let payload = Payload {
            identity_key: Some(identity.peer_id().encoded_key()),
            identity_sig: Some(identity.sign(&signed)),
        };
        let third = write(&mut state, &payload.encode_to_vec(), LONGEST_THIRD)?;
        let transport = state.into_stateless_transport_mode().map_err(NoiseError::Engine)?;
        let (sealer, opener) = pair(transport);
        Ok((third, sealer, opener))
    }
}

/// A handshake message with its length before it.
fn write(state: &mut HandshakeState, payload: &[u8], room: usize) -> Result<Vec<u8>, NoiseError> {
    let mut message = vec![0; room];
    let length = state.write_message(payload, &mut message).map_err(NoiseError::Engine)?;
    message.truncate(length);
    // At most `room`, which fits.
    let length = length as u16;
    Ok([&length.to_be_bytes(), message.as_slice()].concat())
}

/// Whether an exchange with this key has the same result for everyone: every secret is a multiple of
/// 8, so any one tells.
fn is_low_order(key: &[u8; KEY_BYTES]) -> bool {
    let any = x25519_dalek::StaticSecret::from([1; KEY_BYTES]);
    !any.diffie_hellman(&x25519_dalek::PublicKey::from(*key)).was_contributory()
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Begun").finish_non_exhaustive()
    }
}
