"""Figures of the regulator: bonuses, penalties, bans."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import NothingToShow, Results
from figures.registry import figure
from figures.style import (
    COLOUR,
    MOST_NAMED,
    MUTED,
    WIDE_KEY,
    amount,
    canvas,
    key,
    many,
    row_names,
    stack,
    stroke,
    time_axes,
    zero_line,
)

REGULATED = {
    "market_penalty": ("penalty for local market", "market"),
    "renewable_bonus": ("bonus for own PV used", "pv"),
    "p2p_bonus": ("bonus for P2P", "p2p"),
}


def money_by_step(data: Results, reason: str) -> np.ndarray:
    """Money that moved for a reason (T), EUR."""
    moves = data.transfers[data.transfers["reason"] == reason]
    return np.bincount(moves["timestep"], moves["amount_eur"], data.shape[0])


@figure
def regulator_impact(data: Results) -> Figure:
    """What does the regulator's policy cost, and what does it pay for?"""
    money, timeline = {reason: money_by_step(data, reason) for reason in REGULATED}, data.timeline
    taken, paid = money["market_penalty"], money["renewable_bonus"] + money["p2p_bonus"]
    if not taken.any() and not paid.any():
        raise NothingToShow("The regulator paid no bonus and took no penalty in this run.")
    fig, (top, bottom) = canvas(
        f"The regulator pays {amount(paid.sum(), 'EUR')} and takes {amount(taken.sum(), 'EUR')}: "
        f"{amount((taken - paid).sum(), 'EUR', signed=True)} in all",
        "Above: what it takes (up) and pays (down), per hour. Below: its account so far."
        + timeline.note,
        heights=(1.5, 1),
        right=WIDE_KEY,
    )
    bars = {reason: timeline.rate(values) for reason, values in money.items()}
    for reasons, sign in ((("market_penalty",), 1), (("renewable_bonus", "p2p_bonus"), -1)):
        layers = [("", COLOUR[REGULATED[reason][1]], bars[reason]) for reason in reasons]
        stack(top, timeline.edges, layers, sign)
    zero_line(top)
    account = np.append(0, np.cumsum(timeline.total(taken - paid)))
    bottom.plot(timeline.edges, account, color=COLOUR["regulator"], lw=4)
    bottom.fill_between(timeline.edges, account, color=COLOUR["regulator"], alpha=0.3, lw=0)
    zero_line(bottom)
    time_axes([top, bottom], timeline, ["Money (EUR per hour)", "So far (EUR)"])
    entries: list[Any] = [
        Patch(fc=COLOUR[colour], label=f"{name}\n{amount(money[reason].sum(), 'EUR')}")
        for reason, (name, colour) in REGULATED.items()
        if money[reason].any()
    ]
    key(top, [*entries, stroke("the regulator's account", COLOUR["regulator"], lw=4)])
    return fig


BAN_REASONS = {"excessive_market_use": COLOUR["ban"], "low_balance": "#7A3300"}


def bans(data: Results) -> pd.DataFrame:
    """One row per step and member under a ban: timestep, prosumer_id, ban_reason."""
    found = data.rulings[data.rulings["is_banned"]]
    return found.assign(ban_reason=found["ban_reason"].fillna("").astype(str))


def ban_hours(data: Results) -> dict[str, float]:
    """Member-hours under a ban for each reason."""
    steps = bans(data)["ban_reason"].value_counts().sort_index()
    return {str(reason): n * data.timeline.step_hours for reason, n in steps.items()}


def member_hours(hours: float) -> str:
    """'1 member-hour', '7.5 member-hours'."""
    return f"{hours:,.6g} member-hour{'s' * (hours != 1)}"


@figure
def ban_timeline(data: Results) -> Figure:
    """Who was banned, when, and why?"""
    found, timeline = bans(data), data.timeline
    hours = ban_hours(data)
    members = found["prosumer_id"].unique()
    if not len(members):
        raise NothingToShow(f"The regulator banned no member in {timeline.span}.")
    named = len(members) <= MOST_NAMED and timeline.steps_per_point == 1
    fig, (ax,) = canvas(
        f"{many(len(members), 'member')} of {data.shape[1]:,} banned, "
        f"{member_hours(sum(hours.values()))} in all",
        "Each bar: a ban in force." if named else "Members under a ban." + timeline.note,
        right=WIDE_KEY,
    )
    if named:
        draw_bans(ax, data, found, members)
    else:
        counts = {
            str(reason): np.bincount(rows["timestep"], minlength=timeline.steps) * 1.0
            for reason, rows in found.groupby("ban_reason")
        }
        layers = [("", BAN_REASONS.get(r, MUTED), timeline.mean(n)) for r, n in counts.items()]
        stack(ax, timeline.edges, layers)
    time_axes([ax], timeline, ["Home" if named else "Members under a ban"])
    if named:
        ax.grid(False)
    names = [f"{r.replace('_', ' ')}\n{member_hours(h)}" for r, h in hours.items()]
    colours = [BAN_REASONS.get(reason, MUTED) for reason in hours]
    key(ax, [Patch(fc=c, label=name) for name, c in zip(names, colours, strict=True)])
    return fig


def draw_bans(ax: Axes, data: Results, found: pd.DataFrame, members: np.ndarray) -> None:
    """One bar for each step of each ban, a row for each member, the first banned on top."""
    timeline, row = data.timeline, {member: place for place, member in enumerate(members)}
    y = found["prosumer_id"].map(row).to_numpy()
    x = timeline.start + timeline.step_hours * found["timestep"].to_numpy()
    box = np.array([[0, -0.38], [1, -0.38], [1, 0.38], [0, 0.38]]) * [timeline.step_hours, 1]
    boxes = np.stack([x, y], axis=1)[:, None, :] + box
    colours = [BAN_REASONS.get(reason, MUTED) for reason in found["ban_reason"]]
    ax.add_collection(PolyCollection(list(boxes), fc=colours, ec=colours, lw=0.5))
    ax.hlines(
        np.arange(len(members)), timeline.start, timeline.end, color="#DDDDDD", lw=1, zorder=0
    )
    ax.set_ylabel("Home")
    row_names(ax, [data.home[member] for member in members])
    ax.set_ylim(max(len(members), 4) - 0.4, -0.6)
