//! The way to the relay, and back to it.

use layercast::Time;
use layercast_meeting::{Credential, LinkDescription, Request};

use crate::notice::Notice;
use crate::requests::Purpose;
use crate::{Attendee, Entry, Media, Output};

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
                Err(error) => return self.end(&error.to_string()),
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
        self.link_up = false;
        self.ask(Purpose::Link, Request::Link(description));
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
