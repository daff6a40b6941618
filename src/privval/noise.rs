//! libp2p's Noise, the encrypted channel of `noise://` (CometBFT from v0.40, `privval/noise_listener.go`).
//!
//! `Noise_XX_25519_ChaChaPoly_SHA256` with an empty prologue; we begin. Unlike on `tcp://` both sides
//! know whom they expect: the validator is compared with the pinned [`PeerId`] before it learns who we
//! are, and it compares our [`Identity`] with the one that it has pinned. The primitives are snow's;
//! identities, their comparison and the frames are here. No length from the peer reserves memory beyond
//! what it can say (65535), and no byte of it is an index.

mod frames;
mod handshake;
mod identity;
mod peer_id;

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, BufReader};

use self::handshake::Begun;
use super::sealed::{SealedReader, SealedWriter};
use super::write_message;

pub use frames::FrameError;
pub use identity::{Identity, IdentityError};
pub use peer_id::{PeerId, PeerIdError};

/// Opens what the validator sealed.
pub type NoiseReader<R> = SealedReader<R, frames::Opener>;
/// Seals what goes to the validator.
pub type NoiseWriter<W> = SealedWriter<W, frames::Sealer>;

/// What is read from the transport at once, in bytes.
const READ_BYTES: usize = 32 * 1024;

/// Why there is no noise connection. The transport is of no further use.
#[derive(Debug, thiserror::Error)]
pub enum NoiseError {
    /// The transport failed or ended.
    #[error("noise handshake: {0}")]
    Io(#[from] io::Error),
    /// The system gives no random bytes.
    #[error("no random bytes for an ephemeral key: {0}")]
    Random(getrandom::Error),
    /// Our side of the handshake, whose inputs are constants and fresh keys: this does not happen.
    #[error("the noise handshake cannot be done here: {0}")]
    Engine(snow::Error),
    /// Not even two keys and a tag.
    #[error("the peer's message has {0} bytes, which is too short for a noise handshake")]
    TooShort(usize),
    /// More than any libp2p sends.
    #[error(
        "the peer's message says that it has {0} bytes, which is too long for a noise handshake: \
         perhaps that port is no noise:// listener (CometBFT from v0.40, priv_validator_laddr = \"noise://…\")"
    )]
    TooLong(usize),
    /// The key exchange would have a result known to everyone.
    #[error("the peer's {0} key is of low order")]
    LowOrderKey(&'static str),
    /// Changed on the way, or made by something that speaks otherwise.
    #[error("the peer's message is not sealed with the keys of this handshake")]
    Authentication,
    /// No protobuf.
    #[error("what the peer says of its identity does not decode: {0}")]
    Payload(prost::DecodeError),
    /// Nothing to compare with the pinned id.
    #[error("the peer does not say and prove who it is")]
    NoIdentity,
    /// An identity that nobody can have, or of another kind.
    #[error("the peer's identity cannot be used: {0}")]
    IdentityKey(PeerIdError),
    /// The peer does not hold the identity key, or somebody sits in between.
    #[error("the peer's signature of its noise key is wrong")]
    Signature,
    /// Somebody else.
    #[error(
        "the peer is {found}, but its address pins {pinned}: compare with `cometbft show-node-id --libp2p` there"
    )]
    OtherPeer {
        /// In the address.
        pinned: PeerId,
        /// Who answered, and has proven it.
        found: PeerId,
    },
}

/// Somebody answers; who, is not known yet.
#[derive(Debug)]
pub struct Greeted<R, W> {
    reader: BufReader<R>,
    writer: W,
    begun: Begun,
    /// Length of the answer that is coming.
    length: u16,
}

/// Sends an ephemeral key at once, then waits for an answer to begin, for ever: a validator serves one
/// signer at a time and leaves others waiting in its backlog, where one that gives up costs it 5 s.
///
/// # Errors
/// [`NoiseError`].
pub async fn greet<R, W>(reader: R, mut writer: W) -> Result<Greeted<R, W>, NoiseError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let mut reader = BufReader::with_capacity(READ_BYTES, reader);
    let (begun, first) = handshake::begin()?;
    let mut length = [0; 2];
    let (_, ()) = tokio::try_join!(reader.read_exact(&mut length), async {
        write_message(&mut writer, &first).await
    })?;
    Ok(Greeted { reader, writer, begun, length: u16::from_be_bytes(length) })
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Greeted<R, W> {
    /// Has the peer prove that it is `pinned`, and then proves who we are. Whether the peer wants us is
    /// not known then: it says no by closing. A live peer has sent everything, so give this a deadline.
    ///
    /// # Errors
    /// [`NoiseError`]; nothing of our identity has left then, unless the transport failed at the end.
    pub async fn authenticate(
        self,
        identity: &Identity,
        pinned: &PeerId,
    ) -> Result<(NoiseReader<R>, NoiseWriter<W>), NoiseError> {
        let Self { mut reader, mut writer, begun, length } = self;
        handshake::check_length(length.into())?;
        let mut second = vec![0; length.into()];
        reader.read_exact(&mut second).await?;
        let (third, sealer, opener) = begun.second(&second, pinned)?.third(identity)?;
        write_message(&mut writer, &third).await?;
        Ok((NoiseReader::new(reader, opener), NoiseWriter::new(writer, sealer)))
    }
}

#[cfg(test)]
pub(crate) use peer_id::cid_in_base32;

#[cfg(test)]
mod tests;
