//! Raw bytes, through real processes: both forms, with shares and with a whole key, beside votes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use cosigner::privval::proto::{SignBytesRequest, SignBytesResponse, message::Sum};
use cosigner::privval::sign_bytes;
use cosigner::types::{ChainId, PublicKey};
use ed25519_dalek::{Signature, VerifyingKey};
use sha2::{Digest as _, Sha256};

use support::asker::{Ask, Asker, Ending, KINDS, Kind};
use support::cluster::{CHAIN, Cluster, Shape};
use support::gave::LOG_LEVEL;

/// The machine is shared; every answer must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// What no log may ever show.
const SECRET: &[u8] = b"bytes of the application";

fn plain(bytes: &[u8]) -> SignBytesRequest {
    SignBytesRequest { value: bytes.to_vec(), ..SignBytesRequest::default() }
}

fn celestia(raw_bytes: &[u8], unique_id: &str) -> SignBytesRequest {
    SignBytesRequest {
        value: CHAIN.into(),
        raw_bytes: raw_bytes.to_vec(),
        unique_id: unique_id.into(),
    }
}

/// `"COMET::RAW_BYTES::SIGN"`, then the request with its length in front.
fn celestia_bytes(raw_bytes: &[u8], unique_id: &str) -> Vec<u8> {
    let mut request = Vec::new();
    for (tag, field) in [(0x0a, CHAIN.as_bytes()), (0x12, raw_bytes), (0x1a, unique_id.as_bytes())]
    {
        request.extend([tag, u8::try_from(field.len()).unwrap()]);
        request.extend(field);
    }
    let length = [u8::try_from(request.len()).unwrap()];
    [b"COMET::RAW_BYTES::SIGN".as_slice(), &length, &request].concat()
}

fn ask(asker: &mut Asker, request: SignBytesRequest) -> SignBytesResponse {
    match asker.exchange(&Sum::SignBytesRequest(request)) {
        Sum::SignBytesResponse(response) => response,
        other => panic!("{other:?}"),
    }
}

fn assert_signed(response: &SignBytesResponse, public_key: PublicKey, bytes: &[u8]) {
    assert!(response.error.is_none(), "{response:?}");
    let key = VerifyingKey::from_bytes(public_key.as_bytes().try_into().unwrap()).unwrap();
    let signature = Signature::from_slice(&response.signature).unwrap();
    key.verify_strict(bytes, &signature).unwrap();
}

fn refusal(response: &SignBytesResponse) -> &str {
    assert!(response.signature.is_empty(), "{response:?}");
    &response.error.as_ref().unwrap().description
}

fn assert_votes(asker: &mut Asker, heights: std::ops::Range<i64>) {
    for height in heights {
        for kind in KINDS {
            let ending = asker.ask(&Ask::new(kind, height, [3; 32]), PATIENCE);
            assert!(matches!(ending, Ending::Signed(_)), "height {height}, {kind:?}: {ending:?}");
        }
    }
}

/// The sign bytes of a vote for another block at a height that was signed.
fn conflicting_vote(height: i64) -> Vec<u8> {
    let fields = Ask::new(Kind::Precommit, height, [4; 32]).fields;
    sign_bytes(&ChainId::new(CHAIN).unwrap(), &fields)
}

fn started(shape: Shape, askers: &mut [&mut Asker]) -> Cluster {
    let mut cluster = Cluster::new(shape.give_up_after("never").log_level(LOG_LEVEL));
    askers.iter_mut().for_each(|asker| asker.verify_with(cluster.public_key()));
    cluster.start_all();
    cluster.wait_leader();
    cluster
}

/// Votes go on at one member while another one is asked for raw bytes without pause.
fn signs_beside_votes(shape: Shape) -> Cluster {
    let (mut voter, mut asker) = (Asker::listen(), Asker::listen());
    let shape = shape.validator(1, voter.address()).validator(2, asker.address());
    let cluster = started(shape, &mut [&mut voter, &mut asker]);
    let public_key = cluster.public_key();
    assert_votes(&mut voter, 1..2);
    let done = Arc::new(AtomicBool::new(false));
    let asking = {
        let done = Arc::clone(&done);
        thread::spawn(move || {
            let mut signed = 0_u64;
            while signed < 20 || !done.load(Ordering::Relaxed) {
                let bytes = [SECRET, &signed.to_be_bytes()].concat();
                assert_signed(&ask(&mut asker, plain(&bytes)), public_key.clone(), &bytes);
                let vote = ask(&mut asker, plain(&conflicting_vote(1)));
                assert!(refusal(&vote).contains("canonical vote"), "{vote:?}");
                signed += 1;
            }
            assert_eq!(asker.accepted(), 1);
            signed
        })
    };
    assert_votes(&mut voter, 2..30);
    done.store(true, Ordering::Relaxed);
    let signed = asking.join().unwrap();
    let raw = &cluster.status(2)["chains"][0]["raw"];
    assert_eq!((raw["signed"].as_u64(), raw["refused"].as_u64()), (Some(signed), Some(signed)));
    assert_eq!(cluster.status(2)["chains"][0]["counts"]["signed"], 0, "raw bytes are no votes");
    cluster
}

fn assert_logged(cluster: &Cluster, member: usize, bytes: &[u8]) {
    let digest = hex::encode(Sha256::digest(bytes));
    let said = format!("\"sha256\":\"{}\"", digest.get(..8).unwrap());
    let logs = cluster.logs();
    let line = logs[member - 1].lines().find(|line| line.contains(&said)).unwrap();
    for said in ["\"signed\"", "\"kind\":\"raw\"", &format!("\"length\":{}", bytes.len())] {
        assert!(line.contains(said), "no {said} in {line}");
    }
    let secret = std::str::from_utf8(SECRET).unwrap();
    for log in &logs {
        assert!(!log.contains(secret) && !log.contains(&hex::encode(SECRET)));
    }
}

fn stop(mut cluster: Cluster) {
    for id in cluster.running() {
        cluster.terminate(id);
    }
}

#[test]
fn two_of_three_sign_v1s_bytes_while_votes_go_on() {
    let cluster = signs_beside_votes(Shape::new(2, 3).raw_bytes(&[1, 2, 3], "sign_bytes"));
    let bytes = [SECRET, &0_u64.to_be_bytes()].concat();
    assert_logged(&cluster, 2, &bytes);
    let digest = hex::encode(Sha256::digest(&bytes));
    let gave = |log: &&String| {
        let mut lines = log.lines().filter(|line| line.contains("cosigner::gave"));
        lines.any(|line| line.contains("\"kind\":\"raw\"") && line.contains(&digest))
    };
    assert_eq!(cluster.logs().iter().filter(gave).count(), 2, "each member that gave a share");
    stop(cluster);
}

#[test]
fn a_cluster_around_a_key_file_signs_v1s_bytes_while_votes_go_on() {
    let cluster = signs_beside_votes(Shape::file(3).raw_bytes(&[1, 2, 3], "sign_bytes"));
    assert_logged(&cluster, 2, &[SECRET, &0_u64.to_be_bytes()].concat());
    stop(cluster);
}

#[test]
fn two_of_three_sign_celestias_bytes_without_a_member_that_has_it_off() {
    let mut asker = Asker::listen();
    let shape = Shape::new(2, 3).raw_bytes(&[1, 2], "celestia").validator(1, asker.address());
    let cluster = started(shape, &mut [&mut asker]);
    for number in 0..6 {
        let id = format!("job {number}");
        let response = ask(&mut asker, celestia(SECRET, &id));
        assert_signed(&response, cluster.public_key(), &celestia_bytes(SECRET, &id));
    }
    assert_logged(&cluster, 1, &celestia_bytes(SECRET, "job 0"));
    assert_refuses_everything_else(&mut asker);
    assert_votes(&mut asker, 1..3);
    assert_eq!(asker.accepted(), 1, "the connection stays");
    stop(cluster);
}

fn assert_refuses_everything_else(asker: &mut Asker) {
    let response = ask(asker, plain(SECRET));
    assert!(refusal(&response).contains("raw_bytes = \"celestia\""), "{response:?}");
    let response = ask(asker, celestia(SECRET, ""));
    assert_eq!(refusal(&response), "error signing bytes: uniqueID cannot be empty");
    let response = ask(asker, celestia(&conflicting_vote(1), "job"));
    assert!(refusal(&response).contains("canonical vote"), "{response:?}");
    let other = SignBytesRequest { value: b"another-chain".to_vec(), ..celestia(SECRET, "job") };
    assert_eq!(refusal(&ask(asker, other)), "unable to sign bytes");
    let garbled = SignBytesRequest { unique_id: vec![0xff], ..celestia(SECRET, "job") };
    assert_eq!(refusal(&ask(asker, garbled)), "error signing bytes: the unique id is not UTF-8");
}

#[test]
fn a_node_alone_signs_both_forms_with_its_key_file() {
    let mut asker = Asker::listen();
    let shape = Shape::file(1).raw_bytes(&[1], "sign_bytes").validator(1, asker.address());
    let cluster = started(shape, &mut [&mut asker]);
    assert_signed(&ask(&mut asker, plain(SECRET)), cluster.public_key(), SECRET);
    assert_signed(&ask(&mut asker, plain(b"")), cluster.public_key(), b"");
    let long = vec![b'x'; 1024 * 1024];
    assert_signed(&ask(&mut asker, plain(&long)), cluster.public_key(), &long);
    assert!(refusal(&ask(&mut asker, plain(&conflicting_vote(9)))).contains("canonical vote"));
    assert!(refusal(&ask(&mut asker, celestia(SECRET, "job"))).contains("\"sign_bytes\""));
    assert_votes(&mut asker, 1..3);
    assert_logged(&cluster, 1, SECRET);
    stop(cluster);

    let mut asker = Asker::listen();
    let shape = Shape::file(1).raw_bytes(&[1], "celestia").validator(1, asker.address());
    let cluster = started(shape, &mut [&mut asker]);
    let response = ask(&mut asker, celestia(SECRET, "job"));
    assert_signed(&response, cluster.public_key(), &celestia_bytes(SECRET, "job"));
    stop(cluster);
}

#[test]
fn a_mebibyte_of_raw_bytes_travels_between_members() {
    let mut asker = Asker::listen();
    let shape = Shape::new(2, 3).raw_bytes(&[1, 2, 3], "sign_bytes").validator(3, asker.address());
    let cluster = started(shape, &mut [&mut asker]);
    let long = vec![b'x'; 1024 * 1024];
    assert_signed(&ask(&mut asker, plain(&long)), cluster.public_key(), &long);
    stop(cluster);
}

#[test]
fn raw_bytes_are_off_unless_a_chain_turns_them_on_and_the_connection_stays() {
    for shape in [Shape::new(2, 3), Shape::file(1)] {
        let mut asker = Asker::listen();
        let cluster = started(shape.validator(1, asker.address()), &mut [&mut asker]);
        for request in [plain(SECRET), celestia(SECRET, "job")] {
            let response = ask(&mut asker, request);
            let expected = "error signing bytes: raw bytes are not signed: they could be those of a \
                            conflicting vote (raw_bytes = \"off\" for this chain)";
            assert_eq!(refusal(&response), expected);
        }
        assert_votes(&mut asker, 1..3);
        assert_eq!(asker.accepted(), 1);
        let refused = cluster.logs()[0].matches("request refused").count();
        assert_eq!(refused, 1, "said once");
        stop(cluster);
    }
}
