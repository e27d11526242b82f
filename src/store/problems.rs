//! The problems of a store, as many as are shown.

use std::collections::HashMap;

use crate::model::Problem;

/// Problems of one file that are kept.
const OF_FILE: usize = 100;
/// Problems of a store that are kept.
const OF_STORE: usize = 1_000;
const UNFINISHED: &str = "the file is not checked to its end";

/// Collects problems. Those that nobody would read are counted and not kept: a file with a fault in
/// every line must cost no more than one with a few.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    kept: Vec<Problem>,
    of_file: HashMap<String, OfFile>,
    /// The files that were named, in the order of the first problem of each.
    files: Vec<String>,
    count: usize,
}

/// The problems of one file.
#[derive(Debug, Clone, Copy, Default)]
struct OfFile {
    /// Their number, kept or not.
    count: usize,
    /// True where there may be more, for the rest of the file was not checked.
    is_unfinished: bool,
}

impl Problems {
    /// The number of problems, kept or not.
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns whether one more problem of a file would be kept.
    pub fn has_room(&self, file: &str) -> bool {
        self.kept.len() < OF_STORE && self.of_file.get(file).is_none_or(|of| of.count < OF_FILE)
    }

    /// Returns whether the rest of a file is to be left unchecked, as no more problems of it would be kept.
    /// It is to be asked only where there is a rest, for the last word on the file says so then.
    pub fn leaves_rest(&mut self, file: &str) -> bool {
        let leaves = !self.has_room(file);
        if leaves {
            self.of_file(file).is_unfinished = true;
        }
        leaves
    }

    pub fn push(&mut self, problem: Problem) {
        if self.has_room(problem.file()) {
            self.count(problem.file());
            self.kept.push(problem);
        } else {
            self.count(problem.file());
        }
    }

    /// Adds a problem of a file, which is made only if it is kept.
    pub fn add(&mut self, file: &str, make: impl FnOnce() -> Problem) {
        if self.has_room(file) {
            self.push(make());
        } else {
            self.count(file);
        }
    }

    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.push(problem));
    }

    /// Adds the problems that were collected elsewhere.
    pub fn append(&mut self, others: Self) {
        let Self { kept, mut of_file, files, .. } = others;
        for problem in kept {
            if let Some(of) = of_file.get_mut(problem.file()) {
                of.count -= 1;
            }
            self.push(problem);
        }
        for file in files {
            let OfFile { count, is_unfinished } = of_file.get(&file).copied().unwrap_or_default();
            self.count += count;
            let of = self.of_file(&file);
            of.count += count;
            of.is_unfinished |= is_unfinished;
        }
    }

    /// Returns the kept problems, and for each file how many there are more, and that it was not checked
    /// to its end.
    pub fn into_vec(self) -> Vec<Problem> {
        let Self { mut kept, of_file, files, .. } = self;
        let mut kept_of: HashMap<String, usize> = HashMap::new();
        for problem in &kept {
            *kept_of.entry(problem.file().to_owned()).or_default() += 1;
        }
        let more = files.into_iter().filter_map(|file| {
            let OfFile { count, is_unfinished } = of_file.get(&file)?;
            let more = count.checked_sub(*kept_of.get(&file).unwrap_or(&0))?;
            let message = match (more, is_unfinished) {
                (0, false) => return None,
                (0, true) => UNFINISHED.to_owned(),
                (more, false) => format!("{more} more are not shown"),
                (more, true) => format!("{more} more are not shown, and {UNFINISHED}"),
            };
            Some(Problem::of_file(file, message))
        });
        let more: Vec<_> = more.take(OF_STORE).collect();
        kept.extend(more);
        kept
    }

    fn count(&mut self, file: &str) {
        self.count += 1;
        self.of_file(file).count += 1;
    }

    fn of_file(&mut self, file: &str) -> &mut OfFile {
        if !self.of_file.contains_key(file) {
            self.files.push(file.to_owned());
        }
        self.of_file.entry(file.to_owned()).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_would_read_is_counted() {
        let mut problems = Problems::default();
        for file in 0..20 {
            for number in 0..150 {
                problems.push(Problem::of_file(format!("{file}"), format!("{number}")));
            }
        }
        problems.add("0", || unreachable!("it is not kept"));
        assert_eq!(problems.len(), 3_001);
        let shown = problems.into_vec();
        assert_eq!(shown.len(), 1_020);
        let of = |file: &str| shown.iter().rfind(|problem| problem.file() == file);
        assert_eq!(of("0").map(ToString::to_string).as_deref(), Some("0: 51 more are not shown"));
        assert_eq!(
            of("19").map(ToString::to_string).as_deref(),
            Some("19: 150 more are not shown")
        );
    }

    #[test]
    fn a_file_that_is_not_checked_to_its_end_says_so() {
        let mut of_b = Problems::default();
        let mut checked = 0;
        for number in 0..500 {
            if of_b.leaves_rest("b") {
                break;
            }
            checked += 1;
            of_b.push(Problem::of_file("b", format!("{number}")));
            of_b.push(Problem::of_file("b", format!("{number}, too")));
            of_b.add("c", || Problem::of_file("c", "wrong"));
        }
        assert_eq!(checked, 50, "no more than what somebody sees");
        of_b.push(Problem::of_file("b", "late"));
        let mut problems = Problems::default();
        problems.push(Problem::of_file("a", "wrong"));
        problems.append(of_b);
        assert_eq!(problems.len(), 152);
        let shown = problems.into_vec();
        let last = shown.iter().rev().map(ToString::to_string).next();
        let said = "b: 1 more are not shown, and the file is not checked to its end";
        assert_eq!((shown.len(), last.as_deref()), (152, Some(said)));
    }

    #[test]
    fn a_file_of_a_store_with_too_many_problems_is_not_checked_at_all() {
        let mut problems = Problems::default();
        for file in 0..10 {
            for number in 0..100 {
                problems.push(Problem::of_file(format!("{file}"), format!("{number}")));
            }
        }
        assert!(problems.leaves_rest("10") && problems.leaves_rest("3"));
        let shown = problems.into_vec();
        let of = |file: &str| shown.iter().rfind(|problem| problem.file() == file);
        for (file, last) in [
            ("2", "2: 99"),
            ("3", "3: the file is not checked to its end"),
            ("10", "10: the file is not checked to its end"),
        ] {
            assert_eq!(of(file).map(ToString::to_string).as_deref(), Some(last));
        }
    }
}
