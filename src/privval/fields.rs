//! What a validator asks to have signed, as checked fields. Cosigners exchange these, never bytes.

use crate::types::{Height, Hrs, Round, Step, Timestamp};

/// A 32-byte block or part-set hash. CometBFT panics on any other length, we refuse it.
pub type Hash = [u8; 32];

/// The block a vote or proposal is for. The nil block is an absent `BlockId`; one in which everything
/// is empty means the same, and is treated so wherever [`Fields`] are read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BlockId {
    /// Header hash; absent when the validator left it empty.
    pub hash: Option<Hash>,
    /// Number of parts.
    pub parts_total: u32,
    /// Merkle root of the parts; absent when the validator left it empty.
    pub parts_hash: Option<Hash>,
}

impl BlockId {
    /// A block id, or `None` for nil: everything empty (CometBFT `types/block.go`, `BlockID.IsZero`).
    #[must_use]
    pub fn new(hash: Option<Hash>, parts_total: u32, parts_hash: Option<Hash>) -> Option<Self> {
        let block_id = Self { hash, parts_total, parts_hash };
        (!block_id.is_nil()).then_some(block_id)
    }

    const fn is_nil(&self) -> bool {
        self.hash.is_none() && self.parts_total == 0 && self.parts_hash.is_none()
    }
}

/// The two kinds of vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VoteKind {
    /// First vote of a round.
    Prevote,
    /// Second vote of a round.
    Precommit,
}

/// A vote's signed fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Vote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// Block height.
    pub height: Height,
    /// Round within the height.
    pub round: Round,
    /// The block, `None` for nil.
    pub block_id: Option<BlockId>,
    /// The validator's clock.
    pub timestamp: Timestamp,
}

/// A proposal's signed fields.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// Block height.
    pub height: Height,
    /// Round within the height.
    pub round: Round,
    /// Round in which the block had two thirds of the prevotes, −1 for none.
    pub pol_round: i32,
    /// The block, `None` for nil.
    pub block_id: Option<BlockId>,
    /// The validator's clock.
    pub timestamp: Timestamp,
}

/// A vote or a proposal: what one signature covers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Fields {
    /// A prevote or precommit.
    Vote(Vote),
    /// A proposal.
    Proposal(Proposal),
}

/// How two sets of fields at one height, round and step relate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Likeness {
    /// Nothing differs.
    Identical,
    /// Only the timestamp differs.
    TimestampOnly,
    /// Something that matters differs.
    Different,
}

/// The kinds of signature that a validator asks for, in the words of logs and status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `proposal`
    Proposal,
    /// `prevote`
    Prevote,
    /// `precommit`
    Precommit,
}

impl Fields {
    /// Height, round and step.
    #[must_use]
    pub const fn hrs(&self) -> Hrs {
        let (height, round) = match self {
            Self::Vote(vote) => (vote.height, vote.round),
            Self::Proposal(proposal) => (proposal.height, proposal.round),
        };
        Hrs { height, round, step: self.kind().step() }
    }

    /// What kind of signature it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Vote(Vote { kind: VoteKind::Prevote, .. }) => Kind::Prevote,
            Self::Vote(Vote { kind: VoteKind::Precommit, .. }) => Kind::Precommit,
            Self::Proposal(_) => Kind::Proposal,
        }
    }

    /// The validator's clock.
    #[must_use]
    pub const fn timestamp(&self) -> Timestamp {
        match self {
            Self::Vote(vote) => vote.timestamp,
            Self::Proposal(proposal) => proposal.timestamp,
        }
    }

    /// The block, `None` for nil.
    #[must_use]
    pub const fn block_id(&self) -> Option<&BlockId> {
        let block_id = match self {
            Self::Vote(vote) => vote.block_id.as_ref(),
            Self::Proposal(proposal) => proposal.block_id.as_ref(),
        };
        match block_id {
            Some(block_id) if !block_id.is_nil() => Some(block_id),
            _ => None,
        }
    }

    /// The same with another timestamp.
    #[must_use]
    pub fn with_timestamp(&self, timestamp: Timestamp) -> Self {
        let mut fields = self.clone();
        match &mut fields {
            Self::Vote(vote) => vote.timestamp = timestamp,
            Self::Proposal(proposal) => proposal.timestamp = timestamp,
        }
        fields
    }

    /// How these fields relate to others; the whole block id is compared.
    #[must_use]
    pub fn likeness(&self, other: &Self) -> Likeness {
        if self == other {
            Likeness::Identical
        } else if *self == other.with_timestamp(self.timestamp()) {
            Likeness::TimestampOnly
        } else {
            Likeness::Different
        }
    }

    /// A precommit for a block: the only vote that carries an extension.
    #[must_use]
    pub const fn may_carry_extension(&self) -> bool {
        matches!(self.kind(), Kind::Precommit) && self.block_id().is_some()
    }
}

impl Kind {
    /// The word of logs and status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proposal => "proposal",
            Self::Prevote => "prevote",
            Self::Precommit => "precommit",
        }
    }

    /// The step it is signed at.
    #[must_use]
    pub const fn step(self) -> Step {
        match self {
            Self::Proposal => Step::Propose,
            Self::Prevote => Step::Prevote,
            Self::Precommit => Step::Precommit,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
