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
        "grpo": list(grpo_cases()),
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
