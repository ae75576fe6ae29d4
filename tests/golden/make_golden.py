"""Golden values for the losses of `align`: inputs, losses, metrics and gradients, in f64.

    /usr/bin/python3 tests/golden/make_golden.py > tests/golden/losses.json

Written against plain PyTorch operations, from the formulas in the papers and in TRL's documentation; nothing here
is shared with the Rust code. The one departure that the Rust losses document is repeated: a log-ratio that
is about to be exponentiated is capped at 20.
"""

import json
import platform
import sys

import torch

torch.set_default_dtype(torch.float64)
MAX_LOG_RATIO = 20.0


def leaf(values):
    return torch.tensor(values, requires_grad=True)


def dpo(name, beta, policy_chosen, policy_rejected, reference_chosen, reference_rejected):
    pc, pr = leaf(policy_chosen), leaf(policy_rejected)
    rc, rr = torch.tensor(reference_chosen), torch.tensor(reference_rejected)
    chosen, rejected = beta * (pc - rc), beta * (pr - rr)
    loss = -torch.nn.functional.logsigmoid(chosen - rejected).mean()
    loss.backward()
    metrics = {
        "rewards/chosen": chosen.mean(),
        "rewards/rejected": rejected.mean(),
        "rewards/margins": (chosen - rejected).mean(),
        "rewards/accuracies": (chosen > rejected).double().mean(),
        "logps/chosen": pc.mean(),
        "logps/rejected": pr.mean(),
    }
    return {
        "name": name,
        "beta": beta,
        "policy_chosen": policy_chosen,
        "policy_rejected": policy_rejected,
        "reference_chosen": reference_chosen,
        "reference_rejected": reference_rejected,
        "loss": loss.item(),
        "grad_policy_chosen": pc.grad.tolist(),
        "grad_policy_rejected": pr.grad.tolist(),
        "metrics": {key: value.item() for key, value in metrics.items()},
    }


def dpo_cases():
    yield dpo("ordinary", 0.1, [-3.0, -7.5, -12.25], [-4.0, -6.0, -20.0], [-3.5, -7.0, -12.0], [-4.5, -6.5, -15.0])
    yield dpo("large beta", 5.0, [-3.0, -7.5], [-4.0, -6.0], [-3.5, -7.0], [-4.5, -6.5])
    yield dpo("at the reference", 0.1, [-3.0, -5.0], [-4.0, -1.0], [-3.0, -5.0], [-4.0, -1.0])
    yield dpo("one pair", 0.3, [-2.0], [-2.5], [-3.0], [-1.0])
    for size in [50.0, 1e4]:
        for beta in [0.1, 1.0]:
            yield dpo(f"log-ratio +{size:g}, beta {beta}", beta, [0.0, -1.0], [-size, -2.0], [-size, -1.5], [0.0, -1.0])
            yield dpo(f"log-ratio -{size:g}, beta {beta}", beta, [-size, -1.0], [0.0, -2.0], [0.0, -1.5], [-size, -1.0])


def exponential(values):
    return torch.exp(torch.clamp(values, max=MAX_LOG_RATIO))


def divergence_score(log_ratios, divergence, alpha):
    if divergence == "reverse-kl":
        return log_ratios
    if divergence == "forward-kl":  # f'(t) = 1 - 1/t, the 1 cancels
        return -exponential(-log_ratios)
    if divergence == "js":
        return torch.nn.functional.logsigmoid(log_ratios)
    if divergence == "alpha":
        return exponential((alpha - 1) * log_ratios) / (alpha - 1)
    raise ValueError(divergence)


def pair_loss(loss, policy, reference, tokens, settings):
    """One value per pair, in the terms of TRL's DPO trainer."""
    logsigmoid, sigmoid = torch.nn.functional.logsigmoid, torch.sigmoid
    beta, smoothing, tau = settings["beta"], settings["label_smoothing"], settings["tau"]
    chosen, rejected = (policy - reference).unbind(1)
    f = [divergence_score(side, settings["divergence"], settings["alpha"]) for side in (chosen, rejected)]
    delta = f[0] - f[1]

    def smooth(margin):
        return -(1 - smoothing) * logsigmoid(beta * margin) - smoothing * logsigmoid(-beta * margin)

    if loss == "sigmoid":
        return smooth(delta)
    if loss == "hinge":
        return torch.relu(1 - beta * delta)
    if loss == "ipo":
        return (f[0] / tokens - f[1] / tokens - 1 / (2 * beta)) ** 2
    if loss == "exo-pair":
        q, p = sigmoid(beta * delta), torch.tensor(smoothing)
        return q * (logsigmoid(beta * delta) - torch.log1p(-p)) + (1 - q) * (logsigmoid(-beta * delta) - torch.log(p))
    if loss == "nca-pair":
        c, r = beta * chosen, beta * rejected
        return -logsigmoid(c) - 0.5 * logsigmoid(-c) - 0.5 * logsigmoid(-r)
    if loss == "robust":
        clean, flipped = -(1 - smoothing) * logsigmoid(beta * delta), -smoothing * logsigmoid(-beta * delta)
        return (clean - flipped) / (1 - 2 * smoothing)
    if loss == "bco-pair":
        return -logsigmoid(beta * chosen) - logsigmoid(-beta * rejected)
    if loss == "sppo-hard":
        return (chosen - 0.5 / beta) ** 2 + (rejected + 0.5 / beta) ** 2
    if loss == "aot":
        margins = [torch.sort(table[:, 0] - table[:, 1])[0] for table in (policy, reference)]
        return smooth(margins[0] - margins[1])
    if loss == "aot-unpaired":
        return smooth(torch.sort(chosen)[0] - torch.sort(rejected)[0])
    if loss == "apo-zero":
        return 1 - sigmoid(beta * chosen) + sigmoid(beta * rejected)
    if loss == "apo-down":
        return sigmoid(beta * chosen) + 1 - sigmoid(beta * (chosen - rejected))
    if loss == "discopop":
        x = beta * delta
        gate = sigmoid(x / tau)
        return -logsigmoid(x) * (1 - gate) + exponential(-x) * gate
    if loss == "sft":
        return -policy[:, 0] / tokens
    if loss == "sigmoid-norm":
        return -logsigmoid(beta * (f[0] / tokens - f[1] / tokens))
    raise ValueError(loss)


PAIR_LOSSES = {
    "margin": ["sigmoid", "hinge", "ipo", "exo-pair", "robust", "discopop", "sigmoid-norm"],
    "rewards": ["nca-pair", "bco-pair", "sppo-hard", "aot", "aot-unpaired", "apo-zero", "apo-down", "sft"],
}


def with_gradient(case, loss, **inputs):
    """A case with its loss and the gradient of each input."""
    loss.backward()
    gradients = {f"grad_{name}": tensor.grad.tolist() for name, tensor in inputs.items()}
    values = {name: tensor.detach().tolist() for name, tensor in inputs.items()}
    return {**case, **values, "loss": loss.item(), **gradients}


TABLES = {
    "ordinary": (
        [[-3.0, -4.0], [-7.5, -6.0], [-12.25, -20.0], [-2.0, -2.5]],
        [[-3.5, -4.5], [-7.0, -6.5], [-12.0, -15.0], [-3.0, -1.0]],
    ),
    "log-ratios of 1e4": ([[0.0, -1e4], [-1e4, 0.0], [-1.0, -2.0]], [[-1e4, 0.0], [0.0, -1e4], [-1.5, -1.0]]),
    "one pair": ([[-2.0, -2.5]], [[-3.0, -1.0]]),
}


def pair_case(name, loss, settings, tokens=3):
    policy, reference = leaf(TABLES[name][0]), torch.tensor(TABLES[name][1])
    values = pair_loss(loss, policy, reference, tokens, settings)
    keys = {"loss": loss, **settings}
    label = f"{loss}, {settings['divergence']}, smoothing {settings['label_smoothing']:g}, {name}"
    case = {"name": label, "config": keys, "tokens": tokens, "reference": reference.tolist()}
    return with_gradient(case, values.mean(), policy=policy)


def pair_cases():
    settings = {"beta": 0.3, "label_smoothing": 0.1, "divergence": "reverse-kl", "alpha": 0.5, "tau": 0.05}
    for name in TABLES:
        for loss in PAIR_LOSSES["margin"] + PAIR_LOSSES["rewards"]:
            yield pair_case(name, loss, settings)
        yield pair_case(name, "sigmoid", {**settings, "label_smoothing": 0.0})
        for divergence in ["forward-kl", "js", "alpha"]:
            for loss in PAIR_LOSSES["margin"]:
                yield pair_case(name, loss, {**settings, "divergence": divergence})
    yield pair_case("ordinary", "discopop", {**settings, "tau": 0.5})


def softmax_dpo_cases():
    tables = {
        "two others": ([[-3.0, -4.0, -3.2], [-7.5, -6.0, -9.0]], [[-3.5, -4.5, -3.0], [-7.0, -6.5, -8.0]]),
        "one other": TABLES["ordinary"],
        "log-ratios of 1e4": ([[0.0, -1e4, -1.0], [-1e4, 0.0, -2.0]], [[-1e4, 0.0, -1.0], [0.0, -1e4, -3.0]]),
    }
    for name, (policy, reference) in tables.items():
        for beta in [0.3, 1.0]:
            values, anchor = leaf(policy), torch.tensor(reference)
            rewards = beta * (values - anchor)
            chosen, others = rewards[:, :1], rewards[:, 1:]
            # The paper's -log s(-log sum exp(...)), with log(1 + T) as a logsumexp over T and 1.
            terms = torch.cat([torch.zeros_like(chosen), others - chosen], dim=1)
            metrics = {
                "rewards/chosen": chosen.mean(),
                "rewards/rejected": others.mean(),
                "rewards/margins": (chosen - others).mean(),
                "rewards/accuracies": (chosen > others).all(1).double().mean(),
                "logps/chosen": values[:, 0].mean(),
                "logps/rejected": values[:, 1:].mean(),
            }
            case = {
                "name": f"{name}, beta {beta:g}",
                "beta": beta,
                "reference": reference,
                "metrics": {key: value.item() for key, value in metrics.items()},
            }
            yield with_gradient(case, torch.logsumexp(terms, dim=1).mean(), policy=values)


def log_complement(values):
    return torch.log(-torch.expm1(torch.clamp(values, max=-1e-6)))


def reference_free_cases():
    tables = {**{name: table[0] for name, table in TABLES.items()}, "near certainty": [[-1e-5, -2.0], [-0.05, -1e-3], [-0.1, 0.0]]}
    logsigmoid, tokens = torch.nn.functional.logsigmoid, 3
    for name, table in tables.items():
        for beta in [0.1, 2.0]:
            settings = {
                "cpo": {"beta": beta, "nll_weight": 0.5, "label_smoothing": 0.1},
                "simpo": {"beta": beta, "gamma": 0.7},
                "orpo": {"beta": beta},
            }
            for kind, keys in settings.items():
                policy = leaf(table)
                chosen, rejected = policy.unbind(1)
                nll = -chosen.mean() / tokens
                if kind == "cpo":
                    x = beta * (chosen - rejected)
                    loss = (-0.9 * logsigmoid(x) - 0.1 * logsigmoid(-x)).mean() + 0.5 * nll
                elif kind == "simpo":
                    loss = -logsigmoid(beta * (chosen / tokens - rejected / tokens) - 0.7).mean()
                else:
                    c, r = chosen / tokens, rejected / tokens
                    odds = (c - r) - (log_complement(c) - log_complement(r))
                    loss = nll - beta * logsigmoid(odds).mean()
                case = {"name": f"{kind}, {name}, beta {beta:g}", "tokens": tokens, "config": {"kind": kind, **keys}}
                yield with_gradient(case, loss, policy=policy)


def masked(values, lengths):
    mask = torch.arange(values.shape[1])[None, :] < torch.tensor(lengths)[:, None]
    return mask.double()


def aggregate(values, mask, aggregation):
    if aggregation == "per-sequence":  # TRL loss_type="grpo"
        return ((values * mask).sum(-1) / mask.sum(-1).clamp(min=1.0)).mean()
    if aggregation == "tokens":  # TRL loss_type="dapo"
        return (values * mask).sum() / mask.sum().clamp(min=1.0)
    if aggregation == "max-length":  # TRL loss_type="dr_grpo"
        return (values * mask).sum() / (values.shape[0] * values.shape[1])
    if aggregation == "sequence-sum":  # TRL loss_type="luspo"
        return (values * mask).sum(-1).mean()
    raise ValueError(aggregation)


def grpo(name, aggregation, inputs, clip_low=0.2, clip_high=0.28, kl_weight=0.0):
    policy = leaf(inputs["policy"])
    behavior, reference = torch.tensor(inputs["behavior"]), torch.tensor(inputs["reference"])
    advantages = torch.tensor(inputs["advantages"])[:, None]
    mask = masked(policy, inputs["lengths"])
    ratio = torch.exp(torch.clamp(policy - behavior, max=MAX_LOG_RATIO))
    clipped = torch.clamp(ratio, 1 - clip_low, 1 + clip_high)
    difference = torch.clamp(reference - policy, max=MAX_LOG_RATIO)
    kl = torch.exp(difference) - difference - 1
    per_token = -torch.min(ratio * advantages, clipped * advantages) + kl_weight * kl
    loss = aggregate(per_token, mask, aggregation)
    loss.backward()
    low = (ratio < 1 - clip_low) & (advantages < 0)
    high = (ratio > 1 + clip_high) & (advantages > 0)

    def mean(values):
        return ((values.double() * mask).sum() / mask.sum().clamp(min=1.0)).item()

    return {
        "name": f"{name}, {aggregation}, kl {kl_weight:g}",
        "aggregation": aggregation,
        "clip_low": clip_low,
        "clip_high": clip_high,
        "kl_weight": kl_weight,
        **inputs,
        "loss": loss.item(),
        "grad_policy": policy.grad.tolist(),
        "metrics": {
            "kl": mean(kl),
            "clip_ratio/low_mean": mean(low),
            "clip_ratio/high_mean": mean(high),
            "clip_ratio/region_mean": mean(low | high),
        },
    }


def standardized(rewards):
    rewards = torch.tensor(rewards)
    return ((rewards - rewards.mean()) / (rewards.std() + 1e-4)).tolist()


def grpo_cases():
    ordinary = {
        # Ratios on both sides of both clip bounds, with advantages of both signs.
        "policy": [[-1.0, -0.5, -2.0], [-1.3, -0.2, -0.7], [-0.4, -2.5, -1.1], [-2.2, -0.9, -3.0]],
        "behavior": [[-1.1, -1.0, -1.5], [-1.2, -0.8, -0.7], [-1.0, -2.0, -1.0], [-2.0, -1.0, -2.2]],
        "reference": [[-1.2, -0.9, -1.6], [-1.0, -0.7, -0.9], [-0.8, -2.1, -1.2], [-2.1, -1.3, -2.4]],
        "advantages": standardized([0.1, 0.9, 0.4, 0.2]),
        "lengths": [3, 2, 3, 1],
    }
    first_pass = {**ordinary, "policy": ordinary["behavior"], "reference": ordinary["behavior"]}
    padded_row = {**ordinary, "lengths": [3, 0, 1, 2]}
    all_padded = {**ordinary, "lengths": [0, 0, 0, 0]}
    length_one = {
        "policy": [[-0.7], [-1.9]],
        "behavior": [[-0.8], [-1.2]],
        "reference": [[-0.9], [-1.3]],
        "advantages": standardized([1.0, 0.0]),
        "lengths": [1, 1],
    }
    zero_variance = {**ordinary, "advantages": standardized([0.5, 0.5, 0.5, 0.5])}
    extreme = {
        "policy": [[0.0, 0.0, -50.0, -1e4], [0.0, 0.0, -50.0, -1e4]],
        "behavior": [[-50.0, -1e4, 0.0, 0.0], [-50.0, -1e4, 0.0, 0.0]],
        "reference": [[-50.0, -1e4, 0.0, 0.0], [-1.0, -50.0, -49.0, -9999.0]],
        "advantages": [0.7, -0.7],
        "lengths": [4, 4],
    }
    inputs = {
        "ordinary": ordinary,
        "first pass": first_pass,
        "a padded row": padded_row,
        "all rows padded": all_padded,
        "length one": length_one,
        "zero variance": zero_variance,
        "log-ratios of 50 and 1e4": extreme,
    }
    for name, values in inputs.items():
        for aggregation in ["per-sequence", "tokens", "max-length"]:
            for kl_weight in [0.0, 0.04]:
                yield grpo(name, aggregation, values, kl_weight=kl_weight)


def surrogate_values(surrogate, policy, behavior, advantages, mask, level):
    """Per token, what is maximised; TRL's formulas, OneRec's for ecpo and gbpo, verl's for dual-clip."""
    kind, low, high = surrogate["kind"], 0.8, 1.28
    log_ratio = (policy - behavior) * mask
    log_policy = policy * mask
    sequence = log_ratio.sum(1, keepdim=True)
    if level == "sequence":
        count = 1.0 if kind == "gbpo" else mask.sum(1, keepdim=True).clamp(min=1.0)
        log_ratio = (sequence / count).expand_as(policy)
        log_policy = (log_policy.sum(1, keepdim=True) / count).expand_as(policy)
    ratio = exponential(log_ratio)
    clipped = torch.clamp(ratio, low, high)
    plain = torch.min(ratio * advantages, clipped * advantages)
    if kind == "clip":
        return plain
    if kind == "dual-clip":
        return torch.where(advantages < 0, torch.max(plain, surrogate["bound"] * advantages), plain)
    if kind == "two-sided":
        return torch.min(torch.clamp(ratio, max=surrogate["bound"]) * advantages, clipped * advantages)
    if kind == "cispo":
        return torch.clamp(ratio, max=surrogate["bound"]).detach() * advantages * log_policy
    if kind == "sapo":
        temperature = torch.where(advantages > 0, surrogate["positive"], surrogate["negative"])
        return torch.sigmoid(temperature * (ratio - 1)) * 4 / temperature * advantages
    if kind == "vespo":
        log_weight = torch.clamp(sequence, torch.log(torch.tensor(1e-8)).item(), MAX_LOG_RATIO)
        k = torch.where(advantages >= 0, 2.0, 3.0)
        rate = torch.where(advantages >= 0, 3.0, 2.0)
        phi = torch.exp(rate + k * log_weight - rate * torch.exp(log_weight))
        return phi.detach() * advantages * log_policy
    if kind == "ecpo":
        old = log_policy - log_ratio
        most = torch.log(torch.tensor(high + surrogate["delta"]))
        # The early-clipped behavior is a constant: only the policy in the numerator is differentiated.
        early = torch.max(log_policy.detach() - most, old.detach())
        ratio = torch.exp(log_policy - early)
        return torch.min(ratio * advantages, torch.clamp(ratio, low, high) * advantages)
    if kind == "gbpo":
        old, own = (log_policy - log_ratio).detach(), log_policy.detach()
        least = torch.where(advantages >= 0, own, log_complement(own))
        return exponential(log_policy - torch.max(old, least)) * advantages
    if kind == "reinforce":
        return advantages * torch.exp(log_policy - log_policy.detach())
    raise ValueError(kind)


def kl_values(estimator, policy, reference):
    difference = torch.clamp(reference - policy, max=MAX_LOG_RATIO)
    if estimator == "k1":
        return -difference
    if estimator == "k2":
        return torch.clamp(difference, min=-MAX_LOG_RATIO) ** 2 / 2
    return torch.exp(difference) - difference - 1


SURROGATES = [
    {"kind": "clip"},
    {"kind": "dual-clip", "bound": 3.0},
    {"kind": "two-sided", "bound": 4.0},
    {"kind": "cispo", "bound": 5.0},
    {"kind": "sapo", "positive": 1.0, "negative": 1.05},
    {"kind": "vespo"},
    {"kind": "ecpo", "delta": 0.1},
    {"kind": "gbpo"},
    {"kind": "reinforce"},
]


def surrogate_case(name, inputs, surrogate, level, aggregation, estimator):
    policy = leaf(inputs["policy"])
    behavior, reference = torch.tensor(inputs["behavior"]), torch.tensor(inputs["reference"])
    advantages = torch.tensor(inputs["advantages"])[:, None].expand_as(policy)
    mask = masked(policy, inputs["lengths"])
    values = surrogate_values(surrogate, policy, behavior, advantages, mask, level)
    kl_weight = 0.04
    loss = aggregate(kl_weight * kl_values(estimator, policy, reference) - values, mask, aggregation)
    config = {
        "clip_low": 0.2,
        "clip_high": 0.28,
        "kl_weight": kl_weight,
        "surrogate": surrogate,
        "level": level,
        "aggregation": aggregation,
        "kl": estimator,
    }
    label = f"{surrogate['kind']}, {level}, {aggregation}, {estimator}, {name}"
    rest = {key: inputs[key] for key in ("behavior", "reference", "advantages", "lengths")}
    return with_gradient({"name": label, "config": config, **rest}, loss, policy=policy)


def surrogate_cases():
    inputs = {
        "ordinary": {
            # Ratios from far below to far above the bounds, with advantages of both signs.
            "policy": [[-1.0, -0.5, -2.0], [-1.3, -0.2, -0.7], [-0.4, -2.5, -1.1], [-0.3, -0.9, -3.0]],
            "behavior": [[-1.1, -1.0, -1.5], [-1.2, -0.8, -0.7], [-1.0, -4.0, -1.0], [-2.0, -2.9, -2.2]],
            "reference": [[-1.2, -0.9, -1.6], [-1.0, -0.7, -0.9], [-0.8, -2.1, -1.2], [-2.1, -1.3, -2.4]],
            "advantages": [1.3, -0.8, 0.4, -1.1],
            "lengths": [3, 2, 3, 1],
        },
        "log-ratios of 1e4": {
            "policy": [[-0.01, -0.02, -50.0, -1e4], [-0.01, -0.02, -50.0, -1e4]],
            "behavior": [[-50.0, -1e4, -0.01, -0.02], [-50.0, -1e4, -0.01, -0.02]],
            "reference": [[-50.0, -1e4, -0.01, -0.02], [-1.0, -50.0, -49.0, -9999.0]],
            "advantages": [0.7, -0.7],
            "lengths": [4, 4],
        },
    }
    for surrogate in SURROGATES:
        for level in ["token", "sequence"]:
            for name, values in inputs.items():
                yield surrogate_case(name, values, surrogate, level, "per-sequence", "k3")
    for aggregation in ["tokens", "max-length", "sequence-sum"]:
        yield surrogate_case("ordinary", inputs["ordinary"], {"kind": "clip"}, "sequence", aggregation, "k3")
    for estimator in ["k1", "k2"]:
        for name, values in inputs.items():
            yield surrogate_case(name, values, {"kind": "clip"}, "token", "per-sequence", estimator)


def ntp(name, log_probs, lengths):
    values = leaf(log_probs)
    mask = masked(values, lengths)
    loss = -(values * mask).sum() / mask.sum().clamp(min=1.0)
    loss.backward()
    return {
        "name": name,
        "log_probs": log_probs,
        "lengths": lengths,
        "loss": loss.item(),
        "grad_log_probs": values.grad.tolist(),
    }


def ntp_cases():
    yield ntp("ordinary", [[-1.0, -0.5, -2.0], [-1.3, -0.2, -0.7]], [3, 3])
    yield ntp("lengths", [[-1.0, -0.5, -2.0], [-1.3, -0.2, -0.7], [-0.4, -2.5, -1.1]], [3, 1, 2])
    yield ntp("a padded row", [[-1.0, -0.5], [-1.3, -0.2]], [0, 2])
    yield ntp("all rows padded", [[-1.0, -0.5], [-1.3, -0.2]], [0, 0])
    yield ntp("length one", [[-0.25]], [1])
    yield ntp("log-probs of -50 and -1e4", [[-50.0, -1e4, 0.0]], [3])


def main():
    golden = {
        "command": "/usr/bin/python3 tests/golden/make_golden.py > tests/golden/losses.json",
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "dpo": list(dpo_cases()),
        "pair_losses": list(pair_cases()),
        "softmax_dpo": list(softmax_dpo_cases()),
        "reference_free": list(reference_free_cases()),
        "grpo": list(grpo_cases()),
        "surrogates": list(surrogate_cases()),
        "ntp": list(ntp_cases()),
    }
    sections = []
    for key, value in golden.items():
        cases = value if isinstance(value, list) else None
        text = json.dumps(value, allow_nan=False)
        if cases is not None:
            text = "[\n" + ",\n".join(json.dumps(case, allow_nan=False) for case in cases) + "\n]"
        sections.append(f"{json.dumps(key)}: {text}")
    sys.stdout.write("{\n" + ",\n".join(sections) + "\n}\n")


if __name__ == "__main__":
    main()
