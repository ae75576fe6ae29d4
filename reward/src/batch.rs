//! From sessions to tensors.
//!
//! A batch gathers the features of its distinct items once; histories and lists are rows of that table. Where the log
//! has no feedback, every observed session is followed by lists of the same length that the user was not seen with.

use crate::context::Context;
use crate::labels::Session;
use crate::model::metric::Crowd;
use crate::model::{ListInput, Outputs, RewardModel, UserInput};
use burn::prelude::*;
use burn::tensor::TensorData;
use policy::history::Log;
use policy::ids::{ItemId, UserId};
use policy::random::Key;
use rand::{Rng, RngExt};

/// Draws items a user was not seen with: half in proportion to popularity, half uniformly. With popular negatives
/// alone, the judge would learn that popular is bad; with uniform ones alone, that popular is good.
#[derive(Clone, Debug)]
pub struct NegativeSampler {
    /// Running sums of the training counts.
    cumulative: Vec<u64>,
}

/// Draws before an item the user has seen is accepted after all (a user who has seen nearly everything).
const ATTEMPTS: usize = 50;

impl NegativeSampler {
    /// A sampler over the items of this log.
    pub fn new(log: &Log) -> Self {
        let mut sum = 0;
        let running = |count| {
            sum += u64::from(count);
            sum
        };
        Self { cumulative: log.train_counts().into_iter().map(running).collect() }
    }
    /// An item that is not in the training part of the user's history.
    pub fn draw(&self, log: &Log, user: UserId, rng: &mut impl Rng) -> ItemId {
        let seen = log.train_items(user);
        let mut item = self.any(rng);
        for _ in 0..ATTEMPTS {
            if !seen.contains(&item) {
                break;
            }
            item = self.any(rng);
        }
        item
    }
    /// The share of this item among those of a batch in which every observed one is followed by `negatives` drawn ones.
    fn share(&self, item: ItemId, negatives: usize) -> f64 {
        let before = |at: usize| if at == 0 { 0 } else { self.cumulative[at - 1] };
        let (items, total) = (self.cumulative.len(), before(self.cumulative.len()));
        let seen = (before(item.index() + 1) - before(item.index())) as f64 / total.max(1) as f64;
        let drawn = f64::midpoint(seen, (items as f64).recip());
        (seen + negatives as f64 * drawn) / (1 + negatives) as f64
    }
    fn any(&self, rng: &mut impl Rng) -> ItemId {
        let total = self.cumulative[self.cumulative.len() - 1];
        if total == 0 || rng.random_bool(0.5) {
            return ItemId::new(rng.random_range(0..self.cumulative.len()));
        }
        let draw = rng.random_range(0..total);
        ItemId::new(self.cumulative.partition_point(|&sum| sum <= draw))
    }
}

/// Where a user stands: whose history, and how much of it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Viewer {
    pub(crate) user: UserId,
    pub(crate) known: usize,
}

/// Padded histories, as rows of some table of item vectors.
pub(crate) struct Histories {
    items: Vec<i64>,
    behaviour: Vec<f32>,
    mask: Vec<f32>,
    shape: [usize; 2],
}

impl Histories {
    /// The latest items known of each viewer, latest first; `row` is an item's row in the table.
    pub(crate) fn new(context: &Context, viewers: &[Viewer], row: impl Fn(ItemId) -> i64) -> Self {
        let config = context.config();
        let length = |viewer: &Viewer| viewer.known.min(config.history_items);
        let longest = viewers.iter().map(length).max().unwrap_or(0).max(1);
        let mut histories = Self {
            items: Vec::new(),
            behaviour: Vec::new(),
            mask: Vec::new(),
            shape: [viewers.len(), longest],
        };
        for viewer in viewers {
            let history = context.log().history(viewer.user);
            for position in (viewer.known - length(viewer)..viewer.known).rev() {
                histories.items.push(row(history.items[position]));
                histories.mask.push(1.0);
                config.behaviour.append(&history.feedback, position, &mut histories.behaviour);
            }
            histories.pad(longest - length(viewer), config.behaviour.width());
        }
        histories
    }
    fn pad(&mut self, places: usize, signals: usize) {
        self.items.extend(std::iter::repeat_n(0, places));
        self.mask.extend(std::iter::repeat_n(0.0, places));
        self.behaviour.extend(std::iter::repeat_n(0.0, places * signals));
    }
    /// The input of [`RewardModel::users`] over the table `vectors` (`[n, d]`).
    pub(crate) fn input(self, vectors: &Tensor<2>) -> UserInput {
        let ([batch, longest], device) = (self.shape, vectors.device());
        let signals = self.behaviour.len() / (batch * longest).max(1);
        let behaviour = TensorData::new(self.behaviour, [batch, longest, signals]);
        UserInput {
            items: rows(vectors, self.items, [batch, longest]),
            behaviour: (signals > 0).then(|| Tensor::from_data(behaviour, &device)),
            mask: Tensor::from_data(TensorData::new(self.mask, [batch, longest]), &device),
        }
    }
}

/// Rows of a table as `[shape, d]`.
fn rows(vectors: &Tensor<2>, indices: Vec<i64>, [outer, inner]: [usize; 2]) -> Tensor<3> {
    let width = vectors.dims()[1];
    let indices = Tensor::<1, Int>::from_data(TensorData::new(indices, [outer * inner]), &vectors.device());
    vectors.clone().select(0, indices).reshape([outer, inner, width])
}

/// Sessions with their labels, ready for the model.
pub struct Batch {
    /// Distinct items, ascending.
    items: Vec<ItemId>,
    features: Vec<f32>,
    histories: Histories,
    lists: Vec<i64>,
    list_mask: Vec<f32>,
    owners: Vec<i64>,
    list_items: usize,
    labels: Vec<f32>,
    watch_times: Option<Vec<f32>>,
    weights: Option<Vec<f32>>,
    crowd: Crowd,
}

/// What a step learns from.
pub struct Targets {
    /// `[c, x]`: 0 or 1 per list and head.
    pub labels: Tensor<2>,
    /// Watch time per list, where the log has it and nothing was sampled.
    pub watch_times: Option<Vec<f32>>,
    /// `[c, 1]`: how much each list counts, where propensities are corrected for.
    pub weights: Option<Tensor<2>>,
    /// The first item of every list.
    pub crowd: Crowd,
}

struct List {
    items: Vec<ItemId>,
    owner: usize,
}

/// How sessions become lists.
#[derive(Clone, Copy)]
pub struct Negatives<'a> {
    /// Where replacements come from.
    pub sampler: &'a NegativeSampler,
    /// Replaced lists per observed one; used only where the log has no feedback.
    pub per_session: usize,
    /// Randomness of this batch.
    pub key: Key,
}

impl Batch {
    /// The batch of these sessions.
    ///
    /// # Panics
    /// If a session is outside the log, or there is none.
    pub fn new(context: &Context, sessions: &[Session], negatives: Negatives<'_>) -> Self {
        let (lists, labels) = labelled_lists(context, sessions, negatives);
        let viewers: Vec<_> =
            sessions.iter().map(|session| Viewer { user: session.user, known: session.start }).collect();
        let items = distinct_items(context, &viewers, &lists);
        let row = |item| items.binary_search(&item).expect("every item of the batch is listed") as i64;
        let list_items = lists.iter().map(|list| list.items.len()).max().unwrap_or(1);
        let (mut indices, mut list_mask) = (Vec::new(), Vec::new());
        for list in &lists {
            let padding = list_items - list.items.len();
            indices.extend(list.items.iter().map(|&item| row(item)).chain(std::iter::repeat_n(0, padding)));
            list_mask.extend(std::iter::repeat_n(1.0, list.items.len()));
            list_mask.extend(std::iter::repeat_n(0.0, padding));
        }
        Self {
            features: items.iter().flat_map(|&item| context.features().row(item)).copied().collect(),
            histories: Histories::new(context, &viewers, row),
            owners: lists.iter().map(|list| list.owner as i64).collect(),
            items,
            lists: indices,
            list_mask,
            list_items,
            labels,
            watch_times: watch_times(context, sessions),
            weights: weights(context, sessions, &lists),
            crowd: crowd(context, &lists, negatives),
        }
    }

    /// Turns over a share of the observed sessions' labels, always the same ones of a session for the same key: a test of how
    /// much noise a judge endures.
    pub fn turn_labels(&mut self, sessions: &[Session], share: f64, key: Key) {
        if share == 0.0 {
            return;
        }
        let heads = self.labels.len() / self.owners.len();
        for (index, session) in sessions.iter().enumerate() {
            let Some(first) = self.owners.iter().position(|&owner| owner == index as i64) else { continue };
            let draws = key.at(session.user.index() as u64).at(session.start as u64);
            for (head, label) in (0..).zip(&mut self.labels[first * heads..(first + 1) * heads]) {
                if draws.at(head).unit() < share {
                    *label = 1.0 - *label;
                }
            }
        }
    }

    /// What the model says of every list, and what it should say.
    pub fn forward(self, model: &RewardModel, device: &Device) -> (Outputs, Targets) {
        let (n, c) = (self.items.len(), self.owners.len());
        let (width, heads) = (self.features.len() / n, self.labels.len() / c);
        let vectors = model.items(Tensor::from_data(TensorData::new(self.features, [n, width]), device));
        let ids = item_ids(self.items.iter().copied(), device);
        let users = model.user_side(model.users(self.histories.input(&vectors)));
        let owners = Tensor::<1, Int>::from_data(TensorData::new(self.owners, [c]), device);
        let outputs = model.outputs(ListInput {
            items: rows(&model.item_side(vectors, ids), self.lists, [c, self.list_items]),
            mask: Tensor::from_data(TensorData::new(self.list_mask, [c, self.list_items]), device),
            users: users.select(0, owners),
        });
        let labels = Tensor::from_data(TensorData::new(self.labels, [c, heads]), device);
        let weights = self.weights.map(|weights| Tensor::from_data(TensorData::new(weights, [c, 1]), device));
        (outputs, Targets { labels, watch_times: self.watch_times, weights, crowd: self.crowd })
    }
}

/// Ids as the model takes them.
pub(crate) fn item_ids(items: impl Iterator<Item = ItemId>, device: &Device) -> Tensor<1, Int> {
    let ids: Vec<i64> = items.map(|item| item.index() as i64).collect();
    let count = ids.len();
    Tensor::from_data(TensorData::new(ids, [count]), device)
}

/// The watch time of every session, where the log has it and every list is an observed one.
fn watch_times(context: &Context, sessions: &[Session]) -> Option<Vec<f32>> {
    let labels = &context.config().labels;
    if labels.needs_negatives() {
        return None;
    }
    sessions.iter().map(|&session| labels.watch_time(context.feedback(), session)).collect()
}

/// What a list is told apart from: models that contrast judge lists of one item.
fn crowd(context: &Context, lists: &[List], negatives: Negatives<'_>) -> Crowd {
    let drawn = if context.config().labels.needs_negatives() { negatives.per_session } else { 0 };
    let log_q = |list: &List| negatives.sampler.share(list.items[0], drawn).ln() as f32;
    Crowd {
        items: lists.iter().map(|list| list.items[0].index()).collect(),
        log_q: lists.iter().map(log_q).collect(),
    }
}

/// The mean weight of an observed list's interactions; sampled lists count once.
fn weights(context: &Context, sessions: &[Session], lists: &[List]) -> Option<Vec<f32>> {
    let propensity = context.config().propensity?;
    let observed = |session: &Session| {
        let positions = session.start..session.start + session.length;
        let weight = |position| propensity.weight(context.log(), session.user, position);
        (positions.map(weight).sum::<f64>() / session.length as f64) as f32
    };
    let first = |at: usize| at == 0 || lists[at - 1].owner != lists[at].owner;
    let weight = |at: usize| if first(at) { observed(&sessions[lists[at].owner]) } else { 1.0 };
    Some((0..lists.len()).map(weight).collect())
}

fn labelled_lists(
    context: &Context,
    sessions: &[Session],
    negatives: Negatives<'_>,
) -> (Vec<List>, Vec<f32>) {
    let (mut lists, mut labels) = (Vec::new(), Vec::new());
    let definition = &context.config().labels;
    for (owner, session) in sessions.iter().enumerate() {
        let history = context.log().history(session.user);
        let items = history.items[session.start..session.start + session.length].to_vec();
        lists.push(List { items, owner });
        definition.append(context.feedback(), *session, &mut labels);
        if !definition.needs_negatives() {
            continue;
        }
        let mut rng = negatives.key.at(owner as u64).rng();
        for _ in 0..negatives.per_session {
            let draw = |_| negatives.sampler.draw(context.log(), session.user, &mut rng);
            lists.push(List { items: (0..session.length).map(draw).collect(), owner });
            labels.push(0.0);
        }
    }
    (lists, labels)
}

fn distinct_items(context: &Context, viewers: &[Viewer], lists: &[List]) -> Vec<ItemId> {
    let recent = |viewer: &Viewer| {
        let items = &context.log().history(viewer.user).items[..viewer.known];
        items[items.len().saturating_sub(context.config().history_items)..].to_vec()
    };
    let mut items: Vec<ItemId> = viewers.iter().flat_map(recent).collect();
    items.extend(lists.iter().flat_map(|list| &list.items));
    items.sort_unstable();
    items.dedup();
    items
}
