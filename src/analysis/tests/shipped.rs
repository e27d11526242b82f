//! The computed matrices of the shipped stores.

use super::support::all_shipped;
use crate::analysis::Matrix;

#[test]
fn the_computed_matrix_is_the_expected_one_cell_by_cell() {
    let mut differ = Vec::new();
    for store in all_shipped() {
        let matrix = Matrix::of(&store).unwrap();
        assert!(matrix.cells().all(|(_, _, cell)| cell.is_proved()), "{}", store.name());
        assert!(matrix.cells().count() > 100, "{}", store.name());
        for (row, column, cell) in matrix.unexpected() {
            let (computed, expected) = (cell.value, cell.expected);
            differ.push(format!(
                "{} {} {column}: {computed:?}, not {expected:?}",
                store.name(),
                row.action
            ));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
