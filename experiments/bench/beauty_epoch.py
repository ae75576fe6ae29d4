#!/usr/bin/env python3
"""Compares an epoch of pretraining on Amazon Beauty with Hugging Face's T5: real lengths, the same batches and targets.

`recalign bench epoch --write DIR` writes its weights before the first step and the tokens of its batches; T5 then takes
the same steps from the same weights: AdamW, clipping and dropout as configured, every batch padded to its own longest
history (batches are of like length, so that is little). Both sides alternate, in processes of their own. The epoch's time is
extrapolated from --batches of its batches, a random sample; a ratio is the peer's time over ours within one pair
(above 1: ours is faster). With --dropout 0 the first losses must agree.

Prints one JSON line per pair and one with the median. Needs the peers' Python environment (--python) and their run.sh.
"""
import argparse
import json
import math
import pathlib
import statistics
import sys
import tempfile
import time

sys.dont_write_bytecode = True  # this folder is part of a checkout

import peers

CONFIG = peers.ROOT / "experiments/configs/beauty-t5.toml"
TOLERANCE = 1e-3


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peers.add_places(parser)
    parser.add_argument("--data", type=pathlib.Path, default=peers.ROOT / "../shared/data/beauty", help="the folder of Beauty.txt")
    parser.add_argument("--batches", type=int, default=40, help="batches of the epoch that are timed")
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--time", type=pathlib.Path, metavar="DIR", help="take the peer's steps on the batches in DIR and do nothing else")
    return parser.parse_args()


def ours(args, folder):
    sets = [f"data.path={args.data.resolve()}", f"model.dropout={args.dropout}"]
    command = [str(args.recalign.resolve()), "bench", "epoch", "--json", "--write", folder, "--config", str(CONFIG)]
    command += [word for key in sets for word in ("--set", key)]
    return peers.run(["bash", "-c", peers.ALONE, "_", *command, *common(args)], args)


def theirs(args, folder):
    script = pathlib.Path(__file__).resolve()
    return peers.run(["./run.sh", str(script), "--time", folder, "--dropout", str(args.dropout), *common(args)], args, cwd=args.peers)


def common(args):
    return ["--threads", str(args.threads), "--warmup", str(args.warmup), "--batches", str(args.batches)]


def pair(args):
    with tempfile.TemporaryDirectory() as folder:
        sides = {"ours": ours(args, folder), "peer": theirs(args, folder)}
    losses = [side["first_loss"] for side in sides.values()]
    if args.dropout == 0 and abs(losses[0] - losses[1]) > TOLERANCE:
        sys.exit(f"the first losses differ: {losses}")
    return {"ratio": sides["peer"]["epoch_s"] / sides["ours"]["epoch_s"]} | sides


def padded(rows, torch):
    """Rows filled up to the longest with token 0, and which tokens count."""
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    return tokens, torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])


def take_steps(args):
    """The peer's side: prints its record."""
    import torch
    from transformers import T5ForConditionalGeneration

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    case = json.loads((args.time / "epoch.json").read_text())
    model = T5ForConditionalGeneration.from_pretrained(args.time, dropout_rate=args.dropout).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=case["learning_rate"], weight_decay=case["weight_decay"])
    losses, seconds = [], []
    for number in range(args.warmup + len(case["batches"])):
        batch = case["batches"][number % len(case["batches"])]
        started = time.perf_counter()
        inputs, mask = padded(batch["inputs"], torch)
        loss = model(input_ids=inputs, attention_mask=mask, labels=torch.tensor(batch["targets"])).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), case["max_grad_norm"])
        optimizer.step()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - started)
    timed = seconds[args.warmup :]
    record = {"workload": "W-epoch", "variant": "hf", "threads": args.threads, "batches": len(timed)}
    record |= {"epoch_s": math.fsum(timed) / len(timed) * case["epoch_batches"], "epoch_batches": case["epoch_batches"]}
    record |= {"dropout": args.dropout, "first_loss": losses[0], "last_loss": losses[-1]}
    print(json.dumps(record), flush=True)


def main():
    args = arguments()
    if args.time:
        return take_steps(args)
    if not (args.data / "Beauty.txt").is_file():
        print(f"skipped: {args.data} has no Beauty.txt (--data DIR)")
        return None
    pairs = []
    for _ in range(args.pairs):
        pairs.append(pair(args))
        print(json.dumps(pairs[-1]), flush=True)
    ratios = [one["ratio"] for one in pairs]
    middle = {side: statistics.median(one[side]["epoch_s"] for one in pairs) for side in ("ours", "peer")}
    print(json.dumps({"ratio": statistics.median(ratios), "least": min(ratios), "most": max(ratios), "epoch_s": middle}))


if __name__ == "__main__":
    main()
