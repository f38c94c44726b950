//! What each picture took: a line of CSV for each frame, and a drawing over time.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use layercast::encoder::{SvcEncoder, TemporalUnit};
use layercast::quality::Quality;
use layercast::structure::{LayerId, Structure};
use plotters::prelude::*;

use crate::common::{Result, at};

/// One picture.
struct Picture {
    seconds: f64,
    key: bool,
    bits: f64,
    /// Bit/s to keep, of all layers together.
    bitrate: Option<f64>,
    /// Seconds in the buffer of the highest decode target.
    buffer: Option<f64>,
    /// Of the highest frame.
    quantizer: Option<u8>,
    psnr: Option<f64>,
    changes: Vec<String>,
}

/// Values over time, and their colour.
type Line<'a> = (&'a [(f64, f64)], RGBColor);

/// All pictures so far.
pub struct Timeline {
    csv: Option<BufWriter<File>>,
    pictures: Vec<Picture>,
}

impl Timeline {
    /// Writes the CSV file, if there is to be one.
    pub fn new(csv: Option<&Path>) -> Result<Self> {
        let csv = csv.map(|path| at(path, File::create(path).map(BufWriter::new))).transpose()?;
        let mut timeline = Self { csv, pictures: Vec::new() };
        if let Some(csv) = &mut timeline.csv {
            writeln!(
                csv,
                "picture,seconds,spatial_id,temporal_id,key,base_q_idx,bits,layer_bitrate,buffer_ms,y_psnr_db"
            )?;
        }
        Ok(timeline)
    }

    /// Takes a coded picture. `quality` is that of each frame.
    pub fn picture(
        &mut self,
        encoder: &SvcEncoder,
        structure: &Structure,
        seconds: f64,
        unit: &TemporalUnit,
        quality: &[Quality],
        changes: Vec<String>,
    ) -> Result<()> {
        let highest = |spatial_id| LayerId::new(spatial_id, structure.temporal_layers - 1);
        if let Some(csv) = &mut self.csv {
            for (frame, quality) in unit.frames.iter().zip(quality) {
                let LayerId { spatial_id, temporal_id } = frame.plan.layer;
                let or_nothing =
                    |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.0}"));
                writeln!(
                    csv,
                    "{},{seconds:.3},{spatial_id},{temporal_id},{},{},{},{},{},{:.3}",
                    unit.plan.picture_number,
                    u8::from(unit.plan.key),
                    frame.quantizer,
                    8 * frame.data.len(),
                    or_nothing(encoder.bitrates().map(|bitrates| bitrates.get(frame.plan.layer) as f64)),
                    or_nothing(encoder.buffer(highest(spatial_id)).map(|seconds| 1000.0 * seconds)),
                    quality.y_psnr(),
                )?;
            }
        }
        self.pictures.push(Picture {
            seconds,
            key: unit.plan.key,
            bits: unit.frames.iter().map(|frame| 8.0 * frame.data.len() as f64).sum(),
            bitrate: encoder.bitrates().map(|bitrates| bitrates.total() as f64),
            buffer: encoder.buffer(highest(structure.spatial_layers - 1)),
            quantizer: unit.frames.last().map(|frame| frame.quantizer),
            psnr: quality.last().map(Quality::y_psnr).filter(|psnr| psnr.is_finite()),
            changes,
        });
        Ok(())
    }

    /// Draws bits, buffer, quantizer and quality over time, with the changes marked.
    pub fn draw(&self, path: &Path, title: &str) -> Result<()> {
        let seconds = self.pictures.last().map_or(1.0, |picture| picture.seconds).max(0.1);
        let area = SVGBackend::new(path, (1000, 900)).into_drawing_area();
        area.fill(&WHITE)?;
        let area = area.titled(title, ("sans-serif", 20))?;
        let panels = area.split_evenly((4, 1));
        let rate = self.mean_rate();
        let over_time = |value: fn(&Picture) -> Option<f64>| -> Vec<(f64, f64)> {
            self.pictures.iter().filter_map(|picture| Some((picture.seconds, value(picture)?))).collect()
        };
        let bitrate = over_time(|picture| Some(picture.bitrate? / 1000.0));
        let buffer = over_time(|picture| Some(picture.buffer? * 1000.0));
        let quantizer = over_time(|picture| picture.quantizer.map(f64::from));
        let psnr = over_time(|picture| picture.psnr);
        let series: [(&str, Vec<Line<'_>>); 4] = [
            (
                "kbit/s over time in s, means of half a second; in red the bitrate to keep",
                vec![(&rate, BLUE), (&bitrate, RED)],
            ),
            ("buffer of the highest decode target, ms", vec![(&buffer, BLUE)]),
            ("quantizer (base_q_idx) of the highest frame", vec![(&quantizer, BLUE)]),
            ("Y-PSNR of the highest frame, dB", vec![(&psnr, BLUE)]),
        ];
        for (panel, (label, lines)) in panels.iter().zip(series) {
            let values = || lines.iter().flat_map(|(line, _)| line.iter().map(|point| point.1));
            let (least, most) =
                values().fold((f64::MAX, f64::MIN), |(a, b), value| (a.min(value), b.max(value)));
            if least > most {
                continue;
            }
            let margin = ((most - least) * 0.08).max(1.0);
            let floor = if label.starts_with("kbit") { 0.0 } else { least - margin };
            let mut chart = ChartBuilder::on(panel)
                .margin(8)
                .caption(label, ("sans-serif", 14))
                .x_label_area_size(22)
                .y_label_area_size(56)
                .build_cartesian_2d(0.0..seconds, floor..most + margin)?;
            chart.configure_mesh().light_line_style(WHITE).draw()?;
            for picture in self.pictures.iter().filter(|picture| !picture.changes.is_empty() || picture.key) {
                let colour = if picture.key { GREEN.mix(0.5) } else { BLACK.mix(0.4) };
                let line = [(picture.seconds, floor), (picture.seconds, most + margin)];
                chart.draw_series(std::iter::once(PathElement::new(line, colour.stroke_width(1))))?;
                let text = Text::new(
                    picture.changes.join(", "),
                    (picture.seconds, most + margin),
                    ("sans-serif", 11),
                );
                chart.draw_series(std::iter::once(text))?;
            }
            for (line, colour) in lines {
                chart.draw_series(LineSeries::new(line.iter().copied(), colour.stroke_width(1)))?;
            }
        }
        area.present()?;
        Ok(())
    }

    /// 1000 bits a second over the last half second, at each picture.
    fn mean_rate(&self) -> Vec<(f64, f64)> {
        let mut first = 0;
        let mut bits = 0.0;
        let mut rate = Vec::new();
        for picture in &self.pictures {
            bits += picture.bits;
            while self.pictures[first].seconds <= picture.seconds - 0.5 + 1e-6 {
                bits -= self.pictures[first].bits;
                first += 1;
            }
            if picture.seconds >= 0.5 {
                rate.push((picture.seconds, bits / 500.0));
            }
        }
        rate
    }
}
