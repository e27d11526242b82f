//! The kinds of files that a store has, told by their names.

/// The file of a store that approves gains.
pub const APPROVED_GAINS: &str = "approved-gains.toml";

/// The file in which a store says something of itself.
pub(crate) const SETTINGS_FILE: &str = "store.toml";

/// The kind of a file of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    /// `*.cedarschema`
    Schema,
    /// `*.cedarschema.json`: the same in Cedar's JSON form.
    SchemaJson,
    /// `*.cedar`
    Policies,
    /// `*.cedar.json`: the same in Cedar's JSON form.
    PoliciesJson,
    /// `*.links.toml`
    Links,
    /// `*.links.json`: links as Cedar's command line writes them.
    LinksJson,
    /// `*.cedarentities.json`
    Entities,
    /// `invariants/*.cedar`: what is proved of the policies.
    Invariants,
    /// `approved-gains.toml`: steps from one revision to another in which somebody may gain.
    ApprovedGains,
    /// `store.toml`
    Settings,
    /// `matrix.csv`
    Matrix,
    /// `matrix.toml`
    MatrixMeaning,
    /// `mutants.toml`
    Mutants,
    /// `tests/**/*.toml`
    TestsToml,
    /// `tests/**/*.json`
    TestsJson,
}

impl FileKind {
    /// The kind of the file at that path; none for documents and whatever else lies in a folder.
    pub(crate) fn of(path: &str) -> Option<Self> {
        if path.starts_with("tests/") {
            return match path {
                _ if path.ends_with(".toml") => Some(Self::TestsToml),
                _ if path.ends_with(".json") => Some(Self::TestsJson),
                _ => None,
            };
        }
        if path.starts_with("invariants/") {
            return path.ends_with(".cedar").then_some(Self::Invariants);
        }
        match path {
            SETTINGS_FILE => Some(Self::Settings),
            APPROVED_GAINS => Some(Self::ApprovedGains),
            "matrix.csv" => Some(Self::Matrix),
            "matrix.toml" => Some(Self::MatrixMeaning),
            "mutants.toml" => Some(Self::Mutants),
            _ if path.ends_with(".cedarschema") => Some(Self::Schema),
            _ if path.ends_with(".cedarschema.json") => Some(Self::SchemaJson),
            _ if path.ends_with(".cedar") => Some(Self::Policies),
            _ if path.ends_with(".cedar.json") => Some(Self::PoliciesJson),
            _ if path.ends_with(".links.toml") => Some(Self::Links),
            _ if path.ends_with(".links.json") => Some(Self::LinksJson),
            _ if path.ends_with(".cedarentities.json") => Some(Self::Entities),
            _ => None,
        }
    }

    /// Returns whether the file has a part in decisions.
    pub(crate) fn decides(self) -> bool {
        matches!(
            self,
            Self::Schema
                | Self::SchemaJson
                | Self::Policies
                | Self::PoliciesJson
                | Self::Links
                | Self::LinksJson
                | Self::Entities
        )
    }

    /// Returns whether a store is not loaded without a file of the kind that is there and cannot be read:
    /// it has a part in decisions, or says whom to believe.
    #[cfg(feature = "server")]
    pub(crate) fn is_needed(self) -> bool {
        self.decides() || self == Self::Settings
    }
}

/// Returns what to do about a file that is not read although its name looks as if it held policies,
/// a schema, links or entities. `path` is relative to the store's folder.
#[must_use]
pub fn looks_like_policies(path: &str) -> Option<&'static str> {
    if FileKind::of(path).is_some() {
        return None;
    }
    let lower = path.to_ascii_lowercase();
    if lower != path && FileKind::of(&lower).is_some_and(|kind| !kind.decides()) {
        return Some("write the name, and that of its folder, in small letters");
    }
    let name = lower.rsplit('/').next().unwrap_or(&lower);
    if name.ends_with(".md") {
        return None;
    }
    let (stem, extension) = match name.split_once('.') {
        // A list of `data.entities.json` is of entities.
        Some((_, rest)) if rest.contains('.') => rest.split_once('.').unwrap_or_default(),
        Some(parts) => parts,
        None => (name, ""),
    };
    let last_word = stem.rsplit(['-', '_']).next().unwrap_or(stem);
    let is_data =
        matches!(extension, "" | "json" | "json5" | "toml" | "yaml" | "yml" | "txt" | "csv");
    let is_of = |words: &[&str]| is_data && (words.contains(&stem) || words.contains(&last_word));
    if name.contains("cedarschema") || is_of(&["schema", "schemas"]) {
        Some("name a schema `*.cedarschema`, or `*.cedarschema.json` in Cedar's JSON form")
    } else if name.contains("cedarentities") || is_of(&["entity", "entities"]) {
        Some("name entities `*.cedarentities.json`")
    } else if name.contains(".links") || is_of(&["link", "links", "linked"]) {
        Some("name links `*.links.toml`, or `*.links.json` as Cedar's command line writes them")
    } else if path.starts_with("invariants/") && name.contains(".cedar") {
        Some("name invariants `*.cedar`; policies under `invariants/` do not decide")
    } else if path.starts_with("tests/") && name.ends_with(".cedar") {
        Some("policies under `tests/` do not decide: move the file out of it, or delete it")
    } else if name.contains(".cedar")
        || matches!(extension, "policy" | "policies")
        || strsim::damerau_levenshtein(extension, "cedar") == 1
        || is_of(&POLICY_WORDS)
    {
        Some("name policies `*.cedar`, or `*.cedar.json` in Cedar's JSON form")
    } else {
        None
    }
}

/// The names under which people keep policies.
const POLICY_WORDS: [&str; 12] = [
    "policy",
    "policies",
    "template",
    "templates",
    "permit",
    "permits",
    "forbid",
    "forbids",
    "allow",
    "allows",
    "deny",
    "denies",
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn files_that_look_like_policies_and_are_not_read_are_named() {
        for (path, advice) in [
            ("guard.CEDAR", "name policies"),
            ("x.cedar.txt", "name policies"),
            ("old/x.cedar.bak", "name policies"),
            ("policy.json", "name policies"),
            ("policies.json", "name policies"),
            ("tests/guard.cedar", "under `tests/`"),
            ("invariants/guard.cedar.json", "name invariants"),
            ("entities.json", "name entities"),
            ("main.cedarentities", "name entities"),
            ("links.toml", "name links"),
            ("linked", "name links"),
            ("main.links.yaml", "name links"),
            ("schema.json", "name a schema"),
            ("main.CedarSchema", "name a schema"),
            ("deny.json", "name policies"),
            ("forbids.json", "name policies"),
            ("guard.policy", "name policies"),
            ("x.cedarpolicy", "name policies"),
            ("hold.cedr", "name policies"),
            ("hold.ceder", "name policies"),
            ("template_links.json", "name links"),
            ("my-entities.json", "name entities"),
            ("data.entities.json", "name entities"),
            ("Store.toml", "small letters"),
            ("matrix.CSV", "small letters"),
            ("Tests/x.toml", "small letters"),
        ] {
            let said = looks_like_policies(path).unwrap();
            assert!(said.contains(advice), "{path}: {said}");
        }
        for path in [
            "guard.cedar",
            "guard.cedar.json",
            "main.cedarschema",
            "main.cedarschema.json",
            "main.links.toml",
            "main.links.json",
            "main.cedarentities.json",
            "store.toml",
            "matrix.csv",
            "README.md",
            "README.cedar.md",
            "notes.txt",
            "lost+found",
            "tests/a.toml",
            "tests/entities.json",
            "invariants/guard.cedar",
        ] {
            assert_eq!(looks_like_policies(path), None, "{path}");
        }
    }
}
