//! The low overhead format of section 5.2 (`.obu` files): OBUs with size fields, nothing else.

use std::borrow::Cow;
use std::io::Write;

use super::error::{BitstreamError, FileError};
use super::obu::{Obu, ObuType, Obus, obus, write_obu};

/// The temporal units of a file of OBUs: each starts at a temporal delimiter. After an error the
/// iteration is over.
pub fn temporal_units(data: &[u8]) -> TemporalUnits<'_> {
    TemporalUnits { data, obus: obus(data), next: None, started: false }
}

/// Iterator of [`temporal_units`].
#[derive(Debug, Clone)]
pub struct TemporalUnits<'a> {
    data: &'a [u8],
    obus: Obus<'a>,
    /// Where the unit that was begun starts.
    next: Option<usize>,
    started: bool,
}

impl<'a> TemporalUnits<'a> {
    /// The next OBU's place, where it is a temporal delimiter.
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
/// [`FileError::Io`]; [`FileError::Stream`], where the OBUs are damaged or do not start with the only
/// temporal delimiter.
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
            // It reaches to the end, so there is no other.
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
