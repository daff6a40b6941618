//! Lagrange coefficients at zero (RFC 9591 §4.2, `derive_interpolating_value`).

use std::sync::LazyLock;

use curve25519_dalek::scalar::Scalar;

use crate::types::MemberId;

/// The inverses of 1 to 14. Two ids differ by no more, so signing never waits for an inversion,
/// which would cost as much as a third of a share.
static INVERSES: LazyLock<[Scalar; 14]> = LazyLock::new(|| {
    let mut differences = 1_u16..;
    let mut inverses = [(); 14].map(|()| differences.next().map_or(Scalar::ZERO, Scalar::from));
    Scalar::invert_batch(&mut inverses);
    inverses
});

/// The factor by which `member`'s share counts among `signers`: Π xⱼ / (xⱼ − xᵢ) over the others.
pub(super) fn coefficient<'a>(
    member: MemberId,
    signers: impl Iterator<Item = &'a MemberId>,
) -> Scalar {
    let mut coefficient = Scalar::ONE;
    for other in signers.filter(|other| **other != member) {
        coefficient *= Scalar::from(other.get());
        coefficient *= inverse(other.get().abs_diff(member.get()));
        if *other < member {
            coefficient = -coefficient;
        }
    }
    coefficient
}

/// 1 / `difference`, which must not be zero.
fn inverse(difference: u16) -> Scalar {
    let known = difference.checked_sub(1).and_then(|index| INVERSES.get(usize::from(index)));
    known.copied().unwrap_or_else(|| Scalar::from(difference).invert())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inverse_is_one() {
        for difference in 1..=20 {
            assert_eq!(inverse(difference) * Scalar::from(difference), Scalar::ONE);
        }
    }

    #[test]
    fn any_set_of_signers_recovers_a_polynomial_of_lower_degree() {
        let ids: Vec<_> = (1..=15).map(|id| MemberId::new(id).unwrap()).collect();
        let at = |x: Scalar| {
            let coefficients = [3_u64, 1 << 60, 5, 77, 11].map(Scalar::from);
            coefficients.iter().rev().fold(Scalar::ZERO, |sum, c| sum * x + c)
        };
        for skip in 0..10 {
            for step in [1, 2, 3] {
                let set: Vec<_> = ids.iter().copied().skip(skip).step_by(step).take(5).collect();
                let shares =
                    set.iter().map(|id| coefficient(*id, set.iter()) * at(Scalar::from(id.get())));
                let recovered = shares.sum::<Scalar>() == at(Scalar::ZERO);
                assert_eq!(recovered, set.len() == 5, "{set:?}");
            }
        }
    }
}
