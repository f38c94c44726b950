//! The receiver's side: which key a key id means at which time.

use std::time::Duration;

use super::agreement::Agreement;
use super::header::Context;
use super::secret::{BaseKey, Grant, Scope};
use crate::Time;

/// Epochs of one scope that a [`KeyRing`] holds at a time.
const MAX_EPOCHS: usize = 4;

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

/// The grants that a receiver holds, a few epochs of each scope.
///
/// A grant holds until the next one of the same scope comes, and for a while more, since late packets are sealed
/// with it.
#[derive(Debug)]
pub struct KeyRing {
    agreement: Agreement,
    overlap: Duration,
    held: Vec<Held>,
}

#[derive(Debug)]
struct Held {
    grant: Grant,
    /// When it ends; `None` while it is the last of its scope.
    until: Option<Time>,
}

impl KeyRing {
    /// A ring without keys. `overlap` is how long a grant holds after the next one came: a few seconds suffice.
    /// A member who was removed can seal for that long, unless the app says so: see [`end_before`](Self::end_before).
    pub fn new(agreement: Agreement, overlap: Duration) -> Self {
        Self { agreement, overlap, held: Vec::new() }
    }

    /// Adds a grant at the time `now`. Grants of the same scope and earlier epochs end `overlap` later, and at
    /// once if their key ids equal those of the new one, or if the ring holds more than four. The ring does not
    /// take a grant that is older than one that it holds.
    pub fn add(&mut self, now: Time, grant: Grant) {
        self.expire(now);
        let (agreement, until) = (self.agreement, now + self.overlap);
        let low_bits = |epoch| agreement.layout.key_id(Context(0), 0, epoch).expect("0 fits");
        let follows = |held: &Held| is_followed_by(&agreement, &held.grant, &grant);
        if self.held.iter().any(|held| follows(held) && held.grant.epoch > grant.epoch) {
            return;
        }
        self.held.retain(|held| !follows(held) || low_bits(held.grant.epoch) != low_bits(grant.epoch));
        for held in self.held.iter_mut().filter(|held| follows(held)) {
            held.until.get_or_insert(until);
        }
        while self.held.iter().filter(|held| follows(held)).count() >= MAX_EPOCHS {
            let oldest = self.held.iter().position(follows).expect("there are some");
            self.held.remove(oldest);
        }
        self.held.push(Held { grant, until: None });
    }

    /// Ends the grants of the epochs before `epoch`, in which a member was removed, after [`ROUND_TRIP`] at most: it
    /// knows their keys and could seal with them in anybody's name. The grants of one group have to have the ring for
    /// themselves. [`Group::enter`](super::mls::Group::enter) does this for a member; an observer is told by the
    /// member who hands it the next grant.
    pub fn end_before(&mut self, now: Time, epoch: u64) {
        let end = now + self.overlap.min(ROUND_TRIP);
        for held in self.held.iter_mut().filter(|held| held.grant.epoch < epoch) {
            held.until = Some(held.until.map_or(end, |until| until.min(end)));
        }
    }

    /// Drops the grants that are over at the time `now`, and wipes their keys. [`add`](Self::add) does so too.
    pub fn expire(&mut self, now: Time) {
        self.held.retain(|held| held.until.is_none_or(|until| now < until));
    }

    fn find(&self, key_id: u64) -> impl Iterator<Item = &Held> {
        let layout = self.agreement.layout;
        let epoch_of = move |epoch| layout.key_id(Context(0), 0, epoch).expect("0 fits");
        let low_bits = layout.epoch(key_id);
        // The narrower grants may come beside the wider ones: the newest first.
        self.held.iter().rev().filter(move |held| {
            epoch_of(held.grant.epoch) == low_bits && includes(&self.agreement, &held.grant, key_id)
        })
    }
}

impl KeySource for KeyRing {
    fn epoch(&self, now: Time, key_id: u64) -> Option<u64> {
        let alive = |held: &&Held| held.until.is_none_or(|until| now < until);
        self.find(key_id).find(alive).map(|held| held.grant.epoch)
    }

    fn base_key(&self, key_id: u64, epoch: u64) -> Option<BaseKey> {
        let held = self.find(key_id).find(|held| held.grant.epoch == epoch)?;
        held.grant.base_key(&self.agreement, key_id)
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
