//! The name that was perhaps meant.

/// The longest name, in bytes, for which another is looked for: comparing takes the product of two
/// lengths.
const LONGEST: usize = 100;
/// Names that are compared at most.
const MOST: usize = 10_000;

/// Returns the name that is most like the written one.
pub fn nearest(written: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    if written.len() > LONGEST {
        return None;
    }
    let names = names.into_iter().take(MOST).filter(|name| name.len() <= LONGEST);
    names.min_by_key(|name| strsim::damerau_levenshtein(name, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_alike_is_found_and_a_long_name_is_not_looked_for() {
        let names = ["view", "edit", "delete"].map(str::to_owned);
        assert_eq!(nearest("edti", names.clone()).as_deref(), Some("edit"));
        assert_eq!(nearest(&"edit".repeat(100_000), names), None);
        assert_eq!(nearest("edit", ["edit".repeat(100_000)]), None);
    }
}
