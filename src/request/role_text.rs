//! A role assignment as people write it: `role`, `role@scope`, and both with `=time`.

use std::{fmt, str::FromStr};

use super::RoleAssignmentInput;

/// A text that is no role assignment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RoleTextError(pub String);

impl FromStr for RoleAssignmentInput {
    type Err = RoleTextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (role, scope) = match text.split_once('@') {
            Some((role, scope)) => (role, Some(scope)),
            None => (text, None),
        };
        let (role, scope, time): (&str, Option<&str>, Option<&str>) = match scope {
            None => {
                let (role, time) = cut(role);
                (role, None, time)
            }
            Some(scope) => {
                let (scope, time) = cut(scope);
                (role, Some(scope), time)
            }
        };
        if role.is_empty() {
            let advice = "write `role`, `role@scope` or `role@scope=time`";
            return Err(RoleTextError(advice.to_owned()));
        }
        let wrong = |error: &dyn fmt::Display| RoleTextError(error.to_string());
        let scope = scope.map(str::parse).transpose().map_err(|error| wrong(&error))?;
        let expires_at = time.map(str::parse).transpose().map_err(|error| wrong(&error))?;
        Ok(Self { principal: None, role: role.to_owned(), scope, expires_at })
    }
}

/// Cuts a text at the `=` of its time. The scope's id may contain a `=` itself, but only in quotes.
fn cut(text: &str) -> (&str, Option<&str>) {
    let at = match text.rfind('"') {
        Some(quote) => text.get(quote..).and_then(|end| end.find('=')).map(|at| quote + at),
        None => text.rfind('='),
    };
    match at {
        Some(at) => (text.get(..at).unwrap_or_default(), text.get(at + 1..)),
        None => (text, None),
    }
}

/// Writes what the same is read from.
impl fmt::Display for RoleAssignmentInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.role)?;
        if let Some(scope) = &self.scope {
            write!(f, "@{scope}")?;
        }
        match self.expires_at {
            Some(moment) => write!(f, "={moment}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::model::Uid;

    #[test]
    fn roles() {
        for (text, name, scope, expires) in [
            ("editor", "editor", None, false),
            ("editor=2026-01-01T00:00:00Z", "editor", None, true),
            (r#"admin@Instance::"main""#, "admin", Some(("Instance", "main")), false),
            (r#"owner@Team::"t"=2026-01-01"#, "owner", Some(("Team", "t")), true),
            (r#"owner@Team::"a=b@c""#, "owner", Some(("Team", "a=b@c")), false),
            (r#"owner@Team::"a=b"=2026-01-01"#, "owner", Some(("Team", "a=b")), true),
            ("owner@Team::t=2026-01-01", "owner", Some(("Team", "t")), true),
        ] {
            let read: RoleAssignmentInput = text.parse().unwrap();
            assert_eq!(read.role, name, "{text}");
            assert_eq!(read.scope, scope.map(|(ty, id)| Uid::new(ty, id)), "{text}");
            assert_eq!(read.expires_at.is_some(), expires, "{text}");
            assert_eq!(read.to_string().parse(), Ok(read), "{text}");
        }
        for text in ["", "@", "@Team::t", "owner@", "owner@x", "owner=", "owner=soon"] {
            assert!(text.parse::<RoleAssignmentInput>().is_err(), "{text}");
        }
    }
}
