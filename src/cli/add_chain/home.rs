//! A home that no node runs with, and what a new chain changes in it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::AddError;
use super::lists::takes_over;
use super::replace::replace;
use crate::config::{
    ConfigError, Home, LoadError, Settings, TakenState, parse_cluster, take_state,
};
use crate::frost::SigningShare;
use crate::keystore::Keystore;
use crate::types::{ChainId, Cluster, KeyId, MemberId};
use crate::watermark::{Fault, FileError, Record, WatermarkFile, peek};

/// A member's home, taken: its lock is held until this is dropped.
pub(in crate::cli) struct TakenHome {
    home: Home,
    pub(in crate::cli) me: MemberId,
    pub(in crate::cli) list: Cluster,
    pub(in crate::cli) list_text: String,
    /// There may be a PIN in it.
    settings_text: Zeroizing<String>,
    pub(in crate::cli) taken: TakenState,
    pub(in crate::cli) keystore: Keystore,
}

/// One more chain, as one home gets it.
pub(in crate::cli) struct Addition<'a> {
    pub(in crate::cli) chain: &'a ChainId,
    /// The member list with its key.
    pub(in crate::cli) list: &'a Cluster,
    pub(in crate::cli) list_text: &'a str,
    /// What `cosigner.toml` is to say, as tables.
    pub(in crate::cli) settings: &'a str,
    /// This member's share; `None` if the key is whole, or if the home has the share already.
    pub(in crate::cli) share: Option<SigningShare>,
    /// Where the watermark begins; one that is there already only rises to it.
    pub(in crate::cli) floor: Floor,
}

/// Where a chain's watermark begins.
pub(in crate::cli) enum Floor {
    /// Nothing says so: there has to be a watermark.
    Unknown,
    /// For a chain that this home has never served. If it has, and the watermark is gone, then this one
    /// may be older than what was signed, and is not used.
    Begin(Record),
    /// What the operator says now, for this home.
    Told(Record),
}

/// What is to be written into a home: nothing where all is there.
pub(in crate::cli) struct Change {
    chain: ChainId,
    key: KeyId,
    watermark: Option<(Watermark, Record)>,
    share: Option<(SigningShare, Cluster)>,
    list: Option<String>,
    settings: Option<Zeroizing<String>>,
}

enum Watermark {
    Create,
    Raise,
}

impl TakenHome {
    /// Takes a home and reads it as `start` would.
    pub(in crate::cli) fn take(path: &Path) -> Result<Self, AddError> {
        let home = Home::new(path);
        check_user(&home)?;
        let taken = take_state(&home)?;
        let Some(node) = &taken.settings.node else {
            return Err(AddError::Alone { home: home.root().to_owned() });
        };
        let me = node.id;
        let read = |path: &Path| {
            let failed = |source| AddError::Io { doing: "read", path: path.to_owned(), source };
            fs::read_to_string(path).map_err(failed)
        };
        let settings_text = Zeroizing::new(read(&home.cosigner_toml())?);
        let list_text = read(&home.cluster_toml())?;
        let list = parse_cluster(&list_text, &home.cluster_toml())?;
        let keystore = Keystore::open(&home.keys())?;
        if keystore.me() != me {
            let (path, configured, keys) = (home.keys(), me, keystore.me());
            return Err(LoadError::WrongMember { path, configured, keys }.into());
        }
        // The members are the sealed ones, and what is served has its share.
        let split = taken.settings.chains.iter().map(|chain| &chain.id).filter(|chain| {
            list.keys().get(chain).is_some_and(|listed| listed.threshold.is_some())
        });
        keystore.keys(&list, split)?;
        Ok(Self { home, me, list, list_text, settings_text, taken, keystore })
    }

    /// Takes the homes that `--join` names, each once.
    pub(in crate::cli) fn take_all(paths: &[PathBuf]) -> Result<Vec<Self>, AddError> {
        let mut seen = BTreeSet::new();
        for path in paths {
            // One that is not there is said when it is taken.
            if !seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())) {
                return Err(AddError::SameHome { home: path.clone() });
            }
        }
        let named = |error| match error {
            AddError::Load(LoadError::Config(ConfigError::Missing { file })) => {
                AddError::NotAHome { file }
            }
            other => other,
        };
        paths.iter().map(|path| Self::take(path).map_err(named)).collect()
    }

    /// Where it is.
    pub(in crate::cli) fn root(&self) -> &Path {
        self.home.root()
    }

    /// What `cosigner.toml` says, all of it.
    pub(in crate::cli) fn settings_text(&self) -> &str {
        &self.settings_text
    }

    /// Whether `cosigner.toml` has the chain.
    pub(in crate::cli) fn serves(&self, chain: &ChainId) -> bool {
        self.taken.settings.chains.iter().any(|known| known.id == *chain)
    }

    /// Checks all that can be checked, and says what is to be written. Writes nothing.
    pub(in crate::cli) fn plan(&self, addition: Addition<'_>) -> Result<Change, AddError> {
        let Addition { chain, list, list_text, settings, share, floor } = addition;
        let takes_over = takes_over(self, list, chain)?;
        let in_force = if takes_over { list } else { &self.list };
        let settings = self.with_settings(chain, settings, in_force)?;
        let Some(listed) = in_force.keys().get(chain) else {
            return Err(AddError::OtherCluster { home: self.root().to_owned() });
        };
        let key = listed.public_key.id();
        let is_whole = listed.threshold.is_none();
        let has_share = self.keystore.keys(in_force, [chain]).is_ok();
        let share = match share {
            _ if is_whole || has_share => None,
            Some(share) => Some((share, in_force.clone())),
            None => {
                let (home, chain) = (self.root().to_owned(), chain.clone());
                return Err(AddError::NoShare { home, chain });
            }
        };
        let known = has_share || (is_whole && self.list.keys().contains_key(chain));
        let watermark = self.watermark(chain, &key, floor, known)?;
        let list = takes_over.then(|| list_text.to_owned());
        Ok(Change { chain: chain.clone(), key, watermark, share, list, settings })
    }

    /// `cosigner.toml` with the chain at its end; `None` if it has it.
    fn with_settings(
        &self,
        chain: &ChainId,
        tables: &str,
        list: &Cluster,
    ) -> Result<Option<Zeroizing<String>>, AddError> {
        if self.serves(chain) {
            return Ok(None);
        }
        let old = self.settings_text.as_str();
        // With its capacity from the start: growing would leave copies of a PIN behind.
        let mut text = Zeroizing::new(String::with_capacity(old.len() + tables.len() + 2));
        text.push_str(old);
        if !old.is_empty() && !old.ends_with('\n') {
            text.push('\n');
        }
        text.push('\n');
        text.push_str(tables);
        let file = self.home.cosigner_toml();
        let refused = |source| {
            let (chain, source) = (chain.clone(), Box::new(source));
            AddError::Settings { chain, source }
        };
        let settings = Settings::parse(&text, &file, self.root()).map_err(refused)?;
        settings.check_against(list, &file).map_err(refused)?;
        Ok(Some(text))
    }

    /// I2: a watermark that is there only rises.
    fn watermark(
        &self,
        chain: &ChainId,
        key: &KeyId,
        floor: Floor,
        known: bool,
    ) -> Result<Option<(Watermark, Record)>, AddError> {
        let (floor, may_create) = match floor {
            Floor::Unknown => (None, false),
            Floor::Begin(record) => (Some(record), !known),
            Floor::Told(record) => (Some(record), true),
        };
        match (peek(&self.home.watermarks(), chain, key), floor) {
            (Ok(stored), Some(floor)) if floor.hrs() > stored.record.hrs() => {
                Ok(Some((Watermark::Raise, floor)))
            }
            (Ok(_), _) => Ok(None),
            (Err(error), Some(floor)) if may_create && is_missing(&error) => {
                Ok(Some((Watermark::Create, floor)))
            }
            (Err(error), None) if is_missing(&error) => {
                let (home, chain) = (self.root().to_owned(), chain.clone());
                Err(AddError::NoFloor { home, chain })
            }
            (Err(source), _) => Err(LoadError::Watermark {
                chain: chain.clone(),
                home: self.root().to_owned(),
                source: Box::new(source),
            }
            .into()),
        }
    }

    /// Watermark, then share. Neither is looked at by a node that does not have the chain in its settings.
    pub(in crate::cli) fn secure(&self, change: &Change) -> Result<(), AddError> {
        let (dir, chain, key) = (self.home.watermarks(), &change.chain, &change.key);
        match &change.watermark {
            Some((Watermark::Create, record)) => WatermarkFile::create(&dir, chain, key, record)?,
            Some((Watermark::Raise, record)) => {
                let (mut file, ..) = WatermarkFile::open(&dir, chain, key)?;
                file.write(record)?;
            }
            None => {}
        }
        if let Some((share, list)) = &change.share {
            self.keystore.add(list, chain, share)?;
        }
        Ok(())
    }

    /// `cluster.toml`, after the share.
    pub(in crate::cli) fn write_list(&self, change: &Change) -> Result<(), AddError> {
        let Some(text) = &change.list else { return Ok(()) };
        replace(&self.home.cluster_toml(), text.as_bytes())
    }

    /// `cosigner.toml`, last: with it the node serves the chain.
    pub(in crate::cli) fn write_settings(&self, change: &Change) -> Result<(), AddError> {
        let Some(text) = &change.settings else { return Ok(()) };
        replace(&self.home.cosigner_toml(), text.as_bytes())
    }
}

impl Change {
    /// Whether there is nothing to write: the home has all of it.
    pub(in crate::cli) const fn is_nothing(&self) -> bool {
        self.watermark.is_none()
            && self.share.is_none()
            && self.list.is_none()
            && self.settings.is_none()
    }
}

const fn is_missing(error: &FileError) -> bool {
    matches!(error.fault, Fault::Missing)
}

/// Files of another user than the node's would be out of its reach.
fn check_user(home: &Home) -> Result<(), AddError> {
    // What is not there is said by whoever wants to read it.
    let Ok(found) = fs::metadata(home.state()) else { return Ok(()) };
    let (owner, us) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner == us {
        return Ok(());
    }
    Err(AddError::OtherUser { home: home.root().to_owned(), owner, us })
}
