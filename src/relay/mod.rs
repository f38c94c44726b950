//! What a relay (SFU) does: it forwards to each receiver the layers that this receiver wants, and asks the sender for
//! what a switch of layers needs.
//!
//! A relay holds no key and looks at no payload. All that it goes by is the Dependency Descriptor of each packet (AV1
//! RTP specification, Appendix A).
//!
//! A [`Room`] is the whole of it: participants, the streams that they send, and what each of them gets. A program gives it
//! what comes from each participant, and sends what comes out. Here one speaks to two; the project's README has a call
//! with pictures. A receiver of video answers with transport-wide feedback, as a `VideoReceiver` of `session` does, or by a
//! [`ReceivePath`](crate::congestion::ReceivePath): without it the room does not learn what its path carries, and sends little.
//!
//! ```
//! # use layercast::{Size, Time};
//! use layercast::relay::*;
//! use layercast::select::{Priority, ReceiverReport, StreamId, Window};
//!
//! let [ann, bob, eve] = [1, 2, 3].map(ParticipantId);
//! let mut room = Room::new(RoomConfig::default());
//! for participant in [ann, bob, eve] {
//!     room.join(Time::ZERO, participant)?;
//! }
//! room.publish(Time::ZERO, ann, StreamConfig::audio(StreamId(1), 0xa0d10))?;
//! room.publish(Time::ZERO, ann, StreamConfig::video(StreamId(2), 0x71de0))?;
//! // Sound goes to everybody, and pictures to whoever has a window for them, by the signalling of the app.
//! let windows = vec![(StreamId(2), Window::new(Size::new(640, 360), Priority::Pinned))];
//! room.handle_report(Time::ZERO, bob, &ReceiverReport { windows, ..Default::default() });
//!
//! # let mut sent = vec![];
//! for n in 0..50u16 { // A program waits for packets, or until a `Timeout`.
//!     let now = Time::from_millis(20 * u64::from(n));
//!     let [high, low] = n.to_be_bytes();
//!     let packet = [0x80, 111, high, low, 0, 0, high, low, 0, 0x0a, 0x0d, 0x10, 7]; // Ann's sound, sealed.
//!     room.handle_packet(now, ann, &packet);
//!     if n == 25 {
//!         room.leave(now, eve);
//!     }
//!     let mut out = Vec::new();
//!     loop {
//!         out.clear();
//!         match room.poll(now, &mut out) {
//!             RoomOutput::Transmit { to, .. } => { // `out` goes to them: sound, or feedback to its sender.
//! #               sent.extend((out[1] == 111).then_some(to));
//!             }
//!             RoomOutput::Demand { to, message } => { // `to` is told by `message.write`, and codes no more than that.
//! #               let _ = (to, message);
//!             }
//!             RoomOutput::Expelled { participant, reason } => {
//!                 eprintln!("{participant:?} was put out: {reason}"); // Its connection is closed.
//!             }
//!             RoomOutput::Timeout(_) => break,
//!             _ => {}
//!         }
//!     }
//! }
//! # let count = |id| sent.iter().filter(|to| **to == id).count();
//! # assert_eq!((count(ann), count(bob), count(eve)), (0, 50, 25));
//! # Ok::<(), RoomError>(())
//! ```
//!
//! # The parts
//!
//! Programs that need it otherwise use the parts, which know nothing of paths and of windows:
//!
//! - A [`FrameReader`] stands where a sender's packets come in. It keeps the structure that the descriptors are read
//!   by, and says of each packet which frame it belongs to ([`RelayFrame`]).
//! - A [`Subscription`] is one receiver's share of one stream. Its [`Forwarder`] says of each packet whether to forward
//!   it, and which [`Refresh`](crate::structure::Refresh) to ask the sender for; its [`SequenceMap`] gives what is
//!   forwarded its sequence numbers, and tells which packet of the sender a receiver asks for.
//! - [`RefreshRequests`] stands before the sender. It combines what all its receivers ask for, and passes on one
//!   request a second at most, so that no receiver makes the others pay for key pictures without end.
//!
//! ```
//! # use layercast::{Size, Time};
//! # use layercast::relay::{Forward, Forwarder, ForwarderConfig, FrameReader};
//! # use layercast::rtp::descriptor::Describer;
//! # use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode::L3T3};
//! # let mut planner = Planner::new(L3T3, Size::new(1280, 720));
//! # let wanted = DecodeTargets::all(L3T3.structure());
//! # let descriptors = Describer::new().describe(&planner.next(PictureRequest { wanted, ..Default::default() }))?;
//! # let now = Time::ZERO;
//! let mut reader = FrameReader::new();
//! let mut receiver = Forwarder::new(ForwarderConfig::default());
//! receiver.set_target(now, Some(LayerId::new(1, 2)));
//! let mut forwarded = 0;
//! for descriptor in &descriptors { // Of each packet, as it comes.
//!     let frame = reader.handle_descriptor(descriptor)?;
//!     if let Forward::Send { .. } = receiver.handle_frame(now, &frame) {
//!         forwarded += 1;
//!     }
//! }
//! assert_eq!(forwarded, 2); // Spatial layers 0 and 1 of three.
//! assert_eq!(receiver.poll(now), None); // No refresh is needed.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod again;
mod askers;
mod cache;
mod chains;
mod conduct;
mod config;
mod downlink;
mod extensions;
mod forwarder;
mod frames;
mod missing;
mod outputs;
mod rates;
mod receiver;
mod requests;
mod rewrite;
mod room;
mod statistics;
mod subscription;
#[cfg(test)]
mod tests;
mod upstream;
mod variants;

pub use conduct::{Allowance, Misconduct};
pub use config::{ParticipantId, RoomConfig, StreamConfig, StreamKind};
pub use downlink::Rtx;
pub use forwarder::{Forward, Forwarder, ForwarderConfig};
pub use frames::{FrameReader, RelayFrame};
pub use outputs::{RoomError, RoomOutput};
pub use requests::RefreshRequests;
pub use rewrite::SequenceMap;
pub use room::Room;
pub use statistics::{ParticipantStatistics, RoomStatistics};
pub use subscription::{Forwarded, Subscription};
pub use upstream::StreamStatistics;
#[cfg(feature = "simulate")]
pub(crate) use {
    cache::{Packet, PacketCache},
    downlink::{Downlink, DownlinkOutput, Handled, Outgoing},
    extensions::ExtensionIds,
    receiver::network,
    variants::Variants,
};
