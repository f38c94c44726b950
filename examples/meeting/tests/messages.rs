//! Messages are read back as they were written, and what is none is refused without a panic.

use layercast_meeting::{
    Answer, Audience, Bytes, Credential, EndReason, Event, FromRelay, Group, Kind, MAX_MESSAGE, MeetingId,
    Numbered, ParticipantId, ProtocolError, Published, Refusal, Request, Right, Rights, Role, Secret,
    Session, Text,
};
use proptest::prelude::*;

fn text(text: &str) -> Text {
    Text::new(text).unwrap()
}

fn requests() -> Vec<Request> {
    let meeting = MeetingId(text("abc"));
    vec![
        Request::Login { account: text("ada"), password: Secret::new("a \"word\"".into()) },
        Request::Session { token: Secret::new("token".into()) },
        Request::Logout,
        Request::Plan { title: text("Plans — and more") },
        Request::Join {
            meeting: meeting.clone(),
            credential: Credential::Invitation(Secret::new("code".into())),
            name: text("Ada"),
            key_package: Some(Bytes(vec![1, 2, 3])),
            insiders_key_package: None,
            seen: 0,
        },
        Request::Join {
            meeting,
            credential: Credential::Account,
            name: text("Ada"),
            key_package: None,
            insiders_key_package: None,
            seen: 7,
        },
        Request::Allow { participant: ParticipantId(3), right: Right::Share, allowed: false },
        Request::LimitCamera { audience: Audience::Guests, max_spatial_id: Some(1) },
        Request::Commit {
            group: Group::Meeting,
            epoch: 4,
            message: Bytes(vec![9; 1000]),
            welcome: None,
            added: vec![ParticipantId(2)],
            removed: vec![],
        },
        Request::Publish { kind: Kind::Camera, member: 3, track: 1, layer_refresh: true },
        Request::Report { report: Bytes::default() },
    ]
}

#[test]
fn requests_are_read_as_written() {
    for (id, request) in (0..).zip(requests()) {
        let numbered = Numbered { id, request };
        assert_eq!(Numbered::parse(&numbered.to_text()).unwrap(), numbered);
    }
}

#[test]
fn answers_and_events_are_read_as_written() {
    let messages = [
        FromRelay::Answer { id: 1, result: Ok(Answer::Done) },
        FromRelay::Answer { id: 2, result: Err(Refusal::StaleEpoch) },
        FromRelay::Answer {
            id: 3,
            result: Ok(Answer::Session(Session { token: Secret::new("t".into()), expires_in: 60 })),
        },
        FromRelay::Answer { id: 4, result: Ok(Answer::Published(Published { stream: 1, ssrc: u32::MAX })) },
        FromRelay::Event(Event::Admitted { rights: Rights::of(Role::Guest), messages: 3, begins: false }),
        FromRelay::Event(Event::Welcome { group: Group::Insiders, number: 1, message: Bytes(vec![0, 255]) }),
        FromRelay::Event(Event::Ended { why: EndReason::Forgotten }),
    ];
    for message in messages {
        assert_eq!(FromRelay::parse(&message.to_text()).unwrap(), message);
    }
}

#[test]
fn what_is_too_long_is_refused_before_it_is_read() {
    let long = " ".repeat(MAX_MESSAGE + 1);
    assert!(matches!(Numbered::parse(&long), Err(ProtocolError::TooLong(_))));
}

#[test]
fn no_log_shows_secrets_or_names() {
    let request =
        Request::Login { account: text("ada-lovelace"), password: Secret::new("difference".into()) };
    let shown = format!("{request:?}");
    assert!(!shown.contains("lovelace") && !shown.contains("difference"), "{shown}");
    let error =
        Numbered::parse(r#"{"id":1,"ask":"login","account":"ada","password":["difference"]}"#).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("difference"));
}

#[test]
fn names_that_deceive_are_refused() {
    for bad in ["", "  ", "a\nb", "ada\u{202e}nimda", "a\u{200b}da", &"x".repeat(129)] {
        assert!(Text::new(bad).is_none(), "{bad:?}");
    }
    assert_eq!(text(" Zoë 李 ").as_str(), "Zoë 李");
}

proptest! {
    #[test]
    fn nothing_panics(message in ".{0,200}", which in 0..11usize, cut in 0..400usize, with in any::<char>()) {
        let _ = Numbered::parse(&message);
        let _ = FromRelay::parse(&message);
        let mut valid: Vec<char> = Numbered { id: 1, request: requests()[which].clone() }.to_text().chars().collect();
        let at = cut % valid.len();
        valid[at] = with;
        let _ = Numbered::parse(&valid.into_iter().collect::<String>());
    }
}

/// Who does not know what single layers are asked for by, as browsers, need not say so.
#[test]
fn a_sender_that_says_nothing_of_layers_takes_no_requests_for_them() {
    let text = r#"{"id":1,"ask":"publish","kind":"camera","member":2,"track":0}"#;
    let request = Numbered::parse(text).unwrap().request;
    assert_eq!(request, Request::Publish { kind: Kind::Camera, member: 2, track: 0, layer_refresh: false });
}
