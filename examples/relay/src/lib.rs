//! A relay for meetings that stay end-to-end encrypted: who may join, what each may do, and who gets which packets.
//!
//! ```text
//!   WebSocket over TLS ──▶ server ──▶ desk ──▶ store (SQLite)
//!                                      │ ▲
//!                         media_api:   ▼ │
//!   UDP ◀─────────────────────────▶ media
//! ```
//!
//! [`desk`] decides and knows neither sockets nor clocks, [`server`] has them, [`store`] keeps what has to survive a crash,
//! and [`data`] says what that is and why. [`media`] forwards packets, which it cannot read.

#![deny(unsafe_code)]

pub mod cli;
pub mod data;
pub mod desk;
pub mod files;
pub mod media;
pub mod media_api;
pub mod secrets;
pub mod server;
pub mod store;
