use std::{
    hash::{BuildHasher as _, RandomState},
    sync::atomic::{AtomicU64, Ordering},
};

/// Keeps one in so many. Nobody who asks can choose to be left out: what decides is a number and a
/// secret of this process, nothing of the request.
#[derive(Debug)]
pub(super) struct Sampling {
    one_in: u64,
    number: AtomicU64,
    secret: RandomState,
}

impl Sampling {
    /// Keeps one in so many; with 0 none, with 1 all.
    pub fn new(one_in: usize) -> Self {
        Self { one_in: one_in as u64, number: AtomicU64::new(0), secret: RandomState::new() }
    }

    pub fn keeps_all(&self) -> bool {
        self.one_in == 1
    }

    pub fn keeps(&self) -> bool {
        match self.one_in {
            0 => false,
            1 => true,
            one_in => {
                let number = self.number.fetch_add(1, Ordering::Relaxed);
                self.secret.hash_one(number).is_multiple_of(one_in)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn about_as_many_are_kept_as_were_asked_for() {
        let kept = |one_in| {
            let sampling = Sampling::new(one_in);
            (0..10_000).filter(|_| sampling.keeps()).count()
        };
        assert_eq!((kept(0), kept(1)), (0, 10_000));
        // Ten standard deviations.
        assert!((700..1_300).contains(&kept(10)), "{}", kept(10));
    }
}
