//! What participants tell each other over their sealed messages: which epoch they are in, so that a relay that leads two
//! halves of a meeting apart is found out, and the clocks of their streams, by which delays are measured.

use serde::{Deserialize, Serialize};

/// Streams of one participant whose clocks are told at most.
const MAX_CLOCKS: usize = 16;

/// The state of a participant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Its number at the relay.
    pub participant: u32,
    /// The epoch that it is in.
    pub epoch: u64,
    /// The digits of the epoch, which all members have in common.
    pub code: String,
    /// Members of the group.
    pub members: usize,
    /// Of its streams: the number, an RTP timestamp, and the microseconds since 1970 that this is of.
    pub clocks: Vec<(u32, u32, u64)>,
    /// Whether it raises a hand.
    #[serde(default)]
    pub hand: bool,
}

impl State {
    /// Reads a message of a member, who may be hostile.
    pub fn read(message: &[u8]) -> Option<Self> {
        // Twelve blocks of five digits, and numbers.
        let state: Self = serde_json::from_slice(message.get(..message.len().min(4096))?).ok()?;
        (state.clocks.len() <= MAX_CLOCKS && state.code.len() <= 80).then_some(state)
    }

    /// The message.
    pub fn write(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_state_is_read_as_it_was_written() {
        let clocks = vec![(3, u32::MAX, u64::MAX)];
        let state =
            State { participant: 7, epoch: 3, code: "01234 ".repeat(12), members: 3, clocks, hand: true };
        assert_eq!(State::read(&state.write()), Some(state));
        assert_eq!(State::read(&[b' '; 5000]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_harm(bytes: Vec<u8>) {
            State::read(&bytes);
        }
    }
}
