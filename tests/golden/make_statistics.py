"""Golden values for `reports::statistics`: scipy's tests and rliable's aggregates, the resamples given.

    python3 tests/golden/make_statistics.py > tests/golden/statistics.json

Needs scipy and rliable. Nothing here is shared with the Rust code.
"""

import json
import math
import platform
import sys

import numpy
import scipy
from rliable import library, metrics
from scipy import stats

RUNS, TASKS, RESAMPLES = 7, 3, 60


def scores(seed, runs, tasks, shift=0.0):
    """Scores (run, task) that need no generator: sines of a counter, rounded so that ties occur."""
    return numpy.array([[round(0.5 + shift + 0.4 * math.sin(seed + 1.7 * run + 2.3 * task * (run + 1)), 2) for task in range(tasks)]
                        for run in range(runs)])


def indices(seed, resamples, runs, tasks):
    """Draws (resample, task, run) by a linear congruential generator."""
    state, found = seed, []
    for _ in range(resamples):
        rows = []
        for _ in range(tasks):
            row = []
            for _ in range(runs):
                state = (1103515245 * state + 12345) % 2**31
                row.append(state // 65536 % runs)
            rows.append(row)
        found.append(rows)
    return found


def resampled(values, draw):
    return numpy.stack([values[draw[task], task] for task in range(values.shape[1])], axis=1)


def interval(found):
    return numpy.percentile(found, [2.5, 97.5]).tolist()


def aggregates():
    treated, base = scores(0.3, RUNS, TASKS, 0.1), scores(2.9, RUNS, TASKS)
    draws, others = indices(1, RESAMPLES, RUNS, TASKS), indices(2, RESAMPLES, RUNS, TASKS)
    thresholds = [0.0, 0.25, 0.5, 0.75, 1.0]
    profile, _ = library.create_performance_profile({"x": treated}, numpy.array(thresholds), reps=2)
    pairs = list(zip(draws, others))
    return {
        "treated": treated.T.tolist(), "base": base.T.tolist(), "draws": draws, "others": others,
        "iqm": metrics.aggregate_iqm(treated),
        "iqm_interval": interval([metrics.aggregate_iqm(resampled(treated, draw)) for draw in draws]),
        "improvement": metrics.probability_of_improvement(treated, base),
        "improvement_interval": interval(
            [metrics.probability_of_improvement(resampled(treated, x), resampled(base, y)) for x, y in pairs]),
        "thresholds": thresholds, "profile": profile["x"].tolist(),
    }


def tested(found):
    low, high = found.confidence_interval(0.95)
    return {"t": found.statistic, "df": found.df, "p": found.pvalue, "low": low, "high": high}


def means():
    for name, one, other in [
        ("unequal", [2.1, 2.9, 3.7, 2.4, 5.0], [1.0, 1.1, 0.7]),
        ("close", [0.0352, 0.0361, 0.0349], [0.0351, 0.0358, 0.0347]),
        ("far", [100.0, 100.5, 99.5, 100.2], [0.1, -0.3, 0.2, 0.0]),
        ("two", [1.0, 2.0], [4.0, 9.0]),
    ]:
        case = {"name": name, "treated": one, "base": other, "welch": tested(stats.ttest_ind(one, other, equal_var=False))}
        if len(one) == len(other):
            case["paired"] = tested(stats.ttest_rel(one, other))
        yield case


def holm(p):
    """Holm (1979) as in its paper; scipy has only false discovery rates."""
    order = sorted(range(len(p)), key=lambda index: p[index])
    adjusted, least = [0.0] * len(p), 0.0
    for rank, index in enumerate(order):
        least = max(least, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = least
    return {"p": p, "adjusted": adjusted}


def effects():
    for sd, count, power in [(1.0, 100, 0.8), (0.013, 22363, 0.9), (2.5, 3, 0.5)]:
        value = (stats.norm.ppf(0.975) + stats.norm.ppf(power)) * sd / math.sqrt(count)
        yield {"sd": sd, "count": count, "power": power, "detectable": value}


json.dump({
    "made_with": f"scipy {scipy.__version__}, rliable 1.2.0, Python {platform.python_version()}",
    "aggregates": aggregates(),
    "means": list(means()),
    "holm": [holm([0.01, 0.04, 0.03, 0.005]), holm([0.5, 0.6]), holm([0.02]), holm([])],
    "effects": list(effects()),
}, sys.stdout, default=float)
print()
