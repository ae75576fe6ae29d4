//! How long videos are, and how much of them was watched.
//!
//! Tables give a duration per row, and 0 or less where it is not known (a fifth of `KuaiRand`'s feedback table, most of it watched
//! and liked). A video then has the median of its other rows, and one of which nothing is known the median of the log: to
//! count it as not watched would turn the likes of such videos into views that failed.

use super::raw::{Mended, RawAttributes, Row};
use crate::config::Watched;

/// Watching longer than this many times the duration (replays) counts as this much.
const MOST_WATCHED: f32 = 5.0;

/// The durations of a log's videos, in the unit of the table.
pub(super) struct Durations {
    /// Per row, above 0 where it is known.
    of_row: Vec<f32>,
    /// Per video.
    of_item: Vec<f32>,
    known: Vec<bool>,
}

impl Durations {
    /// From the column of a log with this many videos.
    pub(super) fn new((rows, items): (&[Row], usize), of_row: Vec<f32>) -> Self {
        let mut of_rows = vec![Vec::new(); items];
        for (row, &duration) in rows.iter().zip(&of_row).filter(|(_, duration)| **duration > 0.0) {
            of_rows[row.item as usize].push(duration);
        }
        let mut all = of_rows.concat();
        let usual = median(&mut all).unwrap_or(0.0);
        let medians: Vec<Option<f32>> = of_rows.iter_mut().map(|durations| median(durations)).collect();
        Self {
            of_row,
            of_item: medians.iter().map(|median| median.unwrap_or(usual)).collect(),
            known: medians.iter().map(Option::is_some).collect(),
        }
    }
    /// Play times become the signal that is asked for; its name, and what was mended.
    pub(super) fn watched(
        &self,
        rows: &[Row],
        played: &mut [f32],
        watched: Watched,
    ) -> (&'static str, Mended) {
        let mut mended = Mended::new();
        let mut note = |what: &str, count: usize| {
            if count > 0 {
                mended.insert(what.into(), count as u64);
            }
        };
        note("negative play time, counts as none", played.iter().filter(|played| **played < 0.0).count());
        note("negative duration, counts as unknown", self.of_row.iter().filter(|own| **own < 0.0).count());
        let name = match watched {
            Watched::Ratio => {
                let mut longest = 0;
                for (played, (row, &own)) in played.iter_mut().zip(rows.iter().zip(&self.of_row)) {
                    let duration = if own > 0.0 { own } else { self.of_item[row.item as usize] };
                    longest += usize::from(duration > 0.0 && *played > MOST_WATCHED * duration);
                    *played = ratio(*played, duration);
                }
                note("played longer than five durations, counts as five", longest);
                "watch_ratio"
            }
            Watched::Milliseconds => {
                for played in played.iter_mut() {
                    *played = played.max(0.0);
                }
                "play_time_ms"
            }
        };
        (name, mended)
    }
    /// `ln(1 + duration)` per video, and whether it is known.
    pub(super) fn attributes(&self) -> RawAttributes {
        let of_item = self.of_item.iter().zip(&self.known);
        let values = of_item.flat_map(|(duration, &known)| [duration.ln_1p(), f32::from(u8::from(known))]);
        RawAttributes {
            names: vec!["log_duration".into(), "duration_known".into()],
            values: values.collect(),
        }
    }
}

/// Within `[0, MOST_WATCHED]`; 0 where the log knows no duration at all.
fn ratio(played: f32, duration: f32) -> f32 {
    if duration > 0.0 { (played / duration).clamp(0.0, MOST_WATCHED) } else { 0.0 }
}

fn median(values: &mut [f32]) -> Option<f32> {
    let middle = values.len() / 2;
    (!values.is_empty()).then(|| *values.select_nth_unstable_by(middle, f32::total_cmp).1)
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "halves and copies are exact")]
mod tests {
    use super::*;
    use crate::data::raw::Moment;

    fn rows(items: &[u32]) -> Vec<Row> {
        items.iter().map(|&item| Row { user: 0, item, moment: Moment::default() }).collect()
    }

    #[test]
    fn an_unknown_duration_is_that_of_other_rows_or_the_usual_one_and_no_view_that_failed() {
        let rows = rows(&[0, 0, 1, 1, 2]);
        let durations = Durations::new((&rows, 3), vec![10.0, 0.0, 40.0, 40.0, -1.0]);
        let mut played = [5.0, 5.0, 400.0, -3.0, 20.0];
        let (name, mended) = durations.watched(&rows, &mut played, Watched::Ratio);
        assert_eq!((name, mended.len(), mended.values().sum::<u64>()), ("watch_ratio", 3, 3), "{mended:?}");
        assert_eq!(played, [0.5, 0.5, 5.0, 0.0, 0.5]);
        let values = durations.attributes().values;
        let [ten, forty] = [10.0_f32, 40.0].map(f32::ln_1p);
        assert_eq!(values, [ten, 1.0, forty, 1.0, forty, 0.0]);
    }

    #[test]
    fn a_log_that_knows_no_duration_tells_no_ratio() {
        let rows = rows(&[0, 1]);
        let durations = Durations::new((&rows, 2), vec![0.0, 0.0]);
        let mut played = [5.0, 7.0];
        durations.watched(&rows, &mut played, Watched::Ratio);
        assert_eq!((played, durations.attributes().values), ([0.0, 0.0], vec![0.0; 4]));
    }
}
