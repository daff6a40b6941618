//! Round two: one member's signature share (RFC 9591 §5.2).

use zeroize::Zeroizing;

use super::{FrostError, Nonces, RawShare, SigningPackage, SigningShare};
use crate::types::MemberId;

/// Makes `me`'s share of the package's signature, and uses the nonces up whatever happens (I4).
///
/// z = d + ρe + λcs. Only ρ and λc are public; what is not is multiplied and added in constant time
/// and wiped. How many signers the package has is the caller's to check: it knows the threshold.
///
/// # Errors
/// [`FrostError::NotASigner`]; [`FrostError::OtherCommitment`] unless the package holds exactly
/// these nonces' commitment under `me`.
pub fn sign(
    nonces: Nonces,
    me: MemberId,
    share: &SigningShare,
    package: &SigningPackage,
) -> Result<RawShare, FrostError> {
    let signer = package.signer(me)?;
    let (named, own) = (signer.commitment().raw(), nonces.commitment());
    if named != own {
        return Err(FrostError::OtherCommitment {
            member: me,
            named: Box::new(named),
            own: Box::new(own),
        });
    }
    let mut z = Zeroizing::new(nonces.binding() * signer.binding_factor());
    *z += nonces.hiding();
    let key_part = Zeroizing::new(share.scalar() * signer.weight());
    *z += &*key_part;
    Ok(RawShare(z.to_bytes()))
}
