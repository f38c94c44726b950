//! What layers on demand save in calls of any size, computed from decisions and not packet by packet.
//!
//! The packets of 500 people who watch 49 streams each are too many to simulate. What a camera has to code, though, follows
//! from what the receivers' selectors decide, and these are asked here, one for each receiver, over paths that stay as they
//! are until no decision changes any more. A [`Demand`] puts their decisions together, the planner says which frames
//! that takes, and a [`CodedVideo`] says what those cost.
//!
//! So there are no losses, no queues and no changes in it: neither key pictures nor layers that linger after the last
//! viewer has left. A test holds it against a call that is simulated packet by packet.

use std::time::Duration;

use super::policies::{Policy, Watched};
use super::video::{CodedVideo, wire_bytes};
use crate::select::{Demand, LayerDemand, Network, Priority, SelectorConfig, StreamId, Window};
use crate::structure::{DecodeTarget, DecodeTargets, LayerId, PictureRequest, Planner};
use crate::{Size, Time};

/// Decisions are this far apart, as in a call.
const DECIDE: Duration = super::model::DECIDE;
/// A receiver is settled after so many decisions that are the same, or all the same after the most.
const SETTLED: usize = 60;
const MOST: usize = 900;
/// Windows of a gallery at once, and beside a speaker.
const PAGE: usize = 49;
const STRIP: u32 = 6;

/// What everybody has on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "users choose one")]
pub enum View {
    /// Up to 49 windows of the same size on 1920x1080. Of more people every second one looks at the first page, and the
    /// others at one of the other pages each.
    Gallery,
    /// One speaker at 1280x720, and six others at 320x180. All look at the same ones.
    Speaker,
}

/// How senders decide what to code, and the relay what to forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scheme {
    /// Layers on demand: what some selector has chosen.
    OnDemand,
    /// All layers of each stream that somebody watches.
    PausedStreams,
    /// All layers of all streams.
    Everything,
    /// Three encodings of each stream, up to the largest that somebody watches (LiveKit's dynacast).
    PausedEncodings,
    /// Three encodings of each stream.
    Simulcast,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::OnDemand, Self::PausedStreams, Self::Everything, Self::PausedEncodings, Self::Simulcast];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "layers on demand",
            Self::PausedStreams => "L3T3, streams paused",
            Self::Everything => "L3T3, everything",
            Self::PausedEncodings => "simulcast, encodings paused",
            Self::Simulcast => "simulcast, everything",
        }
    }

    fn is_simulcast(self) -> bool {
        matches!(self, Self::PausedEncodings | Self::Simulcast)
    }
}

/// What a call of a size takes under a scheme.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ScaleOutcome {
    /// Bit/s that a sender sends in the mean, headers included.
    pub uplink: f64,
    /// Seconds of one core that a sender's coding takes in a second, in the mean.
    pub coding: f64,
    /// Bit/s that the relay takes in, and that it forwards.
    pub relay_in: f64,
    /// Bit/s that it forwards.
    pub relay_out: f64,
    /// SSIM in the windows, in the mean, of pictures that wait for the next one as the frame rate has it.
    pub ssim: f64,
    /// The share of the windows that show nothing.
    pub dark: f64,
}

/// A call of a size: everybody sends a camera and watches others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "users build it")]
pub struct Scale {
    /// Participants, 2 at least.
    pub people: u32,
    /// What they have on the screen.
    pub view: View,
    /// Bit/s that the paths of one half carry; those of the other carry four times as much.
    pub bitrate: u64,
}

impl Scale {
    /// What the call takes under each of [`Scheme::ALL`], with streams in an `L` mode and as independent encodings.
    pub fn run(&self, video: &CodedVideo, simulcast: &CodedVideo) -> Vec<(Scheme, ScaleOutcome)> {
        let layered = self.decide(Policy::Selector, video);
        let shared = self.decide(Policy::Simulcast, simulcast);
        let outcome = |scheme: Scheme| {
            let (table, decided) =
                if scheme.is_simulcast() { (simulcast, &shared) } else { (video, &layered) };
            (scheme, self.outcome(scheme, table, simulcast, decided))
        };
        Scheme::ALL.into_iter().map(outcome).collect()
    }

    /// The windows of a receiver.
    fn windows(&self, receiver: u32) -> Vec<(StreamId, Window)> {
        let window = |width: u32, priority| Window::new(Size::new(width, width * 9 / 16), priority);
        let others: Vec<_> = (0..self.people).filter(|&n| n != receiver).map(StreamId).collect();
        match self.view {
            View::Gallery => {
                let pages = others.len().div_ceil(PAGE);
                let page = match receiver % 2 {
                    1 if pages > 1 => 1 + receiver as usize / 2 % (pages - 1),
                    _ => 0,
                };
                // The last page goes back, so that it is full.
                let first = (page * PAGE).min(others.len().saturating_sub(PAGE));
                let shown = &others[first..(first + PAGE).min(others.len())];
                let columns = (1..7).find(|n| n * n >= shown.len() as u32).unwrap_or(7);
                shown.iter().map(|&stream| (stream, window(1920 / columns, Priority::Thumbnail))).collect()
            }
            View::Speaker => {
                let small = others.iter().skip(1).take(STRIP as usize);
                let small = small.map(|&stream| (stream, window(320, Priority::Thumbnail)));
                let large = others.first().map(|&stream| (stream, window(1280, Priority::ActiveSpeaker)));
                large.into_iter().chain(small).collect()
            }
        }
    }

    fn carries(&self, receiver: u32) -> u64 {
        if (receiver / 2).is_multiple_of(2) { self.bitrate } else { self.bitrate * 4 }
    }

    /// What each receiver gets in the end.
    fn decide(&self, policy: Policy, table: &CodedVideo) -> Vec<Vec<(Watched, Option<DecodeTarget>)>> {
        let offer = table.offer();
        let decide = |receiver: u32| {
            let windows = self.windows(receiver).into_iter();
            let watched: Vec<_> =
                windows.map(|(stream, window)| Watched { stream, window, offer: offer.clone() }).collect();
            let mut decider = policy.decider(SelectorConfig::default());
            watched.iter().for_each(|watched| decider.watch(Time::ZERO, watched));
            let network = Network { available_bitrate: Some(self.carries(receiver)), ..Network::default() };
            let (mut targets, mut same) = (Vec::new(), 0);
            for tick in 0..MOST as u32 {
                let decided = &decider.decide(Time::ZERO + DECIDE * tick, network, None, &watched).targets;
                same = if targets == *decided { same + 1 } else { 0 };
                targets.clone_from(decided);
                if same == SETTLED {
                    break;
                }
            }
            watched.into_iter().zip(targets).collect()
        };
        (0..self.people).map(decide).collect()
    }

    fn outcome(
        &self,
        scheme: Scheme,
        table: &CodedVideo,
        simulcast: &CodedVideo,
        decided: &[Vec<(Watched, Option<DecodeTarget>)>],
    ) -> ScaleOutcome {
        let all = DecodeTargets::all(table.mode().structure());
        let mut wishes = vec![Vec::new(); self.people as usize];
        for (watched, target) in decided.iter().flatten() {
            let wish = target.map(|target| LayerDemand { target, bitrate: 0 });
            wishes[watched.stream.0 as usize].extend(wish);
        }
        // Most streams are wanted in the same ways.
        let mut known: Vec<(DecodeTargets, Coded)> = Vec::new();
        let coded: Vec<usize> = wishes
            .into_iter()
            .map(|wishes| {
                let demanded = wishes.into_iter().collect::<Demand>().wanted();
                let highest = demanded.iter().map(|target| target.spatial_id).max();
                let wanted = match scheme {
                    Scheme::OnDemand => demanded,
                    Scheme::PausedStreams if demanded.is_empty() => demanded,
                    Scheme::PausedEncodings => {
                        all.iter().filter(|target| Some(target.spatial_id) <= highest).collect()
                    }
                    _ => all,
                };
                known.iter().position(|(of, _)| *of == wanted).unwrap_or_else(|| {
                    known.push((wanted, Coded::new(table, simulcast, wanted)));
                    known.len() - 1
                })
            })
            .collect();
        let people = f64::from(self.people);
        let sum = |of: fn(&Coded) -> f64| coded.iter().map(|&at| of(&known[at].1)).sum::<f64>();
        let (mut relay_out, mut ssim, mut windows, mut dark) = (0.0, 0.0, 0.0, 0.0);
        for (watched, target) in decided.iter().flatten() {
            windows += 1.0;
            let Some(target) = *target else {
                dark += 1.0;
                continue;
            };
            relay_out += known[coded[watched.stream.0 as usize]].1.bitrate(target);
            ssim += table.ssim_at(target, watched.window.size.height);
        }
        ScaleOutcome {
            uplink: sum(|coded| coded.bitrate) / people,
            coding: sum(|coded| coded.coding) / people,
            relay_in: sum(|coded| coded.bitrate),
            relay_out,
            ssim: ssim / windows,
            dark: dark / windows,
        }
    }
}

/// What a sender codes that codes some decode targets.
struct Coded {
    bitrate: f64,
    /// Seconds in a second.
    coding: f64,
    /// Bit/s that go to a receiver of each decode target.
    targets: Vec<(DecodeTarget, f64)>,
}

impl Coded {
    fn new(table: &CodedVideo, simulcast: &CodedVideo, wanted: DecodeTargets) -> Self {
        let structure = table.mode().structure();
        let mut planner = Planner::new(table.mode(), table.size());
        let seconds = table.pictures() as f64 / f64::from(table.frame_rate());
        let mut targets: Vec<_> = wanted.iter().map(|target| (target, 0.0)).collect();
        let (mut bits, mut micros) = (0.0, 0.0);
        planner.next(PictureRequest { wanted, ..PictureRequest::default() });
        // Until the first layers that are left out count.
        for number in 0..2 * table.pictures() {
            let plan = planner.next(PictureRequest { wanted, ..PictureRequest::default() });
            if number < table.pictures() {
                continue;
            }
            for frame in &plan.frames {
                let LayerId { spatial_id, .. } = frame.layer;
                let mut template = structure.cycle
                    [(plan.position + structure.cycle.len() - 1) % structure.cycle.len()]
                .iter();
                let refers = template
                    .any(|frame| frame.layer.spatial_id == spatial_id && frame.inter_layer_ref.is_some());
                // A layer without those below it costs what an encoding of its own does.
                let table = if refers && frame.inter_layer_ref.is_none() { simulcast } else { table };
                let frame_bits = wire_bytes(table.frame_bytes(spatial_id, number)) as f64 * 8.0;
                bits += frame_bits;
                micros += f64::from(table.encode_us(spatial_id));
                let needs = targets.iter_mut().filter(|(target, _)| frame.needed_by.contains(*target));
                needs.for_each(|(_, bits)| *bits += frame_bits);
            }
        }
        targets.iter_mut().for_each(|(_, bits)| *bits /= seconds);
        Self { bitrate: bits / seconds, coding: micros / 1e6 / seconds, targets }
    }

    fn bitrate(&self, target: DecodeTarget) -> f64 {
        self.targets.iter().find(|(of, _)| *of == target).map_or(0.0, |(_, bitrate)| *bitrate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::{Call, LinkConfig, Outcome, ReceiverSpec, Trace};

    fn run(people: u32, view: View, bitrate: u64) -> Vec<(Scheme, ScaleOutcome)> {
        Scale { people, view, bitrate }.run(&CodedVideo::scene(), &CodedVideo::scene_simulcast())
    }

    #[test]
    fn demand_takes_less_than_any_other_scheme_and_shows_no_less() {
        for view in [View::Gallery, View::Speaker] {
            let outcomes = run(60, view, 4_000_000);
            let [(_, demand), (_, paused), (_, all), (_, encodings), (_, simulcast)] = outcomes[..] else {
                panic!("{outcomes:?}")
            };
            assert!(
                demand.uplink < 0.5 * paused.uplink && demand.uplink <= encodings.uplink,
                "{outcomes:#?}"
            );
            assert!(paused.uplink <= all.uplink && encodings.uplink <= simulcast.uplink);
            assert!(
                demand.coding < paused.coding && demand.dark == 0.0 && demand.ssim > simulcast.ssim - 0.01
            );
            assert!(
                demand.relay_out <= all.relay_out * 1.01 && demand.relay_in == 60.0 * demand.uplink,
                "{outcomes:#?}"
            );
        }
    }

    /// What is computed is about what a simulated call sends, once its estimates have risen.
    #[test]
    fn it_is_about_what_a_simulated_call_comes_to() {
        let scale = Scale { people: 5, view: View::Speaker, bitrate: 4_000_000 };
        let second = Duration::from_secs(1);
        let mut call = Call::gallery(Trace::constant(1), LinkConfig::default(), 40 * second, 5);
        call.on_demand = true;
        let receiver = |r: u32| {
            let mut spec = ReceiverSpec::new(Trace::constant(scale.carries(r)), LinkConfig::default());
            let windows = scale.windows(r).into_iter();
            spec.watches = windows.map(|(stream, window)| (stream, vec![(Time::ZERO, window)])).collect();
            spec
        };
        call.receivers = (0..5).map(receiver).collect();
        let (long, computed) = (call.run(Policy::Selector), run(5, View::Speaker, 4_000_000)[0].1);
        call.duration = 20 * second;
        let short = call.run(Policy::Selector);
        let each = |long: f64, short: f64| (long - short) / 20.0 / 5.0;
        let coding = |outcome: &Outcome| outcome.encode_time.iter().sum::<Duration>().as_secs_f64();
        let coding = each(coding(&long), coding(&short));
        assert!((computed.coding / coding - 1.0).abs() < 0.1, "{} {coding}", computed.coding);
        // Without headers, which are a tenth of it.
        let bits = |outcome: &Outcome| outcome.sent_bytes.iter().sum::<u64>() as f64 * 8.0;
        let uplink = each(bits(&long), bits(&short));
        assert!((0.95..1.25).contains(&(computed.uplink / uplink)), "{} {uplink}", computed.uplink);
    }
}
