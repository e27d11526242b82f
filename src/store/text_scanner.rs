//! A scanner of texts in Cedar's languages, which counts what Cedar would build of them.
//!
//! Cedar's parsers, validator and evaluator go one step deeper on the stack with every bracket and
//! every operator of a chain, and each token takes them time and memory. To count at least as much, it
//! is enough to know strings, comments, brackets and operators.

use super::{
    FileKind,
    bounds::{BRACKETS, EXPRESSION_DEPTH, PATH_LENGTH, SCHEMA_LIST, more_than},
};
use crate::model::unknown_escape;

/// A bound that a text exceeds, and the byte at which it does.
pub(super) struct TextExcess {
    pub at: usize,
    pub message: String,
    pub help: &'static str,
}

const SPLIT: &str = "split it into several policies or types, or write a chain as one set";

/// The depth of what stands between two brackets, as far as it was read. The operators of a chain
/// nest on the left, so each makes the tree one deeper.
#[derive(Default)]
struct Level {
    /// `if` and, outside of brackets, the clauses of a policy.
    outer: usize,
    ors: usize,
    ands: usize,
    /// The operators since the last `&&` or `||`.
    others: usize,
    /// The deepest expression in brackets.
    brackets: usize,
    /// The deepest operand of `&&` so far, and of `||`.
    and_operand: usize,
    or_operand: usize,
    /// The deepest of the parts of an `if` that have ended.
    part: usize,
    /// The deepest of the elements that have ended, for a list.
    element: usize,
    /// The commas of a list.
    commas: usize,
}

impl Level {
    fn and(&mut self) {
        self.and_operand = self.and_operand.max(self.others);
        self.others = 0;
        self.ands += 1;
    }

    fn or(&mut self) {
        self.or_operand = self.or_operand.max(self.ands + self.and_operand.max(self.others));
        (self.ands, self.and_operand, self.others) = (0, 0, 0);
        self.ors += 1;
    }

    fn end_part(&mut self) {
        let part = self.part.max(self.part_depth());
        let (outer, element, commas) = (self.outer, self.element, self.commas);
        *self = Self { outer, part, element, commas, ..Self::default() };
    }

    fn end_element(&mut self, is_list: bool) {
        let commas = if is_list { self.commas + 1 } else { 0 };
        *self = Self { element: self.depth(), commas, ..Self::default() };
    }

    fn part_depth(&self) -> usize {
        let operand = self.ands + self.and_operand.max(self.others);
        self.ors + self.or_operand.max(operand) + self.brackets
    }

    fn depth(&self) -> usize {
        self.element.max(self.outer + self.part.max(self.part_depth()))
    }
}

/// Counts the tokens of one text and follows how deep its expressions nest.
pub(super) struct Scanner {
    kind: FileKind,
    policy_tokens: usize,
    pub tokens: usize,
    tokens_of_policy: usize,
    /// The tokens since the last declaration of a schema ended.
    tokens_of_declaration: usize,
    /// The last token was the word `like`: a pattern follows.
    after_like: bool,
    /// The separators so far in a path, and whether the last token was one.
    path: usize,
    after_separator: bool,
    open: Vec<Level>,
    level: Level,
}

impl Scanner {
    pub fn new(kind: FileKind, policy_tokens: usize) -> Self {
        // Invariants are policies, in the same language.
        let kind = if kind == FileKind::Invariants { FileKind::Policies } else { kind };
        Self {
            kind,
            policy_tokens,
            tokens: 0,
            tokens_of_policy: 0,
            tokens_of_declaration: 0,
            after_like: false,
            path: 0,
            after_separator: false,
            open: Vec::new(),
            level: Level::default(),
        }
    }

    /// Reads a text up to its end or to the first bound that it exceeds.
    pub fn scan(&mut self, text: &str) -> Result<(), TextExcess> {
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            if c.is_whitespace() {
                continue;
            }
            let mut is_next = |wanted: char| rest.next_if(|(_, c)| *c == wanted).is_some();
            let mut is_separator = false;
            let is_pattern = std::mem::take(&mut self.after_like);
            match c {
                '/' if is_next('/') => {
                    while rest.next_if(|(_, c)| !matches!(c, '\n' | '\r')).is_some() {}
                    self.after_like = is_pattern;
                    continue;
                }
                '"' => {
                    while rest.next().is_some_and(|(_, c)| match c {
                        '\\' => rest.next().is_some(),
                        c => c != '"',
                    }) {}
                    let end = rest.peek().map_or(text.len(), |(next, _)| *next);
                    self.string(text.get(at..end).unwrap_or_default(), at, is_pattern)?;
                }
                _ if is_word(c) => {
                    let mut end = at + 1;
                    while rest.next_if(|(_, c)| is_word(*c)).is_some() {
                        end += 1;
                    }
                    self.word(text.get(at..end).unwrap_or_default());
                }
                '.' => is_separator = true,
                ':' => is_separator = is_next(':'),
                c => {
                    let doubled = matches!(c, '&' | '|') && is_next(c);
                    self.punctuation(c, doubled);
                }
            }
            self.separator(c, is_separator);
            self.tokens += 1;
            self.tokens_of_policy += 1;
            self.tokens_of_declaration += 1;
            self.check(at)?;
        }
        Ok(())
    }

    /// Refuses a string with an escape that Cedar does not know: for each, Cedar's parser makes an
    /// error with a copy of the whole string.
    fn string(&self, quoted: &str, at: usize, is_pattern: bool) -> Result<(), TextExcess> {
        if !matches!(self.kind, FileKind::Schema | FileKind::Policies) {
            return Ok(());
        }
        let inner = quoted.strip_prefix('"').unwrap_or_default();
        let inner = inner.strip_suffix('"').unwrap_or(inner);
        let Some(range) = unknown_escape(inner, is_pattern) else { return Ok(()) };
        let shown = inner.get(range.clone()).unwrap_or_default();
        let message = match shown {
            "\r" => "a carriage return stands in a string".to_owned(),
            _ => {
                let shown: String = shown.chars().filter(|c| !c.is_control()).take(12).collect();
                format!("`{shown}` in a string is no escape that Cedar knows")
            }
        };
        Err(TextExcess {
            at: at + 1 + range.start,
            message,
            help: "write `\\\\` for a backslash, `\\n` and `\\r` for ends of lines, `\\u{e9}` for a \
                   character by its number",
        })
    }

    fn word(&mut self, word: &str) {
        self.after_like = word == "like";
        match word {
            "if" => self.level.outer += 1,
            "then" | "else" => self.level.end_part(),
            "when" | "unless" if self.open.is_empty() => self.level.outer += 1,
            "in" | "like" | "has" | "is" => self.level.others += 1,
            _ => {}
        }
    }

    fn punctuation(&mut self, c: char, doubled: bool) {
        match c {
            '(' | '[' | '{' => self.enter(c == '['),
            ')' | ']' | '}' => self.leave(),
            '<' if self.kind == FileKind::Schema => self.enter(false),
            '>' if self.kind == FileKind::Schema => self.leave(),
            ';' if self.open.is_empty() => {
                self.end_declaration();
                self.level = Level::default();
                self.tokens_of_policy = 0;
            }
            ';' => {
                self.end_declaration();
                self.level.end_element(false);
            }
            ',' => self.level.end_element(true),
            '&' if doubled => self.level.and(),
            '|' if doubled => self.level.or(),
            '+' | '-' | '*' | '!' | '=' | '<' | '>' => self.level.others += 1,
            _ => {}
        }
    }

    /// Counts a declaration of several names in a schema once for each: Cedar writes it out.
    fn end_declaration(&mut self) {
        if self.kind == FileKind::Schema {
            let more_names = self.level.commas;
            let body = self.tokens_of_declaration.saturating_sub(2 * more_names + 2);
            self.tokens = self.tokens.saturating_add(more_names.saturating_mul(body));
        }
        self.tokens_of_declaration = 0;
    }

    fn enter(&mut self, is_index: bool) {
        // `a["b"]` goes one deeper like `a.b`.
        self.level.others += usize::from(is_index);
        self.open.push(std::mem::take(&mut self.level));
    }

    fn leave(&mut self) {
        let depth = self.level.depth() + 1;
        self.level = self.open.pop().unwrap_or_default();
        self.level.brackets = self.level.brackets.max(depth);
    }

    /// Follows a path: names, with `.` or `::` between them.
    fn separator(&mut self, c: char, is_separator: bool) {
        if is_separator {
            self.path += 1;
            self.level.others += usize::from(c == '.');
        } else if !(self.after_separator && is_word(c)) {
            self.path = 0;
        }
        self.after_separator = is_separator;
    }

    fn check(&self, at: usize) -> Result<(), TextExcess> {
        let is_text = matches!(self.kind, FileKind::Schema | FileKind::Policies);
        // The JSON parser has a bound of its own on brackets.
        let message = if is_text && self.open.len() > BRACKETS {
            format!("brackets nest deeper than {BRACKETS} levels")
        } else if self.path >= PATH_LENGTH {
            format!("a path has more than {PATH_LENGTH} names")
        } else if is_text && self.level.depth() > EXPRESSION_DEPTH {
            format!("the expression is a chain of more than {EXPRESSION_DEPTH} parts")
        } else if self.kind == FileKind::Schema && self.level.commas >= SCHEMA_LIST {
            format!("a list or a record has more than {SCHEMA_LIST} parts")
        } else if self.kind == FileKind::Policies && self.tokens_of_policy > self.policy_tokens {
            let what = "the policy has too many tokens";
            more_than(what, self.policy_tokens, "policy_tokens")
        } else {
            return Ok(());
        };
        Err(TextExcess { at, message, help: SPLIT })
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(kind: FileKind, text: &str) -> Option<String> {
        let mut scanner = Scanner::new(kind, 1_000_000);
        scanner.scan(text).err().map(|excess| excess.message)
    }

    #[track_caller]
    fn check(condition: &str, is_fine: bool) {
        let text = format!("permit (principal, action, resource) when {{ {condition} }};");
        let excess = scan(FileKind::Policies, &text);
        let start: String = condition.chars().take(40).collect();
        assert_eq!(excess.is_none(), is_fine, "{start}: {excess:?}");
    }

    type Shape = fn(usize) -> String;

    const CHAINS: [(&str, Shape); 10] = [
        ("||", |n| ["a == 1"; 1].repeat(n).join(" || ")),
        ("&&", |n| ["a != 1"; 1].repeat(n).join(" && ")),
        ("both", |n| ["a && b || c"; 1].repeat(n / 2).join(" || ")),
        ("+", |n| "1 + ".repeat(n) + "1 == 1"),
        ("*", |n| "1 * ".repeat(n) + "1 == 1"),
        ("indices", |n| format!("a{} == 1", "[\"b\"]".repeat(n))),
        ("calls", |n| format!("a{}", "[\"b\"].contains(1)".repeat(n / 2))),
        ("if", |n| "if a then b else ".repeat(n) + "c"),
        ("like", |n| ["a like \"b*\""; 1].repeat(n).join(" || ")),
        ("sums in brackets", |n| {
            let sum = "1 + ".repeat(n / 50);
            format!("{}1{} == 1", sum.clone() + &format!("({sum}").repeat(50), ")".repeat(50))
        }),
    ];

    #[test]
    fn a_chain_is_as_deep_as_it_has_operators() {
        for (_, chain) in CHAINS {
            check(&chain(1_000), true);
            check(&chain(4_000), false);
            check(&chain(200_000), false);
        }
    }

    #[test]
    fn clauses_are_a_chain() {
        let policy = |n| format!("permit (principal, action, resource){};", " when {a}".repeat(n));
        assert_eq!(scan(FileKind::Policies, &policy(1_000)), None);
        assert!(scan(FileKind::Policies, &policy(2_000)).is_some());
        // Each policy for itself.
        assert_eq!(scan(FileKind::Policies, &policy(1_000).repeat(10)), None);
    }

    #[test]
    fn brackets_and_paths_have_bounds() {
        for (open, close) in [("(", ")"), ("[", "]"), ("{a: ", "}"), ("if (", ") then a else b")] {
            let nest = |n: usize| format!("{}1{} == 1", open.repeat(n), close.repeat(n));
            check(&nest(60), true);
            check(&nest(100), false);
        }
        check(&format!("a has b{}", ".c".repeat(60)), true);
        check(&format!("a has b{}", ".c".repeat(64)), false);
        check(&format!("a{}::\"x\" == b", "::B".repeat(64)), false);
        check("if a.b.c then d.e.f else g.h.i", true);
        check(&["a.b.c == d.e.f"; 1].repeat(700).join(" && "), true);
    }

    #[test]
    fn lists_strings_and_comments_are_no_chains() {
        check(&format!("[{}].contains(1)", ["1 + 1"; 1].repeat(10_000).join(", ")), true);
        check(&"a == \"((((\\\"((((||||\" // ((((\n && ".repeat(700), true);
    }

    #[test]
    fn a_list_in_a_schema_has_a_bound_on_its_parts() {
        let fields = |n: usize| {
            let fields: Vec<_> =
                (0..n).map(|n| format!("f{n}: {{a: Long, b: Set<Long>}}")).collect();
            scan(FileKind::Schema, &format!("entity A {{{}}};", fields.join(", ")))
        };
        assert_eq!(fields(9_000), None);
        assert!(fields(11_000).is_some());
        assert_eq!(scan(FileKind::Schema, &"entity A, B; ".repeat(20_000)), None);
        let in_namespace = format!("namespace N {{ {} }}", "entity A, B; ".repeat(20_000));
        assert_eq!(scan(FileKind::Schema, &in_namespace), None);
    }

    #[test]
    fn a_declaration_of_several_names_counts_once_for_each() {
        let tokens = |text: &str| {
            let mut scanner = Scanner::new(FileKind::Schema, 1_000_000);
            assert!(scanner.scan(text).is_ok());
            scanner.tokens
        };
        let action = |names: usize, fields: usize| {
            let names: Vec<_> = (0..names).map(|name| format!("a{name}")).collect();
            let fields: Vec<_> = (0..fields).map(|field| format!("f{field}: Long")).collect();
            let fields = fields.join(", ");
            format!("action {} appliesTo {{context: {{{fields}}}}};", names.join(", "))
        };
        let (one, many) = (action(1, 100), action(50, 100));
        assert!(tokens(&many) > 50 * 100 * 3);
        assert!(tokens(&many) < 51 * tokens(&one));
        assert!(tokens(&format!("namespace N {{ {many} }}")) >= tokens(&many));
        assert!(tokens(&format!("{many} {one}")) < tokens(&many) + 2 * tokens(&one));
        // Names alone cost nothing more.
        assert!(tokens(&format!("entity {};", ["A"; 1_000].join(", "))) < 3_000);
    }

    #[test]
    fn an_escape_that_cedar_does_not_know_is_refused_where_it_stands() {
        for fine in [
            r#"a == "\n\r\t\\\0\'\"\x7F\u{e9}\u{1_F600}""#,
            r#"a like "\**" && a like "c""#,
            "a like // a pattern\n \"\\*\"",
            "a == \"one \\\n   line\"",
        ] {
            let text = format!("permit (principal, action, resource) when {{ {fine} }};");
            assert_eq!(scan(FileKind::Policies, &text), None, "{fine}");
        }
        for (faulty, shown) in [
            (r#""\q""#, "`\\q` in a string is no escape that Cedar knows"),
            (r#"a == "é\*""#, "`\\*` in a string is no escape that Cedar knows"),
            (r#"a like b + "\*""#, "`\\*` in a string is no escape that Cedar knows"),
            (r#""\x80""#, "`\\x80` in a string is no escape that Cedar knows"),
            (r#""\u{d800}""#, "`\\u{d800}` in a string is no escape that Cedar knows"),
            ("\"a\rb\"", "a carriage return stands in a string"),
        ] {
            for kind in [FileKind::Schema, FileKind::Policies, FileKind::Invariants] {
                assert_eq!(scan(kind, faulty).as_deref(), Some(shown), "{faulty}");
            }
        }
        // JSON has escapes of its own.
        assert_eq!(scan(FileKind::PoliciesJson, r#"{"a": "\/"}"#), None);
    }

    #[test]
    fn a_policy_has_a_bound_on_its_tokens() {
        let set = format!("[{}].contains(1)", ["1"; 1].repeat(600_000).join(", "));
        check(&set, false);
    }
}
