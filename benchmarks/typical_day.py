"""Figures of a typical day: the default scenario on many seeds, as the table of the README.

python benchmarks/typical_day.py --runs 30
"""

from __future__ import annotations

import argparse
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import config
import report
import settings
import simulator
from guard import guarded
from terminal import progress

ROWS = {
    "pv_kwh": ("PV", "kWh", 1, 1),
    "load_kwh": ("load", "kWh", 1, 1),
    "p2p_kwh": ("P2P", "kWh", 1, 1),
    "market_kwh": ("local market", "kWh", 1, 1),
    "grid_import_kwh": ("bought from the utility", "kWh", 1, 1),
    "grid_export_kwh": ("sold to the utility", "kWh", 1, 1),
    "self_sufficiency": ("self-sufficiency", "%", 100, 1),
    "self_consumption": ("self-consumption", "%", 100, 1),
    "p2p_price_eur_per_kwh": ("average P2P price", "EUR/kWh", 1, 4),
    "net_cost_alone_eur": ("net cost, everyone alone", "EUR", 1, 2),
    "net_cost_eur": ("net cost, as a community", "EUR", 1, 2),
    "savings_eur": ("saved", "EUR", 1, 2),
    "bonuses_eur": ("bonuses", "EUR", 1, 2),
    "penalties_eur": ("penalties", "EUR", 1, 2),
    "avoidable_penalties_eur": ("of them avoidable", "EUR", 1, 2),
    "banned_ever": ("members banned", "", 1, 1),
}


def figures(seed: int) -> dict:
    """The summary of one seed, without ledger."""
    in_force = settings.load(config, {"SEED": seed, "CONSENSUS": "none"})
    return report.summarize(simulator.run(simulator.prepare(in_force)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Figures of the default day over many seeds, as a Markdown table.",
        epilog="example: python benchmarks/typical_day.py --runs 30",
    )
    parser.add_argument(
        "--runs", type=int, default=30, metavar="N", help="seeds from SEED on (default: 30)"
    )
    number = parser.parse_args().runs
    if number < 2:
        parser.error("--runs: a deviation needs at least 2 seeds")
    with progress(quiet=False) as advance:
        runs = []
        for i in range(number):
            advance("simulating", i, number)
            runs.append(figures(config.SEED + i))
    print("| figure | unit | mean | standard deviation | lowest | highest |")
    print("|---|---|---:|---:|---:|---:|")
    for name, (text, unit, scale, digits) in ROWS.items():
        values = [run[name] * scale for run in runs]
        told = (statistics.mean(values), statistics.stdev(values), min(values), max(values))
        print(f"| {text} | {unit} | " + " | ".join(f"{v:,.{digits}f}" for v in told) + " |")


if __name__ == "__main__":
    sys.exit(guarded(main))
