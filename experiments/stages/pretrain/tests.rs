use super::*;
use crate::config::Config;
use crate::device::DeviceChoice;
use crate::run::{Resume, Run};
use policy::catalog::Catalog;
use policy::ids::SemanticId;

const CONFIG: &str = r#"
version = 1
[run]
name = "rollback"
[data]
source = { kind = "world", users = 30, items = 40, seed = 1 }
[tokenize]
codes = 8
[model]
d_model = 16
num_heads = 2
d_kv = 8
d_ff = 16
encoder_layers = 1
decoder_layers = 1
[pretrain]
batch_size = 16
rollbacks = 1
"#;

fn fixture() -> (tempfile::TempDir, Config, Dataset, Codebook) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("experiment.toml");
    std::fs::write(&path, CONFIG).unwrap();
    let config = crate::config::load(&path, &[]).unwrap();
    let (dataset, _) = crate::data::build(&config.data).unwrap();
    let ids = (0..dataset.items.len() as u32).map(|item| SemanticId::new([item / 8, item % 8])).collect();
    let codebook = Codebook::new(Catalog::new(ids, vec![8, 8]).unwrap());
    (dir, config, dataset, codebook)
}

#[test]
fn a_number_that_is_not_finite_sends_training_back_to_its_checkpoint_as_often_as_allowed() {
    let (dir, config, dataset, codebook) = fixture();
    let run = Run::open(&dir.path().join("run"), &config, DeviceChoice::Cpu, Resume::Auto).unwrap();
    let work = |ctx: &StageContext| {
        let size = policy_config(&config.model, &codebook);
        let section = &config.pretrain;
        let (dataset, codebook) = (&dataset, &codebook);
        let rule = Rule::point_wise();
        let trainer = Trainer { section, rule, dataset, codebook, ctx, dropout: 0.0, size: &size };
        let (plan, batches) = (trainer.plan(), trainer.epoch(0));
        let step = |training, at: usize| trainer.step(training, (&dataset.log, &batches[at]), &plan);
        let mut training = step(step(trainer.begin(None)?, 0)?, 1)?;
        trainer.save(&mut training)?;
        let saved = checkpoint::fingerprint(&training.learner.weights);
        let training = step(training, 2)?;
        assert_ne!(checkpoint::fingerprint(&training.learner.weights), saved);

        let failure = || anyhow::Error::from(NonFinite::Loss(f64::NAN)).context("step 3");
        let back = trainer.roll_back(0, failure())?;
        assert_eq!((back.state.step, back.state.rollbacks), (2, 1));
        assert_eq!(checkpoint::fingerprint(&back.learner.weights), saved);
        assert!(trainer.roll_back(1, failure()).is_err_and(|error| error.is::<NonFinite>()));
        assert!(trainer.roll_back(0, anyhow::anyhow!("something else")).is_err());
        let resumed = trainer.begin(ctx.resume()?.as_ref())?;
        assert_eq!((resumed.state.step, resumed.state.rollbacks), (2, 1), "a kill does not undo it");

        // The step after it is taken with half the rate.
        step(back, 2).map(drop)
    };
    let output = run.stage("pretrain", &1, &[], work).unwrap();
    let rows = std::fs::read_to_string(output.dir.join("metrics.jsonl")).unwrap();
    assert!(rows.contains(r#""step":2,"key":"rollbacks","value":1.0"#), "{rows}");
    let rates: Vec<f64> = rows
        .lines()
        .map(|row| serde_json::from_str::<reports::schema::MetricRow>(row).unwrap())
        .filter(|row| row.key == "learning_rate")
        .map(|row| row.value)
        .collect();
    assert_eq!(rates.len(), 3, "the step that was undone left no rows: {rows}");
    assert!((rates[2] / rates[1] - 0.75).abs() < 1e-9, "warm-up would have made it 1.5 times the one before");
}

#[test]
fn a_budget_of_tokens_is_one_of_steps() {
    let (dir, config, dataset, codebook) = fixture();
    let run = Run::open(&dir.path().join("run"), &config, DeviceChoice::Cpu, Resume::Auto).unwrap();
    let work = |ctx: &StageContext| {
        let size = policy_config(&config.model, &codebook);
        let (dataset, codebook) = (&dataset, &codebook);
        let planned = |max_tokens: u64| {
            let section = &Pretrain { max_tokens, ..config.pretrain.clone() };
            let rule = Rule::point_wise();
            let trainer = Trainer { section, rule, dataset, codebook, ctx, dropout: 0.0, size: &size };
            let batches = trainer.epoch(0);
            let targets: usize = batches.iter().flatten().map(|reading| reading.targets.len()).sum();
            // Two codes per target.
            (trainer.plan().total, batches.len() as u64, 2 * targets as u64)
        };
        let (all, steps, tokens) = planned(0);
        assert_eq!(all, steps * config.pretrain.epochs as u64);
        assert_eq!(planned(2 * tokens).0, 2 * steps);
        assert_eq!((planned(1).0, planned(1000 * tokens).0), (1, all));
        Ok(())
    };
    run.stage("pretrain", &1, &[], work).unwrap();
}
