"""Measure how fast the program is; print each figure beside its goal and save all of them.

    python benchmarks/run.py                    every figure, about five minutes
    python benchmarks/run.py --only default_day,mining --output figures.json

Each figure is measured in a process of its own, several times; the median is what counts. CPU seconds
stand beside wall seconds, because machines are shared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from guard import guarded

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
import sys, time, json, random
sys.path.insert(0, {repository!r})
from hashlib import sha256
import mining
def bare(attempts):
    copy, goal, pack = sha256(random.randbytes(88)).copy, bytes(32), mining.NONCE.pack
    began = time.process_time()
    for nonce in range(attempts):
        attempt = copy()
        attempt.update(pack(nonce))
        if attempt.digest() < goal:
            break
    return attempts / (time.process_time() - began)
def ours(power):
    began, tried = time.process_time(), 0
    while tried < 400_000:  # several blocks: where hashes lie in memory is worth a tenth
        headers = [random.randbytes(88) for _ in power]
        tried += mining.race_of_miners(headers, 0, 4, power)[2]
    return tried / (time.process_time() - began)
rates = [(bare(400_000), ours([1] * 15), ours([3] + [1] * 14)) for _ in range(3)]
def middle(values):
    return sorted(values)[1]
print(json.dumps(dict(
    rate=middle(equal for _, equal, _ in rates),
    ratio=middle(equal / bare for bare, equal, _ in rates),
    ratio_unequal=middle(unequal / bare for bare, _, unequal in rates),
)))
"""


@dataclass(frozen=True)
class Figure:
    """One measured figure: what, its goal, and how it is measured."""

    name: str
    what: str
    goal: str
    code: str
    command: tuple[str, ...] = ()
    """Without code: a command line of main.py, in which {} is a folder of its own."""
    before: tuple[str, ...] = ()
    """A command line that makes what the other one needs; not measured."""


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
    Figure(
        "whole_process",
        "python main.py with all figures",
        "wall < 8 s",
        "",
        ("--quiet", "-o", "{}/r"),
    ),
    Figure(
        "compare",
        "8 rules x 30 seeds x 100 members x 24 h, no figures",
        "wall < 60 s",
        "",
        ("compare", "--runs", "30", "--no-plots", "--quiet", "-o", "{}/c"),
    ),
    Figure(
        "clear",
        "clear a book of 1,000,000 orders",
        "wall < 3 s, < 1,000 MB",
        "",
        ("clear", "{}/book.csv"),
    ),
    Figure(
        "verify",
        "verify 10,000 blocks: 100 members x 6,300 steps, 400,000 trades",
        "wall < 5 s",
        "",
        ("verify", "{}/r"),
        ("--steps", "6300", "--set", "DIFFICULTY_TARGET=1", "--no-plots", "--quiet", "-o", "{}/r"),
    ),
    Figure(
        "mining",
        "hashes per CPU second, and their ratio to a bare hashlib loop",
        "> 2,000,000/s, ratios > 0.9 with equal and with unequal hash power",
        MINING.format(repository=str(REPOSITORY)),
    ),
]


def measure(figure: Figure, runs: int) -> dict[str, float]:
    """Medians over `runs` processes."""
    samples = [
        _in_process(figure.code) if figure.code else _whole_process(figure) for _ in range(runs)
    ]
    return {key: round(statistics.median(s[key] for s in samples), 4) for key in samples[0]}


def _in_process(code: str) -> dict[str, float]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def _whole_process(figure: Figure) -> dict[str, float]:
    program = [sys.executable, str(REPOSITORY / "main.py")]
    with tempfile.TemporaryDirectory() as folder:
        if "clear" in figure.command:
            write_book(Path(folder) / "book.csv", 1_000_000)
        if figure.before:
            subprocess.run([*program, *(word.format(folder) for word in figure.before)], check=True)
        words = [word.format(folder) for word in figure.command]
        before = os.times()
        done = subprocess.Popen([*program, *words], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(done.pid, 0)
        after = os.times()
    if status:
        raise SystemExit(f"{' '.join(figure.command)} ended with {status}")
    return {
        "wall": after.elapsed - before.elapsed,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1024,
    }


def write_book(path: Path, orders: int) -> None:
    """A book of random orders, half of them bids."""
    draw = random.Random(1)
    with open(path, "w", encoding="utf-8") as file:
        file.write("side,participant,energy_kwh,price_eur_per_kwh\n")
        for i in range(orders):
            side, energy = draw.choice(("buy", "sell")), draw.randint(1, 3000) / 1000
            file.write(f"{side},u{i:07d},{energy:.3f},{draw.randint(50_000, 300_000) / 1e6:.6f}\n")


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
        "-o",
        "--output",
        type=Path,
        default=SAVED,
        metavar="FILE",
        help="JSON to write (default: benchmarks/results.json)",
    )
    options = parser.parse_args()
    wanted = options.only.split(",") if options.only else [figure.name for figure in FIGURES]
    unknown = sorted(set(wanted) - {figure.name for figure in FIGURES})
    if unknown:
        parser.error(f"no figure {', '.join(unknown)}")
    if options.runs < 1:
        parser.error("--runs: a median needs at least 1 process")
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
    sys.exit(guarded(main))
