//! The modes by name, and the structure of each.

use std::fmt;
use std::str::FromStr;

use super::frames::Structure;
use super::mode::{ScalabilityMode, UnknownScalabilityMode};
use super::table::TABLE;

impl ScalabilityMode {
    /// Every mode, in the order of the standard's diagrams.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        TABLE.iter().map(|structure| structure.mode)
    }

    /// The structure of the mode.
    pub fn structure(self) -> &'static Structure {
        TABLE[self as usize]
    }
}

impl fmt::Display for ScalabilityMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.structure().name)
    }
}

impl FromStr for ScalabilityMode {
    type Err = UnknownScalabilityMode;

    /// Reads a name as the standard writes it; it is case-sensitive.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let found = TABLE.iter().find(|structure| structure.name == name);
        found.map(|structure| structure.mode).ok_or(UnknownScalabilityMode)
    }
}
