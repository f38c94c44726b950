//! The event loop: lives a call through in virtual time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::call::Call;
use super::downlink::{Downlink, Shared};
use super::link::Link;
use super::model::{
    DECIDE, OVERHEAD, SAMPLE, TABLE_OFFSET, TRANSPORT_FEEDBACK_SSRC, UPLINK, camera_offset, receiver_offset,
};
use super::oracle::{best, unavoidable};
use super::outcome::{Outcome, PathSample, ReceiverOutcome};
use super::policies::{Decider, Policy, Watched};
use super::receiver::WindowReceiver;
use super::sender::{Sender, ssrc_of};
use crate::Time;
use crate::congestion::{FeedbackConfig, ReceivePath};
use crate::relay::{FrameReader, RefreshRequests, network};
use crate::rtp::RtpPacket;
use crate::select::{DemandFold, ReceiverId, Window};
use crate::session::{DESCRIPTOR_ID, TRANSPORT_ID};
use crate::structure::{DecodeTarget, DecodeTargets, Refresh};

enum Event {
    Capture(usize),
    /// A packet of a stream reaches the relay.
    Uplink(usize, Bytes),
    /// A packet reaches a receiver.
    Downlink(usize, Bytes),
    /// A packet of a receiver reaches the relay.
    Feedback(usize, Bytes),
    /// A sender is asked for a refresh.
    Request(usize, Refresh),
    /// A receiver's window is told which decode target comes.
    Target(usize, usize, Option<DecodeTarget>),
    Script(usize, usize, usize),
    Decide(usize),
    Sample(usize),
    /// The relay's side of a path, or a receiver, has something to do.
    WakeRelay(usize),
    WakeReceiver(usize),
}

struct Receiver {
    link: Link,
    downlink: Downlink,
    decider: Decider,
    watched: Vec<Watched>,
    path: ReceivePath,
    windows: Vec<WindowReceiver>,
    /// The spatial layer that was decided last of each stream.
    decided: Vec<Option<u8>>,
    /// When the relay and the receiver have events to wake them.
    relay_wakes: Option<Time>,
    wakes: Option<Time>,
    sample: (usize, usize),
    outcome: ReceiverOutcome,
}

struct Simulation<'a> {
    call: &'a Call,
    policy: Policy,
    events: BTreeMap<(Time, u64), Event>,
    number: u64,
    senders: Vec<Sender>,
    /// What the relay knows of each stream, and what it asks of its sender.
    readers: Vec<FrameReader>,
    requests: Vec<RefreshRequests>,
    shared: Shared,
    folds: Vec<DemandFold>,
    receivers: Vec<Receiver>,
    /// The receivers that watch each stream, and in which of their windows.
    watchers: Vec<Vec<(usize, usize)>>,
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
            senders: (0..streams).map(|s| Sender::new(video.clone(), ssrc_of(s), TABLE_OFFSET * s)).collect(),
            readers: vec![FrameReader::new(); streams],
            requests: vec![RefreshRequests::default(); streams],
            shared: Shared::new(streams),
            folds: (0..streams).map(|_| DemandFold::new(call.demand)).collect(),
            receivers: Vec::new(),
            watchers: vec![Vec::new(); streams],
        };
        for (r, spec) in call.receivers.iter().enumerate() {
            let mut receiver = Receiver {
                link: Link::new(spec.trace.clone(), spec.link),
                downlink: Downlink::new(spec.watches.iter().map(|(stream, _)| stream.0 as usize)),
                decider: policy.decider(call.selector),
                watched: Vec::new(),
                path: ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(TRANSPORT_FEEDBACK_SSRC, 0)),
                windows: Vec::new(),
                decided: vec![None; spec.watches.len()],
                relay_wakes: None,
                wakes: None,
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
                let parts = simulation.senders[stream.0 as usize].parts();
                receiver.windows.push(WindowReceiver::new(video.clone(), &parts));
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
            simulation.at(Time::ZERO + receiver_offset(r), Event::Decide(r));
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
            Event::Uplink(s, packet) => self.forward(now, s, &packet),
            Event::Downlink(r, packet) => self.arrive(now, r, packet),
            Event::Feedback(r, packet) => {
                let receiver = &mut self.receivers[r];
                for (s, refresh) in receiver.downlink.handle_feedback(now, &packet, &mut self.shared) {
                    self.requests[s].handle_request(refresh);
                }
                self.send(now, r);
            }
            Event::Request(s, refresh) => self.senders[s].request(now, refresh),
            Event::Target(r, w, target) => {
                self.receivers[r].windows[w].set_target(now, target);
                self.poll_receiver(now, r, Some(w));
            }
            Event::Script(r, w, step) => {
                let (_, window) = self.call.receivers[r].watches[w].1[step];
                let receiver = &mut self.receivers[r];
                receiver.watched[w].window = window;
                receiver.windows[w].screen.set_window(now, window);
                receiver.decider.watch(now, &receiver.watched[w]);
                // The relay hears of it as soon as a message has come to it.
                self.at(now + self.call.receivers[r].link.delay, Event::Decide(r));
            }
            Event::Decide(r) => self.decide(now, r),
            Event::Sample(r) => {
                self.sample(now, r);
                self.at(now + SAMPLE, Event::Sample(r));
            }
            Event::WakeRelay(r) => {
                self.receivers[r].relay_wakes = None;
                self.send(now, r);
            }
            Event::WakeReceiver(r) => {
                self.receivers[r].wakes = None;
                self.poll_receiver(now, r, None);
            }
        }
    }

    fn capture(&mut self, now: Time, s: usize) {
        let wanted = if self.call.on_demand {
            self.folds[s].demand(now).wanted()
        } else {
            DecodeTargets::all(self.call.video.mode().structure())
        };
        self.senders[s].capture(now, wanted);
        while let Some(packet) = self.senders[s].poll(now) {
            self.at(now + UPLINK, Event::Uplink(s, packet));
        }
        let picture = Duration::from_secs_f64(1.0 / f64::from(self.call.video.frame_rate()));
        self.at(now + picture, Event::Capture(s));
    }

    /// The relay takes a packet of a stream.
    fn forward(&mut self, now: Time, s: usize, packet: &Bytes) {
        let Ok(rtp) = RtpPacket::read(packet) else { unreachable!("the packets are those of the product") };
        let descriptor = rtp.extension(DESCRIPTOR_ID);
        let Ok(Ok(frame)) = descriptor.map(|bytes| self.readers[s].read(bytes.unwrap_or_default())) else {
            unreachable!("each has a descriptor, and nothing is lost on the way to the relay");
        };
        self.requests[s].handle_frame(&frame);
        let packet = self.shared.keep(now, s, &rtp, packet, &frame);
        for i in 0..self.watchers[s].len() {
            let (r, w) = self.watchers[s][i];
            if self.receivers[r].downlink.handle_packet(now, w, &packet, &frame, &mut self.shared) {
                self.send(now, r);
            }
            self.follow(now, r, w);
        }
        self.ask(now, s);
    }

    /// Tells a receiver's window when another decode target begins to come.
    fn follow(&mut self, now: Time, r: usize, w: usize) {
        let delay = self.receivers[r].link.delay();
        if let Some(current) = self.receivers[r].downlink.changed(w) {
            self.at(now + delay, Event::Target(r, w, current));
        }
    }

    /// Asks the sender of a stream for what its receivers need.
    fn ask(&mut self, now: Time, s: usize) {
        for i in 0..self.watchers[s].len() {
            let (r, w) = self.watchers[s][i];
            if self.receivers[r].downlink.asks(w) {
                self.hand_on(now, r);
            }
        }
        if let Some(refresh) = self.requests[s].poll(now) {
            self.at(now + UPLINK, Event::Request(s, refresh));
        }
    }

    /// Hands on the refreshes that a receiver needs.
    fn hand_on(&mut self, now: Time, r: usize) {
        for (s, refresh) in self.receivers[r].downlink.poll_refreshes(now) {
            self.requests[s].handle_request(refresh);
        }
    }

    /// Sends what is due on the path to a receiver.
    fn send(&mut self, now: Time, r: usize) {
        while let Some((packet, media)) = self.receivers[r].downlink.poll(now, &mut self.shared) {
            let receiver = &mut self.receivers[r];
            let bytes = packet.len() + OVERHEAD;
            let arrives = receiver.link.send(now, bytes);
            receiver.outcome.packets += 1;
            receiver.outcome.lost += u64::from(arrives.is_none());
            *(if media { &mut receiver.sample.0 } else { &mut receiver.sample.1 }) += bytes;
            if let Some(arrives) = arrives {
                self.at(arrives, Event::Downlink(r, packet));
            }
        }
        self.hand_on(now, r);
        // A relay does not wait for its next round when the path gets worse.
        if self.receivers[r].downlink.take_fell() {
            self.at(now + Duration::from_micros(1), Event::Decide(r));
        }
        let receiver = &mut self.receivers[r];
        if let Some(at) = receiver.downlink.timeout
            && receiver.relay_wakes.is_none_or(|wakes| at < wakes)
        {
            receiver.relay_wakes = Some(at);
            self.at(at, Event::WakeRelay(r));
        }
    }

    fn arrive(&mut self, now: Time, r: usize, packet: Bytes) {
        let receiver = &mut self.receivers[r];
        receiver.path.handle_packet(now, &packet);
        let ssrc = RtpPacket::read(&packet).map_or(0, |rtp| rtp.header.ssrc);
        let window = receiver.watched.iter().position(|watched| ssrc_of(watched.stream.0 as usize) == ssrc);
        if let Some(w) = window {
            receiver.windows[w].handle_packet(now, packet);
        }
        self.poll_receiver(now, r, window);
    }

    /// Polls one window of a receiver, or all of those whose time has come, and sends their feedback.
    fn poll_receiver(&mut self, now: Time, r: usize, window: Option<usize>) {
        let receiver = &mut self.receivers[r];
        let arrives = now + receiver.link.delay();
        let mut feedback = Vec::new();
        while let Some(packet) = receiver.path.poll(now) {
            feedback.push(packet);
        }
        for (w, stream) in receiver.windows.iter_mut().enumerate() {
            if window == Some(w) || stream.timeout.is_some_and(|timeout| timeout <= now) {
                while let Some(packet) = stream.poll(now) {
                    feedback.push(packet);
                }
            }
        }
        let timeouts = receiver.windows.iter().filter_map(|window| window.timeout);
        let next = timeouts.chain(receiver.path.next_timeout()).min();
        if let Some(at) = next.map(|at| at.max(now))
            && receiver.wakes.is_none_or(|wakes| at < wakes)
        {
            receiver.wakes = Some(at);
            self.at(at, Event::WakeReceiver(r));
        }
        for packet in feedback {
            self.at(arrives, Event::Feedback(r, packet));
        }
    }

    fn decide(&mut self, now: Time, r: usize) {
        let receiver = &mut self.receivers[r];
        let network = network(receiver.downlink.state(now));
        let over_used = receiver.downlink.over_used();
        let choice = receiver.decider.decide(now, network, over_used, &receiver.watched);
        for (w, &target) in choice.targets.iter().enumerate() {
            if target == receiver.downlink.target(w) {
                continue;
            }
            if let Some(target) = target {
                let last = receiver.decided[w].replace(target.spatial_id);
                let switched = last.is_some_and(|last| last != target.spatial_id);
                receiver.outcome.decided_switches += u64::from(switched);
            }
            receiver.downlink.set_target(now, w, target);
        }
        if let Some(probe) = choice.probe {
            receiver.downlink.probe(now, probe);
        }
        for stream in receiver.decider.streams() {
            self.folds[stream.stream.0 as usize].set_receiver(now, ReceiverId(r as u32), stream);
        }
        for w in 0..self.receivers[r].windows.len() {
            self.follow(now, r, w);
            self.ask(now, self.receivers[r].watched[w].stream.0 as usize);
        }
        self.send(now, r);
        // The extra decisions after a script's changes do not repeat.
        if (now - receiver_offset(r)).since_start().as_nanos().is_multiple_of(DECIDE.as_nanos()) {
            self.at(now + DECIDE, Event::Decide(r));
        }
    }

    fn sample(&mut self, now: Time, r: usize) {
        let receiver = &mut self.receivers[r];
        let (media, padding) = std::mem::take(&mut receiver.sample);
        let rate = |bytes: usize| (bytes as f64 * 8.0 / SAMPLE.as_secs_f64()) as u64;
        receiver.outcome.samples.push(PathSample {
            capacity: receiver.link.trace().bitrate(now - SAMPLE, now),
            estimate: receiver.downlink.bitrate(now),
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
            outcome.best = best(call, spec);
            for (window, watched) in receiver.windows.iter_mut().zip(&receiver.watched) {
                let screen = &mut window.screen;
                screen.finish(end);
                outcome.delays.append(&mut screen.delays);
                outcome.windows.push((watched.stream, std::mem::take(&mut screen.seen)));
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
