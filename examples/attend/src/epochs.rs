//! What becomes of the group: who is in it, and which keys all go on with.

use layercast::Time;
use layercast::e2ee::mls::Change;
use layercast_meeting::{Asked, Group, Kind, ParticipantId, Request};

use crate::circle::{News, Wish, show_name};
use crate::media::Failure;
use crate::notice::Notice;
use crate::requests::Purpose;
use crate::{Attendee, Media};

impl<M: Media> Attendee<M> {
    /// Somebody is to be in the group, as it was seen at the door.
    pub(crate) fn wish_for(&mut self, seen: Asked) {
        let who = seen.participant;
        let Some(latest) = self.people.answer(who) else { return };
        // Who lost the connection meanwhile has another key package. Who has another name or key now was not seen.
        let asked = if self.is_same(&latest, &seen) { latest } else { seen };
        // One who comes back without its group is a member until it is removed.
        if let Some(member) = self.people.member_of(who, &self.circle) {
            self.circle.remove(who, member);
        }
        self.circle.add(asked);
    }

    fn is_same(&mut self, latest: &Asked, seen: &Asked) -> bool {
        let mut fingerprint = |asked: &Asked| self.circle.fingerprint_of(&asked.key_package.0);
        let is_same_key = latest.key_package == seen.key_package
            || fingerprint(latest).is_some_and(|latest| Some(latest) == fingerprint(seen));
        (&latest.name, latest.role, latest.outsider) == (&seen.name, seen.role, seen.outsider) && is_same_key
    }

    /// The relay took our commit.
    pub(crate) fn committed(&mut self, now: Time) {
        match self.circle.committed() {
            Ok(Some((wish, change))) => {
                if let (Wish::Add(who, ..), Some(added)) = (&wish, change.added.first()) {
                    self.people.add(*who, added.fingerprint);
                }
                if let Wish::HandOver(who, _) = wish {
                    self.ask(Purpose::HandOver(who), Request::HandOver { participant: who });
                }
                match wish.group() {
                    Group::Meeting => self.entered(now, Some(change)),
                    Group::Insiders => self.insiders_changed(&change),
                }
            }
            Ok(None) => {}
            Err(error) => self.notice(Notice::CommitRefused { why: error.to_string() }),
        }
    }

    pub(crate) fn insiders_changed(&mut self, change: &Change) {
        for member in &change.added {
            self.notice(Notice::Insider { name: show_name(&member.name), own: false });
        }
    }

    pub(crate) fn process(&mut self, now: Time, group: Group, message: &[u8]) {
        match self.circle.process(now, group, message) {
            News::Nothing => {}
            News::Epoch(change) => self.entered(now, Some(*change)),
            News::Insiders(change) => self.insiders_changed(&change),
            News::Removed => {
                self.lose_group(now);
                self.fail("removed from the group");
            }
            News::Leaving(member) => {
                if let Some(who) = self.people.participant_of(member, &self.circle) {
                    self.circle.remove(who, member);
                }
            }
            News::Refused(why) => self.notice(Notice::CommitRefused { why }),
        }
    }

    /// Once all messages of the time away are here, it is known whether the relay took the commit that it did not answer.
    pub(crate) fn settle(&mut self, now: Time) {
        if self.settles.is_some_and(|last| self.seen >= last) {
            self.settles = None;
            self.circle.not_committed(now, true);
        }
    }

    /// A new epoch began: everybody goes on with its keys.
    pub(crate) fn entered(&mut self, now: Time, change: Option<Change>) {
        self.media.enter(now, &self.circle);
        self.keep_from_guests();
        if let Err(error) = self.rekey(now) {
            // Nothing is sent with the keys of an epoch that is over.
            self.stop_sending();
            self.refused("keys of the epoch", error.to_string());
        }
        let Some(group) = self.circle.group() else { return };
        let (epoch, members) = (group.epoch(), group.members().count());
        let organizer =
            self.circle.organizer().filter(|_| change.as_ref().is_none_or(|it| it.organizer.is_some()));
        self.notice(Notice::Epoch { epoch, members });
        for member in change.iter().flat_map(|change| &change.added) {
            let (name, fingerprint) = (show_name(&member.name), member.fingerprint.to_string());
            self.notice(Notice::Newcomer { name, fingerprint });
        }
        for member in change.iter().flat_map(|change| &change.removed) {
            self.notice(Notice::Gone { name: show_name(&member.name) });
        }
        self.tell_who_does_not_attest(change.as_ref());
        if let Some(organizer) = organizer {
            let own = self.circle.is_organizer();
            self.notice(Notice::Organizer { name: show_name(&organizer.name), own });
        }
        self.compare_organizer(change.is_none());
        self.tell_state_soon(now);
        self.next_update = None;
        // It names the layers that do not open here.
        self.next_report = self.next_report.map(|_| now);
    }

    fn rekey(&mut self, now: Time) -> Result<(), Failure> {
        self.sources.begin_epoch();
        self.sayings.enter(now, &mut self.circle)?;
        let keys = self.circle.sender_keys()?;
        for (place, source) in self.sources.iter() {
            // What is not announced sends nothing, and gets another number when it is.
            if let Some(track) = source.track.filter(|_| source.live.is_some()) {
                self.media.rekey(place, track, keys)?;
            }
        }
        Ok(())
    }

    /// A camera whose upper layers guests are not to open is sent as long as we have keys that they lack.
    fn keep_from_guests(&mut self) {
        if self.config.guest_limit.is_none() || self.circle.is_insider() {
            return;
        }
        let cameras = self.sources.iter().filter(|(_, source)| source.kind == Kind::Camera);
        let cameras: Vec<_> = cameras.map(|(place, _)| place).collect();
        cameras.iter().for_each(|place| self.unpublish(*place, "unpublish"));
        if !cameras.is_empty() {
            let why =
                "not sent, for only those who are neither guests nor from outside have keys that guests lack";
            self.refused("camera", why.into());
        }
    }

    /// Within a group the organizer's own commit names another. A new group may be anybody's: a relay could have made it, with
    /// itself in it.
    fn compare_organizer(&mut self, is_new_group: bool) {
        let now = self.circle.organizer().map(|organizer| organizer.fingerprint);
        let before = std::mem::replace(&mut self.trusted_organizer, now);
        if is_new_group && before.is_some() && before != now && !self.circle.is_organizer() {
            let name = self.circle.organizer().map(|it| show_name(&it.name)).unwrap_or_default();
            let fingerprint = now.map(|it| it.to_string()).unwrap_or_default();
            self.notice(Notice::OtherOrganizer { name, fingerprint });
            self.set_muted(None, true);
        }
    }

    /// The group has said who its organizer is, and the relay may not have heard it.
    pub(crate) fn hand_over_again(&mut self, organizes: bool) {
        let Some(organizer) = self.circle.organizer().filter(|_| organizes && !self.circle.is_organizer())
        else {
            return;
        };
        if let Some(participant) = self.people.participant_of(organizer.index, &self.circle) {
            self.ask(Purpose::HandOver(participant), Request::HandOver { participant });
        }
    }

    pub(crate) fn lose_group(&mut self, now: Time) {
        self.stop_sending();
        self.circle.forget();
        self.media.forget(now);
        self.sayings.forget();
        self.seen = 0;
    }

    pub(crate) fn stop_sending(&mut self) {
        let live: Vec<_> = self.sources.iter().filter_map(|(_, source)| source.live).collect();
        for published in live {
            self.ask(Purpose::Other("unpublish"), Request::Unpublish { stream: published.stream });
        }
        self.sources.unpublish_all();
        self.media.stop_all();
    }

    /// Somebody is gone for good: the organizer takes the key away.
    pub(crate) fn put_out(&mut self, who: ParticipantId) {
        if let Some(member) = self.people.member_of(who, &self.circle)
            && self.circle.is_organizer()
            && !self.is_me(who)
        {
            self.circle.remove(who, member);
        }
        self.people.leave(who);
    }
}
