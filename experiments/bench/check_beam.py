#!/usr/bin/env python3
"""Checks beam search against Hugging Face's `generate` with the same weights and requests.

    recalign bench beam --runs 1 --write DIR
    PYTHON check_beam.py DIR        (needs torch and transformers)

Prints one JSON line and fails unless the lists agree: the same item at the same rank, but for ties of rounding.
"""
import json
import pathlib
import sys

import torch
from transformers import T5ForConditionalGeneration

# Sums of four f32 log-probabilities from two libraries.
TOLERANCE = 1e-4
LEAST_SAME_RANK = 0.99


def trie(catalog):
    root = {}
    for item in catalog:
        node = root
        for token in item:
            node = node.setdefault(token, {})
    return root


@torch.inference_mode()
def generate(model, case):
    """Tokens `[users, width, levels]` and scores `[users, width]`."""
    root, levels, width = trie(case["catalog"]), len(case["catalog"][0]), len(case["lists"][0])

    def allowed(_, tokens):
        node = root
        for token in tokens.tolist()[1:]:
            node = node.get(token, {})
        return list(node) or [model.config.pad_token_id]

    inputs = torch.tensor(case["inputs"])
    out = model.generate(
        input_ids=inputs, attention_mask=torch.ones_like(inputs), prefix_allowed_tokens_fn=allowed, num_beams=width,
        num_return_sequences=width, max_new_tokens=levels, min_new_tokens=levels, do_sample=False, early_stopping=False,
        length_penalty=0.0, return_dict_in_generate=True, output_scores=True)
    users = len(case["inputs"])
    return out.sequences[:, 1:1 + levels].view(users, width, levels), out.sequences_scores.view(users, width)


def main():
    folder = pathlib.Path(sys.argv[1])
    case = json.loads((folder / "beam.json").read_text())
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()
    tokens, scores = generate(model, case)
    ours = torch.tensor([[entry["tokens"] for entry in ranked] for ranked in case["lists"]])
    ours_scores = torch.tensor([[entry["score"] for entry in ranked] for ranked in case["lists"]])
    same = (ours == tokens).all(-1).float().mean().item()
    sets = [len({tuple(t) for t in a} & {tuple(t) for t in b}) / len(a) for a, b in zip(ours.tolist(), tokens.tolist())]
    difference = (ours_scores - scores).abs().max().item()
    print(json.dumps({"same_rank": same, "same_set": sum(sets) / len(sets), "score_max_difference": difference}))
    sys.exit(0 if same >= LEAST_SAME_RANK and difference < TOLERANCE else 1)


if __name__ == "__main__":
    main()
