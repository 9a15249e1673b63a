//! Random changes of an input, all of them from one number, so that a finding can be made again.
//! Pure. Refuses to know what the input means.

/// Numbers that readers of lengths and offsets trip over.
const ODD: [u64; 10] =
    [0, 1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX];

/// A source of chance: xorshift64*, good enough to choose places in a file.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// The same number makes the same choices.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `limit`; 0 when that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % (limit as u64).max(1)).unwrap_or_default()
    }
}

/// A few changes of one seed, now and then with a piece of another.
pub fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut bytes = seeds[chance.below(seeds.len())].clone();
    for _ in 0..=chance.below(6) {
        change(&mut bytes, seeds, chance);
    }
    bytes
}

fn change(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], chance: &mut Chance) {
    let at = chance.below(bytes.len());
    let rest = bytes.len() - at;
    match chance.below(12) {
        0..=2 if rest > 0 => bytes[at] ^= 1 << chance.below(8),
        3..=4 if rest > 0 => bytes[at] = chance.next().to_le_bytes()[0],
        5..=8 => {
            let number = match chance.below(3) {
                0 => chance.below(bytes.len() * 2) as u64,
                _ => ODD[chance.below(ODD.len())],
            };
            let width = [1, 2, 4, 8][chance.below(4)].min(rest);
            // Fields of file formats stand at multiples of their size.
            let at = at - at % width.max(1);
            bytes[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
        }
        9 => bytes.truncate(at),
        10 => {
            let length = chance.below(rest.min(64));
            bytes.drain(at..at + length);
        }
        _ => {
            let other = &seeds[chance.below(seeds.len())];
            let from = chance.below(other.len());
            let length = chance.below((other.len() - from).min(64));
            bytes.splice(at..at, other[from..from + length].iter().copied());
        }
    }
}
