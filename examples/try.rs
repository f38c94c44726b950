use layercast::{encoder::*, picture::*, structure::*};
use std::io::Write;
fn cpu() -> f64 {
    std::fs::read_dir("/proc/self/task").unwrap().map(|d| std::fs::read_to_string(d.unwrap().path().join("schedstat")).unwrap().split(' ').next().unwrap().parse::<f64>().unwrap()).sum::<f64>() * 1e-9
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let mut d = y4m::decode(std::fs::File::open(&a[1]).unwrap()).unwrap();
    let (w, h) = (d.get_width(), d.get_height());
    let mode: ScalabilityMode = a[3].parse().unwrap();
    let mut c = SvcConfig::new(w, h, mode);
    c.quantizer = a[4].parse().unwrap();
    let limit: usize = a.get(5).map_or(60, |s| s.parse().unwrap());
    let mut e = SvcEncoder::new(c).unwrap();
    let mut out = std::fs::File::create(&a[2]).unwrap();
    let mut rec = std::fs::File::create(format!("{}.rec.yuv", a[2])).unwrap();
    let top = mode.structure().spatial_layers - 1;
    let (mut n, mut bytes, mut time) = (0, 0, 0.0);
    let mut mse = 0.0; let (mut lb, mut tb, mut kb) = ([0usize; 3], [0usize; 3], 0); let mut lq: [layercast::quality::Quality; 3] = Default::default();
    while let Ok(f) = d.read_frame() {
        if n == limit { break; }
        let v = PictureView::new(w, h, [f.get_y_plane(), f.get_u_plane(), f.get_v_plane()], [w, w.div_ceil(2), w.div_ceil(2)]).unwrap();
        let t = cpu();
        let u = e.encode(&v, n as i64, EncodeOptions::default()).unwrap();
        time += cpu() - t;
        let b = u.to_bytes();
        bytes += b.len();
        out.write_all(&b).unwrap();
        let r = e.reconstruction(top).unwrap();
        for p in 0..3 { rec.write_all(r.plane(p)).unwrap(); }
        for f in &u.frames { let s = usize::from(f.plan.layer.spatial_id); lb[s] += f.data.len(); kb += if u.key { f.data.len() } else { 0 }; tb[usize::from(f.plan.layer.temporal_id)] += f.data.len(); }
        for s in 0..=top { if let Some(b) = e.reconstruction(s) { lq[usize::from(s)].add(e.source(s).map_or(v, |a| a.view()), b.view()).unwrap(); } }
        mse += r.plane(0).iter().zip(f.get_y_plane()).map(|(a, b)| { let d = f64::from(*a) - f64::from(*b); d * d }).sum::<f64>() / (w * h) as f64;
        n += 1;
    }
    println!("{n} frames {:.1} kbps {:.3} dB {:.6} ssim {:.1} fps", bytes as f64 * 8.0 * 30.0 / n as f64 / 1000.0, 10.0 * (255.0 * 255.0 / (mse / n as f64)).log10(), lq[usize::from(top)].y_ssim(), n as f64 / time);
    if std::env::var_os("V").is_some() { for s in 0..=usize::from(top) { println!("  S{s} {:.1} kbps {:.3} dB {:.5}", lb[s] as f64 * 0.24 / n as f64, lq[s].y_psnr(), lq[s].y_ssim()); } println!("  T {:?} key {kb}", tb.map(|b| b as f64 * 0.24 / n as f64)); }
}
