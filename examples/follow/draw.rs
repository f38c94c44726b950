//! A drawing of calls over time.

use std::path::Path;

use plotters::prelude::*;

use crate::common::Result;
use crate::outcome::{Outcome, Second};

const COLOURS: [RGBColor; 3] = [BLUE, RED, GREEN];

/// What a panel is called, and what it draws of each second.
type Panel = (&'static str, fn(&Second) -> f64);

/// Draws what each second of each call was like.
pub fn draw(path: &Path, title: &str, outcomes: &[Outcome]) -> Result<()> {
    let area = SVGBackend::new(path, (1000, 900)).into_drawing_area();
    area.fill(&WHITE)?;
    let area = area.titled(title, ("sans-serif", 20))?;
    let seconds = outcomes.first().map_or(1, |outcome| outcome.seconds.len()) as f64;
    let line = |outcome: &Outcome, value: fn(&Second) -> f64| -> Vec<(f64, f64)> {
        (0..).zip(&outcome.seconds).map(|(at, second)| (f64::from(at), value(second))).collect()
    };
    let panels: [Panel; 3] = [
        ("media that arrived, kbit/s; capacity in grey, estimate dotted", |second| {
            second.media() as f64 / 1000.0
        }),
        ("longest time from capture to showing, ms", |second| second.delay().as_secs_f64() * 1000.0),
        ("SSIM of what is on the screen", Second::ssim),
    ];
    for (index, (panel, (label, value))) in area.split_evenly((3, 1)).iter().zip(panels).enumerate() {
        let lines: Vec<Vec<(f64, f64)>> = outcomes.iter().map(|outcome| line(outcome, value)).collect();
        let values = || lines.iter().flatten().map(|point| point.1);
        let least = if index == 2 { values().fold(1.0, f64::min) - 0.01 } else { 0.0 };
        let most = values().fold(least, f64::max) * if index == 2 { 1.0 } else { 1.3 };
        let mut chart = ChartBuilder::on(panel)
            .margin(8)
            .caption(label, ("sans-serif", 14))
            .x_label_area_size(22)
            .y_label_area_size(56)
            .build_cartesian_2d(0.0..seconds, least..most.max(least + 0.001))?;
        chart.configure_mesh().light_line_style(WHITE).x_desc("s").draw()?;
        if let (0, Some(first)) = (index, outcomes.first()) {
            let capacity = line(first, |second| second.note.capacity as f64 / 1000.0);
            let capacity = capacity.into_iter().map(|(x, y)| (x, y.min(most)));
            chart.draw_series(LineSeries::new(capacity, BLACK.mix(0.3).stroke_width(3)))?;
            let estimate = line(first, |second| second.note.estimate as f64 / 1000.0);
            let dots =
                estimate.into_iter().map(|(x, y)| Circle::new((x, y.min(most)), 2, BLUE.mix(0.6).filled()));
            chart.draw_series(dots)?;
        }
        for ((outcome, points), colour) in outcomes.iter().zip(lines).zip(COLOURS) {
            let series = chart.draw_series(LineSeries::new(points, colour.stroke_width(1)))?;
            series
                .label(outcome.name())
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
        }
        if index == 0 {
            chart
                .configure_series_labels()
                .border_style(BLACK.mix(0.3))
                .background_style(WHITE.mix(0.8))
                .draw()?;
        }
    }
    area.present()?;
    Ok(())
}
