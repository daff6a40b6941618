//! Answering a validator's requests, strictly in order.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::dial::DialError;
use super::journal::Journal;
use super::pacer::Pacer;
use super::{Address, RawRequestFor, Sign, SignRequestFor};
use crate::peer::Signed;
use crate::privval::noise::{NoiseError, PeerId};
use crate::privval::{
    Echo, FramingError, MAX_REQUEST_BYTES, MessageReader, Reply, ReplyKind, Request, RequestError,
    parse_for, secret_connection::SecretConnectionError, write_message,
};
use crate::signing::{RawVerdict, Verdict};
use crate::types::ChainId;

/// A live validator asks or pings every 3.3 s (`privval/signer_listener_endpoint.go`).
const SILENCE: Duration = Duration::from_secs(20);
/// CometBFT closes the connection when it has no reply after 5 s.
const ANSWER: Duration = Duration::from_millis(4500);
/// CometBFT reads replies at once; they fit into any socket buffer.
const WRITE: Duration = Duration::from_secs(5);
/// A reply is given this long to arrive before the connection is reset under it.
const LINGER: Duration = Duration::from_millis(50);

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum Loss {
    /// No socket.
    #[error("{0}")]
    Dial(#[from] DialError),
    /// The system gives no random bytes.
    #[error("no random bytes for an identity: {0}")]
    Random(getrandom::Error),
    /// A socket, but no SecretConnection.
    #[error("{0}")]
    Handshake(#[from] SecretConnectionError),
    /// A socket, but no noise connection.
    #[error("{0}")]
    Noise(#[from] NoiseError),
    /// A validator that has seen who we are, and did not want us.
    #[error(
        "the validator closed the connection right after the handshake and asked nothing: it probably pins \
         another signer. This one is {ours}; in the config.toml of a validator that shall use it stands \
         priv_validator_laddr = \"noise://{ours}@{at}\""
    )]
    Unwanted {
        /// Who we are.
        ours: PeerId,
        /// Where the validator was reached.
        at: SocketAddr,
    },
    /// `noise://`, and nobody to be there.
    #[error("noise:// needs an identity, see `cosigner peer-id --help`")]
    NoIdentity,
    /// The validator began a handshake and did not end it.
    #[error("the handshake took longer than {} s", .0.as_secs())]
    HandshakeTimeout(Duration),
    /// Nothing more to be read from this stream.
    #[error("{0}")]
    Framing(#[from] FramingError),
    /// What came is no privval.
    #[error("{0}")]
    Malformed(RequestError),
    /// The validator closed it between messages.
    #[error("the validator closed the connection")]
    Closed,
    /// Not even a ping.
    #[error("the validator was silent for {} s", SILENCE.as_secs())]
    Silent,
    /// A reply could not be sent.
    #[error("writing to the validator: {0}")]
    Write(io::Error),
    /// The validator does not read.
    #[error("the validator did not read its reply within {} s", WRITE.as_secs())]
    WriteTimeout,
    /// [`super::Control::let_go`].
    #[error("nothing can be signed here at present, the validator is to take another signer")]
    LetGo,
    /// [`super::Control::shut_down`].
    #[error("shutting down")]
    Shutdown,
}

/// Who asks whom for what: the parts of a connection that outlive its sockets.
#[derive(Debug)]
pub(super) struct Parties<S> {
    pub(super) chain: ChainId,
    pub(super) address: Address,
    pub(super) signer: S,
}

/// The ends that are not the validator's.
#[derive(Debug)]
pub(super) struct Commands {
    pub(super) let_go: watch::Receiver<u64>,
    pub(super) shutdown: watch::Receiver<bool>,
}

impl Commands {
    pub(super) async fn shut_down(&mut self) {
        // An error means that nobody is left who could command; then this ends, too.
        let _ = self.shutdown.wait_for(|begun| *begun).await;
    }

    async fn let_go(&mut self) {
        let _ = self.let_go.changed().await;
    }
}

/// A connection that the validator has taken, until it is lost.
pub(super) async fn serve<S, R, W>(
    parties: &Parties<S>,
    commands: &mut Commands,
    journal: &mut Journal,
    pacer: &mut Pacer,
    reader: &mut MessageReader<R>,
    writer: &mut W,
    first: Option<Vec<u8>>,
) -> Loss
where
    S: Sign,
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    // Only calls from now on are meant.
    commands.let_go.mark_unchanged();
    let mut next = first;
    let mut replied_at = None;
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => match read(commands, reader).await {
                Ok(message) => message,
                Err(loss) => {
                    if let (Loss::Shutdown, Some(at)) = (&loss, replied_at) {
                        sleep_until(at + LINGER).await;
                    }
                    return loss;
                }
            },
        };
        let reply = tokio::select! {
            biased;
            () = commands.let_go() => return Loss::LetGo,
            reply = answer(parties, journal, pacer, message) => reply,
        };
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => return Loss::Malformed(error),
        };
        if matches!(reply, Reply::Error { .. } | Reply::Empty) {
            sleep(pacer.refused(Instant::now())).await;
        }
        let bytes = reply.encode();
        match timeout(WRITE, write_message(writer, &bytes)).await {
            Ok(Ok(())) => replied_at = Some(Instant::now()),
            Ok(Err(error)) => return Loss::Write(error),
            Err(_) => return Loss::WriteTimeout,
        }
        journal.answered();
        // One that asks without pause takes turns with the others, request by request.
        yield_now().await;
    }
}

/// The first request on a connection without handshake: there is no other sign of being taken.
pub(super) async fn first_request<R: AsyncRead + Unpin>(
    reader: &mut MessageReader<R>,
) -> Result<Vec<u8>, Loss> {
    if !reader.begun().await? {
        return Err(Loss::Closed);
    }
    // Whoever has begun a message is not waiting for its turn.
    timeout(SILENCE, reader.read()).await.map_err(|_| Loss::Silent)??.ok_or(Loss::Closed)
}

/// The first request on a connection whose validator has just learnt who we are, and may not want us. It
/// asks for the key at its start, and pings otherwise.
pub(super) async fn first_request_if_wanted<R: AsyncRead + Unpin>(
    commands: &mut Commands,
    reader: &mut MessageReader<R>,
    ours: PeerId,
    at: SocketAddr,
) -> Result<Vec<u8>, Loss> {
    commands.let_go.mark_unchanged();
    match read(commands, reader).await {
        Err(Loss::Closed | Loss::Framing(FramingError::Io(_))) => Err(Loss::Unwanted { ours, at }),
        other => other,
    }
}

/// Reads requests, limited in length.
pub(super) fn requests<R: AsyncRead + Unpin>(reader: R) -> MessageReader<R> {
    MessageReader::new(reader, MAX_REQUEST_BYTES)
}

async fn read<R: AsyncRead + Unpin>(
    commands: &mut Commands,
    reader: &mut MessageReader<R>,
) -> Result<Vec<u8>, Loss> {
    let Commands { let_go, shutdown } = commands;
    tokio::select! {
        biased;
        _ = shutdown.wait_for(|begun| *begun) => Err(Loss::Shutdown),
        _ = let_go.changed() => Err(Loss::LetGo),
        message = timeout(SILENCE, reader.read()) => match message {
            Ok(message) => message?.ok_or(Loss::Closed),
            Err(_) => Err(Loss::Silent),
        },
    }
}

/// The reply to one message, or why the connection has to be closed.
async fn answer<S: Sign>(
    parties: &Parties<S>,
    journal: &mut Journal,
    pacer: &mut Pacer,
    message: Vec<u8>,
) -> Result<Reply, RequestError> {
    let wrong_chain = |journal: &mut Journal, kind: ReplyKind, chain: &str| {
        journal.refused(format!(
            "{kind} request for chain {chain:?} on a connection for {}",
            parties.chain
        ));
        Reply::wrong_chain(kind)
    };
    let dialect = parties.signer.dialect(&parties.chain);
    let request = parse_for(&message, &dialect);
    // Perhaps megabytes, which are not wanted while the request is signed.
    drop(message);
    match request {
        Ok(Request::Ping) => Ok(Reply::Ping),
        Ok(Request::PublicKey { chain }) if chain != parties.chain.as_str() => {
            Ok(wrong_chain(journal, ReplyKind::PublicKey, &chain))
        }
        Ok(Request::PublicKey { chain }) => match parties.signer.public_key(&chain) {
            Some(key) => Ok(Reply::PublicKey { key, version: dialect.version }),
            None => {
                journal.refused(format!("the public key of chain {chain} is not known"));
                Ok(Reply::error(ReplyKind::PublicKey, "not known"))
            }
        },
        Ok(Request::Sign { chain, echo, .. }) if chain != parties.chain.as_str() => {
            Ok(wrong_chain(journal, echo.kind(), &chain))
        }
        Ok(Request::Sign { request, echo, .. }) => {
            let request = SignRequestFor {
                chain: parties.chain.clone(),
                fields: request.fields,
                extension: request.extension,
                validator: parties.address.clone(),
            };
            let verdict = timeout(ANSWER, parties.signer.sign(request)).await;
            if matches!(verdict, Ok(Verdict::Repeated(_))) {
                sleep(pacer.repeated(Instant::now())).await;
            }
            Ok(reply(
                journal,
                *echo,
                verdict.unwrap_or_else(|late| Verdict::NotNow(late.to_string())),
            ))
        }
        Ok(Request::Raw { chain: Some(chain), .. }) if chain != parties.chain.as_str() => {
            Ok(wrong_chain(journal, ReplyKind::Bytes, &chain))
        }
        Ok(Request::Raw { message, .. }) => {
            let request = RawRequestFor {
                chain: parties.chain.clone(),
                message,
                validator: parties.address.clone(),
            };
            let verdict = timeout(ANSWER, parties.signer.sign_raw(request)).await;
            let verdict = verdict.unwrap_or_else(|late| RawVerdict::NotNow(late.to_string()));
            Ok(raw_reply(journal, verdict))
        }
        Ok(Request::Unknown) => Ok(Reply::Empty),
        Err(error) => match error.reply() {
            Some(reply) => {
                journal.refused(error.to_string());
                Ok(reply)
            }
            None => Err(error),
        },
    }
}

/// A refusal is logged once, as those of other requests are.
fn raw_reply(journal: &mut Journal, verdict: RawVerdict) -> Reply {
    match verdict {
        RawVerdict::Signed(signature) => Reply::SignedBytes(signature),
        RawVerdict::Refused(reason) => {
            journal.refused(format!("{}: {reason}", ReplyKind::Bytes));
            Reply::error(ReplyKind::Bytes, reason)
        }
        RawVerdict::NotNow(reason) => {
            journal.refused(format!("{}, the validator asks again: {reason}", ReplyKind::Bytes));
            Reply::Empty
        }
    }
}

fn reply(journal: &mut Journal, echo: Echo, verdict: Verdict) -> Reply {
    let kind = echo.kind();
    match verdict {
        Verdict::Signed(signed) | Verdict::Repeated(signed) => {
            let Signed { signature, timestamp, extension_signature } = signed;
            echo.signed(signature, timestamp, extension_signature).unwrap_or_else(|error| {
                journal.refused(error.to_string());
                Reply::error(kind, error)
            })
        }
        Verdict::Denied(denial) => Reply::error(kind, denial),
        Verdict::NotNow(_) => Reply::Empty,
        Verdict::GivenUp(reason) => Reply::error(kind, reason),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex, split};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::types::PublicKey;
    use crate::validator::Control;

    /// Knows its key and never comes to a verdict.
    #[derive(Clone)]
    struct Stuck;

    impl Sign for Stuck {
        fn public_key(&self, _: &str) -> Option<PublicKey> {
            Some(PublicKey::ed25519([7; 32]))
        }

        async fn sign(&self, _: SignRequestFor) -> Verdict {
            std::future::pending().await
        }
    }

    fn begin(control: &Control) -> (DuplexStream, JoinHandle<Loss>) {
        let (node, signer) = duplex(4096);
        let chain = ChainId::new("test-chain-1").unwrap();
        let address: Address = "unix:///nowhere".parse().unwrap();
        let mut journal = Journal::new(chain.clone(), address.clone());
        let mut commands =
            Commands { let_go: control.watch_let_go(), shutdown: control.watch_shutdown() };
        let parties = Parties { chain, address, signer: Stuck };
        let served = tokio::spawn(async move {
            let (reader, mut writer) = split(signer);
            let mut reader = requests(reader);
            let mut pacer = Pacer::default();
            let (commands, journal) = (&mut commands, &mut journal);
            serve(&parties, commands, journal, &mut pacer, &mut reader, &mut writer, None).await
        });
        (node, served)
    }

    const PING: [u8; 3] = [2, 0x3a, 0];
    const PONG: [u8; 3] = [2, 0x42, 0];

    #[tokio::test(start_paused = true)]
    async fn gives_a_connection_up_after_twenty_seconds_without_a_ping() {
        let control = Control::new();
        let (mut node, served) = begin(&control);
        let began = Instant::now();
        for _ in 0..10 {
            sleep(Duration::from_secs(19)).await;
            node.write_all(&PING).await.unwrap();
            let mut pong = [0; 3];
            node.read_exact(&mut pong).await.unwrap();
            assert_eq!(pong, PONG);
        }
        assert!(matches!(served.await.unwrap(), Loss::Silent));
        assert_eq!(began.elapsed().as_secs(), 10 * 19 + 20);
    }

    #[tokio::test(start_paused = true)]
    async fn says_not_now_before_cometbft_loses_patience() {
        let control = Control::new();
        let (mut node, _served) = begin(&control);
        // SignVoteRequest for a prevote of nil at height 0.
        let mut request = vec![20, 0x1a, 18, 0x0a, 2, 0x08, 1, 0x12, 12];
        request.extend_from_slice(b"test-chain-1");
        let began = Instant::now();
        node.write_all(&request).await.unwrap();
        assert_eq!(node.read_u8().await.unwrap(), 0);
        assert_eq!(began.elapsed(), ANSWER);
    }

    #[tokio::test(start_paused = true)]
    async fn closes_at_once_when_told_to_let_go_while_it_signs() {
        let control = Control::new();
        let (mut node, served) = begin(&control);
        let mut request = vec![20, 0x1a, 18, 0x0a, 2, 0x08, 1, 0x12, 12];
        request.extend_from_slice(b"test-chain-1");
        node.write_all(&request).await.unwrap();
        sleep(Duration::from_millis(1)).await;
        control.let_go();
        assert!(matches!(served.await.unwrap(), Loss::LetGo));
        assert_eq!(node.read_u8().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test(start_paused = true)]
    async fn refuses_no_faster_than_twenty_times_a_second_and_answers_the_rest_at_once() {
        let control = Control::new();
        let (mut node, _served) = begin(&control);
        let began = Instant::now();
        // Messages of length zero ask for nothing.
        for _ in 0..100 {
            node.write_all(&[0]).await.unwrap();
            assert_eq!(node.read_u8().await.unwrap(), 0);
        }
        assert_eq!(began.elapsed(), Duration::from_secs(4));
        for _ in 0..100 {
            node.write_all(&PING).await.unwrap();
            let mut pong = [0; 3];
            node.read_exact(&mut pong).await.unwrap();
        }
        assert_eq!(began.elapsed(), Duration::from_secs(4));
    }

    #[tokio::test]
    async fn takes_turns_with_other_connections_request_by_request() {
        let control = Control::new();
        let (mut node, _served) = begin(&control);
        node.write_all(&PING.repeat(1000)).await.unwrap();
        let mut turns = 0;
        let others = async {
            loop {
                turns += 1;
                yield_now().await;
            }
        };
        let mut pongs = [0; 3000];
        tokio::select! {
            read = node.read_exact(&mut pongs) => assert_eq!(read.unwrap(), 3000),
            () = others => {}
        }
        assert!(turns >= 1000, "{turns} turns during 1000 answers");
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_request_has_no_deadline_until_it_has_begun() {
        let (mut node, signer) = duplex(4096);
        let first = tokio::spawn(async move {
            let mut reader = requests(signer);
            first_request(&mut reader).await
        });
        sleep(Duration::from_secs(100_000)).await;
        assert!(!first.is_finished());
        let began = Instant::now();
        node.write_all(&PING[..1]).await.unwrap();
        assert!(matches!(first.await.unwrap(), Err(Loss::Silent)));
        assert_eq!(began.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn lets_the_last_reply_arrive_before_it_closes() {
        let control = Control::new();
        let (mut node, served) = begin(&control);
        node.write_all(&PING).await.unwrap();
        let mut pong = [0; 3];
        node.read_exact(&mut pong).await.unwrap();
        let began = Instant::now();
        control.shut_down();
        assert!(matches!(served.await.unwrap(), Loss::Shutdown));
        assert!(began.elapsed() >= LINGER);
    }

    #[tokio::test]
    async fn a_validator_that_closes_after_the_handshake_is_told_whom_to_pin() {
        let ours: PeerId = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB".parse().unwrap();
        let at = "10.0.0.1:26659".parse().unwrap();
        let control = Control::new();
        let mut commands =
            Commands { let_go: control.watch_let_go(), shutdown: control.watch_shutdown() };
        let (mut node, signer) = duplex(4096);
        let mut reader = requests(signer);
        node.write_all(&PING).await.unwrap();
        let first = first_request_if_wanted(&mut commands, &mut reader, ours, at).await;
        assert_eq!(first.unwrap(), PING[1..]);
        drop(node);
        let loss = first_request_if_wanted(&mut commands, &mut reader, ours, at).await.unwrap_err();
        let setting = format!("priv_validator_laddr = \"noise://{ours}@10.0.0.1:26659\"");
        assert!(loss.to_string().ends_with(&setting), "{loss}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_validator_that_stays_and_asks_nothing_is_given_up_as_silent() {
        let ours: PeerId = "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB".parse().unwrap();
        let control = Control::new();
        let mut commands =
            Commands { let_go: control.watch_let_go(), shutdown: control.watch_shutdown() };
        let (_node, signer) = duplex(4096);
        let at = "10.0.0.1:26659".parse().unwrap();
        let first = first_request_if_wanted(&mut commands, &mut requests(signer), ours, at).await;
        assert!(matches!(first, Err(Loss::Silent)), "{first:?}");
    }
}
