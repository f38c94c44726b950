//! The groups of MLS as this participant sees them, and the commits on their way to the relay.
//!
//! All are in the meeting's group. Those who are neither guests nor from outside are also in the group of the insiders, whose
//! secret is part of the keys of the layers above a camera's limit. The organizer changes that group first, and then the
//! meeting's: with the meeting's next epoch the change among the insiders takes effect.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use layercast::Time;
use layercast::e2ee::mls::{
    Change, Commit, Fingerprint, Group, Identity, Login, Member, MlsError, Outcome, Processed,
};
use layercast::e2ee::{Agreement, Binding, Context, GuestCap, KeyRing, Opener, SenderKeys, VideoOpener};
use layercast_meeting::{Asked, Bytes, Group as Which, ParticipantId, Request, Role};

use crate::attested::Attested;

/// How long keys of an epoch hold after the next one has begun.
const OVERLAP: Duration = Duration::from_secs(5);
/// How long a key package can be used to join.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A commit that came too late is made again after this, if no other commit has come.
const RETRY: Duration = Duration::from_millis(300);
/// A relay that says so often in a row that another commit was first, while none comes, holds the group back. It is told after
/// each so many attempts.
const STALE: u32 = 10;
/// Wishes at most. Each person at the door is one.
const MAX_WISHES: usize = 1000;

const OTHER_NAME: &str = "the key package has another name than was given at the door";

/// What all in a meeting agree on. Web pages are among them.
pub fn agreement() -> Agreement {
    Agreement { binding: Binding::Page, ..Agreement::default() }
}

/// What the organizer wants the group to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To add somebody by a key package, under this name and no other.
    Add(ParticipantId, Vec<u8>, Vec<u8>),
    /// To remove a member.
    Remove(ParticipantId, u32),
    /// To make a member the organizer.
    HandOver(ParticipantId, u32),
    /// To begin an epoch.
    Update,
    /// To add somebody to the insiders by a key package, if it is of the same person as the one for the meeting's group.
    AddInsider(ParticipantId, Vec<u8>, Vec<u8>),
    /// To remove somebody from the insiders.
    RemoveInsider(Option<ParticipantId>, Fingerprint),
    /// To make somebody the organizer of the insiders.
    HandOverInsiders(Fingerprint),
}

impl Wish {
    /// The group that it is about.
    pub fn group(&self) -> Which {
        match self {
            Self::Add(..) | Self::Remove(..) | Self::HandOver(..) | Self::Update => Which::Meeting,
            Self::AddInsider(..) | Self::RemoveInsider(..) | Self::HandOverInsiders(..) => Which::Insiders,
        }
    }
}

/// What became of a message of MLS.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that anybody notices.
    Nothing,
    /// A new epoch began.
    Epoch(Box<Change>),
    /// The insiders changed, which takes effect with the next epoch.
    Insiders(Box<Change>),
    /// We are no longer in the group.
    Removed,
    /// A member wants to leave.
    Leaving(u32),
    /// It was not accepted.
    Refused(String),
}

struct Sent {
    wish: Wish,
    commit: Commit,
}

/// A commit that is ready for the relay.
struct Staged {
    commit: Commit,
    added: Vec<ParticipantId>,
    removed: Vec<ParticipantId>,
}

type Failure = Box<dyn std::error::Error>;

/// The groups, and what this participant wants of them.
pub struct Circle {
    name: Vec<u8>,
    /// The key pair by which others know this person again: one that outlives the meeting, or one of this program's run.
    identity: Option<Identity>,
    /// What guests may open of our own streams.
    caps: Vec<GuestCap>,
    login: Option<Login>,
    insiders_login: Option<Login>,
    group: Option<Group>,
    insiders: Option<Group>,
    /// Whether we have the insiders' keys in this epoch.
    is_insider: bool,
    /// Whether somebody may be among the insiders who is not in the meeting's group.
    has_strays: bool,
    keys: Option<SenderKeys>,
    attested: Attested,
    wishes: VecDeque<Wish>,
    /// A commit that the relay has not answered.
    sent: Option<Sent>,
    /// No commit is made until then.
    waits_until: Option<Time>,
    /// How often in a row the relay has said that another commit was first, and none came.
    stale: u32,
}

impl Circle {
    /// Nobody's, as yet. The caps are stated in the meeting's group, for as long as we are in it.
    pub fn new(name: &str, identity: Option<Identity>, caps: Vec<GuestCap>) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            identity,
            caps,
            login: None,
            insiders_login: None,
            group: None,
            insiders: None,
            is_insider: false,
            has_strays: false,
            keys: None,
            attested: Attested::default(),
            wishes: VecDeque::new(),
            sent: None,
            waits_until: None,
            stale: 0,
        }
    }

    /// The group, if we are in it.
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    /// The group of the insiders, if we are in it.
    pub fn insiders(&self) -> Option<&Group> {
        self.insiders.as_ref()
    }

    /// Whether we open and seal all layers in this epoch, whatever their senders keep from guests.
    pub fn is_insider(&self) -> bool {
        self.is_insider
    }

    fn of_mut(&mut self, which: Which) -> Option<&mut Group> {
        match which {
            Which::Meeting => self.group.as_mut(),
            Which::Insiders => self.insiders.as_mut(),
        }
    }

    /// One login for each group, with the same key pair: so all know that it is the same person.
    fn make_logins(&mut self) -> Result<(Login, Login), Failure> {
        let identity = match &self.identity {
            Some(identity) => identity.clone(),
            None => self.identity.insert(Identity::new()?).clone(),
        };
        let login = || Login::with_identity(&self.name, LIFETIME, &identity).with_attestations();
        let meeting = if self.caps.is_empty() { login() } else { login().with_guest_caps(&self.caps)? };
        Ok((meeting, login()))
    }

    /// Key packages for the meeting's group and that of the insiders, for whoever is to add us.
    ///
    /// # Errors
    /// [`MlsError`], or if the system has no random numbers.
    pub fn key_packages(&mut self) -> Result<(Bytes, Bytes), Failure> {
        let (meeting, insiders) = self.make_logins()?;
        let key_packages = (Bytes(meeting.key_package()?), Bytes(insiders.key_package()?));
        (self.login, self.insiders_login, self.insiders) = (Some(meeting), Some(insiders), None);
        Ok(key_packages)
    }

    /// Makes both groups, with us as their organizer.
    ///
    /// # Errors
    /// [`MlsError`], or if the system has no random numbers.
    pub fn begin(&mut self) -> Result<(), Failure> {
        let (meeting, insiders) = match (self.login.take(), self.insiders_login.take()) {
            (Some(meeting), Some(insiders)) => (meeting, insiders),
            _ => self.make_logins()?,
        };
        self.forget();
        self.insiders = Some(insiders.create_as_organizer(agreement())?);
        self.group = Some(meeting.create_as_organizer(agreement())?);
        self.begin_epoch();
        Ok(())
    }

    /// Joins by a welcome. Nothing happens if we are in the group, or have no key package out.
    ///
    /// # Errors
    /// [`MlsError`].
    pub fn join(&mut self, welcome: &[u8]) -> Result<bool, MlsError> {
        let Some(login) = self.login.take() else { return Ok(false) };
        self.forget_meeting();
        let group = login.join(agreement(), welcome)?;
        // In a group without an organizer anybody could let anybody in.
        if group.organizer().is_none() {
            return Err(MlsError::Unexpected);
        }
        self.group = Some(group);
        self.begin_epoch();
        Ok(true)
    }

    /// Whose a key package is. `None` if it is none that could be added now.
    pub fn fingerprint_of(&mut self, key_package: &[u8]) -> Option<Fingerprint> {
        let group = self.group.as_mut().filter(|_| self.sent.is_none())?;
        let commit = group.add(&[key_package]).ok()?;
        // The storage in memory has no errors.
        let _ = group.discard();
        commit.change.added.first().map(|it| it.fingerprint)
    }

    /// Why somebody at the door cannot be added now, if that is known before it is let in: another has its name, say.
    pub fn cannot_add(&mut self, asked: &Asked) -> Option<String> {
        let group = self.group.as_mut().filter(|_| self.sent.is_none())?;
        let error = match group.add(&[&asked.key_package.0]) {
            Ok(commit) => {
                let _ = group.discard();
                let is_it = |added: &Member| added.name == asked.name.as_str().as_bytes();
                return (!commit.change.added.iter().all(is_it)).then(|| OTHER_NAME.into());
            }
            Err(error) => error,
        };
        Some(self.explain(Which::Meeting, &error))
    }

    /// Joins the insiders by a welcome, from the meeting's next epoch on. Nothing happens if we are among them, or have no
    /// key package out.
    ///
    /// # Errors
    /// [`MlsError`].
    pub fn join_insiders(&mut self, welcome: &[u8]) -> Result<bool, MlsError> {
        let Some(login) = self.insiders_login.take() else { return Ok(false) };
        self.insiders = Some(login.join(agreement(), welcome)?);
        Ok(true)
    }

    /// Takes the insiders' secret for an epoch of the meeting's group that has just begun, and has what we seal in it signed.
    /// A group of insiders that is not the organizer's could be anybody's, such as a guest's.
    fn begin_epoch(&mut self) {
        self.is_insider = false;
        let Some(group) = &mut self.group else { return };
        self.attested.enter(group);
        let Some(insiders) = &self.insiders else { return };
        let organizer = |group: &Group| group.organizer().map(|organizer| organizer.fingerprint);
        if organizer(group).is_some_and(|meetings| organizer(insiders) == Some(meetings)) {
            self.is_insider = group.set_insiders(insiders).is_ok();
        }
    }

    /// Drops both groups.
    pub fn forget(&mut self) {
        self.insiders = None;
        self.forget_meeting();
    }

    fn forget_meeting(&mut self) {
        (self.group, self.keys, self.sent, self.waits_until) = (None, None, None, None);
        self.attested = Attested::default();
        (self.is_insider, self.has_strays, self.stale) = (false, false, 0);
        self.wishes.clear();
    }

    /// Whether the group's state names us its organizer.
    pub fn is_organizer(&self) -> bool {
        let own = self.group.as_ref().map(Group::member);
        own.is_some() && self.organizer().map(|organizer| organizer.index) == own
    }

    /// Whom the group's state names its organizer.
    pub fn organizer(&self) -> Option<Member> {
        self.group.as_ref()?.organizer()
    }

    /// A member of the group by its index.
    pub fn member(&self, index: u32) -> Option<Member> {
        self.group.as_ref()?.members().find(|member| member.index == index)
    }

    /// Whether there is such a member.
    pub fn has_member(&self, index: u32) -> bool {
        self.group.as_ref().is_some_and(|group| group.sender(index).is_some())
    }

    /// Opens what a member seals for a context, and has it checked that the member did, if it signs what it seals.
    pub fn opener(&self, member: u32, context: Context) -> Opener {
        let mut opener = Opener::new(agreement(), member, context);
        self.attested.checker(member).into_iter().for_each(|checker| opener.check_attestations(checker));
        opener
    }

    /// The same for a camera or a screen.
    pub fn video_opener(&self, member: u32, track: u16) -> VideoOpener {
        let mut opener = VideoOpener::new(agreement(), member, track);
        self.attested.checker(member).into_iter().for_each(|checker| opener.check_attestations(checker));
        opener
    }

    /// What we sign, and what is known of who sealed what comes.
    pub fn attested(&self) -> &Attested {
        &self.attested
    }

    pub(crate) fn attested_mut(&mut self) -> &mut Attested {
        &mut self.attested
    }

    /// A ring with the keys of the epoch.
    pub fn ring(&self, now: Time) -> Option<KeyRing> {
        let mut ring = KeyRing::new(agreement(), OVERLAP);
        self.group.as_ref()?.enter(now, &mut ring).ok()?;
        Some(ring)
    }

    /// The keys that we seal with in this epoch.
    ///
    /// # Errors
    /// [`MlsError`], if we are not in the group.
    pub fn sender_keys(&mut self) -> Result<&mut SenderKeys, MlsError> {
        let group = self.group.as_mut().ok_or(MlsError::Unexpected)?;
        let epoch = group.epoch();
        if self.keys.as_ref().is_none_or(|keys| keys.grant().epoch != epoch) {
            let keys = self.keys.insert(group.sender_keys()?);
            self.attested.attester().into_iter().for_each(|attester| keys.attest(attester.clone()));
        }
        self.keys.as_mut().ok_or(MlsError::Unexpected)
    }

    /// The highest layer of a video stream that we open, if there is a cap that we are not above.
    pub fn cap(&self, member: u32, track: u16) -> Option<u8> {
        self.group.as_ref()?.guest_cap(member, track).filter(|_| !self.is_insider)
    }

    /// Notes what the group is to become.
    pub fn wish(&mut self, wish: Wish) {
        let sent = self.sent.as_ref().map(|sent| &sent.wish);
        if self.wishes.len() < MAX_WISHES && !self.wishes.contains(&wish) && sent != Some(&wish) {
            self.wishes.push_back(wish);
        }
    }

    /// Notes that somebody is to be in the group, and among the insiders unless it is a guest or from outside.
    pub fn add(&mut self, asked: Asked) {
        let is_insider = is_insider(&asked);
        let Asked { participant, name, key_package: Bytes(key_package), insiders_key_package, .. } = asked;
        if let Some(Bytes(insiders)) = insiders_key_package.filter(|_| is_insider) {
            self.wish(Wish::AddInsider(participant, insiders, key_package.clone()));
        }
        self.wish(Wish::Add(participant, key_package, name.as_str().as_bytes().to_vec()));
    }

    /// Notes that a member is to be removed from both groups.
    pub fn remove(&mut self, who: ParticipantId, member: u32) {
        if let Some(insider) = self.insider_of(member) {
            self.wish(Wish::RemoveInsider(Some(who), insider.fingerprint));
        }
        self.wish(Wish::Remove(who, member));
    }

    /// Notes that a member is to be the organizer of both groups. `false` if it is not in both.
    pub fn hand_over(&mut self, who: ParticipantId, member: u32) -> bool {
        let Some(insider) = self.insider_of(member) else { return false };
        self.wish(Wish::HandOverInsiders(insider.fingerprint));
        self.wish(Wish::HandOver(who, member));
        true
    }

    /// A member of the meeting's group as it is among the insiders.
    fn insider_of(&self, member: u32) -> Option<Member> {
        let fingerprint = self.member(member)?.fingerprint;
        self.insiders.as_ref()?.members().find(|insider| insider.fingerprint == fingerprint)
    }

    /// Who was to be added to both groups may have gone in between.
    fn remove_strays(&mut self) {
        if !self.wishes.is_empty() || !std::mem::take(&mut self.has_strays) {
            return;
        }
        let (Some(group), Some(insiders)) = (&self.group, &self.insiders) else { return };
        let members: BTreeSet<_> = group.members().map(|it| it.signature_key).collect();
        let strays = insiders.members().filter(|it| !members.contains(&it.signature_key));
        self.wishes.extend(strays.map(|it| Wish::RemoveInsider(None, it.fingerprint)));
    }

    /// The next commit for the relay. `Err` says why a wish cannot be fulfilled; the next one may be.
    pub fn next_commit(&mut self, now: Time) -> Option<Result<Request, (Wish, String)>> {
        if self.sent.is_some()
            || self.waits_until.is_some_and(|until| now < until)
            || (self.wishes.is_empty() && !self.has_strays)
            || !self.is_organizer()
        {
            return None;
        }
        self.waits_until = None;
        self.remove_strays();
        while let Some(wish) = self.wishes.pop_front() {
            let Staged { commit, added, removed } = match self.stage(&wish) {
                Ok(Some(staged)) => staged,
                Ok(None) => continue,
                Err(why) => {
                    self.give_up_behind(&wish);
                    return Some(Err((wish, why)));
                }
            };
            let group = wish.group();
            let request = Request::Commit {
                group,
                epoch: self.of_mut(group)?.epoch(),
                message: Bytes(commit.commit.clone()),
                welcome: (!commit.welcome.is_empty()).then(|| Bytes(commit.welcome.clone())),
                added,
                removed,
            };
            self.sent = Some(Sent { wish, commit });
            return Some(Ok(request));
        }
        None
    }

    /// One who cannot be removed from the insiders is not added to them again: that would wish for the removal again.
    fn give_up_behind(&mut self, failed: &Wish) {
        let Wish::RemoveInsider(_, fingerprint) = failed else { return };
        let Some(Wish::AddInsider(.., meetings)) = self.wishes.front().cloned() else { return };
        if self.fingerprint_of(&meetings) == Some(*fingerprint) {
            self.wishes.pop_front();
        }
    }

    /// The commit that fulfils a wish. `None` if there is nothing to do.
    fn stage(&mut self, wish: &Wish) -> Result<Option<Staged>, String> {
        let Some(group) = &mut self.group else { return Ok(None) };
        let staged = |commit, added: &[ParticipantId], removed: &[ParticipantId]| Staged {
            commit,
            added: added.to_vec(),
            removed: removed.to_vec(),
        };
        let (staged, which) = match (wish, &mut self.insiders) {
            (Wish::Add(who, key_package, name), _) => {
                let commit = group.add(&[key_package]);
                if commit.as_ref().is_ok_and(|it| it.change.added.iter().any(|added| added.name != *name)) {
                    // The storage in memory has no errors.
                    let _ = group.discard();
                    return Err(OTHER_NAME.into());
                }
                (commit.map(|commit| staged(commit, &[*who], &[])), Which::Meeting)
            }
            (Wish::Remove(who, member), _) => {
                (group.remove(&[*member]).map(|commit| staged(commit, &[], &[*who])), Which::Meeting)
            }
            (Wish::HandOver(_, member), _) => {
                (group.hand_over(*member).map(|commit| staged(commit, &[], &[])), Which::Meeting)
            }
            (Wish::Update, _) => (group.update().map(|commit| staged(commit, &[], &[])), Which::Meeting),
            (_, None) => return Ok(None),
            (Wish::AddInsider(who, key_package, meetings), Some(insiders)) => {
                // The wish that follows says what is wrong with that one.
                let Ok(of_meeting) = group.add(&[meetings]) else { return Ok(None) };
                let _ = group.discard();
                let Some(person) = of_meeting.change.added.first() else { return Ok(None) };
                let fingerprint = person.fingerprint;
                if insiders.members().any(|it| it.fingerprint == fingerprint) {
                    // It was added before, and did not come.
                    self.wishes.push_front(wish.clone());
                    self.wishes.push_front(Wish::RemoveInsider(None, fingerprint));
                    return Ok(None);
                }
                let commit = insiders.add(&[key_package]);
                let is_other = |it: &Commit| it.change.added.iter().any(|it| it.fingerprint != fingerprint);
                if commit.as_ref().is_ok_and(is_other) {
                    let _ = insiders.discard();
                    return Err("the key packages for the two groups are not of the same person".into());
                }
                (commit.map(|commit| staged(commit, &[*who], &[])), Which::Insiders)
            }
            (Wish::RemoveInsider(who, fingerprint), Some(insiders)) => {
                let insider = insiders.members().find(|it| it.fingerprint == *fingerprint);
                let Some(insider) = insider else { return Ok(None) };
                let commit = insiders.remove(&[insider.index]);
                (commit.map(|commit| staged(commit, &[], who.as_slice())), Which::Insiders)
            }
            (Wish::HandOverInsiders(fingerprint), Some(insiders)) => {
                let insider = insiders.members().find(|it| it.fingerprint == *fingerprint);
                let Some(insider) = insider else { return Err("nobody of the insiders".into()) };
                (insiders.hand_over(insider.index).map(|commit| staged(commit, &[], &[])), Which::Insiders)
            }
        };
        staged.map(Some).map_err(|error| self.explain(which, &error))
    }

    /// When [`next_commit`](Self::next_commit) may have one, if nothing happens before.
    pub fn next_timeout(&self) -> Option<Time> {
        self.waits_until.filter(|_| !self.wishes.is_empty())
    }

    /// The relay took our commit: it takes effect.
    ///
    /// # Errors
    /// [`MlsError`].
    pub fn committed(&mut self) -> Result<Option<(Wish, Change)>, MlsError> {
        let Some(sent) = self.sent.take() else { return Ok(None) };
        let which = sent.wish.group();
        let Some(group) = self.of_mut(which) else { return Ok(None) };
        group.merge()?;
        (self.has_strays, self.stale) = (true, 0);
        if which == Which::Meeting {
            self.begin_epoch();
        }
        Ok(Some((sent.wish, sent.commit.change)))
    }

    /// The relay says that another commit was first: ours is made again. Returns what it was for and how often in a row it
    /// came to nothing, if no other commit has come in all that time and it is to be told.
    pub fn came_late(&mut self, now: Time) -> Option<(Wish, u32)> {
        let wish = self.sent.as_ref().map(|sent| sent.wish.clone())?;
        self.not_committed(now, true);
        self.stale = self.stale.saturating_add(1);
        self.stale.is_multiple_of(STALE).then_some((wish, self.stale))
    }

    /// The relay did not take our commit, or nobody knows: it is made again, unless it is refused for good.
    pub fn not_committed(&mut self, now: Time, again: bool) -> Option<Wish> {
        let sent = self.sent.take()?;
        if let Some(group) = self.of_mut(sent.wish.group()) {
            // The storage in memory has no errors.
            let _ = group.discard();
        }
        if !again {
            self.has_strays = true;
            self.give_up_behind(&sent.wish);
            return Some(sent.wish);
        }
        self.waits_until = Some(now + RETRY);
        self.wishes.push_front(sent.wish);
        None
    }

    /// Whether a message is the commit that the relay has not answered.
    pub fn is_sent(&self, message: &[u8]) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.commit.commit == message)
    }

    /// Takes a commit or a proposal of another member. What the group does not allow is refused, whoever passed it on.
    pub fn process(&mut self, now: Time, which: Which, message: &[u8]) -> News {
        let Some(group) = self.of_mut(which) else { return News::Nothing };
        let pending = match group.process(message) {
            Ok(Processed::Commit(pending)) => pending,
            // Who leaves the meeting leaves the insiders too.
            Ok(Processed::Leaving(member)) if which == Which::Meeting => return News::Leaving(member.index),
            Ok(_) => return News::Nothing,
            Err(error) => return News::Refused(self.explain(which, &error)),
        };
        let change = Box::new(pending.change().clone());
        match group.accept(pending) {
            Ok(Outcome::Epoch(_)) => {
                // It dropped our own commit.
                if let Some(sent) = self.sent.take_if(|sent| sent.wish.group() == which) {
                    self.wishes.push_front(sent.wish);
                }
                (self.waits_until, self.stale) = (self.waits_until.map(|_| now), 0);
                if which == Which::Insiders {
                    return News::Insiders(change);
                }
                self.begin_epoch();
                // The next organizer has wishes of its own.
                if !self.is_organizer() {
                    self.wishes.clear();
                }
                News::Epoch(change)
            }
            Ok(_) if which == Which::Insiders => {
                self.insiders = None;
                News::Nothing
            }
            Ok(_) => {
                self.forget();
                News::Removed
            }
            Err(error) => News::Refused(self.explain(which, &error)),
        }
    }

    /// Names the member that an error is about.
    fn explain(&self, which: Which, error: &MlsError) -> String {
        let MlsError::Forbidden { member, breach } = error else { return error.to_string() };
        let group = if which == Which::Meeting { &self.group } else { &self.insiders };
        let found = group.as_ref().and_then(|group| group.members().find(|it| it.index == *member));
        let name = found.map_or_else(|| format!("member {member}"), |found| show_name(&found.name));
        format!("{name} {breach}")
    }

    /// The name that a member has in the group.
    pub fn name_of(&self, index: u32) -> String {
        self.member(index).map_or_else(|| format!("member {index}"), |member| show_name(&member.name))
    }
}

/// Whether somebody who knocks is to open all layers: by the relay's word, which the organizer is shown.
pub fn is_insider(asked: &Asked) -> bool {
    asked.role != Role::Guest && !asked.outsider && asked.insiders_key_package.is_some()
}

/// A name for people: what could hide or reorder text is written as an escape.
pub fn show_name(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    match layercast_meeting::Text::new(&text) {
        Some(text) => text.to_string(),
        None => name.escape_ascii().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::ZERO;

    /// The organizer of both groups, and somebody's key packages.
    fn organizer_and_other() -> (Circle, Circle, Wish) {
        let identity = || Some(Identity::new().unwrap());
        let (mut ann, mut bob) =
            (Circle::new("Ann", identity(), vec![]), Circle::new("Bob", identity(), vec![]));
        ann.begin().unwrap();
        let (Bytes(meeting), Bytes(insiders)) = bob.key_packages().unwrap();
        (ann, bob, Wish::AddInsider(ParticipantId(2), insiders, meeting))
    }

    fn welcome(request: Option<Result<Request, (Wish, String)>>) -> Vec<u8> {
        let Some(Ok(Request::Commit { welcome: Some(Bytes(welcome)), .. })) = request else {
            panic!("{request:?}")
        };
        welcome
    }

    #[test]
    fn a_stray_whose_removal_the_relay_refuses_is_not_added_again() {
        let (mut ann, mut bob, add) = organizer_and_other();
        ann.wish(add);
        ann.next_commit(NOW).unwrap().unwrap();
        ann.committed().unwrap();
        let (Bytes(meeting), Bytes(insiders)) = bob.key_packages().unwrap();
        ann.has_strays = false;
        ann.wish(Wish::AddInsider(ParticipantId(2), insiders, meeting));
        ann.next_commit(NOW).unwrap().unwrap();
        let refused = ann.not_committed(NOW, false);
        assert!(matches!(refused, Some(Wish::RemoveInsider(None, _))), "{refused:?}");
        assert!(ann.wishes.is_empty());
    }

    /// The new organizer of the meeting is not that of the insiders.
    #[test]
    fn a_stray_who_cannot_be_removed_is_told_of_once() {
        let (mut ann, mut bob, add) = organizer_and_other();
        let Wish::AddInsider(who, _, meeting) = add.clone() else { panic!() };
        ann.wish(add);
        assert!(bob.join_insiders(&welcome(ann.next_commit(NOW))).unwrap());
        ann.committed().unwrap();
        ann.wish(Wish::Add(who, meeting, b"Bob".to_vec()));
        assert!(bob.join(&welcome(ann.next_commit(NOW))).unwrap());
        ann.committed().unwrap();
        let mut cleo = Circle::new("Cleo", Some(Identity::new().unwrap()), vec![]);
        for circle in [&mut ann, &mut bob] {
            circle.has_strays = false;
        }
        let (Bytes(meeting), Bytes(insiders)) = cleo.key_packages().unwrap();
        let add = Wish::AddInsider(ParticipantId(3), insiders, meeting);
        for wish in [add.clone(), Wish::HandOver(who, 1)] {
            ann.wish(wish.clone());
            let Some(Ok(Request::Commit { message: Bytes(message), .. })) = ann.next_commit(NOW) else {
                panic!()
            };
            ann.committed().unwrap();
            ann.has_strays = false;
            let news = bob.process(NOW, wish.group(), &message);
            assert!(matches!(news, News::Insiders(_) | News::Epoch(_)), "{news:?}");
        }
        assert!(bob.is_organizer());
        bob.wish(add);
        let mut told = 0;
        while let Some(next) = bob.next_commit(NOW) {
            assert!(matches!(next, Err((Wish::RemoveInsider(..), _))), "{next:?}");
            told += 1;
            assert!(told < 10, "it comes to an end");
        }
        assert_eq!(told, 1);
    }
}
