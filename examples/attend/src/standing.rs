//! What a participant does without being asked: announces its streams, commits what the organizer wishes, tells its state,
//! and looks out for a relay that leads the group apart.

use std::time::Duration;

use layercast::Time;
use layercast::e2ee::OpenError;
use layercast_meeting::{Audience, Kind, ParticipantId, Request, Role};

use crate::circle::{Wish, show_name};
use crate::events::wish_name;
use crate::notice::Notice;
use crate::requests::Purpose;
use crate::sayings::{Sayings, What};
use crate::sources::LAST_TRACKS;
use crate::state::State;
use crate::{Attendee, Media};

/// From one message about the state to the next, at least.
const STATE: Duration = Duration::from_secs(2);
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

impl<M: Media> Attendee<M> {
    pub(crate) fn stand(&mut self, now: Time) {
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
            self.send_state(now);
            self.watch(now);
        }
        if self.next_attestation.is_some_and(|at| at <= now) {
            self.attest(now);
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
    pub(crate) fn renew_tracks(&mut self, now: Time, member: u32, track: u16, kind: Kind) {
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
        let due = self.sources.iter().filter(|(place, source)| {
            source.wanted
                && source.live.is_none()
                && may(source.kind)
                && !self.requests.is_open(&Purpose::Publish(*place))
        });
        let due: Vec<_> = due.map(|(place, source)| (place, source.kind)).collect();
        for (place, kind) in due {
            // Of 65,536 streams of one participant, or 16 cameras with a cap in an epoch, no more.
            let Some(track) = self.sources.next_track(kind) else { continue };
            if let Some(source) = self.sources.get_mut(place) {
                source.track = Some(track);
            }
            self.limit_camera(kind);
            self.renew_tracks(now, member, track, kind);
            let publish = Request::Publish { kind, member, track, layer_refresh: M::REFRESHES_LAYERS };
            self.ask(Purpose::Publish(place), publish);
            if kind == Kind::Camera {
                self.warn_of_reflections();
            }
        }
    }

    /// From one state that we tell to the next. So many members tell it to so many that it takes longer in large groups: the
    /// relay passes on 1000 a second at most, and everybody hears from somebody each second or sooner.
    fn state_interval(&self) -> Duration {
        let members = self.circle.group().map_or(0, |group| group.members().count()) as u64;
        STATE.max(Duration::from_millis(members * members))
    }

    /// Something in our state is news.
    pub(crate) fn tell_state_soon(&mut self, now: Time) {
        let at = self.last_state.map_or(now, |last| now.max(last + self.state_interval() / 2));
        self.next_state = Some(self.next_state.map_or(at, |next| next.min(at)));
    }

    pub(crate) fn raise_hand(&mut self, now: Time, raised: bool) {
        self.hand = raised;
        self.tell_state_soon(now);
    }

    fn send_state(&mut self, now: Time) {
        (self.last_state, self.next_state) = (Some(now), Some(now + self.state_interval()));
        let (Some(group), Some(admission)) = (self.circle.group(), &self.admission) else { return };
        let Ok(code) = group.code() else { return };
        let unix = |at: Time| self.config.unix.saturating_add(at.since_start().as_micros() as u64);
        let clocks =
            self.media.clocks().into_iter().map(|(stream, timestamp, at)| (stream, timestamp, unix(at)));
        let state = State {
            participant: admission.participant.0,
            epoch: group.epoch(),
            code: code.to_string(),
            members: group.members().count(),
            clocks: clocks.collect(),
            hand: self.hand,
        };
        match self.sayings.seal(What::State, &state.write()) {
            Ok(message) => self.ask(Purpose::Say, Request::Say { message }),
            Err(error) => self.refused("state", error.to_string()),
        }
    }

    /// Takes what somebody else says, as the relay has it, sealed by a member of the group.
    pub(crate) fn handle_said(&mut self, now: Time, who: ParticipantId, message: &[u8]) {
        if self.circle.group().is_none() || self.is_me(who) {
            return;
        }
        let Some(member) = Sayings::member(message, &self.circle) else { return };
        let other = "it says that it is another participant than the relay does";
        // What is looked up among all members is known of those who have spoken.
        let is_known = self.people.get_mut(who).is_some_and(|person| person.told == Some(member));
        if !is_known && !self.is_attributed(who, member) {
            return self.warn(now, who, other.into());
        }
        let opened = self.sayings.open(now, member, message, &self.circle);
        let Some(person) = self.people.get_mut(who) else { return };
        let (what, message) = match opened {
            Ok(opened) => opened,
            Err(error) => return person.sayings.handle_closed(now, error),
        };
        person.sayings.handle_opened();
        if what == What::Attestation {
            // One that the member did not sign says nothing, and one of an epoch before ours is about what we did not open.
            let _ = self.circle.attested().handle(now, member, &message);
            return self.judge(now);
        }
        let Some(state) = State::read(&message) else { return };
        if state.participant != who.0 {
            return self.warn(now, who, other.into());
        }
        if let Some(person) = self.people.get_mut(who) {
            (person.told, person.hand) = (Some(member), state.hand);
        }
        let own: Vec<u32> =
            self.media.streams().filter(|it| it.participant == who).map(|it| it.stream).collect();
        for (stream, timestamp, at) in state.clocks.into_iter().filter(|(stream, ..)| own.contains(stream)) {
            self.media.set_clock(stream, timestamp, at);
        }
        let Some(group) = self.circle.group().filter(|group| group.epoch() == state.epoch) else { return };
        let same = group.code().is_ok_and(|code| code.to_string() == state.code);
        if !same || group.members().count() != state.members {
            self.warn(now, who, format!("it has other members or keys in epoch {}", state.epoch));
        }
    }

    fn watch(&mut self, now: Time) {
        let media =
            self.media.closed(now).into_iter().map(|(stream, long, error)| (stream.participant, long, error));
        let said = self
            .people
            .iter()
            .filter_map(|(who, person)| person.sayings.wanting().map(|(long, error)| (who, long, error)));
        let closed: Vec<_> = media.chain(said).filter(|(_, long, _)| *long >= CLOSED).collect();
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
            let (relay, group) = (self.name_of(relays), show_name(&groups.name));
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
    pub(crate) fn warn_of_reflections(&mut self) {
        let camera = self.sources.iter().find(|(_, source)| source.kind == Kind::Camera);
        let rows = camera.and_then(|(_, source)| source.rows).filter(|rows| *rows > ROWS);
        let Some(rows) = rows else { return };
        let has_guests = self.people.iter().any(|(_, person)| person.role == Role::Guest);
        if has_guests && !std::mem::replace(&mut self.warned_of_reflections, true) {
            self.notice(Notice::Reflections { rows });
        }
    }
}
