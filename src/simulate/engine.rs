//! The event loop: lives a call through in virtual time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::call::Call;
use super::link::Link;
use super::model::{
    DECIDE, HEADERS, PACE, PADDING, PAYLOAD, REPORT, RESEND, SAMPLE, START, TABLE_OFFSET, UNREPORTED, UPLINK,
    camera_offset, receiver_offset,
};
use super::oracle::unavoidable;
use super::outcome::{Outcome, PathSample, ReceiverOutcome};
use super::policies::{Decider, Policy, Watched};
use super::receiver::StreamReceiver;
use super::sender::{Frame, Sender};
use crate::Time;
use crate::congestion::{Estimator, PacketReport, PathState};
use crate::relay::{Forward, Forwarder, ForwarderConfig, FrameReader};
use crate::select::{DemandFold, Network, Probe, ReceiverId, Window};
use crate::structure::{DecodeTargets, Refresh};

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
    /// A sender is asked for a refresh.
    Request(usize, Refresh),
    Sample(usize),
}

/// The window and the frame that a packet belongs to, and when that frame was captured.
type Media = (usize, u64, Time);

#[derive(Debug, Clone, Copy)]
struct Packet {
    sent: Time,
    arrived: Option<Time>,
    bytes: usize,
    probe: Option<u32>,
    /// Padding has none.
    media: Option<Media>,
}

struct Probing {
    number: u32,
    bitrate: u64,
    from: Time,
    until: Time,
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
    /// When the last packet of each stream comes to the relay.
    paced: Vec<Time>,
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
    events: BTreeMap<(Time, u64), Event>,
    number: u64,
    senders: Vec<Sender>,
    /// What the relay knows of each stream.
    readers: Vec<FrameReader>,
    folds: Vec<DemandFold>,
    receivers: Vec<Receiver>,
    /// The receivers that watch each stream, and in which of their windows.
    watchers: Vec<Vec<(usize, usize)>>,
    /// Bit/s at which a sender paces the packets of a stream.
    pace: f64,
}

impl Call {
    /// Lives the call through. The same call gives the same outcome.
    ///
    /// # Panics
    /// If a receiver watches a stream that the call does not have.
    pub fn run(&self, policy: Policy) -> Outcome {
        let mut simulation = Simulation::new(self, policy);
        let end = Time::ZERO + self.duration;
        while let Some(((now, _), event)) = simulation.events.pop_first() {
            if now >= end {
                break;
            }
            simulation.event(now, event);
        }
        simulation.finish()
    }
}

impl<'a> Simulation<'a> {
    fn new(call: &'a Call, policy: Policy) -> Self {
        let video = if policy == Policy::Simulcast { &call.simulcast } else { &call.video };
        let (video, offer) = (Arc::new(video.clone()), video.offer());
        let streams = call.streams as usize;
        let mut simulation = Self {
            call,
            policy,
            events: BTreeMap::new(),
            number: 0,
            senders: (0..streams).map(|n| Sender::new(video.clone(), TABLE_OFFSET * n)).collect(),
            readers: vec![FrameReader::new(); streams],
            folds: (0..streams).map(|_| DemandFold::new(call.demand)).collect(),
            receivers: Vec::new(),
            watchers: vec![Vec::new(); streams],
            pace: PACE * video.bitrate(video.top()).max(1) as f64,
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
                receiver.windows.push(StreamReceiver::new(video.clone()));
                receiver.forwarders.push(Forwarder::new(ForwarderConfig::default()));
                receiver.paced.push(Time::ZERO);
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
            let start = Time::ZERO + receiver_offset(r);
            simulation.at(start, Event::Decide(r));
            simulation.at(start + REPORT, Event::Report(r));
            simulation.at(Time::ZERO + SAMPLE, Event::Sample(r));
        }
        simulation
    }

    fn at(&mut self, time: Time, event: Event) {
        self.events.insert((time, self.number), event);
        self.number += 1;
    }

    fn event(&mut self, now: Time, event: Event) {
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
            Event::Request(s, refresh) => self.senders[s].request(refresh),
            Event::Sample(r) => {
                self.sample(now, r);
                self.at(now + SAMPLE, Event::Sample(r));
            }
        }
    }

    fn capture(&mut self, now: Time, s: usize) {
        let wanted = if self.call.on_demand {
            self.folds[s].demand(now).wanted()
        } else {
            DecodeTargets::all(self.call.video.mode().structure())
        };
        let sender = &mut self.senders[s];
        sender.capture(now, wanted);
        let frames = sender.frames.to_vec();
        self.at(now + UPLINK, Event::Frames(s, frames));
        let picture = Duration::from_secs_f64(1.0 / f64::from(self.call.video.frame_rate()));
        self.at(now + picture, Event::Capture(s));
    }

    fn forward(&mut self, now: Time, s: usize, frames: &[Frame]) {
        let reader = &mut self.readers[s];
        let read = frames.iter().map(|frame| reader.handle_descriptor(&frame.descriptor));
        let Ok(read) = read.collect::<Result<Vec<_>, _>>() else {
            unreachable!("nothing is lost on the way to the relay, so the structure is known");
        };
        for i in 0..self.watchers[s].len() {
            let (r, w) = self.watchers[s][i];
            for (frame, read) in frames.iter().zip(&read) {
                if self.receivers[r].forwarders[w].handle_frame(now, read) != Forward::Drop {
                    self.packets(now, r, w, frame);
                }
            }
            if let Some(refresh) = self.receivers[r].forwarders[w].poll(now) {
                self.at(now + UPLINK, Event::Request(s, refresh));
            }
        }
    }

    /// Sends the packets of a frame, after those of the stream's frames before it.
    fn packets(&mut self, now: Time, r: usize, w: usize, frame: &Frame) {
        let mut paced = now.max(self.receivers[r].paced[w]);
        let packets = frame.bytes.div_ceil(PAYLOAD);
        self.receivers[r].windows[w].expect(frame, packets);
        // Packets of the same size, as packetizers cut.
        let bytes = frame.bytes.div_ceil(packets) + HEADERS;
        let media = (w, frame.plan.frame_number, frame.captured);
        for _ in 0..packets {
            self.at(paced, Event::Send(r, bytes, media));
            paced += Duration::from_secs_f64(bytes as f64 * 8.0 / self.pace);
        }
        self.receivers[r].paced[w] = paced;
    }

    fn send(&mut self, now: Time, r: usize, bytes: usize, media: Option<Media>) {
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

    fn arrive(&mut self, now: Time, r: usize, number: u64) {
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

    fn report(&mut self, now: Time, r: usize) {
        self.at(now + REPORT, Event::Report(r));
        let receiver = &mut self.receivers[r];
        let delay = receiver.link.delay();
        let to = receiver.arrived;
        let asked: Vec<_> = (0..receiver.windows.len())
            .filter(|&w| receiver.forwarders[w].target().is_some())
            .filter_map(|w| Some((receiver.watched[w].stream.0 as usize, receiver.windows[w].blocked(now)?)))
            .collect();
        if to > receiver.reported {
            receiver.reported = to;
            self.at(now + delay, Event::Reported(r, to));
        }
        for (s, spatial_id) in asked {
            self.at(now + delay + UPLINK, Event::Request(s, Refresh::layer(spatial_id)));
        }
    }

    fn reported(&mut self, now: Time, r: usize, to: u64) {
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

    fn decide(&mut self, now: Time, r: usize) {
        let receiver = &mut self.receivers[r];
        let oldest =
            receiver.packets.front().map(|packet| packet.sent).filter(|sent| *sent + REPORT * 4 < now);
        receiver.estimator.silence(now, oldest);
        let idle = receiver.probing.is_none();
        // All policies alike have the estimator's own probes, at the start and after a drop.
        let own = if idle { receiver.estimator.probe(now) } else { None }
            .map(|probe| Probe { bitrate: probe.bitrate, duration: probe.duration });
        // If nothing more is sent, losses at the end are never reported.
        let in_use = receiver.packets.back().is_some_and(|packet| packet.sent + UNREPORTED >= now);
        let under_way = receiver.packets.front().filter(|_| in_use).map(|packet| packet.sent);
        let network = network(receiver.estimator.path(now, under_way));
        let over_used = receiver.estimator.over_used();
        let choice = receiver.decider.decide(now, network, over_used, &receiver.watched);
        let mut requests = Vec::new();
        for (w, &target) in choice.targets.iter().enumerate() {
            let before = receiver.forwarders[w].target();
            if target == before {
                continue;
            }
            if let Some(target) = target {
                let last = receiver.decided[w].replace(target.spatial_id);
                let switched = last.is_some_and(|last| last != target.spatial_id);
                receiver.outcome.decided_switches += u64::from(switched);
            }
            let stream = receiver.watched[w].stream.0 as usize;
            receiver.forwarders[w].set_target(now, target);
            requests.extend(receiver.forwarders[w].poll(now).map(|refresh| (stream, refresh)));
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
        for (s, refresh) in requests {
            self.at(now + UPLINK, Event::Request(s, refresh));
        }
        // The extra decisions after a script's changes do not repeat.
        if (now - receiver_offset(r)).since_start().as_nanos().is_multiple_of(DECIDE.as_nanos()) {
            self.at(now + DECIDE, Event::Decide(r));
        }
    }

    fn pad(&mut self, now: Time, r: usize, number: u32) {
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

    fn sample(&mut self, now: Time, r: usize) {
        let receiver = &mut self.receivers[r];
        let (media, padding) = std::mem::take(&mut receiver.sample);
        let rate = |bytes: usize| (bytes as f64 * 8.0 / SAMPLE.as_secs_f64()) as u64;
        receiver.outcome.samples.push(PathSample {
            capacity: receiver.link.trace().bitrate(now - SAMPLE, now),
            estimate: receiver.estimator.bitrate(),
            media: rate(media),
            padding: rate(padding),
        });
    }

    fn finish(mut self) -> Outcome {
        let end = Time::ZERO + self.call.duration;
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
            call: call.name.clone(),
            policy: self.policy,
            on_demand: call.on_demand,
            duration: call.duration,
            receivers: receivers.collect(),
            sent_bytes: self.senders.iter().map(|sender| sender.bytes).collect(),
            encode_time: self.senders.iter().map(|s| Duration::from_micros(s.encode_us)).collect(),
        }
    }
}

/// The state of a path, as selectors take it.
fn network(path: PathState) -> Network {
    Network {
        available_bitrate: Some(path.bitrate),
        round_trip: path.round_trip,
        loss: path.loss,
        queueing_delay: path.queueing_delay,
    }
}
