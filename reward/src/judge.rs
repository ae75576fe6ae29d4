//! What a judge is: it says how much a user would value a candidate, head by head and as one number.

use policy::ids::{ItemId, UserId};

/// Candidates of one user, judged given the first `known` interactions of that user's history.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Whose taste.
    pub user: UserId,
    /// How many interactions of the user's history are known; a judge looks at nothing after them.
    pub known: usize,
    /// What is judged, each candidate on its own (a list of one).
    pub candidates: &'a [ItemId],
}

/// The verdict on one candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// One value per head, in the order of [`Judge::heads`].
    pub heads: Vec<f32>,
    /// The heads as one number; comparable within a request.
    pub fused: f32,
}

/// Scores candidates. Implementations are pure: the same request gives the same score whatever else is scored
/// beside it.
pub trait Judge {
    /// `proxy`, `held-out` or `oracle`.
    fn name(&self) -> &str;
    /// Names of the heads, for example `swt vtr wtr ltr`, or `next`.
    fn heads(&self) -> &[String];
    /// One vector per request, one score per candidate, in order.
    fn score(&self, requests: &[Request<'_>]) -> Vec<Vec<Score>>;
}
