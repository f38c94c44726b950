//! A call over a lossy path, in one process and in virtual time.

mod common;

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use clap::{Parser, ValueEnum};
use layercast::e2ee::{Agreement, KeyRing, SenderKeys, VideoOpener};
use layercast::encoder::SvcConfig;
use layercast::picture::Picture;
use layercast::rtp::RtpPacket;
use layercast::scene::Scene;
use layercast::session::{
    ReceiverOutput, Redundancy, SenderOutput, ShownPicture, VideoReceiver, VideoReceiverConfig, VideoSender,
    VideoSenderConfig,
};
use layercast::structure::{LayerId, ScalabilityMode};
use layercast::{Size, Time};

use common::{Result, exit_code, progress, warn_of_debug_build};

/// Codes a video call drawn by code at 640x360 in three spatial and three temporal layers, seals it, sends it over a path
/// that loses and delays packets both ways, opens and decodes it. Says what was shown, how late, and for how many bits.
///
/// Every picture shown is compared with the encoder's reconstruction, sample for sample. Time is virtual: the path takes
/// as long as it is told to, and coding takes none.
#[derive(Parser)]
struct Args {
    /// Packets lost, each way, in percent.
    #[arg(long, default_value_t = 5.0)]
    loss: f64,
    /// One way, in milliseconds.
    #[arg(long, default_value_t = 50)]
    delay: u64,
    /// Packets that others overtake, in percent.
    #[arg(long, default_value_t = 5.0)]
    reorder: f64,
    /// How late those are, in milliseconds.
    #[arg(long, default_value_t = 15)]
    late: u64,
    /// No packet arrives for so many milliseconds, in the middle of the call.
    #[arg(long, default_value_t = 0)]
    outage: u64,
    /// Pictures to send, 30 a second.
    #[arg(long, default_value_t = 300)]
    pictures: u64,
    /// What parity packets protect.
    #[arg(long, value_enum, default_value_t = Fec::None)]
    fec: Fec,
    /// Quantizer index (base_q_idx), 1 (best) to 255.
    #[arg(long, default_value_t = 100)]
    qp: u8,
    /// Another number draws other losses.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// What parity packets protect.
#[derive(Clone, Copy, ValueEnum)]
enum Fec {
    /// Nothing.
    None,
    /// The lowest temporal layer: every fourth picture.
    Lowest,
    /// Every picture.
    Every,
}

impl From<Fec> for Redundancy {
    fn from(fec: Fec) -> Self {
        match fec {
            Fec::None => Self::None,
            Fec::Lowest => Self::LowestTemporalLayer,
            Fec::Every => Self::EveryPicture,
        }
    }
}

const SIZE: Size = Size::new(640, 360);
const MODE: ScalabilityMode = ScalabilityMode::L3T3;
const TOP: LayerId = LayerId::new(2, 2);
const SSRC: u32 = 0x5eed;
/// From one picture to the next.
const PICTURE: Duration = Duration::from_micros(33_333);
/// After the last picture, how long packets are still sent again.
const LINGER: Duration = Duration::from_secs(2);
/// Pictures whose reconstruction is kept: more than any can be late.
const KEPT: usize = 150;

fn main() -> ExitCode {
    exit_code(run(&Args::parse()))
}

/// What happens at a time.
enum Event {
    /// A picture is captured.
    Picture(u64),
    ToReceiver(Bytes),
    ToSender(Bytes),
}

/// The path, both ways.
struct Path<'a> {
    args: &'a Args,
    random: oorandom::Rand64,
    outage: (Time, Time),
    events: BTreeMap<(Time, u64), Event>,
    count: u64,
}

impl Path<'_> {
    fn at(&mut self, time: Time, event: Event) {
        self.count += 1;
        self.events.insert((time, self.count), event);
    }

    /// A packet goes on its way.
    fn transmit(&mut self, now: Time, event: Event) {
        let lost = self.random.rand_float() * 100.0 < self.args.loss;
        let late = self.random.rand_float() * 100.0 < self.args.reorder;
        let out = self.outage.0 <= now && now < self.outage.1;
        if !lost && !out {
            let delay = self.args.delay + if late { self.args.late } else { 0 };
            self.at(now + Duration::from_millis(delay), event);
        }
    }
}

/// What the encoder made of a picture, to compare with.
struct Coded {
    number: u64,
    /// RTP timestamp.
    timestamp: u32,
    layers: Vec<Picture>,
}

/// A picture that was shown.
struct Shown {
    at: Time,
    delay: Duration,
    full_size: bool,
}

/// Compares a picture with what the encoder has made of it.
fn check(now: Time, shown: &ShownPicture, coded: &VecDeque<Coded>) -> Result<Shown> {
    let of = coded.iter().find(|coded| coded.timestamp == shown.timestamp);
    let coded = of.ok_or("a picture is shown that was not sent, or long ago")?;
    if !coded.layers.contains(&shown.picture) {
        return Err(format!("picture {} differs from the encoder's reconstruction", coded.number).into());
    }
    let delay = now - captured(coded.number);
    Ok(Shown { at: now, delay, full_size: shown.picture.size() == SIZE })
}

fn captured(number: u64) -> Time {
    Time::ZERO + PICTURE * number as u32
}

fn run(args: &Args) -> Result<()> {
    warn_of_debug_build();
    let agreement = Agreement::default();
    let mut keys = SenderKeys::fresh(agreement, 1, 0)?;
    let mut ring = KeyRing::new(agreement, Duration::from_secs(5));
    ring.add(Time::ZERO, keys.grant().clone());
    let mut config = VideoSenderConfig::new(SSRC);
    // Nothing here is a bottleneck, and losses by chance would be taken for one.
    config.path = None;
    config.redundancy = args.fec.into();
    let mut encoder = SvcConfig::new(SIZE, MODE);
    encoder.quantizer = args.qp;
    let mut sender = VideoSender::new(config, encoder, Some(keys.video(0)?))?;
    let opener = VideoOpener::new(agreement, 1, 0);
    let mut receiver = VideoReceiver::new(VideoReceiverConfig::new(SSRC, TOP), Some((opener, ring)))?;

    let scene = Scene::new(SIZE);
    let middle = captured(args.pictures / 2);
    let outage = (middle, middle + Duration::from_millis(args.outage));
    let random = oorandom::Rand64::new(args.seed.into());
    let mut path = Path { args, random, outage, events: BTreeMap::new(), count: 0 };
    (0..args.pictures).for_each(|number| path.at(captured(number), Event::Picture(number)));
    let end = captured(args.pictures) + LINGER;
    let bar = progress("sending", Some(args.pictures));
    let (mut coded, mut shown) = (VecDeque::new(), vec![]);
    let mut wake: [Option<Time>; 2] = [None; 2];
    loop {
        let next = path.events.first_key_value().map(|((time, _), _)| *time);
        let Some(now) = wake.into_iter().flatten().chain(next).min().filter(|now| *now <= end) else { break };
        let mut number = None;
        if next == Some(now) {
            match path.events.pop_first().map(|(_, event)| event) {
                Some(Event::Picture(picture)) => {
                    sender.handle_picture(now, &scene.picture(picture).view())?;
                    number = Some(picture);
                    bar.inc(1);
                }
                Some(Event::ToReceiver(packet)) => receiver.handle_packet(now, packet),
                Some(Event::ToSender(packet)) => sender.handle_feedback(now, &packet),
                None => {}
            }
        }
        loop {
            match sender.poll(now) {
                SenderOutput::Transmit(packet) => {
                    if let (Some(number), Ok(rtp)) = (number.take(), RtpPacket::read(&packet)) {
                        let encoder = sender.encoder_mut().ok_or("the sender has an encoder")?;
                        let layers = (0..3).filter_map(|layer| encoder.reconstruction(layer)).collect();
                        coded.push_back(Coded { number, timestamp: rtp.header.timestamp, layers });
                        coded.drain(..coded.len().saturating_sub(KEPT));
                    }
                    path.transmit(now, Event::ToReceiver(packet));
                }
                SenderOutput::Timeout(at) => {
                    wake[0] = at;
                    break;
                }
                _ => {}
            }
        }
        loop {
            match receiver.poll(now) {
                ReceiverOutput::Transmit(packet) => path.transmit(now, Event::ToSender(packet)),
                ReceiverOutput::Picture(picture) => shown.push(check(now, &picture, &coded)?),
                ReceiverOutput::Timeout(at) => {
                    wake[1] = at;
                    break;
                }
                _ => {}
            }
        }
    }
    bar.finish_and_clear();
    print(args, &sender, &shown);
    Ok(())
}

fn print(args: &Args, sender: &VideoSender, shown: &[Shown]) {
    let statistics = sender.statistics();
    let share = |count: usize| format!("{:.1} %", count as f64 * 100.0 / args.pictures.max(1) as f64);
    let mut delays: Vec<Duration> = shown.iter().map(|shown| shown.delay).collect();
    delays.sort_unstable();
    let delay = |share: f64| {
        let at = (delays.len().saturating_sub(1) as f64 * share) as usize;
        delays.get(at).map_or("-".into(), |delay| format!("{} ms", delay.as_millis()))
    };
    let gap = shown.windows(2).map(|pair| pair[1].at - pair[0].at).max().unwrap_or_default();
    let seconds = (PICTURE * args.pictures as u32).as_secs_f64().max(f64::EPSILON);
    let kbps = |bytes: u64| format!("{:.1}", bytes as f64 * 8.0 / 1000.0 / seconds);
    let rows = [
        ("pictures shown", share(shown.len())),
        ("at full size", share(shown.iter().filter(|shown| shown.full_size).count())),
        ("key pictures", statistics.key_pictures.to_string()),
        ("delay, half of the pictures", delay(0.5)),
        ("delay, 99 %", delay(0.99)),
        ("longest gap", format!("{} ms", gap.as_millis())),
        ("media, kbit/s", kbps(statistics.bytes)),
        ("retransmissions, kbit/s", kbps(statistics.retransmitted_bytes)),
        ("parity, kbit/s", kbps(statistics.parity_bytes)),
    ];
    println!("| what                        |    figure |");
    println!("| --------------------------- | --------: |");
    for (what, figure) in rows {
        println!("| {what:27} | {figure:>9} |");
    }
}
