#!/usr/bin/env python3
"""Compares `recalign bench` with other implementations on the same machine, workload by workload.

One pair = one process of ours, then one of the peer's, under the same lock and priority and with the same environment;
pairs follow each other (A B A B ...), so that a change of the machine's mood meets both sides. A ratio is our median
over the peer's within one pair; numbers of different pairs are never divided. All rates are units per second: a ratio
above 1 means that we are faster.

Needs the peer scripts (--peers: one JSON line per run, started by their run.sh) and their Python environment.
Writes speed.jsonl (every record as it was printed, with its pair) and speed.md below --out.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache"))
PACKAGES = ["torch", "transformers", "trl", "scikit-learn", "polars"]

# Name: arguments of ours, the peer's script, its variants.
WORKLOADS = {
    "train": (["train"], "w_train.py", ["lean_t5", "hf"]),
    "train-dropout": (["train", "--dropout", "0.1"], "w_train.py --dropout 0.1", ["lean_t5", "hf"]),
    "dec": (["dec"], "w_dec.py", ["lean", "llama"]),
    "beam": (["beam"], "w_beam.py", ["lean_t5", "hf"]),
    "dpo": (["dpo"], "w_dpo.py", ["lean_t5", "trl_llama"]),
    "grpo": (["grpo"], "w_grpo.py", ["lean_t5", "trl_llama"]),
    "kmeans": (["kmeans"], "w_kmeans.py", ["sklearn"]),
    "ingest": (["ingest"], "w_data.py", ["polars_csv"]),
}
# Same task, other formulation: a decoder-only trainer reads the prompt again with every completion.
NOTES = {("dpo", "trl_llama"): "decoder-only", ("grpo", "trl_llama"): "decoder-only"}


def add_places(parser):
    """Options: where both sides are."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    parser.add_argument("--recalign", type=pathlib.Path, default=target / "release/recalign", help="our program")
    parser.add_argument("--peers", type=pathlib.Path, default=ROOT / "../shared/peers", help="folder of the peer scripts")
    parser.add_argument("--python", type=pathlib.Path, default=CACHE / "recalign-peers/bin/python", help="the peers' Python")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_places(parser)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--runs", type=int, default=8, help="timed steps per process")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workloads", nargs="+", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("--variants", nargs="+", help="only these of the peers' variants")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "reports/published/speed")
    return parser.parse_args()


def environment(args):
    """Of both sides: the peers' malloc tuned (TUNED=1; ours has its own allocator), no libraries at other speeds."""
    changed = {"TUNED": "1", "PY": str(args.python), "PYTHONDONTWRITEBYTECODE": "1", "POLARS_MAX_THREADS": str(args.threads)}
    return {key: value for key, value in os.environ.items() if not key.startswith("OPENBLAS_")} | changed


# What run.sh does for the peers: an exclusive lock, a scheduler group of its own at high priority (BENCH_NICE=0: normal).
ALONE = """
exec flock "${TMPDIR:-/tmp}/recalign-bench.lock" setsid -w bash -c \
  'echo $BENCH_NICE > /proc/self/autogroup 2>/dev/null; exec nice -n $BENCH_NICE "$@"' _ "$@"
"""


def run(command, args, cwd=None):
    """The JSON line that a process ends with."""
    env = environment(args)
    env.setdefault("BENCH_NICE", "-19")
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    lines = [line[line.find('{"workload'):] for line in done.stdout.splitlines() if '{"workload' in line]
    if done.returncode != 0 or not lines:
        sys.exit(f"{' '.join(map(str, command))} failed with {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(lines[-1])


def ours(args, workload):
    common = ["--json", "--threads", str(args.threads), "--runs", str(args.runs)]
    program = str(args.recalign.resolve())
    return run(["bash", "-c", ALONE, "_", program, "bench", *WORKLOADS[workload][0], *common], args)


def theirs(args, workload, variant):
    common = ["--threads", str(args.threads), "--runs", str(args.runs), "--variant", variant]
    return run(["./run.sh", *WORKLOADS[workload][1].split(), *common], args, cwd=args.peers)


def compare(args, workload, variant, log):
    """All pairs of one case."""
    pairs = []
    for number in range(args.pairs):
        pair = {"ours": ours(args, workload), "peer": theirs(args, workload, variant)}
        for side, record in pair.items():
            log.write(json.dumps({"case": workload, "peer": variant, "pair": number, "side": side} | record) + "\n")
            log.flush()
        print(f"{workload} / {variant} pair {number + 1}: {ratio(pair):.2f}", flush=True)
        pairs.append(pair)
    return pairs


def ratio(pair, key="median"):
    return pair["ours"][key] / pair["peer"][key]


def spread(values):
    return f"{min(values):.2f} / {statistics.median(values):.2f} / {max(values):.2f}"


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def row(case, variant, pairs):
    """One line of the table. Best and median are over all pairs, for orientation; ratios are within pairs."""
    def rates(side):
        best, median = max(p[side]["best"] for p in pairs), statistics.median(p[side]["median"] for p in pairs)
        return f"{number(best)} / {number(median)}"

    fractions = [p["ours"]["peak_fraction"] for p in pairs if p["ours"].get("peak_fraction")]
    fraction = f"{100 * statistics.median(fractions):.0f} %" if fractions else "-"
    memory = statistics.median(ratio(p, "maxrss_mb") for p in pairs)
    peer = f"{variant} ({NOTES[case, variant]})" if (case, variant) in NOTES else variant
    ratios = [ratio(p) for p in pairs]
    cells = [case, peer, pairs[0]["ours"]["unit"], rates("ours"), rates("peer"), spread(ratios), f"{memory:.2f}", fraction]
    return "| " + " | ".join(cells) + " |"


def output(command, **options):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, **options).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine():
    """Processor, cores, memory."""
    read = lambda path: pathlib.Path(path).read_text() if os.path.exists(path) else ""
    field = lambda text, key: next((line.split(":")[1].strip() for line in text.splitlines() if line.startswith(key)), "?")
    memory = field(read("/proc/meminfo"), "MemTotal").split()[0]
    gib = f"{int(memory) / 2**20:.0f} GiB" if memory.isdigit() else "? GiB"
    return f"{field(read('/proc/cpuinfo'), 'model name')}, {os.cpu_count()} cores, {gib}, Linux {platform.release()}"


def versions(args):
    code = f"import importlib.metadata as m; print(', '.join(p + ' ' + m.version(p) for p in {PACKAGES!r}))"
    peers = output([str(args.python), "-c", code])
    commit = output(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT)
    python = output([str(args.python), "--version"])
    return f"{output([str(args.recalign), '--version'])} ({commit}, {output(['rustc', '--version'])}); {python}, {peers}"


HEAD = """\
# Speed beside other implementations

{date}; {machine}; {threads} threads.
Versions: {versions}.

{pairs} pairs of processes per line, alternating; {runs} timed steps each. Rates are units per second, best / median over
all pairs. The ratio is ours over the peer's (above 1: ours is faster), of the medians within a pair; memory is the
ratio of peak resident sizes (below 1: ours is smaller), median over pairs. The last column is our best arithmetic rate
over that of the fastest matrix product in the same process, median over pairs. Peers ran with glibc's malloc tuned, which is their best.
`lean_t5` is hand-written PyTorch with the same arithmetic as ours; *decoder-only* peers do the same task in another
formulation, with more arithmetic. Every record is in [speed.jsonl](speed.jsonl); `just bench-peers` makes both files.

| workload | peer | unit | ours | peer's | ratio min / median / max | memory | of GEMM peak |
|---|---|---|---|---|---|---|---|
"""


def main():
    args = arguments()
    args.out.mkdir(parents=True, exist_ok=True)
    head = HEAD.format(date=datetime.date.today().isoformat(), machine=machine(), versions=versions(args), **vars(args))
    rows = []
    with open(args.out / "speed.jsonl", "w", encoding="utf-8") as log:
        for case in args.workloads:
            for variant in WORKLOADS[case][2]:
                if args.variants and variant not in args.variants:
                    continue
                rows.append(row(case, variant, compare(args, case, variant, log)))
                print(rows[-1], flush=True)
    (args.out / "speed.md").write_text(head + "\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
