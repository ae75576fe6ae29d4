//! Scaling curves: what training, beam search, the trie and k-means cost as their sizes grow.

mod clustering;
mod search;
mod sweep;
mod training;

use super::harness::{Outcome, Timing, load};
use crate::run::commit::{create_directory, write_file};
use std::fmt::Write as _;
use std::path::Path;
use sweep::Sweep;

/// Runs all sweeps and tells every point. `write` receives `scaling.md` and its figures.
///
/// # Errors
/// A number that is not finite; a figure cannot be drawn or a file not be written.
pub(super) fn run(timing: Timing, write: Option<&Path>) -> anyhow::Result<Vec<Outcome>> {
    // The largest catalog comes last: peak memory only ever grows.
    let mut sweeps = vec![training::sweep(timing)?, clustering::sweep(timing)?];
    sweeps.extend(search::sweeps(timing)?);
    if let Some(dir) = write {
        publish(&sweeps, timing, dir)?;
    }
    Ok(sweeps.into_iter().flat_map(|sweep| sweep.outcomes).collect())
}

fn publish(sweeps: &[Sweep], timing: Timing, dir: &Path) -> anyhow::Result<()> {
    create_directory(&dir.join("figures"))?;
    for Sweep { figure, .. } in sweeps {
        write_file(&dir.join(figure.csv_path()), figure.csv().as_bytes())?;
        write_file(&dir.join(figure.svg_path()), reports::chart::standalone(figure)?.as_bytes())?;
    }
    write_file(&dir.join("scaling.md"), page(sweeps, timing).as_bytes())
}

fn page(sweeps: &[Sweep], timing: Timing) -> String {
    let (runs, long) = (timing.runs, timing.of_long_steps().runs);
    let mut text = format!(
        "# How costs grow\n\n{}. The model is that of `recalign bench train`. A point is the fastest of {runs} steps \
         ({long} for k-means and for building a trie). `recalign bench scaling --write DIR` makes this page.\n",
        machine()
    );
    for Sweep { figure, .. } in sweeps {
        let (title, svg, csv) = (&figure.title, figure.svg_path(), figure.csv_path());
        let _ =
            write!(text, "\n## {title}\n\n![{title}]({svg})\n\n{} Data: [{csv}]({csv}).\n", figure.caption);
    }
    text
}

/// Processor, threads, and how busy they were: without it no figure can be judged.
fn machine() -> String {
    let threads = rayon::current_num_threads();
    let processor = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| processor(&text));
    let load = load().map_or_else(|| "unknown".into(), |load| format!("{load:.1}"));
    format!(
        "Measured with {threads} threads on {}; load average at the end {load}",
        processor.unwrap_or_else(|| "an unnamed processor".into())
    )
}

fn processor(cpuinfo: &str) -> Option<String> {
    let line = cpuinfo.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_named_as_it_names_itself() {
        let text = "processor\t: 0\nmodel name\t: A CPU @ 2.5 GHz\nmodel name\t: another\n";
        assert_eq!(processor(text).as_deref(), Some("A CPU @ 2.5 GHz"));
        assert_eq!(processor("processor\t: 0\n"), None);
    }
}
