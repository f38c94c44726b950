//! Reports (RFC 3550, section 6.4) and feedback over RTCP: generic NACK and PLI (RFC 4585), FIR (RFC 5104) and LRR
//! (RFC 9627) with the layers of AV1, alone or in compound packets.
//!
//! All other messages of a compound packet pass through as [`RtcpMessage::Other`]. Packets without a report in front are
//! read too, as RFC 5506 allows.

use bytes::BufMut;

use super::reports::{ReportBlock, SenderInfo};
use crate::structure::{DecodeTarget, LayerId, Refresh};

/// Packet type of a sender report, and of a receiver report.
const SR: u8 = 200;
const RR: u8 = 201;

/// Packet type of transport layer feedback.
pub(crate) const RTPFB: u8 = 205;
/// Transport-wide feedback (draft-holmer-rmcat-transport-wide-cc-extensions-01).
pub(crate) const TRANSPORT_WIDE: u8 = 15;

/// Packet type of payload-specific feedback.
const PSFB: u8 = 206;

const NACK: u8 = 1;
const PLI: u8 = 1;
const FIR: u8 = 4;
const LRR: u8 = 10;

/// Why bytes are no RTCP, or a message cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RtcpError {
    /// A packet that ends within a message.
    #[error("the packet ends within a message")]
    End,
    /// Not version 2.
    #[error("RTCP version {version}")]
    Version {
        /// The version.
        version: u8,
    },
    /// Padding that does not fit, or in a message that is not the last.
    #[error("wrong padding")]
    Padding,
    /// A message whose length its type does not have.
    #[error("a message of a length that its type does not have")]
    Length,
    /// A layer that AV1 does not have, or an LRR whose target is not above the current layer.
    #[error("wrong layers in a layer refresh request")]
    Layer,
    /// A value that its field cannot hold.
    #[error("{field} cannot be written")]
    Value {
        /// The field.
        field: &'static str,
    },
    /// The buffer to write to is too small.
    #[error("no space for {size} bytes")]
    Space {
        /// Bytes needed.
        size: usize,
    },
}

/// Packets that were lost: the entry of a generic NACK (RFC 4585, section 6.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct Lost {
    /// PID: the sequence number of a lost packet.
    pub sequence_number: u16,
    /// BLP: bit i is set if packet `sequence_number` + i + 1 is lost too.
    pub following: u16,
}

impl Lost {
    /// The entries for sequence numbers in ascending order, which may wrap.
    pub fn of(sequence_numbers: impl IntoIterator<Item = u16>) -> Vec<Self> {
        let mut list: Vec<Self> = Vec::new();
        for number in sequence_numbers {
            match list.last_mut() {
                Some(last) if number == last.sequence_number => {}
                Some(last) if (1..=16).contains(&number.wrapping_sub(last.sequence_number)) => {
                    last.following |= 1 << (number.wrapping_sub(last.sequence_number) - 1);
                }
                _ => list.push(Self { sequence_number: number, following: 0 }),
            }
        }
        list
    }

    /// The sequence numbers.
    pub fn sequence_numbers(self) -> impl Iterator<Item = u16> {
        let following = (0..16).filter(move |bit| self.following >> bit & 1 != 0);
        [self.sequence_number]
            .into_iter()
            .chain(following.map(move |bit| self.sequence_number.wrapping_add(bit + 1)))
    }
}

/// A request for a key frame (RFC 5104, section 4.3.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct IntraRequest {
    /// The sender that is asked.
    pub ssrc: u32,
    /// Higher by 1, modulo 256, for each new request; the same if a request is repeated.
    pub sequence_number: u8,
}

/// A request to refresh layers (RFC 9627, section 2.1, with the layer fields of the AV1 RTP specification,
/// section 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_structs, reason = "a wire type: the standard has no more fields")]
pub struct LayerRequest {
    /// The sender that is asked.
    pub ssrc: u32,
    /// Higher by 1, modulo 256, for each new request; the same if a request is repeated.
    pub sequence_number: u8,
    /// Format of the stream, 0 to 127, which says what the layers mean.
    pub payload_type: u8,
    /// The layer that the receiver wants to decode.
    pub target: LayerId,
    /// The layer that it decodes already and wants to go up from: at most the target in both ids, and less in
    /// one. If there is none, all layers up to the target are to be refreshed.
    pub current: Option<LayerId>,
}

/// A message of an RTCP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RtcpMessage {
    /// Packets to be sent again.
    Nack {
        /// The receiver that asks.
        sender_ssrc: u32,
        /// The sender of the packets.
        media_ssrc: u32,
        /// At least one entry.
        lost: Vec<Lost>,
    },
    /// Pictures were lost, and nothing is said of which (RFC 4585, section 6.3.1).
    Pli {
        /// The receiver that asks.
        sender_ssrc: u32,
        /// The sender of the pictures.
        media_ssrc: u32,
    },
    /// Key frames to be sent.
    Fir {
        /// The receiver that asks.
        sender_ssrc: u32,
        /// At least one entry.
        requests: Vec<IntraRequest>,
    },
    /// Layers to be refreshed.
    Lrr {
        /// The receiver that asks.
        sender_ssrc: u32,
        /// At least one entry.
        requests: Vec<LayerRequest>,
    },
    /// What a sender has sent, and what it has received of others (RFC 3550, section 6.4.1).
    SenderReport {
        /// The sender.
        ssrc: u32,
        /// What it has sent.
        info: SenderInfo,
        /// What it has received, 31 blocks at most.
        blocks: Vec<ReportBlock>,
    },
    /// What a receiver has received (RFC 3550, section 6.4.2).
    ReceiverReport {
        /// The receiver.
        ssrc: u32,
        /// What it has received, 31 blocks at most.
        blocks: Vec<ReportBlock>,
    },
    /// Any other message.
    Other {
        /// The 5 bits after the version: a count or a format, at most 31.
        count: u8,
        /// Packet type.
        packet_type: u8,
        /// The bytes behind the length, without padding: a multiple of 4 bytes, at most 65535 times.
        body: Vec<u8>,
    },
}

/// Whether a packet is RTCP, if RTP comes to the same port: by its second byte (RFC 5761, section 4). The payload types
/// 64 to 95 cannot be used there.
pub fn is_rtcp(packet: &[u8]) -> bool {
    packet.get(1).is_some_and(|packet_type| (192..=223).contains(packet_type))
}

/// The messages of a packet, in order. It ends behind an error.
pub fn read(packet: &[u8]) -> impl Iterator<Item = Result<RtcpMessage, RtcpError>> {
    let mut rest = packet;
    std::iter::from_fn(move || {
        let (message, behind) = match rest {
            [] => return None,
            _ => match RtcpMessage::read(rest) {
                Ok((message, behind)) => (Ok(message), behind),
                Err(error) => (Err(error), &[][..]),
            },
        };
        rest = behind;
        Some(message)
    })
}

/// Appends messages as one packet, compound if there are more than one.
///
/// # Errors
/// [`RtcpError`], if one cannot be written; nothing is written then.
pub fn write(messages: &[RtcpMessage], into: &mut impl BufMut) -> Result<(), RtcpError> {
    let mut size = 0;
    for message in messages {
        message.check()?;
        size += 4 + message.body_size();
    }
    if into.remaining_mut() < size {
        return Err(RtcpError::Space { size });
    }
    messages.iter().for_each(|message| message.put(into));
    Ok(())
}

impl RtcpMessage {
    /// The request for `refresh` by a receiver that wants decode target `wanted`: a layer refresh request
    /// ([`LayerRequest::new`]), or a full intra request if that cannot say it. `sequence_number` counts the requests.
    pub fn refresh(
        refresh: Refresh,
        wanted: DecodeTarget,
        sender_ssrc: u32,
        ssrc: u32,
        sequence_number: u8,
        payload_type: u8,
    ) -> Self {
        match LayerRequest::new(refresh, wanted, ssrc, sequence_number, payload_type) {
            Some(request) => Self::Lrr { sender_ssrc, requests: vec![request] },
            None => Self::Fir { sender_ssrc, requests: vec![IntraRequest { ssrc, sequence_number }] },
        }
    }

    /// The first message of a packet, and the bytes behind it.
    fn read(packet: &[u8]) -> Result<(Self, &[u8]), RtcpError> {
        let &[first, packet_type, high, low] = packet.first_chunk().ok_or(RtcpError::End)?;
        if first >> 6 != 2 {
            return Err(RtcpError::Version { version: first >> 6 });
        }
        let end = 4 + 4 * usize::from(u16::from_be_bytes([high, low]));
        let mut body = packet.get(4..end).ok_or(RtcpError::End)?;
        let behind = &packet[end..];
        let count = first & 31;
        if first & 0x20 != 0 {
            let padding = body.last().map_or(0, |&padding| usize::from(padding));
            // libwebrtc calls the bytes that fill the last word of its transport-wide feedback padding, in each message of a
            // packet. They stay: the message says by itself where its lists end.
            let fills_word = (packet_type, count) == (RTPFB, TRANSPORT_WIDE) && (1..4).contains(&padding);
            if !fills_word {
                if !behind.is_empty() || padding == 0 || padding % 4 != 0 || padding > body.len() {
                    return Err(RtcpError::Padding);
                }
                body = &body[..body.len() - padding];
            }
        }
        let message = match (packet_type, count) {
            (SR, _) => {
                let (ssrc, rest) = body.split_first_chunk().ok_or(RtcpError::Length)?;
                let (info, rest) = rest.split_first_chunk().ok_or(RtcpError::Length)?;
                let (ssrc, info) = (u32::from_be_bytes(*ssrc), SenderInfo::read(info));
                Self::SenderReport {
                    ssrc,
                    info,
                    blocks: ReportBlock::read_all(count, rest).ok_or(RtcpError::Length)?,
                }
            }
            (RR, _) => {
                let (ssrc, rest) = body.split_first_chunk().ok_or(RtcpError::Length)?;
                let ssrc = u32::from_be_bytes(*ssrc);
                Self::ReceiverReport {
                    ssrc,
                    blocks: ReportBlock::read_all(count, rest).ok_or(RtcpError::Length)?,
                }
            }
            (RTPFB, NACK) => {
                let (sender_ssrc, media_ssrc, entries) = feedback::<4>(body)?;
                let entry = |&[a, b, c, d]: &[u8; 4]| Lost {
                    sequence_number: u16::from_be_bytes([a, b]),
                    following: u16::from_be_bytes([c, d]),
                };
                Self::Nack { sender_ssrc, media_ssrc, lost: non_empty(entries)?.iter().map(entry).collect() }
            }
            (PSFB, PLI) => match feedback::<4>(body)? {
                (sender_ssrc, media_ssrc, []) => Self::Pli { sender_ssrc, media_ssrc },
                _ => return Err(RtcpError::Length),
            },
            (PSFB, FIR) => {
                let (sender_ssrc, _, entries) = feedback::<8>(body)?;
                let entry = |&[a, b, c, d, sequence_number, ..]: &[u8; 8]| IntraRequest {
                    ssrc: u32::from_be_bytes([a, b, c, d]),
                    sequence_number,
                };
                Self::Fir { sender_ssrc, requests: non_empty(entries)?.iter().map(entry).collect() }
            }
            (PSFB, LRR) => {
                let (sender_ssrc, _, entries) = feedback::<12>(body)?;
                let requests =
                    non_empty(entries)?.iter().map(LayerRequest::read).collect::<Result<_, _>>()?;
                Self::Lrr { sender_ssrc, requests }
            }
            _ => Self::Other { count, packet_type, body: body.to_vec() },
        };
        Ok((message, behind))
    }

    /// Whether every field holds its value.
    fn check(&self) -> Result<(), RtcpError> {
        match self {
            Self::Nack { lost, .. } if lost.is_empty() => return Err(RtcpError::Value { field: "NACK" }),
            Self::Fir { requests, .. } if requests.is_empty() => {
                return Err(RtcpError::Value { field: "FIR" });
            }
            Self::Lrr { requests, .. } => {
                if requests.is_empty() {
                    return Err(RtcpError::Value { field: "LRR" });
                }
                requests.iter().try_for_each(LayerRequest::check)?;
            }
            Self::SenderReport { blocks, .. } | Self::ReceiverReport { blocks, .. } if blocks.len() > 31 => {
                return Err(RtcpError::Value { field: "report" });
            }
            Self::Other { count, body, .. } if *count > 31 || body.len() % 4 != 0 => {
                return Err(RtcpError::Value { field: "message" });
            }
            _ => {}
        }
        if self.body_size() / 4 > usize::from(u16::MAX) {
            return Err(RtcpError::Value { field: "length" });
        }
        Ok(())
    }

    /// Bytes behind the length.
    fn body_size(&self) -> usize {
        match self {
            Self::Nack { lost, .. } => 8 + 4 * lost.len(),
            Self::Pli { .. } => 8,
            Self::Fir { requests, .. } => 8 + 8 * requests.len(),
            Self::Lrr { requests, .. } => 8 + 12 * requests.len(),
            Self::SenderReport { blocks, .. } => 4 + SenderInfo::SIZE + ReportBlock::SIZE * blocks.len(),
            Self::ReceiverReport { blocks, .. } => 4 + ReportBlock::SIZE * blocks.len(),
            Self::Other { body, .. } => body.len(),
        }
    }

    fn put(&self, into: &mut impl BufMut) {
        let (count, packet_type, ssrcs) = match self {
            Self::Nack { sender_ssrc, media_ssrc, .. } => (NACK, RTPFB, Some((sender_ssrc, media_ssrc))),
            Self::Pli { sender_ssrc, media_ssrc } => (PLI, PSFB, Some((sender_ssrc, media_ssrc))),
            // Their entries name the media sources, and the field for one is 0.
            Self::Fir { sender_ssrc, .. } => (FIR, PSFB, Some((sender_ssrc, &0))),
            Self::Lrr { sender_ssrc, .. } => (LRR, PSFB, Some((sender_ssrc, &0))),
            Self::SenderReport { blocks, .. } => (blocks.len() as u8, SR, None),
            Self::ReceiverReport { blocks, .. } => (blocks.len() as u8, RR, None),
            Self::Other { count, packet_type, .. } => (*count, *packet_type, None),
        };
        into.put_u8(2 << 6 | count);
        into.put_u8(packet_type);
        into.put_u16((self.body_size() / 4) as u16);
        if let Some((sender_ssrc, media_ssrc)) = ssrcs {
            into.put_u32(*sender_ssrc);
            into.put_u32(*media_ssrc);
        }
        match self {
            Self::Nack { lost, .. } => {
                for entry in lost {
                    into.put_u16(entry.sequence_number);
                    into.put_u16(entry.following);
                }
            }
            Self::Pli { .. } => {}
            Self::Fir { requests, .. } => {
                for entry in requests {
                    into.put_u32(entry.ssrc);
                    into.put_u32(u32::from(entry.sequence_number) << 24);
                }
            }
            Self::Lrr { requests, .. } => requests.iter().for_each(|entry| entry.put(into)),
            Self::SenderReport { ssrc, info, blocks } => {
                into.put_u32(*ssrc);
                info.put(into);
                blocks.iter().for_each(|block| block.put(into));
            }
            Self::ReceiverReport { ssrc, blocks } => {
                into.put_u32(*ssrc);
                blocks.iter().for_each(|block| block.put(into));
            }
            Self::Other { body, .. } => into.put_slice(body),
        }
    }
}

impl LayerRequest {
    /// The request for `refresh` by a receiver that wants decode target `wanted`: the layers directly above the one
    /// that it goes on to decode, up to the highest of them.
    ///
    /// It is `None` if such a request cannot say it: for a key picture, for nothing, for spatial layer 0, and for
    /// layers with another one between them. A full intra request ([`RtcpMessage::Fir`]) or a picture loss indication
    /// ([`RtcpMessage::Pli`]) takes its place, unless `refresh` is empty.
    pub fn new(
        refresh: Refresh,
        wanted: DecodeTarget,
        ssrc: u32,
        sequence_number: u8,
        payload_type: u8,
    ) -> Option<Self> {
        let lowest = refresh.spatial_ids().next()?;
        let highest = refresh.spatial_ids().next_back()?;
        let below = lowest.checked_sub(1)?;
        let layer = |spatial_id| LayerId::new(spatial_id, wanted.temporal_id);
        (refresh == Refresh::layers(lowest..=highest)).then(|| Self {
            ssrc,
            sequence_number,
            payload_type,
            target: layer(highest),
            current: Some(layer(below)),
        })
    }

    /// The refresh for the sender's planner: the spatial layers above the current one up to the target, or a key
    /// picture if there is no current layer.
    ///
    /// That is nothing if the two differ in the temporal layer only. The receiver can go up at the next frame that is
    /// a switching point, for which the structures of this crate need no refresh.
    pub fn refresh(&self) -> Refresh {
        match self.current {
            None => Refresh::KEY,
            Some(current) => {
                Refresh::layers(current.spatial_id.saturating_add(1)..=self.target.spatial_id.min(3))
            }
        }
    }

    fn read(entry: &[u8; 12]) -> Result<Self, RtcpError> {
        let &[a, b, c, d, sequence_number, format, _, _, t_target, s_target, t_current, s_current] = entry;
        // The five high bits are reserved, and the next of the spatial layer is 0 in AV1.
        let layer = |temporal: u8, spatial: u8| match spatial & 7 {
            spatial @ 0..=3 => Ok(LayerId::new(spatial, temporal & 7)),
            _ => Err(RtcpError::Layer),
        };
        let current = format & 0x80 != 0;
        let request = Self {
            ssrc: u32::from_be_bytes([a, b, c, d]),
            sequence_number,
            payload_type: format & 0x7f,
            target: layer(t_target, s_target)?,
            current: if current { Some(layer(t_current, s_current)?) } else { None },
        };
        request.check()?;
        Ok(request)
    }

    fn check(&self) -> Result<(), RtcpError> {
        if self.payload_type > 127 {
            return Err(RtcpError::Value { field: "payload type" });
        }
        let layers = [Some(self.target), self.current];
        if layers.iter().flatten().any(|layer| layer.spatial_id > 3 || layer.temporal_id > 7) {
            return Err(RtcpError::Layer);
        }
        let goes_up = |from: LayerId| {
            from != self.target
                && from.spatial_id <= self.target.spatial_id
                && from.temporal_id <= self.target.temporal_id
        };
        if self.current.is_none_or(goes_up) { Ok(()) } else { Err(RtcpError::Layer) }
    }

    fn put(&self, into: &mut impl BufMut) {
        into.put_u32(self.ssrc);
        into.put_u8(self.sequence_number);
        into.put_u8(u8::from(self.current.is_some()) << 7 | self.payload_type);
        into.put_u16(0);
        for layer in [self.target, self.current.unwrap_or_default()] {
            into.put_u8(layer.temporal_id);
            into.put_u8(layer.spatial_id);
        }
    }
}

/// The sender, the media source and the entries of `N` bytes of a feedback message.
fn feedback<const N: usize>(body: &[u8]) -> Result<(u32, u32, &[[u8; N]]), RtcpError> {
    let (&[a, b, c, d, e, f, g, h], rest) = body.split_first_chunk().ok_or(RtcpError::Length)?;
    let (entries, rest) = rest.as_chunks();
    match rest {
        [] => Ok((u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h]), entries)),
        _ => Err(RtcpError::Length),
    }
}

fn non_empty<T>(entries: &[T]) -> Result<&[T], RtcpError> {
    if entries.is_empty() { Err(RtcpError::Length) } else { Ok(entries) }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn written(messages: &[RtcpMessage]) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(messages, &mut bytes).unwrap();
        bytes
    }

    fn lrr(target: (u8, u8), current: Option<(u8, u8)>) -> RtcpMessage {
        let layer = |(s, t)| LayerId::new(s, t);
        let request = LayerRequest {
            ssrc: 0x0102_0304,
            sequence_number: 5,
            payload_type: 98,
            target: layer(target),
            current: current.map(layer),
        };
        RtcpMessage::Lrr { sender_ssrc: 9, requests: vec![request] }
    }

    #[test]
    fn messages_lie_as_the_standards_draw_them() {
        let nack =
            RtcpMessage::Nack { sender_ssrc: 1, media_ssrc: 2, lost: Lost::of([65534, 65535, 14, 15]) };
        assert_eq!(
            written(&[nack]),
            [0x81, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xfe, 0x80, 0x01, 0, 15, 0, 0]
        );
        let pli = RtcpMessage::Pli { sender_ssrc: 1, media_ssrc: 2 };
        assert_eq!(written(&[pli]), [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2]);
        let requests = vec![IntraRequest { ssrc: 3, sequence_number: 7 }];
        let fir = RtcpMessage::Fir { sender_ssrc: 1, requests };
        assert_eq!(written(&[fir]), [0x84, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3, 7, 0, 0, 0]);
        let up = [0x8a, 206, 0, 5, 0, 0, 0, 9, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0xe2, 0, 0, 2, 1, 1, 0];
        assert_eq!(written(&[lrr((1, 2), Some((0, 1)))]), up);
        let all = [0x8a, 206, 0, 5, 0, 0, 0, 9, 0, 0, 0, 0, 1, 2, 3, 4, 5, 0x62, 0, 0, 7, 3, 0, 0];
        assert_eq!(written(&[lrr((3, 7), None)]), all);
    }

    #[test]
    fn reports_lie_as_the_standard_draws_them() {
        let info = SenderInfo { ntp: 0x0102_0304_0506_0708, timestamp: 9, packets: 10, octets: 11 };
        let block = ReportBlock {
            ssrc: 12,
            fraction_lost: 64,
            lost: -2,
            highest: 0x0001_0002,
            jitter: 13,
            last_report: 14,
            since_last_report: 15,
        };
        let block_bytes =
            [0, 0, 0, 12, 64, 0xff, 0xff, 0xfe, 0, 1, 0, 2, 0, 0, 0, 13, 0, 0, 0, 14, 0, 0, 0, 15];
        let sent = [1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 9, 0, 0, 0, 10, 0, 0, 0, 11];
        let report = RtcpMessage::SenderReport { ssrc: 7, info, blocks: vec![block] };
        assert_eq!(written(&[report]), [&[0x81, 200, 0, 12, 0, 0, 0, 7][..], &sent, &block_bytes].concat());
        let report = RtcpMessage::ReceiverReport { ssrc: 7, blocks: vec![block] };
        assert_eq!(
            written(std::slice::from_ref(&report)),
            [&[0x81, 201, 0, 7, 0, 0, 0, 7][..], &block_bytes].concat()
        );
        // What a profile appends (section 6.4.3) is passed over; blocks that are missing are not.
        let mut extended = [&written(std::slice::from_ref(&report))[..], &[1, 2, 3, 4]].concat();
        extended[3] += 1;
        assert_eq!(read(&extended).next(), Some(Ok(report.clone())));
        extended[0] += 1;
        assert_eq!(read(&extended).next(), Some(Err(RtcpError::Length)));
        let many = RtcpMessage::ReceiverReport { ssrc: 7, blocks: vec![block; 32] };
        assert!(write(&[many], &mut Vec::new()).is_err());
        // The count is a number of 24 bits with a sign.
        let far = ReportBlock { lost: i32::MIN, ..block };
        let RtcpMessage::ReceiverReport { blocks, .. } =
            read(&written(&[RtcpMessage::ReceiverReport { ssrc: 7, blocks: vec![far] }]))
                .next()
                .unwrap()
                .unwrap()
        else {
            panic!()
        };
        assert_eq!(blocks[0].lost, -(1 << 23));
    }

    #[test]
    fn lost_packets_come_back() {
        let lost = [3, 4, 19, 20, 40, 56, 57, 60000];
        let entries = Lost::of(lost);
        assert_eq!(entries.len(), 5);
        assert!(entries.iter().flat_map(|entry| entry.sequence_numbers()).eq(lost));
    }

    #[test]
    fn layer_requests_go_up() {
        for (target, current) in [((1, 1), (1, 1)), ((1, 1), (2, 0)), ((1, 1), (0, 2)), ((4, 0), (0, 0))] {
            assert_eq!(write(&[lrr(target, Some(current))], &mut Vec::new()), Err(RtcpError::Layer));
        }
        let mut bytes = written(&[lrr((1, 1), None)]);
        bytes[21] |= 0xf8;
        assert_eq!(read(&bytes).next(), Some(Ok(lrr((1, 1), None))), "reserved bits");
        bytes[21] = 4;
        assert_eq!(read(&bytes).next(), Some(Err(RtcpError::Layer)));
    }

    #[test]
    fn layer_requests_are_refreshes() {
        let request = |refresh| LayerRequest::new(refresh, LayerId::new(2, 1), 1, 2, 98);
        for (refresh, from, to) in [
            (Refresh::layer(2), 1, 2),
            (Refresh::layers(1..=2), 0, 2),
            (Refresh::layer(1), 0, 1),
            (Refresh::layers(1..=3), 0, 3),
        ] {
            let request = request(refresh).unwrap();
            assert_eq!((request.current, request.target), (Some(LayerId::new(from, 1)), LayerId::new(to, 1)));
            assert_eq!(request.refresh(), refresh);
            let message = RtcpMessage::Lrr { sender_ssrc: 9, requests: vec![request] };
            assert_eq!(read(&written(std::slice::from_ref(&message))).next(), Some(Ok(message)));
        }
        let gap = Refresh::layer(1).union(Refresh::layer(3));
        for refresh in [Refresh::NONE, Refresh::KEY, Refresh::layer(0), Refresh::layers(0..=2), gap] {
            assert_eq!(request(refresh), None);
        }
        let asked = |target, current| match lrr(target, current) {
            RtcpMessage::Lrr { requests, .. } => requests[0].refresh(),
            _ => unreachable!(),
        };
        assert_eq!(asked((2, 1), None), Refresh::KEY);
        assert_eq!(asked((2, 1), Some((0, 1))), Refresh::layers(1..=2));
        assert_eq!(asked((1, 2), Some((1, 0))), Refresh::NONE);
    }

    #[test]
    fn what_is_no_rtcp_is_refused() {
        let errors = |bytes: &[u8]| read(bytes).filter_map(Result::err).collect::<Vec<_>>();
        let pli = [0x81, 206, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2];
        assert_eq!(errors(&[]), []);
        assert_eq!(errors(&pli), []);
        assert_eq!(errors(&pli[..11]), [RtcpError::End]);
        assert_eq!(errors(&[0x41, 206, 0, 0]), [RtcpError::Version { version: 1 }]);
        assert_eq!(errors(&[0x81, 206, 0, 1, 0, 0, 0, 1]), [RtcpError::Length]);
        assert_eq!(errors(&[&[0x81, 205], &pli[2..]].concat()), [RtcpError::Length], "a NACK of nothing");
        let padded = [0xa1, 206, 0, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 4];
        assert_eq!(read(&padded).next(), Some(Ok(RtcpMessage::Pli { sender_ssrc: 1, media_ssrc: 2 })));
        assert_eq!(errors(&[&padded[..], &pli].concat()), [RtcpError::Padding]);
        assert_eq!(errors(&[&padded[..15], &[16]].concat()), [RtcpError::Padding]);
        let other = RtcpMessage::Other { count: 1, packet_type: 202, body: vec![0; 3] };
        assert!(write(&[other], &mut Vec::new()).is_err());
        let message = RtcpMessage::Pli { sender_ssrc: 1, media_ssrc: 2 };
        let mut short = [0; 11];
        assert_eq!(write(&[message], &mut &mut short[..]), Err(RtcpError::Space { size: 12 }));
    }

    fn messages() -> impl Strategy<Value = RtcpMessage> {
        let lost =
            any::<(u16, u16)>().prop_map(|(sequence_number, following)| Lost { sequence_number, following });
        let intra =
            any::<(u32, u8)>().prop_map(|(ssrc, sequence_number)| IntraRequest { ssrc, sequence_number });
        let layer = (any::<(u32, u8)>(), 0..128u8, 0..4u8, 0..7u8, any::<bool>()).prop_map(
            |((ssrc, sequence_number), payload_type, s, t, up)| LayerRequest {
                ssrc,
                sequence_number,
                payload_type,
                target: LayerId::new(s, t + 1),
                current: up.then_some(LayerId::new(s, t)),
            },
        );
        prop_oneof![
            (any::<(u32, u32)>(), vec(lost, 1..9)).prop_map(|((sender_ssrc, media_ssrc), lost)| {
                RtcpMessage::Nack { sender_ssrc, media_ssrc, lost }
            }),
            any::<(u32, u32)>()
                .prop_map(|(sender_ssrc, media_ssrc)| RtcpMessage::Pli { sender_ssrc, media_ssrc }),
            (any::<u32>(), vec(intra, 1..9))
                .prop_map(|(sender_ssrc, requests)| RtcpMessage::Fir { sender_ssrc, requests }),
            (any::<u32>(), vec(layer, 1..9))
                .prop_map(|(sender_ssrc, requests)| RtcpMessage::Lrr { sender_ssrc, requests }),
            (any::<u32>(), any::<[u8; 20]>(), vec(any::<[u8; 24]>(), 0..32)).prop_map(
                |(ssrc, info, blocks)| {
                    let blocks = ReportBlock::read_all(blocks.len() as u8, &blocks.concat()).unwrap();
                    RtcpMessage::SenderReport { ssrc, info: SenderInfo::read(&info), blocks }
                }
            ),
            (any::<u32>(), vec(any::<[u8; 24]>(), 0..32)).prop_map(|(ssrc, blocks)| {
                let blocks = ReportBlock::read_all(blocks.len() as u8, &blocks.concat()).unwrap();
                RtcpMessage::ReceiverReport { ssrc, blocks }
            }),
            (0..32u8, 202..205u8, vec(any::<[u8; 4]>(), 0..20)).prop_map(|(count, packet_type, body)| {
                RtcpMessage::Other { count, packet_type, body: body.concat() }
            }),
        ]
    }

    proptest! {
        #[test]
        fn messages_come_back(messages in vec(messages(), 0..6)) {
            let bytes = written(&messages);
            prop_assert_eq!(read(&bytes).collect::<Result<Vec<_>, _>>(), Ok(messages));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in vec(any::<u8>(), 0..64), feedback in any::<bool>()) {
            if let ([first, kind, high, ..], true) = (&mut bytes[..], feedback) {
                (*first, *kind, *high) = (*first & 0x3f | 0x80, [200, 201, 205, 206][usize::from(*kind & 3)], 0);
            }
            let messages: Vec<_> = read(&bytes).collect();
            prop_assert!(messages.len() <= bytes.len().div_ceil(4));
            for message in messages.into_iter().flatten() {
                let again = written(std::slice::from_ref(&message));
                prop_assert_eq!(read(&again).next(), Some(Ok(message)));
            }
        }
    }
}
