//! From one connection to the next.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::control::Entry;
use super::dial::{DialError, Dialled, dial};
use super::journal::Journal;
use super::pacer::Pacer;
use super::serve::{
    Commands, Loss, Parties, first_request, first_request_if_wanted, requests, serve,
};
use super::{Address, ConnectionState, Control, Sign};
use crate::privval::MessageReader;
use crate::privval::noise::{Identity, PeerId, greet};
use crate::privval::secret_connection::exchange_keys;
use crate::types::ChainId;

/// Shortest pause before redialling. Flat: a validator that finds no signer for 3 s at its start exits.
const PAUSE_MS: u16 = 150;
/// Added to the pause at random, so that cosigners do not dial in step.
const JITTER_MS: u16 = 150;
/// The validator's part of a handshake that it has begun.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A wait shorter than this is not worth a log line.
const NOTABLE_WAIT: Duration = Duration::from_secs(1);

/// Keeps a connection to one validator and answers for one chain on it, until
/// [`Control::shut_down`]. Never fails: what goes wrong is logged, shown in
/// [`Control::connections`], and tried again. `identity` is who we are on `noise://`; it is not used
/// elsewhere.
pub async fn run<S: Sign>(
    chain: ChainId,
    address: Address,
    identity: Option<Arc<Identity>>,
    signer: S,
    control: Control,
) {
    let journal = Journal::new(chain.clone(), address.clone());
    let mut link = Link {
        identity,
        entry: control.enter(&chain, &address, journal.left_out()),
        journal,
        commands: Commands { let_go: control.watch_let_go(), shutdown: control.watch_shutdown() },
        pacer: Pacer::default(),
        parties: Parties { chain, address, signer },
    };
    loop {
        let loss = link.connection().await;
        link.entry.set(ConnectionState::Dialling);
        link.journal.lost(&loss);
        let ended = tokio::select! {
            biased;
            () = link.commands.shut_down() => true,
            () = sleep(pause()) => false,
        };
        if ended {
            return;
        }
    }
}

fn pause() -> Duration {
    // Without random bytes there is no connection either; the pause then needs no jitter.
    let jitter = getrandom::u32().map_or(0, |random| random % u32::from(JITTER_MS));
    Duration::from_millis(u64::from(PAUSE_MS) + u64::from(jitter))
}

struct Link<S> {
    identity: Option<Arc<Identity>>,
    parties: Parties<S>,
    commands: Commands,
    /// Outlives connections: dialling anew brings no new patience.
    pacer: Pacer,
    journal: Journal,
    entry: Entry,
}

impl<S: Sign> Link<S> {
    /// One connection from dialling to its loss.
    async fn connection(&mut self) -> Loss {
        let dialled = tokio::select! {
            biased;
            () = self.commands.shut_down() => return Loss::Shutdown,
            dialled = dial(&self.parties.address) => dialled,
        };
        let result = match dialled {
            Ok(Dialled::Tcp(stream)) => self.tcp(stream).await,
            Ok(Dialled::Noise(stream, peer)) => self.noise(stream, peer).await,
            Ok(Dialled::Unix(stream)) => {
                let (reader, mut writer) = stream.into_split();
                let mut reader = requests(reader);
                match self.backlog(first_request(&mut reader)).await {
                    Ok(first) => Ok(self.serve(&mut reader, &mut writer, Some(first)).await),
                    Err(loss) => Err(loss),
                }
            }
            Err(error) => Err(error.into()),
        };
        result.unwrap_or_else(|loss| loss)
    }

    async fn tcp(&mut self, stream: TcpStream) -> Result<Loss, Loss> {
        // Not `into_split`: its halves end the stream in order when they are dropped, see `dial`.
        let (reader, writer) = tokio::io::split(stream);
        let exchanged = self.backlog(async { Ok(exchange_keys(reader, writer).await?) }).await?;
        let identity = passing_identity()?;
        let done = self.handshake(async { Ok(exchanged.authenticate(&identity).await?) }).await?;
        let (reader, mut writer, _) = done;
        Ok(self.serve(&mut requests(reader), &mut writer, None).await)
    }

    async fn noise(&mut self, stream: TcpStream, peer: PeerId) -> Result<Loss, Loss> {
        let Some(identity) = self.identity.clone() else { return Err(Loss::NoIdentity) };
        let at = stream.peer_addr().map_err(DialError::from)?;
        // Not `into_split`, as above.
        let (reader, writer) = tokio::io::split(stream);
        let greeted = self.backlog(async { Ok(greet(reader, writer).await?) }).await?;
        let done =
            self.handshake(async { Ok(greeted.authenticate(&identity, &peer).await?) }).await?;
        let (reader, mut writer) = done;
        let mut reader = requests(reader);
        let ours = *identity.peer_id();
        let first = first_request_if_wanted(&mut self.commands, &mut reader, ours, at).await?;
        Ok(self.serve(&mut reader, &mut writer, Some(first)).await)
    }

    /// What a validator that has taken the connection answers within a round trip.
    async fn handshake<T>(
        &mut self,
        done: impl Future<Output = Result<T, Loss>>,
    ) -> Result<T, Loss> {
        tokio::select! {
            biased;
            () = self.commands.shut_down() => Err(Loss::Shutdown),
            done = timeout(HANDSHAKE, done) => {
                done.unwrap_or(Err(Loss::HandshakeTimeout(HANDSHAKE)))
            }
        }
    }

    /// Waits for the validator to take the connection, without deadline (privval trap T2).
    async fn backlog<T>(
        &mut self,
        taken: impl Future<Output = Result<T, Loss>>,
    ) -> Result<T, Loss> {
        self.entry.set(ConnectionState::Waiting);
        let mut taken = pin!(taken);
        let mut long = pin!(sleep(NOTABLE_WAIT));
        let mut noted = false;
        loop {
            tokio::select! {
                biased;
                () = self.commands.shut_down() => return Err(Loss::Shutdown),
                result = &mut taken => return result,
                () = &mut long, if !noted => {
                    noted = true;
                    self.journal.waiting();
                }
            }
        }
    }

    async fn serve<R, W>(
        &mut self,
        reader: &mut MessageReader<R>,
        writer: &mut W,
        first: Option<Vec<u8>>,
    ) -> Loss
    where
        R: AsyncRead + Unpin,
        W: AsyncWrite + Unpin,
    {
        self.entry.set(ConnectionState::Connected);
        self.journal.taken();
        let Self { parties, commands, journal, pacer, .. } = self;
        serve(parties, commands, journal, pacer, reader, writer, first).await
    }
}

/// A validator looks at nobody's identity on `tcp://`, so a new one each time is as good as any.
fn passing_identity() -> Result<SigningKey, Loss> {
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(seed.as_mut_slice()).map_err(Loss::Random)?;
    Ok(SigningKey::from_bytes(&seed))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A validator that finds no signer for 3 s at its start exits.
    #[test]
    fn the_pause_before_redialling_is_flat_and_short() {
        for _ in 0..1000 {
            let pause = pause();
            assert!(pause >= Duration::from_millis(150) && pause < Duration::from_millis(300));
        }
    }
}
