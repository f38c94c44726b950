//! What participants say to each other over the relay, beside the media: sealed like messages, each under the key of the
//! member who says it.

use std::collections::BTreeMap;

use bytes::BytesMut;
use layercast::Time;
use layercast::e2ee::{Context, Header, KeyRing, OpenError, Opener, Sealer};
use layercast_meeting::Bytes;

use crate::circle::{Circle, agreement};
use crate::media::Failure;

/// No stream has this track.
const CONTEXT: Context = Context::data(u16::MAX);

/// Seals what we say, and opens what others say.
#[derive(Default)]
pub struct Sayings {
    sealer: Option<Sealer>,
    keys: Option<KeyRing>,
    /// By the member. They remember what was opened, so that nothing is said twice.
    openers: BTreeMap<u32, Opener>,
}

impl Sayings {
    /// An epoch began.
    ///
    /// # Errors
    /// If there are no keys of it: nothing is said then.
    pub fn enter(&mut self, now: Time, circle: &mut Circle) -> Result<(), Failure> {
        self.sealer = None;
        match (&mut self.keys, circle.group()) {
            (Some(keys), Some(group)) => group.enter(now, keys)?,
            (keys, _) => *keys = circle.ring(now),
        }
        self.openers.retain(|member, _| circle.member(*member).is_some());
        self.sealer = Some(circle.sender_keys()?.sealer(CONTEXT)?);
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
    pub fn seal(&mut self, message: &[u8]) -> Result<Bytes, Failure> {
        let mut sealed = BytesMut::new();
        self.sealer.as_mut().ok_or("no key of the epoch")?.seal(b"", message, &mut sealed)?;
        Ok(Bytes(sealed.into()))
    }

    /// Opens a message. Returns the member who said it.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open(&mut self, now: Time, sealed: &[u8], circle: &Circle) -> Result<(u32, BytesMut), OpenError> {
        let key_id = Header::read(sealed).ok_or(OpenError::Malformed)?.key_id;
        let unknown = OpenError::UnknownKey { key_id };
        let keys = self.keys.as_ref().ok_or(unknown)?;
        let sender = u32::try_from(agreement().layout.sender(key_id)).map_err(|_| unknown)?;
        let member = circle.member(sender).ok_or(unknown)?.index;
        let opener = self.openers.entry(member).or_insert_with(|| Opener::new(agreement(), member, CONTEXT));
        let mut message = BytesMut::from(sealed);
        opener.open(now, keys, b"", &mut message)?;
        Ok((member, message))
    }
}
