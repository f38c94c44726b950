//! A meeting in memory.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use layercast_meeting::{
    Arrival, Asked, Audience, Bytes, Event, Group, Kind, ParticipantId, Rights, Role, Stream, Text,
};

use super::limits::{Bucket, Rate};
use super::{ConnectionId, Now};
use crate::media_api::{MediaCommand, MeetingKey};
use crate::store::{AccountId, Hash, MeetingRecord, State};

/// Keys of MLS of somebody at the door.
#[derive(Debug, Clone)]
pub(super) struct KeyPackages {
    pub meeting: Bytes,
    pub insiders: Option<Bytes>,
}

#[derive(Debug)]
pub(super) struct Participant {
    pub account: Option<AccountId>,
    pub outsider: bool,
    pub token: Hash,
    pub state: State,
    pub was_in: bool,
    pub rights: Rights,
    pub since: [Option<u64>; 2],
    /// The name that it said. It is not stored: after a restart it is unknown until its owner is back.
    pub name: Option<Text>,
    pub keys: Option<KeyPackages>,
    pub connection: Option<ConnectionId>,
    /// When its connection was lost, if it has none.
    pub absent_since: Duration,
    /// The media side knows it.
    pub in_media: bool,
    /// How often it may knock, and publish a stream. They are its own and not its connection's, so that a new connection
    /// does not fill them.
    pub knocks: Bucket,
    pub streams: Bucket,
    /// How often it may say something.
    pub sayings: Bucket,
}

/// A knock may bring the organizer two key packages, and bring all messages of MLS back.
pub(super) const KNOCKS: Rate = Rate { burst: 20.0, per_second: 0.5 };
/// A stream takes two of the SSRCs that the links of all others have in their lives.
pub(super) const STREAMS: Rate = Rate { burst: 24.0, per_second: 0.5 };

/// What one says goes to all who are in: twice a second or a little more often, what it signs of all that it sends.
pub(super) const SAYINGS: Rate = Rate { burst: 20.0, per_second: 5.0 };

impl Participant {
    pub fn is_present(&self) -> bool {
        self.state == State::In && self.connection.is_some()
    }

    fn is_among(&self, audience: Audience) -> bool {
        match audience {
            Audience::Guests => self.account.is_none(),
            Audience::Outsiders => self.outsider,
            Audience::All => true,
        }
    }
}

#[derive(Debug)]
pub(super) struct Meeting {
    pub key: MeetingKey,
    pub id: String,
    pub title: Text,
    pub organizer: AccountId,
    /// Who has proposed something in the epochs that are.
    pub proposed: BTreeSet<(u32, Group)>,
    pub locked: bool,
    pub has_started: bool,
    /// The media side knows it.
    pub in_media: bool,
    pub participants: BTreeMap<u32, Participant>,
    pub streams: BTreeMap<u32, Stream>,
    pub last_stream: u32,
    pub epochs: [u64; 2],
    pub last_message: u64,
    pub log: VecDeque<(u64, usize)>,
    pub log_bytes: usize,
    /// By owner, 0 for all cameras.
    pub limits: BTreeMap<(u32, Audience), u8>,
    /// Since when nobody who is in has a connection; it counts only then.
    pub empty_since: Duration,
}

pub(super) fn group_index(group: Group) -> usize {
    match group {
        Group::Meeting => 0,
        Group::Insiders => 1,
    }
}

impl Meeting {
    pub fn new(key: MeetingKey, id: String, record: MeetingRecord, now: Now) -> Option<Self> {
        let participants = record.roster.iter().map(|entry| {
            let participant = Participant {
                account: entry.account,
                outsider: entry.outsider,
                token: entry.token,
                state: entry.state,
                was_in: entry.was_in,
                rights: entry.rights,
                since: entry.since,
                name: None,
                keys: None,
                connection: None,
                absent_since: now.at,
                in_media: false,
                knocks: Bucket::new(KNOCKS),
                streams: Bucket::new(STREAMS),
                sayings: Bucket::new(SAYINGS),
            };
            (entry.participant, participant)
        });
        Some(Self {
            key,
            id,
            title: Text::new(&record.title)?,
            organizer: record.organizer,
            proposed: BTreeSet::new(),
            locked: record.locked,
            has_started: record.has_started,
            in_media: false,
            participants: participants.collect(),
            streams: BTreeMap::new(),
            // Participants of a meeting that goes on after a crash know streams of the dead relay: theirs have other numbers
            // and SSRCs, by the time at which it goes on.
            last_stream: if record.has_started { (now.unix % (1 << 20)) as u32 * 1024 } else { 0 },
            epochs: record.epochs,
            last_message: record.last_message,
            log_bytes: record.log.iter().map(|(_, bytes)| bytes).sum(),
            log: record.log.into(),
            limits: record.limits.iter().map(|l| ((l.owner, l.audience), l.max_spatial_id)).collect(),
            empty_since: now.at,
        })
    }

    pub fn role(&self, participant: &Participant) -> Role {
        match participant.account {
            None => Role::Guest,
            Some(account) if account == self.organizer => Role::Organizer,
            Some(_) => Role::Member,
        }
    }

    /// The organizer's number, once it has joined.
    pub fn organizer_number(&self) -> Option<u32> {
        self.of_account(self.organizer)
    }

    pub fn of_account(&self, account: AccountId) -> Option<u32> {
        self.participants.iter().find(|(_, p)| p.account == Some(account)).map(|(number, _)| *number)
    }

    /// The organizer's connection, if it is in the meeting and connected.
    pub fn organizer_connection(&self) -> Option<ConnectionId> {
        let organizer = self.participants.get(&self.organizer_number()?)?;
        organizer.is_present().then_some(organizer.connection)?
    }

    /// The connections of all who are in, but for one.
    pub fn present_but(&self, not: Option<u32>) -> Vec<ConnectionId> {
        let others = self.participants.iter().filter(|(number, p)| Some(**number) != not && p.is_present());
        others.filter_map(|(_, p)| p.connection).collect()
    }

    pub fn is_empty(&self) -> bool {
        !self.participants.values().any(Participant::is_present)
    }

    pub fn arrival(&self, number: u32) -> Option<Event> {
        let participant = self.participants.get(&number)?;
        Some(Event::Arrived(Arrival {
            participant: ParticipantId(number),
            role: self.role(participant),
            name: participant.name.clone()?,
            rights: participant.rights,
        }))
    }

    /// What the organizer is shown of somebody at the door.
    pub fn asked(&self, number: u32) -> Option<Event> {
        let participant = self.participants.get(&number)?;
        let keys = participant.keys.clone()?;
        participant.connection?;
        (participant.state == State::Waiting).then_some(())?;
        Some(Event::Waiting(Asked {
            participant: ParticipantId(number),
            role: self.role(participant),
            name: participant.name.clone()?,
            key_package: keys.meeting,
            insiders_key_package: keys.insiders,
            outsider: participant.outsider,
            known: participant.was_in,
        }))
    }

    /// Whether the messages that somebody has not seen are all kept.
    pub fn can_resume(&self, participant: &Participant, seen: u64) -> bool {
        let has_group = participant.since[0].is_some() || self.epochs[0] == 0;
        let from = seen.max(participant.since[0].unwrap_or(0));
        let first_kept = self.log.front().map_or(self.last_message + 1, |(number, _)| *number);
        participant.state == State::In
            && has_group
            && seen <= self.last_message
            && (participant.since[0].is_none() || from + 1 >= first_kept)
    }

    /// The highest spatial layer of a camera that somebody may get.
    pub fn cap(&self, owner: u32, viewer: u32) -> Option<u8> {
        let viewer = self.participants.get(&viewer).filter(|_| viewer != owner)?;
        let audiences = [Audience::Guests, Audience::Outsiders, Audience::All].into_iter();
        let of_both = audiences
            .filter(|audience| viewer.is_among(*audience))
            .flat_map(|audience| [(0, audience), (owner, audience)]);
        of_both.filter_map(|limit| self.limits.get(&limit)).min().copied()
    }

    /// The limits that hold of one stream, by viewer.
    pub fn caps_of_stream(&self, stream: &Stream) -> impl Iterator<Item = (u32, u8)> {
        let owner = (stream.kind == Kind::Camera).then_some(stream.participant.0);
        let viewers = self.participants.iter().filter(|(_, p)| p.in_media).map(|(number, _)| *number);
        viewers.filter_map(move |viewer| Some((viewer, self.cap(owner?, viewer)?)))
    }

    /// The limits that hold of what one viewer sees, by stream.
    pub fn caps_of_viewer(&self, viewer: u32) -> impl Iterator<Item = (u32, u8)> {
        let cameras = self.streams.values().filter(|stream| stream.kind == Kind::Camera);
        cameras.filter_map(move |stream| Some((stream.stream, self.cap(stream.participant.0, viewer)?)))
    }

    /// The limits that hold of the cameras of one owner, or of all if it is 0: by viewer and stream.
    pub fn caps_of_owner(&self, owner: u32) -> BTreeMap<(u32, u32), u8> {
        let streams = self.streams.values().filter(|stream| owner == 0 || stream.participant.0 == owner);
        streams
            .flat_map(|stream| {
                self.caps_of_stream(stream).map(|(viewer, max)| ((viewer, stream.stream), max))
            })
            .collect()
    }

    pub fn cap_command(&self, viewer: u32, stream: u32, max_spatial_id: Option<u8>) -> MediaCommand {
        MediaCommand::Cap { meeting: self.key, participant: ParticipantId(viewer), stream, max_spatial_id }
    }

    /// What the limits of cameras are now, for one who comes in.
    pub fn limit_events(&self) -> Vec<Event> {
        let organizer = self.organizer_number().unwrap_or(0);
        let event = |(&(owner, audience), max): (&(u32, Audience), &u8)| Event::CameraLimited {
            participant: ParticipantId(if owner == 0 { organizer } else { owner }),
            audience,
            max_spatial_id: Some(*max),
        };
        self.limits.iter().map(event).collect()
    }
}
