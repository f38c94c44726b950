//! Pages in a meeting: how they come in, what they open, and what they find out about a relay.

mod common;

use common::{Frame, World};
use layercast::e2ee::{Header, KeySource};
use layercast_meeting::Kind;
use layercast_page::output::PageOutput;
use layercast_page::seat::Metadata;
use sframe::CipherSuite;
use sframe::frame::{MediaFrameView, MonotonicCounter};
use sframe::key::EncryptionKey;

#[test]
fn a_guest_waits_until_the_organizer_lets_it_in() {
    let mut world = World::new();
    let (ann, cleo) = (world.open("Ann", ""), world.open("Cleo", ""));
    assert_eq!(
        world.told(ann, "waiting"),
        ["2 waits at the door: \"Cleo\" (guest, from outside the organization). Type: admit 2"]
    );
    assert_eq!(world.group(cleo), None);
    let people = world.pages[ann].seat.attendee().people();
    assert!(people.iter().any(|person| person.name == "Cleo" && person.waiting && !person.in_group));
    world.command(ann, r#"{"do":"admit","participant":2}"#);
    world.run(2500);
    let groups = [ann, cleo].map(|place| world.group(place).unwrap());
    assert_eq!((groups[0].members, &groups[0].code), (2, &groups[1].code));
    assert_eq!((groups[0].organizer, groups[1].organizer), (true, false));
    assert_ne!(groups[0].fingerprint, groups[1].fingerprint);
    for place in [ann, cleo] {
        // Each knows the other as a member of the group: Cleo by what Ann says in it.
        let people = world.pages[place].seat.attendee().people();
        let names: Vec<_> = people.iter().map(|it| (it.name.as_str(), it.role, it.in_group)).collect();
        assert_eq!(names, [("Ann", "organizer", true), ("Cleo", "guest", true)]);
        assert!(people.iter().all(|it| it.fingerprint.is_some()));
    }
}

#[test]
fn what_one_page_seals_the_others_open() {
    let mut world = World::three("");
    let own = world.own(0, Kind::Camera);
    let streams = world.streams(1);
    let seen = streams.iter().find(|it| it.stream == own.stream).expect("it is told");
    assert_eq!((seen.name.as_str(), seen.ssrc, seen.rtx_ssrc), ("Ann", own.ssrc, own.ssrc + 1));
    assert_eq!((seen.kind, seen.max_spatial_id), (Kind::Camera, None));
    for frame in (0..30).flat_map(Frame::picture) {
        let obu = frame.sealed(&mut world, 0);
        // An OBU header, a size of one or two bytes, and at most 22 bytes of SFrame.
        assert!(obu.len() <= frame.payload.len() + 26, "{}", obu.len());
        assert!(!obu.windows(16).any(|bytes| bytes == &frame.payload[..16]));
        for at in [1, 2] {
            assert_eq!(frame.opened(&mut world, 0, at, &obu).as_ref(), Ok(&frame.payload));
        }
    }
    let (now, stream) = (world.now, world.own(0, Kind::Audio).stream);
    for n in 0..50 {
        let sealed = world.pages[0].seat.seal_audio(stream, &[n; 80]).unwrap().to_vec();
        assert_eq!(world.pages[2].seat.open_audio(now, stream, None, &sealed), Ok(&[n; 80][..]));
    }
}

/// Pages sign what they seal, over the relay's own desk. Cleo has all keys, and seals a frame of sound in Ann's name.
#[test]
fn what_somebody_else_seals_is_found_out_and_withheld() {
    let mut world = World::three("");
    let (camera, voice) = (world.own(0, Kind::Camera).stream, world.own(0, Kind::Audio).stream);
    let send = |world: &mut World, n: u64| {
        for frame in Frame::picture(n) {
            let obu = frame.sealed(world, 0);
            assert!(frame.opened(world, 0, 1, &obu).is_ok());
        }
        let sealed = world.pages[0].seat.seal_audio(voice, &[7; 80]).unwrap().to_vec();
        let opened = world.pages[1].seat.open_audio(world.now, voice, None, &sealed).map(<[u8]>::to_vec);
        world.run(40);
        (sealed, opened)
    };
    let counts = |world: &World, stream: u32| {
        let attendee = world.pages[1].seat.attendee();
        let stream = *attendee.media.shown().find(|it| it.stream == stream).unwrap();
        (attendee.circle().attested().counts(&stream), stream)
    };
    let (sealed, _) = (0..50).map(|n| send(&mut world, n)).last().unwrap();
    world.run(1100);
    let (of_camera, (of_voice, stream)) = (counts(&world, camera).0, counts(&world, voice));
    assert_eq!((of_camera.attested, of_camera.unattested), (150, 0));
    assert_eq!((of_voice.attested, of_voice.unattested), (50, 0));

    let circle = world.pages[2].seat.attendee().circle();
    let Header { key_id, counter, .. } = Header::read(&sealed[1..]).unwrap();
    let epoch = circle.group().unwrap().epoch();
    let base_key = circle.ring(world.now).unwrap().base_key(key_id, epoch).unwrap();
    let key = EncryptionKey::derive_from(CipherSuite::AesGcm256Sha512, key_id, base_key.expose()).unwrap();
    let mut next = MonotonicCounter::with_start_value(counter + 1, u64::MAX);
    // A frame, how loud it is, and its number.
    let frame = MediaFrameView::try_new(&mut next, b"a lie\x01\x00\x32").unwrap().encrypt(&key).unwrap();
    let forged = [&sealed[..1], frame.as_ref()].concat();
    assert_eq!(world.pages[1].seat.open_audio(world.now, voice, None, &forged), Ok(&b"a lie"[..]));
    assert_eq!(send(&mut world, 50).1, Err("replayed"));
    world.run(600);
    assert_eq!(counts(&world, voice).0.forged, 1);
    let told = world.told(1, "forged");
    assert!(
        told.len() == 1 && told[0].contains(&format!("Ann: stream {} (voice)", stream.stream)),
        "{told:?}"
    );
    assert_eq!(send(&mut world, 51).1, Err("withheld"));
    assert!(world.told(0, "forged").is_empty() && world.told(1, "unproven").is_empty());
}

#[test]
fn what_a_relay_changes_is_refused_by_kind() {
    let mut world = World::three("");
    let [base, _, top] = Frame::picture(0);
    let obu = top.sealed(&mut world, 0);
    let refused = |world: &mut World, frame: &Frame, obu: &[u8]| frame.opened(world, 0, 1, obu).unwrap_err();
    let mut other = obu.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(refused(&mut world, &top, &other), "not_authentic");
    assert_eq!(refused(&mut world, &top, &obu[..obu.len() - 1]), "malformed");
    assert_eq!(refused(&mut world, &top, &[10, 1, 0]), "malformed");
    let relabelled = [
        Frame { id: top.id + 100, dependencies: vec![top.id as f64 + 99.0], ..top.clone() },
        Frame { dependencies: vec![], ..top.clone() },
        Frame { layer: (2, 1), ..top.clone() },
        Frame { layer: (1, 0), ..top.clone() },
    ];
    for frame in relabelled {
        assert_eq!(refused(&mut world, &frame, &obu), "not_authentic", "{frame:?}");
    }
    assert_eq!(refused(&mut world, &Frame { dependencies: vec![9.0], ..top.clone() }, &obu), "metadata");
    let cleos = base.sealed(&mut world, 2);
    assert_eq!(refused(&mut world, &base, &cleos), "wrong_sender");
    assert_eq!(top.opened(&mut world, 0, 1, &obu), Ok(top.payload.clone()), "nothing of this hurts");
    assert_eq!(refused(&mut world, &top, &obu), "replayed");
    let (now, stream) = (world.now, world.own(0, Kind::Camera).stream);
    let sound = world.own(0, Kind::Audio).stream;
    let sealed = world.pages[0].seat.seal_audio(sound, b"sound").unwrap().to_vec();
    let seat = &mut world.pages[1].seat;
    assert_eq!(seat.open_audio(now, stream, None, &sealed), Err("no_stream"));
    assert_eq!(seat.open_audio(now, 77, None, &sealed), Err("no_stream"));
    assert!(seat.open_audio(now, sound, None, &sealed).is_ok());
    assert_eq!(seat.open_audio(now, sound, None, &sealed), Err("replayed"));
    let counted = seat.closed(stream);
    assert_eq!((counted["not_authentic"], counted["replayed"], counted["wrong_sender"]), (5, 1, 1));
}

/// A newcomer brings another epoch: what is on its way then opens, and what is sealed in it opens as soon as the commit is here.
#[test]
fn an_epoch_costs_no_frame() {
    let mut world = World::three("");
    let epoch = world.group(1).unwrap().epoch;
    let before = Frame::picture(0).map(|frame| (frame.sealed(&mut world, 0), frame));
    world.pages[1].holds_commits = true;
    let dora = world.open("Dora", "");
    world.run(100);
    assert_eq!([0, 1, 2].map(|place| world.group(place).unwrap().epoch), [epoch + 1, epoch, epoch + 1]);
    let after = Frame::picture(1).map(|frame| (frame.sealed(&mut world, 0), frame));
    for (obu, frame) in &before {
        assert_eq!(
            frame.opened(&mut world, 0, 2, obu).as_ref(),
            Ok(&frame.payload),
            "old keys go on for a while"
        );
        assert_eq!(
            frame.opened(&mut world, 0, dora, obu),
            Err("unknown_key"),
            "newcomers do not read the past"
        );
    }
    for (obu, frame) in &after {
        for at in [2, dora] {
            assert_eq!(frame.opened(&mut world, 0, at, obu).as_ref(), Ok(&frame.payload));
        }
        assert_eq!(frame.opened(&mut world, 0, 1, obu), Err("unknown_key"), "its commit is not here yet");
    }
    world.let_through(1);
    for (obu, frame) in before.iter().chain(&after) {
        assert_eq!(frame.opened(&mut world, 0, 1, obu).as_ref(), Ok(&frame.payload), "none is lost");
    }
    let sealed = Frame::picture(0)[0].sealed(&mut world, 1);
    assert_eq!(
        Frame::picture(0)[0].opened(&mut world, 1, 2, &sealed).as_ref(),
        Ok(&Frame::picture(0)[0].payload)
    );
}

#[test]
fn one_who_is_removed_opens_nothing_more() {
    let mut world = World::three("");
    let bob = world.number(1).0;
    world.command(0, &format!(r#"{{"do":"remove","participant":{bob}}}"#));
    world.run(100);
    assert!(world.pages[1].outputs.iter().any(|output| matches!(output, PageOutput::Ended(_))));
    let [frame, ..] = Frame::picture(0);
    let obu = frame.sealed(&mut world, 0);
    assert_eq!(frame.opened(&mut world, 0, 2, &obu).as_ref(), Ok(&frame.payload));
    assert!(frame.opened(&mut world, 0, 1, &obu).is_err(), "its keys are those of the epoch before");
    assert_eq!(world.group(2).unwrap().members, 2);
    assert!(!world.streams(2).iter().any(|stream| stream.name == "Bob"));
}

/// A camera whose upper layers guests are not to open.
#[test]
fn a_guest_opens_the_base_layer_alone() {
    let mut world = World::three(r#","guest_limit":0"#);
    let stream = world.own(0, Kind::Camera).stream;
    let told = |world: &World, at: usize| {
        world.streams(at).iter().find(|it| it.stream == stream).map(|it| it.max_spatial_id)
    };
    assert_eq!((told(&world, 1), told(&world, 2)), (Some(None), Some(Some(0))));
    for frame in (0..10).flat_map(Frame::picture) {
        let obu = frame.sealed(&mut world, 0);
        assert_eq!(frame.opened(&mut world, 0, 1, &obu).as_ref(), Ok(&frame.payload));
        let expected = if frame.layer.0 == 0 { Ok(frame.payload.clone()) } else { Err("unknown_key") };
        assert_eq!(frame.opened(&mut world, 0, 2, &obu), expected);
    }
}

#[test]
fn rights_end_streams_and_hands_are_seen() {
    let mut world = World::three("");
    let (cleo, stream) = (world.number(2).0, world.own(2, Kind::Camera).stream);
    world.command(0, &format!(r#"{{"do":"allow","participant":{cleo},"right":"camera","allowed":false}}"#));
    world.command(2, r#"{"do":"hand","raised":true}"#);
    world.run(3000);
    let ended = |place: usize| {
        world.pages[place].outputs.iter().any(|output| match output {
            PageOutput::Unpublished(own) => place == 2 && own.stream == stream,
            PageOutput::StreamEnded(ended) => *ended == stream,
            _ => false,
        })
    };
    assert!(ended(0) && ended(1) && ended(2));
    let [frame, ..] = Frame::picture(0);
    let sealed = world.pages[2].seat.seal_video(stream, frame.metadata(), true, b"").map(<[u8]>::len);
    assert_eq!(sealed, Err("no_stream"));
    for place in 0..3 {
        let people = world.pages[place].seat.attendee().people();
        let hands: Vec<_> = people.iter().filter(|it| it.hand).map(|it| it.name.as_str()).collect();
        assert_eq!(hands, ["Cleo"]);
    }
}

/// A relay that keeps commits from somebody leads the meeting apart: what is said in the group shows it to both sides.
#[test]
fn a_relay_that_leads_pages_apart_is_found_out() {
    let mut world = World::three("");
    world.run(3000);
    assert_eq!(world.told(1, "forked"), Vec::<String>::new());
    world.pages[1].holds_commits = true;
    world.open("Dora", "");
    world.run(15_000);
    for place in [0, 1] {
        let told = world.told(place, "forked");
        assert!(told.iter().any(|line| line.contains("packets have not opened")), "{place}: {told:?}");
    }
    assert_eq!(world.told(2, "forked").iter().filter(|line| line.contains("Ann")).count(), 0);
}

#[test]
fn a_relay_that_confuses_who_says_what_is_found_out() {
    let mut world = World::three("");
    world.run(3000);
    world.confuses = Some([world.number(1), world.number(2)]);
    world.run(3000);
    let told = world.told(0, "forked");
    assert!(told.iter().any(|line| line.contains("says that it is another participant")), "{told:?}");
    // What is known of both stays as it was.
    let people = world.pages[0].seat.attendee().people();
    let names: Vec<_> = people.iter().map(|it| (it.participant.0, it.name.as_str())).collect();
    assert_eq!(names, [(1, "Ann"), (2, "Bob"), (3, "Cleo")]);
}

#[test]
fn a_connection_that_is_lost_costs_no_key_and_shows_nothing_twice() {
    let mut world = World::three("");
    let (epoch, before) = (world.group(0).unwrap().epoch, world.own(0, Kind::Camera));
    let [frame, ..] = Frame::picture(0);
    let old = frame.sealed(&mut world, 0);
    assert_eq!(frame.opened(&mut world, 0, 1, &old).as_ref(), Ok(&frame.payload));
    world.lose(1);
    world.come_back(1);
    assert_eq!(
        frame.opened(&mut world, 0, 1, &old),
        Err("replayed"),
        "it is the same stream, and still known"
    );

    world.lose(0);
    let lost = world.pages[0].seat.seal_video(before.stream, frame.metadata(), true, b"").map(<[u8]>::len);
    assert_eq!(lost, Err("no_stream"));
    world.come_back(0);
    let after = world.own(0, Kind::Camera);
    assert!(!world.streams(1).iter().any(|it| it.stream == before.stream));
    assert_ne!((before.stream, before.track), (after.stream, after.track));
    let new = frame.sealed(&mut world, 0);
    assert_eq!(frame.opened(&mut world, 0, 1, &new).as_ref(), Ok(&frame.payload));
    assert_eq!(frame.opened(&mut world, 0, 1, &old), Err("wrong_stream"));
    assert_eq!([0, 1, 2].map(|place| world.group(place).unwrap().epoch), [epoch; 3]);
}

#[test]
fn metadata_that_no_frame_has_is_refused() {
    let mut world = World::three("");
    let stream = world.own(0, Kind::Camera).stream;
    let seat = &mut world.pages[0].seat;
    for (frame_id, dependencies, spatial_id, temporal_id) in [
        (f64::NAN, vec![], 0, 0),
        (1.5, vec![], 0, 0),
        (5.0, vec![5.0], 0, 0),
        (5.0, vec![], 4, 0),
        (5.0, vec![], 0, 8),
        (5e5, vec![1.0], 0, 0),
    ] {
        let metadata = Metadata { frame_id, dependencies: &dependencies, spatial_id, temporal_id };
        assert_eq!(seat.seal_video(stream, metadata, true, b"frame").map(<[u8]>::len), Err("metadata"));
    }
}

/// A stream as the relay announces it.
fn announce(world: &mut World, at: usize, stream: u32, kind: &str, member: u32, track: u16) {
    // Ann, or nobody whom anybody knows.
    let who = if member == 0 { world.number(0).0 } else { 99 };
    let event = format!(
        r#"{{"event":{{"event":"published","participant":{who},"stream":{stream},"ssrc":{stream},"kind":"{kind}","member":{member},"track":{track}}}}}"#
    );
    world.pages[at].seat.handle_message(world.now, &event).unwrap();
    world.run(0);
}

fn withdraw(world: &mut World, at: usize, stream: u32) {
    let event = format!(r#"{{"event":{{"event":"unpublished","stream":{stream}}}}}"#);
    world.pages[at].seat.handle_message(world.now, &event).unwrap();
    world.run(0);
}

/// However many streams a relay makes up in between, one that ended is not opened again.
#[test]
fn a_stream_that_is_announced_anew_shows_nothing_twice() {
    let mut world = World::three("");
    let own = world.own(0, Kind::Camera);
    let (member, [frame, ..]) = (0, Frame::picture(0));
    let obu = frame.sealed(&mut world, 0);
    assert_eq!(frame.opened(&mut world, 0, 1, &obu).as_ref(), Ok(&frame.payload));
    for track in 0..1100 {
        announce(&mut world, 1, 5000, "screen", member, 1000 + track);
        withdraw(&mut world, 1, 5000);
    }
    withdraw(&mut world, 1, own.stream);
    announce(&mut world, 1, own.stream, "camera", member, own.track);
    assert!(frame.opened(&mut world, 0, 1, &obu).is_err());
    assert!(world.told(1, "refused").iter().any(|line| line.contains("what has ended")));
    assert!(!world.streams(1).iter().any(|it| it.stream == own.stream), "nor is the page told of it");
}

/// A stream that is announced in an epoch has no keys of those before.
#[test]
fn a_stream_that_is_announced_in_the_next_epoch_shows_nothing_of_the_last() {
    let mut world = World::three("");
    let own = world.own(0, Kind::Camera);
    let [frame, ..] = Frame::picture(0);
    let obu = frame.sealed(&mut world, 0);
    assert_eq!(frame.opened(&mut world, 0, 1, &obu).as_ref(), Ok(&frame.payload));
    withdraw(&mut world, 1, own.stream);
    let epoch = world.group(1).unwrap().epoch;
    world.open("Dora", "");
    world.run(100);
    assert_eq!(world.group(1).unwrap().epoch, epoch + 1);
    announce(&mut world, 1, own.stream, "camera", 0, own.track);
    assert_eq!(frame.opened(&mut world, 0, 1, &obu), Err("unknown_key"));
    let after = frame.sealed(&mut world, 0);
    assert_eq!(frame.opened(&mut world, 0, 1, &after).as_ref(), Ok(&frame.payload));
}

/// The relay names whom it likes.
#[test]
fn a_stream_of_one_who_is_not_in_the_group_is_not_shown() {
    let mut world = World::three("");
    announce(&mut world, 1, 5000, "camera", 7, 0);
    assert!(!world.streams(1).iter().any(|it| it.stream == 5000));
    let now = world.now;
    let [frame, ..] = Frame::picture(0);
    let obu = frame.sealed(&mut world, 0);
    let opened = world.pages[1].seat.open_video(now, 5000, frame.metadata(), &obu).map(<[u8]>::len);
    assert_eq!(opened, Err("no_keys"));
}

/// A newcomer's stream may be announced before the commit that adds it.
#[test]
fn a_stream_is_shown_once_its_sender_is_in_the_group() {
    let mut world = World::three("");
    world.pages[1].holds_commits = true;
    let dora = world.open("Dora", "");
    world.run(100);
    world.command(dora, r#"{"do":"publish","kind":"camera","size":[1280,720]}"#);
    world.run(100);
    let stream = world.own(dora, Kind::Camera).stream;
    let name =
        |world: &World| world.streams(1).iter().find(|it| it.stream == stream).map(|it| it.name.clone());
    assert_eq!(name(&world), None);
    world.let_through(1);
    assert_eq!(name(&world).as_deref(), Some("Dora"));
    let [frame, ..] = Frame::picture(0);
    let obu = frame.sealed(&mut world, dora);
    assert_eq!(frame.opened(&mut world, dora, 1, &obu).as_ref(), Ok(&frame.payload));
}

#[test]
fn a_link_that_came_to_nothing_is_made_again_after_a_pause() {
    let mut world = World::three("");
    let links = |world: &World| {
        world.pages[1].outputs.iter().filter(|output| matches!(output, PageOutput::MakeLink(_))).count()
    };
    let before = links(&world);
    let now = world.now;
    world.pages[1].seat.handle_link_failed(now, "no RTCPeerConnection");
    world.run(500);
    assert_eq!(links(&world), before);
    assert_eq!(world.told(1, "link_failed").len(), 1);
    world.run(1000);
    assert_eq!(links(&world), before + 1);
}
