//! How the bytes of an input become steps.

use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The bytes of an input, taken off from the front. What is missing at the end is 0.
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { rest: data }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub fn u64(&mut self) -> u64 {
        self.take(8).iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// As many bytes as the first one says.
    pub fn bytes(&mut self) -> &'a [u8] {
        let size = self.byte();
        self.take(size.into())
    }

    /// As many bytes as the first two say.
    pub fn long_bytes(&mut self) -> &'a [u8] {
        let size = self.u16();
        self.take(size.into())
    }

    /// Milliseconds: up to 127 one by one, and up to 127 times as long a time.
    pub fn pause(&mut self) -> Duration {
        let byte = self.byte();
        let millis = u64::from(byte & 127);
        Duration::from_millis(if byte > 127 { millis * 127 } else { millis })
    }

    /// One of a list that is not empty.
    pub fn pick<'b, T>(&mut self, list: &'b [T]) -> &'b T {
        &list[usize::from(self.byte()) % list.len()]
    }

    fn take(&mut self, size: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(size.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// Damages a message as `how` says, in fours: the kind, the place in 16 bits, and a value. Pieces of `other` may get
/// into it.
pub fn damage(message: &mut Vec<u8>, how: &[u8], other: &[u8]) {
    for &[kind, high, low, value] in how.as_chunks().0 {
        let place = usize::from(u16::from_be_bytes([high, low]));
        let at = place % (message.len() + 1);
        match kind % 6 {
            0 | 1 => message.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= value),
            2 => message.truncate(at),
            3 => message.insert(at, value),
            4 => drop(message.drain(at..message.len().min(at + usize::from(value)))),
            // The end is that of the other message.
            _ => {
                message.truncate(at);
                message.extend(other.iter().skip(at + usize::from(value)));
            }
        }
    }
}

/// Runs a step that untrusted bytes caused. If the environment variable `FUZZ_TIMES` is set, it prints each time that
/// is longer than all before it of the same kind of step: the thread's time on the processor, whatever else runs there.
pub fn timed<T>(kind: &'static str, step: impl FnOnce() -> T) -> T {
    type Longest = Option<Mutex<Vec<(&'static str, Duration)>>>;
    static LONGEST: LazyLock<Longest> =
        LazyLock::new(|| std::env::var_os("FUZZ_TIMES").map(|_| Mutex::default()));
    let Some(longest) = &*LONGEST else { return step() };
    let clock = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
    let start = clock();
    let done = step();
    let taken = clock() - start;
    let mut longest = longest.lock().unwrap();
    match longest.iter_mut().find(|(other, _)| *other == kind) {
        Some((_, before)) if *before >= taken => return done,
        Some((_, before)) => *before = taken,
        None => longest.push((kind, taken)),
    }
    eprintln!("longest {kind}: {} us", taken.as_micros());
    done
}
