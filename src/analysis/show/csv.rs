//! A matrix as CSV.

use super::notes::word;
use crate::analysis::Matrix;

/// Writes a matrix in the form of `matrix.csv`.
///
/// # Errors
/// Those of the writer, of which none is expected.
pub fn matrix_as_csv(matrix: &Matrix) -> Result<String, csv::Error> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let head = ["scope", "action", "label"].map(str::to_owned);
    writer.write_record(head.iter().chain(&matrix.columns))?;
    for row in &matrix.rows {
        let mut record = vec![row.scope.as_str(), &row.action, &row.label];
        record.extend(
            matrix
                .columns
                .iter()
                .map(|column| matrix.cell(row, column).map(word).unwrap_or_default()),
        );
        writer.write_record(record)?;
    }
    let bytes = writer.into_inner().map_err(|error| error.into_error())?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
