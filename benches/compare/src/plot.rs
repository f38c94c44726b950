//! The curves as a picture.

use std::error::Error;
use std::path::Path;

use layercast::structure::ScalabilityMode;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::{Curve, Point};
use layercast_compare::coders::clip::Clip;

/// Width and height of a chart, and height of the legend, in pixels.
const CHART: (u32, u32) = (520, 380);
const LEGEND: u32 = 84;
/// Width of an entry of the legend, of which three stand in a row.
const LEGEND_COLUMN: i32 = 330;

const INK: RGBColor = RGBColor(32, 38, 46);
const GRID: RGBColor = RGBColor(225, 228, 232);
/// Of the encoders in turn, told apart by those too who see few colours.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 90, 181),
    RGBColor(220, 90, 30),
    RGBColor(20, 130, 90),
    RGBColor(150, 60, 150),
    RGBColor(90, 160, 220),
    RGBColor(200, 150, 0),
    RGBColor(110, 110, 110),
];

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Figure = fn(&Point) -> f64;

/// Writes a chart of Y-PSNR and one of SSIM over the rate for every clip. Of this crate's encoder the first preset
/// is drawn alone: the others' curves lie too close to be told apart.
pub fn svg(path: &Path, measured: &[(&Clip, Vec<Curve<'_>>)]) -> Result<()> {
    let figures: [(&str, Figure); 2] =
        [("Y-PSNR, dB", |p| p.quality.y_psnr()), ("SSIM", |p| p.quality.y_ssim())];
    let columns = measured.len() as u32;
    let size = (CHART.0 * columns, CHART.1 * figures.len() as u32 + LEGEND);
    let area = SVGBackend::new(path, size).into_drawing_area();
    area.fill(&WHITE)?;
    let (legend, charts) = area.split_vertically(LEGEND);
    let drawn = |curve: &&Curve<'_>| {
        curve.series.encoder != crate::LAYERCAST || curve.series.speed == crate::PRESETS[0].0
    };
    let measured: Vec<(&Clip, Vec<&Curve<'_>>)> =
        measured.iter().map(|(clip, curves)| (*clip, curves.iter().filter(drawn).collect())).collect();
    draw_legend(&legend, encoders(measured.iter().flat_map(|(_, curves)| curves.iter().copied())))?;
    let charts = charts.split_evenly((figures.len(), measured.len()));
    for (row, (name, figure)) in figures.into_iter().enumerate() {
        for (column, (clip, curves)) in measured.iter().enumerate() {
            let area = &charts[row * measured.len() + column];
            draw_chart(area, &format!("{}: {name}", clip.name), curves, figure)?;
        }
    }
    area.present()?;
    Ok(())
}

/// 1, 2 and 5 times each power of ten, as far as they are in the range.
fn ticks(low: f64, high: f64) -> Vec<f64> {
    let powers = low.log10().floor() as i32..=high.log10().floor() as i32;
    let all = powers.flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10f64.powi(power)));
    all.filter(|tick| (low..=high).contains(tick)).collect()
}

/// Encoders in the order in which they come.
fn encoders<'a>(curves: impl Iterator<Item = &'a Curve<'a>>) -> Vec<String> {
    let mut names = Vec::new();
    for name in curves.map(|curve| curve.series.encoder()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn draw_chart<DB: DrawingBackend>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    title: &str,
    curves: &[&Curve<'_>],
    figure: Figure,
) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let points = || curves.iter().flat_map(|curve| curve.points.iter()).filter(|p| figure(p).is_finite());
    let range = |of: &dyn Fn(&Point) -> f64| {
        let start = (f64::INFINITY, f64::NEG_INFINITY);
        points().map(of).fold(start, |(low, high), value| (low.min(value), high.max(value)))
    };
    let (rates, values) = (range(&|p| p.kbps), range(&figure));
    if rates.0 >= rates.1 || values.0 >= values.1 {
        return Ok(());
    }
    let margin = (values.1 - values.0) * 0.04;
    let font = |size: i32| ("sans-serif", size).into_font().color(&INK);
    let (low, high) = (rates.0 * 0.9, rates.1 * 1.1);
    let mut chart = ChartBuilder::on(area)
        .caption(title, font(17))
        .margin(12)
        .x_label_area_size(38)
        .y_label_area_size(48)
        .build_cartesian_2d(
            (low..high).log_scale().with_key_points(ticks(low, high)),
            values.0 - margin..values.1 + margin,
        )?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(GRID)
        .axis_style(INK)
        .x_desc("kbit/s, all layers")
        .label_style(font(12))
        .axis_desc_style(font(13))
        .x_label_formatter(&|kbps| format!("{kbps:.0}"))
        .draw()?;
    let names = encoders(curves.iter().copied());
    for curve in curves {
        let colour = colour(&names, &curve.series.encoder());
        let mut line = curve.pairs(|p| p.kbps, figure);
        line.retain(|point| point.1.is_finite());
        line.sort_by(|a, b| a.0.total_cmp(&b.0));
        match dashes(curve.series.mode) {
            None => {
                chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(2)))?;
            }
            Some((length, gap)) => {
                let line = line.iter().copied();
                chart.draw_series(DashedLineSeries::new(line, length, gap, colour.stroke_width(2)))?;
            }
        }
        chart.draw_series(line.iter().map(|&point| Circle::new(point, 3, colour.filled())))?;
    }
    Ok(())
}

fn colour(names: &[String], name: &str) -> RGBColor {
    let place = names.iter().position(|other| other == name).unwrap_or(0);
    COLOURS[place % COLOURS.len()]
}

/// Length and gap of the dashes of a mode, in pixels; none for one layer.
fn dashes(mode: ScalabilityMode) -> Option<(u32, u32)> {
    match mode {
        ScalabilityMode::L1T1 => None,
        ScalabilityMode::L1T3 => Some((2, 3)),
        _ => Some((8, 4)),
    }
}

/// Colours are encoders, dashes are modes.
fn draw_legend<DB: DrawingBackend>(
    area: &DrawingArea<DB, plotters::coord::Shift>,
    names: Vec<String>,
) -> Result<()>
where
    DB::ErrorType: 'static,
{
    let style = ("sans-serif", 14).into_font().color(&INK).pos(Pos::new(HPos::Left, VPos::Center));
    for (n, name) in names.iter().enumerate() {
        let (x, y) = (24 + LEGEND_COLUMN * (n as i32 % 3), 16 + 22 * (n as i32 / 3));
        area.draw(&PathElement::new([(x, y), (x + 30, y)], colour(&names, name).stroke_width(3)))?;
        area.draw(&Text::new(name.as_str(), (x + 38, y), style.clone()))?;
    }
    let y = 62;
    for (n, mode) in crate::MODES.into_iter().enumerate() {
        let x = 24 + LEGEND_COLUMN * n as i32;
        let (length, gap) = dashes(mode).map_or((30, 0), |(length, gap)| (length as i32, gap as i32));
        let mut from = x;
        while from < x + 30 {
            let to = (from + length).min(x + 30);
            area.draw(&PathElement::new([(from, y), (to, y)], INK.stroke_width(2)))?;
            from = to + gap.max(1);
        }
        area.draw(&Text::new(mode.to_string(), (x + 38, y), style.clone()))?;
    }
    Ok(())
}
