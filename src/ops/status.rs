//! `/status` as JSON. Field names are a contract with operators and scripts.

use serde::{Deserialize, Serialize};

use super::ready::KEY_UNAVAILABLE;

/// The whole of `/status`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// This member.
    pub node_id: u16,
    /// `leader`, `follower`, `candidate` or `single`.
    pub role: String,
    /// The leader, if one is known.
    pub leader_id: Option<u16>,
    /// Raft's term.
    pub term: u64,
    /// Whether this node leads.
    pub is_leader: bool,
    /// The leader's address.
    pub leader_addr: Option<String>,
    /// Whether `/readyz` says 200.
    pub ready: bool,
    /// Why not.
    pub not_ready: Vec<String>,
    /// The cosigners, this one included.
    pub members: Vec<MemberStatus>,
    /// The chains.
    pub chains: Vec<ChainStatus>,
    /// The validators that this node dials.
    pub validators: Vec<ValidatorStatus>,
    /// The watermark of the first chain, under CometKMS's name.
    pub last_sign_state: Option<LastSignState>,
    /// Raft's last applied log index.
    pub raft_applied: Option<u64>,
    /// Signatures over gRPC; absent if switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceStatus>,
}

impl Status {
    /// What `/readyz` says when it is not: a line for each reason, its word first; for a key that cannot
    /// be used, a line for each chain, with the cause.
    #[must_use]
    pub fn why_not_ready(&self) -> String {
        let lines = self.not_ready.iter().flat_map(|word| match word.as_str() {
            KEY_UNAVAILABLE => self.key_faults(),
            other => vec![format!("{other}\n")],
        });
        lines.collect()
    }

    fn key_faults(&self) -> Vec<String> {
        let faults =
            self.chains.iter().filter_map(|chain| Some((chain, chain.key_fault.as_ref()?)));
        let line = |(chain, fault): (&ChainStatus, &KeyFaultStatus)| {
            let KeyFaultStatus { cause, text } = fault;
            format!("{KEY_UNAVAILABLE} {cause}: chain {}: {text}\n", chain.id)
        };
        faults.map(line).collect()
    }
}

/// One cosigner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MemberStatus {
    /// Its number.
    pub id: u16,
    /// Where the others reach it.
    pub address: String,
    /// Whether a link to it is up; true for this node.
    pub connected: bool,
    /// Round trip of the last ping, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Heights that its watermark is behind this node's; negative if ahead.
    pub watermark_lag: Option<i64>,
}

/// One chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChainStatus {
    /// Chain id.
    pub id: String,
    /// `threshold`, `file`, `pkcs11` or `awskms`.
    pub backend: String,
    /// The consensus public key, base64.
    pub public_key: String,
    /// The validator address, 40 hex digits.
    pub address: String,
    /// The same as the chain writes it: `cosmosvalcons1…`.
    pub valcons: String,
    /// Shares or grants that a signature needs.
    pub threshold: u16,
    /// Members that give them.
    pub members: u16,
    /// This node's watermark.
    pub watermark: Option<WatermarkStatus>,
    /// Height above which nothing is signed.
    pub ceiling: Option<i64>,
    /// What was last signed for a validator of this node.
    pub last_signed: Option<LastSigned>,
    /// What the rule last denied to a validator of this node.
    pub last_denied: Option<LastDenied>,
    /// Requests of this node's validators by outcome, since the start.
    pub counts: Counts,
    /// Requests for signatures over raw bytes, which are no votes and are counted apart.
    #[serde(default)]
    pub raw: RawCounts,
    /// Nonce commitments at hand of the member that has fewest; absent where the key is whole.
    pub nonces_ready: Option<usize>,
    /// Why this node cannot use the chain's whole key now.
    pub key_fault: Option<KeyFaultStatus>,
}

/// The gRPC service. It has no say in whether the node is ready: that is about validators.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Where it listens.
    pub listen: String,
    /// Whether with TLS.
    pub tls: bool,
    /// Its keys, sorted by id.
    pub keys: Vec<ServiceKeyStatus>,
}

/// One key of the gRPC service.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ServiceKeyStatus {
    /// Its name on the wire.
    pub id: String,
    /// `file`, `pkcs11` or `awskms`.
    pub backend: String,
    /// `ed25519`, `secp256k1` or `secp256k1eth`.
    pub scheme: String,
    /// Its public key, base64; absent until its backend has been reached, and of a key that is refused.
    pub public_key: Option<String>,
    /// Permitted requests by outcome, since the start.
    pub counts: ServiceCounts,
    /// Why it cannot be used now.
    pub key_fault: Option<KeyFaultStatus>,
}

/// Requests of a service key by outcome.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ServiceCounts {
    /// Signed.
    pub signed: u64,
    /// Permitted, and not signed.
    pub failed: u64,
}

/// Why a whole key cannot be used.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyFaultStatus {
    /// One word: `unreachable`, `throttled`, `credentials`, `pin` …
    pub cause: String,
    /// The same for people.
    pub text: String,
}

/// Height, round and step of a watermark.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct WatermarkStatus {
    /// Height.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// 1 propose, 2 prevote, 3 precommit.
    pub step: u8,
}

/// The last signature given to a validator of this node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastSigned {
    /// Height.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// 1 propose, 2 prevote, 3 precommit.
    pub step: u8,
    /// `proposal`, `prevote` or `precommit`.
    pub kind: String,
    /// When, in seconds since the Unix epoch.
    pub at: u64,
}

/// The last denial that a validator of this node got.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastDenied {
    /// One word: `height_jump`, `conflicting_data`, `height_regression` …
    pub reason: String,
    /// The same for people, with what to do where something is to be done.
    pub text: String,
    /// Height that was asked for.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// 1 propose, 2 prevote, 3 precommit.
    pub step: u8,
    /// When, in seconds since the Unix epoch.
    pub at: u64,
}

/// Requests by outcome.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Signed now.
    pub signed: u64,
    /// Signed before, sent again.
    pub repeated: u64,
    /// Denied by the double-sign rule.
    pub denied: u64,
    /// Not signed for lack of a leader, a quorum or time.
    pub failed: u64,
}

/// Requests for raw bytes by outcome.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct RawCounts {
    /// Signed.
    pub signed: u64,
    /// Not wanted on this chain, or could be a vote.
    pub refused: u64,
    /// Not signed for lack of a quorum, a key or time.
    pub failed: u64,
}

/// One validator.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ValidatorStatus {
    /// Its chain.
    pub chain_id: String,
    /// Where it listens.
    pub address: String,
    /// Past the handshake.
    pub connected: bool,
    /// `dialling`, `waiting` (in the validator's backlog) or `connected`.
    pub state: String,
    /// Since when connected, in seconds since the Unix epoch.
    pub since: Option<u64>,
    /// How often it has taken a connection, since the start.
    pub connects: u64,
    /// How often such a connection was lost.
    pub losses: u64,
    /// Log lines about it that were left out because there were too many.
    pub lines_left_out: u64,
}

/// A watermark under CometKMS's names.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct LastSignState {
    /// Height.
    pub height: i64,
    /// Round.
    pub round: i32,
    /// 1 propose, 2 prevote, 3 precommit.
    pub step: u8,
}
