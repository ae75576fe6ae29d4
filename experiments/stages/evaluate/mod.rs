//! Every policy and every baseline on the test split: ranking, judges, legality, coverage, with intervals.

mod outside;
mod systems;
pub mod users;

pub use outside::Outside;

use super::bench::Bench;
use crate::config::Evaluate;
use crate::run::StageContext;
use crate::run::commit;
use policy::model::Policy;
use reports::schema::{Comparison, Evaluation};
use reports::statistics::paired_bootstrap;
use systems::{System, baselines, policy_system};
use users::TestUsers;

/// A trained policy and what it is called in the report.
pub struct NamedPolicy {
    /// `pretrained` or the arm's name.
    pub name: String,
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

/// Evaluates and writes `evaluation.json` and `per_user.parquet`.
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
    let comparisons = aligned.iter().flat_map(|system| compare(system, &base, section, ctx)).collect();
    systems.push(base);
    systems.extend(aligned);
    users::write(&ctx.path(users::FILE), &users, &systems)?;
    let evaluation = Evaluation {
        users: users.len() as u64,
        beam_width: section.beam_width as u64,
        log_prob_space: format!("{:?}", bench.space).to_lowercase(),
        systems: systems.iter().map(|system| system.result(section.resamples, seed(ctx))).collect(),
        comparisons,
    };
    commit::write_file(&ctx.path("evaluation.json"), &serde_json::to_vec_pretty(&evaluation)?)
}

fn seed(ctx: &StageContext) -> u64 {
    ctx.key().named("bootstrap").bits()
}

/// `system - base` of every metric both have per user, paired over users.
fn compare(system: &System, base: &System, section: &Evaluate, ctx: &StageContext) -> Vec<Comparison> {
    system
        .per_user
        .iter()
        .filter_map(|(metric, values)| {
            let difference =
                paired_bootstrap(values, base.per_user.get(metric)?, section.resamples, seed(ctx));
            Some(Comparison { system: system.name.clone(), metric: metric.clone(), difference })
        })
        .collect()
}
