"""Writes lazy_decoder/ and lazy_decoder_shared/: weights of small lazy decoders and the logits that plain PyTorch computes
from them, written from the formulas (a projected context, blocks of lazy cross-attention, causal self-attention and
feed-forward layer) and not from the Rust code. The first has two sets of keys and values for three blocks, the second one
set whose keys are its values.

    python make_lazy_decoder.py
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

HERE = Path(__file__).parent
D, HEADS, DK, FF, LAYERS, BUCKETS, MOST = 16, 4, 4, 24, 3, 8, 16
VOCAB, ITEMS = 16, 5
# Levels of 4, 3 and 4 codes behind two special tokens.
CODES = [[0, 0, 1], [0, 0, 3], [0, 2, 0], [3, 1, 1], [1, 1, 1]]
OFFSETS = [2, 6, 9]
HISTORIES = [[3, 1, 2], [4], [0, 0, 4, 2, 1]]
TARGETS = [2, 0, 3]


def norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gain


def sinusoid(place):
    angles = [place / 10000 ** (2 * i / D) for i in range(D // 2)]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def tokens(item):
    return [offset + code for offset, code in zip(OFFSETS, CODES[item])]


def make_weights(parts, groups, own):
    weights = {"codes.weight": torch.randn(VOCAB, D) * 0.2, "position.weight": torch.randn(D, D) * 0.2,
               "context.weight": torch.randn(parts * groups * DK, D) * 0.3,
               "relative_attention_bias.weight": torch.randn(BUCKETS, HEADS) * 0.3,
               "final_layer_norm.weight": 1 + 0.2 * torch.randn(D)}
    if own:
        weights["items.weight"] = torch.randn(ITEMS + 1, D) * 0.2
        weights["head.weight"] = torch.randn(VOCAB, D) * 0.2
    for i in range(parts):
        weights[f"context_norm.{i}.weight"] = 1 + 0.2 * torch.randn(groups * DK)
    for i in range(LAYERS):
        for part in ["self_attention.q", "self_attention.k", "self_attention.v", "cross_attention.q"]:
            weights[f"block.{i}.{part}.weight"] = torch.randn(HEADS * DK, D) * 0.3
        for part in ["self_attention", "cross_attention"]:
            weights[f"block.{i}.{part}.o.weight"] = torch.randn(D, HEADS * DK) * 0.3
        weights[f"block.{i}.feed_forward.wi.weight"] = torch.randn(FF, D) * 0.3
        weights[f"block.{i}.feed_forward.wo.weight"] = torch.randn(D, FF) * 0.3
        for part in ["self_attention_norm", "cross_attention_norm", "feed_forward_norm"]:
            weights[f"block.{i}.{part}.weight"] = 1 + 0.2 * torch.randn(D)
    return weights


def logits(weights, history, row, s_kv, l_kv, groups):
    codes, position = weights["codes.weight"], weights["position.weight"]
    items = weights.get("items.weight", torch.zeros(ITEMS + 1, D))
    x = torch.stack([codes[tokens(item)].sum(0) + items[item + 1] + position @ sinusoid(place)
                     for place, item in enumerate(history)]) * math.sqrt(D)
    parts = (x @ weights["context.weight"].T).split(groups * DK, -1)
    parts = [norm(part, weights[f"context_norm.{i}.weight"]) for i, part in enumerate(parts)]
    x = (codes[row] + position @ sinusoid(len(history))) * math.sqrt(D)
    t = len(row)
    for l in range(LAYERS):
        w = lambda part: weights[f"block.{l}.{part}.weight"]
        at = l * l_kv // LAYERS
        key, value = parts[at * s_kv], parts[at * s_kv + s_kv - 1]
        query = norm(x, w("cross_attention_norm")) @ w("cross_attention.q").T
        heads = []
        for head in range(HEADS):
            shared = slice(head * groups // HEADS * DK, (head * groups // HEADS + 1) * DK)
            scores = query[:, head * DK:(head + 1) * DK] @ key[:, shared].T / math.sqrt(DK)
            heads.append(torch.softmax(scores, -1) @ value[:, shared])
        x = x + torch.cat(heads, -1) @ w("cross_attention.o").T
        h = norm(x, w("self_attention_norm"))
        q, k, v = (torch.stack((h @ w(f"self_attention.{part}").T).split(DK, -1)) for part in "qkv")
        bias = torch.full((HEADS, t, t), -torch.inf)
        for a in range(t):
            for b in range(a + 1):
                # Rows are shorter than the buckets that hold one distance each.
                bias[:, a, b] = weights["relative_attention_bias.weight"][a - b]
        attended = torch.softmax(q @ k.transpose(1, 2) + bias, -1) @ v
        x = x + torch.cat(list(attended), -1) @ w("self_attention.o").T
        x = x + torch.relu(norm(x, w("feed_forward_norm")) @ w("feed_forward.wi").T) @ w("feed_forward.wo").T
    head = weights.get("head.weight", codes)
    return (norm(x, weights["final_layer_norm.weight"]) @ head.T).tolist()


def write(name, s_kv, l_kv, groups, own):
    torch.manual_seed(0)
    weights = make_weights(s_kv * l_kv, groups, own)
    inputs = [[0] + tokens(target)[:-1] for target in TARGETS]
    out = HERE / name
    out.mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in weights.items()}, out / "model.safetensors", {"format": "pt"})
    sizes = dict(vocab_size=VOCAB, num_items=ITEMS, d_model=D, d_head=DK, d_ff=FF, num_heads=HEADS, g_kv=groups, l_kv=l_kv,
                 s_kv=s_kv, num_layers=LAYERS, relative_attention_num_buckets=BUCKETS,
                 relative_attention_max_distance=MOST, dropout_rate=0.1, layer_norm_epsilon=1e-6,
                 item_embedding="codes-and-item" if own else "codes", head="own" if own else "tied")
    config = {"architectures": ["LazyDecoder"], "model_type": "lazy-decoder", **sizes}
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    computed = [logits(weights, history, row, s_kv, l_kv, groups) for history, row in zip(HISTORIES, inputs)]
    expected = {"histories": HISTORIES, "decoder_inputs": inputs, "logits": computed}
    (out / "expected.json").write_text(json.dumps(expected) + "\n")


write("lazy_decoder", s_kv=2, l_kv=2, groups=2, own=True)
write("lazy_decoder_shared", s_kv=1, l_kv=1, groups=1, own=False)
