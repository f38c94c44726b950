//! Random numbers that are the same in every run.
#![allow(dead_code)] // Each test takes a part of it.

/// Numbers that look like chance and are the same on every machine: a linear congruential generator.
pub struct Chance(pub u64);

impl Chance {
    /// From 0 up to but not including `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
