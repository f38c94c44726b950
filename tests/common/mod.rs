//! What the tests share.
#![allow(dead_code)] // Each test takes a part of it.

#[cfg(feature = "e2ee")]
pub mod call;
pub mod chance;
pub mod receiver;
pub mod receivers;
pub mod watcher;

use layercast::Size;
use layercast::encoder::{SvcConfig, SvcEncoder};
use layercast::structure::{Refresh, ScalabilityMode};

/// A key picture, or nothing to be coded anew.
pub fn key_if(key: bool) -> Refresh {
    if key { Refresh::KEY } else { Refresh::NONE }
}

/// A coder with one tile.
pub fn encoder(size: Size, mode: ScalabilityMode, quantizer: u8) -> SvcEncoder {
    let mut config = SvcConfig::new(size, mode);
    config.quantizer = quantizer;
    SvcEncoder::new(config).expect("a configuration that the coder takes")
}
