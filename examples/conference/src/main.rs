//! A whole call in one process: cameras and a screen, keys, a relay, links, and receivers of all kinds.

mod call;
mod content;
mod everything;
mod image;
mod moments;
mod outcome;
mod page;
mod path;
mod person;
mod script;
mod stream;
mod summary;

use layercast_examples::Result;
fn main() -> Result<()> {
    let started = std::time::Instant::now();
    let call = call::Call::new(script::parse(script::BUILT_IN)?, Default::default());
    let outcome = call.run(|_| Ok(true))?;
    for failure in outcome.failures() { println!("FAIL {failure}"); }
    for p in &outcome.people {
        println!("{} {:?} delay {:?} {:?}", p.name, p.freezes().collect::<Vec<_>>(), p.delay(0.5), p.delay(0.95));
        for w in &p.windows { println!("  {} shown {} wrong {} decisions {}", w.stream, w.shown.len(), w.wrong, w.decisions.len());
          for d in &w.decisions { println!("     {:.1} {:?} {:?} {}", d.at.since_start().as_secs_f64(), d.target.map(|t|t.to_string()), d.reason, d.bitrate/1000); } }
    }
    println!("{:?}", outcome.taps);
    println!("{:?}", outcome.relay);
    for s in &outcome.streams { println!("{} {} {:?}", s.name, s.captured, s.sent); }
    summary::print(&outcome); std::fs::create_dir_all("target/demo")?; std::fs::write("target/demo/conference.html", page::page(&outcome))?;
    println!("{:?}", started.elapsed());
    Ok(())
}
