//! What everybody sees of a stream at one time.

use layercast::picture::Picture;
use layercast::{Size, Time};

use crate::outcome::{Seen, View};
use crate::person::Person;
use crate::stream::Stream;

/// The size of the picture of ciphertext, in bytes.
pub const NOISE: Size = Size::new(160, 90);

/// The views of a stream, first those of the sender and of the relay.
pub fn views(now: Time, stream: &Stream, people: &[Person], stream_at: usize) -> Vec<View> {
    let sealed = |title: &str, caption: String| {
        let seen = Seen::Ciphertext(NOISE, stream.ciphertext.iter().copied().collect());
        View { title: title.into(), caption, seen }
    };
    let source = stream.pictures.at(now);
    let mut views = vec![
        shown(
            &people[stream.owner].name,
            format!("what the camera or the screen gives: {}", stream.size),
            &source,
        ),
        sealed("The relay", "the last 14 kB of it that came, a byte a pixel".into()),
    ];
    for person in people {
        let screens = person.screens.iter().filter(|screen| screen.stream == stream_at);
        for screen in screens {
            if let Some(left) = person.left {
                let caption = format!("removed at {:.0} s", left.since_start().as_secs_f64());
                views.push(sealed(&person.name, caption));
            } else if let Some((captured, picture)) = screen.last.as_ref().filter(|_| screen.window.visible) {
                let age = (now - *captured).as_millis();
                let (size, window) = (picture.size(), screen.window.size);
                let caption = format!("{size} in a window of {window}, {age} ms old");
                views.push(shown(&person.name, caption, picture));
            }
        }
    }
    views
}

fn shown(title: &str, caption: String, picture: &Picture) -> View {
    View { title: title.into(), caption, seen: Seen::Picture(picture.clone()) }
}
