//! The examples of A.10.2, every mode of ours, and what comes back from bytes.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::picture::Size;
use crate::rtp::list::List;
use crate::structure::{
    DecodeTargets, FrameKind, LayerId, PicturePlan, PictureRequest, Planner, Refresh, ScalabilityMode,
};

/// A table of A.10.2: a row `S T fdiffs chains dtis` for each template, and the chain of each decode target.
fn table(rows: &[&str], protected_by: &str) -> DependencyStructure {
    let numbers = |list: &str| -> Vec<u8> {
        list.split(',').filter(|n| !n.is_empty()).map(|n| n.parse().unwrap()).collect()
    };
    let template = |row: &&str| {
        let [s, t, fdiffs, chains, dtis] = row.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let indication = |symbol| match symbol {
            '-' => DecodeTargetIndication::NotPresent,
            'D' => DecodeTargetIndication::Discardable,
            'S' => DecodeTargetIndication::Switch,
            'R' => DecodeTargetIndication::Required,
            _ => panic!("{symbol}"),
        };
        Template {
            layer: LayerId::new(s.parse().unwrap(), t.parse().unwrap()),
            decode_target_indications: dtis.chars().map(indication).collect(),
            frame_diffs: numbers(fdiffs.trim_matches('_')).into_iter().map(u16::from).collect(),
            chain_diffs: numbers(chains).into_iter().collect(),
        }
    };
    let protected_by: List<u8, 32> = numbers(protected_by).into_iter().collect();
    DependencyStructure {
        template_id_offset: 0,
        decode_targets: protected_by.len() as u8,
        templates: rows.iter().map(template).collect(),
        chains: protected_by.iter().max().unwrap() + 1,
        protected_by,
        resolutions: List::new(),
    }
}

/// A.10.2.1
fn l1t3() -> DependencyStructure {
    table(&["0 0 _ 0 SSS", "0 0 4 4 SSS", "0 1 2 2 SD-", "0 2 1 1 D--", "0 2 1 3 D--"], "0,0,0")
}

/// A.10.2.2
fn l3t3() -> DependencyStructure {
    let rows = [
        "0 0 _ 0,0,0 SSSSSSSSS",
        "0 0 12 12,11,10 RRRRRRSSS",
        "0 1 6 6,5,4 RR-RR-SD-",
        "0 2 3 3,2,1 R--R--D--",
        "0 2 3 9,8,7 R--R--D--",
        "1 0 1 1,1,1 SSSSSS---",
        "1 0 12,1 1,1,1 RRRSSS---",
        "1 1 6,1 7,6,5 RR-SD----",
        "1 2 3,1 4,3,2 R--D-----",
        "1 2 3,1 10,9,8 R--D-----",
        "2 0 1 2,1,1 SSS------",
        "2 0 12,1 2,1,1 SSS------",
        "2 1 6,1 8,7,6 SD-------",
        "2 2 3,1 5,4,3 D--------",
        "2 2 3,1 11,10,9 D--------",
    ];
    table(&rows, "2,2,2,1,1,1,0,0,0")
}

/// A.10.2.3
fn l3t3_key_shift() -> DependencyStructure {
    let rows = [
        "0 0 _ 0,0,0 SSSSSSSSS",
        "0 0 3 3,2,1 ------SSS",
        "0 0 12 12,8,1 ------SSS",
        "0 1 6 6,2,7 ------SD-",
        "0 2 3 3,5,4 ------D--",
        "0 2 3 9,5,10 ------D--",
        "0 2 3 3,11,4 ------D--",
        "1 0 1 1,1,1 SSSSSS---",
        "1 0 6 4,6,5 ---SSS---",
        "1 0 12 4,12,5 ---SSS---",
        "1 1 6 10,6,11 ---SD----",
        "1 2 3 1,3,2 ---D-----",
        "1 2 3 7,3,8 ---D-----",
        "1 2 3 1,9,2 ---D-----",
        "2 0 1 2,1,1 SSS------",
        "2 0 12 11,7,12 SSS------",
        "2 1 6 5,1,6 SD-------",
        "2 2 3 2,4,3 D--------",
        "2 2 3 8,4,9 D--------",
        "2 2 3 2,10,3 D--------",
    ];
    table(&rows, "2,2,2,1,1,1,0,0,0")
}

/// `structure` without the sizes, which the examples do not have.
fn sizeless(mode: ScalabilityMode) -> DependencyStructure {
    let mut structure = DependencyStructure::of_mode(mode, Size::new(1280, 720));
    structure.resolutions.clear();
    structure
}

#[test]
fn the_examples_of_the_specification_come_out_of_our_table() {
    assert_eq!(sizeless(ScalabilityMode::L1T3), l1t3());
    assert_eq!(sizeless(ScalabilityMode::L3T3), l3t3());
    assert_eq!(sizeless(ScalabilityMode::L3T3KeyShift), l3t3_key_shift());
}

/// The bits of template_dependency_structure() with offset 0 and no sizes, put together from the syntax tables
/// of A.8.2 as text. `layers` are the next_layer_idc, `counts` DtCnt - 1 and the bits of chain_cnt, and
/// `by_chain` those of decode_target_protected_by for each chain.
fn bits_of(structure: &DependencyStructure, layers: &str, counts: [&str; 2], by_chain: &[&str]) -> String {
    let mut bits = String::from("000000") + counts[0];
    for next in layers.chars() {
        bits += ["00", "01", "10", "11"][next.to_digit(4).unwrap() as usize];
    }
    let templates = || structure.templates.iter();
    for indication in templates().flat_map(|t| &t.decode_target_indications) {
        bits += match indication {
            DecodeTargetIndication::NotPresent => "00",
            DecodeTargetIndication::Discardable => "01",
            DecodeTargetIndication::Switch => "10",
            DecodeTargetIndication::Required => "11",
        };
    }
    for template in templates() {
        for diff in &template.frame_diffs {
            bits += &format!("1{:04b}", diff - 1);
        }
        bits += "0";
    }
    bits += counts[1];
    for &chain in &structure.protected_by {
        bits += by_chain[usize::from(chain)];
    }
    for diff in templates().flat_map(|t| &t.chain_diffs) {
        bits += &format!("{diff:04b}");
    }
    bits + "0"
}

#[test]
fn the_examples_of_the_specification_are_written_bit_for_bit() {
    // chain_cnt is ns(4) = 1 for the first, ns(10) = 3 for the others; a chain is ns(1), which has no bits, or
    // ns(3).
    let ns3 = ["0", "10", "11"];
    for (structure, bits) in [
        (l1t3(), bits_of(&l1t3(), "01103", ["00010", "01"], &[""])),
        (l3t3(), bits_of(&l3t3(), "011020110201103", ["01000", "011"], &ns3)),
        (l3t3_key_shift(), bits_of(&l3t3_key_shift(), "00110020011002011003", ["01000", "011"], &ns3)),
    ] {
        let structure = Arc::new(structure);
        let key = DependencyDescriptor {
            start_of_frame: true,
            template_id: 0,
            frame_number: 0x1234,
            structure: Some(Arc::clone(&structure)),
            ..Default::default()
        };
        // start, end, template, number, and the flags of which the first is set.
        let bits = String::from("1000000000010010001101001") + "0000" + &bits;
        let bytes: Vec<u8> = bits
            .as_bytes()
            .chunks(8)
            .map(|byte| {
                let byte = std::str::from_utf8(byte).unwrap();
                u8::from_str_radix(byte, 2).unwrap() << (8 - byte.len())
            })
            .collect();
        assert_eq!(written(&key, &structure), bytes);
        assert_eq!(DependencyDescriptor::read(&bytes, None), Ok(key));
    }
}

fn written(descriptor: &DependencyDescriptor, known: &DependencyStructure) -> Vec<u8> {
    let mut bytes = Vec::new();
    descriptor.write(known, &mut bytes).unwrap();
    assert_eq!(descriptor.size(known), Ok(bytes.len()));
    bytes
}

/// A.10.1.3: the descriptors of the frames around three skipped ones of layer S0.
#[test]
fn a_dynamic_structure_is_custom_where_its_example_says_so() {
    let structure = table(&["0 0 _ 0 SS", "0 0 2 2 SR", "1 0 1 1 -S", "1 0 1,2 1 -S"], "0,0");
    let frame = |frame_number, template_id, fdiffs: Option<&[u16]>, chain: Option<u8>| DependencyDescriptor {
        template_id,
        frame_number,
        custom_frame_diffs: fdiffs.map(|diffs| diffs.iter().copied().collect()),
        custom_chain_diffs: chain.map(|diff| [diff].into_iter().collect()),
        ..Default::default()
    };
    for (descriptor, needs, chain, size) in [
        (frame(104, 3, None, None), &[103, 102][..], 103, 3),
        (frame(105, 2, None, Some(2)), &[104], 103, 5),
        (frame(107, 2, None, Some(4)), &[106], 103, 5),
        (frame(108, 1, Some(&[5]), Some(5)), &[103], 103, 6),
    ] {
        let bytes = written(&descriptor, &structure);
        assert_eq!(bytes.len(), size);
        let read = DependencyDescriptor::read(&bytes, Some(&structure)).unwrap();
        let means = read.dependencies(&structure).unwrap();
        let number = read.frame_number;
        assert_eq!(means.frame_diffs.iter().map(|diff| number - diff).collect::<Vec<_>>(), needs);
        assert_eq!(number - u16::from(means.chain_diffs[0]), chain);
    }
}

#[test]
fn layers_and_chains_of_decode_targets() {
    let structure = l3t3_key_shift();
    let layers: Vec<_> = (0..9).map(|target| structure.decode_target_layer(target)).collect();
    assert_eq!(layers[0], LayerId::new(2, 2));
    assert_eq!(layers[5], LayerId::new(1, 0));
    assert_eq!(structure.decode_target(LayerId::new(1, 1)), Some(4));
    assert_eq!(structure.decode_target(LayerId::new(3, 1)), None);
    assert_eq!(structure.all_decode_targets(), 0x1ff);
    assert_eq!(structure.active_chains(0b100_001_000), 0b011);
    let in_chains = |template_id, active| {
        let frame =
            DependencyDescriptor { template_id, ..Default::default() }.dependencies(&structure).unwrap();
        (0..4).filter(|&chain| structure.is_in_chain(&frame, chain, active)).collect::<Vec<_>>()
    };
    assert_eq!(in_chains(0, 0x1ff), [0, 1, 2]);
    assert_eq!(in_chains(7, 0x1ff), [1, 2]);
    assert_eq!(in_chains(7, 0b111_111_000), [1]);
    assert!(in_chains(3, 0x1ff).is_empty());
    assert_eq!(in_chains(9, 0x1ff), [1]);
}

#[test]
fn what_is_no_descriptor_is_refused() {
    let structure = l1t3();
    let read = |bytes: &[u8]| DependencyDescriptor::read(bytes, Some(&structure)).err();
    assert_eq!(read(&[0x80, 1]), Some(DescriptorError::End));
    assert_eq!(read(&[0x85, 0, 1]), Some(DescriptorError::Template { id: 5 }));
    assert_eq!(read(&[0x84, 0, 1]), None);
    assert_eq!(read(&[0x84, 0, 1, 0b0001_0100]), Some(DescriptorError::End));
    // Padding is nobody's business.
    assert_eq!(read(&[0x84, 0, 1, 0b0000_0111, 0xff]), None);
    let unknown = |bytes: &[u8]| DependencyDescriptor::read(bytes, None);
    assert!(unknown(&[0x85, 0, 1]).is_ok());
    assert!(unknown(&[0x85, 0, 1, 0b0001_0000, 0]).unwrap().custom_frame_diffs.unwrap().is_empty());
    for flags in [0b0100_0000, 0b0010_0000, 0b0000_1000] {
        assert_eq!(unknown(&[0x85, 0, 1, flags, 0, 0, 0]), Err(DescriptorError::NoStructure));
    }
    // A structure: 5 spatial layers; temporal layers without end; templates without end.
    let layered = |next: u8| {
        let mut bytes = vec![0x80, 0, 1, 0b1000_0000, 0];
        // 29 + 11 bits are 5 bytes: next_layer_idc begin at a byte.
        bytes.extend([next * 0x55; 40]);
        unknown(&bytes).err()
    };
    assert_eq!(layered(0), Some(DescriptorError::TooManyTemplates));
    assert_eq!(layered(1), Some(DescriptorError::Layer));
    assert_eq!(layered(2), Some(DescriptorError::Layer));
}

#[test]
fn what_cannot_be_said_is_not_written() {
    let good = DependencyDescriptor::default();
    let refused = |descriptor: DependencyDescriptor, field| {
        let mut bytes = Vec::new();
        assert_eq!(descriptor.write(&l1t3(), &mut bytes), Err(DescriptorError::Value { field }));
        assert!(bytes.is_empty());
    };
    let diffs = |list: &[u16]| Some(list.iter().copied().collect());
    refused(DependencyDescriptor { custom_frame_diffs: diffs(&[1, 0]), ..good.clone() }, "fdiff_minus_one");
    refused(DependencyDescriptor { custom_frame_diffs: diffs(&[4097]), ..good.clone() }, "fdiff_minus_one");
    let custom_chain_diffs = Some([1, 2].into_iter().collect());
    refused(DependencyDescriptor { custom_chain_diffs, ..good.clone() }, "frame_chain_fdiff");
    let active_decode_targets = Some(8);
    refused(DependencyDescriptor { active_decode_targets, ..good.clone() }, "active_decode_targets_bitmask");
    let with = |change: &dyn Fn(&mut DependencyStructure)| {
        let mut structure = l1t3();
        change(&mut structure);
        DependencyDescriptor { structure: Some(Arc::new(structure)), ..good.clone() }
    };
    refused(with(&|s| s.decode_targets = 4), "template_dti");
    refused(with(&|s| s.templates.swap(2, 3)), "next_layer_idc");
    refused(with(&|s| s.templates[1].frame_diffs[0] = 17), "fdiff_minus_one");
    refused(with(&|s| s.templates[1].chain_diffs[0] = 16), "template_chain_fdiff");
    refused(with(&|s| s.chains = 4), "chain_cnt");
    refused(with(&|s| s.protected_by[1] = 1), "decode_target_protected_by");
    refused(with(&|s| s.resolutions.push(Size::new(65537, 1))), "max_render_width_minus_1");
    refused(with(&|s| s.resolutions.extend([Size::new(1, 1); 2])), "render_resolutions");
    let mut short = [0; 2];
    assert_eq!(good.write(&l1t3(), &mut &mut short[..]), Err(DescriptorError::Space { size: 3 }));
}

#[test]
fn canonical_bytes_leave_out_what_a_relay_may_change() {
    let structure = l3t3();
    let canonical = |descriptor: &DependencyDescriptor| {
        let mut bytes = Vec::new();
        descriptor.canonical(&structure, &mut bytes).unwrap();
        bytes
    };
    let sent = DependencyDescriptor {
        start_of_frame: true,
        template_id: 3,
        frame_number: 9,
        custom_frame_diffs: Some([1].into_iter().collect()),
        ..Default::default()
    };
    let relayed = DependencyDescriptor { end_of_frame: true, active_decode_targets: Some(7), ..sent.clone() };
    assert_eq!(canonical(&sent), canonical(&relayed));
    for changed in [
        DependencyDescriptor { template_id: 4, ..sent.clone() },
        DependencyDescriptor { frame_number: 10, ..sent.clone() },
        DependencyDescriptor { custom_frame_diffs: None, ..sent.clone() },
        DependencyDescriptor { structure: Some(Arc::new(l3t3())), ..sent.clone() },
    ] {
        assert_ne!(canonical(&sent), canonical(&changed));
    }
}

fn indications(targets: usize) -> impl Strategy<Value = Indications> {
    let one = prop_oneof![
        Just(DecodeTargetIndication::NotPresent),
        Just(DecodeTargetIndication::Discardable),
        Just(DecodeTargetIndication::Switch),
        Just(DecodeTargetIndication::Required),
    ];
    vec(one, targets).prop_map(|list| list.into_iter().collect())
}

fn frame_diffs(most: u16) -> impl Strategy<Value = FrameDiffs> {
    vec(1..=most, 0..=MAX_FRAME_DIFFS).prop_map(|list| list.into_iter().collect())
}

fn chain_diffs(chains: usize, most: u8) -> impl Strategy<Value = ChainDiffs> {
    vec(0..=most, chains).prop_map(|list| list.into_iter().collect())
}

/// Any structure, of other senders too.
fn structures() -> impl Strategy<Value = DependencyStructure> {
    let counts = (1..=32u8).prop_flat_map(|targets| (Just(targets), 0..=targets));
    let layers = vec(0..3u8, 0..MAX_TEMPLATES);
    (counts, layers, 0..64u8, any::<bool>()).prop_flat_map(|((targets, chains), steps, offset, sized)| {
        let mut layer = LayerId::default();
        let mut layers = vec![layer];
        for step in steps {
            match step {
                1 if layer.temporal_id < 7 => layer.temporal_id += 1,
                2 if layer.spatial_id < 3 => layer = LayerId::new(layer.spatial_id + 1, 0),
                _ => {}
            }
            layers.push(layer);
        }
        layers.truncate(MAX_TEMPLATES);
        let highest = usize::from(layers.last().unwrap().spatial_id);
        let diffs = (indications(targets.into()), frame_diffs(16), chain_diffs(chains.into(), 15));
        let templates = vec(diffs, layers.len()).prop_map(move |diffs| {
            let with = |(layer, diffs): (&LayerId, (Indications, FrameDiffs, ChainDiffs))| Template {
                layer: *layer,
                decode_target_indications: diffs.0,
                frame_diffs: diffs.1,
                chain_diffs: diffs.2,
            };
            layers.iter().zip(diffs).map(with).collect::<Vec<_>>()
        });
        let protected = vec(0..chains.max(1), if chains == 0 { 0 } else { targets.into() });
        let size = (1..=65536u32, 1..=65536u32).prop_map(|(width, height)| Size::new(width, height));
        let sizes = vec(size, if sized { highest + 1 } else { 0 });
        (templates, protected, sizes).prop_map(move |(templates, protected, sizes)| DependencyStructure {
            template_id_offset: offset,
            decode_targets: targets,
            templates,
            chains,
            protected_by: protected.into_iter().collect(),
            resolutions: sizes.into_iter().collect(),
        })
    })
}

fn descriptors() -> impl Strategy<Value = (DependencyStructure, DependencyDescriptor)> {
    structures().prop_flat_map(|structure| {
        let (targets, chains) = (structure.decode_targets.into(), structure.chains.into());
        let mask = any::<u32>().prop_map({
            let all = structure.all_decode_targets();
            move |mask| mask & all
        });
        let fields = (any::<(bool, bool, u16, bool)>(), 0..structure.templates.len());
        let custom = (
            option::of(mask),
            option::of(indications(targets)),
            option::of(frame_diffs(4096)),
            option::of(chain_diffs(chains, 255)),
        );
        (fields, custom).prop_map(move |(((start, end, number, bring), index), custom)| {
            let descriptor = DependencyDescriptor {
                start_of_frame: start,
                end_of_frame: end,
                template_id: (structure.template_id_offset + index as u8) % 64,
                frame_number: number,
                structure: bring.then(|| Arc::new(structure.clone())),
                active_decode_targets: custom.0,
                custom_indications: custom.1,
                custom_frame_diffs: custom.2,
                custom_chain_diffs: custom.3,
            };
            (structure.clone(), descriptor)
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn descriptors_come_back((structure, descriptor) in descriptors()) {
        let bytes = written(&descriptor, &structure);
        prop_assert_eq!(DependencyDescriptor::read(&bytes, Some(&structure)), Ok(descriptor.clone()));
        let known = (descriptor.structure.is_none()).then_some(&structure);
        prop_assert_eq!(DependencyDescriptor::read(&bytes, known), Ok(descriptor));
        for cut in 0..bytes.len() {
            // Three bytes of a longer one are a descriptor too.
            if cut != 3 {
                prop_assert!(DependencyDescriptor::read(&bytes[..cut], Some(&structure)).is_err());
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200), known in any::<bool>()) {
        let structure = l3t3();
        if let Ok(read) = DependencyDescriptor::read(&bytes, known.then_some(&structure)) {
            let holds = read.structure.clone().unwrap_or_else(|| Arc::new(structure));
            if read.dependencies(&holds).is_ok() {
                let again = written(&read, &holds);
                prop_assert_eq!(DependencyDescriptor::read(&again, Some(&holds)), Ok(read));
            }
        }
    }
}

/// Describes planned pictures and holds each descriptor against the plan.
struct Checked {
    planner: Planner,
    describer: Describer,
    /// Descriptor's number, planner's number and dependencies of every frame since the last key frame.
    frames: Vec<(u16, u64, FrameDependencies)>,
    /// The last frame of each chain, and what a receiver of its frames alone knows to be active.
    chains: Vec<(u16, u32)>,
    active: u32,
}

impl Checked {
    fn new(mode: ScalabilityMode) -> Self {
        let chains = vec![(0, 0); mode.structure().spatial_layers.into()];
        let (planner, describer) = (Planner::new(mode, Size::new(640, 360)), Describer::new());
        Self { planner, describer, frames: Vec::new(), chains, active: 0 }
    }

    /// The next picture: the bytes that its descriptors take.
    fn next(&mut self, key: bool, wanted: DecodeTargets) -> Vec<usize> {
        let refresh = if key { Refresh::KEY } else { Refresh::NONE };
        self.plan(PictureRequest { refresh, wanted })
    }

    fn plan(&mut self, request: PictureRequest) -> Vec<usize> {
        let picture = self.planner.next(request);
        let descriptors = self.describer.describe(&picture).unwrap();
        assert_eq!(descriptors.len(), picture.frames.len());
        if picture.key {
            self.frames.clear();
        }
        let Some(structure) = self.describer.structure().cloned() else { return Vec::new() };
        let mut sizes = Vec::new();
        for (plan, sent) in picture.frames.iter().zip(&descriptors) {
            let bytes = written(sent, &structure);
            sizes.push(bytes.len());
            let descriptor = DependencyDescriptor::read(&bytes, Some(&structure)).unwrap();
            assert_eq!(descriptor, *sent);
            assert_eq!(descriptor.structure.is_some(), plan.kind == FrameKind::Key);
            let frame = descriptor.dependencies(&structure).unwrap();
            let number = descriptor.frame_number;
            if let Some((last, ..)) = self.frames.last() {
                assert!((1..0x8000).contains(&number.wrapping_sub(*last)), "{number} after {last}");
            }
            assert_eq!(frame.layer, plan.layer);
            for (target, indication) in (0..).zip(&frame.decode_target_indications) {
                let layer = structure.decode_target_layer(target);
                let needed = *indication != DecodeTargetIndication::NotPresent;
                assert_eq!(needed, plan.needed_by.contains(layer));
            }
            // The frames that it refers to are those of the plan.
            let by_number = |diff: &u16| {
                let other = number.wrapping_sub(*diff);
                self.frames
                    .iter()
                    .find(|(number, ..)| *number == other)
                    .expect("a frame coded since the key")
                    .1
            };
            let refers_to: Vec<u64> = frame.frame_diffs.iter().map(by_number).collect();
            assert_eq!(refers_to, plan.depends_on);
            assert_eq!(number, plan.frame_number as u16);
            if descriptor.structure.is_some() {
                self.active = structure.all_decode_targets();
            }
            self.active = descriptor.active_decode_targets.unwrap_or(self.active);
            self.follow_chains(&descriptor, &frame);
            self.frames.push((number, plan.frame_number, frame));
        }
        self.check_active(&picture);
        sizes
    }

    /// Who receives an active decode target gets every frame of its layer.
    fn check_active(&self, picture: &PicturePlan) {
        let structure = self.planner.structure();
        if picture.frames.is_empty() {
            return;
        }
        let template = picture.position.checked_sub(1).map_or(structure.key, |at| structure.cycle[at]);
        for frame in template {
            if picture.frames.iter().all(|plan| plan.layer != frame.layer) {
                let LayerId { spatial_id, temporal_id } = frame.layer;
                for temporal_id in temporal_id..structure.temporal_layers {
                    let target = LayerId::new(spatial_id, temporal_id);
                    let index = self.describer.structure().unwrap().decode_target(target).unwrap();
                    assert_eq!(self.active >> index & 1, 0, "{target} has no {}", frame.layer);
                }
            }
        }
    }

    fn follow_chains(&mut self, descriptor: &DependencyDescriptor, frame: &FrameDependencies) {
        let structure = self.describer.structure().unwrap();
        let (chains, all) = (structure.active_chains(self.active), structure.all_decode_targets());
        for (chain, (last, known)) in (0u8..).zip(&mut self.chains) {
            let is_active = chains >> chain & 1 != 0;
            let diff = frame.chain_diffs[usize::from(chain)];
            if is_active && diff > 0 {
                assert_eq!(descriptor.frame_number.wrapping_sub(diff.into()), *last, "{descriptor:?}");
            }
            if structure.is_in_chain(frame, chain, all) {
                *last = descriptor.frame_number;
                if descriptor.structure.is_some() {
                    *known = all;
                }
                *known = descriptor.active_decode_targets.unwrap_or(*known);
                assert!(!is_active || *known == self.active, "who has the chain knows what is active");
            }
        }
    }

    /// Holds the switch indications and the beginnings of chains against what followed up to now.
    fn check_switches(&self) {
        for (index, (number, _, frame)) in self.frames.iter().enumerate() {
            for (target, indication) in frame.decode_target_indications.iter().enumerate() {
                let later = self.frames[index + 1..].iter();
                let mut later = later.filter(|(.., other)| {
                    other.decode_target_indications[target] != DecodeTargetIndication::NotPresent
                });
                let refers_to = |(number, _, frame): &(u16, u64, FrameDependencies)| -> Vec<u16> {
                    frame.frame_diffs.iter().map(|diff| number.wrapping_sub(*diff)).collect()
                };
                match indication {
                    DecodeTargetIndication::Discardable => {
                        assert!(!later.any(|other| refers_to(other).contains(number)));
                    }
                    DecodeTargetIndication::Switch => {
                        let mut had = vec![*number];
                        for other in self.frames[..=index].iter().rev() {
                            if had.contains(&other.0) {
                                had.extend(refers_to(other));
                            }
                        }
                        for other in later {
                            assert!(refers_to(other).iter().all(|needed| had.contains(needed)));
                            had.push(other.0);
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn frames_of_all_layers_take_three_bytes() {
    for mode in ScalabilityMode::all() {
        let mut checked = Checked::new(mode);
        let all = DecodeTargets::all(mode.structure());
        for picture in 0..40 {
            let key = picture % 17 == 0;
            let sizes = checked.next(key, all);
            let structure = checked.describer.structure().unwrap();
            assert!(structure.templates.len() <= 32, "two structures fit the ids");
            assert!(sizes[usize::from(key)..].iter().all(|&size| size == 3), "{mode} {sizes:?}");
            checked.check_switches();
        }
    }
}

#[test]
fn layers_that_stay_away_cost_nothing_custom() {
    // Two of three spatial and two of three temporal layers, from the key picture on.
    let wanted = DecodeTargets::only(&[LayerId::new(0, 1), LayerId::new(1, 1)]);
    let mut checked = Checked::new(ScalabilityMode::L3T3);
    checked.next(false, wanted);
    assert_eq!(checked.active, 0b110_110_000);
    let sizes: Vec<usize> = (0..16).flat_map(|_| checked.next(false, wanted)).collect();
    assert_eq!(sizes, [3; 16]);
}

#[test]
fn a_lone_layer_says_that_it_does_without_those_below() {
    let wanted = |targets: &[(u8, u8)]| targets.iter().map(|&(s, t)| LayerId::new(s, t)).collect();
    let mut checked = Checked::new(ScalabilityMode::L3T3);
    checked.next(false, wanted(&[(2, 2)]));
    assert_eq!(checked.active, 0b000_000_111);
    // The key picture's frame of the layer has told it; frames of temporal layer 0 have another distance in the chain.
    let sizes: Vec<usize> = (0..8).flat_map(|_| checked.next(false, wanted(&[(2, 2)]))).collect();
    assert_eq!(sizes, [5, 5, 5, 8, 5, 5, 5, 8]);
    let (.., frame) = checked.frames.last().unwrap();
    assert_eq!((&frame.frame_diffs[..], frame.chain_diffs[2]), (&[12][..], 12));
    // What is below comes back, and with it the chains of those layers begin anew; that of the highest goes on.
    for _ in 0..4 {
        checked.next(false, wanted(&[(0, 2), (2, 2)]));
    }
    assert_eq!(checked.active, 0b111_111_111);
    let [lowest, middle, highest] = checked.frames.last_chunk().unwrap();
    assert_eq!((&lowest.2.frame_diffs[..], &lowest.2.chain_diffs[..]), (&[][..], &[0, 0, 10][..]));
    assert_eq!((&middle.2.frame_diffs[..], &middle.2.chain_diffs[..]), (&[1][..], &[1, 0, 1][..]));
    assert_eq!((&highest.2.frame_diffs[..], &highest.2.chain_diffs[..]), (&[12, 1][..], &[2, 1, 1][..]));
    checked.check_switches();
}

#[test]
fn a_layer_that_comes_back_begins_its_chain_anew() {
    let (low, high) = (LayerId::new(0, 0), LayerId::new(1, 0));
    let mut checked = Checked::new(ScalabilityMode::L2T1);
    checked.next(false, DecodeTargets::only(&[low, high]));
    for _ in 0..3 {
        checked.next(false, DecodeTargets::only(&[low]));
        assert_eq!(checked.active, 0b10);
    }
    checked.next(false, DecodeTargets::only(&[low, high]));
    assert_eq!(checked.active, 0b11);
    // A.10.1.2: it does not refer to what its layer was before, its chain begins here, and one can switch.
    let (_, _, frame) = checked.frames.last().unwrap();
    assert_eq!((&frame.frame_diffs[..], &frame.chain_diffs[..]), (&[1][..], &[1, 0][..]));
    assert_eq!(frame.decode_target_indications[0], DecodeTargetIndication::Switch);
    checked.check_switches();
}

#[test]
fn another_size_has_other_template_ids_and_later_numbers() {
    let mut checked = Checked::new(ScalabilityMode::L3T3);
    let all = |mode: ScalabilityMode| DecodeTargets::all(mode.structure());
    for _ in 0..5 {
        checked.next(false, all(ScalabilityMode::L3T3));
    }
    checked.planner.restart(ScalabilityMode::L2T2, Size::new(320, 180));
    let wanted = all(ScalabilityMode::L2T2);
    let picture = checked.planner.next(PictureRequest { wanted, ..PictureRequest::default() });
    let descriptors = checked.describer.describe(&picture).unwrap();
    let structure = checked.describer.structure().unwrap();
    assert_eq!((structure.template_id_offset, descriptors[0].template_id), (15, 15));
    assert_eq!(structure.resolutions[..], [Size::new(160, 90), Size::new(320, 180)]);
    assert_eq!((descriptors[0].frame_number, descriptors[1].frame_number), (15, 16));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is wanted, at whatever time.
    #[test]
    fn descriptors_say_what_was_planned(
        mode in (0..25usize).prop_map(|index| ScalabilityMode::all().nth(index).unwrap()),
        spells in vec((any::<u16>(), 1..12usize, 0..10u8, 0..8u8), 1..12),
    ) {
        let mut checked = Checked::new(mode);
        for (wanted, pictures, key, anew) in spells {
            let targets = mode.structure().decode_targets().enumerate();
            let wanted: DecodeTargets =
                targets.filter(|(index, _)| wanted >> index & 1 != 0).map(|(_, target)| target).collect();
            for picture in 0..pictures {
                let anew = (0..3).filter(|spatial_id| anew >> spatial_id & 1 != 0);
                let refresh = match (picture, key) {
                    (0, 0) => Refresh::KEY,
                    (0, 1..4) => Refresh::layers(anew),
                    _ => Refresh::NONE,
                };
                checked.plan(PictureRequest { refresh, wanted });
            }
            checked.check_switches();
        }
    }
}
