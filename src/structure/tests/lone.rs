//! One spatial layer of several is wanted.

use super::*;

#[test]
fn a_lone_spatial_layer_does_without_those_below() {
    let targets = |spatial_id| DecodeTargets::only(&[0, 1, 2].map(|t| LayerId::new(spatial_id, t)));
    for lone in 1..3 {
        let mut planner = Planner::new(ScalabilityMode::L3T3, SIZE);
        let plan = planner.next(only(&[(lone, 2)]));
        let mut last = plan.frames.last().unwrap().frame_number;
        assert_eq!(
            (plan.key, plan.frames.len(), plan.available),
            (true, usize::from(lone) + 1, targets(lone))
        );
        for temporal_id in [2, 1, 2, 0, 2, 1, 2, 0] {
            let plan = planner.next(only(&[(lone, 2)]));
            assert_eq!((plan.key, layers(&plan)), (false, vec![(lone, temporal_id)]));
            let frame = &plan.frames[0];
            assert_eq!((frame.inter_layer_ref, frame.depends_on.len()), (None, 1));
            assert_eq!((plan.available, frame.is_switch_point), (targets(lone), temporal_id > 0));
            // The numbers keep the distances of the structure.
            assert_eq!((frame.frame_number, frame.depends_on[0] <= last), (last + 3, true));
            last = frame.frame_number;
        }
    }
}

#[test]
fn what_is_below_a_lone_layer_comes_back_beside_it() {
    for wanted in [&[(0, 2), (2, 2)][..], &[(1, 0), (2, 2)]] {
        let mut planner = Planner::new(ScalabilityMode::L3T3, SIZE);
        (0..6).for_each(|_| drop(planner.next(only(&[(2, 2)]))));
        for temporal_id in [1, 2] {
            assert_eq!(layers(&planner.next(only(wanted))), [(2, temporal_id)]);
        }
        let plan = planner.next(only(wanted));
        assert_eq!((plan.key, layers(&plan)), (false, vec![(0, 0), (1, 0), (2, 0)]));
        assert_eq!(plan.frames[0].kind, FrameKind::IntraOnly);
        assert!(plan.frames[0].depends_on.is_empty() && plan.frames[0].primary_ref.is_none());
        assert_eq!(plan.frames[1].depends_on, [plan.frames[0].frame_number]);
        assert_eq!(plan.frames[2].depends_on.len(), 2);
        assert_eq!([0, 1, 2].map(|at| plan.frames[at].is_switch_point), [true, true, false]);
        assert!(wanted.iter().all(|&(s, t)| plan.available.contains(LayerId::new(s, t))));
    }
}

#[test]
fn without_a_layer_that_goes_on_the_others_come_back_by_a_key_picture() {
    for (wanted, refresh) in [
        (&[(0, 2)][..], Refresh::NONE),
        (&[(1, 2)], Refresh::NONE),
        (&[(0, 2), (1, 1)], Refresh::NONE),
        (&[(2, 2)], Refresh::layer(2)),
        (&[(0, 0), (2, 2)], Refresh::layers(1..3)),
    ] {
        let mut planner = Planner::new(ScalabilityMode::L3T3, SIZE);
        (0..6).for_each(|_| assert!(planner.next(only(&[(2, 2)])).frames.len() != 2));
        assert!(planner.next(PictureRequest { refresh, ..only(wanted) }).key, "{wanted:?}, {refresh:?}");
    }
    // In the same cycle S0 is still there.
    let mut planner = Planner::new(ScalabilityMode::L3T3, SIZE);
    (0..2).for_each(|_| drop(planner.next(only(&[(2, 2)]))));
    assert_eq!(layers(&planner.next(only(&[(0, 2)]))), [(0, 1)]);
}
