//! What the participant sends: cameras, screens, sound and messages, over one path.

use std::time::Duration;

use bytes::Bytes;
use layercast::Time;
use layercast::congestion::{PacketClass, PathPacket, SendPathConfig};
use layercast::e2ee::{Context, GuestCap, MAX_GUEST_CAPS, SenderKeys};
use layercast::picture::PictureView;
use layercast::rtp::RtpPacket;
use layercast::rtp::rtcp::is_rtcp;
use layercast::select::DemandMessage;
use layercast::session::{
    AudioLevel, AudioSender, AudioSenderConfig, DataSender, DataSenderConfig, OutgoingAudio, SendError,
    SenderOutput, VideoSender, VideoSenderConfig,
};
use layercast::structure::LayerId;
use layercast_meeting::wire::PADDING_SSRC;
use layercast_meeting::{Kind, Published};

use super::source::{Sender, Source, SourceCounts, VideoSource};

/// What the path is taken to carry at first, in bit/s.
const START: u64 = 1_000_000;
/// Bytes of a packet at most, so that one that a relay has written anew passes wherever 1280 bytes do (IPv6): with a mask, as a
/// retransmission, and under SRTP.
const MAX_PACKET: usize = 1180;
/// Ticks of the clock of Opus in a second (RFC 7587, section 4.1).
const OPUS_CLOCK: u32 = 48_000;

/// The tracks below are those of a camera with a cap: a leaf states so many caps at most. Each serves for one publication in
/// an epoch, so that no key counts from 0 twice. In the next epoch keys are others, and the tracks begin again.
const CAPPED_TRACKS: u16 = MAX_GUEST_CAPS as u16;
/// From this track on, a camera with a cap has not many left in the epoch.
pub const LAST_TRACKS: u16 = 3 * CAPPED_TRACKS / 4;

/// The caps of all tracks that a camera may have.
pub fn caps(spatial_id: u8) -> [GuestCap; MAX_GUEST_CAPS] {
    std::array::from_fn(|track| GuestCap { stream: track as u16, spatial_id })
}

/// All sources.
pub struct Uplink {
    sources: Vec<Source>,
    /// The next track of all but cameras with a cap.
    tracks: u16,
    /// Of a camera with a cap, the tracks that were used in this epoch, one bit each.
    capped: Option<u16>,
}

impl Uplink {
    /// Nothing yet. Cameras may have a cap.
    pub fn new(has_cap: bool) -> Self {
        let (tracks, capped) = if has_cap { (CAPPED_TRACKS, Some(0)) } else { (0, None) };
        Self { sources: Vec::new(), tracks, capped }
    }

    /// Adds a source, and returns its place.
    pub fn add(&mut self, kind: Kind, video: Option<VideoSource>, wanted: bool) -> usize {
        self.sources.push(Source {
            kind,
            video,
            wanted,
            live: None,
            track: None,
            sender: None,
            first: None,
            clock: None,
            demand: Vec::new(),
            bytes: 0,
            has_begun: false,
        });
        self.sources.len() - 1
    }

    /// The sources, by their places.
    pub fn sources(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.sources.iter().enumerate()
    }

    /// The source at a place.
    pub fn source_mut(&mut self, place: usize) -> Option<&mut Source> {
        self.sources.get_mut(place)
    }

    /// The place of the first source of a kind.
    pub fn place_of(&self, kind: Kind) -> Option<usize> {
        self.sources.iter().position(|source| source.kind == kind)
    }

    /// The camera's or screen's properties.
    pub fn video(&self, place: usize) -> Option<&VideoSource> {
        self.sources.get(place)?.video.as_ref()
    }

    /// A number for a stream that no stream had before in this epoch. `None` if there are no more.
    pub fn next_track(&mut self, kind: Kind) -> Option<u16> {
        if let Some(used) = self.capped.as_mut().filter(|_| kind == Kind::Camera) {
            let track = used.trailing_ones();
            *used |= 1_u16.checked_shl(track)?;
            return Some(track as u16);
        }
        let track = self.tracks;
        self.tracks = self.tracks.checked_add(1)?;
        Some(track)
    }

    /// The relay knows of a source: it is sent from now on, with keys of the epoch.
    ///
    /// # Errors
    /// If a key is in use, or the encoder refuses its configuration.
    pub fn publish(
        &mut self,
        place: usize,
        published: Published,
        keys: &mut SenderKeys,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let has_path = |source: &Source| matches!(&source.sender, Some(Sender::Video(sender)) if sender.path().is_some());
        let others_have_path =
            self.sources.iter().enumerate().any(|(at, source)| at != place && has_path(source));
        let Some(source) = self.sources.get_mut(place) else { return Ok(()) };
        let Some(track) = source.track else { return Ok(()) };
        let ssrc = published.ssrc;
        let sender = match (&source.video, source.kind) {
            (Some(video), _) => {
                let mut config = VideoSenderConfig::new(ssrc);
                (config.opaque, config.max_packet) = (true, MAX_PACKET);
                config.path = (!others_have_path).then(|| {
                    let mut path = SendPathConfig::new(START);
                    path.padding_ssrc = PADDING_SSRC;
                    path
                });
                config.max_bitrate = Some(video.max_bitrate);
                let mut sender = VideoSender::new(config, video.encoder(), Some(keys.video(track)?))?;
                // The path goes on, with its numbers and what is known of it.
                if let Some(Sender::Video(before)) = &mut source.sender
                    && let (Some(before), Some(path)) = (before.path_mut(), sender.path_mut())
                {
                    std::mem::swap(before, path);
                }
                Sender::Video(Box::new(sender))
            }
            (None, Kind::Audio) => {
                let mut config = AudioSenderConfig::new(ssrc);
                config.reports = Some(OPUS_CLOCK);
                Sender::Audio(AudioSender::new(config, keys.sealer(Context::audio(track))?))
            }
            _ => Sender::Data(DataSender::new(
                DataSenderConfig::best_effort(ssrc),
                keys.sealer(Context::data(track))?,
            )),
        };
        source.sender = Some(sender);
        source.live = Some(published);
        (source.first, source.clock, source.has_begun) = (None, None, false);
        source.demand.clear();
        Ok(())
    }

    /// A source is no longer sent. What paces the others stays.
    pub fn unpublish(&mut self, stream: u32) {
        for source in &mut self.sources {
            if source.live.is_some_and(|live| live.stream == stream) {
                source.live = None;
                if !matches!(source.sender, Some(Sender::Video(_))) {
                    source.sender = None;
                }
            }
        }
    }

    /// The link is gone, and with it all streams.
    pub fn reset(&mut self) {
        for source in &mut self.sources {
            (source.live, source.sender) = (None, None);
        }
    }

    /// Seals with the keys of a new epoch.
    ///
    /// # Errors
    /// If a key is in use: nothing may be sent then.
    pub fn rekey(&mut self, keys: &mut SenderKeys) -> Result<(), Box<dyn std::error::Error>> {
        if let Some(used) = &mut self.capped {
            // A track may be on its way to the relay.
            let cameras = self.sources.iter().filter(|source| source.kind == Kind::Camera);
            let tracks = cameras.filter_map(|source| 1_u16.checked_shl(source.track?.into()));
            *used = tracks.fold(0, |all, track| all | track);
        }
        for source in &mut self.sources {
            // What is not announced sends nothing, and gets another number when it is.
            let Some(track) = source.track.filter(|_| source.live.is_some()) else { continue };
            match &mut source.sender {
                Some(Sender::Video(sender)) => sender.rekey(keys, track)?,
                Some(Sender::Audio(sender)) => sender.rekey(keys, track)?,
                Some(Sender::Data(sender)) => sender.rekey(keys, track)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Codes a picture that was captured at `now`. `false` if nothing is sent of it.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn handle_picture(
        &mut self,
        now: Time,
        place: usize,
        picture: &PictureView<'_>,
    ) -> Result<bool, SendError> {
        let Some(source) = self.sources.get_mut(place).filter(|source| source.live.is_some()) else {
            return Ok(false);
        };
        let Some(Sender::Video(sender)) = &mut source.sender else { return Ok(false) };
        let before = sender.statistics().pictures;
        sender.handle_picture(now, picture)?;
        let coded = sender.statistics().pictures > before;
        if coded {
            source.first.get_or_insert(now);
        }
        Ok(coded)
    }

    /// Takes how long coding the last picture of a source took.
    pub fn handle_encode_time(&mut self, place: usize, took: Duration) {
        if let Some(Source { sender: Some(Sender::Video(sender)), video: Some(video), .. }) =
            self.sources.get_mut(place)
        {
            sender.handle_encode_time(took, video.interval());
        }
    }

    /// Takes a frame of sound.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn handle_audio(
        &mut self,
        now: Time,
        place: usize,
        payload: &[u8],
        timestamp: u32,
    ) -> Result<(), SendError> {
        let Some(source) = self.sources.get_mut(place).filter(|source| source.live.is_some()) else {
            return Ok(());
        };
        let Some(Sender::Audio(sender)) = &mut source.sender else { return Ok(()) };
        let after_pause = !std::mem::replace(&mut source.has_begun, true);
        let level = AudioLevel { below: 30, voice: true };
        sender.handle_frame(now, &OutgoingAudio { payload, timestamp, after_pause, level })
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`SendError`].
    pub fn handle_message(&mut self, now: Time, message: &[u8]) -> Result<(), SendError> {
        for source in self.sources.iter_mut().filter(|source| source.live.is_some()) {
            if let Some(Sender::Data(sender)) = &mut source.sender {
                sender.handle_message(now, message)?;
            }
        }
        Ok(())
    }

    /// Takes what the relay asks for by RTCP.
    pub fn handle_feedback(&mut self, now: Time, packet: &[u8]) {
        for source in &mut self.sources {
            match &mut source.sender {
                Some(Sender::Video(sender)) => sender.handle_feedback(now, packet),
                Some(Sender::Data(sender)) => sender.handle_feedback(now, packet),
                _ => {}
            }
        }
    }

    /// Takes which layers others watch. Returns the source's kind and the highest target of each spatial layer, if that is
    /// news.
    pub fn handle_demand(&mut self, message: &DemandMessage) -> Option<(Kind, &[LayerId])> {
        let stream = message.stream.0;
        let source = self.sources.iter_mut().find(|it| it.live.is_some_and(|live| live.stream == stream))?;
        let Some(Sender::Video(sender)) = &mut source.sender else { return None };
        sender.handle_demand(message);
        let mut demand: Vec<LayerId> = Vec::new();
        for target in message.demand.wanted().iter() {
            match demand.iter_mut().find(|it| it.spatial_id == target.spatial_id) {
                Some(known) => known.temporal_id = known.temporal_id.max(target.temporal_id),
                None => demand.push(target),
            }
        }
        if source.demand == demand && source.has_begun {
            return None;
        }
        (source.demand, source.has_begun) = (demand, true);
        Some((source.kind, &source.demand))
    }

    /// The RTP timestamps of the streams that are sent, each with the time that it is of.
    pub fn clocks(&self) -> impl Iterator<Item = (u32, u32, Time)> {
        self.sources.iter().filter_map(|source| {
            let (timestamp, at) = source.clock?;
            Some((source.live?.stream, timestamp, at))
        })
    }

    /// The counts of a source.
    pub fn counts(&self, place: usize) -> SourceCounts {
        let Some(source) = self.sources.get(place) else { return SourceCounts::default() };
        let mut counts = SourceCounts { bytes: source.bytes, ..SourceCounts::default() };
        if let Some(Sender::Video(sender)) = &source.sender {
            let statistics = sender.statistics();
            (counts.pictures, counts.skipped) = (statistics.pictures, statistics.skipped);
            counts.path = sender.path().map(|path| path.bitrate());
        }
        counts
    }

    /// What there is to send at `now`, and when there is more.
    pub fn poll(&mut self, now: Time, packets: &mut Vec<Bytes>) -> Option<Time> {
        let (from, mut wake) = (packets.len(), None);
        let mut sleep = |at: Option<Time>| wake = [wake, at].into_iter().flatten().min();
        let mut others = Vec::new();
        for source in &mut self.sources {
            match &mut source.sender {
                Some(Sender::Video(sender)) if sender.path().is_none() => {
                    others.extend(std::iter::from_fn(|| sender.next_packet()));
                    sleep(drain(packets, || sender.poll(now)));
                }
                Some(Sender::Audio(sender)) => {
                    let mut audio = Vec::new();
                    sleep(drain(&mut audio, || sender.poll(now)));
                    packets.extend(audio.extract_if(.., |packet| is_rtcp(packet)));
                    let whole = |packet| PathPacket { class: PacketClass::Audio, frame: 0, packet };
                    others.extend(audio.into_iter().map(whole));
                }
                Some(Sender::Data(sender)) => {
                    let mut data = Vec::new();
                    sleep(drain(&mut data, || sender.poll(now)));
                    let whole = |packet| PathPacket { class: PacketClass::Audio, frame: 0, packet };
                    others.extend(data.into_iter().map(whole));
                }
                _ => {}
            }
        }
        let path = self.sources.iter().position(
            |source| matches!(&source.sender, Some(Sender::Video(sender)) if sender.path().is_some()),
        );
        let mut dropped = Vec::new();
        match path.and_then(|at| self.sources[at].sender.as_mut()) {
            Some(Sender::Video(sender)) => {
                others.drain(..).for_each(|packet| sender.handle_packet(now, packet));
                loop {
                    match sender.poll(now) {
                        SenderOutput::Transmit(packet) => packets.push(packet),
                        SenderOutput::Dropped(frame) => dropped.push(frame),
                        SenderOutput::Timeout(at) => break sleep(at),
                        _ => {}
                    }
                }
            }
            _ => packets.extend(others.drain(..).map(|packet| packet.packet)),
        }
        for source in &mut self.sources {
            if let Some(Sender::Video(sender)) = &mut source.sender {
                dropped.iter().for_each(|frame| sender.handle_dropped(*frame));
            }
        }
        packets[from..].iter().for_each(|packet| self.count(packet));
        wake
    }

    fn count(&mut self, packet: &[u8]) {
        if is_rtcp(packet) {
            return;
        }
        let Ok(rtp) = RtpPacket::read(packet) else { return };
        let ssrc = rtp.header.ssrc;
        let source = self.sources.iter_mut().find(|it| it.live.is_some_and(|live| live.ssrc == ssrc));
        if let Some(source) = source {
            source.bytes += packet.len() as u64;
            if source.clock.is_none() {
                source.clock = source.first.map(|first| (rtp.header.timestamp, first));
            }
        }
    }
}

fn drain(packets: &mut Vec<Bytes>, mut poll: impl FnMut() -> SenderOutput) -> Option<Time> {
    loop {
        match poll() {
            SenderOutput::Transmit(packet) => packets.push(packet),
            SenderOutput::Timeout(at) => return at,
            _ => {}
        }
    }
}
