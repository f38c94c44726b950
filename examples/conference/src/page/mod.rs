//! One page with everything: no file, script or font from elsewhere.

mod timeline;

use std::time::Duration;

use layercast::Time;
use layercast::structure::LayerId;
use layercast_examples::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::image::{data_uri, noise_uri};
use crate::outcome::{Moment, Outcome, Seen, StreamOutcome, View};
use crate::summary::{self, Row};
use timeline::Axis;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("page.js");

/// Fields that the relay reads, and what for.
const KNOWN: [(&str, &str); 9] = [
    ("RTP header", "SSRC, sequence number, time of capture, payload type, end of a picture"),
    (
        "Dependency Descriptor",
        "frame number, spatial and temporal layer, which frames a frame refers to, chains",
    ),
    ("Structure of a stream", "its decode targets, and the sizes of its layers"),
    ("Sizes and times", "of each packet, and so the bitrate of each layer"),
    ("Transport-wide feedback", "which packets arrived, and when: the estimate of each path"),
    ("NACK, PLI, LRR", "which packets are missing, which layers are to be coded anew"),
    ("Sender and receiver reports", "round trips, losses, jitter"),
    ("Windows", "which stream each participant shows, how large, and how important it is"),
    ("Processors", "how long decoding takes, if a participant tells it"),
];

/// What it does not know.
const UNKNOWN: [&str; 5] = [
    "pictures: it holds no key, and no decoder is linked into it",
    "keys: MLS messages go through the app's service, sealed to the members",
    "names: to the relay participants are numbers",
    "quantizers, motion, textures: they are inside the sealed frames",
    "who looks at the display, and whether anybody does",
];

/// The page.
pub fn page(outcome: &Outcome) -> Result<String> {
    let failures = outcome.failures();
    let axis = Axis::new(outcome);
    let moments: Vec<Markup> = outcome.moments.iter().map(|it| moment(outcome, it)).collect::<Result<_>>()?;
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "A call over a relay without keys" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "A call over a relay without keys" }
                    p { (lead(outcome)) }
                    (verdict(outcome, &failures))
                }
                main {
                    section { h2 { "What became of it" } (table(outcome)) }
                    section { h2 { "The same moment on each display" }
                        p { "All pictures are drawn equally wide, to be compared. A click on one enlarges it: then it shows how much detail it has." }
                        @for moment in moments { (moment) } }
                    section { h2 { "What each saw, and why" } (timeline::legend()) (axis.script(outcome)) @for (at, _) in outcome.people.iter().enumerate().filter(|(_, person)| !person.windows.is_empty()) { (axis.person(outcome, at)) } }
                    section { h2 { "What the senders did not code" } (demand(outcome, &axis)) }
                    section { h2 { "What could be read of all that reached the relay" } (taps(outcome)) }
                    section { h2 { "What the relay knew" } (relay(outcome)) }
                }
                footer { p { "Written by " code { "make demo" } ", the example " code { "conference" } " of layercast. " (time_note(outcome)) } }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

fn time_note(outcome: &Outcome) -> String {
    match outcome.behind {
        Some(behind) => format!(
            "Time was that of the machine, which was behind it by {} ms at most.",
            behind.as_millis()
        ),
        None => "Time was virtual: links take as long as they are told to, coding takes no time, and decoding takes \
                 time on the phone alone."
            .into(),
    }
}

fn lead(outcome: &Outcome) -> String {
    let observers = outcome.people.iter().filter(|person| person.observer).count();
    format!(
        "{} members and {observers} observer, {} streams, {} seconds. The senders code with layercast's encoder under \
         rate control and seal each layer with keys agreed by MLS. The relay has no key: it drops layers for each \
         receiver by what packets say on their outside.",
        outcome.people.len() - observers,
        outcome.streams.len(),
        outcome.duration.as_secs(),
    )
}

fn verdict(outcome: &Outcome, failures: &[String]) -> Markup {
    let shown: usize =
        outcome.people.iter().flat_map(|person| &person.windows).map(|it| it.shown.len()).sum();
    let wrong: u64 = outcome.people.iter().flat_map(|person| &person.windows).map(|it| it.wrong).sum();
    html! {
        ul.verdict {
            li.(if wrong == 0 { "good" } else { "bad" }) {
                @match wrong {
                    0 => { "All " (summary::grouped(shown as u64)) " pictures that were shown are the encoder's, sample for sample" }
                    _ => { (wrong) " of " (summary::grouped(shown as u64)) " pictures that were shown are not the encoder's" }
                }
            }
            @if failures.is_empty() {
                @for person in outcome.people.iter().filter(|person| person.removed.is_some()) {
                    li.good { (person.name) " was removed and could read nothing that was captured after the senders had new keys" }
                }
                @for person in outcome.people.iter().filter(|person| person.observer) {
                    li.good { (person.name) " could read the base layers alone" }
                }
                li.good { "Nobody's picture froze for longer than the script explains" }
            }
            @for failure in failures { li.bad { (failure) } }
        }
    }
}

fn table(outcome: &Outcome) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for heading in summary::HEADINGS { th { (heading) } } } }
                tbody {
                    @for Row { name, cells } in summary::rows(outcome) {
                        tr { th scope="row" { (name) } @for cell in cells { td { (cell) } } }
                    }
                }
            }
        }
    }
}

fn moment(outcome: &Outcome, moment: &Moment) -> Result<Markup> {
    let mut figures = Vec::new();
    for View { title, caption, seen } in &moment.views {
        let (data, size, class) = match seen {
            Seen::Picture(picture) => (data_uri(picture)?, picture.size(), "seen"),
            Seen::Ciphertext(size, bytes) => (noise_uri(*size, bytes)?, *size, "noise"),
        };
        figures.push(html! {
            figure {
                img.(class) src=(data) alt={ (title) ": " (caption) } width=(size.width) height=(size.height) loading="lazy";
                figcaption { b { (title) } " " (caption) }
            }
        });
    }
    let stream = &outcome.streams[moment.stream];
    Ok(html! {
        h3 { (seconds(moment.at)) ": " (stream.name) }
        div.pictures { @for figure in figures { (figure) } }
    })
}

fn demand(outcome: &Outcome, axis: &Axis) -> Markup {
    let saved = |stream: &StreamOutcome| {
        let sent = &stream.sent;
        let bytes = sent.all_bytes.map_or("-".into(), |all| share(sent.bytes, all));
        (bytes, share(sent.samples, sent.all_samples))
    };
    let kilobytes = |bytes: u64| summary::grouped(bytes / 1000);
    html! {
        p { "A sender codes the layers that somebody watches, and no others. Beside it stands a sender that was given the \
             same pictures and the same bitrate, and coded all layers always. A layer is coded for some seconds after the last \
             viewer has left it, in case somebody comes back"
             @if outcome.behind.is_some() { "; in real time the machine has no time for it" } "." }
        div.scroll {
            table.numbers {
                thead { tr { th { "stream" } th { "kB sent" } th { "kB of all layers" } th { "sent" } th { "samples coded" } th { "key pictures" } } }
                tbody {
                    @for stream in &outcome.streams {
                        @let (bytes, samples) = saved(stream);
                        tr { th scope="row" { (stream.name) } td { (kilobytes(stream.sent.bytes)) } td { (stream.sent.all_bytes.map_or("-".into(), kilobytes)) } td { (bytes) } td { (samples) } td { (stream.sent.key_pictures) } }
                    }
                }
            }
        }
        div.card { h3 { "Layers that were wanted" } @for stream in &outcome.streams { (axis.wanted(stream)) } (axis.ticks()) }
    }
}

fn share(part: u64, whole: u64) -> String {
    format!("{:.0} %", part as f64 * 100.0 / whole.max(1) as f64)
}

fn taps(outcome: &Outcome) -> Markup {
    html! {
        p { "Each of them was given a copy of every packet that came to the relay, as a relay could do that helps them, and \
             tried to open it with the keys that it had." }
        div.scroll {
            table {
                thead { tr { th { "who" } th { "stream" } th { "pictures opened: S0 only" } th { "S0 and S1" } th { "S0, S1 and S2" } th { "the last one was captured" } } }
                tbody {
                    @for tap in &outcome.taps {
                        @let person = &outcome.people[tap.person];
                        tr {
                            th scope="row" { (person.name) }
                            td { (outcome.streams[tap.stream].name) }
                            @for opened in tap.opened { td { (summary::grouped(opened)) } }
                            td {
                                @match (tap.last, person.removed) {
                                    (Some(last), Some(removed)) if last >= removed => { ((last - removed).as_millis()) " ms after the removal, before the sender had new keys" }
                                    (Some(last), Some(removed)) => { ((removed - last).as_millis()) " ms before the removal" }
                                    (Some(last), None) => { "at " (seconds(last)) }
                                    _ => { "never" }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn relay(outcome: &Outcome) -> Markup {
    let relay = &outcome.relay;
    let mega = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    html! {
        p {
            (summary::grouped(relay.packets_in)) " packets came in (" (mega(relay.bytes_in)) "), " (summary::grouped(relay.packets_out))
            " went out (" (mega(relay.bytes_out)) "). " (summary::grouped(relay.dropped)) " times it dropped a packet that a receiver \
            had no use for. It asked senders for " (relay.refreshes) " refreshes, " (relay.key_refreshes) " of them key pictures. The "
            (mega(relay.payload_bytes)) " of payload have " (format!("{:.4}", relay.entropy)) " bits of information a byte by how often each value comes: to the relay they are noise."
        }
        div.scroll { table.known { thead { tr { th { "it reads" } th { "which tells" } } } tbody { @for (field, tells) in KNOWN { tr { th scope="row" { (field) } td { (tells) } } } } } }
        h3 { "It does not know" }
        ul { @for unknown in UNKNOWN { li { (unknown) } } }
    }
}

/// A time of the call.
fn seconds(time: Time) -> String {
    format!("{:.1} s", time.since_start().as_secs_f64())
}

fn milliseconds(duration: Duration) -> String {
    format!("{} ms", duration.as_millis())
}

/// A layer by its size and its frame rate.
fn layer(stream: &StreamOutcome, layer: LayerId) -> String {
    let structure = stream.mode.structure();
    let size = structure.layer_size(stream.size, layer.spatial_id);
    let shift = structure.temporal_layers.saturating_sub(1 + layer.temporal_id);
    format!("{layer} {size} {:.1}/s", f64::from(stream.fps) / f64::from(1_u32 << shift))
}
