//! The path to one receiver, and its share of each stream.

use std::collections::VecDeque;

use super::again::Again;
use super::cache::{Packet, PacketCache};
use super::forwarder::ForwarderConfig;
use super::frames::RelayFrame;
use super::rates::OtherRate;
use super::subscription::{Forwarded, Subscription};
use super::variants::{Variant, Variants, write_rtx};
use crate::Time;
use crate::congestion::{PacedPacket, PacedPath, PacketClass, PathOutput, PathState, Probe, SendPathConfig};
use crate::rtp::packet::RtpPacketMut;
use crate::rtp::rtcp::{Lost, RtcpMessage};
use crate::structure::{DecodeTarget, LayerId, Refresh};

/// Of the number of a frame on the path: a packet that is sent again.
const AGAIN: u64 = 1 << 63;
/// In place of a temporal layer: a packet that is not of a layer.
const WHOLE: u64 = 0xf;
/// Sequence numbers that a message can ask for: each costs a search.
const MAX_ASKED: usize = 512;
/// Packets at most that are known to wait. The pacer drops what comes late of a frame without a word.
const MAX_WAITING: usize = 1024;

/// Bytes of a packet without payload, about.
const EMPTY: usize = 64;

/// What is sent of a packet.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    variant: Variant,
    sequence_number: u16,
    end_of_picture: bool,
    slot: u16,
    /// Whether it is sent as RFC 4588 has it.
    rtx: bool,
}

/// How a receiver gets retransmissions, if not as they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "callers build it")]
pub struct Rtx {
    /// Synchronization source of the retransmissions (RFC 4588).
    pub ssrc: u32,
    /// Their RTP payload type, 0 to 127.
    pub payload_type: u8,
}

/// One stream of a receiver.
#[derive(Debug)]
pub(crate) struct Slot {
    /// The stream's place in the room.
    pub stream: usize,
    share: Share,
    again: Again,
    rtx: Option<(Rtx, u16)>,
}

/// A packet that others of another class may overtake.
#[derive(Debug)]
struct Waiting {
    /// Its frame on the path.
    frame: u64,
    slot: u16,
    sequence_number: u16,
}

/// The packets of all slots that wait to be sent for the first time.
#[derive(Debug, Default)]
struct WaitingList(VecDeque<Waiting>);

impl WaitingList {
    fn push(&mut self, packet: Waiting) {
        if self.0.len() >= MAX_WAITING {
            self.0.pop_front();
        }
        self.0.push_back(packet);
    }

    fn remove(&mut self, slot: u16, sequence_number: u16) {
        let mut list = self.0.iter();
        if let Some(at) = list.position(|it| (it.slot, it.sequence_number) == (slot, sequence_number)) {
            self.0.remove(at);
        }
    }

    /// The numbers of a slot, sorted: a request names many, and looks for each of them.
    fn numbers(&self, slot: u16) -> Vec<u16> {
        let of_slot = self.0.iter().filter(|waiting| waiting.slot == slot);
        let mut numbers: Vec<u16> = of_slot.map(|waiting| waiting.sequence_number).collect();
        numbers.sort_unstable();
        numbers
    }
}

#[derive(Debug)]
enum Share {
    Layers(Box<Subscription>),
    /// Audio and data go on as they are.
    Whole,
}

/// The path to a receiver.
#[derive(Debug)]
pub(crate) struct Downlink {
    path: PacedPath<Outgoing>,
    slots: Vec<Option<Slot>>,
    waiting: WaitingList,
    has_send_time: bool,
    /// Of the streams that go on as they are.
    whole: OtherRate,
    pub sent: Sent,
}

/// What was sent to a receiver.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sent {
    pub packets: u64,
    pub bytes: u64,
    pub again: u64,
    pub padding: u64,
    /// Frames that waited for too long.
    pub frames_dropped: u64,
}

impl Downlink {
    pub fn new(config: SendPathConfig, transport_id: u8, has_send_time: bool) -> Self {
        Self {
            path: PacedPath::new(config, Some(transport_id)),
            slots: Vec::new(),
            waiting: WaitingList::default(),
            has_send_time,
            whole: OtherRate::default(),
            sent: Sent::default(),
        }
    }

    /// Adds a stream, of which layers are chosen or not.
    pub fn add(&mut self, stream: usize, layers: Option<ForwarderConfig>) -> usize {
        let share = match layers {
            Some(config) => Share::Layers(Box::new(Subscription::new(config))),
            None => Share::Whole,
        };
        let again = Again::default();
        let slot = Some(Slot { stream, share, again, rtx: None });
        match self.slots.iter().position(Option::is_none) {
            Some(free) => {
                self.slots[free] = slot;
                free
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        }
    }

    pub fn remove(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.waiting.0.retain(|waiting| usize::from(waiting.slot) != slot);
    }

    pub fn slots(&self) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at, slot.as_ref()?)))
    }

    /// The slot of a stream.
    pub fn slot_of(&self, stream: usize) -> Option<usize> {
        self.slots().find(|(_, slot)| slot.stream == stream).map(|(at, _)| at)
    }

    pub fn set_rtx(&mut self, slot: usize, rtx: Option<Rtx>) {
        if let Some(slot) = &mut self.slots[slot] {
            slot.rtx = rtx.map(|rtx| (rtx, 0));
        }
    }

    pub fn subscription(&self, slot: usize) -> Option<&Subscription> {
        match &self.slots.get(slot)?.as_ref()?.share {
            Share::Layers(subscription) => Some(subscription),
            Share::Whole => None,
        }
    }

    /// Whether a refresh of a slot's stream is to be asked for.
    pub fn asks(&self, slot: usize) -> bool {
        self.subscription(slot).is_some_and(|subscription| subscription.next_timeout().is_some())
    }

    pub fn set_target(&mut self, now: Time, slot: usize, target: Option<DecodeTarget>) {
        if let Some(Slot { share: Share::Layers(subscription), .. }) = &mut self.slots[slot] {
            let before = subscription.current();
            subscription.set_target(now, target);
            self.leave_layers(slot, before);
        }
    }

    /// What waits of layers that a receiver got `before` and gets no more would only hold up those that it gets.
    fn leave_layers(&mut self, slot: usize, before: Option<DecodeTarget>) {
        let current = self.subscription(slot).and_then(Subscription::current);
        let (Some(before), Some(current)) = (before, current) else { return };
        if is_above(before, current) && self.path.queued_bytes() > 0 {
            self.path.drop_frames(|frame| {
                frame >> 48 == slot as u64 && layer_of(frame).is_some_and(|layer| is_above(layer, current))
            });
        }
    }

    /// Takes a packet of a slot's stream.
    pub fn handle_packet(
        &mut self,
        now: Time,
        at: usize,
        packet: &Packet,
        frame: Option<&RelayFrame>,
        class: Option<PacketClass>,
        variants: &mut Variants,
    ) -> Handled {
        let Some(Some(slot)) = self.slots.get_mut(at) else { return Handled::Dropped };
        let number = packet.sequence_number;
        // What waits may be of no use after this frame.
        let waits = self.path.queued_bytes() > 0;
        let mut before = None;
        let forwarded = match (&mut slot.share, frame) {
            (Share::Layers(subscription), Some(frame)) => {
                before = waits.then(|| subscription.current()).flatten();
                subscription.handle_frame(now, frame, number)
            }
            (Share::Layers(subscription), None) => subscription.handle_whole(number),
            (Share::Whole, _) => Some(Forwarded::as_is(number)),
        };
        if before.is_some() {
            self.leave_layers(at, before);
        }
        let Some(forwarded) = forwarded else {
            self.handle_missed(now, at, packet, variants);
            return Handled::Dropped;
        };
        let Some(Some(slot)) = self.slots.get_mut(at) else { return Handled::Dropped };
        let Forwarded { sequence_number, end_of_picture, active_decode_targets } = forwarded;
        let variant = variants.get(packet, active_decode_targets);
        let bytes = variant.bytes.len();
        slot.again.budget.grow(bytes);
        if matches!(slot.share, Share::Whole) {
            self.whole.handle_packet(now, bytes + self.path.overhead());
        }
        let layer = frame.map(|frame| frame.layer);
        let class = class.unwrap_or(match layer {
            Some(LayerId { spatial_id: 0, temporal_id: 0 }) => PacketClass::Base,
            _ => PacketClass::Media,
        });
        let frame = path_frame(at, frame, number);
        let packet = Outgoing { variant, sequence_number, end_of_picture, slot: at as u16, rtx: false };
        let packet = PacedPacket { class, frame, bytes, packet };
        match self.path.pass(now, packet) {
            Some(packet) => Handled::Goes(packet),
            None => {
                self.waiting.push(Waiting { frame, slot: at as u16, sequence_number });
                Handled::Waits
            }
        }
    }

    /// A packet is dropped. If the receiver misses it, it gets one without payload in its place, and waits no longer.
    fn handle_missed(&mut self, now: Time, at: usize, packet: &Packet, variants: &mut Variants) {
        let missed = self.subscription(at).and_then(|of| of.missed(packet.sequence_number));
        if let Some(sequence_number) = missed {
            self.send_empty(now, at, sequence_number, packet, variants);
        }
    }

    /// Sends a packet without its payload.
    fn send_empty(
        &mut self,
        now: Time,
        at: usize,
        sequence_number: u16,
        packet: &Packet,
        variants: &mut Variants,
    ) {
        let variant = variants.get(packet, None).without_payload();
        let packet =
            Outgoing { variant, sequence_number, end_of_picture: false, slot: at as u16, rtx: false };
        self.send_again(now, packet, PacketClass::Retransmission, 1);
    }

    /// The path has dropped a frame. Its receiver does not wait for what never comes: each packet of it that was not sent gets
    /// one without payload in its place, since it would be asked for once later ones have come.
    pub fn replace(&mut self, now: Time, dropped: Dropped, cache: &PacketCache, variants: &mut Variants) {
        for number in dropped.numbers {
            let original = self.subscription(dropped.slot).and_then(|of| of.original(number));
            let Some(packet) = original.and_then(|original| cache.get(original)) else { continue };
            variants.clear();
            if let Some(Some(slot)) = self.slots.get_mut(dropped.slot) {
                slot.again.handle_sent(now, number);
            }
            self.send_empty(now, dropped.slot, number, packet, variants);
        }
        variants.clear();
    }

    /// Sends a packet after those that followed it.
    fn send_again(&mut self, now: Time, packet: Outgoing, class: PacketClass, copies: usize) {
        let bytes = packet.variant.bytes.len();
        let frame = AGAIN | u64::from(packet.slot) << 48 | u64::from(packet.sequence_number);
        for packet in std::iter::repeat_n(packet, copies) {
            self.path.handle_packet(now, PacedPacket { class, frame, bytes, packet });
        }
    }

    /// Takes a receiver's request for packets of a slot.
    pub fn handle_nack(
        &mut self,
        now: Time,
        at: usize,
        lost: &[Lost],
        cache: &PacketCache,
        variants: &mut Variants,
    ) {
        let path = self.path.state(now);
        let waiting = self.waiting.numbers(at as u16);
        for number in lost.iter().flat_map(|lost| lost.sequence_numbers()).take(MAX_ASKED) {
            let Some(Some(slot)) = self.slots.get_mut(at) else { return };
            // More important ones have overtaken it, and its turn comes.
            if waiting.binary_search(&number).is_ok() {
                continue;
            }
            let original = match &slot.share {
                Share::Layers(subscription) => subscription.original(number),
                Share::Whole => Some(number),
            };
            let Some(packet) = original.and_then(|original| cache.get(original)) else { continue };
            let frame = packet.frame.as_ref();
            if let (Share::Layers(subscription), Some(frame)) = (&mut slot.share, frame)
                && let Some(current) = subscription.current()
                && is_above(frame.layer, current)
            {
                // It is not worth the bits any more, and what refers to it does not go on.
                subscription.handle_loss(now, frame.number, frame.layer);
            }
            let forwarded = match &slot.share {
                Share::Layers(subscription) => {
                    subscription.again(packet.sequence_number, frame.map(|frame| (frame.number, frame.ends)))
                }
                Share::Whole => Some(Forwarded::as_is(number)),
            };
            let Some(Forwarded { sequence_number, end_of_picture, active_decode_targets }) = forwarded else {
                continue;
            };
            let is_dropped = match (&slot.share, frame) {
                (Share::Layers(subscription), Some(frame)) => subscription.is_dropped(frame.number),
                _ => false,
            };
            let bytes = if is_dropped { EMPTY } else { packet.bytes.len() };
            let copies = slot.again.answer(now, number, bytes, &path);
            if copies == 0 {
                continue;
            }
            let (rtx, slot) = (slot.rtx.is_some(), at as u16);
            variants.clear();
            let mut variant = variants.get(packet, active_decode_targets);
            if is_dropped {
                variant = variant.without_payload();
            }
            // Frames that all others need do not wait for a packet of another one.
            let is_needed = is_dropped || frame.is_none_or(|frame| frame.layer == LayerId::default());
            let class = if is_needed { PacketClass::Retransmission } else { PacketClass::Media };
            let packet = Outgoing { variant, sequence_number, end_of_picture, slot, rtx };
            self.send_again(now, packet, class, copies);
        }
        variants.clear();
    }

    /// Takes a message about the path; others say nothing to it.
    pub fn handle_feedback(&mut self, now: Time, message: &RtcpMessage) {
        // What is no transport-wide feedback about packets of this path says nothing.
        let _ = self.path.handle_feedback(now, message);
    }

    /// The next packet to be sent at `now`, which it appends to `out`; or when to poll again.
    pub fn poll(&mut self, now: Time, out: &mut Vec<u8>) -> DownlinkOutput {
        loop {
            match self.path.poll(now) {
                PathOutput::Packet { packet, probe } => {
                    if let Some(length) = self.send(now, packet, probe, out) {
                        return DownlinkOutput::Packet(length);
                    }
                }
                PathOutput::Padding(padding) => {
                    let start = out.len();
                    if padding.write(out).is_err() {
                        continue;
                    }
                    self.sent.padding += (out.len() - start) as u64;
                    return DownlinkOutput::Packet(out.len() - start);
                }
                PathOutput::Dropped { frame, .. } => {
                    self.sent.frames_dropped += 1;
                    return DownlinkOutput::Dropped(self.handle_dropped(now, frame));
                }
                PathOutput::Bitrate(_) => return DownlinkOutput::Bitrate,
                PathOutput::Timeout(at) => return DownlinkOutput::Timeout(at),
            }
        }
    }

    /// Appends a packet that is sent at `now`, and gives its length; `None` if it cannot be sent after all.
    pub fn send(
        &mut self,
        now: Time,
        packet: PacedPacket<Outgoing>,
        probe: Option<u32>,
        out: &mut Vec<u8>,
    ) -> Option<usize> {
        let start = out.len();
        if self.write(now, packet, probe, out).is_none() {
            out.truncate(start);
            return None;
        }
        self.sent.packets += 1;
        self.sent.bytes += (out.len() - start) as u64;
        Some(out.len() - start)
    }

    fn write(
        &mut self,
        now: Time,
        packet: PacedPacket<Outgoing>,
        probe: Option<u32>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        let PacedPacket { frame, bytes, packet, .. } = packet;
        let is_again = frame & AGAIN != 0;
        let Outgoing { variant, sequence_number, end_of_picture, slot: at, rtx } = packet;
        let mut slot = self.slots.get_mut(usize::from(at)).and_then(Option::as_mut);
        if let Some(slot) = slot.as_mut().filter(|_| !is_again) {
            self.waiting.remove(at, sequence_number);
            slot.again.handle_first(now, sequence_number);
        }
        let start = out.len();
        out.extend_from_slice(&variant.bytes);
        let written = &mut out[start..];
        let mut rtp = RtpPacketMut::new(written).ok()?;
        rtp.set_sequence_number(sequence_number);
        if end_of_picture {
            rtp.set_marker(true);
        }
        self.sent.again += u64::from(is_again);
        let number_at = usize::from(variant.places.number_at);
        if number_at > 0 {
            let number = self.path.number(now, bytes, probe);
            written[number_at..number_at + 2].copy_from_slice(&number.to_be_bytes());
        }
        let send_time_at = usize::from(variant.places.send_time_at);
        if self.has_send_time && send_time_at > 0 {
            written[send_time_at..send_time_at + 3].copy_from_slice(&send_time(now));
        }
        if let Some((rtx, number)) = slot.and_then(|slot| slot.rtx.as_mut()).filter(|_| rtx) {
            let plain = out.split_off(start);
            write_rtx(&plain, (rtx.ssrc, rtx.payload_type), *number, out)?;
            *number = number.wrapping_add(1);
        }
        Some(())
    }

    /// A frame waited for too long.
    fn handle_dropped(&mut self, now: Time, frame: u64) -> Option<Dropped> {
        if frame & AGAIN != 0 {
            return None;
        }
        let at = (frame >> 48) as usize;
        let slot = self.slots.get_mut(at)?.as_mut()?;
        let mut numbers = Vec::new();
        self.waiting.0.retain(|waiting| {
            let stays = waiting.frame != frame;
            if !stays {
                numbers.push(waiting.sequence_number);
            }
            stays
        });
        if let Share::Layers(subscription) = &mut slot.share
            && let Some(layer) = layer_of(frame)
        {
            subscription.handle_loss(now, frame & 0xff_ffff_ffff, layer);
        }
        Some(Dropped { slot: at, stream: slot.stream, numbers })
    }

    /// The refreshes that are needed at `now`, by stream.
    pub fn poll_refreshes(&mut self, now: Time) -> impl Iterator<Item = (usize, Refresh)> {
        self.slots.iter_mut().flatten().filter_map(move |slot| match &mut slot.share {
            Share::Layers(subscription) => Some((slot.stream, subscription.poll(now)?)),
            Share::Whole => None,
        })
    }

    /// When a refresh is to be asked for.
    pub fn next_refresh(&self) -> Option<Time> {
        let timeouts = self.slots.iter().flatten().filter_map(|slot| match &slot.share {
            Share::Layers(subscription) => subscription.next_timeout(),
            Share::Whole => None,
        });
        timeouts.min()
    }

    /// Bit/s of the streams of which no layers are chosen.
    pub fn whole_bitrate(&mut self, now: Time) -> u64 {
        self.whole.bitrate(now)
    }

    pub fn set_wanted(&mut self, bitrate: u64) {
        self.path.set_wanted(bitrate);
    }

    /// When the path was last found to carry less than was sent.
    #[cfg(feature = "simulate")]
    pub fn over_used(&self) -> Option<Time> {
        self.path.over_used()
    }

    pub fn start_probe(&mut self, now: Time, probe: Probe) {
        self.path.start_probe(now, probe);
    }

    pub fn state(&mut self, now: Time) -> PathState {
        self.path.state(now)
    }

    /// When to poll again, if it was polled at `now` and another poll would find nothing; `None` if it might.
    pub fn idle_until(&self, now: Time) -> Option<Time> {
        self.path.idle_until(now)
    }

    /// Bytes of the packets that wait.
    pub fn queued_bytes(&self) -> usize {
        self.path.queued_bytes()
    }
}

/// What becomes of a packet for a receiver.
#[derive(Debug)]
pub(crate) enum Handled {
    /// The receiver does not get it.
    Dropped,
    /// [`Downlink::poll`] gives it when it is due.
    Waits,
    /// It is due, as most packets of a path are that carries what is sent: it is for [`Downlink::send`], at once.
    Goes(PacedPacket<Outgoing>),
}

/// A frame that a path has dropped.
pub(crate) struct Dropped {
    slot: usize,
    /// The stream's place in the room.
    pub stream: usize,
    /// Those under which its packets waited that were never sent.
    numbers: Vec<u16>,
}

/// What a downlink has at a time.
pub(crate) enum DownlinkOutput {
    /// A packet of so many bytes.
    Packet(usize),
    /// The estimate has changed.
    Bitrate,
    /// A frame waited for too long. A refresh may be needed, and [`Downlink::replace`].
    Dropped(Option<Dropped>),
    Timeout(Option<Time>),
}

/// The number of a frame on the path: slot, layer and frame number. The path drops whole frames.
fn path_frame(slot: usize, frame: Option<&RelayFrame>, sequence_number: u16) -> u64 {
    let (layer, number) = match frame {
        Some(RelayFrame { number, layer, .. }) => {
            let LayerId { spatial_id, temporal_id } = *layer;
            (u64::from(spatial_id) << 4 | u64::from(temporal_id), number & 0xff_ffff_ffff)
        }
        None => (WHOLE, sequence_number.into()),
    };
    (slot as u64) << 48 | layer << 40 | number
}

/// The layer of a frame on the path; `None` of packets that go on whole.
fn layer_of(frame: u64) -> Option<LayerId> {
    let temporal_id = frame >> 40 & 0xf;
    (temporal_id != WHOLE).then(|| LayerId::new((frame >> 44 & 0xf) as u8, temporal_id as u8))
}

/// Whether a receiver of a target has no use for a layer.
fn is_above(layer: LayerId, target: DecodeTarget) -> bool {
    layer.spatial_id > target.spatial_id || layer.temporal_id > target.temporal_id
}

/// abs-send-time: seconds in 24 bits, of which 18 are a fraction.
fn send_time(now: Time) -> [u8; 3] {
    let since = now.since_start();
    let units = (since.as_secs() << 18) | ((u64::from(since.subsec_micros()) << 18) / 1_000_000);
    let [.., high, middle, low] = (units as u32).to_be_bytes();
    [high, middle, low]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::extensions::ExtensionIds;
    use super::super::frames::FrameReader;
    use super::*;
    use crate::Size;
    use crate::rtp::descriptor::Describer;
    use crate::rtp::{RtpHeader, RtpPacket};
    use crate::structure::{DecodeTargets, PictureRequest, Planner, ScalabilityMode};

    const IDS: ExtensionIds = ExtensionIds { descriptor: 4, transport: 3, send_time: None };

    /// Twelve packets that a slow path takes a third of a second for, of which the receiver asks for the last meanwhile.
    fn sent(rtx: Option<Rtx>) -> Vec<(u32, u16)> {
        let (mut variants, mut cache) =
            (Variants::new(IDS), PacketCache::new(100_000, Duration::from_secs(2)));
        let mut downlink = Downlink::new(SendPathConfig::new(200_000), IDS.transport, false);
        let slot = downlink.add(0, None);
        downlink.set_rtx(slot, rtx);
        for sequence_number in 0..12 {
            let header = RtpHeader { ssrc: 7, sequence_number, payload_type: 45, ..RtpHeader::default() };
            let mut packet = vec![];
            header.write(&[(3, &[0; 2])], &mut packet).unwrap();
            packet.resize(900, 1);
            let places = IDS.find(&RtpPacket::read(&packet).unwrap()).places;
            let packet = cache.keep(Time::ZERO, sequence_number, &packet, places, None);
            variants.clear();
            let handled = downlink.handle_packet(Time::ZERO, slot, packet, None, None, &mut variants);
            assert!(matches!(handled, Handled::Waits), "nobody has looked after the path yet");
        }
        let lost = Lost { sequence_number: 11, following: 0 };
        let mut sent = vec![];
        for ms in 0..400 {
            let (now, mut out) = (Time::from_millis(ms), vec![]);
            if ms == 20 {
                downlink.handle_nack(now, slot, &[lost], &cache, &mut variants);
            }
            loop {
                match downlink.poll(now, &mut out) {
                    DownlinkOutput::Packet(length) => {
                        let packet = RtpPacket::read(&out[out.len() - length..]).unwrap();
                        sent.push((packet.header.ssrc, packet.header.sequence_number));
                    }
                    DownlinkOutput::Bitrate | DownlinkOutput::Dropped(_) => {}
                    DownlinkOutput::Timeout(_) => break,
                }
            }
        }
        sent
    }

    /// Four pictures of three layers come at once, and a slow path has no time for all.
    #[test]
    fn a_frame_that_waits_too_long_leaves_no_gap() {
        let (mut variants, mut cache) =
            (Variants::new(IDS), PacketCache::new(100_000, Duration::from_secs(2)));
        let mut downlink = Downlink::new(SendPathConfig::new(60_000), IDS.transport, false);
        let slot = downlink.add(0, Some(ForwarderConfig::default()));
        downlink.set_target(Time::ZERO, slot, Some(LayerId::new(2, 2)));
        let mut planner = Planner::new(ScalabilityMode::L3T3, Size::new(640, 360));
        let (mut describer, mut reader) = (Describer::new(), FrameReader::new());
        let mut count = 0;
        for _ in 0..4 {
            let wanted = DecodeTargets::all(planner.structure());
            let plan = planner.next(PictureRequest { wanted, ..PictureRequest::default() });
            for descriptor in describer.describe(&plan).unwrap() {
                let frame = reader.handle_descriptor(&descriptor).unwrap();
                let (mut written, mut packet) = (vec![], vec![]);
                descriptor.write(frame.structure(), &mut written).unwrap();
                let header = RtpHeader { ssrc: 7, sequence_number: count, ..RtpHeader::default() };
                header.write(&[(4, &written), (3, &[0; 2])], &mut packet).unwrap();
                packet.resize(900, 1);
                let places = IDS.find(&RtpPacket::read(&packet).unwrap()).places;
                let packet = cache.keep(Time::ZERO, count, &packet, places, Some(&frame));
                variants.clear();
                let handled =
                    downlink.handle_packet(Time::ZERO, slot, packet, Some(&frame), None, &mut variants);
                assert!(matches!(handled, Handled::Waits), "nobody has looked after the path yet");
                count += 1;
            }
        }
        let (mut sent, mut dropped) = (vec![], 0);
        for ms in 0..1000 {
            let (now, mut out) = (Time::from_millis(ms), vec![]);
            loop {
                match downlink.poll(now, &mut out) {
                    DownlinkOutput::Packet(length) => {
                        let packet = RtpPacket::read(&out[out.len() - length..]).unwrap();
                        if packet.header.ssrc == 7 {
                            sent.push((packet.header.sequence_number, packet.payload.is_empty()));
                        }
                    }
                    DownlinkOutput::Dropped(frame) => {
                        dropped += 1;
                        downlink.replace(now, frame.unwrap(), &cache, &mut variants);
                    }
                    DownlinkOutput::Bitrate => {}
                    DownlinkOutput::Timeout(_) => break,
                }
            }
        }
        sent.sort_unstable();
        let numbers: Vec<u16> = sent.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (0..count).collect::<Vec<_>>());
        let empty = sent.iter().filter(|(_, is_empty)| *is_empty).count();
        assert!(empty == dropped && empty > 0, "{empty} of {dropped}: {sent:?}");
    }

    /// The receiver saw others that had overtaken it. To send it ahead of its turn would hold up those.
    #[test]
    fn a_packet_that_is_asked_for_while_it_waits_goes_once_and_in_its_turn() {
        for rtx in [None, Some(Rtx { ssrc: 99, payload_type: 46 })] {
            let sent = sent(rtx);
            assert!(sent.iter().all(|(ssrc, _)| *ssrc != 99), "{sent:?}");
            let of_stream: Vec<u16> =
                sent.iter().filter(|(ssrc, _)| *ssrc == 7).map(|(_, number)| *number).collect();
            assert_eq!(of_stream, (0..12).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_newest_packet_is_not_sent_again_within_a_round_trip() {
        let (ms, round_trip) = (Time::from_millis, Some(Duration::from_millis(80)));
        let path = PathState { round_trip, ..PathState::default() };
        let mut again = Again::default();
        again.budget.grow(10_000);
        for (at, number) in [(10, 5), (100, 6)] {
            again.handle_first(ms(at), number);
        }
        assert_eq!(again.answer(ms(130), 6, 100, &path), 0);
        assert_eq!(again.answer(ms(130), 5, 100, &path), 1);
        assert_eq!(again.answer(ms(181), 6, 100, &path), 1);
    }
}
