//! What the links of a meeting have in common: how signalling carries their ends, and what a stream takes of a link.

use std::net::SocketAddr;

use layercast_meeting::wire::{RTX_PAYLOAD_TYPE, payload_type, rtx_ssrc};
use layercast_meeting::{Kind, LinkDescription, Secret};

use crate::certificate::FingerprintError;
use crate::link::{Description, Link, Rtx, TooManySsrcs};

impl Description {
    /// What signalling carries of this end, with the addresses at which it is reached.
    pub fn to_message(&self, addresses: &[SocketAddr]) -> LinkDescription {
        LinkDescription {
            ufrag: self.ufrag.clone(),
            password: Secret::new(self.password.clone()),
            fingerprint: self.fingerprint.to_string(),
            addresses: addresses.to_vec(),
        }
    }

    /// The end that signalling carries. Username fragment and password are looked at when a link is made of it.
    ///
    /// # Errors
    ///
    /// The fingerprint is none.
    pub fn from_message(message: &LinkDescription) -> Result<Self, FingerprintError> {
        Ok(Self {
            ufrag: message.ufrag.clone(),
            password: message.password.expose().to_owned(),
            fingerprint: message.fingerprint.parse()?,
        })
    }
}

impl Link {
    /// Takes the packets of a stream from now on, and their retransmissions.
    ///
    /// # Errors
    ///
    /// The link has had as many SSRCs as it can have.
    pub fn expect_stream(&mut self, ssrc: u32, kind: Kind) -> Result<(), TooManySsrcs> {
        self.expect_ssrc(ssrc)?;
        self.expect_rtx(rtx_ssrc(ssrc), Rtx { ssrc, payload_type: payload_type(kind) })
    }

    /// Sends the packets of a stream with retransmissions from now on.
    pub fn send_stream(&mut self, ssrc: u32) {
        self.send_rtx(ssrc, Rtx { ssrc: rtx_ssrc(ssrc), payload_type: RTX_PAYLOAD_TYPE });
    }

    /// Drops what comes of a stream from now on, and sends nothing of it again.
    pub fn forget_stream(&mut self, ssrc: u32) {
        self.forget_ssrc(ssrc);
        self.forget_ssrc(rtx_ssrc(ssrc));
    }
}
