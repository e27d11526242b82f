//! Skipping a test for what the machine lacks.

/// Says why a test is skipped. Where `CI` is set and not empty a machine that could have it must,
/// so there it fails.
pub fn skip(what_is_missing: &str) {
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!ci, "CI is set, and {what_is_missing}");
    skip_even_in_ci(what_is_missing);
}

/// Says why a test is skipped that needs what no installation gives, such as the right to mount.
pub fn skip_even_in_ci(what_is_missing: &str) {
    eprintln!("skipped: {what_is_missing}");
}
