#!/usr/bin/env python3
"""Load on a recommendation service, from clients that wait for their answers (closed loop), on the standard library alone.

    load.py run URL --ids IDS.txt [--connections 32] [--seconds 10] [--beam 10] [--batch 1] [--items 6] [--backoff 0]
    PYTHON load.py compare DIR [--recalign target/release/recalign] [--seconds 10] [--write reports/published/serving]

`run` prints one JSON line: requests per second, p50, p95 and p99 in milliseconds of the answered, and how many had which status.
`compare` starts `recalign serve` and python_service.py on DIR, loads them in turn (never both) over batches, beams and
connections, and writes serving.md and serving.json. It needs what recommend.py and python_service.py need.
"""
import argparse
import asyncio
import collections
import json
import os
import pathlib
import random
import socket
import subprocess
import sys
import time
import urllib.request

HERE = pathlib.Path(__file__).parent


def body(rng, ids, options):
    wish = lambda: {"history": rng.choices(ids, k=options.items), "k": min(10, options.beam), "beam": options.beam}
    return json.dumps({"requests": [wish() for _ in range(options.batch)]}).encode()


async def answer(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    status, length, close = int(head[9:12]), 0, False
    for line in head.decode("latin1").lower().split("\r\n")[1:]:
        name, _, value = line.partition(":")
        length = int(value) if name == "content-length" else length
        close = close or (name == "connection" and value.strip() == "close")
    return status, await reader.readexactly(length), close


async def client(address, bodies, until, seen, backoff):
    """One connection after the other, one request after the other; latencies by status. Who is refused waits `backoff` seconds."""
    rng, writer = random.Random(id(bodies) ^ len(seen)), None
    while time.perf_counter() < until:
        try:
            if writer is None:
                reader, writer = await asyncio.open_connection(*address)
            data = rng.choice(bodies)
            started = time.perf_counter()
            writer.write(b"POST /v1/recommend HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
            status, _, close = await answer(reader)
            seen.append((status, time.perf_counter() - started))
            if status == 429 and backoff > 0.0:
                await asyncio.sleep(backoff * rng.uniform(0.5, 1.5))
        except (OSError, asyncio.IncompleteReadError):
            seen.append((0, 0.0))
            close = True
            await asyncio.sleep(0.01)
        if close and writer is not None:
            writer.close()
            writer = None


async def load(address, ids, options):
    rng = random.Random(options.seed)
    bodies = [body(rng, ids, options) for _ in range(256)]
    seen, started = [], time.perf_counter()
    until = started + options.seconds
    await asyncio.gather(*(client(address, bodies, until, seen, getattr(options, "backoff", 0.0)) for _ in range(options.connections)))
    elapsed = time.perf_counter() - started
    times = sorted(1000 * seconds for status, seconds in seen if status == 200)
    at = lambda share: round(times[min(len(times) - 1, int(share * len(times)))], 2) if times else None
    return {"connections": options.connections, "batch": options.batch, "beam": options.beam,
            "requests_per_s": round(len(times) / elapsed, 1), "histories_per_s": round(options.batch * len(times) / elapsed, 1),
            "p50_ms": at(0.5), "p95_ms": at(0.95), "p99_ms": at(0.99),
            "statuses": dict(sorted(collections.Counter(status for status, _ in seen).items()))}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, port):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz")
            return process
        except OSError:
            assert process.poll() is None, f"{command[0]} ended"
            time.sleep(0.2)
    raise TimeoutError(command)


def memory(process):
    lines = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(round(int(line.split()[1]) / 1024) for line in lines if line.startswith("VmRSS:"))


CASES = [(1, 1, 10), (8, 1, 10), (32, 1, 10), (32, 1, 50), (8, 8, 10)]


def compare(arguments):
    import pyarrow.parquet
    ids = pyarrow.parquet.read_table(arguments.folder / "sid_map.parquet")["raw_id"].to_pylist()
    commands = {
        "recalign serve": lambda port: [arguments.recalign, "-q", "serve", str(arguments.folder), "--address", f"127.0.0.1:{port}"],
        "FastAPI + transformers": lambda port: [sys.executable, str(HERE / "python_service.py"), str(arguments.folder), "--port", str(port)],
    }
    records = []
    for connections, batch, beam in CASES:
        for name, command in commands.items():
            port = free_port()
            process = start(command(port), port)
            try:
                options = argparse.Namespace(connections=connections, batch=batch, beam=beam, items=arguments.items, seed=1, seconds=2)
                asyncio.run(load(("127.0.0.1", port), ids, options))
                options.seconds = arguments.seconds
                record = {"service": name, **asyncio.run(load(("127.0.0.1", port), ids, options)), "rss_mb": memory(process)}
            finally:
                process.terminate()
                process.wait()
            records.append({**record, "loadavg": os.getloadavg()[0]})
            print(json.dumps(records[-1]), flush=True)
    if arguments.write:
        arguments.write.mkdir(parents=True, exist_ok=True)
        (arguments.write / "serving.json").write_text("".join(json.dumps(record) + "\n" for record in records))
        (arguments.write / "serving.md").write_text(page(records, arguments))


def page(records, arguments):
    about = json.loads((arguments.folder / "serving.json").read_text())
    least, most = min(r["loadavg"] for r in records), max(r["loadavg"] for r in records)
    rows = "".join(
        f"| {r['connections']} | {r['batch']} | {r['beam']} | {r['service']} | {r['requests_per_s']} | {r['p50_ms']} | {r['p95_ms']} | {r['p99_ms']} | {r['rss_mb']} |\n"
        for r in records)
    return (f"# Serving\n\nPolicy `{about['policy']}` ({about['architecture']}, {about['items']} items, weights `{about['policy_sha256'][:12]}`), the same directory for both; "
            f"histories of {arguments.items} items; clients in a third process on the same machine wait for each answer; {arguments.seconds:g} s per row after 2 s of "
            f"warm-up; services started anew and loaded in turn, on {os.cpu_count()} cores with a load average of {least:.0f} to {most:.0f}: where that exceeds the cores, others were at work "
            f"and only ratios mean something. Made by `experiments/bench/load.py compare`.\n\n"
            "| connections | histories per request | beam | service | requests/s | p50 ms | p95 ms | p99 ms | memory MB |\n|---|---|---|---|---|---|---|---|---|\n" + rows)


def main():
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True, dest="verb")
    run = verbs.add_parser("run")
    run.add_argument("url")
    run.add_argument("--ids", type=pathlib.Path, required=True)
    for name, default in [("connections", 32), ("seconds", 10.0), ("beam", 10), ("batch", 1), ("items", 6), ("seed", 1), ("backoff", 0.0)]:
        run.add_argument(f"--{name}", type=type(default), default=default)
    both = verbs.add_parser("compare")
    both.add_argument("folder", type=pathlib.Path)
    both.add_argument("--recalign", default="target/release/recalign")
    both.add_argument("--seconds", type=float, default=10.0)
    both.add_argument("--items", type=int, default=6)
    both.add_argument("--write", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.verb == "compare":
        return compare(arguments)
    host, port = arguments.url.removeprefix("http://").strip("/").split(":")
    print(json.dumps(asyncio.run(load((host, int(port)), arguments.ids.read_text().split(), arguments))))


if __name__ == "__main__":
    main()
