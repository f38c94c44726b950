//! Messages as text, and their bounds.

use std::fmt;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize};

/// The longest message, in bytes of JSON.
pub const MAX_MESSAGE: usize = 128 * 1024;

/// The longest message of MLS in it, in bytes. A commit or a welcome of a group of 200 takes about 60 kB.
pub const MAX_MLS: usize = 80 * 1024;

/// The longest thing that is said, in bytes.
pub const MAX_SAID: usize = 4 * 1024;

/// The longest name, title or other text that people write, in bytes.
pub const MAX_TEXT: usize = 128;

/// Why a message was not understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// It has more than [`MAX_MESSAGE`] bytes.
    #[error("a message of {0} bytes")]
    TooLong(usize),
    /// It is no message of this protocol. The reason says where, and repeats nothing of it.
    #[error("no message of this protocol, at line {line}, column {column}")]
    Malformed {
        /// The line, from 1.
        line: usize,
        /// The column.
        column: usize,
    },
}

pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ProtocolError> {
    if text.len() > MAX_MESSAGE {
        return Err(ProtocolError::TooLong(text.len()));
    }
    // The error of serde_json quotes the message, which may hold a password.
    serde_json::from_str(text)
        .map_err(|error| ProtocolError::Malformed { line: error.line(), column: error.column() })
}

pub(crate) fn write<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message).expect("messages are plain data with text as keys")
}

/// A text that people wrote: 1 to [`MAX_TEXT`] bytes, without control characters and without characters that change the
/// direction of writing, by which a name could look like another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Takes a text, if it is within the bounds.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let directs = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        let fits =
            (1..=MAX_TEXT).contains(&text.len()) && !text.chars().any(|c| c.is_control() || directs(c));
        fits.then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names of people stay out of logs: this is what a log of a message would show.
        write!(f, "Text({})", self.0.len())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::new(&text).ok_or_else(|| D::Error::custom("not a text of this protocol"))
    }
}
