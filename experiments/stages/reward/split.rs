//! Who teaches which judge.

use policy::ids::UserId;
use policy::random::Key;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

/// Which users each judge learnt from; no user is in two lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeSplit {
    /// Training users of the proxy and the ensemble.
    pub proxy: Vec<UserId>,
    /// Training users of the held-out judge.
    pub held_out: Vec<UserId>,
    /// Users on whom all are examined.
    pub evaluation: Vec<UserId>,
}

impl JudgeSplit {
    /// Everybody that some judge learnt from.
    pub(super) fn taught(&self) -> Vec<UserId> {
        [self.proxy.as_slice(), &self.held_out].concat()
    }
    /// `evaluation_share` of the users for examination, the rest halved between the judges.
    pub(super) fn draw(mut users: Vec<UserId>, evaluation_share: f64, key: Key) -> anyhow::Result<Self> {
        let count = users.len();
        anyhow::ensure!(
            count >= 3,
            "two judges and their examination need at least 3 users, the data has {count}; use a larger log"
        );
        users.shuffle(&mut key.named("split").rng());
        let evaluated = ((count as f64 * evaluation_share).round() as usize).clamp(1, count - 2);
        let mut proxy = users.split_off(evaluated);
        let mut held_out = proxy.split_off(proxy.len().div_ceil(2));
        for list in [&mut users, &mut proxy, &mut held_out] {
            list.sort_unstable();
        }
        Ok(Self { proxy, held_out, evaluation: users })
    }
}
