//! What one thread of the relay does with datagrams, without its sockets and its clock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use layercast::Time;
use layercast::relay::{ParticipantId as SeatId, Room, RoomConfig, RoomOutput, StreamConfig, StreamKind};
use layercast::rtp::rtcp;
use layercast::select::{Cap, Reason, ReceiverReport, StreamDecision, StreamId};
use layercast::structure::DecodeTarget;
use layercast_link::{
    Certificate, Description, Link, Media, Output as LinkOutput, ProtectError, State, ufrag_of,
};
use layercast_meeting::wire::{BROWSER_FEEDBACK_SSRC, FEEDBACK_SSRC, PADDING_SSRC, RELAY_SSRC};
use layercast_meeting::{Bytes, Kind, Layers, LinkDescription, ParticipantId};

use super::ufrag;
use crate::media_api::{LinkFailed, MediaCommand, MediaEvent, MeetingKey};

/// What a [`Switchboard`] has to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A datagram is to be sent now.
    Transmit {
        /// Where to.
        to: SocketAddr,
        /// It is the last so many bytes of the buffer that was handed in.
        length: usize,
    },
    /// Something for the desk.
    Event(MediaEvent),
    /// Datagrams from this address are for this thread from now on.
    Claim(SocketAddr),
    /// They are no longer.
    Release(SocketAddr),
    /// Nothing until then, or until something is handed in if there is no time.
    Timeout(Option<Instant>),
}

/// What a switchboard counts. It counts packets, not people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Meetings now.
    pub meetings: u64,
    /// Participants now.
    pub participants: u64,
    /// Links that are connected now.
    pub links: u64,
    /// Packets of media and of its feedback that came, and are authentic.
    pub received: u64,
    /// Those that went out.
    pub sent: u64,
    /// Their bytes, with all that the link adds.
    pub sent_bytes: u64,
    /// Datagrams that belong to no link.
    pub strangers: u64,
    /// Participants that were put out for misconduct.
    pub expelled: u64,
}

/// Streams that one message tells of at most, so that it is no longer than a message may be.
const TOLD_AT_ONCE: usize = 500;
/// From one time to the next at which participants are told what they get, if that has changed.
const TELL: Duration = Duration::from_millis(500);

/// The name of a reason in messages.
fn reason_name(reason: Reason) -> &'static str {
    match reason {
        Reason::Full => "full",
        Reason::Window => "window",
        Reason::Cap => "cap",
        Reason::Cpu => "cpu",
        Reason::Network => "network",
        Reason::Loss => "loss",
        Reason::Proving => "proving",
        Reason::Hidden => "hidden",
        Reason::NotOnOffer => "not_on_offer",
        _ => "other",
    }
}

/// A participant's place: number in the list of meetings, and who it is.
type Place = (usize, SeatId);

/// A participant and its link.
#[derive(Default)]
struct Seat {
    link: Option<Link>,
    /// By which a check from an unknown address finds the link.
    ufrag: String,
    /// Where its datagrams come from, once a check from there was authentic.
    address: Option<SocketAddr>,
    /// When the link is to be served, if nothing comes before.
    wake: Option<Instant>,
    /// What the participant was told that it gets, by stream.
    told: Vec<Told>,
}

/// A stream of a meeting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stream {
    id: u32,
    owner: SeatId,
    ssrc: u32,
    kind: Kind,
    layer_refresh: bool,
}

impl Seat {
    /// Has the link take a stream from its sender, or bring it to somebody else.
    fn add_stream(&mut self, own: SeatId, stream: Stream) {
        let Some(link) = &mut self.link else { return };
        if stream.owner != own {
            return link.send_stream(stream.ssrc);
        }
        let added = link.expect_stream(stream.ssrc, stream.kind);
        if let Err(error) = added {
            tracing::warn!(participant = own.0, %error, "a stream of a link that had too many");
        }
    }

    fn remove_stream(&mut self, stream: Stream) {
        if let Some(link) = &mut self.link {
            link.forget_stream(stream.ssrc);
        }
    }
}

/// Of a stream, what is forwarded, and why no more.
type Told = (u32, Option<DecodeTarget>, Reason);

struct Hall {
    meeting: MeetingKey,
    room: Room,
    seats: HashMap<SeatId, Seat>,
    streams: Vec<Stream>,
    /// Something was handed to the room that it was not polled after.
    is_ready: bool,
    wake: Option<Instant>,
    /// When participants are told next what they get.
    tells: Instant,
}

fn layers((stream, target, reason): Told) -> Layers {
    let target = target.map(|target| (target.spatial_id, target.temporal_id));
    Layers { stream, target, reason: reason_name(reason).into() }
}

impl Hall {
    /// What participants get now and were not told, if it is time to tell it.
    fn tell(&mut self, now: Instant) -> Vec<(ParticipantId, Vec<Layers>)> {
        if now < self.tells {
            return Vec::new();
        }
        self.tells = now + TELL;
        let mut news = Vec::new();
        for (id, seat) in self.seats.iter_mut().filter(|(_, seat)| seat.address.is_some()) {
            let decided = self.room.decision(*id).map_or(&[][..], |decision| &decision.streams);
            let gets = |it: &StreamDecision| (it.stream.0, it.target, it.reason);
            let told = |it: &Told| {
                let at = seat.told.binary_search_by_key(&it.0, |told| told.0);
                at.is_ok_and(|at| seat.told[at] == *it)
            };
            let changed: Vec<_> = decided.iter().map(gets).filter(|it| !told(it)).map(layers).collect();
            let parts = changed.chunks(TOLD_AT_ONCE).map(|part| (ParticipantId(id.0), part.to_vec()));
            news.extend(parts);
            seat.told.clear();
            seat.told.extend(decided.iter().map(gets));
            seat.told.sort_unstable_by_key(|told| told.0);
        }
        news
    }

    fn publish(&mut self, now: Time, stream: Stream) {
        let kind = match stream.kind {
            Kind::Camera | Kind::Screen => {
                StreamKind::Video { offer: None, layer_refresh: stream.layer_refresh }
            }
            Kind::Audio => StreamKind::Audio,
            Kind::Data => StreamKind::Data,
        };
        let config = StreamConfig { id: StreamId(stream.id), ssrc: stream.ssrc, kind };
        if let Err(error) = self.room.publish(now, stream.owner, config) {
            tracing::warn!(participant = stream.owner.0, %error, "a stream has no place in the room");
            return;
        }
        self.streams.push(stream);
        for (id, seat) in &mut self.seats {
            seat.add_stream(*id, stream);
        }
    }

    fn unpublish(&mut self, now: Time, id: u32) {
        self.room.unpublish(now, StreamId(id));
        let Some(at) = self.streams.iter().position(|stream| stream.id == id) else { return };
        let stream = self.streams.swap_remove(at);
        self.seats.values_mut().for_each(|seat| seat.remove_stream(stream));
    }
}

/// The meetings of one thread.
pub struct Switchboard {
    thread: u8,
    start: Instant,
    certificate: Certificate,
    /// Where links are reached, as participants are told.
    addresses: Vec<SocketAddr>,
    config: RoomConfig,
    halls: Vec<Option<Hall>>,
    meetings: HashMap<MeetingKey, usize>,
    peers: HashMap<SocketAddr, Place>,
    ufrags: HashMap<String, Place>,
    ready: VecDeque<usize>,
    hall_timers: BinaryHeap<Reverse<(Instant, usize)>>,
    link_timers: BinaryHeap<Reverse<(Instant, usize, SeatId)>>,
    outputs: VecDeque<Output>,
    /// Datagrams of links that wait in `outputs`: ICE and DTLS, which are few.
    waiting: VecDeque<bytes::Bytes>,
    /// Kept so that a packet does not allocate.
    packet: Vec<u8>,
    statistics: Statistics,
}

impl Switchboard {
    /// One without meetings. `thread` is its number among those of the relay, and `addresses` are those that participants
    /// are told.
    pub fn new(
        thread: u8,
        start: Instant,
        certificate: Certificate,
        addresses: Vec<SocketAddr>,
        mut config: RoomConfig,
    ) -> Self {
        config.ssrc = RELAY_SSRC;
        config.path.padding_ssrc = PADDING_SSRC;
        Self {
            thread,
            start,
            certificate,
            addresses,
            config,
            halls: Vec::new(),
            meetings: HashMap::new(),
            peers: HashMap::new(),
            ufrags: HashMap::new(),
            ready: VecDeque::new(),
            hall_timers: BinaryHeap::new(),
            link_timers: BinaryHeap::new(),
            outputs: VecDeque::new(),
            waiting: VecDeque::new(),
            packet: Vec::new(),
            statistics: Statistics::default(),
        }
    }

    /// The counts.
    pub fn statistics(&self) -> Statistics {
        let (participants, links) = self.halls.iter().flatten().fold((0, 0), |(people, links), hall| {
            let is_connected =
                |seat: &&Seat| seat.link.as_ref().is_some_and(|link| link.state() == State::Connected);
            let connected = hall.seats.values().filter(is_connected).count();
            (people + hall.seats.len() as u64, links + connected as u64)
        });
        Statistics { meetings: self.meetings.len() as u64, participants, links, ..self.statistics }
    }

    fn time(&self, now: Instant) -> Time {
        Time::ZERO + now.saturating_duration_since(self.start)
    }

    /// Takes the load of the thread's core, 0 to 1, about once a second.
    pub fn handle_load(&mut self, now: Instant, load: f32) {
        let time = self.time(now);
        for at in 0..self.halls.len() {
            if let Some(hall) = &mut self.halls[at] {
                hall.room.handle_load(time, load);
                self.mark_ready(at);
            }
        }
    }

    /// Does what the desk says. Commands about a meeting or a participant that is not there do nothing: they crossed its end.
    pub fn handle_command(&mut self, now: Instant, command: MediaCommand) {
        let time = self.time(now);
        let meeting = command.meeting();
        if let MediaCommand::OpenMeeting { .. } = command {
            return self.open(meeting);
        }
        let Some(&at) = self.meetings.get(&meeting) else {
            if let MediaCommand::Link { reply, .. } = command {
                self.outputs.push_back(Output::Event(MediaEvent::Link { reply, result: Err(LinkFailed) }));
            }
            return;
        };
        let Some(hall) = &mut self.halls[at] else { return };
        match command {
            MediaCommand::OpenMeeting { .. } => {}
            MediaCommand::CloseMeeting { .. } => return self.close(at),
            MediaCommand::Join { participant, .. } => {
                let id = SeatId(participant.0);
                match hall.room.join(time, id) {
                    Ok(()) => drop(hall.seats.insert(id, Seat::default())),
                    Err(error) => {
                        tracing::warn!(participant = id.0, %error, "a participant has no place in the room");
                    }
                }
            }
            MediaCommand::Leave { participant, .. } => {
                let id = SeatId(participant.0);
                hall.room.leave(time, id);
                self.unseat(at, id);
            }
            MediaCommand::Link { participant, description, reply, .. } => {
                let result = self.link(now, at, SeatId(participant.0), &description).ok_or(LinkFailed);
                self.outputs.push_back(Output::Event(MediaEvent::Link { reply, result }));
            }
            MediaCommand::Publish { participant, stream, ssrc, kind, layer_refresh, .. } => {
                let owner = SeatId(participant.0);
                hall.publish(time, Stream { id: stream, owner, ssrc, kind, layer_refresh });
            }
            MediaCommand::Unpublish { stream, .. } => hall.unpublish(time, stream),
            MediaCommand::SetMuted { stream, muted, .. } => hall.room.set_muted(StreamId(stream), muted),
            MediaCommand::Cap { participant, stream, max_spatial_id, .. } => {
                let cap = Cap { max_spatial_id, ..Cap::default() };
                hall.room.set_cap(time, SeatId(participant.0), Some(StreamId(stream)), cap);
            }
            MediaCommand::Report { participant, report, .. } => match ReceiverReport::read(&report.0) {
                Ok(report) => hall.room.handle_report(time, SeatId(participant.0), &report),
                Err(error) => tracing::debug!(participant = participant.0, %error, "a report is none"),
            },
        }
        self.mark_ready(at);
    }

    fn open(&mut self, meeting: MeetingKey) {
        if self.meetings.contains_key(&meeting) {
            return;
        }
        let at = self.halls.iter().position(Option::is_none).unwrap_or_else(|| {
            self.halls.push(None);
            self.halls.len() - 1
        });
        let hall = Hall {
            meeting,
            room: Room::new(self.config.clone()),
            seats: HashMap::new(),
            streams: Vec::new(),
            is_ready: false,
            wake: None,
            tells: self.start,
        };
        self.halls[at] = Some(hall);
        self.meetings.insert(meeting, at);
    }

    fn close(&mut self, at: usize) {
        let Some(hall) = &self.halls[at] else { return };
        let meeting = hall.meeting;
        let ids: Vec<SeatId> = hall.seats.keys().copied().collect();
        for id in ids {
            self.unseat(at, id);
        }
        self.meetings.remove(&meeting);
        self.halls[at] = None;
    }

    /// Forgets a participant and its link.
    fn unseat(&mut self, at: usize, id: SeatId) {
        let Some(hall) = &mut self.halls[at] else { return };
        let seat = hall.seats.remove(&id);
        for stream in hall.streams.extract_if(.., |stream| stream.owner == id) {
            hall.seats.values_mut().for_each(|seat| seat.remove_stream(stream));
        }
        if let Some(seat) = seat {
            self.unlink((at, id), &seat);
        }
    }

    fn unlink(&mut self, place: Place, seat: &Seat) {
        self.ufrags.remove(&seat.ufrag);
        self.release(place, seat.address);
    }

    /// Gives an address up, unless it is somebody else's by now.
    fn release(&mut self, place: Place, address: Option<SocketAddr>) {
        if let Some(address) = address.filter(|address| self.peers.get(address) == Some(&place)) {
            self.peers.remove(&address);
            self.outputs.push_back(Output::Release(address));
        }
    }

    /// Makes a participant's link anew.
    fn link(
        &mut self,
        now: Instant,
        at: usize,
        id: SeatId,
        description: &LinkDescription,
    ) -> Option<LinkDescription> {
        let remote = Description::from_message(description).ok()?;
        self.halls[at].as_ref()?.seats.get(&id)?;
        let ufrag = ufrag::make(self.thread)
            .inspect_err(|error| tracing::error!(%error, "the system has no random numbers"))
            .ok()?;
        let local = Description::with_ufrag(ufrag, &self.certificate).ok()?;
        let mut link = Link::relay(now, &self.certificate, &local, &remote).ok()?;
        for ssrc in [FEEDBACK_SSRC, BROWSER_FEEDBACK_SSRC, PADDING_SSRC] {
            link.expect_ssrc(ssrc).ok()?;
        }
        let local = local.to_message(&self.addresses);
        let mut seat = Seat { ufrag: local.ufrag.clone(), link: Some(link), ..Seat::default() };
        for stream in &self.halls[at].as_ref()?.streams {
            seat.add_stream(id, *stream);
        }
        self.ufrags.insert(seat.ufrag.clone(), (at, id));
        let before = self.halls[at].as_mut()?.seats.insert(id, seat);
        if let Some(before) = before {
            self.unlink((at, id), &before);
        }
        self.serve_link(now, (at, id));
        Some(local)
    }

    /// Whose datagram this is: nobody's if it is from an unknown address and no check for a link of this thread.
    fn place(&self, from: SocketAddr, datagram: &[u8]) -> Option<Place> {
        // A check goes to the link that it names, also if the address was another's before.
        match ufrag_of(datagram) {
            Some(ufrag) => self.ufrags.get(ufrag).copied(),
            None => self.peers.get(&from).copied(),
        }
    }

    /// Takes a datagram.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let Some(place) = self.place(from, datagram) else {
            self.statistics.strangers += 1;
            return;
        };
        let (at, id) = place;
        let link = self.halls[at].as_mut().and_then(|hall| hall.seats.get_mut(&id)?.link.as_mut());
        let Some(link) = link else { return };
        match link.handle_datagram(now, from, datagram) {
            Some(Media::Rtp(packet) | Media::Rtcp(packet)) => {
                self.statistics.received += 1;
                let time = self.time(now);
                if let Some(hall) = &mut self.halls[at] {
                    hall.room.handle_packet(time, id, &packet);
                }
                self.mark_ready(at);
            }
            None => self.serve_link(now, place),
        }
    }

    /// Hands on what a link has to say.
    fn serve_link(&mut self, now: Instant, place: Place) {
        let (at, id) = place;
        let Some(seat) = self.halls[at].as_mut().and_then(|hall| hall.seats.get_mut(&id)) else { return };
        let Some(link) = &mut seat.link else { return };
        loop {
            match link.poll(now) {
                LinkOutput::Transmit(transmit) => {
                    let (to, length) = (transmit.to, transmit.datagram.len());
                    self.waiting.push_back(transmit.datagram);
                    self.outputs.push_back(Output::Transmit { to, length });
                }
                LinkOutput::Closed(reason) => {
                    tracing::debug!(participant = id.0, %reason, "a link closed");
                }
                LinkOutput::Timeout(wake) => {
                    // An earlier timer finds out by itself that there is more time: so each link has few, whatever comes.
                    if seat.wake.is_none_or(|before| wake < before) {
                        self.link_timers.push(Reverse((wake, at, id)));
                        seat.wake = Some(wake);
                    }
                    break;
                }
                _ => {}
            }
        }
        let is_closed = link.state() == State::Closed;
        let address = link.address().filter(|_| !is_closed);
        let before = std::mem::replace(&mut seat.address, address);
        if before != address {
            self.release(place, before);
        }
        // Whoever last proved to be at an address has it: by a router it may have been somebody else's before.
        if let Some(address) = address.filter(|address| self.peers.get(address) != Some(&place)) {
            self.peers.insert(address, place);
            self.outputs.push_back(Output::Claim(address));
        }
        if is_closed && let Some(seat) = self.halls[at].as_mut().and_then(|hall| hall.seats.get_mut(&id)) {
            self.ufrags.remove(&seat.ufrag);
            *seat = Seat::default();
        }
    }

    fn mark_ready(&mut self, at: usize) {
        if let Some(hall) = self.halls[at].as_mut().filter(|hall| !hall.is_ready) {
            hall.is_ready = true;
            self.ready.push_back(at);
        }
    }

    /// Wakes what is due.
    fn handle_timeouts(&mut self, now: Instant) {
        while let Some(&Reverse((wake, at, id))) = self.link_timers.peek().filter(|timer| timer.0.0 <= now) {
            self.link_timers.pop();
            let seat = self.halls[at].as_mut().and_then(|hall| hall.seats.get_mut(&id));
            // What was put off since is not due.
            let Some(seat) = seat.filter(|seat| seat.wake == Some(wake)) else { continue };
            seat.wake = None;
            self.serve_link(now, (at, id));
        }
        while let Some(&Reverse((wake, at))) = self.hall_timers.peek().filter(|timer| timer.0.0 <= now) {
            self.hall_timers.pop();
            if let Some(hall) = self.halls[at].as_mut().filter(|hall| hall.wake == Some(wake)) {
                hall.wake = None;
                self.mark_ready(at);
            }
        }
    }

    /// What there is to send or to tell at `now`. Datagrams are appended to `out`. The program polls until it is told to
    /// wait.
    pub fn poll(&mut self, now: Instant, out: &mut Vec<u8>) -> Output {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                if matches!(output, Output::Transmit { .. }) {
                    out.extend(self.waiting.pop_front().unwrap_or_default());
                }
                return output;
            }
            if let Some(&at) = self.ready.front() {
                if let Some(output) = self.serve_room(now, at, out) {
                    return output;
                }
                self.ready.pop_front();
                continue;
            }
            self.handle_timeouts(now);
            if self.outputs.is_empty() && self.ready.is_empty() {
                let links = self.link_timers.peek().map(|timer| timer.0.0);
                let halls = self.hall_timers.peek().map(|timer| timer.0.0);
                return Output::Timeout(links.into_iter().chain(halls).min());
            }
        }
    }

    /// What a room has to say, until it has nothing more.
    fn serve_room(&mut self, now: Instant, at: usize, out: &mut Vec<u8>) -> Option<Output> {
        let time = self.time(now);
        let hall = self.halls[at].as_mut()?;
        loop {
            self.packet.clear();
            match hall.room.poll(time, &mut self.packet) {
                RoomOutput::Transmit { to, .. } => {
                    // Those who are away for a moment get nothing.
                    let Some(seat) = hall.seats.get_mut(&to) else { continue };
                    let (Some(link), Some(address)) = (&mut seat.link, seat.address) else { continue };
                    let protected = if rtcp::is_rtcp(&self.packet) {
                        link.protect_rtcp(&self.packet)
                    } else {
                        link.protect_rtp(&self.packet)
                    };
                    let datagram = match protected {
                        Ok(datagram) => datagram,
                        Err(ProtectError::TooManySsrcs(_)) => {
                            // The participant makes another, which has room again.
                            link.close(now);
                            seat.wake = Some(now);
                            self.link_timers.push(Reverse((now, at, to)));
                            continue;
                        }
                        // A link that is not connected yet loses what is sent, as any path may.
                        Err(_) => continue,
                    };
                    out.extend_from_slice(&datagram);
                    let length = datagram.len();
                    self.statistics.sent += 1;
                    self.statistics.sent_bytes += length as u64;
                    return Some(Output::Transmit { to: address, length });
                }
                RoomOutput::Demand { to, message } => {
                    let mut demand = Vec::new();
                    if let Err(error) = message.write(&mut demand) {
                        // Rooms make demands of the layers that descriptors name, which fit.
                        tracing::error!(%error, "a demand cannot be written");
                        continue;
                    }
                    let (meeting, participant) = (hall.meeting, ParticipantId(to.0));
                    let demand = Bytes(demand);
                    return Some(Output::Event(MediaEvent::Demand { meeting, participant, demand }));
                }
                RoomOutput::Expelled { participant, reason } => {
                    self.statistics.expelled += 1;
                    let meeting = hall.meeting;
                    self.unseat(at, participant);
                    let reason = format!("{reason:?}");
                    let participant = ParticipantId(participant.0);
                    return Some(Output::Event(MediaEvent::Expelled { meeting, participant, reason }));
                }
                RoomOutput::Timeout(wake) => {
                    let meeting = hall.meeting;
                    let news = hall.tell(now).into_iter().map(|(participant, layers)| {
                        Output::Event(MediaEvent::Layers { meeting, participant, layers })
                    });
                    self.outputs.extend(news);
                    let wake = wake.map(|wake| self.start + (wake - Time::ZERO));
                    if let Some(wake) = wake
                        && hall.wake != Some(wake)
                    {
                        self.hall_timers.push(Reverse((wake, at)));
                    }
                    hall.wake = wake;
                    hall.is_ready = false;
                    return None;
                }
                // A room that has learned to say more says it to a relay that knows it.
                _ => {}
            }
        }
    }
}
