"""How the figures look: colours, words for numbers, and small drawing tools."""

from __future__ import annotations

import math
import textwrap
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import Colormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, ScalarFormatter

from figures.data import Results
from figures.timeline import Timeline, multiples

# ---------------------------------------------------------------- colours and words

COLOUR = {
    "pv": "#E69F00",
    "load": "#1A1A1A",
    "battery": "#009E73",
    "p2p": "#0072B2",
    "market": "#CC79A7",
    "utility": "#606060",
    "outside": "#9A94D0",
    "curtailed": "#D9D9D9",
    "regulator": "#56B4E9",
    "ban": "#D55E00",
    "ledger": "#A0714F",
    "settlement": "#F0E442",
    "community": "#332288",
    "seller": "#999933",
    "buyer": "#882255",
    "owns both": "#8C4DCB",
    "owns PV": "#4FC3C3",
    "owns battery": "#EBCF80",
    "owns neither": "#1D631D",
}
"""One colour per concept. `utility` is also the life alone with the utility, `community` what comes of
being a member here, `outside` what the community as one takes and gives: through the local market or
the utility. What a home owns is no energy, so it has not the colours of PV and battery."""
PALE = "#C8C8C8"
MUTED = "#555555"

WIDTH_INCHES, HEIGHT_INCHES, DOTS_PER_INCH = 12.8, 7.2, 125
LEFT, RIGHT, BOTTOM, TOP = 0.104, 0.965, 0.12, 0.83
WIDE_KEY, NARROW_KEY = 0.705, 0.785
"Where axes end that leave room for a key at their right."
STYLE: Any = {
    "font.size": 14,
    "axes.labelsize": 15,
    "axes.titlesize": 15,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.labelsize": 14,
    "ytick.labelsize": 14,
    "legend.fontsize": 14,
    "legend.title_fontsize": 14,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.labelspacing": 0.75,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0,
    "grid.color": "#DDDDDD",
    "lines.linewidth": 2.6,
    "lines.scale_dashes": False,
    "text.parse_math": False,  # a $ in the name of a home is a $
    "hatch.linewidth": 1.5,
}


@contextmanager
def our_style() -> Iterator[None]:
    """Figures look the same whatever style a user has set; that is back afterwards."""
    with matplotlib.rc_context(), warnings.catch_warnings():
        # the name of a home may be in a script that no font of ours has
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(STYLE)
        yield


DASHED = (0, (6, 4))
MAP_RIGHT = 0.895
"Where a map of colours ends that leaves room for its scale."

Layer = tuple[str, str, np.ndarray]
"What one band of a stack is: its name, its colour, its values."


def amount(value: float, unit: str, signed: bool = False) -> str:
    """A quantity for a title: three or so digits, thousands separated, a true minus sign."""
    size = abs(value)
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2
    if round(size, decimals) == 0:
        value, decimals = 0.0, 0
    number = f"{value:+,.{decimals}f}" if signed and value else f"{value:,.{decimals}f}"
    return f"{minus(number)} {unit}"


DUST = 1e-9
"What floats leave of a share (%) that is nothing, or take from one that is all."


def minus(number: str) -> str:
    """A number with a true minus sign."""
    return number.replace("-", "\u2212")


def share(part: float, whole: float) -> str:
    """part / whole as a percentage; hardly anything, and hardly all, are told from nothing and all."""
    percent = 100 * part / whole if whole else 0.0
    if DUST < percent <= 0.5:
        return "< 1 %"
    if 99.5 <= percent < 100 - DUST:
        return "> 99 %"
    return minus(f"{0.0 if abs(percent) < DUST else percent:.0f} %")


def many(number: int, noun: str, plural: str = "") -> str:
    """'1 member', '5 members'."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


# ---------------------------------------------------------------- drawing tools


def sentence(name: str, text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    title = name.replace("_", " ").capitalize().replace("P2p", "P2P").replace("Soc", "SoC")
    fig, (ax,) = canvas(title, "Nothing to draw in this run")
    ax.set_axis_off()
    told = "\n".join(textwrap.wrap(text, 52))
    ax.text(0.5, 0.55, told, ha="center", va="center", fontsize=24, color=MUTED, linespacing=1.5)
    return fig


class Thousands(ScalarFormatter):
    """Numbers of an axis with as many decimals as tell its ticks apart, from a thousand on with a comma."""

    def __call__(self, value: float, pos: int | None = None) -> str:
        told = super().__call__(value, pos)
        if abs(value) < 1000:
            return told
        decimals = len(told.partition(".")[2])
        return minus(f"{value:,.{decimals}f}")


def canvas(
    title: str,
    subtitle: str,
    *,
    heights: Sequence[float] = (1,),
    widths: Sequence[float] = (1,),
    left: float = LEFT,
    right: float = RIGHT,
    top: float = TOP,
    gap: float = 0.05,
) -> tuple[Figure, list[Axes]]:
    """A titled 16:9 figure with a column (heights) or a row (widths) of axes."""
    fig = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(fig)
    headline(fig, title, 0.945, fontsize=22, fontweight="bold")
    headline(fig, subtitle, 0.885, fontsize=14.5, color=MUTED)
    axes, x, y = [], left, top
    for part in heights if len(heights) > 1 else widths:
        if len(heights) > 1:
            height = (top - BOTTOM - gap * (len(heights) - 1)) * part / sum(heights)
            y -= height
            axes.append(fig.add_axes((left, y, right - left, height)))
            y -= gap
        else:
            width = (right - left - gap * (len(widths) - 1)) * part / sum(widths)
            axes.append(fig.add_axes((x, BOTTOM, width, top - BOTTOM)))
            x += width + gap
    for axis in (axis for ax in axes for axis in (ax.xaxis, ax.yaxis)):
        plain = Thousands(useOffset=False)
        plain.set_scientific(False)
        axis.set_major_formatter(plain)
    return fig, axes


def headline(fig: Figure, text: str, y: float, fontsize: float, **style: Any) -> None:
    """A line of text over the whole figure, in smaller letters where it would not fit."""
    line = fig.text(0.03, y, text, fontsize=fontsize, va="center", **style)
    while fontsize > 1 and (width := line.get_window_extent().width) > 0.94 * fig.bbox.width:
        fontsize *= min(0.99, 0.94 * fig.bbox.width / width)  # letters do not shrink quite evenly
        line.set_fontsize(fontsize)


def width_of(fig: Figure | SubFigure, text: str, fontsize: float) -> float:
    """How wide a text is, as a part of the figure's width."""
    shown = fig.text(0, 0, text, fontsize=fontsize)
    width = shown.get_window_extent().width / fig.bbox.width
    shown.remove()
    return float(width)


def left_end(ax: Axes) -> float:
    """Where axes begin with all their names, as a part of the figure's width."""
    box = ax.get_tightbbox()
    assert box is not None, "axes that are drawn have a box"
    return float(box.x0 / ax.figure.bbox.width)


MOST_NAMED = 30
"Rows of a figure that there is room to name."


def row_names(ax: Axes, names: Sequence[str], first: int = 0) -> None:
    """Names the rows first, first + 1 ... at the left, and makes as much room for them as they need."""
    letters = STYLE["ytick.labelsize"] if len(names) <= 20 else 12
    ax.set_yticks(range(first, first + len(names)), names, fontsize=letters)
    ax.tick_params(axis="y", length=0)
    fig, place, size = ax.figure, ax.get_position(), STYLE["ytick.labelsize"]
    widest = max(width_of(fig, part, size) for name in names for part in name.split("\n"))
    left = max(place.x0, 0.028 + widest + (0.025 if ax.get_ylabel() else 0.0))
    ax.set_position((left, place.y0, place.x1 - left, place.height))


def time_axes(axes: Sequence[Axes], timeline: Timeline, labels: Sequence[str]) -> None:
    """Gives axes that stand above each other one time axis, with names below the lowest."""
    places, names = timeline.ticks()
    for ax, label in zip(axes, labels, strict=True):
        ax.set_xlim(timeline.start, timeline.end)
        ax.set_xticks(places, names if ax is axes[-1] else [""] * len(places))
        ax.set_ylabel(label)
        ax.grid(axis="y")
        if 30 < timeline.hours <= 14 * 24:
            for midnight in multiples(timeline.start, timeline.end, 24):
                ax.axvline(midnight, color="#BBBBBB", lw=1, zorder=0.5)
    axes[-1].set_xlabel(timeline.label)


def day_map(
    ax: Axes,
    scale: Axes,
    timeline: Timeline,
    values: np.ndarray,
    name: str,
    colours: Colormap | str,
    limits: tuple[float, float],
) -> None:
    """The values (T) of a long run as colours: a column for each day, its hours from bottom to top."""
    image = ax.imshow(
        timeline.by_hour_and_day(values),
        aspect="auto",
        interpolation="nearest",
        origin="lower",
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        extent=(0, 24 * math.ceil(timeline.end / 24 - 1e-9), 0, 24),
    )
    ax.set_yticks(range(0, 25, 6), [f"{hour:02d}:00" for hour in range(0, 25, 6)])
    ax.figure.colorbar(image, cax=scale)
    scale.set_ylabel(name)


def beside(ax: Axes) -> Axes:
    """Axes for the colours of a map, at its right."""
    place = ax.get_position()
    return ax.figure.add_axes((place.x1 + 0.015, place.y0, 0.016, place.height))


def whole_numbers(*axes: Axis) -> None:
    """Ticks at whole numbers only."""
    for axis in axes:
        axis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))


def stack(ax: Axes, edges: np.ndarray, layers: Iterable[Layer], sign: int = 1) -> None:
    """Bands on top of each other (below each other where sign is -1), one step per point."""
    base = np.zeros(len(edges) - 1)
    for _, colour, values in layers:
        top = base + sign * values
        hatch: Any = {}
        if colour == COLOUR["curtailed"]:
            hatch = {"hatch": "//", "ec": "#999999", "lw": 0}
        band = ax.stairs(top, edges, baseline=base, fill=True, fc=colour, **hatch)
        band.sticky_edges.y[:] = [0.0]
        base = top


def line(ax: Axes, edges: np.ndarray, values: np.ndarray, colour: str, **style: Any) -> None:
    """One value per point as a line of steps."""
    ax.stairs(values, edges, **({"baseline": None, "ec": colour, "lw": 2.6} | style))


def zero_line(ax: Axes) -> None:
    ax.axhline(0, color="black", lw=1.2)


def stroke(name: str, colour: str, **style: Any) -> Line2D:
    """A line or a dot for a key."""
    return Line2D([], [], color=colour, label=name, **style)


def dot(name: str, colour: str, **style: Any) -> Line2D:
    return stroke(name, colour, marker="o", ls="", ms=11, **style)


def patches(layers: Iterable[Layer]) -> list[Patch]:
    """Handles of a key for bands."""
    return [Patch(fc=colour, label=name) for name, colour, _ in layers]


def key(ax: Axes, handles: Sequence[Any], title: str = "", y: float = 1.0) -> None:
    """The key at the right of the axes, top-down."""
    place = ax.get_position()
    ax.figure.legend(
        handles=handles,
        title=title or None,
        loc="upper left",
        bbox_to_anchor=(place.x1 + 0.018, place.y0 + y * place.height),
        alignment="left",
    )


def key_above(ax: Axes, handles: Sequence[Any], side: str) -> None:
    """A key in one row above the axes, at its left or right side."""
    place = ax.get_position()
    ax.figure.legend(
        handles=handles,
        ncols=len(handles),
        loc="lower left" if side == "left" else "lower right",
        bbox_to_anchor=(place.x0 if side == "left" else place.x1, place.y1 + 0.012),
        columnspacing=1,
        handletextpad=0.4,
    )


def bands(data: Results, named: dict[str, tuple[str, np.ndarray]]) -> list[Layer]:
    """Layers in kW, their totals in their names, from {name: (colour, kWh per step)}; no empty ones."""
    whole = sum(values.sum() for _, values in named.values())
    return [
        (
            f"{name}\n{amount(values.sum(), 'kWh')} ({share(values.sum(), whole)})",
            COLOUR[colour],
            data.timeline.rate(values),
        )
        for name, (colour, values) in named.items()
        if values.any()
    ]


def two_sided(
    data: Results,
    above: list[Layer],
    below: list[Layer],
    title: str,
    subtitle: str,
    names: Sequence[str],
) -> Figure:
    """A figure of bands above and below zero, with a key for each side."""
    fig, (ax,) = canvas(title, subtitle + data.timeline.note, right=WIDE_KEY)
    stack(ax, data.timeline.edges, above)
    stack(ax, data.timeline.edges, below, sign=-1)
    zero_line(ax)
    time_axes([ax], data.timeline, ["Average power (kW)"])
    key(ax, patches(reversed(above)), names[0])
    key(ax, patches(below), names[1], y=0.48)
    return fig
