//! Logs as text, and how to read them back.

use crate::cli::LogFormat;
use reward::world::Impression;
use std::fmt::Write as _;
use std::path::Path;

/// Columns of a table before the signals.
pub(super) const COLUMNS: [&str; 3] = ["user", "item", "timestamp"];
/// `KuaiRand`'s columns that ingest reads, in the order of its file.
const KUAIRAND: &str = "user_id\tvideo_id\ttime_ms\tis_click\tis_follow\tis_comment\tis_forward\tlong_view\t\
    play_time_ms\tduration_ms\tis_profile_enter\tlabel\n";
/// `KuaiRec`'s columns that ingest reads.
const KUAIREC: &str = "user_id,video_id,play_duration,video_duration,timestamp\n";

/// The file of the log.
pub(super) const fn file_name(format: LogFormat) -> &'static str {
    match format {
        LogFormat::S3rec => "interactions.txt",
        LogFormat::Kuairand => "interactions.tsv",
        LogFormat::Letter => "interactions.json",
        LogFormat::Csv | LogFormat::Kuairec => "interactions.csv",
        LogFormat::Jsonl => "interactions.jsonl",
        LogFormat::Parquet => "interactions.parquet",
        LogFormat::Inter => "interactions.inter",
    }
}

/// What stands before the first user.
pub(super) fn head(format: LogFormat, signals: &[String]) -> String {
    let columns = || COLUMNS.iter().copied().chain(signals.iter().map(String::as_str));
    match format {
        LogFormat::Csv => columns().collect::<Vec<_>>().join(",") + "\n",
        LogFormat::Inter => {
            let kind = |(at, name)| format!("{name}:{}", if at < 2 { "token" } else { "float" });
            columns().enumerate().map(kind).collect::<Vec<_>>().join("\t") + "\n"
        }
        LogFormat::Kuairand => KUAIRAND.into(),
        LogFormat::Kuairec => KUAIREC.into(),
        LogFormat::Letter => "{".into(),
        LogFormat::S3rec | LogFormat::Jsonl | LogFormat::Parquet => String::new(),
    }
}

/// What stands after the last user.
pub(super) const fn tail(format: LogFormat) -> &'static str {
    if matches!(format, LogFormat::Letter) { "}\n" } else { "" }
}

/// The log of a text format.
pub(super) struct Text<'a> {
    pub(super) format: LogFormat,
    pub(super) signals: &'a [String],
    /// Seconds by item.
    pub(super) durations: &'a [f64],
}

impl Text<'_> {
    /// Everything that is written of one user.
    pub(super) fn user(&self, user: usize, shown: &[Impression]) -> String {
        let mut text = String::with_capacity(64 * shown.len());
        match self.format {
            LogFormat::S3rec => s3rec(user, shown, &mut text),
            LogFormat::Letter => letter(user, shown, &mut text),
            _ => shown.iter().for_each(|row| self.row(user, row, &mut text)),
        }
        text
    }

    fn row(&self, user: usize, row: &Impression, text: &mut String) {
        let (item, time) = (row.item.index(), row.timestamp);
        let values = row.feedback.values().into_iter().take(self.signals.len()).map(|value| value as f32);
        // Writing into a string cannot fail.
        let _ = match self.format {
            LogFormat::Kuairand => self.kuairand(user, row, text),
            LogFormat::Kuairec => {
                let [played, duration] = self.milliseconds(row);
                writeln!(text, "{user},{item},{played:.0},{duration:.0},{time}")
            }
            LogFormat::Jsonl => {
                let _ = write!(text, "{{\"user\":{user},\"item\":{item},\"timestamp\":{time}");
                self.signals.iter().zip(values).for_each(|(name, value)| {
                    let _ = write!(text, ",\"{name}\":{value}");
                });
                writeln!(text, "}}")
            }
            format => {
                let separator = if format == LogFormat::Csv { ',' } else { '\t' };
                let _ = write!(text, "{user}{separator}{item}{separator}{time}");
                values.for_each(|value| {
                    let _ = write!(text, "{separator}{value}");
                });
                writeln!(text)
            }
        };
    }

    /// Whole milliseconds, as in the original; a click is not skipping, nobody enters profiles.
    fn kuairand(&self, user: usize, row: &Impression, text: &mut String) -> std::fmt::Result {
        let (item, feedback) = (row.item.index(), &row.feedback);
        let [played, duration] = self.milliseconds(row);
        writeln!(
            text,
            "{user}\t{item}\t{}\t{}\t{}\t{}\t{}\t{}\t{played:.0}\t{duration:.0}\t0\t{}",
            row.timestamp * 1000,
            1.0 - feedback.skip,
            feedback.follow,
            feedback.comment,
            feedback.share,
            feedback.long_view,
            feedback.like,
        )
    }

    /// Played, and as long as the item.
    fn milliseconds(&self, row: &Impression) -> [f64; 2] {
        [row.feedback.watch_time * 1000.0, (self.durations[row.item.index()] * 1000.0).max(1.0)]
    }
}

/// `user item item ...`, a tab, seconds since the item before.
fn s3rec(user: usize, shown: &[Impression], text: &mut String) {
    let _ = write!(text, "{user}");
    for row in shown {
        let _ = write!(text, " {}", row.item.index());
    }
    let mut before = shown.first().map_or(0, |row| row.timestamp);
    for (at, row) in shown.iter().enumerate() {
        let _ = write!(text, "{}{}", if at == 0 { '\t' } else { ' ' }, row.timestamp - before);
        before = row.timestamp;
    }
    text.push('\n');
}

fn letter(user: usize, shown: &[Impression], text: &mut String) {
    let items: Vec<String> = shown.iter().map(|row| row.item.index().to_string()).collect();
    let _ = write!(text, "{}\"{user}\": [{}]", if user == 0 { "" } else { ",\n" }, items.join(", "));
}

/// `[data]` for an experiment file that reads the log from `dir`.
pub(super) fn snippet(format: LogFormat, dir: &Path, signals: &[String]) -> String {
    let file = file_name(format);
    let kind = match format {
        LogFormat::S3rec => "s3rec",
        LogFormat::Kuairand => "kuairand",
        LogFormat::Kuairec => "kuairec",
        LogFormat::Letter => "sequences-json",
        LogFormat::Csv => "csv",
        LogFormat::Jsonl => "jsonl",
        LogFormat::Parquet => "parquet",
        LogFormat::Inter => "recbole",
    };
    let columns = match format {
        LogFormat::S3rec | LogFormat::Kuairand | LogFormat::Kuairec | LogFormat::Letter => String::new(),
        LogFormat::Csv | LogFormat::Jsonl | LogFormat::Parquet | LogFormat::Inter => {
            let [user, item, timestamp] = COLUMNS;
            format!(
                ", columns = {{ user = \"{user}\", item = \"{item}\", timestamp = \"{timestamp}\", feedback = {signals:?} }}"
            )
        }
    };
    format!(
        "[data]\npath = {:?}\nsource = {{ kind = \"{kind}\", file = \"{file}\"{columns} }}\n\
         embeddings = {{ kind = \"file\", file = \"embeddings.safetensors\" }}\n\
         items = {{ file = \"items.tsv\", id = \"item\", text = [\"text\"] }}\n",
        dir.display().to_string()
    )
}
