//! A whole key goes away, answers wrongly, and comes back, while a validator goes on asking.
//!
//! What is tested is the same each time: nothing wrong is ever answered, the operator reads the cause on
//! every page, and the node signs again by itself once it can.

#![cfg(all(feature = "pkcs11", feature = "awskms"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::asker::{Ask, Asker, Ending, Kind};
use support::cluster::{Cluster, Shape};
use support::kms::{self, SECRETS};
use support::kms_fault::{Answer, Call, KmsFault};
use support::softhsm::{PIN, SoftHsm};
use support::wait;

/// A vote is asked for this often, as CometBFT asks again for one that is not answered.
const PACE: Duration = Duration::from_millis(100);

/// Longest for which one vote is asked for while the key is away.
const ONE_VOTE: Duration = Duration::from_secs(1);

/// How soon a fault must be seen and said.
const SEEN: Duration = Duration::from_secs(10);

/// How soon the node must sign again. Looking at a failed key each half second, it takes about one
/// second; the rest is for a busy machine.
const BACK: Duration = Duration::from_secs(10);

/// How long a fault lasts.
const AWAY: Duration = Duration::from_secs(5);

/// A node alone with its validator, which asks for one height after the other.
struct Watch {
    cluster: Cluster,
    asker: Asker,
    height: i64,
    /// What the last refused vote was told.
    told: Option<String>,
}

impl Watch {
    /// Signs already.
    fn new(shape: Shape) -> Self {
        let mut asker = Asker::listen();
        let mut cluster = Cluster::new(shape.validator(1, asker.address()));
        cluster.start_all();
        asker.verify_with(cluster.public_key());
        let mut watch = Self { cluster, asker, height: 0, told: None };
        for _ in 0..3 {
            watch.signs_again();
        }
        watch
    }

    /// Asks for the next vote; true if it was signed. A signature that does not verify ends the test.
    fn vote(&mut self) -> bool {
        self.height += 1;
        let mut ask = Ask::new(Kind::Precommit, self.height, [7; 32]);
        ask.extension = Some(b"extension".to_vec());
        let begun = Instant::now();
        let ending = self.asker.ask(&ask, ONE_VOTE);
        thread::sleep(PACE.saturating_sub(begun.elapsed()));
        match ending {
            Ending::Signed(_) => true,
            Ending::Refused(text) => {
                self.told = Some(text);
                false
            }
            Ending::Silent => false,
            Ending::Invalid(error) => panic!("a wrong answer has left: {error}"),
        }
    }

    /// Votes until one is signed, within a bound.
    #[track_caller]
    fn signs_again(&mut self) -> Duration {
        let begun = Instant::now();
        while !self.vote() {
            let waited = begun.elapsed();
            assert!(waited < BACK, "not signed for {waited:?}: {:?}", self.not_ready());
        }
        self.cluster.assert_running();
        begun.elapsed()
    }

    /// The line of `/readyz` about the key, if it answers 503.
    fn not_ready(&self) -> Option<String> {
        unavailable(&self.cluster, 1)
    }

    /// Votes while the key has this fault: none is signed, and every page says why.
    #[track_caller]
    fn fails_for(&mut self, word: &str, time: Duration) -> String {
        let begun = Instant::now();
        let (mut asked, mut said) = (0, None);
        while said.is_none() || begun.elapsed() < time {
            assert!(!self.vote(), "height {} is signed though the key {word}", self.height);
            asked += 1;
            let line = self.not_ready();
            let names = line.as_ref().is_some_and(|line| line.contains(&format!(" {word}: ")));
            if names {
                said = line;
            } else {
                assert!(begun.elapsed() < SEEN, "/readyz does not say {word}: {line:?}");
            }
        }
        let fault = &self.cluster.status(1)["chains"][0]["key_fault"];
        assert_eq!(fault["cause"], word, "{fault}");
        self.assert_logged("WARN", word);
        println!("{word}: {asked} votes not signed; {}", said.as_deref().unwrap());
        said.unwrap()
    }

    /// After the fault: signs again, says that it is ready, and has named no secret anywhere.
    #[track_caller]
    fn recovers(&mut self) {
        let took = self.signs_again();
        println!("signs again after {took:?}");
        self.cluster.wait_ready(1);
        wait::until(
            BACK,
            || "no fault in /status".into(),
            || self.cluster.status(1)["chains"][0]["key_fault"].is_null(),
        );
        assert!(self.vote() && self.vote(), "it signs again, and then it does not");
        self.cluster.assert_running();
        let log = self.cluster.logs().remove(0);
        for secret in SECRETS.iter().chain([&PIN]) {
            assert!(!log.contains(secret), "the log has a secret");
        }
    }

    #[track_caller]
    fn assert_logged(&self, level: &str, word: &str) {
        let log = self.cluster.logs().remove(0);
        let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let mut lines = lines.filter(|line| line["level"] == level);
        assert!(lines.any(|line| line["cause"] == word), "no {level} about {word}");
    }
}

/// The line of a member's `/readyz` about its key, if it answers 503.
fn unavailable(cluster: &Cluster, id: usize) -> Option<String> {
    let answer = cluster.get(id, "/readyz").filter(|answer| answer.status == 503)?;
    answer.body.lines().find(|line| line.starts_with("key_unavailable ")).map(str::to_owned)
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_token_that_is_removed_and_put_back_signs_again_by_itself() {
    let token = SoftHsm::imported([42; 32]);
    let mut watch = Watch::new(Shape::alone(token.backend()));
    // Its directory is gone, as when a mount is lost: the module does not even start.
    token.take_away();
    let line = watch.fails_for("unreachable", AWAY);
    assert!(line.contains("CKR_GENERAL_ERROR"), "{line}");
    token.bring_back();
    watch.recovers();
    // The module runs, and the slot is empty.
    token.pull_out();
    let line = watch.fails_for("not_found", AWAY);
    assert!(line.contains("no token with label"), "{line}");
    let told = watch.told.take().expect("a refusal, after `give_up_after`");
    assert!(told.contains("no token with label"), "{told}");
    token.bring_back();
    watch.recovers();
}

#[test]
#[ignore = "needs softhsm2 and opensc; scripts/test runs it"]
fn a_wrong_pin_at_a_restart_is_named_and_corrected_without_another_one() {
    let token = SoftHsm::imported([42; 32]);
    let mut watch = Watch::new(Shape::alone(token.backend()));
    watch.cluster.kill(1);
    token.write_pin("wrong-pin");
    watch.cluster.start(1);
    let line = watch.fails_for("pin", AWAY);
    assert!(line.contains(token.pin_file().to_str().unwrap()), "{line}");
    assert!(!watch.cluster.logs()[0].contains("wrong-pin"), "the log has the PIN");
    token.write_pin(PIN);
    watch.recovers();
}

/// A KMS and a node alone that uses it.
fn with_kms() -> (KmsFault, kms::Environment, Watch) {
    let (kms, environment) = (KmsFault::start([42; 32]), kms::Environment::new());
    let watch = Watch::new(Shape::alone(environment.told(&kms)));
    (kms, environment, watch)
}

#[test]
fn a_kms_that_is_away_for_five_seconds_is_named_and_found_again() {
    let (kms, _environment, mut watch) = with_kms();
    let address = kms.address();
    drop(kms);
    watch.fails_for("unreachable", AWAY);
    let told = watch.told.take().expect("a refusal, after `give_up_after`");
    assert!(told.contains("cannot be reached"), "{told}");
    let _kms = KmsFault::start_on([42; 32], address);
    watch.recovers();
}

#[test]
fn what_kms_says_about_the_account_is_told_to_the_operator() {
    let (kms, _environment, mut watch) = with_kms();
    for (answer, word, names) in [
        (Answer::Error(400, "ThrottlingException", "Rate exceeded"), "throttled", "quota"),
        (Answer::Error(400, "ExpiredTokenException", "expired {token}"), "credentials", "sign on"),
        (Answer::Error(400, "AccessDeniedException", "no"), "credentials", "kms:Sign"),
        (Answer::Error(400, "DisabledException", "no"), "failed", "aws kms enable-key"),
        (Answer::Broken, "unreachable", "HTTP 500"),
    ] {
        kms.answer(answer);
        let line = watch.fails_for(word, Duration::ZERO);
        assert!(line.contains(names) && !line.contains(SECRETS[1]), "{line}");
        kms.answer(Answer::Right);
        watch.recovers();
    }
}

#[test]
fn a_kms_that_is_late_is_waited_for_and_one_that_hangs_is_named() {
    let (kms, _environment, mut watch) = with_kms();
    kms.answer(Answer::Slow(Duration::from_millis(200)));
    for _ in 0..5 {
        watch.signs_again();
    }
    kms.answer(Answer::Slow(Duration::from_secs(3)));
    watch.fails_for("no_answer", AWAY);
    kms.answer(Answer::Right);
    watch.recovers();
}

#[test]
fn nothing_wrong_that_kms_answers_leaves_the_node() {
    let (kms, _environment, mut watch) = with_kms();
    for (answer, word) in [
        (Answer::OtherBytes, "bad_signature"),
        (Answer::OtherKey, "bad_signature"),
        (Answer::With(json!({ "Signature": "bm90aGluZw==" })), "bad_signature"),
        (Answer::With(json!({ "Signature": null })), "bad_signature"),
        (Answer::With(json!({ "KeyId": "arn:aws:kms:us-east-1:1:key/other" })), "failed"),
        (Answer::Garbage, "failed"),
        (Answer::Big, "failed"),
        (Answer::Closed, "unreachable"),
    ] {
        kms.answer_to(Call::Sign, answer);
        watch.fails_for(word, Duration::ZERO);
        kms.answer(Answer::Right);
        watch.recovers();
    }
    kms.answer(Answer::OtherKey);
    watch.fails_for("wrong_key", Duration::ZERO);
    kms.answer(Answer::Right);
    watch.recovers();
}

/// A cluster whose members reach one key, each through a KMS of its own, and have a validator each.
struct Region {
    cluster: Cluster,
    askers: Vec<Asker>,
    kms: Vec<Option<KmsFault>>,
    height: i64,
    _environment: kms::Environment,
}

/// How long CometBFT goes on asking for one vote.
const PATIENCE: Duration = Duration::from_secs(10);

impl Region {
    fn new() -> Self {
        let environment = kms::Environment::new();
        let kms: Vec<KmsFault> = (0..3).map(|_| KmsFault::start([42; 32])).collect();
        let mut askers: Vec<Asker> = (0..3).map(|_| Asker::listen()).collect();
        let mut shape = Shape::around(environment.told(&kms[0]), 3);
        for id in 1..=3 {
            shape = shape.validator(id, askers[id - 1].address());
            shape = shape.endpoint(id, kms[id - 1].endpoint());
        }
        let mut cluster = Cluster::new(shape);
        cluster.start_all();
        for asker in &mut askers {
            asker.verify_with(cluster.public_key());
        }
        let kms = kms.into_iter().map(Some).collect();
        Self { cluster, askers, kms, height: 0, _environment: environment }
    }

    /// All validators ask for the next vote at once; how each of them fared.
    fn vote(&mut self, pace: Duration) -> Vec<Ending> {
        self.height += 1;
        let ask = Ask::new(Kind::Prevote, self.height, [7; 32]);
        let begun = Instant::now();
        let endings = thread::scope(|scope| {
            let ask = |asker: &mut Asker| asker.ask(&ask, PATIENCE);
            let asked = self.askers.iter_mut().map(|asker| scope.spawn(move || ask(asker)));
            let asked: Vec<_> = asked.collect();
            asked.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        thread::sleep(pace.saturating_sub(begun.elapsed()));
        endings
    }

    /// The next vote is signed at every member.
    #[track_caller]
    fn signs(&mut self) {
        self.signs_at(PACE);
    }

    #[track_caller]
    fn signs_at(&mut self, pace: Duration) {
        let endings = self.vote(pace);
        for (index, ending) in endings.iter().enumerate() {
            let (id, height) = (index + 1, self.height);
            assert!(matches!(ending, Ending::Signed(_)), "{height} lost at {id}: {ending:?}");
        }
    }

    /// The KMS of a member refuses connections; where it was.
    fn take_away(&mut self, id: usize) -> SocketAddr {
        self.kms[id - 1].take().unwrap().address()
    }

    /// The same address answers rightly.
    fn bring_back(&mut self, id: usize, address: SocketAddr) {
        drop(self.kms[id - 1].take());
        self.kms[id - 1] = Some(KmsFault::start_on([42; 32], address));
    }
}

/// The leader's key fails by `fate`: no vote is lost anywhere, and after some seconds another one leads.
fn others_sign_and_then_lead(word: &str, pace: Duration, fate: impl FnOnce(&mut Region, usize)) {
    let mut region = Region::new();
    for _ in 0..10 {
        region.signs();
    }
    let leader = region.cluster.wait_leader();
    let address = region.kms[leader - 1].as_ref().unwrap().address();
    fate(&mut region, leader);
    let begun = Instant::now();
    while [None, Some(leader)].contains(&region.cluster.leader_seen_by(leader)) {
        region.signs_at(pace);
        assert!(begun.elapsed() < SEEN, "member {leader} leads on without its key");
    }
    println!("{word}: another leader after {:?}", begun.elapsed());
    assert_ne!(region.cluster.wait_leader(), leader);
    let line = unavailable(&region.cluster, leader).expect("503 where the key cannot be used");
    assert!(line.contains(&format!(" {word}: ")), "{line}");
    for _ in 0..20 {
        region.signs();
    }
    for id in (1..=3).filter(|id| *id != leader) {
        assert_eq!(unavailable(&region.cluster, id), None, "member {id} has its key");
    }
    region.bring_back(leader, address);
    region.cluster.wait_ready(leader);
    region.signs();
    region.cluster.assert_running();
}

#[test]
fn a_leader_without_its_kms_lets_others_sign_and_then_lead() {
    others_sign_and_then_lead("unreachable", PACE, |region, leader| {
        region.take_away(leader);
    });
}

#[test]
fn a_leader_whose_kms_hangs_lets_others_sign_and_then_lead() {
    others_sign_and_then_lead("no_answer", PACE, |region, leader| {
        let kms = region.kms[leader - 1].as_ref().unwrap();
        kms.answer(Answer::Slow(Duration::from_secs(3)));
    });
}

/// With pauses between the votes in which the key's public half can be read as ever.
#[test]
fn a_leader_whose_kms_signs_wrongly_lets_others_sign_and_then_lead() {
    let pace = Duration::from_millis(1500);
    others_sign_and_then_lead("bad_signature", pace, |region, leader| {
        let kms = region.kms[leader - 1].as_ref().unwrap();
        kms.answer_to(Call::Sign, Answer::OtherBytes);
    });
}

#[test]
fn a_cluster_without_any_kms_says_so_and_signs_when_one_is_back() {
    let mut region = Region::new();
    region.signs();
    let addresses = [1, 2, 3].map(|id| region.take_away(id));
    let begun = Instant::now();
    let told = loop {
        assert!(begun.elapsed() < SEEN, "no refusal since {begun:?}");
        let mut told = Vec::new();
        for ending in region.vote(PACE) {
            match ending {
                Ending::Refused(text) => told.push(text),
                Ending::Silent => {}
                other => panic!("answered without a key: {other:?}"),
            }
        }
        if told.len() == 3 {
            break told;
        }
    };
    println!("the validators are told {told:?}");
    for text in &told {
        assert!(text.contains("cannot be reached"), "{text}");
    }
    for id in 1..=3 {
        let line = wait::some(SEEN, || format!("503 at {id}"), || unavailable(&region.cluster, id));
        assert!(line.contains(" unreachable: "), "{line}");
    }
    // One of them is enough, whoever leads.
    region.bring_back(2, addresses[1]);
    let begun = Instant::now();
    while region.vote(PACE).iter().any(|ending| !matches!(ending, Ending::Signed(_))) {
        assert!(begun.elapsed() < BACK, "not signed with the key of member 2");
    }
    println!("signs again after {:?}", begun.elapsed());
    for id in [1, 3] {
        region.bring_back(id, addresses[id - 1]);
        region.cluster.wait_ready(id);
    }
    region.signs();
    region.cluster.assert_running();
}
