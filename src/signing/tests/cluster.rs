//! The simulated cluster.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ed25519_dalek::{Signer as _, SigningKey};
use rand_core::{TryCryptoRng, TryRng};
use sha2::{Digest as _, Sha256};

use crate::backend::{Granted, KeyFault, Signatures};
use crate::frost::HedgeSecret;
use crate::frost::deal::deal;
use crate::peer::{Answer, AnswerBody, Failure, LinkId, Message};
use crate::privval::{
    BlockId, Dialect, Extension, Fields, Proposal, RawAllowed, RawMessage, Version, Vote, VoteKind,
};
use crate::raft::Settled;
use crate::signing::{
    ChainKey, Effect, Input, Plane, PlaneOptions, RawReply, Reply, Starting, Task, WholeKeyInfo,
};
use crate::types::{
    Algorithm, ChainId, ClusterKey, Height, Incarnation, MemberId, PublicKey, Round, SetupHash,
    Signature, Threshold, Timestamp, UnixMillis,
};
use crate::watermark::{JumpLimit, Record, SlotDisk, WatermarkFile};

/// Deterministic bytes: SHA-256 of seed and counter.
pub(super) struct TestRng(u64, u64);

impl TryRng for TestRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        for chunk in out.chunks_mut(32) {
            self.1 += 1;
            let block: [u8; 32] =
                Sha256::digest([self.0.to_le_bytes(), self.1.to_le_bytes()].concat()).into();
            chunk.copy_from_slice(&block[..chunk.len()]);
        }
        Ok(())
    }
}

impl TryCryptoRng for TestRng {}

/// A disk in memory.
pub(super) struct MemoryDisk(Vec<u8>);

impl SlotDisk for MemoryDisk {
    fn read(&mut self) -> io::Result<Vec<u8>> {
        Ok(self.0.clone())
    }

    fn write_slot(&mut self, index: usize, slot: &[u8; 4096]) -> io::Result<()> {
        self.0[index * 4096..][..4096].copy_from_slice(slot);
        Ok(())
    }

    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }
}

pub(super) struct Node {
    pub(super) plane: Plane<TestRng>,
    pub(super) file: WatermarkFile<MemoryDisk>,
    pub(super) writes: VecDeque<Record>,
    /// Writes stay in the queue until [`Cluster::write_all`].
    pub(super) slow_disk: bool,
    pub(super) replies: Vec<Reply>,
    pub(super) replicated: Vec<Settled>,
    /// What Raft says.
    pub(super) replica: Arc<Mutex<Option<Settled>>>,
    pub(super) let_go: usize,
    pub(super) stepped_down: usize,
    pub(super) raw_replies: Vec<RawReply>,
    /// A whole key's receipts for raw bytes that it has not come to yet.
    pub(super) raw_uses: VecDeque<RawAllowed>,
    /// A whole key's receipts that it has not come to yet.
    pub(super) uses: VecDeque<Granted>,
    pub(super) key_is: KeyIs,
    /// What is to be computed beside the plane.
    pub(super) tasks: VecDeque<Task>,
    /// Tasks stay in the queue until [`Cluster::compute_all`].
    pub(super) slow_arithmetic: bool,
    pub(super) alive: bool,
}

/// What a whole key does with a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyIs {
    Well,
    /// Uses stay in the queue until [`Cluster::use_all`].
    Slow,
    /// Fails every time.
    Broken,
    /// Signs other bytes.
    Lying,
    /// Leaves the raw bytes out.
    Forgetful,
}

/// n planes, links between all, and messages in flight.
pub(super) struct Cluster {
    pub(super) nodes: BTreeMap<MemberId, Node>,
    pub(super) wire: VecDeque<(MemberId, MemberId, Message)>,
    /// Members whose incoming messages are held back.
    pub(super) deaf: BTreeSet<MemberId>,
    pub(super) held: Vec<(MemberId, MemberId, Message)>,
    pub(super) key: Arc<ChainKey>,
    pub(super) now: Instant,
    pub(super) wall: UnixMillis,
    pub(super) tamper: Option<fn(&mut Message, MemberId, MemberId)>,
    /// Messages that get lost, and those that have.
    pub(super) lose: Option<fn(&Message) -> bool>,
    pub(super) lost: Vec<(MemberId, MemberId, Message)>,
    /// Failures that members have answered.
    pub(super) failures: Vec<Failure>,
    /// Bytes of extensions that were delivered, message by message; 0 where one was named.
    pub(super) carried: Vec<(MemberId, MemberId, usize)>,
    tickets: u64,
}

pub(super) fn id(number: u64) -> MemberId {
    MemberId::new(number).unwrap()
}

/// The whole key of every test.
fn whole_key() -> SigningKey {
    SigningKey::from_bytes(&[3; 32])
}

pub(super) fn chain() -> ChainId {
    ChainId::new("test-chain-1").unwrap()
}

pub(super) fn incarnation(member: MemberId) -> Incarnation {
    Incarnation { number: 1, id: [u8::try_from(member.get()).unwrap(); 16] }
}

/// A prevote or precommit; `block` 0 is nil.
pub(super) fn vote(kind: VoteKind, height: i64, block: u8, seconds: i64) -> Fields {
    Fields::Vote(Vote {
        kind,
        height: Height::new(height).unwrap(),
        round: Round::new(0).unwrap(),
        block_id: block_id(block),
        timestamp: Timestamp::new(seconds, 0).unwrap(),
    })
}

pub(super) fn prevote(height: i64, block: u8, seconds: i64) -> Fields {
    vote(VoteKind::Prevote, height, block, seconds)
}

pub(super) fn precommit(height: i64, block: u8, seconds: i64) -> Fields {
    vote(VoteKind::Precommit, height, block, seconds)
}

pub(super) fn proposal(height: i64, block: u8, seconds: i64) -> Fields {
    Fields::Proposal(Proposal {
        height: Height::new(height).unwrap(),
        round: Round::new(0).unwrap(),
        pol_round: -1,
        block_id: block_id(block),
        timestamp: Timestamp::new(seconds, 0).unwrap(),
    })
}

fn block_id(block: u8) -> Option<BlockId> {
    let hash = Some([block; 32]);
    (block != 0).then_some(BlockId { hash, parts_total: 1, parts_hash: hash })
}

/// The number of a link as seen by `at`: both ends of a pair use their own.
fn link(at: MemberId, peer: MemberId) -> LinkId {
    LinkId(u64::from(at.get()) * 100 + u64::from(peer.get()))
}

impl Cluster {
    /// That these are 64 bytes of an Ed25519 signature of the cluster's key.
    pub(super) fn assert_verifies(&self, message: &[u8], signature: &[u8; 64]) {
        let signature = Signature::new(Algorithm::Ed25519, *signature);
        assert!(self.key.verifier.accepts(message, &signature));
    }

    /// A connected cluster with full pools and member 1 as leader.
    pub(super) fn new(t: u16, n: u16) -> Self {
        let mut cluster = Self::unconnected(t, n, Some(Duration::from_secs(3)));
        cluster.connect_all();
        cluster.lead(Some(id(1)));
        cluster
    }

    /// The same; the settings of these members say that the chain is v2 with extensions without replay
    /// protection.
    pub(super) fn v2(t: u16, n: u16, members: &[u64]) -> Self {
        let dialect = |me| dialect(me, members);
        let mut cluster = Self::begun(t, n, Some(Duration::from_secs(3)), &[], dialect);
        cluster.connect_all();
        cluster.lead(Some(id(1)));
        cluster
    }

    /// The same, with a ceiling on some members.
    pub(super) fn with_ceilings(t: u16, n: u16, ceilings: &[(MemberId, i64)]) -> Self {
        let silent = |_| Dialect::default();
        let mut cluster = Self::begun(t, n, Some(Duration::from_secs(3)), ceilings, silent);
        cluster.connect_all();
        cluster.lead(Some(id(1)));
        cluster
    }

    pub(super) fn unconnected(t: u16, n: u16, give_up_after: Option<Duration>) -> Self {
        Self::begun(t, n, give_up_after, &[], |_| Dialect::default())
    }

    /// A connected cluster whose members speak as each one's own settings say.
    pub(super) fn speaking(t: u16, n: u16, dialect: impl Fn(MemberId) -> Dialect) -> Self {
        let mut cluster = Self::begun(t, n, Some(Duration::from_secs(3)), &[], dialect);
        cluster.connect_all();
        cluster.lead(Some(id(1)));
        cluster
    }

    fn begun(
        t: u16,
        n: u16,
        give_up_after: Option<Duration>,
        ceilings: &[(MemberId, i64)],
        dialect: impl Fn(MemberId) -> Dialect,
    ) -> Self {
        let mut rng = TestRng(7, 0);
        let threshold = Threshold::new(t, n).unwrap();
        let mut dealt = deal(&[3; 32], threshold, &mut rng).unwrap();
        let listed = ClusterKey {
            chain: chain(),
            public_key: dealt.public_key.clone(),
            threshold: Some(threshold),
            generation: 1,
            verifying_shares: dealt
                .verifying_shares
                .iter()
                .map(|(&member, share)| (member, share.to_bytes()))
                .collect(),
        };
        let members: BTreeSet<MemberId> = dealt.shares.keys().copied().collect();
        Self::of(&members, give_up_after, ceilings, |me| {
            let share = dealt.shares.remove(&me).unwrap();
            let key = ChainKey::new(me, &listed, SetupHash([1; 32]), share).unwrap();
            key.with_dialect(dialect(me))
        })
    }

    /// A connected cluster of n around one whole key, with member 1 as leader; n = 1 is a node alone.
    pub(super) fn whole(n: u16) -> Self {
        Self::whole_speaking(n, |_| Dialect::default())
    }

    /// The same, as in [`Self::v2`].
    pub(super) fn whole_v2(n: u16, v2: &[u64]) -> Self {
        Self::whole_speaking(n, |me| dialect(me, v2))
    }

    /// The same, whose members speak as each one's own settings say.
    pub(super) fn whole_speaking(n: u16, dialect: impl Fn(MemberId) -> Dialect) -> Self {
        Self::around(n, dialect, Some(4096))
    }

    /// The same with a key that signs messages of any length.
    pub(super) fn of_whole_without_limit(n: u16, v2: &[u64]) -> Self {
        Self::around(n, |me| dialect(me, v2), None)
    }

    fn around(n: u16, dialect: impl Fn(MemberId) -> Dialect, message_limit: Option<usize>) -> Self {
        let members: BTreeSet<MemberId> = (1..=u64::from(n)).map(id).collect();
        let mut cluster = Self::of(&members, Some(Duration::from_secs(3)), &[], |me| {
            let info = WholeKeyInfo {
                chain: chain(),
                public_key: PublicKey::ed25519(whole_key().verifying_key().to_bytes()),
                grants: Threshold::majority(n).unwrap(),
                setup: SetupHash([1; 32]),
                members: members.clone(),
                message_limit,
            };
            ChainKey::whole(info).unwrap().with_dialect(dialect(me))
        });
        cluster.connect_all();
        cluster.lead(Some(id(1)));
        cluster
    }

    fn of(
        members: &BTreeSet<MemberId>,
        give_up_after: Option<Duration>,
        ceilings: &[(MemberId, i64)],
        mut key: impl FnMut(MemberId) -> ChainKey,
    ) -> Self {
        let now = Instant::now();
        let wall = UnixMillis(1_700_000_000_000);
        let mut nodes = BTreeMap::new();
        let mut any_key = None;
        for &me in members {
            let key = Arc::new(key(me));
            any_key = Some(Arc::clone(&key));
            let ceiling = ceilings.iter().find(|(member, _)| *member == me);
            let ceiling = ceiling.map(|(_, height)| Height::new(*height).unwrap());
            let record = Record::never_signed(wall).with_ceiling(ceiling);
            nodes.insert(me, node(me, members, key, give_up_after, now, (wall, record)));
        }
        Self {
            nodes,
            wire: VecDeque::new(),
            deaf: BTreeSet::new(),
            held: Vec::new(),
            key: any_key.unwrap(),
            now,
            wall,
            tamper: None,
            lose: None,
            lost: Vec::new(),
            failures: Vec::new(),
            carried: Vec::new(),
            tickets: 0,
        }
    }

    /// The member serves a chain of its own, and not the one of all others. To be called before links are up.
    pub(super) fn serve_another_chain(&mut self, member: MemberId) {
        let mut rng = TestRng(9, 0);
        let threshold = self.key.threshold;
        let mut dealt = deal(&[4; 32], threshold, &mut rng).unwrap();
        let shares = dealt.verifying_shares.iter();
        let listed = ClusterKey {
            chain: ChainId::new("another-1").unwrap(),
            public_key: dealt.public_key.clone(),
            threshold: Some(threshold),
            generation: 1,
            verifying_shares: shares.map(|(&member, share)| (member, share.to_bytes())).collect(),
        };
        let share = dealt.shares.remove(&member).unwrap();
        let key = ChainKey::new(member, &listed, SetupHash([2; 32]), share).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let record = Record::never_signed(self.wall);
        WatermarkFile::create(dir.path(), &listed.chain, &key.id, &record).unwrap();
        let (_file, record, receipt) =
            WatermarkFile::open(dir.path(), &listed.chain, &key.id).unwrap();
        let starting =
            Starting { key: Arc::new(key), record, receipt, height_jump: JumpLimit::default() };
        let options = PlaneOptions {
            me: member,
            incarnation: incarnation(member),
            members: self.nodes.keys().copied().collect(),
            recorded: BTreeMap::new(),
            hedge: HedgeSecret::random(&mut rng).unwrap(),
            chains: vec![(starting, None)],
            session_base: u64::from(member.get()),
            replica: Box::new(|_, _| None),
        };
        let plane = Plane::new(options, rng, self.now, self.wall);
        self.nodes.get_mut(&member).unwrap().plane = plane;
    }

    pub(super) fn connect_all(&mut self) {
        let all: Vec<MemberId> = self.nodes.keys().copied().collect();
        for &a in &all {
            for &b in all.iter().filter(|&&b| b != a) {
                self.input(a, Input::Up { peer: b, link: link(a, b), incarnation: incarnation(b) });
            }
        }
        self.run();
        self.fill_pools();
    }

    pub(super) fn fill_pools(&mut self) {
        let all: Vec<MemberId> = self.nodes.keys().copied().collect();
        for me in all {
            while self.nodes.get_mut(&me).unwrap().plane.idle(self.now) {
                self.carry_out(me);
            }
        }
        self.run();
    }

    pub(super) fn lead(&mut self, leader: Option<MemberId>) {
        let all: Vec<MemberId> = self.nodes.keys().copied().collect();
        for me in all {
            self.input(me, Input::Leader(leader));
        }
        self.run();
    }

    /// The member is gone: its links drop, its messages are lost.
    pub(super) fn kill(&mut self, member: MemberId) {
        self.nodes.get_mut(&member).unwrap().alive = false;
        let all: Vec<MemberId> = self.nodes.keys().copied().collect();
        for me in all.into_iter().filter(|&me| me != member) {
            self.input(me, Input::Down { peer: member, link: link(me, member) });
        }
    }

    pub(super) fn ask(&mut self, at: MemberId, fields: Fields, extension: Option<&[u8]>) -> u64 {
        let extension = extension.map(|bytes| Extension::new(bytes.to_vec()));
        self.ask_for(at, fields, extension)
    }

    pub(super) fn ask_for(
        &mut self,
        at: MemberId,
        fields: Fields,
        extension: Option<Extension>,
    ) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.input(at, Input::Ask { ticket, chain: chain(), fields, extension });
        ticket
    }

    pub(super) fn ask_raw(&mut self, at: MemberId, message: RawMessage) -> u64 {
        self.tickets += 1;
        let ticket = self.tickets;
        self.input(at, Input::AskRaw { ticket, chain: chain(), message });
        ticket
    }

    /// Asks for raw bytes and runs until nothing moves, then the answer.
    pub(super) fn answer_raw(&mut self, at: MemberId, message: RawMessage) -> RawReply {
        let ticket = self.ask_raw(at, message);
        self.run();
        self.raw_reply(at, ticket).expect("no reply")
    }

    pub(super) fn raw_reply(&mut self, at: MemberId, ticket: u64) -> Option<RawReply> {
        let replies = &mut self.nodes.get_mut(&at).unwrap().raw_replies;
        let index = replies.iter().position(|reply| reply.ticket == ticket)?;
        Some(replies.remove(index))
    }

    /// Asks and runs until nothing moves, then the answer.
    pub(super) fn answer(&mut self, at: MemberId, fields: Fields, ext: Option<&[u8]>) -> Reply {
        let ticket = self.ask(at, fields, ext);
        self.run();
        self.reply(at, ticket).expect("no reply")
    }

    pub(super) fn reply(&mut self, at: MemberId, ticket: u64) -> Option<Reply> {
        let replies = &mut self.nodes.get_mut(&at).unwrap().replies;
        let index = replies.iter().position(|reply| reply.ticket == ticket)?;
        Some(replies.remove(index))
    }

    pub(super) fn input(&mut self, at: MemberId, input: Input) {
        let node = self.nodes.get_mut(&at).unwrap();
        if node.alive {
            node.plane.handle(input, self.now, self.wall);
            self.carry_out(at);
            while self.nodes.get_mut(&at).unwrap().plane.work(self.now) {
                self.carry_out(at);
            }
            while self.nodes.get_mut(&at).unwrap().plane.work_raw(self.now) {
                self.carry_out(at);
            }
        }
    }

    /// Time goes by, in steps of the nearest timer.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.run();
            let alive = self.nodes.iter().filter(|(_, node)| node.alive);
            let next = alive.map(|(&me, node)| (node.plane.next_timer(), me)).min();
            let Some((at, me)) = next.filter(|&(at, _)| at <= end) else { break };
            let passed = at.saturating_duration_since(self.now);
            self.now = self.now.max(at);
            self.wall.0 += u64::try_from(passed.as_millis()).unwrap();
            self.input(me, Input::Timer);
        }
        self.now = end;
    }

    /// Delivers messages and writes until nothing moves.
    pub(super) fn run(&mut self) {
        loop {
            let fast: Vec<MemberId> = self
                .nodes
                .iter()
                .filter(|(_, node)| node.alive && !node.slow_disk && !node.writes.is_empty())
                .map(|(&me, _)| me)
                .collect();
            for me in &fast {
                self.write_all(*me);
            }
            let willing: Vec<MemberId> = self
                .nodes
                .iter()
                .filter(|(_, node)| node.alive && node.key_is != KeyIs::Slow)
                .filter(|(_, node)| !node.uses.is_empty() || !node.raw_uses.is_empty())
                .map(|(&me, _)| me)
                .collect();
            for me in &willing {
                self.use_all(*me);
            }
            let counting: Vec<MemberId> = self
                .nodes
                .iter()
                .filter(|(_, node)| node.alive && !node.slow_arithmetic && !node.tasks.is_empty())
                .map(|(&me, _)| me)
                .collect();
            for me in &counting {
                self.compute_all(*me);
            }
            let Some((from, to, mut message)) = self.wire.pop_front() else {
                if fast.is_empty() && willing.is_empty() && counting.is_empty() {
                    return;
                }
                continue;
            };
            if self.deaf.contains(&to) {
                self.held.push((from, to, message));
                continue;
            }
            if let Some(tamper) = self.tamper {
                tamper(&mut message, from, to);
            }
            if self.lose.is_some_and(|lose| lose(&message)) {
                self.lost.push((from, to, message));
                continue;
            }
            if let Message::Answer(Answer { body: AnswerBody::Failed(failure), .. }) = &message {
                self.failures.push(*failure);
            }
            if let Some(extension) = message.extension() {
                self.carried.push((from, to, extension.total_bytes()));
            } else if message.names_extension() {
                self.carried.push((from, to, 0));
            }
            self.input(to, Input::Message { peer: from, link: link(to, from), message });
        }
    }

    /// The disk of a member catches up.
    pub(super) fn write_all(&mut self, member: MemberId) {
        while let Some(record) = self.nodes.get_mut(&member).unwrap().writes.pop_front() {
            let receipt = self.nodes.get_mut(&member).unwrap().file.write(&record).unwrap();
            self.input(member, Input::Written { chain: chain(), receipt });
        }
    }

    /// The arithmetic of a member catches up.
    pub(super) fn compute_all(&mut self, member: MemberId) {
        while let Some(task) = self.nodes.get_mut(&member).unwrap().tasks.pop_front() {
            self.input(member, Input::Computed(Box::new(task.run())));
        }
    }

    /// The whole key of a member does what waits for it.
    pub(super) fn use_all(&mut self, member: MemberId) {
        while self.use_one(member) {}
    }

    /// The same for the next thing; `false` if nothing waits.
    pub(super) fn use_one(&mut self, member: MemberId) -> bool {
        if let Some(granted) = self.nodes.get_mut(&member).unwrap().uses.pop_front() {
            let sign = |bytes: &[u8]| {
                Signature::new(Algorithm::Ed25519, whole_key().sign(bytes).to_bytes())
            };
            let result = match self.nodes[&member].key_is {
                KeyIs::Broken => Err(KeyFault::Unreachable("gone".to_owned())),
                KeyIs::Lying => Ok(Signatures {
                    vote: granted.vote().map(|_| sign(b"other bytes")),
                    extension: granted.extension().map(sign),
                    non_rp: granted.non_rp().map(sign),
                }),
                KeyIs::Forgetful => Ok(Signatures {
                    vote: granted.vote().map(sign),
                    extension: granted.extension().map(sign),
                    non_rp: None,
                }),
                KeyIs::Well | KeyIs::Slow => Ok(Signatures {
                    vote: granted.vote().map(sign),
                    extension: granted.extension().map(sign),
                    non_rp: granted.non_rp().map(sign),
                }),
            };
            self.input(member, Input::KeyUsed { chain: chain(), result });
            return true;
        }
        if let Some(allowed) = self.nodes.get_mut(&member).unwrap().raw_uses.pop_front() {
            let sign = |bytes: &[u8]| {
                Signature::new(Algorithm::Ed25519, whole_key().sign(bytes).to_bytes())
            };
            let result = match self.nodes[&member].key_is {
                KeyIs::Broken => Err(KeyFault::Unreachable("gone".to_owned())),
                KeyIs::Lying => Ok(sign(b"other bytes")),
                KeyIs::Well | KeyIs::Slow | KeyIs::Forgetful => Ok(sign(allowed.as_bytes())),
            };
            self.input(member, Input::KeyUsedRaw { chain: chain(), result });
            return true;
        }
        false
    }

    fn carry_out(&mut self, me: MemberId) {
        let node = self.nodes.get_mut(&me).unwrap();
        for effect in node.plane.take_effects() {
            match effect {
                Effect::Write { record, .. } => node.writes.push_back(record),
                Effect::Send { link: LinkId(link), message } => {
                    let to = id(link % 100);
                    self.wire.push_back((me, to, message));
                }
                Effect::UseKey { granted, .. } => node.uses.push_back(granted),
                Effect::SignRaw { allowed, .. } => node.raw_uses.push_back(allowed),
                Effect::RawReply(reply) => node.raw_replies.push(reply),
                Effect::Compute(task) => node.tasks.push_back(*task),
                Effect::StepDown => node.stepped_down += 1,
                Effect::Reply(reply) => node.replies.push(reply),
                Effect::Replicate(settled) => node.replicated.push(settled),
                Effect::LetValidatorsGo => node.let_go += 1,
            }
        }
    }
}

/// What a member's settings say of the chain.
fn dialect(me: MemberId, v2: &[u64]) -> Dialect {
    match v2.contains(&u64::from(me.get())) {
        true => Dialect { version: Version::V2, non_rp_extensions: true, ..Dialect::default() },
        false => Dialect::default(),
    }
}

fn node(
    me: MemberId,
    members: &BTreeSet<MemberId>,
    key: Arc<ChainKey>,
    give_up_after: Option<Duration>,
    now: Instant,
    (wall, begins): (UnixMillis, Record),
) -> Node {
    let dir = tempfile::tempdir().unwrap();
    WatermarkFile::create(dir.path(), &chain(), &key.id, &begins).unwrap();
    let entry = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap();
    let disk = MemoryDisk(std::fs::read(entry.path()).unwrap());
    let (file, record, receipt) =
        WatermarkFile::open_on(disk, Path::new("memory"), &chain(), &key.id).unwrap();
    let mut rng = TestRng(u64::from(me.get()) + 100, 0);
    let replica = Arc::new(Mutex::new(None));
    let read = Arc::clone(&replica);
    let options = PlaneOptions {
        me,
        incarnation: incarnation(me),
        members: members.clone(),
        recorded: BTreeMap::new(),
        hedge: HedgeSecret::random(&mut rng).unwrap(),
        chains: vec![(
            Starting { key, record, receipt, height_jump: JumpLimit::default() },
            give_up_after,
        )],
        session_base: u64::from(me.get()),
        replica: Box::new(move |_, _| read.lock().unwrap().clone()),
    };
    Node {
        plane: Plane::new(options, rng, now, wall),
        file,
        writes: VecDeque::new(),
        slow_disk: false,
        replies: Vec::new(),
        replicated: Vec::new(),
        replica,
        let_go: 0,
        stepped_down: 0,
        raw_replies: Vec::new(),
        raw_uses: VecDeque::new(),
        uses: VecDeque::new(),
        key_is: KeyIs::Well,
        tasks: VecDeque::new(),
        slow_arithmetic: false,
        alive: true,
    }
}
