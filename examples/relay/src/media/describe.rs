//! The ends of links, as signalling writes them and as the link takes them.

use std::net::SocketAddr;

use layercast_link::Description;
use layercast_meeting::{LinkDescription, Secret};

/// The number of the thread that a user fragment of this relay begins with: its link lives there.
pub fn thread_of(ufrag: &str) -> Option<u8> {
    u8::from_str_radix(ufrag.get(..2)?, 16).ok()
}

/// A new user fragment for a link of a thread: nobody guesses it, so nobody but the peer makes the relay compute the check's
/// authentication.
pub fn ufrag(thread: u8) -> Result<String, getrandom::Error> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    Ok(format!("{thread:02x}{:016x}", u64::from_le_bytes(random)))
}

/// The peer's end; nothing if it is none.
pub fn read(description: &LinkDescription) -> Option<Description> {
    let LinkDescription { ufrag, password, fingerprint, .. } = description;
    Some(Description {
        ufrag: ufrag.clone(),
        password: password.expose().to_owned(),
        fingerprint: fingerprint.parse().ok()?,
    })
}

/// This end.
pub fn write(description: &Description, addresses: &[SocketAddr]) -> LinkDescription {
    LinkDescription {
        ufrag: description.ufrag.clone(),
        password: Secret::new(description.password.clone()),
        fingerprint: description.fingerprint.to_string(),
        addresses: addresses.to_vec(),
    }
}
