//! Extensions that a link has carried, so that a further order can name one in place of its bytes.

use std::collections::VecDeque;

use crate::privval::Extension;

/// Extensions of one link that are kept: those of a few sessions that are alive.
const MOST_KEPT: usize = 4;
/// Bytes of them together; two of the greatest length, of both kinds each.
const MOST_KEPT_BYTES: usize = 4 << 20;

/// What one link has carried lately, oldest first. Dies with the link.
#[derive(Default)]
pub(super) struct Kept(VecDeque<Extension>);

impl Kept {
    /// Keeps an extension; the oldest ones go where there are too many.
    pub(super) fn keep(&mut self, extension: &Extension) {
        if !extension.is_worth_naming() || extension.total_bytes() > MOST_KEPT_BYTES {
            return;
        }
        self.0.retain(|known| known != extension);
        self.0.push_back(extension.clone());
        while self.0.len() > MOST_KEPT || self.bytes() > MOST_KEPT_BYTES {
            self.0.pop_front();
        }
    }

    /// The extension of this name, if it is still there.
    pub(super) fn get(&self, digest: &[u8; 32]) -> Option<Extension> {
        self.0.iter().find(|known| known.digest() == *digest).cloned()
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(Extension::total_bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_few_and_not_many_bytes() {
        let mut kept = Kept::default();
        let all: Vec<_> = (0..6_u8).map(|byte| Extension::new(vec![byte; 2000])).collect();
        all.iter().for_each(|extension| kept.keep(extension));
        let found = all.iter().map(|it| kept.get(&it.digest()).is_some());
        assert_eq!(found.collect::<Vec<_>>(), [false, false, true, true, true, true]);

        for byte in 0..9 {
            kept.keep(&Extension::new(vec![byte; 1 << 20]).with_non_rp(vec![byte; 1 << 20]));
            assert!(kept.bytes() <= MOST_KEPT_BYTES);
        }
        assert_eq!(kept.0.len(), 2);
    }

    #[test]
    fn what_is_kept_again_is_the_newest() {
        let mut kept = Kept::default();
        let all: Vec<_> = (0..5_u8).map(|byte| Extension::new(vec![byte; 2000])).collect();
        for index in [0, 1, 2, 3, 0, 4] {
            kept.keep(&all[index]);
        }
        assert!(kept.get(&all[0].digest()).is_some());
        assert!(kept.get(&all[1].digest()).is_none());
    }
}
