//! Receivers behind a forwarder, in every mode, with a sender that does what the forwarder asks for.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rtp::descriptor::{DependencyDescriptor, Describer};
use crate::structure::{
    DecodeTarget, DecodeTargets, FramePlan, LayerId, PicturePlan, PictureRequest, Planner, Refresh,
    ScalabilityMode,
};
use crate::{Size, Time};

const SIZE: Size = Size::new(1280, 720);
/// From one picture to the next.
const PICTURE: Duration = Duration::from_millis(33);

struct Sender {
    planner: Planner,
    describer: Describer,
    now: Time,
}

impl Sender {
    fn new(mode: ScalabilityMode) -> Self {
        Self { planner: Planner::new(mode, SIZE), describer: Describer::new(), now: Time::ZERO }
    }

    fn picture(&mut self, refresh: Refresh) -> (PicturePlan, Vec<DependencyDescriptor>) {
        self.now += PICTURE;
        let wanted = DecodeTargets::all(self.planner.structure());
        let plan = self.planner.next(PictureRequest { refresh, wanted });
        let descriptors = self.describer.describe(&plan).unwrap();
        (plan, descriptors)
    }
}

/// A receiver behind the relay, which checks that it can decode whatever it gets.
struct Receiver {
    forwarder: Forwarder,
    got: BTreeSet<u64>,
}

impl Receiver {
    fn new(target: Option<DecodeTarget>) -> Self {
        let mut forwarder = Forwarder::new(ForwarderConfig::default());
        forwarder.set_target(Time::ZERO, target);
        Self { forwarder, got: BTreeSet::new() }
    }

    /// Takes the frames of a picture; gives the layers that were forwarded, with `.` behind the last of the picture.
    fn picture(&mut self, now: Time, frames: &[(FramePlan, RelayFrame)]) -> Vec<String> {
        let mut forwarded = vec![];
        for (plan, frame) in frames {
            let Forward::Send { end_of_picture } = self.forwarder.handle_frame(now, frame) else { continue };
            for needed in &plan.depends_on {
                assert!(self.got.contains(needed), "{} lacks frame {needed}", plan.layer);
            }
            self.got.insert(plan.frame_number);
            forwarded.push(format!("{}{}", plan.layer, if end_of_picture { "." } else { "" }));
        }
        forwarded
    }
}

fn frames(
    reader: &mut FrameReader,
    plan: &PicturePlan,
    sent: &[DependencyDescriptor],
) -> Vec<(FramePlan, RelayFrame)> {
    let read = sent.iter().map(|descriptor| reader.handle_descriptor(descriptor).unwrap());
    plan.frames.iter().cloned().zip(read).collect()
}

/// What goes on to a receiver whose targets change at these pictures, and the refreshes that are asked for.
fn run(
    mode: ScalabilityMode,
    targets: &[(usize, Option<DecodeTarget>)],
    pictures: usize,
) -> (Vec<String>, Vec<(usize, Refresh)>) {
    let (mut sender, mut reader) = (Sender::new(mode), FrameReader::new());
    let (mut receiver, mut refresh) = (Receiver::new(None), Refresh::NONE);
    let (mut forwarded, mut asked) = (vec![], vec![]);
    for n in 0..pictures {
        if let Some((_, target)) = targets.iter().find(|(at, _)| *at == n) {
            receiver.forwarder.set_target(sender.now, *target);
        }
        if let Some(needed) = receiver.forwarder.poll(sender.now) {
            asked.push((n, needed));
            refresh = refresh.union(needed);
        }
        let (plan, sent) = sender.picture(std::mem::take(&mut refresh));
        let frames = frames(&mut reader, &plan, &sent);
        forwarded.push(receiver.picture(sender.now, &frames).join(" "));
    }
    (forwarded, asked)
}

#[test]
fn layers_go_up_at_a_refresh_and_down_at_once() {
    let (low, high) = (Some(LayerId::new(0, 0)), Some(LayerId::new(2, 1)));
    let (forwarded, asked) = run(ScalabilityMode::L3T3, &[(0, low), (5, high), (11, low), (13, None)], 17);
    assert_eq!(forwarded[..5], ["S0T0.", "", "", "", "S0T0."]);
    // Picture 5 is of temporal layer 2, 6 of 1, 8 of 0: the lowest layer goes on until all of them begin.
    assert_eq!(forwarded[5..9], ["", "S0T1.", "", "S0T0. S1T0. S2T0."]);
    assert_eq!(forwarded[10], "S0T1 S1T1 S2T1.");
    assert_eq!(forwarded[11..13], ["", "S0T0."]);
    assert!(forwarded[13..].iter().all(String::is_empty));
    assert_eq!(asked, [(5, Refresh::layers(1..=2))]);
}

#[test]
fn a_layer_that_was_left_for_a_moment_needs_no_refresh() {
    let (low, high) = (Some(LayerId::new(0, 2)), Some(LayerId::new(2, 2)));
    let (forwarded, asked) = run(ScalabilityMode::L3T3, &[(0, high), (5, low), (7, high)], 12);
    assert_eq!(forwarded[5..7], ["S0T2.", "S0T1."]);
    assert_eq!(forwarded[7..9], ["S0T2.", "S0T0. S1T0. S2T0."]);
    assert_eq!(asked, []);
}

#[test]
fn separate_layers_go_on_until_the_other_begins() {
    let (low, high) = (Some(LayerId::new(0, 2)), Some(LayerId::new(2, 0)));
    let (forwarded, asked) = run(ScalabilityMode::S3T3, &[(0, low), (5, high), (14, low)], 20);
    assert_eq!(forwarded[4..9], ["S0T0.", "S0T2.", "S0T1.", "S0T2.", "S0T0. S2T0."]);
    assert_eq!(forwarded[12..17], ["S2T0.", "", "", "", "S0T0."]);
    // Nine pictures take less than the interval of requests.
    assert_eq!(asked, [(5, Refresh::layer(2)), (15, Refresh::layer(0))]);
    // Shortly after the switch, the layer that was left can still be followed.
    let (forwarded, asked) = run(ScalabilityMode::S3T3, &[(0, low), (5, high), (9, low)], 16);
    assert_eq!(forwarded[9..13], ["S0T2.", "S0T1.", "S0T2.", "S0T0."]);
    assert_eq!(asked, [(5, Refresh::layer(2))]);
}

/// What a receiver can ask for by hiding and showing its window as often as it likes.
#[test]
fn a_target_that_comes_and_goes_asks_once_in_an_interval() {
    let interval = ForwarderConfig::default().request_interval;
    for mode in [ScalabilityMode::L3T3, ScalabilityMode::L3T3Key, ScalabilityMode::S3T3] {
        let (mut sender, mut reader) = (Sender::new(mode), FrameReader::new());
        let (mut receiver, mut refresh) = (Receiver::new(None), Refresh::NONE);
        let mut asked = vec![];
        for n in 0..600 {
            // Faster than the pictures come.
            for target in
                [Some(LayerId::new(2, 2)), None, Some(LayerId::new(0, 0))].into_iter().cycle().take(n % 7)
            {
                receiver.forwarder.set_target(sender.now, target);
                if let Some(needed) = receiver.forwarder.poll(sender.now) {
                    asked.push(sender.now);
                    refresh = refresh.union(needed);
                }
            }
            let (plan, sent) = sender.picture(std::mem::take(&mut refresh));
            let frames = frames(&mut reader, &plan, &sent);
            receiver.picture(sender.now, &frames);
        }
        assert!(asked.len() > 3, "{asked:?}");
        assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= interval), "{asked:?}");
    }
}

/// A hundred receivers whose windows come and go make a sender code no more than one key picture a second.
#[test]
fn many_receivers_ask_no_oftener_than_one() {
    let (mut sender, mut reader) = (Sender::new(ScalabilityMode::L3T3), FrameReader::new());
    let mut requests = RefreshRequests::default();
    let mut forwarders = vec![Forwarder::new(ForwarderConfig::default()); 100];
    let (mut asked, mut keys, mut denied) = (vec![], 0, 0);
    for n in 0..300_usize {
        for (i, forwarder) in forwarders.iter_mut().enumerate() {
            let target = ((n + i) / 5 % 2 == 0).then_some(LayerId::new(2, 2));
            forwarder.set_target(sender.now, target);
            if let Some(needed) = forwarder.poll(sender.now) {
                requests.handle_request(needed);
                denied += 1;
            }
        }
        let refresh = requests.poll(sender.now);
        asked.extend(refresh.map(|_| sender.now));
        assert!(requests.next_timeout().is_none_or(|at| at > sender.now));
        let (plan, sent) = sender.picture(refresh.unwrap_or(Refresh::NONE));
        keys += usize::from(plan.key);
        for (_, frame) in frames(&mut reader, &plan, &sent) {
            requests.handle_frame(&frame);
            for forwarder in &mut forwarders {
                forwarder.handle_frame(sender.now, &frame);
            }
        }
    }
    assert!(denied > 10 * asked.len() && (3..=11).contains(&keys), "{denied} {keys} {asked:?}");
    assert!(asked.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)), "{asked:?}");
}

#[test]
fn requests_are_combined_and_a_key_frame_answers_them() {
    let (mut sender, mut reader) = (Sender::new(ScalabilityMode::L3T3), FrameReader::new());
    let mut requests = RefreshRequests::new(Duration::from_millis(500));
    assert_eq!((requests.poll(Time::ZERO), requests.next_timeout()), (None, None));
    requests.handle_request(Refresh::layer(1));
    assert_eq!(requests.poll(Time::ZERO), Some(Refresh::layer(1)));
    requests.handle_request(Refresh::layer(1));
    requests.handle_request(Refresh::layer(2));
    assert_eq!(requests.poll(Time::from_millis(499)), None);
    assert_eq!(requests.next_timeout(), Some(Time::from_millis(500)));
    assert_eq!(requests.poll(Time::from_millis(500)), Some(Refresh::layers(1..=2)));
    requests.handle_request(Refresh::KEY);
    let (plan, sent) = sender.picture(Refresh::NONE);
    for (_, frame) in frames(&mut reader, &plan, &sent) {
        requests.handle_frame(&frame);
    }
    assert_eq!((requests.poll(Time::from_secs(9)), requests.next_timeout()), (None, None));
}

#[test]
fn the_key_modes_switch_at_key_pictures_both_ways() {
    let (low, high) = (Some(LayerId::new(0, 2)), Some(LayerId::new(2, 2)));
    let (forwarded, _) = run(ScalabilityMode::L3T3Key, &[(0, low), (5, high), (9, low)], 12);
    assert_eq!(forwarded[3..7], ["S0T2.", "S0T0.", "S0T0 S1T0 S2T0.", "S2T2."]);
    assert_eq!(forwarded[8..11], ["S2T2.", "S0T0.", "S0T2."]);
}

#[test]
fn a_paused_stream_comes_back_with_a_refresh() {
    for mode in ScalabilityMode::all() {
        let top = Some(mode.structure().decode_targets().last().unwrap());
        let (forwarded, asked) = run(mode, &[(0, top), (6, None), (12, top)], 24);
        assert!(forwarded[6..12].iter().all(String::is_empty), "{mode}");
        assert_eq!(asked.len(), 1, "{mode}: {asked:?}");
        let cycle = mode.structure().cycle.len();
        assert!(
            forwarded[12 + 2 * cycle..].iter().all(|picture| picture.ends_with('.')),
            "{mode}: {forwarded:?}"
        );
    }
}

/// A refresh in mid-stream, of which no receiver of the layer misses a picture: every mode with spatial layers.
#[test]
fn a_refresh_costs_nobody_a_picture() {
    for mode in ScalabilityMode::all().filter(|mode| mode.structure().spatial_layers > 1) {
        let structure = mode.structure();
        for at in 4..4 + structure.cycle.len() {
            for asked in 0..structure.spatial_layers {
                let (mut sender, mut reader) = (Sender::new(mode), FrameReader::new());
                let mut receivers: Vec<_> =
                    structure.decode_targets().map(|target| Receiver::new(Some(target))).collect();
                for n in 0..20 {
                    let refresh = if n == at { Refresh::layer(asked) } else { Refresh::NONE };
                    let (plan, sent) = sender.picture(refresh);
                    let frames = frames(&mut reader, &plan, &sent);
                    for (receiver, target) in receivers.iter_mut().zip(structure.decode_targets()) {
                        let expected: Vec<_> =
                            plan.frames.iter().filter(|frame| frame.needed_by.contains(target)).collect();
                        let forwarded = receiver.picture(sender.now, &frames);
                        assert_eq!(forwarded.len(), expected.len(), "{mode}, {target}, picture {n}");
                        assert_eq!(receiver.forwarder.poll(sender.now), None);
                    }
                }
            }
        }
    }
}

#[test]
fn a_frame_that_may_still_come_does_not_hold_up_those_after_it() {
    let (mut sender, mut reader) = (Sender::new(ScalabilityMode::L1T2), FrameReader::new());
    let mut receiver = Forwarder::new(ForwarderConfig::default());
    receiver.set_target(Time::ZERO, Some(LayerId::new(0, 1)));
    let mut sent: Vec<_> = (0..6).map(|_| sender.picture(Refresh::NONE)).collect();
    let late = sent.remove(2);
    for (plan, descriptors) in sent.iter().chain([&late]) {
        for (_, frame) in frames(&mut reader, plan, descriptors) {
            let taken = receiver.handle_frame(sender.now, &frame);
            assert_eq!(taken, Forward::Send { end_of_picture: true }, "{}", frame.number);
            assert_eq!(receiver.handle_frame(sender.now, &frame), taken, "the same again");
        }
    }
}

/// The frames after a key frame come before it: they are dropped, and so would be all that build on them.
#[test]
fn a_late_key_frame_leaves_nobody_behind() {
    let mut sender = Sender::new(ScalabilityMode::L2T2);
    let mut reader = FrameReader::new();
    let (plan, sent) = sender.picture(Refresh::NONE);
    frames(&mut reader, &plan, &sent);
    let mut receiver = Receiver::new(Some(LayerId::new(1, 1)));
    let pictures: Vec<_> = [Refresh::KEY, Refresh::NONE, Refresh::NONE]
        .into_iter()
        .map(|refresh| {
            let (plan, sent) = sender.picture(refresh);
            frames(&mut reader, &plan, &sent)
        })
        .collect();
    for late in [1, 2, 0] {
        let got = receiver.picture(sender.now, &pictures[late]);
        assert_eq!(!got.is_empty(), late == 0, "{got:?}");
    }
    // The receiver has the key picture and not the one that the next refer to, so that a refresh is asked for.
    let mut refresh = Refresh::NONE;
    let mut last = vec![];
    for _ in 0..20 {
        let (plan, sent) = sender.picture(std::mem::take(&mut refresh));
        last = receiver.picture(sender.now, &frames(&mut reader, &plan, &sent));
        refresh = receiver.forwarder.poll(sender.now).unwrap_or_default();
    }
    assert_eq!(last.len(), 2, "{last:?}");
}

#[test]
fn a_frame_that_waited_too_long_takes_its_layer_with_it_and_no_other() {
    for (spatial_id, left) in [(1, vec!["S0T0", "S0T1."]), (0, vec![])] {
        let mut sender = Sender::new(ScalabilityMode::L2T2);
        let mut reader = FrameReader::new();
        let mut receiver = Receiver::new(Some(LayerId::new(1, 1)));
        for _ in 0..2 {
            let (plan, sent) = sender.picture(Refresh::NONE);
            receiver.picture(sender.now, &frames(&mut reader, &plan, &sent));
        }
        // The frame of temporal layer 0.
        let (plan, sent) = sender.picture(Refresh::NONE);
        let lost = frames(&mut reader, &plan, &sent);
        receiver.picture(sender.now, &lost);
        let lost = lost[usize::from(spatial_id)].1.number;
        receiver.forwarder.handle_loss(sender.now, lost, LayerId::new(spatial_id, 0));
        let mut got = vec![];
        for _ in 0..2 {
            let (plan, sent) = sender.picture(Refresh::NONE);
            got.extend(receiver.picture(sender.now, &frames(&mut reader, &plan, &sent)));
        }
        got.sort();
        assert!(got.iter().all(|frame| left.iter().any(|left| frame.starts_with(&left[..4]))), "{got:?}");
        assert_eq!(got.len(), left.len(), "{got:?}");
        let refresh = receiver.forwarder.poll(sender.now).unwrap();
        assert!(refresh.contains(spatial_id));
        // The next picture of temporal layer 0 is the one after the next, unless it is a key picture.
        let (plan, sent) = sender.picture(refresh);
        receiver.picture(sender.now, &frames(&mut reader, &plan, &sent));
        let (plan, sent) = sender.picture(Refresh::NONE);
        assert_eq!(receiver.picture(sender.now, &frames(&mut reader, &plan, &sent)).len(), 2, "{refresh:?}");
    }
}

#[test]
fn descriptors_without_their_structure_are_refused() {
    let (plan, mut sent) = Sender::new(ScalabilityMode::L2T1).picture(Refresh::NONE);
    let structure = sent[0].structure.take();
    let mut reader = FrameReader::new();
    assert!(reader.handle_descriptor(&sent[0]).is_err());
    sent[0].structure = structure;
    let read = frames(&mut reader, &plan, &sent);
    assert_eq!(read[1].1.number, read[0].1.number + 1);
}

#[test]
fn what_a_sender_leaves_out_is_not_waited_for() {
    let mode = ScalabilityMode::L3T1;
    let (mut sender, mut reader) = (Sender::new(mode), FrameReader::new());
    let mut receiver = Receiver::new(Some(LayerId::new(2, 0)));
    let mut forwarded = vec![];
    for n in 0..9 {
        sender.now += PICTURE;
        let wanted = DecodeTargets::only(&[LayerId::new(if (3..6).contains(&n) { 1 } else { 2 }, 0)]);
        let plan = sender.planner.next(PictureRequest { wanted, ..PictureRequest::default() });
        let sent = sender.describer.describe(&plan).unwrap();
        forwarded.push(receiver.picture(sender.now, &frames(&mut reader, &plan, &sent)).join(" "));
        assert_eq!(receiver.forwarder.poll(sender.now), None, "picture {n}");
    }
    assert_eq!(forwarded[..3], ["S0T0 S1T0 S2T0.", "S2T0.", "S2T0."]);
    assert_eq!(forwarded[3..6], ["S0T0 S1T0.", "S1T0.", "S1T0."]);
    assert_eq!(forwarded[6..], ["S0T0 S1T0. S2T0.", "S2T0.", "S2T0."]);
}

/// A sender like Chromium leaves a layer out, as its path carries less, and codes no key picture for it: in a mode whose lower
/// layers were not forwarded, the receiver would see nothing until somebody asks.
#[test]
fn whoever_gets_a_layer_that_is_left_out_gets_the_highest_that_is_coded() {
    let mode = ScalabilityMode::L3T3Key;
    let (mut sender, mut reader) = (Sender::new(mode), FrameReader::new());
    let mut receiver = Receiver::new(Some(LayerId::new(2, 2)));
    let (mut forwarded, mut asked) = (vec![], vec![]);
    let mut refresh = Refresh::NONE;
    for n in 0..12 {
        let (plan, mut sent) = sender.picture(std::mem::take(&mut refresh));
        let mut kept = plan.clone();
        if n >= 5 {
            kept.frames.retain(|frame| frame.layer.spatial_id < 2);
            sent.truncate(2);
            // The decode targets of the lower two layers: the highest is the first.
            sent[0].active_decode_targets = Some(0b1_1111_1000);
        }
        let frames = frames(&mut reader, &kept, &sent);
        forwarded.push(receiver.picture(sender.now, &frames).join(" "));
        let later = sender.now + PICTURE - Duration::from_millis(1);
        if let Some(at) = receiver.forwarder.next_timeout().filter(|_| asked.is_empty()) {
            assert!(at <= sender.now + Duration::from_millis(50));
        }
        if let Some(needed) = receiver.forwarder.poll(later) {
            asked.push((n, needed));
            refresh = refresh.union(Refresh::KEY);
        }
    }
    assert_eq!(forwarded[3..7], ["S2T2.", "S2T0.", "", ""]);
    // Two pictures take longer than a sender has for it.
    assert_eq!(asked.len(), 1);
    assert!(asked[0].0 == 6 && asked[0].1.contains(1), "{asked:?}");
    assert_eq!(forwarded[7..10], ["S0T0 S1T0.", "S1T2.", "S1T1."]);
}

#[test]
fn a_lower_layer_that_the_sender_left_out_is_entered_when_it_is_back() {
    let mode = ScalabilityMode::L3T1;
    let (mut sender, mut reader) = (Sender::new(mode), FrameReader::new());
    let mut receiver = Receiver::new(Some(LayerId::new(2, 0)));
    let mut forwarded = vec![];
    for n in 0..10 {
        sender.now += PICTURE;
        if n == 3 {
            receiver.forwarder.set_target(sender.now, Some(LayerId::new(0, 0)));
        }
        // The relay's demand takes three pictures to the sender, where somebody else watches the highest layer.
        let targets = [LayerId::new(2, 0), LayerId::new(0, 0)];
        let wanted = DecodeTargets::only(&targets[..if n < 6 { 1 } else { 2 }]);
        let plan = sender.planner.next(PictureRequest { wanted, ..PictureRequest::default() });
        let sent = sender.describer.describe(&plan).unwrap();
        forwarded.push(receiver.picture(sender.now, &frames(&mut reader, &plan, &sent)).join(" "));
        assert!(!plan.key || n == 0);
    }
    assert_eq!(forwarded[..6], ["S0T0 S1T0 S2T0.", "S2T0.", "S2T0.", "S2T0.", "S2T0.", "S2T0."]);
    assert_eq!(forwarded[6..], ["S0T0."; 4]);
}

#[test]
fn a_picture_has_an_end_though_its_highest_layer_cannot_be_entered() {
    let (layer, none) = (|s, t| Some(LayerId::new(s, t)), Refresh::NONE);
    for (mode, spells, last) in [
        // Nothing went on, and in the last picture S1 is coded anew, but S2 is not.
        (
            ScalabilityMode::L3T2,
            vec![
                (None, 1, Refresh::layer(0)),
                (layer(0, 0), 3, Refresh::layer(0)),
                (None, 1, none),
                (layer(2, 0), 1, Refresh::layer(1)),
            ],
            vec!["S0T0.", "S1T0."],
        ),
        // S1T0 went on, which has no part in the last picture.
        (
            ScalabilityMode::L2T3,
            vec![
                (layer(0, 0), 5, Refresh::layer(0)),
                (layer(1, 0), 4, Refresh::layer(1)),
                (layer(0, 1), 2, Refresh::layer(1)),
                (layer(1, 2), 1, Refresh::layer(1)),
            ],
            vec!["S0T2."],
        ),
    ] {
        let mut sender = Sender::new(mode);
        let (mut reader, mut receiver) = (FrameReader::new(), Receiver::new(None));
        let mut forwarded = vec![];
        for (target, pictures, asked) in spells {
            receiver.forwarder.set_target(sender.now, target);
            for n in 0..pictures {
                let needed = receiver.forwarder.poll(sender.now).unwrap_or_default();
                let (plan, sent) = sender.picture(if n == 0 { needed.union(asked) } else { needed });
                forwarded = receiver.picture(sender.now, &frames(&mut reader, &plan, &sent));
            }
        }
        assert_eq!(forwarded, last, "{mode}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever targets a receiver has and whatever is lost before the relay, it gets nothing that it cannot decode
    /// once the lost frames have come, and its target soon after it changed.
    #[test]
    fn whatever_happens_no_reference_is_dropped(
        mode in (0..25usize).prop_map(|index| ScalabilityMode::all().nth(index).unwrap()),
        spells in proptest::collection::vec((any::<u8>(), 1..24usize, 0..12u8), 1..10),
    ) {
        let structure = mode.structure();
        let (mut sender, mut reader) = (Sender::new(mode), FrameReader::new());
        let (mut receiver, mut refresh) = (Receiver::new(None), Refresh::NONE);
        for (target, pictures, asked) in spells {
            let targets: Vec<_> = structure.decode_targets().collect();
            let target = targets.get(usize::from(target) % (targets.len() + 1)).copied();
            receiver.forwarder.set_target(sender.now, target);
            for n in 0..pictures {
                if asked < 3 && n == 0 {
                    refresh = refresh.union(Refresh::layer(asked));
                }
                refresh = refresh.union(receiver.forwarder.poll(sender.now).unwrap_or_default());
                let (plan, sent) = sender.picture(std::mem::take(&mut refresh));
                let frames = frames(&mut reader, &plan, &sent);
                let forwarded = receiver.picture(sender.now, &frames);
                // A request may have to wait for ten pictures.
                let settled = n > 2 * structure.cycle.len() + 11;
                if let Some(target) = target.filter(|_| settled) {
                    prop_assert_eq!(receiver.forwarder.current(), Some(target));
                    let needed = plan.frames.iter().filter(|frame| frame.needed_by.contains(target)).count();
                    prop_assert_eq!(forwarded.len(), needed);
                    prop_assert_eq!(forwarded.last().is_some_and(|last| last.ends_with('.')), needed > 0);
                }
                // No picture goes on without an end, at any time. The sender marks that of all that it sends.
                let ends = |last: &String| {
                    last.ends_with('.') || plan.frames.last().is_some_and(|frame| *last == frame.layer.to_string())
                };
                prop_assert!(forwarded.last().is_none_or(ends), "{:?}", forwarded);
            }
        }
    }

    #[test]
    fn any_descriptors_are_taken_or_refused(packets in proptest::collection::vec(
        (proptest::collection::vec(any::<u8>(), 0..60), any::<bool>()), 1..40)) {
        let (mut sender, mut reader) = (Sender::new(ScalabilityMode::L3T3), FrameReader::new());
        let mut forwarder = Forwarder::new(ForwarderConfig::default());
        for (bytes, genuine) in packets {
            let (_, sent) = sender.picture(Refresh::NONE);
            if genuine {
                forwarder.set_target(sender.now, bytes.first().map(|b| LayerId::new(b % 4, b / 4 % 8)));
                for descriptor in &sent {
                    if let Ok(frame) = reader.handle_descriptor(descriptor) {
                        forwarder.handle_frame(sender.now, &frame);
                    }
                }
            } else if let Ok(frame) = reader.read(&bytes) {
                forwarder.handle_frame(sender.now, &frame);
            }
            forwarder.poll(sender.now);
        }
    }
}
