//! What the log says: what was done and refused, in which meeting and by which participant of it. No names, no addresses,
//! no tokens.

use std::fmt;
use std::hash::BuildHasher as _;

use layercast_meeting::{Refusal, Request};

use super::{Desk, DeskOutput, LOGGED, Now};
use crate::media_api::MeetingKey;

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// What was asked for or happened.
    pub what: &'static str,
    /// A short name of the meeting, which is another after each start of the relay.
    pub meeting: Option<u32>,
    /// The participant's number.
    pub participant: Option<u32>,
    /// Why it was refused; it was done if there is no reason.
    pub refusal: Option<Refusal>,
    /// What failed in the relay itself, or how often something happened.
    pub detail: Option<String>,
}

impl AuditEvent {
    pub(super) fn failed(what: &'static str, error: &dyn fmt::Display) -> Self {
        let detail = Some(error.to_string());
        Self { what, meeting: None, participant: None, refusal: Some(Refusal::Failed), detail }
    }
}

impl Desk {
    pub(super) fn log(
        &mut self,
        now: Now,
        what: &'static str,
        meeting: Option<MeetingKey>,
        participant: Option<u32>,
        refusal: Option<Refusal>,
    ) {
        // Whoever is refused often shall not fill the disk.
        if refusal.is_some() && !self.logged.take(LOGGED, now.at) {
            self.unlogged += 1;
            return;
        }
        let short = |key: MeetingKey| {
            let id = self.meetings.get(&key).map(|meeting| &meeting.id)?;
            Some((self.log_salt.hash_one(id) >> 32) as u32)
        };
        let meeting = meeting.and_then(short);
        let event = AuditEvent { what, meeting, participant, refusal, detail: None };
        self.out.push_back(DeskOutput::Log(event));
    }

    pub(super) fn log_unlogged(&mut self) {
        let count = std::mem::take(&mut self.unlogged);
        if count > 0 {
            let detail = Some(format!("{count} refusals are not in the log"));
            let what = "flood";
            let event = AuditEvent { what, meeting: None, participant: None, refusal: None, detail };
            self.out.push_back(DeskOutput::Log(event));
        }
    }
}

/// A request's name in the log.
pub(super) fn kind(request: &Request) -> &'static str {
    match request {
        Request::Login { .. } => "login",
        Request::Session { .. } => "session",
        Request::Logout => "logout",
        Request::Plan { .. } => "plan",
        Request::Appoint { .. } => "appoint",
        Request::Invite { .. } => "invite",
        Request::Join { .. } => "join",
        Request::Leave => "leave",
        Request::Admit { .. } => "admit",
        Request::Remove { .. } => "remove",
        Request::Allow { .. } => "allow",
        Request::Lock { .. } => "lock",
        Request::HandOver { .. } => "hand_over",
        Request::End => "end",
        Request::LimitCamera { .. } => "limit_camera",
        Request::Commit { .. } => "commit",
        Request::Propose { .. } => "propose",
        Request::Link(_) => "link",
        Request::Publish { .. } => "publish",
        Request::Unpublish { .. } => "unpublish",
        Request::Report { .. } => "report",
        Request::Say { .. } => "say",
        _ => "unknown",
    }
}
