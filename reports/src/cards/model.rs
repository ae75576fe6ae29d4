//! A model card in Hugging Face's layout: YAML front matter with the results, then what the model is and is not for.

use crate::arm::{ArmStage, Phase};
use crate::config;
use crate::load::Run;
use crate::number;
use crate::schema::{Comparison, SystemResult};
use crate::verdict::{self, Change};
use std::fmt::Write as _;

/// Architectures that `transformers` loads.
const TRANSFORMERS: [&str; 2] = ["t5", "qwen3"];

/// The card of the checkpoint that `stage` wrote; `None` if it wrote none.
pub fn card(run: &Run, stage: &str) -> Option<String> {
    let written = run.stages.iter().find(|found| found.manifest.stage == stage)?;
    let weights = written.manifest.outputs.get("model.safetensors")?;
    let system = system(run, stage);
    let mut text = front_matter(run, stage, system);
    let _ = write!(text, "\n# {}, {stage}\n\n{}\n", line(&run.record.name), purpose(stage));
    let _ = write!(
        text,
        "\n- weights: `model.safetensors`, sha256 `{}`\n- written by recalign {} from seed {}, budget {}, configuration \
         sha256 `{}`\n",
        weights.sha256, run.record.version, run.record.seed, run.record.budget, run.record.config_sha256
    );
    text.push_str(&data(run));
    text.push_str(&results(run, stage, system));
    text.push_str(LIMITS);
    Some(text)
}

const LIMITS: &str = "
## Uses and limits

It recommends items of the catalogue it was trained on, as codes that the semantic IDs of the same run translate; with other
semantic IDs its output means nothing. It was evaluated offline on held-out interactions of one log: what people do when they are
shown its recommendations was not measured. Popularity and exposure biases of the log are learnt. The licence of the log decides
what the weights may be used for.
";

/// What the evaluation calls the policy of a stage: only the last round of an arm is evaluated.
fn system<'a>(run: &'a Run, stage: &str) -> Option<&'a SystemResult> {
    let systems = &run.evaluation.as_ref()?.systems;
    if stage == "pretrain" {
        return systems.iter().find(|system| system.role == "base");
    }
    let own = ArmStage::parse(stage).filter(|parsed| parsed.phase == Phase::Align)?;
    let rounds = run.stages.iter().filter_map(|found| ArmStage::parse(&found.manifest.stage));
    let last = rounds.filter(|found| found.arm == own.arm).map(|found| found.round).max()?;
    systems.iter().find(|system| own.round == last && system.role == "aligned" && system.name == own.arm)
}

fn front_matter(run: &Run, stage: &str, system: Option<&SystemResult>) -> String {
    let architecture = config::flatten(&run.config).remove("model.architecture");
    let architecture =
        architecture.map_or_else(|| "t5".to_owned(), |value| value.trim_matches('"').to_owned());
    let library = if TRANSFORMERS.contains(&architecture.as_str()) { "transformers" } else { "recalign" };
    let mut text = format!(
        "---\nlibrary_name: {library}\ntags:\n- recommendation\n- generative-recommendation\n- semantic-ids\n- {architecture}\n- recalign\n"
    );
    let metrics: Vec<_> = system.iter().flat_map(|system| reported(system)).collect();
    if let (Some(card), false) = (&run.data_card, metrics.is_empty()) {
        let name = yaml(&format!("{}-{stage}", run.record.name));
        let source = yaml(&card.source);
        let _ = write!(
            text,
            "model-index:\n- name: {name}\n  results:\n  - task:\n      type: other\n      name: next-item recommendation\n    \
             dataset:\n      type: {source}\n      name: {source}\n      split: test\n    metrics:\n"
        );
        for (key, value) in metrics {
            let _ = write!(text, "    - type: {}\n      value: {value}\n", yaml(key));
        }
    }
    text + "---\n"
}

/// Metrics over all users.
fn reported(system: &SystemResult) -> impl Iterator<Item = (&str, f64)> {
    let all = system.metrics.iter().filter(|(key, _)| crate::glossary::slice(key).is_none());
    all.map(|(key, estimate)| (key.as_str(), estimate.value))
}

fn purpose(stage: &str) -> String {
    match ArmStage::parse(stage) {
        Some(own) => format!(
            "A generative recommender after round {} of the alignment arm `{}`: it reads the items a user took and writes the \
             codes of the next one.",
            own.round,
            line(own.arm)
        ),
        None => "A generative recommender before alignment: it reads the items a user took and writes the codes of the next one."
            .to_owned(),
    }
}

fn data(run: &Run) -> String {
    let Some(card) = &run.data_card else { return String::new() };
    format!(
        "\n## Data\n\nSource {}: {} users, {} items, {} interactions after filters; ties in {} order; item vectors: {}.\n",
        line(&card.source),
        number::count(card.users),
        number::count(card.items),
        number::count(card.interactions),
        line(&card.tie_order),
        line(&card.embeddings)
    )
}

fn results(run: &Run, stage: &str, system: Option<&SystemResult>) -> String {
    let Some(system) = system else {
        return "\n## Results\n\nThis checkpoint was not evaluated.\n".to_owned();
    };
    let users = run.evaluation.as_ref().map_or(0, |evaluation| evaluation.users);
    let mut text = format!(
        "\n## Results\n\nOn {} test users (leave one out, full catalogue), mean [95 % bootstrap interval over users]; one seed.\n\n\
         | metric | value | against the pretrained policy |\n| --- | ---: | --- |\n",
        number::count(users)
    );
    let comparisons = run.evaluation.iter().flat_map(|evaluation| &evaluation.comparisons);
    let own: Vec<&Comparison> = comparisons.filter(|found| found.system == system.name).collect();
    for (key, _) in reported(system) {
        let change = own.iter().find(|found| found.metric == key).map_or_else(
            || "–".to_owned(),
            |found| {
                format!(
                    "{}, {}",
                    number::difference(&found.difference),
                    Change::of(&found.difference).words()
                )
            },
        );
        let _ = writeln!(text, "| {} | {} | {change} |", line(key), number::estimate(&system.metrics[key]));
    }
    let verdict = verdict::judge(run);
    let alarm = verdict.systems.iter().any(|found| found.system == system.name && found.alarm.is_some());
    if alarm && stage != "pretrain" {
        text.push_str("\n**Alarm: the proxy reward of this policy rises without the judges that alignment never saw.**\n");
    }
    text
}

/// Text on one line that opens nothing in Markdown or HTML.
fn line(text: &str) -> String {
    let plain = |c: char| if c.is_control() || "<>|`*[]".contains(c) { ' ' } else { c };
    text.chars().map(plain).collect()
}

/// A YAML scalar in double quotes: JSON strings are YAML.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
