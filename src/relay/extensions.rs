//! Where in a packet the header extensions are that a relay reads or writes.

use std::ops::Range;

use crate::rtp::RtpPacket;
use crate::rtp::packet::PacketError;

/// The identifiers of the header extensions that a relay reads and writes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ExtensionIds {
    pub descriptor: u8,
    pub transport: u8,
    /// abs-send-time.
    pub send_time: Option<u8>,
}

impl ExtensionIds {
    /// Where in a packet they are.
    pub fn find(&self, rtp: &RtpPacket<'_>) -> Found {
        let mut found = Found { descriptor: Ok(None), number: None, places: Places::default() };
        let at = |range: &Range<usize>, len: usize| match range.len() == len {
            true => u16::try_from(range.start).unwrap_or(0),
            false => 0,
        };
        // The first of an id is the one that counts.
        let (mut transport, mut send_time) = (Some(self.transport), self.send_time);
        for element in rtp.extension_ranges() {
            let (id, range) = match element {
                Ok(element) => element,
                Err(error) => {
                    if let Ok(None) = found.descriptor {
                        found.descriptor = Err(error);
                    }
                    break;
                }
            };
            if id == self.descriptor {
                if let Ok(None) = found.descriptor {
                    found.descriptor = Ok(Some(range));
                }
            } else if transport == Some(id) {
                found.places.number_at = at(&range, 2);
                (found.number, transport) = (Some(range), None);
            } else if send_time == Some(id) {
                found.places.send_time_at = at(&range, 3);
                send_time = None;
            }
        }
        found
    }
}

/// Where in a packet the extensions are that a relay reads.
#[derive(Debug)]
pub(crate) struct Found {
    pub descriptor: Result<Option<Range<usize>>, PacketError>,
    pub number: Option<Range<usize>>,
    pub places: Places,
}

/// Where in a packet is what is written when it is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Places {
    /// Where the transport-wide number is, and the time of sending; 0 if there is none.
    pub number_at: u16,
    pub send_time_at: u16,
}
