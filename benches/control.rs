//! What it costs to take NV12 in place of I420, and to code the highest or the lowest spatial layer alone.
//!
//! `LAYERCAST_Y4M=a.y4m:b.y4m cargo bench --bench control` takes these clips, and otherwise the built-in scene. Each is
//! played forth and back. All encoders take turns at every picture, and code the whole video several times: of the times
//! that a picture took, the shortest counts, since whatever else the machine does only adds to it.

use std::fs::File;
use std::io::BufReader;
use std::time::{Duration, Instant};

use layercast::Size;
use layercast::encoder::{EncodeOptions, SvcConfig, SvcEncoder};
use layercast::picture::{Picture, PictureView};
use layercast::quality::Quality;
use layercast::scene::Scene;
use layercast::structure::{DecodeTargets, LayerId, ScalabilityMode};

/// Pictures that each encoder codes, and how many times.
const PICTURES: usize = 300;
const ROUNDS: usize = 3;
const QUANTIZER: u8 = 100;

struct Candidate {
    name: &'static str,
    encoder: SvcEncoder,
    wanted: Option<DecodeTargets>,
    nv12: bool,
    times: Vec<Duration>,
    bytes: usize,
    quality: Quality,
}

impl Candidate {
    fn new(
        name: &'static str,
        size: Size,
        mode: ScalabilityMode,
        wanted: Option<LayerId>,
        nv12: bool,
    ) -> Self {
        let wanted = wanted.map(|target| DecodeTargets::only(&[target]));
        let (encoder, quality) = (Self::encoder(size, mode), Quality::default());
        Self { name, encoder, wanted, nv12, times: vec![Duration::MAX; PICTURES], bytes: 0, quality }
    }

    fn encoder(size: Size, mode: ScalabilityMode) -> SvcEncoder {
        let mut config = SvcConfig::new(size, mode);
        config.quantizer = QUANTIZER;
        config.threads = 1;
        SvcEncoder::new(config).expect("a configuration that the encoder takes")
    }

    /// Codes the same video again.
    fn restart(&mut self) {
        let config = self.encoder.config();
        self.encoder = Self::encoder(config.size, config.mode);
        (self.bytes, self.quality) = (0, Quality::default());
    }

    fn picture(&mut self, n: usize, picture: &Picture, [y, uv]: &[Vec<u8>; 2]) {
        let width = picture.size().width as usize;
        let view = match self.nv12 {
            true => {
                let strides = [width, 2 * width.div_ceil(2)];
                PictureView::nv12(picture.size(), [y, uv], strides).expect("planes of a picture")
            }
            false => picture.view(),
        };
        let options = EncodeOptions { wanted: self.wanted, ..EncodeOptions::default() };
        let start = Instant::now();
        let unit =
            self.encoder.encode(&view, Scene::time(n as u64), options).expect("a picture of the right size");
        self.times[n] = self.times[n].min(start.elapsed());
        self.bytes += unit.frames.iter().map(|frame| frame.data.len()).sum::<usize>();
        let highest = self.encoder.config().mode.structure().spatial_layers - 1;
        if unit.frames.iter().any(|frame| frame.plan.layer.spatial_id == highest) {
            let shown = self.encoder.reconstruction(highest).expect("a layer that was coded");
            self.quality.add(picture.view(), shown.view()).expect("pictures of one size");
        }
    }

    /// ms for each picture.
    fn time(&self) -> f64 {
        self.times.iter().sum::<Duration>().as_secs_f64() * 1e3 / PICTURES as f64
    }
}

fn measure(name: &str, pictures: &[Picture]) {
    let size = pictures[0].size();
    let (top, lowest) = (Some(LayerId::new(2, 2)), Some(LayerId::new(0, 2)));
    let new = |name, mode, wanted, nv12| Candidate::new(name, size, mode, wanted, nv12);
    let mut candidates = [
        new("L1T3", ScalabilityMode::L1T3, None, false),
        new("L1T3, NV12", ScalabilityMode::L1T3, None, true),
        new("L3T3", ScalabilityMode::L3T3, None, false),
        new("L3T3, NV12", ScalabilityMode::L3T3, None, true),
        new("L3T3, highest", ScalabilityMode::L3T3, top, false),
        new("L3T3, lowest", ScalabilityMode::L3T3, lowest, false),
    ];
    for round in 0..ROUNDS {
        candidates.iter_mut().filter(|_| round > 0).for_each(Candidate::restart);
        for n in 0..PICTURES {
            let period = 2 * (pictures.len() - 1).max(1);
            let picture = &pictures[(n % period).min(period - n % period)];
            let turns = picture.plane(1).iter().zip(picture.plane(2)).flat_map(|(u, v)| [*u, *v]);
            let nv12 = [picture.plane(0).to_vec(), turns.collect()];
            // Whoever comes after another finds the picture in the cache: they take turns at that too.
            for i in 0..candidates.len() {
                let candidate = (n + round + i) % candidates.len();
                candidates[candidate].picture(n, picture, &nv12);
            }
        }
    }
    println!("{name}, {size}, quantizer {QUANTIZER}, {PICTURES} pictures, one thread");
    for candidate in &candidates {
        let Candidate { name, bytes, quality, .. } = candidate;
        let shown = if quality.frames() > 0 { format!("{:6.2} dB", quality.y_psnr()) } else { String::new() };
        let kilobits = *bytes as f64 * 8e-3 / PICTURES as f64;
        println!("  {name:14} {:7.2} ms/picture {kilobits:9.1} kbit/picture {shown}", candidate.time());
    }
    let [l1t3, l1t3_nv12, l3t3, l3t3_nv12, highest, lowest] = candidates.each_ref().map(Candidate::time);
    let percent = |of: f64, to: f64| (of / to - 1.0) * 100.0;
    println!(
        "  NV12 {:+.1} % of L1T3's time, {:+.1} % of L3T3's; highest alone {:+.1} % of L1T3's time and {:+.1} % of its bits; \
         lowest alone {:.1} % of L3T3's time",
        percent(l1t3_nv12, l1t3),
        percent(l3t3_nv12, l3t3),
        percent(highest, l1t3),
        percent(candidates[4].bytes as f64, candidates[0].bytes as f64),
        lowest / l3t3 * 100.0,
    );
}

/// The pictures of a Y4M file of 8-bit 4:2:0.
fn clip(path: &str) -> Vec<Picture> {
    let file = BufReader::new(File::open(path).expect("a file that can be read"));
    let mut decoder = y4m::decode(file).expect("a Y4M file");
    let size = Size::new(decoder.get_width() as u32, decoder.get_height() as u32);
    let (width, half) = (size.width as usize, size.width.div_ceil(2) as usize);
    let mut pictures = vec![];
    while let Ok(frame) = decoder.read_frame() {
        let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()];
        let view = PictureView::new(size, planes, [width, half, half]).expect("planes of 4:2:0");
        pictures.push(view.to_picture());
    }
    pictures
}

fn main() {
    match std::env::var("LAYERCAST_Y4M") {
        Ok(paths) => paths.split(':').for_each(|path| {
            measure(path, &clip(path));
        }),
        Err(_) => {
            let scene = Scene::new(Size::new(640, 360));
            let pictures: Vec<_> = (0..60).map(|n| scene.picture(n)).collect();
            measure("the built-in scene", &pictures);
        }
    }
}
