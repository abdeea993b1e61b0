"""Our figures next to published ones, as the tables of docs/validation.md.

python benchmarks/validation.py --data homes.parquet --members homes.csv      measured homes
python benchmarks/validation.py                                               synthetic homes only
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np

import config
import household_data
import prosumer
import settings
import simulator
from errors import InputError
from extensions import comparison
from guard import guarded
from input_tables import numbers, read_table, stop_if
from terminal import progress

OF_MEMBERS = ("household_id", "pv_kwp", "load_ok", "pv_ok")
SIZES = (0.0, 0.5, 1.0, 1.5)
SHARING = ["supply_demand_ratio", "mid_market_rate", "bill_sharing", "none"]


def self_use(
    in_force: settings.Settings, pv_wh: np.ndarray, load_wh: np.ndarray, battery_kwh: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(self-consumption, self-sufficiency) of each home (N) on its own, from columns (T, N)."""
    n = pv_wh.shape[1]
    names = tuple(map(str, range(n)))
    fleet = prosumer.assemble_fleet(in_force, names, names, np.ones(n), np.ones(n), battery_kwh)
    stored, imported, exported = fleet.initial_stored_wh, np.zeros(n), np.zeros(n)
    for pv, load in zip(pv_wh, load_wh, strict=True):
        plan = prosumer.plan_battery(fleet, stored, pv - load)
        rest = pv - load - plan.charge_wh + plan.discharge_wh
        imported += np.maximum(-rest, 0)
        exported += np.maximum(rest, 0)
        stored = prosumer.stored_after(fleet, stored, plan.charge_wh, plan.discharge_wh)
    used = np.maximum(fleet.initial_stored_wh - stored, 0)
    return 1 - exported / pv_wh.sum(axis=0), 1 - (imported + used) / load_wh.sum(axis=0)


def battery_table(
    name: str, in_force: settings.Settings, pv: np.ndarray, load: np.ndarray, kwp: np.ndarray
) -> None:
    """Self-consumption and self-sufficiency for growing batteries: as built, and with PV = demand."""
    for told, scale in (
        ("PV as built", np.ones(len(kwp))),
        ("PV equal to demand", load.sum(0) / pv.sum(0)),
    ):
        sun = np.rint(pv * scale).astype(np.int64)
        for size in SIZES:
            consumption, sufficiency = self_use(in_force, sun, load, size * kwp * scale)
            print(
                f"| {name} | {told} | {size} | {100 * consumption.mean():.0f} | {100 * sufficiency.mean():.0f} |"
            )


def measured(data: Path, members: Path) -> None:
    """The table for measured homes whose meters are sound (load_ok, pv_ok in the members file)."""
    in_force = settings.load(config)
    meters = household_data.read_meters(data, in_force)
    table = read_table(members, "--members", {name: (name,) for name in OF_MEMBERS})
    table = table.drop_duplicates("household_id").set_index("household_id")
    table = table.reindex(meters.household_id)
    unknown = table.index[table["load_ok"].isna()].tolist()
    if unknown:
        raise InputError([f"--members {members}: has no row for {', '.join(unknown)}"])
    problems: list[str] = []
    kwp = numbers(table, "pv_kwp", members, problems, 1e6, "kW")
    stop_if(problems)
    told = table[["load_ok", "pv_ok"]].astype(str).apply(lambda column: column.str.lower())
    sound = told.isin(["true", "1"]).all(axis=1).to_numpy()
    if not sound.any():
        raise InputError([f"--members {members}: load_ok and pv_ok are true for no home"])
    pv = np.rint(meters.pv_kwh * 1000).astype(np.int64)[:, sound]
    load = np.rint(meters.load_kwh * 1000).astype(np.int64)[:, sound]
    battery_table("measured, one year", in_force, pv, load, kwp[sound])


def synthetic() -> None:
    in_force = settings.load(config, {"TIME_STEPS": 30 * 24})
    scenario = simulator.prepare(in_force)
    profiles = scenario.profiles
    battery_table(
        "synthetic, 30 summer days",
        in_force,
        profiles.pv_wh,
        profiles.load_wh,
        scenario.fleet.pv_capacity_kw,
    )


def sharing(runs: int, **changes: object) -> None:
    """The sharing rules by Zhou's indices."""

    def prepare(seed: int) -> simulator.Scenario:
        return simulator.prepare(
            settings.load(config, {"SEED": seed, "CONSENSUS": "none"} | changes)
        )

    with progress(quiet=False) as advance:
        cases = comparison.compare(
            prepare,
            SHARING,
            ["maximize_renewable"],
            range(1, runs + 1),
            lambda done: advance("comparing", done, runs * len(SHARING)),
        )
    table = comparison.table_of(cases)
    for name in SHARING:
        means = [
            table[table["mechanism"] == name][index].astype(float).mean()
            for index in comparison.INDICES
        ]
        cells = " | ".join(f"{value:.2f}" for value in means)
        print(
            f"| {changes.get('HAS_BATTERY', 'default')} | {name} | {cells} | {np.mean(means):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Our figures next to published ones.",
        epilog="example: python benchmarks/validation.py --runs 10",
    )
    parser.add_argument("--data", type=Path, metavar="FILE", help="measured homes, a year")
    parser.add_argument(
        "--members",
        type=Path,
        metavar="FILE",
        help="their columns household_id, pv_kwp, load_ok and pv_ok (whether the meter is sound)",
    )
    parser.add_argument("--runs", type=int, default=30, metavar="N", help="seeds (default: 30)")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error("--runs: a mean needs at least 1 seed")
    if (options.data is None) != (options.members is None):
        parser.error("--data and --members belong together")
    print("| homes | PV | battery (kWh per kWp) | self-consumption (%) | self-sufficiency (%) |")
    print("|---|---|---:|---:|---:|")
    if options.data:
        measured(options.data, options.members)
    synthetic()
    print("\n| HAS_BATTERY | rule | " + " | ".join(comparison.INDICES) + " | mean |")
    print("|---|---|" + "---:|" * (len(comparison.INDICES) + 1))
    sharing(options.runs)
    sharing(options.runs, HAS_BATTERY=0.0)


if __name__ == "__main__":
    sys.exit(guarded(main))
