//! The encoders that the benches measure, and what their figures are worked out by.

pub mod coders;
pub mod curve;
pub mod track;
