//! Trying a split out before anything is written: every set that should be able to sign, signs.

use std::collections::BTreeMap;

use getrandom::SysRng;

use super::deal::{DealError, Dealt};
use super::{FrostError, HedgeSecret, SigningPackage, VerifyingKey, commit, sign};
use crate::types::MemberId;

/// Signed by every set and thrown away. No sign bytes of a chain look like it: it is not as long as
/// a length prefix of 7 says, and as a field without one it would be of wire type 7, which does not
/// exist.
const TEST_MESSAGE: &[u8] = b"\x07cosigner: trying out freshly split shares";

impl Dealt {
    /// Makes one signature with each set of t members, with nonces of its own from the system's
    /// generator, and verifies it strictly. `progress` gets (done, all) before the first set and
    /// after each: at most 6435 sets, of 8 among 15, a few seconds.
    ///
    /// # Errors
    /// [`DealError::Share`] if a share and its public share do not belong together,
    /// [`DealError::Subset`] if a set cannot sign.
    pub fn prove(&self, mut progress: impl FnMut(usize, usize)) -> Result<(), DealError> {
        self.check_members()?;
        let members: Vec<_> = self.shares.keys().copied().collect();
        let sets = subsets(&members, self.threshold.t());
        progress(0, sets.len());
        for (index, signers) in sets.iter().enumerate() {
            self.try_out(signers)
                .map_err(|error| DealError::Subset { signers: signers.clone(), error })?;
            progress(index.saturating_add(1), sets.len());
        }
        Ok(())
    }

    fn try_out(&self, signers: &[MemberId]) -> Result<(), FrostError> {
        let key = VerifyingKey::from_public_key(&self.public_key)?;
        let hedge = HedgeSecret::random(&mut SysRng)?;
        let (mut nonces, mut commitments) = (Vec::new(), BTreeMap::new());
        for member in signers {
            let (secret, public) = commit(&hedge, &mut SysRng)?;
            nonces.push((*member, secret));
            commitments.insert(*member, public);
        }
        let package = SigningPackage::new(&key, &commitments, TEST_MESSAGE)?;
        let mut shares = BTreeMap::new();
        for (member, secret) in nonces {
            let unknown = || FrostError::NotASigner { member, signers: signers.to_vec() };
            let share = self.shares.get(&member).ok_or_else(unknown)?;
            shares.insert(member, sign(secret, member, share, &package)?);
        }
        let signature = package.aggregate(&shares, &self.verifying_shares)?;
        key.verify(TEST_MESSAGE, &signature)
    }
}

/// All sets of `size` of the members.
fn subsets(members: &[MemberId], size: u16) -> Vec<Vec<MemberId>> {
    let masks = (0..1_u32 << members.len()).filter(|mask| mask.count_ones() == u32::from(size));
    let chosen = |mask: u32| {
        let within = members.iter().enumerate().filter(move |(bit, _)| mask >> bit & 1 == 1);
        within.map(|(_, member)| *member).collect()
    };
    masks.map(chosen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_sets_as_the_binomial_coefficient_says_and_none_twice() {
        for (t, n, count) in [(2, 3, 3), (3, 5, 10), (4, 7, 35), (8, 15, 6435), (15, 15, 1)] {
            let members: Vec<_> = (1..=n).map(|id| MemberId::new(id).unwrap()).collect();
            let mut sets = subsets(&members, t);
            assert!(sets.iter().all(|set| set.len() == usize::from(t)));
            sets.sort();
            sets.dedup();
            assert_eq!(sets.len(), count);
        }
    }
}
