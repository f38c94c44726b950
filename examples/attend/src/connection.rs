//! The way to the relay, and back to it.

use std::time::Duration;

use layercast::Time;
use layercast_meeting::{Credential, LinkDescription, Request};

use crate::notice::Notice;
use crate::requests::Purpose;
use crate::{Attendee, Entry, Media, Output};

/// From a link that came to nothing to the next, at first and at most.
const LINK_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(32));
/// After so long without such a link, the next pause is the first again.
const LINK_CALM: Duration = Duration::from_secs(120);

impl<M: Media> Attendee<M> {
    /// The WebSocket is open.
    pub fn handle_connected(&mut self) {
        if self.ended {
            return;
        }
        self.connected = true;
        let again = std::mem::replace(&mut self.was_connected, true);
        self.notice(Notice::Connected { again });
        match self.config.entry.clone() {
            Entry::Account(account, password) => {
                // One who comes back needs no password, and comes back even if the session is over.
                let request = match self.session.clone() {
                    Some(token) => Request::Session { token },
                    None => Request::Login { account, password },
                };
                self.ask(Purpose::Login, request);
            }
            Entry::Invitation(_) => self.join(),
        }
    }

    /// The WebSocket is closed. The groups are kept, and streams begin anew.
    pub fn handle_disconnected(&mut self, now: Time, why: &str) {
        if !std::mem::replace(&mut self.connected, false) {
            return;
        }
        self.notice(Notice::Disconnected { why: why.into() });
        self.requests.forget();
        self.outputs.retain(|output| !matches!(output, Output::Request(_)));
        (self.admitted, self.link_up, self.next_report, self.next_join) = (false, false, None, None);
        self.next_link = None;
        self.people.forget_waiting();
        self.sources.unpublish_all();
        self.media.stop_all();
        self.media.end_all(now);
    }

    pub(super) fn join(&mut self) {
        let credential = match (&self.admission, &self.config.entry) {
            (Some(admission), _) => Credential::Return(admission.token.clone()),
            (None, Entry::Account(..)) => Credential::Account,
            (None, Entry::Invitation(code)) => Credential::Invitation(code.clone()),
        };
        let (key_package, insiders_key_package) = match self.circle.group() {
            Some(_) => (None, None),
            None => match self.circle.key_packages() {
                Ok((meeting, insiders)) => (Some(meeting), Some(insiders)),
                Err(error) => return self.fail(&error.to_string()),
            },
        };
        let request = Request::Join {
            meeting: self.config.meeting.clone(),
            credential,
            name: self.config.name.clone(),
            key_package,
            insiders_key_package,
            seen: self.seen,
        };
        self.ask(Purpose::Join, request);
    }

    /// This end of the link is made.
    pub fn handle_link(&mut self, _now: Time, description: LinkDescription) {
        (self.link_up, self.next_link) = (false, None);
        self.ask(Purpose::Link, Request::Link(description));
    }

    /// The link came to nothing, or takes no more streams: another is made after a pause, which grows if that goes on.
    pub fn handle_link_failed(&mut self, now: Time, why: &str) {
        self.link_up = false;
        let is_again = self.link_failed.is_some_and(|at| now - at < LINK_CALM);
        self.link_pause = if is_again { (self.link_pause * 2).min(LINK_PAUSES.1) } else { LINK_PAUSES.0 };
        (self.link_failed, self.next_link) = (Some(now), Some(now + self.link_pause));
        self.notice(Notice::LinkFailed { why: why.into(), seconds: self.link_pause.as_secs() });
    }

    /// The link is up, or is down.
    pub fn handle_link_state(&mut self, now: Time, up: bool) {
        if up && !self.link_up {
            self.notice(Notice::LinkUp);
        }
        if !up && self.admitted {
            self.outputs.push_back(Output::MakeLink);
        }
        self.link_up = up;
        self.next_state = Some(now);
    }
}
