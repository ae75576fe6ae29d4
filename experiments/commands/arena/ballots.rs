//! Votes of people from a CSV file with the columns `voter`, `left`, `right` and `winner`.

use super::Contest;
use anyhow::{Context as _, bail, ensure};
use reports::arena::{Outcome, Vote};
use std::path::Path;

/// What a file must have.
const COLUMNS: [&str; 4] = ["voter", "left", "right", "winner"];

/// Reads a file of votes; `winner` is the name of a player, `left`, `right`, or `tie`.
///
/// # Errors
/// The file cannot be read, a column is missing, or a line is not a vote: file, line, value, and what is allowed.
pub(super) fn read(path: &Path) -> anyhow::Result<Contest> {
    let shown = path.display();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_path(path)
        .with_context(|| format!("cannot read {shown}"))?;
    let header = reader.headers().with_context(|| format!("{shown}, line 1"))?.clone();
    let columns = COLUMNS.map(|column| {
        let found = header.iter().position(|name| name == column);
        found.with_context(|| format!("{shown} has no column `{column}`; it needs {}", COLUMNS.join(", ")))
    });
    let [voter, left, right, winner] = columns;
    let columns = [voter?, left?, right?, winner?];
    let (mut players, mut voters, mut votes) = (Vec::new(), Vec::new(), Vec::new());
    for record in reader.records() {
        let record = record.with_context(|| format!("cannot read {shown}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let [voter, left, right, winner] = columns.map(|column| record.get(column).unwrap_or(""));
        ensure!(
            !left.is_empty() && !right.is_empty(),
            "{shown}, line {line}: `left` and `right` name players"
        );
        ensure!(left != right, "{shown}, line {line}: `{left}` is compared with itself");
        let outcome = outcome(winner, left, right).with_context(|| format!("{shown}, line {line}"))?;
        let (left, right) = (number(&mut players, left), number(&mut players, right));
        votes.push(Vote { left, right, outcome, unit: number(&mut voters, voter) });
    }
    let by = format!("{} votes of {} voters", votes.len(), voters.len());
    Ok(Contest { players, votes, voters, by })
}

fn outcome(winner: &str, left: &str, right: &str) -> anyhow::Result<Outcome> {
    Ok(match winner {
        "tie" => Outcome::Tie,
        _ if winner == left || winner == "left" => Outcome::Left,
        _ if winner == right || winner == "right" => Outcome::Right,
        _ => bail!("`winner` is `{winner}`, must be `{left}`, `{right}`, `left`, `right` or `tie`"),
    })
}

/// The number of a name, a new one at its first sight.
fn number(names: &mut Vec<String>, name: &str) -> usize {
    names.iter().position(|known| known == name).unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    })
}
