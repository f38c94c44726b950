//! A room: participants, the streams that they send, and what each of them gets.

mod figures;
mod serve;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::conduct::{Conduct, Misconduct};
use super::config::{ParticipantId, RoomConfig, StreamConfig, StreamKind};
use super::downlink::{Handled, Outgoing, Rtx};
use super::extensions::ExtensionIds;
use super::outputs::RoomError;
use super::receiver::Receiver;
use super::statistics::RoomStatistics;
use super::upstream::{Unfit, Upstream};
use super::variants::Variants;
use crate::Time;
use crate::congestion::{FeedbackConfig, PacedPacket, PacketClass, ReceivePath};
use crate::rtp::RtpPacket;
use crate::rtp::rtcp::{self, RtcpMessage};
use crate::select::{Cap, DemandMessage, ReceiverReport, StreamId};
use crate::structure::Refresh;

/// Load of the processor above which everybody gets less, and below which everybody gets more again.
const OVERLOADED: f32 = 0.85;
const RELAXED: f32 = 0.7;
/// How much more, and how much less at once at most.
const RELAX: f32 = 1.1;
const LEAST_SHARE: f32 = 0.1;

#[derive(Debug)]
enum Output {
    Packet(usize, Bytes),
    /// A packet of a stream that goes at once.
    Forwarded(usize, PacedPacket<Outgoing>),
    Demand(usize, Box<DemandMessage>),
    Expelled(ParticipantId, Misconduct),
}

#[derive(Debug)]
struct Participant {
    id: ParticipantId,
    receiver: Receiver,
    /// Answers what it sends; made with its first packet.
    uplink: Option<ReceivePath>,
    /// SSRCs and places of the streams that it sends.
    streams: Vec<(u32, usize)>,
    conduct: Conduct,
    /// Whether it waits to be served, with packets alone or with anything else, and the earliest timer that it has.
    is_ready: bool,
    is_due: bool,
    wakes: Option<Time>,
}

impl Participant {
    /// Has the participant, which is at a place, wait to be served.
    fn queue(&mut self, at: usize, ready: &mut VecDeque<usize>) {
        if !self.is_ready {
            self.is_ready = true;
            ready.push_back(at);
        }
    }
}

/// Forwards what the participants of one meeting send to those who want it, and asks the senders for what that needs.
///
/// A program gives the room each packet as it comes from a participant ([`handle_packet`](Self::handle_packet)) and each
/// report about windows and processors ([`handle_report`](Self::handle_report)), polls it until it is told to wait, and
/// sends what comes out. The room holds no key, and the payloads stay sealed: it decides by the Dependency Descriptor.
///
/// - Each receiver has a path with a pacer and an estimate ([`PacedPath`](crate::congestion::PacedPath)), and a
///   [`Selector`](crate::select::Selector) that chooses a decode target for each window. A
///   [`Subscription`](super::Subscription) makes packets of that.
/// - Packets that are lost on the way to the relay are asked for once for all. Those that a receiver misses come from a
///   cache of ciphertext that all receivers of the stream share.
/// - What receivers need to switch, or to join, is combined: a sender is asked for one refresh in an interval. The room
///   also notices by itself that a chain is broken.
/// - What all receivers want of a stream is told to its sender, who codes nothing else.
/// - Whoever floods the room, forges an SSRC or sends what cannot be read is put out ([`RoomOutput::Expelled`](super::RoomOutput::Expelled)).
///
/// Streams of audio and of data go to all others. The room chooses no loudest speakers: their packets do not say how loud they are.
///
/// A room belongs to one thread, and rooms share nothing. All calls cost little and none waits. What a room keeps is bounded by
/// [`RoomConfig`]: by `max_participants`, `max_streams` and `max_windows`, for each stream by `cache_bytes`, and for each receiver
/// by `path.pacer.most_bytes` beside some 20 kB for each stream that it gets.
#[derive(Debug)]
pub struct Room {
    config: RoomConfig,
    participants: Vec<Option<Participant>>,
    /// A tree, as it is asked for each packet: programs choose the numbers, so that nothing has to be hashed against forgers.
    places: BTreeMap<ParticipantId, usize>,
    streams: Vec<Option<Upstream>>,
    stream_places: HashMap<StreamId, usize>,
    ssrcs: HashMap<u32, usize>,
    variants: Variants,
    ready: VecDeque<usize>,
    timers: BinaryHeap<Reverse<(Time, usize)>>,
    outputs: VecDeque<Output>,
    speaker: Option<ParticipantId>,
    /// Share of what each receiver had that it may have, since the relay's processor cannot do more.
    share: f32,
    loaded: Option<Time>,
    /// Kept so that serving does not allocate: messages, and participants that something is to be done for.
    messages: Vec<RtcpMessage>,
    touched: Vec<usize>,
    statistics: RoomStatistics,
}

impl Room {
    /// An empty room.
    pub fn new(config: RoomConfig) -> Self {
        let ids = ExtensionIds {
            descriptor: config.descriptor_id,
            transport: config.transport_id,
            send_time: config.send_time_id,
        };
        Self {
            config,
            participants: Vec::new(),
            places: BTreeMap::new(),
            streams: Vec::new(),
            stream_places: HashMap::new(),
            ssrcs: HashMap::new(),
            variants: Variants::new(ids),
            ready: VecDeque::new(),
            timers: BinaryHeap::new(),
            outputs: VecDeque::new(),
            speaker: None,
            share: 1.0,
            loaded: None,
            messages: Vec::new(),
            touched: Vec::new(),
            statistics: RoomStatistics::default(),
        }
    }

    /// Lets a participant in. It gets the audio and the data of all others at once, and video once it reports windows.
    ///
    /// # Errors
    /// [`RoomError::Joined`] and [`RoomError::Full`].
    pub fn join(&mut self, _now: Time, participant: ParticipantId) -> Result<(), RoomError> {
        if self.places.contains_key(&participant) {
            return Err(RoomError::Joined);
        }
        if self.places.len() >= self.config.max_participants {
            return Err(RoomError::Full);
        }
        let at = self.participants.iter().position(Option::is_none).unwrap_or_else(|| {
            self.participants.push(None);
            self.participants.len() - 1
        });
        let mut receiver = Receiver::new(&self.config);
        for (place, stream) in self.streams.iter_mut().enumerate() {
            if let Some(stream) = stream.as_mut().filter(|stream| !stream.is_video()) {
                let slot = receiver.downlink.add(place, None);
                stream.watchers.push((at, slot));
            }
        }
        self.participants[at] = Some(Participant {
            id: participant,
            receiver,
            uplink: None,
            streams: Vec::new(),
            conduct: Conduct::new(self.config.allowance),
            is_ready: false,
            is_due: false,
            wakes: None,
        });
        self.places.insert(participant, at);
        self.statistics.participants += 1;
        self.mark_ready(at);
        Ok(())
    }

    /// Puts a participant out, with all its streams. Nothing goes to it any more, not even what waits.
    pub fn leave(&mut self, now: Time, participant: ParticipantId) {
        let Some(at) = self.places.remove(&participant) else { return };
        let Some(gone) = self.participants[at].take() else { return };
        self.statistics.participants -= 1;
        for (_, place) in gone.streams {
            self.remove_stream(now, place);
        }
        for stream in self.streams.iter_mut().flatten() {
            stream.remove_receiver(now, at);
        }
        self.ready.retain(|ready| *ready != at);
        self.outputs.retain(|output| match output {
            Output::Packet(to, _) | Output::Forwarded(to, _) | Output::Demand(to, _) => *to != at,
            Output::Expelled(..) => true,
        });
        // Senders hear that somebody watches no more.
        for at in 0..self.participants.len() {
            if self.participants[at].as_ref().is_some_and(|participant| !participant.streams.is_empty()) {
                self.mark_ready(at);
            }
        }
    }

    /// Adds a stream that a participant sends from now on.
    ///
    /// # Errors
    /// [`RoomError`], but for [`Joined`](RoomError::Joined) and [`Full`](RoomError::Full).
    pub fn publish(
        &mut self,
        now: Time,
        owner: ParticipantId,
        stream: StreamConfig,
    ) -> Result<(), RoomError> {
        let at = *self.places.get(&owner).ok_or(RoomError::NotJoined)?;
        if self.ssrcs.contains_key(&stream.ssrc) || self.stream_places.contains_key(&stream.id) {
            return Err(RoomError::Published);
        }
        let participant = self.participants[at].as_mut().ok_or(RoomError::NotJoined)?;
        if participant.streams.len() >= self.config.max_streams {
            return Err(RoomError::TooManyStreams);
        }
        let place = self.streams.iter().position(Option::is_none).unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        participant.streams.push((stream.ssrc, place));
        self.ssrcs.insert(stream.ssrc, place);
        self.stream_places.insert(stream.id, place);
        let id = stream.id;
        let mut upstream = Upstream::new(&self.config, stream, at);
        let is_video = upstream.is_video();
        if !is_video {
            for (other, participant) in self.participants.iter_mut().enumerate() {
                if let Some(participant) = participant.as_mut().filter(|_| other != at) {
                    upstream.watchers.push((other, participant.receiver.downlink.add(place, None)));
                }
            }
        }
        self.streams[place] = Some(upstream);
        self.statistics.streams += 1;
        if is_video {
            // Receivers may have reported a window for it already.
            for other in 0..self.participants.len() {
                let named = self.participants[other]
                    .as_ref()
                    .is_some_and(|participant| participant.receiver.shows(id));
                if named {
                    self.apply_report(now, other);
                }
            }
        }
        Ok(())
    }

    /// Takes a stream out of the room.
    pub fn unpublish(&mut self, now: Time, stream: StreamId) {
        if let Some(&place) = self.stream_places.get(&stream) {
            self.remove_stream(now, place);
        }
    }

    fn remove_stream(&mut self, now: Time, place: usize) {
        let Some(stream) = self.streams[place].take() else { return };
        self.ssrcs.remove(&stream.config.ssrc);
        self.stream_places.remove(&stream.config.id);
        self.statistics.streams -= 1;
        if let Some(owner) = &mut self.participants[stream.owner] {
            owner.streams.retain(|(_, streams)| *streams != place);
        }
        for at in 0..self.participants.len() {
            let Some(participant) = &mut self.participants[at] else { continue };
            if participant.receiver.remove_stream(now, place, stream.config.id) {
                self.mark_ready(at);
            }
        }
    }

    /// Forwards nothing of a stream, or all that is wanted again: an organizer's right.
    pub fn set_muted(&mut self, stream: StreamId, muted: bool) {
        let place = self.stream_places.get(&stream);
        if let Some(stream) = place.and_then(|&place| self.streams[place].as_mut()) {
            stream.muted = muted;
            if !muted && stream.is_video() {
                stream.requests.handle_request(Refresh::KEY);
                let owner = stream.owner;
                self.mark_ready(owner);
            }
        }
    }

    /// Limits what a participant gets of a stream, or of each stream and of all together, besides the caps that it sets
    /// itself.
    pub fn set_cap(&mut self, now: Time, participant: ParticipantId, stream: Option<StreamId>, cap: Cap) {
        if let Some(&at) = self.places.get(&participant)
            && let Some(participant) = &mut self.participants[at]
        {
            participant.receiver.set_cap(stream, cap);
            self.apply_report(now, at);
        }
    }

    /// Has a receiver get retransmissions of a stream as RFC 4588 has it, with an SSRC of their own. With `None`, as at first, the
    /// packet comes once more as it was.
    pub fn set_rtx(&mut self, participant: ParticipantId, stream: StreamId, rtx: Option<Rtx>) {
        let places = self.places.get(&participant).zip(self.stream_places.get(&stream));
        if let Some((&at, &place)) = places
            && let Some(participant) = &mut self.participants[at]
        {
            participant.receiver.set_rtx(place, rtx);
        }
    }

    /// Says who speaks: their thumbnails become more important for everybody. Sealed streams do not tell, so that the
    /// senders have to, through the app.
    pub fn set_speaker(&mut self, now: Time, speaker: Option<ParticipantId>) {
        if self.speaker != speaker {
            self.speaker = speaker;
            for at in 0..self.participants.len() {
                self.apply_report(now, at);
            }
        }
    }

    /// Takes the load of the processor that the room runs on, 0 to 1, about once a second. If it is high, everybody gets
    /// less, and each selector leaves out what is worth least.
    pub fn handle_load(&mut self, now: Time, load: f32) {
        if self.loaded.is_some_and(|at| now - at < Duration::from_millis(500)) {
            return;
        }
        self.loaded = Some(now);
        let before = self.share;
        if load > OVERLOADED {
            self.share = (self.share * OVERLOADED / load.min(2.0)).max(LEAST_SHARE);
        } else if load < RELAXED {
            self.share = (self.share * RELAX).min(1.0);
        }
        if self.share != before {
            for at in 0..self.participants.len() {
                let Some(participant) = &mut self.participants[at] else { continue };
                participant.receiver.set_share(now, self.share);
                self.mark_ready(at);
            }
        }
    }

    /// Takes a participant's report of its windows, its processor and its caps. It replaces the one before.
    pub fn handle_report(&mut self, now: Time, from: ParticipantId, report: &ReceiverReport) {
        let Some(&at) = self.places.get(&from) else { return };
        let Some(participant) = &mut self.participants[at] else { return };
        // A window takes about as much as this on the wire.
        let bytes = 10 * (report.windows.len() + report.caps.len());
        if let Err(misconduct) = participant.conduct.admits(now, bytes, true) {
            return self.strike(now, at, misconduct);
        }
        participant.receiver.set_report(report);
        self.apply_report(now, at);
        // What comes next is forwarded already.
        self.decide(now, at);
    }

    /// Gives a receiver's selector its windows, and its downlink the streams in them.
    fn apply_report(&mut self, now: Time, at: usize) {
        let Some(participant) = &mut self.participants[at] else { return };
        let (streams, places) = (&mut self.streams, &self.stream_places);
        let speaks =
            |owner: usize| self.speaker.is_some_and(|speaker| self.places.get(&speaker) == Some(&owner));
        let config = &self.config;
        let left = participant.receiver.apply(now, config, |stream| {
            let place = *places.get(&stream)?;
            let upstream =
                streams[place].as_ref().filter(|stream| stream.is_video() && stream.owner != at)?;
            Some((place, upstream.offer.as_ref(), speaks(upstream.owner)))
        });
        for place in left {
            if let Some(stream) = &mut self.streams[place] {
                stream.remove_receiver(now, at);
            }
        }
        self.mark_ready(at);
    }

    /// Takes a packet that came from a participant: RTP or RTCP (RFC 5761 tells them apart), as it was before SRTP, if the link has
    /// that. Retransmissions come as the packets that they carry: a link that negotiated RFC 4588 unwraps them.
    pub fn handle_packet(&mut self, now: Time, from: ParticipantId, packet: &[u8]) {
        let Some(&at) = self.places.get(&from) else { return };
        let Some(participant) = &mut self.participants[at] else { return };
        let is_report = rtcp::is_rtcp(packet);
        if let Err(misconduct) = participant.conduct.admits(now, packet.len(), is_report) {
            return self.strike(now, at, misconduct);
        }
        if is_report {
            return self.handle_rtcp(now, at, packet);
        }
        // It is not moved, as it is large.
        let read = RtpPacket::read(packet);
        let Ok(rtp) = &read else { return self.strike(now, at, Misconduct::Malformed) };
        let ssrc = rtp.header.ssrc;
        let place = participant.streams.iter().find(|(own, _)| *own == ssrc).map(|(_, place)| *place);
        let RoomConfig { transport_id, ssrc: own_ssrc, .. } = self.config;
        let found = self.variants.ids.find(rtp);
        let uplink = participant
            .uplink
            .get_or_insert_with(|| ReceivePath::new(transport_id, FeedbackConfig::new(own_ssrc, ssrc)));
        let before = uplink.next_timeout();
        uplink.handle_number(now, found.number.as_ref().map(|range| &packet[range.clone()]), packet.len());
        // Its first packet makes a report due, and those that follow make it due sooner.
        if let Some(due) = uplink.next_timeout()
            && before.is_none_or(|before| due < before)
        {
            self.mark_ready(at);
        }
        let Some(place) = place else {
            // Padding has an SSRC that is no stream's.
            match self.ssrcs.contains_key(&ssrc) {
                true => self.strike(now, at, Misconduct::ForgedSsrc),
                false => self.statistics.unknown += 1,
            }
            return;
        };
        let Some(stream) = &mut self.streams[place] else { return };
        let is_unknown = stream.is_unknown();
        let incoming = stream.handle_packet(now, rtp, &found, packet);
        let wakes = stream.next_timeout();
        if std::mem::replace(&mut stream.wakes, wakes) != wakes {
            self.mark_ready(at);
        }
        match incoming {
            Ok(()) => {
                if is_unknown {
                    self.introduce(now, place);
                }
                self.forward(now, place, rtp.header.sequence_number);
            }
            Err(Unfit::Malformed) => self.strike(now, at, Misconduct::Malformed),
            Err(Unfit::Old | Unfit::Early) => {}
        }
    }

    /// The first packet of a stream tells what layers there are. Its receivers are decided about before it is forwarded, as it
    /// belongs to a key picture, which would have to be coded again.
    fn introduce(&mut self, now: Time, place: usize) {
        let Some(stream) = &mut self.streams[place] else { return };
        if !stream.poll_offer(now) {
            return;
        }
        stream.begins = true;
        self.spread_offer(now, place);
        for at in 0..self.participants.len() {
            if self.participants[at].as_ref().is_some_and(|participant| participant.receiver.is_due(now)) {
                self.decide(now, at);
            }
        }
        if let Some(stream) = &mut self.streams[place] {
            stream.begins = false;
        }
    }

    /// Hands the packet of a stream that came last to its receivers.
    fn forward(&mut self, now: Time, place: usize, sequence_number: u16) {
        let Some(stream) = self.streams[place].as_ref().filter(|stream| !stream.muted) else { return };
        let Some(packet) = stream.cache.get(sequence_number) else { return };
        let class = match stream.config.kind {
            StreamKind::Audio => Some(PacketClass::Audio),
            StreamKind::Data => Some(PacketClass::Base),
            StreamKind::Video { .. } => None,
        };
        self.variants.clear();
        self.statistics.packets += 1;
        for &(watcher, slot) in &stream.watchers {
            let Some(participant) = &mut self.participants[watcher] else { continue };
            let downlink = &mut participant.receiver.downlink;
            let handled =
                downlink.handle_packet(now, slot, packet, stream.frame.as_ref(), class, &mut self.variants);
            // What is asked for by a forwarder is asked for when its receiver is served.
            let asks = downlink.asks(slot);
            let waits = matches!(handled, Handled::Waits);
            match handled {
                Handled::Dropped => self.statistics.dropped += 1,
                Handled::Waits => self.statistics.forwarded += 1,
                Handled::Goes(packet) => {
                    self.statistics.forwarded += 1;
                    self.outputs.push_back(Output::Forwarded(watcher, packet));
                }
            }
            participant.is_due |= asks;
            if asks || waits {
                participant.queue(watcher, &mut self.ready);
            }
        }
        self.variants.clear();
    }

    /// Takes what a participant reports of the streams that it gets, and of those that it sends.
    fn handle_rtcp(&mut self, now: Time, at: usize, packet: &[u8]) {
        for message in rtcp::read(packet) {
            let Ok(message) = message else { return self.strike(now, at, Misconduct::Malformed) };
            match message {
                RtcpMessage::Nack { media_ssrc, lost, .. } => {
                    let Some((place, slot)) = self.watched(at, media_ssrc) else { continue };
                    // What came while a stream was muted is not handed out on request either.
                    let (Some(participant), Some(stream)) = (
                        &mut self.participants[at],
                        self.streams[place].as_ref().filter(|stream| !stream.muted),
                    ) else {
                        continue;
                    };
                    let downlink = &mut participant.receiver.downlink;
                    downlink.handle_nack(now, slot, &lost, &stream.cache, &mut self.variants);
                }
                RtcpMessage::Pli { media_ssrc, .. } => self.request(now, at, media_ssrc, Refresh::KEY),
                RtcpMessage::Fir { requests, .. } => {
                    for request in requests {
                        self.request(now, at, request.ssrc, Refresh::KEY);
                    }
                }
                RtcpMessage::Lrr { requests, .. } => {
                    for request in requests {
                        self.request(now, at, request.ssrc, request.refresh());
                    }
                }
                RtcpMessage::SenderReport { ssrc, info, .. } => {
                    let Some(&place) = self.ssrcs.get(&ssrc) else { continue };
                    let Some(stream) = self.streams[place].as_mut().filter(|stream| stream.owner == at)
                    else {
                        continue;
                    };
                    stream.handle_report(now, &info);
                    let watchers = stream.watchers.clone();
                    let report = RtcpMessage::SenderReport { ssrc, info, blocks: vec![] };
                    // Sound and picture are brought together by them.
                    for (watcher, _) in watchers {
                        self.push(watcher, std::slice::from_ref(&report));
                    }
                }
                message => {
                    if let Some(participant) = &mut self.participants[at] {
                        participant.receiver.downlink.handle_feedback(now, &message);
                    }
                }
            }
        }
        self.mark_ready(at);
    }

    /// The place and the slot of a stream that a participant gets.
    fn watched(&self, at: usize, ssrc: u32) -> Option<(usize, usize)> {
        let place = *self.ssrcs.get(&ssrc)?;
        let slot = self.participants[at].as_ref()?.receiver.downlink.slot_of(place)?;
        Some((place, slot))
    }

    /// Takes a receiver's request for a refresh of a stream that it gets.
    fn request(&mut self, now: Time, at: usize, ssrc: u32, refresh: Refresh) {
        let Some((place, _)) = self.watched(at, ssrc) else { return };
        if let Some(stream) = &mut self.streams[place] {
            stream.handle_request(now, at, refresh);
            let owner = stream.owner;
            self.mark_ready(owner);
        }
    }

    /// Counts a case of misconduct, and puts the participant out if it was one too many.
    fn strike(&mut self, now: Time, at: usize, misconduct: Misconduct) {
        let Some(participant) = &mut self.participants[at] else { return };
        self.statistics.refused += 1;
        if participant.conduct.strike(now, misconduct) {
            let id = participant.id;
            self.leave(now, id);
            self.statistics.expelled += 1;
            self.outputs.push_back(Output::Expelled(id, misconduct));
        }
    }

    fn mark_ready(&mut self, at: usize) {
        let Some(participant) = &mut self.participants[at] else { return };
        participant.is_due = true;
        participant.queue(at, &mut self.ready);
    }

    /// Puts messages to a participant among the outputs.
    fn push(&mut self, to: usize, messages: &[RtcpMessage]) {
        let mut packet = BytesMut::new();
        match rtcp::write(messages, &mut packet) {
            Ok(()) => self.outputs.push_back(Output::Packet(to, packet.freeze())),
            // The relay makes no message that cannot be written; a sender's report can be read, so it can be written.
            Err(_) => self.statistics.unknown += 1,
        }
    }
}
