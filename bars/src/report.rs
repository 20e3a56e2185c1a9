//! The table a bar prints: what was measured, the bar, and whether it is met.
//!
//! At `--small` scale figures are printed for the eye only: the verdict then rests on [`Report::check`] alone.

use std::fmt::Write;

/// Which side of the bar is the good one.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    AtMost(f64),
    AtLeast(f64),
}

struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    bar: Option<Bar>,
}

/// Rows and checks of one bar.
pub struct Report {
    title: String,
    small: bool,
    rows: Vec<Row>,
    notes: Vec<String>,
    wrong: Vec<String>,
}

impl Report {
    pub fn new(title: impl Into<String>, small: bool) -> Self {
        Self {
            title: title.into(),
            small,
            rows: Vec::new(),
            notes: Vec::new(),
            wrong: Vec::new(),
        }
    }

    /// A figure without a bar.
    pub fn figure(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        self.row(name.into(), value, unit, None);
    }

    /// A figure that has to be on the good side of `bar`.
    pub fn bar(&mut self, name: impl Into<String>, value: f64, unit: &'static str, bar: Bar) {
        self.row(name.into(), value, unit, Some(bar));
    }

    fn row(&mut self, name: String, value: f64, unit: &'static str, bar: Option<Bar>) {
        self.rows.push(Row {
            name,
            value,
            unit,
            bar,
        });
    }

    /// A line below the table.
    pub fn note(&mut self, line: impl Into<String>) {
        self.notes.push(line.into());
    }

    /// Correctness, which counts at every scale.
    pub fn check(&mut self, holds: bool, what: impl Into<String>) {
        if holds {
            return;
        }
        let what = what.into();
        if !self.wrong.contains(&what) {
            self.wrong.push(what);
        }
    }

    /// Prints the table; whether everything checked is right and, at full scale, every bar is met.
    pub fn print(&self) -> bool {
        print!("{}", self.render());
        self.wrong.is_empty() && (self.small || self.rows.iter().all(Row::met))
    }

    fn render(&self) -> String {
        let width = self.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
        let scale = if self.small {
            " (small, figures mean nothing)"
        } else {
            ""
        };
        let mut out = format!("\n{}{scale}\n", self.title);
        for row in &self.rows {
            let verdict = match (row.bar, self.small) {
                (None, _) | (_, true) => "",
                _ if row.met() => "pass",
                _ => "FAIL",
            };
            let value = figure(row.value);
            let bar = row.bar.map_or(String::new(), bar_text);
            let line = format!(
                "  {:width$}  {value:>12} {:<18} {bar:<14} {verdict}",
                row.name, row.unit
            );
            let _ = writeln!(out, "{}", line.trim_end());
        }
        self.notes.iter().for_each(|note| {
            let _ = writeln!(out, "  {note}");
        });
        self.wrong.iter().for_each(|wrong| {
            let _ = writeln!(out, "  WRONG: {wrong}");
        });
        out
    }
}

impl Row {
    fn met(&self) -> bool {
        match self.bar {
            None => true,
            Some(Bar::AtMost(limit)) => self.value <= limit,
            Some(Bar::AtLeast(limit)) => self.value >= limit,
        }
    }
}

fn bar_text(bar: Bar) -> String {
    match bar {
        Bar::AtMost(limit) => format!("<= {}", figure(limit)),
        Bar::AtLeast(limit) => format!(">= {}", figure(limit)),
    }
}

/// Four digits of small numbers, thousands separated in large ones.
fn figure(value: f64) -> String {
    if value.abs() < 1_000.0 && value.fract() != 0.0 {
        let digits = if value.abs() < 10.0 { 4 } else { 1 };
        return format!("{value:.digits$}");
    }
    if !value.is_finite() {
        return format!("{value}");
    }
    let digits = format!("{:.0}", value.abs());
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push('_');
        }
        out.push(digit);
    }
    if value < 0.0 { format!("-{out}") } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(figure(0.15834), "0.1583");
        assert_eq!(figure(47.25), "47.2");
        assert_eq!(figure(5_000_000.0), "5_000_000");
        assert_eq!(figure(999.0), "999");
        assert_eq!(figure(-1_234.5), "-1_234");
    }

    #[test]
    fn a_missed_bar_fails_at_full_scale_only() {
        for (small, value, good) in [(false, 2.0, false), (true, 2.0, true), (false, 1.0, true)] {
            let mut report = Report::new("t", small);
            report.bar("size", value, "B", Bar::AtMost(1.0));
            assert_eq!(report.print(), good);
            report.check(false, "a sample is missing");
            assert!(!report.print());
        }
        let mut nan = Report::new("t", false);
        nan.bar("rate", f64::NAN, "/s", Bar::AtLeast(1.0));
        assert!(!nan.print());
    }
}
