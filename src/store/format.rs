//! The layout of policy files: each policy as Cedar's formatter writes it.
//!
//! Comments between policies stay where they are. Cedar's formatter alone would move the comment
//! at the head of a file to its first policy.

use std::{ops::Range, str::FromStr as _};

use cedar_policy::PolicySet;
use cedar_policy_formatter::{Config, policies_str_to_pretty};

use super::{Bounds, FileKind, StoreFiles, problems::Problems, text_bounds};
use crate::model::{Problem, Text};

/// Times that a policy is written until it stays as it is: with comments between operators, the
/// formatter needs two.
const ATTEMPTS: usize = 4;

/// The policy files of a store as they should be written.
#[derive(Debug, Default)]
pub struct FormattedFiles {
    /// The files that could be formatted, by path in the store's folder.
    pub files: Vec<FormattedFile>,
    /// The problems of those that could not.
    pub problems: Vec<Problem>,
}

/// A policy file as it should be written.
#[derive(Debug)]
pub struct FormattedFile {
    /// The path in the store's folder.
    pub path: String,
    /// The text.
    pub text: String,
    /// True if it is another text than the file has.
    pub differs: bool,
}

/// Formats the policy files (`*.cedar`) of a store, its invariants among them.
#[must_use]
pub fn format_policies(files: &StoreFiles, bounds: &Bounds) -> FormattedFiles {
    let mut problems = Problems::default();
    files.check_bounds(bounds, &mut problems);
    text_bounds::check(files, bounds, &mut problems);
    if !problems.is_empty() {
        return FormattedFiles { files: Vec::new(), problems: problems.into_vec() };
    }
    let mut formatted = Vec::new();
    let of_kind = |kind| files.texts(kind, &mut problems);
    let texts = [FileKind::Policies, FileKind::Invariants].map(of_kind);
    for (path, text) in texts.into_iter().flatten() {
        match format_text(|| files.shared_text(path), text) {
            Ok(new) => {
                // A byte order mark goes, too.
                let differs = files.get(path) != Some(new.as_bytes());
                let (path, text) = (path.to_owned(), new);
                formatted.push(FormattedFile { path, text, differs });
            }
            Err(found) => problems.extend(found),
        }
    }
    FormattedFiles { files: formatted, problems: problems.into_vec() }
}

fn format_text(shared: impl Fn() -> Text, text: &str) -> Result<String, Vec<Problem>> {
    let set = PolicySet::from_str(text);
    let set = set.map_err(|error| Problem::of_diagnostic(&shared(), &error))?;
    let mut output = Output::default();
    let mut end = 0;
    for place in places(&set) {
        output.between(text.get(end..place.start).unwrap_or_default(), Then::Policy);
        let policy = text.get(place.clone()).unwrap_or_default();
        output.policy(&format_policy(policy).map_err(|error| {
            let message = format!("Cedar's formatter cannot format the policy: {error}");
            vec![Problem::at(&shared(), (place.start, 1), message)]
        })?);
        end = place.end;
    }
    output.between(text.get(end..).unwrap_or_default(), Then::End);
    Ok(output.finish())
}

/// The places of the policies and templates of a text, in its order.
fn places(set: &PolicySet) -> Vec<Range<usize>> {
    let policies = set.policies().map(|policy| policy.as_ref().loc());
    let templates = set.templates().map(|template| template.as_ref().loc());
    let places = policies.chain(templates).flatten().map(|place| place.start()..place.end());
    let mut places: Vec<_> = places.collect();
    places.sort_by_key(|place| place.start);
    places
}

fn format_policy(text: &str) -> Result<String, String> {
    let mut text = text.to_owned();
    for _ in 0..ATTEMPTS {
        let written = policies_str_to_pretty(&text, &Config::default());
        let written = written.map_err(|error| error.to_string())?;
        if written.trim_end() == text {
            break;
        }
        text = written.trim_end().to_owned();
    }
    Ok(text)
}

/// The next thing in a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Policy,
    End,
}

/// A file that is being written.
#[derive(Default)]
struct Output {
    text: String,
    follows_policy: bool,
}

impl Output {
    /// Adds what stands between two policies, or before the first, or after the last: comments,
    /// with at most one empty line in a row.
    fn between(&mut self, text: &str, then: Then) {
        let mut lines = text.lines();
        if self.follows_policy {
            // A comment that follows a policy in its last line stays there.
            let comment = lines.next().unwrap_or_default().trim();
            self.text.push_str(if comment.is_empty() { "" } else { " " });
            self.text.push_str(comment);
            self.text.push('\n');
            if then == Then::Policy {
                self.empty_line();
            }
        }
        for line in lines {
            if !line.trim().is_empty() {
                self.text.push_str(line.trim());
                self.text.push('\n');
            } else if !self.text.is_empty() {
                self.empty_line();
            }
        }
    }

    fn empty_line(&mut self) {
        if !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn policy(&mut self, text: &str) {
        self.text.push_str(text);
        self.follows_policy = true;
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::store::embedded_stores;

    fn formatted(text: &str) -> String {
        format_text(|| Text::new("main/a.cedar", text), text).unwrap()
    }

    fn by_cedar(text: &str) -> String {
        policies_str_to_pretty(text, &Config::default()).unwrap()
    }

    #[test]
    fn policies_are_written_as_cedar_does_and_comments_stay_where_they_are() {
        let text = r#"

// The head.  


// More.

  // About the policy.
permit(principal,action,resource)when{true// why
}; // behind
@id("x")forbid(principal,action,resource);permit(principal==?principal,action,resource);

// The end.

"#;
        let expected = r#"// The head.

// More.

// About the policy.
permit (principal, action, resource)
when
{
  true // why
}; // behind

@id("x")
forbid (principal, action, resource);

permit (
  principal == ?principal,
  action,
  resource
);

// The end.
"#;
        assert_eq!(formatted(text), expected);
        assert_eq!(formatted(expected), expected);
    }

    #[test]
    fn files_without_policies_keep_their_comments() {
        assert_eq!(formatted(""), "");
        assert_eq!(formatted("\n \n"), "");
        assert_eq!(formatted(" // Nothing yet."), "// Nothing yet.\n");
    }

    #[test]
    fn what_cedars_formatter_wrote_stays_as_it_is() {
        for store in embedded_stores() {
            for (path, text) in store.texts(FileKind::Policies, &mut Problems::default()) {
                let written = by_cedar(text);
                assert_eq!(formatted(&written), written, "{}", store.path(path));
            }
        }
    }

    #[test]
    fn a_text_that_is_no_policy_is_a_problem_with_its_place() {
        let files = [("a.cedar", "permit"), ("b.cedar", "permit(principal,action,resource);")];
        let files = files.map(|(path, text)| (path.to_owned(), Arc::from(text.as_bytes())));
        let files = StoreFiles::new("main".parse().unwrap(), files);
        let FormattedFiles { files, problems } = format_policies(&files, &Bounds::default());
        assert_eq!(problems.first().unwrap().file(), "main/a.cedar");
        assert!(problems.first().unwrap().location().is_some());
        let files: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.differs)).collect();
        assert_eq!(files, [("b.cedar", true)]);
    }

    proptest! {
        /// Comments anywhere between the words of a policy are kept, and formatting again changes
        /// nothing.
        #[test]
        fn no_comment_is_lost(places in prop::collection::vec(any::<prop::sample::Index>(), 0..8)) {
            let words = r#"// Head.

@id ( "one" ) permit ( principal is User in Group :: "a" , action in [ Action :: "b" , 
Action :: "c" ] , resource ) when { principal in resource . owner && context has now && 
! ( context . now . lessThan ( 3 ) || [ 1 , 2 ] . contains ( 4 ) ) } unless { if true then 
{ a : 1 } . a == 1 else resource . x like "y*" } ; forbid ( principal , action , resource ) ; "#;
            let gaps: Vec<_> = words.match_indices(' ').map(|(at, _)| at).collect();
            let mut comments: Vec<_> = places.iter().map(|place| *place.get(&gaps)).collect();
            comments.sort_unstable();
            comments.dedup();
            let mut text = words.to_owned();
            for (number, at) in comments.iter().enumerate().rev() {
                // The head is a comment itself.
                if *at > 10 {
                    text.insert_str(*at, &format!(" // comment {number}\n"));
                }
            }
            let once = formatted(&text);
            for (number, at) in comments.iter().enumerate() {
                let comment = format!("// comment {number}\n");
                prop_assert!(*at <= 10 || once.matches(&comment).count() == 1, "{once}");
            }
            prop_assert_eq!(formatted(&once), once);
        }
    }
}
