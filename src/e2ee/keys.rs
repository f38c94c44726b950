//! The receiver's side: which key a key id means at which time.

use std::time::Duration;

use super::agreement::Agreement;
use super::header::Context;
use super::secret::{BaseKey, Grant, Scope};
use super::upper::UpperLayers;
use crate::Time;

/// Epochs of one scope that a [`KeyRing`] holds at a time.
const MAX_EPOCHS: usize = 4;

/// Epochs end here: milliseconds since 1970 fit for 8900 years. A grant of the last epoch there is would lock out all
/// that come later.
const EPOCH_END: u64 = 1 << 48;

/// How far a grant of a member may be ahead of the one before.
const MAX_EPOCH_JUMP: u64 = 1 << 16;

/// Grants that a ring holds of what one member gave: all its contexts in a few epochs.
const MAX_GIVEN: usize = 64;

/// How long the keys that a removed member knows hold after the removal, at most: frames that are on their way at that
/// time arrive by then.
pub const ROUND_TRIP: Duration = Duration::from_millis(500);

/// Gives a receiver its keys: a [`KeyRing`], or the client of an app's key server.
pub trait KeySource {
    /// The epoch, in full, that a key id means at the time `now`. `None` if it is unknown or over, or if the key
    /// was not granted. Openers ask for every frame.
    fn epoch(&self, now: Time, key_id: u64) -> Option<u64>;

    /// The base key of a key id in an epoch that [`epoch`](Self::epoch) named. Openers ask once.
    fn base_key(&self, key_id: u64, epoch: u64) -> Option<BaseKey>;
}

/// Why a ring does not take a grant of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GrantRefused {
    /// It is for other keys than those of the member itself.
    #[error("a grant of member {giver} for other keys than its own")]
    Scope {
        /// Who gave it.
        giver: u32,
    },
    /// Its epoch is not below 2^48, or is more than 2^16 ahead of the last one of its scope.
    #[error("a grant of epoch {epoch}, which is too far ahead")]
    Epoch {
        /// Its epoch.
        epoch: u64,
    },
    /// The ring holds a later one of its scope, or another of the same epoch.
    #[error("a grant of epoch {epoch}, which the ring has or had")]
    Older {
        /// Its epoch.
        epoch: u64,
    },
    /// The ring holds 64 grants of this member.
    #[error("too many grants of member {giver}")]
    TooMany {
        /// Who gave it.
        giver: u32,
    },
}

/// The grants that a receiver holds, a few epochs of each scope.
///
/// A grant holds until the next one of the same scope comes, and for a while more, since late packets are sealed
/// with it.
///
/// A key id is opened by the grant of the widest scope that includes it: that of the group, if the ring has it, and
/// grants that members gave ([`add_from`](Self::add_from)) come last. So no member can put another key in the place
/// of the group's.
#[derive(Debug)]
pub struct KeyRing {
    agreement: Agreement,
    overlap: Duration,
    held: Vec<Held>,
    /// Of the epochs of the group's grants.
    upper: Vec<UpperLayers>,
}

#[derive(Debug)]
struct Held {
    grant: Grant,
    /// The member who gave it; `None` if the app trusts it.
    giver: Option<u32>,
    /// When it ends; `None` while it is the last of its scope.
    until: Option<Time>,
}

impl Held {
    fn is_alive(&self, now: Time) -> bool {
        self.until.is_none_or(|until| now < until)
    }

    /// Whether it is that of the group in an epoch.
    fn is_groups(&self, epoch: u64) -> bool {
        self.giver.is_none() && self.grant.scope == Scope::Group && self.grant.epoch == epoch
    }
}

impl KeyRing {
    /// A ring without keys. `overlap` is how long a grant holds after the next one came: a few seconds suffice.
    /// A member who was removed can seal for that long, unless the app says so: see [`end_before`](Self::end_before).
    pub fn new(agreement: Agreement, overlap: Duration) -> Self {
        Self { agreement, overlap, held: Vec::new(), upper: Vec::new() }
    }

    /// Adds a grant at the time `now` that the app trusts: that of a group, for an observer (a member calls
    /// [`Group::enter`](super::mls::Group::enter)); of the app's own key server; or of the member whom an observer relies
    /// on. Grants that other members send go through [`add_from`](Self::add_from).
    ///
    /// Grants of the same scope and earlier epochs end `overlap` later, and at once if their key ids equal those of the
    /// new one, or if the ring holds more than four. The ring does not take a grant that is older than one that it
    /// holds, or whose epoch is not below 2^48, and returns `false`.
    pub fn add(&mut self, now: Time, grant: Grant) -> bool {
        self.expire(now);
        self.insert(now, grant, None)
    }

    /// Adds the grant of a group at the time `now`, with the layers that it does not open. What is known of the insiders
    /// of an epoch stays.
    pub(super) fn add_with(&mut self, now: Time, grant: Grant, upper: UpperLayers) {
        let epoch = upper.epoch;
        self.add(now, grant);
        if !self.upper.iter().any(|held| held.epoch == epoch && held.has_key()) {
            self.upper.retain(|held| held.epoch != epoch);
            self.upper.push(upper);
        }
        self.drop_upper();
    }

    /// Adds a grant at the time `now` that member `giver` sent: of its own keys, or of a part of them.
    ///
    /// # Errors
    /// If the grant is for the keys of others, or its epoch is not one of the next: see [`GrantRefused`].
    pub fn add_from(&mut self, now: Time, giver: u32, grant: Grant) -> Result<(), GrantRefused> {
        self.expire(now);
        let sender = match grant.scope {
            Scope::Group => None,
            Scope::Sender(sender) => Some(u64::from(sender)),
            Scope::KeyId(key_id) => Some(self.agreement.layout.sender(key_id)),
        };
        if sender != Some(giver.into()) {
            return Err(GrantRefused::Scope { giver });
        }
        let (agreement, epoch) = (self.agreement, grant.epoch);
        let given = || self.held.iter().filter(|held| held.giver == Some(giver));
        let before = given().filter(|held| is_followed_by(&agreement, &held.grant, &grant));
        let last = before.map(|held| held.grant.epoch).max();
        if epoch >= EPOCH_END || last.is_some_and(|last| epoch > last.saturating_add(MAX_EPOCH_JUMP)) {
            return Err(GrantRefused::Epoch { epoch });
        }
        if given().any(|held| held.grant == grant) {
            return Ok(());
        }
        if last.is_some_and(|last| epoch <= last) {
            return Err(GrantRefused::Older { epoch });
        }
        if given().count() >= MAX_GIVEN {
            return Err(GrantRefused::TooMany { giver });
        }
        self.insert(now, grant, Some(giver));
        Ok(())
    }

    fn insert(&mut self, now: Time, grant: Grant, giver: Option<u32>) -> bool {
        let (agreement, until) = (self.agreement, now + self.overlap);
        let low_bits = |epoch| agreement.layout.key_id(Context(0), 0, epoch).expect("0 fits");
        let follows = |held: &Held| held.giver == giver && is_followed_by(&agreement, &held.grant, &grant);
        let is_late = self.held.iter().any(|held| follows(held) && held.grant.epoch > grant.epoch);
        if is_late || grant.epoch >= EPOCH_END {
            return false;
        }
        self.held.retain(|held| !follows(held) || low_bits(held.grant.epoch) != low_bits(grant.epoch));
        for held in self.held.iter_mut().filter(|held| follows(held)) {
            held.until.get_or_insert(until);
        }
        while self.held.iter().filter(|held| follows(held)).count() >= MAX_EPOCHS {
            let oldest = self.held.iter().position(follows).expect("there are some");
            self.held.remove(oldest);
        }
        self.held.push(Held { grant, giver, until: None });
        true
    }

    /// Ends the grants of the epochs before `epoch`, in which a member was removed, after [`ROUND_TRIP`] at most: it
    /// knows their keys and could seal with them in anybody's name. This is about all grants that came by
    /// [`add`](Self::add), which have to be of one group. [`Group::enter`](super::mls::Group::enter) does this for a
    /// member; an observer is told by the member who hands it the next grant.
    pub fn end_before(&mut self, now: Time, epoch: u64) {
        let end = now + self.overlap.min(ROUND_TRIP);
        for held in self.held.iter_mut().filter(|held| held.giver.is_none() && held.grant.epoch < epoch) {
            held.until = Some(held.until.map_or(end, |until| until.min(end)));
        }
    }

    /// Drops the grants that are over at the time `now`, and wipes their keys. [`add`](Self::add) does so too.
    pub fn expire(&mut self, now: Time) {
        self.held.retain(|held| held.until.is_none_or(|until| now < until));
        self.drop_upper();
    }

    /// Drops what is known of the upper layers in epochs whose grant is gone.
    fn drop_upper(&mut self) {
        self.upper.retain(|upper| self.held.iter().any(|held| held.is_groups(upper.epoch)));
    }

    /// The layers above caps of the epoch of a grant, if it is the group's and the key id is for one of them.
    fn upper(&self, held: &Held, key_id: u64) -> Option<&UpperLayers> {
        let upper = self.upper.iter().find(|upper| held.is_groups(upper.epoch))?;
        upper.include(&self.agreement, key_id).then_some(upper)
    }

    /// Whether a key id is for a layer above its sender's cap in an epoch whose insiders we are not among: its key does not
    /// come any more.
    #[cfg_attr(not(feature = "session"), allow(dead_code, reason = "frames wait for keys in sessions alone"))]
    pub(crate) fn is_for_insiders(&self, now: Time, key_id: u64) -> bool {
        let held = self.find(key_id).find(|held| held.is_alive(now));
        held.and_then(|held| self.upper(held, key_id)).is_some_and(|upper| !upper.has_key())
    }

    /// The grants that include a key id: those that the app trusts first, the widest first.
    fn find(&self, key_id: u64) -> impl Iterator<Item = &Held> {
        let rank = |held: &Held| match held.grant.scope {
            _ if held.giver.is_some() => 3,
            Scope::KeyId(_) => 2,
            Scope::Sender(_) => 1,
            Scope::Group => 0,
        };
        (0..4).flat_map(move |wanted| self.including(key_id).filter(move |held| rank(held) == wanted))
    }

    fn including(&self, key_id: u64) -> impl Iterator<Item = &Held> {
        let layout = self.agreement.layout;
        let epoch_of = move |epoch| layout.key_id(Context(0), 0, epoch).expect("0 fits");
        let low_bits = layout.epoch(key_id);
        self.held.iter().rev().filter(move |held| {
            epoch_of(held.grant.epoch) == low_bits && includes(&self.agreement, &held.grant, key_id)
        })
    }
}

impl KeySource for KeyRing {
    fn epoch(&self, now: Time, key_id: u64) -> Option<u64> {
        let held = self.find(key_id).find(|held| held.is_alive(now))?;
        self.upper(held, key_id).is_none_or(UpperLayers::has_key).then_some(held.grant.epoch)
    }

    fn base_key(&self, key_id: u64, epoch: u64) -> Option<BaseKey> {
        let held = self.find(key_id).find(|held| held.grant.epoch == epoch)?;
        match self.upper(held, key_id) {
            Some(upper) => upper.base_key(&self.agreement, key_id),
            None => held.grant.base_key(&self.agreement, key_id),
        }
    }
}

/// Whether a grant may open key ids such as this one, in some epoch.
fn includes(agreement: &Agreement, grant: &Grant, key_id: u64) -> bool {
    match grant.scope {
        Scope::Group => true,
        Scope::Sender(sender) => u64::from(sender) == agreement.layout.sender(key_id),
        Scope::KeyId(granted) => granted == key_id,
    }
}

/// Whether `next` has the scope of `grant` in another epoch.
fn is_followed_by(agreement: &Agreement, grant: &Grant, next: &Grant) -> bool {
    let layout = agreement.layout;
    match (grant.scope, next.scope) {
        (Scope::KeyId(a), Scope::KeyId(b)) => {
            layout.context(a) == layout.context(b) && layout.sender(a) == layout.sender(b)
        }
        (a, b) => a == b,
    }
}
