//! Every metric key: one plain sentence, its unit, and which direction is better. The only list of its kind; a test of
//! the pipeline compares it with the keys a run emits.

use serde::Serialize;

/// What a metric key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// The key. `@K` stands for any cut-off, `<name>` for any one part of a path.
    pub pattern: &'static str,
    /// One sentence.
    pub meaning: &'static str,
    /// Unit of the value.
    pub unit: &'static str,
    /// Which way is better.
    pub better: Direction,
}

/// Which way a metric should move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Larger is better.
    Up,
    /// Smaller is better.
    Down,
    /// Neither by itself: watch it, do not optimise it.
    Watch,
}

impl Direction {
    /// The word tables print.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "higher",
            Self::Down => "lower",
            Self::Watch => "watch",
        }
    }
}

use Direction::{Down, Up, Watch};

const fn entry(pattern: &'static str, unit: &'static str, better: Direction, meaning: &'static str) -> Entry {
    Entry { pattern, meaning, unit, better }
}

/// All entries, grouped as a run proceeds: semantic IDs, training, judges, sampling, alignment, evaluation.
pub const ENTRIES: &[Entry] = &[
    entry(
        "sids/collision_rate",
        "share",
        Down,
        "Share of items whose quantised ID is also that of another item.",
    ),
    entry(
        "sids/embedding_hit_rate",
        "share",
        Up,
        "Share of an item's 10 nearest neighbours by vector that stay among the 10 nearest by reconstructed vector.",
    ),
    entry(
        "sids/cooccurrence_hit_rate",
        "share",
        Up,
        "Share of the 10 items that co-occur most with an item in training that are among its 10 nearest by reconstructed vector.",
    ),
    entry(
        "sids/gini",
        "index",
        Down,
        "Gini coefficient of items per used ID; 0 when every used ID has as many items.",
    ),
    entry(
        "sids/gini_of_all_ids",
        "index",
        Watch,
        "Gini coefficient of items per ID that the codebooks can name; near 1 wherever there are more IDs than items.",
    ),
    entry("sids/usage/<level>", "share", Up, "Share of a level's codes that at least one item has."),
    entry(
        "sids/entropy/<level>",
        "nats",
        Up,
        "Entropy of a level's codes over items; the logarithm of the number of codes when all are used equally.",
    ),
    entry(
        "loss",
        "nats",
        Down,
        "The training objective of the step: mean negative log-likelihood per target in pretraining, the arm's whole objective in alignment.",
    ),
    entry(
        "grad_norm",
        "norm",
        Watch,
        "Global L2 norm of the gradient before clipping; a sudden rise announces divergence.",
    ),
    entry("learning_rate", "rate", Watch, "Learning rate the step was taken with, after warm-up and decay."),
    entry(
        "rollbacks",
        "count",
        Down,
        "Returns to a checkpoint so far, after a loss or gradient that was not finite; each halves the learning rate.",
    ),
    entry("perplexity", "ratio", Down, "Exponential of the mean negative log-likelihood per token."),
    entry(
        "entropy",
        "nats",
        Watch,
        "Entropy of the policy over the items of the catalogue, per item, from independent draws; a collapse means it stopped exploring.",
    ),
    entry(
        "kl/pretrained",
        "nats",
        Watch,
        "Divergence of the policy from the pretrained one over the items of the catalogue, per item, from independent draws: what the reward cost.",
    ),
    entry(
        "legality/free",
        "share",
        Up,
        "Share of independent draws over the whole vocabulary that are items of the catalogue: legality without the trie.",
    ),
    entry(
        "drawn/<judge>",
        "score",
        Up,
        "Mean score by the judge of items drawn from the policy, as the Goodhart gauge compares them with best-of-n.",
    ),
    entry(
        "best-of-n/<judge>",
        "score",
        Up,
        "Mean score by the judge of the item that the proxy prefers among n draws of the pretrained policy; n stands in place of the step.",
    ),
    entry(
        "gain/<judge>",
        "score",
        Up,
        "Change of the judge's score of what probed users are shown, since the pretrained policy.",
    ),
    entry(
        "gain/<judge>/low",
        "score",
        Watch,
        "Lower end of the 95 % interval of gain/<judge>, paired over users.",
    ),
    entry(
        "gain/<judge>/high",
        "score",
        Watch,
        "Upper end of the 95 % interval of gain/<judge>, paired over users.",
    ),
    entry(
        "goodhart/<judge>",
        "errors",
        Down,
        "Standard errors by which the proxy gained and this judge lost, the lesser of the two, since the pretrained policy or since the round began, whichever is worse; above 1.96 they part.",
    ),
    entry(
        "judge/agreement",
        "rank",
        Up,
        "Rank correlation of the proxy's and the held-out judge's scores of items the policy draws; a fall means that the judges are asked about what they do not know.",
    ),
    entry(
        "lists/distinct",
        "share",
        Watch,
        "Different items among all that the probed users are shown; a fall means that everybody is shown the same.",
    ),
    entry(
        "lists/head_share",
        "share",
        Watch,
        "Share of what probed users are shown that is among the most popular tenth of the catalogue.",
    ),
    entry(
        "alarm/<name>",
        "value",
        Down,
        "What raised the alarm, at the step at which it was first raised in the round.",
    ),
    entry(
        "train/legal_mass",
        "share",
        Up,
        "Probability the policy puts on codes that continue some item of the catalogue, on training targets.",
    ),
    entry(
        "legal_mass",
        "share",
        Up,
        "Probability the policy puts on codes that continue some item of the catalogue; the rest would be invalid items without the trie.",
    ),
    entry(
        "free/legality",
        "share",
        Up,
        "Share of the beams of a search without the trie that are items of the catalogue.",
    ),
    entry(
        "free/recall@K",
        "share",
        Up,
        "recall@K of a search without the trie; beams that are no item are dropped.",
    ),
    entry(
        "free/ndcg@K",
        "gain",
        Up,
        "ndcg@K of a search without the trie; beams that are no item are dropped.",
    ),
    entry(
        "pruning/recall@K",
        "share",
        Up,
        "Change of recall@K, user by user, when inconsistent paths make room for others in the beam.",
    ),
    entry(
        "pruning/ndcg@K",
        "gain",
        Up,
        "Change of ndcg@K, user by user, when inconsistent paths make room for others in the beam.",
    ),
    entry(
        "pruning/judge/<judge>",
        "score",
        Up,
        "Change of the judge's score of what is shown when inconsistent paths make room for others in the beam.",
    ),
    entry(
        "pruning/ensemble/disagreement",
        "score",
        Watch,
        "Change of the ensemble's disagreement over what is shown when inconsistent paths make room for others in the beam.",
    ),
    entry(
        "pruning/paths",
        "count",
        Watch,
        "Paths per user that lost their place in the beam for inconsistency, over all levels of the search.",
    ),
    entry(
        "validation/loss",
        "nats",
        Down,
        "Mean negative log-likelihood on the validation items, one per user.",
    ),
    entry(
        "validation/recall@K",
        "share",
        Up,
        "Share of validation users whose held-back item is among the policy's first K.",
    ),
    entry(
        "validation/ndcg@K",
        "gain",
        Up,
        "Like validation/recall@K, but a hit at rank r counts 1/log2(r + 1).",
    ),
    entry(
        "experts/<block>/<expert>/load",
        "share",
        Watch,
        "Share of the choices of a decoder block that an expert has, over the codes of the validation targets.",
    ),
    entry(
        "experts/<block>/imbalance",
        "ratio",
        Down,
        "How far the load of a block's busiest expert is above the mean, divided by the mean: 0 when all are equal.",
    ),
    entry(
        "proxy/loss",
        "nats",
        Down,
        "Training loss of the proxy judge, the reward model that scores candidates during alignment.",
    ),
    entry("proxy/grad_norm", "norm", Watch, "Gradient norm of the proxy judge before clipping."),
    entry("proxy/learning_rate", "rate", Watch, "Learning rate of the proxy judge."),
    entry(
        "held-out/loss",
        "nats",
        Down,
        "Training loss of the held-out judge, trained on other users and never used for alignment.",
    ),
    entry("held-out/grad_norm", "norm", Watch, "Gradient norm of the held-out judge before clipping."),
    entry("held-out/learning_rate", "rate", Watch, "Learning rate of the held-out judge."),
    entry(
        "<judge>/<head>/auc",
        "share",
        Up,
        "Chance that the judge's head ranks a positive example above a negative one, on users it was not trained on.",
    ),
    entry(
        "<judge>/<head>/user_auc",
        "share",
        Up,
        "The same within one user's examples, averaged over users with both classes: what ordering a user's candidates needs.",
    ),
    entry(
        "<judge>/<head>/pair_accuracy",
        "share",
        Up,
        "Share of pairs of a positive and a negative example of one user that the judge's head orders right, ties counting half.",
    ),
    entry(
        "<judge>/<head>/ndcg",
        "gain",
        Up,
        "NDCG of a user's examples by falling score of the judge's head, averaged over users with a positive one.",
    ),
    entry(
        "<judge>/<head>/ece",
        "share",
        Down,
        "Expected calibration error of the judge's head: mean difference of predicted and observed rate over 10 bins of predictions.",
    ),
    entry(
        "<judge>/<head>/expected_auc",
        "share",
        Up,
        "AUC of the judge's head expected over the dice of the built-in world that decided the labels: free of their noise.",
    ),
    entry(
        "<judge>/<head>/auc_gap",
        "share",
        Down,
        "By how much the expected AUC is below that of the Bayes-optimal prediction, which knows the user's hidden state.",
    ),
    entry(
        "<judge>/watch_time/mae",
        "watch time",
        Down,
        "Mean absolute error of the watch time that the judge predicts, in the log's unit, on users it was not trained on.",
    ),
    entry(
        "<judge>/watch_time/xauc",
        "share",
        Up,
        "Share of pairs of examples with different watch times that the judge's prediction orders right; one half is chance.",
    ),
    entry(
        "inferred/<head>/auc",
        "share",
        Up,
        "AUC, expected over the dice, of what can be inferred of a label from the log alone (reward.inferred_users).",
    ),
    entry(
        "inferred/<head>/gap",
        "share",
        Down,
        "By how much the proxy's AUC is below what can be inferred from the log alone, on the same impressions.",
    ),
    entry(
        "watch_baseline/mae_gain",
        "watch time",
        Up,
        "Mean absolute error of the watch time of the same judge with the head of reward.watch_baseline, less the proxy's.",
    ),
    entry(
        "watch_baseline/xauc_gain",
        "share",
        Up,
        "XAUC of the proxy's watch time less that of the same judge with the head of reward.watch_baseline.",
    ),
    entry(
        "learning_curve/<head>/auc",
        "share",
        Up,
        "AUC of the proxy's head when it learns from fewer users; the step is their number.",
    ),
    entry(
        "label_noise/<head>/auc",
        "share",
        Up,
        "AUC of the proxy's head when labels are turned over in training; the step is their percentage.",
    ),
    entry(
        "<member>/loss",
        "nats",
        Down,
        "Training loss of a member of the ensemble, a judge like the proxy with another seed.",
    ),
    entry("<member>/grad_norm", "norm", Watch, "Gradient norm of a member of the ensemble before clipping."),
    entry("<member>/learning_rate", "rate", Watch, "Learning rate of a member of the ensemble."),
    entry(
        "judge/ensemble",
        "score",
        Up,
        "Mean score by the ensemble of what the system recommends; its members are other seeds of the proxy and share its blind spots.",
    ),
    entry(
        "ensemble/disagreement",
        "score",
        Watch,
        "Mean standard deviation of the ensemble's members over what the system recommends; where it grows, the log no longer decides.",
    ),
    entry("candidates", "items", Watch, "Candidates sampled in the round, over all users."),
    entry("pairs", "pairs", Watch, "Preference pairs kept in the round, after the least-margin filter."),
    entry(
        "margin/mean",
        "score",
        Watch,
        "Mean difference of proxy scores between the chosen and the rejected item of a pair.",
    ),
    entry(
        "reward",
        "score",
        Up,
        "Mean reward of the candidates the policy proposes, the proxy's score unless the arm has a rule of its own; this is what alignment pushes up, so it cannot prove success.",
    ),
    entry(
        "reward_std",
        "score",
        Watch,
        "Mean over users of the spread of rewards within a user's candidates.",
    ),
    entry(
        "frac_reward_zero_std",
        "share",
        Down,
        "Share of users whose candidates all have the same reward, so that they teach nothing.",
    ),
    entry(
        "rewards/chosen",
        "nats",
        Up,
        "Implicit DPO reward of chosen items: beta times the log-ratio of policy to reference.",
    ),
    entry(
        "rewards/rejected",
        "nats",
        Down,
        "Implicit DPO reward of rejected items: beta times the log-ratio of policy to reference.",
    ),
    entry("rewards/margins", "nats", Up, "Mean of rewards/chosen minus rewards/rejected."),
    entry(
        "rewards/accuracies",
        "share",
        Up,
        "Share of pairs whose chosen item has the higher implicit reward; one half before the first update.",
    ),
    entry("rewards/<head>/mean", "score", Up, "Mean of one head of the judge over the candidates."),
    entry(
        "rewards/<head>/std",
        "score",
        Watch,
        "Standard deviation of one head of the judge over the candidates.",
    ),
    entry(
        "logps/chosen",
        "nats",
        Watch,
        "Mean log-probability of chosen items; if it falls together with logps/rejected, preference learning is removing probability from what users liked.",
    ),
    entry("logps/rejected", "nats", Watch, "Mean log-probability of rejected items."),
    entry(
        "kl",
        "nats",
        Watch,
        "Estimated divergence of the policy from its reference; the price paid for the reward.",
    ),
    entry(
        "clip_ratio/low_mean",
        "share",
        Watch,
        "Share of samples whose probability ratio was clipped from below.",
    ),
    entry(
        "clip_ratio/high_mean",
        "share",
        Watch,
        "Share of samples whose probability ratio was clipped from above.",
    ),
    entry(
        "clip_ratio/region_mean",
        "share",
        Watch,
        "Share of samples clipped on either side; they contribute no gradient.",
    ),
    entry(
        "ntp/loss",
        "nats",
        Down,
        "Next-token part of the objective: negative log-likelihood of logged items.",
    ),
    entry(
        "dpo/loss",
        "nats",
        Down,
        "Preference part of the objective; ln 2 = 0.6931 when policy and reference agree.",
    ),
    entry(
        "nll_loss",
        "nats",
        Down,
        "Negative log-likelihood of chosen items per token, the part of CPO and ORPO that keeps them probable.",
    ),
    entry("objective/<term>", "nats", Watch, "One term of a sum of objectives, before its weight."),
    entry(
        "legality",
        "share",
        Up,
        "Share of completions drawn over the whole vocabulary that name an item of the catalogue, by the policy that enters the round.",
    ),
    entry(
        "sampling/importance_sampling_ratio/mean",
        "ratio",
        Watch,
        "Mean truncated importance weight of candidates of an older policy; far below one the rollouts say little about the policy now.",
    ),
    entry(
        "policy/loss",
        "score",
        Watch,
        "Policy-gradient part of the objective; its level carries no meaning.",
    ),
    entry("num_tokens", "tokens", Watch, "Target tokens the policy was trained on so far."),
    entry(
        "judge/proxy",
        "score",
        Up,
        "Mean score by the proxy judge of what the system recommends; the judge alignment was allowed to see.",
    ),
    entry(
        "judge/held-out",
        "score",
        Up,
        "Mean score by the held-out judge of what the system recommends; the judge alignment never saw.",
    ),
    entry(
        "judge/oracle",
        "score",
        Up,
        "Mean true expected feedback of what the system recommends; known only in the built-in world.",
    ),
    entry(
        "regret",
        "score",
        Down,
        "How much more the best unseen items of the catalogue are truly worth than what the system recommends, item by item as if shown next; known only in the built-in world.",
    ),
    entry(
        "recall@K",
        "share",
        Up,
        "Share of test users whose last item is among the first K of the full ranking, items already seen left out.",
    ),
    entry(
        "pass@K",
        "share",
        Up,
        "Chance that the user's last item is among K independent draws of the policy under the trie at temperature 1, estimated without bias from more draws than K.",
    ),
    entry(
        "distinct@K",
        "items",
        Watch,
        "Different items that the user has not seen among K draws or in a beam of width K, mean over users.",
    ),
    entry("ndcg@K", "gain", Up, "Like recall@K, but a hit at rank r counts 1/log2(r + 1)."),
    entry("recall@K/<slice>", "share", Up, "recall@K over the users of one slice."),
    entry("ndcg@K/<slice>", "gain", Up, "ndcg@K over the users of one slice."),
    entry("judge/<judge>/<slice>", "score", Up, "The judge's mean score over the users of one slice."),
    entry(
        "diversity@K",
        "share",
        Watch,
        "Share of different first codes among a user's first K items, mean over users: 1 when no two are of one coarse group.",
    ),
    entry(
        "flooding_share@K",
        "share",
        Down,
        "Share of a user's first K items that are named in `align.flooding`, mean over users.",
    ),
    entry(
        "head_share@K",
        "share",
        Watch,
        "Share of a user's first K items that belong to the most popular tenth of the catalogue, mean over users.",
    ),
    entry(
        "popularity@K",
        "share",
        Watch,
        "Mean popularity of a user's first K items, as the share of the catalogue that is less popular.",
    ),
    entry(
        "gini@K",
        "index",
        Watch,
        "Gini coefficient of how often the items of the catalogue are among the users' first K; 1 when one item takes every place.",
    ),
    entry(
        "coverage@K",
        "share",
        Watch,
        "Share of the catalogue that appears in at least one user's first K.",
    ),
    entry(
        "training/cpu_minutes",
        "min",
        Down,
        "CPU time of pretraining on all threads, validations included.",
    ),
    entry(
        "training/selected_after",
        "min",
        Down,
        "CPU time of pretraining until the checkpoint that was kept.",
    ),
    entry(
        "cost/cpu_hours",
        "h",
        Down,
        "CPU time of the process over all stages of a run, user and system, over all threads.",
    ),
    entry("cost/peak_memory", "MiB", Down, "Most memory the process held during any stage of a run."),
    entry("parameters", "weights", Watch, "Weights of the pretrained policy, shared ones counted once."),
];

/// The entry that documents `key`: an exact pattern first, then a family.
pub fn lookup(key: &str) -> Option<&'static Entry> {
    let exact = ENTRIES.iter().find(|entry| entry.pattern == key);
    exact.or_else(|| ENTRIES.iter().find(|entry| matches(entry.pattern, key)))
}

/// The group of users that a key is over: what follows `@K/` or `judge/<judge>/`.
pub fn slice(key: &str) -> Option<&str> {
    let rest = key.split_once('@').map(|(_, rest)| rest).or_else(|| key.strip_prefix("judge/"))?;
    rest.split_once('/').map(|(_, slice)| slice)
}

/// The unit of `key`, empty when the key is not documented.
pub fn unit(key: &str) -> &'static str {
    lookup(key).map_or("", |entry| entry.unit)
}

fn matches(pattern: &str, key: &str) -> bool {
    let (pattern, key): (Vec<_>, Vec<_>) = (pattern.split('/').collect(), key.split('/').collect());
    pattern.len() == key.len() && pattern.iter().zip(&key).all(|(pattern, part)| part_matches(pattern, part))
}

fn part_matches(pattern: &str, part: &str) -> bool {
    if pattern.starts_with('<') && pattern.ends_with('>') {
        return !part.is_empty();
    }
    match pattern.strip_suffix("@K") {
        Some(name) => {
            let cutoff = part.strip_prefix(name).and_then(|rest| rest.strip_prefix('@'));
            cutoff
                .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
        }
        None => pattern == part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_document_their_members_and_nothing_else() {
        assert_eq!(lookup("recall@50").map(|entry| entry.pattern), Some("recall@K"));
        assert_eq!(lookup("validation/ndcg@10").map(|entry| entry.pattern), Some("validation/ndcg@K"));
        assert_eq!(lookup("rewards/like/mean").map(|entry| entry.pattern), Some("rewards/<head>/mean"));
        assert_eq!(lookup("rewards/margins").map(|entry| entry.pattern), Some("rewards/margins"));
        for unknown in ["recall@", "recall@ten", "rewards//mean", "rewards/like/max", "los", ""] {
            assert_eq!(lookup(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn keys_over_a_group_of_users_name_it() {
        let slices = [
            "recall@10/tail",
            "judge/held-out/short-history",
            "recall@10",
            "judge/held-out",
            "rewards/like/mean",
        ];
        assert_eq!(slices.map(slice), [Some("tail"), Some("short-history"), None, None, None]);
    }

    #[test]
    fn every_entry_is_a_finished_sentence_and_listed_once() {
        for (index, entry) in ENTRIES.iter().enumerate() {
            assert!(entry.meaning.ends_with('.') && !entry.unit.is_empty(), "{}", entry.pattern);
            assert!(ENTRIES[..index].iter().all(|other| other.pattern != entry.pattern), "{}", entry.pattern);
        }
    }

    #[test]
    fn the_keys_the_stages_agreed_on_are_documented() {
        let keys = "loss grad_norm learning_rate perplexity validation/ndcg@10 validation/recall@10 train/legal_mass \
            proxy/loss proxy/grad_norm proxy/learning_rate held-out/loss held-out/grad_norm held-out/learning_rate \
            rewards/chosen rewards/rejected rewards/margins rewards/accuracies logps/chosen logps/rejected kl \
            clip_ratio/low_mean clip_ratio/high_mean clip_ratio/region_mean reward reward_std frac_reward_zero_std \
            ntp/loss dpo/loss policy/loss judge/proxy judge/held-out judge/oracle legal_mass margin/mean candidates \
            pairs coverage@10 recall@5 ndcg@50 free/legality free/recall@10 free/ndcg@5";
        for key in keys.split_whitespace() {
            assert!(lookup(key).is_some(), "{key}");
        }
    }
}
