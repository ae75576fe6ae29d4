#!/usr/bin/env python3
"""Checks the training loss against Hugging Face's with the same weights and batch, without dropout.

    recalign bench train --runs 1 --write DIR
    PYTHON check_train.py DIR       (needs torch and transformers)

Prints one JSON line and fails unless the losses agree.
"""
import json
import pathlib
import sys

import torch
from transformers import T5ForConditionalGeneration

TOLERANCE = 1e-4


def main():
    folder = pathlib.Path(sys.argv[1])
    case = json.loads((folder / "train.json").read_text())
    model = T5ForConditionalGeneration.from_pretrained(folder).eval()
    inputs, targets = torch.tensor(case["inputs"]), torch.tensor(case["targets"])
    with torch.inference_mode():
        loss = model(input_ids=inputs, attention_mask=torch.ones_like(inputs), labels=targets).loss.item()
    print(json.dumps({"ours": case["loss"], "transformers": loss, "difference": abs(case["loss"] - loss)}))
    sys.exit(0 if abs(case["loss"] - loss) < TOLERANCE else 1)


if __name__ == "__main__":
    main()
