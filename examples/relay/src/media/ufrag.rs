//! The user fragments of the relay's links, which say where a link lives.

/// The number of the thread that a user fragment of this relay begins with: its link lives there.
pub fn thread_of(ufrag: &str) -> Option<u8> {
    u8::from_str_radix(ufrag.get(..2)?, 16).ok()
}

/// A new user fragment for a link of a thread: nobody guesses it, so nobody but the peer makes the relay compute the check's
/// authentication.
pub fn make(thread: u8) -> Result<String, getrandom::Error> {
    let mut random = [0; 8];
    getrandom::fill(&mut random)?;
    Ok(format!("{thread:02x}{:016x}", u64::from_le_bytes(random)))
}
