//! Random choices that are the same in every run.

use proptest::{prelude::Rng, test_runner::TestRng};

/// A source of random choices.
pub struct Random(TestRng);

impl Random {
    /// Chooses by that generator.
    pub fn new(generator: TestRng) -> Self {
        Self(generator)
    }

    /// A number below a bound, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let number = self.0.next_u64() % u64::try_from(bound).unwrap();
        usize::try_from(number).unwrap()
    }

    /// One of several, of which there are some.
    pub fn pick<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}
