//! The relay's media side as it ships, over real sockets: ICE, DTLS and SRTP among it.

use std::collections::HashMap;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use layercast::Time;
use layercast::congestion::{FeedbackConfig, ReceivePath};
use layercast::relay::RoomConfig;
use layercast::rtp::rtcp;
use layercast::select::{DemandMessage, Priority, ReceiverReport, Window};
use layercast::session::TRANSPORT_ID;
use layercast_batch::Inbox;
use layercast_examples::Result;
use layercast_link::{Certificate, Description, Link, Media as Packet, Output};
use layercast_meeting::wire::{FEEDBACK_SSRC, PADDING_SSRC, RELAY_SSRC};
use layercast_meeting::{Bytes, Kind, ParticipantId};
use layercast_relay::media::Media;
use layercast_relay::media_api::{LinkReply, MediaCommand, MediaConfig, MediaEvent, MediaPort, MeetingKey};

use crate::camera::{Camera, FRAME_RATE};
use crate::delays::Delays;
use crate::net::{self, wall_clock};
use crate::{Args, Load, SETTLES, memory};

/// Receivers that open what they get, so that delays are known. The others' packets are counted.
const LISTENERS: usize = 20;
/// Sockets are read this far apart at least.
const PASS: Duration = Duration::from_millis(2);
/// Participants whose links are made at the same time.
const AT_ONCE: usize = 50;
const BUFFER: usize = 1 << 18;

/// What was measured.
pub struct Row {
    pub load: Load,
    pub sent: u64,
    pub received: u64,
    pub processor: Duration,
    pub time: Duration,
    pub whole: Delays,
    pub memory: u64,
}

impl Row {
    /// Cores that the relay's threads took.
    pub fn share(&self) -> f64 {
        self.processor.as_secs_f64() / self.time.as_secs_f64()
    }
}

struct Person {
    socket: UdpSocket,
    link: Link,
    path: ReceivePath,
    camera: Option<Camera>,
    listens: bool,
}

/// Runs a load: one camera of each room to all others in it.
pub fn measure(args: &Args, load: Load) -> Result<Row> {
    let bar = ProgressBar::new_spinner();
    bar.set_message(format!("{} rooms of {}: links are made", load.rooms, load.people));
    bar.enable_steady_tick(Duration::from_millis(200));
    let (port, commands, mut events) = MediaPort::new();
    let config = MediaConfig { udp: "127.0.0.1:0".parse()?, public: vec![], threads: args.threads };
    let mut room = RoomConfig::default();
    room.max_participants = load.people as usize;
    room.path.start = 1000 * args.path;
    let before = memory()?;
    let media = Media::start(&config, &room, port)?;
    let (start, certificate) = (Instant::now(), Certificate::generate()?);
    let mut people = Vec::new();
    for number in 0..load.rooms {
        let meeting = MeetingKey(number);
        commands.send(MediaCommand::OpenMeeting { meeting })?;
        let camera = Camera::new(number, false);
        let stream = camera.config();
        let mut camera = Some(camera);
        for id in 0..load.people {
            let participant = ParticipantId(id);
            commands.send(MediaCommand::Join { meeting, participant })?;
            let local = Description::new(&certificate)?;
            let description = local.to_message(&[]);
            let reply = LinkReply(people.len() as u64);
            commands.send(MediaCommand::Link { meeting, participant, description, reply })?;
            let Some(MediaEvent::Link { result, .. }) = events.blocking_recv() else {
                return Err("the relay's end of a link has not come".into());
            };
            let remote = result?;
            let end = Description::from_message(&remote)?;
            let mut link = Link::participant(Instant::now(), &certificate, &local, &end, &remote.addresses)?;
            if id == 0 {
                link.send_stream(stream.ssrc);
            } else {
                link.expect_stream(stream.ssrc, Kind::Camera)?;
            }
            for ssrc in [RELAY_SSRC, PADDING_SSRC] {
                link.expect_ssrc(ssrc)?;
            }
            let socket = net::socket(BUFFER)?;
            socket.set_nonblocking(true)?;
            people.push(Person {
                socket,
                link,
                path: ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(FEEDBACK_SSRC, stream.ssrc)),
                camera: camera.take(),
                listens: id == 1 && (number as usize) < LISTENERS,
            });
            if people.len() % AT_ONCE == 0 {
                connect(&mut people, start)?;
            }
        }
        let (participant, ssrc) = (ParticipantId(0), stream.ssrc);
        let kind = Kind::Camera;
        commands.send(MediaCommand::Publish {
            meeting,
            participant,
            stream: number,
            ssrc,
            kind,
            layer_refresh: true,
        })?;
        for id in 1..load.people {
            let size = layercast::Size::new(1280, 720);
            let window = (stream.id, Window::new(size, Priority::Thumbnail));
            let mut report = Vec::new();
            ReceiverReport { windows: vec![window], ..ReceiverReport::default() }.write(&mut report)?;
            let (participant, report) = (ParticipantId(id), Bytes(report));
            commands.send(MediaCommand::Report { meeting, participant, report })?;
        }
    }
    connect(&mut people, start)?;
    let count = people.len() as u64;
    bar.set_message(format!("{} rooms of {}", load.rooms, load.people));
    let end = Instant::now() + SETTLES;
    let mut delays = Delays::new();
    let mut cameras = Clock::new(load.rooms);
    run(&mut people, start, end, &mut cameras, None);
    let memory = memory()?.saturating_sub(before) / count;
    // The threads count once a second.
    let (from, first, processor) = (Instant::now(), media.totals().get(), processor_time(args.threads)?);
    let end = from + Duration::from_secs(args.seconds);
    run(&mut people, start, end, &mut cameras, Some(&mut delays));
    let processor = processor_time(args.threads)?.saturating_sub(processor);
    let (time, last) = (from.elapsed(), media.totals().get());
    while let Ok(event) = events.try_recv() {
        match event {
            MediaEvent::Expelled { reason, .. } => return Err(format!("put out: {reason}").into()),
            MediaEvent::Demand { demand, .. } => drop(DemandMessage::read(&demand.0)?),
            MediaEvent::Link { .. } | MediaEvent::Layers { .. } => {}
        }
    }
    drop(commands);
    media.join();
    bar.finish_and_clear();
    let (received, sent) = (last[3] - first[3], last[4] - first[4]);
    Ok(Row { load, sent, received, processor, time, whole: delays, memory })
}

/// When cameras take pictures: not in step.
struct Clock {
    next: Instant,
    turn: usize,
    cameras: u32,
}

impl Clock {
    fn new(cameras: u32) -> Self {
        Self { next: Instant::now(), turn: 0, cameras }
    }

    fn is_due(&mut self) -> Option<usize> {
        (Instant::now() >= self.next).then(|| {
            self.next += Duration::from_micros(1_000_000 / FRAME_RATE) / self.cameras;
            self.turn += 1;
            (self.turn - 1) % self.cameras as usize
        })
    }
}

/// Runs the links until all are connected.
fn connect(people: &mut [Person], start: Instant) -> Result<()> {
    let end = Instant::now() + Duration::from_secs(20);
    let mut inbox = Inbox::new();
    loop {
        let mut waits = false;
        for person in &mut *people {
            person.serve(start, &mut inbox, None);
            waits |= person.link.state() != layercast_link::State::Connected;
        }
        if !waits {
            return Ok(());
        }
        if Instant::now() > end {
            return Err("links were not made within 20 s".into());
        }
        thread::sleep(PASS);
    }
}

/// Sends what cameras take and reads what comes, until a time.
fn run(
    people: &mut [Person],
    start: Instant,
    end: Instant,
    clock: &mut Clock,
    mut delays: Option<&mut Delays>,
) {
    let mut inbox = Inbox::new();
    let senders: HashMap<usize, usize> = people
        .iter()
        .enumerate()
        .filter(|(_, person)| person.camera.is_some())
        .map(|(at, _)| at)
        .enumerate()
        .collect();
    while Instant::now() < end {
        let pass = Instant::now();
        for at in 0..people.len() {
            people[at].serve(start, &mut inbox, delays.as_deref_mut());
            while let Some(camera) = clock.is_due() {
                people[senders[&camera]].send_picture(start);
            }
        }
        thread::sleep(PASS.saturating_sub(pass.elapsed()));
    }
}

impl Person {
    /// Reads what has come, and answers.
    fn serve(&mut self, start: Instant, inbox: &mut Inbox, mut delays: Option<&mut Delays>) {
        let Self { socket, link, path, camera, listens } = self;
        let now = Instant::now();
        let (zero, time) = (wall_clock() - start.elapsed(), Time::ZERO + (now - start));
        loop {
            let count = inbox.receive(socket, |from, at, datagram| {
                let is_rtp =
                    datagram.first().is_some_and(|first| first >> 6 == 2) && !rtcp::is_rtcp(datagram);
                if is_rtp {
                    // The header is not encrypted.
                    path.handle_packet(Time::ZERO + at.saturating_sub(zero), datagram);
                    if !*listens {
                        return;
                    }
                }
                match link.handle_datagram(now, from, datagram) {
                    Some(Packet::Rtp(packet)) => {
                        let has_padding = packet[0] & 0x20 != 0;
                        if let (Some(delays), Some(stamp), false) =
                            (delays.as_deref_mut(), packet.last_chunk(), has_padding)
                        {
                            delays.push(at.saturating_sub(Duration::from_nanos(u64::from_be_bytes(*stamp))));
                        }
                    }
                    Some(Packet::Rtcp(packet)) => {
                        if let Some(camera) = camera {
                            camera.handle_feedback(time, &packet);
                        }
                    }
                    None => {}
                }
            });
            if count < layercast_batch::RECEIVED {
                break;
            }
        }
        while let Some(packet) = path.poll(time) {
            if let (Ok(datagram), Some(to)) = (link.protect_rtcp(&packet), link.address()) {
                send(socket, &datagram, to);
            }
        }
        while let Output::Transmit(transmit) = link.poll(now) {
            send(socket, &transmit.datagram, transmit.to);
        }
        self.send_packets(time);
    }

    fn send_picture(&mut self, start: Instant) {
        let time = Time::ZERO + start.elapsed();
        if let Some(camera) = &mut self.camera {
            camera.take_picture(time);
        }
        self.send_packets(time);
    }

    fn send_packets(&mut self, time: Time) {
        let Self { socket, link, camera: Some(camera), .. } = self else { return };
        while let Some(packet) = camera.poll(time) {
            let Some(to) = link.address() else { continue };
            if rtcp::is_rtcp(&packet) {
                if let Ok(datagram) = link.protect_rtcp(&packet) {
                    send(socket, &datagram, to);
                }
                continue;
            }
            let mut packet = packet.to_vec();
            if let Some(stamp) = packet.last_chunk_mut::<8>() {
                *stamp = (wall_clock().as_nanos() as u64).to_be_bytes();
            }
            if let Ok(datagram) = link.protect_rtp(&packet) {
                send(socket, &datagram, to);
            }
        }
    }
}

fn send(socket: &UdpSocket, datagram: &[u8], to: SocketAddr) {
    // What the system refuses is lost, as anything can be on the way.
    let _ = socket.send_to(datagram, to);
}

/// The processor time of the relay's threads, those that help it to send among them.
fn processor_time(threads: usize) -> Result<Duration> {
    let mut sum = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        let name = std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        let is_relay = |kind: &str| (0..threads).any(|number| name.trim_end() == format!("{kind}-{number}"));
        if is_relay("media") || is_relay("send") {
            let fields = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = fields.split_whitespace().next().and_then(|field| field.parse().ok());
            sum += Duration::from_nanos(nanos.ok_or("no schedstat")?);
        }
    }
    Ok(sum)
}

/// Prints what was measured.
pub fn print(rows: &[Row]) {
    println!(
        "| rooms, senders to receivers | packets/s in, out | cores | ns a packet | streams a core | whole ms p50 | p99 | kB a participant |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for row in rows {
        let Row { load, sent, received, processor, time, whole, memory } = row;
        let delay = |share: f64| whole.quantile(share).as_secs_f64() * 1e3;
        println!(
            "| {}, {} to {} | {:.0}, {:.0} | {:.3} | {:.0} | {:.0} | {:.2} | {:.2} | {:.0} |",
            load.rooms,
            load.senders,
            load.people - 1,
            *received as f64 / time.as_secs_f64(),
            *sent as f64 / time.as_secs_f64(),
            row.share(),
            processor.as_nanos() as f64 / (*sent).max(1) as f64,
            load.streams() as f64 / row.share(),
            delay(0.5),
            delay(0.99),
            *memory as f64 / 1e3,
        );
    }
}
