//! Decoding, in a thread of its own: nobody looks at the pictures, but they are decoded as if somebody did.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use layercast::Size;
use layercast::decoder::{Decoder, DecoderConfig};
use layercast::rtp::DecodableUnit;
use layercast::structure::LayerId;
use layercast_examples::Result;

use super::record::Units;

/// A unit that was decoded.
#[derive(Debug)]
pub struct Shown {
    /// The stream.
    pub stream: u32,
    /// RTP timestamp of the picture.
    pub timestamp: u32,
    /// The picture, or nothing if the decoder refused the unit.
    pub picture: Option<(LayerId, Size)>,
    /// When it was done, and how long it took.
    pub at: Instant,
    /// How long it took.
    pub took: Duration,
}

/// What there is to decode.
#[derive(Debug)]
pub enum Work {
    /// A unit of a stream.
    Unit(u32, Box<DecodableUnit>),
    /// A stream has ended.
    End(u32),
}

/// Decodes until there is nobody who has work.
///
/// # Errors
/// If files cannot be written.
pub fn run(
    work: &Receiver<Work>,
    record: Option<PathBuf>,
    mut shown: impl FnMut(Shown) -> bool,
) -> Result<()> {
    let mut decoders: HashMap<u32, Decoder> = HashMap::new();
    let mut units = record.as_deref().map(Units::new);
    for work in work {
        let (stream, unit) = match work {
            Work::Unit(stream, unit) => (stream, unit),
            Work::End(stream) => {
                decoders.remove(&stream);
                continue;
            }
        };
        let bytes = unit.to_bytes();
        if let Some(units) = &mut units {
            units.write(stream, &unit, &bytes)?;
        }
        let decoder = match decoders.entry(stream) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Decoder::new(DecoderConfig::default())?)
            }
        };
        let start = Instant::now();
        // A sender may be hostile: it gets no more memory than its pictures need.
        decoder.set_layer_sizes(&unit.structure.resolutions);
        let picture = match decoder.decode(&bytes, unit.timestamp.into()) {
            Ok(pictures) => match pictures.last() {
                Some(decoded) => Some((unit.target, decoded.picture.size())),
                None => continue,
            },
            Err(error) => {
                tracing::info!(stream, %error, "a temporal unit was not decoded");
                None
            }
        };
        let at = Instant::now();
        if !shown(Shown { stream, timestamp: unit.timestamp, picture, at, took: at - start }) {
            break;
        }
    }
    units.map_or(Ok(()), Units::finish)
}
