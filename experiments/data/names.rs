//! Text ids as numbers.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Numbers ids by first appearance; they stay where they are.
#[derive(Debug, Default)]
pub(super) struct Numbering<'a> {
    /// Most ids are short: they are compared without a look at where they stand.
    short: HashMap<u128, u32, BuildHasherDefault<Words>>,
    long: HashMap<&'a str, u32, BuildHasherDefault<Words>>,
    list: Vec<&'a str>,
}

impl<'a> Numbering<'a> {
    /// The number of this id, new or known.
    pub(super) fn number(&mut self, name: &'a str) -> u32 {
        let next = u32::try_from(self.list.len()).expect("fewer than 2^32 distinct ids");
        let row = match short(name) {
            Some(short) => *self.short.entry(short).or_insert(next),
            None => *self.long.entry(name).or_insert(next),
        };
        if row == next {
            self.list.push(name);
        }
        row
    }
    /// How many ids there are.
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }
    /// A copy of the ids, by number.
    pub(super) fn names(&self) -> Names {
        let mut names = Names::default();
        for name in &self.list {
            names.text.push_str(name);
            names.ends.push(names.text.len());
        }
        names
    }
}

/// The bytes of an id of at most 15 and their number.
fn short(name: &str) -> Option<u128> {
    let mut bytes = [0; 16];
    bytes[..name.len().min(16)].copy_from_slice(&name.as_bytes()[..name.len().min(16)]);
    bytes[15] = name.len() as u8;
    (name.len() < 16).then(|| u128::from_le_bytes(bytes))
}

/// Text ids by number.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    /// The id of a number.
    pub(super) fn name(&self, row: u32) -> &str {
        let row = row as usize;
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.text[start..self.ends[row]]
    }
    /// How many ids there are.
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }
}

/// Hashes eight bytes at a time by folded multiplication (as wyhash does): several times as fast on short ids as
/// the standard hasher. A file made to collide would be read slowly, nothing else.
#[derive(Default)]
struct Words(u64);

impl Hasher for Words {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last));
    }
    /// `str` ends its bytes with this.
    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }
    fn write_u128(&mut self, word: u128) {
        self.write_u64(word as u64);
        self.write_u64((word >> 64) as u64);
    }
    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x9e37_79b9_7f4a_7c15) * 0xe703_7ed1_a0b4_28db;
        self.0 = product as u64 ^ (product >> 64) as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

/// Numbers in the order of their ids: by value when all are whole numbers, else as text.
pub(super) fn sort_by_id(numbers: &mut [u32], names: &Names) {
    let value = |number: &u32| names.name(*number).parse::<u128>();
    let values: Result<Vec<u128>, _> = numbers.iter().map(value).collect();
    let keys = values.unwrap_or_else(|_| numbers.iter().map(|number| start(names.name(*number))).collect());
    let mut keyed: Vec<_> = keys.into_iter().zip(numbers.iter().copied()).collect();
    keyed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| names.name(a.1).cmp(names.name(b.1))));
    numbers.iter_mut().zip(keyed).for_each(|(number, (_, sorted))| *number = sorted);
}

/// The first 16 bytes as a number that sorts as the text does; only longer ids need to be compared beyond it.
fn start(name: &str) -> u128 {
    let mut bytes = [0; 16];
    let length = name.len().min(16);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    u128::from_be_bytes(bytes)
}

/// All ids in the order of [`sort_by_id`].
pub(super) fn sorted_ids(names: &Names) -> Vec<u32> {
    let mut all: Vec<u32> = (0..names.len() as u32).collect();
    sort_by_id(&mut all, names);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(ids: &[&str]) -> Names {
        let mut numbering = Numbering::default();
        for id in ids {
            numbering.number(id);
        }
        numbering.names()
    }

    #[test]
    fn ids_are_numbered_by_first_appearance() {
        let mut numbering = Numbering::default();
        let numbers = ["b", "", "a", "b", "12345678", "123456789", ""].map(|id| numbering.number(id));
        assert_eq!(numbers, [0, 1, 2, 0, 3, 4, 1]);
        let names = numbering.names();
        assert_eq!((names.len(), names.name(0), names.name(1), names.name(4)), (5, "b", "", "123456789"));
    }

    #[test]
    fn numbers_are_sorted_by_value_and_other_ids_as_text() {
        let sorted = |ids: &[&'static str]| {
            let names = names(ids);
            sorted_ids(&names).into_iter().map(|row| names.name(row).to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(sorted(&["10", "9", "09", "2"]), ["2", "09", "9", "10"]);
        assert_eq!(sorted(&["10", "9", "x"]), ["10", "9", "x"]);
        let long = ["a23456789012345678", "a2345678901234567", "a234567890123456", "a\0", "a", "\u{e9}", ""];
        let mut expected = long.to_vec();
        expected.sort_unstable();
        assert_eq!(sorted(&long), expected);
    }
}
