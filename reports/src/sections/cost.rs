//! What the run cost.

use crate::document::{Block, Column, Section, Span, Table, paragraph};
use crate::load::Run;
use crate::number;

/// Assumed power of a busy core with its share of memory and losses, in watts.
const WATTS: f64 = 12.0;

pub(super) fn section(run: &Run) -> Section {
    if run.stages.is_empty() {
        return Section { id: "cost", title: "Cost", blocks: vec![super::missing(run, "ingest")] };
    }
    let sum = |value: fn(&crate::schema::Manifest) -> f64| {
        run.stages.iter().map(|stage| value(&stage.manifest)).sum()
    };
    let (wall, cpu): (f64, f64) = (sum(|manifest| manifest.seconds), sum(|manifest| manifest.cpu_seconds));
    let bytes: f64 = sum(|manifest| manifest.outputs.values().map(|file| file.bytes as f64).sum());
    let peak = run.stages.iter().filter_map(|stage| stage.manifest.peak_memory).max();
    let fact = |what: &str, value: String, key: &str| {
        let source = format!("run {}, stage all, key {key}", run.record.name);
        vec![vec![Span::text(what)], vec![Span::text(value).with_source(source)], vec![Span::code(key)]]
    };
    let peak = peak.map_or_else(|| "not recorded".to_owned(), number::bytes);
    let rows = vec![
        fact("wall-clock time", number::seconds(wall), "manifest.seconds"),
        fact("CPU time", format!("{} h", number::decimal(cpu / 3600.0)), "manifest.cpu_seconds"),
        fact(
            "cores kept busy, on average",
            number::decimal(cpu / wall.max(1e-9)),
            "manifest.cpu_seconds / manifest.seconds",
        ),
        fact("peak memory", peak, "manifest.peak_memory"),
        fact("files written", number::bytes(bytes as u64), "manifest.outputs"),
        fact(
            "energy, estimated",
            format!("{} Wh", number::decimal(cpu * WATTS / 3600.0)),
            "manifest.cpu_seconds",
        ),
    ];
    let columns = vec![Column::text("cost"), Column::prose("value"), Column::text("key")];
    let energy = format!(
        "The energy is an estimate: CPU time at {WATTS} W per busy core, a share of a server's power under load; idle power, \
         cooling and accelerators are not counted. Stages taken over from other runs count as if they had run here."
    );
    let table = Table { caption: "All stages together, without the report".into(), columns, rows };
    Section { id: "cost", title: "Cost", blocks: vec![Block::Table(table), paragraph(energy)] }
}
