//! A stream as it comes from its sender.

use std::time::Duration;

use super::askers::Askers;
use super::cache::PacketCache;
use super::chains::Chains;
use super::config::{RoomConfig, StreamConfig, StreamKind};
use super::extensions::Found;
use super::frames::{FrameReader, RelayFrame};
use super::missing::{Arrival, Missing};
use super::rates::LayerRates;
use super::requests::RefreshRequests;
use crate::Time;
use crate::rtp::reporter::ReceiverReports;
use crate::rtp::rtcp::RtcpMessage;
use crate::rtp::{RtpPacket, SenderInfo};
use crate::select::{Demand, DemandFold, DemandMessage, Offer, ReceiverId, StreamDecision};
use crate::structure::{DecodeTarget, LayerId, Refresh};

/// A demand is told again after this time, in case the message was lost, and a change of bitrates alone after that.
const REPEAT: Duration = Duration::from_secs(5);
const BITRATES: Duration = Duration::from_millis(500);

/// What came of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StreamStatistics {
    /// Packets that came, and came for the first time.
    pub packets: u64,
    /// Their bytes, from the RTP header on.
    pub bytes: u64,
    /// Packets that came twice or too late.
    pub old: u64,
    /// Packets whose descriptor could not be read.
    pub unreadable: u64,
    /// Packets that the relay asked the sender for.
    pub asked: u64,
    /// Refreshes that it asked the sender for.
    pub refreshes: u64,
    /// Key pictures among them.
    pub key_refreshes: u64,
}

/// Why a packet is not forwarded.
pub(super) enum Unfit {
    /// It came before.
    Old,
    /// Its descriptor cannot be read, and no lost packet explains that.
    Malformed,
    /// Its descriptor cannot be read yet.
    Early,
}

/// A stream of a sender: what the relay knows of it, and what it asks for.
#[derive(Debug)]
pub(super) struct Upstream {
    pub config: StreamConfig,
    /// The owner's place in the room.
    pub owner: usize,
    /// The receivers that get packets of it, and in which of their slots.
    pub watchers: Vec<(usize, usize)>,
    /// Whether the relay forwards nothing of it.
    pub muted: bool,
    /// Whether its first packet is about to be forwarded.
    pub begins: bool,
    /// When it is to be looked after next, as far as the room knows.
    pub wakes: Option<Time>,
    pub offer: Option<Offer>,
    pub requests: RefreshRequests,
    askers: Askers,
    pub cache: PacketCache,
    /// The frame of the packet that came last, if that has a descriptor.
    pub frame: Option<RelayFrame>,
    pub statistics: StreamStatistics,
    own_ssrc: u32,
    /// Bytes of a packet on the wire besides those that come in.
    overhead: usize,
    payload_type: u8,
    reader: FrameReader,
    missing: Missing,
    chains: Chains,
    rates: LayerRates,
    reports: ReceiverReports,
    fold: DemandFold,
    /// The demand that was told last, and when.
    told: Option<(Demand, Time)>,
    /// When the demand is to be looked at.
    demand_at: Option<Time>,
    requested: u8,
}

impl Upstream {
    pub fn new(room: &RoomConfig, config: StreamConfig, owner: usize) -> Self {
        let offer = match &config.kind {
            StreamKind::Video { offer, .. } => offer.clone(),
            _ => None,
        };
        Self {
            owner,
            watchers: Vec::new(),
            muted: false,
            begins: false,
            wakes: None,
            offer,
            requests: RefreshRequests::new(room.refresh_interval),
            askers: Askers::new(room.refresh_interval),
            cache: PacketCache::new(room.cache_bytes, room.cache_time),
            frame: None,
            statistics: StreamStatistics::default(),
            own_ssrc: room.ssrc,
            overhead: room.path.overhead,
            payload_type: 0,
            reader: FrameReader::new(),
            missing: Missing::new(),
            chains: Chains::new(),
            rates: LayerRates::new(),
            reports: ReceiverReports::default(),
            fold: DemandFold::new(room.demand),
            told: None,
            demand_at: None,
            requested: 0,
            config,
        }
    }

    pub fn is_video(&self) -> bool {
        matches!(self.config.kind, StreamKind::Video { .. })
    }

    /// Whether frames have come, so that a new receiver needs a key picture.
    pub fn is_running(&self) -> bool {
        !self.begins && self.statistics.packets > 0
    }

    /// Whether nobody can want the stream yet, as nothing is known of its layers.
    pub fn is_unknown(&self) -> bool {
        self.is_video() && self.offer.is_none()
    }

    /// Takes a packet of the stream. One that is fit to be forwarded is in the cache then, and its frame in `frame`.
    pub fn handle_packet(
        &mut self,
        now: Time,
        rtp: &RtpPacket<'_>,
        found: &Found,
        bytes: &[u8],
    ) -> Result<(), Unfit> {
        let sequence_number = rtp.header.sequence_number;
        if self.missing.handle_packet(now, sequence_number) == Arrival::Old {
            self.statistics.old += 1;
            return Err(Unfit::Old);
        }
        self.reports.handle_packet(now, &rtp.header);
        self.payload_type = rtp.header.payload_type;
        let descriptor = match self.is_video() {
            true => found.descriptor.clone().map_err(|_| Unfit::Malformed)?,
            false => None,
        };
        match descriptor.map(|descriptor| self.reader.read_over(&bytes[descriptor], &mut self.frame)) {
            None => self.frame = None,
            Some(Ok(())) => {}
            Some(Err(_)) => {
                self.statistics.unreadable += 1;
                // A packet before it may have brought the structure.
                let explained = self.reader.structure().is_none() || self.missing.len() > 0;
                self.requests.handle_request(Refresh::KEY);
                return Err(if explained { Unfit::Early } else { Unfit::Malformed });
            }
        }
        self.statistics.packets += 1;
        self.statistics.bytes += bytes.len() as u64;
        let frame = self.frame.as_ref();
        if let Some(frame) = frame {
            self.requests.handle_frame(frame);
            if frame.key {
                self.askers.handle_key();
            }
            self.chains.handle_packet(now, frame, sequence_number, self.missing.round_trip());
        }
        let layer = frame.map_or(LayerId::default(), |frame| frame.layer);
        let ends_frame = frame.map_or(rtp.header.marker, |frame| frame.end_of_frame);
        let key = frame.is_some_and(|frame| frame.key);
        self.rates.handle_packet(now, layer, bytes.len() + self.overhead, ends_frame, key);
        self.cache.keep(now, sequence_number, bytes, found.places, frame);
        Ok(())
    }

    /// Takes a sender report of the stream.
    pub fn handle_report(&mut self, now: Time, info: &SenderInfo) {
        self.reports.handle_report(now, info);
    }

    /// Measures the layers, if it is time. Says whether there is a new offer.
    pub fn poll_offer(&mut self, now: Time) -> bool {
        let first = self.offer.is_none() && self.statistics.packets > 0;
        if !self.is_video() || !self.rates.poll(now) && !first {
            return false;
        }
        let Some(sequence) = self.reader.sequence() else {
            self.offer = Some(self.rates.whole());
            return true;
        };
        let agreed = matches!(&self.config.kind, StreamKind::Video { offer: Some(_), .. });
        match (&mut self.offer, agreed) {
            (Some(offer), true) => self.rates.update(sequence, offer),
            (offer, _) => *offer = Some(self.rates.offer(sequence)),
        }
        true
    }

    /// Takes what was decided for a receiver.
    pub fn set_receiver(&mut self, now: Time, receiver: usize, decision: &StreamDecision) {
        // Each look at the demand is one at all receivers, who are decided about one after the other.
        let is_new = self.fold.set_receiver(now, ReceiverId(receiver as u32), decision);
        self.demand_at = match self.demand_at {
            Some(at) if !is_new => Some(at),
            _ => Some(now),
        };
    }

    /// Takes a receiver's own request for a refresh.
    pub fn handle_request(&mut self, now: Time, receiver: usize, refresh: Refresh) {
        self.requests.handle_request(self.askers.handle_request(now, receiver, refresh));
    }

    pub fn remove_receiver(&mut self, now: Time, receiver: usize) {
        self.askers.remove(receiver);
        self.watchers.retain(|(watcher, _)| *watcher != receiver);
        self.fold.remove_receiver(now, ReceiverId(receiver as u32));
        self.demand_at = Some(now);
    }

    /// The demand to tell the sender at `now`, if it is a new one or was told long ago.
    pub fn poll_demand(&mut self, now: Time) -> Option<DemandMessage> {
        // As long as nothing is known of a stream nobody can want it, and it has to come to be known.
        if self.offer.is_none() || self.demand_at.is_none_or(|at| at > now) {
            return None;
        }
        let demand = self.fold.demand(now);
        let since = |told: &Time| now - *told;
        let is_due = match &self.told {
            None => true,
            Some((told, _)) if told.wanted() != demand.wanted() => true,
            Some((told, at)) => since(at) >= REPEAT || since(at) >= BITRATES && differs(told, demand),
        };
        let message = is_due.then(|| DemandMessage { stream: self.config.id, demand: demand.clone() });
        if let Some(message) = &message {
            self.told = Some((message.demand.clone(), now));
        }
        let again = now + BITRATES;
        self.demand_at = Some(self.fold.next_timeout().map_or(again, |at| at.min(again)));
        message
    }

    /// Appends what the sender is to be told or asked for at `now`.
    pub fn poll_requests(&mut self, now: Time, messages: &mut Vec<RtcpMessage>) {
        let (sender_ssrc, media_ssrc) = (self.own_ssrc, self.config.ssrc);
        if let Some(lost) = self.missing.poll(now) {
            self.statistics.asked +=
                lost.iter().map(|lost| lost.sequence_numbers().count() as u64).sum::<u64>();
            messages.push(RtcpMessage::Nack { sender_ssrc, media_ssrc, lost });
        }
        self.requests.handle_request(self.chains.poll(now).union(self.askers.poll(now)));
        if let Some(refresh) = self.requests.poll(now) {
            let by_layers = matches!(self.config.kind, StreamKind::Video { layer_refresh: true, .. });
            self.statistics.refreshes += 1;
            self.statistics.key_refreshes += u64::from(refresh.is_key() || !by_layers);
            self.requested = self.requested.wrapping_add(1);
            messages.push(match by_layers {
                false => RtcpMessage::Pli { sender_ssrc, media_ssrc },
                true => RtcpMessage::refresh(
                    refresh,
                    self.highest_of(refresh),
                    sender_ssrc,
                    media_ssrc,
                    self.requested,
                    self.payload_type,
                ),
            });
        }
        messages.extend(self.reports.poll(now, sender_ssrc, media_ssrc));
    }

    /// The target to name in a request: the highest layer that is to be coded anew, at the highest frame rate that somebody
    /// wants.
    fn highest_of(&self, refresh: Refresh) -> DecodeTarget {
        let wanted = self.told.iter().flat_map(|(demand, _)| demand.layers()).map(|layer| layer.target);
        let highest = wanted.fold(LayerId::default(), |highest, target| LayerId {
            spatial_id: highest.spatial_id.max(target.spatial_id),
            temporal_id: highest.temporal_id.max(target.temporal_id),
        });
        LayerId { spatial_id: refresh.spatial_ids().next_back().unwrap_or(highest.spatial_id), ..highest }
    }

    /// When to poll again.
    pub fn next_timeout(&self) -> Option<Time> {
        let demand = self.demand_at.filter(|_| self.offer.is_some());
        let all = [
            self.missing.next_timeout(),
            self.chains.next_timeout(),
            self.requests.next_timeout(),
            self.askers.next_timeout(),
            self.reports.next_timeout(),
            self.rates.next_timeout(),
            demand,
        ];
        Time::first(all)
    }
}

/// Whether the bitrates differ by more than a tenth.
fn differs(told: &Demand, demand: &Demand) -> bool {
    let pairs = told.layers().iter().zip(demand.layers());
    pairs.into_iter().any(|(told, now)| told.bitrate.abs_diff(now.bitrate) > told.bitrate / 10)
}
