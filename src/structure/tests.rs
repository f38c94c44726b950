//! The table against the diagrams of the standard, and the planner against simulated receivers.

mod lone;

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::picture::Size;

/// The size of the pictures planned for; no plan depends on it.
const SIZE: Size = Size::new(1280, 720);

/// The dependency diagrams of W3C `webrtc-svc`, section 9, as facts: a line for each picture of the diagram,
/// and in it the frames that it shows. `<4` is an arrow from picture 4's frame of the same spatial layer, `+`
/// one from the same picture's frame of the spatial layer below.
const DIAGRAMS: [(&str, &[&str]); 25] = [
    ("L1T1", &["S0T0", "S0T0<0"]),
    ("L1T2", &["S0T0", "S0T1<0", "S0T0<0", "S0T1<2"]),
    ("L1T3", &["S0T0", "S0T2<0", "S0T1<0", "S0T2<2", "S0T0<0", "S0T2<4", "S0T1<4", "S0T2<6"]),
    ("L2T1", &["S0T0 S1T0+", "S0T0<0 S1T0<0+", "S0T0<1 S1T0<1+", "S0T0<2 S1T0<2+"]),
    ("L2T1_KEY", &["S0T0 S1T0+", "S0T0<0 S1T0<0", "S0T0<1 S1T0<1", "S0T0<2 S1T0<2"]),
    ("L2T2", &["S0T0 S1T0+", "S0T1<0 S1T1<0+", "S0T0<0 S1T0<0+", "S0T1<2 S1T1<2+"]),
    ("L2T2_KEY", &["S0T0 S1T0+", "S0T1<0 S1T1<0", "S0T0<0 S1T0<0", "S0T1<2 S1T1<2"]),
    ("L2T2_KEY_SHIFT", &["S0T0 S1T0+", "S0T0<0 S1T1<0", "S0T1<1 S1T0<0", "S0T0<1 S1T1<2"]),
    (
        "L2T3",
        &[
            "S0T0 S1T0+",
            "S0T2<0 S1T2<0+",
            "S0T1<0 S1T1<0+",
            "S0T2<2 S1T2<2+",
            "S0T0<0 S1T0<0+",
            "S0T2<4 S1T2<4+",
            "S0T1<4 S1T1<4+",
            "S0T2<6 S1T2<6+",
        ],
    ),
    (
        "L2T3_KEY",
        &[
            "S0T0 S1T0+",
            "S0T2<0 S1T2<0",
            "S0T1<0 S1T1<0",
            "S0T2<2 S1T2<2",
            "S0T0<0 S1T0<0",
            "S0T2<4 S1T2<4",
            "S0T1<4 S1T1<4",
            "S0T2<6 S1T2<6",
        ],
    ),
    (
        "L2T3_KEY_SHIFT",
        &[
            "S0T0 S1T0+",
            "S0T2<0 S1T2<0",
            "S0T0<0 S1T1<0",
            "S0T2<2 S1T2<2",
            "S0T1<2 S1T0<0",
            "S0T2<4 S1T2<4",
            "S0T0<2 S1T1<4",
            "S0T2<6 S1T2<6",
        ],
    ),
    (
        "L3T1",
        &["S0T0 S1T0+ S2T0+", "S0T0<0 S1T0<0+ S2T0<0+", "S0T0<1 S1T0<1+ S2T0<1+", "S0T0<2 S1T0<2+ S2T0<2+"],
    ),
    (
        "L3T1_KEY",
        &["S0T0 S1T0+ S2T0+", "S0T0<0 S1T0<0 S2T0<0", "S0T0<1 S1T0<1 S2T0<1", "S0T0<2 S1T0<2 S2T0<2"],
    ),
    (
        "L3T2",
        &["S0T0 S1T0+ S2T0+", "S0T1<0 S1T1<0+ S2T1<0+", "S0T0<0 S1T0<0+ S2T0<0+", "S0T1<2 S1T1<2+ S2T1<2+"],
    ),
    (
        "L3T2_KEY",
        &["S0T0 S1T0+ S2T0+", "S0T1<0 S1T1<0 S2T1<0", "S0T0<0 S1T0<0 S2T0<0", "S0T1<2 S1T1<2 S2T1<2"],
    ),
    (
        "L3T2_KEY_SHIFT",
        &["S0T0 S1T0+ S2T0+", "S0T0<0 S1T0<0 S2T1<0", "S0T1<1 S1T1<1 S2T0<0", "S0T0<1 S1T0<1 S2T1<2"],
    ),
    (
        "L3T3",
        &[
            "S0T0 S1T0+ S2T0+",
            "S0T2<0 S1T2<0+ S2T2<0+",
            "S0T1<0 S1T1<0+ S2T1<0+",
            "S0T2<2 S1T2<2+ S2T2<2+",
            "S0T0<0 S1T0<0+ S2T0<0+",
            "S0T2<4 S1T2<4+ S2T2<4+",
            "S0T1<4 S1T1<4+ S2T1<4+",
            "S0T2<6 S1T2<6+ S2T2<6+",
        ],
    ),
    (
        "L3T3_KEY",
        &[
            "S0T0 S1T0+ S2T0+",
            "S0T2<0 S1T2<0 S2T2<0",
            "S0T1<0 S1T1<0 S2T1<0",
            "S0T2<2 S1T2<2 S2T2<2",
            "S0T0<0 S1T0<0 S2T0<0",
            "S0T2<4 S1T2<4 S2T2<4",
            "S0T1<4 S1T1<4 S2T1<4",
            "S0T2<6 S1T2<6 S2T2<6",
        ],
    ),
    (
        "L3T3_KEY_SHIFT",
        &[
            "S0T0 S1T0+ S2T0+",
            "S0T0<0 S1T2<0 S2T2<0",
            "S0T2<1 S1T0<0 S2T1<0",
            "S0T1<1 S1T2<2 S2T2<2",
            "S0T2<3 S1T1<2 S2T0<0",
            "S0T0<1 S1T2<4 S2T2<4",
            "S0T2<5 S1T0<2 S2T1<4",
            "S0T1<5 S1T2<6 S2T2<6",
        ],
    ),
    ("S2T1", &["S0T0 S1T0", "S0T0<0 S1T0<0", "S0T0<1 S1T0<1", "S0T0<2 S1T0<2"]),
    ("S2T2", &["S0T0 S1T0", "S0T1<0 S1T1<0", "S0T0<0 S1T0<0", "S0T1<2 S1T1<2"]),
    (
        "S2T3",
        &[
            "S0T0 S1T0",
            "S0T2<0 S1T2<0",
            "S0T1<0 S1T1<0",
            "S0T2<2 S1T2<2",
            "S0T0<0 S1T0<0",
            "S0T2<4 S1T2<4",
            "S0T1<4 S1T1<4",
            "S0T2<6 S1T2<6",
        ],
    ),
    ("S3T1", &["S0T0 S1T0 S2T0", "S0T0<0 S1T0<0 S2T0<0", "S0T0<1 S1T0<1 S2T0<1", "S0T0<2 S1T0<2 S2T0<2"]),
    ("S3T2", &["S0T0 S1T0 S2T0", "S0T1<0 S1T1<0 S2T1<0", "S0T0<0 S1T0<0 S2T0<0", "S0T1<2 S1T1<2 S2T1<2"]),
    (
        "S3T3",
        &[
            "S0T0 S1T0 S2T0",
            "S0T2<0 S1T2<0 S2T2<0",
            "S0T1<0 S1T1<0 S2T1<0",
            "S0T2<2 S1T2<2 S2T2<2",
            "S0T0<0 S1T0<0 S2T0<0",
            "S0T2<4 S1T2<4 S2T2<4",
            "S0T1<4 S1T1<4 S2T1<4",
            "S0T2<6 S1T2<6 S2T2<6",
        ],
    ),
];

fn modes() -> impl Iterator<Item = &'static Structure> {
    ScalabilityMode::all().map(ScalabilityMode::structure)
}

/// The pictures of a structure as they follow each other from a key picture on.
fn pictures(structure: &Structure) -> impl Iterator<Item = &'static [FrameTemplate]> {
    std::iter::once(structure.key).chain(structure.cycle.iter().copied().cycle())
}

/// A frame as the table has it: its picture, its template, the frames that it refers to by picture and layer,
/// and the decode targets that need it.
struct Unrolled {
    picture: usize,
    template: FrameTemplate,
    temporal: Option<(usize, LayerId)>,
    inter_layer: Option<(usize, LayerId)>,
    needed_by: DecodeTargets,
}

impl Unrolled {
    fn id(&self) -> (usize, LayerId) {
        (self.picture, self.template.layer)
    }
}

/// The frames of the first `count` pictures. The frames that they refer to are found by following the slots.
fn unroll(structure: &Structure, count: usize) -> Vec<Unrolled> {
    let mut slots = [None; 8];
    let mut frames = Vec::new();
    for (picture, templates) in pictures(structure).take(count).enumerate() {
        for template in templates {
            let held = |slot: u8| slots[usize::from(slot)].expect("an empty slot is referred to");
            frames.push(Unrolled {
                picture,
                template: *template,
                temporal: template.temporal_ref.map(held),
                inter_layer: template.inter_layer_ref.map(held),
                needed_by: structure.needed_by(templates, template.layer.spatial_id),
            });
            for (slot, held) in slots.iter_mut().enumerate() {
                if template.refresh >> slot & 1 != 0 {
                    *held = Some((picture, template.layer));
                }
            }
        }
    }
    frames
}

#[test]
fn names_are_read_and_written() {
    assert_eq!(ScalabilityMode::all().len(), 25);
    for (at, structure) in modes().enumerate() {
        assert_eq!(structure.mode as usize, at);
        assert_eq!(structure.name.parse(), Ok(structure.mode));
        assert_eq!(structure.mode.to_string(), structure.name);
        let (kind, rest) = structure.name.split_at(1);
        let layers = format!("{}T{}", structure.spatial_layers, structure.temporal_layers);
        assert!(["L", "S"].contains(&kind) && rest.starts_with(&layers), "{}", structure.name);
    }
    for name in ["", "L3T3_key", "l1t1", "L4T1", "L3T3_KEY_SHIFT ", "S2T1_KEY", "L2T1h"] {
        assert_eq!(name.parse::<ScalabilityMode>(), Err(UnknownScalabilityMode));
    }
    assert_eq!(ScalabilityMode::L3T3KeyShift.to_string(), "L3T3_KEY_SHIFT");
}

#[test]
fn the_table_is_what_the_standard_draws() {
    for (structure, (name, diagram)) in modes().zip(DIAGRAMS) {
        assert_eq!(structure.name, name);
        assert!(diagram.len() > structure.cycle.len(), "{name}: the diagram shows the whole cycle");
        let frames = unroll(structure, diagram.len());
        for (picture, drawn) in diagram.iter().enumerate() {
            let of_picture = frames.iter().filter(|frame| frame.picture == picture).map(|frame| {
                let LayerId { spatial_id, temporal_id } = frame.template.layer;
                let mut text = format!("S{spatial_id}T{temporal_id}");
                if let Some((picture, layer)) = frame.temporal {
                    assert_eq!(layer.spatial_id, spatial_id, "{name}");
                    text += &format!("<{picture}");
                }
                if let Some((below, layer)) = frame.inter_layer {
                    assert_eq!((below, layer.spatial_id + 1), (picture, spatial_id), "{name}");
                    text += "+";
                }
                text
            });
            assert_eq!(of_picture.collect::<Vec<_>>().join(" "), *drawn, "{name}, picture {picture}");
        }
    }
}

#[test]
fn a_decode_target_needs_what_it_shows_and_what_that_refers_to() {
    for structure in modes() {
        let frames = unroll(structure, 3 * structure.cycle.len() + 1);
        for target in structure.decode_targets() {
            let shown = |layer: LayerId| {
                layer.spatial_id == target.spatial_id && layer.temporal_id <= target.temporal_id
            };
            let mut needed: BTreeSet<_> = frames.iter().map(Unrolled::id).filter(|id| shown(id.1)).collect();
            needed.insert(frames[0].id());
            for frame in
                frames.iter().rev().filter(|frame| frame.picture > 0 || frame.template.layer.spatial_id > 0)
            {
                if needed.contains(&frame.id()) {
                    needed.extend(frame.temporal.iter().chain(&frame.inter_layer));
                }
            }
            for frame in &frames {
                let id = frame.id();
                assert_eq!(
                    frame.needed_by.contains(target),
                    needed.contains(&id),
                    "{}: {target} and {id:?}",
                    structure.name
                );
            }
        }
    }
}

#[test]
fn what_a_decode_target_keeps_never_refers_to_what_it_drops() {
    for structure in modes() {
        for target in structure.decode_targets() {
            let mut kept = BTreeSet::new();
            for frame in unroll(structure, 3 * structure.cycle.len() + 1) {
                if frame.needed_by.contains(target) {
                    for id in frame.temporal.iter().chain(&frame.inter_layer) {
                        assert!(kept.contains(id), "{}: {target} drops {id:?}", structure.name);
                    }
                    kept.insert(frame.id());
                }
            }
        }
    }
}

#[test]
fn the_key_frame_fills_all_slots_and_no_other_does() {
    for structure in modes() {
        for (picture, templates) in pictures(structure).take(1 + structure.cycle.len()).enumerate() {
            for (at, template) in templates.iter().enumerate() {
                let is_key = (picture, at) == (0, 0);
                assert_eq!((template.is_key(), template.refresh == 0xff), (is_key, is_key));
                assert_eq!(template.layer.spatial_id as usize, at, "{}", structure.name);
                assert!(template.layer.temporal_id < structure.temporal_layers);
            }
            assert_eq!(templates.len(), usize::from(structure.spatial_layers));
        }
    }
}

/// The drawing of a structure in the notation of the table's source.
fn draw(structure: &Structure) -> Vec<String> {
    let digits = |slots: &mut dyn Iterator<Item = u8>| slots.map(|slot| slot.to_string()).collect::<String>();
    let targets = |set: DecodeTargets| {
        let range = |ids: BTreeSet<u8>| match (ids.first(), ids.last()) {
            (Some(low), Some(high)) if low < high => format!("{low}-{high}"),
            (Some(only), _) => only.to_string(),
            (None, _) => String::new(),
        };
        let spatial = range(set.iter().map(|target| target.spatial_id).collect());
        format!("S{spatial}T{}", range(set.iter().map(|target| target.temporal_id).collect()))
    };
    let columns: Vec<_> = pictures(structure).take(1 + structure.cycle.len()).collect();
    let mut line = format!("{:6}{:<8}", "", "key");
    for column in 1..columns.len() {
        line += &format!("{column:<8}");
    }
    let mut lines = vec![line + "needed by"];
    let mut layers: Vec<_> = structure.decode_targets().collect();
    layers.reverse();
    for layer in layers {
        let mut line = format!("{:6}", layer.to_string());
        let mut needed = Vec::new();
        for (column, picture) in columns.iter().enumerate() {
            let mut cell = ".".to_string();
            if let Some(frame) = picture.iter().find(|frame| frame.layer == layer) {
                let stored = digits(&mut (0..8).filter(|slot| frame.refresh >> slot & 1 != 0));
                cell = digits(&mut frame.temporal_ref.into_iter());
                cell += &frame.inter_layer_ref.map_or(String::new(), |slot| format!("+{slot}"));
                cell += &format!(">{}", if frame.refresh == 0xff { "*" } else { &stored });
                let by = targets(structure.needed_by(picture, layer.spatial_id));
                if !needed.iter().any(|(_, known)| *known == by) {
                    needed.push((column, by));
                }
            }
            line += &format!("{cell:<8}");
        }
        needed.reverse();
        let needed =
            needed.iter().map(|(column, by)| if *column == 0 { format!("key {by}") } else { by.clone() });
        let needed: Vec<_> = needed.collect();
        lines.push(line + needed.join(", ").trim_start_matches(if needed.len() == 1 { "key " } else { "" }));
    }
    lines
}

#[test]
fn the_drawings_are_those_of_the_table() {
    let source = include_str!("table.rs");
    let mut missing = String::new();
    for structure in modes() {
        let drawn: String = draw(structure).iter().map(|line| format!("/// {line}\n")).collect();
        let expected = format!("/// ```text\n{drawn}/// ```\nstatic MODE_{}: Structure", structure.name);
        if !source.contains(&expected) {
            missing += &format!("\n{expected}");
        }
    }
    assert!(missing.is_empty(), "to be drawn as{missing}");
}

#[test]
fn operating_points_are_highest_quality_first() {
    let of = |mode: ScalabilityMode| mode.structure().operating_points();
    assert_eq!(of(ScalabilityMode::L1T1), [0]);
    assert_eq!(of(ScalabilityMode::L1T3), [0x107, 0x103, 0x101]);
    assert_eq!(of(ScalabilityMode::S2T1), [0x301, 0x101]);
    assert_eq!(of(ScalabilityMode::L3T2Key), [0x703, 0x701, 0x303, 0x301, 0x103, 0x101]);
    for structure in modes() {
        let points: BTreeSet<_> = structure.operating_points().into_iter().collect();
        assert_eq!(points.len(), usize::from(structure.spatial_layers * structure.temporal_layers));
    }
}

#[test]
fn layers_halve_and_round_up() {
    let structure = ScalabilityMode::L3T3.structure();
    let pair = |size: Size| (size.width, size.height);
    let sizes = |w, h| [2, 1, 0].map(|s| pair(structure.layer_size(Size::new(w, h), s)));
    assert_eq!(sizes(1280, 720), [(1280, 720), (640, 360), (320, 180)]);
    assert_eq!(sizes(1279, 5), [(1279, 5), (640, 3), (320, 2)]);
    assert_eq!(sizes(65536, 1), [(65536, 1), (32768, 1), (16384, 1)]);
    assert_eq!(pair(ScalabilityMode::S2T1.structure().layer_size(Size::new(7, 9), 0)), (4, 5));
    assert_eq!(pair(ScalabilityMode::L1T1.structure().layer_size(Size::new(7, 9), 0)), (7, 9));
    let three_to_two = Structure { ratio: (3, 2), ..*structure };
    assert_eq!(
        [1, 0].map(|s| pair(three_to_two.layer_size(Size::new(1280, 720), s))),
        [(854, 480), (570, 320)]
    );
    let edge = three_to_two.layer_size(Size::new(u32::MAX, 0), 0);
    assert_eq!(pair(edge), (1_908_874_354, 1));
}

/// The layers of the frames of a plan.
fn layers(plan: &PicturePlan) -> Vec<(u8, u8)> {
    plan.frames.iter().map(|frame| (frame.layer.spatial_id, frame.layer.temporal_id)).collect()
}

fn only(targets: &[(u8, u8)]) -> PictureRequest {
    let wanted = targets.iter().map(|&(s, t)| LayerId::new(s, t)).collect();
    PictureRequest { wanted, ..PictureRequest::default() }
}

#[test]
fn all_wanted_is_the_table() {
    for structure in modes() {
        let mut planner = Planner::new(structure.mode, SIZE);
        let request = PictureRequest { wanted: DecodeTargets::all(structure), ..PictureRequest::default() };
        let frames = unroll(structure, 20);
        let numbers: Vec<_> = frames.iter().map(Unrolled::id).collect();
        for (picture, templates) in pictures(structure).take(20).enumerate() {
            let plan = planner.next(request);
            assert_eq!((plan.key, plan.picture_number), (picture == 0, picture as u64));
            assert_eq!(plan.frames.len(), templates.len());
            for (frame, template) in plan.frames.iter().zip(templates) {
                let unrolled = &frames[frame.frame_number as usize];
                assert_eq!((unrolled.id(), frame.layer), ((picture, template.layer), template.layer));
                assert_eq!(frame.temporal_ref, template.temporal_ref);
                assert_eq!(frame.inter_layer_ref, template.inter_layer_ref);
                assert_eq!(frame.refresh_frame_flags, template.refresh);
                let depends_on: Vec<_> =
                    frame.depends_on.iter().map(|number| numbers[*number as usize]).collect();
                let mut refers_to: Vec<_> =
                    unrolled.temporal.into_iter().chain(unrolled.inter_layer).collect();
                if frame.kind == FrameKind::IntraOnly {
                    refers_to.push(numbers[0]);
                }
                assert_eq!(depends_on, refers_to);
            }
        }
    }
}

#[test]
fn a_frame_names_no_slots_but_those_it_refers_to() {
    let mut planner = Planner::new(ScalabilityMode::L3T3, SIZE);
    let all = PictureRequest { wanted: DecodeTargets::all(planner.structure()), ..PictureRequest::default() };
    planner.next(all);
    let frames = planner.next(all).frames;
    assert_eq!(frames[0].ref_slots, [0; 7]);
    assert_eq!(frames[1].ref_slots, [1, 1, 1, 6, 1, 1, 1]);
    assert_eq!(frames[2].ref_slots, [2, 2, 2, 7, 2, 2, 2]);
    assert!(frames.iter().all(|frame| frame.primary_ref == Some(LAST_FRAME)));
}

#[test]
fn a_spatial_layer_comes_back_from_the_one_below() {
    let mut planner = Planner::new(ScalabilityMode::L3T3, SIZE);
    assert_eq!(layers(&planner.next(only(&[(0, 2), (2, 2)]))), [(0, 0), (1, 0), (2, 0)]);
    // Picture 1 is T2: nobody wants it, and nothing is lost by that.
    assert_eq!(layers(&planner.next(only(&[(0, 0), (2, 0)]))), []);
    // Picture 2 is T1; for (2, 1) the layers below are coded too.
    assert_eq!(layers(&planner.next(only(&[(0, 0), (2, 1)]))), [(0, 1), (1, 1), (2, 1)]);
    assert_eq!(layers(&planner.next(only(&[(0, 0)]))), []);
    assert_eq!(layers(&planner.next(only(&[(0, 0)]))), [(0, 0)]);
    // S1 and S2 missed their T0 and wait for the next one.
    for _ in 0..3 {
        assert!(planner.next(only(&[(2, 2)])).frames.iter().all(|frame| frame.layer.spatial_id == 0));
    }
    let plan = planner.next(only(&[(2, 2)]));
    assert_eq!((plan.key, layers(&plan)), (false, vec![(0, 0), (1, 0), (2, 0)]));
    assert_eq!([0, 1, 2].map(|at| plan.frames[at].is_switch_point), [false, true, true]);
    assert_eq!((plan.frames[1].temporal_ref, plan.frames[1].inter_layer_ref), (None, Some(0)));
    assert_eq!((plan.frames[1].kind, plan.frames[1].ref_slots), (FrameKind::Inter, [0; 7]));
    assert_eq!(plan.frames[2].depends_on, [plan.frames[1].frame_number]);
}

#[test]
fn a_temporal_layer_comes_back_without_a_key_picture() {
    let mut planner = Planner::new(ScalabilityMode::L1T3, SIZE);
    let base = planner.next(only(&[(0, 2)])).frames[0].frame_number;
    planner.next(only(&[(0, 2)]));
    // T1 is left out, so the T2 after it refers to T0.
    assert!(planner.next(only(&[(0, 0)])).frames.is_empty());
    let plan = planner.next(only(&[(0, 2)]));
    assert_eq!((layers(&plan), plan.key), (vec![(0, 2)], false));
    assert_eq!(plan.frames[0].depends_on, [base]);
}

#[test]
fn the_key_modes_code_what_is_below_at_key_pictures_only() {
    let mut planner = Planner::new(ScalabilityMode::L3T3Key, SIZE);
    let plan = planner.next(only(&[(2, 2)]));
    assert_eq!((plan.key, layers(&plan)), (true, vec![(0, 0), (1, 0), (2, 0)]));
    for temporal_id in [2, 1, 2, 0] {
        assert_eq!(layers(&planner.next(only(&[(2, 2)]))), [(2, temporal_id)]);
    }
    // Nothing can bring S1 back but a key picture, and that comes at once.
    let plan = planner.next(only(&[(1, 2), (2, 2)]));
    assert_eq!((plan.key, layers(&plan)), (true, vec![(0, 0), (1, 0), (2, 0)]));
    assert_eq!(layers(&planner.next(only(&[(1, 2), (2, 2)]))), [(1, 2), (2, 2)]);
}

#[test]
fn the_simulcast_modes_come_back_intra_only() {
    let mut planner = Planner::new(ScalabilityMode::S3T2, SIZE);
    let plan = planner.next(only(&[(1, 1)]));
    assert_eq!((plan.key, layers(&plan)), (true, vec![(0, 0), (1, 0)]));
    assert_eq!((plan.frames[1].kind, plan.frames[1].refresh_frame_flags), (FrameKind::IntraOnly, 2));
    assert_eq!(layers(&planner.next(only(&[(1, 1), (2, 1)]))), [(1, 1)]);
    let plan = planner.next(only(&[(1, 1), (2, 1)]));
    assert_eq!((plan.key, layers(&plan)), (false, vec![(1, 0), (2, 0)]));
    assert_eq!([0, 1].map(|at| plan.frames[at].kind), [FrameKind::Inter, FrameKind::IntraOnly]);
    assert!(plan.frames[1].is_switch_point && plan.frames[1].primary_ref.is_none());
    // Spatial layer 0 was left out too, and comes back without a key picture for the others.
    planner.next(only(&[(0, 0)]));
    let plan = planner.next(only(&[(0, 0)]));
    assert_eq!((plan.key, plan.frames[0].kind, layers(&plan)), (false, FrameKind::IntraOnly, vec![(0, 0)]));
}

#[test]
fn a_refresh_leaves_no_picture_out() {
    for structure in modes().filter(|structure| structure.spatial_layers > 1) {
        let all = DecodeTargets::all(structure);
        for spatial_id in 0..structure.spatial_layers {
            for at in 1..=structure.cycle.len() {
                let mut planner = Planner::new(structure.mode, SIZE);
                let mut refreshed = false;
                for n in 0..3 * structure.cycle.len() {
                    let refresh = if n == at { Refresh::layer(spatial_id) } else { Refresh::NONE };
                    let plan = planner.next(PictureRequest { refresh, wanted: all });
                    // All frames of all pictures are there, and are available to all.
                    assert_eq!(
                        plan.frames.len(),
                        usize::from(structure.spatial_layers),
                        "{}",
                        structure.name
                    );
                    assert_eq!(plan.available, all, "{}", structure.name);
                    let anew = |frame: &FramePlan| {
                        frame.layer == LayerId::new(spatial_id, 0) && frame.temporal_ref.is_none()
                    };
                    let is_anew = plan.frames.iter().any(anew);
                    assert_eq!(
                        is_anew && n > 0,
                        n >= at && !refreshed && is_anew,
                        "{}: once",
                        structure.name
                    );
                    refreshed |= n >= at && is_anew;
                    let has_key = !structure.has_separate_layers()
                        && (spatial_id == 0 || structure.name.contains("KEY"));
                    assert_eq!(plan.key, n == 0 || n == at && has_key, "{}, picture {n}", structure.name);
                    if n >= at + structure.cycle.len() {
                        assert!(refreshed, "{}: S{spatial_id} at picture {n}", structure.name);
                    }
                }
            }
        }
    }
}

#[test]
fn a_refresh_of_the_lowest_layer_is_of_use_to_those_above() {
    let mut planner = Planner::new(ScalabilityMode::L3T1, SIZE);
    planner.next(only(&[(2, 0)]));
    assert!(planner.next(PictureRequest { refresh: Refresh::layer(0), ..only(&[(2, 0)]) }).key);
    // The planner does not refresh layers that the structure lacks.
    let plan = planner.next(PictureRequest { refresh: Refresh::layer(3), ..only(&[(2, 0)]) });
    assert!(!plan.key && plan.frames.iter().all(|frame| frame.temporal_ref.is_some()));
}

#[test]
fn another_mode_goes_on_with_the_numbers() {
    let mut planner = Planner::new(ScalabilityMode::L3T3, SIZE);
    planner.next(only(&[(2, 2)]));
    planner.next(only(&[(2, 2)]));
    planner.restart(ScalabilityMode::L2T1, Size::new(640, 360));
    let plan = planner.next(only(&[(1, 0)]));
    assert_eq!((plan.key, plan.mode, plan.size), (true, ScalabilityMode::L2T1, Size::new(640, 360)));
    assert_eq!((plan.picture_number, plan.frames[0].frame_number), (2, 6));
}

#[test]
fn a_key_picture_waits_until_something_is_wanted() {
    let mut planner = Planner::new(ScalabilityMode::L1T2, SIZE);
    assert!(planner.next(only(&[])).frames.is_empty());
    assert!(planner.next(only(&[(0, 1)])).key);
    assert!(!planner.next(only(&[(0, 1)])).key);
    assert!(!planner.next(PictureRequest { refresh: Refresh::KEY, ..only(&[]) }).key);
    assert!(planner.next(only(&[(0, 1)])).key);
    // The planner codes nothing for a target that the structure does not have.
    assert!(planner.next(only(&[(3, 7)])).frames.is_empty());
}

/// A receiver that keeps the frames of its decode target: what its slots hold, by frame number.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Receiver {
    target: DecodeTarget,
    slots: [Option<u64>; 8],
}

/// Runs a planner and every receiver that is possible: it begins at a key picture with any decode target, goes up
/// at switch points, and goes down in temporal layers whenever it likes.
fn simulate(mode: ScalabilityMode, requests: &[PictureRequest]) -> Result<(), TestCaseError> {
    let structure = mode.structure();
    let mut planner = Planner::new(mode, SIZE);
    let mut sender = [None; 8];
    let mut receivers: BTreeSet<Receiver> = BTreeSet::new();
    let mut last_number = None;
    // For each decode target, for how many pictures it was wanted, and whether since a key picture.
    let mut wanted_for = [(0, false); 32];
    let mut templates = structure.cycle.iter().cycle();
    for (picture, request) in requests.iter().enumerate() {
        let plan = planner.next(*request);
        prop_assert_eq!(plan.picture_number, picture as u64);
        let template = if plan.key {
            templates = structure.cycle.iter().cycle();
            structure.key
        } else {
            *templates.next().unwrap()
        };
        let wanted = request.wanted.intersection(DecodeTargets::all(structure));
        prop_assert!(plan.key || !request.refresh.is_key() || wanted.is_empty());

        if plan.key {
            receivers =
                structure.decode_targets().map(|target| Receiver { target, slots: [None; 8] }).collect();
        }
        for receiver in receivers.clone() {
            let LayerId { spatial_id, temporal_id } = receiver.target;
            if temporal_id > 0 {
                let target = LayerId::new(spatial_id, temporal_id - 1);
                receivers.insert(Receiver { target, ..receiver });
            }
        }
        for frame in plan.frames.iter().filter(|frame| frame.is_switch_point) {
            for receiver in receivers.clone() {
                let LayerId { spatial_id, temporal_id } = receiver.target;
                let mut go = |target| receivers.insert(Receiver { target, ..receiver.clone() });
                let is_from_below = frame.layer == LayerId::new(spatial_id + 1, 0);
                if frame.layer == LayerId::new(spatial_id, temporal_id + 1) {
                    go(frame.layer);
                } else if is_from_below || frame.kind == FrameKind::IntraOnly {
                    for temporal_id in 0..structure.temporal_layers {
                        go(LayerId::new(frame.layer.spatial_id, temporal_id));
                    }
                }
            }
        }

        for frame in &plan.frames {
            prop_assert!(last_number < Some(frame.frame_number));
            last_number = Some(frame.frame_number);
            prop_assert!(!frame.needed_by.intersection(request.wanted).is_empty());
            let at_sender = |slot: &u8| sender[usize::from(*slot)];
            let refers_to: Vec<u8> = frame.temporal_ref.into_iter().chain(frame.inter_layer_ref).collect();
            let depends_on: Vec<_> = refers_to.iter().filter_map(at_sender).collect();
            // An intra-only frame beside a key frame needs it too.
            let key = plan.frames[0].frame_number;
            let key = (plan.key && frame.kind == FrameKind::IntraOnly).then_some(key);
            prop_assert!(depends_on.iter().copied().chain(key).eq(frame.depends_on.iter().copied()));
            prop_assert_eq!(depends_on.len(), refers_to.len(), "an empty slot is referred to");
            prop_assert_eq!(frame.kind == FrameKind::Inter, !refers_to.is_empty());
            prop_assert_eq!(frame.kind == FrameKind::Key, frame.refresh_frame_flags == 0xff);
            prop_assert_eq!(frame.primary_ref.is_some(), frame.kind == FrameKind::Inter);
            if frame.kind == FrameKind::Inter {
                prop_assert!(frame.ref_slots.iter().all(|slot| refers_to.contains(slot)));
                prop_assert_eq!(frame.ref_slots[LAST_FRAME], refers_to[0]);
                prop_assert!(frame.inter_layer_ref.is_none_or(|slot| frame.ref_slots[GOLDEN_FRAME] == slot));
            }
            let refresh = |slots: &mut [Option<u64>; 8]| {
                for slot in (0..8).filter(|slot| frame.refresh_frame_flags >> slot & 1 != 0) {
                    slots[slot] = Some(frame.frame_number);
                }
            };
            receivers = receivers
                .into_iter()
                .map(|mut receiver| {
                    if frame.needed_by.contains(receiver.target) {
                        for slot in refers_to.iter().map(|slot| usize::from(*slot)) {
                            prop_assert_eq!(
                                receiver.slots[slot],
                                sender[slot],
                                "{}: {:?}",
                                receiver.target,
                                frame
                            );
                        }
                        refresh(&mut receiver.slots);
                    }
                    Ok(receiver)
                })
                .collect::<Result<_, TestCaseError>>()?;
            refresh(&mut sender);
        }

        for target in structure.decode_targets() {
            let (pictures, since_key) =
                &mut wanted_for[usize::from(8 * target.spatial_id + target.temporal_id)];
            if !request.wanted.contains(target) {
                (*pictures, *since_key) = (0, false);
                continue;
            }
            *pictures += 1;
            *since_key |= plan.key;
            if *since_key || *pictures > structure.cycle.len() {
                for frame in template.iter().filter(|frame| frame.layer.spatial_id == target.spatial_id) {
                    let needed = frame.layer.temporal_id <= target.temporal_id;
                    let coded = plan.frames.iter().any(|planned| planned.layer == frame.layer);
                    prop_assert!(coded || !needed, "{target} misses {} in picture {picture}", frame.layer);
                }
            }
        }
    }
    Ok(())
}

fn any_mode() -> impl Strategy<Value = ScalabilityMode> {
    (0..25usize).prop_map(|at| table::TABLE[at].mode)
}

/// Pictures in runs that want the same decode targets. Some runs begin with a refresh.
fn any_requests() -> impl Strategy<Value = Vec<PictureRequest>> {
    let target = (0..3u8, 0..3u8).prop_map(|(s, t)| LayerId::new(s, t));
    let wanted = proptest::collection::vec(target, 0..4).prop_map(DecodeTargets::from_iter);
    let refresh = prop_oneof![
        7 => Just(Refresh::NONE),
        1 => Just(Refresh::KEY),
        2 => proptest::collection::vec(0..4u8, 1..3).prop_map(Refresh::layers),
    ];
    let run = (wanted, refresh, 1..6usize).prop_map(|(wanted, refresh, pictures)| {
        let refresh = move |at| if at == 0 { refresh } else { Refresh::NONE };
        (0..pictures).map(move |at| PictureRequest { refresh: refresh(at), wanted }).collect::<Vec<_>>()
    });
    proptest::collection::vec(run, 1..24).prop_map(|runs| runs.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn every_receiver_has_what_its_frames_refer_to(mode in any_mode(), requests in any_requests()) {
        simulate(mode, &requests)?;
    }

    #[test]
    fn a_name_is_a_mode_or_an_error(name in "[LS][0-4]T[0-4](_KEY)?(_SHIFT)?h?|.*") {
        match name.parse::<ScalabilityMode>() {
            Ok(mode) => prop_assert_eq!(mode.to_string(), name),
            Err(UnknownScalabilityMode) => prop_assert!(modes().all(|structure| structure.name != name)),
        }
    }
}
