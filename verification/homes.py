"""The second reading of who takes part, and of what each of them owns, as the settings allow it."""

from __future__ import annotations

import numpy as np

from verification.batteries import nearest
from verification.findings import Findings, show
from verification.folder import Member, Saved
from verification.read import is_number
from verification.tables import LARGEST
from verification.told import close

KWH_TOLERANCE = 1e-6  # capacities are told with 6 decimals
MOST_KWH_PER_STEP = 10**6  # of a home in a data file


def check_homes(saved: Saved, findings: Findings) -> None:
    """All rules on who takes part and what each of them owns."""
    check_number_of_members(saved, findings)
    check_capacities(saved, findings)
    check_battery_power(saved, findings)
    check_home_types(saved, findings)
    check_synthetic_homes(saved, findings)
    check_measured_homes(saved, findings)


def check_number_of_members(saved: Saved, findings: Findings) -> None:
    """As many prosumers and consumers as the settings say; a data file writes its own numbers there.

    A run of this program has no other members.
    """
    kinds = [member.kind for member in saved.members]
    if saved.settings.ours:
        central = kinds.count("storage")
        findings.differ("prosumers.json", "members", "number of storages", central, 0)
    for name, kind in (("NUM_PROSUMERS", "prosumer"), ("NUM_CONSUMERS", "consumer")):
        due = saved.settings.told.get(name)
        if type(due) is int:
            findings.differ(
                "prosumers.json", "members", f"number of {kind}s", kinds.count(kind), due
            )


def is_central(member: Member, saved: Saved) -> bool:
    """Whether this is a battery for all, which is no home: only another program's run has one."""
    return member.kind == "storage" and not saved.settings.ours


def check_capacities(saved: Saved, findings: Findings) -> None:
    """Batteries are of a home type's size, begin as charged as all, and belong to no pure consumer.

    A central battery is no home: it may be of any size.
    """
    start = saved.settings.number("BATTERY_INITIAL_SOC")
    sizes = saved.settings.numbers("BATTERY_CAPACITY")
    told = np.array([member.capacity_kwh for member in saved.members])
    of_a_type = np.abs(nearest(told, np.unique([0.0, *sizes])) - told) <= KWH_TOLERANCE
    for i, member in enumerate(saved.members):
        where, capacity = f"member {i}", member.capacity_kwh
        if is_central(member, saved):
            continue
        if member.kind == "consumer" and capacity:
            findings.add(where, "equipment", f"a consumer with a battery of {capacity} kWh")
        room = 1e-6 * (1 + capacity)
        if saved.settings.ours:  # tells both to six decimals
            room = min(room, 2e-6 + 1e-12 * capacity)
        if start is not None and abs(member.initial_kwh - start * capacity) > room:
            detail = f"initial_level_kwh is {member.initial_kwh}, expected {start * capacity}"
            findings.add(where, "equipment", detail)
        if sizes and not saved.settings.took("members") and not of_a_type[i]:
            findings.add(where, "equipment", f"no home type has a battery of {capacity} kWh")


def check_battery_power(saved: Saved, findings: Findings) -> None:
    """No home's battery works faster than BATTERY_C_RATE allows; a members file may say else."""
    told = saved.settings.all_numbers("BATTERY_C_RATE", "TIME_STEP_DURATION")
    if not told or saved.settings.took("members"):
        return
    c_rate, hours = told
    most = np.array([member.capacity_kwh * c_rate * hours * 1000 for member in saved.members])
    most[[is_central(member, saved) for member in saved.members]] = LARGEST
    most = np.tile(np.minimum(np.ceil(most - 1e-6), LARGEST).astype(np.int64), saved.steps)
    for flow in ("battery_charge_wh", "battery_discharge_wh"):
        wh, words = saved.energy[flow], f"{flow} is {{}}, at most {{}} at BATTERY_C_RATE"
        findings.rows(wh > most, "battery power", saved.row_name, words, wh, most)


def check_synthetic_homes(saved: Saved, findings: Findings) -> None:
    """Consumers have no roof; a home of our synthetic day has the PV and the battery of its type, or no battery.

    Another program may name its homes and divide its roofs as it likes.
    """
    pv, battery = saved.settings.numbers("PV_CAPACITY"), saved.settings.numbers("BATTERY_CAPACITY")
    types = {f"type {k}": sizes for k, sizes in enumerate(zip(pv, battery, strict=False), 1)}
    synthetic = bool(types) and saved.settings.ours and not saved.settings.took("data")
    for i, member in enumerate(saved.members):
        roof, size = types.get(str(member.told.get("home_type")), (None, None))
        told = member.told.get("pv_capacity_kw")
        due = 0.0 if member.kind == "consumer" else roof if synthetic else None
        if due is not None and not close(told, due, KWH_TOLERANCE):
            detail = f"pv_capacity_kw is {show(told)}, expected {due}"
            findings.add(f"member {i}", "home", detail)
        if synthetic:
            check_synthetic_home(i, member, size, saved.settings.number("HAS_BATTERY"), findings)


def check_measured_homes(saved: Saved, findings: Findings) -> None:
    """Each home of a data file has a name of its own, and a roof where its meter saw sun.

    A roof is as large as the largest power in the data file, of which the run may have simulated a part; a
    members file may say another size.
    """
    if not (saved.settings.ours and saved.settings.took("data")):
        return
    names: dict[str, int] = {}
    most_wh = saved.energy["pv_wh"].reshape(saved.steps, -1).max(axis=0).tolist()
    hours = saved.settings.step_seconds / 3600
    most = MOST_KWH_PER_STEP / hours + KWH_TOLERANCE
    for i, (member, wh) in enumerate(zip(saved.members, most_wh, strict=True)):
        where, name = f"member {i}", member.told.get("household_id")
        if type(name) is str and names.setdefault(name, i) != i:
            detail = f"household_id is {show(name)}, that of member {names[name]}"
            findings.add(where, "home", detail)
        least = max((wh - 0.5) / 1000 / hours - KWH_TOLERANCE, 0)  # the file has fractions of a Wh
        if saved.settings.took("members"):
            least = KWH_TOLERANCE / 2 if wh else 0
        roof = member.told.get("pv_capacity_kw")
        if not (is_number(roof) and least <= roof <= most):
            detail = f"pv_capacity_kw is {show(roof)}, expected {least:.6f} to {most:.6f}"
            findings.add(where, "home", detail)


def check_home_types(saved: Saved, findings: Findings) -> None:
    """prosumer_energy.csv calls each home, in each step, what prosumers.json calls it."""
    homes = [member.home_type for member in saved.members]
    code = {home: k for k, home in enumerate(saved.home_types)}
    due = [-1 if home is None else code[home] for home in homes]
    told = saved.energy["home_type"]
    rows = np.flatnonzero(told != np.tile(due, saved.steps))
    said = np.array([*map(show, saved.home_types), "another"], object)[told[rows]]
    expected = np.array(list(map(show, homes)), object)[rows % len(homes)]
    findings.rows(
        np.ones(len(rows), np.bool_),
        "home_type",
        lambda k: saved.row_name(int(rows[k])),
        "home_type is {}, prosumers.json says {}",
        said,
        expected,
    )


def check_synthetic_home(
    i: int, member: Member, size: float | None, owners: float | None, findings: Findings
) -> None:
    """Name, type and battery of one home.

    `size` is the battery of its type (None: no such type), `owners` the share of prosumers that have one,
    which says of a single home only whether all of them do, or none.
    """
    name, home = member.told.get("household_id"), member.told.get("home_type")
    if name != str(i):
        findings.add(f"member {i}", "home", f"household_id is {show(name)}, expected '{i}'")
    if size is None:
        findings.add(f"member {i}", "home", f"home_type is {show(home)}, which is none of them")
    elif min(member.capacity_kwh, abs(member.capacity_kwh - size)) > KWH_TOLERANCE:
        detail = f"battery_capacity_kwh is {member.capacity_kwh}, {home} has {size} or none"
        findings.add(f"member {i}", "home", detail)
    elif member.kind == "prosumer" and owners == (0 if member.capacity_kwh else 1) and size:
        detail = f"battery_capacity_kwh is {member.capacity_kwh}, although HAS_BATTERY is {owners}"
        findings.add(f"member {i}", "home", detail)
