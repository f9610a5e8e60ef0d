//! Draws that come out the same on every run: SplitMix64 from a seed. Of no use for secrets.

/// A sequence of draws.
#[derive(Clone, Debug)]
pub struct Draws(u64);

impl Draws {
    /// The draws of one subject: each pair of numbers has its own sequence.
    pub fn of(kind: u64, subject: u64) -> Self {
        let mut draws = Self(kind);
        let mixed = draws.number() ^ subject;
        Self(mixed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_sequences_of_their_own_that_come_again() {
        let of = |kind, subject| {
            let mut draws = Draws::of(kind, subject);
            [draws.number(), draws.number(), draws.number()]
        };
        assert_eq!(of(1, 2), of(1, 2));
        assert_ne!(of(1, 2), of(1, 3));
        assert_ne!(of(1, 2), of(2, 2));
        assert!((0..1000).all(|n| (3..=5).contains(&Draws::of(n, n).between(3, 5))));
    }
}
