//! Problems in the files of a policy store: the fault, the file with line and column, and advice.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError,
    MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

/// The longest line, in bytes, that is shown with a problem in it.
const LONGEST_LINE: usize = 1_000;

/// The longest message or advice, in characters.
const LONGEST_MESSAGE: usize = 3_000;

/// One problem in one file of a policy store.
#[derive(Debug, Clone)]
pub struct Problem {
    file: String,
    source: Option<Text>,
    message: String,
    labels: Vec<LabeledSpan>,
    help: Option<String>,
    /// The end of the help that is data, which [`Self::render`] does not wrap.
    record: Option<Box<str>>,
}

/// A place in a file. Both numbers count from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// The line.
    pub line: usize,
    /// The character in the line.
    pub column: usize,
}

impl Location {
    /// Returns the place of a byte of a text.
    #[must_use]
    pub(crate) fn in_text(text: &str, offset: usize) -> Option<Self> {
        let before = text.get(..offset)?;
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Some(Self {
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..)?.chars().count() + 1,
        })
    }
}

/// The text of a file, which all problems in it share.
#[derive(Debug, Clone)]
pub struct Text(Arc<NamedText>);

#[derive(Debug)]
struct NamedText {
    file: String,
    text: String,
    /// The byte at which each line begins, found when a place is first asked for.
    lines: OnceLock<Vec<usize>>,
}

impl Text {
    /// Keeps the text of a file, which problems name as `file`.
    pub fn new(file: impl Into<String>, text: impl Into<String>) -> Self {
        Self(Arc::new(NamedText { file: file.into(), text: text.into(), lines: OnceLock::new() }))
    }

    /// The text itself.
    pub(crate) fn text(&self) -> &str {
        &self.0.text
    }

    /// The file.
    pub(crate) fn name(&self) -> &str {
        &self.0.file
    }

    fn lines(&self) -> &[usize] {
        let text = self.text();
        self.0.lines.get_or_init(|| {
            let newlines = text.match_indices('\n').map(|(newline, _)| newline + 1);
            std::iter::once(0).chain(newlines).collect()
        })
    }

    /// The number of the line that holds a byte, from 0, and where it begins.
    fn line(&self, offset: usize) -> (usize, usize) {
        let line = self.lines().partition_point(|start| *start <= offset).saturating_sub(1);
        (line, self.lines().get(line).copied().unwrap_or_default())
    }

    /// The number of the line that holds a byte, from 1.
    pub(crate) fn line_number(&self, offset: usize) -> usize {
        self.line(offset).0 + 1
    }

    /// Returns whether a line in which a place is, or one beside it, is longer than [`LONGEST_LINE`]. Only
    /// the beginnings of lines are looked at, for a line can be as long as the file.
    fn is_near_long(&self, span: &SourceSpan) -> bool {
        let (first, _) = self.line(span.offset());
        let (last, _) = self.line(span.offset() + span.len());
        let is_long = |line: usize| {
            let end = self.lines().get(line + 1).map_or(self.text().len(), |next| next - 1);
            self.lines().get(line).is_some_and(|start| end - start > LONGEST_LINE)
        };
        (first.saturating_sub(1)..=last + 1).any(is_long)
    }

    fn location(&self, offset: usize) -> Option<Location> {
        let (line, start) = self.line(offset);
        let column = self.text().get(start..offset)?.chars().count() + 1;
        Some(Location { line: line + 1, column })
    }
}

/// Reads no more than the lines that are asked for, where the text alone would be read from its start.
impl SourceCode for Text {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        lines_before: usize,
        lines_after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let (line, _) = self.line(span.offset());
        // One line more, for what is shown of a place may begin with the end of the line before it.
        let first = line.saturating_sub(lines_before + 1);
        let start = self.lines().get(first).copied().unwrap_or_default();
        let (last, _) = self.line(span.offset() + span.len());
        let end = self.lines().get(last + lines_after + 2).copied();
        let end = end.unwrap_or(self.text().len());
        let shown = self.text().get(start..end).ok_or(MietteError::OutOfBounds)?;
        let in_shown = (span.offset() - start, span.len()).into();
        let read = shown.read_span(&in_shown, lines_before, lines_after)?;
        let at = (read.span().offset() + start, read.span().len()).into();
        Ok(Box::new(MietteSpanContents::new_named(
            self.name().to_owned(),
            read.data(),
            at,
            read.line() + first,
            read.column(),
            read.line_count() + first,
        )))
    }
}

impl Problem {
    /// Makes a problem of the file as a whole.
    pub fn of_file(file: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            source: None,
            message: shortened(message.into()),
            labels: Vec::new(),
            help: None,
            record: None,
        }
    }

    /// Makes a problem at a place in the text of a file.
    pub fn at(text: &Text, span: impl Into<SourceSpan>, message: impl Into<String>) -> Self {
        Self::of_file(text.name(), message).or_at(text, span)
    }

    /// The same problem with an advice on what to do.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(shortened(help.into()));
        self
    }

    /// The same problem with a record at the end of the advice, such as a request that shows the fault.
    #[must_use]
    pub fn with_record(mut self, record: impl Into<String>) -> Self {
        let record = record.into();
        let help = self.help.unwrap_or_default();
        self.help = Some(format!("{help} {record}"));
        self.record = Some(record.into_boxed_str());
        self
    }

    /// The same problem, with what found it before its message.
    #[must_use]
    pub fn found_by(mut self, finder: &str) -> Self {
        self.message = format!("{finder}: {}", self.message);
        self
    }

    /// The same problem at that place of the text, unless it already has a place.
    #[must_use]
    pub(crate) fn or_at(mut self, text: &Text, span: impl Into<SourceSpan>) -> Self {
        if self.labels.is_empty() {
            self.source = Some(text.clone());
            self.labels = vec![LabeledSpan::new_with_span(None, span)];
        }
        self
    }

    fn with_labels(mut self, labels: Vec<LabeledSpan>) -> Self {
        self.labels = labels;
        self
    }

    /// Returns the problems that a library reports of a file's text, with its own labels and advice.
    #[must_use]
    pub fn of_diagnostic(text: &Text, diagnostic: &dyn Diagnostic) -> Vec<Self> {
        let mut message = diagnostic.to_string();
        let mut source = diagnostic.source();
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            if !message.contains(&cause_text) {
                message = format!("{message}: {cause_text}");
            }
            source = cause.source();
        }
        let labels = diagnostic.labels().map(Iterator::collect).unwrap_or_default();
        let mut problem = Self::of_file(text.name(), message).with_labels(labels);
        problem.source = Some(text.clone());
        problem.help = diagnostic.help().map(|help| shortened(help.to_string()));
        let related = diagnostic.related().into_iter().flatten();
        std::iter::once(problem)
            .chain(related.flat_map(|diagnostic| Self::of_diagnostic(text, diagnostic)))
            .collect()
    }

    /// The file, relative to the policies folder.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the fault.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Returns the advice.
    #[must_use]
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Returns the text of the file as it was read, if the problem has a place in it.
    #[must_use]
    pub fn source_text(&self) -> Option<&str> {
        self.source.as_ref().map(Text::text)
    }

    /// Returns its place, if it has one.
    #[must_use]
    pub fn location(&self) -> Option<Location> {
        self.source.as_ref()?.location(self.labels.first()?.offset())
    }

    /// Renders the problem with its piece of source and a caret, for a terminal or a log. Where a
    /// line of the source is very long, without it. A record stands unbroken on the last line.
    #[must_use]
    pub fn render(&self) -> String {
        if let (Some(record), Some(help)) = (&self.record, &self.help) {
            let help = help.strip_suffix(&**record).unwrap_or(help).trim_end();
            let help = Some(help.to_owned()).filter(|help| !help.is_empty());
            let rest = Self { help, record: None, ..self.clone() };
            return format!("{}{record}\n", rest.render());
        }
        let mut text = String::new();
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor());
        if !self.has_long_line() && handler.with_width(120).render_report(&mut text, self).is_ok() {
            return text;
        }
        match &self.help {
            Some(help) => format!("{self}\n  help: {help}\n"),
            None => format!("{self}\n"),
        }
    }

    /// Returns whether a line that would be shown is too long for a terminal, and for miette, which
    /// panics at a column beyond 65,535.
    fn has_long_line(&self) -> bool {
        let source = self.source.as_ref();
        let is_near_long = |span: &SourceSpan| source.is_some_and(|text| text.is_near_long(span));
        self.labels.iter().any(|label| is_near_long(label.inner()))
    }
}

/// Cuts a message that quotes something very long, such as an id.
fn shortened(message: String) -> String {
    match message.char_indices().nth(LONGEST_MESSAGE) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message,
    }
}

/// Writes file, line, column, message and help; the last four may be null.
impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let location = self.location();
        let mut fields = serializer.serialize_struct("Problem", 5)?;
        fields.serialize_field("file", self.file())?;
        fields.serialize_field("line", &location.map(|location| location.line))?;
        fields.serialize_field("column", &location.map(|location| location.column))?;
        fields.serialize_field("message", self.message())?;
        fields.serialize_field("help", &self.help())?;
        fields.end()
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(Location { line, column }) = self.location() {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source.as_ref().map(|source| source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        if self.labels.is_empty() {
            return None;
        }
        Some(Box::new(self.labels.iter().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_in_a_long_line_is_shown_without_the_line() {
        let text = format!("{}x", " ".repeat(100_000));
        let problem = Problem::at(&Text::new("main/a.cedar", text), (100_000, 1), "wrong");
        let rendered = problem.with_help("mend it").render();
        assert_eq!(rendered, "main/a.cedar:1:100001: wrong\n  help: mend it\n");
        let problem = Problem::at(&Text::new("main/a.cedar", "permit x"), (7, 1), "wrong");
        assert!(problem.render().contains("permit x"));
    }

    #[test]
    fn a_problem_beside_a_long_line_is_shown_without_lines() {
        let long = |length| "x".repeat(length);
        let at = |text: &str, place: usize| {
            Problem::at(&Text::new("a", text), (place, 1), "wrong").has_long_line()
        };
        for (length, is_long) in [(LONGEST_LINE, false), (LONGEST_LINE + 1, true)] {
            let last = format!("1\n2\n3\n{}", long(length));
            let first = format!("{}\n2\n3", long(length));
            for text in [last.clone(), format!("{last}\n"), format!("{last}\r\n4")] {
                let is_long = is_long || text.contains('\r');
                assert_eq!(at(&text, 4), is_long, "above a line of {length}");
                assert_eq!(at(&text, 6), is_long, "in a line of {length}");
                assert!(!at(&text, 0) && !at(&text, 2), "apart from a line of {length}");
            }
            assert_eq!(at(&first, length + 1), is_long, "below a line of {length}");
            assert!(!at(&first, length + 3));
        }
        assert!(!at("", 0));
    }

    #[test]
    fn a_record_can_be_copied_from_a_rendered_problem() {
        let record = format!("{{\"text\": \"{}\"}}", "some words ".repeat(50));
        let problem =
            Problem::of_file("main", "wrong").with_help("ask again:").with_record(&record);
        assert_eq!(problem.help(), Some(format!("ask again: {record}").as_str()));
        let rendered = problem.render();
        assert!(rendered.contains("ask again:") && rendered.ends_with(&format!("{record}\n")));
        assert_eq!(rendered.matches("some words").count(), 50);
    }

    #[test]
    fn a_message_that_quotes_something_very_long_is_cut() {
        let problem =
            Problem::of_file("a", "\u{e4}".repeat(1_000_000)).with_help("b".repeat(20_000));
        assert_eq!(problem.message().chars().count(), LONGEST_MESSAGE + 1);
        assert_eq!(problem.help().map(|help| help.chars().count()), Some(LONGEST_MESSAGE + 1));
    }

    #[test]
    fn a_problem_is_shown_as_in_its_whole_text() {
        let lines: Vec<_> = (1..=50).map(|n| format!("line \u{e4} {n}")).collect();
        for text in [lines.join("\n"), lines.join("\r\n"), String::new(), "\n\n".to_owned()] {
            let shared = Text::new("a", text.as_str());
            let whole = miette::NamedSource::new("a", text.clone());
            let places = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
            for at in places {
                assert_eq!(shared.location(at), Location::in_text(&text, at), "{at}");
                for (length, around) in [(0, 0), (1, 1), (12, 1), (30, 3)] {
                    let span = (at, length).into();
                    let read = |source: &dyn SourceCode| {
                        let read = source.read_span(&span, around, around).ok()?;
                        let (data, at) = (read.data().to_owned(), *read.span());
                        Some((data, at, read.line(), read.column(), read.name().map(str::to_owned)))
                    };
                    assert_eq!(read(&shared), read(&whole), "{at}, {length}");
                }
            }
        }
    }
}
