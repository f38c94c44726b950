//! A call in virtual time: senders, a relay, and the path from it to each receiver.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::estimator::{Estimator, PacketReport};
use super::link::{Link, LinkConfig};
use super::oracle::unavoidable;
use super::policies::{Decider, Policy, Watched};
use super::receiver::{Seen, StreamReceiver};
use super::relay::Forwarder;
use super::sender::{Frame, Sender};
use super::{Table, Trace};
use crate::select::{DemandConfig, DemandFold, ReceiverId, SelectorConfig, StreamId, Window};
use crate::structure::DecodeTargets;

/// Bytes of a frame that one packet carries, and of the headers around them: IP, UDP, SRTP with its extensions.
pub const PAYLOAD: usize = 1100;
/// See [`PAYLOAD`].
pub const HEADERS: usize = 80;

/// From the camera to the relay: coding, packets, and a path on which nothing is lost.
pub(super) const UPLINK: Duration = Duration::from_millis(40);
/// Senders pace the packets of a frame as libwebrtc does: at two and a half times the stream's mean bitrate.
const PACE: f64 = 2.5;
/// A receiver reports what arrived so often, and the relay decides so often.
const REPORT: Duration = Duration::from_millis(50);
const DECIDE: Duration = Duration::from_millis(100);
/// Padding is sent in steps of this.
const PADDING: Duration = Duration::from_millis(5);
/// What is lost is sent again until it is so old.
const RESEND: Duration = Duration::from_millis(1000);
/// No report is awaited any more once nothing was sent for so long.
const UNREPORTED: Duration = Duration::from_secs(1);
/// What each estimator begins with, in bit/s.
const START: u64 = 300_000;
/// Figures over time are means over this.
const SAMPLE: Duration = Duration::from_millis(500);

/// A window at the times when it changes.
pub type Script = Vec<(Duration, Window)>;

/// Who receives what, and over which path.
#[derive(Debug, Clone)]
pub struct ReceiverSpec {
    /// The capacity of the path from the relay.
    pub trace: Trace,
    /// The rest of it. The way back has the same delay and loses nothing.
    pub link: LinkConfig,
    /// The streams it watches, each once.
    pub watches: Vec<(StreamId, Script)>,
}

/// A call. Streams are numbered from 0; each is coded from the same table at another place in it.
#[derive(Debug, Clone)]
pub struct Call {
    /// How long it lasts.
    pub duration: Duration,
    /// What the streams are coded as, and what the policy `Simulcast` has instead.
    pub table: Table,
    /// The same video as encodings of their own.
    pub simulcast: Table,
    /// Number of streams.
    pub streams: u32,
    /// The receivers.
    pub receivers: Vec<ReceiverSpec>,
    /// Whether senders code only what somebody wants, as the decisions say; else they code everything.
    pub on_demand: bool,
    /// How long a layer that nobody wants any more is still coded.
    pub demand: DemandConfig,
    /// How careful the selector is.
    pub selector: SelectorConfig,
}

/// Figures of one receiver's path over half a second, in bit/s.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Sample {
    /// What the path could carry.
    pub capacity: u64,
    /// The estimate at the end.
    pub estimate: u64,
    /// Media that was sent, again or for the first time.
    pub media: u64,
    /// Padding of probes.
    pub padding: u64,
}

/// What became of a receiver.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReceiverOutcome {
    /// Each of its windows.
    pub windows: Vec<(StreamId, Seen)>,
    /// Stalled time of all windows together for which the link alone answers: what a relay would stall that
    /// knew the trace beforehand and sent one picture after the other to the window that has waited longest, the
    /// newest, as small as the smallest of the lowest decode target and as if each could be decoded by itself.
    pub unavoidable: Duration,
    /// Half second by half second.
    pub samples: Vec<Sample>,
    /// Packets sent, and those that were lost.
    pub packets: u64,
    /// See `packets`.
    pub lost: u64,
    /// Milliseconds from capture to screen of all pictures shown, in order of length.
    pub delays: Vec<u16>,
    /// How often a decision changed the spatial layer of a stream. Pauses do not count, but a stream that comes
    /// back in another layer does.
    pub decided_switches: u64,
}

/// What became of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// How it was decided.
    pub policy: Policy,
    /// Whether senders coded only what somebody wanted.
    pub on_demand: bool,
    /// How long it was.
    pub duration: Duration,
    /// The receivers in their order.
    pub receivers: Vec<ReceiverOutcome>,
    /// Bytes that each sender coded and sent.
    pub sent_bytes: Vec<u64>,
    /// Time that each sender coded for, on one core.
    pub encode_time: Vec<Duration>,
}

enum Event {
    Capture(usize),
    /// Frames of a stream reach the relay.
    Frames(usize, Vec<Frame>),
    /// A packet of a frame is forwarded to a receiver.
    Send(usize, usize, Media),
    /// A packet reaches a receiver.
    Packet(usize, u64),
    Script(usize, usize, usize),
    Report(usize),
    /// A report about the packets up to a number reaches the relay.
    Reported(usize, u64),
    Resend(usize, u64),
    Decide(usize),
    Padding(usize, u32),
    /// A refresh of a spatial layer is asked of a sender.
    Request(usize, u8),
    Sample(usize),
}

/// Which watched stream's frame a packet is of, and when that was captured.
type Media = (usize, u64, Duration);

#[derive(Debug, Clone, Copy)]
struct Packet {
    sent: Duration,
    arrived: Option<Duration>,
    bytes: usize,
    probe: Option<u32>,
    /// Padding has none.
    media: Option<Media>,
}

struct Probing {
    number: u32,
    bitrate: u64,
    from: Duration,
    until: Duration,
    sent: usize,
}

struct Receiver {
    link: Link,
    estimator: Estimator,
    decider: Decider,
    watched: Vec<Watched>,
    windows: Vec<StreamReceiver>,
    forwarders: Vec<Forwarder>,
    /// The spatial layer that was decided last of each stream.
    decided: Vec<Option<u8>>,
    /// Until when the packets of each stream are on their way to the relay.
    paced: Vec<Duration>,
    /// Packets whose fate the relay does not know yet, and the number of the first.
    packets: VecDeque<Packet>,
    first: u64,
    /// The highest number that arrived, plus one, and the one up to which was reported.
    arrived: u64,
    reported: u64,
    probing: Option<Probing>,
    probes: u32,
    report: Vec<PacketReport>,
    sample: (usize, usize),
    outcome: ReceiverOutcome,
}

struct Simulation<'a> {
    call: &'a Call,
    policy: Policy,
    events: BTreeMap<(Duration, u64), Event>,
    number: u64,
    senders: Vec<Sender>,
    folds: Vec<DemandFold>,
    receivers: Vec<Receiver>,
    /// Who watches each stream: the receiver and which of its windows.
    watchers: Vec<Vec<(usize, usize)>>,
    /// Bit/s at which the packets of a stream come.
    pace: f64,
}

/// When a stream's first picture is captured: cameras do not run in step.
pub(super) fn camera_offset(stream: u32) -> Duration {
    Duration::from_micros(3_700 * u64::from(stream) % 33_333)
}

impl Call {
    /// Lives the call through. The same call gives the same outcome.
    ///
    /// # Panics
    /// Where a receiver watches a stream that there is not.
    pub fn run(&self, policy: Policy) -> Outcome {
        let mut simulation = Simulation::new(self, policy);
        while let Some(((now, _), event)) = simulation.events.pop_first() {
            if now >= self.duration {
                break;
            }
            simulation.event(now, event);
        }
        simulation.finish()
    }
}

impl<'a> Simulation<'a> {
    fn new(call: &'a Call, policy: Policy) -> Self {
        let table = if policy == Policy::Simulcast { &call.simulcast } else { &call.table };
        let (table, offer) = (Arc::new(table.clone()), table.offer());
        let streams = call.streams as usize;
        let mut simulation = Self {
            call,
            policy,
            events: BTreeMap::new(),
            number: 0,
            senders: (0..streams).map(|n| Sender::new(table.clone(), 7 * n)).collect(),
            folds: (0..streams).map(|_| DemandFold::new(call.demand)).collect(),
            receivers: Vec::new(),
            watchers: vec![Vec::new(); streams],
            pace: PACE * table.bitrate(table.top()).max(1) as f64,
        };
        for (r, spec) in call.receivers.iter().enumerate() {
            let mut receiver = Receiver {
                link: Link::new(spec.trace.clone(), spec.link),
                estimator: Estimator::new(START),
                decider: policy.decider(call.selector),
                watched: Vec::new(),
                windows: Vec::new(),
                forwarders: Vec::new(),
                decided: vec![None; spec.watches.len()],
                paced: Vec::new(),
                packets: VecDeque::new(),
                first: 0,
                arrived: 0,
                reported: 0,
                probing: None,
                probes: 0,
                report: Vec::new(),
                sample: (0, 0),
                outcome: ReceiverOutcome::default(),
            };
            for (w, (stream, script)) in spec.watches.iter().enumerate() {
                simulation.watchers[stream.0 as usize].push((r, w));
                receiver.watched.push(Watched {
                    stream: *stream,
                    window: Window::default(),
                    offer: offer.clone(),
                });
                receiver.windows.push(StreamReceiver::new(table.clone()));
                receiver.forwarders.push(Forwarder::new(table.is_simulcast()));
                receiver.paced.push(Duration::ZERO);
                for (step, (at, _)) in script.iter().enumerate() {
                    simulation.at(*at, Event::Script(r, w, step));
                }
            }
            simulation.receivers.push(receiver);
        }
        for s in 0..streams {
            simulation.at(camera_offset(s as u32), Event::Capture(s));
        }
        for r in 0..call.receivers.len() {
            let step = Duration::from_micros(900 * r as u64);
            simulation.at(step, Event::Decide(r));
            simulation.at(REPORT + step, Event::Report(r));
            simulation.at(SAMPLE, Event::Sample(r));
        }
        simulation
    }

    fn at(&mut self, time: Duration, event: Event) {
        self.events.insert((time, self.number), event);
        self.number += 1;
    }

    fn event(&mut self, now: Duration, event: Event) {
        match event {
            Event::Capture(s) => self.capture(now, s),
            Event::Send(r, bytes, media) => self.send(now, r, bytes, Some(media)),
            Event::Frames(s, frames) => self.forward(now, s, &frames),
            Event::Packet(r, number) => self.arrive(now, r, number),
            Event::Script(r, w, step) => {
                let (_, window) = self.call.receivers[r].watches[w].1[step];
                let receiver = &mut self.receivers[r];
                receiver.watched[w].window = window;
                receiver.windows[w].set_window(now, window);
                receiver.decider.watch(now, &receiver.watched[w]);
                // The relay hears of it as soon as a message has come to it.
                self.at(now + self.call.receivers[r].link.delay, Event::Decide(r));
            }
            Event::Report(r) => self.report(now, r),
            Event::Reported(r, to) => self.reported(now, r, to),
            Event::Resend(r, number) => {
                let receiver = &self.receivers[r];
                let at = number.checked_sub(receiver.first).and_then(|at| receiver.packets.get(at as usize));
                if let Some(&packet) = at {
                    self.send(now, r, packet.bytes, packet.media);
                }
            }
            Event::Decide(r) => self.decide(now, r),
            Event::Padding(r, number) => self.pad(now, r, number),
            Event::Request(s, spatial_id) => self.senders[s].request(spatial_id),
            Event::Sample(r) => {
                self.sample(now, r);
                self.at(now + SAMPLE, Event::Sample(r));
            }
        }
    }

    fn capture(&mut self, now: Duration, s: usize) {
        let wanted = if self.call.on_demand {
            self.folds[s].demand(now).wanted()
        } else {
            DecodeTargets::all(self.call.table.mode().structure())
        };
        let sender = &mut self.senders[s];
        sender.capture(now, wanted);
        let frames = sender.frames.to_vec();
        self.at(now + UPLINK, Event::Frames(s, frames));
        let picture = Duration::from_secs_f64(1.0 / f64::from(self.call.table.frame_rate()));
        self.at(now + picture, Event::Capture(s));
    }

    fn forward(&mut self, now: Duration, s: usize, frames: &[Frame]) {
        for i in 0..self.watchers[s].len() {
            let (r, w) = self.watchers[s][i];
            for frame in frames {
                match self.receivers[r].forwarders[w].take(frame) {
                    Ok(true) => self.packets(now, r, w, frame),
                    Ok(false) => {}
                    Err(spatial_id) => self.at(now + UPLINK, Event::Request(s, spatial_id)),
                }
            }
        }
    }

    /// Sends the packets of a frame, after those of the stream's frames before it.
    fn packets(&mut self, now: Duration, r: usize, w: usize, frame: &Frame) {
        let mut paced = now.max(self.receivers[r].paced[w]);
        let packets = frame.bytes.div_ceil(PAYLOAD);
        self.receivers[r].windows[w].expect(frame, packets);
        // Packets of the same size, as packetizers cut.
        let bytes = frame.bytes.div_ceil(packets) + HEADERS;
        let media = (w, frame.number, frame.captured);
        for _ in 0..packets {
            self.at(paced, Event::Send(r, bytes, media));
            paced += Duration::from_secs_f64(bytes as f64 * 8.0 / self.pace);
        }
        self.receivers[r].paced[w] = paced;
    }

    fn send(&mut self, now: Duration, r: usize, bytes: usize, media: Option<Media>) {
        let receiver = &mut self.receivers[r];
        let number = receiver.first + receiver.packets.len() as u64;
        let arrives = receiver.link.send(now, bytes);
        let probe = receiver.probing.as_mut().filter(|probing| now < probing.until).map(|probing| {
            probing.sent += bytes;
            probing.number
        });
        receiver.packets.push_back(Packet { sent: now, arrived: None, bytes, probe, media });
        receiver.outcome.packets += 1;
        receiver.outcome.lost += u64::from(arrives.is_none());
        if media.is_some() {
            receiver.sample.0 += bytes
        } else {
            receiver.sample.1 += bytes
        }
        if let Some(arrives) = arrives {
            self.at(arrives, Event::Packet(r, number));
        }
    }

    fn arrive(&mut self, now: Duration, r: usize, number: u64) {
        let receiver = &mut self.receivers[r];
        let delay = receiver.link.delay();
        let packet = &mut receiver.packets[(number - receiver.first) as usize];
        packet.arrived = Some(now);
        if let Some((w, frame, _)) = packet.media {
            receiver.windows[w].packet(now, frame);
        }
        let from = std::mem::replace(&mut receiver.arrived, number + 1);
        // Packets come in order: those between are lost, and asked for again.
        for lost in from..number {
            let media = self.receivers[r].packets[(lost - self.receivers[r].first) as usize].media;
            if media.is_some_and(|(_, _, captured)| now < captured + RESEND) {
                self.at(now + delay, Event::Resend(r, lost));
            }
        }
    }

    fn report(&mut self, now: Duration, r: usize) {
        self.at(now + REPORT, Event::Report(r));
        let receiver = &mut self.receivers[r];
        let delay = receiver.link.delay();
        let to = receiver.arrived;
        let asked: Vec<_> = (0..receiver.windows.len())
            .filter(|&w| receiver.forwarders[w].wanted().is_some())
            .filter_map(|w| Some((receiver.watched[w].stream.0 as usize, receiver.windows[w].blocked(now)?)))
            .collect();
        if to > receiver.reported {
            receiver.reported = to;
            self.at(now + delay, Event::Reported(r, to));
        }
        for (s, spatial_id) in asked {
            self.at(now + delay + UPLINK, Event::Request(s, spatial_id));
        }
    }

    fn reported(&mut self, now: Duration, r: usize, to: u64) {
        let receiver = &mut self.receivers[r];
        let Receiver { packets, first, report, estimator, .. } = receiver;
        report.clear();
        // Lost packets stay known until the request to send them again has come, which is before the report.
        for packet in packets.drain(..(to - *first) as usize) {
            let Packet { sent, arrived, bytes, probe, .. } = packet;
            report.push(PacketReport { sent, arrived, bytes, probe });
        }
        *first = to;
        estimator.report(now, report);
    }

    fn decide(&mut self, now: Duration, r: usize) {
        let receiver = &mut self.receivers[r];
        if receiver.packets.front().is_some_and(|packet| packet.sent + REPORT * 4 < now) {
            receiver.estimator.silence(now);
        }
        let idle = receiver.probing.is_none();
        // Its own probes, at the start and after a drop, are there for all policies alike.
        let own = if idle { receiver.estimator.probe(now) } else { None };
        // Where nothing more is sent, what was lost at the end is never reported.
        let in_use = receiver.packets.back().is_some_and(|packet| packet.sent + UNREPORTED >= now);
        let under_way = receiver.packets.front().filter(|_| in_use).map(|packet| packet.sent);
        let network = receiver.estimator.network(now, under_way);
        let over_used = receiver.estimator.over_used();
        let choice = receiver.decider.decide(now, network, over_used, &receiver.watched);
        let mut requests = Vec::new();
        for (w, &target) in choice.targets.iter().enumerate() {
            let before = receiver.forwarders[w].wanted();
            if target == before {
                continue;
            }
            if let Some(target) = target {
                let last = receiver.decided[w].replace(target.spatial_id);
                let switched = last.is_some_and(|last| last != target.spatial_id);
                receiver.outcome.decided_switches += u64::from(switched);
            }
            let stream = receiver.watched[w].stream.0 as usize;
            requests.extend(receiver.forwarders[w].set(target).map(|spatial_id| (stream, spatial_id)));
            receiver.windows[w].set_target(now, target);
        }
        let probe = choice.probe;
        let folds = &mut self.folds;
        for stream in receiver.decider.streams() {
            folds[stream.stream.0 as usize].set_receiver(now, ReceiverId(r as u32), stream);
        }
        if let Some(probe) = probe.or(own).filter(|_| idle) {
            let number = receiver.probes;
            receiver.probes += 1;
            let (from, until) = (now, now + probe.duration);
            receiver.probing = Some(Probing { number, bitrate: probe.bitrate, from, until, sent: 0 });
            self.at(now, Event::Padding(r, number));
        }
        for (s, spatial_id) in requests {
            self.at(now + UPLINK, Event::Request(s, spatial_id));
        }
        // Those that a script brings in between do not repeat.
        let step = Duration::from_micros(900 * r as u64);
        if (now - step).as_nanos().is_multiple_of(DECIDE.as_nanos()) {
            self.at(now + DECIDE, Event::Decide(r));
        }
    }

    fn pad(&mut self, now: Duration, r: usize, number: u32) {
        let receiver = &mut self.receivers[r];
        let Some(probing) = receiver.probing.as_ref().filter(|probing| probing.number == number) else {
            return;
        };
        if now >= probing.until {
            receiver.probing = None;
            return;
        }
        let passed = (now + PADDING - probing.from).as_secs_f64();
        let goal = (probing.bitrate as f64 * passed / 8.0) as usize;
        let mut missing = goal.saturating_sub(probing.sent);
        while missing > 0 {
            let bytes = missing.clamp(HEADERS, PAYLOAD + HEADERS);
            self.send(now, r, bytes, None);
            missing = missing.saturating_sub(bytes);
        }
        self.at(now + PADDING, Event::Padding(r, number));
    }

    fn sample(&mut self, now: Duration, r: usize) {
        let receiver = &mut self.receivers[r];
        let (media, padding) = std::mem::take(&mut receiver.sample);
        let rate = |bytes: usize| (bytes as f64 * 8.0 / SAMPLE.as_secs_f64()) as u64;
        receiver.outcome.samples.push(Sample {
            capacity: receiver.link.trace().bitrate(now - SAMPLE, now),
            estimate: receiver.estimator.bitrate(),
            media: rate(media),
            padding: rate(padding),
        });
    }

    fn finish(mut self) -> Outcome {
        let end = self.call.duration;
        let call = self.call;
        let receivers = self.receivers.drain(..).zip(&call.receivers).map(|(mut receiver, spec)| {
            let mut outcome = receiver.outcome;
            outcome.unavoidable = unavoidable(call, spec);
            for (window, watched) in receiver.windows.iter_mut().zip(&receiver.watched) {
                window.finish(end);
                outcome.delays.append(&mut window.delays);
                outcome.windows.push((watched.stream, std::mem::take(&mut window.seen)));
            }
            outcome.delays.sort_unstable();
            outcome
        });
        Outcome {
            policy: self.policy,
            on_demand: call.on_demand,
            duration: end,
            receivers: receivers.collect(),
            sent_bytes: self.senders.iter().map(|sender| sender.bytes).collect(),
            encode_time: self.senders.iter().map(|s| Duration::from_micros(s.encode_us)).collect(),
        }
    }
}
