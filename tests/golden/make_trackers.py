#!/usr/bin/env python3
"""Writes tests/golden/trackers: one run as W&B and trackio keep it, and what is in it as they themselves read it back.

Needs wandb (0.31), trackio (0.43) and pyarrow:  python3 tests/golden/make_trackers.py
The numbers are the same every time; identifiers and times in the files are not, so the bytes differ between two calls.
"""

import csv
import glob
import json
import math
import os
import shutil
import sqlite3
import sys
import tempfile
from pathlib import Path

TO = Path(__file__).resolve().parent / "trackers"
SETTINGS = {"learning_rate": 0.1, "seed": 7, "model": {"width": 128}}


def row(step):
    """What a trainer logs; 120 rows pass two blocks of W&B's file."""
    return {
        "train/global_step": 10 * step,
        "train/loss": 2.0 / (step + 1),
        "train/rewards/margins": math.sin(step / 10.0),
        "kl": 1e-3 * step * step,
        "nested": {"inner": step},
        "note": "text " * 20,
    }


def with_wandb(work):
    import wandb

    settings = wandb.Settings(
        mode="offline", root_dir=work, host="host", disable_git=True, disable_code=True, x_disable_meta=True,
        x_disable_stats=True, console="off", silent=True, x_save_requirements=False, program="train.py",
        username="user", email="",
    )
    run = wandb.init(project="demo", name="grpo-imported", config=SETTINGS, settings=settings)
    for step in range(120):
        run.log(row(step))
    run.log({"train/global_step": 1200, "train/loss": float("nan")})
    run.finish()
    [file] = glob.glob(os.path.join(work, "wandb", "offline-run-*", "*.wandb"))
    shutil.copy(file, TO / "offline.wandb")


def with_trackio(work):
    os.environ["TRACKIO_DIR"] = work
    import trackio
    from trackio.sqlite_storage import SQLiteStorage

    for name, scale in (("a", 1.0), ("b", 2.0)):
        trackio.init(project="demo", name=name, config=SETTINGS)
        for step in range(40):
            trackio.log({"loss": scale / (step + 1), "kl": 1e-3 * step}, step=10 * step)
        trackio.finish()
    pack(os.path.join(work, "demo.db"))
    # Otherwise only a synchronisation exports.
    SQLiteStorage._dataset_import_attempted = True
    SQLiteStorage.export_to_parquet()
    for name in ("demo.parquet", "demo_configs.parquet"):
        shutil.copy(os.path.join(work, name), TO / name)


def pack(database):
    """The database with small pages: most of its tables are empty."""
    shutil.copy(database, TO / "demo.db")
    connection = sqlite3.connect(TO / "demo.db")
    for command in ("journal_mode = DELETE", "page_size = 512"):
        connection.execute(f"PRAGMA {command}")
    connection.execute("VACUUM")
    connection.close()


def tables():
    """The histories as W&B's `run.history()` gives them when written by pandas, and a chart exported from its page."""
    with open(TO / "history.jsonl", "w") as file:
        for step in range(40):
            line = {"_step": step, "_runtime": 0.5 * step, **row(step)}
            file.write(json.dumps(line) + "\n")
    with open(TO / "chart.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["Step"] + [f"{run} - train/loss{end}" for run in ("a", "b") for end in ("", "__MIN", "__MAX")])
        for step in range(40):
            values = [2.0 / (step + 1), 3.0 / (step + 1)]
            writer.writerow([step] + [value for value in values for _ in range(3)])


def main():
    TO.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as work:
        with_wandb(work)
    with tempfile.TemporaryDirectory() as work:
        with_trackio(work)
    tables()
    leaked = [path.name for path in TO.iterdir() if os.environ.get("USER", "?root?").encode() in path.read_bytes()]
    print(f"wrote {TO}", *(["with the user's name in", *leaked] if leaked else []), file=sys.stderr)


if __name__ == "__main__":
    main()
