//! The media of a participant, whatever they are made of.

use std::time::Duration;

use layercast::Time;
use layercast::e2ee::{OpenError, SenderKeys};
use layercast::select::DemandMessage;
use layercast_meeting::{Published, Stream};

use crate::circle::Circle;

/// Why a source is not sent.
pub type Failure = Box<dyn std::error::Error>;

/// What codes, seals, opens and shows: sessions over a link, or the transforms of a page. The [`Attendee`](crate::Attendee)
/// tells it what to send and to receive, and by which keys. Sources have places, which the attendee counts from 0; streams
/// of others have their numbers at the relay.
pub trait Media {
    /// Whether senders of video take requests for single layers, and not only for key pictures.
    const REFRESHES_LAYERS: bool;

    /// Sends a source from now on, with the keys of a track that had none in this epoch.
    ///
    /// # Errors
    /// If a key is in use, or the source cannot be coded as it is: nothing is sent then.
    fn send(
        &mut self,
        place: usize,
        published: Published,
        track: u16,
        keys: &mut SenderKeys,
    ) -> Result<(), Failure>;

    /// Seals a source that is sent with the keys of a new epoch.
    ///
    /// # Errors
    /// If a key is in use: nothing may be sent then.
    fn rekey(&mut self, place: usize, track: u16, keys: &mut SenderKeys) -> Result<(), Failure>;

    /// Sends a source no more.
    fn stop(&mut self, place: usize);

    /// The link is gone, or the keys are: nothing is sent.
    fn stop_all(&mut self);

    /// Takes what others watch of a source that is sent.
    fn demand(&mut self, place: usize, message: &DemandMessage);

    /// The streams of others.
    fn streams(&self) -> impl Iterator<Item = &Stream>;

    /// Receives a stream of somebody else. It may be one too many, which is left out without a word.
    ///
    /// # Errors
    /// If it is not opened, and why.
    fn receive(&mut self, now: Time, stream: Stream, circle: &Circle) -> Result<(), Failure>;

    /// A stream of somebody else has ended.
    fn end(&mut self, now: Time, stream: u32);

    /// All streams of others have ended, since the link is gone.
    fn end_all(&mut self, now: Time);

    /// An epoch began: its keys open what comes from now on, and those before it for a while more.
    fn enter(&mut self, now: Time, circle: &Circle);

    /// We are no longer in the group. In another one members have other indices, and all streams are announced anew.
    fn forget(&mut self, now: Time);

    /// Streams of which nothing opens for want of the right key: for how long, and the last reason.
    fn closed(&self, now: Time) -> Vec<(Stream, Duration, OpenError)>;

    /// Of the streams that are sent: the number, an RTP timestamp, and the time that it is of.
    fn clocks(&self) -> Vec<(u32, u32, Time)> {
        Vec::new()
    }

    /// Takes the clock of a stream of somebody else: an RTP timestamp, and the microseconds since 1970 that it is of.
    fn set_clock(&mut self, _stream: u32, _timestamp: u32, _at: u64) {}

    /// Shows nothing of a stream of somebody else from now on, or shows it again. It is opened all the time.
    fn withhold(&mut self, now: Time, stream: u32, withheld: bool);

    /// Whether a stream of somebody else is shown from now on.
    fn set_watched(&mut self, _stream: u32, _watched: bool) {}
}
