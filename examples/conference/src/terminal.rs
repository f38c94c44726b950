//! What a terminal shows while the call goes on.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use layercast::select::Reason;
use layercast_examples::{Result, progress};
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Gauge, Paragraph, Sparkline};

use crate::call::{Call, SAMPLE};
use crate::outcome::{Outcome, PersonOutcome, WindowOutcome, explain};
use crate::person::Person;

/// From one drawing to the next at least.
const REDRAW: Duration = Duration::from_millis(60);

/// Holds the call with a bar, which is only drawn where it can be.
pub fn run_with_bar(call: Call) -> Result<Outcome> {
    let total = (call.end.since_start().as_millis() / SAMPLE.as_millis()) as u64;
    let bar: ProgressBar = progress("tenths of a second of the call", Some(total));
    let outcome = call.run(|_| {
        bar.inc(1);
        Ok(true)
    });
    bar.finish_and_clear();
    outcome
}

/// Holds the call and draws it. `q` and Ctrl+C end it.
pub fn run(call: Call) -> Result<Outcome> {
    let mut terminal = ratatui::try_init()?;
    let mut drawn: Option<Instant> = None;
    let outcome = call.run(|call| {
        if drawn.is_some_and(|drawn| drawn.elapsed() < REDRAW) {
            return Ok(true);
        }
        drawn = Some(Instant::now());
        terminal.draw(|frame| draw(frame, call))?;
        Ok(!is_ended()?)
    });
    ratatui::restore();
    outcome
}

fn is_ended() -> Result<bool> {
    while event::poll(Duration::ZERO)? {
        if let Event::Key(key) = event::read()? {
            let interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if interrupt || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn draw(frame: &mut Frame<'_>, call: &Call) {
    let rows = call
        .people
        .iter()
        .map(|person| Constraint::Length(1 + visible(&person.outcome).count().max(1) as u16));
    let heights: Vec<Constraint> = [Constraint::Length(1), Constraint::Length(1 + call.streams.len() as u16)]
        .into_iter()
        .chain(rows)
        .collect();
    let areas = Layout::vertical(heights).split(frame.area());
    let (now, end) = (call.now.since_start().as_secs_f64(), call.end.since_start().as_secs_f64());
    let note = call.outcome.notes.last().map_or("", |(_, note)| note);
    let gauge = Gauge::default()
        .ratio((now / end.max(0.1)).clamp(0.0, 1.0))
        .label(format!("{now:.1} of {end:.0} s   {note}"))
        .gauge_style(Style::new().fg(Color::Blue));
    frame.render_widget(gauge, areas[0]);
    frame.render_widget(Paragraph::new(senders(call)), areas[1]);
    for (person, area) in call.people.iter().zip(areas.iter().skip(2)) {
        draw_person(frame, call, person, *area);
    }
}

/// What is coded of each stream.
fn senders(call: &Call) -> Vec<Line<'static>> {
    let lines = call.streams.iter().map(|stream| {
        let wanted = match stream.sent.wanted.last() {
            None => format!("all layers of {}", stream.mode),
            Some((_, None)) => "nothing: nobody watches".into(),
            Some((_, Some(layer))) => format!("up to {layer} of {}", stream.mode),
        };
        Line::from(vec![
            format!("  {:10}", stream.name).bold(),
            format!(
                "codes {wanted}, {} kB sent, {} key pictures",
                stream.sent.bytes / 1000,
                stream.sent.key_pictures
            )
            .into(),
        ])
    });
    lines.collect()
}

/// The windows that can be seen now.
fn visible(person: &PersonOutcome) -> impl Iterator<Item = &WindowOutcome> {
    person.windows.iter().filter(|window| matches!(window.visible.last(), Some((_, None, _))))
}

fn draw_person(frame: &mut Frame<'_>, call: &Call, person: &Person, area: Rect) {
    let outcome = &person.outcome;
    let title = match person.left {
        Some(_) => format!(" {} was removed ", outcome.name),
        None => format!(" {}, {} ", outcome.name, outcome.device),
    };
    let block = Block::new().borders(Borders::TOP).title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [left, right] = Layout::horizontal([Constraint::Fill(3), Constraint::Fill(2)]).areas(inner);
    let lines = visible(outcome).map(|window| line(call, window));
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), left);
    let [figures, bars] = Layout::horizontal([Constraint::Length(24), Constraint::Fill(1)]).areas(right);
    if let Some(sample) = outcome.samples.last().filter(|_| person.left.is_none()) {
        let text = format!("{:>6} of {:>6} kbit/s", sample.received / 1000, sample.capacity / 1000);
        frame.render_widget(Paragraph::new(text), figures);
    }
    let wide = usize::from(bars.width);
    let from = outcome.samples.len().saturating_sub(wide);
    let received: Vec<u64> = outcome.samples[from..].iter().map(|sample| sample.received).collect();
    frame.render_widget(Sparkline::default().data(&received).style(Style::new().fg(Color::Cyan)), bars);
}

/// What is seen in a window, and why it is no more.
fn line(call: &Call, window: &WindowOutcome) -> Line<'static> {
    let name = format!("{:10}", call.streams[window.stream].name);
    let Some(shown) = window.shown.last() else { return Line::from(vec![name.bold(), "nothing yet".dim()]) };
    let colour = [Color::LightBlue, Color::Blue, Color::Magenta][usize::from(shown.layer.spatial_id.min(2))];
    let delay = (shown.at - shown.captured).as_millis();
    let mut spans: Vec<Span<'_>> = vec![
        name.bold(),
        format!("{:5}", shown.layer.to_string()).fg(colour),
        format!("{:9} {delay:>4} ms  ", shown.size.to_string()).into(),
    ];
    if let Some(decided) = window.decisions.last() {
        let style = if decided.reason == Reason::Network { Color::Yellow } else { Color::Gray };
        spans.push(explain(decided.reason).fg(style));
    }
    Line::from(spans)
}
