//! Objectives, references, ways to sample, shards and imported preferences, through the program.

use crate::support::{MINIMAL, experiment, metrics, outcome};
use recalign::stages::ingest;
use recalign::stages::sample::rollouts;
use reports::schema::{Evaluation, SystemResult};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A smoke run of the smallest experiment with these further settings.
fn run(dir: &Path, name: &str, sets: &[&str]) -> (i32, PathBuf, String) {
    let config = dir.join("experiment.toml");
    let run = dir.join(name);
    let mut arguments = vec!["run", config.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    for set in ["run.budget=smoke"].iter().chain(sets) {
        arguments.extend(["--set", set]);
    }
    let (code, _, log) = outcome(&arguments);
    (code, run, log)
}

fn arms(list: &[(&str, &str)]) -> String {
    let arm = |(name, rest): &(&str, &str)| format!("{{ name = \"{name}\", {rest} }}");
    format!("align.arms=[{}]", list.iter().map(arm).collect::<Vec<_>>().join(", "))
}

fn artifact(run: &Path, stage: &str, file: &str) -> PathBuf {
    let mut stages = fs::read_dir(run.join("stages")).unwrap().map(|entry| entry.unwrap().path());
    let ends = |path: &PathBuf| path.to_str().unwrap().ends_with(&format!("-{stage}"));
    stages.find(ends).unwrap().join(file)
}

fn evaluation(run: &Path) -> Evaluation {
    serde_json::from_slice(&fs::read(artifact(run, "evaluate", "evaluation.json")).unwrap()).unwrap()
}

#[test]
fn every_source_reference_and_label_makes_a_step_and_documents_its_metrics() {
    let (dir, _) = experiment(MINIMAL);
    let arms = arms(&[
        ("hinge", "objective = { kind = 'dpo', loss = 'hinge' }, reference = { kind = 'pretrained' }"),
        (
            "sets",
            "objective = { kind = 's-dpo' }, pairs = { negatives = 3, contrast = 'hard', label = 'oracle' }",
        ),
        ("self-play", "objective = { kind = 'orpo' }, pairs = { contrast = 'self-play' }"),
        ("helpful", "objective = { kind = 'cpo' }, pairs = { label = 'downstream', max_disagreement = 0.9 }"),
        (
            "report",
            "objective = { kind = 'sum', terms = [{ objective = { kind = 'grpo', surrogate = { kind = 'ecpo' } } }, \
             { weight = 0.5, objective = { kind = 'ntp', further = 1 } }, \
             { weight = 0.5, objective = { kind = 'duration-aware' } }, \
             { weight = 0.1, objective = { kind = 'format', drawn = 8, selected = 2 } }] }",
        ),
        (
            "average",
            "objective = { kind = 'grpo', advantage = 'batch', kl = 'k1', kl_in = 'reward' }, \
             reference = { kind = 'ema', decay = 0.5 }",
        ),
    ]);
    let (code, run, log) = run(dir.path(), "run", &[&arms]);
    assert_eq!(code, 0, "{log}");
    let rows = metrics(&run);
    let keys: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let unknown: Vec<_> = keys.iter().filter(|key| reports::glossary::lookup(key).is_none()).collect();
    assert!(unknown.is_empty(), "not in the glossary: {unknown:?}");
    for key in ["rewards/margins", "kl", "nll_loss", "legality", "ntp/loss", "objective/4-format"] {
        assert!(keys.contains(key), "{key} is missing of {keys:?}");
    }
    assert!(artifact(&run, "align-average-1", "reference/model.safetensors").is_file());
    let (code, _, log) = outcome(&["verify", run.to_str().unwrap()]);
    assert_eq!(code, 0, "{log}");

    let (code, text, log) = outcome(&["inspect", "pairs", run.to_str().unwrap(), "-n", "2"]);
    assert_eq!(code, 0, "{log}");
    for expected in ["; oracle agrees with", "chosen", "rejected", "log_prob", "held-out", "margin"] {
        assert!(text.contains(expected), "missing {expected:?} in\n{text}");
    }
}

#[test]
fn what_the_user_took_next_rewards_and_what_is_near_it() {
    let (dir, _) = experiment(MINIMAL);
    let kinds = ["rule", "rank-aware", "semantic", "collaborative"];
    let objectives =
        kinds.map(|kind| format!("objective = {{ kind = 'grpo', reward = {{ kind = '{kind}' }} }}"));
    let named: Vec<(&str, &str)> = kinds.into_iter().zip(objectives.iter().map(String::as_str)).collect();
    let (code, run, log) = run(dir.path(), "run", &[arms(&named).as_str()]);
    assert_eq!(code, 0, "{log}");
    let rows = metrics(&run);
    let reward = |arm: &str| {
        let stage = format!("align-{arm}-1");
        rows.iter().find(|row| row.stage == stage && row.key == "reward").unwrap().value
    };
    // Arms start from the same candidates. What hits has a cosine of one; what does not has none of 0 but for chance.
    let hits = reward("rule");
    let sampled = artifact(&run, "sample-rule-1", "");
    let histories = ingest::load(&run.join("stages/01-ingest")).unwrap().log;
    let rollouts = rollouts::read(&sampled, "judge/proxy").unwrap().rollouts;
    let all =
        || rollouts.iter().flat_map(|rollout| rollout.items().into_iter().map(move |item| (rollout, item)));
    let hit =
        all().filter(|(rollout, item)| histories.history(rollout.user).items[rollout.known] == *item).count();
    assert!((hits - hit as f64 / all().count() as f64).abs() < 1e-9, "{hits}, {hit}");
    // A group with a hit pays at most 1 in ranks, as much as the hit is worth.
    assert!(reward("rank-aware") <= hits && reward("rank-aware") >= 0.0);
    for kind in ["semantic", "collaborative"] {
        assert!(reward(kind) < 1.0 && (reward(kind) - hits).abs() > 1e-6, "{kind}: {}", reward(kind));
    }
}

#[test]
fn items_that_flood_are_worth_less_to_an_arm_with_a_scenario_and_are_shown_less() {
    let (dir, _) = experiment(MINIMAL);
    let ids: Vec<String> = (0..150).map(|id| id.to_string()).collect();
    fs::write(dir.path().join("flooding.txt"), ids.join("\n")).unwrap();
    let grpo = "objective = { kind = 'grpo', kl_weight = 0.0 }";
    let scenario = format!("{grpo}, scenario = {{ allowed = 0.2, factor = 0.1 }}");
    let (path, arms) =
        (format!("data.path={}", dir.path().display()), arms(&[("plain", grpo), ("few", &scenario)]));
    let flooding = "align.flooding=flooding.txt";
    // A judge whose scores are far from 0, so that a tenth of one is far from them.
    let sets = [path.as_str(), &arms, flooding, "align.learning_rate=3e-2", "align.keep=last"];
    let (code, run_dir, log) = run(dir.path(), "run", &sets);
    assert_eq!(code, 0, "{log}");

    let rollouts = rollouts::read(&artifact(&run_dir, "sample-few-1", ""), "judge/proxy").unwrap().rollouts;
    let lowered = |rollout: &rollouts::Rollout| -> f64 {
        let items = rollout.items();
        let floods = items.iter().filter(|item| item.index() < 150).count();
        let factor = |floods: bool| if floods { 0.1 } else { 1.0 };
        let many = floods as f64 > 0.2 * items.len() as f64;
        let scored = items.iter().zip(&rollout.scores);
        scored.map(|(item, score)| score * factor(many && item.index() < 150)).sum::<f64>()
            / items.len() as f64
    };
    let expected = rollouts.iter().map(lowered).sum::<f64>() / rollouts.len() as f64;
    let rows = metrics(&run_dir);
    let reward = rows.iter().find(|row| row.stage == "align-few-1" && row.key == "reward").unwrap().value;
    assert!((reward - expected).abs() < 1e-6, "{reward}, expected {expected}");

    let systems = evaluation(&run_dir).systems;
    let share = |name: &str| {
        systems.iter().find(|system| system.name == name).unwrap_or_else(|| panic!("{systems:?}")).metrics["flooding_share@10"].value
    };
    assert!(share("few") < share("plain") - 0.02, "{} {}", share("few"), share("plain"));

    let problem = |sets: &[&str]| {
        let (code, _, log) = run(dir.path(), "bad", sets);
        assert_eq!(code, 2, "{log}");
        log
    };
    assert!(problem(&[&path, &arms]).contains("`align.flooding`"));
    fs::write(dir.path().join("flooding.txt"), "7\n\n300\n").unwrap();
    let unknown = problem(&[&path, &arms, flooding]);
    assert!(unknown.contains("line 3: the id is `300`, expected an item of this data"), "{unknown}");
    let rule = scenario.replace("kl_weight = 0.0", "reward = { kind = 'rule' }");
    let unasked = problem(&[&path, &self::arms(&[("few", &rule)]), flooding]);
    assert!(unasked.contains("this arm asks no judge"), "{unasked}");
}

#[test]
fn codes_of_the_next_and_later_items_reward_and_pruning_is_measured() {
    let (dir, _) = experiment(MINIMAL);
    let arms = arms(&[
        ("pars", "objective = { kind = 'grpo', reward = { kind = 'pars' } }"),
        ("msra", "objective = { kind = 'grpo', reward = { kind = 'msra', later = 2, discount = 1.0 } }"),
    ]);
    let sets = [arms.as_str(), "sample.later=2", "evaluate.min_consistency=0.95"];
    let (code, run, log) = run(dir.path(), "run", &sets);
    assert_eq!(code, 0, "{log}");
    let rows = metrics(&run);
    let reward = |arm: &str| {
        let stage = format!("align-{arm}-1");
        rows.iter().find(|row| row.stage == stage && row.key == "reward").unwrap().value
    };
    // The candidates are the same; three items can only share more codes with them than one.
    assert!(reward("pars") > 0.0 && reward("pars") < 2.0);
    assert!(reward("msra") > reward("pars") && reward("msra") < 6.0);

    // What is predicted, and two more items, are of the training part, which leaves out two: nothing held out is a reward.
    let log = ingest::load(&run.join("stages/01-ingest")).unwrap().log;
    let sampled = artifact(&run, "sample-msra-1", "");
    for rollout in rollouts::read(&sampled, "judge/proxy").unwrap().rollouts {
        let training = log.history(rollout.user).items.len() - 2;
        assert_eq!(rollout.known, (training - 1).saturating_sub(2).max(1), "{rollout:?}");
    }

    let evaluation = evaluation(&run);
    // What the best lists are worth is the same whoever is held against it.
    let attainable =
        |system: &SystemResult| system.metrics["judge/oracle"].value + system.metrics["regret"].value;
    for system in &evaluation.systems {
        assert!(system.metrics["regret"].low > 0.0, "{}", system.name);
        assert!((attainable(system) - attainable(&evaluation.systems[0])).abs() < 1e-6, "{}", system.name);
    }
    for system in evaluation.systems.iter().filter(|system| system.role != "baseline") {
        let pruning: Vec<_> = system.metrics.keys().filter(|key| key.starts_with("pruning/")).collect();
        assert!(pruning.len() > 4, "{pruning:?}");
        assert!(pruning.iter().all(|key| reports::glossary::lookup(key).is_some()), "{pruning:?}");
        assert!(system.metrics["pruning/paths"].value > 0.0);
    }
    assert_eq!(outcome(&["verify", run.to_str().unwrap()]).0, 0);
}

#[test]
fn every_way_to_sample_fills_groups_and_repeats_itself() {
    let (dir, _) = experiment(MINIMAL);
    let arms = arms(&[("grpo", "objective = { kind = 'grpo' }")]);
    let mut seen = BTreeSet::new();
    for (name, method) in [
        ("beam", "{ kind = 'beam' }"),
        ("diverse", "{ kind = 'diverse-beam', groups = 2 }"),
        ("nucleus", "{ kind = 'sample', temperature = 1.5, top_k = 20, top_p = 0.95 }"),
        ("gumbel", "{ kind = 'gumbel-top-k' }"),
    ] {
        let sets = [arms.as_str(), &format!("sample.method={method}")];
        let (code, run, log) = run(dir.path(), name, &sets);
        assert_eq!(code, 0, "{name}: {log}");
        let rollouts = fs::read(artifact(&run, "sample-grpo-1", "rollouts.parquet")).unwrap();
        assert!(seen.insert(rollouts), "{name} finds what another method finds");
    }
}

#[test]
fn shards_put_together_give_the_bytes_of_the_whole_stage() {
    let (dir, _) = experiment(MINIMAL);
    let arms = arms(&[("grpo", "objective = { kind = 'grpo' }")]);
    let sets = [arms.as_str(), "sample.method={ kind = 'gumbel-top-k' }"];
    let (code, whole, log) = run(dir.path(), "whole", &sets);
    assert_eq!(code, 0, "{log}");
    let bytes = |run: &Path, file: &str| fs::read(artifact(run, "sample-grpo-1", file)).unwrap();

    let config = dir.path().join("experiment.toml");
    let parts = dir.path().join("parts");
    let mut until = vec!["run", config.to_str().unwrap(), "--run-dir", parts.to_str().unwrap()];
    until.extend(["--set", "run.budget=smoke", "--set", sets[0], "--set", sets[1], "--until", "reward"]);
    assert_eq!(outcome(&until).0, 0);
    let rollout = |shard: &str| outcome(&["rollout", parts.to_str().unwrap(), "--shard", shard]);
    for shard in ["2/3", "0/3"] {
        let (code, path, log) = rollout(shard);
        assert_eq!(code, 0, "{log}");
        assert!(Path::new(path.trim()).is_file(), "{path}");
    }
    let (_, path, _) = rollout("1/3");
    let first = fs::read(path.trim()).unwrap();
    let (code, again, log) = rollout("1/3");
    assert!(code == 0 && again == path && log.contains("already done"), "{log}");
    assert_eq!(fs::read(path.trim()).unwrap(), first);
    assert_eq!(rollout("3/3").0, 2, "there is no such shard");

    let mut damaged = first.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(path.trim(), damaged).unwrap();
    let (code, _, log) = rollout("1/3");
    assert!(code == 0 && log.contains("is damaged and not used"), "{log}");
    assert_eq!(fs::read(path.trim()).unwrap(), first);

    let (code, run, log) = run(dir.path(), "parts", &sets);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("taken from 3 shards"), "{log}");
    for file in ["rollouts.parquet", "pairs.parquet", "metrics.jsonl"] {
        assert!(bytes(&run, file) == bytes(&whole, file), "{file} depends on the shards");
    }
}

#[test]
fn exported_pairs_come_back_and_broken_ones_name_their_line() {
    let (dir, _) = experiment(MINIMAL);
    let plain = arms(&[("a", "objective = { kind = 'dpo' }")]);
    let (code, first, log) = run(dir.path(), "first", &[&plain]);
    assert_eq!(code, 0, "{log}");
    let (code, lines, log) = outcome(&["inspect", "pairs", first.to_str().unwrap(), "--json"]);
    assert_eq!(code, 0, "{log}");
    let file = dir.path().join("pairs.jsonl");
    fs::write(&file, &lines).unwrap();
    let parquet = artifact(&first, "sample-a-1", "pairs.parquet");
    let from = |path: &Path| {
        let arm = format!("objective = {{ kind = 'dpo' }}, imported = '{}'", path.display());
        arms(&[("a", &arm)])
    };
    let loss = |run: &Path| {
        let rows = metrics(run);
        rows.into_iter().find(|row| row.stage == "align-a-1" && row.key == "loss").unwrap().value
    };
    for (name, path) in [("lines", &file), ("parquet", &parquet)] {
        let (code, again, log) = run(dir.path(), name, &[&from(path)]);
        assert_eq!(code, 0, "{log}");
        // The first step is at the reference: ln 2 whatever the pairs are.
        assert!((loss(&again) - loss(&first)).abs() < 1e-5);
    }
    for (broken, expected) in [
        ("{}", "pairs.jsonl:1: not an object with the texts prompt, chosen, rejected"),
        (&*lines.replacen("\"chosen\":\"<s0_", "\"chosen\":\"<s9_", 1), "is not a semantic ID of this run"),
        (&*lines.replacen("\"prompt\":\"<s0_", "\"prompt\":\"<s0_9", 1), "is the history of no user"),
        ("", "holds no preferences"),
    ] {
        fs::write(&file, broken).unwrap();
        let (code, _, log) = run(dir.path(), "broken", &[&from(&file)]);
        assert!(code == 2 && log.contains(expected), "{expected}: {log}");
    }
}

#[test]
fn older_rollouts_are_refused_or_weighted() {
    let (dir, _) = experiment(MINIMAL);
    let arms = arms(&[("grpo", "objective = { kind = 'grpo' }")]);
    let sets = [arms.as_str(), "align.learning_rate=0.01", "align.sample_every=2"];
    let (code, _, log) = run(dir.path(), "refused", &sets);
    assert!(code == 2 && log.contains("`align.stale` = \"weights\""), "{log}");
    let mut small: Vec<&str> = sets.to_vec();
    small.extend(["align.stale=weights", "align.rounds=2"]);
    // The smoke budget has one round; these sizes make two cheap.
    let size = [
        "model.d_model=32",
        "model.d_ff=64",
        "model.num_heads=2",
        "model.d_kv=16",
        "model.encoder_layers=1",
        "model.decoder_layers=1",
        "pretrain.max_steps=20",
        "tokenize.codes=32",
        "tokenize.iterations=5",
        "reward.epochs=1",
        "sample.users=32",
        "sample.beam_width=8",
        "evaluate.users=20",
        "evaluate.beam_width=10",
        "evaluate.cutoffs=[5]",
        "evaluate.judged_items=5",
        "evaluate.resamples=10",
    ];
    let path = dir.path().join("experiment.toml");
    let run = dir.path().join("weighted");
    let mut arguments = vec!["run", path.to_str().unwrap(), "--run-dir", run.to_str().unwrap()];
    for set in small.iter().chain(&size) {
        arguments.extend(["--set", set]);
    }
    let (code, _, log) = outcome(&arguments);
    assert_eq!(code, 0, "{log}");
    assert!(log.contains("the rollouts are of an older policy"), "{log}");
    let rows = metrics(&run);
    let weight = rows.iter().find(|row| row.key == "sampling/importance_sampling_ratio/mean").unwrap();
    assert!(weight.stage == "align-grpo-2" && weight.value > 0.0 && weight.value <= 2.0, "{weight:?}");
    assert!(
        !run.join("stages")
            .read_dir()
            .unwrap()
            .any(|entry| { entry.unwrap().file_name().to_str().unwrap().contains("sample-grpo-2") })
    );
}

#[test]
fn a_planted_blow_up_stops_warns_or_lowers_the_step_and_a_quiet_run_does_not() {
    let (dir, _) = experiment(MINIMAL);
    let arms = arms(&[("grpo", "objective = { kind = 'grpo', kl_weight = 0.0 }")]);
    let alarm = |limit: &str, then: &str| format!("align.alarms.kl={{ limit = {limit}, then = '{then}' }}");
    let epochs = "align.batch_size=4";
    let wild = "align.learning_rate=0.5";
    let (code, stopped, log) = run(dir.path(), "stop", &[&arms, epochs, wild, &alarm("0.01", "stop")]);
    assert!(code == 3 && log.contains("alarm kl") && log.contains("left its reference"), "{code} {log}");
    assert!(stopped.join("stages/03-pretrain/model.safetensors").is_file());
    assert!(!stopped.join("stages/06-align-grpo-1").exists());

    let rate = |run: &Path| {
        let rows = metrics(run);
        let rates = rows.iter().filter(|row| row.stage == "align-grpo-1" && row.key == "learning_rate");
        rates.map(|row| row.value).collect::<Vec<_>>()
    };
    let (code, warned, log) = run(dir.path(), "warn", &[&arms, epochs, wild, &alarm("0.01", "warn")]);
    assert!(code == 0 && log.contains("alarm kl"), "{log}");
    let (code, lowered, log) =
        run(dir.path(), "lower", &[&arms, epochs, wild, &alarm("0.01", "lower-the-step")]);
    assert!(code == 0 && log.contains("alarm kl"), "{log}");
    assert!(rate(&lowered).last() < rate(&warned).last(), "{:?}", rate(&lowered));

    let (code, _, log) = run(dir.path(), "quiet", &[&arms, epochs, &alarm("5.0", "stop")]);
    assert!(code == 0 && !log.contains("alarm"), "{log}");
}
