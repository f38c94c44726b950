//! What the participant sends: cameras, screens and sound, over one path.

use std::time::Duration;

use bytes::Bytes;
use layercast::Time;
use layercast::congestion::{PacketClass, PathPacket, SendPathConfig};
use layercast::e2ee::{Context, SenderKeys};
use layercast::picture::PictureView;
use layercast::rtp::RtpPacket;
use layercast::rtp::rtcp::is_rtcp;
use layercast::select::DemandMessage;
use layercast::session::{
    AudioLevel, AudioSender, AudioSenderConfig, OutgoingAudio, SendError, SenderOutput, VideoSender,
    VideoSenderConfig,
};
use layercast_attend::media::Failure;
use layercast_meeting::Published;
use layercast_meeting::wire::PADDING_SSRC;

use super::source::{Sender, Sending, SourceCounts, VideoSource};

/// What the path is taken to carry at first, in bit/s.
const START: u64 = 1_000_000;
/// Bytes of a packet at most, so that one that a relay has written anew passes wherever 1280 bytes do (IPv6): with a mask, as a
/// retransmission, and under SRTP.
const MAX_PACKET: usize = 1180;
/// Ticks of the clock of Opus in a second (RFC 7587, section 4.1).
const OPUS_CLOCK: u32 = 48_000;

/// All sources, by their places.
pub struct Uplink {
    sources: Vec<Sending>,
    /// What coding may take, from one picture of a source to the next.
    budget: Option<Duration>,
}

impl Uplink {
    /// No sources yet, and the time for coding from one picture of a source to the next.
    pub fn new(budget: Option<Duration>) -> Self {
        Self { sources: Vec::new(), budget }
    }

    /// Adds a source, and returns its place: a camera or a screen, or sound.
    pub fn add(&mut self, video: Option<VideoSource>) -> usize {
        self.sources.push(Sending { video, ..Sending::default() });
        self.sources.len() - 1
    }

    /// The relay knows of a source: it is sent from now on, with keys of the epoch.
    ///
    /// # Errors
    /// If a key is in use, or the encoder refuses its configuration.
    pub fn publish(
        &mut self,
        place: usize,
        published: Published,
        track: u16,
        keys: &mut SenderKeys,
    ) -> Result<(), Failure> {
        let has_path = |source: &Sending| matches!(&source.sender, Some(Sender::Video(sender)) if sender.path().is_some());
        let others_have_path =
            self.sources.iter().enumerate().any(|(at, source)| at != place && has_path(source));
        let Some(source) = self.sources.get_mut(place) else { return Ok(()) };
        let ssrc = published.ssrc;
        let sender = match &source.video {
            Some(video) => {
                let mut config = VideoSenderConfig::new(ssrc);
                (config.opaque, config.max_packet) = (true, MAX_PACKET);
                config.path = (!others_have_path).then(|| {
                    let mut path = SendPathConfig::new(START);
                    path.padding_ssrc = PADDING_SSRC;
                    path
                });
                config.max_bitrate = Some(video.max_bitrate);
                if let Some(budget) = self.budget {
                    config.coding_share = budget.div_duration_f64(video.interval());
                }
                let mut sender = VideoSender::new(config, video.encoder(), Some(keys.video(track)?))?;
                // The path goes on, with its numbers and what is known of it.
                if let Some(Sender::Video(before)) = &mut source.sender
                    && let (Some(before), Some(path)) = (before.path_mut(), sender.path_mut())
                {
                    std::mem::swap(before, path);
                }
                Sender::Video(Box::new(sender))
            }
            None => {
                let mut config = AudioSenderConfig::new(ssrc);
                config.reports = Some(OPUS_CLOCK);
                Sender::Audio(AudioSender::new(config, keys.sealer(Context::audio(track))?))
            }
        };
        source.sender = Some(sender);
        source.live = Some(published);
        (source.first, source.clock, source.has_begun) = (None, None, false);
        Ok(())
    }

    /// A source is no longer sent. What paces the others stays.
    pub fn stop(&mut self, place: usize) {
        let Some(source) = self.sources.get_mut(place) else { return };
        source.live = None;
        if !matches!(source.sender, Some(Sender::Video(_))) {
            source.sender = None;
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
    pub fn rekey(&mut self, place: usize, track: u16, keys: &mut SenderKeys) -> Result<(), Failure> {
        match self.sources.get_mut(place).and_then(|source| source.sender.as_mut()) {
            Some(Sender::Video(sender)) => sender.rekey(keys, track)?,
            Some(Sender::Audio(sender)) => sender.rekey(keys, track)?,
            None => {}
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
        if let Some(Sending { sender: Some(Sender::Video(sender)), video: Some(video), coding, .. }) =
            self.sources.get_mut(place)
        {
            sender.handle_encode_time(took, video.interval());
            *coding += took;
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

    /// Takes what the relay asks for by RTCP.
    pub fn handle_feedback(&mut self, now: Time, packet: &[u8]) {
        for source in &mut self.sources {
            if let Some(Sender::Video(sender)) = &mut source.sender {
                sender.handle_feedback(now, packet);
            }
        }
    }

    /// Takes which layers others watch.
    pub fn handle_demand(&mut self, place: usize, message: &DemandMessage) {
        if let Some(Sending { sender: Some(Sender::Video(sender)), .. }) = self.sources.get_mut(place) {
            sender.handle_demand(message);
        }
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
        let mut counts =
            SourceCounts { bytes: source.bytes, coding: source.coding, ..SourceCounts::default() };
        if let Some(Sender::Video(sender)) = &source.sender {
            let statistics = sender.statistics();
            (counts.pictures, counts.skipped) = (statistics.pictures, statistics.skipped);
            counts.path = sender.path().map(|path| path.bitrate());
            counts.effort = sender.governor().map(|governor| (governor.level(), governor.given_up()));
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
                dropped.iter().for_each(|frame| sender.handle_dropped(now, *frame));
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
