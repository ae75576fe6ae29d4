"""Writes item_context_parallel/, item_context_users/, item_context_hstu_seconds/, sasrec/ and hstu_id/: small policies with item-level
context, one choice each, and the logits that NumPy computes from their weights in double precision, written from the formulas:
all codes at once, a token of the user before the history, attention moved by time alone, and the two policies that know items by
their numbers.

    python make_item_context_choices.py    (numpy 2.4.6 and safetensors made the committed files)
"""

import json
import math
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HERE = Path(__file__).parent
D, HEADS, DK, FF, BUCKETS, MOST = 16, 2, 4, 24, 8, 16
ITEMS, TIME_BUCKETS = 5, 128
HISTORIES = [[3, 1, 2], [4], [0, 0, 4, 2, 1]]
TARGETS = [2, 0, 3]
# Seconds: two at once, minutes, days, back in time.
TIMES = [[0, 0, 250], [7], [100, 160, 86_500, 86_400, 40_000_000]]
# Levels of 4, 3 and 4 codes behind two special tokens; or every item a code of its own.
TUPLES = [[2, 6, 10], [2, 6, 12], [2, 8, 9], [5, 7, 10], [3, 7, 10]]
ATOMS = [[2 + item] for item in range(ITEMS)]
# With one bucket every user of the log has the second embedding and nobody the first.
USERS = [None, 0, 41]


def silu(x):
    return x / (1 + np.exp(-x))


def norm(x, gain):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * gain


def distance_bucket(distance):
    exact = BUCKETS // 2
    if distance < exact:
        return distance
    return min(BUCKETS - 1, exact + int(math.log(distance / exact) / math.log(MOST / exact) * exact))


def time_bucket(seconds):
    return min(TIME_BUCKETS - 1, int(math.log(max(1, abs(seconds))) / 0.301))


class Weights(dict):
    def __init__(self, seed):
        super().__init__()
        self.random = np.random.default_rng(seed)

    def draw(self, name, *shape, scale=0.3, mean=0.0):
        values = mean + scale * self.random.standard_normal(shape)
        self[f"{name}.weight"] = values.astype(np.float32).astype(np.float64)

    def of(self, *path):
        return self[".".join(map(str, path)) + ".weight"]


def draw_transformer(w, name, layers):
    w.draw(f"{name}.relative_attention_bias", BUCKETS, HEADS)
    w.draw(f"{name}.final_layer_norm", D, scale=0.2, mean=1)
    for i in range(layers):
        for part, shape in dict(q=(HEADS * DK, D), k=(HEADS * DK, D), v=(HEADS * DK, D), o=(D, HEADS * DK)).items():
            w.draw(f"{name}.block.{i}.self_attention.{part}", *shape)
        w.draw(f"{name}.block.{i}.feed_forward.wi", FF, D)
        w.draw(f"{name}.block.{i}.feed_forward.wo", D, FF)
        for part in ["self_attention_norm", "feed_forward_norm"]:
            w.draw(f"{name}.block.{i}.{part}", D, scale=0.2, mean=1)


def transformer(w, name, layers, x, _times):
    """`x [t, D]`; position by position, head by head."""
    bias = w.of(name, "relative_attention_bias")
    for i in range(layers):
        of = lambda *part: w.of(name, "block", i, *part)
        h = norm(x, of("self_attention_norm"))
        q, k, v = (h @ of("self_attention", part).T for part in "qkv")
        attended = np.zeros((len(x), HEADS * DK))
        for head in range(HEADS):
            own = slice(head * DK, (head + 1) * DK)
            for t in range(len(x)):
                scores = np.array([q[t, own] @ k[s, own] + bias[distance_bucket(t - s), head] for s in range(t + 1)])
                shares = np.exp(scores - scores.max())
                attended[t, own] = shares / shares.sum() @ v[: t + 1, own]
        x = x + attended @ of("self_attention", "o").T
        x = x + np.maximum(norm(x, of("feed_forward_norm")) @ of("feed_forward", "wi").T, 0) @ of("feed_forward", "wo").T
    return norm(x, w.of(name, "final_layer_norm"))


def draw_hstu(w, name, layers, by):
    w.draw(f"{name}.relative_{by}_bias", {"attention": BUCKETS, "time": TIME_BUCKETS}[by], HEADS)
    w.draw(f"{name}.final_layer_norm", D, scale=0.2, mean=1)
    for i in range(layers):
        w.draw(f"{name}.block.{i}.uvqk", 4 * HEADS * DK, D)
        w.draw(f"{name}.block.{i}.o", D, HEADS * DK)
        w.draw(f"{name}.block.{i}.norm", D, scale=0.2, mean=1)
        w.draw(f"{name}.block.{i}.attended_norm", HEADS * DK, scale=0.2, mean=1)


def hstu(w, name, layers, x, times):
    def bias(t, s, head):
        if f"{name}.relative_time_bias.weight" in w:
            return w.of(name, "relative_time_bias")[time_bucket(times[t] - times[s]), head]
        return w.of(name, "relative_attention_bias")[distance_bucket(t - s), head]

    for i in range(layers):
        of = lambda part: w.of(name, "block", i, part)
        u, v, q, k = np.split(silu(norm(x, of("norm")) @ of("uvqk").T), 4, axis=-1)
        attended = np.zeros((len(x), HEADS * DK))
        for head in range(HEADS):
            own = slice(head * DK, (head + 1) * DK)
            for t in range(len(x)):
                for s in range(t + 1):
                    attended[t, own] += silu(q[t, own] @ k[s, own] + bias(t, s, head)) / (t + 1) * v[s, own]
        x = x + (norm(attended, of("attended_norm")) * u) @ of("o").T
    return norm(x, w.of(name, "final_layer_norm"))


def write(name, *, context="transformer", by="attention", decoder="depth", decoder_layers=1, tuples=TUPLES, users=None, own_head=False):
    layers, levels, vocab = 2, len(tuples[0]), 16 if tuples is TUPLES else 8
    w, d = Weights(len(name)), math.sqrt(D)
    w.draw("codes", vocab, D, scale=0.2)
    if own_head:
        w.draw("head", vocab, D, scale=0.2)
    if users:
        w.draw("users.embedding", 2, D, scale=0.2)
    draw_hstu(w, "context", layers, by) if context == "hstu" else draw_transformer(w, "context", layers)
    if decoder == "parallel":
        for level in range(levels):
            w.draw(f"decoder.level.{level}", D, D)
        w.draw("decoder.norm", D, scale=0.2, mean=1)
    else:
        draw_transformer(w, "decoder", decoder_layers)
    codes, read = w.of("codes"), hstu if context == "hstu" else transformer
    inputs, logits = [], []
    for row, (history, times) in enumerate(zip(HISTORIES, TIMES)):
        x = [codes[tuples[item]].sum(0) for item in history]
        if users:
            x.insert(0, w.of("users.embedding")[0 if users[row] is None else 1])
        last = read(w, "context", layers, d * np.stack(x), times)[-1]
        tokens = [0] + tuples[TARGETS[row]][:-1]
        if decoder == "parallel":
            states = [norm(last + silu(last @ w.of("decoder.level", level).T), w.of("decoder.norm")) for level in range(levels)]
        else:
            states = transformer(w, "decoder", decoder_layers, d * codes[tokens] + last, None)
        inputs.append(tokens)
        logits.append((np.stack(states) @ (w.of("head") if own_head else codes).T).tolist())
    out = HERE / name
    out.mkdir(exist_ok=True)
    save_file({key: value.astype(np.float32) for key, value in w.items()}, out / "model.safetensors", {"format": "pt"})
    config = dict(architectures=["ItemContext"], model_type="item-context", vocab_size=vocab, levels=levels, num_items=ITEMS, d_model=D,
                  d_kv=DK, d_ff=FF, num_heads=HEADS, num_layers=layers, num_decoder_layers=decoder_layers,
                  relative_attention_num_buckets=BUCKETS, relative_attention_max_distance=MOST, dropout_rate=0.1, layer_norm_epsilon=1e-6,
                  context_block=context, item_embedding="codes", code_decoder=decoder, head="own" if own_head else "tied")
    if by == "time":
        config["attention_bias"] = "time"
    if users:
        config["user_buckets"] = 1
    (out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    expected = {"histories": HISTORIES, "decoder_inputs": inputs, "logits": logits}
    expected |= {"times": TIMES} if by == "time" else {}
    expected |= {"users": users} if users else {}
    (out / "expected.json").write_text(json.dumps(expected) + "\n")


write("item_context_parallel", decoder="parallel", decoder_layers=0, own_head=True)
write("item_context_users", users=USERS)
write("item_context_hstu_seconds", context="hstu", by="time")
# As beauty-sasrec.toml and beauty-hstu.toml have them: atomic IDs, no decoder block, one table for reading and writing.
write("sasrec", tuples=ATOMS, decoder_layers=0)
write("hstu_id", tuples=ATOMS, decoder_layers=0, context="hstu")
