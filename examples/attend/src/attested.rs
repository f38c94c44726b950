//! Who sealed what comes. All members have all keys, so that each could seal in another's name; therefore members sign what they
//! sealed, twice a second, and whoever seals in the name of one who signs is found out.
//!
//! Of a stream with a frame in the place of one that its sender signed for, somebody else seals frames. Of one of which most was
//! signed for by nobody, it is not known; a relay that withholds what the sender signs brings that about too. Neither is shown:
//! the first for good, the second until its sender signs for it again. Who does not say in its leaf that it signs is told of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use layercast::Time;
use layercast::e2ee::Context;
use layercast::e2ee::attest::{
    AttestationChecker, AttestationError, Attester, DELAY, INTERVAL, SigningFailed, Verdict,
};
use layercast::e2ee::mls::{Change, Group};
use layercast_meeting::{Kind, Request, Stream};

use crate::circle::{agreement, show_name};
use crate::events::kind_name;
use crate::notice::Notice;
use crate::requests::Purpose;
use crate::sayings::{self, PLACE};
use crate::seen::{Class, Place, place};
use crate::{Attendee, Media};

/// The verdicts of so long decide about a stream.
const PERIOD: Duration = Duration::from_secs(2);

/// Who seals a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// Its sender, as far as is known.
    #[default]
    Sender,
    /// Nobody knows.
    Unknown,
    /// Somebody else.
    Other,
}

/// The verdicts on a stream.
#[derive(Debug, Default)]
struct Verdicts {
    origin: Origin,
    counts: Counts,
    /// When the period began that is judged next, and what was counted before it.
    period: Option<(Time, Counts)>,
}

/// Frames of a stream since it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Those that its sender signed for.
    pub attested: u64,
    /// Those that nobody signed for.
    pub unattested: u64,
    /// Those that are somebody else's.
    pub forged: u64,
}

impl Verdicts {
    fn take(&mut self, now: Time, verdict: Verdict) {
        let (since, before) = *self.period.get_or_insert((now, self.counts));
        match verdict {
            Verdict::Attested => self.counts.attested += 1,
            Verdict::Forged => {
                self.origin = Origin::Other;
                self.counts.forged += 1;
            }
            _ => self.counts.unattested += 1,
        }
        if now - since >= PERIOD {
            self.period = None;
            let Counts { attested, unattested, .. } = self.counts;
            let is_unknown = unattested - before.unattested > attested - before.attested;
            if self.origin != Origin::Other {
                self.origin = if is_unknown { Origin::Unknown } else { Origin::Sender };
            }
        }
    }
}

/// What we sign, and what is known of who sealed what comes.
#[derive(Debug, Default)]
pub struct Attested {
    attester: Option<Attester>,
    /// Of the members who sign.
    checkers: BTreeMap<u32, AttestationChecker>,
    streams: BTreeMap<Place, Verdicts>,
}

impl Attested {
    /// An epoch began.
    pub fn enter(&mut self, group: &Group) {
        let members: Vec<u32> = group.members().map(|member| member.index).collect();
        self.checkers.retain(|member, _| members.contains(member));
        self.streams.retain(|(member, _), _| members.contains(member));
        for member in members.into_iter().filter(|it| *it != group.member() && group.attests(*it)) {
            if let Some(sender) = group.sender(member) {
                self.checkers.entry(member).or_insert_with(|| AttestationChecker::new(DELAY)).enter(sender);
            }
        }
        // It is asked at its intervals.
        self.attester.get_or_insert_with(|| group.attester(Duration::ZERO));
    }

    /// Signs what it is told that we sealed.
    pub fn attester(&self) -> Option<&Attester> {
        self.attester.as_ref()
    }

    /// What checks the frames of a member, if that signs what it seals.
    pub fn checker(&self, member: u32) -> Option<AttestationChecker> {
        self.checkers.get(&member).cloned()
    }

    /// The frames of a stream.
    pub fn counts(&self, stream: &Stream) -> Counts {
        self.streams.get(&place(stream)).map(|verdicts| verdicts.counts).unwrap_or_default()
    }

    fn origin(&self, place: Place) -> Origin {
        self.streams.get(&place).map(|verdicts| verdicts.origin).unwrap_or_default()
    }

    /// A stream has ended.
    pub(crate) fn end(&mut self, place: Place) {
        self.streams.remove(&place);
    }

    fn next_message(&self, now: Time) -> Result<Option<Vec<u8>>, SigningFailed> {
        self.attester().map_or(Ok(None), |attester| attester.poll(now))
    }

    /// Takes what a member signed.
    pub(crate) fn handle(&self, now: Time, member: u32, message: &[u8]) -> Result<(), AttestationError> {
        self.checkers.get(&member).map_or(Ok(()), |checker| checker.handle(now, message))
    }

    /// Of the streams that there are, those of whose sender we now know otherwise.
    fn judge(&mut self, now: Time, streams: &BTreeSet<Place>) -> Vec<(Place, Origin)> {
        let mut changed = Vec::new();
        for (member, checker) in &self.checkers {
            while let Some(checked) = checker.poll(now) {
                let Some(track) = track(agreement().layout.context(checked.key_id)) else { continue };
                let place = (*member, track);
                // The last frames of a stream that has ended are nobody's concern.
                if track != PLACE && !streams.contains(&place) {
                    continue;
                }
                let verdicts = self.streams.entry(place).or_default();
                let before = verdicts.origin;
                verdicts.take(now, checked.verdict);
                if verdicts.origin != before {
                    changed.push((place, verdicts.origin));
                }
            }
        }
        changed
    }
}

/// The stream of a key.
fn track(context: Context) -> Option<(Class, u16)> {
    let track = u16::try_from(context.0 >> 3).ok()?;
    let classes = [(Context::audio(track), Class::Audio), (Context::data(track), Class::Data)];
    let other = classes.into_iter().find(|(of, _)| *of == context).map(|(_, class)| class);
    let is_video = (0..4).any(|layer| Context::video(track, layer) == context);
    other.or(is_video.then_some(Class::Video)).map(|class| (class, track))
}

impl<M: Media> Attendee<M> {
    /// Says for what of all that we sealed we stand, and looks at what others do not stand for.
    pub(crate) fn attest(&mut self, now: Time) {
        self.next_attestation = Some(now + INTERVAL);
        // Without random numbers nothing is signed, and the next time may be better.
        while let Ok(Some(message)) = self.circle.attested().next_message(now) {
            match self.sayings.seal(sayings::What::Attestation, &message) {
                Ok(message) => self.ask(Purpose::Say, Request::Say { message }),
                Err(error) => return self.refused("attestation", error.to_string()),
            }
        }
        self.judge(now);
    }

    pub(crate) fn judge(&mut self, now: Time) {
        let streams = self.media.streams().map(place).collect();
        for (at, origin) in self.circle.attested_mut().judge(now, &streams) {
            let who = self.circle.name_of(at.0);
            let stream = self.media.streams().find(|it| place(it) == at).copied();
            let what = match stream {
                Some(stream) => format!("stream {} ({})", stream.stream, kind_name(stream.kind)),
                None => kind_name(Kind::Data).into(),
            };
            if let Some(stream) = stream {
                self.media.withhold(now, stream.stream, origin != Origin::Sender);
            }
            self.notice(match origin {
                Origin::Sender => Notice::Proven { who, what },
                Origin::Unknown => Notice::Unproven { who, what },
                Origin::Other => Notice::Forged { who, what },
            });
        }
    }

    /// A stream begins that may have been here before.
    pub(crate) fn begin_checking(&mut self, now: Time, stream: &Stream) {
        if self.circle.attested().origin(place(stream)) != Origin::Sender {
            self.media.withhold(now, stream.stream, true);
        }
    }

    /// Tells who of the newcomers, or of all if we are the newcomer, does not sign.
    pub(crate) fn tell_who_does_not_attest(&mut self, change: Option<&Change>) {
        let Some(group) = self.circle.group() else { return };
        let others = match change {
            Some(change) => change.added.clone(),
            None => group.members().filter(|member| member.index != group.member()).collect(),
        };
        let silent: Vec<_> = others.into_iter().filter(|member| !group.attests(member.index)).collect();
        for member in silent {
            self.notice(Notice::NotAttested { name: show_name(&member.name) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tenths: u64) -> Time {
        Time::from_millis(100 * tenths)
    }

    #[test]
    fn a_stream_is_its_senders_while_most_of_it_is_signed_for() {
        let mut verdicts = Verdicts::default();
        for n in 0..40 {
            verdicts.take(seconds(n), if n % 3 == 0 { Verdict::Unattested } else { Verdict::Attested });
        }
        assert_eq!(verdicts.origin, Origin::Sender);
        (40..65).for_each(|n| verdicts.take(seconds(n), Verdict::Unattested));
        assert_eq!(verdicts.origin, Origin::Unknown);
        (65..90).for_each(|n| verdicts.take(seconds(n), Verdict::Attested));
        assert_eq!(verdicts.origin, Origin::Sender);
        verdicts.take(seconds(90), Verdict::Forged);
        assert_eq!(verdicts.origin, Origin::Other);
        (91..200).for_each(|n| verdicts.take(seconds(n), Verdict::Attested));
        assert_eq!(verdicts.origin, Origin::Other, "what is proven stays so");
    }

    #[test]
    fn keys_name_their_streams() {
        assert_eq!(track(Context::video(7, 3)), Some((Class::Video, 7)));
        assert_eq!(track(Context::audio(7)), Some((Class::Audio, 7)));
        assert_eq!(track(Context::data(u16::MAX)), Some(PLACE));
        assert_eq!(track(Context::attestation(7)), None);
        assert_eq!(track(Context(u64::MAX)), None);
    }
}
