//! The ranges of what an arm optimises and of how candidates are found.

use super::Check;
use crate::config::{Alarms, Arm, Config, Reference, Sample};
use align::divergence::Divergence;
use align::dpo::{Dpo, PairLoss};
use align::duration::DurationAware;
use align::format::Format;
use align::grpo::Grpo;
use align::ipa::Ipa;
use align::objective::{Objective, Source};
use align::pair_rule::{Contrast, PairRule};
use align::rewarding::Reward;
use align::surrogate::Surrogate;
use sampler::method::Method;

/// How candidates are found.
pub(super) fn method(sample: &Sample, check: &mut Check) {
    let mut keys = Keys { table: "sample.method", check };
    match sample.method {
        Method::Beam => {}
        Method::DiverseBeam { groups, penalty } => {
            let fits = (2..=sample.beam_width).contains(&groups);
            keys.that("groups", fits, groups as f64, "2 to `sample.beam_width`");
            keys.not_negative("penalty", penalty);
        }
        Method::Sample { temperature, top_k, top_p } => {
            keys.positive("temperature", temperature);
            keys.that("top_k", top_k != Some(0), 0.0, "at least 1");
            let share = top_p > 0.0 && top_p <= 1.0;
            keys.that("top_p", share, top_p, "above 0 and at most 1");
        }
        Method::GumbelTopK { temperature } => keys.positive("temperature", temperature),
    }
}

/// Limits of alarms.
pub(super) fn alarms(alarms: &Alarms, check: &mut Check) {
    for (name, alarm) in alarms.all() {
        if let Some(alarm) = alarm {
            Keys { table: &format!("align.alarms.{name}"), check }.positive("limit", alarm.limit);
        }
    }
}

/// One arm.
pub(super) fn arm(key: &str, arm: &Arm, check: &mut Check) {
    objective(&format!("{key}.objective"), &arm.objective, check);
    pairs(key, arm, check);
    scenario(key, arm, check);
    if let Reference::Ema { decay } = arm.reference {
        let mut keys = Keys { table: &format!("{key}.reference"), check };
        keys.that("decay", (0.0..1.0).contains(&decay), decay, "at least 0 and below 1");
    }
}

fn scenario(key: &str, arm: &Arm, check: &mut Check) {
    let Some(scenario) = arm.scenario else { return };
    let table = format!("{key}.scenario");
    let mut keys = Keys { table: &table, check };
    keys.that("allowed", (0.0..1.0).contains(&scenario.allowed), scenario.allowed, "at least 0 and below 1");
    let factor = scenario.factor;
    keys.that("factor", factor > 0.0 && factor < 1.0, factor, "above 0 and below 1");
    let unasked = match &arm.objective {
        Objective::Grpo(grpo) => grpo.reward != Reward::Judge,
        _ => arm.imported.is_some(),
    };
    if unasked {
        let message = format!("`{table}` lowers the judge's score, and this arm asks no judge; remove it");
        check.between_keys(&table, message, "align.arms");
    }
}

fn pairs(key: &str, arm: &Arm, check: &mut Check) {
    let (rule, table) = (&arm.pairs, format!("{key}.pairs"));
    let mut keys = Keys { table: &table, check };
    keys.that("negatives", rule.negatives >= 1, rule.negatives as f64, "at least 1");
    let share = rule.max_disagreement;
    keys.that("max_disagreement", (0.0..=1.0).contains(&share), share, "0 to 1");
    let single = arm.objective.learns_from(Source::Pairs);
    let message = "1: a loss of this arm compares pairs; `kind` = \"s-dpo\" takes more";
    keys.that("negatives", !(single && rule.negatives > 1), rule.negatives as f64, message);
    if arm.imported.is_some() {
        let key = format!("{key}.imported");
        if rule != &PairRule::default() {
            let message = format!("`{key}` gives its own preferences; remove the arm's `pairs`");
            check.between_keys(&key, message, "align.arms");
        }
        if arm.objective.learns_from(Source::Groups) || !compares(&arm.objective) {
            let message = format!("`{key}`: this objective does not learn from preferences alone");
            check.between_keys(&key, message, "align.arms");
        }
        return;
    }
    let observed = rule.contrast == Contrast::SelfPlay;
    keys.that("max_disagreement", !observed || share >= 1.0, share, "1 with self-play, which asks no judge");
}

fn compares(objective: &Objective) -> bool {
    objective.learns_from(Source::Pairs) || objective.learns_from(Source::Sets)
}

/// Complains about keys of one table.
struct Keys<'a> {
    table: &'a str,
    check: &'a mut Check,
}

impl Keys<'_> {
    fn that(&mut self, name: &str, holds: bool, value: f64, allowed: &str) {
        self.check.that(format!("{}.{name}", self.table), holds, value, allowed);
    }
    fn positive(&mut self, name: &str, value: f64) {
        self.that(name, value > 0.0 && value.is_finite(), value, "above 0 and finite");
    }
    fn not_negative(&mut self, name: &str, value: f64) {
        self.that(name, value >= 0.0 && value.is_finite(), value, "at least 0 and finite");
    }
    fn smoothing(&mut self, value: f64) {
        self.that("label_smoothing", (0.0..0.5).contains(&value), value, "at least 0 and below 0.5");
    }
}

fn objective(key: &str, objective: &Objective, check: &mut Check) {
    let mut keys = Keys { table: key, check };
    match objective {
        Objective::Ipa(config) => ipa(config, &mut keys),
        Objective::Grpo(config) => grpo(config, &mut keys),
        Objective::Dpo(config) => dpo(config, &mut keys),
        Objective::SDpo(config) => keys.positive("beta", config.beta),
        Objective::Cpo(config) => {
            keys.positive("beta", config.beta);
            keys.not_negative("nll_weight", config.nll_weight);
            keys.smoothing(config.label_smoothing);
        }
        Objective::Simpo(config) => {
            keys.positive("beta", config.beta);
            keys.not_negative("gamma", config.gamma);
        }
        Objective::Orpo(config) => keys.not_negative("beta", config.beta),
        Objective::Ntp(config) => {
            keys.that("further", config.further <= 1000, config.further as f64, "at most 1000");
        }
        Objective::DurationAware(config) => duration_aware(config, &mut keys),
        Objective::Format(config) => format(config, &mut keys),
        Objective::Sum(sum) => {
            keys.that("terms", !sum.terms.is_empty(), 0.0, "at least one term");
            for (index, term) in sum.terms.iter().enumerate() {
                let table = format!("{key}.terms.{index}");
                Keys { table: &table, check }.not_negative("weight", term.weight);
                self::objective(&format!("{table}.objective"), &term.objective, check);
            }
        }
    }
}

fn ipa(ipa: &Ipa, keys: &mut Keys<'_>) {
    keys.positive("beta", ipa.beta);
    keys.not_negative("lambda", ipa.lambda);
    let share = ipa.dpo_share;
    keys.that("dpo_share", share > 0.0 && share <= 1.0, share, "above 0 and at most 1");
}

fn dpo(dpo: &Dpo, keys: &mut Keys<'_>) {
    keys.positive("beta", dpo.beta);
    keys.positive("tau", dpo.tau);
    keys.that("alpha", dpo.alpha.is_finite(), dpo.alpha, "finite");
    keys.smoothing(dpo.label_smoothing);
    let smoothing = dpo.label_smoothing;
    let needed = dpo.loss != PairLoss::ExoPair || smoothing > 0.0;
    keys.that("label_smoothing", needed, smoothing, "above 0 for `exo-pair`, whose target it is");
    if dpo.divergence != Divergence::ReverseKl && !dpo.loss.reads_margin() {
        let key = format!("{}.divergence", keys.table);
        let message = format!("`{key}`: this `loss` is defined for \"reverse-kl\" only");
        keys.check.between_keys(&key, message, "align.arms");
    }
}

fn grpo(grpo: &Grpo, keys: &mut Keys<'_>) {
    let low = grpo.clip_low;
    keys.that("clip_low", (0.0..1.0).contains(&low), low, "at least 0 and below 1");
    keys.not_negative("clip_high", grpo.clip_high);
    keys.not_negative("kl_weight", grpo.kl_weight);
    surrogate(grpo.surrogate, 1.0 + grpo.clip_high, keys);
    if let Reward::Msra { discount, .. } = grpo.reward {
        let share = (0.0..=1.0).contains(&discount);
        keys.that("reward.discount", share, discount, "0 to 1");
    }
}

/// Rewards look only at actions that sampling leaves.
pub(super) fn later(config: &Config, check: &mut Check) {
    let left = config.sample.later;
    for (index, arm) in config.align.arms.iter().enumerate() {
        for (_, term) in arm.objective.terms() {
            let Objective::Grpo(Grpo { reward: Reward::Msra { later, .. }, .. }) = term else { continue };
            if *later > left {
                let message = format!(
                    "arm `{}`: `reward.later` = {later} counts actions after the next one, of which `sample.later` = {left} leaves \
                     too few; set `sample.later` = {later}",
                    arm.name
                );
                check.between_keys(&format!("align.arms.{index}.objective"), message, "sample.later");
            }
        }
    }
}

fn surrogate(surrogate: Surrogate, high: f64, keys: &mut Keys<'_>) {
    let table = format!("{}.surrogate", keys.table);
    let mut keys = Keys { table: &table, check: keys.check };
    match surrogate {
        Surrogate::DualClip { bound } | Surrogate::TwoSided { bound } => {
            let holds = bound > high && bound.is_finite();
            keys.that("bound", holds, bound, "above 1 + clip_high and finite");
        }
        Surrogate::Cispo { bound } => keys.positive("bound", bound),
        Surrogate::Sapo { positive, negative } => {
            keys.positive("positive", positive);
            keys.positive("negative", negative);
        }
        Surrogate::Ecpo { delta } => keys.positive("delta", delta),
        Surrogate::Clip | Surrogate::Vespo | Surrogate::Gbpo | Surrogate::Reinforce => {}
    }
}

fn duration_aware(config: &DurationAware, keys: &mut Keys<'_>) {
    keys.that("further", config.further <= 1000, config.further as f64, "at most 1000");
    let share = config.top_share;
    keys.that("top_share", share > 0.0 && share < 1.0, share, "above 0 and below 1");
    surrogate(config.surrogate, 1.0 + Grpo::default().clip_high, keys);
}

fn format(format: &Format, keys: &mut Keys<'_>) {
    keys.that("drawn", (1..=4096).contains(&format.drawn), format.drawn as f64, "1 to 4096");
    let fits = (1..=format.drawn).contains(&format.selected);
    keys.that("selected", fits, format.selected as f64, "1 to `drawn`");
    surrogate(format.surrogate, 1.0 + Grpo::default().clip_high, keys);
}
