//! The participant at work.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use layercast::Time;
use layercast_examples::Result;

use super::args::{Args, unix_now};
use super::link::{Event, Wire};
use super::plan::plan;
use super::print::Printer;
use super::record::{Records, Sounds};
use super::show::{self, Shown, Work};
use super::socket::FromSocket;
use super::threads::{self, Input};
use crate::address::{MeetingLink, RelayAddress};
use crate::commands::{self, Command};
use crate::notice::Notice;
use crate::seat::{Entry, Seat, SeatOutput};

/// What waits for the seat at most; datagrams beyond that are lost, as in a socket's queue.
const INPUTS: usize = 4096;
/// Units that wait to be decoded. Beyond that the machine is too slow.
const UNITS: usize = 64;
/// Inputs that are taken before what follows from them is sent.
const AT_ONCE: usize = 64;
/// After the end, the time for the last words to be sent.
const LAST_WORDS: Duration = Duration::from_millis(150);

struct Participant {
    seat: Seat,
    wire: Wire,
    printer: Printer,
    link: MeetingLink,
    start: Instant,
    outgoing: Option<Sender<String>>,
    decoder: Sender<Work>,
    decoded: BTreeSet<u32>,
    packets: Option<Records>,
    sound: Option<(Records, Sounds)>,
    streams_changed: bool,
    ended: bool,
    relink: Option<Instant>,
    /// Why the relay is not reached.
    unreached: Option<String>,
}

/// Takes part as the arguments say.
///
/// # Errors
/// If files cannot be read or written, the relay is not there when a meeting is to be planned, or the participant was not in the
/// meeting, or was removed from it.
pub fn run(args: &Args) -> Result<()> {
    args.check()?;
    let account = args.account()?;
    let link = match (&args.relay, &args.join) {
        (Some(relay), _) => {
            let relay = RelayAddress::parse(relay)?;
            let title = args.plan.as_deref().ok_or("--plan is missing")?;
            let account = account.clone().ok_or("--account is missing")?;
            let (link, invitations) = plan(&relay, account, title, args.guests)?;
            let printer = Printer::new(args.json, unix_now());
            for link in invitations {
                printer.notice(Time::ZERO, &Notice::Invitation { link: link.to_string() });
            }
            printer.notice(Time::ZERO, &Notice::Planned { link: link.to_string() });
            link
        }
        (None, Some(join)) => MeetingLink::parse(join)?,
        (None, None) => return Err("--join or --relay is missing".into()),
    };
    let entry = match (account, &link.code) {
        (Some((account, password)), _) => Entry::Account(account, password),
        (None, Some(code)) => Entry::Invitation(code.clone()),
        (None, None) => return Err("the link has no code, and there is no --account".into()),
    };
    let (start, unix) = (Instant::now(), unix_now());
    let seat = Seat::new(args.seat(link.meeting.clone(), entry, unix)?);
    let (inputs, received) = bounded(INPUTS);
    let (decoder, work) = bounded(UNITS);
    let udp = threads::bind(&link.relay)?;
    let wire = Wire::new(udp.try_clone()?, args.path())?;
    let record = |name| args.record.as_deref().map(|directory| Records::new(directory, name)).transpose();
    let mut participant = Participant {
        seat,
        wire,
        printer: Printer::new(args.json, unix),
        link,
        start,
        outgoing: None,
        decoder,
        decoded: BTreeSet::new(),
        packets: record("packets.bin")?,
        sound: record("sound.bin")?.zip(args.record.as_deref().map(Sounds::new)),
        streams_changed: false,
        ended: false,
        relink: None,
        unreached: None,
    };
    threads::start(args, &participant.link.relay, &participant.seat, &inputs, udp)?;
    let decoding = {
        let (inputs, record) = (inputs.clone(), args.record.clone());
        std::thread::spawn(move || {
            let done = show::run(&work, record, |shown| inputs.send(Input::Shown(shown)).is_ok());
            done.map_err(|error| error.to_string())
        })
    };
    drop(inputs);
    participant.work(&received, Duration::from_millis(args.lines), args.seconds.map(Duration::from_secs))?;
    let now = participant.time(Instant::now());
    participant.printer.summary(now, &participant.seat);
    participant.wire.close(Instant::now());
    let outcome = participant.seat.outcome();
    let Participant { packets, sound, outgoing, decoder, .. } = participant;
    // The thread of the WebSocket sends what is left.
    drop(outgoing);
    drop((decoder, received));
    std::thread::sleep(LAST_WORDS);
    packets.map_or(Ok(()), Records::finish)?;
    sound.map_or(Ok(()), |(records, sounds)| records.finish().and_then(|()| sounds.finish()))?;
    decoding.join().map_err(|_| "the decoder's thread panicked")??;
    Ok(outcome?)
}

impl Participant {
    fn time(&self, now: Instant) -> Time {
        Time::new(now - self.start)
    }

    fn work(&mut self, inputs: &Receiver<Input>, every: Duration, seconds: Option<Duration>) -> Result<()> {
        let mut lines = self.start + every;
        let end = seconds.map(|seconds| self.start + seconds);
        while !self.ended {
            let wake = self.pump()?;
            let now = Instant::now();
            if now >= lines {
                lines = (lines + every).max(now);
                if self.seat.is_seated() {
                    self.printer.link(self.time(now), self.wire.counts());
                    self.printer.streams(self.time(now), &self.seat);
                }
            }
            if end.is_some_and(|end| now >= end) {
                self.seat.handle_command(self.time(now), Command::Quit);
                continue;
            }
            let wake = [wake, Some(lines), end].into_iter().flatten().min().unwrap_or(lines);
            let mut input = match inputs.recv_deadline(wake) {
                Ok(input) => Some(input),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return Err("all threads have ended".into()),
            };
            for _ in 0..AT_ONCE {
                let Some(next) = input.take() else { break };
                let codes = matches!(next, Input::Picture(..));
                self.handle(next)?;
                if codes {
                    break;
                }
                input = inputs.try_recv().ok();
            }
            // The last one of many was taken out already.
            if let Some(input) = input {
                self.handle(input)?;
            }
        }
        Ok(())
    }

    fn handle(&mut self, input: Input) -> Result<()> {
        let now = Instant::now();
        let time = self.time(now);
        match input {
            Input::Relay(FromSocket::Connected(outgoing)) => {
                (self.outgoing, self.unreached) = (Some(outgoing), None);
                self.seat.handle_connected();
            }
            Input::Relay(FromSocket::Message(message)) => {
                self.seat.handle_message(time, *message);
                self.streams_changed = true;
            }
            Input::Relay(FromSocket::Closed(why)) => {
                self.outgoing = None;
                self.wire.close(now);
                self.not_reached(time, &why);
                self.seat.handle_disconnected(time, &why);
                self.streams_changed = true;
            }
            // It was the right one before, and may be again.
            Input::Relay(FromSocket::Failed(why)) if self.seat.was_connected() => {
                self.not_reached(time, &why.to_string());
            }
            Input::Relay(FromSocket::Failed(why)) => return Err(why.into()),
            Input::Datagram(from, datagram, arrived) => {
                if let Some(packet) = self.wire.arrive(now, from, datagram) {
                    self.packet(time, self.time(arrived), packet)?;
                }
            }
            Input::Picture(place, picture, busy) => {
                match self.seat.handle_picture(time, place, &picture.view()) {
                    Ok(true) => self.seat.handle_encode_time(place, now.elapsed()),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, "a picture was not sent"),
                }
                busy.store(false, Ordering::Release);
            }
            Input::Sound(packet, timestamp) => {
                if let Err(error) = self.seat.handle_audio(time, &packet, timestamp) {
                    tracing::warn!(%error, "a frame of sound was not sent");
                }
            }
            Input::Shown(Shown { stream, timestamp, picture, at, took }) => match picture {
                Some(picture) => {
                    self.seat.handle_decoded(self.time(at), stream, timestamp, picture, Some(took))
                }
                None => self.seat.handle_decode_error(time, stream),
            },
            Input::Line(line) => match (Command::parse(&line), commands::link_kbps(&line)) {
                (Some(command), _) => self.seat.handle_command(time, command),
                (None, Some(kbps)) => self.wire.set_kbps(kbps),
                (None, None) if line.trim().is_empty() => {}
                (None, None) if commands::is_help(&line) => {
                    self.printer.notice(time, &Notice::Help { commands: commands::HELP.into() });
                }
                (None, None) => self.printer.notice(time, &Notice::NoCommand { line }),
            },
            Input::Failed(why) => return Err(why.into()),
        }
        Ok(())
    }

    /// Says why the relay is not reached, once for each reason.
    fn not_reached(&mut self, now: Time, why: &str) {
        let is_news = self.unreached.as_deref() != Some(why);
        if is_news && !self.seat.is_connected() {
            self.unreached = Some(why.into());
            self.printer.notice(now, &Notice::NotReached { why: why.into() });
        }
    }

    fn packet(&mut self, now: Time, arrived: Time, packet: Bytes) -> Result<()> {
        if let Some(packets) = &mut self.packets {
            packets.write(arrived.since_start(), 0, &packet)?;
        }
        self.seat.handle_packet(now, arrived, packet);
        Ok(())
    }

    /// Does all that is due, and says when there is more.
    fn pump(&mut self) -> Result<Option<Instant>> {
        loop {
            let now = Instant::now();
            let time = self.time(now);
            while let Some(packet) = self.wire.next_packet(now) {
                self.packet(time, time, packet)?;
            }
            let (event, wire_wakes) = self.wire.poll(now);
            match event {
                Some(Event::Up) => self.seat.handle_link_state(time, true),
                Some(Event::Down(why)) => {
                    tracing::warn!(why, "the link is down");
                    self.relink = Some(now + Duration::from_millis(300));
                }
                None => {}
            }
            if self.relink.is_some_and(|at| at <= now) {
                self.relink = None;
                self.seat.handle_link_state(time, false);
            }
            if std::mem::take(&mut self.streams_changed) {
                self.follow_streams(now);
            }
            match self.seat.poll(time) {
                SeatOutput::Timeout(at) => {
                    let at = at.map(|at| self.start + at.since_start());
                    return Ok([at, wire_wakes, self.relink].into_iter().flatten().min());
                }
                output => self.take(now, output)?,
            }
            if self.ended {
                return Ok(None);
            }
        }
    }

    fn take(&mut self, now: Instant, output: SeatOutput) -> Result<()> {
        let time = self.time(now);
        match output {
            SeatOutput::Request(request) => {
                if let Some(outgoing) = &self.outgoing {
                    // If the connection is gone, the seat is about to hear of it.
                    let _ = outgoing.send(request.to_text());
                }
            }
            SeatOutput::MakeLink => {
                self.relink = None;
                let description = self.wire.describe()?;
                self.seat.handle_link(time, description);
            }
            SeatOutput::Link(description) => {
                self.relink = None;
                if let Err(error) = self.wire.connect(now, &description) {
                    self.seat.handle_link_failed(time, &format!("the relay's end of the link: {error}"));
                }
                self.streams_changed = true;
            }
            SeatOutput::Packet(packet) => self.wire.send(now, &packet),
            SeatOutput::Unit(stream, unit) => {
                if self.decoder.try_send(Work::Unit(stream, unit.into())).is_err() {
                    tracing::info!(stream, "the decoder is behind");
                    self.seat.handle_decode_error(time, stream);
                }
            }
            SeatOutput::Audio(stream, frame) => {
                if let Some((records, sounds)) = &mut self.sound {
                    records.write(time.since_start(), stream, &frame.payload)?;
                    sounds.write(stream, frame.timestamp, &frame.payload)?;
                }
            }
            SeatOutput::Invitation(code) => {
                let link = MeetingLink { code: Some(code), ..self.link.clone() };
                self.printer.notice(time, &Notice::Invitation { link: link.to_string() });
            }
            SeatOutput::Notice(notice) => self.printer.notice(time, &notice),
            SeatOutput::Ended => self.ended = true,
            SeatOutput::Timeout(_) => {}
        }
        Ok(())
    }

    /// The link takes the streams that there are, and decoders of those that are over go.
    fn follow_streams(&mut self, now: Instant) {
        let own: Vec<_> =
            self.seat.sources().filter_map(|(_, source, _)| source.live).map(|live| live.ssrc).collect();
        let others = self.seat.feeds().map(|feed| (feed.stream.ssrc, feed.stream.kind));
        if let Err(error) = self.wire.set_streams(others, own.into_iter()) {
            // Another link has room for all streams that there are.
            self.wire.close(now);
            self.seat.handle_link_failed(self.time(now), &error.to_string());
        }
        let streams: BTreeSet<u32> = self.seat.feeds().map(|feed| feed.stream.stream).collect();
        for ended in self.decoded.difference(&streams) {
            // A full queue keeps a decoder for longer, which harms nobody.
            let _ = self.decoder.try_send(Work::End(*ended));
        }
        self.decoded = streams;
    }
}
