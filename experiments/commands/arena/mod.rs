//! `recalign arena`: which policy is preferred, by a judge or by people, on one scale.

mod ballots;
mod judged;
mod shown;

use super::output::print;
use crate::cli::ArenaArgs;
use anyhow::{Context as _, ensure};
use reports::arena::{Vote, quality, standings};

/// Resamples behind every interval.
const RESAMPLES: usize = 1000;
/// Of the resampling; a fixed one makes standings repeatable.
const SEED: u64 = 0;

/// Votes with the names of who was voted on and who voted.
struct Contest {
    /// The baseline first.
    players: Vec<String>,
    votes: Vec<Vote>,
    /// Names of the units, for findings; empty where a judge compared lists: it has no voters to check.
    voters: Vec<String>,
    /// What preferred, in words.
    by: String,
}

/// Prints standings and findings.
///
/// # Errors
/// A file is missing or malformed, or the players have no common scale.
pub(super) fn arena(arguments: &ArenaArgs) -> anyhow::Result<()> {
    let contest = if let Some(file) = &arguments.votes {
        ballots::read(file)?
    } else {
        ensure!(!arguments.runs.is_empty(), "name run directories to compare, or a file with --votes");
        judged::read(&arguments.runs, arguments.judge)?
    };
    let contest = with_baseline(contest, arguments.baseline.as_deref())?;
    let Contest { players, votes, voters, .. } = &contest;
    let standings = standings(players, votes, RESAMPLES, SEED).context("no standings")?;
    let findings = if voters.is_empty() { Vec::new() } else { quality::findings(players.len(), votes) };
    if arguments.json {
        return print(&shown::json(&contest, &standings, &findings)?);
    }
    print(&shown::text(&contest, &standings, &findings))
}

/// The same contest with another player first.
fn with_baseline(mut contest: Contest, name: Option<&str>) -> anyhow::Result<Contest> {
    let Some(name) = name else { return Ok(contest) };
    let at = contest.players.iter().position(|player| player == name).with_context(|| {
        format!("--baseline {name}: no such player; the players are {}", contest.players.join(", "))
    })?;
    contest.players.swap(0, at);
    let moved = |player: usize| match player {
        0 => at,
        player if player == at => 0,
        player => player,
    };
    for vote in &mut contest.votes {
        (vote.left, vote.right) = (moved(vote.left), moved(vote.right));
    }
    Ok(contest)
}
