//! What goes into a plane and what comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::backend::{Granted, KeyFault, Signatures};
use crate::frost::HedgeSecret;
use crate::peer::{LinkId, Message, Signed};
use crate::privval::{Extension, Fields, RawAllowed, RawMessage};
use crate::raft::Settled;
use crate::signing::attempt::Account;
use crate::signing::participant::Starting;
use crate::signing::raw::RawReply;
use crate::signing::task::{Computed, Task};
use crate::types::{ChainId, Height, Hrs, Incarnation, KeyId, MemberId, Signature};
use crate::watermark::{Denial, Record, Watermarked};

/// What a plane is made from.
pub struct PlaneOptions {
    /// This member.
    pub me: MemberId,
    /// Its disk's present life (I8).
    pub incarnation: Incarnation,
    /// All members, this one included.
    pub members: BTreeSet<MemberId>,
    /// Incarnations of others that fences have recorded (I8).
    pub recorded: BTreeMap<MemberId, Incarnation>,
    /// Mixed into nonce generation.
    pub hedge: HedgeSecret,
    /// The chains, each with its record and how long its validator is asked to wait.
    pub chains: Vec<(Starting, Option<Duration>)>,
    /// Random; makes session ids unique.
    pub session_base: u64,
    /// What Raft has replicated for a chain and key.
    pub replica: Replica,
}

/// Reads what Raft has replicated for a chain and key: a hint, verified before use.
pub type Replica = Box<dyn Fn(&ChainId, &KeyId) -> Option<Settled> + Send>;

/// What happens to a node.
pub enum Input {
    /// A validator on this node asks; `ticket` names the request in the reply.
    Ask {
        /// Name of the request.
        ticket: u64,
        /// The chain.
        chain: ChainId,
        /// What is to be signed.
        fields: Fields,
        /// Extension to be signed with it.
        extension: Option<Extension>,
    },
    /// A validator on this node asks for a signature over raw bytes.
    AskRaw {
        /// Name of the request, of the same numbers as in [`Self::Ask`].
        ticket: u64,
        /// The chain.
        chain: ChainId,
        /// What is to be signed.
        message: RawMessage,
    },
    /// A link to a member is up.
    Up {
        /// The member.
        peer: MemberId,
        /// The link.
        link: LinkId,
        /// The member's incarnation, as it says.
        incarnation: Incarnation,
    },
    /// A link is down.
    Down {
        /// The member.
        peer: MemberId,
        /// The link.
        link: LinkId,
    },
    /// A message came in.
    Message {
        /// The member.
        peer: MemberId,
        /// The link.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// A watermark write has returned.
    Written {
        /// The chain.
        chain: ChainId,
        /// Its receipt.
        receipt: Watermarked,
    },
    /// A watermark write has failed; the chain stops.
    WriteFailed {
        /// The chain.
        chain: ChainId,
    },
    /// A whole key has been used, or has not.
    KeyUsed {
        /// The chain.
        chain: ChainId,
        /// What came of it.
        result: Result<Signatures, KeyFault>,
    },
    /// A whole key has been used for raw bytes, or has not.
    KeyUsedRaw {
        /// The chain.
        chain: ChainId,
        /// What came of it.
        result: Result<Signature, KeyFault>,
    },
    /// A task is done.
    Computed(Box<Computed>),
    /// A whole key was looked at.
    KeyHealth {
        /// The chain.
        chain: ChainId,
        /// Whether it could sign now.
        health: Result<(), KeyFault>,
    },
    /// Raft has another leader, or none.
    Leader(Option<MemberId>),
    /// The time that [`super::Plane::next_timer`] named has come.
    Timer,
}

/// What a node wants done.
pub enum Effect {
    /// Write a record into a chain's watermark file, durably; never cancelled.
    Write {
        /// The chain.
        chain: ChainId,
        /// The record.
        record: Record,
    },
    /// Use a chain's whole key; never cancelled, and answered by [`Input::KeyUsed`]. At most one for each
    /// chain at a time.
    UseKey {
        /// The chain.
        chain: ChainId,
        /// The receipt of a complete set of grants, with the bytes (I7).
        granted: Granted,
    },
    /// Use a chain's whole key for raw bytes; as [`Self::UseKey`], answered by [`Input::KeyUsedRaw`].
    SignRaw {
        /// The chain.
        chain: ChainId,
        /// The receipt that these bytes can be no vote, with the bytes.
        allowed: RawAllowed,
    },
    /// Run a task, beside this thread if there is another, and bring what comes of it by
    /// [`Input::Computed`].
    Compute(Box<Task>),
    /// Give leadership up: another member can sign with the whole key, this one cannot.
    StepDown,
    /// Send a message.
    Send {
        /// The link.
        link: LinkId,
        /// The message.
        message: Message,
    },
    /// Answer a validator.
    Reply(Reply),
    /// Answer a validator that has asked for a signature over raw bytes.
    RawReply(RawReply),
    /// Propose a new signature to Raft, after the replies went out.
    Replicate(Settled),
    /// Close the validator connections that are past their handshake, once, and redial.
    LetValidatorsGo,
}

/// The answer to a validator's request.
pub struct Reply {
    /// Name of the request.
    pub ticket: u64,
    /// What to answer.
    pub verdict: Verdict,
    /// For the log line.
    pub account: Account,
    /// The member that coordinated it.
    pub coordinator: MemberId,
}

/// How a validator's request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// `signed`
    Signed(Signed),
    /// `repeated`
    Repeated(Signed),
    /// `denied`
    Denied(Denial),
    /// `failed`, and the validator is to ask again.
    NotNow(String),
    /// `failed` for so long that the validator is to go on without.
    GivenUp(String),
}

impl Verdict {
    /// The word of logs and status.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Signed(_) => "signed",
            Self::Repeated(_) => "repeated",
            Self::Denied(_) => "denied",
            Self::NotNow(_) | Self::GivenUp(_) => "failed",
        }
    }
}

/// What `/status` shows of the signing plane.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The leader as this node routes.
    pub leader: Option<MemberId>,
    /// Members with a live link.
    pub reachable: BTreeMap<MemberId, PeerSnapshot>,
    /// Each chain's watermark, fewest nonces at hand, and whether its file failed.
    pub chains: BTreeMap<ChainId, ChainSnapshot>,
}

/// One member in a [`Snapshot`].
#[derive(Clone, Debug, Default)]
pub struct PeerSnapshot {
    /// Round trip of the last ping.
    pub rtt: Option<Duration>,
    /// Its watermarks as it last said.
    pub watermarks: BTreeMap<ChainId, Hrs>,
    /// The chains that it could coordinate requests of, as it last said: it serves them and, where the
    /// key is whole, can use it.
    pub key_ready: BTreeMap<ChainId, bool>,
}

/// One chain in a [`Snapshot`].
#[derive(Clone, Debug, Default)]
pub struct ChainSnapshot {
    /// The highest H/R/S agreed to.
    pub watermark: Option<Hrs>,
    /// Nothing above this height is signed.
    pub ceiling: Option<Height>,
    /// Commitments at hand of the member that has fewest.
    pub nonces_ready: usize,
    /// A watermark write failed: the chain signs nothing any more.
    pub stopped: bool,
    /// Why this node cannot use the chain's whole key now.
    pub key_fault: Option<KeyFault>,
}

impl Input {
    /// A long extension in it. Its digest is wanted at once: computed beforehand, on another thread, it
    /// costs the plane nothing.
    #[must_use]
    pub fn long_extension(&self) -> Option<&Extension> {
        let extension = match self {
            Self::Ask { extension, .. } => extension.as_ref(),
            Self::Message { message, .. } => message.extension(),
            _ => None,
        };
        extension.filter(|extension| extension.is_long())
    }
}
