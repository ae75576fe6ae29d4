//! `recalign evaluate --off-policy HEAD`: what the lists would have earned, from a log that says with which probability it showed
//! what it showed.
//!
//! The evaluated policy fills a place with one of a list's first `evaluate.judged_items` items, all alike; lists may repeat
//! what a user has seen, as logs do. A round is an interaction that the policies have not learnt from: of the run's own log each
//! user's last, of `--data` every one but a user's first. Rounds count as independent.

use super::{Entrants, Finished};
use crate::cli::EvaluateArgs;
use crate::commands::table;
use crate::config::Evaluate;
use crate::data::recommendations;
use crate::stages::bench::Bench;
use crate::stages::evaluate::NamedPolicy;
use crate::stages::ingest;
use ::reward::judge::{Judge as _, Request, Score};
use ::reward::labels::Session;
use ::reward::model_judge::ModelJudge;
use ::reward::off_policy::{Estimates, Interval, Round, estimate};
use ::reward::propensity::Propensity;
use anyhow::Context as _;
use policy::ids::{ItemId, UserId};
use reports::schema::Estimate;
use sampler::recommend::Seen;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// One system.
#[derive(Serialize)]
struct Line {
    system: String,
    rounds: usize,
    effective_rounds: f64,
    largest_weight: f64,
    ips: Estimate,
    snips: Estimate,
    /// With the proxy's predictions.
    dr: Estimate,
}

/// The table, or one JSON object per line of it.
pub(super) fn examine(arguments: &EvaluateArgs, head: &str) -> anyhow::Result<String> {
    let device = arguments.device.open()?;
    let run = Finished::open(&arguments.run)?;
    let bench = run.bench(run.dataset(arguments)?, arguments, &device)?;
    let column = arguments.propensity.as_ref().or(run.config.reward.propensity.as_ref()).context(
        "--off-policy needs to know which feedback column has the probability that an item was shown: --propensity COLUMN",
    )?;
    let rounds = match &arguments.data {
        Some(path) => {
            let learnt = ingest::load(&run.stage("ingest")?.path)?.log;
            anyhow::ensure!(
                learnt != bench.dataset.log,
                "--data {}: this is the log that the policies learnt from; without --data its last interactions are used",
                path.display()
            );
            every_but_the_first(&bench)
        }
        None => last(&bench),
    };
    let logged = Logged::new((&bench, head), column, &run.config.evaluate)?;
    let most = arguments.most_weight.unwrap_or(f64::INFINITY);
    anyhow::ensure!(most > 0.0, "--most-weight {most}: expected a number above 0");
    let own: Vec<Round> = rounds.iter().map(|round| logged.happened(*round)).collect();
    let mut lines = vec![Line::new("the log itself", &own, most)?];
    lines.extend(match &arguments.recommendations {
        Some(file) => vec![of_file(file, &logged, (rounds, most))?],
        None => of_policies(&run.entrants(arguments, &bench, &device)?, &logged, (&rounds, most))?,
    });
    if arguments.json {
        return lines.iter().map(|line| Ok(serde_json::to_string(line)? + "\n")).collect();
    }
    Ok(text(&lines, head, logged.shown))
}

/// The lists of a file, one per user, in all rounds of that user.
fn of_file(file: &Path, logged: &Logged<'_>, (rounds, most): (Vec<Session>, f64)) -> anyhow::Result<Line> {
    let lists = recommendations::read(file, &logged.bench.dataset)?;
    let lists: BTreeMap<UserId, Vec<ItemId>> = lists.into_iter().collect();
    let with_list = |round: Session| Some((round, lists.get(&round.user)?.as_slice()));
    let (rounds, lists): (Vec<_>, Vec<_>) = rounds.into_iter().filter_map(with_list).unzip();
    let name = file.file_stem().map_or("recommendations".into(), |stem| stem.to_string_lossy());
    Line::new(&name, &logged.rounds(&rounds, &lists), most)
}

/// What each policy shows given what the user had seen by then.
fn of_policies(
    entrants: &Entrants,
    logged: &Logged<'_>,
    (rounds, most): (&[Session], f64),
) -> anyhow::Result<Vec<Line>> {
    let log = &logged.bench.dataset.log;
    let contexts: Vec<_> = rounds.iter().map(|round| log.read(round.user, 0..round.start)).collect();
    let own = entrants.bench.as_ref().unwrap_or(logged.bench);
    let line = |policy: &NamedPolicy| {
        let recommender = own.recommender(&policy.model);
        let going_on = |_| Ok::<_, std::convert::Infallible>(());
        let Ok(lists) = recommender.lists(&contexts, logged.width, Seen::Allowed, going_on);
        let lists: Vec<&[ItemId]> = lists.iter().map(Vec::as_slice).collect();
        Line::new(&policy.name, &logged.rounds(rounds, &lists), most)
    };
    entrants.policies.iter().map(line).collect()
}

fn last(bench: &Bench) -> Vec<Session> {
    let log = &bench.dataset.log;
    let round = |user| Session { user, start: log.history(user).items.len() - 1, length: 1 };
    log.users().map(round).collect()
}

fn every_but_the_first(bench: &Bench) -> Vec<Session> {
    let log = &bench.dataset.log;
    let of_user =
        |user| (1..log.history(user).items.len()).map(move |start| Session { user, start, length: 1 });
    log.users().flat_map(of_user).collect()
}

/// What a log says of each round beside what would have been shown.
struct Logged<'a> {
    bench: &'a Bench,
    judge: &'a ModelJudge,
    /// Name and place of the head whose labels are earned.
    head: (&'a str, usize),
    propensity: Propensity,
    /// Items of a list that may fill the place.
    shown: usize,
    /// Items that a policy's beam finds.
    width: usize,
}

impl<'a> Logged<'a> {
    fn new((bench, head): (&'a Bench, &'a str), column: &str, section: &Evaluate) -> anyhow::Result<Self> {
        let shown = section.judged_items;
        let log = &bench.dataset.log;
        let users: Vec<UserId> = log.users().collect();
        let propensity = Propensity::fit(column, log, &users)?;
        let judge = &bench.judges.as_ref().context("this run has no judges")?.proxy;
        let labelled = |name: &&String| judge.context().label(name, last(bench)[0]).is_some();
        let heads: Vec<&String> = judge.heads().iter().filter(labelled).collect();
        let Some(place) = judge.heads().iter().position(|name| heads.contains(&name) && name == head) else {
            let known: Vec<&str> = heads.iter().map(|name| name.as_str()).collect();
            anyhow::bail!("--off-policy {head}: the log tells no such label; it tells [{}]", known.join(", "))
        };
        Ok(Self {
            bench,
            judge,
            head: (head, place),
            propensity,
            shown,
            width: section.beam_width.max(shown),
        })
    }

    /// What was shown in a round, and what it earned.
    fn happened(&self, session: Session) -> Round {
        let log = &self.bench.dataset.log;
        let propensity = self.propensity.value(log, session.user, session.start);
        let earned = self.judge.context().label(self.head.0, session);
        Round {
            // The head has labels: `new` has seen one.
            reward: earned.unwrap_or_default(),
            propensity,
            target: propensity,
            predicted: 0.0,
            predicted_of_target: 0.0,
        }
    }

    fn taken(&self, session: Session) -> ItemId {
        self.bench.dataset.log.history(session.user).items[session.start]
    }

    /// Every round, had one of the first items of its list been shown.
    fn rounds(&self, sessions: &[Session], lists: &[&[ItemId]]) -> Vec<Round> {
        let shown: Vec<&[ItemId]> = lists.iter().map(|list| &list[..list.len().min(self.shown)]).collect();
        let both = |(session, list): (&Session, &&[ItemId])| [list, &[self.taken(*session)][..]].concat();
        let asked: Vec<Vec<ItemId>> = sessions.iter().zip(&shown).map(both).collect();
        let request = |(session, candidates): (&Session, _)| {
            let Session { user, start: known, .. } = *session;
            Request { user, known, candidates }
        };
        let requests: Vec<Request<'_>> =
            sessions.iter().zip(asked.iter().map(Vec::as_slice)).map(request).collect();
        let scores = self.judge.score(&requests);
        let round = |((session, list), scores): ((&Session, &&[ItemId]), &Vec<Score>)| {
            let predicted: Vec<f64> =
                scores.iter().map(|score| f64::from(score.heads[self.head.1])).collect();
            let (of_list, of_taken) = predicted.split_at(list.len());
            let places = list.len().max(1) as f64;
            Round {
                target: f64::from(u8::from(list.contains(&self.taken(*session)))) / places,
                predicted: of_taken[0],
                predicted_of_target: of_list.iter().sum::<f64>() / places,
                ..self.happened(*session)
            }
        };
        sessions.iter().zip(&shown).zip(&scores).map(round).collect()
    }
}

impl Line {
    fn new(system: &str, rounds: &[Round], most: f64) -> anyhow::Result<Self> {
        let found: Estimates = estimate(rounds, most).with_context(|| system.to_owned())?;
        let of =
            |interval: Interval| Estimate { value: interval.value, low: interval.low, high: interval.high };
        Ok(Self {
            system: system.into(),
            rounds: rounds.len(),
            effective_rounds: found.effective_rounds,
            largest_weight: found.largest_weight,
            ips: of(found.ips),
            snips: of(found.snips),
            dr: of(found.dr),
        })
    }
    fn cells(&self) -> Vec<String> {
        let cell = |e: Estimate| format!("{:.5} [{:.5}, {:.5}]", e.value, e.low, e.high);
        let counts = [self.rounds.to_string(), format!("{:.1}", self.effective_rounds)];
        let weight = format!("{:.1}", self.largest_weight);
        let head = [self.system.clone()].into_iter().chain(counts).chain([weight]);
        head.chain([self.ips, self.snips, self.dr].map(cell)).collect()
    }
}

fn text(lines: &[Line], head: &str, shown: usize) -> String {
    let header = ["system", "rounds", "effective", "largest weight", "IPS", "SNIPS", "DR (proxy)"];
    let rows: Vec<_> = lines.iter().map(Line::cells).collect();
    format!("mean {head} had one of a list's first {shown} items been shown, all alike; 95 % intervals\n\n")
        + &table::render(&header, &rows)
}
