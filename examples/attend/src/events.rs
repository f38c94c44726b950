//! What the relay says.

use layercast::Time;
use layercast::e2ee::attest::INTERVAL;
use layercast::select::DemandMessage;
use layercast::structure::LayerId;
use layercast_meeting::{
    Answer, Asked, Audience, Event, FromRelay, Group, Kind, Layers, ParticipantId, Published, Refusal,
    Request, Right, Role,
};

use crate::circle::{Wish, is_insider};
use crate::media::Failure;
use crate::notice::Notice;
use crate::people::{rights_name, role_name};
use crate::requests::Purpose;
use crate::seen::place;
use crate::{Attendee, Entry, KNOCK_AGAIN, Media, Output};

impl<M: Media> Attendee<M> {
    /// Takes a message of the relay.
    pub fn handle_message(&mut self, now: Time, message: FromRelay) {
        if !self.connected || self.ended {
            return;
        }
        match message {
            FromRelay::Answer { id, result } => {
                let Some(purpose) = self.requests.answered(id) else { return };
                match result {
                    Ok(answer) => self.handle_answer(now, purpose, answer),
                    Err(refusal) => self.handle_refusal(now, purpose, refusal),
                }
            }
            FromRelay::Event(event) => self.handle_event(now, event),
        }
    }

    fn handle_answer(&mut self, now: Time, purpose: Purpose, answer: Answer) {
        match (purpose, answer) {
            (Purpose::Login, Answer::Session(session)) => {
                self.session = Some(session.token);
                self.join();
            }
            (Purpose::Join, Answer::Joined(admission)) => {
                if self.admission.as_ref().is_none_or(|known| known.participant != admission.participant) {
                    self.notice(Notice::Joined {
                        participant: admission.participant.0,
                        role: role_name(admission.role).into(),
                        title: admission.title.to_string(),
                        region: admission.region.to_string(),
                        storage: admission.storage.clone(),
                    });
                }
                self.people.set_own(admission.participant);
                self.admission = Some(admission);
            }
            (Purpose::Link, Answer::Link(link)) => self.outputs.push_back(Output::Link(link)),
            (Purpose::Publish(place), Answer::Published(published)) => {
                let Some(kind) = self.sources.get(place).map(|source| source.kind) else { return };
                match self.send(place, published) {
                    Ok(()) => {
                        self.sources.publish(place, published);
                        self.notice(Notice::Sending {
                            stream: published.stream,
                            kind: kind_name(kind).into(),
                            ssrc: published.ssrc,
                        });
                    }
                    Err(error) => {
                        self.ask(
                            Purpose::Other("unpublish"),
                            Request::Unpublish { stream: published.stream },
                        );
                        self.refused(kind_name(kind), error.to_string());
                    }
                }
                self.tell_state_soon(now);
            }
            (Purpose::Commit, _) => self.committed(now),
            (Purpose::Admit(asked), _) => self.wish_for(*asked),
            (Purpose::Invite, Answer::Invitation(code)) => self.outputs.push_back(Output::Invitation(code)),
            _ => {}
        }
    }

    fn send(&mut self, place: usize, published: Published) -> Result<(), Failure> {
        let track = self.sources.get(place).and_then(|source| source.track).ok_or("it has no track")?;
        self.media.send(place, published, track, self.circle.sender_keys()?)
    }

    fn handle_refusal(&mut self, now: Time, purpose: Purpose, refusal: Refusal) {
        let why = refusal.to_string();
        match purpose {
            // The session is over; one who comes back has a token of the meeting.
            Purpose::Login if self.admission.is_some() => {
                self.session = None;
                self.join();
            }
            // The group went on without us: back in with other keys.
            Purpose::Join if refusal == Refusal::NotNow && self.circle.group().is_some() => {
                self.lose_group(now);
                self.join();
            }
            // Everybody comes back at once after a relay was down.
            Purpose::Join if refusal == Refusal::TooMany && self.admission.is_some() => {
                self.next_join = Some(now + KNOCK_AGAIN);
            }
            Purpose::Login | Purpose::Join => self.fail(&why),
            Purpose::Commit if refusal == Refusal::StaleEpoch => {
                if let Some((wish, times)) = self.circle.came_late(now) {
                    let (what, who) = (wish_name(&wish).into(), self.whom(&wish));
                    self.notice(Notice::HeldBack { what, who, times });
                }
            }
            Purpose::Commit => {
                if let Some(wish) = self.circle.not_committed(now, false) {
                    self.refused(wish_name(&wish), why);
                }
            }
            Purpose::Publish(place) => {
                if let Some(source) = self.sources.get_mut(place) {
                    source.wanted = false;
                    let kind = source.kind;
                    self.refused(kind_name(kind), why);
                }
            }
            Purpose::Link => self.handle_link_failed(now, &why),
            // It is said again.
            Purpose::Say => {}
            Purpose::Admit(_) => self.refused("admit", why),
            Purpose::Invite => self.refused("invite", why),
            Purpose::HandOver(_) => self.refused("hand-over", why),
            Purpose::Other(what) => self.refused(what, why),
        }
    }

    /// Whom a wish is about. One who is removed is somebody in the group alone.
    fn whom(&self, wish: &Wish) -> Option<String> {
        match wish {
            Wish::Remove(who, member) | Wish::HandOver(who, member) => {
                Some(format!("{} ({})", self.circle.name_of(*member), who.0))
            }
            Wish::Add(who, ..) | Wish::AddInsider(who, ..) => Some(self.name_of(*who)),
            Wish::RemoveInsider(who, _) => who.map(|who| self.name_of(who)),
            Wish::Update | Wish::HandOverInsiders(_) => None,
        }
    }

    pub(crate) fn refused(&mut self, what: &str, why: String) {
        self.notice(Notice::Refused { what: what.into(), why });
    }

    pub(crate) fn is_me(&self, who: ParticipantId) -> bool {
        self.admission.as_ref().is_some_and(|admission| admission.participant == who)
    }

    fn is_whom_we_added(&mut self, asked: &Asked) -> bool {
        let added = self.people.added(asked.participant);
        added.is_some() && self.circle.fingerprint_of(&asked.key_package.0) == added
    }

    /// Whether a member of the group is whom the relay says, as far as is known.
    pub(crate) fn is_attributed(&self, who: ParticipantId, member: u32) -> bool {
        self.people.member_of(who, &self.circle).is_none_or(|known| known == member)
            && self.people.participant_of(member, &self.circle).is_none_or(|known| known == who)
    }

    fn handle_event(&mut self, now: Time, event: Event) {
        match event {
            // It was let in before. That the relay says so is not enough: it has to be whom we added.
            Event::Waiting(asked) if asked.known && self.is_whom_we_added(&asked) => {
                self.people.knock(now, asked.clone());
                // The relay adds only those to the insiders who are in.
                if is_insider(&asked) && self.circle.is_organizer() {
                    self.let_in(asked);
                } else {
                    self.wish_for(asked);
                }
            }
            Event::Waiting(asked) => {
                let (who, role) = (asked.participant, role_name(asked.role).to_owned());
                let (name, outsider) = (asked.name.to_string(), asked.outsider);
                self.people.knock(now, asked);
                self.notice(Notice::Waiting { participant: who.0, role, name, outsider });
                if self.config.admit_all {
                    self.admit(who);
                }
            }
            Event::Admitted { rights, messages, begins } => {
                self.rights = rights;
                (self.admitted, self.was_admitted, self.limited) = (true, true, false);
                self.notice(Notice::Admitted { rights: rights_name(rights) });
                if let Some(own) = &self.admission {
                    self.people.arrive(own.participant, own.role, rights, None);
                }
                // No guest organizes, whatever the relay says.
                let organizes = self.admission.as_ref().is_some_and(|own| own.role == Role::Organizer)
                    && matches!(self.config.entry, Entry::Account(..));
                self.hand_over_again(organizes);
                if begins && organizes && self.circle.group().is_none_or(|group| group.epoch() > 0) {
                    match self.circle.begin() {
                        // What was said before was said in another group, and nobody waits for it.
                        Ok(()) => {
                            self.seen = messages;
                            self.entered(now, None);
                        }
                        Err(error) => return self.fail(&error.to_string()),
                    }
                }
                self.settles = Some(messages);
                self.settle(now);
                self.outputs.push_back(Output::MakeLink);
                (self.next_report, self.next_link) = (Some(now), None);
                self.next_attestation = Some(now + INTERVAL);
            }
            Event::Arrived(arrival) => {
                let name = Some(arrival.name);
                if self.people.arrive(arrival.participant, arrival.role, arrival.rights, name) {
                    let role = role_name(arrival.role).into();
                    self.notice(Notice::Arrived { participant: arrival.participant.0, role });
                }
                self.warn_of_reflections();
            }
            Event::Away { participant } => {
                let who = self.name_of(participant);
                self.people.lose(participant);
                self.notice(Notice::Away { who });
            }
            Event::Left { participant } => {
                let who = self.name_of(participant);
                self.notice(Notice::Left { who });
                self.put_out(participant);
            }
            Event::Removed { participant } => {
                let (who, own) = (self.name_of(participant), self.is_me(participant));
                self.notice(Notice::Removed { who, own });
                self.put_out(participant);
                if own {
                    self.fail("removed by the organizer");
                }
            }
            Event::Rights { participant, rights } => {
                let (who, own) = (self.name_of(participant), self.is_me(participant));
                self.notice(Notice::Rights { who, rights: rights_name(rights), own });
                if let Some(person) = self.people.get_mut(participant) {
                    person.rights = rights;
                }
                if own {
                    self.set_rights(rights);
                }
            }
            Event::Organizer { participant } => self.organizer = Some((participant, now)),
            Event::Locked { locked } => self.notice(Notice::Locked { locked }),
            Event::CameraLimited { participant, audience, max_spatial_id } => {
                let (who, audience) = (self.name_of(participant), audience_name(audience).into());
                self.notice(Notice::CameraLimited { who, audience, layer: max_spatial_id });
            }
            Event::Ended { why } => self.end(&why.to_string()),
            Event::GroupLost => {
                self.notice(Notice::GroupLost);
                self.lose_group(now);
                self.join();
            }
            Event::Mls(message) => {
                let is_mine = self.is_me(message.from);
                self.seen = self.seen.max(message.number);
                if is_mine && self.circle.is_sent(&message.message.0) {
                    self.committed(now);
                } else if !is_mine {
                    self.process(now, message.group, &message.message.0);
                }
                self.settle(now);
            }
            Event::Welcome { group: Group::Meeting, number, message } => {
                self.seen = self.seen.max(number);
                match self.circle.join(&message.0) {
                    Ok(true) => self.entered(now, None),
                    Ok(false) => {}
                    Err(error) => self.fail(&format!("the welcome to the group: {error}")),
                }
            }
            Event::Welcome { group: Group::Insiders, number, message } => {
                self.seen = self.seen.max(number);
                match self.circle.join_insiders(&message.0) {
                    Ok(true) => {
                        let name = self.config.name.to_string();
                        self.notice(Notice::Insider { name, own: true });
                    }
                    Ok(false) => {}
                    Err(error) => self.refused("the welcome to the insiders", error.to_string()),
                }
            }
            Event::Published(stream) => {
                if self.is_me(stream.participant) {
                    // Of the connection before: it has begun anew, under another number.
                    if self.sources.place_of_stream(stream.stream).is_none() {
                        self.ask(Purpose::Other("unpublish"), Request::Unpublish { stream: stream.stream });
                    }
                    return;
                }
                if !self.is_attributed(stream.participant, stream.member) {
                    let who = self.name_of(stream.participant);
                    let why = format!(
                        "the relay says that it is {who}'s, whose index in the group is another: it is not opened"
                    );
                    return self.refused(&format!("stream {}", stream.stream), why);
                }
                if let Some(person) = self.people.get_mut(stream.participant) {
                    person.claimed = Some(stream.member);
                }
                self.renew_tracks(now, stream.member, stream.track, stream.kind);
                if let Err(error) = self.media.receive(now, stream, &self.circle) {
                    return self.refused(&format!("stream {}", stream.stream), error.to_string());
                }
                self.begin_checking(now, &stream);
                let (who, kind) = (self.name_of(stream.participant), kind_name(stream.kind).into());
                self.notice(Notice::Published { stream: stream.stream, who, kind, ssrc: stream.ssrc });
                self.windows_changed(now);
            }
            Event::Unpublished { stream } => {
                if let Some(place) = self.sources.place_of_stream(stream) {
                    self.media.stop(place);
                    self.sources.get_mut(place).into_iter().for_each(|source| source.live = None);
                }
                if let Some(ended) = self.media.streams().find(|it| it.stream == stream).map(place) {
                    self.circle.attested_mut().end(ended);
                }
                self.media.end(now, stream);
                self.notice(Notice::Unpublished { stream });
                self.windows_changed(now);
            }
            Event::Demand { demand } => {
                let Ok(message) = DemandMessage::read(&demand.0) else { return };
                self.handle_demand(&message);
            }
            Event::Layers { layers } => {
                for Layers { stream, target, reason } in layers {
                    let target = target.map(|(spatial, temporal)| format!("S{spatial}T{temporal}"));
                    self.notice(Notice::Layers { stream, target, reason });
                }
            }
            Event::Expelled { reason } => {
                self.notice(Notice::Expelled { reason });
                self.link_up = false;
            }
            Event::Said { participant, message } => self.handle_said(now, participant, &message.0),
            Event::Closing => self.notice(Notice::Closing),
            _ => {}
        }
    }
}

impl<M: Media> Attendee<M> {
    /// Takes which layers others watch of a source: the highest target of each spatial layer is told.
    fn handle_demand(&mut self, message: &DemandMessage) {
        let Some(place) = self.sources.place_of_stream(message.stream.0) else { return };
        let Some(source) = self.sources.get_mut(place) else { return };
        if !matches!(source.kind, Kind::Camera | Kind::Screen) {
            return;
        }
        let mut demand: Vec<LayerId> = Vec::new();
        for target in message.demand.wanted().iter() {
            match demand.iter_mut().find(|it| it.spatial_id == target.spatial_id) {
                Some(known) => known.temporal_id = known.temporal_id.max(target.temporal_id),
                None => demand.push(target),
            }
        }
        let is_news = source.demand != demand || !source.is_told;
        let (kind, layers) =
            (kind_name(source.kind).into(), demand.iter().map(ToString::to_string).collect());
        (source.demand, source.is_told) = (demand, true);
        self.media.demand(place, message);
        if is_news {
            self.notice(Notice::Demand { stream: message.stream.0, kind, layers });
        }
    }
}

/// The name of a kind, for people.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Camera => "camera",
        Kind::Screen => "screen",
        Kind::Audio => "voice",
        Kind::Data => "messages",
    }
}

pub(crate) fn right_name(right: Right) -> &'static str {
    match right {
        Right::Voice => "voice",
        Right::Camera => "camera",
        Right::Share => "share",
    }
}

fn audience_name(audience: Audience) -> &'static str {
    match audience {
        Audience::Guests => "guests",
        Audience::Outsiders => "outsiders",
        Audience::All => "all",
    }
}

pub(crate) fn wish_name(wish: &Wish) -> &'static str {
    match wish {
        Wish::Add(..) | Wish::AddInsider(..) => "admit",
        Wish::Remove(..) | Wish::RemoveInsider(..) => "remove",
        Wish::HandOver(..) | Wish::HandOverInsiders(..) => "hand-over",
        Wish::Update => "epoch",
    }
}
