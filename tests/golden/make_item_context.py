"""Writes item_context/, item_context_hstu/ and item_context_hstu_time/: weights of small policies with item-level context and the logits that plain
PyTorch computes from them (in f64 the last), written from the formulas (one token per item, causal blocks, depth decoder) and not from the Rust code.

    python make_item_context.py
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
D, HEADS, DK, FF, LAYERS, DECODER_LAYERS, BUCKETS, MOST = 16, 2, 4, 24, 2, 2, 8, 16
VOCAB, ITEMS = 16, 5
# Levels of 4, 3 and 4 codes behind two special tokens.
CODES = [[0, 0, 1], [0, 0, 3], [0, 2, 0], [3, 1, 1], [1, 1, 1]]
OFFSETS = [2, 6, 9]
HISTORIES = [[3, 1, 2], [4], [0, 0, 4, 2, 1]]
TARGETS = [2, 0, 3]
# Seconds: two at once, minutes, days, back in time.
TIMES = [[0, 0, 250], [7], [100, 160, 86_500, 86_400, 40_000_000]]
TIME_BUCKETS, LOG_RATIO = 128, 0.301


def stack(name, layers):
    weights = {f"{name}.relative_attention_bias.weight": torch.randn(BUCKETS, HEADS) * 0.3,
               f"{name}.final_layer_norm.weight": 1 + 0.2 * torch.randn(D)}
    for i in range(layers):
        block = f"{name}.block.{i}"
        for part in "qkv":
            weights[f"{block}.self_attention.{part}.weight"] = torch.randn(HEADS * DK, D) * 0.3
        weights[f"{block}.self_attention.o.weight"] = torch.randn(D, HEADS * DK) * 0.3
        weights[f"{block}.feed_forward.wi.weight"] = torch.randn(FF, D) * 0.3
        weights[f"{block}.feed_forward.wo.weight"] = torch.randn(D, FF) * 0.3
        weights[f"{block}.self_attention_norm.weight"] = 1 + 0.2 * torch.randn(D)
        weights[f"{block}.feed_forward_norm.weight"] = 1 + 0.2 * torch.randn(D)
    return weights


def hstu_stack(name, layers):
    weights = {f"{name}.relative_attention_bias.weight": torch.randn(BUCKETS, HEADS) * 0.3,
               f"{name}.final_layer_norm.weight": 1 + 0.2 * torch.randn(D)}
    for i in range(layers):
        block = f"{name}.block.{i}"
        weights[f"{block}.uvqk.weight"] = torch.randn(4 * HEADS * DK, D) * 0.3
        weights[f"{block}.o.weight"] = torch.randn(D, HEADS * DK) * 0.3
        weights[f"{block}.norm.weight"] = 1 + 0.2 * torch.randn(D)
        weights[f"{block}.attended_norm.weight"] = 1 + 0.2 * torch.randn(HEADS * DK)
    return weights


def norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gain


def bucket(distance):
    exact = BUCKETS // 2
    if distance < exact:
        return distance
    large = exact + int(math.log(distance / exact) / math.log(MOST / exact) * (BUCKETS - exact))
    return min(large, BUCKETS - 1)


def run(weights, name, layers, x, times=None):
    """One row `[t, D]` through a causal stack."""
    t = len(x)
    table = weights[f"{name}.relative_attention_bias.weight"]
    bias = torch.full((HEADS, t, t), -torch.inf, dtype=x.dtype)
    for q in range(t):
        for k in range(q + 1):
            bias[:, q, k] = table[bucket(q - k)]
    for i in range(layers):
        w = lambda part: weights[f"{name}.block.{i}.{part}.weight"]
        h = norm(x, w("self_attention_norm"))
        q, k, v = (torch.stack((h @ w(f"self_attention.{part}").T).split(DK, -1)) for part in "qkv")
        attended = torch.softmax(q @ k.transpose(1, 2) + bias, -1) @ v
        x = x + torch.cat(list(attended), -1) @ w("self_attention.o").T
        h = norm(x, w("feed_forward_norm"))
        x = x + torch.relu(h @ w("feed_forward.wi").T) @ w("feed_forward.wo").T
    return norm(x, weights[f"{name}.final_layer_norm.weight"])


def hstu_time_stack(name, layers):
    return {**hstu_stack(name, layers), f"{name}.relative_time_bias.weight": torch.randn(TIME_BUCKETS, HEADS) * 0.3}


def time_bucket(seconds):
    return min(int(math.log(max(1, abs(seconds))) / LOG_RATIO), TIME_BUCKETS - 1)


def run_hstu(weights, name, layers, x, times):
    """One row `[t, D]` through causal HSTU blocks: no softmax, no feed-forward layer."""
    t = len(x)
    time_table = weights.get(f"{name}.relative_time_bias.weight", torch.zeros(TIME_BUCKETS, HEADS))
    table = weights[f"{name}.relative_attention_bias.weight"]
    for i in range(layers):
        w = lambda part: weights[f"{name}.block.{i}.{part}.weight"]
        u, v, q, k = torch.nn.functional.silu(norm(x, w("norm")) @ w("uvqk").T).chunk(4, -1)
        attended = torch.zeros(t, HEADS * DK, dtype=x.dtype)
        for head in range(HEADS):
            part = slice(head * DK, (head + 1) * DK)
            for query in range(t):
                for key in range(query + 1):
                    score = q[query, part] @ k[key, part] + table[bucket(query - key), head]
                    score = score + time_table[time_bucket(times[query] - times[key]), head]
                    attended[query, part] += torch.nn.functional.silu(score) / (query + 1) * v[key, part]
        x = x + (norm(attended, w("attended_norm")) * u) @ w("o").T
    return norm(x, weights[f"{name}.final_layer_norm.weight"])


def tokens(item):
    return [offset + code for offset, code in zip(OFFSETS, CODES[item])]


def write(kind, out, context_weights, run_context, dtype=torch.float32, **more):
    torch.manual_seed(0)
    weights = {"codes.weight": torch.randn(VOCAB, D) * 0.2, "items.weight": torch.randn(ITEMS + 1, D) * 0.2,
               "head.weight": torch.randn(VOCAB, D) * 0.2,
               **context_weights("context", LAYERS), **stack("decoder", DECODER_LAYERS)}
    stored = weights
    weights = {k: v.to(dtype) for k, v in weights.items()}
    codes, items, scale = weights["codes.weight"], weights["items.weight"], math.sqrt(D)
    inputs, logits = [], []
    for history, times, target in zip(HISTORIES, TIMES, TARGETS):
        x = torch.stack([scale * (codes[tokens(i)].sum(0) + items[i + 1]) for i in history])
        context = run_context(weights, "context", LAYERS, x, times)[-1]
        row = [0] + tokens(target)[:-1]
        states = run(weights, "decoder", DECODER_LAYERS, scale * codes[row] + context)
        inputs.append(row)
        logits.append((states @ weights["head.weight"].T).tolist())
    out.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in stored.items()}, out / "model.safetensors", {"format": "pt"})
    sizes = dict(vocab_size=VOCAB, levels=len(OFFSETS), num_items=ITEMS, d_model=D, d_kv=DK, d_ff=FF, num_heads=HEADS, num_layers=LAYERS,
                 num_decoder_layers=DECODER_LAYERS, relative_attention_num_buckets=BUCKETS,
                 relative_attention_max_distance=MOST, dropout_rate=0.1, layer_norm_epsilon=1e-6,
                 context_block=kind, item_embedding="codes-and-item", code_decoder="depth", head="own", **more)
    config = {"architectures": ["ItemContext"], "model_type": "item-context", **sizes}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    expected = {"histories": HISTORIES, "decoder_inputs": inputs, "logits": logits}
    if more:
        expected["times"] = TIMES
    (out / "expected.json").write_text(json.dumps(expected) + "\n")


write("transformer", HERE / "item_context", stack, run)
write("hstu", HERE / "item_context_hstu", hstu_stack, run_hstu)
write("hstu", HERE / "item_context_hstu_time", hstu_time_stack, run_hstu, torch.float64, attention_bias="position-and-time")
