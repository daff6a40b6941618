//! A key in AWS KMS.
//!
//! The key never leaves KMS; a signature costs one round trip to the region. What KMS answers is not
//! believed: the key's kind, usage and public half are checked when it connects, each answer must name
//! the key that was connected to, and each signature is verified here before it goes anywhere.
//!
//! - `blocking`: calls block on the key's own thread; the network lives on another one.
//! - `wallet`: credentials, renewed ahead of time.
//! - `connect`: client, deadlines, and the checks of a key.
//! - `kind`: what KMS calls the keys of each algorithm.
//! - `fault`: what AWS says, as a [`KeyFault`].

mod blocking;
mod connect;
mod fault;
mod kind;
#[cfg(test)]
mod tests;
mod wallet;

use std::time::{Duration, Instant};

use aws_sdk_kms::config::SharedHttpClient;

use super::{AwsKmsSource, Granted, KeyFault, ServiceMessage, Signatures, ToSign, WholeKey};
use crate::privval::RawAllowed;
use crate::types::{Algorithm, PublicKey, Signature};
use blocking::Blocking;
use connect::{Connection, Retries};
use wallet::{Load, Wallet};

/// Most bytes that KMS signs with `MessageType` RAW (API reference of Sign, `Message`).
const MESSAGE_LIMIT: usize = 4096;

/// One signature or look, all its attempts and a new connection together: the validator gives a
/// request about a second.
const TOTAL: Duration = Duration::from_millis(950);

/// How long the first credentials may take: sign-on, a process, or the search for an instance role.
const FIRST_CREDENTIALS: Duration = Duration::from_secs(10);

/// How long a call waits for a search for credentials that is under way.
const SEARCHING: Duration = Duration::from_millis(400);

/// A key that was used this recently is there; nothing is asked.
const FRESH: Duration = Duration::from_secs(30);

/// A throttled account is not asked about the key's health more often than this.
const THROTTLED: Duration = Duration::from_secs(2);

/// For how long a refused or wrong signature outweighs that the public key can be read: the two are
/// allowed by different permissions, and reading shows nothing of how KMS signs.
const REFUSED: Duration = Duration::from_secs(10);

/// What a key is opened with.
struct Setup {
    source: AwsKmsSource,
    http: SharedHttpClient,
    load: Load,
}

/// A key in AWS KMS.
struct AwsKms {
    blocking: Blocking,
    wallet: Wallet,
    http: SharedHttpClient,
    source: AwsKmsSource,
    public_key: PublicKey,
    connection: Option<Connection>,
    /// When KMS last did what was asked; `None` after a fault.
    last_used: Option<Instant>,
    hold: Option<Hold>,
}

/// A fault that is told again without asking.
struct Hold {
    until: Instant,
    fault: KeyFault,
    /// Number of the credentials, for a refusal: with other ones it is worth asking.
    credentials: Option<u64>,
}

/// Opens a key; works on any thread, a runtime's own included.
pub(super) fn open(
    source: &AwsKmsSource,
    expected: Option<&PublicKey>,
) -> Result<Box<dyn WholeKey>, KeyFault> {
    let http = connect::http_client();
    let load = wallet::default_chain(source, &http);
    let key = AwsKms::connect_with(Setup { source: source.clone(), http, load }, expected)?;
    Ok(Box::new(key))
}

impl AwsKms {
    /// Connects. With `expected`, a fault that may pass is left to [`WholeKey::health`].
    fn connect_with(setup: Setup, expected: Option<&PublicKey>) -> Result<Self, KeyFault> {
        let Setup { source, http, load } = setup;
        let blocking = Blocking::new()?;
        let wallet = Wallet::new(load, blocking.handle());
        let first = blocking.run(async {
            let loaded = wallet.ready(FIRST_CREDENTIALS).await?;
            Connection::open(&wallet, &loaded, &http, &source, expected).await
        })?;
        let (public_key, connection) = match (first, expected) {
            (Ok(connection), _) => (connection.public_key().clone(), Some(connection)),
            (Err(fault), Some(expected)) if fault.may_pass() => (expected.clone(), None),
            (Err(fault), _) => return Err(fault),
        };
        let last_used = connection.is_some().then(Instant::now);
        Ok(Self { blocking, wallet, http, source, public_key, connection, last_used, hold: None })
    }

    /// Does `work` on the connection, making one if there is none. Returns within [`TOTAL`].
    fn ask(&mut self, work: Work<'_>) -> Result<Signatures, KeyFault> {
        let begun = Instant::now();
        let Self { blocking, wallet, http, source, public_key, connection, .. } = self;
        let asked = blocking.run(async {
            let asked = async {
                let loaded = wallet.ready(SEARCHING).await?;
                let connection = match connection {
                    Some(connection) => connection,
                    None => {
                        let expected = Some(&*public_key);
                        let made =
                            Connection::open(wallet, &loaded, http, source, expected).await?;
                        connection.insert(made)
                    }
                };
                match work {
                    Work::Sign(granted) => connection.sign(granted).await,
                    Work::SignRaw(allowed) => connection.sign_raw(allowed).await,
                    Work::Service(what) => {
                        let vote = connection.sign_one(Some(what)).await?;
                        Ok(Signatures { vote, ..Signatures::default() })
                    }
                    Work::Look(retries) => connection.look(retries).await,
                }
            };
            tokio::time::timeout(TOTAL, asked).await
        })?;
        let result = asked.unwrap_or_else(|_| Err(KeyFault::NoAnswer { waited: begun.elapsed() }));
        self.note(result.as_ref().err());
        result
    }

    /// Draws the consequences of a fault.
    fn note(&mut self, fault: Option<&KeyFault>) {
        let Some(fault) = fault else {
            self.last_used = Some(Instant::now());
            return;
        };
        self.last_used = None;
        match fault {
            // The connection is as good as it was.
            KeyFault::Unreachable(_) | KeyFault::NoAnswer { .. } | KeyFault::TooLong { .. } => {}
            KeyFault::Throttled(_) => {
                let until = Instant::now() + THROTTLED;
                self.hold = Some(Hold { until, fault: fault.clone(), credentials: None });
            }
            KeyFault::Credentials(_) => {
                self.wallet.renew();
                self.connection = None;
            }
            // Whatever it was, the key is looked at again before it is used again.
            _ => self.connection = None,
        }
    }
}

/// What is asked of KMS.
#[derive(Clone, Copy)]
enum Work<'a> {
    Sign(&'a Granted),
    SignRaw(&'a RawAllowed),
    /// What is in a [`ServiceMessage`].
    Service(ToSign<'a>),
    Look(Retries),
}

impl WholeKey for AwsKms {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn sign(&mut self, granted: Granted) -> Result<Signatures, KeyFault> {
        self.sign_at_most(granted.longest(), Work::Sign(&granted))
    }

    fn sign_raw(&mut self, allowed: RawAllowed) -> Result<Signature, KeyFault> {
        let signed = self.sign_at_most(allowed.as_bytes().len(), Work::SignRaw(&allowed))?;
        signed.vote.ok_or(KeyFault::BadSignature)
    }

    fn sign_service(&mut self, message: &ServiceMessage<'_>) -> Result<Signature, KeyFault> {
        let key = self.public_key.clone();
        let what = message.to_sign(&key)?;
        let length = match what {
            ToSign::Message(bytes) => bytes.len(),
            ToSign::Digest(digest) => digest.len(),
        };
        let signed = self.sign_at_most(length, Work::Service(what))?;
        signed.vote.ok_or(KeyFault::BadSignature)
    }

    fn health(&mut self) -> Result<(), KeyFault> {
        if self.last_used.is_some_and(|at| at.elapsed() < FRESH) {
            return Ok(());
        }
        if let Some(fault) = self.held() {
            return Err(fault);
        }
        // One lost packet is no reason to call a key unavailable; while it is, each look is one try.
        let retries = if self.last_used.is_some() { Retries::Some } else { Retries::None };
        self.ask(Work::Look(retries)).map(|_| ())
    }

    fn message_limit(&self) -> Option<usize> {
        // Of the others only a hash is sent.
        (self.public_key.algorithm() == Algorithm::Ed25519).then_some(MESSAGE_LIMIT)
    }
}

impl AwsKms {
    /// Signs, if KMS takes a message of this length.
    fn sign_at_most(&mut self, length: usize, work: Work<'_>) -> Result<Signatures, KeyFault> {
        if let Some(limit) = self.message_limit().filter(|limit| length > *limit) {
            return Err(KeyFault::TooLong { length, limit });
        }
        // Of the credentials that are used now, in case they are renewed meanwhile.
        let credentials = Some(self.wallet.number());
        let signed = self.ask(work);
        match &signed {
            Ok(_) => self.hold = None,
            Err(
                fault @ (KeyFault::Credentials(_) | KeyFault::Other(_) | KeyFault::BadSignature),
            ) => {
                let until = Instant::now() + REFUSED;
                self.hold = Some(Hold { until, fault: fault.clone(), credentials });
            }
            Err(_) => {}
        }
        signed
    }

    /// The fault that stands without asking again.
    fn held(&mut self) -> Option<KeyFault> {
        let number = self.wallet.number();
        self.hold.take_if(|hold| {
            hold.until <= Instant::now() || hold.credentials.is_some_and(|used| used != number)
        });
        self.hold.as_ref().map(|hold| hold.fault.clone())
    }
}
