//! The pauses between the attempts of a call.

use std::time::Duration;

/// The longest pause: no call takes longer.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The rule by which a call is repeated that was answered with UNAVAILABLE. No other error is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// The most times that a call is sent; 1 never repeats it.
    pub attempts: u32,
    /// The longest first pause. Each later one may be twice as long.
    pub first_pause: Duration,
    /// The longest of all pauses.
    pub longest_pause: Duration,
}

impl Default for Retry {
    /// Five attempts with pauses of up to 20 ms, 40 ms, 80 ms and 160 ms.
    fn default() -> Self {
        Self {
            attempts: 5,
            first_pause: Duration::from_millis(20),
            longest_pause: Duration::from_millis(500),
        }
    }
}

impl Retry {
    /// Sends each call once.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// Returns the pauses before the second attempt and those after it. Each is between half and
    /// all of its length, so that many clients do not come back at one moment.
    pub(super) fn pauses(self) -> impl Iterator<Item = Duration> {
        let longest = move |repeated: u32| {
            let doubled = 2_u32.saturating_pow(repeated);
            self.first_pause.saturating_mul(doubled).min(self.longest_pause).min(DAY)
        };
        let jittered = |pause: Duration| pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        (0..self.attempts.saturating_sub(1)).map(move |repeated| jittered(longest(repeated)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_differ() {
        let retry = Retry {
            attempts: 5,
            first_pause: Duration::from_millis(10),
            longest_pause: Duration::from_millis(40),
        };
        let longest = [10, 20, 40, 40].map(Duration::from_millis);
        let mut firsts = Vec::new();
        for _ in 0..50 {
            let pauses: Vec<_> = retry.pauses().collect();
            assert_eq!(pauses.len(), 4);
            for (pause, longest) in pauses.iter().zip(longest) {
                assert!(*pause >= longest / 2 && *pause <= longest, "{pauses:?}");
            }
            firsts.extend(pauses.first().copied());
        }
        firsts.dedup();
        assert!(firsts.len() > 10, "{firsts:?}");
        assert_eq!(Retry::never().pauses().count(), 0);
        let unbounded = Retry { attempts: 100, first_pause: Duration::MAX, ..retry };
        assert!(unbounded.pauses().all(|pause| pause <= unbounded.longest_pause));
    }
}
