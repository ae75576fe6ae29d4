//! Scratch memory that is used again. A step needs the same hundred megabytes every time; allocated anew, they would be
//! zeroed anew, which costs as much as a tenth of the arithmetic.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Values kept for later use, at most this many (1 GiB).
const MOST_KEPT: usize = 1 << 28;

/// Free memory by capacity; the most recently freed, which caches still hold, is handed out first.
struct Pool {
    free: BTreeMap<usize, Vec<Vec<f32>>>,
    kept: usize,
}

static POOL: Mutex<Pool> = Mutex::new(Pool { free: BTreeMap::new(), kept: 0 });

/// Values of unspecified content; the memory returns to the pool when dropped.
#[derive(Debug, Default)]
pub(super) struct Buffer {
    memory: Vec<f32>,
    len: usize,
}

impl Buffer {
    /// `len` values left over from earlier use: write before you read.
    pub(super) fn stale(len: usize) -> Self {
        if len == 0 {
            return Self::default();
        }
        let capacity = size_class(len);
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        let reused = pool.free.get_mut(&capacity).and_then(Vec::pop);
        if reused.is_some() {
            pool.kept -= capacity;
        }
        drop(pool);
        Self { memory: reused.unwrap_or_else(|| vec![0.0; capacity]), len }
    }
}

/// The next of eight sizes between powers of two, so that similar sizes share memory.
fn size_class(len: usize) -> usize {
    let step = (len.next_power_of_two() / 16).max(1);
    len.next_multiple_of(step)
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let capacity = self.memory.len();
        let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
        if capacity > 0 && pool.kept + capacity <= MOST_KEPT {
            pool.kept += capacity;
            pool.free.entry(capacity).or_default().push(std::mem::take(&mut self.memory));
        }
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.memory[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.memory[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_hold_what_they_are_asked_for() {
        for len in 1..5000 {
            let class = size_class(len);
            assert!(class >= len && class <= len + len / 8 + 1, "{len} in {class}");
            assert_eq!(size_class(class), class, "{len} in {class}");
        }
    }
}
