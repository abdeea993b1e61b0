"""A saved results folder as tables, for the figures; each file is read once."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from errors import InputError, gather
from figures.timeline import Timeline

HALF_A_WH = 0.0005
"""Whole Wh in kWh, as floats, differ by less than this where they are equal."""
ALMOST_NOTHING_EUR = 0.0005
"""A member who saves or loses less has neither saved nor lost."""


class NothingToShow(Exception):
    """The run lacks what a figure is about; the text says so in one sentence."""


# ---------------------------------------------------------------- what the files say

FLOWS = (
    *("pv_kwh", "load_kwh", "battery_charge_kwh", "battery_discharge_kwh"),
    *("p2p_bought_kwh", "p2p_sold_kwh", "market_bought_kwh", "market_sold_kwh"),
    *("grid_import_kwh", "grid_export_kwh", "curtailed_kwh"),
)
MAY_BE_EMPTY = {"limit_price_eur_per_kwh", "p2p_price_eur_per_kwh"}


def columns(texts: str = "", whole: str = "", truths: str = "", real: str = "") -> dict[str, Any]:
    """The columns that one file is read for, with their types."""
    kinds = ((texts, str), (whole, np.int64), (truths, bool), (real, np.float64))
    return {name: kind for names, kind in kinds for name in names.split()}


TABLES = {
    "prosumer_energy.csv": columns(
        whole="timestep prosumer_id", real=" ".join((*FLOWS, "battery_soc"))
    ),
    "prosumer_trading.csv": columns(
        texts="role", whole="timestep prosumer_id", real="order_kwh limit_price_eur_per_kwh"
    ),
    "regulator_actions.csv": columns(
        texts="ban_reason", whole="timestep prosumer_id", truths="is_banned"
    ),
    "all_trades.csv": columns(
        texts="trade_type",
        whole="timestep buyer_id seller_id",
        real="energy_kwh price_eur_per_kwh",
    ),
    "transfers.csv": columns(texts="reason", whole="timestep payer_id payee_id", real="amount_eur"),
    "blocks.csv": columns(whole="height timestep miner transactions hashes_tried"),
    "community_summary.csv": columns(
        texts="timestamp",
        whole="timestep hour p2p_trades market_trades active_buyers active_sellers",
        real="p2p_kwh surplus_kwh deficit_kwh net_kwh stored_kwh price_forecast_eur_per_kwh "
        "market_price_eur_per_kwh p2p_price_eur_per_kwh market_buy_price_eur_per_kwh "
        "market_sell_price_eur_per_kwh grid_import_price_eur_per_kwh grid_export_price_eur_per_kwh",
    ),
}
WITHOUT_MARKET = ("mid_market_rate", "supply_demand_ratio", "bill_sharing", "none")
"""The market rules after which what is left goes to the utility."""
MEMBER_NUMBERS = (
    *("pv_capacity_kw", "battery_capacity_kwh", "initial_level_kwh", "final_balance_eur"),
    *("pv_kwh", "load_kwh", "p2p_bought_kwh", "market_bought_kwh", "grid_import_kwh"),
    *("stored_change_kwh", "net_cost_eur", "net_cost_alone_eur", "savings_eur"),
)


class Results:
    """One results folder as tables, each read once when first asked for; raises InputError."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self._flows: dict[str, np.ndarray] = {}
        if not self.folder.is_dir():
            found = "is a file; name a results folder" if self.folder.exists() else "no such folder"
            raise InputError([f"{self.folder}: {found}"])

    # what the files hold

    def _problem(self, name: str, text: str) -> InputError:
        return InputError([f"{self.folder / name}: {text}; run the simulation again"])

    def json(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise self._problem(name, "missing") from None
        except OSError as error:
            raise self._problem(name, f"cannot be read ({error.strerror or error})") from None
        except (ValueError, RecursionError) as error:
            raise self._problem(name, f"is not JSON ({error})") from None

    def table(self, name: str) -> pd.DataFrame:
        """The needed columns of a CSV file, with their types, and numbers in every row."""
        wanted = TABLES[name]
        try:
            table = pd.read_csv(
                self.folder / name,
                usecols=wanted.__contains__,
                dtype=wanted,
                keep_default_na=False,
                na_values=[""],
            )
        except FileNotFoundError:
            raise self._problem(name, "missing") from None
        except OSError as error:
            raise self._problem(name, f"cannot be read ({error.strerror or error})") from None
        except ValueError as error:  # what pandas raises for content, too
            raise self._problem(name, f"cannot be read ({' '.join(str(error).split())})") from None
        missing = [column for column in wanted if column not in table and column != "timestamp"]
        if missing and ";" in self._header(name):
            raise self._problem(name, "has semicolons between its columns instead of commas")
        if missing:
            raise self._problem(name, f"has no column {', '.join(missing)}")
        for column in (c for c in wanted if wanted[c] is np.float64 and c not in MAY_BE_EMPTY):
            if not np.isfinite(table[column]).all():
                raise self._problem(name, f"column {column} has empty or infinite values")
        return table

    def _header(self, name: str) -> str:
        with open(self.folder / name, encoding="utf-8", errors="replace") as file:
            return file.readline()

    def member_table(self, name: str) -> pd.DataFrame:
        """A table of one row per step and member, checked to be complete and in order."""
        table, (steps, members) = self.table(name), self.shape
        complete = len(table) == steps * members
        if not (
            complete
            and np.array_equal(table["timestep"], np.repeat(np.arange(steps), members))
            and np.array_equal(table["prosumer_id"], np.tile(np.arange(members), steps))
        ):
            found = f"{len(table):,} rows" + (" in another order" if complete else "")
            need = f"{steps:,} steps x {members:,} members in order"
            raise self._problem(name, f"needs {need}, has {found}")
        return table

    def event_table(self, name: str) -> pd.DataFrame:
        """A table of one row per event, checked to speak of steps and members that there are."""
        table, (steps, members) = self.table(name), self.shape
        for column in table.columns.intersection(["timestep", "miner"]):
            if (table[column] < 0).any() or (
                column == "timestep" and (table[column] >= steps).any()
            ):
                raise self._problem(name, f"column {column} names what this run does not have")
        for column in (c for c in table if str(c).endswith("_id")):
            if (table[column] >= members).any():
                raise self._problem(name, f"column {column} names a member that is not there")
        return table

    @cached_property
    def params(self) -> dict[str, Any]:
        params = self.json("params.json")
        if not isinstance(params, dict):
            raise self._problem("params.json", "is not a table of settings")
        return params

    def setting(self, name: str, usual: float) -> float:
        """A number among the settings; `usual` where there is none."""
        value = self.params.get(name, usual)
        if not isinstance(value, (int, float)) or not math.isfinite(value):
            raise self._problem("params.json", f"{name} = {value!r} is no number")
        return float(value)

    @cached_property
    def step_hours(self) -> float:
        """Length of a step in whole seconds, told in hours."""
        seconds = round(self.setting("TIME_STEP_DURATION", 0) * 3600)
        if seconds <= 0:
            raise self._problem("params.json", "TIME_STEP_DURATION must be above 0")
        return seconds / 3600

    @cached_property
    def members(self) -> pd.DataFrame:
        """One row per member (N): what it owns and its totals."""
        try:
            members = pd.DataFrame(self.json("prosumers.json"))
            members[list(MEMBER_NUMBERS)] = members[list(MEMBER_NUMBERS)].astype(float)
            members[["kind", "home_type"]] = members[["kind", "home_type"]].astype(str)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._problem("prosumers.json", f"is no list of members ({error})") from None
        if not len(members) or not np.isfinite(members[list(MEMBER_NUMBERS)]).all(axis=None):
            raise self._problem("prosumers.json", "has no members, or members without numbers")
        return members

    @cached_property
    def community(self) -> pd.DataFrame:
        """One row per step (T)."""
        community = self.table("community_summary.csv")
        if not len(community):
            raise self._problem("community_summary.csv", "has no steps")
        return community

    @cached_property
    def energy(self) -> pd.DataFrame:
        return self.member_table("prosumer_energy.csv")

    @cached_property
    def trading(self) -> pd.DataFrame:
        return self.member_table("prosumer_trading.csv")

    @cached_property
    def rulings(self) -> pd.DataFrame:
        return self.member_table("regulator_actions.csv")

    @cached_property
    def trades(self) -> pd.DataFrame:
        return self.event_table("all_trades.csv")

    @cached_property
    def transfers(self) -> pd.DataFrame:
        return self.event_table("transfers.csv")

    @cached_property
    def blocks(self) -> pd.DataFrame:
        """The blocks that hold trades: without genesis."""
        blocks = self.event_table("blocks.csv")
        return blocks[blocks["height"] > 0]

    def problems(self) -> list[str]:
        """All that is wrong with the files, where one file alone has stopped a figure."""
        found: list[str] = []
        parts = ["params", "step_hours", "members", "community", "timeline", "energy", "trading"]
        parts += ["rulings", "trades", "transfers"]
        parts += ["blocks"] if gather(found, lambda: self.has_ledger) else []
        for part in parts:
            gather(found, partial(getattr, self, part))
        return list(dict.fromkeys(found))

    # what follows from them

    @property
    def has_ledger(self) -> bool:
        return self.params.get("CONSENSUS") != "none"

    @cached_property
    def shape(self) -> tuple[int, int]:
        """(T, N)."""
        return len(self.community), len(self.members)

    @cached_property
    def timeline(self) -> Timeline:
        first = self.community["timestamp"][0] if "timestamp" in self.community else None
        try:
            date = pd.Timestamp(first).to_pydatetime() if isinstance(first, str) else None
        except ValueError:
            problem = f"timestamp {first!r} is no date"
            raise self._problem("community_summary.csv", problem) from None
        start = date.hour + date.minute / 60 if date else float(self.community["hour"][0])
        return Timeline(start, self.shape[0], self.step_hours, date)

    @cached_property
    def bills(self) -> pd.DataFrame:
        """Each member's bill (N), EUR: alone with the utility, here, and the saving."""
        names = {"net_cost_alone_eur": "alone", "net_cost_eur": "here", "savings_eur": "saving"}
        return self.members[list(names)].rename(columns=names)

    @cached_property
    def p2p(self) -> pd.DataFrame:
        """The trades between members."""
        return self.trades[self.trades["trade_type"] == "p2p"]

    @property
    def has_local_market(self) -> bool:
        """Whether the rule leaves a local market for what neighbours did not take."""
        return self.params.get("MARKET_MECHANISM") not in WITHOUT_MARKET

    @property
    def tariff_is_given(self) -> bool:
        """Whether prices came from a file: members know each step's own, and local market and utility cost the same."""
        inputs = self.params.get("inputs")
        return isinstance(inputs, dict) and "prices" in inputs

    @cached_property
    def bills_are_shared(self) -> bool:
        """Whether neighbours settle at the end, so that their trades carry no price."""
        return bool((self.transfers["reason"] == "bill_sharing").any())

    @cached_property
    def spread(self) -> np.ndarray:
        """What buyers pay for a kWh beyond what its seller gets (T), EUR/kWh: the aggregator keeps it."""
        kept = self.transfers[self.transfers["reason"] == "auction_spread"]
        kept_eur = np.bincount(kept["timestep"], kept["amount_eur"], self.shape[0])
        traded_kwh = self.community["p2p_kwh"].to_numpy()
        return np.divide(kept_eur, traded_kwh, out=np.zeros(len(kept_eur)), where=traded_kwh > 0)

    def flow(self, name: str) -> np.ndarray:
        """One column of prosumer_energy.csv as (T, N)."""
        if name not in self._flows:
            self._flows[name] = self.energy[name].to_numpy().reshape(self.shape)
        return self._flows[name]

    def total(self, name: str) -> np.ndarray:
        """One flow summed over the members (T), kWh."""
        return self.flow(name).sum(axis=1)

    def price(self, name: str) -> np.ndarray:
        """One price of the community (T), EUR/kWh."""
        return self.community[f"{name}_eur_per_kwh"].to_numpy()

    @cached_property
    def home(self) -> list[str]:
        """What each member is called in a figure (N)."""
        names = self.members.get("household_id", self.members["prosumer_id"]).astype(str)
        return short_names(without_common_start(names.tolist()))

    def called(self, member: int, home: str = "home") -> str:
        """A member's name in a sentence: home 7, home A3 (or Home, where it begins one), but flat1 as it is."""
        name = self.home[member]
        return name if name[:3].isalpha() and len(name) > 2 else f"{home} {name}"

    @cached_property
    def has_batteries(self) -> bool:
        """Whether anybody owns one."""
        return bool((self.members["battery_capacity_kwh"] > 0).any())

    def describe(self, member: int) -> str:
        """What a home owns, in words."""
        row = self.members.iloc[member]
        owns = [f"{size(row.pv_capacity_kw)} kW PV"] if row.pv_capacity_kw else []
        owns += (
            [f"{size(row.battery_capacity_kwh)} kWh battery"] if row.battery_capacity_kwh else []
        )
        return ", ".join(owns) or "no PV, no battery"


def size(value: float) -> str:
    """What a home owns, in three digits, or to the unit where that is more."""
    return f"{value:.3g}" if value < 999.5 else f"{value:,.0f}"


# ---------------------------------------------------------------- names of homes


def without_common_start(names: Sequence[str]) -> list[str]:
    """Names without the word with which all of them begin, as household_01 -> 01; short ones stay."""
    if max(map(len, names), default=0) <= 4:
        return list(names)
    shared = os.path.commonprefix(list(names))
    for end in range(len(shared), 0, -1):
        last, rests = shared[end - 1], [name[end:] for name in names]
        ends = last in " _-./:#" or (last.isalpha() and all(rest[:1].isdigit() for rest in rests))
        if ends and all(rests):
            return rests
    return list(names)


def short_names(names: Sequence[str], most: int = 12) -> list[str]:
    """Names of at most `most` letters that still differ: the beginning, or beginning and end, or a number."""
    head, tail = most // 2, most - most // 2 - 1
    ways = (
        names,
        [name if len(name) <= most else name[: most - 1].rstrip() + "\u2026" for name in names],
        [name if len(name) <= most else name[:head] + "\u2026" + name[-tail:] for name in names],
        [f"{name[: most - 6]}\u2026{place}" for place, name in enumerate(names)],
    )
    counts, short = [Counter(way) for way in ways], list[str]()
    for forms in zip(*ways, strict=True):
        fits = [
            form
            for form, count in zip(forms, counts, strict=True)
            if len(form) <= most and count[form] == 1
        ]
        short.append(fits[0] if fits else forms[-1])
    return short
