//! Tests across the files of this module: headers of other encoders, headers of every kind from random
//! bits, layered streams, files.

mod common;
mod files;
mod foreign;
mod headers;
mod layers;
mod obus;
mod oracle;
mod strategies;
mod tiles;
