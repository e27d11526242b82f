//! Medians and tables in Markdown.

use std::fmt::Display;

/// The middle of some numbers.
pub fn median(numbers: impl IntoIterator<Item = f64>) -> f64 {
    let mut numbers: Vec<_> = numbers.into_iter().collect();
    numbers.sort_by(f64::total_cmp);
    match (numbers.len(), numbers.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count % 2 == 1 => numbers[middle],
        (_, middle) => f64::midpoint(numbers[middle - 1], numbers[middle]),
    }
}

/// A table that is printed row by row, so that a long run shows how far it is.
pub struct Table;

impl Table {
    pub fn begin(title: &str, columns: &[&str]) -> Self {
        println!("\n{title}\n");
        let this = Self;
        this.row(columns.iter());
        println!("|---|{}", "---:|".repeat(columns.len() - 1));
        this
    }

    pub fn row(&self, cells: impl IntoIterator<Item = impl Display>) {
        let cells: Vec<_> = cells.into_iter().map(|cell| cell.to_string()).collect();
        println!("| {} |", cells.join(" | "));
    }
}

/// A number with three digits that count, and with commas.
pub fn number(number: f64) -> String {
    let digits = match number.abs() {
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        _ => 2,
    };
    let text = format!("{number:.digits$}");
    let (whole, rest) = text.find('.').map_or((&text[..], ""), |dot| text.split_at(dot));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 && digit.is_ascii_digit() {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}
