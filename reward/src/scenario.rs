//! The industrial-scenario reward (SIR) of OneRec's technical report (2506.13695; ALGORITHMS 1.11): where too large a share
//! of what is shown comes from accounts that flood the platform, their items are worth less.

use serde::{Deserialize, Serialize};

/// When and how much flooding items lose.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Largest share of flooding items in a group that costs nothing (`f`, not published).
    pub allowed: f64,
    /// What is left of their reward above it, below 1 (`alpha`, not published).
    pub factor: f64,
}

impl Scenario {
    /// `r' = alpha r` for the flooding items of a group in which their share exceeds `f`; `r' = r` otherwise. A reward below
    /// zero is divided by the factor, so that it falls too (the report has positive rewards only).
    pub fn apply(&self, rewards: &mut [f64], flooding: &[bool]) {
        let share =
            flooding.iter().filter(|&&flooding| flooding).count() as f64 / flooding.len().max(1) as f64;
        if share <= self.allowed {
            return;
        }
        for (reward, _) in rewards.iter_mut().zip(flooding).filter(|(_, flooding)| **flooding) {
            *reward = if *reward >= 0.0 { *reward * self.factor } else { *reward / self.factor };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64]) {
        assert!(found.iter().zip(expected).all(|(x, y)| (x - y).abs() < 1e-6), "{found:?} {expected:?}");
    }

    #[test]
    fn flooding_items_lose_only_where_they_are_too_many() {
        let scenario = Scenario { allowed: 0.5, factor: 0.5 };
        let mut few = [1.0, 2.0, 3.0, 4.0];
        scenario.apply(&mut few, &[true, true, false, false]);
        close(&few, &[1.0, 2.0, 3.0, 4.0]);
        let mut many = [1.0, 2.0, -3.0, 4.0];
        scenario.apply(&mut many, &[true, true, true, false]);
        close(&many, &[0.5, 1.0, -6.0, 4.0]);
        scenario.apply(&mut [], &[]);
    }
}
