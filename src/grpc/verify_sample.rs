//! The share of decisions that is verified.

/// The share of decisions that is verified, from none to all, in steps of a billionth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VerifySample {
    billionths: u32,
}

/// The number is not a share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifySampleError {
    /// It is below 0, above 1, or none.
    #[error("a share is expected: write a number from 0 (none) to 1 (all), e.g. 0.01")]
    OutOfRange,
    /// It would be taken for none.
    #[error("this share is too small: write 0 (none) or 0.000000001 or more")]
    TooSmall,
}

const BILLION: u32 = 1_000_000_000;

impl VerifySample {
    /// All decisions.
    pub const ALL: Self = Self { billionths: BILLION };

    /// Returns whether to verify the next decision. Each has the same chance, whatever came before it:
    /// every hundredth could be the same question of every round of a caller.
    pub(super) fn takes(self) -> bool {
        match self.billionths {
            0 => false,
            // From a state of this thread: no lock, and no call of the system.
            billionths => fastrand::u32(..BILLION) < billionths,
        }
    }
}

impl TryFrom<f64> for VerifySample {
    type Error = VerifySampleError;

    fn try_from(share: f64) -> Result<Self, VerifySampleError> {
        if !(0.0..=1.0).contains(&share) {
            return Err(VerifySampleError::OutOfRange);
        }
        let billionths = (share * f64::from(BILLION)).round() as u32;
        if billionths == 0 && share > 0.0 {
            return Err(VerifySampleError::TooSmall);
        }
        Ok(Self { billionths })
    }
}

impl From<VerifySample> for f64 {
    fn from(sample: VerifySample) -> Self {
        Self::from(sample.billionths) / Self::from(BILLION)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn none_and_all_are_exact() {
        let none = VerifySample::default();
        assert_eq!(none, 0.0.try_into().unwrap());
        assert_eq!(VerifySample::ALL, 1.0.try_into().unwrap());
        for _ in 0..10_000 {
            assert!(!none.takes());
            assert!(VerifySample::ALL.takes());
        }
    }

    #[test]
    fn a_share_takes_about_as_many() {
        let takes = |share: f64, n| {
            let sample = VerifySample::try_from(share).unwrap();
            (0..n).filter(|_| sample.takes()).count()
        };
        // More than seven standard deviations on each side.
        assert!((800..=1_200).contains(&takes(0.01, 100_000)));
        assert!((48_500..=51_500).contains(&takes(0.5, 100_000)));
        // In a round of a hundred questions, each is met, and not always the same.
        let sample = VerifySample::try_from(0.01).unwrap();
        let mut met = std::collections::HashSet::new();
        for n in 0..300_000 {
            if sample.takes() {
                met.insert(n % 100);
            }
        }
        assert_eq!(met.len(), 100);
    }

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for share in [0.0, 1e-9, 0.01, 0.123_456_789, 0.5, 1.0] {
            let sample = VerifySample::try_from(share).unwrap();
            assert_eq!(f64::from(sample).to_string(), share.to_string());
        }
        for share in [-0.1, 1.000_1, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let error = VerifySample::try_from(share).unwrap_err();
            assert_eq!(error, VerifySampleError::OutOfRange, "{share}");
        }
        assert_eq!(VerifySample::try_from(1e-10), Err(VerifySampleError::TooSmall));
    }
}
