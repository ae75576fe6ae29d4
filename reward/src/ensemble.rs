//! Several judges of other seeds as one: their mean, and how far they disagree.
//!
//! Members learnt the same labels from the same users, so where they disagree the labels do not decide: a policy whose
//! candidates are judged with growing disagreement is leaving what the log can tell.

use crate::judge::{Judge, Request, Score};

/// The mean of judges with the same heads.
#[derive(Clone, Debug)]
pub struct Ensemble<J> {
    members: Vec<J>,
}

/// The name of the judge.
const NAME: &str = "ensemble";

impl<J: Judge> Ensemble<J> {
    /// The ensemble of these judges.
    ///
    /// # Panics
    /// If there are none, or their heads differ.
    pub fn new(members: Vec<J>) -> Self {
        assert!(!members.is_empty(), "an ensemble has members");
        assert!(
            members.iter().all(|member| member.heads() == members[0].heads()),
            "members have the same heads"
        );
        Self { members }
    }
    /// The judges.
    pub fn members(&self) -> &[J] {
        &self.members
    }
    /// Standard deviation of the members' fused scores, per request and candidate (over the members, not their sample).
    pub fn disagreement(&self, requests: &[Request<'_>]) -> Vec<Vec<f64>> {
        let scores = self.scores(requests);
        let spread = |request: usize, candidate: usize| {
            let fused = scores.iter().map(|member| f64::from(member[request][candidate].fused));
            let mean = fused.clone().sum::<f64>() / scores.len() as f64;
            (fused.map(|score| (score - mean).powi(2)).sum::<f64>() / scores.len() as f64).sqrt()
        };
        (0..requests.len())
            .map(|request| (0..requests[request].candidates.len()).map(|c| spread(request, c)).collect())
            .collect()
    }
    fn scores(&self, requests: &[Request<'_>]) -> Vec<Vec<Vec<Score>>> {
        self.members.iter().map(|member| member.score(requests)).collect()
    }
}

impl<J: Judge> Judge for Ensemble<J> {
    fn name(&self) -> &str {
        NAME
    }
    fn heads(&self) -> &[String] {
        self.members[0].heads()
    }
    fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        let mut scores = self.scores(requests).into_iter();
        let mut sums = scores.next().expect("an ensemble has members");
        for member in scores {
            for (sum, score) in sums.iter_mut().flatten().zip(member.into_iter().flatten()) {
                sum.fused += score.fused;
                sum.heads.iter_mut().zip(&score.heads).for_each(|(sum, head)| *sum += head);
            }
        }
        let share = (self.members.len() as f32).recip();
        for sum in sums.iter_mut().flatten() {
            sum.fused *= share;
            sum.heads.iter_mut().for_each(|head| *head *= share);
        }
        sums
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ids::{ItemId, UserId};

    /// Scores an item by a factor of its number.
    struct Linear(f32, Vec<String>);
    impl Judge for Linear {
        fn name(&self) -> &'static str {
            "linear"
        }
        fn heads(&self) -> &[String] {
            &self.1
        }
        fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
            let score = |item: &ItemId| {
                let value = self.0 * item.index() as f32;
                Score { heads: vec![value, -value], fused: value }
            };
            requests.iter().map(|request| request.candidates.iter().map(score).collect()).collect()
        }
    }

    #[test]
    fn an_ensemble_says_the_mean_and_how_far_its_members_are_from_it() {
        let heads = vec!["a".to_string(), "b".to_string()];
        let ensemble = Ensemble::new(vec![Linear(1.0, heads.clone()), Linear(3.0, heads)]);
        let candidates = [1, 2].map(ItemId::new);
        let request = Request { user: UserId::new(0), known: 1, candidates: &candidates };
        let empty = Request { candidates: &[], ..request };
        let scores = ensemble.score(&[request, empty]);
        assert_eq!(scores[0][1], Score { heads: vec![4.0, -4.0], fused: 4.0 });
        assert_eq!(ensemble.disagreement(&[request, empty]), [vec![1.0, 2.0], vec![]]);
    }
}
