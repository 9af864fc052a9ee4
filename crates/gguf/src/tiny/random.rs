//! Random numbers that are the same for a seed on every machine: SplitMix64, by Guy Steele and others, 2014.

/// A row of random numbers.
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `-limit` to below `limit`.
    pub(super) fn between(&mut self, limit: f32) -> f32 {
        // 24 bits are what a single-precision number holds without rounding.
        let steps = (self.next() >> 40) as f32;
        (steps / (1 << 23) as f32 - 1.0) * limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of the reference implementation, <https://prng.di.unimi.it/splitmix64.c>.
    #[test]
    fn it_is_the_known_generator() {
        let mut random = Random::new(1_234_567);
        let found: Vec<u64> = (0..3).map(|_| random.next()).collect();
        assert_eq!(found, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn numbers_keep_to_their_limits() {
        let mut random = Random::new(0);
        let found: Vec<f32> = (0..10_000).map(|_| random.between(0.5)).collect();
        assert!(found.iter().all(|number| (-0.5..0.5).contains(number)));
        assert!(found.iter().any(|number| *number < -0.49) && found.iter().any(|number| *number > 0.49));
    }
}
