//! What the person at the seat wants.

use layercast::Time;
use layercast_meeting::{Asked, Audience, Kind, ParticipantId, Request, Rights};

use crate::commands::Command;
use crate::events::right_name;
use crate::notice::Notice;
use crate::people::{Participant, rights_name};
use crate::requests::Purpose;
use crate::{Attendee, Media};

impl<M: Media> Attendee<M> {
    /// Does what a command says.
    pub fn handle_command(&mut self, now: Time, command: Command) {
        match command {
            Command::Mute(kind) => self.set_muted(kind, true),
            Command::Unmute(kind) => self.set_muted(kind, false),
            Command::Window(size) => {
                (self.window, self.windows) = (size, None);
                self.windows_changed(now);
            }
            Command::Admit(who) if self.people.has_just_changed(now, who) => {
                let why = "who waits under this number has just come with another name or role: look again, and repeat the command";
                self.refused("admit", why.into());
            }
            Command::Admit(who) => self.admit(who),
            Command::Remove(who) => self.remove(who),
            Command::Allow(participant, right, allowed) => {
                self.ask(Purpose::Other(right_name(right)), Request::Allow { participant, right, allowed });
            }
            Command::HandOver(who) => match self.people.member_of(who, &self.circle) {
                Some(member) if self.circle.is_organizer() => {
                    if !self.circle.hand_over(who, member) {
                        let why = "guests and people from outside do not organize, for they are no insiders";
                        self.refused("hand-over", why.into());
                    }
                }
                Some(_) => self.refused("hand-over", "only the organizer may do this".into()),
                None => self.refused("hand-over", "nobody of this number is in the group".into()),
            },
            Command::Lock(locked) => self.ask(Purpose::Other("lock"), Request::Lock { locked }),
            Command::Limit(audience, max_spatial_id) => {
                self.ask(Purpose::Other("limit"), Request::LimitCamera { audience, max_spatial_id });
                self.tell_who_enforces(audience, max_spatial_id);
            }
            Command::Invite => {
                let meeting = self.config.meeting.clone();
                self.ask(Purpose::Invite, Request::Invite { meeting });
            }
            Command::Hand(raised) => self.raise_hand(now, raised),
            Command::Who => self.tell_who(),
            Command::Code => self.tell_code(),
            Command::End => self.ask(Purpose::Other("end"), Request::End),
            Command::Quit => {
                self.ask(Purpose::Other("leave"), Request::Leave);
                self.end("left");
            }
        }
    }

    /// Lets somebody in who waits: at the relay first, and then into the group.
    pub(crate) fn admit(&mut self, who: ParticipantId) {
        if !self.circle.is_organizer() {
            return self.refused("admit", "only the organizer whom the group names may do this".into());
        }
        let Some(asked) = self.people.waiting(who).cloned() else {
            return self.refused("admit", "nobody of this number waits".into());
        };
        // One who comes back without its group is a member until it is removed.
        let is_new = self.people.member_of(who, &self.circle).is_none();
        match self.circle.cannot_add(&asked).filter(|_| is_new) {
            Some(why) => {
                self.refused("admit", format!("{} ({}) stays at the door: {why}", asked.name, who.0))
            }
            None => self.let_in(asked),
        }
    }

    /// What the relay is asked for is to let in whom the organizer saw, and no other who has the number meanwhile.
    pub(super) fn let_in(&mut self, asked: Asked) {
        let participant = asked.participant;
        self.ask(Purpose::Admit(Box::new(asked)), Request::Admit { participant });
    }

    /// The relay stops the packets at once, and the next epoch has keys that the removed one never gets.
    fn remove(&mut self, who: ParticipantId) {
        self.ask(Purpose::Other("remove"), Request::Remove { participant: who });
        let is_waiting = self.people.answer(who).is_some();
        match self.people.member_of(who, &self.circle) {
            Some(member) if self.circle.is_organizer() => self.circle.remove(who, member),
            None if !is_waiting => self.refused("remove", "nobody of this number is in the group".into()),
            _ => {}
        }
    }

    /// Says it if a limit is the relay's word alone, or if keys go on to keep a stricter one.
    fn tell_who_enforces(&mut self, audience: Audience, layer: Option<u8>) {
        let keys = self.config.guest_limit;
        // The organizer's limit is for the cameras of others too, whose keys are not its own.
        let is_for_more = audience == Audience::All || self.circle.is_organizer();
        let by_relay = layer.is_some_and(|layer| is_for_more || keys.is_none_or(|keys| layer < keys));
        let by_keys = keys.is_some_and(|keys| layer.is_none_or(|layer| keys < layer)) && !by_relay;
        if by_relay || by_keys {
            self.notice(Notice::Enforced { by_keys, keys });
        }
    }

    pub(crate) fn set_muted(&mut self, kind: Option<Kind>, muted: bool) {
        let chosen = |it: Kind| it != Kind::Data && kind.is_none_or(|kind| kind == it);
        let places: Vec<_> =
            self.sources.iter().filter(|(_, source)| chosen(source.kind)).map(|(place, _)| place).collect();
        for place in places {
            let Some(source) = self.sources.get_mut(place) else { continue };
            source.wanted = !muted;
            if muted {
                self.unpublish(place, "mute");
            }
        }
    }

    /// A source is no longer sent, and the relay hears of it.
    pub(crate) fn unpublish(&mut self, place: usize, what: &'static str) {
        let live = self.sources.get_mut(place).and_then(|source| source.live.take());
        if let Some(live) = live {
            self.media.stop(place);
            self.ask(Purpose::Other(what), Request::Unpublish { stream: live.stream });
        }
    }

    /// What one may not send any more ends here too. What one may send again begins by itself.
    pub(crate) fn set_rights(&mut self, rights: Rights) {
        self.rights = rights;
        let ended =
            self.sources.iter().filter(|(_, source)| source.kind.right().is_some_and(|it| !rights.has(it)));
        let ended: Vec<_> = ended.map(|(place, _)| place).collect();
        ended.into_iter().for_each(|place| self.unpublish(place, "unpublish"));
    }

    /// All who are in, and those at the door: names, fingerprints and the organizer as the group has them, and the rest as the
    /// relay says.
    pub fn people(&self) -> Vec<Participant> {
        self.people.list(&self.circle, &self.config.name, self.hand)
    }

    fn tell_who(&mut self) {
        for person in self.people().into_iter().filter(|person| !person.waiting) {
            self.notice(Notice::Person {
                participant: person.participant.0,
                name: if person.in_group { person.name } else { "(not in the group yet)".into() },
                fingerprint: person.fingerprint.unwrap_or_default(),
                role: person.role.into(),
                rights: person.rights.map(rights_name).unwrap_or_default(),
                own: person.own,
            });
        }
    }

    fn tell_code(&mut self) {
        let Some(group) = self.circle.group() else {
            return self.refused("code", "not in the group yet".into());
        };
        let own = self.circle.member(group.member()).map_or(String::new(), |it| it.fingerprint.to_string());
        let Ok(code) = group.code() else { return };
        let code = code.to_string();
        self.notice(Notice::Code { code, own });
    }
}
