//! Inputs to start from: what genuine senders send, of the test vectors and of others, and steps that make sense.

use layercast::Size;
use layercast::bitstream::{IvfHeader, IvfWriter};
use layercast::e2ee::{BaseKey, Grant, Header, Scope};
use layercast::rtp::rtcp::{IntraRequest, LayerRequest, Lost, RtcpMessage, write};
use layercast::select::{Cap, Cpu, Demand, DemandMessage, LayerDemand, Priority, ReceiverReport};
use layercast::select::{StreamId, Window};
use layercast::structure::LayerId;
use layercast_meeting::{
    Arrival, Asked, Audience, Credential, Event, FromRelay, Group, Kind, MeetingId, MlsMessage, Numbered,
    ParticipantId, Refusal, Request, Rights, Role, Secret, Stream, Text,
};

use crate::{Sender, Video, videos};

/// Packets of a capture that are taken: the first picture in full.
const PACKETS: usize = 24;

const DESCRIPTORS: &str = include_str!("../../test-vectors/others/descriptors.json");
const PAYLOADS: &str = include_str!("../../test-vectors/others/av1_assemble.json");
const PACKETS_OF_OTHERS: [&str; 3] = [
    include_str!("../../test-vectors/others/rtp_packets.json"),
    include_str!("../../test-vectors/others/chrome-L3T3-plain.rtp.hex"),
    include_str!("../../test-vectors/others/chrome-L3T3_KEY-sealed.rtp.hex"),
];
const SFRAMES: &str = include_str!("../../test-vectors/rfc9605/vectors.json");

/// The seeds of each target, by its name.
pub fn all() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let units: Vec<Vec<u8>> = videos().iter().flat_map(units).collect();
    let descriptors = hex_of(DESCRIPTORS);
    let packets: Vec<_> =
        PACKETS_OF_OTHERS.iter().flat_map(|text| hex_of(text).into_iter().take(PACKETS)).collect();
    let sframes = hex_of(SFRAMES);
    let grants = [Scope::Group, Scope::Sender(3), Scope::KeyId(0x1234)]
        .map(|scope| Grant { epoch: 2, scope, base_key: BaseKey::new(vec![7; 32]) }.to_bytes().to_vec());
    let headers =
        [(3, 2), (0x1234, 5), (9, 1 << 40)].map(|(key_id, counter)| Header::encode(key_id, counter).to_vec());
    vec![
        ("obu", units.clone()),
        (
            "headers",
            [units.clone(), videos().iter().map(|video| units_of(video).concat()).collect()].concat(),
        ),
        ("ivf", videos().iter().map(ivf).collect()),
        ("section5", videos().iter().map(|video| units_of(video).concat()).collect()),
        ("extract", (0..).zip(&units).map(|(choice, unit)| [&[choice], &unit[..]].concat()).collect()),
        ("rtp_packet", packets.clone()),
        ("descriptor", descriptors.clone()),
        ("av1_payload", hex_of(PAYLOADS).iter().map(|payload| with_sizes(&[200], [payload])).collect()),
        ("rtcp", vec![rtcp()]),
        ("link", vec![link(0), link(1)]),
        ("sframe_payload", sframes.iter().map(|sframe| [&[9], &sframe[..]].concat()).collect()),
        ("receive", receive()),
        ("sframe_header", [&grants[..], &headers[..], &sframes[..]].concat()),
        (
            "opener",
            descriptors.iter().zip(&sframes).map(|(descriptor, sframe)| opener(descriptor, sframe)).collect(),
        ),
        ("select_messages", vec![report(), demand()]),
        ("trace", vec![b"0\n1\n1\n5\n12\n".to_vec()]),
        ("table", vec![table()]),
        ("decoder", (0..27).map(|unit| vec![unit & 63, 0]).collect::<Vec<_>>()),
        ("decoder", vec![[0x40 | 9, 3, 9, 10, 11].to_vec(), (0..18).flat_map(|unit| [unit, 0]).collect()]),
        ("selector", vec![selector()]),
        ("forwarder", (0..3).map(relay).collect()),
        ("room", (0..4).map(room).collect()),
        ("session", sessions()),
        ("sealed_sender", sealed_senders()),
        ("mls", (0..56).map(|step| mls(step / 2, step % 2 == 0)).collect()),
        ("keys", vec![keys()]),
        ("planner", (0..25).map(planner).collect()),
        ("packets", vec![packets_of(0), packets_of(1), packets_of(2)]),
        ("opaque_payload", opaque_payloads()),
        ("media", media()),
        ("attestation", vec![attestations()]),
        ("transport_feedback", vec![transport_feedback()]),
        ("sender_feedback", vec![sender_feedback(0), sender_feedback(1)]),
        ("fec", vec![parity()]),
        ("attend", attend()),
        ("meeting_messages", meeting_messages()),
    ]
}

/// What a relay says to an organizer, from its admission on.
fn relay_says() -> Vec<FromRelay> {
    let (who, name) = (ParticipantId(2), Text::new("Bob").unwrap());
    let (rights, bytes) = (Rights::of(Role::Member), layercast_meeting::Bytes(vec![7; 40]));
    let stream = Stream { participant: who, stream: 9, ssrc: 900, kind: Kind::Camera, member: 1, track: 0 };
    let asked = Asked {
        participant: who,
        role: Role::Member,
        name: name.clone(),
        key_package: bytes.clone(),
        insiders_key_package: Some(bytes.clone()),
        outsider: false,
        known: false,
    };
    let events = [
        Event::Admitted { rights, messages: 0, begins: true },
        Event::Waiting(asked),
        Event::Arrived(Arrival { participant: who, role: Role::Member, name, rights }),
        Event::Published(stream),
        Event::Demand { demand: layercast_meeting::Bytes(demand()) },
        Event::Said { participant: who, message: bytes.clone() },
        Event::Mls(MlsMessage { group: Group::Meeting, number: 1, from: who, message: bytes.clone() }),
        Event::Welcome { group: Group::Insiders, number: 2, message: bytes },
        Event::Rights { participant: ParticipantId(1), rights: Rights::of(Role::Guest) },
        Event::Organizer { participant: who },
        Event::CameraLimited { participant: who, audience: Audience::Guests, max_spatial_id: Some(1) },
        Event::Unpublished { stream: 9 },
        Event::Away { participant: who },
        Event::Removed { participant: who },
        Event::GroupLost,
    ];
    let mut messages: Vec<_> = events.into_iter().map(FromRelay::Event).collect();
    let result = Err(Refusal::StaleEpoch);
    messages.push(FromRelay::Answer { id: 5, result });
    messages
}

/// An organizer is let in, and hears all of it; and one who comes back.
fn attend() -> Vec<Vec<u8>> {
    let said: Vec<_> = relay_says().iter().map(FromRelay::to_text).collect();
    let all = [
        ".\n.\n",
        &said.join("\n.\n+600\n"),
        "\nwho\ncode\nadmit 2\nremove 2\nhand up\nlimit guests 0\nquit",
    ]
    .concat();
    let back = [
        ".\n.\n",
        &said[0],
        "\n.\n.\n.\n.\n+2500\n!\n.\n.\n",
        &said[0],
        "\n.\n.\n+700\nmute\nunmute camera\n.",
    ]
    .concat();
    vec![all.into(), back.into()]
}

fn meeting_messages() -> Vec<Vec<u8>> {
    let name = Text::new("Ann").unwrap();
    let bytes = || layercast_meeting::Bytes(vec![7; 40]);
    let requests = [
        Request::Login { account: name.clone(), password: Secret::new("p".into()) },
        Request::Join {
            meeting: MeetingId(name.clone()),
            credential: Credential::Invitation(Secret::new("code".into())),
            name,
            key_package: Some(bytes()),
            insiders_key_package: None,
            seen: 3,
        },
        Request::Publish { kind: Kind::Camera, member: 1, track: 2, layer_refresh: true },
        Request::Commit {
            group: Group::Meeting,
            epoch: 4,
            message: bytes(),
            welcome: Some(bytes()),
            added: vec![ParticipantId(3)],
            removed: Vec::new(),
        },
        Request::Say { message: bytes() },
    ];
    let requests = requests.into_iter().map(|request| Numbered { id: 1, request }.to_text());
    let state = br#"{"participant":2,"epoch":3,"code":"01234","members":2,"clocks":[[9,1,2]],"hand":true}"#;
    let said = relay_says();
    let said = said.iter().map(FromRelay::to_text);
    requests.chain(said).map(String::into_bytes).chain([state.to_vec()]).collect()
}

/// One message that is damaged, in a group with an organizer or without.
fn mls(step: u8, organized: bool) -> Vec<u8> {
    let end: &[u8] = if organized { &[0] } else { &[] };
    [&[(step << 1 & 0x38) | (step % 7), 4, 0, 0, 40, 1, 0], end].concat()
}

/// Frames, their attestations before and after them, time, and a forged frame.
fn attestations() -> Vec<u8> {
    let frames = (0..200).flat_map(|number| [3, number, 0]);
    let messages = (0..3).flat_map(|number| [0, number, 0, 4, 0, 9]);
    [messages.clone().collect::<Vec<_>>(), frames.collect(), messages.collect(), vec![3, 7, 1, 4, 0, 255]]
        .concat()
}

/// Packets of which some arrive, and time for feedback about them.
fn transport_feedback() -> Vec<u8> {
    let step = |kind: u8| [&[kind, 40][..], &(0..40).map(|n| n * 5 + 1).collect::<Vec<u8>>()].concat();
    (0..12).flat_map(|kind| step(kind % 4)).collect()
}

/// Pictures and time, requests, reports and packets of sound.
fn sender_feedback(path: u8) -> Vec<u8> {
    let nack = [0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, 7, 0, 5, 0, 9];
    let lrr = [0x8a, 206, 0, 5, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 7, 5, 0xe2, 0, 0, 2, 1, 1, 0];
    let message = |bytes: &[u8]| [&[2, bytes.len() as u8][..], bytes, &[0]].concat();
    let sound = [&[4, 0][..], &[9; 8], &[12, 0x80, 45, 0, 1, 0, 0, 0, 0, 0, 0, 0, 8, 0]].concat();
    let feedback = [3, 0, 20, 0, 0, 0, 1, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 1, 0, 0x20, 1, 4, 0, 0];
    let report = [&[3, 1, 24, 0, 0, 0, 1, 0, 0, 0, 7][..], &[1; 17]].concat();
    let mut steps = vec![path, 0, 0, 0, 0, 0, 30, 132, 128];
    for n in 0..40u8 {
        steps.extend([0, n % 4, 1, 32, 0]);
        steps.extend(message(if n % 2 == 0 { &nack } else { &lrr }));
        steps.extend(sound.iter().chain(&feedback).chain(&report));
    }
    steps
}

/// Pictures of which one packet each is lost, and parity packets of others.
fn parity() -> Vec<u8> {
    let step = |n: u8, kind: u8| {
        [&[kind, 60][..], &(0..60).map(|at: u8| at.wrapping_mul(n)).collect::<Vec<u8>>()].concat()
    };
    let forged = [0, 0, 30, 0, 0, 0, 0, 0, 1, 3, 0, 1, 2, 3];
    let forged = [&[1, forged.len() as u8][..], &forged].concat();
    (0..12).flat_map(|n| [step(n, 3 | (n & 3) << 2), forged.clone()].concat()).collect()
}

/// All texts of hexadecimal digits that are 8 bytes or longer.
fn hex_of(text: &str) -> Vec<Vec<u8>> {
    let runs = text.split(|letter: char| !letter.is_ascii_hexdigit()).filter(|run| run.len() >= 16);
    let digit = |letter: &u8| char::from(*letter).to_digit(16).unwrap() as u8;
    let bytes = |run: &str| {
        let digits: Vec<u8> = run.as_bytes().iter().map(digit).collect();
        digits.as_chunks().0.iter().map(|[high, low]| high << 4 | low).collect()
    };
    runs.map(bytes).collect()
}

/// Temporal units as in a file, without the delimiter.
fn units(video: &Video) -> Vec<Vec<u8>> {
    video.pictures.iter().map(|frames| frames.concat()).collect()
}

/// Temporal units with their delimiters.
fn units_of(video: &Video) -> Vec<Vec<u8>> {
    units(video).iter().map(|unit| [&[0x12, 0], &unit[..]].concat()).collect()
}

fn ivf(video: &Video) -> Vec<u8> {
    let header = IvfHeader {
        width: 186,
        height: 110,
        timebase_denominator: 30,
        timebase_numerator: 1,
        frame_count: video.pictures.len() as u32,
    };
    let mut writer = IvfWriter::new(vec![], &header).unwrap();
    for (pts, unit) in (0..).zip(units_of(video)) {
        writer.write(pts, &unit).unwrap();
    }
    writer.into_inner()
}

/// Pieces, each behind a byte with its length.
fn with_sizes<'a>(head: &[u8], pieces: impl IntoIterator<Item = &'a Vec<u8>>) -> Vec<u8> {
    let mut bytes = head.to_vec();
    for piece in pieces {
        bytes.push(piece.len().min(255) as u8);
        bytes.extend_from_slice(&piece[..piece.len().min(255)]);
    }
    bytes
}

/// Two links connect; packets of both go, one comes twice, one altered and from elsewhere, one as a retransmission.
fn link(connects: u8) -> Vec<u8> {
    let steps: [&[u8]; 8] = [
        &[0xf8],
        &[5, 0, 3, 1, 2, 3],
        &[5 | 8, 1, 4, 1, 2, 3, 4],
        &[0],
        &[2, 1],
        &[3, 0, 4, 0, 0, 30, 1, 2],
        &[5, 6, 3, 1, 2, 3],
        &[0x10],
    ];
    [&[connects][..], &steps.concat()].concat()
}

fn rtcp() -> Vec<u8> {
    let (sender_ssrc, ssrc) = (1, 7);
    let target = LayerId::new(2, 2);
    let layers = LayerRequest {
        ssrc,
        sequence_number: 1,
        payload_type: 96,
        target,
        current: Some(LayerId::new(1, 2)),
    };
    let messages = [
        RtcpMessage::Nack { sender_ssrc, media_ssrc: ssrc, lost: Lost::of([3, 4, 9, 400]) },
        RtcpMessage::Pli { sender_ssrc, media_ssrc: ssrc },
        RtcpMessage::Fir { sender_ssrc, requests: vec![IntraRequest { ssrc, sequence_number: 3 }] },
        RtcpMessage::Lrr { sender_ssrc, requests: vec![layers] },
    ];
    let mut written = vec![];
    write(&messages, &mut written).unwrap();
    written
}

/// The packets of a genuine stream, one by one.
fn receive() -> Vec<Vec<u8>> {
    let stream = |video| {
        let mut sender = Sender::new(video, Default::default());
        let mut sent = vec![];
        for _ in 0..2 {
            let picture = sender.picture();
            sender.send(&picture, false, &mut sent);
        }
        sent.iter().fold(vec![16], |mut input, packet| {
            input.push(1);
            input.extend((packet.len() as u16).to_be_bytes());
            input.extend_from_slice(packet);
            input
        })
    };
    videos().iter().map(stream).collect()
}

fn opener(descriptor: &[u8], sframe: &[u8]) -> Vec<u8> {
    [&[0, descriptor.len() as u8], descriptor, sframe].concat()
}

fn report() -> Vec<u8> {
    let window = |height| Window::new(Size::new(height * 16 / 9, height), Priority::ActiveSpeaker);
    let cpu = Cpu { load: Some(0.5), cores: Some(2.0), ..Cpu::default() };
    let report = ReceiverReport {
        windows: (0..3).map(|stream| (StreamId(stream), window(180 << stream))).collect(),
        cpu: Some(cpu),
        caps: vec![(None, Cap { max_bitrate: Some(900_000), ..Cap::default() })],
    };
    let mut written = vec![];
    report.write(&mut written).unwrap();
    written
}

fn demand() -> Vec<u8> {
    let layers = (0..3).map(|layer| LayerDemand { target: LayerId::new(layer, 2), bitrate: 1 << 18 });
    let message = DemandMessage { stream: StreamId(1), demand: layers.collect::<Demand>() };
    let mut written = vec![];
    message.write(&mut written).unwrap();
    written
}

/// The report of both receivers, then estimates of their paths that rise and fall.
fn selector() -> Vec<u8> {
    let report = report();
    let mut input = vec![];
    for step in [0, 1] {
        input.extend([step, 1, report.len() as u8]);
        input.extend_from_slice(&report);
    }
    for hundreds in [4, 40, 120, 120, 120, 20, 120] {
        for receiver in 0..2 {
            input.extend([3 << 1 | receiver, 0x90, 0, hundreds, 0, 0, 20]);
        }
    }
    input
}

/// Pictures of a genuine stream, with changes of the target in between.
fn relay(mode: u8) -> Vec<u8> {
    let mut input = vec![mode, 1, 1, 10];
    for target in [10, 0, 9, 40, 10] {
        input.extend([1, 1, target]);
        input.extend([2, 0].repeat(9));
        input.extend([3, 4, 1, 0, 1, 1]);
    }
    input
}

/// A meeting: a report of a window, pictures, requests, damage and time, and people who come and go.
fn room(mode: u8) -> Vec<u8> {
    let window = ReceiverReport {
        windows: vec![(StreamId(1), Window::new(Size::new(1280, 720), Priority::Pinned))],
        ..ReceiverReport::default()
    };
    let mut report = vec![];
    window.write(&mut report).unwrap();
    let report = [&[5, report.len() as u8][..], &report].concat();
    let mut steps = vec![mode];
    for n in 0..12 {
        steps.extend(if n % 4 == 0 { report.clone() } else { vec![6, 33] });
        steps.extend([0, 0, 4, 1, 4, 0, n, 0, 255, 2, n, 2, 0, 40]);
        steps.extend([[7, n * 16], [6, n], [8 | n << 6, 6], [9, n]].concat());
    }
    steps
}

/// Genuine streams: as they are sent, with losses, with damaged packets and replays, with other keys.
fn sessions() -> Vec<Vec<u8>> {
    let honest = [[0, 7, 255].repeat(9)].concat();
    let lossy = [vec![0, 7, 255], [0, 8, 255, 4].repeat(8), vec![5, 0xa0]].concat();
    let damaged = [vec![0, 7, 255], [0, 3, 0, 2, 0, 4, 0, 0, 60, 1, 2, 3, 7, 255].repeat(6)].concat();
    let rekeyed = [vec![0, 7, 255, 6, 0xff, 0, 7, 255, 2, 30], vec![6, 0x40, 6, 5, 0, 7, 255]].concat();
    let mut inputs = vec![];
    for video in 0..4 {
        for (flags, steps) in [&honest, &lossy, &damaged, &rekeyed].into_iter().enumerate() {
            inputs.push([&[video, flags as u8, video & 1], &steps[..]].concat());
        }
    }
    inputs
}

/// What malicious senders do, one by one.
fn sealed_senders() -> Vec<Vec<u8>> {
    let genuine = [[1, 33], [0x20, 0x41]].concat();
    let steps: [&[u8]; 5] = [
        // Counters and labels.
        &[3, 40, 0xff, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 20, 1],
        // Descriptors, payloads.
        &[4, 4, 0, 0, 1, 8, 5, 0, 5, 0x12, 0, 1, 2, 3],
        &[6, 4, 0, 0, 2, 9, 8, 0, 1, 0, 40, 7, 5, 0, 9, 1],
        // Frame numbers that run.
        &[7, 0, 255, 0, 16, 8],
        &[7, 0, 255, 16, 0, 8, 1, 0xff],
    ];
    let mut inputs = vec![];
    for video in 0..4 {
        let whole = [vec![0, video, 2], genuine.clone(), steps.concat(), genuine.repeat(3)].concat();
        inputs.push(whole);
        inputs.extend(steps.map(|step| [&[1, video, 2, 0x22, 0x42], step, &genuine].concat()));
    }
    inputs
}

/// Grants of the group in turn, with those of members in between.
fn keys() -> Vec<u8> {
    let mut input = vec![4, 8, 100];
    for epoch in 0..6 {
        input.extend([0, epoch, 0, epoch, 0, 0, 0, 0, 0, 0, 3, epoch, 0]);
        input.extend([1, epoch, 3, 9, 3, 0, 0, 0, 0, 0, 0, 3, epoch, 0]);
        input.extend([5, 20, 0, 0, 0, 0, 0, 0, 3, epoch, 0, 4, epoch, 0, 0, 0, 0, 0, 0, 3, epoch, 0]);
    }
    input
}

fn planner(mode: u8) -> Vec<u8> {
    [&[mode][..], &[7; 9], &[15, 0, 1, 7, 7, 15, 1, 0xff, 7, 0x21, 7, 7, 7, 7, 0, 7, 0xf8, 3, 7, 7]].concat()
}

fn packets_of(format: u8) -> Vec<u8> {
    let mut input = vec![format, 4, 4, 176, 96, 0xff, 0xf0, 64];
    for frame in 0..6 {
        input.extend([frame, frame, 6, 0x32, 4, 1, 2, 3, 4]);
    }
    input
}

/// One frame in one payload, in two, and behind its length.
fn opaque_payloads() -> Vec<Vec<u8>> {
    let sframe: Vec<u8> = (0..200).collect();
    let whole = [&[0x18, 0x08], &sframe[..]].concat();
    let halves = [[&[0x58, 0x08], &sframe[..100]].concat(), [&[0x90], &sframe[100..]].concat()];
    let sized = [&[0x00, 0xc9, 0x01, 0x30], &sframe[..]].concat();
    vec![
        with_sizes(&[], [&whole]),
        with_sizes(&[], &halves),
        with_sizes(&[], [&sized]),
        vec![0x12, 0, 0x32, 1, 5],
    ]
}

/// Frames and messages, of which some are lost; damage, other keys, and a forger.
fn media() -> Vec<Vec<u8>> {
    let step =
        |kind: u8, count: u8| (count << 4..=255).find(|step| step % 10 == kind && step & 8 == 0).unwrap();
    let frame = [step(0, 3), 4, 1, 2, 3, 4];
    let message = [step(1, 9), 12, 6, 1, 2, 3, 4, 5, 6];
    let pause = [step(5, 0), 20];
    let honest = [&frame[..], &message, &pause].concat().repeat(8);
    let lost = [&frame[..], &message, &[12, 0x24, 3, 0x91, 0x55, 0], &pause].concat().repeat(8);
    let damaged = [&frame[..], &message, &[3, 0, 2, 4, 0, 0, 40, 1], &pause].concat().repeat(8);
    let rekeyed = [&honest[..], &[6], &honest, &pause.repeat(9), &[7], &honest].concat();
    let anew = [&honest[..], &message, &[16, 7, 2, 1], &message, &honest[..40], &[56, 7], &honest].concat();
    let forged = [9, 0, 5, 1, 2, 3, 0, 1, 9, 1, 6, 1, 2, 3, 0x80, 0, 2, 9, 1, 4, 9, 0x40, 0x70, 3].repeat(8);
    let streams = [honest, lost, damaged, rekeyed, anew, forged];
    (0..4).flat_map(|flags| streams.iter().map(move |stream| [&[flags], &stream[..]].concat())).collect()
}

/// A coded video of one spatial layer.
fn table() -> Vec<u8> {
    let ssim: String = (0..13).map(|age| format!(",0.{}", 95 - age)).collect();
    format!("video,L1T2,64,48,10\nframes,0,100,300 # T1, T0\nkey,0,900\nencode,0,9\nssim,0,48{ssim}\n")
        .into_bytes()
}
