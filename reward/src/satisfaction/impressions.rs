//! Impressions with verdicts.

use policy::history::{History, Log};
use policy::random::Key;
use thiserror::Error;

/// Feedback columns by name.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Above 0 where the user approved.
    pub positive: &'a str,
    /// Above 0 where the user disapproved; without it, whatever was not approved of was disapproved of.
    pub negative: Option<&'a str>,
    /// Behaviour that counts as a share of other behaviour or of a length: play time over duration.
    pub shares: &'a [(String, String)],
}

/// A log whose feedback cannot be learned from.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SatisfactionError {
    /// There is no such column.
    #[error("the log has no feedback column `{name}`; its columns are [{columns}]")]
    Column {
        /// What was asked for.
        name: String,
        /// What there is.
        columns: String,
    },
    /// One column plays two parts.
    #[error("`{0}` is named twice; name every verdict and every share once")]
    Twice(String),
    /// A verdict is to be read as behaviour.
    #[error("`{0}` is a verdict: a share with it would give away what is to be told")]
    Verdict(String),
    /// The only columns are verdicts.
    #[error(
        "besides the verdicts the log has no feedback column; name what users did among the feedback columns"
    )]
    NoBehaviour,
    /// Nobody gave both verdicts often enough.
    #[error(
        "{users} users approved of at least three impressions and disapproved of at least three; learning and examining need 2"
    )]
    Verdicts {
        /// Users who did.
        users: usize,
    },
}

/// Which columns are verdicts, and which are behaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    positive: usize,
    negative: Option<usize>,
    pub(super) behaviour: Vec<usize>,
    pub(super) shares: Vec<[usize; 2]>,
}

impl Columns {
    /// The columns of these names; all but the verdicts are behaviour.
    ///
    /// # Errors
    /// A name is unknown, or nothing is left.
    pub fn find(signals: &[String], names: Names<'_>) -> Result<Self, SatisfactionError> {
        let find = |name: &str| {
            let unknown = || SatisfactionError::Column { name: name.to_owned(), columns: signals.join(", ") };
            signals.iter().position(|signal| signal == name).ok_or_else(unknown)
        };
        let shares = names.shares.iter().map(|(part, whole)| format!("{part}/{whole}"));
        let verdicts = std::iter::once(names.positive).chain(names.negative).map(String::from);
        let mut named: Vec<String> = verdicts.chain(shares).collect();
        named.sort();
        if let Some(pair) = named.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(SatisfactionError::Twice(pair[0].clone()));
        }
        let positive = find(names.positive)?;
        let negative = names.negative.map(find).transpose()?;
        let verdict = |column: &usize| *column == positive || Some(*column) == negative;
        let behaviour: Vec<usize> = (0..signals.len()).filter(|column| !verdict(column)).collect();
        let mut halves = names.shares.iter().flat_map(|(part, whole)| [part, whole]);
        if let Some(name) =
            halves.find(|name| *name == names.positive || Some(name.as_str()) == names.negative)
        {
            return Err(SatisfactionError::Verdict(name.clone()));
        }
        let share = |(part, whole): &(String, String)| Ok([find(part)?, find(whole)?]);
        let shares = names.shares.iter().map(share).collect::<Result<_, _>>()?;
        if behaviour.is_empty() {
            return Err(SatisfactionError::NoBehaviour);
        }
        Ok(Self { positive, negative, behaviour, shares })
    }

    fn verdict(&self, feedback: &[f32]) -> Option<bool> {
        let said = |column: usize| feedback[column] > 0.0;
        match self.negative {
            None => Some(said(self.positive)),
            // Both or neither: nothing was said.
            Some(negative) => (said(self.positive) != said(negative)).then(|| said(self.positive)),
        }
    }
}

/// The impressions of a log, user by user, oldest first.
#[derive(Clone, Debug)]
pub struct Impressions<'a> {
    log: &'a Log,
    columns: &'a Columns,
    /// First impression of every user, and their number.
    starts: Vec<usize>,
    verdicts: Vec<Option<bool>>,
}

/// Impressions a user must have of each verdict, so that each part gets one of both.
const PARTS: usize = 3;

impl<'a> Impressions<'a> {
    /// All of a log.
    ///
    /// # Errors
    /// Fewer than two users could be in all of training, validation and test.
    pub fn new(log: &'a Log, columns: &'a Columns) -> Result<Self, SatisfactionError> {
        let (mut starts, mut verdicts) = (vec![0], Vec::new());
        for history in &log.histories {
            verdicts.extend(history.feedback.chunks_exact(log.signals.len()).map(|row| columns.verdict(row)));
            starts.push(verdicts.len());
        }
        let found = Self { log, columns, starts, verdicts };
        let users = (0..found.num_users()).filter(|&user| {
            let count = |wanted| found.of_user(user).filter(|&at| found.verdicts[at] == Some(wanted)).count();
            count(true) >= PARTS && count(false) >= PARTS
        });
        match users.count() {
            users @ (0 | 1) => Err(SatisfactionError::Verdicts { users }),
            _ => Ok(found),
        }
    }

    /// Impressions.
    pub fn len(&self) -> usize {
        self.verdicts.len()
    }
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.verdicts.is_empty()
    }
    /// Users, those without a verdict included.
    pub fn num_users(&self) -> usize {
        self.starts.len() - 1
    }
    /// What users said; `None` where they said nothing.
    pub fn verdicts(&self) -> &[Option<bool>] {
        &self.verdicts
    }
    /// A user's impressions.
    pub fn of_user(&self, user: usize) -> std::ops::Range<usize> {
        self.starts[user]..self.starts[user + 1]
    }
    /// Whose impression it is.
    pub fn user(&self, at: usize) -> usize {
        self.starts.partition_point(|&start| start <= at) - 1
    }
    /// Whose history, and where in it.
    pub(super) fn place(&self, at: usize) -> (&'a History, usize) {
        let user = self.user(at);
        (&self.log.histories[user], at - self.starts[user])
    }
    /// Names of the feedback columns.
    pub(super) fn signals(&self) -> &'a [String] {
        &self.log.signals
    }
    /// Items of the catalog.
    pub(super) fn num_items(&self) -> usize {
        self.log.num_items
    }
    pub(super) fn columns(&self) -> &'a Columns {
        self.columns
    }

    /// One approved and one disapproved impression of every user who has both among those that are `open`, drawn evenly: pairs
    /// by which knowing who approves of everything wins nothing. In order.
    pub fn draw_pairs(&self, open: &[bool], key: Key) -> Vec<usize> {
        let mut drawn = Vec::new();
        for user in 0..self.num_users() {
            let one = |verdict: bool| {
                let of = |at: &usize| open[*at] && self.verdicts[*at] == Some(verdict);
                let choices: Vec<usize> = self.of_user(user).filter(of).collect();
                let draw = key.at(user as u64).at(u64::from(verdict)).unit();
                choices.get((draw * choices.len() as f64) as usize).copied()
            };
            if let (Some(a), Some(b)) = (one(false), one(true)) {
                drawn.extend([a.min(b), a.max(b)]);
            }
        }
        drawn
    }
}
