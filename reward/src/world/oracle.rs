//! The judge that knows the truth.

use super::World;
use super::feedback::Likes;
use crate::judge::{Judge, Request, Score};
use rayon::prelude::*;
use std::sync::Arc;

/// Scores candidates by their exact expected feedback; the fused score is [`super::Feedback::reward`].
#[derive(Clone, Debug)]
pub struct OracleJudge {
    world: Arc<World>,
    heads: Vec<String>,
}

impl OracleJudge {
    /// The oracle of this world. Its users, items and histories must be those of the log that is judged: filters
    /// applied to the log at ingest make the oracle meaningless.
    pub fn new(world: impl Into<Arc<World>>) -> Self {
        let world = world.into();
        Self { heads: world.simulator().signal_names(), world }
    }
}

impl Judge for OracleJudge {
    fn name(&self) -> &'static str {
        "oracle"
    }
    fn heads(&self) -> &[String] {
        &self.heads
    }
    fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>> {
        requests
            .par_iter()
            .map(|request| {
                let (person, state) =
                    (self.world.person(request.user), self.world.state(request.user, request.known));
                let score = |&item| {
                    // A list of one: at the first place of a slate.
                    let feedback = person.expected(&state, (item, 0), Likes::Meant);
                    Score {
                        heads: feedback.values()[..self.heads.len()]
                            .iter()
                            .map(|&value| value as f32)
                            .collect(),
                        fused: feedback.reward() as f32,
                    }
                };
                request.candidates.iter().map(score).collect()
            })
            .collect()
    }
}
