//! AV1 files: IVF, with one temporal unit or one layer a frame, and Section 5.

use std::path::Path;

use layercast::bitstream::{FrameInfo, HeaderReader, IvfFrame, IvfReader, section5};

use super::{Result, at};

/// The time base of a file that has none: 30 temporal units a second.
const DEFAULT_TIME_BASE: (u64, u64) = (1, 30);

/// A file's temporal units.
pub struct Stream {
    /// Numerator and denominator of the unit of `pts`, in seconds.
    pub time_base: (u64, u64),
    /// The temporal units in order.
    pub units: Vec<IvfFrame>,
}

impl Stream {
    /// Reads a whole file of either kind.
    pub fn read(path: &Path) -> Result<Self> {
        let data = at(path, std::fs::read(path))?;
        at(path, if data.starts_with(b"DKIF") { Self::ivf(&data) } else { Self::section5(&data) })
    }

    fn ivf(data: &[u8]) -> Result<Self> {
        let reader = IvfReader::new(data)?;
        let header = reader.header();
        let time_base = match (header.timebase_numerator, header.timebase_denominator) {
            (0, _) | (_, 0) => DEFAULT_TIME_BASE,
            (num, den) => (num.into(), den.into()),
        };
        let units = reader.temporal_units().collect::<std::result::Result<_, _>>()?;
        Ok(Self { time_base, units })
    }

    fn section5(data: &[u8]) -> Result<Self> {
        let mut units = Vec::new();
        for unit in section5::temporal_units(data) {
            let data = match unit {
                Ok(data) => data.to_vec(),
                // Most files that are no stream at all do not get any further.
                Err(error) if units.is_empty() => {
                    return Err(format!("neither IVF nor a stream of Section 5 ({error})").into());
                }
                Err(error) => return Err(error.into()),
            };
            units.push(IvfFrame { pts: units.len() as u64, data });
        }
        Ok(Self { time_base: DEFAULT_TIME_BASE, units })
    }

    /// The frames of each temporal unit.
    pub fn frames(&self) -> Result<Vec<Vec<FrameInfo>>> {
        let mut reader = HeaderReader::new();
        let mut frames = Vec::with_capacity(self.units.len());
        for unit in &self.units {
            frames.push(reader.temporal_unit(&unit.data).collect::<std::result::Result<_, _>>()?);
        }
        Ok(frames)
    }
}
