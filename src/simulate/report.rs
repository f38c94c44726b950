//! Reports: what became of calls, as a table in Markdown, as a page and as a picture.

use std::fmt::{self, Write};
use std::time::Duration;

use super::outcome::{Outcome, PathSample, ReceiverOutcome, WindowOutcome};
use crate::Time;
use crate::structure::LayerId;

/// The figures of an outcome. Bitrates are means in bit/s over the call and the receivers.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Summary {
    /// What the paths could carry, as all bitrates here in bit/s.
    pub offered: f64,
    /// What the estimators took them to carry.
    pub estimate: f64,
    /// Media that the relay sent, retransmissions included.
    pub used: f64,
    /// Padding that the relay sent for probes.
    pub padding: f64,
    /// Seconds in freezes, of all windows together.
    pub stalled: f64,
    /// The share of that in the time that windows were visible.
    pub stalled_share: f64,
    /// The same share without the stalls that no policy can avoid ([`ReceiverOutcome::unavoidable`]).
    pub net_share: f64,
    /// What [`seen`](Self::seen) would be at best ([`ReceiverOutcome::best`]).
    pub best: f64,
    /// Share of the visible time in which the stream was paused.
    pub paused_share: f64,
    /// Number of freezes.
    pub freezes: usize,
    /// Changes of the size of pictures shown, a minute and window.
    pub switches: f64,
    /// Changes of the spatial layer decided, a minute and window; pauses do not count.
    pub decided_switches: f64,
    /// Mean SSIM of what was shown, at the window's size.
    pub ssim: f64,
    /// The same over all the time that windows were visible, weighted by their areas. A window that shows
    /// nothing, or too old a picture, counts as 0.
    pub seen: f64,
    /// Milliseconds after their capture within which 95 % of the pictures shown were on the screen.
    pub delay: f64,
    /// Share of the packets that was lost.
    pub lost: f64,
    /// What a sender sends to the relay, on average.
    pub uplink: f64,
    /// Milliseconds that a sender takes to encode a second of video, on one core, on average.
    pub encode: f64,
}

impl Summary {
    /// The figures of an outcome.
    pub fn new(outcome: &Outcome) -> Self {
        let seconds = outcome.duration.as_secs_f64().max(1e-9);
        let samples = || outcome.receivers.iter().flat_map(|receiver| &receiver.samples);
        let count = samples().count().max(1) as f64;
        let mean = |get: fn(&PathSample) -> u64| samples().map(|s| get(s) as f64).sum::<f64>() / count;
        let windows =
            || outcome.receivers.iter().flat_map(|receiver| receiver.windows.iter().map(|(_, s)| s));
        let sum = |get: fn(&WindowOutcome) -> f64| windows().map(get).sum::<f64>();
        let visible = sum(|seen| seen.visible.as_secs_f64()).max(1e-9);
        let of_receivers = |get: fn(&ReceiverOutcome) -> f64| outcome.receivers.iter().map(get).sum::<f64>();
        let stalled = sum(|seen| seen.stalled.as_secs_f64());
        let mut delays: Vec<u16> = outcome.receivers.iter().flat_map(|r| r.delays.iter().copied()).collect();
        delays.sort_unstable();
        let senders = outcome.sent_bytes.len().max(1) as f64;
        Self {
            offered: mean(|sample| sample.capacity),
            estimate: mean(|sample| sample.estimate),
            used: mean(|sample| sample.media),
            padding: mean(|sample| sample.padding),
            stalled,
            stalled_share: stalled / visible,
            net_share: (stalled - of_receivers(|receiver| receiver.unavoidable.as_secs_f64())) / visible,
            best: of_receivers(|receiver| receiver.best) / sum(|seen| seen.visible_area).max(1e-9),
            paused_share: sum(|seen| seen.paused.as_secs_f64()) / visible,
            freezes: windows().map(|seen| seen.freezes.len()).sum(),
            switches: sum(|seen| seen.switches as f64) / (visible / 60.0),
            decided_switches: of_receivers(|receiver| receiver.decided_switches as f64) / (visible / 60.0),
            ssim: sum(|seen| seen.ssim) / sum(|seen| seen.live).max(1e-9),
            seen: sum(|seen| seen.ssim_area) / sum(|seen| seen.visible_area).max(1e-9),
            delay: delays.get(delays.len() * 95 / 100).copied().map_or(0.0, f64::from),
            lost: of_receivers(|receiver| receiver.lost as f64)
                / of_receivers(|receiver| receiver.packets as f64).max(1.0),
            uplink: outcome.sent_bytes.iter().sum::<u64>() as f64 * 8.0 / seconds / senders,
            encode: outcome.encode_time.iter().sum::<Duration>().as_secs_f64() * 1e3 / seconds / senders,
        }
    }
}

/// A column of the tables.
struct Column {
    name: &'static str,
    /// Whether the table in Markdown has it.
    brief: bool,
    get: fn(&Summary) -> String,
    /// What the legend says of it.
    meaning: &'static str,
}

const fn column(
    name: &'static str,
    brief: bool,
    get: fn(&Summary) -> String,
    meaning: &'static str,
) -> Column {
    Column { name, brief, get, meaning }
}

/// The first column, which names the runs.
const RUN: (&str, &str) = (
    "run",
    "the call, then who decides which layers a receiver gets; `on demand`: senders encode only the layers that some \
     receiver wants, otherwise all of them; `oracle`: nobody can do better, as the link is",
);

const COLUMNS: [Column; 17] = [
    column(
        "offered kbit/s",
        false,
        |s| format!("{:.0}", s.offered / 1e3),
        "what a receiver's path could carry, on average",
    ),
    column(
        "estimate kbit/s",
        false,
        |s| format!("{:.0}", s.estimate / 1e3),
        "what the bandwidth estimator took the path to carry, on average",
    ),
    column(
        "used kbit/s",
        true,
        |s| format!("{:.0}", s.used / 1e3),
        "media that the relay sent to a receiver, retransmissions included, on average",
    ),
    column(
        "padding kbit/s",
        false,
        |s| format!("{:.0}", s.padding / 1e3),
        "padding that the relay sent to a receiver to probe the path, on average",
    ),
    column(
        "stalled s",
        false,
        |s| format!("{:.1}", s.stalled),
        "seconds in freezes (gaps of more than 400 ms between two shown pictures), summed over all windows",
    ),
    column(
        "stalled %",
        true,
        |s| format!("{:.2}", s.stalled_share * 100.0),
        "share of the time that windows were visible which they spent in freezes (gaps of more than 400 ms)",
    ),
    column(
        "net %",
        true,
        |s| format!("{:.2}", s.net_share * 100.0),
        "stalled % without the stalls that the link alone causes and no policy can avoid",
    ),
    column(
        "paused %",
        false,
        |s| format!("{:.2}", s.paused_share * 100.0),
        "share of the time that windows were visible while the relay forwarded nothing to them",
    ),
    column("freezes", true, |s| s.freezes.to_string(), "number of freezes in all windows"),
    column(
        "switches/min",
        true,
        |s| format!("{:.2}", s.decided_switches),
        "how often a decision changed the spatial layer of a stream, for each minute and window",
    ),
    column(
        "shown/min",
        true,
        |s| format!("{:.2}", s.switches),
        "how often the size of the pictures shown changed, for each minute and window",
    ),
    column(
        "SSIM shown",
        false,
        |s| format!("{:.4}", s.ssim),
        "mean SSIM of the pictures shown against the scene at that moment, at the window's size (1 is the best)",
    ),
    column(
        "SSIM seen",
        true,
        |s| format!("{:.4}", s.seen),
        "mean SSIM over all the time that windows were visible, weighted by their areas: against the scene at that \
         moment, at the window's size, and 0 while a window shows nothing or too old a picture",
    ),
    column(
        "delay ms",
        true,
        |s| format!("{:.0}", s.delay),
        "95 % of the pictures were on the screen within this time after their capture",
    ),
    column(
        "lost %",
        false,
        |s| format!("{:.2}", s.lost * 100.0),
        "share of the packets to receivers that were lost",
    ),
    column(
        "uplink kbit/s",
        false,
        |s| format!("{:.0}", s.uplink / 1e3),
        "what a sender sends to the relay, on average",
    ),
    column(
        "coding ms/s",
        false,
        |s| format!("{:.0}", s.encode),
        "time that a sender takes to encode a second of video, on one core",
    ),
];

/// The columns of the table in Markdown.
fn brief() -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().filter(|column| column.brief)
}

/// What a run is called, unlike any other of the same report: the call, the policy, and what senders encode.
fn name(outcome: &Outcome) -> String {
    let on_demand = if outcome.on_demand { ", on demand" } else { "" };
    format!("{}, {}{on_demand}", outcome.call, outcome.policy.name())
}

/// Outcomes as a table in Markdown, with the most telling figures. [`Report::legend`] explains its columns,
/// and [`Report::html`] has more of them.
#[allow(clippy::exhaustive_structs)] // The outcomes are all there is to it.
pub struct Report<'a>(pub &'a [Outcome]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.0.iter().map(name).collect();
        let wide = names.iter().map(String::len).max().unwrap_or(0).max(RUN.0.len());
        write!(f, "| {:wide$} |", RUN.0)?;
        brief().try_for_each(|column| write!(f, " {} |", column.name))?;
        write!(f, "\n| {} |", "-".repeat(wide))?;
        brief().try_for_each(|column| write!(f, " {}: |", "-".repeat(column.name.len() - 1)))?;
        writeln!(f)?;
        for (outcome, name) in self.0.iter().zip(names) {
            let summary = Summary::new(outcome);
            write!(f, "| {name:wide$} |")?;
            brief()
                .try_for_each(|column| write!(f, " {:>1$} |", (column.get)(&summary), column.name.len()))?;
            writeln!(f)?;
        }
        // It is the same for all policies.
        let calls =
            self.0.iter().enumerate().filter(|(at, of)| self.0[..*at].iter().all(|o| o.call != of.call));
        for (_, outcome) in calls {
            let (name, summary) = (format!("{}, oracle", outcome.call), Summary::new(outcome));
            write!(f, "| {name:wide$} |")?;
            for column in brief() {
                let figure = match column.name {
                    "stalled %" => format!("{:.2}", (summary.stalled_share - summary.net_share) * 100.0),
                    "net %" => "0.00".to_owned(),
                    "SSIM seen" => format!("{:.4}", summary.best),
                    _ => "-".to_owned(),
                };
                write!(f, " {figure:>0$} |", column.name.len())?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Report<'_> {
    /// What the columns of the table in Markdown mean, a line each.
    pub fn legend() -> String {
        let lines = std::iter::once(RUN).chain(brief().map(|column| (column.name, column.meaning)));
        lines.map(|(name, meaning)| format!("{name:12} {meaning}\n")).collect()
    }

    /// A page that needs nothing besides itself: a table with all figures, what they mean, and a picture of
    /// each receiver in each run.
    pub fn html(&self, title: &str) -> String {
        let title = escape(title);
        let mut page = format!(
            "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n<style>\
             body{{font:14px sans-serif;margin:2em;max-width:1100px}}table{{border-collapse:collapse;\
             font-size:12px}}td,th{{padding:2px 8px;text-align:right;border-bottom:1px solid #ddd}}\
             td:first-child,th:first-child{{text-align:left}}dt{{font-weight:bold}}</style></head><body>\n<h1>{title}</h1>\n<table><tr>\
             <th>{}</th>",
            RUN.0
        );
        COLUMNS.iter().for_each(|column| page += &format!("<th>{}</th>", column.name));
        page += "</tr>\n";
        for outcome in self.0 {
            let summary = Summary::new(outcome);
            page += &format!("<tr><td>{}</td>", name(outcome));
            COLUMNS.iter().for_each(|column| page += &format!("<td>{}</td>", (column.get)(&summary)));
            page += "</tr>\n";
        }
        page += "</table>\n<dl>\n";
        for (name, meaning) in
            std::iter::once(RUN).chain(COLUMNS.iter().map(|column| (column.name, column.meaning)))
        {
            page += &format!("<dt>{name}</dt><dd>{}</dd>\n", escape(meaning));
        }
        page += "</dl>\n";
        for outcome in self.0 {
            page += &format!("<h2>{}</h2>\n", name(outcome));
            for receiver in 0..outcome.receivers.len() {
                page += &picture(&[(outcome, receiver)]);
                page += "\n";
            }
        }
        page + "</body></html>\n"
    }

    /// One picture of the first receiver in each run.
    pub fn svg(&self) -> String {
        let panels: Vec<_> = self
            .0
            .iter()
            .filter(|outcome| !outcome.receivers.is_empty())
            .map(|outcome| (outcome, 0))
            .collect();
        picture(&panels)
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

// ---- The picture of a receiver ----

const WIDTH: f64 = 960.0;
const LEFT: f64 = 90.0;
const RIGHT: f64 = 24.0;
const CHART: f64 = 110.0;
const ROW: f64 = 14.0;

/// Panels one below the other: bitrates over time, then a row for each stream.
fn picture(panels: &[(&Outcome, usize)]) -> String {
    let tall = |&(outcome, r): &(&Outcome, usize)| {
        30.0 + CHART + 14.0 + ROW * outcome.receivers[r].windows.len() as f64 + 26.0
    };
    let height: f64 = panels.iter().map(tall).sum::<f64>() + 24.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" width=\"{WIDTH}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n"
    );
    // One scale for all. Peaks of the capacity that nobody could use are cut off.
    let samples = panels.iter().flat_map(|(outcome, r)| &outcome.receivers[*r].samples);
    let used = samples.map(|s| s.estimate.max(s.media + s.padding)).max().unwrap_or(0);
    let most = (used as f64 * 1.1).max(100_000.0);
    let mut top = 0.0;
    for panel in panels {
        draw(&mut svg, panel.0, panel.1, top, most);
        top += tall(panel);
    }
    legend(&mut svg, top + 8.0);
    svg + "</svg>"
}

fn draw(svg: &mut String, outcome: &Outcome, r: usize, top: f64, most: f64) {
    let receiver = &outcome.receivers[r];
    let seconds = outcome.duration.as_secs_f64().max(1e-9);
    let x = |time: f64| LEFT + (WIDTH - LEFT - RIGHT) * (time / seconds).clamp(0.0, 1.0);
    let base = top + 30.0 + CHART;
    let y = |bitrate: u64| base - CHART * (bitrate as f64 / most).min(1.0);
    let summary = Summary::new(outcome);
    let (stalled, seen) = (summary.stalled_share * 100.0, summary.seen);
    let title = format!("{}: {stalled:.1} % of the time stalled, {seen:.3} SSIM seen", name(outcome));
    text(svg, LEFT, top + 20.0, "start", &title);
    let half = seconds / receiver.samples.len().max(1) as f64;
    let line = |get: &dyn Fn(usize) -> u64| {
        let points = (0..receiver.samples.len())
            .map(|at| format!("{:.1},{:.1}", x((at as f64 + 0.5) * half), y(get(at))));
        points.collect::<Vec<_>>().join(" ")
    };
    let samples = &receiver.samples;
    *svg += &format!(
        "<polygon fill=\"#e4e4e4\" points=\"{:.1},{base:.1} {} {:.1},{base:.1}\"/>\n\
         <polyline fill=\"none\" stroke=\"#e6820e\" points=\"{}\"/>\n\
         <polyline fill=\"none\" stroke=\"#1f5fa8\" stroke-width=\"1.5\" points=\"{}\"/>\n",
        x(0.0),
        line(&|at| samples[at].capacity),
        x(seconds),
        line(&|at| samples[at].estimate),
        line(&|at| samples[at].media),
    );
    for part in [0.0, 0.5, 1.0] {
        let bitrate = most * part;
        text(svg, LEFT - 6.0, y(bitrate as u64) + 4.0, "end", &format!("{:.1} Mbit/s", bitrate / 1e6));
    }
    let mut row = base + 12.0;
    for (stream, seen) in &receiver.windows {
        text(svg, LEFT - 6.0, row + ROW - 4.0, "end", &format!("stream {}", stream.0));
        let ends = seen.layers.iter().skip(1).map(|(at, _)| seconds_of(*at)).chain([seconds]);
        for ((from, layer), to) in seen.layers.iter().zip(ends) {
            if let Some(layer) = layer {
                bar(svg, x(seconds_of(*from)), x(to), row, ROW - 3.0, colour(*layer));
            }
        }
        for (from, to) in &seen.freezes {
            bar(
                svg,
                x(seconds_of(*from)),
                x(seconds_of(*to)).max(x(seconds_of(*from)) + 1.0),
                row,
                ROW - 3.0,
                "#d62728",
            );
        }
        row += ROW;
    }
    let step =
        [1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0].into_iter().find(|step| seconds / step <= 13.0);
    let step = step.unwrap_or(600.0);
    for tick in 0..=(seconds / step) as u32 {
        let time = f64::from(tick) * step;
        text(svg, x(time), row + 10.0, "middle", &format!("{time} s"));
    }
}

fn seconds_of(time: Time) -> f64 {
    time.since_start().as_secs_f64()
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>", escape(text));
}

fn bar(svg: &mut String, from: f64, to: f64, y: f64, height: f64, colour: &str) {
    let width = to - from;
    let _ = writeln!(
        svg,
        "<rect x=\"{from:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
    );
}

/// Darker with each spatial layer, and a little with each temporal one.
fn colour(layer: LayerId) -> &'static str {
    const COLOURS: [[&str; 3]; 3] = [
        ["#e3f1fa", "#d3e8f6", "#c3dff2"],
        ["#9ccbe8", "#82bce0", "#69add8"],
        ["#3f88c0", "#2a6fa9", "#155690"],
    ];
    COLOURS[usize::from(layer.spatial_id.min(2))][usize::from(layer.temporal_id.min(2))]
}

fn legend(svg: &mut String, y: f64) {
    let mut x = LEFT;
    let entries = [
        ("#e4e4e4", "capacity"),
        ("#e6820e", "estimate"),
        ("#1f5fa8", "sent"),
        (colour(LayerId::new(0, 2)), "S0"),
        (colour(LayerId::new(1, 2)), "S1"),
        (colour(LayerId::new(2, 2)), "S2 (paler: lower frame rates)"),
        ("#d62728", "freeze"),
    ];
    for (colour, name) in entries {
        bar(svg, x, x + 12.0, y - 9.0, 10.0, colour);
        text(svg, x + 16.0, y, "start", name);
        x += 34.0 + 6.5 * name.len() as f64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Call, LinkConfig, Policy, Trace};

    #[test]
    fn a_report_has_every_policy_and_is_well_formed() {
        let second = Duration::from_secs(1);
        let trace = Trace::steps(&[(4 * second, 2_000_000), (4 * second, 300_000)]);
        let call = Call::speakers(trace, LinkConfig::default(), 12 * second, 3);
        let outcomes: Vec<_> = Policy::ALL.iter().map(|&policy| call.run(policy)).collect();
        let report = Report(&outcomes);
        let table = report.to_string();
        assert_eq!(table.lines().count(), 2 + Policy::ALL.len() + 1);
        assert!(table.lines().next_back().unwrap().starts_with("| speakers, oracle"), "{table}");
        let bars: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
        assert!(bars.iter().all(|&count| count == brief().count() + 2), "{table}");
        for column in brief() {
            assert!(Report::legend().lines().any(|line| line.starts_with(column.name)), "{}", column.name);
        }
        let page = report.html("a < b & \"c\"");
        assert!(page.contains("<title>a &lt; b &amp; &quot;c&quot;</title>"));
        assert!(!page.contains("NaN") && !page.contains("inf") && !page.contains("http://www.w3.org/1999"));
        assert_eq!(page.matches("<svg").count(), Policy::ALL.len());
        assert_eq!(page.matches("<dt>").count(), 1 + COLUMNS.len());
        for element in ["svg", "table", "tr", "text", "h2", "dl", "dt", "dd"] {
            let (opened, closed) = (format!("<{element}"), format!("</{element}>"));
            let opened =
                page.matches(&format!("{opened} ")).count() + page.matches(&format!("{opened}>")).count();
            assert_eq!(opened, page.matches(&closed).count(), "{element}");
        }
        assert_eq!(report.svg().matches("SSIM seen</text>").count(), Policy::ALL.len());
        assert_eq!(page, report.html("a < b & \"c\""));
    }
}
