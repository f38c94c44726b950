//! Draws what a participant printed with `--json --link-kbps N`, and says how fast rates followed the path.
//!
//! `cargo run --release -p layercast-participant --example network-plot -- LINES.json PLOT.svg`

use std::collections::BTreeMap;
use std::ops::Range;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

const INK: RGBColor = RGBColor(32, 38, 46);
const GRID: RGBColor = RGBColor(225, 228, 232);
const CAPACITY: RGBColor = RGBColor(150, 155, 162);
const COLOURS: [RGBColor; 3] = [RGBColor(0, 90, 181), RGBColor(220, 90, 30), RGBColor(20, 130, 90)];
const FREEZE: RGBColor = RGBColor(200, 20, 40);
/// The curves of rates are means of so many seconds.
const MEAN: f64 = 0.5;
/// A rate has followed when it holds for so many seconds: probes last for less.
const HOLDS: f64 = 3.0;

/// A value over time.
type Series = Vec<(f64, f64)>;

#[derive(Default)]
struct Camera {
    spatial: Series,
    temporal: Series,
    half: Series,
    most: Series,
    freezes: Vec<f64>,
}

#[derive(Default)]
struct Lines {
    capacity: Series,
    /// From the relay, and to it: what was to go, and what went.
    offered: [Series; 2],
    carried: [Series; 2],
    lost: [u64; 2],
    cameras: BTreeMap<String, Camera>,
    summaries: Vec<String>,
}

fn read(text: &str) -> Result<Lines> {
    let mut lines = Lines::default();
    for line in text.lines() {
        let line: Value = serde_json::from_str(line)?;
        let t = line["t"].as_f64().ok_or("a line without a time")?;
        let is_camera = line["kind"] == "camera";
        match line["line"].as_str() {
            Some("link") => {
                lines.capacity.push((t, line["capacity_kbps"].as_f64().unwrap_or(0.0)));
                for (n, way) in ["down", "up"].into_iter().enumerate() {
                    let way = &line[way];
                    lines.offered[n].push((t, way["offered_kbps"].as_f64().unwrap_or(0.0)));
                    lines.carried[n].push((t, way["carried_kbps"].as_f64().unwrap_or(0.0)));
                    lines.lost[n] += way["lost"].as_u64().unwrap_or(0);
                }
            }
            Some("stream") if is_camera => {
                let who = line["who"].as_str().unwrap_or_default().to_owned();
                let camera = lines.cameras.entry(who).or_default();
                let layers = line["target"].as_str().and_then(|it| it.strip_prefix('S')?.split_once('T'));
                if let Some((spatial, temporal)) = layers {
                    camera.spatial.push((t, spatial.parse()?));
                    camera.temporal.push((t, temporal.parse()?));
                }
                let delay = |name: &str| line[name].as_f64().map(|delay| (t, delay));
                camera.half.extend(delay("delay_p50_ms"));
                camera.most.extend(delay("delay_p95_ms"));
                if line["freezes"].as_u64() > Some(0) {
                    camera.freezes.push(t);
                }
            }
            Some("summary") if is_camera => lines.summaries.push(format!(
                "{}: {:.1} pictures/s, {:.0} kbit/s, delay {} ms (95 %: {} ms), longest pause {} ms, {} freezes",
                line["who"].as_str().unwrap_or_default(),
                line["rate"].as_f64().unwrap_or(0.0),
                line["kbps"].as_f64().unwrap_or(0.0),
                line["delay_p50_ms"],
                line["delay_p95_ms"],
                line["longest_ms"],
                line["freezes"]
            )),
            _ => {}
        }
    }
    match lines.capacity.is_empty() {
        true => Err("there is no line about an emulated path".into()),
        false => Ok(lines),
    }
}

/// The mean of a series within a time.
fn mean(series: &Series, times: Range<f64>) -> f64 {
    let within: Vec<f64> =
        series.iter().filter(|(t, _)| times.contains(t)).map(|(_, value)| *value).collect();
    within.iter().sum::<f64>() / within.len().max(1) as f64
}

/// Says how long after each change of the capacity the rates of a way followed. After a drop, that is when what is to go
/// fits; after a rise, when it is back at nine tenths of what it was before the drop.
fn follow(lines: &Lines, way: usize) -> Vec<String> {
    let offered = &lines.offered[way];
    let mut said = Vec::new();
    let mut usual = 0.0;
    for pair in lines.capacity.windows(2) {
        let ((before, old), (at, new)) = (pair[0], pair[1]);
        if old == new {
            continue;
        }
        if new < old {
            usual = mean(offered, before - 10.0..at);
        }
        let wanted = if new < old { new } else { usual * 0.9 };
        let is_there = |t: f64| {
            let mean = mean(offered, t..t + HOLDS);
            if new < old { mean <= wanted } else { mean >= wanted }
        };
        let found = offered.iter().map(|(t, _)| *t).find(|t| *t > at && is_there(*t));
        let after = found.map_or("never".into(), |t| format!("{:.1} s later", t - before));
        let way = ["down", "up"][way];
        said.push(format!("{way}: {old} to {new} kbit/s at {before:.1} s; at {wanted:.0} kbit/s {after}"));
    }
    said
}

fn smooth(series: &Series) -> Series {
    series.iter().map(|(t, _)| (*t, mean(series, t - MEAN + 1e-3..t + 1e-3))).collect()
}

/// A series that keeps its value until the next one.
fn steps(series: &Series, offset: f64) -> Series {
    let mut steps = Series::new();
    for &(t, value) in series {
        if let Some(&(_, before)) = steps.last() {
            steps.push((t, before));
        }
        steps.push((t, value + offset));
    }
    steps
}

struct Curve<'a> {
    name: String,
    series: Series,
    style: ShapeStyle,
    freezes: &'a [f64],
}

fn curve(name: impl Into<String>, series: Series, style: ShapeStyle) -> Curve<'static> {
    Curve { name: name.into(), series, style, freezes: &[] }
}

fn draw(
    area: &Area<'_>,
    title: &str,
    times: Range<f64>,
    values: Range<f64>,
    ticks: usize,
    curves: Vec<Curve<'_>>,
) -> Result<()> {
    let font = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(16))
        .margin(8)
        .margin_right(20)
        .x_label_area_size(24)
        .y_label_area_size(56)
        .build_cartesian_2d(times, values.clone())?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_labels(10)
        .y_labels(ticks)
        .label_style(font(12))
        .x_label_formatter(&|t| format!("{t:.0} s"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .draw()?;
    for Curve { name, series, style, freezes } in curves {
        let bar = |&at: &f64| {
            Rectangle::new([(at - 0.25, values.start), (at, values.end)], FREEZE.mix(0.25).filled())
        };
        chart.draw_series(freezes.iter().map(bar))?;
        let drawn = chart.draw_series(LineSeries::new(series, style))?;
        drawn.label(name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(GRID)
        .label_font(font(12))
        .draw()?;
    Ok(())
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [from, to] = &arguments[..] else { return Err("LINES.json PLOT.svg are missing".into()) };
    let lines = read(&std::fs::read_to_string(from)?)?;
    for line in [0, 1].into_iter().flat_map(|way| follow(&lines, way)).chain(lines.summaries.clone()) {
        println!("{line}");
    }
    println!("{} datagrams from the relay were lost, and {} to it", lines.lost[0], lines.lost[1]);
    for (who, camera) in &lines.cameras {
        println!("{who}: freezes at {:.1?}", camera.freezes);
    }

    let times = 0.0..lines.capacity.last().map_or(1.0, |last| last.0);
    let area = SVGBackend::new(to, (1000, 1040)).into_drawing_area();
    area.fill(&WHITE)?;
    let panels = area.split_evenly((4, 1));
    for (way, title) in ["From the relay, kbit/s", "To the relay, kbit/s"].into_iter().enumerate() {
        let curves = vec![
            curve("what the path carries", steps(&lines.capacity, 0.0), CAPACITY.stroke_width(2)),
            curve("sent into it", smooth(&lines.offered[way]), COLOURS[1].stroke_width(1)),
            curve("came through it", smooth(&lines.carried[way]), COLOURS[0].stroke_width(2)),
        ];
        draw(&panels[way], title, times.clone(), 0.0..2000.0, 5, curves)?;
    }
    let (mut delays, mut layers) = (Vec::new(), Vec::new());
    for (n, (who, camera)) in lines.cameras.iter().enumerate() {
        let (strong, weak) =
            (COLOURS[n % COLOURS.len()].stroke_width(2), COLOURS[n % COLOURS.len()].mix(0.4).stroke_width(1));
        let half = curve(format!("{who}: half of the pictures"), camera.half.clone(), strong);
        delays.push(Curve { freezes: &camera.freezes, ..half });
        delays.push(curve(format!("{who}: 95 %"), camera.most.clone(), weak));
        // Curves of one value would hide each other.
        let offset = 0.06 * n as f64;
        layers.push(curve(format!("{who}: spatial layer"), steps(&camera.spatial, offset), strong));
        layers.push(curve(format!("{who}: temporal layer"), steps(&camera.temporal, offset), weak));
    }
    let title = "From the camera to the decoded picture, ms; bars are freezes of more than 500 ms";
    draw(&panels[2], title, times.clone(), 0.0..1000.0, 5, delays)?;
    draw(&panels[3], "Highest layer of the pictures shown", times, -0.2..3.4, 4, layers)?;
    area.present()?;
    Ok(())
}
