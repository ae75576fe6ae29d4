//! The built-in world as a [`Dataset`]: ids are the world's own, so that its oracle can score what policies show.

use super::error::DataError;
use super::{Dataset, Item, card};
use crate::config::{Data, EmbeddingSource, TieOrder};
use reports::schema::DataCard;
use reward::world::{World, WorldConfig};

/// Generates the world and hands over its log. `data.max_users` keeps the first users; every other filter would
/// change which item is which and is refused.
pub(super) fn build(data: &Data, config: &WorldConfig) -> Result<(Dataset, DataCard), DataError> {
    check(data, config)?;
    let (world, mut log) = World::generate(config).into_parts();
    log.histories.truncate(data.max_users.unwrap_or(usize::MAX));
    let texts = world.texts();
    let (embeddings, origin) = match data.embeddings {
        EmbeddingSource::HashedText { width } => {
            (super::features::hashed_text(&texts, width), format!("hashed text, width {width}"))
        }
        EmbeddingSource::CoOccurrence { width } => {
            (super::features::co_occurrence(&log, width), format!("co-occurrence in training, width {width}"))
        }
        _ => {
            let own = world.embeddings();
            let origin = format!("world, width {}", own.width());
            (own, origin)
        }
    };
    let item = |(row, text): (usize, String)| Item { raw_id: row.to_string(), text };
    let mut card = card::of_log(data, &log, origin);
    card.tie_share = Some(card::tie_share(&log));
    let dataset = Dataset {
        items: texts.into_iter().enumerate().map(item).collect(),
        users: (0..log.histories.len()).map(|user| user.to_string()).collect(),
        log,
        embeddings,
        attributes: Some(world.attributes()),
        attribute_names: world.attribute_names(),
    };
    Ok((dataset, card))
}

fn check(data: &Data, config: &WorldConfig) -> Result<(), DataError> {
    let refuse = |key, value: String, problem: &str, remedy: &str| {
        Err(DataError::Setting { key, value, problem: problem.into(), remedy: remedy.into() })
    };
    let not_here = "does not apply to the built-in world";
    if let Err(problem) = config.check() {
        return refuse("data.source", "kind = \"world\"".into(), &problem.to_string(), "correct it");
    }
    match (data.tie_order, &data.embeddings) {
        _ if data.k_core > 0 => refuse("data.k_core", data.k_core.to_string(), not_here, "leave it out"),
        _ if data.max_users == Some(0) => {
            refuse("data.max_users", "0".into(), "leaves no user", "leave it out")
        }
        (TieOrder::Shuffled(_), _) => refuse("data.tie_order", "shuffled".into(), not_here, "leave it out"),
        (_, EmbeddingSource::File { file, .. }) => refuse(
            "data.embeddings.file",
            file.display().to_string(),
            not_here,
            "leave `data.embeddings` out",
        ),
        (_, EmbeddingSource::HashedText { width: 0 } | EmbeddingSource::CoOccurrence { width: 0 }) => {
            Err(super::item_vectors::no_width())
        }
        _ => Ok(()),
    }
}
