//! Random choices that can be made again: `COSIGNER_TEST_SEED=…` repeats a run's choices.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// SplitMix64. Good enough to choose whom to kill, for nothing else.
pub struct Rng(u64);

impl Rng {
    /// Seeded from `COSIGNER_TEST_SEED`, else from the clock. Prints the seed.
    pub fn from_environment() -> Self {
        let seed = env::var("COSIGNER_TEST_SEED").map_or_else(
            |_| {
                u64::try_from(
                    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()
                        % 1_000_000_007,
                )
                .unwrap()
            },
            |text| text.parse().expect("COSIGNER_TEST_SEED is a number"),
        );
        println!("seed {seed} (COSIGNER_TEST_SEED={seed} makes the same choices again)");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`.
    pub fn below<T: TryFrom<u64>>(&mut self, end: u32) -> T {
        T::try_from(self.next() % u64::from(end)).ok().expect("a small number")
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        let index: usize = self.below(u32::try_from(choices.len()).unwrap());
        choices[index]
    }
}
