//! The low overhead format of section 5.2 (`.obu` files), a plain series of OBUs with size fields.

use std::borrow::Cow;
use std::io::Write;

use super::error::{BitstreamError, FileError};
use super::obu::{Obu, ObuType, Obus, obus, write_obu};

/// Iterates over the temporal units of a file of OBUs, each of which starts at a temporal delimiter. The
/// iteration ends after an error.
pub fn temporal_units(data: &[u8]) -> TemporalUnits<'_> {
    TemporalUnits { data, obus: obus(data), next: None, started: false }
}

/// Iterator of [`temporal_units`].
#[derive(Debug, Clone)]
pub struct TemporalUnits<'a> {
    data: &'a [u8],
    obus: Obus<'a>,
    /// The start of the unit that has begun.
    next: Option<usize>,
    started: bool,
}

impl<'a> TemporalUnits<'a> {
    /// The position of the next OBU, if it is a temporal delimiter.
    fn delimiter(&mut self, obu: Result<Obu<'a>, BitstreamError>) -> Result<Option<usize>, BitstreamError> {
        let obu = obu?;
        if !obu.has_size_field {
            return Err(BitstreamError::Value { field: "obu_has_size_field" });
        }
        let is_delimiter = obu.header.obu_type == ObuType::TemporalDelimiter;
        if !is_delimiter && !self.started {
            return Err(BitstreamError::Order { obu_type: obu.header.obu_type.into() });
        }
        self.started = true;
        Ok(is_delimiter.then_some(obu.offset))
    }
}

impl<'a> Iterator for TemporalUnits<'a> {
    type Item = Result<&'a [u8], BitstreamError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(obu) = self.obus.next() {
            match self.delimiter(obu) {
                Ok(None) => {}
                Ok(Some(at)) => {
                    if let Some(start) = self.next.replace(at) {
                        return Some(Ok(&self.data[start..at]));
                    }
                }
                Err(error) => {
                    self.next = None;
                    self.obus = obus(&[]);
                    return Some(Err(error));
                }
            }
        }
        self.next.take().map(|start| Ok(&self.data[start..]))
    }
}

/// Writes one temporal unit; OBUs without a size field get one.
///
/// # Errors
/// [`FileError::Io`]; [`FileError::Stream`] if the OBUs are damaged, or do not start with a temporal
/// delimiter, or have a second one.
pub fn write_temporal_unit<W: Write>(mut sink: W, unit: &[u8]) -> Result<(), FileError> {
    if unit.is_empty() {
        return Err(BitstreamError::End.into());
    }
    for (i, obu) in obus(unit).enumerate() {
        let obu_type = obu?.header.obu_type;
        if (obu_type == ObuType::TemporalDelimiter) != (i == 0) {
            return Err(BitstreamError::Order { obu_type: obu_type.into() }.into());
        }
    }
    sink.write_all(&with_sizes(unit)?)?;
    Ok(())
}

/// The same OBUs, each with a size field.
pub(super) fn with_sizes(data: &[u8]) -> Result<Cow<'_, [u8]>, BitstreamError> {
    for obu in obus(data) {
        let obu = obu?;
        if !obu.has_size_field {
            // It reaches to the end of the data, so it is the last one.
            let mut out = data[..obu.offset].to_vec();
            write_obu(&mut out, obu.header, obu.payload)?;
            return Ok(Cow::Owned(out));
        }
    }
    Ok(Cow::Borrowed(data))
}

/// Whether the first OBU is a temporal delimiter.
pub(super) fn starts_with_delimiter(data: &[u8]) -> Result<bool, BitstreamError> {
    match obus(data).next() {
        Some(obu) => Ok(obu?.header.obu_type == ObuType::TemporalDelimiter),
        None => Ok(false),
    }
}
