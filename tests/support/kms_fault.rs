//! A KMS that answers as it is told: right, wrong, late or not at all.
//!
//! Speaks as much of AWS JSON 1.1 as GetPublicKey and Sign need. Included by the library's own tests,
//! too.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each user takes another part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosigner::types::{Algorithm, PublicKey};
use ed25519_dalek::{Signer as _, SigningKey};
use k256::ecdsa::signature::hazmat::PrehashSigner as _;
use serde_json::{Value, json};

/// The key's ARN.
pub const ARN: &str = "arn:aws:kms:us-east-1:111122223333:key/mrk-0123";
/// An alias of it.
pub const ALIAS: &str = "alias/validator";

/// How a call is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As KMS does.
    Right,
    /// The same, this much later.
    Slow(Duration),
    /// An error of AWS: HTTP status, code, message. In the message `{headers}` stands for all that the
    /// request had, `{token}` for its session token.
    Error(u16, &'static str, &'static str),
    /// HTTP 200, and no JSON.
    Garbage,
    /// HTTP 500 without a body.
    Broken,
    /// The connection ends where the answer was to begin.
    Closed,
    /// HTTP 200 and megabytes.
    Big,
    /// A right answer with these fields replaced; `null` takes a field out.
    With(Value),
    /// A signature of other bytes than were sent.
    OtherBytes,
    /// Another key's signature, or its public half.
    OtherKey,
}

/// A private key of one of the kinds that KMS has.
enum Secret {
    Ed25519(SigningKey),
    Secp256k1(k256::ecdsa::SigningKey),
}

struct Shared {
    key: Secret,
    algorithm: Algorithm,
    answers: Mutex<[Answer; 2]>,
    calls: [AtomicUsize; 2],
    key_ids: Mutex<Vec<String>>,
    stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

/// The running server; ends when dropped.
pub struct KmsFault {
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// A call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    GetPublicKey,
    Sign,
}

impl KmsFault {
    /// Serves the key of `seed`.
    pub fn start(seed: [u8; 32]) -> Self {
        Self::start_on(seed, "127.0.0.1:0".parse().unwrap())
    }

    /// Serves the key of `seed`, which a chain uses for `algorithm`.
    pub fn start_of(algorithm: Algorithm, seed: [u8; 32]) -> Self {
        Self::serve(algorithm, seed, "127.0.0.1:0".parse().unwrap())
    }

    /// The same on an address of before.
    pub fn start_on(seed: [u8; 32], address: SocketAddr) -> Self {
        Self::serve(Algorithm::Ed25519, seed, address)
    }

    fn serve(algorithm: Algorithm, seed: [u8; 32], address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(Shared {
            key: Secret::new(algorithm, seed),
            algorithm,
            answers: Mutex::new([Answer::Right, Answer::Right]),
            calls: [AtomicUsize::new(0), AtomicUsize::new(0)],
            key_ids: Mutex::new(Vec::new()),
            stopped: AtomicBool::new(false),
            connections: Mutex::new(Vec::new()),
        });
        let address = listener.local_addr().unwrap();
        let of_thread = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, &of_thread));
        Self { shared, address }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn public_key(&self) -> PublicKey {
        PublicKey::from_encoding(self.shared.algorithm, &self.shared.key.public()).unwrap()
    }

    /// From now on both calls are answered like this.
    pub fn answer(&self, answer: Answer) {
        *self.shared.answers.lock().unwrap() = [answer.clone(), answer];
    }

    /// From now on this call is answered like this.
    pub fn answer_to(&self, call: Call, answer: Answer) {
        self.shared.answers.lock().unwrap()[call as usize] = answer;
    }

    /// How often a call has come.
    pub fn calls(&self, call: Call) -> usize {
        self.shared.calls[call as usize].load(Ordering::SeqCst)
    }

    /// The key ids that were asked for, in order.
    pub fn key_ids(&self) -> Vec<String> {
        self.shared.key_ids.lock().unwrap().clone()
    }
}

impl Drop for KmsFault {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        for connection in self.shared.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        // Wakes the listener, which then closes.
        let _ = TcpStream::connect(self.address);
        while TcpStream::connect(self.address).is_ok() {
            thread::yield_now();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming().flatten() {
        if shared.stopped.load(Ordering::SeqCst) {
            return;
        }
        shared.connections.lock().unwrap().push(stream.try_clone().unwrap());
        let shared = Arc::clone(shared);
        thread::spawn(move || {
            while serve(&stream, &shared).is_some() {}
            // There is a clone of it.
            let _ = stream.shutdown(Shutdown::Both);
        });
    }
}

/// Answers one request; `None` ends the connection.
fn serve(mut stream: &TcpStream, shared: &Shared) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream);
    let mut headers = String::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        headers.push_str(&line);
    }
    let header = |name: &str| {
        let mut lines = headers.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let mut body = vec![0; header("content-length")?.parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    let call = match header("x-amz-target")? {
        "TrentService.GetPublicKey" => Call::GetPublicKey,
        "TrentService.Sign" => Call::Sign,
        other => panic!("{other} is not served"),
    };
    let (status, code, body) =
        shared.answer(call, &serde_json::from_slice(&body).ok()?, &headers)?;
    let head = format!(
        "HTTP/1.1 {status} Told\r\nContent-Type: application/x-amz-json-1.1\r\n{code}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.into_bytes(), body].concat()).ok()
}

impl Shared {
    /// Status, a header line for the error's code, body; `None` closes the connection.
    fn answer(&self, call: Call, asked: &Value, headers: &str) -> Option<(u16, String, Vec<u8>)> {
        let key_id = asked["KeyId"].as_str().unwrap().to_owned();
        self.key_ids.lock().unwrap().push(key_id);
        let answer = self.answers.lock().unwrap()[call as usize].clone();
        // Who sees the count change may change the next answer.
        self.calls[call as usize].fetch_add(1, Ordering::SeqCst);
        let right = || match call {
            Call::GetPublicKey => self.public_key(&self.key),
            Call::Sign => self.sign(&self.key, asked, b""),
        };
        let other = Secret::new(self.algorithm, [99; 32]);
        let value = match answer {
            Answer::Right => right(),
            Answer::Slow(time) => {
                thread::sleep(time);
                right()
            }
            Answer::Error(status, code, message) => {
                let token = headers.lines().find_map(|l| l.strip_prefix("x-amz-security-token: "));
                let message = message
                    .replace("{headers}", headers)
                    .replace("{token}", token.expect("a session token"));
                let body = json!({ "__type": code, "message": message });
                let header = format!("x-amzn-ErrorType: {code}\r\n");
                return Some((status, header, body.to_string().into_bytes()));
            }
            Answer::Garbage => return Some((200, String::new(), b"<html>lunch</html>".to_vec())),
            Answer::Broken => return Some((500, String::new(), Vec::new())),
            Answer::Closed => return None,
            Answer::Big => return Some((200, String::new(), vec![b'['; 8 << 20])),
            Answer::With(fields) => {
                let mut value = right();
                for (name, field) in fields.as_object().unwrap() {
                    value[name] = field.clone();
                }
                value
            }
            Answer::OtherBytes => self.sign(&self.key, asked, b"!"),
            Answer::OtherKey => match call {
                Call::GetPublicKey => self.public_key(&other),
                Call::Sign => self.sign(&other, asked, b""),
            },
        };
        Some((200, String::new(), value.to_string().into_bytes()))
    }

    fn public_key(&self, key: &Secret) -> Value {
        let (prefix, spec, signing) = match key {
            Secret::Ed25519(_) => (
                "302a300506032b6570032100",
                "ECC_NIST_EDWARDS25519",
                json!(["ED25519_SHA_512", "ED25519_PH_SHA_512"]),
            ),
            Secret::Secp256k1(_) => (
                "3056301006072a8648ce3d020106052b8104000a034200",
                "ECC_SECG_P256K1",
                json!(["ECDSA_SHA_256"]),
            ),
        };
        let der = [hex::decode(prefix).unwrap(), key.public()].concat();
        json!({
            "KeyId": ARN,
            "KeySpec": spec,
            "KeyUsage": "SIGN_VERIFY",
            "SigningAlgorithms": signing,
            "PublicKey": STANDARD.encode(der),
        })
    }

    /// Signs what was sent and `more`.
    fn sign(&self, key: &Secret, asked: &Value, more: &[u8]) -> Value {
        let message = STANDARD.decode(asked["Message"].as_str().unwrap()).unwrap();
        let (signing, signature) = match key {
            Secret::Ed25519(key) => {
                assert_eq!(asked["MessageType"], "RAW");
                let signature = key.sign(&[message.as_slice(), more].concat());
                ("ED25519_SHA_512", signature.to_bytes().to_vec())
            }
            Secret::Secp256k1(key) => {
                assert_eq!(asked["MessageType"], "DIGEST");
                let mut digest: [u8; 32] = message.try_into().unwrap();
                digest[0] ^= u8::from(!more.is_empty());
                let low: k256::ecdsa::Signature = key.sign_prehash(&digest).unwrap();
                // KMS gives either s.
                let high = k256::ecdsa::Signature::from_scalars(low.r(), -low.s()).unwrap();
                let made = if digest[31] & 1 == 0 { low } else { high };
                ("ECDSA_SHA_256", made.to_der().as_bytes().to_vec())
            }
        };
        assert_eq!(asked["SigningAlgorithm"], signing);
        json!({
            "KeyId": ARN,
            "SigningAlgorithm": signing,
            "Signature": STANDARD.encode(signature),
        })
    }
}

impl Secret {
    fn new(algorithm: Algorithm, seed: [u8; 32]) -> Self {
        match algorithm {
            Algorithm::Ed25519 => Self::Ed25519(SigningKey::from_bytes(&seed)),
            _ => Self::Secp256k1(k256::ecdsa::SigningKey::from_slice(&seed).unwrap()),
        }
    }

    /// As it stands in DER.
    fn public(&self) -> Vec<u8> {
        match self {
            Self::Ed25519(key) => key.verifying_key().to_bytes().to_vec(),
            Self::Secp256k1(key) => key.verifying_key().to_sec1_point(false).as_bytes().to_vec(),
        }
    }
}
