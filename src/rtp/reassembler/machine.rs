//! The reassembler itself.

use std::collections::VecDeque;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use super::config::{NackConfig, ReassemblerConfig};
use super::entry::{Entry, Missing, Newest, Received, Waiting};
use super::event::{Abandoned, Accepted, ReassemblerEvent, ReassemblerStatistics, Rejected};
use super::strays::{LATE_RUN, Strays};
use crate::Time;
use crate::rtp::descriptor::{DependencyDescriptor, DependencyStructure, DescriptorError};
use crate::rtp::frame::ReceivedFrame;
use crate::rtp::overtaken::Overtaken;
use crate::rtp::packet::RtpPacket;
use crate::rtp::payload::{PayloadFormat, av1, opaque, sframe};

/// Ticks of the RTP clock in 30 s, in which a packet is sent again at the latest.
const OLD_TICKS: u32 = 30 * 90_000;

/// Structures kept: that of the running coded video sequence, and those just before and after it.
const MAX_STRUCTURES: usize = 3;

/// Bytes of a packet at most, from its RTP header on. No path on the Internet takes more than 1500.
pub const MAX_PACKET: usize = 2048;

/// A jump of sequence numbers by more than this is another stream, once a second packet follows the first
/// (`MAX_DROPOUT` of RFC 3550, A.1).
const MAX_DROPOUT: u64 = 3000;

/// After a silence as long as packets are waited for, more missing packets than this are given up at once: most are as
/// old as the silence is long.
const MAX_OLD: u64 = 16;

/// A packet that would make more packets missing than this has to be followed by the next one.
const MAX_LONE_GAP: u64 = 64;

/// Makes whole frames of packets.
///
/// After every [`push`](Self::push), [`adopt`](Self::adopt) and at [`next_timeout`](Self::next_timeout),
/// [`poll`](Self::poll) until it has nothing more to say.
#[derive(Debug)]
pub struct Reassembler {
    config: ReassemblerConfig,
    /// From sequence number `base` on.
    entries: VecDeque<Entry>,
    base: u64,
    bytes: usize,
    /// When the first packet came. Until [`ReassemblerConfig::start_within`] is over, one from before it may follow.
    started: Option<Time>,
    /// RTP timestamp of the newest packet.
    timestamp: Option<u32>,
    /// Packets that were not believed, each the next of the one before, and whether they are now.
    strays: Strays,
    /// Of all frames with a lower number all packets have come, or never will.
    settled: Option<u16>,
    structures: VecDeque<Arc<DependencyStructure>>,
    waiting: VecDeque<Waiting>,
    events: VecDeque<ReassemblerEvent>,
    missing: usize,
    newest: Option<Newest>,
    overtaken: Overtaken,
    /// From one packet of a picture to the next, smoothed.
    spacing: Duration,
    /// Those of the frame that is put together.
    payloads: Vec<Bytes>,
    statistics: ReassemblerStatistics,
}

impl Reassembler {
    /// A reassembler for a stream of which nothing has come yet.
    pub fn new(config: ReassemblerConfig) -> Self {
        Self {
            config,
            entries: VecDeque::new(),
            base: 0,
            bytes: 0,
            started: None,
            timestamp: None,
            strays: Strays::default(),
            settled: None,
            structures: VecDeque::new(),
            waiting: VecDeque::new(),
            events: VecDeque::new(),
            missing: 0,
            newest: None,
            overtaken: Overtaken::new(),
            spacing: Duration::ZERO,
            payloads: Vec::new(),
            statistics: ReassemblerStatistics::default(),
        }
    }

    /// The counts since the start.
    pub fn statistics(&self) -> ReassemblerStatistics {
        self.statistics
    }

    /// Sets how missing packets are asked for, as the round-trip time changes.
    pub fn set_nack(&mut self, nack: NackConfig) {
        self.config.nack = nack;
    }

    /// A frame was handed on, or given up with all before it: what is missing before its packets is not waited for any longer.
    pub fn pass(&mut self, frame_number: u16) {
        if self.missing == 0 {
            return;
        }
        let of_frame = |entry: &Entry| matches!(entry, Entry::Done(Some(number)) if *number == frame_number);
        let Some(last) = self.entries.iter().rposition(of_frame) else { return };
        for at in (0..last).rev() {
            if matches!(self.entries[at], Entry::Missing(_)) {
                self.statistics.lost += 1;
                self.close_unsettled(at);
            }
        }
        self.settle();
    }

    /// Bytes held, as [`ReassemblerConfig::max_bytes`] counts them.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Packets, known to be missing or held, from the first that is not settled on.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether every packet that is known of is settled.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Frames below this number have come, or never will.
    pub fn settled(&self) -> Option<u16> {
        let arrived = self.arrived()?;
        let waiting = self.waiting.iter().map(|waiting| waiting.frame_number);
        let below = waiting.filter(|number| is_below(*number, arrived));
        Some(below.max_by_key(|number| arrived.wrapping_sub(*number)).unwrap_or(arrived))
    }

    /// Whether a frame waits for its structure in vain: all packets before it have come or were given up, and none
    /// brought the structure. The frame that had it was lost, or could not be opened. A new key frame is needed.
    ///
    /// The caller asks once it has opened the frames of [`poll`](Self::poll) and adopted their structures.
    pub fn needs_structure(&self) -> bool {
        let arrived = self.arrived();
        self.waiting
            .iter()
            .any(|waiting| arrived.is_some_and(|arrived| is_below(waiting.frame_number, arrived)))
    }

    /// Of frames below this number all packets that ever will have come; they may be waiting for their structure.
    fn arrived(&self) -> Option<u16> {
        match self.entries.front() {
            Some(Entry::Received(received)) if self.settled.is_some() => Some(received.frame_number),
            _ => self.settled,
        }
    }

    /// Takes a packet that came at `now`, and keeps it as it is until its frame is whole. One without payload says that
    /// nothing comes under its number: a relay sends that if it first took a lost packet for one that is to be forwarded.
    ///
    /// # Errors
    /// [`Rejected`]; nothing of the packet is kept then.
    pub fn push(&mut self, now: Time, packet: Bytes) -> Result<Accepted, Rejected> {
        let size = packet.len();
        if size > MAX_PACKET.min(self.config.max_bytes) {
            return Err(Rejected::TooLarge(size));
        }
        let rtp = RtpPacket::read(&packet)?;
        let descriptor = match rtp.extension_range(self.config.descriptor_id)? {
            Some(descriptor) => descriptor,
            None if rtp.payload.is_empty() => 0..0,
            None => return Err(Rejected::NoDescriptor),
        };
        let (flags, high, low) = match &packet[descriptor.clone()] {
            &[flags, high, low, ..] => (flags, high, low),
            _ if rtp.payload.is_empty() => (0, 0, 0),
            _ => return Err(Rejected::NoDescriptor),
        };
        let sequence_number = rtp.header.sequence_number;
        // A packet that was captured just before the newest one is late, or is sent again, and no sign of another stream.
        let behind = self.timestamp.map(|newest| newest.wrapping_sub(rtp.header.timestamp));
        let is_old = behind.is_some_and(|behind| behind < OLD_TICKS);
        let end = self.base + self.entries.len() as u64;
        let sequence = match self.place(now, sequence_number, is_old) {
            Ok(sequence) => sequence,
            Err(rejected) => {
                if !is_old {
                    self.strays.handle_rejected(sequence_number, &packet, &rejected);
                }
                return Err(rejected);
            }
        };
        if !is_old || self.timestamp.is_none() {
            self.timestamp = Some(rtp.header.timestamp);
        }
        let received = Received {
            timestamp: rtp.header.timestamp,
            marker: rtp.header.marker,
            start: flags & 0x80 != 0,
            end: flags & 0x40 != 0,
            template_id: flags & 0x3f,
            frame_number: u16::from_be_bytes([high, low]),
            first: None,
            descriptor,
            payload: rtp.payload_range,
            packet,
        };
        let is_gap = sequence < end;
        while self.bytes + size > self.config.max_bytes {
            self.give_up_first();
        }
        let Some(at) = sequence.checked_sub(self.base).map(|at| at as usize) else {
            self.statistics.late += 1;
            return Err(Rejected::Late);
        };
        if at + 1 == self.entries.len() && !received.payload.is_empty() {
            self.note_newest(now, &received);
        }
        if is_gap && let Entry::Missing(Missing { noticed, .. }) = &self.entries[at] {
            self.overtaken.handle_arrival(now - *noticed, self.config.nack.first_after);
        }
        let accepted = match &self.entries[at] {
            Entry::Missing(Missing { requests: 1.., .. }) => Accepted::Recovered,
            _ => Accepted::New,
        };
        self.statistics.packets += 1;
        self.statistics.recovered += u64::from(accepted == Accepted::Recovered);
        if received.payload.is_empty() {
            self.close(at);
        } else {
            self.missing -= 1;
            self.bytes += size;
            self.entries[at] = Entry::Received(received);
            self.fit_in(now, at);
        }
        for stray in self.strays.take_believed() {
            // They are near to this one, so that none of them is a stray again.
            let _ = self.push(now, stray);
        }
        Ok(accepted)
    }

    /// Takes a structure for the frames that go by it, which were waiting or are still to come.
    pub fn adopt(&mut self, now: Time, structure: Arc<DependencyStructure>) {
        if self.structures.front().is_some_and(|known| *known == structure) {
            return;
        }
        self.structures.retain(|known| *known != structure);
        self.structures.truncate(MAX_STRUCTURES - 1);
        self.structures.push_front(structure);
        for waiting in std::mem::take(&mut self.waiting) {
            self.bytes -= waiting.bytes();
            self.finish(now, waiting);
        }
    }

    /// The next event at the time `now`. The caller polls until it is `None`.
    pub fn poll(&mut self, now: Time) -> Option<ReassemblerEvent> {
        self.tick(now);
        self.events.pop_front()
    }

    /// Puts the sequence numbers that the receiver should ask for at `now` into `missing`, lowest first, and returns the
    /// one after the newest packet if it should ask for that as well: the picture goes on, and nothing has come for
    /// longer than its packets are apart. That packet may not have been sent yet.
    pub fn nacks(&mut self, now: Time, missing: &mut Vec<u16>) -> Option<u16> {
        missing.clear();
        self.tick(now);
        let NackConfig { max_requests, retry_after, .. } = self.config.nack;
        for (at, entry) in self.entries.iter_mut().enumerate().filter(|_| self.missing > 0) {
            let Entry::Missing(entry) = entry else { continue };
            if entry.next_request > now || entry.requests >= max_requests {
                continue;
            }
            entry.next_request = now + retry_after;
            entry.requests += 1;
            missing.push((self.base + at as u64) as u16);
        }
        let end = self.base + self.entries.len() as u64;
        let newest = self.newest.as_mut().filter(|newest| newest.asks_on(max_requests));
        let next = newest.filter(|newest| newest.next_request <= now).map(|newest| {
            newest.next_request = now + retry_after;
            newest.requests += 1;
            end as u16
        });
        self.statistics.nacks += missing.len() as u64 + u64::from(next.is_some());
        next
    }

    /// Puts the sequence numbers into `missing` that were asked for less than `within` ago and are still missing, lowest
    /// first. A request that goes out anyway may name them once more, in case the one before was lost. It costs nothing
    /// if it was not, as long as the sender sends a packet again no sooner
    /// ([`SentPackets::resend`](crate::rtp::SentPackets::resend)).
    pub fn asked(&self, now: Time, within: Duration, missing: &mut Vec<u16>) {
        missing.clear();
        let NackConfig { retry_after, .. } = self.config.nack;
        let within = within.min(retry_after);
        let entries = self.entries.iter().enumerate().filter(|_| self.missing > 0);
        missing.extend(entries.filter_map(|(at, entry)| match entry {
            Entry::Missing(Missing { next_request, requests: 1.., .. })
                if *next_request + within > now + retry_after =>
            {
                Some((self.base + at as u64) as u16)
            }
            _ => None,
        }));
    }

    /// Remembers the newest packet.
    fn note_newest(&mut self, now: Time, packet: &Received) {
        if let Some(before) = self.newest.as_ref().filter(|newest| newest.timestamp == packet.timestamp) {
            self.spacing = (self.spacing * 7 + (now - before.arrived)) / 8;
        }
        self.newest = Some(Newest {
            arrived: now,
            timestamp: packet.timestamp,
            ends_picture: packet.marker,
            next_request: now + self.overtaken.wait(self.config.nack.first_after) + self.spacing * 2,
            requests: 0,
        });
    }

    /// When to [`poll`](Self::poll) and look for [`nacks`](Self::nacks) again if nothing comes before.
    pub fn next_timeout(&self) -> Option<Time> {
        let NackConfig { give_up, max_requests, .. } = self.config.nack;
        let missing = || {
            self.entries.iter().filter(|_| self.missing > 0).filter_map(|entry| match entry {
                Entry::Missing(entry) => Some(entry),
                _ => None,
            })
        };
        let requests =
            missing().filter(|entry| entry.requests < max_requests).map(|entry| entry.next_request);
        // They are given up in their order, though the first may have been noticed last: see `place`.
        let given_up = missing().next().map(|entry| entry.noticed + give_up);
        let waiting = self.waiting.front().map(|waiting| waiting.since + give_up);
        let start =
            self.started.filter(|_| self.settled.is_none()).map(|started| started + self.config.start_within);
        let newest = self.newest.as_ref().filter(|newest| newest.asks_on(max_requests));
        let newest = newest.map(|newest| newest.next_request);
        requests.chain(given_up).chain(waiting).chain(start).chain(newest).min()
    }

    /// The sequence number beyond 16 bits, for which there is an entry, a missing one, afterwards.
    fn place(&mut self, now: Time, sequence_number: u16, is_old: bool) -> Result<u64, Rejected> {
        if self.started.is_none() {
            self.started = Some(now);
            self.base = (1 << 32) + u64::from(sequence_number);
        }
        let end = self.base + self.entries.len() as u64;
        let ahead = sequence_number.wrapping_sub(end as u16) as i16;
        let sequence = end.wrapping_add_signed(ahead.into());
        if sequence >= end {
            let gap = sequence - end;
            if gap > MAX_LONE_GAP {
                if self.strays.before(sequence_number) == 0 {
                    return Err(Rejected::OutOfRange(sequence_number));
                }
                self.strays.believe();
            }
            if gap > MAX_DROPOUT {
                return Ok(self.restart(now, sequence_number));
            }
            let silence = self.newest.as_ref().map_or(Duration::ZERO, |newest| now - newest.arrived);
            if gap > MAX_OLD && silence >= self.config.nack.give_up {
                self.skip(sequence - self.base - self.strays.before(sequence_number) as u64);
            }
            let gap = sequence - (self.base + self.entries.len() as u64);
            self.make_room(gap + 1);
            let end = self.base + self.entries.len() as u64;
            self.append_missing(now, sequence - end + 1);
        } else if sequence < self.base {
            let before = self.base - sequence;
            if self.settled.is_none() && before + (self.entries.len() as u64) < self.config.max_packets as u64
            {
                for _ in 0..before {
                    self.entries.push_front(self.new_missing(now));
                    self.base -= 1;
                    self.missing += 1;
                }
                self.statistics.missing += before - 1;
            } else if before > MAX_DROPOUT {
                if self.strays.before(sequence_number) > 0 {
                    return Ok(self.restart(now, sequence_number));
                }
                return Err(Rejected::OutOfRange(sequence_number));
            } else {
                if !is_old && self.strays.before(sequence_number) + 1 >= LATE_RUN {
                    return Ok(self.restart(now, sequence_number));
                }
                self.statistics.late += 1;
                return Err(Rejected::Late);
            }
        } else {
            match &self.entries[(sequence - self.base) as usize] {
                Entry::Missing(_) => {}
                Entry::Received(_) => {
                    self.statistics.duplicates += 1;
                    return Err(Rejected::Duplicate);
                }
                Entry::Done(None) => {
                    self.statistics.late += 1;
                    return Err(Rejected::Late);
                }
                Entry::Done(Some(_)) => {
                    self.statistics.duplicates += 1;
                    return Err(Rejected::Duplicate);
                }
            }
        }
        self.strays.forget_unless_believed();
        Ok(sequence)
    }

    /// Makes room for so many entries at the end. If they are more than there may be, the first ones count as lost.
    fn make_room(&mut self, count: u64) {
        let room = self.config.max_packets.max(1) as u64;
        while !self.entries.is_empty() && self.entries.len() as u64 + count > room {
            self.give_up_first();
        }
        if let Some(lost) = count.checked_sub(room).filter(|_| self.entries.is_empty()) {
            self.base += lost;
            self.statistics.missing += lost;
            self.statistics.lost += lost;
        }
    }

    /// Gives up the next `count` packets from the first on, known of or not, which are too old to be asked for.
    fn skip(&mut self, count: u64) {
        let end = self.base + count;
        while !self.entries.is_empty() {
            self.give_up_first();
        }
        let skipped = end - self.base;
        self.base = end;
        self.statistics.missing += skipped;
        self.statistics.lost += skipped;
    }

    /// Starts the stream anew at a sequence number.
    fn restart(&mut self, now: Time, sequence_number: u16) -> u64 {
        while !self.entries.is_empty() {
            self.give_up_first();
        }
        self.waiting.clear();
        self.bytes = 0;
        self.settled = None;
        self.newest = None;
        self.events.push_back(ReassemblerEvent::Restarted);
        self.started = Some(now);
        self.base = (1 << 32) + u64::from(sequence_number);
        self.append_missing(now, 1);
        self.strays.believe();
        self.base
    }

    fn new_missing(&self, now: Time) -> Entry {
        let next_request = now + self.overtaken.wait(self.config.nack.first_after);
        Entry::Missing(Missing { noticed: now, next_request, requests: 0 })
    }

    /// Appends entries of which the last one is for a packet that is there.
    fn append_missing(&mut self, now: Time, count: u64) {
        let end = self.entries.len();
        for _ in 0..count {
            self.entries.push_back(self.new_missing(now));
        }
        if let Some(Newest { next_request, requests: requests @ 1.., .. }) = self.newest
            && let Some(Entry::Missing(missing)) = self.entries.get_mut(end)
        {
            (missing.next_request, missing.requests) = (next_request, requests);
        }
        self.missing += count as usize;
        self.statistics.missing += count - 1;
    }

    /// Joins a packet just received with its neighbours.
    fn fit_in(&mut self, now: Time, at: usize) {
        let Entry::Received(this) = &self.entries[at] else { return };
        let (start, end, frame_number) = (this.start, this.end, this.frame_number);
        let mut first = start.then_some(self.base + at as u64);
        let mut fits = true;
        let mut cut_short = false;
        match at.checked_sub(1).map(|before| &self.entries[before]) {
            Some(Entry::Received(before)) => match (before.end, start) {
                (false, true) => cut_short = true,
                (true, false) => fits = false,
                (true, true) => {}
                (false, false) => {
                    fits = before.is_of_frame(this);
                    first = before.first;
                }
            },
            Some(Entry::Done(_)) => fits = start,
            Some(Entry::Missing(_)) => {}
            None => fits = start || self.settled.is_none(),
        }
        match self.entries.get(at + 1) {
            Some(Entry::Received(after)) => {
                fits &= end == after.start && (end || after.is_of_frame(this));
            }
            Some(Entry::Done(_)) => fits &= end,
            Some(Entry::Missing(_)) | None => {}
        }
        if cut_short {
            self.abandon(at - 1, Abandoned::Mixed);
        }
        if !fits {
            self.abandon(at, Abandoned::Mixed);
        } else if let Some(first) = first {
            self.extend(now, at, first, frame_number);
        }
        self.settle();
    }

    /// The packets of a frame are there from `first` up to the one at `at`: finds how far they go on.
    fn extend(&mut self, now: Time, at: usize, first: u64, frame_number: u16) {
        let mut last = at;
        while let Some(Entry::Received(received)) = self.entries.get_mut(last) {
            received.first = Some(first);
            if received.end {
                return self.complete(now, (first - self.base) as usize..=last, frame_number);
            }
            last += 1;
        }
    }

    /// Takes the packets of a whole frame out.
    fn complete(&mut self, now: Time, packets: RangeInclusive<usize>, frame_number: u16) {
        let (first, last) = (*packets.start(), *packets.end());
        let (Entry::Received(start), Entry::Received(end)) = (&self.entries[first], &self.entries[last])
        else {
            return;
        };
        let mut waiting = Waiting {
            since: now,
            frame_number,
            template_id: start.template_id,
            timestamp: start.timestamp,
            marker: end.marker,
            descriptor: start.packet.slice(start.descriptor.clone()),
            payload: Bytes::new(),
            pieces: Vec::new(),
        };
        let joined = self.join(packets.clone(), &mut waiting);
        for entry in self.entries.range_mut(packets) {
            if let Entry::Received(received) = entry {
                self.bytes -= received.packet.len();
            }
            *entry = Entry::Done(Some(frame_number));
        }
        // Shares of packets, which would keep them alive.
        self.payloads.clear();
        match joined {
            Some(()) => self.finish(now, waiting),
            None => self.report(frame_number, Abandoned::Payload),
        }
    }

    /// Puts the payload of a frame together, if that can be done.
    fn join(&mut self, packets: RangeInclusive<usize>, frame: &mut Waiting) -> Option<()> {
        let received = self.entries.range(packets).filter_map(|entry| match entry {
            Entry::Received(received) => Some(received),
            _ => None,
        });
        if self.config.format == PayloadFormat::Sframe
            && sframe::check(received.clone().map(Received::payload)) == Ok(false)
        {
            let size = received.clone().map(|received| received.payload.len() - 1).sum();
            let mut payload = BytesMut::with_capacity(size);
            received.for_each(|received| payload.extend_from_slice(&received.payload()[1..]));
            frame.payload = payload.freeze();
            return Some(());
        }
        self.payloads.extend(received.map(|received| received.packet.slice(received.payload.clone())));
        match self.config.format {
            PayloadFormat::Sframe => {
                let is_last = |payload: &Bytes| {
                    payload.first().is_some_and(|byte| sframe::PayloadHeader::from_byte(*byte).end)
                };
                for payloads in self.payloads.split_inclusive(is_last) {
                    let (piece, packetized) = sframe::join(payloads).ok()?;
                    frame.pieces.push(packetized.then_some(piece)?);
                }
            }
            PayloadFormat::Av1 => frame.payload = av1::join(&self.payloads).ok()?,
            PayloadFormat::Opaque => {
                frame.payload = opaque::join(self.payloads.iter().map(|payload| &payload[..])).ok()?;
            }
        }
        Some(())
    }

    /// Reads the descriptor of a whole frame and gives it out, or lets it wait for its structure.
    fn finish(&mut self, now: Time, waiting: Waiting) {
        let frame_number = waiting.frame_number;
        let known = self.structures.iter().find(|known| known.template(waiting.template_id).is_some());
        let descriptor = match DependencyDescriptor::read(&waiting.descriptor, known.map(|known| &**known)) {
            Ok(descriptor) => descriptor,
            Err(DescriptorError::NoStructure) if known.is_none() => {
                return self.wait(waiting);
            }
            Err(error) => return self.report(frame_number, error.into()),
        };
        let Some(structure) = descriptor.structure.clone().or_else(|| known.cloned()) else {
            return self.wait(waiting);
        };
        match descriptor.dependencies(&structure) {
            Err(error) => self.report(frame_number, error.into()),
            Ok(dependencies) => {
                let adopted = descriptor.structure.is_some().then(|| structure.clone());
                let Waiting { payload, pieces, timestamp, marker, .. } = waiting;
                let frame =
                    ReceivedFrame { descriptor, structure, dependencies, payload, pieces, timestamp, marker };
                self.statistics.frames += 1;
                self.events.push_back(ReassemblerEvent::Frame(frame));
                if let Some(structure) = adopted.filter(|_| self.config.adopt_structures) {
                    self.adopt(now, structure);
                }
            }
        }
    }

    fn wait(&mut self, mut waiting: Waiting) {
        waiting.let_go_of_packets();
        self.bytes += waiting.bytes();
        self.waiting.push_back(waiting);
        while self.waiting.len() > self.config.max_waiting || self.bytes > self.config.max_bytes {
            self.drop_waiting();
        }
    }

    /// Drops the frame that has waited longest for its structure.
    fn drop_waiting(&mut self) {
        if let Some(waiting) = self.waiting.pop_front() {
            self.bytes -= waiting.bytes();
            self.report(waiting.frame_number, Abandoned::NoStructure);
        }
    }

    fn report(&mut self, frame_number: u16, reason: Abandoned) {
        self.statistics.abandoned += 1;
        self.events.push_back(ReassemblerEvent::Abandoned { frame_number, reason });
    }

    /// Gives up the frame of the packet at `at`, as far as its packets are neighbours, and what cannot be whole without it:
    /// a frame before it that has not ended, and one behind it that has not begun.
    fn abandon(&mut self, at: usize, reason: Abandoned) {
        let mut packets = self.abandon_frame(at, reason);
        let unended = |entry: &Entry| matches!(entry, Entry::Received(received) if !received.end);
        let unbegun = |entry: &Entry| matches!(entry, Entry::Received(received) if !received.start);
        while packets.start > 0 && unended(&self.entries[packets.start - 1]) {
            packets.start = self.abandon_frame(packets.start - 1, Abandoned::Mixed).start;
        }
        while self.entries.get(packets.end).is_some_and(unbegun) {
            packets.end = self.abandon_frame(packets.end, Abandoned::Mixed).end;
        }
    }

    /// Gives up the packets of a frame around the one at `at`. Says which these are.
    fn abandon_frame(&mut self, at: usize, reason: Abandoned) -> Range<usize> {
        let Some(Entry::Received(Received { frame_number, .. })) = self.entries.get(at) else {
            return at..at;
        };
        let frame_number = *frame_number;
        let of_frame = |entry: &Entry| matches!(entry, Entry::Received(received) if received.frame_number == frame_number);
        let before = self.entries.range(..at).rev().take_while(|entry| of_frame(entry)).count();
        let after = self.entries.range(at..).take_while(|entry| of_frame(entry)).count();
        for entry in self.entries.range_mut(at - before..at + after) {
            if let Entry::Received(received) = std::mem::replace(entry, Entry::Done(Some(frame_number))) {
                self.bytes -= received.packet.len();
            }
        }
        self.report(frame_number, reason);
        at - before..at + after
    }

    /// Does everything that is due at `now`.
    fn tick(&mut self, now: Time) {
        let (start_within, give_up) = (self.config.start_within, self.config.nack.give_up);
        if self.settled.is_none() && self.started.is_some_and(|started| started + start_within <= now) {
            self.start();
        }
        while self.missing > 0 {
            let missing = self.entries.iter().position(|entry| matches!(entry, Entry::Missing(_)));
            let Some(at) = missing else { break };
            match &self.entries[at] {
                Entry::Missing(missing) if missing.noticed + give_up <= now => self.give_up(at),
                _ => break,
            }
        }
        while self.waiting.front().is_some_and(|waiting| waiting.since + give_up <= now) {
            self.drop_waiting();
        }
    }

    /// Nothing from before the first packet is taken any more.
    fn start(&mut self) {
        while let Some(Entry::Done(None) | Entry::Missing(_)) = self.entries.front() {
            if let Some(Entry::Missing(_)) = self.entries.pop_front() {
                self.missing -= 1;
                self.statistics.lost += 1;
            }
            self.base += 1;
        }
        match self.entries.front() {
            Some(Entry::Received(first)) => {
                let (frame_number, start) = (first.frame_number, first.start);
                self.settled = Some(frame_number);
                if !start {
                    self.abandon(0, Abandoned::Lost);
                }
            }
            Some(Entry::Done(Some(frame_number))) => self.settled = Some(*frame_number),
            // All were empty: the stream begins with the next one.
            Some(Entry::Done(None) | Entry::Missing(_)) | None => {
                self.started = None;
                return;
            }
        }
        self.settle();
    }

    /// Gives up the first packet that is missing or of an incomplete frame.
    fn give_up_first(&mut self) {
        match self.entries.front() {
            Some(Entry::Missing(_)) => self.give_up(0),
            Some(Entry::Received(received)) => {
                self.settled = Some(received.frame_number);
                self.abandon(0, Abandoned::Lost);
            }
            Some(Entry::Done(_)) => {}
            None => {
                // All that is left are frames that wait for their structure.
                return self.drop_waiting();
            }
        }
        self.pop_done();
    }

    /// Gives up a missing packet, and the frames that it was part of.
    fn give_up(&mut self, at: usize) {
        self.statistics.lost += 1;
        self.close(at);
    }

    /// Nothing comes in the place of a missing packet.
    fn close(&mut self, at: usize) {
        self.close_unsettled(at);
        self.settle();
    }

    fn close_unsettled(&mut self, at: usize) {
        self.entries[at] = Entry::Done(None);
        self.missing -= 1;
        if let Some(before) = at.checked_sub(1)
            && matches!(&self.entries[before], Entry::Received(before) if !before.end)
        {
            self.abandon(before, Abandoned::Lost);
        }
        if matches!(self.entries.get(at + 1), Some(Entry::Received(after)) if !after.start) {
            self.abandon(at + 1, Abandoned::Lost);
        }
    }

    /// Forgets packets that need no more care, once nothing can come before them.
    fn settle(&mut self) {
        if self.settled.is_some() {
            self.pop_done();
        }
    }

    fn pop_done(&mut self) {
        while let Some(Entry::Done(frame_number)) = self.entries.front() {
            if let Some(frame_number) = frame_number {
                self.settled = Some(frame_number.wrapping_add(1));
            }
            self.entries.pop_front();
            self.base += 1;
        }
    }
}

/// Whether a frame number is before another, if the two are not far from each other.
fn is_below(number: u16, other: u16) -> bool {
    other.wrapping_sub(number) as i16 > 0
}
