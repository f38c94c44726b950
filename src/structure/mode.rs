//! The scalability modes.

/// A scalability mode of W3C `webrtc-svc`, section 5.
///
/// - `LxTy` has x spatial and y temporal layers. Each spatial layer is predicted from the one below it.
/// - `LxTy_KEY` predicts spatial layers from each other in key pictures only.
/// - `LxTy_KEY_SHIFT` does so too, and its spatial layers are at different temporal layers in the same picture.
/// - `SxTy` has x encodings that do not refer to each other: simulcast in one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // The names say it all.
#[non_exhaustive]
pub enum ScalabilityMode {
    L1T1,
    L1T2,
    L1T3,
    L2T1,
    L2T1Key,
    L2T2,
    L2T2Key,
    L2T2KeyShift,
    L2T3,
    L2T3Key,
    L2T3KeyShift,
    L3T1,
    L3T1Key,
    L3T2,
    L3T2Key,
    L3T2KeyShift,
    L3T3,
    L3T3Key,
    L3T3KeyShift,
    S2T1,
    S2T2,
    S2T3,
    S3T1,
    S3T2,
    S3T3,
}

/// The text names no scalability mode of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scalability mode, such as L3T3_KEY")]
#[non_exhaustive]
pub struct UnknownScalabilityMode;
