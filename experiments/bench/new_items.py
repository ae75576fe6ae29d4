#!/usr/bin/env python3
"""What becomes of items that come after training, on a log in S3-Rec's format (needs numpy, pyarrow, safetensors).

    PYTHON new_items.py reduce BEAUTY_DIR --to DIR      the log, texts and vectors without every twentieth item; DIR/new.parquet has these
    PYTHON new_items.py recall BEAUTY_DIR EXPORTED... [--recalign target/release/recalign]

Between the two: `recalign run CONFIG --set data.path=DIR` (text codes), `export`, `export assign --items DIR/new.parquet`. `recall` asks
`recalign serve` for ten items for every user, whose last item of the whole log is the target; targets among the new items are counted apart.
"""
import argparse
import http.client
import json
import math
import pathlib
import subprocess
import time
import urllib.error
import urllib.request

LOG, ITEMS, VECTORS = "Beauty.txt", "Beauty_items.tsv", "embeddings.minilm-l6-v2.f16.safetensors"
PORT = 18123


def is_new(item):
    return int(item) % 20 == 7


def users(folder):
    return [line.split() for line in (folder / LOG).read_text().splitlines()]


def reduce(arguments):
    import numpy
    import pyarrow
    import pyarrow.parquet
    from safetensors.numpy import load_file, save_file
    arguments.to.mkdir(parents=True, exist_ok=True)
    head, *rows = (arguments.folder / ITEMS).read_text().splitlines()
    ids = [row.split("\t")[0] for row in rows]
    old, new = ([at for at, item in enumerate(ids) if is_new(item) == wanted] for wanted in (False, True))
    (arguments.to / ITEMS).write_text("\n".join([head, *(rows[at] for at in old)]) + "\n")
    (name, vectors), = load_file(arguments.folder / VECTORS).items()
    save_file({name: numpy.ascontiguousarray(vectors[old])}, arguments.to / VECTORS)
    kept = [[user, *(item for item in items if not is_new(item))] for user, *items in users(arguments.folder)]
    (arguments.to / LOG).write_text("".join(" ".join(line) + "\n" for line in kept if len(line) > 3))
    texts = [" ".join(rows[at].split("\t")[2:]) for at in new]
    vectors = pyarrow.array(vectors[new].astype(numpy.float32).tolist(), pyarrow.list_(pyarrow.float32()))
    table = pyarrow.table({"raw_id": [ids[at] for at in new], "text": texts, "vector": vectors})
    pyarrow.parquet.write_table(table, arguments.to / "new.parquet")


def lists(wishes):
    """Ten items each, 64 wishes at a time."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT)
    for at in range(0, len(wishes), 64):
        body = json.dumps({"requests": wishes[at:at + 64]})
        connection.request("POST", "/v1/recommend", body, {"Content-Type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        yield from ([item["id"] for item in result["items"]] for result in answer["results"])


def serving(recalign, folder):
    command = [recalign, "-q", "serve", str(folder), "--address", f"127.0.0.1:{PORT}", "--max-time", "60000"]
    process = subprocess.Popen(command)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/healthz")
            return process
        except urllib.error.URLError:
            assert process.poll() is None, f"cannot serve {folder}"
            time.sleep(0.1)
    raise TimeoutError(folder)


def tell(name, found):
    """Recall and NDCG at 10 with a 95 % interval."""
    hits = sum(target in items for items, target in found) / len(found)
    gains = sum(1 / math.log2(2 + items.index(target)) for items, target in found if target in items) / len(found)
    around = 1.96 * math.sqrt(hits * (1 - hits) / len(found))
    print(f"  {name}: {len(found)} users, recall@10 {hits:.4f} +- {around:.4f}, ndcg@10 {gains:.4f}", flush=True)


def recall(arguments):
    logs = [items for _, *items in users(arguments.folder)]
    wishes = [{"history": items[:-1], "k": 10, "beam": 50} for items in logs]
    items = sorted({item for log in logs for item in log if is_new(item)})
    for folder in arguments.exported:
        process = serving(arguments.recalign, folder)
        try:
            print(folder)
            found = [(shown, log[-1]) for shown, log in zip(lists(wishes), logs)]
            tell("all", found)
            tell("old targets", [pair for pair in found if not is_new(pair[1])])
            tell("new targets", [pair for pair in found if is_new(pair[1])])
            print(f"  lists with a new item: {sum(any(map(is_new, shown)) for shown, _ in found) / len(found):.4f}")
            late = [log for log in logs if is_new(log[-1])]
            alone = lists([{"history": log[:-1], "k": 10, "allow": items} for log in late])
            tell("new targets among the new items alone", [(shown, log[-1]) for shown, log in zip(alone, late)])
        finally:
            process.terminate()
            process.wait()


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True, dest="verb")
    one = verbs.add_parser("reduce")
    one.add_argument("folder", type=pathlib.Path)
    one.add_argument("--to", type=pathlib.Path, required=True)
    other = verbs.add_parser("recall")
    other.add_argument("folder", type=pathlib.Path)
    other.add_argument("exported", type=pathlib.Path, nargs="+")
    other.add_argument("--recalign", default="target/release/recalign")
    arguments = parser.parse_args()
    {"reduce": reduce, "recall": recall}[arguments.verb](arguments)


if __name__ == "__main__":
    main()
