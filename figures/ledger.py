"""Figures of the ledger: how the chain grew, who mined it, and with how many hashes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from figures.data import NothingToShow, Results
from figures.registry import figure
from figures.style import (
    COLOUR,
    DASHED,
    PALE,
    WIDE_KEY,
    amount,
    canvas,
    key,
    line,
    many,
    stack,
    stroke,
    time_axes,
    whole_numbers,
)

MOST_BARS, AXIS_POINTS = 60, 550
"""Of miners: from so many on each is a line; the width of the axis that all of them share."""
ALIKE = 0.01
"""Chances that differ by less than this part are told as one."""


def need_blocks(data: Results) -> pd.DataFrame:
    """The blocks after genesis."""
    if not len(data.blocks):
        raise NothingToShow("Nothing was traded in this run, so no block came after genesis.")
    return data.blocks


@figure
def blockchain_growth(data: Results) -> Figure:
    """How does the chain grow with the trades?"""
    blocks, timeline = need_blocks(data), data.timeline
    mined = np.bincount(blocks["timestep"], minlength=timeline.steps)
    trades = np.bincount(blocks["timestep"], blocks["transactions"], timeline.steps)
    fig, (top, bottom) = canvas(
        f"{many(len(blocks), 'block')} for {many(int(trades.sum()), 'trade')}: "
        f"{trades.sum() / len(blocks):.1f} per block",
        "Above: blocks added, per hour. Below: trades on the chain so far. Without genesis."
        + timeline.note,
        heights=(1, 1.2),
        left=0.105,
    )
    rate = timeline.rate(mined)
    stack(top, timeline.edges, [("", COLOUR["ledger"], rate)])
    so_far = np.append(0, np.cumsum(timeline.total(trades)))
    bottom.fill_between(timeline.edges, so_far, color=COLOUR["ledger"], alpha=0.35, lw=0)
    bottom.plot(timeline.edges, so_far, color=COLOUR["ledger"], lw=4)
    time_axes([top, bottom], timeline, ["Blocks per hour", "Trades so far"])
    if timeline.step_hours == timeline.steps_per_point == 1:
        whole_numbers(top.yaxis)
    bottom.set_ylim(bottom=0)
    return fig


def binomial_band(draws: int, chance: float, inside: float = 0.95) -> tuple[int, int]:
    """The range (lowest, highest) that holds the number of successes with probability `inside` or more."""
    if draws == 0 or chance <= 0:
        return 0, 0
    if chance >= 1:
        return draws, draws
    k = np.arange(1, draws + 1)
    log_ratio = np.log((draws - k + 1) / k) + math.log(chance / (1 - chance))
    log_weight = np.append(0.0, np.cumsum(log_ratio))
    weight = np.exp(log_weight - log_weight.max())
    cumulated, tail = np.cumsum(weight) / weight.sum(), (1 - inside) / 2
    return int(np.searchsorted(cumulated, tail)), int(np.searchsorted(cumulated, 1 - tail))


def mining_chances(data: Results) -> np.ndarray:
    """Each miner's chance to win a block (K): by stake, by hash power, or equal."""
    by_stake = data.params.get("CONSENSUS") == "pos"
    weights = data.params.get("VALIDATOR_STAKES" if by_stake else "MINER_HASH_POWER")
    miners = max(int(data.setting("NUM_MINERS", 1)), int(data.blocks["miner"].max()) + 1)
    if not isinstance(weights, list) or len(weights) != miners:
        weights = [1] * miners
    if by_stake:
        return np.array(weights, float) / sum(weights)
    difficulty = int(data.setting("DIFFICULTY_TARGET", 0))
    return race_chances(weights, difficulty, data.blocks["height"].to_numpy())


def race_chances(power: Sequence[int], difficulty: int, heights: np.ndarray) -> np.ndarray:
    """The chance (K) of miners of this hash power to find the first valid hash, as the mean over these blocks.

    At each height another miner begins. One wins with its attempts of a round if all before it in this round
    failed. Chances are the shares of power where a round is short against the expected attempts (16^difficulty);
    in a longer one it matters whom a miner follows: docs/ledger.md.
    """
    begun = np.bincount(heights % len(power), minlength=len(power)) / len(heights)
    if difficulty == 0:  # every hash is valid: who begins wins
        return begun
    attempts, fails = np.array(power, float), math.log1p(-(16.0**-difficulty))
    everyone, before = attempts.sum(), np.cumsum(attempts) - attempts
    reached = np.zeros(len(power))
    for first in np.flatnonzero(begun):
        reached += begun[first] * np.exp(fails * ((before - before[first]) % everyone))
    chances: np.ndarray = reached * np.expm1(fails * attempts) / np.expm1(fails * everyone)
    return chances


def so_many(part: int, of: int, noun: str) -> str:
    """'All 15 miners', '14 of 15 miners', 'The one miner'."""
    if of == 1:
        return f"The one {noun}"
    return f"All {many(of, noun)}" if part == of else f"{part:,} of {many(of, noun)}"


@figure
def mining_race(data: Results) -> Figure:
    """Does any miner win more blocks than chance allows?"""
    blocks, chances = len(need_blocks(data)), mining_chances(data)
    won = np.bincount(data.blocks["miner"], minlength=len(chances))
    limits = {chance: binomial_band(blocks, chance) for chance in np.unique(chances)}
    low, high = np.array([limits[chance] for chance in chances]).T
    inside = int(((low <= won) & (won <= high)).sum())
    noun = "validator" if data.params.get("CONSENSUS") == "pos" else "miner"
    fig, (ax,) = canvas(
        f"{so_many(inside, len(won), noun)} won within the 95 % range of chance",
        f"{many(blocks, 'block')}. A fair {noun} is inside in at least 95 % of all runs, "
        f"so on average at most {0.05 * len(won):g} of {len(won):,} fall outside by chance.",
        right=WIDE_KEY,
    )
    edges = np.arange(len(won) + 1) - 0.5
    band: Any = {"fill": True, "fc": PALE, "zorder": 0.9}
    ax.stairs(high + 0.5, edges, baseline=np.where(low > 0, low - 0.5, 0), **band)
    bars = np.arange(len(won))
    if len(won) <= MOST_BARS:
        ax.bar(bars, won, 0.55, color=COLOUR["ledger"], zorder=2)
    else:  # lines can be wider than a miner's share of the axis, so that nobody who won is lost
        winners, points = np.flatnonzero(won), max(1.2, AXIS_POINTS / len(won))
        ax.vlines(winners, 0, won[winners], COLOUR["ledger"], lw=points, zorder=2)
    line(ax, edges, blocks * chances, "black", ls=DASHED, lw=2, zorder=3)
    ax.set(xlim=(edges[0], edges[-1]), xlabel=noun.capitalize(), ylabel="Blocks won")
    whole_numbers(ax.xaxis, ax.yaxis)
    if len(won) <= 20:
        ax.set_xticks(bars)
    ax.set_ylim(0, 1.06 * max(won.max(), high.max() + 0.5))
    ax.grid(axis="y")
    alike = np.ptp(chances) < ALIKE * chances.mean()
    expected = f"{blocks * chances.mean():.1f}" if alike else "by its chance"
    won_key = Patch(fc=COLOUR["ledger"], label="blocks won")
    mean_key = stroke(f"expected: {expected}", "black", ls=DASHED, lw=2)
    band_key = Patch(fc=PALE, label="95 % range of chance\n(binomial)")
    key(ax, [won_key, mean_key, band_key])
    return fig


def expected_blocks(edges: np.ndarray, blocks: int, chance: float) -> np.ndarray:
    """Blocks that the geometric law expects to take more than edges[i], at most edges[i + 1] hashes."""
    survival = np.power(1 - chance, edges)
    return blocks * (survival[:-1] - survival[1:])


def hash_edges(tried: np.ndarray) -> np.ndarray:
    """Whole numbers that divide the hashes of blocks into classes, more where there are more blocks."""
    classes = int(np.clip(2 * len(tried) ** 0.5, 6, 50))
    return np.unique(np.ceil(np.linspace(0, max(tried.max(), 1), classes + 1)))


@figure
def hashes_per_block(data: Results) -> Figure:
    """Does the work per block follow the law of independent tries?"""
    tried = need_blocks(data)["hashes_tried"].to_numpy()
    if not tried.any():
        raise NothingToShow(
            "The blocks of this run were not found by hashing: there is no work to count."
        )
    odds = 16 ** int(data.setting("DIFFICULTY_TARGET", 0))
    edges = hash_edges(tried)
    fig, (ax,) = canvas(
        f"{amount(tried.mean(), 'hashes')} per block on average; chance expects {odds:,}",
        f"{many(len(tried), 'block')} by the hashes that all miners tried for it; "
        f"each is valid with probability 1/{odds:,}.",
        right=WIDE_KEY,
    )
    stack(ax, edges, [("", COLOUR["ledger"], np.histogram(tried, edges + 0.5)[0])])
    line(ax, edges, expected_blocks(edges, len(tried), 1 / odds), "black", ls=DASHED)
    ax.set(xlim=(0, edges[-1]), xlabel="Hashes tried for a block", ylabel="Blocks")
    whole_numbers(ax.yaxis)
    ax.grid(axis="y")
    law = stroke("expected: geometric\nlaw of chance", "black", ls=DASHED)
    key(ax, [Patch(fc=COLOUR["ledger"], label="blocks of this run"), law])
    return fig
