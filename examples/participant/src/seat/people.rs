//! Who is in the meeting, and which member of the group each is.

use std::collections::BTreeMap;
use std::time::Duration;

use layercast::Time;
use layercast::e2ee::mls::Fingerprint;
use layercast_meeting::{Asked, ParticipantId, Right, Rights, Role, Text};

use super::circle::Circle;

/// People at most, whatever the relay says.
const MAX_PEOPLE: usize = 2000;
/// Who has come to the door with another name is looked at for so long before it is let in.
const LOOK: Duration = Duration::from_secs(3);

/// Somebody in the meeting, by the relay's word.
#[derive(Debug, Clone)]
pub struct Person {
    /// What the relay says that it is.
    pub role: Role,
    /// What the relay lets it send.
    pub rights: Rights,
    /// The member, as its sealed messages say.
    pub told: Option<u32>,
    /// The member, as the relay passed it on with a stream.
    pub claimed: Option<u32>,
    /// When a warning about it was given.
    pub warned: Option<Time>,
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
    pub fn arrive(&mut self, who: ParticipantId, role: Role, rights: Rights) -> bool {
        if let Some(person) = self.people.get_mut(&who) {
            (person.role, person.rights) = (role, rights);
            // One who comes back may be another member of the group.
            (person.told, person.claimed) = (None, None);
            return false;
        }
        if self.people.len() < MAX_PEOPLE {
            self.people.insert(who, Person { role, rights, told: None, claimed: None, warned: None });
        }
        true
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
        let added = self.added.get(&who);
        let known =
            added.and_then(|added| group.members().find(|it| it.fingerprint == *added).map(|it| it.index));
        let person = self.people.get(&who);
        let member = known.or_else(|| person?.told).or_else(|| person?.claimed)?;
        group.members().any(|it| it.index == member).then_some(member)
    }

    /// Who a member of the group is.
    pub fn participant_of(&self, member: u32, circle: &Circle) -> Option<ParticipantId> {
        let all = self.people.keys().chain(self.added.keys());
        all.copied().find(|who| self.member_of(*who, circle) == Some(member))
    }

    /// The name that somebody has in the group, with the number by which commands name it.
    pub fn name(&self, who: ParticipantId, circle: &Circle) -> String {
        match self.member_of(who, circle) {
            Some(member) => format!("{} ({})", circle.name_of(member), who.0),
            None => format!("participant {}", who.0),
        }
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
    if names.is_empty() { "messages only".into() } else { names.join(", ") }
}
