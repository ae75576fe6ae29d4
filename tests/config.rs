//! Experiment files: every committed one is good, every range rejects, what is resolved reloads.

use crate::support::{MINIMAL, experiment, outcome, project};
use recalign::config::{Budget, Config, ConfigError, Problem, load};
use std::path::PathBuf;

fn committed() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project("experiments/configs")).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn load_with(text: &str, overrides: &[&str]) -> Result<Config, ConfigError> {
    let (_dir, path) = experiment(text);
    load(&path, &overrides.iter().map(ToString::to_string).collect::<Vec<_>>())
}

#[track_caller]
fn problems(text: &str, overrides: &[&str]) -> Vec<Problem> {
    match load_with(text, overrides) {
        Err(ConfigError::Invalid { problems, .. }) => problems,
        other => panic!("expected problems with {overrides:?}, got {other:?}"),
    }
}

#[test]
fn every_committed_file_is_good_in_full_and_as_smoke() {
    let paths = committed();
    assert!(paths.len() >= 12, "{paths:?}");
    for path in paths {
        load(&path, &[]).unwrap();
        let smoke = load(&path, &["run.budget=smoke".into()]).unwrap();
        assert_eq!(smoke.run.budget, Budget::Smoke);
        assert_eq!(smoke.check(), [], "the smoke budget leaves the ranges of {}", path.display());
    }
}

#[test]
fn what_is_resolved_reloads_to_the_same_configuration() {
    for path in committed() {
        for budget in ["run.budget=full", "run.budget=smoke"] {
            let config = load(&path, &[budget.into()]).unwrap();
            let (_dir, resolved) = experiment(&config.to_toml());
            assert_eq!(load(&resolved, &[]).unwrap(), config, "{} {budget}", path.display());
        }
    }
}

#[test]
fn the_shuffled_beauty_experiment_differs_only_in_its_ties_and_in_what_items_are_known_by() {
    let load = |name: &str, set: &[String]| load(&project("experiments/configs").join(name), set).unwrap();
    let codes_alone = ["model.item_embedding=codes", "model.item_dropout=0", "pretrain.epochs=25"];
    let mut original = load("beauty.toml", &codes_alone.map(String::from));
    let shuffled = load("beauty-shuffled.toml", &[]);
    original.run.name.clone_from(&shuffled.run.name);
    original.data.source = shuffled.data.source.clone();
    original.data.tie_order = shuffled.data.tie_order;
    assert_eq!(original, shuffled);
}

#[test]
fn the_smoke_budget_keeps_cutoffs_within_the_beam() {
    let sets = ["run.budget=smoke", "evaluate.cutoffs=[5, 10, 50]"];
    assert_eq!(load_with(MINIMAL, &sets).unwrap().evaluate.cutoffs, [5, 10]);
    let sets = ["run.budget=smoke", "evaluate.cutoffs=[20, 50]"];
    assert_eq!(load_with(MINIMAL, &sets).unwrap().evaluate.cutoffs, [10]);
    let sets = ["run.budget=smoke", "evaluate.scaling=[2, 8, 64]"];
    assert_eq!(load_with(MINIMAL, &sets).unwrap().evaluate.scaling, [2, 8]);
}

/// One value outside of every range; the key of the problem is the key of the override.
const OUT_OF_RANGE: &[&str] = &[
    "version=2",
    "run.name=a/b",
    "run.name=''",
    "run.stages=all",
    "data.max_users=5",
    "data.embeddings={kind='hashed-text', width=4}",
    "data.embeddings={kind='co-occurrence', width=100000}",
    "data.items={file='a', id='b', text=[]}",
    "data.source.users=5",
    "data.source.items=5",
    "data.source.feed={slate=0}",
    "data.source.feed={position_bias=-1.0}",
    "data.source.feed={leaving=nan}",
    "data.source.feed={restlessness=11.0}",
    "data.source.exposure={relevance=-1.0}",
    "data.source.exposure={popularity_bias=6.0}",
    "data.source.exposure={continuation=inf}",
    "data.source.exposure={cold_share=1.1}",
    "data.source.dynamics={keep=1.1}",
    "data.source.dynamics={step=-0.1}",
    "data.source.dynamics={fatigue=-0.1}",
    "data.source.marginals={activity=11.0}",
    "data.source.marginals={activity_spread=-0.1}",
    "data.source.marginals={min_length=4}",
    "data.source.marginals={max_length=4}",
    "data.source.marginals={duration=13.0}",
    "data.source.marginals={duration_spread=6.0}",
    "data.source.marginals={popularity_exponent=4.0}",
    "data.source.marginals={watch=11.0}",
    "data.source.marginals={watch_spread=0.0}",
    "data.source.marginals={watch_duration=6.0}",
    "data.source.marginals={like=21.0}",
    "data.source.click_bait={share=2.0}",
    "data.source.click_bait={lift=-1.0}",
    "tokenize.levels=0",
    "tokenize.codes=1",
    "tokenize.codes=65537",
    "tokenize.iterations=0",
    "tokenize.collaborative.width=0",
    "tokenize.collaborative.window=0",
    "tokenize.collaborative.weight=0.0",
    "tokenize.collaborative.text_width=0",
    "tokenize.contrastive.width=1",
    "tokenize.contrastive.hidden=1",
    "tokenize.contrastive.temperature=0.0",
    "tokenize.contrastive.distillation=-1.0",
    "tokenize.contrastive.epochs=0",
    "tokenize.contrastive.batch_size=1",
    "tokenize.contrastive.learning_rate=0.0",
    "tokenize.rq_vae.hidden=[64, 0]",
    "tokenize.rq_vae.latent=0",
    "tokenize.rq_vae.commitment=-1.0",
    "tokenize.rq_vae.epochs=0",
    "tokenize.rq_vae.batch_size=0",
    "tokenize.rq_vae.learning_rate=0.0",
    "tokenize.rq_vae.weight_decay=-0.1",
    "tokenize.rq_vae.collaborative_weight=-1",
    "tokenize.rq_vae.diversity_weight=-1",
    "tokenize.rq_vae.diversity_groups=0",
    "model.d_model=4",
    "model.num_heads=0",
    "model.d_kv=1",
    "model.d_ff=0",
    "model.encoder_layers=0",
    "model.decoder_layers=65",
    "model.dropout=1.0",
    "model.user_buckets=10000001",
    "model.item_dropout=1.0",
    "model.attention_bias=time",
    "model.dropout=nan",
    "pretrain.encoding=shared",
    "pretrain.sessions.items=0",
    "pretrain.sessions.gap=0",
    "pretrain.sessions.watched={signal='watched', above=inf}",
    "pretrain.history_items=0",
    "pretrain.batch_size=0",
    "pretrain.epochs=0",
    "pretrain.learning_rate=0.0",
    "pretrain.max_cpu_minutes=-1",
    "pretrain.ema_decay=1",
    "pretrain.label_smoothing=0.9",
    "pretrain.learning_rate=1.5",
    "pretrain.weight_decay=-0.1",
    "pretrain.max_grad_norm=inf",
    "pretrain.validation_users=0",
    "pretrain.evaluate_every=0",
    "pretrain.patience=0",
    "pretrain.checkpoint_every=0",
    "reward.width=1",
    "reward.session_items=0",
    "reward.history_items=0",
    "reward.negatives=0",
    "reward.epochs=0",
    "reward.batch_size=0",
    "reward.learning_rate=-1.0",
    "reward.evaluation_share=1.0",
    "sample.users=0",
    "sample.beam_width=1",
    "sample.min_margin=-1.0",
    "sample.later=1001",
    "sample.method={kind='diverse-beam', groups=1}",
    "sample.method={kind='diverse-beam', penalty=-1.0}",
    "sample.method={kind='sample', temperature=0.0}",
    "sample.method={kind='sample', top_k=0}",
    "sample.method={kind='sample', top_p=1.5}",
    "sample.method={kind='gumbel-top-k', temperature=-1.0}",
    "align.rounds=0",
    "align.batch_size=0",
    "align.epochs=0",
    "align.learning_rate=0",
    "align.max_grad_norm=0",
    "align.arms=[]",
    "align.sample_every=0",
    "align.alarms.kl={limit=0.0}",
    "align.alarms.grad_norm={limit=inf, then='stop'}",
    "align.sample_every=2",
    "align.arms=[{name='a', objective={kind='ipa'}, reference={kind='ema', decay=1.0}}]",
    "align.arms=[{name='a', objective={kind='s-dpo'}, pairs={negatives=0}}]",
    "align.arms=[{name='a', objective={kind='dpo'}, pairs={negatives=2}}]",
    "align.arms=[{name='a', objective={kind='dpo'}, pairs={max_disagreement=2.0}}]",
    "align.arms=[{name='a', objective={kind='grpo'}, imported='a.jsonl'}]",
    "align.arms=[{name='a', objective={kind='dpo'}, imported='a.jsonl', pairs={contrast='hard'}}]",
    "evaluate.beam_width=0",
    "evaluate.cutoffs=[]",
    "evaluate.cutoffs=[10, 5]",
    "evaluate.judged_items=0",
    "evaluate.resamples=1",
    "evaluate.min_consistency=1.0",
    "evaluate.min_consistency=nan",
    "evaluate.cutoffs=[51]",
    "evaluate.judged_items=51",
    "evaluate.scaling=[0, 4]",
    "evaluate.scaling=[4, 4]",
    "evaluate.scaling=[4, 2048]",
    "evaluate.scaling_users=9",
];

#[test]
fn every_range_rejects_a_value_outside_of_it() {
    for set in OUT_OF_RANGE {
        let key = set.split('=').next().unwrap();
        let found = problems(MINIMAL, &[set]);
        let named = found.iter().find(|problem| problem.key.starts_with(key));
        let named = named.unwrap_or_else(|| panic!("{set}: {found:?}"));
        assert_eq!(named.location.as_deref(), Some("--set"), "{set}: {found:?}");
    }
}

#[test]
fn every_range_of_an_objective_rejects_a_value_outside_of_it() {
    for (kind, set) in [
        ("ipa", "beta=0"),
        ("ipa", "lambda=-1"),
        ("ipa", "dpo_share=0"),
        ("grpo", "clip_low=1"),
        ("grpo", "clip_high=-0.1"),
        ("grpo", "kl_weight=nan"),
        ("grpo", "surrogate={kind='dual-clip', bound=1.1}"),
        ("grpo", "surrogate={kind='two-sided', bound=inf}"),
        ("grpo", "surrogate={kind='cispo', bound=0.0}"),
        ("grpo", "surrogate={kind='sapo', positive=0.0}"),
        ("grpo", "surrogate={kind='ecpo', delta=0.0}"),
        ("grpo", "reward={kind='msra', later=0, discount=1.5}"),
        ("dpo", "beta=0"),
        ("dpo", "tau=0"),
        ("dpo", "alpha=inf"),
        ("dpo", "label_smoothing=0.5"),
        ("dpo", "loss=exo-pair"),
        ("s-dpo", "beta=-1"),
        ("cpo", "nll_weight=-1"),
        ("simpo", "gamma=-1"),
        ("orpo", "beta=-1"),
        ("ntp", "further=5000"),
        ("duration-aware", "top_share=1.0"),
        ("format", "drawn=0"),
        ("format", "selected=1000"),
    ] {
        let arms = format!("align.arms=[{{name='a', objective={{kind='{kind}'}}}}]");
        let found = problems(MINIMAL, &[&arms, &format!("align.arms.0.objective.{set}")]);
        let key = match set {
            "loss=exo-pair" => "align.arms.0.objective.label_smoothing".into(),
            _ => format!("align.arms.0.objective.{}", set.split('=').next().unwrap()),
        };
        assert!(found[0].key.starts_with(&key), "{set}: {found:?}");
    }
}

#[test]
fn rewards_look_no_further_than_sampling_leaves_and_pruning_is_of_single_items() {
    let arms = "align.arms=[{name='a', objective={kind='sum', terms=[{objective={kind='grpo', reward={kind='msra', later=3}}}]}}]";
    let found = problems(MINIMAL, &[arms, "sample.later=2"]);
    assert!(found.len() == 1 && found[0].message.contains("set `sample.later` = 3"), "{found:?}");
    load_with(MINIMAL, &[arms, "sample.later=3"]).unwrap();
    let found = problems(MINIMAL, &["evaluate.min_consistency=0.1", "pretrain.sessions.items=2"]);
    assert!(found.len() == 1 && found[0].key == "evaluate.min_consistency", "{found:?}");
    let plain = load_with(MINIMAL, &["sample.later=0", "evaluate.min_consistency=0"]).unwrap().to_toml();
    assert!(!plain.contains("later") && !plain.contains("min_consistency"), "{plain}");
}

#[test]
fn unknown_keys_and_words_inside_objectives_are_refused_with_a_suggestion() {
    for (arm, expected) in [
        ("objective={kind='dpo', los='hinge'}", "did you mean `loss`?"),
        ("objective={kind='dpo', loss='hing'}", "did you mean \"hinge\"?"),
        (
            "objective={kind='sum', terms=[{objective={kind='grpo', agregation='tokens'}}]}",
            "did you mean `aggregation`?",
        ),
        ("objective={kind='dpo'}, pairs={contrast='self-pla'}", "did you mean \"self-play\"?"),
        ("objective={kind='dpo', loss='bco-pair', divergence='js'}", "defined for \"reverse-kl\" only"),
    ] {
        let found = problems(MINIMAL, &[&format!("align.arms=[{{name='a', {arm}}}]")]);
        assert!(found.iter().any(|problem| problem.message.contains(expected)), "{arm}: {found:?}");
    }
}

/// Defaults of newer keys are not written into the resolved file; that must not make them unknown.
#[test]
fn a_default_may_be_written_down_but_nothing_beside_it() {
    let arm = "name='a', objective={kind='grpo', surrogate={kind='clip'}, level='token', kl='k3', kl_in='loss'}, \
               pairs={contrast='best-worst', negatives=1}, reference={kind='round'}";
    let arms = format!("align.arms=[{{{arm}}}]");
    let sets = [arms.as_str(), "sample.method={kind='beam'}", "align.sample_every=1"];
    let config = load_with(MINIMAL, &sets).unwrap();
    assert!(!config.to_toml().contains("surrogate") && !config.to_toml().contains("method"));
    let found = problems(MINIMAL, &["sample.method={kind='beam', groups=3}"]);
    assert_eq!(
        found.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(),
        ["sample.method.groups"]
    );
}

#[test]
fn a_world_needs_as_many_items_as_a_level_has_codes() {
    let found = problems(MINIMAL, &["data.source.items=200"]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].message.contains("`tokenize.codes` = 256") && found[0].message.contains("200"),
        "{found:?}"
    );
}

#[test]
fn what_a_policy_reads_and_writes_must_suit_its_architecture() {
    let refused = |sets: &[&str], key: &str| {
        let found = problems(MINIMAL, sets);
        assert!(found.len() == 1 && found[0].key == key, "{sets:?}: {found:?}");
    };
    let items = "model.architecture=item-context";
    refused(&[items, "model.attention_bias=position-and-time"], "model.attention_bias");
    refused(&[items, "model.encoder_input=two-branches"], "model.encoder_input");
    refused(&[items, "model.item_dropout=0.5"], "model.item_dropout");
    refused(&[items, "model.code_decoder=parallel", "pretrain.sessions.items=2"], "pretrain.sessions");
    let good = [items, "model.context_block=hstu", "model.attention_bias=time", "pretrain.sessions.gap=60"];
    let config = load_with(MINIMAL, &good).unwrap();
    assert_eq!((config.pretrain.session_items(), config.model.user_buckets), (5, 0));
}

#[test]
fn sinkhorn_needs_codes_that_are_fitted_to_vectors() {
    let sets = ["tokenize.quantizer=sequential", "tokenize.collisions=sinkhorn"];
    let found = problems(MINIMAL, &sets);
    assert_eq!(found.iter().map(|problem| problem.key.as_str()).collect::<Vec<_>>(), ["tokenize.collisions"]);
    assert!(load_with(MINIMAL, &["tokenize.quantizer=rq-vae", sets[1]]).is_ok());
}

#[test]
fn trees_need_two_levels_and_sets_may_have_many() {
    for quantizer in ["collaborative", "semantic", "hybrid"] {
        let sets = [&format!("tokenize.quantizer={quantizer}") as &str, "tokenize.levels=1"];
        assert_eq!(problems(MINIMAL, &sets)[0].key, "tokenize.levels");
    }
    assert!(load_with(MINIMAL, &["tokenize.quantizer=optimized-product", "tokenize.levels=32"]).is_ok());
    assert_eq!(problems(MINIMAL, &["tokenize.levels=32"])[0].key, "tokenize.levels");
}

#[test]
fn quantisers_that_only_number_items_may_have_more_codes_than_items() {
    let sets = ["tokenize.quantizer=random", "data.source.items=200", "tokenize.codes=256"];
    assert!(load_with(MINIMAL, &sets).is_ok());
}

#[test]
fn two_arms_may_not_share_a_name() {
    let arm = "{name='a', objective={kind='ipa'}}";
    let found = problems(MINIMAL, &[&format!("align.arms=[{arm}, {arm}]")]);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "align.arms.1.name");
}

#[test]
fn a_log_needs_a_path_and_the_message_says_how_to_give_it() {
    let text = "version = 1\n[run]\nname = 'a'\n[data]\nsource = { kind = 's3rec', file = 'a.txt' }\n";
    let found = problems(text, &[]);
    assert_eq!(found.len(), 1);
    assert!(found[0].message.contains("--set data.path=DIR"), "{found:?}");
}

#[test]
fn a_feedback_column_with_a_name_of_the_runs_own_log_is_named_before_anything_is_read() {
    let source = |feedback: &str| {
        let columns = format!("columns={{user='u', item='i', feedback=['like', '{feedback}']}}");
        format!("data.source={{kind='csv', file='seen.csv', {columns}}}")
    };
    for name in ["user", "item", "position", "timestamp"] {
        let found = problems(MINIMAL, &[&source(name), "data.path=d"]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].key, "data.source.columns.feedback");
        let expected = format!("the column `{name}` of seen.csv");
        assert!(
            found[0].message.contains(&expected) && found[0].message.contains("rename it in the file"),
            "{found:?}"
        );
    }
    load_with(MINIMAL, &[&source("place"), "data.path=d"]).unwrap();
}

#[test]
fn columns_must_be_named_once() {
    let source =
        "data.source={kind='csv', file='a', separator=';', columns={user='u', item='u', feedback=['']}}";
    let keys: Vec<_> =
        problems(MINIMAL, &[source, "data.path=."]).into_iter().map(|problem| problem.key).collect();
    assert_eq!(keys, ["data.source.columns.item", "data.source.columns.feedback"]);
    let source = "data.source={kind='csv', file='a', separator='ab', columns={user='u', item='i'}}";
    assert_eq!(problems(MINIMAL, &[source, "data.path=."])[0].key, "data.source.separator");
}

#[test]
fn an_unknown_key_is_refused_at_every_level() {
    for key in [
        "sedd",
        "run.sedd",
        "data.sedd",
        "data.source.sedd",
        "data.source.feed.sedd",
        "data.source.marginals.seed",
        "data.embeddings.sedd",
        "tokenize.sedd",
        "tokenize.collaborative.sedd",
        "tokenize.contrastive.sedd",
        "model.sedd",
        "pretrain.sedd",
        "reward.sedd",
        "reward.fusion.sedd",
        "sample.sedd",
        "align.sedd",
        "align.arms.0.sedd",
        "align.arms.0.objective.sedd",
        "evaluate.sedd",
    ] {
        let text = format!(
            "{MINIMAL}embeddings = {{ kind = 'auto' }}\n[reward]\nfusion = {{ kind = 'product' }}\n\
             [align]\narms = [{{ name = 'a', objective = {{ kind = 'grpo' }} }}]\n"
        );
        let found = problems(&text, &[&format!("{key}=1")]);
        assert_eq!(found.len(), 1, "{key}: {found:?}");
        assert_eq!(found[0].key, key);
        assert!(found[0].message.contains("unknown key"), "{found:?}");
    }
}

#[test]
fn a_key_of_another_variant_is_refused() {
    let found = problems(MINIMAL, &["data.source.file=a"]);
    assert_eq!(found[0].key, "data.source.file");
    let arms = "align.arms=[{name='a', objective={kind='grpo', beta=0.1}}]";
    assert_eq!(problems(MINIMAL, &[arms])[0].key, "align.arms.0.objective.beta");
}

/// Fingerprints of stages hash the section: mechanisms that are off must not show in it, nor change it when written out.
#[test]
fn a_plain_world_is_written_as_ever() {
    let plain = load_with(MINIMAL, &[]).unwrap();
    let expected = serde_json::json!({ "kind": "world", "users": 100, "items": 300, "seed": 1 });
    assert_eq!(serde_json::to_value(&plain.data.source).unwrap(), expected);
    let spelled = load_with(MINIMAL, &["data.source.marginals.like=-3.2", "data.source.exposure={}"]);
    assert_eq!(spelled.unwrap(), plain);
}

/// Inside the tagged source serde forgets the keys; messages must not.
#[test]
fn mistakes_inside_the_mechanisms_of_a_world_are_located() {
    for (set, key) in [
        ("data.source.feed={slate='x'}", "data.source.feed.slate"),
        ("data.source.feed=7", "data.source.feed"),
        ("data.source.signals=ful", "data.source.signals"),
        ("data.source.click_bait={share=[]}", "data.source.click_bait.share"),
    ] {
        let found = problems(MINIMAL, &[set]);
        let keys: Vec<_> = found.iter().map(|problem| problem.key.as_str()).collect();
        assert_eq!(keys, [key], "{found:?}");
    }
}

#[test]
fn ranges_are_not_judged_where_the_value_was_not_understood() {
    let found = problems(MINIMAL, &["evaluate.beam_width=wide", "evaluate.judged_items=51"]);
    assert_eq!(found.len(), 1, "51 may be right once the width is: {found:?}");
    assert_eq!(found[0].key, "evaluate.beam_width");
}

#[test]
fn keys_of_judges_that_contradict_each_other_are_named() {
    let (_dir, path) = experiment(&format!(
        "{MINIMAL}[reward]\nwatch_time = 'generative'\nheld_out_architecture = 'p-score'\nlabel_noise = [0.9]\n\
         watch_baseline = 'generative'\n\
         fusion = {{ kind = 'pareto' }}\n"
    ));
    let (code, _, stderr) = outcome(&["run", path.to_str().unwrap(), "--dry-run"]);
    assert_eq!(code, 2);
    for part in [
        "`reward.watch_time` is a head of point-wise judges",
        "`reward.watch_baseline` is compared with `reward.watch_time`, which must be another one",
        "`reward.label_noise.0` = 0.9",
        "must be a weighted-sum",
    ] {
        assert!(stderr.contains(part), "{part}:\n{stderr}");
    }
}

#[test]
fn a_metric_judge_has_no_towers_and_corrects_no_propensities() {
    let found = problems(
        MINIMAL,
        &["reward.architecture=metric", "reward.watch_time=ordinal", "reward.propensity=shown"],
    );
    let keys: Vec<_> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["reward.watch_time", "reward.propensity"], "{found:?}");
    assert!(problems(MINIMAL, &["reward.architecture=metrics"])[0].message.contains("metric"));
}

#[test]
fn a_key_with_its_default_value_is_known_and_left_out_of_the_resolved_file() {
    let (_dir, path) =
        experiment(&format!("{MINIMAL}[reward]\narchitecture = 'session'\nlabel_noise = []\n"));
    let (code, stdout, stderr) = outcome(&["run", path.to_str().unwrap(), "--dry-run"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(!stdout.contains("label_noise") && !stdout.contains("architecture = \"session\""), "{stdout}");
}
