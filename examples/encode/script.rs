//! Changes that are made while the video is coded: a file of JSON lines.

use std::path::Path;

use layercast::encoder::{Bitrate, EncodeOptions, LayerBitrates, SvcEncoder};
use layercast::structure::{DecodeTargets, LayerId, Refresh};
use serde::Deserialize;

use crate::common::{Result, at};

/// One line. What it does not name stays as it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Seconds from the start of the video.
    at: f64,
    /// Of all layers together, in 1000 bits a second.
    bitrate: Option<f64>,
    /// As `--layer-bitrates`.
    layer_bitrates: Option<String>,
    /// The constant quantizer to go on with, instead of a bitrate.
    quantizer: Option<u8>,
    /// The decode targets that somebody watches, such as `["S0T2", "S2T2"]`.
    wanted: Option<Vec<String>>,
    /// The spatial layers to code anew.
    refresh: Option<Vec<u8>>,
    /// A key picture.
    #[serde(default)]
    key: bool,
}

/// The changes that are still to come.
pub struct Script {
    /// Last first.
    lines: Vec<Line>,
    wanted: Option<DecodeTargets>,
}

impl Script {
    /// Reads the file, or has no changes without one.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let mut lines = Vec::new();
        if let Some(path) = path {
            let text = at(path, std::fs::read_to_string(path))?;
            for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                let line = serde_json::from_str::<Line>(line);
                lines.push(at(path, line.map_err(|error| format!("line {}: {error}", number + 1)))?);
            }
        }
        lines.sort_by(|a, b| b.at.total_cmp(&a.at));
        Ok(Self { lines, wanted: None })
    }

    /// Makes the changes that are due; what is to be done for the next picture, and what was changed in words.
    pub fn apply(&mut self, seconds: f64, encoder: &mut SvcEncoder) -> Result<(EncodeOptions, Vec<String>)> {
        let (mut refresh, mut told) = (Refresh::NONE, Vec::new());
        while let Some(line) = self.lines.pop_if(|line| line.at <= seconds + 1e-6) {
            if let Some(kbps) = line.bitrate {
                encoder.set_bitrate(Bitrate::Total(bits(kbps)))?;
                told.push(format!("{kbps} kbit/s"));
            }
            if let Some(layers) = line.layer_bitrates {
                encoder.set_bitrate(Bitrate::Layers(layer_bitrates(&layers)?))?;
                told.push(layers);
            }
            if let Some(quantizer) = line.quantizer {
                encoder.set_quantizer(quantizer)?;
                told.push(format!("quantizer {quantizer}"));
            }
            if let Some(targets) = line.wanted {
                self.wanted = Some(targets.iter().map(|target| layer(target)).collect::<Result<_>>()?);
                told.push(format!("wanted: {}", targets.join(" ")));
            }
            if let Some(layers) = line.refresh {
                told.push(format!("refresh of {layers:?}"));
                refresh = refresh.union(Refresh::layers(layers));
            }
            if line.key {
                told.push("key picture".into());
                refresh = refresh.union(Refresh::KEY);
            }
        }
        Ok((EncodeOptions { refresh, wanted: self.wanted }, told))
    }
}

/// 1000 bits a second as bits.
pub fn bits(kbps: f64) -> u64 {
    (kbps * 1000.0) as u64
}

/// A layer such as `S1T2`.
fn layer(name: &str) -> Result<LayerId> {
    let ids = name.strip_prefix('S').and_then(|name| name.split_once('T'));
    let parsed = ids.and_then(|(spatial, temporal)| Some((spatial.parse().ok()?, temporal.parse().ok()?)));
    match parsed {
        Some((spatial_id @ 0..=2, temporal_id @ 0..=2)) => Ok(LayerId::new(spatial_id, temporal_id)),
        _ => Err(format!("{name} is no layer such as S1T2").into()),
    }
}

/// The bitrates of layers by themselves, such as `S0T0=40,S0T1=20`, in 1000 bits a second.
pub fn layer_bitrates(text: &str) -> Result<LayerBitrates> {
    let mut bitrates = LayerBitrates::default();
    for part in text.split(',') {
        let (name, kbps) = part.split_once('=').ok_or_else(|| format!("{part} is not like S0T0=40"))?;
        bitrates.set(layer(name.trim())?, bits(kbps.trim().parse()?));
    }
    Ok(bitrates)
}
