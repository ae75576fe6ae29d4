//! `README.md`: the model card, with the evaluation and its intervals.

use super::description::{Description, Layout};
use super::source::{Requests, Source};
use super::writer::Export;
use reports::number;
use reports::schema::{Estimate, Evaluation, SystemResult};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The card.
pub(super) fn text(source: &Source, description: &Description, request: &Export) -> String {
    let mut card = front_matter(description);
    card += &introduction(source, description);
    card += &usage(description);
    card += &evaluation(source);
    card += &limits(source, request);
    card
}

fn front_matter(description: &Description) -> String {
    let library = match description.layout {
        Layout::HuggingFace => "library_name: transformers\n",
        Layout::Native => "library_name: recalign\n",
    };
    format!("---\n{library}tags:\n- recommendation\n- generative-retrieval\n- semantic-ids\n---\n\n")
}

fn introduction(source: &Source, description: &Description) -> String {
    let Description { architecture, policy, items, level_sizes, history_items, policy_sha256, .. } =
        description;
    let run = &source.record;
    let sizes: Vec<String> = level_sizes.iter().map(ToString::to_string).collect();
    format!(
        "# {run_name}: {policy}\n\nA generative recommender ({architecture}): it reads the last {history_items} items of a history \
         and writes the next item's semantic ID, {levels} codes out of {sizes}, {items} items.\n\n\
         - run `{run_name}`, seed {seed}, budget {budget}, recalign {version}\n\
         - weights `{policy_sha256}` (SHA-256 over names, shapes and values)\n\
         - data: {users} users, {interactions} interactions\n\n",
        run_name = run.name,
        levels = level_sizes.len(),
        sizes = sizes.join(" x "),
        seed = run.seed,
        budget = run.budget,
        version = run.version,
        users = source.dataset.log.histories.len(),
        interactions = source.dataset.log.histories.iter().map(|history| history.items.len()).sum::<usize>(),
    )
}

fn usage(description: &Description) -> String {
    let mut text = String::from(
        "## Use\n\n```sh\nrecalign export verify DIR   # hashes, then the golden requests\nrecalign serve DIR\n",
    );
    if description.layout == Layout::HuggingFace {
        text += "python recommend.py DIR ITEM_ID ITEM_ID ...   # transformers, torch, safetensors, pyarrow\n";
    }
    text += "```\n\n";
    text += match description.layout {
        Layout::HuggingFace => {
            "`transformers` loads the directory. Probabilities are over legal codes: search with the trie in `sid_trie.safetensors`, as \
             `recommend.py` does.\n\n"
        }
        Layout::Native => {
            "Hugging Face's layouts cannot express this architecture: the weights are for `recalign serve` and for programs \
             that implement it.\n\n"
        }
    };
    text + "`serving.json` says how a history becomes tokens. `reference_io.safetensors` has requests with logits and ranked lists: an \
            implementation is right if it agrees with them within the tolerance there.\n\n"
}

fn evaluation(source: &Source) -> String {
    let Some(evaluation) = &source.evaluation else {
        return "## Evaluation\n\nNone: the run ended before it.\n\n".into();
    };
    let systems: Vec<&SystemResult> = evaluation
        .systems
        .iter()
        .filter(|system| system.role != "aligned" || system.name == source.policy)
        .collect();
    let metrics: BTreeSet<&String> = systems.iter().flat_map(|system| system.metrics.keys()).collect();
    let names: Vec<String> = systems.iter().map(|system| format!(" {} |", system.name)).collect();
    let mut text = format!(
        "## Evaluation\n\nLeave-one-out over the full catalogue, seen items masked, {} users, beam {}; 95 % intervals over users.\n\n| |{}\n|---|{}\n",
        evaluation.users,
        evaluation.beam_width,
        names.concat(),
        "---|".repeat(systems.len()),
    );
    for metric in metrics {
        let cells: String = systems.iter().map(|system| cell(system.metrics.get(metric))).collect();
        writeln!(text, "| {metric} |{cells}").expect("a string takes everything");
    }
    text + &comparisons(evaluation, &source.policy) + "\n"
}

fn comparisons(evaluation: &Evaluation, policy: &str) -> String {
    let mut text = String::new();
    for comparison in evaluation.comparisons.iter().filter(|comparison| comparison.system == policy) {
        let Estimate { low, high, .. } = comparison.difference;
        let verdict = if low > 0.0 || high < 0.0 { "" } else { " - inside noise" };
        let difference = number::difference(&comparison.difference);
        writeln!(text, "- {}: {difference}{verdict}", comparison.metric).expect("a string takes everything");
    }
    if text.is_empty() {
        text
    } else {
        format!("\nDifference to the pretrained policy, paired over users:\n\n{text}")
    }
}

fn cell(estimate: Option<&Estimate>) -> String {
    format!(" {} |", estimate.map(number::estimate).unwrap_or_default())
}

fn limits(source: &Source, request: &Export) -> String {
    let mut text = String::from(
        "## Limits\n\n- It knows the items of its catalogue. Others are skipped in histories; `codebooks.safetensors` has the codebooks and the rule that give new items codes.\n",
    );
    if source.record.budget == "smoke" {
        text += "- Trained with `run.budget = \"smoke\"`: it shows that everything works and is worth nothing as a recommender.\n";
    }
    if request.requests == Requests::TestUsers {
        text += "- The golden requests are histories of users of the log: not to be published.\n";
    }
    text + "- `manifest.json` names the stages it comes from with their hashes.\n"
}
