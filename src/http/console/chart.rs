//! Line charts of the last 15 minutes, drawn here as SVG.

use std::fmt::Write as _;

use super::traffic::{INTERVAL, SPAN};

/// The size of a chart, in units of its own.
pub(super) const WIDTH: f64 = 720.0;
pub(super) const HEIGHT: f64 = 180.0;
/// Room at the left for the numbers, at the bottom for the times, at the top and right.
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 22.0;
const TOP: f64 = 10.0;
const RIGHT: f64 = 8.0;

/// The greatest value that is drawn as what it is, so that every scale has an end.
const GREATEST: f64 = 1e15;

/// A chart.
#[derive(Debug)]
pub(super) struct Chart {
    pub id: &'static str,
    pub title: &'static str,
    /// The meaning of the chart, in a sentence for those who do not see it.
    pub summary: String,
    pub lines: Vec<ChartLine>,
    pub y_marks: Vec<(String, String)>,
    pub x_marks: Vec<(String, &'static str)>,
}

/// A line of a chart.
#[derive(Debug)]
pub(super) struct ChartLine {
    pub name: &'static str,
    pub class: &'static str,
    /// The path of the line, in the words of SVG.
    pub path: String,
}

/// The scale by which values become heights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    Logarithmic,
}

/// A line as numbers: seconds before now, and the value then.
pub(super) struct Series<'a> {
    pub name: &'static str,
    pub class: &'static str,
    pub points: &'a [(f64, Option<f64>)],
}

impl Chart {
    /// Draws lines; `label` writes a value at the side.
    pub fn new(
        id: &'static str,
        title: &'static str,
        summary: String,
        scale: Scale,
        series: &[Series<'_>],
        label: fn(f64) -> String,
    ) -> Self {
        let values = || {
            let values = series.iter().flat_map(|one| one.points).filter_map(|(_, value)| *value);
            values.map(|value| value.min(GREATEST))
        };
        let (low, high) = match scale {
            Scale::Linear => (0.0, nice(values().fold(0.0, f64::max).max(1.0))),
            Scale::Logarithmic => {
                let positive = || values().filter(|value| *value > 0.0);
                let low = positive().fold(f64::INFINITY, f64::min).min(1e-4);
                let high = positive().fold(0.0, f64::max).max(1e-3);
                (10f64.powf(low.log10().floor()), 10f64.powf(high.log10().ceil()))
            }
        };
        let y = move |value: f64| {
            let value = value.min(GREATEST);
            let share = match scale {
                Scale::Linear => (value - low) / (high - low),
                Scale::Logarithmic => (value.max(low) / low).log10() / (high / low).log10(),
            };
            HEIGHT - BOTTOM - share.clamp(0.0, 1.0) * (HEIGHT - BOTTOM - TOP)
        };
        let marks: Vec<f64> = match scale {
            Scale::Linear => (0..=2).map(|part| high * f64::from(part) / 2.0).collect(),
            Scale::Logarithmic => {
                let decades = (high / low).log10().round().clamp(1.0, 12.0) as i32;
                (0..=decades).map(|power| low * 10f64.powi(power)).collect()
            }
        };
        let lines = series.iter().map(|one| ChartLine {
            name: one.name,
            class: one.class,
            path: path(one.points, &y),
        });
        let minutes = [(15.0, "15 min ago"), (10.0, "10"), (5.0, "5"), (0.0, "now")];
        Self {
            id,
            title,
            summary,
            lines: lines.collect(),
            y_marks: marks
                .into_iter()
                .map(|mark| (format!("{:.1}", y(mark)), label(mark)))
                .collect(),
            x_marks: minutes
                .into_iter()
                .map(|(at, text)| (format!("{:.1}", x(at * 60.0)), text))
                .collect(),
        }
    }

    /// Returns where the lines begin and end.
    pub fn left(&self) -> f64 {
        LEFT
    }

    pub fn right(&self) -> f64 {
        WIDTH - RIGHT
    }

    pub fn bottom(&self) -> f64 {
        HEIGHT - 6.0
    }
}

fn x(seconds_ago: f64) -> f64 {
    let share = 1.0 - (seconds_ago / SPAN.as_secs_f64()).clamp(0.0, 1.0);
    LEFT + share * (WIDTH - LEFT - RIGHT)
}

/// Writes a line, broken where there is no value or a sample is missing.
fn path(points: &[(f64, Option<f64>)], y: &dyn Fn(f64) -> f64) -> String {
    let mut path = String::new();
    let mut last: Option<f64> = None;
    for (ago, value) in points {
        let Some(value) = value else {
            last = None;
            continue;
        };
        let is_next = last.is_some_and(|last| last - ago < 3.0 * INTERVAL.as_secs_f64());
        let (command, x, y) = (if is_next { 'L' } else { 'M' }, x(*ago), y(*value));
        // A point by itself is a short line, so that it can be seen.
        let dot = if is_next { "" } else { "h1" };
        let _ = write!(path, "{command}{x:.1} {y:.1}{dot}");
        last = Some(*ago);
    }
    path
}

/// Returns the next number of the form 1, 2 or 5 times a power of ten.
fn nice(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0];
    steps.into_iter().map(|step| step * power).find(|step| *step >= value).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn every_point_lies_in_the_chart_whatever_the_values() {
        let odd = [0.0, 1e-9, 0.3, 7.0, 1e12, f64::MAX];
        for scale in [Scale::Linear, Scale::Logarithmic] {
            let points: Vec<_> = odd
                .iter()
                .enumerate()
                .map(|(at, y)| (900.0 - at as f64 * 10.0, Some(*y)))
                .collect();
            let series = [Series { name: "a", class: "a", points: &points }];
            let chart = Chart::new("c", "c", String::new(), scale, &series, |y| y.to_string());
            let path = chart.lines.first().unwrap().path.replace("h1", "");
            let numbers = path.split(['M', 'L', ' ']).filter(|part| !part.is_empty());
            let numbers: Vec<f64> = numbers.map(|part| part.parse().unwrap()).collect();
            assert_eq!(numbers.len(), 2 * odd.len(), "{path}");
            for pair in numbers.chunks(2) {
                assert!((LEFT..=WIDTH).contains(&pair[0]) && (0.0..=HEIGHT).contains(&pair[1]));
            }
        }
    }

    #[test]
    fn a_gap_breaks_the_line() {
        let points = [(60.0, Some(1.0)), (50.0, Some(1.0)), (40.0, None), (30.0, Some(1.0))];
        let path = path(&points, &|y| y);
        assert_eq!(path.matches('M').count(), 2, "{path}");
    }
}
