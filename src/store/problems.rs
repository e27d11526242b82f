//! The problems of a store, as many as are shown.

use std::collections::HashMap;

use crate::model::Problem;

/// Problems of one file that are kept.
const OF_FILE: usize = 100;
/// Problems of a store that are kept.
const OF_STORE: usize = 1_000;

/// Collects problems. Those that nobody would read are counted and not kept: a file with a fault in
/// every line must cost no more than one with a few.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    kept: Vec<Problem>,
    /// The problems of each file that was named, in the order of the first of each.
    of_file: HashMap<String, usize>,
    files: Vec<String>,
    count: usize,
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
        self.kept.len() < OF_STORE && self.of_file.get(file).is_none_or(|count| *count < OF_FILE)
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
            if let Some(count) = of_file.get_mut(problem.file()) {
                *count -= 1;
            }
            self.push(problem);
        }
        for file in files {
            (0..of_file.get(&file).copied().unwrap_or_default()).for_each(|_| self.count(&file));
        }
    }

    /// Returns the kept problems, and for each file how many there are more.
    pub fn into_vec(self) -> Vec<Problem> {
        let Self { mut kept, of_file, files, .. } = self;
        let mut kept_of: HashMap<String, usize> = HashMap::new();
        for problem in &kept {
            *kept_of.entry(problem.file().to_owned()).or_default() += 1;
        }
        let more = files.into_iter().filter_map(|file| {
            let count = of_file.get(&file)?.checked_sub(*kept_of.get(&file).unwrap_or(&0))?;
            (count > 0).then(|| Problem::of_file(file, format!("{count} more are not shown")))
        });
        let more: Vec<_> = more.take(OF_STORE).collect();
        kept.extend(more);
        kept
    }

    fn count(&mut self, file: &str) {
        self.count += 1;
        if let Some(count) = self.of_file.get_mut(file) {
            *count += 1;
        } else {
            self.of_file.insert(file.to_owned(), 1);
            self.files.push(file.to_owned());
        }
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
}
