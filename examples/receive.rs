//! Receives a sealed video over UDP, opens and decodes it, and reports.

mod common;
mod udp;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, TryRecvError};
use std::time::{Duration, Instant};

use clap::Parser;
use layercast::e2ee::{Agreement, KeyRing, VideoOpener};
use layercast::rtp::ReassemblerStatistics;
use layercast::rtp::frame_buffer::DropReason;
use layercast::rtp::rtcp::is_rtcp;
use layercast::session::{
    ReceiverOutput, ReceiverStatistics, Refused, ShownPicture, VideoReceiver, VideoReceiverConfig,
};
use layercast::structure::LayerId;
use layercast::{Size, Time};
use y4m::Ratio;

use common::{Result, at, exit_code, video, warn_of_debug_build};
use udp::{SSRC, control};

/// Waits for `send`, agrees on keys with it by MLS, receives the layers of a decode target, opens and decodes them
/// and reports: a line a second, and in the end what was lost, asked for, refused and why.
#[derive(Parser)]
struct Args {
    /// Where packets come.
    #[arg(long, default_value = "127.0.0.1:5004")]
    listen: SocketAddr,
    /// Where `send` comes for the agreement on keys.
    #[arg(long, default_value = "127.0.0.1:5005")]
    control: SocketAddr,
    /// The highest spatial layer to show, 0 to 3.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(..=3))]
    spatial: u8,
    /// The highest temporal layer to show, 0 to 7.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u8).range(..=7))]
    temporal: u8,
    /// A Y4M file for the pictures, of 30 a second and all of the first one's size; others are left out.
    #[arg(long)]
    output: Option<PathBuf>,
    /// A line for every picture.
    #[arg(long)]
    pictures: bool,
}

/// From one report to the next.
const REPORT: Duration = Duration::from_secs(1);
/// After the sender has gone, how long packets on the way are waited for.
const LINGER: Duration = Duration::from_millis(200);
/// The longest wait for a packet: whether the sender is still there is looked at in between.
const WAIT: Duration = Duration::from_millis(50);

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    warn_of_debug_build();
    let socket = at(args.listen.to_string().as_ref(), UdpSocket::bind(args.listen))?;
    let listener = at(args.control.to_string().as_ref(), TcpListener::bind(args.control))?;
    println!("waiting for packets at {} and for send at {}", args.listen, args.control);
    let (mut stream, _) = listener.accept()?;
    let agreed = Agreement::default();
    let group = control::join(&mut stream, agreed)?;
    println!("code to compare: {}", group.code()?);
    let own = group.member();
    let sender = group.members().find(|member| member.index != own).ok_or("nobody else in the group")?.index;
    let mut keys = KeyRing::new(agreed, Duration::from_secs(5));
    group.enter(Time::ZERO, &mut keys)?;
    let (gone, has_gone) = mpsc::channel();
    std::thread::spawn(move || {
        let end = control::wait_for_end(stream);
        // The receiver may have come to its end before.
        let _ = gone.send(end);
    });

    let opener = VideoOpener::new(agreed, sender, 0);
    let config = VideoReceiverConfig::new(SSRC, LayerId::new(args.spatial, args.temporal));
    let mut receiver = Receiver::new(args, VideoReceiver::new(config, Some((opener, keys)))?);
    let start = Instant::now();
    let clock = || Time::new(start.elapsed());
    let mut peer = None;
    let mut end = None;
    let mut report = REPORT;
    loop {
        let now = clock();
        match has_gone.try_recv() {
            Ok(how) => {
                how?;
                end = Some(now + LINGER);
            }
            Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
        if end.is_some_and(|end| end <= now) {
            break;
        }
        let until = receiver.run(now, |feedback| match peer {
            Some(peer) => socket.send_to(feedback, peer).map(drop),
            None => Ok(()),
        })?;
        let until = until.unwrap_or(now + WAIT).min(now + WAIT);
        if let Some((packet, from)) = udp::receive(&socket, until - now)? {
            peer = Some(from);
            receiver.totals.bytes += if is_rtcp(&packet) { 0 } else { packet.len() };
            receiver.stream.handle_packet(clock(), packet);
        }
        if start.elapsed() >= report {
            receiver.report(report, REPORT);
            report += REPORT;
        }
    }
    receiver.finish(start.elapsed())
}

/// What is counted besides the packets.
#[derive(Default, Clone, Copy)]
struct Totals {
    bytes: usize,
    pictures: u64,
    troubles: u64,
}

struct Receiver {
    stream: VideoReceiver,
    output: Option<(PathBuf, Option<video::Writer>)>,
    tell_pictures: bool,
    totals: Totals,
    /// As of the last report.
    before: (Totals, ReceiverStatistics),
    shown: Option<(LayerId, Size)>,
    /// What went wrong by its kind, which is the message without its numbers: the first message, and how many.
    troubles: BTreeMap<String, (String, u64)>,
}

impl Receiver {
    fn new(args: &Args, stream: VideoReceiver) -> Self {
        println!(
            "  time | pictures | layer       size | kbit/s | missing recovered lost | NACKs refreshes | refused"
        );
        println!(
            "------ | -------- | ---------------- | ------ | ---------------------- | --------------- | -------"
        );
        Self {
            stream,
            output: args.output.clone().map(|path| (path, None)),
            tell_pictures: args.pictures,
            totals: Totals::default(),
            before: Default::default(),
            shown: None,
            troubles: BTreeMap::new(),
        }
    }

    /// Shows what can be shown and sends feedback. Gives the time of the next call, if nothing comes before.
    fn run(&mut self, now: Time, send: impl Fn(&[u8]) -> std::io::Result<()>) -> Result<Option<Time>> {
        loop {
            match self.stream.poll(now) {
                ReceiverOutput::Picture(picture) => self.show(now, picture)?,
                ReceiverOutput::Transmit(feedback) => send(&feedback)?,
                // The next picture is there already, or a layer is shown without it.
                ReceiverOutput::Refused(Refused::Dropped(DropReason::Late)) => {}
                ReceiverOutput::Refused(why) => self.trouble(why.to_string()),
                ReceiverOutput::Timeout(at) => return Ok(at),
                _ => {}
            }
        }
    }

    fn show(&mut self, now: Time, shown: ShownPicture) -> Result<()> {
        let ShownPicture { picture, timestamp, target, .. } = shown;
        let size = picture.size();
        self.totals.pictures += 1;
        self.shown = Some((target, size));
        if self.tell_pictures {
            let seconds = now.since_start().as_secs_f64();
            println!("{seconds:6.3} | picture at {timestamp:10} | {target} {size}");
        }
        let Some((path, writer)) = &mut self.output else { return Ok(()) };
        let writer = match writer {
            Some(writer) => writer,
            none => none.insert(video::Writer::create(path, size, Ratio::new(30, 1))?),
        };
        if writer.size() == size {
            at(path, writer.write(&picture))?;
        }
        Ok(())
    }

    fn trouble(&mut self, what: String) {
        self.totals.troubles += 1;
        let kind = what.split(|c: char| c.is_ascii_digit()).collect();
        self.troubles.entry(kind).or_insert((what, 0)).1 += 1;
    }

    /// A line for the time since the last one.
    fn report(&mut self, now: Duration, span: Duration) {
        let statistics = self.stream.statistics();
        let packets = statistics.packets;
        let (before, statistics_before) = self.before;
        let packets_before = statistics_before.packets;
        let (layer, size) = match self.shown.take() {
            Some((layer, size)) => (layer.to_string(), size.to_string()),
            None => ("-".into(), "-".into()),
        };
        println!(
            "{:6.1} | {:8} | {layer:5} {size:>10} | {:6.0} | {:7} {:9} {:4} | {:5} {:9} | {:7}",
            now.as_secs_f64(),
            self.totals.pictures - before.pictures,
            (self.totals.bytes - before.bytes) as f64 / 125.0 / span.as_secs_f64(),
            packets.missing - packets_before.missing,
            packets.recovered - packets_before.recovered,
            packets.lost - packets_before.lost,
            packets.nacks - packets_before.nacks,
            statistics.refreshes - statistics_before.refreshes,
            self.totals.troubles - before.troubles,
        );
        self.before = (self.totals, statistics);
    }

    fn finish(self, now: Duration) -> Result<()> {
        let Totals { bytes, pictures, .. } = self.totals;
        let ReceiverStatistics { packets: statistics, refreshes, .. } = self.stream.statistics();
        let ReassemblerStatistics { packets, recovered, duplicates, late, missing, lost, nacks, .. } =
            statistics;
        println!();
        println!(
            "{pictures} pictures of {} frames in {:.1} s, {bytes} bytes",
            statistics.frames,
            now.as_secs_f64()
        );
        println!(
            "{packets} packets; {missing} were missing: {recovered} came after {nacks} requests, {lost} never"
        );
        println!("{duplicates} came twice, {late} too late; {refreshes} refreshes were asked for");
        for (kind, (first, count)) in &self.troubles {
            let note = if *count > 1 && kind != first { " (the first of them)" } else { "" };
            println!("{count:6} x {first}{note}");
        }
        if let Some((path, Some(writer))) = self.output {
            at(&path, writer.finish())?;
        }
        Ok(())
    }
}
