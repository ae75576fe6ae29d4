//! What the best lists would be worth, where the truth is known.

use super::users::TestUsers;
use crate::stages::bench::{Bench, mean};
use policy::ids::{ItemId, UserId};
use reward::judge::{Judge as _, Request};
use reward::world::OracleJudge;

/// Users whose items are scored together.
const USERS_AT_ONCE: usize = 64;

/// The mean true worth of the `most` best items that each user has not seen: no list of as many is worth more by that measure, which
/// looks at every item as if it were shown next and alone. `None` outside of the built-in world.
pub(super) fn attainable(users: &TestUsers<'_>, bench: &Bench, most: usize) -> Option<Vec<f64>> {
    let oracle = bench.oracle.as_ref()?;
    let asked: Vec<(UserId, &[ItemId])> =
        users.users.iter().zip(&users.contexts).map(|(&user, context)| (user, context.items)).collect();
    let all = bench.dataset.log.num_items;
    Some(asked.chunks(USERS_AT_ONCE).flat_map(|users| of_users(oracle, users, (all, most))).collect())
}

fn of_users(oracle: &OracleJudge, users: &[(UserId, &[ItemId])], (all, most): (usize, usize)) -> Vec<f64> {
    let unseen = |seen: &[ItemId]| -> Vec<ItemId> {
        let mut is_seen = vec![false; all];
        for item in seen {
            is_seen[item.index()] = true;
        }
        (0..all).filter(|&item| !is_seen[item]).map(ItemId::new).collect()
    };
    let candidates: Vec<Vec<ItemId>> = users.iter().map(|(_, seen)| unseen(seen)).collect();
    let asked = users.iter().zip(&candidates);
    let requests: Vec<Request<'_>> =
        asked.map(|(&(user, seen), candidates)| Request { user, known: seen.len(), candidates }).collect();
    let best = |mut worths: Vec<f64>| {
        worths.sort_unstable_by(|a, b| b.total_cmp(a));
        mean(worths.into_iter().take(most))
    };
    let worths = oracle.score(&requests).into_iter();
    worths.map(|scores| best(scores.iter().map(|score| f64::from(score.fused)).collect())).collect()
}
