//! A relay's desk, as far as seats need one: it believes everybody, remembers messages of MLS, and orders commits.

use std::collections::BTreeMap;

use layercast::Time;
use layercast::relay::{Room, StreamConfig, StreamKind};
use layercast::select::{Cap, ReceiverReport, StreamId};
use layercast_meeting::{
    Admission, Answer, Arrival, Asked, Audience, Credential, Event, FromRelay, Group, Kind, LinkDescription,
    MlsMessage, Numbered, ParticipantId, Published, Refusal, Request, Rights, Role, Secret, Session, Stream,
    Text,
};

struct Known {
    place: usize,
    role: Role,
    name: Text,
    rights: Rights,
    is_in: bool,
    removed: bool,
    connected: bool,
    streams: Vec<Stream>,
}

/// The desk.
#[derive(Default)]
pub struct Desk {
    known: BTreeMap<ParticipantId, Known>,
    places: BTreeMap<usize, ParticipantId>,
    /// Accounts of those who logged in.
    accounts: BTreeMap<usize, String>,
    messages: Vec<MlsMessage>,
    /// Of the meeting's group and of the insiders.
    epochs: [u64; 2],
    /// The limits of cameras, by their owners; the organizer's own is that of all.
    limits: BTreeMap<ParticipantId, (Audience, u8)>,
    streams: u32,
    queue: Vec<(usize, FromRelay)>,
    /// Commits that are refused as too late, as if another had been first.
    pub refuse_commits: u32,
    /// Links that are refused.
    pub refuse_links: u32,
    /// A relay that says it took a commit, and passes on another in its place.
    pub swaps: Option<layercast_meeting::Bytes>,
    /// Those who come back are told to come later.
    pub busy: u32,
    /// A relay that forwards whatever layers there are.
    pub ignores_limits: bool,
    /// The last key package for the insiders that somebody brought.
    pub brought: Option<layercast_meeting::Bytes>,
    /// A relay that adds somebody else to the insiders.
    pub insiders_key_package: Option<layercast_meeting::Bytes>,
    /// A relay that does not pass on what somebody says.
    pub silences: Option<ParticipantId>,
    /// The answers to commits get lost.
    pub loses_answers: bool,
}

fn media(who: ParticipantId) -> layercast::relay::ParticipantId {
    layercast::relay::ParticipantId(who.0)
}

impl Desk {
    /// What there is to say, and to whom.
    pub fn take(&mut self) -> Vec<(usize, FromRelay)> {
        std::mem::take(&mut self.queue)
    }

    /// Who sits somewhere, and is in the meeting.
    pub fn seated(&self, place: usize) -> Option<ParticipantId> {
        let who = *self.places.get(&place)?;
        self.known.get(&who).filter(|known| known.is_in && known.connected && !known.removed).map(|_| who)
    }

    /// Who sits somewhere, or sat.
    pub fn who(&self, place: usize) -> Option<ParticipantId> {
        self.places.get(&place).copied()
    }

    /// What somebody sends.
    pub fn streams(&self, who: ParticipantId) -> Vec<Stream> {
        self.known.get(&who).map_or(Vec::new(), |known| known.streams.clone())
    }

    /// Where somebody sits.
    pub fn place_of(&self, who: ParticipantId) -> Option<usize> {
        self.known.get(&who).map(|known| known.place)
    }

    /// Says something to one.
    pub fn tell(&mut self, to: ParticipantId, event: Event) {
        if let Some(known) = self.known.get(&to).filter(|known| known.connected) {
            self.queue.push((known.place, FromRelay::Event(event)));
        }
    }

    fn tell_others(&mut self, but: ParticipantId, event: &Event) {
        let to: Vec<_> = self
            .known
            .iter()
            .filter(|(who, it)| **who != but && it.is_in && !it.removed)
            .map(|(who, _)| *who)
            .collect();
        to.into_iter().for_each(|to| self.tell(to, event.clone()));
    }

    /// A connection is gone.
    pub fn disconnect(&mut self, place: usize) -> Option<ParticipantId> {
        let who = *self.places.get(&place)?;
        let known = self.known.get_mut(&who)?;
        known.connected = false;
        for stream in std::mem::take(&mut known.streams) {
            self.tell_others(who, &Event::Unpublished { stream: stream.stream });
        }
        self.tell_others(who, &Event::Away { participant: who });
        Some(who)
    }

    fn organizer(&self) -> Option<ParticipantId> {
        self.known.iter().find(|(_, it)| it.role == Role::Organizer).map(|(who, _)| *who)
    }

    /// Does what a participant asks for.
    pub fn handle(&mut self, now: Time, room: &mut Room, place: usize, numbered: Numbered) {
        let Numbered { id, request } = numbered;
        let is_commit = matches!(request, Request::Commit { .. });
        let mut after = Vec::new();
        let result = self.answer(now, room, place, request, &mut after);
        if !(is_commit && self.loses_answers) {
            self.queue.push((place, FromRelay::Answer { id, result }));
        }
        after.into_iter().for_each(|(to, event)| self.tell(to, event));
    }

    fn answer(
        &mut self,
        now: Time,
        room: &mut Room,
        place: usize,
        request: Request,
        after: &mut Vec<(ParticipantId, Event)>,
    ) -> Result<Answer, Refusal> {
        let session = || Answer::Session(Session { token: Secret::new("session".into()), expires_in: 3600 });
        match request {
            Request::Login { account, .. } => {
                self.accounts.insert(place, account.to_string());
                return Ok(session());
            }
            Request::Session { .. } => return Ok(session()),
            Request::Join { .. } => return self.join(now, room, place, request, after),
            _ => {}
        }
        let who = *self.places.get(&place).ok_or(Refusal::NotNow)?;
        let role = self.known.get(&who).ok_or(Refusal::NotNow)?.role;
        let organizes = || if role == Role::Organizer { Ok(()) } else { Err(Refusal::NotOrganizer) };
        match request {
            Request::Admit { .. } => organizes()?,
            Request::Remove { participant } => {
                organizes()?;
                room.leave(now, media(participant));
                let known = self.known.get_mut(&participant).ok_or(Refusal::NoParticipant)?;
                known.removed = true;
                let streams = std::mem::take(&mut known.streams);
                self.tell(participant, Event::Removed { participant });
                for stream in streams {
                    self.tell_others(participant, &Event::Unpublished { stream: stream.stream });
                }
                self.tell_others(participant, &Event::Removed { participant });
            }
            Request::Allow { participant, right, allowed } => {
                organizes()?;
                let known = self.known.get_mut(&participant).ok_or(Refusal::NoParticipant)?;
                known.rights.set(right, allowed);
                let rights = known.rights;
                let ended: Vec<_> =
                    known.streams.extract_if(.., |it| it.kind.right() == Some(right) && !allowed).collect();
                for stream in ended {
                    room.unpublish(now, StreamId(stream.stream));
                    self.tell_others(participant, &Event::Unpublished { stream: stream.stream });
                }
                self.tell_others(ParticipantId(0), &Event::Rights { participant, rights });
            }
            Request::HandOver { participant } => {
                organizes()?;
                self.known.get_mut(&who).ok_or(Refusal::NoParticipant)?.role = Role::Member;
                self.known.get_mut(&participant).ok_or(Refusal::NoParticipant)?.role = Role::Organizer;
                self.tell_others(ParticipantId(0), &Event::Organizer { participant });
            }
            Request::Commit { group, epoch, message, welcome, added, .. } => {
                organizes()?;
                let of_group = usize::from(group == Group::Insiders);
                if self.refuse_commits > 0 || epoch != self.epochs[of_group] {
                    self.refuse_commits = self.refuse_commits.saturating_sub(1);
                    return Err(Refusal::StaleEpoch);
                }
                self.epochs[of_group] += 1;
                let number = self.messages.len() as u64 + 1;
                let own = message.clone();
                let swapped = self.swaps.take_if(|_| group == Group::Meeting);
                let passed = swapped.unwrap_or(message);
                let message = MlsMessage { group, number, from: who, message: passed };
                self.messages.push(message.clone());
                self.tell_others(who, &Event::Mls(message.clone()));
                after.push((who, Event::Mls(MlsMessage { message: own, ..message })));
                for newcomer in added {
                    if group == Group::Meeting {
                        self.let_in(now, room, newcomer, after);
                    }
                    if let Some(message) = welcome.clone() {
                        after.push((newcomer, Event::Welcome { group, number, message }));
                    }
                }
            }
            Request::Link(_) if self.refuse_links > 0 => {
                self.refuse_links -= 1;
                return Err(Refusal::Failed);
            }
            Request::Link(_) => {
                let (ufrag, password) = ("r".into(), Secret::new("p".into()));
                let fingerprint = "sha-256 11".into();
                return Ok(Answer::Link(LinkDescription { ufrag, password, fingerprint, addresses: vec![] }));
            }
            Request::Publish { kind, member, track, .. } => {
                let known = self.known.get_mut(&who).ok_or(Refusal::NotNow)?;
                if kind.right().is_some_and(|right| !known.rights.has(right)) {
                    return Err(Refusal::NotAllowed);
                }
                self.streams += 1;
                let (stream, ssrc) = (self.streams, 0x5eed_0000 + 16 * self.streams);
                known.streams.push(Stream { participant: who, stream, ssrc, kind, member, track });
                let of = match kind {
                    Kind::Audio => StreamKind::Audio,
                    Kind::Data => StreamKind::Data,
                    _ => StreamKind::Video { offer: None, layer_refresh: true },
                };
                let config = StreamConfig { id: StreamId(stream), ssrc, kind: of };
                room.publish(now, media(who), config).map_err(|_| Refusal::Failed)?;
                self.tell_others(
                    who,
                    &Event::Published(Stream { participant: who, stream, ssrc, kind, member, track }),
                );
                self.limit(now, room);
                return Ok(Answer::Published(Published { stream, ssrc }));
            }
            Request::Unpublish { stream } => {
                let known = self.known.get_mut(&who).ok_or(Refusal::NotNow)?;
                known.streams.retain(|it| it.stream != stream);
                room.unpublish(now, StreamId(stream));
                self.tell_others(who, &Event::Unpublished { stream });
            }
            Request::Report { report } => {
                let mut report = ReceiverReport::read(&report.0).map_err(|_| Refusal::Malformed)?;
                if self.ignores_limits {
                    report.caps.clear();
                }
                room.handle_report(now, media(who), &report);
            }
            Request::Leave => {
                room.leave(now, media(who));
                if let Some(known) = self.known.get_mut(&who) {
                    known.removed = true;
                }
                self.tell_others(who, &Event::Left { participant: who });
            }
            Request::LimitCamera { audience, max_spatial_id } => {
                self.limits.insert(who, (audience, max_spatial_id.ok_or(Refusal::NotNow)?));
                self.limit(now, room);
                let event = Event::CameraLimited { participant: who, audience, max_spatial_id };
                self.tell_others(ParticipantId(0), &event);
            }
            Request::Say { .. } if self.silences == Some(who) => {}
            Request::Say { message } => self.tell_others(who, &Event::Said { participant: who, message }),
            Request::Lock { locked } => {
                organizes()?;
                self.tell_others(ParticipantId(0), &Event::Locked { locked });
            }
            _ => return Err(Refusal::NotNow),
        }
        Ok(Answer::Done)
    }

    fn join(
        &mut self,
        now: Time,
        room: &mut Room,
        place: usize,
        request: Request,
        after: &mut Vec<(ParticipantId, Event)>,
    ) -> Result<Answer, Refusal> {
        let Request::Join { credential, name, key_package, insiders_key_package, seen, .. } = request else {
            return Err(Refusal::NotNow);
        };
        self.brought = insiders_key_package.clone();
        let title = Text::new("Plans").ok_or(Refusal::Failed)?;
        let who = match &credential {
            Credential::Return(token) => {
                ParticipantId(token.expose().parse().map_err(|_| Refusal::Invitation)?)
            }
            _ => ParticipantId(self.known.len() as u32 + 1),
        };
        let role = match &credential {
            Credential::Account if self.accounts.get(&place).is_some_and(|it| it == "organizer") => {
                Role::Organizer
            }
            Credential::Account => Role::Member,
            _ => Role::Guest,
        };
        if let Credential::Return(_) = credential {
            if self.busy > 0 {
                self.busy -= 1;
                return Err(Refusal::TooMany);
            }
            let known = self.known.get_mut(&who).ok_or(Refusal::NoParticipant)?;
            if known.removed {
                return Err(Refusal::Removed);
            }
            (known.connected, known.is_in) = (true, false);
        } else {
            let (rights, name) = (Rights::of(role), name.clone());
            let known = Known {
                place,
                role,
                name,
                rights,
                is_in: false,
                removed: false,
                connected: true,
                streams: vec![],
            };
            self.known.insert(who, known);
            self.places.insert(place, who);
        }
        let role = self.known.get(&who).ok_or(Refusal::NoParticipant)?.role;
        match (key_package, self.organizer()) {
            (Some(key_package), Some(organizer)) if organizer != who => {
                let asked = Asked {
                    participant: who,
                    role,
                    name,
                    key_package,
                    insiders_key_package: self.insiders_key_package.take().or(insiders_key_package),
                    outsider: role == Role::Guest,
                    known: matches!(credential, Credential::Return(_)),
                };
                self.tell(organizer, Event::Waiting(asked));
            }
            _ => {
                self.let_in(now, room, who, after);
                for message in self.messages.iter().filter(|message| message.number > seen) {
                    after.push((who, Event::Mls(message.clone())));
                }
            }
        }
        let token = Secret::new(who.0.to_string());
        let region = Text::new("here").ok_or(Refusal::Failed)?;
        Ok(Answer::Joined(Admission {
            participant: who,
            role,
            token,
            title,
            region,
            storage: "Nothing is stored.".into(),
        }))
    }

    /// Guests get no more of cameras than their owners say.
    fn limit(&mut self, now: Time, room: &mut Room) {
        if self.ignores_limits {
            return;
        }
        for (owner, (_, layer)) in &self.limits {
            let cap = Cap { max_spatial_id: Some(*layer), ..Cap::default() };
            let streams = self.known.get(owner).into_iter().flat_map(|it| &it.streams);
            for stream in streams.filter(|it| it.kind == Kind::Camera) {
                for (guest, _) in self.known.iter().filter(|(_, it)| it.role == Role::Guest) {
                    room.set_cap(now, media(*guest), Some(StreamId(stream.stream)), cap);
                }
            }
        }
    }

    fn let_in(
        &mut self,
        now: Time,
        room: &mut Room,
        who: ParticipantId,
        after: &mut Vec<(ParticipantId, Event)>,
    ) {
        room.leave(now, media(who));
        room.join(now, media(who)).expect("there is room");
        let Some(known) = self.known.get_mut(&who) else { return };
        known.is_in = true;
        let arrival =
            Arrival { participant: who, role: known.role, name: known.name.clone(), rights: known.rights };
        let (rights, begins) = (known.rights, self.epochs[0] == 0);
        self.tell_others(who, &Event::Arrived(arrival));
        after.push((who, Event::Admitted { rights, messages: self.messages.len() as u64, begins }));
        for (other, it) in self.known.iter().filter(|(other, it)| **other != who && it.is_in && !it.removed) {
            let arrival =
                Arrival { participant: *other, role: it.role, name: it.name.clone(), rights: it.rights };
            after.push((who, Event::Arrived(arrival)));
            after.extend(it.streams.iter().map(|stream| (who, Event::Published(*stream))));
        }
    }
}
