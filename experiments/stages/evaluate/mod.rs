//! Every policy and every baseline on the test split: ranking, judges, legality, coverage, with intervals.

mod attainable;
mod cases;
pub(super) mod groups;
mod outside;
mod pruning;
mod scaling;
mod systems;
pub mod users;

pub use outside::Outside;

use super::bench::Bench;
use crate::config::Evaluate;
use crate::run::StageContext;
use crate::run::commit;
use crate::run::to_json;
use policy::model::Policy;
use reports::schema::{Comparison, Evaluation};
use reports::statistics::paired_bootstrap;
use systems::{System, baselines, policy_system};
use users::TestUsers;

/// A trained policy and what it is called in the report.
pub struct NamedPolicy {
    /// `pretrained` or the arm's name.
    pub name: String,
    /// The stage of the run whose policy it is.
    pub checkpoint: Option<String>,
    /// The weights.
    pub model: Policy,
}

/// The base policy and what alignment made of it.
pub struct Policies {
    /// The pretrained policy.
    pub base: NamedPolicy,
    /// One per arm.
    pub aligned: Vec<NamedPolicy>,
}

/// Evaluates and writes `evaluation.json`, `per_user.parquet` and, where policies were aligned, `cases.json`; where the
/// configuration asks for it, also `scaling.json`.
///
/// # Errors
/// If the run is stopped or a file cannot be written.
pub fn evaluate(
    section: &Evaluate,
    policies: &Policies,
    bench: &Bench,
    ctx: &StageContext,
) -> anyhow::Result<()> {
    let users = TestUsers::new(section, bench, ctx.key());
    let mut systems = baselines(section, &users, bench, ctx)?;
    let base = policy_system(&policies.base, "base", (section, &users, bench), ctx)?;
    let aligned = policies
        .aligned
        .iter()
        .map(|policy| policy_system(policy, "aligned", (section, &users, bench), ctx))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let comparisons =
        aligned.iter().flat_map(|system| compare(system, &base, (section, &users), ctx)).collect();
    if !aligned.is_empty() {
        let worst = cases::worst(&base, &aligned, &users, bench);
        commit::write_file(&ctx.path(cases::FILE), &to_json(&worst)?)?;
    }
    if !section.scaling.is_empty() {
        scaling::scaling(policies, (section, &users, bench), ctx)?;
    }
    systems.push(base);
    systems.extend(aligned);
    users::write(&ctx.path(users::FILE), &users, &systems)?;
    let evaluation = Evaluation {
        users: users.len() as u64,
        beam_width: section.beam_width as u64,
        log_prob_space: format!("{:?}", bench.space).to_lowercase(),
        slices: users.slices.iter().map(|slice| (slice.name.to_owned(), slice.users.len() as u64)).collect(),
        systems: systems
            .iter()
            .map(|system| system.result(&users.slices, (section.resamples, seed(ctx))))
            .collect(),
        comparisons,
    };
    commit::write_file(&ctx.path("evaluation.json"), &serde_json::to_vec_pretty(&evaluation)?)
}

fn seed(ctx: &StageContext) -> u64 {
    ctx.key().named("bootstrap").bits()
}

/// `system - base` of every metric both have per user, over all users and over every group, paired over users. What pruning changes is a
/// difference already.
fn compare(
    system: &System,
    base: &System,
    (section, users): (&Evaluate, &TestUsers<'_>),
    ctx: &StageContext,
) -> Vec<Comparison> {
    let base = base.columns(&users.slices);
    let difference = |(metric, values): (String, Vec<f64>)| {
        let difference = paired_bootstrap(&values, base.get(&metric)?, section.resamples, seed(ctx));
        Some(Comparison { system: system.name.clone(), metric, difference })
    };
    let columns = system.columns(&users.slices).into_iter();
    columns.filter(|(metric, _)| !metric.starts_with(pruning::PREFIX)).filter_map(difference).collect()
}
