//! What a room does when something is due: packets, decisions, requests, demand.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Output, Room};
use crate::Time;
use crate::congestion::{PacedPacket, ReceivePath};
use crate::relay::config::ParticipantId;
use crate::relay::downlink::{DownlinkOutput, Outgoing};
use crate::relay::outputs::RoomOutput;
use crate::structure::Refresh;

impl Room {
    /// What there is to send or to tell at `now`. Packets are appended to `out`. The program polls until it is told to
    /// wait.
    pub fn poll(&mut self, now: Time, out: &mut Vec<u8>) -> RoomOutput {
        loop {
            if let Some(output) = self.outputs.pop_front() {
                match output {
                    Output::Expelled(participant, reason) => {
                        return RoomOutput::Expelled { participant, reason };
                    }
                    Output::Packet(to, packet) => {
                        let Some(to) = self.id(to) else { continue };
                        out.extend_from_slice(&packet);
                        return RoomOutput::Transmit { to, length: packet.len() };
                    }
                    Output::Forwarded(to, packet) => match self.send(now, to, packet, out) {
                        Some((to, length)) => return RoomOutput::Transmit { to, length },
                        None => continue,
                    },
                    Output::Demand(to, message) => {
                        let Some(to) = self.id(to) else { continue };
                        return RoomOutput::Demand { to, message: *message };
                    }
                }
            }
            if let Some(&at) = self.ready.front() {
                match self.serve(now, at, out) {
                    Some((to, length)) => return RoomOutput::Transmit { to, length },
                    None => {
                        self.ready.pop_front();
                        if let Some(participant) = &mut self.participants[at] {
                            participant.is_ready = false;
                        }
                    }
                }
                continue;
            }
            match self.timers.peek() {
                Some(&Reverse((time, at))) if time <= now => {
                    self.timers.pop();
                    if let Some(participant) = &mut self.participants[at]
                        && participant.wakes == Some(time)
                    {
                        participant.wakes = None;
                        self.mark_ready(at);
                    }
                }
                next => return RoomOutput::Timeout(next.map(|Reverse((time, _))| *time)),
            }
        }
    }

    fn id(&self, at: usize) -> Option<ParticipantId> {
        Some(self.participants[at].as_ref()?.id)
    }

    /// Sends a packet that goes at once, and has the participant served when its path is to be looked after.
    fn send(
        &mut self,
        now: Time,
        at: usize,
        packet: PacedPacket<Outgoing>,
        out: &mut Vec<u8>,
    ) -> Option<(ParticipantId, usize)> {
        let participant = self.participants[at].as_mut()?;
        let length = participant.receiver.downlink.send(now, packet, None, out)?;
        let id = participant.id;
        if !participant.is_ready {
            match participant.receiver.downlink.idle_until(now) {
                Some(next) => self.set_timer(now, at, Some(next)),
                None => participant.queue(at, &mut self.ready),
            }
        }
        Some((id, length))
    }

    /// Does what is due for the first participant that is ready: gives its next packet, or does all else and sets its timer.
    fn serve(&mut self, now: Time, at: usize, out: &mut Vec<u8>) -> Option<(ParticipantId, usize)> {
        let participant = self.participants[at].as_mut()?;
        let path_timeout = loop {
            match participant.receiver.downlink.poll(now, out) {
                DownlinkOutput::Packet(length) => return Some((participant.id, length)),
                DownlinkOutput::Bitrate => {
                    participant.receiver.handle_bitrate(now);
                    participant.is_due = true;
                }
                DownlinkOutput::Dropped(dropped) => {
                    participant.is_due = true;
                    if let Some(dropped) = dropped
                        && let Some(stream) = &self.streams[dropped.stream]
                    {
                        let downlink = &mut participant.receiver.downlink;
                        downlink.replace(now, dropped, &stream.cache, &mut self.variants);
                    }
                }
                DownlinkOutput::Timeout(at) => break at,
            }
        };
        if !std::mem::take(&mut participant.is_due) {
            self.set_timer(now, at, path_timeout);
            return None;
        }
        if participant.receiver.is_due(now) {
            self.decide(now, at);
        }
        self.ask(now, at);
        self.look_after_streams(now, at);
        let participant = self.participants[at].as_mut()?;
        if let Some(uplink) = &mut participant.uplink {
            while let Some(packet) = uplink.poll(now) {
                self.outputs.push_back(Output::Packet(at, packet));
            }
        }
        let streams = participant.streams.iter().filter_map(|&(_, place)| {
            let stream = self.streams[place].as_mut()?;
            stream.wakes = stream.next_timeout();
            stream.wakes
        });
        let uplink = participant.uplink.as_ref().and_then(ReceivePath::next_timeout);
        let timeouts = [path_timeout, uplink, participant.receiver.next_timeout()];
        let next = timeouts.into_iter().flatten().chain(streams).min();
        self.set_timer(now, at, next);
        None
    }

    /// Has a participant served again at a time, if it is not served earlier.
    fn set_timer(&mut self, now: Time, at: usize, next: Option<Time>) {
        let (Some(participant), Some(next)) = (&mut self.participants[at], next) else { return };
        // What is due already is done the next time that somebody polls: nothing may keep the room from its end.
        let next = next.max(now + Duration::from_micros(1));
        if participant.wakes.is_none_or(|wakes| next < wakes) {
            participant.wakes = Some(next);
            self.timers.push(Reverse((next, at)));
        }
    }

    /// Decides anew what a receiver gets, and tells the streams.
    pub(super) fn decide(&mut self, now: Time, at: usize) {
        let Some(participant) = &mut self.participants[at] else { return };
        let receiver = &mut participant.receiver;
        receiver.decide(now);
        for index in 0..receiver.decision().streams.len() {
            let decision = receiver.decision().streams[index];
            let Some(&place) = self.stream_places.get(&decision.stream) else { continue };
            let Some(stream) = &mut self.streams[place] else { continue };
            let Some(slot) = receiver.downlink.slot_of(place) else { continue };
            let Some(subscription) = receiver.downlink.subscription(slot) else { continue };
            let before = subscription.target();
            // It has nothing to go on from, and what comes next is of no use to it.
            let is_new = !subscription.has_begun() && stream.is_running();
            receiver.downlink.set_target(now, slot, decision.target);
            match (before, decision.target) {
                (None, Some(_)) => {
                    stream.watchers.push((at, slot));
                    if is_new {
                        stream.requests.handle_request(Refresh::KEY);
                    }
                }
                (Some(_), None) => stream.watchers.retain(|(watcher, _)| *watcher != at),
                _ => {}
            }
            stream.set_receiver(now, at, &decision);
            self.touched.push(stream.owner);
        }
        self.mark_touched();
    }

    fn mark_touched(&mut self) {
        while let Some(owner) = self.touched.pop() {
            self.mark_ready(owner);
        }
    }

    /// Hands on the refreshes that a receiver needs.
    fn ask(&mut self, now: Time, at: usize) {
        let Some(participant) = &mut self.participants[at] else { return };
        for (place, refresh) in participant.receiver.downlink.poll_refreshes(now) {
            if let Some(stream) = &mut self.streams[place] {
                stream.requests.handle_request(refresh);
                self.touched.push(stream.owner);
            }
        }
        self.mark_touched();
    }

    /// Does what is due for the streams of a sender: asks for packets and refreshes, tells the demand, measures layers.
    fn look_after_streams(&mut self, now: Time, at: usize) {
        let count = self.participants[at].as_ref().map_or(0, |participant| participant.streams.len());
        let mut messages = std::mem::take(&mut self.messages);
        for index in 0..count {
            let Some(participant) = &self.participants[at] else { break };
            let Some(&(_, place)) = participant.streams.get(index) else { break };
            let Some(stream) = &mut self.streams[place] else { continue };
            stream.poll_requests(now, &mut messages);
            if stream.poll_offer(now) {
                self.spread_offer(now, place);
            }
            let Some(stream) = &mut self.streams[place] else { continue };
            if let Some(message) = stream.poll_demand(now) {
                self.outputs.push_back(Output::Demand(at, Box::new(message)));
            }
        }
        if !messages.is_empty() {
            self.push(at, &messages);
            messages.clear();
        }
        self.messages = messages;
    }

    /// Tells the selectors what the layers of a stream cost now.
    pub(super) fn spread_offer(&mut self, now: Time, place: usize) {
        let Some(stream) = &self.streams[place] else { return };
        let Some(offer) = &stream.offer else { return };
        for other in 0..self.participants.len() {
            let Some(participant) = self.participants[other].as_mut() else { continue };
            if participant.receiver.handle_offer(now, place, offer) {
                self.touched.push(other);
            }
        }
        while let Some(other) = self.touched.pop() {
            self.apply_report(now, other);
        }
    }
}
