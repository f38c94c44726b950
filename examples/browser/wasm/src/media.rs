//! The media of a page: the browser codes, sends and shows, and each frame passes here to be sealed or opened.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::BytesMut;
use layercast::Time;
use layercast::e2ee::{
    Context, KeyRing, OpenError, PageFrame, SealError, SenderKeys, VideoOpener, VideoSealer,
};
use layercast::select::DemandMessage;
use layercast::session::{AudioLevel, PageAudioOpener, PageAudioSealer};
use layercast_attend::Media;
use layercast_attend::circle::Circle;
use layercast_attend::media::Failure;
use layercast_attend::openings::{Openings, kind};
use layercast_attend::seen::{AnyOpener, Repeated, Seen, place};
use layercast_meeting::{Kind, Published, Stream};

use crate::frame::{obu_header, sframe_in};

/// What a page can send, by the places of the sources. The camera has the shortest headers.
pub const SOURCES: [Kind; 3] = [Kind::Camera, Kind::Audio, Kind::Screen];
/// Streams at most, whatever the relay announces.
const MAX_STREAMS: usize = 1024;
/// How loud sound is said to be, which transforms are not told.
const LEVEL: AudioLevel = AudioLevel { below: 30, voice: true };

#[allow(clippy::large_enum_variant, reason = "a page sends three things at most")]
enum Sealing {
    Video(VideoSealer),
    Audio(PageAudioSealer),
}

enum Opening {
    Video(VideoOpener),
    Audio(PageAudioOpener),
}

impl Opening {
    /// It goes on with the opener of one before, if there was one in this epoch.
    fn new(stream: &Stream, circle: &Circle, opener: Option<AnyOpener>) -> Self {
        let Stream { member, track, .. } = *stream;
        match (stream.kind, opener) {
            (Kind::Audio, Some(AnyOpener::Packets(opener))) => {
                Self::Audio(PageAudioOpener::new(opener, true))
            }
            (Kind::Audio, _) => {
                Self::Audio(PageAudioOpener::new(circle.opener(member, Context::audio(track)), true))
            }
            (_, Some(AnyOpener::Video(opener))) => Self::Video(*opener),
            _ => Self::Video(circle.video_opener(member, track)),
        }
    }

    fn into_opener(self) -> AnyOpener {
        match self {
            Self::Video(opener) => AnyOpener::Video(opener.into()),
            Self::Audio(opener) => AnyOpener::Packets(opener.into_opener()),
        }
    }
}

struct Receiving {
    stream: Stream,
    /// With the keys of the epochs that it has been open in. `None` until its sender is in the group.
    opening: Option<(Opening, KeyRing)>,
    openings: Openings,
    /// What is opened goes no further: it may be somebody else's.
    withheld: bool,
}

/// Seals what the page sends, and opens what it gets.
#[derive(Default)]
pub struct PageMedia {
    sending: BTreeMap<usize, (Published, Sealing)>,
    receiving: BTreeMap<u32, Receiving>,
    /// Of this epoch.
    seen: Seen,
    /// What others watch, by the place of the source, as it has come since it was last taken.
    demands: BTreeMap<usize, DemandMessage>,
    /// Kept so that frames do not allocate.
    frame: BytesMut,
}

/// Why a frame was not sealed or opened, as the page counts it.
pub type Refused = &'static str;

/// There is no such stream.
const NO_STREAM: Refused = "no_stream";
/// We are not in the group, or the stream's sender is not.
const NO_KEYS: Refused = "no_keys";
/// Its sender does not stand for it.
const WITHHELD: Refused = "withheld";
const MALFORMED: Refused = "malformed";

fn unsealed(error: SealError) -> Refused {
    match error {
        SealError::Exhausted => "exhausted",
        SealError::Descriptor(_) => "metadata",
        _ => "other",
    }
}

impl PageMedia {
    /// Seals a frame of a layer as the sender's transform gives it back: the one OBU that holds the SFrame.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn seal_video(
        &mut self,
        stream: u32,
        page: &PageFrame<'_>,
        is_key: bool,
        frame: &[u8],
    ) -> Result<&[u8], Refused> {
        let Some(Sealing::Video(sealer)) = self.sealing(stream) else { return Err(NO_STREAM) };
        // The frame is borrowed apart from the sealer.
        let mut sealed = BytesMut::new();
        sealed.extend_from_slice(&[obu_header(is_key)]);
        sealer.seal_page(page, frame, &mut sealed).map_err(unsealed)?;
        self.frame = sealed;
        Ok(&self.frame)
    }

    /// Opens a frame of a layer as the receiver's transform gets it.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn open_video(
        &mut self,
        now: Time,
        stream: u32,
        page: &PageFrame<'_>,
        obu: &[u8],
    ) -> Result<&[u8], Refused> {
        self.open(now, stream, sframe_in(obu), |opening, now, keys, frame| match opening {
            Opening::Video(opener) => Some(opener.open_page(now, keys, page, frame)),
            Opening::Audio(_) => None,
        })
    }

    /// Seals a frame of sound, as it goes into a packet.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn seal_audio(&mut self, stream: u32, frame: &[u8]) -> Result<&[u8], Refused> {
        let Some(Sealing::Audio(sealer)) = self.sealing(stream) else { return Err(NO_STREAM) };
        let mut sealed = BytesMut::new();
        sealer.seal(frame, LEVEL, &mut sealed).map_err(unsealed)?;
        self.frame = sealed;
        Ok(&self.frame)
    }

    /// Opens a frame of sound, as a packet held it. `sequence_number` is that of the packet, if the browser tells it.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn open_audio(
        &mut self,
        now: Time,
        stream: u32,
        sequence_number: Option<u16>,
        payload: &[u8],
    ) -> Result<&[u8], Refused> {
        self.open(now, stream, Some(payload), |opening, now, keys, frame| match opening {
            Opening::Audio(opener) => Some(opener.open(now, keys, sequence_number, frame).map(drop)),
            Opening::Video(_) => None,
        })
    }

    fn sealing(&mut self, stream: u32) -> Option<&mut Sealing> {
        self.sending.values_mut().find(|(live, _)| live.stream == stream).map(|(_, sealing)| sealing)
    }

    fn open(
        &mut self,
        now: Time,
        stream: u32,
        sframe: Option<&[u8]>,
        open: impl FnOnce(&mut Opening, Time, &KeyRing, &mut BytesMut) -> Option<Result<(), OpenError>>,
    ) -> Result<&[u8], Refused> {
        let receiving = self.receiving.get_mut(&stream).ok_or(NO_STREAM)?;
        let (opening, keys) = receiving.opening.as_mut().ok_or(NO_KEYS)?;
        // Opening moves the buffer's beginning, so that the memory behind it is used again only from time to time.
        self.frame = BytesMut::from(sframe.unwrap_or_default());
        let opened = match sframe {
            Some(_) => open(opening, now, keys, &mut self.frame).ok_or(NO_STREAM)?,
            None => Err(OpenError::Malformed),
        };
        match opened {
            Ok(()) => {
                receiving.openings.handle_opened();
                if receiving.withheld { Err(WITHHELD) } else { Ok(&self.frame) }
            }
            Err(error) => {
                receiving.openings.handle_closed(now, error);
                Err(if sframe.is_none() { MALFORMED } else { kind(error) })
            }
        }
    }

    /// What did not open of a stream, by the kind of reason.
    pub fn closed_of(&self, stream: u32) -> BTreeMap<&'static str, u64> {
        self.receiving.get(&stream).map(|it| it.openings.closed.clone()).unwrap_or_default()
    }

    /// The streams of those who are in the group, which can be shown.
    pub fn shown(&self) -> impl Iterator<Item = &Stream> {
        self.receiving.values().filter(|it| it.opening.is_some()).map(|it| &it.stream)
    }

    /// What opens a stream, with the keys of this epoch and no other. `None` if its sender is not in the group, as far as is
    /// known here.
    fn opening(&mut self, now: Time, stream: &Stream, circle: &Circle) -> Option<(Opening, KeyRing)> {
        circle.member(stream.member)?;
        let ring = circle.ring(now)?;
        Some((Opening::new(stream, circle, self.seen.take(place(stream))), ring))
    }

    /// What others watch of our own sources, where it has come since this was last asked, by their places.
    pub fn take_demands(&mut self) -> BTreeMap<usize, DemandMessage> {
        std::mem::take(&mut self.demands)
    }
}

impl Media for PageMedia {
    const REFRESHES_LAYERS: bool = false;

    fn send(
        &mut self,
        place: usize,
        published: Published,
        track: u16,
        keys: &mut SenderKeys,
    ) -> Result<(), Failure> {
        let sealing = match SOURCES.get(place) {
            Some(Kind::Audio) => {
                Sealing::Audio(PageAudioSealer::new(keys.sealer(Context::audio(track))?, true))
            }
            _ => Sealing::Video(keys.video(track)?),
        };
        self.sending.insert(place, (published, sealing));
        Ok(())
    }

    fn rekey(&mut self, place: usize, track: u16, keys: &mut SenderKeys) -> Result<(), Failure> {
        match self.sending.get_mut(&place) {
            Some((_, Sealing::Video(sealer))) => sealer.rekey(keys, track)?,
            Some((_, Sealing::Audio(sealer))) => sealer.rekey(keys, track)?,
            None => {}
        }
        Ok(())
    }

    fn stop(&mut self, place: usize) {
        self.sending.remove(&place);
        self.demands.remove(&place);
    }

    fn stop_all(&mut self) {
        self.sending.clear();
        self.demands.clear();
    }

    fn demand(&mut self, place: usize, message: &DemandMessage) {
        self.demands.insert(place, message.clone());
    }

    fn streams(&self) -> impl Iterator<Item = &Stream> {
        self.receiving.values().map(|receiving| &receiving.stream)
    }

    fn receive(&mut self, now: Time, stream: Stream, circle: &Circle) -> Result<(), Failure> {
        if stream.kind == Kind::Data
            || self.receiving.get(&stream.stream).is_some_and(|it| it.stream == stream)
        {
            return Ok(());
        }
        self.end(now, stream.stream);
        if let Some(other) = self.receiving.values().find(|other| place(&other.stream) == place(&stream)) {
            return Err(Repeated::Twice(other.stream.stream).into());
        }
        if self.seen.has_ended(place(&stream)) {
            return Err(Repeated::Ended.into());
        }
        if self.receiving.len() < MAX_STREAMS {
            let opening = self.opening(now, &stream, circle);
            let receiving = Receiving { stream, opening, openings: Openings::default(), withheld: false };
            self.receiving.insert(stream.stream, receiving);
        }
        Ok(())
    }

    fn end(&mut self, _now: Time, stream: u32) {
        if let Some(Receiving { stream, opening: Some(_), .. }) = self.receiving.remove(&stream) {
            self.seen.end(place(&stream));
        }
    }

    fn end_all(&mut self, _now: Time) {
        for Receiving { stream, opening, .. } in std::mem::take(&mut self.receiving).into_values() {
            if let Some((opening, _)) = opening {
                self.seen.put_aside(place(&stream), opening.into_opener());
            }
        }
    }

    fn enter(&mut self, now: Time, circle: &Circle) {
        self.seen.clear();
        for (number, mut receiving) in std::mem::take(&mut self.receiving) {
            let is_member = circle.member(receiving.stream.member).is_some();
            match (&mut receiving.opening, circle.group()) {
                (Some((_, keys)), Some(group)) if is_member => {
                    // It fails only for one who is no longer in the group, who gets nothing any more.
                    let _ = group.enter(now, keys);
                }
                _ => receiving.opening = self.opening(now, &receiving.stream, circle),
            }
            self.receiving.insert(number, receiving);
        }
    }

    fn forget(&mut self, now: Time) {
        self.end_all(now);
        self.seen.clear();
    }

    fn withhold(&mut self, _now: Time, stream: u32, withheld: bool) {
        self.receiving.get_mut(&stream).into_iter().for_each(|it| it.withheld = withheld);
    }

    fn closed(&self, _now: Time) -> Vec<(Stream, Duration, OpenError)> {
        let wanting = |it: &Receiving| it.openings.wanting().map(|(long, error)| (it.stream, long, error));
        self.receiving.values().filter_map(wanting).collect()
    }
}
