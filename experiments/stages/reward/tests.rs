use super::*;
use crate::config::{Config, Source as DataSource, load as load_config};
use crate::data;
use crate::device::DeviceChoice;
use crate::run::{Resume, Run};
use policy::ids::ItemId;
use policy::random::Key;
use reports::schema::JudgeReport;
use reward::judge::{Judge as _, Request};
use std::collections::BTreeSet;
use std::path::PathBuf;

const CONFIG: &str = r#"
version = 1
[run]
name = "judges"
[data]
source = { kind = "world", users = 60, items = 40, seed = 1 }
[tokenize]
codes = 8
[reward]
width = 8
epochs = 2
item_features = "embeddings-and-attributes"
"#;

struct Fixture {
    dir: tempfile::TempDir,
    config: Config,
    dataset: Dataset,
}

impl Fixture {
    fn new() -> Self {
        Self::with(&[])
    }
    /// With other settings.
    fn with(settings: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("judges.toml");
        std::fs::write(&path, CONFIG).unwrap();
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let config = load_config(&path, &settings).unwrap();
        let (dataset, _) = data::build(&config.data).unwrap();
        Self { dir, config, dataset }
    }
    /// Trains the judges in a run directory of this name; where their files are.
    fn train(&self, name: &str) -> PathBuf {
        let run =
            Run::open(&self.dir.path().join(name), &self.config, DeviceChoice::Cpu, Resume::Auto).unwrap();
        let section = &self.config.reward;
        let DataSource::World(world) = &self.config.data.source else { panic!("the fixture is a world") };
        run.stage("reward", section, &[], |stage| reward(section, (&self.dataset, Some(world)), stage))
            .unwrap()
            .dir
    }
}

fn problem(dir: &Path, dataset: &Dataset) -> String {
    format!("{:#}", load(dir, dataset, &Device::flex()).unwrap_err())
}

#[test]
fn no_user_has_two_roles_and_every_user_has_one() {
    let users: Vec<UserId> = (0..101).map(UserId::new).collect();
    let split = JudgeSplit::draw(users.clone(), 0.2, Key::new(1)).unwrap();
    assert_eq!([split.evaluation.len(), split.proxy.len(), split.held_out.len()], [20, 41, 40]);
    let all: BTreeSet<UserId> =
        [&split.evaluation, &split.proxy, &split.held_out].into_iter().flatten().copied().collect();
    assert_eq!(all.into_iter().collect::<Vec<_>>(), users);
    assert_ne!(split, JudgeSplit::draw(users, 0.2, Key::new(2)).unwrap());
}

#[test]
fn every_role_is_filled_or_the_log_is_refused() {
    let split = |count, share| JudgeSplit::draw((0..count).map(UserId::new).collect(), share, Key::new(1));
    for share in [0.01, 0.99] {
        let split = split(3, share).unwrap();
        assert_eq!([split.evaluation.len(), split.proxy.len(), split.held_out.len()], [1, 1, 1]);
    }
    assert!(split(2, 0.2).unwrap_err().to_string().contains("at least 3 users, the data has 2"));
}

#[test]
fn the_same_seed_gives_the_same_judges_and_they_score_after_loading() {
    let fixture = Fixture::new();
    let (first, second) = (fixture.train("first"), fixture.train("second"));
    let files = [
        "proxy.safetensors",
        "held-out.safetensors",
        "config.json",
        "split.json",
        "judges.json",
        "metrics.jsonl",
    ];
    for file in files {
        assert_eq!(
            std::fs::read(first.join(file)).unwrap(),
            std::fs::read(second.join(file)).unwrap(),
            "{file}"
        );
    }
    let judges = load(&first, &fixture.dataset, &Device::flex()).unwrap();
    assert_eq!(judges.proxy.heads(), ["swt", "vtr", "wtr", "ltr"]);
    let candidates: Vec<ItemId> = (0..40).map(ItemId::new).collect();
    let fused = |judge: &ModelJudge| -> Vec<f32> {
        let request = Request { user: judges.split.evaluation[0], known: 4, candidates: &candidates };
        judge.score(&[request])[0].iter().map(|score| score.fused).collect()
    };
    let (proxy, held_out) = (fused(&judges.proxy), fused(&judges.held_out));
    assert!(proxy.iter().all(|score| score.is_finite()) && proxy != held_out);

    let report: JudgeReport = read_json(&first.join("judges.json")).unwrap();
    assert_eq!(report.judges.iter().map(|judge| judge.name.as_str()).collect::<Vec<_>>(), [PROXY, HELD_OUT]);
    assert_eq!(report.judges[0].eval_users, 12);
    assert!(report.agreement.is_some());
    let metrics = std::fs::read_to_string(first.join("metrics.jsonl")).unwrap();
    for key in ["proxy/loss", "held-out/loss", "proxy/grad_norm", "held-out/learning_rate"] {
        assert!(metrics.contains(&format!("\"{key}\"")), "{key} was not measured");
    }
}

#[test]
fn damage_and_other_data_are_named() {
    let fixture = Fixture::new();
    let dir = fixture.train("run");
    let mut other = fixture.dataset.clone();
    other.log.signals[0] = "stars".into();
    assert!(problem(&dir, &other).contains("trained on the feedback columns [watch_ratio, "));
    let mut narrow = fixture.dataset.clone();
    narrow.attributes = None;
    assert!(problem(&dir, &narrow).contains("this data has none"));

    let weights = dir.join("held-out.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let found = problem(&dir, &fixture.dataset);
    assert!(found.contains("held-out.safetensors: not a complete safetensors file"), "{found}");
    std::fs::remove_file(&weights).unwrap();
    assert!(problem(&dir, &fixture.dataset).contains("cannot read"));
}

#[test]
fn every_instrument_reports_and_every_judge_is_loaded_again() {
    let fixture = Fixture::with(&[
        "reward.architecture=p-score",
        "reward.held_out_architecture=towers",
        "reward.ensemble=2",
        "reward.watch_time=generative",
        "reward.watch_baseline=regression",
        "reward.watch_label=duration-aware",
        "reward.resamples=50",
        "reward.learning_curve=[0.5]",
        "reward.label_noise=[0.3]",
    ]);
    let dir = fixture.train("run");
    let report: JudgeReport = read_json(&dir.join("judges.json")).unwrap();
    let names: Vec<_> = report.judges.iter().map(|judge| judge.name.as_str()).collect();
    assert_eq!(names, [PROXY, HELD_OUT, "ensemble-1", "ensemble-2"]);
    assert!(
        report.judges[0].fusion.starts_with("p-score") && report.judges[1].fusion.starts_with("weighted")
    );
    for judge in &report.judges {
        let watch = judge.watch_time.as_ref().unwrap();
        assert!(watch.mae.low <= watch.mae.value && watch.mae.value <= watch.mae.high, "{watch:?}");
        for head in judge.heads.iter().filter(|head| head.auc.is_some()) {
            let auc = head.intervals["auc"];
            assert!((auc.value - head.auc.unwrap()).abs() < 1e-12 && auc.low < auc.high, "{head:?}");
            assert!((head.intervals["ece"].value - head.ece).abs() < 1e-9);
            assert!(head.intervals.contains_key("ndcg"), "{head:?}");
        }
    }
    let baseline = report.watch_baseline.as_ref().unwrap();
    let (theirs, own) = (&baseline.quality, report.judges[0].watch_time.as_ref().unwrap());
    assert_eq!([theirs.kind.as_str(), own.kind.as_str()], ["regression", "generative"]);
    assert!((theirs.mae.value - own.mae.value - baseline.mae_gain.value).abs() < 1e-9);
    let xauc_gain = own.xauc.unwrap().value - theirs.xauc.unwrap().value;
    assert!((xauc_gain - baseline.xauc_gain.unwrap().value).abs() < 1e-9);
    let width = |estimate: reports::schema::Estimate| estimate.high - estimate.low;
    assert!(width(baseline.mae_gain) < width(theirs.mae) + width(own.mae), "{baseline:?} {own:?}");
    assert!(report.disagreement.unwrap() > 0.0);
    let terms: Vec<_> = report.trials.iter().map(|trial| (trial.train_users, trial.label_noise)).collect();
    assert_eq!(terms, [(12, 0.0), (24, 0.3)]);
    assert_eq!(report.drift.len(), 5);
    assert!(report.drift.windows(2).all(|pair| pair[0].distance < pair[1].distance));
    assert!(report.drift.iter().all(|step| step.scores.len() == 3 && step.disagreement.is_some()));

    let judges = load(&dir, &fixture.dataset, &Device::flex()).unwrap();
    assert_eq!(judges.ensemble.unwrap().members().len(), 2);
    let metrics = std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    for line in metrics.lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        let key = row["key"].as_str().unwrap();
        assert!(reports::glossary::lookup(key).is_some(), "{key} is not in the glossary");
    }
}

#[test]
fn judges_of_a_world_are_compared_with_what_could_be_known() {
    let fixture = Fixture::with(&[
        "reward.architecture=towers",
        "reward.item_identity=learned",
        "reward.attainable=measured",
        "reward.inferred_users=3",
        "reward.resamples=20",
        "reward.learning_curve=[0.5]",
    ]);
    let report: JudgeReport = read_json(&fixture.train("run").join("judges.json")).unwrap();
    assert_eq!(report.attainable.len(), 4);
    for head in &report.inferred {
        assert!(
            head.users == 3 && (head.auc.value - head.proxy.value - head.gap.value).abs() < 1e-9,
            "{head:?}"
        );
    }
    assert_eq!(report.inferred.len(), 4);
    for (best, head) in report.attainable.iter().zip(&report.judges[0].heads) {
        let (own, gap) = (head.intervals["expected_auc"].value, head.intervals["auc_gap"].value);
        let expected = best.expected_auc.unwrap();
        assert!(gap > 0.0 && (expected - own - gap).abs() < 1e-9, "{best:?} {head:?}");
        assert!(report.trials[0].heads.iter().all(|trial| trial.expected_auc.unwrap() < 1.0));
    }
}

#[test]
fn without_the_instruments_the_files_are_as_they_were_before_there_were_any() {
    let fixture = Fixture::new();
    let dir = fixture.train("run");
    let keys = |file: &str| -> Vec<String> {
        let value: serde_json::Value = read_json(&dir.join(file)).unwrap();
        value.as_object().unwrap().keys().cloned().collect()
    };
    assert_eq!(keys("judges.json"), ["agreement", "judges"]);
    assert_eq!(keys("config.json"), ["context", "fusion", "width"]);
}
