//! The figures of all participants in one table.

use crate::outcome::{Outcome, PersonOutcome};

/// What the columns are called, the first of which names the participant.
pub const HEADINGS: [&str; 9] = [
    "who",
    "on",
    "pictures",
    "wrong",
    "kbit/s",
    "link's kbit/s",
    "freezes",
    "longest freeze ms",
    "delay ms, half / 95 %",
];

/// What became of one participant.
pub struct Row {
    pub name: String,
    pub cells: Vec<String>,
}

/// A row for each participant who watched anything.
pub fn rows(outcome: &Outcome) -> Vec<Row> {
    outcome.people.iter().filter(|person| !person.windows.is_empty()).map(row).collect()
}

fn row(person: &PersonOutcome) -> Row {
    let shown: usize = person.windows.iter().map(|window| window.shown.len()).sum();
    let wrong: u64 = person.windows.iter().map(|window| window.wrong).sum();
    let count = person.samples.len().max(1) as u64;
    let mean = |sum: u64| grouped(sum / count / 1000);
    let longest = person.freezes().map(|freeze| (freeze.to - freeze.from).as_millis()).max();
    let delay = |share: f64| person.delay(share).map_or("-".into(), |delay| delay.as_millis().to_string());
    let cells = vec![
        person.device.clone(),
        grouped(shown as u64),
        wrong.to_string(),
        mean(person.samples.iter().map(|sample| sample.received).sum()),
        mean(person.samples.iter().map(|sample| sample.capacity).sum()),
        person.freezes().count().to_string(),
        longest.map_or("-".into(), |longest| longest.to_string()),
        format!("{} / {}", delay(0.5), delay(0.95)),
    ];
    Row { name: person.name.clone(), cells }
}

/// The table for a terminal.
pub fn print(outcome: &Outcome) {
    let rows = rows(outcome);
    let cells = |row: &Row| [row.name.clone()].into_iter().chain(row.cells.clone()).collect::<Vec<_>>();
    let lines: Vec<Vec<String>> =
        [HEADINGS.map(String::from).to_vec()].into_iter().chain(rows.iter().map(cells)).collect();
    let wide = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADINGS.len()).map(wide).collect();
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> = (line.iter().zip(&widths).enumerate())
            .map(
                |(column, (cell, &width))| {
                    if column < 2 { format!("{cell:width$}") } else { format!("{cell:>width$}") }
                },
            )
            .collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("| {} |", rule.join(" | "));
        }
    }
}

/// A number with a comma between groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
