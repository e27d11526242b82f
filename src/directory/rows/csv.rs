//! Role assignments as CSV.

use std::io::Cursor;

use csv::{Position, Reader, ReaderBuilder, StringRecord};

use super::{
    FileRow, FileRows, RowFileError, RowReader,
    row_reader::{COLUMNS, REQUIRED, RowValues},
};
use crate::directory::Change;

/// Reads `*.assignments.csv`. A row is one line: a quote that is not closed on its line spoils that
/// row only, and not those below it.
pub(super) fn read(reader: &mut RowReader<'_>, text: &str) -> Result<FileRows, RowFileError> {
    let mut records =
        ReaderBuilder::new().has_headers(false).flexible(true).from_reader(Cursor::new(text));
    let mut record = StringRecord::new();
    let unreadable = |error: csv::Error| RowFileError::Header(error.to_string());
    if !records.read_record(&mut record).map_err(unreadable)? {
        return Err(RowFileError::NoHeader);
    }
    let columns = Columns::of(&record).map_err(RowFileError::Header)?;
    let mut read = FileRows::default();
    loop {
        match records.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => return Ok(read),
            Err(error) => return Err(RowFileError::Header(error.to_string())),
        }
        if read.rows.len() + read.problems.count >= reader.rows {
            return Err(RowFileError::TooManyRows(reader.rows));
        }
        let (line, next) = place(text, &record, &records);
        if let Some(next) = next {
            records.seek(next).map_err(unreadable)?;
            read.problems.add(line, "a quote is not closed: a row is one line");
            continue;
        }
        let assignment = columns.values(&record).and_then(|values| reader.assignment(values));
        match assignment {
            Ok(assignment) => read.rows.push(FileRow { line, change: Change::Put(assignment) }),
            Err(message) => read.problems.add(line, message),
        }
    }
}

/// Returns the line of the record that was just read, and the place of its second line if it has
/// several.
fn place(
    text: &str,
    record: &StringRecord,
    records: &Reader<Cursor<&str>>,
) -> (usize, Option<Position>) {
    let Some(start) = record.position() else { return (0, None) };
    let (begin, end) = (start.byte() as usize, records.position().byte() as usize);
    let with_breaks = text.get(begin..end).unwrap_or_default();
    // Line breaks before the record are empty lines, and one after it ends it.
    let written = with_breaks.trim_start_matches(['\r', '\n']);
    let skipped = with_breaks.len() - written.len();
    let empty_lines = with_breaks.get(..skipped).unwrap_or_default().matches('\n').count();
    let line = start.line() + empty_lines as u64;
    let next = written.trim_end_matches(['\r', '\n']).find('\n').map(|newline| {
        let mut next = start.clone();
        next.set_byte((begin + skipped + newline + 1) as u64).set_line(line + 1);
        next
    });
    (line as usize, next)
}

/// The place in a record of each column.
struct Columns {
    places: [Option<usize>; COLUMNS.len()],
    count: usize,
}

impl Columns {
    fn of(header: &StringRecord) -> Result<Self, String> {
        let mut places = [None; COLUMNS.len()];
        for (place, name) in header.iter().enumerate() {
            let column = COLUMNS.iter().position(|column| *column == name);
            let Some(column) = column.and_then(|column| places.get_mut(column)) else {
                let name: String = name.chars().take(80).collect();
                return Err(format!(
                    "there is no column `{name}`: the columns are {}",
                    COLUMNS.join(", ")
                ));
            };
            if column.replace(place).is_some() {
                return Err(format!("the column `{name}` is there twice"));
            }
        }
        let columns = COLUMNS.iter().zip(&places).take(REQUIRED);
        let missing: Vec<_> =
            columns.filter(|(_, place)| place.is_none()).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            return Err(format!("a column is missing: {}", missing.join(", ")));
        }
        Ok(Self { places, count: header.len() })
    }

    fn values<'r>(&self, record: &'r StringRecord) -> Result<RowValues<'r>, String> {
        if record.len() != self.count {
            return Err(format!(
                "the row has {} values, and the header {} columns",
                record.len(),
                self.count
            ));
        }
        let value = |place: Option<usize>| place.and_then(|place| record.get(place));
        Ok(self.places.map(|place| value(place).unwrap_or_default()))
    }
}
