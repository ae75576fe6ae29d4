//! The truth of slates: exact expectations, the best item, a greedy slate, regret.
//!
//! Interests drift, topics tire and items continue each other by what was *shown*, so that the state after the first `j`
//! items of a slate is the same whatever the user did with them. What is random is whether they are still there: with
//! `e_j` the probability of leaving after the `j`-th item, the `j`-th item is shown with probability
//! `s_j = (1 - e_1) ... (1 - e_{j-1})`, and one pass over the slate gives every expectation exactly.

use super::World;
use super::feedback::{Feedback, Likes};
use super::person::Person;
use super::users::Drifting;
use policy::ids::{ItemId, UserId};
use rayon::prelude::*;

impl World {
    /// The exact expectation of every signal, were this user, after the first `known` interactions of their history,
    /// shown `slate` from first to last. Earlier items of the slate act on later ones: fatigue, continuation, and in a
    /// feed the user may have left or may not look so far down.
    ///
    /// # Panics
    /// If the user, an item or `known` is out of range.
    pub fn true_feedback(&self, user: UserId, known: usize, slate: &[ItemId]) -> Vec<Feedback> {
        let person = self.person(user);
        let mut walk = Walk::start(person, self.state(user, known));
        slate.iter().map(|&item| walk.show(item)).collect()
    }

    /// [`Feedback::reward`] of one item shown next.
    ///
    /// # Panics
    /// If the user, the item or `known` is out of range.
    pub fn true_reward(&self, user: UserId, known: usize, item: ItemId) -> f64 {
        self.true_feedback(user, known, &[item])[0].reward()
    }

    /// The summed reward of a slate.
    ///
    /// # Panics
    /// If the user, an item or `known` is out of range.
    pub fn slate_reward(&self, user: UserId, known: usize, slate: &[ItemId]) -> f64 {
        self.true_feedback(user, known, slate).iter().map(Feedback::reward).sum()
    }

    /// The best of these items to show next, and its reward; ties go to the first. `None` of no items.
    ///
    /// # Panics
    /// If the user, an item or `known` is out of range.
    pub fn best_item(&self, user: UserId, known: usize, items: &[ItemId]) -> Option<(ItemId, f64)> {
        Walk::start(self.person(user), self.state(user, known)).best(items)
    }

    /// A slate of `length` distinct ones of `items`, each the best there is after those before it. Exact for one item;
    /// for more a lower bound of what can be attained: it does not see that an item may pay by keeping the user.
    ///
    /// # Panics
    /// If the user, an item or `known` is out of range.
    pub fn greedy_slate(
        &self,
        (user, known): (UserId, usize),
        items: &[ItemId],
        length: usize,
    ) -> Vec<ItemId> {
        let mut walk = Walk::start(self.person(user), self.state(user, known));
        let mut left = items.to_vec();
        let mut slate = Vec::with_capacity(length);
        while let Some((best, _)) = (slate.len() < length).then(|| walk.best(&left)).flatten() {
            walk.show(best);
            slate.push(best);
            left.retain(|&item| item != best);
        }
        slate
    }

    /// How much less a slate is worth than the greedy one of as many of `items`; for one item the exact regret, for more
    /// a lower bound of it (negative if the slate beats greed).
    ///
    /// # Panics
    /// If the user, an item or `known` is out of range.
    pub fn regret(&self, (user, known): (UserId, usize), slate: &[ItemId], items: &[ItemId]) -> f64 {
        let greedy = self.greedy_slate((user, known), items, slate.len());
        self.slate_reward(user, known, &greedy) - self.slate_reward(user, known, slate)
    }
}

/// A slate as it is shown.
struct Walk<'a> {
    person: Person<'a>,
    state: Drifting,
    place: usize,
    /// The probability that the user is still there.
    present: f64,
}

impl<'a> Walk<'a> {
    fn start(person: Person<'a>, state: Drifting) -> Self {
        Self { person, state, place: 0, present: 1.0 }
    }

    /// What would come of this item if it were the next.
    fn next(&self, item: ItemId) -> Feedback {
        self.person.expected(&self.state, (item, self.place), Likes::Meant)
    }

    /// Shows the next item; what comes of it, as seen before the first.
    fn show(&mut self, item: ItemId) -> Feedback {
        let feedback = self.next(item);
        let expected =
            if self.present < 1.0 { feedback.mixed(self.present, &Feedback::default()) } else { feedback };
        self.present *= 1.0 - feedback.session_end;
        self.place += 1;
        self.person.advance(&mut self.state, item);
        expected
    }

    /// The item that would give most if it were the next.
    fn best(&self, items: &[ItemId]) -> Option<(ItemId, f64)> {
        let reward = |&item: &ItemId| (item, self.present * self.next(item).reward());
        let scored: Vec<_> = items.par_iter().map(reward).collect();
        scored.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
    }
}
