//! The call: all participants, the relay and the links between them, event by event.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use layercast::e2ee::mls::{Outcome as Accepted, Processed};
use layercast::e2ee::{Agreement, Context, Grant};
use layercast::picture::Picture;
use layercast::relay::{Room, RoomConfig, RoomOutput};
use layercast::rtp::RtpPacket;
use layercast::rtp::rtcp::is_rtcp;
use layercast::select::{DemandMessage, ReceiverReport, Window};
use layercast::{Size, Time};
use layercast_examples::Result;

use crate::content::Pictures;
use crate::everything::Everything;
use crate::moments::views;
use crate::outcome::{Decided, Moment, Outcome, RelayOutcome, Sample, Shown, StreamOutcome, TapOutcome};
use crate::person::Person;
use crate::script::{Action, Content, Line, WindowSpec};
use crate::stream::Stream;

/// The path of each participant is looked at this often, and reports are sent again after so many times.
pub const SAMPLE: Duration = Duration::from_millis(100);
const REPORT: u64 = 10;

/// How a call is held.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// By the clock of the machine, with senders that are told how long coding takes.
    pub real_time: bool,
}

/// What happens at a time.
enum Event {
    Capture(usize),
    ToRoom(usize, Bytes),
    ToPerson(usize, Bytes),
    Report(usize, Vec<u8>),
    Signal(usize, Box<Signal>),
    Sample,
}

/// What the app's own service brings, which loses nothing.
enum Signal {
    /// For the one who made the group.
    KeyPackage(usize, Vec<u8>),
    Commit(Vec<u8>),
    Welcome(Vec<u8>),
    Grant(usize, Grant, Option<u64>),
    Demand(DemandMessage),
}

/// A call.
pub struct Call {
    options: Options,
    lines: std::vec::IntoIter<Line>,
    line: Option<Line>,
    pub now: Time,
    pub end: Time,
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
    room: Room,
    room_wake: Option<Time>,
    buffer: Vec<u8>,
    pub people: Vec<Person>,
    pub streams: Vec<Stream>,
    /// One for each stream, if the machine has time for it.
    everything: Vec<Everything>,
    /// Pictures of cameras, by their size.
    drawn: HashMap<Size, Arc<Vec<Picture>>>,
    /// The last epoch that began with a removal.
    removal: Option<u64>,
    samples: u64,
    histogram: Vec<u64>,
    pub outcome: Outcome,
}

impl Call {
    pub fn new(lines: Vec<Line>, options: Options) -> Self {
        let end = lines.last().map_or(Time::ZERO, |line| line.at);
        let mut lines = lines.into_iter();
        let line = lines.next();
        Self {
            options,
            lines,
            line,
            now: Time::ZERO,
            end,
            events: BTreeMap::from([((Time::ZERO, 0), Event::Sample)]),
            count: 0,
            room: Room::new(RoomConfig::default()),
            room_wake: None,
            buffer: Vec::new(),
            people: Vec::new(),
            streams: Vec::new(),
            everything: Vec::new(),
            drawn: HashMap::new(),
            removal: None,
            samples: 0,
            histogram: vec![0; 256],
            outcome: Outcome { duration: end - Time::ZERO, ..Outcome::default() },
        }
    }

    /// Holds the call. `watch` sees it ten times a second, and ends it by `false`.
    pub fn run(mut self, mut watch: impl FnMut(&Self) -> Result<bool>) -> Result<Outcome> {
        self.draw_ahead();
        let started = Instant::now();
        loop {
            let line = self.line.as_ref().map(|line| line.at);
            let event = self.events.first_key_value().map(|((at, _), _)| *at);
            let wakes = self.people.iter().filter_map(|person| person.wake);
            let next = wakes.chain(line).chain(event).chain(self.room_wake).min();
            let Some(next) = next.filter(|next| *next <= self.end) else { break };
            self.now = self.now.max(next);
            if self.options.real_time {
                self.wait(started, next);
            }
            if line.is_some_and(|at| at <= self.now) {
                let Some(line) = std::mem::replace(&mut self.line, self.lines.next()) else { break };
                if line.action == (Action::End {}) {
                    break;
                }
                self.act(line)?;
            } else if event.is_some_and(|at| at <= self.now) {
                let Some((_, event)) = self.events.pop_first() else { break };
                let is_sample = matches!(event, Event::Sample);
                self.handle(event)?;
                if is_sample && !watch(&self)? {
                    return Err("the call was ended".into());
                }
            }
            self.poll()?;
        }
        self.now = self.end;
        self.finish()
    }

    /// Waits for the clock, or notes how far behind it the call is.
    fn wait(&mut self, started: Instant, next: Time) {
        let (due, passed) = (next - Time::ZERO, started.elapsed());
        match due.checked_sub(passed) {
            Some(early) => std::thread::sleep(early),
            None => self.outcome.behind = self.outcome.behind.max(Some(passed - due)),
        }
        self.now = self.now.max(Time::ZERO + started.elapsed());
    }

    /// Draws the cameras' pictures, which takes a while.
    fn draw_ahead(&mut self) {
        for line in self.line.iter().chain(self.lines.as_slice()) {
            if let Action::Publish { content, width, height, .. } = &line.action {
                Pictures::new(*content, Size::new(*width, *height), &mut self.drawn);
            }
        }
    }

    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.insert((time.max(self.now), self.count), event);
    }

    fn person(&self, name: &str) -> Result<usize> {
        let place = self.people.iter().position(|person| person.name == name);
        place.ok_or_else(|| format!("nobody is called {name}").into())
    }

    fn stream(&self, name: &str) -> Result<usize> {
        let place = self.streams.iter().position(|stream| stream.name == name);
        place.ok_or_else(|| format!("no stream is called {name}").into())
    }

    // ---- The script ----

    fn act(&mut self, line: Line) -> Result<()> {
        let Line { action, note, freeze, .. } = line;
        let now = self.now;
        if let Some(note) = note {
            self.outcome.notes.push((now, note));
        }
        let who = match &action {
            Action::Join { .. } => {
                self.join(&action)?;
                None
            }
            Action::Publish { who, .. } | Action::Show { who, .. } => {
                let place = self.person(who)?;
                if self.people[place].is_ready() {
                    self.begin(place, &action)?;
                } else {
                    self.people[place].pending.push(action.clone());
                }
                Some(place)
            }
            Action::Link { who, up, down } => {
                let place = self.person(who)?;
                let person = &mut self.people[place];
                up.iter().for_each(|spec| person.up.change(spec));
                down.iter().for_each(|spec| person.down.change(spec));
                Some(place)
            }
            Action::Remove { who } => {
                let place = self.person(who)?;
                self.remove(place)?;
                None
            }
            Action::Look { stream } => {
                let stream = self.stream(stream)?;
                self.look(stream);
                None
            }
            Action::End {} => None,
        };
        if let Some((who, freeze)) = who.zip(freeze) {
            self.people[who].outcome.explained.push((now, freeze));
        }
        Ok(())
    }

    fn join(&mut self, action: &Action) -> Result<()> {
        let (now, place) = (self.now, self.people.len());
        let mut person = Person::new(place as u32 + 1, action)?;
        if self.people.iter().any(|other| other.name == person.name) {
            return Err(format!("{} is in the call already", person.name).into());
        }
        self.room.join(now, person.id)?;
        if place == 0 {
            let login = person.login.take().ok_or("an observer cannot make the group")?;
            person.group = Some(login.create(Agreement::default())?);
        }
        let key_package = person.login.as_ref().map(|login| login.key_package()).transpose()?;
        self.people.push(person);
        if let Some(key_package) = key_package {
            self.signal(place, 0, Signal::KeyPackage(place, key_package));
        }
        if self.people[place].observer {
            self.hand_out_grants(now)?;
        }
        Ok(())
    }

    /// Publishes, or shows windows.
    fn begin(&mut self, place: usize, action: &Action) -> Result<()> {
        match action {
            Action::Publish { .. } => self.publish(place, action),
            Action::Show { windows, .. } => self.show(place, windows),
            _ => Ok(()),
        }
    }

    fn publish(&mut self, place: usize, action: &Action) -> Result<()> {
        let Action::Publish { stream: name, content, width, height, mode, fps, max_kbps, .. } = action else {
            return Ok(());
        };
        let (now, at) = (self.now, self.streams.len());
        let person = &mut self.people[place];
        let member = person.group.as_ref().ok_or("only a member sends")?.member();
        let of = (place, member, person.sources.len() as u16);
        let (ssrc, size) = (0x5eed_0000 + 16 * at as u32, Size::new(*width, *height));
        let mode = mode.parse()?;
        let content = (*content, Pictures::new(*content, size, &mut self.drawn));
        let stream = Stream::new(name, of, ssrc, mode, size, *fps, content, max_kbps * 1000, now);
        let has_path = person.sources.is_empty();
        let sender = stream.sender(person.sender_keys()?, has_path)?;
        person.sources.push((at, sender));
        self.room.publish(now, person.id, stream.config(at))?;
        if !self.options.real_time {
            self.everything.push(Everything::start(stream.encoder())?);
        }
        self.streams.push(stream);
        self.at(now, Event::Capture(at));
        self.hand_out_grants(now)?;
        for person in &mut self.people {
            // Observers listen once they have the key.
            if person.group.is_some() {
                person.listen(now, at, &self.streams[at])?;
            }
        }
        Ok(())
    }

    fn show(&mut self, place: usize, specs: &[WindowSpec]) -> Result<()> {
        let now = self.now;
        let mut windows = Vec::new();
        for spec in specs {
            let size = Size::new(spec.width, spec.height);
            windows.push((self.stream(&spec.stream)?, Window::new(size, spec.priority.into())));
        }
        let person = &mut self.people[place];
        person.show(now, &windows, &self.streams)?;
        let sizes: Vec<_> = windows.iter().map(|&(stream, window)| (stream, window.size)).collect();
        person.outcome.show(now, &sizes);
        self.report(place)
    }

    /// Tells the relay of windows and of the processor.
    fn report(&mut self, place: usize) -> Result<()> {
        let mut bytes = Vec::new();
        self.people[place].report().write(&mut bytes)?;
        self.at(self.now + self.people[place].up.delay(), Event::Report(place, bytes));
        Ok(())
    }

    fn remove(&mut self, place: usize) -> Result<()> {
        let now = self.now;
        let Person { id, observer, group, left, outcome, .. } = &mut self.people[place];
        let member = group.as_ref().map(|group| group.member());
        (*left, outcome.removed) = (Some(now), Some(now));
        outcome.show(now, &[]);
        self.room.leave(now, *id);
        let was_observer = *observer;
        let group = self.people[0].group.as_mut().ok_or("the one who made the group is gone")?;
        let commit = match member {
            Some(member) => group.remove(&[member])?,
            // It has keys of this epoch, and gets none of the next.
            None if was_observer => group.update()?,
            None => return Ok(()),
        };
        let epoch = group.merge()?;
        self.removal = Some(epoch);
        self.deliver(&commit.commit)
    }

    // ---- Keys ----

    /// From one participant's app to another's, by way of the service.
    fn signal(&mut self, from: usize, to: usize, signal: Signal) {
        let delay = self.people[from].up.delay() + self.people[to].down.delay();
        self.at(self.now + delay, Event::Signal(to, Box::new(signal)));
    }

    /// Brings a commit of the first one to all others who are members by then.
    fn deliver(&mut self, commit: &[u8]) -> Result<()> {
        let now = self.now;
        self.people[0].enter(now)?;
        self.people[0].rekey(&mut self.streams, now)?;
        for other in 1..self.people.len() {
            if self.people[other].invited {
                self.signal(0, other, Signal::Commit(commit.to_vec()));
            }
        }
        self.hand_out_grants(now)
    }

    /// Observers get the keys of the base layers of all cameras, and no others.
    fn hand_out_grants(&mut self, now: Time) -> Result<()> {
        let Some(group) = &self.people[0].group else { return Ok(()) };
        let (grant, agreement) = (group.grant()?, Agreement::default());
        let observers: Vec<usize> = (0..self.people.len())
            .filter(|place| self.people[*place].observer && self.people[*place].left.is_none())
            .collect();
        for to in observers {
            for at in 0..self.streams.len() {
                let Stream { member, number, content, .. } = &self.streams[at];
                if *content == Content::Screen {
                    continue;
                }
                let context = Context::video(*number, 0);
                let part = grant.part(&agreement, *member, context)?.ok_or("the group's key has parts")?;
                let delay = self.people[0].up.delay() + self.people[to].down.delay();
                self.at(now + delay, Event::Signal(to, Box::new(Signal::Grant(at, part, self.removal))));
            }
        }
        Ok(())
    }

    fn handle_signal(&mut self, place: usize, signal: Signal) -> Result<()> {
        let now = self.now;
        match signal {
            Signal::KeyPackage(newcomer, key_package) => {
                let group = self.people[0].group.as_mut().ok_or("the one who made the group is gone")?;
                let invitation = group.add(&[&key_package])?;
                group.merge()?;
                self.deliver(&invitation.commit)?;
                self.people[newcomer].invited = true;
                self.signal(0, newcomer, Signal::Welcome(invitation.welcome));
            }
            Signal::Welcome(welcome) => {
                let person = &mut self.people[place];
                let login = person.login.take().ok_or("somebody was invited twice")?;
                person.group = Some(login.join(Agreement::default(), &welcome)?);
                for at in 0..self.streams.len() {
                    self.people[place].listen(now, at, &self.streams[at])?;
                }
                for action in std::mem::take(&mut self.people[place].pending) {
                    self.begin(place, &action)?;
                }
            }
            Signal::Commit(commit) => {
                let person = &mut self.people[place];
                let Some(group) = &mut person.group else { return Ok(()) };
                let Processed::Commit(pending) = group.process(&commit)? else { return Ok(()) };
                match group.accept(pending)? {
                    Accepted::Epoch(_) => {
                        person.enter(now)?;
                        person.rekey(&mut self.streams, now)?;
                    }
                    // It keeps the keys that it has.
                    _ => person.group = None,
                }
            }
            Signal::Grant(at, grant, removal) => {
                let person = &mut self.people[place];
                person.grant(now, at, &grant, removal);
                person.listen(now, at, &self.streams[at])?;
            }
            Signal::Demand(message) => {
                let at = message.stream.0 as usize;
                let wanted = message.demand.wanted().iter().max_by_key(|target| target.spatial_id);
                let log = &mut self.streams[at].sent.wanted;
                if log.last().is_none_or(|(_, last)| *last != wanted) {
                    log.push((now, wanted));
                }
                let sources = &mut self.people[place].sources;
                for (_, sender) in sources.iter_mut().filter(|(stream, _)| *stream == at) {
                    sender.handle_demand(&message);
                }
            }
        }
        Ok(())
    }

    // ---- Media ----

    fn handle(&mut self, event: Event) -> Result<()> {
        let now = self.now;
        match event {
            Event::Capture(stream) => self.capture(stream),
            Event::ToRoom(from, packet) => {
                self.overhear(&packet);
                self.room.handle_packet(now, self.people[from].id, &packet);
                self.room_wake = Some(now);
                Ok(())
            }
            Event::ToPerson(to, packet) => {
                let person = &mut self.people[to];
                if person.left.is_none() {
                    person.outcome.received += packet.len() as u64;
                    person.handle_packet(now, packet);
                    person.wake = Some(now);
                }
                Ok(())
            }
            Event::Report(from, bytes) => {
                let report = ReceiverReport::read(&bytes)?;
                self.room.handle_report(now, self.people[from].id, &report);
                self.room_wake = Some(now);
                Ok(())
            }
            Event::Signal(to, signal) => {
                self.people[to].wake = Some(now);
                self.handle_signal(to, *signal)
            }
            Event::Sample => self.sample(),
        }
    }

    fn capture(&mut self, at: usize) -> Result<()> {
        let (now, real_time) = (self.now, self.options.real_time);
        let stream = &mut self.streams[at];
        let person = &mut self.people[stream.owner];
        if person.left.is_some() {
            return Ok(());
        }
        stream.captured += 1;
        let structure = stream.mode.structure();
        let layers = 0..structure.spatial_layers;
        let samples = layers.map(|layer| structure.layer_size(stream.size, layer).samples());
        stream.sent.all_samples += samples.sum::<u64>();
        let picture = stream.pictures.at(now);
        let Some((_, sender)) = person.sources.iter_mut().find(|(source, _)| *source == at) else {
            return Ok(());
        };
        let before = sender.statistics().pictures;
        let started = Instant::now();
        sender.handle_picture(now, &picture.view())?;
        if real_time {
            sender.handle_encode_time(started.elapsed(), stream.interval);
        }
        stream.sent.key_pictures = sender.statistics().key_pictures;
        let coded = sender.statistics().pictures > before;
        if let Some(encoder) = sender.encoder_mut() {
            if coded {
                let layers = (0..structure.spatial_layers).filter_map(|layer| encoder.reconstruction(layer));
                stream.keep(now, layers.collect());
            }
            if let Some((everything, rate)) = self.everything.get(at).zip(encoder.config().rate.as_ref()) {
                everything.encode(now, picture, rate.bitrate)?;
            }
        }
        person.wake = Some(now);
        let mut next = stream.published + Duration::from_secs(stream.captured) / stream.fps;
        while next + stream.interval < now {
            // The machine is too slow: the camera goes on.
            stream.captured += 1;
            next += stream.interval;
        }
        self.at(next, Event::Capture(at));
        Ok(())
    }

    /// Everything that anybody on the way could see, and what those who listen make of it.
    fn overhear(&mut self, packet: &Bytes) {
        let relay = &mut self.outcome.relay;
        relay.packets_in += 1;
        relay.bytes_in += packet.len() as u64;
        if is_rtcp(packet) {
            return;
        }
        let Ok(rtp) = RtpPacket::read(packet) else { return };
        let ssrc = rtp.header.ssrc;
        let Some(stream) = self.streams.iter_mut().find(|stream| stream.ssrc == ssrc) else { return };
        stream.keep_ciphertext(rtp.payload);
        relay.payload_bytes += rtp.payload.len() as u64;
        rtp.payload.iter().for_each(|byte| self.histogram[usize::from(*byte)] += 1);
        let (now, streams) = (self.now, &self.streams);
        for tap in self.people.iter_mut().filter_map(|person| person.tap.as_mut()) {
            tap.handle_packet(now, ssrc, packet, streams);
        }
    }

    /// Polls everybody who has something to do.
    fn poll(&mut self) -> Result<()> {
        let now = self.now;
        let (mut packets, mut pictures) = (Vec::new(), Vec::new());
        for place in 0..self.people.len() {
            let person = &mut self.people[place];
            if person.wake.is_none_or(|wake| wake > now) {
                continue;
            }
            if person.left.is_some() {
                person.wake = None;
                continue;
            }
            person.poll(now, &mut packets, &mut pictures);
            for packet in packets.drain(..) {
                if !is_rtcp(&packet)
                    && let Ok(rtp) = RtpPacket::read(&packet)
                    && let Some(stream) = self.streams.iter_mut().find(|it| it.ssrc == rtp.header.ssrc)
                {
                    stream.send(&packet);
                }
                if let Some(arrives) = self.people[place].up.send(now, packet.len()) {
                    self.at(arrives, Event::ToRoom(place, packet));
                }
            }
            for (screen, picture) in pictures.drain(..) {
                let person = &mut self.people[place];
                let stream = &self.streams[person.screens[screen].stream];
                let (at, first) = person.decode(now, stream, &picture);
                let captured = stream.captured(picture.timestamp).unwrap_or(now);
                let window = person.outcome.window(person.screens[screen].stream);
                window.wrong += u64::from(!stream.is_right(&picture));
                let size = picture.picture.size();
                window.shown.push(Shown { at, captured, layer: picture.target, size });
                person.screens[screen].last = Some((captured, picture.picture));
                if first {
                    self.report(place)?;
                }
            }
        }
        if self.room_wake.is_some_and(|wake| wake <= now) {
            self.poll_room()?;
        }
        Ok(())
    }

    fn poll_room(&mut self) -> Result<()> {
        let now = self.now;
        loop {
            self.buffer.clear();
            match self.room.poll(now, &mut self.buffer) {
                RoomOutput::Transmit { to, .. } => {
                    let place = to.0 as usize - 1;
                    self.outcome.relay.packets_out += 1;
                    self.outcome.relay.bytes_out += self.buffer.len() as u64;
                    if let Some(arrives) = self.people[place].down.send(now, self.buffer.len()) {
                        let packet = Bytes::copy_from_slice(&self.buffer);
                        self.at(arrives, Event::ToPerson(place, packet));
                    }
                }
                RoomOutput::Demand { to, message } => {
                    let place = to.0 as usize - 1;
                    let delay = self.people[place].down.delay();
                    self.at(now + delay, Event::Signal(place, Box::new(Signal::Demand(message))));
                }
                RoomOutput::Expelled { participant, reason } => {
                    let name = &self.people[participant.0 as usize - 1].name;
                    self.outcome.relay.expelled.push(format!("{name}: {reason:?}"));
                }
                RoomOutput::Timeout(at) => {
                    self.room_wake = at;
                    return Ok(());
                }
                _ => {}
            }
        }
    }

    // ---- What became of it ----

    fn sample(&mut self) -> Result<()> {
        let now = self.now;
        self.samples += 1;
        for place in 0..self.people.len() {
            let person = &mut self.people[place];
            if person.left.is_some() {
                continue;
            }
            let since = Time::ZERO + SAMPLE * (self.samples as u32).saturating_sub(2);
            let received = std::mem::take(&mut person.outcome.received) * 8;
            let estimate = self.room.path(now, person.id).map_or(0, |path| path.bitrate);
            person.outcome.samples.push(Sample {
                at: now,
                capacity: person.down.capacity(since, now),
                received: (received as f64 / SAMPLE.as_secs_f64()) as u64,
                estimate,
            });
            let decisions = self.room.decision(person.id).map_or(&[][..], |decision| &decision.streams);
            for decision in decisions {
                let window = person.outcome.window(decision.stream.0 as usize);
                let decided = Decided {
                    at: now,
                    target: decision.target,
                    reason: decision.reason,
                    bitrate: decision.bitrate,
                };
                let same = |last: &Decided| (last.target, last.reason) == (decided.target, decided.reason);
                if !window.decisions.last().is_some_and(same) {
                    window.decisions.push(decided);
                }
            }
            // Times that were measured in the meantime.
            if person.decode_ns > 0.0 && self.samples.is_multiple_of(REPORT) && person.is_ready() {
                self.report(place)?;
            }
        }
        self.at(Time::ZERO + SAMPLE * self.samples as u32, Event::Sample);
        Ok(())
    }

    /// Keeps what everybody sees of a stream.
    fn look(&mut self, at: usize) {
        let views = views(self.now, &self.streams[at], &self.people, at);
        self.outcome.moments.push(Moment { at: self.now, stream: at, views });
    }

    fn finish(mut self) -> Result<Outcome> {
        let total: u64 = self.histogram.iter().sum();
        let shares =
            self.histogram.iter().filter(|count| **count > 0).map(|count| *count as f64 / total as f64);
        let of_streams = (0..self.streams.len())
            .filter_map(|at| self.room.stream_statistics(layercast::select::StreamId(at as u32)));
        let (refreshes, key_refreshes) = of_streams
            .fold((0, 0), |(all, key), stream| (all + stream.refreshes, key + stream.key_refreshes));
        self.outcome.relay = RelayOutcome {
            entropy: -shares.map(|share| share * share.log2()).sum::<f64>(),
            dropped: self.room.statistics().dropped,
            refreshes,
            key_refreshes,
            ..self.outcome.relay
        };
        for (place, person) in self.people.iter_mut().enumerate() {
            for ear in person.tap.iter().flat_map(|tap| &tap.ears) {
                let removed = person.left;
                let later = |removed: Time| {
                    self.streams[ear.stream].rekeyed.iter().copied().find(|at| *at >= removed)
                };
                self.outcome.taps.push(TapOutcome {
                    person: place,
                    stream: ear.stream,
                    opened: ear.opened,
                    last: ear.last,
                    shut_out: removed.and_then(later),
                });
            }
            self.outcome.people.push(person.outcome.clone());
        }
        let mut everything = self.everything.into_iter();
        for mut stream in self.streams {
            stream.sent.all_bytes = everything.next().map(Everything::finish).transpose()?;
            self.outcome.streams.push(StreamOutcome {
                name: stream.name,
                mode: stream.mode,
                size: stream.size,
                fps: stream.fps,
                sent: stream.sent,
            });
        }
        self.outcome.finish();
        Ok(self.outcome)
    }
}
