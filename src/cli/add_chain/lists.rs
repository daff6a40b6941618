//! Member lists: the next edition, and whether homes and lists belong together.

use std::collections::BTreeMap;
use std::path::Path;

use super::{AddError, TakenHome};
use crate::backend::ConsensusKeys;
use crate::types::{ChainId, Cluster, ClusterKey, PublicKey, SetupHash};

/// Refuses a chain that the list has, and a key that another chain has.
pub(in crate::cli) fn check_new_key(
    list: &Cluster,
    place: &Path,
    chain: &ChainId,
    key: &PublicKey,
) -> Result<(), AddError> {
    if list.keys().contains_key(chain) {
        return Err(AddError::There { place: place.to_owned(), chain: chain.clone() });
    }
    // By its point: the same key under the name of another algorithm is the same key.
    let keys = list.keys().iter().map(|(chain, listed)| (chain, &listed.public_key));
    match ConsensusKeys::new(keys).chain_of(key) {
        Some(known) => Err(AddError::SameKey { chain: known.clone() }),
        None => Ok(()),
    }
}

/// The next edition of a list, with one more key.
pub(in crate::cli) fn extended(list: &Cluster, key: ClusterKey) -> Result<Cluster, AddError> {
    let members = list.members().values().cloned().collect();
    let keys = list.keys().values().cloned().chain([key]).collect();
    Ok(Cluster::new(list.serial().saturating_add(1), members, keys)?)
}

/// What the lists of all homes of a cluster say about a chain.
pub(in crate::cli) enum Joined {
    /// None has it, and all are the same.
    New,
    /// Some have it, with its text: it was begun and not finished.
    Begun(Cluster, String),
}

/// Looks at the lists of all homes, one of each member. `fits` says whether the key that one has for
/// the chain is the one that is to be added.
pub(in crate::cli) fn joined(
    homes: &[TakenHome],
    chain: &ChainId,
    fits: impl Fn(&ClusterKey) -> bool,
) -> Result<Joined, AddError> {
    let mut of_member: BTreeMap<_, &TakenHome> = BTreeMap::new();
    for home in homes {
        if let Some(other) = of_member.insert(home.me, home) {
            let (first, second) = (other.root().to_owned(), home.root().to_owned());
            return Err(AddError::SameMember { first, second, me: home.me });
        }
    }
    let Some(newest) = homes.iter().max_by_key(|home| home.list.serial()) else {
        return Ok(Joined::New);
    };
    for home in homes {
        if home.list.members_hash() != newest.list.members_hash() {
            return Err(different(newest, home));
        }
    }
    let members = newest.list.members();
    if let Some(&absent) = members.keys().find(|member| !of_member.contains_key(member)) {
        return Err(AddError::NotAll { members: members.len(), absent });
    }
    let Some(key) = newest.list.keys().get(chain) else {
        return match homes.iter().find(|home| home.list != newest.list) {
            Some(other) => Err(different(newest, other)),
            None => Ok(Joined::New),
        };
    };
    if !fits(key) {
        let (home, chain) = (newest.root().to_owned(), chain.clone());
        return Err(AddError::OtherKey { home, chain });
    }
    for home in homes.iter().filter(|home| home.list != newest.list) {
        // Nothing but the one step that is being made.
        let next = extended(&home.list, key.clone())?;
        if home.list.keys().contains_key(chain) || next != newest.list {
            return Err(different(newest, home));
        }
    }
    if homes.iter().all(|home| home.serves(chain)) {
        let place = newest.root().to_owned();
        return Err(AddError::There { place, chain: chain.clone() });
    }
    Ok(Joined::Begun(newest.list.clone(), newest.list_text.clone()))
}

fn different(newer: &TakenHome, other: &TakenHome) -> AddError {
    AddError::DifferentLists {
        first: newer.root().to_owned(),
        first_serial: newer.list.serial(),
        second: other.root().to_owned(),
        second_serial: other.list.serial(),
    }
}

/// Whether a home takes over a list that comes; `false` if it keeps its own, which has the key as well.
pub(super) fn takes_over(
    home: &TakenHome,
    next: &Cluster,
    chain: &ChainId,
) -> Result<bool, AddError> {
    let (own, root) = (&home.list, home.root().to_owned());
    if own.members_hash() != next.members_hash() {
        return Err(AddError::OtherCluster { home: root });
    }
    let hash = |list: &Cluster, chain: &ChainId| -> Option<SetupHash> { list.key_hash(chain) };
    if next.serial() > own.serial() {
        let lost = own.keys().keys().find(|known| hash(own, known) != hash(next, known));
        return match lost {
            None => Ok(true),
            Some(lost) => {
                let (serial, chain) = (next.serial(), lost.clone());
                Err(AddError::Loses { home: root, serial, chain })
            }
        };
    }
    if hash(own, chain).is_some() && hash(own, chain) == hash(next, chain) {
        return Ok(false);
    }
    Err(AddError::OldEdition {
        home: root,
        serial: next.serial(),
        present: own.serial(),
        chain: chain.clone(),
        other_key: hash(own, chain).is_some(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Algorithm, CertificatePin, Member, MemberId};

    #[test]
    fn a_key_of_another_chain_is_refused_under_every_algorithm_that_it_has() {
        let id = MemberId::new(1).unwrap();
        let pin = CertificatePin([1; 32]);
        let member = Member { id, address: "10.0.0.1:2222".to_owned(), certificate: pin };
        let point = |algorithm| PublicKey::new(algorithm, vec![2; 33]).unwrap();
        let chain = |name: &str| ChainId::new(name).unwrap();
        let key = ClusterKey {
            chain: chain("a"),
            public_key: point(Algorithm::Secp256k1),
            threshold: None,
            generation: 1,
            verifying_shares: BTreeMap::new(),
        };
        let list = Cluster::new(1, vec![member], vec![key]).unwrap();
        let refused = |key: &PublicKey| check_new_key(&list, Path::new("l"), &chain("b"), key);
        for algorithm in [Algorithm::Secp256k1, Algorithm::Secp256k1Eth] {
            let same = refused(&point(algorithm));
            assert!(matches!(same, Err(AddError::SameKey { chain }) if chain.as_str() == "a"));
        }
        refused(&PublicKey::new(Algorithm::Secp256k1, vec![3; 33]).unwrap()).unwrap();
        refused(&PublicKey::ed25519([2; 32])).unwrap();
    }
}
