//! SecretConnection, the encrypted channel of `tcp://` (CometBFT `p2p/conn/secret_connection.go`).
//!
//! Both sides send an X25519 key, derive a key for each direction, and inside the channel sign a
//! challenge with their Ed25519 identity. The same on the wire from v0.34 to v0.40, in v1 and v2.
//! A validator makes a new identity at every start, so it cannot be told who its validator should be.
//!
//! It is written out here because existing crates cap messages at 1 MiB, write once per kilobyte, lose
//! bytes when a read is cancelled, or end the process on a hostile first message. Nothing here can:
//! all lengths are checked, and no peer's byte is an index.

mod frames;
mod keys;

use std::io;
use std::time::Duration;

use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};
use tokio::time::timeout;

use self::frames::{Opener, Sealer};
use self::keys::{Agreed, Ephemeral};
use super::sealed::{SealedReader, SealedWriter};
use super::write_message;
use crate::types::PublicKey;

pub use frames::FrameError;

/// Opens what the validator sealed.
pub type SecretReader<R> = SealedReader<R, Opener>;
/// Seals what goes to the validator.
pub type SecretWriter<W> = SealedWriter<W, Sealer>;

/// Length, tag and length before the 32 bytes of an ephemeral key: a delimited `BytesValue`.
const EPHEMERAL_PREFIX: [u8; 3] = [0x22, 0x0a, 0x20];
/// Before the 32 bytes of an identity key: a delimited `AuthSigMessage` with an Ed25519 key.
const IDENTITY_PREFIX: [u8; 5] = [0x66, 0x0a, 0x22, 0x0a, 0x20];
/// Before the 64 bytes of the signature.
const SIGNATURE_PREFIX: [u8; 2] = [0x12, 0x40];
/// What is read from the transport at once, in bytes.
const READ_BYTES: usize = 32 * 1024;
/// For the rest of an ephemeral key that has begun to come: CometBFT writes it at once.
const EPHEMERAL_REST: Duration = Duration::from_secs(5);

/// Why there is no secret connection. The transport is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum SecretConnectionError {
    /// The transport failed or ended, or a frame was refused ([`FrameError`]).
    #[error("SecretConnection handshake: {0}")]
    Io(#[from] io::Error),
    /// The system gives no random bytes.
    #[error("no random bytes for an ephemeral key: {0}")]
    Random(getrandom::Error),
    /// The first message is none: perhaps no CometBFT listens there.
    #[error("the peer's first message begins with {0:02x?}, which no SecretConnection does")]
    EphemeralKey([u8; 3]),
    /// The peer has begun its first message and does not end it.
    #[error("the peer began its ephemeral key and did not end it within {} s", EPHEMERAL_REST.as_secs())]
    EphemeralTimeout,
    /// The key exchange would have a result known to everyone.
    #[error("the peer's ephemeral key is of low order")]
    LowOrderKey,
    /// Key derivation failed; its lengths are constants, so this does not happen.
    #[error("the keys of the connection cannot be derived")]
    KeyDerivation,
    /// Not an Ed25519 key with a signature.
    #[error("the peer does not identify itself with an ed25519 key and signature")]
    Identity,
    /// A key for which anybody can sign, or which is written in two ways.
    #[error("the peer's identity key is not a canonical point of large order")]
    IdentityKey,
    /// The peer does not hold the identity key, or somebody sits in between.
    #[error("the peer's signature of the challenge is wrong")]
    Signature,
}

/// Both ephemeral keys are known, so somebody answers; who, is not known yet.
#[derive(Debug)]
pub struct Exchanged<R, W> {
    reader: BufReader<R>,
    writer: W,
    agreed: Agreed,
}

/// Sends an ephemeral key at once, then waits for the peer's, for ever: a validator serves one signer
/// at a time and leaves others waiting in its backlog, where one that gives up costs it 5 s. Only once
/// the first byte has come is there a deadline.
///
/// # Errors
/// [`SecretConnectionError`].
pub async fn exchange_keys<R, W>(
    reader: R,
    mut writer: W,
) -> Result<Exchanged<R, W>, SecretConnectionError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut reader = BufReader::with_capacity(READ_BYTES, reader);
    let ephemeral = Ephemeral::generate()?;
    let mut hello = EPHEMERAL_PREFIX.to_vec();
    hello.extend_from_slice(ephemeral.public());
    let send = async { Ok(write_message(&mut writer, &hello).await?) };
    let (theirs, ()) = tokio::try_join!(read_ephemeral(&mut reader), send)?;
    let agreed = ephemeral.agree(theirs)?;
    Ok(Exchanged { reader, writer, agreed })
}

async fn read_ephemeral<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
) -> Result<[u8; 32], SecretConnectionError> {
    reader.fill_buf().await?;
    timeout(EPHEMERAL_REST, read_begun_ephemeral(reader))
        .await
        .map_err(|_| SecretConnectionError::EphemeralTimeout)?
}

async fn read_begun_ephemeral<R: AsyncRead + Unpin>(
    reader: &mut BufReader<R>,
) -> Result<[u8; 32], SecretConnectionError> {
    let mut prefix = [0; 3];
    reader.read_exact(&mut prefix).await?;
    if prefix != EPHEMERAL_PREFIX {
        return Err(SecretConnectionError::EphemeralKey(prefix));
    }
    let mut key = [0; 32];
    reader.read_exact(&mut key).await?;
    Ok(key)
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Exchanged<R, W> {
    /// Proves our identity and has the peer prove its own. A live peer answers within a round trip, so
    /// give this a deadline.
    ///
    /// # Errors
    /// [`SecretConnectionError`].
    pub async fn authenticate(
        self,
        identity: &SigningKey,
    ) -> Result<(SecretReader<R>, SecretWriter<W>, PublicKey), SecretConnectionError> {
        let Agreed { receive, send, challenge } = self.agreed;
        let mut reader = SecretReader::new(self.reader, Opener::new(&receive));
        let mut writer = SecretWriter::new(self.writer, Sealer::new(&send));
        let mut ours = IDENTITY_PREFIX.to_vec();
        ours.extend_from_slice(identity.verifying_key().as_bytes());
        ours.extend_from_slice(&SIGNATURE_PREFIX);
        ours.extend_from_slice(&identity.sign(&challenge).to_bytes());
        let send = async { Ok(write_message(&mut writer, &ours).await?) };
        let (theirs, ()) = tokio::try_join!(read_identity(&mut reader, &challenge), send)?;
        Ok((reader, writer, theirs))
    }
}

async fn read_identity<R: AsyncRead + Unpin>(
    reader: &mut R,
    challenge: &[u8; 32],
) -> Result<PublicKey, SecretConnectionError> {
    let mut prefix = [0; IDENTITY_PREFIX.len()];
    reader.read_exact(&mut prefix).await?;
    if prefix != IDENTITY_PREFIX {
        return Err(SecretConnectionError::Identity);
    }
    let mut key = [0; 32];
    reader.read_exact(&mut key).await?;
    let mut prefix = [0; SIGNATURE_PREFIX.len()];
    reader.read_exact(&mut prefix).await?;
    if prefix != SIGNATURE_PREFIX {
        return Err(SecretConnectionError::Identity);
    }
    let mut signature = [0; 64];
    reader.read_exact(&mut signature).await?;
    verify_identity(&key, &signature, challenge)?;
    Ok(PublicKey::ed25519(key))
}

fn verify_identity(
    key: &[u8; 32],
    signature: &[u8; 64],
    challenge: &[u8; 32],
) -> Result<(), SecretConnectionError> {
    let point = VerifyingKey::from_bytes(key).map_err(|_| SecretConnectionError::IdentityKey)?;
    if point.is_weak() || point.to_edwards().compress().as_bytes() != key {
        return Err(SecretConnectionError::IdentityKey);
    }
    point
        .verify_strict(challenge, &Signature::from_bytes(signature))
        .map_err(|_| SecretConnectionError::Signature)
}

/// [`exchange_keys`] and [`Exchanged::authenticate`] in one: what is read and written from here on is
/// encrypted, and the peer holds the key that is returned. Has no deadline.
///
/// # Errors
/// [`SecretConnectionError`].
pub async fn handshake<R, W>(
    reader: R,
    writer: W,
    identity: &SigningKey,
) -> Result<(SecretReader<R>, SecretWriter<W>, PublicKey), SecretConnectionError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    exchange_keys(reader, writer).await?.authenticate(identity).await
}

#[cfg(test)]
mod tests;
