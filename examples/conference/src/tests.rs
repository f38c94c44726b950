//! Short calls of small pictures, in virtual time.

use std::time::Duration;

use layercast::{Size, Time};

use crate::call::{Call, Options};
use crate::outcome::{Outcome, Shown};
use crate::page::page;
use crate::script;

/// Four people, two layers of 160x90 at most, and what each of them does.
fn hold(events: &str, end: f64) -> Outcome {
    let link = r#"{"kbps": 5000, "delay_ms": 10}"#;
    let join = |at: f64, who: &str, more: &str| {
        format!(
            r#"{{"at": {at}, "do": "join", "who": "{who}", "device": "any", "up": {link}, "down": {link}{more}}}"#
        )
    };
    let show = |at: f64, who: &str, width: u32| {
        format!(
            r#"{{"at": {at}, "do": "show", "who": "{who}", "windows": [{{"stream": "Cam", "width": {width}, "height": {width}}}]}}"#
        )
    };
    let mut lines = vec![
        join(0.0, "Cam", ""),
        r#"{"at": 0, "do": "publish", "who": "Cam", "stream": "Cam", "content": "camera", "width": 160, "height": 90, "mode": "L2T2", "fps": 15, "max_kbps": 400}"#.into(),
        join(0.0, "Wide", ""),
        join(0.0, "Small", r#", "taps": true"#),
        join(0.0, "Base", r#", "observer": true, "taps": true"#),
        show(0.1, "Wide", 160),
        show(0.1, "Small", 80),
        show(0.1, "Base", 160),
    ];
    lines.extend(events.lines().map(str::to_owned));
    lines.push(format!(r#"{{"at": {end}, "do": "end"}}"#));
    let lines = script::parse(&lines.join("\n")).unwrap();
    Call::new(lines, Options::default()).run(|_| Ok(true)).unwrap()
}

fn shown<'a>(outcome: &'a Outcome, who: &str) -> &'a [Shown] {
    let person = outcome.people.iter().find(|person| person.name == who).unwrap();
    person.windows.first().map_or(&[], |window| &window.shown)
}

#[test]
fn each_sees_what_fits_and_nobody_reads_without_a_key() {
    let events = r#"{"at": 2.4, "do": "look", "stream": "Cam"}
{"at": 2.5, "do": "remove", "who": "Small", "note": "Small < Wide"}"#;
    let outcome = hold(events, 4.0);
    assert_eq!(outcome.failures(), Vec::<String>::new());
    // Each layer at its size, at nearly all of the frame rate, soon after it was captured.
    let last = |who: &str| *shown(&outcome, who).last().unwrap();
    assert_eq!(last("Wide").size, Size::new(160, 90));
    assert_eq!(last("Small").size, Size::new(80, 45));
    assert!(shown(&outcome, "Base").iter().all(|shown| shown.size == Size::new(80, 45)));
    assert!(shown(&outcome, "Wide").len() > 45, "{}", shown(&outcome, "Wide").len());
    for shown in shown(&outcome, "Wide").iter().skip(10) {
        assert!(shown.at - shown.captured < Duration::from_millis(150), "{shown:?}");
    }
    // Whoever was removed heard all layers before, with a copy of all packets, and nothing captured later.
    let tap = |who: &str| outcome.taps.iter().find(|tap| outcome.people[tap.person].name == who).unwrap();
    let removed = Time::from_millis(2500);
    assert!(tap("Small").opened[1] > 10 && tap("Small").last.unwrap() <= removed, "{:?}", tap("Small"));
    assert!(tap("Base").opened[0] > 40 && tap("Base").opened[1] == 0, "{:?}", tap("Base"));
    assert!(shown(&outcome, "Small").iter().all(|shown| shown.at <= removed));
    // The page has all of it in itself.
    let page = page(&outcome).unwrap();
    assert!(page.contains("Small &lt; Wide") && page.matches("data:image/png").count() >= 5);
    for elsewhere in ["http:", "https:", "//", "@import", "url("] {
        let text = page.split("data:image/png;base64,").enumerate().map(|(at, part)| match at {
            0 => part,
            _ => part.split_once('"').map_or("", |(_, rest)| rest),
        });
        let script = include_str!("page/page.js");
        assert!(!text.collect::<String>().replace(script, "").contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn nobody_codes_what_nobody_shows() {
    let hide = |who: &str| format!(r#"{{"at": 1.5, "do": "show", "who": "{who}", "windows": []}}"#);
    let events = format!("{}\n{}\n{}", hide("Wide"), hide("Small"), hide("Base"));
    let outcome = hold(&events, 9.0);
    assert_eq!(outcome.failures(), Vec::<String>::new());
    let sent = &outcome.streams[0].sent;
    assert_eq!(sent.wanted.last().map(|(_, wanted)| *wanted), Some(None));
    // Layers linger for 4 s.
    assert!(sent.bytes * 10 < sent.all_bytes.unwrap() * 8, "{sent:?}");
    assert!(shown(&outcome, "Wide").len() > 10);
}

#[test]
fn a_freeze_is_a_failure_unless_the_script_explains_it() {
    let dead = |freeze: &str| {
        let dead = r#"{"kbps": 5000, "delay_ms": 10, "loss": 100}"#;
        let good = r#"{"kbps": 5000, "delay_ms": 10}"#;
        let events = format!(
            r#"{{"at": 1.5, "do": "link", "who": "Wide", "down": {dead}{freeze}}}
{{"at": 2.5, "do": "link", "who": "Wide", "down": {good}}}"#
        );
        hold(&events, 5.0)
    };
    let outcome = dead("");
    assert!(
        outcome.failures().iter().any(|it| it.starts_with("Wide saw Cam frozen")),
        "{:?}",
        outcome.failures()
    );
    assert!(outcome.failures().iter().all(|failure| failure.starts_with("Wide")), "{:?}", outcome.failures());
    assert_eq!(dead(r#", "freeze_ms": 3000"#).failures(), Vec::<String>::new());
}

#[test]
fn what_should_not_be_is_told() {
    let good = hold(r#"{"at": 1.2, "do": "remove", "who": "Small"}"#, 1.6);
    assert_eq!(good.failures(), Vec::<String>::new());
    let told = |spoil: fn(&mut Outcome)| {
        let mut outcome = good.clone();
        spoil(&mut outcome);
        outcome.failures()
    };
    let wide = |outcome: &Outcome| outcome.people.iter().position(|person| person.name == "Wide").unwrap();
    assert_eq!(wide(&good), 1);
    assert_eq!(told(|outcome| outcome.people[1].windows[0].wrong = 1), ["Wide saw 1 wrong pictures of Cam"]);
    assert_eq!(told(|outcome| outcome.people[1].windows[0].shown.clear()), ["Wide saw nothing of Cam"]);
    let later = told(|outcome| outcome.taps[0].last = Some(Time::from_secs(9)));
    assert_eq!(later, ["Small could read Cam after the removal"]);
    let more = told(|outcome| outcome.taps[1].opened[1] = 1);
    assert_eq!(more, ["Base could read more of Cam than the base layer"]);
    let deaf = told(|outcome| outcome.taps[1].opened[0] = 0);
    assert_eq!(deaf, ["Base could read nothing of Cam with good keys"]);
    assert_eq!(told(|outcome| outcome.relay.expelled.push("Cam".into())), ["the relay put out Cam"]);
}
