//! What a participant does without being asked: announces its streams, commits what the organizer wishes, tells its state,
//! and looks out for a relay that leads the group apart.

use std::time::Duration;

use layercast::Time;
use layercast::e2ee::OpenError;
use layercast_meeting::{Audience, Kind, ParticipantId, Request, Role};

use super::circle::Wish;
use super::events::wish_name;
use super::requests::Purpose;
use super::state::State;
use super::uplink::LAST_TRACKS;
use super::{STATE, Seat};
use crate::notice::Notice;

/// Packets that do not open for this long in an epoch that both ends are in are no accident.
const CLOSED: Duration = Duration::from_secs(5);
/// From one warning about somebody to the next.
const WARN_AGAIN: Duration = Duration::from_secs(30);
/// From one epoch that begins for want of tracks to the next: nobody is to force the others to change keys all the time.
const UPDATE_AGAIN: Duration = Duration::from_secs(5);
/// The commit that makes another the organizer may come this much later than the relay's word.
const PATIENCE: Duration = Duration::from_secs(3);
/// Cameras with more rows than this show what glasses reflect ("Private Eye", arXiv 2205.03971, studies 720).
const ROWS: u32 = 720;

impl Seat {
    pub(super) fn stand(&mut self, now: Time) {
        if !self.connected || !self.admitted {
            return;
        }
        if self.next_update.is_some_and(|at| at <= now) {
            (self.next_update, self.last_update) = (None, Some(now));
            self.circle.wish(Wish::Update);
        }
        self.commit(now);
        self.publish(now);
        if self.next_report.is_some_and(|at| at <= now) {
            self.send_report(now);
        }
        if self.next_state.is_some_and(|at| at <= now) {
            self.next_state = Some(now + STATE);
            self.send_state(now);
            self.watch(now);
        }
    }

    fn commit(&mut self, now: Time) {
        // One after the other: the answer says whether it took effect.
        while !self.requests.is_open(&Purpose::Commit) && self.settles.is_none() {
            match self.circle.next_commit(now) {
                None => break,
                Some(Ok(request)) => self.ask(Purpose::Commit, request),
                // Who cannot be in the group has no place in the meeting.
                Some(Err((Wish::Add(participant, _, name), why))) => {
                    let name = super::circle::show_name(&name);
                    self.notice(Notice::NotAdded { participant: participant.0, name, why });
                    self.ask(Purpose::Other("remove"), Request::Remove { participant });
                }
                Some(Err((wish, why))) => self.refused(wish_name(&wish), why),
            }
        }
    }

    /// Tells the relay what it is not to forward. What the organizer says is for all cameras, so that it says nothing: who
    /// has no keys for a layer does not ask for it.
    fn limit_camera(&mut self, kind: Kind) {
        let Some(limit) = self.config.guest_limit.filter(|_| kind == Kind::Camera) else { return };
        if !self.circle.is_organizer() && !std::mem::replace(&mut self.limited, true) {
            // Guests have no account of the organization either.
            let (audience, max_spatial_id) = (Audience::Outsiders, Some(limit));
            self.ask(Purpose::Other("limit"), Request::LimitCamera { audience, max_spatial_id });
        }
    }

    /// The organizer begins another epoch before a camera with a cap has no track left.
    pub(super) fn renew_tracks(&mut self, now: Time, member: u32, track: u16, kind: Kind) {
        let has_cap = self.circle.group().is_some_and(|it| it.guest_cap(member, track).is_some());
        if kind == Kind::Camera && track >= LAST_TRACKS && has_cap && self.circle.is_organizer() {
            let last = self.last_update;
            self.next_update.get_or_insert(last.map_or(now, |last| now.max(last + UPDATE_AGAIN)));
        }
    }

    fn publish(&mut self, now: Time) {
        let Some(member) = self.circle.group().map(|group| group.member()).filter(|_| self.link_up) else {
            return;
        };
        let has_keys = self.config.guest_limit.is_none() || self.circle.is_insider();
        let may = |kind: Kind| {
            kind.right().is_none_or(|right| self.rights.has(right)) && (kind != Kind::Camera || has_keys)
        };
        let due = self.uplink.sources().filter(|(place, source)| {
            source.wanted
                && source.live.is_none()
                && may(source.kind)
                && !self.requests.is_open(&Purpose::Publish(*place))
        });
        let due: Vec<_> = due.map(|(place, source)| (place, source.kind)).collect();
        for (place, kind) in due {
            // Of 65,536 streams of one participant, or 16 cameras with a cap in an epoch, no more.
            let Some(track) = self.uplink.next_track(kind) else { continue };
            if let Some(source) = self.uplink.source_mut(place) {
                source.track = Some(track);
            }
            self.limit_camera(kind);
            self.renew_tracks(now, member, track, kind);
            self.ask(Purpose::Publish(place), Request::Publish { kind, member, track, layer_refresh: true });
            if kind == Kind::Camera {
                self.warn_of_reflections();
            }
        }
    }

    fn send_state(&mut self, now: Time) {
        let (Some(group), Some(admission)) = (self.circle.group(), &self.admission) else { return };
        let Ok(code) = group.code() else { return };
        let unix = |at: Time| self.config.unix.saturating_add(at.since_start().as_micros() as u64);
        let state = State {
            participant: admission.participant.0,
            epoch: group.epoch(),
            code: code.to_string(),
            members: group.members().count(),
            clocks: self
                .uplink
                .clocks()
                .map(|(stream, timestamp, at)| (stream, timestamp, unix(at)))
                .collect(),
        };
        if let Err(error) = self.uplink.handle_message(now, &state.write()) {
            self.refused("state", error.to_string());
        }
    }

    /// Takes the state of somebody else, which came over a sealed stream of that member.
    pub(super) fn handle_state(&mut self, now: Time, stream: u32, message: &[u8]) {
        let Some(of) =
            self.downlink.feeds().find(|feed| feed.stream.stream == stream).map(|feed| feed.stream)
        else {
            return;
        };
        let Some(state) = State::read(message) else { return };
        if state.participant != of.participant.0 {
            return self.warn(
                now,
                of.participant,
                "it says that it is another participant than the relay does".into(),
            );
        }
        if let Some(person) = self.people.get_mut(of.participant) {
            person.told = Some(of.member);
        }
        for (stream, timestamp, at) in state.clocks {
            let feed =
                self.downlink.feed_mut(stream).filter(|feed| feed.stream.participant == of.participant);
            if let Some(feed) = feed {
                feed.account.set_clock(timestamp, at, self.config.unix);
            }
        }
        let Some(group) = self.circle.group().filter(|group| group.epoch() == state.epoch) else { return };
        let same = group.code().is_ok_and(|code| code.to_string() == state.code);
        if !same || group.members().count() != state.members {
            self.warn(now, of.participant, format!("it has other members or keys in epoch {}", state.epoch));
        }
    }

    fn watch(&mut self, now: Time) {
        let closed = self.downlink.feeds().filter_map(|feed| {
            let (since, error) = feed.account.closed_since().filter(|(since, _)| now - *since >= CLOSED)?;
            Some((feed.stream.participant, now - since, error))
        });
        let closed: Vec<_> = closed.collect();
        for (who, long, error) in closed {
            let which = match error {
                OpenError::NotAuthentic => "an epoch that both are in",
                _ => "an epoch that has not begun here, or is over",
            };
            self.warn(
                now,
                who,
                format!("its packets have not opened for {} s: sealed in {which}", long.as_secs()),
            );
        }
        let Some((relays, at)) = self.organizer else { return };
        if now - at < PATIENCE {
            return;
        }
        let Some(groups) = self.circle.organizer() else { return };
        self.organizer = None;
        let member = self.people.member_of(relays, &self.circle);
        if member != Some(groups.index) {
            let (relay, group) = (self.name_of(relays), super::circle::show_name(&groups.name));
            self.notice(Notice::OrganizersDiffer { relay, group });
        }
    }

    fn warn(&mut self, now: Time, who: ParticipantId, why: String) {
        let name = self.name_of(who);
        let Some(person) = self.people.get_mut(who) else { return };
        if person.warned.is_none_or(|at| now - at >= WARN_AGAIN) {
            person.warned = Some(now);
            self.notice(Notice::Forked { who: name, why });
        }
    }

    /// Guests who see a large camera may read what its owner's glasses reflect.
    pub(super) fn warn_of_reflections(&mut self) {
        let camera = self.uplink.place_of(Kind::Camera).and_then(|place| self.uplink.video(place));
        let Some(rows) = camera.map(|video| video.size.height).filter(|rows| *rows > ROWS) else { return };
        let has_guests = self.people.iter().any(|(_, person)| person.role == Role::Guest);
        if has_guests && !std::mem::replace(&mut self.warned_of_reflections, true) {
            self.notice(Notice::Reflections { rows });
        }
    }
}
