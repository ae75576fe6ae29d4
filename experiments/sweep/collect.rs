//! From run directories to one comparison.

use super::execute::Outcome;
use super::plan::{Plan, PlannedRun};
use super::weights;
use crate::stages::evaluate::users::PerUser;
use anyhow::Context as _;
use policy::random::Key;
use reports::load::{self, Run, Stage};
use reports::schema::{Evaluation, SystemResult};
use reports::sweep::curves;
use reports::sweep::pool::{self, Bootstrap, ByUser};
use reports::sweep::{Line, Pooled, Reference, RunResult, SCHEMA, StageCost, State, Sweep, Validation};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A run to be compared.
#[derive(Clone, Debug)]
pub struct Member {
    /// The row it is a seed of.
    pub row: String,
    /// The seed.
    pub seed: u64,
    /// Its run directory.
    pub dir: PathBuf,
    /// Bootstrap resamples of its own report.
    pub resamples: usize,
}

/// What is compared, and how the page names it.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The title.
    pub name: String,
    /// The last stage of every run.
    pub until: Option<String>,
    /// The row that the others are compared with.
    pub baseline: Option<String>,
    /// Row by row.
    pub members: Vec<Member>,
    /// Numbers of others.
    pub published: Vec<Reference>,
}

impl From<&PlannedRun> for Member {
    fn from(run: &PlannedRun) -> Self {
        let (seed, resamples) = (run.config.run.seed, run.config.evaluate.resamples);
        Self { row: run.row.clone(), seed, dir: run.dir.clone(), resamples }
    }
}

impl From<&Plan> for Compared {
    fn from(plan: &Plan) -> Self {
        Self {
            name: plan.name.clone(),
            until: plan.until.clone(),
            baseline: plan.baseline.clone(),
            members: plan.runs.iter().map(Member::from).collect(),
            published: plan.published.clone(),
        }
    }
}

impl Member {
    /// The last part of the run directory.
    fn name(&self) -> String {
        self.dir.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// A finished run with its results by user.
struct Finished<'a> {
    member: &'a Member,
    run: Run,
    per_user: PerUser,
}

/// Gathers what the finished runs measured.
///
/// # Errors
/// A file of a finished run cannot be read.
pub fn collect(compared: &Compared, outcomes: &[Outcome]) -> anyhow::Result<Sweep> {
    let (mut runs, mut finished) = (Vec::new(), Vec::new());
    for (member, outcome) in compared.members.iter().zip(outcomes) {
        let (result, evaluated) = examine(member, outcome)
            .with_context(|| format!("cannot read the results in {}", member.dir.display()))?;
        runs.push(result);
        finished.extend(evaluated);
    }
    Ok(Sweep {
        schema: SCHEMA,
        name: compared.name.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        until: compared.until.clone(),
        baseline: compared.baseline.clone(),
        runs,
        lines: lines(compared, &finished),
        published: compared.published.clone(),
    })
}

fn examine<'a>(member: &'a Member, outcome: &Outcome) -> anyhow::Result<(RunResult, Option<Finished<'a>>)> {
    let mut result = RunResult {
        row: member.row.clone(),
        seed: member.seed,
        directory: member.name(),
        budget: String::new(),
        state: outcome.state.clone(),
        stages: Vec::new(),
        parameters: None,
        validation: Vec::new(),
        tokenizer: None,
        curves: BTreeMap::new(),
        config: BTreeMap::new(),
    };
    if outcome.state != State::Finished {
        return Ok((result, None));
    }
    let mut run = load::load(&member.dir)?;
    run.stages.retain(|stage| outcome.stages.contains(&stage.directory));
    result.budget.clone_from(&run.record.budget);
    result.stages = run.stages.iter().map(cost).collect();
    result.validation = validation(&run);
    result.curves = curves::of_run(&run);
    result.config = reports::config::flatten(&run.config);
    let dir = |stage: &Stage| member.dir.join("stages").join(&stage.directory);
    let find = |name: &str| run.stages.iter().find(|stage| stage.manifest.stage == name);
    result.tokenizer = find("tokenize").and(run.tokenizer.clone());
    result.parameters = find("pretrain").map(|stage| weights::count(&dir(stage))).transpose()?;
    let per_user = find("evaluate").map(|stage| PerUser::read(&dir(stage))).transpose()?;
    Ok((result, per_user.map(|per_user| Finished { member, run, per_user })))
}

fn cost(stage: &Stage) -> StageCost {
    let manifest = &stage.manifest;
    StageCost {
        stage: manifest.stage.clone(),
        fingerprint: manifest.fingerprint.clone(),
        seconds: manifest.seconds,
        cpu_seconds: manifest.cpu_seconds,
        peak_memory: manifest.peak_memory,
    }
}

/// Validation NDCG@10 of pretraining, with the CPU time where the manifest has it; one that has times alone had the CPU evenly.
fn validation(run: &Run) -> Vec<Validation> {
    let stage = run.stages.iter().find(|stage| stage.manifest.stage == "pretrain");
    let Some(Stage { manifest, .. }) = stage else { return Vec::new() };
    let share = manifest.cpu_seconds / manifest.seconds.max(f64::MIN_POSITIVE);
    let cpu_seconds = |step: u64| {
        let mark = manifest.marks.iter().find(|mark| mark.step == step)?;
        Some(mark.cpu_seconds.unwrap_or(mark.seconds * share))
    };
    let rows = run.metrics.iter().filter(|row| row.stage == "pretrain" && row.key == "validation/ndcg@10");
    rows.map(|row| Validation { step: row.step, cpu_seconds: cpu_seconds(row.step), ndcg: row.value })
        .collect()
}

/// A recommender of a row, in every run of the row.
struct System<'a> {
    row: &'a str,
    name: &'a str,
    role: &'a str,
    runs: Vec<&'a Finished<'a>>,
}

fn lines(compared: &Compared, finished: &[Finished<'_>]) -> Vec<Line> {
    let base = compared.baseline.as_deref();
    let systems = shared_once(systems(finished), base);
    let mut lines = Vec::new();
    for system in &systems {
        let against = base.filter(|row| *row != system.row || system.role == "baseline");
        let against = against.and_then(|row| counterpart(&systems, row, system));
        lines.push(line(system, against));
    }
    // Baselines are read after what was trained.
    lines.sort_by_key(|line: &Line| line.role == "baseline");
    let labels = labels(&lines);
    for (line, label) in lines.iter_mut().zip(labels) {
        line.label = label;
    }
    lines
}

/// Systems in the order of the rows; baselines that score alike in every row are listed once.
fn systems<'a>(finished: &'a [Finished<'a>]) -> Vec<System<'a>> {
    let mut systems: Vec<System<'a>> = Vec::new();
    for result in finished {
        let row = result.member.row.as_str();
        for found in result.run.evaluation.iter().flat_map(|evaluation| &evaluation.systems) {
            let same = |system: &&mut System<'a>| system.row == row && system.name == found.name;
            if let Some(system) = systems.iter_mut().find(same) {
                system.runs.push(result);
            } else if found.role != "baseline" || !systems.iter().any(|system| is_twin(system, found)) {
                let (name, role) = (found.name.as_str(), found.role.as_str());
                systems.push(System { row, name, role, runs: vec![result] });
            }
        }
    }
    systems
}

/// Rows that align the same pretrained policies have them once, among the lines of `base` if it is one of these rows.
fn shared_once<'a>(systems: Vec<System<'a>>, base: Option<&str>) -> Vec<System<'a>> {
    let aligned: BTreeSet<&str> =
        systems.iter().filter(|system| system.role == "aligned").map(|system| system.row).collect();
    let mut kept: Vec<System<'a>> = Vec::new();
    for system in systems {
        let shared = system.role == "base" && aligned.contains(system.row);
        match kept.iter_mut().find(|other| shared && is_same_policy(other, &system)) {
            Some(other) if base == Some(system.row) => other.row = system.row,
            Some(_) => {}
            None => kept.push(system),
        }
    }
    kept
}

/// Equal in every number, seed by seed.
fn is_same_policy(known: &System<'_>, system: &System<'_>) -> bool {
    let numbers = |system: &System<'_>| -> Vec<(u64, Vec<(String, f64)>)> {
        let values = |result: &SystemResult| {
            result.metrics.iter().map(|(key, estimate)| (key.clone(), estimate.value)).collect()
        };
        system.runs.iter().map(|run| run.member.seed).zip(results(system).map(values)).collect()
    };
    known.role == "base" && {
        let known = numbers(known);
        numbers(system).iter().all(|own| known.contains(own))
    }
}

/// The same baseline, ranking alike: fitted and evaluated on the same data.
fn is_twin(system: &System<'_>, found: &SystemResult) -> bool {
    let ranking = |result: &SystemResult| -> Vec<(String, f64)> {
        // What judges and codes say of a list differs with the row's.
        let of_items = |key: &str| key.starts_with("recall@") || key.starts_with("ndcg@");
        let metrics = result.metrics.iter().filter(|(key, _)| of_items(key));
        metrics.map(|(key, estimate)| (key.clone(), estimate.value)).collect()
    };
    system.role == "baseline" && results(system).any(|known| ranking(known) == ranking(found))
}

/// What a system is compared with in the baseline row: its namesake, else the pretrained policy. Only of the same users.
fn counterpart<'a, 'b>(systems: &'b [System<'a>], row: &str, system: &System<'_>) -> Option<&'b System<'a>> {
    let candidates = || systems.iter().filter(|other| other.row == row && other.role != "baseline");
    let found = candidates()
        .find(|other| other.name == system.name)
        .or_else(|| candidates().find(|other| other.role == "base"))?;
    (users_hash(found).is_some() && users_hash(found) == users_hash(system)).then_some(found)
}

/// Which people the numbers of users stand for.
fn users_hash<'a>(system: &System<'a>) -> Option<&'a str> {
    let stages = &system.runs.first()?.run.stages;
    let ingest = stages.iter().find(|stage| stage.manifest.stage == "ingest")?;
    Some(&ingest.manifest.outputs.get("users.parquet")?.sha256)
}

/// Scores of trained judges compare only if the same judges gave them.
fn is_comparable(key: &str, base: &System<'_>, system: &System<'_>) -> bool {
    let trained = key.starts_with("judge/") && key != "judge/oracle";
    !trained || judges(base) == judges(system)
}

/// Fingerprints of the reward stages.
fn judges<'a>(system: &'a System<'_>) -> BTreeSet<&'a str> {
    let stages = system.runs.iter().flat_map(|run| &run.run.stages);
    let rewards = stages.filter(|stage| stage.manifest.stage == "reward");
    rewards.map(|stage| stage.manifest.fingerprint.as_str()).collect()
}

fn line(system: &System<'_>, against: Option<&System<'_>>) -> Line {
    let mut metrics = BTreeMap::new();
    let mut differences = BTreeMap::new();
    let bootstrap = bootstrap(system);
    for key in keys(system) {
        let values = by_user(system, &key);
        let pooled = pool::pooled(&values, bootstrap).or_else(|| pool::flat(flat_values(system, &key)));
        metrics.extend(pooled.map(|pooled: Pooled| (key.clone(), pooled)));
        let base = against.filter(|base| is_comparable(&key, base, system));
        let base = base.map(|base| by_user(base, &key)).unwrap_or_default();
        differences.extend(pool::difference(&values, &base, bootstrap).map(|found| (key, found)));
    }
    Line {
        label: String::new(),
        row: system.row.to_owned(),
        system: system.name.to_owned(),
        role: system.role.to_owned(),
        seeds: system.runs.iter().map(|run| run.member.seed).collect(),
        users: evaluations(system).map(|evaluation| evaluation.users).max().unwrap_or(0),
        metrics,
        differences,
    }
}

/// As many resamples as the row's own report; the same draws for every line, so that they can be paired.
fn bootstrap(system: &System<'_>) -> Bootstrap {
    let resamples = system.runs.iter().map(|run| run.member.resamples).max();
    Bootstrap { resamples: resamples.unwrap_or(1), seed: Key::new(0).named("sweep").bits() }
}

fn evaluations<'a>(system: &'a System<'_>) -> impl Iterator<Item = &'a Evaluation> {
    system.runs.iter().filter_map(|run| run.run.evaluation.as_ref())
}

fn results<'a>(system: &'a System<'_>) -> impl Iterator<Item = &'a SystemResult> {
    let of =
        move |evaluation: &'a Evaluation| evaluation.systems.iter().find(|found| found.name == system.name);
    evaluations(system).filter_map(of)
}

fn keys(system: &System<'_>) -> Vec<String> {
    let keys = results(system).flat_map(|result| result.metrics.keys().cloned());
    keys.collect::<BTreeSet<_>>().into_iter().collect()
}

fn by_user(system: &System<'_>, key: &str) -> Vec<ByUser> {
    system.runs.iter().filter_map(|run| run.per_user.metric(system.name, key)).collect()
}

fn flat_values(system: &System<'_>, key: &str) -> Vec<f64> {
    results(system).filter_map(|result| Some(result.metrics.get(key)?.value)).collect()
}

/// A row's only system bears the row's name, a baseline its own, and so does a policy that rows share; whatever is not unique tells
/// both.
fn labels(lines: &[Line]) -> Vec<String> {
    let unique = |system: &str| lines.iter().filter(|line| line.system == system).count() == 1;
    let is_shared = |line: &Line| {
        let rows = lines.iter().filter(|other| other.role != "baseline").map(|other| &other.row);
        unique(&line.system) && rows.collect::<BTreeSet<_>>().len() > 1
    };
    // The only policy of its row, but for one that is called otherwise.
    let is_alone = |line: &Line| {
        let own = lines.iter().filter(|other| other.row == line.row && other.role != "baseline");
        own.filter(|other| !(other.role == "base" && is_shared(other))).count() == 1
    };
    let label = |line: &Line| match line.role.as_str() {
        "baseline" if unique(&line.system) => line.system.clone(),
        "base" if is_shared(line) => line.system.clone(),
        "aligned" if is_alone(line) => line.row.clone(),
        "baseline" => format!("{} ({})", line.system, line.row),
        "base" => line.row.clone(),
        _ => format!("{}, {}", line.row, line.system),
    };
    lines.iter().map(label).collect()
}
