//! stress
use layercast::{bitstream::*, decoder::*, encoder::*, scene::Scene, structure::*};
fn main() {
    let mut seed: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    let n: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let mut rnd = move |m: u64| { seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); (seed >> 33) % m };
    let modes: Vec<_> = ScalabilityMode::all().collect();
    for i in 0..n {
        let (w, h) = (16 + rnd(300) as usize, 16 + rnd(200) as usize);
        let mode = modes[rnd(25) as usize];
        let q = 1 + rnd(255) as u8;
        let tiles = rnd(2) as u8;
        println!("{i} {mode} {w}x{h} q{q} t{tiles}");
        let mut e = SvcEncoder::new(SvcConfig { quantizer: q, tile_columns_log2: tiles, ..SvcConfig::new(w, h, mode) }).unwrap();
        let scene = Scene::new(w, h);
        let s = mode.structure();
        let targets: Vec<_> = s.decode_targets().collect();
        let mut dec: Vec<_> = targets.iter().map(|t| (*t, Extractor::new(Layer { spatial_id: t.spatial_id, temporal_id: t.temporal_id }), Decoder::new(DecoderConfig::default()).unwrap())).collect();
        let shift = rnd(50);
        for p in 0..6 {
            let pic = scene.picture((p + shift) * (1 + rnd(9)));
            let u = e.encode(&pic.view(), p as i64, EncodeOptions { key: rnd(12) == 0, wanted: None }).unwrap();
            for (t, x, d) in &mut dec {
                let Some(b) = x.temporal_unit(&u.to_bytes()).unwrap() else { continue };
                let out = d.decode(&b, p as i64).unwrap();
                let last = out.last().unwrap();
                let want = e.reconstruction(last.spatial_id).unwrap();
                assert!(last.picture == want, "{t} picture {p} differs");
                let _ = t;
            }
        }
    }
}
