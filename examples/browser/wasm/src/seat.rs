//! A participant in a page.

use std::collections::BTreeMap;
use std::time::Duration;

use layercast::e2ee::PageFrame;
use layercast::select::{Priority, Window};
use layercast::structure::LayerId;
use layercast::{Size, Time};
use layercast_attend::commands::Command;
use layercast_attend::notice::Notice;
use layercast_attend::people::Participant;
use layercast_attend::{Attendee, Config, Entry, Output};
use layercast_meeting::wire::rtx_ssrc;
use layercast_meeting::{FromRelay, Kind, LinkDescription};

use crate::config::{self, PageCommand, PageConfig, WindowPriority};
use crate::frame::numbers;
use crate::media::{PageMedia, Refused, SOURCES};
use crate::output::{GroupState, OtherStream, OwnStream, PageOutput, Told, Unpublished, Watched};

/// What a browser's metadata say of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Metadata<'a> {
    /// `frameId`.
    pub frame_id: f64,
    /// `dependencies`.
    pub dependencies: &'a [f64],
    /// `spatialIndex`.
    pub spatial_id: u8,
    /// `temporalIndex`.
    pub temporal_id: u8,
}

/// A participant in a page. Whatever comes from the relay is untrusted, and so are frames.
pub struct PageSeat {
    attendee: Attendee<PageMedia>,
    /// The time does not go back.
    now: Time,
    /// Why it is over.
    why: String,
    /// Whether what the page knows may be another by now.
    has_news: bool,
    own: BTreeMap<usize, OwnStream>,
    others: BTreeMap<u32, OtherStream>,
    people: Vec<Participant>,
    group: Option<GroupState>,
    differences: Vec<u16>,
}

/// Why something that was handed in is of no use.
pub type Wrong = &'static str;

impl PageSeat {
    /// One who has not come yet. `unix` are the microseconds since 1970 at the time 0.
    ///
    /// # Errors
    /// If the configuration is none.
    pub fn new(config: &str, unix: u64) -> Result<Self, Wrong> {
        let config: PageConfig = serde_json::from_str(config).map_err(|_| "config")?;
        let config = Config {
            meeting: config.meeting,
            entry: match config.entry {
                config::Entry::Account(name, password) => Entry::Account(name, password),
                config::Entry::Invitation(code) => Entry::Invitation(code),
            },
            name: config.name,
            identity: None,
            guest_limit: config.guest_limit,
            window: Size::new(config.window[0], config.window[1]),
            cpu_budget: None,
            admit_all: config.admit_all,
            unix,
        };
        let mut attendee = Attendee::new(config, PageMedia::default());
        for kind in SOURCES {
            attendee.add_source(kind, None, false);
        }
        Ok(Self {
            attendee,
            now: Time::ZERO,
            why: String::new(),
            has_news: true,
            own: BTreeMap::new(),
            others: BTreeMap::new(),
            people: Vec::new(),
            group: None,
            differences: Vec::new(),
        })
    }

    /// Its protocol and its groups.
    pub fn attendee(&self) -> &Attendee<PageMedia> {
        &self.attendee
    }

    fn pass(&mut self, now: Time) -> Time {
        self.now = self.now.max(now);
        self.now
    }

    /// The WebSocket is open.
    pub fn handle_connected(&mut self, now: Time) {
        self.pass(now);
        self.has_news = true;
        self.attendee.handle_connected();
    }

    /// The WebSocket is closed.
    pub fn handle_disconnected(&mut self, now: Time, why: &str) {
        let now = self.pass(now);
        self.has_news = true;
        self.attendee.handle_disconnected(now, why);
    }

    /// A message of the relay.
    ///
    /// # Errors
    /// If it is none.
    pub fn handle_message(&mut self, now: Time, text: &str) -> Result<(), Wrong> {
        let now = self.pass(now);
        let message = FromRelay::parse(text).map_err(|_| "protocol")?;
        self.has_news = true;
        self.attendee.handle_message(now, message);
        Ok(())
    }

    /// Does what the page asks for.
    ///
    /// # Errors
    /// If it is no command.
    pub fn handle_command(&mut self, now: Time, json: &str) -> Result<(), Wrong> {
        let now = self.pass(now);
        let command: PageCommand = serde_json::from_str(json).map_err(|_| "command")?;
        self.has_news = true;
        let command = match command {
            PageCommand::Publish { kind, size } => {
                let place = SOURCES.iter().position(|source| *source == kind).ok_or("command")?;
                self.attendee.set_rows(place, size.map(|[_, rows]| rows));
                Command::Unmute(Some(kind))
            }
            PageCommand::Unpublish { kind } => Command::Mute(kind),
            PageCommand::Windows { windows, decode_times, cores } => {
                let budget = cores.map(|cores| Duration::try_from_secs_f32(cores).map_err(|_| "command"));
                self.attendee.set_cpu_budget(budget.transpose()?);
                for (samples, micros) in decode_times {
                    self.attendee.handle_decode_time(samples, Duration::from_micros(micros.into()));
                }
                self.attendee.set_windows(now, windows.into_iter().map(|it| (it.stream, window(&it))));
                return Ok(());
            }
            PageCommand::Admit { participant } => Command::Admit(participant),
            PageCommand::Remove { participant } => Command::Remove(participant),
            PageCommand::HandOver { participant } => Command::HandOver(participant),
            PageCommand::Allow { participant, right, allowed } => Command::Allow(participant, right, allowed),
            PageCommand::Lock { locked } => Command::Lock(locked),
            PageCommand::LimitCamera { audience, max_spatial_id } => Command::Limit(audience, max_spatial_id),
            PageCommand::Invite => Command::Invite,
            PageCommand::Hand { raised } => Command::Hand(raised),
            PageCommand::End => Command::End,
            PageCommand::Leave => Command::Quit,
        };
        self.attendee.handle_command(now, command);
        Ok(())
    }

    /// This end of the link is made.
    ///
    /// # Errors
    /// If the description is none.
    pub fn handle_link(&mut self, now: Time, json: &str) -> Result<(), Wrong> {
        let now = self.pass(now);
        let description: LinkDescription = serde_json::from_str(json).map_err(|_| "link")?;
        self.attendee.handle_link(now, description);
        Ok(())
    }

    /// The link is up, or is down.
    pub fn handle_link_state(&mut self, now: Time, up: bool) {
        let now = self.pass(now);
        self.has_news = true;
        self.attendee.handle_link_state(now, up);
    }

    /// The link came to nothing: another is made after a pause.
    pub fn handle_link_failed(&mut self, now: Time, why: &str) {
        let now = self.pass(now);
        self.has_news = true;
        self.attendee.handle_link_failed(now, why);
    }

    /// All that there is to do at `now`, with the time of the next call at the end.
    pub fn poll(&mut self, now: Time) -> Vec<PageOutput> {
        let now = self.pass(now);
        let mut outputs = Vec::new();
        let timeout = loop {
            outputs.push(match self.attendee.poll(now) {
                Output::Request(request) => PageOutput::Send(request.to_text()),
                Output::MakeLink => PageOutput::MakeLink(true),
                Output::Link(description) => PageOutput::Link(description),
                Output::Notice(notice) => {
                    self.has_news = true;
                    if let Notice::Ended { why } = &notice {
                        self.why.clone_from(why);
                    }
                    PageOutput::Notice(Told { text: notice.to_string(), notice })
                }
                Output::Invitation(code) => PageOutput::Invitation(code),
                Output::Ended => PageOutput::Ended(self.why.clone()),
                Output::Timeout(at) => break at,
            });
        };
        if std::mem::take(&mut self.has_news) {
            self.tell_news(&mut outputs);
        }
        for (place, message) in self.attendee.media.take_demands() {
            let Some((_, source)) = self.attendee.sources().nth(place) else { continue };
            let highest = message.demand.layers().last().map(|layer| layer.bitrate);
            outputs.push(PageOutput::Demand(Watched {
                stream: message.stream.0,
                kind: source.kind,
                wanted: source.demand.iter().map(ToString::to_string).collect(),
                max_bitrate: highest.filter(|bitrate| *bitrate < u32::MAX.into()),
            }));
        }
        outputs.push(PageOutput::Timeout(timeout.map(|at| at.since_start().as_micros() as u64)));
        outputs
    }

    /// What the page does not know yet.
    fn tell_news(&mut self, outputs: &mut Vec<PageOutput>) {
        let group = self.group_state();
        if group != self.group {
            outputs.push(PageOutput::Group(group.clone()));
            self.group = group;
        }
        let people = self.attendee.people();
        if people != self.people {
            outputs.push(PageOutput::People(people.clone()));
            self.people = people;
        }
        let own: BTreeMap<usize, OwnStream> = self
            .attendee
            .sources()
            .filter_map(|(place, source)| {
                let (live, track, kind) = (source.live?, source.track?, source.kind);
                let rtx_ssrc = rtx_ssrc(live.ssrc);
                Some((place, OwnStream { kind, stream: live.stream, ssrc: live.ssrc, rtx_ssrc, track }))
            })
            .collect();
        for (place, was) in &self.own {
            if own.get(place) != Some(was) {
                outputs.push(PageOutput::Unpublished(Unpublished { kind: was.kind, stream: was.stream }));
            }
        }
        for (place, is) in &own {
            if self.own.get(place) != Some(is) {
                outputs.push(PageOutput::Published(*is));
            }
        }
        self.own = own;
        let others: BTreeMap<u32, OtherStream> = self
            .attendee
            .media
            .shown()
            .map(|it| {
                let other = OtherStream {
                    participant: it.participant,
                    // Of whoever it is that has the keys, not whom the relay names.
                    name: self.attendee.circle().name_of(it.member),
                    stream: it.stream,
                    ssrc: it.ssrc,
                    rtx_ssrc: rtx_ssrc(it.ssrc),
                    kind: it.kind,
                    max_spatial_id: self
                        .attendee
                        .circle()
                        .cap(it.member, it.track)
                        .filter(|_| it.kind != Kind::Audio),
                };
                (it.stream, other)
            })
            .collect();
        outputs.extend(
            self.others.keys().filter(|it| !others.contains_key(it)).map(|it| PageOutput::StreamEnded(*it)),
        );
        for (stream, is) in &others {
            if self.others.get(stream) != Some(is) {
                outputs.push(PageOutput::Stream(is.clone()));
            }
        }
        self.others = others;
    }

    fn group_state(&self) -> Option<GroupState> {
        let circle = self.attendee.circle();
        let group = circle.group()?;
        Some(GroupState {
            epoch: group.epoch(),
            members: group.members().count(),
            code: group.code().ok()?.to_string(),
            fingerprint: circle.member(group.member())?.fingerprint.to_string(),
            organizer: circle.is_organizer(),
            insider: circle.is_insider(),
        })
    }

    /// Seals a frame of a video stream of our own, and gives what its transform sends.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn seal_video(
        &mut self,
        stream: u32,
        metadata: Metadata<'_>,
        is_key: bool,
        frame: &[u8],
    ) -> Result<&[u8], Refused> {
        let page = page_frame(metadata, &mut self.differences)?;
        self.attendee.media.seal_video(stream, &page, is_key, frame)
    }

    /// Opens a frame of a video stream of somebody else, as its transform gets it.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn open_video(
        &mut self,
        now: Time,
        stream: u32,
        metadata: Metadata<'_>,
        obu: &[u8],
    ) -> Result<&[u8], Refused> {
        let now = self.pass(now);
        let page = page_frame(metadata, &mut self.differences)?;
        self.attendee.media.open_video(now, stream, &page, obu)
    }

    /// Seals a frame of our own sound.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn seal_audio(&mut self, stream: u32, frame: &[u8]) -> Result<&[u8], Refused> {
        self.attendee.media.seal_audio(stream, frame)
    }

    /// Opens a frame of somebody else's sound.
    ///
    /// # Errors
    /// The kind of the reason.
    pub fn open_audio(
        &mut self,
        now: Time,
        stream: u32,
        sequence_number: Option<u16>,
        payload: &[u8],
    ) -> Result<&[u8], Refused> {
        let now = self.pass(now);
        self.attendee.media.open_audio(now, stream, sequence_number, payload)
    }

    /// What did not open of a stream, by the kind of reason.
    pub fn closed(&self, stream: u32) -> BTreeMap<&'static str, u64> {
        self.attendee.media.closed_of(stream)
    }
}

fn page_frame<'a>(metadata: Metadata<'_>, differences: &'a mut Vec<u16>) -> Result<PageFrame<'a>, Refused> {
    let frame_number = numbers(metadata.frame_id, metadata.dependencies, differences).ok_or("metadata")?;
    let layer = LayerId::new(metadata.spatial_id, metadata.temporal_id);
    Ok(PageFrame { frame_number, layer, frame_diffs: differences })
}

fn window(window: &config::PageWindow) -> Window {
    let [width, height] = window.size;
    let priority = match window.priority {
        WindowPriority::Thumbnail => Priority::Thumbnail,
        WindowPriority::ActiveSpeaker => Priority::ActiveSpeaker,
        WindowPriority::ScreenShare => Priority::ScreenShare,
        WindowPriority::Pinned => Priority::Pinned,
    };
    let max_frame_rate = window.max_frame_rate.filter(|rate| rate.is_finite() && *rate >= 0.0);
    Window { visible: window.visible, max_frame_rate, ..Window::new(Size::new(width, height), priority) }
}
