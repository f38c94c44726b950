//! Who is in the meeting, and which member of the group each is.

use std::collections::BTreeMap;
use std::time::Duration;

use layercast::Time;
use layercast::e2ee::mls::{Fingerprint, Group, Member};
use layercast_meeting::{Asked, ParticipantId, Right, Rights, Role, Text};
use serde::Serialize;

use crate::circle::{Circle, show_name};
use crate::openings::Openings;

/// People at most, whatever the relay says.
const MAX_PEOPLE: usize = 2000;
/// Who has come to the door with another name is looked at for so long before it is let in.
const LOOK: Duration = Duration::from_secs(3);

/// Somebody in the meeting, by the relay's word.
#[derive(Debug, Clone)]
pub struct Person {
    /// What the relay says that it is called.
    pub name: Option<Text>,
    /// What the relay says that it is.
    pub role: Role,
    /// What the relay lets it send.
    pub rights: Rights,
    /// The member, as its sealed messages say.
    pub told: Option<u32>,
    /// The member, as the relay passed it on with a stream.
    pub claimed: Option<u32>,
    /// Whether the relay says that its connection is lost.
    pub away: bool,
    /// Whether it raises a hand.
    pub hand: bool,
    /// Whether what it says opens.
    pub sayings: Openings,
    /// When a warning about it was given.
    pub warned: Option<Time>,
}

/// Somebody in the meeting or at its door, for people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Participant {
    /// The number, by which commands name it.
    pub participant: ParticipantId,
    /// The group's word for the name if it is in the group, and otherwise what the relay was told.
    pub name: String,
    /// Of the key, if it is in the group.
    pub fingerprint: Option<String>,
    /// What it is: the group says who organizes.
    pub role: &'static str,
    /// What the relay lets it send, if it is in.
    pub rights: Option<Rights>,
    /// Whether it is oneself.
    pub own: bool,
    /// Whether it is in the group, as far as is known.
    pub in_group: bool,
    /// Whether it is at the door.
    pub waiting: bool,
    /// Whether the relay says that its connection is lost.
    pub away: bool,
    /// Whether its account is of another organization, or it has none: told of those at the door.
    pub outsider: bool,
    /// Whether it raises a hand.
    pub hand: bool,
}

/// All of them.
#[derive(Debug, Default)]
pub struct People {
    people: BTreeMap<ParticipantId, Person>,
    /// This participant.
    own: Option<ParticipantId>,
    /// Those whom this participant added itself. The key package was theirs.
    added: BTreeMap<ParticipantId, Fingerprint>,
    /// At the door.
    waiting: BTreeMap<ParticipantId, Asked>,
    /// As whom each came to the door last, and when it came as somebody else than before.
    shown: BTreeMap<ParticipantId, Shown>,
}

#[derive(Debug)]
struct Shown {
    name: Text,
    role: Role,
    outsider: bool,
    changed: Option<Time>,
}

impl People {
    /// Those who are in.
    pub fn iter(&self) -> impl Iterator<Item = (ParticipantId, &Person)> {
        self.people.iter().map(|(id, person)| (*id, person))
    }

    /// Says who this participant is.
    pub fn set_own(&mut self, own: ParticipantId) {
        self.own = Some(own);
    }

    /// Somebody who is in.
    pub fn get_mut(&mut self, who: ParticipantId) -> Option<&mut Person> {
        self.people.get_mut(&who)
    }

    /// Whom this participant added under this number.
    pub fn added(&self, who: ParticipantId) -> Option<Fingerprint> {
        self.added.get(&who).copied()
    }

    /// Somebody is in.
    pub fn arrive(&mut self, who: ParticipantId, role: Role, rights: Rights, name: Option<Text>) -> bool {
        if let Some(person) = self.people.get_mut(&who) {
            (person.role, person.rights, person.away) = (role, rights, false);
            person.name = name;
            // One who comes back may be another member of the group.
            (person.told, person.claimed) = (None, None);
            return false;
        }
        if self.people.len() < MAX_PEOPLE {
            let person = Person {
                name,
                role,
                rights,
                told: None,
                claimed: None,
                away: false,
                hand: false,
                sayings: Openings::default(),
                warned: None,
            };
            self.people.insert(who, person);
        }
        true
    }

    /// The connection of somebody is lost.
    pub fn lose(&mut self, who: ParticipantId) {
        self.people.get_mut(&who).into_iter().for_each(|person| person.away = true);
    }

    /// Somebody is gone.
    pub fn leave(&mut self, who: ParticipantId) {
        self.people.remove(&who);
        self.added.remove(&who);
        self.waiting.remove(&who);
    }

    /// The connection is gone: the relay tells anew who is in. What is known of the members stays.
    pub fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    /// Somebody knocks.
    pub fn knock(&mut self, now: Time, asked: Asked) {
        let who = asked.participant;
        let is_same =
            |it: &Shown| (&it.name, it.role, it.outsider) == (&asked.name, asked.role, asked.outsider);
        let changed = match self.shown.get(&who) {
            Some(shown) if is_same(shown) => shown.changed,
            Some(_) => Some(now),
            None => None,
        };
        if self.shown.len() < MAX_PEOPLE || self.shown.contains_key(&who) {
            let (name, role, outsider) = (asked.name.clone(), asked.role, asked.outsider);
            self.shown.insert(who, Shown { name, role, outsider, changed });
        }
        if self.waiting.len() < MAX_PEOPLE {
            self.waiting.insert(who, asked);
        }
    }

    /// Whether somebody at the door has just become somebody else, so that a command may mean the one before. It is said once.
    pub fn has_just_changed(&mut self, now: Time, who: ParticipantId) -> bool {
        let changed = self.shown.get_mut(&who).and_then(|shown| shown.changed.take());
        changed.is_some_and(|at| now - at < LOOK)
    }

    /// Somebody at the door.
    pub fn waiting(&self, who: ParticipantId) -> Option<&Asked> {
        self.waiting.get(&who)
    }

    /// Somebody is let in or sent away.
    pub fn answer(&mut self, who: ParticipantId) -> Option<Asked> {
        self.waiting.remove(&who)
    }

    /// Remembers whom this participant added.
    pub fn add(&mut self, who: ParticipantId, fingerprint: Fingerprint) {
        if self.added.len() < MAX_PEOPLE {
            self.added.insert(who, fingerprint);
        }
    }

    /// The member of the group that somebody is: as this participant knows by itself, as that person's sealed messages say,
    /// or as the relay says, in this order.
    pub fn member_of(&self, who: ParticipantId, circle: &Circle) -> Option<u32> {
        let group = circle.group()?;
        if self.own == Some(who) {
            return Some(group.member());
        }
        let members: Vec<_> = group.members().collect();
        self.find(who, &members).map(|member| member.index)
    }

    /// The member that somebody else is.
    fn find<'a>(&self, who: ParticipantId, members: &'a [Member]) -> Option<&'a Member> {
        let added = self.added.get(&who);
        let known = added.and_then(|added| members.iter().find(|it| it.fingerprint == *added));
        let person = self.people.get(&who);
        let index = known.map(|it| it.index).or_else(|| person?.told).or_else(|| person?.claimed)?;
        members.iter().find(|it| it.index == index)
    }

    /// Who a member of the group is.
    pub fn participant_of(&self, member: u32, circle: &Circle) -> Option<ParticipantId> {
        let group = circle.group()?;
        if group.member() == member {
            return self.own;
        }
        // Their digits are computed, so that they are listed once.
        let members: Vec<_> = group.members().collect();
        let is_it = |who: &ParticipantId| self.find(*who, &members).is_some_and(|it| it.index == member);
        let others = self.people.keys().chain(self.added.keys()).filter(|who| Some(**who) != self.own);
        others.copied().find(is_it)
    }

    /// All who are in, and those at the door. Our own name is `name`, and `hand` whether we raise a hand.
    pub fn list(&self, circle: &Circle, name: &Text, hand: bool) -> Vec<Participant> {
        let organizer = circle.organizer().map(|organizer| organizer.index);
        let members: Vec<_> = circle.group().into_iter().flat_map(Group::members).collect();
        let oneself = circle.group().map(Group::member);
        let oneself = members.iter().find(|it| Some(it.index) == oneself);
        let inside = self.people.iter().map(|(who, person)| {
            let own = self.own == Some(*who);
            let member = if own { oneself } else { self.find(*who, &members) };
            let told = if own { Some(name) } else { person.name.as_ref() };
            Participant {
                participant: *who,
                name: match (member, told) {
                    (Some(member), _) => show_name(&member.name),
                    (None, told) => told.map(ToString::to_string).unwrap_or_default(),
                },
                fingerprint: member.map(|member| member.fingerprint.to_string()),
                // The group says who organizes; the relay's word may be an old one.
                role: match (member, organizer) {
                    (Some(member), Some(organizer)) if member.index == organizer => "organizer",
                    (Some(_), Some(_)) if person.role == Role::Organizer => "member",
                    _ => role_name(person.role),
                },
                rights: Some(person.rights),
                own,
                in_group: member.is_some(),
                waiting: false,
                away: person.away,
                outsider: false,
                hand: if own { hand } else { person.hand },
            }
        });
        let outside = self.waiting.values().map(|asked| Participant {
            participant: asked.participant,
            name: asked.name.to_string(),
            fingerprint: None,
            role: role_name(asked.role),
            rights: None,
            own: false,
            in_group: false,
            waiting: true,
            away: false,
            outsider: asked.outsider,
            hand: false,
        });
        inside.chain(outside).collect()
    }

    /// The name that somebody has in the group, with the number by which commands name it; `None` if it is not in the group.
    pub fn name(&self, who: ParticipantId, circle: &Circle) -> Option<String> {
        let member = self.member_of(who, circle)?;
        Some(format!("{} ({})", circle.name_of(member), who.0))
    }
}

/// A role for people.
pub fn role_name(role: Role) -> &'static str {
    match role {
        Role::Organizer => "organizer",
        Role::Member => "member",
        Role::Guest => "guest",
    }
}

/// Rights for people.
pub fn rights_name(rights: Rights) -> String {
    let all = [(Right::Voice, "voice"), (Right::Camera, "camera"), (Right::Share, "share")];
    let names: Vec<_> =
        all.into_iter().filter(|(right, _)| rights.has(*right)).map(|(_, name)| name).collect();
    if names.is_empty() { "nothing".into() } else { names.join(", ") }
}
