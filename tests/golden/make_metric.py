"""Golden values for `reward::model::metric::sampled_softmax`: inputs, losses and gradients, in f64.

    python3 tests/golden/make_metric.py > tests/golden/metric.json

Written against PyTorch's own cross entropy, row by row over the candidates that count; nothing here is shared with the Rust code.
"""

import json
import math
import platform
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def table(seed, rows, width):
    """Values that need no generator: sines of a counter."""
    return [[math.sin(seed + 1.7 * row + 0.9 * column * (row + 1)) for column in range(width)] for row in range(rows)]


def unit(rows):
    return F.normalize(torch.tensor(rows), dim=1).tolist()


def case(name, sides, item_ids, positive, log_q, temperature):
    users, items = (torch.tensor(rows, requires_grad=True) for rows in sides)
    # As they are stored: the Rust side takes them in single precision.
    log_q = torch.tensor(log_q, dtype=torch.float32).double()
    losses = []
    for row, wanted in enumerate(positive):
        if not wanted:
            continue
        candidates = [row] + [other for other, item in enumerate(item_ids) if item != item_ids[row]]
        scores = torch.stack([users[row] @ items[other] / temperature - log_q[other] for other in candidates])
        losses.append(F.cross_entropy(scores[None], torch.tensor([0])))
    loss = torch.stack(losses).mean()
    loss.backward()
    return {
        "name": name, "users": sides[0], "items": sides[1], "item_ids": item_ids, "positive": positive,
        "log_q": log_q.tolist(), "temperature": temperature, "loss": loss.item(),
        "grad_users": users.grad.tolist(), "grad_items": items.grad.tolist(),
    }


def cases():
    sides = [unit(table(0.3, 5, 4)), unit(table(1.1, 5, 4))]
    rates = [math.log(rate) for rate in (0.4, 0.3, 0.2, 0.06, 0.04)]
    yield case("ordinary", sides, [7, 3, 9, 1, 4], [1, 1, 0, 1, 1], rates, 0.5)
    yield case("cold", sides, [7, 3, 9, 1, 4], [1, 0, 1, 1, 1], rates, 0.1)
    yield case("scores of 1e4", sides, [7, 3, 9, 1, 4], [1, 1, 1, 1, 1], rates, 1e-4)
    yield case("an item three times", sides, [7, 3, 7, 1, 7], [1, 1, 1, 0, 0], rates, 0.2)
    yield case("one item only", sides, [7, 7, 7, 7, 7], [1, 1, 0, 0, 0], rates, 0.2)
    yield case("equal rates", sides, [7, 3, 9, 1, 4], [0, 0, 0, 0, 1], [math.log(0.2)] * 5, 0.3)
    yield case("one row", [side[:1] for side in sides], [7], [1], rates[:1], 0.1)


def main():
    golden = {
        "command": "python3 tests/golden/make_metric.py > tests/golden/metric.json",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "sampled_softmax": list(cases()),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in golden.items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
