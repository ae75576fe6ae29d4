//! Which rows of a raw log belong to whom, in time order.

use super::raw::{Moment, RawLog};
use rayon::prelude::*;

/// A row of the log, without its user.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) moment: Moment,
    pub(super) item: u32,
    /// Its number in the file.
    pub(super) row: u32,
}

/// The steps of all raw users, one user's after the other's: later passes read them from front to back.
pub(super) struct Histories {
    /// Those of one user by time, and at one time in file order.
    steps: Vec<Step>,
    /// Where each raw user's steps end.
    ends: Vec<usize>,
}

impl Histories {
    /// All rows of a log.
    pub(super) fn of(raw: &RawLog) -> Self {
        let mut ends = vec![0; raw.users.len()];
        raw.rows.iter().for_each(|row| ends[row.user as usize] += 1);
        let mut end = 0;
        for count in &mut ends {
            // First where the user's steps start; it moves to their end as they are placed.
            end += std::mem::replace(count, end);
        }
        let mut steps = vec![Step { moment: Moment::default(), item: 0, row: 0 }; raw.rows.len()];
        for (number, row) in (0..).zip(&raw.rows) {
            let place = &mut ends[row.user as usize];
            steps[*place] = Step { moment: row.moment, item: row.item, row: number };
            *place += 1;
        }
        let mut histories = Self { steps, ends };
        histories.each_mut().for_each(|(_, steps)| steps.sort_by_key(|step| step.moment));
        histories
    }
    /// All steps, user by user.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }
    /// How many raw users there are, those without steps included.
    pub(super) fn users(&self) -> u32 {
        self.ends.len() as u32
    }
    /// The steps of a raw user.
    pub(super) fn of_user(&self, user: u32) -> &[Step] {
        let user = user as usize;
        let start = if user == 0 { 0 } else { self.ends[user - 1] };
        &self.steps[start..self.ends[user]]
    }
    /// The steps of every raw user, to be put in another order.
    pub(super) fn each_mut(&mut self) -> impl ParallelIterator<Item = (u32, &mut [Step])> {
        let mut rest = self.steps.as_mut_slice();
        let mut start = 0;
        let split = self.ends.iter().map(|end| {
            let steps = rest.split_off_mut(..*end - start).expect("ends do not pass the last step");
            start = *end;
            steps
        });
        (0..).zip(split).collect::<Vec<_>>().into_par_iter()
    }
    /// Drops the steps of raw users that are not to be kept.
    pub(super) fn retain(&mut self, keep: impl Fn(u32, &Step) -> bool) {
        let (mut start, mut kept) = (0, 0);
        for (user, end) in (0..).zip(&mut self.ends) {
            for at in start..*end {
                if keep(user, &self.steps[at]) {
                    self.steps[kept] = self.steps[at];
                    kept += 1;
                }
            }
            start = std::mem::replace(end, kept);
        }
        self.steps.truncate(kept);
    }
}
