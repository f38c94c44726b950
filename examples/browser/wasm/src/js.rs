//! The class `Seat` for JavaScript. Times are microseconds, and what fails throws a string.

use js_sys::Uint8Array;
use layercast::Time;
use wasm_bindgen::prelude::*;

use crate::output::PageOutput;
use crate::seat::{Metadata, PageSeat};

/// A participant of a meeting.
#[wasm_bindgen]
pub struct Seat(PageSeat);

fn time(now: f64) -> Time {
    // A number that is none is 0, and the time does not go back.
    Time::from_micros(now as u64)
}

fn bytes(result: Result<&[u8], &'static str>) -> Result<Uint8Array, JsValue> {
    result.map(Uint8Array::from).map_err(JsValue::from_str)
}

#[wasm_bindgen]
impl Seat {
    /// One who has not come yet.
    #[wasm_bindgen(constructor)]
    pub fn new(config_json: &str, unix_us: f64) -> Result<Self, JsValue> {
        PageSeat::new(config_json, unix_us as u64).map(Self).map_err(JsValue::from_str)
    }

    /// The WebSocket is open.
    pub fn connected(&mut self, now: f64) {
        self.0.handle_connected(time(now));
    }

    /// The WebSocket is closed.
    pub fn disconnected(&mut self, now: f64, why: &str) {
        self.0.handle_disconnected(time(now), why);
    }

    /// A message of the relay.
    pub fn message(&mut self, now: f64, text: &str) -> Result<(), JsValue> {
        self.0.handle_message(time(now), text).map_err(JsValue::from_str)
    }

    /// What the page asks for.
    pub fn command(&mut self, now: f64, json: &str) -> Result<(), JsValue> {
        self.0.handle_command(time(now), json).map_err(JsValue::from_str)
    }

    /// This end of the link is made.
    pub fn link(&mut self, now: f64, json: &str) -> Result<(), JsValue> {
        self.0.handle_link(time(now), json).map_err(JsValue::from_str)
    }

    /// The link is up, or is down.
    pub fn link_state(&mut self, now: f64, up: bool) {
        self.0.handle_link_state(time(now), up);
    }

    /// The link came to nothing: another is made after a pause.
    pub fn link_failed(&mut self, now: f64, why: &str) {
        self.0.handle_link_failed(time(now), why);
    }

    /// What there is to do, as a JSON array.
    pub fn poll(&mut self, now: f64) -> String {
        let outputs = self.0.poll(time(now));
        serde_json::to_string::<Vec<PageOutput>>(&outputs).unwrap_or_default()
    }

    /// Seals a frame of a layer of our own video.
    #[allow(clippy::too_many_arguments, reason = "an object would cost more for each frame")]
    pub fn seal_video(
        &mut self,
        _now: f64,
        stream: u32,
        frame_id: f64,
        spatial_id: u8,
        temporal_id: u8,
        key: bool,
        dependencies: &[f64],
        data: &[u8],
    ) -> Result<Uint8Array, JsValue> {
        let metadata = Metadata { frame_id, dependencies, spatial_id, temporal_id };
        bytes(self.0.seal_video(stream, metadata, key, data))
    }

    /// Opens a frame of a layer of somebody's video.
    #[allow(clippy::too_many_arguments, reason = "an object would cost more for each frame")]
    pub fn open_video(
        &mut self,
        now: f64,
        stream: u32,
        frame_id: f64,
        spatial_id: u8,
        temporal_id: u8,
        dependencies: &[f64],
        data: &[u8],
    ) -> Result<Uint8Array, JsValue> {
        let metadata = Metadata { frame_id, dependencies, spatial_id, temporal_id };
        bytes(self.0.open_video(time(now), stream, metadata, data))
    }

    /// Seals a frame of our own sound.
    pub fn seal_audio(&mut self, _now: f64, stream: u32, data: &[u8]) -> Result<Uint8Array, JsValue> {
        bytes(self.0.seal_audio(stream, data))
    }

    /// Opens a frame of somebody's sound, of a packet with this sequence number, if that is known.
    pub fn open_audio(
        &mut self,
        now: f64,
        stream: u32,
        data: &[u8],
        sequence_number: Option<u16>,
    ) -> Result<Uint8Array, JsValue> {
        bytes(self.0.open_audio(time(now), stream, sequence_number, data))
    }

    /// What did not open of a stream, by kind, as JSON.
    pub fn closed(&self, stream: u32) -> String {
        serde_json::to_string(&self.0.closed(stream)).unwrap_or_default()
    }
}
