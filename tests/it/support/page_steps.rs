//! The commands of a page for users, and what the page says they print.
//!
//! In a block marked `console`, a line that begins with `$ ` is a command, with its continuation: up to
//! the end of a quotation, of a here-document, or of lines that end with a backslash. The lines below
//! are its output. A line of `…` stands for any lines, `…` in a line for any text. A command below
//! which nothing stands must end with 0, and what it prints is not looked at. A block marked `python`
//! is a program, which prints the comments behind its `print`.

use std::{
    fmt::Write as _,
    process::{Command, Stdio},
};

/// Commands of pages that are not run, and why.
const LEFT_OUT: [(&str, &str); 1] = [("cargo test", "it would run this test")];

/// A command, or a program, and what the page says it prints.
#[derive(Debug)]
pub struct Step {
    pub line: usize,
    pub command: String,
    pub output: Vec<String>,
}

/// The outcome of a step.
pub struct Outcome {
    pub code: i32,
    pub output: String,
}

/// Reads the steps of a page.
pub fn steps(text: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, _)) = lines.next() {
        let inside = lines.clone().take_while(|(line, _)| *line != "```").collect::<Vec<_>>();
        match line {
            "```console" => steps.extend(console(&inside)),
            "```python" => steps.push(python(&inside)),
            _ => continue,
        }
        lines.nth(inside.len());
    }
    steps.retain(|step| !LEFT_OUT.iter().any(|(command, _)| step.command.starts_with(command)));
    steps
}

fn console(lines: &[(&str, usize)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut is_open = false;
    for (text, line) in lines {
        if is_open {
            let last = steps.last_mut().unwrap();
            let _ = write!(last.command, "\n{text}");
        } else if let Some(command) = text.strip_prefix("$ ") {
            steps.push(Step { line: *line, command: command.to_owned(), output: Vec::new() });
        } else {
            let step = steps.last_mut().expect("a block of commands begins with one");
            step.output.push((*text).to_owned());
            continue;
        }
        is_open = !is_whole(&steps.last().unwrap().command);
    }
    steps
}

/// Returns whether a command goes on in the next line.
fn is_whole(command: &str) -> bool {
    if command.ends_with('\\') {
        return false;
    }
    if let Some((_, rest)) = command.split_once("<<") {
        let word: String =
            rest.chars().skip_while(|c| *c == '\'').take_while(char::is_ascii_uppercase).collect();
        return command.lines().skip(1).any(|line| line == word);
    }
    // Bash says by its exit code that a quotation is open.
    Command::new("bash").args(["-nc", command]).stderr(Stdio::null()).status().unwrap().success()
}

fn python(lines: &[(&str, usize)]) -> Step {
    let printed = lines.iter().filter(|(line, _)| line.starts_with("print("));
    let output = printed.filter_map(|(line, _)| Some(line.split_once("# ")?.1.to_owned()));
    let program: Vec<_> = lines.iter().map(|(line, _)| *line).collect();
    Step {
        line: lines[0].1,
        command: format!("python - <<'PROGRAM'\n{}\nPROGRAM", program.join("\n")),
        output: output.collect(),
    }
}

impl Step {
    /// The command without a comment at its end.
    pub fn bare(&self) -> &str {
        self.command.split(" # ").next().unwrap_or_default().trim()
    }

    pub fn starts_a_server(&self) -> bool {
        let bare = self.bare();
        bare == "cargo run --release" || bare.starts_with("humbaba serve ")
    }

    /// Returns what is not as the page says, if something is.
    pub fn fault(&self, outcome: Option<&Outcome>) -> Option<String> {
        let Self { line, command, output } = self;
        let Some(outcome) = outcome else {
            return Some(format!("{line}: `{command}` did not end"));
        };
        if output.is_empty() || self.starts_a_server() {
            let Outcome { code, output } = outcome;
            return (*code != 0)
                .then(|| format!("{line}: `{command}` ends with {code}:\n{output}"));
        }
        let printed: Vec<_> = outcome.output.trim_end().lines().map(str::trim_end).collect();
        let expected: Vec<_> = output.iter().map(|line| line.trim_end()).collect();
        let is_right = lines_match(&expected, &printed);
        (!is_right).then(|| format!("{line}: `{command}`\n{}", difference(&expected, &printed)))
    }
}

/// Returns whether the lines are those of a page, where `…` stands for any lines.
pub fn lines_match(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        [any, rest @ ..] if any.trim() == "…" => {
            (0..=printed.len()).any(|left_out| lines_match(rest, &printed[left_out..]))
        }
        [first, rest @ ..] => printed
            .split_first()
            .is_some_and(|(line, printed)| text_matches(first, line) && lines_match(rest, printed)),
    }
}

/// Returns whether a line is that of a page, where `…` stands for any text.
fn text_matches(expected: &str, printed: &str) -> bool {
    match expected.split_once('…') {
        None => expected == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            let ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
            ends.into_iter().any(|at| text_matches(after, &rest[at..]))
        }),
    }
}

/// Both texts, with the lines that only one has. Those are among them for which `…` stands.
fn difference(expected: &[&str], printed: &[&str]) -> String {
    let mut text = String::new();
    for line in expected {
        let is_there = printed.iter().any(|printed| text_matches(line, printed));
        let _ = writeln!(text, "{} {line}", if is_there { ' ' } else { '-' });
    }
    let in_full: Vec<_> = expected.iter().filter(|line| line.trim() != "…").collect();
    for line in printed {
        if !in_full.iter().any(|expected| text_matches(expected, line)) {
            let _ = writeln!(text, "+ {line}");
        }
    }
    text
}
