"""Writes discrec/: a tiny T5 whose encoder reads two branches (DiscRec), with random weights, and its logits in f64. The branches
are written from the formulas, the rest is `transformers`' own T5.

    python make_discrec.py
"""

import json
from pathlib import Path

import torch
import transformers
from safetensors.torch import save_file

OUT = Path(__file__).parent / "discrec"
D, HEADS, DK, FF = 16, 2, 4, 24
# Levels of 4, 3 and 4 codes behind two special tokens.
CODES = [[0, 0, 1], [0, 0, 3], [0, 2, 0], [3, 1, 1], [1, 1, 1]]
OFFSETS = [2, 6, 9]
HISTORIES = [[3, 1, 2], [4], [0, 0, 4, 2, 1]]
TARGETS = [2, 0, 3]
SIZES = dict(vocab_size=16, d_model=D, d_kv=DK, d_ff=FF, num_heads=HEADS, num_layers=2, num_decoder_layers=2,
             relative_attention_num_buckets=8, relative_attention_max_distance=16, dropout_rate=0.1, layer_norm_epsilon=1e-6)
CONSTANTS = dict(feed_forward_proj="relu", tie_word_embeddings=True, is_encoder_decoder=True, use_cache=True, pad_token_id=0,
                 eos_token_id=1, decoder_start_token_id=0)


def tokens(item):
    return [offset + code for offset, code in zip(OFFSETS, CODES[item])]


def norm(x, gain):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * gain


def branch_weights():
    block = {f"item.self_attention.{part}": torch.randn(HEADS * DK, D) * 0.3 for part in "qkv"}
    block |= {"item.self_attention.o": torch.randn(D, HEADS * DK) * 0.3, "item.self_attention_norm": 1 + 0.2 * torch.randn(D),
              "item.feed_forward.wi": torch.randn(FF, D) * 0.3, "item.feed_forward.wo": torch.randn(D, FF) * 0.3,
              "item.feed_forward_norm": 1 + 0.2 * torch.randn(D)}
    return block | {"level": torch.randn(len(OFFSETS), D) * 0.3, "norm": 1 + 0.2 * torch.randn(D), "gate": torch.randn(2, D) * 0.5}


def item(w, x):
    """The fused embeddings of one item's codes, `[levels, D]`."""
    c = x + w["level"]
    h = norm(c, w["item.self_attention_norm"])
    q, k, v = ((h @ w[f"item.self_attention.{part}"].T).split(DK, -1) for part in "qkv")
    heads = [torch.softmax(q[i] @ k[i].T, -1) @ v[i] for i in range(HEADS)]
    c = c + torch.cat(heads, -1) @ w["item.self_attention.o"].T
    h = norm(c, w["item.feed_forward_norm"])
    c = norm(c + torch.relu(h @ w["item.feed_forward.wi"].T) @ w["item.feed_forward.wo"].T, w["norm"])
    share = torch.softmax(torch.stack([x @ w["gate"][0], c @ w["gate"][1]], -1), -1)
    return share[:, :1] * x + share[:, 1:] * c


def main():
    torch.manual_seed(0)
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**SIZES, **CONSTANTS)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    stored = branch_weights()
    weights = {k: v.contiguous() for k, v in model.state_dict().items() if "embed_tokens" not in k and k != "lm_head.weight"}
    weights |= {f"branches.{name}.weight": value.contiguous() for name, value in stored.items()}
    weights = {name: value.clone() for name, value in weights.items()}
    branches = {name: value.double() for name, value in stored.items()}
    model = model.double()
    inputs, logits = [], []
    with torch.no_grad():
        for history, target in zip(HISTORIES, TARGETS):
            codes = [model.shared.weight[tokens(i)] for i in history]
            read = torch.cat([item(branches, x) for x in codes])[None]
            row = [0] + tokens(target)[:-1]
            inputs.append(row)
            logits.append(model(inputs_embeds=read, decoder_input_ids=torch.tensor([row])).logits[0].tolist())
    OUT.mkdir(exist_ok=True)
    save_file(weights, OUT / "model.safetensors", {"format": "pt"})
    config = {"architectures": ["ExtendedT5"], "model_type": "extended-t5", **CONSTANTS, "torch_dtype": "float32", **SIZES,
              "branch_tokens": len(OFFSETS)}
    (OUT / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    (OUT / "expected.json").write_text(json.dumps({"histories": HISTORIES, "decoder_inputs": inputs, "logits": logits}) + "\n")


main()
