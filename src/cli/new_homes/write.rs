//! Writing the homes: all of them, or none.

use std::collections::BTreeMap;
use std::path::Path;

use super::members::{check_absent, ops_listen_alone};
use super::out::{Out, make_directory, write_file};
use super::{Cosigner, NewHomesError, home_of};
use crate::config::{
    Bech32Prefix, Home, KeySource, NewChain, NewHome, NewNode, NoiseIdentityError, put_incarnation,
    put_owner, read_noise_identity, render_cluster,
};
use crate::frost::SigningShare;
use crate::keystore::Keystore;
use crate::peer::Identity;
use crate::privval::noise;
use crate::raft::create_state;
use crate::store::{Batch, Store};
use crate::types::{ChainId, Cluster, ClusterKey, Incarnation, Member, MemberId, PublicKey};
use crate::validator::Address as ValidatorAddress;
use crate::watermark::{Record, WatermarkFile};

/// Members of a new cluster all have Raft states with this birth number.
const FIRST_BIRTH: u64 = 1;

/// A cluster to be written, a home for each member.
pub(in crate::cli) struct NewCluster<'p> {
    /// Where the homes go.
    pub(in crate::cli) out: &'p Path,
    pub(in crate::cli) cosigners: &'p [Cosigner],
    pub(in crate::cli) validators: &'p [ValidatorAddress],
    /// The key as the member list has it.
    pub(in crate::cli) key: ClusterKey,
    /// What the chain's addresses begin with.
    pub(in crate::cli) prefix: &'p Bech32Prefix,
    /// Where each member finds it.
    pub(in crate::cli) source: KeySource,
    /// Each member's share; none if the key is whole.
    pub(in crate::cli) shares: &'p BTreeMap<MemberId, SigningShare>,
    /// Who all of them are for a `noise://` validator, which pins one signer.
    pub(in crate::cli) noise_identity: &'p noise::Identity,
    /// The watermark that every home begins with.
    pub(in crate::cli) record: &'p Record,
}

impl NewCluster<'_> {
    /// Writes every home and gives back the member list that they share.
    pub(in crate::cli) fn write(self) -> Result<Cluster, NewHomesError> {
        let mut identities = Vec::new();
        for _ in self.cosigners {
            identities.push(Identity::generate()?);
        }
        let members = self.cosigners.iter().zip(&identities).map(|(cosigner, identity)| Member {
            id: cosigner.id,
            address: cosigner.address.to_string(),
            certificate: identity.pin(),
        });
        let cluster = Cluster::new(1, members.collect(), vec![self.key.clone()])?;
        let text = render_cluster(&cluster);
        let out = Out::make(self.out)?;
        for (cosigner, identity) in self.cosigners.iter().zip(&identities) {
            let home = Home::new(&home_of(&out.unfinished, cosigner.id));
            make_directory(home.root())?;
            write_file(&home.cosigner_toml(), self.settings(cosigner).render().as_bytes())?;
            write_file(&home.cluster_toml(), &text)?;
            write_file(&home.identity_json(), self.noise_identity.render())?;
            let share = self.shares.get(&cosigner.id);
            let shares: Vec<_> = share.map(|share| (&self.key.chain, share)).into_iter().collect();
            Keystore::create(&home.keys(), cosigner.id, &identity.to_bytes(), &cluster, &shares)?;
            write_watermark(&home, &self.key.chain, &self.key.public_key, self.record)?;
            write_database(&home, cosigner.id, identity)?;
        }
        let names: Vec<String> =
            self.cosigners.iter().map(|it| format!("cosigner-{}", it.id)).collect();
        out.finish(&names)?;
        Ok(cluster)
    }

    fn settings(&self, cosigner: &Cosigner) -> NewHome {
        NewHome {
            node: Some(NewNode { id: cosigner.id, listen: cosigner.address.listen() }),
            ops_listen: cosigner.ops_listen,
            chain: NewChain {
                chain: self.key.chain.clone(),
                prefix: self.prefix.clone(),
                key: self.source.clone(),
                // The member list has it.
                public_key: None,
                validators: self.validators.to_vec(),
            },
        }
    }
}

/// Who a node alone is for `noise://` validators.
pub(in crate::cli) struct LoneIdentity {
    pub(in crate::cli) identity: noise::Identity,
    /// Whether its file is in the home already, for example from cosmos/kms.
    found: bool,
}

impl LoneIdentity {
    /// That of the file in the home, if there is one; else a new one.
    pub(in crate::cli) fn of(home: &Home) -> Result<Self, NewHomesError> {
        match read_noise_identity(&home.identity_json(), home.root()) {
            Ok(identity) => Ok(Self { identity, found: true }),
            Err(NoiseIdentityError::Missing { .. }) => {
                Ok(Self { identity: new_noise_identity()?, found: false })
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Who a new signer is for `noise://` validators.
pub(in crate::cli) fn new_noise_identity() -> Result<noise::Identity, NewHomesError> {
    noise::Identity::generate().map_err(NewHomesError::NoNoiseIdentity)
}

/// Refuses a home that has anything of a node in it.
pub(in crate::cli) fn check_alone(home: &Home) -> Result<(), NewHomesError> {
    check_absent([home.cosigner_toml(), home.cluster_toml(), home.keys(), home.state()], "--home")
}

/// Writes the home of a node alone: settings, watermark, and who it is for `noise://` validators. There
/// is no other cosigner, so there is neither an identity for them nor Raft.
pub(in crate::cli) fn write_alone(
    home: &Home,
    chain: NewChain,
    public_key: &PublicKey,
    noise_identity: &LoneIdentity,
    record: &Record,
) -> Result<(), NewHomesError> {
    let settings = NewHome { node: None, ops_listen: ops_listen_alone(), chain };
    let out = Out::make(home.root())?;
    let unfinished = Home::new(&out.unfinished);
    write_watermark(&unfinished, &settings.chain.chain, public_key, record)?;
    write_file(&unfinished.cosigner_toml(), settings.render().as_bytes())?;
    let mut names = vec!["state"];
    if !noise_identity.found {
        write_file(&unfinished.identity_json(), noise_identity.identity.render())?;
        names.push("identity.json");
    }
    // The settings last: with them the home is whole.
    names.push("cosigner.toml");
    out.finish(&names.into_iter().map(str::to_owned).collect::<Vec<_>>())
}

fn write_watermark(
    home: &Home,
    chain: &ChainId,
    key: &PublicKey,
    record: &Record,
) -> Result<(), NewHomesError> {
    make_directory(&home.state())?;
    make_directory(&home.watermarks())?;
    Ok(WatermarkFile::create(&home.watermarks(), chain, &key.id(), record)?)
}

/// Whose state it is, this disk's first incarnation (I8), and an empty Raft state.
fn write_database(home: &Home, me: MemberId, identity: &Identity) -> Result<(), NewHomesError> {
    let mut incarnation = Incarnation { number: 1, id: [0; 16] };
    getrandom::fill(&mut incarnation.id).map_err(NewHomesError::Randomness)?;
    let state = Store::create(&home.state_db())?;
    let batch = put_owner(Batch::new(), me, identity.pin());
    state.commit_blocking(put_incarnation(batch, incarnation))?;
    Ok(create_state(&state, FIRST_BIRTH)?)
}
