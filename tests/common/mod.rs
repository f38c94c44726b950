//! What the tests share.
#![allow(dead_code)] // Each test takes a part of it.

#[cfg(feature = "e2ee")]
#[path = "../../examples/common/call.rs"]
pub mod call;
#[path = "../../examples/common/chance.rs"]
pub mod chance;
#[path = "../../examples/common/receiver.rs"]
pub mod receiver;
#[path = "../../examples/common/receivers.rs"]
pub mod receivers;

use layercast::encoder::{SvcConfig, SvcEncoder};
use layercast::structure::ScalabilityMode;

/// A coder with one tile.
pub fn encoder(size: (usize, usize), mode: ScalabilityMode, quantizer: u8) -> SvcEncoder {
    let mut config = SvcConfig::new(size.0, size.1, mode);
    config.quantizer = quantizer;
    SvcEncoder::new(config).expect("a configuration that the coder takes")
}
