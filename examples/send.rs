//! Codes a video, seals it and sends it over UDP.

mod common;
mod udp;

use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use layercast::bitstream::{FrameType, HeaderReader, ObuType, obus};
use layercast::e2ee::Agreement;
use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder};
use layercast::rtp::{Packets, RtcpMessage, SentPackets, rtcp};
use layercast::structure::{
    DecodeTargets, LayerId, PicturePlan, PictureRequest, Planner, Refresh, ScalabilityMode,
};
use layercast::{Size, Time};

use common::stream::Stream;
use common::{Result, at, exit_code, video, warn_of_debug_build};
use udp::call::Outgoing;
use udp::{Faults, Network, control, is_rtcp};

/// Codes a video (or takes the layers of an IVF file that `encode` wrote), seals each layer by SFrame and sends it
/// over UDP as fast as it plays. The keys are agreed on by MLS with `receive`, which is to be started first.
///
/// It sends packets again when asked to. If a key frame is asked for, the next picture is a key picture; if a layer's
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
    /// Quantizer index (base_q_idx), 1 (best) to 255.
    #[arg(long, default_value_t = 100)]
    qp: u8,
    /// Pictures to send: all of a file and 300 of the drawn call, if not given.
    #[arg(long)]
    frames: Option<u64>,
    #[command(flatten)]
    faults: Faults,
}

/// After the last picture, how long packets are still sent again.
const LINGER: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

/// A picture's layers.
struct Coded {
    plan: PicturePlan,
    payloads: Vec<Vec<u8>>,
}

/// Where pictures come from.
enum Source {
    Video { source: video::Source, encoder: Box<SvcEncoder>, pictures: u64 },
    File { units: std::vec::IntoIter<Vec<u8>>, headers: Box<HeaderReader>, planner: Box<Planner> },
}

impl Source {
    /// Opens the input: its pictures, and the time from one to the next.
    fn open(args: &Args) -> Result<(Self, Duration)> {
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
            return Ok((source, Duration::from_secs_f64(num as f64 / den as f64)));
        }
        let source = video::Source::open(path)?;
        let mut config = SvcConfig::new(source.size, args.mode);
        config.quantizer = args.qp;
        let encoder = Box::new(SvcEncoder::new(config)?);
        let interval = source.frame_rate;
        let interval = Duration::from_secs_f64(interval.den as f64 / interval.num as f64);
        Ok((Self::Video { source, encoder, pictures: 0 }, interval))
    }

    fn default_frames(&self) -> u64 {
        match self {
            Self::Video { source, .. } => source.default_frames,
            Self::File { .. } => u64::MAX,
        }
    }

    fn next(&mut self, refresh: Refresh) -> Result<Option<Coded>> {
        match self {
            Self::Video { source, encoder, pictures } => {
                let Some(picture) = source.pictures.next().transpose()? else { return Ok(None) };
                let options = EncodeOptions { refresh, wanted: None };
                let unit = encoder.encode(&picture.view(), *pictures as i64, options)?;
                *pictures += 1;
                let payloads = unit.frames.iter().map(|frame| frame.data.to_vec()).collect();
                Ok(Some(Coded { plan: unit.plan, payloads }))
            }
            Self::File { units, headers, planner } => {
                let Some(unit) = units.next() else { return Ok(None) };
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
                    payloads.push(unit[start..frame.range.end].to_vec());
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
                Ok(Some(Coded { plan, payloads }))
            }
        }
    }
}

/// What was sent and asked for.
#[derive(Default)]
struct Counts {
    pictures: u64,
    keys: u64,
    packets: u64,
    bytes: usize,
    again: u64,
    requests: u64,
}

fn run(args: &Args) -> Result<()> {
    warn_of_debug_build();
    let (mut source, interval) = Source::open(args)?;
    let mut stream = at(args.control.to_string().as_ref(), TcpStream::connect(args.control))?;
    let agreed = Agreement::default();
    let mut group = control::invite(&mut stream, agreed)?;
    println!("code to compare: {}", group.code()?);
    let sealer = group.sender_keys()?.video(0)?;
    let mut outgoing = Outgoing::new(Some(sealer), args.faults.seed as u16);
    let mut network = Network::new(UdpSocket::bind("127.0.0.1:0")?, args.to, args.faults.clone());
    let mut sent = SentPackets::new(4096);
    let mut counts = Counts::default();

    let start = Instant::now();
    let mut packets = Packets::new();
    let mut refresh = Refresh::NONE;
    let frames = args.frames.unwrap_or_else(|| source.default_frames());
    for n in 0..frames {
        let due = start + interval * u32::try_from(n)?;
        listen(&mut network, start, due, &mut sent, &mut counts, &mut refresh)?;
        let Some(coded) = source.next(std::mem::take(&mut refresh))? else { break };
        counts.pictures += 1;
        counts.keys += u64::from(coded.plan.key);
        let timestamp = (interval.as_secs_f64() * n as f64 * 90_000.0) as u64 as u32;
        let payloads = coded.payloads.iter().map(Vec::as_slice);
        outgoing.send(&coded.plan, payloads, timestamp, &mut packets)?;
        for packet in packets.drain() {
            counts.packets += 1;
            counts.bytes += packet.len();
            sent.insert(packet.clone());
            network.send(packet)?;
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    listen(&mut network, start, Instant::now() + LINGER, &mut sent, &mut counts, &mut refresh)?;
    let Counts { pictures, keys, packets, bytes, again, requests } = counts;
    println!(
        "{pictures} pictures ({keys} key) in {packets} packets, {:.1} kbit/s",
        bytes as f64 / 125.0 / seconds
    );
    println!("{} lost on purpose, {again} sent again, {requests} requests for a refresh", network.lost);
    Ok(())
}

/// Does what the receiver asks for, or notes it for the next picture: all that has come, and what comes until `until`.
fn listen(
    network: &mut Network,
    start: Instant,
    until: Instant,
    sent: &mut SentPackets,
    counts: &mut Counts,
    refresh: &mut Refresh,
) -> Result<()> {
    while let Some((packet, _)) = network.receive(until)? {
        if !is_rtcp(&packet) {
            continue;
        }
        for message in rtcp::read(&packet).filter_map(std::result::Result::ok) {
            match message {
                RtcpMessage::Nack { lost, .. } => {
                    for number in lost.into_iter().flat_map(|lost| lost.sequence_numbers()) {
                        if let Some(packet) = sent.resend(Time::new(start.elapsed()), number) {
                            counts.again += 1;
                            network.send(packet.clone())?;
                        }
                    }
                }
                RtcpMessage::Pli { .. } | RtcpMessage::Fir { .. } => {
                    counts.requests += 1;
                    *refresh = Refresh::KEY;
                }
                RtcpMessage::Lrr { requests, .. } => {
                    counts.requests += 1;
                    for request in requests {
                        *refresh = refresh.union(request.refresh());
                    }
                }
                _ => {}
            }
        }
    }
    Ok(())
}
