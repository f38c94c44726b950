//! The pseudo code of sections 5.9.22 and 7.8, as it stands there.

use crate::bitstream::*;

pub(super) fn set_frame_refs(
    sequence: &SequenceHeader,
    slots: &RefSlots,
    order_hint: u32,
    last: u8,
    gold: u8,
) -> Option<[u8; 7]> {
    if sequence.order_hint_bits == 0 {
        return None;
    }
    let cur = 1 << (sequence.order_hint_bits - 1);
    let shifted = slots.order_hints().map(|hint| cur + sequence.relative_dist(hint, order_hint));
    if shifted[usize::from(last)] >= cur || shifted[usize::from(gold)] >= cur {
        return None;
    }
    let mut refs = [-1i32; 7];
    refs[0] = last.into();
    refs[3] = gold.into();
    let mut used = [false; 8];
    used[usize::from(last)] = true;
    used[usize::from(gold)] = true;
    let find = |used: &[bool; 8], backward: bool, latest: bool| {
        let (mut found, mut best) = (-1i32, 0);
        for i in 0..8 {
            let hint = shifted[i];
            let better = if latest { hint >= best } else { hint < best };
            if !used[i] && (hint >= cur) == backward && (found < 0 || better) {
                found = i as i32;
                best = hint;
            }
        }
        found
    };
    for (to, latest) in [(6, true), (4, false), (5, false)] {
        let found = find(&used, true, latest);
        if found >= 0 {
            refs[to] = found;
            used[found as usize] = true;
        }
    }
    for to in [1, 2, 4, 5, 6] {
        if refs[to] < 0 {
            let found = find(&used, false, true);
            if found >= 0 {
                refs[to] = found;
                used[found as usize] = true;
            }
        }
    }
    let (mut found, mut earliest) = (-1i32, 0);
    for (i, &hint) in shifted.iter().enumerate() {
        if found < 0 || hint < earliest {
            found = i as i32;
            earliest = hint;
        }
    }
    Some(refs.map(|r| if r < 0 { found } else { r } as u8))
}

pub(super) fn skip_mode(
    sequence: &SequenceHeader,
    slots: &RefSlots,
    header: &FrameHeader,
) -> Option<[usize; 2]> {
    if sequence.order_hint_bits == 0 {
        return None;
    }
    let (mut forward, mut backward, mut second) = (None, None, None);
    let (mut forward_hint, mut backward_hint, mut second_hint) = (0, 0, 0);
    let hint = |i: usize| slots.slots[usize::from(header.ref_frame_idx[i])].order_hint;
    for i in 0..7 {
        let dist = sequence.relative_dist(hint(i), header.order_hint);
        if dist < 0 {
            if forward.is_none() || sequence.relative_dist(hint(i), forward_hint) > 0 {
                (forward, forward_hint) = (Some(i), hint(i));
            }
        } else if dist > 0 && (backward.is_none() || sequence.relative_dist(hint(i), backward_hint) < 0) {
            (backward, backward_hint) = (Some(i), hint(i));
        }
    }
    let forward = forward?;
    if backward.is_none() {
        for i in 0..7 {
            if sequence.relative_dist(hint(i), forward_hint) < 0
                && (second.is_none() || sequence.relative_dist(hint(i), second_hint) > 0)
            {
                (second, second_hint) = (Some(i), hint(i));
            }
        }
    }
    let other = backward.or(second)?;
    Some([forward.min(other), forward.max(other)])
}
