use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::structure::{DecodeTarget, LayerId, PictureRequest, Planner, Refresh, ScalabilityMode};
use crate::{Size, Time};

mod rises;

const STREAM: StreamId = StreamId(7);

fn ms(since_start: u64) -> Time {
    Time::from_millis(since_start)
}

fn layer(spatial_id: u8, temporal_id: u8) -> Option<DecodeTarget> {
    Some(LayerId::new(spatial_id, temporal_id))
}

/// The layers of the README's table, 54 to 507 kbit/s.
fn offer(mode: ScalabilityMode) -> Offer {
    let kilobits = [[54, 70, 87], [141, 182, 225], [328, 415, 507]];
    Offer::new(mode, Size::new(1280, 720), 30.0, |target| {
        1000 * kilobits[usize::from(target.spatial_id)][usize::from(target.temporal_id)]
    })
}

fn window(width: u32, height: u32) -> Window {
    Window::new(Size::new(width, height), Priority::ActiveSpeaker)
}

fn path(kilobits: u64) -> Network {
    Network { available_bitrate: Some(1000 * kilobits), ..Network::default() }
}

/// A receiver of one stream in a large window.
fn selector() -> Selector {
    selector_with(SelectorConfig::default())
}

fn selector_with(config: SelectorConfig) -> Selector {
    let mut selector = Selector::new(config);
    selector.set_offer(ms(0), STREAM, &offer(ScalabilityMode::L3T3));
    selector.set_window(ms(0), STREAM, window(1280, 720));
    selector
}

/// Decides at `now` with an estimate of the path.
fn at(selector: &mut Selector, now: Time, kilobits: u64) -> StreamDecision {
    selector.set_network(now, path(kilobits));
    selector.decide(now).streams[0]
}

#[test]
fn an_offer_is_read_off_the_structure() {
    let l3t3 = offer(ScalabilityMode::L3T3);
    let at = |spatial_id: usize, temporal_id: usize| l3t3.layers[3 * spatial_id + temporal_id];
    assert_eq!((at(0, 0).size, at(0, 0).frame_rate), (Size::new(320, 180), 7.5));
    assert_eq!((at(2, 1).size, at(2, 1).frame_rate), (Size::new(1280, 720), 15.0));
    assert_eq!(at(1, 2).luma_samples, (640 * 360 + 320 * 180) * 30);
    assert_eq!((l3t3.up, l3t3.down), (Switch::LayerRefresh, Switch::Free));
    let key = offer(ScalabilityMode::L3T3Key);
    assert_eq!(key.layers[5].luma_samples, 640 * 360 * 30);
    assert_eq!((key.up, key.down), (Switch::KeyFrame, Switch::KeyFrame));
    let separate = offer(ScalabilityMode::S3T3);
    assert_eq!((separate.up, separate.down), (Switch::LayerRefresh, Switch::LayerRefresh));
}

#[test]
fn a_window_gets_the_layer_that_fills_it_or_the_one_below_and_nothing_when_hidden() {
    let mut s = selector();
    for (size, spatial_id) in [
        ((160, 90), 0),
        ((320, 180), 0),
        ((360, 203), 1),
        ((640, 360), 1),
        ((300, 900), 0),
        ((1920, 1080), 2),
    ] {
        s.set_window(ms(0), STREAM, window(size.0, size.1));
        let decided = s.decide(ms(0)).streams[0];
        assert_eq!(decided.target, layer(spatial_id, 2), "{size:?}");
        assert_eq!(decided.reason, if spatial_id == 2 { Reason::Full } else { Reason::Window });
    }
    s.set_window(ms(10), STREAM, Window { visible: false, ..window(1280, 720) });
    let decided = s.decide(ms(10)).streams[0];
    assert_eq!((decided.target, decided.reason, decided.room), (None, Reason::Hidden, 0));
    s.set_window(ms(2000), STREAM, window(1280, 720));
    let decided = s.decide(ms(2000)).streams[0];
    assert_eq!((decided.target, decided.refresh), (layer(2, 2), Refresh::KEY));
    s.set_window(ms(2010), STREAM, Window { max_frame_rate: Some(20.0), ..window(1280, 720) });
    assert_eq!(s.decide(ms(2010)).streams[0].target, layer(2, 1));
}

#[test]
fn a_screen_is_sharp_and_a_face_moves() {
    let mut s = selector();
    let face = at(&mut s.clone(), ms(0), 380).target;
    s.set_window(ms(0), STREAM, Window { priority: Priority::ScreenShare, ..window(1280, 720) });
    assert_eq!((face, at(&mut s, ms(0), 380).target), (layer(1, 2), layer(2, 0)));
}

#[test]
fn the_reason_is_the_input_that_binds() {
    let reason = |change: &dyn Fn(&mut Selector)| {
        let mut s = selector();
        change(&mut s);
        s.decide(ms(0)).streams[0].reason
    };
    let cap = |cap: Cap| move |s: &mut Selector| s.set_cap(ms(0), Some(STREAM), cap);
    assert_eq!(reason(&|_| {}), Reason::Full);
    assert_eq!(reason(&cap(Cap { max_height: Some(360), ..Cap::default() })), Reason::Cap);
    assert_eq!(reason(&cap(Cap { max_bitrate: Some(100), ..Cap::default() })), Reason::Cap);
    let all = Cap { max_bitrate: Some(300_000), ..Cap::default() };
    assert_eq!(reason(&|s| s.set_cap(ms(0), None, all)), Reason::Cap);
    assert_eq!(reason(&|s| s.set_network(ms(0), path(400))), Reason::Network);
    assert_eq!(reason(&|s| s.set_offer(ms(0), STREAM, &Offer::default())), Reason::NotOnOffer);
    let frame = DecodeTime { luma_samples: 640 * 360, time: Duration::from_millis(20) };
    let cpu = Cpu { decode_times: [frame].into_iter().collect(), ..Cpu::default() };
    assert_eq!(reason(&|s| s.set_cpu(ms(0), &cpu)), Reason::Cpu);
    assert_eq!(reason(&|s| s.set_network(ms(0), Network { loss: Some(0.1), ..path(600) })), Reason::Loss);
}

#[test]
fn at_the_start_every_window_gets_its_lowest_layer_and_layers_rise_in_two_streams_at_a_time() {
    let mut s = selector();
    for id in 0..9 {
        s.set_offer(ms(0), StreamId(id), &offer(ScalabilityMode::L3T3));
        s.set_window(ms(0), StreamId(id), window(640, 360));
    }
    s.set_network(ms(0), path(100));
    let decision = s.decide(ms(0));
    assert!(!decision.fits && decision.streams.iter().all(|stream| stream.target.is_some()));
    // A path that turns out to be wide.
    let mut before = 0;
    for now in (100..6000).step_by(50) {
        s.set_network(ms(now), path(4000));
        let streams = &s.decide(ms(now)).streams;
        let risen = streams.iter().filter(|stream| stream.target.is_some_and(|t| t.spatial_id > 0)).count();
        assert!(risen <= before + 2, "{risen} after {before} at {now} ms");
        before = risen;
    }
    let all = s.known_streams().len();
    assert_eq!(before, all);
    // The path is measured by then, and a window that is new does not take what others need.
    s.set_network(ms(7000), path(100));
    s.set_offer(ms(7000), StreamId(20), &offer(ScalabilityMode::L3T3));
    s.set_window(ms(7000), StreamId(20), window(640, 360));
    assert_eq!(s.decide(ms(7000)).stream(StreamId(20)).unwrap().target, None);
}

#[test]
fn minimum_service_comes_first_and_what_does_not_fit_is_said() {
    let mut s = selector_with(SelectorConfig { start: Duration::ZERO, ..SelectorConfig::default() });
    let thumbnail = Window { priority: Priority::Thumbnail, ..window(320, 180) };
    for id in 0..3 {
        s.set_offer(ms(0), StreamId(id), &offer(ScalabilityMode::L3T3));
        s.set_window(ms(0), StreamId(id), thumbnail);
    }
    s.set_network(ms(0), path(260));
    let decision = s.clone().decide(ms(0)).clone();
    assert!(decision.fits && decision.streams.iter().all(|stream| stream.target.is_some()));
    // What is shown already stays for a while.
    let mut later = s.clone();
    later.decide(ms(0));
    later.set_network(ms(1000), path(150));
    let decision = later.decide(ms(1000));
    assert!(!decision.fits && decision.total_bitrate == 4 * 54_000);
    later.set_network(ms(62_000), path(150));
    let decision = later.decide(ms(62_000));
    assert!(!decision.fits && decision.total_bitrate == 2 * 54_000);
    s.set_network(ms(0), path(150));
    let decision = s.decide(ms(0));
    assert!(!decision.fits);
    assert_eq!(decision.stream(STREAM).unwrap().target, layer(0, 0), "the larger window is served first");
    assert_eq!(decision.streams.iter().filter(|stream| stream.target.is_none()).count(), 2);
}

#[test]
fn down_at_once_and_up_when_the_path_has_proven_itself() {
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 1000).target, layer(2, 2));
    let decided = at(&mut s, ms(100), 340);
    assert_eq!((decided.target, decided.refresh), (layer(1, 2), Refresh::NONE));
    let back = |s: &mut Selector, from: u64| {
        let ticks = (from..from + 90_000).step_by(100);
        let mut up = ticks.map(|now| (now, at(s, ms(now), 640))).filter(|(_, d)| d.target == layer(2, 2));
        up.next().expect("it comes back")
    };
    let (first, decided) = back(&mut s, 200);
    assert!((10_000..13_000).contains(&(first - 100)), "after {first} ms");
    assert_eq!(decided.refresh, Refresh::layer(2));
    // It fails at once, and is tried again after twice the time.
    assert_eq!(at(&mut s, ms(first + 500), 340).target, layer(1, 2));
    assert_eq!(at(&mut s, ms(first + 600), 640).reason, Reason::Network);
    assert_eq!(at(&mut s, ms(first + 2500), 640).reason, Reason::Proving);
    let (second, _) = back(&mut s, first + 2600);
    assert!(second - first > 2 * (first - 100) - 1500, "{first} ms, then {second} ms");
}

#[test]
fn a_short_dip_costs_frame_rate_only() {
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 1000).target, layer(2, 2));
    assert_eq!(at(&mut s, ms(100), 480).target, layer(2, 1));
    assert_eq!(at(&mut s, ms(1500), 1000).target, layer(2, 2));
}

#[test]
fn a_queue_costs_frame_rate_and_not_the_spatial_layer() {
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 600).target, layer(2, 2));
    let queue = |ms: u64| Network { queueing_delay: Some(Duration::from_millis(ms)), ..path(600) };
    s.set_network(ms(100), queue(150));
    assert_eq!(s.decide(ms(100)).streams[0].target, layer(2, 1));
    s.set_network(ms(200), queue(600));
    let decision = s.decide(ms(200));
    assert_eq!((decision.streams[0].target, decision.total_bitrate), (layer(2, 0), 328_000));
    assert_eq!(decision.budget, Some(328_000), "above the half that drains the queue");
}

#[test]
fn a_path_that_was_never_congested_is_believed_sooner() {
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 300).target, layer(1, 2));
    let mut ticks = (100..3000).step_by(100);
    let up = ticks.find(|now| at(&mut s, ms(*now), 1000).target == layer(2, 2));
    assert!(up.is_some_and(|up| (1000..1600).contains(&up)), "{up:?}");
}

#[test]
fn the_last_switch_of_a_minute_is_to_the_lowest_layer() {
    let config = SelectorConfig { max_switches: 2, ..SelectorConfig::default() };
    let mut s = Selector::new(config);
    s.set_offer(ms(0), STREAM, &offer(ScalabilityMode::L3T3));
    s.set_window(ms(0), STREAM, window(1280, 720));
    assert_eq!(at(&mut s, ms(0), 300).target, layer(1, 2));
    let mut ticks = (100..3000).step_by(100);
    assert!(ticks.any(|now| at(&mut s, ms(now), 1000).target == layer(2, 2)));
    assert_eq!(at(&mut s, ms(3000), 300).target, layer(0, 2), "250 kbit/s would do for S1");
    let mut ticks = (3100..59_000).step_by(100);
    assert!(ticks.all(|now| at(&mut s, ms(now), 1000).target == layer(0, 2)));
}

#[test]
fn where_the_minimum_does_not_fit_the_path_is_probed_soon() {
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 300).target, layer(1, 2));
    let mut probes = vec![];
    for now in (100..20_000).step_by(100) {
        s.set_network(ms(now), path(30));
        probes.extend(s.decide(ms(now)).probe.map(|_| now));
    }
    assert!((5..=10).contains(&probes.len()), "{probes:?}");
}

#[test]
fn what_a_switch_needs_is_asked_for_once() {
    for (mode, down, up) in [
        (ScalabilityMode::L3T3, Refresh::NONE, Refresh::layers(1..=2)),
        (ScalabilityMode::L3T3Key, Refresh::KEY, Refresh::KEY),
        (ScalabilityMode::S3T3, Refresh::layer(0), Refresh::layer(2)),
    ] {
        let mut s = selector();
        s.set_offer(ms(0), STREAM, &offer(mode));
        assert_eq!(s.decide(ms(0)).streams[0].refresh, Refresh::KEY);
        assert_eq!(s.decide(ms(1)).streams[0].refresh, Refresh::NONE);
        s.set_window(ms(2000), STREAM, window(320, 180));
        assert_eq!(s.decide(ms(2000)).streams[0].refresh, down);
        s.set_window(ms(4000), STREAM, window(1280, 720));
        assert_eq!(s.decide(ms(4000)).streams[0].refresh, up);
        assert_eq!(s.decide(ms(4001)).streams[0].refresh, Refresh::NONE);
    }
}

/// What one receiver can make a sender code anew, whatever it does to its window.
#[test]
fn windows_that_come_and_go_ask_for_one_refresh_in_an_interval() {
    for mode in [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3] {
        for states in [[Some((1280, 720)), None], [Some((1280, 720)), Some((320, 180))]] {
            let mut s = selector();
            s.set_offer(ms(0), STREAM, &offer(mode));
            let mut asked = vec![];
            for now in (0..60_000).step_by(50) {
                let state = states[(now / 50 % 2) as usize];
                let window = state.map_or(Window::default(), |(width, height)| window(width, height));
                s.set_window(ms(now), STREAM, window);
                let decided = s.decide(ms(now)).streams[0];
                if !decided.refresh.is_none() {
                    assert!(decided.target.is_some());
                    asked.push(now);
                }
            }
            assert!(asked.len() > 1 && asked.windows(2).all(|pair| pair[1] - pair[0] >= 1000), "{asked:?}");
        }
    }
}

#[test]
fn a_refresh_that_waits_is_not_forgotten_unless_it_is_of_no_use() {
    let mut s = selector();
    s.set_offer(ms(0), STREAM, &offer(ScalabilityMode::L3T3));
    s.set_window(ms(0), STREAM, window(320, 180));
    assert_eq!(s.decide(ms(0)).streams[0].refresh, Refresh::KEY);
    s.set_window(ms(500), STREAM, window(1280, 720));
    let decided = s.decide(ms(500)).streams[0];
    assert_eq!((decided.target, decided.refresh), (layer(2, 2), Refresh::NONE));
    s.set_window(ms(600), STREAM, window(640, 360));
    assert_eq!(s.decide(ms(600)).streams[0].target, layer(1, 2));
    assert_eq!(s.decide(ms(1000)).streams[0].refresh, Refresh::layer(1), "layer 2 is not wanted any more");
    s.set_window(ms(1200), STREAM, Window::default());
    s.decide(ms(1200));
    s.set_window(ms(1300), STREAM, window(640, 360));
    assert_eq!(s.decide(ms(1300)).streams[0].refresh, Refresh::NONE);
    s.set_window(ms(1400), STREAM, Window::default());
    assert_eq!(s.decide(ms(2000)).streams[0].refresh, Refresh::NONE, "it is hidden");
    s.set_window(ms(2100), STREAM, window(640, 360));
    assert_eq!(s.decide(ms(2100)).streams[0].refresh, Refresh::KEY);
    assert_eq!(s.decide(ms(4000)).streams[0].refresh, Refresh::NONE);
}

#[test]
fn an_old_estimate_holds_and_an_old_loss_is_forgotten() {
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 300).target, layer(1, 2));
    s.set_network(ms(100), path(5000));
    s.decide(ms(100));
    // Nothing is heard any more: what was good for a moment is no proof.
    assert_eq!(s.decide(ms(8000)).streams[0].target, layer(1, 2));
    let mut s = selector();
    s.set_network(ms(0), Network { loss: Some(0.2), ..path(700) });
    assert_eq!(s.decide(ms(0)).budget, Some(398_999));
    assert_eq!(s.decide(ms(6_000)).budget, Some(531_999));
    assert_eq!(s.decide(ms(15_000)).budget, Some(664_999));
}

#[test]
fn lossy_paths_carry_less_video_and_more_redundancy() {
    let mut s = selector();
    s.set_network(ms(0), path(540));
    let clean = s.clone().decide(ms(0)).clone();
    s.set_network(ms(0), Network { loss: Some(0.1), ..path(540) });
    let lossy = s.decide(ms(0));
    assert!(lossy.total_bitrate < clean.total_bitrate);
    assert_eq!(lossy.redundancy, Some(512_999 - lossy.total_bitrate), "all but the headroom");
    assert!(lossy.redundancy > Some(2 * lossy.total_bitrate / 10));
}

#[test]
fn a_busy_processor_gets_less_to_decode() {
    let mut s = selector();
    s.decide(ms(0));
    let load = |load: f32| Cpu { load: Some(load), ..Cpu::default() };
    s.set_cpu(ms(1000), &load(1.2));
    let decided = s.decide(ms(1000)).streams[0];
    assert_eq!((decided.target, decided.reason), (layer(2, 1), Reason::Cpu));
    // The load belongs to what was decided; it says the same of the machine.
    s.set_cpu(ms(2000), &load(0.6));
    assert_eq!(s.decide(ms(2000)).streams[0].target, layer(2, 1));
    // Nothing more is heard of it.
    assert_eq!(s.decide(ms(65_000)).streams[0].target, layer(2, 2));
}

#[test]
fn a_processor_that_other_work_keeps_busy_gets_the_lowest_layers_and_no_pauses() {
    let mut s = selector();
    let mut decided = s.decide(ms(0)).streams[0].target;
    let mut falls = 0;
    for second in 1..90 {
        // What decoding takes is little beside the rest.
        s.set_cpu(ms(1000 * second), &Cpu { load: Some(0.95), ..Cpu::default() });
        let next = s.decide(ms(1000 * second)).streams[0].target;
        assert!(next.is_some() && next <= decided, "{decided:?} -> {next:?} after {second} s");
        falls += u32::from(next < decided);
        decided = next;
    }
    assert_eq!((decided, falls > 1), (layer(0, 0), true));
    // Once it is free, the layers come back.
    for second in 90..120 {
        s.set_cpu(ms(1000 * second), &Cpu { load: Some(0.02), ..Cpu::default() });
        s.decide(ms(1000 * second));
    }
    assert_eq!(s.decide(ms(120_000)).streams[0].target, layer(2, 2));
}

#[test]
fn a_probe_is_asked_for_once_and_its_success_is_proof() {
    let mut s = selector();
    s.set_network(ms(0), path(260));
    let probe = s.decide(ms(0)).probe.expect("a probe");
    assert!(
        (507_000 * 100 / 95..600_000).contains(&probe.bitrate)
            && probe.duration >= Duration::from_millis(500)
    );
    assert_eq!(s.decide(ms(100)).probe, None);
    let mut failed = s.clone();
    let mut asked = Vec::new();
    for now in (200..140_000).step_by(100) {
        failed.set_network(ms(now), path(260));
        asked.extend(failed.decide(ms(now)).probe.map(|_| now));
    }
    let pauses: Vec<u64> = asked.windows(2).map(|asked| asked[1] - asked[0]).collect();
    assert!(pauses.len() >= 2 && pauses.windows(2).all(|pause| pause[1] > pause[0] + 3000), "{asked:?}");
    let risen = (700..3000).step_by(100).find(|now| at(&mut s, ms(*now), 600).target == layer(2, 2));
    assert!(risen.is_some_and(|now| now < 2500), "{risen:?}");
}

#[test]
fn times_without_end_are_times_like_others() {
    let mut config = SelectorConfig::default();
    let all = [&mut config.settle, &mut config.up_hold, &mut config.max_hold, &mut config.patience];
    all.into_iter().for_each(|time| *time = Duration::MAX);
    for probe_duration in [Duration::ZERO, Duration::from_millis(500), Duration::MAX] {
        config.probe_duration = probe_duration;
        let mut s = Selector::new(config);
        s.set_offer(ms(0), STREAM, &offer(ScalabilityMode::L3T3));
        s.set_window(ms(0), STREAM, window(1280, 720));
        s.set_network(ms(0), Network { round_trip: Some(Duration::MAX), ..path(260) });
        let probe = s.decide(ms(0)).probe.expect("a probe");
        assert_eq!(probe.duration, probe_duration.saturating_mul(4));
        s.set_network(ms(10), Network { queueing_delay: Some(Duration::MAX), ..path(260) });
        let queued = s.decide(ms(10));
        assert!(queued.budget.is_some_and(|bits| bits < 200_000) && queued.probe.is_none());
        s.decide(Time::MAX);
    }
}

#[test]
fn a_report_is_all_that_is_watched() {
    let mut s = selector();
    s.decide(ms(0));
    let cap = Cap { max_spatial_id: Some(1), ..Cap::default() };
    let mut report =
        ReceiverReport { windows: vec![(STREAM, window(1280, 720))], caps: vec![(None, cap)], cpu: None };
    report.windows.push((StreamId(9), window(10, 10)));
    s.set_report(ms(1), &report);
    let decision = s.decide(ms(1));
    assert_eq!(decision.streams[0].target, layer(1, 2));
    assert_eq!(decision.streams.len(), 1, "a stream that nobody offers is of no interest");
    s.set_offer(ms(1), StreamId(9), &offer(ScalabilityMode::L3T3));
    assert_eq!(s.decide(ms(1)).streams[1].reason, Reason::Hidden);
    s.set_report(ms(1), &report);
    assert_eq!(s.decide(ms(1)).streams[1].target, layer(0, 2));
    s.remove_stream(StreamId(9));
    s.set_window(ms(2), StreamId(9), window(10, 10));
    assert_eq!(s.decide(ms(2)).streams[1].reason, Reason::NotOnOffer);
    s.set_report(ms(2), &ReceiverReport::default());
    let decision = s.decide(ms(2));
    assert_eq!(decision.streams.len(), 1, "a stream of which nothing is known is forgotten");
    assert_eq!(decision.streams[0].reason, Reason::Hidden);
}

/// A report as large as there is, none of whose streams exist.
#[test]
fn streams_that_are_not_known_are_not_kept() {
    let mut s = selector();
    s.decide(ms(0));
    let unknown = || (0..MAX_STREAMS as u32).rev().map(|i| StreamId(1000 + i));
    let report = ReceiverReport {
        windows: unknown().map(|id| (id, window(320, 180))).collect(),
        caps: unknown().map(|id| (Some(id), Cap { max_spatial_id: Some(0), ..Cap::default() })).collect(),
        cpu: None,
    };
    let mut bytes = vec![];
    report.write(&mut bytes).unwrap();
    for step in 1..4 {
        s.set_report(ms(step), &ReceiverReport::read(&bytes).unwrap());
        assert_eq!(s.known_streams(), [STREAM]);
        assert_eq!(s.decide(ms(step)).streams.len(), 1);
    }
}

#[test]
fn demand_rises_at_once_and_lingers() {
    let mut s = selector();
    let mut fold = DemandFold::new(DemandConfig::default());
    let decided = |s: &mut Selector, width: u32| {
        s.set_window(ms(0), STREAM, window(width, width * 9 / 16));
        s.decide(ms(0)).streams[0]
    };
    let (small, large) = (decided(&mut s, 320), decided(&mut s, 1280));
    let hidden = StreamDecision { target: None, ..small };
    let targets = |fold: &mut DemandFold, now| {
        fold.demand(ms(now)).layers.iter().map(|layer| Some(layer.target)).collect::<Vec<_>>()
    };
    fold.set_receiver(ms(0), ReceiverId(1), &StreamDecision { room: 90_000, ..small });
    fold.set_receiver(ms(0), ReceiverId(2), &StreamDecision { room: 120_000, ..small });
    assert_eq!(fold.demand(ms(0)).layers[0].bitrate, 120_000, "the best served counts");
    fold.set_receiver(ms(100), ReceiverId(2), &large);
    assert_eq!(targets(&mut fold, 100), [layer(0, 2), layer(2, 2)]);
    assert_eq!(fold.demand(ms(100)).layers[0].bitrate, 90_000);
    fold.set_receiver(ms(200), ReceiverId(2), &hidden);
    assert_eq!(targets(&mut fold, 3_000), [layer(0, 2), layer(2, 2)]);
    assert_eq!(fold.next_timeout(), Some(ms(4_200)), "until then nothing changes");
    assert_eq!(targets(&mut fold, 4_200), [layer(0, 2)]);
    assert_eq!(fold.next_timeout(), None);
    // A higher frame rate goes sooner.
    fold.set_receiver(ms(6_000), ReceiverId(1), &StreamDecision { target: layer(0, 0), ..small });
    assert_eq!(targets(&mut fold, 6_100), [layer(0, 0), layer(0, 2)]);
    assert_eq!(fold.next_timeout(), Some(ms(6_500)));
    assert_eq!(targets(&mut fold, 6_900), [layer(0, 0)]);
    fold.remove_receiver(ms(7_000), ReceiverId(1));
    assert!(fold.demand(ms(8_000)).wanted().contains(LayerId::new(0, 0)));
    assert!(fold.demand(ms(12_000)).wanted().is_empty());
}

/// The only receiver of a stream comes and goes, or changes its layer, in any rhythm: the layers linger, so that the
/// planner makes a key picture for each of the two once in that time at most.
#[test]
fn a_demand_that_comes_and_goes_makes_few_key_pictures() {
    let linger = DemandConfig::default().spatial_linger;
    for mode in [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3] {
        for other in [None, layer(0, 2)] {
            for period in [1, 7, 30, 121, 125, 200] {
                let mut fold = DemandFold::new(DemandConfig::default());
                let mut planner = Planner::new(mode, Size::new(1280, 720));
                let mut s = selector();
                let shown = *s.decide(ms(0)).stream(STREAM).unwrap();
                let mut keys = vec![];
                for n in 0..1800 {
                    let now = ms(n * 33);
                    let target = if n / period % 2 == 0 { layer(2, 2) } else { other };
                    fold.set_receiver(now, ReceiverId(1), &StreamDecision { target, ..shown });
                    let wanted = fold.demand(now).wanted();
                    if planner.next(PictureRequest { refresh: Refresh::NONE, wanted }).key {
                        keys.push(now);
                    }
                }
                assert!(
                    keys.windows(3).all(|keys| keys[2] - keys[0] >= linger),
                    "{mode:?} {period}: {keys:?}"
                );
            }
        }
    }
}

fn fraction() -> impl Strategy<Value = Option<f32>> {
    proptest::option::of(0f32..1000.0)
}

fn any_window() -> impl Strategy<Value = Window> {
    let priorities = [Priority::Thumbnail, Priority::ActiveSpeaker, Priority::ScreenShare, Priority::Pinned];
    let parts = (any::<u32>(), any::<u32>(), any::<bool>(), fraction(), 0..4usize);
    parts.prop_map(move |(width, height, visible, max_frame_rate, priority)| Window {
        size: Size::new(width, height),
        visible,
        max_frame_rate,
        priority: priorities[priority],
    })
}

prop_compose! {
    fn any_cap()(
        max_spatial_id in any::<Option<u8>>(),
        max_temporal_id in any::<Option<u8>>(),
        max_height in any::<Option<u32>>(),
        max_frame_rate in fraction(),
        max_bitrate in any::<Option<u32>>(),
    ) -> Cap {
        let max_bitrate = max_bitrate.map(u64::from);
        Cap { max_spatial_id, max_temporal_id, max_height, max_frame_rate, max_bitrate }
    }
}

prop_compose! {
    fn any_cpu()(
        times in prop::collection::vec((any::<u32>(), any::<u32>()), 0..9),
        cores in fraction(),
        load in fraction(),
    ) -> Cpu {
        let time = |(luma_samples, time): (u32, u32)| DecodeTime {
            luma_samples,
            time: Duration::from_micros(time.into()),
        };
        Cpu { decode_times: times.into_iter().map(time).collect(), cores, load }
    }
}

prop_compose! {
    fn any_report()(
        windows in prop::collection::vec((any::<u32>().prop_map(StreamId), any_window()), 0..6),
        cpu in proptest::option::of(any_cpu()),
        caps in prop::collection::vec((any::<Option<u32>>(), any_cap()), 0..4),
    ) -> ReceiverReport {
        let caps = caps.into_iter().map(|(stream, cap)| (stream.map(StreamId), cap)).collect();
        ReceiverReport { windows, cpu, caps }
    }
}

prop_compose! {
    fn any_demand()(
        stream in any::<u32>(),
        layers in prop::collection::btree_map((0..4u8, 0..8u8), any::<u32>(), 0..=MAX_LAYERS),
    ) -> DemandMessage {
        let layer = |((spatial_id, temporal_id), bitrate): (_, u32)| LayerDemand {
            target: LayerId::new(spatial_id, temporal_id),
            bitrate: bitrate.into(),
        };
        DemandMessage { stream: StreamId(stream), demand: layers.into_iter().map(layer).collect() }
    }
}

proptest! {
    #[test]
    fn messages_read_as_they_were_written(report in any_report(), demand in any_demand()) {
        let mut data = Vec::new();
        report.write(&mut data).unwrap();
        prop_assert_eq!(ReceiverReport::read(&data), Ok(report));
        prop_assert_eq!(DemandMessage::read(&data), Err(MessageError::Kind(0)));
        for len in 0..data.len() {
            prop_assert!(ReceiverReport::read(&data[..len]).is_err(), "cut at {}", len);
        }
        data.push(0);
        prop_assert_eq!(ReceiverReport::read(&data), Err(MessageError::Trailing));
        data.clear();
        demand.write(&mut data).unwrap();
        prop_assert_eq!(DemandMessage::read(&data), Ok(demand));
        data[0] ^= 0x30;
        prop_assert_eq!(DemandMessage::read(&data), Err(MessageError::Version(2)));
    }

    #[test]
    fn no_bytes_are_too_strange_to_read(mut data in prop::collection::vec(any::<u8>(), 0..200), kind in 0..2u8) {
        if let Some(first) = data.first_mut() {
            *first = MESSAGE_VERSION << 4 | kind;
        }
        if let Ok(report) = ReceiverReport::read(&data) {
            let mut s = selector();
            s.set_report(ms(0), &report);
            let mut again = Vec::new();
            report.write(&mut again).unwrap();
            prop_assert_eq!(ReceiverReport::read(&again), Ok(report));
            prop_assert!(s.decide(ms(0)).total_bitrate <= 507_000);
        }
        if let Ok(demand) = DemandMessage::read(&data) {
            prop_assert!(demand.demand.wanted().iter().count() <= MAX_LAYERS);
        }
    }

    /// The reports may name streams that are on offer and others, again and again.
    #[test]
    fn any_reports_keep_and_ask_for_little(
        reports in prop::collection::vec((any_report(), 0..2000u64, any::<Option<u32>>()), 1..20),
    ) {
        let (mut s, mut now, mut asked) = (Selector::new(SelectorConfig::default()), ms(0), [None::<Time>; 3]);
        for (id, mode) in [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3].into_iter().enumerate() {
            s.set_offer(now, StreamId(id as u32), &offer(mode));
        }
        for (mut report, later, bits) in reports {
            report.windows.iter_mut().for_each(|(id, _)| id.0 %= 5);
            report.caps.iter_mut().for_each(|(id, _)| *id = id.map(|id| StreamId(id.0 % 5)));
            now += Duration::from_millis(later);
            s.set_network(now, Network { available_bitrate: bits.map(u64::from), ..Network::default() });
            s.set_report(now, &report);
            prop_assert_eq!(s.known_streams(), [0, 1, 2].map(StreamId));
            for (decided, asked) in s.decide(now).streams.iter().zip(&mut asked) {
                if !decided.refresh.is_none() {
                    prop_assert!(asked.is_none_or(|asked| now - asked >= Duration::from_secs(1)));
                    *asked = Some(now);
                }
            }
        }
    }

    #[test]
    fn no_input_is_too_strange_to_decide(
        numbers in prop::collection::vec(any::<(u64, f32, u32, u32)>(), 1..20),
        times in prop::collection::vec(any::<u64>(), 1..20),
        window in any_window(),
        cap in any_cap(),
        cpu in any_cpu(),
    ) {
        let mut s = Selector::new(SelectorConfig::default());
        for ((bits, fraction, width, height), now) in numbers.iter().copied().zip(times.iter().copied()) {
            let now = Time::new(Duration::from_nanos(now));
            let id = StreamId(width % 5);
            let mut offer = offer(ScalabilityMode::L3T3);
            for layer in &mut offer.layers {
                let quality = Some(LayerQuality::Psnr(fraction));
                let luma_samples = bits.wrapping_mul(3);
                *layer = LayerOffer { bitrate: bits, size: Size::new(width, height), frame_rate: fraction, luma_samples, quality, ..*layer };
            }
            offer.layers[0] = LayerOffer { bitrate: bits % 1_000_000, size: Size::new(320, 180), frame_rate: 15.0, ..offer.layers[0] };
            s.set_offer(now, id, &offer);
            s.set_window(now, id, window);
            s.set_cap(now, (bits % 2 == 0).then_some(id), cap);
            s.set_cpu(now, &cpu);
            s.set_network(now, Network {
                available_bitrate: Some(bits),
                loss: Some(fraction),
                queueing_delay: Some(Duration::from_nanos(bits)),
                round_trip: Some(Duration::from_nanos(bits)),
            });
            let decision = s.decide(now);
            prop_assert!(decision.total_bitrate <= bits);
        }
    }
}

/// What is there of the minimum outlives a path that fell below it, but not a cap that did.
#[test]
fn the_minimum_does_not_outlive_a_cap() {
    let mut s = selector();
    assert_eq!(at(&mut s, ms(0), 1000).target, layer(2, 2));
    let cap = Cap { max_bitrate: Some(30_000), ..Cap::default() };
    s.set_cap(ms(100), None, cap);
    let decided = s.decide(ms(100));
    assert!(decided.total_bitrate <= 30_000, "{}", decided.total_bitrate);
}

#[test]
fn messages_have_their_number_of_streams() {
    let report = |count: u32| ReceiverReport {
        windows: (0..count).map(|stream| (StreamId(stream), Window::default())).collect(),
        ..ReceiverReport::default()
    };
    let mut largest = vec![];
    report(MAX_STREAMS as u32).write(&mut largest).unwrap();
    assert_eq!(ReceiverReport::read(&largest).unwrap(), report(MAX_STREAMS as u32));
    let more = report(MAX_STREAMS as u32 + 1).write(&mut vec![]);
    assert_eq!(more, Err(MessageError::TooMany { field: "windows" }));
    // The count of the windows, in two bytes behind the first, is one more than there may be.
    assert_eq!(largest[1..3], [0x80, 8]);
    largest[1] = 0x81;
    assert_eq!(ReceiverReport::read(&largest), Err(MessageError::TooMany { field: "windows" }));
}
