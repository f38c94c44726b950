//! A long meeting in which everything happens: people join, leave, crash, lose packets, have clocks that run away, and send
//! garbage.

use std::time::Duration;

use layercast::relay::RoomConfig;
use layercast::structure::ScalabilityMode::{L1T3, L2T2, L3T3, S2T1};
use layercast::{Size, Time};

use crate::world::{Link, World};

/// Streams that each one watches.
const WINDOWS: usize = 3;
/// An honest receiver is back after this time.
const BACK: Duration = Duration::from_secs(2);

/// What the test knows of somebody.
struct Part {
    /// In the room, well, and since when.
    healthy: Option<Time>,
    /// The stream that they send, and those that they watch since when.
    stream: u32,
    watches: Vec<(u32, Time)>,
    attacks: bool,
    /// When a crash ends.
    back_at: Option<Time>,
}

struct Chaos {
    world: World,
    parts: Vec<Part>,
    next: u32,
    size: usize,
    checked: u64,
}

impl Chaos {
    fn new(seed: u64, size: usize) -> Self {
        let world = World::new(seed, RoomConfig::default());
        Self { world, parts: Vec::new(), next: 1, size, checked: 0 }
    }

    fn chance(&mut self, end: u64) -> u64 {
        self.world.chance.below(end)
    }

    fn join(&mut self) {
        let (id, now) = (self.next, self.world.now);
        self.next += 1;
        let (up, down) = (Link::new(10 + self.chance(60)), Link::new(10 + self.chance(60)));
        let person = self.world.join(id, up, down);
        let mode = [L1T3, L2T2, L3T3, S2T1][self.chance(4) as usize];
        self.world.publish(person, id, mode);
        // Small pictures, and few of them, so that an hour takes minutes.
        let camera = &mut self.world.people[person].cameras[0];
        (camera.frame_size, camera.interval) = (100, Duration::from_millis(100));
        self.world.people[person].drift = self.chance(2000) as i64 - 1000;
        let attacks = self.chance(20) == 0;
        self.parts.push(Part { healthy: Some(now), stream: id, watches: vec![], attacks, back_at: None });
        self.watch(person);
    }

    /// Somebody watches others, not all of whom are there.
    fn watch(&mut self, person: usize) {
        let there: Vec<usize> = (0..self.parts.len())
            .filter(|&other| other != person && !self.world.people[other].gone)
            .collect();
        let mut watches = vec![];
        for _ in 0..WINDOWS.min(there.len()) {
            let other = there[self.chance(there.len() as u64) as usize];
            let stream = self.parts[other].stream;
            if !watches.iter().any(|(watched, _)| *watched == stream) {
                watches.push((stream, self.world.now));
            }
        }
        let ssrc = |stream: u32| 0x5eed_0000 + stream * 16;
        self.world.people[person]
            .screens
            .retain(|screen| watches.iter().any(|(stream, _)| ssrc(*stream) == screen.ssrc));
        for (stream, _) in &watches {
            if !self.world.people[person].screens.iter().any(|screen| screen.ssrc == ssrc(*stream)) {
                self.world.show(person, *stream);
            }
        }
        let windows: Vec<(u32, Size)> = watches
            .iter()
            .map(|(stream, _)| {
                (*stream, Size::new(80 << self.world.chance.below(4), 45 << self.world.chance.below(4)))
            })
            .collect();
        self.world.report(person, &windows);
        self.parts[person].watches = watches;
    }

    fn leave(&mut self, person: usize) {
        self.world.leave(person);
        self.parts[person].healthy = None;
    }

    /// Something happens to somebody.
    fn step(&mut self) {
        let now = self.world.now;
        let there: Vec<usize> = (0..self.parts.len()).filter(|&at| !self.world.people[at].gone).collect();
        if there.len() < self.size && (there.len() < 2 || self.chance(3) > 0) {
            return self.join();
        }
        let person = there[self.chance(there.len() as u64) as usize];
        if self.parts[person].attacks {
            // Random bytes, damaged packets of theirs, reports at any time: within or beyond what is allowed.
            let many = [5, 50, 2000][self.chance(3) as usize];
            for _ in 0..many {
                let mut packet: Vec<u8> =
                    (0..12 + self.chance(80)).map(|_| self.world.chance.below(256) as u8).collect();
                packet[0] = 0x80 | packet[0] & 0x3f;
                if self.chance(2) == 0 {
                    let ssrc = self.world.people[person].cameras[0].ssrc;
                    packet[8..12].copy_from_slice(&ssrc.to_be_bytes());
                }
                self.world.inject(person, &packet);
            }
            if self.world.people[person].expelled.is_some() {
                self.world.people[person].gone = true;
                self.parts[person].healthy = None;
            }
            return;
        }
        match self.chance(8) {
            // A crash: nothing comes and goes, and after a while they are back or given up.
            0 => {
                let link = &mut self.world.people[person];
                (link.up.dead, link.down.dead) = (true, true);
                self.parts[person].healthy = None;
                self.parts[person].back_at = Some(now + Duration::from_millis(500 + self.chance(5000)));
            }
            1 => self.leave(person),
            2 | 3 if self.parts[person].back_at.is_none() => {
                let (up, down) = (self.chance(21), self.chance(21));
                let link = &mut self.world.people[person];
                (link.up.loss, link.down.loss) = (up, down);
                // Somebody who loses that much is not expected to see every second.
                self.parts[person].healthy = None;
                self.parts[person].back_at = Some(now + Duration::from_millis(2000 + self.chance(8000)));
            }
            4 | 5 => self.watch(person),
            _ => {
                let drift = self.chance(200_000) as i64 - 100_000;
                self.world.people[person].drift += drift / 1000;
            }
        }
        self.heal();
    }

    fn heal(&mut self) {
        let now = self.world.now;
        for person in 0..self.parts.len() {
            if self.world.people[person].gone || self.parts[person].back_at.is_none_or(|at| at > now) {
                continue;
            }
            let link = &mut self.world.people[person];
            (link.up.dead, link.down.dead, link.up.loss, link.down.loss) = (false, false, 0, 0);
            self.parts[person].healthy = Some(now);
            self.parts[person].back_at = None;
        }
    }

    /// Everybody whose path is well for long enough, and who watches somebody whose path is too, sees something new.
    fn check(&mut self, name: &str) {
        let now = self.world.now;
        for person in 0..self.parts.len() {
            let id = self.world.people[person].id;
            let path = self.world.room.path(now, id);
            let Part { healthy: Some(healthy), watches, attacks: false, .. } = &self.parts[person] else {
                continue;
            };
            for (stream, since) in watches {
                let Some(sender) = self.parts.iter().position(|part| part.stream == *stream) else {
                    continue;
                };
                if self.world.people[sender].gone || self.parts[sender].attacks {
                    continue;
                }
                let Some(sender_healthy) = self.parts[sender].healthy else { continue };
                let begins = (*healthy).max(*since).max(sender_healthy);
                if now < begins + BACK {
                    continue;
                }
                let ssrc = 0x5eed_0000 + stream * 16;
                let screen =
                    self.world.people[person].screens.iter().find(|screen| screen.ssrc == ssrc).unwrap();
                let last = screen.shown.last().map(|shown| shown.at);
                assert!(
                    last.is_some_and(|last| last + BACK >= now),
                    "{name}: at {now:?} {person} has seen nothing of {stream} since {last:?}; both are well since {begins:?}; {path:?} {}",
                    self.explain(person, sender),
                );
                self.checked += 1;
            }
        }
    }

    /// What room, sender and receiver know.
    fn explain(&self, person: usize, sender: usize) -> String {
        let World { room, people, .. } = &self.world;
        let camera = &people[sender].cameras[0];
        let (id, stream) = (people[person].id, camera.stream);
        let decision = room.decision(id).and_then(|decision| decision.stream(stream));
        let screen = people[person].screens.iter().find(|screen| screen.ssrc == camera.ssrc);
        format!(
            "{decision:?} {:?} {:?} {:?} {:?} {:?}",
            room.current(id, stream),
            room.stream_statistics(stream),
            camera.sender.wanted(),
            camera.sender.statistics(),
            screen.map(|screen| (screen.receiver.statistics(), screen.refused)),
        )
    }

    fn run(&mut self, time: Duration, name: &str) {
        let end = self.world.now + time;
        while self.world.now < end {
            for _ in 0..1 + self.size / 50 {
                self.step();
            }
            self.world.run(Duration::from_millis(250));
            self.heal();
            self.check(name);
            for person in 0..self.parts.len() {
                let id = self.world.people[person].id;
                let Some(statistics) = self.world.room.participant_statistics(self.world.now, id) else {
                    continue;
                };
                assert!(statistics.queued <= 400_000 + 2000, "{name}: {statistics:?}");
            }
            for person in &mut self.world.people {
                for screen in &mut person.screens {
                    let old = screen.shown.len().saturating_sub(8);
                    screen.shown.drain(..old);
                }
            }
        }
    }
}

/// `LAYERCAST_CHAOS=SEED,PARTICIPANTS,SECONDS` for another one; an hour of 200 takes minutes in a release build.
#[test]
fn a_meeting_in_which_everything_happens() {
    let given = std::env::var("LAYERCAST_CHAOS").ok();
    let given: Vec<u64> =
        given.iter().flat_map(|text| text.split(',')).map(|part| part.parse().unwrap()).collect();
    let (seeds, size, seconds) = match given[..] {
        [seed, size, seconds] => (vec![seed], size as usize, seconds),
        _ => (vec![1, 2, 3], 20, 40),
    };
    for seed in seeds {
        let mut chaos = Chaos::new(seed, size);
        chaos.run(Duration::from_secs(seconds), &format!("LAYERCAST_CHAOS={seed},{size},{seconds}"));
        assert!(chaos.checked > seconds * size as u64, "{} checks", chaos.checked);
        if !given.is_empty() {
            println!(
                "{} joined, {} checks, {:?}",
                chaos.next - 1,
                chaos.checked,
                chaos.world.room.statistics()
            );
        }
    }
}
