//! The SVC encoder: pictures in, temporal units of an AV1 stream of layers out.
//!
//! [`SvcEncoder::encode`] takes each picture through these modules in turn:
//!
//! | module | stage |
//! | --- | --- |
//! | `svc` | the whole picture: its plan, its layers, the reference slots |
//! | `rate` | the quantizer of each frame |
//! | `downscale` | the picture at the size of each spatial layer |
//! | `content` | whether the pictures show a screen, where nobody tells
//! | `layer` | one layer frame: its tiles, its loop filters, what later frames need of it |
//! | `tile` | superblocks: the partition into blocks |
//! | `superblock` | how superblocks are counted |
//! | `texture` | what a bit is worth in each superblock |
//! | `block`, `inter`, `intra` | what a block is predicted from |
//! | `direction` | which directional mode an intra block tries |
//! | `displaced` | where parts of a screen were before |
//! | `still` | which parts of a screen stand still, or were moved as they are |
//! | `steady` | which parts of what a camera sees stand still |
//! | `motion`, `interlayer` | prediction from an earlier picture, and from the layer below |
//! | `effort` | how many predictions and partitions are tried, by the speed of the frame |
//! | `palette`, `palette_choice` | blocks of few colours |
//! | `copies`, `copy_choice` | blocks that are copied within a key picture |
//! | `residual`, `quantizer` | the difference that is left to code |
//! | `symbols`, `probabilities` | the block as symbols of the range coder |
//! | `pieces` | a tile's symbols until all of it is known |
//! | `bands` | a frame in parts that threads share |
//! | `filters`, `deblock`, `cdef` | the loop filters |
//! | `header` | sequence and frame headers around it all |
//!
//! `governor` stands beside these: it tells a program the speeds, and the layers, that the machine has time for.
//!
//! `kernels` names all that is taken from rav1e, whose kernels do the arithmetic.

mod bands;
mod block;
mod candidates;
mod cdef;
mod config;
mod content;
mod copies;
mod copy_choice;
mod deblock;
mod direction;
mod displaced;
mod downscale;
mod effort;
mod error;
mod filters;
mod forward;
mod governor;
mod header;
mod inter;
mod interlayer;
mod intra;
mod kernels;
mod layer;
mod motion;
mod palette;
mod palette_choice;
mod pieces;
mod probabilities;
mod quantizer;
mod rate;
mod residual;
mod steady;
mod still;
mod superblock;
mod svc;
mod symbols;
mod texture;
mod tile;
mod unit;

pub use config::{Content, DEFAULT_SPEED, EncodeOptions, MAX_SIZE, MAX_SPEED, MIN_SIZE, SvcConfig};
pub use effort::Speeds;
pub use error::EncodeError;
pub use governor::EffortGovernor;
pub use rate::{Bitrate, LayerBitrates, RateConfig};
pub use svc::SvcEncoder;
pub use unit::{LayerFrame, TemporalUnit};
