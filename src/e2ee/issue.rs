//! The sender's side: keys that are new, and each of them handed out once.

use super::agreement::Agreement;
use super::attest::Attester;
use super::header::{Context, KeyIdError};
use super::seal::{Sealer, VideoSealer};
use super::secret::{BaseKey, Grant, NoRandomness, Scope};
use super::upper::UpperLayers;

/// The keys of one sender in one epoch.
///
/// No nonce is used twice as long as a key has one counter. So this cannot be copied, hands out each context
/// once, and is made only from a key that is new: by [`fresh`](Self::fresh), or by an MLS group, once an epoch.
/// Therefore a sender that starts again has other keys.
#[derive(Debug)]
pub struct SenderKeys {
    agreement: Agreement,
    sender: u32,
    grant: Grant,
    upper: Option<UpperLayers>,
    attester: Option<Attester>,
    issued: Vec<(Context, Option<u32>)>,
}

/// Why there is no key to seal with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SenderKeyError {
    /// The context's key is in use already.
    #[error("the key of context {} is in use", .0.0)]
    InUse(Context),
    /// The layer is above our [`GuestCap`](super::GuestCap), and the insiders of the epoch are not known:
    /// [`Group::set_insiders`](super::mls::Group::set_insiders).
    #[error("context {} is for insiders, who are not known", .0.0)]
    Insiders(Context),
    /// The key id has no room for the context or the sender.
    #[error(transparent)]
    KeyId(#[from] KeyIdError),
}

impl SenderKeys {
    /// New random keys of a sender, its `epoch`th: the sender keys of RFC 9605, section 5.1, for an app with a
    /// key server of its own. Hand [`grant`](Self::grant) to the server, seal, and let receivers get the grant
    /// by their [`KeySource`](super::KeySource).
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub fn fresh(agreement: Agreement, sender: u32, epoch: u64) -> Result<Self, NoRandomness> {
        let base_key = BaseKey::random(agreement.suite)?;
        Ok(Self::new(agreement, sender, Grant { epoch, scope: Scope::Sender(sender), base_key }, None))
    }

    /// The keys by a grant that no other SenderKeys of this sender come from.
    pub(super) fn new(agreement: Agreement, sender: u32, grant: Grant, upper: Option<UpperLayers>) -> Self {
        Self { agreement, sender, grant, upper, attester: None, issued: Vec::new() }
    }

    /// Attests all that is sealed with these keys by sealers made from now on, but for attestations. The attester's
    /// messages have to be sent, so the program keeps a clone. The keys of the next epoch need to be told too.
    pub fn attest(&mut self, attester: Attester) {
        self.attester = Some(attester);
    }

    /// What receivers need, but for layers above a [`GuestCap`](super::GuestCap).
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The sender's index.
    pub fn sender(&self) -> u32 {
        self.sender
    }

    /// The sealer of video stream `stream`: each spatial layer has a key of its own.
    ///
    /// # Errors
    /// If the stream has a sealer already, or does not fit into the key id.
    pub fn video(&mut self, stream: u16) -> Result<VideoSealer, SenderKeyError> {
        Ok(VideoSealer::new(self.agreement, self.layers(stream)?))
    }

    /// The sealer of a context: of audio frames, data messages or other bytes.
    ///
    /// # Errors
    /// If the context has a sealer already, or does not fit into the key id.
    pub fn sealer(&mut self, context: Context) -> Result<Sealer, SenderKeyError> {
        self.issue(context, None)
    }

    /// As [`sealer`](Self::sealer), with the key that [`BaseKey::for_ssrc`] gives.
    ///
    /// # Errors
    /// As [`sealer`](Self::sealer), for this SSRC.
    pub fn sealer_for_ssrc(&mut self, context: Context, ssrc: u32) -> Result<Sealer, SenderKeyError> {
        self.issue(context, Some(ssrc))
    }

    fn layers(&mut self, stream: u16) -> Result<[Sealer; 4], SenderKeyError> {
        let mut layers = [None, None, None, None];
        for (spatial_id, layer) in (0..4).zip(&mut layers) {
            *layer = Some(self.sealer(Context::video(stream, spatial_id))?);
        }
        Ok(layers.map(|layer| layer.expect("made above")))
    }

    fn issue(&mut self, context: Context, ssrc: Option<u32>) -> Result<Sealer, SenderKeyError> {
        if self.issued.contains(&(context, ssrc)) {
            return Err(SenderKeyError::InUse(context));
        }
        let (agreement, epoch) = (&self.agreement, self.grant.epoch);
        let key_id = agreement.layout.key_id(context, self.sender, epoch)?;
        let base_key = match self.upper.as_ref().filter(|upper| upper.include(agreement, key_id)) {
            Some(upper) => upper.base_key(agreement, key_id).ok_or(SenderKeyError::Insiders(context))?,
            None => self.grant.base_key(agreement, key_id).expect("of this sender"),
        };
        let base_key = ssrc.map_or(base_key.clone(), |ssrc| base_key.for_ssrc(agreement.suite, ssrc));
        self.issued.push((context, ssrc));
        let mut sealer = Sealer::new(agreement.suite, key_id, &base_key);
        if let Some(attester) = self.attester.as_ref().filter(|_| !context.is_attestation()) {
            sealer.attest(attester.clone(), epoch);
        }
        Ok(sealer)
    }
}

impl VideoSealer {
    /// Goes on with the keys of another epoch.
    ///
    /// # Errors
    /// As [`SenderKeys::video`]; the keys are then the old ones.
    pub fn rekey(&mut self, keys: &mut SenderKeys, stream: u16) -> Result<(), SenderKeyError> {
        self.set_layers(keys.layers(stream)?);
        Ok(())
    }
}
