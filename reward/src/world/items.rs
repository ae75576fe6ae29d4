//! Items: groups, topics, latent vectors, and everything about an item that does not depend on who looks at it.

use super::blueprint;
use super::config::WorldConfig;
use super::math::dot;
use super::weighted::{Weighted, uniform};
use policy::embeddings::Embeddings;
use policy::ids::ItemId;
use policy::random::Key;
use rand::{Rng, RngExt};
use rand_distr::StandardNormal;
use rayon::prelude::*;

/// Width of the latent vectors of items and interests.
pub(super) const LATENT: usize = 16;
/// Width of attribute and taste vectors.
pub(super) const TASTE: usize = 8;
/// Width of brand vectors.
pub(super) const BRAND: usize = 4;
/// Width of the published embeddings.
const EMBEDDING: usize = 48;
/// Number of attribute words.
pub(super) const ATTRIBUTES: usize = 24;
/// Most groups.
pub(super) const MAX_GROUPS: usize = 16;
/// Most topics of a group.
pub(super) const MAX_TOPICS_PER_GROUP: usize = 8;
/// Continuations listed per item.
const CONTINUATIONS: usize = 5;
/// Items looked at when an item's continuations are chosen.
const CONTINUATION_POOL: usize = 48;

/// 2023-11-14, when the world begins; seconds since the epoch.
pub(super) const EPOCH: i64 = 1_700_000_000;
/// Seconds over which users arrive and items are released: 30 days.
pub(super) const HORIZON: i64 = 30 * 86_400;

/// One item.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) group: u16,
    pub(super) topic_in_group: u16,
    /// Index over all topics of all groups.
    pub(super) topic: u16,
    pub(super) brand: u16,
    pub(super) attributes: [u16; 2],
    /// Unit length.
    pub(super) latent: [f32; LATENT],
    /// Sum of the two attribute vectors.
    pub(super) taste: [f32; TASTE],
    pub(super) brand_vector: [f32; BRAND],
    /// About standard normal; worth the same to everybody.
    pub(super) quality: f32,
    /// Natural logarithm of seconds.
    pub(super) log_duration: f32,
    /// Share of attention, sums to 1 over the items; only weakly related to quality.
    pub(super) popularity: f64,
    /// Log of the share of attention times the number of items: 0 for an average item.
    pub(super) log_popularity: f64,
    /// Seconds since the epoch.
    pub(super) released: i64,
    /// What is added to the log odds of being taken and of a logged like: 0 unless it is click-bait.
    pub(super) lift: f64,
}

/// All items with the indices the logging policy draws from.
#[derive(Clone, Debug)]
pub(super) struct Items {
    all: Vec<Item>,
    by_popularity: Weighted,
    topics: Vec<Topic>,
    continuations: Vec<[ItemId; CONTINUATIONS]>,
    key: Key,
}

#[derive(Clone, Debug, Default)]
struct Topic {
    centre: [f32; LATENT],
    members: Vec<ItemId>,
    by_popularity: Weighted,
}

impl Items {
    pub(super) fn generate(config: &WorldConfig, key: Key) -> Self {
        let (items, centres) = blueprint::draw(config, key);
        let mut topics: Vec<Topic> =
            centres.into_iter().map(|centre| Topic { centre, ..Topic::default() }).collect();
        for (index, item) in items.iter().enumerate() {
            topics[usize::from(item.topic)].members.push(ItemId::new(index));
        }
        for topic in &mut topics {
            topic.by_popularity =
                Weighted::new(topic.members.iter().map(|item| items[item.index()].popularity));
        }
        let by_popularity = Weighted::new(items.iter().map(|item| item.popularity));
        let mut world = Self { all: items, by_popularity, topics, continuations: Vec::new(), key };
        world.continuations = (0..config.items)
            .into_par_iter()
            .map(|item| world.find_continuations(ItemId::new(item)))
            .collect();
        world
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
    #[inline]
    pub(super) fn get(&self, item: ItemId) -> &Item {
        &self.all[item.index()]
    }
    pub(super) fn iter(&self) -> impl Iterator<Item = &Item> {
        self.all.iter()
    }
    pub(super) fn topic_centre(&self, topic: u16) -> &[f32; LATENT] {
        &self.topics[usize::from(topic)].centre
    }
    /// Items that continue this one, listed by the service beside it.
    pub(super) fn continuations(&self, item: ItemId) -> &[ItemId] {
        &self.continuations[item.index()]
    }
    /// An item by popularity.
    pub(super) fn draw(&self, rng: &mut impl Rng) -> ItemId {
        ItemId::new(self.by_popularity.draw(rng))
    }
    /// An item of this topic by popularity; `None` for a topic without items.
    pub(super) fn draw_of_topic(&self, topic: u16, rng: &mut impl Rng) -> Option<ItemId> {
        self.of_topic_at(topic, || uniform(rng))
    }
    /// The same, given a uniform number.
    #[inline]
    pub(super) fn of_topic_at(&self, topic: u16, uniform: impl FnOnce() -> f64) -> Option<ItemId> {
        let topic = &self.topics[usize::from(topic)];
        (!topic.members.is_empty()).then(|| topic.members[topic.by_popularity.at(uniform())])
    }
    /// The share of attention that a topic's items have together.
    pub(super) fn topic_share(&self, topic: u16) -> f64 {
        self.topics[usize::from(topic)].by_popularity.total()
    }

    /// How much `next` continues `previous`, in `[-1, 1]`.
    fn continuation(&self, previous: ItemId, next: ItemId) -> f32 {
        dot(&turned(&self.get(previous).latent), &self.get(next).latent)
    }

    fn find_continuations(&self, item: ItemId) -> [ItemId; CONTINUATIONS] {
        let mut rng = self.key.named("continuations").at(item.index() as u64).rng();
        let topic = self.get(item).topic;
        let mut pool: Vec<ItemId> = (0..CONTINUATION_POOL)
            .map(|draw| match draw % 2 {
                0 => self.draw_of_topic(topic, &mut rng).expect("the item's own topic has items"),
                _ => ItemId::new(rng.random_range(0..self.len())),
            })
            .collect();
        // Every item, should the draws not give enough distinct ones.
        pool.extend((0..=CONTINUATIONS).map(|i| ItemId::new((item.index() + i) % self.len())));
        pool.sort_unstable();
        pool.dedup();
        pool.retain(|&other| other != item);
        pool.sort_by(|&a, &b| {
            self.continuation(item, b).total_cmp(&self.continuation(item, a)).then(a.cmp(&b))
        });
        std::array::from_fn(|i| pool[i])
    }

    pub(super) fn embeddings(&self) -> Embeddings {
        /// Standard deviation of the noise beside unit signal per block.
        const NOISE: f32 = 0.05;
        let mut rng = self.key.named("projection").rng();
        let inputs = LATENT + TASTE + BRAND;
        let projection: Vec<f32> =
            (0..EMBEDDING * inputs).map(|_| normal(&mut rng) / (inputs as f32).sqrt()).collect();
        let values = self
            .all
            .par_iter()
            .enumerate()
            .flat_map_iter(|(index, item)| {
                let mut rng = self.key.named("embedding").at(index as u64).rng();
                // Blocks are scaled to similar norms.
                let latent = item.latent.iter().map(|z| z * 2.0);
                let input: Vec<f32> = latent.chain(item.taste).chain(item.brand_vector).collect();
                let row: Vec<f32> = projection
                    .chunks_exact(inputs)
                    .map(|row| {
                        row.iter().zip(&input).map(|(w, x)| w * x).sum::<f32>() + NOISE * normal(&mut rng)
                    })
                    .collect();
                row
            })
            .collect();
        Embeddings::new(EMBEDDING, values)
    }
}

/// Where an item's continuations lie: its latent turned by 40 degrees in every coordinate plane, so that what comes next
/// is near but not the same.
#[inline]
pub(super) fn turned(latent: &[f32; LATENT]) -> [f32; LATENT] {
    let (sin, cos) = 40.0_f32.to_radians().sin_cos();
    let mut turned = [0.0; LATENT];
    for plane in 0..LATENT / 2 {
        let (x, y) = (latent[2 * plane], latent[2 * plane + 1]);
        turned[2 * plane] = cos * x - sin * y;
        turned[2 * plane + 1] = sin * x + cos * y;
    }
    turned
}

/// A standard normal draw.
pub(super) fn normal(rng: &mut impl Rng) -> f32 {
    rng.sample(StandardNormal)
}

pub(super) fn gaussian<const N: usize>(rng: &mut impl Rng) -> [f32; N] {
    std::array::from_fn(|_| normal(rng))
}

pub(super) fn unit<const N: usize>(vector: [f32; N]) -> [f32; N] {
    let norm = dot(&vector, &vector).sqrt().max(f32::MIN_POSITIVE);
    vector.map(|x| x / norm)
}
