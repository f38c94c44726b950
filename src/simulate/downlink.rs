//! The relay's side of the path to one receiver: the product's own, and what the simulation asks of it besides.

use std::collections::VecDeque;

use bytes::Bytes;

use super::model::{OVERHEAD, START};
use super::sender::ssrc_of;
use crate::Time;
use crate::congestion::{PacedPacket, PathState, Probe, SendPathConfig};
use crate::relay::{
    Downlink as Path, DownlinkOutput, ExtensionIds, ForwarderConfig, Handled, Outgoing, Packet, PacketCache,
    RelayFrame, RoomConfig, Subscription, Variants,
};
use crate::rtp::RtpPacket;
use crate::rtp::rtcp::{self, RtcpMessage};
use crate::session::{DESCRIPTOR_ID, TRANSPORT_ID};
use crate::structure::{DecodeTarget, Refresh};

/// What the paths to all receivers share, as in a room.
#[derive(Debug)]
pub(super) struct Shared {
    /// The packets of each stream, to be sent again.
    caches: Vec<PacketCache>,
    variants: Variants,
}

impl Shared {
    pub fn new(streams: usize) -> Self {
        let RoomConfig { cache_bytes, cache_time, .. } = RoomConfig::default();
        let ids = ExtensionIds { descriptor: DESCRIPTOR_ID, transport: TRANSPORT_ID, send_time: None };
        Self {
            caches: (0..streams).map(|_| PacketCache::new(cache_bytes, cache_time)).collect(),
            variants: Variants::new(ids),
        }
    }

    /// Takes a packet of a stream, which the paths of its receivers are handed.
    pub fn keep(
        &mut self,
        now: Time,
        stream: usize,
        rtp: &RtpPacket<'_>,
        packet: &[u8],
        frame: &RelayFrame,
    ) -> Packet {
        self.variants.clear();
        let places = self.variants.ids.find(rtp).places;
        self.caches[stream].keep(now, rtp.header.sequence_number, packet, places, Some(frame)).clone()
    }
}

/// The path to a receiver.
#[derive(Debug)]
pub(super) struct Downlink {
    path: Path,
    /// What goes at once.
    at_once: VecDeque<PacedPacket<Outgoing>>,
    /// The stream of each window, and the decode target that the receiver knows of.
    windows: Vec<(usize, Option<DecodeTarget>)>,
    /// When to poll again.
    pub timeout: Option<Time>,
    /// Kept so that packets do not allocate.
    out: Vec<u8>,
    /// The estimate that was last told of.
    told: u64,
    /// Whether the estimate fell since it was asked.
    fell: bool,
}

impl Downlink {
    /// A path to a receiver of these streams, each in a window.
    pub fn new(streams: impl Iterator<Item = usize>) -> Self {
        // Policies ask for probes besides the path's own, which all of them have alike.
        let mut config = SendPathConfig::default();
        (config.start, config.overhead, config.padding_ssrc) = (START, OVERHEAD, 0);
        let mut path = Path::new(config, TRANSPORT_ID, false);
        let mut windows = Vec::new();
        for stream in streams {
            let slot = path.add(stream, Some(ForwarderConfig::default()));
            debug_assert_eq!(slot, windows.len());
            windows.push((stream, None));
        }
        Self { path, at_once: VecDeque::new(), windows, timeout: None, out: Vec::new(), told: 0, fell: false }
    }

    /// Takes a packet of a window's stream. `false` if the receiver does not get it.
    pub fn handle_packet(
        &mut self,
        now: Time,
        w: usize,
        packet: &Packet,
        frame: &RelayFrame,
        shared: &mut Shared,
    ) -> bool {
        match self.path.handle_packet(now, w, packet, Some(frame), None, &mut shared.variants) {
            Handled::Dropped => return false,
            Handled::Waits => {}
            Handled::Goes(packet) => self.at_once.push_back(packet),
        }
        true
    }

    /// Takes a packet of the receiver. Gives the refreshes that it asks for, by stream.
    pub fn handle_feedback(
        &mut self,
        now: Time,
        packet: &[u8],
        shared: &mut Shared,
    ) -> Vec<(usize, Refresh)> {
        let mut refreshes = Vec::new();
        let at = |ssrc: u32, windows: &[(usize, _)]| {
            windows.iter().position(|(stream, _)| ssrc_of(*stream) == ssrc).map(|w| (w, windows[w].0))
        };
        for message in rtcp::read(packet).flatten() {
            match message {
                RtcpMessage::Nack { media_ssrc, lost, .. } => {
                    let Some((w, stream)) = at(media_ssrc, &self.windows) else { continue };
                    self.path.handle_nack(now, w, &lost, &shared.caches[stream], &mut shared.variants);
                }
                RtcpMessage::Pli { media_ssrc, .. } => {
                    refreshes.extend(at(media_ssrc, &self.windows).map(|(_, stream)| (stream, Refresh::KEY)));
                }
                RtcpMessage::Fir { requests, .. } => {
                    for request in requests {
                        let of = at(request.ssrc, &self.windows);
                        refreshes.extend(of.map(|(_, stream)| (stream, Refresh::KEY)));
                    }
                }
                RtcpMessage::Lrr { requests, .. } => {
                    for request in requests {
                        let of = at(request.ssrc, &self.windows);
                        refreshes.extend(of.map(|(_, stream)| (stream, request.refresh())));
                    }
                }
                message => self.path.handle_feedback(now, &message),
            }
        }
        refreshes
    }

    /// The next packet to be sent at `now`, and whether it is media, not padding.
    pub fn poll(&mut self, now: Time, shared: &mut Shared) -> Option<(Bytes, bool)> {
        while let Some(packet) = self.at_once.pop_front() {
            self.out.clear();
            if self.path.send(now, packet, None, &mut self.out).is_some() {
                return Some((Bytes::copy_from_slice(&self.out), true));
            }
        }
        loop {
            self.out.clear();
            match self.path.poll(now, &mut self.out) {
                DownlinkOutput::Packet(_) => {
                    let ssrc = RtpPacket::read(&self.out).map_or(0, |rtp| rtp.header.ssrc);
                    return Some((Bytes::copy_from_slice(&self.out), ssrc != 0));
                }
                DownlinkOutput::Bitrate => {
                    let bitrate = self.bitrate(now);
                    self.fell |= bitrate < self.told;
                    self.told = bitrate;
                }
                DownlinkOutput::Dropped(None) => {}
                DownlinkOutput::Dropped(Some(dropped)) => {
                    let cache = &shared.caches[dropped.stream];
                    self.path.replace(now, dropped, cache, &mut shared.variants);
                }
                DownlinkOutput::Timeout(timeout) => {
                    self.timeout = timeout;
                    return None;
                }
            }
        }
    }

    /// The refreshes that are needed at `now`, by stream.
    pub fn poll_refreshes(&mut self, now: Time) -> impl Iterator<Item = (usize, Refresh)> {
        self.path.poll_refreshes(now)
    }

    /// Whether a refresh of a window's stream is to be asked for.
    pub fn asks(&self, w: usize) -> bool {
        self.path.asks(w)
    }

    /// Sets what the receiver is to get in a window.
    pub fn set_target(&mut self, now: Time, w: usize, target: Option<DecodeTarget>) {
        self.path.set_target(now, w, target);
    }

    /// What it is to get.
    pub fn target(&self, w: usize) -> Option<DecodeTarget> {
        self.path.subscription(w).and_then(Subscription::target)
    }

    /// What it gets now, if that has changed since it was asked last.
    pub fn changed(&mut self, w: usize) -> Option<Option<DecodeTarget>> {
        let current = self.path.subscription(w).and_then(Subscription::current);
        (std::mem::replace(&mut self.windows[w].1, current) != current).then_some(current)
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
    pub fn bitrate(&mut self, now: Time) -> u64 {
        self.path.state(now).bitrate
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::rtp::rtcp::IntraRequest;

    #[test]
    fn a_full_intra_request_is_passed_on() {
        let mut downlink = Downlink::new([3, 5].into_iter());
        let requests = vec![IntraRequest { ssrc: ssrc_of(5), sequence_number: 0 }];
        let mut packet = BytesMut::new();
        rtcp::write(&[RtcpMessage::Fir { sender_ssrc: 1, requests }], &mut packet).unwrap();
        let mut shared = Shared::new(6);
        assert_eq!(downlink.handle_feedback(Time::ZERO, &packet, &mut shared), [(5, Refresh::KEY)]);
    }
}
