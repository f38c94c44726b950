//! Sequence and frame headers of the encoder's streams.

use bytes::Bytes;

use super::config::SvcConfig;
use super::layer::CodedFrame;
use crate::bitstream::{
    self, BitstreamError, CdefStrength, ColorDescription, FrameHeader, FrameType, OperatingPoint,
    PRIMARY_REF_NONE, RefSlots, SELECT_SCREEN_CONTENT_TOOLS, SequenceHeader,
};
use crate::picture::Colours;
use crate::structure::{FrameKind, FramePlan};

/// The sequence header that all layers share, with the size of the highest one; and its OBU.
pub(super) fn sequence(config: &SvcConfig) -> Result<(SequenceHeader, Bytes), BitstreamError> {
    let mut sequence = SequenceHeader::new(config.size.width, config.size.height);
    sequence.enable_intra_edge_filter = true;
    sequence.enable_cdef = true;
    sequence.seq_force_screen_content_tools = SELECT_SCREEN_CONTENT_TOOLS;
    let template = sequence.operating_points[0];
    let idcs = config.mode.structure().operating_points();
    sequence.operating_points = idcs.into_iter().map(|idc| OperatingPoint { idc, ..template }).collect();
    let Colours { primaries, transfer, matrix, full_range } = config.colours;
    let description = ColorDescription {
        color_primaries: primaries,
        transfer_characteristics: transfer,
        matrix_coefficients: matrix,
    };
    sequence.color_config.color_description =
        (description != ColorDescription::UNSPECIFIED).then_some(description);
    sequence.color_config.color_range = full_range;
    let mut obu = Vec::new();
    bitstream::write_sequence_obu(&mut obu, &sequence)?;
    Ok((sequence, obu.into()))
}

/// Appends a frame OBU to `out` and updates `slots` with it.
pub(super) fn write_frame(
    out: &mut Vec<u8>,
    sequence: &SequenceHeader,
    slots: &mut RefSlots,
    plan: &FramePlan,
    picture_number: u64,
    coded: &CodedFrame,
) -> Result<(), BitstreamError> {
    let mut header = FrameHeader::inter(sequence);
    match plan.kind {
        FrameKind::Key => header = FrameHeader::key(sequence),
        FrameKind::IntraOnly => header.frame_type = FrameType::IntraOnly,
        FrameKind::Inter => header.ref_frame_idx = plan.ref_slots,
    }
    header.allow_screen_content_tools = coded.screen;
    header.allow_intrabc = coded.copies;
    header.refresh_frame_flags = plan.refresh_frame_flags;
    header.primary_ref_frame = plan.primary_ref.map_or(PRIMARY_REF_NONE, |i| i as u8);
    header.order_hint = (picture_number & ((1 << sequence.order_hint_bits) - 1)) as u32;
    let (width, height) = coded.reference.size;
    header.set_frame_size(sequence, width as u32, height as u32);
    if plan.kind == FrameKind::Inter && header.frame_size_override_flag {
        header.found_ref = (0..7u8).find(|&i| {
            slots.get(plan.ref_slots[usize::from(i)]).is_ok_and(|slot| {
                (slot.upscaled_width, slot.frame_height) == (header.upscaled_width, header.frame_height)
            })
        });
    }
    header.tile_info.tile_cols_log2 = coded.tiling.tile_cols_log2 as u8;
    header.tile_info.tile_rows_log2 = coded.tiling.tile_rows_log2 as u8;
    header.tile_info.context_update_tile_id = coded.context_update_tile_id as u16;
    header.tile_info.tile_size_bytes = bitstream::tile_size_bytes(&coded.tiles);
    header.quantization.base_q_idx = coded.q.qindex;
    header.loop_filter_level = coded.levels;
    header.loop_filter_delta_enabled = false;
    header.cdef_damping = coded.cdef.damping;
    let secondary = |strength: u8| [0, 1, 2, 4][usize::from(strength % 4)];
    header.cdef_bits = coded.cdef.second.is_some().into();
    for (to, luma) in header.cdef_strengths.iter_mut().zip([Some(coded.cdef.luma), coded.cdef.second]) {
        let (luma, chroma) = (luma.unwrap_or(0), coded.cdef.chroma);
        *to = CdefStrength {
            y_pri: luma / 4,
            y_sec: secondary(luma),
            uv_pri: chroma / 4,
            uv_sec: secondary(chroma),
        };
    }
    let tile_group = bitstream::tile_group(&coded.tiles, header.tile_info.tile_size_bytes)?;
    // A stream of one layer needs no extension headers.
    let layered = sequence.operating_points[0].idc != 0;
    let extension = layered.then_some(plan.layer);
    bitstream::write_frame_obu(out, extension, sequence, &header, slots, &tile_group)?;
    slots.update(sequence, &header);
    Ok(())
}
