//! Handshakes and frames of SecretConnection that are wrong.

use std::io::Write as _;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};

use super::rig::{Bad, Case};
use super::secret::{Ephemeral, Keys, hello, honest_identity, identity};
use super::wire::{delimited, ping, uvarint};

/// Low-order points as <https://cr.yp.to/ecdh.html> lists them: numbers of which X25519, which ignores
/// the highest bit, makes a point of low order.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];
/// The others of that list; without their highest bit they are ordinary points.
const NOT_MASKED: [&str; 5] = [
    "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn case(name: &'static str, does: fn(&mut Bad)) -> Case {
    Case { name, does }
}

fn point(hex: &str) -> [u8; 32] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

/// Sends this as the first bytes; the signer closes.
#[track_caller]
fn begins_with(bad: &mut Bad, bytes: &[u8]) {
    let mut socket = bad.socket();
    socket.write_all(bytes).unwrap();
    socket.wait_closed();
}

/// Exchanges ephemeral keys, then sends this in the channel; the signer closes.
#[track_caller]
fn continues_with(bad: &mut Bad, make: impl FnOnce(&mut Keys) -> Vec<u8>) {
    let mut socket = bad.socket();
    let mut keys = socket.exchange().unwrap();
    let bytes = make(&mut keys);
    socket.write_all(&bytes).unwrap();
    socket.wait_closed();
}

/// Identifies itself like this; the signer closes.
#[track_caller]
fn identifies_with(bad: &mut Bad, make: impl FnOnce(&[u8; 32]) -> Vec<u8>) {
    continues_with(bad, |keys| {
        let message = make(&keys.challenge);
        keys.send.seal(&message)
    });
}

/// After an honest handshake sends these frames; the signer closes.
#[track_caller]
fn frames(bad: &mut Bad, make: impl FnOnce(&mut Keys) -> Vec<u8>) {
    let line = bad.line();
    let bytes = make(line.secret.as_mut().unwrap());
    line.socket.write_all(&bytes).unwrap();
    bad.closed();
}

/// All but the slow ones.
pub fn all() -> Vec<Case> {
    [ephemeral_keys(), identities(), frames_within()].into_iter().flatten().collect()
}

fn ephemeral_keys() -> Vec<Case> {
    vec![
        case("low-order ephemeral keys", |bad| {
            for hex in LOW_ORDER {
                let mut key = point(hex);
                begins_with(bad, &hello(&key));
                key[31] |= 0x80;
                begins_with(bad, &hello(&key));
            }
        }),
        case("ephemeral keys whose order is low if their highest bit counts", |bad| {
            for hex in NOT_MASKED {
                let mut socket = bad.socket();
                socket.write_all(&hello(&point(hex))).unwrap();
                // Whoever sent this cannot know the secret.
                let _ = socket.write_all(&[0; 1044]);
                socket.wait_closed();
            }
        }),
        case("the signer's own ephemeral key", |bad| {
            let mut socket = bad.socket();
            let theirs = socket.their_hello().unwrap();
            socket.write_all(&theirs).unwrap();
            let _ = socket.write_all(&[0; 1044]);
            socket.wait_closed();
        }),
        case("an HTTP server", |bad| begins_with(bad, b"HTTP/1.1 400 Bad Request\r\n\r\n")),
        case("a TLS server", |bad| begins_with(bad, &[0x15, 3, 1, 0, 2, 2, 0x28])),
        case("an ephemeral key of another length", |bad| {
            begins_with(bad, &[&[0x23, 0x0a, 0x21], [9; 33].as_slice()].concat());
        }),
        case("a first message of 2^64 - 1 bytes", |bad| begins_with(bad, &uvarint(u64::MAX))),
        case("zeros", |bad| begins_with(bad, &[0; 4096])),
        case("an end after each byte of the ephemeral key", |bad| {
            let hello = Ephemeral::new([9; 32]).hello();
            for end in [0, 1, 2, 3, 4, 20, 34, 35] {
                bad.socket().write_all(&hello[..end]).unwrap();
            }
        }),
    ]
}

fn identities() -> Vec<Case> {
    vec![
        case("an end in the midst of the identity", |bad| {
            for end in [1, 500, 1043] {
                let mut socket = bad.socket();
                let mut keys = socket.exchange().unwrap();
                let sealed = keys.send.seal(&honest_identity(&keys.challenge));
                socket.write_all(&sealed[..end]).unwrap();
            }
        }),
        case("a signature of another challenge", |bad| {
            identifies_with(bad, |challenge| honest_identity(&challenge.map(|byte| !byte)));
        }),
        case("a signature by another key", |bad| {
            identifies_with(bad, |challenge| {
                let key = SigningKey::from_bytes(&[6; 32]).verifying_key().to_bytes();
                identity(&key, &SigningKey::from_bytes(&[7; 32]).sign(challenge).to_bytes())
            });
        }),
        case("a key of small order, for which anybody signs", |bad| {
            let mut key = [0; 32];
            key[0] = 1;
            let mut signature = [0; 64];
            signature[0] = 1;
            identifies_with(bad, |_| identity(&key, &signature));
            key[31] = 0x80;
            identifies_with(bad, |_| identity(&key, &signature));
        }),
        case("an identity that is no point", |bad| {
            identifies_with(bad, |_| identity(&[0xff; 32], &[0; 64]));
        }),
        case("a secp256k1 identity", |bad| {
            identifies_with(bad, |_| {
                let key = [&[0x67, 0x0a, 0x23, 0x12, 0x21], [2; 33].as_slice()].concat();
                [key.as_slice(), &[0x12, 0x40], &[0; 64]].concat()
            });
        }),
        case("an identity message of 2^64 - 1 bytes", |bad| {
            identifies_with(bad, |_| uvarint(u64::MAX));
        }),
        case("an identity message of 1 MiB", |bad| {
            let mut socket = bad.socket();
            let mut keys = socket.exchange().unwrap();
            // The signer closes long before all has come.
            let _ = socket.write_all(&keys.send.seal(&delimited(&vec![0; 1 << 20])));
            socket.wait_closed();
        }),
        case("an empty identity message", |bad| identifies_with(bad, |_| vec![0; 200])),
        case("a request instead of an identity", |bad| {
            identifies_with(bad, |_| delimited(&ping()).repeat(50));
        }),
        case("an identity in the clear", |bad| {
            continues_with(bad, |keys| {
                let mut clear = honest_identity(&keys.challenge);
                clear.resize(1044, 0);
                clear
            });
        }),
    ]
}

fn frames_within() -> Vec<Case> {
    vec![
        case("a frame with a bit changed", |bad| {
            for position in [0, 4, 5, 600, 1028, 1043] {
                frames(bad, |keys| {
                    let mut frame = keys.send.seal(&delimited(&ping()));
                    frame[position] ^= 1;
                    frame
                });
            }
        }),
        case("a frame twice", |bad| {
            frames(bad, |keys| keys.send.seal(&delimited(&ping())).repeat(2));
        }),
        case("frames in another order", |bad| {
            frames(bad, |keys| {
                let [first, second] = [(); 2].map(|()| keys.send.seal(&delimited(&ping())));
                [second, first].concat()
            });
        }),
        case("a frame left out", |bad| {
            frames(bad, |keys| {
                keys.send.counter += 1;
                keys.send.seal(&delimited(&ping()))
            });
        }),
        case("a frame of the signer, sent back", |bad| {
            frames(bad, |keys| {
                keys.receive.counter = 0;
                keys.receive.seal(&delimited(&ping()))
            });
        }),
        case("frames that say they hold more than fits", |bad| {
            for length in [1025, 1028, 1 << 16, u32::MAX] {
                frames(bad, |keys| keys.send.frame(length, &[0x3a; 1024]));
            }
        }),
        case("an end within a frame", |bad| {
            for end in [1, 4, 1043] {
                let line = bad.line();
                let frame = line.secret.as_mut().unwrap().send.seal(&delimited(&ping()));
                line.socket.write_all(&frame[..end]).unwrap();
                bad.hang_up();
            }
        }),
        case("frames that hold nothing, between the bytes of a ping", |bad| {
            let line = bad.line();
            let keys = line.secret.as_mut().unwrap();
            let mut bytes = Vec::new();
            for byte in delimited(&ping()) {
                bytes.extend(keys.send.frame(0, &[]).repeat(1));
                bytes.extend(keys.send.frame(0, &[0xff; 1024]));
                bytes.extend(keys.send.frame(1, &[byte]));
            }
            line.socket.write_all(&bytes).unwrap();
            assert_eq!(line.receive().unwrap(), [0x42, 0]);
        }),
        case("a thousand frames that hold nothing", |bad| {
            let line = bad.line();
            let keys = line.secret.as_mut().unwrap();
            let bytes: Vec<u8> = (0..1000).flat_map(|_| keys.send.frame(0, &[])).collect();
            line.socket.write_all(&bytes).unwrap();
            assert_eq!(line.ask(&ping()).unwrap(), [0x42, 0]);
        }),
    ]
}

/// Those that take seconds, each for a validator of its own.
pub fn slow() -> Vec<Case> {
    vec![
        case("half an ephemeral key, and then nothing", |bad| {
            let mut socket = bad.socket();
            socket.write_all(&Ephemeral::new([9; 32]).hello()[..10]).unwrap();
            let took = socket.wait_closed();
            assert!(took < Duration::from_secs(8), "closed after {took:?}");
        }),
        case("an ephemeral key, and then nothing", |bad| {
            let mut socket = bad.socket();
            socket.exchange().unwrap();
            let took = socket.wait_closed();
            assert!(took < Duration::from_secs(8), "closed after {took:?}");
        }),
        case("an identity that crawls", |bad| {
            let mut socket = bad.socket();
            let mut keys = socket.exchange().unwrap();
            let sealed = keys.send.seal(&honest_identity(&keys.challenge));
            let began = std::time::Instant::now();
            for byte in sealed {
                if socket.write_all(&[byte]).is_err() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            assert!(began.elapsed() < Duration::from_secs(8), "still open");
        }),
    ]
}
