//! Codes a video, seals it and sends it over UDP.

mod common;
mod udp;

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use layercast::bitstream::{FrameType, HeaderReader, ObuType, obus};
use layercast::congestion::SendPathConfig;
use layercast::e2ee::{Agreement, VideoSealer};
use layercast::encoder::SvcConfig;
use layercast::rtp::rtcp::is_rtcp;
use layercast::session::{SenderOutput, SenderStatistics, VideoSender, VideoSenderConfig};
use layercast::structure::{DecodeTargets, LayerId, PictureRequest, Planner, Refresh, ScalabilityMode};
use layercast::{Size, Time};

use common::stream::Stream;
use common::{Result, at, exit_code, video, warn_of_debug_build};
use udp::{Faults, Network, SSRC, control};

/// Codes a video (or takes the layers of an IVF file that `encode` wrote), seals each layer by SFrame and sends it
/// over UDP as fast as it plays. The keys are agreed on by MLS with `receive`, which is to be started first.
///
/// It codes with as much effort, and as many layers, as the machine has time for. It sends no more than the path carries, as far as the other end tells it, and leaves pictures out rather than let them
/// wait. It sends packets again when asked to. If a key frame is asked for, the next picture is a key picture; if a layer's
/// refresh is, the layer's next frame of temporal layer 0 is predicted from the layer below it alone.
#[derive(Parser)]
struct Args {
    /// A Y4M video (8-bit 4:2:0) or an IVF file; if not given, a video call drawn by code, at 1280x720.
    input: Option<PathBuf>,
    /// Where packets go: to `receive`, or to `forward` in front of it.
    #[arg(long, default_value = "127.0.0.1:5004")]
    to: SocketAddr,
    /// Where `receive` is for the agreement on keys.
    #[arg(long, default_value = "127.0.0.1:5005")]
    control: SocketAddr,
    /// Scalability mode, as W3C webrtc-svc names it; of an IVF file, the one it was coded in.
    #[arg(long, default_value = "L3T3")]
    mode: ScalabilityMode,
    /// Pictures to send: all of a file and 300 of the drawn call, if not given.
    #[arg(long)]
    frames: Option<u64>,
    /// The bitrate that the path is taken to carry at first, in kbit/s.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u32).range(1..))]
    start: u32,
    #[command(flatten)]
    faults: Faults,
}

/// The bit/s that the path is probed for at most.
const MOST: u64 = 10_000_000;
/// After the last picture, how long packets are still sent again.
const LINGER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

/// Where pictures come from; of a video with the time from one to the next.
enum Source {
    Video(video::Source, Duration),
    File { units: std::vec::IntoIter<Vec<u8>>, headers: Box<HeaderReader>, planner: Box<Planner> },
}

impl Source {
    /// Opens the input: its pictures, a sender for them, and the time from one to the next.
    fn open(args: &Args, sealer: VideoSealer) -> Result<(Self, VideoSender, Duration)> {
        let mut path = SendPathConfig::new(u64::from(args.start) * 1000);
        path.wanted = MOST;
        let mut config = VideoSenderConfig::new(SSRC);
        config.path = Some(path);
        let path = args.input.as_deref();
        if let Some(path) = path.filter(|path| path.extension().is_some_and(|extension| extension == "ivf")) {
            let stream = Stream::read(path)?;
            let (num, den) = stream.time_base;
            let mut headers = HeaderReader::new();
            let first = stream.units.first().ok_or("no pictures")?;
            let frames = headers.temporal_unit(&first.data).collect::<std::result::Result<Vec<_>, _>>()?;
            let top = frames.last().ok_or("no frames")?;
            let size = Size::new(top.header.upscaled_width, top.header.frame_height);
            let units = stream.units.into_iter().map(|unit| unit.data).collect::<Vec<_>>().into_iter();
            let planner = Box::new(Planner::new(args.mode, size));
            let source = Self::File { units, headers: Box::default(), planner };
            let sender = VideoSender::without_encoder(config, Some(sealer));
            return Ok((source, sender, Duration::from_secs_f64(num as f64 / den as f64)));
        }
        let source = video::Source::open(path)?;
        let encoder = SvcConfig::new(source.size, args.mode);
        let sender = VideoSender::new(config, encoder, Some(sealer))?;
        let rate = source.frame_rate;
        let interval = Duration::from_secs_f64(rate.den as f64 / rate.num as f64);
        Ok((Self::Video(source, interval), sender, interval))
    }

    fn default_frames(&self) -> u64 {
        match self {
            Self::Video(source, _) => source.default_frames,
            Self::File { .. } => u64::MAX,
        }
    }

    /// Hands the next picture to the sender; `false` if there is none.
    fn send(&mut self, now: Time, sender: &mut VideoSender) -> Result<bool> {
        match self {
            Self::Video(source, interval) => {
                let Some(picture) = source.pictures.next().transpose()? else { return Ok(false) };
                let start = Instant::now();
                sender.handle_picture(now, &picture.view())?;
                sender.handle_encode_time(start.elapsed(), *interval);
            }
            Self::File { units, headers, planner } => {
                let Some(unit) = units.next() else { return Ok(false) };
                let structure = planner.structure();
                let mut payloads = vec![];
                let mut layers: Vec<LayerId> = vec![];
                let mut start = match obus(&unit).next().transpose()? {
                    Some(obu) if obu.header.obu_type == ObuType::TemporalDelimiter => obu.bytes.len(),
                    _ => 0,
                };
                let mut key = false;
                for frame in headers.temporal_unit(&unit) {
                    let frame = frame?;
                    layers.push(frame.layer());
                    key |= frame.header.frame_type == FrameType::Key;
                    payloads.push(&unit[start..frame.range.end]);
                    start = frame.range.end;
                }
                let wanted = DecodeTargets::all(structure);
                let refresh = if key { Refresh::KEY } else { Refresh::NONE };
                let plan = planner.next(PictureRequest { refresh, wanted });
                let planned: Vec<_> = plan.frames.iter().map(|frame| frame.layer).collect();
                if planned != layers || plan.key != key {
                    return Err(
                        format!("picture {} is not of mode {}", plan.picture_number, structure.mode).into()
                    );
                }
                sender.handle_coded(now, &plan, payloads.into_iter())?;
            }
        }
        Ok(true)
    }
}

fn run(args: &Args) -> Result<()> {
    warn_of_debug_build();
    let mut stream = at(args.control.to_string().as_ref(), TcpStream::connect(args.control))?;
    let mut group = control::invite(&mut stream, Agreement::default())?;
    println!("code to compare: {}", group.code()?);
    let (mut source, mut sender, interval) = Source::open(args, group.sender_keys()?.video(0)?)?;
    let mut network = Network::new(UdpSocket::bind("127.0.0.1:0")?, args.to, args.faults.clone());

    let start = Instant::now();
    let frames = args.frames.unwrap_or_else(|| source.default_frames());
    for n in 0..frames {
        let due = interval * u32::try_from(n)?;
        drive(&mut network, &mut sender, start, due)?;
        // Later than that, if coding takes longer than a picture is shown.
        if !source.send(Time::new(start.elapsed()), &mut sender)? {
            break;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    drive(&mut network, &mut sender, start, start.elapsed() + LINGER)?;
    let SenderStatistics { pictures, key_pictures, packets, bytes, retransmissions, refreshes, .. } =
        sender.statistics();
    let SenderStatistics { skipped, dropped, round_trip, .. } = sender.statistics();
    println!(
        "{pictures} pictures ({key_pictures} key) in {packets} packets, {:.1} kbit/s",
        bytes as f64 / 125.0 / seconds
    );
    println!(
        "{} lost on purpose, {retransmissions} sent again, {refreshes} requests for a refresh",
        network.lost
    );
    println!(
        "{skipped} pictures left out, {dropped} frames dropped; the path carries about {} kbit/s{}",
        sender.path().map_or(0, |path| path.bitrate() / 1000),
        round_trip.map_or(String::new(), |time| format!(
            ", with a round trip of {:.1} ms",
            time.as_secs_f64() * 1e3
        ))
    );
    if let Some(governor) = sender.governor() {
        let (level, given_up) = (governor.level(), governor.given_up());
        println!("effort in the end: level {level}, with {given_up} layers given up");
    }
    Ok(())
}

/// Sends what the sender has, and hands it what the receiver asks for, until this long after the start.
fn drive(network: &mut Network, sender: &mut VideoSender, start: Instant, until: Duration) -> Result<()> {
    loop {
        let next = loop {
            match sender.poll(Time::new(start.elapsed())) {
                SenderOutput::Transmit(packet) => network.send(packet)?,
                SenderOutput::Timeout(at) => break at.map_or(until, |at| at.since_start().min(until)),
                _ => {}
            }
        };
        match network.receive(start + next)? {
            Some((packet, _)) if is_rtcp(&packet) => {
                sender.handle_feedback(Time::new(start.elapsed()), &packet);
            }
            None if start.elapsed() >= until => return Ok(()),
            _ => {}
        }
    }
}
