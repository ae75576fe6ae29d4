#!/usr/bin/env python3
"""What a team would write first: FastAPI and transformers over an exported T5 directory, for load.py to compare with.

    PYTHON python_service.py DIR --port 8001      (needs fastapi, uvicorn and what recommend.py needs)

The same weights, trie and beams as `recalign serve`; requests of one body are one padded batch, bodies are answered one after
the other (generation uses all cores).
"""
import argparse
import asyncio
import importlib.util
import pathlib

import fastapi
import torch
import uvicorn
from transformers import DynamicCache, EncoderDecoderCache


def shipped(folder):
    spec = importlib.util.spec_from_file_location("recommend", folder / "recommend.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Recommender(folder)


class Service:
    def __init__(self, folder):
        self.recommender = shipped(folder)
        self.rows = {name: row for row, name in enumerate(self.recommender.ids)}
        self.lock = asyncio.Lock()
        # Prefix (as tokens) -> tokens that may follow: walked once, not once per beam and step.
        self.legal = {}
        self.collect(0, ())

    def collect(self, node, prefix):
        if len(prefix) < len(self.recommender.about["offsets"]):
            children = self.recommender.children(node)
            self.legal[prefix] = (list(children), children)
            for token, child in children.items():
                self.collect(child, prefix + (token,))
        else:
            self.legal[prefix] = ([], node)

    @torch.inference_mode()
    def answer(self, requests):
        about, trie = self.recommender.about, self.recommender.trie
        histories = [[self.rows[name] for name in request["history"] if name in self.rows] for request in requests]
        rows = [self.recommender.tokens(history) for history in histories]
        longest, levels = max(map(len, rows)), len(about["offsets"])
        inputs = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        width = max(request["beam"] for request in requests)
        out = self.recommender.model.generate(
            input_ids=inputs, attention_mask=mask, num_beams=width, num_return_sequences=width, do_sample=False,
            prefix_allowed_tokens_fn=lambda _, seen: self.legal.get(tuple(seen[1:].tolist()), ([0],))[0] or [0],
            renormalize_logits=about["log_prob_space"] == "trie", length_penalty=0.0, early_stopping=False,
            past_key_values=EncoderDecoderCache(DynamicCache(), DynamicCache()), use_cache=True, max_new_tokens=levels, eos_token_id=None, return_dict_in_generate=True, output_scores=True)
        written = out.sequences[:, 1:].tolist()
        scores, results = out.sequences_scores.tolist(), []
        for at, (request, history) in enumerate(zip(requests, histories)):
            items = []
            for codes, score in zip(written[at * width:(at + 1) * width], scores[at * width:(at + 1) * width]):
                if tuple(codes) in self.legal:
                    leaf = self.legal[tuple(codes)][1] - trie["depths"][levels]
                    for row in trie["items"][trie["item_starts"][leaf]:trie["item_starts"][leaf + 1]]:
                        if row not in history:
                            items.append({"id": self.recommender.ids[row], "log_prob": score})
            results.append({"items": items[:request["k"]]})
        return {"results": results}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=8001)
    arguments = parser.parse_args()
    app, service = fastapi.FastAPI(), Service(arguments.folder)

    @app.post("/v1/recommend")
    async def recommend(body: dict):
        async with service.lock:
            return await asyncio.to_thread(service.answer, body["requests"])

    @app.get("/healthz")
    async def healthz():
        return "ok"

    uvicorn.run(app, host="127.0.0.1", port=arguments.port, log_level="warning")


if __name__ == "__main__":
    main()
