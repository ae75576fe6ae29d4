//! What `recalign inspect sids` prints: serialised as it is, or as text.

use crate::commands::inspect::shortened;
use crate::commands::table;
use policy::ids::Code;
use reports::schema::TokenizerQuality;
use serde::Serialize;
use std::fmt::Write as _;

/// The most that is shown of an item's text.
const MOST_CHARACTERS: usize = 100;

/// Everything about the IDs of a run.
#[derive(Serialize)]
pub(super) struct Summary<'a> {
    pub(super) items: usize,
    #[serde(flatten)]
    pub(super) quality: &'a TokenizerQuality,
    /// Gini coefficient of items per code of each level, codes without items included.
    pub(super) level_gini: Vec<f64>,
    pub(super) largest_collisions: Vec<Group>,
    pub(super) largest_prefixes: Vec<Group>,
}

/// Items whose IDs start alike.
#[derive(Serialize)]
pub(super) struct Group {
    pub(super) prefix: Vec<Code>,
    pub(super) count: usize,
    /// The first of them.
    pub(super) items: Vec<Item>,
}

/// An item and its ID.
#[derive(Serialize)]
pub(super) struct Item {
    /// Its row in the catalog.
    #[serde(rename = "item")]
    pub(super) id: usize,
    pub(super) raw_id: String,
    pub(super) codes: Vec<Code>,
    pub(super) text: String,
}

/// `12,7`.
pub(super) fn written(prefix: &[Code]) -> String {
    prefix.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl Summary<'_> {
    pub(super) fn text(&self) -> anyhow::Result<String> {
        let Self { items, quality, .. } = self;
        let mut text = format!("{items} items, {} over {} vectors", quality.quantizer, self.vectors());
        write!(text, ", collisions: {}\n\n{}\n", quality.collisions, self.levels())?;
        for (name, value) in self.facts() {
            writeln!(text, "{name:<42} {value}")?;
        }
        for (title, groups) in [
            ("largest collisions", &self.largest_collisions),
            ("prefixes of most items", &self.largest_prefixes),
        ] {
            if !groups.is_empty() {
                write!(text, "\n{title}\n")?;
                text.extend(groups.iter().map(Group::text));
            }
        }
        Ok(text)
    }

    fn vectors(&self) -> &str {
        self.quality.vectors.as_deref().unwrap_or("item")
    }

    fn facts(&self) -> Vec<(&'static str, String)> {
        let quality = self.quality;
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let facts = [
            ("distinct quantised IDs", Some(quality.distinct_ids.to_string())),
            ("items that share one", Some(percent(quality.collision_rate))),
            ("most items on one", Some(quality.largest_collision.to_string())),
            ("Gini of items per used ID", Some(format!("{:.3}", quality.gini))),
            ("Gini of items per possible ID", quality.gini_of_all_ids.map(|gini| format!("{gini:.3}"))),
            ("neighbours by vector kept, of 10", Some(percent(quality.embedding_hit_rate))),
            ("co-occurring items found, of 10", quality.cooccurrence_hit_rate.map(percent)),
            ("the same before quantisation", quality.cooccurrence_hit_rate_of_vectors.map(percent)),
        ];
        facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn levels(&self) -> String {
        let rows =
            (1..).zip(self.quality.levels.iter().zip(&self.level_gini)).map(|(number, (level, gini))| {
                vec![
                    number.to_string(),
                    level.size.to_string(),
                    format!("{:.1} %", 100.0 * level.usage),
                    format!("{:.3}", level.entropy),
                    format!("{:.3}", (level.size.max(1) as f64).ln()),
                    format!("{:.1}", level.perplexity.unwrap_or_else(|| level.entropy.exp())),
                    format!("{gini:.3}"),
                ]
            });
        let header = ["level", "codes", "used", "entropy", "of at most", "perplexity", "Gini"];
        table::render(&header, &rows.collect::<Vec<_>>())
    }
}

impl Group {
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}: {} items\n", written(&self.prefix), self.count);
        for item in &self.items {
            let words = if item.text.is_empty() {
                "(no text)".into()
            } else {
                shortened(&item.text, MOST_CHARACTERS)
            };
            text.extend(["    ", &written(&item.codes), "  ", &item.raw_id, "  ", &words, "\n"]);
        }
        text
    }
}
