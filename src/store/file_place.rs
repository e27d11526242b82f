//! The place of a file in the folder of a store: in a folder of the store, in one whose name is nearly the
//! same, or in a store within the store.

use super::FileKind;

/// The folders of a store whose files decide nothing, each with the changes in its name that are taken
/// for a mistake.
const FOLDERS: [(&str, usize); 2] = [("invariants", 2), ("tests", 1)];

/// Returns the folders within a store of which the file would be a part that does not decide, if the
/// folder were a store.
pub(super) fn nested_part(path: &str) -> impl Iterator<Item = &str> {
    let is_own = FOLDERS.iter().any(|(folder, _)| is_within(path, folder));
    let folders = path.match_indices('/').filter(move |_| !is_own);
    folders.filter_map(move |(at, _)| {
        let (folder, rest) = (path.get(..at)?, path.get(at + 1..)?);
        FileKind::of(rest).is_some_and(|kind| !kind.decides()).then_some(folder)
    })
}

/// Returns the folder of a file whose name is nearly one that is read, and that name. None where the file
/// would not be read there either.
pub(super) fn nearly_in(path: &str) -> Option<(&str, &'static str)> {
    let (folder, rest) = path.split_once('/')?;
    let small = folder.to_ascii_lowercase();
    let is_near = |(meant, changes): &(&str, usize)| {
        *meant != folder && strsim::damerau_levenshtein(meant, &small) <= *changes
    };
    let (meant, _) = FOLDERS.into_iter().find(is_near)?;
    FileKind::of(&format!("{meant}/{rest}"))?;
    Some((folder, meant))
}

/// Returns whether the name of a file that is not read tells that it lies in the wrong place.
#[cfg(feature = "server")]
pub(crate) fn is_misplaced(path: &str) -> bool {
    nearly_in(path).is_some() || nested_part(path).next().is_some()
}

/// Returns whether a file that is not read may hold policies all the same, which its content tells: a text.
pub(crate) fn may_hold_policies(path: &str) -> bool {
    let is_text = path.get(path.len().saturating_sub(4)..);
    is_text.is_some_and(|end| end.eq_ignore_ascii_case(".txt")) && FileKind::of(path).is_none()
}

/// Returns whether policies stand in a text.
pub(crate) fn holds_policies(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    ["permit", "forbid"].iter().any(|effect| {
        text.match_indices(effect).any(|(at, _)| {
            let rest = text.get(at + effect.len()..).unwrap_or_default();
            rest.trim_start().starts_with('(')
        })
    })
}

fn is_within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_nearly_named_as_one_that_is_read_is_known() {
        for (path, meant) in [
            ("Invariants/a.cedar", Some("invariants")),
            ("invariant/a.cedar", Some("invariants")),
            ("invarients/a.cedar", Some("invariants")),
            ("test/a.toml", Some("tests")),
            ("TESTS/more/a.json", Some("tests")),
            ("invariants/a.cedar", None),
            ("tests/a.toml", None),
            ("test/README.md", None),
            ("rules/a.cedar", None),
            ("test.toml", None),
        ] {
            assert_eq!(nearly_in(path).map(|(_, meant)| meant), meant, "{path}");
        }
    }
}
