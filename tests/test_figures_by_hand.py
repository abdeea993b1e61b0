"""What the figures say and draw of a day that is written by hand: every number can be found on paper.

Ann has PV and a battery, Bob has PV, Cem neither; there are three steps of half an hour from six o'clock
on. Flows, orders, trades and payments are those of day_by_hand.py, with names, bills and blocks of their
own. An hour has two steps, so a kW is two of these kWh. Sums stand beside the numbers that they explain.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from day_by_hand import Folder
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle, StepPatch
from test_plot_results import laid_out

from figures.data import Results
from figures.energy import more_or_less
from figures.regulator import member_hours
from figures.style import COLOUR, MUTED, PALE, share
from plot_results import FIGURES

MINUS = "\u2212"
BILLS = {"Ann": (0.30, 0.25), "Bob": (-0.10, -0.30), "Cem": (0.99, 1.00)}
"Alone and here, EUR: Ann saves 0.05, Bob 0.20, Cem loses 0.01; all together 1.19, 0.95, and 0.24 saved."
STORED = [5.0, 5.974679, 5.666886, 5.666886]
"5 kWh; 1 kWh times the root of 0.95 goes in, then 0.3 kWh over the root of 0.95 goes out."
BLOCKS = [(0, 1, 2, 10), (0, 1, 2, 20), (1, 1, 1, 30), (2, 1, 2, 20)]
"Step, miner, trades, hashes of each block: miner 1 of the three finds all four."
P2P_PRICE = [0.1115, 0.1055, 0.112001]
"In the first step (1.0 kWh x 0.112 EUR + 0.2 kWh x 0.109 EUR) / 1.2 kWh."


def written(path: Path, change: Callable[[Folder], None] = lambda folder: None) -> Results:
    """The day in a folder, changed before it is written."""
    folder = Folder(TIME_STEP_DURATION=0.5, DIFFICULTY_TARGET=2)
    folder.blocks = [
        {"height": n, "timestep": t, "miner": miner, "transactions": k, "hashes_tried": tried}
        for n, (t, miner, k, tried) in enumerate([(0, 0, 0, 0), *BLOCKS])
    ]
    for member, (name, (alone, here)) in zip(folder.members, BILLS.items(), strict=True):
        bills = {"net_cost_alone_eur": alone, "net_cost_eur": here}
        member |= {"household_id": name, "savings_eur": alone - here, "stored_change_kwh": 0.0}
        member |= bills
    folder.members[0]["stored_change_kwh"] = STORED[-1] - STORED[0]
    folder.members[2]["home_type"] = "type 4"  # as Ann's
    for t, row in enumerate(folder.community):
        row |= {
            "hour": 6 + t // 2,
            "market_price_microeur_per_kwh": [150_000, 151_000, 151_000][t],
            "p2p_price_microeur_per_kwh": round(1e6 * P2P_PRICE[t]),
            "net_wh": [200, 300, -200][t],
            "stored_milliwh": round(1e6 * STORED[t + 1]),
        }
    change(folder)
    return Results(folder.write(path))


@pytest.fixture(scope="module")
def hand(tmp_path_factory: pytest.TempPathFactory) -> Results:
    return written(tmp_path_factory.mktemp("hand") / "results")


@pytest.fixture(scope="module")
def figures(hand: Results) -> dict[str, Figure]:
    return {name: laid_out(name, hand) for name in FIGURES}


# ---------------------------------------------------------------- what they say

TITLES = {
    # 3.3 + 1.5 + 2.0 of PV; loads of 2.5, 2.1 and 1.8
    "energy_balance": "PV made 6.80 kWh, the homes used 6.40 kWh in 1.5 hours",
    # own PV 2.2, own battery 0.3, neighbours 2.3, local market 0.4, utility 1.2
    "energy_by_source": "Own roof and battery served 39 % of the load, neighbours 36 %",
    # homes lack 1.7 + 0.9 + 1.3 and have left 1.5 + 0.6 + 1.5; together they take 0.2 + 0.3, give 0.2
    "community_net_power": "Exchange with outside: 7.50 kWh home by home, "
    "0.70 kWh as one community",
    # 0.002, 0.001 and 0.001 beside a mean price of 0.1507
    "price_forecast": "The forecast misses the price that settles by 0.0013 EUR/kWh (1 %) on average",
    # 0.25375 EUR for 2.3 kWh; the market's sellers get 0.12 or more
    "price_dynamics": "P2P at 0.110 EUR/kWh, within the market's prices "
    "in none of the 3 steps with P2P",
    "trading_activity": "4 P2P trades and 3 local-market trades in 1.5 hours",
    # 2.3 of 3.9 and of 3.6
    "p2p_vs_market": "P2P is 59 % of what members buy and 64 % of what they sell",
    # 0.2, 0.5, 0.6, 1.0; and 0.3, 0.4, 0.9
    "trade_volume_analysis": "The median trade is 0.55 kWh (P2P) and 0.40 kWh (local market)",
    "merit_order": "Neighbours trade 1.20 kWh of 1.60 kWh wanted at 06:00",
    "trade_network": "3 members traded in 3 pairs; the strongest moved 1.00 kWh",
    "battery_usage": "Batteries took 1.00 kWh and gave 0.30 kWh; they end with 0.67 kWh more",
    "soc_heatmap": "The batteries begin 50 % full and end 57 % full",
    # 2.2 at once and 1.0 into the battery, 2.3 sold to neighbours, all of 6.8
    "renewable_usage": "47 % of the PV energy stayed in its home, 34 % went to neighbours",
    "home_type_analysis": "The median home saves 0.05 EUR in 1.5 hours",
    # balances of 1.891, 1.495 and 0.886
    "balance_distribution": "The median balance is +1.49 EUR; "
    "balances reach from +0.89 EUR to +1.89 EUR",
    "bill_before_after": "2 of 3 members pay less here than alone; all together 0.24 EUR less",
    "top_prosumers": "Bob saves most: 0.20 EUR",
    # Bob buys 0.8 of 1.5
    "prosumer_performance": "Who saves most, 0.20 EUR in 1.5 hours, is 47 % self-sufficient",
    "prosumer_day": f"Best saving: +0.20 EUR, Bob; worst: {MINUS}0.01 EUR, Cem",
    # under the curve (0 - 1/24) + (-1/24 + 4/24) + (4/24 + 1) = 1.25, over 3 members
    "lorenz_fairness": "Gini 0.58: the member that saves most saves 0.20 EUR, "
    "all together 0.24 EUR",
    # 0.064 for PV and 0.0484 for P2P; 0.032
    "regulator_impact": f"The regulator pays 0.11 EUR and takes 0.03 EUR: {MINUS}0.08 EUR in all",
    "ban_timeline": "1 member of 3 banned, 0.5 member-hours in all",
    # members +0.391, -0.005 and -0.614; the utility 0.384 - 0.003 from homes, 0.015 - 0.1359 wholesale
    "money_by_party": "Members lose 0.23 EUR, the utility gains 0.26 EUR; all together 0 EUR",
    "blockchain_growth": "4 blocks for 7 trades: 1.8 per block",
    # of 4 blocks a fair miner of 3 wins 0 to 3
    "mining_race": "2 of 3 miners won within the 95 % range of chance",
    "hashes_per_block": "20.0 hashes per block on average; chance expects 256",
}

SUBTITLES = {
    "energy_balance": "Above zero where energy came from, below where it went: equal at any time.",
    "energy_by_source": "Own PV serves first, then own batteries; they end with 0.67 kWh more.",
    "community_net_power": "Above zero: taken from outside, below: given to outside.",
    "price_forecast": "Above: the price that settles, and what members forecast. "
    "Below: forecast minus that.",
    "price_dynamics": "What a kWh costs, and earns, with a neighbour, in the local market "
    "and at the utility.",
    "trading_activity": "Above: members with an order. Below: trades, as a rate per hour.",
    "p2p_vs_market": "Above zero: bought by members, from whom. Below: sold by members, to whom.",
    "trade_volume_analysis": "4 P2P trades and 3 local market trades in 1.5 hours.",
    "merit_order": "Of the steps with asks and bids, the one with most P2P energy. Each offer at its limit.",
    "trade_network": "All pairs that traded P2P, the darker the more energy. "
    "Net sellers left, net buyers right.",
    "battery_usage": "1 battery, 10.0 kWh in all. Above zero charging, below discharging.",
    "soc_heatmap": "State of charge at the end of each step, 1 battery, the fullest on top.",
    "renewable_usage": "6.80 kWh of PV, from below in the order of their turn.",
    "home_type_analysis": "Left: average home of a type (some without PV). "
    "Right: saving against being alone, median, quartiles.",
    "balance_distribution": "Money after 1.5 hours, 1.50 EUR at the start: "
    "energy, bonuses and penalties. Stored energy is not valued.",
    "bill_before_after": "Bill of 1.5 hours: cash for energy minus the value of the change "
    "in stored energy, without bonuses and penalties.",
    "top_prosumers": "Saving of 1.5 hours against being alone with the utility.",
    "prosumer_performance": "Each dot a member, the larger the more PV. "
    "Self-sufficiency: load neither bought nor taken from the initial charge.",
    "prosumer_day": "Up: what the home gets, down: what it stores and gives; "
    "the black line is what it uses.",
    "lorenz_fairness": "Lorenz curve of the savings against being alone, 0.24 EUR in all. "
    "1 member lost 0.01 EUR, counted in full.",
    "regulator_impact": "Above: what it takes (up) and pays (down), per hour. "
    "Below: its account so far.",
    "ban_timeline": "Each bar: a ban in force.",
    "money_by_party": "Received (right) and paid (left) in 1.5 hours; the diamond and the number: "
    "the difference. Stored energy is not valued.",
    "blockchain_growth": "Above: blocks added, per hour. Below: trades on the chain so far. "
    "Without genesis.",
    "mining_race": "4 blocks. A fair miner is inside in at least 95 % of all runs, "
    "so on average at most 0.15 of 3 fall outside by chance.",
    "hashes_per_block": "4 blocks by the hashes that all miners tried for it; "
    "each is valid with probability 1/256.",
}

HOURS = "Hour of the day"
AXES = {
    "energy_balance": [(HOURS, "Average power (kW)")],
    "energy_by_source": [(HOURS, "Average power of the load (kW)")],
    "community_net_power": [(HOURS, "Average power (kW)")],
    "price_forecast": [("", "Price (EUR/kWh)"), (HOURS, "Error (EUR/kWh)")],
    "price_dynamics": [(HOURS, "Price (EUR/kWh)")],
    "trading_activity": [("", "Members"), (HOURS, "Trades per hour")],
    "p2p_vs_market": [(HOURS, "Average power (kW)")],
    "trade_volume_analysis": [
        ("Energy of a trade (kWh)", "Number of trades"),
        ("Price (EUR/kWh)", "Traded energy (kWh)"),
    ],
    "merit_order": [("Energy, cumulated over the offers (kWh)", "Limit price (EUR/kWh)")],
    "trade_network": [("", ""), ("P2P energy (kWh)", "")],
    "battery_usage": [("", "Average power (kW)"), (HOURS, "Stored (kWh)")],
    "soc_heatmap": [(HOURS, "Home, fullest battery first"), ("", "State of charge")],
    "renewable_usage": [(HOURS, "Average PV power (kW)")],
    "home_type_analysis": [
        ("Energy per home (kWh in 1.5 hours)", ""),
        ("Saving (EUR in 1.5 hours)", ""),
    ],
    "balance_distribution": [("Balance (EUR)", "Members")],
    "bill_before_after": [
        ("Members, sorted by their bill alone", "Bill (EUR); below zero: earned")
    ],
    "top_prosumers": [("Saving (EUR)", "")],
    "prosumer_performance": [("Self-sufficiency (% of the load)", "Saving (EUR in 1.5 hours)")],
    "prosumer_day": [("", "Average power (kW)"), (HOURS, "Average power (kW)")],
    "lorenz_fairness": [("Members, from the least saving (%)", "Share of all savings (%)")],
    "regulator_impact": [("", "Money (EUR per hour)"), (HOURS, "So far (EUR)")],
    "ban_timeline": [(HOURS, "Home")],
    "money_by_party": [("Money (EUR)", "")],
    "blockchain_growth": [("", "Blocks per hour"), (HOURS, "Trades so far")],
    "mining_race": [("Miner", "Blocks won")],
    "hashes_per_block": [("Hashes tried for a block", "Blocks")],
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_title_states_the_answer(name: str, figures: dict[str, Figure]):
    assert figures[name].texts[0].get_text() == TITLES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_the_line_below_the_title_says_how_to_read(name: str, figures: dict[str, Figure]):
    assert figures[name].texts[1].get_text() == SUBTITLES[name]


@pytest.mark.parametrize("name", FIGURES)
def test_an_axis_names_its_quantity_and_unit(name: str, figures: dict[str, Figure]):
    assert [(ax.get_xlabel(), ax.get_ylabel()) for ax in figures[name].axes] == AXES[name]


KEYS: dict[str, list[tuple[str, str]]] = {
    "energy_balance": [  # 7.6 kWh on either side
        ("from outside\n0.50 kWh (7 %)", "outside"),
        ("from batteries\n0.30 kWh (4 %)", "battery"),
        ("PV\n6.80 kWh (89 %)", "pv"),
        ("load\n6.40 kWh (84 %)", "load"),
        ("into batteries\n1.00 kWh (13 %)", "battery"),
        ("to outside\n0.20 kWh (3 %)", "outside"),
    ],
    "energy_by_source": [
        ("load\n6.40 kWh", "load"),
        ("utility\n1.20 kWh (19 %)", "utility"),
        ("local market\n0.40 kWh (6 %)", "market"),
        ("neighbours (P2P)\n2.30 kWh (36 %)", "p2p"),
        ("own battery\n0.30 kWh (5 %)", "battery"),
        ("own PV\n2.20 kWh (34 %)", "pv"),
    ],
    "community_net_power": [
        (
            "home by home: what homes\nlack (above) and have left\n(below) after own batteries\n"
            "in 3.90 kWh,\nout 3.60 kWh",
            PALE,
        ),
        (
            "as one community: the same,\nall homes behind one meter\nin 0.50 kWh,\nout 0.20 kWh",
            "community",
        ),
    ],
    "price_forecast": [("settled", "market"), ("forecast", "load")],
    "price_dynamics": [
        ("utility: buying (upper),\nselling (lower)", "utility"),
        ("local market: between\nselling and buying", "#EFD5E3"),
        ("P2P: lowest to highest", "p2p"),
        ("P2P: average, weighted\nby energy", "p2p"),
    ],
    "trading_activity": [
        ("sellers (up)", "seller"),
        ("buyers (down)", "buyer"),
        ("local market", "market"),
        ("P2P", "p2p"),
    ],
    "p2p_vs_market": [
        ("utility\n1.20 kWh (31 %)", "utility"),
        ("local market\n0.40 kWh (10 %)", "market"),
        ("P2P\n2.30 kWh (59 %)", "p2p"),
        ("P2P\n2.30 kWh (64 %)", "p2p"),
        ("local market\n1.20 kWh (33 %)", "market"),
        ("utility\n0.10 kWh (3 %)", "utility"),
    ],
    "trade_volume_analysis": [("local market", "market"), ("P2P", "p2p")],
    "merit_order": [
        ("demand: 2 buyers\n1.60 kWh", "buyer"),
        ("supply: 1 seller\n1.50 kWh", "seller"),
        ("the offers meet up to\n1.50 kWh", "p2p"),
        # 1.4 kWh at 0.124 - 0.100, 0.1 kWh at 0.118 - 0.100
        ("gain to be shared\n0.04 EUR", "p2p"),
        ("price of the trades\n0.109 to 0.112 EUR/kWh", "p2p"),
    ],
    "renewable_usage": [
        ("to the utility\n0.10 kWh (1 %)", "utility"),
        ("to the local market\n1.20 kWh (18 %)", "market"),
        ("to neighbours (P2P)\n2.30 kWh (34 %)", "p2p"),
        ("into own battery\n1.00 kWh (15 %)", "battery"),
        ("used at once at home\n2.20 kWh (32 %)", "pv"),
    ],
    "home_type_analysis": [
        ("PV and battery (1)", "owns both"),
        ("PV only (1)", "owns PV"),
        ("no PV, no battery (1)", "owns neither"),
        ("PV", "pv"),
        ("load", "load"),
    ],
    "balance_distribution": [
        ("PV and battery (1)", "owns both"),
        ("PV only (1)", "owns PV"),
        ("no PV, no battery (1)", "owns neither"),
        ("median", "community"),
    ],
    "bill_before_after": [
        ("alone with the utility\n1.19 EUR in all", "utility"),
        ("here\n0.95 EUR in all", "community"),
        ("pays less here", "#BDB9DB"),
        ("pays more here (1)", "community"),
    ],
    "top_prosumers": [
        ("PV and battery (1)", "owns both"),
        ("PV only (1)", "owns PV"),
        ("no PV, no battery (1)", "owns neither"),
    ],
    "prosumer_performance": [
        ("PV and battery (1)", "owns both"),
        ("PV only (1)", "owns PV"),
        ("no PV, no battery (1)", "owns neither"),
    ],
    "prosumer_day": [
        ("load", "load"),
        ("utility", "utility"),
        ("local market", "market"),
        ("P2P", "p2p"),
        ("PV", "pv"),
    ],
    "lorenz_fairness": [
        ("all save the same:\nGini 0", MUTED),
        ("this community", "community"),
        ("its area: half of Gini", "community"),
    ],
    "regulator_impact": [
        ("penalty for local market\n0.03 EUR", "market"),
        ("bonus for own PV used\n0.06 EUR", "pv"),
        ("bonus for P2P\n0.05 EUR", "p2p"),
        ("the regulator's account", "regulator"),
    ],
    "ban_timeline": [("excessive market use\n0.5 member-hours", "ban")],
    "money_by_party": [
        ("P2P", "p2p"),
        ("local market", "market"),
        ("utility", "utility"),
        ("bonuses, penalties", "regulator"),
        ("block rewards", "ledger"),
    ],
    "mining_race": [
        ("blocks won", "ledger"),
        ("expected: 1.3", "#000000"),
        ("95 % range of chance\n(binomial)", PALE),
    ],
    "hashes_per_block": [
        ("blocks of this run", "ledger"),
        ("expected: geometric\nlaw of chance", "#000000"),
    ],
}


KEY_TITLES = {
    "energy_balance": ["Sources", "Uses"],
    "p2p_vs_market": ["Bought: 3.90 kWh", "Sold: 3.60 kWh"],
}


def concept(colour: Any) -> str:
    """The name that a colour has in COLOUR; else the colour itself."""
    shown = matplotlib.colors.to_hex(colour).upper()
    return {code.upper(): name for name, code in COLOUR.items()}.get(shown, shown)


@pytest.mark.parametrize("name", FIGURES)
def test_a_key_names_each_colour_with_its_sum(name: str, figures: dict[str, Figure]):
    fig, shown = figures[name], []
    for legend in [*fig.legends, *(ax.get_legend() for ax in fig.axes if ax.get_legend())]:
        for handle, text in zip(legend.legend_handles, legend.get_texts(), strict=True):
            face = getattr(handle, "get_facecolor", getattr(handle, "get_color", None))
            shown.append((text.get_text(), concept(face())))
    assert shown == KEYS.get(name, [])
    titles = [legend.get_title().get_text() for legend in figures[name].legends]
    assert [title for title in titles if title] == KEY_TITLES.get(name, [])


# ---------------------------------------------------------------- what they draw


EDGES = [6, 6.5, 7, 7.5]
"Where the three steps begin and end."


def bands_and_lines(ax: Axes, points: list[float] | None = None) -> list[tuple[str, list[float]]]:
    """(colour, height at each point) of the bands, below zero where they hang, and of the lines."""
    found = []
    for patch in (p for p in ax.patches if isinstance(p, StepPatch)):
        values, edges, base = patch.get_data()
        assert list(edges) == (points or EDGES)
        colour = patch.get_facecolor() if patch.get_fill() else patch.get_edgecolor()
        found.append((concept(colour), list(values - base if patch.get_fill() else values)))
    return found


LOAD, PV = [2.5, 2.1, 1.8], [3.3, 1.5, 2.0]
BOUGHT = {"p2p": [1.2, 0.5, 0.6], "market": [0.4, 0, 0], "utility": [0.1, 0.4, 0.7]}
SOLD = {"p2p": [-1.2, -0.5, -0.6], "market": [-0.3, 0, -0.9], "utility": [0, -0.1, 0]}
AT_ONCE = [0.8, 0.9, 0.5]
"PV that its home uses in the same step: of Ann 0.5, 0.5, 0.5, of Bob 0.3, 0.4, 0."

KWH_PER_STEP: dict[tuple[str, int], list[tuple[str, list[float]]]] = {
    ("energy_balance", 0): [
        ("pv", PV),
        ("battery", [0, 0.3, 0]),
        ("outside", [0.2, 0.3, 0]),
        ("load", [-2.5, -2.1, -1.8]),
        ("battery", [-1, 0, 0]),
        ("outside", [0, 0, -0.2]),
    ],
    ("energy_by_source", 0): [
        ("pv", AT_ONCE),
        ("battery", [0, 0.3, 0]),
        *BOUGHT.items(),
        ("load", LOAD),
    ],
    ("community_net_power", 0): [
        (PALE, [1.7, 0.9, 1.3]),
        (PALE, [-1.5, -0.6, -1.5]),
        ("community", [0.2, 0.3, -0.2]),
    ],
    ("p2p_vs_market", 0): [*BOUGHT.items(), *SOLD.items()],
    ("trading_activity", 1): [("p2p", [2, 1, 1]), ("market", [2, 0, 1])],
    ("battery_usage", 0): [("battery", [1, 0, 0]), ("#7FCEB9", [0, -0.3, 0])],
    ("renewable_usage", 0): [
        ("pv", AT_ONCE),
        ("battery", [1, 0, 0]),
        ("p2p", [1.2, 0.5, 0.6]),
        ("market", [0.3, 0, 0.9]),
        ("utility", [0, 0.1, 0]),
    ],
    ("prosumer_day", 0): [  # Bob
        ("pv", [0.3, 1.0, 0]),
        ("p2p", [0.2, 0, 0.6]),
        ("p2p", [0, -0.5, 0]),
        ("utility", [0, -0.1, 0]),
        ("load", [0.5, 0.4, 0.6]),
    ],
    ("prosumer_day", 1): [  # Cem
        ("p2p", [1.0, 0.5, 0]),
        ("market", [0.4, 0, 0]),
        ("utility", [0.1, 0.4, 0.7]),
        ("load", [1.5, 0.9, 0.7]),
    ],
    ("regulator_impact", 0): [  # EUR: 0.02 per kWh; in the last step 0.012 for P2P, else 0.01
        ("market", [0.014, 0, 0.018]),
        ("pv", [-0.036, -0.018, -0.010]),
        ("p2p", [-0.024, -0.010, -0.0144]),
    ],
    ("blockchain_growth", 0): [("ledger", [2, 1, 1])],
}
"What is drawn as a rate, times half an hour."

AS_IT_IS: dict[tuple[str, int], list[tuple[str, list[float]]]] = {
    ("price_forecast", 0): [("market", [0.150, 0.151, 0.151]), ("load", [0.148, 0.152, 0.150])],
    ("price_forecast", 1): [(MUTED, [-0.002, 0.001, -0.001])],
    ("price_dynamics", 0): [
        ("utility", [0.32, 0.32, 0.32]),
        ("utility", [0.03, 0.03, 0.03]),
        ("market", [0.180, 0.181, 0.181]),
        ("market", [0.120, 0.121, 0.121]),
        ("p2p", P2P_PRICE),
    ],
    ("trading_activity", 0): [("seller", [1, 1, 1]), ("buyer", [-2, -1, -1])],
}


@pytest.mark.parametrize(("name", "axes"), [*KWH_PER_STEP, *AS_IT_IS])
def test_each_step_is_as_high_as_the_files_say(name: str, axes: int, figures: dict[str, Figure]):
    shown = bands_and_lines(figures[name].axes[axes])
    place = name, axes
    due = KWH_PER_STEP.get(place) or AS_IT_IS[place]
    per_hour = 2 if place in KWH_PER_STEP else 1
    assert [colour for colour, _ in shown] == [colour for colour, _ in due]
    for (_, values), (_, kwh) in zip(shown, due, strict=True):
        assert values == pytest.approx([per_hour * x for x in kwh], abs=1e-9)


def line_of(ax: Axes, number: int = 0) -> tuple[list[float], list[float]]:
    """(x, y) of a curve."""
    x, y = ax.lines[number].get_data()
    return list(map(float, x)), list(map(float, y))


def bars_of(ax: Axes) -> list[tuple[str, float, float]]:
    """(colour, beginning, end) of each bar that lies, from the first drawn on."""
    bars = [p for p in ax.patches if isinstance(p, Rectangle)]
    return [(concept(b.get_facecolor()), b.get_x(), b.get_x() + b.get_width()) for b in bars]


def row_texts(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "merit_order"])
def test_nothing_that_is_drawn_lies_beyond_its_axes(name: str, figures: dict[str, Figure]):
    for ax in (ax for ax in figures[name].axes if ax.axison):
        drawn, seen = ax.dataLim, ax.viewLim
        for low, high, begin, end in (
            (drawn.x0, drawn.x1, *sorted(seen.intervalx)),
            (drawn.y0, drawn.y1, *sorted(seen.intervaly)),
        ):
            assert not np.isfinite(low + high) or begin - 1e-9 <= low <= high <= end + 1e-9


@pytest.mark.parametrize(
    "name", ["home_type_analysis", "top_prosumers", "money_by_party", "ban_timeline"]
)
def test_rows_are_read_from_the_top(name: str, figures: dict[str, Figure]):
    ax = figures[name].axes[0]
    bottom, top = ax.get_ylim()
    assert top < ax.get_yticks()[0] and ax.get_yticks()[-1] < bottom


def test_sums_so_far_begin_with_nothing(figures: dict[str, Figure]):
    """The regulator takes 0.014 and pays 0.060, pays 0.028, takes 0.018 and pays 0.0244; 4, 1, 2 trades."""
    account = line_of(figures["regulator_impact"].axes[1])
    assert account == (EDGES, pytest.approx([0, -0.046, -0.074, -0.0804]))
    assert line_of(figures["blockchain_growth"].axes[1]) == (EDGES, [0, 4, 5, 7])


def test_the_batteries_content_runs_between_full_and_empty(figures: dict[str, Figure]):
    ax = figures["battery_usage"].axes[1]
    assert line_of(ax) == (EDGES, pytest.approx(STORED))
    levels = {text.get_text(): text.xy[1] for text in ax.texts}
    assert levels == pytest.approx({"full": 9.5, "empty": 1.0})  # 95 % and 10 % of 10 kWh
    assert sorted(line.get_ydata()[0] for line in ax.lines[1:]) == [1.0, 9.5]
    (image,) = figures["soc_heatmap"].axes[0].images
    assert np.asarray(image.get_array()) == pytest.approx(np.array([STORED[1:]]) / 10, abs=1e-4)
    assert row_texts(figures["soc_heatmap"].axes[0]) == ["Ann"]
    parts = row_texts(figures["soc_heatmap"].axes[1])
    assert parts == [f"{part} %" for part in (0, 20, 40, 60, 80, 100)]


def test_buyers_below_zero_are_no_negative_members(figures: dict[str, Figure]):
    ax = figures["trading_activity"].axes[0]
    assert row_texts(ax) == [f"{abs(round(place))}" for place in ax.get_yticks()]
    assert min(ax.get_yticks()) <= -2


def test_prices_of_neighbours_reach_from_the_lowest_to_the_highest(figures: dict[str, Figure]):
    """Only the first step has two: 0.109 and 0.112."""
    (bars,) = [c for c in figures["price_dynamics"].axes[0].collections if c.get_linewidth()[0]]
    assert isinstance(bars, LineCollection)
    ends = np.array([[(x, low), (x, high)] for x, low, high in [
        (6.25, 0.109, 0.112), (6.75, 0.1055, 0.1055), (7.25, 0.112001, 0.112001)]])  # fmt: skip
    assert np.array(bars.get_segments()) == pytest.approx(ends)


def test_supply_and_demand_step_where_an_offer_ends(figures: dict[str, Figure]):
    """Ann asks 0.100 for 1.5 kWh; Cem bids 0.124 for 1.4, Bob 0.118 for 0.2, who pay midway."""
    (ax,) = figures["merit_order"].axes
    (supply, asks), (demand, bids) = line_of(ax, 1), line_of(ax, 2)
    assert supply == [0, 1.5, 1.5] and asks == [0.1, 0.1, 1e6]
    assert demand == pytest.approx([0, 1.4, 1.6, 1.6]) and bids == [0.124, 0.124, 0.118, 0]
    assert [concept(line.get_color()) for line in ax.lines] == ["p2p", "seller", "buyer"]
    (gain, trades) = [patch.get_data() for patch in ax.patches if isinstance(patch, StepPatch)]
    assert list(gain.values) == [0.124, 0.118] and list(gain.baseline) == [0.1, 0.1]
    assert gain.edges == pytest.approx([0, 1.4, 1.5])
    assert line_of(ax, 0)[0] == [1.5, 1.5]
    (low, high), (begin, end) = ax.get_ylim(), ax.get_xlim()
    assert 0 < low < 0.1 and 0.124 < high < 0.15 and begin == 0 and 1.6 < end < 2
    assert list(trades.values) == [0.112, 0.109] and trades.edges == pytest.approx([0, 1, 1.2])


def test_trades_are_counted_by_their_energy_and_weighed_by_it_at_their_price(
    figures: dict[str, Figure],
):
    left, right = figures["trade_volume_analysis"].axes
    for ax, ends, due in (
        (left, (0, 1.0), {"p2p": [0.2, 0.5, 0.6, 1.0], "market": [0.3, 0.4, 0.9]}),
        (right, (0.1055, 0.18), {"p2p": [(0.112, 1.0), (0.109, 0.2), (0.1055, 0.5), (0.112001, 0.6)],
                                 "market": [(0.18, 0.4), (0.12, 0.3), (0.121, 0.9)]}),
    ):  # fmt: skip
        found = {concept(p.get_facecolor()): p.get_data() for p in ax.patches}
        assert list(found) == ["p2p", "market"]
        for kind, (values, edges, base) in found.items():
            assert (edges[0], edges[-1]) == ends
            expected = np.zeros(len(values))
            for trade in due[kind]:
                at, weight = trade if isinstance(trade, tuple) else (trade, 1)
                expected[min(np.searchsorted(edges, at, "right") - 1, len(values) - 1)] += weight
            assert values - base == pytest.approx(expected), kind


def test_the_network_ranks_sellers_and_buyers_and_puts_them_left_and_right(
    figures: dict[str, Figure],
):
    """Ann sells 1.8, Bob 0.5; Cem buys 1.5, Bob 0.8: Bob is a net buyer."""
    net, ranks = figures["trade_network"].axes
    assert row_texts(ranks) == ["sold most:", "Ann", "Bob", "bought most:", "Cem", "Bob"]  # fmt: skip
    ends = [(colour, round(end, 9)) for colour, _, end in bars_of(ranks)]
    assert ends == [("seller", 0), ("seller", 1.8), ("seller", 0.5), ("buyer", 0), ("buyer", 1.5), ("buyer", 0.8)]  # fmt: skip
    lines, dots = net.collections
    assert {concept(colour[:3]) for colour in lines.get_colors()} == {"p2p"}
    assert [concept(colour) for colour in dots.get_facecolor()] == ["seller", "buyer", "buyer"]
    ann, bob, cem = dots.get_offsets()
    assert ann[0] < 0 < min(bob[0], cem[0])
    assert dots.get_sizes().argsort().tolist() == [1, 2, 0], "1.3 of Bob, 1.5 of Cem, 1.8 of Ann"


def test_homes_of_a_type_have_their_mean_energy_and_the_range_of_their_savings(
    figures: dict[str, Figure],
):
    """Ann and Cem are of type 4: PV (5.5 + 0) / 2, load (1.8 + 3.1) / 2, savings 0.05 and -0.01."""
    left, right = figures["home_type_analysis"].axes
    assert row_texts(left) == ["type 1 (1)", "type 4 (2)"]
    due = [("pv", 0, 1.3), ("pv", 0, 2.75), ("load", 0, 1.5), ("load", 0, 2.45)]
    assert bars_of(left) == [(colour, 0, pytest.approx(end)) for colour, _, end in due]
    assert [round(bar.get_y() + 0.19) for bar in left.patches] == [0, 1, 0, 1]
    quartiles = [bar[1:] for bar in bars_of(right)]
    assert quartiles == [pytest.approx((0.2, 0.2)), pytest.approx((0.005, 0.035))]
    reach, medians, dots = right.collections
    assert [np.ptp(line[:, 0]) for line in reach.get_segments()] == pytest.approx([0, 0.06])
    assert [line[0][0] for line in medians.get_segments()] == pytest.approx([0.2, 0.02])
    x, y = np.array(dots.get_offsets()).T
    assert x == pytest.approx([0.05, 0.2, -0.01]) and np.round(y).tolist() == [1, 0, 1]
    owned = [concept(colour) for colour in dots.get_facecolor()]
    assert owned == ["owns both", "owns PV", "owns neither"]


def test_balances_are_counted_around_their_median(figures: dict[str, Figure]):
    """Five classes from 0.886 to 1.891: Cem in the first, Bob with 1.495 in the fourth, Ann in the last."""
    (ax,) = figures["balance_distribution"].axes
    bars = [p for p in ax.patches if p.get_height()]
    found = {concept(b.get_facecolor()): (round(b.get_x(), 3), b.get_height()) for b in bars}
    assert found == {"owns neither": (0.886, 1), "owns PV": (1.489, 1), "owns both": (1.69, 1)}
    assert [line_of(ax, n)[0] for n in (0, 1)] == [pytest.approx([1.4949494] * 2)] * 2


def test_bills_stand_in_the_order_of_those_alone(figures: dict[str, Figure]):
    (ax,) = figures["bill_before_after"].axes
    less, more, alone, here = ax.collections
    x, bills = np.array(alone.get_offsets()).T
    assert x.tolist() == [1, 2, 3] and bills.tolist() == [-0.10, 0.30, 0.99]
    assert np.array(here.get_offsets())[:, 1].tolist() == [-0.30, 0.25, 1.00]
    assert [concept(dots.get_facecolor()[0]) for dots in (alone, here)] == ["utility", "community"]
    assert [len(lines.get_segments()) for lines in (less, more)] == [2, 1]
    assert [width > 0 for width in here.get_linewidths()] == [False, False, True]


def test_the_best_stand_on_top_with_what_they_own(figures: dict[str, Figure]):
    (ax,) = figures["top_prosumers"].axes
    owned = ["Bob: 2.5 kW PV", "Ann: 4 kW PV, 10 kWh battery", "Cem: no PV, no battery"]
    assert row_texts(ax) == owned
    due = [("owns PV", 0.2), ("owns both", 0.05), ("owns neither", -0.01)]
    assert bars_of(ax) == [(colour, 0, pytest.approx(end)) for colour, end in due]
    told = [(text.get_text(), text.get_position()[1]) for text in ax.texts]
    assert told == [("0.20 EUR", 0), ("0.05 EUR", 1), (f"{MINUS}0.01 EUR", 2)]
    titles = [ax.get_title(loc="left") for ax in figures["prosumer_day"].axes]
    assert titles == [owned[0], owned[2]]


def test_a_dot_stands_at_what_its_home_needs_and_saves(figures: dict[str, Figure]):
    """Ann buys nothing and her battery gained; Bob buys 0.8 of 1.5; Cem buys all."""
    (dots,) = figures["prosumer_performance"].axes[0].collections
    offsets = np.array(dots.get_offsets())
    assert offsets == pytest.approx(np.array([[100, 0.05], [700 / 15, 0.2], [0, -0.01]]))
    assert (np.diff(dots.get_sizes()) < 0).all(), "4, 2.5 and 0 kW of PV"


def test_the_lorenz_curve_gathers_savings_from_the_least(figures: dict[str, Figure]):
    """-0.01, 0.05 and 0.20 of 0.24."""
    (ax,) = figures["lorenz_fairness"].axes
    assert line_of(ax) == ([0, 100], [0, 100])
    thirds, part = [0, 100 / 3, 200 / 3, 100], [0, -100 / 24, 400 / 24, 100]
    assert line_of(ax, 1) == (pytest.approx(thirds), pytest.approx(part))
    assert ax.get_ylim()[0] < -4 and ax.get_ylim()[1] == 100


def test_a_ban_lies_in_the_row_of_its_home(figures: dict[str, Figure]):
    """Cem is banned in the third step."""
    (ax,) = figures["ban_timeline"].axes
    ban = ax.collections[0].get_paths()
    assert len(ban) == 1 and row_texts(ax) == ["Cem"]
    (x, y) = ban[0].vertices.T
    assert (x.min(), x.max()) == (7, 7.5) and y.min() < 0 < y.max()


def test_each_payment_is_received_and_paid_by_its_parties(figures: dict[str, Figure]):
    """The aggregator pays 0.015 wholesale for 0.1 kWh and gets 0.1359 for 0.9."""
    (ax,) = figures["money_by_party"].axes
    names = ["members", "aggregator", "utility", "regulator", "mint", "miners"]
    received = {
        "members": {"p2p": 0.2537506, "market": 0.1449, "utility": 0.003, "regulator": 0.1124},
        "aggregator": {"market": 0.072, "utility": 0.1359},
        "utility": {"utility": 0.399},
        "regulator": {"regulator": 0.032},
        "miners": {"ledger": 0.4},
    }
    paid = {
        "members": {"p2p": 0.2537506, "market": 0.072, "utility": 0.384, "regulator": 0.032},
        "aggregator": {"market": 0.1449, "utility": 0.015},
        "utility": {"utility": 0.1389},
        "regulator": {"regulator": 0.1124},
        "mint": {"ledger": 0.4},
    }
    bars = [p for p in ax.patches if abs(p.get_width()) > 1e-12]
    for side, due in ((1, received), (-1, paid)):
        for row, name in enumerate(names):
            mine = [b for b in bars if b.get_width() * side > 0 and round(b.get_y() + 0.33) == row]
            lengths = {concept(b.get_facecolor()): side * b.get_width() for b in mine}
            assert lengths == pytest.approx(due.get(name, {})), name
            reach = max((side * (b.get_x() + b.get_width()) for b in mine), default=0)
            assert reach == pytest.approx(sum(due.get(name, {}).values())), "one after the other"
    net = [-0.2277, 0.048, 0.2601, -0.0804, -0.4, 0.4]
    assert np.array(ax.collections[0].get_offsets()) == pytest.approx(
        np.array([(eur, row) for row, eur in enumerate(net)])
    )
    told = [f"{MINUS}0.23", "+0.05", "+0.26", f"{MINUS}0.08", f"{MINUS}0.40", "+0.40"]
    assert row_texts(ax) == [f"{n}\n{eur} EUR" for n, eur in zip(names, told, strict=True)]


def test_blocks_won_stand_before_what_chance_allows(figures: dict[str, Figure]):
    """Of four blocks a miner of three wins none with probability 0.198, all with 0.012: 0 to 3."""
    (ax,) = figures["mining_race"].axes
    won = [bar.get_height() for bar in ax.patches if isinstance(bar, Rectangle)]
    band, expected = [p.get_data() for p in ax.patches if isinstance(p, StepPatch)]
    assert won == [0, 4, 0]
    assert band.values.tolist() == [3.5] * 3 and band.baseline.tolist() == [0] * 3
    q = 255 / 256  # at heights 1 to 4 begin miners 1, 2, 0, 1; who comes k-th wins after k failures
    turns = [(2, 1, 0, 2), (0, 2, 1, 0), (1, 0, 2, 1)]
    due = [sum(q**k for k in turn) * (1 - q) / (1 - q**3) for turn in turns]
    assert expected.values == pytest.approx(due) and sum(due) == pytest.approx(4)


def test_hashes_are_counted_in_classes_beside_the_law_of_chance(figures: dict[str, Figure]):
    """10, 20, 20 and 30 hashes; one begins with two zeros of 16 digits, so n fail with (255/256)^n."""
    (ax,) = figures["hashes_per_block"].axes
    found, law = [p.get_data() for p in ax.patches]
    assert found.edges.tolist() == law.edges.tolist() == [0, 5, 10, 15, 20, 25, 30]
    assert found.values.tolist() == [0, 1, 0, 2, 0, 1], "a class holds its upper end"
    due = [4 * ((255 / 256) ** n - (255 / 256) ** (n + 5)) for n in range(0, 30, 5)]
    assert law.values == pytest.approx(due)


def test_the_time_axis_counts_from_the_first_step(figures: dict[str, Figure]):
    (ax,) = figures["energy_balance"].axes
    clock = ["06:00", "06:15", "06:30", "06:45", "07:00", "07:15", "07:30"]
    assert [label.get_text() for label in ax.get_xticklabels()] == clock
    assert ax.get_xticks() == pytest.approx(np.arange(6, 7.51, 0.25))


# ---------------------------------------------------------------- the same for fifteen days


def repeated(data: Results, times: int) -> Results:
    """The day again and again; each member has its totals so many times, its bill as often as days."""
    for name in ("community_summary", "prosumer_energy", "prosumer_trading", "regulator_actions",
                 "all_trades", "transfers", "blocks"):  # fmt: skip
        path = data.folder / f"{name}.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        again = pd.concat([table] * times, ignore_index=True)
        later = 3 * np.repeat(np.arange(times), len(table))
        again["timestep"] = again["timestep"].astype(int) + later
        again.to_csv(path, index=False)
    path = data.folder / "prosumers.json"
    members = json.loads(path.read_text())
    scaled = {
        "savings_eur": times / 16,
        "net_cost_eur": times / 16,
        "net_cost_alone_eur": times / 16,
    }
    owned = ("battery_capacity_kwh", "initial_level_kwh")
    for member in members:
        scaled |= {name: times for name in member if name.endswith("_kwh") and name not in owned}
        member |= {name: member[name] * factor for name, factor in scaled.items()}
    path.write_text(json.dumps(members))
    return Results(data.folder)


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Fifteen days of 16 times an hour and a half, from six o'clock on."""
    return repeated(written(tmp_path_factory.mktemp("long") / "results"), 15 * 16)


PER_HOUR: dict[tuple[str, int], list[tuple[str, float]]] = {
    ("energy_balance", 0): [
        *(("pv", 6.8), ("battery", 0.3), ("outside", 0.5)),
        *(("load", -6.4), ("battery", -1), ("outside", -0.2)),
    ],
    ("community_net_power", 0): [
        *((PALE, 3.9), (PALE, -3.6)),
        *(("community", 0.5), ("community", -0.2)),
    ],
    ("trading_activity", 1): [("p2p", 4), ("market", 3)],
    ("regulator_impact", 0): [("market", 0.032), ("pv", -0.064), ("p2p", -0.0484)],
    ("blockchain_growth", 0): [("ledger", 4)],
}
"Sums of an hour and a half."

MEANS: dict[tuple[str, int], list[tuple[str, float]]] = {
    ("trading_activity", 0): [("seller", 1), ("buyer", -4 / 3)],
    ("ban_timeline", 0): [("ban", 1 / 3)],
    ("price_dynamics", 0): [
        *(("utility", 0.32), ("utility", 0.03), ("market", 0.542 / 3), ("market", 0.362 / 3)),
        ("p2p", 0.2537506 / 2.3),  # each kWh has the same weight, not each step
    ],
}


@pytest.mark.parametrize(("name", "axes"), [*PER_HOUR, *MEANS])
def test_a_point_of_a_long_run_is_the_mean_of_its_day(name: str, axes: int, long: Results):
    fig, place = FIGURES[name](long), (name, axes)
    days = [6.0 + 24 * day for day in range(16)]
    shown = bands_and_lines(fig.axes[axes], days)
    due = [(c, x / 1.5) for c, x in PER_HOUR.get(place, [])] or MEANS[place]
    assert shown == [(colour, [pytest.approx(value)] * 15) for colour, value in due]
    assert fig.texts[1].get_text().endswith(" Each point: mean of one day.")


def test_sums_so_far_grow_from_day_to_day(long: Results):
    """16 times -0.0804 EUR, and 7 trades."""
    account = line_of(FIGURES["regulator_impact"](long).axes[1])[1]
    assert account == pytest.approx([-0.0804 * 16 * day for day in range(16)])
    trades = line_of(FIGURES["blockchain_growth"](long).axes[1])[1]
    assert trades == [112 * day for day in range(16)]


BY_HOUR: dict[str, list[tuple[float, float, float]]] = {
    # steps of +2, -0.6 and 0 kW; the first hour has the first two, the next the third and a first
    "battery_usage": [(0.7, 1.0, -0.3)],
    "soc_heatmap": [(0.58207825, 0.58207825, 0.5666886)],
    "price_forecast": [(0.1505, 0.1505, 0.151), (-0.0005, -0.0015, 0)],
}


@pytest.mark.parametrize("name", BY_HOUR)
def test_a_map_of_a_long_run_has_its_hours_in_their_places(name: str, long: Results):
    """The run begins at six of the first day and ends at six of the sixteenth."""
    images = [image for ax in FIGURES[name](long).axes[:2] for image in ax.images]
    for image, due in zip(images, BY_HOUR[name], strict=True):
        shown = np.ma.filled(image.get_array(), np.nan)
        hours = np.array([[due[hour % 3]] * 16 for hour in range(24)])
        hours[:6, 0] = hours[6:, 15] = np.nan
        assert shown == pytest.approx(hours, nan_ok=True)
        assert image.get_extent() == [0, 16 * 24, 0, 24] and image.origin == "lower"
        assert image.axes.get_ylabel() == HOURS
        assert row_texts(image.axes) == ["00:00", "06:00", "12:00", "18:00", "24:00"]
        least, most = image.colorbar.vmin, image.colorbar.vmax
        assert least <= np.nanmin(shown) and np.nanmax(shown) <= most
        assert name == "soc_heatmap" or least in (0, -most)
    names = [ax.get_ylabel() for ax in FIGURES[name](long).axes]
    assert [scale for scale in names if "(" in scale or scale.startswith("State")] == SCALES[name]


SCALES = {
    "battery_usage": ["Stored (kWh)", "Power (kW)"],
    "soc_heatmap": ["State of charge"],
    "price_forecast": ["Price (EUR/kWh)", "Error (EUR/kWh)"],
}


def test_a_long_run_shows_how_far_the_batteries_content_ranges(long: Results):
    bottom = FIGURES["battery_usage"](long).axes[1]
    reach, mean = [patch.get_data() for patch in bottom.patches]
    assert reach.baseline == pytest.approx([STORED[2]] * 15)
    assert reach.values == pytest.approx([STORED[1]] * 15)
    assert mean.values == pytest.approx([sum(STORED[1:]) / 3] * 15)


def test_words_of_a_long_run(long: Results):
    def told(name: str) -> list[str]:
        return [text.get_text() for text in FIGURES[name](long).texts[:2]]

    assert told("energy_balance")[0] == "PV made 1,632 kWh, the homes used 1,536 kWh in 15 days"
    assert told("battery_usage")[1] == (
        "1 battery, 10.0 kWh in all. Colour: charging less discharging. "
        "Below: mean and range of each day."
    )
    assert told("soc_heatmap")[1] == (
        "State of charge of 1 battery together, by hour of the day and day."
    )
    assert told("price_forecast")[1] == (
        "By hour of the day and day. Above: the price that settles. Below: forecast minus that."
    )
    assert told("home_type_analysis")[0] == "The median home saves 0.05 EUR per day"
    assert told("prosumer_performance")[0] == (
        "Who saves most, 0.20 EUR per day, is 47 % self-sufficient"
    )
    assert told("ban_timeline") == [
        "1 member of 3 banned, 120 member-hours in all",
        "Members under a ban. Each point: mean of one day.",
    ]
    assert FIGURES["ban_timeline"](long).axes[0].get_ylabel() == "Members under a ban"
    bars = bars_of(FIGURES["home_type_analysis"](long).axes[0])
    assert [end for *_, end in bars] == pytest.approx([20.8, 44, 24, 39.2]), "16 times a day"


def test_beyond_a_hundred_days_a_point_is_a_week(tmp_path: Path):
    fig = FIGURES["battery_usage"](repeated(written(tmp_path / "results"), 105 * 16))
    assert fig.texts[1].get_text().endswith("Below: mean and range of each week.")
    assert len(fig.axes[1].patches[0].get_data().values) == 15


# ---------------------------------------------------------------- the same with a change


def change_of(name: str, data: Results) -> tuple[str, list[str]]:
    """(title, texts of the key) of a figure."""
    fig = laid_out(name, data)
    return fig.texts[0].get_text(), [t.get_text() for key in fig.legends for t in key.get_texts()]


def test_what_buyers_pay_beyond_what_sellers_get_is_drawn_above_it(tmp_path: Path):
    """The aggregator keeps 0.012 EUR of the first step's 1.2 kWh: 0.01 EUR/kWh, in all 0.005."""

    def keep(folder: Folder) -> None:
        folder.transfer(0, 2, -1, 12_000_000, "auction_spread")

    data = written(tmp_path / "results", keep)
    title, texts = change_of("price_dynamics", data)
    assert title == (
        "P2P sellers get 0.110 EUR/kWh, buyers pay 0.116; the aggregator keeps the rest"
    )
    assert texts[2::2] == ["P2P: what buyers pay", "P2P: what sellers get,\nweighted by energy"]
    fig = laid_out("price_dynamics", data)
    (_, got), (_, paid) = bands_and_lines(fig.axes[0])[-2:]
    assert got == pytest.approx(P2P_PRICE) and paid == pytest.approx([0.1215, *P2P_PRICE[1:]])
    keys = [fig.legends[0].legend_handles[n] for n in (4, 2)]
    for shown in (keys, fig.axes[0].patches[-2:]):
        assert [s.get_linestyle() in ("-", "solid") for s in shown] == [True, False]
    assert change_of("merit_order", data)[1][-2:] == [
        "what sellers get\n0.109 to 0.112 EUR/kWh",
        "what buyers pay\n0.119 to 0.122 EUR/kWh",
    ]


@pytest.mark.parametrize(
    ("mechanism", "sell", "buy", "told"),
    [
        # P2P is at 0.1115, 0.1055 and 0.112001; what is as dear as the market is within
        *(
            ("midpoint", sell, buy, f"the market's prices in {steps}")
            for sell, buy, steps in (
                ([111_500, 105_501, 112_002], [200_000] * 3, "1 of the 3 steps"),
                ([100_000] * 3, [111_499, 105_499, 112_001], "1 of the 3 steps"),
                ([110_000, 100_000, 112_001], [111_500, 200_000, 112_001], "all 3 steps"),
            )
        ),
        ("mid_market_rate", [120_000] * 3, [180_000] * 3, "the utility's prices in all 3 steps"),
    ],
)
def test_p2p_is_within_what_the_same_energy_earns_and_costs_elsewhere(
    mechanism: str, sell: list[int], buy: list[int], told: str, tmp_path: Path
):
    def prices(folder: Folder) -> None:
        folder.params["MARKET_MECHANISM"] = mechanism
        for side, column in (("sell", sell), ("buy", buy)):
            for row, price in zip(folder.community, column, strict=True):
                row[f"market_{side}_price_microeur_per_kwh"] = price

    title, _ = change_of("price_dynamics", written(tmp_path / "results", prices))
    assert title == f"P2P at 0.110 EUR/kWh, within {told} with P2P"


def test_who_offers_only_now_and_then_is_in_the_key(tmp_path: Path):
    def rest(folder: Folder) -> None:
        folder.community[1]["active_sellers"] = folder.community[2]["active_buyers"] = 0

    _, texts = change_of("trading_activity", written(tmp_path / "results", rest))
    assert texts == ["sellers (up)", "buyers (down)", "local market", "P2P"]


def test_orders_that_no_home_needs_are_those_of_batteries(tmp_path: Path):
    """Ann offers 1.8, of which 0.3 go nowhere; Cem bids for 2.0 and gets 1.5."""

    def more(folder: Folder) -> None:
        folder.trading[0]["order_wh"], folder.trading[2]["order_wh"] = 1800, 2000

    title, texts = change_of("merit_order", written(tmp_path / "results", more))
    assert title == "Neighbours trade 1.20 kWh of 2.20 kWh wanted at 06:00"
    assert texts[:2] == [
        "demand: 2 buyers\n2.20 kWh,\n2.00 kWh of it for batteries",
        "supply: 1 seller\n1.80 kWh,\n1.80 kWh of it from batteries",
    ]


def test_a_bid_that_is_as_high_as_an_ask_meets_it(tmp_path: Path):
    """Ann asks 0.118 for 1.5, as Bob bids for 0.2; only Cem gains, 0.006 on each of 1.4."""

    def dearer(folder: Folder) -> None:
        folder.trading[0]["limit_price_microeur_per_kwh"] = 118_000

    _, texts = change_of("merit_order", written(tmp_path / "results", dearer))
    assert texts[2:4] == [
        "the offers meet up to\n1.50 kWh",
        "gain to be shared\n0.01 EUR",
    ]


def test_offers_that_do_not_meet_have_no_gain_and_no_prices(tmp_path: Path):
    """Every ask is raised above every bid, and nobody trades with a neighbour."""

    def apart(folder: Folder) -> None:
        folder.trades = [trade for trade in folder.trades if trade["trade_type"] != "p2p"]
        for row in folder.community:
            row["p2p_wh"] = 0
        for row in folder.trading:
            if row["role"] == "seller":
                row["limit_price_microeur_per_kwh"] = 300_000

    title, texts = change_of("merit_order", written(tmp_path / "results", apart))
    assert title == "Neighbours trade 0 kWh of 1.60 kWh wanted at 06:00"
    assert texts == ["demand: 2 buyers\n1.60 kWh", "supply: 1 seller\n1.50 kWh"]


def test_far_more_supply_than_demand_is_cut_at_three_times_the_demand(tmp_path: Path):
    def more(folder: Folder) -> None:
        folder.trading[0]["order_wh"] = 20_000

    (ax,) = laid_out("merit_order", written(tmp_path / "results", more)).axes
    assert ax.get_xlabel() == "Energy, cumulated over the offers (kWh; cut at 4.80 kWh)"
    assert ax.get_xlim() == (0, pytest.approx(4.8))


def test_the_later_of_two_steps_has_its_own_offers_and_prices(tmp_path: Path):
    """Without Ann's first offer the third step has most: she asks 0.104, Bob bids 0.12 for 0.6."""

    def later(folder: Folder) -> None:
        no_offer = {"role": "neutral", "order_wh": 0, "limit_price_microeur_per_kwh": None}
        folder.trading[0] |= no_offer

    title, texts = change_of("merit_order", written(tmp_path / "results", later))
    assert title == "Neighbours trade 0.60 kWh of 0.60 kWh wanted at 07:00"
    assert texts[-1] == "price of the trades\n0.112 EUR/kWh", "midway"


def test_bans_for_two_reasons_have_two_colours_and_sums(tmp_path: Path):
    """Bob in all three steps for a low balance, Cem in the third."""

    def ban(folder: Folder) -> None:
        for t in range(3):
            folder.actions[3 * t + 1] |= {"is_banned": True, "ban_reason": "low_balance"}

    data = written(tmp_path / "results", ban)
    assert change_of("ban_timeline", data) == (
        "2 members of 3 banned, 2 member-hours in all",
        ["excessive market use\n0.5 member-hours", "low balance\n1.5 member-hours"],
    )
    fig = laid_out("ban_timeline", data)
    bans, low = (
        fig.axes[0].collections[0],
        concept(fig.legends[0].legend_handles[1].get_facecolor()),
    )
    assert row_texts(fig.axes[0]) == ["Bob", "Cem"]
    corners = [path.vertices[0] for path in bans.get_paths()]
    assert [(x, round(y + 0.38)) for x, y in corners] == [(6, 0), (6.5, 0), (7, 0), (7, 1)]
    assert [concept(colour) for colour in bans.get_facecolor()] == [low, low, low, "ban"]


def test_curtailed_pv_hangs_below_the_uses(tmp_path: Path):
    """Ann's PV makes 0.5 more in the third step, for which there is no use: 0.5 of 7.3."""

    def curtail(folder: Folder) -> None:
        row = folder.at(2, 0)
        row["pv_wh"], row["curtailed_wh"] = row["pv_wh"] + 500, 500

    data = written(tmp_path / "results", curtail)
    for name, part in (("energy_balance", "6 %"), ("renewable_usage", "7 %")):
        assert f"curtailed\n0.50 kWh ({part})" in change_of(name, data)[1]
        sign = -1 if name == "energy_balance" else 1
        colour, values = bands_and_lines(laid_out(name, data).axes[0])[-1]
        assert (colour, values) == ("curtailed", [0, 0, pytest.approx(sign)])


def test_a_fair_share_of_many_blocks_is_a_band_above_none(tmp_path: Path):
    """Of 60 blocks a miner of three wins 13 to 27, where two have 29: 20 less or more twice 3.65."""

    def mine(folder: Folder) -> None:
        winners = [0] * 29 + [2] * 29 + [1] * 2
        folder.blocks = [
            {"height": n, "timestep": 0, "miner": m, "transactions": 1, "hashes_tried": 1}
            for n, m in enumerate([0, *winners])
        ]

    data = written(tmp_path / "results", mine)
    fig = laid_out("mining_race", data)
    assert fig.texts[0].get_text() == "0 of 3 miners won within the 95 % range of chance"
    band, _ = [p.get_data() for p in fig.axes[0].patches if isinstance(p, StepPatch)]
    assert band.baseline.tolist() == [12.5] * 3 and band.values.tolist() == [27.5] * 3


def test_a_dated_day_begins_at_its_minute(tmp_path: Path):
    path = written(tmp_path / "results").folder / "community_summary.csv"
    times = [f"2017-06-05 {clock}:00" for clock in ("06:30", "07:00", "07:30")]
    pd.read_csv(path).assign(timestamp=times).to_csv(path, index=False)
    data = Results(path.parent)
    assert (data.timeline.start, data.timeline.label) == (6.5, "Hour of 5 June 2017")
    assert change_of("merit_order", data)[0].endswith(" at 06:30")


def test_what_a_battery_sells_goes_to_neighbours_without_being_sun(tmp_path: Path):
    """In the second step Ann's battery gives 0.4 more, which Cem buys: nobody needs the utility."""

    def sell(folder: Folder) -> None:
        ann, cem = folder.at(1, 0), folder.at(1, 2)
        ann["battery_discharge_wh"], ann["p2p_sold_wh"] = 700, 400
        cem["p2p_bought_wh"], cem["grid_import_wh"] = 900, 0
        folder.community[1] |= {"p2p_wh": 900, "grid_import_wh": 0, "net_wh": -100}

    data = written(tmp_path / "results", sell)
    title, texts = change_of("community_net_power", data)
    assert title.endswith("7.50 kWh home by home, 0.50 kWh as one community")
    assert [text.split("\n")[-2:] for text in texts[1:]] == [
        ["in 0.50 kWh,", "out 0.20 kWh"],
        ["in 0.20 kWh,", "out 0.30 kWh"],
    ]
    netted, together = bands_and_lines(laid_out("community_net_power", data).axes[0])[2:]
    assert netted == ("load", pytest.approx([0.4, 0.6, -0.4]))
    assert together == ("community", pytest.approx([0.4, -0.2, -0.4]))
    assert laid_out("renewable_usage", data).texts[1].get_text() == (
        "6.80 kWh of PV, from below in the order of their turn. "
        "Batteries sold 0.40 kWh of 2.70 kWh P2P."
    )


def test_what_fills_a_battery_serves_nobody_at_once(tmp_path: Path):
    """In the third step Ann buys 0.3 more for her battery, so 2.3 of 2.6 P2P serve loads."""

    def fill(folder: Folder) -> None:
        ann = folder.at(2, 0)
        ann["battery_charge_wh"], ann["p2p_bought_wh"] = 300, 300
        folder.community[2]["stored_milliwh"] = 5_000_000

    data = written(tmp_path / "results", fill)
    assert laid_out("energy_by_source", data).texts[1].get_text() == (
        "Own PV serves first, then own batteries; 0.30 kWh of 2.60 kWh P2P filled them."
    ), "that they end as they began is not worth a word"

    def end_as_they_began(folder: Folder) -> None:
        folder.community[2]["stored_milliwh"] = 5_000_000

    data = written(tmp_path / "alike", end_as_they_began)
    told = laid_out("energy_by_source", data).texts[1].get_text()
    assert told == "Own PV serves first, then own batteries."


def test_who_pays_as_much_as_alone_has_no_line_and_no_ring(tmp_path: Path):
    """Ann, for whom nothing changes, is neither among who pays less nor among who pays more."""

    def alike(folder: Folder) -> None:
        folder.members[0] |= {"net_cost_eur": 0.30, "savings_eur": 0.0}
        folder.members[1] |= {"net_cost_eur": -0.10, "savings_eur": 0.0}

    data = written(tmp_path / "results", alike)
    title, texts = change_of("bill_before_after", data)
    assert title == "0 of 3 members pay less here than alone; all together 0.01 EUR more"
    assert texts[2:] == ["pays more here (1)"]
    rings = laid_out("bill_before_after", data).axes[0].collections[-1].get_linewidths()
    assert [width > 0 for width in rings] == [False, False, True]


def test_equal_balances_are_told_once(tmp_path: Path):
    def level(folder: Folder) -> None:
        for member in folder.members:
            member["final_balance_eur"] = 1.5

    data = written(tmp_path / "results", level)
    assert change_of("balance_distribution", data)[0] == "Every member ends with +1.50 EUR"


@pytest.mark.parametrize(
    ("left_out", "title"),
    [
        ("_bonus", "The regulator pays 0 EUR and takes 0.03 EUR: +0.03 EUR in all"),
        ("_penalty", f"The regulator pays 0.11 EUR and takes 0 EUR: {MINUS}0.11 EUR in all"),
    ],
)
def test_a_regulator_may_only_pay_or_only_take(left_out: str, title: str, tmp_path: Path):
    def leave_out(folder: Folder) -> None:
        folder.transfers = [x for x in folder.transfers if not x["reason"].endswith(left_out)]

    assert change_of("regulator_impact", written(tmp_path / "results", leave_out))[0] == title


def nothing(folder: Folder) -> None:
    """No sun, no use, no offer, no ban, no block."""
    for row in [*folder.energy, *folder.trading, *folder.community, *folder.actions]:
        row |= {name: 0 for name in row if name.endswith("_wh") or name.startswith("active")}
        row |= {"role": "neutral"} if "role" in row else {}
        row |= {"is_banned": False, "ban_reason": ""} if "ban_reason" in row else {}
        row |= {"p2p_trades": 0, "market_trades": 0} if "net_wh" in row else {}
    for member in folder.members:
        member |= {name: 0.0 for name in member if name in ("pv_kwh", "load_kwh", "savings_eur")}
    folder.blocks = folder.blocks[:1]


EMPTY = {
    "energy_balance": "No home made or used any energy in this run.",
    "energy_by_source": "No home used any energy in this run.",
    "renewable_usage": "There was no PV energy in this run.",
    "trading_activity": "Nobody made an order in this run, so nothing was traded.",
    "p2p_vs_market": "No member bought or sold any energy in this run.",
    "trade_volume_analysis": "Nothing was traded in this run.",
    "trade_network": "No two neighbours traded in this run.",
    "merit_order": "Nobody made an order in this run.",
    "top_prosumers": "Nobody saved anything against being alone with the utility.",
    "prosumer_performance": "Nobody uses energy, so nobody is more or less self-sufficient.",
    "lorenz_fairness": "All members together saved 0 EUR against being alone: nothing to share.",
    "regulator_impact": "The regulator paid no bonus and took no penalty in this run.",
    "ban_timeline": "The regulator banned no member in 1.5 hours.",
    "money_by_party": "No money moved in this run.",
    "blockchain_growth": "Nothing was traded in this run, so no block came after genesis.",
    "mining_race": "Nothing was traded in this run, so no block came after genesis.",
    "hashes_per_block": "Nothing was traded in this run, so no block came after genesis.",
}


def test_a_day_without_anything_says_so_in_every_figure(tmp_path: Path):
    folder = written(tmp_path / "results", nothing).folder
    for name in ("all_trades", "transfers"):  # no row but the names of the columns
        path = folder / f"{name}.csv"
        path.write_text(path.read_text().splitlines()[0] + "\n")
    told, data = {}, Results(folder)
    for name in FIGURES:
        ax = FIGURES[name](data).axes[0]
        if not ax.axison:
            told[name] = ax.texts[0].get_text().replace("-\n", "-").replace("\n", " ")
    assert told == EMPTY
    assert FIGURES["price_dynamics"](data).texts[0].get_text() == (
        "Neighbours traded nothing: only the other prices applied"
    )


def test_words_of_one_of_half_and_of_nothing() -> None:
    """Rounding half to even made 0 % of half a percent; '1 member-hours' and '0 kWh more' are no English."""
    assert [share(part, 1000) for part in (4, 5, 6, 994, 995)] == [
        "< 1 %",
        "< 1 %",
        "1 %",
        "99 %",
        "> 99 %",
    ]
    assert [member_hours(hours) for hours in (0.5, 1.0, 1200.0)] == [
        "0.5 member-hours",
        "1 member-hour",
        "1,200 member-hours",
    ]
    ends = [more_or_less(np.array([5.0, 7.0, last])) for last in (5.5, 5.0, 4.75)]
    assert ends == ["0.50 kWh more", "as much as they began with", "0.25 kWh less"]
