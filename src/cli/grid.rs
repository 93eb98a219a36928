//! Tables and paragraphs in a width: the last column takes what is left and goes on beneath itself, or beneath the row where too little is left.
//! It refuses to cut a word's letters off, and to lay anything out by a terminal that is not there.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};

use crate::model::problem::Severity;

/// How many columns there are; none where the answer goes to a file or a program, which takes whole lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Width(pub Option<usize>);

impl Width {
    /// What was asked for, or the terminal's.
    pub fn of(asked: Option<u16>) -> Self {
        let terminal = || terminal_size::terminal_size().map(|(columns, _)| columns.0);
        Self(asked.or_else(terminal).map(|columns| usize::from(columns).max(40)))
    }
}

/// With less than this the last column goes beneath the row.
const LEAST_LAST: usize = 28;

/// A table.
#[derive(Debug, Default)]
pub struct Grid {
    head: Vec<&'static str>,
    numbers: Vec<bool>,
    rows: Vec<(Style, Vec<String>)>,
}

impl Grid {
    /// Headings; one that starts with `>` heads a column of numbers.
    pub fn new(head: &[&'static str]) -> Self {
        Self {
            head: head.iter().map(|name| name.trim_start_matches('>')).collect(),
            numbers: head.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// One row; missing cells are empty.
    pub fn row(&mut self, style: Style, cells: Vec<String>) {
        self.rows.push((style, cells.iter().map(|cell| plain(cell)).collect()));
    }

    /// The table, each line indented so far.
    pub fn draw(&self, indent: usize, width: Width) -> String {
        let columns = self.head.len();
        let cell = |row: &[String], column: usize| row.get(column).map_or(String::new(), Clone::clone);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.rows.iter().map(|(_, row)| cell(row, column).chars().count());
                cells.chain([self.head[column].chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let Some(last) = columns.checked_sub(1) else { return String::new() };
        let up_to = |column: usize| indent + widths[..column].iter().map(|width| width + 2).sum::<usize>();
        let room = width.0.unwrap_or(usize::MAX);
        let whole = up_to(last).saturating_add(widths[last]) <= room;
        let beside = !whole && !self.numbers[last] && up_to(last) + LEAST_LAST <= room;
        // What stays in the row; the rest goes beneath it.
        let kept = match whole || beside {
            true => last,
            false => (1..=last).rev().find(|column| up_to(*column) <= room + 2).unwrap_or(1),
        };

        let mut out = String::new();
        let heads: Vec<String> = self.head.iter().map(|name| name.to_uppercase()).collect();
        let shown = if whole || beside { &heads[..] } else { &heads[..kept] };
        let dim = Style::new().dimmed();
        let _ = writeln!(out, "{dim}{}{dim:#}", self.line(shown, &widths, indent).trim_end());
        for (style, row) in &self.rows {
            let cells: Vec<String> = (0..columns).map(|column| cell(row, column)).collect();
            let lines = if whole {
                vec![self.line(&cells, &widths, indent)]
            } else if beside {
                let before = up_to(last);
                let mut text = wrap(&cells[last], before, width);
                let first = text.first().map(|line| line.trim_start().to_owned()).unwrap_or_default();
                let head = format!("{:<before$}{first}", self.line(&cells[..last], &widths, indent));
                text.splice(..text.len().min(1), [head]);
                text
            } else {
                let rest: Vec<&str> =
                    cells[kept..].iter().map(String::as_str).filter(|cell| !cell.is_empty()).collect();
                let mut lines = vec![self.line(&cells[..kept], &widths, indent)];
                lines.extend(wrap(&rest.join(": "), indent + 4, width));
                lines
            };
            for line in lines {
                let _ = writeln!(out, "{style}{}{style:#}", line.trim_end());
            }
        }
        out
    }

    fn line(&self, cells: &[String], widths: &[usize], indent: usize) -> String {
        let mut line = " ".repeat(indent);
        for (column, cell) in cells.iter().enumerate() {
            let width = widths[column];
            let _ =
                if self.numbers[column] { write!(line, "{cell:>width$}  ") } else { write!(line, "{cell:<width$}  ") };
        }
        line
    }
}

/// Without control characters: names come from processes and pods, and a terminal obeys what it is shown.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() && letter != '\n' { '?' } else { letter }).collect()
}

/// A paragraph, every line indented so far. Words longer than a line stay whole.
pub fn wrap(text: &str, indent: usize, width: Width) -> Vec<String> {
    let room = width.0.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    // A number and its percent sign stay together.
    let text = plain(text).replace(" %", "\u{1}%");
    for word in text.split([' ', '\n', '\t']).filter(|word| !word.is_empty()) {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines.into_iter().map(|line| format!("{}{}", " ".repeat(indent), line.replace('\u{1}', " "))).collect()
}

/// `label     text`, the text going on beneath itself.
pub fn labelled(label: &str, text: &str, width: Width) -> String {
    const LABEL: usize = 14;
    let lines = wrap(text, LABEL, width);
    let first = lines.first().map_or("", |line| line.trim_start());
    let mut out = format!("{:<LABEL$}{first}\n", format!("  {label}"));
    for line in lines.iter().skip(1) {
        let _ = writeln!(out, "{line}");
    }
    out
}

/// A severity's colour.
pub fn colour(severity: Severity) -> Style {
    match severity {
        Severity::Critical => AnsiColor::Red.on_default().bold(),
        Severity::Warning => AnsiColor::Yellow.on_default(),
        Severity::Advice => Style::new(),
    }
}

/// A length of time in its two largest units.
pub fn span(ms: i64) -> String {
    let seconds = (ms / 1000).max(0);
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |more: i64, large: &str, less: i64, small: &str| match less {
        0 => format!("{more} {large}"),
        less => format!("{more} {large} {less} {small}"),
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => two(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes) => two(hours, "h", minutes, "min"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}

/// Bytes per second for a person.
pub fn rate(bytes: f64) -> String {
    const UNITS: [(&str, f64); 3] = [("GiB/s", 1_073_741_824.0), ("MiB/s", 1_048_576.0), ("KiB/s", 1024.0)];
    match UNITS.into_iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", bytes / unit),
        None => format!("{bytes:.0} B/s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_wider_than_asked_and_no_word_is_lost() {
        let mut grid = Grid::new(&["kind", ">n", "why"]);
        let why = "a rather long sentence that says why it is so and goes on for a while, with a-very-long-word-in-it";
        grid.row(Style::new(), vec!["EbsInstanceThroughputExceeded".into(), "3".into(), why.into()]);
        grid.row(Style::new(), vec!["B".into(), "12345".into(), "short".into()]);
        for columns in [40, 60, 80, 120] {
            let text = anstream::adapter::strip_str(&grid.draw(2, Width(Some(columns)))).to_string();
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}:\n{text}");
            let words: Vec<_> = text.split_whitespace().collect();
            assert!(why.split(' ').all(|word| words.contains(&word)), "{columns}:\n{text}");
        }
        let text = anstream::adapter::strip_str(&grid.draw(0, Width(None))).to_string();
        assert_eq!(text.lines().count(), 3, "{text}");
    }

    #[test]
    fn no_name_commands_the_terminal() {
        let mut grid = Grid::new(&["a", "b"]);
        grid.row(Style::new(), vec!["x\u{1b}[2Jy".into(), "z\u{7}".into()]);
        let text = grid.draw(0, Width(None)) + &wrap("\u{1b}]0;t\u{9b}", 0, Width(None)).concat();
        assert!(
            text.contains("x?[2Jy") && !text.contains('\u{7}') && !text.contains("\u{1b}]") && !text.contains('\u{9b}')
        );
    }

    #[test]
    fn times_and_rates_read_well() {
        let spans = [
            (59_999, "59 s"),
            (240_000, "4 min"),
            (250_000, "4 min 10 s"),
            (3_660_000, "1 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ];
        for (ms, text) in spans {
            assert_eq!(span(ms), text);
        }
        assert_eq!(
            (rate(0.0), rate(2048.0), rate(7_801_405.44)),
            ("0 B/s".into(), "2.0 KiB/s".into(), "7.4 MiB/s".into())
        );
    }
}
