//! Tests of the room as a whole.

mod dealing;
mod differential;
mod refusals;
mod vectors;

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Instant;

use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha512};

use super::deal::{Dealt, deal};
use super::*;
use crate::types::{MemberId, PublicKey, Threshold};

/// A generator for tests: the same seed gives the same run, in both versions of `rand_core`.
struct Seeded {
    seed: u64,
    drawn: u64,
}

impl Seeded {
    fn new(seed: u64) -> Self {
        Self { seed, drawn: 0 }
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(64) {
            self.drawn += 1;
            let block = Sha512::new()
                .chain_update(self.seed.to_le_bytes())
                .chain_update(self.drawn.to_le_bytes())
                .finalize();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
    }

    fn number(&mut self) -> u64 {
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}

impl TryRng for Seeded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(self.number() as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(self.number())
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for Seeded {}

impl rand_core_06::RngCore for Seeded {
    fn next_u32(&mut self) -> u32 {
        self.number() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.number()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        self.fill(bytes);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.fill(bytes);
        Ok(())
    }
}

impl rand_core_06::CryptoRng for Seeded {}

/// A generator that always does the same: fails, or returns one byte for ever.
enum Broken {
    Fails,
    Repeats(u8),
}

impl TryRng for Broken {
    type Error = std::fmt::Error;

    fn try_next_u32(&mut self) -> Result<u32, std::fmt::Error> {
        self.try_next_u64().map(|number| number as u32)
    }

    fn try_next_u64(&mut self) -> Result<u64, std::fmt::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), std::fmt::Error> {
        match self {
            Self::Fails => Err(std::fmt::Error),
            Self::Repeats(byte) => {
                bytes.fill(*byte);
                Ok(())
            }
        }
    }
}

impl TryCryptoRng for Broken {}

fn id(number: u64) -> MemberId {
    MemberId::new(number).unwrap()
}

fn dealt(t: u16, n: u16) -> Dealt {
    deal(&[42; 32], Threshold::new(t, n).unwrap(), &mut Seeded::new(1)).unwrap()
}

fn key(dealt: &Dealt) -> VerifyingKey {
    VerifyingKey::from_public_key(&dealt.public_key).unwrap()
}

/// One signing session of some members, before anyone signed.
struct Session {
    nonces: BTreeMap<MemberId, Nonces>,
    commitments: BTreeMap<MemberId, NonceCommitment>,
    package: SigningPackage,
}

fn session(dealt: &Dealt, signers: &[u64], message: &[u8], seed: u64) -> Session {
    let mut rng = Seeded::new(seed);
    let hedge = HedgeSecret::random(&mut rng).unwrap();
    let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
    for number in signers {
        let (secret, public) = commit(&hedge, &mut rng).unwrap();
        nonces.insert(id(*number), secret);
        commitments.insert(id(*number), public);
    }
    let package = SigningPackage::new(&key(dealt), &commitments, message).unwrap();
    Session { nonces, commitments, package }
}

/// The shares of everyone in the session, and what is needed to aggregate them.
fn signed(dealt: &Dealt, session: Session) -> (SigningPackage, BTreeMap<MemberId, RawShare>) {
    let Session { nonces, package, .. } = session;
    let share = |(member, nonces)| {
        (member, sign(nonces, member, &dealt.shares[&member], &package).unwrap())
    };
    let shares = nonces.into_iter().map(share).collect();
    (package, shares)
}

fn culprits(numbers: &[u64]) -> BTreeSet<MemberId> {
    numbers.iter().map(|number| id(*number)).collect()
}

#[test]
#[ignore = "prints times; meant for `cargo test --release -- --ignored --nocapture`"]
fn times_of_each_step() {
    const RUNS: u32 = 500;
    let report = |what: &str, start: Instant| {
        println!("{what:36} {:7.1} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(RUNS));
    };
    let mut rng = Seeded::new(3);
    let hedge = HedgeSecret::random(&mut rng).unwrap();

    let start = Instant::now();
    let pairs: Vec<_> = (0..RUNS).map(|_| commit(&hedge, &mut rng).unwrap()).collect();
    report("commit", start);
    let start = Instant::now();
    let decoded = pairs.iter().all(|(_, public)| public.raw().decode().is_ok());
    report("decode and check a commitment", start);
    assert!(decoded);

    for (t, n) in [(2, 3), (3, 5), (4, 7), (8, 15)] {
        let dealt = dealt(t, n);
        let signers: Vec<_> = (1..=u64::from(t)).collect();
        let key = key(&dealt);
        let sessions: Vec<_> =
            (0..RUNS).map(|run| session(&dealt, &signers, &[9; 122], run.into())).collect();
        let start = Instant::now();
        for session in &sessions {
            SigningPackage::new(&key, &session.commitments, &[9; 122]).unwrap();
        }
        report(&format!("{t}-of-{n}: package"), start);

        let mut ready: Vec<_> =
            sessions.into_iter().map(|session| signed(&dealt, session)).collect();
        let start = Instant::now();
        for (package, shares) in &ready {
            package.aggregate(shares, &dealt.verifying_shares).unwrap();
        }
        report(&format!("{t}-of-{n}: aggregate and verify"), start);
        let start = Instant::now();
        for (package, shares) in &ready {
            package.verify_share(id(1), &dealt.verifying_shares[&id(1)], shares[&id(1)]).unwrap();
        }
        report(&format!("{t}-of-{n}: verify one share"), start);
        let (package, shares) = ready.pop().unwrap();
        let signature = package.aggregate(&shares, &dealt.verifying_shares).unwrap();
        let start = Instant::now();
        for _ in 0..RUNS {
            key.verify(&[9; 122], &signature).unwrap();
        }
        report("verify", start);
    }
}
