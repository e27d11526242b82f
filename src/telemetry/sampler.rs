//! Random samples: of decisions to verify, of allows to record.

/// Samples a share of what it is asked about. Each has the same chance, whatever came before it, so a
/// caller can neither avoid being sampled nor make sure of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampler {
    /// Takes `taken` in `of`; `taken` is at most `of`, and `of` is not 0.
    taken: u64,
    of: u64,
}

/// A number that is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SamplerError {
    /// The number is below 0, above 1 or not a number.
    #[error("a share is expected: write a number from 0 (none) to 1 (all), e.g. 0.01")]
    OutOfRange,
    /// The number would be rounded to 0.
    #[error("this share is too small: write 0 (none) or 0.000000001 or more")]
    TooSmall,
}

const BILLION: u32 = 1_000_000_000;

impl Sampler {
    /// Takes nothing.
    pub const NONE: Self = Self { taken: 0, of: 1 };

    /// Takes everything.
    pub const ALL: Self = Self { taken: 1, of: 1 };

    /// Takes one in `n`; nothing where `n` is 0.
    #[must_use]
    pub fn one_in(n: usize) -> Self {
        if n == 0 { Self::NONE } else { Self { taken: 1, of: n as u64 } }
    }

    /// Decides about the thing at hand.
    #[must_use]
    pub fn takes(self) -> bool {
        match self {
            Self::NONE => false,
            Self::ALL => true,
            // The state of the generator belongs to the thread: no lock and no call of the system.
            Self { taken, of } => fastrand::u64(..of) < taken,
        }
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self::NONE
    }
}

impl TryFrom<f64> for Sampler {
    type Error = SamplerError;

    /// Takes a share from 0 to 1, rounded to billionths.
    fn try_from(share: f64) -> Result<Self, SamplerError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(SamplerError::OutOfRange);
        }
        match (share * f64::from(BILLION)).round() as u32 {
            0 if share > 0.0 => Err(SamplerError::TooSmall),
            0 => Ok(Self::NONE),
            BILLION => Ok(Self::ALL),
            taken => Ok(Self { taken: taken.into(), of: BILLION.into() }),
        }
    }
}

impl From<Sampler> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "only billionths are written as a share")]
    fn from(Sampler { taken, of }: Sampler) -> Self {
        taken as Self / of as Self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn share(share: f64) -> Sampler {
        Sampler::try_from(share).unwrap()
    }

    fn taken(sampler: Sampler, of: usize) -> usize {
        (0..of).filter(|_| sampler.takes()).count()
    }

    #[test]
    fn none_and_all_are_exact() {
        for none in [Sampler::NONE, Sampler::default(), Sampler::one_in(0), share(0.0)] {
            assert_eq!(taken(none, 10_000), 0);
            assert_eq!(none, Sampler::NONE);
        }
        for all in [Sampler::ALL, Sampler::one_in(1), share(1.0)] {
            assert_eq!(taken(all, 10_000), 10_000);
            assert_eq!(all, Sampler::ALL);
        }
    }

    #[test]
    fn about_as_many_are_taken_as_were_asked_for() {
        // More than six standard deviations on each side.
        for sampler in [share(0.01), Sampler::one_in(100)] {
            assert!((800..=1_200).contains(&taken(sampler, 100_000)), "{sampler:?}");
        }
        assert!((48_500..=51_500).contains(&taken(share(0.5), 100_000)));
        assert!((32_000..=34_700).contains(&taken(Sampler::one_in(3), 100_000)));
    }

    #[test]
    fn of_things_that_come_in_rounds_each_is_taken_at_times() {
        for sampler in [share(0.01), Sampler::one_in(100)] {
            let taken = (0..300_000).filter(|_| sampler.takes()).map(|n| n % 100);
            assert_eq!(taken.collect::<std::collections::HashSet<_>>().len(), 100);
        }
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for number in [0.0, 1e-9, 0.01, 0.123_456_789, 0.5, 1.0] {
            assert_eq!(f64::from(share(number)).to_string(), number.to_string());
        }
        for number in [-0.1, 1.000_1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = Sampler::try_from(number).unwrap_err();
            assert_eq!(error, SamplerError::OutOfRange, "{number}");
        }
        assert_eq!(Sampler::try_from(1e-10), Err(SamplerError::TooSmall));
    }
}
