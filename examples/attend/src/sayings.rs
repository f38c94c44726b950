//! What participants say to each other over the relay, beside the media: sealed like messages, each under the key of the
//! member who says it.

use std::collections::BTreeMap;

use bytes::BytesMut;
use layercast::Time;
use layercast::e2ee::{Context, Header, KeyRing, OpenError, Opener, Sealer};
use layercast_meeting::Bytes;

use crate::circle::{Circle, agreement};
use crate::media::Failure;
use crate::seen::Class;

/// The track of the states, which no stream has.
const TRACK: u16 = u16::MAX;
/// What the keys of the states are derived for, besides member and epoch.
pub const PLACE: (Class, u16) = (Class::Data, TRACK);

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A [`State`](crate::state::State).
    State,
    /// What its sender signed: [`attest`](layercast::e2ee::attest).
    Attestation,
}

impl What {
    const ALL: [Self; 2] = [Self::State, Self::Attestation];

    fn context(self) -> Context {
        match self {
            Self::State => Context::data(TRACK),
            Self::Attestation => Context::attestation(TRACK),
        }
    }
}

/// Seals what we say, and opens what others say.
#[derive(Default)]
pub struct Sayings {
    sealers: Vec<(What, Sealer)>,
    keys: Option<KeyRing>,
    /// By the member. They remember what was opened, so that nothing is said twice.
    openers: BTreeMap<(u32, What), Opener>,
}

impl Sayings {
    /// An epoch began.
    ///
    /// # Errors
    /// If there are no keys of it: nothing is said then.
    pub fn enter(&mut self, now: Time, circle: &mut Circle) -> Result<(), Failure> {
        self.sealers.clear();
        match (&mut self.keys, circle.group()) {
            (Some(keys), Some(group)) => group.enter(now, keys)?,
            (keys, _) => *keys = circle.ring(now),
        }
        self.openers.retain(|(member, _), _| circle.has_member(*member));
        for what in What::ALL {
            self.sealers.push((what, circle.sender_keys()?.sealer(what.context())?));
        }
        Ok(())
    }

    /// We are no longer in the group.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// Seals a message.
    ///
    /// # Errors
    /// If there is no key.
    pub fn seal(&mut self, what: What, message: &[u8]) -> Result<Bytes, Failure> {
        let mut sealed = BytesMut::new();
        let sealer = self.sealers.iter_mut().find(|(of, _)| *of == what).ok_or("no key of the epoch")?;
        sealer.1.seal(b"", message, &mut sealed)?;
        Ok(Bytes(sealed.into()))
    }

    /// The member in whose name a message is sealed.
    pub fn member(sealed: &[u8], circle: &Circle) -> Option<u32> {
        let sender = agreement().layout.sender(Header::read(sealed)?.key_id);
        u32::try_from(sender).ok().filter(|member| circle.has_member(*member))
    }

    /// Opens a message of a member.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(
        &mut self,
        now: Time,
        member: u32,
        sealed: &[u8],
        circle: &Circle,
    ) -> Result<(What, BytesMut), OpenError> {
        let key_id = Header::read(sealed).ok_or(OpenError::Malformed)?.key_id;
        let keys = self.keys.as_ref().ok_or(OpenError::UnknownKey { key_id })?;
        let found = agreement().layout.context(key_id);
        let what = What::ALL.into_iter().find(|what| what.context() == found);
        let what = what.ok_or(OpenError::WrongStream { found })?;
        let opener = self.openers.entry((member, what)).or_insert_with(|| match what {
            What::State => circle.opener(member, found),
            // It is signed itself.
            What::Attestation => Opener::new(agreement(), member, found),
        });
        let mut message = BytesMut::from(sealed);
        opener.open(now, keys, b"", &mut message)?;
        Ok((what, message))
    }
}
