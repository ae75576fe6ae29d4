//! Standings as text and as JSON.

use super::Contest;
use crate::commands::table;
use reports::arena::quality::Finding;
use reports::arena::{Resampled, Standing, Standings};
use reports::schema::Estimate;
use serde::Serialize;

/// Points that are rounding, not a difference.
const ROUNDING: f64 = 1e-6;

/// A table of places, verdicts against the baseline, and findings.
pub(super) fn text(contest: &Contest, standings: &Standings, findings: &[Finding]) -> String {
    let baseline = &contest.players[0];
    let rows: Vec<Vec<String>> = standings.places.iter().map(|place| row(contest, place)).collect();
    let against = format!("against {baseline}");
    let header = ["player", "Elo", "95 %", &against, "95 %", "score", "votes", ""];
    let mut text = format!("by {}\n\n{}\n", contest.by, table::render(&header, &rows));
    text += match standings.resampled {
        Resampled::Units => "Intervals: bootstrap over users or voters.",
        Resampled::Votes => "Intervals: bootstrap over single votes; with so few voters they are too narrow.",
    };
    text += " 400 points are odds of 10 to 1; the mean of all players is 0.\n";
    for finding in findings {
        text += "! ";
        text += &sentence(contest, finding);
        text.push('\n');
    }
    text
}

fn row(contest: &Contest, place: &Standing) -> Vec<String> {
    let interval = |estimate: &Estimate| format!("[{:+.0}, {:+.0}]", estimate.low, estimate.high);
    let verdict = match place.against_baseline {
        _ if place.player == 0 => "baseline",
        Estimate { low, .. } if low > ROUNDING => "better",
        Estimate { high, .. } if high < -ROUNDING => "worse",
        _ => "inside noise",
    };
    vec![
        contest.players[place.player].clone(),
        format!("{:+.0}", place.elo.value),
        interval(&place.elo),
        format!("{:+.0}", place.against_baseline.value),
        interval(&place.against_baseline),
        format!("{:.3}", place.score),
        place.votes.to_string(),
        verdict.into(),
    ]
}

fn sentence(contest: &Contest, finding: &Finding) -> String {
    let voter = |unit: usize| &contest.voters[unit];
    match finding {
        Finding::SideBias { left_share, votes, p } => {
            format!("side: the left won {:.0} % of {votes} decided votes (p = {p:.2e})", 100.0 * left_share)
        }
        Finding::OneSided { voter: unit, votes } => {
            format!("voter {}: the same side in all {votes} decided votes", voter(*unit))
        }
        Finding::Contrarian { voter: unit, agreement, votes } => {
            let agreement = 100.0 * agreement;
            format!("voter {}: agrees with the others in {agreement:.0} % of {votes} votes", voter(*unit))
        }
        Finding::Cycles { cyclic, triples } => {
            format!("cycles: {cyclic} of {triples} triples of players have majorities that go in a circle")
        }
    }
}

#[derive(Serialize)]
struct Summary<'a> {
    by: &'a str,
    baseline: &'a str,
    resampled: &'static str,
    places: Vec<Place<'a>>,
    findings: Vec<String>,
}

#[derive(Serialize)]
struct Place<'a> {
    player: &'a str,
    elo: Estimate,
    against_baseline: Estimate,
    score: f64,
    votes: usize,
}

/// One JSON object.
///
/// # Errors
/// If it cannot be written.
pub(super) fn json(contest: &Contest, standings: &Standings, findings: &[Finding]) -> anyhow::Result<String> {
    let place = |place: &Standing| Place {
        player: &contest.players[place.player],
        elo: place.elo,
        against_baseline: place.against_baseline,
        score: place.score,
        votes: place.votes,
    };
    let summary = Summary {
        by: &contest.by,
        baseline: &contest.players[0],
        resampled: match standings.resampled {
            Resampled::Units => "units",
            Resampled::Votes => "votes",
        },
        places: standings.places.iter().map(place).collect(),
        findings: findings.iter().map(|finding| sentence(contest, finding)).collect(),
    };
    Ok(serde_json::to_string(&summary)? + "\n")
}
