//! Planning a meeting: an account asks for it, and for invitations.

use layercast_examples::Result;
use layercast_meeting::{Answer, FromRelay, MeetingId, Numbered, Request, Secret, Text};
use tungstenite::Message;

use super::socket::open;
use crate::address::{MeetingLink, RelayAddress};

/// Plans a meeting and makes invitations. Returns the meeting's link, and one for each guest.
///
/// # Errors
/// If the relay is not there, or refuses.
pub fn plan(
    relay: &RelayAddress,
    (account, password): (Text, Secret),
    title: &str,
    guests: u32,
) -> Result<(MeetingLink, Vec<MeetingLink>)> {
    let title = Text::new(title).ok_or("--plan: not a title")?;
    let mut socket = open(relay)?;
    let mut last = 0;
    let mut ask = |request| -> Result<Answer> {
        last += 1;
        socket.send(Message::text(Numbered { id: last, request }.to_text()))?;
        loop {
            let Message::Text(text) = socket.read()? else { continue };
            match FromRelay::parse(&text)? {
                FromRelay::Answer { id, result } if id == last => return Ok(result?),
                _ => {}
            }
        }
    };
    ask(Request::Login { account, password })?;
    let Answer::Planned(meeting) = ask(Request::Plan { title })? else {
        return Err("no meeting was planned".into());
    };
    let link =
        |meeting: &MeetingId, code| MeetingLink { relay: relay.clone(), meeting: meeting.clone(), code };
    let mut invitations = Vec::new();
    for _ in 0..guests {
        match ask(Request::Invite { meeting: meeting.clone() })? {
            Answer::Invitation(code) => invitations.push(link(&meeting, Some(code))),
            _ => return Err("no invitation was made".into()),
        }
    }
    Ok((link(&meeting, None), invitations))
}
