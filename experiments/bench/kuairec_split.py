"""Draws a biased log from half of KuaiRec's fully observed table, and leaves the other half as it is.

    python3 experiments/bench/kuairec_split.py watch_ratio.csv OUT

The table has rows `user,item,watch_ratio` without a header. A coin (sha256 of user and item) puts every cell into one half.
Of the first half, a cell is logged with probability

    p = 0.05 + 0.75 / (1 + exp(-(1.5 z + 2 (liked - 0.5))))

where z is the item's standardised mean watch ratio and liked = 1 if this user watches the item to its end (ratio >= 1): popular
items are shown more, and so is what the user will like (missing not at random). The coin of the exposure is a hash as well, so
the files depend on nothing but the table. OUT/biased.csv and OUT/unbiased.csv have columns user, item, time, watch_ratio and
propensity; ratios are cut at 5, the time is the order of hashes (KuaiRec's subset has no clock).
"""
import csv
import hashlib
import math
import os
import sys


def unit(*parts):
    digest = hashlib.sha256("/".join(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def main(table, out):
    with open(table, newline="") as file:
        rows = [(user, item, min(float(ratio), 5.0)) for user, item, ratio in csv.reader(file)]
    sums = {}
    for _, item, ratio in rows:
        total, count = sums.get(item, (0.0, 0))
        sums[item] = (total + ratio, count + 1)
    means = {item: total / count for item, (total, count) in sums.items()}
    mean = sum(means.values()) / len(means)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in means.values()) / len(means))
    halves = {"biased": [], "unbiased": []}
    for user, item, ratio in rows:
        if unit("half", user, item) < 0.5:
            halves["unbiased"].append((user, item, ratio, 1.0))
            continue
        liked = 1.0 if ratio >= 1.0 else 0.0
        z = (means[item] - mean) / deviation
        propensity = 0.05 + 0.75 / (1.0 + math.exp(-(1.5 * z + 2.0 * (liked - 0.5))))
        if unit("shown", user, item) < propensity:
            halves["biased"].append((user, item, ratio, propensity))
    os.makedirs(out, exist_ok=True)
    for name, half in halves.items():
        half.sort(key=lambda row: unit("order", row[0], row[1]))
        with open(os.path.join(out, name + ".csv"), "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["user", "item", "time", "watch_ratio", "propensity"])
            writer.writerows((user, item, time, ratio, propensity) for time, (user, item, ratio, propensity) in enumerate(half))
        liked = sum(ratio >= 1.0 for _, _, ratio, _ in half) / len(half)
        print(f"{name}: {len(half)} interactions, watched to the end {liked:.3f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
