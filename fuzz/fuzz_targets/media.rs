//! Audio and messages behind a relay that loses, delays, repeats, damages and invents packets, and from a sender who has
//! the keys and seals anything. Of what honest senders sent, receivers give out nothing else, in order and once; and
//! polling comes to an end.
#![no_main]

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use layercast::Time;
use layercast::e2ee::{Agreement, Context, KeyRing, Opener, Sealer, SenderKeys};
use layercast::rtp::{RtpHeader, RtpPacket, RtpPacketMut};
use layercast::session::*;
use layercast_fuzz::{Input, damage, timed};
use libfuzzer_sys::fuzz_target;

const SENDER: u32 = 3;
const AUDIO: u32 = 1;
const DATA: u32 = 2;
/// Outputs of one step at most.
const MAX_OUTPUTS: usize = 8192;

/// The two receivers, of streams of one number.
struct Receivers {
    audio: AudioReceiver,
    data: DataReceiver,
    /// Opens the same audio as a page does, packet by packet.
    page: (PageAudioOpener, KeyRing),
    frames: Vec<ReceivedAudio>,
    messages: Vec<Bytes>,
}

impl Receivers {
    fn new(keys: &SenderKeys, stream: u16, ordered: bool, repair: bool) -> Self {
        let ring = || {
            let mut ring = KeyRing::new(Agreement::default(), Duration::from_secs(1));
            ring.add(Time::ZERO, keys.grant().clone());
            ring
        };
        let opener = |context| Opener::new(Agreement::default(), SENDER, context);
        let config = AudioReceiverConfig::new(AUDIO);
        let audio = AudioReceiver::new(config, opener(Context::audio(stream)), ring());
        let mut config = match repair {
            true => DataReceiverConfig::new(DATA),
            false => DataReceiverConfig::best_effort(DATA),
        };
        config.ordered = ordered;
        config.max_message = 4096;
        let data = DataReceiver::new(config, opener(Context::data(stream)), ring());
        let page = (PageAudioOpener::new(opener(Context::audio(stream)), true), ring());
        Self { audio, data, page, frames: vec![], messages: vec![] }
    }

    fn add_keys(&mut self, now: Time, keys: &SenderKeys) {
        self.audio.keys_mut().add(now, keys.grant().clone());
        self.data.keys_mut().add(now, keys.grant().clone());
        self.page.1.add(now, keys.grant().clone());
    }

    /// Takes a packet, which one of them passes over, and gives what they ask for.
    fn handle(&mut self, now: Time, packet: Option<Bytes>) -> Vec<Bytes> {
        timed("packet", || {
            if let Some(packet) = packet {
                if let Ok(rtp) = RtpPacket::read(&packet)
                    && rtp.header.ssrc == AUDIO
                {
                    let (page, ring) = &mut self.page;
                    let (number, mut payload) = (rtp.header.sequence_number, BytesMut::from(rtp.payload));
                    let opened = page.open(now, ring, Some(number), &mut payload);
                    assert!(opened.is_ok() || payload.is_empty() || payload == rtp.payload);
                }
                self.audio.handle_packet(now, packet.clone());
                self.data.handle_packet(now, packet);
            }
            let mut asked = vec![];
            for count in 0.. {
                assert!(count < MAX_OUTPUTS, "polling comes to an end");
                match self.audio.poll(now) {
                    AudioOutput::Frame(frame) => self.frames.push(frame),
                    AudioOutput::Timeout(at) => {
                        assert!(at.is_none_or(|at| at > now));
                        break;
                    }
                    _ => {}
                }
            }
            for count in 0.. {
                assert!(count < MAX_OUTPUTS, "polling comes to an end");
                match self.data.poll(now) {
                    DataOutput::Message(message) => self.messages.push(message),
                    DataOutput::Transmit(packet) => asked.push(packet),
                    DataOutput::Timeout(at) => {
                        assert!(at.is_none_or(|at| at > now));
                        break;
                    }
                    _ => {}
                }
            }
            asked
        })
    }
}

/// Seals any bytes, as one can who has the key.
struct Forger {
    sealer: Sealer,
    packetized: u8,
    ssrc: u32,
}

impl Forger {
    fn packet(&mut self, body: &[u8]) -> Bytes {
        let mut packet = BytesMut::new();
        RtpHeader { ssrc: self.ssrc, ..RtpHeader::default() }.write(&[], &mut packet).unwrap();
        packet.put_u8(0xc0 | self.packetized);
        self.sealer.seal(&[], body, &mut packet).unwrap();
        packet.freeze()
    }
}

/// The honest senders.
fn senders(keys: &mut SenderKeys) -> (AudioSender, DataSender) {
    let mut config = DataSenderConfig::new(DATA);
    config.max_packet = 200;
    let audio = AudioSender::new(AudioSenderConfig::new(AUDIO), keys.sealer(Context::audio(0)).unwrap());
    (audio, DataSender::new(config, keys.sealer(Context::data(0)).unwrap()))
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    let flags = input.byte();
    let (ordered, repair) = (flags & 1 != 0, flags & 2 != 0);
    let mut keys = SenderKeys::fresh(Agreement::default(), SENDER, 0).unwrap();
    let mut epoch = 0;
    let (mut audio, mut messages) = senders(&mut keys);
    let mut receivers = Receivers::new(&keys, 0, ordered, repair);
    // Those of the forger's own streams.
    let mut victims = Receivers::new(&keys, 1, ordered, repair);
    let mut forgers = [
        Forger { sealer: keys.sealer(Context::audio(1)).unwrap(), packetized: 0, ssrc: AUDIO },
        Forger { sealer: keys.sealer(Context::data(1)).unwrap(), packetized: 0x20, ssrc: DATA },
    ];
    let (mut frames_sent, mut messages_sent): (Vec<Vec<u8>>, Vec<Vec<u8>>) = (vec![], vec![]);
    let (mut sent, mut forwarded): (Vec<Bytes>, usize) = (vec![], 0);
    let mut now = Time::ZERO;
    while !input.is_empty() {
        let step = input.byte();
        let one = |place: u16| sent.len().checked_sub(1 + usize::from(place)).map(|at| &sent[at]);
        let mut packet = None;
        match step % 10 {
            0 => {
                let mut payload = (frames_sent.len() as u32).to_be_bytes().to_vec();
                payload.extend(input.bytes());
                let level = AudioLevel { below: step & 127, voice: step & 1 != 0 };
                let (timestamp, after_pause) = (frames_sent.len() as u32 * 960, false);
                let frame = OutgoingAudio { payload: &payload, timestamp, after_pause, level };
                audio.handle_frame(now, &frame).unwrap();
                frames_sent.push(payload);
            }
            1 => {
                let mut message = (messages_sent.len() as u32).to_be_bytes().to_vec();
                let times = usize::from(input.byte() % 16);
                message.extend(input.bytes().repeat(times));
                messages.handle_message(now, &message).unwrap();
                messages_sent.push(message);
            }
            2 => packet = one(input.byte().into()).cloned(),
            3 => {
                packet = one(input.u16() % 512).map(|packet| {
                    let mut packet = packet.to_vec();
                    let other = one(input.byte().into()).cloned().unwrap_or_default();
                    damage(&mut packet, input.bytes(), &other);
                    packet.into()
                });
            }
            // Under another number.
            4 => {
                packet = one(input.byte().into()).map(|packet| {
                    let mut packet = packet.to_vec();
                    RtpPacketMut::new(&mut packet).unwrap().set_sequence_number(input.u16());
                    packet.into()
                });
            }
            5 => now += input.pause(),
            6 => {
                epoch += 1;
                keys = SenderKeys::fresh(Agreement::default(), SENDER, epoch).unwrap();
                if step & 0x10 == 0 {
                    audio.rekey(&mut keys, 0).unwrap();
                    messages.rekey(&mut keys, 0).unwrap();
                } else {
                    // The sender's program starts anew.
                    (audio, messages) = senders(&mut keys);
                }
            }
            7 => receivers.add_keys(now, &keys),
            8 => {
                let bytes = [&[0x81, 205, 0, 3, 0, 0, 0, 1, 0, 0, 0, DATA as u8], input.bytes()].concat();
                messages.handle_feedback(now, &bytes);
            }
            _ => {
                let packet = forgers[usize::from(input.byte() & 1)].packet(input.bytes());
                victims.handle(now, Some(packet));
            }
        }
        for count in 0.. {
            assert!(count < MAX_OUTPUTS, "polling comes to an end");
            let SenderOutput::Transmit(packet) = audio.poll(now) else { break };
            sent.push(packet);
        }
        for count in 0.. {
            assert!(count < MAX_OUTPUTS, "polling comes to an end");
            let SenderOutput::Transmit(packet) = messages.poll(now) else { break };
            assert!(packet.len() <= 200);
            sent.push(packet);
        }
        let mut asked = receivers.handle(now, packet);
        // The next ones, of which some are lost.
        let (count, lost) = (usize::from(step >> 4), if step & 8 != 0 { input.byte() } else { 0 });
        for (at, packet) in sent.iter().enumerate().skip(forwarded).take(count) {
            forwarded = at + 1;
            if lost >> (at % 8) & 1 == 0 {
                asked.extend(receivers.handle(now, Some(packet.clone())));
            }
        }
        asked.iter().for_each(|packet| messages.handle_feedback(now, packet));
        victims.handle(now, None);
    }
    receivers.handle(now + Duration::from_secs(10), None);
    victims.handle(now + Duration::from_secs(10), None);

    let number = |bytes: &[u8]| u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
    let heard: Vec<usize> = receivers.frames.iter().map(|frame| number(&frame.payload)).collect();
    assert!(heard.is_sorted_by(|a, b| a < b), "frames in order, and each once");
    assert!(receivers.frames.iter().all(|frame| frames_sent[number(&frame.payload)] == frame.payload));
    let mut got: Vec<usize> = receivers.messages.iter().map(|message| number(message)).collect();
    assert!(receivers.messages.iter().all(|message| messages_sent[number(message)] == *message));
    if !ordered {
        got.sort_unstable();
    }
    assert!(got.is_sorted_by(|a, b| a < b), "messages in order, and each once");
    assert!(victims.messages.iter().all(|message| message.len() <= 4096));
});
