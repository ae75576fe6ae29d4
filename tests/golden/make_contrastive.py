"""Golden values for the losses of `policy::collaborative::contrastive`: inputs, losses and gradients, in f64.

    python3 tests/golden/make_contrastive.py > tests/golden/contrastive.json

Written against PyTorch's own cross entropy and KL divergence; nothing here is shared with the Rust code.
"""

import json
import math
import platform
import sys

import torch
import torch.nn.functional as F

torch.set_default_dtype(torch.float64)


def table(seed, rows, width, scale=1.0):
    """Values that need no generator: sines of a counter."""
    return [[scale * math.sin(seed + 1.7 * row + 0.9 * column * (row + 1)) for column in range(width)] for row in range(rows)]


def unit(rows):
    return F.normalize(torch.tensor(rows), dim=1).tolist()


def info_nce(name, x, y, temperature):
    x_leaf, y_leaf = (torch.tensor(rows, requires_grad=True) for rows in (x, y))
    logits = x_leaf @ y_leaf.T / temperature
    target = torch.arange(len(x))
    loss = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2
    loss.backward()
    return {
        "name": name, "x": x, "y": y, "temperature": temperature, "loss": loss.item(),
        "grad_x": x_leaf.grad.tolist(), "grad_y": y_leaf.grad.tolist(),
    }


def others(rows, temperature):
    """Similarities to the other rows, each row's own left out."""
    count = rows.shape[0]
    keep = ~torch.eye(count, dtype=torch.bool)
    return (rows @ rows.T / temperature)[keep].reshape(count, count - 1)


def distillation(name, student, teacher, temperature):
    leaf = torch.tensor(student, requires_grad=True)
    target = F.log_softmax(others(torch.tensor(teacher), temperature), dim=1)
    loss = F.kl_div(F.log_softmax(others(leaf, temperature), dim=1), target, reduction="batchmean", log_target=True)
    loss.backward()
    return {
        "name": name, "student": student, "teacher": teacher, "temperature": temperature, "loss": loss.item(),
        "grad_student": leaf.grad.tolist(),
    }


def info_nce_cases():
    x, y = unit(table(0.3, 5, 4)), unit(table(1.1, 5, 4))
    yield info_nce("ordinary", x, y, 0.1)
    yield info_nce("warm", x, y, 5.0)
    yield info_nce("logits of 1e4", x, y, 1e-4)
    yield info_nce("equal modalities", x, x, 0.2)
    yield info_nce("two equal items", [x[0], x[0], x[1]], [y[0], y[0], y[1]], 0.2)
    yield info_nce("one item", x[:1], y[:1], 0.1)
    yield info_nce("not of unit length", table(0.3, 4, 3, 9.0), table(2.0, 4, 3, 0.01), 0.5)


def distillation_cases():
    student, teacher = unit(table(0.3, 5, 3)), unit(table(1.1, 5, 6))
    yield distillation("ordinary", student, teacher, 0.1)
    yield distillation("warm", student, teacher, 5.0)
    yield distillation("logits of 1e4", student, teacher, 1e-4)
    yield distillation("student is teacher", teacher, teacher, 0.2)
    yield distillation("two items", student[:2], teacher[:2], 0.1)
    yield distillation("equal rows", [student[0]] * 3, teacher[:3], 0.3)


def main():
    golden = {
        "command": "python3 tests/golden/make_contrastive.py > tests/golden/contrastive.json",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "info_nce": list(info_nce_cases()),
        "distillation": list(distillation_cases()),
    }
    lines = [f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in golden.items()]
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
