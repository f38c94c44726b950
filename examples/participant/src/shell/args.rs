//! The command line, and what it means.

use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Parser;
use layercast::Size;
use layercast::e2ee::mls::Identity;
use layercast_examples::{Result, at};
use layercast_meeting::{Secret, Text};

use super::shaper::Path;
use super::sound::Sound;
use super::video::Pictures;
use crate::commands::size_of;
use crate::seat::{Entry, SeatConfig, VideoSource};

fn size(text: &str) -> std::result::Result<Size, String> {
    size_of(text).ok_or_else(|| "a size is WIDTHxHEIGHT".into())
}

fn percent(text: &str) -> std::result::Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=100.0).contains(percent));
    percent.ok_or_else(|| "not from 0 to 100".into())
}

/// Takes part in a meeting over a relay, end-to-end encrypted, without a camera, a microphone or a screen: what it sends comes
/// from files or is drawn, and what it gets is decoded, measured and counted.
#[derive(Parser, Debug, Clone)]
pub struct Args {
    /// The link of a meeting: https://HOST:PORT/m/MEETING#code=CODE&cert=SHA256. The code is an invitation, which serves once;
    /// cert is the SHA-256 of the relay's certificate, without which an authority has to vouch for it.
    #[arg(long, required_unless_present = "relay", conflicts_with = "relay")]
    pub join: Option<String>,
    /// A relay at which a meeting is to be planned: https://HOST:PORT#cert=SHA256.
    #[arg(long, requires_all = ["plan", "account"])]
    pub relay: Option<String>,
    /// The title of the meeting to be planned. Its planner is its organizer.
    #[arg(long)]
    pub plan: Option<String>,
    /// Invitations to be made for it.
    #[arg(long, default_value_t = 0)]
    pub guests: u32,
    /// The name that the others see.
    #[arg(long)]
    pub name: String,
    /// An account at the relay, in place of an invitation.
    #[arg(long, requires = "password_file")]
    pub account: Option<String>,
    /// A file with its password.
    #[arg(long)]
    pub password_file: Option<PathBuf>,
    /// The camera: a Y4M file (8-bit 4:2:0), or `scene` for a video call drawn by code.
    #[arg(long)]
    pub video: Option<String>,
    /// The size of a camera that is drawn.
    #[arg(long, default_value = "640x360", value_parser = size)]
    pub size: Size,
    /// The highest spatial layer of the camera that guests and people from outside have keys for, from 0. Who has no account
    /// of the organization sends no camera with it.
    #[arg(long, requires = "account", value_parser = clap::value_parser!(u8).range(..4))]
    pub guest_limit: Option<u8>,
    /// The shared screen: `scene` for one drawn by code, or a Y4M file.
    #[arg(long)]
    pub share: Option<String>,
    /// The size of a screen that is drawn.
    #[arg(long, default_value = "960x540", value_parser = size)]
    pub share_size: Size,
    /// Sound: an Ogg Opus file with packets of 20 ms, or `tone`, which is 32 kbit/s of packets that decode to silence.
    #[arg(long)]
    pub audio: Option<String>,
    /// The windows that the others are shown in, in pixels; 0x0 if nobody looks.
    #[arg(long, default_value = "640x360", value_parser = size)]
    pub window: Size,
    /// The milliseconds that a picture may take this machine: each of one's own to be coded, from one to the next; and all
    /// that others show in 1/30 s to be decoded. What takes more is coded with less effort or fewer layers, and not asked of
    /// others.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(1..))]
    pub cpu_budget: Option<u32>,
    /// What the link carries each way, in kbit/s, with a queue of 300 ms: for tests. There is no limit otherwise.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    pub link_kbps: Option<u32>,
    /// The milliseconds that the link takes each way: for tests.
    #[arg(long, value_name = "MS", default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=10_000))]
    pub link_delay: u64,
    /// Of a hundred datagrams, those that the link loses each way, at random: for tests.
    #[arg(long, value_name = "PERCENT", default_value_t = 0.0, value_parser = percent)]
    pub link_loss: f64,
    /// Milliseconds from one line about each stream to the next.
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(50..))]
    pub lines: u64,
    /// A directory for what came: opened temporal units as IVF, sound as Ogg Opus, and packets as they came, still sealed.
    #[arg(long)]
    pub record: Option<PathBuf>,
    /// Leaves after so many seconds.
    #[arg(long)]
    pub seconds: Option<u64>,
    /// A file with the key pair by which others recognise this person; it is made if there is none.
    #[arg(long)]
    pub identity: Option<PathBuf>,
    /// Whether the organizer lets everybody in who knocks, or asks.
    #[arg(long, value_parser = ["all", "ask"], default_value = "ask")]
    pub admit: String,
    /// JSON lines in place of text.
    #[arg(long)]
    pub json: bool,
}

/// Microseconds since 1970.
pub fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as u64)
}

fn text(what: &str, text: &str) -> Result<Text> {
    Text::new(text)
        .ok_or_else(|| format!("{what}: not a text of 1 to 128 bytes without control characters").into())
}

/// Reads a key pair, or makes one that only its owner can read.
fn identity(path: &std::path::Path) -> Result<Identity> {
    match std::fs::read(path) {
        Ok(bytes) => at(path, Identity::from_bytes(&bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let identity = Identity::new()?;
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = at(path, options.open(path))?;
            at(path, file.write_all(identity.as_bytes()))?;
            Ok(identity)
        }
        Err(error) => at(path, Err(error)),
    }
}

impl Args {
    /// The account and its password.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn account(&self) -> Result<Option<(Text, Secret)>> {
        let (Some(account), Some(path)) = (&self.account, &self.password_file) else { return Ok(None) };
        let mut password = at(path, std::fs::read_to_string(path))?;
        password.truncate(password.trim_end_matches(['\n', '\r']).len());
        Ok(Some((text("--account", account)?, Secret::new(password))))
    }

    /// The camera's pictures.
    pub fn camera(&self) -> Option<Pictures> {
        self.video.as_deref().map(|video| match video {
            "scene" => Pictures::Scene(self.size),
            path => Pictures::File(path.into()),
        })
    }

    /// The path to the relay, and back.
    pub fn path(&self) -> Path {
        let delay = Duration::from_millis(self.link_delay);
        Path { kbps: self.link_kbps, delay, loss_percent: self.link_loss }
    }

    /// The screen's pictures.
    pub fn screen(&self) -> Option<Pictures> {
        self.share.as_deref().map(|share| match share {
            "scene" => Pictures::Screen(self.share_size),
            path => Pictures::File(path.into()),
        })
    }

    /// The sound.
    pub fn sound(&self) -> Option<Sound> {
        self.audio.as_deref().map(|audio| match audio {
            "tone" => Sound::Tone,
            path => Sound::File(path.into()),
        })
    }

    /// Whether all that is to be sent is there, before anything is asked of a relay.
    ///
    /// # Errors
    /// If a file cannot be read, or a name is none.
    pub fn check(&self) -> Result<()> {
        text("--name", &self.name)?;
        self.camera().iter().chain(self.screen().iter()).try_for_each(Pictures::check)?;
        self.sound().iter().try_for_each(Sound::check)?;
        self.identity.as_deref().map(identity).transpose()?;
        match &self.record {
            Some(directory) => at(directory, std::fs::create_dir_all(directory)),
            None => Ok(()),
        }
    }

    /// What the participant comes with, into a meeting.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn seat(&self, meeting: layercast_meeting::MeetingId, entry: Entry, unix: u64) -> Result<SeatConfig> {
        let screen_rate = VideoSource::screen(self.share_size).frame_rate;
        let source =
            |pictures: Option<Pictures>, make: fn(Size) -> VideoSource| -> Result<Option<VideoSource>> {
                let Some(pictures) = pictures else { return Ok(None) };
                let (size, frame_rate) = pictures.properties(screen_rate)?;
                Ok(Some(VideoSource { frame_rate, ..make(size) }))
            };
        Ok(SeatConfig {
            meeting,
            entry,
            name: text("--name", &self.name)?,
            identity: self.identity.as_deref().map(identity).transpose()?,
            camera: source(self.camera(), VideoSource::camera)?,
            screen: source(self.screen(), VideoSource::screen)?,
            guest_limit: self.guest_limit,
            audio: self.audio.is_some(),
            window: self.window,
            cpu_budget: self.cpu_budget.map(|budget| Duration::from_millis(budget.into())),
            admit_all: self.admit == "all",
            unix,
        })
    }
}
