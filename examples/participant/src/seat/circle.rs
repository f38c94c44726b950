//! The group of MLS as this participant sees it, and the commits on their way to the relay.

use std::collections::VecDeque;
use std::time::Duration;

use layercast::Time;
use layercast::e2ee::mls::Identity;
use layercast::e2ee::mls::{Breach, Change, Commit, Group, Login, Member, MlsError, Outcome, Processed};
use layercast::e2ee::{Agreement, KeyRing, SenderKeys};
use layercast_meeting::{Bytes, Group as Which, ParticipantId, Request};

/// How long keys of an epoch hold after the next one has begun.
const OVERLAP: Duration = Duration::from_secs(5);
/// How long a key package can be used to join.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// A commit that came too late is made again after this, if no other commit has come.
const RETRY: Duration = Duration::from_millis(300);
/// Wishes at most. Each person at the door is one.
const MAX_WISHES: usize = 1000;

/// What the organizer wants the group to become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// To add somebody by a key package, under this name and no other.
    Add(ParticipantId, Vec<u8>, Vec<u8>),
    /// To remove a member.
    Remove(ParticipantId, u32),
    /// To make a member the organizer.
    HandOver(ParticipantId, u32),
}

/// What became of a message of MLS.
#[derive(Debug, PartialEq, Eq)]
pub enum News {
    /// Nothing that anybody notices.
    Nothing,
    /// A new epoch began.
    Epoch(Box<Change>),
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

/// The group, and what this participant wants of it.
pub struct Circle {
    name: Vec<u8>,
    /// A key pair that outlives the meeting.
    identity: Option<Identity>,
    login: Option<Login>,
    group: Option<Group>,
    keys: Option<SenderKeys>,
    wishes: VecDeque<Wish>,
    /// A commit that the relay has not answered.
    sent: Option<Sent>,
    /// No commit is made until then.
    waits_until: Option<Time>,
}

impl Circle {
    /// Nobody's, as yet.
    pub fn new(name: &str, identity: Option<Identity>) -> Self {
        Self {
            name: name.as_bytes().to_vec(),
            identity,
            login: None,
            group: None,
            keys: None,
            wishes: VecDeque::new(),
            sent: None,
            waits_until: None,
        }
    }

    /// The group, if we are in it.
    pub fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }

    fn make_login(&self) -> Result<Login, MlsError> {
        match &self.identity {
            Some(identity) => Ok(Login::with_identity(&self.name, LIFETIME, identity)),
            None => Login::new(&self.name, LIFETIME),
        }
    }

    /// A key package, for whoever is to add us.
    ///
    /// # Errors
    /// [`MlsError`].
    pub fn key_package(&mut self) -> Result<Bytes, MlsError> {
        let login = self.make_login()?;
        let key_package = login.key_package()?;
        self.login = Some(login);
        Ok(Bytes(key_package))
    }

    /// Makes the group, with us as its organizer.
    ///
    /// # Errors
    /// [`MlsError`].
    pub fn begin(&mut self) -> Result<(), MlsError> {
        let login = match self.login.take() {
            Some(login) => login,
            None => self.make_login()?,
        };
        self.forget();
        self.group = Some(login.create_as_organizer(Agreement::default())?);
        Ok(())
    }

    /// Joins by a welcome. Nothing happens if we are in the group, or have no key package out.
    ///
    /// # Errors
    /// [`MlsError`].
    pub fn join(&mut self, welcome: &[u8]) -> Result<bool, MlsError> {
        let Some(login) = self.login.take() else { return Ok(false) };
        self.forget();
        self.group = Some(login.join(Agreement::default(), welcome)?);
        Ok(true)
    }

    /// Drops the group.
    pub fn forget(&mut self) {
        (self.group, self.keys, self.sent, self.waits_until) = (None, None, None, None);
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

    /// A ring with the keys of the epoch.
    pub fn ring(&self, now: Time) -> Option<KeyRing> {
        let mut ring = KeyRing::new(Agreement::default(), OVERLAP);
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
            self.keys = Some(group.sender_keys()?);
        }
        self.keys.as_mut().ok_or(MlsError::Unexpected)
    }

    /// Notes what the group is to become.
    pub fn wish(&mut self, wish: Wish) {
        let sent = self.sent.as_ref().map(|sent| &sent.wish);
        if self.wishes.len() < MAX_WISHES && !self.wishes.contains(&wish) && sent != Some(&wish) {
            self.wishes.push_back(wish);
        }
    }

    /// The next commit for the relay. `Err` says why a wish cannot be fulfilled; the next one may be.
    pub fn next_commit(&mut self, now: Time) -> Option<Result<Request, (Wish, String)>> {
        if self.sent.is_some() || self.waits_until.is_some_and(|until| now < until) || !self.is_organizer() {
            return None;
        }
        self.waits_until = None;
        let wish = self.wishes.pop_front()?;
        let group = self.group.as_mut()?;
        let (staged, added, removed) = match &wish {
            Wish::Add(who, key_package, _) => (group.add(&[key_package]), vec![*who], vec![]),
            Wish::Remove(who, member) => (group.remove(&[*member]), vec![], vec![*who]),
            Wish::HandOver(_, member) => (group.hand_over(*member), vec![], vec![]),
        };
        let commit = match staged {
            Ok(commit) => commit,
            Err(error) => {
                let why = self.explain(&error);
                return Some(Err((wish, why)));
            }
        };
        if let Wish::Add(_, _, name) = &wish
            && commit.change.added.iter().any(|added| added.name != *name)
        {
            // The storage in memory has no errors.
            let _ = group.discard();
            return Some(Err((wish, "the key package has another name than was given at the door".into())));
        }
        let request = Request::Commit {
            group: Which::Meeting,
            epoch: group.epoch(),
            message: Bytes(commit.commit.clone()),
            welcome: (!commit.welcome.is_empty()).then(|| Bytes(commit.welcome.clone())),
            added,
            removed,
        };
        self.sent = Some(Sent { wish, commit });
        Some(Ok(request))
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
        let (Some(sent), Some(group)) = (self.sent.take(), &mut self.group) else { return Ok(None) };
        group.merge()?;
        Ok(Some((sent.wish, sent.commit.change)))
    }

    /// The relay did not take our commit, or nobody knows: it is made again, unless it is refused for good.
    pub fn not_committed(&mut self, now: Time, again: bool) -> Option<Wish> {
        let sent = self.sent.take()?;
        if let Some(group) = &mut self.group {
            // The storage in memory has no errors.
            let _ = group.discard();
        }
        if !again {
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
    pub fn process(&mut self, now: Time, message: &[u8]) -> News {
        let Some(group) = &mut self.group else { return News::Nothing };
        let pending = match group.process(message) {
            Ok(Processed::Commit(pending)) => pending,
            Ok(Processed::Leaving(member)) => return News::Leaving(member.index),
            Ok(_) => return News::Nothing,
            Err(error) => return News::Refused(self.explain(&error)),
        };
        let change = pending.change().clone();
        match group.accept(pending) {
            Ok(Outcome::Epoch(_)) => {
                // It dropped our own commit.
                if let Some(sent) = self.sent.take() {
                    self.wishes.push_front(sent.wish);
                }
                self.waits_until = self.waits_until.map(|_| now);
                // The next organizer has wishes of its own.
                if !self.is_organizer() {
                    self.wishes.clear();
                }
                News::Epoch(Box::new(change))
            }
            Ok(_) => {
                self.forget();
                News::Removed
            }
            Err(error) => News::Refused(self.explain(&error)),
        }
    }

    /// Names the member that an error is about.
    fn explain(&self, error: &MlsError) -> String {
        match error {
            MlsError::Forbidden { member, breach } => format!("{} {}", self.name_of(*member), told(breach)),
            error => error.to_string(),
        }
    }

    /// The name that a member has in the group.
    pub fn name_of(&self, index: u32) -> String {
        self.member(index).map_or_else(|| format!("member {index}"), |member| show_name(&member.name))
    }
}

fn told(breach: &Breach) -> String {
    breach.to_string()
}

/// A name for people: what could hide or reorder text is written as an escape.
pub fn show_name(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    match layercast_meeting::Text::new(&text) {
        Some(text) => text.to_string(),
        None => name.escape_ascii().to_string(),
    }
}
