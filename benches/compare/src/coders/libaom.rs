//! libaom's real-time mode, by the C interface that its crate binds.
//!
//! One layer is coded at constant quality with the settings that `aomenc --rt` has of itself. One layer at constant
//! bitrate, and three spatial by three temporal layers, are coded with the settings of libaom's own example for layers,
//! `examples/svc_encoder_rtc.cc`: at constant bitrate, with adaptive quantization (3), or at a constant quantizer, which
//! is the least and the most that each layer may have. The references are those that libaom has for these
//! layers of itself (the example's mode -1; the slots are those of its mode 9): with the example's mode 8 set by
//! `AV1E_SET_SVC_REF_FRAME_CONFIG` it was slower and needed more bits.

#![allow(unsafe_code)] // Its functions are those of C.

use std::ffi::{CStr, c_int, c_uint, c_void};
use std::mem::MaybeUninit;
use std::ops::RangeInclusive;
use std::ptr;

use bytes::Bytes;
use layercast::Size;
use layercast::encoder::LayerBitrates;
use layercast::picture::Picture;
use layercast::structure::LayerId;
use libaom_sys as aom;

use super::Coder;
use super::clip::Clip;
use layercast_examples::Result;

const SPATIAL_LAYERS: usize = 3;
const TEMPORAL_LAYERS: usize = 3;

/// Share of the bitrate of each spatial layer, in ninths.
const SPATIAL_SHARES: [u32; SPATIAL_LAYERS] = [1, 2, 6];
/// Of it, the percentage that each temporal layer has together with those below it.
const TEMPORAL_SHARES: [u32; TEMPORAL_LAYERS] = [50, 70, 100];

/// The largest quantizer that the example has, of 0 to 63.
pub const EXAMPLE_LARGEST: u8 = 52;

/// More 1000 bits a second than any constant quantizer needs, so that the bitrate decides nothing.
const UNBOUND: u32 = 50_000;

/// Temporal layer by place among four pictures.
const TEMPORAL_IDS: [u8; 4] = [0, 2, 1, 2];

/// libaom at work.
pub struct Libaom {
    context: Box<aom::aom_codec_ctx_t>,
    layered: bool,
    picture: usize,
}

/// libaom's version, as 3.11.0.
pub fn version() -> String {
    // SAFETY: the function gives a string that ends in zero and lasts as long as the program.
    let version = unsafe { CStr::from_ptr(aom::aom_codec_version_str()) };
    version.to_string_lossy().trim_start_matches('v').to_owned()
}

/// What each spatial layer has of an L3T3 of so many 1000 bits a second, in the same unit.
fn spatial_rates(kbps: u32) -> [u32; SPATIAL_LAYERS] {
    SPATIAL_SHARES.map(|share| kbps * share / SPATIAL_SHARES.iter().sum::<u32>())
}

/// What each layer has of an L3T3 of so many 1000 bits a second.
pub fn l3t3_bitrates(kbps: u32) -> LayerBitrates {
    let mut bitrates = LayerBitrates::default();
    for (spatial_id, rate) in (0..).zip(spatial_rates(kbps)) {
        let mut below = 0;
        for (temporal_id, share) in (0..).zip(TEMPORAL_SHARES) {
            let up_to_this = u64::from(rate * share / 100) * 1000;
            bitrates.set(LayerId::new(spatial_id, temporal_id), up_to_this - below);
            below = up_to_this;
        }
    }
    bitrates
}

impl Libaom {
    /// One layer at constant quality, `level` being 0 (best) to 63.
    pub fn constant_quality(clip: &Clip, speed: u8, level: u8) -> Result<Self> {
        let mut config = default_config(clip)?;
        config.rc_end_usage = aom::AOM_Q;
        let mut coder = Self::start(&config, speed, false)?;
        coder.control(aom::AOME_SET_CQ_LEVEL, c_int::from(level))?;
        Ok(coder)
    }

    /// One layer at so many 1000 bits a second, with quantizers up to `largest` of 63.
    pub fn constant_bitrate(clip: &Clip, speed: u8, kbps: u32, largest: u8) -> Result<Self> {
        Self::real_time(clip, speed, kbps, 2..=c_uint::from(largest), false).map(|(coder, _)| coder)
    }

    /// L3T3 at so many 1000 bits a second, with quantizers up to `largest` of 63.
    pub fn l3t3(clip: &Clip, speed: u8, kbps: u32, largest: u8) -> Result<Self> {
        Self::layered(clip, speed, kbps, 2..=c_uint::from(largest))
    }

    /// L3T3 with a quantizer of 0 (best) to 63 for all layers.
    pub fn l3t3_constant(clip: &Clip, speed: u8, quantizer: u8) -> Result<Self> {
        let quantizer = c_uint::from(quantizer);
        Self::layered(clip, speed, UNBOUND, quantizer..=quantizer)
    }

    /// With the settings of the example.
    fn real_time(
        clip: &Clip,
        speed: u8,
        kbps: u32,
        quantizers: RangeInclusive<c_uint>,
        layered: bool,
    ) -> Result<(Self, aom::aom_codec_enc_cfg_t)> {
        let constant = quantizers.start() == quantizers.end();
        let mut config = default_config(clip)?;
        config.rc_end_usage = aom::AOM_CBR;
        config.rc_min_quantizer = *quantizers.start();
        config.rc_max_quantizer = *quantizers.end();
        config.rc_undershoot_pct = 50;
        config.rc_overshoot_pct = 50;
        config.rc_buf_initial_sz = 600;
        config.rc_buf_optimal_sz = 600;
        config.rc_buf_sz = 1000;
        config.rc_target_bitrate = kbps;
        let mut coder = Self::start(&config, speed, layered)?;
        for (control, value) in [
            (aom::AV1E_SET_AQ_MODE, if constant { 0 } else { 3 }),
            (aom::AV1E_SET_GF_CBR_BOOST_PCT, 0),
            (aom::AV1E_SET_ENABLE_CDEF, 1),
            (aom::AV1E_SET_LOOPFILTER_CONTROL, 1),
            (aom::AV1E_SET_ENABLE_WARPED_MOTION, 0),
            (aom::AV1E_SET_ENABLE_OBMC, 0),
            (aom::AV1E_SET_ENABLE_GLOBAL_MOTION, 0),
            (aom::AV1E_SET_ENABLE_ORDER_HINT, 0),
            (aom::AV1E_SET_ENABLE_TPL_MODEL, 0),
            (aom::AV1E_SET_DELTAQ_MODE, 0),
            (aom::AV1E_SET_COEFF_COST_UPD_FREQ, 3),
            (aom::AV1E_SET_MODE_COST_UPD_FREQ, 3),
            (aom::AV1E_SET_MV_COST_UPD_FREQ, 3),
            (aom::AV1E_SET_DV_COST_UPD_FREQ, 3),
            (aom::AV1E_SET_CDF_UPDATE_MODE, 1),
            (aom::AV1E_SET_ENABLE_CFL_INTRA, 0),
            (aom::AV1E_SET_ENABLE_SMOOTH_INTRA, 0),
            (aom::AV1E_SET_ENABLE_ANGLE_DELTA, 0),
            (aom::AV1E_SET_ENABLE_FILTER_INTRA, 0),
            (aom::AV1E_SET_INTRA_DEFAULT_TX_ONLY, 1),
            (aom::AOME_SET_MAX_INTRA_BITRATE_PCT, 300),
        ] {
            coder.control(control, value)?;
        }
        Ok((coder, config))
    }

    fn layered(clip: &Clip, speed: u8, kbps: u32, quantizers: RangeInclusive<c_uint>) -> Result<Self> {
        let rates = spatial_rates(kbps);
        let (mut coder, config) = Self::real_time(clip, speed, rates.iter().sum(), quantizers, true)?;
        let mut params = aom::aom_svc_params_t {
            number_spatial_layers: SPATIAL_LAYERS as c_int,
            number_temporal_layers: TEMPORAL_LAYERS as c_int,
            max_quantizers: [config.rc_max_quantizer as c_int; 32],
            min_quantizers: [config.rc_min_quantizer as c_int; 32],
            scaling_factor_num: [1; 4],
            scaling_factor_den: [4, 2, 1, 1],
            layer_target_bitrate: [0; 32],
            framerate_factor: [4, 2, 1, 0, 0, 0, 0, 0],
        };
        let targets = rates.iter().flat_map(|rate| TEMPORAL_SHARES.map(|share| rate * share / 100));
        for (target, rate) in params.layer_target_bitrate.iter_mut().zip(targets) {
            *target = rate as c_int;
        }
        coder.control_by(aom::AV1E_SET_SVC_PARAMS, &mut params)?;
        Ok(coder)
    }

    fn start(config: &aom::aom_codec_enc_cfg_t, speed: u8, layered: bool) -> Result<Self> {
        let mut context = Box::new(MaybeUninit::zeroed());
        // SAFETY: all three pointers are valid for the call, which copies what it keeps of the configuration, and
        // which fills the context. Zeros are a value of a context: its fields are numbers and pointers.
        let (error, context) = unsafe {
            let error = aom::aom_codec_enc_init_ver(
                context.as_mut_ptr(),
                aom::aom_codec_av1_cx(),
                config,
                0,
                aom::AOM_ENCODER_ABI_VERSION as c_int,
            );
            (error, context.assume_init())
        };
        // A context that did not start must not be destroyed, so it is not in a `Libaom` yet.
        told("aom_codec_enc_init", error)?;
        let mut coder = Self { context, layered, picture: 0 };
        coder.control(aom::AOME_SET_CPUUSED, c_int::from(speed))?;
        Ok(coder)
    }

    /// A control that takes a number.
    fn control(&mut self, control: aom::aome_enc_control_id, value: c_int) -> Result<()> {
        // SAFETY: the context is a running encoder's; the controls used here read one number.
        let error = unsafe { aom::aom_codec_control(&mut *self.context, control as c_int, value) };
        told(&format!("control {control}"), error)
    }

    /// A control that takes a pointer to a structure, which it copies.
    fn control_by<T>(&mut self, control: aom::aome_enc_control_id, value: &mut T) -> Result<()> {
        // SAFETY: the context is a running encoder's; each caller gives the structure that aomcx.h names for the
        // control.
        let error =
            unsafe { aom::aom_codec_control(&mut *self.context, control as c_int, ptr::from_mut(value)) };
        told(&format!("control {control}"), error)
    }

    /// Says which layer the next frame is of.
    fn set_layer(&mut self, layer: LayerId) -> Result<()> {
        let mut layer = aom::aom_svc_layer_id_t {
            spatial_layer_id: layer.spatial_id.into(),
            temporal_layer_id: layer.temporal_id.into(),
        };
        self.control_by(aom::AV1E_SET_SVC_LAYER_ID, &mut layer)
    }

    /// Codes a picture: the bytes of each layer frame, lowest spatial layer first.
    pub fn code_layers(&mut self, picture: &Picture) -> Result<Vec<(LayerId, Vec<u8>)>> {
        let mut frames = Vec::new();
        for spatial_id in 0..if self.layered { SPATIAL_LAYERS } else { 1 } {
            let mut layer = LayerId::new(0, 0);
            if self.layered {
                layer = LayerId::new(spatial_id as u8, TEMPORAL_IDS[self.picture % TEMPORAL_IDS.len()]);
                self.set_layer(layer)?;
            }
            let mut data = Vec::new();
            self.frame(picture, &mut data)?;
            frames.push((layer, data));
        }
        self.picture += 1;
        Ok(frames)
    }

    /// Codes one layer frame and appends its bytes.
    fn frame(&mut self, picture: &Picture, out: &mut Vec<u8>) -> Result<()> {
        let Size { width, height } = picture.size();
        let mut image = MaybeUninit::<aom::aom_image_t>::zeroed();
        // SAFETY: the image lives through this function, as do the planes, which the encoder copies and does not
        // write to. Each plane has the rows of 4:2:0 at the stride given. Zeros are a value of an image.
        let error = unsafe {
            let luma = picture.plane(0).as_ptr().cast_mut();
            let image = image.as_mut_ptr();
            if aom::aom_img_wrap(image, aom::AOM_IMG_FMT_I420, width, height, 1, luma).is_null() {
                return Err("libaom does not take a picture of this size".into());
            }
            for (p, view) in picture.planes().iter().enumerate() {
                (*image).planes[p] = picture.plane(p).as_ptr().cast_mut();
                (*image).stride[p] = view.width() as c_int;
            }
            aom::aom_codec_encode(&mut *self.context, image, self.picture as i64, 1, 0)
        };
        told("aom_codec_encode", error)?;
        let mut iterator: *const c_void = ptr::null();
        loop {
            // SAFETY: the context is a running encoder's, and the iterator began as null.
            let Some(packet) =
                (unsafe { aom::aom_codec_get_cx_data(&mut *self.context, &mut iterator).as_ref() })
            else {
                return Ok(());
            };
            if packet.kind == aom::AOM_CODEC_CX_FRAME_PKT {
                // SAFETY: a packet of this kind is a frame, whose bytes are valid until the next call.
                let data = unsafe {
                    let frame = packet.data.frame;
                    std::slice::from_raw_parts(frame.buf.cast::<u8>(), frame.sz)
                };
                out.extend_from_slice(data);
            }
        }
    }
}

impl Coder for Libaom {
    fn code(&mut self, picture: &Picture, units: &mut Vec<Bytes>) -> Result<()> {
        let frames = self.code_layers(picture)?;
        units.push(frames.into_iter().flat_map(|(_, data)| data).collect());
        Ok(())
    }
}

impl Drop for Libaom {
    fn drop(&mut self) {
        // SAFETY: the context is a running encoder's and is not used again. The call fails for no such context.
        unsafe { aom::aom_codec_destroy(&mut *self.context) };
    }
}

/// Real-time, one thread, nothing held back, one key picture.
fn default_config(clip: &Clip) -> Result<aom::aom_codec_enc_cfg_t> {
    let mut config = MaybeUninit::zeroed();
    // SAFETY: the call fills the configuration, for which zeros are a value too: its fields are numbers and pointers.
    let (error, mut config) = unsafe {
        let interface = aom::aom_codec_av1_cx();
        let error =
            aom::aom_codec_enc_config_default(interface, config.as_mut_ptr(), aom::AOM_USAGE_REALTIME);
        (error, config.assume_init())
    };
    told("aom_codec_enc_config_default", error)?;
    config.g_w = clip.size().width;
    config.g_h = clip.size().height;
    config.g_timebase = aom::aom_rational {
        num: c_int::try_from(clip.frame_rate.den)?,
        den: c_int::try_from(clip.frame_rate.num)?,
    };
    config.g_threads = 1;
    config.g_lag_in_frames = 0;
    config.kf_mode = aom::AOM_KF_DISABLED;
    Ok(config)
}

/// libaom's error as one of ours.
fn told(what: &str, error: aom::aom_codec_err_t) -> Result<()> {
    if error == aom::AOM_CODEC_OK {
        return Ok(());
    }
    // SAFETY: the function gives a string that ends in zero and lasts as long as the program, whatever the number.
    let text = unsafe { CStr::from_ptr(aom::aom_codec_err_to_string(error)) };
    Err(format!("libaom: {what}: {}", text.to_string_lossy()).into())
}
