//! Candidates, rounds of alignment and the evaluation.

use super::{Check, NAME, is_name, objective};
use crate::config::{Align, Evaluate, Sample, Stale};
use std::collections::BTreeSet;

pub(super) fn sample(sample: &Sample, check: &mut Check) {
    check.positive("sample.users", sample.users);
    check.within("sample.beam_width", sample.beam_width, 2..=4096);
    let margin = sample.min_margin;
    check.that("sample.min_margin", margin >= 0.0 && margin.is_finite(), margin, "at least 0 and finite");
    check.within("sample.later", sample.later, 0..=1000);
    objective::method(sample, check);
}

pub(super) fn align(align: &Align, check: &mut Check) {
    check.within("align.rounds", align.rounds, 1..=1000);
    check.positive("align.batch_size", align.batch_size);
    check.positive("align.epochs", align.epochs);
    check.learning_rate("align.learning_rate", align.learning_rate);
    check.gradient_norm("align.max_grad_norm", align.max_grad_norm);
    check.that("align.arms", !align.arms.is_empty(), "[]", "at least one arm");
    let mut seen = BTreeSet::new();
    for (index, arm) in align.arms.iter().enumerate() {
        let key = format!("align.arms.{index}.name");
        check.that(&key, is_name(&arm.name), &arm.name, NAME);
        check.that(&key, seen.insert(&arm.name), &arm.name, "a name that no other arm has");
        objective::arm(&format!("align.arms.{index}"), arm, check);
    }
    objective::alarms(&align.alarms, check);
    if align.flooding.is_none() && align.arms.iter().any(|arm| arm.scenario.is_some()) {
        let message = "`align.arms` has a `scenario`: name the items it lowers in a file, `align.flooding`";
        check.between_keys("align.arms", message.into(), "align.flooding");
    }
    check.within("align.sample_every", align.sample_every, 1..=1000);
    if align.sample_every > 1 && align.stale == Stale::Refuse {
        let message = format!(
            "`align.sample_every` = {} uses rollouts of older policies; allow it with `align.stale` = \"weights\"",
            align.sample_every
        );
        check.between_keys("align.sample_every", message, "align.stale");
    }
}

pub(super) fn evaluate(evaluate: &Evaluate, check: &mut Check) {
    let Evaluate { beam_width, cutoffs, judged_items, .. } = evaluate;
    check.within("evaluate.beam_width", *beam_width, 1..=4096);
    let rising = !cutoffs.is_empty() && cutoffs[0] >= 1 && cutoffs.is_sorted_by(|a, b| a < b);
    check.that(
        "evaluate.cutoffs",
        rising,
        format!("{cutoffs:?}"),
        "a list of rising numbers, each at least 1",
    );
    check.positive("evaluate.judged_items", *judged_items);
    check.within("evaluate.resamples", evaluate.resamples, 10..=1_000_000);
    for (key, needed) in [
        ("evaluate.cutoffs", cutoffs.iter().max().copied().unwrap_or(0)),
        ("evaluate.judged_items", *judged_items),
    ] {
        if needed > *beam_width {
            let message = format!(
                "`{key}` needs {needed} items, but `evaluate.beam_width` = {beam_width} yields no more"
            );
            check.between_keys(key, message, "evaluate.beam_width");
        }
    }
    let least = evaluate.min_consistency;
    check.that("evaluate.min_consistency", (0.0..1.0).contains(&least), least, "at least 0 and below 1");
    scaling(evaluate, check);
}

fn scaling(evaluate: &Evaluate, check: &mut Check) {
    let Evaluate { scaling, scaling_users, .. } = evaluate;
    let rising = scaling.iter().all(|k| (1..=1024).contains(k)) && scaling.is_sorted_by(|a, b| a < b);
    check.that(
        "evaluate.scaling",
        rising,
        format!("{scaling:?}"),
        "a list of rising numbers, each 1 to 1024, or []",
    );
    if *scaling_users > 0 && scaling.is_empty() {
        let message = format!(
            "`evaluate.scaling_users` = {scaling_users} has no effect without `evaluate.scaling`, for example [1, 4, 16, 64]"
        );
        check.between_keys("evaluate.scaling_users", message, "evaluate.scaling");
    }
}
