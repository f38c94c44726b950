//! A participant: what they send and show, and the keys that they hold.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use layercast::Time;
use layercast::congestion::{FeedbackConfig, ReceivePath};
use layercast::e2ee::mls::{Group, Login};
use layercast::e2ee::{Agreement, Grant, KeyRing, SenderKeys, VideoOpener};
use layercast::picture::Picture;
use layercast::relay::ParticipantId;
use layercast::rtp::RtpPacket;
use layercast::rtp::rtcp::is_rtcp;
use layercast::select::{Cap, Cpu, DecodeTime, ReceiverReport, StreamId, Window};
use layercast::session::{
    ReceiverOutput, SenderOutput, ShownPicture, TRANSPORT_ID, VideoReceiver, VideoReceiverConfig, VideoSender,
};
use layercast::structure::LayerId;
use layercast_examples::Result;

use crate::outcome::PersonOutcome;
use crate::path::Path;
use crate::script::Action;
use crate::stream::Stream;

/// How long keys of an epoch hold after the next one has begun.
const OVERLAP: Duration = Duration::from_secs(5);
/// Luma samples of the frame whose decode time a slow processor reports.
const MEASURED: u32 = 57_600;

/// A participant.
pub struct Person {
    pub id: ParticipantId,
    pub name: String,
    pub login: Option<Login>,
    /// Observers have none, and who was removed has none any more.
    pub group: Option<Group>,
    pub keys: Option<SenderKeys>,
    /// Whether they are to hear of commits, though the welcome may still be on its way.
    pub invited: bool,
    pub observer: bool,
    /// Of an observer: the last grant of each stream.
    pub grants: HashMap<usize, Grant>,
    /// What waits until they are in the group.
    pub pending: Vec<Action>,
    pub up: Path,
    pub down: Path,
    pub receive: ReceivePath,
    /// The first one has the path, the others send over it. With the places of their streams.
    pub sources: Vec<(usize, VideoSender)>,
    pub screens: Vec<Screen>,
    pub tap: Option<Tap>,
    pub decode_ns: f64,
    /// Until when the processor decodes what has come.
    busy: Time,
    measured: bool,
    pub left: Option<Time>,
    pub wake: Option<Time>,
    pub outcome: PersonOutcome,
}

/// A stream that a participant shows or showed.
pub struct Screen {
    pub stream: usize,
    pub ssrc: u32,
    pub receiver: VideoReceiver,
    pub window: Window,
    pub last: Option<(Time, Picture)>,
}

/// Listens to all that reaches the relay, with the keys that its owner has.
#[derive(Default)]
pub struct Tap {
    pub ears: Vec<Ear>,
}

/// What is heard of one stream.
pub struct Ear {
    pub stream: usize,
    pub ssrc: u32,
    pub receiver: VideoReceiver,
    /// Pictures opened by their highest spatial layer, and when the last of them was captured.
    pub opened: [u64; 3],
    pub last: Option<Time>,
}

impl Person {
    pub fn new(id: u32, action: &Action) -> Result<Self> {
        let Action::Join { who, device, up, down, decode_ns, observer, taps } = action else {
            return Err("nobody joins".into());
        };
        let login = Login::new(who.as_bytes(), Duration::from_secs(3600))?;
        Ok(Self {
            id: ParticipantId(id),
            name: who.clone(),
            login: (!observer).then_some(login),
            group: None,
            keys: None,
            invited: false,
            observer: *observer,
            grants: HashMap::new(),
            pending: Vec::new(),
            up: Path::new(up),
            down: Path::new(down),
            receive: ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(1000 + id, 0)),
            sources: Vec::new(),
            screens: Vec::new(),
            tap: taps.then(Tap::default),
            decode_ns: *decode_ns,
            busy: Time::ZERO,
            measured: false,
            left: None,
            wake: None,
            outcome: PersonOutcome::new(who, device, *observer),
        })
    }

    /// Whether they can have keys by now.
    pub fn is_ready(&self) -> bool {
        self.observer || self.group.is_some()
    }

    /// A receiver's way into a stream.
    fn opener(&self, now: Time, at: usize, stream: &Stream) -> Result<(VideoOpener, KeyRing)> {
        let agreement = Agreement::default();
        let mut ring = KeyRing::new(agreement, OVERLAP);
        if let Some(group) = &self.group {
            group.enter(now, &mut ring)?;
        }
        if let Some(grant) = self.grants.get(&at) {
            ring.add(now, grant.clone());
        }
        Ok((VideoOpener::new(agreement, stream.member, stream.number), ring))
    }

    fn receiver_config(&self, stream: &Stream) -> VideoReceiverConfig {
        let mut config = VideoReceiverConfig::new(stream.ssrc, stream.top());
        config.transport_id = None;
        config.own_ssrc = 1000 + self.id.0;
        config
    }

    /// Shows streams in windows, and no others.
    pub fn show(&mut self, now: Time, windows: &[(usize, Window)], streams: &[Stream]) -> Result<()> {
        for screen in &mut self.screens {
            screen.window = Window::default();
        }
        for &(at, window) in windows {
            let known = self.screens.iter().position(|screen| screen.stream == at);
            let place = match known {
                Some(place) => place,
                None => {
                    let stream = &streams[at];
                    let mut config = self.receiver_config(stream);
                    if self.observer {
                        config.target = LayerId::new(0, config.target.temporal_id);
                    }
                    let receiver = VideoReceiver::new(config, Some(self.opener(now, at, stream)?))?;
                    let (ssrc, window) = (stream.ssrc, Window::default());
                    self.screens.push(Screen { stream: at, ssrc, receiver, window, last: None });
                    self.screens.len() - 1
                }
            };
            self.screens[place].window = window;
        }
        Ok(())
    }

    /// Listens to a stream, if they listen to any.
    pub fn listen(&mut self, now: Time, at: usize, stream: &Stream) -> Result<()> {
        if self.tap.as_ref().is_none_or(|tap| tap.ears.iter().any(|ear| ear.stream == at)) {
            return Ok(());
        }
        let opener = self.opener(now, at, stream)?;
        let receiver = VideoReceiver::without_decoder(self.receiver_config(stream), Some(opener));
        let ear = Ear { stream: at, ssrc: stream.ssrc, receiver, opened: [0; 3], last: None };
        self.tap.get_or_insert_default().ears.push(ear);
        Ok(())
    }

    /// Everybody's keys of a new epoch.
    pub fn enter(&mut self, now: Time) -> Result<()> {
        let Some(group) = &self.group else { return Ok(()) };
        let ears = self.tap.iter_mut().flat_map(|tap| &mut tap.ears).map(|ear| &mut ear.receiver);
        for receiver in self.screens.iter_mut().map(|screen| &mut screen.receiver).chain(ears) {
            if let Some(ring) = receiver.keys_mut() {
                group.enter(now, ring)?;
            }
        }
        self.keys = None;
        Ok(())
    }

    /// Of an observer: the key of a base layer.
    pub fn grant(&mut self, now: Time, at: usize, grant: &Grant, removal: Option<u64>) {
        self.grants.insert(at, grant.clone());
        let ears =
            self.tap.iter_mut().flat_map(|tap| &mut tap.ears).map(|ear| (ear.stream, &mut ear.receiver));
        let screens = self.screens.iter_mut().map(|screen| (screen.stream, &mut screen.receiver));
        for (_, receiver) in screens.chain(ears).filter(|(stream, _)| *stream == at) {
            if let Some(ring) = receiver.keys_mut() {
                ring.add(now, grant.clone());
                if let Some(epoch) = removal {
                    ring.end_before(now, epoch);
                }
            }
        }
    }

    /// Keys to seal with in this epoch.
    pub fn sender_keys(&mut self) -> Result<&mut SenderKeys> {
        if self.keys.is_none() {
            let group = self.group.as_mut().ok_or("only a member sends")?;
            self.keys = Some(group.sender_keys()?);
        }
        self.keys.as_mut().ok_or_else(|| "no keys".into())
    }

    /// Seals with the keys of a new epoch.
    pub fn rekey(&mut self, streams: &mut [Stream], now: Time) -> Result<()> {
        if self.sources.is_empty() {
            return Ok(());
        }
        self.sender_keys()?;
        let Some(keys) = &mut self.keys else { return Ok(()) };
        for (at, sender) in &mut self.sources {
            sender.rekey(keys, streams[*at].number)?;
            streams[*at].rekeyed.push(now);
        }
        Ok(())
    }

    /// The windows, and what is known of the processor.
    pub fn report(&self) -> ReceiverReport {
        let shown = || self.screens.iter().filter(|screen| screen.window.visible);
        let id = |screen: &Screen| StreamId(screen.stream as u32);
        let cap = Cap { max_spatial_id: Some(0), ..Cap::default() };
        let time = Duration::from_nanos((self.decode_ns * f64::from(MEASURED)) as u64);
        let decode_times = [DecodeTime { luma_samples: MEASURED, time }].into_iter().collect();
        ReceiverReport {
            windows: shown().map(|screen| (id(screen), screen.window)).collect(),
            cpu: self.measured.then_some(Cpu { decode_times, cores: None, load: None }),
            caps: shown().filter(|_| self.observer).map(|screen| (Some(id(screen)), cap)).collect(),
        }
    }

    /// When a slow processor has decoded a picture, and whether that is the first time.
    pub fn decode(&mut self, now: Time, stream: &Stream, picture: &ShownPicture) -> (Time, bool) {
        if self.decode_ns == 0.0 {
            return (now, false);
        }
        let structure = stream.mode.structure();
        let layers = 0..=picture.target.spatial_id.min(structure.spatial_layers - 1);
        let samples: u64 = layers.map(|layer| structure.layer_size(stream.size, layer).samples()).sum();
        self.busy = self.busy.max(now) + Duration::from_nanos((self.decode_ns * samples as f64) as u64);
        let first = !std::mem::replace(&mut self.measured, true);
        (self.busy, first)
    }

    /// Takes a packet from the relay.
    pub fn handle_packet(&mut self, now: Time, packet: Bytes) {
        if is_rtcp(&packet) {
            for (_, sender) in &mut self.sources {
                sender.handle_feedback(now, &packet);
            }
            for screen in &mut self.screens {
                screen.receiver.handle_packet(now, packet.clone());
            }
            return;
        }
        self.receive.handle_packet(now, &packet);
        let Ok(ssrc) = RtpPacket::read(&packet).map(|packet| packet.header.ssrc) else { return };
        if let Some(screen) = self.screens.iter_mut().find(|screen| screen.ssrc == ssrc) {
            screen.receiver.handle_packet(now, packet);
        }
    }

    /// What they send and show at `now`: packets, and pictures with the places of their screens.
    pub fn poll(&mut self, now: Time, packets: &mut Vec<Bytes>, pictures: &mut Vec<(usize, ShownPicture)>) {
        let mut wake = None;
        let mut sleep = |at: Option<Time>| wake = [wake, at].into_iter().flatten().min();
        if let Some(((_, first), others)) = self.sources.split_first_mut() {
            for (_, sender) in others.iter_mut() {
                while let Some(packet) = sender.next_packet() {
                    first.handle_packet(now, packet);
                }
                loop {
                    match sender.poll(now) {
                        SenderOutput::Transmit(packet) => packets.push(packet),
                        SenderOutput::Timeout(at) => break sleep(at),
                        _ => {}
                    }
                }
            }
            loop {
                match first.poll(now) {
                    SenderOutput::Transmit(packet) => packets.push(packet),
                    SenderOutput::Dropped(frame) => {
                        others.iter_mut().for_each(|(_, sender)| sender.handle_dropped(now, frame));
                    }
                    SenderOutput::Timeout(at) => break sleep(at),
                    _ => {}
                }
            }
        }
        for (place, screen) in self.screens.iter_mut().enumerate() {
            loop {
                match screen.receiver.poll(now) {
                    ReceiverOutput::Transmit(packet) => packets.push(packet),
                    ReceiverOutput::Picture(picture) => pictures.push((place, picture)),
                    ReceiverOutput::Timeout(at) => break sleep(at),
                    _ => {}
                }
            }
        }
        while let Some(packet) = self.receive.poll(now) {
            packets.push(packet);
        }
        sleep(self.receive.next_timeout());
        // What is due already is done the next time.
        self.wake = wake.map(|wake| wake.max(now + Duration::from_micros(100)));
    }
}

impl Tap {
    /// Takes a packet that reached the relay.
    pub fn handle_packet(&mut self, now: Time, ssrc: u32, packet: &[u8], streams: &[Stream]) {
        let Some(ear) = self.ears.iter_mut().find(|ear| ear.ssrc == ssrc) else { return };
        ear.receiver.handle_packet(now, Bytes::copy_from_slice(packet));
        loop {
            match ear.receiver.poll(now) {
                ReceiverOutput::Unit(unit) => {
                    let layers = unit.frames.iter().map(|frame| usize::from(frame.layer.spatial_id));
                    ear.opened[layers.max().unwrap_or(0).min(2)] += 1;
                    ear.last = ear.last.max(streams[ear.stream].captured(unit.timestamp));
                }
                ReceiverOutput::Timeout(_) => break,
                _ => {}
            }
        }
    }
}
