//! What each participant saw over time.

use layercast::select::Reason;
use layercast::structure::LayerId;
use layercast::{Size, Time};
use maud::{Markup, html};
use serde_json::json;

use super::{layer, milliseconds, seconds};
use crate::outcome::{FREEZE, Outcome, PersonOutcome, Shown, StreamOutcome, WindowOutcome, explain};

/// Height of the charts, in units of the drawing.
const HEIGHT: f64 = 100.0;
/// Reasons in the order of the legend, each with its class.
const REASONS: [(Reason, &str); 7] = [
    (Reason::Full, "full"),
    (Reason::Window, "window"),
    (Reason::Network, "network"),
    (Reason::Proving, "proving"),
    (Reason::Cpu, "cpu"),
    (Reason::Cap, "cap"),
    (Reason::Loss, "loss"),
];

/// The time of the call as a width.
pub struct Axis {
    end: f64,
    step: u64,
    notes: Vec<f64>,
}

/// Pictures of one layer that follow each other.
struct Run {
    from: Time,
    to: Time,
    layer: LayerId,
    size: Size,
}

pub fn legend() -> Markup {
    html! {
        div.legend {
            span { i.layer.s2 {} "the stream's largest layer" } span { i.layer.s1 {} "half as wide" } span { i.layer.s0 {} "a quarter as wide" }
            span { i.layer.s2.t0 {} "lower frame rate: lower bar" } span { i.freeze {} { "no new picture for more than " (FREEZE.as_millis()) " ms" } }
        }
        div.legend {
            span { "what keeps it from more:" }
            @for (reason, class) in REASONS { span { i.reason.(class) {} (explain(reason)) } }
        }
        div.legend {
            span { i.line.capacity {} "link's capacity" } span { i.line.estimate {} "relay's estimate" } span { i.line.received {} "received" }
            span { i.line.delay {} "from capture to display" }
        }
    }
}

impl Axis {
    pub fn new(outcome: &Outcome) -> Self {
        let end = outcome.duration.as_secs_f64().max(0.1);
        let step = [1, 2, 5, 10, 30, 60, 300].into_iter().find(|step| end / *step as f64 <= 10.0);
        let notes = outcome.notes.iter().map(|(at, _)| at.since_start().as_secs_f64() / end).collect();
        Self { end, step: step.unwrap_or(600), notes }
    }

    /// The place of a time, in percent.
    fn x(&self, time: Time) -> f64 {
        time.since_start().as_secs_f64() * 100.0 / self.end
    }

    fn span(&self, from: Time, to: Time) -> String {
        format!("left:{:.2}%;width:{:.2}%", self.x(from), self.x(to) - self.x(from))
    }

    pub fn ticks(&self) -> Markup {
        let ticks = (0..=(self.end as u64)).step_by(self.step as usize);
        html! {
            div.row { div.name {} div.ticks { @for tick in ticks { span style=(format!("left:{:.2}%", tick as f64 * 100.0 / self.end)) { (tick) " s" } } } }
        }
    }

    fn marks(&self) -> Markup {
        html! { @for note in &self.notes { u.mark style=(format!("left:{:.2}%", note * 100.0)) {} } u.cursor {} }
    }

    /// What the script did.
    pub fn script(&self, outcome: &Outcome) -> Markup {
        html! {
            div.card {
                h3 { "The script" }
                div.row {
                    div.name {}
                    div.track.script {
                        (self.marks())
                        @for (number, (at, note)) in (1..).zip(&outcome.notes) {
                            b style=(format!("left:{:.2}%", self.x(*at))) title=(note) { (number) }
                        }
                    }
                }
                (self.ticks())
                ol.notes { @for (at, note) in &outcome.notes { li { (seconds(*at)) " " (note) } } }
            }
        }
    }

    pub fn person(&self, outcome: &Outcome, at: usize) -> Markup {
        let person = &outcome.people[at];
        let end = person.removed.unwrap_or(Time::ZERO + outcome.duration);
        html! {
            article.card.person data-facts=(self.facts(outcome, person)) {
                h3 { (person.name) " " small { (person.device) } }
                output { "Point at a time to read what was then." }
                @for window in person.windows.iter().filter(|window| !window.visible.is_empty()) {
                    (self.lane(window, &outcome.streams[window.stream], end))
                }
                (self.bitrates(person))
                (self.delays(person))
                (self.ticks())
                details {
                    summary { "Every decision, and why" }
                    div.scroll { table {
                        thead { tr { th { "time" } th { "stream" } th { "layer" } th { "kbit/s" } th { "why no more" } } }
                        tbody { @for (decided, stream) in decisions(outcome, person) {
                            tr {
                                td { (seconds(decided.at)) }
                                td { (stream.name) }
                                td { @if let Some(target) = decided.target { (layer(stream, target)) } @else { "none" } }
                                td { (decided.bitrate / 1000) }
                                td { (explain(decided.reason)) }
                            }
                        } }
                    } }
                }
            }
        }
    }

    fn lane(&self, window: &WindowOutcome, stream: &StreamOutcome, end: Time) -> Markup {
        html! {
            div.row {
                div.name { (stream.name) }
                div.track.lane {
                    @for (from, to) in window.spans(end) { i.visible style=(self.span(from, to)) {} }
                    @for run in runs(&window.shown) {
                        i.layer.(width(stream, run.layer)).(height(stream, run.layer)) style=(self.span(run.from, run.to))
                            title={ (layer(stream, run.layer)) ", " (seconds(run.from)) " to " (seconds(run.to)) } {}
                    }
                    @for freeze in &window.freezes {
                        i.freeze style=(self.span(freeze.from, freeze.to)) title={ "no new picture for " (milliseconds(freeze.to - freeze.from)) } {}
                    }
                    (self.marks())
                }
            }
            div.row.why {
                div.name {}
                div.track.reasons { @for (from, to, reason) in reasons(window, end) {
                    i.reason.(class(reason)) style=(self.span(from, to)) title=(explain(reason)) {}
                } }
            }
        }
    }

    fn bitrates(&self, person: &PersonOutcome) -> Markup {
        let most = person.samples.iter().map(|sample| sample.received).max().unwrap_or(0);
        let most = (most as f64 * 1.25).max(100_000.0);
        let y = |bitrate: u64| HEIGHT * (1.0 - (bitrate as f64 / most).min(1.02));
        let line = |get: fn(&crate::outcome::Sample) -> u64| {
            self.line(person.samples.iter().map(|sample| (sample.at, y(get(sample)))))
        };
        let capacity = line(|sample| sample.capacity);
        let (first, last) = (person.samples.first(), person.samples.last());
        let (left, right) = (first.map_or(0.0, |it| self.x(it.at)), last.map_or(0.0, |it| self.x(it.at)));
        html! {
            div.row {
                div.name { "kbit/s" }
                div.track.chart {
                    span.scale { (format!("{:.0}", most / 1000.0)) }
                    svg viewBox={ "0 0 100 " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" {
                        polygon.capacity points={ (format!("{left:.2},{HEIGHT} ")) (capacity) (format!(" {right:.2},{HEIGHT}")) } {}
                        polyline.estimate points=(line(|sample| sample.estimate)) {}
                        polyline.received points=(line(|sample| sample.received)) {}
                    }
                    (self.marks())
                }
            }
        }
    }

    fn delays(&self, person: &PersonOutcome) -> Markup {
        let shown = || person.windows.iter().flat_map(|window| &window.shown);
        // The latest picture of each tenth of a second.
        let mut latest = vec![None; (self.end * 10.0) as usize + 1];
        for Shown { at, captured, .. } in shown() {
            if let Some(slot) = latest.get_mut((at.since_start().as_millis() / 100) as usize) {
                *slot = (*slot).max(Some((*at - *captured).as_millis() as u64));
            }
        }
        let most = latest.iter().flatten().max().copied().unwrap_or(0).max(100) as f64 * 1.1;
        let points = (0..).zip(&latest).filter_map(|(at, delay): (u64, _)| {
            Some((Time::from_millis(at * 100 + 50), HEIGHT * (1.0 - (*delay)? as f64 / most)))
        });
        html! {
            div.row {
                div.name { "ms late" }
                div.track.chart.low {
                    span.scale { (format!("{most:.0}")) }
                    svg viewBox={ "0 0 100 " (HEIGHT) } preserveAspectRatio="none" aria-hidden="true" { polyline.delay points=(self.line(points)) {} }
                    (self.marks())
                }
            }
        }
    }

    fn line(&self, points: impl Iterator<Item = (Time, f64)>) -> String {
        points.map(|(at, y)| format!("{:.2},{y:.1}", self.x(at))).collect::<Vec<_>>().join(" ")
    }

    /// The layers of a stream that anybody wanted.
    pub fn wanted(&self, stream: &StreamOutcome) -> Markup {
        let end = Time::ZERO + std::time::Duration::from_secs_f64(self.end);
        let wanted = &stream.sent.wanted;
        let ends = wanted.iter().skip(1).map(|(at, _)| *at).chain([end]);
        html! {
            div.row {
                div.name { (stream.name) }
                div.track.lane {
                    @for ((from, target), to) in wanted.iter().zip(ends) {
                        @if let Some(target) = target {
                            i.layer.(width(stream, *target)).(height(stream, *target)) style=(self.span(*from, to)) title={ "up to " (layer(stream, *target)) } {}
                        }
                    }
                    (self.marks())
                }
            }
        }
    }

    /// What the page's script tells of each time.
    fn facts(&self, outcome: &Outcome, person: &PersonOutcome) -> String {
        let at = |time: Time| (time.since_start().as_secs_f64() * 100.0).round() / 100.0;
        let windows: Vec<_> = person
            .windows
            .iter()
            .filter(|window| !window.visible.is_empty())
            .map(|window| {
                let stream = &outcome.streams[window.stream];
                let runs: Vec<_> = runs(&window.shown)
                    .iter()
                    .map(|run| json!([at(run.from), at(run.to), format!("{} {}", run.layer, run.size)]))
                    .collect();
                let why: Vec<_> = window
                    .decisions
                    .iter()
                    .map(|decided| json!([at(decided.at), explain(decided.reason)]))
                    .collect();
                json!({ "name": stream.name, "runs": runs, "why": why })
            })
            .collect();
        let samples: Vec<_> = (person.samples.iter())
            .map(|it| json!([at(it.at), it.received / 1000, it.capacity / 1000, it.estimate / 1000]))
            .collect();
        json!({ "end": self.end, "windows": windows, "samples": samples }).to_string()
    }
}

/// Decisions in the order of their times.
fn decisions<'a>(
    outcome: &'a Outcome,
    person: &'a PersonOutcome,
) -> Vec<(&'a crate::outcome::Decided, &'a StreamOutcome)> {
    let mut decisions: Vec<_> = (person.windows.iter())
        .flat_map(|window| window.decisions.iter().map(|decided| (decided, &outcome.streams[window.stream])))
        .collect();
    decisions.sort_by_key(|(decided, _)| decided.at);
    decisions
}

fn runs(shown: &[Shown]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for &Shown { at, layer, size, .. } in shown {
        match runs.last_mut() {
            Some(run) if at - run.to <= FREEZE && (run.layer, run.size) == (layer, size) => run.to = at,
            Some(run) if at - run.to <= FREEZE => {
                run.to = at;
                runs.push(Run { from: at, to: at, layer, size });
            }
            _ => runs.push(Run { from: at, to: at, layer, size }),
        }
    }
    runs.retain(|run| run.from < run.to);
    runs
}

/// The reasons while the window was to be seen.
fn reasons(window: &WindowOutcome, end: Time) -> Vec<(Time, Time, Reason)> {
    let ends = window.decisions.iter().skip(1).map(|decided| decided.at).chain([end]);
    let decided = window.decisions.iter().zip(ends).filter(|(decided, _)| decided.target.is_some());
    decided.map(|(decided, to)| (decided.at, to.max(decided.at), decided.reason)).collect()
}

fn class(reason: Reason) -> &'static str {
    REASONS.iter().find(|(known, _)| *known == reason).map_or("other", |(_, class)| class)
}

/// The share of the stream's width.
fn width(stream: &StreamOutcome, layer: LayerId) -> &'static str {
    match stream.mode.structure().spatial_layers.saturating_sub(1 + layer.spatial_id) {
        0 => "s2",
        1 => "s1",
        _ => "s0",
    }
}

/// The share of the frame rate.
fn height(stream: &StreamOutcome, layer: LayerId) -> &'static str {
    match stream.mode.structure().temporal_layers.saturating_sub(1 + layer.temporal_id) {
        0 => "t2",
        1 => "t1",
        _ => "t0",
    }
}
