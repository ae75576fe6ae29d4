//! How the items of a world are drawn: groups, topics, attribute meanings, popularity, release times.

use super::config::WorldConfig;
use super::items::{
    ATTRIBUTES, BRAND, EPOCH, HORIZON, Item, LATENT, MAX_GROUPS, MAX_TOPICS_PER_GROUP, TASTE, gaussian,
    normal, unit,
};
use policy::ids::ItemId;
use policy::random::Key;
use rand::{Rng, RngExt};
use rayon::prelude::*;

/// Brands; a brand is two syllables of sixteen.
const BRANDS: u16 = 256;

/// The items of a world, and the centres of the topics they belong to.
pub(super) fn draw(config: &WorldConfig, key: Key) -> (Vec<Item>, Vec<[f32; LATENT]>) {
    let layout = Layout::of(config.items);
    let centres: Vec<_> = layout.centres(key).collect();
    let attributes = Attributes::generate(key.named("attributes"));
    let palette = Palette { config, centres: &centres, attributes: &attributes };
    let mut items: Vec<Item> = (0..config.items)
        .into_par_iter()
        .map(|item| Item {
            lift: config.click_bait.lift_of(ItemId::new(item), key),
            ..layout.item(&palette, key.named("item").at(item as u64))
        })
        .collect();
    normalise_popularity(&mut items, config.marginals.popularity_exponent, key.named("popularity"));
    (items, centres)
}

/// What items are drawn from.
struct Palette<'a> {
    config: &'a WorldConfig,
    centres: &'a [[f32; LATENT]],
    attributes: &'a Attributes,
}

/// How many groups and topics a catalog of some size has.
struct Layout {
    groups: usize,
    topics_per_group: usize,
}

impl Layout {
    /// Twelve items a topic at 300 items, ninety at 12,000: larger catalogs are both broader and deeper.
    fn of(items: usize) -> Self {
        let groups = (((items as f64).sqrt() / 5.0).round() as usize).clamp(3, MAX_GROUPS);
        let topics_per_group = (items / (groups * 10)).clamp(2, MAX_TOPICS_PER_GROUP);
        Self { groups, topics_per_group }
    }

    fn centres(&self, key: Key) -> impl Iterator<Item = [f32; LATENT]> + '_ {
        (0..self.groups * self.topics_per_group).map(move |topic| {
            let group =
                gaussian::<LATENT>(&mut key.named("group").at((topic / self.topics_per_group) as u64).rng());
            let own = gaussian::<LATENT>(&mut key.named("topic").at(topic as u64).rng());
            unit(std::array::from_fn(|i| group[i] + 0.8 * own[i]))
        })
    }

    fn item(&self, palette: &Palette<'_>, key: Key) -> Item {
        let Palette { config, centres, attributes } = palette;
        let marginals = &config.marginals;
        let mut rng = key.rng();
        let topic = rng.random_range(0..centres.len());
        let own = gaussian::<LATENT>(&mut rng);
        // A Gaussian vector has norm about sqrt(LATENT) = 4, the centre 1.
        let latent = unit(std::array::from_fn(|i| centres[topic][i] + 0.13 * own[i]));
        let words = [rng.random_range(0..ATTRIBUTES), rng.random_range(0..ATTRIBUTES)];
        let shared = (attributes.quality[words[0]] + attributes.quality[words[1]]) / 2.0_f32.sqrt();
        let brand = rng.random_range(0..BRANDS);
        let cold = rng.random_bool(config.exposure.cold_share);
        Item {
            group: (topic / self.topics_per_group) as u16,
            topic_in_group: (topic % self.topics_per_group) as u16,
            topic: topic as u16,
            brand,
            attributes: words.map(|word| word as u16),
            latent,
            taste: std::array::from_fn(|i| attributes.vectors[words[0]][i] + attributes.vectors[words[1]][i]),
            brand_vector: attributes.brands[usize::from(brand)],
            quality: 0.9 * shared + 0.44 * normal(&mut rng),
            log_duration: marginals.duration as f32 + marginals.duration_spread as f32 * normal(&mut rng),
            popularity: 0.0,
            log_popularity: 0.0,
            released: release_time(cold, &mut rng),
            lift: 0.0,
        }
    }
}

/// Warm items exist from the beginning or appear during the horizon; cold ones appear in its last tenth.
fn release_time(cold: bool, rng: &mut impl Rng) -> i64 {
    let share: f64 = if cold { rng.random_range(0.9..1.0) } else { rng.random_range(-1.0..0.7) };
    EPOCH + (share.max(0.0) * HORIZON as f64) as i64
}

/// Zipf's law over a random order in which quality counts a little.
fn normalise_popularity(items: &mut [Item], exponent: f64, key: Key) {
    let mut order: Vec<usize> = (0..items.len()).collect();
    let appeal: Vec<f32> = items
        .iter()
        .enumerate()
        .map(|(index, item)| 0.3 * item.quality + normal(&mut key.at(index as u64).rng()))
        .collect();
    order.sort_by(|&a, &b| appeal[b].total_cmp(&appeal[a]).then(a.cmp(&b)));
    let weight = |rank: usize| ((rank + 1) as f64).powf(-exponent);
    let total: f64 = (0..items.len()).map(weight).sum();
    for (rank, &item) in order.iter().enumerate() {
        items[item].popularity = weight(rank) / total;
        items[item].log_popularity = (items[item].popularity * order.len() as f64).ln();
    }
}

struct Attributes {
    vectors: [[f32; TASTE]; ATTRIBUTES],
    quality: [f32; ATTRIBUTES],
    brands: Vec<[f32; BRAND]>,
}

impl Attributes {
    fn generate(key: Key) -> Self {
        let mut rng = key.rng();
        Self {
            vectors: std::array::from_fn(|_| std::array::from_fn(|_| 0.5 * normal(&mut rng))),
            quality: std::array::from_fn(|_| normal(&mut rng)),
            brands: (0..BRANDS).map(|_| std::array::from_fn(|_| 0.5 * normal(&mut rng))).collect(),
        }
    }
}
