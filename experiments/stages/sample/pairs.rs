//! `pairs.parquet`: best and worst candidate per user. `prompt`, `chosen` and `rejected` are code tokens as text, the
//! layout that Hugging Face's preference trainers read; the other columns say what the pair is worth.

use super::{Judged, Rollout};
use crate::stages::bench::Bench;
use crate::stages::table;
use align::pairs::Pair;
use polars::prelude::Column;
use policy::ids::ItemId;
use std::collections::BTreeMap;
use std::path::Path;

/// The file's name.
pub(super) const FILE: &str = "pairs.parquet";

/// The proxy's margin; other judges' follow it with their names.
const MARGIN: &str = "margin";

/// Writes the table.
pub(super) fn write(
    path: &Path,
    (rollouts, judged, pairs): (&[Rollout], &Judged, &[(usize, Pair)]),
    bench: &Bench,
) -> anyhow::Result<()> {
    let numbers = |name: &str, f: &dyn Fn(&Rollout, &Pair) -> f64| {
        let values: Vec<f64> = pairs.iter().map(|(rollout, pair)| f(&rollouts[*rollout], pair)).collect();
        Column::new(name.into(), values)
    };
    let integers = |name: &str, f: &dyn Fn(&Rollout, &Pair) -> usize| {
        let values: Vec<u32> =
            pairs.iter().map(|(rollout, pair)| f(&rollouts[*rollout], pair) as u32).collect();
        Column::new(name.into(), values)
    };
    let texts = |name: &str, f: &dyn Fn(&Rollout, &Pair) -> String| {
        let values: Vec<String> = pairs.iter().map(|(rollout, pair)| f(&rollouts[*rollout], pair)).collect();
        Column::new(name.into(), values)
    };
    let item = |rollout: &Rollout, at: usize| rollout.candidates[at].item;
    let text = |item: ItemId| bench.dataset.items[item.index()].text.clone();
    let mut columns = vec![
        integers("user", &|rollout, _| rollout.user.index()),
        texts("prompt", &|rollout, _| {
            prompt(&bench.dataset.log.history(rollout.user).items[..rollout.known], bench)
        }),
        texts("chosen", &|rollout, pair| codes(item(rollout, pair.chosen), bench)),
        texts("rejected", &|rollout, pair| codes(item(rollout, pair.rejected), bench)),
        numbers(MARGIN, &|_, pair| pair.margin),
        integers("chosen_rank", &|_, pair| pair.chosen),
        integers("rejected_rank", &|_, pair| pair.rejected),
        numbers("chosen_log_prob", &|rollout, pair| rollout.candidates[pair.chosen].log_prob()),
        numbers("rejected_log_prob", &|rollout, pair| rollout.candidates[pair.rejected].log_prob()),
        integers("chosen_item", &|rollout, pair| item(rollout, pair.chosen).index()),
        integers("rejected_item", &|rollout, pair| item(rollout, pair.rejected).index()),
        texts("chosen_text", &|rollout, pair| text(item(rollout, pair.chosen))),
        texts("rejected_text", &|rollout, pair| text(item(rollout, pair.rejected))),
    ];
    for (name, scores) in judged.names.iter().zip(&judged.by_judge).skip(1) {
        let margin = |(rollout, pair): &(usize, Pair)| {
            let scores = &scores[*rollout];
            f64::from(scores[pair.chosen].fused) - f64::from(scores[pair.rejected].fused)
        };
        let values: Vec<f64> = pairs.iter().map(margin).collect();
        columns.push(Column::new(format!("{MARGIN}/{}", name.trim_start_matches("judge/")).into(), values));
    }
    table::write(path, columns)
}

/// Score of the chosen minus that of the rejected item, per judge and pair, as [`write`] wrote them into a stage directory.
pub(super) fn margins(dir: &Path) -> anyhow::Result<BTreeMap<String, Vec<f64>>> {
    let pairs = table::read(&dir.join(FILE))?;
    let judge = |column: &str| match column.strip_prefix(MARGIN)? {
        "" => Some("proxy".to_owned()),
        other => other.strip_prefix('/').map(String::from),
    };
    let columns = pairs.columns().into_iter().filter_map(|column| Some((judge(&column)?, column)));
    columns.map(|(judge, column)| Ok((judge, pairs.numbers(&column)?))).collect()
}

/// A history as text: the codes of its most recent items, as many as the encoder sees.
pub(crate) fn prompt(items: &[ItemId], bench: &Bench) -> String {
    let recent = &items[items.len().saturating_sub(bench.history_items)..];
    recent.iter().map(|&item| codes(item, bench)).collect()
}

/// `<s0_17><s1_3>...`: one token per code.
pub(crate) fn codes(item: ItemId, bench: &Bench) -> String {
    let codes = bench.codebook.catalog.semantic_id(item).codes();
    let tokens: Vec<_> = codes.iter().enumerate().map(|(level, code)| format!("<s{level}_{code}>")).collect();
    tokens.concat()
}
