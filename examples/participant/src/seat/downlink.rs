//! What the participant gets: the streams of the others.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use layercast::congestion::{FeedbackConfig, ReceivePath};
use layercast::e2ee::{Context, KeyRing};
use layercast::rtp::rtcp::is_rtcp;
use layercast::rtp::{DecodableUnit, RtpPacket};
use layercast::session::{
    AudioOutput, AudioReceiver, AudioReceiverConfig, DataOutput, DataReceiver, DataReceiverConfig,
    ReceivedAudio, ReceiverOutput, Refused, TRANSPORT_ID, VideoReceiver, VideoReceiverConfig,
};
use layercast::structure::LayerId;
use layercast::{Size, Time};
use layercast_attend::circle::Circle;
use layercast_attend::seen::{AnyOpener, Repeated, Seen, place};
use layercast_meeting::wire::FEEDBACK_SSRC;
use layercast_meeting::{Kind, Stream};

use super::account::Account;

/// Streams at most, whatever the relay announces.
const MAX_FEEDS: usize = 1024;
/// All layers that there are.
const TOP: LayerId = LayerId::new(3, 7);
/// How long packets wait for the key that they are sealed with: a commit may be that late.
const KEY_WAIT: Duration = Duration::from_secs(1);

enum Receiver {
    /// Until we are in the group.
    None,
    Video(Box<VideoReceiver>),
    Audio(AudioReceiver),
    Data(DataReceiver),
}

impl Receiver {
    fn into_opener(self) -> Option<AnyOpener> {
        match self {
            Self::None => None,
            Self::Video(receiver) => receiver.into_opener().map(|opener| AnyOpener::Video(opener.into())),
            Self::Audio(receiver) => Some(AnyOpener::Packets(receiver.into_opener())),
            Self::Data(receiver) => Some(AnyOpener::Packets(receiver.into_opener())),
        }
    }
}

/// A stream of somebody else.
pub struct Feed {
    /// As it was announced.
    pub stream: Stream,
    receiver: Receiver,
    /// What is opened goes no further: it may be somebody else's.
    withheld: bool,
    /// What came of it.
    pub account: Account,
}

/// Something that came.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Received {
    /// A temporal unit to be decoded and shown now.
    Unit(DecodableUnit),
    /// A frame of sound.
    Audio(ReceivedAudio),
    /// A message.
    Message(Bytes),
    /// Something that is nothing of the stream, or did not open.
    Refused(Refused),
}

/// All streams of the others.
pub struct Downlink {
    path: ReceivePath,
    feeds: BTreeMap<u32, Feed>,
    /// Of this epoch.
    seen: Seen,
    /// Streams that have ended.
    ended: Vec<(Stream, Account)>,
}

/// The layers of a stream that have keys here, so that no picture waits for others.
fn target(stream: &Stream, circle: &Circle) -> LayerId {
    match circle.cap(stream.member, stream.track) {
        Some(cap) => LayerId::new(cap.min(TOP.spatial_id), TOP.temporal_id),
        None => TOP,
    }
}

fn path() -> ReceivePath {
    ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(FEEDBACK_SSRC, 0))
}

impl Default for Downlink {
    fn default() -> Self {
        Self { path: path(), feeds: BTreeMap::new(), seen: Seen::default(), ended: Vec::new() }
    }
}

impl Downlink {
    /// The streams, by their numbers.
    pub fn feeds(&self) -> impl Iterator<Item = &Feed> {
        self.feeds.values()
    }

    /// The streams that have ended, with what came of them.
    pub fn ended(&self) -> &[(Stream, Account)] {
        &self.ended
    }

    /// A stream by its number.
    pub fn feed_mut(&mut self, stream: u32) -> Option<&mut Feed> {
        self.feeds.get_mut(&stream)
    }

    /// Somebody sends a stream.
    ///
    /// # Errors
    /// [`Repeated`].
    pub fn publish(&mut self, now: Time, stream: Stream, circle: &Circle) -> Result<(), Repeated> {
        if self.feeds.get(&stream.stream).is_some_and(|known| known.stream == stream) {
            return Ok(());
        }
        self.unpublish(now, stream.stream);
        let is_same = |feed: &&Feed| place(&feed.stream) == place(&stream);
        if let Some(other) = self.feeds.values().find(is_same) {
            return Err(Repeated::Twice(other.stream.stream));
        }
        if self.seen.has_ended(place(&stream)) {
            return Err(Repeated::Ended);
        }
        if self.feeds.len() < MAX_FEEDS {
            let receiver = self.receiver(now, &stream, circle);
            self.feeds.insert(
                stream.stream,
                Feed { stream, receiver, withheld: false, account: Account::new(now) },
            );
        }
        Ok(())
    }

    /// A stream has ended, and does not come back in this epoch.
    pub fn unpublish(&mut self, now: Time, stream: u32) {
        let Some(feed) = self.feeds.remove(&stream) else { return };
        if !matches!(feed.receiver, Receiver::None) {
            self.seen.end(place(&feed.stream));
        }
        self.close(now, feed.stream, feed.account);
    }

    fn close(&mut self, now: Time, stream: Stream, mut account: Account) {
        account.end(now);
        if self.ended.len() < MAX_FEEDS {
            self.ended.push((stream, account));
        }
    }

    /// The link is gone, and with it all streams. The relay names those that go on.
    pub fn reset(&mut self, now: Time) {
        for (_, Feed { stream, receiver, account, .. }) in std::mem::take(&mut self.feeds) {
            if let Some(opener) = receiver.into_opener() {
                self.seen.put_aside(place(&stream), opener);
            }
            self.close(now, stream, account);
        }
        self.path = path();
    }

    /// An epoch began: its keys go to all receivers.
    pub fn enter(&mut self, now: Time, circle: &Circle) {
        self.seen.clear();
        let streams: Vec<_> = self.feeds.keys().copied().collect();
        for stream in streams {
            let Some(mut feed) = self.feeds.remove(&stream) else { continue };
            let ring = match &mut feed.receiver {
                Receiver::None => {
                    feed.receiver = self.receiver(now, &feed.stream, circle);
                    None
                }
                Receiver::Video(receiver) => receiver.keys_mut(),
                Receiver::Audio(receiver) => Some(receiver.keys_mut()),
                Receiver::Data(receiver) => Some(receiver.keys_mut()),
            };
            if let (Some(ring), Some(group)) = (ring, circle.group()) {
                // It fails only for one who is no longer in the group, who gets nothing any more.
                let _ = group.enter(now, ring);
            }
            if let Receiver::Video(receiver) = &mut feed.receiver {
                receiver.set_target(target(&feed.stream, circle));
            }
            self.feeds.insert(stream, feed);
        }
    }

    /// Gives nothing out of a stream from now on, or gives it out again: pictures from the next key picture on.
    pub fn withhold(&mut self, now: Time, stream: u32, withheld: bool) {
        let Some(feed) = self.feeds.get_mut(&stream) else { return };
        if let (Receiver::Video(receiver), false) = (&mut feed.receiver, withheld) {
            receiver.handle_decode_error(now);
        }
        feed.withheld = withheld;
        feed.account.set_watched(!withheld);
    }

    /// We are no longer in the group. In another one members have other indices, and all streams are announced anew.
    pub fn forget(&mut self, now: Time) {
        self.reset(now);
        self.seen.clear();
    }

    /// The receiver of a stream, with the keys of this epoch and no other. `None` if its sender is not in the group, as far as
    /// is known here.
    fn receiver(&mut self, now: Time, stream: &Stream, circle: &Circle) -> Receiver {
        if circle.member(stream.member).is_none() {
            return Receiver::None;
        }
        let Some(ring) = circle.ring(now) else { return Receiver::None };
        let opener = self.seen.take(place(stream));
        open_with(stream, ring, circle, opener)
    }

    /// Takes a packet as it came, and when it did. Returns the number of the stream that it is of.
    pub fn handle_packet(&mut self, now: Time, arrived: Time, packet: Bytes) -> Option<u32> {
        if is_rtcp(&packet) {
            for feed in self.feeds.values_mut() {
                if let Receiver::Video(receiver) = &mut feed.receiver {
                    receiver.handle_packet(now, packet.clone());
                }
            }
            return None;
        }
        self.path.handle_packet(arrived, &packet);
        let ssrc = RtpPacket::read(&packet).ok()?.header.ssrc;
        let (stream, feed) = self.feeds.iter_mut().find(|(_, feed)| feed.stream.ssrc == ssrc)?;
        feed.account.handle_packet(now, packet.len());
        match &mut feed.receiver {
            Receiver::None => {}
            Receiver::Video(receiver) => receiver.handle_packet(now, packet),
            Receiver::Audio(receiver) => receiver.handle_packet(now, packet),
            Receiver::Data(receiver) => receiver.handle_packet(now, packet),
        }
        Some(*stream)
    }

    /// The decoder refused a unit of a stream: all that follows needs a key picture.
    pub fn handle_decode_error(&mut self, now: Time, stream: u32) {
        if let Some(Feed { receiver: Receiver::Video(receiver), account, .. }) = self.feeds.get_mut(&stream) {
            account.undecoded += 1;
            receiver.handle_decode_error(now);
        }
    }

    /// A picture was shown.
    pub fn handle_shown(&mut self, now: Time, stream: u32, timestamp: u32, target: LayerId, size: Size) {
        if let Some(feed) = self.feeds.get_mut(&stream) {
            feed.account.handle_shown(now, timestamp, target, size);
        }
    }

    /// What came by `now`, what there is to send, and when there is more.
    pub fn poll(
        &mut self,
        now: Time,
        packets: &mut Vec<Bytes>,
        received: &mut Vec<(u32, Received)>,
    ) -> Option<Time> {
        let mut wake = None;
        let mut sleep = |at: Option<Time>| wake = [wake, at].into_iter().flatten().min();
        for (stream, Feed { receiver, account, withheld, .. }) in &mut self.feeds {
            let mut take = |what| {
                match &what {
                    Received::Refused(Refused::Frame(error)) => account.handle_closed(now, *error),
                    Received::Refused(_) => account.refused += 1,
                    _ => account.handle_opened(),
                }
                if !*withheld {
                    received.push((*stream, what));
                }
            };
            loop {
                match receiver {
                    Receiver::None => break,
                    Receiver::Video(receiver) => match receiver.poll(now) {
                        ReceiverOutput::Unit(unit) => take(Received::Unit(unit)),
                        ReceiverOutput::Transmit(packet) => packets.push(packet),
                        ReceiverOutput::Refused(refused) => take(Received::Refused(refused)),
                        ReceiverOutput::Timeout(at) => break sleep(at),
                        _ => {}
                    },
                    Receiver::Audio(receiver) => match receiver.poll(now) {
                        AudioOutput::Frame(frame) => take(Received::Audio(frame)),
                        AudioOutput::Refused(refused) => take(Received::Refused(refused)),
                        AudioOutput::Timeout(at) => break sleep(at),
                        _ => {}
                    },
                    Receiver::Data(receiver) => match receiver.poll(now) {
                        DataOutput::Message(message) => take(Received::Message(message)),
                        DataOutput::Transmit(packet) => packets.push(packet),
                        DataOutput::Refused(refused) => take(Received::Refused(refused)),
                        DataOutput::Timeout(at) => break sleep(at),
                        _ => {}
                    },
                }
            }
        }
        packets.extend(std::iter::from_fn(|| self.path.poll(now)));
        sleep(self.path.next_timeout());
        wake
    }
}

/// A receiver of a stream. It goes on with the opener of one before, if there was one in this epoch.
fn open_with(stream: &Stream, ring: KeyRing, circle: &Circle, opener: Option<AnyOpener>) -> Receiver {
    let Stream { ssrc, member, track, .. } = *stream;
    let packets = |opener: Option<AnyOpener>, context| match opener {
        Some(AnyOpener::Packets(opener)) => opener,
        _ => circle.opener(member, context),
    };
    match stream.kind {
        Kind::Camera | Kind::Screen => {
            let mut config = VideoReceiverConfig::new(ssrc, target(stream, circle));
            (config.transport_id, config.own_ssrc, config.key_wait) = (None, FEEDBACK_SSRC, KEY_WAIT);
            config.opaque = true;
            let opener = match opener {
                Some(AnyOpener::Video(opener)) => *opener,
                _ => circle.video_opener(member, track),
            };
            Receiver::Video(Box::new(VideoReceiver::without_decoder(config, Some((opener, ring)))))
        }
        Kind::Audio => {
            let opener = packets(opener, Context::audio(track));
            Receiver::Audio(AudioReceiver::new(AudioReceiverConfig::new(ssrc), opener, ring))
        }
        Kind::Data => {
            // States come again: nobody asks for those that were lost, which may be older than our keys.
            let config = DataReceiverConfig::best_effort(ssrc);
            Receiver::Data(DataReceiver::new(config, packets(opener, Context::data(track)), ring))
        }
    }
}
