//! Every alarm in a whole run: a failure planted by configuration alone raises it with its named cause, the quiet run raises none.
//!
//! `truth` has its own world with a planted flaw in `gauge`, and what alarms do (stop, lower the step) is in `objectives`.

use crate::support::{copy_tree, experiment, metrics, outcome};
use recalign::config;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A world and a policy that take seconds, and a limit for every alarm that a healthy round stays within.
const CONFIG: &str = "\
version = 1
[run]
name = 'alarms'
[data]
source = { kind = 'world', users = 160, items = 120, seed = 1 }
[tokenize]
levels = 2
codes = 16
[model]
d_model = 32
num_heads = 2
d_kv = 16
d_ff = 64
encoder_layers = 1
decoder_layers = 1
[pretrain]
history_items = 6
batch_size = 64
epochs = 30
learning_rate = 1e-2
warmup_steps = 10
validation_users = 40
evaluate_every = 10
[reward]
width = 16
epochs = 4
batch_size = 32
learning_rate = 3e-3
evaluation_share = 0.5
[sample]
users = 64
beam_width = 8
[align]
rounds = 1
batch_size = 16
epochs = 2
learning_rate = 1e-4
arms = [{ name = 'a', objective = { kind = 'sum', terms = [{ objective = { kind = 'grpo' } }, { objective = { kind = 'dpo' } }] } }]
[align.alarms]
goodhart = { limit = 1.96 }
truth = { limit = 1.96 }
divergence = { limit = 0.5 }
entropy = { limit = 0.7 }
legality = { limit = 0.7 }
distinct = { limit = 0.03 }
head_share = { limit = 0.1 }
stale = { limit = 0.2 }
agreement = { limit = 0.3 }
kl = { limit = 1.0 }
chosen_decline = { limit = 1.5 }
grad_norm = { limit = 5.0 }
zero_variance = { limit = 0.5 }
[evaluate]
users = 20
beam_width = 10
cutoffs = [5]
judged_items = 5
resamples = 10
";

/// An alarm and part of the cause it names.
type Expected = (&'static str, &'static str);

/// A failure: the arm's objective, further settings, what is raised.
struct Planted {
    failure: &'static str,
    objective: &'static str,
    sets: &'static [&'static str],
    raised: &'static [Expected],
}

/// Many large steps on the same pairs.
const BY_HEART: &[&str] = &["align.learning_rate=0.01", "align.epochs=6"];

const PLANTED: [Planted; 8] = [
    Planted {
        failure: "steps far too large",
        objective: "{ kind = 'grpo', kl_weight = 0.0 }",
        sets: &["align.learning_rate=0.1"],
        raised: &[
            ("kl", "the policy left its reference"),
            ("divergence", "far from the pretrained one"),
            ("distinct", "users are shown the same items"),
        ],
    },
    Planted {
        failure: "pairs learnt by heart, with nothing that holds the vocabulary",
        objective: "{ kind = 'dpo' }",
        sets: BY_HEART,
        raised: &[
            ("legality", "squeezes probability out of the catalog"),
            ("entropy", "the policy stops exploring"),
            ("agreement", "unlike what they were trained on"),
        ],
    },
    Planted {
        failure: "a loss that pushes both sides of a pair down",
        objective: "{ kind = 'dpo', loss = 'apo-down', beta = 1.0 }",
        sets: &["align.learning_rate=0.01", "align.epochs=4"],
        raised: &[("chosen_decline", "takes probability from the preferred items too")],
    },
    Planted {
        failure: "a loss five hundred times as steep as usual",
        objective: "{ kind = 'dpo', beta = 50.0 }",
        sets: &[],
        raised: &[("grad_norm", "the update is about to diverge")],
    },
    Planted {
        failure: "draws so cold that a user's candidates are all one item",
        objective: "{ kind = 'grpo' }",
        sets: &["sample.method={ kind = 'sample', temperature = 1e-3 }"],
        raised: &[("zero_variance", "cannot tell a user's candidates apart")],
    },
    Planted {
        failure: "candidates of the round before",
        objective: "{ kind = 'grpo', kl_weight = 0.0 }",
        sets: &["align.learning_rate=0.1", "align.rounds=2", "align.sample_every=2", "align.stale=weights"],
        raised: &[("stale", "of another policy than the one that learns")],
    },
    Planted {
        // Of this seed, they disagree.
        failure: "judges that have learnt nothing",
        objective: "{ kind = 'grpo', kl_weight = 0.0 }",
        sets: &["run.seed=3", "reward.epochs=1", "reward.learning_rate=1e-6", "align.learning_rate=0.02"],
        raised: &[("goodhart", "the proxy is being exploited")],
    },
    Planted {
        failure: "next tokens from a policy that knows nothing, which learns what is popular first",
        objective: "{ kind = 'ntp', further = 4 }",
        sets: &["pretrain.max_steps=1", "align.learning_rate=0.03", "align.epochs=8"],
        raised: &[("head_share", "exposure moves to popular items")],
    },
];

/// What the alarm `legality` recommends, against the failure of [`BY_HEART`].
const REMEDIED: &str = "align.arms=[{ name = 'a', objective = { kind = 'sum', terms = [{ objective = { kind = 'dpo' } }, \
                        { objective = { kind = 'ntp', further = 2 } }] } }]";

/// Aligns one arm in a copy of the stages before; what the program says.
fn aligned(base: &Path, run: &Path, sets: &[&str]) -> String {
    copy_tree(base, run);
    let config = base.with_file_name("experiment.toml");
    let last = if sets.contains(&"align.rounds=2") { "align-a-2" } else { "align-a-1" };
    let arguments = ["run", config.to_str().unwrap(), "--run-dir", run.to_str().unwrap(), "--until", last];
    let sets = sets.iter().flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> = arguments.into_iter().chain(["--allow-drift"]).chain(sets).collect();
    let (code, _, log) = outcome(&arguments);
    assert_eq!(code, 0, "{log}");
    log
}

/// Everything before alignment.
fn prepared() -> (tempfile::TempDir, PathBuf) {
    let (dir, config) = experiment(CONFIG);
    let base = dir.path().join("base");
    let (config, run) = (config.to_str().unwrap(), base.to_str().unwrap());
    let (code, _, log) = outcome(&["run", config, "--run-dir", run, "--until", "reward"]);
    assert_eq!(code, 0, "{log}");
    (dir, base)
}

#[test]
fn every_alarm_names_the_failure_planted_for_it_and_healthy_runs_raise_none() {
    let (dir, base) = prepared();
    let remedied = [&[REMEDIED], BY_HEART].concat();
    for (name, sets) in [("healthy", &[][..]), ("remedied", &remedied)] {
        let log = aligned(&base, &dir.path().join(name), sets);
        assert!(!log.contains("alarm "), "{name}: {log}");
    }
    for (index, planted) in PLANTED.iter().enumerate() {
        let run = dir.path().join(index.to_string());
        let arm = format!("align.arms=[{{ name = 'a', objective = {} }}]", planted.objective);
        let sets: Vec<&str> = std::iter::once(arm.as_str()).chain(planted.sets.iter().copied()).collect();
        let log = aligned(&base, &run, &sets);
        planted.is_raised(&log, &run);
    }
}

#[test]
fn every_alarm_has_a_limit_in_the_healthy_run_and_a_failure_planted_for_it() {
    let (_dir, config) = experiment(CONFIG);
    let alarms = config::load(&config, &[]).unwrap().align.alarms.all();
    let planted: BTreeSet<&str> =
        PLANTED.iter().flat_map(|planted| planted.raised.iter().map(|(name, _)| *name)).collect();
    for (name, alarm) in alarms {
        assert!(alarm.is_some(), "{name} has no limit");
        assert!(planted.contains(name) || name == "truth", "nothing is planted for {name}");
    }
}

impl Planted {
    fn is_raised(&self, log: &str, run: &Path) {
        let rows = metrics(run);
        for (name, cause) in self.raised {
            let mut alarms = log.lines().filter(|line| line.contains(&format!("alarm {name} at step")));
            assert!(alarms.any(|line| line.contains(cause)), "{}: {name} is not raised\n{log}", self.failure);
            let key = format!("alarm/{name}");
            assert!(rows.iter().any(|row| row.key == key), "{}: {key} is no metric", self.failure);
        }
    }
}
