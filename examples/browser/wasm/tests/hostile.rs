//! A relay, a browser and a page that say whatever they like: no call panics, and the seat comes to rest.

use layercast::Time;
use layercast_page::output::PageOutput;
use layercast_page::seat::{Metadata, PageSeat};
use proptest::prelude::*;

const CONFIG: &str = r#"{"meeting":"m","name":"Ann","entry":{"invitation":"code"},"admit_all":true,"window":[640,360],"guest_limit":0}"#;

const RIGHTS: &str = r#"{"voice":true,"camera":true,"share":true}"#;

/// Messages of a relay, with a number in each place that has one.
fn message() -> impl Strategy<Value = String> {
    let number = || 0_u32..8;
    let kind = prop::sample::select(vec!["camera", "screen", "audio", "data"]);
    let bytes = prop::sample::select(vec!["", "AAAA", "EAAB", "AQIDBAUGBwgJ"]);
    let answers = vec![
        r#""done""#.to_owned(),
        r#"{"joined":{"participant":1,"role":"organizer","token":"t","title":"T","region":"R","storage":""}}"#.into(),
        r#"{"joined":{"participant":2,"role":"guest","token":"t","title":"T","region":"R","storage":""}}"#.into(),
        r#"{"published":{"stream":3,"ssrc":5}}"#.into(),
        r#"{"published":{"stream":4294967295,"ssrc":4294967295}}"#.into(),
        r#"{"link":{"ufrag":"u","password":"p","fingerprint":"f","addresses":[]}}"#.into(),
    ];
    let event = (number(), number(), number(), kind, bytes).prop_flat_map(|(a, b, c, kind, bytes)| {
        prop::sample::select(vec![
            format!(r#"{{"event":"admitted","rights":{RIGHTS},"messages":{a},"begins":{}}}"#, b % 2 == 0),
            format!(r#"{{"event":"arrived","participant":{a},"role":"member","name":"N","rights":{RIGHTS}}}"#),
            format!(
                r#"{{"event":"waiting","participant":{a},"role":"guest","name":"N","key_package":"{bytes}",
                "insiders_key_package":null,"outsider":true,"known":{}}}"#,
                b % 2 == 0
            ),
            format!(
                r#"{{"event":"published","participant":{a},"stream":{b},"ssrc":{c},"kind":"{kind}","member":{c},"track":{b}}}"#
            ),
            format!(r#"{{"event":"unpublished","stream":{a}}}"#),
            format!(r#"{{"event":"said","participant":{a},"message":"{bytes}"}}"#),
            format!(r#"{{"event":"mls","group":"meeting","number":{a},"from":{b},"message":"{bytes}"}}"#),
            format!(r#"{{"event":"welcome","group":"insiders","number":{a},"message":"{bytes}"}}"#),
            format!(r#"{{"event":"demand","demand":"{bytes}"}}"#),
            format!(r#"{{"event":"left","participant":{a}}}"#),
            format!(r#"{{"event":"away","participant":{a}}}"#),
            format!(r#"{{"event":"organizer","participant":{a}}}"#),
            r#"{"event":"group_lost"}"#.into(),
        ])
    });
    prop_oneof![
        6 => event.prop_map(|event| format!(r#"{{"event":{event}}}"#)),
        6 => (0..12_u32, prop::sample::select(answers))
            .prop_map(|(id, answer)| format!(r#"{{"answer":{{"id":{id},"result":{{"Ok":{answer}}}}}}}"#)),
        1 => (0..12_u32).prop_map(|id| format!(r#"{{"answer":{{"id":{id},"result":{{"Err":"not_now"}}}}}}"#)),
        1 => any::<String>(),
    ]
}

fn command() -> impl Strategy<Value = String> {
    let some: Vec<String> = [
        r#"{"do":"publish","kind":"camera","size":[1280,720]}"#,
        r#"{"do":"publish","kind":"audio"}"#,
        r#"{"do":"publish","kind":"data"}"#,
        r#"{"do":"unpublish"}"#,
        r#"{"do":"windows","windows":[{"stream":3,"size":[4294967295,1],"priority":"pinned","max_frame_rate":1e30}],
            "decode_times":[[0,0],[4294967295,4294967295]],"cores":-1}"#,
        r#"{"do":"windows","windows":[],"cores":1e30}"#,
        r#"{"do":"admit","participant":1}"#,
        r#"{"do":"remove","participant":2}"#,
        r#"{"do":"hand_over","participant":2}"#,
        r#"{"do":"limit_camera","audience":"all","max_spatial_id":255}"#,
        r#"{"do":"hand","raised":true}"#,
    ]
    .map(str::to_owned)
    .into();
    prop_oneof![4 => prop::sample::select(some), 1 => any::<String>()]
}

#[derive(Debug, Clone)]
enum Step {
    Message(String),
    Command(String),
    Lost,
    Link(bool),
    Wait(u32),
    Frame { stream: u32, numbers: (f64, f64), layer: (u8, u8), bytes: Vec<u8> },
}

fn step() -> impl Strategy<Value = Step> {
    let numbers = (any::<f64>(), prop_oneof![any::<f64>(), (0..9_u8).prop_map(f64::from)]);
    prop_oneof![
        8 => message().prop_map(Step::Message),
        2 => command().prop_map(Step::Command),
        1 => Just(Step::Lost),
        2 => any::<bool>().prop_map(Step::Link),
        1 => (0..20_000_u32).prop_map(Step::Wait),
        3 => (0..8_u32, numbers, (0..9_u8, 0..9_u8), prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(stream, numbers, layer, bytes)| Step::Frame { stream, numbers, layer, bytes }),
    ]
}

/// Polls until there is nothing to do, which comes soon.
fn rest(seat: &mut PageSeat, now: Time) {
    for _ in 0..100 {
        let outputs = seat.poll(now);
        serde_json::to_string(&outputs).unwrap();
        if outputs.iter().any(|output| matches!(output, PageOutput::MakeLink(_))) {
            let link = r#"{"ufrag":"u","password":"p","fingerprint":"f","addresses":[]}"#;
            seat.handle_link(now, link).unwrap();
        }
        if let [PageOutput::Timeout(at)] = outputs[..] {
            assert!(
                at.is_none_or(|at| u128::from(at) > now.since_start().as_micros()),
                "it waits for the past"
            );
            return;
        }
    }
    panic!("it does not come to rest");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn nothing_brings_a_page_down(steps in prop::collection::vec(step(), 1..60)) {
        let (mut seat, mut now) = (PageSeat::new(CONFIG, u64::MAX).unwrap(), Time::ZERO);
        seat.handle_connected(now);
        rest(&mut seat, now);
        for step in steps {
            match step {
                Step::Message(text) => {
                    let _ = seat.handle_message(now, &text);
                }
                Step::Command(json) => {
                    let _ = seat.handle_command(now, &json);
                }
                Step::Lost => {
                    seat.handle_disconnected(now, "lost");
                    rest(&mut seat, now);
                    seat.handle_connected(now);
                }
                Step::Link(up) => seat.handle_link_state(now, up),
                Step::Wait(ms) => now += std::time::Duration::from_millis(ms.into()),
                Step::Frame { stream, numbers: (frame_id, dependency), layer: (spatial_id, temporal_id), bytes } => {
                    let dependencies = [dependency];
                    for frame_id in [frame_id, 5.0] {
                        let metadata =
                            Metadata { frame_id, dependencies: &dependencies, spatial_id, temporal_id };
                        let _ = seat.seal_video(stream, metadata, true, &bytes);
                        let _ = seat.open_video(now, stream, metadata, &bytes);
                    }
                    let _ = seat.seal_audio(stream, &bytes);
                    let _ = seat.open_audio(now, stream, Some(7), &bytes);
                    serde_json::to_string(&seat.closed(stream)).unwrap();
                }
            }
            rest(&mut seat, now);
        }
    }

    #[test]
    fn no_configuration_brings_it_down(text in any::<String>()) {
        prop_assert!(PageSeat::new(&text, 0).is_err());
    }
}
