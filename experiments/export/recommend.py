#!/usr/bin/env python3
"""Recommends from an exported directory with transformers alone.

    python recommend.py DIR ITEM_ID ITEM_ID ... [-k 10]     (oldest first; needs torch, transformers, safetensors, pyarrow)
"""
import argparse
import json
import pathlib

import pyarrow.parquet
import torch
import transformers
from safetensors.torch import load_file


class Recommender:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.about = json.loads((folder / "serving.json").read_text())
        self.trie = {name: rows.tolist() for name, rows in load_file(folder / "sid_trie.safetensors").items()}
        table = pyarrow.parquet.read_table(folder / "sid_map.parquet")
        self.ids = table["raw_id"].to_pylist()
        self.codes = list(zip(*(table[f"code_{level}"].to_pylist() for level in range(len(self.about["offsets"])))))
        self.encodes = self.about["architecture"] == "t5"
        kind = transformers.AutoModelForSeq2SeqLM if self.encodes else transformers.AutoModelForCausalLM
        self.model = kind.from_pretrained(folder).float().eval()

    def tokens(self, history):
        """What the policy reads of a history of rows of sid_map.parquet."""
        offsets, recent = self.about["offsets"], history[-self.about["history_items"]:]
        read = [o + c for row in recent for o, c in zip(offsets, self.codes[row])] or [0] * len(offsets)
        return read if self.encodes else read + [0]

    def children(self, node):
        """Tokens that may follow a prefix, with the prefixes they lead to."""
        level = sum(node >= first for first in self.trie["depths"]) - 1
        first, last = self.trie["starts"][node], self.trie["starts"][node + 1]
        return {self.about["offsets"][level] + self.trie["codes"][edge]: edge + 1 for edge in range(first, last)}

    @torch.inference_mode()
    def beam(self, history, width):
        """The most probable items as (row, log-probability), best first."""
        inputs, levels = torch.tensor([self.tokens(history)]), len(self.about["offsets"])
        skip = 1 if self.encodes else inputs.shape[1]

        def walk(written):
            node = 0
            for token in written:
                # Where fewer prefixes exist than the beam is wide, generate fills it with impossible ones.
                node = None if node is None else self.children(node).get(token)
            return node

        def allowed(_, seen):
            node = walk(seen[skip:].tolist())
            return [0] if node is None else list(self.children(node))

        out = self.model.generate(
            input_ids=inputs, attention_mask=torch.ones_like(inputs), num_beams=width, num_return_sequences=width,
            prefix_allowed_tokens_fn=allowed, do_sample=False,
            renormalize_logits=self.about["log_prob_space"] == "trie", length_penalty=0.0, early_stopping=False,
            max_new_tokens=levels, eos_token_id=None, return_dict_in_generate=True, output_scores=True)
        found = []
        for written, score in zip(out.sequences[:, skip:].tolist(), out.sequences_scores.tolist()):
            if (node := walk(written)) is not None:
                leaf = node - self.trie["depths"][levels]
                first, last = self.trie["item_starts"][leaf], self.trie["item_starts"][leaf + 1]
                found += [(row, score) for row in self.trie["items"][first:last]]
        return found

    def recommend(self, history, k):
        """Ids and log-probabilities; unknown ids of the history are skipped, seen items left out."""
        rows = {name: row for row, name in enumerate(self.ids)}
        history = [rows[name] for name in history if name in rows]
        found = self.beam(history, min(2 * k + len(history), len(self.trie["item_starts"]) - 1))
        return [(self.ids[row], score) for row, score in found if row not in history][:k]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("history", nargs="*")
    parser.add_argument("-k", type=int, default=10)
    arguments = parser.parse_args()
    for item, score in Recommender(arguments.folder).recommend(arguments.history, arguments.k):
        print(f"{score:9.4f}  {item}")
