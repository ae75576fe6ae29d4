//! The files that grow user by user: the log and its truth.

use super::formats::{self, COLUMNS, Text};
use crate::cli::LogFormat;
use anyhow::Context as _;
use polars::io::parquet::write::BatchedWriter;
use polars::prelude::{Column, DataFrame, ParquetCompression, ParquetWriter};
use policy::ids::UserId;
use rayon::prelude::*;
use reward::world::{Foreseen, Impression, Simulator};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// An open log with its truth.
pub(super) struct Sinks<'a> {
    simulator: &'a Simulator,
    signals: Vec<String>,
    /// Seconds by item.
    durations: Vec<f64>,
    format: LogFormat,
    log: Log,
    truth: Table,
}

enum Log {
    Text(PathBuf, File),
    Table(Box<Table>),
}

impl<'a> Sinks<'a> {
    /// Opens both in `dir`.
    pub(super) fn create(simulator: &'a Simulator, format: LogFormat, dir: &Path) -> anyhow::Result<Self> {
        let signals = simulator.signal_names();
        let path = dir.join(formats::file_name(format));
        let log = if format == LogFormat::Parquet {
            Log::Table(Box::new(Table::create(path, log_columns(&signals, 0, &[]))?))
        } else {
            let mut file = File::create(&path).with_context(|| cannot_write(&path))?;
            file.write_all(formats::head(format, &signals).as_bytes())
                .with_context(|| cannot_write(&path))?;
            Log::Text(path, file)
        };
        let truth = truth_columns(simulator, &signals, &Known { first: 0, shown: &[], foreseen: &[] });
        let truth = Table::create(dir.join("truth.parquet"), truth)?;
        let durations = simulator.attributes().values().iter().map(|&d| f64::from(d).exp()).collect();
        Ok(Self { simulator, signals, durations, format, log, truth })
    }

    /// Appends what users from `first` on did.
    pub(super) fn append(&mut self, first: usize, shown: &[Vec<Impression>]) -> anyhow::Result<()> {
        let users = || shown.par_iter().enumerate().map(|(at, shown)| (first + at, shown));
        let foreseen: Vec<Vec<Foreseen>> =
            users().map(|(user, shown)| self.simulator.foreseen(UserId::new(user), shown)).collect();
        let known = Known { first, shown, foreseen: &foreseen };
        self.truth.append(truth_columns(self.simulator, &self.signals, &known))?;
        match &mut self.log {
            Log::Table(table) => table.append(log_columns(&self.signals, first, shown)),
            Log::Text(path, file) => {
                let text = Text { format: self.format, signals: &self.signals, durations: &self.durations };
                let texts: Vec<String> = users().map(|(user, shown)| text.user(user, shown)).collect();
                let mut write = || texts.iter().try_for_each(|text| file.write_all(text.as_bytes()));
                write().with_context(|| cannot_write(path))
            }
        }
    }

    /// Closes both.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        self.truth.finish()?;
        match self.log {
            Log::Table(table) => table.finish(),
            Log::Text(path, mut file) => {
                file.write_all(formats::tail(self.format).as_bytes()).with_context(|| cannot_write(&path))
            }
        }
    }
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

/// A Parquet file, a row group per chunk of users.
struct Table {
    path: PathBuf,
    writer: BatchedWriter<File>,
}

impl Table {
    /// Opens a file with the columns of `empty`.
    fn create(path: PathBuf, empty: Vec<Column>) -> anyhow::Result<Self> {
        let file = File::create(&path).with_context(|| cannot_write(&path))?;
        let frame = DataFrame::new_infer_height(empty)?;
        // Probabilities hardly compress; fast is better than small.
        let writer = ParquetWriter::new(file).with_compression(ParquetCompression::Lz4Raw);
        let writer = writer.batched(frame.schema()).with_context(|| cannot_write(&path))?;
        Ok(Self { path, writer })
    }
    fn append(&mut self, columns: Vec<Column>) -> anyhow::Result<()> {
        let frame = DataFrame::new_infer_height(columns)?;
        self.writer.write_batch(&frame).with_context(|| cannot_write(&self.path))
    }
    fn finish(self) -> anyhow::Result<()> {
        self.writer.finish().map(drop).with_context(|| cannot_write(&self.path))
    }
}

fn users(first: usize, shown: &[Vec<Impression>]) -> Column {
    let of = |(at, rows): (usize, &Vec<Impression>)| vec![(first + at) as u32; rows.len()];
    Column::new(COLUMNS[0].into(), shown.iter().enumerate().flat_map(of).collect::<Vec<u32>>())
}

fn log_columns(signals: &[String], first: usize, shown: &[Vec<Impression>]) -> Vec<Column> {
    let rows = || shown.iter().flatten();
    let mut columns = vec![
        users(first, shown),
        Column::new(COLUMNS[1].into(), rows().map(|row| row.item.index() as u32).collect::<Vec<_>>()),
        Column::new(COLUMNS[2].into(), rows().map(|row| row.timestamp).collect::<Vec<_>>()),
    ];
    columns.extend(signals.iter().enumerate().map(|(at, name)| {
        let values = rows().map(|row| row.feedback.values()[at] as f32);
        Column::new(name.as_str().into(), values.collect::<Vec<_>>())
    }));
    columns
}

/// What is known of users from `first` on.
struct Known<'a> {
    first: usize,
    shown: &'a [Vec<Impression>],
    foreseen: &'a [Vec<Foreseen>],
}

/// Rows as in the log; probabilities as 32-bit floats.
fn truth_columns(simulator: &Simulator, signals: &[String], known: &Known<'_>) -> Vec<Column> {
    let rows = || known.shown.iter().flatten();
    let number = |name: &str, value: &dyn Fn(&Foreseen) -> f64| {
        let values = known.foreseen.iter().flatten().map(|foreseen| value(foreseen) as f32);
        Column::new(name.into(), values.collect::<Vec<_>>())
    };
    let mut columns = vec![
        users(known.first, known.shown),
        Column::new("item".into(), rows().map(|row| row.item.index() as u32).collect::<Vec<_>>()),
        Column::new("place".into(), rows().map(|row| row.place as u32).collect::<Vec<_>>()),
        number("examination", &|foreseen| foreseen.examination),
    ];
    columns.extend(
        signals
            .iter()
            .enumerate()
            .map(|(at, name)| number(&format!("expected_{name}"), &|foreseen| foreseen.logged.values()[at])),
    );
    columns.push(number("true_like", &|foreseen| foreseen.meant.like));
    columns.push(number("true_reward", &|foreseen| foreseen.meant.reward()));
    let bait: Vec<bool> = rows().map(|row| simulator.is_bait(row.item)).collect();
    columns.push(Column::new("click_bait".into(), bait));
    columns
}
