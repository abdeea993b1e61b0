"""Figures beyond the contract: wherever a file tells them, a changed value is found."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from verification import verify

SUMMARY = [
    *("steps", "members", "prosumers", "consumers", "banned_member_steps", "bonuses_eur"),
    *("penalties_eur", "curtailed_kwh", "members_balance_eur", "aggregator_balance_eur"),
    *("utility_balance_eur", "mint_balance_eur", "p2p_price_eur_per_kwh", "savings_eur"),
]
MEMBER = [
    *("charge_kwh", "discharge_kwh", "stored_change_kwh", "bonus_eur", "penalty_eur", "p2p_eur"),
    "banned_steps",
]


def changed_copy(folder: Path, into: Path, name: str, change) -> Path:
    copy = into / "results"
    shutil.copytree(folder, copy)
    content = json.loads((copy / name).read_text())
    change(content)
    (copy / name).write_text(json.dumps(content))
    return copy


@pytest.mark.parametrize("name", SUMMARY)
def test_a_changed_total_of_the_summary_is_found(
    name: str, default_day: Path, tmp_path: Path
) -> None:
    def change(summary: dict) -> None:
        summary[name] += 1 if isinstance(summary[name], int) else 0.001

    report = verify(changed_copy(default_day, tmp_path, "summary.json", change))
    assert any(f.rule == "summary" and f.detail.startswith(name) for f in report.findings)


@pytest.mark.parametrize("name", MEMBER)
def test_a_changed_total_of_a_member_is_found(name: str, default_day: Path, tmp_path: Path) -> None:
    def change(members: list) -> None:
        members[7][name] += 1

    report = verify(changed_copy(default_day, tmp_path, "prosumers.json", change))
    found = [f for f in report.findings if f.rule == "prosumers.json"]
    assert [(f.where, f.detail.split(" is ")[0]) for f in found] == [("member 7", name)]
