//! How deep the texts of a store may nest.
//!
//! Cedar's parsers go one step deeper on the stack with every bracket and every operator of a
//! chain. A text that is too deep would end the whole process, so it must not reach them.

use super::{FileKind, StoreFiles};
use crate::model::Problem;

/// How deep brackets may nest.
const MAX_DEPTH: usize = 64;
/// How many operators, attribute accesses or calls may follow one another without another kind of
/// expression between them, and how many `if` one expression may hold.
const MAX_CHAIN: usize = 200;

/// What is nested too deep, at most once for each file.
pub(super) fn beyond(files: &StoreFiles, problems: &mut Vec<Problem>) {
    for kind in [FileKind::Schema, FileKind::Policies] {
        // What is not UTF-8 is told when the file is really read.
        for (path, text) in files.texts(kind, &mut Vec::new()) {
            if let Some((at, message)) = too_deep(text, kind == FileKind::Schema) {
                let problem = Problem::at(files.path(path), text, (at, 1), None, message);
                problems.push(problem.with_help("split it into several policies or types"));
            }
        }
    }
}

/// How long the chains are in the brackets that are open.
#[derive(Default)]
struct Level {
    operators: usize,
    ifs: usize,
}

/// Where a text goes too deep, if it does. In a schema `<` is a bracket.
fn too_deep(text: &str, is_schema: bool) -> Option<(usize, String)> {
    let mut outer: Vec<Level> = Vec::new();
    let mut level = Level::default();
    let mut rest = text.char_indices().peekable();
    let mut word = String::new();
    while let Some((at, c)) = rest.next() {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        match std::mem::take(&mut word).as_str() {
            "if" => level.ifs += 1,
            "then" | "else" | "in" => level.operators = 0,
            _ => {}
        }
        match c {
            '"' => {
                while rest.next().is_some_and(|(_, c)| match c {
                    '\\' => rest.next().is_some(),
                    c => c != '"',
                }) {}
            }
            '/' if rest.next_if(|(_, c)| *c == '/').is_some() => {
                while rest.next_if(|(_, c)| *c != '\n').is_some() {}
            }
            '(' | '[' | '{' => {
                level.operators += usize::from(c == '[');
                outer.push(std::mem::take(&mut level));
            }
            '<' if is_schema => outer.push(std::mem::take(&mut level)),
            ')' | ']' | '}' => level = outer.pop().unwrap_or_default(),
            '>' if is_schema => level = outer.pop().unwrap_or_default(),
            '+' | '-' | '*' | '.' => level.operators += 1,
            '&' | '|' | '=' | '!' | '<' | '>' => level.operators = 0,
            ',' | ';' => level = Level::default(),
            _ => {}
        }
        if outer.len() > MAX_DEPTH {
            return Some((at, format!("brackets nest deeper than {MAX_DEPTH} levels")));
        }
        if level.operators > MAX_CHAIN || level.ifs > MAX_CHAIN {
            return Some((at, format!("the expression is a chain of more than {MAX_CHAIN} parts")));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::{sync::Arc, thread};

    use super::*;
    use crate::store::{Bounds, PolicyStore};

    fn load(types: &str, condition: &str) -> Result<PolicyStore, Vec<Problem>> {
        let schema = format!(
            "entity User {{ next: User, s: String }}; entity Doc;
            action view appliesTo {{ principal: User, resource: Doc }}; {types}"
        );
        let policy = format!("permit (principal, action, resource) when {{ {condition} }};");
        let files = [("s.cedarschema", schema), ("p.cedar", policy)]
            .map(|(path, text)| (path.to_owned(), Arc::from(text.into_bytes())));
        let files = Arc::new(StoreFiles::new("main".parse().unwrap(), files));
        // The smallest stack that a store is loaded or dropped on.
        let thread = thread::Builder::new().stack_size(2 * 1024 * 1024);
        let load = move || PolicyStore::load(files, &Bounds::default());
        thread.spawn(load).unwrap().join().unwrap()
    }

    type Nest = fn(usize) -> (String, String);

    const NESTS: [(&str, Nest); 10] = [
        ("parentheses", |n| (String::new(), "(".repeat(n) + "true" + &")".repeat(n))),
        ("set literals", |n| (String::new(), format!("{}1{} != 1", "[".repeat(n), "]".repeat(n)))),
        ("record literals", |n| {
            (String::new(), format!("{}1{} != 1", "{a: ".repeat(n), "}".repeat(n)))
        }),
        ("sums", |n| (String::new(), "1 + ".repeat(n) + "1 == 1")),
        ("products", |n| (String::new(), "(1 * 1) * ".repeat(n) + "1 == 1")),
        ("attributes", |n| (String::new(), format!("principal{}.s == \"\"", ".next".repeat(n)))),
        ("indices", |n| (String::new(), format!("principal{}.s == \"\"", "[\"next\"]".repeat(n)))),
        ("conditionals", |n| (String::new(), "if true then true else ".repeat(n) + "true")),
        ("sets of sets", |n| {
            (format!("type T = {}Long{};", "Set<".repeat(n), ">".repeat(n)), "true".to_owned())
        }),
        ("records in records", |n| {
            (format!("type T = {}Long{};", "{a: ".repeat(n), "}".repeat(n)), "true".to_owned())
        }),
    ];

    #[test]
    fn what_would_overflow_the_stack_is_a_problem() {
        for (what, nest) in NESTS {
            for depth in [500, 200_000] {
                let (types, condition) = nest(depth);
                let problems = load(&types, &condition).unwrap_err();
                assert_eq!(problems.len(), 1, "{what}");
                let message = problems.first().unwrap().message().to_owned();
                assert!(message.contains("more than 200") || message.contains("64"), "{message}");
            }
        }
    }

    #[test]
    fn what_people_write_is_not_too_deep() {
        for (what, nest) in NESTS {
            let (types, condition) = nest(30);
            let problems = load(&types, &condition).err().unwrap_or_default();
            let is_too_deep =
                |problem: &Problem| problem.help().is_some_and(|h| h.contains("split"));
            assert!(!problems.iter().any(is_too_deep), "{what}: {problems:?}");
        }
        let many = ["principal.s == \"((((\" || (1 + 1 < 3) // ((((\n"; 2_000].join(" || ");
        let problems = load("", &many).err().unwrap_or_default();
        assert!(problems.is_empty(), "{problems:?}");
    }
}
