//! What the model knows of an impression.
//!
//! Per column of behaviour, `ln(1 + x)` (and of shares `ln(1 + part) - ln(1 + whole)`): the value, and how far it is above the
//! mean of the user's other impressions - of all that were rated, of those they approved of, and of those they did not. Then how
//! many ratings are known, how long before and after the user's neighbouring impressions were, and what they said of those.
//!
//! An impression's own verdict is in none of its numbers. Nor is the user's share of approval: with the own verdict left out it
//! falls where the verdict is positive, and a model would learn to read that.

use super::impressions::Impressions;
use crate::features::compress;

/// Means of a user lean to those of everybody as if by so many impressions more.
const PRIOR: f64 = 2.0;
/// `ln(1 + gap)` where there is no neighbour: longer than any.
const NO_NEIGHBOUR: f32 = 25.0;
/// The verdict of a neighbour that is not known.
const UNKNOWN: f32 = 0.5;

/// What may be told of an impression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// What the user did.
    Behaviour,
    /// Also the share of approval among the known verdicts on the same item, the own one left out. A leak wherever items got into
    /// the log because of what was said of them: for demonstration only.
    ItemRate,
}

/// Numbers of impressions.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    names: Vec<String>,
    /// `[impressions, names]`, row-major.
    values: Vec<f32>,
}

impl Features {
    /// Of all impressions, given the verdicts of those that are `known`.
    pub fn of(impressions: &Impressions<'_>, known: &[bool], knowledge: Knowledge) -> Self {
        let behaviour = Behaviour::of(impressions);
        let known: Vec<Option<bool>> = impressions
            .verdicts()
            .iter()
            .zip(known)
            .map(|(verdict, &known)| verdict.filter(|_| known))
            .collect();
        let everybody = Means::over(&behaviour, &known, 0..known.len());
        let rates = (knowledge == Knowledge::ItemRate).then(|| item_rates(impressions, &known));
        let mut values = Vec::new();
        for user in 0..impressions.num_users() {
            let own = impressions.of_user(user);
            let means = Means::over(&behaviour, &known, own.clone());
            for at in own.clone() {
                values.extend(behaviour.row(at));
                means.append_distances(&everybody, (behaviour.row(at), known[at]), &mut values);
                values.push((means.count(None) - f64::from(u8::from(known[at].is_some()))).ln_1p() as f32);
                values.extend(neighbours(impressions, &known, (own.clone(), at)));
                values.extend(rates.as_ref().map(|rates| rates[at]));
            }
        }
        Self { names: names(&behaviour, knowledge), values }
    }

    /// What the columns are.
    pub fn names(&self) -> &[String] {
        &self.names
    }
    /// Numbers of an impression.
    pub fn width(&self) -> usize {
        self.names.len()
    }
    /// Impressions.
    pub fn rows(&self) -> usize {
        self.values.len() / self.width()
    }
    /// The numbers of an impression.
    pub fn row(&self, at: usize) -> &[f32] {
        &self.values[at * self.width()..][..self.width()]
    }
    /// One number of every impression.
    pub fn column(&self, column: usize) -> impl Iterator<Item = f32> + '_ {
        self.values.iter().skip(column).step_by(self.width()).copied()
    }
    /// How many of the columns, the first ones, are the behaviour itself.
    pub fn plain(&self) -> usize {
        self.names.iter().take_while(|name| !name.contains(" above ")).count()
    }
}

fn names(behaviour: &Behaviour, knowledge: Knowledge) -> Vec<String> {
    let mut names = behaviour.names.clone();
    for of in ["all", "approved", "disapproved"] {
        names.extend(behaviour.names.iter().map(|name| format!("{name} above mean of {of}")));
    }
    names.extend(
        ["known ratings", "gap before", "gap after", "verdict before", "verdict after"].map(String::from),
    );
    names.extend((knowledge == Knowledge::ItemRate).then(|| "leak: approval of the item".to_owned()));
    names
}

/// What was done during impressions, on one scale.
struct Behaviour {
    names: Vec<String>,
    values: Vec<f32>,
}

impl Behaviour {
    fn of(impressions: &Impressions<'_>) -> Self {
        let (columns, signals) = (impressions.columns(), impressions.signals());
        let plain = columns.behaviour.iter().map(|&column| signals[column].clone());
        let shares =
            columns.shares.iter().map(|[part, whole]| format!("{} / {}", signals[*part], signals[*whole]));
        let mut values = Vec::new();
        for at in 0..impressions.len() {
            let (history, position) = impressions.place(at);
            let row = &history.feedback[position * signals.len()..][..signals.len()];
            values.extend(columns.behaviour.iter().map(|&column| compress(row[column])));
            // Of nothing there is no share: as if it were whole.
            values.extend(columns.shares.iter().map(|&[part, whole]| {
                if row[whole] > 0.0 { compress(row[part]) - compress(row[whole]) } else { 0.0 }
            }));
        }
        Self { names: plain.chain(shares).collect(), values }
    }
    fn row(&self, at: usize) -> &[f32] {
        let width = self.names.len();
        &self.values[at * width..][..width]
    }
}

/// Sums of behaviour over rated impressions: all, approved, disapproved.
struct Means {
    counts: [f64; 3],
    sums: [Vec<f64>; 3],
}

/// The sums that an impression of this verdict belongs to.
const fn groups(verdict: bool) -> [usize; 2] {
    [0, if verdict { 1 } else { 2 }]
}

impl Means {
    fn over(behaviour: &Behaviour, known: &[Option<bool>], rows: std::ops::Range<usize>) -> Self {
        let mut means =
            Self { counts: [0.0; 3], sums: std::array::from_fn(|_| vec![0.0; behaviour.names.len()]) };
        for at in rows {
            for group in known[at].map(groups).into_iter().flatten() {
                means.counts[group] += 1.0;
                means.sums[group]
                    .iter_mut()
                    .zip(behaviour.row(at))
                    .for_each(|(sum, &x)| *sum += f64::from(x));
            }
        }
        means
    }
    /// Impressions of this verdict, or rated ones.
    fn count(&self, verdict: Option<bool>) -> f64 {
        self.counts[verdict.map_or(0, |verdict| groups(verdict)[1])]
    }
    /// How far an impression is above each mean, itself left out of it.
    fn append_distances(&self, everybody: &Self, (row, own): (&[f32], Option<bool>), out: &mut Vec<f32>) {
        for group in 0..3 {
            let counted = own.is_some_and(|verdict| groups(verdict).contains(&group));
            let less = f64::from(u8::from(counted));
            let count = self.counts[group] - less;
            for (column, &x) in row.iter().enumerate() {
                let x = f64::from(x);
                let sum = self.sums[group][column] - less * x;
                let others = everybody.sums[group][column] - less * x;
                let prior = others / (everybody.counts[group] - less).max(1.0);
                out.push((x - (sum + PRIOR * prior) / (count + PRIOR)) as f32);
            }
        }
    }
}

/// Time to the impression before and after, and what was said of each.
fn neighbours(
    impressions: &Impressions<'_>,
    known: &[Option<bool>],
    (own, at): (std::ops::Range<usize>, usize),
) -> [f32; 4] {
    let (history, position) = impressions.place(at);
    let gap =
        |a: usize, b: usize| (history.timestamps[b].abs_diff(history.timestamps[a]) as f64).ln_1p() as f32;
    let said = |at: usize| known[at].map_or(UNKNOWN, f32::from);
    let (before, after) = (at > own.start, at + 1 < own.end);
    [
        if before { gap(position - 1, position) } else { NO_NEIGHBOUR },
        if after { gap(position, position + 1) } else { NO_NEIGHBOUR },
        if before { said(at - 1) } else { UNKNOWN },
        if after { said(at + 1) } else { UNKNOWN },
    ]
}

/// The share of approval among the known verdicts on an impression's item but its own, leaning to everybody's as by one verdict.
fn item_rates(impressions: &Impressions<'_>, known: &[Option<bool>]) -> Vec<f32> {
    let item = |at: usize| {
        let (history, position) = impressions.place(at);
        history.items[position].index()
    };
    let mut said = vec![[0.0; 2]; impressions.num_items()];
    let mut total = [0.0; 2];
    for (at, verdict) in known.iter().enumerate() {
        if let Some(verdict) = verdict {
            said[item(at)][usize::from(*verdict)] += 1.0;
            total[usize::from(*verdict)] += 1.0;
        }
    }
    let rate = |(at, verdict): (usize, &Option<bool>)| {
        let (mut said, mut total) = (said[item(at)], total);
        if let Some(verdict) = verdict {
            said[usize::from(*verdict)] -= 1.0;
            total[usize::from(*verdict)] -= 1.0;
        }
        let prior = total[1] / f64::max(total[0] + total[1], 1.0);
        ((said[1] + prior) / (said[0] + said[1] + 1.0)) as f32
    };
    known.iter().enumerate().map(rate).collect()
}
