//! A matrix as JSON.

use serde_json::{Value as Json, json};

use super::notes::word;
use crate::analysis::{Cell, CellPolicy, Matrix};

/// Writes a matrix as a JSON value: the columns, and the rows with their cells.
#[must_use]
pub fn matrix_as_json(matrix: &Matrix) -> Json {
    let rows: Vec<_> = matrix
        .rows
        .iter()
        .map(|row| {
            let cells = matrix.columns.iter().filter_map(|column| {
                matrix.cell(row, column).map(|cell| (column.clone(), cell_as_json(cell)))
            });
            json!({
                "scope": row.scope,
                "action": row.action,
                "label": row.label,
                "cells": cells.collect::<serde_json::Map<_, _>>(),
            })
        })
        .collect();
    json!({ "columns": matrix.columns, "rows": rows })
}

fn cell_as_json(cell: &Cell) -> Json {
    let policies = |policies: &[CellPolicy]| -> Vec<Json> {
        policies
            .iter()
            .map(|policy| {
                let open: Vec<_> = policy
                    .open
                    .iter()
                    .map(|clause| json!({ "text": clause.text, "unless": clause.unless }))
                    .collect();
                json!({ "id": policy.id, "doc": policy.doc, "open_clauses": open })
            })
            .collect()
    };
    json!({
        "value": word(cell),
        "proved": cell.is_proved(),
        "not_proved_because": cell.unsettled,
        "policies": policies(&cell.policies),
        "restrictions": policies(&cell.restrictions),
        "exempt": cell.exempt,
    })
}
