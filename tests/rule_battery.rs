//! What CometBFT's own FilePV signs, repeats and refuses, asked of real processes: the answers are the
//! same whatever signs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use cosigner::privval::{Fields, VoteKind};
use cosigner::types::{Algorithm, Timestamp};
use support::asker::{Ask, Asker, Ending};
use support::cluster::{Cluster, Shape};
use support::node::content::{Signed, block, proposal, vote};

/// CometBFT asks again for as long as this; a busy machine may need it.
const PATIENCE: Duration = Duration::from_secs(20);

struct Battery {
    asker: Asker,
    _cluster: Cluster,
}

impl Battery {
    fn new(shape: Shape) -> Self {
        let mut asker = Asker::listen();
        let mut cluster = Cluster::new(shape.validator(1, asker.address()));
        cluster.start_all();
        asker.verify_with(cluster.public_key());
        Self { asker, _cluster: cluster }
    }

    fn ask(&mut self, fields: &Fields, extension: Option<&[u8]>) -> Ending {
        let ask =
            Ask { fields: fields.clone(), extension: extension.map(<[u8]>::to_vec), non_rp: None };
        self.asker.ask(&ask, PATIENCE)
    }

    #[track_caller]
    fn signed(&mut self, fields: &Fields, extension: Option<&[u8]>) -> Signed {
        match self.ask(fields, extension) {
            Ending::Signed(signed) => signed,
            other => panic!("{fields:?} is not signed: {other:?}"),
        }
    }

    #[track_caller]
    fn refused(&mut self, fields: &Fields, says: &str) {
        match self.ask(fields, None) {
            Ending::Refused(text) => assert!(text.contains(says), "{text:?} lacks {says:?}"),
            other => panic!("{fields:?} is not refused: {other:?}"),
        }
    }
}

fn prevote(height: i64, round: i32, seed: u64) -> Fields {
    vote(VoteKind::Prevote, height, round, block(seed))
}

fn precommit(height: i64, round: i32, seed: u64) -> Fields {
    vote(VoteKind::Precommit, height, round, block(seed))
}

fn later(fields: &Fields) -> Fields {
    let time = fields.timestamp();
    fields.with_timestamp(Timestamp::new(time.seconds() + 5, time.nanos()).unwrap())
}

fn passes(shape: Shape) {
    let mut battery = Battery::new(shape);
    proposals(&mut battery);
    votes(&mut battery);
    regressions(&mut battery);
    extensions(&mut battery);
    // Far ahead, and then on as if nothing had been asked.
    battery.refused(&prevote(5_000_000, 0, 1), "too far ahead");
    battery.signed(&prevote(31, 0, 1), None);
}

fn proposals(battery: &mut Battery) {
    let first = proposal(10, 0, block(1));
    let signed = battery.signed(&first, None);
    assert_eq!(battery.signed(&first, None).signature, signed.signature, "a repeat");
    battery.refused(&proposal(10, 0, block(2)), "conflicting data");
}

fn votes(battery: &mut Battery) {
    for kind in [VoteKind::Prevote, VoteKind::Precommit] {
        let first = vote(kind, 10, 0, block(1));
        let signed = battery.signed(&first, None);
        let again = battery.signed(&first, None);
        assert_eq!(again.signature, signed.signature, "a repeat");
        let other_time = battery.signed(&later(&first), None);
        assert_eq!(other_time.signature, signed.signature, "only the timestamp differs");
        let time = first.timestamp();
        let returned = other_time.timestamp.unwrap();
        assert_eq!((returned.seconds, returned.nanos), (time.seconds(), time.nanos()));
        battery.refused(&vote(kind, 10, 0, block(2)), "conflicting data");
        battery.refused(&vote(kind, 10, 0, None), "conflicting data");
    }
    // A nil vote, and then a block.
    battery.signed(&vote(VoteKind::Prevote, 11, 0, None), None);
    battery.refused(&prevote(11, 0, 1), "conflicting data");
    // A precommit may be for another block than the prevote of its round.
    battery.signed(&precommit(11, 0, 3), None);
}

fn regressions(battery: &mut Battery) {
    battery.signed(&precommit(20, 2, 1), None);
    battery.refused(&prevote(20, 2, 1), "step regression");
    battery.refused(&proposal(20, 2, block(1)), "step regression");
    battery.refused(&precommit(20, 1, 1), "round regression");
    battery.refused(&precommit(19, 9, 1), "height regression");
    battery.signed(&prevote(20, 3, 2), None);
}

fn extensions(battery: &mut Battery) {
    let fields = precommit(30, 0, 1);
    let first = battery.signed(&fields, Some(b"one"));
    let second = battery.signed(&fields, Some(b"two"));
    assert_eq!(first.signature, second.signature, "the vote's own signature stays");
    assert_ne!(first.extension_signature, second.extension_signature);
    battery.signed(&fields, Some(&[7; 3000]));
    // Without one, as chains without extensions ask.
    battery.signed(&fields, None);
    // A nil precommit carries none.
    battery.signed(&vote(VoteKind::Precommit, 30, 1, None), None);
}

#[test]
fn shares_pass() {
    passes(Shape::new(2, 3));
}

#[test]
fn a_key_file_passes_alone() {
    passes(Shape::file(1));
}

#[test]
fn a_key_file_passes_in_a_cluster() {
    passes(Shape::file(3));
}

#[test]
fn a_secp256k1_key_file_passes_alone() {
    passes(Shape::file(1).algorithm(Algorithm::Secp256k1));
}

#[test]
fn a_secp256k1eth_key_file_passes_alone() {
    passes(Shape::file(1).algorithm(Algorithm::Secp256k1Eth));
}

#[test]
fn an_ml_dsa_65_key_file_passes_alone() {
    passes(Shape::file(1).algorithm(Algorithm::MlDsa65));
}

#[test]
fn an_ml_dsa_65_key_file_passes_in_a_cluster() {
    passes(Shape::file(3).algorithm(Algorithm::MlDsa65));
}

/// Both forms, and each at its place in the reply: the node that reads them finds the key.
#[test]
fn a_validator_of_either_line_reads_the_key_of_every_algorithm() {
    for algorithm in Algorithm::ALL {
        for version in ["v1", "v2"] {
            let shape = Shape::file(1).algorithm(algorithm).privval_version(version);
            let mut battery = Battery::new(shape);
            let key = battery.asker.ask_public_key(PATIENCE);
            assert_eq!(key, Some(battery._cluster.public_key()), "{algorithm} {version}");
            battery.signed(&prevote(7, 0, 1), None);
        }
    }
}

#[test]
#[cfg(feature = "pkcs11")]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn secp256k1_tokens_pass_alone() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
        let token = support::softhsm::SoftHsm::generated_of(algorithm);
        passes(Shape::alone(token.backend()));
    }
}

#[test]
#[cfg(feature = "awskms")]
fn secp256k1_keys_of_aws_kms_pass_alone() {
    for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
        let kms = support::kms_fault::KmsFault::start_of(algorithm, [42; 32]);
        let environment = support::kms::Environment::new();
        passes(Shape::alone(environment.told(&kms)));
    }
}

#[test]
#[cfg(feature = "pkcs11")]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_token_passes_alone() {
    let token = support::softhsm::SoftHsm::generated();
    passes(Shape::alone(token.backend()));
}

#[test]
#[cfg(feature = "awskms")]
fn aws_kms_passes_alone() {
    let kms = support::kms_fault::KmsFault::start([42; 32]);
    let environment = support::kms::Environment::new();
    passes(Shape::alone(environment.told(&kms)));
}
