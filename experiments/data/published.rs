//! Published tables with columns of their own: `KuaiRec`'s matrices and the Open Bandit Dataset.

use super::durations::Durations;
use super::error::DataError;
use super::interactions::{Parsed, TimeFormat, interleave, parsed, raw_log, wanted};
use super::names::Numbering;
use super::raw::{Clock, Moment, RawLog};
use super::table::{Dialect, Format, Header, Quotes, Table, Wanted};
use crate::config::{Columns, Watched};
use std::path::Path;

const CSV: Format =
    Format::Delimited(Dialect { separator: b',', quotes: Quotes::Enclose, header: Header::Names });

/// Reads `small_matrix.csv` or `big_matrix.csv` of `KuaiRec` (Gao et al., 2202.10842): durations in milliseconds, timestamps in
/// seconds. Rows without a timestamp (the small matrix has some) count as the user's earliest, in file order.
///
/// # Errors
/// As [`super::interactions::read`].
pub(super) fn read_kuairec(path: &Path, watched: Watched) -> Result<RawLog, DataError> {
    const TIME: TimeFormat = TimeFormat { parse: known_or_first, expected: "a time in seconds, or nothing" };
    let columns = Columns {
        user: "user_id".into(),
        item: "video_id".into(),
        timestamp: Some("timestamp".into()),
        feedback: ["play_duration", "video_duration"].map(String::from).to_vec(),
    };
    let table = Table::read(path, CSV, &named(&columns, "kuairec"))?;
    let Parsed { ids, moments, mut numbers } = parsed(&table, &columns, TIME)?;
    let raw = raw_log(ids, moments, table);
    let durations = numbers.pop().expect("the last column asked for");
    let durations = Durations::new((&raw.rows, raw.items.len()), durations);
    let (name, mended) = durations.watched(&raw.rows, &mut numbers[0], watched);
    let attributes = Some(durations.attributes());
    Ok(RawLog {
        signals: vec![name.into()],
        feedback: interleave(&numbers),
        clock: Clock::Timestamps,
        attributes,
        mended,
        ..raw
    })
}

fn known_or_first(text: &str) -> Option<Moment> {
    if text.trim().is_empty() { Some(Moment::default()) } else { Moment::parse(text) }
}

/// The columns that tell users of the Open Bandit Dataset apart, as far as they can be.
const CONTEXT: [&str; 4] = ["user_feature_0", "user_feature_1", "user_feature_2", "user_feature_3"];

/// Reads a campaign's table of the Open Bandit Dataset (Saito et al., 2008.07146): `click`, and as signals the `propensity` of
/// the item and its `place`, 1 to 3. Users have no ids: everybody with the same four features is one user.
///
/// # Errors
/// As [`super::interactions::read`].
pub(super) fn read_open_bandit(path: &Path) -> Result<RawLog, DataError> {
    const TIME: TimeFormat =
        TimeFormat { parse: Moment::parse_utc, expected: "a time like 2019-11-24 00:00:17.004101+00:00" };
    let columns = Columns {
        user: CONTEXT[0].into(),
        item: "item_id".into(),
        timestamp: Some("timestamp".into()),
        feedback: ["click", "propensity_score", "position"].map(String::from).to_vec(),
    };
    let mut wanted = named(&columns, "open-bandit");
    wanted.extend(CONTEXT[1..].iter().map(|column| Wanted::new(column, key("open-bandit"))));
    let table = Table::read(path, CSV, &wanted)?;
    let Parsed { ids: [_, items], moments, numbers } = parsed(&table, &columns, TIME)?;
    let users = contexts(&table);
    Ok(RawLog {
        signals: ["click", "propensity", "place"].map(String::from).to_vec(),
        feedback: interleave(&numbers),
        clock: Clock::Timestamps,
        ..raw_log([users, items], moments, table)
    })
}

/// One number per distinct combination of user features.
fn contexts(table: &Table) -> super::interactions::Ids {
    let mut features = CONTEXT.map(|column| table.texts(column));
    let mut next = || features.each_mut().map(|column| column.next().flatten().unwrap_or_default()).join("/");
    let names: Vec<String> = (0..table.height()).map(|_| next()).collect();
    let mut numbering = Numbering::default();
    let rows = names.iter().map(|name| numbering.number(name)).collect();
    (numbering.names(), rows)
}

/// [`wanted`], asked for by the kind of the source.
fn named(columns: &Columns, kind: &str) -> Vec<Wanted> {
    let mut wanted = wanted(columns);
    for wanted in &mut wanted {
        wanted.key = key(kind);
    }
    wanted
}

fn key(kind: &str) -> String {
    format!("data.source.kind = \"{kind}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.csv");
        std::fs::write(&path, text).unwrap();
        (dir, path)
    }

    /// Rows as published, the last without a time.
    const KUAIREC: &str = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n\
        14,148,4381,6067,2020-07-05 05:27:48.378,20200705,1593898068.378,0.7221031811438932\n\
        14,183,11635,6100,2020-07-05 05:28:00.057,20200705,1593898080.057,1.9073770491803279\n\
        21,148,80000,6067,,,,13.186\n";

    #[test]
    fn a_kuairec_matrix_is_read_by_its_published_columns() {
        let (_dir, path) = file(KUAIREC);
        let raw = read_kuairec(&path, Watched::Ratio).unwrap();
        assert_eq!((raw.users.len(), raw.items.len(), raw.rows.len()), (2, 2, 3));
        assert_eq!(raw.signals, ["watch_ratio"]);
        let expected = [4381.0 / 6067.0, 11635.0 / 6100.0, 5.0];
        assert!(raw.feedback.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", raw.feedback);
        assert_eq!((raw.rows[0].moment.whole, raw.rows[2].moment), (1_593_898_068, Moment::default()));
        let durations = raw.attributes.unwrap();
        assert!((durations.values[0] - 6067.0_f32.ln_1p()).abs() < 1e-6);
        let times = read_kuairec(&path, Watched::Milliseconds).unwrap();
        assert_eq!((times.signals[0].as_str(), times.feedback[1]), ("play_time_ms", 11635.0));
    }

    #[test]
    fn a_campaign_of_the_open_bandit_dataset_is_read_by_its_published_columns() {
        let head = ",timestamp,item_id,position,click,propensity_score,user_feature_0,user_feature_1,user_feature_2,user_feature_3\n";
        let rows = "0,2019-11-24 00:00:17.004101+00:00,79,2,0,0.087125,81,03,7b,c3\n\
                    1,2019-11-24 00:00:19+00:00,14,1,1,0.006235,81,2d,27,9b\n\
                    2,2019-11-25 00:00:00.5+00:00,14,3,0,0.25,81,03,7b,c3\n";
        let (_dir, path) = file(&format!("{head}{rows}"));
        let raw = read_open_bandit(&path).unwrap();
        assert_eq!((raw.users.len(), raw.items.len()), (2, 2));
        assert_eq!(raw.signals, ["click", "propensity", "place"]);
        assert_eq!(raw.feedback[3..6], [1.0, 0.006_235, 1.0]);
        // 2019-11-24 00:00:17 UTC.
        let moment = raw.rows[0].moment;
        assert_eq!((moment.whole, moment.billionths.div_ceil(1000)), (1_574_553_617, 4101));
        assert_eq!(raw.rows[2].moment, Moment { whole: 1_574_640_000, billionths: 500_000_000 });
        assert_eq!(raw.rows[0].user, raw.rows[2].user);
    }

    #[test]
    fn defects_are_named_with_the_column_and_the_line() {
        let (_dir, path) = file(&KUAIREC.replace("1593898080.057", "yesterday"));
        let problem = read_kuairec(&path, Watched::Ratio).unwrap_err().to_string();
        assert!(problem.contains("column `timestamp`") && problem.contains("line 3"), "{problem}");
        let problem = read_open_bandit(&path).unwrap_err().to_string();
        assert!(problem.contains("item_id") && problem.contains("open-bandit"), "{problem}");
    }
}
