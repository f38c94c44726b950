//! One call: a sender, a link, a receiver.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use layercast::Time;
use layercast::congestion::SendPathConfig;
use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
use layercast::encoder::{Bitrate, LayerBitrates, RateConfig, SvcConfig};
use layercast::picture::Picture;
use layercast::rtp::RtpPacket;
use layercast::session::{
    ReceiverOutput, SenderOutput, ShownPicture, VideoReceiver, VideoReceiverConfig, VideoSender,
    VideoSenderConfig,
};
use layercast::simulate::{Link, LinkConfig, Trace};
use layercast::structure::{LayerId, ScalabilityMode};

use crate::common::Result;
use crate::outcome::{Note, Outcome};

const SSRC: u32 = 0x5eed;
const PADDING_SSRC: u32 = 0xbad;
/// Pictures a second.
const FRAME_RATE: u32 = 30;
/// The shares of a spatial layer, and of a temporal layer in it, that libwebrtc gives by its fixed factor of 0.55, from
/// the lowest on.
const SPATIAL: [u64; 3] = [163, 297, 540];
const TEMPORAL: [u64; 3] = [540, 163, 297];

/// What decides how many bits the encoder takes.
#[derive(Debug, Clone, Copy)]
pub enum Rate {
    /// Rate control with the layers' shares as it learns them.
    Learned,
    /// Rate control with fixed shares.
    Fixed,
    /// A constant quantizer.
    Constant(u8),
}

/// What is sent, and over what.
#[derive(Clone)]
pub struct Run<'a> {
    pub clip: &'a [Picture],
    pub trace: Trace,
    pub link: LinkConfig,
    pub back: Duration,
    pub seconds: Duration,
    pub most: Option<u64>,
    pub max_queue: Option<Duration>,
    pub mode: ScalabilityMode,
    pub rate: Rate,
}

/// What happens at a time.
enum Event {
    /// A picture is captured.
    Picture(u64),
    ToReceiver(Bytes),
    ToSender(Bytes),
}

/// What is going to happen, in order.
#[derive(Default)]
struct Timeline {
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
}

impl Timeline {
    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.insert((time, self.count), event);
    }
}

fn captured(number: u64) -> Time {
    Time::new(Duration::from_secs(number) / FRAME_RATE)
}

impl Run<'_> {
    /// The picture of this number: the clip is played forth and back.
    fn picture(&self, number: u64) -> &Picture {
        let last = self.clip.len() - 1;
        let at = number as usize % (2 * last).max(1);
        &self.clip[at.min(2 * last - at.min(2 * last))]
    }

    fn sender(&self) -> Result<(VideoSender, VideoReceiver)> {
        let agreement = Agreement::default();
        let mut keys = SenderKeys::fresh(agreement, 1, 0)?;
        let mut ring = KeyRing::new(agreement, Duration::from_secs(5));
        ring.add(Time::ZERO, keys.grant().clone());
        let structure = self.mode.structure();
        let mut encoder = SvcConfig::new(self.clip[0].size(), self.mode);
        let mut path = SendPathConfig::default();
        path.padding_ssrc = PADDING_SSRC;
        let mut config = VideoSenderConfig::new(SSRC);
        config.max_bitrate = self.most;
        config.max_queue = self.max_queue.unwrap_or(config.max_queue);
        match self.rate {
            Rate::Learned => {}
            Rate::Fixed => {
                let mut shares = LayerBitrates::default();
                let spatial = &SPATIAL[..usize::from(structure.spatial_layers)];
                let temporal = &TEMPORAL[..usize::from(structure.temporal_layers)];
                for (spatial_id, spatial) in (0..).zip(spatial) {
                    for (temporal_id, temporal) in (0..).zip(temporal) {
                        shares.set(LayerId::new(spatial_id, temporal_id), spatial * temporal);
                    }
                }
                let mut rate = RateConfig::new(Bitrate::Layers(shares));
                rate.drop_pictures = true;
                encoder.rate = Some(rate);
            }
            Rate::Constant(quantizer) => {
                encoder.quantizer = quantizer;
                config.follow_path = false;
            }
        }
        config.path = Some(path);
        let sender = VideoSender::new(config, encoder, Some(keys.video(0)?))?;
        let top = LayerId::new(structure.spatial_layers - 1, structure.temporal_layers - 1);
        let opener = VideoOpener::new(agreement, 1, 0);
        let receiver = VideoReceiver::new(VideoReceiverConfig::new(SSRC, top), Some((opener, ring)))?;
        Ok((sender, receiver))
    }

    /// What became of it.
    pub fn run(&self) -> Result<Outcome> {
        let (mut sender, mut receiver) = self.sender()?;
        let overhead = SendPathConfig::default().overhead;
        let mut link = Link::new(self.trace.clone(), self.link);
        let mut timeline = Timeline::default();
        let mut outcome = Outcome::new(self);
        let pictures = self.seconds.as_secs() * u64::from(FRAME_RATE);
        (0..pictures).for_each(|number| timeline.at(captured(number), Event::Picture(number)));
        let end = Time::ZERO + self.seconds;
        // Timestamps count from a random number: that of the first picture, which is captured at 0.
        let mut first_timestamp = None;
        let mut wake: [Option<Time>; 2] = [None; 2];
        loop {
            let next = timeline.events.first_key_value().map(|((time, _), _)| *time);
            let Some(now) = wake.into_iter().flatten().chain(next).min().filter(|now| *now < end) else {
                break;
            };
            if next == Some(now) {
                match timeline.events.pop_first().map(|(_, event)| event) {
                    Some(Event::Picture(number)) => {
                        outcome.look(now, self.picture(number));
                        sender.handle_picture(now, &self.picture(number).view())?;
                        outcome.note(now, || self.note(now, &mut sender));
                    }
                    Some(Event::ToReceiver(packet)) => receiver.handle_packet(now, packet),
                    Some(Event::ToSender(packet)) => sender.handle_feedback(now, &packet),
                    None => {}
                }
            }
            loop {
                match sender.poll(now) {
                    SenderOutput::Transmit(packet) => {
                        let rtp = RtpPacket::read(&packet).ok().map(|packet| packet.header);
                        if let Some(header) = rtp.as_ref().filter(|header| header.ssrc == SSRC) {
                            first_timestamp.get_or_insert(header.timestamp);
                        }
                        let padding = rtp.is_some_and(|header| header.ssrc == PADDING_SSRC);
                        let bytes = packet.len() + overhead;
                        let arrives = link.send(now, bytes);
                        let waited = arrives.map(|arrives| arrives - (now + link.delay()));
                        outcome.sent(now, bytes, padding, waited);
                        if let Some(arrives) = arrives {
                            timeline.at(arrives, Event::ToReceiver(packet));
                        }
                    }
                    SenderOutput::Timeout(at) => {
                        wake[0] = at;
                        break;
                    }
                    _ => {}
                }
            }
            loop {
                match receiver.poll(now) {
                    ReceiverOutput::Transmit(packet) => timeline.at(now + self.back, Event::ToSender(packet)),
                    ReceiverOutput::Picture(shown) => {
                        let first = first_timestamp.ok_or("a picture that was not sent is shown")?;
                        let ShownPicture { picture, timestamp, .. } = shown;
                        // Rounded, since timestamps are.
                        let ticks = u64::from(timestamp.wrapping_sub(first));
                        let number = (ticks * u64::from(FRAME_RATE) + 45_000) / 90_000;
                        outcome.show(now, now - captured(number), self.picture(number), picture);
                    }
                    ReceiverOutput::Timeout(at) => {
                        wake[1] = at;
                        break;
                    }
                    _ => {}
                }
            }
        }
        outcome.finish(end, sender.statistics());
        Ok(outcome)
    }

    /// What the sender believes.
    fn note(&self, now: Time, sender: &mut VideoSender) -> Note {
        let set = sender.encoder_mut().and_then(|encoder| Some(encoder.bitrates()?.total())).unwrap_or(0);
        Note {
            capacity: self.trace.bitrate(now, now + Duration::from_secs(1)),
            estimate: sender.path().map_or(0, |path| path.bitrate()),
            set,
            queued: sender.path().map_or(Duration::ZERO, |path| path.queued_time()),
            statistics: sender.statistics(),
        }
    }
}
