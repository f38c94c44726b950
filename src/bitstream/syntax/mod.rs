//! The syntax tables of the headers. Each is one function over [`Syntax`](descriptors::Syntax), which reads
//! the header or writes it, so that reader and writer cannot drift apart.

mod descriptors;
mod film_grain;
mod filters;
mod frame;
mod global_motion;
mod quantization;
mod sequence;
mod tile_info;
