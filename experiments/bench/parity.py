#!/usr/bin/env python3
"""Checks that transformers computes what this program does, from an exported directory alone.

    recalign export RUN --to DIR --golden 1000 --requests test-users
    PYTHON parity.py DIR            (needs torch, transformers, safetensors, pyarrow)

Loads DIR as its readers do (the shipped recommend.py), replays reference_io.safetensors, prints one JSON line, and fails unless
- no weight is missing, unexpected or of another shape, and the tokenizer reads semantic IDs as the policy does;
- logits differ by at most the tolerance, and the best token at every position is the same;
- the lists of 20 items under the trie are the same for 99.9 % of the requests, but for ties of rounding.
"""
import argparse
import importlib.util
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import load_file

LEAST_SAME_LISTS = 0.999


def shipped(folder):
    spec = importlib.util.spec_from_file_location("recommend", folder / "recommend.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Recommender(folder)


def loading_problems(recommender, folder):
    kind = transformers.AutoModelForSeq2SeqLM if recommender.encodes else transformers.AutoModelForCausalLM
    _, report = kind.from_pretrained(folder, output_loading_info=True)
    return sorted(str(key) for name in ("missing_keys", "unexpected_keys", "mismatched_keys") for key in report[name])


def tokenizer_agrees(recommender, folder, rows):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for row in rows:
        words = "".join(f"<s{level}_{code}>" for level, code in enumerate(recommender.codes[row]))
        expected = [o + c for o, c in zip(recommender.about["offsets"], recommender.codes[row])]
        if tokenizer(words, add_special_tokens=False)["input_ids"] != expected:
            return False
    return tokenizer.pad_token_id == 0


@torch.inference_mode()
def logits(recommender, tokens, codes):
    """Of the positions that predict `codes`, after the tokens of a history."""
    written = [0] + codes[:-1]
    if recommender.encodes:
        inputs = torch.tensor([tokens])
        return recommender.model(input_ids=inputs, attention_mask=torch.ones_like(inputs),
                                 decoder_input_ids=torch.tensor([written])).logits[0]
    return recommender.model(input_ids=torch.tensor([tokens + written[1:]])).logits[0, -len(codes):]


def compare(recommender, golden, request):
    """Largest difference of logits, same best tokens, same list, largest difference of scores."""
    start, end = golden["history_starts"][request:request + 2].tolist()
    history = golden["history_items"][start:end].tolist()
    start, end = golden["input_starts"][request:request + 2].tolist()
    tokens, read = recommender.tokens(history), golden["input_ids"][start:end].tolist()
    assert tokens == (read if recommender.encodes else read + [0]), f"request {request} is read as other tokens"
    items, scores = golden["beam_items"][request].tolist(), golden["beam_log_probs"][request].tolist()
    codes = [o + c for o, c in zip(recommender.about["offsets"], recommender.codes[items[0]])]
    ours, theirs = golden["logits"][request], logits(recommender, tokens, codes)
    found = recommender.beam(history, len(items))
    tie = recommender.about["tolerance"]["log_prob"]
    listed = [(item, score) for item, score in zip(items, scores) if item >= 0]
    differences = [abs(score - other) for (_, score), (_, other) in zip(listed, found)]
    same = len(found) >= len(listed) and all(
        item == other or difference <= tie for (item, _), (other, _), difference in zip(listed, found, differences))
    return ((ours - theirs).abs().max().item(), bool((ours.argmax(-1) == theirs.argmax(-1)).all()), same, max(differences))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--users", type=int, default=1000)
    arguments = parser.parse_args()
    recommender, golden = shipped(arguments.folder), load_file(arguments.folder / "reference_io.safetensors")
    count = min(arguments.users, len(golden["beam_items"]))
    results = list(zip(*(compare(recommender, golden, request) for request in range(count))))
    report = {
        "architecture": recommender.about["architecture"], "requests": count, "transformers": transformers.__version__,
        "loading_problems": loading_problems(recommender, arguments.folder),
        "tokenizer": tokenizer_agrees(recommender, arguments.folder, range(0, len(recommender.ids), max(1, len(recommender.ids) // 50))),
        "logits_max_difference": max(results[0]), "greedy_same": sum(results[1]) / count, "lists_same": sum(results[2]) / count,
        "scores_max_difference": max(results[3]),
    }
    print(json.dumps(report))
    good = not report["loading_problems"] and report["tokenizer"] and report["greedy_same"] == 1
    good = good and report["logits_max_difference"] <= recommender.about["tolerance"]["logits"]
    sys.exit(0 if good and report["lists_same"] >= LEAST_SAME_LISTS else 1)


if __name__ == "__main__":
    main()
