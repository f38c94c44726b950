//! The sound and the pictures of one participant, together.

use std::time::Duration;

use crate::Time;
use crate::rtp::SenderInfo;
use crate::rtp::rtcp::{self, RtcpMessage};

/// Nothing is held back for longer than this for the sake of the other: reports are not sealed, and whoever is on the way can
/// write anything into them.
const MOST: Duration = Duration::from_millis(500);
/// Each frame counts for one part in this of the mean.
const WEIGHT: i64 = 8;

/// Brings the sound of a participant and their pictures together, which come over different ways and wait in buffers of their
/// own: says by how much one of them is to be held back.
///
/// The program hands in the sender reports of both streams, and the timestamp of each piece of sound as it is played and of
/// each picture as it is shown. Now and then, say with each report, it holds the pictures back as it is told
/// ([`picture_delay`](Self::picture_delay), for
/// [`VideoReceiver::set_min_delay`](super::VideoReceiver::set_min_delay)).
///
/// The reports tell what the sender's clock showed at a timestamp (RFC 3550, section 6.4.1). Both streams have to come from one
/// sender and one clock: a [`VideoSender`](super::VideoSender), and an [`AudioSender`](super::AudioSender) that
/// [sends reports](super::AudioSenderConfig::reports), handed times of the same start.
#[derive(Debug, Clone)]
pub struct LipSync {
    sound: Stream,
    pictures: Stream,
}

#[derive(Debug, Clone)]
struct Stream {
    ssrc: u32,
    /// Ticks of the RTP clock in a second.
    clock: u32,
    report: Option<SenderInfo>,
    /// What the receiver's clock showed when a frame was played or shown, less what the sender's did when it was captured, in
    /// microseconds, smoothed.
    lag: Option<i64>,
}

impl Stream {
    fn handle_frame(&mut self, now: Time, timestamp: u32) {
        let Some(report) = self.report else { return };
        let ticks = i64::from(timestamp.wrapping_sub(report.timestamp) as i32);
        let reported = ((u128::from(report.ntp) * 1_000_000) >> 32) as i64;
        let captured = reported + ticks * 1_000_000 / i64::from(self.clock.max(1));
        let now = i64::try_from(now.since_start().as_micros()).unwrap_or(i64::MAX);
        let lag = now.saturating_sub(captured);
        self.lag = Some(match self.lag {
            // A sender that begins anew is not averaged with the one before.
            Some(mean) if mean.abs_diff(lag) < 1_000_000 => mean + (lag - mean) / WEIGHT,
            _ => lag,
        });
    }
}

impl LipSync {
    /// Of a stream of sound, by its SSRC and the ticks of its RTP clock in a second (48000 for Opus), and of pictures.
    pub fn new(sound: (u32, u32), pictures: u32) -> Self {
        let stream = |ssrc, clock| Stream { ssrc, clock, report: None, lag: None };
        Self { sound: stream(sound.0, sound.1), pictures: stream(pictures, 90_000) }
    }

    /// Takes an RTCP packet. What is no sender report of the two streams is passed over.
    pub fn handle_rtcp(&mut self, packet: &[u8]) {
        for message in rtcp::read(packet).flatten() {
            let RtcpMessage::SenderReport { ssrc, info, .. } = message else { continue };
            for stream in [&mut self.sound, &mut self.pictures] {
                if stream.ssrc == ssrc {
                    stream.report = Some(info);
                }
            }
        }
    }

    /// The sound of this RTP timestamp is played at `now`.
    pub fn handle_sound(&mut self, now: Time, timestamp: u32) {
        self.sound.handle_frame(now, timestamp);
    }

    /// The picture of this RTP timestamp is shown at `now`.
    pub fn handle_picture(&mut self, now: Time, timestamp: u32) {
        self.pictures.handle_frame(now, timestamp);
    }

    /// By how much the pictures are to be held back, which are held back by `now` at present
    /// ([`ReceiverStatistics::delay`](super::ReceiverStatistics::delay)): 0 to 500 ms. `None` before both streams have come
    /// with their reports.
    pub fn picture_delay(&self, now: Duration) -> Option<Duration> {
        Some(delay(now, self.pictures.lag?, self.sound.lag?))
    }

    /// By how much the sound is to be held back, if pictures come later than it although they are not held back, in the same
    /// way.
    pub fn sound_delay(&self, now: Duration) -> Option<Duration> {
        Some(delay(now, self.sound.lag?, self.pictures.lag?))
    }
}

/// The delay that brings what lags by `lag` with a delay of `now` to a lag of `other`.
fn delay(now: Duration, lag: i64, other: i64) -> Duration {
    let now = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    let delay = now.saturating_add(other.saturating_sub(lag));
    Duration::from_micros(delay.max(0).unsigned_abs()).min(MOST)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;

    fn report(ssrc: u32, ntp: u64, timestamp: u32) -> Vec<u8> {
        let info = SenderInfo { ntp, timestamp, packets: 1, octets: 1 };
        let mut packet = BytesMut::new();
        rtcp::write(&[RtcpMessage::SenderReport { ssrc, info, blocks: vec![] }], &mut packet).unwrap();
        packet.to_vec()
    }

    /// A second of the sender's clock is at another time on the receiver's, and each stream's timestamps begin anywhere.
    fn run(sound_lag: u64, picture_lag: u64) -> (Option<Duration>, Option<Duration>, Duration) {
        let mut sync = LipSync::new((1, 48_000), 2);
        assert_eq!(sync.picture_delay(Duration::ZERO), None);
        let mut held = Duration::ZERO;
        for ms in 0..10_000u64 {
            let (sender, receiver) = ((77_000 + ms) << 32, Time::from_millis(5_000 + ms));
            let ticks = |start: u32, each: u64| start.wrapping_add((each * ms) as u32);
            let captured =
                |start: u32, each: u64, lag: u64| ticks(start, each).wrapping_sub((each * lag) as u32);
            if ms % 1000 == 0 {
                sync.handle_rtcp(&report(1, sender / 1000, ticks(u32::MAX - 9, 48)));
                sync.handle_rtcp(&report(2, sender / 1000, ticks(12_345, 90)));
                sync.handle_rtcp(&report(3, 0, 0));
                held = sync.picture_delay(held).unwrap_or(held);
            }
            if ms % 20 == 0 {
                sync.handle_sound(receiver, captured(u32::MAX - 9, 48, sound_lag));
            }
            if ms % 33 == 0 {
                let lag = picture_lag + held.as_millis() as u64;
                sync.handle_picture(receiver, captured(12_345, 90, lag));
            }
        }
        (sync.picture_delay(held), sync.sound_delay(Duration::ZERO), held)
    }

    #[test]
    fn pictures_wait_for_the_sound_that_belongs_to_them() {
        for (sound, pictures, expected) in [(150, 60, 90), (60, 60, 0), (2000, 60, 500)] {
            let (_, sound_delay, held) = run(sound, pictures);
            assert!(held.as_millis().abs_diff(expected) <= 1, "{held:?}, not {expected}");
            assert!(sound_delay.unwrap().as_millis() <= 1, "{sound_delay:?}");
        }
        // Pictures that come later cannot be shown sooner: the sound waits.
        let (picture_delay, sound_delay, _) = run(60, 140);
        assert_eq!(picture_delay, Some(Duration::ZERO));
        assert!(sound_delay.unwrap().as_millis().abs_diff(80) <= 1, "{sound_delay:?}");
    }

    proptest! {
        #[test]
        fn any_reports_hold_nothing_back_for_longer(
            reports in proptest::collection::vec((1..3u32, any::<u64>(), any::<u32>()), 1..20),
            frames in proptest::collection::vec((any::<bool>(), any::<u64>(), any::<u32>()), 1..20),
        ) {
            let mut sync = LipSync::new((1, 0), 2);
            for ((ssrc, ntp, timestamp), (sound, now, at)) in reports.into_iter().zip(frames) {
                sync.handle_rtcp(&report(ssrc, ntp, timestamp));
                let now = Time::from_micros(now);
                if sound { sync.handle_sound(now, at) } else { sync.handle_picture(now, at) }
                for delay in [sync.picture_delay(Duration::MAX), sync.sound_delay(Duration::ZERO)] {
                    prop_assert!(delay.is_none_or(|delay| delay <= MOST));
                }
            }
        }
    }
}
