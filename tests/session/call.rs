//! A sender, a network and a receiver in virtual time, each as the program that links the crate drives it. Frames are
//! sealed, and stand for coded pictures by their sizes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
use layercast::rtp::rtcp::is_rtcp;
use layercast::rtp::{DecodableUnit, RtpPacketMut};
use layercast::session::*;
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, ScalabilityMode};
use layercast::{Size, Time};

use crate::chance::Chance;

/// From one picture to the next.
pub const PICTURE: Duration = Duration::from_micros(33_333);
/// One way.
pub const DELAY: Duration = Duration::from_millis(50);
/// How late a packet is that others overtake.
const OVERTAKEN: Duration = Duration::from_millis(15);
pub const SSRC: u32 = 0x5eed;

pub fn captured(n: u64) -> Time {
    Time::ZERO + PICTURE * n as u32
}

/// Bytes of a frame: about those of the built-in scene at 640x360.
fn frame_size(layer: LayerId, key: bool) -> usize {
    let size = [150, 300, 700][usize::from(layer.spatial_id)];
    let share = [4, 2, 1][usize::from(layer.temporal_id)];
    size * share / 2 * if key { 4 } else { 1 }
}

pub enum Event {
    Picture(u64),
    ToReceiver(Bytes),
    ToSender(Bytes),
    /// The stream goes on in another mode or size.
    Restart(ScalabilityMode, Size),
    /// The sender loses all it had, and goes on with keys of the next epoch. Its first sequence number is so many ahead of
    /// the last one.
    NewSender(SenderKeys, i16),
    /// The sender goes on with the keys of the next epoch, and the commit is on its way.
    Rekey(SenderKeys),
    /// The commit with the keys of the next epoch reaches the receiver.
    Keys(SenderKeys),
}

/// What the network does.
#[derive(Clone, Copy, Default)]
pub struct Faults {
    /// Packets lost each way, in percent.
    pub loss: u64,
    /// Packets overtaken by others, in percent.
    pub reorder: u64,
    /// No packet arrives in between.
    pub outage: Option<(Time, Time)>,
    /// How much faster the sender's clock is than the receiver's, in parts per million.
    pub drift: i32,
}

/// A picture that was shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    pub number: u64,
    pub at: Time,
    pub spatial_id: u8,
}

impl Shown {
    pub fn delay(&self) -> Duration {
        self.at - captured(self.number)
    }
}

pub struct Call {
    pub faults: Faults,
    pub chance: Chance,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    pub planner: Planner,
    pub sender: VideoSender,
    pub receiver: VideoReceiver,
    pub shown: Vec<Shown>,
    /// The sequence number that was sent last, and what is done to the next ones, which are random.
    last_number: u16,
    renumber: Renumber,
}

enum Renumber {
    /// The next packet gets this number.
    From(u16),
    By(u16),
}

impl Call {
    pub fn new(faults: Faults, config: impl FnOnce(&mut VideoReceiverConfig)) -> (Self, SenderKeys) {
        let mode = ScalabilityMode::L3T3;
        let agreement = Agreement::default();
        let mut keys = SenderKeys::fresh(agreement, 1, 0).unwrap();
        let mut ring = KeyRing::new(agreement, Duration::from_secs(5));
        ring.add(Time::ZERO, keys.grant().clone());
        let sealer = keys.video(0).unwrap();
        let mut receiver = VideoReceiverConfig::new(SSRC, LayerId::new(2, 2));
        config(&mut receiver);
        let opener = VideoOpener::new(agreement, 1, 0);
        let mut sender = VideoSenderConfig::new(SSRC);
        // The network has no bottleneck: tests/session_path.rs has one.
        sender.path = None;
        let call = Self {
            faults,
            chance: Chance(7),
            events: BTreeMap::new(),
            count: 0,
            planner: Planner::new(mode, Size::new(640, 360)),
            sender: VideoSender::without_encoder(sender, Some(sealer)),
            receiver: VideoReceiver::without_decoder(receiver, Some((opener, ring))),
            shown: vec![],
            last_number: 0,
            renumber: Renumber::By(0),
        };
        (call, keys)
    }

    pub fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.insert((time, self.count), event);
    }

    fn renumber(&mut self, packet: Bytes) -> Bytes {
        if is_rtcp(&packet) {
            return packet;
        }
        let mut packet = packet.to_vec();
        let number = u16::from_be_bytes([packet[2], packet[3]]);
        let by = match self.renumber {
            Renumber::By(by) => by,
            Renumber::From(first) => first.wrapping_sub(number),
        };
        self.renumber = Renumber::By(by);
        self.last_number = number.wrapping_add(by);
        RtpPacketMut::new(&mut packet).unwrap().set_sequence_number(self.last_number);
        packet.into()
    }

    /// A packet goes on its way.
    pub fn transmit(&mut self, now: Time, event: Event) {
        // Reports and transport-wide feedback neither get lost nor move the losses of other packets.
        if let Event::ToReceiver(packet) | Event::ToSender(packet) = &event
            && (matches!(packet[1], 200 | 201) || packet[..2] == [0x8f, 205])
        {
            return self.at(now + DELAY, event);
        }
        let out = self.faults.outage.is_some_and(|(from, to)| from <= now && now < to);
        if out || self.chance.below(100) < self.faults.loss {
            return;
        }
        let late = if self.chance.below(100) < self.faults.reorder { OVERTAKEN } else { Duration::ZERO };
        self.at(now + DELAY + late, event);
    }

    pub fn picture(&mut self, now: Time, number: u64) {
        let refresh = self.sender.next_refresh(now);
        let wanted = DecodeTargets::all(self.planner.structure());
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        let payloads: Vec<Vec<u8>> = plan
            .frames
            .iter()
            .map(|frame| {
                let mut payload = vec![0; frame_size(frame.layer, plan.key)];
                payload[..8].copy_from_slice(&number.to_be_bytes());
                payload
            })
            .collect();
        let microseconds = now.since_start().as_micros() as i64;
        let at = microseconds + microseconds * i64::from(self.faults.drift) / 1_000_000;
        let captured = Time::ZERO + Duration::from_micros(at as u64);
        self.sender.handle_coded(captured, &plan, payloads.iter().map(Vec::as_slice)).unwrap();
    }

    pub fn show(&mut self, now: Time, unit: &DecodableUnit) {
        let top = unit.frames.last().unwrap();
        let number = u64::from_be_bytes(top.payload[..8].try_into().unwrap());
        let spatial_id = top.layer.spatial_id;
        match self.shown.last_mut() {
            // An upper layer that came after the others had been shown.
            Some(last) if last.number == number => last.spatial_id = spatial_id,
            last => {
                assert!(last.is_none_or(|last| last.number < number), "in order");
                self.shown.push(Shown { number, at: now, spatial_id });
            }
        }
    }

    /// Sends this many pictures and runs until nothing more happens.
    pub fn run(&mut self, pictures: u64) {
        for n in 0..pictures {
            self.at(captured(n), Event::Picture(n));
        }
        let end = captured(pictures) + Duration::from_secs(2);
        let mut wake = None;
        loop {
            let next = self.events.first_key_value().map(|((time, _), _)| *time);
            let Some(now) = wake.into_iter().chain(next).min().filter(|now| *now <= end) else { break };
            if next == Some(now) {
                match self.events.pop_first().unwrap().1 {
                    Event::Picture(n) => self.picture(now, n),
                    Event::ToReceiver(packet) => self.receiver.handle_packet(now, packet),
                    Event::ToSender(packet) => self.sender.handle_feedback(now, &packet),
                    Event::Restart(mode, size) => self.planner.restart(mode, size),
                    Event::NewSender(mut keys, ahead) => {
                        self.renumber = Renumber::From(self.last_number.wrapping_add_signed(ahead));
                        let sealer = keys.video(0).unwrap();
                        let mut config = VideoSenderConfig::new(SSRC);
                        config.path = None;
                        self.sender = VideoSender::without_encoder(config, Some(sealer));
                        self.planner = Planner::new(ScalabilityMode::L3T3, Size::new(640, 360));
                        self.receiver.keys_mut().unwrap().add(now, keys.grant().clone());
                    }
                    Event::Rekey(mut keys) => {
                        self.sender.rekey(&mut keys, 0).unwrap();
                        self.at(now + DELAY, Event::Keys(keys));
                    }
                    Event::Keys(keys) => {
                        self.receiver.keys_mut().unwrap().add(now, keys.grant().clone());
                    }
                }
            }
            while let SenderOutput::Transmit(packet) = self.sender.poll(now) {
                let packet = self.renumber(packet);
                self.transmit(now, Event::ToReceiver(packet));
            }
            loop {
                match self.receiver.poll(now) {
                    ReceiverOutput::Transmit(packet) => self.transmit(now, Event::ToSender(packet)),
                    ReceiverOutput::Unit(unit) => self.show(now, &unit),
                    ReceiverOutput::Timeout(at) => {
                        assert!(at.is_none_or(|at| at > now), "a timeout that is over at {now:?}");
                        wake = at;
                        break;
                    }
                    _ => {}
                }
            }
        }
    }

    /// The delay of this share of the pictures shown, in ms.
    pub fn delay(&self, share: f64) -> f64 {
        let mut delays: Vec<Duration> = self.shown.iter().map(Shown::delay).collect();
        delays.sort();
        delays[((delays.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
    }

    /// The longest time from a picture shown to the next, in ms.
    pub fn gap(&self) -> f64 {
        let gaps = self.shown.windows(2).map(|pair| pair[1].at - pair[0].at);
        gaps.max().unwrap_or_default().as_secs_f64() * 1e3
    }

    /// Pictures shown at full size.
    pub fn full(&self) -> usize {
        self.shown.iter().filter(|shown| shown.spatial_id == 2).count()
    }

    pub fn summary(&self) -> String {
        let full = self.full();
        format!(
            "{} shown, {full} of full size; delay p50 {:.0} ms, p99 {:.0} ms; longest gap {:.0} ms; {:?} {:?}",
            self.shown.len(),
            self.delay(0.5),
            self.delay(0.99),
            self.gap(),
            self.sender.statistics(),
            self.receiver.statistics()
        )
    }
}
