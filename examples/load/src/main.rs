//! Measures the relay over real sockets of this machine: what a core carries, and how late it is.

#[path = "../../../tests/common/camera.rs"]
mod camera;
mod delays;
mod net;
mod people;
mod relay;
mod sealed;

use std::net::{SocketAddrV4, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use crossbeam_channel::unbounded;
use indicatif::{ProgressBar, ProgressStyle};
use layercast::congestion::{FeedbackConfig, ReceivePath};
use layercast::relay::{ParticipantId, Room, RoomConfig};
use layercast::select::{Priority, ReceiverReport, StreamId, Window};
use layercast::session::TRANSPORT_ID;
use layercast::{Size, Time};
use layercast_examples::{Result, exit_code};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use camera::Camera;
use delays::Delays;
use people::{Audience, Seat, Sending, Studio};
use relay::{Command, Count, Hall, Relay};

/// Sends L3T3 of 600 kbit/s over real sockets to a relay, which forwards it to real sockets, and prints what that takes: the
/// relay's share of a core, beside a loop that sends the same bytes to the same addresses and does nothing else.
#[derive(Parser)]
struct Args {
    /// Seconds that each row is measured for.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Threads of the relay. Each takes rooms, and a room stays on its thread.
    #[arg(long, default_value_t = 1)]
    threads: usize,
    /// Rooms, in place of the rows that are measured by default.
    #[arg(long)]
    rooms: Option<u32>,
    /// Participants of each room.
    #[arg(long, default_value_t = 12, requires = "rooms")]
    people: u32,
    /// How many of them have a camera.
    #[arg(long, default_value_t = 1, requires = "rooms")]
    senders: u32,
    /// Width of everybody's windows.
    #[arg(long, default_value_t = 1280, requires = "rooms")]
    window: u32,
    /// Cameras code what is wanted alone. If all have large windows, that is one spatial layer, in half as many packets.
    #[arg(long, requires = "rooms")]
    on_demand: bool,
    /// Measures the media side of the relay of `examples/relay` instead, with ICE, DTLS and SRTP, and one camera a room. The
    /// other ends of the links are in this process; a few of them open what they get, for its delay.
    #[arg(long)]
    srtp: bool,
    /// What each path carries at the start, in kbit/s. Below some ten times a stream's bitrate the pacer spreads pictures
    /// over time, which counts as delay.
    #[arg(long, default_value_t = 50_000)]
    path: u64,
}

/// Load of the row whose delay is judged.
const JUDGED: f64 = 0.7;
/// Until estimates and targets have settled.
const SETTLES: Duration = Duration::from_secs(4);
/// Bytes that a participant's socket keeps, and the relay's.
const BUFFER: usize = 1 << 18;
const RELAY_BUFFER: usize = 1 << 22;
/// Sockets at most.
const SOCKETS: u64 = 20_000;

/// A load: rooms of the same kind.
#[derive(Clone, Copy)]
struct Load {
    rooms: u32,
    people: u32,
    senders: u32,
    window: u32,
    on_demand: bool,
}

/// What was measured of a load.
struct Row {
    load: Load,
    count: Count,
    bare: Count,
    /// From when a packet came, or the pacer let it go, until the system had it; and from camera to receiver.
    added: Delays,
    whole: Delays,
    memory: u64,
}

impl Load {
    /// Streams that go to receivers.
    fn streams(&self) -> u64 {
        let of_room = self.people * self.senders - self.senders;
        u64::from(self.rooms) * u64::from(of_room)
    }
}

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most.min(SOCKETS), most)?;
    let to =
        |receivers: u32| Load { rooms: 1, people: receivers + 1, senders: 1, window: 1280, on_demand: false };
    if args.srtp {
        let small = |rooms| Load { rooms, people: 13, senders: 1, window: 1280, on_demand: false };
        let asked = args.rooms.map(|rooms| Load { people: args.people, ..small(rooms) });
        let mut rows = vec![sealed::measure(args, asked.unwrap_or(to(100)))?];
        if args.rooms.is_none() {
            let row = sealed::measure(args, small(20))?;
            let share = row.share() / args.threads as f64;
            rows.push(row);
            rows.push(sealed::measure(args, small((20.0 * JUDGED / share) as u32))?);
        }
        sealed::print(&rows);
        return Ok(());
    }
    let mut rows = Vec::new();
    if let Some(rooms) = args.rooms {
        let load = Load {
            rooms,
            people: args.people,
            senders: args.senders,
            window: args.window,
            on_demand: args.on_demand,
        };
        rows.push(measure(args, load)?);
    } else {
        for receivers in [1, 10, 100, 1000] {
            rows.push(measure(args, to(receivers))?);
        }
        rows.push(measure(args, Load { rooms: 20, people: 12, senders: 12, window: 480, on_demand: true })?);
        // What small rooms take is what decides on how many of them are so much.
        let small = |rooms| Load { rooms, people: 13, senders: 1, window: 1280, on_demand: false };
        let row = measure(args, small(40))?;
        let share = row.share() / args.threads as f64;
        rows.push(row);
        rows.push(measure(args, small((40.0 * JUDGED / share) as u32))?);
    }
    print(&rows);
    Ok(())
}

/// Runs a load.
fn measure(args: &Args, load: Load) -> Result<Row> {
    let (settles, seconds) = (SETTLES, Duration::from_secs(args.seconds));
    let name = format!("{} rooms, {} senders to {} people", load.rooms, load.senders, load.people - 1);
    let bar = ProgressBar::new((settles + 2 * seconds).as_secs() * 10);
    bar.set_style(ProgressStyle::with_template("{msg:40} {wide_bar} {eta}")?);
    bar.set_message(name);
    let start = Instant::now();
    let (stops, measures) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let ((to_cameras, asked), (to_studio, demands)) = (unbounded(), unbounded());
    let mut relays = Vec::new();
    // The first cores are the relay's, if there are others.
    let cores = thread::available_parallelism()?.get();
    let is_apart = cores > args.threads;
    let stay = move |cores| {
        if is_apart {
            net::stay_on(cores)
        }
    };
    for core in 0..args.threads {
        let ((commands, commanded), (counts, counted)) = (unbounded(), unbounded());
        let socket = net::socket(RELAY_BUFFER)?;
        let address = net::address(&socket)?;
        let relay = Relay { socket, start, commands: commanded, counts, demands: to_studio.clone() };
        let thread = thread::Builder::new().name(format!("relay {core}")).spawn(move || {
            stay(core..core + 1);
            relay.run();
        })?;
        relays.push((commands, counted, address, thread));
    }
    let (mut seats, mut cameras) = (Vec::new(), Vec::new());
    let mut sockets: Vec<Vec<UdpSocket>> = Vec::new();
    for room in 0..load.rooms {
        let relay = relays[room as usize % relays.len()].2;
        let mut of_room = Vec::new();
        for id in 0..load.people {
            let socket = net::socket(BUFFER)?;
            let camera = (id < load.senders).then_some(cameras.len());
            if camera.is_some() {
                let camera = Camera::new(room * load.senders + id, load.on_demand);
                cameras.push(Sending { camera, socket: socket.try_clone()?, relay });
            }
            let path = ReceivePath::new(TRANSPORT_ID, FeedbackConfig::new(id, 0));
            of_room.push(socket.try_clone()?);
            seats.push(Seat { socket, relay, path, camera });
        }
        sockets.push(of_room);
    }
    let before = memory()?;
    for (room, of_room) in (0..load.rooms).zip(sockets) {
        let of_cameras = (room * load.senders) as usize..((room + 1) * load.senders) as usize;
        let hall = hall(args, load, &cameras[of_cameras], &of_room)?;
        relays[room as usize % relays.len()].0.send(Command::Take(Box::new(hall)))?;
    }
    let audience =
        Audience { seats, start, measures: measures.clone(), stops: stops.clone(), asked: to_cameras };
    let others = args.threads..cores;
    let audience = thread::spawn({
        let others = others.clone();
        move || {
            stay(others);
            audience.run()
        }
    });
    let cut = Arc::new(AtomicBool::new(false));
    let studio = Studio { cameras, start, stops: cut.clone(), asked, demands };
    let studio = thread::spawn(move || {
        stay(others);
        studio.run();
    });
    let wait = |time: Duration| {
        let end = Instant::now() + time;
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(100));
            bar.inc(1);
        }
    };
    wait(settles);
    let memory = memory()?.saturating_sub(before) / u64::from(load.rooms * load.people);
    let all = |command: fn() -> Command| -> Result<()> {
        relays.iter().try_for_each(|(commands, ..)| Ok(commands.send(command())?))
    };
    let told = || -> Result<(Count, Delays)> {
        let mut sum = (Count::default(), Delays::new());
        for (_, counted, ..) in &relays {
            let (count, delays) = counted.recv()?;
            sum.0 = sum.0.and(count);
            sum.1.add(&delays);
        }
        Ok(sum)
    };
    measures.store(true, Ordering::Relaxed);
    all(|| Command::Count)?;
    wait(seconds);
    all(|| Command::Tell)?;
    let (count, added) = told()?;
    measures.store(false, Ordering::Relaxed);
    cut.store(true, Ordering::Relaxed);
    studio.join().map_err(|_| "the cameras' thread has failed")?;
    all(|| Command::SendBare)?;
    let (bare, _) = told()?;
    stops.store(true, Ordering::Relaxed);
    all(|| Command::Stop)?;
    let whole = audience.join().map_err(|_| "the receivers' thread has failed")?;
    for (.., thread) in relays {
        thread.join().map_err(|_| "a thread of the relay has failed")?;
    }
    bar.finish_and_clear();
    Ok(Row { load, count, bare, added, whole, memory })
}

/// A room with everybody in it.
fn hall(args: &Args, load: Load, cameras: &[Sending], sockets: &[UdpSocket]) -> Result<Hall> {
    let mut config = RoomConfig::default();
    config.max_participants = load.people as usize;
    config.path.start = 1000 * args.path;
    let mut room = Room::new(config);
    let addresses: Vec<SocketAddrV4> = sockets.iter().map(net::address).collect::<Result<_>>()?;
    for id in 0..load.people {
        room.join(Time::ZERO, ParticipantId(id))?;
    }
    for (id, sending) in (0..).zip(cameras) {
        room.publish(Time::ZERO, ParticipantId(id), sending.camera.config())?;
    }
    for id in 0..load.people {
        let streams: Vec<StreamId> = cameras.iter().map(|sending| sending.camera.stream).collect();
        let others = streams.into_iter().zip(0..).filter(|(_, sender)| *sender != id);
        let size = Size::new(load.window, load.window * 9 / 16);
        let windows = others.map(|(stream, _)| (stream, Window::new(size, Priority::Thumbnail)));
        let report = ReceiverReport { windows: windows.collect(), ..ReceiverReport::default() };
        room.handle_report(Time::ZERO, ParticipantId(id), &report);
    }
    Ok(Hall { room, addresses })
}

/// Bytes of memory that this process has.
fn memory() -> Result<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm")?;
    let resident: u64 = pages.split_whitespace().nth(1).unwrap_or("0").parse()?;
    Ok(resident * 4096)
}

impl Count {
    fn and(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            received: self.received + other.received,
            refused: self.refused + other.refused,
            expelled: self.expelled + other.expelled,
            processor: self.processor + other.processor,
            waited: self.waited + other.waited,
            time: self.time.max(other.time),
        }
    }

    /// Nanoseconds of processor time for each packet that went out.
    fn each(&self) -> f64 {
        self.processor.as_nanos() as f64 / self.sent.max(1) as f64
    }
}

impl Row {
    /// Cores that the relay took.
    fn share(&self) -> f64 {
        self.count.processor.as_secs_f64() / self.count.time.as_secs_f64()
    }
}

fn print(rows: &[Row]) {
    println!(
        "| rooms, senders to receivers | packets/s in, out | cores | ns a packet | bare | bare / relay | streams a core | added ms p50 | p99 | whole p50 | waited % | kB a receiver |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for row in rows {
        let Row { load, count, bare, added, whole, memory } = row;
        let seconds = count.time.as_secs_f64();
        let delay = |delays: &Delays, share: f64| delays.quantile(share).as_secs_f64() * 1e3;
        println!(
            "| {}, {} to {} | {:.0}, {:.0} | {:.3} | {:.0} | {:.0} | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} | {:.0} |",
            load.rooms,
            load.senders,
            load.people - 1,
            count.received as f64 / seconds,
            count.sent as f64 / seconds,
            row.share(),
            count.each(),
            bare.each(),
            bare.each() / count.each(),
            load.streams() as f64 / row.share(),
            delay(added, 0.5),
            delay(added, 0.99),
            delay(whole, 0.5),
            100.0 * count.waited.as_secs_f64() / seconds,
            *memory as f64 / 1e3,
        );
        if count.refused + count.expelled > 0 {
            println!(
                "{} packets were refused by the system, {} participants put out",
                count.refused, count.expelled
            );
        }
    }
}
