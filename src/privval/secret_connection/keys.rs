//! Key agreement of a SecretConnection, without I/O.

use std::fmt;

use hkdf::Hkdf;
use merlin::Transcript;
use sha2::Sha256;
use x25519_dalek::StaticSecret;
use zeroize::Zeroizing;

use super::SecretConnectionError;

const HKDF_INFO: &[u8] = b"TENDERMINT_SECRET_CONNECTION_KEY_AND_CHALLENGE_GEN";

/// A key of one direction.
pub(super) type FrameKey = Zeroizing<[u8; 32]>;

/// Our half of the key exchange, used once.
pub(super) struct Ephemeral {
    secret: StaticSecret,
    public: [u8; 32],
}

/// What both sides know after it.
pub(super) struct Agreed {
    /// Opens what comes.
    pub(super) receive: FrameKey,
    /// Seals what goes.
    pub(super) send: FrameKey,
    /// What both identities sign.
    pub(super) challenge: [u8; 32],
}

impl Ephemeral {
    pub(super) fn generate() -> Result<Self, SecretConnectionError> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).map_err(SecretConnectionError::Random)?;
        Ok(Self::from_secret(*secret))
    }

    fn from_secret(secret: [u8; 32]) -> Self {
        let secret = StaticSecret::from(secret);
        let public = x25519_dalek::PublicKey::from(&secret).to_bytes();
        Self { secret, public }
    }

    pub(super) const fn public(&self) -> &[u8; 32] {
        &self.public
    }

    /// Completes the exchange. A low-order key of the peer, which would make the secret zero, is refused.
    pub(super) fn agree(self, theirs: [u8; 32]) -> Result<Agreed, SecretConnectionError> {
        let shared = self.secret.diffie_hellman(&x25519_dalek::PublicKey::from(theirs));
        if !shared.was_contributory() {
            return Err(SecretConnectionError::LowOrderKey);
        }
        let lower = self.public < theirs;
        let (low, high) = if lower { (&self.public, &theirs) } else { (&theirs, &self.public) };
        let [first, second] = frame_keys(shared.as_bytes())?;
        let (receive, send) = if lower { (first, second) } else { (second, first) };
        Ok(Agreed { receive, send, challenge: challenge(low, high, shared.as_bytes()) })
    }
}

/// The keys of both directions: the side with the lower public key receives with the first.
fn frame_keys(shared: &[u8; 32]) -> Result<[FrameKey; 2], SecretConnectionError> {
    // 32 bytes more once were the challenge; HKDF's output does not depend on how much is taken.
    let mut output = Zeroizing::new([0; 64]);
    Hkdf::<Sha256>::new(None, shared)
        .expand(HKDF_INFO, output.as_mut_slice())
        .map_err(|_| SecretConnectionError::KeyDerivation)?;
    let mut keys = [FrameKey::default(), FrameKey::default()];
    for (key, bytes) in keys.iter_mut().zip(output.chunks_exact(32)) {
        key.copy_from_slice(bytes);
    }
    Ok(keys)
}

fn challenge(low: &[u8; 32], high: &[u8; 32], shared: &[u8; 32]) -> [u8; 32] {
    let mut transcript = Transcript::new(b"TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH");
    transcript.append_message(b"EPHEMERAL_LOWER_PUBLIC_KEY", low);
    transcript.append_message(b"EPHEMERAL_UPPER_PUBLIC_KEY", high);
    transcript.append_message(b"DH_SECRET", shared);
    let mut challenge = [0; 32];
    transcript.challenge_bytes(b"SECRET_CONNECTION_MAC", &mut challenge);
    challenge
}

impl fmt::Debug for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreed").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> [u8; 32] {
        hex::decode(text).unwrap().try_into().unwrap()
    }

    #[test]
    fn agrees_on_the_keys_and_challenge_of_cometbft() {
        let low_public = bytes("a4e09292b651c278b9772c569f5fa9bb13d906b46ab68c9df9dc2b4409f8a209");
        let high_public = bytes("ce8d3ad1ccb633ec7b70c17814a5c76ecd029685050d344745ba05870e587d59");
        let low = Ephemeral::from_secret([1; 32]);
        let high = Ephemeral::from_secret([2; 32]);
        assert_eq!((low.public(), high.public()), (&low_public, &high_public));
        let shared = low.secret.diffie_hellman(&high_public.into());
        assert_eq!(
            shared.to_bytes(),
            bytes("2ed76ab549b1e73c031eb49c9448f0798aea81b698279a0c3dc3e49fbfc4b953")
        );
        let low = low.agree(high_public).unwrap();
        let high = high.agree(low_public).unwrap();
        let first = bytes("e57986db437b44e0f07279abf95e2c818b2ad8ab9e36f079d54b6a29be14d097");
        let second = bytes("ce20ea7cf36f4d507a1cd6313cde6cf7a38c1148e49277aa79cf8390fc2a3ba9");
        assert_eq!((*low.receive, *low.send), (first, second));
        assert_eq!((*high.receive, *high.send), (second, first));
        let challenge = bytes("4206c8c11bdca5a661d2a4939fd3566e52fbf4ea7501df0d089bcd055291f25d");
        assert_eq!((low.challenge, high.challenge), (challenge, challenge));
    }

    #[test]
    fn refuses_every_low_order_key() {
        // RFC 7748 section 6.1; the points of order 1, 2, 4 and 8 and their non-canonical forms.
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
            let refused = Ephemeral::generate().unwrap().agree(bytes(key));
            assert!(matches!(refused, Err(SecretConnectionError::LowOrderKey)), "{key}");
        }
    }
}
