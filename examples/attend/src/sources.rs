//! What the participant sends, as the relay and the group know it.

use layercast::e2ee::{GuestCap, MAX_GUEST_CAPS};
use layercast::structure::LayerId;
use layercast_meeting::{Kind, Published};

/// The tracks below are those of a camera with a cap: a leaf states so many caps at most. Each serves for one publication in
/// an epoch, so that no key counts from 0 twice. In the next epoch keys are others, and the tracks begin again.
const CAPPED_TRACKS: u16 = MAX_GUEST_CAPS as u16;
/// From this track on, a camera with a cap has not many left in the epoch.
pub const LAST_TRACKS: u16 = 3 * CAPPED_TRACKS / 4;

/// The caps of all tracks that a camera may have.
pub fn caps(spatial_id: u8) -> [GuestCap; MAX_GUEST_CAPS] {
    std::array::from_fn(|track| GuestCap { stream: track as u16, spatial_id })
}

/// Something that the participant sends, if it is not muted and the relay knows of it.
#[derive(Debug)]
pub struct Source {
    /// What it carries.
    pub kind: Kind,
    /// The rows of its pictures, if they are known.
    pub rows: Option<u32>,
    /// Whether it is to be sent.
    pub wanted: bool,
    /// As the relay numbered it; `None` while it is not announced.
    pub live: Option<Published>,
    /// Its number among the streams of this participant. None is used twice in an epoch, so that no key is.
    pub track: Option<u16>,
    /// The highest layers that others watch, as last told.
    pub demand: Vec<LayerId>,
    /// Whether that was told since it is announced.
    pub(crate) is_told: bool,
}

/// All sources.
#[derive(Debug)]
pub struct Sources {
    sources: Vec<Source>,
    /// The next track of all but cameras with a cap.
    tracks: u16,
    /// Of a camera with a cap, the tracks that were used in this epoch, one bit each.
    capped: Option<u16>,
}

impl Sources {
    /// Nothing yet. Cameras may have a cap.
    pub fn new(has_cap: bool) -> Self {
        let (tracks, capped) = if has_cap { (CAPPED_TRACKS, Some(0)) } else { (0, None) };
        Self { sources: Vec::new(), tracks, capped }
    }

    /// Adds a source, and returns its place.
    pub fn add(&mut self, kind: Kind, rows: Option<u32>, wanted: bool) -> usize {
        self.sources.push(Source {
            kind,
            rows,
            wanted,
            live: None,
            track: None,
            demand: Vec::new(),
            is_told: false,
        });
        self.sources.len() - 1
    }

    /// The sources, by their places.
    pub fn iter(&self) -> impl Iterator<Item = (usize, &Source)> {
        self.sources.iter().enumerate()
    }

    /// The source at a place.
    pub fn get(&self, place: usize) -> Option<&Source> {
        self.sources.get(place)
    }

    /// The source at a place.
    pub fn get_mut(&mut self, place: usize) -> Option<&mut Source> {
        self.sources.get_mut(place)
    }

    /// The place of the first source of a kind.
    pub fn place_of(&self, kind: Kind) -> Option<usize> {
        self.sources.iter().position(|source| source.kind == kind)
    }

    /// The place of the source that the relay knows by a number.
    pub fn place_of_stream(&self, stream: u32) -> Option<usize> {
        self.sources.iter().position(|source| source.live.is_some_and(|live| live.stream == stream))
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

    /// An epoch began: the tracks of a camera with a cap begin again, but for those that are in use.
    pub fn begin_epoch(&mut self) {
        if let Some(used) = &mut self.capped {
            // A track may be on its way to the relay.
            let cameras = self.sources.iter().filter(|source| source.kind == Kind::Camera);
            let tracks = cameras.filter_map(|source| 1_u16.checked_shl(source.track?.into()));
            *used = tracks.fold(0, |all, track| all | track);
        }
    }

    /// The relay knows of a source.
    pub fn publish(&mut self, place: usize, published: Published) {
        if let Some(source) = self.sources.get_mut(place) {
            (source.live, source.is_told) = (Some(published), false);
            source.demand.clear();
        }
    }

    /// The relay knows of no source any more.
    pub fn unpublish_all(&mut self) {
        self.sources.iter_mut().for_each(|source| source.live = None);
    }
}
