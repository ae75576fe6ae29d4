//! The data card and the tokenizer's quality.

use super::{fact_row, missing};
use crate::document::{Block, Cell, Column, Section, Span, Table, paragraph, sourced_paragraph};
use crate::load::Run;
use crate::number;
use crate::schema::{DataCard, LevelQuality, TokenizerQuality};

pub(super) fn card(run: &Run) -> Section {
    let blocks = match &run.data_card {
        None => vec![missing(run, "ingest")],
        Some(card) => {
            let intro = format!(
                "Source {}, ties in {} order, item embeddings: {}.",
                card.source, card.tie_order, card.embeddings
            );
            vec![
                sourced_paragraph(intro, "stage ingest, key data_card.embeddings"),
                table("What the log holds after filters", card_rows(card)),
            ]
        }
    };
    Section { id: "data", title: "Data card", blocks }
}

fn table(caption: &str, rows: Vec<Vec<Cell>>) -> Block {
    let columns = vec![Column::text("fact"), Column::number("value"), Column::text("key")];
    Block::Table(Table { caption: caption.to_owned(), columns, rows })
}

fn card_rows(card: &DataCard) -> Vec<Vec<Cell>> {
    let row =
        |what: &str, value: String, key: &str| fact_row(what, value, "ingest", &format!("data_card.{key}"));
    let mut rows = vec![
        row("users", number::count(card.users), "users"),
        row("items", number::count(card.items), "items"),
        row("interactions", number::count(card.interactions), "interactions"),
        row("density", number::decimal(card.density), "density"),
    ];
    for quantile in quantiles(card) {
        let value = number::measured(card.lengths[quantile]);
        rows.push(row(&format!("history length, {quantile}"), value, &format!("lengths.{quantile}")));
    }
    rows.extend([
        row("repeats of an earlier item", number::count(card.repeats), "repeats"),
        row("exact duplicate rows", number::count(card.duplicate_rows), "duplicate_rows"),
        row("share of equal neighbouring timestamps", tie_share(card), "tie_share"),
        row("test items never seen in training", number::count(card.cold_test_items), "cold_test_items"),
    ]);
    for (signal, mean) in &card.signals {
        rows.push(row(
            &format!("mean of signal {signal}"),
            number::decimal(*mean),
            &format!("signals.{signal}"),
        ));
    }
    for (reason, removed) in &card.removed {
        rows.push(row(&format!("removed: {reason}"), number::count(*removed), &format!("removed.{reason}")));
    }
    for (what, mended) in &card.mended {
        rows.push(row(&format!("mended: {what}"), number::count(*mended), &format!("mended.{what}")));
    }
    rows
}

/// Quantile names in order of size; a map would sort `max` before `min`.
fn quantiles(card: &DataCard) -> Vec<&str> {
    let rank = |name: &str| match name {
        "min" => -1,
        "max" => 1000,
        _ => name.trim_start_matches('p').parse().unwrap_or(500),
    };
    let mut names: Vec<_> = card.lengths.keys().map(String::as_str).collect();
    names.sort_by_key(|name| rank(name));
    names
}

fn tie_share(card: &DataCard) -> String {
    card.tie_share.map_or_else(|| "no timestamps".to_owned(), number::percent)
}

pub(super) fn tokenizer(run: &Run) -> Section {
    let blocks = match &run.tokenizer {
        None => vec![missing(run, "tokenize")],
        Some(quality) => {
            let intro = format!(
                "Quantiser {} over {} vectors; items that share a quantised ID are handled by: {}. No training of a policy enters \
                 these numbers; they find broken tokenizers, but do not rank good ones.",
                quality.quantizer,
                quality.vectors.as_deref().unwrap_or("item"),
                quality.collisions
            );
            vec![paragraph(intro), table("Semantic IDs as a whole", quality_rows(quality)), levels(quality)]
        }
    };
    Section { id: "tokenizer", title: "Semantic IDs", blocks }
}

fn quality_rows(quality: &TokenizerQuality) -> Vec<Vec<Cell>> {
    let row =
        |what: &str, value: String, key: &str| fact_row(what, value, "tokenize", &format!("quality.{key}"));
    let mut rows = vec![
        row("distinct quantised IDs", number::count(quality.distinct_ids), "distinct_ids"),
        row("items that share an ID", number::percent(quality.collision_rate), "collision_rate"),
        row("most items on one ID", number::count(quality.largest_collision), "largest_collision"),
        row(
            "embedding neighbours kept, of 10",
            number::percent(quality.embedding_hit_rate),
            "embedding_hit_rate",
        ),
        row("Gini coefficient of items per used ID", number::fixed(quality.gini, 3), "gini"),
    ];
    let more = [
        (
            "co-occurring items among the nearest, of 10",
            quality.cooccurrence_hit_rate,
            "cooccurrence_hit_rate",
        ),
        (
            "the same before quantisation",
            quality.cooccurrence_hit_rate_of_vectors,
            "cooccurrence_hit_rate_of_vectors",
        ),
    ];
    let known =
        more.into_iter().filter_map(|(what, value, key)| Some(row(what, number::percent(value?), key)));
    rows.extend(known);
    rows.extend(quality.gini_of_all_ids.map(|gini| {
        row("Gini coefficient of items per possible ID", number::fixed(gini, 3), "gini_of_all_ids")
    }));
    rows
}

fn levels(quality: &TokenizerQuality) -> Block {
    let columns = vec![
        Column::text("level"),
        Column::number("codes"),
        Column::number("used"),
        Column::number("entropy (nats)"),
        Column::number("of at most"),
        Column::number("perplexity"),
        Column::number("residual energy left"),
    ];
    let rows = quality.levels.iter().enumerate().map(|(index, level)| level_row(index, level)).collect();
    Block::Table(Table { caption: "Levels, coarsest first".into(), columns, rows })
}

fn level_row(index: usize, level: &LevelQuality) -> Vec<Cell> {
    let key = |name: &str| format!("quality.levels[{index}].{name}");
    let number = |text: String, name: &str| vec![Span::number(text, "tokenize", &key(name))];
    let residual = level.residual.map_or_else(|| "digit".to_owned(), number::percent);
    vec![
        vec![Span::number((index + 1).to_string(), "tokenize", &format!("quality.levels[{index}]"))],
        number(number::count(level.size), "size"),
        number(number::percent(level.usage), "usage"),
        number(number::fixed(level.entropy, 3), "entropy"),
        number(number::fixed((level.size.max(1) as f64).ln(), 3), "size (its logarithm)"),
        number(number::decimal(level.perplexity.unwrap_or_else(|| level.entropy.exp())), "perplexity"),
        number(residual, "residual"),
    ]
}
