//! Connections to validators, against the node's side of privval on real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cosigner::peer::Signed;
use cosigner::privval::{Dialect, Fields, VoteKind, extension_sign_bytes, proto, sign_bytes};
use cosigner::signing::Verdict;
use cosigner::types::{Algorithm, ChainId, PublicKey, Signature};
use cosigner::validator::{Connection, ConnectionState, Control, Sign, SignRequestFor};
use cosigner::watermark::Denial;
use ed25519_dalek::{Signer as _, SigningKey};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

mod support {
    pub(crate) mod node;
}

use proto::message::Sum;
use support::node::content::{block, proposal, verify, vote};
use support::node::drive::{Plan, Stopped, Summary, drive};
use support::node::{Asked, Fault, Node, Outcome};

const CHAIN: &str = "test-chain-1";

/// Signs with a whole key whatever it is asked, unless its script says otherwise.
#[derive(Clone)]
struct Fake {
    key: SigningKey,
    script: Arc<Mutex<VecDeque<Verdict>>>,
    asked: Arc<Mutex<Vec<SignRequestFor>>>,
    begun: Arc<Semaphore>,
    gate: Arc<Semaphore>,
}

impl Fake {
    fn new(seed: u8) -> Self {
        Self {
            key: SigningKey::from_bytes(&[seed; 32]),
            script: Arc::default(),
            asked: Arc::default(),
            begun: Arc::new(Semaphore::new(0)),
            gate: Arc::new(Semaphore::new(Semaphore::MAX_PERMITS)),
        }
    }

    /// Answers once for each permit.
    fn gated(seed: u8) -> Self {
        Self { gate: Arc::new(Semaphore::new(0)), ..Self::new(seed) }
    }

    fn will_say(self, verdicts: impl IntoIterator<Item = Verdict>) -> Self {
        self.script.lock().unwrap().extend(verdicts);
        self
    }

    fn public(&self) -> PublicKey {
        PublicKey::ed25519(self.key.verifying_key().to_bytes())
    }

    fn asked(&self) -> Vec<SignRequestFor> {
        self.asked.lock().unwrap().clone()
    }

    /// Until the next request has come.
    async fn asked_again(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    fn signature(&self, message: &[u8]) -> Signature {
        Signature::new(Algorithm::Ed25519, self.key.sign(message).to_bytes())
    }
}

impl Sign for Fake {
    fn public_key(&self, chain: &str) -> Option<PublicKey> {
        (chain == CHAIN).then(|| self.public())
    }

    async fn sign(&self, request: SignRequestFor) -> Verdict {
        self.asked.lock().unwrap().push(request.clone());
        self.begun.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
        if let Some(verdict) = self.script.lock().unwrap().pop_front() {
            return verdict;
        }
        let SignRequestFor { chain, fields, extension, .. } = request;
        let hrs = fields.hrs();
        Verdict::Signed(Signed {
            signature: self.signature(&sign_bytes(&chain, &fields)),
            timestamp: fields.timestamp(),
            extension_signature: extension.map(|bytes| {
                self.signature(&extension_sign_bytes(&chain, hrs.height, hrs.round, &bytes))
            }),
        })
    }
}

fn start(node: &Node, signer: &Fake, control: &Control) -> JoinHandle<()> {
    let (chain, address) = (ChainId::new(CHAIN).unwrap(), node.address().parse().unwrap());
    tokio::spawn(cosigner::validator::run(
        chain,
        Dialect::default(),
        address,
        signer.clone(),
        control.clone(),
    ))
}

async fn node() -> Node {
    Node::listen("tcp://127.0.0.1:0", CHAIN).await.unwrap()
}

fn prevote(height: i64) -> Fields {
    vote(VoteKind::Prevote, height, 0, block(1))
}

fn plan(blocks: u64, extension_bytes: Option<usize>, signer: &Fake) -> Plan {
    Plan {
        height: 1,
        blocks: Some(blocks),
        interval: Duration::ZERO,
        extension_bytes,
        public_key: Some(signer.public()),
        patience: Duration::from_secs(20),
    }
}

fn assert_signed_by(signer: &Fake, fields: &Fields, asked: &Asked) {
    let Outcome::Signed(signed) = &asked.outcome else { panic!("{asked:?}") };
    verify(CHAIN, &signer.public(), fields, None, signed).unwrap();
}

fn refusal(asked: Asked) -> String {
    match asked.outcome {
        Outcome::Refused { code: 0, description } => description,
        other => panic!("{other:?}"),
    }
}

/// The table has no events; it is for people.
async fn until(control: &Control, condition: impl Fn(&[Connection]) -> bool) -> Vec<Connection> {
    let reached = async {
        loop {
            let connections = control.connections();
            if condition(&connections) {
                return connections;
            }
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(Duration::from_secs(10), reached).await.expect("the connections did not get there")
}

fn all_are(state: ConnectionState) -> impl Fn(&[Connection]) -> bool {
    move |rows| !rows.is_empty() && rows.iter().all(|row| row.state == state)
}

#[tokio::test]
async fn serves_blocks_over_tcp_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let unix = format!("unix://{}", folder.path().join("privval.sock").display());
    for address in ["tcp://127.0.0.1:0", &unix] {
        for extension_bytes in [None, Some(0), Some(1 << 20)] {
            let mut node = Node::listen(address, CHAIN).await.unwrap();
            let (signer, control) = (Fake::new(1), Control::new());
            let run = start(&node, &signer, &control);
            let mut summary = Summary::default();
            let plan = plan(2, extension_bytes, &signer);
            drive(&mut node, &plan, &mut summary, |_| {}).await.unwrap();
            node.ping().await.unwrap();
            assert_eq!((summary.blocks, summary.retries, summary.connections), (2, 0, 1));
            let asked = signer.asked();
            assert_eq!(asked.len(), 6);
            assert!(asked.iter().all(|request| request.validator.to_string() == node.address()));
            let length = asked[2].extension.as_ref().map(Vec::len);
            assert_eq!(length, extension_bytes, "{address}");
            until(&control, all_are(ConnectionState::Connected)).await;
            run.abort();
        }
    }
}

#[tokio::test]
async fn never_lets_a_reply_overtake_another() {
    let mut node = node().await;
    let signer = Fake::gated(1);
    let run = start(&node, &signer, &Control::new());
    let vote = support::node::content::request(CHAIN, &prevote(5), None);
    let message = |sum| proto::Message { sum: Some(sum) };
    let mut requests = Vec::new();
    for request in [vote, Sum::PingRequest(proto::PingRequest {})] {
        prost::Message::encode_length_delimited(&message(request), &mut requests).unwrap();
    }
    let wire = node.accept().await.unwrap();
    wire.send_raw(&requests).await.unwrap();
    signer.asked_again().await;
    let early = timeout(Duration::from_millis(100), wire.receive_raw()).await;
    assert!(early.is_err(), "answered before the vote was signed: {early:?}");
    signer.gate.add_permits(1);
    let mut tags = Vec::new();
    for _ in 0..2 {
        tags.push(wire.receive_raw().await.unwrap()[0] >> 3);
    }
    assert_eq!(tags, [4, 8], "first the vote, then the ping");
    run.abort();
}

#[tokio::test]
async fn a_slow_signature_delays_no_other_connection() {
    let (mut slow, mut fast) = (node().await, node().await);
    let (gated, free, control) = (Fake::gated(1), Fake::new(1), Control::new());
    let runs = [start(&slow, &gated, &control), start(&fast, &free, &control)];
    let fields = prevote(5);
    let waiting = {
        let fields = fields.clone();
        tokio::spawn(async move { slow.ask(&fields, None).await })
    };
    gated.asked_again().await;
    assert_signed_by(&free, &fields, &fast.ask(&fields, None).await);
    assert!(!waiting.is_finished());
    gated.gate.add_permits(1);
    assert_signed_by(&gated, &fields, &waiting.await.unwrap());
    runs.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn refuses_another_chain_and_signs_nothing_for_it() {
    let mut node = Node::listen("tcp://127.0.0.1:0", "another-chain").await.unwrap();
    let signer = Fake::new(1);
    let run = start(&node, &signer, &Control::new());
    let request = proto::PubKeyRequest { chain_id: "another-chain".to_owned() };
    let reply = node.exchange(Sum::PubKeyRequest(request)).await.unwrap();
    let Some(Sum::PubKeyResponse(reply)) = reply else { panic!("{reply:?}") };
    assert_eq!(reply.error.unwrap().description, "unable to provide pubkey");
    assert_eq!(reply.pub_key_bytes, Vec::<u8>::new());
    assert_eq!(refusal(node.ask(&prevote(5), None).await), "unable to sign vote");
    let proposal = proposal(5, 0, block(1));
    assert_eq!(refusal(node.ask(&proposal, None).await), "unable to sign proposal");
    assert_eq!(signer.asked(), []);
    assert_eq!(node.accepted(), 1);
    run.abort();
}

#[tokio::test]
async fn answers_a_vote_that_makes_no_sense_and_stays() {
    let mut node = node().await;
    let signer = Fake::new(1);
    let run = start(&node, &signer, &Control::new());
    let Sum::SignVoteRequest(mut request) =
        support::node::content::request(CHAIN, &prevote(5), None)
    else {
        panic!()
    };
    request.vote.as_mut().unwrap().height = -1;
    let reply = node.exchange(Sum::SignVoteRequest(request)).await.unwrap();
    let Some(Sum::SignedVoteResponse(reply)) = reply else { panic!("{reply:?}") };
    assert_eq!(reply.error.unwrap().description, "error signing vote: height -1 is negative");
    let raw = Sum::SignBytesRequest(proto::SignBytesRequest::default());
    let reply = node.exchange(raw).await.unwrap();
    assert!(matches!(reply, Some(Sum::SignBytesResponse(reply)) if reply.error.is_some()));
    assert_eq!(node.exchange(Sum::PingResponse(proto::PingResponse {})).await.unwrap(), None);
    let fields = prevote(5);
    assert_signed_by(&signer, &fields, &node.ask(&fields, None).await);
    assert_eq!(node.accepted(), 1);
    run.abort();
}

#[tokio::test]
async fn garbage_costs_its_own_connection_only() {
    let (mut bad, mut good) = (node().await, node().await);
    let (signer, control) = (Fake::new(1), Control::new());
    let runs = [start(&bad, &signer, &control), start(&good, &signer, &control)];
    good.public_key().await.unwrap();
    let oversized = [0x80, 0x80, 0xc0, 0x01];
    let undecodable = [3, 0xff, 0xff, 0xff];
    let endless_length = [0xff; 11];
    for (served, garbage) in (1..).zip([&oversized[..], &undecodable, &endless_length]) {
        bad.public_key().await.unwrap();
        assert_eq!(bad.accepted(), served);
        let wire = bad.wire().unwrap();
        wire.send_raw(garbage).await.unwrap();
        let closed = wire.receive_raw().await.unwrap_err();
        assert!(!matches!(closed, Fault::Timeout), "still open after {garbage:02x?}");
        bad.hang_up();
    }
    bad.public_key().await.unwrap();
    good.public_key().await.unwrap();
    assert_eq!(good.accepted(), 1);
    runs.iter().for_each(JoinHandle::abort);
}

#[tokio::test]
async fn not_now_is_a_reply_of_zero_length() {
    let mut node = node().await;
    let signer =
        Fake::new(1).will_say(std::iter::repeat_n(Verdict::NotNow("not now".to_owned()), 3));
    let run = start(&node, &signer, &Control::new());
    let fields = prevote(5);
    let request = support::node::content::request(CHAIN, &fields, None);
    let request = proto::Message { sum: Some(request) };
    let wire = node.accept().await.unwrap();
    wire.send_raw(&prost::Message::encode_length_delimited_to_vec(&request)).await.unwrap();
    assert_eq!(wire.receive_raw().await.unwrap(), Vec::<u8>::new());
    let asked = node.ask(&fields, None).await;
    assert_eq!(asked.retries, 2);
    assert_signed_by(&signer, &fields, &asked);
    assert_eq!(node.accepted(), 1);
    run.abort();
}

#[tokio::test]
async fn refuses_in_the_words_of_cometbft_and_stays() {
    let mut node = node().await;
    let hrs = prevote(5).hrs();
    let conflict = || Verdict::Denied(Denial::ConflictingData { hrs, recorded: Vec::new() });
    let signer = Fake::new(1).will_say([
        conflict(),
        conflict(),
        Verdict::GivenUp("no quorum for 3 s".to_owned()),
    ]);
    let run = start(&node, &signer, &Control::new());
    let texts = [
        refusal(node.ask(&prevote(5), None).await),
        refusal(node.ask(&proposal(5, 0, block(1)), None).await),
        refusal(node.ask(&prevote(5), None).await),
    ];
    let expected = [
        "error signing vote: conflicting data",
        "error signing proposal: conflicting data",
        "error signing vote: no quorum for 3 s",
    ];
    assert_eq!(texts, expected);
    assert_eq!(node.accepted(), 1);
    run.abort();
}

#[tokio::test]
async fn never_sends_an_extension_signature_where_none_belongs() {
    let mut node = node().await;
    let signature = Signature::new(Algorithm::Ed25519, [7; 64]);
    let signed = |timestamp, extension_signature| {
        let signature = signature.clone();
        Verdict::Repeated(Signed { signature, timestamp, extension_signature })
    };
    let (prevote, precommit) = (prevote(5), vote(VoteKind::Precommit, 5, 0, block(1)));
    let signer = Fake::new(1).will_say([
        signed(prevote.timestamp(), Some(signature.clone())),
        signed(precommit.timestamp(), None),
    ]);
    let run = start(&node, &signer, &Control::new());
    // Either reply would stop a CometBFT node for good.
    refusal(node.ask(&prevote, None).await);
    refusal(node.ask(&precommit, Some(b"extension")).await);
    run.abort();
}

#[tokio::test]
async fn a_signer_in_the_backlog_takes_over_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let unix = format!("unix://{}", folder.path().join("privval.sock").display());
    for address in ["tcp://127.0.0.1:0", &unix] {
        let mut node = Node::listen(address, CHAIN).await.unwrap();
        let (first, second) = (Fake::new(1), Fake::new(2));
        let controls = [Control::new(), Control::new()];
        let dying = start(&node, &first, &controls[0]);
        assert_eq!(node.public_key().await.unwrap(), first.public());
        let waiting = start(&node, &second, &controls[1]);
        until(&controls[1], all_are(ConnectionState::Waiting)).await;
        assert!(controls[0].any_connected() && !controls[1].any_connected());
        dying.abort();
        let _ = dying.await;
        let fields = prevote(5);
        let asked = node.ask(&fields, None).await;
        assert_signed_by(&second, &fields, &asked);
        assert!(asked.retries <= 2 && asked.took < Duration::from_millis(700), "{asked:?}");
        assert_eq!(node.accepted(), 2);
        waiting.abort();
    }
}

#[tokio::test]
async fn a_reset_tells_the_node_of_a_lost_signer_within_one_retry() {
    let mut node = node().await;
    let (first, second) = (Fake::gated(1), Fake::new(2));
    let controls = [Control::new(), Control::new()];
    let dying = start(&node, &first, &controls[0]);
    node.accept().await.unwrap();
    let waiting = start(&node, &second, &controls[1]);
    until(&controls[1], all_are(ConnectionState::Waiting)).await;
    let fields = prevote(5);
    let asked = tokio::join!(node.ask(&fields, None), async {
        first.asked_again().await;
        dying.abort();
    });
    assert_signed_by(&second, &fields, &asked.0);
    assert_eq!(asked.0.retries, 1, "an orderly end of stream takes CometBFT two");
    waiting.abort();
}

#[tokio::test]
async fn lets_go_what_validators_have_taken_and_never_what_waits() {
    let (mut held, mut busy) = (node().await, node().await);
    let (ours, other) = (Fake::new(1), Fake::new(2));
    let (control, others) = (Control::new(), Control::new());
    let other_runs = [start(&busy, &other, &others)];
    assert_eq!(busy.public_key().await.unwrap(), other.public());
    let runs = [start(&held, &ours, &control), start(&busy, &ours, &control)];
    held.public_key().await.unwrap();
    let states = [ConnectionState::Connected, ConnectionState::Waiting];
    let reached = |rows: &[Connection]| rows.iter().map(|row| row.state).eq(states);
    let before = until(&control, reached).await;
    let successor = start(&held, &other, &others);
    until(&others, |rows| rows.get(1).is_some_and(|row| row.state == ConnectionState::Waiting))
        .await;

    control.let_go();
    let fields = prevote(5);
    assert_signed_by(&other, &fields, &held.ask(&fields, None).await);
    let backlog = [ConnectionState::Waiting; 2];
    let after = until(&control, |rows| rows.iter().map(|row| row.state).eq(backlog)).await;
    assert_eq!(after[1], before[1], "the waiting one was touched");
    // It still waits in the place that it had, and an old call does not close what is taken now.
    busy.hang_up();
    assert_signed_by(&ours, &fields, &busy.ask(&fields, None).await);
    busy.ping().await.unwrap();
    assert_eq!(busy.accepted(), 2);
    runs.iter().for_each(JoinHandle::abort);
    other_runs.iter().for_each(JoinHandle::abort);
    successor.abort();
}

#[tokio::test]
async fn redials_a_restarted_node_within_half_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let unix = format!("unix://{}", folder.path().join("privval.sock").display());
    for address in ["tcp://127.0.0.1:0", &unix] {
        let mut node = Node::listen(address, CHAIN).await.unwrap();
        let (signer, control) = (Fake::new(1), Control::new());
        let run = start(&node, &signer, &control);
        node.public_key().await.unwrap();
        let address = node.address();
        for _ in 0..3 {
            drop(node);
            until(&control, all_are(ConnectionState::Dialling)).await;
            node = Node::listen(&address, CHAIN).await.unwrap();
            let began = Instant::now();
            node.accept().await.unwrap();
            assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
            node.public_key().await.unwrap();
        }
        run.abort();
    }
}

#[tokio::test]
async fn finishes_what_is_being_signed_before_it_shuts_down() {
    let (mut node, mut idle) = (node().await, node().await);
    let (signer, control) = (Fake::gated(1), Control::new());
    let run = start(&node, &signer, &control);
    let idle_run = start(&idle, &signer, &control);
    idle.public_key().await.unwrap();
    let fields = prevote(5);
    let (asked, ()) = tokio::join!(node.ask(&fields, None), async {
        signer.asked_again().await;
        control.shut_down();
        idle_run.await.unwrap();
        signer.gate.add_permits(1);
    });
    assert_signed_by(&signer, &fields, &asked);
    assert_eq!(asked.retries, 0);
    run.await.unwrap();
    assert_eq!(control.connections(), []);
    // Commanded before it begins, a connection does not begin.
    start(&node, &signer, &control).await.unwrap();
}

#[tokio::test]
async fn shuts_down_while_it_dials_and_while_it_waits() {
    let mut node = node().await;
    let control = Control::new();
    let nobody = "tcp://127.0.0.1:1".parse().unwrap();
    let chain = ChainId::new(CHAIN).unwrap();
    let dialling =
        cosigner::validator::run(chain, Dialect::default(), nobody, Fake::new(1), control.clone());
    let dialling = tokio::spawn(dialling);
    let taken = start(&node, &Fake::new(1), &Control::new());
    node.public_key().await.unwrap();
    let waiting = start(&node, &Fake::new(1), &control);
    until(&control, |rows| {
        rows.iter().map(|row| row.state).eq([ConnectionState::Dialling, ConnectionState::Waiting])
    })
    .await;
    control.shut_down();
    dialling.await.unwrap();
    waiting.await.unwrap();
    taken.abort();
}

/// The oracle of every other test must itself be able to fail.
#[tokio::test]
async fn the_node_stops_at_a_wrong_signature_and_at_another_key() {
    let wrong = Signature::new(Algorithm::Ed25519, [7; 64]);
    let mut verdicts = Vec::new();
    for step in 0..4 {
        let mut node = node().await;
        let signer = Fake::gated(1);
        let run = start(&node, &signer, &Control::new());
        let plan = plan(1, Some(3), &signer);
        let mut summary = Summary::default();
        let (stopped, ()) = tokio::join!(drive(&mut node, &plan, &mut summary, |_| {}), async {
            for number in 0..=step.min(2) {
                signer.asked_again().await;
                let SignRequestFor { chain, fields, extension, .. } =
                    signer.asked()[number].clone();
                let right = signer.signature(&sign_bytes(&chain, &fields));
                let signature = if number == step { wrong.clone() } else { right };
                let timestamp = fields.timestamp();
                let hrs = fields.hrs();
                let extension_signature = extension.map(|bytes| {
                    let bytes = extension_sign_bytes(&chain, hrs.height, hrs.round, &bytes);
                    if step == 3 { wrong.clone() } else { signer.signature(&bytes) }
                });
                let signed = Signed { signature, timestamp, extension_signature };
                signer.script.lock().unwrap().push_back(Verdict::Signed(signed));
                signer.gate.add_permits(1);
            }
        });
        verdicts.push(stopped.unwrap_err().to_string());
        run.abort();
    }
    let expected = [
        "wrong signature of the proposal at 1/0",
        "wrong signature of the prevote at 1/0",
        "wrong signature of the precommit at 1/0",
        "wrong signature of the vote extension at 1/0",
    ];
    assert_eq!(verdicts, expected);

    let mut node = node().await;
    let run = start(&node, &Fake::new(2), &Control::new());
    let plan = plan(1, None, &Fake::new(1));
    let stopped = drive(&mut node, &plan, &mut Summary::default(), |_| {}).await;
    assert!(matches!(stopped, Err(Stopped::Key { .. })), "{stopped:?}");
    run.abort();
}
