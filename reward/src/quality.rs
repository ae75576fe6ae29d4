//! How far a judge can be trusted, measured on users no judge was trained on.

use crate::batch::NegativeSampler;
use crate::calibration::{auc, expected_calibration_error, grouped_auc, log_loss, reliability};
use crate::context::Context;
use crate::ensemble::Ensemble;
use crate::judge::{Judge, Request};
use crate::labels::{Session, sessions};
use crate::model_judge::ModelJudge;
use crate::statistics::Rows;
use policy::history::Log;
use policy::ids::{ItemId, UserId};
use policy::random::Key;

/// Positions judged; more are thinned evenly.
const MAX_POSITIONS: usize = 20_000;

/// Lists of one item with known labels: how candidates are scored when the judge is used.
#[derive(Clone, Debug)]
pub struct Examination {
    questions: Vec<Question>,
    num_heads: usize,
}

#[derive(Clone, Debug)]
struct Question {
    user: UserId,
    known: usize,
    candidates: Vec<ItemId>,
    /// `[candidates, x]`, row-major.
    labels: Vec<f32>,
}

impl Question {
    fn request(&self) -> Request<'_> {
        Request { user: self.user, known: self.known, candidates: &self.candidates }
    }
}

/// One head's answers against the labels.
#[derive(Clone, Debug, PartialEq)]
pub struct HeadResult {
    /// Mean label.
    pub base_rate: f64,
    /// Area under the ROC curve; absent when one class is missing.
    pub auc: Option<f64>,
    /// Mean AUC within users: how well the candidates of one user are ranked.
    pub user_auc: Option<f64>,
    /// Expected calibration error.
    pub ece: f64,
    /// Binary cross-entropy, nats.
    pub log_loss: f64,
    /// Reliability bins: mean prediction, mean label, count.
    pub reliability: Vec<(f64, f64, u64)>,
}

/// A judge's answers.
#[derive(Clone, Debug, PartialEq)]
pub struct ExaminationResult {
    /// Per head, in the judge's order.
    pub heads: Vec<HeadResult>,
    /// Fused score of every candidate, in an order that is the same for every judge.
    pub fused: Vec<f64>,
    /// Per head, the prediction for every candidate, in that order.
    pub predictions: Vec<Vec<f64>>,
}

/// Labels of one kind with their users, in the order of the answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Truth {
    labels: Vec<f64>,
    users: Vec<usize>,
}

impl Truth {
    /// These scores against the truth.
    pub fn rows<'a>(&'a self, scores: &'a [f64]) -> Rows<'a> {
        Rows { scores, labels: &self.labels, users: &self.users }
    }
    /// The number of every row's user, from 0.
    pub fn users(&self) -> &[usize] {
        &self.users
    }
}

impl Examination {
    /// The training-part interactions of `users`, each with its label; where the log has no feedback, beside
    /// `negatives` sampled items.
    pub fn new(context: &Context, users: &[UserId], negatives: usize, key: Key) -> Self {
        let sampler = NegativeSampler::new(context.log());
        let positions: Vec<Session> = sessions(context.log(), users, 1).collect();
        let every = positions.len().div_ceil(MAX_POSITIONS).max(1);
        let labels = &context.config().labels;
        let question = |(index, &session): (usize, &Session)| {
            let Session { user, start: known, .. } = session;
            let mut candidates = vec![context.log().history(user).items[known]];
            let mut row = Vec::new();
            labels.append(context.feedback(), session, &mut row);
            if labels.needs_negatives() {
                let mut rng = key.at(index as u64).rng();
                candidates.extend((0..negatives).map(|_| sampler.draw(context.log(), user, &mut rng)));
                row.extend(std::iter::repeat_n(0.0, negatives));
            }
            Question { user, known, candidates, labels: row }
        };
        let questions = positions.iter().enumerate().step_by(every).map(question).collect();
        Self { questions, num_heads: labels.heads().len() }
    }

    /// Every interaction that `users` have in another log over the same users, items and feedback columns, judged given the
    /// training part of the context's log: what a log that nobody's choices shaped says of judges trained on one that they
    /// did.
    pub fn elsewhere(context: &Context, other: &Log, users: &[UserId]) -> Self {
        let labels = &context.config().labels;
        let question = |&user: &UserId| {
            let candidates = other.history(user).items.clone();
            let mut row = Vec::new();
            for start in 0..candidates.len() {
                labels.append(context.feedback_of(other), Session { user, start, length: 1 }, &mut row);
            }
            Question { user, known: context.log().train_items(user).len(), candidates, labels: row }
        };
        let known = users.iter().filter(|user| !other.history(**user).items.is_empty());
        Self { questions: known.map(question).collect(), num_heads: labels.heads().len() }
    }

    /// How much each candidate counts where propensities are corrected for; `None` where the context has none.
    pub fn weights(&self, context: &Context) -> Option<Vec<f64>> {
        let propensity = context.config().propensity?;
        let weight = |question: &Question| {
            let own = propensity.weight(context.log(), question.user, question.known);
            std::iter::repeat_n(own, question.candidates.len())
        };
        Some(self.questions.iter().flat_map(weight).collect())
    }

    /// Candidates judged.
    pub fn len(&self) -> usize {
        self.questions.iter().map(|question| question.candidates.len()).sum()
    }
    /// Whether there is nothing to judge.
    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    /// Examines a judge whose heads are the context's.
    pub fn examine(&self, judge: &dyn Judge) -> ExaminationResult {
        let requests: Vec<_> = self.questions.iter().map(Question::request).collect();
        let scores: Vec<_> = judge.score(&requests).into_iter().flatten().collect();
        let column =
            |head: usize| scores.iter().map(|score| f64::from(score.heads[head])).collect::<Vec<f64>>();
        let predictions: Vec<_> = (0..self.num_heads).map(column).collect();
        let result = |(head, predictions): (usize, &Vec<f64>)| {
            head_result(predictions, &self.labels(head), &self.user_sizes())
        };
        ExaminationResult {
            heads: predictions.iter().enumerate().map(result).collect(),
            fused: scores.iter().map(|score| f64::from(score.fused)).collect(),
            predictions,
        }
    }

    /// The labels of a head.
    pub fn truth(&self, head: usize) -> Truth {
        Truth { labels: self.labels(head), users: self.row_users() }
    }
    /// The watch times a judge's head predicts, and what they were; `None` where there is no head or no watch time.
    pub fn watch_times(&self, judge: &ModelJudge, context: &Context) -> Option<(Vec<f64>, Truth)> {
        let requests: Vec<_> = self.questions.iter().map(Question::request).collect();
        let times = judge.watch_times(&requests)?;
        let watched = |question: &Question| {
            let session = Session { user: question.user, start: question.known, length: 1 };
            context.config().labels.watch_time(context.feedback(), session).map(f64::from)
        };
        let labels: Option<Vec<f64>> = self.questions.iter().map(watched).collect();
        Some((times, Truth { labels: labels?, users: self.row_users() }))
    }

    /// Mean disagreement of an ensemble over all candidates.
    pub fn disagreement<J: Judge>(&self, ensemble: &Ensemble<J>) -> f64 {
        let requests: Vec<_> = self.questions.iter().map(Question::request).collect();
        let spreads = ensemble.disagreement(&requests).concat();
        spreads.iter().sum::<f64>() / spreads.len().max(1) as f64
    }

    /// The number of every candidate's user, from 0.
    fn row_users(&self) -> Vec<usize> {
        let sizes = self.user_sizes();
        sizes.iter().enumerate().flat_map(|(user, &size)| std::iter::repeat_n(user, size)).collect()
    }

    /// Candidates per user; a user's questions are consecutive.
    fn user_sizes(&self) -> Vec<usize> {
        let users = self.questions.chunk_by(|a, b| a.user == b.user);
        users.map(|questions| questions.iter().map(|question| question.candidates.len()).sum()).collect()
    }

    fn labels(&self, head: usize) -> Vec<f64> {
        let rows = self.questions.iter().flat_map(|question| question.labels.chunks_exact(self.num_heads));
        rows.map(|row| f64::from(row[head])).collect()
    }
}

fn head_result(predictions: &[f64], labels: &[f64], user_sizes: &[usize]) -> HeadResult {
    HeadResult {
        base_rate: labels.iter().sum::<f64>() / labels.len().max(1) as f64,
        auc: auc(predictions, labels),
        user_auc: grouped_auc(predictions, labels, user_sizes),
        ece: expected_calibration_error(predictions, labels),
        log_loss: log_loss(predictions, labels),
        reliability: reliability(predictions, labels),
    }
}
