"""Gradient boosting on the features and the split of `recalign label --to DIR`, with scikit-learn.

    python3 check_label.py DIR [DIR ...]

Needs numpy, pandas, pyarrow and scikit-learn. The threshold of disapproval is chosen as the tool chooses it: on the validation pairs,
by a model that has not learned from them. Intervals: 95 %, 1,000 resamples of users.
"""

import sys

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

RESAMPLES = 1000


def weights(rows):
    """Within a user both verdicts weigh the same, users by the root of their rarer one."""
    counts = rows.groupby(["user", "verdict"]).size().unstack(fill_value=0)
    own = counts.reindex(rows.user)
    rarer = np.sqrt(own.min(axis=1).to_numpy())
    return rarer / np.where(rows.verdict == 1, own[1], own[0])


def fitted(features, labels, rows):
    weight = weights(labels[rows])
    model = HistGradientBoostingClassifier(
        max_iter=150, learning_rate=0.05, max_leaf_nodes=15, min_samples_leaf=40, l2_regularization=1.0, random_state=0
    )
    return model.fit(features[rows], labels.verdict[rows], sample_weight=weight)


def best_threshold(scores, verdicts):
    """With the best F1 of disapproval."""
    cuts = np.unique(scores)
    f1 = [2 * ((scores <= cut) & (verdicts == 0)).sum() / ((scores <= cut).sum() + (verdicts == 0).sum()) for cut in cuts]
    at = int(np.argmax(f1))
    return (cuts[at] + cuts[min(at + 1, len(cuts) - 1)]) / 2


def statistics(scores, verdicts, threshold):
    """Rows are pairs: the disapproved impression and the approved one of a user, in any order."""
    pairs = scores.reshape(-1, 2), verdicts.reshape(-1, 2)
    approved = np.where(pairs[1][:, 0] == 1, pairs[0][:, 0], pairs[0][:, 1])
    other = np.where(pairs[1][:, 0] == 1, pairs[0][:, 1], pairs[0][:, 0])
    said, meant = scores < threshold, verdicts == 0
    both = (said & meant).sum()
    won = np.mean((approved > other) + 0.5 * (approved == other))
    return roc_auc_score(verdicts, scores), won, both / meant.sum(), 2 * both / (said.sum() + meant.sum())


def examined(directory):
    labels = pd.read_parquet(f"{directory}/labels.parquet")
    features = pd.read_parquet(f"{directory}/features.parquet").to_numpy()
    train, validation, test = (labels["use"].eq(use).to_numpy() for use in ("train", "validation", "test"))
    chooser = fitted(features, labels, train)
    chosen = chooser.predict_proba(features[validation])[:, 1]
    threshold = best_threshold(chosen, labels.verdict[validation].to_numpy())
    model = fitted(features, labels, train | validation)
    scores, verdicts = model.predict_proba(features[test])[:, 1], labels.verdict[test].to_numpy()
    users = len(scores) // 2
    values = statistics(scores, verdicts, threshold)
    random = np.random.default_rng(0)
    draws = []
    for _ in range(RESAMPLES):
        user = random.integers(users, size=users)
        rows = np.stack([2 * user, 2 * user + 1], axis=1).ravel()
        draws.append(statistics(scores[rows], verdicts[rows], threshold))
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    names = ("AUC", "pairs of a user", "recall of disapproval", "its F1")
    print(directory, users, "users")
    for name, value, bottom, top in zip(names, values, low, high):
        print(f"  {name}: {value:.3f} [{bottom:.3f}, {top:.3f}]")


for directory in sys.argv[1:]:
    examined(directory)
