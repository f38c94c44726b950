//! The relay's side of the path to one receiver: the product's subscriptions, packets to be sent again, and path.

use bytes::{Bytes, BytesMut};

use super::model::{HISTORY, OVERHEAD, START};
use super::sender::ssrc_of;
use crate::Time;
use crate::congestion::{
    PacketClass, PathPacket, PathState, Probe, SendPath, SendPathConfig, SendPathOutput,
};
use crate::relay::{ForwarderConfig, RelayFrame, Subscription};
use crate::rtp::rtcp::{self, RtcpMessage};
use crate::rtp::{RtpPacket, SentPackets};
use crate::session::TRANSPORT_ID;
use crate::structure::{DecodeTarget, LayerId, Refresh};

/// Of the number of a frame on the path: a packet that is sent again.
const AGAIN: u64 = 1 << 63;

/// One stream of a receiver.
#[derive(Debug)]
struct Stream {
    stream: usize,
    subscription: Subscription,
    history: SentPackets,
    /// The decode target that the receiver knows of.
    told: Option<DecodeTarget>,
}

/// The path to a receiver.
#[derive(Debug)]
pub(super) struct Downlink {
    path: SendPath,
    streams: Vec<Stream>,
    /// What receivers lack since packets waited too long.
    broken: Vec<(usize, Refresh)>,
    /// When to poll again.
    pub timeout: Option<Time>,
    /// Kept so that packets do not allocate.
    packets: BytesMut,
    /// The estimate that was last told of.
    told: u64,
    /// Whether the estimate fell since it was asked.
    fell: bool,
}

/// The number that a packet has on the path when it is sent again: window and sequence number. Each is a frame of its
/// own, since the path drops whole frames.
fn again(w: usize, number: u16) -> u64 {
    AGAIN | (w as u64) << 48 | u64::from(number)
}

/// The number of a frame on the path: window, layer and frame number.
fn path_frame(w: usize, frame: &RelayFrame) -> u64 {
    let LayerId { spatial_id, temporal_id } = frame.dependencies.layer;
    (w as u64) << 48
        | u64::from(spatial_id) << 44
        | u64::from(temporal_id) << 40
        | frame.number & 0xff_ffff_ffff
}

impl Downlink {
    /// A path to a receiver of these streams.
    pub fn new(streams: impl Iterator<Item = usize>) -> Self {
        // Policies ask for probes besides the path's own, which all of them have alike.
        let mut config = SendPathConfig::default();
        (config.start, config.overhead, config.padding_ssrc) = (START, OVERHEAD, 0);
        let stream = |stream| Stream {
            stream,
            subscription: Subscription::new(ForwarderConfig::default()),
            history: SentPackets::new(HISTORY),
            told: None,
        };
        Self {
            path: SendPath::new(config, Some(TRANSPORT_ID)),
            streams: streams.map(stream).collect(),
            broken: Vec::new(),
            timeout: None,
            packets: BytesMut::new(),
            told: 0,
            fell: false,
        }
    }

    /// Takes a packet of a stream. `false` if the receiver does not get it.
    pub fn handle_packet(&mut self, now: Time, w: usize, frame: &RelayFrame, packet: &[u8]) -> bool {
        self.packets.extend_from_slice(packet);
        if self.streams[w].subscription.handle_packet(now, frame, &mut self.packets) != Ok(true) {
            self.packets.clear();
            return false;
        }
        let packet = self.packets.split().freeze();
        let is_base = frame.dependencies.layer == LayerId::default();
        let class = if is_base { PacketClass::Base } else { PacketClass::Media };
        self.path.handle_packet(now, PathPacket { class, frame: path_frame(w, frame), packet });
        true
    }

    /// Takes a packet of the receiver. Gives the refreshes that it asks for, by stream.
    pub fn handle_feedback(&mut self, now: Time, packet: &[u8]) -> Vec<(usize, Refresh)> {
        let mut refreshes = Vec::new();
        let at =
            |ssrc: u32, streams: &[Stream]| streams.iter().position(|stream| ssrc_of(stream.stream) == ssrc);
        for message in rtcp::read(packet).flatten() {
            match message {
                RtcpMessage::Nack { media_ssrc, lost, .. } => {
                    let Some(w) = at(media_ssrc, &self.streams) else { continue };
                    for number in lost.iter().flat_map(|lost| lost.sequence_numbers()) {
                        for packet in self.streams[w].history.resend(now, number) {
                            let (class, packet) = (PacketClass::Retransmission, packet.clone());
                            self.path
                                .handle_packet(now, PathPacket { class, frame: again(w, number), packet });
                        }
                    }
                }
                RtcpMessage::Pli { media_ssrc, .. } => {
                    let own = at(media_ssrc, &self.streams).map(|w| (self.streams[w].stream, Refresh::KEY));
                    refreshes.extend(own);
                }
                RtcpMessage::Fir { requests, .. } => {
                    for request in requests {
                        let w = at(request.ssrc, &self.streams);
                        refreshes.extend(w.map(|w| (self.streams[w].stream, Refresh::KEY)));
                    }
                }
                RtcpMessage::Lrr { requests, .. } => {
                    for request in requests {
                        let w = at(request.ssrc, &self.streams);
                        refreshes.extend(w.map(|w| (self.streams[w].stream, request.refresh())));
                    }
                }
                message => {
                    // What is no transport-wide feedback is not for the path.
                    let _ = self.path.handle_feedback(now, &message);
                    // Also while nothing is asked for: the shortest one tells what of the others is a queue.
                    if let Some(round_trip) = self.path.state(now).round_trip {
                        for stream in &mut self.streams {
                            stream.history.set_round_trip(now, round_trip);
                        }
                    }
                }
            }
        }
        refreshes
    }

    /// The next packet to be sent at `now`, and whether it is media, not padding.
    pub fn poll(&mut self, now: Time) -> Option<(Bytes, bool)> {
        loop {
            match self.path.poll(now) {
                SendPathOutput::Transmit(PathPacket { frame, packet, .. }) => {
                    let ssrc = RtpPacket::read(&packet).map_or(0, |rtp| rtp.header.ssrc);
                    if let Some(stream) = self.streams.get_mut((frame >> 48) as usize).filter(|_| ssrc != 0) {
                        stream.history.insert(now, packet.clone());
                    }
                    return Some((packet, ssrc != 0));
                }
                SendPathOutput::Dropped { frame, .. } => {
                    let Some(stream) = self.streams.get((frame >> 48) as usize) else { continue };
                    // Nothing refers to a frame of a higher temporal layer for long.
                    if frame >> 40 & 0xf == 0 {
                        self.broken.push((stream.stream, Refresh::layer((frame >> 44 & 0xf) as u8)));
                    }
                }
                SendPathOutput::Timeout(timeout) => {
                    self.timeout = timeout;
                    return None;
                }
                SendPathOutput::Bitrate(bitrate) => {
                    self.fell |= bitrate < self.told;
                    self.told = bitrate;
                }
            }
        }
    }

    /// The refreshes that are needed since packets waited too long, by stream.
    pub fn take_broken(&mut self) -> Vec<(usize, Refresh)> {
        std::mem::take(&mut self.broken)
    }

    /// The refresh that a switch needs.
    pub fn poll_refresh(&mut self, now: Time, w: usize) -> Option<Refresh> {
        self.streams[w].subscription.poll(now)
    }

    /// Sets what the receiver is to get of a stream.
    pub fn set_target(&mut self, now: Time, w: usize, target: Option<DecodeTarget>) {
        self.streams[w].subscription.set_target(now, target);
    }

    /// What it is to get.
    pub fn target(&self, w: usize) -> Option<DecodeTarget> {
        self.streams[w].subscription.target()
    }

    /// What it gets now, if that has changed since it was asked last.
    pub fn changed(&mut self, w: usize) -> Option<Option<DecodeTarget>> {
        let stream = &mut self.streams[w];
        let current = stream.subscription.current();
        (std::mem::replace(&mut stream.told, current) != current).then_some(current)
    }

    /// Starts a probe that a policy asks for.
    pub fn probe(&mut self, now: Time, probe: crate::select::Probe) {
        let crate::select::Probe { bitrate, duration } = probe;
        self.path.start_probe(now, Probe { bitrate, duration });
    }

    /// Whether the estimate fell since this was asked last.
    pub fn take_fell(&mut self) -> bool {
        std::mem::take(&mut self.fell)
    }

    /// What is known of the path.
    pub fn state(&mut self, now: Time) -> PathState {
        self.path.state(now)
    }

    /// When it was last congested.
    pub fn over_used(&self) -> Option<Time> {
        self.path.over_used()
    }

    /// The estimate in bit/s.
    pub fn bitrate(&self) -> u64 {
        self.path.bitrate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rtp::rtcp::IntraRequest;

    #[test]
    fn a_full_intra_request_is_passed_on() {
        let mut downlink = Downlink::new([3, 5].into_iter());
        let requests = vec![IntraRequest { ssrc: ssrc_of(5), sequence_number: 0 }];
        let mut packet = BytesMut::new();
        rtcp::write(&[RtcpMessage::Fir { sender_ssrc: 1, requests }], &mut packet).unwrap();
        assert_eq!(downlink.handle_feedback(Time::ZERO, &packet), [(5, Refresh::KEY)]);
    }

    #[test]
    fn packets_sent_again_are_frames_of_their_own_and_no_windows() {
        assert_ne!(again(1, 7), again(1, 8));
        assert_ne!(again(1, 7), again(2, 7));
        assert!((again(0, 7) >> 48) as usize > 1 << 14);
    }
}
