//! Beam search over its width, and the trie with a search in it over the size of the catalog.

use super::super::beam::search;
use super::super::canonical::{self, ITEMS, WIDTH};
use super::super::harness::{Case, Outcome, Timing};
use super::super::trie;
use super::sweep::{Axes, Points, Sweep, growth, panel};
use burn::prelude::Device;
use policy::vocab::Vocab;
use reports::chart::{Figure, Frame};
use reports::number::count;
use sampler::recommend::Codebook;

const USERS: usize = 16;
const WIDTHS: [usize; 7] = [8, 16, 32, 64, 128, 256, 512];
const CATALOGS: [usize; 4] = [10_000, 100_000, 1_000_000, 10_000_000];

/// Both sweeps; a catalog is built once for both.
pub(super) fn sweeps(timing: Timing) -> anyhow::Result<[Sweep; 2]> {
    let codebook = canonical::codebook()?;
    let widths: Vec<_> =
        WIDTHS.iter().map(|&width| measure(timing, &codebook, width)).collect::<anyhow::Result<_>>()?;
    let catalogs: Vec<_> =
        CATALOGS.iter().map(|&items| in_catalog(timing, items)).collect::<anyhow::Result<_>>()?;
    let (builds, searches): (Vec<_>, Vec<_>) = catalogs.into_iter().unzip();
    let beam = beam_figure(&costs(&widths, "beam"), &costs(&searches, "items"));
    Ok([
        Sweep { figure: beam, outcomes: [widths, searches].concat() },
        Sweep { figure: trie_figure(&builds), outcomes: builds },
    ])
}

/// The trie of a catalog of this size, and a search in it.
fn in_catalog(timing: Timing, items: usize) -> anyhow::Result<(Outcome, Outcome)> {
    let catalog = canonical::catalog(items, "many items")?;
    let case = Case {
        workload: "S-trie",
        variant: format!("{} items", count(items as u64)),
        unit: "items",
        units: items as f64,
        gflop_per_unit: None,
    };
    let (mut built, trie) = trie::build(timing.of_long_steps(), &catalog, case)?;
    built.details.insert("items".into(), items.into());
    let codebook = Codebook { vocab: Vocab::of(&catalog), catalog, trie };
    Ok((built, measure(timing, &codebook, WIDTH)?))
}

fn measure(timing: Timing, codebook: &Codebook, width: usize) -> anyhow::Result<Outcome> {
    let model = canonical::policy(codebook, &Device::flex())?;
    let histories = canonical::histories(USERS, codebook);
    let (seconds, _) = timing.steps(Vec::new(), |_| Ok(search((&model, codebook), &histories, width)))?;
    let items = codebook.catalog.num_items();
    let case = Case {
        workload: "S-beam",
        variant: format!("width {width}, {} items", count(items as u64)),
        unit: "users",
        units: USERS as f64,
        gflop_per_unit: None,
    };
    Ok(Outcome::new(case, seconds, [("beam", width.into()), ("items", items.into())]))
}

fn costs(outcomes: &[Outcome], size: &str) -> Points {
    outcomes.iter().filter_map(|outcome| Some((outcome.detail(size)?, outcome.milliseconds()))).collect()
}

fn line(points: Points) -> Vec<(String, Points)> {
    vec![(String::new(), points)]
}

fn beam_figure(widths: &Points, catalogs: &Points) -> Figure {
    let caption = format!(
        "Time of a search per user, the encoder included, over the width ({} items) and over the size of the catalog \
         (width {WIDTH}). Over the width, {}; over the catalog, {}.",
        count(ITEMS as u64),
        growth(widths),
        growth(catalogs),
    );
    let axes = |x, frame| Axes { x, y: "time per user (ms)", frame };
    Figure {
        name: "scaling-beam",
        title: "Beam search over its width and the catalog".into(),
        caption,
        legend: Vec::new(),
        panels: vec![
            panel(&axes("width of the beam", Frame::Decades), &line(widths.clone())),
            panel(&axes("items of the catalog", Frame::DecadesFromZero), &line(catalogs.clone())),
        ],
    }
}

fn trie_figure(builds: &[Outcome]) -> Figure {
    let of = |value: fn(&Outcome) -> Option<f64>| -> Points {
        builds.iter().filter_map(|build| Some((build.case.units, value(build)?))).collect()
    };
    let memory = of(|build| build.detail("bytes_per_item"));
    let seconds = of(|build| Some(build.milliseconds() * build.case.units / 1e3));
    let lookups = of(|build| Some(build.detail("lookups_per_s")? / 1e6));
    let caption = format!(
        "The prefix trie of distinct random semantic IDs: memory, time to build it from a catalog, and complete IDs looked up \
         per second by one thread in random order. Of the time, {}; an item takes {:.1} bytes among the fewest and {:.1} \
         among the most items, because more of them share their prefixes.",
        growth(&seconds),
        memory.first().map_or(f64::NAN, |point| point.1),
        memory.last().map_or(f64::NAN, |point| point.1),
    );
    let axes = |y, frame| Axes { x: "items of the catalog", y, frame };
    Figure {
        name: "scaling-trie",
        title: "The prefix trie over the size of the catalog".into(),
        caption,
        legend: Vec::new(),
        panels: vec![
            panel(&axes("memory per item (bytes)", Frame::DecadesFromZero), &line(memory)),
            panel(&axes("time to build (s)", Frame::Decades), &line(seconds)),
            panel(&axes("lookups (millions per second)", Frame::Decades), &line(lookups)),
        ],
    }
}
