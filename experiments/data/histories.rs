//! Which rows of a raw log belong to whom, in time order.

use super::raw::RawLog;
use rayon::prelude::*;

/// Row numbers, one user's after the other's.
pub(super) struct Histories {
    /// Those of one user by time, and at one time in file order.
    pub(super) rows: Vec<u32>,
    /// Where each raw user's rows end.
    ends: Vec<usize>,
}

impl Histories {
    /// All rows of a log.
    pub(super) fn of(raw: &RawLog) -> Self {
        let mut ends = vec![0; raw.users.len()];
        raw.rows.iter().for_each(|row| ends[row.user as usize] += 1);
        let mut end = 0;
        for count in &mut ends {
            // First where the user's rows start; it moves to their end as they are placed.
            end += std::mem::replace(count, end);
        }
        let mut rows = vec![0; raw.rows.len()];
        for (number, row) in (0..).zip(&raw.rows) {
            let place = &mut ends[row.user as usize];
            rows[*place] = number;
            *place += 1;
        }
        let row = |number: &u32| &raw.rows[*number as usize];
        let users = rows.par_chunk_by_mut(|a, b| row(a).user == row(b).user);
        users.for_each(|rows| rows.sort_by_key(|number| row(number).moment));
        Self { rows, ends }
    }
    /// The rows of a raw user.
    pub(super) fn of_user(&self, user: u32) -> &[u32] {
        &self.rows[self.start(user)..self.ends[user as usize]]
    }
    /// The rows of a raw user, to be put in another order.
    pub(super) fn of_user_mut(&mut self, user: u32) -> &mut [u32] {
        let start = self.start(user);
        &mut self.rows[start..self.ends[user as usize]]
    }
    fn start(&self, user: u32) -> usize {
        if user == 0 { 0 } else { self.ends[user as usize - 1] }
    }
    /// Drops the rows that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(u32) -> bool) {
        let (mut start, mut kept) = (0, 0);
        for end in &mut self.ends {
            for at in start..*end {
                if keep(self.rows[at]) {
                    self.rows[kept] = self.rows[at];
                    kept += 1;
                }
            }
            start = std::mem::replace(end, kept);
        }
        self.rows.truncate(kept);
    }
}
