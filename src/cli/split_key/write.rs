//! Writing the homes: all of them, or none.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::config::{Home, NewHome, put_incarnation, put_owner, render_cluster};
use crate::frost::deal::Dealt;
use crate::keystore::Keystore;
use crate::peer::Identity;
use crate::raft::create_state;
use crate::store::{Batch, Store};
use crate::types::{Cluster, ClusterKey, Incarnation, Member, MemberId};
use crate::watermark::WatermarkFile;

use super::SplitError;
use super::plan::{Cosigner, Plan};

/// Members of a new cluster all have Raft states with this birth number.
const FIRST_BIRTH: u64 = 1;

/// Writes every home and gives back the member list that they share.
pub(super) fn write(plan: &Plan, dealt: &Dealt) -> Result<Cluster, SplitError> {
    let mut identities = Vec::new();
    for _ in &plan.cosigners {
        identities.push(Identity::generate()?);
    }
    let cluster = cluster(plan, dealt, &identities)?;
    let text = render_cluster(&cluster);
    let out = Out::make(&plan.out)?;
    for (cosigner, identity) in plan.cosigners.iter().zip(&identities) {
        let home = Home::new(&Plan::home(&out.unfinished, cosigner.id));
        write_home(&home, plan, cosigner, &text)?;
        let shares: Vec<_> =
            dealt.shares.get(&cosigner.id).map(|share| (&plan.chain, share)).into_iter().collect();
        Keystore::create(&home.keys(), cosigner.id, &identity.to_bytes(), &cluster, &shares)?;
        write_state(&home, plan, cosigner.id, identity)?;
        settle(home.root())?;
    }
    out.finish(plan)?;
    Ok(cluster)
}

fn cluster(plan: &Plan, dealt: &Dealt, identities: &[Identity]) -> Result<Cluster, SplitError> {
    let members = plan
        .cosigners
        .iter()
        .zip(identities)
        .map(|(cosigner, identity)| Member {
            id: cosigner.id,
            address: cosigner.address.to_string(),
            certificate: identity.pin(),
        })
        .collect();
    let shares = &dealt.verifying_shares;
    let key = ClusterKey {
        chain: plan.chain.clone(),
        public_key: plan.public_key.clone(),
        threshold: Some(plan.threshold),
        generation: 1,
        verifying_shares: shares.iter().map(|(id, share)| (*id, share.to_bytes())).collect(),
    };
    Ok(Cluster::new(1, members, vec![key])?)
}

fn write_home(
    home: &Home,
    plan: &Plan,
    cosigner: &Cosigner,
    cluster: &str,
) -> Result<(), SplitError> {
    make_directory(home.root())?;
    let settings = NewHome {
        id: cosigner.id,
        listen: cosigner.address.listen(),
        ops_listen: cosigner.ops_listen,
        chain: plan.chain.clone(),
        validators: plan.validators.clone(),
    };
    write_file(&home.cosigner_toml(), &settings.render())?;
    write_file(&home.cluster_toml(), cluster)
}

/// The watermark, the same in every home, and the database: whose it is, this disk's first
/// incarnation (I8), and an empty Raft state.
fn write_state(
    home: &Home,
    plan: &Plan,
    me: MemberId,
    identity: &Identity,
) -> Result<(), SplitError> {
    make_directory(&home.state())?;
    make_directory(&home.watermarks())?;
    let key = plan.public_key.id();
    WatermarkFile::create(&home.watermarks(), &plan.chain, &key, &plan.record)?;
    let mut incarnation = Incarnation { number: 1, id: [0; 16] };
    getrandom::fill(&mut incarnation.id).map_err(SplitError::Randomness)?;
    let state = Store::create(&home.state_db())?;
    let batch = put_owner(Batch::new(), me, identity.pin());
    state.commit_blocking(put_incarnation(batch, incarnation))?;
    Ok(create_state(&state, FIRST_BIRTH)?)
}

/// The directory that the homes are made in, beside their final names. What is not finished goes
/// away with this value.
struct Out {
    directory: PathBuf,
    /// Whether the directory was made here.
    new: bool,
    unfinished: PathBuf,
    finished: Vec<PathBuf>,
    done: bool,
}

impl Out {
    fn make(directory: &Path) -> Result<Self, SplitError> {
        let new = !directory.exists();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(failed("make", directory))?;
        let mut suffix = [0; 8];
        getrandom::fill(&mut suffix).map_err(SplitError::Randomness)?;
        let unfinished = directory.join(format!(".unfinished-{}", hex::encode(suffix)));
        let out = Self {
            directory: directory.to_owned(),
            new,
            unfinished,
            finished: Vec::new(),
            done: false,
        };
        make_directory(&out.unfinished)?;
        Ok(out)
    }

    /// Gives the homes their names. A name that was taken meanwhile is not taken over.
    fn finish(mut self, plan: &Plan) -> Result<(), SplitError> {
        for cosigner in &plan.cosigners {
            let from = Plan::home(&self.unfinished, cosigner.id);
            let to = Plan::home(&self.directory, cosigner.id);
            // Replaces nothing: what has the name is either not a directory or not empty, or it is
            // an empty directory.
            fs::rename(&from, &to).map_err(failed("name", &to))?;
            self.finished.push(to);
        }
        fs::remove_dir(&self.unfinished).map_err(failed("remove", &self.unfinished))?;
        sync(&self.directory)?;
        if let Some(parent) = self.directory.parent().filter(|_| self.new) {
            sync(if parent.as_os_str().is_empty() { Path::new(".") } else { parent })?;
        }
        self.done = true;
        Ok(())
    }
}

impl Drop for Out {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let rubbish = self.finished.iter().chain([&self.unfinished]);
        for path in rubbish {
            match fs::remove_dir_all(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    eprintln!("warning: remove {} yourself: {error}", path.display());
                }
                _ => {}
            }
        }
        if self.new {
            // Fails if somebody has put something there, which then is not ours to remove.
            let _ = fs::remove_dir(&self.directory);
        }
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SplitError {
    let path = path.to_owned();
    move |source| SplitError::Write { doing, path, source }
}

fn make_directory(path: &Path) -> Result<(), SplitError> {
    DirBuilder::new().mode(0o700).create(path).map_err(failed("make", path))
}

fn write_file(path: &Path, text: &str) -> Result<(), SplitError> {
    let mut options = OpenOptions::new();
    let opened = options.write(true).create_new(true).mode(0o600).open(path);
    opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed("write", path))
}

/// Makes a finished tree private and durable, from the leaves up.
fn settle(path: &Path) -> Result<(), SplitError> {
    let directory = path.is_dir();
    let mode = if directory { 0o700 } else { 0o600 };
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(failed("make private", path))?;
    if directory {
        for entry in fs::read_dir(path).map_err(failed("list", path))? {
            settle(&entry.map_err(failed("list", path))?.path())?;
        }
    }
    sync(path)
}

fn sync(path: &Path) -> Result<(), SplitError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("sync", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_remains_of_homes_that_were_not_finished() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("out");
        let mut out = Out::make(&directory).unwrap();
        fs::write(out.unfinished.join("secret"), "x").unwrap();
        fs::create_dir(directory.join("cosigner-1")).unwrap();
        out.finished.push(directory.join("cosigner-1"));
        drop(out);
        assert!(!directory.exists());
    }

    #[test]
    fn what_was_there_before_stays_when_a_split_fails() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("README.md"), "x").unwrap();
        drop(Out::make(root.path()).unwrap());
        let left: Vec<_> = fs::read_dir(root.path()).unwrap().collect();
        assert_eq!(left.len(), 1);
    }
}
