//! Why a chain was not added to a home.

use std::io;
use std::path::PathBuf;

use crate::config::{ConfigError, LoadError};
use crate::keystore::KeystoreError;
use crate::types::{ChainId, ClusterError, MemberId};
use crate::watermark::FileError;

/// Why a chain was not added to a home.
#[derive(Debug, thiserror::Error)]
pub enum AddError {
    /// Something about the home as it is.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// A node alone.
    #[error(
        "{home}: this node signs alone, it has no cluster.toml, and no other homes to join. For another chain stop it, add a \
         second [[chain]] with its key, and its [[validator]], to {settings} by hand, then run: cosigner state init --home {home} \
         --chain-id CHAIN --height H (or --never-signed), and cosigner config check --home {home}. Or make another home with \
         `cosigner init`", home = home.display(), settings = home.join("cosigner.toml").display()
    )]
    Alone {
        /// The home.
        home: PathBuf,
    },
    /// What is written would belong to the wrong user.
    #[error(
        "{home} belongs to the user with number {owner}, and this is {us}: what is written here would be out of the \
         node's reach. Run it as that user, for example: sudo -u '#{owner}' cosigner …", home = home.display()
    )]
    OtherUser {
        /// The home.
        home: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who runs this.
        us: u32,
    },
    /// `--join` without a home.
    #[error("--join needs the homes of all members of the cluster")]
    NoHomes,
    /// `--join` with something that is no home.
    #[error("--join: {file}: not found; name the homes of the cluster's members, as `split-key` or `init` wrote them", file = file.display())]
    NotAHome {
        /// What a home has.
        file: PathBuf,
    },
    /// One directory twice.
    #[error("{home} is named twice; name each member's home once", home = home.display())]
    SameHome {
        /// The home.
        home: PathBuf,
    },
    /// Two homes of one member.
    #[error("{first} and {second} are both the home of member {me}; name each member's home once", first = first.display(), second = second.display())]
    SameMember {
        /// One.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// Whose.
        me: MemberId,
    },
    /// Not all homes.
    #[error(
        "the homes of all {members} members are needed, that of member {absent} is missing. If they are on other machines, \
         use --members cluster.toml, which writes a file for each of them"
    )]
    NotAll {
        /// Members of the cluster.
        members: usize,
        /// One whose home is not there.
        absent: MemberId,
    },
    /// Homes with different lists.
    #[error(
        "{first} and {second} have different cluster.toml (editions {first_serial} and {second_serial}): the same bytes belong \
         on every member. Finish what was begun with the newer one, or copy it over the older one",
        first = first.display(), second = second.display()
    )]
    DifferentLists {
        /// A home.
        first: PathBuf,
        /// Edition of its list.
        first_serial: u64,
        /// Another.
        second: PathBuf,
        /// Edition of its list.
        second_serial: u64,
    },
    /// A list of other members.
    #[error("{home}: this is for another cluster: its members or their certificates are not those of this home", home = home.display())]
    OtherCluster {
        /// The home.
        home: PathBuf,
    },
    /// The new list would lose a chain.
    #[error(
        "{home}: the new member list (edition {serial}) does not have the key of chain {chain} as the present one does: it was made \
         from an older cluster.toml. Make it again, from the present one", home = home.display()
    )]
    Loses {
        /// The home.
        home: PathBuf,
        /// Edition of the new list.
        serial: u64,
        /// A chain that the present list has.
        chain: ChainId,
    },
    /// An edition that is older than the present one, or another one with its number.
    #[error(
        "{home}: this was made for edition {serial} of the member list, and this home has edition {present}, in which chain {chain} \
         {}: make it again, from the present cluster.toml", if *other_key { "has another key or other shares" } else { "does not stand" },
        home = home.display()
    )]
    OldEdition {
        /// The home.
        home: PathBuf,
        /// Edition that comes.
        serial: u64,
        /// Edition that is there.
        present: u64,
        /// The chain.
        chain: ChainId,
        /// Whether the present list has another key for the chain.
        other_key: bool,
    },
    /// Nothing to do.
    #[error("{place} has chain {chain} already", place = place.display())]
    There {
        /// A home, or a member list.
        place: PathBuf,
        /// The chain.
        chain: ChainId,
    },
    /// A key that signs for two chains would be two keys' trouble at once.
    #[error(
        "this key is that of chain {chain} already: each chain has a key of its own, or one chain's signer could be used against the other"
    )]
    SameKey {
        /// The chain that has it.
        chain: ChainId,
    },
    /// A chain that the list has with another key.
    #[error(
        "cluster.toml of {home} has chain {chain} with another key or threshold: that is finished, or put right, with the key \
         that was named then", home = home.display()
    )]
    OtherKey {
        /// The home.
        home: PathBuf,
        /// The chain.
        chain: ChainId,
    },
    /// A share that belongs to the list is not there.
    #[error(
        "{home}: chain {chain} stands in cluster.toml, but this home has no share of its key: bring keys/ back from its backup, \
         or import the share's file with `cosigner share import`", home = home.display()
    )]
    NoShare {
        /// The home.
        home: PathBuf,
        /// The chain.
        chain: ChainId,
    },
    /// No watermark, and nothing that says where to begin.
    #[error(
        "{home}: there is no watermark of chain {chain}, and the file does not say where to begin: give --state-height H, a height \
         that the chain has not reached", home = home.display()
    )]
    NoFloor {
        /// The home.
        home: PathBuf,
        /// The chain.
        chain: ChainId,
    },
    /// The settings with the new chain would not be read.
    #[error(
        "with chain {chain} added at its end, it would not be read: {source}. Nothing has been changed. Correct that first \
         (where the file has `validator = []`, remove that line)"
    )]
    Settings {
        /// The chain.
        chain: ChainId,
        /// Why.
        source: Box<ConfigError>,
    },
    /// The list cannot be made.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A watermark.
    #[error(transparent)]
    Watermark(#[from] FileError),
    /// The shares.
    #[error(transparent)]
    Keystore(#[from] KeystoreError),
    /// A file could not be read or written.
    #[error("could not {doing} {path}: {source}", path = path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A step that was done in some homes only.
    #[error(
        "{home}: {source}. Every home starts as before; this step is done in {done} of {all}. Put right what stands above and run \
         the same command again: it goes on from there", home = home.display()
    )]
    Unfinished {
        /// Where it failed.
        home: PathBuf,
        /// Homes in which it is done.
        done: usize,
        /// Homes.
        all: usize,
        /// Why.
        source: Box<Self>,
    },
}

impl From<ConfigError> for AddError {
    fn from(error: ConfigError) -> Self {
        Self::Load(error.into())
    }
}

impl AddError {
    /// Whether the flags or files of the operator are at fault.
    pub(in crate::cli) const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Alone { .. }
                | Self::NoHomes
                | Self::NotAHome { .. }
                | Self::SameHome { .. }
                | Self::SameMember { .. }
                | Self::NotAll { .. }
                | Self::NoFloor { .. }
                | Self::Settings { .. }
                | Self::Load(LoadError::Config(_))
        )
    }

    /// Whether this machine refused.
    pub(in crate::cli) const fn is_failure(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Unfinished { .. })
    }
}
