"""Measure how fast the program is; print each figure beside its goal and save all of them.

    python benchmarks/run.py                    every figure, about two minutes
    python benchmarks/run.py --only default_day,mining --output figures.json

Each figure is measured in a process of its own, several times; the median is what counts. CPU seconds
stand beside wall seconds, because machines are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
SAVED = Path(__file__).resolve().parent / "results.json"

SIMULATE = """
import sys, time, json, resource
sys.path.insert(0, {repository!r})
import config, settings, simulator
s = settings.load(config, {changes!r})
wall, cpu = [], []
for _ in range({inner}):
    t, c = time.perf_counter(), time.process_time()
    scenario = simulator.prepare(s)
    if not {draw}:
        t, c = time.perf_counter(), time.process_time()
    for result in simulator.simulate(scenario, simulator.make_chain(scenario)):
        pass
    wall.append(time.perf_counter() - t)
    cpu.append(time.process_time() - c)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps(dict(wall=sorted(wall)[len(wall) // 2], cpu=sorted(cpu)[len(cpu) // 2], peak_mb=peak)))
"""

MINING = """
import sys, time, json
sys.path.insert(0, {repository!r})
from hashlib import sha256
import blockchain
def bare(attempts):
    copy, goal, pack = sha256(bytes(88)).copy, bytes(32), blockchain.NONCE.pack
    began = time.perf_counter()
    for nonce in range(attempts):
        attempt = copy()
        attempt.update(pack(nonce))
        if attempt.digest() < goal:
            break
    return attempts / (time.perf_counter() - began)
def ours(attempts):
    headers = [bytes([m]) * 88 for m in range(15)]
    began = time.perf_counter()
    tried = blockchain.race(headers, 0, 5)[2]
    return tried / (time.perf_counter() - began)
rates = [(bare(400_000), ours(0)) for _ in range(3)]
best = sorted(o for b, o in rates)[1]
print(json.dumps(dict(rate=best, ratio=sorted(o / b for b, o in rates)[1])))
"""


@dataclass(frozen=True)
class Figure:
    """One measured figure: what, its goal, and how it is measured."""

    name: str
    what: str
    goal: str
    code: str


def simulation(
    name: str, what: str, goal: str, inner: int, draw: bool = False, **changes: object
) -> Figure:
    code = SIMULATE.format(repository=str(REPOSITORY), changes=changes, inner=inner, draw=draw)
    return Figure(name, what, goal, code)


FIGURES = [
    simulation("default_day", "default day with mining", "wall < 0.25 s", 9),
    simulation(
        "default_day_no_ledger",
        "default day, CONSENSUS none",
        "wall < 0.03 s",
        21,
        CONSENSUS="none",
    ),
    simulation(
        "members_5000",
        "5,000 members, no ledger",
        "wall < 0.15 s",
        9,
        CONSENSUS="none",
        NUM_PROSUMERS=5000,
    ),
    simulation(
        "members_100000",
        "100,000 members, no ledger, inputs drawn",
        "wall < 2.5 s, < 700 MB",
        1,
        draw=True,
        CONSENSUS="none",
        NUM_PROSUMERS=100_000,
    ),
    Figure("whole_process", "python main.py with all figures", "wall < 8 s", ""),
    Figure(
        "mining",
        "hashes per second, and their ratio to a bare hashlib loop",
        "> 2,000,000/s, ratio > 0.9",
        MINING.format(repository=str(REPOSITORY)),
    ),
]


def measure(figure: Figure, runs: int) -> dict[str, float]:
    """Medians over `runs` processes."""
    samples = [
        _whole_process() if not figure.code else _in_process(figure.code) for _ in range(runs)
    ]
    return {key: round(statistics.median(s[key] for s in samples), 4) for key in samples[0]}


def _in_process(code: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _whole_process() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            str(REPOSITORY / "main.py"),
            "--quiet",
            "-o",
            folder + "/results",
        ]
        before = os.times()
        subprocess.run(command, check=True)
        after = os.times()
    cpu = (
        after.children_user - before.children_user + after.children_system - before.children_system
    )
    return {"wall": after.elapsed - before.elapsed, "cpu": cpu}


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Measure the program's speed.",
        epilog="example: python benchmarks/run.py --only default_day --runs 5",
    )
    parser.add_argument(
        "--only", metavar="NAMES", help=", ".join(figure.name for figure in FIGURES)
    )
    parser.add_argument(
        "--runs", type=int, default=3, metavar="N", help="processes per figure (default: 3)"
    )
    parser.add_argument(
        "-o", "--output", type=Path, default=SAVED, metavar="FILE", help="JSON to write"
    )
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [figure.name for figure in FIGURES]
    unknown = sorted(set(wanted) - {figure.name for figure in FIGURES})
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}")
    saved = json.loads(options.output.read_text()) if options.output.exists() else {}
    saved["machine"] = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "system": platform.machine(),
    }
    for figure in FIGURES:
        if figure.name not in wanted:
            continue
        print(f"measuring {figure.what} ...", end="\r", file=sys.stderr, flush=True)
        values = measure(figure, options.runs)
        told = ", ".join(f"{key} {value:,.4g}" for key, value in values.items())
        print(f"{figure.what:<60} {told:<50} goal: {figure.goal}")
        saved[figure.name] = {"what": figure.what, "goal": figure.goal, **values}
    options.output.write_text(json.dumps(saved, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
