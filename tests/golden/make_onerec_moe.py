"""Writes onerec_moe/: weights of a small encoder-decoder whose decoder has experts, with biases that are not zero, and the
logits that plain PyTorch computes from them, written from the formulas and not from the Rust code.

    python make_onerec_moe.py
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
D, HEADS, DK, FF, LAYERS, BUCKETS, MOST = 16, 2, 4, 12, 2, 8, 16
VOCAB, EXPERTS, CHOSEN, SHARED = 16, 5, 2, 1
HISTORIES = [[5, 7, 12, 2, 8, 9, 3, 3, 14], [4, 6, 10], [15, 2, 2, 9, 13, 7, 7, 7, 3, 11, 4, 8]]
INPUTS = [[0, 3, 8, 11], [0, 2, 7, 9], [0, 5, 6, 12]]


def norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gain


def bucket(distance):
    exact = BUCKETS // 2
    if distance < exact:
        return distance
    large = exact + int(math.log(distance / exact) / math.log(MOST / exact) * (BUCKETS - exact))
    return min(large, BUCKETS - 1)


def make_weights():
    weights = {"shared.weight": torch.randn(VOCAB, D)}
    matrix = lambda *shape: torch.randn(*shape) * 0.3
    gain = lambda: 1 + 0.2 * torch.randn(D)
    for stack, attentions in [("encoder", ["self_attention"]), ("decoder", ["self_attention", "cross_attention"])]:
        weights[f"{stack}.relative_attention_bias.weight"] = matrix(BUCKETS, HEADS)
        weights[f"{stack}.final_layer_norm.weight"] = gain()
        for i in range(LAYERS):
            block = f"{stack}.block.{i}"
            for attention in attentions:
                for part in "qkv":
                    weights[f"{block}.{attention}.{part}.weight"] = matrix(HEADS * DK, D)
                weights[f"{block}.{attention}.o.weight"] = matrix(D, HEADS * DK)
                weights[f"{block}.{attention}_norm.weight"] = gain()
            weights[f"{block}.feed_forward_norm.weight"] = gain()
            layers = [""]
            if stack == "decoder":
                layers = [f"expert.{e}." for e in range(EXPERTS)] + [f"shared.{e}." for e in range(SHARED)]
                weights[f"{block}.feed_forward.router.weight"] = matrix(EXPERTS, D)
                weights[f"{block}.feed_forward.balance"] = torch.randn(EXPERTS) * 0.2
            for layer in layers:
                weights[f"{block}.feed_forward.{layer}wi.weight"] = matrix(FF, D)
                weights[f"{block}.feed_forward.{layer}wo.weight"] = matrix(D, FF)
    return weights


def attention(w, x, memory, bias):
    q = (x @ w("q").T).split(DK, -1)
    k, v = ((memory @ w(part).T).split(DK, -1) for part in "kv")
    heads = [torch.softmax(q[h] @ k[h].T + bias[h], -1) @ v[h] for h in range(HEADS)]
    return torch.cat(heads, -1) @ w("o").T


def causal(table, t):
    bias = torch.full((HEADS, t, t), -torch.inf)
    for a in range(t):
        for b in range(a + 1):
            bias[:, a, b] = table[bucket(a - b)]
    return bias


def layer(w, prefix, x):
    return torch.relu(x @ w(f"{prefix}wi").T) @ w(f"{prefix}wo").T


def experts(w, balance, x):
    scores = torch.softmax(x @ w("router").T, -1)
    out = sum(layer(w, f"shared.{e}.", x) for e in range(SHARED))
    chosen = torch.topk(scores + balance, CHOSEN, -1).indices
    changed = (chosen.sort().values != torch.topk(scores, CHOSEN, -1).indices.sort().values).any(-1).sum().item()
    rows = []
    for row in range(len(x)):
        rows.append(sum(scores[row, e] * layer(w, f"expert.{e}.", x[row]) for e in chosen[row].tolist()))
    return out + torch.stack(rows), changed


def run(weights, history, row):
    table = weights["shared.weight"]
    get = lambda prefix: lambda part: weights[f"{prefix}.{part}.weight"]
    x = table[history]
    bias = causal(weights["encoder.relative_attention_bias.weight"], len(history))
    for i in range(LAYERS):
        block = f"encoder.block.{i}"
        h = norm(x, weights[f"{block}.self_attention_norm.weight"])
        x = x + attention(get(f"{block}.self_attention"), h, h, bias)
        x = x + layer(get(f"{block}.feed_forward"), "", norm(x, weights[f"{block}.feed_forward_norm.weight"]))
    memory = norm(x, weights["encoder.final_layer_norm.weight"])
    x, all_changed = table[row], 0
    bias = causal(weights["decoder.relative_attention_bias.weight"], len(row))
    for i in range(LAYERS):
        block = f"decoder.block.{i}"
        h = norm(x, weights[f"{block}.self_attention_norm.weight"])
        x = x + attention(get(f"{block}.self_attention"), h, h, bias)
        h = norm(x, weights[f"{block}.cross_attention_norm.weight"])
        x = x + attention(get(f"{block}.cross_attention"), h, memory, torch.zeros(HEADS, 1, 1))
        h = norm(x, weights[f"{block}.feed_forward_norm.weight"])
        update, changed = experts(get(f"{block}.feed_forward"), weights[f"{block}.feed_forward.balance"], h)
        x, all_changed = x + update, all_changed + changed
    return (norm(x, weights["decoder.final_layer_norm.weight"]) * D**-0.5 @ table.T).tolist(), all_changed


def main():
    torch.manual_seed(0)
    weights = make_weights()
    results = [run(weights, history, row) for history, row in zip(HISTORIES, INPUTS)]
    assert sum(changed for _, changed in results) > 3, "the biases change the choice of experts"
    out = HERE / "onerec_moe"
    out.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in weights.items()}, out / "model.safetensors", {"format": "pt"})
    sizes = dict(vocab_size=VOCAB, d_model=D, d_kv=DK, d_ff=FF, num_heads=HEADS, num_layers=LAYERS,
                 num_decoder_layers=LAYERS, relative_attention_num_buckets=BUCKETS, relative_attention_max_distance=MOST,
                 dropout_rate=0.1, layer_norm_epsilon=1e-6, encoder_attention="causal", num_experts=EXPERTS,
                 num_experts_per_token=CHOSEN, num_shared_experts=SHARED, balance_rate=0.001)
    config = {"architectures": ["OneRecMoe"], "model_type": "onerec-moe", **sizes}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    expected = {"histories": HISTORIES, "decoder_inputs": INPUTS, "logits": [logits for logits, _ in results]}
    (out / "expected.json").write_text(json.dumps(expected) + "\n")


main()
