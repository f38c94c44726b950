//! The examples of A.10.2, every mode of ours, and what comes back from bytes.

use super::*;
use crate::structure::ScalabilityMode;

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
    let protected_by: ArrayVec<u8, 32> = numbers(protected_by).into_iter().collect();
    DependencyStructure {
        template_id_offset: 0,
        decode_targets: protected_by.len() as u8,
        templates: rows.iter().map(template).collect(),
        chains: protected_by.iter().max().unwrap() + 1,
        protected_by,
        resolutions: ArrayVec::new(),
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
    let mut structure = DependencyStructure::clone(Describer::new(mode, 1280, 720).structure());
    structure.resolutions.clear();
    structure
}

#[test]
fn the_examples_of_the_specification_come_out_of_our_table() {
    assert_eq!(sizeless(ScalabilityMode::L1T3), l1t3());
    assert_eq!(sizeless(ScalabilityMode::L3T3), l3t3());
    assert_eq!(sizeless(ScalabilityMode::L3T3KeyShift), l3t3_key_shift());
}
